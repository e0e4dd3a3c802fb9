/* The index thread: durable records become rows, a few milliseconds behind the log.
 *
 * The log is the truth, so nothing here decides whether a change counts: a crash anywhere loses
 * only work that recovery does again. When the index's disk refuses, the thread tries again each
 * second; the backlog then grows to its ceiling, and the writer stalls. */
#include "store/store_int.h"

enum { RETRY_S = 1 };

struct applied_waiter {
    struct list node;
    uint64_t pos;
    void (*fn)(void *arg);
    void *arg;
};

/* ---- from the writer ---- */

void store_apply_push(struct store *s, struct apply_block *take_block)
{
    struct apply_block *b = take_block;
    pthread_mutex_lock(&s->apply.lock);
    if (list_empty(&s->apply.blocks))
        s->apply.since = mono_now();
    list_append(&s->apply.blocks, &b->node);
    s->apply.n_records += b->n;
    s->apply.bytes += b->bytes;
    bool must_wake = s->apply.is_sleeping || s->apply.n_records >= STORE_APPLY_MANY;
    s->apply.is_sleeping = false;
    pthread_mutex_unlock(&s->apply.lock);
    if (must_wake)
        pthread_cond_signal(&s->apply.cond);
}

void store_apply_stall(struct store *s)
{
    if (atomic_load(&s->unapplied) == 0)
        return;
    pthread_mutex_lock(&s->apply.lock);
    while (!s->apply.is_draining &&
           (s->apply.n_records > STORE_UNAPPLIED_RECORDS || s->apply.bytes > STORE_UNAPPLIED_BYTES))
        pthread_cond_wait(&s->apply.moved, &s->apply.lock);
    pthread_mutex_unlock(&s->apply.lock);
}

void store_apply_drain(struct store *s)
{
    pthread_mutex_lock(&s->apply.lock);
    s->apply.is_draining = true;
    pthread_cond_broadcast(&s->apply.moved);
    pthread_mutex_unlock(&s->apply.lock);
}

/* ---- for those who wait ---- */

void store_when_applied(struct store *s, uint64_t pos, void (*fn)(void *arg), void *arg)
{
    struct applied_waiter *w = NULL;
    pthread_mutex_lock(&s->apply.lock);
    if (atomic_load(&s->applied) <= pos) {
        w = mem_new(sizeof(*w));
        *w = (struct applied_waiter){.pos = pos, .fn = fn, .arg = arg};
        list_append(&s->apply.waiters, &w->node);
    }
    pthread_mutex_unlock(&s->apply.lock);
    if (w)
        pthread_cond_signal(&s->apply.cond);
    else
        fn(arg);
}

enum err store_wait_applied(struct store *s, uint64_t pos, mono_us timeout)
{
    struct timespec until = store_deadline(mono_now() + timeout);
    int result = 0;
    pthread_mutex_lock(&s->apply.lock);
    s->apply.n_hurry++;
    if (atomic_load(&s->applied) <= pos)
        pthread_cond_signal(&s->apply.cond);
    while (atomic_load(&s->applied) <= pos && result == 0)
        result = pthread_cond_timedwait(&s->apply.moved, &s->apply.lock, &until);
    s->apply.n_hurry--;
    bool is_there = atomic_load(&s->applied) > pos;
    pthread_mutex_unlock(&s->apply.lock);
    return is_there ? ERR_OK : ERR_RETRY;
}

enum err store_checkpoint(struct store *s, struct errinfo *ei)
{
    pthread_mutex_lock(&s->apply.lock);
    s->apply.wants_checkpoint = true;
    pthread_cond_signal(&s->apply.cond);
    while (s->apply.wants_checkpoint && !s->apply.is_draining)
        pthread_cond_wait(&s->apply.moved, &s->apply.lock);
    enum err err = s->apply.wants_checkpoint ? ERR_CANCELED : s->apply.checkpoint;
    *ei = s->apply.checkpoint_ei;
    pthread_mutex_unlock(&s->apply.lock);
    return err;
}

/* ---- the thread ---- */

/* Under lock, which it leaves meanwhile. */
static void do_checkpoint(struct store *s)
{
    struct errinfo ei = {};
    pthread_mutex_unlock(&s->apply.lock);
    enum err err = index_checkpoint(s->index, &ei);
    pthread_mutex_lock(&s->apply.lock);
    s->apply.checkpoint = err == ERR_RETRY ? ERR_OK : err; /* synced all the same */
    s->apply.checkpoint_ei = ei;
    s->apply.wants_checkpoint = false;
    pthread_cond_broadcast(&s->apply.moved);
}

/* Under lock. */
static mono_us time_to_apply(const struct store *s)
{
    bool is_busy = s->apply.n_records >= STORE_APPLY_BUSY;
    return s->apply.since + MILLISECONDS(is_busy ? STORE_APPLY_BUSY_MS : STORE_APPLY_MS);
}

/* Under lock. */
static bool is_time_to_apply(const struct store *s)
{
    return s->apply.is_closing || s->apply.n_hurry > 0 || !list_empty(&s->apply.waiters) ||
           s->apply.n_records >= STORE_APPLY_MANY || mono_now() >= time_to_apply(s);
}

/* Blocks for the next transaction; false: the store closes and there are none. */
static bool take_blocks(struct store *s, struct list *ret)
{
    size_t n = 0;
    pthread_mutex_lock(&s->apply.lock);
    for (;;) {
        bool is_empty = list_empty(&s->apply.blocks);
        if (s->apply.wants_checkpoint)
            do_checkpoint(s);
        else if (is_empty ? s->apply.is_closing : is_time_to_apply(s))
            break;
        else if (is_empty) {
            s->apply.is_sleeping = true;
            pthread_cond_wait(&s->apply.cond, &s->apply.lock);
            s->apply.is_sleeping = false;
        } else {
            struct timespec until = store_deadline(time_to_apply(s));
            (void)pthread_cond_timedwait(&s->apply.cond, &s->apply.lock, &until);
        }
    }
    while (n < STORE_APPLY_MOST && !list_empty(&s->apply.blocks)) {
        struct list *node = list_pop(&s->apply.blocks);
        n += container_of(node, struct apply_block, node)->n;
        list_append(ret, node);
    }
    s->apply.since = mono_now();
    pthread_mutex_unlock(&s->apply.lock);
    return n > 0;
}

struct aside_change {
    struct store_change change;
    struct buf facts;
};

static void aside_done(struct store_change *c, enum err, const struct errinfo *)
{
    struct aside_change *a = container_of(c, struct aside_change, change);
    buf_finish(&a->facts); /* the file in aside/ is what keeps it; this was the note of it */
    mem_free(&a);
}

/* A record that no writer could have let through: its place in the log stays, people are told. */
static void set_aside(struct store *s, const struct index_record *r, const struct errinfo *why)
{
    struct errinfo ei = {};
    if (store_is_aside(s, r->pos)) /* the transaction is being tried again */
        return;
    if (store_put_aside(s, r->pos, why->text, &ei) != ERR_OK)
        store_tell(s, EVENT_ALARM, "store.aside_failed", "%s", ei.text);
    struct aside_change *a = mem_new(sizeof(*a));
    a->facts = buf_make(1000);
    store_aside_facts(r->type, r->id, r->pos, why->text, &a->facts);
    a->change.type = RECORD_ASIDE;
    a->change.facts = buf_slice(&a->facts);
    a->change.done = aside_done;
    store_submit(s, &a->change);
}

static enum err apply_blocks(struct store *s, const struct list *blocks, struct errinfo *ei)
{
    uint64_t end = 0;
    enum err err = index_begin(s->index, ei);
    LIST_FOREACH (node, blocks) {
        const struct apply_block *b = container_of(node, struct apply_block, node);
        for (size_t i = 0; i < b->n && err == ERR_OK; i++) {
            err = index_apply(s->index, &b->records[i], ei);
            if (err == ERR_CORRUPT) {
                set_aside(s, &b->records[i], ei);
                err = ERR_OK;
            }
        }
        end = b->end;
    }
    if (err == ERR_OK)
        err = index_commit(s->index, end, ei);
    if (err != ERR_OK)
        index_abort(s->index);
    return err;
}

/* Until it is done or the store closes: then recovery does it. */
static bool apply_stubbornly(struct store *s, const struct list *blocks)
{
    struct errinfo ei = {};
    bool is_told = false;
    while (apply_blocks(s, blocks, &ei) != ERR_OK) {
        if (!is_told)
            store_tell(s, EVENT_ALARM, "store.index_failed",
                       "the index cannot be written (%s); it is tried again, and mail is accepted "
                       "until too much waits",
                       ei.text);
        is_told = true;
        struct timespec until = store_deadline(mono_now() + SECONDS(RETRY_S));
        pthread_mutex_lock(&s->apply.lock);
        while (!s->apply.is_closing &&
               pthread_cond_timedwait(&s->apply.cond, &s->apply.lock, &until) == 0)
            ;
        bool is_closing = s->apply.is_closing;
        pthread_mutex_unlock(&s->apply.lock);
        if (is_closing)
            return false;
    }
    return true;
}

static void note_applied(struct store *s, const struct list *blocks)
{
    struct list due;
    list_init(&due);
    pthread_mutex_lock(&s->apply.lock);
    LIST_FOREACH (node, blocks) {
        const struct apply_block *b = container_of(node, struct apply_block, node);
        s->apply.n_records -= b->n;
        s->apply.bytes -= b->bytes;
        atomic_store(&s->applied, b->end);
        atomic_fetch_sub(&s->unapplied, b->n);
    }
    LIST_FOREACH (node, &s->apply.waiters) {
        if (container_of(node, struct applied_waiter, node)->pos >= atomic_load(&s->applied))
            continue;
        list_remove(node);
        list_append(&due, node);
    }
    pthread_cond_broadcast(&s->apply.moved);
    pthread_mutex_unlock(&s->apply.lock);
    for (struct list *node; (node = list_pop(&due));) {
        struct applied_waiter *w = container_of(node, struct applied_waiter, node);
        w->fn(w->arg);
        mem_free(&w);
    }
}

static void free_blocks(struct list *blocks)
{
    for (struct list *node; (node = list_pop(blocks));) {
        struct apply_block *b = container_of(node, struct apply_block, node);
        mem_free(&b);
    }
}

static void *apply_main(void *arg)
{
    struct store *s = arg;
    struct list blocks;
    list_init(&blocks);
    while (take_blocks(s, &blocks)) {
        bool is_applied = apply_stubbornly(s, &blocks);
        if (is_applied)
            note_applied(s, &blocks);
        free_blocks(&blocks);
        if (!is_applied)
            break;
    }
    return NULL;
}

void store_apply_start(struct store *s)
{
    must(pthread_create(&s->apply.thread, NULL, apply_main, s) == 0);
}

void store_apply_stop(struct store *s)
{
    pthread_mutex_lock(&s->apply.lock);
    s->apply.is_closing = true;
    pthread_cond_signal(&s->apply.cond);
    pthread_cond_broadcast(&s->apply.moved);
    pthread_mutex_unlock(&s->apply.lock);
    must(pthread_join(s->apply.thread, NULL) == 0);
}

void store_apply_free(struct store *s)
{
    free_blocks(&s->apply.blocks);
    for (struct list *node; (node = list_pop(&s->apply.waiters));) {
        struct applied_waiter *w = container_of(node, struct applied_waiter, node);
        mem_free(&w);
    }
}
