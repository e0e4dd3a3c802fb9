/* Event streams (RFC 8620 section 7.3). An idle one is a suspended connection: no thread, no timer
 * of its own. A wheel of seconds says when to look at it: is the client still there, is a ping due.
 * Core tells what changed for a person; each of the person's streams gets what it asked for. */
#include "web/people_int.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

enum { SPREAD_MOST = 10, SPREAD_EACH = 100 };

static int64_t second_of(mono_us now)
{
    return now / SECONDS(1);
}

/* ---- waking ---- */

static void wake(struct call *c)
{
    struct stream *st = c->stream;
    if (!st->is_asleep)
        return;
    st->is_asleep = false;
    web_guest_until(c->guest, mono_now() + WRITE_TIME); /* to take what there is */
    MHD_resume_connection(c->http);
}

static void finish(struct call *c)
{
    c->stream->is_ended = true;
    wake(c);
}

/* A client that takes nothing is given up: it comes again, and asks what it missed. */
static void tell(struct call *c, struct slice text)
{
    struct stream *st = c->stream;
    if (st->is_ended)
        return;
    if (!st->pending.max)
        st->pending = buf_make(STREAM_PENDING_MAX);
    buf_adds(&st->pending, text);
    if (st->pending.failed)
        finish(c);
    else
        wake(c);
}

/* ---- the wheel ---- */

static void look_later(struct web_server *s, struct stream *st, int64_t now)
{
    int64_t due = now + LOOK_TIME;
    if (st->ping_at > 0 && st->ping_at < due)
        due = st->ping_at;
    if (st->end_at > 0 && st->end_at < due)
        due = st->end_at;
    if (due <= now)
        due = now + 1;
    list_remove(&st->of_slot);
    list_append(&s->people.wheel[due % WHEEL], &st->of_slot);
}

/* Nobody reads from a suspended connection, so the kernel is asked. Closing for writing counts as
 * leaving: who waits for news for ever has nothing more to say, but stays connected. */
static bool is_there(const struct call *c)
{
    uint8_t state = 0;
    socklen_t n = sizeof(state);
    return getsockopt(c->guest->base.fd, IPPROTO_TCP, TCP_INFO, &state, &n) != 0 ||
           state == TCP_ESTABLISHED;
}

static void ping(struct call *c, int64_t now)
{
    char text[80];
    int n =
        snprintf(text, sizeof(text), "event: ping\ndata: {\"interval\":%u}\n\n", c->stream->ping);
    tell(c, slice_of(text, (size_t)n));
    c->stream->ping_at = now + c->stream->ping;
}

static void look(struct web_server *s, struct call *c, int64_t now)
{
    struct stream *st = c->stream;
    if ((st->end_at > 0 && now >= st->end_at) || !is_there(c)) {
        finish(c);
    } else if (st->ping_at > 0 && now >= st->ping_at) {
        ping(c, now);
    }
    look_later(s, st, now);
}

void web_stream_tick(struct web_server *s, mono_us now)
{
    struct people *p = &s->people;
    int64_t second = second_of(now);
    if (p->wheel_at < second - WHEEL)
        p->wheel_at = second - WHEEL;
    while (p->wheel_at < second) {
        struct list due, *node;
        p->wheel_at++;
        list_init(&due);
        while ((node = list_pop(&p->wheel[p->wheel_at % WHEEL])))
            list_append(&due, node);
        while ((node = list_pop(&due)))
            look(s, container_of(node, struct stream, of_slot)->call, second);
    }
}

/* ---- a stream's life ---- */

static struct watched *find(struct people *p, uint64_t person)
{
    struct watched *w = map_get(p->watched, KEY(person));
    if (!w) {
        w = mem_new(sizeof(*w));
        w->person = person;
        list_init(&w->streams);
        map_put(p->watched, KEY(person), w);
    }
    return w;
}

static void unwatch(struct web_server *s, uint64_t person, uint64_t tag)
{
    SCOPED(buf_finish) struct buf b = buf_make(100);
    struct ipc_unwatch u = {person};
    ipc_unwatch_pack(&b, &u);
    if (s->link)
        (void)!net_link_send(s->link, IPC_T_unwatch, tag, buf_slice(&b), SLICE(""));
}

/* The last stream of a person at this door is gone. */
static void forget(struct web_server *s, struct watched *w)
{
    unwatch(s, w->person, w->last_tag);
    (void)!map_del(s->people.watched, KEY(w->person));
    mem_free(&w);
}

/* May this person have one more, over all doors? Then it is counted. */
static bool enter(struct call *c, uint64_t person)
{
    struct web_server *s = c->server;
    unsigned set = s->people.is.n_streams_per_person, max = set ? set : 20;
    struct share_slot *slot = web_share_of_person(s->share, person);
    uint64_t n = web_share_enter(s->share, slot);
    refuse_measure(REFUSE_WEB_STREAMS, n, slice_str(c->client));
    if (n > max)
        web_share_leave(s->share, slot);
    return n <= max;
}

/* On the loop: what core tells next must find it. */
bool web_stream_begin(struct call *c, uint64_t person)
{
    struct web_server *s = c->server;
    struct people *p = &s->people;
    struct stream *st = c->stream;
    struct watched *w = find(p, person);
    int64_t now = second_of(mono_now());
    char text[40];
    uint16_t chance;
    w->last_tag = c->tag;
    if (!enter(c, person)) {
        if (w->n == 0) /* all of them are at other doors */
            forget(s, w);
        return false;
    }
    w->n++;
    p->n_streams++;
    st->call = c;
    st->watched = w;
    list_append(&w->streams, &st->of_person);
    /* Who is cut off together shall not come back together. */
    random_bytes(&chance, sizeof(chance));
    int n = snprintf(text, sizeof(text), "retry: %u\n\n", 2000 + chance % 6000u);
    tell(c, slice_of(text, (size_t)n));
    if (st->ping)
        ping(c, now); /* the first one says what the interval really is */
    look_later(s, st, now);
    return true;
}

void web_stream_end(struct call *c)
{
    struct stream *st = c->stream;
    struct watched *w = st->watched;
    list_remove(&st->of_slot);
    list_remove(&st->of_person);
    if (w) {
        c->server->people.n_streams--;
        web_share_leave(c->server->share, web_share_of_person(c->server->share, w->person));
        if (--w->n == 0)
            forget(c->server, w);
    }
    buf_finish(&st->pending);
    mem_free(&st->types);
    mem_free(&c->stream);
}

/* Core knows the watch by the call it came to last: its answers tell the order, tags do not, since
 * a log-in may take longer than the next one. */
void web_stream_late(struct web_server *s, uint64_t person, uint64_t tag)
{
    struct watched *w = map_get(s->people.watched, KEY(person));
    if (w)
        w->last_tag = tag;
    else
        unwatch(s, person, tag);
}

/* ---- what core tells ---- */

/* The same text for all that want the same. */
struct telling {
    struct slice state;
    const char *types; /* of `text`; NULL: none yet */
    bool is_wanted, is_nonsense;
    struct buf text;
};

static void filter(struct telling *t, const char *types)
{
    if (t->types && strcmp(t->types, types) == 0)
        return;
    t->types = types;
    buf_clear(&t->text);
    buf_adds(&t->text, SLICE("event: state\ndata: "));
    t->is_wanted = web_ask_filter(t->state, types, &t->text, &t->is_nonsense);
    buf_adds(&t->text, SLICE("\n\n"));
}

bool web_stream_changed(struct web_server *s, struct slice payload)
{
    struct ipc_changed changed;
    if (!ipc_changed_unpack(payload, NULL, &changed))
        return false;
    struct telling t = {.state = changed.state, .text = buf_make(STREAM_PENDING_MAX)};
    struct watched *w = map_get(s->people.watched, KEY(changed.person));
    filter(&t, "");
    for (struct list *at = w && !t.is_nonsense ? w->streams.next : NULL; at && at != &w->streams;
         at = at->next) {
        struct stream *st = container_of(at, struct stream, of_person);
        filter(&t, st->types);
        if (!t.is_wanted)
            continue;
        tell(st->call, buf_slice(&t.text));
        st->is_ended = st->is_ended || st->closes_after_state;
    }
    buf_finish(&t.text);
    return !t.is_nonsense;
}

bool web_stream_unwatch(struct web_server *s, struct slice payload)
{
    struct ipc_unwatch u;
    if (!ipc_unwatch_unpack(payload, NULL, &u))
        return false;
    struct watched *w = map_get(s->people.watched, KEY(u.person));
    for (struct list *at = w ? w->streams.next : NULL; at && at != &w->streams; at = at->next)
        finish(container_of(at, struct stream, of_person)->call);
    return true;
}

/* Core is gone, and with it who watches whom: the clients come again. Many do so in turn, since
 * each brings a TLS handshake and a log-in. */
void web_stream_end_all(struct web_server *s, bool is_stopping)
{
    struct people *p = &s->people;
    int64_t now = second_of(mono_now());
    unsigned spread = p->n_streams / SPREAD_EACH, n = 0;
    size_t at = 0;
    void *value;
    spread = spread < SPREAD_MOST ? spread : SPREAD_MOST;
    while (map_next(p->watched, &at, NULL, &value)) {
        struct watched *w = value;
        LIST_FOREACH (node, &w->streams) {
            struct stream *st = container_of(node, struct stream, of_person);
            st->end_at = now + n++ % (spread + 1);
            if (is_stopping || st->end_at == now)
                finish(st->call);
            else
                look_later(s, st, now);
        }
    }
}

/* ---- libmicrohttpd takes ---- */

static ssize_t on_read(void *arg, uint64_t, char *bytes, size_t max)
{
    struct call *c = arg;
    struct stream *st = c->stream;
    ssize_t n = 0;
    pthread_mutex_lock(&c->server->lock);
    if (st->pending.n > 0) {
        size_t all = st->pending.n < max ? st->pending.n : max;
        memcpy(bytes, st->pending.p, all);
        buf_drop(&st->pending, all);
        if (st->pending.n == 0)
            buf_finish(&st->pending); /* thousands are idle */
        n = (ssize_t)all;
    } else if (st->is_ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        st->is_asleep = true;
        web_guest_until(c->guest, 0);
        MHD_suspend_connection(c->http); /* before the lock goes: the next news may be here */
    }
    pthread_mutex_unlock(&c->server->lock);
    return n;
}

struct MHD_Response *web_stream_response(struct call *c)
{
    /* The kernel notices clients whose cable was pulled; pings alone would wait for a quarter of an
     * hour. */
    static const struct {
        int level, name, value;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, 120},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 30},
                   {IPPROTO_TCP, TCP_KEEPCNT, 4},
                   {IPPROTO_TCP, TCP_USER_TIMEOUT, 90000}};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(c->guest->base.fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value)); /* a socket that has none of it works as well */
    mem_free(&c->uri);
    c->phase = CALL_STREAMING;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 128, on_read, c, NULL);
}
