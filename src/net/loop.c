/* The loop: libevent's base, tasks from other threads, work at the end of a turn. */
#include "net/net_int.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct task {
    struct list node;
    void (*fn)(void *arg);
    void *arg;
};

struct net_timer {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

struct net_watch {
    struct net_loop *loop;
    struct event *event;
    int fd, wanted;
    void (*fn)(void *arg, int what);
    void *arg;
};

/* What was posted so far, in order; a task may ask for the rest itself (net_loop_settle). False:
 * nothing was. */
static bool run_posted(struct net_loop *l)
{
    bool is_any = false;
    pthread_mutex_lock(&l->lock);
    for (struct list *node; (node = list_pop(&l->tasks));)
        list_append(&l->todo, node);
    l->is_woken = false;
    pthread_mutex_unlock(&l->lock);
    for (struct list *node; (node = list_pop(&l->todo));) {
        struct task *t = container_of(node, struct task, node);
        t->fn(t->arg);
        mem_free(&t);
        is_any = true;
    }
    return is_any;
}

static void run_tasks(evutil_socket_t fd, short, void *arg)
{
    struct net_loop *l = arg;
    uint64_t n;
    (void)!read(fd, &n, sizeof(n)); /* level-triggered: the list is what counts */
    (void)run_posted(l);
}

bool net_loop_settle(struct net_loop *l)
{
    must(pthread_equal(l->thread, pthread_self()));
    return run_posted(l);
}

struct net_loop *net_loop_create(void)
{
    struct net_loop *l = mem_new(sizeof(*l));
    struct event_config *config = event_config_new();
    must(config);
    /* Only this thread adds and removes events; other threads wake it by the eventfd. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    must(l->base);
    pthread_mutex_init(&l->lock, NULL);
    list_init(&l->tasks);
    list_init(&l->todo);
    list_init(&l->late);
    list_init(&l->leaving);
    l->thread = pthread_self();
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(l->wake_fd >= 0);
    l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, run_tasks, l);
    must(l->wake && event_add(l->wake, NULL) == 0);
    return l;
}

void net_loop_destroy(struct net_loop **l)
{
    if (!*l)
        return;
    for (struct list *node; (node = list_pop(&(*l)->tasks));) {
        struct task *t = container_of(node, struct task, node);
        mem_free(&t);
    }
    LIST_FOREACH (node, &(*l)->leaving) {
        struct net_leaving *leaving = container_of(node, struct net_leaving, node);
        leaving->free(leaving);
    }
    event_free((*l)->wake);
    event_base_free((*l)->base);
    fd_close(&(*l)->wake_fd);
    pthread_mutex_destroy(&(*l)->lock);
    mem_free(&(*l)->link_bytes);
    mem_free(&(*l)->stream_bytes);
    mem_free(l);
}

static void run_late(struct net_loop *l)
{
    for (struct list *node; (node = list_pop(&l->late));) {
        struct net_late *late = container_of(node, struct net_late, node);
        late->fn(late);
    }
}

void net_loop_run(struct net_loop *l)
{
    if (!pthread_equal(l->thread, pthread_self()))
        l->thread = pthread_self(); /* others may be sending, and look at it */
    while (!atomic_load(&l->is_stopping)) {
        run_late(l);
        if (event_base_loop(l->base, EVLOOP_ONCE) < 0)
            break;
    }
    run_late(l);
}

static void wake(struct net_loop *l)
{
    uint64_t one = 1;
    (void)!write(l->wake_fd, &one, sizeof(one)); /* full means it is awake already */
}

void net_loop_stop(struct net_loop *l)
{
    atomic_store(&l->is_stopping, true);
    wake(l);
}

void net_loop_post(struct net_loop *l, void (*fn)(void *arg), void *arg)
{
    struct task *t = mem_new(sizeof(*t));
    t->fn = fn;
    t->arg = arg;
    pthread_mutex_lock(&l->lock);
    list_append(&l->tasks, &t->node);
    bool must_wake = !l->is_woken;
    l->is_woken = true;
    pthread_mutex_unlock(&l->lock);
    if (must_wake)
        wake(l);
}

void net_loop_late(struct net_loop *l, struct net_late *late)
{
    if (list_empty(&late->node))
        list_append(&l->late, &late->node);
}

/* ---- timers and watches ---- */

static void on_timer(evutil_socket_t, short, void *arg)
{
    struct net_timer *t = arg;
    t->fn(t->arg);
}

struct net_timer *net_timer_create(struct net_loop *l, void (*fn)(void *arg), void *arg)
{
    struct net_timer *t = mem_new(sizeof(*t));
    t->fn = fn;
    t->arg = arg;
    t->event = evtimer_new(l->base, on_timer, t);
    must(t->event);
    return t;
}

void net_timer_destroy(struct net_timer **t)
{
    if (!*t)
        return;
    event_free((*t)->event);
    mem_free(t);
}

void net_timer_set(struct net_timer *t, mono_us from_now)
{
    if (from_now < 0)
        from_now = 0;
    struct timeval tv = {.tv_sec = from_now / 1000000, .tv_usec = from_now % 1000000};
    must(event_add(t->event, &tv) == 0);
}

void net_timer_stop(struct net_timer *t)
{
    (void)event_del(t->event);
}

static void on_watch(evutil_socket_t, short what, void *arg)
{
    struct net_watch *w = arg;
    w->fn(w->arg, (what & EV_READ ? NET_READ : 0) | (what & EV_WRITE ? NET_WRITE : 0));
}

struct net_watch *net_watch_create(struct net_loop *l, int fd, void (*fn)(void *arg, int what),
                                   void *arg)
{
    struct net_watch *w = mem_new(sizeof(*w));
    w->loop = l;
    w->fd = fd;
    w->fn = fn;
    w->arg = arg;
    w->event = event_new(l->base, fd, EV_READ | EV_PERSIST, on_watch, w);
    must(w->event);
    return w;
}

void net_watch_destroy(struct net_watch **w)
{
    if (!*w)
        return;
    event_free((*w)->event);
    mem_free(w);
}

void net_watch_want(struct net_watch *w, int what)
{
    if (what == w->wanted)
        return;
    if (w->wanted)
        (void)event_del(w->event);
    w->wanted = what;
    if (!what)
        return;
    short events =
        (short)(EV_PERSIST | (what & NET_READ ? EV_READ : 0) | (what & NET_WRITE ? EV_WRITE : 0));
    must(event_assign(w->event, w->loop->base, w->fd, events, on_watch, w) == 0);
    must(event_add(w->event, NULL) == 0);
}
