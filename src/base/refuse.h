/* The one table of refusals: every refusing reply, hold and limit of every process.
 *
 * No limit is silent (promise 3): whoever refuses calls refuse(ID, ...), which counts it; each
 * process hands its counts to core once a second, where desk announces them. The reply's text
 * comes from the row, so a refusal without a row cannot be written. Thread-safe, lock-free. */
#ifndef BASE_REFUSE_H
#define BASE_REFUSE_H

#include "base/base.h"

enum refuse_class {
    REFUSE_PEER,   /* the peer's fault: counted, shown, no alarm by itself */
    REFUSE_NOTICE, /* a limit was reached: its owner is told when it happens first */
    REFUSE_ALARM   /* we are short of something or in doubt: alarm */
};

#define REFUSE(id, name, owner, limit, unit, class, code, text) REFUSE_##id,
enum refuse_id {
#include "base/refuse.def"
    REFUSE_N
};
#undef REFUSE

struct refuse_row {
    const char *name;  /* "smtp.recipients" */
    const char *owner; /* room that refuses */
    uint64_t limit;    /* built-in value; 0: not a number */
    const char *unit;  /* of the limit, or "" */
    enum refuse_class class;
    const char *code; /* reply code and enhanced code: "452 4.5.3" */
    const char *text; /* the reason in words, as sent to the peer */
};

const struct refuse_row *refuse_row(enum refuse_id id);

/* What is in force in this process: the row's value, until whoever has the settings says otherwise.
 * Any thread. */
struct refuse_limit {
    uint64_t value;
    const char *setting; /* the key that decides it, for good; NULL: none does, it is built in */
    bool is_set;         /* by a person, in the settings file */
};
void refuse_set_limit(enum refuse_id id, struct refuse_limit limit);
struct refuse_limit refuse_limit(enum refuse_id id);

/* "50 MiB", "50 connections": a value of this limit in words. */
void refuse_add_value(struct buf *b, enum refuse_id id, uint64_t value);

/* Counts one refusal and returns its row. `who` (peer address, destination; may be empty) is kept
 * as the last example, at most 60 bytes of it. */
const struct refuse_row *refuse(enum refuse_id id, struct slice who);

struct refuse_count {
    uint64_t n;   /* since the last take */
    char who[61]; /* last example */
};
/* Moves the counts of this process into ret[REFUSE_N] and zeroes them; true if any is not 0. */
bool refuse_take_counts(struct refuse_count ret[REFUSE_N]);

/* ---- how near the limits came ----
 * What a limit judges is also remembered where it refuses nothing, so that `staffetta limits try`
 * can say what another value would have refused. */

/* What does a limit with this value refuse? */
enum refuse_when {
    REFUSE_NOT_MEASURED,
    REFUSE_ABOVE, /* what is larger than the value */
    REFUSE_FROM,  /* what reaches the value */
    REFUSE_BELOW, /* what is smaller than the value (room that is left) */
};
enum refuse_when refuse_when(enum refuse_id id);
/* Would a limit with this value refuse what was measured? */
bool refuse_would(enum refuse_id id, uint64_t limit, uint64_t measured);
/* Is `a` nearer to being refused than `b`? */
bool refuse_is_worse(enum refuse_id id, uint64_t a, uint64_t b);

/* Is this worse than what this process has measured in this minute? Any thread; two loads. */
bool refuse_is_high(enum refuse_id id, uint64_t value);
/* `value` was asked for (also where it was refused) by `who`, of whom at most 60 bytes are kept.
 * Measured limits only. Any thread; as cheap as refuse_is_high while nothing worse comes. */
void refuse_measure(enum refuse_id id, uint64_t value, struct slice who);

struct refuse_high {
    bool is_known;
    uint64_t value;
    char who[61];
};
/* What became worse since the last take; measuring begins anew each minute of `now`. True: there
 * is any. One thread. */
bool refuse_take_highs(mono_us now, struct refuse_high ret[REFUSE_N]);

#endif
