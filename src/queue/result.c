/* What became of a delivery: each recipient's reply, judged by the table, becomes a fate that is
 * written down; a sender that waits gets its answer. */
#include "queue/queue_int.h"

#include "base/refuse.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- writing results ---- */

struct written {
    struct store_change change;
    struct queue *queue;
    struct buf facts;
};

static void results_free(void *arg)
{
    struct written *w = arg;
    buf_finish(&w->facts);
    mem_free(&w);
}

/* A result that could not be written leaves its attempt open: after the next start it is listed as
 * a possible double and tried again. The store has raised its alarm already. */
static void results_written(struct store_change *change, enum err, const struct errinfo *)
{
    results_free(change->arg);
}

void queue_note_result(struct queue *q, const struct record_result *r)
{
    if (q->n_results == q->cap_results) {
        q->cap_results = q->cap_results ? q->cap_results * 2 : 64;
        q->results = mem_resize(q->results, q->cap_results * sizeof(*q->results));
    }
    struct record_result *copy = &q->results[q->n_results++];
    *copy = *r;
    copy->enhanced = arena_copy(q->results_arena, r->enhanced);
    copy->text =
        arena_copy(q->results_arena, slice_of(r->text.p, r->text.n < 600 ? r->text.n : 600));
    copy->by = arena_copy(q->results_arena, r->by);
    copy->remote =
        arena_copy(q->results_arena, slice_of(r->remote.p, r->remote.n < 300 ? r->remote.n : 300));
    if (q->n_results >= 1000)
        queue_flush(q);
}

void queue_flush(struct queue *q)
{
    if (q->n_results == 0)
        return;
    struct written *w = mem_new(sizeof(*w));
    struct record_results all = {q->results, (uint32_t)q->n_results};
    w->queue = q;
    w->facts = buf_make(STORE_RECORD_MAX);
    record_results_pack(&w->facts, &all);
    must(!w->facts.failed); /* 1000 results of bounded text */
    w->change = (struct store_change){.type = RECORD_RESULT,
                                      .is_lazy = true,
                                      .facts = buf_slice(&w->facts),
                                      .done = results_written,
                                      .arg = w};
    q->n_results = 0;
    arena_reset(q->results_arena);
    store_submit(q->o.store, &w->change);
}

/* ---- judging ---- */

static const struct queue_outcome *outcome_of(const struct queue_result *r, uint16_t rcpt)
{
    static const struct queue_outcome none = {.reply.phase = AT_NAME,
                                              .text = {"no outcome was reported", 23}};
    for (size_t i = 0; i < r->n_outcomes; i++)
        if (r->outcomes[i].rcpt == rcpt)
            return &r->outcomes[i];
    return &none;
}

/* Every row got the same refusal, at the same place. */
static bool is_unanimous(const struct item *i, const struct queue_result *r)
{
    const struct continuity_reply first = outcome_of(r, i->rows[0].rcpt)->reply;
    for (size_t k = 1; k < i->n_rows; k++) {
        const struct continuity_reply other = outcome_of(r, i->rows[k].rcpt)->reply;
        if (other.code != first.code || other.phase != first.phase)
            return false;
    }
    return true;
}

struct settling {
    struct queue *q;
    struct item *i;
    const struct queue_result *r;
    size_t n_left; /* rows that go on waiting */
    size_t n_delivered;
    utc_ms due;
    bool rests;
    enum continuity_evidence evidence;
    struct slice evidence_text;
    const struct queue_outcome *pass; /* the refusal that the sender gets */
};

static struct record_result base_result(const struct settling *s, const struct queue_row *row,
                                        const struct queue_outcome *o)
{
    return (struct record_result){
        .message = s->i->m->facts.id,
        .rcpt = row->rcpt,
        .time = utc_now(),
        .is_attempt = 1,
        .is_double = s->r->is_sent && o->reply.code == 0,
        .attempts = row->attempts,
        .code = o->reply.code,
        .enhanced = o->enhanced,
        .text = o->text,
        .remote = s->r->remote,
    };
}

static void hold(struct settling *s, struct record_result *result, enum refuse_id why)
{
    char id[MESSAGE_ID_TEXT];
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    message_id_text(s->i->m->facts.id, id);
    result->disposition = DISPOSITION_HELD;
    result->refusal = 1 + why;
    (void)refuse(why, slice_str(s->i->d->key));
    buf_addf(&text,
             "Message %s was refused: %.*s. It is held: nothing is lost. Release it to try "
             "again, return it to its sender, or remove it.",
             id, (int)(result->text.n < 300 ? result->text.n : 300),
             result->text.p ? result->text.p : "");
    s->q->o.tell(s->q->o.arg, EVENT_ALARM, "queue.held", s->i->m->facts.tenant, slice_str(id),
                 buf_slice(&text));
}

static void give_back(struct settling *s, const struct queue_row *row,
                      const struct queue_outcome *o, struct record_result *result)
{
    const struct queue_facts *f = &s->i->m->facts;
    bool wants_none = row->notify && !(row->notify & WIRE_NOTIFY_FAILURE);
    if (wants_none || s->q->o.notice(s->q->o.arg, f, row, o, 1, s->r->remote, s->i->m->body)) {
        result->disposition = DISPOSITION_RETURNED;
        if (wants_none)
            result->by = SLICE("the sender wanted no notice (NOTIFY)");
    } else {
        hold(s, result, REFUSE_HOLD_NOTICE);
    }
}

static void keep_waiting(struct settling *s, struct queue_row *row, struct record_result *result)
{
    struct item *i = s->i;
    uint32_t random;
    random_bytes(&random, sizeof(random));
    result->disposition = DISPOSITION_WAITING;
    result->due = utc_now() + continuity_retry_ms(row->attempts, i->d->primary != 0, random);
    if (!s->due || result->due < s->due)
        s->due = result->due;
    snprintf(i->why, sizeof(i->why), "%.*s", SLICE_ARG(result->text));
    i->rows[s->n_left++] = *row;
}

static void settle_row(struct settling *s, struct queue_row *row, bool is_alone)
{
    struct queue *q = s->q;
    struct item *i = s->i;
    const struct queue_outcome *o = outcome_of(s->r, row->rcpt);
    struct continuity_verdict v =
        continuity_judge(o->reply, (struct continuity_asker){.is_primary = i->d->primary != 0,
                                                             .is_waiting = i->is_answer_waiting,
                                                             .is_alone = is_alone,
                                                             .is_known = row->is_known});
    if (s->r->is_ours)
        v = (struct continuity_verdict){.fate = FATE_WAIT};
    row->attempts++;
    struct record_result result = base_result(s, row, o);
    s->rests |= v.is_about_destination;
    if (v.evidence != EVIDENCE_NONE && s->evidence != EVIDENCE_GOOD) {
        s->evidence = v.evidence; /* one recipient that went well outweighs */
        s->evidence_text = o->text;
    }
    if (v.fate == FATE_WAIT &&
        continuity_is_expired(i->m->facts.received, utc_now(), i->d->primary))
        v.fate = FATE_RETURN;
    switch (v.fate) {
    case FATE_DELIVERED:
        result.disposition = DISPOSITION_DELIVERED;
        s->n_delivered++;
        q->figures.n_delivered++;
        break;
    case FATE_PASS:
        result.disposition = DISPOSITION_REFUSED;
        s->pass = o;
        break;
    case FATE_WAIT:
        q->figures.n_failed_attempts++;
        keep_waiting(s, row, &result);
        break;
    case FATE_HOLD:
        hold(s, &result, REFUSE_HOLD_REFUSED);
        break;
    case FATE_RETURN:
        give_back(s, row, o, &result);
        break;
    }
    queue_note_result(q, &result);
}

static void answer(struct settling *s)
{
    struct item *i = s->i;
    if (!i->is_answer_waiting)
        return;
    i->is_answer_waiting = false;
    struct queue_answer a = {.message = i->m->facts.id};
    if (s->pass) {
        a.is_refused = true;
        a.code = s->pass->reply.code;
        a.enhanced = s->pass->enhanced;
        a.text = s->pass->text;
    }
    s->q->o.answer(s->q->o.arg, &a);
}

void queue_result(struct queue *q, uint64_t tag, const struct queue_result *r)
{
    /* Tags are echoed by a process that talks to strangers: unknown ones mean nothing. */
    struct item *i = map_del(q->running, KEY(tag));
    if (!i)
        return;
    struct destination *d = i->d;
    uint64_t primary = d->primary;
    struct settling s = {.q = q, .i = i, .r = r};
    bool is_alone = is_unanimous(i, r);
    size_t n_rows = i->n_rows;
    for (size_t k = 0; k < n_rows; k++)
        settle_row(&s, &i->rows[k], is_alone);
    q->figures.n_rows -= n_rows - s.n_left;
    i->n_rows = s.n_left;
    answer(&s);
    queue_slot_free(q, i);
    if (s.rests) {
        queue_rest(q, d);
    } else if (s.n_delivered) {
        d->n_failures = 0;
        d->rest_until = 0;
    }
    if (i->n_rows == 0) {
        queue_item_destroy(q, i);
    } else if (s.rests && primary) {
        i->due = 0; /* the destination's rest decides, not this message's */
        queue_place(q, i, PLACE_BACKLOG);
    } else {
        i->due = s.due;
        queue_place(q, i, PLACE_TIMER);
    }
    if (primary && s.evidence != EVIDENCE_NONE)
        q->o.evidence(q->o.arg, primary, s.evidence, s.evidence_text);
    queue_pump(q, d);
    queue_destination_settle(q, d);
}

uint64_t queue_job_primary(const struct queue *q, uint64_t tag)
{
    const struct item *i = map_get(q->running, KEY(tag));
    return i ? i->d->primary : 0;
}

void queue_give_up_answer(struct queue *q, uint64_t message)
{
    struct queue_message *m = queue_message_find(q, message);
    if (!m)
        return;
    LIST_FOREACH (node, &m->items)
        container_of(node, struct item, in_message)->is_answer_waiting = false;
}

void queue_courier_lost(struct queue *q)
{
    for (;;) {
        size_t at = 0;
        struct slice key;
        void *value;
        if (!map_next(q->running, &at, &key, &value))
            return;
        struct item *i = value;
        uint64_t tag;
        memcpy(&tag, key.p, sizeof(tag));
        struct queue_outcome *outcomes = mem_new(i->n_rows * sizeof(*outcomes));
        for (size_t k = 0; k < i->n_rows; k++)
            outcomes[k] = (struct queue_outcome){
                .rcpt = i->rows[k].rcpt,
                .reply.phase = AT_DOT,
                .text = SLICE("our delivery process ended in the middle of it")};
        /* We cannot know how far it was: perhaps it arrived. */
        struct queue_result result = {
            .is_sent = true, .is_ours = true, .outcomes = outcomes, .n_outcomes = i->n_rows};
        queue_result(q, tag, &result);
        mem_free(&outcomes);
    }
}
