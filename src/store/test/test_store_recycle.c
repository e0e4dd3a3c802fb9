/* Recycling: never a segment that somebody needs, and never other bytes than those asked for. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static void drop(struct rig *r, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        rig_ids(r, RECORD_DROPPED, &r->messages[i], false);
    rig_wait(r, 0);
}

/* A store whose first two segments or so hold nothing that is needed. */
static struct rig *full_store(uint64_t seed)
{
    struct rig *r = rig_create(seed);
    RIG_OPEN(r);
    for (int i = 0; i < 10; i++) {
        rig_send(r, 1000000);
        rig_wait(r, 0);
    }
    RIG_CHECK(r);
    return r;
}

static enum err read_at(struct rig *r, const struct rig_message *m,
                        const struct fake_message *place)
{
    struct errinfo ei;
    SCOPED(buf_finish) struct buf b = buf_make(RIG_BYTES);
    enum err err = store_read_body(r->s, m->id, place->extents, place->n_extents, &b, &ei);
    if (err == ERR_OK)
        assert_memory_equal(b.p, rig_pool + m->from, m->bytes);
    else
        assert_int_equal(b.n, 0);
    return err;
}

static void an_unneeded_segment_is_used_again_and_its_old_places_are_gone(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = full_store(1);
    struct fake_message old = rig_place(&r->messages[0]);
    drop(r, 0, 9);
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_true(store_figures(r->s).n_recycled >= 2);
    assert_int_equal(read_at(r, &r->messages[0], &old), ERR_GONE);
    for (int i = 0; i < 12; i++) { /* the file gets new bytes at the same offsets */
        rig_send(r, 1000000);
        rig_wait(r, 0);
        assert_int_equal(read_at(r, &r->messages[0], &old), ERR_GONE);
    }
    RIG_CHECK(r);
    rig_close(r);
    RIG_OPEN(r);
    assert_int_equal(read_at(r, &r->messages[0], &old), ERR_GONE);
    RIG_CHECK(r);
    rig_close(r);
}

static void a_needed_segment_stays(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = full_store(2);
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_int_equal(store_figures(r->s).n_recycled, 0);
    drop(r, 0, 2); /* one of the first segment's is left, over a quarter of it */
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_int_equal(store_figures(r->s).n_recycled, 0);
    RIG_CHECK(r);
    rig_close(r);
}

static void a_segment_that_is_being_read_stays_until_it_is_not(void **)
{
    struct errinfo ei;
    struct segment *pinned;
    SCOPED(rig_destroy) struct rig *r = full_store(3);
    struct fake_message place = rig_place(&r->messages[0]);
    assert_int_equal(seglog_pin(r->s->log, 0, &pinned, &ei), ERR_OK);
    drop(r, 0, 4); /* all of the first segment, and of the second */
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_int_equal(read_at(r, &r->messages[0], &place), ERR_OK);
    seglog_unpin(r->s->log, pinned);
    drop(r, 4, 5);
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_int_equal(read_at(r, &r->messages[0], &place), ERR_GONE);
    RIG_CHECK(r);
    rig_close(r);
}

static _Atomic bool is_index_stuck;

static enum err stuck(const struct index_record *)
{
    return atomic_load(&is_index_stuck) ? ERR_IO : ERR_OK;
}

static void what_the_index_has_not_applied_stays(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(4);
    fake_on_apply = stuck;
    RIG_OPEN(r);
    atomic_store(&is_index_stuck, true);
    for (int i = 0; i < 10; i++)
        rig_send(r, 1000000);
    rig_wait(r, 0);
    uint64_t before = store_figures(r->s).n_segments;
    struct store *s = r->s;
    while (!rig_was_told(r, "store.index_failed") || store_backlog(s).unapplied < 10)
        (void)store_wait_applied(s, UINT64_MAX, MILLISECONDS(1));
    /* The checkpoint cannot be had from an index thread that tries again and again: asked directly,
     * recycling must not find anything either. */
    assert_int_equal(store_recycle(s, store_figures(s).applied, &ei), ERR_OK);
    assert_int_equal(store_figures(s).n_recycled, 0);
    assert_int_equal(store_figures(s).n_segments, before);
    atomic_store(&is_index_stuck, false);
    assert_int_equal(store_wait_applied(s, store_figures(s).end - 1, SECONDS(5)), ERR_OK);
    RIG_CHECK(r);
    rig_close(r);
    fake_on_apply = NULL;
}

static void without_a_snapshot_nothing_is_recycled(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = full_store(5);
    drop(r, 0, 10);
    /* checkpoint: 4 operations; then each of those of the copy and of SNAPSHOT.ok */
    for (uint64_t at = 5; at < 15; at++) {
        rig_calm(r);
        rig_send(r, 10); /* so that there is something new to copy */
        rig_wait(r, 0);
        RIG_CHECK(r);
        fault_fail(r->fault, FAULT_EIO, at, 1);
        enum err err = store_snapshot(r->s, &ei);
        fault_fail(r->fault, FAULT_NONE, 0, 0);
        if (err == ERR_OK)
            break; /* the failure came later than all that counts */
        assert_int_equal(store_figures(r->s).n_recycled, 0);
    }
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_true(store_figures(r->s).n_recycled >= 2);
    rig_close(r);
}

static void what_is_left_of_a_sparse_segment_is_copied_forward(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(6);
    RIG_OPEN(r);
    struct rig_message *small = rig_send(r, 30000);
    for (int i = 0; i < 4; i++)
        rig_send(r, 1000000);
    struct rig_message *chunked = rig_send(r, STORE_INLINE_MAX + 500);
    for (int i = 0; i < 6; i++)
        rig_send(r, 1000000);
    rig_wait(r, 0);
    RIG_CHECK(r);
    struct fake_message old = rig_place(small);
    struct fake_message old_chunked = rig_place(chunked);
    assert_int_equal(old.extents[0].rec / RIG_SEGMENT, 0);
    for (unsigned i = 1; i < r->n; i++)
        if (&r->messages[i] != chunked)
            rig_ids(r, RECORD_DROPPED, &r->messages[i], false);
    rig_wait(r, 0);
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK); /* copies */
    assert_int_equal(read_at(r, small, &old), ERR_OK);   /* the old place holds meanwhile */
    for (int i = 0; i < 5; i++)
        rig_send(r, 1000000); /* the copies' segment closes */
    rig_wait(r, 0);
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK); /* recycles */
    assert_int_equal(read_at(r, small, &old), ERR_GONE);
    struct fake_message now = rig_place(small);
    assert_true(now.extents[0].rec > old.extents[0].rec);
    assert_int_equal(read_at(r, small, &now), ERR_OK);
    now = rig_place(chunked);
    assert_int_equal(now.n_extents, old_chunked.n_extents);
    RIG_CHECK(r);
    rig_close(r);
    RIG_OPEN(r);
    RIG_CHECK(r);
    rig_close(r);
}

static void the_pool_gives_back_what_is_too_much(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(7);
    RIG_OPEN(r);
    for (int i = 0; i < 30; i++)
        rig_send(r, 1000000);
    rig_wait(r, 0);
    drop(r, 0, r->n);
    RIG_CHECK(r);
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_true(store_figures(r->s).n_recycled >= 5);
    assert_true(store_figures(r->s).n_pool <= 2);
    uint64_t n_segments = store_figures(r->s).n_segments;
    rig_close(r);
    RIG_OPEN(r); /* what is free says so itself */
    assert_int_equal(store_figures(r->s).n_segments, n_segments);
    rig_close(r);
    assert_true(r->fault->n_now <= 12);
}

/* It is not asked for, and far less was written than makes one. */
static void where_little_is_written_segments_are_used_again_all_the_same(void **)
{
    SCOPED(rig_destroy) struct rig *r = full_store(9);
    mono_us until = mono_now() + SECONDS(20);
    drop(r, 0, 9);
    rig_close(r);
    r->snapshot_every = MILLISECONDS(1);
    RIG_OPEN(r);
    rig_send(r, 1000);
    rig_wait(r, 0);
    while (store_figures(r->s).n_recycled < 2) {
        assert_true(mono_now() < until);
        rig_send(r, 10);
        rig_wait(r, 0);
        (void)usleep(20000);
    }
    RIG_CHECK(r);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unneeded_segment_is_used_again_and_its_old_places_are_gone),
        cmocka_unit_test(a_needed_segment_stays),
        cmocka_unit_test(a_segment_that_is_being_read_stays_until_it_is_not),
        cmocka_unit_test(what_the_index_has_not_applied_stays),
        cmocka_unit_test(without_a_snapshot_nothing_is_recycled),
        cmocka_unit_test(what_is_left_of_a_sparse_segment_is_copied_forward),
        cmocka_unit_test(where_little_is_written_segments_are_used_again_all_the_same),
        cmocka_unit_test(the_pool_gives_back_what_is_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
