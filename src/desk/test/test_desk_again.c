/* Giving again what a primary has lost: what is asked of its mailboxes, what the answers do, and
 * what happens when no answer comes. The test plays the process that looks. */
#include "desk_kit.h"

/* ---- the company's mailboxes ---- */

static void let_us_look(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_host host = {SLICE("127.0.0.1"), 1143};
    struct dir_access access = {.hosts = &host,
                                .n_hosts = 1,
                                .tls = DIR_TLS_NEVER,
                                .master_user = SLICE("%s*admin"),
                                .master_secret = SLICE("secret")};
    dir_access_pack(kit_object(&all, OBJECT_ACCESS, KIT_PRIMARY, KIT_TENANT, "exchange"), &access);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void found_company(void **)
{
    kit_found((struct kit_company){0});
    let_us_look();
    kit->liaison = kit_link(IPC_LIAISON, 1);
}

/* Delivered to this person, with this Message-ID. */
static uint64_t delivered(const char *rcpt, const char *id)
{
    uint64_t message = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {rcpt}, .message_id = id});
    kit_end_job(kit_good);
    kit_await(message, 0, DISPOSITION_DELIVERED);
    return message;
}

/* So many to Anna, with ids as long as they can be. */
static void delivered_long(size_t n)
{
    enum { LONG = 998, MOST = 500 };
    uint64_t tags[MOST], messages[MOST];
    char id[LONG + 1];
    memset(id, 'x', LONG);
    id[LONG] = '\0';
    for (size_t i = 0; i < n; i++) {
        id[snprintf(id, sizeof(id), "%zu@", i)] = 'x';
        tags[i] = kit_send(kit->gate,
                           &(struct kit_mail){.rcpts = {"anna@example.test"}, .message_id = id});
    }
    for (size_t i = 0; i < n; i++)
        messages[i] = kit_taken(kit->gate, tags[i]).message;
    for (size_t i = 0; i < n; i++)
        kit_end_job(kit_good);
    for (size_t i = 0; i < n; i++)
        kit_await(messages[i], 0, DISPOSITION_DELIVERED);
}

/* ---- orders ---- */

struct order {
    utc_ms since;
    bool is_dry, is_taken;
    const char *why_not;
    struct admin_again told;
};

static void begin_now(void *arg)
{
    struct order *o = arg;
    struct slice by = SLICE("luca"), why = SLICE("the disk died");
    o->is_taken = kit_admin->host.again(kit_admin->host.arg, KIT_PRIMARY, o->since, o->is_dry, by,
                                        why, &o->why_not);
}

static void begin(utc_ms since)
{
    struct order o = {.since = since};
    kit_on_loop(begin_now, &o);
    assert_true(o.is_taken);
}

static void read_told(void *arg)
{
    struct order *o = arg;
    assert_true(kit_admin->host.again_state(kit_admin->host.arg, KIT_PRIMARY, &o->told));
}

static struct admin_again told(void)
{
    struct order o = {};
    kit_on_loop(read_told, &o);
    return o.told;
}

static struct admin_again ended(void)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    struct admin_again t;
    while ((t = told()).is_running) {
        if (mono_now() > until)
            fail_msg("it goes on: %s", t.text);
        usleep(2000);
    }
    return t;
}

/* ---- looks ---- */

struct look {
    uint64_t tag;
    struct ipc_mailbox_has has;
    struct arena *arena;
};

static struct look next_look(void)
{
    struct kit_frame f = {0};
    struct look l = {.arena = arena_create(4 << 20)};
    kit_expect(kit->liaison, IPC_T_mailbox_has, &f);
    l.tag = f.tag;
    assert_true(ipc_mailbox_has_unpack(arena_copy(l.arena, f.payload), l.arena, &l.has));
    kit_frame_free(&f);
    return l;
}

/* The same for each id. */
static void answer_with(struct look *l, enum ipc_has has, uint32_t n_folders)
{
    static struct ipc_mailbox_fact facts[500];
    struct ipc_mailbox_has_told t = {.primary = l->has.primary,
                                     .is_well = has != IPC_HAS_UNSURE,
                                     .n_folders = n_folders,
                                     .facts = facts,
                                     .n_facts = l->has.n_ids};
    for (uint32_t i = 0; i < t.n_facts; i++)
        facts[i].has = (uint8_t)has;
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_mailbox_has_told_pack(&b, &t);
    kit_put(kit->liaison, IPC_T_mailbox_has_told, l->tag, &b);
    arena_destroy(&l->arena);
}

static void answer(struct look *l, enum ipc_has has)
{
    answer_with(l, has, 3);
}

/* ---- what is asked ---- */

static void an_id_is_looked_for_with_its_brackets(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "7@outside.test");
    begin(0);
    struct look l = next_look();
    assert_int_equal(l.has.n_ids, 1);
    assert_true(slice_eq(l.has.ids[0].id, SLICE("<7@outside.test>")));
    assert_true(slice_eq(l.has.server[0].user, SLICE("anna@example.test*admin")));
    answer(&l, IPC_HAS_FOUND);
    assert_int_equal(ended().n_present, 1);
}

static void long_ids_are_asked_for_in_portions_that_fit_into_a_frame(void **state)
{
    enum { N = 280, LEAST = 100, MOST = 131 };
    uint32_t n = 0;
    found_company(state);
    delivered_long(N);
    begin(0);
    while (n < N) {
        struct look l = next_look();
        uint32_t left = N - n;
        assert_in_range(l.has.n_ids, left < LEAST ? left : LEAST, MOST);
        n += l.has.n_ids;
        answer(&l, IPC_HAS_FOUND);
    }
    assert_int_equal(ended().n_present, N);
}

/* ---- what becomes of the answers ---- */

static void what_is_absent_is_given_again_once(void **state)
{
    found_company(state);
    uint64_t lost = delivered("anna@example.test", "lost@outside.test");
    begin(0);
    struct look l = next_look(), same = {.tag = l.tag, .has = l.has, .arena = arena_create(1)};
    disk_set(true, false);
    answer(&l, IPC_HAS_ABSENT);
    disk_wait_for_sync(); /* the decision is being written: nobody asked anything */
    answer(&same, IPC_HAS_ABSENT);
    usleep(50000);
    disk_set(false, false);
    struct admin_again t = ended();
    assert_int_equal(t.n_looked, 1);
    assert_int_equal(t.n_absent, 1);
    assert_int_equal(t.n_given, 1);
    assert_true(t.is_whole);
    kit_end_job(kit_good);
    kit_await(lost, 0, DISPOSITION_DELIVERED);
    assert_int_equal(kit_count_nonsense(), 0);
}

static void an_answer_of_another_length_is_nonsense(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "lost@outside.test");
    begin(0);
    struct look l = next_look();
    l.has.n_ids = 2;
    answer(&l, IPC_HAS_ABSENT);
    assert_true(kit_is_closed(kit->liaison));
    assert_int_equal(kit_count_nonsense(), 1);
    assert_int_equal(told().n_looked, 0);
}

/* What the store had put off in that time goes with the next thing that cannot wait. */
static void end_of_waiting(void)
{
    kit_later = 0;
    let_us_look();
}

static void an_answer_that_never_comes_is_told_in_words(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "7@outside.test");
    begin(0);
    struct look l = next_look();
    kit_let_pass(230);
    usleep(300000);
    assert_true(told().is_running);
    kit_let_pass(15);
    struct admin_again t = ended();
    assert_non_null(strstr(t.text, "gave no answer"));
    assert_false(t.is_whole);
    answer(&l, IPC_HAS_ABSENT); /* too late */
    usleep(20000);
    assert_int_equal(told().n_looked, 0);
    kit_expect_quiet(kit->courier);
    end_of_waiting();
}

/* Links us again after this long, as seen by the desk's clock. */
static void liaison_dies(time_t seconds)
{
    fd_close(&kit->liaison);
    usleep(20000);
    kit_let_pass(seconds);
    kit->liaison = kit_link(IPC_LIAISON, 1);
}

static void who_dies_is_asked_again_and_not_for_ever(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "a@outside.test");
    (void)delivered("luca@example.test", "b@outside.test");
    begin(0);
    uint64_t tag = 0;
    for (int i = 0; i < 3; i++) {
        struct look l = next_look();
        assert_true(slice_eq(l.has.ids[0].id, SLICE("<a@outside.test>")));
        assert_true(l.tag != tag);
        tag = l.tag;
        liaison_dies(5);
        struct look old = {.tag = tag, .has = l.has, .arena = l.arena};
        answer(&old, IPC_HAS_ABSENT); /* of a question that is over */
    }
    struct look l = next_look();
    assert_true(slice_eq(l.has.ids[0].id, SLICE("<b@outside.test>")));
    answer(&l, IPC_HAS_FOUND);
    struct admin_again t = ended();
    assert_int_equal(t.n_unsure, 1);
    assert_int_equal(t.n_present, 1);
    kit_expect_quiet(kit->courier);
    end_of_waiting();
}

static void without_anybody_to_ask_it_ends_in_words(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "a@outside.test");
    fd_close(&kit->liaison);
    usleep(20000);
    begin(0);
    usleep(50000);
    assert_true(told().is_running); /* it may just be starting */
    kit_let_pass(61);
    assert_non_null(strstr(ended().text, "does not start"));
    end_of_waiting();
}

static void where_no_mailbox_opens_it_does_not_try_all_of_them(void **state)
{
    kit_again_rows = 1;
    kit_restart();
    kit_again_rows = 0;
    found_company(state);
    for (int i = 0; i < 12; i++)
        (void)delivered(i % 2 ? "anna@example.test" : "luca@example.test", "a@outside.test");
    begin(0);
    for (int i = 0; i < 10; i++) {
        struct look l = next_look();
        answer_with(&l, IPC_HAS_UNSURE, 0);
    }
    struct admin_again t = ended();
    assert_non_null(strstr(t.text, "could not be opened"));
    assert_false(t.is_whole);
    assert_int_equal(t.n_unsure, 10);
    struct kit_frame f = {0};
    while (kit_get(kit->liaison, &f, KIT_QUIET_MS))
        assert_int_not_equal(f.type, IPC_T_mailbox_has);
    kit_frame_free(&f);
}

static void a_decision_that_the_disk_refuses_is_tried_again(void **state)
{
    found_company(state);
    uint64_t lost = delivered("anna@example.test", "lost@outside.test");
    begin(0);
    struct look l = next_look();
    disk_set(true, false);
    answer(&l, IPC_HAS_ABSENT);
    disk_fail_what_waits(EIO);
    struct admin_again t = ended();
    assert_int_equal(t.n_given, 1);
    assert_int_equal(t.n_unsure, 0);
    kit_end_job(kit_good);
    kit_await(lost, 0, DISPOSITION_DELIVERED);
}

/* ---- which deliveries ---- */

static void what_waited_here_and_was_delivered_later_is_looked_for(void **state)
{
    struct kit_job j;
    found_company(state);
    (void)delivered("anna@example.test", "before@outside.test");
    uint64_t waited =
        kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"luca@example.test"},
                                                 .message_id = "waited@outside.test"});
    kit_job(&j);
    usleep(10000);
    utc_ms since = utc_now();
    kit_result(&j, kit_good);
    kit_job_free(&j);
    kit_await(waited, 0, DISPOSITION_DELIVERED);
    usleep(2000);
    begin(since);
    struct look l = next_look();
    assert_int_equal(l.has.n_ids, 1);
    assert_true(slice_eq(l.has.ids[0].id, SLICE("<waited@outside.test>")));
    answer(&l, IPC_HAS_FOUND);
    assert_int_equal(ended().n_found, 1);
}

static void more_than_a_page_is_gone_through_page_by_page(void **state)
{
    kit_again_rows = 3;
    kit_restart();
    kit_again_rows = 0;
    found_company(state);
    for (int i = 0; i < 4; i++) {
        char id[40];
        (void)snprintf(id, sizeof(id), "%d@outside.test", i);
        (void)delivered("anna@example.test", id);
        (void)delivered("luca@example.test", id);
    }
    begin(0);
    for (uint32_t n = 0, all = 0; all < 8; all += n) {
        struct look l = next_look();
        n = l.has.n_ids;
        assert_in_range(n, 1, 2); /* each page has some of both */
        assert_int_equal(told().n_found, 8);
        answer(&l, all < 4 ? IPC_HAS_FOUND : IPC_HAS_UNSURE);
    }
    struct admin_again t = ended();
    assert_int_equal(t.n_looked, 8);
    assert_int_equal(t.n_found, 8);
    assert_true(t.n_present >= 4 && t.n_present + t.n_unsure == 8);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_id_is_looked_for_with_its_brackets),
        TEST(long_ids_are_asked_for_in_portions_that_fit_into_a_frame),
        TEST(what_is_absent_is_given_again_once),
        TEST(an_answer_of_another_length_is_nonsense),
        TEST(an_answer_that_never_comes_is_told_in_words),
        TEST(who_dies_is_asked_again_and_not_for_ever),
        TEST(without_anybody_to_ask_it_ends_in_words),
        TEST(where_no_mailbox_opens_it_does_not_try_all_of_them),
        TEST(a_decision_that_the_disk_refuses_is_tried_again),
        TEST(what_waited_here_and_was_delivered_later_is_looked_for),
        TEST(more_than_a_page_is_gone_through_page_by_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
