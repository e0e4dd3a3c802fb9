/* Arenas and the heap: the only place that calls malloc and free. */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 4096, ALIGNMENT = 16 };

struct chunk {
    struct chunk *next;
    size_t used, cap;
    _Alignas(ALIGNMENT) char bytes[];
};

struct arena {
    struct chunk *head; /* the one that is being filled */
    size_t used, max;
};

void *mem_new(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    must(p != NULL);
    return p;
}

void *mem_resize(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    must(p != NULL);
    return p;
}

void *mem_grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    *cap = *cap ? 2 * *cap : 16;
    return mem_resize(array, *cap * size);
}

char *mem_str(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = mem_new(n);
    memcpy(copy, text, n);
    return copy;
}

void mem_free(void *address_of_pointer)
{
    void **address = address_of_pointer;
    free(*address);
    *address = NULL;
}

struct arena *arena_create(size_t max)
{
    struct arena *a = mem_new(sizeof(*a));
    a->max = max;
    return a;
}

void arena_reset(struct arena *a)
{
    while (a->head && a->head->next) {
        struct chunk *c = a->head;
        a->head = c->next;
        free(c);
    }
    if (a->head && a->head->cap > CHUNK_BYTES) {
        free(a->head);
        a->head = NULL;
    }
    if (a->head)
        a->head->used = 0;
    a->used = 0;
}

void arena_destroy(struct arena **a)
{
    if (!*a)
        return;
    arena_reset(*a);
    free((*a)->head);
    mem_free(a);
}

void *arena_try(struct arena *a, size_t n)
{
    if (n > a->max || a->used > a->max - n)
        return NULL;
    size_t size = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!a->head || a->head->cap - a->head->used < size) {
        size_t cap = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct chunk *c = malloc(sizeof(*c) + cap);
        must(c != NULL);
        c->cap = cap;
        c->used = 0;
        c->next = a->head;
        a->head = c;
    }
    void *p = a->head->bytes + a->head->used;
    a->head->used += size;
    a->used += size;
    memset(p, 0, size);
    return p;
}

void *arena_new(struct arena *a, size_t n)
{
    void *p = arena_try(a, n);
    must(p != NULL);
    return p;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    if (s.n == 0)
        return (struct slice){"", 0};
    char *p = arena_new(a, s.n);
    memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}

char *arena_cstr(struct arena *a, struct slice s)
{
    char *p = arena_new(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char none[1];
    int n = vsnprintf(none, sizeof(none), format, args); /* how long will it be? */
    va_end(args);
    must(n >= 0);
    char *p = arena_new(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}
