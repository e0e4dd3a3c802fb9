/* What people did in their mailboxes is given back: what is asked of the liaison, what its answers
 * do, and what happens when anybody dies in the middle. The test plays the liaison; what people did
 * is written into the store while the desk is away. */
#include "desk_kit_mailback.h"

#include "desk/desk_account_int.h"
#include "desk/desk_int.h"

/* ---- what goes ---- */

static void what_people_did_goes_once(void **)
{
    struct deeds w;
    found_company();
    uint64_t read = delivered("anna@example.test", "read@outside.test");
    uint64_t filed = delivered("anna@example.test", "filed@outside.test");
    uint64_t deleted = delivered("anna@example.test", "deleted@outside.test");
    (void)delivered("anna@example.test", "untouched@outside.test");
    deeds_begin(&w);
    make_boxes(&w);
    change(&w, read, EMAIL_SEEN | EMAIL_ANSWERED, 0, false);
    change(&w, filed, 0, BOX_ROSSI, false);
    change(&w, deleted, EMAIL_SEEN, 0, true);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT | EMAIL_SEEN);
    deeds_end(&w);
    struct question q = next_question();
    const struct ipc_mailbox_op *op = q.todo.ops;
    char id[MESSAGE_ID_TEXT];
    message_id_text(read, id);
    assert_int_equal(q.todo.n_ops, 4);
    assert_true(slice_eq(q.todo.server[0].user, SLICE("anna@example.test*admin")));
    assert_int_equal(op[0].what, IPC_OP_SET);
    assert_true(slice_eq(op[0].trace, slice_str(id)));
    assert_true(slice_eq(op[0].message_id, SLICE("<read@outside.test>")));
    assert_true(has_flag(&op[0], "\\Seen") && has_flag(&op[0], "\\Answered"));
    assert_int_equal(op[0].fate, IPC_FATE_STAY);
    assert_int_equal(op[1].fate, IPC_FATE_MOVE);
    assert_int_equal(op[1].role, IPC_FOLDER_NONE);
    assert_int_equal(op[1].n_folder, 2);
    assert_true(slice_eq(op[1].folder[0].text, SLICE("Clients")));
    assert_true(slice_eq(op[1].folder[1].text, SLICE("Rossi")));
    assert_int_equal(op[1].from_role, IPC_FOLDER_INBOX);
    assert_int_equal(op[2].fate, IPC_FATE_TRASH);
    assert_int_equal(op[3].what, IPC_OP_APPEND);
    assert_int_equal(op[3].role, IPC_FOLDER_DRAFTS);
    assert_int_equal(op[3].internal_date, made_at);
    assert_true(has_flag(&op[3], "\\Draft"));
    assert_int_equal(op[3].trace.n, 0);
    assert_true(slice_eq(buf_slice(&q.content), slice_str(draft_body)));
    answer_well(&q);
    assert_int_equal(await_done(4).told.n_waiting, 0);
    nothing_goes();
    deeds_begin(&w); /* the program ends and begins again */
    deeds_end(&w);
    nothing_goes();
    assert_int_equal(show().told.n_done, 4);
}

static void what_was_given_before_is_changed_and_not_added_again(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question();
    answer_well(&q);
    (void)await_done(1);
    deeds_begin(&w); /* it was sent: another one takes its place */
    destroy_draft(&w, made_here(1), BOX_DRAFTS);
    write_draft(&w, made_here(2), BOX_TRASH, EMAIL_SEEN);
    deeds_end(&w);
    q = next_question();
    assert_int_equal(q.todo.n_ops, 2);
    assert_int_equal(q.todo.ops[0].what, IPC_OP_SET);
    assert_int_equal(q.todo.ops[0].fate, IPC_FATE_EXPUNGE);
    assert_int_equal(q.todo.ops[1].what, IPC_OP_APPEND);
    answer_well(&q);
    (void)await_done(3);
}

static void what_rules_of_ours_took_away_goes_nowhere(void **)
{
    struct deeds w;
    found_company();
    uint64_t old = delivered("anna@example.test", "old@outside.test");
    (void)delivered("anna@example.test", "boxless@outside.test");
    deeds_begin(&w);
    change(&w, old, EMAIL_SEEN | EMAIL_BY_RULE, 0, true);
    remove_box(&w, KIT_BOX_ANNA, "inbox");
    deeds_end(&w);
    nothing_goes();
    assert_int_equal(show().told.n_waiting, 0);
}

static void mail_that_waits_goes_before_what_was_done_with_it(void **)
{
    struct deeds w;
    found_company();
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"},
                                                           .message_id = "w@outside.test"});
    uint64_t untouched = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"}});
    assert_int_equal(kit_order(QUEUE_HOLD, id, 0), ERR_OK);
    assert_int_equal(kit_order(QUEUE_HOLD, untouched, 0), ERR_OK);
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    nothing_goes(); /* in an emergency */
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_RETURN), ERR_OK);
    nothing_goes(); /* it is held */
    struct asked a = show();
    assert_int_equal(a.told.n_waiting, 1);
    assert_string_equal(a.result, "delivery");
    assert_int_equal(kit_order(QUEUE_RELEASE, id, 0), ERR_OK);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_let_pass(61);
    struct question q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    assert_int_equal(q.todo.ops[0].what, IPC_OP_SET);
    answer_well(&q);
    assert_int_equal(await_done(1).told.n_waiting, 0);
    kit_end_of_waiting();
}

static void nothing_goes_to_who_is_isolated_or_has_no_log_in(void **)
{
    struct deeds w;
    kit_found((struct kit_company){0});
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    nothing_goes();
    struct asked a = show();
    assert_int_equal(a.told.n_waiting, 1);
    assert_string_equal(a.what_is_done, "flags");
    assert_non_null(strstr(a.text, "access set"));
    assert_int_equal(ask(ADMIN_MAILBACK_DRY).change.err, ERR_CONFLICT);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_ISOLATE), ERR_OK);
    kit_open_mailboxes();
    nothing_goes();
    assert_non_null(strstr(show().text, "isolated"));
}

/* All emails of a mailbox that is removed change at one number: more than a batch holds, and more
 * than it looks at. */
static void what_changed_at_one_number_goes_in_several_batches(void **)
{
    enum { N = 120 };
    struct deeds w;
    uint32_t n = 0;
    kit_mailback_emails = 50;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    for (unsigned i = 0; i < N; i++)
        write_draft(&w, made_here(i), BOX_CLIENTS, EMAIL_SEEN);
    deeds_end(&w);
    while (n < N) {
        struct question q = next_question();
        n += q.todo.n_ops;
        answer_well(&q);
    }
    (void)await_done(N);
    deeds_begin(&w);
    remove_box(&w, BOX_CLIENTS, "");
    deeds_end(&w);
    for (n = 0; n < N;) {
        struct question q = next_question();
        for (uint32_t i = 0; i < q.todo.n_ops; i++)
            assert_int_equal(q.todo.ops[i].fate, IPC_FATE_TRASH);
        n += q.todo.n_ops;
        answer_well(&q);
    }
    assert_int_equal(n, N);
    assert_int_equal(await_done(2 * N).told.n_done, 2 * N);
    nothing_goes();
    kit_mailback_emails = 0;
}

/* ---- what the answers do ---- */

static void each_result_has_its_end(void **)
{
    static const uint8_t results[] = {IPC_OP_DONE,      IPC_OP_ALREADY, IPC_OP_ABSENT,
                                      IPC_OP_AMBIGUOUS, IPC_OP_REFUSED, IPC_OP_UNSURE,
                                      IPC_OP_NOT_TRIED};
    enum { N = sizeof(results) };
    struct deeds w;
    uint64_t ids[N];
    found_company();
    for (size_t i = 0; i < N; i++) {
        char id[40];
        (void)snprintf(id, sizeof(id), "%zu@outside.test", i);
        ids[i] = delivered("anna@example.test", id);
    }
    deeds_begin(&w);
    for (size_t i = 0; i < N; i++)
        change(&w, ids[i], EMAIL_FLAGGED, 0, false);
    deeds_end(&w);
    struct question q = next_question();
    assert_int_equal(q.todo.n_ops, N);
    answer(&q, results, N);
    struct asked a = await_done(1);
    assert_int_equal(a.told.n_already, 1);
    assert_int_equal(a.told.n_absent, 0);
    assert_int_equal(a.told.n_ambiguous, 1);
    assert_int_equal(a.told.n_refused, 1);
    assert_int_equal(a.told.n_waiting, 3);
    kit_let_pass(61);
    q = next_question(); /* those that have no sure answer, and what may not lie there yet */
    assert_int_equal(q.todo.n_ops, 3);
    answer(&q, (uint8_t[]){IPC_OP_ABSENT, IPC_OP_ALREADY, IPC_OP_DONE}, 3);
    assert_int_equal(await_done(2).told.n_already, 2);
    for (int tries = 2; tries < 10; tries++) {
        assert_int_equal(show().told.n_absent, 0);
        kit_let_pass(61);
        q = next_question();
        assert_int_equal(q.todo.n_ops, 1);
        answer(&q, (uint8_t[]){IPC_OP_ABSENT}, 1);
    }
    a = await_done(2);
    assert_int_equal(a.told.n_absent, 1);
    kit_let_pass(122);
    nothing_goes();
    assert_int_equal(ask(ADMIN_MAILBACK_RETURN).change.err, ERR_OK);
    q = next_question(); /* a person wants them tried again */
    assert_int_equal(q.todo.n_ops, 3);
    answer_well(&q);
    a = await_done(5);
    assert_int_equal(a.told.n_absent + a.told.n_ambiguous + a.told.n_refused, 0);
    kit_end_of_waiting();
}

static void who_cannot_get_in_waits_longer_each_time(void **)
{
    struct deeds w;
    found_company();
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    struct question q = next_question();
    answer(&q, (uint8_t[]){IPC_OP_NOT_TRIED}, 1);
    nothing_goes();
    assert_non_null(strstr(show().text, "at login: so it went"));
    kit_let_pass(61);
    q = next_question();
    answer(&q, (uint8_t[]){IPC_OP_NOT_TRIED}, 1);
    nothing_goes();
    kit_let_pass(61 + 61);
    q = next_question();
    answer_well(&q);
    (void)await_done(1);
    assert_string_equal(show().text, "");
    kit_end_of_waiting();
}

static void an_answer_that_does_not_fit_is_nonsense(void **)
{
    struct deeds w;
    found_company();
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    struct question q = next_question();
    q.todo.n_ops = 2;
    answer_well(&q);
    assert_true(kit_is_closed(kit->liaison));
    kit_await_nonsense(1);
    assert_int_equal(show().told.n_done, 0);
}

static void a_dry_run_changes_nothing(void **)
{
    struct deeds w;
    found_company();
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    struct question q = next_question(); /* the real one waits for its answer */
    struct asked a = {.what = ADMIN_MAILBACK_DRY};
    kit_on_loop(ask_now, &a.change);
    struct question dry = next_question();
    assert_true(dry.todo.is_dry);
    assert_int_equal(dry.todo.n_ops, 1);
    answer(&dry, (uint8_t[]){IPC_OP_WOULD}, 1);
    kit_wait_change(&a.change);
    assert_int_equal(a.change.err, ERR_OK);
    assert_string_equal(a.result, "would");
    assert_int_equal(show().told.n_done, 0);
    answer_well(&q);
    (void)await_done(1);
}

/* ---- deaths ---- */

static void who_speaks_with_mailboxes_dies_and_is_asked_again(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question();
    forget(&q);
    fd_close(&kit->liaison);
    usleep(20000);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_let_pass(61);
    q = next_question();
    assert_int_equal(q.todo.ops[0].what, IPC_OP_APPEND);
    assert_true(slice_eq(buf_slice(&q.content), slice_str(draft_body)));
    answer(&q, (uint8_t[]){IPC_OP_ALREADY}, 1);
    while (show().told.n_already == 0)
        usleep(5000);
    assert_int_equal(show().told.n_doubtful, 1);
    kit_end_of_waiting();
}

static void the_program_dies_in_the_middle_and_knows_what_was_on_its_way(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question(); /* it has no answer */
    forget(&q);
    deeds_begin(&w);
    deeds_end(&w);
    q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    assert_int_equal(show().told.n_doubtful, 1);
    answer(&q, (uint8_t[]){IPC_OP_ALREADY}, 1);
    while (show().told.n_already == 0)
        usleep(5000);
    assert_int_equal(show().told.n_doubtful, 1);
    deeds_begin(&w);
    deeds_end(&w);
    nothing_goes();
    assert_int_equal(show().told.n_doubtful, 1);
}

/* What went out and has no answer may be over there, also when it is gone here since. */
static struct question draft_is_removed(void)
{
    struct question q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    assert_int_equal(q.todo.ops[0].what, IPC_OP_SET);
    assert_int_equal(q.todo.ops[0].fate, IPC_FATE_EXPUNGE);
    assert_true(slice_eq(q.todo.ops[0].message_id, SLICE("<d@example.test>")));
    return q;
}

static void expect_draft_is_removed(void)
{
    struct question q = draft_is_removed();
    answer_well(&q);
    (void)await_done(1);
}

static void replace_a_draft_on_its_way(void)
{
    struct deeds w;
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question(); /* it has no answer */
    forget(&q);
    deeds_begin(&w); /* the program dies */
    destroy_draft(&w, made_here(1), BOX_DRAFTS);
    deeds_end(&w);
}

static void a_draft_that_has_no_answer_and_is_replaced_does_not_stay_there(void **)
{
    found_company();
    replace_a_draft_on_its_way();
    expect_draft_is_removed();
    nothing_goes();
}

/* Later the next draft lies there, perhaps under the same Message-ID. */
static void a_draft_that_never_came_there_is_not_looked_for_twice(void **)
{
    found_company();
    replace_a_draft_on_its_way();
    struct question q = draft_is_removed();
    answer(&q, (uint8_t[]){IPC_OP_ABSENT}, 1);
    while (show().told.n_already == 0)
        usleep(5000);
    kit_let_pass(61);
    nothing_goes();
    kit_end_of_waiting();
}

static void destroy_now(void *arg)
{
    struct deeds *w = arg;
    w->store = kit->desk->store;
    w->modseq = desk_account_next(kit->desk, KIT_ANNA) - 1;
    destroy_draft(w, made_here(1), BOX_DRAFTS);
}

static void a_draft_without_an_answer_is_removed_also_if_only_the_answering_process_died(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question();
    forget(&q);
    fd_close(&kit->liaison);
    while (show().told.n_doubtful == 0)
        usleep(5000);
    w = (struct deeds){};
    kit_on_loop(destroy_now, &w);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_let_pass(61);
    expect_draft_is_removed();
    assert_int_equal(show().told.n_doubtful, 1);
    buf_finish(&w.packed[0]);
    kit_end_of_waiting();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(what_people_did_goes_once),
        TEST(what_was_given_before_is_changed_and_not_added_again),
        TEST(what_rules_of_ours_took_away_goes_nowhere),
        TEST(mail_that_waits_goes_before_what_was_done_with_it),
        TEST(nothing_goes_to_who_is_isolated_or_has_no_log_in),
        TEST(what_changed_at_one_number_goes_in_several_batches),
        TEST(each_result_has_its_end),
        TEST(who_cannot_get_in_waits_longer_each_time),
        TEST(an_answer_that_does_not_fit_is_nonsense),
        TEST(a_dry_run_changes_nothing),
        TEST(who_speaks_with_mailboxes_dies_and_is_asked_again),
        TEST(the_program_dies_in_the_middle_and_knows_what_was_on_its_way),
        TEST(a_draft_that_has_no_answer_and_is_replaced_does_not_stay_there),
        TEST(a_draft_that_never_came_there_is_not_looked_for_twice),
        TEST(a_draft_without_an_answer_is_removed_also_if_only_the_answering_process_died),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
