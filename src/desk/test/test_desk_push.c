/* Who hears of changes, and when: event streams and push subscriptions. */
#include "desk/desk_account_int.h"
#include "desk/desk_jmap_int.h"
#include "desk_kit.h"

static const struct kit_mail for_anna = {.rcpts = {"anna@example.test"}};

/* ---- event streams ---- */

static void watch_now(void *)
{
    desk_jmap_watch(&kit->desk->doors[0], 1, KIT_ANNA);
}

static void found_watched(void)
{
    kit_found((struct kit_company){0});
    kit->door = kit_link(IPC_DOOR, 1);
    kit_on_loop(watch_now, NULL);
}

enum { STATE = 500, LONGER_US = 600000 }; /* than what changes is told together */

static void next_changed(char to[STATE])
{
    SCOPED(arena_destroy) struct arena *a = arena_create(10000);
    struct kit_frame f = {};
    struct ipc_changed c;
    kit_expect(kit->door, IPC_T_changed, &f);
    assert_true(ipc_changed_unpack(f.payload, a, &c));
    assert_int_equal(c.person, KIT_ANNA);
    (void)snprintf(to, STATE, SLICE_FMT, SLICE_ARG(c.state));
    kit_frame_free(&f);
}

static void gone_now(void *arg)
{
    const uint64_t *message = arg;
    struct record_email email = {
        .account = KIT_ANNA, .message = *message, .thread = *message, .received = utc_now()};
    desk_emails_gone(kit->desk, &email, 1);
}

static void items_done(void *, enum err err)
{
    must(err == ERR_OK);
}

static void item_now(void *)
{
    struct record_item item = {.account = KIT_ANNA,
                               .kind = ITEM_IDENTITY,
                               .id = desk_next_id(kit->desk),
                               .body = SLICE("x")};
    desk_account_items(kit->desk, &item, 1, items_done, NULL);
}

/* The disk takes longer than those wait who find out what is new: they would tell the old, and
 * never of it again. */
static void what_we_change_ourselves_is_told_when_it_is_durable(void **)
{
    char was[STATE], is[STATE];
    found_watched();
    uint64_t id = kit_accept(kit->gate, &for_anna);
    next_changed(was);
    disk_set(true, false);
    kit_on_loop(gone_now, &id);
    usleep(LONGER_US);
    disk_set(false, false);
    next_changed(is);
    assert_string_not_equal(is, was);
    disk_set(true, false);
    kit_on_loop(item_now, NULL);
    usleep(LONGER_US);
    disk_set(false, false);
    next_changed(was);
    assert_string_not_equal(is, was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(what_we_change_ourselves_is_told_when_it_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
