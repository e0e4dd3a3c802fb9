/* The threads of the courier: which job runs when, on whose connection.
 *
 * A destination has a queue, a ceiling and the workers that wait with an open connection to it. A
 * worker that ends a job takes the next one of the same destination with its connection; else it
 * parks for a few seconds and the newest parked worker gets what comes next. A job for which there
 * is no worker gets a new thread, or at the ceiling of threads the worker that has been parked
 * longest, which gives its connection up. A destination gets another thread only while more are
 * free than it has already: one black hole holds at most half of them, ten at most a twelfth each,
 * and whoever is well finds one. All fields are under the one lock unless said otherwise; no
 * network call is made with the lock held. */
#include "courier/courier_int.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/refuse.h"

enum {
    STACK_BYTES = 128 << 10, /* OpenSSL's handshake needs about a third of it */
    STREAK_MAX = 50,         /* jobs in a row for one destination while others wait for a thread */
    LINGER_SECONDS = 30,     /* a thread without anything to do ends after this */
};

struct destination {
    struct list node;   /* of courier.destinations */
    struct list turn;   /* of courier.turns, while it has jobs that may begin */
    struct list works;  /* waiting */
    struct list parked; /* workers with a connection, newest first */
    unsigned n_running, ceiling;
    char key[];
};

struct worker {
    struct list node;        /* of a destination's parked, of courier.idle or of courier.ended */
    struct list age;         /* of courier.ages while parked, oldest first */
    struct courier *courier; /* set once */
    pthread_t thread;        /* set once */
    pthread_cond_t wake;
    struct courier_work *work; /* what to do next */
    struct destination *at;    /* whose job runs, or whose connection is parked */
    struct courier_peer *peer; /* the worker's own: no lock */
    struct buf route;          /* the worker's own: to what the connection leads */
    unsigned streak;           /* the worker's own */
};

struct courier {
    struct courier_options o;         /* set once */
    struct courier_ceiling *ceilings; /* set once */
    int cancel_fd;                    /* set once */
    pthread_mutex_t lock;
    pthread_cond_t quiet; /* a job or a thread has ended */
    struct map *by_key;
    struct list destinations, turns, ages, idle, ended;
    unsigned n_threads, n_works;
    bool is_stopping;
    struct courier_figures figures;
};

static void *work_on(void *arg);

struct courier_options courier_options_usual(void)
{
    return (struct courier_options){
        .threads = 200,
        .per_destination = (unsigned)refuse_row(REFUSE_DESTINATION_BUSY)->limit,
        .jobs = (unsigned)refuse_row(REFUSE_COURIER_JOBS)->limit,
        .idle = SECONDS(3),
        .reuses = 1000,
        .network = {.world_port = 25, .timeouts = courier_timeouts_usual(), .cancel_fd = -1},
    };
}

/* ---- destinations -------------------------------------------------------------------------------
 */

static unsigned ceiling_of(const struct courier *c, struct slice key)
{
    for (size_t i = 0; i < c->o.n_ceilings; i++)
        if (slice_eq(c->ceilings[i].destination, key))
            return c->ceilings[i].deliveries;
    return c->o.per_destination;
}

static struct destination *destination_of(struct courier *c, struct slice key)
{
    struct destination *d = map_get(c->by_key, key);
    if (d)
        return d;
    d = mem_new(sizeof(*d) + key.n + 1);
    if (key.n > 0)
        memcpy(d->key, key.p, key.n);
    d->ceiling = ceiling_of(c, key);
    list_init(&d->turn);
    list_init(&d->works);
    list_init(&d->parked);
    list_append(&c->destinations, &d->node);
    (void)map_put(c->by_key, slice_str(d->key), d);
    return d;
}

static void destination_settle(struct courier *c, struct destination *d)
{
    bool may_begin = !list_empty(&d->works) && d->n_running < d->ceiling;
    if (may_begin && list_empty(&d->turn))
        list_append(&c->turns, &d->turn);
    if (!may_begin)
        list_remove(&d->turn);
    if (d->n_running > 0 || !list_empty(&d->works) || !list_empty(&d->parked))
        return;
    (void)map_del(c->by_key, slice_str(d->key));
    list_remove(&d->node);
    mem_free(&d);
}

static struct courier_work *take_work(struct courier *c, struct destination *d)
{
    struct list *node = list_pop(&d->works);
    d->n_running++;
    c->figures.n_running++;
    return container_of(node, struct courier_work, node);
}

/* ---- handing out jobs
 * ---------------------------------------------------------------------------- */

static void unpark(struct worker *w)
{
    struct destination *d = w->at;
    list_remove(&w->node);
    list_remove(&w->age);
    w->at = NULL;
    destination_settle(w->courier, d);
}

static void hand_over(struct worker *w, struct destination *d)
{
    w->work = take_work(w->courier, d);
    w->at = d;
    pthread_cond_signal(&w->wake);
}

static size_t stack_bytes(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return STACK_BYTES * 8; /* their frames are several times as large */
#else
    return STACK_BYTES;
#endif
}

static void worker_free(struct worker *w)
{
    buf_finish(&w->route);
    (void)pthread_cond_destroy(&w->wake);
    mem_free(&w);
}

/* Threads that have left the lock for the last time: joining them takes no time. */
static void bury(struct courier *c)
{
    for (struct list *node; (node = list_pop(&c->ended));) {
        struct worker *w = container_of(node, struct worker, node);
        must(pthread_join(w->thread, NULL) == 0);
        worker_free(w);
    }
}

static void cond_make(pthread_cond_t *ret)
{
    pthread_condattr_t clock;
    must(pthread_condattr_init(&clock) == 0 &&
         pthread_condattr_setclock(&clock, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(ret, &clock) == 0);
    (void)pthread_condattr_destroy(&clock);
}

static bool spawn(struct courier *c, struct destination *d)
{
    pthread_attr_t attributes;
    bury(c);
    struct worker *w = mem_new(sizeof(*w));
    w->courier = c;
    w->route = buf_make(IPC_LIST_FRAME_MAX);
    list_init(&w->node);
    list_init(&w->age);
    cond_make(&w->wake);
    must(pthread_attr_init(&attributes) == 0 &&
         pthread_attr_setstacksize(&attributes, stack_bytes()) == 0);
    w->work = take_work(c, d); /* before the thread can look */
    w->at = d;
    bool is_made = pthread_create(&w->thread, &attributes, work_on, w) == 0;
    (void)pthread_attr_destroy(&attributes);
    if (is_made) {
        c->n_threads++;
        return true;
    }
    must(c->n_threads > 0); /* a courier that cannot have one thread is none */
    list_prepend(&d->works, &w->work->node);
    d->n_running--;
    c->figures.n_running--;
    worker_free(w);
    return false;
}

/* Begin one job of `d`; false: there is no thread for it now. */
static bool begin_one(struct courier *c, struct destination *d)
{
    if (!list_empty(&d->parked)) {
        struct worker *w = container_of(d->parked.next, struct worker, node);
        list_remove(&w->node);
        list_remove(&w->age);
        hand_over(w, d);
    } else if (!list_empty(&c->idle)) {
        hand_over(container_of(list_pop(&c->idle), struct worker, node), d);
    } else if (c->n_threads < c->o.threads && spawn(c, d)) {
        return true;
    } else if (!list_empty(&c->ages)) {
        struct worker *w = container_of(c->ages.next, struct worker, age);
        unpark(w);
        hand_over(w, d);
    } else {
        return false;
    }
    return true;
}

/* Whose turn it is; NULL: nobody's who may have one thread more. */
static struct destination *next_in_turn(const struct courier *c)
{
    unsigned n_free = c->o.threads - c->figures.n_running;
    for (struct list *node = c->turns.next; node != &c->turns; node = node->next) {
        struct destination *d = container_of(node, struct destination, turn);
        if (d->n_running < n_free)
            return d;
    }
    return NULL;
}

static void begin_what_can(struct courier *c)
{
    for (struct destination *d; (d = next_in_turn(c));) {
        if (!begin_one(c, d))
            return;
        list_remove(&d->turn); /* the others first, then its next one */
        destination_settle(c, d);
    }
}

/* ---- a worker
 * ------------------------------------------------------------------------------------- */

/* A connection serves a job only if it leads to the same hosts under the same conditions. */
static void route_of(const struct ipc_job *job, struct buf *ret)
{
    struct ipc_job route = {.kind = job->kind,
                            .destination = job->destination,
                            .hosts = job->hosts,
                            .n_hosts = job->n_hosts,
                            .domain = job->domain,
                            .tls = job->tls,
                            .tls_name = job->tls_name};
    buf_clear(ret);
    ipc_job_pack(ret, &route);
}

static void check_route(struct worker *w, const struct ipc_job *job)
{
    SCOPED(buf_finish) struct buf route = buf_make(IPC_LIST_FRAME_MAX);
    route_of(job, &route);
    if (slice_eq(buf_slice(&route), buf_slice(&w->route)))
        return;
    courier_peer_close(&w->peer);
    struct buf keep = w->route;
    w->route = route;
    route = keep;
}

static void count(struct courier_figures *f, const struct courier_work *work,
                  struct courier_tries tries)
{
    f->n_opened += tries.n_opened;
    f->n_reused += tries.is_reused;
    for (uint32_t i = 0; i < work->result.n_outcomes; i++) {
        unsigned class = work->result.outcomes[i].code / 100;
        f->n_delivered += class == 2;
        f->n_refused += class == 4 || class == 5;
        f->n_failed += class == 0;
    }
}

/* One job from beginning to end, without the lock. */
static struct courier_figures run(struct worker *w, struct courier_work *work)
{
    struct courier *c = w->courier;
    struct courier_figures figures = {};
    check_route(w, &work->job);
    count(&figures, work, courier_deliver(&c->o, work, &w->peer));
    c->o.done(c->o.done_arg, work->tag, &work->result);
    courier_work_destroy(&work);
    return figures;
}

/* Another job of the same destination with the same connection, unless others wait too long. */
static bool go_on(struct worker *w)
{
    struct courier *c = w->courier;
    struct destination *d = w->at;
    if (list_empty(&d->works) || (w->streak >= STREAK_MAX && !list_empty(&c->turns)))
        return false;
    w->streak++;
    w->work = take_work(c, d);
    destination_settle(c, d);
    return true;
}

static bool wait_until(struct worker *w, mono_us until)
{
    struct timespec t = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    return pthread_cond_timedwait(&w->wake, &w->courier->lock, &t) == 0;
}

/* Wait with the connection; it is closed (without the lock) when nothing comes. */
static void park(struct worker *w)
{
    struct courier *c = w->courier;
    struct destination *d = w->at;
    mono_us until = mono_now() + c->o.idle;
    list_prepend(&d->parked, &w->node);
    list_append(&c->ages, &w->age);
    c->figures.n_idle++;
    begin_what_can(c); /* with what became free */
    while (!w->work && !c->is_stopping && wait_until(w, until))
        ;
    c->figures.n_idle--;
    if (w->work)
        return;
    unpark(w);
    pthread_mutex_unlock(&c->lock);
    courier_peer_close(&w->peer);
    pthread_mutex_lock(&c->lock);
}

/* False: this thread is not needed any more. */
static bool wait_idle(struct worker *w)
{
    struct courier *c = w->courier;
    mono_us until = mono_now() + SECONDS(LINGER_SECONDS);
    list_prepend(&c->idle, &w->node);
    begin_what_can(c); /* perhaps for ourselves */
    while (!w->work && !c->is_stopping && wait_until(w, until))
        ;
    if (!w->work)
        list_remove(&w->node);
    return w->work != NULL;
}

static void end_work(struct worker *w, const struct courier_figures *f)
{
    struct courier *c = w->courier;
    c->figures.n_opened += f->n_opened;
    c->figures.n_reused += f->n_reused;
    c->figures.n_delivered += f->n_delivered;
    c->figures.n_refused += f->n_refused;
    c->figures.n_failed += f->n_failed;
    c->figures.n_running--;
    c->n_works--;
    w->at->n_running--;
    w->work = NULL;
    if (c->is_stopping)
        pthread_cond_broadcast(&c->quiet);
}

/* Jobs one after the other as long as they come soon enough. */
static void work_in_a_row(struct worker *w)
{
    struct courier *c = w->courier;
    w->streak = 0;
    while (w->work) {
        pthread_mutex_unlock(&c->lock);
        struct courier_figures figures = run(w, w->work);
        pthread_mutex_lock(&c->lock);
        end_work(w, &figures);
        if (go_on(w))
            continue;
        /* Whoever has a turn now lacks a thread: this one. */
        if (w->peer && c->o.idle > 0 && !c->is_stopping && !next_in_turn(c)) {
            park(w);
        } else {
            destination_settle(c, w->at);
            w->at = NULL;
        }
    }
}

static void *work_on(void *arg)
{
    struct worker *w = arg;
    struct courier *c = w->courier;
    pthread_mutex_lock(&c->lock);
    do {
        work_in_a_row(w);
        pthread_mutex_unlock(&c->lock);
        courier_peer_close(&w->peer);
        pthread_mutex_lock(&c->lock);
    } while (wait_idle(w));
    c->n_threads--;
    list_append(&c->ended, &w->node);
    pthread_cond_broadcast(&c->quiet);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- the door
 * ---------------------------------------------------------------------------------------- */

struct courier *courier_create(const struct courier_options *o)
{
    must(o->threads > 0 && o->per_destination > 0 && o->jobs > 0 && o->reuses > 0);
    must(o->done && o->network.resolve && o->network.hostname && o->network.tls);
    struct courier *c = mem_new(sizeof(*c));
    c->o = *o;
    c->ceilings = mem_new(o->n_ceilings * sizeof(*c->ceilings));
    for (size_t i = 0; i < o->n_ceilings; i++) {
        struct slice key = o->ceilings[i].destination;
        char *copy = mem_new(key.n);
        memcpy(copy, key.p, key.n);
        c->ceilings[i] = (struct courier_ceiling){slice_of(copy, key.n), o->ceilings[i].deliveries};
    }
    c->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(c->cancel_fd >= 0);
    c->o.network.cancel_fd = c->cancel_fd;
    must(pthread_mutex_init(&c->lock, NULL) == 0);
    cond_make(&c->quiet);
    c->by_key = map_create();
    list_init(&c->destinations);
    list_init(&c->turns);
    list_init(&c->ages);
    list_init(&c->idle);
    list_init(&c->ended);
    return c;
}

static void not_tried(struct courier *c, struct courier_work *work, const char *why)
{
    struct courier_end end;
    courier_end_words(&end, SMTP_PHASE_NONE, "", "not tried: %s", why);
    courier_work_decide_rest(work, &end);
    c->o.done(c->o.done_arg, work->tag, &work->result);
    courier_work_destroy(&work);
}

void courier_job(struct courier *c, uint64_t tag, const struct ipc_job *job,
                 struct buf *take_content)
{
    struct courier_work *work = courier_work_create(tag, job, take_content);
    pthread_mutex_lock(&c->lock);
    bool is_full = c->n_works >= c->o.jobs;
    bool is_taken = !is_full && !c->is_stopping;
    if (is_taken) {
        struct destination *d = destination_of(c, work->job.destination);
        c->n_works++;
        list_append(&d->works, &work->node);
        destination_settle(c, d);
        begin_what_can(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (!is_taken)
        not_tried(c, work,
                  is_full ? refuse(REFUSE_COURIER_JOBS, job->destination)->text
                          : "we are stopping");
}

/* Everything that waits is taken back, everybody who waits is woken. */
static void begin_stop(struct courier *c, struct list *ret_works)
{
    list_init(ret_works);
    c->is_stopping = true;
    LIST_FOREACH (node, &c->destinations) {
        struct destination *d = container_of(node, struct destination, node);
        for (struct list *work; (work = list_pop(&d->works));)
            list_append(ret_works, work);
        LIST_FOREACH (parked, &d->parked)
            pthread_cond_signal(&container_of(parked, struct worker, node)->wake);
        destination_settle(c, d);
    }
    LIST_FOREACH (idle, &c->idle)
        pthread_cond_signal(&container_of(idle, struct worker, node)->wake);
}

void courier_stop(struct courier *c, mono_us deadline)
{
    struct list works;
    struct timespec t = {.tv_sec = deadline / 1000000, .tv_nsec = deadline % 1000000 * 1000};
    pthread_mutex_lock(&c->lock);
    begin_stop(c, &works);
    pthread_mutex_unlock(&c->lock);
    unsigned n = 0;
    for (struct list *node; (node = list_pop(&works)); n++)
        not_tried(c, container_of(node, struct courier_work, node), "we are stopping");
    pthread_mutex_lock(&c->lock);
    c->n_works -= n;
    while (c->n_works > 0 && pthread_cond_timedwait(&c->quiet, &c->lock, &t) == 0)
        ;
    (void)eventfd_write(c->cancel_fd, 1); /* ends every wait; a second time changes nothing */
    while (c->n_threads > 0)
        pthread_cond_wait(&c->quiet, &c->lock);
    bury(c);
    pthread_mutex_unlock(&c->lock);
}

void courier_destroy(struct courier **c)
{
    if (!*c)
        return;
    courier_stop(*c, 0);
    map_destroy(&(*c)->by_key);
    for (size_t i = 0; i < (*c)->o.n_ceilings; i++) {
        void *key = (void *)(uintptr_t)(*c)->ceilings[i].destination.p;
        mem_free(&key);
    }
    mem_free(&(*c)->ceilings);
    (void)pthread_cond_destroy(&(*c)->quiet);
    (void)pthread_mutex_destroy(&(*c)->lock);
    fd_close(&(*c)->cancel_fd);
    mem_free(c);
}

void courier_figures(struct courier *c, struct courier_figures *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = c->figures;
    ret->n_waiting = c->n_works - c->figures.n_running;
    ret->n_threads = c->n_threads;
    pthread_mutex_unlock(&c->lock);
}
