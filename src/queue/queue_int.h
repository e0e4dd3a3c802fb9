/* Inside the queue: messages, items, destinations. */
#ifndef QUEUE_QUEUE_INT_H
#define QUEUE_QUEUE_INT_H

#include "queue/queue.h"

enum item_place {
    PLACE_PLANNED, /* its message record is not durable yet */
    PLACE_FRESH,   /* first attempt, in the destination's list of new mail */
    PLACE_BACKLOG, /* in the destination's heap, oldest first */
    PLACE_TIMER,   /* waits for its time, in the queue's heap */
    PLACE_ATTEMPT, /* its attempt record is being written */
    PLACE_FETCH,   /* its bytes are being read */
    PLACE_RUNNING, /* the courier has it */
    PLACE_ORDERED, /* a person's decision about it is being written */
};

struct queue_message {
    struct queue_facts facts; /* slices point into `text` */
    struct list items;
    struct list patient; /* in queue->patient, while its sender may have to hear of a delay */
    struct queue_body *body;
    uint32_t n_refs;
    char *text;
    bool is_accepted; /* its record is durable */
};

/* What waits for its turn, in the order in which it is given back. */
enum item_rank { RANK_ESSENTIAL, RANK_OTHER, RANK_N };
struct backlog {
    struct item **heap; /* by message id: the oldest first */
    size_t n, cap;
};

struct destination {
    char *key;           /* "primary:17" (no domain has a colon), or a domain in lower case */
    uint64_t primary;    /* 0: the world */
    struct slice domain; /* in `key` */
    struct list fresh;   /* items */
    struct backlog backlog[RANK_N];
    uint32_t n_running, n_items, n_failures, n_turns;
    uint64_t bytes;    /* of its items' messages */
    uint64_t n_passed; /* deliveries after which nothing of the item was left to do */
    uint64_t refused;  /* hash of who was refused since something was delivered; 0: nobody */
    utc_ms rest_until;
    utc_ms oldest;       /* only while figures are gathered */
    struct list resting; /* node in queue->resting */
    struct list hungry;  /* node in queue->hungry */
};

/* Rows come one by one at start, so an item's texts are pieces. */
struct item_text {
    struct item_text *next;
    char bytes[];
};

struct item {
    struct list in_message;
    struct list node; /* in a destination's fresh list, or a batch */
    struct queue_message *m;
    struct destination *d;
    struct queue_row *rows; /* only those that wait; slices in `text` */
    size_t n_rows, cap_rows;
    struct item_text *text;
    size_t heap_at;      /* place in the backlog or timer heap */
    enum item_rank rank; /* which backlog: PLACE_BACKLOG only */
    utc_ms due;
    utc_ms begun; /* when the slot was taken */
    enum item_place place;
    bool is_answer_waiting; /* a sender waits (cut-through) */
    bool has_slot;          /* counted in d->n_running */
    uint32_t slot_bytes;    /* counted with the slot */
    uint32_t n_lost;        /* times in a row that the courier ended with it */
    uint32_t bytes;         /* counted in d->bytes */
    uint64_t noted_at;      /* queue->n_flushes when its last result was noted */
    char *why;              /* the last reply, for people; NULL: none */
};

/* Somebody waits until a notice is durable. */
struct notice_wait {
    struct list node; /* in queue->notices */
    void (*noticed)(struct queue *q, struct notice_wait *w, enum err err);
    void (*drop)(struct notice_wait *w);
};

struct queue {
    struct queue_options o;
    struct map *messages;     /* id -> struct queue_message with items */
    struct map *destinations; /* key -> struct destination */
    struct map *running;      /* tag -> struct item that the courier has */
    uint64_t last_tag;
    struct item **timers; /* heap by due */
    size_t n_timers, cap_timers;
    struct list resting;   /* destinations whose rest will end */
    struct list hungry;    /* destinations that wait for a slot of all, in turn */
    struct list notices;   /* struct notice_wait */
    struct list patient;   /* messages with NOTIFY=DELAY, oldest first */
    struct list unwritten; /* results that the disk refused; result.c */
    uint32_t n_unwritten;  /* of these, with those that are being written again */
    utc_ms write_again;
    bool is_started;
    bool is_clock_doubted;
    utc_ms ticked;               /* by the wall clock */
    uint64_t n_flushes;          /* 1 + how often results were written */
    _Atomic uint64_t n_answered; /* of these, how often the store has said what became of it */
    struct arena *results_arena;
    struct record_result *results;
    size_t n_results, cap_results;
    struct queue_figures figures;
};

/* Nothing happens to it at this moment. */
static inline bool queue_item_is_at_rest(const struct item *i)
{
    return i->place == PLACE_FRESH || i->place == PLACE_BACKLOG || i->place == PLACE_TIMER;
}

/* ---- tell.c ---- */
#define QUEUE_TOLD_BY "notice of the delay" /* in the log: whose row says that it was told */
void queue_tell_relayed(struct queue *q, struct queue_notice *notice);
void queue_be_patient(struct queue *q, struct queue_message *m, const struct queue_row *rows,
                      size_t n_rows);
void queue_tell_delayed(struct queue *q);

/* ---- queue.c ---- */
enum { ITEM_ROWS_MAX = 1000 }; /* a job carries no more */
struct item *queue_item_create(struct queue *q, struct queue_message *m, uint64_t primary,
                               struct slice domain, const struct queue_row *rows, size_t n_rows);
/* An item of this one row, in no place yet; of a message that may be new here. */
struct item *queue_item_of(struct queue *q, const struct store_row *row,
                           const struct queue_facts *facts, bool is_known);
/* Out of its place first; afterwards the caller settles the destination. */
void queue_item_destroy(struct queue *q, struct item *i);
void queue_item_say(struct item *i, struct slice why);
/* Rests where it belongs: until `i->due`, or in the backlog; together with rows of its message that
 * rest there already. `i` may be gone afterwards. */
void queue_item_rest(struct queue *q, struct item *i);
/* Drops a destination that nobody needs any more, tells when a primary has nothing left. */
void queue_destination_settle(struct queue *q, struct destination *d);
struct destination *queue_destination(struct queue *q, uint64_t primary, struct slice domain);
struct destination *queue_destination_find(const struct queue *q, uint64_t primary,
                                           struct slice domain); /* NULL: none */
void queue_message_fill(struct queue_message *m, const struct queue_facts *f);
void queue_message_keep(struct queue *q, struct queue_message *m);
struct queue_message *queue_message_find(const struct queue *q, uint64_t id);
/* The item that has this row here, and its place in it. NULL when it does not wait. */
struct item *queue_row_find(const struct queue *q, uint64_t message, uint16_t rcpt, size_t *ret_k);

/* ---- heap.c: heaps of items ---- */
typedef bool item_before_fn(const struct item *a, const struct item *b);
bool queue_older(const struct item *a, const struct item *b);
bool queue_sooner(const struct item *a, const struct item *b);
void queue_heap_add(struct item ***heap, size_t *n, size_t *cap, struct item *i,
                    item_before_fn *before);
void queue_heap_del(struct item **heap, size_t *n, struct item *i, item_before_fn *before);

/* ---- run.c ---- */
size_t queue_n_backlog(const struct destination *d);
void queue_backlog_free(struct destination *d);
void queue_place(struct queue *q, struct item *i, enum item_place place);
void queue_unplace(struct queue *q, struct item *i);
void queue_pump(struct queue *q, struct destination *d);
void queue_pump_all(struct queue *q);
void queue_slot_free(struct queue *q, struct item *i);
bool queue_slot_take(struct queue *q, struct item *i);
/* A slot became free: those that waited for one of all go first, then `d`. */
void queue_next(struct queue *q, struct destination *d);
void queue_run(struct queue *q, struct item *i); /* its attempt is durable */
void queue_rest(struct queue *q, struct destination *d);

/* ---- result.c ---- */
/* The slices of the notice are filled in; the wait is the caller's until noticed or dropped. Its
 * id; 0: none may be sent. */
uint64_t queue_notice(struct queue *q, struct queue_notice *notice, struct notice_wait *w);
/* One row's fate onto the list that queue_flush writes. Slices are copied. */
void queue_note_result(struct queue *q, const struct record_result *r);
void queue_write_again(struct queue *q); /* each tick: what the disk refused, once it is time */
void queue_forget_unwritten(struct queue *q);

#endif
