/* A mail server that follows a script, for tests: each connection plays the next script.
 *
 * Steps are separated by '|':
 *   >text   send it; LF becomes CRLF      <word   read a line, it must begin with this
 *   .       read up to CRLF.CRLF          b       read as many bytes as the last BDAT said
 *   w100    wait so many milliseconds     q       wait until the client has closed or 5 s are over
 *   t       TLS handshake as the server   !       end with a reset
 *   rtext   send it again and again until the client has closed
 * At the end of a script the connection is closed. What does not fit is noted in `fault`. */
#ifndef COURIER_FAKE_SERVER_H
#define COURIER_FAKE_SERVER_H

#include "base/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake_server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *const *scripts; /* one a connection, ends with NULL */
    SSL_CTX *tls;
    unsigned n_connections;
    char fault[300];
    struct buf seen; /* every byte that the client sent, in the clear */
};

struct fake_talk {
    struct fake_server *server;
    int fd;
    SSL *ssl;
    unsigned long bdat;
};

static bool fake_read(struct fake_talk *t, char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        struct pollfd f = {.fd = t->fd, .events = POLLIN};
        if (!(t->ssl && SSL_pending(t->ssl)) && poll(&f, 1, 5000) <= 0)
            return false;
        ssize_t got =
            t->ssl ? SSL_read(t->ssl, p + at, (int)(n - at)) : recv(t->fd, p + at, n - at, 0);
        if (got <= 0)
            return false;
        buf_add(&t->server->seen, p + at, (size_t)got);
        at += (size_t)got;
    }
    return true;
}

static void fake_send(struct fake_talk *t, const char *text, size_t n)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    for (size_t i = 0; i < n; i++)
        buf_adds(&b, text[i] == '\n' ? SLICE("\r\n") : slice_of(text + i, 1));
    for (size_t at = 0; at < b.n;) {
        ssize_t done = t->ssl ? SSL_write(t->ssl, b.p + at, (int)(b.n - at))
                              : send(t->fd, b.p + at, b.n - at, MSG_NOSIGNAL);
        if (done <= 0)
            return;
        at += (size_t)done;
    }
}

static bool fake_line(struct fake_talk *t, char *line, size_t max)
{
    for (size_t n = 0; n + 1 < max; n++) {
        if (!fake_read(t, line + n, 1))
            return false;
        if (line[n] == '\n') {
            line[n + 1] = '\0';
            return true;
        }
    }
    return false;
}

static bool fake_until_dot(struct fake_talk *t)
{
    char line[100000] = "\n";
    while (strcmp(line, ".\r\n") != 0)
        if (!fake_line(t, line, sizeof(line)))
            return false;
    return true;
}

static bool fake_chunk(struct fake_talk *t)
{
    char c;
    for (unsigned long i = 0; i < t->bdat; i++)
        if (!fake_read(t, &c, 1))
            return false;
    return true;
}

static bool fake_expect(struct fake_talk *t, const char *word, size_t n)
{
    char line[5000];
    if (!fake_line(t, line, sizeof(line)))
        return false;
    if (strncmp(line, "BDAT ", 5) == 0)
        t->bdat = strtoul(line + 5, NULL, 10);
    if (strncmp(line, word, n) == 0)
        return true;
    snprintf(t->server->fault, sizeof(t->server->fault), "%.*s expected, came %.200s", (int)n, word,
             line);
    return false;
}

static bool fake_repeat(struct fake_talk *t, const char *text, size_t n)
{
    struct buf b = buf_make(1 << 20);
    while (b.n < 60000)
        for (size_t i = 0; i < n; i++)
            buf_adds(&b, text[i] == '\n' ? SLICE("\r\n") : slice_of(text + i, 1));
    ssize_t done = 1;
    while (done > 0)
        done = t->ssl ? SSL_write(t->ssl, b.p, (int)b.n) : send(t->fd, b.p, b.n, MSG_NOSIGNAL);
    buf_finish(&b);
    return false;
}

static bool fake_step(struct fake_talk *t, const char *step, size_t n)
{
    static const struct linger hard = {1, 0};
    char c;
    switch (step[0]) {
    case '>':
        fake_send(t, step + 1, n - 1);
        return true;
    case '<':
        return fake_expect(t, step + 1, n - 1);
    case '.':
        return fake_until_dot(t);
    case 'b':
        return fake_chunk(t);
    case 'w':
        usleep((unsigned)atol(step + 1) * 1000);
        return true;
    case 'q':
        while (fake_read(t, &c, 1))
            ;
        return true;
    case 'r':
        return fake_repeat(t, step + 1, n - 1);
    case 't':
        t->ssl = SSL_new(t->server->tls);
        SSL_set_fd(t->ssl, t->fd);
        return SSL_accept(t->ssl) == 1;
    case '!':
        setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        return false;
    }
    abort();
}

static void fake_play(struct fake_server *s, int fd, const char *script)
{
    struct fake_talk t = {.server = s, .fd = fd};
    for (const char *p = script; *p;) {
        const char *end = strchr(p, '|');
        size_t n = end ? (size_t)(end - p) : strlen(p);
        if (!fake_step(&t, p, n))
            break;
        p += n + (end != NULL);
    }
    if (t.ssl)
        SSL_free(t.ssl);
    close(fd);
}

static void *fake_run(void *arg)
{
    struct fake_server *s = arg;
    for (unsigned i = 0; s->scripts[i]; i++) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        s->n_connections++;
        fake_play(s, fd, s->scripts[i]);
    }
    return NULL;
}

static int fake_listen(const char *address, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(inet_pton(AF_INET, address, &a.sin_addr) == 1);
    a.sin_port = htons(*ret_port);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 20) == 0);
    must(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

__attribute__((unused)) static void fake_start(struct fake_server *s, const char *const *scripts,
                                               SSL_CTX *tls)
{
    *s = (struct fake_server){.scripts = scripts, .tls = tls, .seen = buf_make(64 << 20)};
    s->fd = fake_listen("127.0.0.1", &s->port);
    must(pthread_create(&s->thread, NULL, fake_run, s) == 0);
}

/* No more connections; waits for the one that plays. */
__attribute__((unused)) static void fake_stop(struct fake_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    buf_finish(&s->seen);
}

/* A self-signed certificate for `name` that ends in `seconds`; its text is `ret_pem`. */
__attribute__((unused)) static SSL_CTX *fake_tls_until(const char *name, long seconds,
                                                       struct buf *ret_pem)
{
    char alt[300];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    must(key && x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -86400);
    X509_gmtime_adj(X509_getm_notAfter(x), seconds);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    snprintf(alt, sizeof(alt), "DNS:%s", name);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    must(e && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
    must(X509_sign(x, key, EVP_sha256()) > 0);

    char *pem;
    BIO *b = BIO_new(BIO_s_mem());
    must(b && PEM_write_bio_X509(b, x) == 1);
    long n = BIO_get_mem_data(b, &pem);
    *ret_pem = buf_make(1 << 16);
    buf_add(ret_pem, pem, (size_t)n);
    BIO_free(b);

    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    must(ctx && SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    X509_free(x);
    EVP_PKEY_free(key);
    return ctx;
}

__attribute__((unused)) static SSL_CTX *fake_tls(const char *name, struct buf *ret_pem)
{
    return fake_tls_until(name, 3600, ret_pem);
}

#endif
