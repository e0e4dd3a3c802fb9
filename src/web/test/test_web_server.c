/* The door's HTTP with real sockets on both sides: a core that answers, is slow, dies, lies; peers
 * that send too much, too many, too slowly. */
#include "base/log.h"
#include "base/refuse.h"
#include "ipc/ipc.h"
#include "web/web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

enum habit { ANSWERS, IS_SILENT, LIES_ABOUT_BYTES, SENDS_STRANGE_TYPE, ANSWERS_BIG, DIES };

/* The server and core's end of the link live on one loop in a thread of their own. */
static struct {
    pthread_t thread;
    struct net_loop *loop;
    struct web_server *server;
    struct web_options options;
    struct net_link *core;
    _Atomic enum habit habit;
    struct buf content; /* of the request under way */
    char socket[108];
    uint16_t metrics_port;
    _Atomic unsigned n_asked, n_nonsense, n_refusals, n_figures;
    char by[200], path[300], query[300];
    size_t n_content;
    pthread_barrier_t gate;
    atomic_bool is_stopped;
} t;

/* ---- core's end ---- */

static void answer(uint64_t tag, struct slice body, size_t said)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    struct ipc_response response = {
        .status = 200, .type = SLICE("application/json"), .bytes = (uint32_t)said};
    if (atomic_load(&t.habit) == SENDS_STRANGE_TYPE)
        response.type = SLICE("text/plain\r\nEvil: yes");
    ipc_response_pack(&b, &response);
    while (body.n > 0) {
        size_t n = body.n < IPC_CONTENT_MAX ? body.n : IPC_CONTENT_MAX;
        (void)!net_link_send(t.core, IPC_T_content, tag, slice_of(body.p, n), SLICE(""));
        body = slice_skip(body, n);
    }
    (void)!net_link_send(t.core, IPC_T_response, tag, buf_slice(&b), SLICE(""));
}

static void on_asked(uint64_t tag, const struct ipc_request *q)
{
    char text[1000];
    snprintf(t.by, sizeof(t.by), SLICE_FMT, SLICE_ARG(q->by));
    snprintf(t.path, sizeof(t.path), SLICE_FMT, SLICE_ARG(q->path));
    snprintf(t.query, sizeof(t.query), SLICE_FMT, SLICE_ARG(q->query));
    t.n_content = t.content.n;
    assert_int_equal(t.content.n, q->bytes);
    int n = snprintf(text, sizeof(text), "{\"method\":\"" SLICE_FMT "\",\"bytes\":%u}",
                     SLICE_ARG(q->method), q->bytes);
    buf_clear(&t.content);
    atomic_fetch_add(&t.n_asked, 1);
    switch (atomic_load(&t.habit)) {
    case ANSWERS:
    case SENDS_STRANGE_TYPE:
        answer(tag, slice_of(text, (size_t)n), (size_t)n);
        break;
    case LIES_ABOUT_BYTES:
        answer(tag, slice_of(text, (size_t)n), (size_t)n + 1);
        break;
    case ANSWERS_BIG: {
        char *big = mem_new(3 << 20);
        memset(big, 'x', 3 << 20);
        answer(tag, slice_of(big, 3 << 20), 3 << 20);
        mem_free(&big);
        break;
    }
    case DIES:
        net_link_close(&t.core);
        break;
    case IS_SILENT:
        break;
    }
}

static void on_core_frame(void *, struct net_link *, struct net_frame *f)
{
    struct ipc_request q;
    if (f->type == IPC_T_content) {
        buf_adds(&t.content, f->payload);
    } else if (f->type == IPC_T_request) {
        assert_true(ipc_request_unpack(f->payload, NULL, &q));
        on_asked(f->tag, &q);
    } else if (f->type == IPC_T_refusals) {
        atomic_fetch_add(&t.n_refusals, 1);
    } else if (f->type == IPC_T_figures) {
        atomic_fetch_add(&t.n_figures, 1);
    } else {
        assert_int_equal(f->type, IPC_T_highs);
    }
}

static void on_core_closed(void *, struct net_link *)
{
    net_link_close(&t.core);
}

static void connect_core(void *)
{
    int pair[2];
    const struct net_link_options options = {.frame_max = IPC_LIST_FRAME_MAX,
                                             .queue_max = 64 << 20,
                                             .frame = on_core_frame,
                                             .closed = on_core_closed};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    net_link_close(&t.core);
    t.core = net_link_open(t.loop, pair[0], &options);
    web_core_link(t.server, pair[1]);
}

static void on_nonsense(void *, const char *)
{
    atomic_fetch_add(&t.n_nonsense, 1);
}

/* ---- the thread ---- */

static void *run(void *)
{
    struct errinfo ei;
    t.loop = net_loop_create();
    assert_int_equal(web_create(t.loop, &t.options, &t.server, &ei), ERR_OK);
    connect_core(NULL);
    pthread_barrier_wait(&t.gate);
    net_loop_run(t.loop);
    return NULL;
}

static int listen_unix(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(t.socket, sizeof(t.socket), "/tmp/staffetta-web-%d.sock", (int)getpid());
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", t.socket);
    unlink(t.socket);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 100), 0);
    return fd;
}

static int listen_tcp(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 100), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    t.metrics_port = ntohs(a.sin_port);
    return fd;
}

static struct web_names *names;

static void begin(enum habit habit, mono_us timeout)
{
    memset(&t, 0, sizeof(t));
    t.content = buf_make(16 << 20);
    atomic_store(&t.habit, habit);
    t.options = (struct web_options){.admin_fd = listen_unix(),
                                     .metrics_fd = listen_tcp(),
                                     .n_requests_max = 4,
                                     .timeout = timeout,
                                     .names = names,
                                     .nonsense = on_nonsense};
    pthread_barrier_init(&t.gate, NULL, 2);
    pthread_create(&t.thread, NULL, run, NULL);
    pthread_barrier_wait(&t.gate);
}

static int end(void **)
{
    net_loop_stop(t.loop);
    pthread_join(t.thread, NULL);
    web_destroy(&t.server);
    net_link_close(&t.core);
    net_loop_destroy(&t.loop);
    buf_finish(&t.content);
    unlink(t.socket);
    return 0;
}

/* ---- a peer ---- */

static int dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", t.socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static int dial_metrics(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(t.metrics_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads until the peer closes or `until` was seen; 5 s at most. */
static void hear(int fd, struct buf *b, const char *until)
{
    char bytes[65536];
    for (mono_us end_at = mono_now() + SECONDS(5); mono_now() < end_at;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (until && strstr(buf_cstr(b), until))
            return;
        if (poll(&p, 1, 100) <= 0)
            continue;
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            return;
        buf_add(b, bytes, (size_t)n);
    }
    fail_msg("waited too long; heard so far: %.200s", buf_cstr(b));
}

#define CLOSING " HTTP/1.1\r\nHost: staffetta\r\nConnection: close\r\n"

static void expect_from(int fd, const char *request, const char *status, const char *part)
{
    SCOPED(buf_finish) struct buf b = buf_make(8 << 20);
    say(fd, request);
    hear(fd, &b, NULL);
    close(fd);
    if (!strstr(buf_cstr(&b), status) || !strstr(buf_cstr(&b), part))
        fail_msg("expected %s and %s, heard: %.400s", status, part, buf_cstr(&b));
}

static void expect(const char *request, const char *status, const char *part)
{
    expect_from(dial(), request, status, part);
}

/* ---- tests ---- */

static void passes_requests_to_core_and_answers_back(void **)
{
    begin(ANSWERS, 0);
    expect("GET /v1/persons/a%40b?tenant=a%20b&limit=5" CLOSING "\r\n", "HTTP/1.1 200",
           "{\"method\":\"GET\",\"bytes\":0}");
    assert_string_equal(t.path, "/v1/persons/a%40b");
    assert_string_equal(t.query, "tenant=a%20b&limit=5");
    assert_non_null(strstr(t.by, "uid 0 (root)"));
    expect("POST /v1/tenants" CLOSING "Content-Type: application/json; charset=utf-8\r\n"
           "Content-Length: 14\r\n\r\n{\"name\":\"rossi",
           "HTTP/1.1 200", "{\"method\":\"POST\",\"bytes\":14}");
    expect("DELETE /v1/persons/x" CLOSING "\r\n", "HTTP/1.1 200", "DELETE");
}

static void keeps_a_connection_for_several_requests(void **)
{
    begin(ANSWERS, 0);
    SCOPED(fd_close) int fd = dial();
    for (int i = 0; i < 20; i++) {
        SCOPED(buf_finish) struct buf b = buf_make(10000);
        say(fd, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
        hear(fd, &b, "\"bytes\":0}");
    }
    assert_int_equal(atomic_load(&t.n_asked), 20);
}

static void carries_big_bodies_both_ways(void **)
{
    begin(ANSWERS_BIG, 0);
    SCOPED(buf_finish) struct buf b = buf_make(16 << 20);
    size_t n = 3000000;
    int fd = dial();
    buf_addf(&b,
             "POST /v1/persons/import" CLOSING "Content-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             n);
    memset(buf_room(&b, n), ' ', n);
    for (size_t at = 0; at < b.n;) {
        ssize_t sent = send(fd, b.p + at, b.n - at, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += (size_t)sent;
    }
    buf_clear(&b);
    hear(fd, &b, NULL);
    close(fd);
    assert_non_null(strstr(buf_cstr(&b), "Content-Length: 3145728\r\n"));
    assert_true(b.n > 3 << 20);
    assert_int_equal(t.n_content, n);
}

static void refuses_what_is_too_big_or_no_json(void **)
{
    begin(ANSWERS, 0);
    SCOPED(buf_finish) struct buf b = buf_make(20000);
    expect("POST /v1/tenants" CLOSING "Content-Type: application/json\r\n"
           "Content-Length: 9000000\r\n\r\n",
           "HTTP/1.1 413", "The body is bigger than 8 MiB");
    expect("POST /v1/tenants" CLOSING "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
           "HTTP/1.1 415", "application/json");
    expect("POST /v1/tenants" CLOSING "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 415", "Not JSON");
    buf_adds(&b, SLICE("GET /v1/persons/"));
    memset(buf_room(&b, 3000), 'a', 3000);
    buf_adds(&b, SLICE(CLOSING "\r\n"));
    expect(buf_cstr(&b), "HTTP/1.1 414", "too long");
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 200", "GET");
    assert_int_equal(atomic_load(&t.n_asked), 1);
}

static uint64_t n_counted(void)
{
    static struct refuse_count counts[REFUSE_N];
    (void)refuse_take_counts(counts);
    return counts[REFUSE_ADMIN_REQUEST].n;
}

/* Ours says why, in JSON; beyond its memory the library says so in its own words. All count. */
static void refuses_heads_that_are_too_long_and_counts_them(void **)
{
    static const struct {
        size_t n;
        const char *status, *part;
    } heads[] = {{15000, "HTTP/1.1 200", "GET"},
                 {17000, "HTTP/1.1 431", "longer than 16 KiB"},
                 {24000, "HTTP/1.1 431", "\"title\":\"Too long\""},
                 {80000, "HTTP/1.1 4", "<html>"}};
    begin(ANSWERS, 0);
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(300000);
        (void)n_counted();
        buf_adds(&b, SLICE("GET /v1/status" CLOSING));
        for (size_t n = 0; n < heads[i].n; n += 100)
            buf_addf(&b, "X-%04zu: %091d\r\n", n / 100, 0);
        buf_adds(&b, SLICE("\r\n"));
        expect(buf_cstr(&b), heads[i].status, heads[i].part);
        assert_int_equal(n_counted(), i > 0);
    }
    expect("GET /v1/status HTTP/1.1\r\nNo host\r\n\r\n", "HTTP/1.1 400", "<html>");
    assert_int_equal(n_counted(), 1);
    expect("POST /v1/tenants" CLOSING "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 415", "Not JSON");
    assert_int_equal(n_counted(), 1);
}

static void refuses_endless_chunks(void **)
{
    begin(ANSWERS, 0);
    SCOPED(fd_close) int fd = dial();
    static char chunk[65536 + 16];
    int head = snprintf(chunk, sizeof(chunk), "10000\r\n");
    memset(chunk + head, ' ', 65536);
    memcpy(chunk + head + 65536, "\r\n", 2);
    say(fd, "POST /v1/tenants" CLOSING "Content-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    size_t sent = 0;
    while (sent < 64 << 20) {
        ssize_t n = send(fd, chunk, (size_t)head + 65538, MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    assert_true(sent < 16 << 20); /* hung up long before */
    assert_int_equal(atomic_load(&t.n_asked), 0);
}

static void says_in_time_that_core_is_slow(void **)
{
    begin(IS_SILENT, MILLISECONDS(300));
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 504", "no answer within the time");
    atomic_store(&t.habit, ANSWERS);
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 200", "GET");
}

static void says_that_core_is_away_and_takes_the_next_one(void **)
{
    begin(DIES, 0);
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 503", "starting again");
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 503", "starting again");
    atomic_store(&t.habit, ANSWERS);
    net_loop_post(t.loop, connect_core, NULL);
    usleep(50000);
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 200", "GET");
    assert_int_equal(atomic_load(&t.n_nonsense), 0);
}

static void ends_the_link_of_a_core_that_lies(void **state)
{
    static const enum habit habits[] = {LIES_ABOUT_BYTES, SENDS_STRANGE_TYPE};
    for (size_t i = 0; i < 2; i++) {
        begin(habits[i], 0);
        expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 503", "Not now");
        for (int k = 0; k < 300 && atomic_load(&t.n_nonsense) == 0; k++)
            usleep(10000); /* it is told after everybody has been answered */
        assert_int_equal(atomic_load(&t.n_nonsense), 1);
        if (i == 0)
            end(state);
    }
}

static void takes_another_ceiling_while_it_runs(void **)
{
    begin(IS_SILENT, MILLISECONDS(800));
    int fd = dial();
    say(fd, "GET /v1/status" CLOSING "\r\n");
    while (atomic_load(&t.n_asked) < 1)
        usleep(1000);
    web_limit(t.server, 1);
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 503", "too much is asked");
    close(fd);
}

static void refuses_more_requests_than_allowed(void **)
{
    begin(IS_SILENT, MILLISECONDS(800));
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial();
        say(fds[i], "GET /v1/status" CLOSING "\r\n");
    }
    while (atomic_load(&t.n_asked) < 4)
        usleep(1000);
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 503", "too much is asked");
    for (int i = 0; i < 4; i++) {
        SCOPED(buf_finish) struct buf b = buf_make(10000);
        hear(fds[i], &b, NULL);
        assert_non_null(strstr(buf_cstr(&b), "504"));
        close(fds[i]);
    }
    for (int i = 0; i < 300 && atomic_load(&t.n_refusals) == 0; i++)
        usleep(10000);
    assert_true(atomic_load(&t.n_refusals) > 0); /* no limit is silent */
    assert_true(atomic_load(&t.n_figures) > 0);
    atomic_store(&t.habit, ANSWERS);
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 200", "GET");
}

static void gives_figures_and_health_only_on_tcp(void **)
{
    begin(ANSWERS, 0);
    expect_from(dial_metrics(), "GET /metrics" CLOSING "\r\n", "HTTP/1.1 200", "GET");
    assert_string_equal(t.path, "/v1/metrics");
    assert_string_equal(t.by, "metrics from 127.0.0.1");
    expect_from(dial_metrics(), "GET /health" CLOSING "\r\n", "HTTP/1.1 200", "GET");
    assert_string_equal(t.path, "/v1/health");
    expect_from(dial_metrics(), "GET /v1/status" CLOSING "\r\n", "HTTP/1.1 404", "local socket");
    expect_from(dial_metrics(), "GET /metrics?x=1" CLOSING "\r\n", "HTTP/1.1 404", "local socket");
    expect_from(dial_metrics(), "POST /metrics" CLOSING "Content-Length: 2\r\n\r\n{}",
                "HTTP/1.1 405", "Only GET");
    assert_int_equal(atomic_load(&t.n_asked), 2);
}

static void survives_peers_that_leave(void **)
{
    begin(IS_SILENT, MILLISECONDS(300));
    for (int i = 0; i < 4; i++) {
        int fd = dial();
        say(fd, "GET /v1/status" CLOSING "\r\n");
        while (atomic_load(&t.n_asked) < (unsigned)i + 1)
            usleep(1000);
        close(fd);
    }
    int fd = dial();
    say(fd, "GET /v1/sta");
    close(fd);
    atomic_store(&t.habit, ANSWERS);
    usleep(700000); /* the four have been given up */
    expect("GET /v1/status" CLOSING "\r\n", "HTTP/1.1 200", "GET");
}

static void stopped(void *)
{
    atomic_store(&t.is_stopped, true);
}

static void stop_it(void *)
{
    web_stop(t.server, MILLISECONDS(500), stopped, NULL);
}

static void stops_patiently_and_refuses_meanwhile(void **)
{
    begin(IS_SILENT, SECONDS(20));
    SCOPED(fd_close) int open = dial();
    int late = dial();
    say(open, "GET /v1/status" CLOSING "\r\n");
    while (atomic_load(&t.n_asked) < 1)
        usleep(1000);
    net_loop_post(t.loop, stop_it, NULL);
    usleep(100000);
    assert_false(atomic_load(&t.is_stopped));
    expect_from(late, "GET /v1/status" CLOSING "\r\n", "HTTP/1.1 503", "Not now");
    for (int i = 0; i < 300 && !atomic_load(&t.is_stopped); i++)
        usleep(10000);
    assert_true(atomic_load(&t.is_stopped));
    assert_int_equal(atomic_load(&t.n_asked), 1);
}

static void stops_at_once_with_requests_waiting(void **)
{
    begin(IS_SILENT, SECONDS(20));
    for (int i = 0; i < 3; i++)
        say(dial(), "GET /v1/status" CLOSING "\r\n");
    while (atomic_load(&t.n_asked) < 3)
        usleep(1000);
    /* the teardown destroys it: libmicrohttpd would abort on a suspended connection */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(passes_requests_to_core_and_answers_back, end),
        cmocka_unit_test_teardown(keeps_a_connection_for_several_requests, end),
        cmocka_unit_test_teardown(carries_big_bodies_both_ways, end),
        cmocka_unit_test_teardown(refuses_what_is_too_big_or_no_json, end),
        cmocka_unit_test_teardown(refuses_heads_that_are_too_long_and_counts_them, end),
        cmocka_unit_test_teardown(refuses_endless_chunks, end),
        cmocka_unit_test_teardown(says_in_time_that_core_is_slow, end),
        cmocka_unit_test_teardown(says_that_core_is_away_and_takes_the_next_one, end),
        cmocka_unit_test_teardown(ends_the_link_of_a_core_that_lies, end),
        cmocka_unit_test_teardown(refuses_more_requests_than_allowed, end),
        cmocka_unit_test_teardown(takes_another_ceiling_while_it_runs, end),
        cmocka_unit_test_teardown(gives_figures_and_health_only_on_tcp, end),
        cmocka_unit_test_teardown(survives_peers_that_leave, end),
        cmocka_unit_test_teardown(stops_patiently_and_refuses_meanwhile, end),
        cmocka_unit_test_teardown(stops_at_once_with_requests_waiting, end),
    };
    log_init("test", LOG_ERROR);
    names = web_names_load();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    web_names_destroy(&names);
    return failed;
}
