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

/* Counts one refusal and returns its row. `who` (peer address, destination; may be empty) is kept
 * as the last example, at most 60 bytes of it. */
const struct refuse_row *refuse(enum refuse_id id, struct slice who);

struct refuse_count {
    uint64_t n;   /* since the last take */
    char who[61]; /* last example */
};
/* Moves the counts of this process into ret[REFUSE_N] and zeroes them; true if any is not 0. */
bool refuse_take_counts(struct refuse_count ret[REFUSE_N]);

#endif
