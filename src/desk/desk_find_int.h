/* Filling the index of words: what its files share. Everything is of one thread but for what is
 * marked otherwise.
 *
 * desk_find.c          the thread and its turns
 * desk_find_words.c    the words of one message
 * desk_find_batch.c    messages one behind the other, and those that came late
 * desk_find_compare.c  accounts: what search lacks, what it must lose
 * desk_find_wait.c     questions that wait until what was changed before them is in
 * desk_find_progress.c how much is in, for people */
#ifndef DESK_DESK_FIND_INT_H
#define DESK_DESK_FIND_INT_H

#include "desk/desk_jmap_int.h"

#include "store/store_account.h"
#include "store/store_search.h"

enum {
    FIND_BATCH = 64,
    FIND_LATE_MAX = 1024,
    FIND_HEADER_MAX = 2 << 20, /* bytes of what a gate says of one message's header */
    FIND_ARENA_BYTES = 256 << 20,
};

/* A message that came into an account behind the mark. */
struct find_late {
    uint64_t message, account;
};

struct finder {
    struct desk *desk;
    pthread_t thread;
    _Atomic unsigned n_alive;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_over;     /* under lock */
    bool is_damaged;  /* under lock: whoever asked says so */
    struct map *told; /* under lock: person -> change number that her account will reach */

    struct store_search_writer *search;
    struct store_reader *reader;
    struct jmap_host host;
    struct arena *arena; /* of a batch */
    mono_us purge_at, rebuild_at;
    mono_us looked_at, turned_at; /* at the store's figures; the last turn began */
    uint64_t n_records;           /* that were written until then */
    bool is_busy;
    char trouble[200]; /* that was told last; "": none */
    struct {
        struct email_want all, less; /* of the header */
        struct arena *kept;          /* what they are made of */
        uint64_t stuck;              /* the message that cannot be read for the moment */
        mono_us stuck_since;
    } words;
    struct {
        struct map *seen;         /* person -> change number up to which it was compared */
        struct list dirty, whole; /* struct find_account: what changed; what is compared anyway */
        struct map *dirty_of;     /* person -> the one in `dirty` */
        mono_us whole_at;
        struct find_late late[FIND_LATE_MAX];
        size_t n_late;
    } compare;
    struct admin_search shown; /* under lock: to people */
    struct {                   /* under lock */
        struct map *fresh;     /* person -> number of her last change that may not be in yet */
        pthread_cond_t settled;
        unsigned n;
    } wait;
};

/* Of the store's index, not of the search, which is made anew for ERR_CORRUPT. */
enum err find_index_err(enum err err);

/* What cannot be read, by us or by a gate, has no words: search does not stand still for it. Not
 * ERR_OK: only what passes (no gate, no room, a disk); again later. `t->message` is given, texts
 * are in the finder's arena. */
enum err find_words(struct finder *f, struct store_search_text *t, struct errinfo *ei);
void find_words_create(struct finder *f);
void find_words_destroy(struct finder *f);

/* The next messages above the upper mark, or below the lower one. `*ret_did`: some were there. */
enum err find_fill(struct finder *f, bool is_up, bool *ret_did, struct errinfo *ei);
/* Those of compare.late, some at a time; they leave it when they are in. */
enum err find_fill_late(struct finder *f, bool *ret_did, struct errinfo *ei);

/* Some of the accounts that changed, or whose turn it is. */
enum err find_compare(struct finder *f, bool *ret_did, struct errinfo *ei);
/* What is in compare.late does not come in now: these accounts are compared as a whole next time.
 */
void find_compare_again(struct finder *f);
/* The file was made anew: it has nothing, and is filled with what there is. */
void find_compare_forget(struct finder *f);
void find_compare_create(struct finder *f);
void find_compare_destroy(struct finder *f);

/* Before each turn: a gate may take its time, and what was in the way stands in `trouble`. */
void find_show_progress(struct finder *f);

/* The number of a turn; all that was told before it is looked at in it. */
uint64_t find_begin_turn(struct finder *f);
/* Its end, with no error. `is_all`: nothing stands above the upper mark. */
void find_end_turn(struct finder *f, uint64_t turn, bool is_all);
bool find_is_awaited(struct finder *f);                    /* somebody searches and waits for us */
void find_wait_changed(struct finder *f, uint64_t person); /* with the lock held */
void find_wait_create(struct finder *f);
void find_wait_destroy(struct finder *f);

#endif
