/* How people log in: what is ordered of the host, and what is answered; a secret only once. */
#include "ask.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define ANNA "/v1/persons/anna@rossi.example"

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

static void each_order_is_given_and_answered(void **)
{
    static const struct {
        const char *method, *target, *body;
        uint16_t status;
        const char *part, *order; /* "what token text"; NULL: nothing was ordered */
    } rows[] = {
        {"POST", ANNA "/password", "{\"password\":\"correct horse\"}", 200, "every session has",
         "0 0 correct horse"},
        {"POST", ANNA "/password", "{\"generate\":true}", 200, "abcde-fghij-klmno-pqrst", "0 0 "},
        {"POST", ANNA "/password", "{\"password\":\"short\"}", 400, "too short", "0 0 short"},
        {"POST", ANNA "/password", "{}", 400, "generate", NULL},
        {"POST", ANNA "/password", "{\"password\":\"correct horse\",\"generate\":true}", 400,
         "generate", NULL},
        {"POST", "/v1/persons/nobody@rossi.example/password", "{\"generate\":true}", 404,
         "Nobody has", NULL},
        {"POST", ANNA "/code", "", 201, "\"code\":\"1234 5678\",\"until\":\"2023-", "1 0 "},
        {"POST", ANNA "/tokens", "{\"name\":\"Phone 2\"}", 201,
         "\"name\":\"Phone 2\",\"token\":\"sta_abc\"", "2 0 Phone 2"},
        {"DELETE", ANNA "/tokens/phone", "", 200, "\"removed\":\"Phone\"", "3 7 "},
        {"DELETE", ANNA "/tokens/Laaaaaaaaaaaaj", "", 200, "\"removed\":\"Firefox\"", "3 9 "},
        {"DELETE", ANNA "/tokens/Firefox", "", 404, "no token", NULL}, /* any page may say so */
        {"POST", ANNA "/logout", "", 200, "3 sessions of anna@rossi.example", "4 0 "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(fake.login, sizeof(fake.login), "none");
        fake_expect(rows[i].method, rows[i].target, rows[i].body, rows[i].status, rows[i].part);
        assert_string_equal(fake.login, rows[i].order ? rows[i].order : "none");
    }
}

static void the_list_shows_names_and_days_and_no_secret(void **)
{
    fake_expect("GET", ANNA "/tokens", "", 200,
                "\"has_password\":true,\"password_at\":\"2023-11-14T22:13:20.000Z\"");
    fake_expect("GET", ANNA "/tokens", "", 200,
                "\"id\":\"Laaaaaaaaaaaah\",\"name\":\"Phone\",\"kind\":\"app\"");
    fake_expect("GET", ANNA "/tokens", "", 200, "\"name\":\"Firefox\",\"kind\":\"session\"");
}

/* A password that was given is not said again, even when it was refused. */
static void what_was_given_is_not_said_again(void **)
{
    static const char *const bodies[] = {"{\"password\":\"correct horse\"}",
                                         "{\"password\":\"hush hush\"}",
                                         "{\"password\":\"hush hush\",\"generate\":true}"};
    for (size_t i = 0; i < 3; i++) {
        struct fake_reply r = {};
        fake_send(&r, "POST", ANNA "/password", slice_str(bodies[i]));
        assert_int_equal(r.n, 1);
        assert_null(strstr(buf_cstr(&r.body), "hush"));
        assert_null(strstr(buf_cstr(&r.body), "horse"));
        buf_finish(&r.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_order_is_given_and_answered),
        TEST(the_list_shows_names_and_days_and_no_secret),
        TEST(what_was_given_is_not_said_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
