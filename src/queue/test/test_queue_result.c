/* What becomes of deliveries: each fate, several recipients with different ones, notices, the
 * reply of a sender that waits. */
#include "queue_kit.h"

enum { FIVE_DAYS = 5 * 24 * 3600 };

static const struct kit_reply not_for_you = {AT_RCPT, 554, 5, 7, 1, false};
static const struct kit_reply kit_busy = {AT_RCPT, 451, 4, 3, 0, false};
static const struct kit_reply cut_at_dot = {AT_DOT, 0, 0, 0, 0, true};

/* ---- fates ---- */

static void each_reply_has_its_fate(void **)
{
    static const struct {
        const char *name;
        uint64_t primary;
        struct kit_reply reply;
        bool is_unknown, has_no_notice;
        enum disposition disposition;
        uint32_t refusal;
        bool is_double;
        enum continuity_evidence evidence;
    } cases[] = {
        {"primary takes it",
         1,
         {AT_DOT, 250, 2, 0, 0, true},
         false,
         false,
         DISPOSITION_DELIVERED,
         0,
         false,
         EVIDENCE_GOOD},
        {"primary is silent",
         1,
         {AT_CONNECT, 0, 0, 0, 0, false},
         false,
         false,
         DISPOSITION_WAITING,
         0,
         false,
         EVIDENCE_BAD},
        {"cut at the dot",
         1,
         {AT_DOT, 0, 0, 0, 0, true},
         false,
         false,
         DISPOSITION_WAITING,
         0,
         true,
         EVIDENCE_BAD},
        {"primary is full",
         1,
         {AT_RCPT, 452, 4, 2, 2, false},
         false,
         false,
         DISPOSITION_WAITING,
         0,
         false,
         EVIDENCE_NONE},
        {"content, nobody waits",
         1,
         {AT_DOT, 554, 5, 6, 0, true},
         false,
         false,
         DISPOSITION_HELD,
         1 + REFUSE_HOLD_REFUSED,
         false,
         EVIDENCE_GOOD},
        {"a person it does not know",
         1,
         {AT_RCPT, 550, 5, 1, 1, false},
         false,
         false,
         DISPOSITION_WAITING,
         0,
         false,
         EVIDENCE_NONE},
        {"nobody of ours",
         1,
         {AT_RCPT, 550, 5, 1, 1, false},
         true,
         false,
         DISPOSITION_HELD,
         1 + REFUSE_HOLD_REFUSED,
         false,
         EVIDENCE_NONE},
        {"primary does not like us",
         1,
         {AT_MAIL, 550, 5, 7, 1, false},
         false,
         false,
         DISPOSITION_WAITING,
         0,
         false,
         EVIDENCE_REFUSES},
        {"the world takes it",
         0,
         {AT_DOT, 250, 2, 0, 0, true},
         false,
         false,
         DISPOSITION_DELIVERED,
         0,
         false,
         EVIDENCE_NONE},
        {"the world is busy",
         0,
         {AT_RCPT, 451, 4, 3, 0, false},
         false,
         false,
         DISPOSITION_WAITING,
         0,
         false,
         EVIDENCE_NONE},
        {"the world refuses",
         0,
         {AT_RCPT, 550, 5, 1, 1, false},
         false,
         false,
         DISPOSITION_RETURNED,
         0,
         false,
         EVIDENCE_NONE},
        {"the world refuses, no notice",
         0,
         {AT_RCPT, 550, 5, 1, 1, false},
         false,
         true,
         DISPOSITION_HELD,
         1 + REFUSE_HOLD_NOTICE,
         false,
         EVIDENCE_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        kit->n_evidence = kit->n_notices = 0;
        kit->may_notify = !cases[i].has_no_notice;
        uint64_t id = kit_mail(
            &(struct kit_mail){.primary = cases[i].primary, .is_unknown = cases[i].is_unknown});
        struct kit_job *job = kit_job_of(id);
        if (!job)
            fail_msg("%s: no delivery", cases[i].name);
        kit_end(id, cases[i].reply);
        if (kit->n_notices > 0) {
            assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
            assert_true(kit_row(id, 0)->is_attempting); /* until the notice is durable */
            queue_noticed(kit->q, kit->notices[0].cookie, ERR_OK);
            kit_settle();
        }
        const struct kit_row *row = kit_row(id, 0);
        if (row->last.disposition != cases[i].disposition || row->is_double != cases[i].is_double ||
            row->last.refusal != cases[i].refusal || row->is_attempting)
            fail_msg("%s: %s, refusal %u", cases[i].name, disposition_name(row->last.disposition),
                     row->last.refusal);
        enum continuity_evidence e = kit->n_evidence ? kit->evidence[0].evidence : EVIDENCE_NONE;
        if (e != cases[i].evidence)
            fail_msg("%s: evidence %d", cases[i].name, e);
        kit_queue_anew(1000, 1 << 20); /* rests and what waits end with the old one */
    }
}

static void one_mailbox_that_is_gone_says_nothing_about_its_system(void **)
{
    struct kit_mail one = {.primary = 1}, two = {.primary = 1, .domain = "b.test"};
    uint64_t first = kit_mail(&one);
    kit_end(first, kit_unknown);
    kit_end(kit_mail(&one), kit_unknown);
    kit_tick(15);
    kit_end(first, kit_unknown); /* again */
    assert_int_equal(kit->n_evidence, 0);
    uint64_t second = kit_mail(&two);
    kit_end(second, kit_unknown); /* a second person */
    assert_int_equal(kit->n_evidence, 1);
    assert_int_equal(kit->evidence[0].evidence, EVIDENCE_REFUSES);
    kit_tick(15);
    kit_end(second, kit_unknown); /* the same message again says nothing new */
    assert_int_equal(kit->n_evidence, 1);
    kit_end(kit_mail(&one), kit_good);
    kit_end(kit_mail(&two), kit_unknown); /* after a success it begins anew */
    assert_int_equal(kit->n_evidence, 2);
    assert_int_equal(kit->evidence[1].evidence, EVIDENCE_GOOD);
}

static void what_speaks_against_a_primary_is_its_reply_with_the_code(void **)
{
    static char endless[600];
    static const struct {
        struct kit_reply reply;
        const char *words, *expected;
    } cases[] = {
        {{AT_CONNECT, 421, 4, 3, 2, false}, "going down", "421 5.5.5 going down"},
        {{AT_DOT, 451, 4, 3, 0, true},
         "two\nlines \x1b[31m\xc3\xa0",
         "451 5.5.5 two lines ?[31m??"},
        {{AT_CONNECT, 0, 0, 0, 0, false}, "no answer", "no answer"},
        {{AT_DOT, 451, 4, 3, 0, true}, "", "451 5.5.5 "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        kit->n_evidence = 0;
        kit->words = cases[i].words;
        kit_end(kit_mail(&(struct kit_mail){.primary = 1}), cases[i].reply);
        assert_int_equal(kit->n_evidence, 1);
        assert_string_equal(kit->evidence[0].text, cases[i].expected);
        kit_queue_anew(1000, 1 << 20);
    }
    memset(endless, 'x', sizeof(endless) - 1);
    kit->words = endless;
    kit->n_evidence = 0;
    kit_end(kit_mail(&(struct kit_mail){.primary = 1}), cases[0].reply);
    assert_int_equal(strlen(kit->evidence[0].text), 10 + 250);
}

static void recipients_of_one_delivery_have_their_own_fates(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.n_rcpts = 4});
    struct kit_reply replies[] = {kit_good, kit_full, kit_unknown, kit_unknown};
    assert_true(kit_result(kit_job_of(id), replies, 4));
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
    assert_int_equal(kit_disposition(id, 1), DISPOSITION_WAITING);
    assert_int_equal(kit->n_notices, 1); /* one notice for both */
    assert_int_equal(kit->notices[0].n, 2);
    queue_noticed(kit->q, kit->notices[0].cookie, ERR_OK);
    kit_settle();
    assert_int_equal(kit_disposition(id, 2), DISPOSITION_RETURNED);
    assert_int_equal(kit_disposition(id, 3), DISPOSITION_RETURNED);
    assert_int_equal(kit->moved, id);
    assert_int_equal(kit->n_moved, 4);
    assert_int_equal(kit_row(id, 2)->notice, KIT_NOTICE);
    assert_int_equal(kit_row(id, 1)->notice, 0);
    assert_int_equal(queue_figures(kit->q).n_rows, 1);
    kit_tick(200);
    assert_int_equal(kit_job_of(id)->n, 1);
    assert_int_equal(kit_job_of(id)->rcpts[0], 1);
    kit_end(id, kit_good);
    assert_int_equal(kit_row(id, 1)->last.attempts, 2);
    kit_expect_empty();
}

static void a_recipient_without_an_outcome_goes_on_waiting(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.n_rcpts = 2});
    struct kit_job *job = kit_job_of(id);
    job->n = 1;
    kit_end(id, kit_good);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
    assert_int_equal(kit_disposition(id, 1), DISPOSITION_WAITING);
    assert_true(kit_row(id, 1)->is_double); /* the dot went out */
}

static void many_that_are_held_are_one_alarm(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 50});
    kit_end(id, kit_content);
    assert_int_equal(kit->n_told, 1);
    assert_int_equal(kit->told[0].class, EVENT_ALARM);
    assert_string_equal(kit->told[0].name, "queue.held");
    assert_non_null(strstr(kit->told[0].text, "50 recipients"));
    for (uint16_t i = 0; i < 50; i++)
        assert_int_equal(kit_disposition(id, i), DISPOSITION_HELD);
    kit_expect_empty();
}

/* ---- time ---- */

static void mail_to_the_world_is_given_up_after_five_days(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.domain = "slow.test"});
    kit_end(id, kit_silent);
    assert_int_equal(kit->n_notices, 0);
    kit_tick(FIVE_DAYS + 60);
    kit_end(id, kit_silent);
    assert_int_equal(kit->n_notices, 1);
    queue_noticed(kit->q, kit->notices[0].cookie, ERR_OK);
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_RETURNED);
    kit_tick(24 * 3600);
    kit_expect_empty();
}

static void our_own_failure_gives_nothing_up(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.domain = "slow.test"});
    kit_end(id, kit_silent);
    kit->is_courier_away = true;
    kit_tick(FIVE_DAYS + 60);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
    assert_int_equal(kit->n_notices, 0);
}

static void mail_for_a_primary_never_expires(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    kit_end(id, kit_silent);
    kit_tick(30 * 24 * 3600);
    kit_end(id, kit_silent);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
    assert_int_equal(kit->n_notices, 0);
}

static void attempts_of_one_recipient_lie_further_and_further_apart(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.domain = "full.test"});
    int64_t last = 0;
    for (int i = 0; i < 5; i++) {
        kit_end(id, kit_full);
        int64_t wait = kit_row(id, 0)->last.due - utc_now();
        assert_true(wait > last);
        last = wait;
        kit_tick(wait / 1000 - 1);
        assert_null(kit_job_of(id));
        kit_tick(2);
    }
}

/* ---- notices ---- */

static void who_wants_no_notice_gets_none(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.notify = WIRE_NOTIFY_NEVER});
    kit_end(id, kit_unknown);
    assert_int_equal(kit->n_notices, 0);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_RETURNED);
    kit_expect_empty();
}

static void a_notice_that_is_forbidden_holds_the_row_and_says_so(void **)
{
    kit->may_notify = false;
    uint64_t id = kit_mail(&(struct kit_mail){.n_rcpts = 2});
    kit_end(id, kit_unknown);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_HELD);
    assert_int_equal(kit_row(id, 1)->last.refusal, 1 + REFUSE_HOLD_NOTICE);
    assert_int_equal(kit->n_told, 1);
    kit_expect_empty();
}

static void a_notice_that_could_not_be_written_holds_the_row(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.n_rcpts = 2});
    kit_end(id, kit_unknown);
    queue_noticed(kit->q, kit->notices[0].cookie, ERR_FULL);
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_HELD);
    assert_int_equal(kit_row(id, 1)->last.refusal, 1 + REFUSE_HOLD_NOTICE_FAILED);
    assert_int_equal(kit->told[0].class, EVENT_ALARM);
    kit_expect_empty();
}

static void the_queue_may_end_while_a_notice_is_under_way(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.n_rcpts = 2});
    kit_end(id, kit_unknown);
    assert_int_equal(kit->n_notices, 1); /* the leak checker looks at the rest */
}

/* ---- a sender waits ---- */

static void the_senders_reply_is_the_primarys(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .is_answer_waiting = true});
    kit_end(id, kit_good);
    assert_int_equal(kit->n_answers, 1);
    assert_int_equal(kit->answers[0].message, id);
    assert_false(kit->answers[0].is_refused);
    kit_expect_empty();
}

static void a_refusal_of_the_content_is_passed_through_and_nothing_is_kept(void **)
{
    unsigned char merged[] = {2, 0, 3, 0};
    uint64_t id = kit_take(&(struct kit_mail){.primary = 1,
                                              .n_rcpts = 2,
                                              .is_answer_waiting = true,
                                              .merged = slice_of((char *)merged, 4)});
    for (uint16_t rcpt = 2; rcpt < 4; rcpt++) /* two members of a group */
        kit->rows[kit->n_rows++] = (struct kit_row){
            .message = id, .rcpt = rcpt, .last.disposition = DISPOSITION_MERGED, .is_there = true};
    kit_settle();
    kit_end(id, kit_content);
    assert_true(kit->answers[0].is_refused);
    assert_int_equal(kit->answers[0].code, 554);
    for (uint16_t rcpt = 0; rcpt < 4; rcpt++)
        assert_int_equal(kit_disposition(id, rcpt), DISPOSITION_REFUSED);
    assert_int_equal(kit->n_notices + kit->n_told, 0);
    kit_expect_empty();
}

static void a_refusal_for_some_only_is_held_after_the_250(void **)
{
    uint64_t id =
        kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 2, .is_answer_waiting = true});
    struct kit_reply replies[] = {kit_good, kit_content};
    assert_true(kit_result(kit_job_of(id), replies, 2));
    kit_settle();
    assert_false(kit->answers[0].is_refused);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
    assert_int_equal(kit_disposition(id, 1), DISPOSITION_HELD);
    kit_expect_empty();
}

static void a_primary_that_refuses_us_never_bounces_the_companys_mail(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .is_answer_waiting = true});
    kit_end(id, not_for_you);
    assert_false(kit->answers[0].is_refused);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_WAITING);
}

static void silence_is_a_250_and_waits(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .is_answer_waiting = true});
    kit_end(id, cut_at_dot);
    assert_int_equal(kit->n_answers, 1);
    assert_false(kit->answers[0].is_refused);
    assert_true(kit_row(id, 0)->is_double);
    kit_tick(5);
    kit_end(id, kit_content); /* nobody waits any more: it cannot be passed through */
    assert_int_equal(kit->n_answers, 1);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_HELD);
}

static void who_has_its_250_gets_no_refusal(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .is_answer_waiting = true});
    queue_give_up_answer(kit->q, id); /* its 20 seconds are over */
    kit_end(id, kit_content);
    assert_int_equal(kit->n_answers, 0);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_HELD);
}

static void without_a_slot_nobody_waits(void **)
{
    kit->way[1] = WAY_CLOSED;
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .is_answer_waiting = true});
    kit->way[1] = WAY_OPEN;
    queue_wake(kit->q, 1);
    kit_settle();
    kit_end(id, kit_content);
    assert_int_equal(kit->n_answers, 0);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_HELD);
}

/* ---- writing ---- */

static void results_of_one_turn_are_one_record(void **)
{
    uint64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = kit_mail(&(struct kit_mail){.primary = 1});
    size_t before = kit->n_result_records;
    for (int i = 0; i < 3; i++)
        assert_true(kit_result(kit_job_of(ids[i]), &kit_good, 1));
    kit_settle();
    assert_int_equal(kit->n_result_records, before + 1);
}

static void results_that_the_disk_refuses_are_written_when_it_takes_them(void **)
{
    static const enum err refusals[] = {ERR_FULL, ERR_IO, ERR_IO};
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    assert_true(kit_result(kit_job_of(id), &kit_good, 1));
    queue_flush(kit->q);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        assert_true(kit_write_one(refusals[i]));
        kit_settle();
        assert_true(kit_row(id, 0)->is_attempting);
        queue_tick(kit->q);
        assert_true(list_empty(&kit->submitted)); /* not at once again */
        kit_later(2);
        queue_tick(kit->q);
    }
    kit_settle();
    assert_false(kit_row(id, 0)->is_attempting);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
    kit_expect_empty();
}

/* Who looks when the number is reached finds it, or is told once more. */
static void what_moved_is_in_a_record_with_a_number(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    uint64_t before = queue_noted(kit->q);
    assert_true(queue_written(kit->q) >= before);
    assert_true(kit_result(kit_job_of(id), &kit_good, 1));
    uint64_t noted = queue_noted(kit->q);
    assert_int_equal(noted, before + 1);
    queue_flush(kit->q);
    assert_int_equal(queue_noted(kit->q), noted);
    assert_int_equal(queue_written(kit->q), before);
    assert_true(kit_write_one(ERR_IO));
    assert_int_equal(queue_written(kit->q), noted);
    kit_run_posts();
    kit_later(2);
    queue_tick(kit->q);
    kit_settle();
    assert_int_equal(queue_written(kit->q), noted);
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
}

static void nothing_begins_before_what_is_known_is_written(void **)
{
    uint64_t first = kit_mail(&(struct kit_mail){.primary = 1});
    assert_true(kit_result(kit_job_of(first), &kit_good, 1));
    queue_flush(kit->q);
    assert_true(kit_write_one(ERR_FULL));
    kit_run_posts();
    kit->way[1] = WAY_CLOSED;
    uint64_t second = kit_mail(&(struct kit_mail){.primary = 1});
    kit->way[1] = WAY_OPEN;
    queue_wake(kit->q, 1);
    kit_settle();
    assert_null(kit_job_of(second));
    kit_later(2);
    queue_tick(kit->q);
    kit_settle();
    assert_int_equal(kit_disposition(first, 0), DISPOSITION_DELIVERED);
    assert_non_null(kit_job_of(second));
    assert_true(kit_result(kit_job_of(second), &kit_good, 1));
    kit_settle();
    kit_expect_empty();
}

/* The attempt was on its way before anybody knew: it must not be closed by what came before it. */
static void a_result_that_was_overtaken_is_not_written(void **)
{
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1});
    assert_true(kit_result(kit_job_of(id), &kit_busy, 1));
    queue_wake(kit->q, 1); /* result and attempt stand in the store's queue */
    assert_true(kit_write_one(ERR_IO));
    assert_true(kit_write_one(ERR_OK));
    kit_settle();
    assert_true(kit_row(id, 0)->is_attempting && kit_row(id, 0)->is_double);
    kit_later(2);
    queue_tick(kit->q);
    kit_settle();
    assert_true(kit_row(id, 0)->is_attempting);
    assert_true(kit_result(kit_job_of(id), &kit_good, 1));
    kit_settle();
    assert_int_equal(kit_disposition(id, 0), DISPOSITION_DELIVERED);
    kit_expect_empty();
}

static void longest_texts_fit(void **)
{
    static char text[700];
    memset(text, 'x', sizeof(text));
    uint64_t id = kit_mail(&(struct kit_mail){.primary = 1, .n_rcpts = 60});
    struct kit_job *job = kit_job_of(id);
    struct queue_outcome outcomes[60];
    for (uint16_t i = 0; i < 60; i++)
        outcomes[i] = (struct queue_outcome){.rcpt = i,
                                             .reply = {.phase = AT_RCPT, .code = 451},
                                             .enhanced = slice_of(text, 16),
                                             .text = slice_of(text, 700)};
    struct queue_result r = {
        .message = id, .remote = slice_of(text, 700), .outcomes = outcomes, .n_outcomes = 60};
    job->is_over = true;
    assert_true(queue_result(kit->q, job->tag, &r));
    kit_settle();
    assert_int_equal(kit_disposition(id, 59), DISPOSITION_WAITING);
    SCOPED(buf_finish) struct buf why = buf_make(1000);
    queue_explain(kit->q, id, &why);
    assert_non_null(strstr(buf_cstr(&why), "(last: xxx"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_reply_has_its_fate),
        TEST(one_mailbox_that_is_gone_says_nothing_about_its_system),
        TEST(what_speaks_against_a_primary_is_its_reply_with_the_code),
        TEST(recipients_of_one_delivery_have_their_own_fates),
        TEST(a_recipient_without_an_outcome_goes_on_waiting),
        TEST(many_that_are_held_are_one_alarm),
        TEST(mail_to_the_world_is_given_up_after_five_days),
        TEST(our_own_failure_gives_nothing_up),
        TEST(mail_for_a_primary_never_expires),
        TEST(attempts_of_one_recipient_lie_further_and_further_apart),
        TEST(who_wants_no_notice_gets_none),
        TEST(a_notice_that_is_forbidden_holds_the_row_and_says_so),
        TEST(a_notice_that_could_not_be_written_holds_the_row),
        TEST(the_queue_may_end_while_a_notice_is_under_way),
        TEST(the_senders_reply_is_the_primarys),
        TEST(a_refusal_of_the_content_is_passed_through_and_nothing_is_kept),
        TEST(a_refusal_for_some_only_is_held_after_the_250),
        TEST(a_primary_that_refuses_us_never_bounces_the_companys_mail),
        TEST(silence_is_a_250_and_waits),
        TEST(who_has_its_250_gets_no_refusal),
        TEST(without_a_slot_nobody_waits),
        TEST(results_of_one_turn_are_one_record),
        TEST(results_that_the_disk_refuses_are_written_when_it_takes_them),
        TEST(what_moved_is_in_a_record_with_a_number),
        TEST(nothing_begins_before_what_is_known_is_written),
        TEST(a_result_that_was_overtaken_is_not_written),
        TEST(longest_texts_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
