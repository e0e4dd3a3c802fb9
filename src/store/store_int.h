/* The glue between the log and the index: threads, recovery, snapshots. Inside the store only.
 *
 * Threads: the writer (log), the index thread (index), the keeper (snapshots, recycling, figures of
 * the disk), the pool's (log_pool.c). Locks are never held together, except that store_snapshot
 * holds `keep.lock`, which orders snapshots, over everything it does. */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include "store/index_int.h"
#include "store/log_int.h"

enum {
    STORE_PATH = 1024,
    STORE_LAZY_MS = 20,        /* a lazy change waits no longer */
    STORE_APPLY_MS = 5,        /* the index gathers so long, if nobody waits */
    STORE_APPLY_BUSY = 16,     /* … with so many records by then it is a busy time: */
    STORE_APPLY_BUSY_MS = 300, /* it gathers longer, so that a page is written once for many */
    STORE_APPLY_MANY = 8192,   /* … or until so many records are there */
    STORE_APPLY_MOST = 8192,   /* records in one transaction, about */
    STORE_UNAPPLIED_RECORDS = 20000,
    STORE_UNAPPLIED_BYTES = 64 << 20,
    STORE_SNAPSHOT_SEGMENTS = 8,
    STORE_SNAPSHOT_HOURS = 24,
    STORE_SPARSE_PART = 4, /* copied forward below 1/4 of a segment */
};

/* Records of one batch on their way to the index; facts lie behind the array. */
struct apply_block {
    struct list node;
    uint64_t end; /* position behind the batch */
    size_t n, bytes;
    struct index_record records[];
};

struct store {
    /* set once */
    char dir[STORE_PATH];
    char index_path[STORE_PATH];
    const struct store_files *files;
    struct seglog *log;
    seglog_tell_fn *tell;
    void *tell_arg;
    bool is_read_only, has_threads;
    int lock_fd;
    struct store_recovery found;

    struct {
        pthread_mutex_t lock;
        pthread_cond_t cond;  /* wakes the writer */
        pthread_cond_t told;  /* tells that n_answered has grown */
        struct list waiting;  /* under lock: struct store_change */
        struct list late;     /* under lock: came after store_close began */
        uint64_t n_submitted; /* under lock: ever; they are answered in this order */
        unsigned n_urgent;    /* under lock: not lazy, in waiting, or somebody waits for it */
        mono_us lazy_since;   /* under lock: when waiting became not empty */
        enum {
            WRITER_AWAKE,
            WRITER_SLEEPS,
            WRITER_NAPS
        } writer;                   /* under lock; naps: a timer runs */
        bool is_closing, has_ended; /* under lock */
        bool is_corked;             /* under lock */
        pthread_t thread;
    } queue;
    _Atomic size_t waiting_bytes, waiting_changes;
    _Atomic uint64_t n_answered; /* told to be done, or refused; grows without queue.lock */

    struct {
        pthread_mutex_t lock;
        pthread_cond_t cond;     /* wakes the index thread */
        pthread_cond_t moved;    /* tells that `applied` has grown or the backlog has shrunk */
        struct list blocks;      /* under lock: struct apply_block */
        size_t n_records, bytes; /* under lock: in blocks, and being applied */
        mono_us since;           /* under lock: when blocks became not empty */
        unsigned n_hurry;        /* under lock: threads in store_wait_applied */
        struct list waiters;     /* under lock: struct applied_waiter */
        bool is_sleeping;        /* under lock */
        bool is_draining;        /* under lock: the store closes, the writer stalls no more */
        bool is_closing;         /* under lock */
        bool wants_checkpoint;   /* under lock */
        enum err checkpoint;     /* under lock: result of the last one */
        struct errinfo checkpoint_ei;
        pthread_t thread;
    } apply;
    _Atomic size_t unapplied;
    _Atomic uint64_t applied;
    struct index *index; /* index thread; recovery before it starts */

    struct {
        pthread_mutex_t lock; /* one snapshot at a time */
        pthread_mutex_t wake_lock;
        pthread_cond_t wake;
        bool is_closing;    /* under wake_lock */
        uint64_t snapshot;  /* under lock: position of the last verified one */
        uint64_t tried_end; /* under lock: end of the log when one was tried last … */
        mono_us tried_at;   /* … and when that was, or we began */
        mono_us every;      /* set once */
        pthread_t thread;
    } keep;
    _Atomic uint64_t disk_free, disk_total, files_free, files_total;
};

void store_tell(const struct store *s, enum event_class class, const char *name, const char *format,
                ...) __attribute__((format(printf, 4, 5)));
void store_cond_init(pthread_cond_t *cond); /* for deadlines of the monotonic clock */
struct timespec store_deadline(mono_us at);
void store_path(const struct store *s, const char *name, char ret[STORE_PATH]);

/* ---- store_write.c ---- */
void store_writer_start(struct store *s);
void store_writer_stop(struct store *s); /* writes what waits */

/* ---- store_apply.c ---- */
void store_apply_start(struct store *s);
void store_apply_stop(struct store *s); /* applies what waits */
void store_apply_free(struct store *s);
/* Writer only. `take_block` goes to the index. */
void store_apply_push(struct store *s, struct apply_block *take_block);
void store_apply_stall(struct store *s); /* until the backlog is bearable */
void store_apply_drain(struct store *s); /* no stalls from now on: the store closes */
/* Any thread but the index's: the index as applied now survives a power cut. */
enum err store_checkpoint(struct store *s, struct errinfo *ei);

/* ---- store_recover.c ---- */
/* Index, replay, records of what was found. Damage is noted in s->found and is not an error. */
enum err store_recover(struct store *s, void (*progress)(void *arg, unsigned percent),
                       void *progress_arg, struct errinfo *ei);
void store_note_damage(struct store *s, const struct errinfo *ei);

/* ---- store_aside.c ---- */
/* What stopped recovery, over several starts. */
struct recovery_note {
    uint64_t pos;    /* record that was about to be applied; 0: not noted one by one */
    unsigned deaths; /* so often recovery ended there before */
};
bool store_note_read(struct store *s, struct recovery_note *ret);
enum err store_note_write(struct store *s, const struct recovery_note *note, struct errinfo *ei);
enum err store_note_clear(struct store *s, struct errinfo *ei);
bool store_is_aside(struct store *s, uint64_t pos);
/* Copy the record at `pos` to aside/ and raise the alarm. */
enum err store_put_aside(struct store *s, uint64_t pos, const char *why, struct errinfo *ei);
/* The payload of the `aside` record that goes with it. */
void store_aside_facts(uint16_t type, uint64_t id, uint64_t pos, const char *why, struct buf *ret);

/* ---- store_snapshot.c ---- */
struct snapshot {
    uint64_t pos, size;
    uint32_t crc;
};
/* The last snapshot whose copy is whole; ERR_GONE none. */
enum err store_snapshot_find(struct store *s, struct snapshot *ret, struct errinfo *ei);
/* Put the index of the last snapshot (or an empty one, if the log is complete) in the place of what
 * is there. ERR_CORRUPT: neither is to be had. */
enum err store_index_restore(struct store *s, struct errinfo *ei);
void store_keeper_start(struct store *s);
void store_keeper_stop(struct store *s);

/* ---- store_recycle.c ---- */
/* Free what neither readers nor the index nor a rebuild need below `limit`; copy sparse ones
 * forward. */
enum err store_recycle(struct store *s, uint64_t limit, struct errinfo *ei);

/* ---- store_open.c ---- */
/* Folders, lock and headers of the log; no index, no thread. For store_close afterwards. */
enum err store_open_locked(const struct store_options *o, struct store **ret, struct errinfo *ei);

/* ---- store_verify.c: the door's two, over any file layer ---- */
unsigned store_verify_with(const struct store_files *files, const char *dir,
                           void (*say)(void *arg, const char *text), void *arg);
enum err store_rebuild_with(const struct store_options *o, struct errinfo *ei);

/* ---- store_small.c: files that are written whole ---- */
enum err small_write(const struct store_files *f, const char *path, struct slice bytes,
                     struct errinfo *ei);
/* ERR_GONE there is none; ERR_LIMIT larger than ret's ceiling. */
enum err small_read(const struct store_files *f, const char *path, struct buf *ret,
                    struct errinfo *ei);
/* ERR_OK too if there was none; its absence is durable. */
enum err small_remove(const struct store_files *f, const char *path, struct errinfo *ei);

#endif
