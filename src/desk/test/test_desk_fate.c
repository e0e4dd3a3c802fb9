/* What became of what people sent is seen in their submissions, once for each change. */
#include "desk_kit_submit.h"

#include "jmap/jmap_delivery.h"

/* ---- what is seen ---- */

static uint64_t modseq_of(const struct sub *s)
{
    struct store_reader *reader = kit_reader();
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct record_item item = {};
    struct errinfo ei;
    assert_int_equal(store_get_item(reader, KIT_ANNA, ITEM_SUBMISSION, s->id, a, &item, &ei),
                     ERR_OK);
    store_reader_close(&reader);
    return item.modseq;
}

/* The submission says what the ledger says, and it changed at a later number than `after`. */
static uint64_t await_change(const struct sub *s, uint64_t after)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (mono_now() < until) {
        uint64_t modseq = modseq_of(s);
        if (modseq > after)
            return modseq;
        usleep(3000);
    }
    fail_msg("it did not change after %llu", (unsigned long long)after);
    return 0;
}

static uint64_t await_said(const struct sub *s)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (look(s).said == 0 && mono_now() < until)
        usleep(3000);
    assert_true(look(s).said != 0);
    return modseq_of(s);
}

static struct arena *read_arena;

static struct jmap_delivery delivery_of(const struct sub *s)
{
    struct store_reader *reader = kit_reader();
    struct jmap_delivery d;
    struct errinfo ei;
    struct jmap_item_submission x = look(s);
    arena_destroy(&read_arena);
    read_arena = arena_create(8 << 20);
    assert_int_equal(jmap_delivery_read(reader, &x, read_arena, &d, &ei), ERR_OK);
    store_reader_close(&reader);
    return d;
}

static void await_settled(const struct sub *s)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (!look(s).is_settled && mono_now() < until)
        usleep(3000);
    assert_true(look(s).is_settled);
}

static uint64_t sends(struct sub *s)
{
    put(s);
    await_state(s, JMAP_FINAL);
    return await_said(s);
}

/* ---- tests ---- */

static void expect_words(const struct kit_job *j, const char *words)
{
    if (!memmem(j->content.p, j->content.n, words, strlen(words)))
        fail_msg("\"%s\" is not in " SLICE_FMT, words, SLICE_ARG(buf_slice(&j->content)));
}

static const struct kit_reply busy = {SMTP_PHASE_DOT, 451, "4.3.0", true};

static void a_result_of_the_courier_changes_the_submission(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"one@world.test"}};
    uint64_t before = sends(&s);
    assert_string_equal(delivery_of(&s).rcpts[0].delivered, "queued");
    kit_end_job(busy);
    uint64_t then = await_change(&s, before);
    assert_false(look(&s).is_settled);
    assert_true(slice_find(delivery_of(&s).rcpts[0].reply, '4') == 0);
    kit_utc_later += 3600; /* its next try */
    kit_end_job(kit_good);
    await_change(&s, then);
    await_settled(&s);
    assert_string_equal(delivery_of(&s).rcpts[0].delivered, "unknown"); /* what do they do there? */
    assert_true(look(&s).said == delivery_of(&s).said);
}

static void a_failure_names_the_notice_that_tells_of_it(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"one@world.test", "two@world.test"}};
    sends(&s);
    struct kit_job j;
    kit_job(&j);
    kit_result(&j, kit_unknown);
    kit_job_free(&j);
    await_settled(&s);
    struct jmap_delivery d = delivery_of(&s);
    assert_string_equal(d.rcpts[0].delivered, "no");
    assert_int_equal(d.n_notices, 1); /* one for both */
    struct kit_rows rows;
    kit_rows_of(d.notices[0], &rows); /* it lies in her mailbox already */
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.rows[0].facts.mailbox, KIT_BOX_ANNA);
    kit_end_job(kit_good);
    kit_check_sums();
}

static void speak_italian(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_tenant tenant = {SLICE("rossi"), SLICE("it")};
    dir_tenant_pack(kit_object(&all, OBJECT_TENANT, KIT_TENANT, 0, "rossi"), &tenant);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void the_notice_stands_in_the_conversation_in_the_language_of_the_company(void **)
{
    kit_found((struct kit_company){0});
    speak_italian();
    struct sub s = {.rcpts = {"one@world.test"}};
    sends(&s);
    kit_end_job(kit_unknown);
    await_settled(&s);
    struct kit_job j;
    kit_job(&j); /* the notice, on its way to her mail system */
    expect_words(&j, "Che cosa =C3=A8 successo");
    expect_words(&j, "questa casella non esiste (codice 5.1.1)");
    expect_words(&j, "In-Reply-To: <1@example.test>");
    kit_result(&j, kit_good);
    kit_job_free(&j);
    struct store_reader *reader = kit_reader();
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct store_message m;
    struct errinfo ei;
    assert_int_equal(store_get_message(reader, delivery_of(&s).notices[0], a, &m, &ei), ERR_OK);
    store_reader_close(&reader);
    assert_true(slice_eq(m.fields.references, SLICE("1@example.test")));
    assert_true(slice_starts(m.fields.subject, SLICE("Il tuo messaggio non")));
}

static void after_a_start_it_goes_on_where_it_was(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"luca@example.test"}};
    uint64_t before = sends(&s);
    assert_string_equal(delivery_of(&s).rcpts[0].delivered, "yes"); /* in his mailbox here */
    kit_restart();
    struct kit_job j;
    kit_job(&j);
    struct sub other = {.rcpts = {"luca@example.test"}};
    sends(&other); /* meanwhile the first was looked at, and nothing was new */
    assert_int_equal(modseq_of(&s), before);
    kit_result(&j, kit_good);
    kit_job_free(&j);
    await_change(&s, before);
    await_settled(&s);
    kit_end_job(kit_good);
    await_settled(&other);
}

/* The program ended between the result and the submission's change. */
static void what_it_missed_is_made_up_for_at_start(void **)
{
    kit_found((struct kit_company){0});
    struct sub first = {.rcpts = {"one@world.test"}};
    sends(&first);
    kit_end_job(kit_good);
    await_settled(&first);
    struct jmap_item_submission x = look(&first);
    struct sub s = {.rcpts = {"one@world.test"},
                    .state = JMAP_FINAL,
                    .is_silent = true,
                    .parts = x.parts,
                    .n_parts = 1};
    put(&s);
    assert_false(look(&s).is_settled);
    kit_restart();
    await_settled(&s);
    assert_true(look(&s).said == look(&first).said);
}

/* The second result comes just before the look at the first, and the disk is slow. */
static void a_result_that_is_not_durable_when_others_are_looked_at_is_not_missed(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"a@a.test", "b@b.test"}};
    uint64_t before = sends(&s);
    struct kit_job first, second;
    kit_job(&first);
    kit_job(&second);
    kit_result(&first, kit_good);
    usleep(100000);
    disk_set(true, false);
    kit_result(&second, kit_good);
    usleep(600000);
    disk_set(false, false);
    await_settled(&s);
    assert_true(modseq_of(&s) > before);
    kit_job_free(&first);
    kit_job_free(&second);
}

static void watch_now(void *arg)
{
    desk_fate_watch(kit->desk, KIT_ANNA, ((struct sub *)arg)->id, NULL, 0);
}

static void one_that_is_damaged_is_told_to_people(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"a@a.test"}, .is_silent = true, .is_damaged = true};
    put(&s);
    kit_on_loop(watch_now, &s);
    kit_await_event("submission.unreadable");
}

static void forget_now(void *arg)
{
    desk_fate_forget(kit->desk, ((struct sub *)arg)->id);
}

static void one_that_its_person_destroyed_does_not_come_back(void **)
{
    kit_found((struct kit_company){0});
    struct sub gone = {.rcpts = {"one@world.test"}}, stays = {.rcpts = {"two@other.world.test"}};
    uint64_t before = sends(&gone);
    sends(&stays);
    kit_on_loop(forget_now, &gone); /* as when it is destroyed */
    kit_end_job(kit_good);
    kit_end_job(kit_good);
    await_settled(&stays);
    assert_int_equal(modseq_of(&gone), before);
}

static void many_results_of_a_moment_are_few_changes(void **)
{
    enum { N = 6 };
    kit_found((struct kit_company){0});
    struct sub s = {
        .rcpts = {"a@a.test", "b@b.test", "c@c.test", "d@d.test", "e@e.test", "f@f.test"}};
    uint64_t before = sends(&s);
    for (int i = 0; i < N; i++)
        kit_end_job(kit_good);
    await_settled(&s);
    assert_true(modseq_of(&s) < before + N); /* nobody else changes this account */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_result_of_the_courier_changes_the_submission),
        TEST(a_failure_names_the_notice_that_tells_of_it),
        TEST(the_notice_stands_in_the_conversation_in_the_language_of_the_company),
        TEST(after_a_start_it_goes_on_where_it_was),
        TEST(what_it_missed_is_made_up_for_at_start),
        TEST(a_result_that_is_not_durable_when_others_are_looked_at_is_not_missed),
        TEST(one_that_is_damaged_is_told_to_people),
        TEST(one_that_its_person_destroyed_does_not_come_back),
        TEST(many_results_of_a_moment_are_few_changes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_destroy(&seen_arena);
    arena_destroy(&read_arena);
    return failed;
}
