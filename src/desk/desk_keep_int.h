/* What is kept only so long: bytes of messages, emails of accounts, their tombstones, episodes. */
#ifndef DESK_DESK_KEEP_INT_H
#define DESK_DESK_KEEP_INT_H

#include "base/refuse.h"

struct desk;
struct directory_route;

struct desk_keep {
    struct {
        bool is_running;
        mono_us next;
        size_t at; /* in the map of accounts */
    } expiry;      /* desk_expire.c */
    struct {
        bool is_running;
        mono_us next;
        uint64_t after;  /* the account looked at last */
    } purge;             /* desk_purge.c */
    unsigned n_counting; /* desk_quota.c */
};

/* ---- desk_retain.c: bytes that nobody needs ---- */
void desk_message_done(void *arg, uint64_t message);
void desk_give_up(struct desk *d, uint64_t message); /* its chunks: nothing will name them */
/* Is that not durable yet? Then no message may come under this number. */
bool desk_is_given_up(const struct desk *d, uint64_t message);
void desk_retention_tick(struct desk *d, mono_us now);

/* ---- desk_expire.c: emails that are kept no longer ---- */
void desk_expiry_tick(struct desk *d, mono_us now);

/* ---- desk_purge.c: tombstones of accounts ---- */
void desk_purge_tick(struct desk *d, mono_us now);

/* ---- desk_quota.c: mailboxes that are full ---- */
bool desk_has_quota(struct desk *d, const struct directory_route *route);
/* REFUSE_N: this recipient may get mail, as far as a quota goes. */
enum refuse_id desk_quota_judge(struct desk *d, const struct directory_route *route);

#endif
