/* Power cuts: whatever the moment, what was promised is there, and nothing partial is.
 *
 * A scripted workload over segments of 4 MiB (so that they fill, are recycled and copied forward)
 * loses power during the nth operation on the disk, for every n, or by default for some 200 of
 * them. STORE_TEST_CUTS=all tries all, STORE_TEST_SEED another fortune of what had reached the
 * disk. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static uint64_t seed_of(uint64_t n)
{
    const char *text = getenv("STORE_TEST_SEED");
    return n * 2654435761u + (text ? strtoull(text, NULL, 10) : 0);
}

/* Small and large, answers and drops, snapshots that recycle. Goes on whatever is refused. */
static void workload(struct rig *r)
{
    static const size_t sizes[] = {100, 10240, 600, 900000, 3 << 20, 4000, 30000, 1, 70000, 2000};
    struct errinfo ei;
    for (unsigned round = 0; round < 3; round++) {
        unsigned first = r->n;
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct rig_message *m = rig_send(r, sizes[i]);
            if (i % 3 == 0)
                rig_wait(r, 0);
            if (rig_is_ok(r, m))
                rig_ids(r, RECORD_ANSWERED, m, i < 9); /* the last would wait for a timer */
        }
        rig_wait(r, 0);
        for (unsigned i = first; i < r->n; i++)
            if (r->messages[i].is_ok && i % 10 != 5)
                rig_ids(r, RECORD_DROPPED, &r->messages[i], false);
        rig_wait(r, 0);
        (void)store_snapshot(r->s, &ei); /* fails when the power is gone */
    }
}

/* The number of operations of the whole run, without a cut. */
static uint64_t count_operations(void)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(seed_of(0));
    assert_int_equal(rig_open(r, &ei), ERR_OK);
    workload(r);
    assert_true(store_figures(r->s).n_recycled > 0);
    assert_true(rig_check(r));
    rig_close(r);
    return r->fault->n_ops;
}

static void open_and_check(struct rig *r, uint64_t n, const char *when)
{
    struct errinfo ei = {};
    if (rig_open(r, &ei) != ERR_OK)
        fail_msg("cut %llu, %s: %s", (unsigned long long)n, when, ei.text);
    if (store_recovered(r->s)->is_damaged)
        fail_msg("cut %llu, %s: %s", (unsigned long long)n, when,
                 store_recovered(r->s)->damage.text);
    if (!rig_check(r))
        fail_msg("cut %llu, %s: %s", (unsigned long long)n, when, r->wrong);
}

/* Power goes at operation `n`, once more `again` operations into the recovery, then all is looked
 * at, work goes on, and it is looked at once more. */
static void cut_at(uint64_t n, uint64_t again)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(seed_of(n));
    r->fault->cut_at = n;
    r->allows_refused = true;
    if (rig_open(r, &ei) == ERR_OK) {
        workload(r);
        rig_close(r);
    }
    fault_reboot(r->fault);
    r->fault->cut_at = again;
    if (again && rig_open(r, &ei) == ERR_OK)
        rig_close(r);
    if (again)
        fault_reboot(r->fault);
    open_and_check(r, n, "after the cut");
    rig_send(r, 20000);
    rig_send(r, 50);
    rig_close(r);
    open_and_check(r, n, "after more work");
    rig_close(r);
}

static void after_a_power_cut_at_any_operation_every_promise_holds(void **)
{
    uint64_t all = count_operations();
    uint64_t wanted = rig_cuts(200);
    uint64_t step = wanted >= all ? 1 : all / wanted;
    for (uint64_t n = 1; n <= all; n += step)
        cut_at(n, 0);
}

static void a_second_power_cut_during_recovery_changes_nothing(void **)
{
    uint64_t all = count_operations();
    uint64_t wanted = rig_cuts(30);
    uint64_t step = wanted >= all ? 1 : all / wanted;
    for (uint64_t n = 2; n <= all; n += step)
        cut_at(n, 1 + n / step % 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_power_cut_at_any_operation_every_promise_holds),
        cmocka_unit_test(a_second_power_cut_during_recovery_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
