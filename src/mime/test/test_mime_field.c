/* Header fields: where they start and end, and what the walk says about what it did not see. */
#include "mime/mime.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "mime/test/mime_test.h"

static void fields_are_found_with_their_folding_and_offsets(void **)
{
    struct slice m =
        SLICE("Subject: one\r\n two\r\nX-Empty:\r\nTo : a@b\nBroken line\r\n\r\nBody: x");
    static const struct {
        const char *name, *value;
        size_t offset, len;
    } expected[] = {
        {"Subject", " one\r\n two", 0, 20},
        {"X-Empty", "", 20, 10},
        {"To", " a@b", 30, 9},
        {"", "Broken line", 39, 13},
    };
    struct mime_walk w = mime_walk_make(m);
    struct mime_field f;
    for (size_t i = 0; i < N_OF(expected); i++) {
        assert_true(mime_walk_next(&w, &f));
        check_slice(f.name, expected[i].name, "name");
        check_slice(f.value, expected[i].value, expected[i].name);
        assert_int_equal(f.offset, expected[i].offset);
        assert_int_equal(f.len, expected[i].len);
    }
    assert_false(mime_walk_next(&w, &f));
    assert_int_equal(w.state, MIME_WALK_DONE);
    struct mime_split s = mime_split(m);
    assert_int_equal(s.header_offset, 0);
    assert_int_equal(s.header_len, 52);
    assert_int_equal(s.body_offset, 54);
}

static void an_mbox_line_is_passed_over_but_a_from_field_is_not(void **)
{
    static const struct {
        const char *text, *first_name;
        size_t header_offset;
    } cases[] = {
        {"From a@b Thu Jan  1 00:00:00 1970\nTo: x\n\n", "To", 34},
        {"From : a@b\nTo: x\n\n", "From", 0},
        {"From: a@b\nTo: x\n\n", "From", 0},
        {"From x\r\nTo: x\r\n\r\n", "To", 8},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct slice m = slice_str(cases[i].text);
        struct mime_walk w = mime_walk_make(m);
        struct mime_field f;
        assert_true(mime_walk_next(&w, &f));
        check_slice(f.name, cases[i].first_name, cases[i].text);
        assert_int_equal(mime_split(m).header_offset, cases[i].header_offset);
    }
}

static void names_with_blanks_or_controls_are_no_names(void **)
{
    static const char *const cases[] = {"a b: c\n\n",   ": c\n\n",      " a: c\n\n",
                                        "a\x01: c\n\n", "no colon\n\n", "Name\n : c\n\n"};
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct mime_walk w = mime_walk_make(slice_str(cases[i]));
        struct mime_field f;
        assert_true(mime_walk_next(&w, &f));
        check_slice(f.name, "", cases[i]);
        assert_int_equal(f.len, strlen(cases[i]) - 1);
    }
}

static void a_field_behind_a_broken_line_is_still_seen(void **)
{
    struct mime_field f;
    assert_true(mime_field_find(SLICE("To: x\nbroken\nstaffetta-TRACE: y\n\n"),
                                SLICE("Staffetta-Trace"), &f));
    check_slice(f.value, " y", "value");
    assert_false(
        mime_field_find(SLICE("To: x\n\nStaffetta-Trace: y\n"), SLICE("Staffetta-Trace"), &f));
}

static void the_walk_says_when_it_stopped_early(void **)
{
    SCOPED(buf_finish) struct buf many = buf_make(1 << 20);
    for (int i = 0; i <= MIME_HEADER_FIELDS_MAX; i++)
        buf_adds(&many, SLICE("a:b\n"));
    struct mime_field f;
    struct mime_walk w = mime_walk_make(buf_slice(&many));
    int n = 0;
    while (mime_walk_next(&w, &f))
        n++;
    assert_int_equal(n, MIME_HEADER_FIELDS_MAX);
    assert_int_equal(w.state, MIME_WALK_TOO_MANY);
    w = mime_walk_make(slice_skip(buf_slice(&many), 4));
    while (mime_walk_next(&w, &f))
        n--;
    assert_int_equal(n, 0);
    assert_int_equal(w.state, MIME_WALK_DONE);
}

static void a_header_over_its_ceiling_is_cut_and_split_all_the_same(void **)
{
    for (int excess = 0; excess <= 1; excess++) {
        SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
        buf_adds(&b, SLICE("To: x\nLong:"));
        while (b.n < (size_t)MIME_HEADER_BYTES_MAX - 1 + (size_t)excess)
            buf_addc(&b, 'x');
        buf_adds(&b, SLICE("\nHidden: y\n\nbody"));
        struct mime_field f;
        struct mime_walk w = mime_walk_make(buf_slice(&b));
        assert_true(mime_walk_next(&w, &f));
        assert_int_equal(mime_walk_next(&w, &f), excess == 0);
        assert_false(mime_walk_next(&w, &f));
        assert_int_equal(w.state, MIME_WALK_TOO_LONG);
        assert_int_equal(mime_split(buf_slice(&b)).body_offset, b.n - 4);
    }
}

static void nothing_and_header_without_body_are_headers_too(void **)
{
    struct mime_field f;
    struct mime_walk w = mime_walk_make(SLICE(""));
    assert_false(mime_walk_next(&w, &f));
    assert_int_equal(w.state, MIME_WALK_DONE);
    w = mime_walk_make(SLICE("A: b"));
    assert_true(mime_walk_next(&w, &f));
    check_slice(f.value, " b", "value");
    struct mime_split s = mime_split(SLICE("A: b"));
    assert_int_equal(s.header_len, 4);
    assert_int_equal(s.body_offset, 4);
    s = mime_split(SLICE("\r\nbody"));
    assert_int_equal(s.header_len, 0);
    assert_int_equal(s.body_offset, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_with_their_folding_and_offsets),
        cmocka_unit_test(an_mbox_line_is_passed_over_but_a_from_field_is_not),
        cmocka_unit_test(names_with_blanks_or_controls_are_no_names),
        cmocka_unit_test(a_field_behind_a_broken_line_is_still_seen),
        cmocka_unit_test(the_walk_says_when_it_stopped_early),
        cmocka_unit_test(a_header_over_its_ceiling_is_cut_and_split_all_the_same),
        cmocka_unit_test(nothing_and_header_without_body_are_headers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
