/* Applying each type of record, and what the readers then say. */
#include "index_world.h"

/* ---- messages ---- */

static void a_message_becomes_a_message_and_a_row_for_each_recipient(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_rcpt rcpts[2] = {
        {.address = SLICE("b@y.example"),
         .primary = 9,
         .disposition = DISPOSITION_WAITING,
         .notify = 3,
         .orcpt = SLICE("rfc822;b@y.example"),
         .is_attempting = 1},
        {.address = SLICE("c@y.example"), .disposition = DISPOSITION_HELD, .refusal = 4},
    };
    struct record_fields fields = {.subject = SLICE("hello"), .date = 77, .odd = 5};
    struct record_message m = {.id = 42,
                               .received = 123456,
                               .tenant = 7,
                               .direction = DIRECTION_IN,
                               .mail_from = SLICE("a@x.example"),
                               .client = SLICE("192.0.2.1"),
                               .helo = SLICE("x.example"),
                               .envid = SLICE("e1"),
                               .ret = 2,
                               .flags = MESSAGE_TLS,
                               .bytes = 900,
                               .prefix_bytes = 100,
                               .rcpts = rcpts,
                               .n_rcpts = 2,
                               .fields = &fields,
                               .n_fields = 1};
    world_message(&w, &m, 900);

    struct store_message got = world_get(&w, 42);
    assert_int_equal(got.facts.received, 123456);
    assert_int_equal(got.facts.tenant, 7);
    assert_true(slice_eq(got.facts.mail_from, SLICE("a@x.example")));
    assert_true(slice_eq(got.facts.envid, SLICE("e1")));
    assert_int_equal(got.facts.prefix_bytes, 100);
    assert_int_equal(got.facts.n_rcpts, 0);
    assert_true(slice_eq(got.fields.subject, SLICE("hello")));
    assert_int_equal(got.fields.odd, 5);
    assert_false(got.is_answered);
    assert_false(got.is_dropped);
    struct store_row row = world_row(&w, 42, 1);
    assert_int_equal(row.last.disposition, DISPOSITION_HELD);
    assert_int_equal(row.facts.refusal, 4);
    assert_false(row.is_attempting);
    assert_int_equal(row.received, 123456);
    assert_int_equal(row.bytes, 900);
    assert_int_equal(row.tenant, 7);
    struct store_sums sums = world_sums(&w, 7);
    assert_int_equal(sums.accepted, 2);
    assert_int_equal(sums.by[DISPOSITION_WAITING], 1);
    assert_int_equal(sums.by[DISPOSITION_HELD], 1);
    assert_int_equal(sums.n_attempting, 1);
    assert_int_equal(world_sums(&w, 8).accepted, 0);
    assert_int_equal(index_last_id(w.x), 42);
}

static void the_same_id_twice_leaves_the_first_message_alone(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 42);
    struct record_rcpt rcpts[3] = {{.disposition = DISPOSITION_HELD},
                                   {.disposition = DISPOSITION_HELD},
                                   {.disposition = DISPOSITION_HELD}};
    world_mail(&w, 42, rcpts, 3);
    struct store_sums sums = world_sums(&w, 0);
    assert_int_equal(sums.accepted, 1);
    assert_int_equal(sums.by[DISPOSITION_WAITING], 1);
    assert_int_equal(sums.by[DISPOSITION_HELD], 0);
    assert_int_equal(index_n_odd(w.x), 1);
    assert_int_equal(world_use(&w).bytes[0], 500);
}

static void child_rows_do_not_count_as_accepted(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_rcpt rcpts[3] = {
        {.address = SLICE("group@y.example"), .disposition = DISPOSITION_DELIVERED},
        {.address = SLICE("b@y.example"), .disposition = DISPOSITION_WAITING, .parent = 1},
        {.address = SLICE("c@y.example"), .disposition = DISPOSITION_WAITING, .parent = 1},
    };
    world_mail(&w, 1, rcpts, 3);
    struct store_sums sums = world_sums(&w, 0);
    assert_int_equal(sums.accepted, 1);
    assert_int_equal(sums.by[DISPOSITION_DELIVERED], 1);
    assert_int_equal(sums.by[DISPOSITION_WAITING], 0);
}

static void a_row_with_a_disposition_that_does_not_exist_is_held(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_rcpt rcpts[2] = {{.disposition = 0}, {.disposition = DISPOSITION_N}};
    world_mail(&w, 1, rcpts, 2);
    assert_int_equal(world_sums(&w, 0).by[DISPOSITION_HELD], 2);
    assert_int_equal(world_sums(&w, 0).accepted, 2);
    assert_int_equal(index_n_odd(w.x), 2);
}

/* ---- attempts and results ---- */

static void an_attempt_begins_and_its_result_ends_it(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    assert_false(world_row(&w, 1, 0).is_attempting);
    world_attempt(&w, 1, 0, 5000);
    assert_true(world_row(&w, 1, 0).is_attempting);
    assert_int_equal(world_row(&w, 1, 0).last.disposition, DISPOSITION_WAITING);
    world_result(&w, (struct record_result){.message = 1,
                                            .time = 6000,
                                            .is_attempt = 1,
                                            .disposition = DISPOSITION_WAITING,
                                            .attempts = 1,
                                            .due = 9000,
                                            .code = 451});
    struct store_row row = world_row(&w, 1, 0);
    assert_false(row.is_attempting);
    assert_int_equal(row.last.attempts, 1);
    assert_int_equal(row.last.due, 9000);
    assert_int_equal(row.last.code, 451);
    world_attempt(&w, 1, 0, 9000);
    assert_true(world_row(&w, 1, 0).is_attempting);
    world_result(&w, (struct record_result){.message = 1,
                                            .time = 9500,
                                            .is_attempt = 1,
                                            .disposition = DISPOSITION_DELIVERED,
                                            .attempts = 2});
    row = world_row(&w, 1, 0);
    assert_false(row.is_attempting);
    assert_false(row.is_possible_double);
    assert_int_equal(row.last.disposition, DISPOSITION_DELIVERED);
    assert_int_equal(row.last.attempts, 2);
    assert_int_equal(index_n_odd(w.x), 0);
}

static void a_decision_does_not_end_an_attempt_that_is_under_way(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    world_attempt(&w, 1, 0, 5000);
    world_result(&w, (struct record_result){.message = 1,
                                            .time = 6000,
                                            .is_attempt = 0,
                                            .disposition = DISPOSITION_REMOVED,
                                            .by = SLICE("luca")});
    struct store_row row = world_row(&w, 1, 0);
    assert_int_equal(row.last.disposition, DISPOSITION_REMOVED);
    assert_true(row.is_attempting);
    /* A final row that is being delivered is still a possible double when the program ends. */
    struct index_unfinished unfinished = {};
    ok(&w, index_unfinished(w.x, &unfinished, &w.ei));
    assert_int_equal(unfinished.n_attempting, 1);
    world_interrupted(&w, 7000);
    row = world_row(&w, 1, 0);
    assert_true(row.is_possible_double);
    assert_false(row.is_attempting);
    assert_int_equal(row.last.disposition, DISPOSITION_REMOVED);
}

static void results_for_what_does_not_exist_are_ignored_and_counted(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    static const struct record_result odd[] = {
        {.message = 2, .disposition = DISPOSITION_DELIVERED, .is_attempt = 1},
        {.message = 1, .rcpt = 1, .disposition = DISPOSITION_DELIVERED, .is_attempt = 1},
        {.message = 1, .disposition = 0, .is_attempt = 1},
        {.message = 1, .disposition = DISPOSITION_N, .is_attempt = 1},
        {.message = 2, .disposition = DISPOSITION_REFUSED, .is_attempt = 1},
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        world_result(&w, odd[i]);
        assert_int_equal(index_n_odd(w.x), i + 1);
    }
    world_attempt(&w, 2, 0, 1);
    assert_int_equal(index_n_odd(w.x), 6);
    struct store_sums sums = world_sums(&w, 0);
    assert_int_equal(sums.accepted, 1);
    assert_int_equal(sums.by[DISPOSITION_WAITING], 1);
    assert_int_equal(sums.n_attempting, 0);
}

static void one_record_can_bring_many_results(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_result list[3];
    for (uint64_t i = 0; i < 3; i++) {
        world_simple(&w, i + 1);
        list[i] = (struct record_result){
            .message = i + 1, .is_attempt = 1, .disposition = (uint8_t)(DISPOSITION_DELIVERED + i)};
    }
    struct record_results results = {.results = list, .n_results = 3};
    record_results_pack(&w.pack, &results);
    world_apply(&w, RECORD_RESULT, 0, 0);
    struct store_sums sums = world_sums(&w, 0);
    assert_int_equal(sums.by[DISPOSITION_DELIVERED], 1);
    assert_int_equal(sums.by[DISPOSITION_HELD], 1);
    assert_int_equal(sums.by[DISPOSITION_RETURNED], 1);
    assert_int_equal(sums.accepted, 3);
}

/* ---- refused ---- */

static void a_refused_child_does_not_change_accepted(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_rcpt rcpts[2] = {{.disposition = DISPOSITION_WAITING},
                                   {.disposition = DISPOSITION_WAITING, .parent = 1}};
    world_mail(&w, 1, rcpts, 2);
    world_result(
        &w, (struct record_result){.message = 1, .rcpt = 1, .disposition = DISPOSITION_REFUSED});
    assert_int_equal(world_sums(&w, 0).accepted, 1);
}

/* ---- the end of a run ---- */

static void an_interrupted_record_makes_open_attempts_possible_doubles(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    enum { N = 50 };
    for (uint64_t i = 1; i <= N; i++) {
        world_simple(&w, i);
        if (i % 2)
            world_attempt(&w, i, 0, 5000);
    }
    struct index_unfinished unfinished = {};
    ok(&w, index_unfinished(w.x, &unfinished, &w.ei));
    assert_int_equal(unfinished.n_attempting, N / 2);
    world_interrupted(&w, 6000);
    ok(&w, index_unfinished(w.x, &unfinished, &w.ei));
    assert_int_equal(unfinished.n_attempting, 0);
    for (uint64_t i = 1; i <= N; i++) {
        struct store_row row = world_row(&w, i, 0);
        assert_int_equal(row.is_possible_double, i % 2);
        assert_false(row.is_attempting);
        assert_int_equal(row.last.disposition, DISPOSITION_WAITING);
    }
    struct store_sums sums = world_sums(&w, 0);
    assert_int_equal(sums.n_possible_doubles, N / 2);
    assert_int_equal(sums.n_attempting, 0);
    /* It stays one after it was delivered once more, and another end finds nothing. */
    world_attempt(&w, 1, 0, 7000);
    world_result(&w, (struct record_result){.message = 1,
                                            .time = 8000,
                                            .is_attempt = 1,
                                            .disposition = DISPOSITION_DELIVERED,
                                            .attempts = 2});
    world_interrupted(&w, 9000);
    assert_true(world_row(&w, 1, 0).is_possible_double);
    assert_int_equal(world_sums(&w, 0).n_possible_doubles, N / 2);
}

static void an_attempt_on_a_row_that_is_attempting_makes_it_a_possible_double(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    world_attempt(&w, 1, 0, 5000);
    world_attempt(&w, 1, 0, 6000);
    struct store_row row = world_row(&w, 1, 0);
    assert_true(row.is_attempting);
    assert_true(row.is_possible_double);
    assert_int_equal(index_n_odd(w.x), 1);
}

static void a_result_can_say_that_the_attempt_may_have_arrived(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    for (uint64_t id = 1; id <= 2; id++) {
        world_simple(&w, id);
        if (id == 2) /* not its first result */
            world_result(&w, (struct record_result){.message = id,
                                                    .is_attempt = 1,
                                                    .disposition = DISPOSITION_WAITING});
        world_attempt(&w, id, 0, 5000);
        world_result(&w, (struct record_result){.message = id,
                                                .is_attempt = 1,
                                                .is_double = 1,
                                                .disposition = DISPOSITION_WAITING});
        assert_true(world_row(&w, id, 0).is_possible_double);
        world_attempt(&w, id, 0, 6000);
        world_result(&w, (struct record_result){
                             .message = id, .is_attempt = 1, .disposition = DISPOSITION_DELIVERED});
        assert_true(world_row(&w, id, 0).is_possible_double);
        assert_int_equal(world_sums(&w, 0).n_possible_doubles, id);
    }
    world_result(&w, (struct record_result){
                         .message = 9, .is_double = 1, .disposition = DISPOSITION_WAITING});
    int64_t n = 0;
    ok(&w, index_db_number(w.x->db, "SELECT count(*) FROM double", &n, &w.ei));
    assert_int_equal(n, 2);
}

/* ---- answers ---- */

static void answers_are_tracked_until_one_comes(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    world_simple(&w, 2);
    world_simple(&w, 3);
    struct record_ids open = {};
    ok(&w, index_unanswered(w.x, w.arena, &open, &w.ei));
    assert_int_equal(open.n_ids, 3);
    assert_int_equal(world_sums(&w, 0).n_unanswered, 3);
    assert_int_equal(world_sums(&w, 1).n_unanswered, 3);
    assert_int_equal(world_sums(&w, 2).n_unanswered, 0);
    world_ids(&w, RECORD_ANSWERED, 2);
    world_ids(&w, RECORD_UNANSWERED, 1);
    assert_false(world_get(&w, 1).is_answered);
    assert_true(world_get(&w, 2).is_answered);
    assert_false(world_get(&w, 3).is_answered);
    ok(&w, index_unanswered(w.x, w.arena, &open, &w.ei));
    assert_int_equal(open.n_ids, 1);
    assert_int_equal(open.ids[0].id, 3);
    assert_int_equal(world_sums(&w, 1).n_unanswered, 2);
    /* They are where they were when the index is opened again. */
    index_close(&w.x);
    ok(&w, index_open(w.path, &w.x, &w.ei));
    ok(&w, index_unanswered(w.x, w.arena, &open, &w.ei));
    assert_int_equal(open.n_ids, 1);
    world_ids(&w, RECORD_ANSWERED, 1); /* it did get through after all */
    world_ids(&w, RECORD_UNANSWERED, 3);
    assert_true(world_get(&w, 1).is_answered);
    assert_false(world_get(&w, 3).is_answered);
    assert_int_equal(index_n_odd(w.x), 0);
    world_ids(&w, RECORD_ANSWERED, 77);
    world_ids(&w, RECORD_UNANSWERED, 78);
    assert_int_equal(index_n_odd(w.x), 2);
}

static void our_own_notices_wait_for_no_answer(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_message m = {.id = 1, .direction = DIRECTION_NOTICE};
    world_message(&w, &m, 10);
    assert_true(world_get(&w, 1).is_answered);
}

static void the_memory_for_answers_has_a_ceiling_and_the_oldest_leave_it(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    for (uint64_t i = 1; i <= INDEX_UNANSWERED_MAX + 10; i++)
        world_simple(&w, i);
    ok(&w, index_commit(w.x, w.pos, &w.ei));
    w.is_in_transaction = false;
    struct record_ids open = {};
    ok(&w, index_unanswered(w.x, w.arena, &open, &w.ei));
    assert_int_equal(open.n_ids, INDEX_UNANSWERED_MAX);
    assert_int_equal(open.ids[0].id, 11);
    assert_int_equal(world_sums(&w, 0).n_unanswered, INDEX_UNANSWERED_MAX + 10);
    assert_false(world_get(&w, 1).is_answered);
    world_ids(&w, RECORD_ANSWERED, 1);
    assert_true(world_get(&w, 1).is_answered);
}

/* ---- objects, events, set aside ---- */

static bool keep_object(void *arg, const struct record_object *o)
{
    uint64_t *n = arg;
    n[0] = o->id;
    n[1] = o->body.n;
    n[2]++;
    return true;
}

static void objects_are_put_replaced_and_removed(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_object list[3] = {
        {.kind = OBJECT_TENANT, .id = 1, .name = SLICE("Rossi"), .body = SLICE("abc")},
        {.kind = OBJECT_TENANT, .id = 2, .name = SLICE("Verdi"), .body = SLICE("abcd")},
        {.kind = OBJECT_DOMAIN, .id = 2, .tenant = 1, .name = SLICE("y.example")},
    };
    struct record_objects objects = {.objects = list, .n_objects = 3};
    record_objects_pack(&w.pack, &objects);
    world_apply(&w, RECORD_OBJECT, 0, 0);
    uint64_t n[3] = {};
    ok(&w, store_each_object(w.r, OBJECT_TENANT, keep_object, n, &w.ei));
    assert_int_equal(n[2], 2);
    assert_int_equal(n[0], 2);
    list[0].id = 2;
    list[0].body = SLICE("new body");
    list[1].id = 1;
    list[1].is_removed = 1;
    list[2] = (struct record_object){.kind = OBJECT_KEY, .id = 99, .is_removed = 1};
    record_objects_pack(&w.pack, &objects);
    world_apply(&w, RECORD_OBJECT, 0, 0);
    memset(n, 0, sizeof(n));
    ok(&w, store_each_object(w.r, OBJECT_TENANT, keep_object, n, &w.ei));
    assert_int_equal(n[2], 1);
    assert_int_equal(n[0], 2);
    assert_int_equal(n[1], 8);
    assert_int_equal(index_n_odd(w.x), 1); /* nothing to remove */
    assert_int_equal(index_last_id(w.x), 99);
}

static void what_was_set_aside_is_noted(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    record_aside_pack(&w.pack, &(struct record_aside){.pos = 777, .type = 1, .why = SLICE("x")});
    world_apply(&w, RECORD_ASIDE, 0, 0);
    int64_t pos = 0;
    ok(&w, index_db_number(w.x->db, "SELECT pos FROM aside", &pos, &w.ei));
    assert_int_equal(pos, 777);
}

/* ---- what cannot be read ---- */

static void an_unreadable_record_is_refused_and_leaves_nothing_behind(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    for (uint16_t type = 0; type <= RECORD_N; type++) {
        if (type == RECORD_CHUNK)
            continue; /* has no facts */
        buf_adds(&w.pack, SLICE("\x01\xff\xff\xff"));
        assert_int_equal(world_try(&w, type, 1, 0), ERR_CORRUPT);
        assert_non_null(strstr(w.ei.text, "at position"));
    }
    ok(&w, index_commit(w.x, index_applied(w.x), &w.ei)); /* the transaction goes on */
    w.is_in_transaction = false;
    SCOPED(buf_finish) struct buf after = world_dump(&w);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
}

/* ---- what is known of mailboxes ---- */

static void deliver_to(struct world *w, uint64_t id, uint64_t mailbox)
{
    struct record_rcpt rcpt = {
        .disposition = DISPOSITION_WAITING, .mailbox = mailbox, .uid = 9, .modseq = 100 + id};
    world_mail(w, id, &rcpt, 1);
}

static void a_mailbox_is_known_as_it_stands_in_the_transaction_and_after_it(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_mailbox gone = {
        .id = 5, .person = 50, .tenant = 1, .modseq = 60, .is_removed = 1};
    struct record_mailbox fresh = {.id = 8, .person = 50, .tenant = 1, .modseq = 61};
    world_inbox(&w, 5, 50);
    deliver_to(&w, 11, 5);
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    world_mailbox(&w, gone);
    deliver_to(&w, 12, 5); /* to nobody */
    assert_int_equal(index_n_odd(w.x), 1);
    world_mailbox(&w, fresh);
    deliver_to(&w, 13, 8);
    index_abort(w.x); /* nothing of that happened */
    w.is_in_transaction = false;
    assert_int_equal(index_n_odd(w.x), 0);
    deliver_to(&w, 14, 5);
    deliver_to(&w, 15, 8); /* there is no such mailbox */
    assert_int_equal(world_number(&w, "SELECT sum(message) FROM email"), 11 + 14);
    assert_int_equal(index_n_odd(w.x), 1);
    world_mailbox(&w, gone);
    deliver_to(&w, 16, 5);
    assert_int_equal(index_n_odd(w.x), 2);
    world_check(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mailbox_is_known_as_it_stands_in_the_transaction_and_after_it),
        cmocka_unit_test(a_message_becomes_a_message_and_a_row_for_each_recipient),
        cmocka_unit_test(the_same_id_twice_leaves_the_first_message_alone),
        cmocka_unit_test(child_rows_do_not_count_as_accepted),
        cmocka_unit_test(a_row_with_a_disposition_that_does_not_exist_is_held),
        cmocka_unit_test(an_attempt_begins_and_its_result_ends_it),
        cmocka_unit_test(a_decision_does_not_end_an_attempt_that_is_under_way),
        cmocka_unit_test(results_for_what_does_not_exist_are_ignored_and_counted),
        cmocka_unit_test(one_record_can_bring_many_results),
        cmocka_unit_test(a_refused_child_does_not_change_accepted),
        cmocka_unit_test(an_interrupted_record_makes_open_attempts_possible_doubles),
        cmocka_unit_test(an_attempt_on_a_row_that_is_attempting_makes_it_a_possible_double),
        cmocka_unit_test(a_result_can_say_that_the_attempt_may_have_arrived),
        cmocka_unit_test(answers_are_tracked_until_one_comes),
        cmocka_unit_test(our_own_notices_wait_for_no_answer),
        cmocka_unit_test(the_memory_for_answers_has_a_ceiling_and_the_oldest_leave_it),
        cmocka_unit_test(objects_are_put_replaced_and_removed),
        cmocka_unit_test(what_was_set_aside_is_noted),
        cmocka_unit_test(an_unreadable_record_is_refused_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
