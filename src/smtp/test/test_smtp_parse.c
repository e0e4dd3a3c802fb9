/* Core asks a gate what is in a message: over a real link, answered by a worker. */
#include "smtp/smtp_int.h"

#include "email/email.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { WAIT_MS = 10000 };

static const char MESSAGE[] = "From: a@b.example\r\nSubject: hello\r\n\r\nsome words\r\n";

static struct {
    struct net_loop *loop;
    struct smtp_server *server;
    pthread_t thread;
    int core;
    _Atomic unsigned n_nonsense;
} gate;

static char shared[SMTP_SHARED_BYTES];

static void on_nonsense(void *, const char *)
{
    gate.n_nonsense++;
}

static void *run(void *)
{
    net_loop_run(gate.loop);
    return NULL;
}

static void link_now(void *arg)
{
    smtp_server_core(gate.server, *(int *)arg);
}

static void stop_now(void *)
{
    net_loop_stop(gate.loop);
}

static int setup(void **)
{
    static int fds[2];
    gate.loop = net_loop_create();
    struct smtp_options o = {.loop = gate.loop,
                             .node = "gate.example",
                             .limits = {.bytes_in_flight = 1 << 20, .message_bytes = 1 << 20},
                             .shared = shared,
                             .nonsense = on_nonsense};
    gate.server = smtp_server_create(&o);
    gate.n_nonsense = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    gate.core = fds[1];
    net_loop_post(gate.loop, link_now, &fds[0]);
    return pthread_create(&gate.thread, NULL, run, NULL);
}

static int teardown(void **)
{
    net_loop_post(gate.loop, stop_now, NULL);
    pthread_join(gate.thread, NULL);
    smtp_server_destroy(&gate.server);
    net_loop_destroy(&gate.loop);
    fd_close(&gate.core);
    return 0;
}

static void put(uint16_t type, uint64_t tag, struct slice payload)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    buf_u32(&b, (uint32_t)payload.n);
    buf_u16(&b, type);
    buf_u16(&b, 0);
    buf_u64(&b, tag);
    buf_adds(&b, payload);
    for (size_t at = 0; at < b.n;) {
        ssize_t n = send(gate.core, b.p + at, b.n - at, MSG_NOSIGNAL);
        if (n < 0)
            return; /* closed: the test sees it */
        at += (size_t)n;
    }
}

static bool take(char *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        struct pollfd p = {.fd = gate.core, .events = POLLIN};
        ssize_t got = poll(&p, 1, WAIT_MS) > 0 ? read(gate.core, to + at, n - at) : -1;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static uint64_t tag_of(uint64_t n)
{
    return n << 32 | UINT32_MAX;
}

static void ask(uint64_t tag, struct slice message, const struct ipc_parse *how)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 18);
    struct ipc_parse parse = *how;
    parse.bytes = (uint32_t)message.n;
    for (struct slice rest = message; rest.n > 0; rest = slice_skip(rest, IPC_CONTENT_MAX))
        put(IPC_T_content, tag,
            slice_of(rest.p, rest.n < IPC_CONTENT_MAX ? rest.n : IPC_CONTENT_MAX));
    ipc_parse_pack(&b, &parse);
    put(IPC_T_parse, tag, buf_slice(&b));
}

/* The answer: `content` and the frame behind it, which lives in `frame`. */
static void expect(uint64_t tag, struct buf *content, struct buf *frame, struct arena *a,
                   struct ipc_parsed *ret)
{
    char head[16];
    for (;;) {
        assert_true(take(head, sizeof(head)));
        struct reader r = reader_make(slice_of(head, sizeof(head)));
        uint32_t n = read_u32(&r);
        uint16_t type = read_u16(&r);
        (void)read_u16(&r); /* no descriptors */
        uint64_t got = read_u64(&r);
        buf_clear(frame);
        assert_true(take(buf_room(frame, n ? n : 1), n));
        frame->n = n;
        if (type != IPC_T_content && type != IPC_T_parsed)
            continue; /* figures */
        assert_int_equal(got, tag);
        if (type == IPC_T_content)
            buf_adds(content, buf_slice(frame));
        if (type == IPC_T_parsed)
            break;
    }
    assert_true(ipc_parsed_unpack(buf_slice(frame), a, ret));
    assert_int_equal(ret->bytes, content->n);
}

static struct slice wanted(const char *json, struct buf *packed)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct email_want want;
    json_t *args = json_loads(json, 0, NULL);
    assert_int_equal(email_want_parse(args, EMAIL_CALL_GET, a, &want, NULL), ERR_OK);
    json_decref(args);
    email_want_pack(packed, &want);
    return buf_slice(packed);
}

static void each_question_has_its_answer(void **)
{
    SCOPED(buf_finish) struct buf content = buf_make(1 << 24), frame = buf_make(1 << 20);
    SCOPED(buf_finish) struct buf packed = buf_make(EMAIL_WANT_BYTES_MAX);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_parsed parsed;
    struct ipc_parse email = {.what = IPC_PARSE_EMAIL,
                              .want = wanted("{\"properties\":[\"subject\"]}", &packed)};
    ask(tag_of(1), slice_str(MESSAGE), &email);
    expect(tag_of(1), &content, &frame, a, &parsed);
    assert_true(parsed.is_done);
    assert_string_equal(buf_cstr(&content), "{\"subject\":\"hello\"}");
    buf_clear(&content);
    ask(tag_of(2), slice_str(MESSAGE), &(struct ipc_parse){.what = IPC_PARSE_TEXT});
    expect(tag_of(2), &content, &frame, a, &parsed);
    assert_string_equal(buf_cstr(&content), "some words");
    buf_clear(&content);
    ask(tag_of(3), slice_str(MESSAGE), &(struct ipc_parse){.what = IPC_PARSE_FIELDS});
    expect(tag_of(3), &content, &frame, a, &parsed);
    assert_int_equal(parsed.n_fields, 1);
    assert_true(slice_eq(parsed.fields[0].subject, SLICE("hello")));
    ask(tag_of(4), SLICE(""), &(struct ipc_parse){.what = IPC_PARSE_FIELDS});
    expect(tag_of(4), &content, &frame, a, &parsed);
    assert_true(parsed.is_done);
}

static void what_cannot_be_done_is_said(void **)
{
    SCOPED(buf_finish) struct buf content = buf_make(1 << 24), frame = buf_make(1 << 20);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_parsed parsed;
    ask(tag_of(1), slice_str(MESSAGE),
        &(struct ipc_parse){.what = IPC_PARSE_EMAIL, .want = SLICE("nonsense")});
    expect(tag_of(1), &content, &frame, a, &parsed);
    assert_false(parsed.is_done || parsed.is_too_much);
    assert_true(parsed.why.n > 0);
}

static void a_large_message_does_not_stop_the_loop(void **)
{
    SCOPED(buf_finish) struct buf m = buf_make(40 << 20), content = buf_make(1 << 24);
    SCOPED(buf_finish) struct buf frame = buf_make(1 << 20), packed = buf_make(1 << 17);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_parsed parsed;
    buf_adds(&m, SLICE("Content-Type: text/plain; charset=utf-8\r\n\r\n"));
    while (m.n < 20 << 20)
        buf_adds(&m, SLICE("a line of a large message\r\n"));
    struct ipc_parse email = {
        .what = IPC_PARSE_EMAIL,
        .want = wanted("{\"properties\":[\"bodyValues\"],\"fetchAllBodyValues\":true}", &packed)};
    ask(tag_of(1), buf_slice(&m), &email);
    expect(tag_of(1), &content, &frame, a, &parsed);
    assert_true(parsed.is_done);
    assert_true(content.n > EMAIL_VALUE_BYTES_MAX / 2);
    json_t *v = json_loadb(content.p, content.n, 0, NULL);
    assert_non_null(v);
    json_decref(v);
}

static void words_of_a_large_message_are_cut_where_search_cuts_them(void **)
{
    SCOPED(buf_finish) struct buf m = buf_make(4 << 20), content = buf_make(1 << 24);
    SCOPED(buf_finish) struct buf frame = buf_make(1 << 20);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_parsed parsed;
    buf_adds(&m, SLICE("Content-Type: text/plain; charset=utf-8\r\n\r\n"));
    while (m.n < 3 << 20)
        buf_adds(&m, SLICE("a line of a large message\r\n"));
    ask(tag_of(1), buf_slice(&m), &(struct ipc_parse){.what = IPC_PARSE_TEXT});
    expect(tag_of(1), &content, &frame, a, &parsed);
    assert_true(parsed.is_done);
    assert_in_range(content.n, IPC_PARSED_TEXT_MAX - 100, IPC_PARSED_TEXT_MAX);
}

static void nonsense_of_core_ends_the_link(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    for (int kind = 0; kind < 6; kind++) {
        char c;
        struct ipc_parse parse = {.what = IPC_PARSE_TEXT};
        if (kind == 0)
            put(IPC_T_content, 5, SLICE("x")); /* a session's tag */
        else if (kind == 1)
            put(IPC_T_content, tag_of(1), SLICE(""));
        else if (kind == 2)
            parse.bytes = 1; /* that never came */
        else if (kind == 3)
            parse.what = 9;
        buf_clear(&b);
        ipc_parse_pack(&b, &parse);
        if (kind >= 2)
            put(IPC_T_parse, kind == 4 ? 5 : tag_of(1),
                kind == 5 ? slice_of(b.p, b.n - 1) : buf_slice(&b));
        while (take(&c, 1))
            continue;
        assert_int_equal(gate.n_nonsense, 1);
        (void)teardown(NULL);
        (void)setup(NULL);
    }
}

static void a_new_core_is_not_told_what_the_old_one_asked(void **)
{
    SCOPED(buf_finish) struct buf m = buf_make(40 << 20), content = buf_make(1 << 24);
    SCOPED(buf_finish) struct buf frame = buf_make(1 << 20);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_parsed parsed;
    static int fds[2];
    while (m.n < 20 << 20)
        buf_adds(&m, SLICE("To: a@b.example, c@d.example\r\n"));
    for (uint64_t i = 1; i < 4; i++)
        ask(tag_of(i), buf_slice(&m), &(struct ipc_parse){.what = IPC_PARSE_TEXT});
    fd_close(&gate.core);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    gate.core = fds[1];
    net_loop_post(gate.loop, link_now, &fds[0]);
    ask(tag_of(9), slice_str(MESSAGE), &(struct ipc_parse){.what = IPC_PARSE_TEXT});
    expect(tag_of(9), &content, &frame, a, &parsed); /* the first that comes */
    assert_string_equal(buf_cstr(&content), "some words");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_question_has_its_answer),
        TEST(what_cannot_be_done_is_said),
        TEST(a_large_message_does_not_stop_the_loop),
        TEST(words_of_a_large_message_are_cut_where_search_cuts_them),
        TEST(nonsense_of_core_ends_the_link),
        TEST(a_new_core_is_not_told_what_the_old_one_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
