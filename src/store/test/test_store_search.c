/* The search's file. */
#include "store/store_search.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void nothing(void **state)
{
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
