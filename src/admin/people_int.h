/* Inside the room: what adding one person and importing thousands have in common. */
#ifndef ADMIN_PEOPLE_INT_H
#define ADMIN_PEOPLE_INT_H

#include "admin/admin_int.h"

enum { PERSON_BODY_MAX = 400000, MAILBOXES_PER_PERSON = 6 };

/* The facts that `body` (person_new or person_set) makes of `old` (NULL: nobody yet). `key`: the
 * main address, canonical. Whether others have the addresses is not judged here.
 * ERR_INVALID with a text that begins a sentence and has no full stop. */
enum err person_read(struct admin_call *c, const json_t *body, uint64_t tenant, struct slice key,
                     const struct directory_person *old, struct dir_person *ret,
                     struct errinfo *ei);
/* Give a covered person without mailboxes an inbox id; true: person_mailboxes are to be written. */
bool person_needs_mailboxes(struct admin_call *c, struct dir_person *f);
void person_mailboxes(struct admin_call *c, uint64_t tenant, uint64_t person, uint64_t inbox,
                      struct record_mailbox ret[MAILBOXES_PER_PERSON]);
struct slice person_main(const struct dir_person *f); /* the main address */
/* Another person than `self`, or a group, has this address: in words. False: it is free. */
bool address_is_taken(const struct directory *d, struct slice key, uint64_t self,
                      struct errinfo *ei);
/* The domain whose catch-all or postmaster this person is; NULL: none. */
const struct directory_domain *person_owns(const struct directory *d,
                                           const struct directory_person *p);
/* Main address and aliases, canonical and of domains of the company, without repetition. */
enum err addresses_read(struct admin_call *c, const json_t *body, uint64_t tenant, struct slice key,
                        struct dir_text **ret, uint32_t *ret_n, struct errinfo *ei);

#endif
