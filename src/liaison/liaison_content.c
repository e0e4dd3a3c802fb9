/* Messages that come in pieces before the work that needs them. What is held for works that wait
 * and run has one ceiling for the whole process: over it pieces are thrown away, and the work is
 * told so when it comes. */
#include "liaison/liaison_int.h"

#include <pthread.h>

#include "base/refuse.h"

enum { TAGS_MAX = 1000 };

struct piled {
    struct buf bytes;
    uint64_t tag;
    uint64_t n;      /* bytes that came */
    bool is_dropped; /* there was no room */
};
struct liaison_contents {
    pthread_mutex_t lock;
    struct map *by_tag; /* struct piled, under lock */
    atomic_size_t all;  /* also those that works have */
};

struct liaison_contents *liaison_contents_create(void)
{
    struct liaison_contents *c = mem_new(sizeof(*c));
    must(pthread_mutex_init(&c->lock, NULL) == 0);
    c->by_tag = map_create();
    return c;
}

static void piled_destroy(struct piled **p)
{
    buf_finish(&(*p)->bytes);
    mem_free(p);
}

static void drop(struct liaison_contents *c, struct piled *p)
{
    atomic_fetch_sub(&c->all, p->bytes.n);
    buf_finish(&p->bytes);
    p->is_dropped = true;
}

/* Under lock, but for the end. */
static void forget(struct liaison_contents *c)
{
    size_t at = 0;
    void *value;
    while (map_next(c->by_tag, &at, NULL, &value)) {
        struct piled *p = value;
        drop(c, p);
        piled_destroy(&p);
    }
    map_destroy(&c->by_tag);
    c->by_tag = map_create();
}

void liaison_contents_forget(struct liaison_contents *c)
{
    pthread_mutex_lock(&c->lock);
    forget(c);
    pthread_mutex_unlock(&c->lock);
}

void liaison_contents_destroy(struct liaison_contents **contents)
{
    struct liaison_contents *c = *contents;
    if (!c)
        return;
    forget(c);
    map_destroy(&c->by_tag);
    (void)pthread_mutex_destroy(&c->lock);
    mem_free(contents);
}

static bool add(struct liaison_contents *c, uint64_t tag, struct slice bytes)
{
    struct piled *p = map_get(c->by_tag, KEY(tag));
    if (!p && map_size(c->by_tag) == TAGS_MAX)
        return false;
    if (!p) {
        p = mem_new(sizeof(*p));
        p->bytes = buf_make(IPC_OP_CONTENT_MAX);
        (void)map_put(c->by_tag, KEY(tag), p);
    }
    if (bytes.n > IPC_OP_CONTENT_MAX - p->n)
        return false;
    p->n += bytes.n;
    if (!p->is_dropped && atomic_load(&c->all) + bytes.n > refuse_row(REFUSE_RETURN_BYTES)->limit)
        drop(c, p);
    if (p->is_dropped)
        return true;
    atomic_fetch_add(&c->all, bytes.n);
    buf_adds(&p->bytes, bytes);
    return true;
}

bool liaison_contents_add(struct liaison_contents *c, uint64_t tag, struct slice bytes)
{
    pthread_mutex_lock(&c->lock);
    bool is_good = add(c, tag, bytes);
    pthread_mutex_unlock(&c->lock);
    return is_good;
}

bool liaison_contents_take(struct liaison_contents *c, struct liaison_work *w, bool *ret_has_room)
{
    uint64_t tag = w->tag, n = 0;
    pthread_mutex_lock(&c->lock);
    struct piled *p = map_del(c->by_tag, KEY(tag));
    pthread_mutex_unlock(&c->lock);
    *ret_has_room = !p || !p->is_dropped;
    if (p) {
        n = p->n;
        w->content = p->bytes;
        w->all_bytes = &c->all;
        mem_free(&p);
    }
    return n == w->content_bytes || (w->may_lack_content && n == 0);
}
