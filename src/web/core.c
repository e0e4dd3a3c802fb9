/* The link to core: asking, taking answers, deadlines, what happens when core is away. */
#include "web/people_int.h"

#include "base/log.h"

#include <stdio.h>

/* ---- ending a request ---- */

void request_finish(struct request *r)
{
    (void)!map_del(r->server->waiting, KEY(r->tag));
    r->phase = ANSWERED;
    r->conn->deadline = mono_now() + WRITE_TIME;
    MHD_resume_connection(r->http);
}

void web_problem(struct buf *b, uint16_t status, const char *title, const char *detail)
{
    buf_addf(b, "{\"status\":%u,\"title\":\"%s\",\"detail\":\"%s\"}", status, title, detail);
}

/* Our own refusals, in words. The texts hold no quotes. */
static const struct {
    uint16_t status;
    const char *title, *detail;
} refusals[] = {
    {404, "Not found",
     "Only /metrics and /health are served here. The rest is on the node's local socket."},
    {405, "Not possible here", "Only GET is possible here. Nothing was done."},
    {411, "Length missing", "The size of the body is not readable. Nothing was done."},
    {413, "Too big", "The body is bigger than 8 MiB. Nothing was changed. Send less at once."},
    {414, "Too long", "The path or the query is too long. Nothing was done."},
    {415, "Not JSON",
     "The body must be JSON: Content-Type: application/json. Nothing was changed."},
    {431, "Too long", "The headers are longer than 16 KiB in all. Nothing was done."},
    {502, "Our fault",
     "The core process answered nonsense and is started again. If this was a change, it may or may "
     "not have been made: look again in a minute."},
    {503, "Not now",
     "The core process is starting again, or too much is asked at this moment. If this was a "
     "change, it may or may not have been made: look, then try again in a minute."},
    {504, "Took too long",
     "There was no answer within the time a request has. If this was a change, it may still be "
     "made: look again in a minute. Ask for less with limit=, tenant= or a shorter time."},
};

void request_refuse(struct request *r, uint16_t status)
{
    size_t i = 0;
    size_t n = sizeof(refusals) / sizeof(refusals[0]);
    while (i < n - 1 && refusals[i].status != status)
        i++;
    if (status < 500)
        (void)refuse(REFUSE_ADMIN_REQUEST, slice_str(r->conn->by));
    r->server->n_bytes -= r->answer.n;
    buf_finish(&r->answer);
    r->answer = buf_make(2000);
    web_problem(&r->answer, refusals[i].status, refusals[i].title, refusals[i].detail);
    r->server->n_bytes += r->answer.n;
    r->status = refusals[i].status;
    snprintf(r->type, sizeof(r->type), "application/problem+json");
}

/* ---- asking ---- */

static bool send_body(struct net_link *link, const struct request *r)
{
    struct slice rest = buf_slice(&r->body);
    while (rest.n > 0) {
        size_t n = rest.n < IPC_CONTENT_MAX ? rest.n : IPC_CONTENT_MAX;
        if (net_link_send(link, IPC_T_content, r->tag, slice_of(rest.p, n), SLICE("")) != ERR_OK)
            return false;
        rest = slice_skip(rest, n);
    }
    return true;
}

/* The path that core knows: a program that reads figures asks for /metrics. */
static struct slice core_path(const struct request *r, struct slice path)
{
    if (!r->conn->is_metrics)
        return path;
    return slice_eq(path, SLICE("/metrics")) ? SLICE("/v1/metrics") : SLICE("/v1/health");
}

bool core_ask(struct request *r, const char *method)
{
    struct web_server *s = r->server;
    struct slice query, path = slice_cut(slice_str(r->uri), '?', &query);
    struct ipc_request q = {.method = slice_str(method),
                            .path = core_path(r, path),
                            .query = query,
                            .by = slice_str(r->conn->by),
                            .bytes = (uint32_t)r->body.n};
    SCOPED(buf_finish) struct buf b = buf_make(PATH_BYTES + QUERY_BYTES + 1000);
    if (path.n > PATH_BYTES || query.n > QUERY_BYTES || q.method.n > 10) {
        request_refuse(r, q.method.n > 10 ? 405 : 414);
        return false;
    }
    ipc_request_pack(&b, &q);
    must(!b.failed);
    /* All of it or nothing: half a body without its request would stay with core for ever. */
    size_t need = r->body.n + b.n + (r->body.n / IPC_CONTENT_MAX + 2) * 16;
    if (!s->link || s->is_stopping || net_link_queued(s->link) + need > LINK_QUEUE) {
        request_refuse(r, 503);
        return false;
    }
    r->tag = ++s->last_tag;
    if (!send_body(s->link, r) ||
        net_link_send(s->link, IPC_T_request, r->tag, buf_slice(&b), SLICE("")) != ERR_OK) {
        request_refuse(r, 503); /* the link is about to be told that it is gone */
        return false;
    }
    s->n_bytes -= r->body.n;
    buf_finish(&r->body);
    r->phase = WAITING;
    r->deadline = mono_now() + (s->o.timeout ? s->o.timeout : SECONDS(30));
    r->conn->deadline = 0;
    map_put(s->waiting, KEY(r->tag), r);
    return true;
}

/* ---- answers ---- */

/* False: nonsense. Under lock. */
static bool take_content(struct web_server *s, struct request *r, struct slice bytes)
{
    if (bytes.n == 0 || bytes.n > IPC_CONTENT_MAX || r->answer.n + bytes.n > WEB_ANSWER_MAX)
        return false;
    if (s->n_bytes + bytes.n > WEB_BYTES_MAX) {
        (void)refuse(REFUSE_ADMIN_BUSY, slice_str(r->conn->by));
        request_refuse(r, 503);
        request_finish(r); /* what is still to come is for nobody */
        return true;
    }
    if (!r->answer.max)
        r->answer = buf_make(WEB_ANSWER_MAX);
    buf_adds(&r->answer, bytes);
    s->n_bytes += bytes.n;
    return true;
}

static bool take_response(struct web_server *s, struct request *r, struct slice payload)
{
    struct ipc_response response;
    if (!ipc_response_unpack(payload, NULL, &response) || response.bytes != r->answer.n ||
        response.status < 200 || response.status > 599)
        return false;
    for (size_t i = 0; i < response.type.n; i++)
        if (response.type.p[i] < ' ' || response.type.p[i] > '~')
            return false; /* it becomes a header */
    r->status = response.status;
    snprintf(r->type, sizeof(r->type), SLICE_FMT, SLICE_ARG(response.type));
    s->n_answered++;
    request_finish(r);
    return true;
}

static bool take_frame(struct web_server *s, const struct net_frame *f)
{
    if (!ipc_may_send(f->type, IPC_CORE, IPC_DOOR))
        return false;
    if (f->type == IPC_T_changed || f->type == IPC_T_unwatch)
        return f->tag == 0 && (f->type == IPC_T_changed ? web_stream_changed(s, f->payload)
                                                        : web_stream_unwatch(s, f->payload));
    if (f->tag == 0 || f->tag > s->last_tag)
        return false;
    struct call *c = map_get(s->people.calls, KEY(f->tag));
    struct request *r = map_get(s->waiting, KEY(f->tag));
    if (c)
        return web_call_take(c, f);
    if (!r)
        return web_call_take_late(s, f); /* its asker was answered without core */
    if (f->type == IPC_T_called)
        return false;
    return f->type == IPC_T_content ? take_content(s, r, f->payload)
                                    : take_response(s, r, f->payload);
}

static void on_closed(void *arg, struct net_link *)
{
    struct web_server *s = arg;
    log_event(EV_CORE_AWAY, "by=door");
    core_close(s);
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct web_server *s = arg;
    pthread_mutex_lock(&s->lock);
    bool is_good = take_frame(s, f);
    pthread_mutex_unlock(&s->lock);
    if (is_good)
        return;
    log_event(EV_IPC_NONSENSE, "from=core type=%s", ipc_type_name(f->type));
    core_close(s);
    if (s->o.nonsense)
        s->o.nonsense(s->o.arg, ipc_type_name(f->type));
}

/* ---- the link's life ---- */

void core_close(struct web_server *s)
{
    size_t at = 0;
    void *value;
    pthread_mutex_lock(&s->lock);
    while (map_next(s->waiting, &at, NULL, &value)) {
        struct request *r = value;
        request_refuse(r, 503);
        request_finish(r);
    }
    web_people_close(s);
    net_link_close(&s->link);
    pthread_mutex_unlock(&s->lock);
}

void web_core_link(struct web_server *s, int take_fd)
{
    const struct net_link_options options = {
        .frame_max = IPC_LIST_FRAME_MAX,
        .queue_max = LINK_QUEUE,
        .frame = on_frame,
        .closed = on_closed,
        .arg = s,
    };
    core_close(s);
    struct net_link *link = net_link_open(s->loop, take_fd, &options);
    pthread_mutex_lock(&s->lock);
    s->link = link;
    pthread_mutex_unlock(&s->lock);
    log_event(EV_CORE_BACK, "by=door");
}

/* ---- time ---- */

static void report_refusals(struct net_link *link)
{
    struct refuse_count counts[REFUSE_N];
    struct ipc_refusal list[REFUSE_N];
    struct ipc_refusals all = {list, 0};
    if (!refuse_take_counts(counts))
        return;
    for (uint32_t i = 0; i < REFUSE_N; i++)
        if (counts[i].n > 0)
            list[all.n_refusals++] = (struct ipc_refusal){i, counts[i].n, slice_str(counts[i].who)};
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    ipc_refusals_pack(&b, &all);
    (void)!net_link_send(link, IPC_T_refusals, 0, buf_slice(&b), SLICE(""));
}

static void report_highs(struct net_link *link, mono_us now)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 14);
    if (ipc_take_highs(now, &b))
        (void)!net_link_send(link, IPC_T_highs, 0, buf_slice(&b), SLICE(""));
}

static void report_figures(struct web_server *s)
{
    struct ipc_figure list[] = {
        {SLICE("requests"), s->n_requests},
        {SLICE("answered_requests"), s->n_answered},
        {SLICE("memory_bytes"), s->n_bytes + s->people.n_held},
        {SLICE("web_requests"), s->people.n_requests},
        {SLICE("web_answered_requests"), s->people.n_answered},
        {SLICE("web_connections"), s->people.n_conns},
        {SLICE("web_event_streams"), s->people.n_streams},
        {SLICE("log_lines_dropped"), log_dropped()},
    };
    struct ipc_figures all = {list, sizeof(list) / sizeof(list[0])};
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    ipc_figures_pack(&b, &all);
    (void)!net_link_send(s->link, IPC_T_figures, 0, buf_slice(&b), SLICE(""));
}

void core_tick(struct web_server *s, mono_us now)
{
    size_t at = 0;
    void *value;
    pthread_mutex_lock(&s->lock);
    while (map_next(s->waiting, &at, NULL, &value)) {
        struct request *r = value;
        if (now < r->deadline)
            continue;
        request_refuse(r, 504);
        request_finish(r);
    }
    web_call_tick(s, now);
    web_stream_tick(s, now);
    if (s->link && now >= s->report_at) {
        s->report_at = now + SECONDS(1);
        report_refusals(s->link);
        report_highs(s->link, now);
        report_figures(s);
    }
    pthread_mutex_unlock(&s->lock);
}
