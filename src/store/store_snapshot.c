/* Snapshots of the index, and the keeper: the thread that makes them, recycles, looks at the disk.
 *
 * A snapshot is what a rebuild starts from when the index is lost, so the log before it may go. The
 * copy is written under its own name and verified; then SNAPSHOT.ok is replaced in one step. There
 * is a valid snapshot at every moment: the one before stays until the new one counts. */
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum {
    READ_BYTES = 1 << 20,
    NAMES_BYTES = 64 << 10,
    OK_FILE_MAX = 512,
    KEEPER_S = 1,
    WAIT_S = 1,
};

static void copy_path(const struct store *s, uint64_t pos, char ret[STORE_PATH])
{
    char name[64];
    (void)snprintf(name, sizeof(name), "snapshot/%016llx.db", (unsigned long long)pos);
    store_path(s, name, ret);
}

static enum err checksum(const struct store_files *f, const char *path, struct snapshot *ret,
                         struct errinfo *ei)
{
    int fd = f->open(f->self, path, O_RDONLY, 0);
    if (fd < 0)
        return err_set(ei, errno == ENOENT ? ERR_GONE : ERR_IO, "open %s: %s", path,
                       strerror(errno));
    SCOPED(mem_free) char *p = mem_new(READ_BYTES);
    ssize_t got;
    ret->size = ret->crc = 0;
    while ((got = f->pread(f->self, fd, p, READ_BYTES, (off_t)ret->size)) > 0) {
        ret->crc = crc32c(ret->crc, p, (size_t)got);
        ret->size += (size_t)got;
    }
    int why = errno;
    (void)f->close(f->self, fd); /* only read */
    return got == 0 ? ERR_OK : err_set(ei, ERR_IO, "read %s: %s", path, strerror(why));
}

enum err store_snapshot_find(struct store *s, struct snapshot *ret, struct errinfo *ei)
{
    char path[STORE_PATH];
    unsigned long long pos, size;
    unsigned crc;
    struct snapshot is;
    SCOPED(buf_finish) struct buf b = buf_make(OK_FILE_MAX);
    store_path(s, "snapshot/SNAPSHOT.ok", path);
    enum err err = small_read(s->files, path, &b, ei);
    if (err != ERR_OK)
        return err;
    if (sscanf(buf_cstr(&b), "%16llx %8x %16llx", &pos, &crc, &size) != 3)
        return err_set(ei, ERR_GONE, "%s is not readable", path);
    copy_path(s, pos, path);
    err = checksum(s->files, path, &is, ei);
    if (err != ERR_OK)
        return err;
    if (is.size != size || is.crc != crc)
        return err_set(ei, ERR_GONE, "%s is not what it was", path);
    *ret = (struct snapshot){pos, size, crc};
    return ERR_OK;
}

/* ---- restoring ---- */

static enum err remove_index(struct store *s, struct errinfo *ei)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    enum err err = ERR_OK;
    for (int i = 0; i < 3 && err == ERR_OK; i++) {
        char path[STORE_PATH + 8];
        (void)snprintf(path, sizeof(path), "%s%s", s->index_path, ends[i]);
        err = small_remove(s->files, path, ei);
    }
    return err;
}

enum err store_index_restore(struct store *s, struct errinfo *ei)
{
    char from[STORE_PATH];
    char beside[STORE_PATH + 8];
    struct snapshot snap;
    struct errinfo none;
    uint64_t applied;
    if (store_snapshot_find(s, &snap, &none) != ERR_OK) {
        if (!seglog_is_empty(s->log) && s->log->segments[0]->n > 0)
            return err_set(ei, ERR_CORRUPT,
                           "the index cannot be made anew: no valid snapshot (%.100s), and the log "
                           "begins with segment %llu",
                           none.text, (unsigned long long)s->log->segments[0]->n);
        return remove_index(s, ei);
    }
    copy_path(s, snap.pos, from);
    (void)snprintf(beside, sizeof(beside), "%s.new", s->index_path);
    enum err err = index_copy(from, beside, &applied, ei);
    if (err == ERR_OK)
        err = remove_index(s, ei); /* its -wal must never meet another file */
    if (err == ERR_OK && s->files->rename(s->files->self, beside, s->index_path) != 0)
        err = err_set(ei, ERR_IO, "rename %s: %s", beside, strerror(errno));
    return err;
}

/* ---- making one ---- */

static void remove_others(struct store *s, uint64_t pos)
{
    char path[STORE_PATH];
    char keep[64];
    SCOPED(mem_free) char *names = mem_new(NAMES_BYTES);
    (void)snprintf(keep, sizeof(keep), "%016llx.db", (unsigned long long)pos);
    store_path(s, "snapshot", path);
    if (s->files->list(s->files->self, path, names, NAMES_BYTES) != 0)
        return; /* a copy too many harms nobody */
    for (const char *name = names; *name; name += strlen(name) + 1) {
        char one[STORE_PATH];
        if (strcmp(name, keep) == 0 || strcmp(name, "SNAPSHOT.ok") == 0)
            continue;
        (void)snprintf(one, sizeof(one), "%.900s/%.100s", path, name);
        (void)s->files->unlink(s->files->self, one); /* tried again next time */
    }
}

static enum err make_snapshot(struct store *s, uint64_t *ret_pos, struct errinfo *ei)
{
    char beside[STORE_PATH];
    char path[STORE_PATH];
    char text[64];
    uint64_t pos;
    struct snapshot snap;
    store_path(s, "snapshot/copy.db", beside);
    enum err err = index_copy(s->index_path, beside, &pos, ei);
    if (err != ERR_OK)
        return err;
    *ret_pos = pos;
    if (pos == s->keep.snapshot)
        return small_remove(s->files, beside, ei);
    err = checksum(s->files, beside, &snap, ei);
    copy_path(s, pos, path);
    if (err == ERR_OK && s->files->rename(s->files->self, beside, path) != 0)
        err = err_set(ei, ERR_IO, "rename %s: %s", beside, strerror(errno));
    if (err != ERR_OK)
        return err;
    /* The copy's own bytes were synced by index_copy, its name is by the folder's sync, which comes
     * with the replacement of SNAPSHOT.ok: both names are in the same folder, so the one is never
     * on the disk without the other. */
    char folder[STORE_PATH];
    store_path(s, "snapshot", folder);
    if (s->files->sync_dir(s->files->self, folder) != 0)
        return err_set(ei, ERR_IO, "sync %s: %s", folder, strerror(errno));
    (void)snprintf(text, sizeof(text), "%016llx %08x %016llx\n", (unsigned long long)pos, snap.crc,
                   (unsigned long long)snap.size);
    store_path(s, "snapshot/SNAPSHOT.ok", path);
    err = small_write(s->files, path, slice_str(text), ei);
    if (err != ERR_OK)
        return err;
    s->keep.snapshot = pos;
    remove_others(s, pos);
    return ERR_OK;
}

enum err store_snapshot(struct store *s, struct errinfo *ei)
{
    uint64_t pos = 0;
    if (s->found.is_damaged)
        return err_set(ei, ERR_CORRUPT, "the store is damaged and open for reading only");
    pthread_mutex_lock(&s->keep.lock);
    uint64_t end = atomic_load(&s->log->end);
    s->keep.tried_end = end;
    s->keep.tried_at = mono_now();
    if (end > 0) /* without waiting it would stand for a little less */
        (void)store_wait_applied(s, end - 1, SECONDS(WAIT_S));
    uint64_t applied = atomic_load(&s->applied);
    enum err err = store_checkpoint(s, ei);
    if (err == ERR_OK)
        err = make_snapshot(s, &pos, ei);
    /* What the checkpoint synced reaches at least to `applied`; a rebuild starts at `pos`. */
    if (err == ERR_OK)
        err = store_recycle(s, pos < applied ? pos : applied, ei);
    pthread_mutex_unlock(&s->keep.lock);
    return err;
}

/* ---- the keeper ---- */

static void look_at_disk(struct store *s)
{
    uint64_t free_bytes, total, free_files, total_files;
    if (s->files->free_files(s->files->self, s->dir, &free_files, &total_files) == 0) {
        atomic_store(&s->files_free, free_files);
        atomic_store(&s->files_total, total_files);
    }
    if (s->files->free_space(s->files->self, s->dir, &free_bytes, &total) != 0)
        return; /* the figures of a second ago stay */
    atomic_store(&s->disk_free, free_bytes);
    atomic_store(&s->disk_total, total);
}

static void keep_house(struct store *s)
{
    struct errinfo ei = {};
    look_at_disk(s);
    pthread_mutex_lock(&s->keep.lock);
    uint64_t last = s->keep.tried_end;
    bool is_old = mono_now() >= s->keep.tried_at + s->keep.every;
    pthread_mutex_unlock(&s->keep.lock);
    uint64_t grown = atomic_load(&s->log->end) - last;
    /* Where little is written, too, what was given up shall leave the disk some day. */
    if (grown < (uint64_t)STORE_SNAPSHOT_SEGMENTS * s->log->segment_bytes && !(is_old && grown > 0))
        return;
    enum err err = store_snapshot(s, &ei);
    if (err != ERR_OK && err != ERR_CANCELED)
        store_tell(s, EVENT_NOTICE, "store.snapshot_failed",
                   "no snapshot of the index could be made, the log keeps growing: %s", ei.text);
}

static void *keeper_main(void *arg)
{
    struct store *s = arg;
    pthread_mutex_lock(&s->keep.wake_lock);
    while (!s->keep.is_closing) {
        pthread_mutex_unlock(&s->keep.wake_lock);
        keep_house(s);
        struct timespec until = store_deadline(mono_now() + SECONDS(KEEPER_S));
        pthread_mutex_lock(&s->keep.wake_lock);
        if (!s->keep.is_closing)
            (void)pthread_cond_timedwait(&s->keep.wake, &s->keep.wake_lock, &until);
    }
    pthread_mutex_unlock(&s->keep.wake_lock);
    return NULL;
}

void store_keeper_start(struct store *s)
{
    struct snapshot snap;
    struct errinfo none;
    if (store_snapshot_find(s, &snap, &none) == ERR_OK)
        s->keep.snapshot = snap.pos;
    s->keep.tried_end = s->keep.snapshot;
    s->keep.tried_at = mono_now();
    look_at_disk(s);
    must(pthread_create(&s->keep.thread, NULL, keeper_main, s) == 0);
}

void store_keeper_stop(struct store *s)
{
    pthread_mutex_lock(&s->keep.wake_lock);
    s->keep.is_closing = true;
    pthread_mutex_unlock(&s->keep.wake_lock);
    pthread_cond_signal(&s->keep.wake);
    must(pthread_join(s->keep.thread, NULL) == 0);
}
