/* TLS over a blocking connection (OpenSSL, client side). Every byte goes through a BIO of ours,
 * because the library's own would raise SIGPIPE. */
#include "net/conn_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct net_tls_client {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    size_t n_authorities;
};

/* ---- the bytes below ------------------------------------------------------------------------- */

static int bio_write(BIO *b, const char *p, size_t n, size_t *ret_done)
{
    struct net_socket *s = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t done = send(s->fd, p, n, MSG_NOSIGNAL);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(b);
    *ret_done = done > 0 ? (size_t)done : 0;
    return done > 0;
}

static int bio_read(BIO *b, char *p, size_t n, size_t *ret_done)
{
    struct net_socket *s = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t done = recv(s->fd, p, n, 0);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(b);
    if (done == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    *ret_done = done > 0 ? (size_t)done : 0;
    return done > 0;
}

static long bio_ctrl(BIO *b, int what, long, void *)
{
    if (what == BIO_CTRL_EOF)
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    must(m && BIO_meth_set_write_ex(m, bio_write) && BIO_meth_set_read_ex(m, bio_read) &&
         BIO_meth_set_ctrl(m, bio_ctrl));
    return m;
}

/* ---- what all share -------------------------------------------------------------------------- */

static const char *library_words(void)
{
    const char *why = ERR_reason_error_string(ERR_peek_error());
    return why ? why : "TLS failed";
}

static enum err add_authorities(struct net_tls_client *t, struct slice pem, struct errinfo *ei)
{
    must(pem.n <= INT32_MAX);
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    must(b);
    X509_STORE *store = SSL_CTX_get_cert_store(t->ssl);
    X509 *x;
    ERR_clear_error();
    while ((x = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL))) {
        t->n_authorities += X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
        ERR_clear_error();
    }
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    enum err err = ERR_OK;
    if (!is_end)
        err = err_set(ei, ERR_INVALID, "certificate authority %zu cannot be read: %s",
                      t->n_authorities + 1, library_words());
    ERR_clear_error();
    BIO_free(b);
    return err;
}

enum err net_tls_client_create(struct slice ca_pem, struct net_tls_client **ret, struct errinfo *ei)
{
    struct net_tls_client *t = mem_new(sizeof(*t));
    t->bio = bio_method();
    t->ssl = SSL_CTX_new(TLS_client_method());
    must(t->ssl && SSL_CTX_set_min_proto_version(t->ssl, TLS1_2_VERSION) == 1);
    (void)SSL_CTX_set_mode(t->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    /* Servers that close without a TLS farewell are common; SMTP's own ends tell us enough. */
    (void)SSL_CTX_set_options(t->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                          SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_session_cache_mode(t->ssl, SSL_SESS_CACHE_OFF);
    enum err err = ca_pem.n > 0 ? add_authorities(t, ca_pem, ei) : ERR_OK;
    if (err != ERR_OK) {
        net_tls_client_destroy(&t);
        return err;
    }
    *ret = t;
    return ERR_OK;
}

void net_tls_client_destroy(struct net_tls_client **t)
{
    if (!*t)
        return;
    SSL_CTX_free((*t)->ssl);
    BIO_meth_free((*t)->bio);
    mem_free(t);
}

/* ---- the transport -----------------------------------------------------------------------------
 */

/* Turn OpenSSL's answer into the system calls' language. */
static ssize_t tls_failed(struct net_socket *s, int answer)
{
    switch (SSL_get_error(s->ssl, answer)) {
    case SSL_ERROR_WANT_READ:
        s->tls_wants = NET_CONN_IN;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        s->tls_wants = NET_CONN_OUT;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        if (errno == 0)
            errno = ECONNRESET;
        return -1;
    default:
        errno = EPROTO;
        return -1;
    }
}

static ssize_t tls_read(void *arg, char *p, size_t n)
{
    struct net_socket *s = arg;
    size_t done = 0;
    s->tls_wants = 0;
    errno = 0;
    ERR_clear_error();
    int answer = SSL_read_ex(s->ssl, p, n, &done);
    return answer == 1 ? (ssize_t)done : tls_failed(s, answer);
}

static ssize_t tls_write(void *arg, const struct iovec *parts, int n_parts)
{
    struct net_socket *s = arg;
    size_t n = 0, done = 0;
    /* One record for the commands and the beginning of the content. When OpenSSL asks for a repeat,
     * the same parts come again and so do the same bytes. */
    for (int i = 0; i < n_parts && n < NET_RECORD_BYTES; i++) {
        size_t part =
            parts[i].iov_len < NET_RECORD_BYTES - n ? parts[i].iov_len : NET_RECORD_BYTES - n;
        memcpy(s->record + n, parts[i].iov_base, part);
        n += part;
    }
    s->tls_wants = 0;
    errno = 0;
    ERR_clear_error();
    int answer = SSL_write_ex(s->ssl, s->record, n, &done);
    if (answer == 1)
        return (ssize_t)done;
    ssize_t failed = tls_failed(s, answer);
    if (failed == 0)
        errno = EPIPE;
    return -1;
}

static enum err tls_wait(void *arg, int what, mono_us deadline, struct errinfo *ei)
{
    struct net_socket *s = arg;
    if ((what & NET_CONN_IN) && SSL_pending(s->ssl) > 0)
        return ERR_OK; /* already decrypted, poll would not show it */
    return net_socket_wait(s, s->tls_wants ? s->tls_wants : what, deadline, ei);
}

static void tls_close(void *arg)
{
    struct net_socket *s = arg;
    SSL_free(s->ssl);
    ERR_clear_error();
    net_socket_free(s);
}

const struct net_transport net_tls_transport = {tls_read, tls_write, tls_wait, tls_close};

/* ---- the handshake -----------------------------------------------------------------------------
 */

static utc_ms asn1_utc(const ASN1_TIME *t)
{
    struct tm broken;
    if (!t || ASN1_TIME_to_tm(t, &broken) != 1)
        return 0;
    utc_ms at = (utc_ms)timegm(&broken) * 1000;
    return at > 0 ? at : 0;
}

/* Decides nothing. A certificate that is refused is in no session afterwards, so what people want
 * to know about it is noted here. */
static int note_certificate(int is_good, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct net_socket *s = SSL_get_app_data(ssl);
    const X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    if (leaf)
        s->cert_until = asn1_utc(X509_get0_notAfter(leaf));
    return is_good;
}

static void expect(SSL *ssl, enum net_tls_check check, const char *name)
{
    unsigned char address[16];
    bool is_address =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    if (!is_address && *name)
        /* Without SNI the peer shows its default. (The macro for this drops the const.) */
        (void)SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                       (void *)(uintptr_t)name);
    if (check == NET_TLS_ANY) {
        /* Weak keys are better than the clear text that would follow a refusal. */
        SSL_set_security_level(ssl, 1);
        SSL_set_verify(ssl, SSL_VERIFY_NONE, note_certificate);
        return;
    }
    SSL_set_verify(ssl, SSL_VERIFY_PEER, note_certificate);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address)
        must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1);
    else
        must(SSL_set1_host(ssl, name) == 1);
}

static enum err handshake_failed(struct net_socket *s, struct errinfo *ei)
{
    long verified = SSL_get_verify_result(s->ssl);
    unsigned long code = ERR_peek_error();
    if (verified != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return err_set(ei, ERR_DENIED, "certificate: %s", X509_verify_cert_error_string(verified));
    if (code != 0)
        return err_set(ei, ERR_INVALID, "TLS: %s", library_words());
    return err_set(ei, ERR_GONE, "the peer closed the connection during the TLS handshake");
}

static enum err handshake(struct net_socket *s, mono_us deadline, struct errinfo *ei)
{
    for (;;) {
        errno = 0;
        ERR_clear_error();
        int answer = SSL_connect(s->ssl);
        if (answer == 1)
            return ERR_OK;
        int why = SSL_get_error(s->ssl, answer);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return handshake_failed(s, ei);
        int what = why == SSL_ERROR_WANT_READ ? NET_CONN_IN : NET_CONN_OUT;
        enum err err = net_socket_wait(s, what, deadline, ei);
        if (err != ERR_OK)
            return err;
    }
}

enum err net_conn_start_tls(struct net_conn *c, struct net_tls_client *tls,
                            enum net_tls_check check, const char *name, mono_us deadline,
                            struct errinfo *ei)
{
    if (c->t != &net_plain_transport)
        return err_set(ei, ERR_INVALID, "TLS is not possible on this connection");
    if (c->in_at < c->in_n)
        return err_set(ei, ERR_INVALID, "bytes before the TLS handshake (injection)");
    if (check == NET_TLS_VERIFY && (tls->n_authorities == 0 || *name == '\0'))
        return err_set(ei, ERR_DENIED, "certificate: no authority or no name to check against");
    struct net_socket *s = c->arg;
    s->ssl = SSL_new(tls->ssl);
    BIO *b = BIO_new(tls->bio);
    must(s->ssl && b);
    BIO_set_data(b, s);
    BIO_set_init(b, 1);
    SSL_set_bio(s->ssl, b, b);
    (void)SSL_set_app_data(s->ssl, s);
    s->record = mem_new(NET_RECORD_BYTES);
    c->t = &net_tls_transport;
    expect(s->ssl, check, name);
    enum err err = handshake(s, deadline, ei);
    if (err == ERR_OK)
        (void)snprintf(s->tls_text, sizeof(s->tls_text), "%s %s", SSL_get_version(s->ssl),
                       SSL_get_cipher_name(s->ssl));
    else
        c->is_ended = true;
    ERR_clear_error();
    return err;
}

bool net_conn_has_tls(const struct net_conn *c)
{
    return c->t == &net_tls_transport;
}

const char *net_conn_tls_text(const struct net_conn *c)
{
    return net_conn_has_tls(c) ? ((const struct net_socket *)c->arg)->tls_text : "";
}

utc_ms net_conn_cert_until(const struct net_conn *c)
{
    return net_conn_has_tls(c) ? ((const struct net_socket *)c->arg)->cert_until : 0;
}
