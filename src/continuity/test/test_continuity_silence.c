/* Silence, over synthetic weeks of companies. Time goes on in ticks of five minutes. */
#include "continuity/zone.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { TICK_MS = 300000, HOUR_MS = 3600000 };
static const utc_ms DAY_MS = 24 * (utc_ms)HOUR_MS;
static const utc_ms MONDAY = 1767571200000; /* 5 January 2026, 00:00 */

/* Messages in each tick; the company decides. */
typedef uint32_t (*company_fn)(const struct silence_when *w, int64_t day);

struct test {
    struct continuity_silence s;
    company_fn company;
    utc_ms now;
    int32_t offset_sec; /* of its zone, now */
    int64_t holiday;    /* day since 1970 */
    unsigned n_strange;
};

static uint32_t random_now = 7;
static uint32_t chance(uint32_t below)
{
    random_now = random_now * 1664525u + 1013904223u;
    return (random_now >> 8) % below;
}

static bool is_office_hour(const struct silence_when *w)
{
    return w->weekday < 5 && w->hour >= 8 && w->hour < 18 && !w->is_holiday;
}

/* Some 24 an hour, 8 to 18 from Monday to Friday, and the odd one at night. */
static uint32_t office(const struct silence_when *w, int64_t)
{
    return is_office_hour(w) ? chance(5) : chance(400) == 0;
}

/* Open every day from 9 to 20, some 6 an hour. */
static uint32_t shop(const struct silence_when *w, int64_t)
{
    return w->hour >= 9 && w->hour < 20 && chance(2) == 0;
}

/* A message a day or so, at any time, and then a week of nothing. */
static uint32_t almost_silent(const struct silence_when *, int64_t day)
{
    return day / 7 % 3 != 2 && chance(250) == 0;
}

/* A newsletter's answers, once in the second week. */
static uint32_t burst(const struct silence_when *w, int64_t day)
{
    bool is_it = day == MONDAY / DAY_MS + 8 && w->hour == 11;
    return is_it ? 200 : w->hour == 11 ? chance(2) : office(w, day);
}

static struct silence_when when(const struct test *t)
{
    utc_ms local = t->now + (utc_ms)t->offset_sec * 1000;
    struct silence_when w = {.local_hour = local / HOUR_MS,
                             .weekday = (uint8_t)((local / DAY_MS + 3) % 7),
                             .hour = (uint8_t)(local / HOUR_MS % 24)};
    w.is_holiday = continuity_local_day(&w) == t->holiday;
    return w;
}

static struct test start(company_fn company)
{
    return (struct test){.company = company, .now = MONDAY};
}

static enum silence_verdict tick(struct test *t, bool is_dead)
{
    struct silence_when w = when(t);
    uint32_t n = is_dead ? 0 : t->company(&w, continuity_local_day(&w));
    continuity_silence_count(&t->s, &w, t->now, n);
    enum silence_verdict v = continuity_silence_judge(&t->s, &w, t->now, NULL);
    t->n_strange += v == SILENCE_STRANGE;
    t->now += TICK_MS;
    return v;
}

static void live_until(struct test *t, utc_ms until)
{
    while (t->now < until)
        (void)tick(t, false);
}

/* Minutes from now until silence is strange; 10000: never within a week. */
static unsigned dies(struct test *t)
{
    utc_ms from = t->now;
    while (t->now - from < 7 * DAY_MS)
        if (tick(t, true) == SILENCE_STRANGE)
            return (unsigned)((t->now - TICK_MS - from) / 60000);
    return 10000;
}

static utc_ms at(unsigned week, unsigned day, unsigned hour)
{
    return MONDAY + (week * 7 + day) * DAY_MS + (utc_ms)hour * HOUR_MS;
}

static void the_first_weeks_are_learning(void **)
{
    struct test t = start(office);
    live_until(&t, at(0, 1, 10));
    assert_int_equal(tick(&t, true), SILENCE_LEARNING);
    live_until(&t, at(2, 0, 10));
    assert_int_equal(tick(&t, true), SILENCE_LEARNING);
    live_until(&t, at(3, 1, 10));
    assert_int_equal(tick(&t, true), SILENCE_NORMAL);
    assert_int_equal(t.n_strange, 0);
}

static void an_office_is_quiet_at_night_and_not_in_the_morning(void **)
{
    struct test t = start(office);
    live_until(&t, at(10, 1, 10));
    assert_int_equal(t.n_strange, 0);
    struct test dead = t;
    assert_in_range(dies(&dead), 15, 45);
    live_until(&t, at(10, 1, 20));
    dead = t; /* on Tuesday evening: it shows on Wednesday morning */
    assert_in_range(dies(&dead), 12 * 60 + 15, 13 * 60);
    live_until(&t, at(10, 4, 20));
    dead = t; /* on Friday evening: on Monday */
    assert_in_range(dies(&dead), 60 * 60 + 15, 61 * 60);
}

static void a_shop_is_missed_within_two_hours(void **)
{
    struct test t = start(shop);
    live_until(&t, at(10, 6, 12));
    assert_int_equal(t.n_strange, 0);
    assert_in_range(dies(&t), 60, 150);
}

static void an_almost_silent_company_is_never_strange(void **)
{
    struct test t = start(almost_silent);
    live_until(&t, at(40, 0, 0));
    assert_int_equal(dies(&t), 10000);
    assert_int_equal(t.n_strange, 0);
}

static void a_holiday_is_a_sunday_and_is_not_learnt(void **)
{
    struct test t = start(office);
    t.holiday = at(5, 3, 0) / DAY_MS; /* a Thursday */
    live_until(&t, at(5, 3, 0));
    float before = t.s.mean[3 * 24 + 10], sunday = t.s.mean[6 * 24 + 10];
    live_until(&t, at(5, 4, 0));
    assert_true(before > 10 && t.s.mean[3 * 24 + 10] == before);
    assert_true(t.s.mean[6 * 24 + 10] == sunday);
    live_until(&t, at(5, 5, 0));
    assert_int_equal(t.n_strange, 0); /* nor on the morning after */
    t.holiday = 0;
    live_until(&t, at(6, 3, 10));
    assert_in_range(dies(&t), 15, 45);
}

static void the_same_day_without_a_holiday_is_strange(void **)
{
    struct test t = start(office);
    live_until(&t, at(5, 3, 0));
    assert_in_range(dies(&t), 8 * 60 + 10, 8 * 60 + 45);
}

static void a_burst_does_not_make_an_hour_busy(void **)
{
    struct test t = start(burst);
    live_until(&t, at(8, 0, 0));
    assert_int_equal(t.n_strange, 0);
    assert_true(t.s.mean[1 * 24 + 11] < 25);
}

static void hours_of_the_change_are_not_learnt(void **)
{
    struct test t = start(shop);
    t.offset_sec = 3600;
    live_until(&t, at(4, 6, 0));
    uint16_t two = t.s.n_seen[6 * 24 + 2], three = t.s.n_seen[6 * 24 + 3];
    live_until(&t, at(4, 6, 1));
    t.offset_sec = 7200; /* at two it is three */
    live_until(&t, at(4, 6, 6));
    assert_int_equal(t.s.n_seen[6 * 24 + 2], two);
    assert_int_equal(t.s.n_seen[6 * 24 + 3], three + 1);
    live_until(&t, at(5, 6, 1));
    two = t.s.n_seen[6 * 24 + 2];
    t.offset_sec = 3600; /* at three it is two, for the second time */
    live_until(&t, at(5, 6, 3));
    assert_int_equal(t.s.n_seen[6 * 24 + 2], two); /* two hours long */
    assert_int_equal(t.n_strange, 0);
    live_until(&t, at(6, 6, 12));
    assert_int_equal(t.s.n_seen[6 * 24 + 2], two + 1);
    assert_in_range(dies(&t), 60, 150);
}

static void time_in_which_we_were_away_is_no_silence(void **)
{
    struct test t = start(office);
    live_until(&t, at(6, 1, 9));
    uint16_t seen = t.s.n_seen[1 * 24 + 9];
    t.now += 5 * HOUR_MS;
    struct silence_when w = when(&t);
    double expected = 1;
    assert_int_equal(continuity_silence_judge(&t.s, &w, t.now, &expected), SILENCE_NORMAL);
    assert_true(expected == 0);
    assert_int_equal(tick(&t, true), SILENCE_NORMAL);
    assert_int_equal(t.s.n_seen[1 * 24 + 9], seen);
    assert_in_range(dies(&t), 15, 45); /* from now on it is */
    continuity_silence_count(&t.s, &w, t.now, 1);
    assert_int_equal(continuity_silence_judge(&t.s, &w, t.now, NULL), SILENCE_NORMAL);
}

static void late_messages_count_into_the_present_hour(void **)
{
    struct test t = start(office);
    live_until(&t, at(0, 1, 9) + TICK_MS);
    struct silence_when w = when(&t);
    uint32_t n = t.s.n;
    w.local_hour -= 2;
    continuity_silence_count(&t.s, &w, t.now, 5);
    assert_int_equal(t.s.n, n + 5);
    w.local_hour += 2;
    assert_int_equal(t.s.hour, w.local_hour);
    continuity_silence_count(&t.s, &w, t.now, UINT32_MAX);
    assert_int_equal(t.s.n, UINT32_MAX);
    w.local_hour -= 24; /* the clock was set: that is no lateness */
    continuity_silence_count(&t.s, &w, t.now - DAY_MS, 1);
    assert_int_equal(t.s.hour, w.local_hour);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_weeks_are_learning),
        cmocka_unit_test(an_office_is_quiet_at_night_and_not_in_the_morning),
        cmocka_unit_test(a_shop_is_missed_within_two_hours),
        cmocka_unit_test(an_almost_silent_company_is_never_strange),
        cmocka_unit_test(a_holiday_is_a_sunday_and_is_not_learnt),
        cmocka_unit_test(the_same_day_without_a_holiday_is_strange),
        cmocka_unit_test(a_burst_does_not_make_an_hour_busy),
        cmocka_unit_test(hours_of_the_change_are_not_learnt),
        cmocka_unit_test(time_in_which_we_were_away_is_no_silence),
        cmocka_unit_test(late_messages_count_into_the_present_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
