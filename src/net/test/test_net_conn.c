/* Blocking connections: where they may lead, deadlines, cancelling, ends. */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/net.h"

static struct sockaddr_storage address(const char *text, uint16_t port)
{
    struct sockaddr_storage a;
    assert_true(net_address_parse(slice_str(text), port, &a));
    return a;
}

static void networks_are_read_and_matched(void **)
{
    static const struct {
        const char *network;
        bool is_good;
        const char *inside, *outside;
    } cases[] = {
        {"192.0.2.0/24", true, "192.0.2.255", "192.0.3.0"},
        {"192.0.2.1", true, "192.0.2.1", "192.0.2.2"},
        {"192.0.2.128/25", true, "192.0.2.129", "192.0.2.127"},
        {"0.0.0.0/0", true, "8.8.8.8", "2001:db8::1"},
        {"2001:db8::/33", true, "2001:db8:7fff::1", "2001:db8:8000::1"},
        {"2001:db8::1", true, "2001:db8::1", "2001:db8::2"},
        {"10.0.0.0/8", true, "::ffff:10.1.2.3", "::ffff:11.1.2.3"},
        {"192.0.2.0/33", false, NULL, NULL},
        {"192.0.2.0/", false, NULL, NULL},
        {"192.0.2/24", false, NULL, NULL},
        {"192.0.2.0/+4", false, NULL, NULL},
        {"example.com/8", false, NULL, NULL},
        {"", false, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct net_network n;
        assert_int_equal(net_network_parse(slice_str(cases[i].network), &n), cases[i].is_good);
        if (!cases[i].is_good)
            continue;
        struct sockaddr_storage in = address(cases[i].inside, 1);
        struct sockaddr_storage out = address(cases[i].outside, 1);
        assert_true(net_network_holds(&n, &in));
        assert_false(net_network_holds(&n, &out));
    }
}

static void only_loopback_and_listed_addresses_without_the_internet(void **)
{
    static const struct {
        const char *address;
        uint16_t port;
        enum net_where where;
    } cases[] = {
        {"127.0.0.1", 25, NET_LOOPBACK},
        {"127.255.255.254", 25, NET_LOOPBACK},
        {"::1", 25, NET_LOOPBACK},
        {"::ffff:127.0.0.1", 25, NET_LOOPBACK},
        {"10.1.2.3", 25, NET_LISTED},
        {"2001:db8:5::9", 25, NET_LISTED},
        {"8.8.8.8", 25, NET_OUTSIDE},
        {"192.168.1.1", 25, NET_OUTSIDE},
        {"::2", 25, NET_OUTSIDE},
        {"2001:db8:6::9", 25, NET_OUTSIDE},
        {"::ffff:8.8.8.8", 25, NET_OUTSIDE},
        {"0.0.0.0", 25, NET_NOWHERE},
        {"0.1.2.3", 25, NET_NOWHERE},
        {"::", 25, NET_NOWHERE},
        {"255.255.255.255", 25, NET_NOWHERE},
        {"224.0.0.1", 25, NET_NOWHERE},
        {"::ffff:0.0.0.0", 25, NET_NOWHERE},
        {"ff02::1", 25, NET_NOWHERE},
        {"127.0.0.1", 0, NET_NOWHERE},
    };
    struct net_network allowed[2];
    assert_true(net_network_parse(SLICE("10.0.0.0/8"), &allowed[0]));
    assert_true(net_network_parse(SLICE("2001:db8:5::/48"), &allowed[1]));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sockaddr_storage a = address(cases[i].address, cases[i].port);
        struct net_policy p = {.allowed = allowed, .n_allowed = 2};
        assert_int_equal(net_policy_where(&p, &a), cases[i].where);
        bool is_near = cases[i].where == NET_LOOPBACK || cases[i].where == NET_LISTED;
        assert_int_equal(net_policy_allows(&p, &a), is_near);
        p.has_internet = true;
        assert_int_equal(net_policy_allows(&p, &a), cases[i].where != NET_NOWHERE);
    }
}

static void what_lies_inside_a_network_is_told_from_the_internet(void **)
{
    static const struct {
        const char *address;
        bool is_private;
    } cases[] = {
        {"8.8.8.8", false},
        {"93.184.216.34", false},
        {"2606:4700::1111", false},
        {"172.15.0.1", false},
        {"172.32.0.1", false},
        {"100.63.255.255", false},
        {"127.0.0.1", true},
        {"10.0.0.1", true},
        {"172.16.0.1", true},
        {"172.31.255.255", true},
        {"192.168.0.1", true},
        {"169.254.169.254", true},
        {"100.64.0.1", true},
        {"100.127.255.255", true},
        {"198.18.0.1", true},
        {"0.0.0.0", true},
        {"224.0.0.1", true},
        {"255.255.255.255", true},
        {"::1", true},
        {"::", true},
        {"fe80::1", true},
        {"fec0::1", true},
        {"fd00:ec2::254", true},
        {"::ffff:10.0.0.1", true},
        {"::10.0.0.1", true},
        {"64:ff9b::a00:1", true},
        {"64:ff9b:1::1", true},
        {"2002:a00:1::1", true},
        {"2001::1", true},
        {"ff02::1", true},
        {"::ffff:8.8.8.8", false},
        {"2a00:1450::1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sockaddr_storage a = address(cases[i].address, 80);
        if (net_address_is_private(&a) != cases[i].is_private)
            fail_msg("%s", cases[i].address);
    }
}

/* ---- connections ---- */

struct pair {
    struct net_conn *conn;
    int listener, peer, cancel;
};

static void open_pair(struct pair *p)
{
    static const struct net_policy nothing_outside = {};
    struct sockaddr_storage a = address("127.0.0.1", 0);
    socklen_t n = sizeof(struct sockaddr_in);
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    p->cancel = eventfd(0, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(p->listener, 5), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&a, &n), 0);
    struct net_dial d = {&a, &nothing_outside, p->cancel};
    assert_int_equal(net_conn_open(&d, mono_now() + SECONDS(2), &p->conn, NULL), ERR_OK);
    p->peer = accept(p->listener, NULL, NULL);
    assert_true(p->peer >= 0);
}

static void close_pair(struct pair *p)
{
    net_conn_close(&p->conn);
    fd_close(&p->peer);
    fd_close(&p->listener);
    fd_close(&p->cancel);
}

static void bytes_travel_both_ways(void **)
{
    struct pair p;
    struct slice s;
    char got[20] = "";
    open_pair(&p);
    struct slice parts[3] = {SLICE("ab"), SLICE(""), SLICE("cd")};
    assert_int_equal(net_conn_write(p.conn, parts, 3, mono_now() + SECONDS(1), NULL), ERR_OK);
    assert_int_equal(recv(p.peer, got, 4, MSG_WAITALL), 4);
    assert_string_equal(got, "abcd");
    assert_true(net_conn_is_quiet(p.conn));
    assert_int_equal(send(p.peer, "hello", 5, 0), 5);
    usleep(1000);
    assert_false(net_conn_is_quiet(p.conn));
    assert_int_equal(net_conn_read(p.conn, mono_now() + SECONDS(1), &s, NULL), ERR_OK);
    assert_true(slice_eq(s, SLICE("hello")));
    net_conn_use(p.conn, 2);
    assert_int_equal(net_conn_read(p.conn, 0, &s, NULL), ERR_OK); /* what is here needs no time */
    assert_true(slice_eq(s, SLICE("llo")));
    net_conn_use(p.conn, 3);
    assert_true(net_conn_is_quiet(p.conn));
    close_pair(&p);
}

static void waiting_ends_at_the_deadline(void **)
{
    static char much[1 << 20];
    struct pair p;
    struct slice s;
    open_pair(&p);
    mono_us begun = mono_now();
    assert_int_equal(net_conn_read(p.conn, begun + MILLISECONDS(40), &s, NULL), ERR_RETRY);
    assert_in_range(mono_now() - begun, MILLISECONDS(40), MILLISECONDS(1000));
    struct slice part = slice_of(much, sizeof(much));
    enum err err = ERR_OK;
    for (int i = 0; i < 100 && err == ERR_OK; i++)
        err = net_conn_write(p.conn, &part, 1, mono_now() + MILLISECONDS(40), NULL);
    assert_int_equal(err, ERR_RETRY);
    close_pair(&p);
}

static void *cancel_soon(void *arg)
{
    usleep(20000);
    assert_int_equal(eventfd_write(*(int *)arg, 1), 0);
    return NULL;
}

static void another_thread_can_cancel(void **)
{
    struct pair p;
    struct slice s;
    pthread_t t;
    open_pair(&p);
    assert_int_equal(pthread_create(&t, NULL, cancel_soon, &p.cancel), 0);
    assert_int_equal(net_conn_read(p.conn, mono_now() + SECONDS(9), &s, NULL), ERR_CANCELED);
    assert_int_equal(net_conn_read(p.conn, mono_now() + SECONDS(9), &s, NULL), ERR_CANCELED);
    pthread_join(t, NULL);
    close_pair(&p);
}

static void a_closed_peer_is_gone(void **)
{
    struct pair p;
    struct slice s;
    open_pair(&p);
    assert_int_equal(send(p.peer, "bye", 3, 0), 3);
    fd_close(&p.peer);
    usleep(1000);
    assert_int_equal(net_conn_read(p.conn, mono_now() + SECONDS(1), &s, NULL), ERR_OK);
    net_conn_use(p.conn, s.n);
    assert_false(net_conn_is_quiet(p.conn));
    assert_int_equal(net_conn_read(p.conn, mono_now() + SECONDS(1), &s, NULL), ERR_GONE);
    struct slice part = SLICE("anybody?");
    enum err err = ERR_OK; /* and no SIGPIPE */
    for (int i = 0; i < 20 && err == ERR_OK; i++) {
        err = net_conn_write(p.conn, &part, 1, mono_now() + SECONDS(1), NULL);
        usleep(1000);
    }
    assert_int_equal(err, ERR_GONE);
    close_pair(&p);
}

static void refused_and_forbidden_connections_fail(void **)
{
    static const struct net_policy nothing_outside = {};
    struct net_conn *c = NULL;
    struct errinfo ei;
    struct sockaddr_storage a = address("127.0.0.1", 1);
    struct net_dial d = {&a, &nothing_outside, -1};
    assert_int_equal(net_conn_open(&d, mono_now() + SECONDS(1), &c, &ei), ERR_IO);
    assert_string_equal(ei.text, "Connection refused");
    a = address("192.0.2.1", 25);
    assert_int_equal(net_conn_open(&d, mono_now() + SECONDS(1), &c, &ei), ERR_DENIED);
    assert_string_equal(ei.text, "connections to 192.0.2.1:25 are not allowed");
    assert_null(c);
}

static void authorities_that_cannot_be_read_are_refused(void **)
{
    static const char bad[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    struct net_tls_client *t = NULL;
    assert_int_equal(net_tls_client_create(slice_str(bad), &t, NULL), ERR_INVALID);
    assert_null(t);
    assert_int_equal(net_tls_client_create(SLICE("# none\n"), &t, NULL), ERR_OK);
    net_tls_client_destroy(&t);
}

static void tls_does_not_begin_behind_unread_bytes(void **)
{
    struct pair p;
    struct slice s;
    struct net_tls_client *t = NULL;
    open_pair(&p);
    assert_int_equal(net_tls_client_create(SLICE(""), &t, NULL), ERR_OK);
    assert_int_equal(send(p.peer, "220 go\r\n250 injected\r\n", 22, 0), 22);
    assert_int_equal(net_conn_read(p.conn, mono_now() + SECONDS(1), &s, NULL), ERR_OK);
    net_conn_use(p.conn, 8);
    assert_int_equal(net_conn_start_tls(p.conn, t, NET_TLS_ANY, "x", mono_now() + SECONDS(1), NULL),
                     ERR_INVALID);
    assert_false(net_conn_has_tls(p.conn));
    net_tls_client_destroy(&t);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_read_and_matched),
        cmocka_unit_test(only_loopback_and_listed_addresses_without_the_internet),
        cmocka_unit_test(what_lies_inside_a_network_is_told_from_the_internet),
        cmocka_unit_test(bytes_travel_both_ways),
        cmocka_unit_test(waiting_ends_at_the_deadline),
        cmocka_unit_test(another_thread_can_cancel),
        cmocka_unit_test(a_closed_peer_is_gone),
        cmocka_unit_test(refused_and_forbidden_connections_fail),
        cmocka_unit_test(authorities_that_cannot_be_read_are_refused),
        cmocka_unit_test(tls_does_not_begin_behind_unread_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
