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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_is_read_in_order_and_goes_after_90_days),
        cmocka_unit_test(an_hour_has_one_high_and_it_goes_after_90_days),
        cmocka_unit_test(events_are_listed_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
