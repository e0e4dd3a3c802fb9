/* Emails within the room. */
#ifndef JMAP_JMAP_EMAIL_INT_H
#define JMAP_JMAP_EMAIL_INT_H

#include "jmap/jmap_int.h"

extern const struct jmap_type jmap_email_type;

/* ---- jmap_blob.c ---- */
/* What "#" and a creation id of this request stands for; anything else is itself. */
const char *jmap_blob_id(const struct jmap_run *r, const char *id);
/* The bytes of a blob of this account, which may be named by its creation id. ERR_GONE: there is
 * none, or it is somebody else's. */
enum err jmap_blob_read(struct jmap_run *r, const char *id, struct buf *ret, struct errinfo *ei);
bool jmap_blob_is_message(struct slice bytes); /* do they begin with a header field? */

/* ---- jmap_email_get.c ---- */
/* What is wanted of messages' bytes. */
struct jmap_email_reading {
    struct jmap_run *r;
    struct email_want want;
};
/* Properties that come from bytes, put into `object`. ERR_LIMIT: all that a request has had made
 * together is larger than an answer may be. */
enum err jmap_email_render(struct jmap_email_reading *g, struct slice bytes, const char *blob,
                           json_t *object, struct errinfo *ei);

/* An email that is there. `want`: `properties` and the like, as Email/get takes them. ERR_INVALID:
 * one of them is none. */
enum err jmap_email_object(struct jmap_run *r, uint64_t id, const json_t *want, json_t **ret,
                           struct errinfo *ei);

/* ---- jmap_email_change.c: emails as records ---- */
/* Of places, as many as an email may be in and as many that it has left. */
enum { PLACES_MAX = 2 * JMAP_MAILBOXES_PER_EMAIL_MAX, KEYWORDS_MAX = 100, KEYWORD_BYTES_MAX = 255 };
/* A record that says of `e` what is so now; numbers that are 0 are the host's to fill. */
void jmap_email_record(struct jmap_run *r, const struct account_email *e, struct record_email *ret);
/* Only these mailboxes and keywords from now on ({id: true}, {keyword: true}); or a SetError. */
json_t *jmap_email_set_mailboxes(struct jmap_run *r, struct record_email *e,
                                 const json_t *mailboxes);
json_t *jmap_email_set_keywords(struct jmap_run *r, struct record_email *e, const json_t *keywords);
void jmap_email_destroy(struct record_email *e);
json_t *jmap_email_mailboxes(const struct account_email *e);
json_t *jmap_email_keywords(const struct account_email *e);

/* New emails and changed ones, gathered until they are written together. */
struct jmap_email_batch {
    struct jmap_run *r;
    struct jmap_message *messages;
    struct record_email *emails;
    size_t n_messages, n_emails, cap_messages, cap_emails;
    size_t bytes; /* of new messages */
};
/* A new email of these bytes (which live until the batch is written); or a SetError. */
json_t *jmap_email_add(struct jmap_email_batch *b, struct slice bytes, const json_t *mailboxes,
                       const json_t *keywords, utc_ms received, uint64_t *ret_id);
struct record_email *jmap_email_batch_change(struct jmap_email_batch *b);
enum err jmap_email_batch_write(struct jmap_email_batch *b, struct errinfo *ei);
void jmap_email_batch_finish(struct jmap_email_batch *b);
/* id, blobId, threadId and size, for `created`. */
json_t *jmap_email_created(struct jmap_run *r, uint64_t id);

/* ---- jmap_filter_header.c ---- */
/* The condition `header` ([name] or [name, text]), asked of those emails that `among` matches;
 * NULL: it is only judged. */
bool jmap_filter_header(struct jmap_run *r, const struct jmap_call *c, const json_t *value,
                        const struct account_filter *among, struct account_filter *ret);

/* ---- jmap_filter.c ---- */
/* Matches these messages; a copy of `ids` in the arena. */
void jmap_filter_one_of(struct account_filter *ret, struct arena *arena, const uint64_t *ids,
                        size_t n);
/* A FilterOperator or FilterCondition; refuses the call itself. NULL filter: all. */
bool jmap_filter_read(struct jmap_run *r, const struct jmap_call *c, const json_t *json,
                      struct account_filter *ret, bool *ret_has_text);
/* The same, but nothing is looked up. */
bool jmap_filter_judge(struct jmap_run *r, const struct jmap_call *c, const json_t *json,
                       bool *ret_has_text);

#endif
