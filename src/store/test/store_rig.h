/* A store over the simulated files with a model beside it: what was told to be durable must be
 * there byte for byte, and nothing that is there may be partial. For tests: include it in one file
 * of a program. */
#ifndef STORE_TEST_STORE_RIG_H
#define STORE_TEST_STORE_RIG_H

#include "store/store_int.h"

#include "index_fake.h"

#include <malloc.h>
#include <stdlib.h>

enum { RIG_MESSAGES = 400, RIG_BYTES = 4 << 20, RIG_SEGMENT = 4 << 20, RIG_TOLD = 64 };

struct rig_message {
    uint64_t id;
    size_t from, bytes; /* its bytes are a part of rig_pool */
    bool is_sent, is_told, is_ok, is_drop_sent, is_dropped;
    enum err err;
};

struct rig {
    struct fault *fault;
    struct store *s;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned n_flying;                         /* under lock: changes without an answer */
    struct rig_message messages[RIG_MESSAGES]; /* under lock */
    unsigned n;
    uint64_t next_id;
    char told[RIG_TOLD][64]; /* under lock: names of what the store told */
    unsigned n_told;
    mono_us snapshot_every; /* of the next start; 0: as usual */
    bool allows_refused;    /* after a power cut: refused for its sake, on the disk all the same */
    const char *wrong;      /* what the check found */
};

struct rig_change {
    struct store_change change;
    struct rig *rig;
    struct rig_message *message;
    struct buf facts;
    struct record_extent *ret_extent;
    bool *ret_ok;
};

static char *rig_pool; /* random bytes, filled once */

static void rig_tell(void *arg, enum event_class, const char *name, const char *)
{
    struct rig *r = arg;
    pthread_mutex_lock(&r->lock);
    if (r->n_told < RIG_TOLD)
        (void)snprintf(r->told[r->n_told++], 64, "%s", name);
    pthread_mutex_unlock(&r->lock);
}

__attribute__((unused)) static bool rig_was_told(struct rig *r, const char *name)
{
    bool result = false;
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < r->n_told; i++)
        result |= strcmp(r->told[i], name) == 0;
    pthread_mutex_unlock(&r->lock);
    return result;
}

static struct rig *rig_create(uint64_t seed)
{
    struct rig *r = mem_new(sizeof(*r));
    if (!rig_pool) {
        /* Files come and go by the megabyte: keep the pages. */
        (void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
        (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
        (void)mallopt(M_ARENA_MAX, 1);
        uint64_t x = 88172645463325252u;
        rig_pool = mem_new(RIG_BYTES);
        for (size_t i = 0; i < RIG_BYTES; i += 8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            memcpy(rig_pool + i, &x, 8);
        }
    }
    memset(fake_indexes, 0, sizeof(fake_indexes)); /* of a test that failed */
    fake_on_apply = NULL;
    r->fault = fake_fault = fault_create(seed);
    r->next_id = 1000;
    must(pthread_mutex_init(&r->lock, NULL) == 0);
    must(pthread_cond_init(&r->cond, NULL) == 0);
    return r;
}

static enum err rig_open(struct rig *r, struct errinfo *ei)
{
    struct store_options o = {
        .dir = "d",
        .files = &r->fault->files,
        .segment_bytes = RIG_SEGMENT,
        .n_pool = 1,
        .snapshot_every = r->snapshot_every,
        .tell = rig_tell,
        .tell_arg = r,
    };
    return store_open(&o, &r->s, ei);
}

static void rig_wait(struct rig *r, unsigned most)
{
    pthread_mutex_lock(&r->lock);
    while (r->n_flying > most)
        pthread_cond_wait(&r->cond, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

static void rig_close(struct rig *r)
{
    rig_wait(r, 0);
    store_close(&r->s);
}

static void rig_destroy(struct rig **address)
{
    struct rig *r = *address;
    store_close(&r->s);
    fault_destroy(&r->fault);
    pthread_cond_destroy(&r->cond);
    pthread_mutex_destroy(&r->lock);
    mem_free(address);
}

static void rig_done(struct store_change *change, enum err err, const struct errinfo *)
{
    struct rig_change *c = container_of(change, struct rig_change, change);
    struct rig *r = c->rig;
    pthread_mutex_lock(&r->lock);
    if (c->message && change->type == RECORD_MESSAGE) {
        c->message->is_told = true;
        c->message->is_ok = err == ERR_OK;
        c->message->err = err;
    }
    if (c->message && change->type == RECORD_DROPPED && err == ERR_OK)
        c->message->is_dropped = true;
    if (c->ret_extent && err == ERR_OK)
        *c->ret_extent = store_body_extent(change);
    if (c->ret_ok)
        *c->ret_ok = err == ERR_OK;
    r->n_flying--;
    pthread_cond_broadcast(&r->cond);
    pthread_mutex_unlock(&r->lock);
    buf_finish(&c->facts);
    mem_free(&c);
}

static struct rig_change *rig_change(struct rig *r, uint16_t type, uint64_t id)
{
    struct rig_change *c = mem_new(sizeof(*c));
    c->rig = r;
    c->facts = buf_make(64 << 10);
    c->change.type = type;
    c->change.id = id;
    c->change.done = rig_done;
    return c;
}

static void rig_submit(struct rig_change *c)
{
    must(!c->facts.failed);
    c->change.facts = buf_slice(&c->facts);
    pthread_mutex_lock(&c->rig->lock);
    c->rig->n_flying++;
    pthread_mutex_unlock(&c->rig->lock);
    store_submit(c->rig->s, &c->change);
}

/* Submits a message (the chunks of a large one are waited for); the answer comes later. */
__attribute__((unused)) static struct rig_message *rig_send(struct rig *r, size_t bytes)
{
    must(r->n < RIG_MESSAGES);
    struct rig_message *m = &r->messages[r->n++];
    struct record_extent chunks[8];
    struct record_message facts = {.chunks = chunks};
    size_t done = 0;
    *m = (struct rig_message){.id = ++r->next_id, .bytes = bytes};
    m->from = (size_t)(m->id * 7919 % (RIG_BYTES - bytes));
    while (bytes - done > STORE_INLINE_MAX) {
        bool is_ok = false;
        struct rig_change *c = rig_change(r, RECORD_CHUNK, m->id);
        c->change.body[0] = slice_of(rig_pool + m->from + done, STORE_CHUNK_BYTES);
        c->ret_extent = &chunks[facts.n_chunks++];
        c->ret_ok = &is_ok;
        rig_submit(c);
        rig_wait(r, 0);
        if (!is_ok)
            return m; /* its sender was told to come again: never sent */
        done += STORE_CHUNK_BYTES;
    }
    struct rig_change *c = rig_change(r, RECORD_MESSAGE, m->id);
    facts.id = m->id;
    facts.bytes = (uint32_t)bytes;
    record_message_pack(&c->facts, &facts);
    c->message = m;
    size_t third = (bytes - done) / 3;
    c->change.body[0] = slice_of(rig_pool + m->from + done, third);
    c->change.body[1] = slice_of(rig_pool + m->from + done + third, third);
    c->change.body[2] = slice_of(rig_pool + m->from + done + 2 * third, bytes - done - 2 * third);
    m->is_sent = true;
    rig_submit(c);
    return m;
}

__attribute__((unused)) static void rig_ids(struct rig *r, uint16_t type, struct rig_message *m,
                                            bool is_lazy)
{
    struct record_id id = {m->id};
    struct record_ids ids = {.ids = &id, .n_ids = 1};
    struct rig_change *c = rig_change(r, type, 0);
    record_ids_pack(&c->facts, &ids);
    c->message = m;
    c->change.is_lazy = is_lazy;
    m->is_drop_sent |= type == RECORD_DROPPED;
    rig_submit(c);
}

static struct rig_message *rig_find(struct rig *r, uint64_t id)
{
    for (unsigned i = 0; i < r->n; i++)
        if (r->messages[i].id == id)
            return &r->messages[i];
    return NULL;
}

static bool rig_body_is(struct rig *r, const struct rig_message *m, const struct fake_message *f)
{
    struct errinfo ei;
    SCOPED(buf_finish) struct buf b = buf_make(RIG_BYTES);
    enum err err = store_read_body(r->s, m->id, f->extents, f->n_extents, &b, &ei);
    if (err != ERR_OK) {
        fprintf(stderr, "message %llu: %s\n", (unsigned long long)m->id, ei.text);
        return false;
    }
    return b.n == m->bytes && memcmp(b.p, rig_pool + m->from, b.n) == 0;
}

/* Compares the store with the model; r->wrong says what is not as promised, or NULL. */
__attribute__((unused)) static bool rig_check(struct rig *r)
{
    struct errinfo ei;
    struct fake_state *s = mem_new(sizeof(*s));
    r->wrong = NULL;
    if (store_backlog(r->s).unapplied > 0) /* a clean end's mark is in the log, never applied */
        (void)store_wait_applied(r->s, store_figures(r->s).end - 1, SECONDS(10));
    if (fake_state_of("d/index/index.db", s, &ei) != ERR_OK)
        r->wrong = "no index";
    for (unsigned i = 0; i < r->n && !r->wrong; i++) {
        const struct rig_message *m = &r->messages[i];
        const struct fake_message *f = fake_find(s, m->id);
        if (m->is_ok && !f)
            r->wrong = "a message that was promised is not there";
        else if (m->is_told && !m->is_ok && f && !r->allows_refused)
            r->wrong = "a message that was refused is there";
        else if (m->is_dropped && f && !f->is_dropped)
            r->wrong = "a promised drop is not there";
    }
    for (uint32_t i = 0; i < s->n_messages && !r->wrong; i++) {
        const struct rig_message *m = rig_find(r, s->messages[i].id);
        if (!m || !m->is_sent)
            r->wrong = "a message that was never sent is there";
        else if (s->messages[i].is_dropped && !m->is_drop_sent)
            r->wrong = "a message is dropped that nobody dropped";
        else if (!s->messages[i].is_dropped && !rig_body_is(r, m, &s->messages[i]))
            r->wrong = "a message is partial, or other bytes";
    }
    mem_free(&s);
    return r->wrong == NULL;
}

__attribute__((unused)) static bool rig_is_ok(struct rig *r, const struct rig_message *m)
{
    pthread_mutex_lock(&r->lock);
    bool result = m->is_ok;
    pthread_mutex_unlock(&r->lock);
    return result;
}

/* The pool's thread has nothing to do any more: operations can be counted. */
__attribute__((unused)) static void rig_calm(struct rig *r)
{
    while (store_figures(r->s).n_pool == 0)
        (void)store_wait_applied(r->s, UINT64_MAX, MILLISECONDS(1));
}

/* What a message's place was, as far as the index knows. */
__attribute__((unused)) static struct fake_message rig_place(const struct rig_message *m)
{
    struct errinfo ei;
    struct fake_message result = {};
    struct fake_state *s = mem_new(sizeof(*s));
    if (fake_state_of("d/index/index.db", s, &ei) == ERR_OK && fake_find(s, m->id))
        result = *fake_find(s, m->id);
    mem_free(&s);
    return result;
}

#define RIG_OPEN(r)                                                                                \
    do {                                                                                           \
        struct errinfo open_ei = {};                                                               \
        if (rig_open((r), &open_ei) != ERR_OK)                                                     \
            fail_msg("%s", open_ei.text);                                                          \
    } while (0)
#define RIG_CHECK(r)                                                                               \
    do {                                                                                           \
        if (!rig_check(r))                                                                         \
            fail_msg("%s", (r)->wrong);                                                            \
    } while (0)

/* Scales the heavy tests: STORE_TEST_CUTS=all, or a number. */
__attribute__((unused)) static uint64_t rig_cuts(uint64_t usual)
{
    const char *text = getenv("STORE_TEST_CUTS");
    if (!text)
        return usual;
    return strcmp(text, "all") == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

#endif
