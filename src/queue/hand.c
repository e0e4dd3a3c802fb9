/* Orders of people: hold, release, retry, return, remove one row; each written with who and why
 * before it counts. */
#include "queue/queue_int.h"

#include "base/refuse.h"

#include <stdio.h>

struct order {
    struct store_change change;
    struct queue *queue;
    struct buf facts;
    struct queue_order_done done;
    enum err err;
    bool is_queued_after; /* the row waits when this is durable */
    struct arena *arena;
    struct store_row row; /* copied into the arena */
};

static void order_done(void *arg)
{
    struct order *o = arg;
    if (o->err == ERR_OK && o->is_queued_after) {
        queue_load(o->queue, &o->row);
        queue_start(o->queue);
    }
    o->done.fn(o->done.arg, o->err, o->change.pos);
    buf_finish(&o->facts);
    arena_destroy(&o->arena);
    mem_free(&o);
}

static void order_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct order *o = change->arg;
    o->err = err;
    o->queue->o.post(o->queue->o.arg, order_done, o);
}

static void write_order(struct queue *q, const struct store_row *row,
                        const struct record_result *result, struct queue_order_done done)
{
    struct order *o = mem_new(sizeof(*o));
    struct record_result copy = *result;
    struct record_results all = {&copy, 1};
    o->queue = q;
    o->done = done;
    o->is_queued_after = result->disposition == DISPOSITION_WAITING;
    o->arena = arena_create(1 << 16);
    o->row = *row;
    o->row.facts.address = arena_copy(o->arena, row->facts.address);
    o->row.facts.orcpt = arena_copy(o->arena, row->facts.orcpt);
    o->row.mail_from = arena_copy(o->arena, row->mail_from);
    o->row.last.text = arena_copy(o->arena, row->last.text);
    o->row.last.due = 0;
    o->facts = buf_make(10000);
    record_results_pack(&o->facts, &all);
    o->change = (struct store_change){
        .type = RECORD_RESULT, .facts = buf_slice(&o->facts), .done = order_written, .arg = o};
    store_submit(q->o.store, &o->change);
}

/* The waiting row in memory. Its item is NULL when the row does not wait here. */
static struct item *find_row(struct queue *q, uint64_t message, uint16_t rcpt, size_t *ret_k)
{
    struct queue_message *m = queue_message_find(q, message);
    if (!m)
        return NULL;
    LIST_FOREACH (node, &m->items) {
        struct item *i = container_of(node, struct item, in_message);
        for (size_t k = 0; k < i->n_rows; k++)
            if (i->rows[k].rcpt == rcpt) {
                *ret_k = k;
                return i;
            }
    }
    return NULL;
}

static bool is_resting_place(const struct item *i)
{
    return i->place == PLACE_FRESH || i->place == PLACE_BACKLOG || i->place == PLACE_TIMER;
}

/* Take one row out of what waits. */
static void take_out(struct queue *q, struct item *i, size_t k)
{
    struct destination *d = i->d;
    if (i->n_rows > 1) {
        i->rows[k] = i->rows[--i->n_rows];
        q->figures.n_rows--;
        return;
    }
    queue_unplace(q, i);
    queue_item_destroy(q, i);
    queue_destination_settle(q, d);
}

static enum err order_retry(struct queue *q, struct item *i, struct queue_order_done done)
{
    struct destination *d = i->d;
    queue_unplace(q, i);
    i->due = 0;
    queue_place(q, i, PLACE_BACKLOG);
    d->rest_until = 0;
    queue_pump(q, d);
    done.fn(done.arg, ERR_OK, 0); /* no fact changed: nothing to write */
    return ERR_OK;
}

static enum err send_back(struct queue *q, const struct store_row *row, struct slice why,
                          struct errinfo *ei)
{
    struct queue_facts facts = {.id = row->message,
                                .tenant = row->tenant,
                                .bytes = row->bytes,
                                .received = row->received,
                                .mail_from = row->mail_from};
    struct queue_row r = {.rcpt = row->rcpt,
                          .notify = row->facts.notify,
                          .address = row->facts.address,
                          .orcpt = row->facts.orcpt};
    struct queue_outcome o = {.rcpt = row->rcpt,
                              .reply = {.phase = AT_DOT, .code = row->last.code},
                              .enhanced = row->last.enhanced,
                              .text = row->last.text.n ? row->last.text : why};
    if (o.reply.code < 500)
        o.reply.code = 554; /* a person decided that it is final */
    if (q->o.notice(q->o.arg, &facts, &r, &o, 1, row->last.remote, NULL))
        return ERR_OK;
    return err_set(ei, ERR_DENIED,
                   "no notice may be sent for this message: its sender is empty or "
                   "not proved, the notice could hit a stranger. It stays held; "
                   "remove it or release it instead.");
}

static enum err order_waiting(struct queue *q, enum queue_order what, const struct store_row *row,
                              struct item *i, size_t k, struct record_result *result,
                              struct queue_order_done done, struct errinfo *ei)
{
    if (!is_resting_place(i))
        return err_set(ei, ERR_CONFLICT,
                       "it is being delivered at this moment; look again in a few "
                       "seconds");
    switch (what) {
    case QUEUE_RETRY:
        return order_retry(q, i, done);
    case QUEUE_RELEASE:
        return err_set(ei, ERR_INVALID, "it is not held: it waits for its delivery");
    case QUEUE_HOLD:
        result->disposition = DISPOSITION_HELD;
        break;
    case QUEUE_REMOVE:
        result->disposition = DISPOSITION_REMOVED;
        break;
    case QUEUE_RETURN: {
        enum err err = send_back(q, row, result->text, ei);
        if (err != ERR_OK)
            return err;
        result->disposition = DISPOSITION_RETURNED;
        break;
    }
    }
    take_out(q, i, k);
    write_order(q, row, result, done);
    return ERR_OK;
}

static enum err order_held(struct queue *q, enum queue_order what, const struct store_row *row,
                           struct record_result *result, struct queue_order_done done,
                           struct errinfo *ei)
{
    switch (what) {
    case QUEUE_HOLD:
        return err_set(ei, ERR_INVALID, "it is held already");
    case QUEUE_RETRY:
    case QUEUE_RELEASE:
        result->disposition = DISPOSITION_WAITING;
        break;
    case QUEUE_REMOVE:
        result->disposition = DISPOSITION_REMOVED;
        break;
    case QUEUE_RETURN: {
        enum err err = send_back(q, row, result->text, ei);
        if (err != ERR_OK)
            return err;
        result->disposition = DISPOSITION_RETURNED;
        break;
    }
    }
    write_order(q, row, result, done);
    return ERR_OK;
}

enum err queue_order(struct queue *q, enum queue_order what, const struct store_row *row,
                     struct slice by, struct slice why, struct queue_order_done done,
                     struct errinfo *ei)
{
    size_t k = 0;
    struct item *i = find_row(q, row->message, row->rcpt, &k);
    struct record_result result = {.message = row->message,
                                   .rcpt = row->rcpt,
                                   .time = utc_now(),
                                   .attempts = row->last.attempts,
                                   .code = row->last.code,
                                   .enhanced = row->last.enhanced,
                                   .text = slice_of(why.p, why.n < 600 ? why.n : 600),
                                   .by = slice_of(by.p, by.n < 200 ? by.n : 200),
                                   .remote = row->last.remote};
    if (i)
        return order_waiting(q, what, row, i, k, &result, done, ei);
    if (row->last.disposition == DISPOSITION_HELD)
        return order_held(q, what, row, &result, done, ei);
    if (row->last.disposition == DISPOSITION_WAITING)
        return err_set(ei, ERR_CONFLICT, "it was settled this moment; look again");
    return err_set(ei, ERR_INVALID, "it is %s: nothing is left to decide",
                   disposition_name(row->last.disposition));
}
