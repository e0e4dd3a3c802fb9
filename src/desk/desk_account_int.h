/* Accounts and their change numbers, inside of desk. */
#ifndef DESK_DESK_ACCOUNT_INT_H
#define DESK_DESK_ACCOUNT_INT_H

#include "desk/desk_int.h"

/* Of a person. */
struct desk_account {
    uint64_t person, tenant;
    uint64_t modseq; /* the largest number that was given */
    uint64_t inbox;  /* 0: removed */
    uint64_t bytes;  /* desk_quota.c: of its mail, at `counted_at`, and what came since */
    mono_us counted_at;
    bool has_bytes, is_counting;
};

/* Where a message went whose sender still waits for an answer. */
struct put_place {
    uint64_t account, mailbox;
    uint32_t uid;
};

enum err desk_accounts_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
struct desk_account *desk_account(struct desk *d, uint64_t person); /* NULL: has none */
uint64_t desk_account_next(struct desk *d, uint64_t person); /* number of a change; 0: has none */
void desk_account_mailbox(struct desk *d, const struct record_mailbox *m); /* it is durable */
/* Writes tombstones: numbers are given here, flags and places as they were. `emails` and their
 * places are changed. */
void desk_emails_gone(struct desk *d, struct record_email *emails, uint32_t n);
/* Writes items: each gets its number here, in its account; those whose account is gone are left out
 * (ERR_GONE when none is left). `items` is borrowed for the call, and changed; `done` comes on the
 * loop when they are durable, or not; not within the call. */
void desk_account_items(struct desk *d, struct record_item *items, uint32_t n,
                        void (*done)(void *arg, enum err err), void *arg);

#endif
