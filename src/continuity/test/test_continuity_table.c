/* Every situation with every piece of evidence: what becomes of it is written down here, and a pair
 * that is not (or twice) fails. */
#include "continuity/continuity.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { NOW = 10000000, RUN = 3 };

/* ---- the situations; each at NOW, one more failure or second away from what comes next ---- */

enum situation {
    WELL,
    WAVERING,  /* standby, each aspect failed twice */
    FALLEN,    /* suspect for a minute */
    TOLD,      /* suspect for five minutes, those in charge know */
    DUE,       /* suspect for six minutes in this very moment */
    LOSING,    /* suspect: canaries do not arrive */
    DOWN,      /* emergency by itself */
    NEARLY,    /* emergency, one good probe away from ready */
    READY,     /* emergency that may be given back */
    BY_HAND,   /* emergency by a person, nothing wrong was seen */
    CUT_OFF,   /* isolated, and nothing wrong is seen any more */
    GIVING,    /* returning */
    STUMBLING, /* returning, each aspect failed twice */
    PAUSED,
    SITUATIONS,
};

static const char *const situation_names[SITUATIONS] = {
    "well",   "wavering", "fallen",  "told",    "due",    "losing",    "down",
    "nearly", "ready",    "by hand", "cut off", "giving", "stumbling", "paused",
};

static struct continuity_plan plan(void)
{
    struct continuity_plan p = continuity_plan_default;
    p.suspect_within_sec = 1000;
    return p;
}

static void see(struct continuity_primary *p, enum continuity_evidence e, int n, utc_ms seconds_ago)
{
    struct continuity_plan pl = plan();
    for (int i = 0; i < n; i++)
        (void)continuity_step(p, e, NOW - seconds_ago * 1000, &pl);
}

static void waver(struct continuity_primary *p)
{
    see(p, EVIDENCE_BAD, RUN - 1, 10);
    see(p, EVIDENCE_CANARY_BAD, RUN - 1, 10);
    see(p, EVIDENCE_LOGIN_BAD, RUN - 1, 10);
}

static struct continuity_primary make(enum situation s)
{
    struct continuity_primary p = continuity_start(NOW - 2000000);
    see(&p, EVIDENCE_GOOD, 1, 1500);
    switch (s) {
    case WELL:
        break;
    case WAVERING:
        waver(&p);
        break;
    case FALLEN:
        see(&p, EVIDENCE_BAD, RUN, 60);
        break;
    case TOLD:
        see(&p, EVIDENCE_BAD, RUN, 300);
        see(&p, EVIDENCE_BAD, 1, 10);
        break;
    case DUE:
        see(&p, EVIDENCE_BAD, RUN, 360);
        see(&p, EVIDENCE_BAD, 1, 10);
        break;
    case LOSING:
        see(&p, EVIDENCE_CANARY_BAD, RUN, 60);
        break;
    case DOWN:
        see(&p, EVIDENCE_BAD, RUN, 900);
        see(&p, EVIDENCE_NONE, 1, 400);
        break;
    case NEARLY:
    case READY:
        see(&p, EVIDENCE_BAD, RUN, 900);
        see(&p, EVIDENCE_NONE, 1, 500);
        see(&p, EVIDENCE_GOOD, 9, 310);
        see(&p, EVIDENCE_GOOD, s == READY, 1);
        break;
    case BY_HAND:
        see(&p, EVIDENCE_SAY_EMERGENCY, 1, 100);
        break;
    case CUT_OFF:
        see(&p, EVIDENCE_SAY_ISOLATE, 1, 900);
        see(&p, EVIDENCE_GOOD, 9, 310);
        break;
    case GIVING:
    case STUMBLING:
    case PAUSED:
        see(&p, EVIDENCE_SAY_EMERGENCY, 1, 900);
        see(&p, EVIDENCE_SAY_RETURN, 1, 100);
        see(&p, EVIDENCE_SAY_PAUSE, s == PAUSED, 50);
        if (s == STUMBLING)
            waver(&p);
        break;
    case SITUATIONS:
        break;
    }
    return p;
}

/* ---- what becomes of it ---- */

#define E(name) (1u << EVIDENCE_##name)
#define TAKES_BAD (E(BAD) | E(REFUSES))
#define TAKES_GOOD (E(GOOD) | E(GREETS))
#define RARE_BAD (E(CANARY_BAD) | E(LOGIN_BAD))
#define RARE_GOOD (E(CANARY_GOOD) | E(LOGIN_GOOD))
#define GOODS (TAKES_GOOD | RARE_GOOD)
#define BADS (TAKES_BAD | RARE_BAD)
#define OURS (E(NONE) | E(BLIND) | E(SEEING) | E(CLOCK_CONFIRMED))
#define GIVE (E(SAY_RETURN) | E(SAY_APPROVE))
#define REST (E(SAY_PAUSE) | E(SAY_RESUME) | E(DRAINED))
enum {
    NOTHING = 0,
    CHANGED = ACTION_STATE_CHANGED,
    FLAGS = ACTION_FLAGS_CHANGED,
    FREE = ACTION_STATE_CHANGED | ACTION_DRAIN,
    TELLS = ACTION_TELL | ACTION_FLAGS_CHANGED,
    DECLARED = ACTION_STATE_CHANGED | ACTION_FLAGS_CHANGED,
};

static const struct row {
    enum situation situation;
    unsigned evidence; /* any of these */
    enum continuity_state end;
    unsigned actions;
} rows[] = {
    {WELL, OURS | GOODS | BADS | GIVE | REST | E(SAY_CLEAN), STATE_STANDBY, NOTHING},
    {WELL, E(CLOCK_JUMPED), STATE_STANDBY, FLAGS},
    {WELL, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {WAVERING, OURS | GOODS | GIVE | REST | E(SAY_CLEAN), STATE_STANDBY, NOTHING},
    {WAVERING, BADS, STATE_SUSPECT, CHANGED},
    {WAVERING, E(CLOCK_JUMPED), STATE_STANDBY, FLAGS},
    {WAVERING, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {FALLEN, E(NONE) | E(SEEING) | E(CLOCK_CONFIRMED) | BADS | RARE_GOOD, STATE_SUSPECT, NOTHING},
    {FALLEN, GIVE | REST | E(SAY_CLEAN), STATE_SUSPECT, NOTHING},
    {FALLEN, E(BLIND), STATE_STANDBY, CHANGED},
    {FALLEN, TAKES_GOOD, STATE_STANDBY, FREE},
    {FALLEN, E(CLOCK_JUMPED), STATE_SUSPECT, FLAGS},
    {FALLEN, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {TOLD, OURS | BADS | RARE_GOOD | GIVE | REST | E(SAY_CLEAN), STATE_SUSPECT, NOTHING},
    {TOLD, TAKES_GOOD, STATE_STANDBY, FREE},
    {TOLD, E(CLOCK_JUMPED), STATE_SUSPECT, FLAGS},
    {TOLD, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {DUE, E(NONE) | BADS | RARE_GOOD | E(DRAINED), STATE_EMERGENCY, CHANGED},
    {DUE, E(BLIND) | E(SEEING) | E(CLOCK_CONFIRMED), STATE_SUSPECT, NOTHING},
    {DUE, GIVE | E(SAY_PAUSE) | E(SAY_RESUME) | E(SAY_CLEAN), STATE_SUSPECT, NOTHING},
    {DUE, TAKES_GOOD, STATE_STANDBY, FREE},
    {DUE, E(CLOCK_JUMPED), STATE_SUSPECT, FLAGS},
    {DUE, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {LOSING, E(NONE) | E(SEEING) | E(CLOCK_CONFIRMED) | BADS | TAKES_GOOD, STATE_SUSPECT, NOTHING},
    {LOSING, E(LOGIN_GOOD) | GIVE | REST | E(SAY_CLEAN), STATE_SUSPECT, NOTHING},
    {LOSING, E(BLIND), STATE_STANDBY, CHANGED},
    {LOSING, E(CANARY_GOOD), STATE_STANDBY, FREE},
    {LOSING, E(CLOCK_JUMPED), STATE_SUSPECT, FLAGS},
    {LOSING, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {DOWN, OURS | GOODS | BADS | REST | E(SAY_APPROVE), STATE_EMERGENCY, NOTHING},
    {DOWN, E(SAY_CLEAN), STATE_EMERGENCY, NOTHING},
    {DOWN, E(CLOCK_JUMPED) | E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, FLAGS},
    {DOWN, E(SAY_RETURN), STATE_RETURNING, FREE},

    {NEARLY, OURS | RARE_GOOD | BADS | REST, STATE_EMERGENCY, NOTHING},
    {NEARLY, E(SAY_APPROVE) | E(SAY_CLEAN), STATE_EMERGENCY, NOTHING},
    {NEARLY, TAKES_GOOD, STATE_EMERGENCY, ACTION_READY | FLAGS},
    {NEARLY, E(CLOCK_JUMPED) | E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, FLAGS},
    {NEARLY, E(SAY_RETURN), STATE_RETURNING, FREE},

    {READY, OURS | GOODS | REST | E(SAY_CLEAN), STATE_EMERGENCY, NOTHING},
    {READY, BADS, STATE_EMERGENCY, FLAGS},
    {READY, E(CLOCK_JUMPED) | E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, FLAGS},
    {READY, GIVE, STATE_RETURNING, FREE | FLAGS},

    {BY_HAND, OURS | GOODS | BADS | REST, STATE_EMERGENCY, NOTHING},
    {BY_HAND, E(SAY_APPROVE) | E(SAY_CLEAN) | E(SAY_EMERGENCY), STATE_EMERGENCY, NOTHING},
    {BY_HAND, E(CLOCK_JUMPED) | E(SAY_ISOLATE), STATE_EMERGENCY, FLAGS},
    {BY_HAND, E(SAY_RETURN), STATE_RETURNING, FREE | FLAGS},

    {CUT_OFF, OURS | GOODS | BADS | REST | GIVE, STATE_EMERGENCY, NOTHING},
    {CUT_OFF, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, NOTHING},
    {CUT_OFF, E(CLOCK_JUMPED) | E(SAY_CLEAN), STATE_EMERGENCY, FLAGS},

    {GIVING, OURS | GOODS | BADS | GIVE, STATE_RETURNING, NOTHING},
    {GIVING, E(SAY_RESUME) | E(SAY_CLEAN), STATE_RETURNING, NOTHING},
    {GIVING, E(CLOCK_JUMPED) | E(SAY_PAUSE), STATE_RETURNING, FLAGS},
    {GIVING, E(DRAINED), STATE_STANDBY, CHANGED},
    {GIVING, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {STUMBLING, OURS | GOODS | GIVE, STATE_RETURNING, NOTHING},
    {STUMBLING, E(SAY_RESUME) | E(SAY_CLEAN) | E(DRAINED), STATE_RETURNING, NOTHING},
    {STUMBLING, BADS, STATE_EMERGENCY, CHANGED},
    {STUMBLING, E(CLOCK_JUMPED) | E(SAY_PAUSE), STATE_RETURNING, FLAGS},
    {STUMBLING, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},

    {PAUSED, OURS | GOODS | BADS | GIVE, STATE_RETURNING, NOTHING},
    {PAUSED, E(SAY_PAUSE) | E(SAY_CLEAN), STATE_RETURNING, NOTHING},
    {PAUSED, E(CLOCK_JUMPED), STATE_RETURNING, FLAGS},
    {PAUSED, E(SAY_RESUME), STATE_RETURNING, ACTION_DRAIN | FLAGS},
    {PAUSED, E(DRAINED), STATE_STANDBY, DECLARED},
    {PAUSED, E(SAY_EMERGENCY) | E(SAY_ISOLATE), STATE_EMERGENCY, DECLARED},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct row *row_of(enum situation s, unsigned e)
{
    const struct row *found = NULL;
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].situation != s || !(rows[i].evidence & 1u << e))
            continue;
        if (found)
            fail_msg("%s x %s is written down twice", situation_names[s],
                     continuity_evidence_name((enum continuity_evidence)e));
        found = &rows[i];
    }
    if (!found)
        fail_msg("%s x %s is not written down", situation_names[s],
                 continuity_evidence_name((enum continuity_evidence)e));
    return found;
}

static void every_situation_with_every_evidence(void **)
{
    struct continuity_plan pl = plan();
    for (unsigned s = 0; s < SITUATIONS; s++)
        for (unsigned e = 0; e < EVIDENCE_N; e++) {
            const struct row *r = row_of((enum situation)s, e);
            struct continuity_primary p = make((enum situation)s);
            unsigned actions = continuity_step(&p, (enum continuity_evidence)e, NOW, &pl);
            if (p.state != r->end || actions != r->actions)
                fail_msg("%s x %s: %s with actions %u, not %s with %u", situation_names[s],
                         continuity_evidence_name((enum continuity_evidence)e),
                         continuity_state_name(p.state), actions, continuity_state_name(r->end),
                         r->actions);
        }
}

/* ---- where nothing may happen by itself ---- */

static void doubt(struct continuity_primary *p, unsigned why)
{
    p->is_blind = why == 0;
    p->is_clock_doubted = why == 1;
    p->maintenance_from = why == 2 ? NOW - 1000 : 0;
    p->maintenance_until = why == 2 ? NOW + 1000 : 0;
}

static void nothing_goes_forward_where_it_may_not(void **)
{
    struct continuity_plan pl = plan();
    pl.is_return_auto = true;
    for (unsigned s = 0; s < SITUATIONS * 3; s++)
        for (unsigned e = 0; e < EVIDENCE_SAY_EMERGENCY; e++) {
            if (e >= EVIDENCE_BLIND) /* changes what is asked here */
                continue;
            struct continuity_primary p = make((enum situation)(s / 3));
            enum continuity_state old = p.state;
            doubt(&p, s % 3);
            unsigned actions = continuity_step(&p, (enum continuity_evidence)e, NOW, &pl);
            assert_int_equal(actions & (ACTION_TELL | ACTION_CALM), 0);
            assert_true(p.state == old || p.state == STATE_STANDBY);
        }
}

static void each_situation_has_its_way(void **)
{
    static const enum continuity_way ways[SITUATIONS] = {
        [WELL] = WAY_OPEN,
        [WAVERING] = WAY_ONE_AT_A_TIME,
        [FALLEN] = WAY_ONE_AT_A_TIME,
        [TOLD] = WAY_ONE_AT_A_TIME,
        [DUE] = WAY_ONE_AT_A_TIME,
        [LOSING] = WAY_CLOSED,
        [DOWN] = WAY_CLOSED,
        [NEARLY] = WAY_CLOSED,
        [READY] = WAY_CLOSED,
        [BY_HAND] = WAY_CLOSED,
        [CUT_OFF] = WAY_CLOSED,
        [GIVING] = WAY_OPEN,
        [STUMBLING] = WAY_ONE_AT_A_TIME,
        [PAUSED] = WAY_CLOSED,
    };
    for (unsigned s = 0; s < SITUATIONS; s++) {
        struct continuity_primary p = make((enum situation)s);
        assert_int_equal(continuity_way(&p), ways[s]);
    }
    struct continuity_primary p = make(GIVING);
    see(&p, EVIDENCE_CANARY_BAD, 1, 0);
    assert_int_equal(continuity_way(&p), WAY_CLOSED); /* what it takes may be lost */
    see(&p, EVIDENCE_CANARY_GOOD, 1, 0);
    assert_int_equal(continuity_way(&p), WAY_OPEN);
}

static void every_word_is_known_again(void **)
{
    for (unsigned e = 0; e < EVIDENCE_N; e++)
        assert_int_equal(continuity_evidence_of(
                             slice_str(continuity_evidence_name((enum continuity_evidence)e))),
                         e);
    assert_int_equal(continuity_evidence_of(SLICE("goo")), EVIDENCE_N);
    assert_string_equal(continuity_evidence_name(EVIDENCE_N), "unknown");
    assert_string_equal(continuity_state_name(STATE_N), "unknown");
    assert_string_equal(continuity_state_name(STATE_RETURNING), "returning");
    assert_string_equal(continuity_aspect_name(ASPECT_LETS_IN), "lets-in");
    assert_string_equal(continuity_aspect_name(ASPECT_N), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_situation_with_every_evidence),
        cmocka_unit_test(nothing_goes_forward_where_it_may_not),
        cmocka_unit_test(each_situation_has_its_way),
        cmocka_unit_test(every_word_is_known_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
