/* What programs and pages send to log in. */
#include "login/login.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define TEST(name) cmocka_unit_test(name)

static bool is(const char *p, size_t n, const char *want)
{
    return slice_eq(slice_of(p, n), slice_str(want));
}

static void headers_are_read_as_their_rfcs_say(void **)
{
    static const struct {
        const char *header;
        enum login_way way; /* LOGIN_BY_NOTHING: refused */
        const char *address, *secret;
    } rows[] = {
        {"Basic YW5uYUBleGFtcGxlLnRlc3Q6czNjcmV0", LOGIN_BY_PASSWORD, "anna@example.test",
         "s3cret"},
        {"basic   YW5uYUBleGFtcGxlLnRlc3Q6czNjcmV0 ", LOGIN_BY_PASSWORD, "anna@example.test",
         "s3cret"},
        {"Basic YTpiOmM6ZA==", LOGIN_BY_PASSWORD, "a", "b:c:d"},
        {"Basic YTpiOmM6ZA", LOGIN_BY_PASSWORD, "a", "b:c:d"},
        {"Basic YTo=", LOGIN_BY_PASSWORD, "a", ""},
        {"Basic w6Q6w7Y=", LOGIN_BY_PASSWORD, "\xc3\xa4", "\xc3\xb6"},
        {"Bearer sta_abc", LOGIN_BY_TOKEN, "", "sta_abc"},
        {"BEARER sta_abc", LOGIN_BY_TOKEN, "", "sta_abc"},
        {"", LOGIN_BY_NOTHING, "", ""},
        {"Basic", LOGIN_BY_NOTHING, "", ""},
        {"Basic ", LOGIN_BY_NOTHING, "", ""},
        {"Basic YTpi YTpi", LOGIN_BY_NOTHING, "", ""},
        {"Basic YTpi*", LOGIN_BY_NOTHING, "", ""},
        {"Basic OmI=", LOGIN_BY_NOTHING, "", ""},     /* no user */
        {"Basic YWI=", LOGIN_BY_NOTHING, "", ""},     /* no colon */
        {"Basic YTpiCg==", LOGIN_BY_NOTHING, "", ""}, /* a line end */
        {"Bearer", LOGIN_BY_NOTHING, "", ""},
        {"Digest username=x", LOGIN_BY_NOTHING, "", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct login_form f;
        bool is_good = login_read_header(slice_str(rows[i].header), &f);
        if (is_good != (rows[i].way != LOGIN_BY_NOTHING) || f.way != rows[i].way ||
            !is(f.address, f.n_address, rows[i].address) ||
            !is(f.secret, f.n_secret, rows[i].secret))
            fail_msg("%s", rows[i].header);
    }
}

static void a_header_that_is_too_long_is_refused(void **)
{
    char header[LOGIN_HEADER_MAX + 1];
    struct login_form f;
    memset(header, 'A', sizeof(header));
    memcpy(header, "Bearer ", 7);
    assert_false(login_read_header(slice_of(header, sizeof(header)), &f));
    assert_false(login_read_header(slice_of(header, 7 + LOGIN_SECRET_MAX + 1), &f));
    assert_true(login_read_header(slice_of(header, 7 + LOGIN_SECRET_MAX), &f));
}

static void a_log_in_is_a_flat_object_of_texts(void **)
{
    static const struct {
        const char *json;
        enum login_way way; /* LOGIN_BY_NOTHING: refused */
        const char *address, *secret, *name;
    } rows[] = {
        {"{\"address\":\"a@b.test\",\"password\":\"x\"}", LOGIN_BY_PASSWORD, "a@b.test", "x", ""},
        {" {\n\"code\" : \"1234 5678\" , \"address\":\"a\",\"name\":\"Phone\"}\r\n", LOGIN_BY_CODE,
         "a", "1234 5678", "Phone"},
        {"{\"address\":\"a\",\"password\":\"\\\"\\\\\\/\\u00e4\\u20AC\\ud83d\\ude00\"}",
         LOGIN_BY_PASSWORD, "a", "\"\\/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", ""},
        {"{\"address\":\"a\",\"\\u0070assword\":\"x\"}", LOGIN_BY_PASSWORD, "a", "x", ""},
        {"", LOGIN_BY_NOTHING, "", "", ""},
        {"{}", LOGIN_BY_NOTHING, "", "", ""},
        {"[]", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"password\":\"a\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"x\",\"code\":\"1\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"address\":\"b\",\"password\":\"x\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":1}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"x\",}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"x\"}}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"x\"", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"\\n\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"\\u0000\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"\\ud83d\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"\\ude00\\ud83d\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"x\",\"admin\":\"1\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"\\x\"}", LOGIN_BY_NOTHING, "", "", ""},
        {"{\"address\":\"a\",\"password\":\"\\", LOGIN_BY_NOTHING, "", "", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct login_form f;
        const char *why;
        bool is_good = login_read_json(slice_str(rows[i].json), &f, &why);
        if (is_good != (rows[i].way != LOGIN_BY_NOTHING) || f.way != rows[i].way ||
            is_good != !why || !is(f.address, f.n_address, rows[i].address) ||
            !is(f.secret, f.n_secret, rows[i].secret) || !is(f.name, f.n_name, rows[i].name))
            fail_msg("%s", rows[i].json);
    }
}

/* Cut anywhere it is refused, and nothing of it stays. */
static void what_is_cut_is_refused_and_wiped(void **)
{
    static const char json[] =
        "{\"address\":\"a@b.test\",\"password\":\"\\u00e4pfel\",\"name\":\"x\"}";
    static const struct login_form none;
    for (size_t n = 0; n < sizeof(json) - 1; n++) {
        struct login_form f;
        const char *why;
        assert_false(login_read_json(slice_of(json, n), &f, &why));
        assert_memory_equal(&f, &none, sizeof(f));
    }
}

static void passwords_that_anybody_would_guess_are_refused(void **)
{
    static const struct {
        const char *password;
        bool is_good;
    } rows[] = {
        {"correct horse", true},
        {"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4\xc3\xb6", true},
        {"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4", false},
        {"ninechars", false},
        {"aaaaaaaaaaaaaaa", false},
        {"anna.rossi@example.test", false},
        {"ANNA.ROSSI", false},
        {"with a\ttabulator", false},
        {"sta_abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!login_word_fault(slice_str(rows[i].password), SLICE("anna.rossi@example.test")) !=
            rows[i].is_good)
            fail_msg("%s", rows[i].password);
}

static void what_we_make_is_well_made(void **)
{
    char word[2][LOGIN_WORD_TEXT], token[LOGIN_TOKEN_TEXT], code[LOGIN_CODE_TEXT];
    struct login_change c;
    login_make_word(word[0]);
    login_make_word(word[1]);
    assert_string_not_equal(word[0], word[1]);
    assert_int_equal(strlen(word[0]), LOGIN_WORD_TEXT - 1);
    assert_null(login_word_fault(slice_str(word[0]), SLICE("anna@example.test")));
    login_make_token(&c, 1, LOGIN_APP, SLICE("x"), 0, token);
    assert_int_equal(strlen(token), LOGIN_TOKEN_TEXT - 1);
    assert_memory_equal(token, "sta_", 4);
    login_make_code(&c, 1, 0, code);
    assert_int_equal(strlen(code), LOGIN_CODE_TEXT - 1);
    assert_int_equal(strspn(code, "0123456789"), 4);
    assert_int_equal(strspn(code + 5, "0123456789"), 4);
}

static void a_page_proves_itself_by_what_only_it_can_read(void **)
{
    char csrf[LOGIN_CSRF_TEXT], other[LOGIN_CSRF_TEXT];
    login_csrf(SLICE("sts_one"), csrf);
    login_csrf(SLICE("sts_two"), other);
    assert_int_equal(strlen(csrf), LOGIN_CSRF_TEXT - 1);
    assert_true(login_csrf_fits(SLICE("sts_one"), slice_str(csrf)));
    assert_false(login_csrf_fits(SLICE("sts_one"), slice_str(other)));
    assert_false(login_csrf_fits(SLICE("sts_one"), SLICE("")));
    assert_false(login_csrf_fits(SLICE("sts_one"), slice_of(csrf, LOGIN_CSRF_TEXT - 2)));
}

int main(void)
{
    login_before_sandbox();
    const struct CMUnitTest tests[] = {
        TEST(headers_are_read_as_their_rfcs_say),
        TEST(a_header_that_is_too_long_is_refused),
        TEST(a_log_in_is_a_flat_object_of_texts),
        TEST(what_is_cut_is_refused_and_wiped),
        TEST(passwords_that_anybody_would_guess_are_refused),
        TEST(what_we_make_is_well_made),
        TEST(a_page_proves_itself_by_what_only_it_can_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
