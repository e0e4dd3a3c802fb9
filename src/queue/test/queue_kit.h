/* A queue with everything around it played by the test: the store (behind store.h), the courier,
 * the clock. Beside it a ledger that is changed by the written records alone, as the index would
 * be, and that notices when a delivery begins without a durable attempt. For tests: include it in
 * one file of a program. */
#ifndef QUEUE_TEST_QUEUE_KIT_H
#define QUEUE_TEST_QUEUE_KIT_H

#include "queue_kit_owner.h"

/* ---- mail ---- */

struct kit_mail {
    uint64_t primary;   /* 0: the world */
    const char *domain; /* NULL: "a.test" */
    size_t n_rcpts;     /* 0: 1 */
    uint8_t notify;
    bool is_answer_waiting, is_unknown;
    const char *mail_from; /* NULL: somebody */
    struct slice merged;
};

struct kit_planned {
    struct queue_message *m;
    uint64_t id;
    bool has_slot;
};

static struct kit_planned kit_plan(const struct kit_mail *mail)
{
    struct queue_row rows[64] = {0};
    char addresses[64][80];
    size_t n = mail->n_rcpts ? mail->n_rcpts : 1;
    uint64_t now = (uint64_t)utc_now() << 20;
    const char *domain = mail->domain ? mail->domain : "a.test";
    kit->last_id = now > kit->last_id ? now : kit->last_id + 1;
    struct queue_facts facts = {
        .id = kit->last_id,
        .tenant = 1,
        .direction = DIRECTION_IN,
        .bytes = KIT_MESSAGE_BYTES,
        .received = utc_now(),
        .mail_from = slice_str(mail->mail_from ? mail->mail_from : "sender@outside.test"),
        .merged = mail->merged};
    for (size_t i = 0; i < n; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "person%zu@%s", i, domain);
        rows[i] = (struct queue_row){.rcpt = (uint16_t)i,
                                     .notify = mail->notify,
                                     .is_known = !mail->is_unknown,
                                     .address = slice_str(addresses[i])};
    }
    struct kit_planned p = {.m = queue_message_create(&facts), .id = facts.id};
    p.has_slot =
        queue_plan(kit->q, p.m, mail->primary, mail->primary ? SLICE("") : slice_str(domain), rows,
                   n, mail->is_answer_waiting);
    for (size_t i = 0; i < n; i++) {
        assert_true(kit->n_rows < KIT_ROWS);
        struct kit_row *row = &kit->rows[kit->n_rows++];
        *row = (struct kit_row){.message = p.id,
                                .primary = mail->primary,
                                .rcpt = (uint16_t)i,
                                .notify = mail->notify,
                                .last.disposition = DISPOSITION_WAITING,
                                .is_planned = true,
                                .is_attempting = p.has_slot};
        memcpy(row->address, addresses[i], sizeof(row->address));
    }
    return p;
}

/* The message's own record is durable (or not). */
static void kit_end_plan(struct kit_planned *p, bool is_kept)
{
    for (size_t i = 0; i < kit->n_rows; i++)
        if (kit->rows[i].message == p->id) {
            kit->rows[i].is_there = is_kept;
            kit->rows[i].is_planned = false;
        }
    if (is_kept) {
        struct queue_body *body = queue_body_create(20, 0);
        char bytes[KIT_MESSAGE_BYTES] = {0};
        assert_true(queue_body_add(&body, slice_of(bytes, sizeof(bytes)), KIT_MESSAGE_BYTES));
        queue_accepted(kit->q, p->m, body);
        queue_body_unref(&body);
    } else {
        queue_abandoned(kit->q, p->m);
    }
    queue_message_unref(&p->m);
}

static uint64_t kit_take(const struct kit_mail *mail)
{
    struct kit_planned p = kit_plan(mail);
    kit_end_plan(&p, true);
    return p.id;
}

/* Take it and let everything happen that happens by itself. */
static uint64_t kit_mail(const struct kit_mail *mail)
{
    uint64_t id = kit_take(mail);
    kit_settle();
    return id;
}

/* ---- deliveries ---- */

/* The running delivery of this message (the newest); NULL: none. */
static struct kit_job *kit_job_of(uint64_t message)
{
    for (size_t i = kit->n_jobs; i-- > 0;)
        if (kit->jobs[i].message == message && !kit->jobs[i].is_over)
            return &kit->jobs[i];
    return NULL;
}

static size_t kit_n_running(void)
{
    size_t n = 0;
    for (size_t i = 0; i < kit->n_jobs; i++)
        n += !kit->jobs[i].is_over;
    return n;
}

struct kit_reply {
    enum continuity_phase phase;
    uint16_t code, class, subject, detail;
    bool is_sent;
};
static const struct kit_reply kit_good = {AT_DOT, 250, 2, 0, 0, true};
static const struct kit_reply kit_silent = {AT_CONNECT, 0, 0, 0, 0, false};
static const struct kit_reply kit_full = {AT_RCPT, 452, 4, 2, 2, false};
static const struct kit_reply kit_content = {AT_DOT, 554, 5, 6, 0, true};
static const struct kit_reply kit_unknown = {AT_RCPT, 550, 5, 1, 1, false};

/* Each recipient of the job gets its reply; `replies` has as many as the job, or one for all. */
static bool kit_result(struct kit_job *job, const struct kit_reply *replies, size_t n_replies)
{
    struct queue_outcome outcomes[64];
    assert_non_null(job);
    assert_false(job->is_over);
    struct queue_result r = {.message = job->message,
                             .remote = SLICE("mx.a.test"),
                             .outcomes = outcomes,
                             .n_outcomes = job->n};
    for (size_t i = 0; i < job->n; i++) {
        const struct kit_reply *reply = &replies[n_replies > 1 ? i : 0];
        outcomes[i] =
            (struct queue_outcome){.rcpt = job->rcpts[i],
                                   .reply = {.phase = reply->phase,
                                             .code = reply->code,
                                             .class = reply->class,
                                             .subject = reply->subject,
                                             .detail = reply->detail},
                                   .enhanced = SLICE("5.5.5"),
                                   .text = slice_str(kit->words ? kit->words : "as the test says")};
        r.is_sent |= reply->is_sent;
    }
    job->is_over = true;
    return queue_result(kit->q, job->tag, &r);
}

static void kit_end(uint64_t message, struct kit_reply reply)
{
    assert_true(kit_result(kit_job_of(message), &reply, 1));
    kit_settle();
}

static void kit_tick(int64_t seconds)
{
    kit_later(seconds);
    queue_tick(kit->q);
    kit_settle();
}

static enum disposition kit_disposition(uint64_t message, uint16_t rcpt)
{
    return kit_row(message, rcpt)->last.disposition;
}

/* Nothing is left anywhere. */
static void kit_expect_empty(void)
{
    struct queue_figures f = queue_figures(kit->q);
    assert_int_equal(f.n_rows, 0);
    assert_int_equal(f.n_items, 0);
    assert_int_equal(f.n_running, 0);
    assert_int_equal(f.bytes_running, 0);
    assert_int_equal(f.bytes_memory, 0);
    assert_int_equal(f.oldest, 0);
}

#endif
