/* The gate over real sockets: TLS, peers that come as they like, the checks of senders, stopping,
 * and what an idle session costs. SMTP_TEST_IDLE=10000 for the number in the design. */
#include "net/test/net_kit.h"
#include "smtp/smtp_int.h"

#include "base/mail.h"

#include <malloc.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- the gate, and a core that takes everything ---- */

struct gate {
    struct kit_loop kit;
    struct smtp_server *server;
    struct smtp_options options;
    struct smtp_port port;
    struct net_tls *tls;
    struct net_link *core; /* core's end */
    struct sockaddr_in at;
    int listener;
    size_t n_bytes, n_messages, n_sessions;
    uint32_t flags; /* of the last message */
    char results[2000], fingerprint[65];
    atomic_int n_asked; /* names */
    unsigned resolve_ms;
    atomic_bool is_stopped;
};

static char shared[SMTP_SHARED_BYTES] __attribute__((aligned(64)));

static void say(struct gate *g, enum ipc_type type, uint64_t tag, struct buf *b)
{
    assert_int_equal(net_link_send(g->core, (uint16_t)type, tag, buf_slice(b), SLICE("")), ERR_OK);
    buf_finish(b);
}

static void core_takes(struct gate *g, struct net_frame *f)
{
    struct ipc_take take;
    struct arena *arena = arena_create(8 << 20);
    assert_true(ipc_take_unpack(f->payload, arena, &take));
    assert_int_equal(take.bytes, g->n_bytes);
    g->flags = take.flags;
    snprintf(g->results, sizeof(g->results), "%.*s", SLICE_ARG(take.results));
    arena_destroy(&arena);
    struct buf b = buf_make(1000);
    ipc_taken_pack(&b, &(struct ipc_taken){.message = 1000 + ++g->n_messages});
    say(g, IPC_T_taken, f->tag, &b);
}

static void core_hears(void *arg, struct net_link *, struct net_frame *f)
{
    struct gate *g = arg;
    struct buf b = buf_make(1000);
    if (f->type == IPC_T_rcpt_ask) {
        ipc_rcpt_told_pack(&b, &(struct ipc_rcpt_told){.generation = 1, .tenant = 1, .primary = 2});
        say(g, IPC_T_rcpt_told, f->tag, &b);
    } else if (f->type == IPC_T_content) {
        g->n_bytes += f->payload.n;
    } else if (f->type == IPC_T_take) {
        core_takes(g, f);
    }
}

static void core_lost(void *arg, struct net_link *)
{
    struct gate *g = arg;
    net_link_close(&g->core);
}

static void nonsense(void *arg, const char *why)
{
    (void)arg;
    fail_msg("%s", why);
}

static void open_gate(void *arg)
{
    struct gate *g = arg;
    int pair[2];
    struct buf facts = buf_make(1000);
    struct net_link_options o = {.frame_max = IPC_LIST_FRAME_MAX,
                                 .queue_max = 1 << 20,
                                 .frame = core_hears,
                                 .closed = core_lost,
                                 .arg = g};
    g->options.loop = g->kit.loop;
    g->server = smtp_server_create(&g->options);
    smtp_server_tls(g->server, g->tls);
    smtp_server_listen(g->server, g->listener, &g->port);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    g->core = net_link_open(g->kit.loop, pair[1], &o);
    smtp_server_core(g->server, pair[0]);
    ipc_facts_pack(&facts, &(struct ipc_facts){.generation = 1});
    say(g, IPC_T_facts, 0, &facts);
}

static void close_gate(void *arg)
{
    struct gate *g = arg;
    smtp_server_destroy(&g->server);
    net_link_close(&g->core);
}

static struct kit_keys keys;

static void prepare(struct gate *g)
{
    memset(shared, 0, sizeof(shared));
    *g = (struct gate){.port.has_starttls = true};
    g->options = (struct smtp_options){
        .node = "mx.example",
        .limits = {.message_bytes = 50 << 20,
                   .header_bytes = 256 << 10,
                   .bytes_in_flight = 512 << 20,
                   .command_line_bytes = 4096,
                   .connections = 20000,
                   .connections_per_address = 20000,
                   .connections_per_network = 20000,
                   .connections_per_minute = 1000000,
                   .recipients = 100,
                   .hops = 50,
                   .commands = 20000,
                   .idle_commands = 200,
                   .errors = 20,
                   .messages = 10000,
                   .command_sec = 300,
                   .data_sec = 180,
                   .transfer_sec = 7200},
        .shared = shared,
        .nonsense = nonsense,
    };
    assert_int_equal(
        net_tls_server_create(slice_str(keys.certificate), slice_str(keys.key), &g->tls, NULL),
        ERR_OK);
    g->listener = kit_listen(&g->at);
}

static void begin(struct gate *g)
{
    kit_start(&g->kit);
    kit_call(&g->kit, open_gate, g);
    kit_turn(&g->kit);
}

static void finish(struct gate *g)
{
    kit_call(&g->kit, close_gate, g);
    kit_turn(&g->kit); /* a worker's bell may still be on its way */
    kit_stop(&g->kit);
    net_tls_unref(&g->tls);
}

/* ---- the client ---- */

/* Reads one reply and returns its code; 0: the end, -1: a reset. */
static int reply(struct kit_client *c)
{
    char line[600];
    for (;;) {
        size_t n = 0;
        do {
            ssize_t got = kit_recv(c, line + n, 1);
            if (got <= 0)
                return (int)got;
        } while (line[n++] != '\n' && n < sizeof(line));
        if (n > 3 && line[3] == ' ')
            return (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
    }
}

static int command(struct kit_client *c, const char *text)
{
    kit_send(c, slice_str(text));
    return reply(c);
}

static struct kit_client greeted(struct gate *g)
{
    struct kit_client c = kit_client(kit_connect(&g->at));
    assert_int_equal(reply(&c), 220);
    assert_int_equal(command(&c, "EHLO c.example\r\n"), 250);
    return c;
}

static void send_mail(struct kit_client *c, int code)
{
    assert_int_equal(command(c, "MAIL FROM:<a@c.example>\r\n"), 250);
    assert_int_equal(command(c, "RCPT TO:<anna@example.org>\r\n"), 250);
    assert_int_equal(command(c, "DATA\r\n"), 354);
    assert_int_equal(command(c, "From: <a@c.example>\r\n\r\nbody\r\n.\r\n"), code);
}

/* ---- tests ---- */

static void mail_goes_through_in_the_clear_and_under_tls(void **)
{
    struct gate g;
    prepare(&g);
    begin(&g);
    struct kit_client c = greeted(&g);
    send_mail(&c, 250);
    assert_int_equal(command(&c, "STARTTLS\r\n"), 220);
    assert_true(kit_client_secure(&c, 0, &keys));
    assert_int_equal(command(&c, "MAIL FROM:<a@c.example>\r\n"), 503);
    assert_int_equal(command(&c, "EHLO c.example\r\n"), 250);
    g.n_bytes = 0;
    send_mail(&c, 250);
    assert_int_equal(g.flags & MESSAGE_TLS, MESSAGE_TLS);
    assert_int_equal(command(&c, "QUIT\r\n"), 221);
    assert_int_equal(reply(&c), 0); /* an orderly end, no reset */
    kit_client_close(&c);
    finish(&g);
}

static void commands_hidden_behind_starttls_meet_a_closed_door(void **)
{
    struct gate g;
    prepare(&g);
    begin(&g);
    struct kit_client c = greeted(&g);
    assert_int_equal(command(&c, "STARTTLS\r\nMAIL FROM:<evil@x.org>\r\n"), 501);
    assert_int_equal(reply(&c), 0);
    kit_client_close(&c);
    finish(&g);
}

static void a_large_message_passes_the_link(void **)
{
    static char much[1 << 20];
    struct gate g;
    prepare(&g);
    begin(&g);
    struct kit_client c = greeted(&g);
    memset(much, 'x', sizeof(much));
    for (size_t i = 998; i + 2 <= sizeof(much); i += 1000)
        memcpy(much + i, "\r\n", 2);
    memcpy(much + sizeof(much) - 2, "\r\n", 2);
    assert_int_equal(command(&c, "MAIL FROM:<>\r\n"), 250);
    assert_int_equal(command(&c, "RCPT TO:<anna@example.org>\r\n"), 250);
    assert_int_equal(command(&c, "DATA\r\n"), 354);
    kit_send(&c, SLICE("\r\n"));
    for (int i = 0; i < 20; i++)
        kit_send(&c, slice_of(much, sizeof(much)));
    assert_int_equal(command(&c, ".\r\n"), 250);
    assert_int_equal(g.n_bytes, 2 + 20 * sizeof(much));
    kit_client_close(&c);
    finish(&g);
}

static void a_browser_reads_why_it_is_sent_away(void **)
{
    static char form[200000];
    struct gate g;
    prepare(&g);
    begin(&g);
    struct kit_client c = kit_client(kit_connect(&g.at));
    kit_send(&c, SLICE("POST / HTTP/1.1\r\nHost: mx.example:25\r\n\r\n"));
    kit_send(&c, slice_of(form, sizeof(form)));
    assert_int_equal(reply(&c), 220);
    assert_int_equal(reply(&c), 521);
    assert_int_equal(reply(&c), 0);
    kit_client_close(&c);
    finish(&g);
}

static void a_sender_that_stops_sending_still_hears_the_250(void **)
{
    struct gate g;
    prepare(&g);
    begin(&g);
    struct kit_client c = greeted(&g);
    kit_send(&c, SLICE("MAIL FROM:<>\r\nRCPT TO:<anna@example.org>\r\nBDAT 1 LAST\r\nxQUIT\r\n"));
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    static const int codes[] = {250, 250, 250, 221, 0};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_int_equal(reply(&c), codes[i]);
    kit_client_close(&c);
    finish(&g);
}

static void on_stopped(void *arg)
{
    struct gate *g = arg;
    smtp_server_destroy(&g->server); /* as `done` may */
    g->is_stopped = true;
}

static void stop(void *arg)
{
    struct gate *g = arg;
    smtp_server_stop(g->server, SECONDS(1), on_stopped, g);
}

static void stopping_says_goodbye_and_may_end_the_server(void **)
{
    struct gate g;
    prepare(&g);
    begin(&g);
    struct kit_client idle = greeted(&g), busy = greeted(&g);
    assert_int_equal(command(&busy, "MAIL FROM:<>\r\n"), 250);
    assert_int_equal(command(&busy, "RCPT TO:<anna@example.org>\r\n"), 250);
    kit_call(&g.kit, stop, &g);
    assert_int_equal(reply(&idle), 421);
    assert_int_equal(reply(&idle), 0);
    assert_int_equal(command(&busy, "BDAT 1 LAST\r\nx"), 250);
    assert_int_equal(reply(&busy), 421);
    for (int i = 0; i < 2000 && !g.is_stopped; i++)
        usleep(1000);
    assert_true(g.is_stopped);
    kit_client_close(&idle);
    kit_client_close(&busy);
    finish(&g);
}

/* ---- checks of senders ---- */

static enum err resolve(void *arg, const struct ipc_name_ask *ask, mono_us deadline,
                        struct arena *a, struct ipc_name_told *ret)
{
    struct gate *g = arg;
    (void)ask, (void)deadline, (void)a;
    g->n_asked++;
    usleep(g->resolve_ms * 1000);
    *ret = (struct ipc_name_told){.status = IPC_NAME_NO_NAME};
    return ERR_OK;
}

static void begin_checking(struct gate *g, struct kit_client *c, unsigned resolve_ms)
{
    prepare(g);
    g->options.resolve = resolve;
    g->options.resolve_arg = g;
    g->resolve_ms = resolve_ms;
    g->port.n_xclients = 1; /* everybody: this machine itself is never checked */
    g->port.xclients[0].n_bytes = 4;
    begin(g);
    *c = greeted(g);
    assert_int_equal(command(c, "XCLIENT ADDR=192.0.2.7\r\n"), 220);
    assert_int_equal(command(c, "EHLO c.example\r\n"), 250);
}

static void a_stranger_is_checked_and_core_hears_the_verdict(void **)
{
    struct gate g;
    struct kit_client c;
    begin_checking(&g, &c, 1);
    send_mail(&c, 250);
    assert_true(g.n_asked > 0);
    assert_memory_equal(g.results, "Authentication-Results: mx.example;", 35);
    assert_int_equal(g.flags & MESSAGE_SENDER_PROVED, 0);
    kit_client_close(&c);
    finish(&g);
}

static void nobody_minds_a_gate_that_ends_while_it_checks(void **)
{
    for (unsigned ms = 0; ms < 60; ms += 20) {
        struct gate g;
        struct kit_client c;
        begin_checking(&g, &c, ms / 4);
        kit_send(&c, SLICE("MAIL FROM:<a@c.example>\r\nRCPT TO:<anna@example.org>\r\n"
                           "BDAT 21 LAST\r\nFrom: <a@c.example>\r\n"));
        for (int i = 0; i < 2000 && g.n_asked == 0; i++)
            usleep(1000);
        usleep(ms * 100);
        finish(&g);
        kit_client_close(&c);
    }
}

/* ---- what an idle session costs ---- */

static void count_sessions(void *arg)
{
    struct gate *g = arg;
    g->n_sessions = smtp_server_sessions(g->server);
}

/* The clients are another process, so that their memory is not counted. */
static pid_t start_clients(struct gate *g, int n, bool is_tls, int *ret_ready)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid != 0) {
        close(ready[1]);
        *ret_ready = ready[0];
        return pid;
    }
    close(g->listener);
    struct kit_client *clients = calloc((size_t)n, sizeof(*clients));
    for (int i = 0; i < n; i++) {
        clients[i] = greeted(g);
        if (is_tls && (command(&clients[i], "STARTTLS\r\n") != 220 ||
                       !kit_client_secure(&clients[i], 0, NULL) ||
                       command(&clients[i], "EHLO c.example\r\n") != 250))
            _exit(1);
    }
    (void)!write(ready[1], "!", 1);
    for (;;)
        pause();
}

static size_t bytes_per_idle_session(int n, bool is_tls)
{
    struct gate g;
    int ready;
    char c;
    prepare(&g);
    pid_t pid = start_clients(&g, n, is_tls, &ready);
    begin(&g);
    /* What the first session brings (OpenSSL's tables, our read buffer) is no session's. */
    struct kit_client first = greeted(&g);
    assert_int_equal(command(&first, "STARTTLS\r\n"), 220);
    assert_true(kit_client_secure(&first, 0, NULL));
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_int_equal(read(ready, &c, 1), 1);
    kit_call(&g.kit, count_sessions, &g);
    assert_true(g.n_sessions >= (size_t)n);
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ready);
    kit_client_close(&first);
    finish(&g);
    return after > before ? (after - before) / (size_t)n : 0;
}

static int idle_sessions(void)
{
    const char *text = getenv("SMTP_TEST_IDLE");
    uint64_t n = 1000;
    if (text)
        assert_true(slice_u64(slice_str(text), 100000, &n));
    struct rlimit most;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &most), 0);
    if (most.rlim_max < n + 200)
        n = most.rlim_max - 200;
    most.rlim_cur = most.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
    return (int)n;
}

static void an_idle_session_costs_at_most_8_kib_and_24_with_tls(void **)
{
    if (mallinfo2().uordblks < 1000)
        skip(); /* a sanitizer's malloc: nothing to measure */
    int n = idle_sessions();
    size_t plain = bytes_per_idle_session(n, false);
    size_t tls = bytes_per_idle_session(n > 1000 ? n : 200, true);
    print_message("idle session: %zu bytes, with TLS %zu\n", plain, tls);
    assert_in_range(plain, 100, 8 << 10);
    assert_in_range(tls, 1000, 24 << 10);
}

int main(void)
{
    log_init("test", LOG_ERROR);
    (void)mallopt(M_ARENA_MAX, 1); /* or mallinfo2 sees the main thread's only */
    kit_keys_make(&keys, "mx.example");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_goes_through_in_the_clear_and_under_tls),
        cmocka_unit_test(commands_hidden_behind_starttls_meet_a_closed_door),
        cmocka_unit_test(a_large_message_passes_the_link),
        cmocka_unit_test(a_browser_reads_why_it_is_sent_away),
        cmocka_unit_test(a_sender_that_stops_sending_still_hears_the_250),
        cmocka_unit_test(stopping_says_goodbye_and_may_end_the_server),
        cmocka_unit_test(a_stranger_is_checked_and_core_hears_the_verdict),
        cmocka_unit_test(nobody_minds_a_gate_that_ends_while_it_checks),
        cmocka_unit_test(an_idle_session_costs_at_most_8_kib_and_24_with_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
