/* What guessing costs. */
#include "login/login_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define TEST(name) cmocka_unit_test(name)

static void the_first_tries_are_free_and_then_each_costs_twice_as_much(void **)
{
    static const struct {
        enum throttle_kind kind;
        unsigned n;
        mono_us wait;
    } rows[] = {
        {THROTTLE_ACCOUNT, 9, 0},
        {THROTTLE_ACCOUNT, 10, SECONDS(1)},
        {THROTTLE_ACCOUNT, 13, SECONDS(8)},
        {THROTTLE_ACCOUNT, 17, SECONDS(120)},
        {THROTTLE_ACCOUNT, 5000, SECONDS(120)},
        {THROTTLE_NETWORK, 19, SECONDS(512)},
        {THROTTLE_NETWORK, 20, SECONDS(900)},
        {THROTTLE_WIDE, 49, 0},
        {THROTTLE_WIDE, 50, SECONDS(1)},
        {THROTTLE_PAIR, 15, SECONDS(30)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct throttle *t = throttle_create();
        for (unsigned k = 0; k < rows[i].n; k++)
            throttle_charge(t, rows[i].kind, 7, SECONDS(1));
        assert_int_equal(throttle_wait(t, rows[i].kind, 7, SECONDS(1)), rows[i].wait);
        assert_int_equal(throttle_wait(t, rows[i].kind, 8, SECONDS(1)), 0);
        throttle_destroy(&t);
    }
}

static void tries_are_forgotten_one_by_one(void **)
{
    struct throttle *t = throttle_create();
    for (unsigned i = 0; i < 12; i++)
        throttle_charge(t, THROTTLE_ACCOUNT, 7, 0);
    throttle_charge(t, THROTTLE_ACCOUNT, 7, SECONDS(1200)); /* two of twelve are forgotten */
    assert_int_equal(throttle_wait(t, THROTTLE_ACCOUNT, 7, SECONDS(1200)), SECONDS(2));
    throttle_charge(t, THROTTLE_ACCOUNT, 7, SECONDS(600 * 100));
    assert_int_equal(throttle_wait(t, THROTTLE_ACCOUNT, 7, SECONDS(600 * 100)), 0);
    throttle_destroy(&t);
}

static void a_try_that_was_right_costs_nothing(void **)
{
    struct throttle *t = throttle_create();
    for (unsigned i = 0; i < 100; i++) {
        throttle_charge(t, THROTTLE_NETWORK, 7, 5);
        throttle_refund(t, THROTTLE_NETWORK, 7, 5);
    }
    assert_int_equal(throttle_wait(t, THROTTLE_NETWORK, 7, 5), 0);
    throttle_refund(t, THROTTLE_NETWORK, 7, 5);
    throttle_refund(t, THROTTLE_NETWORK, 8, 5);
    throttle_destroy(&t);
}

/* A million networks do not grow the table, and do not push out who guesses most. */
static void strangers_push_out_those_who_guessed_least(void **)
{
    struct throttle *t = throttle_create();
    for (unsigned i = 0; i < 20; i++)
        throttle_charge(t, THROTTLE_ACCOUNT, 7, 0);
    for (uint64_t i = 0; i < 1000000; i++)
        throttle_charge(t, THROTTLE_NETWORK, 1000 + i, SECONDS(1));
    assert_int_equal(throttle_wait(t, THROTTLE_ACCOUNT, 7, SECONDS(1)), SECONDS(119));
    throttle_destroy(&t);
}

static void wrong_guesses_are_known_for_an_hour(void **)
{
    static const uint8_t mark[MARK_BYTES] = {1, 2, 3}, other[MARK_BYTES] = {1, 2, 3, 0, 5};
    struct marks *m = marks_create();
    assert_false(marks_has(m, mark, 1));
    marks_add(m, mark, 1);
    assert_true(marks_has(m, mark, SECONDS(3500)));
    assert_false(marks_has(m, other, 1));
    assert_false(marks_has(m, mark, SECONDS(3700)));
    marks_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_tries_are_free_and_then_each_costs_twice_as_much),
        TEST(tries_are_forgotten_one_by_one),
        TEST(a_try_that_was_right_costs_nothing),
        TEST(strangers_push_out_those_who_guessed_least),
        TEST(wrong_guesses_are_known_for_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
