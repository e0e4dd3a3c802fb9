/* Time zones from bytes made here; the real ones are compared with Python's reader in
 * tests/conformance. */
#include "continuity/zone.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- making files ---- */

struct made {
    char version;
    const char *footer;
    int64_t times[4];
    uint8_t indexes[4];
    uint32_t n_times;
    int32_t offsets[4];
    uint32_t n_types;
    uint32_t n_leaps;
};

static void put32(struct buf *b, uint32_t v)
{
    const char p[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    buf_add(b, p, 4);
}

static void put_head(struct buf *b, char version, uint32_t n_leaps, uint32_t n_times,
                     uint32_t n_types)
{
    buf_addf(b, "TZif%c", version);
    buf_add(b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
    put32(b, 0);
    put32(b, 0);
    put32(b, n_leaps);
    put32(b, n_times);
    put32(b, n_types);
    put32(b, 4);
}

static struct buf make(const struct made *m)
{
    struct buf b = buf_make(4096);
    put_head(&b, m->version, 0, 0, 1); /* as small as the first block may be */
    buf_add(&b, "\0\0\0\0\0\0UTC", 10);
    put_head(&b, m->version, m->n_leaps, m->n_times, m->n_types);
    for (uint32_t i = 0; i < m->n_times; i++) {
        put32(&b, (uint32_t)((uint64_t)m->times[i] >> 32));
        put32(&b, (uint32_t)m->times[i]);
    }
    buf_add(&b, m->indexes, m->n_times);
    for (uint32_t i = 0; i < m->n_types; i++) {
        put32(&b, (uint32_t)m->offsets[i]);
        buf_add(&b, "\0\0", 2);
    }
    buf_add(&b, "LMT", 4);
    for (uint32_t i = 0; i < m->n_leaps; i++)
        buf_add(&b, "\0\0\0\0\0\0\0\1\0\0\0\1", 12);
    buf_addf(&b, "\n%s\n", m->footer);
    return b;
}

static enum err parse(const struct made *m, struct continuity_zone *z, struct buf *b)
{
    *b = make(m);
    return continuity_zone_parse(buf_slice(b), z, NULL);
}

static void ask(const char *footer, const char *what, int64_t t, int32_t expected)
{
    struct continuity_zone z = {};
    SCOPED(buf_finish) struct buf b = {};
    struct made m = {.version = '2', .footer = footer, .offsets = {0}, .n_types = 1};
    assert_int_equal(parse(&m, &z, &b), ERR_OK);
    int32_t offset = continuity_zone_offset(&z, t * 1000);
    if (offset != expected)
        fail_msg("%s %s: %d, not %d", footer, what, offset, expected);
}

/* ---- rules for years to come ---- */

static const char rome[] = "CET-1CEST,M3.5.0,M10.5.0/3";

static void the_footer_holds_for_all_years(void **)
{
    ask(rome, "a second before summer 2026", 1774745999, 3600);
    ask(rome, "summer 2026", 1774746000, 7200);
    ask(rome, "the last second of it", 1792889999, 7200);
    ask(rome, "winter again", 1792890000, 3600);
    ask(rome, "the last day of 2096", 4007793600, 3600);
    ask("<LMT>-0:49:56", "mean time", 0, 2996);
    ask(rome, "July 2400", 13584412800, 7200);
    ask("EST5EDT,M3.2.0,M11.1.0", "July 2026", 1783080000, -14400);
    ask("EST5EDT,M3.2.0,M11.1.0", "January 2026", 1767700000, -18000);
    ask("IST-5:30", "any time", 1783080000, 19800);
    ask("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "summer in January", 1767700000, 39600);
    ask("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "winter in July", 1783080000, 37800);
    ask("EST5EDT,0/0,J365/25", "summer all year", 1767245000, -14400);
    ask("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "a time before its day", 1774746000, -3600);
    ask("AAA0BBB,J60,J300", "1 March in a leap year", 1835488800 + 86400, 3600);
    ask("AAA0BBB,59,J300", "29 February in a leap year", 1835416800, 3600);
}

static void what_is_no_rule_is_refused(void **)
{
    static const char *const bad[] = {
        "C",
        "CE-1",
        "CET",
        "CET-25",
        "CET-1:60",
        "CET-1CEST",
        "<+1-1",
        "<>-1",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0x",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J1,J366",
        "CET-1CEST,366,0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3,M10.5.0",
        "CET--1",
        "CET-99999",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct continuity_zone z = {.standard = 77};
        SCOPED(buf_finish) struct buf b = {};
        struct made m = {.version = '2', .footer = bad[i], .n_types = 1};
        if (parse(&m, &z, &b) != ERR_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(z.standard, 77); /* untouched */
    }
}

/* ---- tables ---- */

static void changes_are_found_on_their_second(void **)
{
    struct continuity_zone z;
    SCOPED(buf_finish) struct buf b = {};
    struct made m = {.version = '3',
                     .footer = "",
                     .times = {-5000000000, 0, 1000},
                     .indexes = {1, 2, 0},
                     .n_times = 3,
                     .offsets = {3000, -7200, 93599},
                     .n_types = 3};
    assert_int_equal(parse(&m, &z, &b), ERR_OK);
    assert_int_equal(continuity_zone_offset(&z, INT64_MIN), 3000); /* type 0 before the first */
    assert_int_equal(continuity_zone_offset(&z, -5000000000001), 3000);
    assert_int_equal(continuity_zone_offset(&z, -5000000000000), -7200);
    assert_int_equal(continuity_zone_offset(&z, -1), -7200);
    assert_int_equal(continuity_zone_offset(&z, 0), 93599);
    assert_int_equal(continuity_zone_offset(&z, 999999), 93599);
    assert_int_equal(continuity_zone_offset(&z, 1000000), 3000);
    assert_int_equal(continuity_zone_offset(&z, INT64_MAX), 3000); /* no rule: the last one stays */
}

static void damage_is_refused(void **)
{
    struct made good = {.version = '2',
                        .footer = rome,
                        .times = {-100, 100},
                        .indexes = {0, 1},
                        .n_times = 2,
                        .offsets = {3600, 7200},
                        .n_types = 2};
    struct continuity_zone z;
    SCOPED(buf_finish) struct buf whole = {};
    assert_int_equal(parse(&good, &z, &whole), ERR_OK);
    for (size_t n = 0; n < whole.n; n++)
        assert_int_equal(continuity_zone_parse(slice_of(whole.p, n), &z, NULL), ERR_INVALID);
    struct made bad[6] = {good, good, good, good, good, good};
    bad[0].version = '\0';
    bad[1].times[1] = -100;
    bad[2].indexes[1] = 2;
    bad[3].offsets[1] = 93600;
    bad[4].n_types = 0;
    bad[5].n_leaps = 1;
    for (size_t i = 0; i < 6; i++) {
        SCOPED(buf_finish) struct buf b = {};
        if (parse(&bad[i], &z, &b) != ERR_INVALID)
            fail_msg("damage %zu was taken", i);
    }
    SCOPED(mem_free) char *large = mem_new(ZONE_BYTES_MAX + 1);
    memcpy(large, whole.p, whole.n);
    assert_int_equal(continuity_zone_parse(slice_of(large, ZONE_BYTES_MAX + 1), &z, NULL),
                     ERR_INVALID);
}

static void any_flipped_byte_is_harmless(void **)
{
    struct made m = {.version = '2',
                     .footer = rome,
                     .times = {-100, 100},
                     .indexes = {0, 1},
                     .n_times = 2,
                     .offsets = {3600, 7200},
                     .n_types = 2};
    SCOPED(buf_finish) struct buf b = make(&m);
    for (size_t i = 0; i < b.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct continuity_zone z;
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
            if (continuity_zone_parse(buf_slice(&b), &z, NULL) == ERR_OK)
                assert_in_range(continuity_zone_offset(&z, 1783080000000) + 200000, 0, 400000);
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
        }
}

/* ---- the tenant's hour ---- */

static void the_local_hour_follows_the_zone(void **)
{
    static const struct {
        utc_ms t;
        unsigned weekday, hour;
        int64_t day;
    } rows[] = {
        {1774745999000, 6, 1, 20541}, /* Sunday 29 March 2026, 01:59:59 */
        {1774746000000, 6, 3, 20541}, /* a second later it is three */
        {1792886400000, 6, 2, 20751}, /* 25 October 2026, two o'clock for the first time */
        {1792890000000, 6, 2, 20751}, /* and for the second */
        {1792893600000, 6, 3, 20751},
        {1767222000000, 3, 0, 20454}, /* Thursday 1 January 2026, midnight */
        {1767221999999, 2, 23, 20453},
        {-1, 3, 0, 0}, /* the first second of 1970 there */
        {-3600001, 2, 23, -1},
    };
    struct continuity_zone z;
    SCOPED(buf_finish) struct buf b = {};
    struct made m = {.version = '2', .footer = rome, .n_types = 1};
    assert_int_equal(parse(&m, &z, &b), ERR_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct silence_when w = continuity_local(&z, rows[i].t);
        if (w.weekday != rows[i].weekday || w.hour != rows[i].hour ||
            continuity_local_day(&w) != rows[i].day || w.is_holiday)
            fail_msg("row %zu: weekday %u hour %u day %lld", i, w.weekday, w.hour,
                     (long long)continuity_local_day(&w));
    }
}

static void no_zone_is_utc(void **)
{
    struct continuity_zone none = {};
    utc_ms t = 1795296600000; /* 2026-11-21T21:30:00Z, a Saturday */
    assert_int_equal(continuity_zone_offset(&none, t), 0);
    struct silence_when w = continuity_local(&none, t);
    assert_int_equal(w.weekday, 5);
    assert_int_equal(w.hour, 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_footer_holds_for_all_years),
        cmocka_unit_test(what_is_no_rule_is_refused),
        cmocka_unit_test(changes_are_found_on_their_second),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(any_flipped_byte_is_harmless),
        cmocka_unit_test(the_local_hour_follows_the_zone),
        cmocka_unit_test(no_zone_is_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
