/* Controls: who can be reached, what our policy forbids, whether the resolver answers. */
#include "liaison/test/liaison_kit.h"

static uint16_t free_port(void)
{
    uint16_t port = 0;
    int fd = fake_listen("127.0.0.1", &port);
    close(fd);
    return port;
}

static void each_host_counts_by_what_became_of_it(void **)
{
    struct kit k;
    kit_start(&k, SLICE(""), 10);
    uint16_t port = 0, closed = free_port();
    int fd = fake_listen("127.0.0.1", &port);
    struct ipc_host hosts[] = {
        {SLICE("127.0.0.1"), port},  {SLICE("127.0.0.1"), closed}, {SLICE("192.0.2.1"), 25},
        {SLICE("nowhere.test"), 25}, {SLICE("127.0.0.1"), port},
    };
    struct ipc_control c = {.hosts = hosts, .n_hosts = 5, .timeout_ms = 1000};
    struct ipc_controlled seen;
    KIT_ASK(&k, control, &c, controlled, &seen);
    assert_int_equal(seen.n, 4);
    assert_int_equal(seen.n_bad, 2);
    assert_int_equal(seen.n_forbidden, 1);
    assert_int_equal(seen.is_resolver_ok, 1); /* it was not asked for anything of ours */
    assert_int_equal(seen.is_done, 1);
    assert_true(kit_says(seen.text, "refused"));
    assert_true(kit_says(seen.text, "nowhere.test has no address"));
    assert_true(kit_says(seen.text, "network.internet"));
    close(fd);
    kit_stop(&k);
}

static void a_resolver_that_says_no_such_name_is_well(void **)
{
    static const struct {
        enum ipc_name_status status;
        int is_ok;
    } cases[] = {{IPC_NAME_OK, 1},    {IPC_NAME_NO_NAME, 1}, {IPC_NAME_NO_DATA, 1},
                 {IPC_NAME_BOGUS, 1}, {IPC_NAME_FAILED, 0},  {0, 0}};
    struct kit k;
    kit_start(&k, SLICE(""), 10);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ipc_control c = {.name = SLICE("control.test"), .timeout_ms = 1000};
        struct ipc_controlled seen;
        k.resolver = cases[i].status;
        KIT_ASK(&k, control, &c, controlled, &seen);
        assert_int_equal(seen.is_resolver_ok, cases[i].is_ok);
        assert_int_equal(seen.n + seen.n_bad + seen.n_forbidden, 0);
        assert_int_equal(seen.text.n > 0, !cases[i].is_ok);
    }
    kit_stop(&k);
}

static void one_that_hangs_costs_its_time_once(void **)
{
    struct kit k;
    kit_start(&k, SLICE(""), 10);
    uint16_t port = 0;
    int full = fake_listen("127.0.0.1", &port);
    assert_int_equal(listen(full, 0), 0);
    int fill[4];
    for (int i = 0; i < 4; i++) { /* its queue is full: further SYNs are dropped */
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
        inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&a, sizeof(a));
    }
    struct ipc_host hosts[16];
    for (int i = 0; i < 16; i++)
        hosts[i] = (struct ipc_host){SLICE("127.0.0.1"), port};
    struct ipc_control c = {.hosts = hosts, .n_hosts = 16, .timeout_ms = 300};
    struct ipc_controlled seen;
    KIT_ASK(&k, control, &c, controlled, &seen);
    assert_int_equal(seen.n, 16);
    assert_int_equal(seen.n_bad, 16);
    assert_true(seen.took_ms >= 250 && seen.took_ms < 2000);
    assert_true(kit_says(seen.text, "no answer"));
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(full);
    kit_stop(&k);
}

static void what_is_no_work_is_nonsense(void **)
{
    struct kit k;
    kit_start(&k, SLICE(""), 10);
    struct ipc_host host = {SLICE("127.0.0.1"), 0};
    struct ipc_control c = {.hosts = &host, .n_hosts = 1};
    struct buf b = buf_make(1000);
    ipc_control_pack(&b, &c);
    assert_false(liaison_take(k.l, IPC_T_control, 1, buf_slice(&b))); /* port 0 */
    assert_false(liaison_take(k.l, IPC_T_control, 1, SLICE("x")));
    assert_false(liaison_take(k.l, IPC_T_observed, 1, SLICE("")));
    assert_false(liaison_take(k.l, IPC_T_N, 1, SLICE("")));
    assert_int_equal(kit_count(&k), 0);
    buf_finish(&b);
    kit_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_host_counts_by_what_became_of_it),
        cmocka_unit_test(a_resolver_that_says_no_such_name_is_well),
        cmocka_unit_test(one_that_hangs_costs_its_time_once),
        cmocka_unit_test(what_is_no_work_is_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
