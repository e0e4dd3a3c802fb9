/* Many threads at once: the order of each is kept, answers come in the order of the log, readers
 * and askers may come at any time. Meant for ThreadSanitizer too. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { THREADS = 8, CHANGES = 60, WINDOW = 10 };

struct worker {
    struct rig *rig;
    pthread_t thread;
    unsigned number;
    _Atomic unsigned n_done;
    unsigned next;                         /* writer only: sequence that must be told next */
    uint64_t last_pos;                     /* writer only */
    struct record_extent extents[CHANGES]; /* set before n_done grows */
    bool is_wrong;                         /* writer only, then after the join */
};

struct numbered {
    struct store_change change;
    struct worker *worker;
    unsigned sequence;
    struct buf facts;
};

static uint64_t last_told; /* writer only: positions of all answers together */

static void numbered_done(struct store_change *c, enum err err, const struct errinfo *)
{
    struct numbered *n = container_of(c, struct numbered, change);
    struct worker *w = n->worker;
    w->is_wrong |= err != ERR_OK || n->sequence != w->next || c->pos <= last_told;
    w->next++;
    last_told = c->pos;
    w->extents[n->sequence] = store_body_extent(c);
    atomic_fetch_add(&w->n_done, 1);
    buf_finish(&n->facts);
    mem_free(&n);
}

static uint64_t id_of(const struct worker *w, unsigned sequence)
{
    return 1 + w->number * CHANGES + sequence;
}

static void submit_one(struct worker *w, unsigned sequence)
{
    struct numbered *n = mem_new(sizeof(*n));
    struct record_message facts = {.id = id_of(w, sequence)};
    size_t bytes = 50 + sequence * 331 % 20000;
    n->worker = w;
    n->sequence = sequence;
    n->facts = buf_make(4096);
    facts.bytes = (uint32_t)bytes;
    record_message_pack(&n->facts, &facts);
    n->change = (struct store_change){
        .type = RECORD_MESSAGE,
        .id = facts.id,
        .is_lazy = sequence % 7 == 3,
        .facts = buf_slice(&n->facts),
        .body = {slice_of(rig_pool + facts.id, bytes)},
        .done = numbered_done,
    };
    store_submit(w->rig->s, &n->change);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct errinfo ei;
    for (unsigned i = 0; i < CHANGES; i++) {
        submit_one(w, i);
        while (i + 1 - atomic_load(&w->n_done) > WINDOW)
            (void)store_wait_applied(w->rig->s, UINT64_MAX, MILLISECONDS(1));
        unsigned n_done = atomic_load(&w->n_done);
        if (i % 9 == 4 && (store_wait_written(w->rig->s, SECONDS(20)) != ERR_OK ||
                           atomic_load(&w->n_done) != i + 1))
            w->rig->wrong = "who waited for all does not find it written";
        if (n_done == 0 || i % 5)
            continue;
        SCOPED(buf_finish) struct buf b = buf_make(RIG_BYTES);
        uint64_t id = id_of(w, n_done - 1);
        enum err err = store_read_body(w->rig->s, id, &w->extents[n_done - 1], 1, &b, &ei);
        if (err != ERR_OK || memcmp(b.p, rig_pool + id, b.n) != 0)
            w->rig->wrong = "a body cannot be read while others write";
        (void)store_backlog(w->rig->s);
        (void)store_figures(w->rig->s);
    }
    return NULL;
}

static void eight_threads_keep_their_order_and_hear_in_order(void **)
{
    static struct worker workers[THREADS];
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(1);
    RIG_OPEN(r);
    last_told = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.rig = r, .number = i};
        must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < 3; i++) /* snapshots meanwhile */
        assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_join(workers[i].thread, NULL) == 0);
    rig_close(r); /* writes what waits */
    for (unsigned i = 0; i < THREADS; i++) {
        assert_false(workers[i].is_wrong);
        assert_int_equal(workers[i].n_done, CHANGES);
    }
    assert_null(r->wrong);
    RIG_OPEN(r);
    struct fake_state *s = mem_new(sizeof(*s));
    assert_int_equal(fake_state_of("d/index/index.db", s, &ei), ERR_OK);
    assert_int_equal(s->n_messages, THREADS * CHANGES);
    mem_free(&s);
    rig_close(r);
}

struct resubmit {
    struct store_change change;
    struct rig *rig;
    struct record_ids ids;
    unsigned n_left;
    enum err last;
};

static void resubmit_done(struct store_change *c, enum err err, const struct errinfo *)
{
    struct resubmit *s = container_of(c, struct resubmit, change);
    s->last = err;
    if (err == ERR_OK && s->n_left-- > 0)
        store_submit(s->rig->s, c);
    else
        s->n_left = 0;
}

static void whoever_is_told_may_submit_again_and_closing_ends_it(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(2);
    SCOPED(buf_finish) struct buf facts = buf_make(100);
    struct resubmit s = {.rig = r, .n_left = UINT32_MAX};
    RIG_OPEN(r);
    record_ids_pack(&facts, &s.ids);
    s.change = (struct store_change){
        .type = RECORD_ANSWERED, .facts = buf_slice(&facts), .done = resubmit_done};
    store_submit(r->s, &s.change);
    while (store_figures(r->s).n_records < 20)
        (void)store_wait_applied(r->s, UINT64_MAX, MILLISECONDS(1));
    rig_close(r);
    assert_int_equal(s.last, ERR_CANCELED);
}

struct slow {
    struct store_change change;
    pthread_mutex_t lock;
};

static void slow_done(struct store_change *c, enum err, const struct errinfo *)
{
    struct slow *s = container_of(c, struct slow, change);
    pthread_mutex_lock(&s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void what_is_not_told_yet_is_waited_for(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(3);
    SCOPED(buf_finish) struct buf facts = buf_make(100);
    struct slow s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct record_ids none = {};
    RIG_OPEN(r);
    assert_int_equal(store_wait_written(r->s, 0), ERR_OK);
    record_ids_pack(&facts, &none);
    s.change = (struct store_change){
        .type = RECORD_ANSWERED, .is_lazy = true, .facts = buf_slice(&facts), .done = slow_done};
    pthread_mutex_lock(&s.lock);
    store_submit(r->s, &s.change);
    assert_int_equal(store_wait_written(r->s, MILLISECONDS(30)), ERR_RETRY);
    assert_int_equal(store_backlog(r->s).changes, 1);
    pthread_mutex_unlock(&s.lock);
    assert_int_equal(store_wait_written(r->s, SECONDS(20)), ERR_OK);
    assert_int_equal(store_backlog(r->s).changes, 0);
    assert_int_equal(store_figures(r->s).n_records, 1);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_threads_keep_their_order_and_hear_in_order),
        cmocka_unit_test(what_is_not_told_yet_is_waited_for),
        cmocka_unit_test(whoever_is_told_may_submit_again_and_closing_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
