/* smtp_sink: takes messages by SMTP or LMTP, keeps or forgets them, and misbehaves on request.
 *
 * Prints {"listening": ...} when it is ready, and its counts as one JSON line on USR1, on USR2
 * (which then begins to count anew) and at the end (TERM, INT). */
#include "sink_int.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define TURN_MS 200 /* a signal is noticed within this */
#define ACCEPTS_A_TURN 64

struct sink_settings sink_settings = {
    .name = "sink.test",
    .message_max = 64U << 20,
    .has_esmtp = true,
    .has_pipelining = true,
    .has_8bitmime = true,
    .has_smtputf8 = true,
    .has_size = true,
    .has_dsn = true,
    .has_codes = true,
};
struct sink_counts sink_counts;
struct bench_histogram sink_latency;
static struct list all, delayed;
static int epoll_fd = -1;
static bool is_listening_set;

static void option_listen(const char *name, const char *argument)
{
    struct errinfo ei;
    (void)name;
    if (bench_addr_parse(argument, &sink_settings.listen, &ei) != ERR_OK)
        bench_die("%s", ei.text);
    is_listening_set = true;
}

#define S (&sink_settings)
#define REPLY_HELP "[every K] [first N] [for PART] REPLY"
static const struct bench_option options[] = {
    {"--listen", BENCH_CALL, NULL, option_listen, 0, "ADDRESS:PORT (0: any) or unix:PATH"},
    {"--name", BENCH_TEXT, &S->name, NULL, 0, "our name (sink.test)"},
    {"--lmtp", BENCH_FLAG, &S->is_lmtp, NULL, 0, "LMTP: a reply a recipient"},
    {"--delay-ms", BENCH_NUMBER, &S->delay_ms, NULL, 1U << 30, "before each final reply"},
    {"--bad-banner", BENCH_TEXT, &S->banner, NULL, 0, "this line instead of 220"},
    {"--reply-banner", BENCH_CALL, NULL, sink_fault_option_reply, 0, REPLY_HELP},
    {"--reply-ehlo", BENCH_CALL, NULL, sink_fault_option_reply, 0, REPLY_HELP},
    {"--reply-mail", BENCH_CALL, NULL, sink_fault_option_reply, 0, REPLY_HELP},
    {"--reply-rcpt", BENCH_CALL, NULL, sink_fault_option_reply, 0, REPLY_HELP},
    {"--reply-data", BENCH_CALL, NULL, sink_fault_option_reply, 0, "to DATA: " REPLY_HELP},
    {"--reply-dot", BENCH_CALL, NULL, sink_fault_option_reply, 0, "to the message: " REPLY_HELP},
    {"--reply-accepted", BENCH_CALL, NULL, sink_fault_option_reply, 0,
     "to a message that is kept all the same: " REPLY_HELP},
    {"--hang-at", BENCH_CALL, NULL, sink_fault_option_hang, 0,
     "STAGE [every K] [first N] [for PART]: banner ehlo mail rcpt data body dot accepted"},
    {"--close-at", BENCH_CALL, NULL, sink_fault_option_close, 0, "the same, hangs up"},
    {"--no-esmtp", BENCH_NO, &S->has_esmtp, NULL, 0, "EHLO is unknown"},
    {"--no-pipelining", BENCH_NO, &S->has_pipelining, NULL, 0, "not offered"},
    {"--no-8bitmime", BENCH_NO, &S->has_8bitmime, NULL, 0, "not offered"},
    {"--no-smtputf8", BENCH_NO, &S->has_smtputf8, NULL, 0, "not offered"},
    {"--no-size", BENCH_NO, &S->has_size, NULL, 0, "not offered"},
    {"--no-dsn", BENCH_NO, &S->has_dsn, NULL, 0, "not offered"},
    {"--no-codes", BENCH_NO, &S->has_codes, NULL, 0, "ENHANCEDSTATUSCODES is not offered"},
    {"--size", BENCH_NUMBER, &S->size_max, NULL, 0, "offered and enforced (0: none)"},
    {"--message-max", BENCH_NUMBER, &S->message_max, NULL, 1U << 30, "kept in memory (64 MiB)"},
    {"--starttls", BENCH_PAIR, S->certificate, NULL, 0, "CERTIFICATE KEY (PEM files)"},
    {"--xclient", BENCH_FLAG, &S->has_xclient, NULL, 0, "offer and record XCLIENT"},
    {"--record", BENCH_TEXT, &S->record, NULL, 0, "append one JSON line a message"},
    {"--digest-from", BENCH_TEXT, &S->digest_from, NULL, 0,
     "the recorded SHA-256 begins at the first line that begins so"},
    {"--store", BENCH_TEXT, &S->store, NULL, 0, "write each message into this folder"},
};
#undef S

static void report(void)
{
    const struct sink_counts *c = &sink_counts;
    (void)printf("{\"messages\": %llu, \"ids\": %llu, \"duplicates\": %llu, \"without_id\": %llu, "
                 "\"connections\": %llu, \"open\": %llu, \"bytes\": %llu, \"faults\": %llu, "
                 "\"seconds\": %.3f, "
                 "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"cpu_seconds\": %.3f}\n",
                 (unsigned long long)c->messages, (unsigned long long)c->ids,
                 (unsigned long long)c->duplicates, (unsigned long long)c->without_id,
                 (unsigned long long)c->connections, (unsigned long long)c->open,
                 (unsigned long long)c->bytes, (unsigned long long)c->faults,
                 (double)(c->last - c->first) / 1e6, bench_histogram_ms(&sink_latency, 0.5),
                 bench_histogram_ms(&sink_latency, 0.99), bench_histogram_ms(&sink_latency, 1),
                 bench_cpu_seconds());
    (void)fflush(stdout);
}

/* Ids stay known: a duplicate is one however long ago the first came. */
static void reset(void)
{
    sink_counts = (struct sink_counts){.open = sink_counts.open};
    memset(&sink_latency, 0, sizeof sink_latency);
}

void sink_delay(struct sink_session *s)
{
    s->due = mono_now() + MILLISECONDS((int64_t)sink_settings.delay_ms);
    list_remove(&s->node);
    list_append(&delayed, &s->node);
}

static void session_turn(struct sink_session *s)
{
    if (!sink_session_event(s))
        sink_session_destroy(&s);
}

static void accept_some(int listener)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* none left, or none to be had now: level-triggered, it comes again */
        bench_socket_prepare(fd);
        struct sink_session *s = sink_session_create(fd);
        list_append(&all, &s->node);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
        must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0);
    }
}

/* Milliseconds until the next delayed reply. */
static int delays_run(void)
{
    while (!list_empty(&delayed)) {
        struct sink_session *s = container_of(delayed.next, struct sink_session, node);
        mono_us wait = s->due - mono_now();
        if (wait > 0)
            return wait / 1000 + 1 < TURN_MS ? (int)(wait / 1000 + 1) : TURN_MS;
        s->is_delayed = false;
        list_remove(&s->node);
        list_append(&all, &s->node);
        session_turn(s);
    }
    return TURN_MS;
}

static void serve(int listener)
{
    struct epoll_event events[EVENTS_MAX];
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e) == 0);
    while (!bench_is_stopping) {
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, delays_run());
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                session_turn(events[i].data.ptr);
            else
                accept_some(listener);
        }
        if (bench_is_asked) {
            bench_is_asked = false;
            report();
        }
        if (bench_is_resetting) {
            bench_is_resetting = false;
            reset();
        }
    }
}

static void all_close(struct list *list)
{
    while (!list_empty(list)) {
        struct sink_session *s = container_of(list->next, struct sink_session, node);
        sink_session_destroy(&s);
    }
}

int main(int argc, char **argv)
{
    struct errinfo ei;
    SCOPED(fd_close) int listener = -1;
    bench_options_read(options, sizeof options / sizeof options[0], argc, argv,
                       "smtp_sink: takes messages by SMTP or LMTP and misbehaves on request");
    if (!is_listening_set)
        bench_die("--listen is needed (--help lists the options)");
    if (sink_settings.certificate[0])
        sink_settings.tls =
            bench_tls_server(sink_settings.certificate[0], sink_settings.certificate[1]);
    bench_signals_catch();
    bench_descriptors_raise();
    list_init(&all);
    list_init(&delayed);
    sink_message_open();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(epoll_fd >= 0);
    if (bench_listen(&sink_settings.listen, &listener, &ei) != ERR_OK)
        bench_die("%s", ei.text);
    (void)printf("{\"listening\": \"%s\"}\n", bench_addr_text(&sink_settings.listen));
    (void)fflush(stdout);
    serve(listener);
    report();
    all_close(&all);
    all_close(&delayed);
    sink_message_close();
    SSL_CTX_free(sink_settings.tls);
    fd_close(&epoll_fd);
    return 0;
}
