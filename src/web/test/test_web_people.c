/* What people's programs ask over HTTP, with real sockets on both sides: what core is asked, what
 * they are answered, and what happens to those who ask too much, too slowly, or leave. */
#include "web/test/fake_core.h"

#include <poll.h>
#include <setjmp.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define GOOD "Authorization: Bearer good\r\n"
#define CLOSING " HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n"
#define WATCHING " HTTP/1.1\r\nHost: mail.example.test\r\n" GOOD "\r\n"
#define STATE "{\"@type\":\"StateChange\",\"changed\":{\"A1\":{\"Email\":\"5\"}}}"

static int end(void **)
{
    fake_end();
    return 0;
}

static struct buf heard; /* of the last request */

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(fake.port)};
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
static void hear(int fd, const char *until)
{
    static char bytes[65536];
    size_t searched = 0;
    for (mono_us end_at = mono_now() + SECONDS(5); mono_now() < end_at;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (until && strstr(buf_cstr(&heard) + searched, until))
            return;
        searched = until && heard.n > strlen(until) ? heard.n - strlen(until) : 0;
        if (poll(&p, 1, 50) <= 0)
            continue;
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            break;
        buf_add(&heard, bytes, (size_t)n);
    }
    if (until)
        fail_msg("expected %s, heard: %.900s", until, buf_cstr(&heard));
}

static void forget(void)
{
    buf_finish(&heard);
    heard = buf_make(64 << 20);
}

static void expect_heard(const char *part)
{
    if (!strstr(buf_cstr(&heard), part))
        fail_msg("expected %s, heard: %.900s", part, buf_cstr(&heard));
}

static void expect(const char *request, const char *status, const char *part)
{
    int fd = dial();
    forget();
    say(fd, request);
    hear(fd, NULL);
    close(fd);
    expect_heard(status);
    expect_heard(part);
}

static void wait_for(_Atomic unsigned *what, unsigned n)
{
    for (int i = 0; i < 5000 && atomic_load(what) < n; i++)
        usleep(1000);
    assert_int_equal(atomic_load(what), n);
}

/* Since it was asked last. The server takes the counts too, once a second, for core. */
static uint64_t n_refused(enum refuse_id id)
{
    static struct refuse_count counts[REFUSE_N];
    (void)refuse_take_counts(counts);
    return counts[id].n + atomic_exchange(&fake.refused[id], 0);
}

/* A count may be on its way to core. */
static void expect_refused(enum refuse_id id, uint64_t n)
{
    uint64_t found = n_refused(id);
    for (int i = 0; i < 30 && found < n; i++) {
        usleep(5000);
        found += n_refused(id);
    }
    assert_int_equal(found, n);
}

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

static void *send_bytes(void *arg)
{
    static char bytes[65536];
    int fd = *(int *)arg;
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    buf_addf(&b, "POST /jmap/upload/A1/" CLOSING GOOD "Content-Length: %d\r\n\r\n", 40 << 20);
    say(fd, buf_cstr(&b));
    for (size_t sent = 0; sent < 40 << 20;) {
        ssize_t n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    return NULL;
}

static void pause_core(void *)
{
    net_link_pause(fake.core, true);
}

static void go_on(void *)
{
    net_link_pause(fake.core, false);
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
    assert_int_equal(atomic_load(&fake.n_calls), 0);
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
        cmocka_unit_test_teardown(takes_requests_as_clients_send_them, end),
        cmocka_unit_test_teardown(waits_with_an_upload_until_it_may, end),
        cmocka_unit_test_teardown(holds_an_upload_back_while_core_is_busy, end),
        cmocka_unit_test_teardown(takes_back_what_a_client_left_half_sent, end),
        cmocka_unit_test_teardown(ends_an_upload_whose_core_died, end),
        cmocka_unit_test_teardown(refuses_endless_chunks, end),
        cmocka_unit_test_teardown(cuts_downloads_out_of_messages, end),
        cmocka_unit_test_teardown(carries_large_downloads, end),
        cmocka_unit_test_teardown(tells_what_changed_to_those_who_want_it, end),
        cmocka_unit_test_teardown(pings_and_says_how_often, end),
        cmocka_unit_test_teardown(ends_streams_of_who_was_logged_out, end),
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
