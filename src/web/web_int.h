/* Inside the room. Two kinds of threads meet here: the loop (core's link, deadlines) and one of
 * libmicrohttpd a listener (HTTP). Everything that both touch is under the server's lock; neither
 * waits for anything while holding it. */
#ifndef WEB_WEB_INT_H
#define WEB_WEB_INT_H

#include "base/refuse.h"
#include "ipc/ipc.h"
#include "web/share.h"
#include "web/web.h"

#include <microhttpd.h>
#include <pthread.h>

enum {
    CONNECTIONS_MAX = 256, /* a listener; more are closed at once */
    CONNECTIONS_METRICS = 32,
    HEADER_BYTES = 16 << 10,  /* request line and headers; more is refused by us, in JSON */
    HEADER_MEMORY = 64 << 10, /* libmicrohttpd's for a connection; beyond it refuses itself */
    PATH_BYTES = 2000,        /* as ipc_request has it */
    QUERY_BYTES = 8000,
    LINK_QUEUE = 64 << 20,
    TICK_MS = 250,
    WHEEL = 64, /* slots of a second in which event streams are looked at */
};
#define READ_TIME SECONDS(30)  /* to send a whole request, or to stay idle between two */
#define WRITE_TIME SECONDS(60) /* to take the answer */

/* A connection; libmicrohttpd keeps the pointer for us. */
struct conn {
    struct list node; /* under lock */
    int fd;           /* set once; ours to shut down while in the list */
    mono_us deadline; /* under lock; of reading or writing; 0: the request's own counts */
    char by[96];      /* set once */
    bool is_metrics;  /* set once */
    bool is_busy;     /* under lock: a person's request is under way */
};

enum phase {
    READING,  /* the request comes in: HTTP thread only */
    WAITING,  /* core works on it: in the map, suspended */
    ANSWERED, /* the answer below is complete: HTTP thread only */
};

struct request {
    struct web_server *server;
    struct conn *conn;
    struct MHD_Connection *http;
    enum phase phase; /* under lock once it is WAITING */
    bool is_begun, is_counted;
    uint64_t tag;
    mono_us deadline; /* under lock */
    char *uri;        /* path and query as they came; NULL: too long */
    uint16_t refused; /* found out while the body came in; 0: nothing */
    size_t n_discarded;
    struct buf body;
    uint16_t status;
    char type[101];
    struct buf answer; /* under lock while WAITING */
};

/* What serves people (people_int.h). */
struct certificate;
struct people {
    struct web_people is; /* under lock */
    unsigned n_daemons;   /* set once */
    struct MHD_Daemon *daemons[WEB_LISTENERS_MAX];
    struct certificate *certificate;         /* under lock; the latest, older ones behind it */
    struct map *calls;                       /* under lock: tag -> struct call */
    struct map *watched;                     /* under lock: person -> struct watched */
    struct list uploads;                     /* under lock: bytes of theirs are with core */
    unsigned n_conns, n_requests, n_streams; /* under lock; of this door */
    size_t n_held;            /* under lock: bytes in memory, or with core unanswered */
    uint64_t n_answered;      /* under lock; since the start */
    struct list wheel[WHEEL]; /* under lock: streams, by the second of the next look */
    int64_t wheel_at;         /* loop only: the second that was looked at last */
    struct net_timer *pace;   /* loop only */
    bool is_pacing;           /* under lock: the timer is set or about to be */
    bool is_posted;           /* under lock: a task for the loop is on its way */
};

struct web_server {
    struct net_loop *loop;
    struct web_options o;
    struct share *share;                /* set once: counts over all doors */
    struct MHD_Daemon *admin, *metrics; /* set once; loop stops them */
    struct net_timer *tick;             /* loop only */
    struct list conns;                  /* under lock */
    pthread_mutex_t lock;
    struct net_link *link; /* under lock: opened and closed by the loop */
    struct map *waiting;   /* under lock: tag -> struct request */
    uint64_t last_tag;     /* under lock */
    unsigned n_requests;   /* under lock; of this door */
    size_t n_bytes;        /* under lock: bodies and answers in memory */
    bool is_stopping;      /* under lock */
    uint64_t n_answered;   /* under lock; since the start */
    struct people people;
    mono_us report_at;       /* loop only */
    mono_us stop_at;         /* loop only */
    bool is_closing;         /* loop only */
    void (*done)(void *arg); /* loop only */
    void *done_arg;
};

/* The text of a refusal of ours, as the interface writes problems. Appends a JSON document. */
void web_problem(struct buf *b, uint16_t status, const char *title, const char *detail);

/* Under lock: the request gets an answer of ours and goes on in the HTTP thread. */
void request_refuse(struct request *r, uint16_t status);
void request_finish(struct request *r); /* under lock: out of the map, resumed */

/* HTTP thread, under lock. False: the request has been refused in `r`. */
bool core_ask(struct request *r, const char *method);
void core_tick(struct web_server *s, mono_us now); /* loop */
void core_close(struct web_server *s);             /* loop: everything that waits ends with 503 */

const char *names_of(const struct web_names *n, uint32_t uid); /* "" when unknown */

/* HTTP threads. */
bool http_start(struct web_server *s, struct errinfo *ei);
void http_stop(struct web_server *s);

#endif
