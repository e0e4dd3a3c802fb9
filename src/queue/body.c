/* Bytes of a message in memory: shared by those who need them, counted as a whole. */
#include "queue/queue.h"

#include <stdatomic.h>

static _Atomic uint64_t total_bytes;

struct queue_body *queue_body_create(uint32_t headroom, uint32_t n)
{
    /* Not zeroed: it is filled at once. */
    struct queue_body *b = mem_resize(NULL, sizeof(*b) + headroom + n);
    atomic_init(&b->n_refs, 1);
    b->n = n;
    b->start = headroom;
    b->cap = headroom + n;
    atomic_fetch_add(&total_bytes, b->cap);
    return b;
}

static void body_resize(struct queue_body **b, uint32_t cap)
{
    atomic_fetch_add(&total_bytes, (uint64_t)cap - (*b)->cap); /* wraps when it shrinks */
    *b = mem_resize(*b, sizeof(**b) + cap);
    (*b)->cap = cap;
}

/* The first piece of most messages is the whole of them; a large piece is followed by more. */
static uint64_t grown(uint64_t n, uint64_t need)
{
    enum { LARGE = 256 << 10, FIRST_TIMES = 5 };
    if (n > 0)
        return need + need / 2;
    return need < LARGE ? need : FIRST_TIMES * need;
}

bool queue_body_add(struct queue_body **b, struct slice bytes, uint32_t max)
{
    uint64_t need = (uint64_t)(*b)->n + bytes.n;
    if (need > max)
        return false;
    if ((*b)->start + need > (*b)->cap) {
        uint64_t cap = (*b)->start + grown((*b)->n, need);
        body_resize(b, (uint32_t)(cap > (uint64_t)(*b)->start + max ? (*b)->start + max : cap));
    }
    memcpy((*b)->bytes + (*b)->start + (*b)->n, bytes.p, bytes.n);
    (*b)->n = (uint32_t)need;
    return true;
}

void queue_body_fit(struct queue_body **b)
{
    if ((*b)->cap > (*b)->start + (*b)->n)
        body_resize(b, (*b)->start + (*b)->n);
}

void queue_body_prepend(struct queue_body **b, struct slice bytes)
{
    if (bytes.n > (*b)->start) {
        uint32_t more = (uint32_t)bytes.n - (*b)->start;
        body_resize(b, (*b)->cap + more);
        memmove((*b)->bytes + bytes.n, (*b)->bytes + (*b)->start, (*b)->n);
        (*b)->start = (uint32_t)bytes.n;
    }
    (*b)->start -= (uint32_t)bytes.n;
    (*b)->n += (uint32_t)bytes.n;
    memcpy((*b)->bytes + (*b)->start, bytes.p, bytes.n);
}

struct slice queue_body_slice(const struct queue_body *b)
{
    return slice_of(b->bytes + b->start, b->n);
}

struct queue_body *queue_body_ref(struct queue_body *b)
{
    atomic_fetch_add(&b->n_refs, 1);
    return b;
}

void queue_body_unref(struct queue_body **b)
{
    struct queue_body *body = *b;
    *b = NULL;
    if (!body || atomic_fetch_sub(&body->n_refs, 1) != 1)
        return;
    atomic_fetch_sub(&total_bytes, body->cap);
    mem_free(&body);
}

uint64_t queue_body_total(void)
{
    return atomic_load(&total_bytes);
}
