/* What is in a message is asked of a gate: answers, nonsense, gates that die of it. */
#include "desk_kit.h"

#include "desk/desk_int.h"
#include "desk/desk_parse_int.h"

static const char BODY[] = "Subject: x\r\n\r\nhello\r\n";

/* One question of ours. */
struct question {
    uint64_t message;
    uint32_t size; /* of its bytes; 0: BODY */
    enum ipc_parse_what what;
    enum err asked;
    unsigned n_done; /* under kit->lock, with what follows */
    enum err err;
    char bytes[100], subject[100];
};

static void note_done(void *arg, const struct desk_parsed *parsed)
{
    struct question *q = arg;
    pthread_mutex_lock(&kit->lock);
    q->n_done++;
    q->err = parsed->err;
    snprintf(q->bytes, sizeof(q->bytes), SLICE_FMT, SLICE_ARG(parsed->bytes));
    if (parsed->fields)
        snprintf(q->subject, sizeof(q->subject), SLICE_FMT, SLICE_ARG(parsed->fields->subject));
    pthread_mutex_unlock(&kit->lock);
}

static void ask_now(void *arg)
{
    struct question *q = arg;
    struct errinfo ei;
    uint32_t n = q->size ? q->size : sizeof(BODY) - 1;
    struct queue_body *body = queue_body_create(0, n);
    memset(body->bytes, 'x', n);
    if (!q->size)
        memcpy(body->bytes, BODY, n);
    struct desk_parse_ask ask = {.what = q->what ? q->what : IPC_PARSE_EMAIL,
                                 .want = SLICE("wanted"),
                                 .blob = SLICE("Mblob"),
                                 .message = q->message,
                                 .tenant = KIT_TENANT,
                                 .body = body,
                                 .done = note_done,
                                 .arg = q};
    q->asked = desk_parse(kit->desk, &ask, &ei);
    queue_body_unref(&body);
}

static void ask(struct question *q)
{
    kit_on_loop(ask_now, q);
}

static unsigned n_done(struct question *q)
{
    pthread_mutex_lock(&kit->lock);
    unsigned n = q->n_done;
    pthread_mutex_unlock(&kit->lock);
    return n;
}

static void expect_done(struct question *q, enum err err)
{
    for (int i = 0; i < KIT_WAIT_MS && n_done(q) == 0; i++)
        usleep(1000);
    usleep(2000); /* a second time would come at once */
    assert_int_equal(n_done(q), 1);
    if (q->err != err)
        fail_msg("%s instead of %s", err_name(q->err), err_name(err));
}

/* The whole of the next question that comes to this gate; returns its tag. */
static uint64_t expect_question(int fd, uint32_t size)
{
    struct kit_frame f = {0};
    struct ipc_parse ask;
    size_t n = 0;
    kit_expect(fd, IPC_T_content, &f);
    for (; f.type == IPC_T_content; assert_true(kit_get(fd, &f, KIT_WAIT_MS)))
        n += f.payload.n;
    assert_int_equal(f.type, IPC_T_parse);
    assert_true(ipc_is_parse_tag(f.tag));
    assert_true(ipc_parse_unpack(f.payload, NULL, &ask));
    assert_int_equal(n, size ? size : sizeof(BODY) - 1);
    assert_int_equal(ask.bytes, n);
    assert_true(slice_eq(ask.want, SLICE("wanted")) && slice_eq(ask.blob, SLICE("Mblob")));
    uint64_t tag = f.tag;
    kit_frame_free(&f);
    return tag;
}

static void put_parsed(int fd, uint64_t tag, const struct ipc_parsed *parsed)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 16);
    ipc_parsed_pack(&b, parsed);
    kit_put(fd, IPC_T_parsed, tag, &b);
}

static void answer(int fd, uint64_t tag, const char *text)
{
    kit_put_content(fd, tag, slice_str(text));
    put_parsed(fd, tag, &(struct ipc_parsed){.is_done = 1, .bytes = (uint32_t)strlen(text)});
}

static void a_gate_is_asked_and_its_answer_is_given(void **)
{
    kit_found((struct kit_company){0});
    struct question q = {.size = 700000}, empty = {.what = IPC_PARSE_FIELDS}, bad = {0};
    int gate = kit_link(IPC_GATE, 1);
    ask(&q);
    assert_int_equal(q.asked, ERR_OK);
    answer(gate, expect_question(gate, q.size), "{\"a\":1}");
    expect_done(&q, ERR_OK);
    assert_string_equal(q.bytes, "{\"a\":1}");
    ask(&empty);
    struct ipc_fields fields = {.subject = SLICE("hello")};
    put_parsed(gate, expect_question(gate, 0),
               &(struct ipc_parsed){.is_done = 1, .fields = &fields, .n_fields = 1});
    expect_done(&empty, ERR_OK);
    assert_string_equal(empty.subject, "hello");
    ask(&bad);
    put_parsed(gate, expect_question(gate, 0), &(struct ipc_parsed){.is_too_much = 1});
    expect_done(&bad, ERR_LIMIT);
    (void)close(gate);
}

static void who_asks_before_a_gate_is_there_waits_for_it(void **)
{
    kit_found((struct kit_company){0});
    struct question q = {0};
    fd_close(&kit->gate);
    usleep(20000); /* until the desk has noticed */
    ask(&q);
    usleep(5000);
    assert_int_equal(n_done(&q), 0);
    int gate = kit_link(IPC_GATE, 3);
    answer(gate, expect_question(gate, 0), "x");
    expect_done(&q, ERR_OK);
    (void)close(gate);
}

static void when_a_gate_dies_another_is_asked(void **)
{
    kit_found((struct kit_company){0});
    struct question q = {.message = 77};
    int one = kit_link(IPC_GATE, 1);
    ask(&q);
    uint64_t tag = expect_question(one, 0);
    kit_put_content(one, tag, SLICE("half an answer"));
    (void)close(one);
    int two = kit_link(IPC_GATE, 2);
    answer(two, expect_question(two, 0), "whole");
    expect_done(&q, ERR_OK);
    assert_string_equal(q.bytes, "whole");
    (void)close(two);
}

static void two_gates_die_of_a_message_and_no_third(void **)
{
    kit_found((struct kit_company){0});
    struct question q = {.message = 77}, again = {.message = 77}, other = {.message = 78};
    int three = -1;
    for (unsigned i = 1; i <= 2; i++) {
        int gate = kit_link(IPC_GATE, i);
        if (i == 1)
            ask(&q);
        (void)expect_question(gate, 0);
        (void)close(gate);
    }
    (void)usleep(200000);
    assert_false(kit_has_event("message.unreadable")); /* the node may be stopping */
    three = kit_link(IPC_GATE, 3);
    expect_done(&q, ERR_CORRUPT);
    kit_await_event("message.unreadable");
    ask(&again);
    assert_int_equal(again.asked, ERR_CORRUPT);
    ask(&other);
    answer(three, expect_question(three, 0), "x");
    expect_done(&other, ERR_OK);
    kit_expect_quiet(three);
    (void)close(three);
}

/* Three questions lose their gate; only one of them is why. */
static void the_innocent_are_told_from_the_guilty(void **)
{
    kit_found((struct kit_company){0});
    struct question q[3] = {{.message = 1}, {.message = 2}, {.message = 3}};
    uint64_t tags[3];
    int gate = kit_link(IPC_GATE, 1);
    for (size_t i = 0; i < 3; i++)
        ask(&q[i]);
    for (size_t i = 0; i < 3; i++)
        tags[i] = expect_question(gate, 0);
    assert_true(tags[0] != tags[1] && tags[1] != tags[2]);
    (void)close(gate);
    gate = kit_link(IPC_GATE, 2);
    answer(gate, expect_question(gate, 0), "first");
    expect_done(&q[0], ERR_OK);
    (void)expect_question(gate, 0); /* the second one, alone */
    kit_expect_quiet(gate);
    (void)close(gate);
    gate = kit_link(IPC_GATE, 3);
    expect_done(&q[1], ERR_CORRUPT);
    answer(gate, expect_question(gate, 0), "third");
    expect_done(&q[2], ERR_OK);
    (void)close(gate);
}

static void put_nonsense(int fd, uint64_t tag, int kind)
{
    static char much[IPC_CONTENT_MAX];
    struct ipc_fields fields = {.subject = SLICE("x")};
    if (kind == 0)
        put_parsed(fd, tag, &(struct ipc_parsed){.is_done = 1, .bytes = 1}); /* nothing came */
    else if (kind == 1)
        put_parsed(fd, tag ^ 1ull << 40, &(struct ipc_parsed){.is_done = 1});
    else if (kind == 2)
        put_parsed(fd, tag, &(struct ipc_parsed){.is_done = 2});
    else if (kind == 3)
        put_parsed(fd, tag, &(struct ipc_parsed){.is_done = 1, .fields = &fields, .n_fields = 1});
    else if (kind == 4)
        kit_put_content(fd, tag ^ 1ull << 40, SLICE("x"));
    else if (kind == 5)
        kit_put_raw(fd, IPC_T_content, 0, tag, SLICE(""));
    else if (kind == 6)
        put_parsed(fd, tag, &(struct ipc_parsed){.is_done = 1, .is_too_much = 1});
    else
        for (int i = 0; i <= IPC_PARSED_MAX / IPC_CONTENT_MAX; i++)
            kit_put_content(fd, tag, slice_of(much, sizeof(much)));
}

static void a_gate_that_babbles_loses_its_link_and_the_question(void **)
{
    kit_found((struct kit_company){0});
    for (int kind = 0; kind < 8; kind++) {
        struct question q = {0};
        unsigned before = kit_count_nonsense();
        int one = kit_link(IPC_GATE, 1);
        ask(&q);
        put_nonsense(one, expect_question(one, 0), kind);
        int two = kit_link(IPC_GATE, 2);
        answer(two, expect_question(two, 0), "x");
        expect_done(&q, ERR_OK);
        assert_int_equal(kit_count_nonsense(), before + 1);
        (void)close(one);
        (void)close(two);
    }
}

static void nobody_answers_for_another_gate(void **)
{
    kit_found((struct kit_company){0});
    struct question q = {0};
    int one = kit_link(IPC_GATE, 1);
    ask(&q);
    uint64_t tag = expect_question(one, 0);
    int two = kit_link(IPC_GATE, 2);
    unsigned before = kit_count_nonsense();
    answer(two, tag, "forged");
    assert_true(kit_is_closed(two));
    answer(one, tag, "true");
    expect_done(&q, ERR_OK);
    assert_string_equal(q.bytes, "true");
    assert_int_equal(kit_count_nonsense(), before + 1);
    (void)close(one);
    (void)close(two);
}

static void tick_later(void *arg)
{
    desk_parse_tick(kit->desk, mono_now() + SECONDS(*(int *)arg));
}

static void who_waits_too_long_is_told_and_a_hanging_gate_is_ended(void **)
{
    kit_found((struct kit_company){0});
    struct question none = {0}, hung = {.message = 5}, behind = {0}, again = {.message = 5};
    int seconds = 11;
    fd_close(&kit->gate);
    usleep(20000); /* until the desk has noticed */
    ask(&none);
    kit_on_loop(tick_later, &seconds);
    expect_done(&none, ERR_RETRY);
    int gate = kit_link(IPC_GATE, 1);
    ask(&hung);
    ask(&behind);
    (void)expect_question(gate, 0);
    uint64_t late = expect_question(gate, 0);
    kit_on_loop(tick_later, &seconds);
    expect_done(&hung, ERR_RETRY);
    expect_done(&behind, ERR_RETRY);
    answer(gate, late, "late"); /* heard, and given to nobody */
    kit_expect_quiet(gate);
    unsigned before = kit_count_nonsense();
    seconds = 31;
    kit_on_loop(tick_later, &seconds);
    assert_true(kit_is_closed(gate));
    assert_int_equal(kit_count_nonsense(), before + 1);
    ask(&again);
    assert_int_equal(again.asked, ERR_CORRUPT);
    assert_int_equal(n_done(&behind), 1);
    (void)close(gate);
}

static void too_many_questions_are_refused_not_kept(void **)
{
    enum { MANY = 300 };
    static struct question q[MANY];
    kit_found((struct kit_company){0});
    memset(q, 0, sizeof(q));
    unsigned n_taken = 0;
    for (size_t i = 0; i < MANY; i++) {
        ask(&q[i]);
        assert_true(q[i].asked == ERR_OK || q[i].asked == ERR_RETRY);
        n_taken += q[i].asked == ERR_OK;
    }
    assert_int_equal(n_taken, refuse_row(REFUSE_PARSES)->limit);
    int gate = kit_link(IPC_GATE, 1);
    for (size_t i = 0; i < n_taken; i++)
        answer(gate, expect_question(gate, 0), "x");
    for (size_t i = 0; i < n_taken; i++)
        for (int k = 0; k < KIT_WAIT_MS && n_done(&q[i]) == 0; k++)
            usleep(1000);
    struct question more = {0};
    ask(&more);
    assert_int_equal(more.asked, ERR_OK);
    answer(gate, expect_question(gate, 0), "x");
    expect_done(&more, ERR_OK);
    (void)close(gate);
}

static struct question unanswered;

static void questions_that_are_open_at_the_end_are_canceled(void **)
{
    kit_found((struct kit_company){0});
    unanswered = (struct question){0};
    ask(&unanswered);
    kit_stop();
    assert_int_equal(unanswered.n_done, 1);
    assert_int_equal(unanswered.err, ERR_CANCELED);
    kit_start();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    kit_hears_questions = true;
    const struct CMUnitTest tests[] = {
        TEST(a_gate_is_asked_and_its_answer_is_given),
        TEST(who_asks_before_a_gate_is_there_waits_for_it),
        TEST(when_a_gate_dies_another_is_asked),
        TEST(two_gates_die_of_a_message_and_no_third),
        TEST(the_innocent_are_told_from_the_guilty),
        TEST(a_gate_that_babbles_loses_its_link_and_the_question),
        TEST(nobody_answers_for_another_gate),
        TEST(who_waits_too_long_is_told_and_a_hanging_gate_is_ended),
        TEST(too_many_questions_are_refused_not_kept),
        TEST(questions_that_are_open_at_the_end_are_canceled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
