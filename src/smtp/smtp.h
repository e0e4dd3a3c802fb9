/* The gate: SMTP sessions of strangers. It owns nothing: no files, no store, no way to connect.
 *
 * It speaks the protocol, parses the message's structure, and hands whole messages to core over a
 * link; a positive reply to the end of data leaves only when core says the message is durable.
 * One loop thread. RFC 5321 and the extensions that EHLO names. */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H

#include "net/net.h"
#include "net/stream.h"

#include "ipc/ipc.h"

enum { SMTP_GATES_MAX = 16, SMTP_CIDRS_MAX = 32 };

struct smtp_cidr {
    unsigned char bytes[16];
    uint8_t n_bytes; /* 4 or 16 */
    uint8_t prefix;
};

/* All values are the operator's, from the settings. Times in seconds. */
struct smtp_limits {
    uint64_t message_bytes, header_bytes;
    uint64_t bytes_in_flight;    /* of this gate: content, and input that waits */
    uint32_t command_line_bytes; /* with CRLF */
    uint32_t connections;        /* of this gate */
    uint32_t gates;              /* that share these two evenly; 0: one */
    uint32_t connections_per_address, connections_per_network, connections_per_minute;
    uint32_t recipients, hops;
    /* Since the last message that was accepted: a session that brings good mail may go on. */
    uint32_t commands, idle_commands, errors;
    uint32_t messages;              /* in a session of a stranger */
    uint32_t command_sec, data_sec; /* RFC 5321 section 4.5.3.2: at least 300 and 180 */
    uint32_t transfer_sec;          /* the whole of one message */
};

struct smtp_port {
    bool is_submission;
    bool is_tls_first; /* 465 */
    bool has_starttls;
    struct smtp_cidr proxies[SMTP_CIDRS_MAX]; /* from these a PROXY header must come first */
    size_t n_proxies;
    struct smtp_cidr xclients[SMTP_CIDRS_MAX];
    size_t n_xclients;
};

struct smtp_options {
    struct net_loop *loop;
    const char *node; /* our name in the greeting; borrowed for good */
    unsigned number;  /* of this gate, from 0 */
    struct smtp_limits limits;
    /* Memory that all gates share, SMTP_SHARED_BYTES of zeros at first. */
    void *shared;
    /* Core or another process sent nonsense over its link. */
    void (*nonsense)(void *arg, const char *why);
    void *arg;
    /* Names for the checks of senders; blocks a worker thread until the answer or the deadline.
     * NULL: no sender is checked, none is proved. */
    enum err (*resolve)(void *arg, const struct ipc_name_ask *ask, mono_us deadline,
                        struct arena *a, struct ipc_name_told *ret);
    void *resolve_arg;
};

enum { SMTP_SHARED_BYTES = 4 << 20 };

struct smtp_server;
struct smtp_server *smtp_server_create(const struct smtp_options *o);
void smtp_server_destroy(struct smtp_server **s);
/* A new link to core; takes the descriptor. The old one is closed. Until core's first facts come,
 * and while it is away, new mail is refused for the moment. */
void smtp_server_core(struct smtp_server *s, int link_fd);
void smtp_server_tls(struct smtp_server *s, struct net_tls *tls); /* counted; NULL: no TLS */
void smtp_server_limits(struct smtp_server *s, const struct smtp_limits *limits);
/* Takes the descriptor. Nobody is accepted before core's first facts, or for five seconds. */
void smtp_server_listen(struct smtp_server *s, int listener_fd, const struct smtp_port *port);
/* What connections that come from now on find at the i-th listener, in the order of
 * smtp_server_listen; sessions that are open keep what they began with. */
void smtp_server_port(struct smtp_server *s, size_t i, const struct smtp_port *port);
/* No new connections; 421 to who is between messages, who is in one may finish it, until `within`
 * is over: then the rest gets 421 too. `done` comes from the loop, once, when the last session is
 * gone; it may destroy the server. */
void smtp_server_stop(struct smtp_server *s, mono_us within, void (*done)(void *arg), void *arg);
size_t smtp_server_sessions(const struct smtp_server *s);

#endif
