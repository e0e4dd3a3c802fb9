/* Headers of segments, batches and records, to bytes and back (docs/disk-format.md).
 *
 * Pure. Whatever is read here may be damaged, a leftover of an earlier use, or hostile: a header
 * counts only when its checksum, seeded with the place where it stands, is right. */
#include "store/log_int.h"

enum {
    SEG_HEAD_BYTES = 60,
    SEG_HEAD_SECOND = 2048, /* where the second copy stands: another sector */
};

#define SEG_MAGIC "STAFSEG1"
#define FREE_MAGIC "STAFFREE"
#define BATCH_MAGIC "SBAT"

struct put {
    char *p;
};

static void put_n(struct put *w, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++, v >>= 8)
        *w->p++ = (char)(v & 0xff);
}

static void put_magic(struct put *w, const char *magic, size_t n)
{
    memcpy(w->p, magic, n);
    w->p += n;
}

void seg_head_write(char page[SEGLOG_HEADER], const struct seg_head *h)
{
    struct put w = {page};
    memset(page, 0, SEGLOG_HEADER);
    put_magic(&w, h->is_free ? FREE_MAGIC : SEG_MAGIC, 8);
    put_n(&w, h->store, 8);
    put_n(&w, h->segment, 8);
    put_n(&w, h->epoch, 8);
    put_n(&w, h->prev_end, 8);
    put_n(&w, (uint64_t)h->created, 8);
    put_n(&w, h->segment_bytes, 4);
    put_n(&w, h->version, 4);
    put_n(&w, crc32c(0, page, SEG_HEAD_BYTES - 4), 4);
    memcpy(page + SEG_HEAD_SECOND, page, SEG_HEAD_BYTES);
}

static bool seg_head_read_one(const char *p, struct seg_head *ret)
{
    struct reader r = reader_make(slice_of(p + 8, SEG_HEAD_BYTES - 8));
    bool is_free = memcmp(p, FREE_MAGIC, 8) == 0;
    if (!is_free && memcmp(p, SEG_MAGIC, 8) != 0)
        return false;
    ret->is_free = is_free;
    ret->store = read_u64(&r);
    ret->segment = read_u64(&r);
    ret->epoch = read_u64(&r);
    ret->prev_end = read_u64(&r);
    ret->created = (utc_ms)read_u64(&r);
    ret->segment_bytes = read_u32(&r);
    ret->version = read_u32(&r);
    return read_u32(&r) == crc32c(0, p, SEG_HEAD_BYTES - 4);
}

bool seg_head_read(const char page[SEGLOG_HEADER], struct seg_head *ret)
{
    struct seg_head h;
    if (!seg_head_read_one(page, &h) && !seg_head_read_one(page + SEG_HEAD_SECOND, &h))
        return false;
    *ret = h;
    return true;
}

uint32_t seg_seed(const struct seg_seed *s)
{
    char p[32];
    struct put w = {p};
    put_n(&w, s->store, 8);
    put_n(&w, s->segment, 8);
    put_n(&w, s->epoch, 8);
    put_n(&w, s->offset, 8);
    return crc32c(0, p, sizeof(p));
}

void batch_head_write(char p[SEGLOG_BATCH_HEAD], const struct batch_head *h, uint64_t store,
                      uint64_t offset)
{
    struct seg_seed seed = {store, h->segment, h->epoch, offset};
    struct put w = {p};
    put_magic(&w, BATCH_MAGIC, 4);
    put_n(&w, 0, 4);
    put_n(&w, h->segment, 8);
    put_n(&w, h->epoch, 8);
    put_n(&w, h->pos, 8);
    put_n(&w, h->synced, 8);
    put_n(&w, (uint64_t)h->time, 8);
    put_n(&w, h->bytes, 4);
    put_n(&w, h->n_records, 4);
    put_n(&w, h->records_crc, 4);
    put_n(&w, 0, 4);
    w.p = p + 4;
    put_n(&w, crc32c(seg_seed(&seed), p + 8, SEGLOG_BATCH_HEAD - 8), 4);
}

bool batch_head_read(const char p[SEGLOG_BATCH_HEAD], uint64_t store, uint64_t offset,
                     struct batch_head *ret)
{
    struct reader r = reader_make(slice_of(p + 4, SEGLOG_BATCH_HEAD - 4));
    struct batch_head h;
    if (memcmp(p, BATCH_MAGIC, 4) != 0)
        return false;
    uint32_t crc = read_u32(&r);
    h.segment = read_u64(&r);
    h.epoch = read_u64(&r);
    h.pos = read_u64(&r);
    h.synced = read_u64(&r);
    h.time = (utc_ms)read_u64(&r);
    h.bytes = read_u32(&r);
    h.n_records = read_u32(&r);
    h.records_crc = read_u32(&r);
    struct seg_seed seed = {store, h.segment, h.epoch, offset};
    if (crc != crc32c(seg_seed(&seed), p + 8, SEGLOG_BATCH_HEAD - 8))
        return false;
    *ret = h;
    return true;
}

void record_head_write(char p[SEGLOG_RECORD_HEAD], const struct record_head *h, uint32_t seed)
{
    struct put w = {p};
    put_n(&w, h->bytes, 4);
    put_n(&w, h->type, 2);
    put_n(&w, h->version, 2);
    put_n(&w, h->id, 8);
    put_n(&w, h->epoch, 8);
    put_n(&w, h->crc, 4);
    put_n(&w, crc32c(seed, p, SEGLOG_RECORD_HEAD - 4), 4);
}

bool record_head_read(const char p[SEGLOG_RECORD_HEAD], uint64_t store, uint64_t segment,
                      uint64_t offset, struct record_head *ret)
{
    struct reader r = reader_make(slice_of(p, SEGLOG_RECORD_HEAD));
    struct record_head h;
    h.bytes = read_u32(&r);
    h.type = read_u16(&r);
    h.version = read_u16(&r);
    h.id = read_u64(&r);
    h.epoch = read_u64(&r);
    h.crc = read_u32(&r);
    struct seg_seed seed = {store, segment, h.epoch, offset};
    if (read_u32(&r) != crc32c(seg_seed(&seed), p, SEGLOG_RECORD_HEAD - 4))
        return false;
    *ret = h;
    return h.bytes <= STORE_RECORD_MAX;
}

size_t seglog_payload_bytes(const struct store_change *c)
{
    size_t n = c->facts.n;
    if (!seglog_has_body(c->type))
        return n;
    n += 4;
    for (int i = 0; i < 3; i++)
        n += c->body[i].n;
    return n;
}
