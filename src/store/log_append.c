/* Writing the log: batches, new segments, and what happens when the disk refuses.
 *
 * The point of responsibility. A change is called durable only when the fdatasync that covers its
 * batch has returned 0, and nothing else in the program may call it so. Everything here runs on one
 * thread (recovery's, then the writer's), so the order on the disk is the order of the calls. */
#include "store/log_int.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

enum {
    /* Per record: padding of the one before, header, length of the facts, all in `stage`; then
     * facts and three parts of a body. */
    IOV_PER_RECORD = 5,
    IOV_MOST = SEGLOG_BATCH_RECORDS * IOV_PER_RECORD + 3,
    STAGE_PER_RECORD = 7 + SEGLOG_RECORD_HEAD + 4,
    COPY_MOST = 512, /* smaller facts are copied: cheaper than two more parts */
    COPY_BYTES = 256 << 10,
    STAGE_BYTES = SEGLOG_BATCH_HEAD + SEGLOG_BATCH_RECORDS * STAGE_PER_RECORD + COPY_BYTES,
    HEADER_TRIES = 2,
    FULL_WAIT_S = 1,
};

struct seglog_batch {
    struct iovec iov[IOV_MOST];
    int n_iov;
    char stage[STAGE_BYTES];
    size_t n_stage, n_copied;
    uint64_t offset; /* in the file */
    uint64_t at;     /* end of the last record, without padding */
    uint32_t n_records, crc;
    uint64_t bytes_body;
};

static const char zeros[2 * SEGLOG_PAGE];

void seglog_batch_free(struct seglog *l)
{
    mem_free(&l->batch);
}

/* ---- laying out ---- */

static void put_part(struct seglog_batch *b, const char *p, size_t n)
{
    struct iovec *last = b->n_iov > 0 ? &b->iov[b->n_iov - 1] : NULL;
    if (n == 0)
        return;
    if (last && (const char *)last->iov_base + last->iov_len == p) {
        last->iov_len += n;
        return;
    }
    must(b->n_iov < IOV_MOST);
    struct iovec *part = &b->iov[b->n_iov++];
    memcpy(&part->iov_base, &p, sizeof(p)); /* iovec knows no const; writing only reads it */
    part->iov_len = n;
}

static char *put_stage(struct seglog_batch *b, size_t n)
{
    must(n <= STAGE_BYTES - b->n_stage);
    char *p = b->stage + b->n_stage;
    b->n_stage += n;
    put_part(b, p, n);
    return p;
}

static void put_facts(struct seglog_batch *b, struct slice facts)
{
    if (facts.n > COPY_MOST || b->n_copied + facts.n > COPY_BYTES) {
        put_part(b, facts.p, facts.n);
        return;
    }
    b->n_copied += facts.n;
    if (facts.n > 0)
        memcpy(put_stage(b, facts.n), facts.p, facts.n);
}

static void begin_batch(struct seglog *l)
{
    if (!l->batch)
        l->batch = mem_new(sizeof(*l->batch));
    struct seglog_batch *b = l->batch;
    struct seg_seed seed = {l->store, l->current->n, l->epoch, l->at};
    b->n_iov = 0;
    b->n_stage = b->n_copied = 0;
    b->offset = l->at;
    b->at = l->at + SEGLOG_BATCH_HEAD;
    b->n_records = 0;
    b->bytes_body = 0;
    b->crc = seg_seed(&seed);
    (void)put_stage(b, SEGLOG_BATCH_HEAD); /* filled in at the end */
}

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++, v >>= 8)
        p[i] = (char)(v & 0xff);
}

bool seglog_add(struct seglog *l, struct store_change *c)
{
    struct seglog_batch *b = l->batch;
    size_t payload = seglog_payload_bytes(c);
    uint64_t at = seglog_round(b->at, 8);
    uint64_t end = at + SEGLOG_RECORD_HEAD + payload;
    bool has_body = seglog_has_body(c->type);
    if (b->n_records == SEGLOG_BATCH_RECORDS || end > l->segment_bytes ||
        end - b->offset > SEGLOG_BATCH_MAX)
        return false;
    size_t pad = (size_t)(at - b->at);
    char *p = put_stage(b, pad + SEGLOG_RECORD_HEAD + (has_body ? 4 : 0)) + pad;
    memset(p - pad, 0, pad);
    struct seg_seed where = {l->store, l->current->n, l->epoch, at};
    uint32_t seed = seg_seed(&where);
    struct record_head h = {.bytes = (uint32_t)payload,
                            .crc = seed,
                            .type = c->type,
                            .version = record_version(c->type),
                            .id = c->id,
                            .epoch = l->epoch};
    if (has_body) {
        put_u32(p + SEGLOG_RECORD_HEAD, (uint32_t)c->facts.n);
        h.crc = crc32c(h.crc, p + SEGLOG_RECORD_HEAD, 4);
    }
    h.crc = crc32c(h.crc, c->facts.p, c->facts.n);
    put_facts(b, c->facts);
    for (int i = 0; has_body && i < 3; i++) {
        h.crc = crc32c(h.crc, c->body[i].p, c->body[i].n);
        put_part(b, c->body[i].p, c->body[i].n);
        b->bytes_body += c->body[i].n;
    }
    record_head_write(p, &h, seed);
    b->crc = crc32c(b->crc, p, SEGLOG_RECORD_HEAD);
    b->n_records++;
    b->at = end;
    c->pos = seglog_pos(l, l->current->n, at);
    return true;
}

/* ---- the next segment ---- */

static enum err write_head(struct seglog *l, const struct pool_file *p, const struct seg_head *h,
                           struct errinfo *ei)
{
    const struct store_files *f = l->files;
    char page[SEGLOG_HEADER];
    struct iovec iov = {page, sizeof(page)};
    seg_head_write(page, h);
    if (f->pwritev(f->self, p->fd, &iov, 1, 0) == (ssize_t)iov.iov_len &&
        f->fdatasync(f->self, p->fd) == 0)
        return ERR_OK;
    int why = errno;
    return err_set(ei, seglog_error(why), "header of segment %llu in %08u.seg: %s",
                   (unsigned long long)h->segment, p->file, strerror(why));
}

static void use_segment(struct seglog *l, const struct seg_head *h, struct pool_file *take_p)
{
    struct segment *old = l->current;
    l->current = seglog_join(l, h, take_p->file, take_p->fd);
    take_p->fd = -1; /* the table's now */
    seglog_pool_forget(l, &take_p);
    if (old)
        seglog_unpin(l, old);
    l->at = SEGLOG_HEADER;
    l->epoch = h->epoch;
    l->needs_next = false;
    l->n_syncs++;
    l->bytes_written += SEGLOG_HEADER;
}

/* Where the current segment validly ends, be it without any batch. */
static uint64_t valid_end(const struct seglog *l)
{
    uint64_t end = atomic_load(&l->end);
    uint64_t least = seglog_pos(l, l->current->n, SEGLOG_HEADER);
    return end > least ? end : least;
}

/* Make `p` the next segment. Its header is synced before anything goes behind it, and says where
 * the one before validly ends: from then on nothing behind that place is ever read, whatever a
 * failed write left there. If the header fails too, its file is not used for anything: should the
 * header be on the disk all the same, the epoch of the one that is written instead is larger. */
static enum err start_segment(struct seglog *l, struct pool_file *take_p, struct errinfo *ei)
{
    struct seg_head h = {
        .store = l->store,
        .segment = l->current ? l->current->n + 1 : 0,
        .epoch = atomic_fetch_add(&l->last_epoch, 1) + 1,
        .prev_end = l->current ? valid_end(l) : 0,
        .created = utc_now(),
        .segment_bytes = l->segment_bytes,
        .version = SEGLOG_VERSION,
    };
    enum err err = write_head(l, take_p, &h, ei);
    if (err == ERR_OK)
        use_segment(l, &h, take_p);
    else if (err == ERR_FULL)
        seglog_pool_refill(l, take_p);
    else
        seglog_pool_forget(l, &take_p);
    return err;
}

static void stop_accepting(struct seglog *l, const struct errinfo *why)
{
    l->failure = *why;
    l->is_failed = true;
    seglog_tell(l, EVENT_ALARM, "store.stopped",
                "no segment can be begun (%s): nothing is accepted until the program is started "
                "again",
                why->text);
}

/* Without a file nothing was begun, and asking again later is safe: only a header that cannot be
 * written is the end. */
static enum err next_segment(struct seglog *l, struct errinfo *ei)
{
    struct errinfo why = {};
    bool has_header_failed = false;
    enum err err = ERR_IO;
    if (mono_now() < l->full_until)
        return err_set(ei, ERR_FULL, "no room for another segment");
    for (int i = 0; i < HEADER_TRIES && err == ERR_IO; i++) {
        struct pool_file *p;
        err = seglog_pool_take(l, &p, &why);
        if (err == ERR_OK) {
            err = start_segment(l, p, &why);
            has_header_failed = err == ERR_IO;
        }
    }
    if (err == ERR_OK)
        return ERR_OK;
    l->full_until = mono_now() + SECONDS(FULL_WAIT_S);
    if (has_header_failed)
        stop_accepting(l, &why);
    return err_set(ei, err, "%s", why.text);
}

enum err seglog_start_new(struct seglog *l, struct errinfo *ei)
{
    struct pool_file *p;
    enum err err = seglog_file_make(l, &p, ei);
    return err == ERR_OK ? start_segment(l, p, ei) : err;
}

enum err seglog_begin(struct seglog *l, const struct store_change *c, struct errinfo *ei)
{
    uint64_t need = SEGLOG_BATCH_HEAD + SEGLOG_RECORD_HEAD + (c ? seglog_payload_bytes(c) : 0);
    if (l->is_failed)
        return err_set(ei, ERR_IO, "%s", l->failure.text);
    if (l->needs_next || l->at + need > l->segment_bytes) {
        enum err err = next_segment(l, ei);
        if (err != ERR_OK)
            return err;
    }
    begin_batch(l);
    return ERR_OK;
}

/* ---- writing ---- */

static bool write_parts(struct seglog *l, const struct seglog_batch *b)
{
    const struct store_files *f = l->files;
    uint64_t at = b->offset;
    for (int from = 0; from < b->n_iov;) {
        int n = b->n_iov - from < IOV_MAX ? b->n_iov - from : IOV_MAX;
        size_t bytes = 0;
        for (int i = 0; i < n; i++)
            bytes += b->iov[from + i].iov_len;
        errno = EIO; /* for a short write */
        if (f->pwritev(f->self, l->current->fd, b->iov + from, n, (off_t)at) != (ssize_t)bytes)
            return false;
        at += bytes;
        from += n;
    }
    return true;
}

/* For when no header can say where the segment ends: the failed batch loses its head. */
static void void_batch(struct seglog *l)
{
    const struct store_files *f = l->files;
    char nothing[SEGLOG_SECTOR] = {};
    struct iovec iov = {nothing, sizeof(nothing)};
    if (f->pwritev(f->self, l->current->fd, &iov, 1, (off_t)l->at) == (ssize_t)iov.iov_len)
        (void)f->fdatasync(f->self, l->current->fd); /* nothing better is left to try */
}

/* What the kernel made of the pages of a failed write or sync is unknown, and asking again could
 * get a "yes" for bytes that are not there. So the segment ends where it ended before; the next
 * one's header says so before anybody hears of the failure. Who would notice if we did not: the
 * sender whom we told "not kept" and who then finds the message delivered twice, or the one whom we
 * told "kept" after the second, lying sync, and who finds it nowhere. */
static enum err close_failed(struct seglog *l, int why, struct errinfo *ei)
{
    struct errinfo next = {};
    enum err result = err_set(ei, seglog_error(why), "%08u.seg at %llu: %s", l->current->file,
                              (unsigned long long)l->at, strerror(why));
    seglog_tell(l, EVENT_ALARM, "store.write_failed",
                "a write or sync failed (%s); its changes are refused, the log goes on in the next "
                "segment",
                strerror(why));
    l->needs_next = true;
    enum err err = next_segment(l, &next);
    if (err != ERR_OK)
        void_batch(l);
    if (err == ERR_FULL)
        seglog_tell(l, EVENT_ALARM, "store.full", "no room for the next segment: %s", next.text);
    return result;
}

enum err seglog_commit(struct seglog *l, struct errinfo *ei)
{
    struct seglog_batch *b = l->batch;
    uint64_t end = seglog_round(b->at, SEGLOG_SECTOR);
    uint64_t write_end = seglog_round(b->at, SEGLOG_PAGE);
    struct batch_head h = {
        .segment = l->current->n,
        .epoch = l->epoch,
        .pos = seglog_pos(l, l->current->n, b->offset),
        .synced = atomic_load(&l->end),
        .time = utc_now(),
        .bytes = (uint32_t)(b->at - b->offset - SEGLOG_BATCH_HEAD),
        .n_records = b->n_records,
        .records_crc = b->crc,
    };
    must(!l->needs_next && !l->is_failed && b->offset == l->at && h.synced <= h.pos);
    batch_head_write(b->stage, &h, l->store, b->offset);
    put_part(b, zeros, (size_t)(write_end - b->at));
    if (!write_parts(l, b))
        return close_failed(l, errno, ei);
    if (l->files->fdatasync(l->files->self, l->current->fd) != 0)
        return close_failed(l, errno, ei);
    l->at = end;
    atomic_store(&l->end, seglog_pos(l, l->current->n, end));
    l->n_batches++;
    l->n_syncs++;
    l->n_records += b->n_records;
    l->bytes_written += write_end - b->offset;
    l->bytes_body += b->bytes_body;
    return ERR_OK;
}

/* ---- after a start ---- */

static enum err rewrite(struct seglog *l, uint64_t offset, const char *p, size_t n,
                        struct errinfo *ei)
{
    const struct store_files *f = l->files;
    struct iovec iov = {};
    memcpy(&iov.iov_base, &p, sizeof(p)); /* as in put_part */
    iov.iov_len = n;
    errno = EIO;
    if (f->pwritev(f->self, l->current->fd, &iov, 1, (off_t)offset) == (ssize_t)n &&
        f->fdatasync(f->self, l->current->fd) == 0)
        return ERR_OK;
    int why = errno;
    return err_set(ei, seglog_error(why), "write %08u.seg again at %llu: %s", l->current->file,
                   (unsigned long long)offset, strerror(why));
}

/* Everything before the last batch was synced before that one was written. The last one itself is
 * in doubt: the program before us may have died between its write and its sync, or its sync may
 * have failed, and then the page cache shows what the disk does not have, now marked clean. Written
 * again the pages are dirty, and our own sync tells the truth. Likewise the header of a segment
 * without batches. */
enum err seglog_resume(struct seglog *l, struct errinfo *ei)
{
    const struct store_files *f = l->files;
    enum err err;
    if (l->last_at) {
        SCOPED(batch_view_finish) struct batch_view v = {};
        if (!batch_view_read(&v, l, l->current, l->last_at, 0))
            return err_set(ei, ERR_IO, "%08u.seg changed while it was read", l->current->file);
        err = rewrite(l, v.offset, v.data.p, v.data.n, ei);
    } else {
        char page[SEGLOG_HEADER];
        struct seg_head h;
        if (f->pread(f->self, l->current->fd, page, sizeof(page), 0) != (ssize_t)sizeof(page) ||
            !seg_head_read(page, &h) || h.segment != l->current->n)
            return err_set(ei, ERR_IO, "%08u.seg changed while it was read", l->current->file);
        err = rewrite(l, 0, page, sizeof(page), ei);
    }
    if (err == ERR_OK && f->sync_dir(f->self, l->dir) != 0)
        err = err_set(ei, ERR_IO, "sync %s: %s", l->dir, strerror(errno));
    if (err == ERR_OK)
        l->epoch = atomic_fetch_add(&l->last_epoch, 1) + 1;
    return err;
}
