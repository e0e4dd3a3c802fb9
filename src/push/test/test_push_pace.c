/* When the next push goes, after which answer. */
#include "push/push.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static enum push_verdict judge(struct push_pace *p, uint16_t status, uint32_t retry_after,
                               utc_ms now, mono_us *ret_wait)
{
    const struct push_answer a = {.status = status, .retry_after = retry_after};
    return push_judge(p, &a, now, 0, ret_wait);
}

static void what_goes_well_goes_on_every_second_at_most(void **)
{
    struct push_pace p = {};
    mono_us wait;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(judge(&p, 201, 0, 1000, &wait), PUSH_TOLD);
        assert_int_equal(wait, SECONDS(1));
    }
}

static void what_fails_waits_twice_as_long_each_time_up_to_half_an_hour(void **)
{
    struct push_pace p = {};
    mono_us wait, before = 0;
    assert_int_equal(judge(&p, 500, 0, 1000, &wait), PUSH_LATER);
    assert_int_equal(wait, SECONDS(5));
    for (int i = 0; i < 20; i++) {
        before = wait;
        assert_int_equal(judge(&p, 0, 0, 1000, &wait), PUSH_LATER);
        assert_true(wait >= before && wait <= SECONDS(1800));
    }
    assert_int_equal(wait, SECONDS(1800));
    assert_int_equal(judge(&p, 200, 0, 2000, &wait), PUSH_TOLD);
    assert_int_equal(judge(&p, 503, 0, 3000, &wait), PUSH_LATER);
    assert_int_equal(wait, SECONDS(5));
    const struct push_answer a = {.status = 503};
    assert_int_equal(push_judge(&p, &a, 3000, UINT16_MAX, &before), PUSH_LATER);
    assert_int_equal(before, MILLISECONDS(12500)); /* a quarter more, by chance */
}

static void who_does_not_know_it_any_more_is_left_alone(void **)
{
    static const uint16_t gone[] = {404, 410};
    for (size_t i = 0; i < 2; i++) {
        struct push_pace p = {};
        mono_us wait;
        assert_int_equal(judge(&p, gone[i], 0, 1000, &wait), PUSH_GONE);
    }
}

static void after_three_days_of_failures_it_is_over_unless_they_are_ours(void **)
{
    struct push_pace p = {}, ours = {};
    const struct push_answer not_asked = {.is_ours = true};
    const utc_ms day = 24 * 3600 * 1000;
    mono_us wait;
    assert_int_equal(judge(&p, 400, 0, day, &wait), PUSH_LATER);
    assert_int_equal(judge(&p, 400, 0, 4 * day - 1, &wait), PUSH_LATER);
    assert_int_equal(judge(&p, 400, 0, 4 * day, &wait), PUSH_GONE);
    assert_int_equal(push_judge(&ours, &not_asked, day, 0, &wait), PUSH_LATER);
    assert_int_equal(push_judge(&ours, &not_asked, 30 * day, 0, &wait), PUSH_LATER);
    /* Nor do ours make theirs longer, before or between them. */
    assert_int_equal(judge(&ours, 503, 0, 30 * day, &wait), PUSH_LATER);
    assert_int_equal(push_judge(&ours, &not_asked, 33 * day, 0, &wait), PUSH_LATER);
    assert_int_equal(judge(&ours, 503, 0, 33 * day, &wait), PUSH_LATER);
    assert_int_equal(judge(&ours, 503, 0, 36 * day - 1, &wait), PUSH_LATER);
    assert_int_equal(judge(&ours, 503, 0, 36 * day, &wait), PUSH_GONE);
}

static void who_asks_for_less_gets_less(void **)
{
    struct push_pace p = {};
    mono_us wait;
    assert_int_equal(judge(&p, 429, 120, 1000, &wait), PUSH_LATER);
    assert_int_equal(wait, SECONDS(120));
    assert_int_equal(judge(&p, 429, 0, 1000, &wait), PUSH_LATER);
    assert_int_equal(wait, SECONDS(16));
    assert_int_equal(judge(&p, 201, 0, 1000, &wait), PUSH_TOLD);
    assert_int_equal(wait, SECONDS(8));
    assert_int_equal(judge(&p, 201, 0, 1000, &wait), PUSH_TOLD);
    assert_int_equal(wait, SECONDS(4));
    assert_int_equal(judge(&p, 429, UINT32_MAX, 1000, &wait), PUSH_LATER);
    assert_int_equal(wait, SECONDS(6 * 3600));
    for (int i = 0; i < 20; i++)
        assert_int_equal(judge(&p, 429, 0, 1000, &wait), PUSH_LATER);
    assert_int_equal(judge(&p, 201, 0, 1000, &wait), PUSH_TOLD);
    assert_int_equal(wait, SECONDS(450));
}

static void only_what_nobody_took_is_the_same_request_again(void **)
{
    static const uint16_t no[] = {200, 201, 301, 400, 401, 404, 410, 500, 502};
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(push_may_repeat(no[i]));
    assert_true(push_may_repeat(0));
    assert_true(push_may_repeat(429));
    assert_true(push_may_repeat(503));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_well_goes_on_every_second_at_most),
        cmocka_unit_test(what_fails_waits_twice_as_long_each_time_up_to_half_an_hour),
        cmocka_unit_test(who_does_not_know_it_any_more_is_left_alone),
        cmocka_unit_test(after_three_days_of_failures_it_is_over_unless_they_are_ours),
        cmocka_unit_test(who_asks_for_less_gets_less),
        cmocka_unit_test(only_what_nobody_took_is_the_same_request_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
