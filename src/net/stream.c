/* Connections of strangers: see stream.h. */
#include "net/stream.h"
#include "net/net_int.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 128 << 10, READS_A_TURN = 4, GOODBYE_SECONDS = 5 };

struct net_tls {
    SSL_CTX *ctx;
    atomic_int n_refs;
};

struct net_stream {
    struct net_loop *loop;
    struct net_stream_options o;
    struct net_watch *watch;
    struct net_late late;
    struct net_timer *goodbye; /* only while closing */
    SSL *ssl;
    struct buf in;  /* left over while pausing */
    struct buf out; /* waits for the peer */
    size_t out_at;
    int fd;
    bool is_paused, is_busy, is_closing, is_dead, is_shaking, wants_write, is_goodbye;
    bool is_ready_to_offer; /* the pause ended and something was left */
};

/* ---- TLS contexts ---- */

static int any_client_certificate(int, X509_STORE_CTX *)
{
    return 1; /* who may speak for a primary is decided by its fingerprint, elsewhere */
}

static enum err tls_failed(SSL_CTX *ctx, struct errinfo *ei, const char *what)
{
    char text[128];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return err_set(ei, ERR_INVALID, "%s: %s", what, text);
}

static bool use_chain(SSL_CTX *ctx, struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *own = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
    bool is_good = own && SSL_CTX_use_certificate(ctx, own) == 1;
    X509_free(own);
    while (is_good) {
        X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!next)
            break;
        is_good = SSL_CTX_add0_chain_cert(ctx, next) == 1;
        if (!is_good)
            X509_free(next);
    }
    if (is_good)
        ERR_clear_error(); /* the end of the file is no error */
    BIO_free(bio);
    return is_good;
}

enum err net_tls_server_create(struct slice certificate_pem, struct slice key_pem,
                               struct net_tls **ret, struct errinfo *ei)
{
    if (certificate_pem.n > 1 << 20 || key_pem.n > 1 << 20)
        return err_set(ei, ERR_INVALID, "certificate or key file is larger than 1 MiB");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    must(ctx);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* No read-ahead: an idle session then holds no record buffer. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"staffetta", 9);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, any_client_certificate);
    SSL_CTX_set_verify_depth(ctx, 4);
    if (!use_chain(ctx, certificate_pem))
        return tls_failed(ctx, ei, "the certificate file holds no usable certificate");
    BIO *bio = BIO_new_mem_buf(key_pem.p, (int)key_pem.n);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (!key)
        return tls_failed(ctx, ei, "the key file holds no usable private key");
    int is_used = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (is_used != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return tls_failed(ctx, ei, "the key does not belong to the certificate");
    struct net_tls *t = mem_new(sizeof(*t));
    t->ctx = ctx;
    atomic_store(&t->n_refs, 1);
    *ret = t;
    return ERR_OK;
}

struct net_tls *net_tls_ref(struct net_tls *t)
{
    atomic_fetch_add(&t->n_refs, 1);
    return t;
}

void net_tls_unref(struct net_tls **t)
{
    if (!*t)
        return;
    if (atomic_fetch_sub(&(*t)->n_refs, 1) == 1) {
        SSL_CTX_free((*t)->ctx);
        mem_free(t);
    }
    *t = NULL;
}

/* ---- the stream ---- */

static void stream_free(struct net_stream *s)
{
    list_remove(&s->late.node);
    net_watch_destroy(&s->watch);
    net_timer_destroy(&s->goodbye);
    if (s->ssl)
        SSL_free(s->ssl);
    buf_finish(&s->in);
    buf_finish(&s->out);
    fd_close(&s->fd);
    mem_free(&s);
}

static void want(struct net_stream *s)
{
    if (s->is_dead) {
        net_watch_want(s->watch, 0);
        return;
    }
    bool has_out = s->out.n > s->out_at;
    bool reads = !s->is_paused && !s->is_goodbye;
    net_watch_want(s->watch, (reads || s->is_shaking ? NET_READ : 0) |
                                 ((has_out && !s->is_shaking) || s->wants_write ? NET_WRITE : 0));
}

static void dead(struct net_stream *s, const char *why)
{
    if (s->is_dead)
        return;
    s->is_dead = true;
    net_watch_want(s->watch, 0);
    if (!s->is_closing)
        s->o.closed(s->o.arg, why);
}

/* What an SSL call's failure means: true to try again when the socket is ready. */
static bool tls_again(struct net_stream *s, int result)
{
    int why = SSL_get_error(s->ssl, result);
    ERR_clear_error();
    s->wants_write = why == SSL_ERROR_WANT_WRITE;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static ssize_t put(struct net_stream *s, const char *p, size_t n)
{
    if (s->ssl && !s->is_shaking) {
        int done = SSL_write(s->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
        if (done > 0)
            return done;
        return tls_again(s, done) ? 0 : -1;
    }
    ssize_t done = send(s->fd, p, n, MSG_NOSIGNAL);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return done;
}

static void flush(struct net_stream *s)
{
    while (!s->is_dead && !s->is_shaking && s->out.n > s->out_at) {
        ssize_t n = put(s, s->out.p + s->out_at, s->out.n - s->out_at);
        if (n < 0) {
            dead(s, "the connection broke while writing");
            return;
        }
        if (n == 0)
            return;
        s->out_at += (size_t)n;
    }
    if (s->out.n == s->out_at) {
        buf_finish(&s->out);
        s->out_at = 0;
    }
}

/* Offer bytes; keep what the owner leaves. */
static void offer(struct net_stream *s, struct slice bytes)
{
    size_t used = 0;
    if (!s->is_paused && !s->is_closing)
        used = s->o.input(s->o.arg, bytes);
    must(used <= bytes.n);
    if (used < bytes.n && !s->is_closing)
        buf_adds(&s->in, slice_skip(bytes, used));
}

static void offer_left(struct net_stream *s)
{
    struct buf left = s->in;
    s->in = buf_make(left.max);
    offer(s, buf_slice(&left));
    buf_finish(&left);
}

static ssize_t get(struct net_stream *s, char *p, size_t n)
{
    if (!s->ssl) {
        ssize_t got = recv(s->fd, p, n, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return -1;
        return got < 0 ? 0 : got;
    }
    int got = SSL_read(s->ssl, p, (int)n);
    if (got > 0)
        return got;
    return tls_again(s, got) ? -1 : 0;
}

static void read_some(struct net_stream *s)
{
    if (!s->loop->stream_bytes)
        s->loop->stream_bytes = mem_new(READ_BYTES);
    char *bytes = s->loop->stream_bytes;
    for (int i = 0; i < READS_A_TURN && !s->is_paused && !s->is_closing && !s->is_dead; i++) {
        ssize_t n = get(s, bytes, READ_BYTES);
        if (n < 0)
            return;
        if (n == 0) {
            dead(s, "the peer closed the connection");
            return;
        }
        offer(s, slice_of(bytes, (size_t)n));
        if (s->in.failed) {
            dead(s, "the peer sent more than it may while waiting");
            return;
        }
        if (!s->ssl && n < READ_BYTES)
            return; /* the socket is empty: no need to ask it again */
    }
    if (s->ssl && SSL_pending(s->ssl) > 0 && !s->is_paused && !s->is_dead) {
        s->is_ready_to_offer = true; /* the socket may stay silent: come back by ourselves */
        net_loop_late(s->loop, &s->late);
    }
}

static void shake(struct net_stream *s)
{
    int result = SSL_accept(s->ssl);
    if (result == 1) {
        s->is_shaking = false;
        s->wants_write = false;
        if (!s->is_closing)
            s->o.secured(s->o.arg);
        return;
    }
    if (!tls_again(s, result))
        dead(s, "the TLS handshake failed");
}

static void on_goodbye(void *arg)
{
    stream_free(arg); /* the peer had its time */
}

static void settle(struct net_stream *s)
{
    s->is_busy = false;
    if (s->is_closing && (s->is_dead || s->out.n == s->out_at || s->is_shaking)) {
        stream_free(s);
        return;
    }
    if (s->is_closing && !s->goodbye) {
        s->goodbye = net_timer_create(s->loop, on_goodbye, s);
        net_timer_set(s->goodbye, SECONDS(GOODBYE_SECONDS));
    }
    want(s);
}

static void on_event(void *arg, int what)
{
    struct net_stream *s = arg;
    s->is_busy = true;
    s->wants_write = false;
    if (s->is_shaking) {
        shake(s);
    } else {
        if (what & NET_WRITE)
            flush(s);
        if ((what & NET_READ) && !s->is_dead)
            read_some(s);
        if (!s->is_dead)
            flush(s);
    }
    settle(s);
}

static void on_late(struct net_late *late)
{
    struct net_stream *s = container_of(late, struct net_stream, late);
    s->is_busy = true;
    if (s->is_ready_to_offer && !s->is_closing && !s->is_dead) {
        s->is_ready_to_offer = false;
        if (s->in.n > 0 && !s->is_paused)
            offer_left(s);
        if (s->ssl && !s->is_shaking && !s->is_paused && !s->is_dead && !s->is_closing &&
            SSL_pending(s->ssl) > 0)
            read_some(s);
    }
    if (!s->is_dead)
        flush(s);
    settle(s);
}

struct net_stream *net_stream_open(struct net_loop *l, int fd, const struct net_stream_options *o)
{
    struct net_stream *s = mem_new(sizeof(*s));
    s->loop = l;
    s->o = *o;
    s->fd = fd;
    s->in = buf_make(2 * READ_BYTES);
    s->out = buf_make(o->out_max);
    list_init(&s->late.node);
    s->late.fn = on_late;
    s->watch = net_watch_create(l, fd, on_event, s);
    want(s);
    return s;
}

void net_stream_write(struct net_stream *s, struct slice bytes)
{
    if (s->is_dead)
        return;
    buf_adds(&s->out, bytes);
    if (s->out.failed) {
        /* A peer that asks and never reads: there is no one to tell. */
        buf_clear(&s->out);
        s->out_at = 0;
        dead(s, "the peer does not read our replies");
        return;
    }
    if (!s->is_busy)
        net_loop_late(s->loop, &s->late);
}

void net_stream_pause(struct net_stream *s, bool is_paused)
{
    if (s->is_paused == is_paused)
        return;
    s->is_paused = is_paused;
    if (is_paused)
        return; /* the event is taken off only when something arrives: often nothing does */
    if (s->in.n > 0 || (s->ssl && SSL_pending(s->ssl) > 0)) {
        s->is_ready_to_offer = true;
        net_loop_late(s->loop, &s->late);
    }
    if (!s->is_busy && !s->is_dead)
        want(s);
}

bool net_stream_has_input(const struct net_stream *s)
{
    return s->in.n > 0;
}

void net_stream_secure(struct net_stream *s, struct net_tls *tls)
{
    flush(s); /* the reply that invites to the handshake goes out in the clear */
    if (s->is_dead)
        return;
    if (s->out.n > s->out_at) {
        dead(s, "the peer does not read our replies");
        return;
    }
    buf_finish(&s->in); /* nothing from before the handshake may be taken for a command after it */
    s->ssl = SSL_new(tls->ctx);
    must(s->ssl && SSL_set_fd(s->ssl, s->fd) == 1);
    SSL_set_accept_state(s->ssl);
    s->is_shaking = true;
    if (!s->is_busy)
        want(s);
}

bool net_stream_is_secure(const struct net_stream *s)
{
    return s->ssl && !s->is_shaking;
}

const char *net_stream_tls_text(const struct net_stream *s)
{
    static _Thread_local char text[80];
    if (!net_stream_is_secure(s))
        return "";
    snprintf(text, sizeof(text), "%s with cipher %s (%d bits)", SSL_get_version(s->ssl),
             SSL_get_cipher_name(s->ssl), SSL_get_cipher_bits(s->ssl, NULL));
    return text;
}

void net_stream_certificate(const struct net_stream *s, char ret[65])
{
    ret[0] = '\0';
    X509 *peer = s->ssl ? SSL_get0_peer_certificate(s->ssl) : NULL;
    unsigned char digest[32];
    unsigned n = sizeof(digest);
    if (!peer || X509_digest(peer, EVP_sha256(), digest, &n) != 1)
        return;
    for (unsigned i = 0; i < n; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

void net_stream_close(struct net_stream **stream)
{
    struct net_stream *s = *stream;
    if (!s)
        return;
    *stream = NULL;
    s->is_closing = true;
    s->is_goodbye = true;
    if (!s->is_busy && !s->is_dead)
        flush(s);
    if (!s->is_busy)
        settle(s); /* otherwise whoever is at it does */
}

int net_stream_fd(const struct net_stream *s)
{
    return s->fd;
}
