/* An episode: one emergency of a primary from its first failure to its end, with every decision,
 * who made it and why. What the statement to people is made of.
 *
 * Pure: its memory is its own packed form (episode.def), so that what is kept and what is written
 * are the same bytes. */
#ifndef CONTINUITY_EPISODE_H
#define CONTINUITY_EPISODE_H

#include "continuity/continuity.h"

#include "base/pack.h"

#include "base/pack_struct_begin.h"
#include "continuity/episode.def"
#include "base/pack_end.h"

enum {
    EPISODE_BYTES_MAX = 500000,
    EPISODE_STEPS_MAX = 500,
    /* When there is no room, the oldest step of a machine behind these gives way: how it began and
     * what people decided stays. */
    EPISODE_FIRST_STEPS = 20,
};

enum episode_phase {
    EPISODE_SUSPICION = 1, /* no emergency yet: forgotten when it comes to nothing */
    EPISODE_OPEN = 2,
    EPISODE_CLOSED = 3,
};

enum episode_kind {
    EPISODE_SUSPECTED = 1,
    EPISODE_EMERGENCY,
    EPISODE_DIED, /* it failed again in the middle of giving back */
    EPISODE_READY,
    EPISODE_RETURNING,
    EPISODE_ENDED,
    EPISODE_ISOLATED,
    EPISODE_CLEAN,
    EPISODE_PAUSED,
    EPISODE_RESUMED,
    EPISODE_TOLD,
    EPISODE_NOTED, /* anything else that was decided */
    EPISODE_KIND_N,
};
/* "suspect", "emergency", "died", "ready" …: in lists and JSON. */
const char *episode_kind_name(enum episode_kind k);

enum episode_flags {
    EPISODE_IS_ISOLATED = 1,
    EPISODE_IS_PAUSED = 2,
    EPISODE_IS_READY = 4,
    EPISODE_IS_TOLD = 8,
    EPISODE_IS_BY_HAND = 16,
};

/* A decision that was made. Slices are borrowed for the call; what is too long is cut. */
struct episode_news {
    uint64_t primary;
    const struct continuity_primary *p; /* as it is now */
    enum continuity_state old;          /* before; the same: only a flag changed */
    utc_ms now;
    uint64_t first_message; /* the oldest that waits for it now; 0: none */
    struct slice by, why;
};

enum episode_change {
    EPISODE_NOTHING, /* no episode, before and after */
    EPISODE_WRITE,   /* `packed` is new */
    EPISODE_FORGET,  /* the suspicion came to nothing: `packed` is empty, remove what was written */
};
/* `packed`: the episode so far, or empty when there is none; made with EPISODE_BYTES_MAX at least.
 * Unreadable bytes count as none. A closed one must be given as none. */
enum episode_change episode_note(struct buf *packed, const struct episode_news *news);
/* Is the last step of `e` about the state that `p` is in? After a crash it may be one behind. */
bool episode_is_current(const struct episode *e, const struct continuity_primary *p);
/* Progress of giving back: so many more deliveries in so much more time. */
void episode_add_given(struct buf *packed, uint64_t n_given, utc_ms giving_ms);

/* When it began for people: the first failure, or the first thing that was noted. */
utc_ms episode_begin(const struct episode *e);
/* Deliveries a second while giving back, times 1000; 0: not known (too little to tell). */
uint64_t episode_rate_1000(const struct episode *e);

#endif
