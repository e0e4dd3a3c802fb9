/* An account in memory: the emails, mailboxes and other things of one person, as JMAP and IMAP see
 * them.
 *
 * A view is loaded from the index when somebody opens the account, and before each use it takes up
 * what changed since; so whoever holds it sees everything that was durable and applied when he
 * opened it, and nothing of it changes while he holds it. Lists, counts, threads, "what changed
 * since" and queries are answered from here without touching the disk, whatever the size.
 * Views live in a cache with a ceiling in bytes; the longest unused go first.
 *
 * Threads: any. A view is held by one thread at a time; others wait for it. Slices and pointers in
 * a view are borrowed until it is let go. Decides nothing about mail; writes nothing.
 * RFC 8620, 8621 (mailboxes, threads, changes, queries). */
#ifndef ACCOUNT_ACCOUNT_H
#define ACCOUNT_ACCOUNT_H

#include "store/store_account.h"

/* ---- the cache ------------------------------------------------------------------------------ */

struct account_cache;
/* `bytes_max`: of all views together, as the allocator has them; one that is held is never dropped.
 */
struct account_cache *account_cache_create(size_t bytes_max);
void account_cache_limit(struct account_cache *c, size_t bytes_max); /* from now on */
void account_cache_destroy(struct account_cache **c); /* nothing is held any more; takes NULL */
size_t account_cache_bytes(const struct account_cache *c);

struct account;
/* Holds the view of this person's account, as of now. Waits at most `patience` for whoever holds it
 * (ERR_RETRY). ERR_GONE: no such account in the index. ERR_IO, ERR_CORRUPT: the index. */
enum err account_hold(struct account_cache *c, struct store_reader *reader, uint64_t person,
                      mono_us patience, struct account **ret, struct errinfo *ei);
/* Takes up what changed since, e.g. one's own commit. */
enum err account_catch_up(struct account *a, struct store_reader *reader, struct errinfo *ei);
void account_let_go(struct account **a); /* takes NULL */

uint64_t account_modseq(const struct account *a); /* the largest change number seen */
uint64_t account_floor(const struct account *a);  /* changes since before it are not known */
uint64_t account_bytes(const struct account *a);  /* of all emails that are not gone */

/* ---- emails --------------------------------------------------------------------------------- */

struct account_email {
    uint64_t message, thread, modseq, created, counted;
    utc_ms received;
    uint32_t bytes, flags; /* enum email_flags */
    uint32_t n_places;     /* also those that are gone */
    uint32_t n_keywords;   /* those without a flag */
    const struct record_place *places;
    const struct record_keyword *keywords;
    bool is_gone;
};
/* NULL: no such email; one that is gone is given. */
const struct account_email *account_email(const struct account *a, uint64_t message);
/* Newest `received` first (then larger message id first), without those that are gone. */
size_t account_n_emails(const struct account *a);
const struct account_email *account_nth_email(const struct account *a, size_t n);
bool account_is_in(const struct account_email *e, uint64_t mailbox);
bool account_has_keyword(const struct account_email *e, struct slice keyword); /* "$seen" too */
uint32_t account_flag(struct slice keyword); /* its bit of the flags; 0: it has none */

/* Emails of a thread that are not gone, oldest `received` first, at most `max` of them into `ret`;
 * returns how many there are. */
size_t account_thread(const struct account *a, uint64_t thread, uint64_t *ret, size_t max);

/* ---- mailboxes ------------------------------------------------------------------------------ */

struct account_mailbox {
    uint64_t id, parent, modseq, created;
    struct slice name, role;
    uint32_t sort_order, uid_validity;
    bool is_subscribed, is_gone;
    /* RFC 8621 section 2; unread threads as there, with its rule about Trash. */
    uint32_t n_emails, n_unread, n_threads, n_unread_threads;
};
const struct account_mailbox *account_mailbox(const struct account *a, uint64_t id);
const struct account_mailbox *account_mailbox_by_role(const struct account *a, struct slice role);
/* *at starts at 0; also those that are gone; NULL at the end. By id. */
const struct account_mailbox *account_next_mailbox(const struct account *a, size_t *at);

/* ---- other things --------------------------------------------------------------------------- */

struct account_item {
    uint64_t id, modseq, created;
    struct slice body;
    bool is_gone;
};
const struct account_item *account_item(const struct account *a, enum item_kind kind, uint64_t id);
const struct account_item *account_next_item(const struct account *a, enum item_kind kind,
                                             size_t *at); /* by id, also those that are gone */

/* ---- what changed --------------------------------------------------------------------------- */

enum account_type {
    ACCOUNT_EMAIL,
    ACCOUNT_THREAD,
    ACCOUNT_MAILBOX,
    ACCOUNT_ITEM, /* and a kind */
    ACCOUNT_TYPE_N
};
/* The state of a type: the largest change number at which something of it changed. */
uint64_t account_state(const struct account *a, enum account_type type, enum item_kind kind);

/* The same of emails that came, whatever became of them since. */
uint64_t account_delivered(const struct account *a);

/* How far somebody knows what changed: all up to a number, and of what changed with that number
 * only ids up to `id`. Many things may change with one number: the emails of a mailbox that goes.
 */
struct account_told {
    uint64_t modseq, id;
};
#define ACCOUNT_TOLD(number) ((struct account_told){number, UINT64_MAX}) /* all of it */

struct account_changes {
    uint64_t *created, *updated, *destroyed; /* ids, in the caller's arena */
    size_t n_created, n_updated, n_destroyed;
    struct account_told until;
    bool has_more;       /* `max` cut it: go on from `until` */
    bool is_counts_only; /* mailboxes: every `updated` one changed in its counts only */
};
/* Exactly what RFC 8620 5.2 wants; created and destroyed since then: in neither list. At most
 * `max` ids (0: no bound).
 * ERR_GONE: `since` is before the floor, or larger than the state: cannotCalculateChanges. */
enum err account_changes(const struct account *a, enum account_type type, enum item_kind kind,
                         struct account_told since, size_t max, struct arena *arena,
                         struct account_changes *ret);

/* ---- queries for emails --------------------------------------------------------------------- */

enum account_test {
    ACCOUNT_AND, /* the operators: `parts` */
    ACCOUNT_OR,
    ACCOUNT_NOT, /* none of the parts matches */
    ACCOUNT_ALL, /* matches everything */
    ACCOUNT_IN_MAILBOX,
    ACCOUNT_IN_MAILBOX_OTHER_THAN, /* in at least one that is not among `ids` */
    ACCOUNT_BEFORE,                /* received < time */
    ACCOUNT_AFTER,                 /* received >= time */
    ACCOUNT_MIN_SIZE,
    ACCOUNT_MAX_SIZE, /* bytes < number */
    ACCOUNT_ALL_IN_THREAD_HAVE,
    ACCOUNT_SOME_IN_THREAD_HAVE,
    ACCOUNT_NONE_IN_THREAD_HAVE,
    ACCOUNT_HAS,
    ACCOUNT_HAS_NOT,
    ACCOUNT_HAS_ATTACHMENT, /* number 0 or 1 */
    ACCOUNT_ONE_OF,         /* message is among `ids` (sorted): the answer of a text search */
};
struct account_filter {
    enum account_test test;
    uint64_t number; /* mailbox, size, 0 or 1 */
    utc_ms time;
    struct slice keyword;
    const uint64_t *ids; /* sorted */
    size_t n_ids;
    const struct account_filter *parts;
    size_t n_parts;
};
enum account_sort_by {
    ACCOUNT_BY_RECEIVED,
    ACCOUNT_BY_SIZE,
    ACCOUNT_BY_FROM, /* these four: from the index's fields, read once for a view and kept */
    ACCOUNT_BY_TO,
    ACCOUNT_BY_SUBJECT, /* the base subject */
    ACCOUNT_BY_SENT,
    ACCOUNT_BY_HAS_KEYWORD,
    ACCOUNT_BY_ALL_IN_THREAD_HAVE,
    ACCOUNT_BY_SOME_IN_THREAD_HAVE,
};
/* How texts are compared; all but the first are those of RFC 4790. */
enum account_collation {
    ACCOUNT_FOR_PEOPLE, /* case and accents do not count, in any alphabet */
    ACCOUNT_ASCII_CASEMAP,
    ACCOUNT_ASCII_NUMERIC, /* the number at the beginning; what has none comes last */
    ACCOUNT_OCTET,
};
int account_collate(enum account_collation by, struct slice a, struct slice b);
struct account_sort {
    enum account_sort_by by;
    bool is_ascending;
    struct slice keyword;
    enum account_collation collation; /* of ACCOUNT_BY_FROM, _TO, _SUBJECT */
};
struct account_query {
    const struct account_filter *filter; /* NULL: all */
    const struct account_sort *sorts;    /* ties: newest received first, then id */
    size_t n_sorts;                      /* 0: newest received first */
    bool collapse_threads;
    bool want_total;
    int64_t position; /* negative: from the end */
    uint64_t anchor;  /* 0: none */
    int64_t anchor_offset;
    size_t limit;
    mono_us until; /* 0: however long it takes */
};
struct account_result {
    uint64_t *ids; /* in the arena */
    size_t n_ids;
    uint64_t position, total; /* total only when asked for (or needed for the position) */
};
/* ERR_GONE: the anchor is not among the results (anchorNotFound). ERR_RETRY: not answered before
 * `until`. ERR_LIMIT: more is asked about threads than is kept. Threads are gone through once for
 * each keyword that is asked for, whatever their length. The usual question, newest first
 * in one mailbox with or without threads collapsed, costs no more than the answer is long. */
enum err account_query(struct account *a, struct store_reader *reader,
                       const struct account_query *q, struct arena *arena,
                       struct account_result *ret, struct errinfo *ei);

struct account_added {
    uint64_t id, index;
};
struct account_query_changes {
    uint64_t *removed;
    struct account_added *added; /* by index */
    size_t n_removed, n_added;
    uint64_t total;
};
/* RFC 8620 5.6: `removed` holds at least what is in the old result and not, or elsewhere, in the
 * new one. `up_to_id`: nothing behind it need be told in `added` (0: all). ERR_GONE:
 * cannotCalculateChanges. ERR_LIMIT, ERR_RETRY: as above. */
enum err account_query_changes(struct account *a, struct store_reader *reader,
                               const struct account_query *q, uint64_t since, uint64_t up_to_id,
                               struct arena *arena, struct account_query_changes *ret,
                               struct errinfo *ei);

#endif
