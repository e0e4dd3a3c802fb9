/* Delivery notices: the whole of one, what UTF-8 and RET change, and hostile inputs. */
#include "wire/client.h"
#include "wire/dsn.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))
#define S(literal) SLICE(literal)
#define NOON 1795262400000 /* Sat, 21 Nov 2026 12:00:00 +0000 */

static const struct wire_dsn_rcpt failed = {
    .action = WIRE_DSN_FAILED,
    .status = {5, 1, 1},
    .final = S("bob@example.org"),
    .orcpt_type = S("rfc822"),
    .orcpt = S("robert+40example.org"),
    .remote_mta = S("mx.example.org"),
    .diagnostic = S("550 5.1.1 no such\nmailbox"),
    .last_attempt = NOON,
};
static const struct wire_dsn plain = {
    .reporting_mta = S("mx.example.com"),
    .from = S("postmaster@example.com"),
    .to = S("ann@example.net"),
    .message_id = S("1@example.com"),
    .nonce = 7,
    .date = NOON,
    .arrival = NOON,
    .envid = S("a+2Bb"),
    .original = S("Subject: hi\r\nX: y\r\n\r\nbody\r\n.\r\n"),
    .rcpts = &failed,
    .n_rcpts = 1,
};

static void assert_sound(struct slice text)
{
    struct wire_content content = {};
    wire_content_check(&content, text);
    wire_content_end(&content);
    assert_true(wire_content_is_clean(&content));
    assert_true(text.n > 2 && text.p[text.n - 1] == '\n');
    while (text.n)
        assert_true(slice_cut(text, '\n', &text).n <= 999);
}

static bool has(struct buf *b, const char *text)
{
    return strstr(buf_cstr(b), text) != NULL;
}

static size_t count(struct buf *b, const char *text)
{
    size_t n = 0;
    for (const char *at = buf_cstr(b); (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void a_notice_reads_like_this(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(100000);
    struct wire_dsn_needs needs = wire_dsn_compose(&plain, &out);
    assert_false(needs.needs_8bitmime || needs.needs_smtputf8);
    assert_sound(buf_slice(&out));
    assert_string_equal(
        buf_cstr(&out),
        "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
        "From: Mail Delivery System <postmaster@example.com>\r\n"
        "To: <ann@example.net>\r\n"
        "Subject: Your message could not be delivered\r\n"
        "Message-ID: <1@example.com>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        " boundary=\"=_report_0000000000000007_0\"\r\n"
        "\r\n"
        "This is a delivery report in MIME format.\r\n"
        "\r\n"
        "--=_report_0000000000000007_0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        "This is a notice of the mail system at mx.example.com\r\n"
        "\r\n"
        "What happened\r\n"
        "-------------\r\n"
        "\r\n"
        "Your message could not be delivered to:\r\n"
        "\r\n"
        "  bob@example.org\r\n"
        "    Reason: there is no such mailbox (code 5.1.1).\r\n"
        "    Answer of mx.example.org: 550 5.1.1 no such mailbox\r\n"
        "\r\n"
        "What we did\r\n"
        "-----------\r\n"
        "\r\n"
        "We received your message on Sat, 21 Nov 2026 12:00:00 +0000.\r\n"
        "\r\n"
        "We have given up on the addresses that failed; nothing more will happen by\r\n"
        "itself.\r\n"
        "\r\n"
        "What you can do\r\n"
        "---------------\r\n"
        "\r\n"
        "Please check the address for typing mistakes and send the message again to\r\n"
        "the right one.\r\n"
        "\r\n"
        "\r\n"
        "--=_report_0000000000000007_0\r\n"
        "Content-Type: message/delivery-status\r\n"
        "\r\n"
        "Original-Envelope-Id: a+b\r\n"
        "Reporting-MTA: dns; mx.example.com\r\n"
        "Arrival-Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
        "\r\n"
        "Original-Recipient: rfc822; robert@example.org\r\n"
        "Final-Recipient: rfc822; bob@example.org\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx.example.org\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such mailbox\r\n"
        "Last-Attempt-Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
        "\r\n"
        "--=_report_0000000000000007_0\r\n"
        "Content-Type: text/rfc822-headers\r\n"
        "\r\n"
        "Subject: hi\r\n"
        "X: y\r\n"
        "\r\n"
        "--=_report_0000000000000007_0--\r\n");
}

static void each_action_has_its_words(void **)
{
    static const struct {
        enum wire_dsn_action action;
        const char *subject, *happened, *action_field, *status;
    } rows[] = {
        {WIRE_DSN_FAILED, "Your message could not be delivered",
         "could not be delivered to:", "failed", "5.0.0"},
        {WIRE_DSN_DELAYED, "Your message is delayed", "could not be delivered yet to:", "delayed",
         "4.0.0"},
        {WIRE_DSN_DELIVERED, "Your message was delivered", "was delivered to:", "delivered",
         "2.0.0"},
        {WIRE_DSN_RELAYED, "Your message was handed on", "was handed on", "relayed", "2.0.0"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(100000), want = buf_make(1000);
        struct wire_dsn dsn = plain;
        struct wire_dsn_rcpt rcpt = {
            .action = rows[i].action, .final = S("b@x"), .retry_until = NOON};
        dsn.rcpts = &rcpt;
        wire_dsn_compose(&dsn, &out);
        assert_sound(buf_slice(&out));
        buf_addf(&want, "Subject: %s\r\n", rows[i].subject);
        assert_true(has(&out, buf_cstr(&want)));
        assert_true(has(&out, rows[i].happened));
        buf_clear(&want);
        buf_addf(&want, "Action: %s\r\nStatus: %s\r\n", rows[i].action_field, rows[i].status);
        assert_true(has(&out, buf_cstr(&want)));
        assert_int_equal(has(&out, "Will-Retry-Until: "), rows[i].action == WIRE_DSN_DELAYED);
        assert_int_equal(has(&out, "go on trying until Sat, 21 Nov"),
                         rows[i].action == WIRE_DSN_DELAYED);
        assert_false(has(&out, "Original-Recipient") || has(&out, "Diagnostic-Code"));
    }
}

static void what_is_never_given_up_has_no_date_and_says_so(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(100000);
    struct wire_dsn dsn = plain;
    struct wire_dsn_rcpt rcpt = {.action = WIRE_DSN_DELAYED, .final = S("b@x")};
    dsn.rcpts = &rcpt;
    wire_dsn_compose(&dsn, &out);
    assert_sound(buf_slice(&out));
    assert_false(has(&out, "Will-Retry-Until"));
    assert_true(has(&out, "go on trying for as long as it takes"));
}

static void the_whole_message_goes_back_only_when_it_may(void **)
{
    SCOPED(buf_finish) struct buf long_line = buf_make(5000);
    buf_adds(&long_line, S("A: b\r\n\r\n"));
    for (int i = 0; i < 999; i++)
        buf_addc(&long_line, 'x');
    const struct {
        struct slice original;
        bool with_whole, has_failed, is_whole, needs_8bitmime;
    } rows[] = {
        {S("A: b\r\n\r\nbody\r\n"), true, true, true, false},
        {S("A: b\r\n\r\nbody"), true, true, true, false},
        {S("A: b\r\n\r\nb\xc3\xb6"
           "dy\r\n"),
         true, true, true, true},
        {S("A: b\r\n\r\nbody\r\n"), false, true, false, false},
        {S("A: b\r\n\r\nbody\r\n"), true, false, false, false},
        {S("A: b\r\n\r\nbo\ndy\r\n"), true, true, false, false},
        {S("A: b\r\n\r\nbo\0dy\r\n"), true, true, false, false},
        {slice_skip(buf_slice(&long_line), 0), true, true, false, false},
        {slice_of(long_line.p, long_line.n - 1), true, true, true, false},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(100000);
        struct wire_dsn dsn = plain;
        struct wire_dsn_rcpt rcpt = failed;
        rcpt.action = rows[i].has_failed ? WIRE_DSN_FAILED : WIRE_DSN_DELAYED;
        dsn.rcpts = &rcpt;
        dsn.original = rows[i].original;
        dsn.with_whole = rows[i].with_whole;
        struct wire_dsn_needs needs = wire_dsn_compose(&dsn, &out);
        assert_sound(buf_slice(&out));
        assert_int_equal(has(&out, "Content-Type: message/rfc822\r\n"), rows[i].is_whole);
        assert_int_equal(has(&out, "Content-Type: text/rfc822-headers\r\n"), !rows[i].is_whole);
        assert_int_equal(count(&out, "Content-Transfer-Encoding: 8bit\r\n"),
                         rows[i].needs_8bitmime ? 2 : 0);
        assert_int_equal(needs.needs_8bitmime, rows[i].needs_8bitmime);
        assert_false(needs.needs_smtputf8);
    }
}

static void utf8_changes_the_types_and_ascii_escapes(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(100000);
    struct wire_dsn dsn = plain;
    struct wire_dsn_rcpt rcpt = {.action = WIRE_DSN_FAILED,
                                 .final = S("j\xc3\xb6rg@b\xf0\x9f\x98\x80.x")};
    dsn.rcpts = &rcpt;
    dsn.with_utf8 = true;
    struct wire_dsn_needs needs = wire_dsn_compose(&dsn, &out);
    assert_true(needs.needs_8bitmime && needs.needs_smtputf8);
    assert_sound(buf_slice(&out));
    assert_true(has(&out, "message/global-delivery-status\r\n"));
    assert_true(has(&out, "message/global-headers\r\n"));
    assert_true(has(&out, "text/plain; charset=utf-8\r\n"));
    assert_true(has(&out, "Final-Recipient: utf-8; j\xc3\xb6rg@b\xf0\x9f\x98\x80.x\r\n"));
    buf_clear(&out);
    dsn.with_utf8 = false;
    needs = wire_dsn_compose(&dsn, &out);
    assert_false(needs.needs_8bitmime || needs.needs_smtputf8);
    assert_true(has(&out, "Final-Recipient: utf-8; j\\x{F6}rg@b\\x{1F600}.x\r\n"));
    assert_true(has(&out, "  j?rg@b?.x\r\n"));
    buf_clear(&out);
    dsn.with_utf8 = true; /* allowed, but nothing needs it */
    dsn.rcpts = &failed;
    needs = wire_dsn_compose(&dsn, &out);
    assert_false(needs.needs_8bitmime || needs.needs_smtputf8);
}

static void a_notice_speaks_the_language_of_its_reader_in_seven_bits(void **)
{
    static const char *const happened[WIRE_LANGUAGE_N] = {
        "\r\nWhat happened\r\n-------------\r\n",
        "\r\nChe cosa =C3=A8 successo\r\n-------------------\r\n",
        "\r\nWas geschehen ist\r\n-----------------\r\n",
        "\r\nCe qui s'est pass=C3=A9\r\n------------------\r\n",
        "\r\nQu=C3=A9 ha pasado\r\n-------------\r\n",
    };
    static const enum wire_dsn_action actions[] = {WIRE_DSN_FAILED, WIRE_DSN_DELAYED,
                                                   WIRE_DSN_DELIVERED, WIRE_DSN_RELAYED};
    for (size_t i = 0; i < N(actions) * WIRE_LANGUAGE_N; i++) {
        SCOPED(buf_finish) struct buf out = buf_make(100000);
        struct wire_dsn_rcpt rcpt = failed;
        struct wire_dsn dsn = plain;
        rcpt.action = actions[i / WIRE_LANGUAGE_N];
        dsn.rcpts = &rcpt;
        dsn.language = (enum wire_language)(i % WIRE_LANGUAGE_N);
        dsn.in_reply_to = S("first@example.net");
        struct wire_dsn_needs needs = wire_dsn_compose(&dsn, &out);
        assert_false(needs.needs_8bitmime || needs.needs_smtputf8);
        assert_sound(buf_slice(&out));
        for (size_t k = 0; k < out.n; k++)
            assert_true((unsigned char)out.p[k] < 0x80);
        assert_true(has(&out, happened[dsn.language]));
        assert_true(has(&out, "In-Reply-To: <first@example.net>\r\n"));
        const char *subject = strstr(buf_cstr(&out), "\r\nSubject: ") + 11;
        assert_true(strcspn(subject, "\r") <= 75); /* one encoded word is no longer */
        assert_int_equal(has(&out, "quoted-printable"), dsn.language != WIRE_EN);
    }
}

static void languages_are_known_by_their_tags(void **)
{
    assert_int_equal(wire_language_of(S("it")), WIRE_IT);
    assert_int_equal(wire_language_of(S("DE-ch")), WIRE_DE);
    assert_int_equal(wire_language_of(S("eo")), WIRE_EN);
    assert_int_equal(wire_language_of(S("")), WIRE_EN);
}

static void hostile_fields_stay_in_their_lines(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(1000000), word = buf_make(100000);
    for (int i = 0; i < 20000; i++)
        buf_adds(&word, i % 3000 == 2999 ? S("\r\n") : S("\xc3\xb6"));
    struct slice evils[] = {
        S("x\r\n\r\n--=_report_0000000000000007_0\r\nContent-Type: text/html\r\n\r\n<b>"),
        S("\0\n\r\x01\x7f\xff\xc2\x85"),
        buf_slice(&word),
        S(""),
    };
    for (size_t i = 0; i < 2 * N(evils); i++) {
        struct slice evil = evils[i / 2];
        struct wire_dsn_rcpt rcpt = {.final = evil,
                                     .orcpt_type = evil,
                                     .orcpt = evil,
                                     .remote_mta = evil,
                                     .diagnostic = evil};
        struct wire_dsn dsn = {.reporting_mta = evil,
                               .from = evil,
                               .to = evil,
                               .message_id = evil,
                               .nonce = 7,
                               .envid = evil,
                               .in_reply_to = evil,
                               .language = (enum wire_language)i % WIRE_LANGUAGE_N,
                               .original = evil,
                               .with_utf8 = i % 2 == 0,
                               .rcpts = &rcpt,
                               .n_rcpts = 1};
        buf_clear(&out);
        wire_dsn_compose(&dsn, &out);
        assert_sound(buf_slice(&out));
        assert_false(has(&out, "\r\nContent-Type: text/html"));
        assert_false(has(&out, "\xc2\x85") || has(&out, "\xff"));
        assert_true(slice_starts(buf_slice(&out), S("From: ")));
    }
}

static void a_boundary_in_the_original_is_avoided(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(100000);
    struct wire_dsn dsn = plain;
    dsn.original = S("Subject: x\r\n=_report_0000000000000007_0: y\r\n"
                     "--=_report_0000000000000007_1--\r\n\r\n");
    wire_dsn_compose(&dsn, &out);
    assert_true(has(&out, "boundary=\"=_report_0000000000000007_2\""));
    assert_int_equal(count(&out, "\r\n--=_report_0000000000000007_2\r\n"), 3);
    assert_int_equal(count(&out, "\r\n--=_report_0000000000000007_2--\r\n"), 1);
}

static void many_recipients_are_all_in_the_report_and_some_in_the_text(void **)
{
    static struct wire_dsn_rcpt rcpts[60];
    SCOPED(buf_finish) struct buf out = buf_make(1000000), small = buf_make(3000);
    for (size_t i = 0; i < N(rcpts); i++)
        rcpts[i] = failed;
    struct wire_dsn dsn = plain;
    dsn.rcpts = rcpts;
    dsn.n_rcpts = N(rcpts);
    wire_dsn_compose(&dsn, &out);
    assert_sound(buf_slice(&out));
    assert_int_equal(count(&out, "\r\n  bob@example.org\r\n"), 50);
    assert_true(has(&out, "  and 10 more, listed in the report below\r\n"));
    assert_int_equal(count(&out, "\r\nFinal-Recipient: rfc822; bob@example.org\r\n"), 60);
    wire_dsn_compose(&dsn, &small);
    assert_true(small.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notice_reads_like_this),
        cmocka_unit_test(each_action_has_its_words),
        cmocka_unit_test(what_is_never_given_up_has_no_date_and_says_so),
        cmocka_unit_test(the_whole_message_goes_back_only_when_it_may),
        cmocka_unit_test(utf8_changes_the_types_and_ascii_escapes),
        cmocka_unit_test(a_notice_speaks_the_language_of_its_reader_in_seven_bits),
        cmocka_unit_test(languages_are_known_by_their_tags),
        cmocka_unit_test(hostile_fields_stay_in_their_lines),
        cmocka_unit_test(a_boundary_in_the_original_is_avoided),
        cmocka_unit_test(many_recipients_are_all_in_the_report_and_some_in_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
