/* For tests and fuzzing of the gate: the parts of net that it uses, without sockets, threads or
 * waiting; streams are in fake_stream.h. Whoever includes this gets these functions instead of
 * net's own. The promises are those of net/net.h. */
#ifndef SMTP_TEST_FAKE_NET_H
#define SMTP_TEST_FAKE_NET_H

#include "net/net.h"

struct net_timer {
    void (*fn)(void *arg);
    void *arg;
    bool is_set;
};

struct net_loop {
    struct list late;
};

struct net_listener {
    void (*fn)(void *arg, int fd, const struct sockaddr_storage *peer);
    void *arg;
    bool is_paused;
};

struct net_link {
    struct net_link_options o;
    bool is_closed;
};

/* What the gate sent over its links: a list of these. */
struct fake_frame {
    struct list node;
    uint16_t type;
    uint64_t tag;
    size_t n;
    char *payload;
};

static struct fake_net {
    struct net_link *link;         /* the one that is open */
    struct net_listener *listener; /* the last that was made */
    struct net_timer *timer;       /* the last that was made: the server's tick */
    struct list sent;              /* frames to core */
    size_t n_sent_bytes;
    size_t link_room; /* bytes the link takes before it is full */
} fake_net;

/* ---- loop ---- */

struct net_loop *net_loop_create(void)
{
    struct net_loop *l = mem_new(sizeof(*l));
    list_init(&l->late);
    return l;
}

void net_loop_destroy(struct net_loop **l)
{
    mem_free(l);
}

void net_loop_late(struct net_loop *l, struct net_late *late)
{
    if (list_empty(&late->node))
        list_append(&l->late, &late->node);
}

void net_loop_post(struct net_loop *l, void (*fn)(void *arg), void *arg)
{
    (void)l, (void)fn, (void)arg;
    must(!"no other threads here");
}

static inline void fake_turn(struct net_loop *l)
{
    for (struct list *node; (node = list_pop(&l->late));) {
        struct net_late *late = container_of(node, struct net_late, node);
        late->fn(late);
    }
}

struct net_timer *net_timer_create(struct net_loop *l, void (*fn)(void *arg), void *arg)
{
    struct net_timer *t = mem_new(sizeof(*t));
    (void)l;
    t->fn = fn;
    t->arg = arg;
    fake_net.timer = t;
    return t;
}

void net_timer_destroy(struct net_timer **t)
{
    if (*t == fake_net.timer)
        fake_net.timer = NULL;
    mem_free(t);
}

void net_timer_set(struct net_timer *t, mono_us from_now)
{
    (void)from_now;
    t->is_set = true;
}

/* The server's tick, whatever the time. */
static inline void fake_tick(struct net_loop *l)
{
    must(fake_net.timer && fake_net.timer->is_set);
    fake_net.timer->fn(fake_net.timer->arg);
    fake_turn(l);
}

/* ---- listener ---- */

struct net_listener *
net_listener_create(struct net_loop *l, int fd,
                    void (*fn)(void *arg, int fd, const struct sockaddr_storage *peer), void *arg)
{
    struct net_listener *li = mem_new(sizeof(*li));
    (void)l, (void)fd;
    li->fn = fn;
    li->arg = arg;
    fake_net.listener = li;
    return li;
}

void net_listener_pause(struct net_listener *li, bool is_paused)
{
    li->is_paused = is_paused;
}

void net_listener_destroy(struct net_listener **li)
{
    mem_free(li);
}

/* The only things about addresses that the gate asks for. */
size_t net_address_bytes(const struct sockaddr_storage *address, unsigned char ret[16])
{
    size_t n = *(const unsigned char *)address; /* see fake_address */
    memcpy(ret, (const unsigned char *)address + 1, n);
    return n;
}

/* ---- link ---- */

struct net_link *net_link_open(struct net_loop *l, int fd, const struct net_link_options *o)
{
    struct net_link *k = mem_new(sizeof(*k));
    (void)l, (void)fd;
    k->o = *o;
    must(!fake_net.link);
    fake_net.link = k;
    return k;
}

enum err net_link_send(struct net_link *k, uint16_t type, uint64_t tag, struct slice a,
                       struct slice b)
{
    size_t n = a.n + b.n;
    must(k == fake_net.link && n <= k->o.frame_max);
    if (n > fake_net.link_room)
        return ERR_FULL;
    struct fake_frame *f = mem_new(sizeof(*f));
    f->type = type;
    f->tag = tag;
    f->n = n;
    f->payload = mem_new(n);
    memcpy(f->payload, a.n ? a.p : "", a.n);
    memcpy(f->payload + a.n, b.n ? b.p : "", b.n);
    list_append(&fake_net.sent, &f->node);
    fake_net.n_sent_bytes += n;
    return ERR_OK;
}

static inline void fake_frame_free(struct fake_frame **f)
{
    fake_net.n_sent_bytes -= (*f)->n;
    list_remove(&(*f)->node);
    mem_free(&(*f)->payload);
    mem_free(f);
}

size_t net_link_queued(struct net_link *k)
{
    (void)k;
    return fake_net.n_sent_bytes;
}

void net_link_close(struct net_link **link)
{
    if (!*link)
        return;
    must(*link == fake_net.link);
    fake_net.link = NULL;
    LIST_FOREACH (node, &fake_net.sent) {
        struct fake_frame *f = container_of(node, struct fake_frame, node);
        fake_frame_free(&f);
    }
    mem_free(link);
}

/* A frame from core arrives; false: there is no link. The gate may close it meanwhile. */
static inline bool fake_link_say(uint16_t type, uint64_t tag, struct slice payload)
{
    struct net_link *k = fake_net.link;
    struct net_frame f = {.type = type, .tag = tag, .payload = payload, .fd = -1};
    if (k)
        k->o.frame(k->o.arg, k, &f);
    return k != NULL;
}

/* The other end of the link is gone. */
static inline void fake_link_cut(void)
{
    struct net_link *k = fake_net.link;
    if (k)
        k->o.closed(k->o.arg, k);
}

#endif
