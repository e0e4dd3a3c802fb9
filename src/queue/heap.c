/* Binary heaps of items that know their place. */
#include "queue/queue_int.h"

bool queue_older(const struct item *a, const struct item *b)
{
    return a->m->facts.id < b->m->facts.id;
}

bool queue_sooner(const struct item *a, const struct item *b)
{
    return a->due < b->due;
}

static void put(struct item **heap, size_t at, struct item *i)
{
    heap[at] = i;
    i->heap_at = at;
}

static void up(struct item **heap, size_t at, item_before_fn *before)
{
    struct item *i = heap[at];
    for (; at > 0 && before(i, heap[(at - 1) / 2]); at = (at - 1) / 2)
        put(heap, at, heap[(at - 1) / 2]);
    put(heap, at, i);
}

static void down(struct item **heap, size_t n, size_t at, item_before_fn *before)
{
    struct item *i = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(heap[child + 1], heap[child]))
            child++;
        if (!before(heap[child], i))
            break;
        put(heap, at, heap[child]);
    }
    put(heap, at, i);
}

void queue_heap_add(struct item ***heap, size_t *n, size_t *cap, struct item *i,
                    item_before_fn *before)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 16;
        *heap = mem_resize(*heap, *cap * sizeof(**heap));
    }
    (*heap)[*n] = i;
    i->heap_at = *n;
    up(*heap, (*n)++, before);
}

void queue_heap_del(struct item **heap, size_t *n, struct item *i, item_before_fn *before)
{
    size_t at = i->heap_at;
    must(at < *n && heap[at] == i);
    struct item *last = heap[--*n];
    if (last == i)
        return;
    put(heap, at, last);
    up(heap, at, before);
    down(heap, *n, last->heap_at, before);
}
