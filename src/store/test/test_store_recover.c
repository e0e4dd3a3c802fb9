/* Recovery beyond the power cut: records that end the program, indexes that are lost, what was left
 * unfinished. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static struct fault *the_fault;
static uint64_t deadly_id; /* applying a record of it ends the program */
static uint64_t unreadable_id;
static unsigned n_deaths;

static enum err apply_hook(const struct index_record *r)
{
    if (deadly_id && r->id == deadly_id) {
        fault_power_off(the_fault); /* the program is gone; so is the power, which is worse */
        n_deaths++;
        return ERR_IO;
    }
    return unreadable_id && r->id == unreadable_id ? ERR_CORRUPT : ERR_OK;
}

static void hook(struct rig *r, uint64_t deadly, uint64_t unreadable)
{
    the_fault = r->fault;
    deadly_id = deadly;
    unreadable_id = unreadable;
    n_deaths = 0;
    fake_on_apply = deadly || unreadable ? apply_hook : NULL;
}

/* Ten messages that are durable, and of which the index on the disk knows nothing. */
static struct rig *unapplied_store(uint64_t seed)
{
    struct rig *r = rig_create(seed);
    RIG_OPEN(r);
    for (int i = 0; i < 10; i++)
        rig_send(r, 2000);
    rig_wait(r, 0);
    fault_power_off(r->fault);
    rig_close(r);
    fault_reboot(r->fault);
    return r;
}

static bool is_aside(struct rig *r)
{
    char names[4096];
    must(r->fault->files.list(r->fault, "d/aside", names, sizeof(names)) == 0);
    return names[0] != '\0';
}

static struct fake_state *state(void)
{
    static struct fake_state s;
    struct errinfo ei;
    must(fake_state_of("d/index/index.db", &s, &ei) == ERR_OK);
    return &s;
}

/* The model forgets what was set aside: that it is not there is what people were told. */
static void forget(struct rig *r, uint64_t id)
{
    rig_find(r, id)->is_ok = false;
}

static void a_record_that_ends_recovery_twice_is_set_aside(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = unapplied_store(1);
    uint64_t id = r->messages[5].id;
    hook(r, id, 0);
    unsigned tries = 0;
    while (rig_open(r, &ei) != ERR_OK) {
        assert_true(++tries < 6);
        fault_reboot(r->fault);
    }
    assert_in_range(n_deaths, 2, 3); /* the first one came before anything was noted */
    assert_int_equal(store_recovered(r->s)->n_aside, 1);
    assert_true(rig_was_told(r, "store.aside"));
    assert_true(is_aside(r));
    forget(r, id);
    RIG_CHECK(r);
    assert_int_equal(state()->n_asides, 1);
    rig_close(r);
    /* From now on it is skipped, in a rebuild too. */
    must(r->fault->files.unlink(r->fault, "d/index/index.db") == 0);
    for (int i = 0; i < 2; i++) {
        RIG_OPEN(r);
        assert_int_equal(store_recovered(r->s)->n_aside, 0);
        assert_int_equal(state()->n_asides, 1);
        RIG_CHECK(r);
        rig_close(r);
    }
    hook(r, 0, 0);
}

/* A power cut anywhere else does not count against the record that was noted last. */
static void power_cuts_before_the_noted_record_set_nothing_aside(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = unapplied_store(8);
    hook(r, r->messages[5].id, 0);
    for (int i = 0; i < 2; i++) { /* the second time it is noted */
        assert_int_equal(rig_open(r, &ei), ERR_IO);
        fault_reboot(r->fault);
    }
    hook(r, 0, 0);
    for (uint64_t at = 1; at < 6; at++) {
        r->fault->cut_at = at;
        assert_int_equal(rig_open(r, &ei), ERR_IO);
        fault_reboot(r->fault);
    }
    RIG_OPEN(r);
    assert_int_equal(store_recovered(r->s)->n_aside, 0);
    RIG_CHECK(r);
    rig_close(r);
}

static void an_unreadable_record_is_set_aside_at_once_running_or_recovering(void **)
{
    for (int is_recovering = 0; is_recovering < 2; is_recovering++) {
        SCOPED(rig_destroy) struct rig *r = rig_create(2);
        RIG_OPEN(r);
        hook(r, 0, is_recovering ? 0 : r->next_id + 3);
        for (int i = 0; i < 5; i++)
            rig_send(r, 2000);
        rig_wait(r, 0);
        uint64_t id = r->messages[2].id;
        if (is_recovering) {
            fault_power_off(r->fault);
            rig_close(r);
            fault_reboot(r->fault);
            hook(r, 0, id);
            RIG_OPEN(r);
            assert_int_equal(store_recovered(r->s)->n_aside, 1);
        }
        forget(r, id);
        RIG_CHECK(r);
        assert_true(rig_was_told(r, "store.aside"));
        rig_close(r);
        assert_true(is_aside(r));
        RIG_OPEN(r);
        assert_int_equal(state()->n_asides, 1);
        RIG_CHECK(r);
        rig_close(r);
        hook(r, 0, 0);
    }
}

static void what_was_not_answered_and_not_finished_is_said(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(3);
    RIG_OPEN(r);
    for (int i = 0; i < 6; i++)
        rig_send(r, 100);
    rig_wait(r, 0);
    rig_ids(r, RECORD_ANSWERED, &r->messages[0], false);
    rig_ids(r, RECORD_ANSWERED, &r->messages[1], false);
    struct rig_change *c = rig_change(r, RECORD_ATTEMPT, 0);
    record_attempt_pack(&c->facts, &(struct record_attempt){});
    rig_submit(c);
    struct rig_change *loose = rig_change(r, RECORD_CHUNK, 999);
    loose->change.body[0] = slice_of(rig_pool, 5000);
    rig_submit(loose);
    rig_close(r);
    RIG_OPEN(r);
    assert_int_equal(store_recovered(r->s)->n_unanswered, 4);
    assert_int_equal(store_recovered(r->s)->n_possible_doubles, 1);
    assert_int_equal(state()->n_loose, 0);
    RIG_CHECK(r);
    rig_close(r);
    RIG_OPEN(r);
    assert_int_equal(store_recovered(r->s)->n_unanswered, 0); /* said once */
    assert_int_equal(store_recovered(r->s)->n_possible_doubles, 0);
    rig_close(r);
}

struct text {
    struct buf b;
};

static void add_line(void *arg, struct slice line)
{
    struct text *t = arg;
    buf_adds(&t->b, line);
    buf_addc(&t->b, '\n');
}

static void dump(struct text *t)
{
    struct errinfo ei;
    t->b = buf_make(1 << 20);
    assert_int_equal(index_dump("d/index/index.db", add_line, t, &ei), ERR_OK);
}

static void finish_text(struct text *t)
{
    buf_finish(&t->b);
}

static void a_rebuilt_index_equals_the_one_that_was_lost(void **)
{
    struct errinfo ei;
    static const char *const ways[] = {"rebuild", "lost", "spoilt"};
    for (int has_snapshot = 0; has_snapshot < 2; has_snapshot++) {
        for (int way = 0; way < 3; way++) {
            SCOPED(rig_destroy) struct rig *r = rig_create(4);
            SCOPED(finish_text) struct text before = {};
            SCOPED(finish_text) struct text after = {};
            RIG_OPEN(r);
            for (int i = 0; i < 8; i++) {
                rig_ids(r, RECORD_ANSWERED, rig_send(r, 1000000), false);
                rig_wait(r, 0);
                if (has_snapshot && i == 5) {
                    for (unsigned k = 0; k < 4; k++)
                        rig_ids(r, RECORD_DROPPED, &r->messages[k], false);
                    rig_wait(r, 0);
                    RIG_CHECK(r);
                    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
                    assert_true(store_figures(r->s).n_recycled > 0);
                }
            }
            RIG_CHECK(r);
            rig_close(r);
            dump(&before);
            struct store_options o = {
                .dir = "d", .files = &r->fault->files, .segment_bytes = RIG_SEGMENT};
            if (way == 1)
                must(r->fault->files.unlink(r->fault, "d/index/index.db") == 0);
            if (way == 2)
                r->fault
                    ->inodes[fault_find(r->fault->now, r->fault->n_now, "d/index/index.db")->inode]
                    .size = 100;
            if (way == 0)
                assert_int_equal(store_rebuild_with(&o, &ei), ERR_OK);
            RIG_OPEN(r);
            RIG_CHECK(r);
            rig_close(r);
            dump(&after);
            if (!slice_eq(buf_slice(&before.b), buf_slice(&after.b)))
                fail_msg("%s, snapshot %d: not equal:\n%s---\n%s", ways[way], has_snapshot,
                         buf_cstr(&before.b), buf_cstr(&after.b));
        }
    }
}

static void a_rebuild_beside_an_open_store_is_refused(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(5);
    struct store_options o = {.dir = "d", .files = &r->fault->files, .segment_bytes = RIG_SEGMENT};
    RIG_OPEN(r);
    assert_int_equal(store_rebuild_with(&o, &ei), ERR_CONFLICT);
    rig_close(r);
}

static void a_damaged_snapshot_is_not_believed(void **)
{
    struct errinfo ei;
    struct snapshot found;
    char path[FAULT_PATH];
    SCOPED(rig_destroy) struct rig *r = rig_create(6);
    RIG_OPEN(r);
    rig_send(r, 1000);
    rig_wait(r, 0);
    assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
    assert_int_equal(store_snapshot_find(r->s, &found, &ei), ERR_OK);
    (void)snprintf(path, sizeof(path), "d/snapshot/%016llx.db", (unsigned long long)found.pos);
    fault_bytes(r->fault, path, NULL)[77] ^= 1;
    assert_int_equal(store_snapshot_find(r->s, &found, &ei), ERR_GONE);
    rig_close(r);
    must(r->fault->files.unlink(r->fault, "d/index/index.db") == 0);
    RIG_OPEN(r); /* from the whole log */
    assert_false(store_recovered(r->s)->is_damaged);
    RIG_CHECK(r);
    rig_close(r);
}

static void on_progress(void *arg, unsigned percent)
{
    unsigned *last = arg;
    must(percent >= *last && percent <= 100);
    *last = percent;
}

static void progress_is_told_up_to_the_end(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = unapplied_store(7);
    unsigned last_percent = 0;
    struct store_options o = {.dir = "d",
                              .files = &r->fault->files,
                              .segment_bytes = RIG_SEGMENT,
                              .n_pool = 1,
                              .progress = on_progress,
                              .progress_arg = &last_percent};
    assert_int_equal(store_open(&o, &r->s, &ei), ERR_OK);
    assert_int_equal(last_percent, 100);
    assert_int_equal(store_recovered(r->s)->n_replayed, 10);
    RIG_CHECK(r);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_ends_recovery_twice_is_set_aside),
        cmocka_unit_test(power_cuts_before_the_noted_record_set_nothing_aside),
        cmocka_unit_test(an_unreadable_record_is_set_aside_at_once_running_or_recovering),
        cmocka_unit_test(what_was_not_answered_and_not_finished_is_said),
        cmocka_unit_test(a_rebuilt_index_equals_the_one_that_was_lost),
        cmocka_unit_test(a_rebuild_beside_an_open_store_is_refused),
        cmocka_unit_test(a_damaged_snapshot_is_not_believed),
        cmocka_unit_test(progress_is_told_up_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
