/* One thread of the load generator: its loop, its deadlines, and the shared message counter. */
#include "load_int.h"

#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define TURN_MAX MILLISECONDS(200) /* a signal or the end of time is noticed within this */

mono_us load_began;
uint32_t load_n_greeted, load_n_running;
static uint64_t next_number;

static bool is_time_up(void)
{
    return bench_is_stopping ||
           (load_settings.seconds &&
            mono_now() - load_began >= SECONDS((int64_t)load_settings.seconds));
}

bool load_is_over(void)
{
    if (load_settings.idle)
        return is_time_up();
    bool is_counted = load_settings.messages &&
                      __atomic_load_n(&next_number, __ATOMIC_RELAXED) >= load_settings.messages;
    return is_counted || is_time_up();
}

static mono_us due_at(uint64_t number)
{
    return load_began + (mono_us)(number * 1000000 / load_settings.rate);
}

bool load_message_take(uint64_t *ret_number, mono_us *ret_due)
{
    uint64_t n = __atomic_load_n(&next_number, __ATOMIC_RELAXED);
    do {
        if (load_is_over())
            return false;
        *ret_due = load_settings.rate ? due_at(n) : 0;
        if (load_settings.rate && *ret_due > mono_now())
            return false;
    } while (!__atomic_compare_exchange_n(&next_number, &n, n + 1, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    *ret_number = n;
    return true;
}

void load_thread_make(struct load_thread *t, uint32_t first_session, uint32_t n_sessions)
{
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    must(t->epoll >= 0);
    t->n_sessions = t->n_live = n_sessions;
    t->sessions = mem_new(sizeof *t->sessions * (n_sessions + 1));
    t->journal.lines = buf_make(1U << 20);
    list_init(&t->waiting);
    list_init(&t->resting);
    list_init(&t->ready);
    for (uint32_t i = 0; i < n_sessions; i++) {
        struct load_session *s = &t->sessions[i];
        s->thread = t;
        s->index = first_session + i;
        s->stream.fd = -1;
        s->out = buf_make(LOAD_OUT_MAX);
        s->headers = buf_make(LOAD_OUT_MAX);
        list_init(&s->node);
        list_append(&t->resting, &s->node); /* since 0: they may all open at once */
    }
}

void load_thread_destroy(struct load_thread *t)
{
    for (uint32_t i = 0; i < t->n_sessions; i++) {
        load_session_close(&t->sessions[i]);
        buf_finish(&t->sessions[i].out);
        buf_finish(&t->sessions[i].headers);
    }
    mem_free(&t->sessions);
    buf_finish(&t->journal.lines);
    fd_close(&t->epoll);
}

/* Those at the head of `list` that have been there for longer than `age`. */
static struct load_session *list_overdue(struct list *list, mono_us now, mono_us age)
{
    if (list_empty(list))
        return NULL;
    struct load_session *s = container_of(list->next, struct load_session, node);
    return now - s->since >= age ? s : NULL;
}

static void thread_deadlines(struct load_thread *t)
{
    mono_us now = mono_now();
    struct load_session *s;
    while ((s = list_overdue(&t->waiting, now, MILLISECONDS((int64_t)load_settings.timeout_ms))))
        load_session_lose(s);
    /* One that rests again goes to the tail with a later `since`, so this ends. */
    mono_us rest = bench_is_stopping ? 0 : MILLISECONDS((int64_t)load_settings.retry_ms);
    while (t->n_opening < LOAD_OPENING_MAX && (s = list_overdue(&t->resting, now, rest))) {
        bool is_needed = s->has_message ? !is_time_up() : !load_is_over();
        if (is_needed) {
            load_session_open(s);
        } else {
            s->is_ended = true;
            t->n_live--;
            load_session_close(s);
        }
    }
}

/* Sessions that wait for the next message's time; all of them when there will be none. */
static void thread_feed(struct load_thread *t)
{
    if (load_settings.idle && !is_time_up())
        return;
    if (t->n_idle > t->n_alive) /* the first time: all that are left */
        t->n_alive = t->n_idle;
    while (!list_empty(&t->ready)) {
        struct load_session *s = container_of(t->ready.next, struct load_session, node);
        load_session_ready(s);
        if (s->state == LOAD_READY)
            return;
    }
}

static mono_us thread_timeout(const struct load_thread *t, mono_us now)
{
    mono_us timeout = TURN_MAX;
    if (load_settings.rate && !list_empty(&t->ready)) {
        mono_us wait = due_at(__atomic_load_n(&next_number, __ATOMIC_RELAXED)) - now;
        timeout = wait < timeout ? wait : timeout;
    }
    if (!list_empty(&t->resting) && t->n_opening < LOAD_OPENING_MAX) {
        struct load_session *s = container_of(t->resting.next, struct load_session, node);
        mono_us wait = s->since + MILLISECONDS((int64_t)load_settings.retry_ms) - now;
        timeout = wait < timeout ? wait : timeout;
    }
    return timeout > 0 ? timeout : 0;
}

void *load_thread_run(void *thread)
{
    struct load_thread *t = thread;
    struct epoll_event events[EVENTS_MAX];
    mono_us end = load_began + SECONDS((int64_t)load_settings.deadline_s);
    thread_deadlines(t);
    while (t->n_live > 0 && mono_now() < end) {
        mono_us timeout = thread_timeout(t, mono_now());
        struct timespec ts = {timeout / 1000000, timeout % 1000000 * 1000};
        int n = epoll_pwait2(t->epoll, events, EVENTS_MAX, &ts, NULL);
        for (int i = 0; i < n; i++) {
            struct load_session *s = events[i].data.ptr;
            if (s->stream.fd >= 0)
                load_session_event(s, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
        }
        thread_deadlines(t);
        thread_feed(t);
        load_journal_flush(&t->journal);
    }
    /* Past the deadline: what was sent and not answered is unknown. */
    for (uint32_t i = 0; i < t->n_sessions; i++) {
        if (t->sessions[i].state != LOAD_OFF)
            load_session_lose(&t->sessions[i]);
    }
    load_journal_flush(&t->journal);
    __atomic_sub_fetch(&load_n_running, 1, __ATOMIC_RELAXED);
    return NULL;
}
