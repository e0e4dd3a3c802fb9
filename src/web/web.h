/* The door's HTTP: framing for the administration interface on its Unix socket, and for figures and
 * health on a TCP listener. It parses HTTP (libmicrohttpd), asks core over the link, and writes the
 * answer; it decides nothing and knows no path but the two that the figures' listener may give.
 *
 * The functions are loop-thread only. libmicrohttpd has a thread of its own a listener; waiting
 * requests cost no thread. Ceilings: requests at once, bytes a body, bytes in memory, time. */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "net/net.h"

enum {
    WEB_BODY_MAX = 8 << 20,    /* of a request */
    WEB_ANSWER_MAX = 32 << 20, /* of core's answer */
    WEB_BYTES_MAX = 128 << 20, /* of all bodies and answers in memory */
};

/* Who is uid 1000? Read once from the list of users, before the sandbox closes. */
struct web_names;
struct web_names *web_names_load(void);
void web_names_destroy(struct web_names **n);

struct web_options {
    int admin_fd;                  /* listening Unix socket, the server's from now on; -1: none */
    int metrics_fd;                /* listening TCP socket, the server's from now on; -1: none */
    unsigned n_requests_max;       /* at once; 0: 64. More get 503 (REFUSE_ADMIN_BUSY) */
    mono_us timeout;               /* of a request; 0: 30 s, then 504 */
    const struct web_names *names; /* outlives the server; may be NULL: numbers only */
    /* Core sent nonsense; its link is closed. May be NULL. */
    void (*nonsense)(void *arg, const char *why);
    void *arg;
};

struct web_server;
/* ERR_IO: libmicrohttpd cannot serve these sockets. */
enum err web_create(struct net_loop *loop, const struct web_options *o, struct web_server **ret,
                    struct errinfo *ei);
/* A link to core, a new one when core was restarted: what the old one was asked ends with 503.
 * Takes the descriptor. Once a second the counts of refusals and figures of this process go there
 * too. */
void web_core_link(struct web_server *s, int take_fd);
void web_limit(struct web_server *s, unsigned n_requests_max); /* another ceiling, from now on */
/* Refuse what comes (503), let what is open finish for at most `patience`, then stop listening and
 * call done(arg) on the loop, once. After that only web_destroy. */
void web_stop(struct web_server *s, mono_us patience, void (*done)(void *arg), void *arg);
void web_destroy(struct web_server **s); /* takes NULL; at once, without patience */

#endif
