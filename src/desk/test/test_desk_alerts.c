/* Alerts on their way out of core: webhooks over the liaison's link, mail over our own queue, and
 * what a start, a death of the liaison or a newer word does to them. */
#include "desk_kit.h"

#include "alert/alert.h"

enum { HOOK = 501, POST = 502 };

static void add_target(uint64_t id, enum alert_kind kind, uint64_t tenant)
{
    struct kit_objects all = {.n = 0};
    struct alert_target_body f = {.name = kind == ALERT_MAIL ? SLICE("post") : SLICE("hook"),
                                  .kind = (uint8_t)kind,
                                  .url = SLICE("https://hooks.example/in"),
                                  .secret = SLICE("whsec"),
                                  .address = SLICE("luca@elsewhere.example"),
                                  .least = EVENT_NOTICE};
    alert_target_body_pack(kit_object(&all, OBJECT_TARGET, id, tenant, "target"), &f);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void remove_target(uint64_t id)
{
    struct kit_objects all = {.n = 0};
    (void)kit_object(&all, OBJECT_TARGET, id, 0, "target");
    all.list[0].is_removed = 1;
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

/* The next webhook that leaves core; its body is kept. */
static struct {
    uint64_t tag;
    char id[64], body[20000];
} hook;

static void take_hook(void)
{
    struct kit_frame f = {0};
    struct ipc_hook h;
    kit_expect(kit->liaison, IPC_T_hook, &f);
    assert_true(ipc_hook_unpack(f.payload, NULL, &h));
    assert_true(slice_eq(h.url, SLICE("https://hooks.example/in")));
    assert_true(slice_eq(h.secret, SLICE("whsec")));
    hook.tag = f.tag;
    snprintf(hook.id, sizeof(hook.id), SLICE_FMT, SLICE_ARG(h.id));
    assert_true(h.body.n < sizeof(hook.body));
    memcpy(hook.body, h.body.p, h.body.n);
    hook.body[h.body.n] = '\0';
    kit_frame_free(&f);
}

static void answer_hook(uint16_t status)
{
    struct ipc_hooked h = {.status = status, .text = SLICE("as the test says"), .took_ms = 3};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_hooked_pack(&b, &h);
    kit_put(kit->liaison, IPC_T_hooked, hook.tag, &b);
}

static void expect_no_hook(void)
{
    struct kit_frame f = {0};
    while (kit_get(kit->liaison, &f, KIT_QUIET_MS))
        if (f.type == IPC_T_hook)
            fail_msg("a webhook left");
    kit_frame_free(&f);
}

static void says(const char *part)
{
    if (!strstr(hook.body, part))
        fail_msg("%s is missing in %s", part, hook.body);
}

static void begin(void)
{
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
}

struct look {
    uint64_t tenant;
    const char *key;
    bool is_there, is_open;
    uint32_t n_updates, told;
    char answer[400], happened[1001];
};

static void look_now(void *arg)
{
    struct look *l = arg;
    const struct alert_book *b = kit_admin->host.alerts;
    const struct alert_incident *i = alert_find(b, l->tenant, slice_str(l->key));
    l->is_there = i;
    if (!i)
        return;
    size_t at = 0;
    const struct alert_outbox *x = alert_next_outbox(b, i->id, &at);
    l->is_open = i->body.closed == 0;
    l->n_updates = i->body.n_updates;
    l->told = x ? x->body.told : 0;
    snprintf(l->answer, sizeof(l->answer), SLICE_FMT, SLICE_ARG(x ? x->body.answer : SLICE("")));
    snprintf(l->happened, sizeof(l->happened), SLICE_FMT,
             SLICE_ARG(i->body.updates[i->body.n_updates - 1].happened));
}

static struct look look_at(uint64_t tenant, const char *key)
{
    struct look l = {.tenant = tenant, .key = key};
    kit_on_loop(look_now, &l);
    return l;
}

static const char *primary_key(void)
{
    static char key[40];
    snprintf(key, sizeof(key), "primary/%x", KIT_PRIMARY);
    return key;
}

static struct look await_told(uint32_t told)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    for (;;) {
        struct look l = look_at(KIT_TENANT, primary_key());
        if (l.told == told)
            return l;
        if (mono_now() > until)
            fail_msg("told %u, not %u", l.told, told);
        usleep(2000);
    }
}

/* ---- webhooks ---- */

static void an_emergency_and_its_end_are_told_in_order(void **)
{
    begin();
    add_target(HOOK, ALERT_WEBHOOK, KIT_TENANT);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    take_hook();
    says("\"name\":\"primary.emergency\"");
    says("\"class\":\"alarm\"");
    says("\"state\":\"open\"");
    says("\"tenant\":\"rossi\"");
    says("\"subject\":\"exchange\"");
    says("\"by\":\"luca\"");
    says("\"update\":1");
    expect_no_hook(); /* one at a time */
    answer_hook(200);
    struct look l = await_told(1);
    assert_string_equal(l.answer, "as the test says");
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_RETURN), ERR_OK);
    take_hook();
    says("\"state\":\"over\""); /* nothing waited: it is given back already */
    says("is well");
    answer_hook(204);
    l = await_told(3);
    assert_false(l.is_open);
    expect_no_hook();
}

static void a_start_sends_what_has_no_answer_under_the_same_id(void **)
{
    char id[64];
    begin();
    add_target(HOOK, ALERT_WEBHOOK, 0);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    take_hook();
    snprintf(id, sizeof(id), "%s", hook.id);
    kit_restart();
    kit->liaison = kit_link(IPC_LIAISON, 1);
    take_hook();
    assert_string_equal(hook.id, id);
    answer_hook(200);
    (void)await_told(1);
    kit_restart();
    kit->liaison = kit_link(IPC_LIAISON, 1);
    expect_no_hook();
}

/* The process that sends outlives core: its answer may be to what an earlier core sent. */
static void an_answer_from_before_a_start_is_nobodys(void **)
{
    begin();
    add_target(HOOK, ALERT_WEBHOOK, KIT_TENANT);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    take_hook();
    uint64_t before = hook.tag;
    kit_restart();
    kit->liaison = kit_link(IPC_LIAISON, 1);
    take_hook();
    uint64_t now = hook.tag;
    for (hook.tag = before; hook.tag < before + 5; hook.tag++)
        answer_hook(200); /* to that one, and what it sent next */
    usleep(50000);
    assert_int_equal(look_at(KIT_TENANT, primary_key()).told, 0);
    hook.tag = now;
    answer_hook(200);
    (void)await_told(1);
}

static void a_liaison_that_dies_costs_no_word(void **)
{
    char id[64];
    begin();
    add_target(HOOK, ALERT_WEBHOOK, 0);
    fd_close(&kit->liaison);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    take_hook();
    snprintf(id, sizeof(id), "%s", hook.id);
    fd_close(&kit->liaison);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    take_hook();
    assert_string_equal(hook.id, id);
    answer_hook(500);
    usleep(100000);
    take_hook(); /* a second later */
    assert_string_equal(hook.id, id);
    answer_hook(200);
    (void)await_told(1);
}

static void without_its_target_nothing_leaves(void **)
{
    begin();
    add_target(HOOK, ALERT_WEBHOOK, 0);
    remove_target(HOOK);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    expect_no_hook();
    assert_true(look_at(KIT_TENANT, primary_key()).is_open);
    kit_restart();
    assert_true(look_at(KIT_TENANT, primary_key()).is_open);
}

static void nonsense_about_webhooks_ends_the_link(void **)
{
    begin();
    kit_put_raw(kit->liaison, IPC_T_hooked, 0, 5, SLICE("x"));
    assert_true(kit_is_closed(kit->liaison));
    assert_int_equal(kit_count_nonsense(), 1);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    hook.tag = 77; /* an answer that nobody asked for is only late */
    answer_hook(200);
    usleep(20000);
    assert_int_equal(kit_count_nonsense(), 1);
}

/* ---- tests by hand ---- */

static struct {
    enum err err;
    char text[300];
    bool is_done;
} tested;

static void test_done(void *, enum err err, const char *text)
{
    pthread_mutex_lock(&kit->lock);
    tested.err = err;
    snprintf(tested.text, sizeof(tested.text), "%s", text);
    tested.is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void test_now(void *arg)
{
    const uint64_t *id = arg;
    kit_admin->host.alert_test(kit_admin->host.arg, *id, test_done, NULL);
}

static void begin_test(uint64_t id)
{
    tested.is_done = false;
    kit_on_loop(test_now, &id);
}

static void await_test(void)
{
    pthread_mutex_lock(&kit->lock);
    while (!tested.is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

static void a_test_says_what_the_target_answered(void **)
{
    begin();
    add_target(HOOK, ALERT_WEBHOOK, 0);
    add_target(POST, ALERT_MAIL, 0);
    begin_test(HOOK);
    take_hook();
    says("\"state\":\"test\"");
    answer_hook(403);
    await_test();
    assert_int_equal(tested.err, ERR_IO);
    assert_string_equal(tested.text, "as the test says");
    begin_test(HOOK);
    take_hook();
    fd_close(&kit->liaison);
    await_test();
    assert_int_equal(tested.err, ERR_IO);
    begin_test(HOOK);
    await_test();
    assert_int_equal(tested.err, ERR_RETRY);
    begin_test(POST);
    await_test();
    assert_int_equal(tested.err, ERR_OK);
    assert_non_null(strstr(tested.text, "in our own queue as "));
    begin_test(12345);
    await_test();
    assert_int_equal(tested.err, ERR_GONE);
}

/* ---- mail ---- */

static void mail_goes_by_our_own_courier_and_a_newer_word_replaces_it(void **)
{
    struct kit_job first;
    begin();
    add_target(POST, ALERT_MAIL, KIT_TENANT);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    kit_job(&first);
    assert_true(slice_eq(first.job.domain, SLICE("elsewhere.example")));
    assert_int_equal(first.job.mail_from.n, 0);
    const char *raw = buf_cstr(&first.content);
    assert_non_null(strstr(raw, "\r\nAuto-Submitted: auto-generated\r\n"));
    assert_non_null(strstr(raw, "\r\nSubject: [alarm] exchange (primary.emergency)\r\n"));
    assert_non_null(strstr(raw, "From: Staffetta <alert@mx1.staffetta.example>\r\n"));
    struct look l = await_told(1);
    assert_non_null(strstr(l.answer, "in our own queue as "));
    uint64_t message = first.job.message;
    kit_result(&first, kit_silent); /* that domain is away: it waits */
    kit_await(message, 0, DISPOSITION_WAITING);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_RETURN), ERR_OK);
    (void)await_told(3);
    kit_await(message, 0, DISPOSITION_REMOVED);
    kit_check_sums();
    kit_job_free(&first);
}

/* ---- limits ---- */

static void refuse_by(enum refuse_id id, uint64_t n, const char *who)
{
    struct ipc_refusal one = {.id = id, .n = n, .who = slice_str(who)};
    struct ipc_refusals all = {&one, 1};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_refusals_pack(&b, &all);
    kit_put(kit->gate, IPC_T_refusals, 0, &b);
}

static void refuse_some(enum refuse_id id, uint64_t n)
{
    refuse_by(id, n, "192.0.2.7");
}

static void an_alert_that_is_refused_causes_no_other(void **)
{
    begin();
    add_target(HOOK, ALERT_WEBHOOK, 0);
    add_target(POST, ALERT_MAIL, 0);
    refuse_by(REFUSE_HOLD_REFUSED, 1, "Elsewhere.example");
    kit_await_event("queue.hold-refused");
    assert_false(look_at(0, "limit/queue.hold-refused").is_there);
    expect_no_hook();
    kit_restart(); /* as if an hour had passed: it begins anew */
    kit->liaison = kit_link(IPC_LIAISON, 1);
    refuse_by(REFUSE_HOLD_REFUSED, 1, "mx.other.example");
    take_hook();
    says("\"name\":\"queue.hold-refused\"");
}

static void a_limit_that_begins_to_block_is_an_incident_once(void **)
{
    begin();
    add_target(HOOK, ALERT_WEBHOOK, 0);
    refuse_some(REFUSE_CONN_ADDRESS, 3);
    take_hook();
    says("\"name\":\"smtp.connections-per-address\"");
    says("\"class\":\"notice\"");
    says("Refused 3 times, last 192.0.2.7.");
    says("The limit is 50 connections (");
    answer_hook(200);
    refuse_some(REFUSE_CONN_ADDRESS, 500);
    refuse_some(REFUSE_SYNTAX, 5); /* the peer's fault: counted only */
    refuse_some(REFUSE_CONN_TOTAL, 1);
    take_hook();
    says("\"name\":\"smtp.connections\"");
    says("\"class\":\"alarm\"");
    answer_hook(200);
    expect_no_hook();
    struct look l = look_at(0, "limit/smtp.connections-per-address");
    assert_true(l.is_there && l.is_open);
    assert_int_equal(l.n_updates, 1); /* counts at most every ten minutes */
    assert_false(look_at(0, "limit/smtp.syntax").is_there);
    kit_restart(); /* what was told is not told again */
    kit->liaison = kit_link(IPC_LIAISON, 1);
    refuse_some(REFUSE_CONN_ADDRESS, 1);
    expect_no_hook();
}

static void a_disk_that_fills_is_told_and_so_is_its_end(void **)
{
    begin();
    add_target(HOOK, ALERT_WEBHOOK, 0);
    disk_set(false, true);
    bool has_disk = false, has_mail = false;
    for (int i = 0; i < 2; i++) {
        take_hook();
        has_disk = has_disk || strstr(hook.body, "\"name\":\"disk.low\"");
        has_mail = has_mail || strstr(hook.body, "\"name\":\"mail.closed\"");
        answer_hook(200);
    }
    assert_true(has_disk && has_mail);
    disk_set(false, false);
    for (int i = 0; i < 2; i++) {
        take_hook();
        says("\"state\":\"over\"");
        answer_hook(200);
    }
    expect_no_hook();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_emergency_and_its_end_are_told_in_order),
        TEST(a_start_sends_what_has_no_answer_under_the_same_id),
        TEST(an_answer_from_before_a_start_is_nobodys),
        TEST(a_liaison_that_dies_costs_no_word),
        TEST(without_its_target_nothing_leaves),
        TEST(nonsense_about_webhooks_ends_the_link),
        TEST(a_test_says_what_the_target_answered),
        TEST(mail_goes_by_our_own_courier_and_a_newer_word_replaces_it),
        TEST(a_limit_that_begins_to_block_is_an_incident_once),
        TEST(an_alert_that_is_refused_causes_no_other),
        TEST(a_disk_that_fills_is_told_and_so_is_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
