/* Buffers, arenas, maps, slices, digests: the ground that everything stands on. */
#include "base/base.h"
#include "base/refuse.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void a_buffer_stops_at_its_ceiling_and_says_so(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(10);
    buf_adds(&b, SLICE("12345678"));
    assert_false(b.failed);
    buf_adds(&b, SLICE("abc"));
    assert_true(b.failed);
    buf_addc(&b, 'x');
    assert_int_equal(b.n, 8);
    assert_string_equal(buf_cstr(&b), "");
    buf_clear(&b);
    buf_addf(&b, "%d-%s", 42, "x");
    assert_string_equal(buf_cstr(&b), "42-x");
}

static void what_is_written_can_be_read_and_short_input_fails(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    buf_u8(&b, 200);
    buf_u16(&b, 60000);
    buf_u32(&b, 4000000000u);
    buf_u64(&b, UINT64_MAX - 1);
    buf_bytes(&b, SLICE("hello"));
    struct reader r = reader_make(buf_slice(&b));
    assert_int_equal(read_u8(&r), 200);
    assert_int_equal(read_u16(&r), 60000);
    assert_int_equal(read_u32(&r), 4000000000u);
    assert_true(read_u64(&r) == UINT64_MAX - 1);
    assert_true(slice_eq(read_bytes(&r, 5), SLICE("hello")));
    assert_false(r.failed);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
    struct reader too_long = reader_make(slice_skip(buf_slice(&b), 15));
    assert_int_equal(read_bytes(&too_long, 4).n, 0);
    assert_true(too_long.failed);
}

static void a_map_finds_what_was_put_after_many_changes(void **)
{
    struct map *m = map_create();
    static int values[5000];
    char key[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5000; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            map_put(m, slice_str(key), &values[i]);
        }
        for (int i = 0; i < 5000; i += 2) {
            snprintf(key, sizeof(key), "k%d", i);
            assert_ptr_equal(map_del(m, slice_str(key)), &values[i]);
            assert_null(map_get(m, slice_str(key)));
        }
        assert_int_equal(map_size(m), 2500);
    }
    size_t at = 0, n = 0;
    void *value;
    while (map_next(m, &at, NULL, &value))
        n++;
    assert_int_equal(n, 2500);
    assert_ptr_equal(map_get(m, SLICE("k4999")), &values[4999]);
    map_destroy(&m);
    assert_null(m);
}

static void a_walk_goes_on_while_its_map_is_emptied(void **)
{
    enum { N = 1000 };
    static int values[N];
    struct map *m = map_create();
    for (uint32_t i = 0; i < N; i++)
        map_put(m, KEY(i), &values[i]);
    struct slice key;
    void *value;
    size_t at = 0, n = 0;
    while (map_next(m, &at, &key, &value)) {
        uint32_t i = (uint32_t)((int *)value - values), other = i ^ 1;
        assert_ptr_equal(map_del(m, key), value);
        assert_ptr_equal(map_del(m, KEY(other)), &values[other]);
        assert_int_equal(values[i]++, 0);
        assert_int_equal(values[other]++, 0);
        n++;
    }
    assert_int_equal(n, N / 2);
    assert_int_equal(map_size(m), 0);
    map_destroy(&m);
}

static void an_arena_refuses_past_its_ceiling(void **)
{
    struct arena *a = arena_create(10000);
    assert_non_null(arena_try(a, 9000));
    assert_null(arena_try(a, 2000));
    arena_reset(a);
    assert_non_null(arena_try(a, 2000));
    assert_string_equal(arena_printf(a, "%s!", "yes"), "yes!");
    arena_destroy(&a);
}

static void numbers_are_read_strictly(void **)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool is_good;
        uint64_t value;
    } cases[] = {
        {"0", 10, true, 0},
        {"10", 10, true, 10},
        {"11", 10, false, 0},
        {"", 10, false, 0},
        {"+1", 10, false, 0},
        {"1 ", 10, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t v = 0;
        assert_int_equal(slice_u64(slice_str(cases[i].text), cases[i].max, &v), cases[i].is_good);
        assert_true(v == cases[i].value);
    }
}

/* Long pieces go another way than short ones. */
static void the_checksum_of_a_long_piece_is_that_of_its_bytes(void **)
{
    static const size_t lengths[] = {3071, 3072, 3073, 3083, 6143, 6144, 10000, 65536};
    static char bytes[65536 + 3];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (char)(x >> 24);
    }
    for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
        const char *p = bytes + k % 3;
        uint32_t crc = 7;
        for (size_t i = 0; i < lengths[k]; i++)
            crc = crc32c(crc, p + i, 1);
        assert_int_equal(crc32c(7, p, lengths[k]), crc);
    }
}

static void the_checksum_is_crc32c(void **)
{
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283); /* RFC 3720's check value */
    uint32_t crc = crc32c(0, "12345", 5);
    assert_int_equal(crc32c(crc, "6789", 4), 0xe3069283);
}

static void dates_are_written_as_the_standards_say(void **)
{
    assert_string_equal(utc_rfc3339(1795297200123).s, "2026-11-21T21:40:00.123Z");
    assert_string_equal(utc_rfc5322(1795297200123).s, "Sat, 21 Nov 2026 21:40:00 +0000");
}

static void every_refusal_is_counted_once(void **)
{
    static struct refuse_count counts[REFUSE_N];
    assert_string_equal(refuse(REFUSE_RELAY, SLICE("10.0.0.1"))->code, "550 5.7.1");
    (void)refuse(REFUSE_RELAY, SLICE(""));
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_RELAY].n, 2);
    assert_string_equal(counts[REFUSE_RELAY].who, "10.0.0.1");
    assert_false(refuse_take_counts(counts));
    for (int i = 0; i < REFUSE_N; i++)
        assert_non_null(refuse_row((enum refuse_id)i)->name);
}

static void an_array_grows_by_doubling_and_keeps_what_is_in_it(void **)
{
    unsigned *v = NULL;
    size_t cap = 0, n_moves = 0;
    for (unsigned n = 0; n < 1000; n++) {
        size_t before = cap;
        v = mem_grow(v, n, &cap, sizeof(*v));
        assert_true(cap > n);
        n_moves += cap != before;
        v[n] = n;
    }
    for (unsigned n = 0; n < 1000; n++)
        assert_int_equal(v[n], n);
    assert_true(n_moves < 10);
    mem_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_grows_by_doubling_and_keeps_what_is_in_it),
        cmocka_unit_test(a_buffer_stops_at_its_ceiling_and_says_so),
        cmocka_unit_test(what_is_written_can_be_read_and_short_input_fails),
        cmocka_unit_test(a_map_finds_what_was_put_after_many_changes),
        cmocka_unit_test(a_walk_goes_on_while_its_map_is_emptied),
        cmocka_unit_test(an_arena_refuses_past_its_ceiling),
        cmocka_unit_test(numbers_are_read_strictly),
        cmocka_unit_test(the_checksum_is_crc32c),
        cmocka_unit_test(the_checksum_of_a_long_piece_is_that_of_its_bytes),
        cmocka_unit_test(dates_are_written_as_the_standards_say),
        cmocka_unit_test(every_refusal_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
