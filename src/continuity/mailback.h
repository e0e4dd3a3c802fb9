/* How far what people did in a continuity mailbox is given back to the primary's: the bodies of
 * an account's ITEM_RETURN and ITEM_GIVEN. Pure packing. */
#ifndef CONTINUITY_MAILBACK_H
#define CONTINUITY_MAILBACK_H

#include "base/pack.h"

enum { MAILBACK_LEFT_MAX = 200, MAILBACK_OPS = 100, MAILBACK_FLAGS = 32 };

/* Why a change is not given back; the numbers stay. */
enum mailback_why {
    MAILBACK_NOT = 0,
    MAILBACK_WAITS = 1, /* its message waits for being delivered there: that goes first */
    MAILBACK_LATER = 2, /* no sure answer: tried again */
    MAILBACK_ABSENT = 3,
    MAILBACK_AMBIGUOUS = 4,
    MAILBACK_REFUSED = 5,
    MAILBACK_WHYS,
};

#include "base/pack_struct_begin.h"
#include "continuity/mailback.def"
#include "base/pack_end.h"

#endif
