/* Orders of people: hold, release, retry, return, remove one row; each written with who and why
 * before it counts.
 *
 * The row is an item of its own in PLACE_ORDERED meanwhile: nothing else happens to it, a second
 * order is a conflict, and when the decision cannot be written it goes back to where it was. */
#include "queue/queue_int.h"

#include "base/refuse.h"

#include <stdio.h>

struct order {
    struct store_change change;
    struct notice_wait wait;
    struct queue *queue;
    struct item *item; /* NULL: nothing had to be written */
    struct buf facts;
    struct queue_order_done done;
    enum err err;
    uint64_t message;
    bool was_waiting, waits_after;
};

static void order_free(struct order *o)
{
    buf_finish(&o->facts);
    mem_free(&o);
}

/* Back to where it waits, or out: as the row's disposition now says. */
static void put_down(struct queue *q, struct item *i, bool is_waiting)
{
    struct destination *d = i->d;
    if (is_waiting)
        queue_item_rest(q, i);
    else
        queue_item_destroy(q, i);
    queue_next(q, d);
    queue_destination_settle(q, d);
}

static void order_done(void *arg)
{
    struct order *o = arg;
    struct queue *q = o->queue;
    struct queue_order_done done = o->done;
    enum err err = o->err;
    uint64_t pos = o->change.pos, message = o->message;
    if (o->item)
        put_down(o->queue, o->item, err == ERR_OK ? o->waits_after : o->was_waiting);
    order_free(o);
    if (err == ERR_OK && pos)
        q->o.moved(q->o.arg, message);
    done.fn(done.arg, err, pos);
}

static void order_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct order *o = change->arg;
    o->err = err;
    o->queue->o.post(o->queue->o.arg, order_done, o);
}

static void write_order(struct order *o)
{
    struct queue *q = o->queue;
    queue_flush(q); /* what is known of the row already comes before the decision */
    o->change = (struct store_change){
        .type = RECORD_RESULT, .facts = buf_slice(&o->facts), .done = order_written, .arg = o};
    store_submit(q->o.store, &o->change);
}

/* The notice of a return stands in the log before the row says `returned`. */
static void order_noticed(struct queue *q, struct notice_wait *w, enum err err)
{
    struct order *o = container_of(w, struct order, wait);
    o->err = err;
    if (err == ERR_OK)
        write_order(o);
    else
        q->o.post(q->o.arg, order_done, o);
}

static void order_drop(struct notice_wait *w)
{
    order_free(container_of(w, struct order, wait));
}

static struct order *order_create(struct queue *q, struct queue_order_done done)
{
    struct order *o = mem_new(sizeof(*o));
    o->queue = q;
    o->done = done;
    o->wait.noticed = order_noticed;
    o->wait.drop = order_drop;
    list_init(&o->wait.node);
    o->facts = buf_make(10000);
    return o;
}

/* ---- the row ---- */

/* One row out of what waits, as an item of its own. */
static struct item *take_out(struct queue *q, struct item *i, size_t k)
{
    struct item *one = i;
    if (i->n_rows == 1) {
        queue_unplace(q, i);
    } else {
        one = queue_item_create(q, i->m, i->d->primary, i->d->domain, &i->rows[k], 1);
        one->due = i->due;
        if (i->why)
            queue_item_say(one, slice_str(i->why));
        i->rows[k] = i->rows[--i->n_rows];
        q->figures.n_rows--;
    }
    one->place = PLACE_ORDERED;
    return one;
}

static enum err order_retry(struct queue *q, struct item *i, struct queue_order_done done)
{
    struct destination *d = i->d;
    queue_unplace(q, i);
    i->due = 0;
    d->rest_until = 0;
    queue_item_rest(q, i);
    queue_next(q, d);
    /* No fact changed: nothing to write. */
    q->o.post(q->o.arg, order_done, order_create(q, done));
    return ERR_OK;
}

/* ---- the decision ---- */

static enum err refuse_again(const struct queue_decision *x, const struct item *i,
                             struct errinfo *ei)
{
    if (i)
        return err_set(ei, ERR_INVALID, "it waits for its delivery already");
    if (x->row->last.disposition != DISPOSITION_DELIVERED || x->row->facts.primary == 0)
        return err_set(ei, ERR_INVALID, "no mail system of ours took it");
    return ERR_OK;
}

static enum err refuse_order(const struct queue_decision *x, const struct item *i,
                             struct errinfo *ei)
{
    enum disposition is = x->row->last.disposition;
    if (i && i->place == PLACE_ORDERED)
        return err_set(ei, ERR_CONFLICT, "a decision about it is being written; look again");
    if (i && !queue_item_is_at_rest(i))
        return err_set(ei, ERR_CONFLICT,
                       "it is being delivered at this moment; look again in a few seconds");
    if (x->what == QUEUE_AGAIN)
        return refuse_again(x, i, ei);
    if (i && x->what == QUEUE_RELEASE)
        return err_set(ei, ERR_INVALID, "it is not held: it waits for its delivery");
    if (!i && is == DISPOSITION_WAITING)
        return err_set(ei, ERR_CONFLICT, "it was settled this moment; look again");
    if (!i && is != DISPOSITION_HELD)
        return err_set(ei, ERR_INVALID, "it is %s: nothing is left to decide",
                       disposition_name(is));
    if (!i && x->what == QUEUE_HOLD)
        return err_set(ei, ERR_INVALID, "it is held already");
    return ERR_OK;
}

static enum disposition disposition_after(enum queue_order what)
{
    switch (what) {
    case QUEUE_HOLD:
        return DISPOSITION_HELD;
    case QUEUE_RELEASE:
    case QUEUE_RETRY: /* of what is held: the same */
    case QUEUE_AGAIN:
        return DISPOSITION_WAITING;
    case QUEUE_RETURN:
        return DISPOSITION_RETURNED;
    case QUEUE_REMOVE:
        return DISPOSITION_REMOVED;
    }
    return DISPOSITION_HELD;
}

enum { BY_MAX = 200, NOTICE_BYTES = 30 };

static struct slice at_most(struct slice s, size_t max)
{
    return slice_of(s.p, s.n < max ? s.n : max);
}

/* `notice`: that told the sender; 0: none. */
static void pack_decision(struct order *o, const struct queue_decision *x, uint64_t notice)
{
    SCOPED(buf_finish) struct buf by = buf_make(BY_MAX);
    buf_adds(&by, at_most(x->by, BY_MAX - NOTICE_BYTES));
    if (notice)
        record_notice_add(&by, notice);
    const struct record_result *last = &x->row->last;
    struct record_result result = {.message = x->row->message,
                                   .rcpt = x->row->rcpt,
                                   .time = utc_now(),
                                   .disposition = (uint8_t)disposition_after(x->what),
                                   .attempts = last->attempts,
                                   .code = last->code,
                                   .enhanced = last->enhanced,
                                   .text = at_most(x->why, 600),
                                   .by = buf_slice(&by),
                                   .remote = last->remote};
    struct record_results all = {&result, 1};
    record_results_pack(&o->facts, &all);
    must(!o->facts.failed);
    o->waits_after = result.disposition == DISPOSITION_WAITING;
}

static uint64_t send_back(struct order *o, const struct queue_decision *x)
{
    const struct record_result *last = &x->row->last;
    struct queue_outcome outcome = {.rcpt = x->row->rcpt,
                                    .reply = {.phase = AT_DOT, .code = last->code},
                                    .enhanced = last->enhanced,
                                    .text = last->text.n ? last->text : x->why};
    if (outcome.reply.code < 500)
        outcome.reply.code = 554; /* a person decided that it is final */
    struct queue_notice notice = {.facts = x->facts,
                                  .rows = o->item->rows,
                                  .outcomes = &outcome,
                                  .n = 1,
                                  .remote = last->remote,
                                  .body = x->body};
    return queue_notice(o->queue, &notice, &o->wait);
}

enum err queue_order(struct queue *q, const struct queue_decision *x, struct queue_order_done done,
                     struct errinfo *ei)
{
    size_t k = 0;
    struct item *i = queue_row_find(q, x->row->message, x->row->rcpt, &k);
    if (q->n_unwritten > 0)
        return err_set(ei, ERR_RETRY,
                       "the disk refuses to take what became of deliveries; nothing can be decided "
                       "before it does. Look at the store's alarms, then try again.");
    enum err err = refuse_order(x, i, ei);
    if (err != ERR_OK)
        return err;
    if (i && x->what == QUEUE_RETRY)
        return order_retry(q, i, done);
    struct order *o = order_create(q, done);
    o->message = x->row->message;
    o->was_waiting = i != NULL;
    o->item = i ? take_out(q, i, k) : queue_item_of(q, x->row, x->facts, x->is_known);
    o->item->place = PLACE_ORDERED;
    if (!i)
        o->item->due = 0;
    uint64_t notice = x->what == QUEUE_RETURN ? send_back(o, x) : 0;
    if (x->what != QUEUE_RETURN || notice)
        pack_decision(o, x, notice);
    if (x->what != QUEUE_RETURN) {
        write_order(o);
        return ERR_OK;
    }
    if (notice)
        return ERR_OK; /* order_noticed goes on */
    put_down(q, o->item, o->was_waiting);
    order_free(o);
    return err_set(ei, ERR_DENIED,
                   "no notice may be sent for this message: its sender is empty or not proved, so "
                   "the notice could hit a stranger, or has had too many in this minute. Nothing "
                   "changed; remove it or release it instead.");
}
