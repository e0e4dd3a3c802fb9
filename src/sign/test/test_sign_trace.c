/* The trace header: ours is known again, anything else is not. */
#include "sign/sign.h"
#include "sign/canon.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static const uint8_t key[SIGN_TRACE_KEY] = {1, 2, 3};

static const struct sign_trace sample = {.tenant = SLICE("acme"),
                                         .message = SLICE("0123456789abcdefghijklmnop"),
                                         .taken_sec = 1700000000,
                                         .primary = 42};

/* The value of the header that `out` holds. */
static struct slice value_of(const struct buf *out)
{
    struct slice rest = buf_slice(out);
    struct sign_field f;
    assert_true(sign_field_next(&rest, &f));
    assert_int_equal(rest.n, 0);
    assert_true(sign_field_is(&f, SLICE(SIGN_TRACE_NAME)));
    return f.value;
}

static void what_we_made_is_known_again(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    struct sign_trace t;
    struct errinfo ei;
    assert_int_equal(sign_trace_make(key, &sample, &out, &ei), ERR_OK);
    assert_true(slice_starts(
        buf_slice(&out), SLICE("Staffetta-Trace: v=1; t=acme;\r\n\ti=0123456789abcdefghijklmnop;"
                               "\r\n\td=1700000000; p=42;\r\n\ts=")));
    assert_true(sign_trace_check(key, value_of(&out), &t));
    assert_true(slice_eq(t.tenant, sample.tenant));
    assert_true(slice_eq(t.message, sample.message));
    assert_int_equal(t.taken_sec, sample.taken_sec);
    assert_int_equal(t.primary, 42);
}

/* Computed by another program (Python's hmac): the MAC is that of RFC 2104 with SHA-256. */
static void the_mac_is_hmac_sha256(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    struct errinfo ei;
    assert_int_equal(sign_trace_make(key, &sample, &out, &ei), ERR_OK);
    const char *mac = strstr(buf_cstr(&out), "s=");
    assert_non_null(mac);
    assert_string_equal(mac, "s=eC214Ok3YMKAH/OJo1ZwlVN4J0FJryA/TgoJvDc7/kI=\r\n");
}

static void other_folding_does_not_matter(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(1000), folded = buf_make(2000);
    struct sign_trace t;
    assert_int_equal(sign_trace_make(key, &sample, &out, NULL), ERR_OK);
    struct slice value = value_of(&out);
    for (size_t i = 0; i < value.n; i++) {
        if (!sign_is_blank(value.p[i]))
            buf_addc(&folded, value.p[i]);
        if (value.p[i] == ';')
            buf_adds(&folded, SLICE(" \r\n \t"));
    }
    buf_adds(&folded, SLICE("\r\n  "));
    assert_true(sign_trace_check(key, buf_slice(&folded), &t));
    size_t s = (size_t)(strstr(buf_cstr(&folded), "s=") - folded.p) + 6;
    SCOPED(buf_finish) struct buf inside = buf_make(2000);
    buf_add(&inside, folded.p, s);
    buf_adds(&inside, SLICE("\r\n "));
    buf_adds(&inside, slice_skip(buf_slice(&folded), s));
    assert_true(sign_trace_check(key, buf_slice(&inside), &t));
}

static void any_changed_byte_makes_it_a_forgery(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    struct sign_trace t;
    assert_int_equal(sign_trace_make(key, &sample, &out, NULL), ERR_OK);
    struct slice value = value_of(&out);
    for (size_t i = 0; i < value.n; i++) {
        char *at = out.p + (value.p - out.p) + i;
        char was = *at;
        if (sign_is_blank(was))
            continue;
        /* the last digit of the MAC carries two bits that are no part of it */
        if (i + 2 == value.n)
            continue;
        for (int bit = 0; bit < 7; bit++) {
            *at = (char)(was ^ (1 << bit));
            bool is_blank = sign_is_blank(*at); /* '=' of the padding may become a blank or go */
            assert_true(is_blank || !sign_trace_check(key, value, &t) || was == '=');
        }
        *at = was;
    }
    uint8_t other[SIGN_TRACE_KEY] = {1, 2, 4};
    assert_true(sign_trace_check(key, value, &t));
    assert_false(sign_trace_check(other, value, &t));
}

static void parts_cannot_move_between_the_ids(void **)
{
    SCOPED(buf_finish) struct buf one = buf_make(1000), two = buf_make(1000);
    struct sign_trace a = {.tenant = SLICE("ab"), .message = SLICE("c")};
    struct sign_trace b = {.tenant = SLICE("a"), .message = SLICE("bc")};
    assert_int_equal(sign_trace_make(key, &a, &one, NULL), ERR_OK);
    assert_int_equal(sign_trace_make(key, &b, &two, NULL), ERR_OK);
    assert_string_not_equal(strstr(buf_cstr(&one), "s="), strstr(buf_cstr(&two), "s="));
}

static void ids_that_cannot_stand_in_a_header_are_refused(void **)
{
    static const char *const bad[] = {"", "a b", "a;b", "a\r\nb", "\x7f", "\xc3\xa9"};
    struct errinfo ei;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(1000);
        struct sign_trace t = {.tenant = slice_str(bad[i]), .message = SLICE("x")};
        assert_int_equal(sign_trace_make(key, &t, &out, &ei), ERR_INVALID);
        t = (struct sign_trace){.tenant = SLICE("x"), .message = slice_str(bad[i])};
        assert_int_equal(sign_trace_make(key, &t, &out, &ei), ERR_INVALID);
        assert_int_equal(out.n, 0);
    }
    SCOPED(buf_finish) struct buf small = buf_make(20);
    assert_int_equal(sign_trace_make(key, &sample, &small, &ei), ERR_FULL);
    assert_int_equal(small.n, 0);
}

static void nonsense_is_no_trace(void **)
{
    static const char *const bad[] = {
        "",
        "v=1",
        "v=1; t=a; i=b; d=1; p=0; s=",
        "v=2; t=a; i=b; d=1; p=0; s=AAAA",
        "v=1; t=a; i=b; d=-1; p=0; s=AAAA",
        "v=1; t=a; i=b; d=1; p=0; s=AAAA; x=1",
    };
    struct sign_trace t;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(sign_trace_check(key, slice_str(bad[i]), &t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_we_made_is_known_again),
        cmocka_unit_test(the_mac_is_hmac_sha256),
        cmocka_unit_test(other_folding_does_not_matter),
        cmocka_unit_test(any_changed_byte_makes_it_a_forgery),
        cmocka_unit_test(parts_cannot_move_between_the_ids),
        cmocka_unit_test(ids_that_cannot_stand_in_a_header_are_refused),
        cmocka_unit_test(nonsense_is_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
