/* What guessing costs: counts that leak away with time, in a table of fixed size. */
#include "login/login_int.h"

enum { SLOTS = 1 << 16, WAYS = 8, MARKS = 1 << 13, MARK_WAYS = 4, MARK_MINUTES = 60 };

struct slot {
    uint64_t key;      /* 0: empty */
    mono_us at, until; /* n was reckoned then; no try before `until` */
    uint32_t n;        /* wrong tries */
    uint8_t kind;
};
struct throttle {
    struct slot slots[SLOTS];
};

/* The first tries are free, each further one costs a wait twice as long, up to a ceiling; one try
 * is forgotten each `leak`. An account's ceiling is low: who guesses at Anna from a thousand
 * networks must not keep her from logging in at a new place for long. */
static const struct {
    uint32_t free;
    mono_us ceiling, leak;
} rules[] = {
    [THROTTLE_ACCOUNT] = {10, SECONDS(120), SECONDS(600)},
    [THROTTLE_NETWORK] = {10, SECONDS(900), SECONDS(300)},
    [THROTTLE_WIDE] = {50, SECONDS(300), SECONDS(60)},
    [THROTTLE_PAIR] = {10, SECONDS(30), SECONDS(60)},
};

struct throttle *throttle_create(void)
{
    return mem_new(sizeof(struct throttle));
}

void throttle_destroy(struct throttle **t)
{
    mem_free(t);
}

static mono_us cost(enum throttle_kind kind, uint32_t n)
{
    if (n < rules[kind].free)
        return 0;
    uint32_t doublings = n - rules[kind].free;
    mono_us wait = doublings < 20 ? SECONDS(1) << doublings : rules[kind].ceiling;
    return wait < rules[kind].ceiling ? wait : rules[kind].ceiling;
}

static void leak(struct slot *s, mono_us at)
{
    mono_us whole = (at - s->at) / rules[s->kind].leak;
    if (whole <= 0)
        return;
    s->n -= whole < (mono_us)s->n ? (uint32_t)whole : s->n;
    s->at += whole * rules[s->kind].leak;
}

static struct slot *set_of(struct throttle *t, uint64_t key)
{
    return &t->slots[key % (SLOTS / WAYS) * WAYS];
}

static uint64_t key_of(enum throttle_kind kind, uint64_t key)
{
    uint64_t both[] = {kind, key};
    uint64_t mixed = hash_bytes(slice_of((const char *)both, sizeof(both)));
    return mixed ? mixed : 1;
}

static struct slot *find(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at)
{
    uint64_t mixed = key_of(kind, key);
    struct slot *set = set_of(t, mixed);
    for (int i = 0; i < WAYS; i++)
        if (set[i].key == mixed) {
            leak(&set[i], at);
            return &set[i];
        }
    return NULL;
}

/* In place of the one with the fewest tries, and of those the oldest. */
static struct slot *make(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at)
{
    uint64_t mixed = key_of(kind, key);
    struct slot *set = set_of(t, mixed), *worst = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].key)
            leak(&set[i], at);
        if (set[i].n < worst->n || (set[i].n == worst->n && set[i].at < worst->at))
            worst = &set[i];
    }
    *worst = (struct slot){.key = mixed, .at = at, .kind = (uint8_t)kind};
    return worst;
}

mono_us throttle_wait(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at)
{
    const struct slot *s = find(t, kind, key, at);
    return s && s->until > at ? s->until - at : 0;
}

void throttle_charge(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at)
{
    struct slot *s = find(t, kind, key, at);
    if (!s)
        s = make(t, kind, key, at);
    s->n += s->n < UINT32_MAX;
    s->until = at + cost(kind, s->n);
}

void throttle_refund(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at)
{
    struct slot *s = find(t, kind, key, at);
    if (!s || s->n == 0)
        return;
    s->n--;
    mono_us until = at + cost(kind, s->n);
    if (s->until > until)
        s->until = until;
}

/* ---- wrong guesses ---- */

struct marks {
    struct {
        uint8_t mark[MARK_BYTES];
        mono_us until;
    } list[MARKS];
    uint8_t next[MARKS / MARK_WAYS];
};

struct marks *marks_create(void)
{
    return mem_new(sizeof(struct marks));
}

void marks_destroy(struct marks **m)
{
    mem_free(m);
}

/* A mark is a keyed hash already. */
static size_t mark_set(const uint8_t mark[MARK_BYTES])
{
    uint32_t n;
    memcpy(&n, mark, sizeof(n));
    return n % (MARKS / MARK_WAYS);
}

bool marks_has(const struct marks *m, const uint8_t mark[MARK_BYTES], mono_us at)
{
    size_t set = mark_set(mark) * MARK_WAYS;
    for (size_t i = set; i < set + MARK_WAYS; i++)
        if (m->list[i].until > at && memcmp(m->list[i].mark, mark, MARK_BYTES) == 0)
            return true;
    return false;
}

void marks_add(struct marks *m, const uint8_t mark[MARK_BYTES], mono_us at)
{
    size_t set = mark_set(mark);
    size_t i = set * MARK_WAYS + m->next[set]++ % MARK_WAYS;
    memcpy(m->list[i].mark, mark, MARK_BYTES);
    m->list[i].until = at + SECONDS(60 * MARK_MINUTES);
}
