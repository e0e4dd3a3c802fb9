/* Inside the desk: primaries as we experience them. */
#ifndef DESK_DESK_STATE_INT_H
#define DESK_DESK_STATE_INT_H

#include "desk/desk_int.h"

/* A primary as we experience it. */
struct desk_primary {
    uint64_t id;
    struct continuity_primary p;
    char last_text[300];
    char aspect_text[ASPECT_N][200];
    char software[120];
    utc_ms last_probe, cert_until;
    uint32_t probe_ms, size_max, abilities;
    mono_us next_try; /* of a delivery, while it refuses mail */
    struct desk_turn {
        mono_us next;    /* ask again then */
        mono_us until;   /* an answer that comes later does not come */
        bool is_running; /* asked, no answer yet */
    } turn[ASPECT_N];    /* the probe, the canary, the log-in */
    struct desk_run {
        enum continuity_evidence kind;
        uint32_t n; /* 0: none */
        utc_ms first, last;
        char text[200];        /* of the last that was not good */
    } seen[ASPECT_N];          /* not yet written down */
    bool has_worked[ASPECT_N]; /* canary, log-in: once, so that failing means something */
    struct list waiters;       /* struct probe_waiter: people who asked for a probe */
};

/* ---- desk_state.c: primaries ---- */
typedef void desk_done(void *cookie, enum err err, const char *why_not);
struct desk_primary *desk_primary(struct desk *d, uint64_t id);
struct continuity_plan desk_plan_of(const struct desk *d, uint64_t primary);
/* One piece of evidence, decided at once. `done` (may be NULL) hears when it is durable. */
void desk_step(struct desk *d, struct desk_primary *p, enum continuity_evidence e, struct slice why,
               struct slice by, desk_done *done, void *cookie);
void desk_step_all(struct desk *d, enum continuity_evidence e, struct slice why, struct slice by);
void desk_evidence(void *arg, uint64_t primary, enum continuity_evidence e, utc_ms begun,
                   struct slice text);
enum continuity_way desk_way(void *arg, uint64_t primary);
uint32_t desk_ceiling(void *arg, uint64_t primary);
void desk_drained(void *arg, uint64_t primary);
void desk_has_worked(struct desk *d, struct desk_primary *p, enum continuity_aspect aspect);
void desk_state_tick(struct desk *d, mono_us now);
void desk_decide(void *arg, uint64_t primary, enum continuity_evidence what, struct slice by,
                 struct slice why, desk_done *done, void *cookie);
void desk_maintain(void *arg, uint64_t primary, utc_ms from, utc_ms until, struct slice by,
                   struct slice why, desk_done *done, void *cookie);
bool desk_state(void *arg, uint64_t primary, struct admin_primary_state *ret);
void desk_state_load(struct desk *d, const struct record_object *o);
void desk_state_clear(struct desk *d); /* memory only */

/* One look into a mailbox; its answer comes with the tag. */
struct desk_look {
    const struct directory_primary *primary;
    const struct directory_access *access;
    bool is_canary; /* else a log-in */
    bool is_master; /* as the master user */
    struct slice from;
    uint64_t tag;
    uint32_t timeout_ms;
};
bool desk_look_send(struct desk *d, const struct desk_look *l);

/* ---- desk_check.c: does the way back work? ---- */
#define DESK_CHECK_TAG (1ULL << 63) /* no object has such an id */
void desk_check(void *arg, uint64_t primary, struct slice from,
                void (*done)(void *cookie, enum err err, const struct admin_check rows[CHECK_N]),
                void *cookie);
/* False: nonsense. */
bool desk_check_seen(struct desk *d, uint64_t tag, const struct ipc_mailbox_seen *s);
void desk_check_tick(struct desk *d, mono_us now);
void desk_check_lost(struct desk *d); /* our probing process ended: its answers do not come */
void desk_check_clear(struct desk *d);

/* ---- desk_server.c: how mailboxes over there are opened ---- */
enum { DESK_HOSTS_MAX = 16 };
uint32_t desk_hosts(const struct dir_host *from, uint32_t n, struct ipc_host to[DESK_HOSTS_MAX]);
/* The parts of an ipc_server; not to be copied, they point at each other, and borrow from the
 * directory. */
struct desk_server {
    struct ipc_server server;
    struct ipc_host hosts[DESK_HOSTS_MAX];
    struct ipc_token_source source;
    char user[801];
};
/* The test mailbox, by its own log-in. */
void desk_server_test(struct desk *d, const struct directory_access *a, struct desk_server *ret);
/* Any mailbox, by the log-in for everybody. False: there is none, or it is longer than any server
 * takes. */
bool desk_server_all(struct desk *d, const struct directory_access *a, struct slice mailbox,
                     struct desk_server *ret);
/* That person's, by a log-in of their own, else by the one for everybody. False: as before. */
bool desk_server_of(struct desk *d, uint64_t primary, const struct directory_person *p,
                    struct desk_server *ret);
/* Is there a log-in for it? Cheap. */
bool desk_server_is_known(struct desk *d, uint64_t primary, const struct directory_person *p);
#define DESK_TOKEN_GIVER SLICE("token endpoint") /* who writes such an object */
/* The liaison was given another refresh token. False: nonsense. */
bool desk_server_token(struct desk *d, struct net_frame *f);

/* ---- desk_change.c ---- */
/* As desk_put, where what is put is made of what is there: it is made when its turn comes, so that
 * a change that was asked for before is in it. `make` packs good objects (record_objects_pack), or
 * nothing: there is nothing to change any more. */
typedef void desk_make_fn(struct desk *d, void *cookie, struct buf *objects);
void desk_put_made(struct desk *d, desk_make_fn *make,
                   void (*done)(void *cookie, enum err err, const char *why), void *cookie);

/* ---- desk_again.c: what a primary has lost is given again ---- */
#define DESK_AGAIN_TAG (1ULL << 62)
void desk_again(void *arg, const struct admin_again_order *o,
                void (*done)(void *cookie, enum err err, const char *why), void *cookie);
/* It ends where it is; done when that is durable. */
void desk_again_stop(void *arg, const struct admin_again_order *o,
                     void (*done)(void *cookie, enum err err, const char *why), void *cookie);
void desk_again_load(struct desk *d, const struct record_object *o); /* at start: it goes on */
bool desk_again_state(void *arg, uint64_t primary, struct admin_again *ret);
/* False: nonsense. */
bool desk_again_told(struct desk *d, uint64_t tag, const struct ipc_mailbox_has_told *t);
void desk_again_lost(struct desk *d); /* our probing process ended: its answer does not come */
void desk_again_tick(struct desk *d, mono_us now);
void desk_again_clear(struct desk *d);

/* ---- desk_mailback.c: what people did here goes into the primary's mailboxes ---- */
void desk_mailback(void *arg, const struct admin_mailback_order *o,
                   void (*done)(void *cookie, enum err err, const struct admin_mailback *told,
                                const char *why),
                   void *cookie);
void desk_mailback_create(struct desk *d); /* before anything is loaded */
/* Giving back to this primary began then: what is counted is of this time. is_new: people have not
 * heard of its end. */
void desk_mailback_round(struct desk *d, uint64_t primary, utc_ms begun, bool is_new);
/* A person changed something in this account: worth a look soon. Loop. */
void desk_mailback_soon(struct desk *d, uint64_t account);
/* Somebody said anew how mailboxes are opened: they are tried at once. */
void desk_mailback_apply(struct desk *d, const struct record_object *o);
void desk_mailback_tick(struct desk *d, mono_us now);
/* False: nonsense. */
bool desk_mailback_did(struct desk *d, struct net_frame *f);
void desk_mailback_lost(struct desk *d); /* the liaison ended: its answers do not come */
/* At start: how far each mailbox is. */
enum err desk_mailback_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
void desk_mailback_clear(struct desk *d);
/* desk_append.c: a delivery that goes straight into the mailboxes. False: it goes by SMTP. */
bool desk_append_deliver(struct desk *d, const struct queue_job *job);

/* ---- desk_evidence.c: what was seen is written down ---- */
void desk_evidence_note(struct desk *d, struct desk_primary *p, enum continuity_evidence e,
                        struct slice text, utc_ms now);
void desk_evidence_flush(struct desk *d, bool is_all);

/* ---- desk_probe.c: looking at primaries, through the liaison ---- */
void desk_probe(void *arg, uint64_t primary,
                void (*done)(void *cookie, enum err err, const char *text), void *cookie);
void desk_probe_tick(struct desk *d, struct desk_primary *p, mono_us now);
void desk_probe_removed(struct desk *d); /* who waits for primaries that are no more is told */
void desk_probe_clear(struct desk_primary *p);
void desk_control_tick(struct desk *d, mono_us now); /* are we blind? */
void desk_control_soon(struct desk *d);
void desk_liaison_frame(void *arg, struct net_link *link, struct net_frame *f);
void desk_liaison_closed(void *arg, struct net_link *link);

/* ---- desk_clock.c: a clock that jumps ---- */
/* Before anything is decided by the time of day. */
void desk_clock_look(struct desk *d);
bool desk_clock_is_doubted(void *arg, struct slice *ret_text);
void desk_clock_confirm(struct desk *d, struct slice by, struct slice why);
void desk_clock_start(struct desk *d, utc_ms last_seen); /* of the log; 0: it is new */

/* ---- desk_episode.c: an emergency from its first failure to its end ---- */
/* Each decision about a primary passes here, once, after it was made: `p` is as it is now, `old`
 * its state before (the same: only a flag changed). */
void desk_episode_note(struct desk *d, const struct desk_primary *p, enum continuity_state old,
                       struct slice by, struct slice why);
/* At start: one that is open goes on. */
void desk_episode_load(struct desk *d, const struct record_object *o);
/* At start, when states and queue are loaded: did the program end before the last decision was
 * noted? */
void desk_episode_check(struct desk *d, const struct record_object *state);
void desk_episode_tick(struct desk *d, mono_us now);
/* How far is giving back? False: nothing is being given back. */
bool desk_progress(void *arg, uint64_t primary, struct admin_progress *ret);
void desk_episodes_clear(struct desk *d); /* memory only */

#endif
