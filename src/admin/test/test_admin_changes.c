/* Changes: they take turns, imports are whole or nothing, orders go recipient by recipient, and
 * whoever asked gets exactly one answer, also when we stop. */
#include "ask.h"

static int start(void **)
{
    fake_start();
    fake_company();
    return 0;
}

static int stop(void **)
{
    fake_stop();
    return 0;
}

static const struct directory_person *person(const char *address)
{
    return directory_person_at(fake.host.directory, slice_str(address));
}

/* ---- turns and ends ---- */

static void lets_changes_take_turns(void **)
{
    struct fake_reply a = {}, b = {}, show = {};
    fake.is_late = true;
    fake_send(&a, "POST", "/v1/tenants", SLICE("{\"name\":\"verdi\"}"));
    fake_send(&b, "POST", "/v1/tenants", SLICE("{\"name\":\"verdi\"}"));
    assert_int_equal(fake.n_waiting, 1); /* the second has not even been looked at */
    fake_send(&show, "GET", "/v1/tenants", SLICE(""));
    assert_int_equal(show.n, 1); /* reading waits for nobody */
    fake_turn();
    fake_check(&a, "POST", "/v1/tenants");
    fake_check(&b, "POST", "/v1/tenants");
    assert_int_equal(a.status, 201);
    assert_int_equal(b.status, 409);
    buf_finish(&a.body);
    buf_finish(&b.body);
    buf_finish(&show.body);
}

static void refuses_more_changes_than_may_wait(void **)
{
    static struct fake_reply all[CHANGES_MAX + 3];
    struct refuse_count counts[REFUSE_N];
    char body[100];
    memset(all, 0, sizeof(all));
    (void)refuse_take_counts(counts);
    fake.is_late = true;
    for (size_t i = 0; i < CHANGES_MAX + 3; i++) {
        snprintf(body, sizeof(body), "{\"name\":\"t%zu\"}", i);
        fake_send(&all[i], "POST", "/v1/tenants", slice_str(body));
    }
    assert_int_equal(all[CHANGES_MAX].n, 0);
    assert_int_equal(all[CHANGES_MAX + 1].status, 503);
    assert_int_equal(all[CHANGES_MAX + 2].status, 503);
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_ADMIN_BUSY].n, 2);
    fake_turn();
    for (size_t i = 0; i < CHANGES_MAX + 3; i++) {
        assert_int_equal(all[i].n, 1);
        assert_int_equal(all[i].status, i <= CHANGES_MAX ? 201 : 503);
        buf_finish(&all[i].body);
    }
}

static void answers_everybody_when_it_stops(void **)
{
    struct fake_reply all[4] = {};
    fake.is_late = true;
    fake_send(&all[0], "POST", "/v1/tenants", SLICE("{\"name\":\"a\"}"));
    fake_send(&all[1], "POST", "/v1/tenants", SLICE("{\"name\":\"b\"}"));
    fake_send(&all[2], "POST", "/v1/primaries/exchange/check", SLICE(""));
    fake_send(&all[3], "POST", "/v1/state/exchange/return", SLICE("{\"why\":\"x\"}"));
    admin_destroy(&fake.admin);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(all[i].n, 1);
        assert_int_equal(all[i].status, 503);
        buf_finish(&all[i].body);
    }
}

/* ---- people ---- */

static size_t boxes_of(uint64_t id)
{
    size_t n = 0;
    for (size_t i = 0; i < fake.n_mailboxes; i++)
        n += fake.mailboxes[i].person == id;
    return n;
}

static void gives_covered_people_their_mailboxes(void **)
{
    const struct directory_person *anna = person("anna@rossi.example");
    assert_int_equal(boxes_of(anna->id), 6);
    assert_true(slice_eq(fake.mailboxes[0].role, SLICE("inbox")));
    assert_int_equal(fake.mailboxes[0].id, anna->facts.inbox);
    assert_int_not_equal(anna->facts.inbox, 0);
    uint64_t luca = person("luca@rossi.example")->id;
    assert_int_equal(boxes_of(luca), 0);
    fake_expect("PATCH", "/v1/persons/luca@rossi.example", "{\"covered\":true}", 200,
                "\"covered\":true");
    assert_int_equal(boxes_of(luca), 6);
    uint64_t inbox = person("luca@rossi.example")->facts.inbox;
    fake_expect("PATCH", "/v1/persons/luca@rossi.example", "{\"covered\":false}", 200, "false");
    fake_expect("PATCH", "/v1/persons/luca@rossi.example", "{\"covered\":true}", 200, "true");
    assert_int_equal(boxes_of(luca), 6); /* the same ones as before */
    assert_int_equal(person("luca@rossi.example")->facts.inbox, inbox);
}

static void gives_no_address_to_two(void **)
{
    static const struct {
        const char *method, *target, *body;
        uint16_t status;
        const char *part;
    } rows[] = {
        {"POST", "/v1/persons", "{\"address\":\"anna@rossi.example\"}", 409, "belongs to"},
        {"POST", "/v1/persons", "{\"address\":\"A.ROSSI@rossi.example\"}", 409, "belongs to"},
        {"POST", "/v1/persons", "{\"address\":\"all@rossi.example\"}", 409, "of the group"},
        {"POST", "/v1/persons", "{\"address\":\"eva@verdi.example\"}", 400, "none of ours"},
        {"POST", "/v1/persons", "{\"address\":\"eva\"}", 400, "is not an address"},
        {"POST", "/v1/persons", "{\"address\":\"eva@rossi.example\",\"aliases\":[\"x@y.example\"]}",
         400, "none of ours"},
        {"POST", "/v1/persons",
         "{\"address\":\"eva@rossi.example\",\"kind\":\"contact\",\"covered\":true}", 400,
         "cannot be covered"},
        {"POST", "/v1/persons", "{\"address\":\"eva@rossi.example\",\"primary\":\"lotus\"}", 400,
         "no mail system"},
        {"PATCH", "/v1/persons/luca@rossi.example", "{\"aliases\":[\"anna@rossi.example\"]}", 409,
         "belongs to"},
        {"PATCH", "/v1/persons/luca@rossi.example",
         "{\"aliases\":[\"LUCA@rossi.example\",\"l@rossi.example\",\"l@rossi.example\"]}", 200,
         "\"aliases\":[\"l@rossi.example\"]"},
        {"POST", "/v1/groups", "{\"address\":\"l@rossi.example\",\"members\":[\"a@b.example\"]}",
         409, "belongs to"},
        {"POST", "/v1/groups", "{\"address\":\"g@rossi.example\",\"members\":[]}", 400,
         "swallow mail"},
        {"DELETE", "/v1/persons/l@rossi.example", "", 200, "\"removed\":\"luca@rossi.example\""},
        {"GET", "/v1/persons/luca@rossi.example", "", 404, "Nobody has"},
        {"DELETE", "/v1/groups/all@rossi.example", "", 200, "\"removed\":\"all@rossi.example\""},
        {"POST", "/v1/persons", "{\"address\":\"all@rossi.example\"}", 201, "all@rossi.example"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        fake_expect(rows[i].method, rows[i].target, rows[i].body, rows[i].status, rows[i].part);
}

static void removes_a_mail_system_only_when_no_mail_depends_on_it(void **)
{
    static const char path[] = "/v1/primaries/exchange?tenant=rossi";
    static const struct ask {
        const char *method, *target, *body;
        int status;
        const char *part;
        bool has_nothing_waiting;
    } rows[] = {
        {"DELETE", path, "", 409, "domain set \\\"rossi.example\\\" --primary", false},
        {"POST", "/v1/primaries",
         "{\"name\":\"next\",\"tenant\":\"rossi\",\"hosts\":[\"next.rossi.example:25\"]}", 201,
         "next", false},
        {"PATCH", "/v1/domains/rossi.example", "{\"primary\":\"next\"}", 200, "next", false},
        {"DELETE", path, "", 409, "3 deliveries wait for it", false},
        {"PATCH", "/v1/persons/anna@rossi.example", "{\"primary\":\"exchange\"}", 200, "", true},
        {"DELETE", path, "", 409, "person set \\\"anna@rossi.example\\\"", true},
        {"PATCH", "/v1/persons/anna@rossi.example", "{\"primary\":\"\"}", 200, "", true},
        {"DELETE", path, "", 200, "\"removed\":\"exchange\"", true},
        {"GET", path, "", 404, "no mail system", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fake.has_nothing_waiting = rows[i].has_nothing_waiting;
        fake_expect(rows[i].method, rows[i].target, rows[i].body, rows[i].status, rows[i].part);
    }
}

/* ---- imports ---- */

#define IMPORT(more) "{\"tenant\":\"rossi\"," more "}"

static void imports_what_is_new_and_changed_only(void **)
{
    static const char list[] =
        IMPORT("\"persons\":[{\"address\":\"anna@rossi.example\"},"
               "{\"address\":\"luca@rossi.example\",\"name\":\"Luca\"},"
               "{\"address\":\"eva@rossi.example\",\"aliases\":[\"e@rossi.example\"]}]");
    fake_expect("POST", "/v1/persons/import", list, 200,
                "{\"added\":1,\"changed\":1,\"unchanged\":1,\"removed\":0}");
    /* What is left out stays. */
    assert_int_equal(person("anna@rossi.example")->facts.n_addresses, 2);
    assert_false(person("luca@rossi.example")->facts.is_covered);
    size_t n_puts = fake.n_puts;
    fake_expect("POST", "/v1/persons/import", list, 200,
                "{\"added\":0,\"changed\":0,\"unchanged\":3,\"removed\":0}");
    assert_int_equal(fake.n_puts, n_puts); /* running it twice changes nothing */
}

static void moves_addresses_within_a_list(void **)
{
    /* The alias of one becomes the other's main address, and a main address changes. */
    fake_expect("POST", "/v1/persons/import",
                IMPORT("\"persons\":[{\"address\":\"anna@rossi.example\",\"aliases\":[]},"
                       "{\"address\":\"a.rossi@rossi.example\",\"covered\":false}]"),
                200, "{\"added\":1,\"changed\":1");
    assert_ptr_not_equal(person("anna@rossi.example"), person("a.rossi@rossi.example"));
    uint64_t id = person("a.rossi@rossi.example")->id;
    fake_expect("PATCH", "/v1/persons/a.rossi@rossi.example",
                "{\"aliases\":[\"alba@rossi.example\"]}", 200, "alba@rossi.example");
    fake_expect("POST", "/v1/persons/import",
                IMPORT("\"persons\":[{\"address\":\"alba@rossi.example\",\"aliases\":[]}]"), 200,
                "{\"added\":0,\"changed\":1");
    assert_int_equal(person("alba@rossi.example")->id, id);
    assert_null(person("a.rossi@rossi.example"));
}

static void writes_nothing_of_a_list_with_a_mistake(void **)
{
    static const struct {
        const char *list;
        uint16_t status;
        const char *part;
    } rows[] = {
        {IMPORT("\"persons\":[{\"address\":\"x@rossi.example\"},{\"address\":\"nonsense\"}]"), 400,
         "Person 2: \\\"nonsense\\\" is not an address"},
        {IMPORT(
             "\"persons\":[{\"address\":\"x@rossi.example\"},{\"address\":\"X@rossi.example\"}]"),
         400, "in the list twice"},
        {IMPORT(
             "\"persons\":[{\"address\":\"x@rossi.example\"},{\"address\":\"x@verdi.example\"}]"),
         400, "in no domain of this company"},
        {IMPORT("\"persons\":[{\"address\":\"x@rossi.example\",\"aliases\":[\"y@rossi.example\"]},"
                "{\"address\":\"y@rossi.example\"}]"),
         400, "Two people in the list have"},
        {IMPORT("\"persons\":[{\"address\":\"x@rossi.example\"},{\"address\":\"z@rossi.example\","
                "\"aliases\":[\"luca@rossi.example\"]}]"),
         409, "Person 2: \\\"luca@"},
        {IMPORT(
             "\"persons\":[{\"address\":\"x@rossi.example\"},{\"address\":\"all@rossi.example\"}]"),
         409, "of the group"},
        {IMPORT("\"persons\":[{\"address\":\"x@rossi.example\",\"colour\":1}]"), 400,
         "\\\"persons\\\", item 1"},
        {"{\"tenant\":\"verdi\",\"persons\":[]}", 404, "no company"},
    };
    size_t n_puts = fake.n_puts;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        fake_expect("POST", "/v1/persons/import", rows[i].list, rows[i].status, rows[i].part);
    assert_int_equal(fake.n_puts, n_puts);
    assert_null(person("x@rossi.example"));
}

static void removes_people_only_with_a_complete_list(void **)
{
    static const char only_anna[] =
        IMPORT("\"complete\":true,\"persons\":[{\"address\":\"anna@rossi.example\"}]");
    static const char forced[] = IMPORT(
        "\"complete\":true,\"force\":true,\"persons\":[{\"address\":\"anna@rossi.example\"}]");
    uint64_t tenant = directory_find(fake.host.directory, OBJECT_TENANT, 0, SLICE("rossi"));
    fake_expect("POST", "/v1/persons/import", only_anna, 409,
                "1 of 2 people are not in the list and would be removed");
    assert_non_null(person("luca@rossi.example"));
    assert_int_equal(directory_tenant(fake.host.directory, tenant)->complete_at, 0);
    fake_expect("PATCH", "/v1/domains/rossi.example", "{\"postmaster\":\"luca@rossi.example\"}",
                200, "");
    fake_expect("POST", "/v1/persons/import", forced, 409, "gets the catch-all or postmaster");
    fake_expect("PATCH", "/v1/domains/rossi.example", "{\"postmaster\":\"\"}", 200, "");
    fake_expect("POST", "/v1/persons/import", forced, 200, "\"removed\":1,\"complete_at\":\"");
    assert_null(person("luca@rossi.example"));
    assert_int_not_equal(directory_tenant(fake.host.directory, tenant)->complete_at, 0);
    fake_expect("GET", "/v1/tenants/rossi", "", 200, "\"persons\":1");
    /* Again: one snapshot a company, not a growing number. */
    size_t n = fake.n_objects;
    fake_expect("POST", "/v1/persons/import", only_anna, 200, "\"unchanged\":1,\"removed\":0");
    assert_int_equal(fake.n_objects, n);
}

static void imports_thousands_in_portions(void **)
{
    enum { N = 5000 };
    SCOPED(buf_finish) struct buf b = buf_make(ADMIN_BODY_MAX);
    struct fake_reply r = {};
    buf_adds(&b, SLICE("{\"tenant\":\"rossi\",\"complete\":true,\"force\":true,\"persons\":["));
    for (int i = 0; i < N; i++)
        buf_addf(&b, "%s{\"address\":\"p%d@rossi.example\",\"name\":\"Person %d\"}", i ? "," : "",
                 i, i);
    buf_adds(&b, SLICE("]}"));
    size_t n_puts = fake.n_puts;
    fake.is_late = true;
    fake_send(&r, "POST", "/v1/persons/import", buf_slice(&b));
    assert_int_equal(r.n, 0);
    fake_turn();
    fake_check(&r, "POST", "/v1/persons/import");
    assert_int_equal(r.status, 200);
    assert_true(fake.n_puts - n_puts >= 3);
    assert_int_equal(boxes_of(person("p4999@rossi.example")->id), 6);
    assert_null(person("anna@rossi.example"));
    buf_finish(&r.body);
}

static void stops_an_import_that_cannot_be_written(void **)
{
    fake.put_err = ERR_IO;
    fake_expect("POST", "/v1/persons/import",
                IMPORT("\"persons\":[{\"address\":\"x@rossi.example\"}]"), 500,
                "The store is failing.");
    fake.put_err = ERR_OK;
    fake_expect("POST", "/v1/tenants", "{\"name\":\"next\"}", 201, "next"); /* turns go on */
}

/* ---- orders ---- */

static void orders_every_recipient_of_a_message(void **)
{
    char target[100], id[MESSAGE_ID_TEXT];
    message_id_text(77, id);
    snprintf(target, sizeof(target), "/v1/queue/%s/order", id);
    for (uint16_t i = 0; i < 3; i++)
        fake.rows[i] = (struct store_row){
            .message = 77, .rcpt = i, .last = {.disposition = DISPOSITION_WAITING}};
    fake.rows[1].last.disposition = DISPOSITION_DELIVERED;
    fake.n_rows = 3;
    for (int late = 0; late < 2; late++) {
        fake.is_late = late;
        fake.n_orders = 0;
        struct fake_reply r = {};
        fake_send(&r, "POST", target, SLICE("{\"order\":\"hold\",\"why\":\"x\"}"));
        fake_turn();
        fake_check(&r, "POST", target);
        assert_non_null(strstr(buf_cstr(&r.body),
                               "\"rows\":[{\"rcpt\":0,\"done\":true},{\"rcpt\":1,\"done\":false,"
                               "\"text\":\"it is delivered already\"},{\"rcpt\":2,\"done\":true}],"
                               "\"done\":2}"));
        assert_int_equal(fake.n_orders, 3);
        assert_int_equal(fake.orders[2].what, QUEUE_HOLD);
        buf_finish(&r.body);
    }
    fake.is_late = false;
    fake_expect("POST", target, "{\"order\":\"retry\",\"rcpt\":2,\"why\":\"x\"}", 200,
                "\"done\":1");
    fake_expect("POST", target, "{\"order\":\"retry\",\"rcpt\":1,\"why\":\"x\"}", 409,
                "It is delivered already. Nothing was changed.");
    fake_expect("POST", target, "{\"order\":\"retry\",\"rcpt\":9,\"why\":\"x\"}", 404,
                "has no recipient 9");
    fake_expect("POST", target, "{\"order\":\"eat\",\"why\":\"x\"}", 400, "must be one of hold|");
    fake_expect("POST", target, "{\"order\":\"retry\",\"why\":\" \"}", 400, "reason is empty");
    fake_expect("POST", target, "{\"order\":\"retry\"}", 400, "\\\"why\\\" is missing");
    fake_expect("POST", "/v1/queue/aaaaaaaaaaaab/order", "{\"order\":\"retry\",\"why\":\"x\"}", 404,
                "There is no message");
}

/* ---- the writer and the description ---- */

static void writes_any_bytes_as_valid_json(void **)
{
    static const struct {
        struct slice given;
        const char *written;
    } rows[] = {
        {SLICE("plain"), "\"plain\""},
        {SLICE("\"\\\n\x7f\x01"), "\"\\\"\\\\\\u000a\\u007f\\u0001\""},
        {SLICE("a\0b"), "\"a\\u0000b\""},
        {SLICE("\xc3\xa0\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa0\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {SLICE("\xc0\xaf"), "\"\\ufffd\\ufffd\""},            /* overlong */
        {SLICE("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""}, /* half of a pair */
        {SLICE("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {SLICE("\xe2\x82"), "\"\\ufffd\\ufffd\""}, /* cut off */
        {SLICE("\xff"
               "a"),
         "\"\\ufffda\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(1000);
        struct out j = {.b = &b};
        out_text(&j, NULL, rows[i].given);
        assert_string_equal(buf_cstr(&b), rows[i].written);
    }
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    struct out j = {.b = &b};
    out_object(&j, NULL);
    out_array(&j, "list");
    out_number(&j, NULL, UINT64_MAX);
    out_object(&j, NULL);
    out_close(&j);
    out_truth(&j, NULL, false);
    out_close(&j);
    out_text_if(&j, "gone", SLICE(""));
    out_time(&j, "never", 0);
    out_time(&j, "once", 1500);
    out_close(&j);
    assert_string_equal(buf_cstr(&b), "{\"list\":[18446744073709551615,{},false],\"once\":"
                                      "\"1970-01-01T00:00:01.500Z\"}");
}

static void understands_times(void **)
{
    static const struct {
        const char *text;
        utc_ms t;
    } rows[] = {
        {"1970-01-01", 0},
        {"2026-11-21T21:30:00Z", 1795296600000},
        {"2026-11-21t22:30:00.123+01:00", 1795296600000},
        {"2026-11-21 20:30-01:00", 1795296600000},
        {"2026-11-21T21:30", 1795296600000},
        {"2026-13-01", -1},
        {"2026-11-21T25:00:00Z", -1},
        {"2026-11-21T21:30:00+0100", -1},
        {"2026-11-21T21:30:00Zx", -1},
        {"2026-11-21T", -1},
        {"26-11-21", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(admin_time(slice_str(rows[i].text)), rows[i].t);
}

static void describes_itself_as_committed(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    static const char path[] = TEST_DATA "/../../docs/openapi.json";
    json_error_t why;
    admin_openapi(&b);
    json_t *now = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, &why);
    if (!now)
        fail_msg("%s at %d", why.text, why.position);
    if (getenv("STAFFETTA_WRITE_DOCS"))
        assert_int_equal(json_dump_file(now, path, JSON_INDENT(1) | JSON_PRESERVE_ORDER), 0);
    json_t *kept = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    /* Differs: run this test with STAFFETTA_WRITE_DOCS=1 and commit docs/openapi.json. */
    assert_true(json_equal(now, kept));
    json_decref(now);
    json_decref(kept);
}

static void knows_every_parameter_of_every_endpoint(void **)
{
    for (size_t i = 0; i < admin_n_endpoints; i++) {
        struct slice rest = slice_str(admin_endpoints[i].params);
        while (rest.n > 0)
            assert_non_null(admin_param(slice_cut(rest, ' ', &rest)));
        enum admin_place place = admin_place(slice_str(admin_endpoints[i].method),
                                             slice_str(admin_endpoints[i].pattern));
        assert_int_equal(place == ADMIN_WORKER, admin_endpoints[i].place == CALL_WORKER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lets_changes_take_turns, start, stop),
        cmocka_unit_test_setup_teardown(refuses_more_changes_than_may_wait, start, stop),
        cmocka_unit_test_setup_teardown(answers_everybody_when_it_stops, start, stop),
        cmocka_unit_test_setup_teardown(gives_covered_people_their_mailboxes, start, stop),
        cmocka_unit_test_setup_teardown(gives_no_address_to_two, start, stop),
        cmocka_unit_test_setup_teardown(removes_a_mail_system_only_when_no_mail_depends_on_it,
                                        start, stop),
        cmocka_unit_test_setup_teardown(imports_what_is_new_and_changed_only, start, stop),
        cmocka_unit_test_setup_teardown(moves_addresses_within_a_list, start, stop),
        cmocka_unit_test_setup_teardown(writes_nothing_of_a_list_with_a_mistake, start, stop),
        cmocka_unit_test_setup_teardown(removes_people_only_with_a_complete_list, start, stop),
        cmocka_unit_test_setup_teardown(imports_thousands_in_portions, start, stop),
        cmocka_unit_test_setup_teardown(stops_an_import_that_cannot_be_written, start, stop),
        cmocka_unit_test_setup_teardown(orders_every_recipient_of_a_message, start, stop),
        cmocka_unit_test(writes_any_bytes_as_valid_json),
        cmocka_unit_test(understands_times),
        cmocka_unit_test(describes_itself_as_committed),
        cmocka_unit_test(knows_every_parameter_of_every_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
