/* Addresses, dates, message ids, and values with parameters. */
#include "mime/mime.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "mime/test/mime_test.h"

/* One address a line: name|local|domain|group */
static void show(const struct mime_addresses *list, struct buf *ret)
{
    buf_clear(ret);
    for (size_t i = 0; i < list->n; i++) {
        const struct mime_address *m = &list->v[i];
        buf_addf(ret, "%s" SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT, i ? "\n" : "",
                 SLICE_ARG(m->name), SLICE_ARG(m->local), SLICE_ARG(m->domain),
                 SLICE_ARG(m->group));
    }
}

static void address_lists_are_read_as_people_mean_them(void **)
{
    static const struct {
        const char *raw, *out;
        unsigned odd;
    } cases[] = {
        {" a@b.c", "|a|b.c|", 0},
        {"a@b, c@d", "|a|b|\n|c|d|", 0},
        {"John Doe <john@example.com>", "John Doe|john|example.com|", 0},
        {"\"Doe, John\" <john@example.com>", "Doe, John|john|example.com|", 0},
        {"\"Joe \\\"Q\\\" \\\\Public\" <j@x>", "Joe \"Q\" \\Public|j|x|", 0},
        {"John Q. Public <j@x>", "John Q. Public|j|x|", 0},
        {"<a@b>", "|a|b|", 0},
        {"a@b (Name in (nested) comment)", "Name in (nested) comment|a|b|", 0},
        /* RFC 5322 appendix A.5 and A.6 */
        {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|pete|silly.test|",
         0},
        {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
         "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end)",
         "Chris Jones|c|public.example|A Group\n|joe|example.org|A Group\n"
         "John|jdoe|one.test|A Group",
         0},
        {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "|||Hidden recipients",
         0},
        {"undisclosed-recipients:;", "|||undisclosed-recipients", 0},
        {"undisclosed-recipients:", "|||undisclosed-recipients", 0},
        {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
         "Mary Smith|mary|example.net|\n|jdoe|test.example|", 0},
        {"<@a,@b:c@d>, e@f", "|c|d|\n|e|f|", 0},
        {"A:a@b;, B:c@d;", "|a|b|A\n|c|d|B", 0},
        {"A: B: c@d;", "|||A\n|c|d|B", 0},
        {"\"quoted local\"@x", "|quoted local|x|", 0},
        {"\"a@b\"@c", "|a@b|c|", 0},
        {"john . doe @ example . com", "|john.doe|example.com|", 0},
        {"user@[192.0.2.1]", "|user|[192.0.2.1]|", 0},
        {"user@[IPv6:2001:db8::1]", "|user|[IPv6:2001:db8::1]|", 0},
        {"=?utf-8?q?J=C3=BCrgen?= <j@x>", "J\xc3\xbcrgen|j|x|", 0},
        {"=?utf-8?q?J=C3=BC?= =?utf-8?q?rgen?= <j@x>", "J\xc3\xbcrgen|j|x|", 0},
        {"\"=?utf-8?q?J=C3=BCrgen?=\" <j@x>", "J\xc3\xbcrgen|j|x|", 0},
        {"J\xc3\xbcrgen <j\xc3\xbcrgen@m\xc3\xbcller.de>",
         "J\xc3\xbcrgen|j\xc3\xbcrgen|m\xc3\xbcller.de|", 0},
        {"root", "|root||", 0},
        {"<MAILER-DAEMON>", "|MAILER-DAEMON||", 0},
        {"Foo <>", "Foo|||", MIME_ODD_ADDRESS},
        {"<>", "", 0},
        {"", "", 0},
        {",,;", "", 0},
        {"No Address Here", "No Address Here|||", MIME_ODD_ADDRESS},
        {"John Doe j@x", "John Doe|j|x|", 0},
        {"<a@b> <c@d>", "|a|b|\n|c|d|", 0},
        {"<a@b, c@d", "|a|b|\n|c|d|", 0},
        {"Foo <<a@b>>", "Foo|a|b|", 0},
        {"\"open <a@b>, c@d", "\"open|a|b|\n|c|d|", 0},
        {"a (open <b@c>, d@e", "a (open|b|c|\n|d|e|", 0},
        {"a@b@c", "|a@b|c|", 0},
        {"<a\r\n @b>", "|a|b|", 0},
        {"\"a\r\n b\" <c@d>", "a b|c|d|", 0},
        {"\"x\x01\"@y", "", MIME_ODD_ADDRESS},
        {"N <x\x7f@y>", "N|||", MIME_ODD_ADDRESS},
        {"x\xff@y", "", MIME_ODD_ADDRESS},
        {"a\\ b@c", "|a b|c|", 0},
    };
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(100000);
        struct mime_addresses list = {0};
        unsigned odd = mime_addresses_parse(slice_str(cases[i].raw), a, &list);
        show(&list, &out);
        check_slice(slice_of(out.p, out.n), cases[i].out, cases[i].raw);
        if (odd != cases[i].odd)
            fail_msg("%s: odd %x", cases[i].raw, odd);
    }
}

static void lists_are_joined_and_cut_at_their_ceiling(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf raw = buf_make(1 << 20);
    struct mime_addresses list = {0};
    for (int i = 0; i < MIME_ADDRESSES_MAX - 1; i++)
        buf_addf(&raw, "%s<u%d@example.com>", i ? ", " : "", i);
    assert_int_equal(mime_addresses_parse(buf_slice(&raw), a, &list), 0);
    assert_int_equal(mime_addresses_parse(SLICE("last@x"), a, &list), 0);
    assert_int_equal(list.n, MIME_ADDRESSES_MAX);
    assert_false(list.is_cut);
    check_slice(list.v[998].local, "u998", "local");
    check_slice(list.v[999].local, "last", "local");
    assert_int_equal(mime_addresses_parse(SLICE("more@x"), a, &list), MIME_ODD_ADDRESSES);
    assert_true(list.is_cut);
    assert_int_equal(list.n, MIME_ADDRESSES_MAX);
}

static void a_full_arena_cuts_the_list(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(300);
    struct mime_addresses list = {0};
    unsigned odd = mime_addresses_parse(SLICE("a@b, c@d, e@f, g@h, i@j, k@l"), a, &list);
    assert_true(odd & MIME_ODD_MEMORY);
}

static void overlong_addresses_are_left_out_and_names_cut(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(100000);
    SCOPED(buf_finish) struct buf raw = buf_make(10000);
    struct mime_addresses list = {0};
    for (int i = 0; i < MIME_ADDRESS_PART_MAX + 1; i++)
        buf_addc(&raw, 'n');
    buf_adds(&raw, SLICE(" <ok@x>, "));
    for (int i = 0; i < MIME_ADDRESS_PART_MAX + 1; i++)
        buf_addc(&raw, 'l');
    buf_adds(&raw, SLICE("@x"));
    unsigned odd = mime_addresses_parse(buf_slice(&raw), a, &list);
    assert_int_equal(odd, MIME_ODD_ADDRESS | MIME_ODD_CUT);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.v[0].name.n, MIME_NAME_MAX);
}

/* ---- dates ------------------------------------------------------------------------------- */

static void dates_are_read_in_all_their_forms(void **)
{
    static const struct {
        const char *raw;
        enum mime_date_result result;
        int64_t seconds;
        int zone_min;
    } cases[] = {
        {" Sat, 21 Nov 2026 21:40:00 +0000", MIME_DATE_OK, 1795297200, 0},
        {"Fri, 21 Nov 1997 09:55:06 -0600", MIME_DATE_OK, 880127706, -360},
        {"Tue, 1 Jul 2003 10:52:37 +0200", MIME_DATE_OK, 1057049557, 120},
        {"Thu, 13 Feb 1969 23:32 -0330", MIME_DATE_OK, -27723480, -210},
        {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
         "               -0330 (Newfoundland Time)",
         MIME_DATE_OK, -27723480, -210},
        {"21 Nov 97 09:55:06 GMT", MIME_DATE_OK, 880106106, 0},
        {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", MIME_DATE_OK, 880127706, -360},
        {"1 Jan 00 00:00:00 EST", MIME_DATE_OK, 946702800, -300},
        {"1 Jan 103 00:00:00 PDT", MIME_DATE_OK, 1041404400, -420},
        {"Sat Nov 21 21:40:00 2026", MIME_DATE_OK, 1795297200, 0},
        {"Sat Nov 21 21:40:00 EST 2026", MIME_DATE_OK, 1795315200, -300},
        {"21-Nov-2026 21:40:00 +0100", MIME_DATE_OK, 1795293600, 60},
        {"Saturday, 21-Nov-26 21:40:00 Z", MIME_DATE_OK, 1795297200, 0},
        {"21 November 2026 9:40 PM", MIME_DATE_OK, 1795297200, 0},
        {"21 Nov 2026 12:00:00 AM", MIME_DATE_OK, 1795219200, 0},
        {"Sat, 21 Nov 2026 21:40:00+01:00", MIME_DATE_OK, 1795293600, 60},
        {"Sat, 21 Nov 2026 21:40:00 GMT+0100", MIME_DATE_OK, 1795293600, 60},
        {"Sat, 21 Nov 2026 21:40:00 +0100 (CET)", MIME_DATE_OK, 1795293600, 60},
        {"Sat, 21 Nov 2026 21:40:00 A", MIME_DATE_OK, 1795297200, 0},
        {"Sat, 21 Nov 2026 21:40:00 -9999", MIME_DATE_OK, 1795297200, 0},
        {"Sat, 21 Nov 2026", MIME_DATE_OK, 1795219200, 0},
        {"2026-11-21T21:40:00.123Z", MIME_DATE_OK, 1795297200, 0},
        {"2026-11-21 21:40:00 +0100", MIME_DATE_OK, 1795293600, 60},
        {"30 Jun 2012 23:59:60 +0000", MIME_DATE_OK, 1341100800, 0},
        {"29 Feb 2024 00:00:00 +0000", MIME_DATE_OK, 1709164800, 0},
        {"29 Feb 2023 00:00:00 +0000", MIME_DATE_IMPOSSIBLE, 0, 0},
        {"31 Apr 2023 00:00:00 +0000", MIME_DATE_IMPOSSIBLE, 0, 0},
        {"0 Jan 2023 00:00:00 +0000", MIME_DATE_IMPOSSIBLE, 0, 0},
        {"1 Jan 2023 24:00:00 +0000", MIME_DATE_IMPOSSIBLE, 0, 0},
        {"1 Jan 2023 10:60:00 +0000", MIME_DATE_IMPOSSIBLE, 0, 0},
        {"1 Jan 0001 10:00:00 +0000", MIME_DATE_IMPOSSIBLE, 0, 0},
        {"1 Jan 0103 00:00:00 PDT", MIME_DATE_OK, 1041404400, -420},
        {"2026-13-21 21:40:00", MIME_DATE_IMPOSSIBLE, 0, 0},
        {"", MIME_DATE_BROKEN, 0, 0},
        {"yesterday", MIME_DATE_BROKEN, 0, 0},
        {"21/11/2026 21:40", MIME_DATE_BROKEN, 0, 0},
        {"1795297200", MIME_DATE_BROKEN, 0, 0},
        {"((((", MIME_DATE_BROKEN, 0, 0},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct mime_date d = {.at = 1};
        enum mime_date_result result = mime_date_parse(slice_str(cases[i].raw), &d);
        int64_t expected = result == MIME_DATE_OK ? cases[i].seconds * 1000 : 1;
        if (result != cases[i].result || d.at != expected || d.zone_min != cases[i].zone_min)
            fail_msg("%s: result %d, %lld, zone %d", cases[i].raw, (int)result,
                     (long long)d.at / 1000, d.zone_min);
    }
}

static void every_day_of_four_centuries_follows_the_one_before(void **)
{
    static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    utc_ms last = 0;
    int n = 0;
    for (int year = 1900; year < 2300; year++) {
        for (int month = 0; month < 12; month++) {
            for (int day = 1; day <= 31; day++) {
                char text[64];
                struct mime_date d;
                snprintf(text, sizeof(text), "%d %s %d 00:00:00 +0000", day, MONTHS[month], year);
                if (mime_date_parse(slice_str(text), &d) != MIME_DATE_OK)
                    continue;
                assert_true(n == 0 || d.at == last + (int64_t)86400 * 1000);
                last = d.at;
                n++;
            }
        }
    }
    assert_int_equal(n, 146097);
}

/* ---- ids --------------------------------------------------------------------------------- */

static void ids_are_read_with_and_without_brackets(void **)
{
    static const struct {
        const char *raw, *out;
    } cases[] = {
        {" <a@b>", "a@b"},
        {"<a@b> <c@d>\r\n <e@f>", "a@b c@d e@f"},
        {"<a@b>(comment)<c@d>", "a@b c@d"},
        {"Your message of \"today\" <a@b>", "a@b"},
        {"<a\r\n b@c>", "ab@c"},
        {"a@b", "a@b"},
        {"message from a@b, c@d", "a@b c@d"},
        {"<a@b", "a@b"},
        {"<a@b<c@d>", "a@b c@d"},
        {"<>", ""},
        {"nothing", ""},
        {"", ""},
        {"<a\x01@b\xff>", "a?@b?"},
        {"<\xc3\xbc@b>", "\xc3\xbc@b"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(100000);
        SCOPED(buf_finish) struct buf out = buf_make(1000);
        struct mime_ids ids;
        assert_int_equal(mime_ids_parse(slice_str(cases[i].raw), a, &ids), 0);
        for (size_t k = 0; k < ids.n; k++)
            buf_addf(&out, "%s" SLICE_FMT, k ? " " : "", SLICE_ARG(ids.v[k]));
        check_slice(slice_of(out.p, out.n), cases[i].out, cases[i].raw);
    }
}

static void of_many_ids_the_first_and_the_last_are_kept(void **)
{
    for (int n = 95; n < 420; n++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(100000);
        SCOPED(buf_finish) struct buf raw = buf_make(100000);
        for (int i = 0; i < n; i++)
            buf_addf(&raw, "<%d@x> ", i);
        struct mime_ids ids;
        unsigned odd = mime_ids_parse(buf_slice(&raw), a, &ids);
        assert_int_equal(odd, n > MIME_IDS_MAX ? MIME_ODD_IDS : 0);
        assert_int_equal(ids.is_cut, n > MIME_IDS_MAX);
        assert_int_equal(ids.n, n < MIME_IDS_MAX ? n : MIME_IDS_MAX);
        for (size_t i = 0; i < ids.n; i++) {
            char expected[32];
            int number = i == 0 ? 0 : n - (int)ids.n + (int)i;
            snprintf(expected, sizeof(expected), "%d@x", number);
            check_slice(ids.v[i], expected, "id");
        }
    }
}

/* ---- parameters -------------------------------------------------------------------------- */

static void parameters_are_read_with_all_their_faults(void **)
{
    static const struct {
        const char *raw, *main, *name, *value;
    } cases[] = {
        {" text/plain; charset=utf-8", "text/plain", "charset", "utf-8"},
        {"text/plain; charset=\"utf-8\"; format=flowed", "text/plain", "format", "flowed"},
        {"text/plain;charset=us-ascii (Plain text)", "text/plain", "charset", "us-ascii"},
        {"text/plain (comment); (x) charset (y) = (z) \"a\"", "text/plain", "charset", "a"},
        {"text/plain charset=utf-8", "text/plain", "charset", "utf-8"},
        {"text / plain; charset=a", "text/plain", "charset", "a"},
        {"text/plain; charset=a name=b", "text/plain", "name", "b"},
        {"text/plain; name=a b (1).pdf; x=y", "text/plain", "name", "a b (1).pdf"},
        {"text/plain;; ; name=\"a\" ;", "text/plain", "name", "a"},
        {"attachment; filename=\"a \\\"b\\\" \\\\c\"", "attachment", "filename", "a \"b\" \\c"},
        {"attachment; filename=\"C:\\dir\\a.txt\"", "attachment", "filename", "C:\\dir\\a.txt"},
        {"attachment; filename=\"open; x=y", "attachment", "x", "y"},
        {"attachment; filename=\"open; x=y", "attachment", "filename", "open"},
        {"attachment; filename=\"a\r\n b.txt\"", "attachment", "filename", "a b.txt"},
        {"attachment; FileName=x", "attachment", "filename", "x"},
        {"attachment; filename=\"=?utf-8?q?=C3=A9.txt?=\"", "attachment", "filename",
         "\xc3\xa9.txt"},
        {"attachment; filename==?utf-8?q?=C3=A9.txt?=", "attachment", "filename", "\xc3\xa9.txt"},
        {"attachment; filename=\"\xc3\xa9\"", "attachment", "filename", "\xc3\xa9"},
        /* RFC 2231 */
        {"application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
         "application/x-stuff", "title", "This is ***fun***"},
        {"application/x-stuff;\r\n title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n"
         " title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n title*2=\"isn't it!\"",
         "application/x-stuff", "title", "This is even more ***fun*** isn't it!"},
        {"message/external-body; URL*1=\"b\"; URL*0=\"a\"", "message/external-body", "url", "ab"},
        {"a/b; name*0=a; name*2=c", "a/b", "name", "a"},
        {"a/b; name*=utf-8''%C3%A9; name=e", "a/b", "name", "\xc3\xa9"},
        {"a/b; name=e; name*=utf-8''%C3%A9", "a/b", "name", "\xc3\xa9"},
        {"a/b; name=e; name*0*=utf-8''%C3; name*1*=%A9", "a/b", "name", "\xc3\xa9"},
        {"a/b; name*=%C3%A9", "a/b", "name", "\xc3\xa9"},
        {"a/b; name*=iso-8859-1'de'%E9%", "a/b", "name", "\xc3\xa9%"},
        {"a/b; name*=utf-8''a%0D%0Ab", "a/b", "name", "a  b"},
        {"a/b; name*0=\"=?utf-8?q?=C3\"; name*1=\"=A9?=\"", "a/b", "name", "\xc3\xa9"},
        {"a/b; boundary=\"=?utf-8?q?x?=\"", "a/b", "boundary", "=?utf-8?q?x?="},
        {"a/b; boundary=\"x y \"", "a/b", "boundary", "x y"},
        {"a/b; boundary=\"simple\r\n boundary\"", "a/b", "boundary", "simple boundary"},
        {"a/b; name=1; name=2", "a/b", "name", "1"},
        {"a/b", "a/b", "name", ""},
        {"; name=x", "", "name", "x"},
        {"", "", "name", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(100000);
        struct mime_params params;
        mime_params_parse(slice_str(cases[i].raw), a, &params);
        check_slice(params.value, cases[i].main, cases[i].raw);
        check_slice(mime_params_get(&params, slice_str(cases[i].name)), cases[i].value,
                    cases[i].raw);
        assert_int_equal(params.odd, 0);
    }
}

static void more_parameters_than_allowed_are_left_out_and_told(void **)
{
    for (int n = MIME_PARAMS_MAX; n <= MIME_PARAMS_MAX + 1; n++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(100000);
        SCOPED(buf_finish) struct buf raw = buf_make(100000);
        buf_adds(&raw, SLICE("a/b"));
        for (int i = 0; i < n; i++)
            buf_addf(&raw, "; p%d=v%d", i, i);
        struct mime_params params;
        mime_params_parse(buf_slice(&raw), a, &params);
        assert_int_equal(params.n, MIME_PARAMS_MAX);
        assert_int_equal(params.odd, n > MIME_PARAMS_MAX ? MIME_ODD_PARAMS : 0);
        check_slice(mime_params_get(&params, SLICE("p63")), "v63", "last");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_lists_are_read_as_people_mean_them),
        cmocka_unit_test(lists_are_joined_and_cut_at_their_ceiling),
        cmocka_unit_test(a_full_arena_cuts_the_list),
        cmocka_unit_test(overlong_addresses_are_left_out_and_names_cut),
        cmocka_unit_test(dates_are_read_in_all_their_forms),
        cmocka_unit_test(every_day_of_four_centuries_follows_the_one_before),
        cmocka_unit_test(ids_are_read_with_and_without_brackets),
        cmocka_unit_test(of_many_ids_the_first_and_the_last_are_kept),
        cmocka_unit_test(parameters_are_read_with_all_their_faults),
        cmocka_unit_test(more_parameters_than_allowed_are_left_out_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
