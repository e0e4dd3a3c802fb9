/* The outbox: who is to be told what, when it is tried, what became of it.
 *
 * Each target is told in the order in which things happened: what fails for the target's sake (no
 * connection, 5xx) holds back what came later; what the target refuses by itself does not. Words
 * of one incident that wait together go as one, the newest, with a list of those before. */
#include "alert/alert_int.h"

#include "base/log.h"

static const uint32_t rests_sec[] = {1, 5, 30, 120, 600, 1800, 3600};
enum { N_RESTS = sizeof(rests_sec) / sizeof(rests_sec[0]), HOUR_MS = 3600000 };

static struct target *target_of(const struct alert_book *b, const struct outbox *x)
{
    return map_get(b->targets, KEY(x->shown.body.target));
}

static uint32_t settled(const struct outbox *x)
{
    const struct alert_outbox_body *f = &x->shown.body;
    return f->told > f->given_up ? f->told : f->given_up;
}

bool outbox_is_pending(const struct outbox *x)
{
    return x->shown.body.newest > settled(x);
}

void outbox_order(struct alert_book *b, struct outbox *x)
{
    list_remove(&x->pending);
    if (!outbox_is_pending(x))
        return;
    struct list *behind = b->pending.prev; /* nearly always its place */
    while (behind != &b->pending) {
        const struct outbox *y = container_of(behind, struct outbox, pending);
        if (y->shown.body.since < x->shown.body.since ||
            (y->shown.body.since == x->shown.body.since && y->shown.id < x->shown.id))
            break;
        behind = behind->prev;
    }
    list_prepend(behind, &x->pending); /* after it */
}

static struct outbox *outbox_create(struct incident *i, uint64_t id, uint64_t tenant)
{
    struct outbox *x = mem_new(sizeof(*x));
    list_init(&x->pending);
    list_append(&i->outboxes, &x->node);
    x->incident = i;
    x->shown.id = id;
    x->shown.tenant = tenant;
    return x;
}

void outbox_drop(struct alert_book *b, struct outbox *x)
{
    list_remove(&x->pending);
    list_remove(&x->node);
    map_del(b->outboxes, KEY(x->shown.id));
    mem_free(&x);
}

static void set_answer(struct outbox *x, struct slice text, utc_ms now)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(4096);
    struct slice clean = compose_clean(a, text, sizeof(x->answer) - 1, false);
    memcpy(x->answer, clean.p, clean.n);
    x->answer[clean.n] = '\0';
    x->shown.body.answer = slice_of(x->answer, clean.n);
    x->shown.body.answered = now;
}

bool outbox_load(struct alert_book *b, const struct record_object *o)
{
    struct alert_outbox_body body;
    if (!alert_outbox_body_unpack(o->body, NULL, &body) || map_get(b->outboxes, KEY(o->id)))
        return false;
    struct incident *i = map_get(b->incidents, KEY(body.incident));
    if (!i || !map_get(b->targets, KEY(body.target))) { /* one of them went in the last moment */
        book_gone(b, OBJECT_OUTBOX, o->id, o->tenant);
        return true;
    }
    struct outbox *x = outbox_create(i, o->id, o->tenant);
    x->shown.body = body;
    set_answer(x, body.answer, body.answered);
    if (x->shown.body.newest > incident_newest(i))
        x->shown.body.newest = incident_newest(i);
    map_put(b->outboxes, KEY(o->id), x);
    outbox_order(b, x);
    return true;
}

/* A mail that was handed over in the last moment is told, not told again. */
void alert_loaded(struct alert_book *b, bool (*has_message)(void *arg, uint64_t id), void *arg)
{
    void *value;
    for (size_t at = 0; map_next(b->outboxes, &at, NULL, &value);) {
        struct outbox *x = value;
        struct alert_outbox_body *f = &x->shown.body;
        if (f->sending <= f->told || !f->message || !has_message(arg, f->message))
            continue;
        f->told = f->sending;
        f->earlier = f->message;
        f->attempts = 0;
        f->next = 0;
        book_dirty_outbox(b, x);
        outbox_order(b, x);
    }
}

/* ---- planning ---- */

static struct outbox *outbox_for(const struct incident *i, uint64_t target)
{
    LIST_FOREACH (node, &i->outboxes) {
        struct outbox *x = container_of(node, struct outbox, node);
        if (x->shown.body.target == target)
            return x;
    }
    return NULL;
}

static bool wants(const struct alert_target *t, const struct incident *i,
                  const struct alert_update *u, const struct outbox *x)
{
    if (t->tenant && t->tenant != i->shown.tenant)
        return false;
    if (t->body.kind == ALERT_SMS)
        return false;
    return u->class >= t->body.least || (u->is_over && x);
}

static void say_full(struct alert_book *b, utc_ms now)
{
    if (now >= b->full_told && now < b->full_told + HOUR_MS)
        return;
    b->full_told = now;
    b->o.tell(b->o.arg, EVENT_ALARM, "alert.full", 0, SLICE("alerts"),
              SLICE("20000 alerts wait or are remembered. Further ones are not sent. Look at the "
                    "targets that do not answer: `staffetta alert list`."));
}

void outbox_plan(struct alert_book *b, struct incident *i, utc_ms now)
{
    uint32_t number = incident_newest(i);
    const struct alert_update *u = incident_update(i, number);
    void *value;
    for (size_t at = 0; map_next(b->targets, &at, NULL, &value);) {
        const struct alert_target *t = &((struct target *)value)->shown;
        struct outbox *x = outbox_for(i, t->id);
        if (!wants(t, i, u, x))
            continue;
        if (!x && map_size(b->outboxes) >= OUTBOX_MAX) {
            say_full(b, now);
            continue;
        }
        if (!x) {
            x = outbox_create(i, b->o.next_id(b->o.arg), i->shown.tenant);
            x->shown.body.target = t->id;
            x->shown.body.incident = i->shown.id;
            map_put(b->outboxes, KEY(x->shown.id), x);
        }
        if (!outbox_is_pending(x)) {
            x->shown.body.since = now;
            x->shown.body.attempts = 0;
            x->shown.body.next = 0;
            x->shown.body.is_refused = 0;
        }
        x->shown.body.newest = number;
        book_dirty_outbox(b, x);
        outbox_order(b, x);
    }
}

/* ---- results ---- */

/* What waits behind what was just told: since when? */
static void go_on(struct alert_book *b, struct outbox *x, utc_ms now)
{
    struct alert_outbox_body *f = &x->shown.body;
    const struct alert_update *first = incident_update(x->incident, f->told + 1);
    f->attempts = 0;
    f->next = 0;
    f->is_refused = 0;
    f->since = first ? first->time : now;
    outbox_order(b, x);
}

static void failed(struct alert_book *b, struct outbox *x, bool is_refused, utc_ms now)
{
    struct alert_outbox_body *f = &x->shown.body;
    uint32_t k = f->attempts < N_RESTS ? f->attempts : N_RESTS - 1;
    f->attempts++;
    f->next = now + (utc_ms)rests_sec[k] * 1000;
    f->is_refused = is_refused;
    book_dirty_outbox(b, x);
}

void alert_sent(struct alert_book *b, uint64_t outbox, uint32_t number,
                const struct alert_answer *answer, utc_ms now)
{
    struct outbox *x = map_get(b->outboxes, KEY(outbox));
    if (!x)
        return; /* the target or the incident is gone */
    struct alert_outbox_body *f = &x->shown.body;
    bool was_sending = x->shown.is_sending;
    if (number > f->newest || (!was_sending && !answer->is_there))
        return; /* the end of one that counts as lost already */
    x->shown.is_sending = false;
    set_answer(x, answer->text, now);
    if (!answer->is_there) {
        failed(b, x, answer->is_refused, now);
    } else if (number > f->told) {
        f->told = number;
        if (f->sending == number && f->message)
            f->earlier = f->message;
        b->n_told++;
        go_on(b, x, now);
    }
    book_dirty_outbox(b, x);
    outbox_pass(b, now);
    book_flush(b, now);
}

void alert_sender_lost(struct alert_book *b, enum alert_kind kind)
{
    LIST_FOREACH (node, &b->pending) {
        struct outbox *x = container_of(node, struct outbox, pending);
        const struct target *t = target_of(b, x);
        if (t && t->shown.body.kind == kind)
            x->shown.is_sending = false; /* our own fault counts as no attempt */
    }
}

static void give_up(struct alert_book *b, struct outbox *x, const struct alert_target *t)
{
    struct alert_outbox_body *f = &x->shown.body;
    const struct alert_incident *i = &x->incident->shown;
    char id[MESSAGE_ID_TEXT];
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    message_id_text(i->id, id);
    f->given_up = f->newest;
    x->shown.is_sending = false;
    b->n_given_up++;
    buf_addf(&text,
             "%s was not told of incident %s (" SLICE_FMT
             ") although it was tried for a day, %u times. Its last answer: " SLICE_FMT
             ". Nothing more is tried for this. `staffetta alert test` tries it now; "
             "`staffetta incident show %s` shows what happened.",
             log_text(t->body.name), id, SLICE_ARG(i->body.subject), f->attempts,
             SLICE_ARG(f->answer), id);
    b->o.tell(b->o.arg, EVENT_ALARM, "alert.given-up", t->tenant, t->body.name, buf_slice(&text));
    book_dirty_outbox(b, x);
    outbox_order(b, x);
}

/* ---- sending ---- */

/* A mail gets its id before it is handed over, so that after a crash it is known whether it was.
 * False: that is not written down yet. */
static bool is_prepared(struct alert_book *b, struct outbox *x)
{
    struct alert_outbox_body *f = &x->shown.body;
    if (f->sending == f->newest && f->message && f->message != f->earlier)
        return true;
    f->message = b->o.next_id(b->o.arg);
    f->sending = f->newest;
    book_dirty_outbox(b, x);
    return false;
}

static void send_now(struct alert_book *b, struct outbox *x, struct target *t, utc_ms now)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    char id[ALERT_ID_TEXT];
    const struct alert_target_body *f = &t->shown.body;
    struct compose c = {
        .book = b, .target = t, .incident = x->incident, .outbox = x, .now = now, .arena = a};
    struct alert_sending s = {.outbox = x->shown.id,
                              .target = t->shown.id,
                              .number = x->shown.body.newest,
                              .id = id,
                              .url = f->url,
                              .secret = f->secret,
                              .address = f->address,
                              .tenant = t->shown.tenant,
                              .message = x->shown.body.message,
                              .replaced = x->shown.body.earlier};
    compose_id(x, id);
    if (f->kind == ALERT_MAIL)
        compose_mail(&c, id, &s);
    else
        s.body = compose_json(&c, id);
    x->shown.is_sending = true;
    x->sent_at = now;
    if (!b->o.send(b->o.arg, (enum alert_kind)f->kind, &s))
        x->shown.is_sending = false; /* as soon as somebody is there */
}

/* True: nothing later goes to this target before it. */
static bool visit(struct alert_book *b, struct outbox *x, struct target *t, utc_ms now)
{
    const struct alert_outbox_body *f = &x->shown.body;
    if (x->shown.is_sending && now >= x->sent_at && now < x->sent_at + SENDING_MS)
        return true;
    if (x->shown.is_sending) {
        x->shown.is_sending = false;
        set_answer(x, SLICE("our sending process gave no answer"), now);
        failed(b, x, false, now);
    }
    if (now - f->since > ALERT_GIVE_UP_MS) {
        give_up(b, x, &t->shown);
        return false;
    }
    /* A clock that went back must not keep an alarm for days. */
    bool is_resting = now < f->next && f->next - now <= (utc_ms)rests_sec[N_RESTS - 1] * 1000;
    if (is_resting)
        return !f->is_refused;
    if (!book_is_written(b, x, now) || (t->shown.body.kind == ALERT_MAIL && !is_prepared(b, x)))
        return true;
    send_now(b, x, t, now);
    return true;
}

void outbox_pass(struct alert_book *b, utc_ms now)
{
    uint64_t pass = ++b->pass;
    LIST_FOREACH (node, &b->pending) {
        struct outbox *x = container_of(node, struct outbox, pending);
        struct target *t = target_of(b, x);
        must(t); /* it goes with its target */
        if (t->blocked_in != pass && visit(b, x, t, now))
            t->blocked_in = pass;
    }
}

enum err alert_test(struct alert_book *b, uint64_t target, const char *id, utc_ms now,
                    struct errinfo *ei)
{
    struct target *t = map_get(b->targets, KEY(target));
    if (!t)
        return err_set(ei, ERR_GONE, "there is no such target");
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    const struct alert_target_body *f = &t->shown.body;
    struct compose c = {.book = b, .target = t, .now = now, .arena = a};
    struct alert_sending s = {.target = target,
                              .id = id,
                              .url = f->url,
                              .secret = f->secret,
                              .address = f->address,
                              .tenant = t->shown.tenant};
    if (f->kind == ALERT_MAIL) {
        s.message = b->o.next_id(b->o.arg);
        compose_mail(&c, id, &s);
    } else {
        s.body = compose_json(&c, id);
    }
    if (b->o.send(b->o.arg, (enum alert_kind)f->kind, &s))
        return ERR_OK;
    return err_set(ei, ERR_RETRY, "our sending process is starting again");
}
