/* Reading the log back: batches with verification, the search for the end, bytes of a message.
 *
 * Everything here takes the disk for hostile: a length is believed only inside a verified header
 * and within its ceiling. A batch is valid as a whole or not at all. */
#include "store/log_int.h"

#include <errno.h>
#include <stdio.h>

enum {
    FIRST_READ = 64 << 10, /* most batches come with one read */
    SEARCH_BYTES = 1 << 20,
};

struct log_place {
    char text[200];
};

/* "log/00000003.seg: offset 4096, position 4096" */
static struct log_place place_text(const struct seglog *l, const struct segment *s, uint64_t offset)
{
    struct log_place t;
    (void)snprintf(t.text, sizeof(t.text), "%.120s/%08u.seg: offset %llu, position %llu", l->dir,
                   s->file, (unsigned long long)offset,
                   (unsigned long long)seglog_pos(l, s->n, offset));
    return t;
}

/* ---- one batch ---- */

void batch_view_finish(struct batch_view *v)
{
    mem_free(&v->p);
    *v = (struct batch_view){};
}

static bool view_load(struct batch_view *v, const struct seglog *l, const struct segment *s,
                      size_t from, size_t to)
{
    if (v->cap < to) {
        v->p = mem_resize(v->p, to);
        v->cap = to;
    }
    ssize_t got =
        l->files->pread(l->files->self, s->fd, v->p + from, to - from, (off_t)(v->offset + from));
    v->is_io_error = got < 0;
    return got == (ssize_t)(to - from);
}

static bool head_fits(const struct batch_head *h, const struct seglog *l, const struct segment *s,
                      uint64_t offset, uint64_t epoch)
{
    return h->segment == s->n && h->epoch >= epoch && h->pos == seglog_pos(l, s->n, offset) &&
           h->synced <= h->pos && h->bytes <= STORE_BATCH_BYTES &&
           h->bytes <= l->segment_bytes - offset - SEGLOG_BATCH_HEAD &&
           h->n_records <= SEGLOG_BATCH_RECORDS && (h->n_records == 0) == (h->bytes == 0);
}

bool batch_view_next(const struct batch_view *v, const struct seglog *l, size_t *at,
                     struct log_record *ret)
{
    struct record_head h;
    size_t from = *at ? *at : SEGLOG_BATCH_HEAD;
    if (from >= v->data.n || v->data.n - from < SEGLOG_RECORD_HEAD)
        return false;
    const char *p = v->data.p + from;
    uint64_t offset = v->offset + from;
    if (!record_head_read(p, l->store, v->segment, offset, &h) || h.epoch != v->head.epoch ||
        h.bytes > v->data.n - from - SEGLOG_RECORD_HEAD)
        return false;
    struct slice payload = slice_of(p + SEGLOG_RECORD_HEAD, h.bytes);
    struct reader r = reader_make(payload);
    *ret = (struct log_record){
        .type = h.type,
        .version = h.version,
        .id = h.id,
        .pos = seglog_pos(l, v->segment, offset),
        .facts = payload,
        .whole = slice_of(p, SEGLOG_RECORD_HEAD + h.bytes),
    };
    if (seglog_has_body(h.type)) {
        ret->facts = read_bytes(&r, STORE_RECORD_MAX);
        ret->body_bytes = (uint32_t)r.rest.n;
        ret->body_pos = ret->pos + SEGLOG_RECORD_HEAD + h.bytes - r.rest.n;
        if (r.failed)
            return false;
    }
    *at = (size_t)seglog_round(from + SEGLOG_RECORD_HEAD + h.bytes, 8);
    return true;
}

static bool records_are_valid(const struct batch_view *v, const struct seglog *l)
{
    struct seg_seed seed = {l->store, v->segment, v->head.epoch, v->offset};
    uint32_t crc = seg_seed(&seed);
    struct log_record rec;
    size_t at = 0;
    uint32_t n = 0;
    for (size_t from = SEGLOG_BATCH_HEAD; batch_view_next(v, l, &at, &rec); from = at, n++) {
        struct record_head h;
        seed.offset = v->offset + from;
        if (!record_head_read(rec.whole.p, l->store, v->segment, seed.offset, &h) ||
            h.crc != crc32c(seg_seed(&seed), rec.whole.p + SEGLOG_RECORD_HEAD, h.bytes))
            return false;
        crc = crc32c(crc, rec.whole.p, SEGLOG_RECORD_HEAD);
    }
    size_t end = at ? at : SEGLOG_BATCH_HEAD;
    return n == v->head.n_records && crc == v->head.records_crc &&
           end == seglog_round(v->data.n, 8);
}

bool batch_view_read(struct batch_view *v, const struct seglog *l, const struct segment *s,
                     uint64_t offset, uint64_t epoch)
{
    v->is_io_error = false;
    if (offset % SEGLOG_SECTOR != 0 || offset + SEGLOG_BATCH_HEAD > l->segment_bytes)
        return false;
    uint64_t left = l->segment_bytes - offset;
    size_t first = left < FIRST_READ ? (size_t)left : FIRST_READ;
    v->segment = s->n;
    v->offset = offset;
    if (!view_load(v, l, s, 0, first) || !batch_head_read(v->p, l->store, offset, &v->head) ||
        !head_fits(&v->head, l, s, offset, epoch))
        return false;
    size_t all = SEGLOG_BATCH_HEAD + v->head.bytes;
    if (all > first && !view_load(v, l, s, first, all))
        return false;
    v->data = slice_of(v->p, all);
    v->end = offset + seglog_round(all, SEGLOG_SECTOR);
    return records_are_valid(v, l);
}

/* ---- segments ---- */

enum err seglog_walk_segment(struct seglog *l, struct segment *s, uint64_t until,
                             seglog_walk_fn *fn, void *arg, uint64_t *ret_end, struct errinfo *ei)
{
    SCOPED(batch_view_finish) struct batch_view v = {};
    uint64_t offset = SEGLOG_HEADER;
    uint64_t epoch = s->epoch;
    while (until == 0 || seglog_pos(l, s->n, offset) < until) {
        if (!batch_view_read(&v, l, s, offset, epoch)) {
            if (until == 0 && !v.is_io_error)
                break;
            return err_set(ei, ERR_CORRUPT, "%s: %s", place_text(l, s, offset).text,
                           v.is_io_error ? strerror(errno) : "no valid batch where one must be");
        }
        if (until != 0 && seglog_pos(l, s->n, v.end) > until)
            return err_set(ei, ERR_CORRUPT, "%s: batch goes beyond the segment's end at %llu",
                           place_text(l, s, offset).text, (unsigned long long)until);
        enum err err = fn ? fn(arg, &v, ei) : ERR_OK;
        if (err != ERR_OK)
            return err;
        epoch = v.head.epoch;
        offset = v.end;
    }
    if (ret_end)
        *ret_end = seglog_pos(l, s->n, offset);
    return ERR_OK;
}

/* Where segment `n` validly ends; 0: it is the newest, or nobody knows (its successor is gone). */
static uint64_t stated_end(struct seglog *l, uint64_t n)
{
    struct segment *next;
    if (seglog_pin(l, n + 1, &next, NULL) != ERR_OK)
        return 0;
    uint64_t end = next->prev_end;
    seglog_unpin(l, next);
    return end;
}

static enum err walk_pinned(struct seglog *l, struct segment *s, seglog_walk_fn *fn, void *arg,
                            struct errinfo *ei)
{
    uint64_t least = seglog_pos(l, s->n, SEGLOG_HEADER);
    uint64_t until = s->n == l->current->n ? atomic_load(&l->end) : stated_end(l, s->n);
    if (s->n == l->current->n && until < least)
        until = least; /* it has no batch */
    if (until == 0)
        return err_set(ei, ERR_CORRUPT, "%s: segment %llu is missing", l->dir,
                       (unsigned long long)(s->n + 1));
    if (until < least || until > seglog_pos(l, s->n + 1, 0))
        return err_set(ei, ERR_CORRUPT, "%s: segment %llu says that it ended at %llu",
                       place_text(l, s, 0).text, (unsigned long long)(s->n + 1),
                       (unsigned long long)until);
    return seglog_walk_segment(l, s, until, fn, arg, NULL, ei);
}

enum err seglog_walk(struct seglog *l, uint64_t from, seglog_walk_fn *fn, void *arg,
                     struct errinfo *ei)
{
    for (uint64_t n = from / l->segment_bytes; n <= l->current->n; n++) {
        struct segment *s;
        enum err err = seglog_pin(l, n, &s, ei);
        if (err == ERR_GONE)
            return err_set(ei, ERR_CORRUPT, "%s: segment %llu is missing", l->dir,
                           (unsigned long long)n);
        if (err != ERR_OK)
            return err;
        err = walk_pinned(l, s, fn, arg, ei);
        seglog_unpin(l, s);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- the end ---- */

struct end_search {
    struct seglog *l;
    uint64_t epoch;       /* of the last valid batch */
    uint64_t last_at;     /* its offset; 0: none */
    uint64_t records_end; /* position behind the last one with records; 0: none */
};

static enum err note_epoch(void *arg, const struct batch_view *v, struct errinfo *)
{
    struct end_search *e = arg;
    e->epoch = v->head.epoch;
    e->last_at = v->offset;
    if (v->head.n_records > 0)
        e->records_end = v->head.pos + (v->end - v->offset);
    if (v->head.epoch > e->l->last_epoch)
        e->l->last_epoch = v->head.epoch;
    return ERR_OK;
}

/* A later batch was written only after everything before it had been synced. So if one stands
 * behind `place`, what is missing at `place` was promised to somebody: damage, not a tail. */
static enum err search_later(struct end_search *e, const struct segment *s, uint64_t place,
                             struct errinfo *ei)
{
    struct seglog *l = e->l;
    SCOPED(mem_free) char *bytes = mem_new(SEARCH_BYTES);
    for (uint64_t at = place; at < l->segment_bytes; at += SEARCH_BYTES) {
        uint64_t left = l->segment_bytes - at;
        ssize_t got = l->files->pread(l->files->self, s->fd, bytes,
                                      left < SEARCH_BYTES ? (size_t)left : SEARCH_BYTES, (off_t)at);
        if (got < 0)
            return err_set(ei, ERR_CORRUPT, "%s: %s", place_text(l, s, at).text, strerror(errno));
        for (ssize_t i = 0; i + SEGLOG_BATCH_HEAD <= got; i += SEGLOG_SECTOR) {
            struct batch_head h;
            uint64_t offset = at + (uint64_t)i;
            if (!batch_head_read(bytes + i, l->store, offset, &h) || h.segment != s->n)
                continue;
            if (h.epoch > l->last_epoch)
                l->last_epoch = h.epoch;
            if (h.epoch >= e->epoch && h.synced > seglog_pos(l, s->n, place))
                return err_set(ei, ERR_CORRUPT, "%s: damaged; a later batch stands at offset %llu",
                               place_text(l, s, place).text, (unsigned long long)offset);
        }
    }
    return ERR_OK;
}

static enum err segment_end(struct end_search *e, struct segment *s, uint64_t *ret_end,
                            struct errinfo *ei)
{
    uint64_t end = 0;
    enum err err = seglog_walk_segment(e->l, s, 0, note_epoch, e, &end, ei);
    if (err != ERR_OK)
        return err;
    *ret_end = end;
    return search_later(e, s, end - seglog_pos(e->l, s->n, 0), ei);
}

enum err seglog_find_end(struct seglog *l, uint64_t applied, struct errinfo *ei)
{
    must(l->n_segments > 0 && !l->current);
    uint64_t newest = l->segments[l->n_segments - 1]->n;
    enum err err = seglog_pin(l, newest, &l->current, ei);
    if (err != ERR_OK)
        return err;
    struct segment *s = l->current;
    struct end_search e = {.l = l, .epoch = s->epoch};
    uint64_t end = seglog_pos(l, s->n, SEGLOG_HEADER);
    err = segment_end(&e, s, &end, ei);
    l->at = end - seglog_pos(l, s->n, 0);
    l->last_at = e.last_at;
    l->records_end = e.records_end;
    atomic_store(&l->end, end);
    if (err == ERR_OK && applied > end)
        return err_set(ei, ERR_CORRUPT, "%s: the log ends here, but the index knows it up to %llu",
                       place_text(l, s, l->at).text, (unsigned long long)applied);
    return err;
}

enum err seglog_check_segment(struct seglog *l, uint64_t n, struct errinfo *ei)
{
    struct segment *s;
    enum err err = seglog_pin(l, n, &s, ei);
    if (err != ERR_OK)
        return err;
    struct end_search e = {.l = l, .epoch = s->epoch};
    uint64_t end = stated_end(l, n);
    err = end ? seglog_walk_segment(l, s, end, NULL, NULL, NULL, ei) : segment_end(&e, s, &end, ei);
    seglog_unpin(l, s);
    return err;
}

bool seglog_is_still(struct seglog *l, uint64_t n)
{
    char page[SEGLOG_HEADER];
    struct seg_head h;
    struct segment *s;
    if (seglog_pin(l, n, &s, NULL) != ERR_OK)
        return false;
    bool is_still =
        l->files->pread(l->files->self, s->fd, page, sizeof(page), 0) == (ssize_t)sizeof(page) &&
        seg_head_read(page, &h) && !h.is_free && h.segment == n && h.epoch == s->epoch;
    seglog_unpin(l, s);
    return is_still;
}

void seglog_believe_all(struct seglog *l)
{
    if (l->n_segments > 0)
        atomic_store(&l->end, seglog_pos(l, l->segments[l->n_segments - 1]->n + 1, 0));
}

/* ---- bytes of a message ---- */

/* The record's head and what stands before the extent's bytes; their checksum so far. */
static enum err check_front(struct seglog *l, const struct segment *s, uint64_t message,
                            const struct record_extent *x, struct record_head *h, uint32_t *crc,
                            struct errinfo *ei)
{
    uint64_t offset = x->rec % l->segment_bytes;
    size_t front = (size_t)(x->pos - x->rec);
    SCOPED(mem_free) char *p = mem_new(front);
    struct seg_seed seed = {l->store, s->n, 0, offset};
    ssize_t got = l->files->pread(l->files->self, s->fd, p, front, (off_t)offset);
    if (got < 0)
        return err_set(ei, ERR_IO, "%s: %s", place_text(l, s, offset).text, strerror(errno));
    if (got != (ssize_t)front || !record_head_read(p, l->store, s->n, offset, h))
        return err_set(ei, ERR_CORRUPT, "%s: no valid record", place_text(l, s, offset).text);
    if (h->epoch < s->epoch || h->id != message || !seglog_has_body(h->type))
        return err_set(ei, ERR_CORRUPT, "%s: record of something else",
                       place_text(l, s, offset).text);
    struct reader r = reader_make(slice_of(p + SEGLOG_RECORD_HEAD, 4));
    if (front + x->bytes != SEGLOG_RECORD_HEAD + h->bytes ||
        front != SEGLOG_RECORD_HEAD + 4 + (size_t)read_u32(&r))
        return err_set(ei, ERR_CORRUPT, "%s: record has another length",
                       place_text(l, s, offset).text);
    seed.epoch = h->epoch;
    *crc = crc32c(seg_seed(&seed), p + SEGLOG_RECORD_HEAD, front - SEGLOG_RECORD_HEAD);
    return ERR_OK;
}

static enum err read_pinned(struct seglog *l, const struct segment *s, uint64_t message,
                            const struct record_extent *x, struct buf *ret, struct errinfo *ei)
{
    struct record_head h;
    uint32_t crc = 0;
    size_t before = ret->n;
    uint64_t offset = x->pos % l->segment_bytes;
    enum err err = check_front(l, s, message, x, &h, &crc, ei);
    if (err != ERR_OK)
        return err;
    char *to = buf_room(ret, x->bytes);
    if (!to)
        return err_set(ei, ERR_LIMIT, "message is larger than %zu bytes", ret->max);
    ssize_t got = l->files->pread(l->files->self, s->fd, to, x->bytes, (off_t)offset);
    if (got == (ssize_t)x->bytes && crc32c(crc, to, x->bytes) == h.crc)
        return ERR_OK;
    ret->n = before;
    if (got < 0)
        return err_set(ei, ERR_IO, "%s: %s", place_text(l, s, offset).text, strerror(errno));
    return err_set(ei, ERR_CORRUPT, "%s: wrong checksum", place_text(l, s, offset).text);
}

enum err seglog_read_extent(struct seglog *l, uint64_t message, const struct record_extent *x,
                            struct buf *ret, struct errinfo *ei)
{
    uint64_t front = x->pos - x->rec;
    if (x->pos < x->rec || front < SEGLOG_RECORD_HEAD + 4 ||
        front + x->bytes > SEGLOG_RECORD_HEAD + STORE_RECORD_MAX || x->rec >= l->end ||
        x->rec % l->segment_bytes + front + x->bytes > l->segment_bytes)
        return err_set(ei, ERR_CORRUPT, "message %llu: impossible place %llu",
                       (unsigned long long)message, (unsigned long long)x->rec);
    struct segment *s;
    enum err err = seglog_pin(l, x->rec / l->segment_bytes, &s, ei);
    if (err != ERR_OK)
        return err;
    err = read_pinned(l, s, message, x, ret, ei);
    seglog_unpin(l, s);
    return err;
}

enum err seglog_copy_record(struct seglog *l, uint64_t pos, struct buf *ret, struct errinfo *ei)
{
    char head[SEGLOG_RECORD_HEAD];
    struct record_head h;
    struct segment *s;
    uint64_t offset = pos % l->segment_bytes;
    enum err err = seglog_pin(l, pos / l->segment_bytes, &s, ei);
    if (err != ERR_OK)
        return err;
    ssize_t got = l->files->pread(l->files->self, s->fd, head, sizeof(head), (off_t)offset);
    if (got != (ssize_t)sizeof(head) || !record_head_read(head, l->store, s->n, offset, &h)) {
        seglog_unpin(l, s);
        return err_set(ei, ERR_CORRUPT, "%s: no valid record", place_text(l, s, offset).text);
    }
    size_t n = SEGLOG_RECORD_HEAD + h.bytes;
    char *to = buf_room(ret, n);
    got = to ? l->files->pread(l->files->self, s->fd, to, n, (off_t)offset) : -1;
    if (got != (ssize_t)n)
        err = err_set(ei, ERR_IO, "%s: cannot be read", place_text(l, s, offset).text);
    seglog_unpin(l, s);
    return err;
}
