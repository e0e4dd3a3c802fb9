/* Deliveries against servers that follow a script: every phase, every way to fail or to attack. */
#include "courier/courier.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mail.h"
#include "courier/test/courier_kit.h"
#include "courier/test/fake_server.h"

#define MESSAGE "Subject: x\r\n\r\nhello\r\n.dot\r\n"
#define BIT8 "Subject: x\r\n\r\nh\xc3\xa9llo\r\n"
#define HELLO ">220 fake ESMTP here\n|<EHLO mx1.staffetta.example|"
#define BARE ">250 fake\n|"
#define PIPE ">250-fake\n250-PIPELINING\n250-SIZE 100000\n250 8BITMIME\n|"
#define CHUNK ">250-fake\n250-PIPELINING\n250 CHUNKING\n|"
#define ENVELOPE "<MAIL FROM:<anna@company.example>|<RCPT TO:<r0@there.example>|<DATA|"
#define GOOD "." /* the content */ "|>250 2.0.0 kept\n|"
#define FLOOD "220-a\n220-a\n220-a\n220-a\n220-a\n220-a\n220-a\n220-a\n"
#define FLOOD8 FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD

struct row {
    const char *name;
    const char *scripts[4];
    const char *content; /* NULL: MESSAGE */
    enum smtp_phase phase;
    unsigned code;
    const char *enhanced, *text; /* text: a part of it */
    bool is_sent;
    unsigned n_rcpts;   /* 0: one */
    unsigned last_code; /* of the last recipient, if there are more */
    uint32_t flags;
    enum ipc_tls tls;
};

/* A row is its script and, below, what must come of it. */
/* clang-format off */
static const struct row rows[] = {
    /* ---- it works ---- */
    {"one command at a time",
     {HELLO BARE "<MAIL FROM:<anna@company.example>\r\n|>250 ok\n|<RCPT|>250 ok\n|<DATA|>354 go\n|" GOOD "<QUIT"},
     .phase = SMTP_PHASE_DOT, .code = 250, .enhanced = "2.0.0", .text = "kept", .is_sent = true},
    {"all in one group",
     {HELLO PIPE "<MAIL FROM:<anna@company.example> SIZE=27|<RCPT|<DATA|>250 ok\n250 ok\n354 go\n|" GOOD "<QUIT"},
     .phase = SMTP_PHASE_DOT, .code = 250, .enhanced = "2.0.0", .text = "kept", .is_sent = true},
    {"chunks",
     {HELLO CHUNK "<MAIL|<RCPT|>250 ok\n250 ok\n|<BDAT 27 LAST|b|>250 2.6.0 kept\n|<QUIT"},
     .phase = SMTP_PHASE_DOT, .code = 250, .enhanced = "2.6.0", .text = "kept", .is_sent = true},
    {"replies byte by byte",
     {HELLO ">2|w2|>5|w2|>0-|w2|>fake\n|w2|>250 PIPELINING|w2|>\n|" ENVELOPE ">250 o|w2|>k\n25|w2|>0 ok\n3|w2|>54 go\n|" GOOD},
     .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .is_sent = true},
    {"HELO where EHLO is not known",
     {">220 old\n|<EHLO|>500 what?\n|<HELO mx1.staffetta.example|>250 hello\n|<MAIL|>250 ok\n|<RCPT|>250 ok\n|<DATA|>354 go\n|" GOOD},
     .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .is_sent = true},
    {"one of two recipients, pipelined",
     {HELLO PIPE "<MAIL|<RCPT|<RCPT|<DATA|>250 ok\n250 ok\n550 5.1.1 nobody\n354 go\n|" GOOD},
     .n_rcpts = 2, .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .last_code = 550, .is_sent = true},
    {"one of two recipients, chunks",
     {HELLO CHUNK "<MAIL|<RCPT|<RCPT|>250 ok\n250 ok\n450 4.2.1 later\n|<BDAT|b|>250 kept\n|"},
     .n_rcpts = 2, .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .last_code = 450, .is_sent = true},

    /* ---- refused, phase by phase ---- */
    {"greeting refuses for good",
     {">554 5.7.1 not you\n|<QUIT"},
     .phase = SMTP_PHASE_BANNER, .code = 554, .enhanced = "5.7.1", .text = "not you"},
    {"greeting refuses for now",
     {">421 4.3.2 too busy\n|q"},
     .phase = SMTP_PHASE_BANNER, .code = 421, .enhanced = "4.3.2", .text = "too busy"},
    {"greeting is odd",
     {">250 hi\n|q"},
     .phase = SMTP_PHASE_BANNER, .code = 0, .text = "greeted with 250"},
    {"EHLO and HELO refused",
     {">220 hi\n|<EHLO|>550 5.7.0 no\n|<HELO|>550 5.7.1 no, I said\n|<QUIT"},
     .phase = SMTP_PHASE_EHLO, .code = 550, .enhanced = "5.7.1", .text = "no, I said"},
    {"EHLO refused for now",
     {">220 hi\n|<EHLO|>451 4.3.0 later\n|<QUIT"},
     .phase = SMTP_PHASE_EHLO, .code = 451, .text = "later"},
    {"EHLO answered with 354",
     {">220 hi\n|<EHLO|>354 go\n|q"},
     .phase = SMTP_PHASE_EHLO, .code = 0, .text = "answered EHLO with 354"},
    {"MAIL refused",
     {HELLO BARE "<MAIL|>451 4.7.1 greylisted\n|<QUIT"},
     .phase = SMTP_PHASE_MAIL, .code = 451, .enhanced = "4.7.1", .text = "greylisted"},
    {"MAIL refused, pipelined",
     {HELLO PIPE "<MAIL|<RCPT|<DATA|>550 5.7.1 no\n503 first MAIL\n503 first MAIL\n|<QUIT"},
     .phase = SMTP_PHASE_MAIL, .code = 550, .text = "no"},
    {"RCPT refused",
     {HELLO BARE "<MAIL|>250 ok\n|<RCPT|>550 5.1.1 nobody\n|<QUIT"},
     .phase = SMTP_PHASE_RCPT, .code = 550, .enhanced = "5.1.1", .text = "nobody"},
    {"RCPT refused, DATA opened all the same",
     {HELLO PIPE "<MAIL|<RCPT|<DATA|>250 ok\n550 5.1.1 nobody\n354 go\n|.|>554 5.5.1 no recipients\n|<QUIT"},
     .phase = SMTP_PHASE_RCPT, .code = 550, .text = "nobody"},
    {"RCPT refused, no chunk is sent",
     {HELLO CHUNK "<MAIL|<RCPT|>250 ok\n550 5.1.1 nobody\n|<QUIT"},
     .phase = SMTP_PHASE_RCPT, .code = 550, .text = "nobody"},
    {"DATA refused",
     {HELLO PIPE "<MAIL|<RCPT|<DATA|>250 ok\n250 ok\n452 4.3.1 disk full\n|<QUIT"},
     .phase = SMTP_PHASE_DATA, .code = 452, .enhanced = "4.3.1", .text = "disk full"},
    {"content refused",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n|.|>554 5.7.1 spam\n|<QUIT"},
     .phase = SMTP_PHASE_DOT, .code = 554, .text = "spam", .is_sent = true},
    {"content refused, several lines",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n|.|>451-4.7.1 first\n451-4.7.1 second\n451 4.7.1 third\n|<QUIT"},
     .phase = SMTP_PHASE_DOT, .code = 451, .enhanced = "4.7.1", .text = "first second third", .is_sent = true},
    {"421 after the dot",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n|.|>421 4.3.2 closing\n|q"},
     .phase = SMTP_PHASE_DOT, .code = 421, .text = "closing", .is_sent = true},
    {"421 at the second recipient",
     {HELLO BARE "<MAIL|>250 ok\n|<RCPT|>250 ok\n|<RCPT|>421 4.3.2 closing\n|q"},
     .n_rcpts = 3, .phase = SMTP_PHASE_RCPT, .code = 421, .text = "closing", .last_code = 421},

    /* ---- gone or silent, phase by phase ---- */
    {"closed before the greeting",
     {"w1"},
     .phase = SMTP_PHASE_BANNER, .code = 0, .text = "closed after connecting"},
    {"silent instead of a greeting",
     {"q"},
     .phase = SMTP_PHASE_BANNER, .code = 0, .text = "no answer after connecting within"},
    {"greeting drips",
     {">2|w60|>2|w60|>0|w60|> |w60|>h|w60|>i|w60|>\n|q"},
     .phase = SMTP_PHASE_BANNER, .code = 0, .text = "no answer after connecting within"},
    {"silent after EHLO",
     {HELLO "q"},
     .phase = SMTP_PHASE_EHLO, .code = 0, .text = "no answer after EHLO within"},
    {"closed after EHLO",
     {HELLO "w1"},
     .phase = SMTP_PHASE_EHLO, .code = 0, .text = "closed after EHLO"},
    {"silent after MAIL",
     {HELLO BARE "<MAIL|q"},
     .phase = SMTP_PHASE_MAIL, .code = 0, .text = "no answer after MAIL within"},
    {"silent after RCPT",
     {HELLO BARE "<MAIL|>250 ok\n|<RCPT|q"},
     .phase = SMTP_PHASE_RCPT, .code = 0, .text = "no answer after RCPT within"},
    {"silent after DATA",
     {HELLO BARE "<MAIL|>250 ok\n|<RCPT|>250 ok\n|<DATA|q"},
     .phase = SMTP_PHASE_DATA, .code = 0, .text = "no answer after DATA within"},
    {"silent after the dot: it may be there",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n|.|q"},
     .phase = SMTP_PHASE_DOT, .code = 0, .text = "no answer after the end of the message", .is_sent = true},
    {"closed after the dot: it may be there",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n|."},
     .phase = SMTP_PHASE_DOT, .code = 0, .text = "closed after the end of the message", .is_sent = true},
    {"closed after the chunk: it may be there",
     {HELLO CHUNK "<MAIL|<RCPT|>250 ok\n250 ok\n|<BDAT|b"},
     .phase = SMTP_PHASE_DOT, .code = 0, .text = "closed after the end of the message", .is_sent = true},
    {"reset after DATA",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n|!"},
     .phase = SMTP_PHASE_DATA, .code = 0, .text = "closed after DATA"},

    /* ---- hostile ---- */
    {"not SMTP",
     {">SSH-2.0-OpenSSH_9\n|q"},
     .phase = SMTP_PHASE_BANNER, .code = 0, .text = "no SMTP reply"},
    {"two codes in a reply",
     {">220-a\n250 b\n|q"},
     .phase = SMTP_PHASE_BANNER, .code = 0, .text = "two different codes"},
    {"endless lines",
     {">" FLOOD8 FLOOD8 FLOOD8 FLOOD8 "|q"},
     .phase = SMTP_PHASE_BANNER, .code = 0, .text = "an endless reply"},
    {"talks before EHLO",
     {">220 hi\n250 hi\n|<EHLO|q"},
     .phase = SMTP_PHASE_EHLO, .code = 0, .text = "answered before it was asked"},
    {"answers the dot before it was sent",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n250 2.0.0 kept, surely\n|.|q"},
     .phase = SMTP_PHASE_DOT, .code = 0, .text = "answered before it was asked"},
    {"answers MAIL, RCPT and DATA before they were sent",
     {">220 hi\n|<EHLO|>250-a\n250 PIPELINING\n250 ok\n250 ok\n354 go\n250 kept\n|q"},
     .phase = SMTP_PHASE_MAIL, .code = 0, .text = "answered before it was asked"},
    {"refuses the content in the middle of it",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n552 5.3.4 too much\n|q"},
     .phase = SMTP_PHASE_DOT, .code = 552, .text = "too much"},
    {"354 to MAIL",
     {HELLO BARE "<MAIL|>354 go\n|q"},
     .phase = SMTP_PHASE_MAIL, .code = 0, .text = "out of place: 354"},
    {"250 to DATA",
     {HELLO BARE "<MAIL|>250 ok\n|<RCPT|>250 ok\n|<DATA|>250 ok\n|q"},
     .phase = SMTP_PHASE_DATA, .code = 0, .text = "out of place: 250"},
    {"354 to the dot",
     {HELLO PIPE ENVELOPE ">250 ok\n250 ok\n354 go\n|.|>354 more\n|q"},
     .phase = SMTP_PHASE_DOT, .code = 0, .text = "out of place: 354", .is_sent = true},
    {"control characters in a reply",
     {">554 5.7.1 \x1b[2J\x07gone\n|q"},
     .phase = SMTP_PHASE_BANNER, .code = 554, .text = "?[2J?gone"},

    /* ---- judged before anything is sent ---- */
    {"too big for it",
     {HELLO ">250-a\n250 SIZE 20\n|<QUIT"},
     .phase = SMTP_PHASE_MAIL, .code = 552, .enhanced = "5.3.4", .text = "27 bytes"},
    {"8-bit content that it cannot take",
     {HELLO BARE "<QUIT"},
     .content = BIT8, .phase = SMTP_PHASE_MAIL, .code = 554, .enhanced = "5.6.3", .text = "8BITMIME"},
    {"8-bit content is declared",
     {HELLO PIPE "<MAIL FROM:<anna@company.example> SIZE=22 BODY=8BITMIME|<RCPT|<DATA|>250 a\n250 b\n354 go\n|" GOOD},
     .content = BIT8, .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .is_sent = true},
    {"internationalised mail that it cannot take",
     {HELLO PIPE "<QUIT"},
     .content = BIT8, .flags = MESSAGE_SMTPUTF8, .phase = SMTP_PHASE_MAIL, .code = 550, .enhanced = "5.6.7", .text = "SMTPUTF8"},
    {"marked as internationalised without need",
     {HELLO PIPE ENVELOPE ">250 a\n250 b\n354 go\n|" GOOD},
     .flags = MESSAGE_SMTPUTF8, .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .is_sent = true},
    {"more recipients than it takes at once",
     {HELLO ">250-a\n250-PIPELINING\n250 LIMITS RCPTMAX=2\n|<MAIL|<RCPT|<RCPT|<DATA|>250 a\n250 a\n250 a\n354 go\n|" GOOD},
     .n_rcpts = 3, .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .last_code = 452, .is_sent = true},

    /* ---- TLS ---- */
    {"TLS is required and not offered",
     {HELLO BARE "<QUIT"},
     .tls = IPC_TLS_MUST, .phase = SMTP_PHASE_TLS, .code = 0, .text = "required but not offered"},
    {"TLS is required and refused",
     {HELLO ">250-a\n250 STARTTLS\n|<STARTTLS|>454 4.7.0 no key\n|<QUIT"},
     .tls = IPC_TLS_MUST, .phase = SMTP_PHASE_TLS, .code = 454, .enhanced = "4.7.0", .text = "no key"},
    {"TLS refused where it may be left out",
     {HELLO ">250-a\n250 STARTTLS\n|<STARTTLS|>454 4.7.0 no key\n|<MAIL|>250 a\n|<RCPT|>250 a\n|<DATA|>354 a\n|" GOOD},
     .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .is_sent = true},
    {"bytes between STARTTLS and the handshake",
     {HELLO ">250-a\n250 STARTTLS\n|<STARTTLS|>220 go\n250 injected\n|q"},
     .tls = IPC_TLS_MUST, .phase = SMTP_PHASE_TLS, .code = 0, .text = "injection"},
    {"no TLS behind STARTTLS",
     {HELLO ">250-a\n250 STARTTLS\n|<STARTTLS|>220 go\n|w20|>what?\n|q"},
     .tls = IPC_TLS_MUST, .phase = SMTP_PHASE_TLS, .code = 0, .text = "TLS: "},
    {"silent behind STARTTLS",
     {HELLO ">250-a\n250 STARTTLS\n|<STARTTLS|>220 go\n|q"},
     .tls = IPC_TLS_MUST, .phase = SMTP_PHASE_TLS, .code = 0, .text = "no answer after STARTTLS"},
    {"broken TLS where it may be left out: again without",
     {HELLO ">250-a\n250 STARTTLS\n|<STARTTLS|>220 go\n|w20|>what?\n|q",
      HELLO ">250-a\n250-PIPELINING\n250 STARTTLS\n|" ENVELOPE ">250 a\n250 b\n354 go\n|" GOOD},
     .phase = SMTP_PHASE_DOT, .code = 250, .text = "kept", .is_sent = true},
};
/* clang-format on */

static bool has_text(struct slice s, const char *part)
{
    return !part || memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static const char *check_result(const struct row *row, const struct ipc_result *r)
{
    const struct ipc_job_outcome *o = &r->outcomes[0];
    unsigned n = row->n_rcpts ? row->n_rcpts : 1;
    if (r->message != 77 || r->n_outcomes != n || o->rcpt != 5)
        return "not the job's recipients";
    if (o->phase != row->phase || o->code != row->code)
        return "another phase or code";
    if (row->enhanced && !slice_eq(o->enhanced, slice_str(row->enhanced)))
        return "another enhanced code";
    if (!has_text(o->text, row->text))
        return "other words";
    if ((r->is_sent != 0) != row->is_sent)
        return "is_sent is not true";
    if (row->last_code && r->outcomes[n - 1].code != row->last_code)
        return "another code for the last recipient";
    return NULL;
}

static int n_wrong;

static void play(const struct row *row, struct net_tls_client *tls)
{
    struct fake_server server;
    struct kit k;
    struct kit_job j;
    fake_start(&server, row->scripts, NULL);
    /* Short only where silence is the point: a busy machine is no slow server. */
    bool is_silent = strstr(row->text, "no answer") != NULL;
    kit_start(&k, tls, is_silent ? MILLISECONDS(150) : SECONDS(5));
    k.o.idle = 0;
    kit_begin(&k);
    struct ipc_job *job = kit_job(&j, server.port, row->n_rcpts ? row->n_rcpts : 1);
    job->flags = row->flags;
    job->tls = (uint8_t)row->tls;
    kit_send(&k, 9, job, row->content ? row->content : MESSAGE);
    kit_wait(&k, 1);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&server);
    const struct ipc_result *r = &k.result[0];
    const char *wrong = check_result(row, r);
    if (!wrong && server.fault[0])
        wrong = server.fault;
    if (wrong) {
        n_wrong++;
        print_error("%s: %s (phase %u code %u '" SLICE_FMT "' sent %u)\n", row->name, wrong,
                    r->outcomes[0].phase, r->outcomes[0].code, SLICE_ARG(r->outcomes[0].text),
                    r->is_sent);
    }
    kit_finish(&k);
}

static void each_script_ends_as_written(void **)
{
    struct net_tls_client *tls;
    assert_int_equal(net_tls_client_create(SLICE(""), &tls, NULL), ERR_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        play(&rows[i], tls);
    net_tls_client_destroy(&tls);
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_script_ends_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
