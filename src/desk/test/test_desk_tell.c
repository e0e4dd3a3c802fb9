/* People who watch their accounts through a door: what they are told, and who does not wait for it.
 */
#include "desk/desk_jmap_int.h"
#include "desk_kit_call.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

static char anna[200], luca[200]; /* their log-ins */

static void call_and_be_answered(uint64_t tag, enum ipc_call_kind kind, const char *authorization,
                                 struct slice body)
{
    struct ipc_called called;
    kit_call(tag, kind, authorization, body);
    assert_int_equal(kit_called(&called), tag);
    assert_int_equal(called.status, 200);
}

static void found(void)
{
    kit_found((struct kit_company){0});
    kit_token(KIT_ANNA, anna);
    kit_token(KIT_LUCA, luca);
    kit->door = kit_link(IPC_DOOR, 1);
    call_and_be_answered(1, IPC_CALL_API, anna, slice_str(kit_nothing));
    call_and_be_answered(2, IPC_CALL_API, luca, slice_str(kit_nothing));
}

static void change_now(void *arg)
{
    desk_jmap_changed(kit->desk, *(const uint64_t *)arg);
}

static void change(uint64_t person)
{
    kit_on_loop(change_now, &person);
}

/* Whose account the next news are of. */
static uint64_t hear(void)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(10000);
    struct kit_frame f = {};
    struct ipc_changed changed;
    kit_expect(kit->door, IPC_T_changed, &f);
    assert_true(ipc_changed_unpack(f.payload, a, &changed));
    assert_true(slice_find(changed.state, '{') == 0);
    kit_frame_free(&f);
    return changed.person;
}

static void count_jobs(void *arg)
{
    *(size_t *)arg = kit->desk->n_jobs;
}

static void await_idle_workers(void)
{
    size_t n = 1;
    for (mono_us end = mono_now() + SECONDS(2); n > 0; usleep(5000)) {
        kit_on_loop(count_jobs, &n);
        if (mono_now() > end)
            fail_msg("%zu workers wait for the account", n);
    }
}

/* As a slow search does. */
static void news_of_an_account_that_is_held_come_later_and_hold_no_worker(void **)
{
    struct account *a;
    struct errinfo ei;
    found();
    call_and_be_answered(3, IPC_CALL_WATCH, anna, SLICE(""));
    struct store_reader *reader = kit_reader();
    assert_int_equal(
        account_hold(desk_jmap_accounts(kit->desk), reader, KIT_ANNA, SECONDS(5), &a, &ei), ERR_OK);
    for (int i = 0; i < 3; i++) {
        change(KIT_ANNA);
        usleep(300 * 1000); /* each is told by itself, unless the one before is still being told */
    }
    await_idle_workers();
    account_let_go(&a);
    store_reader_close(&reader);
    assert_int_equal(hear(), KIT_ANNA); /* though nothing has changed since */
}

static void look_for_calls(void *arg)
{
    *(bool *)arg = desk_jmap_is_idle(kit->desk);
}

/* Within one turn: the password is still being checked when the door ends. */
static void watch_and_end_now(void *arg)
{
    struct peer *door = &kit->desk->doors[0];
    must(desk_jmap_call(door, 3, buf_slice(arg), NULL));
    must(!desk_jmap_is_idle(kit->desk));
    desk_door_closed(door, NULL);
}

static void a_door_that_ended_meanwhile_watches_nothing(void **)
{
    struct kit_login o = {.order = {.what = ADMIN_LOGIN_PASSWORD,
                                    .person = KIT_ANNA,
                                    .text = SLICE("correct horse battery")}};
    const struct ipc_call watch = {
        .kind = IPC_CALL_WATCH,
        .authorization = SLICE("Basic YW5uYUBleGFtcGxlLnRlc3Q6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"),
        .client = SLICE("192.0.2.7"),
        .origin = SLICE("https://mail.example.test")};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    bool is_idle = false;
    found();
    kit_login(&o);
    ipc_call_pack(&b, &watch);
    kit_on_loop(watch_and_end_now, &b);
    while (!is_idle)
        kit_on_loop(look_for_calls, &is_idle);
    fd_close(&kit->door);
    kit->door = kit_link(IPC_DOOR, 1);
    call_and_be_answered(1, IPC_CALL_WATCH, luca, SLICE(""));
    change(KIT_ANNA);
    usleep(300 * 1000); /* it would be told by now */
    change(KIT_LUCA);
    assert_int_equal(hear(), KIT_LUCA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(news_of_an_account_that_is_held_come_later_and_hold_no_worker),
        TEST(a_door_that_ended_meanwhile_watches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
