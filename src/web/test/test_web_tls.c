/* People's side of the door over TLS, with a client of the same library: which versions, which
 * certificate, and what a new one does to what is open. */
#include "web/test/fake_core.h"
#include "web/test/test_keys.h"

#include <setjmp.h>
#include <cmocka.h>

static struct test_keys first, second;

struct client {
    int fd;
    gnutls_session_t tls;
    gnutls_certificate_credentials_t credentials;
    char name[200]; /* of the server's certificate */
};

static int end(void **)
{
    fake_end();
    return 0;
}

static void begin(void)
{
    fake_certificate = first.certificate;
    fake_key = first.key;
    fake_begin(NULL);
}

static void name_of(struct client *c)
{
    unsigned n;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(c->tls, &n);
    gnutls_x509_crt_t crt;
    size_t size = sizeof(c->name);
    assert_true(chain && n == 1);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_import(crt, chain, GNUTLS_X509_FMT_DER), 0);
    assert_int_equal(gnutls_x509_crt_get_dn(crt, c->name, &size), 0);
    gnutls_x509_crt_deinit(crt);
}

/* The handshake's result. */
static int dial(struct client *c, const char *priorities)
{
    static const gnutls_datum_t alpn[] = {{(unsigned char *)(uintptr_t) "h2", 2},
                                          {(unsigned char *)(uintptr_t) "http/1.1", 8}};
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(fake.port)};
    int result;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&c->credentials), 0);
    assert_int_equal(gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, c->credentials), 0);
    assert_int_equal(gnutls_priority_set_direct(c->tls, priorities, NULL), 0);
    assert_int_equal(gnutls_alpn_set_protocols(c->tls, alpn, 2, 0), 0);
    gnutls_transport_set_int(c->tls, c->fd);
    gnutls_handshake_set_timeout(c->tls, 5000);
    gnutls_record_set_timeout(c->tls, 5000);
    while ((result = gnutls_handshake(c->tls)) < 0 && !gnutls_error_is_fatal(result))
        ;
    if (result == 0)
        name_of(c);
    return result;
}

static void hang_up(struct client *c)
{
    gnutls_deinit(c->tls);
    gnutls_certificate_free_credentials(c->credentials);
    close(c->fd);
}

static void expect(struct client *c, const char *request, const char *part)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    char bytes[4096];
    ssize_t n;
    if (request[0])
        assert_int_equal(gnutls_record_send(c->tls, request, strlen(request)), strlen(request));
    while (!strstr(buf_cstr(&b), part)) {
        n = gnutls_record_recv(c->tls, bytes, sizeof(bytes));
        if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            continue;
        if (n <= 0)
            fail_msg("expected %s, heard %s (%zd)", part, buf_cstr(&b), n);
        buf_add(&b, bytes, (size_t)n);
    }
}

#define SESSION                                                                                    \
    "GET /jmap/session HTTP/1.1\r\nHost: mail.example.test\r\nAuthorization: Bearer x\r\n\r\n"

static void speaks_tls_1_2_and_newer(void **)
{
    static const char *const good[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.2",
                                       "NORMAL:-VERS-ALL:+VERS-TLS1.3"};
    static const char *const bad[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT",
                                      "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"};
    begin();
    for (size_t i = 0; i < 2; i++) {
        struct client c;
        gnutls_datum_t protocol;
        assert_int_equal(dial(&c, good[i]), 0);
        assert_int_equal(gnutls_alpn_get_selected_protocol(c.tls, &protocol), 0);
        assert_memory_equal(protocol.data, "http/1.1", 8);
        expect(&c, SESSION, "Strict-Transport-Security: max-age=");
        assert_string_equal(fake.last.origin, "https://mail.example.test");
        hang_up(&c);
    }
    for (size_t i = 0; i < 2; i++) {
        struct client c;
        int result = dial(&c, bad[i]); /* the library may close before its alert is read */
        assert_true(result == GNUTLS_E_FATAL_ALERT_RECEIVED ||
                    result == GNUTLS_E_PREMATURE_TERMINATION);
        hang_up(&c);
    }
}

static void take_second(void *)
{
    struct errinfo ei;
    must(web_certificate(fake.server, slice_str(second.certificate), slice_str(second.key), &ei) ==
         ERR_OK);
    atomic_store(&fake.is_stopped, true);
}

static void takes_a_new_certificate_and_keeps_what_is_open(void **)
{
    struct client old, stream, fresh;
    begin();
    assert_int_equal(dial(&old, "NORMAL"), 0);
    assert_int_equal(dial(&stream, "NORMAL"), 0);
    assert_string_equal(old.name, "CN=first");
    expect(&stream, "GET /jmap/eventsource/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n",
           "retry: ");
    net_loop_post(fake.loop, take_second, NULL);
    while (!atomic_load(&fake.is_stopped))
        usleep(1000);
    assert_int_equal(dial(&fresh, "NORMAL"), 0);
    assert_string_equal(fresh.name, "CN=second");
    expect(&fresh, SESSION, "\"kind\":1");
    expect(&old, SESSION, "\"kind\":1");
    net_loop_post(fake.loop, fake_tell,
                  (void *)(uintptr_t) "{\"changed\":{\"A1\":{\"Email\":\"5\"}}}");
    expect(&stream, "", "event: state");
    hang_up(&old);
    hang_up(&stream);
    hang_up(&fresh);
}

static void take_bad(void *)
{
    struct errinfo ei;
    must(web_certificate(fake.server, SLICE("nonsense"), slice_str(first.key), &ei) == ERR_INVALID);
    must(strstr(ei.text, "certificate"));
    must(web_certificate(fake.server, slice_str(first.certificate), SLICE("nonsense"), &ei) ==
         ERR_INVALID);
    must(strstr(ei.text, "key"));
    atomic_store(&fake.is_stopped, true);
}

static void keeps_its_certificate_when_the_new_one_is_unusable(void **)
{
    struct client c;
    begin();
    net_loop_post(fake.loop, take_bad, NULL);
    while (!atomic_load(&fake.is_stopped))
        usleep(1000);
    assert_int_equal(dial(&c, "NORMAL"), 0);
    assert_string_equal(c.name, "CN=first");
    hang_up(&c);
}

static void survives_who_speaks_no_tls(void **)
{
    struct client c;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = 0};
    begin();
    a.sin_port = htons(fake.port);
    for (int i = 0; i < 20; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        (void)send(fd, "GET / HTTP/1.1\r\n\r\n\x16\x03\x01\xff\xff", 23, MSG_NOSIGNAL);
        close(fd);
    }
    assert_int_equal(dial(&c, "NORMAL"), 0);
    expect(&c, SESSION, "\"kind\":1");
    hang_up(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(speaks_tls_1_2_and_newer, end),
        cmocka_unit_test_teardown(takes_a_new_certificate_and_keeps_what_is_open, end),
        cmocka_unit_test_teardown(keeps_its_certificate_when_the_new_one_is_unusable, end),
        cmocka_unit_test_teardown(survives_who_speaks_no_tls, end),
    };
    log_init("test", LOG_ERROR);
    test_keys_make("CN=first", &first);
    test_keys_make("CN=second", &second);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
