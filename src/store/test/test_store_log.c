/* The store's everyday work over the simulated files: write, be told, read, close, open again. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define OPEN(r)                                                                                    \
    do {                                                                                           \
        struct errinfo open_ei = {};                                                               \
        if (rig_open((r), &open_ei) != ERR_OK)                                                     \
            fail_msg("%s", open_ei.text);                                                          \
    } while (0)
#define CHECK(r)                                                                                   \
    do {                                                                                           \
        if (!rig_check(r))                                                                         \
            fail_msg("%s", (r)->wrong);                                                            \
    } while (0)

static void what_was_written_is_read_back_and_survives_a_clean_restart(void **)
{
    static const size_t sizes[] = {1, 7, 100, 4096, 10240, 700000, STORE_INLINE_MAX, 3 << 20, 511};
    SCOPED(rig_destroy) struct rig *r = rig_create(1);
    OPEN(r);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        rig_send(r, sizes[i]);
    rig_wait(r, 0);
    for (unsigned i = 0; i < r->n; i++)
        assert_true(r->messages[i].is_ok);
    CHECK(r);
    for (int restart = 0; restart < 3; restart++) {
        rig_close(r);
        OPEN(r);
        assert_false(store_recovered(r->s)->is_damaged);
        assert_int_equal(store_recovered(r->s)->n_replayed, 0);
        assert_int_equal(store_recovered(r->s)->last_id, r->next_id);
        CHECK(r);
    }
    rig_send(r, 5000);
    rig_wait(r, 0);
    CHECK(r);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back_and_survives_a_clean_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
