/* How near the limits came: what is worse, who reached it, what a take gives and forgets. */
#include "base/refuse.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static struct refuse_high highs[REFUSE_N];

static int forget(void **)
{
    (void)refuse_take_highs(0, highs);
    (void)refuse_take_highs(SECONDS(60), highs);
    return 0;
}

static void each_way_of_refusing_has_its_own_side(void **)
{
    assert_false(refuse_would(REFUSE_CONN_ADDRESS, 50, 50));
    assert_true(refuse_would(REFUSE_CONN_ADDRESS, 50, 51));
    assert_true(refuse_would(REFUSE_ERRORS, 20, 20));
    assert_false(refuse_would(REFUSE_ERRORS, 20, 19));
    assert_true(refuse_would(REFUSE_DISK_LOW, 10, 9));
    assert_false(refuse_would(REFUSE_DISK_LOW, 10, 10));
    assert_false(refuse_would(REFUSE_SYNTAX, 0, 1));
    assert_true(refuse_is_worse(REFUSE_CONN_ADDRESS, 2, 1));
    assert_true(refuse_is_worse(REFUSE_DISK_LOW, 1, 2));
    assert_false(refuse_is_worse(REFUSE_DISK_LOW, 2, 2));
}

static void only_measured_limits_have_a_number(void **)
{
    for (int id = 0; id < REFUSE_N; id++)
        if (refuse_when((enum refuse_id)id) != REFUSE_NOT_MEASURED)
            assert_true(refuse_row((enum refuse_id)id)->limit > 0);
}

static void the_worst_is_kept_with_who_reached_it(void **)
{
    refuse_measure(REFUSE_CONN_ADDRESS, 7, SLICE("192.0.2.1"));
    refuse_measure(REFUSE_CONN_ADDRESS, 9, SLICE("192.0.2.2"));
    refuse_measure(REFUSE_CONN_ADDRESS, 9, SLICE("192.0.2.3"));
    refuse_measure(REFUSE_DISK_LOW, 30, SLICE(""));
    refuse_measure(REFUSE_DISK_LOW, 20, SLICE(""));
    assert_true(refuse_take_highs(SECONDS(61), highs));
    assert_true(highs[REFUSE_CONN_ADDRESS].is_known);
    assert_int_equal(highs[REFUSE_CONN_ADDRESS].value, 9);
    assert_string_equal(highs[REFUSE_CONN_ADDRESS].who, "192.0.2.2");
    assert_int_equal(highs[REFUSE_DISK_LOW].value, 20);
    assert_false(highs[REFUSE_ERRORS].is_known);
}

static void what_was_told_is_not_told_again_within_the_minute(void **)
{
    refuse_measure(REFUSE_ERRORS, 5, SLICE("a"));
    assert_true(refuse_take_highs(SECONDS(61), highs));
    refuse_measure(REFUSE_ERRORS, 5, SLICE("b"));
    assert_false(refuse_take_highs(SECONDS(62), highs));
    refuse_measure(REFUSE_ERRORS, 6, SLICE("c"));
    assert_true(refuse_take_highs(SECONDS(63), highs));
    assert_false(refuse_take_highs(SECONDS(120), highs)); /* a new minute: 6 is forgotten */
    refuse_measure(REFUSE_ERRORS, 2, SLICE("d"));
    assert_true(refuse_take_highs(SECONDS(121), highs));
    assert_int_equal(highs[REFUSE_ERRORS].value, 2);
}

static void of_whoever_came_sixty_bytes_are_kept(void **)
{
    char long_name[200];
    memset(long_name, 'x', sizeof(long_name));
    refuse_measure(REFUSE_LINE, 1, slice_of(long_name, sizeof(long_name)));
    assert_true(refuse_take_highs(SECONDS(61), highs));
    assert_int_equal(strlen(highs[REFUSE_LINE].who), 60);
}

static void *climb(void *arg)
{
    for (uint64_t i = 1; i <= 20000; i++)
        refuse_measure(REFUSE_COMMANDS, i, slice_str(arg));
    return NULL;
}

static void threads_lose_nothing_of_the_worst(void **)
{
    pthread_t threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    uint64_t worst = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, climb, names[i]), 0);
    for (int i = 0; i < 100; i++)
        if (refuse_take_highs(SECONDS(61), highs) && highs[REFUSE_COMMANDS].value > worst)
            worst = highs[REFUSE_COMMANDS].value;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    if (refuse_take_highs(SECONDS(61), highs))
        worst = highs[REFUSE_COMMANDS].value;
    assert_int_equal(worst, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_way_of_refusing_has_its_own_side, forget),
        cmocka_unit_test_setup(only_measured_limits_have_a_number, forget),
        cmocka_unit_test_setup(the_worst_is_kept_with_who_reached_it, forget),
        cmocka_unit_test_setup(what_was_told_is_not_told_again_within_the_minute, forget),
        cmocka_unit_test_setup(of_whoever_came_sixty_bytes_are_kept, forget),
        cmocka_unit_test_setup(threads_lose_nothing_of_the_worst, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
