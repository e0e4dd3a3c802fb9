/* A file layer in memory that fails on demand and loses power on demand. For tests: include it in
 * one file of a program.
 *
 * Reads see the page cache. A sync copies the dirty sectors to the disk; a failed sync copies some
 * of them and calls all of them clean, as Linux does. At a power cut any subset of the sectors that
 * were not synced has reached the disk, and of the changes to names any number of the first ones.
 */
#ifndef STORE_TEST_FILES_FAULT_H
#define STORE_TEST_FILES_FAULT_H

#include "base/base.h"
#include "store/store_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

enum {
    FAULT_SECTOR = 512,
    FAULT_FILES = 256,
    FAULT_FDS = 128,
    FAULT_NAMES = 4096,
    FAULT_PATH = 128
};

/* REFUSED: EIO, and a write has taken nothing. */
enum fault_kind { FAULT_NONE, FAULT_EIO, FAULT_REFUSED, FAULT_ENOSPC, FAULT_SHORT };

struct fault_inode {
    char *cache, *disk;
    unsigned char
        *state; /* by sector: 1 dirty (the next sync writes it), 2 cache and disk differ */
    size_t size, disk_size, cap;
    bool is_locked, is_used;
};

struct fault_entry {
    char path[FAULT_PATH];
    int inode; /* -1: unlinked */
};

struct fault {
    pthread_mutex_t lock;
    struct fault_inode inodes[FAULT_FILES];
    struct fault_entry now[FAULT_FILES], disk[FAULT_FILES];
    int n_now, n_disk;
    struct {
        char from[FAULT_PATH],
            to[FAULT_PATH]; /* from "": `to` is made or, with inode -1, removed */
        int inode;
    } names[FAULT_NAMES]; /* changes not synced yet */
    int n_names;
    struct {
        int inode;
        bool is_open;
    } fds[FAULT_FDS];
    uint64_t n_ops;      /* that change something (and reads, with counts_reads) */
    uint64_t fail_at;    /* this one fails (counted from 1); 0: none */
    uint64_t fail_count; /* so many from there on */
    enum fault_kind kind;
    uint64_t cut_at; /* the power fails during this one; 0: never */
    bool counts_reads;
    bool is_full; /* files cannot be made larger */
    bool is_dead; /* no power */
    uint64_t seed;
    struct store_files files;
};

static uint64_t fault_random(struct fault *f)
{
    f->seed ^= f->seed << 13;
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return f->seed;
}

static void fault_lock(struct fault *f)
{
    pthread_mutex_lock(&f->lock);
}

static int fault_leave(struct fault *f, int result, int why)
{
    pthread_mutex_unlock(&f->lock);
    errno = why;
    return result;
}

/* What happens to this operation. Under lock. */
static enum fault_kind fault_step(struct fault *f)
{
    if (f->is_dead)
        return FAULT_EIO;
    f->n_ops++;
    if (f->n_ops == f->cut_at)
        f->is_dead = true;
    if (f->fail_at && f->n_ops >= f->fail_at && f->n_ops < f->fail_at + f->fail_count)
        return f->kind;
    return FAULT_NONE;
}

static int fault_errno(enum fault_kind kind)
{
    return kind == FAULT_ENOSPC ? ENOSPC : EIO;
}

static struct fault_entry *fault_find(struct fault_entry *list, int n, const char *path)
{
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].path, path) == 0)
            return &list[i];
    return NULL;
}

static void fault_set(struct fault_entry *list, int *n, const char *path, int inode)
{
    struct fault_entry *e = fault_find(list, *n, path);
    if (inode < 0) {
        if (e)
            *e = list[--*n];
        return;
    }
    if (!e) {
        must(*n < FAULT_FILES);
        e = &list[(*n)++];
        (void)snprintf(e->path, sizeof(e->path), "%s", path);
    }
    e->inode = inode;
}

/* Applied now, on the disk with the next sync of a folder. */
static void fault_name(struct fault *f, const char *from, const char *to, int inode)
{
    must(f->n_names < FAULT_NAMES);
    int i = f->n_names++;
    (void)snprintf(f->names[i].from, FAULT_PATH, "%s", from);
    (void)snprintf(f->names[i].to, FAULT_PATH, "%s", to);
    f->names[i].inode = inode;
    if (*from)
        fault_set(f->now, &f->n_now, from, -1);
    fault_set(f->now, &f->n_now, to, inode);
}

static void fault_commit_name(struct fault *f, int i)
{
    if (*f->names[i].from)
        fault_set(f->disk, &f->n_disk, f->names[i].from, -1);
    fault_set(f->disk, &f->n_disk, f->names[i].to, f->names[i].inode);
}

/* The first `n` of all. */
static void fault_commit_names(struct fault *f, int n)
{
    for (int i = 0; i < n; i++)
        fault_commit_name(f, i);
    f->n_names = 0;
}

/* Those of one folder; the others wait for their own. */
static void fault_commit_folder(struct fault *f, const char *folder)
{
    int n = 0;
    size_t len = strlen(folder);
    for (int i = 0; i < f->n_names; i++) {
        if (strncmp(f->names[i].to, folder, len) == 0 && f->names[i].to[len] == '/' &&
            !strchr(f->names[i].to + len + 1, '/'))
            fault_commit_name(f, i);
        else
            f->names[n++] = f->names[i];
    }
    f->n_names = n;
}

static int fault_new_inode(struct fault *f)
{
    for (int i = 0; i < FAULT_FILES; i++) {
        if (f->inodes[i].is_used)
            continue;
        f->inodes[i] = (struct fault_inode){.is_used = true};
        return i;
    }
    must(!"too many files");
    return -1;
}

static void fault_drop_inode(struct fault_inode *n)
{
    mem_free(&n->cache);
    mem_free(&n->disk);
    mem_free(&n->state);
    *n = (struct fault_inode){};
}

/* Inodes that no name and no descriptor holds. */
static void fault_collect(struct fault *f)
{
    bool is_held[FAULT_FILES] = {};
    for (int i = 0; i < f->n_now; i++)
        is_held[f->now[i].inode] = true;
    for (int i = 0; i < f->n_disk; i++)
        is_held[f->disk[i].inode] = true;
    for (int i = 0; i < f->n_names; i++)
        if (f->names[i].inode >= 0)
            is_held[f->names[i].inode] = true;
    for (int i = 0; i < FAULT_FDS; i++)
        if (f->fds[i].is_open)
            is_held[f->fds[i].inode] = true;
    for (int i = 0; i < FAULT_FILES; i++)
        if (f->inodes[i].is_used && !is_held[i])
            fault_drop_inode(&f->inodes[i]);
}

static void fault_grow(struct fault_inode *n, size_t size)
{
    if (size <= n->cap)
        return;
    size_t cap = (size + 65535) / 65536 * 65536;
    char *cache = mem_new(cap);
    char *disk = mem_new(cap);
    unsigned char *state = mem_new(cap / FAULT_SECTOR);
    if (n->cap > 0) {
        memcpy(cache, n->cache, n->cap);
        memcpy(disk, n->disk, n->cap);
        memcpy(state, n->state, n->cap / FAULT_SECTOR);
    }
    mem_free(&n->cache);
    mem_free(&n->disk);
    mem_free(&n->state);
    n->cache = cache;
    n->disk = disk;
    n->state = state;
    n->cap = cap;
}

static void fault_persist(struct fault_inode *n, size_t sector)
{
    memcpy(n->disk + sector * FAULT_SECTOR, n->cache + sector * FAULT_SECTOR, FAULT_SECTOR);
    n->state[sector] &= (unsigned char)~2;
}

/* ---- the calls ---- */

static int fault_open(void *self, const char *path, int flags, mode_t)
{
    struct fault *f = self;
    fault_lock(f);
    struct fault_entry *e = fault_find(f->now, f->n_now, path);
    if (f->is_dead)
        return fault_leave(f, -1, EIO);
    if (!e && !(flags & O_CREAT))
        return fault_leave(f, -1, ENOENT);
    enum fault_kind kind = !e || (flags & O_TRUNC) || f->counts_reads ? fault_step(f) : FAULT_NONE;
    if (kind != FAULT_NONE || f->is_dead)
        return fault_leave(f, -1, fault_errno(kind));
    if (!e)
        fault_name(f, "", path, fault_new_inode(f));
    e = fault_find(f->now, f->n_now, path);
    if (flags & O_TRUNC) {
        struct fault_inode *n = &f->inodes[e->inode];
        n->size = 0;
        if (n->cap > 0)
            memset(n->cache, 0, n->cap);
        for (size_t i = 0; i < n->cap / FAULT_SECTOR; i++)
            n->state[i] = 3;
    }
    for (int fd = 0; fd < FAULT_FDS; fd++) {
        if (f->fds[fd].is_open)
            continue;
        f->fds[fd].is_open = true;
        f->fds[fd].inode = e->inode;
        return fault_leave(f, fd, 0);
    }
    must(!"too many descriptors: one leaks");
    return -1;
}

static int fault_close(void *self, int fd)
{
    struct fault *f = self;
    fault_lock(f);
    must(fd >= 0 && fd < FAULT_FDS && f->fds[fd].is_open);
    f->fds[fd].is_open = false;
    f->inodes[f->fds[fd].inode].is_locked = false;
    fault_collect(f);
    return fault_leave(f, 0, 0);
}

static struct fault_inode *fault_inode(struct fault *f, int fd)
{
    must(fd >= 0 && fd < FAULT_FDS && f->fds[fd].is_open);
    return &f->inodes[f->fds[fd].inode];
}

static ssize_t fault_pread(void *self, int fd, void *p, size_t n, off_t at)
{
    struct fault *f = self;
    fault_lock(f);
    struct fault_inode *i = fault_inode(f, fd);
    enum fault_kind kind = f->counts_reads ? fault_step(f) : FAULT_NONE;
    if (f->is_dead || kind == FAULT_EIO)
        return fault_leave(f, -1, EIO);
    size_t from = (size_t)at < i->size ? (size_t)at : i->size;
    size_t got = n < i->size - from ? n : i->size - from;
    if (got > 0)
        memcpy(p, i->cache + from, got);
    pthread_mutex_unlock(&f->lock);
    return (ssize_t)got;
}

static void fault_put(struct fault_inode *i, const char *p, size_t n, size_t at)
{
    fault_grow(i, at + n);
    memcpy(i->cache + at, p, n);
    for (size_t s = at / FAULT_SECTOR; n > 0 && s <= (at + n - 1) / FAULT_SECTOR; s++)
        i->state[s] = 3;
    if (at + n > i->size)
        i->size = at + n;
}

static ssize_t fault_pwritev(void *self, int fd, const struct iovec *iov, int n, off_t at)
{
    struct fault *f = self;
    size_t all = 0;
    size_t done = 0;
    fault_lock(f);
    struct fault_inode *i = fault_inode(f, fd);
    bool was_dead = f->is_dead;
    enum fault_kind kind = fault_step(f);
    for (int k = 0; k < n; k++)
        all += iov[k].iov_len;
    size_t most = all;
    if (was_dead || kind == FAULT_REFUSED)
        most = 0;
    else if (kind != FAULT_NONE) /* some of it may have been taken before it failed */
        most = (size_t)(fault_random(f) % (all / FAULT_SECTOR + 1)) * FAULT_SECTOR;
    for (int k = 0; k < n && done < most; k++) {
        size_t part = iov[k].iov_len < most - done ? iov[k].iov_len : most - done;
        fault_put(i, iov[k].iov_base, part, (size_t)at + done);
        done += part;
    }
    if (f->is_dead || (kind != FAULT_NONE && kind != FAULT_SHORT))
        return fault_leave(f, -1, fault_errno(kind));
    pthread_mutex_unlock(&f->lock);
    errno = 0;
    return (ssize_t)done;
}

static int fault_fdatasync(void *self, int fd)
{
    struct fault *f = self;
    fault_lock(f);
    struct fault_inode *i = fault_inode(f, fd);
    enum fault_kind kind = fault_step(f);
    if (f->is_dead)
        return fault_leave(f, -1, EIO);
    for (size_t s = 0; s < i->cap / FAULT_SECTOR; s++) {
        if (!(i->state[s] & 1))
            continue;
        if (kind == FAULT_NONE || fault_random(f) % 2)
            fault_persist(i, s);
        i->state[s] &= (unsigned char)~1;
    }
    i->disk_size = i->size;
    return kind == FAULT_NONE ? fault_leave(f, 0, 0) : fault_leave(f, -1, fault_errno(kind));
}

static int fault_allocate(void *self, int fd, off_t size)
{
    struct fault *f = self;
    fault_lock(f);
    struct fault_inode *i = fault_inode(f, fd);
    enum fault_kind kind = fault_step(f);
    if (kind == FAULT_NONE && f->is_full)
        kind = FAULT_ENOSPC;
    if (f->is_dead || kind != FAULT_NONE)
        return fault_leave(f, -1, fault_errno(kind));
    fault_grow(i, (size_t)size);
    if ((size_t)size > i->size)
        i->size = (size_t)size;
    return fault_leave(f, 0, 0);
}

static off_t fault_size(void *self, int fd)
{
    struct fault *f = self;
    fault_lock(f);
    off_t size = (off_t)fault_inode(f, fd)->size;
    pthread_mutex_unlock(&f->lock);
    return size;
}

static int fault_lock_file(void *self, int fd)
{
    struct fault *f = self;
    fault_lock(f);
    struct fault_inode *i = fault_inode(f, fd);
    if (i->is_locked)
        return fault_leave(f, -1, EWOULDBLOCK);
    i->is_locked = true;
    return fault_leave(f, 0, 0);
}

static int fault_sync_dir(void *self, const char *path)
{
    struct fault *f = self;
    fault_lock(f);
    enum fault_kind kind = fault_step(f);
    if (f->is_dead || kind != FAULT_NONE)
        return fault_leave(f, -1, fault_errno(kind));
    fault_commit_folder(f, path);
    fault_collect(f);
    return fault_leave(f, 0, 0);
}

static int fault_rename(void *self, const char *from, const char *to)
{
    struct fault *f = self;
    fault_lock(f);
    struct fault_entry *e = fault_find(f->now, f->n_now, from);
    bool was_dead = f->is_dead;
    enum fault_kind kind = fault_step(f);
    if (was_dead || kind != FAULT_NONE)
        return fault_leave(f, -1, fault_errno(kind));
    if (!e)
        return fault_leave(f, -1, ENOENT);
    fault_name(f, from, to, e->inode);
    return f->is_dead ? fault_leave(f, -1, EIO) : fault_leave(f, 0, 0);
}

static int fault_unlink(void *self, const char *path)
{
    struct fault *f = self;
    fault_lock(f);
    if (!f->is_dead && !fault_find(f->now, f->n_now, path))
        return fault_leave(f, -1, ENOENT);
    bool was_dead = f->is_dead;
    enum fault_kind kind = fault_step(f);
    if (was_dead || kind != FAULT_NONE)
        return fault_leave(f, -1, fault_errno(kind));
    fault_name(f, "", path, -1);
    return f->is_dead ? fault_leave(f, -1, EIO) : fault_leave(f, 0, 0);
}

static int fault_mkdir(void *self, const char *)
{
    struct fault *f = self;
    fault_lock(f);
    return f->is_dead ? fault_leave(f, -1, EIO) : fault_leave(f, 0, 0);
}

static int fault_list(void *self, const char *path, char *ret, size_t max)
{
    struct fault *f = self;
    size_t n = 0;
    size_t len = strlen(path);
    fault_lock(f);
    if (f->is_dead)
        return fault_leave(f, -1, EIO);
    for (int i = 0; i < f->n_now; i++) {
        const char *name = f->now[i].path + len + 1;
        if (strncmp(f->now[i].path, path, len) != 0 || f->now[i].path[len] != '/' ||
            strchr(name, '/'))
            continue;
        must(n + strlen(name) + 2 <= max);
        memcpy(ret + n, name, strlen(name) + 1);
        n += strlen(name) + 1;
    }
    ret[n] = '\0';
    return fault_leave(f, 0, 0);
}

static int fault_free_space(void *, const char *, uint64_t *ret_free, uint64_t *ret_total)
{
    *ret_free = 1ull << 30;
    *ret_total = 1ull << 31;
    return 0;
}

static int fault_free_files(void *, const char *, uint64_t *ret_free, uint64_t *ret_total)
{
    *ret_free = 1000;
    *ret_total = 2000;
    return 0;
}

/* ---- for the tests ---- */

static struct fault *fault_create(uint64_t seed)
{
    struct fault *f = mem_new(sizeof(*f));
    f->seed = seed * 0x9e3779b97f4a7c15u | 1;
    f->fail_count = 1;
    must(pthread_mutex_init(&f->lock, NULL) == 0);
    f->files = (struct store_files){
        .self = f,
        .open = fault_open,
        .close = fault_close,
        .pread = fault_pread,
        .pwritev = fault_pwritev,
        .fdatasync = fault_fdatasync,
        .allocate = fault_allocate,
        .size = fault_size,
        .lock = fault_lock_file,
        .sync_dir = fault_sync_dir,
        .rename = fault_rename,
        .unlink = fault_unlink,
        .mkdir = fault_mkdir,
        .list = fault_list,
        .free_space = fault_free_space,
        .free_files = fault_free_files,
    };
    return f;
}

static void fault_destroy(struct fault **f)
{
    if (!*f)
        return;
    for (int i = 0; i < FAULT_FILES; i++)
        fault_drop_inode(&(*f)->inodes[i]);
    pthread_mutex_destroy(&(*f)->lock);
    mem_free(f);
}

/* From the `in`th operation from now on (0: none), `count` of them fail. */
__attribute__((unused)) static void fault_fail(struct fault *f, enum fault_kind kind, uint64_t in,
                                               uint64_t count)
{
    fault_lock(f);
    f->kind = kind;
    f->fail_at = in ? f->n_ops + in : 0;
    f->fail_count = count;
    pthread_mutex_unlock(&f->lock);
}

__attribute__((unused)) static void fault_fail_allocate(struct fault *f, bool is_full)
{
    fault_lock(f);
    f->is_full = is_full;
    pthread_mutex_unlock(&f->lock);
}

__attribute__((unused)) static void fault_power_off(struct fault *f)
{
    fault_lock(f);
    f->is_dead = true;
    pthread_mutex_unlock(&f->lock);
}

__attribute__((unused)) static uint64_t fault_operations(struct fault *f)
{
    fault_lock(f);
    uint64_t n = f->n_ops;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* The power is back: what is there now is what the disk has. No descriptor may be open. */
__attribute__((unused)) static void fault_reboot(struct fault *f)
{
    fault_lock(f);
    for (int i = 0; i < FAULT_FDS; i++)
        must(!f->fds[i].is_open);
    fault_commit_names(f, f->n_names > 0 ? (int)(fault_random(f) % (uint64_t)(f->n_names + 1)) : 0);
    memcpy(f->now, f->disk, sizeof(f->now));
    f->n_now = f->n_disk;
    for (int i = 0; i < FAULT_FILES; i++) {
        struct fault_inode *n = &f->inodes[i];
        for (size_t s = 0; s < n->cap / FAULT_SECTOR; s++) {
            if ((n->state[s] & 1) && fault_random(f) % 2)
                fault_persist(n, s);
            if (n->state[s] & 2)
                memcpy(n->cache + s * FAULT_SECTOR, n->disk + s * FAULT_SECTOR, FAULT_SECTOR);
            n->state[s] = 0;
        }
        n->size = fault_random(f) % 2 ? n->size : n->disk_size;
        n->disk_size = n->size;
        n->is_locked = false;
    }
    fault_collect(f);
    f->is_dead = false;
    f->n_ops = f->cut_at = f->fail_at = 0;
    pthread_mutex_unlock(&f->lock);
}

/* The bytes of a file as they are now, to damage them; NULL: no such file. */
__attribute__((unused)) static char *fault_bytes(struct fault *f, const char *path, size_t *ret_n)
{
    struct fault_entry *e = fault_find(f->now, f->n_now, path);
    if (e && ret_n)
        *ret_n = f->inodes[e->inode].size;
    return e ? f->inodes[e->inode].cache : NULL;
}

#endif
