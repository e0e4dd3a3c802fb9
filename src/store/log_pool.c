/* Files for segments to come: zero-filled ahead of need, and recycled.
 *
 * Overwriting blocks that were written before syncs almost three times as fast as filling
 * unwritten ones (no journal commit for the extents), so a thread of its own writes zeros in the
 * background, in pieces with a sync each, so that the log's own syncs never wait for 64 MiB. */
#include "store/log_int.h"

#include <errno.h>
#include <fcntl.h>

enum {
    FILL_BYTES = 1 << 20,
    RETRY_S = 5,          /* after a failure */
    LOOK_NS = 100000000,  /* is much being written? more than … */
    BUSY_BYTES = 6 << 20, /* … this in that time */
};

enum err seglog_error(int why)
{
    return why == ENOSPC || why == EDQUOT ? ERR_FULL : ERR_IO;
}

static enum err file_error(const struct seglog *l, unsigned file, const char *what,
                           struct errinfo *ei)
{
    int why = errno;
    return err_set(ei, seglog_error(why), "%s %s/%08u.seg: %s", what, l->dir, file, strerror(why));
}

void seglog_pool_forget(struct seglog *l, struct pool_file **address)
{
    struct pool_file *p = *address;
    if (p && p->fd >= 0)
        (void)l->files->close(l->files->self, p->fd); /* what counts in it was synced */
    mem_free(address);
}

/* Close it and give its room back to the disk. */
static void discard(struct seglog *l, struct pool_file **address)
{
    char path[SEGLOG_PATH];
    seglog_path(l, (*address)->file, path);
    seglog_pool_forget(l, address);
    (void)l->files->unlink(l->files->self, path); /* if it stays, the next start fills it again */
}

static enum err write_zeros(struct seglog *l, const struct pool_file *p, struct errinfo *ei)
{
    const struct store_files *f = l->files;
    SCOPED(mem_free) char *zeros = mem_new(FILL_BYTES);
    for (uint64_t at = 0; at < l->segment_bytes; at += FILL_BYTES) {
        uint64_t left = l->segment_bytes - at;
        struct iovec iov = {zeros, left < FILL_BYTES ? (size_t)left : FILL_BYTES};
        if (f->pwritev(f->self, p->fd, &iov, 1, (off_t)at) != (ssize_t)iov.iov_len)
            return file_error(l, p->file, "fill", ei);
        if (f->fdatasync(f->self, p->fd) != 0)
            return file_error(l, p->file, "sync", ei);
        pthread_mutex_lock(&l->lock);
        bool is_stopping = l->is_stopping;
        pthread_mutex_unlock(&l->lock);
        if (is_stopping)
            return err_set(ei, ERR_CANCELED, "stopping");
    }
    return ERR_OK;
}

/* Written last, so that a file which says that it is free is one that was filled. */
static enum err write_free_head(struct seglog *l, const struct pool_file *p, struct errinfo *ei)
{
    const struct store_files *f = l->files;
    char page[SEGLOG_HEADER];
    struct seg_head h = {
        .store = l->store,
        .epoch = p->epoch,
        .created = utc_now(),
        .segment_bytes = l->segment_bytes,
        .version = SEGLOG_VERSION,
        .is_free = true,
    };
    struct iovec iov = {page, sizeof(page)};
    seg_head_write(page, &h);
    if (f->pwritev(f->self, p->fd, &iov, 1, 0) != (ssize_t)iov.iov_len)
        return file_error(l, p->file, "write", ei);
    if (f->fdatasync(f->self, p->fd) != 0)
        return file_error(l, p->file, "sync", ei);
    return ERR_OK;
}

static enum err open_file(struct seglog *l, struct pool_file *p, int flags, struct errinfo *ei)
{
    char path[SEGLOG_PATH];
    if (p->fd >= 0)
        return ERR_OK;
    seglog_path(l, p->file, path);
    p->fd = l->files->open(l->files->self, path, O_RDWR | flags, 0600);
    return p->fd >= 0 ? ERR_OK : file_error(l, p->file, "open", ei);
}

/* Full size, zeros, a durable name: in this order, so that what is found after a power
 * cut is blank or whole. */
static enum err prepare(struct seglog *l, struct pool_file *p, struct errinfo *ei)
{
    const struct store_files *f = l->files;
    enum err err = open_file(l, p, O_CREAT, ei);
    if (err == ERR_OK && f->allocate(f->self, p->fd, (off_t)l->segment_bytes) != 0)
        err = file_error(l, p->file, "allocate", ei);
    if (err == ERR_OK)
        err = write_zeros(l, p, ei);
    if (err == ERR_OK)
        err = write_free_head(l, p, ei);
    if (err == ERR_OK && f->sync_dir(f->self, l->dir) != 0)
        err = file_error(l, p->file, "sync the folder of", ei);
    return err;
}

enum err seglog_file_make(struct seglog *l, struct pool_file **ret, struct errinfo *ei)
{
    struct pool_file *p = mem_new(sizeof(*p));
    p->fd = -1;
    p->epoch = l->last_epoch;
    pthread_mutex_lock(&l->lock);
    p->file = l->next_file++;
    pthread_mutex_unlock(&l->lock);
    enum err err = prepare(l, p, ei);
    if (err == ERR_OK)
        *ret = p;
    else
        discard(l, &p);
    return err;
}

enum err seglog_pool_take(struct seglog *l, struct pool_file **ret, struct errinfo *ei)
{
    pthread_mutex_lock(&l->lock);
    struct list *node = list_pop(&l->pool);
    if (node)
        l->n_pool--;
    pthread_cond_signal(&l->pool_cond);
    pthread_mutex_unlock(&l->lock);
    /* With zeros here too, though the writer waits for them: into blocks that are only allocated
     * ext4 may say yes to a sync whose bytes are not there, when it goes down in that moment. */
    if (!node)
        return seglog_file_make(l, ret, ei);
    struct pool_file *p = container_of(node, struct pool_file, node);
    enum err err = open_file(l, p, 0, ei);
    if (err == ERR_OK)
        *ret = p;
    else
        seglog_pool_forget(l, &p);
    return err;
}

void seglog_pool_give(struct seglog *l, struct pool_file *take_p)
{
    pthread_mutex_lock(&l->lock);
    bool has_room = l->n_pool < 2 * l->n_pool_wanted;
    if (has_room) {
        list_append(&l->pool, &take_p->node);
        l->n_pool++;
    }
    pthread_mutex_unlock(&l->lock);
    if (!has_room)
        discard(l, &take_p);
}

void seglog_pool_refill(struct seglog *l, struct pool_file *take_p)
{
    pthread_mutex_lock(&l->lock);
    list_append(&l->raw, &take_p->node);
    pthread_mutex_unlock(&l->lock);
}

enum err seglog_recycle(struct seglog *l, uint64_t segment, struct errinfo *ei)
{
    enum err err;
    struct segment *s = seglog_detach(l, segment, &err);
    if (err != ERR_OK)
        return err_set(ei, err, "segment %llu is %s", (unsigned long long)segment,
                       err == ERR_GONE ? "gone" : "being read");
    struct pool_file *p = mem_new(sizeof(*p));
    p->file = s->file;
    p->fd = s->fd;
    p->epoch = l->last_epoch; /* not smaller than any epoch in it */
    mem_free(&s);
    err = open_file(l, p, 0, ei);
    if (err == ERR_OK)
        err = write_free_head(l, p, ei);
    if (err != ERR_OK) {
        discard(l, &p);
        return err;
    }
    l->n_recycled++;
    seglog_pool_give(l, p);
    return ERR_OK;
}

/* ---- the thread ---- */

static void fill_one(struct seglog *l)
{
    struct errinfo ei;
    struct pool_file *p = NULL;
    enum err err;
    pthread_mutex_lock(&l->lock);
    struct list *node = list_pop(&l->raw);
    pthread_mutex_unlock(&l->lock);
    if (node) {
        p = container_of(node, struct pool_file, node);
        p->epoch = l->last_epoch;
        err = prepare(l, p, &ei);
        if (err != ERR_OK)
            seglog_pool_forget(l, &p); /* the next start finds it again */
    } else {
        err = seglog_file_make(l, &p, &ei);
    }
    if (err == ERR_OK) {
        seglog_pool_give(l, p);
        return;
    }
    if (err != ERR_CANCELED)
        seglog_tell(l, EVENT_NOTICE, "store.pool", "no file could be prepared: %s", ei.text);
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    until.tv_sec += RETRY_S;
    pthread_mutex_lock(&l->lock);
    while (!l->is_stopping && pthread_cond_timedwait(&l->pool_cond, &l->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&l->lock);
}

/* Filling a file with zeros takes as much of the disk as the mail that will go into it. While much
 * is being written that share is better left to the writer, which fills one itself when it must.
 * Under lock, which it leaves meanwhile. */
static void wait_for_calm(struct seglog *l)
{
    for (bool is_busy = true; is_busy && !l->is_stopping;) {
        struct timespec until;
        uint64_t before = atomic_load(&l->end);
        (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
        until.tv_nsec += LOOK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!l->is_stopping && pthread_cond_timedwait(&l->pool_cond, &l->lock, &until) == 0)
            ;
        is_busy = atomic_load(&l->end) - before > BUSY_BYTES;
    }
}

static void *pool_main(void *arg)
{
    struct seglog *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->is_stopping) {
        if (l->n_pool >= l->n_pool_wanted) {
            pthread_cond_wait(&l->pool_cond, &l->lock);
            wait_for_calm(l);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        fill_one(l);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

void seglog_pool_start(struct seglog *l)
{
    must(!l->has_pool_thread && !l->is_read_only);
    must(pthread_create(&l->pool_thread, NULL, pool_main, l) == 0);
    l->has_pool_thread = true;
}

void seglog_pool_stop(struct seglog *l)
{
    if (!l->has_pool_thread)
        return;
    pthread_mutex_lock(&l->lock);
    l->is_stopping = true;
    pthread_cond_signal(&l->pool_cond);
    pthread_mutex_unlock(&l->lock);
    must(pthread_join(l->pool_thread, NULL) == 0);
    l->has_pool_thread = false;
}
