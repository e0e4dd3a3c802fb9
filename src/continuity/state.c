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

static utc_ms later(utc_ms a, utc_ms b)
{
    return a > b ? a : b;
}

/* ---- counting ---- */

static void count_good(struct continuity_run *r, utc_ms now)
{
    if (r->n_good++ == 0)
        r->good_since = now;
    r->last_good = now;
    r->n_bad = 0;
    r->first_bad = 0;
    r->last_look = now;
}

/* Failures far apart are glitches, each begins a new run. What is far depends on how often somebody
 * looks: between a probe's failures an hour apart hundreds went well or did not count, between two
 * of a canary that is sent each hour there is nothing. */
static bool is_stale(const struct continuity_run *r, utc_ms now, const struct continuity_plan *plan)
{
    return now - r->last_bad > later(seconds(plan->suspect_within_sec), 2 * r->pace_ms);
}

static void count_bad(struct continuity_primary *p, enum continuity_aspect a, utc_ms now,
                      const struct continuity_plan *plan)
{
    struct continuity_run *r = &p->run[a];
    if (p->is_blind)
        return;
    if (r->n_bad == 0 || (p->state == STATE_STANDBY && is_stale(r, now, plan))) {
        r->n_bad = 0;
        r->first_bad = now;
        r->pace_ms = r->last_look ? now - r->last_look : 0;
    }
    r->n_bad++;
    r->last_bad = now;
    r->n_good = 0;
    r->good_since = 0;
    p->is_ready = false;
    r->last_look = now;
}

/* What was seen may have been our own fault, or a person says that it does not matter. */
static void forget_failures(struct continuity_primary *p)
{
    for (size_t i = 0; i < ASPECT_N; i++) {
        p->run[i].n_bad = 0;
        p->run[i].first_bad = 0;
    }
    p->is_refusing = false;
}

static void count_delivery(struct continuity_primary *p, utc_ms now)
{
    p->is_refusing = false;
    count_good(&p->run[ASPECT_TAKES], now);
}

static void count_greeting(struct continuity_primary *p, utc_ms now)
{
    if (p->is_refusing)
        p->run[ASPECT_TAKES].last_look = now;
    else
        count_good(&p->run[ASPECT_TAKES], now);
}

static void count(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                  const struct continuity_plan *plan)
{
    switch ((int)e) {
    case EVIDENCE_GREETS:
        count_greeting(p, now);
        break;
    case EVIDENCE_GOOD:
        count_delivery(p, now);
        break;
    case EVIDENCE_CANARY_GOOD:
        count_good(&p->run[ASPECT_ARRIVES], now);
        if (p->is_refusing) /* it was a delivery, and was not refused */
            count_delivery(p, now);
        break;
    case EVIDENCE_LOGIN_GOOD:
        count_good(&p->run[ASPECT_LETS_IN], now);
        break;
    case EVIDENCE_BAD:
    case EVIDENCE_REFUSES:
        if (!p->is_blind)
            p->is_refusing = e == EVIDENCE_REFUSES;
        count_bad(p, ASPECT_TAKES, now, plan);
        break;
    case EVIDENCE_CANARY_BAD:
        count_bad(p, ASPECT_ARRIVES, now, plan);
        break;
    case EVIDENCE_LOGIN_BAD:
        count_bad(p, ASPECT_LETS_IN, now, plan);
        break;
    default:
        break;
    }
}

/* ---- the trouble: its falls, until it has been well for long ---- */

static bool has_fallen(const struct continuity_run *r, const struct continuity_plan *plan)
{
    return r->n_bad > 0 && r->n_bad >= plan->bad_for_suspect;
}

static bool is_ill(const struct continuity_primary *p, const struct continuity_plan *plan)
{
    for (size_t i = 0; i < ASPECT_N; i++)
        if (has_fallen(&p->run[i], plan))
            return true;
    return false;
}

static void begin_fall(struct continuity_primary *p, utc_ms now, const struct continuity_plan *plan)
{
    p->fall_since = now;
    p->ill_until = 0;
    for (size_t i = 0; i < ASPECT_N; i++)
        if (has_fallen(&p->run[i], plan) && p->run[i].first_bad < p->fall_since)
            p->fall_since = p->run[i].first_bad;
    if (p->trouble_since == 0 || p->trouble_since > p->fall_since)
        p->trouble_since = p->fall_since; /* a rare aspect may have failed before the others */
    p->n_falls++;
}

/* Until when do we know that it is ill? Probes look all the time, but a canary's last word is
 * minutes old: a reboot that is over by now must not become an emergency by it. */
static void follow_fall(struct continuity_primary *p, utc_ms now,
                        const struct continuity_plan *plan)
{
    for (size_t i = 0; i < ASPECT_N; i++)
        if (has_fallen(&p->run[i], plan))
            p->ill_until = later(p->ill_until, i == ASPECT_TAKES ? now : p->run[i].last_bad);
}

static void end_fall(struct continuity_primary *p, utc_ms now)
{
    utc_ms since = later(p->fall_since, p->held_until);
    if (p->fall_since && p->ill_until > since)
        p->ill_ms += p->ill_until - since;
    p->fall_since = 0;
    p->well_since = now;
}

static void forget_falls(struct continuity_primary *p)
{
    p->fall_since = 0;
    p->n_falls = 0;
    p->ill_ms = 0;
}

static unsigned end_trouble(struct continuity_primary *p)
{
    unsigned actions = p->is_told ? ACTION_CALM : 0;
    forget_falls(p);
    p->trouble_since = 0;
    p->well_since = 0;
    p->is_told = false;
    return actions;
}

/* Is the trouble, now that it is bad, one of `n` seconds? */
static bool has_lasted(const struct continuity_primary *p, uint32_t n)
{
    enum { FLAPPING_FALLS = 3, FLAPPING_PART = 4 };
    utc_ms fall = p->ill_until - later(p->fall_since, p->held_until);
    utc_ms trouble = p->ill_until - later(p->trouble_since, p->held_until);
    utc_ms ill = p->ill_ms + fall;
    if (fall >= seconds(n))
        return true;
    bool is_flapping = p->n_falls >= FLAPPING_FALLS && ill >= trouble / FLAPPING_PART;
    return trouble >= seconds(n) && (is_flapping || ill >= trouble - trouble / 10);
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

/* Blindness, doubt and maintenance prove nothing: the plan's times begin after them. */
static void hold(struct continuity_primary *p, utc_ms now)
{
    if (may_step(p, now))
        return;
    p->held_until = now;
    p->ill_ms = 0;
    p->n_falls = p->fall_since ? 1 : 0;
}

static unsigned step_suspect(struct continuity_primary *p, utc_ms now,
                             const struct continuity_plan *plan)
{
    if (!is_ill(p, plan)) {
        bool is_seen = p->run[ASPECT_TAKES].n_good || p->run[ASPECT_ARRIVES].n_good ||
                       p->run[ASPECT_LETS_IN].n_good;
        if (!is_seen) /* after a restart of ours: nobody looked yet */
            return 0;
        end_fall(p, now);
        return enter(p, STATE_STANDBY, now) | ACTION_DRAIN;
    }
    if (!may_step(p, now))
        return 0;
    if (p->fall_since == 0)
        begin_fall(p, now, plan);
    unsigned actions = 0;
    follow_fall(p, now, plan);
    if (!p->is_told && has_lasted(p, plan->tell_after_sec)) {
        p->is_told = true;
        actions = ACTION_TELL;
    }
    if (plan->emergency_after_sec && has_lasted(p, plan->emergency_after_sec)) {
        p->is_told = true;
        actions |= enter(p, STATE_EMERGENCY, now);
    }
    return actions;
}

static unsigned step_standby(struct continuity_primary *p, utc_ms now,
                             const struct continuity_plan *plan)
{
    if (!may_step(p, now))
        return 0;
    if (is_ill(p, plan)) {
        begin_fall(p, now, plan);
        return enter(p, STATE_SUSPECT, now) | step_suspect(p, now, plan);
    }
    bool has_trouble = p->trouble_since || p->is_told;
    utc_ms calm = now - later(p->well_since, p->held_until);
    return has_trouble && calm >= seconds(plan->calm_sec) ? end_trouble(p) : 0;
}

static bool is_well(const struct continuity_primary *p, const struct continuity_plan *plan)
{
    for (size_t i = 0; i < ASPECT_N; i++) {
        const struct continuity_run *r = &p->run[i];
        bool is_watched = i == ASPECT_TAKES || r->last_good || r->last_bad;
        /* Canaries and log-ins are rarer than probes: one good one will do. */
        uint32_t needed = i == ASPECT_TAKES && plan->good_for_ready ? plan->good_for_ready : 1;
        if (is_watched && (r->n_good < needed || r->last_good < p->since))
            return false;
    }
    const struct continuity_run *takes = &p->run[ASPECT_TAKES];
    return takes->last_good - later(takes->good_since, p->since) >= seconds(plan->ready_over_sec);
}

static unsigned begin_return(struct continuity_primary *p, utc_ms now)
{
    forget_failures(p);
    forget_falls(p);
    return enter(p, STATE_RETURNING, now) | ACTION_DRAIN;
}

static unsigned step_emergency(struct continuity_primary *p, utc_ms now,
                               const struct continuity_plan *plan)
{
    if (p->is_isolated || !is_well(p, plan))
        return 0;
    if (plan->is_return_auto && !p->is_by_hand && may_step(p, now))
        return begin_return(p, now);
    if (p->is_ready)
        return 0;
    p->is_ready = true;
    return ACTION_READY;
}

static unsigned step_returning(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                               const struct continuity_plan *plan)
{
    if (e == EVIDENCE_DRAINED && continuity_bad(p) == 0) {
        p->well_since = now;
        return enter(p, STATE_STANDBY, now);
    }
    if (!is_ill(p, plan) || !may_step(p, now))
        return 0;
    return enter(p, STATE_EMERGENCY, now);
}

/* ---- what people say, and what we know about ourselves ---- */

static unsigned declare(struct continuity_primary *p, utc_ms now)
{
    p->is_by_hand = true;
    if (p->state == STATE_EMERGENCY)
        return 0;
    p->is_refusing = false; /* nothing is tried against a person's word */
    p->is_told = true;
    unsigned actions = enter(p, STATE_EMERGENCY, now);
    forget_falls(p);
    return actions;
}

static unsigned isolate(struct continuity_primary *p, utc_ms now)
{
    if (p->is_isolated)
        return 0;
    p->is_isolated = true;
    p->is_ready = false;
    return declare(p, now);
}

static unsigned give_back(struct continuity_primary *p, utc_ms now, bool only_ready)
{
    if (p->state != STATE_EMERGENCY || p->is_isolated || (only_ready && !p->is_ready))
        return 0;
    return begin_return(p, now);
}

static unsigned become_blind(struct continuity_primary *p, utc_ms now)
{
    p->is_blind = true;
    bool is_untold = p->state == STATE_SUSPECT && !p->is_told;
    if (is_untold || p->state == STATE_STANDBY || p->state == STATE_RETURNING)
        forget_failures(p);
    if (!is_untold)
        return 0;
    (void)end_trouble(p);
    return enter(p, STATE_STANDBY, now);
}

static unsigned see_again(struct continuity_primary *p)
{
    bool was_blind = p->is_blind;
    p->is_blind = false;
    return was_blind && continuity_way(p) == WAY_OPEN ? ACTION_DRAIN : 0;
}

static void move(utc_ms *t, utc_ms now)
{
    if (*t)
        *t = now;
}

/* Times of the old clock mean nothing to the new one. */
static void doubt_clock(struct continuity_primary *p, utc_ms now)
{
    p->is_clock_doubted = true;
    p->held_until = now;
    for (size_t i = 0; i < ASPECT_N; i++) {
        struct continuity_run *r = &p->run[i];
        move(&r->first_bad, now);
        move(&r->last_good, now);
        move(&r->last_bad, now);
        move(&r->last_look, now);
        move(&r->good_since, now);
    }
    move(&p->fall_since, now);
    move(&p->ill_until, now);
    move(&p->well_since, now);
    if (p->trouble_since > now)
        p->trouble_since = now;
    if (p->state == STATE_EMERGENCY && p->since > now)
        p->since = now; /* else nothing were "since the emergency began" for long */
}

static unsigned resume(struct continuity_primary *p)
{
    bool was_paused = p->is_paused;
    p->is_paused = false;
    return was_paused && continuity_way(p) != WAY_CLOSED ? ACTION_DRAIN : 0;
}

/* Was it a word? Then `*ret_actions` is all that comes of it. */
static bool hear(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                 unsigned *ret_actions)
{
    *ret_actions = 0;
    switch ((int)e) {
    case EVIDENCE_BLIND:
        *ret_actions = become_blind(p, now);
        return true;
    case EVIDENCE_SEEING:
        *ret_actions = see_again(p);
        return true;
    case EVIDENCE_CLOCK_JUMPED:
        doubt_clock(p, now);
        return true;
    case EVIDENCE_CLOCK_CONFIRMED:
        p->is_clock_doubted = false;
        return true;
    case EVIDENCE_SAY_EMERGENCY:
        *ret_actions = declare(p, now);
        return true;
    case EVIDENCE_SAY_RETURN:
    case EVIDENCE_SAY_APPROVE:
        *ret_actions = give_back(p, now, e == EVIDENCE_SAY_APPROVE);
        return true;
    case EVIDENCE_SAY_ISOLATE:
        *ret_actions = isolate(p, now);
        return true;
    case EVIDENCE_SAY_CLEAN:
        p->is_isolated = false;
        return true;
    case EVIDENCE_SAY_PAUSE:
        p->is_paused = p->state == STATE_RETURNING;
        return true;
    case EVIDENCE_SAY_RESUME:
        *ret_actions = resume(p);
        return true;
    default:
        return false;
    }
}

static unsigned decide(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                       const struct continuity_plan *plan)
{
    unsigned actions;
    hold(p, now);
    if (hear(p, e, now, &actions))
        return actions;
    count(p, e, now, plan);
    switch (p->state) {
    case STATE_STANDBY:
        return step_standby(p, now, plan);
    case STATE_SUSPECT:
        return step_suspect(p, now, plan);
    case STATE_EMERGENCY:
        return step_emergency(p, now, plan);
    case STATE_RETURNING:
        return step_returning(p, e, now, plan);
    case STATE_N:
        break;
    }
    return 0;
}

static bool is_flagged_alike(const struct continuity_primary *a, const struct continuity_primary *b)
{
    return a->is_told == b->is_told && a->is_ready == b->is_ready &&
           a->is_by_hand == b->is_by_hand && a->is_isolated == b->is_isolated &&
           a->is_paused == b->is_paused && a->is_clock_doubted == b->is_clock_doubted;
}

unsigned continuity_step(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                         const struct continuity_plan *plan)
{
    struct continuity_primary before = *p;
    unsigned actions = decide(p, e, now, plan);
    return is_flagged_alike(&before, p) ? actions : actions | ACTION_FLAGS_CHANGED;
}

/* Where deliveries may begin, they tell whether it takes mail, but not whether it loses it. */
static enum continuity_way way_of_doubt(const struct continuity_primary *p)
{
    if (p->run[ASPECT_TAKES].n_bad > 0)
        return WAY_ONE_AT_A_TIME;
    return p->run[ASPECT_ARRIVES].n_bad > 0 ? WAY_CLOSED : WAY_OPEN;
}

enum continuity_way continuity_way(const struct continuity_primary *p)
{
    if (p->is_isolated || p->is_paused)
        return WAY_CLOSED;
    switch (p->state) {
    case STATE_STANDBY:
        return p->run[ASPECT_TAKES].n_bad == 0 ? WAY_OPEN : WAY_ONE_AT_A_TIME;
    case STATE_RETURNING:
        return way_of_doubt(p);
    case STATE_SUSPECT:
        return way_of_doubt(p) == WAY_CLOSED ? WAY_CLOSED : WAY_ONE_AT_A_TIME;
    case STATE_EMERGENCY:
        return p->is_refusing ? WAY_ONE_AT_A_TIME : WAY_CLOSED;
    case STATE_N:
        break;
    }
    return WAY_CLOSED;
}
