/* A host, a store and a queue made of arrays, behind the real headers, for the tests of the room.
 * What the host is asked to put goes into a real directory and is what the fake reader shows. */
#ifndef ADMIN_TEST_FAKE_H
#define ADMIN_TEST_FAKE_H

#include "admin/admin_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { FAKE_MAX = 64 };

struct fake_order {
    enum queue_order what;
    uint64_t message;
    uint16_t rcpt;
};
struct fake_done {
    void (*fn)(void *cookie, enum err err, const char *why);
    void *cookie;
    enum err err;
    const char *why;
};

static struct {
    struct arena *arena;
    struct admin_host host;
    struct admin *admin;
    struct record_object *objects; /* as they are now */
    size_t n_objects, max_objects;
    struct record_mailbox *mailboxes;
    size_t n_mailboxes, max_mailboxes, n_puts;
    uint64_t last_id;
    enum err put_err;
    bool is_late; /* done callbacks wait for fake_turn */
    struct fake_done waiting[200];
    size_t n_waiting;
    enum continuity_evidence decided;
    uint64_t decided_about;
    char decided_why[400];
    struct fake_order orders[FAKE_MAX];
    size_t n_orders;
    uint32_t closed_for;
    enum err reader_err;
    struct store_message messages[FAKE_MAX];
    size_t n_messages;
    struct store_row rows[FAKE_MAX];
    size_t n_rows;
    struct record_event events[FAKE_MAX];
    size_t n_events;
    uint64_t lost;       /* rows accepted that no disposition has */
    const char *explain; /* of the queue */
    struct store_search searched;
    struct store_row_filter filtered;
} fake;

/* ---- the store's reader ---- */

struct store_reader {
    int nothing;
};
static struct store_reader fake_reader;

enum err store_each_object(struct store_reader *, enum object_kind kind, store_object_fn *fn,
                           void *arg, struct errinfo *ei)
{
    for (size_t i = 0; i < fake.n_objects; i++)
        if (fake.objects[i].kind == kind && !fake.objects[i].is_removed &&
            !fn(arg, &fake.objects[i]))
            break;
    return fake.reader_err ? err_set(ei, fake.reader_err, "the disk is tired") : ERR_OK;
}

enum err store_get_message(struct store_reader *, uint64_t id, struct arena *,
                           struct store_message *ret, struct errinfo *ei)
{
    for (size_t i = 0; i < fake.n_messages; i++)
        if (fake.messages[i].facts.id == id) {
            *ret = fake.messages[i];
            return ERR_OK;
        }
    return err_set(ei, ERR_GONE, "no such message");
}

enum err store_each_row_of(struct store_reader *, uint64_t message, store_row_fn *fn, void *arg,
                           struct errinfo *)
{
    for (size_t i = 0; i < fake.n_rows; i++)
        if (fake.rows[i].message == message && !fn(arg, &fake.rows[i]))
            break;
    return ERR_OK;
}

enum err store_each_row(struct store_reader *, const struct store_row_filter *f, store_row_fn *fn,
                        void *arg, struct errinfo *)
{
    fake.filtered = *f;
    uint32_t n = 0;
    for (size_t i = 0; i < fake.n_rows; i++) {
        const struct store_row *r = &fake.rows[i];
        bool is_open =
            r->last.disposition == DISPOSITION_WAITING || r->last.disposition == DISPOSITION_HELD;
        if (r->message <= f->after || (f->tenant && r->tenant != f->tenant) ||
            (f->primary && r->facts.primary != f->primary) ||
            (f->is_doubles_only ? !r->is_possible_double
             : f->disposition   ? r->last.disposition != f->disposition
                                : !is_open))
            continue;
        if ((f->limit && n++ == f->limit) || !fn(arg, r))
            break;
    }
    return ERR_OK;
}

enum err store_search(struct store_reader *, const struct store_search *what, store_message_fn *fn,
                      void *arg, struct errinfo *)
{
    fake.searched = *what;
    for (size_t i = fake.n_messages; i > 0; i--)
        if (!fn(arg, &fake.messages[i - 1]))
            break;
    return ERR_OK;
}

enum err store_each_history(struct store_reader *, uint64_t message, store_history_fn *fn,
                            void *arg, struct errinfo *)
{
    struct record_result begin = {.message = message, .time = 1000};
    struct record_result end = {.message = message,
                                .time = 2000,
                                .is_attempt = 1,
                                .disposition = DISPOSITION_WAITING,
                                .code = 451,
                                .text = SLICE("later \xff please")};
    if (fn(arg, &begin, true, SLICE("mail.rossi.example")))
        (void)!fn(arg, &end, false, SLICE(""));
    return ERR_OK;
}

enum err store_sums(struct store_reader *, uint64_t tenant, struct store_sums *ret,
                    struct errinfo *)
{
    struct store_sums s = {.n_unanswered = 2};
    for (size_t i = 0; i < fake.n_rows; i++)
        if (tenant == 0 || fake.rows[i].tenant == tenant) {
            s.accepted++;
            s.by[fake.rows[i].last.disposition]++;
            s.n_possible_doubles += fake.rows[i].is_possible_double;
        }
    s.accepted += fake.lost;
    *ret = s;
    return ERR_OK;
}

enum err store_each_event(struct store_reader *, uint64_t tenant, utc_ms since, uint32_t limit,
                          store_event_fn *fn, void *arg, struct errinfo *)
{
    for (size_t i = fake.n_events; i > 0 && limit > 0; i--)
        if ((tenant == 0 || fake.events[i - 1].tenant == tenant) &&
            fake.events[i - 1].time >= since && limit-- > 0 && !fn(arg, i, &fake.events[i - 1]))
            break;
    return ERR_OK;
}

/* ---- the store and the queue ---- */

struct store_figures store_figures(struct store *)
{
    return (struct store_figures){.n_batches = 7,
                                  .n_syncs = 7,
                                  .n_records = 40,
                                  .end = 4096,
                                  .applied = 4000,
                                  .disk_free_bytes = 1,
                                  .disk_total_bytes = 10};
}

enum err store_snapshot(struct store *, struct errinfo *ei)
{
    return fake.reader_err ? err_set(ei, fake.reader_err, "the disk is tired") : ERR_OK;
}

struct queue_figures queue_figures(const struct queue *)
{
    return (struct queue_figures){.n_rows = 3, .n_delivered = 12};
}

uint64_t queue_waiting_for(const struct queue *, uint64_t)
{
    return 3;
}

void queue_explain(const struct queue *, uint64_t, struct buf *ret)
{
    buf_adds(ret, slice_str(fake.explain));
}

/* ---- the host ---- */

static void fake_answer(void (*fn)(void *cookie, enum err err, const char *why), void *cookie,
                        enum err err, const char *why)
{
    if (fake.is_late)
        fake.waiting[fake.n_waiting++] = (struct fake_done){fn, cookie, err, why};
    else
        fn(cookie, err, why);
}

/* Everything that waits gets its answer. */
static inline void fake_turn(void)
{
    while (fake.n_waiting > 0) {
        struct fake_done d = fake.waiting[0];
        memmove(fake.waiting, fake.waiting + 1, --fake.n_waiting * sizeof(d));
        d.fn(d.cookie, d.err, d.why);
    }
}

static uint64_t fake_next_id(void *)
{
    return ++fake.last_id;
}

static void fake_keep(const struct record_object *o)
{
    SCOPED(buf_finish) struct buf b = buf_make(2 << 20);
    struct record_object copy;
    struct errinfo ei;
    record_object_pack(&b, o);
    must(!b.failed);
    must(record_object_unpack(arena_copy(fake.arena, buf_slice(&b)), fake.arena, &copy));
    must(directory_apply(fake.host.directory, &copy, &ei) == ERR_OK);
    size_t i = 0;
    while (i < fake.n_objects && (fake.objects[i].kind != o->kind || fake.objects[i].id != o->id))
        i++;
    if (i == fake.max_objects)
        fake.objects = mem_resize(fake.objects, (fake.max_objects = 2 * i + 64) * sizeof(copy));
    fake.objects[i] = copy;
    fake.n_objects += i == fake.n_objects;
}

static void fake_put(void *, const struct record_objects *objects,
                     const struct record_mailboxes *mailboxes,
                     void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    fake.n_puts++;
    if (fake.put_err) {
        fake_answer(done, cookie, fake.put_err, "the store is failing");
        return;
    }
    for (uint32_t i = 0; i < objects->n_objects; i++)
        fake_keep(&objects->objects[i]);
    for (uint32_t i = 0; i < mailboxes->n_mailboxes; i++) {
        if (fake.n_mailboxes == fake.max_mailboxes) {
            fake.max_mailboxes = 2 * fake.max_mailboxes + 64;
            fake.mailboxes =
                mem_resize(fake.mailboxes, fake.max_mailboxes * sizeof(*fake.mailboxes));
        }
        fake.mailboxes[fake.n_mailboxes++] = mailboxes->mailboxes[i];
    }
    fake_answer(done, cookie, ERR_OK, "");
}

static void fake_decide(void *, uint64_t primary, enum continuity_evidence what, struct slice,
                        struct slice why, void (*done)(void *cookie, enum err err, const char *why),
                        void *cookie)
{
    fake.decided = what;
    fake.decided_about = primary;
    snprintf(fake.decided_why, sizeof(fake.decided_why), SLICE_FMT, SLICE_ARG(why));
    fake_answer(done, cookie, ERR_OK, "");
}

static void fake_order(void *, enum queue_order what, uint64_t message, uint16_t rcpt, struct slice,
                       struct slice, void (*done)(void *cookie, enum err err, const char *why),
                       void *cookie)
{
    for (size_t i = 0; i < fake.n_rows; i++) {
        const struct store_row *r = &fake.rows[i];
        if (r->message != message || r->rcpt != rcpt)
            continue;
        fake.orders[fake.n_orders++] = (struct fake_order){what, message, rcpt};
        if (r->last.disposition == DISPOSITION_DELIVERED)
            fake_answer(done, cookie, ERR_INVALID, "it is delivered already");
        else
            fake_answer(done, cookie, ERR_OK, "");
        return;
    }
    done(cookie, ERR_GONE, "no such row");
}

static void fake_probe(void *, uint64_t, void (*done)(void *cookie, enum err err, const char *text),
                       void *cookie)
{
    fake_answer(done, cookie, ERR_OK, "It greeted as Postfix within 12 ms.");
}

static bool fake_state(void *, uint64_t, struct admin_primary_state *ret)
{
    *ret = (struct admin_primary_state){
        .p = continuity_start(1700000000000),
        .last_text = SLICE("It greeted."),
        .last_probe = 1700000001000,
        .software = SLICE("Postfix \"quoted\\\""),
    };
    return true;
}

static size_t fake_processes(void *, struct admin_process *ret, size_t max)
{
    if (max > 0)
        ret[0] = (struct admin_process){"gate", 1, 4711, 2, 1700000000000};
    return 1;
}

static void fake_refusals(void *, struct admin_refusal ret[REFUSE_N])
{
    memset(ret, 0, sizeof(ret[0]) * REFUSE_N);
    ret[REFUSE_RELAY] = (struct admin_refusal){5, 1700000000000, "192.0.2.7"};
}

static size_t fake_figures(void *, struct admin_figure *ret, size_t max)
{
    if (max > 0)
        ret[0] = (struct admin_figure){"gate/1", "sessions", 9};
    return 1;
}

static uint32_t fake_closed_for(void *)
{
    return fake.closed_for;
}

/* ---- life ---- */

static void fake_start(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.arena = arena_create(512 << 20);
    fake.explain = "";
    fake.host = (struct admin_host){
        .node = "mx1.staffetta.example",
        .version = "0.1",
        .directory = directory_create(),
        .started = 1700000000000,
        .next_id = fake_next_id,
        .put = fake_put,
        .decide = fake_decide,
        .order = fake_order,
        .probe = fake_probe,
        .state = fake_state,
        .processes = fake_processes,
        .refusals = fake_refusals,
        .figures = fake_figures,
        .closed_for = fake_closed_for,
    };
    fake.admin = admin_create(&fake.host);
}

static void fake_stop(void)
{
    admin_destroy(&fake.admin);
    directory_destroy(&fake.host.directory);
    arena_destroy(&fake.arena);
    mem_free(&fake.objects);
    mem_free(&fake.mailboxes);
}

/* ---- asking ---- */

struct fake_reply {
    unsigned n; /* answers: exactly one is right */
    uint16_t status;
    char type[100];
    struct buf body;
};

static void fake_take(void *arg, uint16_t status, const char *type, struct slice body)
{
    struct fake_reply *r = arg;
    r->n++;
    r->status = status;
    snprintf(r->type, sizeof(r->type), "%s", type);
    if (!r->body.max)
        r->body = buf_make(64 << 20);
    buf_clear(&r->body);
    buf_adds(&r->body, body);
}

/* Ask and leave the answer in `r`, which may come later. `target`: path and query. */
static void fake_send(struct fake_reply *r, const char *method, const char *target,
                      struct slice body)
{
    struct slice query, path = slice_cut(slice_str(target), '?', &query);
    struct admin_request q = {slice_str(method), path, query, body, SLICE("uid 0 (root)")};
    if (admin_place(q.method, q.path) == ADMIN_WORKER)
        admin_work(fake.admin, &fake_reader, &q, fake_take, r);
    else
        admin_loop(fake.admin, &q, fake_take, r);
}

static inline void fake_do(const char *method, const char *target, const char *body)
{
    struct fake_reply r = {};
    fake_send(&r, method, target, slice_str(body));
    must(r.n == 1 && r.status < 300);
    buf_finish(&r.body);
}

/* A company with a primary, an inline domain, two people and a group. */
static inline void fake_company(void)
{
    fake_do("POST", "/v1/tenants", "{\"name\":\"rossi\"}");
    fake_do("POST", "/v1/primaries",
            "{\"name\":\"exchange\",\"tenant\":\"rossi\",\"hosts\":[\"mail.rossi.example\"],"
            "\"networks\":[\"192.0.2.0/24\"]}");
    fake_do("POST", "/v1/domains",
            "{\"name\":\"Rossi.Example\",\"tenant\":\"rossi\",\"primary\":\"exchange\"}");
    fake_do("POST", "/v1/persons",
            "{\"address\":\"Anna@Rossi.example\",\"name\":\"Anna Rossi\","
            "\"aliases\":[\"a.rossi@rossi.example\"]}");
    fake_do("POST", "/v1/persons", "{\"address\":\"luca@rossi.example\",\"covered\":false}");
    fake_do("POST", "/v1/groups",
            "{\"address\":\"all@rossi.example\",\"members\":[\"anna@rossi.example\","
            "\"LUCA@rossi.example\",\"luca@rossi.example\"]}");
}

/* Messages with a row each: waiting, delivered (perhaps twice), held. */
static inline void fake_mail(void)
{
    uint64_t tenant = directory_find(fake.host.directory, OBJECT_TENANT, 0, SLICE("rossi"));
    uint64_t primary = directory_find(fake.host.directory, OBJECT_PRIMARY, 0, SLICE("exchange"));
    static const enum disposition fates[] = {DISPOSITION_WAITING, DISPOSITION_DELIVERED,
                                             DISPOSITION_HELD};
    for (size_t i = 0; i < 3; i++) {
        fake.messages[i] = (struct store_message){
            .facts = {.id = 1000 + i,
                      .received = 1700000000000,
                      .tenant = tenant,
                      .direction = DIRECTION_IN,
                      .mail_from = SLICE("bob@example.org"),
                      .bytes = 4000},
            .fields = {.subject = SLICE("Offer"), .message_id = SLICE("<1@example.org>")},
            .is_answered = true,
        };
        fake.rows[i] = (struct store_row){
            .message = 1000 + i,
            .tenant = tenant,
            .received = 1700000000000,
            .bytes = 4000,
            .mail_from = SLICE("bob@example.org"),
            .facts = {.address = SLICE("anna@rossi.example"), .primary = primary},
            .last = {.disposition = fates[i],
                     .attempts = 2,
                     .code = 451,
                     .text = SLICE("4.3.1 not now"),
                     .due = 1700000009000},
            .is_possible_double = i == 1,
        };
    }
    fake.rows[2].last.refusal = 1 + REFUSE_HOLD_REFUSED;
    fake.n_messages = fake.n_rows = 3;
    fake.events[0] = (struct record_event){.time = 1700000000000,
                                           .tenant = tenant,
                                           .class = EVENT_ALARM,
                                           .name = SLICE("primary.suspect"),
                                           .text = SLICE("It does not answer.")};
    fake.n_events = 1;
}

#endif
