/* What the queue says of itself: figures, and in words why a message waits. */
#include "queue/queue_int.h"

#include <stdio.h>

static void look_at(struct queue_figures *f, const struct item *i)
{
    if (!f->oldest || i->m->facts.received < f->oldest)
        f->oldest = i->m->facts.received;
}

struct queue_figures queue_figures(const struct queue *q)
{
    struct queue_figures f = q->figures;
    size_t at = 0;
    void *value;
    f.bytes_memory = queue_body_total();
    while (map_next(q->destinations, &at, NULL, &value)) {
        const struct destination *d = value;
        f.n_resting += !list_empty(&d->resting);
        /* The first of each is the destination's oldest; ids grow with time. */
        for (int rank = 0; rank < RANK_N; rank++)
            if (d->backlog[rank].n)
                look_at(&f, d->backlog[rank].heap[0]);
        if (!list_empty(&d->fresh))
            look_at(&f, container_of(d->fresh.next, struct item, node));
    }
    for (size_t i = 0; i < q->n_timers; i++)
        look_at(&f, q->timers[i]);
    for (at = 0; map_next(q->running, &at, NULL, &value);)
        look_at(&f, value);
    return f;
}

uint64_t queue_waiting_for(const struct queue *q, uint64_t primary)
{
    const struct destination *d = queue_destination_find(q, primary, SLICE(""));
    return d ? d->n_items : 0;
}

static void note_oldest(const struct item *i)
{
    if (!i->d->oldest || i->m->facts.received < i->d->oldest)
        i->d->oldest = i->m->facts.received;
}

void queue_each_kept(const struct queue *q, void (*fn)(void *arg, const struct queue_kept *kept),
                     void *arg)
{
    size_t at = 0;
    void *value;
    while (map_next(q->destinations, &at, NULL, &value)) {
        struct destination *d = value;
        d->oldest = 0;
        for (int rank = 0; rank < RANK_N; rank++)
            if (d->backlog[rank].n)
                note_oldest(d->backlog[rank].heap[0]);
        if (!list_empty(&d->fresh))
            note_oldest(container_of(d->fresh.next, struct item, node));
    }
    for (size_t i = 0; i < q->n_timers; i++)
        note_oldest(q->timers[i]);
    for (at = 0; map_next(q->running, &at, NULL, &value);)
        note_oldest(value);
    for (at = 0; map_next(q->destinations, &at, NULL, &value);) {
        const struct destination *d = value;
        struct queue_kept kept = {d->primary, d->n_items, d->bytes, d->oldest};
        if (d->primary && d->n_items)
            fn(arg, &kept);
    }
}

static void look_for_oldest(uint64_t *oldest, const struct item *i)
{
    if (*oldest == 0 || i->m->facts.id < *oldest)
        *oldest = i->m->facts.id;
}

uint64_t queue_oldest_for(const struct queue *q, uint64_t primary)
{
    const struct destination *d = queue_destination_find(q, primary, SLICE(""));
    uint64_t oldest = 0;
    size_t at = 0;
    void *value;
    if (!d)
        return 0;
    for (int rank = 0; rank < RANK_N; rank++)
        if (d->backlog[rank].n)
            look_for_oldest(&oldest, d->backlog[rank].heap[0]);
    if (!list_empty(&d->fresh))
        look_for_oldest(&oldest, container_of(d->fresh.next, struct item, node));
    for (size_t i = 0; i < q->n_timers; i++)
        if (q->timers[i]->d == d)
            look_for_oldest(&oldest, q->timers[i]);
    while (map_next(q->running, &at, NULL, &value))
        if (((const struct item *)value)->d == d)
            look_for_oldest(&oldest, value);
    return oldest;
}

struct queue_progress queue_progress(const struct queue *q, uint64_t primary)
{
    const struct destination *d = queue_destination_find(q, primary, SLICE(""));
    return d ? (struct queue_progress){.n_waiting = d->n_items, .n_passed = d->n_passed}
             : (struct queue_progress){};
}

static void explain_item(const struct queue *q, const struct item *i, struct buf *ret)
{
    utc_ms now = utc_now();
    const struct destination *d = i->d;
    if (ret->n)
        buf_addf(ret, "; ");
    if (i->place == PLACE_RUNNING || i->place == PLACE_FETCH || i->place == PLACE_ATTEMPT)
        buf_addf(ret, "is being delivered now");
    else if (i->place == PLACE_ORDERED)
        buf_addf(ret, "a decision about it is being written");
    else if (!q->is_started)
        buf_addf(ret, "our delivery process is starting again");
    else if (d->primary && q->o.way(q->o.arg, d->primary) == WAY_CLOSED)
        buf_addf(ret, "the primary is in emergency; goes out when it is given back");
    else if (i->place == PLACE_TIMER && i->due > now)
        buf_addf(ret, "next attempt in %lld s", (long long)((i->due - now) / 1000 + 1));
    else if (d->rest_until > now)
        buf_addf(ret, "the destination did not answer; looked at again in %lld s",
                 (long long)((d->rest_until - now) / 1000 + 1));
    else
        buf_addf(ret, "waits for its turn with %u others", d->n_items - 1);
    if (i->why)
        buf_addf(ret, " (last: %s)", i->why);
}

void queue_explain(const struct queue *q, uint64_t message, struct buf *ret)
{
    const struct queue_message *m = queue_message_find(q, message);
    if (!m)
        return;
    LIST_FOREACH (node, &m->items)
        explain_item(q, container_of(node, struct item, in_message), ret);
}
