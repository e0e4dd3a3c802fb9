/* What fills up or ages, with a clock of the test's own. */
#include "zone.h"

#define GIB (1024.0 * 1024 * 1024)
#define MINUTE SECONDS(60)

/* One sample every two minutes for `minutes`; what they see. */
static struct watch_trend *filled(mono_us *now, int minutes, double begin, double per_minute)
{
    struct watch_trend *t = mem_new(sizeof(*t));
    for (int m = 0; m <= minutes; m += 2, *now += 2 * MINUTE)
        watch_trend_add(t, *now, begin + per_minute * m);
    *now -= 2 * MINUTE;
    return t;
}

static void a_steady_pace_is_carried_on(void **)
{
    static const struct {
        const char *name;
        int minutes;
        double begin, per_minute, floor;
        int64_t expected; /* seconds, within one in a hundred; -1 */
    } rows[] = {
        {"falling", 120, 100 * GIB, -GIB / 10, 10 * GIB, 780 * 60},
        {"rising", 120, 100 * GIB, GIB / 10, 10 * GIB, -1},
        {"rising to a ceiling", 120, 0, GIB, 180 * GIB, 60 * 60},
        {"still", 120, 100 * GIB, 0, 10 * GIB, -1},
        {"hardly", 120, 100 * GIB, -1000, 10 * GIB, -1},
        {"too few samples", 10, 100 * GIB, -GIB, 10 * GIB, -1},
        {"below already", 120, 9 * GIB, -GIB / 100, 10 * GIB, -1},
        {"in years", 600, 1e6 * GIB, -GIB / 2, 10 * GIB, -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mono_us now = SECONDS(5000);
        struct watch_trend *t = filled(&now, rows[i].minutes, rows[i].begin, rows[i].per_minute);
        double value = rows[i].begin + rows[i].per_minute * rows[i].minutes;
        int64_t s = watch_trend_until(t, now, value, rows[i].floor, GIB / 2);
        int64_t off = s - rows[i].expected;
        if (rows[i].expected < 0 ? s != -1
                                 : off * off * 10000 > rows[i].expected * rows[i].expected)
            fail_msg("%s: %lld, expected %lld", rows[i].name, (long long)s,
                     (long long)rows[i].expected);
        mem_free(&t);
    }
}

static void noise_does_not_hide_the_pace(void **)
{
    struct watch_trend *t = mem_new(sizeof(*t));
    mono_us now = 0;
    double value = 0;
    for (int i = 0; i < 200; i++, now += 2 * MINUTE) {
        value = 100 * GIB - i * GIB / 10 + (i * 7919 % 13 - 6) * GIB / 20;
        watch_trend_add(t, now, value);
    }
    int64_t s = watch_trend_until(t, now, 80 * GIB, 10 * GIB, GIB / 2);
    assert_in_range(s, 1350 * 60, 1450 * 60); /* 70 GiB at a tenth in two minutes: 1400 minutes */
    mem_free(&t);
}

static void a_sudden_rush_is_not_averaged_over_the_day(void **)
{
    mono_us now = 0;
    struct watch_trend *t = filled(&now, 20 * 60, 100 * GIB, 0);
    double value = 100 * GIB;
    for (int i = 0; i < 30; i++) {
        now += 2 * MINUTE;
        value -= GIB;
        watch_trend_add(t, now, value);
    }
    assert_in_range(watch_trend_until(t, now, value, 10 * GIB, GIB), 110 * 60, 130 * 60);
    mem_free(&t);
}

static void samples_are_two_minutes_apart_and_of_one_day(void **)
{
    struct watch_trend *t = mem_new(sizeof(*t));
    mono_us now = SECONDS(1);
    for (int i = 0; i < 600; i++, now += SECONDS(1))
        watch_trend_add(t, now, i);
    assert_int_equal(t->n, 5);
    for (int i = 0; i < 2000; i++, now += 2 * MINUTE)
        watch_trend_add(t, now, i);
    assert_int_equal(t->n, WATCH_SAMPLES);
    mem_free(&t);
}

static void the_disk_is_told_by_room_and_by_pace(void **)
{
    static const struct {
        enum watch_check check;
        uint64_t n_free, n_total;
        int64_t until;
        enum watch_class class;
        const char *part;
    } rows[] = {
        {WATCH_SPACE, 50ull << 30, 100ull << 30, -1, WATCH_OK, "51200 of 102400 MiB"},
        {WATCH_SPACE, 19ull << 30, 100ull << 30, -1, WATCH_ALARM, "Below 10 %"},
        {WATCH_SPACE, 50ull << 30, 100ull << 30, 80 * 3600, WATCH_OK, "full in about 3 days"},
        {WATCH_SPACE, 50ull << 30, 100ull << 30, 60 * 3600, WATCH_NOTICE, "full in about 3 days"},
        {WATCH_SPACE, 50ull << 30, 100ull << 30, 3 * 3600, WATCH_ALARM, "full in about 3 hours"},
        {WATCH_FILES, 500, 1000, -1, WATCH_OK, "500 of 1000 files"},
        {WATCH_FILES, 100, 1000, -1, WATCH_ALARM, "inode"},
        {WATCH_FILES, 0, 0, -1, WATCH_OK, "does not say"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct watch_room room = {rows[i].n_free, rows[i].n_total, 10, 20, rows[i].until};
        struct watch_findings all = {.n = 1};
        watch_room_judge(rows[i].check, &room, &all.list[0]);
        zone_expect("room", &all, rows[i].check, rows[i].class, rows[i].part);
        assert_int_equal(all.list[0].number, rows[i].until);
    }
}

static void mail_that_waits_for_a_well_primary_is_told(void **)
{
    static const struct {
        bool is_well;
        uint64_t n;
        int64_t age;
        enum watch_class class;
    } rows[] = {
        {true, 0, 0, WATCH_OK},
        {true, 5, 3600, WATCH_OK},
        {true, 5, 3601, WATCH_NOTICE},
        {true, 5, 4 * 3600, WATCH_NOTICE},
        {true, 5, 4 * 3600 + 1, WATCH_ALARM},
        {false, 5, 100 * 3600, WATCH_OK},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct watch_waiting w = {rows[i].is_well, rows[i].n, rows[i].age, -1};
        struct watch_finding f;
        watch_queue_judge(&w, &f);
        assert_int_equal(f.class, rows[i].class);
        assert_int_equal(f.number, rows[i].n);
    }
}

static void what_is_kept_for_a_dead_primary_fills_the_disk(void **)
{
    static const struct {
        bool is_well;
        int64_t until;
        enum watch_class class;
    } rows[] = {
        {true, 60, WATCH_OK},           {false, -1, WATCH_OK},
        {false, 73 * 3600, WATCH_OK},   {false, 71 * 3600, WATCH_NOTICE},
        {false, 5 * 3600, WATCH_ALARM},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct watch_waiting w = {rows[i].is_well, 5, 60, rows[i].until};
        struct watch_finding f;
        watch_kept_judge(&w, &f);
        assert_int_equal(f.class, rows[i].class);
    }
}

static void held_mail_waits_for_a_person(void **)
{
    struct watch_finding f;
    watch_held_judge(0, &f);
    assert_int_equal(f.class, WATCH_OK);
    watch_held_judge(3, &f);
    assert_int_equal(f.class, WATCH_NOTICE);
    assert_non_null(strstr(f.found, "3 held"));
}

static void spans_read_like_a_person_says_them(void **)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {{0, "0 seconds"},        {20, "20 seconds"},      {59, "1 minute"},
                {300, "5 minutes"},      {3600, "60 minutes"},    {7200, "2 hours"},
                {86400, "24 hours"},     {36 * 3600, "36 hours"}, {172800, "2 days"},
                {30 * 86400, "30 days"}, {-5, "0 seconds"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(watch_span(rows[i].seconds).s, rows[i].text);
}

static void a_greeting_tells_the_software_and_not_the_time(void **)
{
    static const struct {
        const char *greeting, *software;
    } rows[] = {
        {"mail.rossi.test ESMTP Postfix (Debian/GNU)",
         "mail.rossi.test ESMTP Postfix (Debian/GNU)"},
        {"mx.test ESMTP Exim 4.96 Sun, 22 Nov 2026 10:00:00 +0100", "mx.test ESMTP Exim 4.96"},
        {"EX1.rossi.test Microsoft ESMTP MAIL Service ready at Mon, 23 Nov 2026 09:01:02 +0000",
         "Microsoft ESMTP MAIL Service ready at"},
        {"mx.test ESMTP 5b1f17b1804b1-43a-2002sor gsmtp", "mx.test ESMTP gsmtp"},
        {"mx.test ESMTP Sendmail 8.17.1/8.17.1; Sun", "mx.test ESMTP Sendmail 8.17.1/8.17.1;"},
        {"", ""},
        {"\x1b[2J", "?[2J"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char software[WATCH_SOFTWARE_MAX + 1];
        watch_software(slice_str(rows[i].greeting), software);
        if (i < 6)
            assert_string_equal(software, rows[i].software);
        else
            assert_null(strchr(software, '\x1b'));
    }
    char longest[2000];
    memset(longest, 'a', sizeof(longest));
    for (size_t i = 50; i < sizeof(longest); i += 50)
        longest[i] = ' ';
    char software[WATCH_SOFTWARE_MAX + 1];
    watch_software(slice_of(longest, sizeof(longest)), software);
    assert_in_range(strlen(software), 100, WATCH_SOFTWARE_MAX);
}

static void every_check_and_class_has_its_name(void **)
{
    for (unsigned i = 0; i < WATCH_N; i++)
        assert_true(watch_check_name(i) && watch_check_title(i));
    for (unsigned i = 0; i < WATCH_CLASS_N; i++)
        assert_non_null(watch_class_name(i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_pace_is_carried_on),
        cmocka_unit_test(noise_does_not_hide_the_pace),
        cmocka_unit_test(a_sudden_rush_is_not_averaged_over_the_day),
        cmocka_unit_test(samples_are_two_minutes_apart_and_of_one_day),
        cmocka_unit_test(the_disk_is_told_by_room_and_by_pace),
        cmocka_unit_test(mail_that_waits_for_a_well_primary_is_told),
        cmocka_unit_test(what_is_kept_for_a_dead_primary_fills_the_disk),
        cmocka_unit_test(held_mail_waits_for_a_person),
        cmocka_unit_test(spans_read_like_a_person_says_them),
        cmocka_unit_test(a_greeting_tells_the_software_and_not_the_time),
        cmocka_unit_test(every_check_and_class_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
