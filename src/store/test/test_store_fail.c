/* Every operation on the disk fails once: never a false OK; the store goes on, or stops accepting
 * and says so. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void workload(struct rig *r)
{
    struct errinfo ei;
    for (int round = 0; round < 2; round++) {
        unsigned first = r->n;
        rig_send(r, 100);
        rig_send(r, 10240);
        rig_send(r, 900000);
        rig_wait(r, 0);
        rig_send(r, 2500000);
        rig_wait(r, 0);
        for (unsigned i = first; i < r->n; i++)
            if (r->messages[i].is_ok && i % 2)
                rig_ids(r, RECORD_DROPPED, &r->messages[i], false);
        rig_wait(r, 0);
        (void)store_snapshot(r->s, &ei); /* may be what fails */
    }
}

static uint64_t count_operations(bool counts_reads)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(1);
    r->fault->counts_reads = counts_reads;
    RIG_OPEN(r);
    workload(r);
    RIG_CHECK(r);
    rig_close(r);
    return r->fault->n_ops;
}

/* The store went on: a message is taken, and nothing that was refused is there after a power cut.
 * Or it stopped: it says why, to people and to those who ask. */
static void look_at_it(struct rig *r, uint64_t n)
{
    if (!rig_check(r))
        fail_msg("operation %llu: %s", (unsigned long long)n, r->wrong);
    struct rig_message *m = rig_send(r, 500);
    rig_wait(r, 0);
    if (m->is_ok)
        return;
    bool is_full = m->err == ERR_FULL;
    if (!is_full && !(store_figures(r->s).is_failed && rig_was_told(r, "store.stopped")))
        fail_msg("operation %llu: refused (%s) without saying why", (unsigned long long)n,
                 err_name(m->err));
    r->allows_refused = true;
}

static void fail_at(uint64_t n, enum fault_kind kind, uint64_t count)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(n);
    r->fault->counts_reads = kind == FAULT_EIO;
    fault_fail(r->fault, kind, n, count);
    if (rig_open(r, &ei) == ERR_OK) {
        workload(r);
        fault_fail(r->fault, kind, 0, 0);
        look_at_it(r, n);
        rig_close(r);
    }
    fault_reboot(r->fault);
    if (rig_open(r, &ei) != ERR_OK)
        fail_msg("operation %llu, after: %s", (unsigned long long)n, ei.text);
    if (store_recovered(r->s)->is_damaged)
        fail_msg("operation %llu: %s", (unsigned long long)n, store_recovered(r->s)->damage.text);
    if (!rig_check(r))
        fail_msg("operation %llu, after: %s", (unsigned long long)n, r->wrong);
    struct rig_message *m = rig_send(r, 700);
    rig_wait(r, 0);
    assert_true(m->is_ok);
    rig_close(r);
}

static void fail_each(enum fault_kind kind, uint64_t count)
{
    uint64_t all = count_operations(kind == FAULT_EIO);
    uint64_t wanted = rig_cuts(40);
    uint64_t step = wanted >= all ? 1 : all / wanted;
    for (uint64_t n = 1; n <= all; n += step)
        fail_at(n, kind, count);
}

static void an_error_of_any_operation_is_no_false_ok(void **)
{
    fail_each(FAULT_EIO, 1);
}

static void a_full_disk_at_any_operation_is_no_false_ok(void **)
{
    fail_each(FAULT_ENOSPC, 1);
}

static void a_short_write_at_any_operation_is_no_false_ok(void **)
{
    fail_each(FAULT_SHORT, 1);
}

static void two_errors_in_a_row_are_no_false_ok(void **)
{
    fail_each(FAULT_EIO, 2);
}

static void a_failing_disk_is_no_false_ok(void **)
{
    fail_each(FAULT_EIO, 1 << 20);
}

static void a_failed_sync_is_refused_and_the_next_message_is_taken(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(9);
    RIG_OPEN(r);
    struct rig_message *before = rig_send(r, 5000);
    rig_wait(r, 0);
    rig_calm(r);
    fault_fail(r->fault, FAULT_EIO, 2, 1); /* write, then sync */
    struct rig_message *failed = rig_send(r, 5000);
    rig_wait(r, 0);
    struct rig_message *after = rig_send(r, 5000);
    rig_wait(r, 0);
    assert_true(before->is_ok && after->is_ok);
    assert_int_equal(failed->err, ERR_IO);
    assert_true(rig_was_told(r, "store.write_failed"));
    assert_int_equal(store_figures(r->s).n_segments, 2);
    RIG_CHECK(r);
    rig_close(r);
    fault_reboot(r->fault);
    RIG_OPEN(r);
    assert_false(store_recovered(r->s)->is_damaged);
    RIG_CHECK(r); /* the failed one must not have come back */
    rig_close(r);
}

/* There is no room for another segment. */
static void leave_no_room(struct rig *r)
{
    struct pool_file *p;
    struct errinfo ei;
    fault_fail_allocate(r->fault, true);
    assert_int_equal(seglog_pool_take(r->s->log, &p, &ei), ERR_OK);
    seglog_pool_forget(r->s->log, &p);
    while (!rig_was_told(r, "store.pool")) /* its thread has given up for a while */
        (void)store_wait_applied(r->s, UINT64_MAX, MILLISECONDS(1));
}

/* What was refused is told so only when no start can find it any more. */
static void what_was_refused_does_not_come_back_after_a_power_cut(void **)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        SCOPED(rig_destroy) struct rig *r = rig_create(seed);
        RIG_OPEN(r);
        rig_send(r, 100);
        rig_wait(r, 0);
        rig_calm(r);
        if (seed % 2)
            leave_no_room(r);
        fault_fail(r->fault, FAULT_EIO, 2, 1); /* its sync; then all is well again */
        struct rig_message *refused = rig_send(r, 50);
        rig_wait(r, 0);
        fault_power_off(r->fault);
        assert_int_equal(refused->err, ERR_IO);
        rig_close(r);
        fault_fail_allocate(r->fault, false);
        fault_reboot(r->fault);
        RIG_OPEN(r);
        assert_false(store_recovered(r->s)->is_damaged);
        RIG_CHECK(r);
        rig_close(r);
    }
}

/* The program ends with a batch in the page cache that the disk never got, and that no later sync
 * would write: the pages are clean. Started again, it finds the batch; then the power fails. */
static void what_only_the_page_cache_has_is_written_again_at_the_start(void **)
{
    unsigned n_found = 0;
    for (uint64_t seed = 0; seed < 4; seed++) {
        SCOPED(rig_destroy) struct rig *r = rig_create(seed);
        RIG_OPEN(r);
        rig_send(r, 100);
        rig_wait(r, 0);
        rig_calm(r);
        if (seed % 2)
            leave_no_room(r); /* else the header of the next segment is what the cache has */
        fault_fail(r->fault, FAULT_REFUSED, 2, 1 << 20); /* its batch cannot be voided either */
        struct rig_message *m = rig_send(r, 20000);
        rig_wait(r, 0);
        assert_false(m->is_ok);
        r->allows_refused = true;
        rig_close(r);
        fault_fail(r->fault, FAULT_NONE, 0, 0);
        fault_fail_allocate(r->fault, false);
        RIG_OPEN(r);
        rig_send(r, 100);
        rig_wait(r, 0);
        RIG_CHECK(r);
        n_found += rig_place(m).id == m->id;
        fault_power_off(r->fault);
        rig_close(r);
        fault_reboot(r->fault);
        RIG_OPEN(r);
        assert_false(store_recovered(r->s)->is_damaged);
        RIG_CHECK(r);
        rig_close(r);
    }
    assert_true(n_found > 0);
}

static void a_full_disk_is_said_and_taken_up_again_when_there_is_room(void **)
{
    struct rig_message *m = NULL;
    SCOPED(rig_destroy) struct rig *r = rig_create(10);
    RIG_OPEN(r);
    rig_send(r, 5000);
    rig_wait(r, 0);
    fault_fail(r->fault, FAULT_ENOSPC, 1, UINT32_MAX);
    m = rig_send(r, 5000);
    rig_wait(r, 0);
    assert_int_equal(m->err, ERR_FULL);
    m = rig_send(r, 5000);
    rig_wait(r, 0);
    assert_int_equal(m->err, ERR_FULL);
    assert_false(store_figures(r->s).is_failed);
    fault_fail(r->fault, FAULT_NONE, 0, 0);
    mono_us start = mono_now();
    do {
        m = rig_send(r, 5000);
        rig_wait(r, 0);
        (void)store_wait_applied(r->s, UINT64_MAX, MILLISECONDS(20));
    } while (!m->is_ok && mono_now() - start < SECONDS(10));
    assert_true(m->is_ok);
    RIG_CHECK(r);
    rig_close(r);
    fault_reboot(r->fault);
    RIG_OPEN(r);
    RIG_CHECK(r);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_of_any_operation_is_no_false_ok),
        cmocka_unit_test(a_full_disk_at_any_operation_is_no_false_ok),
        cmocka_unit_test(a_short_write_at_any_operation_is_no_false_ok),
        cmocka_unit_test(two_errors_in_a_row_are_no_false_ok),
        cmocka_unit_test(a_failing_disk_is_no_false_ok),
        cmocka_unit_test(a_failed_sync_is_refused_and_the_next_message_is_taken),
        cmocka_unit_test(what_was_refused_does_not_come_back_after_a_power_cut),
        cmocka_unit_test(what_only_the_page_cache_has_is_written_again_at_the_start),
        cmocka_unit_test(a_full_disk_is_said_and_taken_up_again_when_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
