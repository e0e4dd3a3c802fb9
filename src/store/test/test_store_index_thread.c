/* Threads of an account, as applying derives them. */
#include "index_world.h"

/* Of message `uid`, which is in the mailbox with that number. */
static uint64_t thread_of(struct world *w, uint32_t uid)
{
    return world_email(w, 50, uid).thread;
}

static void answers_join_the_thread_of_what_they_answer(void **)
{
    static const struct {
        const char *id, *references;
        uint64_t thread; /* the message that began it */
    } mails[] = {
        {"<a@x>", "", 1},
        {"<b@x>", "<a@x>", 1},
        {"<c@x>", "<a@x> <b@x>", 1},
        {"<d@x>", "", 4},
        {"<e@x>", "<unknown@x>", 5}, /* begins one for what it answers */
        {"<f@x>", "<unknown@x>", 5}, /* so that another answer finds it */
        {"<unknown@x>", "", 5},      /* and the message itself, when it comes late */
        {"<g@x>", "<a@x> <d@x>", 4}, /* the nearest decides */
        {"", "<b@x>", 1},
        {"", "", 10}, /* nothing is known of it */
        {"", "", 11},
        {"<a@x>", "", 1}, /* the same message again */
        {"<h@x>", "  <new@x>   <c@x>  ", 1},
        {"<i@x>", "<new2@x> <h@x> ", 1},
        {"<c@x>", "<zzz@x>", 1}, /* its own id is known, what it answers is not */
    };
    SCOPED(world_finish) struct world w = world_make();
    world_inbox(&w, 5, 50);
    for (uint32_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
        world_covered(&w, i + 1, i + 1,
                      &(struct record_fields){.message_id = slice_str(mails[i].id),
                                              .references = slice_str(mails[i].references)});
        assert_int_equal(thread_of(&w, i + 1), mails[i].thread);
    }
}

/* Message `number`, which refers to thirty that nobody else refers to. */
static void world_refers(struct world *w, uint32_t number)
{
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    char id[40];
    (void)snprintf(id, sizeof(id), "<m%u@x>", number);
    for (unsigned i = 0; i < 30; i++)
        buf_addf(&b, " <r%u-%u@x>", number, i);
    world_covered(
        w, number, number,
        &(struct record_fields){.message_id = slice_str(id), .references = buf_slice(&b)});
}

static uint64_t answer_to(struct world *w, uint32_t number, const char *references)
{
    world_covered(w, number, number, &(struct record_fields){.references = slice_str(references)});
    return thread_of(w, number);
}

static void threads_are_found_before_and_after_they_are_merged(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    enum { MANY = INDEX_THREAD_MERGE / 31 + 10 };
    int64_t n_merged = 0;
    int64_t n_new = 0;
    world_inbox(&w, 5, 50);
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    for (uint32_t i = 1; i <= 10; i++)
        world_refers(&w, i);
    ok(&w, index_commit(w.x, w.pos, &w.ei));
    w.is_in_transaction = false;
    assert_int_equal(answer_to(&w, 11, "<r3-7@x>"), 3);
    ok(&w, index_db_number(w.x->db, "SELECT count(*) FROM thread", &n_merged, &w.ei));
    assert_int_equal(n_merged, 0);
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    for (uint32_t i = 12; i < MANY; i++)
        world_refers(&w, i);
    ok(&w, index_commit(w.x, w.pos, &w.ei));
    w.is_in_transaction = false;
    world_refers(&w, MANY);
    ok(&w, index_db_number(w.x->db, "SELECT count(*) FROM thread", &n_merged, &w.ei));
    ok(&w, index_db_number(w.x->db, "SELECT count(*) FROM thread_new", &n_new, &w.ei));
    assert_int_equal(n_merged, (MANY - 2) * 31);
    assert_int_equal(n_new, 31);
    assert_int_equal(answer_to(&w, MANY + 1, "<m4@x>"), 4);
    index_close(&w.x);
    ok(&w, index_open(w.path, &w.x, &w.ei));
    assert_int_equal(answer_to(&w, MANY + 2, "<r12-0@x>"), 12);
    char last[40];
    (void)snprintf(last, sizeof(last), "<m%u@x>", (unsigned)MANY);
    assert_int_equal(answer_to(&w, MANY + 3, last), MANY);
    ok(&w, index_begin(w.x, &w.ei)); /* what an abort takes back is not known any more */
    w.is_in_transaction = true;
    world_refers(&w, MANY + 4);
    index_abort(w.x);
    w.is_in_transaction = false;
    (void)snprintf(last, sizeof(last), "<m%u@x>", (unsigned)MANY + 4);
    assert_int_equal(answer_to(&w, MANY + 5, last), MANY + 5);
    assert_int_equal(answer_to(&w, MANY + 6, "<r2-1@x>"), 2);
}

static void a_long_list_of_references_counts_its_nearest_and_its_oldest(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    world_inbox(&w, 5, 50);
    world_covered(&w, 1, 1, &(struct record_fields){.message_id = SLICE("<root@x>")});
    buf_adds(&b, SLICE("<root@x>"));
    for (int i = 0; i < 100; i++)
        buf_addf(&b, " <n%d@x>", i);
    world_covered(&w, 2, 2, &(struct record_fields){.references = buf_slice(&b)});
    assert_int_equal(thread_of(&w, 2), 1);
    /* Another person's threads are another matter. */
    world_inbox(&w, 6, 60);
    struct record_rcpt rcpt = {
        .disposition = DISPOSITION_WAITING, .mailbox = 6, .uid = 1, .modseq = 1};
    struct record_fields fields = {.message_id = SLICE("<root@x>")};
    struct record_message m = {
        .id = 3, .rcpts = &rcpt, .n_rcpts = 1, .fields = &fields, .n_fields = 1};
    world_message(&w, &m, 1);
    assert_int_equal(world_email(&w, 60, 3).thread, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_join_the_thread_of_what_they_answer),
        cmocka_unit_test(threads_are_found_before_and_after_they_are_merged),
        cmocka_unit_test(a_long_list_of_references_counts_its_nearest_and_its_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
