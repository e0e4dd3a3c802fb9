/* Bodies: they hold what was added, grow to their ceiling, and are counted as they are. */
#include "queue/queue_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { HEADROOM = 100, PIECE = 256 << 10, PIECES = 7, MOST = PIECE * PIECES + 10 };

static char piece[PIECE];

static void a_body_holds_its_pieces_and_what_stands_before_them(void **)
{
    struct queue_body *b = queue_body_create(HEADROOM, 0);
    for (int i = 0; i < PIECES; i++) {
        memset(piece, 'a' + i, sizeof(piece));
        assert_true(queue_body_add(&b, slice_of(piece, sizeof(piece)), MOST));
    }
    assert_false(queue_body_add(&b, slice_of(piece, 11), MOST));
    assert_true(queue_body_add(&b, slice_of(piece, 10), MOST));
    queue_body_fit(&b);
    assert_int_equal(queue_body_total(), HEADROOM + MOST);
    queue_body_prepend(&b, SLICE("before"));
    assert_int_equal(queue_body_total(), HEADROOM + MOST);
    struct slice s = queue_body_slice(b);
    assert_int_equal(s.n, MOST + 6);
    assert_memory_equal(s.p, "before", 6);
    for (int i = 0; i < PIECES; i++) {
        memset(piece, 'a' + i, sizeof(piece));
        assert_memory_equal(s.p + 6 + i * PIECE, piece, sizeof(piece));
    }
    queue_body_unref(&b);
    assert_int_equal(queue_body_total(), 0);
}

static void a_small_body_takes_no_more_than_it_needs(void **)
{
    struct queue_body *b = queue_body_create(HEADROOM, 0);
    assert_true(queue_body_add(&b, slice_of(piece, 10000), MOST));
    assert_int_equal(queue_body_total(), HEADROOM + 10000);
    queue_body_unref(&b);
    assert_int_equal(queue_body_total(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_holds_its_pieces_and_what_stands_before_them),
        cmocka_unit_test(a_small_body_takes_no_more_than_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
