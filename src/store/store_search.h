/* Text search in the mail of accounts: index/search.db, filled behind the mail.
 *
 * Nothing depends on this file: it may lag, be deleted or be damaged, and is filled again from the
 * mail. Whoever fills it (the filler) asks for the marks, gets the text of the messages beyond them
 * and adds it. Every word is stored with a tag of its account, so a question reads, and can find,
 * nothing but the words of its own account. No text is kept, only the index of its words.
 * Format: docs/disk-format.md, "Search". */
#ifndef STORE_STORE_SEARCH_H
#define STORE_STORE_SEARCH_H

#include "store/record.h"

struct store_search_writer; /* the writer: one a store, one thread at a time */
struct store_search_reader; /* one a thread */
struct store_files;

enum {
    STORE_SEARCH_FIELD_MAX = 512 << 10,  /* bytes of a field that are searchable; the rest is not */
    STORE_SEARCH_TOKEN_MAX = 48,         /* bytes of a word that count; longer ones are cut there */
    STORE_SEARCH_LIMIT_MAX = 10000,      /* hits of one question */
    STORE_SEARCH_EXPRESSION_MAX = 65536, /* bytes */
    STORE_SEARCH_FREE_PERCENT = 15,      /* less room than this on the disk: search waits */
    STORE_SEARCH_ERASE_DAYS = 7, /* a removed message's words are gone from the disk by then */
};

struct store_search_options {
    const char *dir;                 /* the store's; it exists */
    const struct store_files *files; /* for the room on the disk; NULL: the real ones */
    unsigned free_percent;           /* 0: STORE_SEARCH_FREE_PERCENT */
    /* The file was made anew, with the reason in words. On the calling thread. May be NULL. */
    void (*tell)(void *arg, enum event_class class, const char *name, const char *text);
    void *tell_arg;
};

/* A file that is missing, damaged, another program's or another version's is made anew and told.
 * ERR_IO, ERR_FULL the disk: try again later, mail does not need it. ERR_RETRY: it is in use. */
enum err store_search_open(const struct store_search_options *options,
                           struct store_search_writer **ret, struct errinfo *ei);
void store_search_close(struct store_search_writer **s); /* takes NULL */
/* Throw the file away and begin with an empty one; for ERR_CORRUPT from anywhere here. Readers move
 * over to it by themselves. Should it fail, every function here tries to open the file again first,
 * and fails as that does (ERR_IO, ERR_FULL; ERR_CORRUPT: the old one is still there). */
enum err store_search_rebuild(struct store_search_writer *s, struct errinfo *ei);
/* Throw it away where nobody has it open: the next one to open it begins with an empty one. */
enum err store_search_drop(const char *dir, struct errinfo *ei);

/* ---- filling ---- */

/* All messages first..last have been looked at. Both 0: none yet, begin with the newest message
 * there is; go on upwards with new mail first, downwards from `first` when nothing is new. So what
 * people look for most is found minutes after the file was lost. */
struct store_search_marks {
    uint64_t first, last;
};
enum err store_search_marks(struct store_search_writer *s, struct store_search_marks *ret,
                            struct errinfo *ei);

/* The text of one message, the same in all accounts that have it. UTF-8; what is not is read as
 * best as it can be. Addresses with their names; body: plain text of all its text parts; names: of
 * attachments. */
struct store_search_text {
    uint64_t message;
    const uint64_t *accounts; /* persons; none is allowed */
    size_t n_accounts;
    struct slice from, to, cc, bcc, subject, body, names;
};

/* `texts` ascend by message and lie in first..last, which says what has been looked at: messages
 * without text or account count as well, and gaps between ids do not matter. It begins right behind
 * the upper mark (first <= last mark + 1 <= last + 1), or ends right before the lower one likewise;
 * what is there already stays as it is. One transaction: all of it and the new mark, or nothing;
 * after a crash the marks say where to go on. With first = last = 0 the marks stay: for a message
 * that came into a further account later; it counts as newest there.
 * A few hundred messages a call are cheap. ERR_FULL: no room, also when less than free_percent of
 * the disk is free; ERR_INVALID: the range touches no mark, or the texts are not in order. */
struct store_search_batch {
    const struct store_search_text *texts;
    size_t n;
    uint64_t first, last;
};
enum err store_search_add(struct store_search_writer *s, const struct store_search_batch *batch,
                          struct errinfo *ei);

/* ---- comparing ---- */

/* The filler's side of what the mail says: the messages of an account that can be found, or the
 * accounts that have, or had, any. Ascending from behind `after`; `ret` has room for `max`; fewer
 * than that: there are no more. */
enum err store_search_messages(struct store_search_writer *s, uint64_t account, uint64_t after,
                               uint64_t *ret, size_t max, size_t *ret_n, struct errinfo *ei);
enum err store_search_accounts(struct store_search_writer *s, uint64_t after, uint64_t *ret,
                               size_t max, size_t *ret_n, struct errinfo *ei);

/* ---- erasing ---- */

/* Not found from the commit on. `messages` that are not there are ignored. `now` begins the time
 * after which their words must be gone. */
enum err store_search_remove(struct store_search_writer *s, uint64_t account,
                             const uint64_t *messages, size_t n, utc_ms now, struct errinfo *ei);
/* All of an account. */
enum err store_search_remove_account(struct store_search_writer *s, uint64_t account, utc_ms now,
                                     struct errinfo *ei);

/* One slice of the work that takes removed words out of the file: index entries, then the merge of
 * everything that still held them, then free pages and the WAL. `*ret_more`: call again when
 * nothing is to be filled. Does nothing until what was removed first is `wait` old: whoever calls
 * it with a day, hourly and then until there is no more, keeps STORE_SEARCH_ERASE_DAYS easily. A
 * cycle costs about as much as writing the file once, in slices of some 10 ms to some 100 ms. */
enum err store_search_purge(struct store_search_writer *s, utc_ms now, int64_t wait_ms,
                            bool *ret_more, struct errinfo *ei);

struct store_search_figures {
    uint64_t n_entries;  /* messages in accounts that can be found */
    uint64_t n_removed;  /* not found any more, words still there */
    utc_ms removed_at;   /* the oldest of them; 0: none */
    uint64_t file_bytes; /* with the WAL */
};
enum err store_search_figures(struct store_search_writer *s, struct store_search_figures *ret,
                              struct errinfo *ei);

/* ---- asking ---- */

/* ERR_RETRY: there is no file yet. ERR_CORRUPT: damaged; the writer makes it anew. */
enum err store_search_reader_open(const char *dir, struct store_search_reader **ret,
                                  struct errinfo *ei);
void store_search_reader_close(struct store_search_reader **r); /* takes NULL */

struct store_search_question {
    uint64_t account;
    /* As search_match_expression makes it: FTS5's syntax, columns from, to, cc, bcc, subject, body,
     * names; words only as strings. The string "\x01" (that byte) finds every message. */
    struct slice expression;
    uint64_t before;   /* `at` of the last hit, for the next page; 0: from the newest */
    uint32_t limit;    /* 1..STORE_SEARCH_LIMIT_MAX */
    mono_us deadline;  /* 0: none; looked at between hits */
    uint64_t min, max; /* messages in this interval only; 0: open. Narrows, costs nothing */
};
struct store_search_hit {
    uint64_t message;
    uint64_t at; /* where to go on behind it */
};
/* Newest first (in the order of message ids as they were filled). `ret` has room for `limit`;
 * fewer than that: there are no more. ERR_RETRY: the deadline passed (what was found until then is
 * not given); ERR_INVALID: no such expression; ERR_CORRUPT, ERR_IO as they are. */
enum err store_search_ask(struct store_search_reader *r, const struct store_search_question *q,
                          struct store_search_hit *ret, size_t *ret_n, struct errinfo *ei);
/* What is filled, as this reader sees it. */
enum err store_search_reader_marks(struct store_search_reader *r, struct store_search_marks *ret,
                                   struct errinfo *ei);

#endif
