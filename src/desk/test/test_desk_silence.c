/* What is usual of each company is remembered: of all of them, however many there are. */
#include "desk_kit.h"

enum { COMPANIES = 300, AT_ONCE = 30, FIRST = 1000 };

/* As an earlier core knew them. */
static void found(uint64_t first)
{
    struct kit_objects all = {.n = 0};
    for (uint64_t i = first; i < first + AT_ONCE; i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "company%llu", (unsigned long long)i);
        struct dir_tenant tenant = {slice_str(name)};
        dir_tenant_pack(kit_object(&all, OBJECT_TENANT, i, 0, "company"), &tenant);
    }
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    for (uint64_t i = first; i < first + AT_ONCE; i++) {
        struct buf *b = kit_object(&all, OBJECT_BASELINE, i, i, "");
        buf_u32(b, 2); /* ways */
        for (int way = 0; way < 2; way++) {
            buf_u32(b, 0); /* hours */
            buf_u64(b, 0);
        }
    }
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static size_t n_saved;

static bool count(void *arg, const struct record_object *o)
{
    const utc_ms *since = arg;
    n_saved += o->time >= *since;
    return true;
}

static size_t saved_since(utc_ms since)
{
    struct store_reader *reader = kit_reader();
    struct errinfo ei;
    n_saved = 0;
    assert_int_equal(store_each_object(reader, OBJECT_BASELINE, count, &since, &ei), ERR_OK);
    store_reader_close(&reader);
    return n_saved;
}

static void what_is_usual_is_saved_for_every_company_that_is_there(void **)
{
    struct kit_objects all = {.n = 0};
    for (uint64_t i = 0; i < COMPANIES; i += AT_ONCE)
        found(FIRST + i);
    (void)kit_object(&all, OBJECT_TENANT, FIRST, 0, "company");
    all.list[0].is_removed = true;
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    kit_restart();
    usleep(200000); /* the first look: nothing has to be saved yet */
    utc_ms then = utc_now() + 3600000;
    assert_int_equal(saved_since(then), 0);
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    for (time_t hours = 2; saved_since(then) < COMPANIES - 1 && mono_now() < until; hours += 2) {
        kit_let_hours_pass(hours); /* later each time: a look may see one clock before this only */
        usleep(200000);
        kit_end_of_waiting(); /* lazy things go with it */
        usleep(20000);
    }
    assert_int_equal(saved_since(then), COMPANIES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_usual_is_saved_for_every_company_that_is_there,
                                        kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
