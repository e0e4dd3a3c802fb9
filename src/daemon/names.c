/* Questions to the resolver: a thread asks and waits, the loop brings the answer. */
#include "daemon/names.h"

#include <pthread.h>
#include <time.h>

struct question {
    struct arena *arena; /* the asker's */
    struct ipc_name_told *told;
    enum err err;
    bool is_over;
};

struct names {
    struct child *child;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct net_link *link; /* under lock */
    struct map *questions; /* under lock: tag -> struct question */
    uint64_t last_tag;     /* under lock */
    bool is_canceled;      /* under lock */
};

struct names *names_create(struct child *c)
{
    struct names *n = mem_new(sizeof(*n));
    pthread_condattr_t attributes;
    n->child = c;
    n->questions = map_create();
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&n->cond, &attributes);
    return n;
}

/* Under lock. */
static void end_all(struct names *n, enum err err)
{
    size_t at = 0;
    void *value;
    while (map_next(n->questions, &at, NULL, &value)) {
        struct question *q = value;
        q->err = err;
        q->is_over = true;
    }
    pthread_cond_broadcast(&n->cond);
}

static void lose(struct names *n)
{
    pthread_mutex_lock(&n->lock);
    struct net_link *link = n->link;
    n->link = NULL;
    end_all(n, ERR_RETRY);
    pthread_mutex_unlock(&n->lock);
    net_link_close(&link);
}

static void on_closed(void *arg, struct net_link *)
{
    lose(arg);
}

static bool take_told(struct names *n, const struct net_frame *f)
{
    bool is_good = true;
    pthread_mutex_lock(&n->lock);
    struct question *q = map_get(n->questions, KEY(f->tag));
    if (q && !q->is_over) {
        struct slice payload = {NULL, 0};
        char *copy = arena_try(q->arena, f->payload.n);
        if (copy) {
            memcpy(copy, f->payload.p, f->payload.n);
            payload = slice_of(copy, f->payload.n);
        }
        is_good = copy && ipc_name_told_unpack(payload, q->arena, q->told);
        q->err = is_good ? ERR_OK : ERR_RETRY;
        q->is_over = true;
        pthread_cond_broadcast(&n->cond);
    }
    pthread_mutex_unlock(&n->lock);
    return is_good;
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct names *n = arg;
    bool is_good = f->fd < 0 && f->type == IPC_T_name_told && take_told(n, f);
    if (f->fd >= 0)
        fd_close(&f->fd);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    lose(n);
    child_nonsense(n->child, IPC_RESOLVER, 1, what);
}

void names_link(struct names *n, int fd)
{
    struct net_link_options o = {.frame_max = IPC_LIST_FRAME_MAX,
                                 .queue_max = 16 << 20,
                                 .frame = on_frame,
                                 .closed = on_closed,
                                 .arg = n};
    lose(n);
    struct net_link *link = net_link_open(child_loop(n->child), fd, &o);
    pthread_mutex_lock(&n->lock);
    n->link = link;
    pthread_mutex_unlock(&n->lock);
}

enum err names_ask(void *arg, const struct ipc_name_ask *ask, mono_us deadline, struct arena *a,
                   struct ipc_name_told *ret)
{
    struct names *n = arg;
    struct question q = {.arena = a, .told = ret};
    struct timespec until = {.tv_sec = deadline / 1000000, .tv_nsec = deadline % 1000000 * 1000};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_name_ask_pack(&b, ask);
    pthread_mutex_lock(&n->lock);
    uint64_t tag = ++n->last_tag;
    map_put(n->questions, KEY(tag), &q);
    if (n->is_canceled || !n->link || b.failed ||
        net_link_send(n->link, IPC_T_name_ask, tag, buf_slice(&b), SLICE("")) != ERR_OK) {
        q.err = n->is_canceled ? ERR_CANCELED : ERR_RETRY;
        q.is_over = true;
    }
    while (!q.is_over)
        if (pthread_cond_timedwait(&n->cond, &n->lock, &until) != 0) {
            q.err = ERR_RETRY;
            q.is_over = true;
        }
    map_del(n->questions, KEY(tag));
    pthread_mutex_unlock(&n->lock);
    return q.err;
}

void names_cancel(struct names *n)
{
    pthread_mutex_lock(&n->lock);
    n->is_canceled = true;
    end_all(n, ERR_CANCELED);
    pthread_mutex_unlock(&n->lock);
}
