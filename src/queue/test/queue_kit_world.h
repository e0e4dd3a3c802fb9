/* The queue's test kit: the clock, the ledger, the store. See queue_kit.h. */
#ifndef QUEUE_TEST_QUEUE_KIT_WORLD_H
#define QUEUE_TEST_QUEUE_KIT_WORLD_H

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
    bool says_told;
    uint64_t notice; /* that it names */
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
    bool has_failed;       /* a result was not written */
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
    const char *essential; /* whose address contains this; NULL: nobody */
    bool may_notify;
    const char *words; /* of replies; NULL: some */
    /* what was said */
    struct queue_answer answers[KIT_SAID];
    size_t n_answers;
    struct {
        uint64_t primary;
        enum continuity_evidence evidence;
        char text[300];
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
        enum queue_news news;
    } notices[KIT_SAID];
    size_t n_notices, n_moved;
    uint64_t moved;   /* the last one */
    size_t n_delayed; /* rows whose senders were told */
    utc_ms until;     /* what the last of them heard */
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
        /* The result of the one before stands in the log, unless the disk refused it. */
        assert_true(!row->is_attempting || kit->has_failed);
        row->is_double |= row->is_attempting;
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
        row->says_told = slice_eq(r->by, SLICE("notice of the delay"));
        row->notice = record_notice_in(r->by);
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
    kit->has_failed |= err != ERR_OK && change->type == RECORD_RESULT;
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

#endif
