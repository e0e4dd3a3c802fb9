/* Bodies of people's requests, uploads and downloads: who may send how much, when it is let in,
 * what is done while core is busy, and when it dies. Real sockets on both sides. */
#include "web/people_int.h"
#include "web/test/people_kit.h"

/* ---- bodies ---- */

static void takes_requests_as_clients_send_them(void **)
{
    fake_begin(NULL);
    expect("POST /jmap/api" CLOSING GOOD "Content-Type: application/json\r\n"
           "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n5;x=y\r\n\":1}\n\r\n0\r\n\r\n",
           "HTTP/1.1 200", "\"bytes\":8}");
    expect("HEAD /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 200", "Content-Length: 20\r\n");
    assert_null(strstr(buf_cstr(&heard), "kind"));
    SCOPED(fd_close) int fd = dial();
    forget();
    say(fd, "GET /jmap/session HTTP/1.1\r\nHost: a\r\n" GOOD "\r\n"
            "POST /jmap/api HTTP/1.1\r\nHost: a\r\n" GOOD "Content-Type: application/json\r\n"
            "Content-Length: 2\r\n\r\n{}GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, "\"kind\":1,\"bytes\":0}");
    hear(fd, "\"kind\":2,\"bytes\":2}");
    hear(fd, "HTTP/1.1 404");
    SCOPED(fd_close) int half = dial();
    forget();
    say(half, "GET /jmap/session" CLOSING GOOD "\r\n");
    shutdown(half, SHUT_WR);
    hear(half, "\"kind\":1");
}

/* The one connection has been idle for nearly as long as it may. False: it is not idle yet. */
static bool is_almost_over(void)
{
    bool is_found = false;
    pthread_mutex_lock(&fake.server->lock);
    LIST_FOREACH (node, &fake.server->conns) {
        struct conn *k = container_of(node, struct conn, node);
        is_found = !k->is_busy;
        if (is_found)
            k->deadline = mono_now() + MILLISECONDS(500);
    }
    pthread_mutex_unlock(&fake.server->lock);
    return is_found;
}

static void gives_a_request_its_time_after_an_idle_one(void **)
{
    fake_begin(NULL);
    SCOPED(fd_close) int fd = dial();
    forget();
    say(fd, "GET /jmap/session HTTP/1.1\r\nHost: a\r\n" GOOD "\r\n");
    hear(fd, "\"kind\":1,\"bytes\":0}");
    while (!is_almost_over())
        usleep(1000);
    say(fd, "POST /jmap/api HTTP/1.1\r\nHost: a\r\n" GOOD "Content-Type: application/json\r\n"
            "Content-Length: 2\r\n\r\n");
    usleep(1000000); /* looks at who is too slow */
    say(fd, "{}");
    hear(fd, "\"kind\":2,\"bytes\":2}");
}

static void waits_with_an_upload_until_it_may(void **)
{
    fake_begin(NULL);
    SCOPED(fd_close) int fd = dial();
    forget();
    say(fd, "POST /jmap/upload/A1/" CLOSING GOOD "Content-Type: text/plain\r\n"
            "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    hear(fd, "HTTP/1.1 100");
    say(fd, "hallo");
    hear(fd, "\"bytes\":5}");
    assert_string_equal(fake.last.type, "text/plain");
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_CHECK]), 1);
    SCOPED(fd_close) int stranger = dial();
    forget();
    say(stranger, "POST /jmap/upload/A1/" CLOSING "Content-Length: 5\r\n"
                  "Expect: 100-continue\r\n\r\n");
    hear(stranger, "HTTP/1.1 401");
    assert_null(strstr(buf_cstr(&heard), "HTTP/1.1 100"));
    assert_int_equal(atomic_load(&fake.n_content), 5);
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_UPLOAD]), 1);
}

/* A request to /jmap/api with a body of `n` bytes; `how` are headers. */
static void ask_at_length(const char *how, size_t n, const char *status, const char *part)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    bool is_chunked = strstr(how, "chunked") != NULL;
    buf_addf(&b, "POST /jmap/api" CLOSING "%sContent-Type: application/json\r\n", how);
    buf_addf(&b, is_chunked ? "\r\n%zx\r\n" : "Content-Length: %zu\r\n\r\n", n);
    memset(buf_room(&b, n), ' ', n);
    buf_adds(&b, is_chunked ? SLICE("\r\n0\r\n\r\n") : SLICE(""));
    expect(buf_cstr(&b), status, part);
}

static void asks_whose_a_long_request_is_before_it_is_kept(void **)
{
    static const struct {
        const char *how;
        size_t n;
        unsigned n_checks;
        const char *part;
    } rows[] = {
        {GOOD, 65536, 0, "\"kind\":2,\"bytes\":65536}"},
        {GOOD, 65537, 1, "\"kind\":2,\"bytes\":65537}"},
        {GOOD "Transfer-Encoding: chunked\r\n", 2, 1, "\"kind\":2,\"bytes\":2}"},
        {GOOD "Transfer-Encoding: chunked\r\n", 100000, 1, "\"kind\":2,\"bytes\":100000}"},
    };
    fake_begin(NULL);
    for (size_t i = 0; i < N(rows); i++) {
        atomic_store(&fake.n_of[IPC_CALL_CHECK], 0);
        ask_at_length(rows[i].how, rows[i].n, "HTTP/1.1 200", rows[i].part);
        assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_CHECK]), rows[i].n_checks);
    }
}

/* None of them sends its body: the answer comes without it. */
static void keeps_no_long_request_of_a_stranger(void **)
{
    static const char *const lengths[] = {
        "Content-Length: 65537\r\n",
        "Content-Length: 8388608\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    };
    fake_begin(NULL);
    for (size_t i = 0; i < N(lengths); i++) {
        char request[400];
        snprintf(request, sizeof(request),
                 "POST /jmap/api" CLOSING "Content-Type: application/json\r\n%s\r\n", lengths[i]);
        expect(request, "HTTP/1.1 401", "WWW-Authenticate: ");
        assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_CHECK]), i + 1);
    }
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_API]), 0);
}

/* Core takes nothing for a while: the client is made to wait, our memory stays small. */
static void holds_an_upload_back_while_core_is_busy(void **)
{
    pthread_t sender;
    fake_begin(NULL);
    int fd = dial();
    forget();
    pthread_create(&sender, NULL, send_bytes, &fd);
    while (atomic_load(&fake.n_content) == 0)
        usleep(100);
    net_loop_post(fake.loop, pause_core, NULL);
    usleep(300000);
    assert_true(atomic_load(&fake.n_content) < 40 << 20);
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_UPLOAD]), 0);
    net_loop_post(fake.loop, go_on, NULL);
    pthread_join(sender, NULL);
    hear(fd, NULL);
    close(fd);
    expect_heard("\"bytes\":41943040}");
    assert_int_equal(atomic_load(&fake.n_content), 40 << 20);
}

/* Uploads that are held back are made to have been so for an hour; those of which core has
 * something already, or those of which it has nothing. False: there is none. */
static bool make_wait_long(bool is_begun)
{
    bool is_found = false;
    pthread_mutex_lock(&fake.server->lock);
    LIST_FOREACH (node, &fake.server->people.uploads) {
        struct call *c = container_of(node, struct call, upload);
        if (c->phase != CALL_PAUSED || (c->n_received > 0) != is_begun)
            continue;
        c->begun_at -= SECONDS(3600);
        c->paused_at -= SECONDS(3600);
        is_found = true;
    }
    pthread_mutex_unlock(&fake.server->lock);
    return is_found;
}

static void charges_no_client_for_the_time_that_core_was_busy(void **)
{
    pthread_t sender;
    fake_begin(NULL);
    int large = dial();
    SCOPED(fd_close) int small = dial();
    say(small, "POST /jmap/upload/A1/" CLOSING GOOD "Content-Length: 8\r\n\r\n");
    wait_for(&fake.n_of[IPC_CALL_CHECK], 1);
    pthread_create(&sender, NULL, send_bytes, &large);
    while (atomic_load(&fake.n_content) == 0)
        usleep(100);
    net_loop_post(fake.loop, pause_core, NULL);
    while (!make_wait_long(true))
        usleep(1000);
    say(small, "half");
    while (!make_wait_long(false))
        usleep(1000);
    net_loop_post(fake.loop, go_on, NULL);
    while (atomic_load(&fake.n_content) < (40 << 20) + 4)
        usleep(1000);
    usleep(600000); /* two looks at who is too slow */
    say(small, "rest");
    forget();
    hear(small, "\"bytes\":8}");
    pthread_join(sender, NULL);
    forget();
    hear(large, "\"bytes\":41943040}");
    close(large);
}

static void takes_back_what_a_client_left_half_sent(void **)
{
    fake_begin(NULL);
    int fd = dial();
    say(fd, "POST /jmap/upload/A1/" CLOSING GOOD "Content-Length: 50\r\n\r\nhalf");
    while (atomic_load(&fake.n_content) < 4)
        usleep(1000);
    close(fd);
    wait_for(&fake.n_drops, 1);
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_UPLOAD]), 0);
}

static void ends_an_upload_whose_core_died(void **)
{
    fake_begin(NULL);
    SCOPED(fd_close) int fd = dial();
    forget();
    say(fd, "POST /jmap/upload/A1/" CLOSING GOOD "Content-Length: 8\r\n\r\nhalf");
    while (atomic_load(&fake.n_content) < 4)
        usleep(1000);
    net_loop_post(fake.loop, fake_connect, NULL);
    usleep(50000);
    say(fd, "rest");
    hear(fd, "HTTP/1.1 503");
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_UPLOAD]), 0);
}

/* The last that the client says comes while core goes and another one takes its place: the HTTP
 * thread waits for the lock with what it knew before. */
static void asks_no_new_core_for_half_an_upload(void **)
{
    fake_begin(NULL);
    SCOPED(fd_close) int fd = dial();
    forget();
    say(fd, "POST /jmap/upload/A1/" CLOSING GOOD "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    while (atomic_load(&fake.n_content) < 4)
        usleep(1000);
    pthread_mutex_lock(&fake.server->lock);
    say(fd, "0\r\n\r\n");
    usleep(50000);
    web_call_close_all(fake.server);
    pthread_mutex_unlock(&fake.server->lock);
    hear(fd, "HTTP/1.1 503");
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_UPLOAD]), 0);
}

static void refuses_endless_chunks(void **)
{
    static char chunk[65536 + 16];
    fake_begin(NULL);
    SCOPED(fd_close) int fd = dial();
    int head = snprintf(chunk, sizeof(chunk), "10000\r\n");
    memset(chunk + head, ' ', 65536);
    memcpy(chunk + head + 65536, "\r\n", 2);
    say(fd, "POST /jmap/api" CLOSING GOOD "Content-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    size_t sent = 0;
    while (sent < 64 << 20) {
        ssize_t n = send(fd, chunk, (size_t)head + 65538, MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    assert_true(sent < 24 << 20); /* hung up long before */
    assert_int_equal(atomic_load(&fake.n_of[IPC_CALL_API]), 0);
}

/* ---- downloads ---- */

static void cuts_downloads_out_of_messages(void **)
{
    struct ipc_step steps[] = {{8, 12, 'b'}, {0, 8, 'b'}};
    fake_begin(NULL);
    fake.answer = (struct ipc_called){.status = 200, .steps = steps, .n_steps = 2};
    fake.body = SLICE("Header\r\nU0dGc2JHOD0=rest");
    expect("GET /jmap/download/A1/M2/B%C3%A4r.txt?accept=text%2Fplain" CLOSING GOOD "\r\n",
           "HTTP/1.1 200", "Content-Type: text/plain\r\n");
    expect_heard("\r\n\r\nHallo");
    expect_heard("Content-Length: 5\r\n");
    expect_heard("Content-Disposition: inline; filename=\"B_r.txt\"; "
                 "filename*=UTF-8''B%C3%A4r.txt\r\n");
    expect_heard("Cache-Control: private, max-age=31536000, immutable\r\n");
    expect_heard("Content-Security-Policy: sandbox; ");
    expect("GET /jmap/download/A1/M2/x?accept=text/html" CLOSING GOOD "\r\n", "HTTP/1.1 200",
           "Content-Disposition: attachment; ");
    expect("GET /jmap/download/A1/M2/x?accept=a%0d%0aX:y" CLOSING GOOD "\r\n", "HTTP/1.1 200",
           "Content-Type: application/octet-stream\r\n");
    steps[0].bytes = 1000;
    expect("GET /jmap/download/A1/M2/x" CLOSING GOOD "\r\n", "HTTP/1.1 502",
           "could not be decoded");
}

static void carries_large_downloads(void **)
{
    size_t n = 60 << 20;
    char *bytes = mem_new(n);
    memset(bytes, 'x', n);
    fake_begin(NULL);
    fake.answer = (struct ipc_called){.status = 200};
    fake.body = slice_of(bytes, n);
    expect("GET /jmap/download/A1/M2/x" CLOSING GOOD "\r\n", "HTTP/1.1 200",
           "Content-Length: 62914560\r\n");
    assert_true(heard.n > n);
    struct web_people small = {.n_bytes_max = 10 << 20};
    web_people(fake.server, &small);
    (void)n_refused(REFUSE_WEB_BYTES);
    expect("GET /jmap/download/A1/M2/x" CLOSING GOOD "\r\n", "HTTP/1.1 503", "large requests");
    expect_refused(REFUSE_WEB_BYTES, 1);
    mem_free(&bytes);
}

static void leaves_room_for_others_beside_one_address(void **)
{
    size_t n = 6 << 20;
    char *bytes = mem_new(n);
    struct web_people people = {.n_bytes_per_address = 10 << 20, .n_proxies = 1};
    memset(bytes, 'x', n);
    assert_true(net_network_parse(SLICE("127.0.0.0/8"), &people.proxies[0]));
    fake_begin(&people);
    SCOPED(fd_close) int slow = dial(); /* and never takes it */
    assert_int_equal(setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)), 0);
    fake.answer = (struct ipc_called){.status = 200};
    fake.body = slice_of(bytes, n);
    say(slow, "GET /jmap/download/A1/M2/x" CLOSING GOOD "X-Forwarded-For: 192.0.2.1\r\n\r\n");
    forget();
    hear(slow, "HTTP/1.1 200");
    (void)n_refused(REFUSE_WEB_BYTES_ADDRESS);
    expect("GET /jmap/download/A1/M2/x" CLOSING GOOD "X-Forwarded-For: 192.0.2.1\r\n\r\n",
           "HTTP/1.1 429", "from your address");
    expect_heard("Retry-After: 10\r\n");
    expect("POST /jmap/upload/A1/" CLOSING GOOD "X-Forwarded-For: 192.0.2.1\r\n"
           "Content-Length: 5000000\r\n\r\n",
           "HTTP/1.1 429", "from your address");
    expect_refused(REFUSE_WEB_BYTES_ADDRESS, 2);
    for (int i = 0; i < 3; i++) /* what was taken counts no more */
        expect("GET /jmap/download/A1/M2/x" CLOSING GOOD "X-Forwarded-For: 192.0.2.2\r\n\r\n",
               "HTTP/1.1 200", "xxx");
    fake.body = SLICE("small");
    expect("GET /jmap/session" CLOSING GOOD "X-Forwarded-For: 192.0.2.1\r\n\r\n", "HTTP/1.1 200",
           "small");
    mem_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(takes_requests_as_clients_send_them, end),
        cmocka_unit_test_teardown(gives_a_request_its_time_after_an_idle_one, end),
        cmocka_unit_test_teardown(waits_with_an_upload_until_it_may, end),
        cmocka_unit_test_teardown(asks_whose_a_long_request_is_before_it_is_kept, end),
        cmocka_unit_test_teardown(keeps_no_long_request_of_a_stranger, end),
        cmocka_unit_test_teardown(holds_an_upload_back_while_core_is_busy, end),
        cmocka_unit_test_teardown(charges_no_client_for_the_time_that_core_was_busy, end),
        cmocka_unit_test_teardown(takes_back_what_a_client_left_half_sent, end),
        cmocka_unit_test_teardown(ends_an_upload_whose_core_died, end),
        cmocka_unit_test_teardown(asks_no_new_core_for_half_an_upload, end),
        cmocka_unit_test_teardown(refuses_endless_chunks, end),
        cmocka_unit_test_teardown(cuts_downloads_out_of_messages, end),
        cmocka_unit_test_teardown(carries_large_downloads, end),
        cmocka_unit_test_teardown(leaves_room_for_others_beside_one_address, end),
    };
    log_init("test", LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_finish(&heard);
    return failed;
}
