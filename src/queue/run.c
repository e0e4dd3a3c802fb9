/* Who may start now: places of items, slots and rests of destinations, attempts.
 *
 * An attempt is a durable record before the courier hears of it (promise 2), so that after any
 * crash the possible duplicates are known: either it began with the message's own record
 * (queue_plan), or with an attempt record that is synced here first. */
#include "queue/queue_int.h"

#include "base/refuse.h"

#include <stdlib.h>

enum {
    BATCH_ITEMS = 64,
    FRESH_PER_BACKLOG = 3,
    MEMORY_KEEP_BYTES = 256 << 20,
    WRITE_AGAIN_MS = 5000,
    CLOCK_SLACK_MS = 60000,
};

/* ---- places ---- */

/* The bytes of a message that waits are read again when its turn comes. */
static void drop_body(struct queue_message *m)
{
    LIST_FOREACH (node, &m->items) {
        enum item_place place = container_of(node, struct item, in_message)->place;
        if (place == PLACE_RUNNING || place == PLACE_ATTEMPT)
            return; /* another destination's delivery still needs them */
    }
    queue_body_unref(&m->body);
}

/* ---- the backlog: essential mailboxes first, within these the oldest first ---- */

static enum item_rank rank_of(const struct queue *q, const struct item *i)
{
    if (!i->d->primary || !q->o.is_essential)
        return RANK_OTHER;
    for (size_t k = 0; k < i->n_rows; k++)
        if (q->o.is_essential(q->o.arg, i->rows[k].address))
            return RANK_ESSENTIAL;
    return RANK_OTHER;
}

static void backlog_add(struct queue *q, struct item *i)
{
    i->place = PLACE_BACKLOG;
    i->rank = rank_of(q, i);
    struct backlog *b = &i->d->backlog[i->rank];
    queue_heap_add(&b->heap, &b->n, &b->cap, i, queue_older);
}

static void backlog_del(struct item *i)
{
    struct backlog *b = &i->d->backlog[i->rank];
    queue_heap_del(b->heap, &b->n, i, queue_older);
}

static struct item *backlog_first(const struct destination *d)
{
    for (int rank = 0; rank < RANK_N; rank++)
        if (d->backlog[rank].n)
            return d->backlog[rank].heap[0];
    return NULL;
}

/* Who is essential may have changed since they began to wait. */
static void rank_again(struct queue *q, struct destination *d)
{
    struct list moved;
    list_init(&moved);
    for (int rank = 0; rank < RANK_N; rank++)
        for (size_t k = 0; k < d->backlog[rank].n; k++) {
            struct item *i = d->backlog[rank].heap[k];
            if (rank_of(q, i) != i->rank)
                list_append(&moved, &i->node);
        }
    for (struct list *node; (node = list_pop(&moved));) {
        struct item *i = container_of(node, struct item, node);
        backlog_del(i);
        backlog_add(q, i);
    }
}

size_t queue_n_backlog(const struct destination *d)
{
    size_t n = 0;
    for (int rank = 0; rank < RANK_N; rank++)
        n += d->backlog[rank].n;
    return n;
}

void queue_backlog_free(struct destination *d)
{
    for (int rank = 0; rank < RANK_N; rank++)
        mem_free(&d->backlog[rank].heap);
}

/* ---- places of items ---- */

void queue_place(struct queue *q, struct item *i, enum item_place place)
{
    struct destination *d = i->d;
    i->place = place;
    switch (place) {
    case PLACE_FRESH:
        /* What waits for its turn keeps its bytes in memory only while there is plenty of it. */
        if (queue_body_total() > MEMORY_KEEP_BYTES)
            drop_body(i->m);
        list_append(&d->fresh, &i->node);
        return;
    case PLACE_BACKLOG:
        drop_body(i->m);
        backlog_add(q, i);
        return;
    case PLACE_TIMER:
        drop_body(i->m);
        queue_heap_add(&q->timers, &q->n_timers, &q->cap_timers, i, queue_sooner);
        return;
    case PLACE_PLANNED:
    case PLACE_ATTEMPT:
    case PLACE_FETCH:
    case PLACE_RUNNING:
    case PLACE_ORDERED:
        return;
    }
}

void queue_unplace(struct queue *q, struct item *i)
{
    if (i->place == PLACE_FRESH)
        list_remove(&i->node);
    else if (i->place == PLACE_BACKLOG)
        backlog_del(i);
    else if (i->place == PLACE_TIMER)
        queue_heap_del(q->timers, &q->n_timers, i, queue_sooner);
}

/* ---- slots ---- */

static uint32_t n_slots(struct queue *q, const struct destination *d)
{
    if (!d->primary)
        return q->o.per_destination;
    switch (q->o.way(q->o.arg, d->primary)) {
    case WAY_OPEN:
        break;
    case WAY_ONE_AT_A_TIME:
        return 1;
    case WAY_CLOSED:
        return 0;
    }
    uint32_t own = q->o.ceiling(q->o.arg, d->primary);
    return own ? own : q->o.per_primary;
}

/* One delivery may always run, however large its message. */
static bool is_at_ceiling(const struct queue *q, const struct item *i)
{
    const struct queue_figures *f = &q->figures;
    return f->n_running >= q->o.running_max ||
           (f->n_running > 0 && f->bytes_running + i->m->facts.bytes > q->o.running_bytes_max);
}

static enum refuse_id ceiling_of(const struct destination *d)
{
    return d->primary ? REFUSE_PRIMARY_BUSY : REFUSE_DESTINATION_BUSY;
}

bool queue_slot_take(struct queue *q, struct item *i)
{
    struct destination *d = i->d;
    if (d->rest_until > 0 && utc_now() < d->rest_until)
        return false;
    uint32_t most = n_slots(q, d);
    if (most > 1)
        refuse_measure(ceiling_of(d), d->n_running + 1, slice_str(d->key));
    if (d->n_running >= most) {
        if (most > 1) /* its ceiling; fewer: a primary in doubt, which says so itself */
            (void)refuse(ceiling_of(d), slice_str(d->key));
        return false;
    }
    refuse_measure(REFUSE_COURIER_JOBS, q->figures.n_running + 1, slice_str(d->key));
    if (is_at_ceiling(q, i)) {
        if (list_empty(&d->hungry)) {
            list_append(&q->hungry, &d->hungry);
            if (q->figures.n_running >= q->o.running_max)
                (void)refuse(REFUSE_COURIER_JOBS, slice_str(d->key));
        }
        return false;
    }
    d->n_running++;
    q->figures.n_running++;
    q->figures.bytes_running += i->m->facts.bytes;
    i->slot_bytes = i->m->facts.bytes;
    i->begun = utc_now();
    i->has_slot = true;
    return true;
}

void queue_slot_free(struct queue *q, struct item *i)
{
    if (!i->has_slot)
        return;
    i->has_slot = false;
    must(i->d->n_running > 0);
    i->d->n_running--;
    q->figures.n_running--;
    q->figures.bytes_running -= i->slot_bytes;
}

void queue_next(struct queue *q, struct destination *d)
{
    if (list_empty(&q->hungry)) {
        queue_pump(q, d);
        return;
    }
    if (list_empty(&d->hungry))
        list_append(&q->hungry, &d->hungry);
    while (!list_empty(&q->hungry) && q->figures.n_running < q->o.running_max) {
        struct destination *next = container_of(list_pop(&q->hungry), struct destination, hungry);
        queue_pump(q, next);
        if (!list_empty(&next->hungry))
            return; /* no room for its message: it stands at the end again */
    }
}

/* The destination fails as a whole: nothing more is tried there for a while. */
void queue_rest(struct queue *q, struct destination *d)
{
    uint32_t random;
    utc_ms now = utc_now();
    random_bytes(&random, sizeof(random));
    if (d->rest_until > now)
        return; /* one failure counts once, however many deliveries saw it */
    d->n_failures++;
    d->rest_until = now + continuity_rest_ms(d->n_failures, d->primary != 0, random);
    if (list_empty(&d->resting))
        list_append(&q->resting, &d->resting);
}

/* What could not go until now is not new any more: mail that comes from now on overtakes it. */
static void age(struct queue *q, struct destination *d)
{
    for (struct list *node; (node = list_pop(&d->fresh));)
        backlog_add(q, container_of(node, struct item, node));
}

static void end_rest(struct queue *q, struct destination *d)
{
    d->rest_until = 0;
    list_remove(&d->resting);
    age(q, d);
    queue_pump(q, d);
}

void queue_wake(struct queue *q, uint64_t primary)
{
    end_rest(q, queue_destination(q, primary, SLICE("")));
}

static struct item *soonest(const struct queue *q, const struct destination *d)
{
    struct item *found = NULL;
    for (size_t k = 0; k < q->n_timers; k++)
        if (q->timers[k]->d == d && (!found || queue_sooner(q->timers[k], found)))
            found = q->timers[k];
    return found;
}

static void hurry(struct queue *q, struct item *i)
{
    queue_unplace(q, i);
    i->due = 0;
    queue_place(q, i, PLACE_BACKLOG);
}

void queue_drain(struct queue *q, uint64_t primary)
{
    struct destination *d = queue_destination(q, primary, SLICE(""));
    size_t n = 0;
    struct item **waiting = mem_new((q->n_timers + 1) * sizeof(struct item *));
    for (size_t k = 0; k < q->n_timers; k++)
        if (q->timers[k]->d == d)
            waiting[n++] = q->timers[k];
    while (n > 0)
        hurry(q, waiting[--n]);
    mem_free(&waiting);
    rank_again(q, d);
    end_rest(q, d);
}

void queue_try(struct queue *q, uint64_t primary)
{
    struct destination *d = queue_destination_find(q, primary, SLICE(""));
    if (!d || d->n_running > 0 || queue_n_backlog(d) > 0 || !list_empty(&d->fresh))
        return;
    struct item *i = soonest(q, d);
    if (!i)
        return;
    hurry(q, i);
    queue_pump(q, d);
}

void queue_doubt_clock(struct queue *q, bool is_doubted)
{
    q->is_clock_doubted = is_doubted;
}

/* ---- attempts ---- */

struct attempt {
    struct store_change change;
    struct queue *queue;
    struct list items;
    struct buf facts;
    enum err err;
};

/* On the loop: the attempts are durable, or could not be written. */
static void attempt_done(void *arg)
{
    struct attempt *a = arg;
    struct queue *q = a->queue;
    for (struct list *node; (node = list_pop(&a->items));) {
        struct item *i = container_of(node, struct item, node);
        if (a->err == ERR_OK) {
            queue_run(q, i);
            continue;
        }
        /* Nothing was begun: it waits as before. */
        queue_slot_free(q, i);
        i->due = utc_now() + WRITE_AGAIN_MS;
        queue_place(q, i, PLACE_TIMER);
    }
    buf_finish(&a->facts);
    mem_free(&a);
}

static void attempt_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct attempt *a = change->arg;
    a->err = err;
    a->queue->o.post(a->queue->o.arg, attempt_done, a);
}

static void begin(struct queue *q, struct destination *d, struct list *items, size_t n_rows)
{
    struct attempt *a = mem_new(sizeof(*a));
    struct record_row *rows = mem_new(n_rows * sizeof(*rows));
    struct record_attempt facts = {
        .time = utc_now(), .destination = slice_str(d->key), .rows = rows};
    bool must_flush = false;
    a->queue = q;
    list_init(&a->items);
    for (struct list *node; (node = list_pop(items));) {
        struct item *i = container_of(node, struct item, node);
        must_flush |= i->noted_at == q->n_flushes;
        for (size_t k = 0; k < i->n_rows; k++)
            rows[facts.n_rows++] = (struct record_row){i->m->facts.id, i->rows[k].rcpt};
        list_append(&a->items, &i->node);
    }
    a->facts = buf_make(STORE_RECORD_MAX);
    record_attempt_pack(&a->facts, &facts);
    must(!a->facts.failed); /* the batch was bounded */
    mem_free(&rows);
    /* Never before the result of the attempt that came before it: a result closes whatever attempt
     * stands open in the log. */
    if (must_flush)
        queue_flush(q);
    a->change = (struct store_change){
        .type = RECORD_ATTEMPT, .facts = buf_slice(&a->facts), .done = attempt_written, .arg = a};
    store_submit(q->o.store, &a->change);
}

static struct item *choose(struct queue *q, struct destination *d)
{
    struct item *fresh =
        list_empty(&d->fresh) ? NULL : container_of(d->fresh.next, struct item, node);
    struct item *old = backlog_first(d);
    /* New mail goes first, but the backlog is never starved. */
    bool is_turn_of_old = d->n_turns % (FRESH_PER_BACKLOG + 1) == FRESH_PER_BACKLOG;
    struct item *i = !fresh || (old && is_turn_of_old) ? old : fresh;
    if (!i || !queue_slot_take(q, i))
        return NULL;
    if (fresh && old)
        d->n_turns++; /* only a start is a turn: asking in vain must not pass over the backlog */
    return i;
}

void queue_pump(struct queue *q, struct destination *d)
{
    struct list batch;
    size_t n_rows = 0, n = 0;
    list_init(&batch);
    if (!q->is_started || q->n_unwritten > 0)
        return;
    for (struct item *i; n < BATCH_ITEMS && n_rows < 2000 && (i = choose(q, d)); n++) {
        queue_unplace(q, i);
        i->place = PLACE_ATTEMPT;
        n_rows += i->n_rows;
        list_append(&batch, &i->node);
    }
    if (n > 0)
        begin(q, d, &batch, n_rows);
}

/* ---- running ---- */

/* It began, but through our own fault nothing was sent. */
static void end_unsent(struct queue *q, struct item *i, struct slice why)
{
    uint64_t tag = ++q->last_tag;
    struct queue_outcome *outcomes = mem_new(i->n_rows * sizeof(*outcomes));
    for (size_t k = 0; k < i->n_rows; k++)
        outcomes[k] =
            (struct queue_outcome){.rcpt = i->rows[k].rcpt, .reply.phase = AT_NAME, .text = why};
    struct queue_result result = {.message = i->m->facts.id,
                                  .is_ours = true,
                                  .is_lost = !q->is_started,
                                  .outcomes = outcomes,
                                  .n_outcomes = i->n_rows};
    i->place = PLACE_RUNNING;
    map_put(q->running, KEY(tag), i);
    must(queue_result(q, tag, &result));
    mem_free(&outcomes);
}

/* Somebody paused, or declared an emergency, while the attempt was being written or its bytes
 * read. */
static bool is_stopped(const struct queue *q, const struct item *i)
{
    return i->d->primary && q->o.way(q->o.arg, i->d->primary) == WAY_CLOSED;
}

static void start(struct queue *q, struct item *i)
{
    if (is_stopped(q, i)) {
        end_unsent(q, i, SLICE("giving back was stopped before anything was sent"));
        return;
    }
    struct queue_job job = {
        .tag = ++q->last_tag,
        .facts = &i->m->facts,
        .primary = i->d->primary,
        .domain = i->d->domain,
        .rows = i->rows,
        .n_rows = i->n_rows,
        .body = i->m->body,
    };
    i->place = PLACE_RUNNING;
    map_put(q->running, KEY(job.tag), i);
    if (q->o.deliver(q->o.arg, &job))
        return;
    map_del(q->running, KEY(job.tag));
    end_unsent(q, i, SLICE("our delivery process is starting again"));
}

void queue_run(struct queue *q, struct item *i)
{
    if (i->m->body) {
        start(q, i);
        return;
    }
    i->place = PLACE_FETCH;
    q->o.fetch(q->o.arg, i->m->facts.id, i);
}

/* Doubt about stored mail: not touched, not lost, a person looks at it. */
static void hold_unreadable(struct queue *q, struct item *i, const char *why)
{
    struct destination *d = i->d;
    for (size_t k = 0; k < i->n_rows; k++) {
        struct record_result r = {.message = i->m->facts.id,
                                  .rcpt = i->rows[k].rcpt,
                                  .time = utc_now(),
                                  .disposition = DISPOSITION_HELD,
                                  .is_attempt = 1,
                                  .attempts = i->rows[k].attempts,
                                  .text = slice_str(why),
                                  .by = SLICE("store"),
                                  .refusal = 1 + REFUSE_HOLD_UNREADABLE};
        queue_note_result(q, &r);
    }
    char id[MESSAGE_ID_TEXT];
    message_id_text(i->m->facts.id, id);
    (void)refuse(REFUSE_HOLD_UNREADABLE, slice_str(id));
    q->o.tell(q->o.arg, EVENT_ALARM, "store.unreadable", i->m->facts.tenant, slice_str(id),
              slice_str(why));
    queue_item_destroy(q, i);
    queue_next(q, d);
    queue_destination_settle(q, d);
}

void queue_fetched(struct queue *q, const struct queue_fetched *f)
{
    struct item *i = f->cookie;
    must(i->place == PLACE_FETCH);
    switch (f->err) {
    case ERR_OK:
        queue_message_fill(i->m, f->facts);
        struct queue_body *body = f->take_body;
        if (i->m->body)
            queue_body_unref(&body); /* another destination's fetch was quicker */
        else
            i->m->body = body;
        start(q, i);
        return;
    case ERR_CORRUPT:
    case ERR_GONE:
    case ERR_INVALID:
        hold_unreadable(q, i, f->why);
        return;
    case ERR_RETRY:
    case ERR_FULL:
    case ERR_LIMIT:
    case ERR_EXISTS:
    case ERR_CONFLICT:
    case ERR_DENIED:
    case ERR_IO:
    case ERR_CANCELED:
    case ERR_N:
        break;
    }
    end_unsent(q, i, slice_str(f->why));
}

/* ---- time ---- */

void queue_tick(struct queue *q)
{
    utc_ms now = utc_now();
    bool went_back = now < q->ticked - CLOCK_SLACK_MS;
    q->ticked = now;
    queue_write_again(q);
    queue_tell_delayed(q);
    /* By a clock that was set back, what is due soon would be due in a day or a year. */
    while (q->n_timers && (went_back || q->timers[0]->due <= now)) {
        struct item *i = q->timers[0];
        queue_unplace(q, i);
        queue_place(q, i, PLACE_BACKLOG);
        queue_pump(q, i->d);
    }
    LIST_FOREACH (node, &q->resting) {
        struct destination *d = container_of(node, struct destination, resting);
        if (d->rest_until > now && !went_back)
            continue;
        end_rest(q, d);
        queue_destination_settle(q, d); /* perhaps only its rest kept it */
    }
}
