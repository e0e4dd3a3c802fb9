/* Streams without sockets (see fake_net.h). A descriptor is the number of a peer; peers are fed by
 * fake_feed and read by looking at `got`. The promises are those of net/stream.h: callbacks come
 * from fake_turn, fake_feed and their like only. */
#ifndef SMTP_TEST_FAKE_STREAM_H
#define SMTP_TEST_FAKE_STREAM_H

#include "net/stream.h"
#include "smtp/test/fake_net.h"

enum { FAKE_PEERS = 64, FAKE_OUT_MAX = 16 << 20 };

struct net_tls {
    int n_refs;
};

struct net_stream {
    struct net_loop *loop;
    struct net_stream_options o;
    struct net_late late;
    struct fake_peer *peer;
    struct buf left;
    size_t n_waiting; /* written and not yet flushed */
    bool is_paused, is_busy, is_closing, is_shaking, is_secure, is_bulk, is_peeking;
};

/* The other end of a stream. */
struct fake_peer {
    struct net_stream *stream; /* NULL: the gate has closed */
    struct buf got;            /* everything that was flushed to it */
    struct buf socket;         /* sent while peeking, not yet used */
    char certificate[65];
    bool is_open; /* the stream was opened once */
    bool is_gone; /* it has left: nothing reaches it any more */
};

static struct fake_peer fake_peers[FAKE_PEERS];

static inline void fake_flush(struct net_stream *s)
{
    s->n_waiting = 0;
}

static inline void stream_settle(struct net_stream *s)
{
    s->is_busy = false;
    fake_flush(s);
    if (!s->is_closing)
        return;
    list_remove(&s->late.node);
    buf_finish(&s->left);
    s->peer->stream = NULL;
    mem_free(&s);
}

static inline void stream_offer(struct net_stream *s)
{
    struct buf left = s->left;
    s->left = buf_make(left.max);
    size_t used = s->o.input(s->o.arg, buf_slice(&left));
    must(used <= left.n && (used == left.n || s->is_paused || s->is_closing));
    if (!s->is_closing)
        buf_adds(&s->left, slice_skip(buf_slice(&left), used));
    buf_finish(&left);
}

static inline void stream_late(struct net_late *late)
{
    struct net_stream *s = container_of(late, struct net_stream, late);
    s->is_busy = true;
    if (s->left.n > 0 && !s->is_paused && !s->is_closing)
        stream_offer(s);
    if (s->peer->is_gone && !s->is_paused && !s->is_closing)
        s->o.closed(s->o.arg, "the peer left");
    stream_settle(s);
}

struct net_stream *net_stream_open(struct net_loop *l, int fd, const struct net_stream_options *o)
{
    struct net_stream *s = mem_new(sizeof(*s));
    s->loop = l;
    s->o = *o;
    s->peer = &fake_peers[fd];
    s->left = buf_make(FAKE_OUT_MAX);
    list_init(&s->late.node);
    s->late.fn = stream_late;
    s->peer->stream = s;
    s->peer->is_open = true;
    s->peer->got = buf_make(FAKE_OUT_MAX);
    s->peer->socket = buf_make(FAKE_OUT_MAX);
    return s;
}

void net_stream_write(struct net_stream *s, struct slice bytes)
{
    must(!s->is_closing);
    if (!s->peer->is_gone)
        buf_adds(&s->peer->got, bytes);
    must(!s->peer->got.failed);
    s->n_waiting += bytes.n;
    if (!s->is_busy)
        net_loop_late(s->loop, &s->late);
}

bool net_stream_flush(struct net_stream *s)
{
    fake_flush(s);
    return !s->peer->is_gone;
}

void net_stream_pause(struct net_stream *s, bool is_paused)
{
    if (s->is_paused && !is_paused && (s->left.n > 0 || s->peer->is_gone))
        net_loop_late(s->loop, &s->late);
    s->is_paused = is_paused;
}

void net_stream_expect_bulk(struct net_stream *s, bool is_bulk)
{
    s->is_bulk = is_bulk;
}

void net_stream_peek(struct net_stream *s, bool is_peeking)
{
    s->is_peeking = is_peeking;
}

void net_stream_secure(struct net_stream *s, struct net_tls *tls)
{
    must(tls->n_refs > 0 && !s->is_secure && !s->is_shaking);
    buf_finish(&s->left);
    s->is_peeking = false;
    s->is_shaking = true;
}

bool net_stream_is_secure(const struct net_stream *s)
{
    return s->is_secure;
}

const char *net_stream_tls_text(const struct net_stream *s)
{
    return s->is_secure ? "TLSv1.3 with cipher FAKE (256 bits)" : "";
}

void net_stream_certificate(const struct net_stream *s, char ret[65])
{
    memcpy(ret, s->is_secure ? s->peer->certificate : "", s->is_secure ? 65 : 1);
}

void net_stream_close(struct net_stream **stream)
{
    struct net_stream *s = *stream;
    if (!s)
        return;
    *stream = NULL;
    s->is_closing = true;
    if (!s->is_busy)
        stream_settle(s);
}

struct net_tls *net_tls_ref(struct net_tls *t)
{
    t->n_refs++;
    return t;
}

void net_tls_unref(struct net_tls **t)
{
    if (*t)
        (*t)->n_refs--;
    *t = NULL;
}

/* ---- the peer's side ---- */

/* Bytes from the peer arrive. False: nobody is there, or a handshake is expected. */
static inline bool fake_feed(int peer, struct slice bytes)
{
    struct net_stream *s = fake_peers[peer].stream;
    if (!s || s->is_shaking)
        return false;
    if (s->is_paused || s->left.n > 0) { /* the socket's buffer: not read yet */
        buf_adds(&s->left, bytes);
        return true;
    }
    s->is_busy = true;
    if (s->is_peeking) {
        size_t used = s->o.input(s->o.arg, bytes);
        must(used <= bytes.n);
        bytes = slice_skip(bytes, used);
        if (s->is_shaking || s->is_closing)
            buf_adds(&s->peer->socket, bytes);
        else
            buf_adds(&s->left, bytes);
    } else {
        buf_adds(&s->left, bytes);
    }
    if (s->left.n > 0 && !s->is_closing && !s->is_paused)
        stream_offer(s);
    stream_settle(s);
    return true;
}

/* The handshake ends well. */
static inline bool fake_shake(int peer)
{
    struct net_stream *s = fake_peers[peer].stream;
    if (!s || !s->is_shaking)
        return false;
    s->is_busy = true;
    s->is_shaking = false;
    s->is_secure = true;
    s->o.secured(s->o.arg);
    stream_settle(s);
    return true;
}

/* The peer is gone; seen at once unless the stream is paused. */
static inline bool fake_leave(int peer)
{
    struct fake_peer *p = &fake_peers[peer];
    struct net_stream *s = p->stream;
    p->is_gone = true;
    if (!s || s->is_paused)
        return false;
    s->is_busy = true;
    s->o.closed(s->o.arg, s->is_shaking ? "the TLS handshake failed" : "the peer left");
    stream_settle(s);
    return true;
}

static inline void fake_peers_clear(void)
{
    for (int i = 0; i < FAKE_PEERS; i++) {
        struct fake_peer *p = &fake_peers[i];
        must(!p->stream);
        if (p->is_open) {
            buf_finish(&p->got);
            buf_finish(&p->socket);
        }
        *p = (struct fake_peer){};
    }
}

#endif
