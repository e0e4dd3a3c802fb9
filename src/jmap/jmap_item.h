/* What an account has besides emails and mailboxes, as it lies in the store: bodies of items
 * (jmap_item.def). Core reads submissions to send them; everything else is read here only. */
#ifndef JMAP_JMAP_ITEM_H
#define JMAP_JMAP_ITEM_H

#include "base/pack.h"

#include "base/pack_struct_begin.h"
#include "jmap/jmap_item.def"
#include "base/pack_end.h"

/* Durable at each step; the numbers stay. A submission goes from the first that fits to FINAL, or
 * from PENDING to CANCELED, and never back. */
enum jmap_submission_state {
    JMAP_PENDING = 1,  /* waits for its time; may be canceled */
    JMAP_GOING = 2,    /* being sent: its parts, once they are named, are in the store or will be */
    JMAP_FINAL = 3,    /* all its parts are in the store */
    JMAP_CANCELED = 4, /* was not sent */
};

enum {
    JMAP_ITEM_BODY_MAX = 65536,
    JMAP_VACATION_ID = 1,
    JMAP_PARTS_MAX = 64,        /* mail systems that one message is given to */
    JMAP_PARTS_BYTES = 64 * 25, /* they come into the body when it is sent */
};

#endif
