/* Encryption: what RFC 8291 appendix A writes out comes out, and whoever has the key reads it. */
#include "push/push_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

/* RFC 8291 appendix A. */
#define PLAIN "When I grow up, I want to be a watermelon"
#define OUR_SCALAR "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
#define OUR_POINT                                                                                  \
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
#define THEIR_POINT                                                                                \
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
#define SALT "DGv6ra1nlYgDCS1FRnbzlw"
#define SECRET "BTBZMqHH6r4Tts7J_aSIgg"
#define SEALED                                                                                     \
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS" \
    "6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Q"  \
    "ulcy4a-fN"

static void what_the_rfc_writes_out_comes_out(void **)
{
    unsigned char scalar[PUSH_SCALAR], point[PUSH_POINT], salt[PUSH_SALT], wanted[144];
    struct push_keys keys;
    struct errinfo ei;
    SCOPED(buf_finish) struct buf sealed = buf_make(PUSH_SEALED_MAX);
    assert_true(push_base64(SLICE(OUR_SCALAR), scalar, sizeof(scalar)));
    assert_true(push_base64(SLICE(OUR_POINT), point, sizeof(point)));
    assert_true(push_base64(SLICE(SALT), salt, sizeof(salt)));
    assert_true(push_base64(SLICE(SEALED), wanted, sizeof(wanted)));
    assert_true(push_keys_parse(SLICE(THEIR_POINT), SLICE(SECRET), &keys));
    assert_int_equal(push_seal_with(&keys, scalar, point, salt, SLICE(PLAIN "\2"), &sealed, &ei),
                     ERR_OK);
    assert_int_equal(sealed.n, sizeof(wanted));
    assert_memory_equal(sealed.p, wanted, sizeof(wanted));
}

static void each_has_keys_of_its_own_and_a_length_that_says_little(void **)
{
    struct push_keys keys;
    struct errinfo ei;
    SCOPED(buf_finish) struct buf one = buf_make(PUSH_SEALED_MAX);
    SCOPED(buf_finish) struct buf other = buf_make(PUSH_SEALED_MAX);
    SCOPED(buf_finish) struct buf long_one = buf_make(PUSH_PLAIN_MAX + 1);
    assert_true(push_keys_parse(SLICE(THEIR_POINT), SLICE(SECRET), &keys));
    assert_int_equal(push_seal(&keys, SLICE("a"), &one, &ei), ERR_OK);
    assert_int_equal(push_seal(&keys, SLICE("a longer one"), &other, &ei), ERR_OK);
    assert_int_equal(one.n, other.n);
    assert_memory_not_equal(one.p, other.p, PUSH_SALT);
    assert_memory_not_equal(one.p + 21, other.p + 21, PUSH_POINT);
    while (long_one.n < PUSH_PLAIN_MAX)
        buf_addc(&long_one, 'x');
    buf_clear(&one);
    assert_int_equal(push_seal(&keys, buf_slice(&long_one), &one, &ei), ERR_OK);
    assert_true(one.n <= PUSH_SEALED_MAX);
    buf_addc(&long_one, 'x');
    assert_int_equal(push_seal(&keys, buf_slice(&long_one), &one, &ei), ERR_LIMIT);
}

static void keys_that_are_none_are_refused(void **)
{
    static const char *const points[] = {
        "",
        "BCVx",
        "AAAA",
        THEIR_POINT "A",
        /* compressed, infinity, not on the curve, not URL-safe */
        "AiVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw8",
        "BCVxsr7N/eNgVRqvHtD0zTZsEc6+VV+JvLexhqUzORcxaOzi6+AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    };
    struct push_keys keys;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        assert_false(push_keys_parse(slice_str(points[i]), SLICE(SECRET), &keys));
    assert_false(push_keys_parse(SLICE(THEIR_POINT), SLICE("BTBZMqHH6r4Tts7J_aSIg"), &keys));
    assert_false(push_keys_parse(SLICE(THEIR_POINT), SLICE("BTBZMqHH6r4Tts7J_aSIgh"), &keys));
    assert_true(push_keys_parse(SLICE(THEIR_POINT "="), SLICE(SECRET "=="), &keys));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_rfc_writes_out_comes_out),
        cmocka_unit_test(each_has_keys_of_its_own_and_a_length_that_says_little),
        cmocka_unit_test(keys_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
