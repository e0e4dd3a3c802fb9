/* Inside the desk: what people did in their continuity mailboxes goes into the primary's.
 *
 * Box by box: a worker looks what an account changed since it was given back last
 * (desk_mailback_look.c), the liaison makes the primary's mailbox so, and what became of each
 * change is written down as an item of the account (desk_mailback_keep.c). Which box is next, and
 * whether anything may go at all, is decided on the loop (desk_mailback.c); one batch on its way is
 * a `giving` (desk_mailback_give.c). The liaison looks for each message before it changes or
 * appends it, so that everything may be asked again after a death of any process. */
#ifndef DESK_DESK_MAILBACK_INT_H
#define DESK_DESK_MAILBACK_INT_H

#include "desk/desk_account_int.h"
#include "desk/desk_state_int.h"

#include "continuity/mailback.h"

enum {
    MAILBACK_BYTES = 16 << 20, /* of a batch's messages; one may be larger … */
    MAILBACK_PACKED = 1 << 20, /* … and of what is said about them */
    MAILBACK_SHOWN = 1000,     /* changes that a look tells */
    MAILBACK_EXAMINED = 20000, /* emails that a batch looks at */
    MAILBACK_TRIES = 10,     /* of a change that has no sure answer, or no message over there yet */
    MAILBACK_SOON_TRIES = 3, /* the first ones of these come a few seconds after each other */
    MAILBACK_WORDS = 200,    /* bytes of a reason */
    MAILBACK_ITEM = 1,       /* id of the item */
};

/* Everything up to `modseq` is done, and of what has `part_modseq` that of messages up to
 * `part_message`: with a mailbox many emails change at one number. */
struct mailback_mark {
    uint64_t modseq, part_modseq, part_message;
};

#define DESK_NO_LOGIN                                                                              \
    "nobody said how this mailbox is opened: staffetta access set --master-user --master-secret, " \
    "or staffetta mailbox login set"

/* A mailbox, as far as it is given back. */
struct mailback_box {
    uint64_t person;
    struct mailback_mark given;  /* as in the item */
    struct mailback_mark looked; /* not behind `given`: what merely came is not written down */
    utc_ms round, time;
    uint64_t n_done, n_already, n_doubtful, n_unlisted;
    struct mailback_left {
        uint64_t message;
        uint8_t why, n_tries;
        bool is_tried; /* in this turn */
        char text[161];
    } * left; /* on the heap; NULL: none */
    uint32_t n_left;
    char text[MAILBACK_WORDS + 1];
    bool is_unkept;     /* memory says more than the disk */
    bool is_wanted;     /* a person wants all of `left` tried again */
    bool is_going_on;   /* the next batch belongs to the same turn */
    uint32_t n_settled; /* batches that changed what is above */
    mono_us next;       /* not before */
    unsigned n_failed;
};

/* It has still to go: by itself, without a person. */
static inline bool mailback_is_open(uint8_t why)
{
    return why == MAILBACK_WAITS || why == MAILBACK_LATER;
}

enum mailback_verdict {
    MAILBACK_NOTHING, /* no more to do; only told for what was left */
    MAILBACK_DO,
    MAILBACK_HOLD, /* to be left, for `why` */
};
/* One message that people changed. In the giving's arena. */
struct mailback_change {
    uint64_t message, modseq;
    enum mailback_verdict verdict;
    enum mailback_why why;
    bool was_left;
    uint8_t n_tries;
    struct ipc_mailbox_op op;
    struct mailback_given now; /* flags as they are here */
    bool has_too_many_flags;   /* not all are in `now` */
    bool was_given;            /* there is an ITEM_GIVEN … */
    bool is_forgotten;         /* … of a message that a rule of ours took away */
    bool is_gone;
    uint64_t box;            /* where it shall be; 0: where it is */
    struct queue_body *body; /* of an APPEND that goes */
    struct slice subject;
    /* what became of it */
    uint8_t result; /* enum ipc_op_result_kind */
    struct slice folder, text;
};

enum giving_what { GIVING_CHANGES, GIVING_DRY, GIVING_LOOK };
enum giving_phase {
    GIVING_READING, /* a worker looks */
    GIVING_NOTING,  /* what goes out is being written */
    GIVING_ASKING,  /* asked; after `until` no answer comes */
    GIVING_KEEPING, /* what became of it is being written */
};
/* A batch of one mailbox on its way. */
struct giving {
    struct worker_job job;
    struct desk *desk;
    enum giving_what what;
    enum giving_phase phase;
    mono_us until;
    uint64_t tag, person, primary;
    void (*over)(struct giving *g, const char *failed); /* NULL: it went well; frees it */
    struct admin_mailback_waiter *waiter;               /* who asked */
    uint32_t n_settled;                                 /* of the box when it began */
    /* asked of the worker */
    struct mailback_mark since;
    bool is_all_left; /* look also at what is left for good */
    struct mailback_left left[MAILBACK_LEFT_MAX];
    uint32_t n_left;
    /* its answer */
    struct arena *arena;
    struct mailback_change *changes; /* on the heap */
    size_t n, cap;
    struct mailback_mark upto; /* everything up to here was looked at */
    bool has_more;
    uint32_t n_ops, n_appends;
    size_t bytes, packed;
    enum err err;
    struct errinfo ei;
    /* the liaison's */
    uint8_t step;
    bool is_ours;
    char text[MAILBACK_WORDS + 1];
};

/* One primary's turn. */
struct mailback_line {
    uint64_t primary;
    struct giving *now;
    uint64_t *todo; /* people, the essential ones first */
    size_t n_todo, cap_todo, at;
    mono_us next, next_walk;
    unsigned n_failed; /* batches in a row */
    utc_ms round;      /* when giving back began; 0: never */
    utc_ms told;       /* the last one that people were told of */
    uint64_t n_given;  /* changes in this round */
};

struct desk_mailbacks {
    struct map *lines;   /* primary -> struct mailback_line */
    struct map *boxes;   /* person -> struct mailback_box */
    struct map *givings; /* tag -> struct giving */
    struct map *appends; /* primary -> struct append_line: desk_append.c */
    mono_us lost;        /* when the liaison went away last, or we began */
    unsigned n_asked;    /* givings that people wait for */
};

/* ---- desk_mailback.c ---- */
struct mailback_box *desk_mailback_box(struct desk *d,
                                       uint64_t person); /* made when there is none */
uint64_t desk_mailback_primary_of(struct desk *d, const struct directory_person *p); /* 0: hosted */
/* What of an account has still to be given back. Borrowed until the loop goes on. */
struct mailback_done {
    bool is_calm;                     /* its mail system is well, or there is none */
    bool is_hosted;                   /* nobody has its mail but us */
    bool is_wanted;                   /* what is done here is given back … */
    uint64_t upto;                    /* … and was, up to this change number, … */
    const struct mailback_left *left; /* … but for these */
    uint32_t n_left;
};
struct mailback_done desk_mailback_done(struct desk *d, uint64_t person);
/* NULL: changes may go to it now. */
const char *desk_mailback_why_not(struct desk *d, uint64_t primary);

/* ---- desk_mailback_give.c ---- */
struct giving *desk_giving_begin(struct desk *d, enum giving_what what, uint64_t person,
                                 uint64_t primary);
/* The store has written what giving_keep wanted; on the loop. */
void desk_giving_kept(struct giving *g, enum err err);
void desk_giving_destroy(struct giving *g);
void desk_giving_tick(struct desk *d, mono_us now);
/* The messages and then the question go to the liaison, which is there: all of it, or false: it
 * takes nothing more now. */
bool desk_mailbox_do_send(struct desk *d, uint64_t tag, struct queue_body *const *bodies, size_t n,
                          struct buf *question);

/* ---- desk_append.c: mail that waited goes into mailboxes ---- */
/* False: nonsense. */
bool desk_append_did(struct desk *d, uint64_t tag, const struct ipc_mailbox_did *did);
void desk_append_tick(struct desk *d, mono_us now);
void desk_append_lost(struct desk *d);
void desk_append_clear(struct desk *d);

/* ---- desk_mailback_look.c ---- */
void desk_mailback_look(struct worker_job *job, struct store_reader *reader);

/* ---- desk_mailback_keep.c ---- */
/* Writes the box as it is, with the APPENDs of `g` as under way if `is_going`. giving_kept hears.
 */
void desk_mailback_keep(struct giving *g, bool is_going);
/* What became of each change goes into the box. True: there is something to write. */
bool desk_mailback_settle(struct giving *g);
/* It went out to be appended and has no answer: whatever becomes of it here, it is looked for over
 * there. */
void desk_mailback_doubt(struct mailback_box *box, uint64_t message);

#endif
