/* The log layer: segment files, batches, records (docs/disk-format.md). Inside the store only.
 *
 * It knows positions, checksums and files, not what records mean. Names begin with seglog_, because
 * log_ is the log of events in base. Threads: what stands under "writer only" belongs to the
 * recovering thread until the writing thread starts, then to that one; `lock` guards the table of
 * segments and the pool; reading is for any thread. */
#ifndef STORE_LOG_INT_H
#define STORE_LOG_INT_H

#include "store/store.h"
#include "store/store_files.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    SEGLOG_VERSION = 1,
    SEGLOG_HEADER = 4096, /* bytes before the first batch */
    SEGLOG_SECTOR = 512,  /* batches start at multiples of it */
    SEGLOG_PAGE = 4096,   /* batches are written up to a multiple of it */
    SEGLOG_BATCH_HEAD = 64,
    SEGLOG_RECORD_HEAD = 32,
    SEGLOG_BATCH_RECORDS = 2048,
    SEGLOG_BATCH_MAX = SEGLOG_BATCH_HEAD + STORE_BATCH_BYTES,
    SEGLOG_SEGMENT_MIN = 4 << 20,
    SEGLOG_PATH = 1024,
    SEGLOG_OPEN_FILES = 256, /* segment files kept open for reading */
};

/* ---- format (log_format.c, pure) ---- */

/* What a file says of itself. `is_free`: its content is void; `epoch` is then the largest in it. */
struct seg_head {
    uint64_t store, segment, epoch, prev_end;
    utc_ms created;
    uint32_t segment_bytes, version;
    bool is_free;
};
void seg_head_write(char page[SEGLOG_HEADER], const struct seg_head *h);
/* Either of the two copies will do. */
bool seg_head_read(const char page[SEGLOG_HEADER], struct seg_head *ret);

/* Seed of all checksums of what begins at `offset` of the file. */
struct seg_seed {
    uint64_t store, segment, epoch, offset;
};
uint32_t seg_seed(const struct seg_seed *s);

struct batch_head {
    uint64_t segment, epoch, pos, synced;
    utc_ms time;
    uint32_t bytes, n_records, records_crc;
};
void batch_head_write(char p[SEGLOG_BATCH_HEAD], const struct batch_head *h, uint64_t store,
                      uint64_t offset);
/* Magic and checksum are right; what it says is still to be checked against the place. */
bool batch_head_read(const char p[SEGLOG_BATCH_HEAD], uint64_t store, uint64_t offset,
                     struct batch_head *ret);

struct record_head {
    uint32_t bytes, crc;
    uint16_t type, version;
    uint64_t id, epoch;
};
void record_head_write(char p[SEGLOG_RECORD_HEAD], const struct record_head *h, uint32_t seed);
bool record_head_read(const char p[SEGLOG_RECORD_HEAD], uint64_t store, uint64_t segment,
                      uint64_t offset, struct record_head *ret);

static inline uint64_t seglog_round(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}
/* Has a body behind its facts, so its payload begins with the length of the facts. */
static inline bool seglog_has_body(uint16_t type)
{
    return type == RECORD_MESSAGE || type == RECORD_CHUNK;
}
size_t seglog_payload_bytes(const struct store_change *c);

/* ---- segments ---- */

struct segment {
    uint64_t n;        /* logical number; set once */
    uint64_t epoch;    /* of this use of the file; set once */
    uint64_t prev_end; /* set once */
    unsigned file;     /* number in the file's name; set once */
    int fd;            /* under lock; -1: closed */
    unsigned n_pins;   /* under lock; while > 0 the file stays open and is not reused */
    struct list idle;  /* under lock: open and not pinned, least recently used first */
};

struct pool_file {
    struct list node;
    unsigned file;
    int fd;
    uint64_t epoch; /* largest in what it holds */
};

typedef void seglog_tell_fn(void *arg, enum event_class class, const char *name, const char *text);

struct seglog {
    /* set once */
    const struct store_files *files;
    char dir[SEGLOG_PATH]; /* "…/log" */
    uint32_t segment_bytes;
    uint64_t store; /* random, of this store: nobody outside can forge a checksum */
    unsigned n_pool_wanted;
    bool is_read_only;
    seglog_tell_fn *tell;
    void *tell_arg;

    pthread_mutex_t lock;
    struct segment **segments; /* under lock: by number */
    size_t n_segments, cap_segments;
    struct list idle;         /* under lock */
    unsigned n_open;          /* under lock */
    struct list pool;         /* under lock: struct pool_file, ready */
    struct list raw;          /* under lock: to be zero-filled before use */
    unsigned n_pool;          /* under lock */
    unsigned next_file;       /* under lock */
    pthread_cond_t pool_cond; /* with lock: wakes the filling thread */
    bool is_stopping;         /* under lock */
    bool has_pool_thread;     /* opening thread only */
    pthread_t pool_thread;

    /* writer only */
    struct segment *current; /* the newest; its pin keeps it open */
    uint64_t at;             /* offset in it where the next batch begins */
    uint64_t last_at;        /* offset of the last batch that was found; 0: none */
    uint64_t records_end;    /* behind the last batch with records in the newest segment; 0: none */
    struct errinfo failure;  /* why is_failed */
    uint64_t epoch;          /* of what is written now */
    bool needs_next;         /* the current one is closed for writing */
    mono_us full_until;      /* no new file is tried before */
    struct seglog_batch *batch;

    /* any thread */
    _Atomic uint64_t end;        /* behind the last durable batch */
    _Atomic uint64_t last_epoch; /* largest epoch in use or seen */
    _Atomic bool is_failed;
    _Atomic uint64_t n_batches, n_syncs, n_records, bytes_written, bytes_body, n_recycled;
};

struct seglog_options {
    const struct store_files *files;
    const char *dir;        /* the store's */
    uint32_t segment_bytes; /* of a new log */
    unsigned n_pool;
    bool is_read_only;
    seglog_tell_fn *tell;
    void *tell_arg;
};

/* Reads the headers. Says nothing yet of where the log ends. ERR_INVALID of a newer version;
 * ERR_CORRUPT with a text that names file and place: the log is open for reading what can be read
 * (`*ret` is set in this case too); ERR_IO. */
enum err seglog_open(const struct seglog_options *o, struct seglog **ret, struct errinfo *ei);
void seglog_close(struct seglog **l);
bool seglog_is_empty(const struct seglog *l); /* no segment: the log is new, or lost */

static inline uint64_t seglog_pos(const struct seglog *l, uint64_t segment, uint64_t offset)
{
    return segment * l->segment_bytes + offset;
}
/* ERR_GONE no such segment (any more); ERR_IO its file cannot be opened. */
enum err seglog_pin(struct seglog *l, uint64_t n, struct segment **ret, struct errinfo *ei);
void seglog_unpin(struct seglog *l, struct segment *s);
/* Numbers of all segments, ascending; the caller frees. */
uint64_t *seglog_numbers(struct seglog *l, size_t *ret_n);
/* A segment joins the table, pinned once for the caller. */
struct segment *seglog_join(struct seglog *l, const struct seg_head *h, unsigned file, int fd);
/* Takes an unpinned one out of the table (ERR_GONE, ERR_RETRY: pinned); the caller owns it. */
struct segment *seglog_detach(struct seglog *l, uint64_t n, enum err *ret_why);
void seglog_tell(const struct seglog *l, enum event_class class, const char *name,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
void seglog_path(const struct seglog *l, unsigned file, char ret[SEGLOG_PATH]);

/* ---- reading (log_scan.c) ---- */

struct log_record {
    uint16_t type, version;
    uint64_t id, pos;
    struct slice facts;
    uint64_t body_pos;
    uint32_t body_bytes;
    struct slice whole; /* header and payload as on disk */
};

/* One batch in memory, verified down to the last byte. */
struct batch_view {
    struct batch_head head;
    uint64_t end;      /* offset in the file behind it, padded */
    struct slice data; /* from its header on, without padding */
    char *p;           /* owned */
    size_t cap;
    uint64_t segment; /* where it was read */
    uint64_t offset;
    bool is_io_error; /* could not be read (as opposed to: is not there) */
};
void batch_view_finish(struct batch_view *v);
/* False: no valid batch of this segment and of at least `epoch` begins at `offset`. */
bool batch_view_read(struct batch_view *v, const struct seglog *l, const struct segment *s,
                     uint64_t offset, uint64_t epoch);
/* Records one by one: *at = 0 at first; false at the end. */
bool batch_view_next(const struct batch_view *v, const struct seglog *l, size_t *at,
                     struct log_record *ret);

/* Where the newest segment validly ends, and sets the log up to be continued there. `applied`: no
 * end below it is believed. ERR_CORRUPT with file, offset and position; ERR_IO. */
enum err seglog_find_end(struct seglog *l, uint64_t applied, struct errinfo *ei);
/* Damaged: where the end is nobody knows, any place may be read. Opening thread. */
void seglog_believe_all(struct seglog *l);
/* All of one segment, to where its successor says that it ends, or if that is gone to where it
 * ends by itself. ERR_CORRUPT with file, offset and position. */
enum err seglog_check_segment(struct seglog *l, uint64_t n, struct errinfo *ei);
/* Its file still holds it: for a log that another process may be recycling. */
bool seglog_is_still(struct seglog *l, uint64_t n);
/* All batches from the one that contains or follows `from` to the end. fn's error ends the walk
 * and is returned. ERR_CORRUPT with file, offset and position. `fn` gets each batch. */
typedef enum err seglog_walk_fn(void *arg, const struct batch_view *v, struct errinfo *ei);
enum err seglog_walk(struct seglog *l, uint64_t from, seglog_walk_fn *fn, void *arg,
                     struct errinfo *ei);
/* One segment up to `until` (position; 0: to the first place without a valid batch, which is
 * returned in *ret_end). */
enum err seglog_walk_segment(struct seglog *l, struct segment *s, uint64_t until,
                             seglog_walk_fn *fn, void *arg, uint64_t *ret_end, struct errinfo *ei);
/* Bytes of one extent of `message`, appended to `ret` after verifying the whole record. */
enum err seglog_read_extent(struct seglog *l, uint64_t message, const struct record_extent *x,
                            struct buf *ret, struct errinfo *ei);
/* A record as it stands, header and payload, its payload unverified: for setting it aside. */
enum err seglog_copy_record(struct seglog *l, uint64_t pos, struct buf *ret, struct errinfo *ei);

/* ---- writing (log_append.c); writer only ---- */

/* The first segment of a new log. */
enum err seglog_start_new(struct seglog *l, struct errinfo *ei);
/* Take up writing at the end that was found: what stands last is written once more and synced,
 * since the page cache may show what the disk never got; a new epoch begins. */
enum err seglog_resume(struct seglog *l, struct errinfo *ei);
/* Begin a batch that has room for `c`, in a new segment if need be. ERR_FULL no room on the disk
 * (ask again later); ERR_IO the log has failed. */
enum err seglog_begin(struct seglog *l, const struct store_change *c, struct errinfo *ei);
/* Lay one change out; its bytes are borrowed until seglog_commit returns. False: does not fit. */
bool seglog_add(struct seglog *l, struct store_change *c);
void seglog_batch_free(struct seglog *l);
/* Write and sync. On error nothing of it will ever be read, the segment is closed. */
enum err seglog_commit(struct seglog *l, struct errinfo *ei);

/* ---- the pool (log_pool.c) ---- */

void seglog_pool_start(struct seglog *l); /* starts the filling thread */
void seglog_pool_stop(struct seglog *l);
/* A file for the next segment; never waits for zeros. */
enum err seglog_pool_take(struct seglog *l, struct pool_file **ret, struct errinfo *ei);
void seglog_pool_give(struct seglog *l, struct pool_file *take_p);   /* ready for use */
void seglog_pool_refill(struct seglog *l, struct pool_file *take_p); /* in doubt: fill it anew */
void seglog_pool_forget(struct seglog *l, struct pool_file **f);     /* closes; the file stays */
enum err seglog_error(int why); /* errno of a write: ERR_FULL or ERR_IO */
/* Make a file, zero-filled, of full size and durable name. */
enum err seglog_file_make(struct seglog *l, struct pool_file **ret, struct errinfo *ei);
/* Give a segment's file back to the pool, or to the disk if the pool has enough. The caller has
 * made sure that nobody needs it. ERR_RETRY: somebody reads it now. */
enum err seglog_recycle(struct seglog *l, uint64_t segment, struct errinfo *ei);

#endif
