/* Inside the room: requests of people. A `call` is one request; the HTTP threads take it in and
 * write the answer, the loop hears core. As for the administration, everything both touch is under
 * the server's lock, and nobody waits while holding it. */
#ifndef WEB_PEOPLE_INT_H
#define WEB_PEOPLE_INT_H

#include "web/ask_int.h"
#include "web/web_int.h"

#include <gnutls/abstract.h>
#include <sys/socket.h>

enum {
    PEOPLE_HEADER_BYTES = 7 << 10, /* request line and headers; more is refused by us, in JSON */
    PEOPLE_MEMORY = 10752,         /* libmicrohttpd's for a connection: an idle stream keeps it */
    PEOPLE_THREADS = 2,            /* of libmicrohttpd a listener */
    PEOPLE_CONNECTIONS = 1000000,  /* the library's own ceiling; ours comes first */
    PACE_BYTES = 8 << 20,          /* in the link to core: uploads wait until it is less */
    STREAM_PENDING_MAX = 16 << 10, /* told and not yet taken: then the stream ends */
    RATE = 16 << 10,               /* bytes a second, at least, of bodies and answers */
    SMALL_BYTES = 64 << 10,        /* of one call: it is let in where a larger one has to wait */
};
#define LOOK_TIME 30 /* seconds between looks at a stream that is idle */
#define COOKIE "__Host-staffetta"
#define PACE_TIME MILLISECONDS(5)

/* What we refuse by ourselves; each has its text in call_refuse.c and a row of the table. */
enum refusal {
    NOT_REFUSED = 0,
    NOT_FOUND,
    NOT_THIS_METHOD,
    BAD_REQUEST,
    BAD_HOST,
    NOT_JSON,
    BODY_TOO_BIG,
    UPLOAD_TOO_BIG,
    HEAD_TOO_LONG,
    TOO_MANY_FROM_YOU,
    TOO_MUCH_FROM_YOU,
    TOO_MANY_STREAMS,
    TOO_BUSY,
    NO_MEMORY,
    CORE_AWAY,
    CORE_SLOW,
    BAD_PART,
    REFUSAL_N
};

/* A connection. `base` is first: libmicrohttpd hands out the one pointer. */
struct guest {
    struct conn base;
    struct web_server *server;    /* set once */
    struct sockaddr_storage from; /* set once */
    struct share_slot *slot;      /* set once: its address, entered */
    bool has_tls;                 /* set once */
};

enum call_phase {
    CALL_HEAD,     /* HTTP thread only */
    CALL_CHECKING, /* a large body is to come: core is asked who it is; suspended */
    CALL_CHECKED,  /* HTTP thread goes on with the head */
    CALL_READING,  /* the body comes in */
    CALL_PAUSED,   /* an upload waits for the link to core; suspended */
    CALL_WAITING,  /* core works on it; suspended */
    CALL_ANSWERED, /* HTTP thread only */
    CALL_STREAMING,
};

/* One person's streams. Under lock; freed with the last one. */
struct watched {
    uint64_t person;
    uint64_t last_tag; /* of the WATCH whose answer came last */
    unsigned n;
    struct list streams;
};

struct stream {
    struct call *call;              /* set once */
    struct list of_person, of_slot; /* under lock */
    struct watched *watched;        /* under lock; NULL: not begun, or ended */
    char *types;                    /* set once; as in ask_watch, and the next two */
    uint16_t ping;
    bool closes_after_state;
    struct buf pending;       /* under lock */
    bool is_asleep, is_ended; /* under lock */
    int64_t ping_at, end_at;  /* under lock; seconds of the monotonic clock; 0: never */
};

struct call {
    struct web_server *server;
    struct guest *guest;
    struct MHD_Connection *http;
    enum call_phase phase; /* under lock once it is suspended */
    struct ask_path path;
    bool is_begun, is_counted, is_options, is_sent;
    enum refusal refused;    /* found out while the body came in; under lock */
    struct share_slot *slot; /* of the client's address; entered while is_counted */
    struct share_slot *kib;  /* the same: it has n_held, rounded up; NULL: not yet known who */
    char client[64];
    char *uri; /* NULL: too long */
    uint64_t tag;
    mono_us begun_at, deadline, paused_at;  /* under lock */
    uint64_t n_announced;                   /* of the body; 0: not known, or there is none */
    size_t body_max;                        /* of what may be kept of it */
    size_t n_received, n_discarded, n_held; /* n_held: of it the server's n_held; under lock */
    struct list upload;                     /* under lock: in the server's uploads */
    struct buf body;
    /* the answer; under lock while it waits */
    struct buf answer;
    uint16_t status;
    bool has_challenge;
    uint32_t retry_after, cookie_seconds;
    uint8_t n_steps;
    struct ipc_step steps[3];
    char *type, *cookie;
    struct stream *stream;
};

/* ---- people.c: HTTP threads ---- */
void web_people_init(struct web_server *s);
bool web_people_start(struct web_server *s, struct errinfo *ei);
void web_people_close(struct web_server *s); /* loop: core is gone; all that wait are answered */
void web_people_stop(struct web_server *s);  /* loop: nothing is suspended any more */
void web_people_finish(struct web_server *s);
void web_guest_until(struct guest *g, mono_us deadline); /* under lock; 0: no deadline of its own */

/* ---- call.c: asking core; under lock ---- */
/* Sends what has been gathered; the call waits and must be suspended. False: it has been refused.
 */
bool web_call_ask(struct call *c, enum ipc_call_kind kind);
/* A piece of an upload. False: the link takes no more at this moment, or is gone (then refused). */
bool web_call_send_piece(struct call *c, struct slice bytes);
void web_call_go_on(struct call *c);  /* after CALL_PAUSED */
void web_call_finish(struct call *c); /* answered: out of the map, resumed */
void web_call_drop(struct call *c);   /* out of all lists; what core has of it is for nobody */
bool web_call_take(struct call *c, const struct net_frame *f);
bool web_call_take_late(struct web_server *s, const struct net_frame *f);
void web_call_tick(struct web_server *s, mono_us now);
void web_call_close_all(struct web_server *s);

/* ---- call_refuse.c ---- */
void web_call_refuse(struct call *c, enum refusal why);       /* under lock */
const char *web_refusal_allow(const struct ask_route *route); /* for Allow */
/* Under lock. May `n` more bytes of this client, and of all, be kept? */
enum refusal web_call_room(const struct call *c, uint64_t n);
void web_call_hold(struct call *c, size_t n); /* under lock: bytes kept more */
void web_call_release(struct call *c, size_t n);

/* ---- call_answer.c: HTTP threads ---- */
enum MHD_Result web_answer_send(struct call *c);

/* ---- stream.c; under lock ---- */
bool web_stream_begin(struct call *c, uint64_t person);
void web_stream_end(struct call *c); /* HTTP thread; out of all lists */
bool web_stream_changed(struct web_server *s, struct slice payload);
bool web_stream_unwatch(struct web_server *s, struct slice payload);
void web_stream_late(struct web_server *s, uint64_t person, uint64_t tag);
void web_stream_tick(struct web_server *s, mono_us now);
void web_stream_end_all(struct web_server *s, bool is_stopping);
struct MHD_Response *web_stream_response(struct call *c); /* HTTP thread, without the lock */

/* ---- tls.c ---- */
extern const char web_tls_priorities[];
void web_tls_finish(struct people *p);
gnutls_certificate_retrieve_function2 *web_tls_retrieve(void); /* for libmicrohttpd */

#endif
