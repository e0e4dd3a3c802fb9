/* The queue's test kit: everything that the queue asks of its owner, and its life. */
#ifndef QUEUE_TEST_QUEUE_KIT_OWNER_H
#define QUEUE_TEST_QUEUE_KIT_OWNER_H

#include "queue_kit_world.h"

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

static void kit_evidence(void *, uint64_t primary, enum continuity_evidence e, utc_ms,
                         struct slice text)
{
    if (kit->n_evidence == KIT_SAID)
        kit->n_evidence = 0;
    snprintf(kit->evidence[kit->n_evidence].text, sizeof(kit->evidence[0].text), "%.*s",
             SLICE_ARG(text));
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

static bool kit_is_essential(void *, struct slice address)
{
    return kit->essential && memmem(address.p, address.n, kit->essential, strlen(kit->essential));
}

static uint32_t kit_ceiling(void *, uint64_t primary)
{
    return kit->ceiling[primary];
}

#define KIT_NOTICE 7777 /* id of each */

static uint64_t kit_notice(void *, const struct queue_notice *n)
{
    assert_true(n->n > 0 && n->facts->mail_from.n > 0);
    if (!kit->may_notify)
        return 0;
    if (kit->n_notices == KIT_SAID)
        kit->n_notices = 0;
    kit->notices[kit->n_notices].cookie = n->cookie;
    kit->notices[kit->n_notices].message = n->facts->id;
    kit->notices[kit->n_notices].news = n->news;
    kit->notices[kit->n_notices++].n = n->n;
    return KIT_NOTICE;
}

static void kit_moved(void *, uint64_t message)
{
    kit->n_moved++;
    kit->moved = message;
}

static void kit_delayed(void *, const struct queue_notice *n)
{
    assert_true(n->n > 0 && n->facts->mail_from.n > 0);
    assert_int_equal(n->news, QUEUE_DELAYED);
    kit->n_delayed += n->n;
    kit->until = n->outcomes[0].until;
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
        .is_essential = kit_is_essential,
        .ceiling = kit_ceiling,
        .notice = kit_notice,
        .delayed = kit_delayed,
        .tell = kit_tell,
        .done = kit_done,
        .moved = kit_moved,
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

#endif
