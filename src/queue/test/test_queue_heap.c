/* Heaps of items: the first is always the right one, also after taking out of the middle. */
#include "queue/queue_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ITEMS = 200, STEPS = 20000 };

static void the_first_is_the_soonest_whatever_leaves(void **)
{
    struct item items[ITEMS] = {0};
    bool is_in[ITEMS] = {0};
    struct item **heap = NULL;
    size_t n = 0, cap = 0, n_in = 0;
    srandom(1);
    for (int step = 0; step < STEPS; step++) {
        int k = (int)(random() % ITEMS);
        if (is_in[k]) {
            queue_heap_del(heap, &n, &items[k], queue_sooner);
        } else {
            items[k].due = random() % 1000;
            queue_heap_add(&heap, &n, &cap, &items[k], queue_sooner);
        }
        is_in[k] = !is_in[k];
        n_in += is_in[k] ? 1 : (size_t)-1;
        assert_int_equal(n, n_in);
        for (int i = 0; i < ITEMS; i++) {
            if (!is_in[i])
                continue;
            assert_ptr_equal(heap[items[i].heap_at], &items[i]);
            size_t at = items[i].heap_at;
            assert_true(heap[(at > 0 ? at - 1 : 0) / 2]->due <= items[i].due);
        }
    }
    mem_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_the_soonest_whatever_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
