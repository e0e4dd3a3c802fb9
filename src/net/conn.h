/* Blocking connections for threads that talk to servers outside: TCP and TLS, client side.
 *
 * Every operation has an absolute deadline and can be cancelled from another thread through one
 * descriptor; inside, sockets are non-blocking and wait in poll. A connection belongs to one
 * thread at a time. Where it may lead is decided here too (net_policy), so that nobody can forget
 * to ask. Errors: ERR_RETRY the deadline passed; ERR_GONE the peer closed; ERR_IO the network
 * failed; ERR_DENIED the policy forbids it; ERR_INVALID the peer breaks the protocol;
 * ERR_CANCELED the cancel descriptor became readable. The words are in errinfo. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/base.h"

#include <sys/socket.h>
#include <sys/types.h>

/* ---- where a connection may lead ----------------------------------------------------------- */

struct net_network {
    unsigned char bytes[16]; /* the first n_bytes count */
    uint8_t n_bytes;         /* 4 or 16 */
    uint8_t prefix;          /* bits that must agree */
};
/* "192.0.2.0/24", "2001:db8::/32", or one address. False: not a network. */
bool net_network_parse(struct slice text, struct net_network *ret);
bool net_network_holds(const struct net_network *n, const struct sockaddr_storage *address);

/* Promise 10: while `has_internet` is false only loopback and what is listed can be reached. */
struct net_policy {
    bool has_internet;
    const struct net_network *allowed; /* borrowed, must outlive its users */
    size_t n_allowed;
};
enum net_where {
    NET_LOOPBACK,
    NET_LISTED,
    NET_OUTSIDE, /* only with has_internet */
    NET_NOWHERE, /* unspecified, multicast, broadcast, port 0: never */
};
enum net_where net_policy_where(const struct net_policy *p, const struct sockaddr_storage *address);
bool net_policy_allows(const struct net_policy *p, const struct sockaddr_storage *address);
/* Only inside somebody's own network, never of the Internet (RFC 6890 and its registries):
 * loopback, private, link-local (clouds keep their machines' secrets there), shared, documentation,
 * benchmarking, reserved, and IPv6 that carries an IPv4 address inside (RFC 6052, 3056, 4380). */
bool net_address_is_private(const struct sockaddr_storage *address);
bool net_policy_lists(const struct net_policy *p, const struct sockaddr_storage *address);

/* "192.0.2.1:25", "[2001:db8::1]:25". */
struct net_peer_text {
    char s[64];
};
struct net_peer_text net_peer_text(const struct sockaddr_storage *address);

/* ---- TLS ----------------------------------------------------------------------------------- */

/* What all TLS connections of a process share; set once, any thread, outlives the connections. */
struct net_tls_client;
/* `ca_pem`: the text of one or many certificates that NET_TLS_VERIFY trusts; may be empty, then
 * nothing verifies. At least TLS 1.2. All files that OpenSSL wants are read here, none later.
 * ERR_INVALID: a certificate in `ca_pem` cannot be read. */
enum err net_tls_client_create(struct slice ca_pem, struct net_tls_client **ret,
                               struct errinfo *ei);
void net_tls_client_destroy(struct net_tls_client **t);

enum net_tls_check {
    NET_TLS_ANY,    /* encrypt; any certificate will do (opportunistic, RFC 7435) */
    NET_TLS_VERIFY, /* chain to our authorities and name must be right */
    /* NET_TLS_DANE belongs here when the resolver's TLSA answers are used (RFC 7672). */
};

/* ---- connections --------------------------------------------------------------------------- */

struct net_conn;

struct net_dial {
    const struct sockaddr_storage *address;
    const struct net_policy *policy; /* asked again here, whatever the caller has checked */
    int cancel_fd;                   /* an eventfd; readable: give up everything. -1: none */
};
/* Connect, TCP_NODELAY set. */
enum err net_conn_open(const struct net_dial *dial, mono_us deadline, struct net_conn **ret,
                       struct errinfo *ei);
void net_conn_close(struct net_conn **c); /* at once, no TLS farewell; takes NULL */

/* Handshake as client. `name`: for SNI and NET_TLS_VERIFY, a DNS name or an address. Bytes that
 * came before the handshake are an injection (CVE-2011-0411 and its children): ERR_INVALID. After
 * a failure the connection can only be closed. */
enum err net_conn_start_tls(struct net_conn *c, struct net_tls_client *tls,
                            enum net_tls_check check, const char *name, mono_us deadline,
                            struct errinfo *ei);
bool net_conn_has_tls(const struct net_conn *c);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" without TLS. Borrowed from `c`. */
const char *net_conn_tls_text(const struct net_conn *c);
/* When the certificate that the peer showed ends; also after a handshake that failed for it. 0:
 * none was seen (after ERR_DENIED: we had nothing to check one against), or its date makes no
 * sense. */
utc_ms net_conn_cert_until(const struct net_conn *c);

enum { NET_CONN_READ_MAX = 16 << 10 }; /* bytes that wait unread in our memory */

/* Wait until there is at least one byte; `*ret` is all that is here and not used up, borrowed
 * until the next call. ERR_GONE: the peer has closed and everything is used up. */
enum err net_conn_read(struct net_conn *c, mono_us deadline, struct slice *ret, struct errinfo *ei);
void net_conn_use(struct net_conn *c, size_t n); /* the first n bytes are used up */
/* Nothing to read: neither bytes nor an end. Does not wait. False before we have asked anything
 * means a peer that talks out of turn or is gone. */
bool net_conn_is_quiet(struct net_conn *c);
/* Write all parts in order, together where the kernel allows it. ERR_OK: the kernel has every
 * byte. On an error the last byte has certainly not been sent. */
enum err net_conn_write(struct net_conn *c, const struct slice *parts, size_t n_parts,
                        mono_us deadline, struct errinfo *ei);

/* ---- connections over anything else ---------------------------------------------------------- */

/* The bytes below a connection. read and write as the system calls, never waiting: -1 with errno
 * EAGAIN when it would. `wait` returns ERR_OK when `what` (NET_CONN_IN, NET_CONN_OUT) is possible.
 * For tests and fuzzing; the two real ones, socket and TLS, are made of the same thing. */
enum { NET_CONN_IN = 1, NET_CONN_OUT = 2 };
struct iovec;
struct net_transport {
    ssize_t (*read)(void *arg, char *p, size_t n);
    ssize_t (*write)(void *arg, const struct iovec *parts, int n_parts);
    enum err (*wait)(void *arg, int what, mono_us deadline, struct errinfo *ei);
    void (*close)(void *arg);
};
struct net_conn *net_conn_over(const struct net_transport *t, void *arg);

#endif
