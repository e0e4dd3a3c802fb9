/* Inside the desk: push subscriptions (RFC 8620 section 7.2): what is to be told to whom, and when.
 */
#ifndef DESK_DESK_PUSH_INT_H
#define DESK_DESK_PUSH_INT_H

#include "desk/desk_int.h"

#include "jmap/jmap.h"
#include "push/push.h"

/* One subscription. Loop only. */
struct desk_push {
    struct list of_person;
    struct list of_due; /* while there is something to push */
    uint64_t person, id, login;
    utc_ms made, expires; /* expires 0: with its log-in */
    char *url, *code;     /* terminated; wiped at the end, as keys */
    struct push_keys keys;
    bool has_keys;
    uint32_t types;     /* bits of jmap_pushed_type */
    bool is_verified;   /* the client has confirmed the code */
    bool is_code_due;   /* and it has not been sent yet */
    unsigned n_codes;   /* tries of that */
    bool is_dirty;      /* its account changed since the last push was begun */
    bool is_busy;       /* a worker or the liaison has one of it */
    bool is_ending;     /* its tombstone is being written */
    const char *over;   /* it has to end, and why; NULL: it lives */
    bool is_unhurried;  /* dirty only because we began: no change has come yet */
    mono_us not_before; /* of the next one */
    struct push_pace pace;
    struct jmap_states told; /* what the client knows */
};

/* ---- desk_push.c ---- */
void desk_pushes_create(struct desk *d);
enum err desk_pushes_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
void desk_pushes_destroy(struct desk *d);
void desk_pushes_tick(struct desk *d, mono_us now);
/* As desk_jmap_changed, which calls this. Loop. */
void desk_push_changed(struct desk *d, uint64_t person);
/* A log-in of hers ended: what belongs to it goes. Loop. */
void desk_push_log_in_ended(struct desk *d, uint64_t person);
bool desk_push_is_timed(struct desk *d, uint64_t person, uint64_t login); /* ends by itself */
struct desk_push *desk_push_find(struct desk *d, uint64_t id);
struct desk_push_sends *desk_push_sends(const struct desk *d);
/* The subscription goes, durably; nothing more is pushed. */
void desk_push_end(struct desk *d, struct desk_push *p, const char *why);
/* Its turn is over; what is left of it waits until then. */
void desk_push_wait(struct desk *d, struct desk_push *p, mono_us wait);

/* For jmap_host (jmap/jmap.h says what they promise); any thread. */
enum err desk_may_subscribe(struct desk *d, const struct jmap_caller *who, size_t n_has,
                            struct errinfo *ei);
void desk_subscribed(struct desk *d, uint64_t person, uint64_t id, struct slice body,
                     const struct jmap_states *now);

/* ---- desk_push_send.c ---- */
struct desk_push_sends *desk_push_sends_create(void);
void desk_push_sends_destroy(struct desk_push_sends **s);
bool desk_push_has_room(const struct desk *d); /* for one more at once */
void desk_push_send(struct desk *d, struct desk_push *p);
bool desk_push_took(struct desk *d, const struct net_frame *f); /* `pushed`; false: nonsense */
void desk_push_liaison_lost(struct desk *d);
void desk_push_sends_tick(struct desk *d, mono_us now); /* answers that do not come */

#endif
