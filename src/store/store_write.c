/* The writing thread: what waits becomes a batch, a batch becomes durable, then everybody hears.
 *
 * There is no waiting on purpose: while one sync runs, the next batch gathers by itself, so one
 * sender pays one sync and two hundred share one. */
#include "store/store_int.h"

enum { FACTS_ALIGN = 8 };

static size_t change_bytes(const struct store_change *c)
{
    return SEGLOG_RECORD_HEAD + seglog_payload_bytes(c);
}

/* Under lock. */
static bool is_wake_due(const struct store *s, bool is_urgent)
{
    if (s->queue.is_corked)
        return false;
    return s->queue.writer == WRITER_SLEEPS || (s->queue.writer == WRITER_NAPS && is_urgent);
}

void store_cork(struct store *s)
{
    pthread_mutex_lock(&s->queue.lock);
    s->queue.is_corked = true;
    pthread_mutex_unlock(&s->queue.lock);
}

void store_uncork(struct store *s)
{
    pthread_mutex_lock(&s->queue.lock);
    s->queue.is_corked = false;
    bool must_wake = !list_empty(&s->queue.waiting) && is_wake_due(s, s->queue.n_urgent > 0);
    if (must_wake)
        s->queue.writer = WRITER_AWAKE;
    pthread_mutex_unlock(&s->queue.lock);
    if (must_wake)
        pthread_cond_signal(&s->queue.cond);
}

void store_submit(struct store *s, struct store_change *c)
{
    bool must_wake = false;
    must(!s->is_read_only);
    atomic_fetch_add(&s->waiting_bytes, change_bytes(c));
    atomic_fetch_add(&s->waiting_changes, 1);
    pthread_mutex_lock(&s->queue.lock);
    bool has_ended = s->queue.has_ended;
    s->queue.n_submitted++;
    if (has_ended || s->queue.is_closing) {
        list_append(&s->queue.late, &c->node);
        must_wake = true;
    } else {
        if (list_empty(&s->queue.waiting))
            s->queue.lazy_since = mono_now();
        list_append(&s->queue.waiting, &c->node);
        s->queue.n_urgent += c->is_lazy ? 0 : 1;
        must_wake = is_wake_due(s, !c->is_lazy);
        if (must_wake)
            s->queue.writer = WRITER_AWAKE; /* one wake is enough for all that follow */
    }
    pthread_mutex_unlock(&s->queue.lock);
    must(!has_ended); /* the store was closed under its users */
    if (must_wake)
        pthread_cond_signal(&s->queue.cond);
}

enum err store_wait_written(struct store *s, mono_us timeout)
{
    struct timespec until = store_deadline(mono_now() + timeout);
    int result = 0;
    pthread_mutex_lock(&s->queue.lock);
    uint64_t upto = s->queue.n_submitted;
    s->queue.n_urgent += !list_empty(&s->queue.waiting);
    bool must_wake = !list_empty(&s->queue.waiting) && is_wake_due(s, true);
    if (must_wake) {
        s->queue.writer = WRITER_AWAKE;
        pthread_cond_signal(&s->queue.cond);
    }
    while (atomic_load(&s->n_answered) < upto && result == 0)
        result = pthread_cond_timedwait(&s->queue.told, &s->queue.lock, &until);
    bool is_done = atomic_load(&s->n_answered) >= upto;
    pthread_mutex_unlock(&s->queue.lock);
    return is_done ? ERR_OK : ERR_RETRY;
}

struct store_backlog store_backlog(struct store *s)
{
    return (struct store_backlog){
        .bytes = atomic_load(&s->waiting_bytes),
        .changes = atomic_load(&s->waiting_changes),
        .unapplied = atomic_load(&s->unapplied),
    };
}

struct record_extent store_body_extent(const struct store_change *c)
{
    struct record_extent x = {.rec = c->pos};
    x.pos = c->pos + SEGLOG_RECORD_HEAD + 4 + c->facts.n;
    for (int i = 0; i < 3; i++)
        x.bytes += (uint32_t)c->body[i].n;
    return x;
}

/* ---- the thread ---- */

static void splice(struct list *from, struct list *to)
{
    for (struct list *node; (node = list_pop(from));)
        list_append(to, node);
}

/* Everything that waits, once something urgent does or the lazy ones have waited enough. False: the
 * store closes and nothing waits. */
static bool take_waiting(struct store *s, struct list *ret, struct list *ret_late)
{
    pthread_mutex_lock(&s->queue.lock);
    for (;;) {
        bool has_any = !list_empty(&s->queue.waiting);
        mono_us due = s->queue.lazy_since + MILLISECONDS(STORE_LAZY_MS);
        if (s->queue.is_closing || (has_any && (s->queue.n_urgent > 0 || mono_now() >= due)))
            break;
        s->queue.writer = has_any ? WRITER_NAPS : WRITER_SLEEPS;
        if (has_any) {
            struct timespec until = store_deadline(due);
            (void)pthread_cond_timedwait(&s->queue.cond, &s->queue.lock, &until);
        } else {
            pthread_cond_wait(&s->queue.cond, &s->queue.lock);
        }
        s->queue.writer = WRITER_AWAKE;
    }
    splice(&s->queue.waiting, ret);
    splice(&s->queue.late, ret_late);
    s->queue.n_urgent = 0;
    bool has_more = !list_empty(ret) || !list_empty(ret_late);
    s->queue.has_ended = !has_more;
    pthread_mutex_unlock(&s->queue.lock);
    return has_more;
}

static void answer(struct store *s, struct store_change *c, enum err err, const struct errinfo *ei)
{
    size_t bytes = change_bytes(c);
    c->done(c, err, ei); /* may free it */
    /* Only now: who ends waits until nothing is left, and what `done` posted must be there. */
    atomic_fetch_sub(&s->waiting_bytes, bytes);
    atomic_fetch_sub(&s->waiting_changes, 1);
    atomic_fetch_add(&s->n_answered, 1);
}

static void tell_answered(struct store *s)
{
    pthread_mutex_lock(&s->queue.lock);
    pthread_cond_broadcast(&s->queue.told);
    pthread_mutex_unlock(&s->queue.lock);
}

static void answer_all(struct store *s, struct list *changes, enum err err,
                       const struct errinfo *ei)
{
    for (struct list *node; (node = list_pop(changes));)
        answer(s, container_of(node, struct store_change, node), err, ei);
}

/* Copies what the index needs: the caller may free its change in `done`. */
static struct apply_block *make_block(const struct list *changes)
{
    size_t n = 0;
    size_t bytes = 0;
    LIST_FOREACH (node, changes) {
        n++;
        bytes += seglog_round(container_of(node, struct store_change, node)->facts.n, FACTS_ALIGN);
    }
    struct apply_block *b = mem_new(sizeof(*b) + n * sizeof(b->records[0]) + bytes);
    char *to = (char *)&b->records[n];
    list_init(&b->node);
    LIST_FOREACH (node, changes) {
        const struct store_change *c = container_of(node, struct store_change, node);
        struct index_record *r = &b->records[b->n++];
        *r = (struct index_record){.type = c->type, .id = c->id, .pos = c->pos};
        r->facts = slice_of(to, c->facts.n);
        if (c->facts.n > 0)
            memcpy(to, c->facts.p, c->facts.n);
        to += seglog_round(c->facts.n, FACTS_ALIGN);
        if (seglog_has_body(c->type)) {
            struct record_extent x = store_body_extent(c);
            r->body_pos = x.pos;
            r->body_bytes = x.bytes;
        }
    }
    b->bytes = sizeof(*b) + n * sizeof(b->records[0]) + bytes;
    return b;
}

/* Changes that no batch can hold, or that come too late for a damaged log. */
static enum err refuse_early(const struct store *s, const struct store_change *c,
                             struct errinfo *ei)
{
    if (s->found.is_damaged)
        return err_set(ei, ERR_CORRUPT, "the store is damaged and open for reading only: %.200s",
                       s->found.damage.text);
    if (seglog_payload_bytes(c) > STORE_RECORD_MAX)
        return err_set(ei, ERR_LIMIT, "a record of %zu bytes is too large",
                       seglog_payload_bytes(c));
    return ERR_OK;
}

/* Moves the changes from the front of `mine` that one batch takes. */
static void fill_batch(struct store *s, struct list *mine, struct list *ret)
{
    while (!list_empty(mine)) {
        struct store_change *c = container_of(mine->next, struct store_change, node);
        if (seglog_payload_bytes(c) > STORE_RECORD_MAX || !seglog_add(s->log, c))
            return;
        list_remove(&c->node);
        list_append(ret, &c->node);
    }
}

/* One batch from the front of `mine`; what cannot be in one is refused. */
static void write_one(struct store *s, struct list *mine)
{
    struct errinfo ei = {};
    struct list batch;
    struct store_change *first = container_of(mine->next, struct store_change, node);
    enum err err = refuse_early(s, first, &ei);
    list_init(&batch);
    if (err == ERR_OK) {
        store_apply_stall(s);
        err = seglog_begin(s->log, first, &ei);
    }
    if (err != ERR_OK) {
        list_remove(&first->node);
        answer(s, first, err, &ei);
        return;
    }
    fill_batch(s, mine, &batch);
    struct apply_block *block = make_block(&batch);
    err = seglog_commit(s->log, &ei);
    block->end = atomic_load(&s->log->end);
    if (err == ERR_OK)
        atomic_fetch_add(&s->unapplied, block->n); /* whoever hears can see that it is to come */
    /* From here on the batch is durable, or will never be read: senders may hear. They hear before
     * the index, because their waiting is what people feel. */
    answer_all(s, &batch, err, &ei);
    if (err == ERR_OK)
        store_apply_push(s, block);
    else
        mem_free(&block);
}

static void *writer_main(void *arg)
{
    struct store *s = arg;
    struct list mine;
    struct list late;
    struct errinfo ei;
    list_init(&mine);
    list_init(&late);
    (void)err_set(&ei, ERR_CANCELED, "the store is closing");
    while (take_waiting(s, &mine, &late)) {
        while (!list_empty(&mine)) {
            write_one(s, &mine);
            tell_answered(s);
        }
        answer_all(s, &late, ERR_CANCELED, &ei);
        tell_answered(s);
    }
    return NULL;
}

void store_writer_start(struct store *s)
{
    must(pthread_create(&s->queue.thread, NULL, writer_main, s) == 0);
}

void store_writer_stop(struct store *s)
{
    pthread_mutex_lock(&s->queue.lock);
    s->queue.is_closing = true;
    pthread_mutex_unlock(&s->queue.lock);
    pthread_cond_signal(&s->queue.cond);
    must(pthread_join(s->queue.thread, NULL) == 0);
}
