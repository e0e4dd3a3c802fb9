/* Connections used again, ceilings, many recipients, TLS checks, XCLIENT, stopping. */
#include "courier/courier.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "courier/test/courier_kit.h"
#include "courier/test/fake_server.h"

#define MESSAGE "Subject: x\r\n\r\nhello\r\n.dot\r\n"
#define HELLO ">220 fake\n|<EHLO|>250-fake\n250-PIPELINING\n250 8BITMIME\n|"
#define TAKE "<MAIL|<RCPT|<DATA|>250 a\n250 b\n354 go\n|.|>250 2.0.0 kept\n|"

static struct net_tls_client *tls;

static int make_tls(void **)
{
    return net_tls_client_create(SLICE(""), &tls, NULL) == ERR_OK ? 0 : -1;
}

static int drop_tls(void **)
{
    net_tls_client_destroy(&tls);
    return 0;
}

static void send_n(struct kit *k, const struct ipc_job *job, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        kit_send(k, i, job, MESSAGE);
        kit_wait(k, i + 1);
        usleep(3000); /* until the worker waits with its connection */
    }
}

static void assert_all_delivered(const struct kit *k)
{
    for (unsigned i = 0; i < k->n_results; i++)
        assert_int_equal(k->result[i].outcomes[0].code, 250);
}

static void a_connection_serves_the_next_job(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    struct courier_figures f;
    const char *scripts[] = {HELLO TAKE TAKE TAKE "<QUIT", NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    kit_begin(&k);
    send_n(&k, kit_job(&j, s.port, 1), 3);
    courier_figures(k.courier, &f);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_all_delivered(&k);
    assert_int_equal(s.n_connections, 1);
    assert_int_equal(f.n_opened, 1);
    assert_int_equal(f.n_reused, 2);
    assert_int_equal(f.n_delivered, 3);
    assert_string_equal(s.fault, "");
    kit_finish(&k);
}

static void an_open_transaction_is_reset_first(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {HELLO
                             "<MAIL|<RCPT|<DATA|>250 a\n450 4.2.1 no\n503 none\n|"
                             "<RSET|<MAIL|<RCPT|<DATA|>250 r\n250 a\n250 b\n354 go\n|.|>250 c\n|",
                             NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    kit_begin(&k);
    send_n(&k, kit_job(&j, s.port, 1), 2);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_string_equal(s.fault, "");
    assert_int_equal(k.result[0].outcomes[0].code, 450);
    assert_int_equal(k.result[1].outcomes[0].code, 250);
    kit_finish(&k);
}

static void a_dead_connection_is_replaced_within_the_job(void **)
{
    /* Closed while idle; closed at MAIL; 421 at MAIL; 421 while idle. */
    static const char *const ends[] = {"w1", "<MAIL|w1", "<MAIL|<RCPT|<DATA|>421 4.4.2 bye\n|w1",
                                       ">421 4.4.2 idle too long\n|w1"};
    for (size_t i = 0; i < 4; i++) {
        struct fake_server s;
        struct kit k;
        struct kit_job j;
        char first[300];
        snprintf(first, sizeof(first), "%s%s", HELLO TAKE, ends[i]);
        const char *scripts[] = {first, HELLO TAKE, NULL};
        fake_start(&s, scripts, NULL);
        kit_start(&k, tls, SECONDS(1));
        kit_begin(&k);
        send_n(&k, kit_job(&j, s.port, 1), 2);
        courier_stop(k.courier, mono_now() + SECONDS(1));
        fake_stop(&s);
        assert_all_delivered(&k);
        assert_int_equal(s.n_connections, 2);
        kit_finish(&k);
    }
}

static void a_lost_message_is_not_sent_twice_in_one_job(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {HELLO TAKE "<MAIL|<RCPT|<DATA|>250 a\n250 b\n354 go\n|.", HELLO TAKE,
                             NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    kit_begin(&k);
    send_n(&k, kit_job(&j, s.port, 1), 2);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_int_equal(k.result[1].outcomes[0].code, 0);
    assert_int_equal(k.result[1].is_sent, 1);
    assert_int_equal(s.n_connections, 1);
    kit_finish(&k);
}

static void other_conditions_get_another_connection(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {HELLO TAKE "<QUIT", HELLO "<QUIT", NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    kit_begin(&k);
    struct ipc_job *job = kit_job(&j, s.port, 1);
    send_n(&k, job, 1);
    job->tls = IPC_TLS_MUST;
    kit_send(&k, 1, job, MESSAGE);
    kit_wait(&k, 2);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_int_equal(k.result[1].outcomes[0].phase, SMTP_PHASE_TLS);
    assert_int_equal(s.n_connections, 2);
    kit_finish(&k);
}

static void an_idle_connection_is_closed_in_time(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    struct courier_figures f;
    const char *scripts[] = {HELLO TAKE "<QUIT", NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    k.o.idle = MILLISECONDS(30);
    kit_begin(&k);
    send_n(&k, kit_job(&j, s.port, 1), 1);
    pthread_join(s.thread, NULL);
    for (int i = 0; i < 100; i++) {
        courier_figures(k.courier, &f);
        if (f.n_idle == 0)
            break;
        usleep(10000);
    }
    assert_int_equal(f.n_idle, 0);
    assert_string_equal(s.fault, "");
    close(s.fd);
    buf_finish(&s.seen);
    kit_finish(&k);
}

static void many_recipients_go_in_groups(void **)
{
    SCOPED(buf_finish) struct buf script = buf_make(1 << 16);
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    buf_adds(&script, SLICE(HELLO "<MAIL|"));
    for (int i = 0, due = 1; i < 250; i++) {
        buf_adds(&script, SLICE("<RCPT|"));
        if (++due < 100 && i < 249)
            continue;
        if (i == 249)
            buf_adds(&script, SLICE("<DATA|"));
        for (; due > 0; due--)
            buf_adds(&script, due == 50 ? SLICE(">450 4.2.1 full\n|") : SLICE(">250 ok\n|"));
        if (i == 249)
            buf_adds(&script, SLICE(">354 go\n|.|>250 kept\n|"));
    }
    const char *scripts[] = {buf_cstr(&script), NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    kit_begin(&k);
    kit_send(&k, 0, kit_job(&j, s.port, 250), MESSAGE);
    kit_wait(&k, 1);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_string_equal(s.fault, "");
    unsigned n_taken = 0;
    for (unsigned i = 0; i < 250; i++) {
        assert_int_equal(k.result[0].outcomes[i].rcpt, i + 5);
        n_taken += k.result[0].outcomes[i].code == 250;
    }
    assert_int_equal(n_taken, 247);
    assert_int_equal(k.result[0].outcomes[49].code, 450); /* the 51st answer: MAIL was the first */
    kit_finish(&k);
}

static void content_arrives_byte_for_byte(void **)
{
    static const struct {
        const char *content, *on_wire;
        const char *ability;
    } cases[] = {
        {"a: b\r\n\r\nc\r\n", "DATA\r\na: b\r\n\r\nc\r\n.\r\n", "8BITMIME"},
        {"a: b\r\n\r\n.\r\n..c\r\n", "DATA\r\na: b\r\n\r\n..\r\n...c\r\n.\r\n", "8BITMIME"},
        {".a\r\n", "DATA\r\n..a\r\n.\r\n", "8BITMIME"},
        {"a\nb\rc", "DATA\r\na\r\nb\r\nc\r\n.\r\n", "8BITMIME"},
        {"a\n.\nb", "DATA\r\na\r\n..\r\nb\r\n.\r\n", "8BITMIME"},
        {"", "DATA\r\n.\r\n", "8BITMIME"},
        {".\r\n..c\r\n", "BDAT 8 LAST\r\n.\r\n..c\r\n", "CHUNKING"},
        {"a\nb", "DATA\r\na\r\nb\r\n.\r\n", "CHUNKING"}, /* only clean content goes in chunks */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_server s;
        struct kit k;
        struct kit_job j;
        char script[300];
        bool is_chunk = strncmp(cases[i].on_wire, "BDAT", 4) == 0;
        snprintf(script, sizeof(script),
                 ">220 a\n|<EHLO|>250-a\n250 %s\n|<MAIL|>250 a\n|<RCPT|>250 b\n|%s|>250 ok\n|q",
                 cases[i].ability, is_chunk ? "<BDAT|b" : "<DATA|>354 go\n|.");
        const char *scripts[] = {script, NULL};
        fake_start(&s, scripts, NULL);
        kit_start(&k, tls, SECONDS(1));
        k.o.idle = 0;
        kit_begin(&k);
        kit_send(&k, 0, kit_job(&j, s.port, 1), cases[i].content);
        kit_wait(&k, 1);
        courier_stop(k.courier, mono_now() + SECONDS(1));
        pthread_join(s.thread, NULL);
        assert_int_equal(k.result[0].outcomes[0].code, 250);
        SCOPED(buf_finish) struct buf want = buf_make(1000);
        buf_addf(&want, "RCPT TO:<r0@there.example>\r\n%sQUIT\r\n", cases[i].on_wire);
        assert_true(s.seen.n > want.n);
        assert_memory_equal(s.seen.p + s.seen.n - want.n, want.p, want.n);
        close(s.fd);
        buf_finish(&s.seen);
        kit_finish(&k);
    }
}

static void content_travels_with_its_envelope_if_wanted(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {
        ">220 a\n|<EHLO|>250-a\n250-PIPELINING\n250 CHUNKING\n|"
        "<MAIL|<RCPT|<RCPT|<BDAT 27 LAST|b|>250 a\n550 5.1.1 no\n250 b\n250 c\n|",
        NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    k.o.chunking = COURIER_CHUNKING_TOGETHER;
    kit_begin(&k);
    kit_send(&k, 0, kit_job(&j, s.port, 2), MESSAGE);
    kit_wait(&k, 1);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_string_equal(s.fault, "");
    assert_int_equal(k.result[0].outcomes[0].code, 550);
    assert_int_equal(k.result[0].outcomes[1].code, 250);
    kit_finish(&k);
}

static void a_reader_that_stops_reading_is_given_up(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    SCOPED(buf_finish) struct buf big = buf_make(32 << 20);
    const char *scripts[] = {HELLO "<MAIL|<RCPT|<DATA|>250 a\n250 b\n354 go\n|w900", NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, MILLISECONDS(200));
    kit_begin(&k);
    while (big.n < 30 << 20)
        buf_adds(&big, SLICE("a line of a message that is far too long for the socket\r\n"));
    courier_job(k.courier, 0, kit_job(&j, s.port, 1), &big);
    kit_wait(&k, 1);
    struct slice words = k.result[0].outcomes[0].text;
    assert_non_null(memmem(words.p, words.n, "took no bytes", 13));
    assert_int_equal(k.result[0].outcomes[0].code, 0);
    assert_int_equal(k.result[0].outcomes[0].phase, SMTP_PHASE_DOT);
    assert_int_equal(k.result[0].is_sent, 0);
    courier_stop(k.courier, 0);
    fake_stop(&s);
    kit_finish(&k);
}

/* ---- TLS ---- */

#define STARTTLS ">220 a\n|<EHLO|>250-a\n250 STARTTLS\n|<STARTTLS|>220 go\n|t|"
#define INSIDE "<EHLO|>250-a\n250 PIPELINING\n|" TAKE "<QUIT"

static void certificates_are_checked_where_that_is_asked(void **)
{
    static const struct {
        const char *name, *tls_name;
        bool is_trusted;
        enum ipc_tls tls;
        unsigned code;
        const char *words;
    } cases[] = {
        {"mx.test", "mx.test", true, IPC_TLS_VERIFY, 250, "kept"},
        {"mx.test", "other.test", true, IPC_TLS_VERIFY, 0, "certificate: "},
        {"mx.test", "", true, IPC_TLS_VERIFY, 0, "certificate: "}, /* the host's name: an address */
        {"mx.test", "mx.test", false, IPC_TLS_VERIFY, 0, "certificate: "},
        {"mx.test", "other.test", false, IPC_TLS_MUST, 250, "kept"},
        {"mx.test", "", false, IPC_TLS_MAY, 250, "kept"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_server s;
        struct kit k;
        struct kit_job j;
        struct buf pem;
        struct net_tls_client *client;
        SSL_CTX *ctx = fake_tls(cases[i].name, &pem);
        const char *scripts[] = {STARTTLS INSIDE, NULL};
        assert_int_equal(
            net_tls_client_create(cases[i].is_trusted ? buf_slice(&pem) : SLICE(""), &client, NULL),
            ERR_OK);
        fake_start(&s, scripts, ctx);
        kit_start(&k, client, SECONDS(2));
        kit_begin(&k);
        struct ipc_job *job = kit_job(&j, s.port, 1);
        job->tls = (uint8_t)cases[i].tls;
        job->tls_name = slice_str(cases[i].tls_name);
        kit_send(&k, 0, job, MESSAGE);
        kit_wait(&k, 1);
        courier_stop(k.courier, mono_now() + SECONDS(1));
        fake_stop(&s);
        const struct ipc_job_outcome *o = &k.result[0].outcomes[0];
        assert_int_equal(o->code, cases[i].code);
        assert_int_equal(o->phase, cases[i].code ? SMTP_PHASE_DOT : SMTP_PHASE_TLS);
        assert_non_null(memmem(o->text.p, o->text.n, cases[i].words, strlen(cases[i].words)));
        kit_finish(&k);
        net_tls_client_destroy(&client);
        SSL_CTX_free(ctx);
        buf_finish(&pem);
    }
}

/* ---- XCLIENT ---- */

static void the_primary_learns_whose_mail_it_is(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {
        ">220 a\n|<EHLO|>250-a\n250-PIPELINING\n250 XCLIENT ADDR HELO\n|"
        "<XCLIENT ADDR=192.0.2.7 HELO=far.example\r\n|>220 a\n|<EHLO far.example\r\n|>250-a\n"
        "250-PIPELINING\n250 XCLIENT ADDR HELO\n|" TAKE TAKE
        "<XCLIENT ADDR=IPV6:2001:db8::7 HELO=a+20b+0D+0A\r\n|>550 no\n|" TAKE "<QUIT",
        HELLO TAKE, NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    kit_begin(&k);
    struct ipc_job *job = kit_job(&j, s.port, 1);
    job->xclient_address = SLICE("192.0.2.7");
    job->xclient_helo = SLICE("far.example");
    send_n(&k, job, 2);
    job->xclient_address = SLICE("2001:db8::7");
    job->xclient_helo = SLICE("a b\r\n");
    kit_send(&k, 2, job, MESSAGE);
    kit_wait(&k, 3);
    usleep(3000);
    job->xclient_address = SLICE(""); /* nobody's: not over a connection that speaks for somebody */
    kit_send(&k, 3, job, MESSAGE);
    kit_wait(&k, 4);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_string_equal(s.fault, "");
    assert_all_delivered(&k);
    assert_int_equal(s.n_connections, 2);
    kit_finish(&k);
}

/* ---- ceilings and stopping ---- */

static void a_black_hole_holds_only_its_own_threads(void **)
{
    struct fake_server hole, good;
    struct kit k;
    struct kit_job j, other;
    const char *hole_scripts[] = {"q", NULL};
    const char *good_scripts[] = {HELLO TAKE "<QUIT", NULL};
    fake_start(&hole, hole_scripts, NULL);
    fake_start(&good, good_scripts, NULL);
    kit_start(&k, tls, SECONDS(10));
    k.o.threads = 3;
    k.o.per_destination = 2;
    kit_begin(&k);
    struct ipc_job *job = kit_job(&j, hole.port, 1);
    job->destination = SLICE("hole");
    for (unsigned i = 0; i < 10; i++)
        kit_send(&k, i, job, MESSAGE);
    kit_send(&k, 99, kit_job(&other, good.port, 1), MESSAGE);
    kit_wait(&k, 1);
    assert_int_equal(k.tag[0], 99);
    assert_int_equal(k.result[0].outcomes[0].code, 250);
    struct courier_figures f = {};
    for (int i = 0; i < 200 && f.n_running != 2; i++) {
        usleep(5000); /* the good one has told its result and is about to end */
        courier_figures(k.courier, &f);
    }
    assert_int_equal(f.n_running, 2);
    assert_int_equal(f.n_waiting, 8);

    mono_us begun = mono_now();
    courier_stop(k.courier, mono_now() + MILLISECONDS(50));
    assert_true(mono_now() - begun < SECONDS(2));
    assert_int_equal(k.n_results, 11);
    for (unsigned i = 1; i < 11; i++) {
        assert_int_equal(k.result[i].outcomes[0].code, 0);
        assert_int_equal(k.result[i].is_sent, 0);
    }
    fake_stop(&hole);
    fake_stop(&good);
    kit_finish(&k);
}

static void many_black_holes_leave_a_thread_for_who_is_well(void **)
{
    enum { HOLES = 6, EACH = 4 };
    struct fake_server hole, good;
    struct kit k;
    struct kit_job j, other;
    const char *hole_scripts[] = {"q", NULL};
    const char *good_scripts[] = {HELLO TAKE "<QUIT", NULL};
    fake_start(&hole, hole_scripts, NULL);
    fake_start(&good, good_scripts, NULL);
    kit_start(&k, tls, SECONDS(10));
    k.o.threads = 2 * HOLES;
    k.o.per_destination = EACH;
    kit_begin(&k);
    struct ipc_job *job = kit_job(&j, hole.port, 1);
    for (unsigned i = 0; i < HOLES * EACH; i++) {
        char key[20];
        (void)snprintf(key, sizeof(key), "hole-%u", i % HOLES);
        job->destination = slice_str(key);
        kit_send(&k, i, job, MESSAGE);
    }
    kit_send(&k, 99, kit_job(&other, good.port, 1), MESSAGE);
    kit_wait(&k, 1);
    assert_int_equal(k.tag[0], 99);
    assert_int_equal(k.result[0].outcomes[0].code, 250);
    courier_stop(k.courier, mono_now() + MILLISECONDS(50));
    fake_stop(&hole);
    fake_stop(&good);
    kit_finish(&k);
}

static void more_jobs_than_allowed_are_answered_at_once(void **)
{
    struct fake_server hole;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {"q", NULL};
    fake_start(&hole, scripts, NULL);
    kit_start(&k, tls, SECONDS(10));
    k.o.jobs = 4;
    kit_begin(&k);
    for (unsigned i = 0; i < 5; i++)
        kit_send(&k, i, kit_job(&j, hole.port, 1), MESSAGE);
    assert_int_equal(k.n_results, 1);
    assert_int_equal(k.tag[0], 4);
    assert_int_equal(k.result[0].outcomes[0].phase, SMTP_PHASE_NONE);
    assert_int_equal(k.result[0].outcomes[0].code, 0);
    kit_finish(&k);
    fake_stop(&hole);
}

static void a_message_that_was_sent_when_we_stopped_may_be_there(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {HELLO "<MAIL|<RCPT|<DATA|>250 a\n250 b\n354 go\n|.|q", NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(10));
    kit_begin(&k);
    kit_send(&k, 0, kit_job(&j, s.port, 1), MESSAGE);
    usleep(50000);
    courier_stop(k.courier, mono_now() + MILLISECONDS(20));
    assert_int_equal(k.n_results, 1);
    assert_int_equal(k.result[0].is_sent, 1);
    assert_int_equal(k.result[0].outcomes[0].code, 0);
    assert_int_equal(k.result[0].outcomes[0].phase, SMTP_PHASE_DOT);
    fake_stop(&s);
    kit_finish(&k);
}

static void abilities_are_reported(void **)
{
    struct fake_server s;
    struct kit k;
    struct kit_job j;
    const char *scripts[] = {
        ">220 a\n|<EHLO|>250-a\n250-SIZE 5000\n250-DSN\n250 PIPELINING\n|" TAKE, NULL};
    fake_start(&s, scripts, NULL);
    kit_start(&k, tls, SECONDS(1));
    kit_begin(&k);
    send_n(&k, kit_job(&j, s.port, 1), 1);
    courier_stop(k.courier, mono_now() + SECONDS(1));
    fake_stop(&s);
    assert_int_equal(k.result[0].size_max, 5000);
    assert_int_equal(k.result[0].abilities,
                     IPC_ABILITIES_KNOWN | IPC_NO_8BITMIME | IPC_NO_SMTPUTF8);
    assert_true(slice_starts(k.result[0].remote, SLICE("127.0.0.1[127.0.0.1:")));
    kit_finish(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_serves_the_next_job),
        cmocka_unit_test(an_open_transaction_is_reset_first),
        cmocka_unit_test(a_dead_connection_is_replaced_within_the_job),
        cmocka_unit_test(a_lost_message_is_not_sent_twice_in_one_job),
        cmocka_unit_test(other_conditions_get_another_connection),
        cmocka_unit_test(an_idle_connection_is_closed_in_time),
        cmocka_unit_test(many_recipients_go_in_groups),
        cmocka_unit_test(content_arrives_byte_for_byte),
        cmocka_unit_test(content_travels_with_its_envelope_if_wanted),
        cmocka_unit_test(a_reader_that_stops_reading_is_given_up),
        cmocka_unit_test(certificates_are_checked_where_that_is_asked),
        cmocka_unit_test(the_primary_learns_whose_mail_it_is),
        cmocka_unit_test(a_black_hole_holds_only_its_own_threads),
        cmocka_unit_test(many_black_holes_leave_a_thread_for_who_is_well),
        cmocka_unit_test(more_jobs_than_allowed_are_answered_at_once),
        cmocka_unit_test(a_message_that_was_sent_when_we_stopped_may_be_there),
        cmocka_unit_test(abilities_are_reported),
    };
    return cmocka_run_group_tests(tests, make_tls, drop_tls);
}
