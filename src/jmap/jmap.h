/* JMAP (RFC 8620, 8621, 9404, 9425): requests of people in, JSON out.
 *
 * Runs on worker threads as straight-line code; the account is held while a request runs, so a
 * request sees one moment plus its own changes, and requests of one account go one after another.
 * Everything that touches the world comes from the host. Who the caller is was decided before.
 *
 * Not here: HTTP (room web), passwords (room login), the bytes of a message as properties (room
 * email, run in a gate), what becomes of a message that is submitted (room desk). */
#ifndef JMAP_JMAP_H
#define JMAP_JMAP_H

#include "account/account.h"
#include "email/email.h"

#include <jansson.h>

/* Announced in the session object and enforced as announced (RFC 8620 section 2). */
enum {
    JMAP_SIZE_REQUEST_MAX = 8 << 20,
    JMAP_CALLS_MAX = 32,
    JMAP_OBJECTS_GET_MAX = 1000,
    JMAP_OBJECTS_SET_MAX = 1000,
    JMAP_CONCURRENT_REQUESTS = 8,
    JMAP_CONCURRENT_UPLOADS = 4,
    JMAP_SIZE_UPLOAD_MAX = 50 << 20,
    /* Uploads are kept for a day, but only so much of each person, the youngest. */
    JMAP_UPLOAD_HOURS = 24,
    JMAP_UPLOADS_MAX = 2000,
    JMAP_UPLOADS_BYTES = 500 << 20,
    JMAP_DEPTH_MAX = 64,          /* of JSON in JSON */
    JMAP_VALUES_MAX = 1000000,    /* in a request, in what it refers to, in what gates make of it */
    JMAP_ANSWER_MAX = 40 << 20,   /* of all method responses together */
    JMAP_ENVELOPE_MAX = 24 << 20, /* what stands around them: call ids, creation ids, errors */
    JMAP_MAILBOXES_PER_EMAIL_MAX = 100,
    JMAP_MAILBOX_DEPTH_MAX = 10, /* of mailboxes in each other */
    JMAP_MAILBOX_NAME_MAX = 255, /* bytes */
};

/* Who asks; made on the loop from the directory, outlives the request. */
struct jmap_caller {
    uint64_t person, tenant;
    struct slice name;             /* "Anna Rossi" */
    const struct slice *addresses; /* the person's own; the first is the main one */
    size_t n_addresses;
    uint64_t quota_bytes;   /* 0: none */
    uint64_t upload_bytes;  /* of uploads that are kept; 0: JMAP_UPLOADS_BYTES */
    uint64_t size_max;      /* of a message that may be sent */
    bool may_send;          /* the state of the primary and the plan allow it now */
    struct slice may_not;   /* if not: why, in words */
    bool has_other_answers; /* the primary lives: vacation answers are its business */
    struct slice origin;    /* "https://mail.example.test", for the URLs of the session */
    uint64_t login;      /* the log-in or app token this came with: owner of push subscriptions */
    bool is_login_timed; /* it ends by itself */
};

/* New things of one account that count together: durable in one batch, or none of them. The host
 * fills in each modseq and, where it is 0, each new place's uid, in this order. */
struct jmap_message { /* a new message without recipients: draft, import, upload, sent copy */
    uint64_t id;      /* from next_id */
    struct slice bytes;
    const struct record_fields *fields; /* NULL: an upload */
};
struct jmap_commit {
    const struct jmap_message *messages;
    size_t n_messages;
    struct record_email *emails;
    size_t n_emails;
    struct record_mailbox *mailboxes;
    size_t n_mailboxes;
    struct record_item *items;
    size_t n_items;
};

/* States of the types that are pushed, in the order of a table in jmap_push.c. */
enum { JMAP_PUSHED_TYPES = 8 };
struct jmap_states {
    uint64_t of[JMAP_PUSHED_TYPES];
};

struct jmap_host {
    void *arg;
    const char *node, *version;
    /* All of these from worker threads; they block, with deadlines of their own. */
    uint64_t (*next_id)(void *arg);
    /* Waits until the index shows what was durable before, so that whoever heard an answer sees
     * what it was about. False: it does not in time; what is shown is older. */
    bool (*caught_up)(void *arg);
    /* Durable and applied when it returns ERR_OK. ERR_EXISTS: durable, but the index does not show
     * it yet: it is not to be done again. Otherwise nothing was changed. */
    enum err (*commit)(void *arg, const struct jmap_caller *who, struct jmap_commit *c,
                       struct errinfo *ei);
    /* The bytes of a message (of this account: checked before). ERR_GONE: given up. */
    enum err (*read)(void *arg, struct store_reader *reader, uint64_t message, struct buf *ret,
                     struct errinfo *ei);
    /* Properties as JSON, by a gate (email_render). ERR_RETRY: no gate in time. */
    enum err (*render)(void *arg, struct slice message, struct slice blob_prefix,
                       const struct email_want *want, struct buf *ret, struct errinfo *ei);
    /* What lists show of new bytes, by a gate. */
    enum err (*fields)(void *arg, struct slice message, struct arena *arena,
                       struct record_fields *ret, struct errinfo *ei);
    /* Ids of messages of this account that match, newest first. ERR_RETRY: not filled yet. */
    enum err (*search)(void *arg, uint64_t person, struct slice match, size_t max, mono_us until,
                       struct arena *arena, uint64_t **ret, size_t *ret_n, struct errinfo *ei);
    /* ---- sending; a submission is an item (jmap_item.h) ---- */
    /* May so many recipients get one more message of this person now? Yes counts it as sent.
     * ERR_LIMIT: refused by the table of refusals, with words. */
    enum err (*may_submit)(void *arg, const struct jmap_caller *who, size_t n_rcpts,
                           struct errinfo *ei);
    /* What may_submit counted at this time is not sent: something else refused it, or it was
     * canceled. Returns at once. */
    void (*unsubmitted)(void *arg, const struct jmap_caller *who, size_t n_rcpts, utc_ms counted);
    /* This submission is durable: it is sent when its time has come. Returns at once. */
    void (*submitted)(void *arg, const struct jmap_caller *who, uint64_t submission,
                      utc_ms send_at);
    /* It will not be sent unless `submitted` is called for it again; the caller writes that down.
     * ERR_CONFLICT: too late, it is being sent or was. */
    enum err (*withdraw)(void *arg, const struct jmap_caller *who, uint64_t submission,
                         struct errinfo *ei);
    /* ---- pushes; a subscription is an item (jmap_item.h) ---- */
    /* May somebody who has so many push subscriptions make one more now? Yes counts it as made.
     * ERR_LIMIT: refused by the table of refusals, with words. */
    enum err (*may_subscribe)(void *arg, const struct jmap_caller *who, size_t n_has,
                              struct errinfo *ei);
    /* This subscription is durable with this body; the empty one: it is destroyed. `now`: the
     * states that the client knows when it has confirmed it just now; else NULL. Returns at once.
     */
    void (*subscribed)(void *arg, const struct jmap_caller *who, uint64_t subscription,
                       struct slice body, const struct jmap_states *now);
};

struct jmap;
struct jmap *jmap_create(const struct jmap_host *host, struct account_cache *accounts);
void jmap_destroy(struct jmap **j);

/* POST /jmap/api: the answer's HTTP status; a JSON document is appended to `out` (a problem
 * document for request-level errors, RFC 8620 3.6.1). `out` takes JMAP_ANSWER_MAX and
 * JMAP_ENVELOPE_MAX bytes; a call whose answer does not fit is answered by an error. */
unsigned jmap_api(struct jmap *j, struct store_reader *reader, const struct jmap_caller *who,
                  struct slice body, struct buf *out);
/* GET /jmap/session */
unsigned jmap_session(struct jmap *j, const struct jmap_caller *who, struct buf *out);
/* POST /jmap/upload/{account}/ */
unsigned jmap_upload(struct jmap *j, struct store_reader *reader, const struct jmap_caller *who,
                     struct slice account, struct slice type, struct slice bytes, struct buf *out);
/* GET /jmap/download/{account}/{blob}/{name}?type=: the bytes as they are stored and, in `steps`,
 * what the door must cut out and decode. 404 hides what is not the caller's. */
unsigned jmap_download(struct jmap *j, struct store_reader *reader, const struct jmap_caller *who,
                       struct slice account, struct slice blob, struct email_blob *ret_steps,
                       struct buf *ret_bytes);
/* {"@type":"StateChange", …}: of an account whose numbers changed; for event streams. */
void jmap_state_change(uint64_t person, const struct account *a, struct buf *out);

/* ---- what is pushed (RFC 8620 section 7) ---- */
void jmap_states_of(const struct account *a, struct jmap_states *ret);
/* A bit for each type that is named; a name that nothing here has is ignored. */
uint32_t jmap_pushed_type(struct slice name);
#define JMAP_PUSHED_ALL ((1u << JMAP_PUSHED_TYPES) - 1)
/* A StateChange of those of `types` whose state is not as `told` has it. False: there are none, and
 * nothing is written. `*ret_is_mail`: new mail is among them, and was asked for by its own name. */
bool jmap_push_state(uint64_t person, const struct jmap_states *now, const struct jmap_states *told,
                     uint32_t types, struct buf *out, bool *ret_is_mail);
/* A PushVerification. */
void jmap_push_verification(uint64_t subscription, struct slice code, struct buf *out);

#endif
