/* Looks into mailboxes of servers that follow a script: log-in, canary, Message-IDs; and of servers
 * that stall, break off, talk nonsense or never stop. */
#include "liaison/test/liaison_kit.h"

#define HELLO ">* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\n|"
#define IN "<s1 AUTHENTICATE PLAIN AHUAcHc=|>s1 OK [CAPABILITY IMAP4rev1 UIDPLUS] in\n|"
#define EXAMINED                                                                                   \
    "<s2 EXAMINE \"INBOX\"|>* 3 EXISTS\n* OK [UIDVALIDITY 7] x\n* OK [UIDNEXT 10] x\n"             \
    "s2 OK [READ-ONLY] done\n|"
#define BYE(tag) "<" tag " LOGOUT|>* BYE x\n" tag " OK x\n|"
#define ID "<staffetta-canary.t-1@probe.example>"

static struct ipc_server server_at(struct ipc_host *host, uint16_t port)
{
    *host = (struct ipc_host){SLICE("127.0.0.1"), port};
    return (struct ipc_server){.hosts = host,
                               .n_hosts = 1,
                               .tls = IPC_TLS_NEVER,
                               .user = SLICE("u"),
                               .secret = SLICE("pw")};
}

/* ---- logging in ---- */

struct login_case {
    const char *script;
    enum ipc_look_step step;
    bool is_well, is_ours;
    const char *text;
    uint32_t timeout_ms;
    uint8_t tls, is_implicit, mechanism;
    const char *act_as;
};

static void check_login(struct kit *k, const struct login_case *c, SSL_CTX *tls,
                        struct ipc_mailbox_seen *ret)
{
    struct fake_server server;
    const char *scripts[] = {c->script, NULL};
    struct ipc_host host;
    fake_start(&server, scripts, tls);
    struct ipc_server at = server_at(&host, server.port);
    at.tls = c->tls;
    at.is_implicit = c->is_implicit;
    at.mechanism = c->mechanism;
    at.act_as = slice_str(c->act_as);
    at.tls_name = SLICE("mx.test");
    struct ipc_mailbox_look l = {.primary = 7,
                                 .what = IPC_LOOK_LOGIN,
                                 .server = &at,
                                 .n_server = 1,
                                 .timeout_ms = c->timeout_ms ? c->timeout_ms : 5000};
    KIT_ASK(k, mailbox_look, &l, mailbox_seen, ret);
    fake_stop(&server);
    if (ret->is_well != c->is_well || ret->step != c->step || ret->is_ours != c->is_ours ||
        !kit_says(ret->text, c->text))
        fail_msg("%s\n-> step %s well %d ours %d: " SLICE_FMT, c->script,
                 ipc_look_step_name(ret->step), ret->is_well, ret->is_ours, SLICE_ARG(ret->text));
    if (ret->is_well)
        assert_string_equal(server.fault, "");
    assert_int_equal(ret->primary, 7);
    assert_int_equal(ret->what, IPC_LOOK_LOGIN);
    assert_true(ret->took_ms < 3000);
    assert_false(kit_says(ret->text, "pw"));
    assert_false(kit_says(ret->text, "AHUAcHc"));
}

static void each_log_in_ends_where_it_ends(void **)
{
    static const struct login_case cases[] = {
        {HELLO IN EXAMINED BYE("s3"), IPC_STEP_SELECT, true, false, "has 3 messages",
         .tls = IPC_TLS_NEVER},
        /* no SASL-IR, capabilities asked for */
        {">* OK hi\n|<s1 CAPABILITY|>* CAPABILITY IMAP4rev1 AUTH=PLAIN\ns1 OK x\n|"
         "<s2 AUTHENTICATE PLAIN\r|>+ \n|<AHUAcHc=|>s2 OK x\n|"
         "<s3 CAPABILITY|>* CAPABILITY IMAP4rev1\ns3 OK x\n|<s4 EXAMINE|>s4 OK x\n|" BYE("s5"),
         IPC_STEP_SELECT, true, false, "logged in", .tls = IPC_TLS_NEVER},
        {">* OK [CAPABILITY IMAP4rev2] hi\n|<s1 LOGIN \"u\" \"pw\"|>* CAPABILITY IMAP4rev2\n"
         "s1 OK x\n|<s2 EXAMINE|>s2 OK x\n|" BYE("s3"),
         IPC_STEP_SELECT, true, false, "logged in", .tls = IPC_TLS_NEVER},
        {HELLO "<s1 AUTHENTICATE PLAIN dgB1AHB3|>s1 OK [CAPABILITY IMAP4rev1] x\n|<s2 EXAMINE|>"
               "s2 OK x\n|" BYE("s3"),
         IPC_STEP_SELECT, true, false, "logged in", .tls = IPC_TLS_NEVER, .act_as = "v"},
        {">* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] hi\n|"
         "<s1 AUTHENTICATE XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHB3AQE=|>+ eyJzdGF0dXMiOiI0MDEifQ==\n|"
         "<\r|>s1 NO [AUTHENTICATIONFAILED] token\n|" BYE("s2"),
         IPC_STEP_LOGIN, false, false, "AUTHENTICATE was refused (NO): token; {\"status\":\"401\"}",
         .tls = IPC_TLS_NEVER, .mechanism = IPC_LOGIN_XOAUTH2},
        {HELLO "<s1|>s1 NO [AUTHENTICATIONFAILED] Wrong.\n|" BYE("s2"), IPC_STEP_LOGIN, false,
         false, "refused (NO): Wrong.", .tls = IPC_TLS_NEVER},
        {HELLO "<s1|>s1 BAD cannot parse AHUAcHc=\n|", IPC_STEP_LOGIN, false, false,
         "words are left out", .tls = IPC_TLS_NEVER},
        {HELLO "<s1|>s1 NO pw is wrong\n|", IPC_STEP_LOGIN, false, false, "words are left out",
         .tls = IPC_TLS_NEVER},
        {HELLO "<s1|>* NO [ALERT] disk\ns1 NO [UNAVAILABLE] later\n|", IPC_STEP_LOGIN, false, false,
         "later", .tls = IPC_TLS_NEVER},
        {">* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\n|", IPC_STEP_LOGIN, false, false,
         "does not allow LOGIN", .tls = IPC_TLS_NEVER},
        {">* OK [CAPABILITY IMAP4rev1] hi\n|", IPC_STEP_LOGIN, false, true, "act for another",
         .tls = IPC_TLS_NEVER, .act_as = "v"},
        {">* OK [CAPABILITY IMAP4rev1] hi\n|", IPC_STEP_LOGIN, false, false, "not offer PLAIN",
         .tls = IPC_TLS_NEVER, .mechanism = IPC_LOGIN_PLAIN},
        {HELLO IN "<s2|>s2 NO [NONEXISTENT] no INBOX\n|" BYE("s3"), IPC_STEP_SELECT, false, false,
         "no INBOX", .tls = IPC_TLS_NEVER},
        /* greetings */
        {">* BYE too many\n|q", IPC_STEP_GREETING, false, false, "goodbye after connecting: too",
         .tls = IPC_TLS_NEVER},
        {">* PREAUTH hi\n|q", IPC_STEP_GREETING, false, false, "not that of", .tls = IPC_TLS_NEVER},
        {">220 mx ESMTP\n|q", IPC_STEP_GREETING, false, false, "no IMAP", .tls = IPC_TLS_NEVER},
        {">* OK hi\n|<s1|>* CAPABILITY POP3\ns1 OK x\n|q", IPC_STEP_GREETING, false, false,
         "no IMAP that we know", .tls = IPC_TLS_NEVER},
        {"", IPC_STEP_GREETING, false, false, "closed after connecting", .tls = IPC_TLS_NEVER},
        {"q", IPC_STEP_GREETING, false, false, "no answer after connecting", 200,
         .tls = IPC_TLS_NEVER},
        /* TLS that is not there */
        {HELLO "", IPC_STEP_TLS, false, false, "not offered", .tls = IPC_TLS_MAY},
        {">* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n|<s1 STARTTLS|>s1 BAD no\n|", IPC_STEP_TLS,
         false, false, "STARTTLS was refused (BAD): no", .tls = IPC_TLS_MUST},
        {">* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n|<s1 STARTTLS|>s1 OK go\n* OK bad\n|q",
         IPC_STEP_TLS, false, false, "injection", .tls = IPC_TLS_MUST},
        {">hello\n|q", IPC_STEP_TLS, false, false, "", .tls = IPC_TLS_MUST, .is_implicit = 1},
        {"q", IPC_STEP_TLS, false, false, "not answered in time", 200, .tls = IPC_TLS_MUST,
         .is_implicit = 1},
        /* breaking off and nonsense */
        {HELLO "<s1|!", IPC_STEP_LOGIN, false, false, "closed after AUTHENTICATE",
         .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|>* 3 EXI", IPC_STEP_SELECT, false, false, "closed after EXAMINE",
         .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|>* BYE [UNAVAILABLE] restarting\n|q", IPC_STEP_SELECT, false, false,
         "goodbye after EXAMINE: restarting", .tls = IPC_TLS_NEVER},
        {HELLO "<s1|>s2 OK in\n|q", IPC_STEP_LOGIN, false, false, "we did not give",
         .tls = IPC_TLS_NEVER},
        {HELLO "<s1|>x OK in\n|q", IPC_STEP_LOGIN, false, false, "we did not give",
         .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|>s1 OK in\n|q", IPC_STEP_SELECT, false, false, "we did not give",
         .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|>+ more\n|q", IPC_STEP_SELECT, false, false, "wants more of EXAMINE",
         .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|>* 1 FETCH (BODY[] {4000000000}\n|rxxxxxxxxxxxxxxxxxxxx", IPC_STEP_SELECT,
         false, false, "endless response", .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|>* OK |rxxxxxxxxxxxxxxxxxxxx", IPC_STEP_SELECT, false, false,
         "endless response", .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|r* 1 FETCH (UID 1 FLAGS (a))\n", IPC_STEP_SELECT, false, false,
         "responses without end", .tls = IPC_TLS_NEVER},
        {HELLO IN "<s2|>* OK a\n|w80|>* OK a\n|w80|>* OK a\n|w80|>* OK a\n|q", IPC_STEP_SELECT,
         false, false, "no answer after EXAMINE", 200, .tls = IPC_TLS_NEVER},
    };
    struct kit k;
    struct ipc_mailbox_seen seen;
    kit_start(&k, SLICE(""), 10);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_login(&k, &cases[i], NULL, &seen);
    kit_stop(&k);
}

static void tls_is_checked_as_wanted_and_its_end_is_told(void **)
{
#define TLS_HELLO ">* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n|<s1 STARTTLS|>s1 OK go\n|t|"
#define TLS_REST                                                                                   \
    "<s2 CAPABILITY|>* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\ns2 OK x\n|<s3 AUTHENTICATE|>"      \
    "s3 OK [CAPABILITY IMAP4rev1] x\n|<s4 EXAMINE|>s4 OK x\n|" BYE("s5")
    static const struct {
        struct login_case c;
        long seconds;
        bool is_known;
    } cases[] = {
        {{TLS_HELLO TLS_REST, IPC_STEP_SELECT, true, false, "logged in", .tls = IPC_TLS_MAY},
         90,
         false},
        {{TLS_HELLO TLS_REST, IPC_STEP_SELECT, true, false, "logged in", .tls = IPC_TLS_VERIFY},
         90,
         true},
        {{"t|" HELLO IN EXAMINED BYE("s3"), IPC_STEP_SELECT, true, false, "logged in",
          .tls = IPC_TLS_VERIFY, .is_implicit = 1},
         90,
         true},
        {{"t|" HELLO "q", IPC_STEP_TLS, false, false, "expired", .tls = IPC_TLS_VERIFY,
          .is_implicit = 1},
         -60,
         true},
        {{TLS_HELLO "", IPC_STEP_TLS, false, true, "no authority", .tls = IPC_TLS_VERIFY},
         90,
         false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit k;
        struct buf pem;
        struct ipc_mailbox_seen seen;
        SSL_CTX *tls = fake_tls_until("mx.test", cases[i].seconds, &pem);
        kit_start(&k, cases[i].is_known ? buf_slice(&pem) : SLICE(""), 10);
        check_login(&k, &cases[i].c, tls, &seen);
        utc_ms expected = utc_now() + cases[i].seconds * 1000;
        bool is_shown = cases[i].is_known || cases[i].c.tls != IPC_TLS_VERIFY;
        if (is_shown) /* without any authority the handshake is not even begun */
            assert_true(seen.cert_until > expected - 5000 && seen.cert_until < expected + 5000);
        kit_stop(&k);
        SSL_CTX_free(tls);
        buf_finish(&pem);
    }
}

static void a_wrong_password_is_not_tried_at_the_next_host(void **)
{
    struct kit k;
    struct fake_server first, second;
    const char *refuses[] = {HELLO "<s1|>s1 NO wrong\n|" BYE("s2"), NULL};
    const char *takes[] = {HELLO IN EXAMINED BYE("s3"), NULL};
    kit_start(&k, SLICE(""), 10);
    fake_start(&first, refuses, NULL);
    fake_start(&second, takes, NULL);
    struct ipc_host hosts[] = {{SLICE("127.0.0.1"), 1},
                               {SLICE("127.0.0.1"), first.port},
                               {SLICE("127.0.0.1"), second.port}};
    struct ipc_server at = server_at(&hosts[0], 1);
    at.n_hosts = 3;
    struct ipc_mailbox_look l = {
        .what = IPC_LOOK_LOGIN, .server = &at, .n_server = 1, .timeout_ms = 5000};
    struct ipc_mailbox_seen seen;
    KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen);
    assert_int_equal(seen.step, IPC_STEP_LOGIN);
    assert_int_equal(second.n_connections, 0);
    at.hosts[1].port = 1; /* but a dead host is stepped over */
    KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen);
    assert_true(seen.is_well);
    fake_stop(&first);
    fake_stop(&second);
    kit_stop(&k);
}

static void what_is_ours_is_said_to_be_ours(void **)
{
    struct kit k;
    struct ipc_host host;
    struct ipc_mailbox_seen seen;
    kit_start(&k, SLICE(""), 10);
    struct ipc_server at = server_at(&host, 143);
    struct ipc_mailbox_look l = {
        .what = IPC_LOOK_LOGIN, .server = &at, .n_server = 1, .timeout_ms = 500};
    host.name = SLICE("192.0.2.1"); /* not allowed */
    KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen);
    assert_int_equal(seen.step, IPC_STEP_CONNECT);
    assert_true(seen.is_ours && kit_says(seen.text, "network.internet"));
    host.name = SLICE("imap.test"); /* no such name: theirs */
    KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen);
    assert_int_equal(seen.step, IPC_STEP_NAME);
    assert_false(seen.is_ours);
    k.resolver = 0; /* no answer */
    KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen);
    assert_int_equal(seen.step, IPC_STEP_NAME);
    assert_true(seen.is_ours);
    at.n_hosts = 0;
    KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen);
    assert_true(seen.is_ours && kit_says(seen.text, "no IMAP host"));
    l.what = 3; /* nonsense */
    struct buf b = buf_make(10000);
    ipc_mailbox_look_pack(&b, &l);
    assert_false(liaison_take(k.l, IPC_T_mailbox_look, 1, buf_slice(&b)));
    buf_finish(&b);
    kit_stop(&k);
}

/* ---- the canary ---- */

#define TEXT                                                                                       \
    "This is a test message of Staffetta. It shows that mail arrives here\n"                       \
    "and can be read. It is removed by itself; you may delete it.\n\nToken: t-1\n"
#define SMTP                                                                                       \
    ">220 mx.test\n|<EHLO|>250 mx.test\n|<MAIL FROM:<>\r|>250 ok\n|<RCPT TO:<c@example.test>|>"    \
    "250 ok\n|<DATA|>354 go\n|.|>250 taken\n|<QUIT|>221 bye\n|"
#define SELECTED(tag)                                                                              \
    "<" tag " SELECT \"INBOX\"|>* 3 EXISTS\n* OK [UIDVALIDITY 7] x\n* OK [UIDNEXT 10] x\n" tag     \
    " OK done\n|"
#define NOOP(tag) "<" tag " NOOP|>" tag " OK x\n|"
#define SEARCHED(tag, set)                                                                         \
    "<" tag " UID SEARCH HEADER Message-ID \"" ID "\"|>* SEARCH" set "\n" tag " OK x\n|"
#define FETCHED(tag, n, text)                                                                      \
    "<" tag " UID FETCH 12 (UID BODY.PEEK[TEXT]<0.16384>)|>* 4 FETCH (UID 12 BODY[TEXT]<0> {" n    \
    "}\n" text ")\n" tag " OK x\n|"
#define OLDER(tag, set)                                                                            \
    "<" tag " UID SEARCH HEADER Message-ID \"<staffetta-canary.\" HEADER Message-ID "              \
    "\"@probe.example>\"|>* SEARCH" set "\n" tag " OK x\n|"

struct canary_case {
    const char *imap, *smtp;
    enum ipc_look_step step;
    bool is_well;
    unsigned code;
    const char *text, *folder;
    uint32_t timeout_ms;
};

static void check_canary(struct kit *k, const struct canary_case *c)
{
    struct fake_server imap, smtp;
    const char *imap_scripts[] = {c->imap, NULL}, *smtp_scripts[] = {c->smtp, NULL};
    struct ipc_host host, smtp_host;
    struct ipc_mailbox_seen seen;
    fake_start(&imap, imap_scripts, NULL);
    fake_start(&smtp, smtp_scripts, NULL);
    struct ipc_server at = server_at(&host, imap.port);
    smtp_host = (struct ipc_host){SLICE("127.0.0.1"), smtp.port};
    struct ipc_mailbox_look l = {.primary = 7,
                                 .what = IPC_LOOK_CANARY,
                                 .server = &at,
                                 .n_server = 1,
                                 .smtp_hosts = &smtp_host,
                                 .n_smtp_hosts = 1,
                                 .smtp_tls = IPC_TLS_MAY,
                                 .address = SLICE("c@example.test"),
                                 .token = SLICE("t-1"),
                                 .timeout_ms = c->timeout_ms ? c->timeout_ms : 5000};
    KIT_ASK(k, mailbox_look, &l, mailbox_seen, &seen);
    if (seen.is_well != c->is_well || seen.step != c->step || !kit_says(seen.text, c->text))
        fail_msg("%s\n-> step %s well %d: " SLICE_FMT " (%s %s)", c->imap,
                 ipc_look_step_name(seen.step), seen.is_well, SLICE_ARG(seen.text), imap.fault,
                 smtp.fault);
    assert_int_equal(seen.code, c->code);
    assert_true(slice_eq(seen.folder, slice_str(c->folder)));
    assert_int_equal(seen.arrived_ms > 0, *c->folder != '\0');
    if (seen.is_well)
        assert_true(kit_says(buf_slice(&smtp.seen), "\r\nMessage-ID: " ID "\r\n"));
    fake_stop(&imap);
    fake_stop(&smtp);
    assert_string_equal(imap.fault, "");
    assert_string_equal(smtp.fault, "");
}

static void each_canary_ends_where_it_ends(void **)
{
    static const struct canary_case cases[] = {
        /* at once; two older ones go with it, a newer one stays */
        {HELLO IN SELECTED("s2") NOOP("s3") SEARCHED("s4", " 12") FETCHED("s5", "146",
                                                                          TEXT) SELECTED("s6")
             OLDER("s7", " 4 5 12 13") "<s8 UID STORE 12,4,5 +FLAGS.SILENT (\\Deleted)|>s8 OK x\n|"
                                       "<s9 UID EXPUNGE 12,4,5|>s9 OK x\n|" BYE("s10"),
         SMTP, IPC_STEP_FETCH, true, 0, "came into INBOX", "INBOX"},
        /* in the third round, by its headers because the search knows nothing; no UIDPLUS */
        {HELLO "<s1|>s1 OK [CAPABILITY IMAP4rev1] x\n|" SELECTED("s2")
             NOOP("s3") "<s4 UID SEARCH|>s4 BAD no\n|<s5 UID FETCH 10:* (UID "
                        "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])|>* 3 FETCH (UID 12 "
                        "BODY[HEADER.FIELDS (MESSAGE-ID)] {52}\nMessage-ID: " ID
                        "\n\n)\ns5 OK x\n|" FETCHED("s6", "154", "banner\n" TEXT) SELECTED(
                            "s7") "<s8|>s8 BAD no\n|<s9 UID STORE 12 +FLAGS|>s9 OK x\n|"
                                  "<s10 UID SEARCH DELETED|>* SEARCH 3 12\ns10 OK x\n|" BYE("s11"),
         SMTP, IPC_STEP_FETCH, true, 0, "8 bytes added to its text; it could not be removed: other",
         "INBOX"},
        /* in Junk */
        {HELLO IN SELECTED("s2") NOOP("s3") SEARCHED("s4", "") NOOP("s5") SEARCHED("s6", "")
             NOOP("s7") SEARCHED(
                 "s8", "") "<s9 UID FETCH 10:*|>* 3 FETCH (UID 9 BODY[HEADER.FIELDS (MESSAGE-ID)] "
                           "{2}\n\n)\n"
                           "s9 OK x\n|<s10 LIST \"\" \"*\"\r|>* LIST () \"/\" \"Z\"\n"
                           "* LIST (\\NoSelect) \"/\" \"Y\"\n* LIST () \"/\" \"INBOX\"\n"
                           "* LIST () \"/\" \"Junk\"\ns10 OK x\n|"
                           "<s11 EXAMINE \"Junk\"|>* OK [UIDVALIDITY 5] x\ns11 OK x\n|" SEARCHED(
                               "s12", " 12")
                               FETCHED("s13", "146",
                                       TEXT) "<s14 SELECT \"Junk\"|>* OK [UIDVALIDITY 5] x\ns14 OK "
                                             "x\n|" OLDER(
                                                 "s15",
                                                 " 12") "<s16 UID STORE 12 +FLAGS|>s16 OK x\n|<s17 "
                                                        "UID EXPUNGE 12|>s17 OK x\n|" BYE("s18"),
         SMTP, IPC_STEP_FETCH, true, 0, "came into Junk", "Junk"},
        /* there, but not readable, or not the same */
        {HELLO IN SELECTED("s2") NOOP("s3")
             SEARCHED("s4", " 12") "<s5|>s5 NO [SERVERBUG] disk error\n|" BYE("s6"),
         SMTP, IPC_STEP_FETCH, false, 0, "disk error", "INBOX"},
        {HELLO IN SELECTED("s2") NOOP("s3") SEARCHED(
             "s4", " 12") "<s5|>* 4 FETCH (UID 12 BODY[TEXT]<0> NIL)\ns5 OK x\n|" BYE("s6"),
         SMTP, IPC_STEP_FETCH, false, 0, "does not hand out", "INBOX"},
        {HELLO IN SELECTED("s2") NOOP("s3") SEARCHED("s4", " 12") FETCHED("s5", "6", "else\n")
             BYE("s6"),
         SMTP, IPC_STEP_FETCH, false, 0, "not what was sent", "INBOX"},
        /* not sent */
        {HELLO IN SELECTED("s2") BYE("s3"),
         ">220 mx.test\n|<EHLO|>250 mx.test\n|<MAIL|>250 ok\n|<RCPT|>550 5.1.1 who?\n|",
         IPC_STEP_SEND, false, 550, "550 5.1.1 at rcpt: who?", ""},
        {HELLO IN SELECTED("s2") BYE("s3"), "", IPC_STEP_SEND, false, 0,
         "could not be sent, at banner", ""},
        {HELLO IN SELECTED("s2") BYE("s3"),
         ">220 mx.test\n|<EHLO|>250 mx.test\n|<MAIL|>250 ok\n|<RCPT|>250 ok\n|<DATA|>354 go\n|.|"
         ">452 4.3.1 full\n|",
         IPC_STEP_SEND, false, 452, "452 4.3.1 at dot: full", ""},
    };
    struct kit k;
    kit_start(&k, SLICE(""), 10);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_canary(&k, &cases[i]);
    kit_stop(&k);
}

static void a_canary_that_does_not_come_is_lost_in_words(void **)
{
    /* Whatever is asked: nothing there. Tags count on, so every answer is written out. */
    SCOPED(buf_finish) struct buf script = buf_make(100000);
    buf_adds(&script, slice_str(HELLO IN SELECTED("s2")));
    unsigned tag = 3;
    for (; tag < 60; tag++)
        buf_addf(&script, "<s%u |>* SEARCH\n* LIST () \"/\" \"Sent\"\ns%u OK x\n|", tag, tag);
    struct kit k;
    kit_start(&k, SLICE(""), 10);
    struct canary_case c = {buf_cstr(&script),
                            SMTP,
                            IPC_STEP_SEARCH,
                            false,
                            0,
                            "neither in the INBOX nor in 1 other folders",
                            "",
                            1500};
    check_canary(&k, &c);
    kit_stop(&k);
}

static void a_canary_is_not_sent_where_it_would_be_another_message(void **)
{
    static const struct {
        const char *token, *address, *from;
    } cases[] = {
        {"", "c@example.test", ""},
        {"a b", "c@example.test", ""},
        {"a", "c@example.test>\r\nRCPT TO:<d@example.test", ""},
        {"a", "c", ""},
        {"a", "c@example.test", "x@y z"},
    };
    struct kit k;
    struct ipc_host host;
    kit_start(&k, SLICE(""), 10);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ipc_server at = server_at(&host, 1);
        struct ipc_mailbox_seen seen;
        struct ipc_mailbox_look l = {.what = IPC_LOOK_CANARY,
                                     .server = &at,
                                     .n_server = 1,
                                     .address = slice_str(cases[i].address),
                                     .mail_from = slice_str(cases[i].from),
                                     .token = slice_str(cases[i].token),
                                     .timeout_ms = 1000};
        KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen);
        assert_int_equal(seen.step, IPC_STEP_SEND);
        assert_true(seen.is_ours && !seen.is_well);
    }
    kit_stop(&k);
}

/* ---- Message-IDs ---- */

#define IN_MANY "<s1 AUTHENTICATE PLAIN AHUAcHc=|>s1 OK [CAPABILITY IMAP4rev1 ESEARCH] in\n|"
#define FOLDERS "<s2 LIST|>* LIST () \"/\" \"Sent\"\n* LIST () \"/\" \"INBOX\"\ns2 OK x\n|"
#define ASKED(tag, id) "<" tag " UID SEARCH RETURN (ALL) HEADER Message-ID \"<" id "@x>\"|"

struct has_case {
    const char *script;
    const char *expected; /* a letter an id: found, absent, unsure */
    bool is_well;
    unsigned n_folders;
    const char *text;
};

static void check_has(struct kit *k, const struct has_case *c)
{
    struct fake_server server;
    const char *scripts[] = {c->script, NULL};
    struct ipc_host host;
    struct ipc_mailbox_has_told told;
    struct ipc_message_id ids[] = {
        {SLICE("<a@x>")}, {SLICE("<b@x>")}, {SLICE("<c@x>")}, {SLICE("<\xc3\xa9@x>")}};
    char got[5] = "";
    fake_start(&server, scripts, NULL);
    struct ipc_server at = server_at(&host, server.port);
    struct ipc_mailbox_has h = {.primary = 7,
                                .server = &at,
                                .n_server = 1,
                                .ids = ids,
                                .n_ids = (uint32_t)strlen(c->expected),
                                .timeout_ms = 5000};
    KIT_ASK(k, mailbox_has, &h, mailbox_has_told, &told);
    fake_stop(&server);
    assert_int_equal(told.n_facts, h.n_ids);
    for (uint32_t i = 0; i < told.n_facts; i++)
        got[i] = "ufa"[told.facts[i].has];
    if (strcmp(got, c->expected) != 0 || told.is_well != c->is_well ||
        told.n_folders != c->n_folders || !kit_says(told.text, c->text))
        fail_msg("%s\n-> %s well %d folders %u: " SLICE_FMT " (%s)", c->script, got, told.is_well,
                 told.n_folders, SLICE_ARG(told.text), server.fault);
    assert_int_equal(told.primary, 7);
    assert_string_equal(server.fault, "");
}

static void each_id_is_found_absent_or_unsure(void **)
{
    static const struct has_case cases[] = {
        /* many at once: answers first, ends later, in another order */
        {HELLO IN_MANY FOLDERS
         "<s3 EXAMINE \"INBOX\"|>s3 OK x\n|" ASKED("s4", "a") ASKED("s5", "b") ASKED(
             "s6",
             "c") ">* ESEARCH (TAG \"s5\") UID\n* ESEARCH (TAG \"s4\") UID ALL 5\n* 7 EXISTS\n"
                  "s6 OK x\ns4 OK x\ns5 OK x\n|<s7 EXAMINE \"Sent\"|>s7 OK x\n|" ASKED("s8", "b")
                      ASKED("s9", "c") ">* ESEARCH (TAG \"s9\") UID ALL 9:10\ns8 OK x\ns9 OK "
                                       "x\n|" BYE("s10"),
         "faf", true, 2, "2 folders"},
        /* one after the other where answers do not say whose they are */
        {HELLO IN FOLDERS "<s3|>s3 OK x\n|<s4 UID SEARCH HEADER Message-ID \"<a@x>\"|>* SEARCH\n"
                          "s4 OK x\n|<s5|>* SEARCH 5\ns5 OK x\n|<s6 EXAMINE|>s6 OK x\n|"
                          "<s7 UID SEARCH|>s7 OK x\n|" BYE("s8"),
         "af", true, 2, ""},
        /* all found in the first folder: no more is asked */
        {HELLO IN FOLDERS "<s3|>s3 OK x\n|<s4|>* SEARCH 5\ns4 OK x\n|" BYE("s5"), "f", true, 1,
         "1 folders"},
        /* an answer for nobody in particular finds nothing */
        {HELLO IN_MANY FOLDERS "<s3|>s3 OK x\n|<s4|<s5|>* SEARCH 5\n|q", "uu", false, 0,
         "to which search"},
        {HELLO IN_MANY FOLDERS "<s3|>s3 OK x\n|<s4|<s5|>* ESEARCH (TAG \"s9\") ALL 5\n|q", "uu",
         false, 0, "to which search"},
        {HELLO IN_MANY FOLDERS "<s3|>s3 OK x\n|<s4|<s5|>s5 OK x\ns5 OK x\n|q", "uu", false, 0,
         "answered twice"},
        {HELLO IN_MANY FOLDERS "<s3|>s3 OK x\n|<s4|<s5|>s6 OK x\n|q", "uu", false, 0,
         "did not give"},
        /* one search refused */
        {HELLO IN_MANY FOLDERS "<s3|>s3 OK x\n|<s4|<s5|>s4 NO busy\ns5 OK x\n|"
                               "<s6|>s6 OK x\n|<s7|<s8|>s7 OK x\ns8 OK x\n|" BYE("s9"),
         "ua", false, 2, "busy"},
        /* a folder that cannot be opened */
        {HELLO IN FOLDERS "<s3|>s3 OK x\n|<s4|>* SEARCH 1\ns4 OK x\n|<s5|>s5 OK x\n|"
                          "<s6|>s6 NO [NOPERM] not yours\n|" BYE("s7"),
         "fu", false, 1, "folder Sent cannot be searched: EXAMINE was refused (NO): not yours"},
        /* breaking off */
        {HELLO IN FOLDERS "<s3|>s3 OK x\n|<s4|>* SEARCH 1\ns4 OK x\n|<s5|", "fu", false, 0,
         "closed after SEARCH"},
        {HELLO IN "<s2|>s2 OK x\n|" BYE("s3"), "uu", false, 0, "no folder"},
        {HELLO IN "<s2|>s2 NO x\n|" BYE("s3"), "u", false, 0, "LIST was refused"},
        {HELLO "<s1|>s1 NO wrong\n|" BYE("s2"), "uu", false, 0, "wrong"},
        /* an id that cannot be asked for */
        {HELLO IN_MANY FOLDERS "<s3|>s3 OK x\n|<s4|<s5|<s6|>s4 OK x\ns5 OK x\ns6 OK x\n|<s7|>s7 "
                               "OK x\n|<s8|<s9|<s10|>s8 OK x\ns9 OK x\ns10 OK x\n|" BYE("s11"),
         "aaau", false, 2, "not every Message-ID"},
    };
    struct kit k;
    kit_start(&k, SLICE(""), 10);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_has(&k, &cases[i]);
    kit_stop(&k);
}

/* ---- many at once ---- */

static void a_black_hole_gets_its_share_and_stopping_answers_all(void **)
{
    struct kit k;
    struct fake_server hole, well;
    const char *silent[] = {"q", "q", "q", "q", NULL};
    const char *good[] = {HELLO IN EXAMINED BYE("s3"), NULL};
    struct ipc_host host, good_host;
    kit_start(&k, SLICE(""), 6); /* four threads, two of them for one primary */
    fake_start(&hole, silent, NULL);
    fake_start(&well, good, NULL);
    struct ipc_server at = server_at(&host, hole.port), good_at = server_at(&good_host, well.port);
    struct ipc_mailbox_look l = {
        .primary = 1, .what = IPC_LOOK_LOGIN, .server = &at, .n_server = 1, .timeout_ms = 60000};
    for (uint64_t i = 0; i < 5; i++)
        KIT_SEND(&k, mailbox_look, i, &l);
    assert_int_equal(kit_count(&k), 0);
    l.primary = 2;
    l.server = &good_at;
    struct ipc_mailbox_seen seen;
    KIT_ASK(&k, mailbox_look, &l, mailbox_seen, &seen); /* overtakes those that wait */
    assert_true(seen.is_well);
    usleep(100000); /* it has answered, and puts its work away */
    l.primary = 1;
    l.server = &at;
    KIT_SEND(&k, mailbox_look, 5, &l);
    KIT_SEND(&k, mailbox_look, 6, &l); /* one too many */
    assert_int_equal(kit_count(&k), 2);
    assert_int_equal(k.answer[1].tag, 6);
    assert_true(ipc_mailbox_seen_unpack(k.answer[1].payload, k.arena, &seen));
    assert_true(seen.is_ours && kit_says(seen.text, "too many looks"));
    mono_us begun = mono_now();
    liaison_destroy(&k.l);
    assert_true(mono_now() - begun < SECONDS(2));
    assert_int_equal(kit_count(&k), 8);
    for (unsigned i = 2; i < 8; i++) {
        assert_true(ipc_mailbox_seen_unpack(k.answer[i].payload, k.arena, &seen));
        assert_true(seen.is_ours && !seen.is_well && kit_says(seen.text, "we are stopping"));
    }
    fake_stop(&hole);
    fake_stop(&well);
    kit_stop(&k);
}

/* ---- giving back: the contents that come before ---- */

static bool take_do(struct kit *k, uint64_t tag, uint32_t bytes, bool is_dry)
{
    struct ipc_host host = {SLICE("127.0.0.1"), 1};
    struct ipc_server at = server_at(&host, 1);
    struct ipc_mailbox_op ops[2] = {
        {.what = IPC_OP_APPEND, .message_id = SLICE("<a@x>"), .bytes = bytes},
        {.what = IPC_OP_SET, .message_id = SLICE("<b@x>"), .bytes = 99}};
    struct ipc_mailbox_do d = {.primary = 7,
                               .server = &at,
                               .n_server = 1,
                               .timeout_ms = 500,
                               .is_dry = is_dry,
                               .ops = ops,
                               .n_ops = 2};
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    ipc_mailbox_do_pack(&b, &d);
    return liaison_take(k->l, IPC_T_mailbox_do, tag, buf_slice(&b));
}

static void contents_must_be_those_of_the_appends(void **)
{
    struct kit k;
    struct ipc_mailbox_did did;
    kit_start(&k, SLICE(""), 10);
    assert_false(take_do(&k, 1, 5, false)); /* none */
    assert_true(liaison_content(k.l, 2, SLICE("1234")));
    assert_false(take_do(&k, 2, 5, false)); /* too few */
    assert_true(liaison_content(k.l, 3, SLICE("123456")));
    assert_false(take_do(&k, 3, 5, true)); /* too many */
    assert_true(liaison_content(k.l, 4, SLICE("12")));
    liaison_forget_contents(k.l);
    assert_false(take_do(&k, 4, 2, false));
    assert_int_equal(kit_count(&k), 0);
    assert_true(liaison_content(k.l, 5, SLICE("123")) && liaison_content(k.l, 5, SLICE("45")));
    assert_true(take_do(&k, 5, 5, false));
    kit_wait(&k, 1);
    assert_true(take_do(&k, 6, 5, true)); /* a dry run needs none */
    kit_wait(&k, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(ipc_mailbox_did_unpack(k.answer[i].payload, k.arena, &did));
        assert_int_equal(did.n_results, 2);
        assert_int_equal(did.step, IPC_STEP_CONNECT);
        assert_int_equal(did.results[1].result, IPC_OP_NOT_TRIED);
        assert_true(did.results[1].text.n > 0);
    }
    assert_false(take_do(&k, 7, IPC_OP_CONTENT_MAX + 1, true));
    kit_stop(&k);
}

static void contents_over_the_ceiling_are_told_and_leave_room(void **)
{
    static char piece[4 << 20];
    struct kit k;
    struct ipc_mailbox_did did;
    kit_start(&k, SLICE(""), 10);
    for (uint64_t tag = 1; tag <= 5; tag++) /* four are the ceiling */
        for (size_t n = 0; n < IPC_OP_CONTENT_MAX; n += sizeof(piece))
            assert_true(liaison_content(k.l, tag, slice_of(piece, sizeof(piece))));
    assert_false(liaison_content(k.l, 1, SLICE("x"))); /* of one */
    assert_true(take_do(&k, 5, IPC_OP_CONTENT_MAX, false));
    assert_int_equal(kit_count(&k), 1);
    assert_true(ipc_mailbox_did_unpack(k.answer[0].payload, k.arena, &did));
    assert_true(did.is_ours && kit_says(did.text, "too much mail at once"));
    assert_int_equal(did.n_results, 2);
    liaison_forget_contents(k.l);
    assert_true(liaison_content(k.l, 6, SLICE("12345")));
    assert_true(take_do(&k, 6, 5, false));
    kit_wait(&k, 2);
    assert_true(ipc_mailbox_did_unpack(k.answer[1].payload, k.arena, &did));
    assert_false(kit_says(did.text, "too much"));
    kit_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_log_in_ends_where_it_ends),
        cmocka_unit_test(tls_is_checked_as_wanted_and_its_end_is_told),
        cmocka_unit_test(a_wrong_password_is_not_tried_at_the_next_host),
        cmocka_unit_test(what_is_ours_is_said_to_be_ours),
        cmocka_unit_test(each_canary_ends_where_it_ends),
        cmocka_unit_test(a_canary_that_does_not_come_is_lost_in_words),
        cmocka_unit_test(a_canary_is_not_sent_where_it_would_be_another_message),
        cmocka_unit_test(each_id_is_found_absent_or_unsure),
        cmocka_unit_test(contents_must_be_those_of_the_appends),
        cmocka_unit_test(contents_over_the_ceiling_are_told_and_leave_room),
        cmocka_unit_test(a_black_hole_gets_its_share_and_stopping_answers_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
