/* Inside the room: the arrays and lists of a view, and the cache it lives in. */
#ifndef ACCOUNT_ACCOUNT_INT_H
#define ACCOUNT_ACCOUNT_INT_H

#include "account/account.h"

#include <pthread.h>

/* What sorting by words needs; read from the index when somebody asks for such an order. */
struct sort_words {
    size_t bytes;                   /* of the whole block */
    struct slice from, to, subject; /* in the block of this struct */
    utc_ms sent;
};

/* One block of memory: the email, behind it its places and keywords. */
struct account_entry {
    struct account_email e;
    struct list changed;      /* by modseq, oldest first */
    struct sort_words *words; /* NULL: not read yet */
};

struct account_thread {
    uint64_t id;
    size_t number;                  /* how many there were before it */
    struct account_entry **members; /* all, also those that are gone; by received, then id */
    size_t n, cap;
    size_t n_here;     /* that are not gone */
    bool is_taken_out; /* of the counts, until account_view_settle */
};

struct mailbox_entry {
    struct account_mailbox m;
    bool is_touched; /* while one thread is counted: it is in account.touched */
};

struct item_entry {
    struct account_item i;
    enum item_kind kind;
};

enum { ITEM_KIND_N = ITEM_LOGIN + 1 };

struct account {
    struct account_cache *cache;
    uint64_t person;
    struct list node; /* cache->views, longest unused first */
    bool is_held;
    unsigned n_waiting;
    size_t bytes;         /* of memory, but for the arrays and maps: account_view_bytes */
    size_t counted_bytes; /* that the cache knows of */
    uint64_t emails_seen; /* taken up to here; 0: nothing yet */
    uint64_t modseq, floor, mail_bytes;
    uint64_t thread_state, mailbox_state, item_state[ITEM_KIND_N];
    uint64_t delivered; /* `created` of the email that came last */

    struct account_entry **by_id; /* all, also those that are gone */
    size_t n_by_id, cap_by_id;
    struct account_entry **by_received; /* oldest first; none that is gone */
    size_t n_by_received, cap_by_received;
    struct list changed;              /* struct account_entry by modseq, oldest first */
    struct map *threads;              /* id -> struct account_thread */
    struct mailbox_entry **mailboxes; /* by id */
    size_t n_mailboxes, cap_mailboxes;
    struct mailbox_entry **touched; /* while one thread is counted */
    size_t n_touched, cap_touched;
    uint64_t trash;            /* id of the mailbox with that role; 0: none */
    struct item_entry **items; /* by kind, id */
    size_t n_items, cap_items;
    bool is_counting_late; /* all comes for the first time: counts are made at its end */
    bool is_gathering;     /* changes come: threads are counted at their end, each once */
    struct account_thread **taken_out; /* while they come: threads that are not counted */
    size_t n_taken_out, cap_taken_out;
};

struct account_cache {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct map *by_person;   /* under lock */
    struct list views;       /* under lock; struct account.node */
    size_t bytes, bytes_max; /* under lock */
};

/* ---- account_view.c: taking things up ---- */
struct account *account_view_create(uint64_t person);
void account_view_destroy(struct account **a);
/* Between these two many changes come: counts and orders are made at the end. */
void account_view_begin(struct account *a);
void account_view_end(struct account *a);
/* Between these two some change: each thread is counted once, however many of its emails do. */
void account_view_gather(struct account *a);
void account_view_settle(struct account *a);
size_t account_view_bytes(const struct account *a); /* of memory, as the allocator has it */
/* Tombstones up to `floor` are forgotten. */
void account_view_purge(struct account *a, uint64_t floor);
/* As new, but for who holds it. */
void account_view_clear(struct account *a);
/* As it is now; older than what is known: nothing happens. */
void account_view_email(struct account *a, const struct account_email *e);
void account_view_mailbox(struct account *a, const struct account_mailbox *m);
void account_view_item(struct account *a, enum item_kind kind, const struct account_item *i);

struct account_entry *account_entry(const struct account *a, uint64_t message);
struct account_thread *account_thread_of(const struct account *a, uint64_t thread);
struct mailbox_entry *account_mailbox_entry(const struct account *a, uint64_t id);
size_t account_mailbox_place(const struct account *a, uint64_t id); /* where it is or would be */

/* What a block of `n` bytes takes: its head, rounded up. */
static inline size_t account_block(size_t n)
{
    return n + 8 <= 32 ? 32 : (n + 8 + 15) / 16 * 16;
}

/* ---- account_count.c: how many are in a mailbox ---- */
/* What this thread adds to (or takes from) the counts of threads. */
void account_count_thread(struct account *a, const struct account_thread *t, int by);
void account_count_email(struct account *a, const struct account_email *e, int by);
void account_count_all(struct account *a);

/* ---- account_match.c ---- */
enum { ACCOUNT_THREAD_KNOWN = 1, ACCOUNT_THREAD_SOME = 2, ACCOUNT_THREAD_ALL = 4 };
/* While a question is answered; the view does not change meanwhile. */
struct account_match {
    const struct account *a;
    const struct account_query *q;
    const struct account_filter *filter; /* in the arena; NULL: all */
    size_t *sort_numbers;                /* of each sort about threads: its keyword's */
    struct slice *keywords;              /* that are asked for in threads */
    size_t n_keywords, cap_keywords, n_threads;
    uint8_t *facts; /* of each keyword, of each thread; 0: not known yet */
};
/* ERR_LIMIT: too much is asked about threads. To be finished in any case. */
enum err account_match_init(struct account_match *m, const struct account *a,
                            const struct account_query *q, struct arena *arena, struct errinfo *ei);
void account_match_finish(struct account_match *m);
bool account_matches(const struct account_match *m, const struct account_filter *f,
                     const struct account_email *e);
/* Do emails of a thread have this keyword? The bits above. */
unsigned account_thread_has(const struct account_match *m, uint64_t keyword, uint64_t thread);

/* ---- account_sort.c ---- */
/* ERR_RETRY: not all of them were read until then; the next one goes on. */
enum err account_sort_words(struct account *a, struct store_reader *reader, mono_us until,
                            struct errinfo *ei);
int account_compare(const struct account_match *m, const struct account_entry *x,
                    const struct account_entry *y);

#endif
