/* Helpers of the generated packing functions. */
#include "base/pack.h"

void pack_text(struct buf *b, struct slice s, size_t max)
{
    if (s.n > max)
        b->failed = true;
    buf_bytes(b, s);
}

void *read_list(struct reader *r, struct arena *a, uint32_t n, size_t size, size_t max)
{
    if (n > max || n > r->rest.n)
        r->failed = true;
    if (r->failed || n == 0)
        return NULL;
    void *list = arena_try(a, n * size);
    if (!list)
        r->failed = true;
    return list;
}
