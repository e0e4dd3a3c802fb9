/* Events and evidence in the index: what is remembered of the time before. */
#include "index_world.h"

static bool keep_event(void *arg, uint64_t number, const struct record_event *e)
{
    uint64_t *n = arg;
    n[1 + n[0]++] = number * 1000 + (uint64_t)e->time;
    return n[0] < 8;
}

static bool keep_evidence(void *arg, const struct record_evidence *run)
{
    struct {
        size_t n;
        utc_ms first[4];
    } *kept = arg;
    kept->first[kept->n++] = run->first;
    return kept->n < 4;
}

static void evidence_is_read_in_order_and_goes_after_90_days(void **)
{
    static const utc_ms day = 86400000;
    SCOPED(world_finish) struct world w = world_make();
    struct record_evidence runs[] = {
        {.primary = 7, .first = 200 * day, .last = 200 * day, .kind = 1, .n = 3},
        {.primary = 7, .first = 111 * day, .last = 112 * day, .kind = 2, .n = 9},
        {.primary = 8, .first = 1 * day, .last = 2 * day, .kind = 1, .n = 1},
        {.primary = 7, .first = 100 * day, .last = 112 * day, .kind = 2, .n = 9},
    };
    struct record_evidences all = {runs, 4};
    record_evidences_pack(&w.pack, &all);
    world_apply(&w, RECORD_EVIDENCE, 0, 0);
    runs[0].first = 201 * day;
    all.n_runs = 1;
    record_evidences_pack(&w.pack, &all);
    world_apply(&w, RECORD_EVIDENCE, 0, 0);
    struct {
        size_t n;
        utc_ms first[4];
    } kept = {};
    ok(&w, store_each_evidence(w.r, 7, 0, keep_evidence, &kept, &w.ei));
    assert_int_equal(kept.n, 3);
    assert_int_equal(kept.first[0], 111 * day);
    assert_int_equal(kept.first[2], 201 * day);
    kept.n = 0;
    ok(&w, store_each_evidence(w.r, 7, 200 * day, keep_evidence, &kept, &w.ei));
    assert_int_equal(kept.n, 2);
}

struct kept_highs {
    size_t n;
    uint64_t value[4];
    char who[4][20];
};

static bool keep_high(void *arg, const struct record_high *high)
{
    struct kept_highs *kept = arg;
    kept->value[kept->n] = high->value;
    snprintf(kept->who[kept->n++], 20, "%.*s", SLICE_ARG(high->who));
    return kept->n < 4;
}

static void an_hour_has_one_high_and_it_goes_after_90_days(void **)
{
    static const utc_ms hour = 3600000, day = 24 * hour;
    SCOPED(world_finish) struct world w = world_make();
    struct record_high list[] = {
        {.refusal = 3, .time = 9 * day, .value = 400, .who = SLICE("old")},
        {.refusal = 4, .time = 10 * day, .value = 7, .who = SLICE("another limit")},
        {.refusal = 3, .time = 100 * day + 5, .value = 40, .who = SLICE("first")},
        {.refusal = 3, .time = 100 * day + 6, .value = 50, .who = SLICE("worse")},
        {.refusal = 3, .time = 100 * day + hour, .value = 30, .who = SLICE("next hour")},
    };
    struct record_highs all = {list, 5};
    record_highs_pack(&w.pack, &all);
    world_apply(&w, RECORD_HIGH, 0, 0);
    struct kept_highs kept = {};
    ok(&w, store_each_high(w.r, 3, 0, keep_high, &kept, &w.ei));
    assert_int_equal(kept.n, 2);
    assert_int_equal(kept.value[0], 50);
    assert_string_equal(kept.who[0], "worse");
    assert_int_equal(kept.value[1], 30);
    kept.n = 0;
    ok(&w, store_each_high(w.r, 3, 100 * day + 7, keep_high, &kept, &w.ei));
    assert_int_equal(kept.n, 1);
    kept.n = 0;
    ok(&w, store_each_high(w.r, 4, 0, keep_high, &kept, &w.ei));
    assert_int_equal(kept.n, 1);
}

static void events_are_listed_newest_first(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    static const struct record_event events[] = {
        {.time = 100, .tenant = 1, .class = EVENT_INFO, .name = SLICE("a.b")},
        {.time = 300, .tenant = 2, .class = EVENT_ALARM, .name = SLICE("a.c")},
        {.time = 200, .tenant = 1, .class = EVENT_NOTICE, .name = SLICE("a.d")},
    };
    for (int i = 0; i < 3; i++) {
        record_event_pack(&w.pack, &events[i]);
        world_apply(&w, RECORD_EVENT, 0, 0);
    }
    static const struct {
        uint64_t tenant;
        utc_ms since;
        uint32_t limit;
        uint64_t n, first, last; /* the time of the first and last */
    } cases[] = {
        {0, 0, 0, 3, 300, 100}, {1, 0, 0, 2, 200, 100}, {0, 150, 0, 2, 300, 200},
        {0, 0, 2, 2, 300, 200}, {3, 0, 0, 0, 0, 0},     {2, 301, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t n[9] = {};
        ok(&w, store_each_event(w.r, cases[i].tenant, cases[i].since, cases[i].limit, keep_event, n,
                                &w.ei));
        assert_int_equal(n[0], cases[i].n);
        if (n[0] == 0)
            continue;
        assert_int_equal(n[1] % 1000, cases[i].first);
        assert_int_equal(n[n[0]] % 1000, cases[i].last);
    }
}

static void add_event(struct world *w, int64_t day)
{
    struct record_event event = {.time = day * 86400000, .tenant = 1, .name = SLICE("a.b")};
    record_event_pack(&w->pack, &event);
    world_apply(w, RECORD_EVENT, 0, 0);
}

/* How many there are, and the number of the oldest. */
static int64_t n_events(struct world *w, int64_t *ret_first)
{
    int64_t n = 0;
    ok(w, index_db_number(w->x->db, "SELECT count(*) FROM event", &n, &w->ei));
    ok(w, index_db_number(w->x->db, "SELECT min(number) FROM event", ret_first, &w->ei));
    return n;
}

static void events_go_after_400_days_a_few_with_each_new_one(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    int64_t first;
    for (int i = 0; i < 20; i++)
        add_event(&w, 0);
    add_event(&w, 400);
    assert_int_equal(n_events(&w, &first), 21);
    add_event(&w, 5000); /* a clock that is wrong costs eight */
    assert_int_equal(n_events(&w, &first), 22 - 8);
    assert_int_equal(first, 9 * WORLD_STEP);
    add_event(&w, 400);
    add_event(&w, 401);
    assert_int_equal(n_events(&w, &first), 16 - 8);
    add_event(&w, 402);
    assert_int_equal(n_events(&w, &first), 5);
    assert_int_equal(first, 21 * WORLD_STEP);
}

static void events_have_a_ceiling_and_the_oldest_go(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    char sql[300];
    int64_t first;
    enum { MORE = 20 };
    (void)snprintf(sql, sizeof(sql),
                   "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d)"
                   " INSERT INTO event SELECT n - 4000000, 86400000, 1, x'' FROM c",
                   INDEX_EVENTS_MAX + MORE);
    index_close(&w.x);
    world_sql(w.path, sql);
    ok(&w, index_open(w.path, &w.x, &w.ei));
    add_event(&w, 1);
    assert_int_equal(n_events(&w, &first), INDEX_EVENTS_MAX + MORE + 1 - 8);
    assert_int_equal(first, -4000000 + 9);
    ok(&w, index_begin(w.x, &w.ei)); /* what was taken back does not count */
    w.is_in_transaction = true;
    add_event(&w, 1);
    index_abort(w.x);
    w.is_in_transaction = false;
    for (int i = 0; i < 10; i++)
        add_event(&w, 1);
    assert_int_equal(n_events(&w, &first), INDEX_EVENTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_is_read_in_order_and_goes_after_90_days),
        cmocka_unit_test(an_hour_has_one_high_and_it_goes_after_90_days),
        cmocka_unit_test(events_are_listed_newest_first),
        cmocka_unit_test(events_go_after_400_days_a_few_with_each_new_one),
        cmocka_unit_test(events_have_a_ceiling_and_the_oldest_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
