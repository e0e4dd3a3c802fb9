/* Worker threads: reading the index and bodies, so that the loop never waits for the disk. */
#include "desk/desk_int.h"

enum { WORKERS = 3, CATCH_UP_SECONDS = 2 };

static void finish(void *arg)
{
    struct worker_job *job = arg;
    job->desk->n_jobs--;
    job->finish(job);
}

static struct worker_job *next_job(struct desk *d)
{
    pthread_mutex_lock(&d->work_lock);
    while (list_empty(&d->work) && !d->is_work_over)
        pthread_cond_wait(&d->work_cond, &d->work_lock);
    struct list *node = list_pop(&d->work);
    pthread_mutex_unlock(&d->work_lock);
    return node ? container_of(node, struct worker_job, node) : NULL;
}

/* Tried again with each job: what a disk refuses now it may give in a minute. */
static void open_reader(const struct desk *d, struct store_reader **reader)
{
    struct errinfo ei;
    if (!*reader && store_reader_open(d->o.data, reader, &ei) != ERR_OK)
        log_event(EV_STORE_TROUBLE, "what=\"the index cannot be read\" why=%s",
                  log_text(slice_str(ei.text)));
}

static void *work_on(void *arg)
{
    struct desk *d = arg;
    struct store_reader *reader = NULL;
    open_reader(d, &reader);
    for (struct worker_job *job; (job = next_job(d));) {
        open_reader(d, &reader);
        job->work(job, reader); /* reader may be NULL: the job says so to whoever asked */
        desk_post(d, finish, job);
    }
    store_reader_close(&reader);
    return NULL;
}

bool desk_catch_up(struct desk *d)
{
    uint64_t end = store_figures(d->store).end;
    if (store_recovered(d->store)->is_damaged)
        return false; /* nothing is applied any more: nobody waits for it */
    return end == 0 || store_wait_applied(d->store, end - 1, SECONDS(CATCH_UP_SECONDS)) == ERR_OK;
}

bool desk_is_ending(struct desk *d)
{
    pthread_mutex_lock(&d->work_lock);
    bool is_over = d->is_work_over;
    pthread_mutex_unlock(&d->work_lock);
    return is_over;
}

void desk_workers_start(struct desk *d)
{
    pthread_mutex_init(&d->work_lock, NULL);
    pthread_cond_init(&d->work_cond, NULL);
    list_init(&d->work);
    for (; d->n_workers < WORKERS; d->n_workers++)
        must(pthread_create(&d->workers[d->n_workers], NULL, work_on, d) == 0);
}

void desk_workers_stop(struct desk *d)
{
    pthread_mutex_lock(&d->work_lock);
    d->is_work_over = true;
    pthread_cond_broadcast(&d->work_cond);
    pthread_mutex_unlock(&d->work_lock);
    while (d->n_workers > 0)
        pthread_join(d->workers[--d->n_workers], NULL);
    pthread_cond_destroy(&d->work_cond);
    pthread_mutex_destroy(&d->work_lock);
}

void desk_work(struct desk *d, struct worker_job *job)
{
    job->desk = d;
    d->n_jobs++;
    pthread_mutex_lock(&d->work_lock);
    list_append(&d->work, &job->node);
    pthread_cond_signal(&d->work_cond);
    pthread_mutex_unlock(&d->work_lock);
}
