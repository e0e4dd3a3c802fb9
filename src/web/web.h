/* The door's HTTP: framing for the administration interface on its Unix socket, for figures and
 * health on a TCP listener, and for people and their programs over HTTPS (JMAP, RFC 8620). It
 * parses HTTP (libmicrohttpd), asks core over the link, and writes the answer. It decides nothing
 * about whom it is talking to: who logs in, and what they may see, core finds out.
 *
 * The functions are loop-thread only. libmicrohttpd has threads of its own a listener; waiting
 * requests and idle event streams cost no thread. Ceilings: requests at once, connections, bytes a
 * body, bytes in memory, event streams, time. Several doors may serve the same listeners. */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "net/conn.h"
#include "net/net.h"

enum {
    WEB_BODY_MAX = 8 << 20,    /* of a request */
    WEB_ANSWER_MAX = 32 << 20, /* of core's answer */
    WEB_BYTES_MAX = 128 << 20, /* of all bodies and answers in memory */

    /* The same for people. */
    WEB_CALL_BODY_MAX = 8 << 20,   /* of a JMAP request */
    WEB_LOGIN_BODY_MAX = 16 << 10, /* of a log-in */
    WEB_UPLOAD_MAX = 50 << 20,     /* of an upload */
    WEB_DOWNLOAD_MAX = 72 << 20,   /* of what core answers: a whole message */
    WEB_LISTENERS_MAX = 16,
    WEB_ORIGINS_MAX = 8,
    WEB_PROXIES_MAX = 32,
    WEB_ORIGIN_BYTES = 264, /* "https://" and a host name of 253 bytes; terminated */

    WEB_DOORS_MAX = 8,
    WEB_SHARED_BYTES = 9 << 20,
};

/* Who is uid 1000? Read once from the list of users, before the sandbox closes. */
struct web_names;
struct web_names *web_names_load(void);
void web_names_destroy(struct web_names **n);

/* A listener for people. Takes the descriptor. */
struct web_listener {
    int fd;
    bool has_tls; /* else plain HTTP: for a proxy on this machine */
};

/* What people are given. May change while the server runs. */
struct web_people {
    char url[WEB_ORIGIN_BYTES]; /* "https://mail.example.test": how we are reached; "": Host says */
    unsigned n_origins;         /* other web sites whose scripts may use our answers (CORS) */
    char origins[WEB_ORIGINS_MAX][WEB_ORIGIN_BYTES];
    unsigned n_proxies; /* their X-Forwarded-For, -Proto and -Host count */
    struct net_network proxies[WEB_PROXIES_MAX];
    unsigned n_conns_max;            /* 0: 20000; more are closed at once */
    unsigned n_conns_per_address;    /* 0: 1000; proxies have no such limit */
    unsigned n_requests_max;         /* at once, event streams apart; 0: 1000; more get 503 */
    unsigned n_requests_per_address; /* the same of one client; 0: 100; more get 429 */
    unsigned n_streams_per_person;   /* 0: 20; more get 429 */
    size_t n_bytes_max;              /* bodies and answers in memory; 0: 512 MiB; beyond it 503 */
    size_t n_bytes_per_address;      /* the same of one client; 0: 128 MiB; beyond it 429 */
    mono_us timeout;                 /* of core's answer; 0: 60 s, then 504 */
};

struct web_options {
    int admin_fd;            /* listening Unix socket, the server's from now on; -1: none */
    int metrics_fd;          /* listening TCP socket, the server's from now on; -1: none */
    unsigned n_requests_max; /* at once; 0: 64. More get 503 (REFUSE_ADMIN_BUSY) */
    /* Ceilings hold over all doors on the same listeners: each counts in memory that all share,
     * WEB_SHARED_BYTES, zero when the first of them starts; outlives the server. NULL: one of its
     * own, for the only door. */
    void *shared;
    unsigned door;                 /* 0..WEB_DOORS_MAX-1; no two at the same time have the same */
    mono_us timeout;               /* of a request; 0: 30 s, then 504 */
    const struct web_names *names; /* outlives the server; may be NULL: numbers only */
    unsigned n_listeners;          /* for people */
    struct web_listener listeners[WEB_LISTENERS_MAX];
    struct web_people people;
    struct slice certificate, key; /* as web_certificate takes them; borrowed for web_create */
    /* Core sent nonsense; its link is closed. May be NULL. */
    void (*nonsense)(void *arg, const char *why);
    void *arg;
};

struct web_server;
/* ERR_IO: libmicrohttpd cannot serve these sockets. ERR_INVALID: the certificate or its key cannot
 * be used. */
enum err web_create(struct net_loop *loop, const struct web_options *o, struct web_server **ret,
                    struct errinfo *ei);
/* A link to core, a new one when core was restarted: what the old one was asked ends with 503.
 * Takes the descriptor. Once a second the counts of refusals and figures of this process go there
 * too. */
void web_core_link(struct web_server *s, int take_fd);
void web_limit(struct web_server *s, unsigned n_requests_max); /* another ceiling, from now on */
void web_people(struct web_server *s, const struct web_people *people); /* copied; from now on */
/* Certificate with its intermediates and key, both PEM, for TLS of all listeners: handshakes from
 * now on use these, open connections go on. ERR_INVALID: they cannot be used; the old ones stay. */
enum err web_certificate(struct web_server *s, struct slice certificate, struct slice key,
                         struct errinfo *ei);
/* Refuse what comes (503), let what is open finish for at most `patience`, then stop listening and
 * call done(arg) on the loop, once. After that only web_destroy. */
void web_stop(struct web_server *s, mono_us patience, void (*done)(void *arg), void *arg);
void web_destroy(struct web_server **s); /* takes NULL; at once, without patience */

#endif
