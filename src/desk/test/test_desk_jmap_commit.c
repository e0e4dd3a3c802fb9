/* Changes of people at the desk: what lies on a worker's stack is not looked at any more once the
 * store may have answered. This file has the desk's own code in it, between a store that answers
 * before store_submit returns and workers that go on at once. */
#include "store/store.h"

static void submit_and_be_answered(struct store *s, struct store_change *change);
static enum err apply_and_go_on(struct store *s, uint64_t pos, mono_us patience);
#define store_submit submit_and_be_answered
#define store_wait_applied apply_and_go_on
#include "desk/desk_jmap_host.c"
#undef store_submit
#undef store_wait_applied

#include "desk_kit_call.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct commit *commit; /* under lock: whose last change the store has; NULL: nobody's */
    unsigned n;            /* under lock: so many went on while the loop stood here */
} last = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void submit_and_be_answered(struct store *s, struct store_change *change)
{
    struct commit *k = kit_is_loop ? container_of(change->arg, struct commit, w) : NULL;
    bool is_last = k && change == &k->changes[k->n_changes - 1];
    if (is_last) {
        pthread_mutex_lock(&last.lock);
        last.commit = k;
        pthread_mutex_unlock(&last.lock);
    }
    store_submit(s, change);
    if (!is_last)
        return;
    store_uncork(s); /* its thread is awake */
    pthread_mutex_lock(&last.lock);
    while (last.commit)
        pthread_cond_wait(&last.cond, &last.lock);
    pthread_mutex_unlock(&last.lock);
}

/* The worker needs its stack for other things. */
static enum err apply_and_go_on(struct store *s, uint64_t pos, mono_us patience)
{
    enum err err = store_wait_applied(s, pos, patience);
    pthread_mutex_lock(&last.lock);
    must(last.commit);
    memset((void *)last.commit, 0xa5, sizeof(*last.commit));
    last.commit = NULL;
    last.n++;
    pthread_cond_broadcast(&last.cond);
    pthread_mutex_unlock(&last.lock);
    return err;
}

static void a_change_that_is_answered_at_once_is_not_looked_at(void **)
{
    struct ipc_called called;
    char bearer[200];
    kit_found((struct kit_company){0});
    kit_token(KIT_ANNA, bearer);
    kit->door = kit_link(IPC_DOOR, 1);
    kit_call(1, IPC_CALL_API, bearer, slice_str(kit_nothing)); /* makes her mailboxes */
    assert_int_equal(kit_called(&called), 1);
    assert_int_equal(called.status, 200);
    assert_true(last.n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_that_is_answered_at_once_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
