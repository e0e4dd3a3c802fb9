/* A person's request and core: asking, taking the answer, deadlines, what happens when core is
 * away. All of it under the server's lock. */
#include "web/people_int.h"

#include "base/log.h"

#include <stdio.h>

/* ---- ending ---- */

/* A check that went well is no answer yet: that of the call comes later. */
static void forget_answer(struct call *c)
{
    mem_free(&c->type);
    mem_free(&c->cookie);
    web_call_release(c, c->answer.n);
    buf_finish(&c->answer);
}

void web_call_finish(struct call *c)
{
    bool is_checked = c->phase == CALL_CHECKING && !c->refused && c->status == 204;
    (void)!map_del(c->server->people.calls, KEY(c->tag));
    list_remove(&c->upload);
    web_call_release(c, c->n_held - c->answer.n); /* an upload: core has taken it, or not */
    if (is_checked)
        forget_answer(c);
    c->phase = is_checked ? CALL_CHECKED : CALL_ANSWERED;
    web_guest_until(c->guest, mono_now() + WRITE_TIME + SECONDS(c->answer.n / RATE));
    MHD_resume_connection(c->http);
}

static void refuse_waiting(struct call *c, enum refusal why)
{
    web_call_refuse(c, why);
    web_call_finish(c);
}

void web_call_drop(struct call *c)
{
    struct web_server *s = c->server;
    if (!list_empty(&c->upload) && s->link)
        (void)!net_link_send(s->link, IPC_T_drop, c->tag, SLICE(""), SLICE(""));
    list_remove(&c->upload);
    web_call_release(c, c->n_held - c->answer.n); /* what core had of it, and the body */
    buf_finish(&c->body);
}

/* ---- asking ---- */

static struct slice header(const struct call *c, const char *name)
{
    return slice_str(MHD_lookup_connection_value(c->http, MHD_HEADER_KIND, name));
}

static struct slice first(struct slice s, size_t n)
{
    return slice_of(s.p, s.n < n ? s.n : n);
}

/* How we were called. The settings win; a proxy's word counts, then the request's own. */
static bool add_origin(const struct call *c, struct buf *ret)
{
    const struct web_people *is = &c->server->people.is;
    bool is_proxied = web_ask_is_proxy(is, &c->guest->from);
    struct slice host = header(c, "Host");
    bool has_tls = c->guest->has_tls;
    if (is->url[0]) {
        buf_adds(ret, slice_str(is->url));
        return true;
    }
    if (is_proxied && header(c, "X-Forwarded-Host").n > 0)
        host = header(c, "X-Forwarded-Host");
    if (is_proxied && header(c, "X-Forwarded-Proto").n > 0)
        has_tls = slice_ieq(header(c, "X-Forwarded-Proto"), SLICE("https"));
    buf_adds(ret, has_tls ? SLICE("https://") : SLICE("http://"));
    return web_ask_host(host, ret);
}

static struct slice type_of(const struct call *c, const struct stream *stream)
{
    if (stream)
        return slice_str(stream->types);
    struct slice type = header(c, "Content-Type");
    return type.n <= 255 && web_ask_type_is_valid(type) ? type : SLICE("application/octet-stream");
}

static bool pack(const struct call *c, enum ipc_call_kind kind, struct buf *ret)
{
    SCOPED(buf_finish) struct buf origin = buf_make(300);
    struct slice cookie = web_ask_cookie(header(c, "Cookie"), COOKIE);
    struct ipc_call q = {
        .kind = (uint8_t)kind,
        .account = c->path.account,
        .blob = c->path.blob,
        .type = type_of(c, c->stream),
        .authorization = header(c, "Authorization"),
        .cookie = cookie.n <= 200 && web_ask_cookie_is_clean(cookie) ? cookie : SLICE(""),
        .csrf = first(header(c, "X-CSRF"), 100),
        .from_origin = first(header(c, "Origin"), 300),
        .client = slice_str(c->client),
        .agent = first(header(c, "User-Agent"), 300),
        .bytes = kind == IPC_CALL_CHECK ? 0 : (uint32_t)c->n_received,
    };
    if (!add_origin(c, &origin))
        return false;
    q.origin = buf_slice(&origin);
    ipc_call_pack(ret, &q);
    return !ret->failed;
}

static bool send_body(struct net_link *link, const struct call *c)
{
    struct slice rest = buf_slice(&c->body);
    while (rest.n > 0) {
        size_t n = rest.n < IPC_CONTENT_MAX ? rest.n : IPC_CONTENT_MAX;
        if (net_link_send(link, IPC_T_content, c->tag, slice_of(rest.p, n), SLICE("")) != ERR_OK)
            return false;
        rest = slice_skip(rest, n);
    }
    return true;
}

bool web_call_ask(struct call *c, enum ipc_call_kind kind)
{
    struct web_server *s = c->server;
    SCOPED(buf_finish) struct buf b = buf_make(16 << 10);
    if (c->refused) { /* while its body came in; or the core that has half of it is gone since */
        web_call_refuse(c, c->refused);
        return false;
    }
    if (!pack(c, kind, &b)) {
        web_call_refuse(c, BAD_HOST);
        return false;
    }
    size_t need = c->body.n + b.n + (c->body.n / IPC_CONTENT_MAX + 2) * 16;
    if (!s->link || s->is_stopping || net_link_queued(s->link) + need > LINK_QUEUE) {
        web_call_refuse(c, CORE_AWAY);
        return false;
    }
    if (list_empty(&c->upload))
        c->tag = ++s->last_tag; /* else its bytes are there already, with their tag */
    if (!send_body(s->link, c) ||
        net_link_send(s->link, IPC_T_call, c->tag, buf_slice(&b), SLICE("")) != ERR_OK) {
        web_call_refuse(c, CORE_AWAY); /* the link is about to be told that it is gone */
        return false;
    }
    list_remove(&c->upload); /* core has the call: nothing to take back */
    if (c->body.n > 0)
        web_call_release(c, c->body.n);
    buf_finish(&c->body);
    c->phase = kind == IPC_CALL_CHECK ? CALL_CHECKING : CALL_WAITING;
    c->deadline = mono_now() + (s->people.is.timeout ? s->people.is.timeout : SECONDS(60));
    web_guest_until(c->guest, 0);
    map_put(s->people.calls, KEY(c->tag), c);
    return true;
}

bool web_call_send_piece(struct call *c, struct slice bytes)
{
    struct web_server *s = c->server;
    if (!s->link || s->is_stopping) {
        c->refused = CORE_AWAY;
        return false;
    }
    if (net_link_queued(s->link) > PACE_BYTES)
        return false;
    if (list_empty(&c->upload)) {
        c->tag = ++s->last_tag;
        list_append(&s->people.uploads, &c->upload);
    }
    web_call_hold(c, bytes.n);
    c->n_received += bytes.n;
    while (bytes.n > 0) {
        size_t n = bytes.n < IPC_CONTENT_MAX ? bytes.n : IPC_CONTENT_MAX;
        if (net_link_send(s->link, IPC_T_content, c->tag, slice_of(bytes.p, n), SLICE("")) !=
            ERR_OK) {
            c->refused = CORE_AWAY;
            return false;
        }
        bytes = slice_skip(bytes, n);
    }
    return true;
}

/* The pause was ours: it is no time of the client's. */
void web_call_go_on(struct call *c)
{
    mono_us now = mono_now();
    c->phase = CALL_READING;
    c->begun_at += now - c->paused_at;
    web_guest_until(c->guest, now + READ_TIME);
    MHD_resume_connection(c->http);
}

/* ---- answers ---- */

/* False: nonsense. */
static bool take_content(struct call *c, struct slice bytes)
{
    if (bytes.n == 0 || bytes.n > IPC_CONTENT_MAX || c->answer.n + bytes.n > WEB_DOWNLOAD_MAX)
        return false;
    enum refusal why = web_call_room(c, bytes.n);
    if (why) {
        refuse_waiting(c, why); /* what is still to come is for nobody */
        return true;
    }
    if (!c->answer.max)
        c->answer = buf_make(WEB_DOWNLOAD_MAX);
    buf_adds(&c->answer, bytes);
    web_call_hold(c, bytes.n);
    return true;
}

/* What becomes a header may hold nothing that begins another one. */
static bool is_printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return true;
}

static bool is_watch(const struct call *c, const struct ipc_called *a)
{
    return c->path.route->call == IPC_CALL_WATCH && a->status == 200;
}

static bool is_sane(const struct call *c, const struct ipc_called *a)
{
    return a->bytes == c->answer.n && a->status >= 200 && a->status <= 599 &&
           is_printable(a->type) && (!is_watch(c, a) || (a->person != 0 && a->bytes == 0)) &&
           (a->set_cookie.n == 0 || web_ask_cookie_is_clean(a->set_cookie));
}

static bool take_called(struct call *c, struct slice payload)
{
    struct ipc_called a;
    SCOPED(arena_destroy) struct arena *arena = arena_create(4096);
    if (!ipc_called_unpack(payload, arena, &a) || !is_sane(c, &a))
        return false;
    c->status = a.status;
    c->has_challenge = a.has_challenge;
    c->retry_after = a.retry_after;
    c->cookie_seconds = a.cookie_seconds;
    c->n_steps = (uint8_t)a.n_steps;
    for (uint32_t i = 0; i < a.n_steps; i++)
        c->steps[i] = a.steps[i];
    if (a.type.n > 0)
        c->type = mem_str(arena_cstr(arena, a.type));
    if (a.set_cookie.n > 0)
        c->cookie = mem_str(arena_cstr(arena, a.set_cookie));
    c->server->people.n_answered++;
    if (!is_watch(c, &a) || web_stream_begin(c, a.person))
        web_call_finish(c);
    else
        refuse_waiting(c, TOO_MANY_STREAMS);
    return true;
}

bool web_call_take(struct call *c, const struct net_frame *f)
{
    if (f->type == IPC_T_content)
        return take_content(c, f->payload);
    return f->type == IPC_T_called && take_called(c, f->payload);
}

/* Its asker was answered without core. If it was a watch, nobody hears what core would tell. */
bool web_call_take_late(struct web_server *s, const struct net_frame *f)
{
    struct ipc_called a;
    SCOPED(arena_destroy) struct arena *arena = arena_create(4096);
    if (f->type != IPC_T_called)
        return true;
    if (!ipc_called_unpack(f->payload, arena, &a))
        return false;
    if (a.person != 0 && a.status == 200 && a.bytes == 0 && a.set_cookie.n == 0)
        web_stream_late(s, a.person, f->tag);
    return true;
}

/* ---- time, and core's end ---- */

void web_call_tick(struct web_server *s, mono_us now)
{
    size_t at = 0;
    void *value;
    while (map_next(s->people.calls, &at, NULL, &value)) {
        struct call *c = value;
        if (now >= c->deadline)
            refuse_waiting(c, CORE_SLOW);
    }
}

void web_call_close_all(struct web_server *s)
{
    size_t at = 0;
    void *value;
    while (map_next(s->people.calls, &at, NULL, &value))
        refuse_waiting(value, CORE_AWAY);
    /* Half an upload is of no use to the next core. */
    LIST_FOREACH (node, &s->people.uploads) {
        struct call *c = container_of(node, struct call, upload);
        c->refused = CORE_AWAY;
        list_remove(&c->upload);
        if (c->phase == CALL_PAUSED)
            web_call_go_on(c);
    }
}
