/* A host for the tests of the room, over the fake store and queue.
 * What the host is asked to put goes into a real directory and is what the fake reader shows. */
#ifndef ADMIN_TEST_FAKE_H
#define ADMIN_TEST_FAKE_H

#include "fake_store.h"

#include <stdio.h>
#include <stdlib.h>

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
    must(alert_apply(fake.alerts, &copy, &ei) == ERR_OK);
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

static void fake_maintain(void *, uint64_t primary, utc_ms from, utc_ms until, struct slice,
                          struct slice, void (*done)(void *cookie, enum err err, const char *why),
                          void *cookie)
{
    fake.decided_about = primary;
    fake.maintained[0] = from;
    fake.maintained[1] = until;
    fake_answer(done, cookie, ERR_OK, "");
}

static bool fake_is_clock_doubted(void *, struct slice *ret_text)
{
    *ret_text = SLICE("it jumped");
    return fake.decided != EVIDENCE_CLOCK_CONFIRMED;
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

static void fake_look(void *, uint64_t domain,
                      void (*done)(void *cookie, enum err err, const char *text), void *cookie)
{
    fake.looked_at = domain;
    if (fake.look_err)
        fake_answer(done, cookie, fake.look_err, "no name could be resolved");
    else
        fake_answer(done, cookie, ERR_OK, "");
}

static void fake_make_keys(void *,
                           void (*done)(void *cookie, enum err err, const char *why,
                                        const struct admin_key keys[2]),
                           void *cookie)
{
    char rsa[420] = "v=DKIM1; k=rsa; p=";
    memset(rsa + strlen(rsa), 'A', 400);
    rsa[418] = '\0';
    const struct admin_key keys[2] = {{slice_str(rsa), SLICE("secret one")},
                                      {SLICE("v=DKIM1; k=ed25519; p=BBBB"), SLICE("secret two")}};
    bool is_failing = fake.look_err;
    done(cookie, is_failing ? ERR_IO : ERR_OK, is_failing ? "the generator failed" : "", keys);
}

static void fake_watches(void *, void (*each)(void *cookie, const struct admin_watch *w),
                         void *cookie)
{
    for (size_t i = 0; i < fake.n_watches; i++)
        each(cookie, &fake.watches[i]);
}

static void fake_again(void *, const struct admin_again_order *o,
                       void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    fake.again = (struct admin_again){.is_running = true, .is_dry = o->is_dry, .since = o->since};
    done(cookie, fake.n_again++ == 0 ? ERR_OK : ERR_CONFLICT, "it runs already");
}

/* One change, whoever asks. */
static void fake_mailback(void *, const struct admin_mailback_order *o,
                          void (*done)(void *cookie, enum err err,
                                       const struct admin_mailback *told, const char *why),
                          void *cookie)
{
    bool is_dry = o->what == ADMIN_MAILBACK_DRY;
    bool is_refused = fake.mailback_why && o->what != ADMIN_MAILBACK_SHOW;
    struct admin_mailback_change change = {.message = 77,
                                           .what = "flags",
                                           .result = is_dry ? "would" : "waiting",
                                           .subject = SLICE("hello")};
    struct admin_mailback m = {.is_dry = is_dry,
                               .n_done = 3,
                               .n_waiting = 1,
                               .changes = &change,
                               .n_changes = 1,
                               .text = fake.mailback_why};
    done(cookie, is_refused ? ERR_CONFLICT : ERR_OK, is_refused ? NULL : &m,
         is_refused ? fake.mailback_why : "");
}

static void fake_again_stop(void *, const struct admin_again_order *,
                            void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    bool was_running = fake.again.is_running;
    fake.again.is_running = false;
    done(cookie, was_running ? ERR_OK : ERR_CONFLICT, "nothing is being given again");
}

static bool fake_again_state(void *, uint64_t, struct admin_again *ret)
{
    *ret = fake.again;
    return fake.n_again > 0;
}

static void fake_way_back(void *, uint64_t, struct slice from,
                          void (*done)(void *cookie, enum err err,
                                       const struct admin_check rows[CHECK_N]),
                          void *cookie)
{
    struct admin_check rows[CHECK_N] = {
        [CHECK_CONNECT] = {CHECK_WELL, "It greeted as expected."},
        [CHECK_TAKES] = {CHECK_FAILED, "550 5.7.1"},
    };
    snprintf(rows[CHECK_ARRIVES].text, sizeof(rows[0].text), SLICE_FMT, SLICE_ARG(from));
    if (!fake.is_late) /* else it lasts longer than the test */
        done(cookie, ERR_OK, rows);
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

static bool fake_progress(void *, uint64_t, struct admin_progress *ret)
{
    *ret = (struct admin_progress){
        .done = 30, .total = 100, .per_second_1000 = 2500, .remaining_seconds = 29};
    return fake.is_returning;
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
    ret[REFUSE_RELAY] =
        (struct admin_refusal){.n = 5, .n_ever = 12, .last = 1700000000000, .who = "192.0.2.7"};
}

static size_t fake_figures(void *, struct admin_figure *ret, size_t max)
{
    if (max > 0)
        ret[0] = (struct admin_figure){"gate/1", "sessions", 9};
    return 1;
}

static uint32_t fake_disk_alarm_percent(void *)
{
    return 35;
}

static void fake_search(void *, struct admin_search *ret)
{
    *ret = fake.search;
}

static uint32_t fake_closed_for(void *)
{
    return fake.closed_for;
}

/* ---- incidents and targets: a real book whose words go nowhere ---- */

static struct slice fake_tenant_name(void *, uint64_t)
{
    return SLICE("rossi");
}

static void fake_write(void *, const struct record_objects *, uint64_t)
{
}

static bool fake_send_alert(void *, enum alert_kind, const struct alert_sending *)
{
    return true;
}

static void fake_tell(void *, enum event_class, const char *, uint64_t, struct slice, struct slice)
{
}

static void fake_incident_take(void *, uint64_t incident, struct slice by, struct slice why,
                               void (*done)(void *cookie, enum err err, const char *why),
                               void *cookie)
{
    uint64_t ticket;
    struct errinfo ei;
    struct alert_taker who = {by, why};
    enum err err = alert_take(fake.alerts, incident, who, 1700000002000, &ticket, &ei);
    fake_answer(done, cookie, err, "");
}

static void fake_alert_test(void *, uint64_t,
                            void (*done)(void *cookie, enum err err, const char *text),
                            void *cookie)
{
    fake_answer(done, cookie, ERR_IO, "503: not now");
}

static void fake_login(void *, const struct admin_login_order *order,
                       void (*done)(void *cookie, enum err err, const char *text), void *cookie)
{
    static const char *const made[] = {[ADMIN_LOGIN_PASSWORD] = "abcde-fghij-klmno-pqrst",
                                       [ADMIN_LOGIN_CODE] = "1234 5678",
                                       [ADMIN_LOGIN_TOKEN_ADD] = "sta_abc",
                                       [ADMIN_LOGIN_TOKEN_REMOVE] = "",
                                       [ADMIN_LOGIN_END] = ""};
    snprintf(fake.login, sizeof(fake.login), "%d %llu " SLICE_FMT, (int)order->what,
             (unsigned long long)order->token, SLICE_ARG(order->text));
    if (order->what == ADMIN_LOGIN_PASSWORD && order->text.n > 0 && order->text.n < 10)
        fake_answer(done, cookie, ERR_INVALID, "this cannot be a password: it is too short");
    else
        fake_answer(done, cookie, ERR_OK,
                    order->what == ADMIN_LOGIN_PASSWORD && order->text.n ? "" : made[order->what]);
}

static struct admin_login fake_login_state(void *, uint64_t)
{
    return (struct admin_login){.has_password = true,
                                .password_at = 1700000000000,
                                .code_until = 1700000900000,
                                .n_sessions = 3,
                                .n_apps = 1};
}

static bool fake_login_next_token(void *, uint64_t, size_t *at, struct admin_login_token *ret)
{
    static const struct admin_login_token tokens[] = {
        {7, false, {"Phone", 5}, 1700000000000, 0, 0},
        {9, true, {"Firefox", 7}, 1700000000000, 1702592000000, 1700006400000}};
    if (*at >= 2)
        return false;
    *ret = tokens[(*at)++];
    return true;
}

static struct alert_book *fake_book(void)
{
    struct alert_options o = {.node = "mx1.staffetta.example",
                              .next_id = fake_next_id,
                              .tenant_name = fake_tenant_name,
                              .write = fake_write,
                              .send = fake_send_alert,
                              .tell = fake_tell};
    return alert_create(&o);
}

/* ---- life ---- */

static void fake_start(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.arena = arena_create(512 << 20);
    fake.explain = "";
    fake.alerts = fake_book();
    fake.host = (struct admin_host){
        .node = "mx1.staffetta.example",
        .version = "0.1",
        .directory = directory_create(),
        .started = 1700000000000,
        .next_id = fake_next_id,
        .put = fake_put,
        .decide = fake_decide,
        .maintain = fake_maintain,
        .is_clock_doubted = fake_is_clock_doubted,
        .order = fake_order,
        .check = fake_way_back,
        .again = fake_again,
        .again_stop = fake_again_stop,
        .again_state = fake_again_state,
        .mailback = fake_mailback,
        .look = fake_look,
        .make_keys = fake_make_keys,
        .watches = fake_watches,
        .state = fake_state,
        .progress = fake_progress,
        .processes = fake_processes,
        .refusals = fake_refusals,
        .figures = fake_figures,
        .closed_for = fake_closed_for,
        .disk_alarm_percent = fake_disk_alarm_percent,
        .search = fake_search,
        .alerts = fake.alerts,
        .incident_take = fake_incident_take,
        .alert_test = fake_alert_test,
        .login = fake_login,
        .login_state = fake_login_state,
        .login_next_token = fake_login_next_token,
    };
    fake.admin = admin_create(&fake.host);
}

static void fake_stop(void)
{
    admin_destroy(&fake.admin);
    alert_destroy(&fake.alerts);
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
