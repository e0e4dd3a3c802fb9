/* Requests of people at the desk: how many bytes of them wait, and who waits for whom. */
#include "desk_kit_call.h"

#include "base/refuse.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

static char anna[200], luca[200]; /* their log-ins */

static void found(void)
{
    kit_found((struct kit_company){0});
    kit_token(KIT_ANNA, anna);
    kit_token(KIT_LUCA, luca);
    kit->door = kit_link(IPC_DOOR, 1);
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
    memcpy(body, kit_nothing, strlen(kit_nothing));
    struct slice large = slice_of(body, BYTES);
    struct ipc_called called;
    found();
    refuse_set_limit(REFUSE_JMAP_BYTES, (struct refuse_limit){.value = 2 * BYTES});
    (void)count_of(REFUSE_JMAP_BYTES);
    disk_set(true, false);
    kit_call(1, IPC_CALL_API, anna, large);
    disk_wait_for_sync();
    kit_call(2, IPC_CALL_API, anna, large);
    kit_call(3, IPC_CALL_API, anna, large);
    assert_int_equal(kit_called(&called), 3);
    assert_int_equal(called.status, 503);
    assert_true(called.retry_after > 0);
    assert_int_equal(count_of(REFUSE_JMAP_BYTES), 1);
    disk_set(false, false);
    uint64_t tags = 0;
    for (int i = 0; i < 2; i++) {
        tags += kit_called(&called);
        assert_int_equal(called.status, 200);
    }
    assert_int_equal(tags, 1 + 2);
    for (uint64_t tag = 4; tag < 9; tag++) { /* what was answered does not count any more */
        kit_call(tag, IPC_CALL_API, anna, large);
        assert_int_equal(kit_called(&called), tag);
        assert_int_equal(called.status, 200);
    }
    refuse_set_limit(REFUSE_JMAP_BYTES,
                     (struct refuse_limit){.value = refuse_row(REFUSE_JMAP_BYTES)->limit});
    mem_free(&body);
}

/* Anna's first holds her account and waits for the disk; all others wait for the account. What Luca
 * asks needs no disk. */
static void nobody_waits_for_the_calls_of_another(void **)
{
    enum { CALLS = 20 };
    bool is_answered[CALLS + 1] = {false};
    struct ipc_called called;
    found();
    disk_set(true, false);
    for (uint64_t tag = 1; tag <= CALLS; tag++)
        kit_call(tag, IPC_CALL_API, anna, slice_str(kit_nothing));
    disk_wait_for_sync();
    kit_call(100, IPC_CALL_SESSION, luca, SLICE(""));
    assert_int_equal(kit_called(&called), 100);
    assert_int_equal(called.status, 200);
    disk_set(false, false);
    for (int i = 0; i < CALLS; i++) { /* whoever has ended lets the next one run */
        uint64_t tag = kit_called(&called);
        assert_true(tag >= 1 && tag <= CALLS && !is_answered[tag]);
        assert_int_equal(called.status, 200);
        is_answered[tag] = true;
    }
}

static void one_person_has_so_many_at_once_and_no_more(void **)
{
    struct ipc_called called;
    found();
    refuse_set_limit(REFUSE_JMAP_PERSON, (struct refuse_limit){.value = 3});
    refuse_set_limit(REFUSE_JMAP_CALLS, (struct refuse_limit){.value = 4});
    disk_set(true, false);
    for (uint64_t tag = 1; tag <= 4; tag++)
        kit_call(tag, IPC_CALL_API, anna, slice_str(kit_nothing));
    assert_int_equal(kit_called(&called), 4);
    assert_int_equal(called.status, 429);
    kit_call(5, IPC_CALL_API, luca, slice_str(kit_nothing));
    kit_call(6, IPC_CALL_SESSION, luca, SLICE("")); /* more than all may have */
    assert_int_equal(kit_called(&called), 6);
    assert_int_equal(called.status, 503);
    disk_set(false, false);
    for (int i = 0; i < 4; i++) {
        (void)kit_called(&called);
        assert_int_equal(called.status, 200);
    }
    refuse_set_limit(REFUSE_JMAP_PERSON,
                     (struct refuse_limit){.value = refuse_row(REFUSE_JMAP_PERSON)->limit});
    refuse_set_limit(REFUSE_JMAP_CALLS,
                     (struct refuse_limit){.value = refuse_row(REFUSE_JMAP_CALLS)->limit});
}

static void ask_administration(uint64_t tag, uint16_t status)
{
    const struct ipc_request request = {
        .method = SLICE("GET"), .path = SLICE("/worker"), .by = SLICE("luca")};
    struct ipc_response response;
    struct kit_frame f = {};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_request_pack(&b, &request);
    kit_put(kit->door, IPC_T_request, tag, &b);
    size_t n = kit_answer_bytes(IPC_T_response, &f);
    assert_true(ipc_response_unpack(f.payload, NULL, &response));
    assert_int_equal(response.status, status);
    assert_int_equal(response.bytes, n); /* else a door says that we are out of our mind */
    kit_frame_free(&f);
}

static void ask_session(uint64_t tag, uint16_t status)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(100000);
    struct ipc_called called;
    struct kit_frame f = {};
    kit_call(tag, IPC_CALL_SESSION, anna, SLICE(""));
    size_t n = kit_answer_bytes(IPC_T_called, &f);
    assert_true(ipc_called_unpack(f.payload, a, &called));
    assert_int_equal(called.status, status);
    assert_int_equal(called.bytes, n);
    assert_true(status == 200 || called.retry_after > 0);
    kit_frame_free(&f);
}

/* A door that does not read, or more answers than it can read. */
static void an_answer_without_room_is_refused_as_a_whole(void **)
{
    found();
    refuse_set_limit(REFUSE_DOOR_BYTES, (struct refuse_limit){.value = 500});
    ask_session(1, 503);
    ask_administration(2, 503);
    refuse_set_limit(REFUSE_DOOR_BYTES,
                     (struct refuse_limit){.value = refuse_row(REFUSE_DOOR_BYTES)->limit});
    ask_session(3, 200);
    ask_administration(4, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_that_wait_have_a_ceiling),
        TEST(nobody_waits_for_the_calls_of_another),
        TEST(one_person_has_so_many_at_once_and_no_more),
        TEST(an_answer_without_room_is_refused_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
