/* Reading the index: read-only connections, one a thread, never checkpointing.
 *
 * Rows come through callbacks that return false to stop; slices in a row are borrowed for that
 * call. What accounts have: store_account.h. A callback may ask the same reader further questions:
 * all see the same moment. Lists are bounded by `limit` (0: all). Everything sees at least what
 * store_wait_applied waited for. Errors of all: ERR_CORRUPT the index is damaged, ERR_IO the disk,
 * ERR_RETRY the deadline passed.
 */
#ifndef STORE_STORE_READER_H
#define STORE_STORE_READER_H

#include "store/store.h"

struct store_reader;

/* `dir` is the store's (store_options.dir); its index exists. ERR_INVALID: from a newer version. */
enum err store_reader_open(const char *dir, struct store_reader **ret, struct errinfo *ei);
void store_reader_close(struct store_reader **r); /* takes NULL */
/* Questions that still run at that moment of the monotonic clock end with ERR_RETRY; 0: none. */
void store_reader_deadline(struct store_reader *r, mono_us at);

/* ---- objects ---- */
typedef bool store_object_fn(void *arg, const struct record_object *o);
/* All of a kind, by id. */
enum err store_each_object(struct store_reader *r, enum object_kind kind, store_object_fn *fn,
                           void *arg, struct errinfo *ei);

/* ---- messages and ledger rows ---- */
struct store_message {
    struct record_message facts; /* rcpts, chunks and fields are not filled */
    struct record_fields fields;
    bool is_answered; /* false: the sender may not know that we have it */
    bool is_dropped;  /* the bytes are given up */
};
struct store_row {
    uint64_t message;
    uint16_t rcpt;
    struct record_rcpt facts;  /* as accepted */
    struct record_result last; /* disposition, attempts, due, code, text … as of now; before the
                                * first result: disposition only */
    bool is_attempting;        /* an attempt has begun and has no result */
    bool is_possible_double; /* an attempt had no answer, or none that we saw: may be there twice */
    utc_ms received;
    uint64_t tenant;
    uint32_t bytes;
    struct slice mail_from;
};
typedef bool store_row_fn(void *arg, const struct store_row *row);

/* One message, everything in `a`. ERR_GONE: no such message. */
enum err store_get_message(struct store_reader *r, uint64_t id, struct arena *a,
                           struct store_message *ret, struct errinfo *ei);
/* Where its bytes lie, in order. ERR_GONE: no such message, or its bytes are given up. */
enum err store_get_extents(struct store_reader *r, uint64_t id, struct arena *a,
                           struct record_extent **ret, size_t *ret_n, struct errinfo *ei);
enum err store_each_row_of(struct store_reader *r, uint64_t message, store_row_fn *fn, void *arg,
                           struct errinfo *ei);
/* What is not final, oldest first: what the queue loads at start, and lists. Filters: 0 = any.
 * `limit` never cuts the rows of one message apart, so that `after` loses none. */
struct store_row_filter {
    enum disposition disposition; /* 0: waiting and held; with is_doubles_only: any */
    uint64_t tenant, primary;
    struct slice address; /* recipient or sender, exact, any case; empty: any */
    uint64_t after;       /* only messages with a larger id (for paging) */
    uint64_t last;        /* only messages with this id or a smaller one; 0: any */
    uint32_t limit;       /* 0: all */
    bool is_doubles_only;
    bool is_any; /* whatever became of it; `disposition` is 0 */
};
enum err store_each_row(struct store_reader *r, const struct store_row_filter *filter,
                        store_row_fn *fn, void *arg, struct errinfo *ei);

/* Messages by what people know of them, newest first. `text` is matched in any (ASCII) case against
 * id, Message-ID, sender, recipients (exact or domain) and subject (part of it); empty: all. Reads
 * back through the messages until `limit` are found: set a deadline. */
typedef bool store_message_fn(void *arg, const struct store_message *m);
struct store_search {
    struct slice text;
    uint64_t tenant;
    utc_ms since, until; /* 0: open */
    uint32_t limit;
};
enum err store_search(struct store_reader *r, const struct store_search *what, store_message_fn *fn,
                      void *arg, struct errinfo *ei);
/* Every attempt and decision about a message in order of time. is_begin: an attempt begins (only
 * message, rcpt and time of `r` say something; the destination is empty for a first attempt, which
 * goes to the primary of its row). */
typedef bool store_history_fn(void *arg, const struct record_result *r, bool is_begin,
                              struct slice destination);
enum err store_each_history(struct store_reader *r, uint64_t message, store_history_fn *fn,
                            void *arg, struct errinfo *ei);

/* The ledger's sums over rows without a parent: by disposition, and `accepted` counted on its own
 * from the messages (recipients as they were accepted). Equal or something is wrong. Attempts and
 * possible doubles are counted over all rows. Cost: reads every row and message (1 M in under a
 * second), so not for every turn of a screen. `tenant` 0: all. */
struct store_sums {
    uint64_t accepted;
    uint64_t by[DISPOSITION_N];
    uint64_t n_attempting, n_possible_doubles, n_unanswered;
};
enum err store_sums(struct store_reader *r, uint64_t tenant, struct store_sums *ret,
                    struct errinfo *ei);

/* The rows of one primary in an interval: rows without a parent of messages first..last. What was
 * received before `since` is among them only if it was open then. */
struct store_span {
    uint64_t primary, first, last;
    utc_ms since;
};
bool store_span_has(const struct store_span *span, const struct store_row *row);
/* The ledger's sums over these rows, counted in the index itself and not by walking them.
 * `accepted` is, as in store_sums, counted from the messages, here only from those received since
 * `since`; `by` and the possible doubles from all the rows. The other members are 0. */
enum err store_sums_span(struct store_reader *r, const struct store_span *span,
                         struct store_sums *ret, struct errinfo *ei);

/* Questions between these two see the same moment; they nest. */
void store_reader_hold(struct store_reader *r);
void store_reader_let_go(struct store_reader *r);

/* ---- events, newest first; numbers grow ---- */
typedef bool store_event_fn(void *arg, uint64_t number, const struct record_event *e);
/* `tenant` 0: all; `since`: not older. */
enum err store_each_event(struct store_reader *r, uint64_t tenant, utc_ms since, uint32_t limit,
                          store_event_fn *fn, void *arg, struct errinfo *ei);

/* ---- evidence about a primary, oldest first ---- */
typedef bool store_evidence_fn(void *arg, const struct record_evidence *run);
enum err store_each_evidence(struct store_reader *r, uint64_t primary, utc_ms since,
                             store_evidence_fn *fn, void *arg, struct errinfo *ei);

/* ---- how near a limit came: one for each hour in which it was measured, oldest first ---- */
typedef bool store_high_fn(void *arg, const struct record_high *high);
enum err store_each_high(struct store_reader *r, uint32_t refusal, utc_ms since, store_high_fn *fn,
                         void *arg, struct errinfo *ei);

/* ---- sizes of what arrived since then, oldest first; reads every message of that time ---- */
struct store_arrival {
    uint64_t message;
    utc_ms received;
    enum direction direction;
    uint32_t bytes;   /* without what we put before it */
    uint32_t n_rcpts; /* as they were given, without members of groups */
    struct slice client, mail_from;
};
typedef bool store_arrival_fn(void *arg, const struct store_arrival *a);
enum err store_each_arrival(struct store_reader *r, utc_ms since, store_arrival_fn *fn, void *arg,
                            struct errinfo *ei);

/* ---- messages by their ids, for who goes through all of them ---- */
struct store_interval {
    uint64_t first, last; /* both belong to it */
    bool is_newest_first;
    uint32_t limit; /* 0: all */
};
typedef bool store_facts_fn(void *arg,
                            const struct record_message *m); /* no rcpts, chunks, fields */
enum err store_each_message(struct store_reader *r, const struct store_interval *in,
                            store_facts_fn *fn, void *arg, struct errinfo *ei);

/* ---- retention ---- */
/* Messages whose bytes nobody needs any more: every row final and none attempting, and no account
 * holds it; at most `limit` ids into ret, oldest first. One without recipients (a draft, an upload)
 * has an hour until something holds it. */
enum err store_droppable(struct store_reader *r, uint32_t limit, struct arena *a,
                         struct record_ids *ret, struct errinfo *ei);

#endif
