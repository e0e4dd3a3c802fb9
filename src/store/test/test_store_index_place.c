/* Where the bytes of messages lie: chunks, moves, what is dropped, and how much of the log is
 * needed. */
#include "index_world.h"

static void moved_bytes_are_found_at_their_new_place(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    w.pos = 3 << 20;
    world_apply(&w, RECORD_CHUNK, 1, 500); /* the copy: message 1 owns both until it has moved */
    assert_int_equal(world_use(&w).bytes[0], 500);
    assert_int_equal(world_use(&w).bytes[3], 500);
    struct record_extent extent = {.rec = 3 << 20, .pos = (3 << 20) + 100, .bytes = 500};
    struct record_moved moved = {.message = 1, .extents = &extent, .n_extents = 1};
    record_moved_pack(&w.pack, &moved);
    world_apply(&w, RECORD_MOVED, 1, 0);
    assert_int_equal(world_use(&w).bytes[0], 0);
    assert_int_equal(world_use(&w).bytes[3], 500);
    struct record_extent *got = NULL;
    size_t n = 0;
    ok(&w, store_get_extents(w.r, 1, w.arena, &got, &n, &w.ei));
    assert_int_equal(n, 1);
    assert_int_equal(got[0].rec, 3 << 20);
    struct index_unfinished unfinished = {};
    ok(&w, index_unfinished(w.x, &unfinished, &w.ei));
    assert_int_equal(unfinished.n_loose, 0);
    struct index_place *places = NULL;
    ok(&w, index_messages_in(w.path, 0, 1 << 20, 10, w.arena, &places, &n, &w.ei));
    assert_int_equal(n, 0);
    ok(&w, index_messages_in(w.path, 3 << 20, 4 << 20, 10, w.arena, &places, &n, &w.ei));
    assert_int_equal(n, 1);
    assert_int_equal(places[0].message, 1);
    assert_int_equal(places[0].extents[0].pos, (3 << 20) + 100);
    world_ids(&w, RECORD_DROPPED, 1);
    assert_int_equal(world_use(&w).bytes[3], 0);
    ok(&w, index_messages_in(w.path, 3 << 20, 4 << 20, 10, w.arena, &places, &n, &w.ei));
    assert_int_equal(n, 0);
}

static void a_move_that_is_not_the_whole_message_is_ignored(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    struct record_extent extent = {.rec = 3 << 20, .bytes = 499};
    static const uint64_t ids[] = {1, 2};
    for (int i = 0; i < 2; i++) {
        struct record_moved moved = {.message = ids[i], .extents = &extent, .n_extents = 1};
        record_moved_pack(&w.pack, &moved);
        world_apply(&w, RECORD_MOVED, ids[i], 0);
        assert_int_equal(index_n_odd(w.x), i + 1);
    }
    assert_int_equal(world_use(&w).bytes[0], 500);
    assert_int_equal(world_use(&w).bytes[3], 0);
}

static void chunks_are_needed_until_their_message_is_dropped_or_the_run_ends(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_apply(&w, RECORD_CHUNK, 1, 1000);
    world_apply(&w, RECORD_CHUNK, 2, 100);
    world_apply(&w, RECORD_CHUNK, 3, 10);
    assert_int_equal(world_use(&w).bytes[0], 1110);
    struct record_extent chunk = {.rec = WORLD_STEP, .pos = WORLD_STEP + 100, .bytes = 1000};
    struct record_message m = {.id = 1, .chunks = &chunk, .n_chunks = 1, .bytes = 1001};
    world_message(&w, &m, 1);
    assert_int_equal(world_use(&w).bytes[0], 1111);
    struct record_extent *got = NULL;
    size_t n = 0;
    ok(&w, store_get_extents(w.r, 1, w.arena, &got, &n, &w.ei));
    assert_int_equal(n, 2);
    assert_int_equal(got[0].bytes, 1000);
    assert_int_equal(got[1].rec, 4 * WORLD_STEP);
    world_ids(&w, RECORD_DROPPED, 2); /* given up while it came */
    assert_int_equal(world_use(&w).bytes[0], 1011);
    world_interrupted(&w, 1);
    assert_int_equal(world_use(&w).bytes[0], 1001);
    world_ids(&w, RECORD_DROPPED, 1);
    assert_int_equal(world_use(&w).bytes[0], 0);
    assert_int_equal(index_last_id(w.x), 3);
}

static void dropped_mail_keeps_its_facts(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    world_ids(&w, RECORD_DROPPED, 1);
    assert_true(world_get(&w, 1).is_dropped);
    assert_int_equal(world_use(&w).bytes[0], 0);
    struct record_extent *got = NULL;
    size_t n = 0;
    assert_int_equal(store_get_extents(w.r, 1, w.arena, &got, &n, &w.ei), ERR_GONE);
    assert_int_equal(world_sums(&w, 0).accepted, 1);
    assert_int_equal(index_n_odd(w.x), 0);
    world_ids(&w, RECORD_DROPPED, 1);
    assert_int_equal(index_n_odd(w.x), 1);
}

static void what_an_account_holds_is_not_dropped_unless_an_old_record_says_so(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_inbox(&w, 5, 50);
    world_covered(&w, 1, 1, NULL);
    world_ids(&w, RECORD_DROPPED, 1);
    assert_false(world_get(&w, 1).is_dropped);
    assert_int_equal(world_use(&w).bytes[0], 500);
    assert_int_equal(world_email(&w, 50, 1).message, 1);
    world_check(&w);
    /* As it was before accounts had tombstones: its segment may be in use for something else. */
    struct record_id one = {.id = 1};
    struct record_ids ids = {.ids = &one, .n_ids = 1};
    record_ids_pack(&w.pack, &ids);
    w.version = 1;
    world_apply(&w, RECORD_DROPPED, 0, 0);
    assert_true(world_get(&w, 1).is_dropped);
    assert_int_equal(world_use(&w).bytes[0], 0);
    assert_int_equal(world_email(&w, 50, 1).message, 0);
    assert_int_equal(world_number(&w, "SELECT modseq FROM account"), 101);
    assert_int_equal(index_n_odd(w.x), 0);
    world_check(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moved_bytes_are_found_at_their_new_place),
        cmocka_unit_test(a_move_that_is_not_the_whole_message_is_ignored),
        cmocka_unit_test(chunks_are_needed_until_their_message_is_dropped_or_the_run_ends),
        cmocka_unit_test(dropped_mail_keeps_its_facts),
        cmocka_unit_test(what_an_account_holds_is_not_dropped_unless_an_old_record_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
