/* JMAP within core: people's requests come from the door, run on threads of their own, and change
 * accounts through here. */
#ifndef DESK_DESK_JMAP_INT_H
#define DESK_DESK_JMAP_INT_H

#include "desk/desk_int.h"

#include "jmap/jmap.h"

struct desk_jmap;
void desk_jmap_create(struct desk *d); /* and its threads begin */
void desk_jmap_limits(struct desk *d); /* desk->o.limits are others now */
bool desk_jmap_is_idle(const struct desk *d);
/* The threads end. What they wait for is done meanwhile: this turns the loop. */
void desk_jmap_stop(struct desk *d);
void desk_jmap_destroy(struct desk *d);
void desk_turn_until(struct desk *d, _Atomic unsigned *n_alive);

/* Frames of the door; false: nonsense. The body, taken over here, may be NULL. */
bool desk_jmap_call(struct peer *door, uint64_t tag, struct slice payload, struct buf *take_body);
struct account_cache *desk_jmap_accounts(struct desk *d);

/* ---- desk_door.c: answers of people and of the administration; loop ---- */
/* May an answer with so many bytes begin? Half of one would leave the door waiting. False: the
 * caller refuses it (REFUSE_DOOR_BYTES); saying so is short and has room. */
bool desk_door_has_room(const struct peer *door, size_t bytes, struct slice who);
/* The bytes of an answer that may begin; what tells their end follows. False: the link is gone. */
bool desk_door_content(const struct peer *door, uint64_t tag, struct slice bytes);

/* ---- desk_jmap_tell.c; loop ---- */
void desk_tells_create(struct desk *d);
void desk_tells_destroy(struct desk *d);
void desk_jmap_tick(struct desk *d, mono_us now);
/* An event stream of this person begins at that door: `tag` of the call. */
void desk_jmap_watch(struct peer *door, uint64_t tag, uint64_t person);
bool desk_jmap_unwatch(struct peer *door, uint64_t tag, struct slice payload); /* false: nonsense */
void desk_jmap_door_lost(struct peer *door);

/* Something of this person's account changed, durably or by whoever holds it and lets go when it
 * is: who watches it is told what it is like then. */
void desk_jmap_changed(struct desk *d, uint64_t person);
/* Holds her account, as of now, for finding out what is new in it. Workers have other things to do
 * than to wait for whoever holds it (ERR_RETRY): it is tried again after NEWS_AGAIN_MS. `reader`
 * may be NULL (ERR_IO). Worker threads. */
enum { NEWS_AGAIN_MS = 500 };
enum err desk_jmap_hold(struct desk *d, struct store_reader *reader, uint64_t person,
                        struct account **ret);
/* A log-in of hers has ended: event streams are closed; those who still may open new ones. */
void desk_jmap_log_in_ended(struct desk *d, uint64_t person);

/* ---- desk_jmap_host.c: what a request may use; worker threads ---- */
void desk_jmap_host(struct desk *d, struct jmap_host *ret);
/* Words for the search index, by a gate. */
enum err desk_parse_text(struct desk *d, struct slice message, struct buf *ret, struct errinfo *ei);
void desk_jmap_search_close(void); /* at the end of a thread */

/* ---- desk_find.c: filling the index of words behind the mail ---- */
void desk_find_start(struct desk *d);
void desk_find_stop(struct desk *d); /* nobody waits for it any more */
void desk_find_destroy(struct desk *d);
/* Emails of this account came, changed or went, with the numbers that it has by now: what is found
 * in it follows. */
void desk_find_changed(struct desk *d, uint64_t person);
/* Until what was told of this account is found, 2 s or until `until` at most (0: none); any thread
 * but the loop's. */
void desk_find_wait(struct desk *d, uint64_t person, mono_us until);
/* How much of the mail is found; any thread. */
void desk_find_progress(struct desk *d, struct admin_search *ret);
void desk_find_damaged(struct desk *d); /* the index of words is unreadable; any thread */

#endif
