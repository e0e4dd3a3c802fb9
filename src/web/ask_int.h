/* Inside the room: what a request of a person says, and what its answer's headers say. Pure: bytes
 * in, values out, whatever the bytes are. Fuzzed as a whole (fuzz_web_ask.c). */
#ifndef WEB_ASK_INT_H
#define WEB_ASK_INT_H

#include "ipc/ipc.h"
#include "web/web.h"

/* ---- routes ---- */

enum ask_kind {
    ASK_CALL,   /* of core; `call` says which */
    ASK_HEALTH, /* answered by the door */
};
enum ask_method { ASK_GET = 1, ASK_POST = 2 };
struct ask_route {
    const char *path; /* a last "/" stands for what follows */
    enum ask_kind kind;
    enum ipc_call_kind call;
    enum ask_method method;
    bool has_cors;   /* scripts of listed sites may ask this */
    bool is_json;    /* the body must say so */
    size_t body_max; /* bytes; 0: none is read */
};
/* Slices point into the path. */
struct ask_path {
    const struct ask_route *route;
    struct slice account, blob; /* as they are: identifiers have nothing to escape */
    struct slice name;          /* still escaped */
};
/* False: there is nothing at this path (which is without its query). */
bool web_ask_route(struct slice path, struct ask_path *ret);

/* The first value of that key of a query, still escaped; empty: not there. */
struct slice web_ask_query(struct slice query, const char *key);
/* "%41" -> "A"; "+" stays "+". False: broken, or longer than the buffer may become. */
bool web_ask_decode(struct slice escaped, struct buf *ret);

/* What an event stream's query asks for (RFC 8620 section 7.3). False: it makes no sense. */
enum { ASK_TYPES_MAX = 255, ASK_PING_LEAST = 5, ASK_PING_MOST = 300 };
struct ask_watch {
    bool closes_after_state;
    uint16_t ping;                 /* seconds, clamped; 0: none */
    char types[ASK_TYPES_MAX + 1]; /* "" for all, else "Email,Mailbox" */
};
bool web_ask_watch(struct slice query, struct ask_watch *ret);
/* A StateChange object as core tells it -> the same, in one line, with only the wanted types ("":
 * all). False: nothing of it is wanted. `*ret_is_nonsense`: it is no StateChange. */
bool web_ask_filter(struct slice state, const char *types, struct buf *ret, bool *ret_is_nonsense);

/* ---- headers of requests ---- */

/* "Example.Test:8443" -> "example.test:8443" appended; IPv6 in brackets. False: no such thing. */
bool web_ask_host(struct slice host, struct buf *ret);
/* The value of that cookie in a Cookie header; empty: not there. */
struct slice web_ask_cookie(struct slice header, const char *name);
bool web_ask_cookie_is_clean(struct slice value); /* what a cookie's value may hold, RFC 6265 */
/* The last address of X-Forwarded-For that is none of our proxies; `peer` when there is none. */
struct sockaddr_storage web_ask_client(const struct web_people *p, struct slice forwarded,
                                       const struct sockaddr_storage *peer);
bool web_ask_is_proxy(const struct web_people *p, const struct sockaddr_storage *address);

/* ---- downloads ---- */

/* May this be a Content-Type? `type/subtype`, with a charset at most. */
bool web_ask_type_is_valid(struct slice type);
/* Can a browser show it without running anything in it? The others are attachments. */
bool web_ask_type_is_harmless(struct slice type);
/* Value of Content-Disposition (RFC 6266): the name as ASCII, and once more as it is (RFC 8187).
 * `name` is decoded, of any bytes; what is no UTF-8, and what leads elsewhere, is replaced. */
void web_ask_disposition(bool is_attachment, struct slice name, struct buf *ret);
/* Cut a part out of a message and decode it, in place: the outcome is never longer. False: a step
 * leaves its bounds or has no such encoding. */
bool web_ask_cut(char *bytes, size_t n, const struct ipc_step *steps, size_t n_steps,
                 struct slice *ret);

#endif
