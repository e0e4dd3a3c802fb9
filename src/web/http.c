/* HTTP, on libmicrohttpd's threads: take a request in, hand it over, write the answer. */
#include "web/web_int.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

enum { DISCARD_MAX = 1 << 20 };

/* ---- connections ---- */

static void who_is_it(const struct web_server *s, struct conn *k,
                      const union MHD_ConnectionInfo *address)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    if (k->is_metrics) {
        struct sockaddr_storage from = {};
        char text[64] = "";
        if (address && address->client_addr) {
            bool is_six = address->client_addr->sa_family == AF_INET6;
            memcpy(&from, address->client_addr,
                   is_six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
            net_address_text(&from, text);
        }
        snprintf(k->by, sizeof(k->by), "metrics from %s", text);
    } else if (getsockopt(k->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0) {
        const char *name = names_of(s->o.names, peer.uid);
        snprintf(k->by, sizeof(k->by), name[0] ? "uid %u (%s)" : "uid %u", peer.uid, name);
    } else {
        snprintf(k->by, sizeof(k->by), "local socket");
    }
}

static void open_conn(struct web_server *s, struct MHD_Connection *http, bool is_metrics,
                      void **context)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct conn *k = mem_new(sizeof(*k));
    list_init(&k->node);
    k->fd = fd ? fd->connect_fd : -1;
    k->is_metrics = is_metrics;
    who_is_it(s, k, MHD_get_connection_info(http, MHD_CONNECTION_INFO_CLIENT_ADDRESS));
    pthread_mutex_lock(&s->lock);
    k->deadline = mono_now() + READ_TIME;
    list_append(&s->conns, &k->node);
    pthread_mutex_unlock(&s->lock);
    *context = k;
}

static void close_conn(struct web_server *s, void **context)
{
    struct conn *k = *context;
    if (!k)
        return;
    pthread_mutex_lock(&s->lock);
    list_remove(&k->node);
    pthread_mutex_unlock(&s->lock);
    mem_free(&k);
    *context = NULL;
}

static void on_admin_conn(void *arg, struct MHD_Connection *http, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_conn(arg, http, false, context);
    else
        close_conn(arg, context);
}

static void on_metrics_conn(void *arg, struct MHD_Connection *http, void **context,
                            enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_conn(arg, http, true, context);
    else
        close_conn(arg, context);
}

/* ---- requests ---- */

/* The first word about a request: its path and query as they came, before anybody decodes them. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *http)
{
    const union MHD_ConnectionInfo *context =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct request *r = mem_new(sizeof(*r));
    r->server = arg;
    r->http = http;
    r->conn = context->socket_context;
    r->uri = strlen(uri) <= PATH_BYTES + QUERY_BYTES + 1 ? mem_str(uri) : NULL;
    r->body = buf_make(WEB_BODY_MAX);
    return r;
}

static void on_completed(void *arg, struct MHD_Connection *, void **work,
                         enum MHD_RequestTerminationCode)
{
    struct web_server *s = arg;
    struct request *r = *work;
    if (!r)
        return;
    pthread_mutex_lock(&s->lock);
    must(r->phase != WAITING); /* suspended connections are not ended */
    s->n_requests -= r->is_counted;
    (void)web_share_total(s->share, SHARE_ADMIN_REQUESTS, s->n_requests);
    s->n_bytes -= r->body.n + r->answer.n;
    r->conn->deadline = mono_now() + READ_TIME;
    pthread_mutex_unlock(&s->lock);
    mem_free(&r->uri);
    buf_finish(&r->body);
    buf_finish(&r->answer);
    mem_free(&r);
    *work = NULL;
}

static enum MHD_Result send_answer(struct request *r)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        r->answer.n, r->answer.p, MHD_RESPMEM_PERSISTENT); /* freed when the request completes */
    if (!response)
        return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", r->type);
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    enum MHD_Result result = MHD_queue_response(r->http, r->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_refusal(struct request *r, uint16_t status)
{
    struct web_server *s = r->server;
    pthread_mutex_lock(&s->lock);
    request_refuse(r, status);
    r->phase = ANSWERED;
    r->conn->deadline = mono_now() + WRITE_TIME;
    pthread_mutex_unlock(&s->lock);
    return send_answer(r);
}

/* The headers are here: what can be refused before the body comes. 0: go on. */
static uint16_t judge_head(struct request *r, const char *method)
{
    struct web_server *s = r->server;
    const char *length = MHD_lookup_connection_value(r->http, MHD_HEADER_KIND, "Content-Length");
    uint64_t n = 0;
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(r->http, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!r->uri)
        return 414;
    if (head)
        refuse_measure(REFUSE_ADMIN_REQUEST, head->header_size, slice_str(r->conn->by));
    if (!head || head->header_size > HEADER_BYTES)
        return 431;
    if (r->conn->is_metrics) {
        struct slice query, path = slice_cut(slice_str(r->uri), '?', &query);
        if (!slice_eq(path, SLICE("/metrics")) && !slice_eq(path, SLICE("/health")))
            return 404;
        if (strcmp(method, "GET") != 0 || query.n > 0)
            return query.n > 0 ? 404 : 405;
    }
    if (length && !slice_u64(slice_str(length), UINT64_MAX, &n))
        return 411;
    if (n > (r->conn->is_metrics ? 0 : WEB_BODY_MAX))
        return 413;
    pthread_mutex_lock(&s->lock);
    unsigned max = s->o.n_requests_max ? s->o.n_requests_max : 64;
    uint64_t n_wanted = web_share_total(s->share, SHARE_ADMIN_REQUESTS, s->n_requests + 1);
    bool has_room = n_wanted <= max && s->n_bytes + n <= WEB_BYTES_MAX;
    s->n_requests += has_room;
    r->is_counted = has_room;
    (void)web_share_total(s->share, SHARE_ADMIN_REQUESTS, s->n_requests);
    pthread_mutex_unlock(&s->lock);
    refuse_measure(REFUSE_ADMIN_BUSY, n_wanted, slice_str(r->conn->by));
    if (has_room)
        return 0;
    (void)refuse(REFUSE_ADMIN_BUSY, slice_str(r->conn->by));
    return 503;
}

/* A piece of the body. libmicrohttpd takes no answer before the end of it, so what is refused is
 * read and forgotten, up to a point. */
static enum MHD_Result take_body(struct request *r, const char *bytes, size_t *n)
{
    struct web_server *s = r->server;
    size_t all = *n;
    *n = 0;
    pthread_mutex_lock(&s->lock);
    bool is_full = s->n_bytes + all > WEB_BYTES_MAX;
    if (!r->refused && r->body.n + all > (r->conn->is_metrics ? 0 : WEB_BODY_MAX))
        r->refused = 413;
    else if (!r->refused && is_full)
        r->refused = 503;
    if (!r->refused) {
        s->n_bytes += all;
    } else {
        s->n_bytes -= r->body.n;
        buf_finish(&r->body);
        r->n_discarded += all;
    }
    pthread_mutex_unlock(&s->lock);
    if (r->refused)
        return r->n_discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
    buf_add(&r->body, bytes, all);
    return MHD_YES;
}

static bool is_json(const struct request *r)
{
    const char *type = MHD_lookup_connection_value(r->http, MHD_HEADER_KIND, "Content-Type");
    struct slice rest, kind = slice_trim(slice_cut(slice_str(type), ';', &rest));
    return r->body.n == 0 || slice_ieq(kind, SLICE("application/json"));
}

static enum MHD_Result hand_over(struct request *r, const char *method)
{
    struct web_server *s = r->server;
    if (!r->refused && !is_json(r))
        r->refused = 415;
    if (r->refused == 503)
        (void)refuse(REFUSE_ADMIN_BUSY, slice_str(r->conn->by));
    if (r->refused)
        return answer_refusal(r, r->refused);
    pthread_mutex_lock(&s->lock);
    bool is_asked = core_ask(r, method);
    if (is_asked)
        MHD_suspend_connection(r->http); /* before the lock goes: the answer may be here already */
    else
        r->phase = ANSWERED;
    pthread_mutex_unlock(&s->lock);
    return is_asked ? MHD_YES : send_answer(r);
}

static enum MHD_Result on_request(void *, struct MHD_Connection *, const char *, const char *method,
                                  const char *, const char *upload, size_t *n_upload, void **work)
{
    struct request *r = *work;
    if (!r)
        return MHD_NO;
    if (r->phase == ANSWERED)
        return send_answer(r);
    if (!r->is_begun) {
        r->is_begun = true;
        uint16_t status = judge_head(r, method);
        return status ? answer_refusal(r, status) : MHD_YES;
    }
    if (*n_upload > 0)
        return take_body(r, upload, n_upload);
    return hand_over(r, method);
}

/* ---- life ---- */

/* Paths and queries stay as they came: core decodes them once. */
static size_t keep_escapes(void *, struct MHD_Connection *, char *text)
{
    return strlen(text);
}

/* The library would write to standard error about peers that hang up; our log says what matters.
 * What it refuses without asking us (no HTTP at all, a head beyond its memory) it answers in HTML:
 * its word about that is the only way to count it. */
static void hear_library(void *, const char *format, va_list)
{
    static const char refused[] = "Error processing request";
    if (strncmp(format, refused, sizeof(refused) - 1) == 0)
        (void)refuse(REFUSE_ADMIN_REQUEST, SLICE("libmicrohttpd"));
}

static struct MHD_Daemon *listen_on(struct web_server *s, int fd, unsigned n_max,
                                    MHD_NotifyConnectionCallback on_conn)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, s, MHD_OPTION_EXTERNAL_LOGGER, hear_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, n_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_conn, s, MHD_OPTION_END);
}

bool http_start(struct web_server *s, struct errinfo *ei)
{
    if (s->o.admin_fd >= 0)
        s->admin = listen_on(s, s->o.admin_fd, CONNECTIONS_MAX, on_admin_conn);
    if (s->o.metrics_fd >= 0)
        s->metrics = listen_on(s, s->o.metrics_fd, CONNECTIONS_METRICS, on_metrics_conn);
    if ((s->o.admin_fd < 0 || s->admin) && (s->o.metrics_fd < 0 || s->metrics))
        return true;
    (void)!err_set(ei, ERR_IO, "libmicrohttpd cannot serve the listening sockets");
    return false;
}

/* Nothing is suspended any more: core_close was called, and is_stopping keeps it so. The library
 * would abort otherwise. It also closes the listening sockets. */
void http_stop(struct web_server *s)
{
    if (s->admin)
        MHD_stop_daemon(s->admin);
    if (s->metrics)
        MHD_stop_daemon(s->metrics);
    s->admin = s->metrics = NULL;
}
