/* Connections over all gates: per address, network, gate and minute, in memory that gates share. */
#include "smtp/smtp_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static char shared[SMTP_SHARED_BYTES] __attribute__((aligned(64)));

static struct smtp_limits no_limits(void)
{
    return (struct smtp_limits){.connections = 60000,
                                .connections_per_address = 60000,
                                .connections_per_network = 60000,
                                .connections_per_minute = 1000000};
}

struct pair {
    struct smtp_limiter *a, *b;
};

static struct pair begin(void)
{
    memset(shared, 0, sizeof(shared));
    return (struct pair){smtp_limiter_create(shared, 0),
                         smtp_limiter_create(shared, SMTP_GATES_MAX - 1)};
}

static void finish(struct pair *p)
{
    smtp_limiter_destroy(&p->a);
    smtp_limiter_destroy(&p->b);
}

static enum refuse_id enter(struct smtp_limiter *l, const struct smtp_limits *limits,
                            const char *address)
{
    struct wire_ip ip;
    assert_true(wire_ip_parse(slice_str(address), &ip));
    return smtp_limiter_enter(l, limits, ip, SECONDS(1000));
}

static void leave(struct smtp_limiter *l, const char *address)
{
    struct wire_ip ip;
    assert_true(wire_ip_parse(slice_str(address), &ip));
    smtp_limiter_leave(l, ip);
}

static void an_address_has_its_connections_over_all_gates(void **)
{
    struct pair p = begin();
    struct smtp_limits limits = no_limits();
    limits.connections_per_address = 3;
    assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_N);
    assert_int_equal(enter(p.b, &limits, "192.0.2.1"), REFUSE_N);
    assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_N);
    assert_int_equal(enter(p.b, &limits, "192.0.2.1"), REFUSE_CONN_ADDRESS);
    assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_CONN_ADDRESS);
    assert_int_equal(enter(p.a, &limits, "192.0.2.2"), REFUSE_N);
    leave(p.a, "192.0.2.1");
    assert_int_equal(enter(p.b, &limits, "192.0.2.1"), REFUSE_N);
    finish(&p);
}

static void a_network_has_its_connections(void **)
{
    static const struct {
        const char *inside[3], *outside;
    } cases[] = {
        {{"192.0.2.1", "192.0.2.2", "192.0.2.255"}, "192.0.3.1"},
        {{"2001:db8:1::1", "2001:db8:1:2::1", "2001:db8:1:ffff::9"}, "2001:db8:2::1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair p = begin();
        struct smtp_limits limits = no_limits();
        limits.connections_per_network = 2;
        assert_int_equal(enter(p.a, &limits, cases[i].inside[0]), REFUSE_N);
        assert_int_equal(enter(p.b, &limits, cases[i].inside[1]), REFUSE_N);
        assert_int_equal(enter(p.a, &limits, cases[i].inside[2]), REFUSE_CONN_NETWORK);
        assert_int_equal(enter(p.a, &limits, cases[i].outside), REFUSE_N);
        finish(&p);
    }
}

static void a_slash_64_is_one_address(void **)
{
    struct pair p = begin();
    struct smtp_limits limits = no_limits();
    limits.connections_per_address = 1;
    assert_int_equal(enter(p.a, &limits, "2001:db8:1:2::1"), REFUSE_N);
    assert_int_equal(enter(p.a, &limits, "2001:db8:1:2:3:4:5:6"), REFUSE_CONN_ADDRESS);
    assert_int_equal(enter(p.a, &limits, "2001:db8:1:3::1"), REFUSE_N);
    finish(&p);
}

static void a_gate_has_its_connections(void **)
{
    struct pair p = begin();
    struct smtp_limits limits = no_limits();
    limits.connections = 2;
    assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_N);
    assert_int_equal(smtp_limiter_enter(p.a, &limits, (struct wire_ip){0}, 0), REFUSE_N);
    assert_int_equal(enter(p.a, &limits, "198.51.100.1"), REFUSE_CONN_TOTAL);
    assert_int_equal(smtp_limiter_enter(p.a, &limits, (struct wire_ip){0}, 0), REFUSE_CONN_TOTAL);
    assert_int_equal(enter(p.b, &limits, "192.0.2.1"), REFUSE_N); /* the other has its own */
    smtp_limiter_leave(p.a, (struct wire_ip){0});
    assert_int_equal(enter(p.a, &limits, "198.51.100.1"), REFUSE_N);
    finish(&p);
}

static void a_minute_has_its_connections(void **)
{
    struct pair p = begin();
    struct smtp_limits limits = no_limits();
    struct wire_ip ip;
    limits.connections_per_minute = 5;
    assert_true(wire_ip_parse(SLICE("192.0.2.1"), &ip));
    for (int minute = 10; minute < 13; minute++) {
        mono_us now = SECONDS(60) * minute;
        for (int i = 0; i < 5; i++) {
            struct smtp_limiter *l = i % 2 ? p.a : p.b;
            assert_int_equal(smtp_limiter_enter(l, &limits, ip, now + SECONDS(i)), REFUSE_N);
            smtp_limiter_leave(l, ip);
        }
        assert_int_equal(smtp_limiter_enter(p.a, &limits, ip, now + SECONDS(59)), REFUSE_CONN_RATE);
        assert_int_equal(smtp_limiter_enter(p.b, &limits, ip, now + SECONDS(59)), REFUSE_CONN_RATE);
    }
    finish(&p);
}

static void a_gate_that_died_leaves_nothing_behind(void **)
{
    struct pair p = begin();
    struct smtp_limits limits = no_limits();
    limits.connections_per_address = 4;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_N);
        assert_int_equal(enter(p.b, &limits, "192.0.2.1"), REFUSE_N);
    }
    assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_CONN_ADDRESS);
    smtp_limiter_destroy(&p.b); /* without leaving */
    p.b = smtp_limiter_create(shared, SMTP_GATES_MAX - 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_N);
    assert_int_equal(enter(p.b, &limits, "192.0.2.1"), REFUSE_CONN_ADDRESS); /* the first's stay */
    finish(&p);
}

/* Addresses in one slot share its count; with a thousand at once that must be rare. */
static void strangers_seldom_share_a_count(void **)
{
    struct pair p = begin();
    struct smtp_limits limits = no_limits();
    unsigned n_refused = 0;
    limits.connections_per_address = 2;
    for (int i = 0; i < 1000; i++) {
        char text[40];
        snprintf(text, sizeof(text), "10.%d.%d.1", i / 250, i % 250);
        n_refused += enter(p.a, &limits, text) != REFUSE_N;
    }
    assert_in_range(n_refused, 0, 20);
    finish(&p);
}

static void how_many_there_were_is_measured_with_their_address(void **)
{
    static struct refuse_high highs[REFUSE_N];
    struct pair p = begin();
    struct smtp_limits limits = no_limits();
    limits.connections_per_address = 2;
    limits.gates = 4;
    (void)refuse_take_highs(0, highs);
    (void)refuse_take_highs(SECONDS(60), highs);
    assert_int_equal(enter(p.a, &limits, "192.0.2.1"), REFUSE_N);
    assert_int_equal(enter(p.b, &limits, "192.0.2.7"), REFUSE_N);
    assert_int_equal(enter(p.b, &limits, "192.0.2.7"), REFUSE_N);
    assert_int_equal(enter(p.b, &limits, "192.0.2.7"), REFUSE_CONN_ADDRESS);
    assert_true(refuse_take_highs(SECONDS(60), highs));
    assert_int_equal(highs[REFUSE_CONN_ADDRESS].value, 3); /* the refused one was asked for too */
    assert_string_equal(highs[REFUSE_CONN_ADDRESS].who, "192.0.2.7");
    assert_int_equal(highs[REFUSE_CONN_NETWORK].value, 3);
    assert_int_equal(highs[REFUSE_CONN_RATE].value, 2);
    assert_int_equal(highs[REFUSE_CONN_TOTAL].value, 12); /* three of one gate in four */
    finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_its_connections_over_all_gates),
        cmocka_unit_test(a_network_has_its_connections),
        cmocka_unit_test(a_slash_64_is_one_address),
        cmocka_unit_test(a_gate_has_its_connections),
        cmocka_unit_test(a_minute_has_its_connections),
        cmocka_unit_test(a_gate_that_died_leaves_nothing_behind),
        cmocka_unit_test(strangers_seldom_share_a_count),
        cmocka_unit_test(how_many_there_were_is_measured_with_their_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
