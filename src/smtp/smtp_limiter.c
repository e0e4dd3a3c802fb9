/* Connections per address and network over all gates, in memory they share.
 *
 * A fixed table of slots by hash; each slot has one column a gate, which only that gate writes, so
 * nothing needs a lock, and a gate that died clears its own column when it starts again. Two
 * addresses in one slot share its count: that errs on the side of refusing, with 32,768 slots
 * rarely. The hash is keyed by a seed in the shared memory, so that nobody chooses neighbours. */
#include "smtp/smtp_int.h"

#include <stdatomic.h>

enum {
    SLOTS = 32768,
    RATE_WINDOW_SEC = 60,
    CONNECTIONS_MAX = UINT16_MAX, /* of a gate: a slot counts no further */
};

struct slot {
    _Atomic uint16_t connections[SMTP_GATES_MAX];
    _Atomic uint32_t window;   /* number of the minute */
    _Atomic uint32_t n_window; /* connections in it */
    uint8_t pad[24];
};

struct shared {
    _Atomic uint64_t seed; /* 0: not yet chosen */
    uint8_t pad[56];
    struct slot slots[SLOTS];
};

static_assert(sizeof(struct slot) == 64, "a line of the cache");
static_assert(sizeof(struct shared) <= (size_t)SMTP_SHARED_BYTES, "the table fits");

struct smtp_limiter {
    struct shared *shared;
    unsigned gate;
    uint32_t n_here;
};

struct smtp_limiter *smtp_limiter_create(void *shared, unsigned gate)
{
    must(gate < SMTP_GATES_MAX); /* two gates in one column would clear each other's counts */
    struct smtp_limiter *l = mem_new(sizeof(*l));
    l->shared = shared;
    l->gate = gate;
    uint64_t seed, none = 0;
    random_bytes(&seed, sizeof(seed));
    atomic_compare_exchange_strong(&l->shared->seed, &none, seed | 1);
    for (size_t i = 0; i < SLOTS; i++)
        atomic_store_explicit(&l->shared->slots[i].connections[l->gate], 0, memory_order_relaxed);
    return l;
}

void smtp_limiter_destroy(struct smtp_limiter **l)
{
    mem_free(l);
}

static struct slot *slot_of(struct smtp_limiter *l, const uint8_t *bytes, size_t n, char kind)
{
    uint64_t h = atomic_load(&l->shared->seed) ^ (uint64_t)kind * 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ bytes[i]) * 0xff51afd7ed558ccd;
        h ^= h >> 29;
    }
    return &l->shared->slots[(h >> 16) % SLOTS];
}

/* An IPv6 host owns at least a /64, so that is its address; the network is /24 or /48. */
static struct slot *address_slot(struct smtp_limiter *l, struct wire_ip ip)
{
    return slot_of(l, ip.bytes, ip.version == 4 ? 4 : 8, 'a');
}

static struct slot *network_slot(struct smtp_limiter *l, struct wire_ip ip)
{
    return slot_of(l, ip.bytes, ip.version == 4 ? 3 : 6, 'n');
}

static uint32_t sum(const struct slot *s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < SMTP_GATES_MAX; i++)
        n += atomic_load_explicit(&s->connections[i], memory_order_relaxed);
    return n;
}

static uint32_t count_rate(struct slot *s, mono_us now)
{
    uint32_t window = (uint32_t)(now / SECONDS(RATE_WINDOW_SEC));
    if (atomic_exchange(&s->window, window) != window)
        atomic_store(&s->n_window, 0);
    return atomic_fetch_add(&s->n_window, 1) + 1;
}

static void measure(enum refuse_id id, uint64_t value, struct wire_ip peer)
{
    if (refuse_is_high(id, value))
        refuse_measure(id, value, slice_str(wire_ip_text(peer).s));
}

enum refuse_id smtp_limiter_enter(struct smtp_limiter *l, const struct smtp_limits *limits,
                                  struct wire_ip peer, mono_us now)
{
    measure(REFUSE_CONN_TOTAL, smtp_over_gates(limits, l->n_here + 1), peer);
    if (l->n_here >= limits->connections || l->n_here >= CONNECTIONS_MAX)
        return REFUSE_CONN_TOTAL;
    if (peer.version == 0) {
        l->n_here++;
        return REFUSE_N;
    }
    struct slot *address = address_slot(l, peer), *network = network_slot(l, peer);
    uint32_t n_address = sum(address) + 1, n_network = sum(network) + 1;
    measure(REFUSE_CONN_ADDRESS, n_address, peer);
    if (n_address > limits->connections_per_address)
        return REFUSE_CONN_ADDRESS;
    measure(REFUSE_CONN_NETWORK, n_network, peer);
    if (n_network > limits->connections_per_network)
        return REFUSE_CONN_NETWORK;
    uint32_t n_minute = count_rate(address, now);
    measure(REFUSE_CONN_RATE, n_minute, peer);
    if (n_minute > limits->connections_per_minute)
        return REFUSE_CONN_RATE;
    l->n_here++;
    atomic_fetch_add_explicit(&address->connections[l->gate], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&network->connections[l->gate], 1, memory_order_relaxed);
    return REFUSE_N;
}

void smtp_limiter_leave(struct smtp_limiter *l, struct wire_ip peer)
{
    must(l->n_here > 0);
    l->n_here--;
    if (peer.version == 0)
        return;
    atomic_fetch_sub_explicit(&address_slot(l, peer)->connections[l->gate], 1,
                              memory_order_relaxed);
    atomic_fetch_sub_explicit(&network_slot(l, peer)->connections[l->gate], 1,
                              memory_order_relaxed);
}
