/* The table of refusals and the counts of this process. */
#include "base/refuse.h"

#include <pthread.h>
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

void refuse_add_value(struct buf *b, enum refuse_id id, uint64_t value)
{
    static const char *const units[] = {"", " KiB", " MiB", " GiB"};
    const char *unit = refuse_row(id)->unit;
    size_t n = 0;
    bool is_bytes = strncmp(unit, "bytes", 5) == 0;
    while (is_bytes && n < 3 && value > 0 && value % 1024 == 0) {
        value /= 1024;
        n++;
    }
    buf_addf(b, "%llu%s%s%s", (unsigned long long)value, units[n], n || !unit[0] ? "" : " ",
             n ? "" : unit);
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

/* ---- how near the limits came ---- */

static const uint8_t whens[REFUSE_N] = {
    [REFUSE_CONN_ADDRESS] = REFUSE_ABOVE,
    [REFUSE_CONN_NETWORK] = REFUSE_ABOVE,
    [REFUSE_CONN_TOTAL] = REFUSE_ABOVE,
    [REFUSE_CONN_RATE] = REFUSE_ABOVE,
    [REFUSE_ERRORS] = REFUSE_FROM,
    [REFUSE_COMMANDS] = REFUSE_ABOVE,
    [REFUSE_IDLE_COMMANDS] = REFUSE_ABOVE,
    [REFUSE_MESSAGES] = REFUSE_ABOVE,
    [REFUSE_LINE] = REFUSE_ABOVE,
    [REFUSE_RECIPIENTS] = REFUSE_ABOVE,
    [REFUSE_TOO_BIG] = REFUSE_ABOVE,
    [REFUSE_HEADER_SIZE] = REFUSE_ABOVE,
    [REFUSE_LOOP] = REFUSE_ABOVE,
    [REFUSE_BYTES_IN_FLIGHT] = REFUSE_ABOVE,
    [REFUSE_DISK_LOW] = REFUSE_BELOW,
    [REFUSE_QUEUE_FULL] = REFUSE_ABOVE,
    [REFUSE_STORE_BUSY] = REFUSE_ABOVE,
    [REFUSE_LOOP_OURS] = REFUSE_ABOVE,
    [REFUSE_DESTINATION_BUSY] = REFUSE_ABOVE,
    [REFUSE_PRIMARY_BUSY] = REFUSE_ABOVE,
    [REFUSE_COURIER_JOBS] = REFUSE_ABOVE,
    [REFUSE_QUESTIONS] = REFUSE_ABOVE,
    [REFUSE_ADMIN_BUSY] = REFUSE_ABOVE,
    [REFUSE_NOTICES] = REFUSE_ABOVE,
    [REFUSE_GROUP_COPIES] = REFUSE_ABOVE,
    [REFUSE_CHECKS] = REFUSE_ABOVE,
    [REFUSE_ADMIN_REQUEST] = REFUSE_ABOVE,
    [REFUSE_LOGIN_BUSY] = REFUSE_ABOVE,
    [REFUSE_SENDING_MINUTE] = REFUSE_ABOVE,
    [REFUSE_SENDING_HOUR] = REFUSE_ABOVE,
    [REFUSE_SENDING_DAY] = REFUSE_ABOVE,
    [REFUSE_ANSWERS_HOUR] = REFUSE_ABOVE,
    [REFUSE_ANSWERS_BUSY] = REFUSE_ABOVE,
    [REFUSE_WEB_REQUEST] = REFUSE_ABOVE,
    [REFUSE_WEB_BODY] = REFUSE_ABOVE,
    [REFUSE_WEB_UPLOAD] = REFUSE_ABOVE,
    [REFUSE_WEB_ADDRESS] = REFUSE_ABOVE,
    [REFUSE_WEB_BUSY] = REFUSE_ABOVE,
    [REFUSE_WEB_BYTES] = REFUSE_ABOVE,
    [REFUSE_WEB_BYTES_ADDRESS] = REFUSE_ABOVE,
    [REFUSE_WEB_STREAMS] = REFUSE_ABOVE,
    [REFUSE_WEB_CONN_ADDRESS] = REFUSE_ABOVE,
    [REFUSE_WEB_CONN_TOTAL] = REFUSE_ABOVE,
    [REFUSE_JMAP_CALLS] = REFUSE_ABOVE,
    [REFUSE_JMAP_PERSON] = REFUSE_ABOVE,
    [REFUSE_JMAP_BYTES] = REFUSE_ABOVE,
    [REFUSE_DOOR_BYTES] = REFUSE_ABOVE,
    [REFUSE_PUSH_PERSON] = REFUSE_ABOVE,
    [REFUSE_PUSH_RATE] = REFUSE_ABOVE,
    [REFUSE_PUSH_TOTAL] = REFUSE_ABOVE,
};

static struct {
    _Atomic bool is_known;
    _Atomic uint64_t value;
    bool is_new; /* this and the next: under the lock, which also guards writing the two above */
    char who[61];
} highs[REFUSE_N];

static pthread_mutex_t highs_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t highs_minute; /* taker only */

enum refuse_when refuse_when(enum refuse_id id)
{
    must((unsigned)id < REFUSE_N);
    return (enum refuse_when)whens[id];
}

bool refuse_would(enum refuse_id id, uint64_t limit, uint64_t measured)
{
    switch (refuse_when(id)) {
    case REFUSE_NOT_MEASURED:
        return false;
    case REFUSE_ABOVE:
        return measured > limit;
    case REFUSE_FROM:
        return measured >= limit;
    case REFUSE_BELOW:
        return measured < limit;
    }
    return false;
}

bool refuse_is_worse(enum refuse_id id, uint64_t a, uint64_t b)
{
    return refuse_when(id) == REFUSE_BELOW ? a < b : a > b;
}

bool refuse_is_high(enum refuse_id id, uint64_t value)
{
    return !highs[id].is_known || refuse_is_worse(id, value, highs[id].value);
}

void refuse_measure(enum refuse_id id, uint64_t value, struct slice who)
{
    must(refuse_when(id) != REFUSE_NOT_MEASURED);
    if (!refuse_is_high(id, value))
        return;
    pthread_mutex_lock(&highs_lock);
    if (refuse_is_high(id, value)) {
        size_t n = who.n < sizeof(highs[id].who) - 1 ? who.n : sizeof(highs[id].who) - 1;
        highs[id].value = value;
        highs[id].is_known = highs[id].is_new = true;
        memcpy(highs[id].who, who.n ? who.p : "", n);
        highs[id].who[n] = '\0';
    }
    pthread_mutex_unlock(&highs_lock);
}

bool refuse_take_highs(mono_us now, struct refuse_high ret[REFUSE_N])
{
    bool is_any = false;
    uint64_t minute = (uint64_t)(now / SECONDS(60));
    bool is_over = minute != highs_minute;
    highs_minute = minute;
    pthread_mutex_lock(&highs_lock);
    for (int id = 0; id < REFUSE_N; id++) {
        ret[id] = (struct refuse_high){.is_known = highs[id].is_new};
        is_any |= highs[id].is_new;
        if (highs[id].is_new) {
            ret[id].value = highs[id].value;
            memcpy(ret[id].who, highs[id].who, sizeof(ret[id].who));
        }
        highs[id].is_new = false;
        if (is_over)
            highs[id].is_known = false;
    }
    pthread_mutex_unlock(&highs_lock);
    return is_any;
}
