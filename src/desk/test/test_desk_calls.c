/* Requests of people at the desk: how many bytes of them wait. */
#include "desk/desk_login_int.h"
#include "desk_kit.h"

#include "base/refuse.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

static const char empty[] = "{\"using\":[],\"methodCalls\":[]}";
static char bearer[200];

struct order {
    struct admin_login_order order;
    bool is_done; /* under kit->lock */
};

static void ordered(void *cookie, enum err err, const char *text)
{
    struct order *o = cookie;
    must(err == ERR_OK);
    snprintf(bearer, sizeof(bearer), "Bearer %s", text);
    pthread_mutex_lock(&kit->lock);
    o->is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void order_now(void *arg)
{
    struct order *o = arg;
    desk_login_order(kit->desk, &o->order, ordered, o);
}

/* A company whose Anna has a token, and a door. */
static void found(void)
{
    struct order o = {.order = {.what = ADMIN_LOGIN_TOKEN_ADD,
                                .person = KIT_ANNA,
                                .text = SLICE("Phone"),
                                .by = SLICE("luca")}};
    kit_found((struct kit_company){0});
    kit_on_loop(order_now, &o);
    pthread_mutex_lock(&kit->lock);
    while (!o.is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
    kit->door = kit_link(IPC_DOOR, 1);
}

static void put_call(uint64_t tag, struct slice body)
{
    struct ipc_call call = {.kind = IPC_CALL_API,
                            .authorization = slice_str(bearer),
                            .client = SLICE("192.0.2.7"),
                            .origin = SLICE("https://mail.example.test"),
                            .bytes = (uint32_t)body.n};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_call_pack(&b, &call);
    kit_put_content(kit->door, tag, body);
    kit_put(kit->door, IPC_T_call, tag, &b);
}

/* The next answer; whose it is. */
static uint64_t await_called(struct ipc_called *ret)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(100000);
    struct kit_frame f = {};
    kit_expect(kit->door, IPC_T_called, &f);
    assert_true(ipc_called_unpack(f.payload, a, ret));
    uint64_t tag = f.tag;
    kit_frame_free(&f);
    return tag;
}

static uint64_t count_of(enum refuse_id id)
{
    struct refuse_count counts[REFUSE_N];
    (void)refuse_take_counts(counts);
    return counts[id].n;
}

/* One of the first two waits for the disk, the other for its turn. */
static void bytes_that_wait_have_a_ceiling(void **)
{
    enum { BYTES = 100000 };
    char *body = mem_new(BYTES);
    memset(body, ' ', BYTES);
    memcpy(body, empty, strlen(empty));
    struct slice large = slice_of(body, BYTES);
    struct ipc_called called;
    found();
    refuse_set_limit(REFUSE_JMAP_BYTES, (struct refuse_limit){.value = 2 * BYTES});
    (void)count_of(REFUSE_JMAP_BYTES);
    disk_set(true, false);
    put_call(1, large);
    disk_wait_for_sync();
    put_call(2, large);
    put_call(3, large);
    assert_int_equal(await_called(&called), 3);
    assert_int_equal(called.status, 503);
    assert_true(called.retry_after > 0);
    assert_int_equal(count_of(REFUSE_JMAP_BYTES), 1);
    disk_set(false, false);
    uint64_t tags = 0;
    for (int i = 0; i < 2; i++) {
        tags += await_called(&called);
        assert_int_equal(called.status, 200);
    }
    assert_int_equal(tags, 1 + 2);
    for (uint64_t tag = 4; tag < 9; tag++) { /* what was answered does not count any more */
        put_call(tag, large);
        assert_int_equal(await_called(&called), tag);
        assert_int_equal(called.status, 200);
    }
    refuse_set_limit(REFUSE_JMAP_BYTES,
                     (struct refuse_limit){.value = refuse_row(REFUSE_JMAP_BYTES)->limit});
    mem_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_that_wait_have_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
