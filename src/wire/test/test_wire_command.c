/* Commands and command lines as a server reads them, and as a client writes them. */
#include "wire/client.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X250 X50 X50 X50 X50 X50

static void verbs_are_known_in_any_case_and_arguments_lose_their_blanks(void **)
{
    static const struct {
        const char *line, *args;
        enum wire_verb verb;
    } rows[] = {
        {"EHLO mx.example.org", "mx.example.org", WIRE_VERB_EHLO},
        {"helo  x \t ", "x", WIRE_VERB_HELO},
        {"Mail FROM:<>", "FROM:<>", WIRE_VERB_MAIL},
        {"RCPT TO:<a@b>", "TO:<a@b>", WIRE_VERB_RCPT},
        {"DATA", "", WIRE_VERB_DATA},
        {"data ", "", WIRE_VERB_DATA},
        {"BDAT 1 LAST", "1 LAST", WIRE_VERB_BDAT},
        {"RSET", "", WIRE_VERB_RSET},
        {"NOOP hello", "hello", WIRE_VERB_NOOP},
        {"QUIT", "", WIRE_VERB_QUIT},
        {"VRFY bob", "bob", WIRE_VERB_VRFY},
        {"EXPN list", "list", WIRE_VERB_EXPN},
        {"HELP", "", WIRE_VERB_HELP},
        {"ETRN x", "x", WIRE_VERB_ETRN},
        {"STARTTLS", "", WIRE_VERB_STARTTLS},
        {"AUTH PLAIN", "PLAIN", WIRE_VERB_AUTH},
        {"XCLIENT ADDR=1.2.3.4", "ADDR=1.2.3.4", WIRE_VERB_XCLIENT},
        {"GET / HTTP/1.1", "/ HTTP/1.1", WIRE_VERB_HTTP},
        {"POST /x", "/x", WIRE_VERB_HTTP},
        {"MAILFROM:<>", "", WIRE_VERB_UNKNOWN},
        {"HTTP", "", WIRE_VERB_UNKNOWN},
        {"?", "", WIRE_VERB_UNKNOWN},
        {"", "", WIRE_VERB_UNKNOWN},
        {" DATA", "DATA", WIRE_VERB_UNKNOWN},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct wire_command c = wire_command_parse(slice_str(rows[i].line));
        assert_int_equal(c.verb, rows[i].verb);
        assert_true(slice_eq(c.args, slice_str(rows[i].args)));
    }
    assert_string_equal(wire_verb_name(WIRE_VERB_XCLIENT), "XCLIENT");
    assert_string_equal(wire_verb_name(WIRE_VERB_UNKNOWN), "?");
}

static void mail_is_refused_for_the_right_reason(void **)
{
    static const struct {
        const char *args;
        enum wire_fault fault;
    } rows[] = {
        {"FROM:<>", WIRE_FINE},
        {"from:<a@b>", WIRE_FINE},
        {"FROM: <a@b>", WIRE_FINE},
        {"FROM:a@b", WIRE_FINE},
        {"FROM:a@b SIZE=1", WIRE_FINE},
        {"FROM:<\"a>b\"@c>", WIRE_FINE},
        {"FROM:<\"a\\\">b\"@c>", WIRE_FINE},
        {"FROM:<@x.y,@z:a@b>", WIRE_FINE},
        {"FROM:<a@b> SIZE=9223372036854775807", WIRE_FINE},
        {"FROM:<a@b>  BODY=8bitmime   size=5", WIRE_FINE},
        {"FROM:<a@b> BODY=BINARYMIME", WIRE_FINE},
        {"FROM:<a@b> RET=HDRS ENVID=ab+20c", WIRE_FINE},
        {"FROM:<a@b> AUTH=<>", WIRE_FINE},
        {"FROM:<a@b> AUTH=x+40y", WIRE_FINE},
        {"FROM:<j\xc3\xb6@b> SMTPUTF8", WIRE_FINE},
        {"", WIRE_SYNTAX},
        {"FROM", WIRE_SYNTAX},
        {"FROM:", WIRE_SYNTAX},
        {"FROM <a@b>", WIRE_SYNTAX},
        {"TO:<a@b>", WIRE_SYNTAX},
        {"FROM:<a@b", WIRE_SYNTAX},
        {"FROM:<\"a>@b", WIRE_SYNTAX},
        {"FROM:<a@b>SIZE=1", WIRE_SYNTAX},
        {"FROM:<a>", WIRE_SYNTAX},
        {"FROM:<<a@b>>", WIRE_SYNTAX},
        {"FROM:< >", WIRE_SYNTAX},
        {"FROM:<@x.y>", WIRE_SYNTAX},
        {"FROM:<@x.y:>", WIRE_SYNTAX},
        {"FROM:<@x.y,:a@b>", WIRE_SYNTAX},
        {"FROM:<@x.y,z:a@b>", WIRE_SYNTAX},
        {"FROM:<@:a@b>", WIRE_SYNTAX},
        {"FROM:<a@b> =1", WIRE_SYNTAX},
        {"FROM:<a@b> SIZE=", WIRE_SYNTAX},
        {"FROM:<a@b> FOO", WIRE_UNKNOWN_PARAM},
        {"FROM:<a@b> FOO=1", WIRE_UNKNOWN_PARAM},
        {"FROM:<a@b> NOTIFY=NEVER", WIRE_UNKNOWN_PARAM},
        {"FROM:<a@b> SIZE=1 SIZE=1", WIRE_DUPLICATE_PARAM},
        {"FROM:<a@b> RET=FULL ret=HDRS", WIRE_DUPLICATE_PARAM},
        {"FROM:<a@b> SIZE", WIRE_BAD_VALUE},
        {"FROM:<a@b> SIZE=-1", WIRE_BAD_VALUE},
        {"FROM:<a@b> SIZE=9223372036854775808", WIRE_BAD_VALUE},
        {"FROM:<a@b> BODY=9BIT", WIRE_BAD_VALUE},
        {"FROM:<a@b> RET=ALL", WIRE_BAD_VALUE},
        {"FROM:<a@b> ENVID=+0A", WIRE_BAD_VALUE},
        {"FROM:<a@b> ENVID=a=b", WIRE_BAD_VALUE},
        {"FROM:<a@b> ENVID=" X50 X50 "x", WIRE_BAD_VALUE},
        {"FROM:<a@b> ENVID", WIRE_BAD_VALUE},
        {"FROM:<a@b> AUTH", WIRE_BAD_VALUE},
        {"FROM:<a@b> AUTH=+0D+0A", WIRE_BAD_VALUE},
        {"FROM:<a@b> SMTPUTF8=1", WIRE_BAD_VALUE},
        {"FROM:<j\xc3\xb6@b>", WIRE_NON_ASCII},
        {"FROM:<j\xc3@b> SMTPUTF8", WIRE_NON_ASCII},
        {"FROM:<a@b" X250 ">", WIRE_TOO_LONG},
        {"FROM:<@" X250 ":a@b>", WIRE_TOO_LONG},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct wire_mail mail = {.size_bytes = 77};
        struct wire_verdict v = wire_mail_parse(slice_str(rows[i].args), &mail);
        if (v.fault != rows[i].fault)
            print_message("%s: %s\n", rows[i].args, v.why);
        assert_int_equal(v.fault, rows[i].fault);
        assert_int_equal(v.why[0] == '\0', v.fault == WIRE_FINE);
        if (v.fault != WIRE_FINE)
            assert_int_equal(mail.size_bytes, 77);
    }
}

static void mail_gives_every_parameter(void **)
{
    struct wire_mail mail;
    struct slice args = SLICE("FROM:<@x.y:a@b> SIZE=12 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=e+2Bf "
                              "AUTH=<>");
    assert_int_equal(wire_mail_parse(args, &mail).fault, WIRE_FINE);
    assert_true(slice_eq(mail.from.text, SLICE("a@b")));
    assert_true(mail.has_size && mail.has_body && mail.has_smtputf8 && mail.has_auth);
    assert_int_equal(mail.size_bytes, 12);
    assert_int_equal(mail.body, WIRE_BODY_8BITMIME);
    assert_int_equal(mail.ret, WIRE_RET_FULL);
    assert_true(slice_eq(mail.envid, SLICE("e+2Bf")));
    assert_true(slice_eq(mail.auth, SLICE("<>")));
    assert_int_equal(wire_mail_parse(SLICE("FROM:<>"), &mail).fault, WIRE_FINE);
    assert_int_equal(mail.from.text.n, 0);
    assert_false(mail.has_size || mail.has_body || mail.has_smtputf8 || mail.has_auth);
    assert_int_equal(mail.ret, WIRE_RET_NONE);
}

static void rcpt_is_refused_for_the_right_reason(void **)
{
    static const struct {
        const char *args;
        bool with_utf8;
        enum wire_fault fault;
        unsigned notify;
    } rows[] = {
        {"TO:<a@b>", false, WIRE_FINE, 0},
        {"TO:<Postmaster>", false, WIRE_FINE, 0},
        {"TO:<a@b> NOTIFY=NEVER", false, WIRE_FINE, WIRE_NOTIFY_NEVER},
        {"TO:<a@b> NOTIFY=success,DELAY,Failure", false, WIRE_FINE, 14},
        {"TO:<a@b> ORCPT=rfc822;a+40b", false, WIRE_FINE, 0},
        {"TO:<a@b> ORCPT=utf-8;a\\x{F6}@b", false, WIRE_FINE, 0},
        {"TO:<a@b> ORCPT=utf-8;\xc3\xb6@b", true, WIRE_FINE, 0},
        {"TO:<\xc3\xb6@b>", true, WIRE_FINE, 0},
        {"TO:<>", false, WIRE_SYNTAX, 0},
        {"TO:<bob>", false, WIRE_SYNTAX, 0},
        {"TO:<@x.y:>", false, WIRE_SYNTAX, 0},
        {"FROM:<a@b>", false, WIRE_SYNTAX, 0},
        {"TO:<a@b> SIZE=1", false, WIRE_UNKNOWN_PARAM, 0},
        {"TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", false, WIRE_DUPLICATE_PARAM, 0},
        {"TO:<a@b> NOTIFY", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> NOTIFY=NEVER,DELAY", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> NOTIFY=DELAY,", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> NOTIFY=,DELAY", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> NOTIFY=SOMETIMES", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=a@b", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=;a@b", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=rfc822;", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=rfc822;+0D+0Ax", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=r=c;x", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=utf-8;\xc3\xb6@b", false, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=utf-8;\xc3@b", true, WIRE_BAD_VALUE, 0},
        {"TO:<a@b> ORCPT=rfc822;" X250 X250, false, WIRE_BAD_VALUE, 0},
        {"TO:<\xc3\xb6@b>", false, WIRE_NON_ASCII, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct wire_rcpt rcpt = {.notify = 77};
        struct wire_verdict v = wire_rcpt_parse(slice_str(rows[i].args), rows[i].with_utf8, &rcpt);
        if (v.fault != rows[i].fault)
            print_message("%s: %s\n", rows[i].args, v.why);
        assert_int_equal(v.fault, rows[i].fault);
        assert_int_equal(rcpt.notify, v.fault == WIRE_FINE ? rows[i].notify : 77);
    }
    struct wire_rcpt rcpt;
    assert_int_equal(wire_rcpt_parse(SLICE("TO:<PostMaster>"), false, &rcpt).fault, WIRE_FINE);
    assert_int_equal(rcpt.to.domain.n, 0);
    assert_true(slice_eq(rcpt.to.local, SLICE("PostMaster")));
}

static void bdat_and_auth_take_exactly_their_arguments(void **)
{
    static const struct {
        const char *args;
        enum wire_fault fault;
        uint64_t size_bytes;
        bool is_last;
    } bdats[] = {
        {"0", WIRE_FINE, 0, false},
        {"1000 last", WIRE_FINE, 1000, true},
        {"0 LAST", WIRE_FINE, 0, true},
        {"", WIRE_BAD_VALUE, 0, false},
        {"x", WIRE_BAD_VALUE, 0, false},
        {"-1", WIRE_BAD_VALUE, 0, false},
        {"18446744073709551616", WIRE_BAD_VALUE, 0, false},
        {"1 FIRST", WIRE_SYNTAX, 0, false},
        {"1 LAST 2", WIRE_SYNTAX, 0, false},
    };
    for (size_t i = 0; i < N(bdats); i++) {
        struct wire_bdat bdat = {.size_bytes = 0};
        assert_int_equal(wire_bdat_parse(slice_str(bdats[i].args), &bdat).fault, bdats[i].fault);
        assert_int_equal(bdat.size_bytes, bdats[i].size_bytes);
        assert_int_equal(bdat.is_last, bdats[i].is_last);
    }
    static const struct {
        const char *args;
        enum wire_fault fault;
        const char *initial;
    } auths[] = {
        {"PLAIN", WIRE_FINE, NULL},          {"PLAIN AGEAYg==", WIRE_FINE, "AGEAYg=="},
        {"SCRAM-SHA-256 =", WIRE_FINE, "="}, {"", WIRE_SYNTAX, NULL},
        {"PL;AIN", WIRE_SYNTAX, NULL},       {"ABCDEFGHIJKLMNOPQRSTU", WIRE_SYNTAX, NULL},
        {"PLAIN a b", WIRE_SYNTAX, NULL},    {"PLAIN a*b", WIRE_BAD_VALUE, NULL},
        {"PLAIN a=b", WIRE_BAD_VALUE, NULL},
    };
    for (size_t i = 0; i < N(auths); i++) {
        struct wire_auth auth = {.has_initial = false};
        assert_int_equal(wire_auth_parse(slice_str(auths[i].args), &auth).fault, auths[i].fault);
        assert_int_equal(auth.has_initial, auths[i].initial != NULL);
        if (auths[i].initial)
            assert_true(slice_eq(auth.initial, slice_str(auths[i].initial)));
    }
}

static void xclient_is_read_as_postfix_writes_it(void **)
{
    struct wire_xclient x;
    struct slice args = SLICE("NAME=spike.example.org ADDR=IPV6:2001:db8::1 PORT=2525 "
                              "proto=ESMTP HELO=a+2Bb LOGIN=[UNAVAILABLE] DESTADDR=192.0.2.9 "
                              "DESTPORT=25");
    assert_int_equal(wire_xclient_parse(args, &x).fault, WIRE_FINE);
    assert_int_equal(x.name.kind, WIRE_XCLIENT_GIVEN);
    assert_string_equal(x.name.s, "spike.example.org");
    assert_string_equal(wire_ip_text(x.addr).s, "2001:db8::1");
    assert_int_equal(x.port, 2525);
    assert_true(x.is_esmtp);
    assert_string_equal(x.helo.s, "a+b");
    assert_int_equal(x.login.kind, WIRE_XCLIENT_UNAVAILABLE);
    assert_string_equal(wire_ip_text(x.destaddr).s, "192.0.2.9");
    assert_int_equal(x.destport, 25);
    assert_int_equal(wire_xclient_parse(SLICE("NAME=[TEMPUNAVAIL]"), &x).fault, WIRE_FINE);
    assert_int_equal(x.name.kind, WIRE_XCLIENT_TEMPUNAVAIL);
    assert_int_equal(x.addr_kind, WIRE_XCLIENT_ABSENT);
    static const struct {
        const char *args;
        enum wire_fault fault;
    } rows[] = {
        {"", WIRE_SYNTAX},
        {"FOO=1", WIRE_UNKNOWN_PARAM},
        {"NAME", WIRE_BAD_VALUE},
        {"NAME=", WIRE_BAD_VALUE},
        {"NAME=a NAME=b", WIRE_DUPLICATE_PARAM},
        {"PORT=[UNAVAILABLE] PORT=1", WIRE_DUPLICATE_PARAM},
        {"NAME=a+0Ab", WIRE_BAD_VALUE},
        {"NAME=a+00", WIRE_BAD_VALUE},
        {"NAME=a+20b", WIRE_BAD_VALUE},
        {"NAME=a+2", WIRE_BAD_VALUE},
        {"ADDR=1.2.3", WIRE_BAD_VALUE},
        {"ADDR=2001:db8::1", WIRE_BAD_VALUE},
        {"ADDR=IPV6:1.2.3.4", WIRE_BAD_VALUE},
        {"PORT=65536", WIRE_BAD_VALUE},
        {"PROTO=LMTP", WIRE_BAD_VALUE},
        {"HELO=" X250 "xxxxxx", WIRE_TOO_LONG},
    };
    for (size_t i = 0; i < N(rows); i++)
        assert_int_equal(wire_xclient_parse(slice_str(rows[i].args), &x).fault, rows[i].fault);
}

static const struct wire_caps all_caps = {
    .flags = WIRE_CAP_SIZE | WIRE_CAP_8BITMIME | WIRE_CAP_SMTPUTF8 | WIRE_CAP_DSN | WIRE_CAP_AUTH |
             WIRE_CAP_BINARYMIME,
    .xclient = 255,
};

static void xclient_is_written_as_it_is_read(void **)
{
    struct wire_xclient x, again;
    SCOPED(buf_finish) struct buf out = buf_make(4096);
    struct slice line = SLICE("XCLIENT NAME=a+2Bb ADDR=IPV6:2001:db8::1 PORT=25 PROTO=SMTP "
                              "HELO=[UNAVAILABLE] LOGIN=[TEMPUNAVAIL] DESTPORT=587\r\n");
    assert_int_equal(wire_xclient_parse(slice_of(line.p + 8, line.n - 10), &x).fault, WIRE_FINE);
    wire_xclient_add(&out, &x, &all_caps);
    assert_string_equal(buf_cstr(&out), line.p);
    const struct wire_caps few = {.xclient = WIRE_XATTR_ADDR | WIRE_XATTR_DESTADDR};
    buf_clear(&out);
    wire_xclient_add(&out, &x, &few);
    assert_string_equal(buf_cstr(&out), "XCLIENT ADDR=IPV6:2001:db8::1\r\n");
    buf_clear(&out);
    wire_xclient_add(&out, &x, &(struct wire_caps){.flags = 0});
    assert_string_equal(buf_cstr(&out), "");
    again = (struct wire_xclient){.addr_kind = WIRE_XCLIENT_GIVEN,
                                  .name = {.kind = WIRE_XCLIENT_GIVEN, .s = "x y\r\nDATA"},
                                  .helo = {.kind = WIRE_XCLIENT_GIVEN}};
    wire_xclient_add(&out, &again, &all_caps);
    assert_string_equal(buf_cstr(&out), "XCLIENT NAME=x+20y+0D+0ADATA ADDR=[UNAVAILABLE] "
                                        "HELO=[UNAVAILABLE]\r\n");
}

static void envelopes_are_written_as_they_are_read(void **)
{
    static const char *const mails[] = {
        "FROM:<>",
        "FROM:<a@b> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b AUTH=<>",
        "FROM:<\"a b\"@c> BODY=7BIT RET=FULL",
        "FROM:<j\xc3\xb6@b> BODY=BINARYMIME SMTPUTF8",
    };
    static const char *const rcpts[] = {
        "TO:<a@b>",
        "TO:<postmaster> NOTIFY=NEVER",
        "TO:<j\xc3\xb6@b> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=utf-8;j\xc3\xb6@b",
    };
    SCOPED(buf_finish) struct buf out = buf_make(4096), want = buf_make(4096);
    for (size_t i = 0; i < N(mails); i++) {
        struct wire_mail mail;
        buf_clear(&out), buf_clear(&want);
        buf_addf(&want, "MAIL %s\r\n", mails[i]);
        assert_int_equal(wire_mail_parse(slice_str(mails[i]), &mail).fault, WIRE_FINE);
        assert_int_equal(wire_mail_add(&out, &mail, &all_caps).fault, WIRE_FINE);
        assert_string_equal(buf_cstr(&out), buf_cstr(&want));
    }
    for (size_t i = 0; i < N(rcpts); i++) {
        struct wire_rcpt rcpt;
        buf_clear(&out), buf_clear(&want);
        buf_addf(&want, "RCPT %s\r\n", rcpts[i]);
        assert_int_equal(wire_rcpt_parse(slice_str(rcpts[i]), true, &rcpt).fault, WIRE_FINE);
        assert_int_equal(wire_rcpt_add(&out, &rcpt, &all_caps).fault, WIRE_FINE);
        assert_string_equal(buf_cstr(&out), buf_cstr(&want));
    }
}

static void parameters_that_are_not_offered_stay_home(void **)
{
    const struct wire_caps none = {.flags = 0};
    struct wire_mail mail;
    struct wire_rcpt rcpt;
    SCOPED(buf_finish) struct buf out = buf_make(4096);
    struct slice args = SLICE("FROM:<a@b> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<>");
    assert_int_equal(wire_mail_parse(args, &mail).fault, WIRE_FINE);
    assert_int_equal(wire_mail_add(&out, &mail, &none).fault, WIRE_FINE);
    args = SLICE("TO:<c@d> NOTIFY=DELAY ORCPT=rfc822;x");
    assert_int_equal(wire_rcpt_parse(args, false, &rcpt).fault, WIRE_FINE);
    assert_int_equal(wire_rcpt_add(&out, &rcpt, &none).fault, WIRE_FINE);
    assert_string_equal(buf_cstr(&out), "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    /* Only the 8-bit form of ORCPT needs SMTPUTF8. */
    const struct wire_caps dsn = {.flags = WIRE_CAP_DSN};
    rcpt.orcpt_type = SLICE("utf-8");
    rcpt.orcpt = SLICE("\xc3\xb6@b");
    buf_clear(&out);
    assert_int_equal(wire_rcpt_add(&out, &rcpt, &dsn).fault, WIRE_FINE);
    assert_string_equal(buf_cstr(&out), "RCPT TO:<c@d> NOTIFY=DELAY\r\n");
}

static void an_envelope_cannot_smuggle_a_command(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(4096);
    const struct wire_mail mails[] = {
        {.from.text = SLICE("a@b>\r\nRCPT TO:<x@y")},
        {.from.text = SLICE("a@b> SIZE=1")},
        {.from.text = SLICE("j\xc3\xb6@b")},
        {.envid = SLICE("x\r\nDATA")},
        {.envid = SLICE("x y")},
        {.has_auth = true, .auth = SLICE("x\r\n")},
        {.has_auth = true},
    };
    const struct wire_rcpt rcpts[] = {
        {.to.text = SLICE("a@b>\r\nDATA")},
        {.to.text = SLICE("")},
        {.to.text = SLICE("bob")},
        {.to.text = SLICE("a@b"), .notify = 16},
        {.to.text = SLICE("a@b"), .notify = WIRE_NOTIFY_NEVER | WIRE_NOTIFY_DELAY},
        {.to.text = SLICE("a@b"), .orcpt_type = SLICE("rfc822"), .orcpt = SLICE("x y")},
        {.to.text = SLICE("a@b"), .orcpt_type = SLICE("r f"), .orcpt = SLICE("x")},
    };
    for (size_t i = 0; i < N(mails); i++)
        assert_int_not_equal(wire_mail_add(&out, &mails[i], &all_caps).fault, WIRE_FINE);
    for (size_t i = 0; i < N(rcpts); i++)
        assert_int_not_equal(wire_rcpt_add(&out, &rcpts[i], &all_caps).fault, WIRE_FINE);
    assert_int_equal(out.n, 0);
    const struct wire_caps none = {.flags = 0};
    const struct wire_rcpt utf8 = {.to.text = SLICE("j\xc3\xb6@b")};
    assert_int_equal(wire_rcpt_add(&out, &utf8, &none).fault, WIRE_NON_ASCII);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_are_known_in_any_case_and_arguments_lose_their_blanks),
        cmocka_unit_test(mail_is_refused_for_the_right_reason),
        cmocka_unit_test(mail_gives_every_parameter),
        cmocka_unit_test(rcpt_is_refused_for_the_right_reason),
        cmocka_unit_test(bdat_and_auth_take_exactly_their_arguments),
        cmocka_unit_test(xclient_is_read_as_postfix_writes_it),
        cmocka_unit_test(xclient_is_written_as_it_is_read),
        cmocka_unit_test(envelopes_are_written_as_they_are_read),
        cmocka_unit_test(parameters_that_are_not_offered_stay_home),
        cmocka_unit_test(an_envelope_cannot_smuggle_a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
