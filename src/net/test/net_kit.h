/* For tests: a loop on a thread of its own, a blocking client with or without TLS, and key pairs.
 * The test's own thread is the client; what belongs to the loop is done there by kit_call. */
#ifndef NET_TEST_NET_KIT_H
#define NET_TEST_NET_KIT_H

#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- the loop ---- */

struct kit_loop {
    struct net_loop *loop;
    pthread_t thread;
};

static inline void *kit_run(void *arg)
{
    net_loop_run(arg);
    return NULL;
}

static inline void kit_start(struct kit_loop *k)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as every process of ours does */
    k->loop = net_loop_create();
    assert_int_equal(pthread_create(&k->thread, NULL, kit_run, k->loop), 0);
}

struct kit_task {
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
};

static inline void kit_task_run(void *arg)
{
    struct kit_task *t = arg;
    t->fn(t->arg);
    sem_post(&t->done);
}

/* fn(arg) on the loop's thread; returns when it is done. */
static inline void kit_call(struct kit_loop *k, void (*fn)(void *arg), void *arg)
{
    struct kit_task t = {.fn = fn, .arg = arg};
    sem_init(&t.done, 0, 0);
    net_loop_post(k->loop, kit_task_run, &t);
    while (sem_wait(&t.done) != 0)
        ;
    sem_destroy(&t.done);
}

static inline void kit_nothing(void *arg)
{
    (void)arg;
}

/* Everything that was asked for before has happened. */
static inline void kit_turn(struct kit_loop *k)
{
    kit_call(k, kit_nothing, NULL);
    kit_call(k, kit_nothing, NULL);
}

/* What belongs to the loop must be gone before, by kit_call. */
static inline void kit_stop(struct kit_loop *k)
{
    net_loop_stop(k->loop);
    pthread_join(k->thread, NULL);
    net_loop_destroy(&k->loop);
}

/* ---- a pair of connected TCP sockets: [0] ours, non-blocking; [1] the client's ---- */

static inline int kit_listen(struct sockaddr_in *ret)
{
    socklen_t n = sizeof(*ret);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, n), 0);
    assert_int_equal(listen(fd, 1000), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &n), 0);
    return fd;
}

static inline int kit_connect(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof(*to)), 0);
    return fd;
}

static inline void kit_pair(int fds[2])
{
    struct sockaddr_in at;
    int listener = kit_listen(&at);
    fds[1] = kit_connect(&at);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fds[0] >= 0);
    close(listener);
}

/* ---- keys ---- */

struct kit_keys {
    char certificate[4096], key[4096], fingerprint[65];
};

static inline void kit_bio_text(BIO *b, char *ret, size_t size)
{
    int n = BIO_read(b, ret, (int)size - 1);
    assert_true(n > 0);
    ret[n] = '\0';
    BIO_free(b);
}

/* A self-signed certificate. */
static inline void kit_keys_make(struct kit_keys *k, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_true(key && x && X509_set_version(x, X509_VERSION_3));
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME *subject = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    BIO *b = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_X509(b, x));
    kit_bio_text(b, k->certificate, sizeof(k->certificate));
    b = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL));
    kit_bio_text(b, k->key, sizeof(k->key));
    unsigned char digest[32];
    unsigned n = sizeof(digest);
    assert_true(X509_digest(x, EVP_sha256(), digest, &n));
    for (unsigned i = 0; i < n; i++)
        snprintf(k->fingerprint + 2 * i, 3, "%02x", digest[i]);
    X509_free(x);
    EVP_PKEY_free(key);
}

/* ---- the client ---- */

struct kit_client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static inline struct kit_client kit_client(int fd)
{
    struct timeval patience = {.tv_sec = 5};
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* or not TCP */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    return (struct kit_client){.fd = fd};
}

static inline void kit_send(struct kit_client *c, struct slice s)
{
    while (s.n > 0) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, s.p, (int)s.n) : send(c->fd, s.p, s.n, MSG_NOSIGNAL);
        assert_true(n > 0);
        s = slice_skip(s, (size_t)n);
    }
}

/* Bytes, 0 at the end of the stream, -1 when the connection was reset or nothing came. */
static inline ssize_t kit_recv(struct kit_client *c, char *p, size_t n)
{
    if (!c->ssl)
        return recv(c->fd, p, n, 0);
    int got = SSL_read(c->ssl, p, (int)n);
    if (got > 0)
        return got;
    return SSL_get_error(c->ssl, got) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* The handshake; `version` 0 for any, `keys` NULL for no certificate. */
static inline bool kit_client_secure(struct kit_client *c, int version, const struct kit_keys *keys)
{
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(c->ctx, version && version < TLS1_2_VERSION ? 0 : 1);
    if (version) {
        SSL_CTX_set_min_proto_version(c->ctx, version);
        SSL_CTX_set_max_proto_version(c->ctx, version);
    }
    if (keys) {
        BIO *b = BIO_new_mem_buf(keys->certificate, -1);
        X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
        BIO_free(b);
        b = BIO_new_mem_buf(keys->key, -1);
        EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
        BIO_free(b);
        assert_true(SSL_CTX_use_certificate(c->ctx, x) && SSL_CTX_use_PrivateKey(c->ctx, key));
        X509_free(x);
        EVP_PKEY_free(key);
    }
    c->ssl = SSL_new(c->ctx);
    SSL_set_fd(c->ssl, c->fd);
    bool is_good = SSL_connect(c->ssl) == 1;
    ERR_clear_error();
    return is_good;
}

static inline void kit_client_close(struct kit_client *c)
{
    if (c->ssl)
        SSL_free(c->ssl);
    if (c->ctx)
        SSL_CTX_free(c->ctx);
    c->ssl = NULL;
    c->ctx = NULL;
    fd_close(&c->fd);
}

/* Close so that the peer sees a reset. */
static inline void kit_client_reset(struct kit_client *c)
{
    struct linger hard = {.l_onoff = 1};
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    kit_client_close(c);
}

#endif
