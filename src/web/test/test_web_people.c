/* What people's programs ask over HTTP, with real sockets on both sides: what core is asked, what
 * they are answered, and what happens to those who ask too much, too slowly, or leave. Bodies:
 * test_web_bodies.c. */
#include "web/test/people_kit.h"

/* ---- asking ---- */

static void gives_each_route_its_call(void **)
{
    static const struct {
        const char *request;
        uint8_t kind;
        const char *account, *blob;
    } rows[] = {
        {"GET /.well-known/jmap" CLOSING GOOD "\r\n", IPC_CALL_SESSION, "", ""},
        {"GET /jmap/session?x=1" CLOSING GOOD "\r\n", IPC_CALL_SESSION, "", ""},
        {"GET /jmap/download/A1/M2/x" CLOSING GOOD "\r\n", IPC_CALL_DOWNLOAD, "A1", "M2"},
        {"POST /auth/login" CLOSING "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
         IPC_CALL_LOGIN, "", ""},
        {"POST /jmap/api" CLOSING GOOD
         "Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
         IPC_CALL_API, "", ""},
        {"POST /jmap/upload/A1/" CLOSING GOOD "Content-Length: 0\r\n\r\n", IPC_CALL_UPLOAD, "A1",
         ""},
    };
    fake_begin(NULL);
    for (size_t i = 0; i < N(rows); i++) {
        expect(rows[i].request, "HTTP/1.1 200", "");
        assert_int_equal(fake.last.kind, rows[i].kind);
        assert_string_equal(fake.last.account, rows[i].account);
        assert_string_equal(fake.last.blob, rows[i].blob);
    }
    expect("POST /auth/logout" CLOSING GOOD "Content-Length: 0\r\n\r\n", "HTTP/1.1 204", "");
    assert_int_equal(fake.last.kind, IPC_CALL_LOGOUT);
}

static void passes_on_who_asks_from_where(void **)
{
    fake_begin(NULL);
    expect("GET /jmap/session HTTP/1.1\r\nHost: Mail.Example.TEST:8443\r\nConnection: close\r\n"
           "Authorization: Basic dTpw\r\nCookie: a=b; __Host-staffetta=v.1; c=d\r\nX-CSRF: t\r\n"
           "Origin: https://web.example.test\r\nUser-Agent: test\r\n"
           "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: evil.test\r\n"
           "X-Forwarded-Proto: https\r\n\r\n",
           "HTTP/1.1 200", "\"kind\":1");
    assert_string_equal(fake.last.authorization, "Basic dTpw");
    assert_string_equal(fake.last.cookie, "v.1");
    assert_string_equal(fake.last.csrf, "t");
    assert_string_equal(fake.last.from_origin, "https://web.example.test");
    assert_string_equal(fake.last.agent, "test");
    assert_string_equal(fake.last.client, "127.0.0.1");
    assert_string_equal(fake.last.origin, "http://mail.example.test:8443");
}

static void believes_a_listed_proxy(void **)
{
    struct web_people people = {.n_proxies = 1};
    assert_true(net_network_parse(SLICE("127.0.0.0/8"), &people.proxies[0]));
    fake_begin(&people);
    expect("GET /jmap/session" CLOSING GOOD
           "X-Forwarded-For: 198.51.100.9, 192.0.2.1\r\nX-Forwarded-Host: post.example.test\r\n"
           "X-Forwarded-Proto: https\r\n\r\n",
           "HTTP/1.1 200", "Strict-Transport-Security: max-age=31536000\r\n");
    assert_string_equal(fake.last.client, "192.0.2.1");
    assert_string_equal(fake.last.origin, "https://post.example.test");
}

static void believes_the_last_line_of_who_was_forwarded(void **)
{
    struct web_people people = {.n_proxies = 1};
    static const struct {
        const char *lines, *client;
    } rows[] = {
        {"X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"},
        {"X-Forwarded-For: 198.51.100.9\r\nx-forwarded-for: 192.0.2.1\r\n", "192.0.2.1"},
        {"X-Forwarded-For: 198.51.100.9\r\nX-Other: 1\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.2\r\n"
         "X-Forwarded-For: 127.0.0.3\r\n",
         "192.0.2.1"},
        {"X-Forwarded-For:\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"},
        {"X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-For: 192.0.2.1 x\r\n", "127.0.0.1"},
    };
    assert_true(net_network_parse(SLICE("127.0.0.0/8"), &people.proxies[0]));
    fake_begin(&people);
    for (size_t i = 0; i < N(rows); i++) {
        char request[400];
        snprintf(request, sizeof(request), "GET /jmap/session" CLOSING GOOD "%s\r\n",
                 rows[i].lines);
        expect(request, "HTTP/1.1 200", "");
        assert_string_equal(fake.last.client, rows[i].client);
    }
}

static void takes_as_many_lines_of_who_was_forwarded_as_fit(void **)
{
    struct web_people people = {.n_proxies = 1};
    SCOPED(buf_finish) struct buf b = buf_make(8000);
    assert_true(net_network_parse(SLICE("127.0.0.0/8"), &people.proxies[0]));
    fake_begin(&people);
    buf_adds(&b, SLICE("GET /jmap/session" CLOSING GOOD));
    while (b.n < 6000)
        buf_addf(&b, "X-Forwarded-For: %090d\r\n", 1);
    buf_adds(&b, SLICE("X-Forwarded-For: 192.0.2.1\r\n\r\n"));
    expect(buf_cstr(&b), "HTTP/1.1 200", "");
    assert_string_equal(fake.last.client, "192.0.2.1");
}

static void gives_its_own_name_where_the_settings_say_one(void **)
{
    const struct web_people people = {.url = "https://mail.example.test"};
    fake_begin(&people);
    expect("GET /jmap/session HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n" GOOD "\r\n",
           "HTTP/1.1 200", "");
    assert_string_equal(fake.last.origin, "https://mail.example.test");
    expect("GET /jmap/session HTTP/1.0\r\n" GOOD "\r\n", "200", "\"kind\":1");
}

static void refuses_in_json_and_counts_it(void **)
{
    static const struct {
        const char *request, *status, *part;
        enum refuse_id id;
    } rows[] = {
        {"GET /" CLOSING "\r\n", "HTTP/1.1 404", "application/problem+json", REFUSE_WEB_REQUEST},
        {"GET /v1/status" CLOSING "\r\n", "HTTP/1.1 404", "/.well-known/jmap", REFUSE_WEB_REQUEST},
        {"GET /jmap/api" CLOSING "\r\n", "HTTP/1.1 405", "Allow: POST, OPTIONS\r\n",
         REFUSE_WEB_REQUEST},
        {"DELETE /jmap/session" CLOSING "\r\n", "HTTP/1.1 405", "Allow: GET, HEAD, OPTIONS\r\n",
         REFUSE_WEB_REQUEST},
        {"OPTIONS /auth/login" CLOSING "\r\n", "HTTP/1.1 405", "Allow: POST\r\n",
         REFUSE_WEB_REQUEST},
        {"HEAD /jmap/eventsource/" CLOSING GOOD "\r\n", "HTTP/1.1 405", "Allow: GET, OPTIONS\r\n",
         REFUSE_WEB_REQUEST},
        {"GET /jmap/eventsource/?ping=x" CLOSING GOOD "\r\n", "HTTP/1.1 400", "makes no sense",
         REFUSE_WEB_REQUEST},
        {"GET /jmap/session HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", "HTTP/1.1 400",
         "(Host)", REFUSE_WEB_REQUEST},
        {"GET /jmap/session HTTP/1.0\r\n\r\n", "400", "(Host)", REFUSE_WEB_REQUEST},
        {"POST /jmap/api" CLOSING "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 400",
         "urn:ietf:params:jmap:error:notJSON", REFUSE_WEB_REQUEST},
        {"POST /auth/login" CLOSING
         "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\n{}",
         "HTTP/1.1 400", "application/json", REFUSE_WEB_REQUEST},
        {"POST /jmap/api" CLOSING "Content-Type: application/json\r\nContent-Length: 8388609"
         "\r\n\r\n",
         "HTTP/1.1 413", "\"limit\":\"maxSizeRequest\"", REFUSE_WEB_BODY},
        {"POST /auth/login" CLOSING "Content-Type: application/json\r\nContent-Length: 16385"
         "\r\n\r\n",
         "HTTP/1.1 413", "Too big", REFUSE_WEB_BODY},
        {"GET /jmap/session" CLOSING "Content-Length: 1\r\n\r\nx", "HTTP/1.1 413", "Too big",
         REFUSE_WEB_BODY},
        {"POST /jmap/upload/A1/" CLOSING "Content-Length: 52428801\r\n\r\n", "HTTP/1.1 413",
         "\"limit\":\"maxSizeUpload\"", REFUSE_WEB_UPLOAD},
    };
    fake_begin(NULL);
    for (size_t i = 0; i < N(rows); i++) {
        (void)n_refused(rows[i].id);
        expect(rows[i].request, rows[i].status, rows[i].part);
        expect_heard("X-Content-Type-Options: nosniff\r\n");
        expect_refused(rows[i].id, 1);
    }
    assert_int_equal(atomic_load(&fake.n_calls), 0);
}

static void refuses_heads_that_are_too_long(void **)
{
    fake_begin(NULL);
    static const struct {
        size_t n;
        const char *status;
    } rows[] = {{6000, "HTTP/1.1 200"}, {7200, "HTTP/1.1 431"}, {40000, "HTTP/1.1 4"}};
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(100000);
        buf_adds(&b, SLICE("GET /jmap/session" CLOSING GOOD));
        for (size_t n = 0; n < rows[i].n; n += 100)
            buf_addf(&b, "X-%04zu: %091d\r\n", n / 100, 0);
        buf_adds(&b, SLICE("\r\n"));
        (void)n_refused(REFUSE_WEB_REQUEST);
        expect(buf_cstr(&b), rows[i].status, "");
        expect_refused(REFUSE_WEB_REQUEST, i > 0);
    }
}

/* ---- answering ---- */

static void sets_and_removes_its_cookie(void **)
{
    fake_begin(NULL);
    expect("POST /auth/login" CLOSING "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
           "{}",
           "HTTP/1.1 200",
           "Set-Cookie: __Host-staffetta=abc.123; Path=/; Secure; HttpOnly; SameSite=Lax; "
           "Max-Age=3600\r\n");
    expect_heard("Cache-Control: no-store\r\n");
    expect("POST /auth/logout" CLOSING GOOD "Content-Length: 0\r\n\r\n", "HTTP/1.1 204",
           "Set-Cookie: __Host-staffetta=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0\r\n");
}

static void asks_for_a_log_in_only_when_core_says_so(void **)
{
    fake_begin(NULL);
    expect("GET /jmap/session" CLOSING "\r\n", "HTTP/1.1 401",
           "WWW-Authenticate: Basic realm=\"Staffetta\", charset=\"UTF-8\"\r\n");
    expect_heard("WWW-Authenticate: Bearer");
    fake.answer = (struct ipc_called){.status = 401, .type = SLICE("application/problem+json")};
    fake.body = SLICE("{}");
    expect("GET /jmap/session" CLOSING "\r\n", "HTTP/1.1 401", "{}");
    assert_null(strstr(buf_cstr(&heard), "WWW-Authenticate"));
    fake.answer.status = 429;
    fake.answer.retry_after = 30;
    expect("GET /jmap/session" CLOSING "\r\n", "HTTP/1.1 429", "Retry-After: 30\r\n");
}

static void says_how_it_may_be_used(void **)
{
    fake_begin(NULL);
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 200",
           "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
    expect_heard("Referrer-Policy: no-referrer\r\n");
    expect_heard("Vary: Origin\r\n");
    expect_heard("Cache-Control: no-store\r\n");
    assert_null(strstr(buf_cstr(&heard), "Strict-Transport-Security"));
    assert_null(strstr(buf_cstr(&heard), "Access-Control-"));
}

static void lets_scripts_of_listed_sites_in(void **)
{
    const struct web_people people = {.n_origins = 1, .origins = {"https://web.example.test"}};
    fake_begin(&people);
    expect("OPTIONS /jmap/api" CLOSING "Origin: https://web.example.test\r\n"
           "Access-Control-Request-Method: POST\r\n\r\n",
           "HTTP/1.1 204", "Access-Control-Allow-Origin: https://web.example.test\r\n");
    expect_heard("Access-Control-Allow-Methods: POST, OPTIONS\r\n");
    expect_heard("Access-Control-Allow-Headers: Authorization, Content-Type");
    expect_heard("Access-Control-Allow-Credentials: true\r\n");
    assert_int_equal(atomic_load(&fake.n_calls), 0);
    expect("GET /jmap/session" CLOSING GOOD "Origin: https://web.example.test\r\n\r\n",
           "HTTP/1.1 200", "Access-Control-Allow-Origin: https://web.example.test\r\n");
    expect("GET /jmap/session" CLOSING "Origin: https://web.example.test\r\n\r\n", "HTTP/1.1 401",
           "Access-Control-Allow-Origin: https://web.example.test\r\n");
    expect("OPTIONS /jmap/api" CLOSING "Origin: https://evil.test\r\n\r\n", "HTTP/1.1 204",
           "Vary: Origin\r\n");
    assert_null(strstr(buf_cstr(&heard), "Access-Control-"));
    expect("POST /auth/login" CLOSING "Origin: https://web.example.test\r\n"
           "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
           "HTTP/1.1 200", "");
    assert_null(strstr(buf_cstr(&heard), "Access-Control-"));
}

static void is_well_while_it_has_a_core(void **)
{
    fake_begin(NULL);
    expect("GET /health HTTP/1.0\r\n\r\n", "200", "{\"status\":\"ok\"}");
    atomic_store(&fake.habit, FAKE_DIES);
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 503", "Retry-After: 5\r\n");
    expect("GET /health" CLOSING "\r\n", "HTTP/1.1 503", "{\"status\":\"away\"}");
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 503", "starting again");
    atomic_store(&fake.habit, FAKE_ANSWERS);
    net_loop_post(fake.loop, fake_connect, NULL);
    usleep(20000);
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 200", "");
    assert_int_equal(atomic_load(&fake.n_nonsense), 0);
}

static void says_in_time_that_core_is_slow(void **)
{
    const struct web_people people = {.timeout = MILLISECONDS(200)};
    fake_begin(&people);
    atomic_store(&fake.habit, FAKE_SILENT);
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 504", "Took too long");
    expect("GET /jmap/eventsource/" CLOSING GOOD "\r\n", "HTTP/1.1 504", "Took too long");
}

static void ends_the_link_of_a_core_that_lies(void **)
{
    static const struct ipc_called lies[] = {
        {.status = 200, .bytes = 5},
        {.status = 99},
        {.status = 200, .type = {"text/plain\r\nEvil: yes", 21}},
        {.status = 200, .set_cookie = {"a; Domain=x", 11}},
    };
    for (size_t i = 0; i < N(lies); i++) {
        fake_begin(NULL);
        fake.answer = lies[i];
        expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 503", "Not now");
        wait_for(&fake.n_nonsense, 1);
        if (i + 1 < N(lies))
            fake_end();
    }
}

/* ---- event streams ---- */

static int watch(const char *request)
{
    int fd = dial();
    forget();
    say(fd, request);
    hear(fd, "retry: ");
    hear(fd, "\n\n");
    return fd;
}

static void tells_what_changed_to_those_who_want_it(void **)
{
    fake_begin(NULL);
    int all = watch("GET /jmap/eventsource/?types=*&closeafter=no&ping=0" WATCHING);
    expect_heard("Content-Type: text/event-stream");
    int some = watch("GET /jmap/eventsource/?types=Mailbox" WATCHING);
    assert_string_equal(fake.last.type, "Mailbox");
    int once = watch("GET /jmap/eventsource/?types=Email&closeafter=state" WATCHING);
    forget();
    net_loop_post(fake.loop, fake_tell, (void *)(uintptr_t)STATE);
    hear(once, "event: state\ndata: " STATE "\n\n");
    hear(once, "\r\n0\r\n\r\n");
    forget();
    hear(all, "event: state\ndata: " STATE "\n\n");
    net_loop_post(fake.loop, fake_tell,
                  (void *)(uintptr_t) "{\"changed\":{\"A1\":{\"Mailbox\":\"6\"}}}");
    forget();
    hear(some, "{\"A1\":{\"Mailbox\":\"6\"}}");
    assert_null(strstr(buf_cstr(&heard), "Email"));
    close(once);
    close(all);
    close(some);
    /* Nobody reads from a waiting stream: the next looks notice, the last one ends the watch. */
    for (int i = 0; i < 100; i++) {
        net_loop_post(fake.loop, fake_tell, (void *)(uintptr_t)STATE);
        net_loop_post(fake.loop, fake_tell,
                      (void *)(uintptr_t) "{\"changed\":{\"A1\":{\"Mailbox\":\"6\"}}}");
        usleep(5000);
    }
    wait_for(&fake.n_unwatched, 1);
    assert_int_equal(atomic_load(&fake.unwatched_tag), atomic_load(&fake.watch_tag));
}

static void pings_and_says_how_often(void **)
{
    fake_begin(NULL);
    SCOPED(fd_close) int fd = watch("GET /jmap/eventsource/?ping=1" WATCHING);
    hear(fd, "event: ping\ndata: {\"interval\":5}\n\n");
    mono_us began = mono_now();
    usleep(3500000);
    forget();
    hear(fd, "event: ping\ndata: {\"interval\":5}\n\n");
    assert_true(mono_now() - began > SECONDS(4) && mono_now() - began < SECONDS(7));
}

static void ends_streams_of_who_was_logged_out(void **)
{
    fake_begin(NULL);
    SCOPED(fd_close) int fd = watch("GET /jmap/eventsource/" WATCHING);
    net_loop_post(fake.loop, fake_unwatch, NULL);
    hear(fd, "\r\n0\r\n\r\n");
    wait_for(&fake.n_unwatched, 1);
}

static void ends_the_watch_that_core_began_last(void **)
{
    const struct web_people hasty = {.timeout = MILLISECONDS(200)}, usual = {};
    fake_begin(&hasty);
    atomic_store(&fake.habit, FAKE_SILENT);
    expect("GET /jmap/eventsource/" CLOSING GOOD "\r\n", "HTTP/1.1 504", "");
    web_people(fake.server, &usual);
    atomic_store(&fake.habit, FAKE_ANSWERS);
    SCOPED(fd_close) int fd = watch("GET /jmap/eventsource/" WATCHING);
    net_loop_post(fake.loop, fake_watch_late, NULL);
    net_loop_post(fake.loop, fake_unwatch, NULL);
    hear(fd, "\r\n0\r\n\r\n");
    wait_for(&fake.n_unwatched, 1);
    assert_int_equal(atomic_load(&fake.unwatched_tag), atomic_load(&fake.watch_tag));
}

static void ends_streams_when_core_dies(void **)
{
    fake_begin(NULL);
    SCOPED(fd_close) int fd = watch("GET /jmap/eventsource/" WATCHING);
    net_loop_post(fake.loop, fake_connect, NULL);
    hear(fd, "\r\n0\r\n\r\n");
}

static void limits_the_streams_of_one_person(void **)
{
    const struct web_people people = {.n_streams_per_person = 3, .n_requests_per_address = 2};
    int fds[3];
    fake_begin(&people);
    for (int i = 0; i < 3; i++)
        fds[i] = watch("GET /jmap/eventsource/" WATCHING);
    (void)n_refused(REFUSE_WEB_STREAMS);
    expect("GET /jmap/eventsource/" CLOSING GOOD "\r\n", "HTTP/1.1 429", "Retry-After: 60\r\n");
    expect_refused(REFUSE_WEB_STREAMS, 1);
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 200", "");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void on_stopped(void *)
{
    atomic_store(&fake.is_stopped, true);
}

static void gives_up_a_stream_that_takes_nothing(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    fake_begin(NULL);
    buf_adds(&b, SLICE("{\"changed\":{\"A1\":{\"Email\":\""));
    memset(buf_room(&b, 1900), 'x', 1900);
    buf_adds(&b, SLICE("\"}}}"));
    SCOPED(fd_close) int fd = dial();
    say(fd, "GET /jmap/eventsource/" WATCHING);
    wait_for(&fake.n_of[IPC_CALL_WATCH], 1);
    void *state = (void *)(uintptr_t)buf_cstr(&b);
    for (int i = 0; i < 8000; i++) /* more than the kernel keeps for both */
        net_loop_post(fake.loop, fake_tell, state);
    net_loop_post(fake.loop, on_stopped, NULL);
    while (!atomic_load(&fake.is_stopped))
        usleep(1000);
    usleep(300000);
    forget();
    hear(fd, "0\r\n\r\n"); /* what was under way arrives, then it ends */
    wait_for(&fake.n_unwatched, 1);
}

/* ---- ceilings, and the end ---- */

static void limits_requests_of_one_address_and_of_all(void **)
{
    struct web_people people = {.n_requests_per_address = 2, .timeout = SECONDS(20)};
    fake_begin(&people);
    atomic_store(&fake.habit, FAKE_SILENT);
    SCOPED(fd_close) int one = dial();
    SCOPED(fd_close) int two = dial();
    say(one, "GET /jmap/session" CLOSING GOOD "\r\n");
    say(two, "GET /jmap/session" CLOSING GOOD "\r\n");
    wait_for(&fake.n_calls, 2);
    (void)n_refused(REFUSE_WEB_ADDRESS);
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 429", "Retry-After: 5\r\n");
    expect_refused(REFUSE_WEB_ADDRESS, 1);
    people = (struct web_people){.n_requests_max = 2};
    web_people(fake.server, &people);
    expect("GET /jmap/session" CLOSING GOOD "\r\n", "HTTP/1.1 503", "Too much is asked");
    expect_refused(REFUSE_WEB_BUSY, 1);
}

static void limits_connections_of_one_address(void **)
{
    const struct web_people people = {.n_conns_per_address = 2};
    fake_begin(&people);
    int one = watch("GET /jmap/eventsource/" WATCHING);
    int two = watch("GET /jmap/eventsource/" WATCHING);
    (void)n_refused(REFUSE_WEB_CONN_ADDRESS);
    SCOPED(fd_close) int three = dial();
    char byte;
    assert_true(recv(three, &byte, 1, 0) <= 0);
    expect_refused(REFUSE_WEB_CONN_ADDRESS, 1);
    close(one);
    close(two);
}

static void stop(void *)
{
    web_stop(fake.server, MILLISECONDS(300), on_stopped, NULL);
}

static void stops_with_everything_under_way(void **)
{
    pthread_t sender;
    fake_begin(NULL);
    int stream = watch("GET /jmap/eventsource/" WATCHING);
    SCOPED(fd_close) int waiting = dial();
    int uploading = dial();
    pthread_create(&sender, NULL, send_bytes, &uploading);
    while (atomic_load(&fake.n_content) == 0)
        usleep(100);
    net_loop_post(fake.loop, pause_core, NULL);
    usleep(50000);
    say(waiting, "GET /jmap/session" CLOSING GOOD "\r\n");
    usleep(50000);
    net_loop_post(fake.loop, stop, NULL);
    forget();
    hear(stream, "0\r\n\r\n");
    forget();
    hear(waiting, "HTTP/1.1 503");
    for (int i = 0; i < 3000 && !atomic_load(&fake.is_stopped); i++)
        usleep(1000);
    assert_true(atomic_load(&fake.is_stopped));
    shutdown(uploading, SHUT_RDWR);
    pthread_join(sender, NULL);
    close(uploading);
    close(stream);
}

static void is_destroyed_with_everything_under_way(void **)
{
    fake_begin(NULL);
    (void)watch("GET /jmap/eventsource/?ping=5" WATCHING);
    atomic_store(&fake.habit, FAKE_SILENT);
    for (unsigned i = 0; i < 3; i++)
        say(dial(), "GET /jmap/session" CLOSING GOOD "\r\n");
    wait_for(&fake.n_calls, 4);
    /* the teardown destroys it: libmicrohttpd would abort on a suspended connection */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(gives_each_route_its_call, end),
        cmocka_unit_test_teardown(passes_on_who_asks_from_where, end),
        cmocka_unit_test_teardown(believes_a_listed_proxy, end),
        cmocka_unit_test_teardown(believes_the_last_line_of_who_was_forwarded, end),
        cmocka_unit_test_teardown(takes_as_many_lines_of_who_was_forwarded_as_fit, end),
        cmocka_unit_test_teardown(gives_its_own_name_where_the_settings_say_one, end),
        cmocka_unit_test_teardown(refuses_in_json_and_counts_it, end),
        cmocka_unit_test_teardown(refuses_heads_that_are_too_long, end),
        cmocka_unit_test_teardown(sets_and_removes_its_cookie, end),
        cmocka_unit_test_teardown(asks_for_a_log_in_only_when_core_says_so, end),
        cmocka_unit_test_teardown(says_how_it_may_be_used, end),
        cmocka_unit_test_teardown(lets_scripts_of_listed_sites_in, end),
        cmocka_unit_test_teardown(is_well_while_it_has_a_core, end),
        cmocka_unit_test_teardown(says_in_time_that_core_is_slow, end),
        cmocka_unit_test_teardown(ends_the_link_of_a_core_that_lies, end),
        cmocka_unit_test_teardown(tells_what_changed_to_those_who_want_it, end),
        cmocka_unit_test_teardown(pings_and_says_how_often, end),
        cmocka_unit_test_teardown(ends_streams_of_who_was_logged_out, end),
        cmocka_unit_test_teardown(ends_the_watch_that_core_began_last, end),
        cmocka_unit_test_teardown(ends_streams_when_core_dies, end),
        cmocka_unit_test_teardown(limits_the_streams_of_one_person, end),
        cmocka_unit_test_teardown(gives_up_a_stream_that_takes_nothing, end),
        cmocka_unit_test_teardown(limits_requests_of_one_address_and_of_all, end),
        cmocka_unit_test_teardown(limits_connections_of_one_address, end),
        cmocka_unit_test_teardown(stops_with_everything_under_way, end),
        cmocka_unit_test_teardown(is_destroyed_with_everything_under_way, end),
    };
    log_init("test", LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_finish(&heard);
    return failed;
}
