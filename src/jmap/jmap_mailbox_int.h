/* Mailboxes within the room. */
#ifndef JMAP_JMAP_MAILBOX_INT_H
#define JMAP_JMAP_MAILBOX_INT_H

#include "jmap/jmap_int.h"

extern const struct jmap_type jmap_mailbox_type;
json_t *jmap_mailbox_make(struct jmap_run *r, uint64_t id);

/* Drafts, Sent, Archive, Junk and Trash of an account that lacks them. */
enum err jmap_mailbox_provide(struct jmap_run *r, struct errinfo *ei);

#endif
