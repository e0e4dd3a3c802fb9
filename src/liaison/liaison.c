/* The threads of the liaison: probes wait in one queue, a few threads take them. Everything in
 * struct liaison is under its lock unless said otherwise; no network call is made with it held. */
#include "liaison/liaison_int.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "base/refuse.h"

enum { STACK_BYTES = 128 << 10 };

struct work {
    struct list node;
    uint64_t tag;
    struct arena *arena; /* owns the probe */
    struct ipc_probe probe;
};

struct liaison {
    struct liaison_options o; /* set once */
    pthread_t *threads;       /* set once for each thread that was started */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list works; /* waiting */
    unsigned n_threads, n_idle, n_works;
    bool is_stopping;
};

static void work_destroy(struct work **w)
{
    arena_destroy(&(*w)->arena);
    mem_free(w);
}

static struct work *work_create(uint64_t tag, const struct ipc_probe *probe)
{
    struct work *w = mem_new(sizeof(*w));
    SCOPED(buf_finish) struct buf packed = buf_make(IPC_FRAME_MAX);
    list_init(&w->node);
    w->tag = tag;
    w->arena = arena_create(IPC_FRAME_MAX);
    ipc_probe_pack(&packed, probe);
    must(!packed.failed); /* it came in such a frame */
    must(ipc_probe_unpack(arena_copy(w->arena, buf_slice(&packed)), w->arena, &w->probe));
    return w;
}

static void *work_on(void *arg)
{
    struct liaison *l = arg;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        l->n_idle++;
        while (list_empty(&l->works) && !l->is_stopping)
            pthread_cond_wait(&l->wake, &l->lock);
        l->n_idle--;
        if (list_empty(&l->works))
            break;
        struct work *w = container_of(list_pop(&l->works), struct work, node);
        pthread_mutex_unlock(&l->lock);
        struct liaison_seen seen;
        liaison_look(&l->o.network, &w->probe, &seen);
        l->o.done(l->o.done_arg, w->tag, &seen.observed);
        work_destroy(&w);
        pthread_mutex_lock(&l->lock);
        l->n_works--;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void grow(struct liaison *l)
{
    pthread_attr_t attributes;
    size_t stack = STACK_BYTES;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    stack *= 8; /* their frames are several times as large */
#endif
    must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, stack) == 0);
    bool is_made = pthread_create(&l->threads[l->n_threads], &attributes, work_on, l) == 0;
    (void)pthread_attr_destroy(&attributes);
    l->n_threads += is_made;
    must(l->n_threads > 0); /* a liaison that cannot have one thread is none */
}

struct liaison *liaison_create(const struct liaison_options *o)
{
    must(o->threads > 0 && o->probes > 0 && o->done);
    must(o->network.resolve && o->network.hostname && o->network.tls);
    struct liaison *l = mem_new(sizeof(*l));
    l->o = *o;
    l->o.network.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(l->o.network.cancel_fd >= 0);
    l->threads = mem_new(o->threads * sizeof(*l->threads));
    must(pthread_mutex_init(&l->lock, NULL) == 0 && pthread_cond_init(&l->wake, NULL) == 0);
    list_init(&l->works);
    return l;
}

static void not_looked(struct liaison *l, struct work *w, const char *why)
{
    struct ipc_observed observed = {
        .primary = w->probe.primary, .phase = SMTP_PHASE_NAME, .text = slice_str(why)};
    l->o.done(l->o.done_arg, w->tag, &observed);
    work_destroy(&w);
}

void liaison_probe(struct liaison *l, uint64_t tag, const struct ipc_probe *probe)
{
    struct work *w = work_create(tag, probe);
    pthread_mutex_lock(&l->lock);
    bool is_full = l->n_works >= l->o.probes;
    if (!is_full) {
        l->n_works++;
        list_append(&l->works, &w->node);
        if (l->n_idle == 0 && l->n_threads < l->o.threads)
            grow(l);
        pthread_cond_signal(&l->wake);
    }
    pthread_mutex_unlock(&l->lock);
    if (is_full)
        not_looked(l, w, refuse(REFUSE_PROBES, SLICE(""))->text);
}

void liaison_destroy(struct liaison **liaison)
{
    struct liaison *l = *liaison;
    if (!l)
        return;
    struct list works;
    list_init(&works);
    pthread_mutex_lock(&l->lock);
    l->is_stopping = true;
    for (struct list *node; (node = list_pop(&l->works));)
        list_append(&works, node);
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
    (void)eventfd_write(l->o.network.cancel_fd, 1); /* ends every wait */
    for (struct list *node; (node = list_pop(&works));)
        not_looked(l, container_of(node, struct work, node), "we are stopping");
    for (unsigned i = 0; i < l->n_threads; i++)
        must(pthread_join(l->threads[i], NULL) == 0);
    fd_close(&l->o.network.cancel_fd);
    (void)pthread_cond_destroy(&l->wake);
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(&l->threads);
    mem_free(liaison);
}
