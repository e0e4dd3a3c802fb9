/* The store's everyday work over the simulated files: write, be told, read, close, open again. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static void what_was_written_is_read_back_and_survives_a_clean_restart(void **)
{
    static const size_t sizes[] = {1, 7, 100, 4096, 10240, 700000, STORE_INLINE_MAX, 3 << 20, 511};
    SCOPED(rig_destroy) struct rig *r = rig_create(1);
    RIG_OPEN(r);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        rig_send(r, sizes[i]);
    rig_wait(r, 0);
    for (unsigned i = 0; i < r->n; i++)
        assert_true(r->messages[i].is_ok);
    RIG_CHECK(r);
    for (int restart = 0; restart < 3; restart++) {
        rig_close(r);
        RIG_OPEN(r);
        assert_false(store_recovered(r->s)->is_damaged);
        assert_int_equal(store_recovered(r->s)->n_replayed, 0);
        assert_int_equal(store_recovered(r->s)->last_id, r->next_id);
        assert_true(store_figures(r->s).applied == store_figures(r->s).end);
        RIG_CHECK(r);
    }
    rig_send(r, 5000);
    rig_wait(r, 0);
    RIG_CHECK(r);
    rig_close(r);
}

static void a_second_process_is_refused(void **)
{
    struct errinfo ei;
    struct store *second;
    SCOPED(rig_destroy) struct rig *r = rig_create(2);
    struct store_options o = {.dir = "d", .files = &r->fault->files, .segment_bytes = RIG_SEGMENT};
    RIG_OPEN(r);
    assert_int_equal(store_open(&o, &second, &ei), ERR_CONFLICT);
    rig_close(r);
    RIG_OPEN(r);
}

static void *close_soon(void *rig)
{
    (void)usleep(50000);
    rig_close(rig);
    return NULL;
}

static void a_second_process_waits_for_the_first_to_end_if_it_may(void **)
{
    struct errinfo ei;
    struct store *second;
    pthread_t thread;
    SCOPED(rig_destroy) struct rig *r = rig_create(2);
    struct store_options o = {.dir = "d",
                              .files = &r->fault->files,
                              .segment_bytes = RIG_SEGMENT,
                              .lock_wait = MILLISECONDS(1)};
    RIG_OPEN(r);
    assert_int_equal(store_open(&o, &second, &ei), ERR_CONFLICT);
    o.lock_wait = SECONDS(20);
    must(pthread_create(&thread, NULL, close_soon, r) == 0);
    assert_int_equal(store_open(&o, &second, &ei), ERR_OK);
    must(pthread_join(thread, NULL) == 0);
    store_close(&second);
}

static void a_record_that_is_too_large_is_refused_and_the_rest_goes_on(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(3);
    RIG_OPEN(r);
    struct rig_message *before = rig_send(r, 1000);
    struct rig_message large = {.id = 5};
    struct rig_change *c = rig_change(r, RECORD_MESSAGE, large.id);
    c->message = &large;
    c->change.body[0] = slice_of(rig_pool, STORE_RECORD_MAX);
    buf_addc(&c->facts, 'x');
    rig_submit(c);
    struct rig_message *after = rig_send(r, 1000);
    rig_wait(r, 0);
    assert_int_equal(large.err, ERR_LIMIT);
    assert_true(before->is_ok && after->is_ok);
    RIG_CHECK(r);
    rig_close(r);
}

static void count_call(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static void waiting_for_the_index_ends_when_it_is_there_or_when_time_is_up(void **)
{
    _Atomic unsigned n_calls = 0;
    SCOPED(rig_destroy) struct rig *r = rig_create(4);
    RIG_OPEN(r);
    rig_send(r, 1000);
    rig_wait(r, 0);
    uint64_t end = store_figures(r->s).end;
    store_when_applied(r->s, end - 1, count_call, &n_calls);
    assert_int_equal(store_wait_applied(r->s, end - 1, SECONDS(5)), ERR_OK);
    assert_int_equal(store_wait_applied(r->s, end, MILLISECONDS(10)), ERR_RETRY);
    store_when_applied(r->s, end - 1, count_call, &n_calls); /* at once */
    rig_close(r);
    assert_int_equal(n_calls, 2);
}

/* A lazy change alone waits for its timer, not for ever; with an urgent one it goes at once. */
static void a_lazy_change_shares_a_sync_or_is_written_after_its_time(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(5);
    RIG_OPEN(r);
    struct rig_message *m = rig_send(r, 100);
    rig_wait(r, 0);
    uint64_t syncs = store_figures(r->s).n_syncs;
    mono_us start = mono_now();
    rig_ids(r, RECORD_ANSWERED, m, true);
    rig_wait(r, 0);
    assert_true(mono_now() - start >= MILLISECONDS(STORE_LAZY_MS));
    assert_int_equal(store_figures(r->s).n_syncs, syncs + 1);
    rig_ids(r, RECORD_DROPPED, m, true);
    rig_send(r, 100);
    rig_wait(r, 0);
    assert_int_equal(store_figures(r->s).n_syncs, syncs + 2);
    rig_close(r);
}

static void read_only_reads_and_writes_nothing(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(6);
    RIG_OPEN(r);
    struct rig_message *m = rig_send(r, 3000);
    rig_wait(r, 0);
    RIG_CHECK(r);
    struct fake_message place = rig_place(m);
    uint64_t end = store_figures(r->s).end;
    rig_calm(r);
    uint64_t ops = fault_operations(r->fault);
    struct store *second;
    struct store_options o = {.dir = "d", .files = &r->fault->files, .is_read_only = true};
    assert_int_equal(store_open(&o, &second, &ei), ERR_OK);
    assert_true(store_recovered(second)->end == end);
    SCOPED(buf_finish) struct buf b = buf_make(RIG_BYTES);
    assert_int_equal(store_read_body(second, m->id, place.extents, place.n_extents, &b, &ei), 0);
    assert_memory_equal(b.p, rig_pool + m->from, m->bytes);
    store_close(&second);
    assert_true(fault_operations(r->fault) == ops);
    rig_close(r);
}

static void a_place_that_cannot_be_is_corrupt_and_a_ceiling_is_a_limit(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(7);
    SCOPED(buf_finish) struct buf small = buf_make(100);
    SCOPED(buf_finish) struct buf b = buf_make(RIG_BYTES);
    RIG_OPEN(r);
    struct rig_message *m = rig_send(r, 3000);
    rig_send(r, 3000);
    rig_wait(r, 0);
    RIG_CHECK(r);
    struct fake_message f = rig_place(m);
    assert_int_equal(store_read_body(r->s, m->id, f.extents, 1, &small, &ei), ERR_LIMIT);
    assert_int_equal(store_read_body(r->s, m->id + 1, f.extents, 1, &b, &ei), ERR_CORRUPT);
    const struct record_extent good = f.extents[0];
    const struct record_extent bad[] = {
        {good.rec, good.pos, good.bytes - 1}, {good.rec, good.pos + 1, good.bytes - 1},
        {good.rec + 8, good.pos, good.bytes}, {good.rec, good.rec, good.bytes},
        {good.rec, good.pos, UINT32_MAX},     {good.pos, good.rec, good.bytes},
        {UINT64_MAX - 9, UINT64_MAX, 9},      {good.rec, UINT64_MAX, good.bytes},
        {1ull << 50, (1ull << 50) + 99, 100}, {0, 40, 4},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(store_read_body(r->s, m->id, &bad[i], 1, &b, &ei), ERR_CORRUPT);
    assert_int_equal(b.n, 0);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back_and_survives_a_clean_restart),
        cmocka_unit_test(a_second_process_is_refused),
        cmocka_unit_test(a_second_process_waits_for_the_first_to_end_if_it_may),
        cmocka_unit_test(a_record_that_is_too_large_is_refused_and_the_rest_goes_on),
        cmocka_unit_test(waiting_for_the_index_ends_when_it_is_there_or_when_time_is_up),
        cmocka_unit_test(a_lazy_change_shares_a_sync_or_is_written_after_its_time),
        cmocka_unit_test(read_only_reads_and_writes_nothing),
        cmocka_unit_test(a_place_that_cannot_be_is_corrupt_and_a_ceiling_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
