/* Counts over all doors; see share.h. */
#include "web/share.h"

#include "net/net.h"
#include "web/web.h"

#include <stdatomic.h>

enum { SLOTS = 65536 };

struct share_slot {
    _Atomic uint32_t n[WEB_DOORS_MAX];
};

struct shared {
    _Atomic uint64_t seed; /* 0: not yet chosen */
    uint8_t pad[56];
    _Atomic uint64_t totals[SHARE_TOTALS][WEB_DOORS_MAX];
    struct share_slot slots[SHARE_KINDS][SLOTS];
};
static_assert(sizeof(struct shared) <= (size_t)WEB_SHARED_BYTES, "the tables fit");

struct share {
    struct shared *shared;
    struct shared *own; /* the same, if it is to be freed */
    unsigned door;
};

/* Pages that nobody has used stay so. */
static void clear(struct share_slot *slot, unsigned door)
{
    if (atomic_load_explicit(&slot->n[door], memory_order_relaxed) != 0)
        atomic_store_explicit(&slot->n[door], 0, memory_order_relaxed);
}

struct share *web_share_create(void *memory, unsigned door)
{
    must(door < WEB_DOORS_MAX); /* two doors in one column would clear each other's counts */
    struct share *s = mem_new(sizeof(*s));
    uint64_t seed, none = 0;
    s->own = memory ? NULL : mem_new(sizeof(*s->own));
    s->shared = memory ? memory : s->own;
    s->door = door;
    random_bytes(&seed, sizeof(seed));
    (void)atomic_compare_exchange_strong(&s->shared->seed, &none, seed | 1);
    for (size_t i = 0; i < SHARE_TOTALS; i++)
        atomic_store(&s->shared->totals[i][door], 0);
    for (size_t kind = 0; kind < SHARE_KINDS && memory; kind++)
        for (size_t i = 0; i < SLOTS; i++)
            clear(&s->shared->slots[kind][i], door);
    return s;
}

void web_share_destroy(struct share **s)
{
    if (*s)
        mem_free(&(*s)->own);
    mem_free(s);
}

uint64_t web_share_total(struct share *s, enum share_total what, uint64_t mine)
{
    uint64_t sum = mine;
    atomic_store_explicit(&s->shared->totals[what][s->door], mine, memory_order_relaxed);
    for (unsigned i = 0; i < WEB_DOORS_MAX; i++)
        if (i != s->door)
            sum += atomic_load_explicit(&s->shared->totals[what][i], memory_order_relaxed);
    return sum;
}

static struct share_slot *slot_of(struct share *s, enum share_kind kind, const void *key, size_t n)
{
    const unsigned char *bytes = key;
    uint64_t h = atomic_load(&s->shared->seed);
    for (size_t i = 0; i < n; i++) {
        h = (h ^ bytes[i]) * 0xff51afd7ed558ccd;
        h ^= h >> 29;
    }
    return &s->shared->slots[kind][(h >> 16) % SLOTS];
}

struct share_slot *web_share_of_address(struct share *s, enum share_kind kind,
                                        const struct sockaddr_storage *address)
{
    unsigned char bytes[16] = {};
    size_t n = net_address_bytes(address, bytes);
    return slot_of(s, kind, bytes, n == 16 ? 8 : n);
}

struct share_slot *web_share_of_person(struct share *s, uint64_t person)
{
    return slot_of(s, SHARE_STREAM, &person, sizeof(person));
}

uint64_t web_share_count(const struct share_slot *slot)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < WEB_DOORS_MAX; i++)
        sum += atomic_load_explicit(&slot->n[i], memory_order_relaxed);
    return sum;
}

uint64_t web_share_enter(struct share *s, struct share_slot *slot)
{
    atomic_fetch_add_explicit(&slot->n[s->door], 1, memory_order_relaxed);
    return web_share_count(slot);
}

void web_share_leave(struct share *s, struct share_slot *slot)
{
    atomic_fetch_sub_explicit(&slot->n[s->door], 1, memory_order_relaxed);
}

void web_share_move(struct share *s, struct share_slot *slot, uint32_t before, uint32_t after)
{
    atomic_fetch_add_explicit(&slot->n[s->door], after - before, memory_order_relaxed);
}
