/* Episodes: which decision becomes which step, when one opens, closes and is forgotten. */
#include "continuity/episode.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

/* A primary with its real machine; each action is noted as core does it. */
struct play {
    struct continuity_primary p;
    struct continuity_plan plan;
    struct buf packed;
    utc_ms now;
    enum episode_change last;
    struct arena *arena;
};

static struct play play_begin(void)
{
    struct play x = {.plan = continuity_plan_default,
                     .packed = buf_make(EPISODE_BYTES_MAX),
                     .now = 1000000,
                     .arena = arena_create(8 << 20)};
    x.p = continuity_start(x.now);
    return x;
}

static void play_end(struct play *x)
{
    buf_finish(&x->packed);
    arena_destroy(&x->arena);
}

static void say(struct play *x, enum continuity_evidence e, const char *by, const char *why)
{
    enum continuity_state old = x->p.state;
    x->last = EPISODE_NOTHING;
    if (!(continuity_step(&x->p, e, x->now, &x->plan) & ~(unsigned)ACTION_DRAIN))
        return;
    struct episode_news news = {.primary = 7,
                                .p = &x->p,
                                .old = old,
                                .now = x->now,
                                .first_message = 42,
                                .by = slice_str(by),
                                .why = slice_str(why)};
    x->last = episode_note(&x->packed, &news);
    if (x->last == EPISODE_WRITE) {
        struct episode e2;
        assert_true(episode_unpack(buf_slice(&x->packed), x->arena, &e2));
    }
}

static void evidence(struct play *x, enum continuity_evidence e, int n, int every_ms)
{
    for (int i = 0; i < n; i++) {
        x->now += every_ms;
        say(x, e, "probe", "as seen");
    }
}

static struct episode read_it(struct play *x)
{
    struct episode e;
    assert_true(episode_unpack(buf_slice(&x->packed), x->arena, &e));
    return e;
}

static void expect_steps(struct play *x, const char *want)
{
    char got[2000] = "";
    struct episode e = read_it(x);
    for (uint32_t i = 0; i < e.n_steps; i++) {
        size_t n = strlen(got);
        (void)snprintf(got + n, sizeof(got) - n, "%s%s", n ? " " : "",
                       episode_kind_name(e.steps[i].kind));
    }
    assert_string_equal(got, want);
}

static void nothing_is_remembered_of_a_primary_that_is_well(void **)
{
    struct play x = play_begin();
    evidence(&x, EVIDENCE_GOOD, 50, 1000);
    assert_int_equal(x.packed.n, 0);
    play_end(&x);
}

static void a_suspicion_that_comes_to_nothing_is_forgotten(void **)
{
    struct play x = play_begin();
    evidence(&x, EVIDENCE_BAD, 3, 1000);
    assert_int_equal(x.last, EPISODE_WRITE);
    assert_int_equal(read_it(&x).phase, EPISODE_SUSPICION);
    expect_steps(&x, "suspect");
    evidence(&x, EVIDENCE_GOOD, 1, 1000);
    assert_int_equal(x.last, EPISODE_FORGET);
    assert_int_equal(x.packed.n, 0);
    play_end(&x);
}

static void an_emergency_is_told_from_its_first_failure_to_its_end(void **)
{
    struct play x = play_begin();
    evidence(&x, EVIDENCE_BAD, 400, 1000);
    struct episode e = read_it(&x);
    assert_int_equal(e.phase, EPISODE_OPEN);
    assert_int_equal(e.first_bad, 1001000);
    assert_int_equal(e.suspect_at, 1003000);
    assert_int_equal(e.emergency_at, 1361000);
    assert_int_equal(e.first_message, 42);
    assert_int_equal(episode_begin(&e), 1001000);
    expect_steps(&x, "suspect told emergency");
    evidence(&x, EVIDENCE_GOOD, 400, 1000);
    x.now += 1000;
    say(&x, EVIDENCE_SAY_APPROVE, "luca", "it is repaired");
    x.now += 1000;
    say(&x, EVIDENCE_DRAINED, "queue", "everything was given back");
    expect_steps(&x, "suspect told emergency ready returning end");
    e = read_it(&x);
    assert_int_equal(e.phase, EPISODE_CLOSED);
    assert_true(e.ready_at > e.emergency_at && e.return_at > e.ready_at);
    assert_int_equal(e.end_at, x.now);
    assert_true(slice_eq(e.steps[4].by, SLICE("luca")));
    assert_true(slice_eq(e.steps[4].why, SLICE("it is repaired")));
    play_end(&x);
}

static void a_person_may_be_the_first_to_know(void **)
{
    struct play x = play_begin();
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "smoke in the server room");
    struct episode e = read_it(&x);
    assert_int_equal(e.phase, EPISODE_OPEN);
    assert_int_equal(e.first_bad, 0);
    assert_int_equal(episode_begin(&e), x.now);
    assert_int_equal(e.steps[0].flags & EPISODE_IS_BY_HAND, EPISODE_IS_BY_HAND);
    play_end(&x);
}

static void deaths_pauses_and_isolations_in_the_middle_are_counted(void **)
{
    struct play x = play_begin();
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "smoke");
    for (int i = 0; i < 5; i++) {
        x.now += 1000;
        say(&x, EVIDENCE_SAY_RETURN, "anna", "again");
        evidence(&x, EVIDENCE_BAD, 3, 1000);
        evidence(&x, EVIDENCE_GOOD, 1, 1000);
    }
    say(&x, EVIDENCE_SAY_RETURN, "anna", "again");
    utc_ms first = read_it(&x).return_at;
    say(&x, EVIDENCE_SAY_PAUSE, "luca", "the users log in");
    say(&x, EVIDENCE_SAY_RESUME, "luca", "they are in");
    say(&x, EVIDENCE_SAY_ISOLATE, "luca", "ransomware");
    say(&x, EVIDENCE_SAY_CLEAN, "luca", "new disks");
    say(&x, EVIDENCE_SAY_RETURN, "luca", "now");
    struct episode e = read_it(&x);
    assert_int_equal(e.n_deaths, 5);
    assert_int_equal(e.n_pauses, 1);
    assert_int_equal(e.n_isolations, 1);
    assert_int_equal(e.return_at, first);
    expect_steps(&x, "emergency returning died returning died returning died returning died "
                     "returning died returning paused resumed isolated clean returning");
    play_end(&x);
}

static void a_new_trouble_after_a_closed_one_is_a_new_episode(void **)
{
    struct play x = play_begin();
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "smoke");
    say(&x, EVIDENCE_SAY_RETURN, "anna", "no smoke");
    say(&x, EVIDENCE_DRAINED, "queue", "everything was given back");
    assert_int_equal(read_it(&x).phase, EPISODE_CLOSED);
    buf_clear(&x.packed); /* the owner puts it away */
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "fire");
    expect_steps(&x, "emergency");
    play_end(&x);
}

/* Gives back by itself and fails again, without asking the machine. */
static void flap(struct play *x, int n)
{
    for (int i = 0; i < 2 * n; i++) {
        struct episode_news news = {
            .primary = 7, .p = &x->p, .old = x->p.state, .now = ++x->now, .by = SLICE("probe")};
        x->p.state = x->p.state == STATE_EMERGENCY ? STATE_RETURNING : STATE_EMERGENCY;
        assert_int_equal(episode_note(&x->packed, &news), EPISODE_WRITE);
    }
}

static void the_list_of_a_flapping_primary_is_bounded_and_keeps_what_people_did(void **)
{
    struct play x = play_begin();
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "smoke");
    x.p.is_by_hand = false; /* what follows is the machine's */
    flap(&x, 100);
    say(&x, EVIDENCE_SAY_ISOLATE, "luca", "leave it alone");
    say(&x, EVIDENCE_SAY_CLEAN, "luca", "go on");
    x.p.is_by_hand = false;
    flap(&x, 400);
    struct episode e = read_it(&x);
    assert_int_equal(e.n_steps, EPISODE_STEPS_MAX);
    assert_int_equal(e.n_left_out, 1003 - EPISODE_STEPS_MAX);
    assert_int_equal(e.n_deaths, 500);
    assert_true(slice_eq(e.steps[0].why, SLICE("smoke")));
    size_t n = 0;
    for (uint32_t i = 0; i < e.n_steps; i++)
        n += e.steps[i].kind == EPISODE_ISOLATED || e.steps[i].kind == EPISODE_CLEAN;
    assert_int_equal(n, 2);
    play_end(&x);
}

static void what_is_too_long_is_cut_between_letters_and_controls_are_blanks(void **)
{
    struct play x = play_begin();
    char why[1200];
    for (size_t i = 0; i + 1 < sizeof(why); i += 2)
        memcpy(why + i, "\xc3\xa4", 2);
    why[0] = 'x'; /* so that a letter lies across the limit */
    memmove(why + 1, why + 2, sizeof(why) - 2);
    why[1101] = 0;
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", why);
    struct slice kept = read_it(&x).steps[0].why;
    assert_int_equal(kept.n, 599);
    assert_int_equal((unsigned char)kept.p[598], 0xa4);
    say(&x, EVIDENCE_SAY_ISOLATE, "an\x7fna", "fire\r\nNothing was lost.");
    assert_true(slice_eq(read_it(&x).steps[1].by, SLICE("an na")));
    assert_true(slice_eq(read_it(&x).steps[1].why, SLICE("fire  Nothing was lost.")));
    play_end(&x);
}

static void unreadable_bytes_begin_anew(void **)
{
    struct play x = play_begin();
    buf_add(&x.packed, "nonsense", 8);
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "smoke");
    expect_steps(&x, "emergency");
    play_end(&x);
}

static void a_step_that_is_missing_after_a_crash_is_noticed(void **)
{
    struct play x = play_begin();
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "smoke");
    struct episode e = read_it(&x);
    assert_true(episode_is_current(&e, &x.p));
    struct continuity_primary later = x.p;
    later.state = STATE_RETURNING;
    assert_false(episode_is_current(&e, &later));
    later = x.p;
    later.is_isolated = true;
    assert_false(episode_is_current(&e, &later));
    later = x.p;
    later.is_ready = true; /* comes again by itself */
    assert_true(episode_is_current(&e, &later));
    play_end(&x);
}

static void the_rate_of_giving_back_is_known_after_a_while(void **)
{
    struct play x = play_begin();
    say(&x, EVIDENCE_SAY_EMERGENCY, "anna", "smoke");
    episode_add_given(&x.packed, 5, 1000);
    struct episode e = read_it(&x);
    assert_int_equal(episode_rate_1000(&e), 0);
    episode_add_given(&x.packed, 95, 3000);
    e = read_it(&x);
    assert_int_equal(episode_rate_1000(&e), 25000);
    play_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_remembered_of_a_primary_that_is_well),
        cmocka_unit_test(a_suspicion_that_comes_to_nothing_is_forgotten),
        cmocka_unit_test(an_emergency_is_told_from_its_first_failure_to_its_end),
        cmocka_unit_test(a_person_may_be_the_first_to_know),
        cmocka_unit_test(deaths_pauses_and_isolations_in_the_middle_are_counted),
        cmocka_unit_test(a_new_trouble_after_a_closed_one_is_a_new_episode),
        cmocka_unit_test(the_list_of_a_flapping_primary_is_bounded_and_keeps_what_people_did),
        cmocka_unit_test(what_is_too_long_is_cut_between_letters_and_controls_are_blanks),
        cmocka_unit_test(unreadable_bytes_begin_anew),
        cmocka_unit_test(a_step_that_is_missing_after_a_crash_is_noticed),
        cmocka_unit_test(the_rate_of_giving_back_is_known_after_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
