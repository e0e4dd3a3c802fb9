/* The server's life: start, ticks, a patient stop. */
#include "web/people_int.h"

#include <sys/socket.h>

/* Peers that are too slow with a request or an answer are hung up on; libmicrohttpd notices. */
static void hang_up(struct web_server *s, mono_us now)
{
    pthread_mutex_lock(&s->lock);
    LIST_FOREACH (node, &s->conns) {
        struct conn *k = container_of(node, struct conn, node);
        if (k->deadline == 0 || now < k->deadline)
            continue;
        (void)shutdown(k->fd, SHUT_RDWR);
        if (k->is_busy)
            (void)refuse(REFUSE_WEB_SLOW, slice_str(k->by));
        k->is_busy = false;
    }
    pthread_mutex_unlock(&s->lock);
}

static bool is_quiet(struct web_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool is = s->n_requests == 0 && s->people.n_requests == 0;
    pthread_mutex_unlock(&s->lock);
    return is;
}

/* Twice: first all that waits is answered, then the HTTP threads have had a moment to write it. */
static void finish_stop(struct web_server *s)
{
    core_close(s);
    if (!s->is_closing) {
        s->is_closing = true;
        return;
    }
    net_timer_stop(s->tick);
    http_stop(s);
    web_people_stop(s);
    s->done(s->done_arg);
}

static void on_tick(void *arg)
{
    struct web_server *s = arg;
    mono_us now = mono_now();
    core_tick(s, now);
    hang_up(s, now);
    net_timer_set(s->tick, MILLISECONDS(s->done ? TICK_MS / 5 : TICK_MS));
    if (s->done && (is_quiet(s) || now >= s->stop_at))
        finish_stop(s);
}

enum err web_create(struct net_loop *loop, const struct web_options *o, struct web_server **ret,
                    struct errinfo *ei)
{
    struct web_server *s = mem_new(sizeof(*s));
    s->loop = loop;
    s->o = *o;
    list_init(&s->conns);
    s->waiting = map_create();
    s->share = web_share_create(o->shared, o->door);
    pthread_mutex_init(&s->lock, NULL);
    s->tick = net_timer_create(loop, on_tick, s);
    net_timer_set(s->tick, MILLISECONDS(TICK_MS));
    web_people_init(s);
    s->o.certificate = s->o.key = SLICE("");
    enum err e = ERR_OK;
    if (o->certificate.n > 0) /* before anybody can shake hands */
        e = web_certificate(s, o->certificate, o->key, ei);
    if (e == ERR_OK && (!http_start(s, ei) || !web_people_start(s, ei)))
        e = ERR_IO;
    if (e != ERR_OK) {
        web_destroy(&s);
        return e;
    }
    *ret = s;
    return ERR_OK;
}

void web_limit(struct web_server *s, unsigned n_requests_max)
{
    pthread_mutex_lock(&s->lock);
    s->o.n_requests_max = n_requests_max;
    pthread_mutex_unlock(&s->lock);
}

static void refuse_new(struct web_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    web_stream_end_all(s, true); /* they would never end by themselves */
    pthread_mutex_unlock(&s->lock);
}

void web_stop(struct web_server *s, mono_us patience, void (*done)(void *arg), void *arg)
{
    must(!s->done);
    refuse_new(s);
    s->done = done;
    s->done_arg = arg;
    s->stop_at = mono_now() + patience;
    net_timer_set(s->tick, 0);
}

void web_destroy(struct web_server **address)
{
    struct web_server *s = *address;
    if (!s)
        return;
    refuse_new(s);
    core_close(s);
    http_stop(s);
    web_people_stop(s);
    if (s->people.is_posted) /* the HTTP threads, which are gone, have left it something */
        (void)net_loop_settle(s->loop);
    web_people_finish(s);
    net_timer_destroy(&s->tick);
    map_destroy(&s->waiting);
    web_share_destroy(&s->share);
    pthread_mutex_destroy(&s->lock);
    mem_free(address);
}
