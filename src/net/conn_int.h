/* Inside net: the socket below a connection, plain or with TLS. */
#ifndef NET_CONN_INT_H
#define NET_CONN_INT_H

#include "net/conn.h"

#include <openssl/ssl.h>

enum { NET_RECORD_BYTES = 16 << 10 }; /* the most that TLS puts into one */

struct net_conn {
    const struct net_transport *t;
    void *arg;
    char *in; /* NET_CONN_READ_MAX bytes */
    size_t in_at, in_n;
    bool is_ended; /* the peer has closed its side */
};

struct net_socket {
    int fd, cancel_fd;
    SSL *ssl;      /* NULL: plain */
    int tls_wants; /* NET_CONN_ bits: what TLS waits for, whatever the caller wants; 0: nothing */
    char *record;  /* with TLS: parts gathered into one record */
    char tls_text[80];
    utc_ms cert_until; /* of the peer's certificate; 0: not seen */
};

extern const struct net_transport net_plain_transport; /* arg: struct net_socket */
extern const struct net_transport net_tls_transport;   /* the same */

void net_socket_free(struct net_socket *s);
enum err net_socket_wait(struct net_socket *s, int what, mono_us deadline, struct errinfo *ei);

#endif
