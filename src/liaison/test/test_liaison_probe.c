/* Probes of servers that follow a script: what is seen, how long it takes, ceilings, stopping. */
#include "liaison/liaison.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "courier/test/fake_server.h"

#define WELL                                                                                       \
    ">220 mx.test ESMTP Fake 1.0\n|<EHLO probe.example|>250-a\n250-SIZE 9000\n250 8BITMIME\n|"
#define TO_MAIL "<MAIL FROM:<>\r\n|>250 2.1.0 ok\n|<RSET|>250 ok\n|<QUIT|>221 bye\n|"

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t came;
    unsigned n;
    uint64_t tag[20];
    struct ipc_observed observed[20];
    char text[20][600], software[20][201];
};

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

static void on_done(void *arg, enum ipc_type type, uint64_t tag, struct buf *answer)
{
    struct seen *s = arg;
    struct ipc_observed v, *o = &v;
    assert_int_equal(type, IPC_T_observed);
    assert_true(ipc_observed_unpack(buf_slice(answer), NULL, &v));
    pthread_mutex_lock(&s->lock);
    s->tag[s->n] = tag;
    s->observed[s->n] = *o;
    snprintf(s->text[s->n], 600, SLICE_FMT, SLICE_ARG(o->text));
    snprintf(s->software[s->n], 201, SLICE_FMT, SLICE_ARG(o->software));
    s->n++;
    pthread_cond_broadcast(&s->came);
    pthread_mutex_unlock(&s->lock);
}

static void wait_for(struct seen *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    while (s->n < n)
        pthread_cond_wait(&s->came, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static enum err resolve(void *, const struct ipc_name_ask *, mono_us, struct arena *,
                        struct ipc_name_told *ret)
{
    *ret = (struct ipc_name_told){.status = IPC_NAME_NO_NAME};
    return ERR_OK;
}

static struct liaison *start(struct seen *s, unsigned threads, unsigned probes)
{
    *s = (struct seen){.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    struct liaison_options o = {
        .lane = {{threads, probes, threads}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
        .network = {.hostname = "probe.example",
                    .tls = tls,
                    .timeouts = courier_timeouts_usual(),
                    .resolve = resolve},
        .done = on_done,
        .done_arg = s,
    };
    return liaison_create(&o);
}

static void take(struct liaison *l, uint64_t tag, const struct ipc_probe *p)
{
    struct buf b = buf_make(10000);
    ipc_probe_pack(&b, p);
    assert_true(liaison_take(l, IPC_T_probe, tag, buf_slice(&b)));
    buf_finish(&b);
}

static void look(struct liaison *l, uint64_t tag, const char *host, uint16_t port, enum ipc_tls use,
                 uint32_t timeout_ms)
{
    struct ipc_host hosts[] = {{slice_str(host), port}};
    struct ipc_probe p = {
        .primary = 7, .hosts = hosts, .n_hosts = 1, .tls = (uint8_t)use, .timeout_ms = timeout_ms};
    take(l, tag, &p);
}

static void each_server_is_seen_as_it_is(void **)
{
    static const struct {
        const char *scripts[3], *host;
        enum ipc_tls tls;
        enum smtp_phase phase;
        unsigned code;
        const char *text, *software;
    } cases[] = {
        {{WELL TO_MAIL},
         "127.0.0.1",
         IPC_TLS_MAY,
         SMTP_PHASE_MAIL,
         250,
         "ok",
         "mx.test ESMTP Fake 1.0"},
        {{WELL "<MAIL|>451 4.3.0 disk\n|q"},
         "127.0.0.1",
         IPC_TLS_MAY,
         SMTP_PHASE_MAIL,
         451,
         "disk",
         "mx.test ESMTP Fake 1.0"},
        {{">554 5.3.2 maintenance\n|q"},
         "127.0.0.1",
         IPC_TLS_MAY,
         SMTP_PHASE_BANNER,
         554,
         "maintenance",
         ""},
        {{"q"}, "127.0.0.1", IPC_TLS_MAY, SMTP_PHASE_BANNER, 0, "no answer after connecting", ""},
        {{WELL "q"},
         "127.0.0.1",
         IPC_TLS_MAY,
         SMTP_PHASE_MAIL,
         0,
         "no answer after MAIL",
         "mx.test ESMTP Fake 1.0"},
        {{WELL "<QUIT"}, "127.0.0.1", IPC_TLS_MUST, SMTP_PHASE_TLS, 0, "not offered", ""},
        {{">220 a\n|<EHLO|>250-a\n250 STARTTLS\n|<STARTTLS|>220 go\n|w20|>what\n|q", WELL TO_MAIL},
         "127.0.0.1",
         IPC_TLS_MAY,
         SMTP_PHASE_MAIL,
         250,
         "ok",
         "mx.test ESMTP Fake 1.0"},
        {{NULL}, "127.0.0.1", IPC_TLS_MAY, SMTP_PHASE_CONNECT, 0, "refused", ""},
        {{NULL}, "nowhere.test", IPC_TLS_MAY, SMTP_PHASE_NAME, 0, "no address", ""},
        {{NULL}, "192.0.2.1", IPC_TLS_MAY, SMTP_PHASE_CONNECT, 0, "network.internet", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_server server;
        struct seen s;
        fake_start(&server, cases[i].scripts, NULL);
        if (!cases[i].scripts[0])
            fake_stop(&server);
        struct liaison *l = start(&s, 2, 10);
        look(l, 9, cases[i].host, server.port, cases[i].tls, 250);
        wait_for(&s, 1);
        assert_int_equal(s.tag[0], 9);
        assert_int_equal(s.observed[0].primary, 7);
        assert_int_equal(s.observed[0].phase, cases[i].phase);
        assert_int_equal(s.observed[0].code, cases[i].code);
        assert_non_null(strstr(s.text[0], cases[i].text));
        assert_string_equal(s.software[0], cases[i].software);
        assert_true(s.observed[0].took_ms < 1000);
        if (cases[i].code == 250) {
            assert_int_equal(s.observed[0].size_max, 9000);
            assert_int_equal(s.observed[0].abilities,
                             IPC_ABILITIES_KNOWN | IPC_NO_SMTPUTF8 | IPC_NO_DSN);
        }
        liaison_destroy(&l);
        if (cases[i].scripts[0])
            fake_stop(&server);
        assert_string_equal(cases[i].scripts[0] ? server.fault : "", "");
    }
}

static void the_second_host_can_be_well(void **)
{
    struct fake_server server;
    struct seen s;
    const char *scripts[] = {WELL TO_MAIL, NULL};
    fake_start(&server, scripts, NULL);
    struct liaison *l = start(&s, 1, 10);
    struct ipc_host hosts[] = {{SLICE("127.0.0.1"), 1}, {SLICE("127.0.0.1"), server.port}};
    struct ipc_probe p = {.primary = 7, .hosts = hosts, .n_hosts = 2, .timeout_ms = 1000};
    take(l, 1, &p);
    wait_for(&s, 1);
    assert_int_equal(s.observed[0].code, 250);
    liaison_destroy(&l);
    fake_stop(&server);
}

static void a_certificate_is_dated_and_a_fault_of_ours_is_ours(void **)
{
    static const struct {
        enum ipc_tls use;
        const char *script, *host;
        bool is_well, is_dated, is_ours;
    } cases[] = {
#define TLS ">220 a\n|<EHLO|>250-a\n250 STARTTLS\n|<STARTTLS|>220 go\n|t|"
        {IPC_TLS_MUST, TLS "<EHLO|>250 a\n|" TO_MAIL, "127.0.0.1", true, true, false},
        {IPC_TLS_VERIFY, TLS "q", "127.0.0.1", false, false, true}, /* no authorities */
        {IPC_TLS_MAY, NULL, "192.0.2.1", false, false, true},       /* our policy */
        {IPC_TLS_MAY, NULL, "nowhere.test", false, false, false},
    };
    struct buf pem;
    SSL_CTX *ctx = fake_tls("mx.test", &pem);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_server server;
        struct seen s;
        const char *scripts[] = {cases[i].script ? cases[i].script : "q", NULL};
        fake_start(&server, scripts, ctx);
        struct liaison *l = start(&s, 1, 10);
        look(l, 1, cases[i].host, server.port, cases[i].use, 2000);
        wait_for(&s, 1);
        assert_int_equal(s.observed[0].code == 250, cases[i].is_well);
        assert_int_equal(s.observed[0].is_ours, cases[i].is_ours);
        utc_ms until = s.observed[0].cert_until, expected = utc_now() + 3600 * 1000;
        assert_true(cases[i].is_dated ? until > expected - 60000 && until <= expected + 1000
                                      : until == 0);
        liaison_destroy(&l);
        fake_stop(&server);
    }
    SSL_CTX_free(ctx);
    buf_finish(&pem);
}

static void probes_wait_up_to_the_ceiling_and_stop_at_once(void **)
{
    struct fake_server hole;
    struct seen s;
    const char *scripts[] = {"q", NULL};
    fake_start(&hole, scripts, NULL);
    struct liaison *l = start(&s, 2, 4);
    for (uint64_t i = 0; i < 5; i++)
        look(l, i, "127.0.0.1", hole.port, IPC_TLS_MAY, 60000);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.tag[0], 4);
    assert_int_equal(s.observed[0].code, 0);
    mono_us begun = mono_now();
    liaison_destroy(&l);
    assert_true(mono_now() - begun < SECONDS(2));
    assert_int_equal(s.n, 5);
    fake_stop(&hole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_server_is_seen_as_it_is),
        cmocka_unit_test(the_second_host_can_be_well),
        cmocka_unit_test(a_certificate_is_dated_and_a_fault_of_ours_is_ours),
        cmocka_unit_test(probes_wait_up_to_the_ceiling_and_stop_at_once),
    };
    return cmocka_run_group_tests(tests, make_tls, drop_tls);
}
