/* Canonical forms, body digests, tag lists, base64. Samples of RFC 6376 section 3.4.5 and RFC 8463
 * appendix A among them. */
#include "sign/canon.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static struct sign_field field_of(const char *text)
{
    struct slice rest = slice_str(text);
    struct sign_field f;
    assert_true(sign_field_next(&rest, &f));
    assert_int_equal(rest.n, 0);
    return f;
}

static void a_header_is_cut_into_fields_with_their_folds(void **)
{
    struct sign_message *m = mem_new(sizeof(*m));
    assert_true(
        sign_message_split(SLICE("A: X\r\nB : Y\t\r\n\tZ  \r\nno colon\r\nC:\r\n\r\nbody"), m));
    assert_int_equal(m->n_fields, 4);
    assert_true(slice_eq(m->fields[0].raw, SLICE("A: X\r\n")));
    assert_true(sign_field_is(&m->fields[1], SLICE("b")));
    assert_true(slice_eq(m->fields[1].value, SLICE(" Y\t\r\n\tZ  ")));
    assert_int_equal(m->fields[2].name.n, 0);
    assert_int_equal(m->fields[3].value.n, 0);
    assert_true(slice_eq(m->body, SLICE("body")));
    assert_true(sign_message_split(SLICE("A: X"), m));
    assert_true(slice_eq(m->fields[0].value, SLICE(" X")));
    assert_int_equal(m->body.n, 0);
    assert_true(sign_message_split(SLICE("\r\nbody"), m));
    assert_int_equal(m->n_fields, 0);
    assert_true(slice_eq(m->body, SLICE("body")));
    mem_free(&m);
}

static void a_header_over_its_limits_is_refused(void **)
{
    struct sign_message *m = mem_new(sizeof(*m));
    SCOPED(buf_finish) struct buf b = buf_make(3 * SIGN_HEADER_MAX);
    for (int i = 0; i < SIGN_FIELDS_MAX; i++)
        buf_adds(&b, SLICE("A: b\r\n"));
    assert_true(sign_message_split(buf_slice(&b), m));
    buf_adds(&b, SLICE("A: b\r\n"));
    assert_false(sign_message_split(buf_slice(&b), m));
    buf_clear(&b);
    buf_adds(&b, SLICE("A:"));
    memset(buf_room(&b, SIGN_HEADER_MAX), 'x', SIGN_HEADER_MAX);
    assert_false(sign_message_split(buf_slice(&b), m));
    mem_free(&m);
}

static void fields_take_their_canonical_form(void **)
{
    static const struct {
        const char *raw, *simple, *relaxed;
    } rows[] = {
        {"A: X\r\n", "A: X\r\n", "a:X\r\n"},
        {"B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
        {"Subject:\r\n \r\n  a \t  b\r\n", "Subject:\r\n \r\n  a \t  b\r\n", "subject:a b\r\n"},
        {"C:\r\n", "C:\r\n", "c:\r\n"},
        {"C: \t \r\n", "C: \t \r\n", "c:\r\n"},
        {"D: end", "D: end\r\n", "d:end\r\n"},
        {"E: a\rb \nc\r\n", "E: a\rb \nc\r\n", "e:a\rb \nc\r\n"},
        {"F:a:b\r\n", "F:a:b\r\n", "f:a:b\r\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(1000);
        struct sign_field f = field_of(rows[i].raw);
        sign_canon_field(SIGN_SIMPLE, &f, &b);
        assert_string_equal(buf_cstr(&b), rows[i].simple);
        buf_clear(&b);
        sign_canon_field(SIGN_RELAXED, &f, &b);
        assert_string_equal(buf_cstr(&b), rows[i].relaxed);
    }
}

static void the_signature_is_taken_out_of_its_own_field(void **)
{
    static const struct {
        const char *raw, *b, *simple, *relaxed;
    } rows[] = {
        {"S: b=ab\r\n c; d=e\r\n", "ab\r\n c", "S: b=; d=e", "s:b=; d=e"},
        {"S: d=e; b=\r\n\tabc \r\n", "abc", "S: d=e; b=", "s:d=e; b="},
        {"S: d=e;\r\n b=\r\n", "", "S: d=e;\r\n b=", "s:d=e; b="},
        {"S: b = abc ;\r\n d=e\r\n", "abc", "S: b =;\r\n d=e", "s:b =; d=e"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(1000);
        struct sign_field f = field_of(rows[i].raw);
        const char *at = strstr(rows[i].raw, rows[i].b);
        struct slice value = slice_of(at, strlen(rows[i].b));
        sign_canon_own(SIGN_SIMPLE, &f, value, &b);
        assert_string_equal(buf_cstr(&b), rows[i].simple);
        buf_clear(&b);
        sign_canon_own(SIGN_RELAXED, &f, value, &b);
        assert_string_equal(buf_cstr(&b), rows[i].relaxed);
    }
}

static const struct {
    const char *body, *simple, *relaxed;
} bodies[] = {
    {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
    {"", "\r\n", ""},
    {"\r\n", "\r\n", ""},
    {"\r\n\r\n\r\n", "\r\n", ""},
    {" \t\r\n\r\n", " \t\r\n", ""},
    {"no end", "no end\r\n", "no end\r\n"},
    {"no end \t", "no end \t\r\n", "no end\r\n"},
    {"a\r\n\r\n \r\nb\r\n \r\n", "a\r\n\r\n \r\nb\r\n \r\n", "a\r\n\r\n\r\nb\r\n"},
    {"\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
    {"a\rb\nc\r\r\n", "a\rb\nc\r\r\n", "a\rb\nc\r\r\n"},
    {"\t\ta\t\tb\r\n", "\t\ta\t\tb\r\n", " a b\r\n"},
};

static void check_digest(enum sign_canon c, struct slice body, struct slice canonical)
{
    for (size_t limit = 0; limit <= canonical.n + 1; limit++) {
        uint8_t sha[SIGN_DIGEST];
        struct sign_digest d = {.limit = limit};
        sign_canon_body(c, body, &d, 1);
        assert_int_equal(d.is_partial, limit < canonical.n);
        assert_int_equal(d.is_short, limit > canonical.n);
        sign_sha256(slice_of(canonical.p, limit < canonical.n ? limit : canonical.n), sha);
        assert_memory_equal(d.sha256, sha, SIGN_DIGEST);
    }
}

static void bodies_take_their_canonical_form_up_to_any_limit(void **)
{
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct slice body = slice_str(bodies[i].body);
        check_digest(SIGN_SIMPLE, body, slice_str(bodies[i].simple));
        check_digest(SIGN_RELAXED, body, slice_str(bodies[i].relaxed));
    }
}

static void many_digests_come_from_one_pass_over_a_large_body(void **)
{
    SCOPED(buf_finish) struct buf body = buf_make(1000000);
    for (int i = 0; i < 20000; i++)
        buf_addf(&body, "line %d of a body\r\n", i);
    static const uint64_t limits[] = {UINT64_MAX, 0, 8191, 8192, 8193, 100000, 100000, 9999999};
    enum { N = sizeof(limits) / sizeof(limits[0]) };
    for (int c = SIGN_SIMPLE; c <= SIGN_RELAXED; c++) {
        struct sign_digest d[N];
        for (size_t i = 0; i < N; i++)
            d[i].limit = limits[i];
        sign_canon_body((enum sign_canon)c, buf_slice(&body), d, N);
        for (size_t i = 0; i < N; i++) {
            uint8_t sha[SIGN_DIGEST];
            size_t n = limits[i] < body.n ? (size_t)limits[i] : body.n;
            sign_sha256(slice_of(body.p, n), sha);
            assert_memory_equal(d[i].sha256, sha, SIGN_DIGEST);
            assert_int_equal(d[i].is_partial, limits[i] < body.n);
        }
        assert_true(d[N - 1].is_short);
        assert_false(d[0].is_short);
    }
}

static void the_body_of_rfc_8463_has_its_digest(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(100);
    struct sign_digest d = {.limit = UINT64_MAX};
    sign_canon_body(SIGN_RELAXED,
                    SLICE("Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"), &d,
                    1);
    sign_base64_add(&b, d.sha256, SIGN_DIGEST);
    assert_string_equal(buf_cstr(&b), "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
}

static void tag_lists_are_read_or_refused_as_a_whole(void **)
{
    struct sign_tags t;
    assert_true(sign_tags_parse(SLICE(" v=1; a = rsa-sha256 ;\r\n\th=From : To;b=a\r\n b==;"), &t));
    assert_int_equal(t.n, 4);
    assert_true(slice_eq(*sign_tags_get(&t, "a"), SLICE("rsa-sha256")));
    assert_true(slice_eq(*sign_tags_get(&t, "h"), SLICE("From : To")));
    assert_true(slice_eq(*sign_tags_get(&t, "b"), SLICE("a\r\n b==")));
    assert_null(sign_tags_get(&t, "A"));
    assert_true(sign_tags_parse(SLICE("p="), &t));
    assert_int_equal(sign_tags_get(&t, "p")->n, 0);
    static const char *const bad[] = {
        "",         ";",    "v",      "v=1;;a=b", ";v=1",   "=1",    "1v=1",
        "v=1; v=2", "v-=1", "v=\x01", "v=\x7f",   "v=1; t", "a b=c",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(sign_tags_parse(slice_str(bad[i]), &t));
    SCOPED(buf_finish) struct buf many = buf_make(1000);
    for (int i = 0; i <= SIGN_TAGS_MAX; i++)
        buf_addf(&many, "t%d=1;", i);
    assert_false(sign_tags_parse(buf_slice(&many), &t));
}

static void base64_comes_back_and_nonsense_does_not(void **)
{
    uint8_t bytes[300], back[300];
    size_t n;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        SCOPED(buf_finish) struct buf b = buf_make(1000);
        sign_base64_add(&b, bytes, len);
        assert_true(sign_base64_read(buf_slice(&b), back, len, &n));
        assert_int_equal(n, len);
        assert_memory_equal(back, bytes, len);
        assert_false(len > 0 && sign_base64_read(buf_slice(&b), back, len - 1, &n));
    }
    assert_true(sign_base64_read(SLICE("TW\r\n Fu"), back, 3, &n) && n == 3);
    assert_true(sign_base64_read(SLICE("TWE"), back, 3, &n) && n == 2);
    assert_memory_equal(back, "Ma", 2);
    static const char *const bad[] = {"T", "TWFuT", "TW=Fu", "TWE==", "TW-u", "TWFu=", "TW\x80u"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(sign_base64_read(slice_str(bad[i]), back, sizeof(back), &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_cut_into_fields_with_their_folds),
        cmocka_unit_test(a_header_over_its_limits_is_refused),
        cmocka_unit_test(fields_take_their_canonical_form),
        cmocka_unit_test(the_signature_is_taken_out_of_its_own_field),
        cmocka_unit_test(bodies_take_their_canonical_form_up_to_any_limit),
        cmocka_unit_test(many_digests_come_from_one_pass_over_a_large_body),
        cmocka_unit_test(the_body_of_rfc_8463_has_its_digest),
        cmocka_unit_test(tag_lists_are_read_or_refused_as_a_whole),
        cmocka_unit_test(base64_comes_back_and_nonsense_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
