/* Whom to talk to: exchangers, addresses, what DNS may say, where we never go. */
#include "courier/courier.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/refuse.h"
#include "courier/test/courier_kit.h"
#include "courier/test/fake_server.h"

#define MESSAGE "Subject: x\r\n\r\nhello\r\n"
#define TAKE                                                                                       \
    ">220 a\n|<EHLO|>250-a\n250 PIPELINING\n|<MAIL|<RCPT|<DATA|>250 a\n250 b\n354 go\n|.|>250 "    \
    "c\n|q"

enum { A = 1, MX = 15, AAAA = 28 };
#define RECORD(name, type, data)                                                                   \
    {                                                                                              \
        name, type, IPC_NAME_OK, data, sizeof(data) - 1                                            \
    }
#define STATUS(name, type, status)                                                                 \
    {                                                                                              \
        name, type, status, "", 0                                                                  \
    }

static struct net_tls_client *tls;

static int make_tls(void **)
{
    return net_tls_client_create(SLICE(""), &tls, NULL) == ERR_OK ? 0 : -1;
}

static int drop_tls(void **)
{
    net_tls_client_destroy(&tls);
    return 0;
}

/* ---- the list of hosts ---- */

static const struct kit_name names[] = {
    RECORD("two.test", MX,
           "\x00\x14\x01"
           "b\x04test\x00"),
    RECORD("two.test", MX,
           "\x00\x0a\x01"
           "A\x04Test\x00"),
    RECORD("null.test", MX, "\x00\x00\x00"),
    RECORD("odd.test", MX, "\x00\x00\x00"),
    RECORD("odd.test", MX,
           "\x00\x05\x01"
           "c\x04test\x00"),
    RECORD("broken.test", MX,
           "\x00\x05\x3f"
           "c\x00"),
    RECORD("broken.test", MX, "\x00\x05"),
    RECORD("broken.test", MX,
           "\x00\x05\x03"
           "a b\x00"),
    RECORD("broken.test", MX,
           "\x00\x05\x01"
           "c\x00rest"),
    RECORD("broken.test", MX,
           "\x00\x05\x03"
           "a.b\x00"),
    STATUS("gone.test", 0, IPC_NAME_NO_NAME),
    STATUS("forged.test", 0, IPC_NAME_BOGUS),
    STATUS("silent.test", 0, IPC_NAME_FAILED),
    RECORD("ours.test", MX,
           "\x00\x0a\x03mx1\x09staffetta\x07"
           "example\x00"),
    RECORD("ours.test", MX,
           "\x00\x14\x01"
           "b\x04test\x00"),
    RECORD("second.test", MX,
           "\x00\x05\x01"
           "a\x04test\x00"),
    RECORD("second.test", MX,
           "\x00\x0a\x03mx1\x09staffetta\x07"
           "example\x00"),
    RECORD("second.test", MX,
           "\x00\x0a\x01"
           "z\x04test\x00"),
    RECORD("second.test", MX,
           "\x00\x14\x01"
           "b\x04test\x00"),
    RECORD("both.test", AAAA, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"),
    RECORD("both.test", AAAA, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"),
    RECORD("both.test", A, "\xc0\x00\x02\x01"),
    RECORD("both.test", A, "\xc0\x00\x02"),
    STATUS("half.test", AAAA, IPC_NAME_FAILED),
    RECORD("half.test", A, "\xc0\x00\x02\x01"),
    STATUS("quarter.test", AAAA, IPC_NAME_FAILED),
    {NULL, 0, 0, NULL, 0},
};

static void exchangers_of_a_domain(void **)
{
    static const struct {
        const char *domain, *hosts; /* in order, each followed by a blank */
        unsigned code;
        const char *enhanced;
    } cases[] = {
        {"two.test", "a.test b.test ", 0, ""},
        {"null.test", "", 556, "5.1.10"},
        {"odd.test", "c.test ", 0, ""}, /* a null MX beside others is no null MX */
        {"broken.test", "", 550, "5.4.4"},
        {"gone.test", "", 550, "5.1.2"},
        {"forged.test", "", 0, ""},
        {"silent.test", "", 0, ""},
        {"plain.test", "plain.test ", 0, ""}, /* no MX: the domain itself */
        {"ours.test", "", 554, "5.4.6"},
        {"second.test", "a.test ", 0, ""}, /* only those that are better than we are */
        {"[192.0.2.7]", "192.0.2.7 ", 0, ""},
        {"[IPv6:2001:db8::7]", "2001:db8::7 ", 0, ""},
        {"[x]", "", 550, "5.1.2"},
        {"", "", 550, "5.1.2"},
    };
    struct kit k;
    kit_start(&k, tls, SECONDS(1));
    k.names = names;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ipc_job job = {.domain = slice_str(cases[i].domain)};
        struct courier_hosts hosts;
        struct courier_end end = {};
        char list[300] = "";
        bool is_found =
            courier_hosts_find(&k.o.network, &job, mono_now() + SECONDS(1), &hosts, &end);
        for (size_t h = 0; h < hosts.n; h++)
            snprintf(list + strlen(list), 260, "%.255s ", hosts.host[h].name);
        assert_string_equal(list, cases[i].hosts);
        assert_int_equal(is_found, cases[i].hosts[0] != '\0');
        if (is_found)
            continue;
        assert_int_equal(end.phase, SMTP_PHASE_NAME);
        assert_int_equal(end.code, cases[i].code);
        assert_string_equal(wire_status_text(end.status).s, cases[i].enhanced);
    }
    arena_destroy(&k.arena);
}

static void equal_exchangers_take_turns(void **)
{
    static const struct kit_name equal[] = {
        RECORD("e.test", MX,
               "\x00\x0a\x01"
               "a\x00"),
        RECORD("e.test", MX,
               "\x00\x0a\x01"
               "b\x00"),
        RECORD("e.test", MX,
               "\x00\x05\x01"
               "c\x00"),
        {NULL, 0, 0, NULL, 0},
    };
    struct kit k;
    struct ipc_job job = {.domain = SLICE("e.test")};
    unsigned n_a = 0;
    kit_start(&k, tls, SECONDS(1));
    k.names = equal;
    for (int i = 0; i < 200; i++) {
        struct courier_hosts hosts;
        struct courier_end end;
        assert_true(courier_hosts_find(&k.o.network, &job, mono_now() + SECONDS(1), &hosts, &end));
        assert_int_equal(hosts.n, 3);
        assert_string_equal(hosts.host[0].name, "c");
        n_a += hosts.host[1].name[0] == 'a';
    }
    assert_in_range(n_a, 50, 150);
    arena_destroy(&k.arena);
}

static void addresses_of_a_host(void **)
{
    static const struct {
        const char *host, *list;
        unsigned code;
    } cases[] = {
        {"both.test", "[2001:db8::1]:25 192.0.2.1:25 [2001:db8::2]:25 ", 0},
        {"half.test", "192.0.2.1:25 ", 0},
        {"quarter.test", "", 0}, /* one answer is missing: perhaps later */
        {"none.test", "", 550},
        {"gone.test", "", 550},
        {"192.0.2.9", "192.0.2.9:25 ", 0},
        {"2001:db8::9", "[2001:db8::9]:25 ", 0},
    };
    struct kit k;
    kit_start(&k, tls, SECONDS(1));
    k.names = names;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct courier_addresses a;
        struct courier_end end = {};
        char list[400] = "";
        bool is_found = courier_addresses_find(&k.o.network, cases[i].host, 25,
                                               mono_now() + SECONDS(1), &a, &end);
        for (size_t n = 0; n < a.n; n++)
            snprintf(list + strlen(list), 70, "%s ", net_peer_text(&a.address[n]).s);
        assert_string_equal(list, cases[i].list);
        assert_int_equal(is_found, cases[i].list[0] != '\0');
        assert_int_equal(end.code, cases[i].code);
    }
    arena_destroy(&k.arena);
}

/* ---- where we never go ---- */

static void reach(const struct kit *k, const char *address, uint16_t port, bool is_world,
                  struct courier_end *end)
{
    struct courier_target t = {.host = "there", .is_world = is_world, .tls = IPC_TLS_NEVER};
    *end = (struct courier_end){};
    struct courier_addresses a;
    assert_true(courier_addresses_find(&k->o.network, address, port, 0, &a, end));
    t.address = a.address[0];
    struct courier_peer *p =
        courier_peer_open(&k->o.network, &t, mono_now() + MILLISECONDS(300), end);
    assert_null(p);
}

static void nothing_leaves_by_accident(void **)
{
    struct kit k;
    struct courier_end end;
    static struct refuse_count counts[REFUSE_N];
    kit_start(&k, tls, MILLISECONDS(100));
    (void)refuse_take_counts(counts);
    const char *outside[] = {"192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", "8.8.8.8"};
    for (size_t i = 0; i < 5; i++) {
        reach(&k, outside[i], 25, i % 2, &end);
        assert_int_equal(end.code, 0);
        assert_int_equal(end.phase, SMTP_PHASE_CONNECT);
        assert_non_null(strstr(end.text, "network.internet is false"));
    }
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_OUTSIDE].n, 5);
    const char *nowhere[] = {"0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"};
    for (size_t i = 0; i < 5; i++) {
        reach(&k, nowhere[i], 25, false, &end);
        assert_non_null(strstr(end.text, "nobody's address"));
    }
    arena_destroy(&k.arena);
}

static void mail_for_the_world_does_not_come_back_to_us(void **)
{
    struct kit k;
    struct courier_end end;
    struct sockaddr_storage own[2] = {};
    struct courier_addresses a;
    kit_start(&k, tls, MILLISECONDS(100));
    assert_true(courier_addresses_find(&k.o.network, "127.0.0.9", 2525, 0, &a, &end));
    own[0] = a.address[0];
    assert_true(courier_addresses_find(&k.o.network, "0.0.0.0", 25, 0, &a, &end));
    own[1] = a.address[0];
    k.o.network.own = own;
    k.o.network.n_own = 2;
    reach(&k, "127.0.0.9", 2525, true, &end);
    assert_int_equal(end.code, 554);
    assert_string_equal(wire_status_text(end.status).s, "5.4.6");
    reach(&k, "127.0.0.77", 25, true, &end); /* we listen on every address there */
    assert_int_equal(end.code, 554);
    reach(&k, "127.0.0.9", 2525, false, &end); /* said so by a person: tried, nobody there */
    assert_int_equal(end.code, 0);
    k.o.network.n_own = 0;
    static const struct net_policy all = {.has_internet = true};
    static courier_policy policy = &all;
    k.o.network.policy = &policy;
    reach(&k, "127.0.0.9", 2525, true, &end); /* a stranger's MX that points to our own machine */
    assert_int_equal(end.code, 554);
    arena_destroy(&k.arena);
}

/* ---- a whole delivery for the world ---- */

static void the_next_exchanger_takes_what_the_first_cannot(void **)
{
    /* a.test refuses for good at the greeting, b.test takes it: not a bounce. */
    static const struct kit_name world[] = {
        RECORD("world.test", MX,
               "\x00\x0a\x01"
               "a\x04test\x00"),
        RECORD("world.test", MX,
               "\x00\x14\x01"
               "b\x04test\x00"),
        RECORD("a.test", A, "\x7f\x00\x00\x01"),
        RECORD("b.test", A, "\x7f\x00\x00\x01"),
        {NULL, 0, 0, NULL, 0},
    };
    static const struct {
        const char *first, *second;
        unsigned code;
    } cases[] = {
        {">554 no\n|q", TAKE, 250},
        {"w1", TAKE, 250},
        {">220 a\n|<EHLO|>250 a\n|<MAIL|>421 bye\n|q", TAKE, 250},
        {">220 a\n|<EHLO|>250 a\n|<MAIL|!", TAKE, 250},
        {">220 a\n|<EHLO|>250 a\n|<MAIL|>550 no\n|q", TAKE, 550}, /* about the mail: the answer */
        {">554 no\n|q", ">421 later\n|q", 421},
        {">421 later\n|q", ">554 no\n|q", 421}, /* one that may take it later is enough */
        {">554 no\n|q", ">550 no\n|q", 550},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_server s;
        struct kit k;
        struct kit_job j;
        const char *scripts[] = {cases[i].first, cases[i].second, NULL};
        fake_start(&s, scripts, NULL);
        kit_start(&k, tls, SECONDS(1));
        k.names = world;
        k.o.network.world_port = s.port;
        k.o.idle = 0;
        kit_begin(&k);
        struct ipc_job *job = kit_job(&j, 0, 1);
        job->domain = SLICE("world.test");
        kit_send(&k, 0, job, MESSAGE);
        kit_wait(&k, 1);
        assert_int_equal(k.result[0].outcomes[0].code, cases[i].code);
        courier_stop(k.courier, 0);
        fake_stop(&s);
        kit_finish(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchangers_of_a_domain),
        cmocka_unit_test(equal_exchangers_take_turns),
        cmocka_unit_test(addresses_of_a_host),
        cmocka_unit_test(nothing_leaves_by_accident),
        cmocka_unit_test(mail_for_the_world_does_not_come_back_to_us),
        cmocka_unit_test(the_next_exchanger_takes_what_the_first_cannot),
    };
    return cmocka_run_group_tests(tests, make_tls, drop_tls);
}
