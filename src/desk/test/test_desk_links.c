/* Neighbours that send nonsense, too much, or die: it ends their own link, is reported, and the
 * others go on. And the door's requests. */
#include "desk_kit.h"

#include "jmap/jmap.h"

static const struct kit_mail to_anna = {.rcpts = {"anna@example.test"}};

static const enum ipc_role roles[] = {IPC_GATE, IPC_COURIER, IPC_LIAISON, IPC_DOOR};
enum { N_ROLES = 4 };

/* The link is closed, one report was made, and another gate goes on. */
static void expect_ended(int *fd, enum ipc_role role, unsigned n_before)
{
    if (!kit_is_closed(*fd))
        fail_msg("the link of %s is still open", ipc_role_name(role));
    for (int i = 0; i < KIT_WAIT_MS && kit_count_nonsense() == n_before; i++)
        usleep(1000); /* the report follows at once */
    assert_int_equal(kit_count_nonsense(), n_before + 1);
    assert_int_equal(kit->nonsense_role, role);
    fd_close(fd);
}

static void nonsense_of_every_type_ends_its_link_only(void **)
{
    static char junk[300];
    memset(junk, 0xff, sizeof(junk));
    kit_found((struct kit_company){0});
    int other = kit_link(IPC_GATE, 2);
    for (size_t r = 0; r < N_ROLES; r++)
        for (uint16_t type = 0; type < IPC_T_N + 2; type++) {
            bool is_fine = type == IPC_T_content && (roles[r] == IPC_GATE || roles[r] == IPC_DOOR);
            if (is_fine)
                continue; /* the bytes of a message may be anything */
            unsigned n = kit_count_nonsense();
            int fd = kit_link(roles[r], 1);
            kit_put_raw(fd, type, 0, 3, slice_of(junk, sizeof(junk)));
            expect_ended(&fd, roles[r], n);
        }
    assert_int_equal(kit_ask(other, "anna@example.test", 0), REFUSE_N);
    (void)close(other);
}

/* A message cut anywhere is nonsense, and so is one with a byte too many. */
static void check_cuts(enum ipc_role role, enum ipc_type type, const struct buf *whole)
{
    assert_false(whole->failed);
    for (size_t n = 0; n <= whole->n + 1; n++) {
        char bytes[2000] = {0};
        unsigned n_before = kit_count_nonsense();
        assert_true(whole->n < sizeof(bytes) - 1);
        memcpy(bytes, whole->p, whole->n);
        if (n == whole->n)
            continue;
        int fd = kit_link(role, 1);
        kit_put_raw(fd, (uint16_t)type, 0, 3, slice_of(bytes, n));
        expect_ended(&fd, role, n_before);
    }
}

static void a_message_that_is_cut_anywhere_is_nonsense(void **)
{
    struct buf b = buf_make(2000);
    struct ipc_rcpt_ask ask = {.address = SLICE("anna@example.test")};
    ipc_rcpt_ask_pack(&b, &ask);
    check_cuts(IPC_GATE, IPC_T_rcpt_ask, &b);
    buf_clear(&b);
    struct ipc_rcpt rcpt = {.address = SLICE("anna@example.test")};
    struct ipc_fields fields = {.from_address = SLICE("a@b.test")};
    struct ipc_take take = {
        .rcpts = &rcpt, .n_rcpts = 1, .fields = &fields, .n_fields = 1, .helo = SLICE("x")};
    ipc_take_pack(&b, &take);
    check_cuts(IPC_GATE, IPC_T_take, &b);
    buf_clear(&b);
    struct ipc_answer answer = {7, 1};
    struct ipc_answered answered = {&answer, 1};
    ipc_answered_pack(&b, &answered);
    check_cuts(IPC_GATE, IPC_T_answered, &b);
    buf_clear(&b);
    struct ipc_job_outcome outcome = {.phase = 1, .text = SLICE("x")};
    struct ipc_result result = {.outcomes = &outcome, .n_outcomes = 1};
    ipc_result_pack(&b, &result);
    check_cuts(IPC_COURIER, IPC_T_result, &b);
    buf_clear(&b);
    struct ipc_observed observed = {.primary = 3, .code = 250};
    ipc_observed_pack(&b, &observed);
    check_cuts(IPC_LIAISON, IPC_T_observed, &b);
    buf_clear(&b);
    struct ipc_finding finding = {.class = 1, .found = SLICE("x")};
    struct ipc_domain_seen seen = {.domain = 9, .findings = &finding, .n_findings = 1};
    ipc_domain_seen_pack(&b, &seen);
    check_cuts(IPC_LIAISON, IPC_T_domain_seen, &b);
    buf_clear(&b);
    struct ipc_request request = {.method = SLICE("GET"), .path = SLICE("/")};
    ipc_request_pack(&b, &request);
    check_cuts(IPC_DOOR, IPC_T_request, &b);
    buf_finish(&b);
}

/* ---- what is well formed and makes no sense ---- */

static void send_take(int fd, struct ipc_take *take)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    ipc_take_pack(&b, take);
    kit_put(fd, IPC_T_take, 9, &b);
}

static void a_take_that_makes_no_sense_is_nonsense(void **)
{
    struct ipc_rcpt rcpt = {.address = SLICE("anna@example.test")};
    struct ipc_fields fields = {.from_address = SLICE("a@b.test")};
    const struct ipc_take good = {
        .rcpts = &rcpt, .n_rcpts = 1, .fields = &fields, .n_fields = 1, .bytes = 2};
    kit_found((struct kit_company){0});
    for (int i = 0; i < 4; i++) {
        struct ipc_take take = good;
        unsigned n = kit_count_nonsense();
        int fd = kit_link(IPC_GATE, 1);
        kit_put_content(fd, 9, SLICE("\r\n"));
        if (i == 0)
            take.bytes = 3; /* not what came */
        else if (i == 1)
            take.n_rcpts = 0;
        else if (i == 2)
            take.n_fields = 0;
        else
            take.bytes = 0;
        send_take(fd, &take);
        expect_ended(&fd, IPC_GATE, n);
    }
}

static void an_outcome_that_cannot_be_is_nonsense(void **)
{
    static const struct kit_reply impossible[] = {
        {SMTP_PHASE_DOT, 250, "2.0.0", false}, /* taken, but the dot was never sent */
        {SMTP_PHASE_RCPT, 250, "2.0.0", true}, {SMTP_PHASE_DOT, 100, "", true},
        {SMTP_PHASE_DOT, 600, "", true},       {SMTP_PHASE_N, 0, "", true},
    };
    kit_found((struct kit_company){0});
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        struct kit_job j;
        unsigned n = kit_count_nonsense();
        uint64_t id = kit_accept(kit->gate, &to_anna);
        kit_job(&j);
        kit_result(&j, impossible[i]);
        expect_ended(&kit->courier, IPC_COURIER, n);
        kit_job_free(&j);
        kit_await(id, 0, DISPOSITION_WAITING);
        assert_int_equal(kit_order(QUEUE_REMOVE, id, 0), ERR_OK);
        kit->courier = kit_link(IPC_COURIER, 1);
    }
}

static void a_result_about_another_message_is_nonsense(void **)
{
    struct kit_job j;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_job(&j);
    j.job.message++;
    kit_result(&j, kit_good);
    expect_ended(&kit->courier, IPC_COURIER, 0);
    kit_await(id, 0, DISPOSITION_WAITING);
    kit_job_free(&j);
}

static void a_late_result_of_an_earlier_courier_means_nothing(void **)
{
    struct kit_job old, next;
    struct kit_rows rows;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_job(&old);
    fd_close(&kit->courier);
    kit_await(id, 0, DISPOSITION_WAITING);
    kit->courier = kit_link(IPC_COURIER, 1);
    kit_job(&next);
    kit_result(&old, kit_good);
    usleep(20000);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.rows[0].last.disposition, DISPOSITION_WAITING);
    assert_int_equal(kit_count_nonsense(), 0);
    kit_result(&next, kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_job_free(&old);
    kit_job_free(&next);
}

/* ---- too much ---- */

static void a_gate_that_lays_down_too_much_is_ended(void **)
{
    static char bytes[IPC_CONTENT_MAX];
    unsigned n = kit_count_nonsense();
    int fd = kit_link(IPC_GATE, 2);
    for (uint64_t tag = 0; tag < 82 * 4; tag++) /* 64 MiB in flight, and some more */
        kit_put_raw(fd, IPC_T_content, 0, tag, slice_of(bytes, sizeof(bytes)));
    expect_ended(&fd, IPC_GATE, n);
    assert_true(queue_body_total() < 1 << 20); /* it was given back */
    fd = kit_link(IPC_GATE, 2);
    for (int i = 0; i < 21 * 4; i++) /* one message above 20 MiB */
        kit_put_raw(fd, IPC_T_content, 0, 1, slice_of(bytes, sizeof(bytes)));
    expect_ended(&fd, IPC_GATE, n + 1);
}

static void many_small_uploads_are_too_many(void **)
{
    unsigned n = kit_count_nonsense();
    int fd = kit_link(IPC_GATE, 2);
    for (uint64_t tag = 0; tag <= 20000; tag++)
        kit_put_raw(fd, IPC_T_content, 0, tag, SLICE("x"));
    expect_ended(&fd, IPC_GATE, n);
}

static void dropped_uploads_are_forgotten(void **)
{
    static char bytes[IPC_CONTENT_MAX];
    int fd = kit_link(IPC_GATE, 2);
    for (uint64_t tag = 0; tag < 100 * 4; tag++) {
        kit_put_raw(fd, IPC_T_content, 0, tag, slice_of(bytes, sizeof(bytes)));
        kit_put_raw(fd, IPC_T_drop, 0, tag, SLICE(""));
    }
    kit_found((struct kit_company){0});
    assert_int_equal(kit_ask(fd, "anna@example.test", 0), REFUSE_N);
    assert_int_equal(kit_count_nonsense(), 0);
    (void)close(fd);
}

/* ---- the door ---- */

static void ask_door(int fd, uint64_t tag, const char *path, struct slice body)
{
    struct ipc_request r = {.method = SLICE("POST"),
                            .path = slice_str(path),
                            .by = SLICE("uid 0 (root)"),
                            .bytes = (uint32_t)body.n};
    SCOPED(buf_finish) struct buf b = buf_make(20000);
    kit_put_content(fd, tag, body);
    ipc_request_pack(&b, &r);
    kit_put(fd, IPC_T_request, tag, &b);
}

static void door_answer(int fd, uint64_t tag, struct buf *ret)
{
    struct kit_frame f = {0};
    struct ipc_response r = {0};
    buf_clear(ret);
    for (;;) {
        assert_true(kit_get(fd, &f, KIT_WAIT_MS));
        assert_int_equal(f.tag, tag);
        if (f.type == IPC_T_response)
            break;
        assert_int_equal(f.type, IPC_T_content);
        buf_adds(ret, f.payload);
    }
    assert_true(ipc_response_unpack(f.payload, NULL, &r));
    assert_int_equal(r.status, 200);
    assert_int_equal(r.bytes, ret->n);
    kit_frame_free(&f);
}

static void requests_run_on_the_loop_or_on_a_worker(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(32 << 20);
    kit_found((struct kit_company){0});
    kit->door = kit_link(IPC_DOOR, 1);
    ask_door(kit->door, 1, "/loop", SLICE("{}"));
    door_answer(kit->door, 1, &b);
    assert_string_equal(buf_cstr(&b), "POST /loop by uid 0 (root):{}");
    ask_door(kit->door, 2, "/worker", SLICE(""));
    door_answer(kit->door, 2, &b);
    assert_true(slice_starts(buf_slice(&b), SLICE("accepted 0")));
    char *large = mem_new(1 << 20);
    memset(large, 'z', 1 << 20);
    ask_door(kit->door, 3, "/loop", slice_of(large, 1 << 20));
    door_answer(kit->door, 3, &b);
    assert_int_equal(b.n, (1 << 20) + 27);
    mem_free(&large);
}

static void an_answer_never_reaches_another_door(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(32 << 20);
    for (int i = 0; i < 20; i++) {
        kit->door = kit_link(IPC_DOOR, 1);
        ask_door(kit->door, 7, "/worker", SLICE(""));
        int old = kit->door;
        kit->door = kit_link(IPC_DOOR, 1); /* perhaps at the same place in memory */
        ask_door(kit->door, 8, "/worker", SLICE(""));
        door_answer(kit->door, 8, &b); /* the tag is checked in there */
        (void)close(old);
        fd_close(&kit->door);
    }
}

static void a_body_of_another_length_is_nonsense(void **)
{
    unsigned n = kit_count_nonsense();
    struct ipc_request r = {.method = SLICE("POST"), .path = SLICE("/loop"), .bytes = 5};
    SCOPED(buf_finish) struct buf b = buf_make(20000);
    ipc_request_pack(&b, &r);
    kit->door = kit_link(IPC_DOOR, 1);
    kit_put_content(kit->door, 1, SLICE("four"));
    kit_put(kit->door, IPC_T_request, 1, &b);
    expect_ended(&kit->door, IPC_DOOR, n);
}

static void a_door_that_lays_down_too_much_is_ended(void **)
{
    static char bytes[IPC_CONTENT_MAX];
    unsigned n = kit_count_nonsense();
    kit->door = kit_link(IPC_DOOR, 1);
    for (size_t n_bytes = 0; n_bytes <= JMAP_SIZE_UPLOAD_MAX; n_bytes += sizeof(bytes))
        kit_put_raw(kit->door, IPC_T_content, 0, 7, slice_of(bytes, sizeof(bytes)));
    expect_ended(&kit->door, IPC_DOOR, n);
}

/* ---- refusals and figures ---- */

static void read_refusals(void *arg)
{
    kit_admin->host.refusals(kit_admin->host.arg, arg);
}

struct figures {
    struct admin_figure list[256];
    size_t n;
};

static void read_figures(void *arg)
{
    struct figures *f = arg;
    f->n = kit_admin->host.figures(kit_admin->host.arg, f->list, 256);
}

static void refusals_and_figures_of_others_are_known_and_announced(void **)
{
    struct ipc_refusal refusal = {.id = REFUSE_CONN_TOTAL, .n = 3, .who = SLICE("192.0.2.1")};
    struct ipc_refusals refusals = {&refusal, 1};
    struct ipc_figure figure = {SLICE("sessions"), 42};
    struct ipc_figures figures = {&figure, 1};
    static struct admin_refusal seen[REFUSE_N];
    static struct figures known;
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    kit_found((struct kit_company){0});
    ipc_refusals_pack(&b, &refusals);
    kit_put(kit->gate, IPC_T_refusals, 0, &b);
    buf_clear(&b);
    ipc_figures_pack(&b, &figures);
    kit_put(kit->gate, IPC_T_figures, 0, &b);
    kit_put(kit->gate, IPC_T_figures, 0, &b);
    assert_int_equal(kit_ask(kit->gate, "anna@example.test", 0), REFUSE_N);
    kit_on_loop(read_refusals, seen);
    assert_int_equal(seen[REFUSE_CONN_TOTAL].n, 3);
    assert_string_equal(seen[REFUSE_CONN_TOTAL].who, "192.0.2.1");
    kit_on_loop(read_figures, &known);
    assert_int_equal(known.n, 1);
    assert_string_equal(known.list[0].process, "gate/1");
    assert_int_equal(known.list[0].value, 42);
    kit_await_event("smtp.connections");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nonsense_of_every_type_ends_its_link_only),
        TEST(a_message_that_is_cut_anywhere_is_nonsense),
        TEST(a_take_that_makes_no_sense_is_nonsense),
        TEST(an_outcome_that_cannot_be_is_nonsense),
        TEST(a_result_about_another_message_is_nonsense),
        TEST(a_late_result_of_an_earlier_courier_means_nothing),
        TEST(a_gate_that_lays_down_too_much_is_ended),
        TEST(many_small_uploads_are_too_many),
        TEST(dropped_uploads_are_forgotten),
        TEST(requests_run_on_the_loop_or_on_a_worker),
        TEST(an_answer_never_reaches_another_door),
        TEST(a_body_of_another_length_is_nonsense),
        TEST(a_door_that_lays_down_too_much_is_ended),
        TEST(refusals_and_figures_of_others_are_known_and_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
