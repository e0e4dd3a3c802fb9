/* Arrays that grow inside an arena, and counting in bytes. */
#include "mime/mime_int.h"

void *array_slot(struct arena *a, void *address_of_array, size_t n, size_t element_size)
{
    void **array = address_of_array;
    bool is_grown = n == 0 || (n >= 4 && (n & (n - 1)) == 0);
    if (is_grown) {
        void *more = arena_try(a, (n ? n * 2 : 4) * element_size);
        if (!more)
            return NULL;
        if (n)
            memcpy(more, *array, n * element_size);
        *array = more;
    }
    return (char *)*array + n * element_size;
}

bool arena_try_copy(struct arena *a, struct slice s, struct slice *ret)
{
    *ret = slice_of("", 0);
    if (s.n == 0)
        return true;
    char *p = arena_try(a, s.n);
    if (!p)
        return false;
    memcpy(p, s.p, s.n);
    *ret = slice_of(p, s.n);
    return true;
}

size_t count_lines(struct slice s)
{
    /* Sixteen at a time, as both compilers make vector code of it on every machine. */
    typedef unsigned char lane16 __attribute__((vector_size(16)));
    const lane16 lf = (lane16){0} + '\n';
    size_t n = 0, at = 0;
    while (s.n - at >= 16) {
        lane16 sums = {0};
        /* A lane counts to 255 at most. */
        for (int i = 0; i < 255 && s.n - at >= 16; i++, at += 16) {
            lane16 bytes;
            memcpy(&bytes, s.p + at, sizeof(bytes));
            sums -= (lane16)(bytes == lf);
        }
        for (int lane = 0; lane < 16; lane++)
            n += sums[lane];
    }
    for (; at < s.n; at++)
        n += s.p[at] == '\n';
    return n + (s.n && s.p[s.n - 1] != '\n');
}
