/* Inside the room: how much people have of us at this moment, over all doors, in memory that they
 * share. Each door has a column of its own, which only it writes, so nothing needs a lock; a door
 * that died clears its column when it starts again. Any thread.
 *
 * Addresses and persons share fixed tables of slots by a keyed hash, one for each kind. Two of them
 * in one slot count together: that errs on the side of refusing, with 65,536 slots rarely. What
 * another door wrote may be nonsense: the worst that follows is refusing. */
#ifndef WEB_SHARE_H
#define WEB_SHARE_H

#include "base/base.h"

#include <sys/socket.h>

enum share_total {
    SHARE_CONNS,
    SHARE_REQUESTS,
    SHARE_BYTES,          /* bodies and answers of people in memory */
    SHARE_ADMIN_REQUESTS, /* of the administration */
    SHARE_TOTALS
};
enum share_kind { SHARE_CONN, SHARE_REQUEST, SHARE_STREAM, SHARE_KIB, SHARE_KINDS };

struct share;
struct share_slot;

/* `memory`: of WEB_SHARED_BYTES, borrowed until destroyed; NULL: of its own. */
struct share *web_share_create(void *memory, unsigned door);
void web_share_destroy(struct share **s); /* takes NULL */

/* This door has `mine` of that; returns how much all doors have. */
uint64_t web_share_total(struct share *s, enum share_total what, uint64_t mine);

/* A network of IPv6 is one subscriber: /64. */
struct share_slot *web_share_of_address(struct share *s, enum share_kind kind,
                                        const struct sockaddr_storage *address);
struct share_slot *web_share_of_person(struct share *s, uint64_t person);
uint64_t web_share_count(const struct share_slot *slot); /* of all doors */
/* One more; returns the count of all doors with it. Pairs with leave. */
uint64_t web_share_enter(struct share *s, struct share_slot *slot);
void web_share_leave(struct share *s, struct share_slot *slot);
/* What this door has in there was `before` for one thing, and is `after` now. */
void web_share_move(struct share *s, struct share_slot *slot, uint32_t before, uint32_t after);

#endif
