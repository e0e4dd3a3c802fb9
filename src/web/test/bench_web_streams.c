/* What an idle event stream over TLS costs: memory of the server, time to tell all of them, its
 * processor while nothing happens.
 *   bench_web_streams [STREAMS]
 * Or only the clients, of another server on this machine: some warm it up, the rest come
 * after a line of input, and stay until its end. Each TOKEN has its part of them.
 *   bench_web_streams STREAMS PORT TOKEN... */
#include "web/test/fake_core.h"
#include "web/test/test_keys.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { WARM = 50, STREAMS = 2000, IDLE_SECONDS = 5 };

struct client {
    int fd;
    gnutls_session_t tls;
};

/* KiB that are this process's alone. */
static long private_kib(pid_t pid)
{
    char path[64], line[200];
    long sum = 0, kib;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "r");
    must(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "Private_Dirty: %ld", &kib) == 1 ||
            sscanf(line, "Private_Clean: %ld", &kib) == 1)
            sum += kib;
    (void)fclose(f);
    return sum;
}

static double cpu_seconds(pid_t pid)
{
    char path[64], text[1000];
    unsigned long user, system;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    must(f && fgets(text, sizeof(text), f));
    (void)fclose(f);
    must(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                &user, &system) == 2);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void dial(struct client *c, gnutls_certificate_credentials_t credentials)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(fake.port)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(c->fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    must(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0);
    must(gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL) == 0);
    must(gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, credentials) == 0);
    must(gnutls_set_default_priority(c->tls) == 0);
    gnutls_transport_set_int(c->tls, c->fd);
    int result;
    while ((result = gnutls_handshake(c->tls)) < 0 && !gnutls_error_is_fatal(result))
        ;
    must(result == 0);
}

static void hear(struct client *c, const char *what)
{
    char text[8192];
    size_t n = 0;
    for (text[0] = '\0'; !strstr(text, what); text[n] = '\0') {
        ssize_t got = gnutls_record_recv(c->tls, text + n, sizeof(text) - n - 1);
        must(got > 0 || got == GNUTLS_E_AGAIN);
        n += got > 0 ? (size_t)got : 0;
    }
}

/* After an ordinary request on the same connection, as browsers do it. */
static void watch(struct client *c, const char *token)
{
    char ask[400], stream[800];
    int n_ask = snprintf(ask, sizeof(ask),
                         "GET /jmap/session HTTP/1.1\r\nHost: mail.example.test\r\n"
                         "Authorization: Bearer %.200s\r\n\r\n",
                         token);
    int n_stream = snprintf(
        stream, sizeof(stream),
        "GET /jmap/eventsource/?types=*&closeafter=no&ping=300 HTTP/1.1\r\n"
        "Host: mail.example.test\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        "Authorization: Bearer %.200s\r\n"
        "Cookie: __Host-other=0123456789abcdef0123456789abcdef0123456789abcdef\r\n\r\n",
        token);
    must(gnutls_record_send(c->tls, ask, (size_t)n_ask) > 0);
    hear(c, "}");
    must(gnutls_record_send(c->tls, stream, (size_t)n_stream) > 0);
    hear(c, "event: ping");
}

static _Noreturn void serve(int tell_fd)
{
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pthread_barrier_init(&fake.gate, NULL, 2);
    pthread_create(&fake.thread, NULL, fake_run, NULL);
    pthread_barrier_wait(&fake.gate);
    while (read(tell_fd, &byte, 1) == 1)
        net_loop_post(fake.loop, fake_tell,
                      (void *)(uintptr_t) "{\"changed\":{\"A1\":{\"Email\":\"5\"}}}");
    _exit(0);
}

static pid_t start(int *ret_tell_fd)
{
    int pair[2];
    static struct test_keys keys;
    test_keys_make("CN=bench", &keys);
    fake_certificate = keys.certificate;
    fake_key = keys.key;
    fake.options = (struct web_options){
        .admin_fd = -1,
        .metrics_fd = -1,
        .n_listeners = 1,
        .listeners[0] = {fake_listen(), true},
        .people = {.n_streams_per_person = 1000000, .n_conns_per_address = 1000000}};
    must(pipe(pair) == 0);
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        close(pair[1]);
        serve(pair[0]);
    }
    close(pair[0]);
    *ret_tell_fd = pair[1];
    return pid;
}

static void open_all(struct client *clients, size_t n, char **tokens, size_t n_tokens)
{
    gnutls_certificate_credentials_t credentials;
    must(gnutls_certificate_allocate_credentials(&credentials) == 0);
    for (size_t i = 0; i < n; i++) {
        dial(&clients[i], credentials);
        watch(&clients[i], tokens[i % n_tokens]);
    }
}

static int be_clients(size_t n, char **tokens, size_t n_tokens)
{
    struct client *clients = mem_new((n + WARM) * sizeof(*clients));
    open_all(clients, WARM, tokens, n_tokens);
    puts("warm");
    (void)fflush(stdout);
    (void)getchar();
    open_all(clients + WARM, n, tokens, n_tokens);
    puts("open");
    (void)fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    char anybody[] = "x", *nobody[] = {anybody};
    int tell_fd;
    size_t n = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : STREAMS;
    log_init("bench", LOG_ERROR);
    must(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > n + WARM + 100);
    if (argc > 3) {
        fake.port = (uint16_t)strtoul(argv[2], NULL, 10);
        return be_clients(n, argv + 3, (size_t)argc - 3);
    }
    pid_t pid = start(&tell_fd);
    struct client *clients = mem_new((n + WARM) * sizeof(*clients));
    open_all(clients, WARM, nobody, 1);
    long before = private_kib(pid);
    open_all(clients + WARM, n, nobody, 1);
    usleep(300000);
    long after = private_kib(pid);
    double idle = cpu_seconds(pid);
    sleep(IDLE_SECONDS);
    idle = cpu_seconds(pid) - idle;
    mono_us told_at = mono_now();
    must(write(tell_fd, "x", 1) == 1);
    for (size_t i = 0; i < n + WARM; i++)
        hear(&clients[i], "event: state");
    printf("streams=%zu kib_each=%.1f told_all_ms=%.0f idle_cpu=%.4f\n", n,
           (double)(after - before) / (double)n, (double)(mono_now() - told_at) / 1000,
           idle / IDLE_SECONDS);
    close(tell_fd);
    (void)waitpid(pid, NULL, 0);
    mem_free(&clients);
    return 0;
}
