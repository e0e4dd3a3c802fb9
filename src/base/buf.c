/* Buffers with a ceiling and a sticky failure, and the readers that take them apart again. */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>

struct buf buf_make(size_t max)
{
    must(max >= 1);
    return (struct buf){.max = max};
}

void buf_finish(struct buf *b)
{
    mem_free(&b->p);
    b->n = b->cap = 0;
    b->failed = false;
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed || n > b->max - b->n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->n + n + 1; /* one more for buf_cstr */
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        if (cap < need)
            cap = need;
        if (cap > b->max + 1)
            cap = b->max + 1;
        b->p = mem_resize(b->p, cap);
        b->cap = cap;
    }
    char *at = b->p + b->n;
    b->n += n;
    return at;
}

void buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max)
        n = b->max;
    if (n + 1 <= b->cap)
        return;
    b->p = mem_resize(b->p, n + 1);
    b->cap = n + 1;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    char *at = buf_room(b, n);
    if (at)
        memcpy(at, p, n);
}

void buf_adds(struct buf *b, struct slice s)
{
    buf_add(b, s.p, s.n);
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    must(n >= 0);
    if ((size_t)n < sizeof(small)) {
        buf_add(b, small, (size_t)n);
    } else {
        char *at = buf_room(b, (size_t)n);
        if (at)
            vsnprintf(at, (size_t)n + 1, format, again); /* buf_room keeps one byte spare */
    }
    va_end(again);
}

void buf_drop(struct buf *b, size_t n)
{
    must(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_cstr(struct buf *b)
{
    if (b->failed)
        return "";
    if (!b->p) {
        (void)buf_room(b, 0); /* allocates the terminator; cannot fail */
    }
    b->p[b->n] = '\0';
    return b->p;
}

struct slice buf_slice(const struct buf *b)
{
    return b->failed ? (struct slice){NULL, 0} : (struct slice){b->p, b->n};
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_add(b, &v, 1);
}

static void add_le(struct buf *b, uint64_t v, size_t n)
{
    char bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(v >> (8 * i));
    buf_add(b, bytes, n);
}

void buf_u16(struct buf *b, uint16_t v)
{
    add_le(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

void buf_bytes(struct buf *b, struct slice s)
{
    if (s.n > UINT32_MAX) {
        b->failed = true;
        return;
    }
    buf_u32(b, (uint32_t)s.n);
    buf_adds(b, s);
}

struct reader reader_make(struct slice s)
{
    return (struct reader){.rest = s};
}

static uint64_t read_le(struct reader *r, size_t n)
{
    if (r->failed || r->rest.n < n) {
        r->failed = true;
        return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)(unsigned char)r->rest.p[i] << (8 * i);
    r->rest = slice_skip(r->rest, n);
    return v;
}

uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_le(r, 1);
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_le(r, 2);
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_le(r, 4);
}

uint64_t read_u64(struct reader *r)
{
    return read_le(r, 8);
}

struct slice read_bytes(struct reader *r, size_t max)
{
    size_t n = read_u32(r);
    if (r->failed || n > max || n > r->rest.n) {
        r->failed = true;
        return (struct slice){NULL, 0};
    }
    struct slice s = slice_of(r->rest.p, n);
    r->rest = slice_skip(r->rest, n);
    return s;
}
