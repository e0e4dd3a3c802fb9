/* Which deliveries begin, and when: slots and ceilings, new mail and backlog, rests, the order of
 * attempts in the log, the courier's absence, bytes that have to be fetched. */
#include "queue_kit.h"

static void a_delivery_begins_with_the_message_and_ends_with_its_result(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 3});
    struct kit_job *job = kit_job_of(id);
    assert_non_null(job);
    assert_int_equal(job->n, 3);
    assert_int_equal(kit->n_attempt_records, 0); /* it began with the message's own record */
    assert_int_equal(queue_figures(kit->q).n_rows, 3);
    assert_int_equal(queue_job_primary(kit->q, job->tag), 1);
    kit_end(id, kit_good);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(kit_disposition(id, i), DISPOSITION_DELIVERED);
    assert_int_equal(kit->n_done, 1);
    assert_true(kit->n_drained > 0);
    kit_expect_empty();
}

static void what_was_not_written_leaves_nothing_behind(void **)
{
    struct kit_planned p = kit_plan(&(struct kit_mail){.primary = 1, .n_rcpts = 2});
    assert_true(p.has_slot);
    assert_int_equal(queue_figures(kit->q).n_rows, 2);
    kit_end_plan(&p, false);
    kit_settle();
    assert_int_equal(kit->n_jobs, 0);
    assert_int_equal(kit->n_done, 0);
    kit_expect_empty();
}

static void an_abandoned_message_gives_its_slot_to_the_next(void **)
{
    kit->ceiling[1] = 1;
    struct kit_planned p = kit_plan(&(struct kit_mail){.primary = 1});
    uint64_t next = kit_mail(&(struct kit_mail){.primary = 1});
    assert_null(kit_job_of(next));
    kit_end_plan(&p, false);
    kit_settle();
    assert_non_null(kit_job_of(next));
    kit_end(next, kit_good);
    kit_expect_empty();
}

static void each_destination_has_its_ceiling(void **)
{
    uint64_t ids[5], other;
    for (int i = 0; i < 5; i++)
        ids[i] = kit_mail(&(struct kit_mail){.domain = "slow.test"});
    assert_int_equal(kit_n_running(), 2);
    other = kit_mail(&(struct kit_mail){.domain = "quick.test"});
    assert_non_null(kit_job_of(other)); /* one black hole starves nobody */
    for (int i = 0; i < 5; i++)
        kit_end(ids[i], kit_good);
    kit_end(other, kit_good);
    kit_expect_empty();
}

static void a_primary_has_its_own_ceiling(void **)
{
    kit->ceiling[2] = 1;
    for (int i = 0; i < 5; i++) {
        kit_mail(&(struct kit_mail){.primary = 1});
        kit_mail(&(struct kit_mail){.primary = 2});
    }
    assert_int_equal(kit_n_running(), 3 + 1);
}

static void a_domain_is_one_destination_however_it_is_written(void **)
{
    for (int i = 0; i < 3; i++) {
        kit_mail(&(struct kit_mail){.domain = "Some.Test"});
        kit_mail(&(struct kit_mail){.domain = "some.test"});
    }
    assert_int_equal(kit_n_running(), 2);
}

static void no_domain_of_the_world_is_taken_for_a_primary(void **)
{
    uint64_t a = kit_mail(&(struct kit_mail){.domain = "p1"});
    uint64_t b = kit_mail(&(struct kit_mail){.primary = 1});
    assert_int_equal(kit_job_of(a)->primary, 0);
    assert_int_equal(kit_job_of(b)->primary, 1);
}

static void all_deliveries_together_have_a_ceiling_and_take_turns(void **)
{
    static const char *const domains[] = {"a.test", "b.test", "c.test", "d.test"};
    uint64_t ids[4];
    kit_queue_anew(1, 1 << 20);
    for (int i = 0; i < 4; i++)
        ids[i] = kit_mail(&(struct kit_mail){.domain = domains[i]});
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kit_n_running(), 1);
        assert_non_null(kit_job_of(ids[i]));
        kit_end(ids[i], kit_good);
    }
    kit_expect_empty();
}

static void the_bytes_of_all_deliveries_have_a_ceiling(void **)
{
    uint64_t ids[4];
    kit_queue_anew(1000, KIT_MESSAGE_BYTES * 2 + 1);
    for (int i = 0; i < 4; i++)
        ids[i] = kit_mail(&(struct kit_mail){.domain = i % 2 ? "a.test" : "b.test"});
    assert_int_equal(kit_n_running(), 2);
    assert_int_equal(queue_figures(kit->q).bytes_running, 2 * KIT_MESSAGE_BYTES);
    for (int i = 0; i < 4; i++)
        kit_end(ids[i], kit_good);
    kit_expect_empty();
}

static void one_delivery_runs_however_large_it_is(void **)
{
    kit_queue_anew(1000, 1);
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    assert_non_null(kit_job_of(id));
}

static void take_kept(void *arg, const struct queue_kept *kept)
{
    *(struct queue_kept *)arg = *kept;
}

static void a_closed_way_starts_nothing_and_a_wake_starts_all(void **)
{
    kit->way[1] = WAY_CLOSED;
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    kit_mail(&(struct kit_mail){.primary = 1});
    assert_int_equal(kit_n_running(), 0);
    kit_tick(3600);
    assert_int_equal(kit_n_running(), 0);
    assert_int_equal(queue_waiting_for(kit->q, 1), 2);
    struct queue_kept kept = {};
    queue_each_kept(kit->q, take_kept, &kept);
    assert_int_equal(kept.primary, 1);
    assert_int_equal(kept.n_items, 2);
    assert_int_equal(kept.bytes, 2 * KIT_MESSAGE_BYTES);
    assert_true(kept.oldest > 0 && kept.oldest == queue_figures(kit->q).oldest);
    SCOPED(buf_finish) struct buf why = buf_make(500);
    queue_explain(kit->q, id, &why);
    assert_non_null(strstr(buf_cstr(&why), "emergency"));
    kit->way[1] = WAY_OPEN;
    queue_wake(kit->q, 1);
    kit_settle();
    assert_int_equal(kit_n_running(), 2);
}

static void a_doubtful_primary_gets_one_at_a_time(void **)
{
    kit->way[1] = WAY_ONE_AT_A_TIME;
    uint64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = kit_mail(&(struct kit_mail){.primary = 1});
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kit_n_running(), 1);
        kit_end(ids[i], kit_good);
    }
    kit_expect_empty();
}

static void the_oldest_of_the_backlog_goes_first(void **)
{
    uint64_t ids[6];
    kit->way[1] = WAY_CLOSED;
    for (int i = 0; i < 6; i++)
        ids[i] = kit_mail(&(struct kit_mail){.primary = 1});
    struct kit_row rows[6];
    for (int i = 0; i < 6; i++)
        rows[i] = *kit_row(ids[i], 0);
    queue_destroy(&kit->q);
    kit->q = kit_queue(1000, 1 << 20);
    for (int i = 6; i-- > 0;) { /* loaded in any order */
        struct store_row row = {.message = ids[i],
                                .facts = {.address = slice_str(rows[i].address), .primary = 1},
                                .last = {.disposition = DISPOSITION_WAITING},
                                .received = utc_now(),
                                .bytes = KIT_MESSAGE_BYTES};
        queue_load(kit->q, &row, true);
    }
    kit->way[1] = WAY_ONE_AT_A_TIME;
    queue_start(kit->q);
    kit_settle();
    for (int i = 0; i < 6; i++) {
        assert_int_equal(kit->jobs[kit->n_jobs - 1].message, ids[i]);
        kit_end(ids[i], kit_good);
    }
    kit_expect_empty();
}

/* Two messages wait in the backlog; `n_new` new ones arrive before each slot that becomes free. */
static void check_turns(int n_new, int at_least, int of)
{
    uint64_t old[200];
    int n_old = 0;
    kit->ceiling[1] = 1;
    for (int i = 0; i < 40; i++)
        old[i] = kit_mail(&(struct kit_mail){.primary = 1});
    /* One reply that is about the primary as a whole sends one after the other to the backlog. */
    for (int i = 0; i < 40; i++) {
        kit_end(kit->jobs[kit->n_jobs - 1].message, kit_full);
        kit_tick(0);
    }
    kit_tick(400); /* all of them are due */
    for (int i = 0; i < of; i++) {
        for (int k = 0; k < n_new; k++)
            kit_mail(&(struct kit_mail){.primary = 1});
        uint64_t now = kit->jobs[kit->n_jobs - 1].message;
        for (int k = 0; k < 40; k++)
            n_old += old[k] == now;
        kit_end(now, kit_good);
    }
    assert_true(n_old >= at_least);
    assert_true(n_old < of - 1 || n_new == 0);
}

static void new_mail_overtakes_but_the_backlog_is_not_starved(void **)
{
    check_turns(1, 8, 40);
}

static void asking_in_vain_is_no_turn(void **)
{
    check_turns(3, 8, 40); /* three questions in vain between two starts */
}

static void a_destination_that_does_not_answer_rests_once_for_all(void **)
{
    uint64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = kit_mail(&(struct kit_mail){.primary = 1});
    for (int i = 0; i < 3; i++)
        kit_end(ids[i], kit_silent);
    assert_int_equal(kit_n_running(), 0);
    assert_int_equal(queue_figures(kit->q).n_resting, 1);
    queue_tick(kit->q);
    kit_settle();
    assert_int_equal(kit_n_running(), 0); /* half a second is not over */
    kit_tick(2);
    assert_int_equal(kit_n_running(), 3);
    assert_int_equal(queue_figures(kit->q).n_resting, 0);
}

static void a_wake_ends_the_rest_at_once(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    kit_end(id, kit_silent);
    assert_int_equal(kit_n_running(), 0);
    queue_wake(kit->q, 1);
    kit_settle();
    assert_int_equal(kit_n_running(), 1);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void mail_that_comes_after_a_wake_overtakes_what_waited_until_then(void **)
{
    uint64_t old[4];
    kit->way[1] = WAY_CLOSED;
    for (int i = 0; i < 4; i++)
        old[i] = kit_mail(&(struct kit_mail){.primary = 1}); /* never tried */
    kit->way[1] = WAY_ONE_AT_A_TIME;
    queue_wake(kit->q, 1);
    kit_settle();
    assert_non_null(kit_job_of(old[0]));
    uint64_t fresh = kit_mail(&(struct kit_mail){.primary = 1});
    kit_end(old[0], kit_good);
    assert_non_null(kit_job_of(fresh));
    kit_end(fresh, kit_good);
    for (int i = 1; i < 4; i++)
        kit_end(old[i], kit_good); /* in their order */
    kit_expect_empty();
}

static void a_drain_waits_for_nobodys_own_time(void **)
{
    uint64_t refused = kit_mail(&(struct kit_mail){.primary = 1});
    uint64_t elsewhere = kit_mail(&(struct kit_mail){.primary = 2});
    kit_end(refused, kit_unknown);
    kit_end(elsewhere, kit_unknown);
    queue_wake(kit->q, 1);
    kit_settle();
    assert_int_equal(kit_n_running(), 0); /* its own time decides */
    queue_drain(kit->q, 1);
    kit_settle();
    assert_int_equal(kit_n_running(), 1);
    kit_end(refused, kit_good);
}

static void a_primary_that_refuses_is_tried_with_one_of_those_that_wait(void **)
{
    uint64_t ids[3];
    for (int i = 0; i < 3; i++)
        kit_end(ids[i] = kit_mail(&(struct kit_mail){.primary = 1}), kit_unknown);
    queue_try(kit->q, 1);
    kit_settle();
    assert_int_equal(kit_n_running(), 1);
    queue_try(kit->q, 1); /* one is tried already */
    kit_settle();
    assert_int_equal(kit_n_running(), 1);
    queue_try(kit->q, 3); /* nobody's */
    queue_drain(kit->q, 1);
    kit_settle();
    for (int i = 0; i < 3; i++)
        kit_end(ids[i], kit_good);
    kit_expect_empty();
}

static void a_destination_whose_mail_is_gone_is_forgotten_after_its_rest(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.domain = "gone.test"});
    kit_end(id, kit_silent);
    assert_int_equal(queue_figures(kit->q).n_resting, 1);
    kit_tick(24 * 3600);
    kit_end(id, kit_good);
    kit_tick(24 * 3600);
    assert_int_equal(queue_figures(kit->q).n_resting, 0);
    kit_expect_empty();
}

static void the_result_stands_in_the_log_before_the_next_attempt(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    kit->wakes_on_evidence = 1; /* in the very turn of the result it is looked at again */
    kit_end(id, kit_silent);    /* the ledger of the test checks the order */
    assert_non_null(kit_job_of(id));
    assert_int_equal(kit->n_attempt_records, 1);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void an_attempt_that_cannot_be_written_is_tried_again(void **)
{
    kit->ceiling[1] = 1;
    uint64_t first = kit_mail(&(struct kit_mail){.primary = 1});
    uint64_t second = kit_mail(&(struct kit_mail){.primary = 1});
    struct kit_reply good = kit_good;
    assert_true(kit_result(kit_job_of(first), &good, 1));
    queue_flush(kit->q);
    while (kit_write_one(ERR_IO))
        ;
    kit_run_posts();
    assert_null(kit_job_of(second));
    assert_int_equal(queue_figures(kit->q).n_running, 0);
    kit_tick(6);
    assert_non_null(kit_job_of(second));
    kit_end(second, kit_good);
    kit_expect_empty();
}

static void nothing_begins_before_the_start_and_after_the_stop(void **)
{
    queue_stop(kit->q);
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    kit_tick(60);
    assert_int_equal(kit->n_jobs, 0);
    assert_int_equal(kit->n_attempt_records, 0);
    queue_start(kit->q);
    kit_settle();
    assert_non_null(kit_job_of(id));
}

static void a_courier_that_is_away_costs_a_little_time_only(void **)
{
    kit->is_courier_away = true;
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
    assert_false(kit_row(id, 0)->is_double); /* certainly nothing was sent */
    assert_int_equal(kit->n_evidence, 0);    /* and it says nothing about the primary */
    kit->is_courier_away = false;
    kit_tick(15);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void a_lost_courier_leaves_possible_doubles_that_are_due_again(void **)
{
    uint64_t a =
        kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 2, .is_answer_waiting = true});
    uint64_t b = kit_mail(&(struct kit_mail){.domain = "b.test"});
    uint64_t tag = kit_job_of(a)->tag;
    queue_courier_lost(kit->q);
    kit_settle();
    kit->jobs[0].is_over = kit->jobs[1].is_over = true;
    assert_true(kit_row(a, 0)->is_double && kit_row(a, 1)->is_double && kit_row(b, 0)->is_double);
    assert_int_equal(kit->n_answers, 1);
    assert_false(kit->answers[0].is_refused);
    assert_int_equal(kit->n_evidence, 0);
    kit_tick(1);
    assert_int_equal(kit_n_running(), 0); /* no courier yet */
    queue_start(kit->q);
    kit_settle();
    assert_int_equal(kit_n_running(), 2);
    /* A late word about the old job means nothing. */
    struct queue_outcome outcome = {.reply = {.phase = AT_DOT, .code = 250}};
    struct queue_result late = {.message = a, .outcomes = &outcome, .n_outcomes = 1};
    assert_true(queue_result(kit->q, tag, &late));
    kit_settle();
    assert_int_equal(kit_disposition(a, 0), DISPOSITION_WAITING);
    kit_end(a, kit_good);
    kit_end(b, kit_good);
    kit_expect_empty();
}

static void what_is_lost_with_every_courier_waits_its_time(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kit_n_running(), 1);
        kit_job_of(id)->is_over = true;
        queue_courier_lost(kit->q);
        kit_settle();
        queue_start(kit->q);
        kit_settle();
    }
    assert_int_equal(kit_n_running(), 0); /* perhaps it is what ends them */
    kit_tick(3600);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void a_clock_that_jumps_costs_a_try_and_no_mail(void **)
{
    uint64_t inward = kit_mail(&(struct kit_mail){.primary = 1});
    uint64_t outward = kit_mail(&(struct kit_mail){.domain = "b.test"});
    kit_tick(0);
    kit_end(inward, kit_full);
    kit_end(outward, kit_full);
    kit_tick(-400LL * 86400); /* back: everything that waits for its time is tried now */
    assert_int_equal(kit_n_running(), 2);
    kit_end(inward, kit_full);
    kit_end(outward, kit_full);
    kit_tick(0);
    assert_int_equal(kit_n_running(), 0); /* once */
    kit_tick(800LL * 86400); /* ahead: everything is due; for a primary nothing is ever too old */
    assert_int_equal(kit_n_running(), 2);
    kit_end(inward, kit_full);
    kit_end(outward, kit_full);
    assert_int_equal(kit_disposition(inward, 0), DISPOSITION_WAITING);
    assert_int_equal(kit->n_notices, 1); /* mail to the world comes back after five days */
    assert_int_equal(kit->notices[0].message, outward);
}

static void a_result_about_another_message_is_nonsense_and_changes_nothing(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    struct queue_outcome outcome = {.reply = {.phase = AT_DOT, .code = 250}};
    struct queue_result r = {
        .message = id + 1, .is_sent = true, .outcomes = &outcome, .n_outcomes = 1};
    assert_false(queue_result(kit->q, kit_job_of(id)->tag, &r));
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void tags_of_an_earlier_life_are_never_used_again(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    uint64_t tag = kit_job_of(id)->tag;
    kit_later(1);
    kit_queue_anew(1000, 1 << 20);
    uint64_t next = kit_mail(&(struct kit_mail){.primary = 1});
    assert_true(kit_job_of(next)->tag > tag);
}

/* ---- bytes from the store ---- */

static uint64_t loaded(uint64_t primary, size_t n_rcpts)
{
    uint64_t id = (kit->last_id += 1 << 20);
    for (size_t i = 0; i < n_rcpts; i++) {
        struct kit_row *row = &kit->rows[kit->n_rows++];
        *row = (struct kit_row){.message = id,
                                .primary = primary,
                                .rcpt = (uint16_t)i,
                                .last.disposition = DISPOSITION_WAITING,
                                .is_there = true};
        snprintf(row->address, sizeof(row->address), "person%zu@a.test", i);
        struct store_row r = {
            .message = id,
            .rcpt = (uint16_t)i,
            .facts = {.address = slice_str(row->address), .primary = primary, .person = 5},
            .last = row->last,
            .received = utc_now(),
            .bytes = KIT_MESSAGE_BYTES,
            .mail_from = SLICE("sender@outside.test")};
        queue_load(kit->q, &r, true);
    }
    return id;
}

static void rows_of_one_message_are_one_delivery_after_a_start(void **)
{
    queue_stop(kit->q);
    uint64_t id = loaded(1, 20), other = loaded(0, 20);
    assert_int_equal(queue_figures(kit->q).n_rows, 40);
    assert_int_equal(queue_figures(kit->q).n_items, 2);
    queue_start(kit->q);
    kit_settle();
    assert_int_equal(kit_job_of(id)->n, 20);
    assert_int_equal(kit_job_of(other)->n, 20);
    kit_end(id, kit_good);
    kit_end(other, kit_good);
    kit_expect_empty();
}

static void a_row_that_is_not_due_yet_waits_for_its_time_after_a_start(void **)
{
    struct store_row row = {.message = kit->last_id,
                            .facts = {.address = SLICE("person0@a.test")},
                            .last = {.disposition = DISPOSITION_WAITING, .due = utc_now() + 60000},
                            .received = utc_now(),
                            .bytes = KIT_MESSAGE_BYTES};
    kit->rows[kit->n_rows++] = (struct kit_row){.message = kit->last_id,
                                                .address = "person0@a.test",
                                                .last.disposition = DISPOSITION_WAITING,
                                                .is_there = true};
    queue_load(kit->q, &row, true);
    kit_tick(30);
    assert_int_equal(kit_n_running(), 0);
    kit_tick(31);
    assert_int_equal(kit_n_running(), 1);
}

static void unreadable_bytes_are_held_with_an_alarm_and_free_the_slot(void **)
{
    queue_stop(kit->q);
    kit->ceiling[1] = 1;
    uint64_t bad = loaded(1, 2), good = loaded(1, 1);
    kit->fetch_err = ERR_CORRUPT;
    kit->is_fetch_slow = true;
    queue_start(kit->q);
    kit_settle();
    kit_fetch_now(NULL);
    kit->fetch_err = ERR_OK;
    kit->is_fetch_slow = false;
    kit_settle();
    assert_int_equal(kit_disposition(bad, 0), DISPOSITION_HELD);
    assert_int_equal(kit_disposition(bad, 1), DISPOSITION_HELD);
    assert_int_equal(kit_row(bad, 0)->last.refusal, 1 + REFUSE_HOLD_UNREADABLE);
    assert_int_equal(kit->n_told, 1);
    assert_int_equal(kit->told[0].class, EVENT_ALARM);
    kit_end(good, kit_good); /* it has the slot now */
    kit_expect_empty();
}

static void a_disk_that_fails_for_a_moment_holds_nothing(void **)
{
    queue_stop(kit->q);
    uint64_t id = loaded(1, 1);
    kit->fetch_err = ERR_IO;
    queue_start(kit->q);
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
    assert_false(kit_row(id, 0)->is_double);
    assert_int_equal(queue_figures(kit->q).n_running, 0);
    kit->fetch_err = ERR_OK;
    kit_tick(20);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void the_bytes_of_what_waits_are_given_back(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    assert_true(queue_figures(kit->q).bytes_memory > 0);
    kit_end(id, kit_full);
    assert_int_equal(queue_figures(kit->q).bytes_memory, 0);
    kit_tick(20);
    assert_true(queue_figures(kit->q).bytes_memory > 0);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void figures_know_the_oldest_wherever_it_waits(void **)
{
    utc_ms begin = utc_now();
    uint64_t id = kit_mail(&(struct kit_mail){.domain = "a.test"});
    kit_end(id, kit_full); /* waits for its time */
    kit_later(100);
    kit_mail(&(struct kit_mail){.domain = "b.test"});
    utc_ms oldest = queue_figures(kit->q).oldest;
    assert_true(oldest >= begin && oldest < begin + 50000);
}

static void a_full_queue_says_so(void **)
{
    kit->way[1] = WAY_CLOSED;
    for (int i = 0; i < 16; i++) {
        assert_false(queue_is_full(kit->q));
        kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 63});
    }
    assert_true(queue_is_full(kit->q));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delivery_begins_with_the_message_and_ends_with_its_result),
        TEST(what_was_not_written_leaves_nothing_behind),
        TEST(an_abandoned_message_gives_its_slot_to_the_next),
        TEST(each_destination_has_its_ceiling),
        TEST(a_primary_has_its_own_ceiling),
        TEST(a_domain_is_one_destination_however_it_is_written),
        TEST(no_domain_of_the_world_is_taken_for_a_primary),
        TEST(all_deliveries_together_have_a_ceiling_and_take_turns),
        TEST(the_bytes_of_all_deliveries_have_a_ceiling),
        TEST(one_delivery_runs_however_large_it_is),
        TEST(a_closed_way_starts_nothing_and_a_wake_starts_all),
        TEST(a_doubtful_primary_gets_one_at_a_time),
        TEST(the_oldest_of_the_backlog_goes_first),
        TEST(new_mail_overtakes_but_the_backlog_is_not_starved),
        TEST(asking_in_vain_is_no_turn),
        TEST(a_destination_that_does_not_answer_rests_once_for_all),
        TEST(a_wake_ends_the_rest_at_once),
        TEST(mail_that_comes_after_a_wake_overtakes_what_waited_until_then),
        TEST(a_drain_waits_for_nobodys_own_time),
        TEST(a_primary_that_refuses_is_tried_with_one_of_those_that_wait),
        TEST(a_destination_whose_mail_is_gone_is_forgotten_after_its_rest),
        TEST(the_result_stands_in_the_log_before_the_next_attempt),
        TEST(an_attempt_that_cannot_be_written_is_tried_again),
        TEST(nothing_begins_before_the_start_and_after_the_stop),
        TEST(a_courier_that_is_away_costs_a_little_time_only),
        TEST(a_lost_courier_leaves_possible_doubles_that_are_due_again),
        TEST(what_is_lost_with_every_courier_waits_its_time),
        TEST(a_clock_that_jumps_costs_a_try_and_no_mail),
        TEST(a_result_about_another_message_is_nonsense_and_changes_nothing),
        TEST(tags_of_an_earlier_life_are_never_used_again),
        TEST(rows_of_one_message_are_one_delivery_after_a_start),
        TEST(a_row_that_is_not_due_yet_waits_for_its_time_after_a_start),
        TEST(unreadable_bytes_are_held_with_an_alarm_and_free_the_slot),
        TEST(a_disk_that_fails_for_a_moment_holds_nothing),
        TEST(the_bytes_of_what_waits_are_given_back),
        TEST(figures_know_the_oldest_wherever_it_waits),
        TEST(a_full_queue_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
