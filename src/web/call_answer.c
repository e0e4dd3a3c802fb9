/* The answer of a person's request, as HTTP. On the HTTP threads. */
#include "web/people_int.h"

#include <stdio.h>

static void add(struct MHD_Response *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r, name, value);
}

static struct slice header(const struct call *c, const char *name)
{
    return slice_str(MHD_lookup_connection_value(c->http, MHD_HEADER_KIND, name));
}

/* ---- who may use it ---- */

/* The Origin header's value when that site is listed; NULL: no, or the request is our own's. */
static const char *listed_origin(const struct call *c)
{
    struct slice origin = header(c, "Origin");
    const struct web_people *is = &c->server->people.is;
    bool is_listed = false;
    pthread_mutex_lock(&c->server->lock);
    for (unsigned i = 0; i < is->n_origins; i++)
        is_listed = is_listed || slice_eq(origin, slice_str(is->origins[i]));
    pthread_mutex_unlock(&c->server->lock);
    return is_listed ? origin.p : NULL;
}

/* The Fetch standard. The value is the one origin that asks, never "*": cookies come along. */
static void add_cors(const struct call *c, struct MHD_Response *r)
{
    const char *origin = listed_origin(c);
    if (!c->path.route || !c->path.route->has_cors)
        return;
    add(r, "Vary", "Origin");
    if (!origin)
        return;
    add(r, "Access-Control-Allow-Origin", origin);
    add(r, "Access-Control-Allow-Credentials", "true");
    add(r, "Access-Control-Expose-Headers", "Retry-After, Content-Disposition");
    if (!c->is_options)
        return;
    add(r, "Access-Control-Allow-Methods", web_refusal_allow(c->path.route));
    add(r, "Access-Control-Allow-Headers",
        "Authorization, Content-Type, Last-Event-ID, X-CSRF, Accept, Cache-Control");
    add(r, "Access-Control-Max-Age", "3600");
}

static bool is_secure(const struct call *c)
{
    struct web_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    bool is_proxied = web_ask_is_proxy(&s->people.is, &c->guest->from);
    pthread_mutex_unlock(&s->lock);
    return c->guest->has_tls ||
           (is_proxied && slice_ieq(header(c, "X-Forwarded-Proto"), SLICE("https")));
}

static void add_security(const struct call *c, struct MHD_Response *r, bool is_download)
{
    add(r, "X-Content-Type-Options", "nosniff");
    add(r, "Referrer-Policy", "no-referrer");
    add(r, "Content-Security-Policy",
        is_download ? "sandbox; default-src 'none'; frame-ancestors 'none'"
                    : "default-src 'none'; frame-ancestors 'none'");
    add(r, "Cross-Origin-Resource-Policy", listed_origin(c) ? "cross-origin" : "same-origin");
    if (is_secure(c))
        add(r, "Strict-Transport-Security", "max-age=31536000");
}

/* ---- what it brings along ---- */

static void add_cookie(const struct call *c, struct MHD_Response *r)
{
    char text[400];
    bool is_removed = strcmp(c->cookie, "-") == 0;
    snprintf(text, sizeof(text), "%s=%s; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=%u",
             COOKIE, is_removed ? "" : c->cookie, is_removed ? 0 : c->cookie_seconds);
    add(r, "Set-Cookie", text);
}

static void add_extras(const struct call *c, struct MHD_Response *r)
{
    char seconds[24];
    if (c->cookie)
        add_cookie(c, r);
    if (c->status == 401 && c->has_challenge) {
        add(r, "WWW-Authenticate", "Basic realm=\"Staffetta\", charset=\"UTF-8\"");
        add(r, "WWW-Authenticate", "Bearer realm=\"Staffetta\"");
    }
    if (c->retry_after > 0) {
        snprintf(seconds, sizeof(seconds), "%u", c->retry_after);
        add(r, "Retry-After", seconds);
    }
    if (c->is_options || c->refused == NOT_THIS_METHOD)
        add(r, "Allow", web_refusal_allow(c->path.route));
}

/* A part of a message: what it is called and what it is, its sender said, or the client. */
static void add_download(const struct call *c, struct MHD_Response *r)
{
    SCOPED(buf_finish) struct buf type = buf_make(256);
    SCOPED(buf_finish) struct buf name = buf_make(PATH_BYTES);
    SCOPED(buf_finish) struct buf disposition = buf_make(4000);
    struct slice query;
    (void)slice_cut(slice_str(c->uri), '?', &query);
    if (c->type)
        buf_adds(&type, slice_str(c->type));
    else if (!web_ask_decode(web_ask_query(query, "accept"), &type) ||
             !web_ask_type_is_valid(buf_slice(&type)))
        buf_clear(&type);
    if (type.n == 0)
        buf_adds(&type, SLICE("application/octet-stream"));
    (void)web_ask_decode(c->path.name, &name); /* what is broken ends the name */
    web_ask_disposition(!web_ask_type_is_harmless(buf_slice(&type)), buf_slice(&name),
                        &disposition);
    add(r, "Content-Type", buf_cstr(&type));
    add(r, "Content-Disposition", buf_cstr(&disposition));
    add(r, "Cache-Control", "private, max-age=31536000, immutable");
}

/* ---- sending ---- */

static bool is_download(const struct call *c)
{
    return c->path.route && c->path.route->kind == ASK_CALL &&
           c->path.route->call == IPC_CALL_DOWNLOAD && c->status == 200;
}

static struct MHD_Response *response_of(struct call *c)
{
    struct slice bytes = buf_slice(&c->answer);
    if (is_download(c) && !web_ask_cut(c->answer.p, c->answer.n, c->steps, c->n_steps, &bytes)) {
        pthread_mutex_lock(&c->server->lock);
        web_call_refuse(c, BAD_PART);
        pthread_mutex_unlock(&c->server->lock);
        bytes = buf_slice(&c->answer);
    }
    /* Freed when the request completes. The library only reads it. */
    return MHD_create_response_from_buffer(bytes.n, (void *)(uintptr_t)bytes.p,
                                           MHD_RESPMEM_PERSISTENT);
}

enum MHD_Result web_answer_send(struct call *c)
{
    bool is_stream = c->stream && c->stream->watched && !c->refused;
    struct MHD_Response *r = is_stream ? web_stream_response(c) : response_of(c);
    if (!r)
        return MHD_NO;
    add_security(c, r, is_download(c));
    add_cors(c, r);
    add_extras(c, r);
    if (is_download(c)) {
        add_download(c, r);
    } else {
        if (is_stream)
            add(r, "Content-Type", "text/event-stream; charset=utf-8");
        else if (c->answer.n > 0)
            add(r, "Content-Type", c->type ? c->type : "application/octet-stream");
        add(r, "Cache-Control", "no-store");
        if (is_stream)
            add(r, "X-Accel-Buffering", "no"); /* a proxy shall not wait for the end */
    }
    enum MHD_Result result = MHD_queue_response(c->http, c->status, r);
    MHD_destroy_response(r);
    return result;
}
