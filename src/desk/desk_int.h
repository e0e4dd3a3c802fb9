/* Inside the desk. */
#ifndef DESK_DESK_INT_H
#define DESK_DESK_INT_H

#include "desk/desk.h"
#include "desk/desk_alert_int.h"
#include "desk/desk_keep_int.h"
#include "desk/desk_limit_int.h"

#include "admin/admin.h"
#include "base/log.h"
#include "base/refuse.h"
#include "directory/directory.h"
#include "queue/queue.h"
#include "sign/sign.h"
#include "store/store.h"
#include "store/store_reader.h"

#include <pthread.h>

enum { GATES_MAX = 8, DOORS_MAX = 8, FIGURES_MAX = 256, DESK_LINK_BYTES = 1 << 30 };

struct gate {
    struct desk *desk;
    struct net_link *link; /* NULL while it is away */
    unsigned number;
    uint32_t turn;       /* of the link: answers to an older one are not sent */
    struct map *uploads; /* tag -> struct queue_body being filled */
    uint64_t bytes_uploading;
    struct map *told; /* ids of messages whose 250 is on its way */
};

/* Another process that core talks with. */
struct peer {
    struct desk *desk;
    struct net_link *link;
    enum ipc_role role;
    unsigned number;
    uint32_t turn;       /* of the link: answers to an older one are not sent */
    struct map *uploads; /* door: tag -> struct buf of a request's body */
    size_t bytes_uploading;
    unsigned n_requests; /* door: that have no answer yet */
};

/* One message on its way from a gate (or from ourselves) into the store. */
struct accept {
    struct list node; /* in desk->pending while the sender waits for the primary */
    struct desk *desk;
    struct gate *gate; /* NULL: written by ourselves */
    uint32_t turn;
    uint64_t tag, id;
    struct queue_message *m;
    struct queue_body *body;
    struct arena *arena; /* of the record */
    struct record_message *record;
    struct buf facts;
    struct store_change change;
    struct store_change *chunks;
    size_t n_chunks, n_chunks_left;
    bool has_chunks; /* at least one is in the log */
    enum err err;
    bool is_waiting;       /* cut-through: the reply depends on the primary's */
    struct put_place *put; /* is_waiting: out of these again when it is refused */
    uint32_t n_put;
    mono_us deadline;
    void (*done)(void *arg, enum err err); /* of ourselves */
    void *done_arg;
};

/* A message that is being judged and laid out. */
struct taking {
    struct desk *d;
    const struct ipc_take *take;
    struct accept *a;
    struct directory_route *routes; /* one for each recipient */
    uint64_t tenant, primary;
    bool is_inward, is_cut_through;
    uint32_t n_ours; /* times it was here already */
};

struct figure {
    char process[24], name[80];
    uint64_t value;
};

struct worker_job {
    struct list node;
    void (*work)(struct worker_job *job, struct store_reader *reader); /* worker thread */
    void (*finish)(struct worker_job *job);                            /* loop */
    struct desk *desk;
};

struct desk {
    struct desk_options o;
    struct store *store;
    struct directory *directory;
    struct queue *queue;
    struct admin *admin;
    struct gate gates[GATES_MAX];
    struct peer courier, liaison, resolver, doors[DOORS_MAX];
    _Atomic uint64_t last_id;
    struct map *accounts;             /* person -> struct desk_account: desk_account_int.h */
    struct map *primaries;            /* id -> struct desk_primary */
    struct map *agains;               /* primary -> struct again: desk_again.c */
    struct desk_mailbacks *mailbacks; /* desk_mailback.c */
    struct map *checks;               /* tag -> struct desk_check: people who asked for one */
    struct map *group_ranks; /* group -> whether an essential person is in it: desk_gate.c */
    uint64_t group_ranks_of; /* generation of the directory */
    struct map *silences;    /* tenant -> struct silence: desk_silence.c */
    mono_us next_silence;
    struct list episodes; /* struct desk_episode: open or not yet written */
    struct list pending;  /* struct accept: senders that wait for a primary */
    struct map *waiting;  /* message id -> struct accept of the same */
    struct record_id *answered, *unanswered;
    uint32_t n_answered, n_unanswered;
    struct net_late uncork; /* end of turn: what was submitted in it goes into one batch */
    bool is_corked;
    struct net_late late; /* end of turn: write what was gathered */
    struct net_timer *tick;
    unsigned n_ticks;
    uint8_t trace_key[SIGN_TRACE_KEY];
    bool has_trace_key;
    struct admin_refusal refusals[REFUSE_N];
    char refusal_who[REFUSE_N][61];
    struct desk_value values[REFUSE_N];
    struct desk_high highs[REFUSE_N];
    struct figure figures[FIGURES_MAX];
    size_t n_figures;
    struct ipc_process processes[64];
    size_t n_processes;
    uint32_t closed_for;      /* 1 + refuse_id; 0: open */
    struct desk_watch *watch; /* desk_watch_int.h */
    bool is_stopping;
    mono_us stop_at;
    void (*stopped)(void *arg);
    void *stopped_arg;
    utc_ms started;
    struct {
        mono_us next, until; /* as struct desk_turn */
        bool is_running, is_blind, is_resolver_bad;
        uint32_t n, n_bad;
        char why[200];
    } control;
    struct {
        utc_ms utc;     /* both clocks … */
        mono_us steady; /* … at the last look; this one does not stop when the machine sleeps */
        bool is_doubted;
        char text[300];
    } clock;
    uint64_t n_accepting; /* messages not yet durable */
    struct list events;   /* that the disk refused: written again */
    size_t n_events;
    struct list changes; /* struct change of desk_change.c, one at a time */
    bool is_changing;
    struct desk_alerts *alerts;
    struct desk_hooks *hooks;
    struct desk_parses *parses;       /* desk_parse.c */
    struct desk_jmap *jmap;           /* desk_jmap.c */
    struct finder *finder;            /* desk_find.c */
    struct desk_logins *logins;       /* desk_login_int.h */
    struct desk_submits *submits;     /* desk_submit.c */
    struct desk_fates *fates;         /* desk_submit_fate.c */
    struct desk_vacations *vacations; /* desk_vacation.c */
    struct desk_tells *tells;         /* desk_jmap_tell.c */
    struct desk_pushes *pushes;       /* desk_push.c */
    struct map *notices;              /* sender -> how many notices since then */
    utc_ms notices_since;
    bool is_retaining, is_purging;
    mono_us next_retention, next_purge;
    bool is_forgetting;
    mono_us next_forgetting;
    struct desk_keep keep;
    struct record_id *loose;       /* messages that failed behind their chunks */
    uint32_t n_loose, n_giving_up; /* the first so many are in a record on its way */
    uint64_t n_done;               /* messages that became final since the last look */
    /* workers */
    pthread_mutex_t work_lock;
    pthread_cond_t work_cond;
    struct list work;  /* under work_lock */
    bool is_work_over; /* under work_lock */
    pthread_t workers[4];
    size_t n_workers;
    size_t n_jobs; /* given to workers, not finished */
};

/* ---- desk.c ---- */
uint64_t desk_next_id(struct desk *d);
void desk_turn(struct desk *d); /* something arrived: gather what this turn submits */
void desk_late(struct desk *d); /* write answered, results … at the end of this turn */
bool desk_send(struct net_link *link, enum ipc_type type, uint64_t tag, struct buf *payload);
void desk_peer_nonsense(struct desk *d, enum ipc_role role, unsigned number, const char *why);
void desk_post(struct desk *d, void (*fn)(void *arg), void *arg); /* any thread */
void desk_send_facts(struct desk *d);

/* ---- desk_accept.c ---- */
/* What a gate says, with copies in the arena. */
void desk_copy_fields(struct arena *arena, const struct ipc_fields *f, struct record_fields *ret);

/* ---- desk_event.c: what people should know later ---- */
void desk_event(struct desk *d, enum event_class class, const char *name, uint64_t tenant,
                struct slice subject, struct slice text, struct slice by);
void desk_events_again(struct desk *d); /* those that the disk refused */
void desk_events_clear(struct desk *d);

/* ---- desk_gate.c: what gates ask ---- */
void desk_gate_frame(void *arg, struct net_link *link, struct net_frame *f);
void desk_gate_closed(void *arg, struct net_link *link);
void desk_gate_lost(struct gate *g);
void desk_gate_clear(struct gate *g); /* uploads and what it was told: forgotten */
void desk_write_answered(struct desk *d);
void desk_note_answer(struct desk *d, uint64_t message, bool is_written);
enum refuse_id desk_judge_rcpt(struct desk *d, struct slice address, uint64_t from_primary,
                               struct directory_route *route);
/* Is the recipient of this row a person or a group of ours? */
bool desk_is_known(struct desk *d, const struct store_row *row);
bool desk_is_essential(void *arg, struct slice address); /* given back before the others? */
void desk_queue_answer(void *arg, const struct queue_answer *a);
void desk_pending_tick(struct desk *d, mono_us now);

/* ---- desk_judge.c: may this message be taken, and with which headers ---- */
enum refuse_id desk_judge(struct taking *t);
/* Puts ours before the body; returns how many bytes. */
uint32_t desk_add_prefix(struct taking *t, struct queue_body **body);

/* ---- desk_rows.c: rows and deliveries of a message ---- */
void desk_fill_rows(struct taking *t, struct record_message *m);
void desk_plan(struct taking *t, struct record_message *m);
/* When the record goes to the store: numbers in the accounts where its rows lie. */
void desk_assign_places(struct desk *d, struct record_message *m);
struct slice desk_domain_of(struct slice address);

/* ---- desk_accept.c: a message becomes durable ---- */
void desk_take(struct gate *g, uint64_t tag, const struct ipc_take *take,
               struct queue_body *take_body);
void desk_tell(struct accept *a, uint32_t refusal, const struct queue_answer *answer);
/* A message of ours (a notice, an alert). Borrowed for the call. */
struct desk_own {
    uint64_t id; /* from desk_next_id; 0: the next one */
    uint64_t tenant;
    struct slice to, raw; /* raw: the whole message */
    struct slice subject, from_name, from_address, message_id, references; /* as lists show it */
    bool is_utf8;
    void (*done)(void *arg, enum err err); /* may be NULL; not within the call */
    void *arg;
};
void desk_accept_own(struct desk *d, const struct desk_own *own);

/* ---- desk_out.c: courier, bodies ---- */
void desk_courier_frame(void *arg, struct net_link *link, struct net_frame *f);
void desk_courier_closed(void *arg, struct net_link *link);
bool desk_deliver(void *arg, const struct queue_job *job);
void desk_fetch(void *arg, uint64_t message, void *cookie);
/* Whole facts and bytes of a stored message, both in `a` or the caller's. Worker thread. */
enum err desk_read_message(struct desk *d, struct store_reader *reader, uint64_t message,
                           struct arena *a, struct queue_facts *ret, struct errinfo *ei);
enum err desk_read_body(struct desk *d, struct store_reader *reader, uint64_t message,
                        struct queue_body **ret, struct errinfo *ei);

/* ---- desk_notice.c: to senders ---- */
uint64_t desk_notice(void *arg, const struct queue_notice *notice);
void desk_delayed(void *arg, const struct queue_notice *notice);
/* Tell its sender, if it asked (NOTIFY=SUCCESS) and may hear anything, which of its recipients have
 * it in a mailbox of ours. The message is durable. */
void desk_delivered(struct desk *d, const struct record_message *m, struct queue_body *body);
void desk_notices_forget(struct desk *d); /* who had how many */

/* ---- desk_silence.c: hours without the usual mail ---- */
void desk_silence_count(struct desk *d, uint64_t tenant, bool is_inward); /* a message was taken */
void desk_silence_load(struct desk *d, const struct record_object *o);
void desk_silence_tick(struct desk *d, mono_us now);
void desk_silence_clear(struct desk *d);

/* ---- desk_change.c: changes of the administration ---- */
void desk_put(void *arg, const struct record_objects *objects,
              const struct record_mailboxes *mailboxes,
              void (*done)(void *cookie, enum err err, const char *why), void *cookie);
void desk_order(void *arg, enum queue_order what, uint64_t message, uint16_t rcpt, struct slice by,
                struct slice why, void (*done)(void *cookie, enum err err, const char *why_not),
                void *cookie);
void desk_change_clear(struct desk *d); /* what waits is forgotten */

/* ---- desk_door.c: requests ---- */
void desk_door_frame(void *arg, struct net_link *link, struct net_frame *f);
void desk_door_closed(void *arg, struct net_link *link);
void desk_host(struct desk *d, struct admin_host *ret);

/* ---- desk_work.c: worker threads ---- */
void desk_workers_start(struct desk *d);
void desk_workers_stop(struct desk *d);
void desk_work(struct desk *d, struct worker_job *job);
/* What is durable at this moment is in the index afterwards. False: it takes very long, or the
 * index cannot be written. Worker threads. */
bool desk_catch_up(struct desk *d);
/* Long work is no use any more: nobody takes its result. Worker threads. */
bool desk_is_ending(struct desk *d);

#endif
