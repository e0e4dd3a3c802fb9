/* Content: DATA, BDAT, sizes, line ends, headers that only we may write, what core hears. */
#include "smtp/test/gate_test.h"

/* ---- content ---- */

static const struct {
    const char *name, *input, *codes, *content; /* content NULL: none arrives */
} contents[] = {
    {"nothing", "DATA" CRLF "." CRLF, "354 250", ""},
    {"a dot", "DATA" CRLF ".." CRLF "." CRLF, "354 250", ".\r\n"},
    {"no line end before the end", "DATA" CRLF "a" CRLF "." CRLF, "354 250", "a\r\n"},
    {"bdat in one", "BDAT 3 LAST" CRLF "a\r\n", "250", "a\r\n"},
    {"bdat in three", "BDAT 1" CRLF "aBDAT 2" CRLF "bcBDAT 0 LAST" CRLF, "250 250 250", "abc"},
    {"bdat with a dot",
     "BDAT 5 LAST" CRLF ".\r\n.\n"
     "RSET" CRLF,
     "550 250", NULL},
    {"bdat with dots",
     "BDAT 8 LAST" CRLF "\r\n.\r\n..\r"
     "NOOP" CRLF,
     "550 250", NULL},
    {"bdat keeps dots", "BDAT 7 LAST" CRLF "..\r\n.\r\n", "250", "..\r\n.\r\n"},
    {"bdat of nothing", "BDAT 0 LAST" CRLF, "250", ""},
    {"rset between chunks", "BDAT 1" CRLF "aRSET" CRLF "BDAT 4 LAST" CRLF "QUIT", "250 250 503",
     NULL},
    {"data after bdat", "BDAT 1" CRLF "aDATA" CRLF "BDAT 1 LAST" CRLF "b", "250 503 250", "ab"},
    {"rcpt after bdat", "BDAT 1" CRLF "a" RCPT "BDAT 1 LAST" CRLF "b", "250 503 250", "ab"},
    {"mail after bdat", "BDAT 1" CRLF "a" MAIL "BDAT 1 LAST" CRLF "b", "250 503 250", "ab"},
    {"bdat after the last", "BDAT 1 LAST" CRLF "aBDAT 6 LAST" CRLF "QUIT\r\n", "250 503", "a"},
    {"cr at the end of bdat", "BDAT 2 LAST" CRLF "a\r", "550", NULL},
    {"line end over two chunks", "BDAT 2" CRLF "a\rBDAT 1 LAST" CRLF "\n", "250 250", "a\r\n"},
    {"cr and then no lf", "BDAT 2" CRLF "a\rBDAT 1 LAST" CRLF "b", "250 550", NULL},
    {"bare lf", "DATA" CRLF "a\nb" CRLF "." CRLF, "354 550", NULL},
    {"bare cr", "DATA" CRLF "a\rb" CRLF "." CRLF, "354 550", NULL},
    {"lf.lf ends nothing",
     "DATA" CRLF "a\n.\nMAIL FROM:<x@y>\r\n"
     "." CRLF,
     "354 550", NULL},
    {"lf.crlf ends nothing",
     "DATA" CRLF "a\n.\r\nRSET\r\n"
     "." CRLF,
     "354 550", NULL},
    {"crlf.lf ends nothing",
     "DATA" CRLF "a\r\n.\nRSET\r\n"
     "." CRLF,
     "354 550", NULL},
    {"crlf.cr ends nothing",
     "DATA" CRLF "a\r\n.\rRSET\r\n"
     "." CRLF,
     "354 550", NULL},
    {"cr.cr ends nothing",
     "DATA" CRLF "a\r.\rRSET\r\n"
     "." CRLF,
     "354 550", NULL},
    {"cr.crlf ends nothing",
     "DATA" CRLF "a\r.\r\nRSET\r\n"
     "." CRLF,
     "354 550", NULL},
    {"8 bit", "DATA" CRLF "\xc3\xa4" CRLF "." CRLF, "354 250", "\xc3\xa4\r\n"},
};

static void contents_arrive_as_they_are_or_not_at_all(void **)
{
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        struct gate_kit k;
        int peer = begin(&k);
        expect(&k, peer, ENVELOPE, "250 250 250");
        gate_send(&k, peer, slice_str(contents[i].input));
        const char *codes = codes_of(peer);
        if (strcmp(codes, contents[i].codes) != 0)
            fail_msg("%s: %s instead of %s", contents[i].name, codes, contents[i].codes);
        assert_int_equal(k.n_messages, contents[i].content != NULL);
        if (contents[i].content)
            assert_content(&k, contents[i].content, strlen(contents[i].content));
        expect(&k, peer, MAIL RCPT "BDAT 1 LAST" CRLF "z", "250 250 250"); /* it goes on */
        finish(&k);
    }
}

static void a_nul_is_not_passed_on(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE "DATA" CRLF, "250 250 250 354");
    gate_send(&k, peer, slice_of("a\0b\r\n.\r\n", 8));
    assert_memory_equal(fake_peers[peer].got.p, "550 5.6.11 ", 11);
    assert_string_equal(codes_of(peer), "550");
    assert_int_equal(k.n_messages, 0);
    finish(&k);
}

/* BDAT where none belongs: its bytes are swallowed, whatever they look like. */
static void the_bytes_of_a_refused_chunk_are_swallowed(void **)
{
    static const char *const before[] = {"", EHLO, EHLO MAIL,
                                         EHLO MAIL "RCPT TO:<unknown@x.org>" CRLF};
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        struct gate_kit k;
        int peer = begin(&k);
        gate_send(&k, peer, slice_str(before[i]));
        (void)codes_of(peer);
        expect(&k, peer, "BDAT 20" CRLF "QUIT\r\nQUIT\r\n", "");
        expect(&k, peer, "QUIT\r\nQ\n", "503");
        expect(&k, peer, "BDAT 6 LAST" CRLF "QUIT\r\n", "503");
        expect(&k, peer, "NOOP" CRLF, "250");
        finish(&k);
    }
}

static void what_is_too_big_is_refused_at_its_end_and_the_session_goes_on(void **)
{
    static char line[70000];
    struct gate_kit k;
    int peer = begin(&k);
    memset(line, 'x', sizeof(line));
    for (size_t i = 78; i < sizeof(line); i += 80)
        memcpy(line + i, "\r\n", 2);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    expect(&k, peer, EHLO "MAIL FROM:<a@c.example> SIZE=1048577" CRLF, "250 552");
    expect(&k, peer, "MAIL FROM:<a@c.example> SIZE=1048576" CRLF RCPT "DATA" CRLF, "250 250 354");
    for (int i = 0; i < 16; i++)
        gate_send(&k, peer, slice_of(line, sizeof(line)));
    expect(&k, peer, "", "");
    assert_true(k.server->bytes_in_flight < 1 << 20); /* given back as soon as it is refused */
    expect(&k, peer, "." CRLF, "552");
    expect(&k, peer, MAIL RCPT "BDAT 70000" CRLF, "250 250");
    for (int i = 0; i < 14; i++) {
        gate_send(&k, peer, slice_of(line, sizeof(line)));
        expect(&k, peer, "BDAT 70000" CRLF, "250");
    }
    gate_send(&k, peer, slice_of(line, sizeof(line)));
    assert_string_equal(codes_of(peer), "552"); /* the first chunk that does not fit */
    expect(&k, peer, "BDAT 5 LAST" CRLF "aaaaa", "503");
    expect(&k, peer, MAIL RCPT "DATA" CRLF "x" CRLF "." CRLF, "250 250 354 250");
    assert_int_equal(k.n_messages, 1);
    finish(&k);
}

static void a_large_message_arrives_whole(void **)
{
    static char text[1000000];
    struct gate_kit k;
    int peer = begin(&k);
    memset(text, 'y', sizeof(text));
    for (size_t i = 998; i + 2 <= sizeof(text); i += 1000)
        memcpy(text + i, "\r\n", 2);
    memcpy(text, "\r\n", 2); /* no header */
    expect(&k, peer, ENVELOPE "DATA" CRLF, "250 250 250 354");
    for (size_t at = 0; at < sizeof(text); at += 12500)
        gate_send(&k, peer, slice_of(text + at, 12500));
    expect(&k, peer, "." CRLF, "250");
    assert_content(&k, text, sizeof(text));
    finish(&k);
}

static void sent_header(struct gate_kit *k, int peer, size_t n_received, size_t n_bytes,
                        const char *codes)
{
    SCOPED(buf_finish) struct buf b = buf_make(4 << 20);
    buf_addf(&b, MAIL RCPT "DATA" CRLF);
    for (size_t i = 0; i < n_received; i++)
        buf_addf(&b, "Received: from x by y; Sat, 21 Nov 2026 21:40:00 +0000" CRLF);
    for (size_t at = 0; at < n_bytes; at += 100) {
        buf_addf(&b, "X-Long: ");
        for (int i = 0; i < 90; i++)
            buf_addc(&b, 'h');
        buf_addf(&b, CRLF);
    }
    buf_addf(&b, CRLF "body" CRLF "." CRLF);
    gate_send(k, peer, buf_slice(&b));
    assert_string_equal(codes_of(peer), codes);
}

static void loops_and_endless_headers_are_refused(void **)
{
    struct gate_kit k;
    gate_init(&k);
    k.limits.header_bytes = 20000;
    gate_begin(&k);
    int peer = gate_connect(&k);
    expect(&k, peer, EHLO, "220 250");
    sent_header(&k, peer, 50, 0, "250 250 354 250");
    sent_header(&k, peer, 51, 0, "250 250 354 554");
    sent_header(&k, peer, 0, 19000, "250 250 354 250");
    sent_header(&k, peer, 0, 21000, "250 250 354 552");
    k.server->o.limits.header_bytes = 4 << 20;           /* more than mime looks at */
    sent_header(&k, peer, 0, 190000, "250 250 354 250"); /* 1,900 fields */
    sent_header(&k, peer, 0, 210000, "250 250 354 552");
    sent_header(&k, peer, 0, 300000, "250 250 354 552");
    assert_int_equal(k.n_messages, 3);
    finish(&k);
}

/* ---- headers that only we may write ---- */

/* Lines that go through, lines that are cut out; and the values that travel as traces
 * (with their line ends). */
static const struct {
    const char *before, *cut, *after;
    const char *trace; /* NULL: none */
} forgeries[] = {
    {"Subject: a" CRLF, "Staffetta-Trace: v=1; x" CRLF, "To: b" CRLF, " v=1; x"},
    {"", "staffetta-TRACE:1" CRLF, "To: b" CRLF, "1"},
    {"Subject: a" CRLF, "Staffetta-Trace : v=1;" CRLF "\tfolded" CRLF " twice" CRLF, "To: b" CRLF,
     " v=1;\r\n\tfolded\r\n twice"},
    {"Subject: a" CRLF, "Authentication-Results: mx.example; spf=pass" CRLF, "To: b" CRLF, NULL},
    {"Subject: a" CRLF, "Authentication-Results: MX.Example 1; spf=pass" CRLF, "To: b" CRLF, NULL},
    {"Subject: a" CRLF, "Authentication-Results:mx.example" CRLF, "", NULL},
    {"Subject: a" CRLF, "Authentication-Results: mx.example.; none" CRLF, "", NULL},
    {"Subject: a" CRLF, "Authentication-Results:" CRLF " mx.example; spf=pass" CRLF, "", NULL},
    {"Subject: a" CRLF, "Authentication-Results: (x(y)\\) z) mx.example; spf=pass" CRLF, "", NULL},
    {"Subject: a" CRLF, "Authentication-Results: mx.example(x); spf=pass" CRLF, "", NULL},
    {"Subject: a" CRLF, "Authentication-Results: \"mx.example\"; spf=pass" CRLF, "", NULL},
    {"Subject: a" CRLF, "Authentication-Results: \"mx.\\e\\xample\" 1; spf=pass" CRLF, "", NULL},
    {"Authentication-Results: other.example; spf=pass" CRLF, "", "To: b" CRLF, NULL},
    {"Authentication-Results: xmx.example; mx.example" CRLF, "", "To: b" CRLF, NULL},
    {"Authentication-Results: mx.example.org; spf=pass" CRLF, "", "To: b" CRLF, NULL},
    {"Authentication-Results: (mx.example) other; x" CRLF, "", "To: b" CRLF, NULL},
    {"Staffetta-Traces: x" CRLF "X-Staffetta-Trace: y" CRLF, "", "To: b" CRLF, NULL},
    {"Subject: a" CRLF "Staffetta-Trac: e" CRLF, "Staffetta-Trace:" CRLF, "To: b" CRLF, ""},
    {"no header line" CRLF, "Staffetta-Trace: x" CRLF, "To: b" CRLF, " x"},
    {"From me@x Sat Nov 21 21:40:00 2026" CRLF, "Staffetta-Trace: x" CRLF, "To: b" CRLF, " x"},
    {"Subject: a" CRLF CRLF "Staffetta-Trace: in the body" CRLF, "", "", NULL},
};

static void forged_headers_of_ours_are_cut_out_exactly(void **)
{
    for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
        struct gate_kit k;
        char input[600], want[600];
        int peer = begin(&k);
        snprintf(input, sizeof(input), ENVELOPE "DATA" CRLF "%s%s%s" CRLF "body" CRLF "." CRLF,
                 forgeries[i].before, forgeries[i].cut, forgeries[i].after);
        snprintf(want, sizeof(want), "%s%s" CRLF "body" CRLF, forgeries[i].before,
                 forgeries[i].after);
        expect(&k, peer, input, "250 250 250 354 250");
        const struct core_message *m = last_message(&k);
        if (m->content.n != strlen(want) || memcmp(m->content.p, want, strlen(want)) != 0)
            fail_msg("%s: %.*s", forgeries[i].cut, SLICE_ARG(buf_slice(&m->content)));
        assert_int_equal(m->take.n_traces, forgeries[i].trace != NULL);
        snprintf(want, sizeof(want), "%s" CRLF, forgeries[i].trace ? forgeries[i].trace : "");
        if (forgeries[i].trace)
            assert_true(slice_eq(m->take.traces[0].text, slice_str(want)));
        finish(&k);
    }
}

static void many_forgeries_are_all_cut_and_few_travel(void **)
{
    struct gate_kit k;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    int peer = begin(&k);
    buf_addf(&b, ENVELOPE "DATA" CRLF);
    for (int i = 0; i < 1500; i++)
        buf_addf(&b, "Staffetta-Trace: %d" CRLF, i);
    buf_addf(&b, "Staffetta-Trace: ");
    for (int i = 0; i < 5000; i++)
        buf_addc(&b, 'x');
    buf_addf(&b, CRLF CRLF "body" CRLF "." CRLF);
    gate_send(&k, peer, buf_slice(&b));
    assert_string_equal(codes_of(peer), "250 250 250 354 250");
    assert_content(&k, CRLF "body" CRLF, 8);
    assert_int_equal(last_message(&k)->take.n_traces, 100);
    finish(&k);
}

/* ---- what core hears about a message ---- */

static void core_hears_the_envelope(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer,
           EHLO "MAIL FROM:<\"a b\"@c.example> RET=FULL ENVID=QQ+2B AUTH=<> SIZE=20" CRLF
                "RCPT TO:<Anna+x@Example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb" CRLF
                "RCPT TO:<postmaster>" CRLF "DATA" CRLF "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=" CRLF
                "From: Bea <bea@c.example>" CRLF "Message-ID: <1@c>" CRLF CRLF "Hello" CRLF
                "." CRLF,
           "250 250 250 250 354 250");
    const struct ipc_take *t = &last_message(&k)->take;
    assert_true(slice_eq(t->mail_from, SLICE("\"a b\"@c.example")));
    assert_true(slice_eq(t->client, SLICE("192.0.2.1")));
    assert_true(slice_eq(t->helo, SLICE("c.example")));
    assert_true(slice_eq(t->protocol, SLICE("ESMTP")));
    assert_true(slice_eq(t->envid, SLICE("QQ+2B")));
    assert_int_equal(t->ret, WIRE_RET_FULL);
    assert_int_equal(t->tenant, 1);
    assert_int_equal(t->n_rcpts, 2);
    assert_true(slice_eq(t->rcpts[0].address, SLICE("Anna+x@Example.org")));
    assert_int_equal(t->rcpts[0].notify, WIRE_NOTIFY_SUCCESS | WIRE_NOTIFY_DELAY);
    assert_true(slice_eq(t->rcpts[0].orcpt, SLICE("rfc822;a+2Bb")));
    assert_true(slice_eq(t->rcpts[1].address, SLICE("postmaster")));
    assert_true(slice_eq(t->fields[0].subject, SLICE("Gr\xc3\xbc\xc3\x9f"
                                                     "e")));
    assert_true(slice_eq(t->fields[0].from_address, SLICE("bea@c.example")));
    assert_true(slice_eq(t->fields[0].message_id, SLICE("1@c")));
    assert_true(slice_eq(t->fields[0].preview, SLICE("Hello")));
    assert_int_equal(t->flags, 0);
    finish(&k);
}

static void core_hears_how_it_came(void **)
{
    static const struct {
        const char *hello, *mail, *protocol;
        bool is_tls;
        uint32_t flags;
    } cases[] = {
        {"HELO c", "MAIL FROM:<a@b.c>", "SMTP", false, 0},
        {"EHLO c", "MAIL FROM:<a@b.c>", "ESMTP", false, 0},
        {"EHLO c", "MAIL FROM:<a@b.c>", "ESMTPS", true, MESSAGE_TLS},
        {"EHLO c", "MAIL FROM:<\xc3\xa4@b.c> SMTPUTF8", "UTF8SMTP", false, MESSAGE_SMTPUTF8},
        {"EHLO c", "MAIL FROM:<\xc3\xa4@b.c> SMTPUTF8", "UTF8SMTPS", true,
         MESSAGE_SMTPUTF8 | MESSAGE_TLS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gate_kit k;
        char input[200];
        int peer = begin(&k);
        if (cases[i].is_tls) {
            expect(&k, peer, "STARTTLS" CRLF, "220");
            assert_true(fake_shake(peer));
        }
        snprintf(input, sizeof(input), "%s\r\n%s\r\n" RCPT "DATA\r\n\xc3\xa4\r\n.\r\n",
                 cases[i].hello, cases[i].mail);
        expect(&k, peer, input, "250 250 250 354 250");
        assert_true(slice_eq(last_message(&k)->take.protocol, slice_str(cases[i].protocol)));
        assert_int_equal(last_message(&k)->take.flags, cases[i].flags | MESSAGE_8BIT);
        finish(&k);
    }
}

int main(void)
{
    log_init("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_arrive_as_they_are_or_not_at_all),
        cmocka_unit_test(a_nul_is_not_passed_on),
        cmocka_unit_test(the_bytes_of_a_refused_chunk_are_swallowed),
        cmocka_unit_test(what_is_too_big_is_refused_at_its_end_and_the_session_goes_on),
        cmocka_unit_test(a_large_message_arrives_whole),
        cmocka_unit_test(loops_and_endless_headers_are_refused),
        cmocka_unit_test(forged_headers_of_ours_are_cut_out_exactly),
        cmocka_unit_test(many_forgeries_are_all_cut_and_few_travel),
        cmocka_unit_test(core_hears_the_envelope),
        cmocka_unit_test(core_hears_how_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
