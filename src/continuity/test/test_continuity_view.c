/* Is it us? */
#include "continuity/continuity.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static const struct row {
    struct continuity_view v; /* controls, bad ones, primaries, bad ones, resolver */
    bool is_blind;
    const char *why;
} rows[] = {
    {{0, 0, 0, 0, false}, false, "0 of 0 primaries answer; no control hosts are set"},
    {{3, 0, 1, 1, false}, false, "3 of 3 control hosts answer"},
    {{3, 2, 9, 9, false}, false, "1 of 3 control hosts answer"},
    {{3, 3, 9, 0, false}, true, "none of 3 control hosts answers"},
    {{1, 1, 1, 1, true}, true, "none of 1 control hosts answers, and names cannot be resolved"},
    {{3, 0, 9, 9, true}, false, "3 of 3 control hosts answer"},
    {{0, 0, 4, 4, false}, false, "0 of 4 primaries answer; no control hosts are set"},
    {{0, 0, 5, 3, true}, false, "2 of 5 primaries answer; no control hosts are set"},
    {{0, 0, 5, 4, false}, true, "4 of 5 primaries fell silent at once"},
    {{0, 0, 1000, 800, true},
     true,
     "800 of 1000 primaries fell silent at once, and names cannot be resolved"},
    {{0, 0, 1000, 799, false}, false, "201 of 1000 primaries answer; no control hosts are set"},
};

static void blind_is_who_sees_nothing_that_should_be_there(void **)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[100] = "", little[4] = "";
        assert_int_equal(continuity_is_blind(&rows[i].v, why, sizeof(why)), rows[i].is_blind);
        assert_string_equal(why, rows[i].why);
        assert_int_equal(continuity_is_blind(&rows[i].v, NULL, 0), rows[i].is_blind);
        assert_int_equal(continuity_is_blind(&rows[i].v, little, sizeof(little)), rows[i].is_blind);
        assert_int_equal(strlen(little), 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blind_is_who_sees_nothing_that_should_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
