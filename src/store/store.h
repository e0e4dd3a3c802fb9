/* The store's door: the log (the truth) and its index (what one gets by applying the log).
 *
 * store_submit is the only way to change anything. A change is told to be done only after a
 * completed fdatasync that covers it (promise 1). Reading goes through store_reader.h.
 * One process, one store: a lock file keeps others out. Floor: nothing here knows why a change is
 * made. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/record.h"

struct store;
struct store_files; /* the replaceable file layer: store_files.h */

enum {
    STORE_SEGMENT_BYTES = 64 << 20,
    STORE_RECORD_MAX = 2 << 20, /* payload of one record */
    STORE_INLINE_MAX = 1 << 20, /* bytes of a message in its own record; the rest are chunks */
    STORE_CHUNK_BYTES = 1 << 20,
    STORE_CHUNKS_MAX = 64, /* that a record names */
    STORE_MESSAGE_MAX = STORE_CHUNKS_MAX * STORE_CHUNK_BYTES + STORE_INLINE_MAX, /* stored bytes */
    STORE_BATCH_BYTES = 4 << 20, /* a batch takes no more than this (but at least one change) */
};

struct store_options {
    const char *dir;                 /* exists or can be made; only this process writes below */
    const struct store_files *files; /* NULL: the real ones */
    uint32_t segment_bytes;          /* 0: STORE_SEGMENT_BYTES; at least 4 MiB, multiple of 1 MiB */
    unsigned n_pool;                 /* zero-filled segments kept ready; 0: 4 */
    bool is_read_only;               /* for verify: writes nothing, starts no thread */
    mono_us snapshot_every;          /* when little is written, too; 0: a day */
    mono_us lock_wait; /* time for a dying owner to let go of the store before ERR_CONFLICT */
    /* An alarm or notice from inside the store (failed sync, damage, set aside, low pool), in
     * words. Called on any of the store's threads. May be NULL. */
    void (*tell)(void *arg, enum event_class class, const char *name, const char *text);
    void *tell_arg;
    /* Progress of recovery, 0..100, for people who wait. May be NULL. */
    void (*progress)(void *arg, unsigned percent);
    void *progress_arg;
};

/* What recovery found; valid until store_close. */
struct store_recovery {
    uint64_t end;                /* position where the log ends */
    uint64_t n_replayed;         /* records applied at this start */
    uint64_t n_unanswered;       /* messages whose sender may not know that we have them */
    uint64_t n_possible_doubles; /* attempts without a result: each is listed by the reader */
    uint64_t n_aside;
    uint64_t last_id; /* largest id of a message or object ever used */
    bool is_damaged;  /* ERR_CORRUPT somewhere: open for reading only */
    struct errinfo damage;
};

/* Opens what a sandbox would forbid later (SQLite's seed). Before store_open, no thread yet. */
void store_before_sandbox(void);
/* Recover and start. ERR_CONFLICT another process has this store; ERR_INVALID the index is from a
 * newer version or the folder is none of ours; ERR_IO, ERR_FULL as they are. Damage is not an
 * error: the store opens, store_submit refuses with ERR_CORRUPT, reading works. */
enum err store_open(const struct store_options *options, struct store **ret, struct errinfo *ei);
const struct store_recovery *store_recovered(const struct store *s);
/* Write what waits, bring the index up to date, note a clean end, stop the threads. Takes NULL. */
void store_close(struct store **s);

/* One change. The caller embeds it, keeps it and its bytes alive until `done` is called. */
struct store_change {
    struct list node;     /* the store's */
    uint16_t type;        /* enum record_type */
    bool is_lazy;         /* asks for no sync of its own (done all the same only after one) */
    uint64_t id;          /* message, or 0 */
    struct slice facts;   /* the packed payload of record.def */
    struct slice body[3]; /* RECORD_MESSAGE and RECORD_CHUNK only: stored bytes, in order */
    /* Called on the writing thread, in the order of store_submit; may submit, must not block.
     * ERR_OK: durable. Not kept: ERR_IO, ERR_FULL the disk (ERR_FULL passes by itself),
     * ERR_CORRUPT the store is damaged, ERR_LIMIT over STORE_RECORD_MAX, ERR_CANCELED closing. */
    void (*done)(struct store_change *change, enum err err, const struct errinfo *ei);
    void *arg;    /* the caller's */
    uint64_t pos; /* set before done: position of the record */
};

/* Any thread; never blocks on the disk. Changes become durable in this order. */
void store_submit(struct store *s, struct store_change *change);

/* Blocks until everything that was submitted before has been told to be done, or refused: what a
 * number says that was given out, the log then says, too, or never will. What is lazy goes at once.
 * ERR_RETRY: not in that time. For worker threads. */
enum err store_wait_written(struct store *s, mono_us timeout);

/* Between the two, changes wait for each other: whoever submits several in one turn of its loop
 * gets them into one batch and one sync. Not a delay: the caller goes on at once. Not nested. */
void store_cork(struct store *s);
void store_uncork(struct store *s);

/* Bytes and changes that wait to be written: callers refuse new mail above their ceiling. */
struct store_backlog {
    size_t bytes, changes; /* whose `done` has not returned yet */
    size_t unapplied;      /* records durable but not in the index */
};
struct store_backlog store_backlog(struct store *s);

/* `fn` once the index shows everything up to `pos` (a change's pos); on the index's thread, at
 * once on this thread if it does already. Not called if the store is closed before. */
void store_when_applied(struct store *s, uint64_t pos, void (*fn)(void *arg), void *arg);
/* Blocks up to timeout; ERR_RETRY when it is not there by then. For worker threads. */
enum err store_wait_applied(struct store *s, uint64_t pos, mono_us timeout);

/* Where the body of a message record lies: for the reader and for deliveries right after done. */
struct record_extent store_body_extent(const struct store_change *change);

/* Read stored bytes; each record's segment, epoch, id and checksum are verified. Any thread;
 * blocks on the disk. ERR_GONE the segment was recycled meanwhile (look the message up again);
 * ERR_CORRUPT damage; ERR_LIMIT the buffer's ceiling. */
enum err store_read_body(struct store *s, uint64_t message, const struct record_extent *extents,
                         size_t n, struct buf *ret, struct errinfo *ei);

struct store_figures {
    uint64_t n_batches, n_syncs, n_records, bytes_written, bytes_body;
    uint64_t n_segments, n_pool, n_recycled, applied, end;
    uint64_t disk_free_bytes, disk_total_bytes;
    uint64_t disk_free_files, disk_total_files; /* inodes; total 0: no such limit */
    bool is_failed;                             /* stopped accepting */
};
struct store_figures store_figures(struct store *s);

/* Snapshot of the index now (verified, synced), then recycle what may be recycled. Worker thread;
 * also done by the store itself when the log has grown by 8 segments. */
enum err store_snapshot(struct store *s, struct errinfo *ei);
/* Check every batch, record and checksum, the index's own check, and that both agree. Works on a
 * store that is open elsewhere or here. Problems are told one by one, in words; returns their
 * number. */
unsigned store_verify(const char *dir, void (*say)(void *arg, const char *text), void *arg);
/* Make the index anew from the last verified snapshot and the log. The store must not be open. The
 * search is dropped (store_search.h): it is filled again behind the mail. */
enum err store_rebuild(const char *dir, struct errinfo *ei);

#endif
