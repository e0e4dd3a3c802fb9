/* Inside the desk: what people send. A submission (an item of an account, jmap/jmap_item.h) waits
 * for its time, becomes messages, and is final when they are in the store. */
#ifndef DESK_DESK_SUBMIT_INT_H
#define DESK_DESK_SUBMIT_INT_H

#include "desk/desk_account_int.h"

#include "jmap/jmap_item.h"

/* ---- desk_submit.c: which ones there are, when they are due, who may ---- */
void desk_submit_create(struct desk *d);
/* At start: those that wait or were on their way when the program ended. */
enum err desk_submit_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
void desk_submit_tick(struct desk *d);
void desk_submit_clear(struct desk *d); /* memory only */

uint64_t desk_primary_of(struct desk *d, const struct directory_person *p); /* 0: hosted */
/* May this person send at all now? If not, `words` says why. Loop. */
bool desk_may_send(struct desk *d, const struct directory_person *p, struct buf *words);

/* For jmap_host (jmap/jmap.h says what they promise); any thread. */
enum err desk_may_submit(struct desk *d, uint64_t person, struct slice who, size_t n_rcpts,
                         struct errinfo *ei);
void desk_unsubmitted(struct desk *d, uint64_t person, size_t n_rcpts, utc_ms counted);
void desk_submitted(struct desk *d, uint64_t person, uint64_t submission, utc_ms send_at);
enum err desk_withdraw(struct desk *d, uint64_t submission, struct errinfo *ei);

/* What is kept of one is damaged: an alarm that says what happened and what was done about it; of
 * several together, the first. Loop. */
void desk_submit_doubt(struct desk *d, uint64_t person, uint64_t submission, const char *happened,
                       const char *did);
/* One that was begun: final now, gone, or (`again`) to be tried once more a little later. */
void desk_submit_ended(struct desk *d, uint64_t submission, bool again);

/* ---- desk_submit_send.c: one on its way ---- */
void desk_submit_send(struct desk *d, uint64_t person, uint64_t submission);

/* ---- desk_submit_fate.c: what became of those that are final ---- */
void desk_fates_create(struct desk *d);
/* It is final, and not settled: from now on it changes with the ledger. Loop. */
void desk_fate_watch(struct desk *d, uint64_t person, uint64_t submission,
                     const struct jmap_item_part *parts, uint32_t n_parts);
/* It is destroyed, or settled: nothing is written of it any more. */
void desk_fate_forget(struct desk *d, uint64_t submission);
void desk_fate_moved(void *arg, uint64_t message); /* queue_options.moved */
void desk_fate_tick(struct desk *d, mono_us now);
void desk_fates_clear(struct desk *d); /* memory only */

/* ---- desk_submit_purge.c: those that are long over ---- */
void desk_submit_purge_tick(struct desk *d, mono_us now);

/* ---- desk_accept.c, desk_notice.c ---- */
/* What a person of ours sends, to recipients of one mail system, or to the world. Borrowed for the
 * call. */
struct desk_sent {
    uint64_t id, tenant, primary; /* of the recipients; the sender's tenant for the world */
    bool is_inward;
    uint32_t flags; /* enum message_flags */
    struct slice mail_from, envid;
    uint8_t ret;
    const struct ipc_rcpt *rcpts;
    uint32_t n_rcpts;
    const struct record_fields *fields;
    struct slice signatures, raw;          /* whole headers; the whole message */
    void (*done)(void *arg, enum err err); /* not within the call */
    void *arg;
};
void desk_accept_sent(struct desk *d, const struct desk_sent *sent);
/* Tell the sender that these rows come back, where it may hear anything, by the message `id`.
 * `done` (NULL: nobody waits for it) comes when it is durable or was refused, not within the call.
 * False: none may be sent, or can, and `done` does not come. */
bool desk_bounce(struct desk *d, const struct queue_notice *n, uint64_t id,
                 void (*done)(void *arg, enum err err), void *arg);

/* ---- desk_sign.c: DKIM signatures of our keys ---- */
/* Copies of the active keys of an author's domain; what they hold lives in `a`. Loop. None where
 * the domain is not of this tenant: nobody signs with a key of somebody else. */
struct desk_signing {
    struct slice domain;
    struct {
        struct slice selector, secret;
    } keys[DIRECTORY_DKIM_MAX];
    size_t n;
};
void desk_signing_of(struct desk *d, uint64_t tenant, struct slice author, struct arena *a,
                     struct desk_signing *ret);
/* Adds a signature for each key before the message; what cannot be signed goes unsigned, and the
 * log says so. Worker threads. */
void desk_sign(const struct desk_signing *s, struct slice message, struct buf *out);
/* admin_host.make_keys. Loop. */
void desk_make_keys(void *arg,
                    void (*done)(void *cookie, enum err err, const char *why,
                                 const struct admin_key keys[2]),
                    void *cookie);

#endif
