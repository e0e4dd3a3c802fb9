/* Pushes to a TLS server of the test: which headers arrive, what its answers mean, where none goes.
 */
#include "base/refuse.h"
#include "liaison/hook.h"
#include "liaison/liaison_int.h"
#include "net/net.h"

#include <signal.h>

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "courier/test/fake_server.h"

#define HOST "push.rossi.test"
/* The request line and eight or nine headers, then the empty line. */
#define NINE "t|<POST /abc?d HTTP/1.1|<|<|<|<|<|<|<|<\r\n|"
#define TEN "t|<POST /abc?d HTTP/1.1|<|<|<|<|<|<|<|<|<\r\n|"

static struct {
    SSL_CTX *good, *unknown;
    struct buf good_pem, unknown_pem;
    courier_policy policy;
    struct courier_network network;
    unsigned char four[4];
} here;

static enum err resolve(void *, const struct ipc_name_ask *q, mono_us, struct arena *a,
                        struct ipc_name_told *ret)
{
    *ret = (struct ipc_name_told){.status = IPC_NAME_NO_DATA};
    if (!slice_eq(q->name, SLICE(HOST)) || q->type != 1)
        return ERR_OK;
    ret->status = IPC_NAME_OK;
    ret->records = ARENA_NEW(a, struct ipc_name_record);
    ret->records[0].data = arena_copy(a, slice_of((const char *)here.four, 4));
    ret->n_records = 1;
    return ERR_OK;
}

static struct {
    struct ipc_pushed pushed;
    struct buf bytes; /* what pushed points into */
} seen;

/* As a work; `p` may come from a frame. */
static void push(const struct ipc_push *p)
{
    struct liaison_work w = {.push = *p};
    buf_finish(&seen.bytes);
    seen.bytes = buf_make(1000);
    liaison_push_kind.run(&here.network, &w, &seen.bytes);
    assert_true(ipc_pushed_unpack(buf_slice(&seen.bytes), NULL, &seen.pushed));
}

static struct ipc_push to(const char *format, uint16_t port, char room[100])
{
    int at = (int)(strchr(format, '*') - format);
    snprintf(room, 100, "%.*s%u%s", at, format, port, format + at + 1);
    return (struct ipc_push){.url = slice_str(room),
                             .body = SLICE("{}"),
                             .ttl = 86400,
                             .topic = SLICE("kq3"),
                             .timeout_ms = 3000};
}

static void expect(uint16_t status, bool is_ours, const char *part)
{
    char text[301];
    snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(seen.pushed.text));
    if (seen.pushed.status != status || seen.pushed.is_ours != is_ours || !strstr(text, part))
        fail_msg("%u %s, not %u %s %s", status, part, seen.pushed.status, text,
                 seen.pushed.is_ours ? "(ours)" : "");
}

static void play(SSL_CTX *tls, const char *script, const struct ipc_push *like, struct buf *ret)
{
    const char *scripts[] = {script, NULL};
    char url[100];
    struct fake_server s;
    memcpy(here.four, "\x7f\0\0\1", 4);
    fake_start(&s, scripts, tls);
    struct ipc_push p = to("https://" HOST ":*/abc?d", s.port, url);
    if (like) {
        p.is_sealed = like->is_sealed;
        p.is_urgent = like->is_urgent;
        p.topic = like->topic;
    }
    push(&p);
    if (ret)
        buf_adds(ret, buf_slice(&s.seen));
    fake_stop(&s);
    assert_string_equal(s.fault, "");
}

static void headers_are_those_of_an_application_server(void **)
{
    static const char *const all[] = {"Content-Type: application/json\r\n", "TTL: 86400\r\n",
                                      "Urgency: normal\r\n", "Topic: kq3\r\n",
                                      "Content-Length: 2\r\n"};
    SCOPED(buf_finish) struct buf request = buf_make(10000);
    play(here.good, NINE ">HTTP/1.1 201 Created\nContent-Length: 0\n\n", NULL, &request);
    expect(201, false, "");
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (!strstr(buf_cstr(&request), all[i]))
            fail_msg("no %s in %s", all[i], buf_cstr(&request));
    assert_null(strstr(buf_cstr(&request), "Content-Encoding"));
    const struct ipc_push sealed = {.is_sealed = 1, .is_urgent = 1, .topic = SLICE("kq3")};
    buf_clear(&request);
    play(here.good, TEN ">HTTP/1.1 201 Created\nContent-Length: 0\n\n", &sealed, &request);
    expect(201, false, "");
    assert_non_null(strstr(buf_cstr(&request), "Content-Encoding: aes128gcm\r\n"));
    assert_non_null(strstr(buf_cstr(&request), "Urgency: high\r\n"));
}

static void answers_are_told_as_they_are(void **)
{
    play(here.good, NINE ">HTTP/1.1 410 Gone\nContent-Length: 4\n\ngone", NULL, NULL);
    expect(410, false, "gone");
    assert_int_equal(seen.pushed.retry_after, 0);
    play(here.good, NINE ">HTTP/1.1 429 Slow\nRetry-After: 77\nContent-Length: 0\n\n", NULL, NULL);
    expect(429, false, "");
    assert_int_equal(seen.pushed.retry_after, 77);
    play(here.good, NINE ">HTTP/1.1 307 Go\nLocation: https://127.0.0.1/x\nContent-Length: 0\n\n",
         NULL, NULL);
    expect(307, false, ""); /* and no second connection: the script would say so */
    play(here.good, "!", NULL, NULL);
    expect(0, false, "");
    play(here.unknown, "t", NULL, NULL);
    expect(0, false, "certificate");
}

static void nothing_goes_inside_or_in_the_clear(void **)
{
    static const struct net_policy open_world = {.has_internet = true};
    static const struct {
        const char *url, *part;
        const struct net_policy *policy;
    } rows[] = {
        {"http://127.0.0.1:*/", "without encryption", NULL},
        {"https://8.8.8.8:*/", "network.internet is false", NULL},
        {"https://10.0.0.1:*/", "private networks", NULL},
        {"https://127.0.0.1:*/", "private networks", &open_world},
        {"https://169.254.169.254:*/latest/meta-data", "private networks", &open_world},
        {"https://[::1]:*/", "private networks", &open_world},
        {"https://[::ffff:10.0.0.1]:*/", "private networks", &open_world},
        {"https://2130706433:*/", "private networks", &open_world},
        {"https://" HOST ":*/", "private networks", &open_world}, /* the name leads inside */
        {"http://8.8.8.8:*/", "without encryption", &open_world},
    };
    static struct refuse_count counts[REFUSE_N];
    char url[100];
    (void)refuse_take_counts(counts);
    memcpy(here.four, "\xc0\xa8\0\1", 4);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        atomic_store(&here.policy, rows[i].policy);
        struct ipc_push p = to(rows[i].url, 1, url);
        push(&p);
        expect(0, true, rows[i].part);
    }
    atomic_store(&here.policy, NULL);
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_PUSH_INSIDE].n, 7);
    assert_int_equal(counts[REFUSE_OUTSIDE].n, 1);
}

static void a_topic_that_would_be_two_headers_is_nonsense(void **)
{
    char url[100];
    SCOPED(arena_destroy) struct arena *a = arena_create(4096);
    for (int i = 0; i < 2; i++) {
        struct liaison_work w = {.arena = a, .payload = buf_make(2000)};
        struct ipc_push p = to("https://" HOST ":*/", 1, url);
        p.topic = i ? SLICE("a\r\nX: y") : SLICE("abc7");
        ipc_push_pack(&w.payload, &p);
        assert_int_equal(liaison_push_kind.unpack(&w), i == 0);
        buf_finish(&w.payload);
    }
}

static int prepare(void **)
{
    (void)signal(SIGPIPE, SIG_IGN);
    here.good = fake_tls(HOST, &here.good_pem);
    here.unknown = fake_tls(HOST, &here.unknown_pem);
    liaison_push_prepare(buf_slice(&here.good_pem));
    here.network = (struct courier_network){.hostname = "mx1.staffetta.test",
                                            .policy = &here.policy,
                                            .resolve = resolve,
                                            .timeouts = courier_timeouts_usual(),
                                            .cancel_fd = -1};
    return 0;
}

static int end(void **)
{
    SSL_CTX_free(here.good);
    SSL_CTX_free(here.unknown);
    buf_finish(&here.good_pem);
    buf_finish(&here.unknown_pem);
    buf_finish(&seen.bytes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_those_of_an_application_server),
        cmocka_unit_test(answers_are_told_as_they_are),
        cmocka_unit_test(nothing_goes_inside_or_in_the_clear),
        cmocka_unit_test(a_topic_that_would_be_two_headers_is_nonsense),
    };
    return cmocka_run_group_tests(tests, prepare, end);
}
