/* Whose mail is taken: recipients of every kind, outward mail of a primary, loops, and the headers
 * that we put before it. */
#include "desk_kit.h"

static const struct kit_mail to_anna = {.rcpts = {"anna@example.test"}};

/* ---- recipients ---- */

static void complete_list(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_snapshot snapshot = {.at = utc_now() + 1000, .n_people = 4};
    dir_snapshot_pack(kit_object(&all, OBJECT_SNAPSHOT, 40, KIT_TENANT, "people"), &snapshot);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void recipients_are_judged_at_rcpt(void **)
{
    static const struct {
        const char *address;
        uint64_t from_primary;
        enum refuse_id refusal;
    } cases[] = {
        {"anna@example.test", 0, REFUSE_N},
        {"ANNA@Example.TEST", 0, REFUSE_N},
        {"info@example.test", 0, REFUSE_N},
        {"anna+bills@example.test", 0, REFUSE_N},
        {"sales@example.test", 0, REFUSE_N},
        {"postmaster", 0, REFUSE_N},
        {"Postmaster", 0, REFUSE_N},
        {"postmaster@example.test", 0, REFUSE_N},
        {"abuse@example.test", 0, REFUSE_N},
        {"nobody@example.test", 0, REFUSE_UNSURE_PERSON},
        {"who@world.test", 0, REFUSE_RELAY},
        {"who@world.test", KIT_PRIMARY, REFUSE_N},
        {"anna@example.test", KIT_PRIMARY, REFUSE_LOOP_OURS},
        {"otto@other.test", KIT_PRIMARY, REFUSE_N},
        {"anna@", 0, REFUSE_SYNTAX},
        {"", 0, REFUSE_SYNTAX},
        {"@example.test", 0, REFUSE_SYNTAX},
        {"anna@example.test\r\nx", 0, REFUSE_SYNTAX},
    };
    kit_found((struct kit_company){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum refuse_id got = kit_ask(kit->gate, cases[i].address, cases[i].from_primary);
        if (got != cases[i].refusal)
            fail_msg("%s: %s", cases[i].address, got == REFUSE_N ? "-" : refuse_row(got)->name);
    }
}

static void a_stranger_is_unknown_only_by_a_complete_and_newer_list(void **)
{
    kit_found((struct kit_company){0});
    assert_int_equal(kit_ask(kit->gate, "nobody@example.test", 0), REFUSE_UNSURE_PERSON);
    complete_list();
    assert_int_equal(kit_ask(kit->gate, "nobody@example.test", 0), REFUSE_UNKNOWN_PERSON);
    /* Judged once more when the message comes: a gate is not believed. */
    assert_int_equal(kit_refused(kit->gate, &(struct kit_mail){.rcpts = {"nobody@example.test"}}),
                     REFUSE_UNKNOWN_PERSON);
    assert_int_equal(kit_refused(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test",
                                                                         "nobody@example.test"}}),
                     REFUSE_UNKNOWN_PERSON);
}

static void a_catch_all_takes_what_is_unknown(void **)
{
    struct kit_rows rows;
    kit_found((struct kit_company){.catch_all = "luca@example.test"});
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"nobody@example.test"}});
    struct kit_job j;
    kit_job(&j);
    assert_true(slice_eq(j.job.rcpts[0].address, SLICE("nobody@example.test")));
    kit_result(&j, kit_good);
    kit_job_free(&j);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.rows[0].facts.mailbox, KIT_BOX_LUCA);
}

static void postmaster_without_a_domain_is_somebody(void **)
{
    struct kit_rows rows;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"postmaster"}});
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.kind, IPC_JOB_PRIMARY);
    kit_result(&j, kit_good);
    kit_job_free(&j);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.rows[0].facts.mailbox, KIT_BOX_LUCA);
}

static void one_message_goes_to_one_primary(void **)
{
    kit_found((struct kit_company){0});
    assert_int_equal(kit_refused(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test",
                                                                         "otto@other.test"}}),
                     REFUSE_ONE_PRIMARY);
    assert_int_equal(kit_refused(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test",
                                                                         "sara@hosted.test"}}),
                     REFUSE_ONE_PRIMARY);
}

/* ---- outward ---- */

static struct kit_mail outward(const char *rcpt)
{
    return (struct kit_mail){.rcpts = {rcpt},
                             .mail_from = "anna@example.test",
                             .from_address = "Anna@Example.test",
                             .from_primary = KIT_PRIMARY};
}

static void the_world_is_split_by_domain(void **)
{
    struct kit_mail mail = outward("a@one.test");
    mail.rcpts[1] = "b@two.test";
    mail.rcpts[2] = "c@ONE.test";
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &mail);
    for (int i = 0; i < 2; i++) {
        struct kit_job j;
        kit_job(&j);
        assert_int_equal(j.job.kind, IPC_JOB_WORLD);
        assert_int_equal(j.job.n_hosts, 0);
        bool is_one = slice_eq(j.job.domain, SLICE("one.test"));
        assert_true(is_one || slice_eq(j.job.domain, SLICE("two.test")));
        assert_int_equal(j.job.n_rcpts, is_one ? 2 : 1);
        kit_result(&j, kit_good);
        kit_job_free(&j);
    }
    for (uint16_t i = 0; i < 3; i++)
        kit_await(id, i, DISPOSITION_DELIVERED);
}

static void a_primary_writes_in_its_own_companys_name_only(void **)
{
    struct kit_mail mail = outward("who@world.test");
    kit_found((struct kit_company){0});
    mail.mail_from = "otto@other.test";
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_NOT_YOUR_DOMAIN);
    mail.mail_from = "who@world.test";
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_NOT_YOUR_DOMAIN);
    mail.mail_from = ""; /* a notice of its own */
    (void)kit_accept(kit->gate, &mail);
    mail.from_address = "ceo@other.test";
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_NOT_YOUR_DOMAIN);
    mail.from_address = "";
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_NOT_YOUR_DOMAIN);
    mail = outward("who@world.test");
    mail.from_primary = 999;
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_RELAY);
    mail.from_primary = 0;
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_RELAY);
}

static void between_two_companies_here_the_same_holds(void **)
{
    struct kit_mail mail = outward("otto@other.test");
    kit_found((struct kit_company){0});
    (void)kit_accept(kit->gate, &mail);
    mail.from_address = "ceo@other.test";
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_NOT_YOUR_DOMAIN);
}

static void what_came_from_a_primary_is_never_offered_to_it(void **)
{
    struct kit_mail mail = outward("anna@example.test");
    kit_found((struct kit_company){0});
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_LOOP_OURS);
}

/* ---- headers of ours ---- */

/* Accept it, deliver it, and give what was delivered. */
static void pass_on(const struct kit_mail *mail, struct kit_job *ret)
{
    (void)kit_accept(kit->gate, mail);
    kit_job(ret);
    kit_result(ret, kit_good);
}

static void the_received_header_has_its_shape(void **)
{
    struct kit_job j;
    kit_found((struct kit_company){0});
    pass_on(&to_anna, &j);
    SCOPED(buf_finish) struct buf expected = buf_make(2000);
    char id[MESSAGE_ID_TEXT];
    message_id_text(j.job.message, id);
    buf_addf(&expected,
             "Received: from mx.outside.test ([192.0.2.7])\r\n"
             "\tby mx1.staffetta.example (Staffetta) with ESMTPS id %s\r\n"
             "\tfor <anna@example.test>; ",
             id);
    const char *found = memmem(j.content.p, j.content.n, expected.p, expected.n);
    assert_non_null(found);
    const char *end = memchr(found + expected.n, '\r', 60);
    assert_non_null(end);
    assert_int_equal(end - (found + expected.n), 31); /* Sat, 21 Nov 2026 21:40:00 +0000 */
    assert_memory_equal(end, "\r\nFrom: ", 8);        /* then the message itself */
    assert_true(slice_starts(buf_slice(&j.content), SLICE("Staffetta-Trace: v=1;")));
    kit_job_free(&j);
}

static void blind_copies_are_not_named(void **)
{
    struct kit_job j;
    kit_found((struct kit_company){0});
    pass_on(&(struct kit_mail){.rcpts = {"anna@example.test", "luca@example.test"}}, &j);
    assert_null(memmem(j.content.p, j.content.n, "for <", 5));
    assert_null(memmem(j.content.p, j.content.n, "luca", 4));
    kit_job_free(&j);
}

static void a_gate_cannot_write_lines_into_the_received_header(void **)
{
    struct kit_mail mail = to_anna;
    struct kit_job j;
    mail.helo = "evil\r\nX-Evil: 1";
    mail.protocol = "ESMTP\nX: 2";
    kit_found((struct kit_company){0});
    pass_on(&mail, &j);
    assert_non_null(memmem(j.content.p, j.content.n, "from evil??X-Evil:?1 ([", 23));
    assert_non_null(memmem(j.content.p, j.content.n, "with ESMTP?X:?2 id", 18));
    kit_job_free(&j);
}

static struct slice trace_of(const struct kit_job *j, size_t nth)
{
    struct slice rest = buf_slice(&j->content);
    for (size_t i = 0;; i++) {
        assert_true(slice_starts(rest, SLICE("Staffetta-Trace:")));
        rest = slice_skip(rest, 16);
        size_t n = 0;
        while (!(rest.p[n] == '\n' && rest.p[n + 1] != '\t'))
            n++;
        if (i == nth)
            return slice_of(rest.p, n + 1);
        rest = slice_skip(rest, n + 1);
    }
}

static size_t count_traces(const struct kit_job *j)
{
    size_t n = 0;
    struct slice rest = buf_slice(&j->content);
    for (const char *p; (p = memmem(rest.p, rest.n, "Staffetta-Trace:", 16)); n++)
        rest = slice_skip(rest, (size_t)(p - rest.p) + 16);
    return n;
}

static void genuine_traces_stay_forged_ones_go_too_many_are_a_loop(void **)
{
    struct kit_job first, j;
    struct ipc_text traces[8];
    kit_found((struct kit_company){0});
    pass_on(&to_anna, &first);
    struct slice genuine = trace_of(&first, 0);
    char forged[400];
    size_t n = genuine.n;
    memcpy(forged, genuine.p, n);
    char *tag = memmem(forged, n, "t=1", 3);
    assert_non_null(tag);
    tag[2] = '2';
    traces[0].text = slice_of(forged, n);
    traces[1].text = genuine;
    traces[2].text = SLICE(" v=1; nonsense\r\n");
    struct kit_mail mail = to_anna;
    mail.traces = traces;
    mail.n_traces = 3;
    pass_on(&mail, &j);
    assert_int_equal(count_traces(&j), 2);
    assert_true(slice_eq(trace_of(&j, 1), genuine));
    kit_job_free(&j);
    for (int i = 0; i < 8; i++)
        traces[i].text = genuine;
    mail.n_traces = 5; /* as often as it may have been here */
    pass_on(&mail, &j);
    kit_job_free(&j);
    mail.n_traces = 6;
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_LOOP_OURS);
    /* The key survives a start. */
    kit_restart();
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_LOOP_OURS);
    kit_job_free(&first);
}

/* ---- what the primary can, and what there is room for ---- */

static void show_abilities(uint32_t abilities, uint32_t size_max)
{
    struct kit_job j;
    (void)kit_accept(kit->gate, &to_anna);
    kit_job(&j);
    struct ipc_job_outcome o = {
        .phase = SMTP_PHASE_DOT, .code = 250, .enhanced = SLICE("2.0.0"), .text = SLICE("ok")};
    struct ipc_result r = {.message = j.job.message,
                           .is_sent = 1,
                           .size_max = size_max,
                           .abilities = abilities,
                           .outcomes = &o,
                           .n_outcomes = 1};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_result_pack(&b, &r);
    kit_put(kit->courier, IPC_T_result, j.tag, &b);
    kit_await(j.job.message, 0, DISPOSITION_DELIVERED);
    kit_job_free(&j);
}

static void what_the_primary_cannot_take_is_refused_before_the_250(void **)
{
    struct kit_mail mail = to_anna;
    kit_found((struct kit_company){0});
    mail.flags = MESSAGE_SMTPUTF8;
    (void)kit_accept(kit->gate, &mail); /* unknown: it may be able */
    kit_end_job(kit_good);
    show_abilities(IPC_ABILITIES_KNOWN | IPC_NO_SMTPUTF8, 5000);
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_NOT_ABLE);
    mail.flags = MESSAGE_8BIT;
    (void)kit_accept(kit->gate, &mail);
    kit_end_job(kit_good);
    mail.size = 4900; /* our headers make it too large */
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_TOO_BIG_FOR_PRIMARY);
    mail.size = 4000;
    (void)kit_accept(kit->gate, &mail);
    kit_end_job(kit_good);
    show_abilities(IPC_ABILITIES_KNOWN | IPC_NO_8BITMIME, 0);
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_NOT_ABLE);
}

static void a_full_queue_asks_to_come_again(void **)
{
    struct kit_mail mail = to_anna;
    kit_found((struct kit_company){0});
    fd_close(&kit->courier);
    mail.rcpts[1] = "luca@example.test";
    for (int i = 0; i < 500; i++)
        (void)kit_accept(kit->gate, &mail);
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_QUEUE_FULL);
}

static void a_thousand_recipients_with_longest_parameters_fit(void **)
{
    static struct ipc_rcpt rcpts[1000];
    static char addresses[1000][100], orcpt[600];
    struct ipc_fields fields = {.from_address = SLICE("a@b.test")};
    struct ipc_take take = {.mail_from = SLICE("a@b.test"),
                            .client = SLICE("192.0.2.7"),
                            .helo = SLICE("x"),
                            .protocol = SLICE("ESMTP"),
                            .bytes = 2,
                            .rcpts = rcpts,
                            .n_rcpts = 1000,
                            .fields = &fields,
                            .n_fields = 1};
    memset(orcpt, 'x', sizeof(orcpt));
    kit_found((struct kit_company){.catch_all = "luca@example.test"});
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(addresses[i], sizeof(addresses[i]), "p%03d", i);
        memset(addresses[i] + n, 'y', 60);
        snprintf(addresses[i] + n + 60, 30, "@example.test");
        rcpts[i] = (struct ipc_rcpt){.address = slice_str(addresses[i]),
                                     .orcpt = slice_of(orcpt, sizeof(orcpt))};
    }
    SCOPED(buf_finish) struct buf b = buf_make(4 << 20);
    ipc_take_pack(&b, &take);
    kit_put_content(kit->gate, 5, SLICE("\r\n"));
    kit_put(kit->gate, IPC_T_take, 5, &b);
    assert_int_equal(kit_taken(kit->gate, 5).refusal, 0);
    kit_end_job(kit_good); /* all are one person's: one delivery */
    kit_check_sums();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(recipients_are_judged_at_rcpt),
        TEST(a_stranger_is_unknown_only_by_a_complete_and_newer_list),
        TEST(a_catch_all_takes_what_is_unknown),
        TEST(postmaster_without_a_domain_is_somebody),
        TEST(one_message_goes_to_one_primary),
        TEST(the_world_is_split_by_domain),
        TEST(a_primary_writes_in_its_own_companys_name_only),
        TEST(between_two_companies_here_the_same_holds),
        TEST(what_came_from_a_primary_is_never_offered_to_it),
        TEST(the_received_header_has_its_shape),
        TEST(blind_copies_are_not_named),
        TEST(a_gate_cannot_write_lines_into_the_received_header),
        TEST(genuine_traces_stay_forged_ones_go_too_many_are_a_loop),
        TEST(what_the_primary_cannot_take_is_refused_before_the_250),
        TEST(a_full_queue_asks_to_come_again),
        TEST(a_thousand_recipients_with_longest_parameters_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
