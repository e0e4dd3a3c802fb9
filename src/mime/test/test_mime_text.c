/* Transfer encodings, charsets, encoded words, HTML. */
#include "mime/mime.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "mime/test/mime_test.h"

static bool decode(enum mime_encoding encoding, struct slice in, size_t step, struct buf *out,
                   unsigned *odd)
{
    struct mime_decoder d = mime_decoder_make(encoding);
    bool is_good = true;
    buf_clear(out);
    for (size_t at = 0; at < in.n; at += step) {
        struct slice piece = slice_skip(in, at);
        piece.n = piece.n < step ? piece.n : step;
        is_good = mime_decoder_feed(&d, piece, out) && is_good;
    }
    is_good = mime_decoder_end(&d, out) && is_good;
    *odd = d.odd;
    return is_good;
}

static void transfer_encodings_are_decoded_at_any_split(void **)
{
    static const struct {
        enum mime_encoding encoding;
        const char *in, *out;
        bool is_odd;
    } cases[] = {
        {MIME_ENCODING_BASE64, "aGVsbG8gd29ybGQ=", "hello world", false},
        {MIME_ENCODING_BASE64, "aGVs\r\nbG8g\r\nd29y\r\nbGQ=\r\n", "hello world", false},
        {MIME_ENCODING_BASE64, "aGVsbG8gd29ybGQ", "hello world", false},
        {MIME_ENCODING_BASE64, "aGVsbG8=aGVsbG8=", "hellohello", false},
        {MIME_ENCODING_BASE64, "aGVs*bG8=", "hello", true},
        {MIME_ENCODING_BASE64, "aGVsb", "hel", true},
        {MIME_ENCODING_BASE64, "a", "", true},
        {MIME_ENCODING_BASE64, "", "", false},
        {MIME_ENCODING_BASE64, "====", "", false},
        {MIME_ENCODING_BASE64, "/+8-_w==", "\xff\xef\x3e\xff", false},
        {MIME_ENCODING_QP, "caf=C3=A9 =\r\nau lait \t\r\nend", "caf\xc3\xa9 au lait\r\nend", false},
        {MIME_ENCODING_QP, "a=3db=3D", "a=b=", false},
        {MIME_ENCODING_QP, "a=\nb= \t\nc=", "abc", false},
        {MIME_ENCODING_QP, "a  b\t c  ", "a  b\t c", false},
        {MIME_ENCODING_QP, "1=2\n=\x01x=4", "1=2\n=\x01x=4", true},
        {MIME_ENCODING_QP, "100%==3D=", "100%==", true},
        {MIME_ENCODING_QP, "=3D\n\n=3D\r\n\r\n", "=\n\n=\r\n\r\n", false},
        {MIME_ENCODING_QP, "a\rb", "a\rb", false},
        {MIME_ENCODING_IDENTITY, "a=3D \n", "a=3D \n", false},
        {MIME_ENCODING_UNKNOWN, "a=3D \n", "a=3D \n", false},
    };
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    for (size_t i = 0; i < N_OF(cases); i++) {
        for (size_t step = 1; step < 30; step++) {
            unsigned odd;
            assert_true(decode(cases[i].encoding, slice_str(cases[i].in), step, &out, &odd));
            check_slice(buf_slice(&out), cases[i].out, cases[i].in);
            assert_int_equal(odd == MIME_ODD_BYTES, cases[i].is_odd);
        }
    }
}

static void a_decoder_stops_at_the_ceiling_with_what_fits(void **)
{
    static const struct {
        enum mime_encoding encoding;
        const char *in;
    } cases[] = {
        {MIME_ENCODING_BASE64, "aGVsbG8gd29ybGQ="},
        {MIME_ENCODING_QP, "hello=20world"},
        {MIME_ENCODING_QP, "hello=20world\n"},
        {MIME_ENCODING_IDENTITY, "hello world"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        for (size_t max = 1; max < 11; max++) {
            SCOPED(buf_finish) struct buf out = buf_make(max);
            unsigned odd;
            assert_false(decode(cases[i].encoding, slice_str(cases[i].in), 3, &out, &odd));
            assert_false(out.failed);
            assert_int_equal(out.n, max);
            assert_memory_equal(out.p, "hello world", max);
            assert_int_equal(odd, MIME_ODD_CUT);
        }
    }
}

static void long_runs_of_blanks_in_quoted_printable_are_bounded(void **)
{
    SCOPED(buf_finish) struct buf in = buf_make(10000);
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    unsigned odd;
    for (int i = 0; i < 500; i++)
        buf_addc(&in, ' ');
    buf_addc(&in, 'x');
    for (size_t step = 1; step < 600; step += 37) {
        assert_true(decode(MIME_ENCODING_QP, buf_slice(&in), step, &out, &odd));
        assert_true(slice_eq(buf_slice(&out), buf_slice(&in)));
    }
}

static void encodings_are_named_as_people_write_them(void **)
{
    static const struct {
        const char *text;
        enum mime_encoding encoding;
    } cases[] = {
        {" base64", MIME_ENCODING_BASE64},     {"BASE64 (yes)", MIME_ENCODING_BASE64},
        {"\"base64\"", MIME_ENCODING_BASE64},  {"Quoted-Printable;", MIME_ENCODING_QP},
        {"7bit", MIME_ENCODING_IDENTITY},      {"", MIME_ENCODING_IDENTITY},
        {"8BIT\r\n", MIME_ENCODING_IDENTITY},  {"binary", MIME_ENCODING_IDENTITY},
        {"x-uuencode", MIME_ENCODING_UNKNOWN}, {"base 64", MIME_ENCODING_UNKNOWN},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        assert_int_equal(mime_encoding_of(slice_str(cases[i].text)), cases[i].encoding);
}

/* ---- charsets ---------------------------------------------------------------------------- */

static void charsets_become_utf8(void **)
{
    static const struct {
        const char *charset, *in, *out;
        unsigned odd;
    } cases[] = {
        {"utf-8", "caf\xc3\xa9", "caf\xc3\xa9", 0},
        {"UTF8", "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80", 0},
        {"utf-8",
         "a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b",
         MIME_ODD_BYTES},
        {"utf-8", "\xe2\x82", "\xef\xbf\xbd", MIME_ODD_BYTES},
        {"utf-8", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", MIME_ODD_BYTES},
        {"utf-8", "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", MIME_ODD_BYTES},
        {"utf-8", "\xf0\x9f\x98x", "\xef\xbf\xbdx", MIME_ODD_BYTES},
        {"iso-8859-1", "caf\xe9", "caf\xc3\xa9", 0},
        {"ISO-8859-1", "\x80\x93", "\xe2\x82\xac\xe2\x80\x9c", 0},
        {"Windows-1252", "\x9f\xff", "\xc5\xb8\xc3\xbf", 0},
        {"us-ascii", "caf\xc3\xa9", "caf\xc3\xa9", 0},
        {"us-ascii", "caf\xe9", "caf\xc3\xa9", 0},
        {"", "caf\xe9!", "caf\xc3\xa9!", 0},
        {"\"iso-8859-15\"", "\xa4", "\xe2\x82\xac", 0},
        {"iso-8859-2*pl", "\xb3", "\xc5\x82", 0},
        {"koi8-r", "\xcd\xc9\xd2", "\xd0\xbc\xd0\xb8\xd1\x80", 0},
        {"windows-1251", "\xec\xe8\xf0", "\xd0\xbc\xd0\xb8\xd1\x80", 0},
        {"gb2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd", 0},
        {"big5", "\xa7\x41\xa6\x6e", "\xe4\xbd\xa0\xe5\xa5\xbd", 0},
        {"shift_jis", "\x93\xfa\x96\x7b", "\xe6\x97\xa5\xe6\x9c\xac", 0},
        {"iso-2022-jp", "\x1b$BF|K\\\x1b(B", "\xe6\x97\xa5\xe6\x9c\xac", 0},
        {"euc-kr", "\xc7\xd1", "\xed\x95\x9c", 0},
        {"utf-7", "a+AOk-b",
         "a\xc3\xa9"
         "b",
         0},
        {"x-nonsense", "caf\xc3\xa9\xff", "caf\xc3\xa9\xef\xbf\xbd",
         MIME_ODD_CHARSET | MIME_ODD_BYTES},
        {"iso-2022-cn-ext", "abc", "abc", MIME_ODD_CHARSET},
        {"../../etc/passwd", "abc", "abc", MIME_ODD_CHARSET},
        {"gb2312",
         "\xff"
         "a",
         "\xef\xbf\xbd"
         "a",
         MIME_ODD_BYTES},
        {"gb2312", "a\xc4", "a\xef\xbf\xbd", MIME_ODD_BYTES},
    };
    assert_int_equal(mime_charset_preload(), 0);
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(100);
        unsigned odd =
            mime_charset_decode(slice_str(cases[i].charset), slice_str(cases[i].in), &out);
        check_slice(buf_slice(&out), cases[i].out, cases[i].charset);
        assert_int_equal(odd, cases[i].odd);
        assert_true(mime_utf8_is_valid(buf_slice(&out)));
    }
}

static void text_is_cut_between_characters(void **)
{
    struct slice s = SLICE("a\xe2\x82\xac\xe2\x82\xac");
    static const size_t expected[] = {0, 1, 1, 1, 4, 4, 4, 7, 7};
    for (size_t max = 0; max < N_OF(expected); max++) {
        assert_int_equal(mime_utf8_cut(s, max), expected[max]);
        if (max == 0)
            continue;
        SCOPED(buf_finish) struct buf out = buf_make(max);
        unsigned odd = mime_charset_decode(SLICE("utf-8"), s, &out);
        assert_int_equal(out.n, expected[max]);
        assert_int_equal(odd, max < 7 ? MIME_ODD_CUT : 0);
    }
}

static void a_text_that_is_not_its_charset_at_all_costs_little(void **)
{
    enum { N = 4 * 1024 * 1024 };
    SCOPED(buf_finish) struct buf in = buf_make(N);
    SCOPED(buf_finish) struct buf out = buf_make(3 * N);
    memset(buf_room(&in, N), 0xff, N);
    assert_int_equal(mime_charset_decode(SLICE("gb2312"), buf_slice(&in), &out), MIME_ODD_BYTES);
    assert_int_equal(out.n, 3 * N);
}

/* ---- header text ------------------------------------------------------------------------- */

static void header_text_becomes_one_line_of_utf8(void **)
{
    static const struct {
        const char *raw, *out;
        unsigned odd;
    } cases[] = {
        {" plain ", "plain", 0},
        {" folded\r\n\tline\n  here", "folded line  here", 0},
        /* the examples of RFC 2047 section 8 */
        {"=?ISO-8859-1?Q?a?=", "a", 0},
        {"=?ISO-8859-1?Q?a?= b", "a b", 0},
        {"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab", 0},
        {"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab", 0},
        {"=?ISO-8859-1?Q?a?=\r\n       =?ISO-8859-1?Q?b?=", "ab", 0},
        {"=?ISO-8859-1?Q?a_b?=", "a b", 0},
        {"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b", 0},
        {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
         " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
         "If you can read this you understand the example.", 0},
        /* a character split between two words, which RFC 2047 forbids and senders do */
        {"=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=", "caf\xc3\xa9", 0},
        {"=?UTF-8?B?4oI=?=\r\n =?utf-8?b?rA==?=", "\xe2\x82\xac", 0},
        {"=?utf-8*en?q?x?=", "x", 0},
        {"a=?utf-8?q?b?=c", "abc", 0},
        {"=?utf-8?q?what?\?=", "what?", 0},
        {"=?utf-8?q?a b?=", "a b", 0},
        {"=?utf-8?q?\?=", "", 0},
        {"=?utf-8?q?=3D=3F=?=", "=?=", 0},
        {"=?utf-8?x?abc?=", "=?utf-8?x?abc?=", 0},
        {"=?utf-8?q?abc", "=?utf-8?q?abc", 0},
        {"=??q?abc?=", "=??q?abc?=", 0},
        {"=?", "=?", 0},
        {"a = b", "a = b", 0},
        {"=?nonsense?q?abc=FF?=", "abc\xef\xbf\xbd", MIME_ODD_CHARSET | MIME_ODD_BYTES},
        {"=?utf-8?q?a=0D=0ABcc:_x=00y?=", "a  Bcc: x y", 0},
        {"raw caf\xc3\xa9", "raw caf\xc3\xa9", 0},
        {"raw caf\xe9", "raw caf\xc3\xa9", 0},
        {"=?gb2312?B?xOO6ww==?= hi", "\xe4\xbd\xa0\xe5\xa5\xbd hi", 0},
        {"=?iso-2022-jp?B?GyRCRnwbKEI=?= =?iso-2022-jp?B?GyRCS1wbKEI=?=",
         "\xe6\x97\xa5\xe6\x9c\xac", 0},
        {"tab\there", "tab here", 0},
        {"", "", 0},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(200);
        unsigned odd = mime_header_text(slice_str(cases[i].raw), &out);
        check_slice(slice_of(out.p, out.n), cases[i].out, cases[i].raw);
        assert_int_equal(odd, cases[i].odd);
    }
}

static void strict_header_text_decodes_only_where_it_is_allowed(void **)
{
    static const struct {
        const char *raw, *text;
    } cases[] = {
        {" plain", "plain"},
        {"  a  b ", "a  b "},
        {" a\r\n\tb", "a\tb"},
        {" =?utf-8?q?caf=C3=A9?= x", "caf\xc3\xa9 x"},
        {" =?utf-8?q?a?= =?utf-8?b?Yg==?=", "ab"},
        {" =?utf-8?q?a?=\r\n =?iso-8859-1?q?=E9?=", "a\xc3\xa9"},
        {"x=?utf-8?q?a?=", "x=?utf-8?q?a?="},
        {"=?utf-8?q?a?=x", "=?utf-8?q?a?=x"},
        {"=?utf-8?q?a b?=", "=?utf-8?q?a b?="},
        {"(=?utf-8?q?a?=)", "(=?utf-8?q?a?=)"},
        {"=?x-never?q?a?=", "=?x-never?q?a?="},
        {"=?utf-8?q?a=00=0Ab=09?= c", "ab c"},
        {"a\x01z", "az"},
        {"r\xe9sum\xe9", "r\xc3\xa9sum\xc3\xa9"},
    };
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    for (size_t i = 0; i < N_OF(cases); i++) {
        buf_clear(&out);
        (void)mime_header_text_strict(slice_str(cases[i].raw), &out); /* odd or not */
        check_slice(buf_slice(&out), cases[i].text, cases[i].raw);
    }
}

static void letters_and_marks_are_composed(void **)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"e\xcc\x81", "\xc3\xa9"},
        {"\xc3\xa9", "\xc3\xa9"},
        {"a\xcc\xa3\xcc\x82", "\xe1\xba\xad"},                    /* dot below, circumflex */
        {"a\xcc\x82\xcc\xa3", "\xe1\xba\xad"},                    /* the other way round */
        {"a\xcc\x81\xcc\x81", "\xc3\xa1\xcc\x81"},                /* the second one is blocked */
        {"\xcc\x81x", "\xcc\x81x"},                               /* a mark of nothing */
        {"\xe2\x84\xab", "\xc3\x85"},                             /* the Angstrom sign */
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"}, /* Hangul */
        {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},             /* excluded from composition */
        {"\xe0\xaf\x86\xe0\xae\xbe", "\xe0\xaf\x8a"},             /* Tamil: no mark, but composed */
        {"\xcc\xa0\xe0\xbd\xb5", "\xe0\xbd\xb1\xe0\xbd\xb4\xcc\xa0"}, /* Tibet */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(1000);
        mime_utf8_compose(slice_str(cases[i].in), &out);
        check_slice(buf_slice(&out), cases[i].out, cases[i].in);
    }
    SCOPED(buf_finish) struct buf many = buf_make(5000), out = buf_make(5000);
    for (int i = 0; i < 1000; i++)
        buf_addf(&many, "\xcc\x81");
    mime_utf8_compose(buf_slice(&many), &out);
    assert_true(slice_eq(buf_slice(&many), buf_slice(&out)));
}

static void long_header_text_is_cut_at_a_character(void **)
{
    static const char *const cases[] = {"=?utf-8?q?1234567=E2=82=AC?=", "1234567\xe2\x82\xac",
                                        "1234=?utf-8?q?567?=\xe2\x82\xac tail"};
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(9);
        assert_int_equal(mime_header_text(slice_str(cases[i]), &out), MIME_ODD_CUT);
        check_slice(slice_of(out.p, out.n), "1234567", cases[i]);
    }
}

/* ---- HTML -------------------------------------------------------------------------------- */

static void html_gives_its_words(void **)
{
    static const struct {
        const char *html, *text;
    } cases[] = {
        {"<p>One</p><p>two &amp; three</p>", "One two & three"},
        {"fo<b>o</b>l and <SPAN class=\"a>b\">bar</SPAN>s", "fool and bars"},
        {"a<br>b<td>c", "a b c"},
        {"<style>p { color: red }</style>x<script>if (a < b) y();</script>z", "x z"},
        {"<STYLE>a</sTyLe foo>x<style>never ends", "x"},
        {"<script></scripty></script>x", "x"},
        {"<title>no</title><body>yes", "yes"},
        {"a<!-- <p>no</p> -->b<!-->c<!doctype x>d<?xml x?>e", "abcde"},
        {"a<!-- never ends", "a"},
        {"1 < 2 && 3 > 2 <3 </ x>y", "1 < 2 && 3 > 2 <3 y"},
        {"<a href='x>y'>link</a", "link"},
        {"&lt;&gt;&quot;&apos;&nbsp;&eacute;&euro;&hellip;&Auml;&frac12;",
         "<>\"' \xc3\xa9\xe2\x82\xac\xe2\x80\xa6\xc3\x84\xc2\xbd"},
        {"&#65;&#x42;&#X43;&#8364;&#x1F600;&#128;", "ABC\xe2\x82\xac\xf0\x9f\x98\x80\xe2\x82\xac"},
        {"&#0;&#xD800;&#9999999999;", "&#0;\xef\xbf\xbd\xef\xbf\xbd"},
        {"&unknown; &amp &;&", "&unknown; & &;&"},
        {"&zwnj;&nbsp;&zwnj;&nbsp;x&shy;&#847; y\xe2\x80\x8b", "x\xc2\xad\xcd\x8f y\xe2\x80\x8b"},
        {" \n\t lots \r\n of   space ", "lots of space"},
        {"\xe3\x80\x80wide\xe3\x80\x80"
         "blanks",
         "wide blanks"},
        {"", ""},
        {"<", "<"},
        {"</", ""},
        {"<p", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(200);
        assert_int_equal(mime_html_text(slice_str(cases[i].html), &out), 0);
        check_slice(slice_of(out.p, out.n), cases[i].text, cases[i].html);
    }
}

static void attributes_for_people_are_words_to_search_for(void **)
{
    static const struct {
        const char *html, *text;
    } cases[] = {
        {"<img alt='a cat' src=x>y", "a cat y"},
        {"<IMG SRC=\"a.png\" ALT=\"caf&eacute; &amp; 1 < 2\">", "caf\xc3\xa9 & 1 < 2"},
        {"a<b title=no>b</b>c", "a no bc"},
        {"<p title = 'two  words' class=alt>x</p>", "two words x"},
        {"<img alt=word/>x", "word/ x"},
        {"<img alt=''>x<img alt>y<img alt=>z", "x y z"},
        {"<a data-alt=no data-title='no' alts=no>x</a>", "x"},
        {"</p title='no'>x", "x"},
        {"<style title='s'>no</style>x", "s x"},
        {"<img alt='never ends", "never ends"},
        {"<img alt=\"a>b\" title='c'>", "a>b c"},
        {"<img = alt=x /alt=y>", "x y"},
        {"<!-- <img alt=no> -->x<!doctype alt=no>", "x"},
        {"<", "<"},
        {"<img", ""},
        {"<img alt", ""},
        {"<img alt=", ""},
        {"<img alt='", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(200);
        assert_int_equal(mime_html_words(slice_str(cases[i].html), &out), 0);
        check_slice(slice_of(out.p, out.n), cases[i].text, cases[i].html);
    }
    SCOPED(buf_finish) struct buf out = buf_make(8);
    assert_int_equal(mime_html_words(SLICE("<img alt='a long text of words'>"), &out),
                     MIME_ODD_CUT);
}

static void plain_text_is_folded_and_its_marks_stay(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(200);
    assert_int_equal(mime_plain_text(SLICE("> a <b>\r\n\r\n&amp;\xc2\xa0 c\n"), &out), 0);
    check_slice(buf_slice(&out), "> a <b> &amp; c", "plain");
    SCOPED(buf_finish) struct buf small = buf_make(4);
    assert_int_equal(mime_plain_text(SLICE("abc def"), &small), MIME_ODD_CUT);
    check_slice(buf_slice(&small), "abc", "cut");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfer_encodings_are_decoded_at_any_split),
        cmocka_unit_test(a_decoder_stops_at_the_ceiling_with_what_fits),
        cmocka_unit_test(long_runs_of_blanks_in_quoted_printable_are_bounded),
        cmocka_unit_test(encodings_are_named_as_people_write_them),
        cmocka_unit_test(charsets_become_utf8),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(a_text_that_is_not_its_charset_at_all_costs_little),
        cmocka_unit_test(header_text_becomes_one_line_of_utf8),
        cmocka_unit_test(strict_header_text_decodes_only_where_it_is_allowed),
        cmocka_unit_test(letters_and_marks_are_composed),
        cmocka_unit_test(long_header_text_is_cut_at_a_character),
        cmocka_unit_test(html_gives_its_words),
        cmocka_unit_test(attributes_for_people_are_words_to_search_for),
        cmocka_unit_test(plain_text_is_folded_and_its_marks_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
