/* Questions and answers over a DNS server of a few lines: statuses, deadlines, ceilings, names. */
#include "resolve/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "resolve/resolve_int.h"

/* ---- names ---- */

static void names_are_cleaned(void **)
{
    static const struct {
        const char *name, *clean; /* NULL: not a name */
    } cases[] = {
        {"example.test", "example.test"},
        {"example.test.", "example.test"},
        {"_25._tcp.mx.example.test", "_25._tcp.mx.example.test"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"stra\xc3\x9f"
         "e.example",
         "xn--strae-oqa.example"},
        {"", NULL},
        {".", NULL},
        {"a..b", NULL},
        {".a", NULL},
        {"a b", NULL},
        {"a\\046b", NULL},
        {"a\tb", NULL},
        {"\xff\xfe.example", NULL},
        {"a.\xc2\xad.b", NULL},
        {"0123456789012345678901234567890123456789012345678901234567890123.x", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char clean[RESOLVE_NAME_MAX] = "";
        bool is_name = resolve_name_clean(slice_str(cases[i].name), clean);
        assert_int_equal(is_name, cases[i].clean != NULL);
        assert_string_equal(clean, cases[i].clean ? cases[i].clean : "");
    }
    char clean[RESOLVE_NAME_MAX], with_nul[] = {'a', '\0', 'b'};
    assert_false(resolve_name_clean(slice_of(with_nul, 3), clean));
}

static void servers_are_read(void **)
{
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"192.0.2.53", "192.0.2.53@53"},
        {"192.0.2.53:5353", "192.0.2.53@5353"},
        {"2001:db8::53", "2001:db8::53@53"},
        {"[2001:db8::53]", "2001:db8::53@53"},
        {"[2001:db8::53]:54", "2001:db8::53@54"},
        {"192.0.2.53:0", NULL},
        {"192.0.2.53:", NULL},
        {"192.0.2.53:65536", NULL},
        {"ns.example", NULL},
        {"[2001:db8::53]54", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char clean[64] = "";
        assert_int_equal(resolve_server_text(slice_str(cases[i].text), clean),
                         cases[i].clean != NULL);
        assert_string_equal(clean, cases[i].clean ? cases[i].clean : "");
    }
}

/* ---- a server ---- */

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_uint n_asked;
};

/* Answers by the first label: a one address, n no such name, f failure, anything else nothing. */
static void *serve(void *arg)
{
    struct server *s = arg;
    static const char record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1";
    unsigned char p[600];
    struct sockaddr_in peer;
    for (;;) {
        socklen_t n_peer = sizeof(peer);
        ssize_t n = recvfrom(s->fd, p, 500, 0, (struct sockaddr *)&peer, &n_peer);
        if (n == 1)
            return NULL; /* the end of the test */
        atomic_fetch_add(&s->n_asked, 1);
        size_t end = 12;
        while (end < (size_t)n && p[end])
            end += p[end] + 1u;
        uint16_t type = (uint16_t)(p[end + 1] << 8 | p[end + 2]);
        end += 5;
        char kind = (char)p[13];
        p[2] = 0x84;
        p[3] = kind == 'n' ? 0x83 : kind == 'f' ? 0x82 : 0x80;
        memset(p + 6, 0, 6); /* no answer, no authority, nothing more */
        if (kind != 'a' && kind != 'n' && kind != 'f')
            continue;
        if (kind == 'a' && type == RESOLVE_A) {
            p[7] = 1;
            memcpy(p + end, record, sizeof(record) - 1);
            end += sizeof(record) - 1;
        }
        (void)sendto(s->fd, p, end, 0, (struct sockaddr *)&peer, n_peer);
    }
}

static void server_start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    s->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(s->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(sendto(s->fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* ---- asking ---- */

struct seen {
    struct net_loop *loop;
    struct resolve *resolve;
    const char *next[4]; /* asked after each answer */
    bool is_fresh;
    unsigned n, wanted;
    struct {
        uint64_t tag;
        uint8_t status;
        uint32_t n_records, ttl;
        char data[16], why[100];
        size_t n_data;
    } told[20];
};

static void ask_next(struct seen *s)
{
    struct ipc_name_ask q = {slice_str(s->next[s->n]), RESOLVE_A, s->is_fresh};
    resolve_ask(s->resolve, s->n, &q);
}

static void on_told(void *arg, uint64_t tag, const struct ipc_name_told *t)
{
    struct seen *s = arg;
    s->told[s->n].tag = tag;
    s->told[s->n].status = t->status;
    s->told[s->n].n_records = t->n_records;
    s->told[s->n].ttl = t->ttl;
    snprintf(s->told[s->n].why, 100, SLICE_FMT, SLICE_ARG(t->why));
    if (t->n_records > 0 && t->records[0].data.n <= 16)
        memcpy(s->told[s->n].data, t->records[0].data.p, t->records[0].data.n);
    s->told[s->n].n_data = t->n_records > 0 ? t->records[0].data.n : 0;
    if (++s->n == s->wanted)
        net_loop_stop(s->loop);
    else if (s->n < 4 && s->next[s->n])
        ask_next(s);
}

static struct resolve *open_resolver(struct seen *s, struct server *server,
                                     struct resolve_options *o)
{
    struct resolve *r = NULL;
    char forwarder[40];
    static const struct slice opened[] = {{"test.", 5}};
    snprintf(forwarder, sizeof(forwarder), "127.0.0.1:%u", server->port);
    struct slice forwarders[] = {slice_str(forwarder)};
    o->forwarders = forwarders;
    o->n_forwarders = 1;
    o->opened = opened;
    o->n_opened = 1;
    o->told = on_told;
    o->arg = s;
    s->loop = net_loop_create();
    assert_int_equal(resolve_create(s->loop, o, &r, NULL), ERR_OK);
    return r;
}

static void ask(struct resolve *r, uint64_t tag, const char *name, uint16_t type)
{
    struct ipc_name_ask q = {slice_str(name), type};
    resolve_ask(r, tag, &q);
}

static void answers_come_with_their_status(void **)
{
    struct server server;
    struct seen s = {.wanted = 5};
    struct resolve_options o = resolve_options_usual();
    static const uint8_t want[] = {[1] = IPC_NAME_OK,
                                   [2] = IPC_NAME_NO_DATA,
                                   [3] = IPC_NAME_NO_NAME,
                                   [4] = IPC_NAME_FAILED,
                                   [5] = IPC_NAME_NO_NAME};
    server_start(&server);
    struct resolve *r = open_resolver(&s, &server, &o);
    ask(r, 5, "not a name", RESOLVE_A);
    assert_int_equal(s.n, 1);
    ask(r, 1, "a.test", RESOLVE_A);
    ask(r, 2, "a.test.", RESOLVE_MX);
    ask(r, 3, "n.test", RESOLVE_A);
    ask(r, 4, "f.test", RESOLVE_A);
    net_loop_run(s.loop);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(s.told[i].status, want[s.told[i].tag]);
        assert_int_equal(s.told[i].n_records, s.told[i].tag == 1);
        if (s.told[i].tag != 1)
            continue;
        assert_int_equal(s.told[i].n_data, 4);
        assert_memory_equal(s.told[i].data, "\x7f\0\0\1", 4);
        assert_in_range(s.told[i].ttl, 1, 60);
    }
    struct resolve_figures f = resolve_figures(r);
    assert_int_equal(f.n_open, 0);
    assert_int_equal(f.n_asked, 5);
    assert_int_equal(f.n_failed, 1);
    resolve_destroy(&r);
    net_loop_destroy(&s.loop);
    server_stop(&server);
}

static void a_fresh_answer_is_asked_for_again(void **)
{
    for (unsigned is_fresh = 0; is_fresh < 2; is_fresh++) {
        struct server server = {};
        struct seen s = {
            .next = {"a1.test", "a2.test", "a1.test"}, .wanted = 3, .is_fresh = is_fresh};
        struct resolve_options o = resolve_options_usual();
        server_start(&server);
        s.resolve = open_resolver(&s, &server, &o);
        ask_next(&s);
        net_loop_run(s.loop);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(s.told[i].status, IPC_NAME_OK);
        assert_int_equal(atomic_load(&server.n_asked), is_fresh ? 3 : 2);
        resolve_destroy(&s.resolve);
        net_loop_destroy(&s.loop);
        server_stop(&server);
    }
}

static void silence_ends_at_the_deadline(void **)
{
    struct server server;
    struct seen s = {.wanted = 1};
    struct resolve_options o = resolve_options_usual();
    o.deadline = MILLISECONDS(150);
    server_start(&server);
    struct resolve *r = open_resolver(&s, &server, &o);
    mono_us begun = mono_now();
    ask(r, 1, "x.test", RESOLVE_A);
    net_loop_run(s.loop);
    assert_in_range(mono_now() - begun, MILLISECONDS(140), MILLISECONDS(5000));
    assert_int_equal(s.told[0].status, IPC_NAME_FAILED);
    assert_string_equal(s.told[0].why, "no answer in time");
    resolve_destroy(&r);
    net_loop_destroy(&s.loop);
    server_stop(&server);
}

static void too_many_questions_are_answered_at_once(void **)
{
    struct server server;
    struct seen s = {.wanted = 99};
    struct resolve_options o = resolve_options_usual();
    o.asks = 2;
    server_start(&server);
    struct resolve *r = open_resolver(&s, &server, &o);
    for (unsigned i = 1; i <= 3; i++)
        ask(r, i, "x.test", RESOLVE_A);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.told[0].tag, 3);
    assert_int_equal(s.told[0].status, IPC_NAME_FAILED);
    assert_int_equal(resolve_figures(r).n_open, 2);
    resolve_destroy(&r); /* with open questions: they are forgotten */
    assert_int_equal(s.n, 1);
    net_loop_destroy(&s.loop);
    server_stop(&server);
}

static void settings_that_cannot_be_read_are_refused(void **)
{
    static const struct slice bad[] = {{"nobody", 6}}, bad_zone[] = {{"a..b", 4}};
    struct net_loop *l = net_loop_create();
    for (int i = 0; i < 4; i++) {
        struct resolve *r = NULL;
        struct resolve_options o = resolve_options_usual();
        o.forwarders = o.roots = bad;
        o.n_forwarders = i == 0;
        o.n_roots = i == 1;
        if (i == 2)
            o.anchors = SLICE("; nothing\nexample. IN DS what\n");
        o.opened = bad_zone;
        o.n_opened = i == 3;
        assert_int_equal(resolve_create(l, &o, &r, NULL), ERR_INVALID);
        assert_null(r);
    }
    net_loop_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_cleaned),
        cmocka_unit_test(servers_are_read),
        cmocka_unit_test(answers_come_with_their_status),
        cmocka_unit_test(a_fresh_answer_is_asked_for_again),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(too_many_questions_are_answered_at_once),
        cmocka_unit_test(settings_that_cannot_be_read_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
