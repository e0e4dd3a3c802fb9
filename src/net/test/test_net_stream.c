/* Streams of strangers: order, pauses, goodbyes, peers that do not read, TLS. */
#include "net/stream.h"
#include "net/test/net_kit.h"

enum { OUT_MAX = 64 << 10 };

/* The owner of one stream; what its callbacks do is set by each test. */
struct owner {
    struct kit_loop kit;
    struct net_stream *stream;
    struct net_tls *tls;
    size_t (*input)(struct owner *o, struct slice bytes);
    int fds[2];
    struct kit_client client;
    struct buf seen;
    char closed_why[80], tls_text[80], certificate[65];
    size_t n_closed, n_secured, n_offers;
    size_t n_write;     /* bytes written for each that comes in */
    bool is_inside;     /* one of the functions of stream.h is running */
    bool was_reentered; /* and called back */
    bool closes_in_input, closes_in_secured;
};

static size_t on_input(void *arg, struct slice bytes)
{
    struct owner *o = arg;
    o->was_reentered |= o->is_inside;
    o->n_offers++;
    size_t used = o->input(o, bytes);
    if (o->closes_in_input)
        net_stream_close(&o->stream);
    return used;
}

static void on_closed(void *arg, const char *why)
{
    struct owner *o = arg;
    o->was_reentered |= o->is_inside;
    o->n_closed++;
    snprintf(o->closed_why, sizeof(o->closed_why), "%s", why);
    net_stream_close(&o->stream);
}

static void on_secured(void *arg)
{
    struct owner *o = arg;
    o->was_reentered |= o->is_inside;
    o->n_secured++;
    snprintf(o->tls_text, sizeof(o->tls_text), "%s", net_stream_tls_text(o->stream));
    net_stream_certificate(o->stream, o->certificate);
    if (o->closes_in_secured)
        net_stream_close(&o->stream);
}

static void write_some(struct owner *o, size_t n)
{
    static const char dashes[4096] = {'-'};
    o->is_inside = true;
    for (; n > 0 && o->stream; n -= n < sizeof(dashes) ? n : sizeof(dashes))
        net_stream_write(o->stream, slice_of(dashes, n < sizeof(dashes) ? n : sizeof(dashes)));
    o->is_inside = false;
}

static size_t take_all(struct owner *o, struct slice bytes)
{
    buf_adds(&o->seen, bytes);
    write_some(o, o->n_write * bytes.n);
    return bytes.n;
}

static size_t echo(struct owner *o, struct slice bytes)
{
    net_stream_write(o->stream, bytes);
    return bytes.n;
}

static void open_it(void *arg)
{
    struct owner *o = arg;
    struct net_stream_options options = {.out_max = OUT_MAX,
                                         .input = on_input,
                                         .closed = on_closed,
                                         .secured = on_secured,
                                         .arg = o};
    o->stream = net_stream_open(o->kit.loop, o->fds[0], &options);
}

static void close_it(void *arg)
{
    struct owner *o = arg;
    net_stream_close(&o->stream);
}

static void begin(struct owner *o, size_t (*input)(struct owner *o, struct slice bytes))
{
    kit_start(&o->kit);
    kit_pair(o->fds);
    o->seen = buf_make(16 << 20);
    o->input = input;
    o->client = kit_client(o->fds[1]);
    kit_call(&o->kit, open_it, o);
}

static void finish(struct owner *o)
{
    kit_call(&o->kit, close_it, o);
    kit_client_close(&o->client);
    kit_stop(&o->kit);
    buf_finish(&o->seen);
    net_tls_unref(&o->tls);
    assert_false(o->was_reentered);
    assert_in_range(o->n_closed, 0, 1);
}

struct look {
    const size_t *at;
    size_t value;
};

static void look(void *arg)
{
    struct look *l = arg;
    l->value = *l->at;
}

/* A number of the loop's thread, as it is now. */
static size_t value_of(struct owner *o, const size_t *at)
{
    struct look l = {.at = at};
    kit_call(&o->kit, look, &l);
    return l.value;
}

/* Waits until `*n` is at least `least`. */
static void wait_for(struct owner *o, const size_t *n, size_t least)
{
    for (int i = 0; i < 5000 && value_of(o, n) < least; i++)
        usleep(1000);
    assert_true(value_of(o, n) >= least);
}

static void wait_closed(struct owner *o)
{
    wait_for(o, &o->n_closed, 1);
}

/* Everything up to the end of the stream; -1 if the connection was reset. */
static ssize_t read_all(struct kit_client *c, struct buf *ret)
{
    char bytes[8192];
    ssize_t n;
    while ((n = kit_recv(c, bytes, sizeof(bytes))) > 0)
        buf_add(ret, bytes, (size_t)n);
    return n < 0 ? -1 : (ssize_t)ret->n;
}

/* ---- plain ---- */

static void what_comes_in_goes_to_the_owner_and_back(void **)
{
    struct owner o = {};
    char got[12];
    begin(&o, echo);
    kit_send(&o.client, SLICE("hello "));
    kit_send(&o.client, SLICE("world"));
    assert_int_equal(recv(o.client.fd, got, 11, MSG_WAITALL), 11);
    assert_memory_equal(got, "hello world", 11);
    finish(&o);
}

/* Takes three bytes and pauses. */
static size_t sip(struct owner *o, struct slice bytes)
{
    size_t n = bytes.n < 3 ? bytes.n : 3;
    buf_adds(&o->seen, slice_of(bytes.p, n));
    net_stream_pause(o->stream, true);
    return n;
}

static void go_on(void *arg)
{
    struct owner *o = arg;
    o->is_inside = true;
    net_stream_pause(o->stream, false);
    o->is_inside = false;
}

static void what_a_pause_leaves_is_offered_in_order(void **)
{
    struct owner o = {};
    char text[1001];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    begin(&o, sip);
    for (size_t at = 0; at < sizeof(text); at += 91)
        kit_send(&o.client, slice_of(text + at, 91));
    for (int i = 0; i < 2000 && value_of(&o, &o.seen.n) < sizeof(text); i++)
        kit_call(&o.kit, go_on, &o);
    assert_int_equal(value_of(&o, &o.seen.n), sizeof(text));
    assert_memory_equal(o.seen.p, text, sizeof(text));
    finish(&o);
}

static void nothing_is_read_in_a_pause(void **)
{
    struct owner o = {};
    begin(&o, sip);
    kit_send(&o.client, SLICE("abc"));
    wait_for(&o, &o.seen.n, 3);
    kit_send(&o.client, SLICE("def"));
    for (int i = 0; i < 20; i++)
        kit_turn(&o.kit);
    assert_int_equal(value_of(&o, &o.n_offers), 1);
    kit_call(&o.kit, go_on, &o);
    wait_for(&o, &o.seen.n, 6);
    finish(&o);
}

static size_t say_goodbye(struct owner *o, struct slice bytes)
{
    (void)bytes;
    net_stream_write(o->stream, SLICE("421 bye\r\n"));
    net_stream_close(&o->stream);
    return 0;
}

static void the_last_word_survives_input_that_nobody_reads(void **)
{
    static char much[300000];
    struct owner o = {};
    struct buf got = buf_make(1000);
    begin(&o, say_goodbye);
    for (int i = 0; i < 5; i++) {
        kit_send(&o.client, slice_of(much, sizeof(much)));
        kit_turn(&o.kit);
    }
    assert_int_equal(read_all(&o.client, &got), 9);
    assert_memory_equal(got.p, "421 bye\r\n", 9);
    assert_int_equal(o.n_closed, 0); /* no callback after close */
    buf_finish(&got);
    finish(&o);
}

static void a_peer_that_stopped_sending_gets_its_replies(void **)
{
    struct owner o = {.n_write = 10000};
    struct buf got = buf_make(1 << 20);
    begin(&o, take_all);
    kit_send(&o.client, SLICE("12345"));
    assert_int_equal(shutdown(o.client.fd, SHUT_WR), 0);
    wait_closed(&o);
    assert_int_equal(read_all(&o.client, &got), 50000);
    assert_string_equal(o.closed_why, "the peer closed the connection");
    buf_finish(&got);
    finish(&o);
}

static void a_peer_that_reads_no_replies_is_not_read_from(void **)
{
    static char commands[16 << 10];
    struct owner o = {.n_write = 3};
    struct buf got = buf_make(64 << 20);
    size_t n_sent = 0;
    begin(&o, take_all);
    for (ssize_t n; (n = send(o.client.fd, commands, sizeof(commands), MSG_DONTWAIT)) > 0 ||
                    n_sent < 1 << 20;) {
        n_sent += n > 0 ? (size_t)n : 0;
        kit_turn(&o.kit);
        if (n_sent > 12 << 20)
            break;
    }
    assert_int_equal(value_of(&o, &o.n_closed), 0); /* it waits, it is not cut off */
    assert_true(value_of(&o, &o.seen.n) < n_sent);
    shutdown(o.client.fd, SHUT_WR);
    assert_int_equal(read_all(&o.client, &got), 3 * n_sent);
    wait_closed(&o);
    assert_int_equal(o.seen.n, n_sent);
    buf_finish(&got);
    finish(&o);
}

static void write_too_much(void *arg)
{
    struct owner *o = arg;
    write_some(o, 16 << 20);
    assert_non_null(o->stream); /* nobody was called yet */
    assert_int_equal(o->n_closed, 0);
}

static void more_output_than_allowed_ends_the_stream_after_the_turn(void **)
{
    struct owner o = {.n_write = 1 << 20}, p = {};
    begin(&o, take_all);
    kit_send(&o.client, SLICE("123456789"));
    wait_closed(&o);
    assert_string_equal(o.closed_why, "the peer does not read our replies");
    finish(&o);
    begin(&p, take_all);
    kit_call(&p.kit, write_too_much, &p);
    wait_closed(&p);
    finish(&p);
}

static void a_reset_is_told_once(void **)
{
    struct owner o = {};
    begin(&o, echo);
    kit_send(&o.client, SLICE("x"));
    kit_client_reset(&o.client);
    wait_closed(&o);
    finish(&o);
}

static void the_owner_may_close_in_any_callback(void **)
{
    struct owner o = {.closes_in_input = true, .n_write = 100}, p = {};
    struct buf got = buf_make(10000);
    begin(&o, take_all);
    kit_send(&o.client, SLICE("ab"));
    assert_in_range(read_all(&o.client, &got), 100, 200);
    finish(&o);
    begin(&p, take_all);
    shutdown(p.client.fd, SHUT_WR); /* closes in `closed` */
    wait_closed(&p);
    finish(&p);
    buf_finish(&got);
}

static void flush_tells_whether_all_is_with_the_system(void **)
{
    struct owner o = {};
    begin(&o, take_all);
    net_loop_stop(o.kit.loop); /* the test's thread is the loop's now */
    pthread_join(o.kit.thread, NULL);
    net_stream_write(o.stream, SLICE("250 ok\r\n"));
    assert_true(net_stream_flush(o.stream));
    write_some(&o, OUT_MAX - 1);
    while (net_stream_flush(o.stream) && o.seen.n < 1 << 10) {
        write_some(&o, OUT_MAX - 1);
        o.seen.n++;
    }
    assert_false(net_stream_flush(o.stream)); /* the peer reads nothing */
    kit_client_reset(&o.client);
    usleep(1000);
    assert_false(net_stream_flush(o.stream));
    assert_int_equal(o.n_closed, 0); /* told by the loop only */
    net_stream_close(&o.stream);
    net_loop_destroy(&o.kit.loop);
    buf_finish(&o.seen);
}

/* ---- TLS ---- */

static struct kit_keys server_keys, client_keys;

static void make_tls(struct owner *o)
{
    assert_int_equal(net_tls_server_create(slice_str(server_keys.certificate),
                                           slice_str(server_keys.key), &o->tls, NULL),
                     ERR_OK);
}

/* As STARTTLS: the first bytes are answered in the clear, then comes the handshake. */
static size_t start_tls(struct owner *o, struct slice bytes)
{
    o->input = echo;
    net_stream_write(o->stream, SLICE("220 go\r\n"));
    o->is_inside = true;
    net_stream_secure(o->stream, o->tls);
    o->is_inside = false;
    return bytes.n;
}

static void ask_for_tls(struct owner *o)
{
    char got[8];
    begin(o, start_tls);
    kit_send(&o->client, SLICE("STARTTLS\r\n"));
    assert_int_equal(recv(o->client.fd, got, 8, MSG_WAITALL), 8);
    assert_memory_equal(got, "220 go\r\n", 8);
}

static void read_exactly(struct kit_client *c, char *p, size_t n)
{
    while (n > 0) {
        ssize_t got = kit_recv(c, p, n);
        assert_true(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

static void tls_carries_both_ways_and_ends_with_a_farewell(void **)
{
    static char sent[200000], got[200000];
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 7);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct owner o = {};
        make_tls(&o);
        ask_for_tls(&o);
        assert_true(kit_client_secure(&o.client, version, &client_keys));
        for (size_t at = 0; at < sizeof(sent); at += 20000) {
            kit_send(&o.client, slice_of(sent + at, 20000));
            read_exactly(&o.client, got + at, 20000);
        }
        assert_memory_equal(sent, got, sizeof(sent));
        assert_int_equal(o.n_secured, 1);
        assert_string_equal(o.certificate, client_keys.fingerprint);
        assert_non_null(strstr(o.tls_text, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3"));
        kit_call(&o.kit, close_it, &o);
        assert_int_equal(kit_recv(&o.client, got, 1), 0); /* an end, no cut */
        finish(&o);
    }
}

static void a_client_without_certificate_is_welcome_and_nameless(void **)
{
    struct owner o = {};
    char got[2];
    make_tls(&o);
    ask_for_tls(&o);
    assert_true(kit_client_secure(&o.client, 0, NULL));
    kit_send(&o.client, SLICE("ab"));
    read_exactly(&o.client, got, 2);
    assert_string_equal(o.certificate, "");
    finish(&o);
}

static void old_versions_of_tls_are_refused(void **)
{
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct owner o = {};
        make_tls(&o);
        ask_for_tls(&o);
        assert_false(kit_client_secure(&o.client, versions[i], NULL));
        wait_closed(&o);
        assert_string_equal(o.closed_why, "the TLS handshake failed");
        assert_int_equal(o.n_secured, 0);
        finish(&o);
    }
}

static void bytes_in_the_clear_do_not_get_into_tls(void **)
{
    struct owner o = {};
    make_tls(&o);
    ask_for_tls(&o);
    kit_send(&o.client, SLICE("RSET\r\nMAIL FROM:<a@b>\r\n"));
    wait_closed(&o);
    assert_int_equal(o.n_offers, 1);
    finish(&o);
}

static void the_owner_may_close_when_secured(void **)
{
    struct owner o = {.closes_in_secured = true};
    char got[1];
    make_tls(&o);
    ask_for_tls(&o);
    assert_true(kit_client_secure(&o.client, TLS1_2_VERSION, NULL));
    assert_int_equal(kit_recv(&o.client, got, 1), 0);
    finish(&o);
}

static void a_pause_inside_tls_loses_nothing(void **)
{
    struct owner o = {};
    char text[2600];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    make_tls(&o);
    ask_for_tls(&o);
    o.input = sip;
    assert_true(kit_client_secure(&o.client, 0, NULL));
    for (size_t at = 0; at < sizeof(text); at += 260)
        kit_send(&o.client, slice_of(text + at, 260));
    for (int i = 0; i < 4000 && value_of(&o, &o.seen.n) < sizeof(text); i++)
        kit_call(&o.kit, go_on, &o);
    assert_int_equal(value_of(&o, &o.seen.n), sizeof(text));
    assert_memory_equal(o.seen.p, text, sizeof(text));
    finish(&o);
}

/* As PROXY before TLS: takes a line, leaves the rest to the handshake. */
static size_t take_line_then_tls(struct owner *o, struct slice bytes)
{
    ptrdiff_t lf = slice_find(bytes, '\n');
    size_t n = lf < 0 ? bytes.n : (size_t)lf + 1;
    buf_adds(&o->seen, slice_of(bytes.p, n));
    if (lf < 0)
        return n;
    o->input = echo;
    net_stream_secure(o->stream, o->tls);
    return n;
}

static void peek(void *arg)
{
    struct owner *o = arg;
    net_stream_peek(o->stream, true);
}

static void a_handshake_may_come_with_the_bytes_before_it(void **)
{
    static const char line[] = "PROXY UNKNOWN\r\n";
    for (size_t split = 1; split < sizeof(line); split += 6) {
        struct owner o = {};
        char got[2];
        int cork = 1;
        make_tls(&o);
        begin(&o, take_line_then_tls);
        kit_call(&o.kit, peek, &o);
        kit_send(&o.client, slice_of(line, split));
        kit_turn(&o.kit);
        /* The rest of the line waits and leaves together with the hello of TLS. */
        assert_int_equal(setsockopt(o.client.fd, IPPROTO_TCP, TCP_CORK, &cork, 4), 0);
        kit_send(&o.client, slice_of(line + split, sizeof(line) - 1 - split));
        assert_true(kit_client_secure(&o.client, 0, NULL));
        cork = 0;
        assert_int_equal(setsockopt(o.client.fd, IPPROTO_TCP, TCP_CORK, &cork, 4), 0);
        kit_send(&o.client, SLICE("ab"));
        read_exactly(&o.client, got, 2);
        assert_int_equal(o.seen.n, sizeof(line) - 1);
        finish(&o);
    }
}

static void keys_that_do_not_belong_together_are_refused(void **)
{
    struct slice certificate = slice_str(server_keys.certificate);
    struct slice key = slice_str(server_keys.key), other = slice_str(client_keys.key);
    struct net_tls *t = NULL;
    struct errinfo ei;
    assert_int_equal(net_tls_server_create(certificate, other, &t, &ei), ERR_INVALID);
    assert_non_null(strstr(ei.text, "key"));
    assert_int_equal(net_tls_server_create(SLICE("nonsense"), key, &t, &ei), ERR_INVALID);
    assert_non_null(strstr(ei.text, "certificate"));
    assert_int_equal(net_tls_server_create(certificate, SLICE("nonsense"), &t, &ei), ERR_INVALID);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_in_goes_to_the_owner_and_back),
        cmocka_unit_test(what_a_pause_leaves_is_offered_in_order),
        cmocka_unit_test(nothing_is_read_in_a_pause),
        cmocka_unit_test(the_last_word_survives_input_that_nobody_reads),
        cmocka_unit_test(a_peer_that_stopped_sending_gets_its_replies),
        cmocka_unit_test(a_peer_that_reads_no_replies_is_not_read_from),
        cmocka_unit_test(more_output_than_allowed_ends_the_stream_after_the_turn),
        cmocka_unit_test(a_reset_is_told_once),
        cmocka_unit_test(the_owner_may_close_in_any_callback),
        cmocka_unit_test(flush_tells_whether_all_is_with_the_system),
        cmocka_unit_test(tls_carries_both_ways_and_ends_with_a_farewell),
        cmocka_unit_test(a_client_without_certificate_is_welcome_and_nameless),
        cmocka_unit_test(old_versions_of_tls_are_refused),
        cmocka_unit_test(bytes_in_the_clear_do_not_get_into_tls),
        cmocka_unit_test(the_owner_may_close_when_secured),
        cmocka_unit_test(a_pause_inside_tls_loses_nothing),
        cmocka_unit_test(a_handshake_may_come_with_the_bytes_before_it),
        cmocka_unit_test(keys_that_do_not_belong_together_are_refused),
    };
    kit_keys_make(&server_keys, "server.example");
    kit_keys_make(&client_keys, "client.example");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
