/* Giving back: in which order, how it is stopped and goes on, how it slows down, how far it is. */
#include "queue_kit.h"

static const struct kit_mail to_boss = {.primary = 1, .domain = "boss.test"};
static const struct kit_reply busy = {AT_BANNER, 421, 4, 3, 2, false};
static const struct kit_reply disk_full = {AT_MAIL, 452, 4, 3, 1, false};
static const struct kit_mail to_staff = {.primary = 1, .domain = "staff.test"};

/* Ends what runs, one after the other, and checks that this was the order in which it began. */
static void expect_order(const uint64_t *ids, size_t n)
{
    size_t first = kit->n_jobs - kit_n_running();
    for (size_t i = 0; i < n; i++) {
        assert_true(first + i < kit->n_jobs);
        assert_int_equal(kit->jobs[first + i].message, ids[i]);
        kit_end(ids[i], kit_good);
    }
}

static void keep(const struct kit_mail *mail, uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = kit_mail(mail);
}

static void give_back(void)
{
    kit->way[1] = WAY_OPEN;
    queue_drain(kit->q, 1);
    kit_settle();
}

static void essential_mailboxes_go_first_and_within_them_the_oldest(void **)
{
    uint64_t ids[9];
    kit->essential = "boss";
    kit->ceiling[1] = 1;
    kit->way[1] = WAY_CLOSED;
    keep(&to_staff, ids + 6, 2);
    keep(&to_boss, ids, 3);
    keep(&to_staff, ids + 8, 1);
    keep(&to_boss, ids + 3, 3);
    give_back();
    expect_order(ids, 9);
    kit_expect_empty();
}

static void new_mail_overtakes_even_what_is_essential(void **)
{
    uint64_t old[3], fresh;
    kit->essential = "boss";
    kit->ceiling[1] = 1;
    kit->way[1] = WAY_CLOSED;
    keep(&to_boss, old, 3);
    give_back();
    fresh = kit_mail(&to_staff);
    expect_order((uint64_t[]){old[0], fresh, old[1], old[2]}, 4);
    kit_expect_empty();
}

static void one_essential_recipient_is_enough(void **)
{
    kit->essential = "person2@";
    kit->ceiling[1] = 1;
    kit->way[1] = WAY_CLOSED;
    uint64_t plain = kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 2});
    uint64_t mixed = kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 3});
    give_back();
    expect_order((uint64_t[]){mixed, plain}, 2);
    kit_expect_empty();
}

static void who_became_essential_meanwhile_goes_first(void **)
{
    uint64_t ids[40];
    kit->ceiling[1] = 1;
    kit->way[1] = WAY_CLOSED;
    keep(&to_staff, ids + 20, 20);
    keep(&to_boss, ids, 20);
    queue_wake(kit->q, 1); /* all are in the backlog now */
    kit->essential = "boss";
    give_back();
    expect_order(ids, 40);
    kit_expect_empty();
}

static void the_world_knows_nobody_essential(void **)
{
    kit->essential = "test";
    uint64_t id = kit_mail(&(struct kit_mail){0});
    kit_end(id, kit_silent);
    kit_tick(4000);
    kit_end(id, kit_good);
    kit_expect_empty();
}

/* ---- stopping and going on ---- */

static void a_pause_stops_at_once_and_what_runs_may_end(void **)
{
    uint64_t ids[8];
    kit->ceiling[1] = 2;
    kit->way[1] = WAY_CLOSED;
    keep(&to_staff, ids, 8);
    give_back();
    assert_int_equal(kit_n_running(), 2);
    kit->way[1] = WAY_CLOSED;
    kit_end(ids[0], kit_good);
    kit_end(ids[1], kit_good);
    kit_tick(3600);
    assert_int_equal(kit_n_running(), 0);
    assert_int_equal(queue_waiting_for(kit->q, 1), 6);
    give_back();
    expect_order(ids + 2, 6); /* where it was */
    kit_expect_empty();
}

static void a_pause_stops_attempts_that_are_being_written(void **)
{
    uint64_t ids[4];
    kit->way[1] = WAY_CLOSED;
    keep(&to_staff, ids, 4);
    kit->way[1] = WAY_OPEN;
    queue_drain(kit->q, 1); /* submitted, not written yet */
    kit->way[1] = WAY_CLOSED;
    kit_settle();
    kit_tick(0); /* what was decided in the last turn is written */
    assert_int_equal(kit->n_jobs, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kit_disposition(ids[i], 0), DISPOSITION_WAITING);
        assert_false(kit_row(ids[i], 0)->is_attempting);
        assert_false(kit_row(ids[i], 0)->is_double); /* nothing was sent */
    }
    give_back();
    for (int i = 0; i < 4; i++)
        kit_end(ids[i], kit_good);
    kit_expect_empty();
}

static void a_pause_stops_attempts_whose_bytes_are_being_read(void **)
{
    uint64_t id = kit_mail(&to_staff);
    kit_end(id, kit_unknown); /* waits, and so its bytes are no longer in memory */
    kit->is_fetch_slow = true;
    give_back();
    assert_int_equal(kit->n_fetches, 1);
    kit->way[1] = WAY_CLOSED;
    kit_fetch_now(NULL);
    kit_tick(0);
    assert_int_equal(kit->n_jobs, 1);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
    kit->is_fetch_slow = false;
    give_back();
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void a_sender_that_waits_is_answered_when_it_is_stopped(void **)
{
    struct kit_planned p = kit_plan(&(struct kit_mail){.primary = 1, .is_answer_waiting = true});
    assert_true(p.has_slot);
    kit->way[1] = WAY_CLOSED;
    kit_end_plan(&p, true);
    kit_settle();
    assert_int_equal(kit->n_jobs, 0);
    assert_int_equal(kit->n_answers, 1);
    assert_false(kit->answers[0].is_refused);
    give_back();
    kit_end(p.id, kit_good);
}

/* ---- slowing down ---- */

static void check_slows_within_one_reply(struct kit_reply reply)
{
    uint64_t ids[20];
    kit->ceiling[1] = 4;
    kit->way[1] = WAY_CLOSED;
    keep(&to_staff, ids, 20);
    give_back();
    assert_int_equal(kit->n_jobs, 4);
    kit_end(ids[0], reply);
    assert_int_equal(kit->n_jobs, 4); /* not one more */
    kit_end(ids[1], reply);
    kit_end(ids[2], reply);
    kit_end(ids[3], reply);
    assert_int_equal(kit->n_jobs, 4);
    assert_int_equal(queue_figures(kit->q).n_resting, 1);
    kit_tick(3600);
    assert_true(kit->n_jobs > 4); /* and looked at again */
}

static void a_421_slows_within_one_reply(void **)
{
    check_slows_within_one_reply(busy);
}

static void a_452_slows_within_one_reply(void **)
{
    check_slows_within_one_reply(disk_full);
}

/* ---- how far it is ---- */

static void progress_counts_what_waits_and_what_went_well(void **)
{
    uint64_t ids[5];
    kit->ceiling[1] = 1;
    kit->way[1] = WAY_CLOSED;
    keep(&to_staff, ids, 5);
    struct queue_progress p = queue_progress(kit->q, 1);
    assert_int_equal(p.n_waiting, 5);
    assert_int_equal(p.n_passed, 0);
    assert_int_equal(queue_oldest_for(kit->q, 1), ids[0]);
    give_back();
    kit_end(ids[0], kit_content); /* held: no longer here, but not given back */
    kit_end(ids[1], kit_good);
    kit_end(ids[2], kit_unknown); /* waits for its own time */
    p = queue_progress(kit->q, 1);
    assert_int_equal(p.n_waiting, 3);
    assert_int_equal(p.n_passed, 1);
    assert_int_equal(queue_oldest_for(kit->q, 1), ids[2]);
    assert_int_equal(queue_progress(kit->q, 2).n_waiting, 0);
}

static void the_oldest_is_known_among_all_ranks(void **)
{
    uint64_t staff, boss;
    kit->essential = "boss";
    kit->way[1] = WAY_CLOSED;
    keep(&to_staff, &staff, 1);
    kit_later(100);
    keep(&to_boss, &boss, 1);
    queue_wake(kit->q, 1);
    assert_int_equal(queue_oldest_for(kit->q, 1), staff);
    assert_true(queue_figures(kit->q).oldest <= utc_now() - 99000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(essential_mailboxes_go_first_and_within_them_the_oldest),
        TEST(new_mail_overtakes_even_what_is_essential),
        TEST(one_essential_recipient_is_enough),
        TEST(who_became_essential_meanwhile_goes_first),
        TEST(the_world_knows_nobody_essential),
        TEST(a_pause_stops_at_once_and_what_runs_may_end),
        TEST(a_pause_stops_attempts_that_are_being_written),
        TEST(a_pause_stops_attempts_whose_bytes_are_being_read),
        TEST(a_sender_that_waits_is_answered_when_it_is_stopped),
        TEST(a_421_slows_within_one_reply),
        TEST(a_452_slows_within_one_reply),
        TEST(progress_counts_what_waits_and_what_went_well),
        TEST(the_oldest_is_known_among_all_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
