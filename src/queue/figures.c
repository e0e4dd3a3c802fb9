/* What the queue says of itself: figures, and in words why a message waits. */
#include "queue/queue_int.h"

#include <stdio.h>

struct queue_figures queue_figures(const struct queue *q)
{
    struct queue_figures f = q->figures;
    size_t at = 0;
    void *value;
    f.bytes_memory = queue_body_total();
    f.n_resting = 0;
    for (; map_next(q->destinations, &at, NULL, &value);) {
        const struct destination *d = value;
        f.n_resting += !list_empty(&d->resting);
        /* The heap's first is the destination's oldest; ids grow with time. */
        if (d->n_backlog && (!f.oldest || d->backlog[0]->m->facts.received < f.oldest))
            f.oldest = d->backlog[0]->m->facts.received;
    }
    return f;
}

uint64_t queue_waiting_for(const struct queue *q, uint64_t primary)
{
    char key[32];
    int n = snprintf(key, sizeof(key), "p%llu", (unsigned long long)primary);
    const struct destination *d = map_get(q->destinations, slice_of(key, (size_t)n));
    return d ? d->n_items : 0;
}

static void explain_item(const struct queue *q, const struct item *i, struct buf *ret)
{
    utc_ms now = utc_now();
    const struct destination *d = i->d;
    if (ret->n)
        buf_addf(ret, "; ");
    if (i->place == PLACE_RUNNING || i->place == PLACE_FETCH || i->place == PLACE_ATTEMPT)
        buf_addf(ret, "is being delivered now");
    else if (d->primary && q->o.way(q->o.arg, d->primary) == WAY_CLOSED)
        buf_addf(ret, "the primary is in emergency; goes out when it is given back");
    else if (i->place == PLACE_TIMER && i->due > now)
        buf_addf(ret, "next attempt in %lld s", (long long)((i->due - now) / 1000 + 1));
    else if (d->rest_until > now)
        buf_addf(ret, "the destination did not answer; looked at again in %lld s",
                 (long long)((d->rest_until - now) / 1000 + 1));
    else
        buf_addf(ret, "waits for its turn behind %zu others", d->n_backlog);
    if (i->why[0])
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
