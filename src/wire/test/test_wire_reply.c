/* Replies and abilities, written by a server and read by a client; the PROXY header. */
#include "wire/client.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))
#define S(literal) SLICE(literal)

static void a_reply_has_the_code_in_each_line(void **)
{
    static const struct {
        const char *code, *text, *out;
    } rows[] = {
        {"250", "OK", "250 OK\r\n"},
        {"250 2.0.0", "queued", "250 2.0.0 queued\r\n"},
        {"354", "", "354 \r\n"},
        {"250 2.1.0", "", "250 2.1.0\r\n"},
        {"550 5.1.1", "no such\nmailbox", "550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n"},
        {"550 5.1.1", "a\r\n250 fine\r\n", "550-5.1.1 a\r\n550 5.1.1 250 fine\r\n"},
        {"550", "a\rb\tc\x01\x7f\xc3\xb6", "550 a?b?c????\r\n"},
        {"220", "  x  ", "220 x\r\n"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(1000);
        wire_reply_add(&out, rows[i].code, slice_str(rows[i].text));
        assert_string_equal(buf_cstr(&out), rows[i].out);
    }
}

static void long_text_is_broken_into_lines_of_512_bytes(void **)
{
    SCOPED(buf_finish) struct buf text = buf_make(100000), out = buf_make(100000);
    for (int i = 0; i < 300; i++)
        buf_addf(&text, "%s ", i % 50 ? "word" : "an-uncommonly-long-word-in-between");
    for (int i = 0; i < 2000; i++)
        buf_addc(&text, 'x');
    for (int round = 0; round < 2; round++) {
        buf_clear(&out);
        wire_reply_add(&out, "550 5.7.1", buf_slice(&text));
        struct slice rest = buf_slice(&out);
        unsigned n_lines = 0;
        while (rest.n) {
            struct slice line = slice_cut(rest, '\n', &rest);
            assert_true(line.n <= 511 && line.p[line.n - 1] == '\r');
            assert_true(slice_starts(line, rest.n ? S("550-5.7.1 ") : S("550 5.7.1 ")));
            n_lines++;
        }
        assert_true(round == 0 ? n_lines > 5 : n_lines == 32);
        for (int i = 0; i < 30000; i++)
            buf_adds(&text, S("y\n"));
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

static void replies_are_read_in_any_split(void **)
{
    static const struct {
        struct slice input;
        enum wire_reply_result result;
        unsigned code, n_lines;
        const char *status, *text;
        size_t n_left;
    } rows[] = {
        {S("250 OK\r\n"), WIRE_REPLY_DONE, 250, 1, "", "OK", 0},
        {S("250\r\n"), WIRE_REPLY_DONE, 250, 1, "", "", 0},
        {S("250 \r\n"), WIRE_REPLY_DONE, 250, 1, "", "", 0},
        {S("250 OK\n"), WIRE_REPLY_DONE, 250, 1, "", "OK", 0},
        {S("250 2.1.5 fine\r\n354 go"), WIRE_REPLY_DONE, 250, 1, "2.1.5", "fine", 6},
        {S("550-5.1.1 no\r\n550 5.1.1 body\r\n"), WIRE_REPLY_DONE, 550, 2, "5.1.1", "no\nbody", 0},
        {S("550-no\r\n550 5.1.1 body\r\n"), WIRE_REPLY_DONE, 550, 2, "5.1.1", "no\nbody", 0},
        {S("550 5.1.1\r\n"), WIRE_REPLY_DONE, 550, 1, "5.1.1", "", 0},
        {S("550 4.1.1 odd\r\n"), WIRE_REPLY_DONE, 550, 1, "", "4.1.1 odd", 0},
        {S("550 5.1.1: odd\r\n"), WIRE_REPLY_DONE, 550, 1, "", "5.1.1: odd", 0},
        {S("250-a\r\n250-\r\n250 c\r\n"), WIRE_REPLY_DONE, 250, 3, "", "a\n\nc", 0},
        {S("250 a\rb\0c\t\x7f\xc3\xb6\r\n"), WIRE_REPLY_DONE, 250, 1, "", "a?b?c ?\xc3\xb6", 0},
        {S("250 a\r\r\n"), WIRE_REPLY_DONE, 250, 1, "", "a?", 0},
        {S("250-a\r\n"), WIRE_REPLY_MORE, 250, 1, "", "a", 0},
        {S("25"), WIRE_REPLY_MORE, 0, 0, "", "", 0},
        {S("199 x\r\n"), WIRE_REPLY_NOT_SMTP, 0, 0, "", "", 4},
        {S("600 x\r\n"), WIRE_REPLY_NOT_SMTP, 0, 0, "", "", 4},
        {S("SSH-2.0-x\r\n"), WIRE_REPLY_NOT_SMTP, 0, 0, "", "", 10},
        {S("\r\n250 x\r\n"), WIRE_REPLY_NOT_SMTP, 0, 0, "", "", 8},
        {S("2500 x\r\n"), WIRE_REPLY_NOT_SMTP, 250, 0, "", "", 4},
        {S("250-a\r\n550 b\r\n"), WIRE_REPLY_CODE_MIXED, 250, 1, "", "a", 4},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct slice in = rows[i].input;
        for (size_t piece = 1; piece <= in.n; piece++) {
            struct wire_reply r;
            size_t at = 0;
            wire_reply_init(&r);
            while (at < in.n && r.result == WIRE_REPLY_MORE) {
                size_t used, n = piece < in.n - at ? piece : in.n - at;
                (void)wire_reply_feed(&r, slice_of(in.p + at, n), &used);
                at += used;
                assert_true(used == n || r.result != WIRE_REPLY_MORE);
            }
            assert_int_equal(r.result, rows[i].result);
            assert_int_equal(r.code, rows[i].code);
            assert_int_equal(r.n_lines, rows[i].n_lines);
            assert_string_equal(wire_status_text(r.status).s, rows[i].status);
            assert_string_equal(buf_cstr(&r.text), rows[i].text);
            assert_false(r.is_cut);
            assert_int_equal(in.n - at, rows[i].n_left);
            wire_reply_finish(&r);
        }
    }
}

static void a_result_stays_until_the_reader_is_cleared(void **)
{
    struct wire_reply r;
    size_t used;
    wire_reply_init(&r);
    assert_int_equal(wire_reply_feed(&r, S("250 a\r\n"), &used), WIRE_REPLY_DONE);
    assert_int_equal(wire_reply_feed(&r, S("550 b\r\n"), &used), WIRE_REPLY_DONE);
    assert_int_equal(used, 0);
    assert_int_equal(r.code, 250);
    wire_reply_clear(&r);
    assert_int_equal(wire_reply_feed(&r, S("550 b\r\n"), &used), WIRE_REPLY_DONE);
    assert_int_equal(r.code, 550);
    assert_string_equal(buf_cstr(&r.text), "b");
    wire_reply_finish(&r);
}

static void replies_without_end_are_cut_and_refused(void **)
{
    struct wire_reply r;
    size_t used;
    SCOPED(buf_finish) struct buf in = buf_make(1000000);
    /* a long line is cut */
    buf_adds(&in, S("250 5.0.0"));
    for (int i = 0; i < 5000; i++)
        buf_addc(&in, 'x');
    buf_adds(&in, S("\r\n"));
    wire_reply_init(&r);
    assert_int_equal(wire_reply_feed(&r, buf_slice(&in), &used), WIRE_REPLY_DONE);
    assert_true(r.is_cut);
    assert_int_equal(r.text.n, WIRE_REPLY_LINE_MAX);
    /* many long lines: the text is bounded, joined text too */
    buf_clear(&in);
    for (int i = 0; i < 12; i++)
        buf_addf(&in, "250-%02000d\r\n", i);
    buf_adds(&in, S("250 end\r\n"));
    wire_reply_clear(&r);
    assert_int_equal(wire_reply_feed(&r, buf_slice(&in), &used), WIRE_REPLY_DONE);
    assert_true(r.is_cut && !r.text.failed);
    assert_int_equal(r.text.n, WIRE_REPLY_TEXT_MAX);
    /* 128 lines are all right, more are not */
    for (int n_more = 127; n_more <= 128; n_more++) {
        buf_clear(&in);
        for (int i = 0; i < n_more; i++)
            buf_adds(&in, S("250-x\r\n"));
        buf_adds(&in, S("250 x\r\n"));
        wire_reply_clear(&r);
        assert_int_equal(wire_reply_feed(&r, buf_slice(&in), &used),
                         n_more == 127 ? WIRE_REPLY_DONE : WIRE_REPLY_ENDLESS);
    }
    /* a line that never ends */
    wire_reply_clear(&r);
    enum wire_reply_result result = wire_reply_feed(&r, S("250 "), &used);
    for (int i = 0; i < 70000 && result == WIRE_REPLY_MORE; i++)
        result = wire_reply_feed(&r, S("x"), &used);
    assert_int_equal(result, WIRE_REPLY_ENDLESS);
    assert_int_equal(r.n_input, WIRE_REPLY_INPUT_MAX);
    wire_reply_finish(&r);
}

static void what_a_server_writes_a_client_reads(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    struct wire_reply r;
    size_t used;
    wire_reply_init(&r);
    wire_reply_add(&out, "452 4.5.3", S("too many\nrecipients"));
    assert_int_equal(wire_reply_feed(&r, buf_slice(&out), &used), WIRE_REPLY_DONE);
    assert_int_equal(r.code, 452);
    assert_string_equal(wire_status_text(r.status).s, "4.5.3");
    assert_string_equal(buf_cstr(&r.text), "too many\nrecipients");
    wire_reply_finish(&r);
}

/* ---- abilities ------------------------------------------------------------------------------ */

static void abilities_go_there_and_back(void **)
{
    static const struct wire_caps rows[] = {
        {.flags = 0},
        {.flags = WIRE_CAP_SIZE},
        {.flags = WIRE_CAP_SIZE | WIRE_CAP_PIPELINING, .size_bytes = 52428800},
        {.flags = WIRE_CAP_LIMITS | WIRE_CAP_DSN, .rcpt_max = 100, .mail_max = 7},
        {.flags = WIRE_CAP_AUTH | WIRE_CAP_XCLIENT, .auth = 255, .xclient = 255},
        {.flags = 0x7fff, .auth = WIRE_AUTH_PLAIN, .xclient = WIRE_XATTR_ADDR, .size_bytes = 1},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(10000);
        struct wire_caps caps;
        struct wire_reply r;
        size_t used;
        wire_reply_init(&r);
        wire_caps_reply(&out, S("mx.example.org"), &rows[i]);
        assert_int_equal(wire_reply_feed(&r, buf_slice(&out), &used), WIRE_REPLY_DONE);
        assert_int_equal(r.code, 250);
        wire_caps_parse(buf_slice(&r.text), &caps);
        assert_memory_equal(&caps, &rows[i], sizeof(caps));
        wire_reply_finish(&r);
    }
}

static void the_reply_to_ehlo_looks_like_this(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    const struct wire_caps caps = {.flags = WIRE_CAP_PIPELINING | WIRE_CAP_SIZE | WIRE_CAP_AUTH |
                                            WIRE_CAP_8BITMIME,
                                   .size_bytes = 1000,
                                   .auth = WIRE_AUTH_PLAIN | WIRE_AUTH_LOGIN};
    wire_caps_reply(&out, S("mx.example.org"), &caps);
    assert_string_equal(buf_cstr(&out), "250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 1000\r\n"
                                        "250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n");
}

static void odd_abilities_are_read_with_good_will(void **)
{
    struct wire_caps caps;
    wire_caps_parse(S("SIZE 5\nsize 12\nAUTH=LOGIN PLAIN\nAUTH XOAUTH2 NTLM\nX-FOO bar\n\n  dsn "
                      "\nLIMITS RCPTMAX=20 RCPTDOMAINMAX=1 MAILMAX=x\nSTARTTLSX\nSIZE many"),
                    &caps);
    assert_int_equal(caps.flags, WIRE_CAP_SIZE | WIRE_CAP_AUTH | WIRE_CAP_DSN | WIRE_CAP_LIMITS);
    assert_int_equal(caps.size_bytes, 12);
    assert_int_equal(caps.auth, WIRE_AUTH_LOGIN | WIRE_AUTH_PLAIN | WIRE_AUTH_XOAUTH2);
    assert_int_equal(caps.rcpt_max, 20);
    assert_int_equal(caps.mail_max, 0);
    wire_caps_parse(S(""), &caps);
    assert_int_equal(caps.flags, 0);
}

/* ---- PROXY ---------------------------------------------------------------------------------- */

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01\xc0\x00\x02\x09\x30\x39\x00\x19"
#define V6A "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6B "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x09"

static void proxy_headers_are_read_from_any_beginning(void **)
{
    static const struct {
        struct slice input;
        enum wire_proxy_result result;
        const char *source, *destination; /* NULL: no addresses */
        uint16_t source_port, destination_port;
        size_t n_rest;
    } rows[] = {
        {S("PROXY TCP4 192.0.2.1 192.0.2.9 12345 25\r\nEHLO"), WIRE_PROXY_DONE, "192.0.2.1",
         "192.0.2.9", 12345, 25, 4},
        {S("PROXY TCP6 2001:db8::1 ::ffff:192.0.2.9 1 25\r\n"), WIRE_PROXY_DONE, "2001:db8::1",
         "192.0.2.9", 1, 25, 0},
        {S("PROXY UNKNOWN\r\nx"), WIRE_PROXY_DONE, NULL, NULL, 0, 0, 1},
        {S("PROXY UNKNOWN anything at all\r\n"), WIRE_PROXY_DONE, NULL, NULL, 0, 0, 0},
        {S(SIG "\x21\x11\x00\x0c" V4 "EHLO"), WIRE_PROXY_DONE, "192.0.2.1", "192.0.2.9", 12345, 25,
         4},
        {S(SIG "\x21\x11\x00\x10" V4 "\x04\x00\x01\x00x"), WIRE_PROXY_DONE, "192.0.2.1",
         "192.0.2.9", 12345, 25, 1},
        {S(SIG "\x21\x21\x00\x24" V6A V6B "\x30\x39\x00\x19"), WIRE_PROXY_DONE, "2001:db8::1",
         "192.0.2.9", 12345, 25, 0},
        {S(SIG "\x20\x11\x00\x0c" V4), WIRE_PROXY_DONE, NULL, NULL, 0, 0, 0},
        {S(SIG "\x20\x00\x00\x00"), WIRE_PROXY_DONE, NULL, NULL, 0, 0, 0},
        {S(SIG "\x21\x00\x00\x00"), WIRE_PROXY_DONE, NULL, NULL, 0, 0, 0},
        {S(SIG "\x21\x31\x00\x02xx"), WIRE_PROXY_DONE, NULL, NULL, 0, 0, 0},
        {S(SIG "\x21\x11\x0f\xff"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S(SIG "\x21\x11\x00\x0b" V4), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S(SIG "\x21\x21\x00\x0c" V4), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S(SIG "\x21\x12\x00\x0c" V4), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S(SIG "\x22\x11\x00\x0c" V4), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S(SIG "\x11\x11\x00\x0c" V4), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("\r\n\r\n\0\r\nQUIX"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("EHLO x\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP4 192.0.2.1 192.0.2.9 12345 25\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP4 192.0.2.1 192.0.2.9 12345\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP4 192.0.2.1 192.0.2.9 1 2 3\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP4  192.0.2.1 192.0.2.9 1 2\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP4 2001:db8::1 192.0.2.9 1 2\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP6 192.0.2.1 192.0.2.9 1 2\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP4 192.0.2.1 192.0.2.9 65536 2\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY TCP4 192.0.2.1 192.0.2.9 01 2\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY UDP4 192.0.2.1 192.0.2.9 1 2\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY UNKNOWNX\r\n"), WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
        {S("PROXY UNKNOWN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "aaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
         WIRE_PROXY_BAD, NULL, NULL, 0, 0, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct slice in = rows[i].input;
        for (size_t n = 0; n <= in.n; n++) {
            struct wire_proxy proxy = {.source_port = 7};
            size_t used = 0;
            enum wire_proxy_result result = wire_proxy_parse(slice_of(in.p, n), &proxy, &used);
            bool is_whole = rows[i].result == WIRE_PROXY_DONE && n >= in.n - rows[i].n_rest;
            if (!is_whole) {
                if (rows[i].result == WIRE_PROXY_DONE)
                    assert_int_equal(result, WIRE_PROXY_MORE);
                else
                    assert_true(n == in.n ? result == WIRE_PROXY_BAD : result != WIRE_PROXY_DONE);
                assert_int_equal(proxy.source_port, 7);
                continue;
            }
            assert_int_equal(result, WIRE_PROXY_DONE);
            assert_int_equal(used, in.n - rows[i].n_rest);
            assert_int_equal(proxy.has_addresses, rows[i].source != NULL);
            assert_string_equal(wire_ip_text(proxy.source).s, rows[i].source ? rows[i].source : "");
            assert_string_equal(wire_ip_text(proxy.destination).s,
                                rows[i].destination ? rows[i].destination : "");
            assert_int_equal(proxy.source_port, rows[i].source_port);
            assert_int_equal(proxy.destination_port, rows[i].destination_port);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_has_the_code_in_each_line),
        cmocka_unit_test(long_text_is_broken_into_lines_of_512_bytes),
        cmocka_unit_test(replies_are_read_in_any_split),
        cmocka_unit_test(a_result_stays_until_the_reader_is_cleared),
        cmocka_unit_test(replies_without_end_are_cut_and_refused),
        cmocka_unit_test(what_a_server_writes_a_client_reads),
        cmocka_unit_test(abilities_go_there_and_back),
        cmocka_unit_test(the_reply_to_ehlo_looks_like_this),
        cmocka_unit_test(odd_abilities_are_read_with_good_will),
        cmocka_unit_test(proxy_headers_are_read_from_any_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
