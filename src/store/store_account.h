/* Reading what an account has: emails, mailboxes, and other items. Readers, errors, callbacks and
 * borrowed slices are those of store_reader.h.
 *
 * An account is a covered person. It counts its changes: `modseq` grows by one with each record
 * that changes something in it, and is written into what changed. What goes away leaves a
 * tombstone, until RECORD_PURGED raises `floor`. Every question names the account, and tells
 * nothing of another one. */
#ifndef STORE_STORE_ACCOUNT_H
#define STORE_STORE_ACCOUNT_H

#include "store/store_reader.h"

struct store_account {
    uint64_t person, tenant;
    uint64_t modseq; /* the largest change number used so far */
    uint64_t floor;  /* changes since before it cannot be told */
    uint64_t inbox;  /* its mailbox of that role; 0: there is none (any more) */
};
typedef bool store_account_fn(void *arg, const struct store_account *a);
/* All that ever had a mailbox, by person. 100,000 with mail in well under 2 s. */
enum err store_each_account(struct store_reader *r, store_account_fn *fn, void *arg,
                            struct errinfo *ei);
/* ERR_GONE: no such account. */
enum err store_get_account(struct store_reader *r, uint64_t person, struct store_account *ret,
                           struct errinfo *ei);

struct store_email {
    uint64_t message, thread;
    uint64_t modseq;  /* of its last change */
    uint64_t created; /* modseq at which it came into the account */
    uint64_t counted; /* modseq at which its mailboxes or $seen changed last */
    utc_ms received;
    uint32_t bytes;                 /* of the message as stored */
    uint32_t flags;                 /* enum email_flags */
    bool is_gone;                   /* a tombstone; it has no live place */
    struct record_email_lists list; /* keywords without a flag; places, also those that are gone */
};
typedef bool store_email_fn(void *arg, const struct store_email *e);
/* Emails whose modseq is larger than `since`, each once, in no special order; 0: all, by message
 * id. With tombstones. Reads neither messages nor fields: 100,000 take about 0.1 s, and the changes
 * of the last minute cost what they are. */
enum err store_each_email(struct store_reader *r, uint64_t account, uint64_t since,
                          store_email_fn *fn, void *arg, struct errinfo *ei);
/* One, with its lists in `a`; also a tombstone. ERR_GONE: the account never had it, or it is
 * purged. */
enum err store_get_email(struct store_reader *r, uint64_t account, uint64_t message,
                         struct arena *a, struct store_email *ret, struct errinfo *ei);

/* What lists show, of `n` messages in the order given. Those that the account does not have (or has
 * as tombstones only) are left out. Where a message has no fields, all are empty. */
typedef bool store_fields_fn(void *arg, uint64_t message, const struct record_fields *fields);
enum err store_each_fields(struct store_reader *r, uint64_t account, const uint64_t *messages,
                           size_t n, store_fields_fn *fn, void *arg, struct errinfo *ei);

/* Mailboxes, by id, with tombstones (is_removed). */
typedef bool store_mailbox_fn(void *arg, const struct record_mailbox *m);
enum err store_each_mailbox_of(struct store_reader *r, uint64_t account, store_mailbox_fn *fn,
                               void *arg, struct errinfo *ei);

/* Items of a kind, by account and id, with tombstones. `account` 0: of all accounts (for what has
 * to be known at start). */
typedef bool store_item_fn(void *arg, const struct record_item *item);
enum err store_each_item(struct store_reader *r, uint64_t account, enum item_kind kind,
                         store_item_fn *fn, void *arg, struct errinfo *ei);
/* Its body in `a`. ERR_GONE: there is none; a tombstone is told. */
enum err store_get_item(struct store_reader *r, uint64_t account, enum item_kind kind, uint64_t id,
                        struct arena *a, struct record_item *ret, struct errinfo *ei);

/* Retention: emails (no tombstones) of messages that came here before `before`, the oldest first,
 * for a RECORD_EMAIL that says they are gone. One look for each account: not for every minute. */
enum store_origin {
    STORE_CAME,   /* to an address whose mail a primary has, too */
    STORE_HOSTED, /* to one whose mail nobody has but us */
    STORE_OWN,    /* the person made it: draft, sent copy, import */
};
typedef bool store_old_fn(void *arg, const struct store_email *e, enum store_origin origin,
                          bool is_open); /* a delivery of it waits, is held or under way */
enum err store_each_old(struct store_reader *r, uint64_t account, utc_ms before, store_old_fn *fn,
                        void *arg, struct errinfo *ei);
/* Of all its emails that are not gone. Reads them all. */
enum err store_account_bytes(struct store_reader *r, uint64_t account, uint64_t *ret,
                             struct errinfo *ei);

/* Tombstones that may go. */
struct store_purgeable {
    struct store_account account;
    uint64_t mark; /* of the last RECORD_PURGED: its number at `time`; 0: there was none */
    utc_ms time;
    uint64_t upto; /* the change number of the `most`th tombstone of those not above `mark`, or
                    * of the last one; 0: there are none */
    bool is_all;   /* there are no more of them above `upto` */
};
/* `before`: those with a mark from before it, or without one; `after`: those of a larger id; `most`
 * is at least 1. One look for each account: not for every minute. */
struct store_purge_wish {
    uint64_t after;
    utc_ms before;
    uint32_t most;
};
typedef bool store_purgeable_fn(void *arg, const struct store_purgeable *p);
/* By id of the account. */
enum err store_each_purgeable(struct store_reader *r, const struct store_purge_wish *wish,
                              store_purgeable_fn *fn, void *arg, struct errinfo *ei);

#endif
