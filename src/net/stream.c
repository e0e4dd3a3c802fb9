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

enum {
    COMMAND_BYTES = 16 << 10, /* read at once: commands */
    BULK_BYTES = 128 << 10,   /* and content */
    READS_A_TURN = 4,
    OUT_ENOUGH = 16 << 10, /* so much waits for the peer: nothing more is read from it */
    GOODBYE_SECONDS = 5,
};

struct net_tls {
    SSL_CTX *ctx;
    atomic_int n_refs;
};

struct net_stream {
    struct net_loop *loop;
    struct net_stream_options o;
    struct net_watch *watch;
    struct net_late late;
    struct net_leaving leaving;
    struct net_timer *goodbye; /* only while leaving */
    SSL *ssl;
    struct buf in;  /* left over while pausing, from in_at on */
    struct buf out; /* waits for the peer, from out_at on */
    size_t in_at, out_at;
    const char *why; /* it is over; the owner hears of it at the end of the turn */
    int fd;
    bool is_paused, is_bulk, is_peeking, is_shaking;
    bool is_busy;     /* one of our callbacks may be running: settle() comes at its end */
    bool is_told;     /* of `why` */
    bool is_eof;      /* the peer sends no more */
    bool is_broken;   /* nothing can be written any more */
    bool is_closing;  /* the owner is gone */
    bool is_shut;     /* all is written and our end of the stream is sent */
    bool wants_write; /* TLS cannot go on before it may write */
    bool watches_read;
    bool is_just_paused; /* in this turn: nothing has arrived in the pause yet */
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
    /* Sessions are resumed by tickets, which the peers keep. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
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
    if (!list_empty(&s->leaving.node))
        s->loop->n_leaving--;
    list_remove(&s->leaving.node);
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

static void free_leaving(struct net_leaving *leaving)
{
    stream_free(container_of(leaving, struct net_stream, leaving));
}

static size_t waiting_out(const struct net_stream *s)
{
    return s->out.n - s->out_at;
}

/* May the owner be offered more? */
static bool may_read(const struct net_stream *s)
{
    return !s->is_paused && !s->is_closing && !s->is_shaking && !s->is_eof && !s->is_broken &&
           s->in.n == 0 && waiting_out(s) < OUT_ENOUGH;
}

/* A pause is often over before anything arrives: reading is given up only when something did. */
static bool wants_read(const struct net_stream *s)
{
    if (s->is_closing)
        return !s->is_eof;
    return may_read(s) || (s->is_just_paused && s->watches_read && !s->is_eof);
}

static void want(struct net_stream *s)
{
    int what = 0;
    if (s->is_shaking)
        what = s->wants_write ? NET_WRITE : NET_READ;
    else if (!s->is_broken)
        what =
            (wants_read(s) ? NET_READ : 0) | (waiting_out(s) > 0 || s->wants_write ? NET_WRITE : 0);
    s->watches_read = what & NET_READ;
    net_watch_want(s->watch, what);
}

/* Remembers why it is over; whoever is busy, or the end of the turn, tells the owner. */
static void end(struct net_stream *s, const char *why)
{
    if (!s->why)
        s->why = why;
    if (!s->is_busy)
        net_loop_late(s->loop, &s->late);
}

static void broken(struct net_stream *s, const char *why)
{
    s->is_broken = true;
    buf_finish(&s->out);
    s->out_at = 0;
    end(s, why);
}

enum { GOT_NOTHING = -1, GOT_BROKEN = -2 };

/* What an SSL call's failure means: 0 the end, GOT_NOTHING try again when the socket is ready. */
static int tls_failure(struct net_stream *s, int result)
{
    int why = SSL_get_error(s->ssl, result);
    ERR_clear_error();
    s->wants_write = why == SSL_ERROR_WANT_WRITE;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return GOT_NOTHING;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : GOT_BROKEN;
}

/* Bytes that went out, GOT_NOTHING or GOT_BROKEN. */
static ssize_t put(struct net_stream *s, const char *p, size_t n)
{
    if (s->ssl) {
        ERR_clear_error(); /* SSL_get_error also sees what others left there */
        int done = SSL_write(s->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
        if (done > 0)
            return done;
        return tls_failure(s, done) == GOT_NOTHING ? GOT_NOTHING : GOT_BROKEN;
    }
    ssize_t done = send(s->fd, p, n, MSG_NOSIGNAL);
    if (done >= 0)
        return done;
    return errno == EAGAIN || errno == EINTR ? GOT_NOTHING : GOT_BROKEN;
}

static void flush(struct net_stream *s)
{
    while (!s->is_broken && !s->is_shaking && waiting_out(s) > 0) {
        ssize_t n = put(s, s->out.p + s->out_at, waiting_out(s));
        if (n == GOT_BROKEN)
            broken(s, "the connection broke while writing");
        if (n < 0)
            return;
        s->out_at += (size_t)n;
    }
    if (waiting_out(s) == 0) {
        buf_finish(&s->out);
        s->out_at = 0;
    }
}

/* Bytes that came in, 0 for their end, GOT_NOTHING or GOT_BROKEN. */
static ssize_t get(struct net_stream *s, char *p, size_t n)
{
    if (s->ssl) {
        ERR_clear_error();
        int got = SSL_read(s->ssl, p, (int)n);
        return got > 0 ? got : tls_failure(s, got);
    }
    ssize_t got = recv(s->fd, p, n, s->is_peeking ? MSG_PEEK : 0);
    if (got >= 0)
        return got;
    return errno == EAGAIN || errno == EINTR ? GOT_NOTHING : GOT_BROKEN;
}

/* Offer fresh bytes; keep what the owner leaves. */
static void offer(struct net_stream *s, struct slice bytes)
{
    bool was_peeking = s->is_peeking;
    size_t used = s->o.input(s->o.arg, bytes);
    must(used <= bytes.n);
    if (was_peeking) {
        (void)!recv(s->fd, s->loop->stream_bytes, used, 0); /* they are there: we saw them */
        return;
    }
    must(used == bytes.n || s->is_paused || s->is_closing);
    if (!s->is_closing)
        buf_adds(&s->in, slice_skip(bytes, used));
}

/* The owner may drop s->in meanwhile (net_stream_secure), so it is ours for the call. */
static void offer_left(struct net_stream *s)
{
    struct buf left = s->in;
    size_t at = s->in_at;
    s->in = buf_make(left.max);
    s->in_at = 0;
    at += s->o.input(s->o.arg, slice_skip(buf_slice(&left), at));
    must(at <= left.n && (at == left.n || s->is_paused || s->is_closing));
    if (at == left.n || s->is_closing) {
        buf_finish(&left);
        return;
    }
    s->in = left;
    s->in_at = at;
}

static char *read_buffer(struct net_stream *s)
{
    if (!s->loop->stream_bytes)
        s->loop->stream_bytes = mem_new(BULK_BYTES);
    return s->loop->stream_bytes;
}

static void read_some(struct net_stream *s)
{
    char *bytes = read_buffer(s);
    for (int i = 0; i < READS_A_TURN && may_read(s); i++) {
        size_t most = s->is_bulk ? BULK_BYTES : COMMAND_BYTES;
        ssize_t n = get(s, bytes, most);
        if (n == GOT_NOTHING)
            return;
        if (n == GOT_BROKEN) {
            broken(s, "the connection broke");
            return;
        }
        if (n == 0) {
            s->is_eof = true;
            end(s, "the peer closed the connection");
            return;
        }
        offer(s, slice_of(bytes, (size_t)n));
        flush(s); /* so that may_read() knows whether the peer takes its replies */
        if (!s->ssl && (size_t)n < most)
            return; /* the socket is empty: no need to ask it again */
    }
}

/* TLS may hold bytes while the socket stays silent. */
static bool has_hidden_input(const struct net_stream *s)
{
    return s->ssl && may_read(s) && SSL_pending(s->ssl) > 0;
}

static void shake(struct net_stream *s)
{
    ERR_clear_error();
    int result = SSL_accept(s->ssl);
    if (result == 1) {
        s->is_shaking = false;
        s->wants_write = false;
        if (!s->is_closing)
            s->o.secured(s->o.arg);
    } else if (tls_failure(s, result) != GOT_NOTHING) {
        broken(s, "the TLS handshake failed");
    }
}

/* ---- leaving ---- */

static void on_goodbye(void *arg)
{
    stream_free(arg); /* the peer had its time */
}

/* What still comes is not for anybody, but must be taken off the socket. */
static void throw_away(struct net_stream *s)
{
    ssize_t n = recv(s->fd, read_buffer(s), BULK_BYTES, 0);
    s->is_eof = n == 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        s->is_broken = true;
}

static void leave(struct net_stream *s)
{
    if (waiting_out(s) == 0 && !s->is_shut && !s->is_broken && !s->is_shaking) {
        s->is_shut = true;
        ERR_clear_error();
        if (s->ssl)
            (void)SSL_shutdown(s->ssl); /* says that this is the end; nobody waits for an answer */
        (void)shutdown(s->fd, SHUT_WR);
    }
    bool is_over = s->is_broken || s->is_shaking || (s->is_shut && s->is_eof);
    if (is_over || (!s->goodbye && s->loop->n_leaving >= NET_LEAVING_MAX)) {
        stream_free(s);
        return;
    }
    if (!s->goodbye) {
        s->goodbye = net_timer_create(s->loop, on_goodbye, s);
        net_timer_set(s->goodbye, SECONDS(GOODBYE_SECONDS));
        list_append(&s->loop->leaving, &s->leaving.node);
        s->loop->n_leaving++;
    }
    want(s);
}

/* ---- turns ---- */

static void settle(struct net_stream *s)
{
    if (s->why && !s->is_told && !s->is_closing) {
        s->is_told = true;
        s->o.closed(s->o.arg, s->why);
    }
    s->is_busy = false;
    if (s->is_closing) {
        flush(s);
        leave(s);
        return;
    }
    if (has_hidden_input(s))
        net_loop_late(s->loop, &s->late);
    want(s);
}

static void on_event(void *arg, int what)
{
    struct net_stream *s = arg;
    s->is_busy = true;
    s->wants_write = s->is_just_paused = false;
    if (s->is_shaking) {
        shake(s);
    } else {
        if (what & NET_WRITE)
            flush(s);
        if (s->is_closing && (what & NET_READ))
            throw_away(s);
        else if ((what & NET_READ) || has_hidden_input(s))
            read_some(s);
        flush(s);
    }
    settle(s);
}

static void on_late(struct net_late *late)
{
    struct net_stream *s = container_of(late, struct net_stream, late);
    s->is_busy = true;
    if (s->in.n > 0 && !s->is_paused && !s->is_closing)
        offer_left(s);
    if (has_hidden_input(s))
        read_some(s);
    flush(s);
    settle(s);
}

struct net_stream *net_stream_open(struct net_loop *l, int fd, const struct net_stream_options *o)
{
    struct net_stream *s = mem_new(sizeof(*s));
    s->loop = l;
    s->o = *o;
    s->fd = fd;
    s->in = buf_make(BULK_BYTES);
    s->out = buf_make(o->out_max);
    list_init(&s->late.node);
    list_init(&s->leaving.node);
    s->late.fn = on_late;
    s->leaving.free = free_leaving;
    s->watch = net_watch_create(l, fd, on_event, s);
    want(s);
    return s;
}

void net_stream_write(struct net_stream *s, struct slice bytes)
{
    if (s->is_broken)
        return;
    if (s->out.max - s->out.n < bytes.n) {
        buf_drop(&s->out, s->out_at); /* what is gone does not count */
        s->out_at = 0;
    }
    buf_adds(&s->out, bytes);
    if (s->out.failed) /* a peer that asks and never reads: there is no one to tell */
        broken(s, "the peer does not read our replies");
    else if (!s->is_busy)
        net_loop_late(s->loop, &s->late);
}

bool net_stream_flush(struct net_stream *s)
{
    flush(s);
    return !s->is_broken && waiting_out(s) == 0;
}

void net_stream_pause(struct net_stream *s, bool is_paused)
{
    if (s->is_paused == is_paused)
        return;
    s->is_paused = s->is_just_paused = is_paused;
    if (is_paused || s->is_busy)
        return;
    if (s->in.n > 0 || has_hidden_input(s))
        net_loop_late(s->loop, &s->late);
    want(s);
}

void net_stream_expect_bulk(struct net_stream *s, bool is_bulk)
{
    s->is_bulk = is_bulk;
}

void net_stream_peek(struct net_stream *s, bool is_peeking)
{
    must(!s->ssl);
    s->is_peeking = is_peeking;
}

void net_stream_secure(struct net_stream *s, struct net_tls *tls)
{
    must(!s->ssl);
    flush(s); /* the reply that invites to the handshake goes out in the clear */
    if (waiting_out(s) > 0)
        broken(s, "the peer does not read our replies");
    if (s->is_broken)
        return;
    buf_finish(&s->in); /* nothing from before the handshake may be taken for a command after it */
    s->in_at = 0;
    s->is_peeking = false;
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
    X509 *peer = net_stream_is_secure(s) ? SSL_get0_peer_certificate(s->ssl) : NULL;
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
    if (!s->is_busy)
        settle(s); /* otherwise whoever is at it does */
}
