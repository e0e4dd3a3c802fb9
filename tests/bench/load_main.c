/* smtp_load: sends numbered messages over many SMTP or LMTP sessions and counts what was said.
 *
 * Prints one JSON line at the end (and in --idle mode one when all connections stand). The
 * journal is the memory of the crash tests: every id marked accepted must be found later. */
#include "load_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#define STACK_BYTES (256U << 10)

struct load_settings load_settings = {
    .sessions = 1,
    .size_bytes = 10240,
    .threads = 1,
    .timeout_ms = 30000,
    .retry_ms = 200,
    .retries = 100,
    .rcpt_range = 1000,
    .seed = 1,
    .from = "sender@load.test",
    .helo = "load.test",
};

static void option_to(const char *name, const char *argument)
{
    struct errinfo ei;
    (void)name;
    load_settings.to_text = argument;
    if (bench_addr_parse(argument, &load_settings.to, &ei) != ERR_OK)
        bench_die("%s", ei.text);
}

static void option_rcpt(const char *name, const char *argument)
{
    if (load_settings.n_rcpts == LOAD_RCPTS_MAX)
        bench_die("%s: at most %d of them", name, LOAD_RCPTS_MAX);
    load_settings.rcpts[load_settings.n_rcpts++] = argument;
}

static in_addr_t ipv4(const char *text)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        bench_die("%s is not an IPv4 address", text);
    return ntohl(a.s_addr);
}

static void option_sources(const char *name, const char *argument)
{
    char first[64];
    struct slice rest, head = slice_cut(slice_str(argument), '-', &rest);
    (void)snprintf(first, sizeof first, SLICE_FMT, SLICE_ARG(head));
    load_settings.source_first = ipv4(first);
    in_addr_t last = rest.n ? ipv4(rest.p) : load_settings.source_first;
    if (last < load_settings.source_first || last - load_settings.source_first > 65535)
        bench_die("%s wants FIRST-LAST", name);
    load_settings.n_sources = last - load_settings.source_first + 1;
}

#define S (&load_settings)
static const struct bench_option options[] = {
    {"--to", BENCH_CALL, NULL, option_to, 0, "ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH"},
    {"--sessions", BENCH_NUMBER, &S->sessions, NULL, 20000, "connections at the same time (1)"},
    {"--messages", BENCH_NUMBER, &S->messages, NULL, 0, "end after N messages"},
    {"--seconds", BENCH_NUMBER, &S->seconds, NULL, 1000000, "end after N seconds"},
    {"--size", BENCH_NUMBER, &S->size_bytes, NULL, 1U << 30, "bytes a message has (10240)"},
    {"--from", BENCH_TEXT, &S->from, NULL, 0, "sender; %d is the message's number"},
    {"--rcpt", BENCH_CALL, NULL, option_rcpt, 0, "recipient, repeatable; %d as above"},
    {"--rcpt-range", BENCH_NUMBER, &S->rcpt_range, NULL, 0, "%d runs from 0 to N-1 (1000)"},
    {"--per-session", BENCH_NUMBER, &S->per_session, NULL, 0, "messages a connection (all)"},
    {"--pipeline", BENCH_FLAG, &S->wants_pipelining, NULL, 0, "MAIL, RCPT, DATA in one go"},
    {"--starttls", BENCH_FLAG, &S->wants_starttls, NULL, 0, "STARTTLS on each connection"},
    {"--tls", BENCH_FLAG, &S->is_tls, NULL, 0, "TLS from the first byte"},
    {"--lmtp", BENCH_FLAG, &S->is_lmtp, NULL, 0, "LMTP: a reply a recipient"},
    {"--rate", BENCH_NUMBER, &S->rate, NULL, 10000000,
     "messages a second, sent when due; latency counts from there"},
    {"--journal", BENCH_TEXT, &S->journal, NULL, 0, "append a line a message after its reply"},
    {"--digest", BENCH_FLAG, &S->wants_digest, NULL, 0, "journal the SHA-256 of what was sent"},
    {"--run", BENCH_TEXT, &S->run, NULL, 0, "first part of the ids (random)"},
    {"--source-addresses", BENCH_CALL, NULL, option_sources, 0, "FIRST-LAST, used in turn"},
    {"--idle", BENCH_NUMBER, &S->idle, NULL, 20000, "N connections greet, then stay idle"},
    {"--threads", BENCH_NUMBER, &S->threads, NULL, LOAD_THREADS_MAX, "threads (1)"},
    {"--helo", BENCH_TEXT, &S->helo, NULL, 0, "our name (load.test)"},
    {"--timeout-ms", BENCH_NUMBER, &S->timeout_ms, NULL, 1U << 30, "for each reply (30000)"},
    {"--retry-ms", BENCH_NUMBER, &S->retry_ms, NULL, 1U << 30, "rest before reconnecting (200)"},
    {"--retries", BENCH_NUMBER, &S->retries, NULL, 1U << 30,
     "failed connections in a row before a session gives up (100)"},
    {"--deadline-s", BENCH_NUMBER, &S->deadline_s, NULL, 1000000,
     "the whole run ends then, whatever happens (600, or --seconds and 60)"},
    {"--seed", BENCH_NUMBER, &S->seed, NULL, 0, "of the random lines (1)"},
};
#undef S

static void settings_check(void)
{
    static char run[16];
    if (!load_settings.to_text)
        bench_die("--to is needed (--help lists the options)");
    if (!load_settings.messages && !load_settings.seconds && !load_settings.idle)
        bench_die("--messages, --seconds or --idle is needed");
    if (load_settings.idle)
        load_settings.sessions = load_settings.idle;
    if (load_settings.sessions == 0 || load_settings.threads == 0 || load_settings.rcpt_range == 0)
        bench_die("--sessions, --threads and --rcpt-range begin at 1");
    if (load_settings.n_rcpts == 0)
        option_rcpt("--rcpt", "rcpt@load.test");
    if (!load_settings.run) {
        uint32_t random;
        random_bytes(&random, sizeof random);
        (void)snprintf(run, sizeof run, "r%08x", random);
        load_settings.run = run;
    }
    if (!load_settings.deadline_s)
        load_settings.deadline_s = load_settings.seconds ? load_settings.seconds + 60 : 600;
    if (load_settings.wants_starttls || load_settings.is_tls)
        load_settings.tls = bench_tls_client();
}

static void report(struct load_thread *threads, size_t n_threads)
{
    struct load_counts sum = {0};
    static struct bench_histogram latency;
    mono_us first = INT64_MAX, last = 0;
    for (size_t i = 0; i < n_threads; i++) {
        struct load_thread *t = &threads[i];
        sum.accepted += t->counts.accepted;
        sum.refused += t->counts.refused;
        sum.unknown += t->counts.unknown;
        sum.connects += t->counts.connects;
        sum.failures += t->counts.failures;
        sum.bytes += t->counts.bytes;
        bench_histogram_merge(&latency, &t->latency);
        first = t->first_start && t->first_start < first ? t->first_start : first;
        last = t->last_reply > last ? t->last_reply : last;
    }
    double seconds = last > first ? (double)(last - first) / 1e6 : 0;
    (void)printf(
        "{\"run\": \"%s\", \"accepted\": %llu, \"refused\": %llu, \"unknown\": %llu, "
        "\"connects\": %llu, \"failures\": %llu, \"bytes\": %llu, \"seconds\": %.3f, "
        "\"per_second\": %.1f, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, "
        "\"max_ms\": %.3f, \"cpu_seconds\": %.3f}\n",
        load_settings.run, (unsigned long long)sum.accepted, (unsigned long long)sum.refused,
        (unsigned long long)sum.unknown, (unsigned long long)sum.connects,
        (unsigned long long)sum.failures, (unsigned long long)sum.bytes, seconds,
        seconds > 0 ? (double)sum.accepted / seconds : 0, bench_histogram_ms(&latency, 0.5),
        bench_histogram_ms(&latency, 0.9), bench_histogram_ms(&latency, 0.99),
        bench_histogram_ms(&latency, 1), bench_cpu_seconds());
}

/* Idle mode, main thread: say when all stand. */
static void idle_watch(void)
{
    uint32_t n;
    while ((n = __atomic_load_n(&load_n_greeted, __ATOMIC_RELAXED)) < load_settings.idle &&
           __atomic_load_n(&load_n_running, __ATOMIC_RELAXED) > 0 && !load_is_over())
        (void)usleep(10000);
    (void)printf("{\"greeted\": %u}\n", n);
    (void)fflush(stdout);
}

static void idle_report(const struct load_thread *threads, size_t n_threads)
{
    uint32_t n_alive = 0;
    for (size_t i = 0; i < n_threads; i++)
        n_alive += threads[i].n_alive;
    (void)printf("{\"alive\": %u}\n", n_alive);
}

int main(int argc, char **argv)
{
    static struct load_thread threads[LOAD_THREADS_MAX];
    bench_options_read(options, sizeof options / sizeof options[0], argc, argv,
                       "smtp_load: sends numbered messages by SMTP or LMTP and counts the replies");
    settings_check();
    bench_signals_catch();
    bench_descriptors_raise();
    load_message_prepare();
    load_journal_open(load_settings.journal);
    load_began = mono_now();
    size_t n = load_settings.threads < load_settings.sessions ? load_settings.threads
                                                              : load_settings.sessions;
    uint32_t first = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t end = (uint32_t)(load_settings.sessions * (i + 1) / n);
        load_thread_make(&threads[i], first, end - first);
        first = end;
    }
    pthread_attr_t attr;
    must(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
    load_n_running = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        must(pthread_create(&threads[i].id, &attr, load_thread_run, &threads[i]) == 0);
    if (load_settings.idle)
        idle_watch();
    for (size_t i = 0; i < n; i++)
        must(pthread_join(threads[i].id, NULL) == 0);
    if (load_settings.idle)
        idle_report(threads, n);
    report(threads, n);
    for (size_t i = 0; i < n; i++)
        load_thread_destroy(&threads[i]);
    return 0;
}
