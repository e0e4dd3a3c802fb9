/* What became of what people sent, as their submissions tell it (RFC 8621 section 7, deliveryStatus
 * and dsnBlobIds): read from the ledger, never kept beside it.
 *
 * Pure but for the reader. Any thread that has one. */
#ifndef JMAP_JMAP_DELIVERY_H
#define JMAP_JMAP_DELIVERY_H

#include "jmap/jmap_item.h"
#include "store/store_reader.h"

enum { JMAP_NOTICES_MAX = 200 };

struct jmap_fate {
    const char *delivered; /* "queued", "yes", "no", "unknown" */
    struct slice reply;    /* one line: "250 2.1.5 in the mailbox here" */
};
struct jmap_delivery {
    struct jmap_fate *rcpts; /* of each recipient, in their order */
    uint64_t *notices;       /* messages that told the sender that something failed, oldest first */
    size_t n_notices;        /* at most JMAP_NOTICES_MAX */
    bool is_settled;         /* final for every recipient */
    uint64_t said;           /* another number when any of the above is another; never 0 */
};
/* Of a submission that is being sent or was. Everything in `a`. ERR_IO, ERR_CORRUPT: the index. */
enum err jmap_delivery_read(struct store_reader *r, const struct jmap_item_submission *s,
                            struct arena *a, struct jmap_delivery *ret, struct errinfo *ei);

#endif
