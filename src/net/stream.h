/* Connections that strangers open to us: non-blocking, plain or TLS, small when idle.
 *
 * An idle stream holds no buffer: bytes are read into one buffer of the loop and offered at once;
 * only what the taker leaves while it pauses is kept. What is written in a callback leaves together
 * at the end of the turn. A peer that does not read its replies is not read from either, so what
 * waits in both directions stays small. Loop thread only. Deadlines are the owner's.
 *
 * No function here calls back: callbacks come from the loop only, so an owner may free itself in
 * one of them, and nowhere else has to fear for its life. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "net/net.h"

struct net_tls; /* certificate and key of a server; shared by streams, counted */

/* TLS 1.2 and newer, a client certificate is asked for but not needed. PEM texts borrowed.
 * ERR_INVALID: not a certificate, not a key, or they do not belong together (text says which). */
enum err net_tls_server_create(struct slice certificate_pem, struct slice key_pem,
                               struct net_tls **ret, struct errinfo *ei);
struct net_tls *net_tls_ref(struct net_tls *t);
void net_tls_unref(struct net_tls **t);

struct net_stream;
struct net_stream_options {
    size_t out_max; /* bytes that may wait for a slow reader; more ends the stream */
    /* Bytes from the peer; returns how many were used. Fewer than all only after
     * net_stream_pause(s, true), where the rest is offered again when the pause ends; after
     * net_stream_close; or while peeking. */
    size_t (*input)(void *arg, struct slice bytes);
    /* The peer is gone, or will send no more, or broke TLS; `why` is static text. Told once. The
     * owner closes the stream: what it wrote before may still reach a peer that only stopped
     * sending. */
    void (*closed)(void *arg, const char *why);
    void (*secured)(void *arg); /* the TLS handshake is done */
    void *arg;
};

/* Takes the descriptor, which must be non-blocking. */
struct net_stream *net_stream_open(struct net_loop *l, int fd, const struct net_stream_options *o);
void net_stream_write(struct net_stream *s, struct slice bytes);
/* Write at once what the peer takes. True: the system has every byte that was written so far. */
bool net_stream_flush(struct net_stream *s);
void net_stream_pause(struct net_stream *s, bool is_paused);
/* Read large pieces (128 KiB) because content comes, or small ones (16 KiB, as at first): a piece
 * is what may be left over in a pause. */
void net_stream_expect_bulk(struct net_stream *s, bool is_bulk);
/* While peeking, bytes that `input` does not use stay in the socket, so that a handshake which
 * begins behind them sees them. Plain streams only. */
void net_stream_peek(struct net_stream *s, bool is_peeking);
/* Handshake as the server; bytes that came in before it are for the handshake, never for `input`.
 * What was written before leaves first, in the clear. */
void net_stream_secure(struct net_stream *s, struct net_tls *tls);
bool net_stream_is_secure(const struct net_stream *s);
const char *net_stream_tls_text(const struct net_stream *s); /* "TLSv1.3 with cipher …" or "" */
/* SHA-256 of the client's certificate in hex (64 letters and NUL); "" if it gave none. */
void net_stream_certificate(const struct net_stream *s, char ret[65]);
/* No callback after this. What was written still leaves, within five seconds, and then the end of
 * the stream; what the peer still sends is read and thrown away, since closing over unread bytes
 * resets the connection and destroys the last reply on its way. At most NET_LEAVING_MAX streams of
 * a loop leave in this manner, the others at once. Takes NULL. */
enum { NET_LEAVING_MAX = 2000 };
void net_stream_close(struct net_stream **s);

#endif
