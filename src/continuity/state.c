/* The state of a primary as a pure step over evidence and time. */
#include "continuity/continuity.h"

const struct continuity_plan continuity_plan_default = {
    .bad_for_suspect = 3,
    .suspect_within_sec = 60,
    .tell_after_sec = 120,
    .emergency_after_sec = 360,
    .calm_sec = 300,
    .good_for_ready = 10,
    .ready_over_sec = 300,
    .is_return_auto = false,
};

const char *continuity_state_name(enum continuity_state s)
{
    static const char *const names[STATE_N] = {
        "unknown", "standby", "suspect", "emergency", "returning",
    };
    return (unsigned)s < STATE_N ? names[s] : "unknown";
}

const char *continuity_aspect_name(enum continuity_aspect a)
{
    static const char *const names[ASPECT_N] = {"takes", "arrives", "lets-in"};
    return (unsigned)a < ASPECT_N ? names[a] : "unknown";
}

static const char *const evidence_names[EVIDENCE_N] = {
    [EVIDENCE_NONE] = "none",
    [EVIDENCE_GOOD] = "good",
    [EVIDENCE_GREETS] = "greets",
    [EVIDENCE_BAD] = "bad",
    [EVIDENCE_REFUSES] = "refuses",
    [EVIDENCE_CANARY_GOOD] = "canary-good",
    [EVIDENCE_CANARY_BAD] = "canary-bad",
    [EVIDENCE_LOGIN_GOOD] = "login-good",
    [EVIDENCE_LOGIN_BAD] = "login-bad",
    [EVIDENCE_BLIND] = "blind",
    [EVIDENCE_SEEING] = "seeing",
    [EVIDENCE_CLOCK_JUMPED] = "clock-jumped",
    [EVIDENCE_CLOCK_CONFIRMED] = "clock-confirmed",
    [EVIDENCE_SAY_EMERGENCY] = "say-emergency",
    [EVIDENCE_SAY_RETURN] = "say-return",
    [EVIDENCE_SAY_APPROVE] = "say-approve",
    [EVIDENCE_SAY_ISOLATE] = "say-isolate",
    [EVIDENCE_SAY_CLEAN] = "say-clean",
    [EVIDENCE_SAY_PAUSE] = "say-pause",
    [EVIDENCE_SAY_RESUME] = "say-resume",
    [EVIDENCE_DRAINED] = "drained",
};

const char *continuity_evidence_name(enum continuity_evidence e)
{
    return (unsigned)e < EVIDENCE_N ? evidence_names[e] : "unknown";
}

enum continuity_evidence continuity_evidence_of(struct slice name)
{
    unsigned e = 0;
    while (e < EVIDENCE_N && !slice_eq(name, slice_str(evidence_names[e])))
        e++;
    return (enum continuity_evidence)e;
}

struct continuity_primary continuity_start(utc_ms now)
{
    return (struct continuity_primary){.state = STATE_STANDBY, .since = now};
}

uint32_t continuity_bad(const struct continuity_primary *p)
{
    uint32_t most = 0;
    for (size_t i = 0; i < ASPECT_N; i++)
        if (p->run[i].n_bad > most)
            most = p->run[i].n_bad;
    return most;
}

bool continuity_in_maintenance(const struct continuity_primary *p, utc_ms now)
{
    return now >= p->maintenance_from && now < p->maintenance_until;
}

static utc_ms seconds(uint32_t n)
{
    return (utc_ms)n * 1000;
}

/* ---- counting ---- */

static void count_good(struct continuity_primary *p, enum continuity_aspect a, utc_ms now)
{
    struct continuity_run *r = &p->run[a];
    if (r->n_good++ == 0)
        r->good_since = now;
    r->last_good = now;
    r->n_bad = 0;
    r->first_bad = 0;
}

static void count_bad(struct continuity_primary *p, enum continuity_aspect a, utc_ms now,
                      const struct continuity_plan *plan)
{
    struct continuity_run *r = &p->run[a];
    /* Failures far apart are glitches: each begins a new run while nothing is suspected. */
    bool is_stale =
        p->state == STATE_STANDBY && now - r->last_bad > seconds(plan->suspect_within_sec);
    if (r->n_bad == 0 || is_stale) {
        r->n_bad = 0;
        r->first_bad = now;
    }
    r->n_bad++;
    r->last_bad = now;
    r->n_good = 0;
    r->good_since = 0;
    p->is_ready = false;
}

/* What was seen may have been our own fault. */
static void forget_failures(struct continuity_primary *p)
{
    for (size_t i = 0; i < ASPECT_N; i++) {
        p->run[i].n_bad = 0;
        p->run[i].first_bad = 0;
    }
    p->is_refusing = false;
}

static void count(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                  const struct continuity_plan *plan)
{
    switch ((int)e) {
    case EVIDENCE_GREETS:
        if (p->is_refusing)
            break;
        /* fall through */
    case EVIDENCE_GOOD:
        p->is_refusing = false;
        count_good(p, ASPECT_TAKES, now);
        break;
    case EVIDENCE_CANARY_GOOD:
        count_good(p, ASPECT_ARRIVES, now);
        break;
    case EVIDENCE_LOGIN_GOOD:
        count_good(p, ASPECT_LETS_IN, now);
        break;
    case EVIDENCE_BAD:
    case EVIDENCE_REFUSES:
        if (p->is_blind)
            break;
        p->is_refusing = e == EVIDENCE_REFUSES;
        count_bad(p, ASPECT_TAKES, now, plan);
        break;
    case EVIDENCE_CANARY_BAD:
        if (!p->is_blind)
            count_bad(p, ASPECT_ARRIVES, now, plan);
        break;
    case EVIDENCE_LOGIN_BAD:
        if (!p->is_blind)
            count_bad(p, ASPECT_LETS_IN, now, plan);
        break;
    default:
        break;
    }
}

/* ---- the trouble: from its first failure until it has been well for long ---- */

static unsigned follow_trouble(struct continuity_primary *p, utc_ms now,
                               const struct continuity_plan *plan)
{
    utc_ms first = 0, last_good = 0;
    for (size_t i = 0; i < ASPECT_N; i++) {
        const struct continuity_run *r = &p->run[i];
        if (r->first_bad && (first == 0 || r->first_bad < first))
            first = r->first_bad;
        if (r->good_since > last_good)
            last_good = r->good_since;
    }
    if (first) {
        if (p->trouble_since == 0)
            p->trouble_since = first;
        return 0;
    }
    if (p->trouble_since == 0 || p->state != STATE_STANDBY ||
        now - last_good < seconds(plan->calm_sec))
        return 0;
    bool was_told = p->is_told;
    p->trouble_since = 0;
    p->is_told = false;
    return was_told ? ACTION_CALM | ACTION_FLAGS_CHANGED : 0;
}

/* ---- states ---- */

static unsigned enter(struct continuity_primary *p, enum continuity_state state, utc_ms now)
{
    p->state = state;
    p->since = now;
    p->is_ready = false;
    if (state != STATE_RETURNING)
        p->is_paused = false;
    if (state == STATE_STANDBY || state == STATE_RETURNING)
        p->is_by_hand = false;
    return ACTION_STATE_CHANGED;
}

static bool may_step(const struct continuity_primary *p, utc_ms now)
{
    return !p->is_blind && !p->is_clock_doubted && !continuity_in_maintenance(p, now);
}

static unsigned step_suspect(struct continuity_primary *p, utc_ms now,
                             const struct continuity_plan *plan)
{
    if (continuity_bad(p) == 0)
        return enter(p, STATE_STANDBY, now) | ACTION_DRAIN;
    if (!may_step(p, now) || p->trouble_since == 0)
        return 0;
    unsigned actions = 0;
    utc_ms age = now - p->trouble_since;
    if (!p->is_told && age >= seconds(plan->tell_after_sec)) {
        p->is_told = true;
        actions = ACTION_TELL | ACTION_FLAGS_CHANGED;
    }
    if (plan->emergency_after_sec && age >= seconds(plan->emergency_after_sec)) {
        p->is_told = true;
        actions |= enter(p, STATE_EMERGENCY, now);
    }
    return actions;
}

static unsigned step_standby(struct continuity_primary *p, utc_ms now,
                             const struct continuity_plan *plan)
{
    if (continuity_bad(p) < plan->bad_for_suspect || !may_step(p, now))
        return 0;
    return enter(p, STATE_SUSPECT, now) | step_suspect(p, now, plan);
}

static bool is_well(const struct continuity_primary *p, utc_ms now,
                    const struct continuity_plan *plan)
{
    for (size_t i = 0; i < ASPECT_N; i++) {
        const struct continuity_run *r = &p->run[i];
        bool is_watched = i == ASPECT_TAKES || r->last_good || r->last_bad;
        /* Canaries and log-ins are rarer than probes: one good one over the whole time will do. */
        uint32_t needed = i == ASPECT_TAKES ? plan->good_for_ready : 1;
        if (is_watched && (r->n_good < needed || r->n_bad > 0))
            return false;
    }
    return now - p->run[ASPECT_TAKES].good_since >= seconds(plan->ready_over_sec);
}

static unsigned step_emergency(struct continuity_primary *p, utc_ms now,
                               const struct continuity_plan *plan)
{
    if (p->is_ready || p->is_isolated || !is_well(p, now, plan))
        return 0;
    bool is_free = !p->is_clock_doubted && !p->is_by_hand;
    if (plan->is_return_auto && is_free)
        return enter(p, STATE_RETURNING, now) | ACTION_DRAIN;
    p->is_ready = true;
    return ACTION_READY | ACTION_FLAGS_CHANGED;
}

static unsigned step_returning(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                               const struct continuity_plan *plan)
{
    if (e == EVIDENCE_DRAINED)
        return enter(p, STATE_STANDBY, now);
    if (continuity_bad(p) < plan->bad_for_suspect || p->is_blind)
        return 0;
    return enter(p, STATE_EMERGENCY, now);
}

/* ---- what people say ---- */

static unsigned flag(bool *f, bool value)
{
    if (*f == value)
        return 0;
    *f = value;
    return ACTION_FLAGS_CHANGED;
}

static unsigned declare(struct continuity_primary *p, utc_ms now)
{
    p->is_refusing = false; /* nothing is tried against a person's word */
    p->is_told = true;
    unsigned actions = enter(p, STATE_EMERGENCY, now);
    p->is_by_hand = true;
    return actions;
}

static unsigned isolate(struct continuity_primary *p, utc_ms now)
{
    if (p->is_isolated)
        return 0;
    p->is_isolated = true;
    p->is_ready = false;
    unsigned actions = ACTION_FLAGS_CHANGED;
    return p->state == STATE_EMERGENCY ? actions : actions | declare(p, now);
}

static unsigned give_back(struct continuity_primary *p, utc_ms now, bool only_ready)
{
    if (p->state != STATE_EMERGENCY || p->is_isolated || (only_ready && !p->is_ready))
        return 0;
    return enter(p, STATE_RETURNING, now) | ACTION_DRAIN;
}

/* ACTION bits, or -1: not a person's word nor our own. */
static int hear(struct continuity_primary *p, enum continuity_evidence e, utc_ms now)
{
    switch ((int)e) {
    case EVIDENCE_BLIND:
        forget_failures(p);
        p->is_blind = true;
        return -1; /* a suspicion nobody was told of ends now */
    case EVIDENCE_SEEING:
        p->is_blind = false;
        return -1;
    case EVIDENCE_CLOCK_JUMPED:
        return (int)flag(&p->is_clock_doubted, true);
    case EVIDENCE_CLOCK_CONFIRMED:
        return (int)flag(&p->is_clock_doubted, false);
    case EVIDENCE_SAY_EMERGENCY:
        return p->state == STATE_EMERGENCY ? 0 : (int)declare(p, now);
    case EVIDENCE_SAY_RETURN:
        return (int)give_back(p, now, false);
    case EVIDENCE_SAY_APPROVE:
        return (int)give_back(p, now, true);
    case EVIDENCE_SAY_ISOLATE:
        return (int)isolate(p, now);
    case EVIDENCE_SAY_CLEAN:
        return (int)flag(&p->is_isolated, false);
    case EVIDENCE_SAY_PAUSE:
        return p->state == STATE_RETURNING ? (int)flag(&p->is_paused, true) : 0;
    case EVIDENCE_SAY_RESUME:
        if (!p->is_paused)
            return 0;
        p->is_paused = false;
        return ACTION_FLAGS_CHANGED | ACTION_DRAIN;
    default:
        return -1;
    }
}

unsigned continuity_step(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                         const struct continuity_plan *plan)
{
    int heard = hear(p, e, now);
    if (heard >= 0)
        return (unsigned)heard;
    count(p, e, now, plan);
    unsigned actions = follow_trouble(p, now, plan);
    switch (p->state) {
    case STATE_STANDBY:
        return actions | step_standby(p, now, plan);
    case STATE_SUSPECT:
        return actions | step_suspect(p, now, plan);
    case STATE_EMERGENCY:
        return actions | step_emergency(p, now, plan);
    case STATE_RETURNING:
        return actions | step_returning(p, e, now, plan);
    case STATE_N:
        break;
    }
    return actions;
}

enum continuity_way continuity_way(const struct continuity_primary *p)
{
    if (p->is_isolated)
        return WAY_CLOSED;
    switch (p->state) {
    case STATE_STANDBY:
        return p->run[ASPECT_TAKES].n_bad == 0 ? WAY_OPEN : WAY_ONE_AT_A_TIME;
    case STATE_RETURNING:
        if (p->is_paused)
            return WAY_CLOSED;
        return p->run[ASPECT_TAKES].n_bad == 0 ? WAY_OPEN : WAY_ONE_AT_A_TIME;
    case STATE_SUSPECT:
        return WAY_ONE_AT_A_TIME;
    case STATE_EMERGENCY:
        return p->is_refusing ? WAY_ONE_AT_A_TIME : WAY_CLOSED;
    case STATE_N:
        break;
    }
    return WAY_CLOSED;
}
