/* What became of a delivery: each recipient's reply, judged by the table, becomes a fate that is
 * written down; a sender that waits gets its answer. */
#include "queue/queue_int.h"

#include "base/refuse.h"
#include "wire/wire.h"

#include <stdatomic.h>
#include <stdio.h>

/* ---- writing results ---- */

enum { RESULTS_AGAIN_MS = 1000 };

struct written {
    struct store_change change;
    struct list node; /* in queue->unwritten */
    struct queue *queue;
    struct buf facts;
    enum err err;
    bool is_again;
};

static void results_free(struct written *w)
{
    buf_finish(&w->facts);
    mem_free(&w);
}

static bool is_overtaken(struct queue *q, const struct record_result *r)
{
    size_t k;
    const struct item *i = queue_row_find(q, r->message, r->rcpt, &k);
    return i && i->place != PLACE_FRESH && i->place != PLACE_BACKLOG && i->place != PLACE_TIMER;
}

/* What was submitted behind the results before anybody knew that they are not written may have
 * reached the log: an attempt that has begun since, which a result of the one before would close,
 * or a person's decision. The attempt before then has no result: the index calls it a possible
 * double, which is as much as we know. */
static void drop_overtaken(struct queue *q, struct written *w)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(16 << 20);
    struct record_results all = {};
    must(record_results_unpack(buf_slice(&w->facts), a, &all)); /* we packed it */
    uint32_t n = 0;
    for (uint32_t i = 0; i < all.n_results; i++)
        if (!is_overtaken(q, &all.results[i]))
            all.results[n++] = all.results[i];
    if (n == all.n_results)
        return;
    struct buf facts = buf_make(STORE_RECORD_MAX);
    all.n_results = n;
    record_results_pack(&facts, &all);
    must(!facts.failed);
    buf_finish(&w->facts);
    w->facts = facts;
}

static void tell_moved(struct queue *q, const struct written *w)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(16 << 20);
    struct record_results all = {};
    must(record_results_unpack(buf_slice(&w->facts), a, &all)); /* we packed it */
    for (uint32_t i = 0; i < all.n_results; i++)
        q->o.moved(q->o.arg, all.results[i].message);
}

/* On the loop. Until everything that is known is written, no attempt begins and nobody decides
 * anything: the order in the log stays the order in which it happened. */
static void results_settled(void *arg)
{
    struct written *w = arg;
    struct queue *q = w->queue;
    if (w->err == ERR_OK) {
        tell_moved(q, w); /* who looked meanwhile saw nothing */
        results_free(w);
        if (--q->n_unwritten == 0)
            queue_pump_all(q);
        return;
    }
    if (!w->is_again) {
        w->is_again = true;
        q->n_unwritten++;
        drop_overtaken(q, w);
    }
    list_append(&q->unwritten, &w->node);
    q->write_again = utc_now() + RESULTS_AGAIN_MS;
}

static void results_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct written *w = change->arg;
    if (!w->is_again)
        atomic_fetch_add(&w->queue->n_answered, 1);
    if (err == ERR_OK && !w->is_again) { /* nearly always; here, not on the busy loop */
        results_free(w);
        return;
    }
    w->err = err;
    w->queue->o.post(w->queue->o.arg, results_settled, w);
}

static void results_submit(struct written *w)
{
    w->change = (struct store_change){.type = RECORD_RESULT,
                                      .is_lazy = true,
                                      .facts = buf_slice(&w->facts),
                                      .done = results_written,
                                      .arg = w};
    store_submit(w->queue->o.store, &w->change);
}

void queue_write_again(struct queue *q)
{
    struct list now;
    if (list_empty(&q->unwritten) || utc_now() < q->write_again)
        return;
    list_init(&now);
    for (struct list *node; (node = list_pop(&q->unwritten));)
        list_append(&now, node);
    for (struct list *node; (node = list_pop(&now));)
        results_submit(container_of(node, struct written, node));
}

void queue_forget_unwritten(struct queue *q)
{
    for (struct list *node; (node = list_pop(&q->unwritten));)
        results_free(container_of(node, struct written, node));
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
    q->o.moved(q->o.arg, r->message);
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
    q->n_results = 0;
    q->n_flushes++;
    arena_reset(q->results_arena);
    list_init(&w->node);
    results_submit(w);
}

/* The one that is being gathered has the number n_flushes. */
uint64_t queue_noted(const struct queue *q)
{
    return q->n_flushes - (q->n_results == 0);
}

uint64_t queue_written(const struct queue *q)
{
    return atomic_load(&q->n_answered); /* they are answered in their order */
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

enum { WORDS_MAX = 250, EVIDENCE_TEXT_MAX = 300 }; /* a record of evidence takes 300 */

/* Rows that go back to their sender: final as soon as the notice about them is durable. */
struct returning {
    struct notice_wait wait;
    struct arena *arena;
    uint64_t message, tenant;
    char destination[300];
    struct record_result *results; /* what is written then; in the arena */
    size_t n;
};

struct settling {
    struct queue *q;
    struct item *i;
    const struct queue_result *r;
    size_t n_left; /* rows that go on waiting */
    size_t n_delivered, n_held;
    utc_ms due;
    bool rests, has_reply, is_due_now;
    enum continuity_evidence evidence;
    char evidence_text[EVIDENCE_TEXT_MAX];
    const struct queue_outcome *pass; /* the refusal that the sender gets */
    enum refuse_id held_for;          /* of the first that is held */
    struct slice held_text;
    struct queue_row *relayed_rows; /* whose senders want to hear that they went; NULL: none */
    struct queue_outcome *relayed_outcomes;
    size_t n_relayed;
    struct queue_row *back_rows; /* those that go back, side by side */
    struct queue_outcome *back_outcomes;
    struct returning *back; /* NULL: none */
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

/* ---- holding ---- */

static void hold(struct settling *s, struct record_result *result, enum refuse_id why)
{
    result->disposition = DISPOSITION_HELD;
    result->refusal = 1 + why;
    (void)refuse(why, slice_str(s->i->d->key));
    if (s->n_held++ > 0)
        return;
    s->held_for = why;
    s->held_text = result->text;
}

static void tell_held(struct queue *q, uint64_t message, uint64_t tenant, enum refuse_id why,
                      size_t n, struct slice reply)
{
    char id[MESSAGE_ID_TEXT];
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    bool is_alarm = refuse_row(why)->class == REFUSE_ALARM;
    message_id_text(message, id);
    buf_addf(&text,
             "Message %s was refused for %zu recipient%s: %.*s. It is held, nothing is lost (%s). "
             "Release it to try again, return it to its sender, or remove it.",
             id, n, n == 1 ? "" : "s", (int)(reply.n < 300 ? reply.n : 300), reply.p ? reply.p : "",
             refuse_row(why)->text);
    q->o.tell(q->o.arg, is_alarm ? EVENT_ALARM : EVENT_NOTICE, "queue.held", tenant, slice_str(id),
              buf_slice(&text));
}

/* ---- going back ---- */

uint64_t queue_notice(struct queue *q, struct queue_notice *notice, struct notice_wait *w)
{
    notice->cookie = w;
    uint64_t id = q->o.notice(q->o.arg, notice);
    if (id)
        list_append(&q->notices, &w->node);
    return id;
}

void queue_noticed(struct queue *q, void *cookie, enum err err)
{
    struct notice_wait *w = cookie;
    list_remove(&w->node);
    w->noticed(q, w, err);
}

static void returning_free(struct returning *b)
{
    arena_destroy(&b->arena);
    mem_free(&b);
}

static void returning_drop(struct notice_wait *w)
{
    returning_free(container_of(w, struct returning, wait));
}

static void returned(struct queue *q, struct notice_wait *w, enum err err)
{
    struct returning *b = container_of(w, struct returning, wait);
    for (size_t k = 0; k < b->n; k++) {
        struct record_result *result = &b->results[k];
        result->time = utc_now();
        if (err != ERR_OK) {
            result->disposition = DISPOSITION_HELD;
            result->refusal = 1 + REFUSE_HOLD_NOTICE_FAILED;
            result->by = SLICE("");
            (void)refuse(REFUSE_HOLD_NOTICE_FAILED, slice_str(b->destination));
        }
        queue_note_result(q, result);
    }
    if (err != ERR_OK)
        tell_held(q, b->message, b->tenant, REFUSE_HOLD_NOTICE_FAILED, b->n, b->results[0].text);
    returning_free(b);
}

static struct returning *returning_create(const struct item *i)
{
    struct returning *b = mem_new(sizeof(*b));
    b->wait.noticed = returned;
    b->wait.drop = returning_drop;
    b->arena = arena_create(16 << 20);
    b->message = i->m->facts.id;
    b->tenant = i->m->facts.tenant;
    snprintf(b->destination, sizeof(b->destination), "%s", i->d->key);
    b->results = ARENA_ARRAY(b->arena, struct record_result, i->n_rows);
    list_init(&b->wait.node);
    return b;
}

/* True: the result is known now. False: it will be, together with the others that go back. */
static bool give_back(struct settling *s, const struct queue_row *row,
                      const struct queue_outcome *o, struct record_result *result)
{
    result->disposition = DISPOSITION_RETURNED;
    if (row->notify && !(row->notify & WIRE_NOTIFY_FAILURE)) {
        result->by = SLICE("the sender wanted no notice (NOTIFY)");
        return true;
    }
    if (!s->back) {
        s->back = returning_create(s->i);
        s->back_rows = ARENA_ARRAY(s->back->arena, struct queue_row, s->i->n_rows);
        s->back_outcomes = ARENA_ARRAY(s->back->arena, struct queue_outcome, s->i->n_rows);
    }
    struct returning *b = s->back;
    s->back_rows[b->n] = *row;
    s->back_outcomes[b->n] = *o;
    struct record_result *copy = &b->results[b->n++];
    *copy = *result;
    copy->enhanced = arena_copy(b->arena, result->enhanced);
    copy->text = arena_copy(b->arena, result->text);
    copy->remote = arena_copy(b->arena, result->remote);
    return false;
}

static struct slice told_by(struct arena *a, uint64_t notice)
{
    SCOPED(buf_finish) struct buf by = buf_make(100);
    record_notice_add(&by, notice);
    return arena_copy(a, buf_slice(&by));
}

/* One notice for all rows of this delivery; where none may be sent, they are held. */
static void send_back(struct settling *s)
{
    struct returning *b = s->back;
    if (!b)
        return;
    struct queue_notice notice = {.facts = &s->i->m->facts,
                                  .rows = s->back_rows,
                                  .outcomes = s->back_outcomes,
                                  .n = b->n,
                                  .remote = s->r->remote,
                                  .body = s->i->m->body};
    uint64_t id = queue_notice(s->q, &notice, &b->wait);
    if (id) {
        struct slice by = told_by(b->arena, id);
        for (size_t k = 0; k < b->n; k++)
            b->results[k].by = by;
        return;
    }
    for (size_t k = 0; k < b->n; k++) {
        hold(s, &b->results[k], REFUSE_HOLD_NOTICE);
        queue_note_result(s->q, &b->results[k]);
    }
    tell_held(s->q, b->message, b->tenant, s->held_for, s->n_held, s->held_text);
    s->n_held = 0;
    returning_free(b);
}

/* ---- one row ---- */

static void keep_waiting(struct settling *s, struct queue_row *row, struct record_result *result)
{
    struct item *i = s->i;
    uint32_t random;
    random_bytes(&random, sizeof(random));
    result->disposition = DISPOSITION_WAITING;
    if (row->is_told)
        result->by = SLICE(QUEUE_TOLD_BY);
    result->due = utc_now();
    if (!s->is_due_now)
        result->due += continuity_retry_ms(row->attempts, i->d->primary != 0, random);
    if (!s->due || result->due < s->due)
        s->due = result->due;
    queue_item_say(i, result->text);
    i->noted_at = s->q->n_flushes;
    i->rows[s->n_left++] = *row;
}

static struct continuity_verdict judge(const struct settling *s, const struct queue_row *row,
                                       const struct queue_outcome *o, bool is_alone)
{
    const struct item *i = s->i;
    if (s->r->is_ours)
        return (struct continuity_verdict){.fate = FATE_WAIT};
    struct continuity_asker asker = {.is_primary = i->d->primary != 0,
                                     .is_waiting = i->is_answer_waiting,
                                     .is_alone = is_alone,
                                     .is_known = row->is_known};
    struct continuity_verdict v = continuity_judge(o->reply, asker);
    if (v.fate == FATE_WAIT &&
        continuity_is_expired(i->m->facts.received, utc_now(), i->d->primary))
        v.fate = FATE_RETURN;
    /* In doubt about the time nothing goes back to a sender: it is tried again instead. */
    if (v.fate == FATE_RETURN && s->q->is_clock_doubted)
        v.fate = FATE_WAIT;
    return v;
}

/* One mailbox that is gone or full says nothing about the system that has it: not before a second
 * person is refused, and not by messages that were refused before. */
static bool is_only_about_a_person(const struct settling *s, const struct continuity_verdict *v,
                                   const struct queue_row *row, const struct queue_outcome *o)
{
    enum { ABOUT_MAILBOX = 2 }; /* RFC 3463 */
    struct destination *d = s->i->d;
    uint64_t who = hash_bytes(row->address) | 1;
    if (v->evidence != EVIDENCE_REFUSES || v->is_about_destination ||
        (o->reply.phase != AT_RCPT && o->reply.subject != ABOUT_MAILBOX))
        return false;
    if (d->refused == 0)
        d->refused = who;
    return d->refused == who || row->attempts > 1;
}

/* "451 4.3.0 try later"; without a reply only the words. They come from a stranger: one line. */
static void say_evidence(struct settling *s, const struct queue_outcome *o)
{
    char *text = s->evidence_text;
    struct slice words = slice_of(o->text.p, o->text.n < WORDS_MAX ? o->text.n : WORDS_MAX);
    int n = 0;
    if (o->reply.code)
        n = snprintf(text, EVIDENCE_TEXT_MAX, "%u %.*s%s", o->reply.code,
                     (int)(o->enhanced.n < 16 ? o->enhanced.n : 16),
                     o->enhanced.n ? o->enhanced.p : "", o->enhanced.n ? " " : "");
    (void)snprintf(text + n, EVIDENCE_TEXT_MAX - (size_t)n, SLICE_FMT, SLICE_ARG(words));
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = *c == '\n' ? ' ' : '?';
}

static void weigh(struct settling *s, const struct continuity_verdict *v,
                  const struct queue_row *row, const struct queue_outcome *o)
{
    s->rests |= v->is_about_destination;
    s->has_reply |= o->reply.code != 0;
    if (is_only_about_a_person(s, v, row, o))
        return;
    if (v->evidence != EVIDENCE_NONE && s->evidence != EVIDENCE_GOOD) {
        s->evidence = v->evidence; /* one recipient that went well outweighs */
        say_evidence(s, o);
    }
}

static void note_relayed(struct settling *s, const struct queue_row *row,
                         const struct queue_outcome *o)
{
    if (s->r->has_dsn || !(row->notify & WIRE_NOTIFY_SUCCESS) || s->i->m->facts.mail_from.n == 0)
        return;
    if (!s->relayed_rows) {
        s->relayed_rows = mem_new(s->i->n_rows * sizeof(*s->relayed_rows));
        s->relayed_outcomes = mem_new(s->i->n_rows * sizeof(*s->relayed_outcomes));
    }
    s->relayed_rows[s->n_relayed] = *row;
    s->relayed_outcomes[s->n_relayed++] = *o;
}

static void tell_relayed(struct settling *s)
{
    struct queue_notice notice = {.facts = &s->i->m->facts,
                                  .rows = s->relayed_rows,
                                  .outcomes = s->relayed_outcomes,
                                  .n = s->n_relayed,
                                  .remote = s->r->remote,
                                  .body = s->i->m->body};
    if (s->n_relayed > 0)
        queue_tell_relayed(s->q, &notice);
    mem_free(&s->relayed_rows);
    mem_free(&s->relayed_outcomes);
}

static void settle_row(struct settling *s, struct queue_row *row, bool is_alone)
{
    struct queue *q = s->q;
    const struct queue_outcome *o = outcome_of(s->r, row->rcpt);
    struct continuity_verdict v = judge(s, row, o, is_alone);
    row->attempts++;
    struct record_result result = base_result(s, row, o);
    bool is_known_now = true;
    weigh(s, &v, row, o);
    switch (v.fate) {
    case FATE_DELIVERED:
        result.disposition = DISPOSITION_DELIVERED;
        s->n_delivered++;
        q->figures.n_delivered++;
        note_relayed(s, row, o);
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
        is_known_now = give_back(s, row, o, &result);
        break;
    }
    if (is_known_now)
        queue_note_result(q, &result);
}

/* Two aliases of one mailbox, members of a group: they were accepted with the row that is refused,
 * and nobody may find the message in their mailbox either. */
static void refuse_merged(struct settling *s)
{
    struct slice merged = s->i->m->facts.merged;
    for (struct reader r = reader_make(merged); r.rest.n > 0 && !r.failed;) {
        struct record_result result = {.message = s->i->m->facts.id,
                                       .rcpt = read_u16(&r),
                                       .time = utc_now(),
                                       .disposition = DISPOSITION_REFUSED,
                                       .code = s->pass->reply.code,
                                       .enhanced = s->pass->enhanced,
                                       .text = s->pass->text,
                                       .by = SLICE("refused with the recipient it goes with")};
        queue_note_result(s->q, &result);
    }
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

/* The rows that are left go where they wait. The item may be gone afterwards. */
static void place_rest(struct settling *s)
{
    struct item *i = s->i;
    if (i->n_rows == 0) {
        i->d->n_passed += s->n_delivered > 0;
        queue_item_destroy(s->q, i);
        return;
    }
    /* Where a primary as a whole does not answer, its rest decides, not this message's. */
    bool is_by_rest = s->rests && i->d->primary;
    bool is_next = is_by_rest || s->is_due_now;
    i->due = is_next ? 0 : s->due;
    queue_place(s->q, i, is_next ? PLACE_BACKLOG : PLACE_TIMER);
}

/* A message that is lost with each courier may be what kills them. */
static bool is_due_now(struct item *i, const struct queue_result *r)
{
    enum { LOST_MAX = 3 };
    i->n_lost = r->is_lost ? i->n_lost + 1 : 0;
    return r->is_lost && i->n_lost <= LOST_MAX;
}

static void note_health(struct settling *s, struct destination *d)
{
    if (s->n_delivered > 0)
        d->refused = 0;
    if (s->rests) {
        queue_rest(s->q, d);
    } else if (s->has_reply) {
        d->n_failures = 0;
        d->rest_until = 0;
    }
}

static void settle_rows(struct settling *s)
{
    struct item *i = s->i;
    bool is_alone = is_unanimous(i, s->r);
    size_t n_rows = i->n_rows;
    for (size_t k = 0; k < n_rows; k++)
        settle_row(s, &i->rows[k], is_alone);
    if (s->n_held > 0)
        tell_held(s->q, i->m->facts.id, i->m->facts.tenant, s->held_for, s->n_held, s->held_text);
    s->n_held = 0;
    send_back(s);
    tell_relayed(s);
    if (s->pass)
        refuse_merged(s);
    s->q->figures.n_rows -= n_rows - s->n_left;
    i->n_rows = s->n_left;
}

bool queue_result(struct queue *q, uint64_t tag, const struct queue_result *r)
{
    /* Tags are echoed by a process that talks to strangers: unknown ones mean nothing. */
    struct item *i = map_get(q->running, KEY(tag));
    if (!i)
        return true;
    if (i->m->facts.id != r->message)
        return false;
    map_del(q->running, KEY(tag));
    struct destination *d = i->d;
    uint64_t primary = d->primary;
    utc_ms begun = i->begun;
    struct settling s = {.q = q, .i = i, .r = r, .is_due_now = is_due_now(i, r)};
    settle_rows(&s);
    answer(&s);
    queue_slot_free(q, i);
    note_health(&s, d);
    place_rest(&s);
    if (primary && s.evidence != EVIDENCE_NONE)
        q->o.evidence(q->o.arg, primary, s.evidence, begun, slice_str(s.evidence_text));
    queue_next(q, d);
    queue_destination_settle(q, d);
    return true;
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
    struct slice key;
    void *value;
    queue_stop(q);
    for (size_t at = 0; map_next(q->running, &at, &key, &value); at = 0) {
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
        struct queue_result result = {.message = i->m->facts.id,
                                      .is_sent = true,
                                      .is_ours = true,
                                      .is_lost = true,
                                      .outcomes = outcomes,
                                      .n_outcomes = i->n_rows};
        must(queue_result(q, tag, &result));
        mem_free(&outcomes);
    }
}
