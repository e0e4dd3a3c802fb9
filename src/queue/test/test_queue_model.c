/* Anything in any order, a hundred thousand times: no row is ever lost, and none arrives twice
 * without being marked as a possible double. */
#include "queue_kit.h"

enum { STEPS = 100000, CALM_EVERY = 1000, ROWS_KEPT = 400, PLANNED_MAX = 8 };

static uint64_t seed;

static unsigned any(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % n);
}

static bool chance(unsigned percent)
{
    return any(100) < percent;
}

/* ---- the model: what was accepted, what arrived ---- */

static struct {
    uint64_t n_accepted;
    uint64_t by[DISPOSITION_N]; /* rows that are final and forgotten */
    uint64_t n_arrived, n_doubles;
    struct kit_planned planned[PLANNED_MAX]; /* records on their way to the disk */
    size_t n_planned, n_planned_rows[PLANNED_MAX];
} model;

static void note_arrival(uint64_t message, uint16_t rcpt)
{
    struct kit_row *row = kit_row(message, rcpt);
    row->n_arrived++;
    model.n_arrived++;
}

static void check_arrivals(const struct kit_row *row)
{
    if (row->n_arrived > 1 && !row->is_double)
        fail_msg("a row arrived %u times and nobody knows", row->n_arrived);
    if (row->last.disposition == DISPOSITION_DELIVERED && row->n_arrived == 0)
        fail_msg("a row is delivered but never arrived");
}

/* Rows that are final leave the list, so that looking things up stays quick. */
static void forget_final_rows(void)
{
    size_t n = 0;
    for (size_t i = 0; i < kit->n_rows; i++) {
        struct kit_row *row = &kit->rows[i];
        enum disposition is = row->last.disposition;
        if (row->is_there && !row->is_attempting && is != DISPOSITION_WAITING &&
            is != DISPOSITION_HELD) {
            check_arrivals(row);
            model.n_doubles += row->is_double;
            model.by[is]++;
            continue;
        }
        if (!row->is_there && !row->is_planned)
            continue;
        kit->rows[n++] = *row;
    }
    kit->n_rows = n;
    for (n = 0; n < kit->n_rows; n++) /* their texts moved with them */
        kit->rows[n].last.text = slice_str(kit->rows[n].text);
    size_t n_jobs = 0;
    for (size_t i = 0; i < kit->n_jobs; i++)
        if (!kit->jobs[i].is_over)
            kit->jobs[n_jobs++] = kit->jobs[i];
    kit->n_jobs = n_jobs;
}

static void check_sums(void)
{
    uint64_t sum = 0, n_waiting = 0;
    for (int i = 0; i < DISPOSITION_N; i++)
        sum += model.by[i];
    for (size_t i = 0; i < kit->n_rows; i++) {
        check_arrivals(&kit->rows[i]);
        sum += kit->rows[i].is_there;
        n_waiting += kit->rows[i].is_there && kit->rows[i].last.disposition == DISPOSITION_WAITING;
    }
    assert_int_equal(sum, model.n_accepted);
    assert_true(queue_figures(kit->q).n_rows + kit->n_notices * 64 + 64 * PLANNED_MAX >= n_waiting);
}

/* ---- steps ---- */

static void begin_mail(void)
{
    static const char *const domains[] = {"a.test", "b.test", "c.test"};
    if (model.n_planned == PLANNED_MAX || kit->n_rows > ROWS_KEPT)
        return;
    struct kit_mail mail = {.primary = any(3),
                            .domain = domains[any(3)],
                            .n_rcpts = 1 + any(4),
                            .notify = chance(10) ? WIRE_NOTIFY_NEVER : 0,
                            .is_answer_waiting = chance(30),
                            .is_unknown = chance(10)};
    model.n_planned_rows[model.n_planned] = mail.n_rcpts;
    model.planned[model.n_planned++] = kit_plan(&mail);
}

static void end_mail(bool is_kept)
{
    if (model.n_planned == 0)
        return;
    struct kit_planned p = model.planned[0];
    size_t n_rows = model.n_planned_rows[0];
    model.n_planned--;
    memmove(model.planned, model.planned + 1, model.n_planned * sizeof(p));
    memmove(model.n_planned_rows, model.n_planned_rows + 1, model.n_planned * sizeof(n_rows));
    if (is_kept)
        model.n_accepted += n_rows;
    kit_end_plan(&p, is_kept);
}

static struct kit_job *any_job(void)
{
    size_t n = kit_n_running();
    if (n == 0)
        return NULL;
    n = any((unsigned)n);
    for (size_t i = 0; i < kit->n_jobs; i++)
        if (!kit->jobs[i].is_over && n-- == 0)
            return &kit->jobs[i];
    return NULL;
}

static void end_job(struct kit_job *job, bool is_well)
{
    static const struct kit_reply choices[] = {
        {AT_DOT, 250, 2, 0, 0, true},    {AT_DOT, 250, 2, 0, 0, true},
        {AT_CONNECT, 0, 0, 0, 0, false}, {AT_RCPT, 452, 4, 2, 2, false},
        {AT_DOT, 554, 5, 6, 0, true},    {AT_RCPT, 550, 5, 1, 1, false},
        {AT_DOT, 0, 0, 0, 0, true},      {AT_MAIL, 421, 4, 3, 2, false},
    };
    struct kit_reply replies[64];
    bool is_one_for_all = chance(50);
    for (size_t i = 0; i < job->n; i++) {
        replies[i] = is_well ? kit_good : choices[any(8)];
        if (i > 0 && is_one_for_all)
            replies[i] = replies[0];
        bool may_be_there = replies[i].code == 0 && replies[i].is_sent;
        if (replies[i].code == 250 || (may_be_there && chance(50)))
            note_arrival(job->message, job->rcpts[i]);
    }
    assert_true(kit_result(job, replies, job->n));
}

static void lose_courier(void)
{
    for (size_t i = 0; i < kit->n_jobs; i++) {
        struct kit_job *job = &kit->jobs[i];
        if (job->is_over)
            continue;
        job->is_over = true;
        for (size_t k = 0; k < job->n; k++)
            if (chance(30))
                note_arrival(job->message, job->rcpts[k]);
    }
    queue_courier_lost(kit->q);
}

static void end_notice(enum err err)
{
    if (kit->n_notices == 0)
        return;
    queue_noticed(kit->q, kit->notices[--kit->n_notices].cookie, err);
}

static void end_fetch(enum err err)
{
    if (kit->n_fetches == 0)
        return;
    kit->fetch_err = err;
    kit_fetch_now(NULL);
}

static void write_some(void)
{
    for (unsigned n = any(4); n > 0 && !list_empty(&kit->submitted); n--)
        kit_write_one(chance(10) ? ERR_IO : ERR_OK);
}

static void order_done(void *, enum err, uint64_t)
{
}

static void order_something(void)
{
    if (kit->n_rows == 0 || kit->n_notices > KIT_SAID - 4)
        return;
    const struct kit_row *r = &kit->rows[any((unsigned)kit->n_rows)];
    if (!r->is_there)
        return;
    struct store_row row = {.message = r->message,
                            .rcpt = r->rcpt,
                            .facts = {.address = slice_str(r->address), .primary = r->primary},
                            .last = r->last,
                            .bytes = KIT_MESSAGE_BYTES,
                            .received = (utc_ms)(r->message >> 20),
                            .mail_from = SLICE("sender@outside.test")};
    struct queue_facts facts = {.id = r->message,
                                .tenant = 1,
                                .bytes = KIT_MESSAGE_BYTES,
                                .received = row.received,
                                .mail_from = row.mail_from};
    struct queue_decision decision = {.what = (enum queue_order)any(5),
                                      .row = &row,
                                      .is_known = chance(90),
                                      .facts = &facts,
                                      .by = SLICE("luca")};
    struct queue_order_done done = {order_done, NULL};
    struct errinfo ei;
    (void)queue_order(kit->q, &decision, done, &ei); /* a refusal is an answer too */
}

static void step(void)
{
    kit->n_answers = 0;
    kit->may_notify = chance(80) && kit->n_notices < KIT_SAID - 4;
    switch (any(16)) {
    case 0:
    case 1:
    case 2:
        begin_mail();
        break;
    case 3:
    case 4:
        end_mail(chance(95));
        break;
    case 5:
    case 6:
    case 7:
        if (any_job())
            end_job(any_job(), chance(50));
        break;
    case 8:
        write_some();
        break;
    case 9:
        kit_run_posts();
        break;
    case 10:
        kit_later(any(30));
        queue_tick(kit->q);
        break;
    case 11:
        kit->way[any(3)] = (enum continuity_way)any(3);
        queue_wake(kit->q, 1 + any(2));
        break;
    case 12:
        if (chance(10))
            lose_courier();
        else if (chance(50))
            queue_start(kit->q);
        kit->is_courier_away = chance(5);
        break;
    case 13:
        end_fetch(chance(90) ? ERR_OK : chance(50) ? ERR_IO : ERR_CORRUPT);
        break;
    case 14:
        end_notice(chance(90) ? ERR_OK : ERR_IO);
        break;
    case 15:
        order_something();
        break;
    }
    if (chance(20))
        queue_flush(kit->q);
    kit->wakes_on_evidence = chance(10);
}

/* Everything that waits for somebody gets its answer, until nothing moves. */
static void come_to_rest(void)
{
    kit->wakes_on_evidence = 0;
    for (;;) {
        kit_settle();
        if (model.n_planned)
            end_mail(true);
        else if (kit->n_notices)
            end_notice(ERR_OK);
        else if (kit->n_fetches)
            end_fetch(ERR_OK);
        else if (any_job())
            end_job(any_job(), true);
        else
            return;
    }
}

static size_t count(enum disposition d)
{
    size_t n = 0;
    for (size_t i = 0; i < kit->n_rows; i++)
        n += kit->rows[i].is_there && kit->rows[i].last.disposition == d;
    return n;
}

/* Stop the world: figures are exact, and what waits is really there, for it can be delivered. */
static void calm(bool is_end)
{
    kit->may_notify = true;
    kit->is_courier_away = false;
    memset(kit->way, 0, sizeof(kit->way));
    come_to_rest();
    kit_later(2); /* what the disk refused is written again */
    queue_tick(kit->q);
    come_to_rest();
    assert_int_equal(queue_figures(kit->q).n_running, 0);
    assert_int_equal(queue_figures(kit->q).bytes_running, 0);
    assert_int_equal(queue_figures(kit->q).n_rows, count(DISPOSITION_WAITING));
    forget_final_rows();
    check_sums();
    if (!is_end)
        return;
    queue_start(kit->q);
    for (int i = 0; i < 20; i++) {
        kit_later(4000);
        queue_tick(kit->q);
        queue_wake(kit->q, 1);
        queue_wake(kit->q, 2);
        come_to_rest();
    }
    assert_int_equal(count(DISPOSITION_WAITING), 0);
    forget_final_rows();
    check_sums();
    kit_expect_empty();
}

static void no_row_is_lost_and_none_is_double_unknown(void **)
{
    kit->is_fetch_slow = true;
    for (int i = 1; i <= STEPS; i++) {
        step();
        if (kit->n_rows > ROWS_KEPT || i % 100 == 0) {
            forget_final_rows();
            check_sums();
        }
        if (i % CALM_EVERY == 0)
            calm(i % (10 * CALM_EVERY) == 0);
    }
    calm(true);
    assert_true(model.n_accepted > STEPS / 20);
    assert_true(model.by[DISPOSITION_DELIVERED] > 1000);
    assert_true(model.by[DISPOSITION_RETURNED] > 100);
    assert_true(model.by[DISPOSITION_REFUSED] > 0);
    assert_true(model.by[DISPOSITION_REMOVED] > 100);
    assert_true(model.n_doubles > 100);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 88172645463325252u;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_row_is_lost_and_none_is_double_unknown, kit_setup,
                                        kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
