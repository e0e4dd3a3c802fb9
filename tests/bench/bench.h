/* What the load generator and the sink share: options, addresses, streams, latencies.
 *
 * Test tools, not part of the program: they stop with a sentence on standard error when they are
 * used wrongly. Everything here belongs to one thread at a time. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "base/base.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>

/* Prints "program: text" and leaves with 2 (wrong use). */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- options ----------------------------------------------------------------------------- */

enum bench_option_kind {
    BENCH_FLAG,   /* bool *: no argument, becomes true */
    BENCH_NO,     /* bool *: no argument, becomes false */
    BENCH_NUMBER, /* uint64_t * */
    BENCH_TEXT,   /* const char ** */
    BENCH_PAIR,   /* const char *[2]: two arguments */
    BENCH_CALL,   /* `call` is called with the argument, once for each use */
};

struct bench_option {
    const char *name; /* with the dashes */
    enum bench_option_kind kind;
    void *value;
    void (*call)(const char *name, const char *argument); /* BENCH_CALL only */
    uint64_t most;                                        /* BENCH_NUMBER; 0 means no ceiling */
    const char *help;
};

/* Reads the whole command line; --help prints the rows and leaves with 0. */
void bench_options_read(const struct bench_option *rows, size_t n_rows, int argc, char **argv,
                        const char *purpose);

/* ---- addresses --------------------------------------------------------------------------- */

struct bench_addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } as;
    socklen_t n;
};

/* "127.0.0.1:25", "[::1]:25" or "unix:/path"; numbers only, names are never looked up. */
enum err bench_addr_parse(const char *text, struct bench_addr *ret_addr, struct errinfo *ei);
/* The same notation back; valid until the next call. */
const char *bench_addr_text(const struct bench_addr *addr);

/* A non-blocking socket whose connect has been started; `from_ip` (network order, 0 for none) is
 * the source address. Returns -1 with errno set. The descriptor is the caller's. */
int bench_dial(const struct bench_addr *to, in_addr_t from_ip);
/* A non-blocking listener; `addr` is replaced by what was bound (port 0). */
enum err bench_listen(struct bench_addr *addr, int *ret_fd, struct errinfo *ei);
/* Nodelay where the socket has it. */
void bench_socket_prepare(int fd);
/* Lifts the soft limit of descriptors to the hard one. */
void bench_descriptors_raise(void);

/* ---- streams: a socket, perhaps with TLS --------------------------------------------------- */

struct bench_stream {
    int fd;   /* -1 when closed; owned */
    SSL *ssl; /* NULL while plain; owned */
};

/* Bytes moved (> 0), 0 when nothing moves now, -1 when the connection is over. */
ssize_t bench_stream_recv(struct bench_stream *s, void *p, size_t n);
ssize_t bench_stream_send(struct bench_stream *s, const struct iovec *iov, int n_iov);
/* Starts or continues the handshake: 1 done, 0 not yet, -1 failed. `is_server` chooses the side. */
int bench_stream_handshake(struct bench_stream *s, SSL_CTX *tls, bool is_server);
void bench_stream_close(struct bench_stream *s);

/* Client: takes any certificate (these are tests on loopback). Server: needs both files. */
SSL_CTX *bench_tls_client(void);
SSL_CTX *bench_tls_server(const char *certificate, const char *key);

/* ---- latencies ----------------------------------------------------------------------------- */

#define BENCH_HISTOGRAM_STEPS 256 /* buckets per doubling: an error of 0.8 % at most */
#define BENCH_HISTOGRAM_DOUBLINGS 32

struct bench_histogram {
    uint64_t counts[BENCH_HISTOGRAM_STEPS * BENCH_HISTOGRAM_DOUBLINGS];
    uint64_t n;
    uint64_t most;
};

void bench_histogram_add(struct bench_histogram *h, mono_us value);
void bench_histogram_merge(struct bench_histogram *to, const struct bench_histogram *from);
/* The value in milliseconds below which `share` (0..1) of all lie; 0 when there are none. */
double bench_histogram_ms(const struct bench_histogram *h, double share);

/* CPU seconds, user and system, of this process so far. */
double bench_cpu_seconds(void);

/* One turn towards dying politely: true once TERM or INT has come (see bench_signals_catch). */
extern volatile bool bench_is_stopping;
extern volatile bool bench_is_asked;     /* USR1 or USR2 came: print the counts */
extern volatile bool bench_is_resetting; /* USR2: and begin anew; the reader clears both */
void bench_signals_catch(void);          /* TERM, INT, USR1, USR2; ignores PIPE */

#endif
