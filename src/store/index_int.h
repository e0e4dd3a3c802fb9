/* The index: SQLite tables that one gets by applying the log. Inside the store only.
 *
 * One struct index is one writing connection, used by one thread at a time; it alone checkpoints
 * (Debian 12's SQLite can lose rows when two connections write and checkpoint). */
#ifndef STORE_INDEX_INT_H
#define STORE_INDEX_INT_H

#include "store/record.h"

struct index;

enum { INDEX_VERSION = 5 };

/* How long events stay in the index, and how many at most: docs/disk-format.md, "Retention". */
enum { INDEX_EVENT_DAYS = 400, INDEX_EVENTS_MAX = 500000 };

/* Nobody else may open and close the index's file in this process while a connection to it is
 * open: closing any descriptor of a file gives up the process's locks on it. */

/* Open or create `path` (":memory:" for tests and fuzzing). The folder exists; a new file's entry
 * in it is synced. An index of an older version becomes one of this version, at the same position.
 * ERR_INVALID: written by a newer version (text says so); ERR_CORRUPT: not usable (also when a
 * table is missing), rebuild it; ERR_IO, ERR_FULL: the disk. */
enum err index_open(const char *path, struct index **ret, struct errinfo *ei);
int index_old_version(const struct index *x); /* that it had when it was opened; 0: this one */
void index_close(struct index **x);           /* aborts what is open, checkpoints; takes NULL */

uint64_t index_applied(const struct index *x); /* position behind the last applied record */
uint64_t index_last_id(const struct index *x); /* largest id of anything ever seen in a record */

/* Records, or parts of them, that made no sense in their place. Not 0: somebody should look. */
uint64_t index_n_odd(const struct index *x);

/* What the log, as far as applied, leaves unfinished. Walks the open rows: for the end of recovery.
 * If n_attempting or n_loose is not 0 the store writes an `interrupted` record. */
struct index_unfinished {
    uint64_t n_attempting; /* attempts without a result */
    uint64_t n_loose;      /* chunks that no message names (yet) */
};
enum err index_unfinished(struct index *x, struct index_unfinished *ret, struct errinfo *ei);

/* begin, any number of apply, commit(applied): one transaction. A crash in between changes
 * nothing. begin and commit fail only for reasons of the disk; then, and when an apply failed for
 * one, only abort is left. Commit checkpoints when the WAL has grown by 64 MiB. Large transactions
 * are cheap a message, small ones are not: gather what is there (a few hundred records). */
enum err index_begin(struct index *x, struct errinfo *ei);
enum err index_commit(struct index *x, uint64_t applied, struct errinfo *ei);
void index_abort(struct index *x); /* nothing, when no transaction is open */

/* One record, inside a transaction. `facts` is the packed payload; `body_bytes` the bytes behind
 * the facts of a message or chunk record, which begin at `body_pos`. Cannot refuse a record that
 * the writer let through; ERR_CORRUPT for one that it never could have (unreadable payload, unknown
 * type): then nothing of it is applied and the transaction may go on. ERR_IO/ERR_FULL for the disk,
 * ERR_IO too when the index itself is damaged: the transaction is lost, the record is good. What
 * makes no sense in its place (a result for an unknown message) is ignored and counted. Applying a
 * record again that is below index_applied never happens; applying the same log twice to two
 * indexes, in whatever transactions, gives equal ones (index_dump). */
struct index_record {
    uint16_t type;
    uint16_t version; /* of the payload; 0: as it is written today */
    uint64_t id;
    uint64_t pos; /* of the record */
    struct slice facts;
    uint64_t body_pos;
    uint32_t body_bytes;
};
enum err index_apply(struct index *x, const struct index_record *r, struct errinfo *ei);

/* Everything committed survives a power cut from here on: checkpoint and sync. Not inside a
 * transaction. ERR_RETRY: a reader was in the way (what is committed is synced all the same). */
enum err index_checkpoint(struct index *x, struct errinfo *ei);
/* Copy into `path` (replaced), verify the copy (index_verify, row counts), sync file and folder.
 * Uses its own read-only connection: may run on another thread while the writer goes on. Returns
 * the copy's applied position. On failure the copy is removed. */
enum err index_copy(const char *from, const char *path, uint64_t *ret_applied, struct errinfo *ei);
/* Whole, of this version or an older one, and its tables and secondary indexes agree. ERR_CORRUPT
 * says where not.
 */
enum err index_verify(const char *path, uint64_t *ret_applied, struct errinfo *ei);
/* What the tables say of each other: each contradiction is told in words (the first few of a kind);
 * `*ret_n` is their number. Nothing is said of an older version's. */
enum err index_check(const char *path, void (*say)(void *arg, const char *text), void *arg,
                     unsigned *ret_n, struct errinfo *ei);
/* All rows of all tables in a fixed order as text lines, without what may differ; for comparing. */
enum err index_dump(const char *path, void (*line)(void *arg, struct slice text), void *arg,
                    struct errinfo *ei);

/* For recovery: messages without answer (bounded: at most the number in flight at the end). */
enum err index_unanswered(struct index *x, struct arena *a, struct record_ids *ret,
                          struct errinfo *ei);

/* For recycling: bytes of messages still needed in each segment. `each` gets the segment number and
 * the bytes; segments with none are not named. A message's bytes are needed until `dropped`, those
 * of a chunk until its message is dropped or an `interrupted` record gives it up. `segment_bytes`
 * is a multiple of INDEX_ZONE_BYTES (use is kept by zone). */
enum { INDEX_ZONE_BYTES = 1 << 20 };
enum err index_segment_use(const char *path, uint32_t segment_bytes,
                           void (*each)(void *arg, uint64_t segment, uint64_t bytes), void *arg,
                           struct errinfo *ei);
/* Messages with bytes in one segment (for copying forward), at most `max`, with all extents. Chunks
 * that no message names yet are not among them. */
struct index_place {
    uint64_t message;
    struct record_extent *extents;
    size_t n_extents;
};
enum err index_messages_in(const char *path, uint64_t from_pos, uint64_t to_pos, size_t max,
                           struct arena *a, struct index_place **ret, size_t *ret_n,
                           struct errinfo *ei);

#endif
