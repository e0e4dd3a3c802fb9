/* What must hold after any evidence in any order: random walks with fixed seeds. */
#include "continuity/continuity.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { SEEDS = 400, STEPS = 3000 };

static uint32_t seed_now;
static uint32_t chance(uint32_t below)
{
    seed_now ^= seed_now << 13;
    seed_now ^= seed_now >> 17;
    seed_now ^= seed_now << 5;
    return seed_now % below;
}

static struct continuity_plan random_plan(void)
{
    struct continuity_plan plan = continuity_plan_default;
    static const uint32_t after[] = {360, 60, 0, 1000};
    plan.emergency_after_sec = after[chance(4)];
    plan.bad_for_suspect = chance(5);
    plan.tell_after_sec = chance(200);
    plan.calm_sec = chance(400);
    plan.good_for_ready = chance(12);
    plan.ready_over_sec = chance(100);
    plan.is_return_auto = chance(2);
    return plan;
}

/* Moods last for a while, so that walks get beyond standby. */
static enum continuity_evidence random_evidence(uint32_t mood)
{
    static const enum continuity_evidence bad[] = {EVIDENCE_BAD, EVIDENCE_REFUSES,
                                                   EVIDENCE_CANARY_BAD, EVIDENCE_LOGIN_BAD};
    static const enum continuity_evidence good[] = {EVIDENCE_GOOD, EVIDENCE_GREETS,
                                                    EVIDENCE_CANARY_GOOD, EVIDENCE_LOGIN_GOOD};
    if (chance(40) == 0)
        return (enum continuity_evidence)chance(EVIDENCE_N);
    if (chance(4) == 0)
        return EVIDENCE_NONE;
    uint32_t aspect = chance(4);
    bool is_bad = mood == 0 ? chance(20) == 0 : mood == 1 ? chance(20) > 0 : chance(2);
    return is_bad ? bad[aspect] : good[aspect];
}

struct walk {
    struct continuity_plan plan;
    struct continuity_primary before, p;
    enum continuity_evidence e;
    unsigned actions;
    utc_ms now;
    uint32_t seed, n_told;
    int step;
};

static void hold_true(const struct walk *w, bool is_true, const char *what)
{
    if (!is_true)
        fail_msg("seed %u step %d (%s, %s -> %s, actions %u): not %s", w->seed, w->step,
                 continuity_evidence_name(w->e), continuity_state_name(w->before.state),
                 continuity_state_name(w->p.state), w->actions, what);
}
#define holds(w, condition) hold_true(w, condition, #condition)

static bool is_said(enum continuity_evidence e)
{
    return e >= EVIDENCE_SAY_EMERGENCY && e <= EVIDENCE_SAY_RESUME;
}

static bool may_step(const struct continuity_primary *p, utc_ms now)
{
    return !p->is_blind && !p->is_clock_doubted && !continuity_in_maintenance(p, now);
}

static void check_actions(struct walk *w)
{
    const struct continuity_primary *b = &w->before, *p = &w->p;
    bool is_changed = b->state != p->state;
    bool is_flagged = b->is_told != p->is_told || b->is_ready != p->is_ready ||
                      b->is_by_hand != p->is_by_hand || b->is_isolated != p->is_isolated ||
                      b->is_paused != p->is_paused || b->is_clock_doubted != p->is_clock_doubted;
    holds(w, is_changed == ((w->actions & ACTION_STATE_CHANGED) != 0));
    holds(w, is_flagged == ((w->actions & ACTION_FLAGS_CHANGED) != 0));
    holds(w, !is_changed || p->since == w->now);
    holds(w, !(w->actions & ACTION_READY) || (p->is_ready && !b->is_ready));
    holds(w, !(w->actions & ACTION_DRAIN) || continuity_way(p) != WAY_CLOSED);
    holds(w, !(w->actions & ACTION_CALM) || (b->is_told && p->state == STATE_STANDBY));
    w->n_told += (w->actions & ACTION_TELL) != 0;
    holds(w, w->n_told <= 1);
    if (w->actions & ACTION_CALM)
        w->n_told = 0;
}

/* Automatic steps: only where they are allowed, never too early, never against a person. */
static void check_automatic(struct walk *w)
{
    const struct continuity_primary *b = &w->before, *p = &w->p;
    bool is_forward = p->state != b->state && p->state != STATE_STANDBY && !is_said(w->e);
    bool is_stepping = is_forward || (w->actions & (ACTION_TELL | ACTION_CALM));
    holds(w, !is_stepping || (may_step(b, w->now) && may_step(p, w->now)));
    if (is_forward && p->state == STATE_EMERGENCY && b->state != STATE_RETURNING) {
        utc_ms after = (utc_ms)w->plan.emergency_after_sec * 1000;
        holds(w, after > 0 && w->now - p->trouble_since >= after);
        holds(w, w->now - p->held_until >= after || p->held_until == 0);
        holds(w, continuity_bad(p) >= w->plan.bad_for_suspect && continuity_bad(p) > 0);
    }
    holds(w,
          !(w->actions & ACTION_TELL) || p->state == STATE_SUSPECT || p->state == STATE_EMERGENCY);
    bool is_left = b->state == STATE_EMERGENCY && p->state != STATE_EMERGENCY;
    holds(w, !is_left || p->state == STATE_RETURNING);
    holds(w, !is_left || !b->is_by_hand || w->e == EVIDENCE_SAY_RETURN ||
                 w->e == EVIDENCE_SAY_APPROVE);
    holds(w, !is_left || is_said(w->e) || w->plan.is_return_auto);
}

static void check_standing(struct walk *w)
{
    const struct continuity_primary *b = &w->before, *p = &w->p;
    holds(w, p->state >= STATE_STANDBY && p->state < STATE_N);
    holds(w, !p->is_isolated || p->state == STATE_EMERGENCY);
    holds(w, !p->is_isolated || continuity_way(p) == WAY_CLOSED);
    holds(w, !p->is_isolated || !p->is_ready);
    holds(w, !p->is_ready || p->state == STATE_EMERGENCY);
    holds(w, !p->is_paused || (p->state == STATE_RETURNING && continuity_way(p) == WAY_CLOSED));
    holds(w, !p->is_by_hand || p->state == STATE_EMERGENCY);
    holds(w, p->state != STATE_EMERGENCY || p->is_told || b->state == STATE_RETURNING);
    holds(w, p->n_falls == 0 || p->trouble_since > 0 || p->state >= STATE_EMERGENCY);
    holds(w, p->ill_ms >= 0);
    if (b->is_blind && p->is_blind)
        holds(w, continuity_bad(p) <= continuity_bad(b));
    if (is_said(w->e) && w->actions == 0 && may_step(b, w->now))
        holds(w, memcmp(b, p, sizeof(*p)) == 0);
}

static void walk(uint32_t seed, bool (*visited)[STATE_N])
{
    seed_now = seed * 2654435761u + 1;
    struct walk w = {.plan = random_plan(), .now = 1000000000000, .seed = seed};
    w.p = continuity_start(w.now);
    uint32_t mood = 0;
    for (w.step = 0; w.step < STEPS; w.step++) {
        if (chance(60) == 0)
            mood = chance(3);
        if (chance(300) == 0) {
            w.p.maintenance_from = w.now + chance(100) * 1000;
            w.p.maintenance_until = w.p.maintenance_from + chance(900) * 1000;
        }
        w.e = random_evidence(mood);
        if (w.p.is_clock_doubted && chance(20) == 0)
            w.e = EVIDENCE_CLOCK_CONFIRMED;
        if (w.e == EVIDENCE_CLOCK_JUMPED)
            w.now += (utc_ms)chance(7200000) - 3600000;
        else
            w.now += chance(20) ? chance(8000) : chance(200000);
        w.before = w.p;
        w.actions = continuity_step(&w.p, w.e, w.now, &w.plan);
        check_actions(&w);
        check_automatic(&w);
        check_standing(&w);
        visited[w.before.state][w.p.state] = true;
    }
}

static void promises_hold_on_every_walk(void **)
{
    bool visited[STATE_N][STATE_N] = {};
    for (uint32_t seed = 1; seed <= SEEDS; seed++)
        walk(seed, visited);
    /* The walks were not idle: each way that exists was gone. */
    assert_true(visited[STATE_STANDBY][STATE_SUSPECT] && visited[STATE_SUSPECT][STATE_STANDBY]);
    assert_true(visited[STATE_SUSPECT][STATE_EMERGENCY]);
    assert_true(visited[STATE_EMERGENCY][STATE_RETURNING]);
    assert_true(visited[STATE_RETURNING][STATE_STANDBY]);
    assert_true(visited[STATE_RETURNING][STATE_EMERGENCY]);
    assert_false(visited[STATE_EMERGENCY][STATE_STANDBY]);
    assert_false(visited[STATE_RETURNING][STATE_SUSPECT]);
}

static void the_same_evidence_gives_the_same_state(void **)
{
    struct continuity_primary a = continuity_start(0), b = continuity_start(0);
    utc_ms now = 0;
    seed_now = 99;
    for (int i = 0; i < STEPS; i++) {
        enum continuity_evidence e = random_evidence(2);
        now += chance(9000);
        assert_int_equal(continuity_step(&a, e, now, &continuity_plan_default),
                         continuity_step(&b, e, now, &continuity_plan_default));
        assert_memory_equal(&a, &b, sizeof(a));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promises_hold_on_every_walk),
        cmocka_unit_test(the_same_evidence_gives_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
