/* Maps from bytes to pointers: open addressing, linear probing, keyed hash. */
#include "base.h"

#include <pthread.h>

struct entry {
    uint64_t hash;
    char *key;
    size_t n_key;
    void *value; /* NULL: never used; REMOVED: was used */
};

struct map {
    struct entry *entries;
    size_t cap, n, n_filled; /* n_filled counts removed ones too */
};

static char removed_mark;
#define REMOVED ((void *)&removed_mark)

static inline uint64_t rotate(uint64_t v, int bits)
{
    return (v << bits) | (v >> (64 - bits));
}

#define SIP_ROUND(v)                                                                               \
    do {                                                                                           \
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);                     \
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];                                              \
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];                                              \
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);                     \
    } while (0)

static uint64_t seed[2]; /* set once */
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_make(void)
{
    random_bytes(seed, sizeof(seed));
}

uint64_t hash_fixed(struct slice s)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++)
        hash = (hash ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return hash;
}

/* SipHash-1-3 (Aumasson, Bernstein 2012): enough against chosen collisions, cheap. */
uint64_t hash_bytes(struct slice s)
{
    (void)pthread_once(&seed_once, seed_make);
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                     seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t word;
        memcpy(&word, s.p + i, 8);
        v[3] ^= word;
        SIP_ROUND(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)s.n << 56;
    for (size_t k = 0; i + k < s.n; k++)
        last |= (uint64_t)(unsigned char)s.p[i + k] << (8 * k);
    v[3] ^= last;
    SIP_ROUND(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int k = 0; k < 3; k++)
        SIP_ROUND(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_create(void)
{
    return mem_new(sizeof(struct map));
}

void map_destroy(struct map **m)
{
    if (!*m)
        return;
    for (size_t i = 0; i < (*m)->cap; i++)
        mem_free(&(*m)->entries[i].key);
    mem_free(&(*m)->entries);
    mem_free(m);
}

/* The entry that holds the key, or the place where it belongs. */
static struct entry *find(const struct map *m, uint64_t hash, struct slice key)
{
    struct entry *place = NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct entry *e = &m->entries[i];
        if (!e->value)
            return place ? place : e;
        if (e->value == REMOVED) {
            if (!place)
                place = e;
        } else if (e->hash == hash && e->n_key == key.n &&
                   (key.n == 0 || memcmp(e->key, key.p, key.n) == 0)) {
            return e;
        }
    }
}

static bool holds(const struct entry *e)
{
    return e->value && e->value != REMOVED;
}

static void grow(struct map *m)
{
    struct map bigger = {.cap = m->n * 4 < 16 ? 16 : m->cap};
    while (bigger.cap < m->n * 4)
        bigger.cap *= 2;
    bigger.entries = mem_new(bigger.cap * sizeof(struct entry));
    for (size_t i = 0; i < m->cap; i++) {
        struct entry *e = &m->entries[i];
        if (!holds(e))
            continue;
        *find(&bigger, e->hash, slice_of(e->key, e->n_key)) = *e;
        bigger.n++;
    }
    bigger.n_filled = bigger.n;
    mem_free(&m->entries);
    *m = bigger;
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->n == 0)
        return NULL;
    struct entry *e = find(m, hash_bytes(key), key);
    return holds(e) ? e->value : NULL;
}

void *map_put(struct map *m, struct slice key, void *value)
{
    must(value != NULL);
    if ((m->n_filled + 1) * 4 > m->cap * 3)
        grow(m);
    uint64_t hash = hash_bytes(key);
    struct entry *e = find(m, hash, key);
    if (holds(e)) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    if (!e->value)
        m->n_filled++;
    m->n++;
    e->hash = hash;
    e->key = mem_new(key.n);
    if (key.n)
        memcpy(e->key, key.p, key.n);
    e->n_key = key.n;
    e->value = value;
    return NULL;
}

void *map_del(struct map *m, struct slice key)
{
    if (m->n == 0)
        return NULL;
    struct entry *e = find(m, hash_bytes(key), key);
    if (!holds(e))
        return NULL;
    void *old = e->value;
    mem_free(&e->key);
    e->value = REMOVED; /* nothing moves: whoever walks goes on */
    m->n--;
    return old;
}

size_t map_size(const struct map *m)
{
    return m->n;
}

bool map_next(const struct map *m, size_t *at, struct slice *ret_key, void **ret_value)
{
    for (; *at < m->cap; (*at)++) {
        struct entry *e = &m->entries[*at];
        if (!holds(e))
            continue;
        if (ret_key)
            *ret_key = slice_of(e->key, e->n_key);
        if (ret_value)
            *ret_value = e->value;
        (*at)++;
        return true;
    }
    return false;
}
