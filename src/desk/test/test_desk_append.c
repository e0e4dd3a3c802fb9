/* Mail that waited goes straight into the mailboxes where the plan says so; the test plays the
 * liaison. */
#include "desk_kit.h"

/* ---- a company whose plan is to give back into the mailboxes ---- */

static void found_company(void)
{
    const struct continuity_plan *usual = &continuity_plan_default;
    struct kit_objects all = {.n = 0};
    struct dir_plan version = {.version = 1,
                               .approved_at = 1,
                               .approved_by = SLICE("luca"),
                               .bad_for_suspect = usual->bad_for_suspect,
                               .suspect_within_sec = usual->suspect_within_sec,
                               .tell_after_sec = usual->tell_after_sec,
                               .emergency_after_sec = usual->emergency_after_sec,
                               .calm_sec = usual->calm_sec,
                               .good_for_ready = 1,
                               .is_return_append = true};
    struct dir_plans plans = {&version, 1};
    kit_found((struct kit_company){0});
    dir_plans_pack(kit_object(&all, OBJECT_PLAN, KIT_PRIMARY, KIT_TENANT, "plan"), &plans);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    kit_open_mailboxes();
    kit->liaison = kit_link(IPC_LIAISON, 1);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
}

static uint64_t kept(const char *rcpt, const char *id)
{
    return kit_accept(kit->gate, &(struct kit_mail){.rcpts = {rcpt}, .message_id = id});
}

static void give_back(void)
{
    usleep(3000); /* what came before is older */
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_RETURN), ERR_OK);
}

/* ---- the liaison ---- */

struct question {
    uint64_t tag;
    struct ipc_mailbox_do todo;
    struct arena *arena;
    struct buf content;
};

static struct question next_question(void)
{
    struct kit_frame f = {0};
    struct question q = {.arena = arena_create(8 << 20), .content = buf_make(64 << 20)};
    do {
        if (!kit_get(kit->liaison, &f, KIT_WAIT_MS))
            fail_msg("nothing is put into a mailbox");
        if (f.type == IPC_T_content)
            buf_adds(&q.content, f.payload);
    } while (f.type != IPC_T_mailbox_do);
    q.tag = f.tag;
    assert_true(ipc_mailbox_do_unpack(arena_copy(q.arena, f.payload), q.arena, &q.todo));
    kit_frame_free(&f);
    return q;
}

static void nothing_goes(void)
{
    enum { LONG_ENOUGH_MS = 300 };
    struct kit_frame f = {0};
    mono_us until = mono_now() + MILLISECONDS(LONG_ENOUGH_MS);
    while (mono_now() < until && kit_get(kit->liaison, &f, LONG_ENOUGH_MS))
        assert_int_not_equal(f.type, IPC_T_mailbox_do);
    kit_frame_free(&f);
}

static void answer(struct question *q, enum ipc_op_result_kind result)
{
    static struct ipc_op_result rows[200];
    for (uint32_t i = 0; i < q->todo.n_ops; i++)
        rows[i] = (struct ipc_op_result){.result = (uint8_t)result, .text = SLICE("in words")};
    struct ipc_mailbox_did did = {
        .primary = q->todo.primary, .results = rows, .n_results = q->todo.n_ops};
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    ipc_mailbox_did_pack(&b, &did);
    kit_put(kit->liaison, IPC_T_mailbox_did, q->tag, &b);
    arena_destroy(&q->arena);
    buf_finish(&q->content);
}

/* After kit_let_hours_pass: the result is written with what cannot wait. */
static void delivered_by_now(uint64_t id)
{
    usleep(50000);
    kit_end_of_waiting();
    kit_await(id, 0, DISPOSITION_DELIVERED);
}

/* ---- tests ---- */

static void what_waited_goes_into_the_inbox_mailbox_by_mailbox(void **)
{
    found_company();
    uint64_t a = kept("anna@example.test", "a@outside.test");
    uint64_t b = kept("anna+shop@example.test", "b@outside.test");
    uint64_t c = kept("luca@example.test", "c@outside.test");
    char id[MESSAGE_ID_TEXT];
    give_back();
    struct question q = next_question();
    const struct ipc_mailbox_op *op = q.todo.ops;
    assert_int_equal(q.todo.n_ops, 2);
    assert_true(slice_eq(q.todo.server[0].user, SLICE("anna@example.test*admin")));
    message_id_text(a, id);
    assert_true(slice_eq(op[0].trace, slice_str(id)));
    assert_true(slice_eq(op[0].message_id, SLICE("<a@outside.test>")));
    assert_int_equal(op[0].what, IPC_OP_APPEND);
    assert_int_equal(op[0].role, IPC_FOLDER_INBOX);
    assert_int_equal(op[0].n_flags_add, 0);
    assert_int_equal(op[0].internal_date, (utc_ms)(a >> 20));
    assert_int_equal(op[0].bytes + op[1].bytes, q.content.n);
    assert_non_null(strstr(buf_cstr(&q.content), "Staffetta-Trace:")); /* known again by it */
    answer(&q, IPC_OP_DONE);
    q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    assert_true(slice_eq(q.todo.server[0].user, SLICE("luca@example.test*admin")));
    answer(&q, IPC_OP_ALREADY);
    kit_await(a, 0, DISPOSITION_DELIVERED);
    kit_await(b, 0, DISPOSITION_DELIVERED);
    kit_await(c, 0, DISPOSITION_DELIVERED);
    kit_expect_quiet(kit->courier);
    kit_check_sums();
}

static void new_mail_and_what_is_for_others_goes_by_smtp(void **)
{
    found_company();
    uint64_t group = kept("sales@example.test", "g@outside.test");
    give_back();
    kit_end_job(kit_good);
    kit_await(group, 0, DISPOSITION_DELIVERED);
    uint64_t fresh = kept("anna@example.test", "n@outside.test");
    kit_end_job(kit_good);
    kit_await(fresh, 0, DISPOSITION_DELIVERED);
}

static void what_the_mailbox_refuses_is_held(void **)
{
    found_company();
    uint64_t id = kept("anna@example.test", "a@outside.test");
    give_back();
    struct question q = next_question();
    answer(&q, IPC_OP_REFUSED);
    kit_await(id, 0, DISPOSITION_HELD);
    kit_check_sums();
}

static void without_a_sure_answer_it_goes_again_and_is_listed(void **)
{
    found_company();
    uint64_t id = kept("anna@example.test", "a@outside.test");
    give_back();
    struct question q = next_question();
    answer(&q, IPC_OP_UNSURE);
    usleep(50000);
    kit_let_hours_pass(1);
    q = next_question();
    answer(&q, IPC_OP_ALREADY);
    delivered_by_now(id);
    struct store_reader *reader = kit_reader();
    struct store_sums sums;
    struct errinfo ei;
    assert_int_equal(store_sums(reader, 0, &sums, &ei), ERR_OK);
    assert_int_equal(sums.n_possible_doubles, 1);
    store_reader_close(&reader);
}

static void who_dies_in_the_middle_is_asked_again(void **)
{
    found_company();
    uint64_t id = kept("anna@example.test", "a@outside.test");
    give_back();
    struct question q = next_question();
    fd_close(&kit->liaison);
    usleep(50000);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_let_hours_pass(1);
    arena_destroy(&q.arena);
    buf_finish(&q.content);
    q = next_question();
    answer(&q, IPC_OP_DONE);
    delivered_by_now(id);
    kit_expect_quiet(kit->courier);
}

static void a_mailbox_that_does_not_open_rests(void **)
{
    found_company();
    uint64_t id = kept("anna@example.test", "a@outside.test");
    give_back();
    struct question q = next_question();
    answer(&q, IPC_OP_NOT_TRIED);
    usleep(50000);
    kit_let_hours_pass(1);
    q = next_question();
    answer(&q, IPC_OP_DONE);
    delivered_by_now(id);
}

static void what_waits_behind_another_mailbox_does_not_go_to_who_is_isolated(void **)
{
    found_company();
    uint64_t first = kept("anna@example.test", "a@outside.test");
    uint64_t second = kept("luca@example.test", "b@outside.test");
    give_back();
    struct question q = next_question(); /* the other one waits behind it */
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_ISOLATE), ERR_OK);
    answer(&q, IPC_OP_DONE);
    kit_await(first, 0, DISPOSITION_DELIVERED);
    nothing_goes();
    kit_await(second, 0, DISPOSITION_WAITING);
    kit_expect_quiet(kit->courier);
    kit_check_sums();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(what_waited_goes_into_the_inbox_mailbox_by_mailbox),
        TEST(new_mail_and_what_is_for_others_goes_by_smtp),
        TEST(what_the_mailbox_refuses_is_held),
        TEST(without_a_sure_answer_it_goes_again_and_is_listed),
        TEST(who_dies_in_the_middle_is_asked_again),
        TEST(a_mailbox_that_does_not_open_rests),
        TEST(what_waits_behind_another_mailbox_does_not_go_to_who_is_isolated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
