/* Finding the segment files at start, and the table of segments.
 *
 * Every file of the folder is read as far as its header. A file without a valid header is either
 * blank (the power failed while the pool filled it: it is filled again) or, if batches of this
 * store are found in it, damaged: then it is never touched again and somebody is told. */
#include "store/log_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LIST_BYTES = 1 << 20, /* names in the folder: 80,000 segments, 5 TiB */
    SEARCH_BYTES = 1 << 20,
};

/* What the folder holds, as long as the log is being opened. */
struct found {
    struct seg_head head;
    unsigned file;
    bool has_head;
};

struct opening {
    struct seglog *l;
    struct found *files;
    size_t n, cap;
};

void seglog_tell(const struct seglog *l, enum event_class class, const char *name,
                 const char *format, ...)
{
    char text[256];
    va_list args;
    if (!l->tell)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* cut where it is too long */
    va_end(args);
    l->tell(l->tell_arg, class, name, text);
}

void seglog_path(const struct seglog *l, unsigned file, char ret[SEGLOG_PATH])
{
    (void)snprintf(ret, SEGLOG_PATH, "%.1000s/%08u.seg", l->dir, file);
}

/* ---- the table ---- */

/* Index of the first segment whose number is not below `n`. Under lock. */
static size_t lower_bound(const struct seglog *l, uint64_t n)
{
    size_t low = 0;
    size_t high = l->n_segments;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (l->segments[mid]->n < n)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct segment *find_segment(const struct seglog *l, uint64_t n)
{
    size_t i = lower_bound(l, n);
    return i < l->n_segments && l->segments[i]->n == n ? l->segments[i] : NULL;
}

struct segment *seglog_join(struct seglog *l, const struct seg_head *h, unsigned file, int fd)
{
    struct segment *s = mem_new(sizeof(*s));
    s->n = h->segment;
    s->epoch = h->epoch;
    s->prev_end = h->prev_end;
    s->file = file;
    s->fd = fd;
    s->n_pins = 1;
    list_init(&s->idle);
    pthread_mutex_lock(&l->lock);
    if (l->n_segments == l->cap_segments) {
        l->cap_segments = l->cap_segments ? l->cap_segments * 2 : 64;
        l->segments = mem_resize(l->segments, l->cap_segments * sizeof(struct segment *));
    }
    size_t i = lower_bound(l, s->n);
    memmove(l->segments + i + 1, l->segments + i, (l->n_segments - i) * sizeof(struct segment *));
    l->segments[i] = s;
    l->n_segments++;
    if (fd >= 0)
        l->n_open++;
    pthread_mutex_unlock(&l->lock);
    return s;
}

/* Under lock. */
static void close_idle(struct seglog *l, unsigned most)
{
    while (l->n_open > most && !list_empty(&l->idle)) {
        struct segment *s = container_of(list_pop(&l->idle), struct segment, idle);
        (void)l->files->close(l->files->self, s->fd); /* nothing unsynced is in it */
        s->fd = -1;
        l->n_open--;
    }
}

/* Under lock. */
static enum err open_segment(struct seglog *l, struct segment *s, struct errinfo *ei)
{
    char path[SEGLOG_PATH];
    if (s->fd >= 0)
        return ERR_OK;
    seglog_path(l, s->file, path);
    s->fd = l->files->open(l->files->self, path, l->is_read_only ? O_RDONLY : O_RDWR, 0);
    if (s->fd < 0)
        return err_set(ei, ERR_IO, "open %s: %s", path, strerror(errno));
    l->n_open++;
    return ERR_OK;
}

enum err seglog_pin(struct seglog *l, uint64_t n, struct segment **ret, struct errinfo *ei)
{
    enum err err = ERR_OK;
    pthread_mutex_lock(&l->lock);
    struct segment *s = find_segment(l, n);
    if (!s)
        err = err_set(ei, ERR_GONE, "segment %llu was recycled", (unsigned long long)n);
    else
        err = open_segment(l, s, ei);
    if (err == ERR_OK) {
        if (s->n_pins++ == 0)
            list_remove(&s->idle);
        *ret = s;
    }
    pthread_mutex_unlock(&l->lock);
    return err;
}

void seglog_unpin(struct seglog *l, struct segment *s)
{
    pthread_mutex_lock(&l->lock);
    must(s->n_pins > 0);
    if (--s->n_pins == 0) {
        if (s->fd >= 0)
            list_append(&l->idle, &s->idle);
        close_idle(l, SEGLOG_OPEN_FILES);
    }
    pthread_mutex_unlock(&l->lock);
}

struct segment *seglog_detach(struct seglog *l, uint64_t n, enum err *ret_why)
{
    pthread_mutex_lock(&l->lock);
    size_t i = lower_bound(l, n);
    struct segment *s = find_segment(l, n);
    *ret_why = !s ? ERR_GONE : s->n_pins > 0 ? ERR_RETRY : ERR_OK;
    if (*ret_why != ERR_OK) {
        pthread_mutex_unlock(&l->lock);
        return NULL;
    }
    memmove(l->segments + i, l->segments + i + 1,
            (l->n_segments - i - 1) * sizeof(struct segment *));
    l->n_segments--;
    list_remove(&s->idle);
    if (s->fd >= 0)
        l->n_open--;
    pthread_mutex_unlock(&l->lock);
    return s;
}

uint64_t *seglog_numbers(struct seglog *l, size_t *ret_n)
{
    pthread_mutex_lock(&l->lock);
    uint64_t *numbers = mem_new((l->n_segments + 1) * sizeof(*numbers));
    *ret_n = l->n_segments;
    for (size_t i = 0; i < l->n_segments; i++)
        numbers[i] = l->segments[i]->n;
    pthread_mutex_unlock(&l->lock);
    return numbers;
}

bool seglog_is_empty(const struct seglog *l)
{
    return l->n_segments == 0;
}

/* ---- opening ---- */

static bool file_number(const char *name, unsigned *ret)
{
    uint64_t n;
    struct slice rest;
    struct slice number = slice_cut(slice_str(name), '.', &rest);
    if (number.n != 8 || !slice_eq(rest, SLICE("seg")) || !slice_u64(number, 99999999, &n))
        return false;
    *ret = (unsigned)n;
    return true;
}

static enum err read_head(struct opening *o, unsigned file, struct errinfo *ei)
{
    const struct store_files *f = o->l->files;
    char path[SEGLOG_PATH];
    char page[SEGLOG_HEADER] = {};
    seglog_path(o->l, file, path);
    int fd = f->open(f->self, path, O_RDONLY, 0);
    if (fd < 0)
        return err_set(ei, ERR_IO, "open %s: %s", path, strerror(errno));
    ssize_t got = f->pread(f->self, fd, page, sizeof(page), 0);
    int why = errno;
    (void)f->close(f->self, fd); /* only read */
    if (got < 0)
        return err_set(ei, ERR_IO, "read %s: %s", path, strerror(why));
    if (o->n == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 64;
        o->files = mem_resize(o->files, o->cap * sizeof(struct found));
    }
    struct found *found = &o->files[o->n++];
    *found = (struct found){.file = file};
    found->has_head = seg_head_read(page, &found->head);
    if (found->has_head && found->head.version > SEGLOG_VERSION)
        return err_set(ei, ERR_INVALID, "%s was written by a newer version (%u)", path,
                       found->head.version);
    if (file >= o->l->next_file)
        o->l->next_file = file + 1;
    return ERR_OK;
}

static enum err read_heads(struct opening *o, struct errinfo *ei)
{
    const struct store_files *f = o->l->files;
    SCOPED(mem_free) char *names = mem_new(LIST_BYTES);
    enum err err = ERR_OK;
    if (f->list(f->self, o->l->dir, names, LIST_BYTES) != 0)
        return err_set(ei, ERR_IO, "list %s: %s", o->l->dir, strerror(errno));
    for (const char *name = names; *name && err == ERR_OK; name += strlen(name) + 1) {
        unsigned file;
        if (file_number(name, &file))
            err = read_head(o, file, ei);
    }
    return err;
}

/* The store's number and the segments' size are those of the newest header. */
static bool take_identity(struct opening *o)
{
    const struct found *newest = NULL;
    for (size_t i = 0; i < o->n; i++) {
        const struct found *f = &o->files[i];
        bool is_sane = f->has_head && f->head.segment_bytes >= SEGLOG_SEGMENT_MIN &&
                       f->head.segment_bytes % SEGLOG_PAGE == 0 &&
                       f->head.segment_bytes <= (1u << 30);
        if (is_sane && (!newest || f->head.epoch > newest->head.epoch))
            newest = f;
    }
    if (!newest)
        return false;
    o->l->store = newest->head.store;
    o->l->segment_bytes = newest->head.segment_bytes;
    return true;
}

/* Largest segment number of a batch of ours in a file whose header says nothing. */
static bool search_batches(const struct seglog *l, unsigned file, uint64_t *ret_segment)
{
    const struct store_files *f = l->files;
    char path[SEGLOG_PATH];
    bool is_found = false;
    seglog_path(l, file, path);
    int fd = f->open(f->self, path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    SCOPED(mem_free) char *bytes = mem_new(SEARCH_BYTES);
    for (uint64_t at = 0; at < l->segment_bytes; at += SEARCH_BYTES) {
        ssize_t got = f->pread(f->self, fd, bytes, SEARCH_BYTES, (off_t)at);
        for (ssize_t i = 0; i + SEGLOG_BATCH_HEAD <= got; i += SEGLOG_SECTOR) {
            struct batch_head h;
            if (!batch_head_read(bytes + i, l->store, at + (uint64_t)i, &h))
                continue;
            *ret_segment = !is_found || h.segment > *ret_segment ? h.segment : *ret_segment;
            is_found = true;
        }
    }
    (void)f->close(f->self, fd); /* only read */
    return is_found;
}

static void add_pool_file(struct list *to, unsigned file, uint64_t epoch)
{
    struct pool_file *p = mem_new(sizeof(*p));
    p->file = file;
    p->fd = -1;
    p->epoch = epoch;
    list_append(to, &p->node);
}

static int by_segment(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    if (x->head.segment != y->head.segment)
        return x->head.segment < y->head.segment ? -1 : 1;
    return x->head.epoch > y->head.epoch ? -1 : x->head.epoch < y->head.epoch;
}

static enum err sort_out_headless(struct opening *o, const struct found *f, struct errinfo *ei)
{
    struct seglog *l = o->l;
    uint64_t segment = 0;
    if (!search_batches(l, f->file, &segment)) {
        add_pool_file(&l->raw, f->file, 0);
        return ERR_OK;
    }
    seglog_tell(l, EVENT_ALARM, "store.header_damaged",
                "the header of %08u.seg is damaged; it held segment %llu and is left as it is",
                f->file, (unsigned long long)segment);
    if (l->n_segments > 0 && segment <= l->segments[l->n_segments - 1]->n)
        return ERR_OK; /* if it is needed, its absence is found out where it is */
    return err_set(ei, ERR_CORRUPT,
                   "%s/%08u.seg: offset 0: the header is damaged, the file holds the newest "
                   "segment %llu (position %llu)",
                   l->dir, f->file, (unsigned long long)segment,
                   (unsigned long long)seglog_pos(l, segment, 0));
}

static bool is_ours(const struct seglog *l, const struct found *f)
{
    return f->head.store == l->store && f->head.segment_bytes == l->segment_bytes;
}

static void sort_out(struct opening *o)
{
    struct seglog *l = o->l;
    if (o->n > 0)
        qsort(o->files, o->n, sizeof(struct found), by_segment);
    for (size_t i = 0; i < o->n; i++) {
        struct found *f = &o->files[i];
        if (!f->has_head)
            continue;
        if (!is_ours(l, f)) {
            seglog_tell(l, EVENT_ALARM, "store.foreign_file",
                        "%08u.seg belongs to another store and is left as it is", f->file);
            continue;
        }
        if (f->head.epoch > l->last_epoch)
            l->last_epoch = f->head.epoch;
        if (f->head.is_free) {
            add_pool_file(&l->pool, f->file, f->head.epoch);
            l->n_pool++;
        } else if (l->n_segments > 0 && l->segments[l->n_segments - 1]->n == f->head.segment) {
            f->has_head = false; /* its first header could not be synced, another file was taken */
        } else {
            seglog_join(l, &f->head, f->file, -1)->n_pins = 0;
        }
    }
}

static struct seglog *make_log(const struct seglog_options *o)
{
    struct seglog *l = mem_new(sizeof(*l));
    l->files = o->files;
    (void)snprintf(l->dir, sizeof(l->dir), "%.1000s/log", o->dir);
    l->segment_bytes = o->segment_bytes;
    l->n_pool_wanted = o->n_pool;
    l->is_read_only = o->is_read_only;
    l->tell = o->tell;
    l->tell_arg = o->tell_arg;
    list_init(&l->idle);
    list_init(&l->pool);
    list_init(&l->raw);
    must(pthread_mutex_init(&l->lock, NULL) == 0);
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr) == 0);
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&l->pool_cond, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    return l;
}

static enum err open_all(struct opening *o, struct errinfo *ei)
{
    enum err err = read_heads(o, ei);
    if (err != ERR_OK)
        return err;
    if (!take_identity(o))
        random_bytes(&o->l->store, sizeof(o->l->store));
    sort_out(o);
    for (size_t i = 0; i < o->n; i++) {
        enum err one = o->files[i].has_head ? ERR_OK : sort_out_headless(o, &o->files[i], ei);
        err = one != ERR_OK ? one : err;
    }
    return err;
}

enum err seglog_open(const struct seglog_options *options, struct seglog **ret, struct errinfo *ei)
{
    struct opening o = {.l = make_log(options)};
    enum err err = open_all(&o, ei);
    mem_free(&o.files);
    if (err == ERR_OK || err == ERR_CORRUPT)
        *ret = o.l;
    else
        seglog_close(&o.l);
    return err;
}

static void free_pool(struct seglog *l, struct list *pool)
{
    for (struct list *node; (node = list_pop(pool));) {
        struct pool_file *p = container_of(node, struct pool_file, node);
        seglog_pool_forget(l, &p);
    }
}

void seglog_close(struct seglog **address)
{
    struct seglog *l = *address;
    if (!l)
        return;
    seglog_pool_stop(l);
    for (size_t i = 0; i < l->n_segments; i++) {
        if (l->segments[i]->fd >= 0)
            (void)l->files->close(l->files->self, l->segments[i]->fd); /* synced, or refused */
        mem_free(&l->segments[i]);
    }
    free_pool(l, &l->pool);
    free_pool(l, &l->raw);
    seglog_batch_free(l);
    mem_free(&l->segments);
    (void)pthread_cond_destroy(&l->pool_cond);
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(address);
}
