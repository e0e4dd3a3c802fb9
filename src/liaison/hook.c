/* The threads of webhooks: a queue and a few that take from it. */
#include "liaison/hook_int.h"

#include "base/refuse.h"

#include <curl/curl.h>
#include <openssl/pem.h>
#include <pthread.h>

enum { STACK_BYTES = 256 << 10 };

struct work {
    struct list node;
    uint64_t tag;
    struct arena *arena; /* owns the hook */
    struct ipc_hook hook;
};

struct liaison_hooks {
    struct liaison_hooks_options o; /* set once */
    X509_STORE *authorities;        /* set once; its own locks inside */
    pthread_t *threads;
    _Atomic bool is_stopping;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list works;                   /* under lock, with what follows */
    unsigned n_threads, n_idle, n_works; /* works: running and waiting */
};

void liaison_hooks_prepare(void)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static X509_STORE *read_authorities(struct slice pem)
{
    X509_STORE *store = X509_STORE_new();
    must(store && pem.n <= INT32_MAX);
    BIO *b = BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n);
    must(b);
    for (X509 *x; (x = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL));) {
        (void)X509_STORE_add_cert(store, x);
        X509_free(x);
    }
    BIO_free(b);
    return store;
}

static void work_destroy(struct work **w)
{
    arena_destroy(&(*w)->arena);
    mem_free(w);
}

static struct work *work_create(uint64_t tag, const struct ipc_hook *hook)
{
    struct work *w = mem_new(sizeof(*w));
    SCOPED(buf_finish) struct buf packed = buf_make(IPC_FRAME_MAX);
    list_init(&w->node);
    w->tag = tag;
    w->arena = arena_create(IPC_FRAME_MAX);
    ipc_hook_pack(&packed, hook);
    must(!packed.failed); /* it came in such a frame */
    must(ipc_hook_unpack(arena_copy(w->arena, buf_slice(&packed)), w->arena, &w->hook));
    return w;
}

static void *work_on(void *arg)
{
    struct liaison_hooks *h = arg;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        h->n_idle++;
        while (list_empty(&h->works) && !atomic_load(&h->is_stopping))
            pthread_cond_wait(&h->wake, &h->lock);
        h->n_idle--;
        if (list_empty(&h->works))
            break;
        struct work *w = container_of(list_pop(&h->works), struct work, node);
        pthread_mutex_unlock(&h->lock);
        struct hook_send send = {&h->o.network, h->authorities, &h->is_stopping, &w->hook};
        struct hook_end end;
        hook_send(&send, &end);
        h->o.done(h->o.done_arg, w->tag, &end.hooked);
        work_destroy(&w);
        pthread_mutex_lock(&h->lock);
        h->n_works--;
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void grow(struct liaison_hooks *h)
{
    pthread_attr_t attributes;
    size_t stack = STACK_BYTES;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    stack *= 8; /* their frames are several times as large */
#endif
    must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, stack) == 0);
    bool is_made = pthread_create(&h->threads[h->n_threads], &attributes, work_on, h) == 0;
    (void)pthread_attr_destroy(&attributes);
    h->n_threads += is_made;
    must(h->n_threads > 0);
}

struct liaison_hooks *liaison_hooks_create(const struct liaison_hooks_options *o)
{
    must(o->threads > 0 && o->hooks > 0 && o->done && o->network.resolve);
    struct liaison_hooks *h = mem_new(sizeof(*h));
    h->o = *o;
    h->o.authorities = SLICE("");
    h->authorities = read_authorities(o->authorities);
    h->threads = mem_new(o->threads * sizeof(*h->threads));
    must(pthread_mutex_init(&h->lock, NULL) == 0 && pthread_cond_init(&h->wake, NULL) == 0);
    list_init(&h->works);
    return h;
}

static void not_sent(struct liaison_hooks *h, struct work *w, const char *why)
{
    struct ipc_hooked hooked = {.text = slice_str(why)};
    h->o.done(h->o.done_arg, w->tag, &hooked);
    work_destroy(&w);
}

void liaison_hook(struct liaison_hooks *h, uint64_t tag, const struct ipc_hook *hook)
{
    struct work *w = work_create(tag, hook);
    pthread_mutex_lock(&h->lock);
    bool is_full = h->n_works >= h->o.hooks;
    if (!is_full) {
        h->n_works++;
        list_append(&h->works, &w->node);
        if (h->n_idle == 0 && h->n_threads < h->o.threads)
            grow(h);
        pthread_cond_signal(&h->wake);
    }
    pthread_mutex_unlock(&h->lock);
    if (is_full)
        not_sent(h, w, refuse(REFUSE_HOOKS, SLICE(""))->text);
}

void liaison_hooks_destroy(struct liaison_hooks **hooks)
{
    struct liaison_hooks *h = *hooks;
    if (!h)
        return;
    struct list works;
    list_init(&works);
    pthread_mutex_lock(&h->lock);
    atomic_store(&h->is_stopping, true);
    for (struct list *node; (node = list_pop(&h->works));)
        list_append(&works, node);
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
    for (struct list *node; (node = list_pop(&works));)
        not_sent(h, container_of(node, struct work, node), "we are stopping");
    for (unsigned i = 0; i < h->n_threads; i++)
        must(pthread_join(h->threads[i], NULL) == 0);
    X509_STORE_free(h->authorities);
    (void)pthread_cond_destroy(&h->wake);
    (void)pthread_mutex_destroy(&h->lock);
    mem_free(&h->threads);
    mem_free(hooks);
}
