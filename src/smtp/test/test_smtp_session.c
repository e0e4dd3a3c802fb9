/* Sessions: every verb in every state, any split of the input, limits, time, stopping. Over the
 * fake net: no sockets, no waiting. */
#include "smtp/test/gate_test.h"

/* ---- every state with every verb ---- */

/* What brings a session into a state (from the greeting on). */
static const struct {
    enum smtp_state state;
    const char *input;
} ways[] = {
    {SMTP_HELLO, ""},
    {SMTP_READY, EHLO},
    {SMTP_MAIL, EHLO MAIL},
    {SMTP_RCPT, ENVELOPE},
    {SMTP_BDAT, ENVELOPE "BDAT 1" CRLF "x"},
};
enum { N_WAYS = sizeof(ways) / sizeof(ways[0]) };

/* Reply and next state, in the order of `ways`. */
static const struct {
    const char *command;
    struct {
        const char *codes;
        enum smtp_state next;
    } want[N_WAYS];
} walk[] = {
#define ALL(codes, next)                                                                           \
    {                                                                                              \
        {codes, next}, {codes, next}, {codes, next}, {codes, next},                                \
        {                                                                                          \
            codes, next                                                                            \
        }                                                                                          \
    }
#define STAY(codes)                                                                                \
    {                                                                                              \
        {codes, SMTP_HELLO}, {codes, SMTP_READY}, {codes, SMTP_MAIL}, {codes, SMTP_RCPT},          \
        {                                                                                          \
            codes, SMTP_BDAT                                                                       \
        }                                                                                          \
    }
    {"HELO c.example", ALL("250", SMTP_READY)},
    {"EHLO c.example", ALL("250", SMTP_READY)},
    {"EHLO", STAY("501")},
    {"EHLO two words", STAY("501")},
    {"MAIL FROM:<a@c.example>",
     {{"503", SMTP_HELLO},
      {"250", SMTP_MAIL},
      {"503", SMTP_MAIL},
      {"503", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"MAIL FROM:<>",
     {{"503", SMTP_HELLO},
      {"250", SMTP_MAIL},
      {"503", SMTP_MAIL},
      {"503", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"MAIL FROM:<a@c.example> BODY=BINARYMIME",
     {{"503", SMTP_HELLO},
      {"555", SMTP_READY},
      {"503", SMTP_MAIL},
      {"503", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"MAIL FROM:<a@c.example> FOO=1",
     {{"503", SMTP_HELLO},
      {"555", SMTP_READY},
      {"503", SMTP_MAIL},
      {"503", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"RCPT TO:<anna@example.org>",
     {{"503", SMTP_HELLO},
      {"503", SMTP_READY},
      {"250", SMTP_RCPT},
      {"250", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"RCPT TO:<unknown@example.org>",
     {{"503", SMTP_HELLO},
      {"503", SMTP_READY},
      {"550", SMTP_MAIL},
      {"550", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"RCPT TO:anna example.org",
     {{"503", SMTP_HELLO},
      {"503", SMTP_READY},
      {"501", SMTP_MAIL},
      {"501", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"DATA",
     {{"503", SMTP_HELLO},
      {"503", SMTP_READY},
      {"503", SMTP_MAIL},
      {"354", SMTP_DATA},
      {"503", SMTP_BDAT}}},
    {"DATA now",
     {{"503", SMTP_HELLO},
      {"503", SMTP_READY},
      {"503", SMTP_MAIL},
      {"501", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"BDAT 0",
     {{"503", SMTP_HELLO},
      {"503", SMTP_READY},
      {"503", SMTP_READY},
      {"250", SMTP_BDAT},
      {"250", SMTP_BDAT}}},
    {"BDAT 0 LAST",
     {{"503", SMTP_HELLO},
      {"503", SMTP_READY},
      {"503", SMTP_READY},
      {"250", SMTP_READY},
      {"250", SMTP_READY}}},
    {"BDAT x", ALL("501 end", SMTP_CLOSED)},
    {"BDAT 99999999999", ALL("501 end", SMTP_CLOSED)},
    {"RSET",
     {{"250", SMTP_HELLO},
      {"250", SMTP_READY},
      {"250", SMTP_READY},
      {"250", SMTP_READY},
      {"250", SMTP_READY}}},
    {"NOOP with words", STAY("250")},
    {"QUIT", ALL("221 end", SMTP_CLOSED)},
    {"VRFY anna", STAY("252")},
    {"EXPN list", STAY("502")},
    {"HELP", STAY("214")},
    {"ETRN example.org", STAY("502")},
    {"AUTH PLAIN AGEAYg==", STAY("502")},
    {"XCLIENT ADDR=192.0.2.9",
     {{"550", SMTP_HELLO},
      {"550", SMTP_READY},
      {"503", SMTP_MAIL},
      {"503", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"STARTTLS",
     {{"220", SMTP_SHAKING},
      {"220", SMTP_SHAKING},
      {"220", SMTP_SHAKING},
      {"220", SMTP_SHAKING},
      {"503", SMTP_BDAT}}},
    {"STARTTLS now",
     {{"501", SMTP_HELLO},
      {"501", SMTP_READY},
      {"501", SMTP_MAIL},
      {"501", SMTP_RCPT},
      {"503", SMTP_BDAT}}},
    {"GET / HTTP/1.1", ALL("521 end", SMTP_CLOSED)},
    {"POST /mail HTTP/1.0", ALL("521 end", SMTP_CLOSED)},
    {"WIZ", STAY("500")},
    {"", STAY("500")},
    {"NO\nOP", STAY("501")},
    {"NO\rOP", STAY("501")},
};

static void every_verb_in_every_state_does_what_the_table_says(void **)
{
    for (size_t i = 0; i < sizeof(walk) / sizeof(walk[0]); i++) {
        for (size_t w = 0; w < N_WAYS; w++) {
            struct gate_kit k;
            char line[200];
            int peer = begin(&k);
            gate_send(&k, peer, slice_str(ways[w].input));
            assert_int_equal(gate_session(&k, peer)->state, ways[w].state);
            (void)codes_of(peer);
            snprintf(line, sizeof(line), "%s\r\n", walk[i].command);
            gate_send(&k, peer, slice_str(line));
            const char *codes = codes_of(peer);
            const struct smtp_session *x = gate_session(&k, peer);
            enum smtp_state next = x ? x->state : SMTP_CLOSED;
            if (strcmp(codes, walk[i].want[w].codes) != 0 || next != walk[i].want[w].next)
                fail_msg("%s in %s: %s, then %s", walk[i].command, smtp_state_name(ways[w].state),
                         codes, smtp_state_name(next));
            finish(&k);
        }
    }
}

static void while_somebody_else_has_to_answer_commands_wait(void **)
{
    for (size_t i = 0; i < sizeof(walk) / sizeof(walk[0]); i++) {
        struct gate_kit k;
        char line[200];
        int peer = begin(&k);
        k.rcpt_way = CORE_WAITS;
        expect(&k, peer, ENVELOPE, "250 250");
        assert_int_equal(gate_session(&k, peer)->state, SMTP_ASKING);
        snprintf(line, sizeof(line), "%s\r\n", walk[i].command);
        expect(&k, peer, line, "");
        k.rcpt_way = CORE_ACCEPTS;
        core_answer_held(&k, CORE_ACCEPTS);
        gate_run(&k);
        const char *codes = codes_of(peer);
        assert_memory_equal(codes, "250 ", 4);
        assert_string_equal(codes + 4, walk[i].want[3].codes); /* as if sent afterwards */
        finish(&k);
    }
}

static void in_data_no_line_is_a_command(void **)
{
    for (size_t i = 0; i < sizeof(walk) / sizeof(walk[0]); i++) {
        struct gate_kit k;
        char line[200];
        int peer = begin(&k);
        expect(&k, peer, ENVELOPE "DATA" CRLF, "250 250 250 354");
        snprintf(line, sizeof(line), "%s\r\n", walk[i].command);
        expect(&k, peer, line, "");
        bool is_clean = !strpbrk(walk[i].command, "\r\n");
        expect(&k, peer, "." CRLF, is_clean ? "250" : "550");
        assert_int_equal(k.n_messages, is_clean);
        finish(&k);
    }
}

/* ---- any split ---- */

static const char conversation[] = EHLO
    "MAIL FROM:<a@c.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=abc" CRLF RCPT
    "RCPT TO:<unknown@example.org>" CRLF "RCPT TO:<bea@example.org> NOTIFY=NEVER" CRLF "DATA" CRLF
    "Subject: one" CRLF CRLF "..dot" CRLF ".." CRLF "." CRLF MAIL RCPT "BDAT 5" CRLF "a\r\nb\r"
    "BDAT 1" CRLF "\n"
    "BDAT 0 LAST" CRLF "NOOP" CRLF MAIL "RCPT TO:<unknown@example.org>" CRLF "DATA" CRLF
    "BDAT 12 LAST" CRLF "QUIT" CRLF "QUIT" CRLF "RSET" CRLF MAIL RCPT "DATA" CRLF "bare\nlf" CRLF
    "." CRLF MAIL RCPT "BDAT 7" CRLF "RSET" CRLF "x"
    "RSET" CRLF "NO\0OP" CRLF "VRFY x" CRLF "WIZ" CRLF "HELP" CRLF "QUIT" CRLF "NOOP" CRLF;

/* Plays the conversation in pieces of the size that `next` gives; returns all replies. */
static struct buf play(size_t (*next)(uint32_t *state), uint32_t state)
{
    struct gate_kit k;
    gate_init(&k);
    gate_begin(&k);
    int peer = gate_connect(&k);
    struct slice rest = slice_of(conversation, sizeof(conversation) - 1);
    while (rest.n > 0) {
        size_t n = next(&state);
        n = n < rest.n ? n : rest.n;
        char *piece = mem_new(n); /* of its own: reading over its end is found */
        memcpy(piece, rest.p, n);
        gate_send(&k, peer, slice_of(piece, n));
        mem_free(&piece);
        rest = slice_skip(rest, n);
    }
    assert_null(fake_peers[peer].stream);
    assert_int_equal(k.n_messages, 2);
    assert_int_equal(k.messages[0].content.n, strlen("Subject: one\r\n\r\n.dot\r\n.\r\n"));
    assert_memory_equal(k.messages[0].content.p, "Subject: one\r\n\r\n.dot\r\n.\r\n", 25);
    assert_content(&k, "a\r\nb\r\n", 6);
    struct buf replies = buf_make(1 << 20);
    struct slice rest_of_it = buf_slice(&fake_peers[peer].got);
    while (rest_of_it.n > 0) { /* ids of messages differ from run to run */
        struct slice line = slice_cut(rest_of_it, '\n', &rest_of_it);
        bool is_id = slice_starts(line, SLICE("250 2.0.0 accepted as "));
        buf_adds(&replies, is_id ? SLICE("250 accepted") : line);
    }
    finish(&k);
    return replies;
}

static size_t everything(uint32_t *)
{
    return SIZE_MAX;
}

static size_t one_byte(uint32_t *)
{
    return 1;
}

static size_t some_bytes(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 24) % 40 + 1;
}

static void the_replies_are_the_same_in_any_split(void **)
{
    SCOPED(buf_finish) struct buf whole = play(everything, 0);
    SCOPED(buf_finish) struct buf bytes = play(one_byte, 0);
    assert_int_equal(whole.n, bytes.n);
    assert_memory_equal(whole.p, bytes.p, whole.n);
    for (uint32_t seed = 1; seed <= 200; seed++) {
        SCOPED(buf_finish) struct buf pieces = play(some_bytes, seed);
        assert_int_equal(whole.n, pieces.n);
        assert_memory_equal(whole.p, pieces.p, whole.n);
    }
}

static void pipelined_commands_get_their_replies_in_order(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE "DATA" CRLF, "250 250 250 354");
    expect(&k, peer, "x" CRLF "." CRLF "NOOP" CRLF MAIL RCPT "DATA" CRLF, "250 250 250 250 354");
    expect(&k, peer, "y" CRLF "." CRLF "QUIT" CRLF, "250 221 end");
    assert_int_equal(k.n_messages, 2);
    finish(&k);
}

/* ---- limits of a session ---- */

static void too_many_errors_end_the_session(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, EHLO, "250");
    for (int i = 0; i < 19; i++)
        expect(&k, peer, "WIZ" CRLF, "500");
    expect(&k, peer, "WIZ" CRLF, "500 421 end");
    finish(&k);
}

static void what_limits_judge_is_measured(void **)
{
    static struct refuse_high highs[REFUSE_N];
    struct gate_kit k;
    (void)refuse_take_highs(0, highs);
    (void)refuse_take_highs(SECONDS(60), highs);
    int peer = begin(&k);
    expect(&k, peer, EHLO "WIZ" CRLF MAIL RCPT RCPT "DATA" CRLF, "250 500 250 250 250 354");
    expect(&k, peer, "Received: a" CRLF "Subject: b" CRLF CRLF "c" CRLF "." CRLF, "250");
    expect(&k, peer, "MAIL FROM:<a@example.net> SIZE=99000000" CRLF, "552");
    assert_true(refuse_take_highs(SECONDS(60), highs));
    assert_int_equal(highs[REFUSE_ERRORS].value, 1);
    assert_int_equal(highs[REFUSE_COMMANDS].value, 6);
    assert_int_equal(highs[REFUSE_RECIPIENTS].value, 2);
    assert_int_equal(highs[REFUSE_HEADER_SIZE].value, 25);
    assert_int_equal(highs[REFUSE_LOOP].value, 1);
    assert_int_equal(highs[REFUSE_MESSAGES].value, 2);
    assert_int_equal(highs[REFUSE_TOO_BIG].value, 99000000);
    assert_true(highs[REFUSE_LINE].value >= 40);
    finish(&k);
}

static void unknown_recipients_are_no_errors(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, EHLO MAIL, "250 250");
    for (int i = 0; i < 100; i++)
        expect(&k, peer, "RCPT TO:<unknown@example.org>" CRLF, "550");
    expect(&k, peer, "WIZ" CRLF, "500"); /* the first */
    finish(&k);
}

static void good_mail_forgives_errors_and_talk(void **)
{
    struct gate_kit k;
    gate_init(&k);
    k.limits.commands = 30;
    k.limits.idle_commands = 10;
    gate_begin(&k);
    int peer = gate_connect(&k);
    expect(&k, peer, EHLO, "220 250");
    for (int i = 0; i < 50; i++) {
        for (int j = 0; j < 4; j++)
            expect(&k, peer, "WIZ" CRLF "NOOP" CRLF, "500 250");
        expect(&k, peer, MAIL RCPT "BDAT 1 LAST" CRLF "x", "250 250 250");
    }
    for (int j = 0; j < 5; j++)
        expect(&k, peer, "NOOP" CRLF "NOOP" CRLF, "250 250");
    expect(&k, peer, "NOOP" CRLF, "421 end");
    finish(&k);
}

static void talk_without_mail_ends_the_session(void **)
{
    struct gate_kit k;
    gate_init(&k);
    k.limits.commands = 30;
    k.limits.idle_commands = 1000;
    gate_begin(&k);
    int peer = gate_connect(&k), other = gate_connect(&k);
    for (int i = 0; i < 30; i++)
        gate_send(&k, peer, SLICE("NOOP\r\n"));
    (void)codes_of(peer);
    expect(&k, peer, "NOOP" CRLF, "421 end");
    expect(&k, other, EHLO, "220 250");
    for (int i = 0; i < 14; i++) /* work that never becomes a message */
        expect(&k, other, MAIL "RSET" CRLF, "250 250");
    expect(&k, other, MAIL "RSET" CRLF, "250 421 end");
    finish(&k);
}

static void strangers_open_a_new_session_after_many_messages(void **)
{
    struct gate_kit k;
    gate_init(&k);
    k.limits.messages = 3;
    speak_for_a_primary(&k, "198.51.100.1", 32);
    gate_begin(&k);
    int stranger = gate_connect(&k), primary = gate_connect_from(&k, "198.51.100.1");
    expect(&k, stranger, EHLO, "220 250");
    expect(&k, primary, EHLO, "220 250");
    for (int i = 0; i < 3; i++) {
        expect(&k, stranger, MAIL RCPT "BDAT 1 LAST" CRLF "x", "250 250 250");
        expect(&k, primary, MAIL RCPT "BDAT 1 LAST" CRLF "x", "250 250 250");
    }
    expect(&k, primary, MAIL, "250");
    expect(&k, stranger, MAIL, "421 end");
    finish(&k);
}

static void too_many_recipients_come_in_the_next_message(void **)
{
    struct gate_kit k;
    gate_init(&k);
    k.limits.recipients = 3;
    gate_begin(&k);
    int peer = gate_connect(&k);
    expect(&k, peer, ENVELOPE RCPT RCPT RCPT RCPT, "220 250 250 250 250 250 452 452");
    expect(&k, peer, "BDAT 1 LAST" CRLF "x", "250");
    assert_int_equal(last_message(&k)->take.n_rcpts, 3);
    finish(&k);
}

static void a_thousand_long_recipients_and_twenty_thousand_refused_ones_fit(void **)
{
    struct gate_kit k;
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    gate_init(&k);
    k.limits.recipients = 1000;
    k.limits.commands = 100000;
    gate_begin(&k);
    int peer = gate_connect(&k);
    gate_send(&k, peer, SLICE(EHLO MAIL));
    for (int i = 0; i < 21000; i++) {
        buf_clear(&b);
        buf_addf(&b, "RCPT TO:<%s%05d", i < 20000 ? "unknown" : "known", i);
        while (b.n < 240)
            buf_addc(&b, 'x');
        buf_addf(&b, "@x.org> ORCPT=rfc822;");
        while (b.n < 740)
            buf_addc(&b, 'y');
        buf_addf(&b, CRLF);
        (void)fake_feed(peer, buf_slice(&b));
        gate_run(&k);
        buf_clear(&fake_peers[peer].got);
    }
    expect(&k, peer, "BDAT 1 LAST" CRLF "x", "250");
    assert_int_equal(last_message(&k)->take.n_rcpts, 1000);
    finish(&k);
}

static void long_lines_are_refused(void **)
{
    struct gate_kit k;
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    int peer = begin(&k);
    buf_addf(&b, "NOOP ");
    while (b.n < 4094)
        buf_addc(&b, 'x');
    buf_addf(&b, CRLF);
    gate_send(&k, peer, buf_slice(&b));
    assert_string_equal(codes_of(peer), "250");
    buf_clear(&b);
    while (b.n < 4095)
        buf_addc(&b, 'x');
    buf_addf(&b, CRLF "NOOP" CRLF);
    gate_send(&k, peer, buf_slice(&b));
    assert_string_equal(codes_of(peer), "500 250");
    finish(&k);
}

static void bytes_in_flight_have_a_ceiling(void **)
{
    static char much[60000];
    struct gate_kit k;
    memset(much, 'x', sizeof(much));
    gate_init(&k);
    k.limits.bytes_in_flight = 200000;
    gate_begin(&k);
    int peers[4];
    for (int i = 0; i < 4; i++) {
        peers[i] = gate_connect(&k);
        expect(&k, peers[i], ENVELOPE "DATA" CRLF, "220 250 250 250 354");
    }
    for (int i = 0; i < 4; i++)
        gate_send(&k, peers[i], slice_of(much, sizeof(much)));
    int fifth = gate_connect(&k);
    expect(&k, fifth, EHLO "MAIL FROM:<a@b.c> SIZE=100000" CRLF, "220 250 452");
    for (int i = 0; i < 4; i++) /* the last to grow was refused and gave its memory back */
        expect(&k, peers[i], CRLF "." CRLF, i == 3 ? "452" : "250");
    expect(&k, fifth, "MAIL FROM:<a@b.c> SIZE=100000" CRLF, "250");
    finish(&k);
}

static void what_is_announced_takes_memory_only_as_it_comes(void **)
{
    static char much[60000];
    struct gate_kit k;
    int peer = begin(&k);
    memset(much, 'x', sizeof(much));
    expect(&k, peer, EHLO "MAIL FROM:<a@b.c> SIZE=200000" CRLF RCPT "DATA" CRLF, "250 250 250 354");
    gate_send(&k, peer, SLICE("x"));
    assert_true(k.server->bytes_in_flight <= 64);
    gate_send(&k, peer, slice_of(much, sizeof(much)));
    assert_int_equal(k.server->bytes_in_flight, 200000); /* likely now: no copying later */
    expect(&k, peer, CRLF "." CRLF, "250");
    finish(&k);
}

static void input_that_waits_counts_as_in_flight(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    k.rcpt_way = CORE_WAITS;
    expect(&k, peer, ENVELOPE "NOOP" CRLF "NOOP" CRLF, "250 250");
    assert_int_equal(k.server->bytes_in_flight, 12);
    finish(&k);
}

static void a_full_link_refuses_before_anything_is_sent(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE "DATA" CRLF, "250 250 250 354");
    k.server->core_room = IPC_LIST_FRAME_MAX;
    expect(&k, peer, "x" CRLF "." CRLF, "452");
    k.server->core_room = 64 << 20;
    expect(&k, peer, MAIL RCPT "BDAT 1 LAST" CRLF "x", "250 250 250");
    assert_int_equal(k.n_messages, 1);
    finish(&k);
}

/* ---- time ---- */

static void who_waits_too_long_is_told_and_left(void **)
{
    for (size_t w = 0; w < N_WAYS; w++) {
        struct gate_kit k;
        int peer = begin(&k);
        gate_send(&k, peer, slice_str(ways[w].input));
        (void)codes_of(peer);
        fake_tick(k.loop);
        assert_string_equal(codes_of(peer), "");
        gate_time_out(&k);
        assert_string_equal(codes_of(peer), "421 end");
        finish(&k);
    }
}

static void each_state_has_its_deadline(void **)
{
    static const struct {
        const char *input;
        int64_t seconds;
    } cases[] = {
        {"", 300},
        {EHLO, 300},
        {ENVELOPE "DATA" CRLF, 180},
        {ENVELOPE "BDAT 5" CRLF, 180},
        {"STARTTLS" CRLF, 60},
        {ENVELOPE "BDAT 1 LAST" CRLF "x", 240},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gate_kit k;
        int peer = begin(&k);
        k.take_way = CORE_WAITS;
        gate_send(&k, peer, slice_str(cases[i].input));
        mono_us left = gate_session(&k, peer)->deadline - mono_now();
        assert_in_range(left, SECONDS(cases[i].seconds - 2), SECONDS(cases[i].seconds));
        finish(&k);
    }
}

static void half_a_command_gains_no_time(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    mono_us before = gate_session(&k, peer)->deadline;
    expect(&k, peer, "NO", "");
    assert_int_equal(gate_session(&k, peer)->deadline, before);
    expect(&k, peer, "OP" CRLF, "250");
    assert_true(gate_session(&k, peer)->deadline > before);
    finish(&k);
}

static void a_message_must_arrive_in_its_time(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE "DATA" CRLF "x" CRLF, "250 250 250 354");
    gate_session(&k, peer)->t->began -= SECONDS(7201);
    expect(&k, peer, "x" CRLF, "421 end");
    finish(&k);
}

/* ---- stopping ---- */

static void stopping_lets_messages_finish_and_sends_the_others_away(void **)
{
    struct gate_kit k;
    int idle = begin(&k), fresh = gate_connect(&k), data = gate_connect(&k);
    int rcpt = gate_connect(&k), taking = gate_connect(&k);
    expect(&k, idle, EHLO, "250");
    assert_string_equal(codes_of(fresh), "220");
    expect(&k, data, ENVELOPE "DATA" CRLF, "220 250 250 250 354");
    expect(&k, rcpt, ENVELOPE, "220 250 250 250");
    k.take_way = CORE_WAITS;
    expect(&k, taking, ENVELOPE "BDAT 1 LAST" CRLF "x", "220 250 250 250");
    smtp_server_stop(k.server, SECONDS(60), gate_stopped, &k);
    assert_true(fake_net.listener->is_paused);
    fake_tick(k.loop);
    assert_string_equal(codes_of(idle), "421 end");
    assert_string_equal(codes_of(fresh), "421 end");
    core_answer_held(&k, CORE_ACCEPTS);
    gate_run(&k);
    k.take_way = CORE_ACCEPTS;
    expect(&k, taking, MAIL, "250 421 end");
    expect(&k, data, "x" CRLF "." CRLF "NOOP" CRLF, "250 421 end");
    expect(&k, rcpt, "BDAT 1 LAST" CRLF "x", "250");
    assert_false(k.is_stopped);
    fake_tick(k.loop);
    assert_string_equal(codes_of(rcpt), "421 end");
    assert_true(k.is_stopped);
    finish(&k);
}

static void the_deadline_of_stopping_ends_everything(void **)
{
    struct gate_kit k;
    int data = begin(&k);
    expect(&k, data, ENVELOPE "DATA" CRLF, "250 250 250 354");
    smtp_server_stop(k.server, 0, gate_stopped, &k);
    fake_tick(k.loop);
    assert_string_equal(codes_of(data), "421 end");
    assert_true(k.is_stopped);
    finish(&k);
}

/* ---- the promise about refusals ---- */

static void every_refusing_reply_is_counted(void **)
{
    struct gate_kit k;
    struct refuse_count counts[REFUSE_N];
    size_t n_replies = 0, n_counted = 0;
    (void)refuse_take_counts(counts);
    for (size_t i = 0; i < sizeof(walk) / sizeof(walk[0]); i++)
        for (size_t w = 0; w < N_WAYS; w++) {
            char line[200];
            int peer = begin(&k);
            gate_send(&k, peer, slice_str(ways[w].input));
            (void)codes_of(peer);
            snprintf(line, sizeof(line), "%s\r\n", walk[i].command);
            gate_send(&k, peer, slice_str(line));
            const char *codes = codes_of(peer);
            n_replies += codes[0] == '4' || codes[0] == '5';
            (void)fake_leave(peer);
            gate_run(&k);
            if (refuse_take_counts(counts))
                for (int id = 0; id < REFUSE_N; id++)
                    n_counted += id == REFUSE_TLS_FAILED ? 0 : counts[id].n;
            finish(&k);
        }
    assert_true(n_replies > 50);
    assert_int_equal(n_replies, n_counted);
}

int main(void)
{
    log_init("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_in_every_state_does_what_the_table_says),
        cmocka_unit_test(while_somebody_else_has_to_answer_commands_wait),
        cmocka_unit_test(in_data_no_line_is_a_command),
        cmocka_unit_test(the_replies_are_the_same_in_any_split),
        cmocka_unit_test(pipelined_commands_get_their_replies_in_order),
        cmocka_unit_test(too_many_errors_end_the_session),
        cmocka_unit_test(what_limits_judge_is_measured),
        cmocka_unit_test(unknown_recipients_are_no_errors),
        cmocka_unit_test(good_mail_forgives_errors_and_talk),
        cmocka_unit_test(talk_without_mail_ends_the_session),
        cmocka_unit_test(strangers_open_a_new_session_after_many_messages),
        cmocka_unit_test(too_many_recipients_come_in_the_next_message),
        cmocka_unit_test(a_thousand_long_recipients_and_twenty_thousand_refused_ones_fit),
        cmocka_unit_test(long_lines_are_refused),
        cmocka_unit_test(bytes_in_flight_have_a_ceiling),
        cmocka_unit_test(what_is_announced_takes_memory_only_as_it_comes),
        cmocka_unit_test(input_that_waits_counts_as_in_flight),
        cmocka_unit_test(a_full_link_refuses_before_anything_is_sent),
        cmocka_unit_test(who_waits_too_long_is_told_and_left),
        cmocka_unit_test(each_state_has_its_deadline),
        cmocka_unit_test(half_a_command_gains_no_time),
        cmocka_unit_test(a_message_must_arrive_in_its_time),
        cmocka_unit_test(stopping_lets_messages_finish_and_sends_the_others_away),
        cmocka_unit_test(the_deadline_of_stopping_ends_everything),
        cmocka_unit_test(every_refusing_reply_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
