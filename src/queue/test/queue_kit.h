/* A queue with everything around it played by the test: the store (behind store.h), the courier,
 * the clock. Beside it a ledger that is changed by the written records alone, as the index would
 * be, and that notices when a delivery begins without a durable attempt. For tests: include it in
 * one file of a program. */
#ifndef QUEUE_TEST_QUEUE_KIT_H
#define QUEUE_TEST_QUEUE_KIT_H

#include "queue/queue.h"

#include "base/refuse.h"
#include "wire/wire.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* No program uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-const-variable"

enum {
    KIT_PRIMARIES = 4,
    KIT_ROWS = 4096,
    KIT_JOBS = 4096,
    KIT_POSTS = 4096,
    KIT_SAID = 64,
    KIT_MESSAGE_BYTES = 100,
};

struct kit_row {
    uint64_t message, primary;
    uint16_t rcpt;
    uint8_t notify;
    char address[80];
    struct record_result last;
    char text[600];
    bool is_planned, is_there, is_attempting, is_double;
    unsigned n_arrived; /* what really happened there: for tests that play it */
};

struct kit_job {
    uint64_t tag, message, primary;
    char domain[64];
    uint16_t rcpts[64];
    size_t n;
    bool is_over;
};

struct kit_post {
    void (*fn)(void *arg);
    void *arg;
};

struct kit {
    struct queue *q;
    struct list submitted; /* changes that wait to be written, in order */
    struct kit_post posts[KIT_POSTS];
    size_t n_posts;
    struct kit_row rows[KIT_ROWS];
    size_t n_rows;
    struct kit_job jobs[KIT_JOBS]; /* in the order of delivery */
    size_t n_jobs;
    uint64_t last_id;
    /* what the test sets */
    bool is_courier_away, is_fetch_slow;
    enum err fetch_err;
    enum continuity_way way[KIT_PRIMARIES];
    uint32_t ceiling[KIT_PRIMARIES];
    bool may_notify;
    /* what was said */
    struct queue_answer answers[KIT_SAID];
    size_t n_answers;
    struct {
        uint64_t primary;
        enum continuity_evidence evidence;
    } evidence[KIT_SAID];
    size_t n_evidence;
    struct {
        char name[40], text[400];
        enum event_class class;
    } told[KIT_SAID];
    size_t n_told;
    struct {
        void *cookie;
        size_t n;
        uint64_t message;
    } notices[KIT_SAID];
    size_t n_notices;
    void *fetches[KIT_JOBS];
    uint64_t fetch_ids[KIT_JOBS];
    size_t n_fetches;
    size_t n_done, n_drained, n_attempt_records, n_result_records;
    unsigned wakes_on_evidence;
    uint64_t wake_primary;
};

static struct kit *kit; /* the one of this test */

/* ---- the clock ---- */

static int64_t kit_clock_ms; /* added to the wall clock */

int clock_gettime(clockid_t id, struct timespec *ret)
{
    long result = syscall(SYS_clock_gettime, id, ret);
    if (result == 0 && id == CLOCK_REALTIME)
        ret->tv_sec += kit_clock_ms / 1000;
    return (int)result;
}

static void kit_later(int64_t seconds)
{
    kit_clock_ms += seconds * 1000;
}

/* ---- the ledger ---- */

static struct kit_row *kit_row(uint64_t message, uint16_t rcpt)
{
    for (size_t i = kit->n_rows; i-- > 0;) {
        struct kit_row *row = &kit->rows[i];
        if (row->is_there && row->message == message && row->rcpt == rcpt)
            return row;
    }
    return NULL;
}

static void kit_apply_attempt(struct slice facts)
{
    struct arena *a = arena_create(16 << 20);
    struct record_attempt attempt;
    assert_true(record_attempt_unpack(facts, a, &attempt));
    for (uint32_t i = 0; i < attempt.n_rows; i++) {
        struct kit_row *row = kit_row(attempt.rows[i].message, attempt.rows[i].rcpt);
        assert_non_null(row);
        assert_int_equal(row->last.disposition, DISPOSITION_WAITING);
        assert_false(row->is_attempting); /* the result of the one before stands in the log */
        row->is_attempting = true;
    }
    kit->n_attempt_records++;
    arena_destroy(&a);
}

static void kit_apply_results(struct slice facts)
{
    struct arena *a = arena_create(16 << 20);
    struct record_results results;
    assert_true(record_results_unpack(facts, a, &results));
    for (uint32_t i = 0; i < results.n_results; i++) {
        const struct record_result *r = &results.results[i];
        struct kit_row *row = kit_row(r->message, r->rcpt);
        assert_non_null(row);
        assert_true(row->last.disposition == DISPOSITION_WAITING ||
                    row->last.disposition == DISPOSITION_HELD ||
                    row->last.disposition == DISPOSITION_MERGED);
        if (r->is_attempt) {
            assert_true(row->is_attempting);
            row->is_attempting = false;
        }
        row->is_double |= r->is_double;
        row->last = *r;
        snprintf(row->text, sizeof(row->text), "%.*s", SLICE_ARG(r->text));
        row->last.text = slice_str(row->text);
        row->last.enhanced = row->last.by = row->last.remote = SLICE("");
    }
    kit->n_result_records++;
    arena_destroy(&a);
}

/* ---- the store ---- */

void store_submit(struct store *, struct store_change *change)
{
    list_append(&kit->submitted, &change->node);
}

/* Write the oldest change; false: none waits. */
static bool kit_write_one(enum err err)
{
    struct list *node = list_pop(&kit->submitted);
    if (!node)
        return false;
    struct store_change *change = container_of(node, struct store_change, node);
    struct errinfo ei = {"the disk refused"};
    change->pos = 4096;
    if (err == ERR_OK && change->type == RECORD_ATTEMPT)
        kit_apply_attempt(change->facts);
    if (err == ERR_OK && change->type == RECORD_RESULT)
        kit_apply_results(change->facts);
    change->done(change, err, &ei);
    return true;
}

static void kit_run_posts(void)
{
    for (size_t i = 0; i < kit->n_posts; i++)
        kit->posts[i].fn(kit->posts[i].arg);
    kit->n_posts = 0;
}

/* The end of a turn, then everything that follows until nothing moves any more. */
static void kit_settle(void)
{
    do {
        queue_flush(kit->q);
        kit_run_posts();
    } while (kit_write_one(ERR_OK));
    kit_run_posts();
}

/* ---- what the queue asks for ---- */

static void kit_post(void *, void (*fn)(void *), void *arg)
{
    assert_true(kit->n_posts < KIT_POSTS);
    kit->posts[kit->n_posts++] = (struct kit_post){fn, arg};
}

static bool kit_deliver(void *, const struct queue_job *job)
{
    for (size_t i = 0; i < job->n_rows; i++) {
        struct kit_row *row = kit_row(job->facts->id, job->rows[i].rcpt);
        assert_non_null(row);
        assert_true(row->is_attempting); /* promise 2: durable before the courier hears of it */
        assert_true(slice_eq(job->rows[i].address, slice_str(row->address)));
    }
    assert_int_equal(job->body->n, KIT_MESSAGE_BYTES);
    if (kit->is_courier_away)
        return false;
    assert_true(kit->n_jobs < KIT_JOBS && job->n_rows <= 64);
    struct kit_job *j = &kit->jobs[kit->n_jobs++];
    *j = (struct kit_job){
        .tag = job->tag, .message = job->facts->id, .primary = job->primary, .n = job->n_rows};
    snprintf(j->domain, sizeof(j->domain), "%.*s", SLICE_ARG(job->domain));
    for (size_t i = 0; i < job->n_rows; i++)
        j->rcpts[i] = job->rows[i].rcpt;
    return true;
}

static void kit_fetch_done(void *cookie, uint64_t message)
{
    struct queue_facts facts = {.id = message,
                                .tenant = 1,
                                .direction = DIRECTION_IN,
                                .bytes = KIT_MESSAGE_BYTES,
                                .received = (utc_ms)(message >> 20),
                                .mail_from = SLICE("sender@outside.test")};
    struct queue_fetched f = {
        .cookie = cookie, .err = kit->fetch_err, .facts = &facts, .why = "the bytes are damaged"};
    if (f.err == ERR_OK) {
        f.take_body = queue_body_create(0, KIT_MESSAGE_BYTES);
        memset(f.take_body->bytes, 'x', KIT_MESSAGE_BYTES);
    }
    queue_fetched(kit->q, &f);
}

static void kit_fetch_now(void *)
{
    void *cookie = kit->fetches[0];
    uint64_t message = kit->fetch_ids[0];
    kit->n_fetches--;
    memmove(kit->fetches, kit->fetches + 1, kit->n_fetches * sizeof(kit->fetches[0]));
    memmove(kit->fetch_ids, kit->fetch_ids + 1, kit->n_fetches * sizeof(kit->fetch_ids[0]));
    kit_fetch_done(cookie, message);
}

static void kit_fetch(void *, uint64_t message, void *cookie)
{
    assert_true(kit->n_fetches < KIT_JOBS);
    kit->fetch_ids[kit->n_fetches] = message;
    kit->fetches[kit->n_fetches++] = cookie;
    if (!kit->is_fetch_slow)
        kit_post(NULL, kit_fetch_now, NULL);
}

static void kit_answer(void *, const struct queue_answer *answer)
{
    assert_true(kit->n_answers < KIT_SAID);
    kit->answers[kit->n_answers++] = *answer;
}

static void kit_evidence(void *, uint64_t primary, enum continuity_evidence e, struct slice)
{
    if (kit->n_evidence == KIT_SAID)
        kit->n_evidence = 0;
    kit->evidence[kit->n_evidence].primary = primary;
    kit->evidence[kit->n_evidence++].evidence = e;
    if (kit->wakes_on_evidence > 0) {
        kit->wakes_on_evidence--;
        queue_wake(kit->q, primary);
    }
}

static enum continuity_way kit_way(void *, uint64_t primary)
{
    return kit->way[primary];
}

static uint32_t kit_ceiling(void *, uint64_t primary)
{
    return kit->ceiling[primary];
}

static bool kit_notice(void *, const struct queue_notice *n)
{
    assert_true(n->n > 0 && n->facts->mail_from.n > 0);
    if (!kit->may_notify)
        return false;
    if (kit->n_notices == KIT_SAID)
        kit->n_notices = 0;
    kit->notices[kit->n_notices].cookie = n->cookie;
    kit->notices[kit->n_notices].message = n->facts->id;
    kit->notices[kit->n_notices++].n = n->n;
    return true;
}

static void kit_tell(void *, enum event_class class, const char *name, uint64_t, struct slice,
                     struct slice text)
{
    if (kit->n_told == KIT_SAID)
        kit->n_told = 0;
    kit->told[kit->n_told].class = class;
    snprintf(kit->told[kit->n_told].name, sizeof(kit->told[0].name), "%s", name);
    snprintf(kit->told[kit->n_told].text, sizeof(kit->told[0].text), "%.*s", SLICE_ARG(text));
    kit->n_told++;
}

static void kit_done(void *, uint64_t)
{
    kit->n_done++;
}

static void kit_drained(void *, uint64_t)
{
    kit->n_drained++;
}

/* ---- life ---- */

static struct queue *kit_queue(uint32_t running_max, uint64_t running_bytes_max)
{
    struct queue_options o = {
        .items_max = 1000,
        .per_destination = 2,
        .per_primary = 3,
        .running_max = running_max,
        .running_bytes_max = running_bytes_max,
        .post = kit_post,
        .deliver = kit_deliver,
        .fetch = kit_fetch,
        .answer = kit_answer,
        .evidence = kit_evidence,
        .way = kit_way,
        .ceiling = kit_ceiling,
        .notice = kit_notice,
        .tell = kit_tell,
        .done = kit_done,
        .drained = kit_drained,
    };
    return queue_create(&o);
}

static int kit_setup(void **)
{
    kit = mem_new(sizeof(*kit));
    list_init(&kit->submitted);
    kit_clock_ms = 0;
    kit->last_id = (uint64_t)utc_now() << 20;
    kit->may_notify = true;
    kit->q = kit_queue(1000, 1 << 20);
    queue_start(kit->q);
    return 0;
}

/* The program starts again. */
static void kit_queue_anew(uint32_t running_max, uint64_t running_bytes_max)
{
    queue_destroy(&kit->q);
    kit->q = kit_queue(running_max, running_bytes_max);
    queue_start(kit->q);
}

static int kit_teardown(void **)
{
    queue_destroy(&kit->q);
    mem_free(&kit);
    return queue_body_total() == 0 ? 0 : -1;
}

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
        outcomes[i] = (struct queue_outcome){.rcpt = job->rcpts[i],
                                             .reply = {.phase = reply->phase,
                                                       .code = reply->code,
                                                       .class = reply->class,
                                                       .subject = reply->subject,
                                                       .detail = reply->detail},
                                             .enhanced = SLICE("5.5.5"),
                                             .text = SLICE("as the test says")};
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
