/* Commands of ours: strings, literals, SASL, names of folders. */
#include "imap/imap.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void strings_take_the_form_that_the_server_can_read(void **)
{
    static const struct {
        unsigned caps;
        const char *s, *expected;
        size_t wait; /* 0: none */
    } cases[] = {
        {0, "", "t LOGIN \"\"\r\n", 0},
        {0, "a b", "t LOGIN \"a b\"\r\n", 0},
        {0, "a\"\\", "t LOGIN \"a\\\"\\\\\"\r\n", 0},
        {0, "\xc3\xa9", "t LOGIN {2}\r\n\xc3\xa9\r\n", 13},
        {0, "a\r\nb LOGOUT", "t LOGIN {11}\r\na\r\nb LOGOUT\r\n", 14},
        {IMAP_CAP_LITERAL_PLUS, "\xc3\xa9", "t LOGIN {2+}\r\n\xc3\xa9\r\n", 0},
        {IMAP_CAP_LITERAL_MINUS, "\xc3\xa9", "t LOGIN {2+}\r\n\xc3\xa9\r\n", 0},
    };
    struct imap_command c;
    imap_command_init(&c);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        imap_command_begin(&c, SLICE("t"), cases[i].caps);
        imap_command_add(&c, "%s ", "LOGIN");
        imap_command_string(&c, slice_str(cases[i].s));
        imap_command_end(&c);
        assert_false(c.failed);
        assert_string_equal(buf_cstr(&c.out), cases[i].expected);
        assert_int_equal(c.n_waits, cases[i].wait > 0);
        if (cases[i].wait)
            assert_int_equal(c.waits[0], cases[i].wait);
    }
    imap_command_finish(&c);
}

static void what_cannot_be_sent_fails(void **)
{
    static char big[IMAP_COMMAND_MAX];
    struct imap_command c;
    imap_command_init(&c);
    imap_command_begin(&c, SLICE("t"), 0);
    imap_command_string(&c, slice_of("a\0b", 3));
    imap_command_end(&c);
    assert_true(c.failed);
    memset(big, 'x', sizeof(big));
    imap_command_begin(&c, SLICE("t"), 0);
    imap_command_string(&c, slice_of(big, sizeof(big)));
    imap_command_end(&c);
    assert_true(c.failed);
    imap_command_begin(&c, SLICE("t"), 0);
    for (int i = 0; i <= IMAP_WAITS_MAX; i++)
        imap_command_string(&c, SLICE("\n"));
    imap_command_end(&c);
    assert_true(c.failed);
    imap_command_begin(&c, SLICE("t"), IMAP_CAP_LITERAL_MINUS);
    imap_command_string(&c, slice_of(big, 5000)); /* LITERAL-: not without asking */
    imap_command_end(&c);
    assert_false(c.failed);
    assert_int_equal(c.n_waits, 1);
    imap_command_finish(&c);
}

static void a_message_is_announced_and_stays_where_it_is(void **)
{
    static char big[300000];
    static const struct {
        unsigned caps;
        struct slice content;
        const char *out;
        size_t wait;
    } cases[] = {
        {0, {"a\r\n", 3}, "t APPEND x {3}\r\n\r\n", 16},
        {IMAP_CAP_LITERAL_PLUS, {"a\r\n", 3}, "t APPEND x {3+}\r\n\r\n", 0},
        {IMAP_CAP_LITERAL_PLUS, {big, sizeof(big)}, "t APPEND x {300000}\r\n\r\n", 21},
        {IMAP_CAP_LITERAL_MINUS, {big, 4096}, "t APPEND x {4096+}\r\n\r\n", 0},
        {IMAP_CAP_LITERAL_MINUS, {big, 4097}, "t APPEND x {4097}\r\n\r\n", 19},
        {IMAP_CAP_BINARY, {"a\0b", 3}, "t APPEND x ~{3}\r\n\r\n", 17},
        {0, {"a\0b", 3}, "t APPEND x {3}\r\n\r\n", 16},
        {IMAP_CAP_BINARY, {"a\xff", 2}, "t APPEND x {2}\r\n\r\n", 16},
    };
    struct imap_command c;
    memset(big, 'x', sizeof(big));
    imap_command_init(&c);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        imap_command_begin(&c, SLICE("t"), cases[i].caps);
        imap_command_add(&c, "APPEND x ");
        imap_command_content(&c, cases[i].content);
        imap_command_end(&c);
        assert_false(c.failed);
        assert_string_equal(buf_cstr(&c.out), cases[i].out);
        assert_int_equal(c.content_at, c.out.n - 2);
        assert_ptr_equal(c.content.p, cases[i].content.p);
        assert_int_equal(c.n_waits, cases[i].wait > 0);
        if (cases[i].wait)
            assert_int_equal(c.waits[0], cases[i].wait);
    }
    imap_command_begin(&c, SLICE("t"), 0);
    assert_int_equal(c.content.n, 0);
    imap_command_finish(&c);
}

static void dates_are_those_of_append(void **)
{
    assert_string_equal(imap_date_time(INT64_C(1795297205123)).s, "21-Nov-2026 21:40:05 +0000");
    assert_string_equal(imap_date_time(0).s, "01-Jan-1970 00:00:00 +0000");
    assert_string_equal(imap_date_time(-1).s, "01-Jan-1970 00:00:00 +0000");
    assert_string_equal(imap_date_time(INT64_MAX).s, "31-Dec-9999 23:59:59 +0000");
    assert_string_equal(imap_date_time(INT64_C(951782400000)).s, "29-Feb-2000 00:00:00 +0000");
}

static void only_flags_are_sent_as_flags(void **)
{
    static const char *const good[] = {"\\Seen", "$Forwarded", "NonJunk", "a.b-c"};
    static const char *const bad[] = {"",     "\\",   "a b",      "a)",  "\\Seen\\", "\\Recent",
                                      "a\rb", "a\"b", "\xc3\xa9", "a]b", "\\*"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(imap_flag_is_sendable(slice_str(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(imap_flag_is_sendable(slice_str(bad[i])));
}

static void sasl_answers_are_those_of_the_standards(void **)
{
    struct buf b = buf_make(1000);
    imap_sasl_plain(&b, SLICE(""), SLICE("tim"), SLICE("tanstaaftanstaaf"));
    assert_string_equal(buf_cstr(&b), "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"); /* RFC 4616 section 4 */
    buf_clear(&b);
    imap_sasl_plain(&b, SLICE("Ursel"), SLICE("Kurt"), SLICE("xipj3plmq"));
    assert_string_equal(buf_cstr(&b), "VXJzZWwAS3VydAB4aXBqM3BsbXE=");
    buf_clear(&b);
    imap_sasl_xoauth2(&b, SLICE("a@b"), SLICE("t"));
    assert_string_equal(buf_cstr(&b), "dXNlcj1hQGIBYXV0aD1CZWFyZXIgdAEB");
    buf_finish(&b);
}

static void names_of_folders_go_there_and_back(void **)
{
    static const struct {
        const char *utf8, *name;
    } cases[] = {
        {"INBOX", "INBOX"},
        {"a & b", "a &- b"},
        {"Entw\xc3\xbcrfe", "Entw&APw-rfe"},
        {"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
         "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, /* RFC 3501 section 5.1.3 */
        {"\xf0\x9f\x93\xac", "&2D3c7A-"},
        {"\xe2\x82\xac&", "&IKw-&-"},
        {"", ""},
    };
    struct buf b = buf_make(1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_clear(&b);
        assert_true(imap_name_encode(slice_str(cases[i].utf8), &b));
        assert_string_equal(buf_cstr(&b), cases[i].name);
        buf_clear(&b);
        assert_true(imap_name_decode(slice_str(cases[i].name), &b));
        assert_string_equal(buf_cstr(&b), cases[i].utf8);
    }
    buf_finish(&b);
}

static void names_that_are_none_leave_nothing(void **)
{
    static const char *const bad_names[] = {
        "a&",       "a&AP",  "&A-",   "&APx-", /* cut, or bits that are left */
        "\xc3\xa9", "&AGE-", "&2D0-", "&3Kw-", "&*-", "a\nb", "&AAA-",
    };
    static const char *const bad_texts[] = {
        "\xff",       "\xc3",         "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "a\xe2\x82z", "\xc3\xa9\x80",
    };
    struct buf b = buf_make(1000);
    buf_adds(&b, SLICE("x"));
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
        assert_false(imap_name_decode(slice_str(bad_names[i]), &b));
    for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++)
        assert_false(imap_name_encode(slice_str(bad_texts[i]), &b));
    assert_string_equal(buf_cstr(&b), "x");
    buf_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_take_the_form_that_the_server_can_read),
        cmocka_unit_test(what_cannot_be_sent_fails),
        cmocka_unit_test(a_message_is_announced_and_stays_where_it_is),
        cmocka_unit_test(dates_are_those_of_append),
        cmocka_unit_test(only_flags_are_sent_as_flags),
        cmocka_unit_test(sasl_answers_are_those_of_the_standards),
        cmocka_unit_test(names_of_folders_go_there_and_back),
        cmocka_unit_test(names_that_are_none_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
