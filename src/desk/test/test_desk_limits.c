/* Limits over restarts: values and since when, counts, how near they came. */
#include "desk_kit_call.h"

static struct admin_refusal seen[REFUSE_N];

static void read_refusals(void *arg)
{
    kit_admin->host.refusals(kit_admin->host.arg, arg);
}

static const struct admin_refusal *look(enum refuse_id id)
{
    kit_on_loop(read_refusals, seen);
    return &seen[id];
}

static void report(int fd, enum refuse_id id, uint64_t n)
{
    struct ipc_refusal one = {.id = id, .n = n, .who = SLICE("192.0.2.7")};
    struct ipc_refusals all = {&one, 1};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_refusals_pack(&b, &all);
    kit_put(fd, IPC_T_refusals, 0, &b);
}

static void report_high(int fd, uint32_t id, uint64_t value, const char *who)
{
    struct ipc_high one = {.id = id, .value = value, .who = slice_str(who)};
    struct ipc_highs all = {&one, 1};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_highs_pack(&b, &all);
    kit_put(fd, IPC_T_highs, 0, &b);
}

static void await_count(enum refuse_id id, uint64_t n)
{
    for (mono_us end = mono_now() + SECONDS(5); look(id)->n_ever != n; usleep(5000))
        if (mono_now() > end)
            fail_msg("refused %llu times", (unsigned long long)look(id)->n_ever);
}

static utc_ms await_since(enum refuse_id id, utc_ms not_this)
{
    for (mono_us end = mono_now() + SECONDS(5); look(id)->since == not_this; usleep(5000))
        if (mono_now() > end)
            fail_msg("no value was noticed");
    return look(id)->since;
}

static void a_value_that_changes_is_told_and_remembered(void **)
{
    refuse_set_limit(REFUSE_RECIPIENTS, (struct refuse_limit){1000, "limits.recipients", false});
    utc_ms first = await_since(REFUSE_RECIPIENTS, 0);
    assert_false(look(REFUSE_RECIPIENTS)->is_changed);
    assert_false(kit_has_event("limit.changed"));
    kit_restart();
    assert_int_equal(await_since(REFUSE_RECIPIENTS, 0), first); /* the same since then */
    usleep(2000);
    refuse_set_limit(REFUSE_RECIPIENTS, (struct refuse_limit){200, "limits.recipients", true});
    utc_ms second = await_since(REFUSE_RECIPIENTS, first);
    assert_true(second > first);
    kit_await_event("limit.changed");
    kit_restart();
    assert_int_equal(look(REFUSE_RECIPIENTS)->since, second);
    assert_true(look(REFUSE_RECIPIENTS)->is_changed);
    assert_int_equal(look(REFUSE_RECIPIENTS)->before, 1000);
}

static void a_value_that_changed_while_we_were_away_is_told_too(void **)
{
    refuse_set_limit(REFUSE_ERRORS, (struct refuse_limit){20, "limits.errors", false});
    utc_ms first = await_since(REFUSE_ERRORS, 0);
    kit_stop();
    refuse_set_limit(REFUSE_ERRORS, (struct refuse_limit){5, "limits.errors", true});
    kit_start();
    assert_true(await_since(REFUSE_ERRORS, first) > first);
    assert_int_equal(look(REFUSE_ERRORS)->before, 20);
    kit->gate = kit_link(IPC_GATE, 1);
    kit->courier = kit_link(IPC_COURIER, 1);
}

static void counts_and_the_last_example_survive(void **)
{
    report(kit->gate, REFUSE_LINE, 3);
    await_count(REFUSE_LINE, 3);
    utc_ms last = look(REFUSE_LINE)->last;
    kit_restart();
    assert_int_equal(look(REFUSE_LINE)->n, 0); /* since the start */
    assert_int_equal(look(REFUSE_LINE)->n_ever, 3);
    assert_int_equal(look(REFUSE_LINE)->last, last);
    assert_string_equal(look(REFUSE_LINE)->who, "192.0.2.7");
    report(kit->gate, REFUSE_LINE, 2);
    await_count(REFUSE_LINE, 5);
    assert_int_equal(look(REFUSE_LINE)->n, 2);
}

/* ---- how near they came ---- */

struct high {
    size_t n;
    uint64_t value;
    char who[61];
};

static bool keep_high(void *arg, const struct record_high *high)
{
    struct high *h = arg;
    h->n++;
    h->value = high->value;
    snprintf(h->who, sizeof(h->who), "%.*s", SLICE_ARG(high->who));
    return true;
}

static struct high highest(enum refuse_id id)
{
    struct high h = {0};
    struct errinfo ei;
    struct store_reader *reader = kit_reader();
    assert_int_equal(store_each_high(reader, id, 0, keep_high, &h, &ei), ERR_OK);
    store_reader_close(&reader);
    return h;
}

static void await_high(enum refuse_id id, uint64_t value)
{
    for (mono_us end = mono_now() + SECONDS(5); highest(id).value != value; usleep(5000))
        if (mono_now() > end)
            fail_msg("the highest is %llu", (unsigned long long)highest(id).value);
}

static void the_worst_of_an_hour_is_kept_over_restarts(void **)
{
    report_high(kit->gate, REFUSE_CONN_ADDRESS, 17, "192.0.2.7");
    await_high(REFUSE_CONN_ADDRESS, 17);
    kit_restart();
    report_high(kit->gate, REFUSE_CONN_ADDRESS, 4, "192.0.2.8"); /* less, after a restart */
    report_high(kit->courier, REFUSE_COURIER_JOBS, 9, "example.test");
    await_high(REFUSE_COURIER_JOBS, 9);
    struct high h = highest(REFUSE_CONN_ADDRESS);
    assert_true(h.n == 1 || h.n == 2); /* 2: a new hour began meanwhile */
    if (h.n == 1)
        assert_string_equal(h.who, "192.0.2.7");
    report_high(kit->gate, REFUSE_CONN_ADDRESS, 18, "192.0.2.9");
    await_high(REFUSE_CONN_ADDRESS, 18);
}

static void how_many_requests_people_have_at_once_is_kept(void **)
{
    struct ipc_called called;
    char bearer[200];
    kit_found((struct kit_company){0});
    kit_token(KIT_ANNA, bearer);
    kit->door = kit_link(IPC_DOOR, 1);
    kit_call(1, IPC_CALL_SESSION, bearer, SLICE(""));
    assert_int_equal(kit_called(&called), 1);
    assert_int_equal(called.status, 200);
    await_high(REFUSE_JMAP_CALLS, 1);
    await_high(REFUSE_JMAP_PERSON, 1);
}

static void the_resolver_may_report_and_nothing_else(void **)
{
    unsigned n = kit_count_nonsense();
    int resolver = kit_link(IPC_RESOLVER, 1);
    report(resolver, REFUSE_QUESTIONS, 4);
    await_count(REFUSE_QUESTIONS, 4);
    kit_put_raw(resolver, IPC_T_take, 0, 1, SLICE(""));
    assert_true(kit_is_closed(resolver));
    assert_int_equal(kit_count_nonsense(), n + 1);
    (void)close(resolver);
}

static void what_cannot_be_measured_is_nonsense(void **)
{
    static const uint32_t ids[] = {REFUSE_SYNTAX, REFUSE_N, UINT32_MAX};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        unsigned n = kit_count_nonsense();
        int resolver = kit_link(IPC_RESOLVER, 1);
        report_high(resolver, ids[i], 4, "x");
        assert_true(kit_is_closed(resolver));
        assert_int_equal(kit_count_nonsense(), n + 1);
        (void)close(resolver);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_that_changes_is_told_and_remembered),
        TEST(a_value_that_changed_while_we_were_away_is_told_too),
        TEST(counts_and_the_last_example_survive),
        TEST(the_worst_of_an_hour_is_kept_over_restarts),
        TEST(how_many_requests_people_have_at_once_is_kept),
        TEST(the_resolver_may_report_and_nothing_else),
        TEST(what_cannot_be_measured_is_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
