/* Recovery's reader over hostile segment files, through the simulated file layer.
 *
 * The first byte says whether checksums and places are made right (so that what lies behind them is
 * reached), whether the input brings its own header, and whether it is cut in two segments; two
 * bytes say where the first of them ends. What the reader finds must be found again after a batch
 * was appended, and nothing else. */
#include "store/log_int.h"

#include "test/files_fault.h"

enum { FIXED = 1, HEADED = 2, CUT = 4, PLACED = 8 };
enum { STORE = 77, SEGMENT = SEGLOG_SEGMENT_MIN, IMAGE_MAX = 256 << 10 };

struct found {
    struct seglog *l;
    uint64_t n, hash, end;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_batch(char *file, size_t size, size_t at, const struct seg_head *place)
{
    struct reader r = reader_make(slice_of(file + at, SEGLOG_BATCH_HEAD));
    struct batch_head h = {};
    (void)read_u64(&r); /* magic and checksum */
    h.segment = read_u64(&r);
    h.epoch = read_u64(&r);
    h.pos = read_u64(&r);
    h.synced = read_u64(&r);
    h.time = (utc_ms)read_u64(&r);
    h.bytes = read_u32(&r);
    h.n_records = read_u32(&r);
    if (place) {
        h.segment = place->segment;
        h.pos = place->segment * SEGMENT + at;
    }
    struct seg_seed seed = {STORE, h.segment, h.epoch, at};
    h.records_crc = seg_seed(&seed);
    size_t to = at + SEGLOG_BATCH_HEAD;
    for (uint32_t i = 0; i < h.n_records && to + SEGLOG_RECORD_HEAD <= size; i++) {
        struct reader q = reader_make(slice_of(file + to, SEGLOG_RECORD_HEAD));
        struct record_head rec = {.bytes = read_u32(&q)};
        rec.type = read_u16(&q);
        rec.version = read_u16(&q);
        rec.id = read_u64(&q);
        rec.epoch = h.epoch;
        seed.offset = to;
        if (rec.bytes > size - to - SEGLOG_RECORD_HEAD)
            break;
        rec.crc = crc32c(seg_seed(&seed), file + to + SEGLOG_RECORD_HEAD, rec.bytes);
        record_head_write(file + to, &rec, seg_seed(&seed));
        h.records_crc = crc32c(h.records_crc, file + to, SEGLOG_RECORD_HEAD);
        to = (size_t)seglog_round(to + SEGLOG_RECORD_HEAD + rec.bytes, 8);
    }
    batch_head_write(file + at, &h, STORE, at);
}

static void put_file(struct fault *f, const char *path, const uint8_t *data, size_t size,
                     const struct seg_head *h, unsigned flags)
{
    size_t front = h ? SEGLOG_HEADER : 0;
    SCOPED(mem_free) char *file = mem_new(front + size + SEGLOG_HEADER);
    if (h)
        seg_head_write(file, h);
    if (size > 0)
        memcpy(file + front, data, size);
    for (size_t at = front; (flags & FIXED) && at + SEGLOG_BATCH_HEAD <= front + size;
         at += SEGLOG_SECTOR)
        if (memcmp(file + at, "SBAT", 4) == 0)
            fix_batch(file, front + size, at, flags & PLACED ? h : NULL);
    struct iovec iov = {file, front + size};
    int fd = f->files.open(f, path, O_RDWR | O_CREAT, 0600);
    must(f->files.allocate(f, fd, SEGMENT) == 0);
    must(f->files.pwritev(f, fd, &iov, 1, 0) == (ssize_t)iov.iov_len);
    must(f->files.close(f, fd) == 0);
}

static enum err each_batch(void *arg, const struct batch_view *v, struct errinfo *)
{
    struct found *found = arg;
    struct log_record r;
    size_t at = 0;
    while (batch_view_next(v, found->l, &at, &r)) {
        struct errinfo ei;
        SCOPED(buf_finish) struct buf b = buf_make(SEGLOG_RECORD_HEAD + STORE_RECORD_MAX);
        struct record_extent x = {r.pos, r.body_pos, r.body_bytes};
        if (seglog_has_body(r.type)) /* what replay sees can be read by its place */
            must(seglog_read_extent(found->l, r.id, &x, &b, &ei) == ERR_OK && b.n == r.body_bytes);
        buf_clear(&b);
        must(seglog_copy_record(found->l, r.pos, &b, &ei) == ERR_OK && b.n == r.whole.n);
        must(r.pos < found->end);
        found->hash = found->hash * 31 + crc32c(0, r.whole.p, r.whole.n);
        found->n++;
    }
    return ERR_OK;
}

static void read_and_append(struct fault *f)
{
    struct errinfo ei;
    struct seglog *l = NULL;
    struct seglog_options o = {.files = &f->files, .dir = "d", .segment_bytes = SEGMENT};
    struct store_change c = {.type = RECORD_MESSAGE, .id = 5, .body = {SLICE("body")}};
    if (seglog_open(&o, &l, &ei) == ERR_OK && !seglog_is_empty(l) &&
        seglog_find_end(l, 0, &ei) == ERR_OK) {
        struct found before = {.l = l, .end = l->end};
        uint64_t from = (uint64_t)l->segments[0]->n * l->segment_bytes;
        enum err err = seglog_walk(l, from, each_batch, &before, &ei);
        if (err == ERR_OK && seglog_resume(l, &ei) == ERR_OK &&
            seglog_begin(l, &c, &ei) == ERR_OK) {
            struct found after = {.l = l};
            must(seglog_add(l, &c) && seglog_commit(l, &ei) == ERR_OK);
            after.end = l->end;
            must(seglog_walk(l, from, each_batch, &after, &ei) == ERR_OK);
            must(after.n == before.n + 1);
        }
    }
    seglog_close(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > IMAGE_MAX)
        return 0;
    unsigned flags = data[0];
    bool is_cut = flags & CUT;
    uint64_t end = SEGLOG_HEADER + (uint64_t)(data[1] | data[2] << 8) * SEGLOG_SECTOR;
    struct seg_head h = {STORE, 0, 1, 0, 0, SEGMENT, SEGLOG_VERSION, false};
    struct seg_head second = {STORE, 1, 2, end, 0, SEGMENT, SEGLOG_VERSION, false};
    data += 3;
    size -= 3;
    size_t first = is_cut ? size / 2 / SEGLOG_SECTOR * SEGLOG_SECTOR : size;
    struct fault *f = fault_create(1);
    put_file(f, "d/log/00000000.seg", data, first, flags & HEADED ? NULL : &h, flags);
    if (is_cut)
        put_file(f, "d/log/00000001.seg", data + first, size - first, &second, flags);
    read_and_append(f);
    fault_destroy(&f);
    return 0;
}
