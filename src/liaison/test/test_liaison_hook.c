/* Webhooks to a small server of the test: what arrives there, what comes back, where none may lead.
 */
#include "base/refuse.h"
#include "liaison/hook.h"
#include "liaison/liaison.h"
#include "net/net.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- a server that answers always the same ---- */

static struct {
    int fd;
    uint16_t port;
    const char *answer; /* NULL: says nothing */
    char request[8000];
    size_t n_more; /* bytes after the answer */
    unsigned n_calls;
    pthread_t thread;
} server;

static void serve_one(int fd)
{
    size_t n = 0;
    char *body = NULL;
    unsigned length = 0;
    while (n < sizeof(server.request) - 1) {
        ssize_t got = recv(fd, server.request + n, sizeof(server.request) - 1 - n, 0);
        if (got <= 0)
            break;
        server.request[n += (size_t)got] = '\0';
        body = strstr(server.request, "\r\n\r\n");
        const char *says = strstr(server.request, "Content-Length: ");
        if (body && says && sscanf(says, "Content-Length: %u", &length) == 1 &&
            strlen(body + 4) >= length)
            break;
    }
    if (!server.answer) {
        (void)recv(fd, &(char){0}, 1, 0); /* until the other side has enough of it */
        return;
    }
    (void)send(fd, server.answer, strlen(server.answer), MSG_NOSIGNAL);
    for (size_t i = 0; i < server.n_more; i += 1000) {
        char more[1000];
        memset(more, 'm', sizeof(more));
        if (send(fd, more, sizeof(more), MSG_NOSIGNAL) < 0)
            return;
    }
}

static void *serve(void *)
{
    for (int fd; (fd = accept(server.fd, NULL, NULL)) >= 0;) {
        server.n_calls++;
        serve_one(fd);
        (void)close(fd);
    }
    return NULL;
}

static int start(void **)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    memset(&server, 0, sizeof(server));
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.fd, (struct sockaddr *)&a, size), 0);
    assert_int_equal(listen(server.fd, 8), 0);
    assert_int_equal(getsockname(server.fd, (struct sockaddr *)&a, &size), 0);
    server.port = ntohs(a.sin_port);
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int stop(void **)
{
    (void)shutdown(server.fd, SHUT_RDWR);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    fd_close(&server.fd);
    return 0;
}

/* ---- hooks ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    unsigned n;
    uint16_t status;
    char text[301];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static void on_done(void *, enum ipc_type type, uint64_t tag, struct buf *answer)
{
    struct ipc_hooked h;
    pthread_mutex_lock(&seen.lock);
    assert_int_equal(type, IPC_T_hooked);
    assert_int_equal(tag, 7);
    assert_true(ipc_hooked_unpack(buf_slice(answer), NULL, &h));
    seen.status = h.status;
    snprintf(seen.text, sizeof(seen.text), SLICE_FMT, SLICE_ARG(h.text));
    seen.n++;
    pthread_cond_broadcast(&seen.came);
    pthread_mutex_unlock(&seen.lock);
}

static struct {
    const char *name;
    unsigned char four[4];
} dns;

static enum err resolve(void *, const struct ipc_name_ask *ask, mono_us, struct arena *a,
                        struct ipc_name_told *ret)
{
    *ret = (struct ipc_name_told){.status = IPC_NAME_NO_DATA};
    if (!dns.name || !slice_eq(ask->name, slice_str(dns.name)) || ask->type != 1)
        return ERR_OK;
    ret->status = IPC_NAME_OK;
    ret->records = ARENA_NEW(a, struct ipc_name_record);
    ret->records[0].data = arena_copy(a, slice_of((const char *)dns.four, 4));
    ret->n_records = 1;
    return ERR_OK;
}

static courier_policy policy;

static struct net_tls_client *tls;

static struct liaison *hooks(unsigned threads, unsigned max)
{
    struct liaison_options o = {
        .lane = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {threads, max, threads}, {1, 1, 1}, {1, 1, 1}},
        .network = {.hostname = "mx1.example",
                    .policy = &policy,
                    .resolve = resolve,
                    .tls = tls,
                    .timeouts = courier_timeouts_usual()},
        .done = on_done};
    seen.n = 0;
    return liaison_create(&o);
}

static void ask(struct liaison *h, const char *format, uint32_t timeout_ms)
{
    char url[200];
    if (strstr(format, "%u"))
        snprintf(url, sizeof(url), "%.*s%u%s", (int)(strstr(format, "%u") - format), format,
                 server.port, strstr(format, "%u") + 2);
    else
        snprintf(url, sizeof(url), "%s", format);
    struct ipc_hook hook = {SLICE("mhq.3"), slice_str(url), SLICE("whsec"),
                            SLICE("{\"state\":\"open\"}"), timeout_ms};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_hook_pack(&b, &hook);
    assert_true(liaison_take(h, IPC_T_hook, 7, buf_slice(&b)));
}

static void wait_for(unsigned n)
{
    pthread_mutex_lock(&seen.lock);
    while (seen.n < n)
        pthread_cond_wait(&seen.came, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
}

/* One hook to its end. */
static void call(const char *url, uint32_t timeout_ms)
{
    struct liaison *h = hooks(1, 4);
    ask(h, url, timeout_ms);
    wait_for(1);
    liaison_destroy(&h);
    assert_int_equal(seen.n, 1);
}

static void expect(uint16_t status, const char *part)
{
    if (seen.status != status || !strstr(seen.text, part))
        fail_msg("%u with \"%s\", not %u %s", status, part, seen.status, seen.text);
}

/* ---- what arrives, what comes back ---- */

static void signatures_are_those_that_others_make(void **)
{
    char s[LIAISON_SIGNATURE_MAX];
    /* hmac.new(b"whsec", b"1700000000.{}", sha256) of Python */
    liaison_hook_signature(SLICE("whsec"), 1700000000, SLICE("{}"), s);
    assert_string_equal(
        s, "t=1700000000,v1=7d44587dddbaf4c7f70fef20f48cd594834ffea1641e3ac227b84408298738af");
}

static void a_request_is_complete_and_its_answer_is_told(void **)
{
    call("http://127.0.0.1:%u/in?a=b", 5000);
    expect(200, "200: ok");
    char *request = server.request;
    assert_ptr_equal(strstr(request, "POST /in?a=b HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\r\nStaffetta-Id: mhq.3\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n{\"state\":\"open\"}"));
    const char *signature = strstr(request, "\r\nStaffetta-Signature: t=");
    assert_non_null(signature);
    char want[LIAISON_SIGNATURE_MAX];
    int64_t t = 0;
    long long stamp;
    assert_int_equal(sscanf(signature + 25, "%lld", &stamp), 1);
    t = stamp;
    assert_true(t * 1000 <= utc_now() && t * 1000 > utc_now() - 60000);
    liaison_hook_signature(SLICE("whsec"), t, SLICE("{\"state\":\"open\"}"), want);
    assert_memory_equal(signature + 23, want, strlen(want));
}

static void refusals_and_redirects_are_told_and_not_followed(void **)
{
    server.answer = "HTTP/1.1 503 No\r\nContent-Length: 6\r\n\r\nbu\x01sy\xc3";
    call("http://127.0.0.1:%u/", 5000);
    expect(503, "503: bu sy?");
    char redirect[200];
    snprintf(redirect, sizeof(redirect),
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/b\r\nContent-Length: 0\r\n\r\n",
             server.port);
    server.answer = redirect;
    call("http://127.0.0.1:%u/a", 5000);
    expect(302, "redirects are not followed");
    assert_int_equal(server.n_calls, 2);
}

static void long_answers_are_not_read_to_their_end(void **)
{
    server.answer = "HTTP/1.1 202 Accepted\r\n\r\n";
    server.n_more = 50 << 20;
    mono_us begun = mono_now();
    call("http://127.0.0.1:%u/", 5000);
    expect(202, "202: mmmm");
    assert_true(mono_now() - begun < SECONDS(3));
    server.answer = "HTTP/1.1 200 OK\r\nX: ";
    call("http://127.0.0.1:%u/", 5000);
    expect(0, "");
}

static void silence_and_nonsense_end_in_time(void **)
{
    server.answer = NULL;
    mono_us begun = mono_now();
    call("http://127.0.0.1:%u/", 300);
    expect(0, "timed out");
    assert_true(mono_now() - begun < SECONDS(2));
    server.answer = "220 mx.example ESMTP\r\n";
    call("http://127.0.0.1:%u/", 1000);
    assert_int_equal(seen.status, 0);
    call("https://127.0.0.1:%u/", 1000); /* no TLS there */
    assert_int_equal(seen.status, 0);
    call("http://127.0.0.1:1/", 1000);
    expect(0, "connect");
}

/* ---- where none may lead ---- */

static const struct net_policy open_world = {.has_internet = true};

static void names_are_asked_of_our_resolver_and_judged(void **)
{
    dns.name = "hooks.example";
    memcpy(dns.four, "\x7f\0\0\1", 4);
    call("http://hooks.example:%u/", 2000);
    expect(200, "ok");
    assert_non_null(strstr(server.request, "\r\nHost: hooks.example:"));
    memcpy(dns.four, "\x0a\0\0\1", 4); /* the name leads elsewhere now */
    call("http://hooks.example:%u/", 2000);
    expect(0, "hooks.example (10.0.0.1): webhooks do not lead into private networks");
    call("http://nobody.example/", 2000);
    expect(0, "nobody.example has no address");
    assert_int_equal(server.n_calls, 1);
    dns.name = NULL;
}

static void nothing_leaves_and_nothing_inside_is_reached(void **)
{
    static struct net_network ten;
    static struct net_policy listed = {.has_internet = true, .allowed = &ten, .n_allowed = 1};
    assert_true(net_network_parse(SLICE("127.0.0.0/8"), &ten));
    static struct refuse_count counts[REFUSE_N];
    (void)refuse_take_counts(counts);
    call("https://198.51.100.1/", 1000); /* no Internet: also not to what is only outside */
    expect(0, "private networks");
    call("https://8.8.8.8/", 1000);
    expect(0, "network.internet is false");
    atomic_store(&policy, &open_world);
    call("http://127.0.0.1:%u/", 1000);
    expect(0, "private networks");
    static const char *const inside[] = {"https://169.254.169.254/latest/meta-data",
                                         "https://[::1]:443/",
                                         "https://[::ffff:10.0.0.1]/",
                                         "https://2130706433/",
                                         "https://0x7f.1/",
                                         "https://192.168.1.1/",
                                         "https://[fd00:ec2::254]/"};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        call(inside[i], 1000);
        expect(0, "private networks");
    }
    call("https://0.0.0.0/", 1000);
    expect(0, "nobody's address");
    assert_int_equal(server.n_calls, 0);
    atomic_store(&policy, &listed);
    call("http://127.0.0.1:%u/", 1000); /* the settings know what they say */
    expect(200, "ok");
    atomic_store(&policy, NULL);
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_HOOK_INSIDE].n, 9);
    assert_int_equal(counts[REFUSE_OUTSIDE].n, 1);
}

static void outside_nothing_goes_without_encryption(void **)
{
    struct sockaddr_storage a;
    assert_true(net_address_parse(SLICE("8.8.8.8"), 80, &a));
    assert_null(liaison_hook_fault(&open_world, &a, true));
    assert_non_null(strstr(liaison_hook_fault(&open_world, &a, false), "encryption"));
}

static void odd_addresses_are_refused_in_words(void **)
{
    static const char *const urls[] = {"ftp://127.0.0.1/",    "file:///etc/passwd", "",
                                       "http://a@127.0.0.1/", "gopher://127.0.0.1", "http://"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        call(urls[i], 1000);
        expect(0, "cannot be read");
    }
}

/* ---- ceilings ---- */

static void too_many_are_refused_and_stopping_ends_all(void **)
{
    server.answer = NULL;
    struct liaison *h = hooks(2, 3);
    for (int i = 0; i < 4; i++)
        ask(h, "http://127.0.0.1:%u/", 30000);
    wait_for(1);
    expect(0, "too many webhooks");
    mono_us begun = mono_now();
    liaison_destroy(&h);
    assert_int_equal(seen.n, 4);
    assert_true(mono_now() - begun < SECONDS(4));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(signatures_are_those_that_others_make),
        TEST(a_request_is_complete_and_its_answer_is_told),
        TEST(refusals_and_redirects_are_told_and_not_followed),
        TEST(long_answers_are_not_read_to_their_end),
        TEST(silence_and_nonsense_end_in_time),
        TEST(names_are_asked_of_our_resolver_and_judged),
        TEST(nothing_leaves_and_nothing_inside_is_reached),
        TEST(outside_nothing_goes_without_encryption),
        TEST(odd_addresses_are_refused_in_words),
        TEST(too_many_are_refused_and_stopping_ends_all),
    };
    liaison_hook_prepare(SLICE(""));
    if (net_tls_client_create(SLICE(""), &tls, NULL) != ERR_OK)
        return 1;
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_tls_client_destroy(&tls);
    return n_failed;
}
