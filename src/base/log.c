/* The log: formats in the caller's thread, writes in its own.
 *
 * The first line after a silence is written at once; while lines keep coming the thread looks every
 * few milliseconds, so that a line is neither a wake-up nor a write. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048,
    RING_BYTES = 1 << 20,
    CHUNK_BYTES = 1 << 16,
    TEXT_MAX = 200,
    TEXTS = 8,
    NAP_NS = 5000000,
};

static const struct {
    const char *name;
    enum log_level level;
} events[] = {
#define LOG_EVENT(id, text, severity, meaning) [EV_##id] = {text, severity},
#include "base/events.def"
#undef LOG_EVENT
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    char *ring;             /* under lock */
    size_t head, tail;      /* under lock; bytes ever written and ever read */
    uint64_t n_dropped;     /* under lock; since the last line about it */
    uint64_t n_dropped_all; /* under lock */
    bool is_waiting;        /* under lock: the thread sleeps until it is woken */
    bool is_running;        /* under lock */
    bool is_stopping;       /* under lock */
    atomic_int most;        /* enum log_level */
    bool has_journal;       /* set once: prefix lines with <priority> */
    char process[32];       /* set once */
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER,
             .wake = PTHREAD_COND_INITIALIZER,
             .most = LOG_INFO,
             .process = "-"};

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; /* standard error is gone: there is nobody to tell */
        p += done;
        n -= (size_t)done;
    }
}

void log_init(const char *process, enum log_level most)
{
    snprintf(the_log.process, sizeof(the_log.process), "%s", process);
    log_set_level(most);
    the_log.has_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level most)
{
    atomic_store_explicit(&the_log.most, (int)most, memory_order_relaxed);
}

const char *log_event_name(enum log_event_id id)
{
    return events[id].name;
}

const char *log_text(struct slice s)
{
    static _Thread_local char texts[TEXTS][TEXT_MAX * 4 + 8];
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % TEXTS];
    size_t at = 0;
    bool is_cut = s.n > TEXT_MAX;
    text[at++] = '"';
    for (size_t i = 0; i < (is_cut ? TEXT_MAX : s.n); i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 0x7f || c == '"' || c == '\\')
            at += (size_t)snprintf(text + at, 5, "\\x%02x", c);
        else
            text[at++] = (char)c;
    }
    if (is_cut)
        text[at++] = '~';
    text[at++] = '"';
    text[at] = '\0';
    return text;
}

static size_t format_line(char *line, enum log_event_id id, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static size_t format_line(char *line, enum log_event_id id, const char *format, va_list args)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const int priorities[] = {3, 4, 6, 7};
    enum log_level level = events[id].level;
    size_t at = 0;
    if (the_log.has_journal)
        at += (size_t)snprintf(line, 8, "<%d>", priorities[level]);
    at += (size_t)snprintf(line + at, 200, "%s %s %s %s ", utc_rfc3339(utc_now()).s, levels[level],
                           the_log.process, events[id].name);
    int n = vsnprintf(line + at, LINE_MAX_BYTES - at - 1, format, args);
    must(n >= 0);
    at += (size_t)n < LINE_MAX_BYTES - at - 1 ? (size_t)n : LINE_MAX_BYTES - at - 2;
    for (size_t i = 0; i < at; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[at++] = '\n';
    return at;
}

/* True: the thread has to be woken. */
static bool ring_put(const char *line, size_t n)
{
    size_t at = the_log.head % RING_BYTES;
    size_t first = n < RING_BYTES - at ? n : RING_BYTES - at;
    memcpy(the_log.ring + at, line, first);
    memcpy(the_log.ring, line + first, n - first);
    the_log.head += n;
    bool must_wake = the_log.is_waiting || the_log.head - the_log.tail > RING_BYTES / 2;
    the_log.is_waiting = false; /* one wake is enough for all that follow */
    return must_wake;
}

void log_event(enum log_event_id id, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    if ((int)events[id].level > atomic_load_explicit(&the_log.most, memory_order_relaxed))
        return;
    va_list args;
    va_start(args, format);
    size_t n = format_line(line, id, format, args);
    va_end(args);
    bool must_wake = false;
    pthread_mutex_lock(&the_log.lock);
    if (!the_log.is_running) {
        write_all(line, n);
    } else if (RING_BYTES - (the_log.head - the_log.tail) < n) {
        the_log.n_dropped++;
        the_log.n_dropped_all++;
    } else {
        must_wake = ring_put(line, n);
    }
    pthread_mutex_unlock(&the_log.lock);
    if (must_wake)
        pthread_cond_signal(&the_log.wake);
}

uint64_t log_dropped(void)
{
    pthread_mutex_lock(&the_log.lock);
    uint64_t n = the_log.n_dropped_all;
    pthread_mutex_unlock(&the_log.lock);
    return n;
}

/* Under lock, which it leaves meanwhile. False: stopping, and everything is written. */
static bool wait_for_lines(void)
{
    while (the_log.head == the_log.tail && !the_log.is_stopping) {
        the_log.is_waiting = true;
        pthread_cond_wait(&the_log.wake, &the_log.lock);
    }
    the_log.is_waiting = false;
    return the_log.head != the_log.tail;
}

/* Under lock, which it leaves meanwhile. Woken early by a ring that fills, and by the end. */
static void nap(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    until.tv_nsec += NAP_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (!the_log.is_stopping && the_log.head - the_log.tail <= RING_BYTES / 2)
        (void)pthread_cond_clockwait(&the_log.wake, &the_log.lock, CLOCK_MONOTONIC, &until);
}

static void *write_lines(void *)
{
    static char chunk[CHUNK_BYTES];
    pthread_mutex_lock(&the_log.lock);
    while (wait_for_lines()) {
        size_t n = the_log.head - the_log.tail;
        size_t from = the_log.tail % RING_BYTES;
        if (n > RING_BYTES - from)
            n = RING_BYTES - from;
        if (n > sizeof(chunk))
            n = sizeof(chunk);
        memcpy(chunk, the_log.ring + from, n);
        the_log.tail += n;
        uint64_t dropped = the_log.n_dropped;
        the_log.n_dropped = 0;
        pthread_mutex_unlock(&the_log.lock);
        write_all(chunk, n);
        if (dropped > 0)
            log_event(EV_LOG_DROPPED, "lines=%llu", (unsigned long long)dropped);
        pthread_mutex_lock(&the_log.lock);
        nap();
    }
    pthread_mutex_unlock(&the_log.lock);
    return NULL;
}

void log_start(void)
{
    the_log.ring = mem_new(RING_BYTES);
    the_log.is_running = true;
    must(pthread_create(&the_log.thread, NULL, write_lines, NULL) == 0);
}

void log_stop(void)
{
    pthread_mutex_lock(&the_log.lock);
    bool was_running = the_log.is_running;
    the_log.is_stopping = true;
    pthread_cond_signal(&the_log.wake);
    pthread_mutex_unlock(&the_log.lock);
    if (!was_running)
        return;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    if (pthread_timedjoin_np(the_log.thread, NULL, &until) != 0)
        return; /* nobody reads; the process ends anyway */
    pthread_mutex_lock(&the_log.lock);
    the_log.is_running = false;
    mem_free(&the_log.ring);
    pthread_mutex_unlock(&the_log.lock);
}
