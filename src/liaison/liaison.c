/* The threads of the liaison: works wait in the queue of their lane, a few threads take them.
 * Everything in a lane is under its lock unless said otherwise; no network call is made with it
 * held. */
#include "liaison/liaison_int.h"

#include "liaison/token_int.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "base/refuse.h"

enum {
    STACK_BYTES = 256 << 10,  /* libcurl and TLS in it */
    ANSWER_BYTES = 512 << 10, /* of mailbox_did; a ceiling, memory grows as needed */
    ARENA_BYTES = 1 << 20,    /* lists of one work: 500 Message-IDs are 8 KB of slices */
};

static const struct liaison_kind *const kinds[] = {
    &liaison_probe_kind, &liaison_look_kind, &liaison_has_kind,  &liaison_control_kind,
    &liaison_hook_kind,  &liaison_do_kind,   &liaison_push_kind,
};

static const enum refuse_id lane_refusals[LIAISON_LANES] = {
    [LIAISON_PROBES] = REFUSE_PROBES,     [LIAISON_MAILBOXES] = REFUSE_LOOKS,
    [LIAISON_CONTROLS] = REFUSE_CONTROLS, [LIAISON_HOOKS] = REFUSE_HOOKS,
    [LIAISON_RETURNS] = REFUSE_RETURNS,   [LIAISON_PUSHES] = REFUSE_PUSHES,
};

struct lane {
    struct liaison *l;  /* set once */
    unsigned id;        /* set once: enum liaison_lane */
    pthread_t *threads; /* set once for each thread that was started */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list waiting, running;
    unsigned n_threads, n_idle, n_waiting, n_works; /* works: waiting and running */
    bool is_stopping;
};

struct liaison {
    struct liaison_options o; /* set once */
    struct lane lane[LIAISON_LANES];
    struct liaison_contents *contents;
    struct liaison_tokens *tokens;
};

/* ---- one work -------------------------------------------------------------------------------- */

static void work_destroy(struct liaison_work **w)
{
    if ((*w)->payload.p)
        explicit_bzero((*w)->payload.p, (*w)->payload.n);
    buf_finish(&(*w)->payload);
    if ((*w)->all_bytes)
        atomic_fetch_sub((*w)->all_bytes, (*w)->content.n);
    buf_finish(&(*w)->content);
    arena_destroy(&(*w)->arena);
    mem_free(w);
}

static struct liaison_work *work_create(const struct liaison_kind *kind, uint64_t tag,
                                        struct slice payload)
{
    struct liaison_work *w = mem_new(sizeof(*w));
    list_init(&w->node);
    w->tag = tag;
    w->kind = kind;
    w->payload = buf_make(IPC_LIST_FRAME_MAX);
    buf_reserve(&w->payload, payload.n); /* growing would leave copies behind */
    buf_adds(&w->payload, payload);
    w->arena = arena_create(ARENA_BYTES);
    if (w->payload.failed || !kind->unpack(w))
        work_destroy(&w);
    return w;
}

/* The work is over with this, but not freed: it may be in a list. */
static void answer(struct liaison *l, const struct liaison_work *w, const char *declined)
{
    SCOPED(buf_finish) struct buf b = buf_make(ANSWER_BYTES);
    if (declined)
        w->kind->decline(w, declined, &b);
    else
        w->kind->run(&l->o.network, w, &b);
    must(!b.failed);
    l->o.done(l->o.done_arg, w->kind->answer_type, w->tag, &b);
}

/* ---- a lane ---------------------------------------------------------------------------------- */

static unsigned running_of(const struct lane *a, uint64_t primary)
{
    unsigned n = 0;
    LIST_FOREACH (node, &a->running)
        n += container_of(node, struct liaison_work, node)->primary == primary;
    return n;
}

/* The oldest whose primary has not its share of the threads yet. */
static struct liaison_work *pick(struct lane *a)
{
    unsigned most = a->l->o.lane[a->id].per_primary;
    LIST_FOREACH (node, &a->waiting) {
        struct liaison_work *w = container_of(node, struct liaison_work, node);
        if (running_of(a, w->primary) >= most)
            continue;
        list_remove(node);
        list_append(&a->running, node);
        a->n_waiting--;
        return w;
    }
    return NULL;
}

static void *work_on(void *arg)
{
    struct lane *a = arg;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        struct liaison_work *w;
        a->n_idle++;
        while (!(w = pick(a)) && !a->is_stopping)
            pthread_cond_wait(&a->wake, &a->lock);
        a->n_idle--;
        if (!w)
            break;
        pthread_mutex_unlock(&a->lock);
        answer(a->l, w, NULL);
        pthread_mutex_lock(&a->lock);
        list_remove(&w->node);
        a->n_works--;
        work_destroy(&w);
        pthread_cond_signal(&a->wake); /* another of that primary may go now */
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void grow(struct lane *a)
{
    pthread_attr_t attributes;
    size_t stack = STACK_BYTES;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    stack *= 8; /* their frames are several times as large */
#endif
    must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, stack) == 0);
    bool is_made = pthread_create(&a->threads[a->n_threads], &attributes, work_on, a) == 0;
    (void)pthread_attr_destroy(&attributes);
    a->n_threads += is_made;
    must(a->n_threads > 0); /* a liaison that cannot have one thread is none */
}

static void lane_init(struct lane *a, struct liaison *l, unsigned id)
{
    must(l->o.lane[id].threads > 0 && l->o.lane[id].works > 0 && l->o.lane[id].per_primary > 0);
    a->l = l;
    a->id = id;
    a->threads = mem_new(l->o.lane[id].threads * sizeof(*a->threads));
    must(pthread_mutex_init(&a->lock, NULL) == 0 && pthread_cond_init(&a->wake, NULL) == 0);
    list_init(&a->waiting);
    list_init(&a->running);
}

/* False: no room. */
static bool lane_take(struct lane *a, struct liaison_work *w)
{
    pthread_mutex_lock(&a->lock);
    bool has_room = a->n_works < a->l->o.lane[a->id].works;
    if (has_room) {
        a->n_works++;
        list_append(&a->waiting, &w->node);
        a->n_waiting++;
        if (a->n_waiting > a->n_idle && a->n_threads < a->l->o.lane[a->id].threads)
            grow(a);
        pthread_cond_signal(&a->wake);
    }
    pthread_mutex_unlock(&a->lock);
    return has_room;
}

static void lane_stop(struct lane *a)
{
    struct list left;
    list_init(&left);
    pthread_mutex_lock(&a->lock);
    a->is_stopping = true;
    for (struct list *node; (node = list_pop(&a->waiting));)
        list_append(&left, node);
    pthread_cond_broadcast(&a->wake);
    pthread_mutex_unlock(&a->lock);
    for (struct list *node; (node = list_pop(&left));) {
        struct liaison_work *w = container_of(node, struct liaison_work, node);
        answer(a->l, w, "we are stopping");
        work_destroy(&w);
    }
}

static void lane_finish(struct lane *a)
{
    for (unsigned i = 0; i < a->n_threads; i++)
        must(pthread_join(a->threads[i], NULL) == 0);
    (void)pthread_cond_destroy(&a->wake);
    (void)pthread_mutex_destroy(&a->lock);
    mem_free(&a->threads);
}

static void tell_token(void *arg, const struct ipc_token_new *told)
{
    const struct liaison *l = arg;
    struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    buf_reserve(&b, 3 * TOKEN_MAX + 100); /* growing would leave copies behind */
    ipc_token_new_pack(&b, told);
    if (!b.failed)
        l->o.done(l->o.done_arg, IPC_T_token_new, 0, &b);
    explicit_bzero(b.p, b.cap);
    buf_finish(&b);
}

/* ---- the door -------------------------------------------------------------------------------- */

struct liaison *liaison_create(const struct liaison_options *o)
{
    must(o->done && o->network.resolve && o->network.hostname && o->network.tls);
    struct liaison *l = mem_new(sizeof(*l));
    l->o = *o;
    l->o.network.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(l->o.network.cancel_fd >= 0);
    for (unsigned i = 0; i < LIAISON_LANES; i++)
        lane_init(&l->lane[i], l, i);
    l->contents = liaison_contents_create();
    l->tokens = liaison_tokens_create(tell_token, l);
    return l;
}

bool liaison_take(struct liaison *l, uint16_t type, uint64_t tag, struct slice payload)
{
    const struct liaison_kind *kind = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i]->type == type)
            kind = kinds[i];
    struct liaison_work *w = kind ? work_create(kind, tag, payload) : NULL;
    bool has_room = true;
    if (w)
        w->tokens = l->tokens;
    if (w && type == IPC_T_mailbox_do && !liaison_contents_take(l->contents, w, &has_room))
        work_destroy(&w);
    if (!w)
        return false;
    if (!has_room) {
        answer(l, w, refuse(REFUSE_RETURN_BYTES, SLICE(""))->text);
        work_destroy(&w);
        return true;
    }
    if (!lane_take(&l->lane[kind->lane], w)) {
        answer(l, w, refuse(lane_refusals[kind->lane], SLICE(""))->text);
        work_destroy(&w);
    }
    return true;
}

bool liaison_content(struct liaison *l, uint64_t tag, struct slice bytes)
{
    return liaison_contents_add(l->contents, tag, bytes);
}

void liaison_forget_contents(struct liaison *l)
{
    liaison_contents_forget(l->contents);
}

void liaison_destroy(struct liaison **liaison)
{
    struct liaison *l = *liaison;
    if (!l)
        return;
    (void)eventfd_write(l->o.network.cancel_fd, 1); /* ends every wait */
    for (unsigned i = 0; i < LIAISON_LANES; i++)
        lane_stop(&l->lane[i]);
    for (unsigned i = 0; i < LIAISON_LANES; i++)
        lane_finish(&l->lane[i]);
    fd_close(&l->o.network.cancel_fd);
    liaison_contents_destroy(&l->contents);
    liaison_tokens_destroy(&l->tokens);
    mem_free(liaison);
}

mono_us liaison_timeout(uint32_t ms, uint32_t most_ms)
{
    return MILLISECONDS(ms < 100 ? 100 : ms > most_ms ? most_ms : ms);
}

struct courier_network liaison_hurried(const struct courier_network *n, mono_us timeout)
{
    struct courier_network copy = *n;
    mono_us *step[] = {&copy.timeouts.name, &copy.timeouts.connect, &copy.timeouts.banner,
                       &copy.timeouts.ehlo, &copy.timeouts.tls,     &copy.timeouts.mail,
                       &copy.timeouts.rcpt, &copy.timeouts.data,    &copy.timeouts.dot,
                       &copy.timeouts.block};
    for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++)
        if (*step[i] > timeout)
            *step[i] = timeout;
    return copy;
}
