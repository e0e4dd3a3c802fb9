/* Looks at domains: a queue, a few threads, questions to the resolver. Everything in struct
 * liaison_domains is under its lock unless said otherwise. */
#include "liaison/domains_int.h"

#include <idn2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/refuse.h"

enum {
    DEADLINE_SECONDS = 25, /* somebody may be waiting for it */
    QUESTION_SECONDS = 5,
    FETCH_SECONDS = 8, /* leaves time for the questions after it */
    HTTPS = 443,
    SILENT_MAX = 4, /* from the beginning, about our name and the domain: nobody is there */
    NAME_MAX_BYTES = 255,
    NETWORKS_MAX = 64
};

struct look {
    struct list node;
    uint64_t tag;
    struct arena *arena; /* owns what was asked */
    struct ipc_domain_look what;
};

struct liaison_domains {
    struct liaison_domains_options o; /* set once */
    pthread_t *threads;               /* set once for each thread that was started */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list looks; /* waiting */
    unsigned n_threads, n_idle, n_looks;
    struct watch_node node;
    char name[NAME_MAX_BYTES + 1]; /* of the node */
    atomic_bool is_stopping;
    int cancel_fd; /* set once; readable: give up what is fetched */
};

/* ---- questions --------------------------------------------------------------------------------
 */

struct asking {
    struct liaison_domains *domains;
    mono_us deadline;
    unsigned n_answered, n_silent;
};

/* As the world sees it now, past our own cache. */
static enum err resolve(void *arg, const struct ipc_name_ask *question, mono_us deadline,
                        struct arena *a, struct ipc_name_told *ret)
{
    const struct courier_network *n = &((struct liaison_domains *)arg)->o.network;
    struct ipc_name_ask fresh = *question;
    fresh.is_fresh = true;
    return n->resolve(n->resolve_arg, &fresh, deadline, a, ret);
}

static enum watch_answer answer_of(uint8_t status)
{
    switch (status) {
    case IPC_NAME_OK:
        return WATCH_ANSWER_OK;
    case IPC_NAME_NO_NAME:
        return WATCH_ANSWER_NO_NAME;
    case IPC_NAME_NO_DATA:
        return WATCH_ANSWER_NO_DATA;
    case IPC_NAME_BOGUS:
        return WATCH_ANSWER_BOGUS;
    default:
        return WATCH_ANSWER_NONE;
    }
}

static void ask(void *self, struct slice name, uint16_t type, struct arena *a,
                struct watch_records *ret)
{
    struct asking *s = self;
    struct ipc_name_ask question = {.name = name, .type = type};
    struct ipc_name_told told = {};
    mono_us until = mono_now() + SECONDS(QUESTION_SECONDS);
    *ret = (struct watch_records){.status = WATCH_ANSWER_NONE};
    if (atomic_load(&s->domains->is_stopping) || mono_now() >= s->deadline ||
        (s->n_answered == 0 && s->n_silent >= SILENT_MAX))
        return;
    enum err err =
        resolve(s->domains, &question, until < s->deadline ? until : s->deadline, a, &told);
    if (err != ERR_OK || told.status == IPC_NAME_FAILED) {
        s->n_silent++;
        return;
    }
    s->n_answered++;
    struct slice *data = arena_try(a, (told.n_records + 1) * sizeof(*data));
    if (!data)
        return;
    *ret = (struct watch_records){.status = answer_of(told.status),
                                  .is_secure = told.is_secure != 0,
                                  .ttl = told.ttl,
                                  .data = data};
    for (; ret->status == WATCH_ANSWER_OK && ret->n < told.n_records; ret->n++)
        data[ret->n] = told.records[ret->n].data;
}

static void get(void *self, const char *host, const char *path, struct arena *a,
                struct watch_page *ret)
{
    struct asking *s = self;
    struct courier_network network = s->domains->o.network;
    mono_us until = mono_now() + SECONDS(FETCH_SECONDS);
    uint16_t port = s->domains->o.https ? s->domains->o.https : HTTPS;
    network.resolve = resolve;
    network.resolve_arg = s->domains;
    network.cancel_fd = s->domains->cancel_fd;
    domains_fetch(&network, until < s->deadline ? until : s->deadline,
                  &(struct domains_page){host, path, port}, a, ret);
}

/* ---- one look ----------------------------------------------------------------------------------
 */

static void tell(struct liaison_domains *d, const struct look *l, const struct watch_findings *all)
{
    struct ipc_finding list[WATCH_LOOK_MAX];
    struct ipc_domain_seen seen = {.domain = l->what.domain,
                                   .is_blind = watch_is_blind(all),
                                   .findings = list,
                                   .n_findings = (uint32_t)all->n};
    for (size_t i = 0; i < all->n; i++) {
        const struct watch_finding *f = &all->list[i];
        list[i] = (struct ipc_finding){.check = (uint8_t)f->check,
                                       .class = (uint8_t)f->class,
                                       .number = f->number,
                                       .found = slice_str(f->found),
                                       .expected = slice_str(f->expected),
                                       .why = slice_str(f->why),
                                       .advice = slice_str(f->advice)};
    }
    d->o.done(d->o.done_arg, l->tag, &seen);
}

/* DNS knows A-labels only (RFC 5891); what is none is asked as it is, and does not exist. */
static struct slice ascii_of(struct arena *a, struct slice name)
{
    char *ascii = NULL;
    if (idn2_to_ascii_8z(arena_cstr(a, name), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
        IDN2_OK)
        return name;
    struct slice copy = arena_copy(a, slice_str(ascii));
    idn2_free(ascii);
    return copy;
}

static void look_at(struct liaison_domains *d, struct look *l, struct watch_findings *ret)
{
    struct slice networks[NETWORKS_MAX];
    struct watch_selector selectors[WATCH_SELECTORS_MAX];
    struct asking asking = {d, mono_now() +
                                   (d->o.deadline ? d->o.deadline : SECONDS(DEADLINE_SECONDS))};
    struct watch_outside outside = {{ask, &asking}, {get, &asking}};
    pthread_mutex_lock(&d->lock);
    struct watch_node *node = ARENA_NEW(l->arena, struct watch_node);
    *node = d->node;
    node->name = arena_copy(l->arena, slice_str(d->name));
    pthread_mutex_unlock(&d->lock);
    if (l->what.name.n == 0) {
        watch_look_node(&outside.dns, node, utc_now(), ret);
        return;
    }
    struct watch_domain domain = {.name = ascii_of(l->arena, l->what.name),
                                  .form = l->what.form == WATCH_SECOND   ? WATCH_SECOND
                                          : l->what.form == WATCH_HOSTED ? WATCH_HOSTED
                                                                         : WATCH_INLINE,
                                  .networks = networks,
                                  .selectors = selectors,
                                  .ttl_known = l->what.ttl_known,
                                  .ttl_age = l->what.ttl_age};
    for (uint32_t i = 0; i < l->what.n_networks && i < NETWORKS_MAX; i++)
        networks[domain.n_networks++] = l->what.networks[i].text;
    for (uint32_t i = 0; i < l->what.n_selectors && i < WATCH_SELECTORS_MAX; i++)
        selectors[domain.n_selectors++] =
            (struct watch_selector){l->what.selectors[i].name, l->what.selectors[i].is_ours != 0};
    watch_look_domain(&outside, node, &domain, utc_now(), ret);
}

/* ---- threads -----------------------------------------------------------------------------------
 */

static struct look *look_create(uint64_t tag, const struct ipc_domain_look *what)
{
    struct look *l = mem_new(sizeof(*l));
    SCOPED(buf_finish) struct buf packed = buf_make(IPC_FRAME_MAX);
    list_init(&l->node);
    l->tag = tag;
    l->arena = arena_create(IPC_FRAME_MAX);
    ipc_domain_look_pack(&packed, what);
    must(!packed.failed); /* it came in such a frame */
    must(ipc_domain_look_unpack(arena_copy(l->arena, buf_slice(&packed)), l->arena, &l->what));
    return l;
}

static void look_destroy(struct look **l)
{
    arena_destroy(&(*l)->arena);
    mem_free(l);
}

static void *work_on(void *arg)
{
    struct liaison_domains *d = arg;
    struct watch_findings *all = mem_new(sizeof(*all));
    pthread_mutex_lock(&d->lock);
    for (;;) {
        d->n_idle++;
        while (list_empty(&d->looks) && !atomic_load(&d->is_stopping))
            pthread_cond_wait(&d->wake, &d->lock);
        d->n_idle--;
        if (list_empty(&d->looks))
            break;
        struct look *l = container_of(list_pop(&d->looks), struct look, node);
        pthread_mutex_unlock(&d->lock);
        look_at(d, l, all);
        tell(d, l, all);
        look_destroy(&l);
        pthread_mutex_lock(&d->lock);
        d->n_looks--;
    }
    pthread_mutex_unlock(&d->lock);
    mem_free(&all);
    return NULL;
}

struct liaison_domains *liaison_domains_create(const struct liaison_domains_options *o)
{
    must(o->threads > 0 && o->looks > 0 && o->done && o->network.resolve);
    struct liaison_domains *d = mem_new(sizeof(*d));
    d->o = *o;
    d->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(d->cancel_fd >= 0);
    d->threads = mem_new(o->threads * sizeof(*d->threads));
    must(pthread_mutex_init(&d->lock, NULL) == 0 && pthread_cond_init(&d->wake, NULL) == 0);
    list_init(&d->looks);
    return d;
}

void liaison_domains_node(struct liaison_domains *d, const struct watch_node *node)
{
    pthread_mutex_lock(&d->lock);
    d->node = *node;
    (void)snprintf(d->name, sizeof(d->name), SLICE_FMT, SLICE_ARG(node->name));
    pthread_mutex_unlock(&d->lock);
}

static void not_looked(struct liaison_domains *d, struct look *l)
{
    struct ipc_domain_seen seen = {.domain = l->what.domain, .is_blind = true};
    d->o.done(d->o.done_arg, l->tag, &seen);
    look_destroy(&l);
}

void liaison_domains_look(struct liaison_domains *d, uint64_t tag,
                          const struct ipc_domain_look *what)
{
    struct look *l = look_create(tag, what);
    pthread_mutex_lock(&d->lock);
    bool is_full = d->n_looks >= d->o.looks;
    if (!is_full) {
        d->n_looks++;
        list_append(&d->looks, &l->node);
        if (d->n_idle == 0 && d->n_threads < d->o.threads)
            d->n_threads += pthread_create(&d->threads[d->n_threads], NULL, work_on, d) == 0;
        must(d->n_threads > 0); /* without one there is nobody to look */
        pthread_cond_signal(&d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    if (is_full) {
        (void)refuse(REFUSE_DOMAIN_LOOKS, what->name);
        not_looked(d, l);
    }
}

void liaison_domains_destroy(struct liaison_domains **domains)
{
    struct liaison_domains *d = *domains;
    if (!d)
        return;
    struct list looks;
    list_init(&looks);
    pthread_mutex_lock(&d->lock);
    atomic_store(&d->is_stopping, true);
    for (struct list *node; (node = list_pop(&d->looks));)
        list_append(&looks, node);
    pthread_cond_broadcast(&d->wake);
    pthread_mutex_unlock(&d->lock);
    (void)eventfd_write(d->cancel_fd, 1);
    for (struct list *node; (node = list_pop(&looks));)
        not_looked(d, container_of(node, struct look, node));
    for (unsigned i = 0; i < d->n_threads; i++)
        must(pthread_join(d->threads[i], NULL) == 0);
    (void)pthread_cond_destroy(&d->wake);
    (void)pthread_mutex_destroy(&d->lock);
    mem_free(&d->threads);
    fd_close(&d->cancel_fd);
    mem_free(domains);
}
