/* Giving again what a primary has lost: what is asked of its mailboxes, what the answers do, and
 * what happens when no answer comes. The test plays the process that looks. */
#include "desk_kit.h"

static void found_company(void **)
{
    kit_found((struct kit_company){0});
    kit_open_mailboxes();
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
    bool is_dry;
    struct kit_change change; /* hears what became of it */
    struct admin_again told;
};

static void begin_now(void *arg)
{
    struct kit_change *c = arg;
    const struct order *o = container_of(c, struct order, change);
    struct admin_again_order order = {.primary = KIT_PRIMARY,
                                      .since = o->since,
                                      .is_dry = o->is_dry,
                                      .by = SLICE("luca"),
                                      .why = SLICE("the disk died")};
    kit_admin->host.again(kit_admin->host.arg, &order, kit_change_done, c);
}

static enum err try_begin(utc_ms since, bool is_dry)
{
    struct order o = {.since = since, .is_dry = is_dry};
    return kit_change(&o.change, begin_now);
}

static void begin(utc_ms since)
{
    assert_int_equal(try_begin(since, false), ERR_OK);
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
    kit_await_nonsense(1);
    assert_int_equal(told().n_looked, 0);
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
    kit_end_of_waiting();
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
    kit_end_of_waiting();
}

static void who_has_too_much_to_do_is_asked_again_later(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "a@outside.test");
    begin(0);
    for (int i = 0; i < 10; i++) {
        static struct ipc_mailbox_fact fact;
        struct look l = next_look();
        struct ipc_mailbox_has_told t = {.primary = KIT_PRIMARY,
                                         .is_ours = 1,
                                         .text = SLICE("too many looks at once"),
                                         .facts = &fact,
                                         .n_facts = 1};
        SCOPED(buf_finish) struct buf b = buf_make(1000);
        ipc_mailbox_has_told_pack(&b, &t);
        kit_put(kit->liaison, IPC_T_mailbox_has_told, l.tag, &b);
        arena_destroy(&l.arena);
        usleep(20000);
        kit_let_pass(3);
    }
    struct look l = next_look();
    answer(&l, IPC_HAS_FOUND);
    assert_int_equal(ended().n_present, 1);
    kit_end_of_waiting();
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
    kit_end_of_waiting();
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

/* What does not stand in the message cannot be found in it: each run would give it once more. */
static void an_id_that_its_sender_wrote_otherwise_is_not_certainly_absent(void **state)
{
    static const char *const bodies[] = {
        "Message-ID: odd@outside.test\r\n\r\nno brackets\r\n",
        "Message-ID: <odd\r\n @outside.test>\r\n\r\na blank in it\r\n",
        "Message-ID: <odd@outside.test>\r\n\r\nas it should be\r\n",
    };
    found_company(state);
    for (size_t i = 0; i < 3; i++) {
        uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"},
                                                               .message_id = "odd@outside.test",
                                                               .body = bodies[i]});
        kit_end_job(kit_good);
        kit_await(id, 0, DISPOSITION_DELIVERED);
    }
    begin(0);
    struct look l = next_look();
    answer(&l, IPC_HAS_ABSENT);
    struct admin_again t = ended();
    assert_int_equal(t.n_looked, 3);
    assert_int_equal(t.n_unsure, 2);
    assert_int_equal(t.n_absent, 1);
    assert_int_equal(t.n_given, 1);
}

static void stop_now(void *arg)
{
    struct kit_change *c = arg;
    struct admin_again_order order = {
        .primary = KIT_PRIMARY, .by = SLICE("luca"), .why = SLICE("the wrong time")};
    kit_admin->host.again_stop(kit_admin->host.arg, &order, kit_change_done, c);
}

static enum err stop_it(void)
{
    struct kit_change c = {};
    return kit_change(&c, stop_now);
}

static void a_person_may_stop_it_where_it_is(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "a@outside.test");
    (void)delivered("luca@example.test", "b@outside.test");
    assert_int_equal(stop_it(), ERR_CONFLICT);
    begin(0);
    struct look l = next_look();
    assert_int_equal(stop_it(), ERR_OK);
    struct admin_again t = told();
    assert_false(t.is_running);
    assert_false(t.is_whole);
    assert_non_null(strstr(t.text, "stopped by luca (the wrong time)"));
    answer(&l, IPC_HAS_ABSENT); /* too late */
    kit_expect_quiet(kit->courier);
    assert_int_equal(stop_it(), ERR_CONFLICT);
    kit_restart();
    kit->liaison = kit_link(IPC_LIAISON, 1);
    assert_non_null(strstr(told().text, "stopped by luca"));
    begin(0);
    for (int i = 0; i < 2; i++) {
        l = next_look();
        answer(&l, IPC_HAS_FOUND);
    }
    assert_int_equal(ended().n_present, 2);
}

/* ---- over restarts ---- */

static size_t n_events; /* of an end */

static bool count_end(void *, uint64_t, const struct record_event *e)
{
    n_events += slice_eq(e->name, SLICE("primary.again"));
    return true;
}

static size_t times_told(void)
{
    struct store_reader *reader = kit_reader();
    struct errinfo ei;
    n_events = 0;
    assert_int_equal(store_each_event(reader, 0, 0, 0, count_end, NULL, &ei), ERR_OK);
    store_reader_close(&reader);
    return n_events;
}

static void an_order_that_cannot_be_written_does_not_begin(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "a@outside.test");
    struct order o = {};
    disk_set(true, false);
    kit_on_loop(begin_now, &o.change);
    assert_int_equal(try_begin(0, false), ERR_CONFLICT); /* it is being written */
    disk_fail_what_waits(EIO);
    kit_wait_change(&o.change);
    assert_int_equal(o.change.err, ERR_IO);
    assert_false(told().is_running);
    kit_expect_quiet(kit->courier);
}

static void it_goes_on_after_a_start_and_gives_nothing_twice(void **state)
{
    kit_again_rows = 2;
    kit_restart();
    found_company(state);
    uint64_t ids[5];
    for (int i = 0; i < 5; i++) {
        char id[40];
        (void)snprintf(id, sizeof(id), "%d@outside.test", i);
        ids[i] = delivered(i < 4 ? "anna@example.test" : "luca@example.test", id);
    }
    begin(0);
    struct look l = next_look();
    answer(&l, IPC_HAS_ABSENT); /* a page that is done */
    kit_end_job(kit_good);
    kit_end_job(kit_good);
    l = next_look();
    answer(&l, IPC_HAS_ABSENT); /* the next one was given, and that is not known yet */
    kit_end_job(kit_good);
    kit_await(ids[2], 0, DISPOSITION_DELIVERED);
    l = next_look(); /* of the last page: it has no answer */
    arena_destroy(&l.arena);
    kit_restart();
    kit_again_rows = 0;
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_end_job(kit_good); /* waited in the queue */
    l = next_look();
    assert_int_equal(l.has.n_ids, 1);
    assert_true(slice_eq(l.has.ids[0].id, SLICE("<4@outside.test>")));
    assert_true(told().is_running);
    answer(&l, IPC_HAS_FOUND);
    struct admin_again t = ended();
    assert_true(t.is_whole);
    assert_int_equal(t.n_found, 5);
    assert_int_equal(t.n_looked, 5);
    assert_int_equal(t.n_given, 4);
    assert_int_equal(t.n_present, 1);
    kit_await_event("primary.again");
    kit_restart();
    assert_string_equal(told().text, t.text); /* how it ended is still known */
    kit_expect_quiet(kit->courier);
    assert_int_equal(times_told(), 1);
    kit_check_sums();
}

static void what_a_page_had_given_before_a_start_is_counted_and_not_given_twice(void **state)
{
    found_company(state);
    uint64_t lost[2] = {delivered("anna@example.test", "a@outside.test"),
                        delivered("anna@example.test", "b@outside.test")};
    (void)delivered("luca@example.test", "c@outside.test");
    begin(0);
    struct look l = next_look();
    answer(&l, IPC_HAS_ABSENT);
    kit_end_job(kit_good); /* one has come already, one waits */
    kit_await(lost[0], 0, DISPOSITION_DELIVERED);
    l = next_look();
    arena_destroy(&l.arena);
    kit_restart();
    kit_end_job(kit_good);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    l = next_look();
    assert_int_equal(l.has.n_ids, 1);
    assert_true(slice_eq(l.has.ids[0].id, SLICE("<c@outside.test>")));
    answer(&l, IPC_HAS_FOUND);
    struct admin_again t = ended();
    assert_int_equal(t.n_found, 3);
    assert_int_equal(t.n_looked, 3);
    assert_int_equal(t.n_absent, 2);
    assert_int_equal(t.n_given, 2);
    kit_await(lost[1], 0, DISPOSITION_DELIVERED);
    kit_expect_quiet(kit->courier);
}

static void an_end_that_the_disk_refuses_is_told_when_it_is_durable(void **state)
{
    found_company(state);
    (void)delivered("anna@example.test", "a@outside.test");
    begin(0);
    struct look l = next_look();
    disk_set(true, false);
    answer(&l, IPC_HAS_FOUND);
    disk_fail_what_waits(EIO);
    (void)ended();
    usleep(50000);
    assert_int_equal(times_told(), 0);
    kit_let_pass(11);
    usleep(300000);
    kit_end_of_waiting();
    kit_await_event("primary.again");
    assert_int_equal(times_told(), 1);
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
        TEST(who_has_too_much_to_do_is_asked_again_later),
        TEST(without_anybody_to_ask_it_ends_in_words),
        TEST(where_no_mailbox_opens_it_does_not_try_all_of_them),
        TEST(a_decision_that_the_disk_refuses_is_tried_again),
        TEST(a_person_may_stop_it_where_it_is),
        TEST(an_id_that_its_sender_wrote_otherwise_is_not_certainly_absent),
        TEST(an_order_that_cannot_be_written_does_not_begin),
        TEST(it_goes_on_after_a_start_and_gives_nothing_twice),
        TEST(what_a_page_had_given_before_a_start_is_counted_and_not_given_twice),
        TEST(an_end_that_the_disk_refuses_is_told_when_it_is_durable),
        TEST(what_waited_here_and_was_delivered_later_is_looked_for),
        TEST(more_than_a_page_is_gone_through_page_by_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
