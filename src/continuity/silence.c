/* Silence against the hour of the tenant's week: what is usual is learnt, what is strange follows.
 */
#include "continuity/continuity.h"

enum {
    HOUR_MS = 3600000,
    WHOLE_LEAST_MS = HOUR_MS - HOUR_MS / 6, /* the caller's ticks are not exact */
    WHOLE_MOST_MS = HOUR_MS + HOUR_MS / 6,
    AWAY_MS = 2 * HOUR_MS + HOUR_MS / 2, /* longer than an hour that exists twice */
    LATE_HOURS = 3,
    SUNDAY = 6,
};
static const float NEWEST_WEIGHT = 0.2f; /* about five weeks are remembered */
static const float USUAL_LEAST = 1.0f;
static const double STRANGE_FROM = 9.21; /* exp(-9.21) = 1/10000 */

static size_t slot_of(unsigned weekday, unsigned hour, bool is_holiday)
{
    return (is_holiday ? SUNDAY : weekday % 7) * 24 + hour % 24;
}

/* Of local hours: the first of 1970 was a Thursday's. */
static size_t slot_of_hour(int64_t hour, bool is_holiday)
{
    int64_t day = hour / 24 - (hour % 24 < 0);
    return slot_of((unsigned)(((day + 3) % 7 + 7) % 7), (unsigned)((hour % 24 + 24) % 24),
                   is_holiday);
}

static float usual(const struct continuity_silence *s, size_t slot, utc_ms took)
{
    if (s->n_seen[slot] < SILENCE_LEARNING_WEEKS || s->mean[slot] < USUAL_LEAST || took <= 0)
        return 0;
    return s->mean[slot] * (float)(took < HOUR_MS ? took : HOUR_MS) / HOUR_MS;
}

static void learn(struct continuity_silence *s, size_t slot)
{
    float n = (float)s->n, mean = s->mean[slot];
    /* A newsletter's answers once a month do not make the hour before lunch a busy one. */
    if (s->n_seen[slot] > 0 && n > 3 * mean + 10)
        n = 3 * mean + 10;
    float weight = 1.0f / (float)(s->n_seen[slot] + 1);
    s->mean[slot] = mean + (n - mean) * (weight > NEWEST_WEIGHT ? weight : NEWEST_WEIGHT);
    if (s->n_seen[slot] < UINT16_MAX)
        s->n_seen[slot]++;
}

static void begin_hour(struct continuity_silence *s, const struct silence_when *w, utc_ms now)
{
    utc_ms took = now - s->hour_began;
    size_t slot = slot_of_hour(s->hour, s->is_holiday);
    if (s->hour_began == 0 || took < 0 || took > AWAY_MS)
        s->expected = 0;
    else
        s->expected += usual(s, slot, now - s->since);
    if (s->hour_began && !s->is_holiday && took >= WHOLE_LEAST_MS && took <= WHOLE_MOST_MS)
        learn(s, slot);
    s->hour = w->local_hour;
    s->is_holiday = w->is_holiday;
    s->hour_began = s->since = now;
    s->n = 0;
}

void continuity_silence_count(struct continuity_silence *s, const struct silence_when *w,
                              utc_ms now, uint32_t n)
{
    if (s->hour_began == 0 || w->local_hour > s->hour || w->local_hour < s->hour - LATE_HOURS)
        begin_hour(s, w, now);
    if (n == 0)
        return;
    s->n = n > UINT32_MAX - s->n ? UINT32_MAX : s->n + n;
    s->last = s->since = now;
    s->expected = 0;
}

enum silence_verdict continuity_silence_judge(const struct continuity_silence *s,
                                              const struct silence_when *w, utc_ms now,
                                              double *ret_expected)
{
    size_t slot = slot_of(w->weekday, w->hour, w->is_holiday);
    double expected = (double)s->expected + (double)usual(s, slot, now - s->since);
    if (s->hour_began == 0 || now - s->hour_began > AWAY_MS)
        expected = 0; /* nobody counted */
    if (ret_expected)
        *ret_expected = expected;
    if (s->n_seen[slot] < SILENCE_LEARNING_WEEKS)
        return SILENCE_LEARNING;
    return expected >= STRANGE_FROM ? SILENCE_STRANGE : SILENCE_NORMAL;
}
