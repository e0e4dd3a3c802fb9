/* Trying the way back: each look has an answer or an end in words, and only its own answer counts.
 */
#include "desk_kit.h"

struct check {
    enum err err;
    struct admin_check rows[CHECK_N];
    bool is_done; /* under the kit's lock */
};

static void checked(void *cookie, enum err err, const struct admin_check rows[CHECK_N])
{
    struct check *c = cookie;
    pthread_mutex_lock(&kit->lock);
    c->err = err;
    memcpy(c->rows, rows, sizeof(c->rows));
    c->is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void check_now(void *arg)
{
    kit_admin->host.check(kit_admin->host.arg, KIT_PRIMARY, SLICE("strict@outside.test"), checked,
                          arg);
}

static void wait_for_it(struct check *c)
{
    pthread_mutex_lock(&kit->lock);
    while (!c->is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

static void found_company(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_host host = {SLICE("127.0.0.1"), 1143};
    struct dir_access access = {.hosts = &host,
                                .n_hosts = 1,
                                .tls = DIR_TLS_NEVER,
                                .canary = SLICE("luca@example.test"),
                                .user = SLICE("luca"),
                                .secret = SLICE("secret"),
                                .master_user = SLICE("%s*admin"),
                                .master_secret = SLICE("secret")};
    kit_found((struct kit_company){0});
    dir_access_pack(kit_object(&all, OBJECT_ACCESS, KIT_PRIMARY, KIT_TENANT, "exchange"), &access);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    kit->liaison = kit_link(IPC_LIAISON, 1);
}

static utc_ms cert_until; /* of the mail system's certificate */

/* Every probe of the company is answered until this one asks for a look of a check; its tag. */
static uint64_t next_look(enum ipc_look want, const char *user)
{
    struct kit_frame f = {0};
    struct arena *a = arena_create(1 << 20);
    uint64_t tag = 0;
    while (tag == 0) {
        if (!kit_get(kit->liaison, &f, KIT_WAIT_MS))
            fail_msg("no look came");
        struct ipc_observed o = {
            .primary = f.tag, .phase = SMTP_PHASE_DOT, .code = 250, .cert_until = cert_until};
        struct ipc_mailbox_look look;
        SCOPED(buf_finish) struct buf b = buf_make(2000);
        ipc_observed_pack(&b, &o);
        arena_reset(a);
        if (f.type == IPC_T_probe)
            kit_put(kit->liaison, IPC_T_observed, f.tag, &b);
        if (f.type != IPC_T_mailbox_look || !(f.tag >> 63))
            continue; /* those of the desk itself */
        assert_true(ipc_mailbox_look_unpack(f.payload, a, &look));
        assert_int_equal(look.what, want);
        assert_true(slice_eq(look.server[0].user, slice_str(user)));
        tag = f.tag;
    }
    kit_frame_free(&f);
    arena_destroy(&a);
    return tag;
}

static void see(uint64_t tag, enum ipc_look what, uint64_t primary)
{
    struct ipc_mailbox_seen s = {.primary = primary, .what = (uint8_t)what, .is_well = 1};
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    ipc_mailbox_seen_pack(&b, &s);
    kit_put(kit->liaison, IPC_T_mailbox_seen, tag, &b);
}

static void a_look_without_an_answer_ends_in_words_and_the_next_one_begins(void **)
{
    struct check c = {};
    found_company();
    kit_on_loop(check_now, &c);
    uint64_t first = next_look(IPC_LOOK_LOGIN, "luca");
    usleep(20000);
    kit_let_pass(51);
    uint64_t second = next_look(IPC_LOOK_LOGIN, "luca@example.test*admin");
    assert_true(first != second);
    see(first, IPC_LOOK_LOGIN, KIT_PRIMARY); /* too late: it is not the second one's */
    usleep(20000);
    kit_let_pass(51);
    (void)next_look(IPC_LOOK_CANARY, "luca");
    usleep(20000);
    kit_let_pass(121);
    wait_for_it(&c);
    assert_int_equal(c.err, ERR_OK);
    assert_int_equal(c.rows[CHECK_CONNECT].result, CHECK_WELL);
    static const enum admin_check_id unanswered[] = {CHECK_LOGIN, CHECK_MASTER, CHECK_TAKES,
                                                     CHECK_ARRIVES};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(c.rows[unanswered[i]].result, CHECK_NOT_TRIED);
        assert_string_equal(c.rows[unanswered[i]].text, "our probing process gave no answer");
    }
    assert_int_equal(kit_count_nonsense(), 0);
    kit_end_of_waiting();
}

static void each_look_gets_its_own_answer(void **)
{
    struct check c = {};
    found_company();
    kit_on_loop(check_now, &c);
    see(next_look(IPC_LOOK_LOGIN, "luca"), IPC_LOOK_LOGIN, KIT_PRIMARY);
    see(next_look(IPC_LOOK_LOGIN, "luca@example.test*admin"), IPC_LOOK_LOGIN, KIT_PRIMARY);
    see(next_look(IPC_LOOK_CANARY, "luca"), IPC_LOOK_CANARY, KIT_PRIMARY);
    wait_for_it(&c);
    for (size_t i = 0; i < CHECK_N; i++)
        assert_int_equal(c.rows[i].result, CHECK_WELL);
}

static void a_certificate_that_ended_before_time_began_has_ended(void **)
{
    static const struct {
        utc_ms until;
        const char *days;
    } rows[] = {{INT64_MIN, " ends in -2"}, {-1, " ends in -2"}, {INT64_MAX, " ends in 29"}};
    found_company();
    for (size_t i = 0; i < 3; i++) {
        struct check c = {};
        cert_until = rows[i].until;
        kit_on_loop(check_now, &c);
        (void)next_look(IPC_LOOK_LOGIN, "luca");
        fd_close(&kit->liaison);
        wait_for_it(&c);
        if (!strstr(c.rows[CHECK_TLS].text, rows[i].days))
            fail_msg("%s", c.rows[CHECK_TLS].text);
        kit->liaison = kit_link(IPC_LIAISON, 1);
    }
    cert_until = 0;
}

static void an_answer_about_something_else_is_nonsense(void **)
{
    static const struct {
        enum ipc_look what;
        uint64_t primary;
    } rows[] = {{IPC_LOOK_CANARY, KIT_PRIMARY}, {IPC_LOOK_LOGIN, KIT_OTHER_PRIMARY}};
    found_company();
    for (size_t i = 0; i < 2; i++) {
        struct check c = {};
        fd_close(&kit->liaison);
        kit->liaison = kit_link(IPC_LIAISON, 1);
        kit_on_loop(check_now, &c);
        see(next_look(IPC_LOOK_LOGIN, "luca"), rows[i].what, rows[i].primary);
        wait_for_it(&c);
        assert_int_equal(c.rows[CHECK_LOGIN].result, CHECK_NOT_TRIED);
        kit_await_nonsense((unsigned)i + 1);
    }
}

static void who_waits_for_a_primary_that_is_removed_is_told(void **)
{
    struct check c = {};
    struct kit_objects all = {.n = 0};
    found_company();
    (void)kit_object(&all, OBJECT_DOMAIN, KIT_DOMAIN, KIT_TENANT, "example.test");
    (void)kit_object(&all, OBJECT_PRIMARY, KIT_PRIMARY, KIT_TENANT, "exchange");
    all.list[0].is_removed = all.list[1].is_removed = true;
    kit_on_loop(check_now, &c);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    wait_for_it(&c);
    assert_int_equal(c.err, ERR_GONE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_look_without_an_answer_ends_in_words_and_the_next_one_begins),
        TEST(each_look_gets_its_own_answer),
        TEST(a_certificate_that_ended_before_time_began_has_ended),
        TEST(an_answer_about_something_else_is_nonsense),
        TEST(who_waits_for_a_primary_that_is_removed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
