/* Argon2 on two threads. Each check takes 64 MiB and about a tenth of a second of one processor:
 * that is what makes guessing at a stolen hash dear, and what must not be ours to pay for whoever
 * asks. So few run at once, few wait, and those who are welcome wait in a line of their own. */
#include "login/login_int.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>

enum { LINE_WELCOME, LINE_STRANGERS, LINES };

struct job {
    struct list node;
    struct login_pool *pool;
    bool is_new; /* hash it; else compare */
    char hash[LOGIN_HASH_TEXT];
    char secret[LOGIN_SECRET_MAX];
    size_t n_secret;
    enum login_result result;
    login_checked_fn *checked;
    login_hashed_fn *hashed;
    void *arg;
};

struct login_pool {
    void (*post)(void *arg, void (*fn)(void *), void *fn_arg);
    void *post_arg;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct {
        struct list jobs;
        unsigned n;
    } lines[LINES]; /* under lock */
    bool is_over;   /* under lock */
    pthread_t threads[LOGIN_THREADS];
};

static void job_free(struct job *j)
{
    login_wipe(j, sizeof(*j));
    mem_free(&j);
}

/* On the loop. */
static void tell(void *arg)
{
    struct job *j = arg;
    if (j->is_new)
        j->hashed(j->arg, j->result == LOGIN_MATCHES ? j->hash : NULL);
    else
        j->checked(j->arg, j->result);
    job_free(j);
}

static struct job *next_job(struct login_pool *p)
{
    struct job *j = NULL;
    pthread_mutex_lock(&p->lock);
    while (!p->is_over && p->lines[LINE_WELCOME].n + p->lines[LINE_STRANGERS].n == 0)
        pthread_cond_wait(&p->cond, &p->lock);
    for (int i = 0; i < LINES && !p->is_over && !j; i++)
        if (p->lines[i].n > 0) {
            j = container_of(list_pop(&p->lines[i].jobs), struct job, node);
            p->lines[i].n--;
        }
    pthread_mutex_unlock(&p->lock);
    return j;
}

/* Without memory for it nobody is let in, and nobody has guessed wrong. */
static void run(struct job *j)
{
    int failed;
    if (j->is_new) {
        failed =
            crypto_pwhash_str(j->hash, j->secret, j->n_secret, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                              crypto_pwhash_MEMLIMIT_INTERACTIVE);
        j->result = failed ? LOGIN_NOT_TRIED : LOGIN_MATCHES;
        return;
    }
    errno = 0;
    failed = crypto_pwhash_str_verify(j->hash, j->secret, j->n_secret);
    j->result = !failed ? LOGIN_MATCHES : errno == ENOMEM ? LOGIN_NOT_TRIED : LOGIN_DIFFERS;
}

static void *work(void *arg)
{
    struct login_pool *p = arg;
    for (struct job *j; (j = next_job(p));) {
        run(j);
        p->post(p->post_arg, tell, j);
    }
    return NULL;
}

struct login_pool *login_pool_create(void (*post)(void *arg, void (*fn)(void *), void *fn_arg),
                                     void *arg)
{
    struct login_pool *p = mem_new(sizeof(*p));
    p->post = post;
    p->post_arg = arg;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->cond, NULL);
    for (int i = 0; i < LINES; i++)
        list_init(&p->lines[i].jobs);
    for (int i = 0; i < LOGIN_THREADS; i++)
        must(pthread_create(&p->threads[i], NULL, work, p) == 0);
    return p;
}

void login_pool_destroy(struct login_pool **pool)
{
    struct login_pool *p = *pool;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_over = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < LOGIN_THREADS; i++)
        pthread_join(p->threads[i], NULL);
    for (int i = 0; i < LINES; i++)
        for (struct list *node; (node = list_pop(&p->lines[i].jobs));)
            tell(container_of(node, struct job, node));
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
    mem_free(pool);
}

static bool add(struct login_pool *p, int line, struct job *take_job)
{
    pthread_mutex_lock(&p->lock);
    bool has_room = p->lines[line].n < LOGIN_LINE_MAX;
    refuse_measure(REFUSE_LOGIN_BUSY, p->lines[line].n + 1, SLICE(""));
    if (has_room) {
        list_append(&p->lines[line].jobs, &take_job->node);
        p->lines[line].n++;
        pthread_cond_signal(&p->cond);
    }
    pthread_mutex_unlock(&p->lock);
    if (!has_room)
        job_free(take_job);
    return has_room;
}

bool login_pool_check(struct login_pool *p, const struct login_check *c, login_checked_fn *done,
                      void *arg)
{
    struct job *j = mem_new(sizeof(*j));
    *j = (struct job){.pool = p, .n_secret = c->n_secret, .checked = done, .arg = arg};
    list_init(&j->node);
    memcpy(j->hash, c->hash, sizeof(j->hash));
    memcpy(j->secret, c->secret, sizeof(j->secret));
    return add(p, c->is_welcome ? LINE_WELCOME : LINE_STRANGERS, j);
}

bool login_pool_hash(struct login_pool *p, struct slice password, login_hashed_fn *done, void *arg)
{
    struct job *j = mem_new(sizeof(*j));
    must(password.n <= sizeof(j->secret));
    *j =
        (struct job){.pool = p, .is_new = true, .n_secret = password.n, .hashed = done, .arg = arg};
    list_init(&j->node);
    if (password.n)
        memcpy(j->secret, password.p, password.n);
    return add(p, LINE_WELCOME, j);
}
