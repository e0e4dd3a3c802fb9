/* A request's way: find the endpoint, check parameters and body, run the handler, answer once.
 * Changes take turns, so that what a handler has checked still holds when it is written. */
#include "admin/admin_int.h"

#include <stdio.h>

struct admin *admin_create(const struct admin_host *host)
{
    struct admin *a = mem_new(sizeof(*a));
    a->host = *host;
    list_init(&a->calls);
    list_init(&a->changes);
    return a;
}

void admin_destroy(struct admin **address)
{
    struct admin *a = *address;
    if (!a)
        return;
    a->is_turning = true; /* what waits is answered here, not started */
    while (!list_empty(&a->calls))
        call_refuse(container_of(a->calls.next, struct admin_call, node), 503,
                    "Staffetta is stopping. If this was a change, it may or may not have been "
                    "made: look again in a minute.");
    mem_free(address);
}

/* ---- the end of a call ---- */

static void take_turns(struct admin *a)
{
    if (a->is_turning)
        return;
    a->is_turning = true;
    while (!a->changing && !list_empty(&a->changes)) {
        struct admin_call *c = container_of(list_pop(&a->changes), struct admin_call, turn);
        a->n_changes--;
        a->changing = c;
        c->endpoint->run(c);
    }
    a->is_turning = false;
}

static void wipe(struct admin_call *c)
{
    const char *key;
    json_t *value;
    json_object_foreach(
        c->body, key,
        value) if (json_is_string(value)) /* its own copy, which it lends as constant */
        explicit_bzero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
    if (c->out.n)
        explicit_bzero(c->out.p, c->out.n);
}

static void end(struct admin_call *c)
{
    struct admin *a = c->a;
    list_remove(&c->node);
    if (a && !list_empty(&c->turn))
        a->n_changes--;
    list_remove(&c->turn);
    if (c->has_secret)
        wipe(c);
    json_decref(c->body);
    buf_finish(&c->out);
    struct arena *arena = c->arena;
    bool was_changing = a && a->changing == c;
    if (was_changing)
        a->changing = NULL;
    arena_destroy(&arena); /* with the call itself */
    if (was_changing)
        take_turns(a);
}

static const char *title_of(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *title;
    } titles[] = {
        {400, "Not understood"},    {403, "Not allowed"}, {404, "Not found"},
        {405, "Not possible here"}, {409, "Conflict"},    {413, "Too big"},
        {414, "Too long"},          {415, "Not JSON"},    {429, "Limit reached"},
        {500, "Our fault"},         {503, "Not now"},     {504, "Took too long"},
        {507, "No room"},
    };
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Refused";
}

static void answer_problem(struct admin_call *c, uint16_t status, const char *detail)
{
    buf_clear(&c->out);
    c->json = (struct out){.b = &c->out};
    out_object(&c->json, NULL);
    out_number(&c->json, "status", status);
    out_word(&c->json, "title", title_of(status));
    out_word(&c->json, "detail", detail);
    out_close(&c->json);
    c->answer(c->arg, status, "application/problem+json", buf_slice(&c->out));
    end(c);
}

/* Too much, in the words of HTTP. 503 is counted where it is a limit: it also says that we stop. */
static bool is_limit(uint16_t status)
{
    return status == 413 || status == 414 || status == 429 || status == 507;
}

void call_refuse(struct admin_call *c, uint16_t status, const char *format, ...)
{
    if (is_limit(status))
        (void)refuse(REFUSE_ADMIN_LIMIT, c->by);
    char detail[1500];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    answer_problem(c, status, detail);
}

/* The door's one table from errors to replies. */
static const struct {
    uint16_t status;
    const char *did; /* what we did, and what the asker can do */
} replies[] = {
    [ERR_OK] = {200, ""},
    [ERR_RETRY] = {503, "Try again in a minute."},
    [ERR_FULL] = {507, "Nothing was changed. Make room, then try again."},
    [ERR_LIMIT] = {429, "Nothing was changed. Try again in a minute."},
    [ERR_GONE] = {404, "Nothing was changed."},
    [ERR_EXISTS] = {409, "Nothing was changed."},
    [ERR_CONFLICT] = {409, "Nothing was changed. Look again, then decide."},
    [ERR_DENIED] = {403, "Nothing was changed."},
    [ERR_INVALID] = {400, "Nothing was changed. Correct the request and send it again."},
    [ERR_CORRUPT] = {500,
                     "Stored data is damaged and was not touched. Run `staffetta store verify`."},
    [ERR_IO] = {500, "Look at the log of the node, and at its disk."},
    [ERR_CANCELED] = {503, "Staffetta is stopping. Try again in a minute."},
};
static_assert(sizeof(replies) / sizeof(replies[0]) == ERR_N, "an HTTP status for every error");

void call_fail(struct admin_call *c, enum err err, const char *why)
{
    must(err > ERR_OK && err < ERR_N);
    if (!why || !why[0])
        why = err_name(err);
    char last = why[strlen(why) - 1];
    char first = why[0] >= 'a' && why[0] <= 'z' ? (char)(why[0] - 'a' + 'A') : why[0];
    if (err == ERR_DENIED)
        (void)refuse(REFUSE_ADMIN_DENIED, c->by);
    call_refuse(c, replies[err].status, "%c%s%s %s", first, why + 1, last == '.' ? "" : ".",
                replies[err].did);
}

static void answer_bytes(struct admin_call *c, uint16_t status, const char *type)
{
    if (c->out.failed) {
        call_refuse(c, 507,
                    "The answer is bigger than %d MiB. Nothing was changed. Ask for less: with "
                    "limit=, tenant= or a shorter time.",
                    ADMIN_ANSWER_MAX >> 20);
        return;
    }
    c->answer(c->arg, status, type, buf_slice(&c->out));
    end(c);
}

void call_status(struct admin_call *c, uint16_t status)
{
    must(c->json.depth == 0);
    answer_bytes(c, status, "application/json");
}

void call_done(struct admin_call *c)
{
    call_status(c, c->endpoint->status);
}

void call_text(struct admin_call *c, const char *type)
{
    answer_bytes(c, c->endpoint->status, type);
}

/* ---- the beginning of a call ---- */

static struct admin_call *call_create(const struct admin_request *r, admin_answer_fn *answer,
                                      void *arg)
{
    struct arena *arena = arena_create(CALL_ARENA_MAX);
    struct admin_call *c = ARENA_NEW(arena, struct admin_call);
    c->arena = arena;
    c->answer = answer;
    c->arg = arg;
    c->by = arena_copy(arena, slice_of(r->by.p, r->by.n < 200 ? r->by.n : 200));
    c->out = buf_make(ADMIN_ANSWER_MAX);
    c->json = (struct out){.b = &c->out};
    list_init(&c->node);
    list_init(&c->turn);
    return c;
}

static bool refuse_route(struct admin_call *c, const struct admin_request *r,
                         const struct route *route)
{
    if (route->methods[0])
        call_refuse(c, 405, "%s is not possible for this path. Nothing was done. Possible: %s.",
                    log_text(r->method), route->methods);
    else
        call_refuse(c, 404,
                    "There is nothing at %s. Nothing was done. `staffetta openapi`, or "
                    "GET /v1/openapi.json, lists every path.",
                    log_text(r->path));
    return false;
}

static bool check_param(struct admin_call *c, const struct param *p, struct slice value)
{
    uint64_t number;
    bool is_good = value.n > 0 && (p->type == TYPE_NUMBER || value.n <= p->max);
    if (p->type == TYPE_NUMBER)
        is_good = is_good && slice_u64(value, p->max, &number) && number > 0;
    else if (p->type == TYPE_TIME)
        is_good = is_good && admin_time(value) >= 0;
    else if (p->type == TYPE_WORD)
        is_good = is_good && schema_is_word(p->words, value);
    if (is_good)
        return true;
    call_refuse(c, 400, "%s= cannot be %s. Nothing was done. %s%s%s", p->name, log_text(value),
                p->text, p->words ? " One of: " : "", p->words ? p->words : "");
    return false;
}

static bool add_param(struct admin_call *c, struct slice name, struct slice value)
{
    const struct param *p = admin_param(name);
    struct slice allowed = slice_str(c->endpoint->params);
    bool is_allowed = false;
    while (p && allowed.n > 0 && !is_allowed)
        is_allowed = slice_eq(slice_cut(allowed, ' ', &allowed), name);
    if (!is_allowed) {
        call_refuse(c, 400, "%s= is not known here. Nothing was done. Known: %s.", log_text(name),
                    c->endpoint->params[0] ? c->endpoint->params : "none");
        return false;
    }
    if (call_param(c, p->name).n > 0) {
        call_refuse(c, 400, "%s= was given twice. Nothing was done. Give it once.", p->name);
        return false;
    }
    if (!check_param(c, p, value))
        return false;
    must(c->n_params < CALL_PARAMS_MAX);
    c->param[c->n_params] = p;
    c->value[c->n_params++] = value;
    return true;
}

static bool read_query(struct admin_call *c, struct slice query)
{
    if (query.n > QUERY_MAX_BYTES) {
        call_refuse(c, 414, "The query is longer than %d bytes. Nothing was done.",
                    QUERY_MAX_BYTES);
        return false;
    }
    while (query.n > 0) {
        struct slice value, name = slice_cut(slice_cut(query, '&', &query), '=', &value);
        if (name.n == 0 && value.n == 0)
            continue;
        if (!admin_unescape(c->arena, name, true, &name) ||
            !admin_unescape(c->arena, value, true, &value)) {
            call_refuse(c, 400,
                        "The query is not readable: broken %%-escapes, or not UTF-8. "
                        "Nothing was done.");
            return false;
        }
        if (!add_param(c, name, value))
            return false;
    }
    return true;
}

static bool read_path(struct admin_call *c, const struct route *route)
{
    for (size_t i = 0; i < route->n_parts; i++)
        if (!admin_unescape(c->arena, route->parts[i], false, &c->part[i])) {
            call_refuse(c, 400,
                        "The path is not readable: broken %%-escapes, or not UTF-8. "
                        "Nothing was done.");
            return false;
        }
    return true;
}

static bool read_body(struct admin_call *c, struct slice body)
{
    struct errinfo ei = {};
    if (body.n > ADMIN_BODY_MAX) {
        call_refuse(c, 413,
                    "The body is bigger than %d MiB. Nothing was changed. Send less at once.",
                    ADMIN_BODY_MAX >> 20);
        return false;
    }
    if (c->endpoint->body == SCHEMA_NONE) {
        if (slice_trim(body).n == 0)
            return true;
        call_refuse(c, 400,
                    "No body is expected here. Nothing was done. Send the request without.");
        return false;
    }
    if (schema_read(c->endpoint->body, body, &c->body, &ei) == ERR_OK)
        return true;
    call_refuse(c, 400,
                "The body cannot be used: %s. Nothing was changed. It must be a JSON object as "
                "described by \"%s\" in /v1/openapi.json.",
                ei.text, schema_row(c->endpoint->body)->name);
    return false;
}

/* False: the call has been refused and is gone. */
static bool prepare(struct admin_call *c, const struct admin_request *r)
{
    struct route route = admin_route(r->method, r->path);
    if (!route.endpoint)
        return refuse_route(c, r, &route);
    c->endpoint = route.endpoint;
    return read_path(c, &route) && read_query(c, r->query) && read_body(c, r->body);
}

void admin_loop(struct admin *a, const struct admin_request *r, admin_answer_fn *answer, void *arg)
{
    struct admin_call *c = call_create(r, answer, arg);
    c->a = a;
    c->host = &a->host;
    list_append(&a->calls, &c->node);
    if (!prepare(c, r))
        return;
    must(c->endpoint->place != CALL_WORKER);
    if (c->endpoint->place == CALL_LOOP) {
        c->endpoint->run(c);
        return;
    }
    if (a->n_changes >= CHANGES_MAX) {
        const struct refuse_row *row = refuse(REFUSE_ADMIN_BUSY, c->by);
        call_refuse(c, 503,
                    "%d changes wait already (%s). Nothing was changed. Try again in a "
                    "minute.",
                    CHANGES_MAX, row->name);
        return;
    }
    list_append(&a->changes, &c->turn);
    a->n_changes++;
    take_turns(a);
}

void admin_work(const struct admin *a, struct store_reader *reader, const struct admin_request *r,
                admin_answer_fn *answer, void *arg)
{
    struct admin_call *c = call_create(r, answer, arg);
    c->host = &a->host;
    c->reader = reader;
    if (!prepare(c, r))
        return;
    must(c->endpoint->place == CALL_WORKER);
    c->endpoint->run(c);
}

/* ---- parameters ---- */

struct slice call_param(const struct admin_call *c, const char *name)
{
    for (size_t i = 0; i < c->n_params; i++)
        if (strcmp(c->param[i]->name, name) == 0)
            return c->value[i];
    return SLICE("");
}

uint32_t call_limit(const struct admin_call *c)
{
    uint64_t n = CALL_LIMIT_DEFAULT;
    struct slice s = call_param(c, "limit");
    if (s.n > 0)
        must(slice_u64(s, UINT32_MAX, &n)); /* checked on arrival */
    return (uint32_t)n;
}

utc_ms call_time(const struct admin_call *c, const char *name)
{
    struct slice s = call_param(c, name);
    return s.n > 0 ? admin_time(s) : 0;
}
