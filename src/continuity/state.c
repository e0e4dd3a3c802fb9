/* The state of a primary as a pure step over evidence and time. */
#include "continuity/continuity.h"

const struct continuity_plan continuity_plan_default = {
    .bad_for_suspect = 3,
    .suspect_within_sec = 60,
    .emergency_after_sec = 360,
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

struct continuity_primary continuity_start(utc_ms now)
{
    return (struct continuity_primary){.state = STATE_STANDBY, .since = now};
}

static unsigned enter(struct continuity_primary *p, enum continuity_state state, utc_ms now)
{
    p->state = state;
    p->since = now;
    p->is_ready = false;
    return ACTION_STATE_CHANGED;
}

static void count(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                  const struct continuity_plan *plan)
{
    if (e == EVIDENCE_GOOD || (e == EVIDENCE_GREETS && !p->is_refusing)) {
        if (p->n_good++ == 0)
            p->good_since = now;
        p->last_good = now;
        p->n_bad = 0;
        p->first_bad = 0;
        p->is_refusing = false;
    } else if (e == EVIDENCE_BAD || e == EVIDENCE_REFUSES) {
        p->is_refusing = e == EVIDENCE_REFUSES;
        /* Failures far apart are glitches: each begins a new run while nothing is suspected. */
        bool is_stale = p->state == STATE_STANDBY &&
                        now - p->last_bad > (utc_ms)plan->suspect_within_sec * 1000;
        if (p->n_bad == 0 || is_stale) {
            p->n_bad = 0;
            p->first_bad = now;
        }
        p->n_bad++;
        p->last_bad = now;
        p->n_good = 0;
        p->good_since = 0;
        p->is_ready = false;
    }
}

static unsigned step_standby(struct continuity_primary *p, utc_ms now,
                             const struct continuity_plan *plan)
{
    return p->n_bad >= plan->bad_for_suspect ? enter(p, STATE_SUSPECT, now) : 0;
}

static unsigned step_suspect(struct continuity_primary *p, utc_ms now,
                             const struct continuity_plan *plan)
{
    if (p->n_good > 0)
        return enter(p, STATE_STANDBY, now) | ACTION_DRAIN;
    if (plan->emergency_after_sec && p->first_bad &&
        now - p->first_bad >= (utc_ms)plan->emergency_after_sec * 1000)
        return enter(p, STATE_EMERGENCY, now);
    return 0;
}

static unsigned step_emergency(struct continuity_primary *p, utc_ms now,
                               const struct continuity_plan *plan)
{
    if (p->is_ready || p->n_good < plan->good_for_ready ||
        now - p->good_since < (utc_ms)plan->ready_over_sec * 1000)
        return 0;
    if (plan->is_return_auto)
        return enter(p, STATE_RETURNING, now) | ACTION_DRAIN;
    p->is_ready = true;
    return ACTION_READY;
}

unsigned continuity_step(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                         const struct continuity_plan *plan)
{
    count(p, e, now, plan);
    if (e == EVIDENCE_SAY_EMERGENCY && p->state != STATE_EMERGENCY) {
        p->is_refusing = false; /* nothing is tried against a person's word */
        return enter(p, STATE_EMERGENCY, now);
    }
    if (e == EVIDENCE_SAY_RETURN && p->state == STATE_EMERGENCY)
        return enter(p, STATE_RETURNING, now) | ACTION_DRAIN;
    switch (p->state) {
    case STATE_STANDBY:
        return step_standby(p, now, plan);
    case STATE_SUSPECT:
        return step_suspect(p, now, plan);
    case STATE_EMERGENCY:
        return step_emergency(p, now, plan);
    case STATE_RETURNING:
        if (e == EVIDENCE_DRAINED)
            return enter(p, STATE_STANDBY, now);
        return p->n_bad >= plan->bad_for_suspect ? enter(p, STATE_EMERGENCY, now) : 0;
    case STATE_N:
        break;
    }
    return 0;
}

enum continuity_way continuity_way(const struct continuity_primary *p)
{
    switch (p->state) {
    case STATE_STANDBY:
    case STATE_RETURNING:
        return p->n_bad == 0 ? WAY_OPEN : WAY_ONE_AT_A_TIME;
    case STATE_SUSPECT:
        return WAY_ONE_AT_A_TIME;
    case STATE_EMERGENCY:
        return p->is_refusing ? WAY_ONE_AT_A_TIME : WAY_CLOSED;
    case STATE_N:
        break;
    }
    return WAY_CLOSED;
}
