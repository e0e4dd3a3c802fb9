/* What senders asked to hear: relayed, delayed; once, and nobody who did not ask. */
#include "queue_kit.h"

#include "wire/wire.h"

enum { HOURS = 3600 };

static void who_asked_hears_that_it_was_relayed(void **)
{
    static const struct {
        uint8_t notify;
        bool has_dsn;
        const char *mail_from;
        size_t n;
    } rows[] = {
        {WIRE_NOTIFY_SUCCESS, false, NULL, 1},
        {WIRE_NOTIFY_SUCCESS | WIRE_NOTIFY_DELAY, false, NULL, 1},
        {WIRE_NOTIFY_SUCCESS, true, NULL, 0}, /* the next system tells it */
        {WIRE_NOTIFY_SUCCESS, false, "", 0},  /* nobody to tell */
        {WIRE_NOTIFY_FAILURE, false, NULL, 0},
        {WIRE_NOTIFY_NEVER, false, NULL, 0},
        {0, false, NULL, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct queue_outcome outcome = {.reply = {.phase = AT_DOT, .code = 250, .class = 2}};
        kit->n_notices = 0;
        uint64_t id = kit_mail(&(struct kit_mail){
            .primary = 1, .notify = rows[i].notify, .mail_from = rows[i].mail_from});
        struct kit_job *job = kit_job_of(id);
        struct queue_result r = {.message = id,
                                 .is_sent = true,
                                 .has_dsn = rows[i].has_dsn,
                                 .outcomes = &outcome,
                                 .n_outcomes = 1};
        job->is_over = true;
        assert_true(queue_result(kit->q, job->tag, &r));
        kit_settle();
        assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
        assert_int_equal(kit->n_notices, rows[i].n);
        if (rows[i].n == 0)
            continue;
        assert_int_equal(kit->notices[0].news, QUEUE_RELAYED);
        queue_noticed(kit->q, kit->notices[0].cookie, i ? ERR_IO : ERR_OK); /* all the same */
        kit_settle();
        assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
    }
    kit_expect_empty();
}

static void only_rows_that_went_are_in_the_notice(void **)
{
    static const struct kit_reply replies[] = {
        {AT_DOT, 250, 2, 0, 0, true}, {AT_RCPT, 452, 4, 2, 2, false}, {AT_DOT, 250, 2, 0, 0, true}};
    uint64_t id =
        kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 3, .notify = WIRE_NOTIFY_SUCCESS});
    assert_true(kit_result(kit_job_of(id), replies, 3));
    kit_settle();
    assert_int_equal(kit->n_notices, 1);
    assert_int_equal(kit->notices[0].n, 2);
}

static void who_asked_hears_once_that_it_takes_long(void **)
{
    uint64_t id =
        kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 2, .notify = WIRE_NOTIFY_DELAY});
    uint64_t other = kit_mail(&(struct kit_mail){.primary = 1}); /* did not ask */
    kit->way[1] = WAY_CLOSED;                                    /* an emergency: no attempts */
    kit_end(id, kit_silent);
    kit_end(other, kit_silent);
    kit_tick(4 * HOURS - 60);
    assert_int_equal(kit->n_delayed, 0);
    kit_tick(120);
    assert_int_equal(kit->n_delayed, 2);
    assert_true(kit_row(id, 0)->says_told);
    assert_int_equal(kit_row(id, 1)->last.disposition, DISPOSITION_WAITING);
    kit_tick(20 * HOURS);
    kit->way[1] = WAY_OPEN;
    queue_drain(kit->q, 1);
    kit_settle();
    kit_end(id, kit_silent); /* the next attempt's result remembers it */
    assert_true(kit_row(id, 0)->says_told);
    kit_tick(20 * HOURS);
    assert_int_equal(kit->n_delayed, 2);
    assert_int_equal(kit->n_notices, 0);
}

static void who_hears_of_a_delay_hears_until_when_it_is_tried(void **)
{
    for (uint64_t primary = 0; primary < 2; primary++) {
        utc_ms day = 86400000, before = utc_now();
        uint64_t id = kit_mail(&(struct kit_mail){.primary = primary, .notify = WIRE_NOTIFY_DELAY});
        kit_end(id, kit_silent);
        kit->n_delayed = 0;
        kit_tick(5 * HOURS);
        if (kit->n_delayed == 0) { /* it is tried again just now */
            kit_end(id, kit_silent);
            kit_tick(0);
        }
        assert_int_equal(kit->n_delayed, 1);
        if (primary)
            assert_int_equal(kit->until, 0); /* as long as it takes */
        else
            assert_in_range(kit->until, before + 5 * day, before + 5 * day + 60000);
        kit_queue_anew(1000, 1 << 20);
    }
}

static void a_delivery_that_runs_is_told_of_behind_it(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .notify = WIRE_NOTIFY_DELAY});
    kit_tick(5 * HOURS);
    assert_int_equal(kit->n_delayed, 0); /* perhaps it goes well */
    kit_end(id, kit_full);
    kit_tick(0);
    assert_int_equal(kit->n_delayed, 1);
}

static void after_a_start_it_is_known_who_was_told(void **)
{
    for (int is_told = 0; is_told < 2; is_told++) {
        struct store_row row = {
            .message = 1000 + (uint64_t)is_told,
            .facts = {.address = SLICE("x@a.test"), .primary = 1, .notify = WIRE_NOTIFY_DELAY},
            .last = {.disposition = DISPOSITION_WAITING,
                     .by = is_told ? SLICE("notice of the delay") : SLICE("")},
            .received = utc_now() - 5LL * HOURS * 1000,
            .tenant = 1,
            .mail_from = SLICE("sender@outside.test")};
        kit_queue_anew(1000, 1 << 20);
        kit->n_delayed = 0;
        queue_load(kit->q, &row, true);
        queue_tick(kit->q);
        assert_int_equal(kit->n_delayed, !is_told);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_asked_hears_that_it_was_relayed),
        TEST(only_rows_that_went_are_in_the_notice),
        TEST(who_asked_hears_once_that_it_takes_long),
        TEST(who_hears_of_a_delay_hears_until_when_it_is_tried),
        TEST(a_delivery_that_runs_is_told_of_behind_it),
        TEST(after_a_start_it_is_known_who_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
