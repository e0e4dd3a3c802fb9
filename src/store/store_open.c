/* Opening and closing a store: folders, lock, recovery, threads in the right order. */
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

enum { POOL_DEFAULT = 4, PATH_MOST = 900, LOCK_PAUSE_MS = 20 };

void store_tell(const struct store *s, enum event_class class, const char *name, const char *format,
                ...)
{
    char text[512];
    va_list args;
    if (!s->tell)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* cut where it is too long */
    va_end(args);
    s->tell(s->tell_arg, class, name, text);
}

void store_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr) == 0);
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(cond, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
}

struct timespec store_deadline(mono_us at)
{
    return (struct timespec){.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};
}

void store_path(const struct store *s, const char *name, char ret[STORE_PATH])
{
    (void)snprintf(ret, STORE_PATH, "%.*s/%.100s", PATH_MOST, s->dir, name);
}

/* ---- opening ---- */

static struct store *make_store(const struct store_options *o)
{
    struct store *s = mem_new(sizeof(*s));
    (void)snprintf(s->dir, sizeof(s->dir), "%s", o->dir);
    store_path(s, "index/index.db", s->index_path);
    s->files = o->files ? o->files : &store_files_real;
    s->tell = o->tell;
    s->tell_arg = o->tell_arg;
    s->keep.every = o->snapshot_every ? o->snapshot_every : SECONDS(3600) * STORE_SNAPSHOT_HOURS;
    s->is_read_only = o->is_read_only;
    s->lock_fd = -1;
    list_init(&s->queue.waiting);
    list_init(&s->queue.late);
    list_init(&s->apply.blocks);
    list_init(&s->apply.waiters);
    must(pthread_mutex_init(&s->queue.lock, NULL) == 0);
    must(pthread_mutex_init(&s->apply.lock, NULL) == 0);
    must(pthread_mutex_init(&s->keep.lock, NULL) == 0);
    must(pthread_mutex_init(&s->keep.wake_lock, NULL) == 0);
    store_cond_init(&s->queue.cond);
    store_cond_init(&s->queue.told);
    store_cond_init(&s->apply.cond);
    store_cond_init(&s->apply.moved);
    store_cond_init(&s->keep.wake);
    return s;
}

static void free_store(struct store **address)
{
    struct store *s = *address;
    store_apply_free(s);
    index_close(&s->index);
    seglog_close(&s->log);
    if (s->lock_fd >= 0)
        (void)s->files->close(s->files->self, s->lock_fd); /* and the lock is gone */
    (void)pthread_cond_destroy(&s->queue.cond);
    (void)pthread_cond_destroy(&s->queue.told);
    (void)pthread_cond_destroy(&s->apply.cond);
    (void)pthread_cond_destroy(&s->apply.moved);
    (void)pthread_cond_destroy(&s->keep.wake);
    (void)pthread_mutex_destroy(&s->queue.lock);
    (void)pthread_mutex_destroy(&s->apply.lock);
    (void)pthread_mutex_destroy(&s->keep.lock);
    (void)pthread_mutex_destroy(&s->keep.wake_lock);
    mem_free(address);
}

static enum err make_folder(struct store *s, const char *path, struct errinfo *ei)
{
    int why;
    if (s->files->mkdir(s->files->self, path) == 0 || errno == EEXIST)
        return ERR_OK;
    why = errno;
    return err_set(ei, seglog_error(why), "make %s: %s", path, strerror(why));
}

static enum err make_folders(struct store *s, struct errinfo *ei)
{
    static const char *const names[] = {"log", "index", "snapshot", "aside"};
    enum err err = make_folder(s, s->dir, ei);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && err == ERR_OK; i++) {
        char path[STORE_PATH];
        store_path(s, names[i], path);
        err = make_folder(s, path, ei);
    }
    if (err == ERR_OK && s->files->sync_dir(s->files->self, s->dir) != 0)
        err = err_set(ei, ERR_IO, "sync %s: %s", s->dir, strerror(errno));
    return err;
}

/* A process that was killed keeps its files until its last thread has ended, and one that is inside
 * a sync ends only after it: who comes next has to wait for that a little. */
static int lock_patiently(struct store *s, mono_us wait)
{
    mono_us end = mono_now() + wait;
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000};
    int done;
    while ((done = s->files->lock(s->files->self, s->lock_fd)) != 0 && errno == EWOULDBLOCK &&
           mono_now() < end)
        (void)nanosleep(&pause, NULL);
    return done;
}

static enum err take_lock(struct store *s, mono_us wait, struct errinfo *ei)
{
    char path[STORE_PATH];
    store_path(s, "lock", path);
    s->lock_fd = s->files->open(s->files->self, path, O_RDWR | O_CREAT, 0600);
    if (s->lock_fd < 0) {
        int why = errno;
        return err_set(ei, seglog_error(why), "open %s: %s", path, strerror(why));
    }
    if (lock_patiently(s, wait) == 0)
        return ERR_OK;
    if (errno == EWOULDBLOCK)
        return err_set(ei, ERR_CONFLICT, "%s: another process has this store", path);
    return err_set(ei, ERR_IO, "lock %s: %s", path, strerror(errno));
}

static enum err open_log(struct store *s, const struct store_options *o, struct errinfo *ei)
{
    struct seglog_options lo = {
        .files = s->files,
        .dir = s->dir,
        .segment_bytes = o->segment_bytes ? o->segment_bytes : STORE_SEGMENT_BYTES,
        .n_pool = o->n_pool ? o->n_pool : POOL_DEFAULT,
        .is_read_only = s->is_read_only,
        .tell = s->tell,
        .tell_arg = s->tell_arg,
    };
    must(lo.segment_bytes >= SEGLOG_SEGMENT_MIN && lo.segment_bytes % INDEX_ZONE_BYTES == 0);
    enum err err = seglog_open(&lo, &s->log, ei);
    if (err == ERR_CORRUPT) {
        store_note_damage(s, ei);
        return ERR_OK;
    }
    return err;
}

/* Only the log, as far as it can be believed. */
static enum err open_read_only(struct store *s, struct errinfo *ei)
{
    if (seglog_is_empty(s->log))
        return ERR_OK;
    enum err err = seglog_find_end(s->log, 0, ei);
    if (err == ERR_CORRUPT) {
        store_note_damage(s, ei);
        seglog_believe_all(s->log);
        err = ERR_OK;
    }
    s->found.end = atomic_load(&s->log->end);
    return err;
}

/* The writer answers from the first moment on, even if only to refuse; the index thread runs before
 * the keeper asks it for anything. */
static void start_threads(struct store *s)
{
    store_writer_start(s);
    if (!s->found.is_damaged) {
        store_apply_start(s);
        seglog_pool_start(s->log);
        store_keeper_start(s);
    }
    s->has_threads = true;
}

static enum err begin_opening(struct store *s, const struct store_options *o, struct errinfo *ei)
{
    enum err err = ERR_OK;
    if (!s->is_read_only)
        err = make_folders(s, ei);
    if (err == ERR_OK && !s->is_read_only)
        err = take_lock(s, o->lock_wait, ei);
    return err == ERR_OK ? open_log(s, o, ei) : err;
}

enum err store_open_locked(const struct store_options *o, struct store **ret, struct errinfo *ei)
{
    if (strlen(o->dir) > PATH_MOST)
        return err_set(ei, ERR_INVALID, "the path of the store is too long");
    struct store *s = make_store(o);
    enum err err = begin_opening(s, o, ei);
    if (err == ERR_OK)
        *ret = s;
    else
        free_store(&s);
    return err;
}

enum err store_open(const struct store_options *o, struct store **ret, struct errinfo *ei)
{
    struct errinfo unused;
    struct store *s;
    ei = ei ? ei : &unused;
    enum err err = store_open_locked(o, &s, ei);
    if (err != ERR_OK)
        return err;
    if (s->is_read_only)
        err = open_read_only(s, ei);
    else
        err = store_recover(s, o->progress, o->progress_arg, ei);
    if (err == ERR_OK && !s->is_read_only)
        start_threads(s);
    if (err == ERR_OK)
        *ret = s;
    else
        free_store(&s);
    return err;
}

const struct store_recovery *store_recovered(const struct store *s)
{
    return &s->found;
}

/* ---- closing ---- */

/* An empty batch says that everything before it was synced: should the last batch rot, the next
 * start knows that it was one and no unsynced tail. Failing here harms nobody. */
static void note_clean_end(struct store *s)
{
    struct errinfo ei;
    if (s->found.is_damaged || s->log->is_failed || s->log->needs_next ||
        s->log->at + SEGLOG_SECTOR > s->log->segment_bytes)
        return;
    if (seglog_begin(s->log, NULL, &ei) == ERR_OK && seglog_commit(s->log, &ei) != ERR_OK)
        store_tell(s, EVENT_NOTICE, "store.no_clean_end", "%s", ei.text);
}

void store_close(struct store **address)
{
    struct store *s = *address;
    if (!s)
        return;
    if (s->has_threads) {
        store_apply_drain(s);
        if (!s->found.is_damaged)
            store_keeper_stop(s);
        store_writer_stop(s);
        if (!s->found.is_damaged) {
            store_apply_stop(s);
            seglog_pool_stop(s->log);
        }
        note_clean_end(s);
    }
    free_store(address);
}

/* ---- small questions ---- */

enum err store_read_body(struct store *s, uint64_t message, const struct record_extent *extents,
                         size_t n, struct buf *ret, struct errinfo *ei)
{
    size_t before = ret->n;
    for (size_t i = 0; i < n; i++) {
        enum err err = seglog_read_extent(s->log, message, &extents[i], ret, ei);
        if (err != ERR_OK) {
            ret->n = before; /* all or nothing */
            return err;
        }
    }
    return ERR_OK;
}

struct store_figures store_figures(struct store *s)
{
    struct seglog *l = s->log;
    struct store_figures f = {
        .n_batches = l->n_batches,
        .n_syncs = l->n_syncs,
        .n_records = l->n_records,
        .bytes_written = l->bytes_written,
        .bytes_body = l->bytes_body,
        .n_recycled = l->n_recycled,
        .applied = atomic_load(&s->applied),
        .end = atomic_load(&l->end),
        .disk_free_bytes = atomic_load(&s->disk_free),
        .disk_total_bytes = atomic_load(&s->disk_total),
        .disk_free_files = atomic_load(&s->files_free),
        .disk_total_files = atomic_load(&s->files_total),
        .is_failed = l->is_failed,
    };
    pthread_mutex_lock(&l->lock);
    f.n_segments = l->n_segments;
    f.n_pool = l->n_pool;
    pthread_mutex_unlock(&l->lock);
    return f;
}
