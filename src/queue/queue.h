/* The queue: which deliveries are due, which run, what became of them.
 *
 * It keeps in memory what waits (not what is held or done), one item for each message and
 * destination. It writes attempts and results to the store and asks its owner to deliver; what a
 * reply means is decided by `continuity`. Mail for a primary never expires.
 * Loop thread of core only, unless a comment says otherwise. */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "continuity/continuity.h"
#include "store/store.h"
#include "store/store_reader.h"

/* ---- bytes of a message in memory, shared by those who need them ---------------------------- */

/* The message is bytes[start .. start + n); before it there is room for headers of ours. */
struct queue_body {
    _Atomic uint32_t n_refs;
    uint32_t n, start, cap;
    char bytes[];
};
struct queue_body *queue_body_create(uint32_t headroom, uint32_t n); /* uninitialised, one ref */
/* Append, growing up to `max` message bytes; false at the ceiling. Only before it is shared. */
bool queue_body_add(struct queue_body **b, struct slice bytes, uint32_t max);
void queue_body_fit(struct queue_body **b); /* gives back the room for more; it may move */
void queue_body_prepend(struct queue_body **b, struct slice bytes); /* before it is shared */
struct slice queue_body_slice(const struct queue_body *b);
struct queue_body *queue_body_ref(struct queue_body *b);
void queue_body_unref(struct queue_body **b); /* any thread; takes NULL */
uint64_t queue_body_total(void);              /* bytes of all of them */

/* ---- messages and their rows ---------------------------------------------------------------- */

struct queue_row {
    uint16_t rcpt; /* number in the message */
    uint8_t notify;
    bool is_known;     /* a person or group of ours */
    bool is_told;      /* its sender, that it takes long */
    uint32_t attempts; /* that ended */
    struct slice address, orcpt;
};

struct queue_message;
/* Facts for queue_message_create; slices are copied. */
struct queue_facts {
    uint64_t id, tenant;
    uint8_t direction, ret;
    uint32_t flags, bytes;
    utc_ms received;
    struct slice mail_from, envid, client, helo;
    struct slice merged; /* u16 numbers of rows that go with others: refused when those are */
};
struct queue_message *queue_message_create(const struct queue_facts *facts);
const struct queue_facts *queue_message_facts(const struct queue_message *m);
void queue_message_unref(struct queue_message **m);

/* One delivery that runs: what the courier needs to know. Borrowed for the call. */
struct queue_job {
    uint64_t tag; /* for queue_result */
    const struct queue_facts *facts;
    uint64_t primary;    /* 0: the world */
    struct slice domain; /* of the recipients; for the world */
    const struct queue_row *rows;
    size_t n_rows;
    struct queue_body *body;
};
struct queue_outcome {
    uint16_t rcpt;
    struct continuity_reply reply;
    struct slice enhanced, text;
    utc_ms until; /* QUEUE_DELAYED only: when it is given up; 0: never */
};
struct queue_result {
    uint64_t message; /* the job's */
    struct slice remote;
    bool is_sent; /* the final dot went out */
    bool is_ours; /* it ended through our fault: says nothing about the destination */
    bool is_lost; /* the courier ended with it: due again as soon as there is another */
    bool has_dsn; /* the peer tells senders itself what they asked to hear (RFC 3461) */
    const struct queue_outcome *outcomes;
    size_t n_outcomes;
};
enum queue_news {
    QUEUE_FAILED,    /* these rows come back */
    QUEUE_RELAYED,   /* went to a system that confirms nothing (RFC 3461 section 5.2.2) */
    QUEUE_DELAYED,   /* still wait */
    QUEUE_DELIVERED, /* lie in mailboxes of ours: no delivery, hence not said by the queue */
};
/* Something to say to a sender. Borrowed for the call. */
struct queue_notice {
    enum queue_news news;
    const struct queue_facts *facts;
    const struct queue_row *rows;
    const struct queue_outcome *outcomes; /* as many, in the same order */
    size_t n;
    struct slice remote;
    struct queue_body *body; /* may be NULL */
    void *cookie;            /* for queue_noticed */
};
/* The sender that waited may have its reply now. */
struct queue_answer {
    uint64_t message;
    bool is_refused; /* pass the refusal below through; nothing was kept */
    uint16_t code;
    struct slice enhanced, text;
};

/* `arg` is handed to all callbacks. They run on the loop, and must not call into the queue, except
 * that `evidence` and `drained` may call queue_wake and ask for figures. */
struct queue_options {
    struct store *store;
    uint32_t items_max;       /* rows that may wait */
    uint32_t per_destination; /* deliveries at once */
    uint32_t per_primary;
    uint32_t running_max;       /* deliveries at once, all destinations together */
    uint64_t running_bytes_max; /* of their messages; one delivery may always run */
    void *arg;                  /* of all of these: */
    /* Run fn(fn_arg) on the loop, not within this call; any thread. */
    void (*post)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
    /* Deliver; false: the courier is away. */
    bool (*deliver)(void *arg, const struct queue_job *job);
    /* Fetch the bytes of a message from the store, then queue_fetched with the same cookie. */
    void (*fetch)(void *arg, uint64_t message, void *cookie);
    void (*answer)(void *arg, const struct queue_answer *answer);
    /* Something speaks for or against this primary; it was tried from `begun` on. `text`: its reply
     * with the code, "451 4.3.0 busy", or what happened instead; one line of less than 300 bytes.
     */
    void (*evidence)(void *arg, uint64_t primary, enum continuity_evidence e, utc_ms begun,
                     struct slice text);
    enum continuity_way (*way)(void *arg, uint64_t primary);
    /* Is this recipient's mailbox (or one of this group's) given back before the others? Asked when
     * a row begins to wait in the backlog, and for all of them when giving back begins
     * (queue_drain). NULL: nobody's. */
    bool (*is_essential)(void *arg, struct slice address);
    uint32_t (*ceiling)(void *arg, uint64_t primary); /* 0: per_primary */
    /* Write a notice to the sender; its message's id is returned, and queue_noticed follows, not
     * within this call. 0: none may be sent. */
    uint64_t (*notice)(void *arg, const struct queue_notice *notice);
    /* Rows of a message whose sender wants to hear of delays have waited long: tell it, if it may
     * hear anything. The facts are perhaps not whole yet, and there is no body: read both. */
    void (*delayed)(void *arg, const struct queue_notice *notice);
    /* A person should know. */
    void (*tell)(void *arg, enum event_class class, const char *name, uint64_t tenant,
                 struct slice subject, struct slice text);
    /* Nothing of this message waits here any more: worth a look whether its bytes are needed. */
    void (*done)(void *arg, uint64_t message);
    /* Rows of this message are told to be another way now: in the store soon, or already; see
     * queue_noted. */
    void (*moved)(void *arg, uint64_t message);
    /* Nothing waits for this primary any more. */
    void (*drained)(void *arg, uint64_t primary);
};

struct queue;
struct queue *queue_create(const struct queue_options *o);
/* When the store is closed and nothing posted is left to run. */
void queue_destroy(struct queue **q);

/* ---- new mail --------------------------------------------------------------------------------
 * queue_plan before the message record is written, then queue_accepted or queue_abandoned. */

/* An item of `m` for these rows (copied) to one destination. True: a slot is reserved and the
 * rows' first attempt begins with the record (is_attempting). False: they wait. */
bool queue_plan(struct queue *q, struct queue_message *m, uint64_t primary, struct slice domain,
                const struct queue_row *rows, size_t n_rows, bool is_answer_waiting);
void queue_accepted(struct queue *q, struct queue_message *m, struct queue_body *body);
void queue_abandoned(struct queue *q, struct queue_message *m);
bool queue_is_full(const struct queue *q);
/* New ceilings, see queue_options; what runs goes on. */
void queue_limits(struct queue *q, uint32_t items_max, uint32_t per_destination,
                  uint32_t per_primary);

/* ---- running --------------------------------------------------------------------------------- */

/* At start: a row that waits, from the store's reader, oldest message first. */
void queue_load(struct queue *q, const struct store_row *row, bool is_known);
void queue_start(struct queue *q); /* the courier is there: begin */
void queue_stop(struct queue *q);  /* begin nothing more; what runs may end */
/* The answer to `fetch`: the whole facts (what queue_load could not know) and the bytes, or why
 * not: ERR_CORRUPT and ERR_GONE are doubt about the message, anything else passes. */
struct queue_fetched {
    void *cookie;
    enum err err;
    const struct queue_facts *facts; /* ERR_OK only, like the body */
    struct queue_body *take_body;
    const char *why;
};
void queue_fetched(struct queue *q, const struct queue_fetched *f);
/* The end of a delivery. False: this job is about another message (nonsense; nothing changes). An
 * unknown tag is a late answer and means nothing. */
bool queue_result(struct queue *q, uint64_t tag, const struct queue_result *result);
/* The notice of this cookie is durable, or could not be written. */
void queue_noticed(struct queue *q, void *cookie, enum err err);
uint64_t queue_job_primary(const struct queue *q, uint64_t tag); /* of a running one; 0: none */
/* The sender of this message has its 250: no refusal can be passed through any more. */
void queue_give_up_answer(struct queue *q, uint64_t message);
/* The courier died: every delivery that ran ends without an answer; each may be there twice.
 * Nothing begins until queue_start; then they go at once, but not for ever: what was lost several
 * times in a row may be what ends the courier, and waits its time. */
void queue_courier_lost(struct queue *q);
/* The state of a primary changed, or it answered: look again now. */
void queue_wake(struct queue *q, uint64_t primary);
/* It is well again after a suspicion, or everything is given back: what waits for its own time goes
 * now too, in this order: new mail overtakes, then essential mailboxes, within these the oldest
 * first. Cost: looks at everything that waits for it. */
void queue_drain(struct queue *q, uint64_t primary);
/* It refuses mail, and only a delivery can show that this is over: when nothing else is tried, one
 * of those that wait for their time goes now. */
void queue_try(struct queue *q, uint64_t primary);
/* The time of day may be wrong: nothing expires and nothing is returned to a sender meanwhile. */
void queue_doubt_clock(struct queue *q, bool is_doubted);
void queue_tick(struct queue *q);  /* a few times a second */
void queue_flush(struct queue *q); /* write the results gathered in this turn */
/* Results are written behind what happens. What was told as moved until now stands in records up to
 * this number … */
uint64_t queue_noted(const struct queue *q);
/* … and those up to this one are in the store. One that the disk refused counts, too: what it says
 * is told as moved once more when it is there. Any thread. */
uint64_t queue_written(const struct queue *q);

/* ---- by hand --------------------------------------------------------------------------------- */

/* QUEUE_AGAIN: what a primary took already is given to it once more. */
enum queue_order {
    QUEUE_HOLD,
    QUEUE_RELEASE,
    QUEUE_RETRY,
    QUEUE_RETURN,
    QUEUE_REMOVE,
    QUEUE_AGAIN,
};
/* What a person wants done with one row, as the reader shows it now. Borrowed for the call. */
struct queue_decision {
    enum queue_order what;
    const struct store_row *row;
    bool is_known;                   /* a person or group of ours */
    const struct queue_facts *facts; /* of its message */
    struct queue_body *body;         /* for QUEUE_RETURN; may be NULL */
    struct slice by, why;
};
/* Called once, not within queue_order: the decision is durable at `pos` (0: nothing had to be
 * written), or could not be written and everything is as before. */
struct queue_order_done {
    void (*fn)(void *arg, enum err err, uint64_t pos);
    void *arg;
};
/* Writes the decision with who and why, then does it. Anything but ERR_OK: `done` is not called.
 * ERR_CONFLICT: it is being delivered or decided this moment, or was settled meanwhile;
 * ERR_INVALID: makes no sense for a row in this state; ERR_DENIED: no notice may be sent (the text
 * says it in words). */
enum err queue_order(struct queue *q, const struct queue_decision *decision,
                     struct queue_order_done done, struct errinfo *ei);

/* ---- figures --------------------------------------------------------------------------------- */

struct queue_figures {
    uint64_t n_rows, n_items; /* that wait or are on their way */
    uint64_t n_running, n_resting, bytes_running, bytes_memory;
    uint64_t n_delivered, n_failed_attempts;
    utc_ms oldest; /* arrival of the oldest that waits; 0: none */
};
struct queue_figures queue_figures(const struct queue *q);
uint64_t queue_waiting_for(const struct queue *q, uint64_t primary);
/* What waits for the primaries, one call each that has something here; other ones have nothing.
 * Looks at everything that waits for its time: once a minute, not for each primary. */
struct queue_kept {
    uint64_t primary, n_items, bytes;
    utc_ms oldest; /* arrival of the oldest */
};
void queue_each_kept(const struct queue *q, void (*fn)(void *arg, const struct queue_kept *kept),
                     void *arg);
struct queue_progress {
    uint64_t n_waiting; /* deliveries that wait or run: nearly always one a message */
    uint64_t n_passed;  /* that went well since this program began */
};
/* How far is giving back? */
struct queue_progress queue_progress(const struct queue *q, uint64_t primary);
/* The smallest id of a message that waits for it; 0: none. Cost: walks what waits for its time. */
uint64_t queue_oldest_for(const struct queue *q, uint64_t primary);
/* In words: why does this message wait, and until when. Empty when it does not. */
void queue_explain(const struct queue *q, uint64_t message, struct buf *ret);

#endif
