/* Core's answers: late, refusing, nonsense, dying; recipients and their routes. */
#include "smtp/test/gate_test.h"

/* ---- core's answers ---- */

static void only_cores_word_makes_a_250(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    k.take_way = CORE_WAITS;
    expect(&k, peer, ENVELOPE "DATA" CRLF "x" CRLF "." CRLF "NOOP" CRLF, "250 250 250 354");
    for (int i = 0; i < 5; i++)
        fake_tick(k.loop);
    expect(&k, peer, "", "");
    core_answer_held(&k, CORE_ACCEPTS);
    gate_run(&k);
    assert_string_equal(codes_of(peer), "250 250");
    assert_true(last_message(&k)->is_answered && last_message(&k)->is_written);
    finish(&k);
}

static void core_may_refuse_a_message_and_the_reason_is_the_reply(void **)
{
    static const struct {
        enum refuse_id id;
        const char *codes;
    } cases[] = {
        {REFUSE_STORE_FAILED, "451"},    {REFUSE_DISK_LOW, "452"},
        {REFUSE_LOOP_OURS, "554"},       {REFUSE_NOT_YOUR_DOMAIN, "550"},
        {REFUSE_CONTENT_REFUSED, "554"}, {REFUSE_STOPPING, "421 end"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gate_kit k;
        int peer = begin(&k);
        expect(&k, peer, ENVELOPE, "250 250 250");
        k.take_way = CORE_REFUSES;
        k.refusal = cases[i].id;
        expect(&k, peer, "BDAT 1 LAST" CRLF "x", cases[i].codes);
        assert_int_equal(k.n_told, 0);
        finish(&k);
    }
}

static void a_refusal_by_the_primary_is_passed_through(void **)
{
    static const struct {
        uint16_t code;
        const char *enhanced, *text, *reply;
    } cases[] = {
        {554, "5.7.1", "this is spam", "554 5.7.1 this is spam\r\n"},
        {550, "", "no", "550 no\r\n"},
        {550, "4.7.1", "codes that do not fit", "550 codes that do not fit\r\n"},
        {552, "nonsense", "two\r\nlines\n250 ok", "552-two\r\n552-lines\r\n552 250 ok\r\n"},
        {521, "5.3.2", "", "521 5.3.2\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gate_kit k;
        int peer = begin(&k);
        k.take_way = CORE_WAITS;
        expect(&k, peer, ENVELOPE "BDAT 1 LAST" CRLF "x", "250 250 250");
        struct ipc_taken taken = {.refusal = 1 + REFUSE_CONTENT_REFUSED,
                                  .code = cases[i].code,
                                  .enhanced = slice_str(cases[i].enhanced),
                                  .text = slice_str(cases[i].text)};
        core_tell_taken(&k, k.held.tag, &taken);
        gate_run(&k);
        assert_string_equal(buf_cstr(&fake_peers[peer].got), cases[i].reply);
        (void)codes_of(peer);
        expect(&k, peer, "NOOP" CRLF, "250");
        finish(&k);
    }
}

static void a_core_that_dies_leaves_a_temporary_refusal(void **)
{
    struct gate_kit k;
    int peer = begin(&k), other = gate_connect(&k), third = gate_connect(&k);
    expect(&k, peer, ENVELOPE, "250 250 250");
    expect(&k, other, EHLO MAIL, "220 250 250");
    expect(&k, third, ENVELOPE "DATA" CRLF "begun" CRLF, "220 250 250 250 354");
    k.rcpt_way = CORE_WAITS; /* a new generation: the cache does not answer */
    core_facts(&k);
    expect(&k, other, RCPT, "");
    k.take_way = CORE_DIES;
    expect(&k, peer, "BDAT 1 LAST" CRLF "x" MAIL, "451 451");
    assert_string_equal(codes_of(other), "451");
    expect(&k, third, "." CRLF, "451");
    expect(&k, third, MAIL, "451");
    k.take_way = k.rcpt_way = CORE_ACCEPTS;
    core_begin(&k);
    expect(&k, peer, MAIL RCPT "BDAT 1 LAST" CRLF "x", "250 250 250");
    expect(&k, other, MAIL RCPT "BDAT 1 LAST" CRLF "x", "250 250 250");
    finish(&k);
}

static void a_transaction_survives_a_core_that_comes_back(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE "DATA" CRLF "begun" CRLF, "250 250 250 354");
    core_die(&k);
    core_begin(&k);
    expect(&k, peer, "." CRLF, "250");
    finish(&k);
}

static void a_message_whose_sender_has_left_is_reported_as_unanswered(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    k.take_way = CORE_WAITS;
    expect(&k, peer, ENVELOPE "BDAT 1 LAST" CRLF "x", "250 250 250");
    assert_false(fake_leave(peer)); /* not seen while it waits */
    core_answer_held(&k, CORE_ACCEPTS);
    gate_run(&k);
    assert_true(last_message(&k)->is_answered && !last_message(&k)->is_written);
    int slow = gate_connect(&k);
    expect(&k, slow, ENVELOPE "BDAT 1 LAST" CRLF "x", "220 250 250 250");
    gate_time_out(&k); /* core was silent for too long */
    assert_string_equal(codes_of(slow), "451 end");
    core_answer_held(&k, CORE_ACCEPTS);
    gate_run(&k);
    assert_true(last_message(&k)->is_answered && !last_message(&k)->is_written);
    finish(&k);
}

static void a_late_answer_never_meets_another_question(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    k.take_way = CORE_WAITS;
    expect(&k, peer, ENVELOPE "BDAT 1 LAST" CRLF "x", "250 250 250");
    uint64_t first = k.held.tag;
    core_tell_taken(&k, first, &(struct ipc_taken){.refusal = 1 + REFUSE_STORE_BUSY});
    gate_run(&k);
    expect(&k, peer, MAIL RCPT "BDAT 1 LAST" CRLF "y", "451 250 250");
    assert_true(k.held.tag != first);
    core_tell_taken(&k, first, &(struct ipc_taken){.message = 77}); /* for the first after all */
    gate_run(&k);
    expect(&k, peer, "", "");
    core_answer_held(&k, CORE_ACCEPTS);
    gate_run(&k);
    assert_string_equal(codes_of(peer), "250");
    finish(&k);
}

/* Each is a frame of core that makes no sense. */
static void nonsense_from_core_ends_the_link(void **)
{
    static const char garbage[70] = {1};
    struct buf frames[12];
    uint16_t types[12];
    size_t n = 0;
    for (size_t i = 0; i < 12; i++)
        frames[i] = buf_make(3 << 20);
    types[n++] = IPC_T_facts; /* empty */
    types[n] = IPC_T_facts;
    buf_add(&frames[n++], garbage, sizeof(garbage));
    types[n] = IPC_T_facts; /* larger than any */
    while (frames[n].n < 2 << 20)
        buf_add(&frames[n], garbage, sizeof(garbage));
    n++;
    types[n] = IPC_T_facts;
    ipc_facts_pack(&frames[n++], &(struct ipc_facts){.refusal = REFUSE_N + 1});
    types[n] = IPC_T_facts; /* words of the administration */
    ipc_facts_pack(&frames[n++], &(struct ipc_facts){.refusal = 1 + REFUSE_ADMIN_DENIED});
    types[n] = IPC_T_rcpt_told; /* no words at all */
    ipc_rcpt_told_pack(&frames[n++], &(struct ipc_rcpt_told){.refusal = 1 + REFUSE_HOLD_LOOP});
    types[n] = IPC_T_taken;
    ipc_taken_pack(&frames[n++], &(struct ipc_taken){.refusal = 0});
    types[n] = IPC_T_taken;
    ipc_taken_pack(&frames[n++], &(struct ipc_taken){.refusal = UINT32_MAX});
    types[n] = IPC_T_taken;
    ipc_taken_pack(&frames[n++],
                   &(struct ipc_taken){.refusal = 1 + REFUSE_CONTENT_REFUSED, .code = 250});
    types[n] = IPC_T_taken;
    ipc_taken_pack(&frames[n++],
                   &(struct ipc_taken){.refusal = 1 + REFUSE_CONTENT_REFUSED, .code = 421});
    types[n++] = IPC_T_content;
    types[n++] = 9999;
    assert_int_equal(n, 12);
    for (size_t i = 0; i < n; i++) {
        struct gate_kit k;
        int peer = begin(&k);
        k.take_way = CORE_WAITS;
        expect(&k, peer, ENVELOPE "BDAT 1 LAST" CRLF "x", "250 250 250");
        (void)fake_link_say(types[i], k.held.tag, buf_slice(&frames[i]));
        gate_run(&k);
        assert_null(fake_net.link);
        assert_int_equal(k.n_nonsense, 1);
        assert_string_equal(codes_of(peer), "451");
        k.n_nonsense = 0;
        finish(&k);
        buf_finish(&frames[i]);
    }
}

static void answers_that_nobody_waits_for_are_ignored(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    core_tell_rcpt(&k, 0, &(struct ipc_rcpt_told){.tenant = 1});
    core_tell_rcpt(&k, UINT64_MAX, &(struct ipc_rcpt_told){.tenant = 1});
    core_tell_taken(&k, 1, &(struct ipc_taken){.refusal = 1 + REFUSE_STORE_BUSY});
    gate_run(&k);
    expect(&k, peer, EHLO, "250");
    finish(&k);
}

static void a_gate_opens_with_cores_first_word_or_soon(void **)
{
    struct gate_kit k;
    gate_init(&k);
    gate_begin(&k);
    assert_false(fake_net.listener->is_paused);
    smtp_server_destroy(&k.server);
    k.server = NULL;
    gate_make(&k);
    assert_true(fake_net.listener->is_paused);
    fake_tick(k.loop);
    assert_true(fake_net.listener->is_paused);
    core_begin(&k);
    assert_false(fake_net.listener->is_paused);
    smtp_server_destroy(&k.server);
    gate_make(&k);
    k.server->open_at = 0; /* five seconds later */
    fake_tick(k.loop);
    assert_false(fake_net.listener->is_paused);
    int peer = gate_connect(&k);
    expect(&k, peer, EHLO MAIL, "220 250 451");
    finish(&k);
}

/* ---- recipients ---- */

static void one_transaction_goes_to_one_primary(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE "RCPT TO:<other@example.net>" CRLF "RCPT TO:<bea@example.org>" CRLF,
           "250 250 250 452 250");
    expect(&k, peer, "BDAT 1 LAST" CRLF "x", "250");
    assert_int_equal(last_message(&k)->take.n_rcpts, 2);
    expect(&k, peer, MAIL "RCPT TO:<other@example.net>" CRLF RCPT, "250 250 452");
    finish(&k);
}

static void a_route_is_asked_for_once_until_the_facts_change(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE RCPT RCPT, "250 250 250 250 250");
    assert_int_equal(k.n_asked, 1);
    expect(&k, peer,
           "RSET" CRLF MAIL RCPT "RCPT TO:<unknown@x.org>" CRLF "RCPT TO:<unknown@x.org>" CRLF,
           "250 250 250 550 550");
    assert_int_equal(k.n_asked, 3); /* refusals are asked for again */
    k.told.primary = 33;
    core_facts(&k);
    expect(&k, peer, RCPT, "452"); /* now it belongs elsewhere */
    assert_int_equal(k.n_asked, 4);
    finish(&k);
}

static void an_answer_from_before_the_change_is_not_kept(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    k.rcpt_way = CORE_WAITS;
    expect(&k, peer, ENVELOPE, "250 250");
    struct ipc_rcpt_told old = {.generation = k.generation, .tenant = 1, .primary = 11};
    core_facts(&k);
    core_tell_rcpt(&k, k.held.tag, &old);
    gate_run(&k);
    assert_string_equal(codes_of(peer), "250");
    assert_int_equal(map_size(k.server->known), 0);
    finish(&k);
}

static void what_the_primary_cannot_take_is_refused_early(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    k.told.size_max = 1000;
    k.told.abilities = IPC_NO_SMTPUTF8;
    expect(&k, peer, EHLO "MAIL FROM:<a@b.c> SIZE=1001" CRLF RCPT "RSET" CRLF, "250 250 552 250");
    expect(&k, peer, "MAIL FROM:<a@b.c> SIZE=1000" CRLF RCPT "RSET" CRLF, "250 250 250");
    expect(&k, peer, "MAIL FROM:<a@b.c> SMTPUTF8" CRLF "RCPT TO:<bea@x.org>" CRLF, "250 550");
    finish(&k);
}

static void new_mail_waits_while_core_says_so(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, EHLO, "250");
    k.facts_refusal = 1 + REFUSE_DISK_LOW;
    core_facts(&k);
    expect(&k, peer, MAIL, "452");
    k.facts_refusal = 0;
    core_facts(&k);
    expect(&k, peer, MAIL, "250");
    finish(&k);
}

static void before_the_first_facts_nothing_is_taken(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    core_die(&k);
    smtp_server_core(k.server, 0); /* linked, and silent */
    expect(&k, peer, EHLO MAIL, "250 451");
    core_facts(&k);
    expect(&k, peer, MAIL RCPT, "250 250");
    finish(&k);
}

int main(void)
{
    log_init("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_cores_word_makes_a_250),
        cmocka_unit_test(core_may_refuse_a_message_and_the_reason_is_the_reply),
        cmocka_unit_test(a_refusal_by_the_primary_is_passed_through),
        cmocka_unit_test(a_core_that_dies_leaves_a_temporary_refusal),
        cmocka_unit_test(a_transaction_survives_a_core_that_comes_back),
        cmocka_unit_test(a_message_whose_sender_has_left_is_reported_as_unanswered),
        cmocka_unit_test(a_late_answer_never_meets_another_question),
        cmocka_unit_test(nonsense_from_core_ends_the_link),
        cmocka_unit_test(answers_that_nobody_waits_for_are_ignored),
        cmocka_unit_test(a_gate_opens_with_cores_first_word_or_soon),
        cmocka_unit_test(one_transaction_goes_to_one_primary),
        cmocka_unit_test(a_route_is_asked_for_once_until_the_facts_change),
        cmocka_unit_test(an_answer_from_before_the_change_is_not_kept),
        cmocka_unit_test(what_the_primary_cannot_take_is_refused_early),
        cmocka_unit_test(new_mail_waits_while_core_says_so),
        cmocka_unit_test(before_the_first_facts_nothing_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
