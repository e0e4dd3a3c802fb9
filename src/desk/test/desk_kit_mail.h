/* The desk's test kit: a gate that brings mail, a courier that takes it. */
#ifndef DESK_TEST_DESK_KIT_MAIL_H
#define DESK_TEST_DESK_KIT_MAIL_H

#include "desk_kit_link.h"

/* ---- mail ---- */

struct kit_mail {
    const char *rcpts[8]; /* up to the first NULL */
    const char *mail_from;
    const char *from_address;
    const char *helo, *protocol;
    uint64_t from_primary;
    const char *body;       /* NULL: something short */
    const char *message_id; /* also in the body, where that is not given */
    uint32_t flags;
    size_t size; /* not 0: a body of so many bytes instead */
    const struct ipc_text *traces;
    uint32_t n_traces;
    uint8_t notify;
};

static const char kit_body[] = "From: <a@b.test>\r\nSubject: hello\r\n\r\nhello\r\n";

/* Sends it by the gate; the tag. */
static uint64_t kit_send(int gate, const struct kit_mail *mail)
{
    struct ipc_rcpt rcpts[8] = {0};
    uint64_t tag = ++kit->next_tag;
    char with_id[1200], *large = NULL;
    (void)snprintf(with_id, sizeof(with_id), "Message-ID: <%s>\r\n%s",
                   mail->message_id ? mail->message_id : "", kit_body);
    struct slice body = slice_str(mail->body ? mail->body : mail->message_id ? with_id : kit_body);
    if (mail->size) {
        large = mem_new(mail->size);
        for (size_t i = 0; i < mail->size; i++)
            large[i] = (char)('a' + i / 7 % 26);
        memcpy(large, "Subject: large\r\n\r\n", 18);
        body = slice_of(large, mail->size);
    }
    struct ipc_fields fields = {.subject = SLICE("hello"),
                                .from_address =
                                    slice_str(mail->from_address ? mail->from_address : "a@b.test"),
                                .message_id = slice_str(mail->message_id ? mail->message_id : ""),
                                .date = utc_now()};
    struct ipc_take take = {
        .mail_from = slice_str(mail->mail_from ? mail->mail_from : "sender@outside.test"),
        .client = SLICE("192.0.2.7"),
        .helo = slice_str(mail->helo ? mail->helo : "mx.outside.test"),
        .protocol = slice_str(mail->protocol ? mail->protocol : "ESMTPS"),
        .flags = mail->flags,
        .from_primary = mail->from_primary,
        .bytes = (uint32_t)body.n,
        .rcpts = rcpts,
        .fields = &fields,
        .n_fields = 1,
        .n_traces = mail->n_traces};
    struct ipc_text traces[20];
    for (uint32_t i = 0; i < mail->n_traces; i++)
        traces[i] = mail->traces[i];
    take.traces = traces;
    for (; take.n_rcpts < 8 && mail->rcpts[take.n_rcpts]; take.n_rcpts++) {
        rcpts[take.n_rcpts].address = slice_str(mail->rcpts[take.n_rcpts]);
        rcpts[take.n_rcpts].notify = mail->notify;
    }
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    kit_put_content(gate, tag, body);
    ipc_take_pack(&b, &take);
    kit_put(gate, IPC_T_take, tag, &b);
    mem_free(&large);
    return tag;
}

static struct ipc_taken kit_taken(int gate, uint64_t tag)
{
    static struct kit_frame f;
    struct ipc_taken taken;
    kit_expect(gate, IPC_T_taken, &f);
    assert_int_equal(f.tag, tag);
    assert_true(ipc_taken_unpack(f.payload, NULL, &taken));
    return taken;
}

/* Sent and accepted; its id. */
static uint64_t kit_accept(int gate, const struct kit_mail *mail)
{
    struct ipc_taken taken = kit_taken(gate, kit_send(gate, mail));
    if (taken.refusal)
        fail_msg("refused: %s", refuse_row((enum refuse_id)(taken.refusal - 1))->name);
    assert_true(taken.message != 0);
    return taken.message;
}

/* Sent and refused. */
static enum refuse_id kit_refused(int gate, const struct kit_mail *mail)
{
    struct ipc_taken taken = kit_taken(gate, kit_send(gate, mail));
    assert_int_equal(taken.message, 0);
    assert_true(taken.refusal > 0);
    return (enum refuse_id)(taken.refusal - 1);
}

static enum refuse_id kit_ask(int gate, const char *address, uint64_t from_primary)
{
    struct ipc_rcpt_ask ask = {.address = slice_str(address), .from_primary = from_primary};
    struct ipc_rcpt_told told;
    struct kit_frame f = {0};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_rcpt_ask_pack(&b, &ask);
    kit_put(gate, IPC_T_rcpt_ask, 77, &b);
    kit_expect(gate, IPC_T_rcpt_told, &f);
    assert_int_equal(f.tag, 77);
    assert_true(ipc_rcpt_told_unpack(f.payload, NULL, &told));
    kit_frame_free(&f);
    return told.refusal ? (enum refuse_id)(told.refusal - 1) : REFUSE_N;
}

static void kit_answered(int gate, uint64_t message, bool is_written)
{
    struct ipc_answer answer = {message, is_written};
    struct ipc_answered all = {&answer, 1};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_answered_pack(&b, &all);
    kit_put(gate, IPC_T_answered, 0, &b);
}

/* ---- the courier ---- */

struct kit_job {
    uint64_t tag;
    struct ipc_job job;
    struct arena *arena;
    struct buf content;
    struct kit_frame frame;
};

/* The next job with all of its content. */
static void kit_job(struct kit_job *ret)
{
    struct kit_frame f = {0};
    ret->arena = arena_create(8 << 20);
    ret->content = buf_make((size_t)66 << 20);
    kit_expect(kit->courier, IPC_T_job, &f);
    ret->tag = f.tag;
    struct slice payload = arena_copy(ret->arena, f.payload);
    assert_true(ipc_job_unpack(payload, ret->arena, &ret->job));
    while (ret->content.n < ret->job.bytes) {
        kit_expect(kit->courier, IPC_T_content, &f);
        assert_int_equal(f.tag, ret->tag);
        assert_true(f.payload.n > 0 && f.payload.n <= IPC_CONTENT_MAX);
        buf_adds(&ret->content, f.payload);
    }
    assert_int_equal(ret->content.n, ret->job.bytes);
    kit_frame_free(&f);
}

static void kit_job_free(struct kit_job *j)
{
    arena_destroy(&j->arena);
    buf_finish(&j->content);
}

struct kit_reply {
    uint8_t phase;
    uint16_t code;
    const char *enhanced;
    bool is_sent;
};
static const struct kit_reply kit_good = {SMTP_PHASE_DOT, 250, "2.0.0", true};
static const struct kit_reply kit_silent = {SMTP_PHASE_CONNECT, 0, "", false};
static const struct kit_reply kit_content = {SMTP_PHASE_DOT, 554, "5.6.0", true};
static const struct kit_reply kit_unknown = {SMTP_PHASE_RCPT, 550, "5.1.1", false};

static void kit_result(const struct kit_job *j, struct kit_reply reply)
{
    struct ipc_job_outcome outcomes[64];
    struct ipc_result r = {.message = j->job.message,
                           .remote = SLICE("mx.example.test[127.0.0.1]"),
                           .is_sent = reply.is_sent,
                           .outcomes = outcomes};
    assert_true(j->job.n_rcpts <= 64);
    for (; r.n_outcomes < j->job.n_rcpts; r.n_outcomes++)
        outcomes[r.n_outcomes] = (struct ipc_job_outcome){.rcpt = j->job.rcpts[r.n_outcomes].rcpt,
                                                          .phase = reply.phase,
                                                          .code = reply.code,
                                                          .enhanced = slice_str(reply.enhanced),
                                                          .text = SLICE("as the test says")};
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    ipc_result_pack(&b, &r);
    kit_put(kit->courier, IPC_T_result, j->tag, &b);
}

/* The next job gets this reply. */
static void kit_end_job(struct kit_reply reply)
{
    struct kit_job j;
    kit_job(&j);
    kit_result(&j, reply);
    kit_job_free(&j);
}

#endif
