/* Orders of people about one row, in every state it can be in. */
#include "queue_kit.h"

static struct {
    enum err err;
    uint64_t pos;
    unsigned n;
} ended;

static void order_end(void *, enum err err, uint64_t pos)
{
    ended.err = err;
    ended.pos = pos;
    ended.n++;
}

static enum err order_row(enum queue_order what, uint64_t message, uint16_t rcpt)
{
    const struct kit_row *r = kit_row(message, rcpt);
    struct store_row row = {.message = message,
                            .rcpt = rcpt,
                            .facts = {.address = slice_str(r->address),
                                      .primary = r->primary,
                                      .person = 7,
                                      .notify = r->notify},
                            .last = r->last,
                            .tenant = 1,
                            .bytes = KIT_MESSAGE_BYTES,
                            .received = utc_now(),
                            .mail_from = SLICE("sender@outside.test")};
    struct queue_facts facts = {.id = message,
                                .tenant = 1,
                                .direction = DIRECTION_IN,
                                .bytes = KIT_MESSAGE_BYTES,
                                .received = utc_now(),
                                .mail_from = row.mail_from};
    struct queue_decision decision = {.what = what,
                                      .row = &row,
                                      .is_known = true,
                                      .facts = &facts,
                                      .by = SLICE("luca"),
                                      .why = SLICE("because")};
    struct queue_order_done done = {order_end, NULL};
    struct errinfo ei = {""};
    unsigned n = ended.n;
    enum err err = queue_order(kit->q, &decision, done, &ei);
    assert_int_equal(ended.n, n); /* never within the call */
    assert_true((err == ERR_OK) == (ei.text[0] == 0));
    return err;
}

/* Given, written, done. */
static void obey(enum queue_order what, uint64_t message, uint16_t rcpt)
{
    unsigned n = ended.n;
    assert_int_equal(order_row(what, message, rcpt), ERR_OK);
    if (kit->n_notices) {
        queue_noticed(kit->q, kit->notices[--kit->n_notices].cookie, ERR_OK);
    }
    kit_settle();
    assert_int_equal(ended.n, n + 1);
    assert_int_equal(ended.err, ERR_OK);
}

/* A message whose row stands in the wanted state. */
enum state { FRESH, BACKLOG, TIMER, ATTEMPT, FETCH, RUNNING, ORDERED, HELD, FINAL };

static uint64_t in_state(enum state state)
{
    uint64_t id;
    struct kit_planned p;
    switch (state) {
    case FRESH:
        kit->way[1] = WAY_CLOSED;
        return kit_mail(&(struct kit_mail){.primary = 1});
    case BACKLOG:
        id = kit_mail(&(struct kit_mail){.primary = 1});
        kit->way[1] = WAY_CLOSED;
        kit_end(id, kit_silent);
        return id;
    case TIMER:
        id = kit_mail(&(struct kit_mail){.domain = "a.test"});
        kit_end(id, kit_full);
        return id;
    case ATTEMPT:
        kit->way[1] = WAY_CLOSED;
        id = kit_mail(&(struct kit_mail){.primary = 1});
        kit->way[1] = WAY_OPEN;
        queue_wake(kit->q, 1);
        return id;
    case FETCH:
        id = kit_mail(&(struct kit_mail){.domain = "a.test"});
        kit_end(id, kit_full);
        kit->is_fetch_slow = true;
        kit_tick(200);
        assert_int_equal(kit->n_fetches, 1);
        return id;
    case RUNNING:
        return kit_mail(&(struct kit_mail){.primary = 1});
    case ORDERED:
        kit->way[1] = WAY_CLOSED;
        p = kit_plan(&(struct kit_mail){.primary = 1});
        kit_end_plan(&p, true);
        assert_int_equal(order_row(QUEUE_HOLD, p.id, 0), ERR_OK);
        return p.id;
    case HELD:
        id = kit_mail(&(struct kit_mail){.primary = 1});
        kit_end(id, kit_content);
        kit->way[1] = WAY_CLOSED;
        return id;
    case FINAL:
        id = kit_mail(&(struct kit_mail){.primary = 1});
        kit_end(id, kit_good);
        return id;
    }
    return 0;
}

static void every_order_in_every_state(void **state)
{
    enum { W = DISPOSITION_WAITING, H = DISPOSITION_HELD, R = DISPOSITION_RETURNED };
    enum { X = DISPOSITION_REMOVED, NOW = -ERR_CONFLICT, BAD = -ERR_INVALID };
    /* hold, release, retry, return, remove: the disposition after, or the error */
    static const int table[9][5] = {
        [FRESH] = {H, BAD, W, R, X},           [BACKLOG] = {H, BAD, W, R, X},
        [TIMER] = {H, BAD, W, R, X},           [ATTEMPT] = {NOW, NOW, NOW, NOW, NOW},
        [FETCH] = {NOW, NOW, NOW, NOW, NOW},   [RUNNING] = {NOW, NOW, NOW, NOW, NOW},
        [ORDERED] = {NOW, NOW, NOW, NOW, NOW}, [HELD] = {BAD, W, W, R, X},
        [FINAL] = {BAD, BAD, BAD, BAD, BAD},
    };
    for (int s = FRESH; s <= FINAL; s++)
        for (int what = QUEUE_HOLD; what <= QUEUE_REMOVE; what++) {
            assert_int_equal(kit_setup(state), 0);
            uint64_t id = in_state((enum state)s);
            enum disposition before = kit_disposition(id, 0);
            int expected = table[s][what];
            if (expected < 0) {
                assert_int_equal(order_row((enum queue_order)what, id, 0), -expected);
                assert_int_equal(kit_disposition(id, 0), before);
                kit_settle();
            } else {
                obey((enum queue_order)what, id, 0);
                assert_int_equal(kit_disposition(id, 0), expected);
                assert_int_equal(queue_figures(kit->q).n_rows, expected == W);
                if (expected != W)
                    kit_tick(24 * 3600);
            }
            kit_settle();
            assert_int_equal(kit_teardown(state), 0);
        }
}

static void what_is_released_is_delivered(void **)
{
    uint64_t id = in_state(HELD);
    kit->way[1] = WAY_OPEN;
    obey(QUEUE_RELEASE, id, 0);
    kit_end(id, kit_good);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
    kit_expect_empty();
}

static void releasing_begins_nothing_without_a_courier(void **)
{
    uint64_t id = in_state(HELD);
    kit->way[1] = WAY_OPEN;
    queue_stop(kit->q);
    obey(QUEUE_RELEASE, id, 0);
    assert_int_equal(kit_n_running(), 0);
    assert_int_equal(queue_figures(kit->q).n_rows, 1);
}

static void released_rows_of_one_message_go_together(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 3});
    kit_end(id, kit_content);
    kit->way[1] = WAY_CLOSED;
    for (uint16_t i = 0; i < 3; i++)
        obey(QUEUE_RELEASE, id, i);
    assert_int_equal(queue_figures(kit->q).n_items, 1);
    kit->way[1] = WAY_OPEN;
    queue_wake(kit->q, 1);
    kit_settle();
    assert_int_equal(kit_job_of(id)->n, 3);
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void one_row_of_several_is_decided_alone(void **)
{
    kit->way[1] = WAY_CLOSED;
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 3});
    obey(QUEUE_REMOVE, id, 1);
    assert_int_equal(queue_figures(kit->q).n_rows, 2);
    kit->way[1] = WAY_OPEN;
    queue_wake(kit->q, 1);
    kit_settle();
    struct kit_job *job = kit_job_of(id);
    assert_int_equal(job->n, 2);
    assert_int_equal(job->rcpts[0] + job->rcpts[1], 2);
    kit_end(id, kit_good);
    assert_int_equal(kit_disposition(id, 1), DISPOSITION_REMOVED);
    assert_int_equal(kit_disposition(id, 2), DISPOSITION_DELIVERED);
    kit_expect_empty();
}

static void a_decision_that_cannot_be_written_changes_nothing(void **state)
{
    static const enum state states[] = {FRESH, BACKLOG, TIMER, HELD};
    static const enum queue_order orders[] = {QUEUE_HOLD, QUEUE_RELEASE, QUEUE_REMOVE,
                                              QUEUE_RETURN};
    for (size_t s = 0; s < 4; s++)
        for (size_t k = 0; k < 4; k++) {
            if ((states[s] == HELD) == (orders[k] == QUEUE_HOLD) ||
                (states[s] != HELD && orders[k] == QUEUE_RELEASE))
                continue;
            assert_int_equal(kit_setup(state), 0);
            uint64_t id = in_state(states[s]);
            uint64_t rows = queue_figures(kit->q).n_rows;
            enum disposition before = kit_disposition(id, 0);
            unsigned n = ended.n;
            assert_int_equal(order_row(orders[k], id, 0), ERR_OK);
            if (kit->n_notices)
                queue_noticed(kit->q, kit->notices[0].cookie, ERR_OK);
            assert_true(kit_write_one(ERR_IO));
            kit_settle();
            assert_int_equal(ended.n, n + 1);
            assert_int_equal(ended.err, ERR_IO);
            assert_int_equal(kit_disposition(id, 0), before);
            assert_int_equal(queue_figures(kit->q).n_rows, rows);
            kit->way[1] = WAY_OPEN;
            queue_wake(kit->q, 1);
            kit_tick(1000);
            assert_true((kit_job_of(id) != NULL) == (states[s] != HELD));
            assert_int_equal(kit_teardown(state), 0);
        }
}

static void a_notice_that_may_not_be_sent_changes_nothing(void **)
{
    kit->may_notify = false;
    uint64_t held = in_state(HELD);
    assert_int_equal(order_row(QUEUE_RETURN, held, 0), ERR_DENIED);
    kit_settle();
    assert_int_equal(kit_disposition(held, 0), DISPOSITION_HELD);
    assert_int_equal(queue_figures(kit->q).n_rows, 0);
    uint64_t waiting = in_state(FRESH);
    assert_int_equal(order_row(QUEUE_RETURN, waiting, 0), ERR_DENIED);
    kit_settle();
    assert_int_equal(kit_disposition(waiting, 0), DISPOSITION_WAITING);
    assert_int_equal(queue_figures(kit->q).n_rows, 1);
}

static void nothing_is_returned_before_its_notice_is_durable(void **)
{
    uint64_t id = in_state(HELD);
    unsigned n = ended.n;
    assert_int_equal(order_row(QUEUE_RETURN, id, 0), ERR_OK);
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_HELD);
    assert_int_equal(order_row(QUEUE_RETURN, id, 0), ERR_CONFLICT); /* no second notice */
    queue_noticed(kit->q, kit->notices[0].cookie, ERR_FULL);
    kit_settle();
    assert_int_equal(ended.n, n + 1);
    assert_int_equal(ended.err, ERR_FULL);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_HELD);
    kit_expect_empty();
}

static void what_is_known_stands_before_the_decision(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.domain = "a.test"});
    assert_true(kit_result(kit_job_of(id), &kit_full, 1)); /* noted, not written yet */
    assert_int_equal(order_row(QUEUE_REMOVE, id, 0), ERR_OK);
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_REMOVED);
    kit_expect_empty();
}

static void a_retry_ends_the_rest_and_the_waiting(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.domain = "a.test"});
    kit_end(id, kit_silent);
    assert_null(kit_job_of(id));
    obey(QUEUE_RETRY, id, 0);
    assert_int_equal(ended.pos, 0);
    assert_non_null(kit_job_of(id));
    kit_end(id, kit_good);
    kit_expect_empty();
}

static void what_was_settled_meanwhile_is_a_conflict(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    assert_true(kit_result(kit_job_of(id), &kit_good, 1)); /* the reader does not show it yet */
    assert_int_equal(order_row(QUEUE_REMOVE, id, 0), ERR_CONFLICT);
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_in_every_state),
        TEST(what_is_released_is_delivered),
        TEST(releasing_begins_nothing_without_a_courier),
        TEST(released_rows_of_one_message_go_together),
        TEST(one_row_of_several_is_decided_alone),
        cmocka_unit_test(a_decision_that_cannot_be_written_changes_nothing),
        TEST(a_notice_that_may_not_be_sent_changes_nothing),
        TEST(nothing_is_returned_before_its_notice_is_durable),
        TEST(what_is_known_stands_before_the_decision),
        TEST(a_retry_ends_the_rest_and_the_waiting),
        TEST(what_was_settled_meanwhile_is_a_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
