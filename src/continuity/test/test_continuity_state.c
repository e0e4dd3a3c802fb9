/* Every transition of a primary's state, as scripts of evidence over time. */
#include "continuity/continuity.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { TICK_MS = 2000 };

/* A script: "+" good, "p" a probe went well, "-" bad, "r" refuses mail, "l" and "L" log-in bad and
 * good, "c" and "C" canary bad and good, "b" blind, "s" seeing, "j" clock jumped, "k" confirmed,
 * "m" a maintenance of 1000 s begins; a person says "!" emergency, "<" return, "a" approve, "i"
 * isolate, "~" clean; "0" drained, "." nothing. Each is followed by seconds to wait, with a tick
 * every two. The end is the expected state. */
static const struct script {
    const char *what;
    const char *steps;
    enum continuity_state end;
} scripts[] = {
    {"all is well", "+10 +10 +10 +10", STATE_STANDBY},
    {"one failure is nothing", "+10 -10 +10", STATE_STANDBY},
    {"three within a minute", "-10 -10 -10", STATE_SUSPECT},
    {"three far apart are glitches where others look between", "r80 p10 r80 p10 r80 p10 r80 p10",
     STATE_STANDBY},
    {"where nobody looks more often they are all there is", "+100 -100 -100 -100", STATE_SUSPECT},
    {"a good one clears the suspicion", "-10 -10 -10 +1", STATE_STANDBY},
    {"a reboot of five minutes is no emergency", "-10 -10 -10 -60 -60 -60 -60 -20 +1",
     STATE_STANDBY},
    {"six minutes after the first failure", "-10 -10 -10 -60 -60 -60 -60 -60 -60 .1",
     STATE_EMERGENCY},
    {"time alone decides when evidence stops", "-10 -10 -10 .400 .1", STATE_EMERGENCY},
    {"a good probe clears the suspicion of silence", "-10 -10 -10 p1", STATE_STANDBY},
    {"a probe does not clear what deliveries saw", "r1 p1 r1 p1 r1 p1 p1", STATE_SUSPECT},
    {"a delivery does", "r1 p1 r1 p1 r1 p1 +1", STATE_STANDBY},
    {"one message is refused while canaries arrive", "r10 r30 r30 p10 C60 r1", STATE_STANDBY},
    {"a primary that refuses for six minutes", "r1 p1 r1 p1 r1 p100 p100 p100 p100 .1",
     STATE_EMERGENCY},
    {"who fell silent after refusing begins anew", "r1 r1 r1 -1 -1 p1", STATE_STANDBY},
    {"by hand at once", "+1 !1", STATE_EMERGENCY},
    {"by hand from suspect", "-10 -10 -10 !1", STATE_EMERGENCY},
    {"a good probe does not end an emergency", "!1 +10 +10 +10", STATE_EMERGENCY},
    {"by hand back", "!1 +10 <1", STATE_RETURNING},
    {"returned when nothing waits", "!1 +10 <1 01", STATE_STANDBY},
    {"dies again while returning", "!1 +10 <1 -10 -10 -10", STATE_EMERGENCY},
    {"return is only for emergencies", "+1 <1", STATE_STANDBY},
    {"single failures each minute are no emergency",
     "-30 +30 -30 +30 -30 +30 -30 +30 -30 +30 -30 +30 -30 +30", STATE_STANDBY},
    {"one that comes and goes every minute is one trouble",
     "-10 -10 -10 +30 -10 -10 -10 +30 -10 -10 -10 +30 -10 -10 -10 +30 -10 -10 -10 +30 "
     "-10 -10 -10 +30 -10 -10 -10 +30",
     STATE_EMERGENCY},
    {"after five good minutes a failure is a new trouble",
     "-10 -10 -10 +301 +1 -10 -10 -10 -100 -100 -100 -10 +1", STATE_STANDBY},
    {"people cannot read: down, though mail is taken", "+1 l10 +1 l10 +1 l10", STATE_SUSPECT},
    {"the canary died", "+1 c60 c60 c60 +60 c60 +60 c60 +60 c60 .1", STATE_EMERGENCY},
    {"taking mail again does not help those who cannot read", "l10 l10 l10 +10 +10", STATE_SUSPECT},
    {"reading again does", "l10 l10 l10 L1", STATE_STANDBY},
    {"blind: failures count for nobody", "b1 -10 -10 -10 -10", STATE_STANDBY},
    {"blind: a suspicion nobody was told of ends", "-10 -10 -10 b1", STATE_STANDBY},
    {"seeing again they count again", "b1 -10 -10 -10 s1 -10 -10 -10", STATE_SUSPECT},
    {"in doubt of the clock nothing goes forward", "j1 -10 -10 -10 .999 .1", STATE_STANDBY},
    {"until a person confirms it", "j1 -10 -10 -10 k1 -10", STATE_SUSPECT},
    {"isolated from anywhere", "+1 i1", STATE_EMERGENCY},
    {"isolated: no return", "i1 <1 a1", STATE_EMERGENCY},
    {"clean is no return by itself", "i1 ~1", STATE_EMERGENCY},
    {"clean, then return", "i1 ~1 <1", STATE_RETURNING},
    {"only what is ready is approved", "!1 +10 a1", STATE_EMERGENCY},
    {"glitches all day do not make a blip an emergency",
     "-10 +240 -10 +240 -10 +240 -10 +240 -1 -1 -1", STATE_SUSPECT},
    {"a reboot and its after-effect are no emergency",
     "-10 -10 -10 -60 -60 -60 -60 -20 +70 -1 -1 -1", STATE_SUSPECT},
    {"two reboots are no emergency", "-10 -10 -10 -60 -60 -30 +60 -10 -10 -10 -60 -60 -10 -10",
     STATE_SUSPECT},
    {"one good one lost in a long failure changes nothing",
     "-10 -10 -10 -60 -60 -60 -60 -50 .10 +1 -1 -1 -30 -1", STATE_EMERGENCY},
    {"a minute down, a minute up", "-10 -10 -40 +60 -10 -10 -40 +60 -10 -10 -40 +60 -10 -10 -40",
     STATE_EMERGENCY},
    {"four short blips in a quarter of an hour are none",
     "-10 -10 -10 +250 -10 -10 -10 +250 -10 -10 -10 +250 -10 -10 -10", STATE_SUSPECT},
    {"a canary that failed during a reboot waits for its next turn",
     "C1 -10 -10 -10 c60 -60 -60 -60 -20 +60 +60 +60", STATE_STANDBY},
    {"and one that failed three times too", "C1 -10 -10 c10 -30 -10 c60 -60 -10 c60 -60 +60 +60",
     STATE_SUSPECT},
    {"what it keeps waiting is no illness",
     "C1 -10 -10 c10 -30 -10 c60 -60 -10 c60 +60 C40 -10 -10 -10", STATE_SUSPECT},
    {"a canary every five minutes", "+0 C300 c300 c300 +0 c1", STATE_EMERGENCY},
    {"and its first two failures", "+0 C300 c300 +0 c200 +1", STATE_STANDBY},
    {"returning, though nothing was seen to be well", "-10 -10 -10 !1 <1 .1", STATE_RETURNING},
    {"drained is not heard while it fails", "!1 <1 c1 01", STATE_RETURNING},
    {"and is, as soon as it does not", "!1 <1 c1 01 C1 01", STATE_STANDBY},
    {"blind: what people were told of stays until it is well", "-10 -10 -10 -120 .1 b1 .1",
     STATE_SUSPECT},
    {"after blindness the plan's time begins anew", "-10 -10 -10 -120 .1 b500 s1 -1 -1 -1",
     STATE_SUSPECT},
    {"in maintenance nothing is suspected", "m0 -10 -10 -10 .400 .1", STATE_STANDBY},
    {"one that is down when its maintenance ends gets the plan's time",
     "m0 -10 -10 -10 -500 -450 -60 -200", STATE_SUSPECT},
    {"after a jump of the clock too", "-10 -10 -10 -200 j1 -500 -1 k1 -200", STATE_SUSPECT},
};

static enum continuity_evidence evidence_of(char c)
{
    static const enum continuity_evidence of[128] = {
        ['+'] = EVIDENCE_GOOD,
        ['p'] = EVIDENCE_GREETS,
        ['-'] = EVIDENCE_BAD,
        ['r'] = EVIDENCE_REFUSES,
        ['!'] = EVIDENCE_SAY_EMERGENCY,
        ['<'] = EVIDENCE_SAY_RETURN,
        ['0'] = EVIDENCE_DRAINED,
        ['l'] = EVIDENCE_LOGIN_BAD,
        ['L'] = EVIDENCE_LOGIN_GOOD,
        ['c'] = EVIDENCE_CANARY_BAD,
        ['C'] = EVIDENCE_CANARY_GOOD,
        ['b'] = EVIDENCE_BLIND,
        ['s'] = EVIDENCE_SEEING,
        ['j'] = EVIDENCE_CLOCK_JUMPED,
        ['k'] = EVIDENCE_CLOCK_CONFIRMED,
        ['i'] = EVIDENCE_SAY_ISOLATE,
        ['~'] = EVIDENCE_SAY_CLEAN,
        ['a'] = EVIDENCE_SAY_APPROVE,
    };
    return of[c & 127];
}

static void scripts_end_where_they_should(void **)
{
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        utc_ms now = 1000000;
        struct continuity_primary p = continuity_start(now);
        for (const char *s = scripts[i].steps; *s;) {
            if (*s == 'm') {
                p.maintenance_from = now;
                p.maintenance_until = now + 1000000;
            }
            enum continuity_evidence e = evidence_of(*s++);
            (void)continuity_step(&p, e, now, &continuity_plan_default);
            char *end;
            utc_ms next = now + strtol(s, &end, 10) * 1000;
            while (next - now > TICK_MS)
                (void)continuity_step(&p, EVIDENCE_NONE, now += TICK_MS, &continuity_plan_default);
            now = next;
            s = *end ? end + 1 : end;
        }
        if (p.state != scripts[i].end)
            fail_msg("%s: ended in %s", scripts[i].what, continuity_state_name(p.state));
    }
}

static void ten_good_probes_over_five_minutes_make_it_ready(void **)
{
    utc_ms now = 0;
    struct continuity_primary p = continuity_start(now);
    (void)continuity_step(&p, EVIDENCE_SAY_EMERGENCY, now, &continuity_plan_default);
    unsigned actions = 0;
    int n = 0;
    for (; n < 50 && !(actions & ACTION_READY); n++)
        actions = continuity_step(&p, EVIDENCE_GOOD, now += 30000, &continuity_plan_default);
    assert_int_equal(n, 11); /* ten intervals of 30 s */
    assert_true(p.is_ready);
    assert_int_equal(p.state, STATE_EMERGENCY); /* approve is the default */
    (void)continuity_step(&p, EVIDENCE_BAD, now += 1000, &continuity_plan_default);
    assert_false(p.is_ready);
    struct continuity_plan automatic = continuity_plan_default;
    automatic.is_return_auto = true;
    for (int i = 0; i < 20; i++)
        (void)continuity_step(&p, EVIDENCE_GOOD, now += 30000, &automatic);
    assert_int_equal(p.state, STATE_EMERGENCY); /* a person declared it */
}

static void a_plan_may_give_back_without_asking(void **)
{
    struct continuity_plan automatic = continuity_plan_default;
    automatic.is_return_auto = true;
    utc_ms now = 0;
    struct continuity_primary p = continuity_start(now);
    for (int i = 0; i < 3; i++)
        (void)continuity_step(&p, EVIDENCE_BAD, now += 1000, &automatic);
    unsigned actions = continuity_step(&p, EVIDENCE_NONE, now += 360000, &automatic);
    assert_int_equal(p.state, STATE_EMERGENCY);
    assert_true(actions & ACTION_TELL);
    actions = 0;
    for (int i = 0; i < 20; i++)
        actions |= continuity_step(&p, EVIDENCE_GOOD, now += 30000, &automatic);
    assert_int_equal(p.state, STATE_RETURNING);
    assert_true(actions & ACTION_DRAIN);
}

static void a_plan_may_leave_the_emergency_to_people(void **)
{
    struct continuity_plan by_hand = continuity_plan_default;
    by_hand.emergency_after_sec = 0;
    utc_ms now = 0;
    struct continuity_primary p = continuity_start(now);
    for (int i = 0; i < 1000; i++)
        (void)continuity_step(&p, EVIDENCE_BAD, now += 10000, &by_hand);
    assert_int_equal(p.state, STATE_SUSPECT);
}

static void deliveries_start_only_where_it_makes_sense(void **)
{
    utc_ms now = 1000;
    struct continuity_primary p = continuity_start(now);
    assert_int_equal(continuity_way(&p), WAY_OPEN);
    (void)continuity_step(&p, EVIDENCE_BAD, now, &continuity_plan_default);
    assert_int_equal(continuity_way(&p), WAY_ONE_AT_A_TIME);
    (void)continuity_step(&p, EVIDENCE_REFUSES, now, &continuity_plan_default);
    (void)continuity_step(&p, EVIDENCE_REFUSES, now, &continuity_plan_default);
    (void)continuity_step(&p, EVIDENCE_NONE, now += 400000, &continuity_plan_default);
    assert_int_equal(p.state, STATE_EMERGENCY);
    assert_int_equal(continuity_way(&p), WAY_ONE_AT_A_TIME); /* how else could it show? */
    p = continuity_start(now);
    (void)continuity_step(&p, EVIDENCE_REFUSES, now, &continuity_plan_default);
    (void)continuity_step(&p, EVIDENCE_SAY_EMERGENCY, now, &continuity_plan_default);
    assert_int_equal(continuity_way(&p), WAY_CLOSED);
    (void)continuity_step(&p, EVIDENCE_GOOD, now, &continuity_plan_default);
    (void)continuity_step(&p, EVIDENCE_SAY_RETURN, now, &continuity_plan_default);
    assert_int_equal(continuity_way(&p), WAY_OPEN);
}

/* Every `every` seconds for `length` seconds; returns all actions. */
static unsigned last(struct continuity_primary *p, enum continuity_evidence e, utc_ms *now,
                     uint32_t length, uint32_t every)
{
    unsigned actions = 0;
    for (uint32_t s = 0; s < length; s += every)
        actions |= continuity_step(p, e, *now += (utc_ms)every * 1000, &continuity_plan_default);
    return actions;
}

static void after_a_restart_of_ours_a_suspicion_counts_anew(void **)
{
    utc_ms now = 1000000000;
    struct continuity_primary p = continuity_start(now);
    p.state = STATE_SUSPECT;
    p.trouble_since = now - 3000000;
    p.is_told = true;
    assert_int_equal(last(&p, EVIDENCE_NONE, &now, 600, 2), 0);
    assert_int_equal(p.state, STATE_SUSPECT); /* nobody looked yet */
    assert_int_equal(last(&p, EVIDENCE_BAD, &now, 350, 2), 0);
    assert_int_equal(p.state, STATE_SUSPECT);
    assert_int_equal(last(&p, EVIDENCE_BAD, &now, 20, 2),
                     ACTION_STATE_CHANGED); /* not told again */
    assert_int_equal(p.state, STATE_EMERGENCY);
}

static void people_are_told_once_a_trouble_and_again_of_the_next(void **)
{
    utc_ms now = 1000000000;
    struct continuity_primary p = continuity_start(now);
    (void)continuity_step(&p, EVIDENCE_SAY_EMERGENCY, now, &continuity_plan_default);
    (void)continuity_step(&p, EVIDENCE_SAY_RETURN, now, &continuity_plan_default);
    (void)continuity_step(&p, EVIDENCE_DRAINED, now, &continuity_plan_default);
    assert_false(last(&p, EVIDENCE_GOOD, &now, 290, 10) & ACTION_CALM);
    assert_true(last(&p, EVIDENCE_GOOD, &now, 10, 10) & ACTION_CALM);
    assert_true(last(&p, EVIDENCE_BAD, &now, 130, 2) & ACTION_TELL);
    assert_false(last(&p, EVIDENCE_GOOD, &now, 100, 2) & ACTION_CALM);
    assert_false(last(&p, EVIDENCE_BAD, &now, 200, 2) & ACTION_TELL);
    assert_true(last(&p, EVIDENCE_GOOD, &now, 310, 2) & ACTION_CALM);
    assert_int_equal(p.trouble_since, 0);
}

static void a_clock_that_is_set_back_delays_nothing_for_long(void **)
{
    utc_ms now = 1000000000;
    struct continuity_primary p = continuity_start(now);
    (void)last(&p, EVIDENCE_BAD, &now, 400, 2);
    assert_int_equal(p.state, STATE_EMERGENCY);
    now -= 7200000;
    (void)continuity_step(&p, EVIDENCE_CLOCK_JUMPED, now, &continuity_plan_default);
    assert_true(p.trouble_since == now && p.since == now);
    (void)continuity_step(&p, EVIDENCE_CLOCK_CONFIRMED, now, &continuity_plan_default);
    assert_true(last(&p, EVIDENCE_GOOD, &now, 320, 10) & ACTION_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_end_where_they_should),
        cmocka_unit_test(ten_good_probes_over_five_minutes_make_it_ready),
        cmocka_unit_test(a_plan_may_give_back_without_asking),
        cmocka_unit_test(a_plan_may_leave_the_emergency_to_people),
        cmocka_unit_test(deliveries_start_only_where_it_makes_sense),
        cmocka_unit_test(after_a_restart_of_ours_a_suspicion_counts_anew),
        cmocka_unit_test(people_are_told_once_a_trouble_and_again_of_the_next),
        cmocka_unit_test(a_clock_that_is_set_back_delays_nothing_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
