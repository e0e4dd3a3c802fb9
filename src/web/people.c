/* HTTP for people, on libmicrohttpd's threads: connections, taking requests in. */
#include "web/people_int.h"

#include <netinet/in.h>
#include <stdio.h>

enum { DISCARD_MAX = 1 << 20 };

/* ---- connections ---- */

/* Only who has a deadline is looked at by the tick: idle streams are many. */
void web_guest_until(struct guest *g, mono_us deadline)
{
    g->base.deadline = deadline;
    if (deadline == 0)
        list_remove(&g->base.node);
    else if (list_empty(&g->base.node))
        list_append(&g->server->conns, &g->base.node);
}

static struct sockaddr_storage address_of(const struct sockaddr *a)
{
    struct sockaddr_storage address = {};
    if (a && a->sa_family == AF_INET)
        memcpy(&address, a, sizeof(struct sockaddr_in));
    else if (a && a->sa_family == AF_INET6)
        memcpy(&address, a, sizeof(struct sockaddr_in6));
    return address;
}

/* One more connection? Proxies carry many people. */
static enum MHD_Result on_accept(void *arg, const struct sockaddr *a, socklen_t)
{
    struct web_server *s = arg;
    struct people *p = &s->people;
    struct sockaddr_storage from = address_of(a);
    char text[64];
    net_address_text(&from, text);
    pthread_mutex_lock(&s->lock);
    unsigned max = p->is.n_conns_max ? p->is.n_conns_max : 20000;
    unsigned max_each = p->is.n_conns_per_address ? p->is.n_conns_per_address : 1000;
    uint64_t n_all = web_share_total(s->share, SHARE_CONNS, p->n_conns) + 1;
    uint64_t n_each = web_share_count(web_share_of_address(s->share, SHARE_CONN, &from)) + 1;
    bool has_limit = !web_ask_is_proxy(&p->is, &from);
    pthread_mutex_unlock(&s->lock);
    refuse_measure(REFUSE_WEB_CONN_TOTAL, n_all, slice_str(text));
    if (has_limit)
        refuse_measure(REFUSE_WEB_CONN_ADDRESS, n_each, slice_str(text));
    if (n_all > max)
        (void)refuse(REFUSE_WEB_CONN_TOTAL, slice_str(text));
    else if (has_limit && n_each > max_each)
        (void)refuse(REFUSE_WEB_CONN_ADDRESS, slice_str(text));
    else
        return MHD_YES;
    return MHD_NO;
}

static void open_guest(struct web_server *s, struct MHD_Connection *http, bool has_tls,
                       void **context)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct guest *g = mem_new(sizeof(*g));
    list_init(&g->base.node);
    g->base.fd = fd ? fd->connect_fd : -1;
    g->server = s;
    g->has_tls = has_tls;
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    g->from = address_of(address ? address->client_addr : NULL);
    net_address_text(&g->from, g->base.by);
    pthread_mutex_lock(&s->lock);
    g->slot = web_share_of_address(s->share, SHARE_CONN, &g->from);
    (void)web_share_enter(s->share, g->slot);
    (void)web_share_total(s->share, SHARE_CONNS, ++s->people.n_conns);
    web_guest_until(g, mono_now() + READ_TIME);
    pthread_mutex_unlock(&s->lock);
    *context = g;
}

static void close_guest(struct web_server *s, void **context)
{
    struct guest *g = *context;
    if (!g)
        return;
    pthread_mutex_lock(&s->lock);
    list_remove(&g->base.node);
    web_share_leave(s->share, g->slot);
    (void)web_share_total(s->share, SHARE_CONNS, --s->people.n_conns);
    pthread_mutex_unlock(&s->lock);
    mem_free(&g);
    *context = NULL;
}

static void on_plain_conn(void *arg, struct MHD_Connection *http, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_guest(arg, http, false, context);
    else
        close_guest(arg, context);
}

static void on_tls_conn(void *arg, struct MHD_Connection *http, void **context,
                        enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_guest(arg, http, true, context);
    else
        close_guest(arg, context);
}

/* ---- a request's beginning and end ---- */

/* The time to stay idle is over; that of the request begins. */
static void begin(struct call *c)
{
    pthread_mutex_lock(&c->server->lock);
    c->begun_at = mono_now();
    c->guest->base.is_busy = true;
    web_guest_until(c->guest, c->begun_at + READ_TIME);
    pthread_mutex_unlock(&c->server->lock);
}

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *http)
{
    const union MHD_ConnectionInfo *context =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct call *c = mem_new(sizeof(*c));
    c->server = arg;
    c->http = http;
    c->guest = context->socket_context;
    c->uri = strlen(uri) <= PATH_BYTES + QUERY_BYTES ? mem_str(uri) : NULL;
    list_init(&c->upload);
    net_address_text(&c->guest->from, c->client);
    begin(c);
    return c;
}

/* Under lock. Streams are not counted among the requests. */
static void uncount(struct call *c)
{
    if (!c->is_counted)
        return;
    c->is_counted = false;
    web_share_leave(c->server->share, c->slot);
    (void)web_share_total(c->server->share, SHARE_REQUESTS, --c->server->people.n_requests);
}

static void on_completed(void *arg, struct MHD_Connection *, void **work,
                         enum MHD_RequestTerminationCode)
{
    struct web_server *s = arg;
    struct call *c = *work;
    if (!c)
        return;
    pthread_mutex_lock(&s->lock);
    must(c->phase != CALL_WAITING && c->phase != CALL_CHECKING); /* those are suspended */
    uncount(c);
    web_call_drop(c);
    web_call_release(c, c->n_held);
    if (c->stream)
        web_stream_end(c);
    c->guest->base.is_busy = false;
    web_guest_until(c->guest, mono_now() + READ_TIME);
    pthread_mutex_unlock(&s->lock);
    mem_free(&c->uri);
    mem_free(&c->type);
    mem_free(&c->cookie);
    buf_finish(&c->answer);
    mem_free(&c);
    *work = NULL;
}

static enum MHD_Result answer(struct call *c, enum refusal why)
{
    struct web_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    if (why)
        web_call_refuse(c, why);
    c->phase = CALL_ANSWERED;
    web_guest_until(c->guest, mono_now() + WRITE_TIME);
    pthread_mutex_unlock(&s->lock);
    return web_answer_send(c);
}

/* ---- the head ---- */

static struct slice header(const struct call *c, const char *name)
{
    return slice_str(MHD_lookup_connection_value(c->http, MHD_HEADER_KIND, name));
}

static bool is_json(const struct call *c)
{
    struct slice rest;
    struct slice kind = slice_trim(slice_cut(header(c, "Content-Type"), ';', &rest));
    return slice_ieq(kind, SLICE("application/json"));
}

static enum refusal judge_method(struct call *c, const char *method)
{
    const struct ask_route *route = c->path.route;
    bool is_get = strcmp(method, "GET") == 0 ||
                  (strcmp(method, "HEAD") == 0 && route->call != IPC_CALL_WATCH);
    c->is_options = route->has_cors && strcmp(method, "OPTIONS") == 0;
    if (c->is_options || (route->method == ASK_GET ? is_get : strcmp(method, "POST") == 0))
        return NOT_REFUSED;
    return NOT_THIS_METHOD;
}

static enum refusal judge_length(struct call *c)
{
    const char *length = MHD_lookup_connection_value(c->http, MHD_HEADER_KIND, "Content-Length");
    const struct ask_route *route = c->path.route;
    if (length && !slice_u64(slice_str(length), UINT64_MAX, &c->n_announced))
        return BAD_REQUEST;
    bool is_upload = route->call == IPC_CALL_UPLOAD;
    if (c->n_announced > 0)
        refuse_measure(is_upload ? REFUSE_WEB_UPLOAD : REFUSE_WEB_BODY, c->n_announced,
                       slice_str(c->client));
    if (c->n_announced > (c->is_options ? 0 : route->body_max))
        return is_upload ? UPLOAD_TOO_BIG : BODY_TOO_BIG;
    return route->is_json && !c->is_options && !is_json(c) ? NOT_JSON : NOT_REFUSED;
}

static enum MHD_Result add_forwarded(void *arg, enum MHD_ValueKind, const char *name,
                                     const char *value)
{
    struct buf *all = arg;
    if (!slice_ieq(slice_str(name), SLICE("X-Forwarded-For")))
        return MHD_YES;
    if (all->n > 0)
        buf_adds(all, SLICE(", "));
    buf_adds(all, slice_str(value));
    return MHD_YES;
}

/* Room for one more, with its body? */
static enum refusal judge_room(struct call *c)
{
    struct web_server *s = c->server;
    struct people *p = &s->people;
    /* One list, however many lines it has (RFC 9110 section 5.3): a proxy may add a line of its own
     * behind those that the client made up. */
    SCOPED(buf_finish) struct buf forwarded = buf_make(PEOPLE_HEADER_BYTES);
    (void)MHD_get_connection_values(c->http, MHD_HEADER_KIND, add_forwarded, &forwarded);
    must(!forwarded.failed); /* the head as a whole is shorter */
    pthread_mutex_lock(&s->lock);
    struct sockaddr_storage from = web_ask_client(&p->is, buf_slice(&forwarded), &c->guest->from);
    net_address_text(&from, c->client);
    unsigned max = p->is.n_requests_max ? p->is.n_requests_max : 1000;
    unsigned max_each = p->is.n_requests_per_address ? p->is.n_requests_per_address : 100;
    c->slot = web_share_of_address(s->share, SHARE_REQUEST, &from);
    c->kib = web_share_of_address(s->share, SHARE_KIB, &from);
    c->is_counted = true;
    uint64_t n_each = web_share_enter(s->share, c->slot);
    uint64_t n_all = web_share_total(s->share, SHARE_REQUESTS, ++p->n_requests);
    enum refusal why = web_call_room(c, c->n_announced);
    pthread_mutex_unlock(&s->lock);
    refuse_measure(REFUSE_WEB_BUSY, n_all, slice_str(c->client));
    refuse_measure(REFUSE_WEB_ADDRESS, n_each, slice_str(c->client));
    if (n_each > max_each)
        return TOO_MANY_FROM_YOU;
    if (n_all > max)
        return TOO_BUSY;
    return why;
}

static enum refusal judge_watch(struct call *c, struct slice query)
{
    struct ask_watch wants = {};
    if (!web_ask_watch(query, &wants))
        return BAD_REQUEST;
    c->stream = mem_new(sizeof(*c->stream));
    c->stream->types = mem_str(wants.types);
    c->stream->ping = wants.ping;
    c->stream->closes_after_state = wants.closes_after_state;
    list_init(&c->stream->of_person);
    list_init(&c->stream->of_slot);
    return NOT_REFUSED;
}

/* What can be said before the body comes. */
static enum refusal judge_head(struct call *c, const char *method)
{
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(c->http, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct slice query, path = slice_cut(slice_str(c->uri), '?', &query);
    if (head)
        refuse_measure(REFUSE_WEB_REQUEST, head->header_size, slice_str(c->client));
    if (!c->uri || !head || head->header_size > PEOPLE_HEADER_BYTES ||
        header(c, "Authorization").n > 8192)
        return HEAD_TOO_LONG;
    if (!web_ask_route(path, &c->path))
        return NOT_FOUND;
    enum refusal why = judge_method(c, method);
    if (!why)
        why = judge_length(c);
    if (!why)
        why = judge_room(c);
    if (!why && c->path.route->call == IPC_CALL_WATCH && !c->is_options)
        why = judge_watch(c, query);
    return why;
}

/* Load balancers ask this often: core is not bothered. */
static enum MHD_Result answer_health(struct call *c)
{
    struct web_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    bool is_well = s->link && !s->is_stopping;
    c->answer = buf_make(100);
    buf_addf(&c->answer, "{\"status\":\"%s\"}", is_well ? "ok" : "away");
    web_call_hold(c, c->answer.n);
    c->status = is_well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE; /* a fact, no refusal */
    c->type = mem_str("application/json");
    pthread_mutex_unlock(&s->lock);
    return answer(c, NOT_REFUSED);
}

/* Asks core. The suspension comes before the lock goes: the answer may be here already. */
static enum MHD_Result ask_and_wait(struct call *c, enum ipc_call_kind kind)
{
    struct web_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    bool is_asked = web_call_ask(c, kind);
    if (is_asked)
        MHD_suspend_connection(c->http);
    pthread_mutex_unlock(&s->lock);
    return is_asked ? MHD_YES : answer(c, NOT_REFUSED);
}

/* The memory for bodies is everybody's, so strangers get little of it: who it is comes first. What
 * comes in chunks may become as long as it likes, whatever Content-Length says. */
static bool needs_check(const struct call *c)
{
    const struct ask_route *route = c->path.route;
    bool is_open = MHD_lookup_connection_value(c->http, MHD_HEADER_KIND, "Transfer-Encoding");
    if (route->call == IPC_CALL_UPLOAD)
        return true;
    return route->body_max > SMALL_BYTES && (is_open || c->n_announced > SMALL_BYTES);
}

static enum MHD_Result begin_reading(struct call *c, size_t body_max)
{
    c->phase = CALL_READING;
    c->body_max = body_max;
    c->body = buf_make(body_max ? body_max : 1);
    return MHD_YES;
}

static enum MHD_Result take_head(struct call *c, const char *method)
{
    enum refusal why = judge_head(c, method);
    if (why)
        return answer(c, why);
    if (c->is_options) {
        c->status = 204;
        return answer(c, NOT_REFUSED);
    }
    if (c->path.route->kind == ASK_HEALTH)
        return answer_health(c);
    size_t max = c->path.route->body_max;
    return needs_check(c) ? ask_and_wait(c, IPC_CALL_CHECK)
                          : begin_reading(c, max < SMALL_BYTES ? max : SMALL_BYTES);
}

/* ---- the body ---- */

/* On the loop, which goes on with the upload when the link has room. */
static void on_pace(void *arg)
{
    struct web_server *s = arg;
    pthread_mutex_lock(&s->lock);
    s->people.is_posted = false;
    net_timer_set(s->people.pace, PACE_TIME);
    pthread_mutex_unlock(&s->lock);
}

static void pause_upload(struct call *c)
{
    struct web_server *s = c->server;
    c->phase = CALL_PAUSED;
    c->paused_at = mono_now();
    web_guest_until(c->guest, 0);
    if (list_empty(&c->upload)) { /* nothing of it was sent; it waits with the others */
        c->tag = ++s->last_tag;
        list_append(&s->people.uploads, &c->upload);
    }
    MHD_suspend_connection(c->http);
    if (!s->people.is_pacing)
        net_loop_post(s->loop, on_pace, s);
    s->people.is_posted = s->people.is_posted || !s->people.is_pacing;
    s->people.is_pacing = true;
}

static void on_pace_time(void *arg)
{
    struct web_server *s = arg;
    pthread_mutex_lock(&s->lock);
    bool has_room = !s->link || net_link_queued(s->link) <= PACE_BYTES;
    s->people.is_pacing = !has_room;
    LIST_FOREACH (node, &s->people.uploads) {
        struct call *c = container_of(node, struct call, upload);
        if (has_room && c->phase == CALL_PAUSED)
            web_call_go_on(c);
    }
    if (!has_room)
        net_timer_set(s->people.pace, PACE_TIME);
    pthread_mutex_unlock(&s->lock);
}

/* Under lock. False: it stays with the library until the link has room. */
static bool keep_piece(struct call *c, struct slice piece)
{
    bool is_upload = c->path.route->call == IPC_CALL_UPLOAD;
    if (c->n_received + piece.n > c->body_max)
        c->refused = is_upload ? UPLOAD_TOO_BIG : BODY_TOO_BIG;
    else
        c->refused = web_call_room(c, piece.n);
    if (c->refused)
        return true;
    if (is_upload)
        return web_call_send_piece(c, piece) || c->refused;
    buf_adds(&c->body, piece);
    c->n_received += piece.n;
    web_call_hold(c, piece.n);
    return true;
}

/* libmicrohttpd takes no answer before the end of the body, so what is refused is read and
 * forgotten, up to a point. */
static enum MHD_Result take_body(struct call *c, const char *bytes, size_t *n)
{
    struct web_server *s = c->server;
    enum MHD_Result result = MHD_YES;
    pthread_mutex_lock(&s->lock);
    bool is_taken = c->refused || keep_piece(c, slice_of(bytes, *n));
    if (!is_taken)
        pause_upload(c);
    if (is_taken && c->refused) {
        web_call_drop(c);
        c->n_discarded += *n;
        result = c->n_discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
    }
    if (is_taken)
        web_guest_until(c->guest, c->begun_at + READ_TIME + SECONDS(c->n_received / RATE));
    pthread_mutex_unlock(&s->lock);
    if (is_taken)
        *n = 0;
    return result;
}

static enum MHD_Result on_request(void *, struct MHD_Connection *, const char *, const char *method,
                                  const char *, const char *upload, size_t *n_upload, void **work)
{
    struct call *c = *work;
    if (!c)
        return MHD_NO;
    switch (c->phase) {
    case CALL_HEAD:
        return take_head(c, method);
    case CALL_CHECKED: /* resumed: the library asks about the head once more */
        c->begun_at = mono_now();
        return begin_reading(c, c->path.route->body_max);
    case CALL_READING:
        if (*n_upload > 0)
            return take_body(c, upload, n_upload);
        return ask_and_wait(c, c->path.route->call);
    case CALL_ANSWERED:
        if (c->stream && c->stream->watched) {
            pthread_mutex_lock(&c->server->lock);
            uncount(c);
            pthread_mutex_unlock(&c->server->lock);
        }
        return web_answer_send(c);
    case CALL_CHECKING:
    case CALL_PAUSED:
    case CALL_WAITING:
    case CALL_STREAMING:
        break;
    }
    return MHD_NO;
}

/* ---- life ---- */

static size_t keep_escapes(void *, struct MHD_Connection *, char *text)
{
    return strlen(text);
}

/* As for the administration: what the library refuses without asking us is counted. */
static void hear_library(void *, const char *format, va_list)
{
    static const char refused[] = "Error processing request";
    if (strncmp(format, refused, sizeof(refused) - 1) == 0)
        (void)refuse(REFUSE_WEB_REQUEST, SLICE("libmicrohttpd"));
}

static struct MHD_Daemon *listen_on(struct web_server *s, const struct web_listener *l)
{
    const struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)web_tls_priorities},
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)web_tls_retrieve()},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (l->has_tls ? MHD_USE_TLS : 0),
        0, on_accept, s, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, hear_library, NULL,
        MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)PEOPLE_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)PEOPLE_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)PEOPLE_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
        l->has_tls ? on_tls_conn : on_plain_conn, s, MHD_OPTION_ARRAY, l->has_tls ? secure : plain,
        MHD_OPTION_END);
}

void web_people_init(struct web_server *s)
{
    struct people *p = &s->people;
    p->is = s->o.people;
    p->calls = map_create();
    p->watched = map_create();
    list_init(&p->uploads);
    for (size_t i = 0; i < WHEEL; i++)
        list_init(&p->wheel[i]);
    p->pace = net_timer_create(s->loop, on_pace_time, s);
}

bool web_people_start(struct web_server *s, struct errinfo *ei)
{
    struct people *p = &s->people;
    for (; p->n_daemons < s->o.n_listeners; p->n_daemons++) {
        p->daemons[p->n_daemons] = listen_on(s, &s->o.listeners[p->n_daemons]);
        if (!p->daemons[p->n_daemons]) {
            (void)!err_set(ei, ERR_IO, "libmicrohttpd cannot serve HTTPS on the listening socket");
            return false;
        }
    }
    return true;
}

void web_people_close(struct web_server *s)
{
    web_call_close_all(s);
    web_stream_end_all(s, s->is_stopping);
}

void web_people_stop(struct web_server *s)
{
    for (unsigned i = 0; i < s->people.n_daemons; i++)
        MHD_stop_daemon(s->people.daemons[i]);
    s->people.n_daemons = 0;
}

void web_people_finish(struct web_server *s)
{
    struct people *p = &s->people;
    net_timer_destroy(&p->pace);
    web_tls_finish(p);
    map_destroy(&p->calls);
    map_destroy(&p->watched);
}

void web_people(struct web_server *s, const struct web_people *people)
{
    pthread_mutex_lock(&s->lock);
    s->people.is = *people;
    pthread_mutex_unlock(&s->lock);
}
