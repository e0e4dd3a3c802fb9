/* Inside the room: a request that runs, its calls, and what all types of things share. */
#ifndef JMAP_JMAP_INT_H
#define JMAP_JMAP_INT_H

#include "base/mail.h"
#include "base/refuse.h"
#include "jmap/jmap.h"
#include "jmap/jmap_item.h"

enum { JMAP_ID_TEXT = 1 + MESSAGE_ID_TEXT, JMAP_REQUEST_SECONDS = 25 };

enum jmap_capability {
    CAP_CORE = 1,
    CAP_MAIL = 2,
    CAP_SUBMISSION = 4,
    CAP_VACATION = 8,
    CAP_QUOTA = 16,
    CAP_BLOB = 32,
};

struct jmap {
    struct jmap_host host;
    struct account_cache *accounts;
};

/* One request, from its first call to its last. */
struct jmap_run {
    struct jmap *j;
    const struct jmap_host *host;
    struct store_reader *reader;
    const struct jmap_caller *who;
    struct account *account;
    struct arena *arena;   /* of one call, or of one object of it */
    struct arena *scratch; /* for one object */
    struct arena *whole;   /* while `arena` is that one: the call's; otherwise NULL */
    size_t n_bytes;        /* of what was made from messages for the answers */
    size_t n_values;       /* of JSON: in the request, in what was made from messages, in results
                            * that were referred to */
    json_t *answers;       /* of all calls so far: [name, arguments, call id] */
    json_t *created;       /* creation id -> id */
    bool has_foreign;      /* with what this call wrote, changes of others were taken up */
    bool is_behind;   /* something was written that the view does not show: it decides nothing */
    unsigned using;   /* enum jmap_capability bits */
    size_t out_begin; /* where the answers begin in the document */
    mono_us until;
};

struct jmap_call {
    const char *name, *id;
    json_t *args; /* with references resolved */
};

/* ---- jmap_memory.c: what a request may take, of memory and time ----
 * All memory of a call goes when it is answered; what stays are JSON values. An arena beyond its
 * ceiling stops the process: whoever takes memory for each of many things asks for room first. */

struct arena *jmap_memory_create(void);
/* Memory of one object: what `arena` gives until the end goes there. Never one in another. */
void jmap_scratch_begin(struct jmap_run *r);
void jmap_scratch_end(struct jmap_run *r);
/* May a call take more memory? One thing of a call takes far less than lies between this and the
 * arena's ceiling. */
bool jmap_has_room(const struct jmap_run *r);
/* How many values a JSON text consists of at most, and how deep they stand in each other. */
size_t jmap_count_values(struct slice text, unsigned *ret_depth);

/* Is the request's time over? Loops over what a request names ask before each. */
bool jmap_is_late(const struct jmap_run *r);
enum err jmap_late(struct errinfo *ei); /* ERR_RETRY, in words */

/* ---- jmap_answer.c: what is said to a call ---- */

/* Takes `args`. */
void jmap_answer(struct jmap_run *r, const struct jmap_call *c, const char *name, json_t *args);
/* RFC 8620 3.6.2. `description` in words; may be NULL. Types that name a limit are counted by the
 * table of refusals, here and in SetErrors. */
void jmap_refuse(struct jmap_run *r, const struct jmap_call *c, const char *type,
                 const char *description, ...) __attribute__((format(printf, 4, 5)));
/* The same, by a row that the type alone does not name. */
void jmap_refuse_limit(struct jmap_run *r, const struct jmap_call *c, enum refuse_id id,
                       const char *type, const char *description, ...)
    __attribute__((format(printf, 5, 6)));
void jmap_refuse_err(struct jmap_run *r, const struct jmap_call *c, enum err err,
                     const struct errinfo *ei); /* serverUnavailable, serverFail … */
/* Counts a refusal that is worded elsewhere: `what` was refused to whom. */
void jmap_count(enum refuse_id id, const char *what, const struct jmap_caller *who);
/* Not more than the session announces? Otherwise the call is refused (requestTooLarge). */
bool jmap_are_few_to_get(struct jmap_run *r, const struct jmap_call *c, size_t n);
bool jmap_are_few_to_set(struct jmap_run *r, const struct jmap_call *c, size_t n);
/* A SetError (RFC 8620 5.3); `property` may be NULL. */
json_t *jmap_set_error(const char *type, const char *property, const char *description, ...)
    __attribute__((format(printf, 3, 4)));
json_t *jmap_set_err(enum err err, const struct errinfo *ei); /* serverFail, overQuota … */
/* Counted: the request's time is over, nothing was done; it may be tried again. */
json_t *jmap_set_late(const struct jmap_run *r);

/* As text, appended; it is I-JSON. `out` knows of a failure. */
void jmap_write(struct buf *out, json_t *take);
bool jmap_is_ijson(const json_t *value); /* of JSON without double names: is it I-JSON? */
json_t *jmap_text(struct slice s);       /* a JSON string; what is no UTF-8 is replaced */
json_t *jmap_or_null(json_t *value);     /* itself; null for an empty list or object */
json_t *jmap_utc(utc_ms t);              /* "2026-11-22T04:00:00Z" */
json_t *jmap_state(uint64_t state);
/* A state in the midst of changes: "12", or "12.34" where only a part of number 12 was told. */
json_t *jmap_state_told(struct account_told told);
void jmap_id(char letter, uint64_t id, char ret[JMAP_ID_TEXT]);
json_t *jmap_id_json(char letter, uint64_t id);
bool jmap_id_parse(char letter, const char *text, uint64_t *ret);
/* An id, or "#" and a creation id of this request; 0: none such. */
uint64_t jmap_id_or_created(const struct jmap_run *r, char letter, const json_t *value);

/* ---- jmap_args.c: arguments ---- */

/* These refuse the call themselves and return false when the argument is no such thing. Absent or
 * null: the value in *ret stays. */
bool jmap_arg_account(struct jmap_run *r,
                      const struct jmap_call *c); /* accountId is the caller's */
/* Copying is from one account to another (RFC 8620 section 5.4), and a person has one. */
void jmap_refuse_copy(struct jmap_run *r, const struct jmap_call *c);
bool jmap_arg_bool(struct jmap_run *r, const struct jmap_call *c, const char *name, bool *ret);
bool jmap_arg_unsigned(struct jmap_run *r, const struct jmap_call *c, const char *name,
                       uint64_t *ret);
bool jmap_arg_int(struct jmap_run *r, const struct jmap_call *c, const char *name, int64_t *ret);
bool jmap_arg_text(struct jmap_run *r, const struct jmap_call *c, const char *name,
                   const char **ret);
/* A string of decimals that is a state; anything else: cannotCalculateChanges. */
bool jmap_arg_state(struct jmap_run *r, const struct jmap_call *c, const char *name, uint64_t *ret);
/* The same of what jmap_state_told writes. */
bool jmap_arg_told(struct jmap_run *r, const struct jmap_call *c, const char *name,
                   struct account_told *ret);
/* Only these names may be there. */
bool jmap_arg_names(struct jmap_run *r, const struct jmap_call *c, const char *const names[]);
/* Is `part` in `text`? ASCII case does not matter. */
bool jmap_contains(struct slice text, struct slice part);
/* Which order an entry of `sort` asks for. False: one that is not announced. */
bool jmap_collation(const json_t *sort, enum account_collation *ret);
bool jmap_utc_parse(const json_t *value, utc_ms *ret); /* UTCDate of RFC 8620 1.4 */

/* Bytes that this person keeps here for a while. Older ones go to make room. */
enum err jmap_keep_upload(const struct jmap_host *host, struct store_reader *reader,
                          const struct jmap_caller *who, struct slice bytes, uint64_t *ret_id,
                          struct errinfo *ei);

/* ---- types of things ---- */

/* How a type answers /get and /changes. */
struct jmap_type {
    const char *name; /* "Mailbox" */
    char letter;      /* of its ids */
    const char *only; /* there is one thing, and this is its id; its number is 1. Or NULL */
    enum account_type type;
    enum item_kind kind;
    const char *const *properties; /* all, NULL at the end */
    /* The whole thing, or NULL: there is none (any more). */
    json_t *(*make)(struct jmap_run *r, uint64_t id);
    /* The next one when all are wanted: *at starts at 0; 0 at the end. NULL: all cannot be had. */
    uint64_t (*next)(struct jmap_run *r, size_t *at);
    bool has_no_account; /* not of an account but of a log-in: no accountId, no state */
};
void jmap_get(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t);
/* `more` may add to the answer; may be NULL. */
void jmap_changes(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t,
                  void (*more)(const struct account_changes *changes, json_t *answer));
uint64_t jmap_type_state(const struct jmap_run *r, const struct jmap_type *t);
json_t *jmap_type_id(const struct jmap_type *t, uint64_t id);
/* Of a text, or of "#" and a creation id; 0: none such. */
uint64_t jmap_type_id_or_created(const struct jmap_run *r, const struct jmap_type *t,
                                 const char *text);
/* Which properties are wanted: NULL into *ret for all. Refuses the call itself. */
bool jmap_properties(struct jmap_run *r, const struct jmap_call *c, const char *const *known,
                     json_t **ret);
void jmap_strip(json_t *object, const json_t *wanted); /* leaves id and what is wanted */

/* ---- /set ---- */

struct jmap_set {
    struct jmap_run *r;
    const struct jmap_call *call;
    json_t *create, *update, *destroy; /* arguments; borrowed; may be NULL */
    json_t *created, *updated, *destroyed, *not_created, *not_updated, *not_destroyed;
    uint64_t old_state;
    void *arg; /* the setter's */
};
struct jmap_setter {
    const struct jmap_type *type;
    const char *const *more_args; /* beyond those of every /set; may be NULL */
    /* Each gives NULL, or a SetError. `ret_set`: properties that the server has set, or NULL. */
    json_t *(*create)(struct jmap_set *s, json_t *object, uint64_t *ret_id, json_t **ret_set);
    json_t *(*update)(struct jmap_set *s, uint64_t id, json_t *patch, json_t **ret_set);
    json_t *(*destroy)(struct jmap_set *s, uint64_t id);
    /* All of one kind were looked at: write what was gathered; what fails goes from `done`
     * (created, updated or destroyed) to `not_done`. May be NULL: then each is written at once.
     * Nothing in the arena outlives this, and without it nothing outlives one object. */
    void (*flush)(struct jmap_set *s, json_t *done, json_t *not_done);
    bool is_gathered; /* what is created is written by `flush`, and not to be referred to before */
    void *arg;
};
/* False: the call was refused. Otherwise the answer is given. */
bool jmap_set_run(struct jmap_run *r, const struct jmap_call *c, const struct jmap_setter *setter);

/* A PatchObject put upon `object` (RFC 8620 5.3). NULL, or a SetError invalidPatch. */
json_t *jmap_patch(json_t *object, const json_t *patch);
/* A property that may be set, and what takes its value: `arg` is the setter's. */
struct jmap_property {
    const char *name;
    void (*take)(void *arg, const json_t *value);
};
/* Hands each property of `object` to its taker. NULL, or the name of one that has none and is not
 * as `now` (which may be NULL) has it: the server sets it. */
const char *jmap_take_all(const struct jmap_property *known, size_t n, void *arg,
                          const json_t *object, const json_t *now);
/* Of what was made, leaves what the client did not say, or said in other words. */
void jmap_leave_untold(json_t *made, const json_t *asked);
/* A call that changes things of this type begins; the state before goes to *ret. False: refused,
 * since the view lacks what an earlier call wrote. */
bool jmap_changes_begin(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t,
                        uint64_t *ret);
/* It ends. False: refused (serverPartialFail), since something of it was written that is not to be
 * seen yet: a client is to look again, and not to do it again. */
bool jmap_changes_end(struct jmap_run *r, const struct jmap_call *c);
/* `oldState` of it: null if changes of others came along. newState covers them, and a client that
 * took that one for its next would never hear of them (RFC 8620 5.3). */
json_t *jmap_old_state(const struct jmap_run *r, uint64_t before);
/* Durable, applied and seen by this request; or an error. ERR_EXISTS: durable, but not seen; from
 * then on this request writes nothing more. */
enum err jmap_commit_now(struct jmap_run *r, struct jmap_commit *c, struct errinfo *ei);
static inline bool jmap_is_durable(enum err of_commit)
{
    return of_commit == ERR_OK || of_commit == ERR_EXISTS;
}

/* ---- jmap_item.c ---- */
/* Puts an item of the caller's (jmap_item.def), or a tombstone of it (`body` NULL). */
enum err jmap_item_put(struct jmap_run *r, enum item_kind kind, uint64_t id, const struct buf *body,
                       struct errinfo *ei);

/* ---- jmap_identity.c ---- */
/* One with the main address, for an account that has none with it. */
enum err jmap_identity_provide(struct jmap_run *r, struct errinfo *ei);
/* False: there is no such identity. What is in it is borrowed from the account. */
bool jmap_identity_read(struct jmap_run *r, uint64_t id, struct jmap_item_identity *ret);
bool jmap_is_own_address(const struct jmap_caller *who, struct slice address);

/* ---- jmap_window.c: the part of the results that is asked for ---- */
#define JMAP_NO_LIMIT ((uint64_t)INT64_MAX)
struct jmap_window {
    int64_t position, anchor_offset;
    const char *anchor; /* NULL: none */
    uint64_t limit;     /* ours before jmap_window_args; then what counts */
    bool is_cut;        /* our limit counts, the answer says so */
    bool want_total;
};
bool jmap_window_args(struct jmap_run *r, const struct jmap_call *c, struct jmap_window *ret);
/* Where it begins in `ids`; refuses with anchorNotFound. */
bool jmap_window_find(struct jmap_run *r, const struct jmap_call *c, const struct jmap_window *w,
                      char letter, const uint64_t *ids, size_t n, size_t *ret_from);
/* Takes `ids`. */
json_t *jmap_window_answer(const struct jmap_run *r, const struct jmap_call *c,
                           const struct jmap_window *w, uint64_t state, bool can_changes,
                           uint64_t position, json_t *ids, uint64_t total);

/* ---- jmap_query_changes.c ---- */
struct jmap_results {
    const uint64_t *ids; /* all that match now, in their order */
    size_t n;
    bool moves_others; /* one that changes may hide or move those that do not */
};
/* Refuses or answers. What is special to the type's /query was judged before. */
void jmap_query_changes(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t,
                        const struct jmap_results *now);

/* ---- the methods, by the table jmap_method.def ---- */
#define JMAP_METHOD(name, function, capability)                                                    \
    void function(struct jmap_run *r, const struct jmap_call *c);
#include "jmap/jmap_method.def"
#undef JMAP_METHOD

/* ---- jmap_ref.c ---- */
/* Arguments whose names begin with '#' are replaced (RFC 8620 3.7). NULL, or an error type. When
 * the request's time is over, the rest stays as it is. */
const char *jmap_resolve(struct jmap_run *r, json_t *args);
/* A step of a JSON pointer with ~1 and ~0 undone (RFC 6901), terminated: raw.n + 1 bytes. */
bool jmap_pointer_step(struct slice raw, char *ret);

/* ---- jmap_session.c ---- */
/* Another one when the session object would be another: "s" and digits. */
enum { JMAP_SESSION_STATE_TEXT = 24 };
void jmap_session_state(const struct jmap_caller *who, char ret[JMAP_SESSION_STATE_TEXT]);

#endif
