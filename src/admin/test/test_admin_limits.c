/* Limits: what another value would have refused, in both kinds of answers. */
#include "ask.h"

static int start(void **)
{
    fake_start();
    return 0;
}

static int stop(void **)
{
    fake_stop();
    return 0;
}

static const utc_ms HOUR = 3600000;

static void add_arrival(utc_ms ago, uint32_t bytes, uint32_t n_rcpts, enum direction direction)
{
    fake.arrivals[fake.n_arrivals] = (struct store_arrival){.message = 100 + fake.n_arrivals,
                                                            .received = utc_now() - ago,
                                                            .direction = direction,
                                                            .bytes = bytes,
                                                            .n_rcpts = n_rcpts,
                                                            .client = SLICE("192.0.2.1")};
    fake.n_arrivals++;
}

static void add_high(enum refuse_id id, utc_ms ago, uint64_t value, struct slice who)
{
    fake.highs[fake.n_highs++] =
        (struct record_high){.refusal = id, .time = utc_now() - ago, .value = value, .who = who};
}

static void sizes_are_counted_message_by_message(void **)
{
    add_arrival(2000 * HOUR, 90 << 20, 1, DIRECTION_IN); /* longer ago than is asked */
    add_arrival(9 * HOUR, 21 << 20, 1, DIRECTION_IN);
    add_arrival(8 * HOUR, 30 << 20, 1, DIRECTION_OUT);
    add_arrival(7 * HOUR, 20 << 20, 1, DIRECTION_IN);
    add_arrival(6 * HOUR, 40 << 20, 1, DIRECTION_NOTICE);
    add_high(REFUSE_TOO_BIG, HOUR, 94 << 20, SLICE("192.0.2.9"));
#define TRY "/v1/limits/smtp.message-size/try?value="
    fake_expect("GET", TRY "20MiB", "", 200, "\"counted\":\"messages\",\"of\":3,\"refused\":2,");
    fake_expect("GET", TRY "20971520", "", 200, "2 of the 3 messages");
    fake_expect("GET", TRY "20971519", "", 200, "3 of the 3 messages");
    fake_expect("GET", TRY "20%20MiB", "", 200, "\"first\":{");
    fake_expect("GET", TRY "20MiB", "", 200,
                "\"value\":31457280,\"who\":\"192.0.2.1\",\"message\"");
    fake_expect("GET", TRY "20MiB", "", 200, "(66.66 %)");
    fake_expect("GET", TRY "60MiB", "", 200, "the most that was asked for is 94 MiB at ");
    fake_expect("GET", TRY "20MiB&since=2001-01-01", "", 200, "\"of\":4,\"refused\":3,");
}

static void recipients_are_counted_as_they_were_given(void **)
{
    add_arrival(HOUR, 100, 300, DIRECTION_IN);
    add_arrival(HOUR, 100, 3, DIRECTION_IN);
    fake_expect("GET", "/v1/limits/smtp.recipients-per-message/try?value=299", "", 200,
                "\"refused\":1,");
    fake_expect("GET", "/v1/limits/smtp.recipients-per-message/try?value=300", "", 200,
                "\"refused\":0,");
}

static void the_others_are_told_by_the_worst_of_each_hour(void **)
{
    add_high(REFUSE_CONN_ADDRESS, 50 * HOUR, 12, SLICE("192.0.2.1"));
    add_high(REFUSE_CONN_ADDRESS, 49 * HOUR, 60, SLICE("192.0.2.2"));
    add_high(REFUSE_CONN_ADDRESS, 48 * HOUR, 312, SLICE("198.51.100.7"));
    add_high(REFUSE_CONN_RATE, 48 * HOUR, 999, SLICE("198.51.100.7"));
    add_high(REFUSE_DISK_LOW, 3 * HOUR, 12, SLICE(""));
    add_high(REFUSE_DISK_LOW, 2 * HOUR, 30, SLICE(""));
    add_high(REFUSE_ERRORS, 2 * HOUR, 5, SLICE("192.0.2.1"));
#define OF "/v1/limits/smtp.connections-per-address/try?value="
    fake_expect("GET", OF "50", "", 200, "\"counted\":\"hours\",\"of\":3,\"refused\":2,");
    fake_expect("GET", OF "50", "", 200,
                "2 of the 3 hours in which it was measured had more than 50 connections (66.66 %); "
                "nearest came 312 connections at ");
    fake_expect("GET", OF "50", "", 200, " by 198.51.100.7.");
    fake_expect("GET", OF "50", "", 200, "how much is not known");
    fake_expect("GET", OF "500", "", 200, "\"refused\":0,");
    fake_expect("GET", "/v1/limits/store.disk-free/try?value=20", "", 200, "1 of the 2 hours");
    fake_expect("GET", "/v1/limits/smtp.errors-per-session/try?value=5", "", 200,
                "reached 5 errors");
    fake_expect("GET", "/v1/limits/smtp.commands-per-session/try?value=5", "", 200,
                "nothing can be said");
}

static void what_cannot_be_tried_says_so(void **)
{
    fake_expect("GET", "/v1/limits/nothing/try?value=5", "", 404, "There is no limit called");
    fake_expect("GET", "/v1/limits/smtp.syntax/try?value=5", "", 400, "is not measured");
    fake_expect("GET", OF "5MiB", "", 400, "no value of smtp.connections-per-address");
    fake_expect("GET", OF "-5", "", 400, "is no value");
    fake_expect("GET", "/v1/limits/smtp.connections-per-address/try", "", 400, "is no value");
    fake_expect("GET", TRY "99999999999GiB", "", 400, "or 20 MiB");
    fake.reader_err = ERR_IO;
    fake_expect("GET", OF "5", "", 500, "he disk is tired");
}

static void too_much_for_the_administration_is_counted(void **)
{
    static struct refuse_count counts[REFUSE_N];
    SCOPED(buf_finish) struct buf target = buf_make(20000);
    buf_adds(&target, SLICE("/v1/limits?tenant="));
    for (int i = 0; i < 9000; i++)
        buf_addc(&target, 'x');
    (void)refuse_take_counts(counts);
    fake_expect("GET", buf_cstr(&target), "", 414, "longer than");
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_ADMIN_LIMIT].n, 1);
    fake_expect("GET", "/v1/limits/nothing/try?value=5", "", 404, "");
    assert_false(refuse_take_counts(counts)); /* an answer to this one request, no limit */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sizes_are_counted_message_by_message, start, stop),
        cmocka_unit_test_setup_teardown(recipients_are_counted_as_they_were_given, start, stop),
        cmocka_unit_test_setup_teardown(the_others_are_told_by_the_worst_of_each_hour, start, stop),
        cmocka_unit_test_setup_teardown(what_cannot_be_tried_says_so, start, stop),
        cmocka_unit_test_setup_teardown(too_much_for_the_administration_is_counted, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
