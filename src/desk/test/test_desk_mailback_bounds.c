/* Giving back keeps its bounds and goes on behind them: in memory, in what can be remembered, in
 * how often it tries. */
#include "desk_kit_mailback.h"

#include "continuity/mailback.h"

/* A message that was made here gets these flags and `n` keywords of the greatest length, the first
 * of number `first`. */
static void mark(struct deeds *w, uint64_t message, uint32_t flags, unsigned first, unsigned n)
{
    static char texts[60][256];
    struct record_keyword keywords[60];
    uint64_t modseq = ++w->modseq;
    struct record_place place = {.mailbox = BOX_CLIENTS, .uid = 9, .modseq = 1};
    for (unsigned i = 0; i < n; i++) {
        memset(texts[i], 'k', 253);
        (void)snprintf(texts[i] + 253, 3, "%02u", first + i);
        keywords[i].text = slice_str(texts[i]);
    }
    struct record_email e = {.account = KIT_ANNA,
                             .message = message,
                             .modseq = modseq,
                             .received = made_at,
                             .flags = flags,
                             .keywords = keywords,
                             .n_keywords = n,
                             .places = &place,
                             .n_places = 1};
    record_emails_pack(deed(w), &(struct record_emails){&e, 1});
    submit(w, RECORD_EMAIL, 0, SLICE(""));
}

static void give(uint64_t n_done)
{
    for (uint64_t n = 0; n < n_done;) {
        struct question q = next_question();
        n += q.todo.n_ops;
        answer_well(&q);
    }
}

/* ---- memory ---- */

static void emails_that_need_nothing_take_memory_in_bounds(void **)
{
    enum { N = 60, ROOM = 300000 }; /* each one says 8 kB */
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    for (unsigned i = 0; i < N; i++)
        write_draft(&w, made_here(i), BOX_CLIENTS, 0);
    for (unsigned i = 0; i < N; i++)
        mark(&w, made_here(i), 0, 0, 32);
    deeds_end(&w);
    give(N);
    (void)await_done(N);
    deeds_begin(&w); /* read, and not read */
    for (unsigned i = 0; i < N; i++)
        mark(&w, made_here(i), 0, 0, 32);
    mark(&w, made_here(N - 1), 0, 0, 31);
    kit_mailback_bytes = ROOM;
    deeds_end(&w);
    give(1); /* it came to the last one */
    (void)await_done(N + 1);
    assert_int_equal(show().told.n_waiting, 0);
    kit_mailback_bytes = 0;
}

/* ---- flags ---- */

static void more_flags_than_can_be_said_are_told_and_none_is_taken_away(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_CLIENTS, 0);
    mark(&w, made_here(1), 0, 0, MAILBACK_FLAGS);
    deeds_end(&w);
    give(1);
    (void)await_done(1);
    deeds_begin(&w); /* one more than goes */
    mark(&w, made_here(1), EMAIL_SEEN, 0, MAILBACK_FLAGS);
    deeds_end(&w);
    nothing_goes();
    struct asked a = show();
    assert_int_equal(a.told.n_refused, 1);
    assert_string_equal(a.result, "refused");
    deeds_begin(&w);
    mark(&w, made_here(1), EMAIL_SEEN, 1, MAILBACK_FLAGS - 1);
    deeds_end(&w);
    struct question q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    answer_well(&q);
    a = await_done(2);
    assert_int_equal(a.told.n_refused, 0);
    deeds_begin(&w); /* what is deleted goes with as many as it likes */
    mark(&w, made_here(1), EMAIL_SEEN, 0, 60);
    destroy_draft(&w, made_here(1), BOX_CLIENTS);
    deeds_end(&w);
    q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    assert_int_equal(q.todo.ops[0].fate, IPC_FATE_EXPUNGE);
    answer_well(&q);
    assert_int_equal(await_done(3).told.n_refused, 0);
}

/* ---- what goes at once ---- */

/* The liaison takes 64 MiB of them at once, also where it is only told of them. */
static void a_dry_run_asks_for_no_more_than_goes_at_once(void **)
{
    enum { N = 5, SAID_BYTES = 20 << 20 };
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    for (unsigned i = 0; i < N; i++)
        write_made(&w, &(struct made){.id = made_here(i), .box = BOX_DRAFTS, .bytes = SAID_BYTES});
    deeds_end(&w);
    struct question q = next_question(); /* the real one waits for its answer */
    struct asked a = {.what = ADMIN_MAILBACK_DRY};
    kit_on_loop(ask_now, &a.change);
    struct question dry = next_question();
    uint64_t bytes = 0;
    assert_true(dry.todo.is_dry);
    for (uint32_t i = 0; i < dry.todo.n_ops; i++)
        bytes += dry.todo.ops[i].bytes;
    assert_in_range(bytes, SAID_BYTES, IPC_OP_CONTENT_MAX);
    answer(&dry, (uint8_t[]){IPC_OP_WOULD}, 1);
    kit_wait_change(&a.change);
    assert_true(a.told.is_more);
    answer_well(&q);
    give(N - 1);
    (void)await_done(N);
}

/* ---- what can be remembered ---- */

static uint64_t changes_written(void)
{
    struct errinfo ei;
    struct store_account account;
    struct store_reader *reader = kit_reader();
    assert_int_equal(store_get_account(reader, KIT_ANNA, &account, &ei), ERR_OK);
    store_reader_close(&reader);
    return account.modseq;
}

static void more_that_waits_than_can_be_remembered_does_not_run_in_circles(void **)
{
    enum { N = 230 };
    static uint64_t ids[N];
    struct deeds w;
    found_company();
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    for (size_t i = 0; i < N; i++) {
        ids[i] = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"}});
        assert_int_equal(kit_order(QUEUE_HOLD, ids[i], 0), ERR_OK);
    }
    kit_mailback_emails = 210; /* a batch ends behind what can be remembered */
    deeds_begin(&w);
    make_boxes(&w);
    for (size_t i = 0; i < N; i++)
        change(&w, ids[i], EMAIL_SEEN, 0, false);
    write_draft(&w, made_here(N), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_RETURN), ERR_OK);
    nothing_goes();
    uint64_t written = changes_written();
    nothing_goes();
    assert_int_equal(changes_written(), written);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(kit_order(QUEUE_RELEASE, ids[i], 0), ERR_OK);
        kit_end_job(kit_good);
    }
    kit_await(ids[N - 1], 0, DISPOSITION_DELIVERED);
    kit_let_pass(61);
    give(N + 1);
    assert_int_equal(await_done(N + 1).told.n_waiting, 0);
    kit_mailback_emails = 0;
    kit_end_of_waiting();
}

/* ---- how often it tries ---- */

/* So many go, and no more with the last of them; all get this answer. */
static void turn(uint32_t n_expected, uint8_t result)
{
    uint8_t results[MAILBACK_OPS];
    uint32_t n = 0;
    memset(results, result, sizeof(results));
    while (n < n_expected) {
        struct question q = next_question();
        n += q.todo.n_ops;
        answer(&q, results, MAILBACK_OPS);
    }
    assert_int_equal(n, n_expected);
}

/* So much that they have as well. */
static void read_mail(struct deeds *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        write_made(w, &(struct made){.id = made_here(i),
                                     .box = KIT_BOX_ANNA,
                                     .flags = EMAIL_SEEN,
                                     .message_flags = MESSAGE_FROM_PRIMARY});
}

static void each_change_is_tried_once_before_a_pause(void **)
{
    enum { N = 130 }; /* more than a batch */
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    read_mail(&w, N);
    deeds_end(&w);
    turn(N, IPC_OP_ABSENT);
    nothing_goes();
    assert_int_equal(show().told.n_waiting, N);
    for (int tries = 1; tries < 10; tries++) {
        kit_let_pass(61);
        turn(N, IPC_OP_ABSENT);
    }
    nothing_goes();
    assert_int_equal(show().told.n_absent, N);
    assert_int_equal(ask(ADMIN_MAILBACK_RETURN).change.err, ERR_OK);
    turn(N, IPC_OP_REFUSED); /* a person wants them tried again: once, and all */
    nothing_goes();
    assert_int_equal(show().told.n_refused, N);
    kit_end_of_waiting();
}

static void what_is_tried_again_does_not_keep_back_what_is_new(void **)
{
    enum { N = 130 };
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    read_mail(&w, N);
    deeds_end(&w);
    turn(N, IPC_OP_UNSURE);
    nothing_goes();
    deeds_begin(&w);
    change(&w, made_here(0), EMAIL_SEEN | EMAIL_FLAGGED, 0, false); /* tried, with what is new */
    write_draft(&w, made_here(N), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    turn(N + 1, IPC_OP_UNSURE);
    kit_let_pass(61);
    turn(N + 1, IPC_OP_DONE);
    assert_int_equal(await_done(N + 1).told.n_waiting, 0);
    kit_end_of_waiting();
}

static void more_without_an_answer_than_can_be_remembered_waits_for_the_others(void **)
{
    enum { N = 310, AT_ONCE = MAILBACK_LEFT_MAX + MAILBACK_OPS };
    struct deeds w;
    found_company();
    deeds_begin(&w);
    read_mail(&w, N);
    deeds_end(&w);
    turn(AT_ONCE, IPC_OP_UNSURE);
    nothing_goes();
    kit_let_pass(61);
    turn(N, IPC_OP_DONE);
    assert_int_equal(await_done(N).told.n_waiting, 0);
    kit_end_of_waiting();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(emails_that_need_nothing_take_memory_in_bounds),
        TEST(more_flags_than_can_be_said_are_told_and_none_is_taken_away),
        TEST(a_dry_run_asks_for_no_more_than_goes_at_once),
        TEST(more_that_waits_than_can_be_remembered_does_not_run_in_circles),
        TEST(each_change_is_tried_once_before_a_pause),
        TEST(what_is_tried_again_does_not_keep_back_what_is_new),
        TEST(more_without_an_answer_than_can_be_remembered_waits_for_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
