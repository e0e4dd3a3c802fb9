/* Inside the desk: giving again what a primary has lost. */
#ifndef DESK_DESK_AGAIN_INT_H
#define DESK_DESK_AGAIN_INT_H

#include "desk/desk_state_int.h"

enum { AGAIN_ID_MAX = 1000 /* as in ipc_message_id, with its brackets */ };

/* A delivery that the primary confirmed. */
struct again_row {
    uint64_t message, person;
    uint16_t rcpt;
    uint8_t has; /* enum ipc_has, when it was looked for */
    bool is_dropped, is_lost;
    bool is_doubtful;         /* given by this order already, before the program ended? */
    struct slice address, id; /* of the recipient; Message-ID with its brackets, or empty */
};

enum again_phase {
    AGAIN_OVER,
    AGAIN_KEEPING, /* the order is being written */
    AGAIN_WAITING_TO_READ,
    AGAIN_READING,         /* a worker has the page */
    AGAIN_WAITING_TO_LOOK, /* until then */
    AGAIN_LOOKING,         /* asked; after `until` no answer comes */
    AGAIN_CHECKING,        /* a worker has the portion */
    AGAIN_ORDERING,        /* a decision is being written */
    AGAIN_WAITING_TO_ORDER,
};

struct again_who {
    char by[201], why[301];
};

struct again {
    struct worker_job job;
    struct desk *desk;
    enum again_phase phase;
    mono_us until;
    uint64_t primary;
    struct again_who who; /* a worker may read it: not written while one has the order */
    utc_ms begun;
    struct admin_again told;
    uint32_t n_written; /* writes begun: only the last one counts */
    bool is_untold;     /* it ended, and that is not durable yet */
    /* Who ordered it, or who stops it, waits for that to be durable. */
    void (*done)(void *cookie, enum err err, const char *why);
    void *cookie;
    bool is_stopped; /* by a person: it ends where it is */
    struct again_who stopper;
    /* the page: deliveries of some messages, in order of their mailboxes */
    struct arena *arena; /* of its rows */
    struct again_row *rows;
    size_t n, cap;
    uint64_t after, last; /* messages up to this one are done; the page ends with that one */
    bool has_more;
    bool is_resumed;    /* the page was begun before this program was */
    uint64_t n_counted; /* with the first page: of all pages */
    uint64_t n_given;   /* of a page that is resumed: before */
    enum err err;
    /* of it, the portion that is looked for: one mailbox */
    size_t first, end, ordering;
    uint64_t tag;       /* of the question: no other answer counts */
    unsigned n_tries;   /* that failed: of this question or this decision */
    unsigned n_shut;    /* mailboxes in a row that could not be opened */
    mono_us link_until; /* 0: the process that looks is there */
};

/* ---- desk_again.c ---- */
struct again *desk_again_of(struct desk *d, uint64_t primary); /* made when there is none */
/* The last desk_again_keep has its answer. */
void desk_again_kept(struct again *a, enum err err);

/* ---- desk_again_keep.c: over restarts ---- */
void desk_again_keep(struct again *a);

/* ---- desk_again_rows.c: which deliveries ---- */
/* Reads the page behind `after` into memory; to be called when it runs on a worker. */
void desk_again_gather(struct worker_job *job, struct store_reader *reader);
/* What is said to be absent, is it certain? Sets `has` of the portion's rows and is_dropped. */
void desk_again_check(struct worker_job *job, struct store_reader *reader);
void desk_again_forget(struct again *a); /* the page */

#endif
