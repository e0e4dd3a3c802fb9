/* What happened in an emergency, step by step. */
#include "continuity/episode.h"

#include "base/pack_write_begin.h"
#include "continuity/episode.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "continuity/episode.def"
#include "base/pack_end.h"

enum { ARENA_BYTES = 1 << 20, BY_MAX = 200, WHY_MAX = 600, RATE_LEAST = 10 };

static const char *const kind_names[EPISODE_KIND_N] = {
    [EPISODE_SUSPECTED] = "suspect", [EPISODE_EMERGENCY] = "emergency", [EPISODE_DIED] = "died",
    [EPISODE_READY] = "ready",       [EPISODE_RETURNING] = "returning", [EPISODE_ENDED] = "end",
    [EPISODE_ISOLATED] = "isolated", [EPISODE_CLEAN] = "clean",         [EPISODE_PAUSED] = "paused",
    [EPISODE_RESUMED] = "resumed",   [EPISODE_TOLD] = "told",           [EPISODE_NOTED] = "noted",
};

const char *episode_kind_name(enum episode_kind k)
{
    return k > 0 && k < EPISODE_KIND_N ? kind_names[k] : "noted";
}

static uint8_t flags_of(const struct continuity_primary *p)
{
    unsigned flags = 0;
    flags |= p->is_isolated ? EPISODE_IS_ISOLATED : 0U;
    flags |= p->is_paused ? EPISODE_IS_PAUSED : 0U;
    flags |= p->is_ready ? EPISODE_IS_READY : 0U;
    flags |= p->is_told ? EPISODE_IS_TOLD : 0U;
    flags |= p->is_by_hand ? EPISODE_IS_BY_HAND : 0U;
    return (uint8_t)flags;
}

/* ---- which kind of step ---- */

static enum episode_kind kind_of_state(const struct episode_news *news)
{
    switch (news->p->state) {
    case STATE_SUSPECT:
        return EPISODE_SUSPECTED;
    case STATE_EMERGENCY:
        return news->old == STATE_RETURNING && !news->p->is_by_hand ? EPISODE_DIED
                                                                    : EPISODE_EMERGENCY;
    case STATE_RETURNING:
        return EPISODE_RETURNING;
    case STATE_STANDBY:
        return EPISODE_ENDED;
    case STATE_N:
        break;
    }
    return EPISODE_NOTED;
}

/* One decision may change several things; the one that weighs most names it. */
static enum episode_kind kind_of(unsigned was, unsigned is, const struct episode_news *news)
{
    unsigned on = is & ~was, off = was & ~is;
    if (on & EPISODE_IS_ISOLATED)
        return EPISODE_ISOLATED;
    if (news->p->state != news->old)
        return kind_of_state(news);
    if (off & EPISODE_IS_ISOLATED)
        return EPISODE_CLEAN;
    if (on & EPISODE_IS_PAUSED)
        return EPISODE_PAUSED;
    if (off & EPISODE_IS_PAUSED)
        return EPISODE_RESUMED;
    if (on & EPISODE_IS_READY)
        return EPISODE_READY;
    if (on & EPISODE_IS_BY_HAND)
        return EPISODE_EMERGENCY; /* a person declared what had begun by itself */
    return on & EPISODE_IS_TOLD ? EPISODE_TOLD : EPISODE_NOTED;
}

/* ---- the list ---- */

static bool is_by_machine(const struct episode_step *s)
{
    return !(s->kind == EPISODE_ISOLATED || s->kind == EPISODE_CLEAN || s->kind == EPISODE_PAUSED ||
             s->kind == EPISODE_RESUMED || (s->flags & EPISODE_IS_BY_HAND));
}

static void make_room(struct episode *e)
{
    uint32_t at = EPISODE_FIRST_STEPS;
    if (e->n_steps < EPISODE_STEPS_MAX)
        return;
    while (at + 1 < e->n_steps && !is_by_machine(&e->steps[at]))
        at++;
    if (at + 1 >= e->n_steps)
        at = EPISODE_FIRST_STEPS; /* hundreds of decisions of people: the oldest of these */
    memmove(&e->steps[at], &e->steps[at + 1], (e->n_steps - at - 1) * sizeof(*e->steps));
    e->n_steps--;
    e->n_left_out++;
}

/* At most so many bytes, and no controls: they may be a stranger's, and stand in lists of lines. */
static struct slice clean(struct arena *a, struct slice s, size_t max)
{
    size_t n = s.n < max ? s.n : max;
    while (n < s.n && n > 0 && (s.p[n] & 0xC0) == 0x80)
        n--; /* no half of a letter at the end */
    char *copy = arena_new(a, n + 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i];
    return slice_of(copy, n);
}

static void add_step(struct episode *e, enum episode_kind kind, const struct episode_news *news,
                     struct arena *a)
{
    struct episode_step *steps = ARENA_ARRAY(a, struct episode_step, e->n_steps + 1);
    make_room(e);
    if (e->n_steps)
        memcpy(steps, e->steps, e->n_steps * sizeof(*steps));
    steps[e->n_steps++] = (struct episode_step){.time = news->now,
                                                .kind = (uint8_t)kind,
                                                .state = (uint8_t)news->p->state,
                                                .flags = flags_of(news->p),
                                                .by = clean(a, news->by, BY_MAX),
                                                .why = clean(a, news->why, WHY_MAX)};
    e->steps = steps;
}

/* ---- the whole ---- */

static void pack(struct buf *packed, const struct episode *e)
{
    SCOPED(buf_finish) struct buf b = buf_make(EPISODE_BYTES_MAX);
    episode_pack(&b, e);
    must(!b.failed); /* the steps are counted and cut */
    buf_clear(packed);
    buf_add(packed, b.p, b.n);
    must(!packed->failed);
}

static void begin(struct episode *e, const struct episode_news *news)
{
    *e = (struct episode){.phase = EPISODE_SUSPICION,
                          .primary = news->primary,
                          .first_bad = news->p->trouble_since,
                          .first_message = news->first_message};
}

static void note_times(struct episode *e, enum episode_kind kind, const struct episode_news *news)
{
    enum continuity_state state = news->p->state;
    if (state == STATE_SUSPECT && !e->suspect_at)
        e->suspect_at = news->now;
    if ((state == STATE_EMERGENCY || state == STATE_RETURNING) && !e->emergency_at)
        e->emergency_at = news->now;
    if (state == STATE_RETURNING && !e->return_at)
        e->return_at = news->now;
    if (kind == EPISODE_READY)
        e->ready_at = news->now;
    e->n_deaths += kind == EPISODE_DIED;
    e->n_pauses += kind == EPISODE_PAUSED;
    e->n_isolations += kind == EPISODE_ISOLATED;
    if (e->emergency_at)
        e->phase = EPISODE_OPEN;
    if (state == STATE_STANDBY) {
        e->phase = EPISODE_CLOSED;
        e->end_at = news->now;
    }
}

enum episode_change episode_note(struct buf *packed, const struct episode_news *news)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(ARENA_BYTES);
    struct episode e = {};
    bool is_there = packed->n > 0 && episode_unpack(buf_slice(packed), a, &e);
    if (!is_there && news->p->state == STATE_STANDBY)
        return EPISODE_NOTHING;
    if (!is_there)
        begin(&e, news);
    if (e.phase == EPISODE_SUSPICION && news->p->state == STATE_STANDBY) {
        buf_clear(packed);
        return EPISODE_FORGET;
    }
    unsigned was = e.n_steps ? e.steps[e.n_steps - 1].flags : 0;
    enum episode_kind kind = kind_of(was, flags_of(news->p), news);
    add_step(&e, kind, news, a);
    note_times(&e, kind, news);
    pack(packed, &e);
    return EPISODE_WRITE;
}

bool episode_is_current(const struct episode *e, const struct continuity_primary *p)
{
    const unsigned lasting = EPISODE_IS_ISOLATED | EPISODE_IS_PAUSED;
    if (e->n_steps == 0)
        return false;
    const struct episode_step *last = &e->steps[e->n_steps - 1];
    return last->state == p->state && (last->flags & lasting) == (flags_of(p) & lasting);
}

void episode_add_given(struct buf *packed, uint64_t n_given, utc_ms giving_ms)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(ARENA_BYTES);
    struct episode e;
    if (packed->n == 0 || !episode_unpack(buf_slice(packed), a, &e))
        return;
    e.n_given += n_given;
    e.giving_ms += giving_ms;
    pack(packed, &e);
}

utc_ms episode_begin(const struct episode *e)
{
    utc_ms noted = e->n_steps ? e->steps[0].time : e->emergency_at;
    return e->first_bad && e->first_bad < noted ? e->first_bad : noted;
}

uint64_t episode_rate_1000(const struct episode *e)
{
    if (e->n_given < RATE_LEAST || e->giving_ms <= 0)
        return 0;
    uint64_t rate = e->n_given * 1000 * 1000 / (uint64_t)e->giving_ms;
    return rate ? rate : 1;
}
