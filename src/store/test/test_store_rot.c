/* Bit rot, leftovers and torn headers: damage is told with its place and never cut; what is old
 * never looks new. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define SEG0 "d/log/00000000.seg"

/* Some messages in segment 0, all told, the store closed. */
static struct rig *small_store(uint64_t seed, unsigned n)
{
    struct rig *r = rig_create(seed);
    RIG_OPEN(r);
    for (unsigned i = 0; i < n; i++) {
        rig_send(r, 3000);
        rig_wait(r, 0);
    }
    RIG_CHECK(r);
    return r;
}

static char *segment_bytes(struct rig *r, const char *path)
{
    char *p = fault_bytes(r->fault, path, NULL);
    must(p);
    return p;
}

static void lose_index(struct rig *r)
{
    must(r->fault->files.unlink(r->fault, "d/index/index.db") == 0);
}

static bool names_place(const char *text)
{
    return strstr(text, ".seg: offset ") && strstr(text, "position ");
}

static void damage_in_the_middle_is_told_with_its_place_and_never_cut(void **)
{
    SCOPED(rig_destroy) struct rig *r = small_store(1, 10);
    struct fake_message place = rig_place(&r->messages[4]);
    rig_close(r);
    SCOPED(mem_free) char *before = mem_new(RIG_SEGMENT);
    char *bytes = segment_bytes(r, SEG0);
    bytes[place.extents[0].pos + 99] ^= 1;
    memcpy(before, bytes, RIG_SEGMENT);
    RIG_OPEN(r);
    const struct store_recovery *found = store_recovered(r->s);
    assert_true(found->is_damaged);
    assert_true(names_place(found->damage.text));
    assert_true(rig_was_told(r, "store.damaged"));
    struct rig_message *refused = rig_send(r, 10);
    rig_wait(r, 0);
    assert_int_equal(refused->err, ERR_CORRUPT);
    for (unsigned i = 0; i < 10; i++) {
        struct errinfo ei;
        SCOPED(buf_finish) struct buf b = buf_make(RIG_BYTES);
        place = rig_place(&r->messages[i]);
        enum err err =
            store_read_body(r->s, r->messages[i].id, place.extents, place.n_extents, &b, &ei);
        assert_int_equal(err, i == 4 ? ERR_CORRUPT : ERR_OK);
        if (i == 4)
            assert_true(names_place(ei.text));
        else
            assert_memory_equal(b.p, rig_pool + r->messages[i].from, 3000);
    }
    rig_close(r);
    assert_memory_equal(segment_bytes(r, SEG0), before, RIG_SEGMENT);
}

/* Wherever a bit turns: all is there, or it is told; with the index and without it. */
static void no_turned_bit_loses_a_message_in_silence(void **)
{
    uint64_t n_bits = rig_cuts(120);
    n_bits = n_bits > 20000 ? 20000 : n_bits;
    for (uint64_t i = 0; i < n_bits; i++) {
        SCOPED(rig_destroy) struct rig *r = small_store(i, 4);
        size_t used = store_figures(r->s).end % RIG_SEGMENT;
        rig_close(r);
        if (i % 2)
            lose_index(r);
        size_t at = (size_t)(fault_random(r->fault) % (used + SEGLOG_SECTOR));
        if (i % 3 == 0) /* headers, not only bodies */
            at = at / SEGLOG_SECTOR * SEGLOG_SECTOR + at % SEGLOG_BATCH_HEAD;
        segment_bytes(r, SEG0)[at] ^= (char)(1 << i % 8);
        RIG_OPEN(r);
        if (!store_recovered(r->s)->is_damaged && !rig_check(r))
            fail_msg("bit at %zu, round %llu: %s", at, (unsigned long long)i, r->wrong);
        rig_close(r);
    }
}

static void the_last_batch_is_known_to_be_damaged_after_a_clean_end(void **)
{
    SCOPED(rig_destroy) struct rig *r = small_store(2, 3);
    struct fake_message place = rig_place(&r->messages[2]);
    rig_close(r);
    lose_index(r);
    segment_bytes(r, SEG0)[place.extents[0].rec] ^= 1;
    RIG_OPEN(r);
    assert_true(store_recovered(r->s)->is_damaged);
}

static void a_log_that_ends_before_the_index_is_damage(void **)
{
    SCOPED(rig_destroy) struct rig *r = small_store(12, 3);
    size_t last = (size_t)(store_figures(r->s).end % RIG_SEGMENT) - 3000 / 512 * 512;
    rig_close(r);
    memset(segment_bytes(r, SEG0) + last, 0, RIG_SEGMENT - last);
    RIG_OPEN(r);
    assert_true(store_recovered(r->s)->is_damaged);
    assert_true(names_place(store_recovered(r->s)->damage.text));
    rig_close(r);
}

static void a_damaged_closed_segment_is_found_by_verify_and_by_replay(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(3);
    RIG_OPEN(r);
    for (int i = 0; i < 4; i++)
        rig_send(r, 2500000);
    rig_wait(r, 0);
    assert_true(store_figures(r->s).n_segments >= 3);
    RIG_CHECK(r);
    struct fake_message place = rig_place(&r->messages[0]);
    rig_close(r);
    assert_int_equal(store_verify_with(&r->fault->files, "d", NULL, NULL), 0);
    segment_bytes(r, SEG0)[place.extents[0].pos + 5] ^= 4;
    assert_true(store_verify_with(&r->fault->files, "d", NULL, NULL) >= 2); /* place and message */
    struct store_options o = {.dir = "d", .files = &r->fault->files, .segment_bytes = RIG_SEGMENT};
    assert_int_equal(store_rebuild_with(&o, &ei), ERR_CORRUPT);
    assert_true(names_place(ei.text));
}

/* A batch of an earlier start, complete and once valid, behind the end of a later one. */
static void batches_of_an_earlier_start_behind_the_tail_are_leftovers(void **)
{
    SCOPED(rig_destroy) struct rig *r = small_store(4, 2);
    uint64_t cut = store_figures(r->s).end;
    for (int i = 0; i < 30; i++) { /* one sector each: they begin wherever the end will be */
        rig_send(r, 10);
        rig_wait(r, 0);
    }
    RIG_CHECK(r);
    rig_close(r);
    SCOPED(mem_free) char *old = mem_new(RIG_SEGMENT);
    memcpy(old, segment_bytes(r, SEG0), RIG_SEGMENT);
    /* As if the power had failed before these were synced, and nobody had been told. */
    memset(segment_bytes(r, SEG0) + cut, 0, RIG_SEGMENT - cut);
    lose_index(r);
    r->n = 2;
    RIG_OPEN(r);
    assert_int_equal(store_recovered(r->s)->n_replayed, 2);
    rig_send(r, 200); /* shorter than what stood here */
    rig_wait(r, 0);
    RIG_CHECK(r);
    uint64_t end = store_figures(r->s).end;
    rig_close(r);
    uint64_t marked = end + SEGLOG_SECTOR; /* behind the mark of the clean end */
    memcpy(segment_bytes(r, SEG0) + marked, old + marked, RIG_SEGMENT - marked);
    for (int restart = 0; restart < 2; restart++) {
        RIG_OPEN(r);
        assert_false(store_recovered(r->s)->is_damaged);
        assert_true(store_recovered(r->s)->end < end + 4 * SEGLOG_SECTOR);
        RIG_CHECK(r);
        rig_close(r);
    }
}

/* A recycled file is full of valid batches of its earlier use, at the very same offsets. */
static void records_of_a_recycled_file_never_look_new(void **)
{
    struct errinfo ei;
    SCOPED(rig_destroy) struct rig *r = rig_create(5);
    RIG_OPEN(r);
    for (int round = 0; round < 6; round++) {
        unsigned first = r->n;
        for (int i = 0; i < 5; i++) {
            rig_send(r, 990000);
            rig_wait(r, 0);
        }
        for (unsigned i = first; i < r->n; i++)
            rig_ids(r, RECORD_DROPPED, &r->messages[i], false);
        rig_wait(r, 0);
        assert_int_equal(store_snapshot(r->s, &ei), ERR_OK);
        rig_close(r);
        if (round % 2)
            lose_index(r);
        RIG_OPEN(r);
        assert_false(store_recovered(r->s)->is_damaged);
        RIG_CHECK(r);
    }
    assert_true(store_figures(r->s).end > 6ull * RIG_SEGMENT);
    rig_close(r);
    assert_true(r->fault->n_now < 14); /* files were used again */
}

static void one_damaged_copy_of_a_header_is_no_harm(void **)
{
    for (int copy = 0; copy < 2; copy++) {
        SCOPED(rig_destroy) struct rig *r = small_store(6, 3);
        rig_close(r);
        segment_bytes(r, SEG0)[copy * 2048 + 20] ^= 1;
        RIG_OPEN(r);
        assert_false(store_recovered(r->s)->is_damaged);
        RIG_CHECK(r);
        rig_close(r);
    }
}

static void a_lost_header_of_the_newest_segment_is_damage(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(7);
    RIG_OPEN(r);
    for (int i = 0; i < 3; i++)
        rig_send(r, 2500000);
    rig_wait(r, 0);
    RIG_CHECK(r);
    uint64_t newest = store_figures(r->s).n_segments - 1;
    unsigned file = 0;
    for (size_t i = 0; i < r->s->log->n_segments; i++)
        if (r->s->log->segments[i]->n == newest)
            file = r->s->log->segments[i]->file;
    rig_close(r);
    char path[64];
    (void)snprintf(path, sizeof(path), "d/log/%08u.seg", file);
    memset(segment_bytes(r, path), 0xff, SEGLOG_HEADER);
    lose_index(r);
    RIG_OPEN(r);
    assert_true(store_recovered(r->s)->is_damaged);
    assert_true(strstr(store_recovered(r->s)->damage.text, path + 2) != NULL);
    assert_true(rig_was_told(r, "store.header_damaged"));
    rig_close(r);
    assert_true((unsigned char)segment_bytes(r, path)[0] == 0xff); /* left as it is */
}

static void a_missing_segment_is_damage(void **)
{
    SCOPED(rig_destroy) struct rig *r = rig_create(8);
    RIG_OPEN(r);
    for (int i = 0; i < 4; i++)
        rig_send(r, 2500000);
    rig_wait(r, 0);
    RIG_CHECK(r);
    rig_close(r);
    must(r->fault->files.unlink(r->fault, SEG0) == 0);
    lose_index(r);
    RIG_OPEN(r);
    assert_true(store_recovered(r->s)->is_damaged);
    rig_close(r);
}

static void a_log_that_is_gone_is_damage_and_not_a_new_one(void **)
{
    SCOPED(rig_destroy) struct rig *r = small_store(9, 2);
    rig_close(r);
    for (unsigned file = 0; file < 9; file++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "d/log/%08u.seg", file);
        (void)r->fault->files.unlink(r->fault, path);
    }
    RIG_OPEN(r);
    assert_true(store_recovered(r->s)->is_damaged);
    struct rig_message *m = rig_send(r, 10);
    rig_wait(r, 0);
    assert_int_equal(m->err, ERR_CORRUPT);
    rig_close(r);
}

static void a_file_of_another_store_is_left_alone(void **)
{
    SCOPED(rig_destroy) struct rig *other = small_store(10, 2);
    rig_close(other);
    SCOPED(mem_free) char *foreign = mem_new(RIG_SEGMENT);
    memcpy(foreign, segment_bytes(other, SEG0), RIG_SEGMENT);
    SCOPED(rig_destroy) struct rig *r = small_store(11, 2);
    rig_send(r, 3000);
    rig_close(r);
    RIG_OPEN(r);
    rig_close(r);
    struct iovec iov = {foreign, RIG_SEGMENT};
    int fd = r->fault->files.open(r->fault, "d/log/00000077.seg", O_RDWR | O_CREAT, 0600);
    must(r->fault->files.pwritev(r->fault, fd, &iov, 1, 0) == RIG_SEGMENT);
    must(r->fault->files.close(r->fault, fd) == 0);
    RIG_OPEN(r);
    assert_false(store_recovered(r->s)->is_damaged);
    assert_true(rig_was_told(r, "store.foreign_file"));
    RIG_CHECK(r);
    rig_close(r);
    assert_memory_equal(segment_bytes(r, "d/log/00000077.seg"), foreign, RIG_SEGMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_in_the_middle_is_told_with_its_place_and_never_cut),
        cmocka_unit_test(no_turned_bit_loses_a_message_in_silence),
        cmocka_unit_test(the_last_batch_is_known_to_be_damaged_after_a_clean_end),
        cmocka_unit_test(a_log_that_ends_before_the_index_is_damage),
        cmocka_unit_test(a_damaged_closed_segment_is_found_by_verify_and_by_replay),
        cmocka_unit_test(batches_of_an_earlier_start_behind_the_tail_are_leftovers),
        cmocka_unit_test(records_of_a_recycled_file_never_look_new),
        cmocka_unit_test(one_damaged_copy_of_a_header_is_no_harm),
        cmocka_unit_test(a_lost_header_of_the_newest_segment_is_damage),
        cmocka_unit_test(a_missing_segment_is_damage),
        cmocka_unit_test(a_log_that_is_gone_is_damage_and_not_a_new_one),
        cmocka_unit_test(a_file_of_another_store_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
