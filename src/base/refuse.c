/* The table of refusals and the counts of this process. */
#include "base/refuse.h"

#include <stdatomic.h>

static const struct refuse_row rows[] = {
#define REFUSE(id, name, owner, limit, unit, class, code, text)                                    \
    [REFUSE_##id] = {name, owner, limit, unit, class, code, text},
#include "base/refuse.def"
#undef REFUSE
};

/* One writer; a reader sees a value and its origin of two settings at worst. */
static struct {
    atomic_uint_least64_t value;
    _Atomic(const char *) setting;
    atomic_bool is_set, is_known;
} limits[REFUSE_N];

static atomic_uint_least64_t counts[REFUSE_N];
static char examples[REFUSE_N][61];
static atomic_flag example_busy[REFUSE_N];

const struct refuse_row *refuse_row(enum refuse_id id)
{
    must((unsigned)id < REFUSE_N);
    return &rows[id];
}

void refuse_set_limit(enum refuse_id id, struct refuse_limit limit)
{
    must((unsigned)id < REFUSE_N);
    limits[id].value = limit.value;
    limits[id].setting = limit.setting;
    limits[id].is_set = limit.is_set;
    limits[id].is_known = true;
}

struct refuse_limit refuse_limit(enum refuse_id id)
{
    must((unsigned)id < REFUSE_N);
    if (!limits[id].is_known)
        return (struct refuse_limit){.value = rows[id].limit};
    return (struct refuse_limit){limits[id].value, limits[id].setting, limits[id].is_set};
}

const struct refuse_row *refuse(enum refuse_id id, struct slice who)
{
    must((unsigned)id < REFUSE_N);
    atomic_fetch_add_explicit(&counts[id], 1, memory_order_relaxed);
    /* Two threads refusing at once: one example is enough, nobody waits. */
    if (who.n && !atomic_flag_test_and_set(&example_busy[id])) {
        size_t n = who.n < sizeof(examples[id]) - 1 ? who.n : sizeof(examples[id]) - 1;
        memcpy(examples[id], who.p, n);
        examples[id][n] = '\0';
        atomic_flag_clear(&example_busy[id]);
    }
    return &rows[id];
}

bool refuse_take_counts(struct refuse_count ret[REFUSE_N])
{
    bool is_any = false;
    for (int id = 0; id < REFUSE_N; id++) {
        ret[id].n = atomic_exchange_explicit(&counts[id], 0, memory_order_relaxed);
        ret[id].who[0] = '\0';
        if (ret[id].n == 0)
            continue;
        is_any = true;
        if (!atomic_flag_test_and_set(&example_busy[id])) {
            memcpy(ret[id].who, examples[id], sizeof(ret[id].who));
            atomic_flag_clear(&example_busy[id]);
        }
    }
    return is_any;
}
