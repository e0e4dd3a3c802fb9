/* A request: its envelope is judged, its calls run one after another (RFC 8620 section 3). */
#include "jmap/jmap_mailbox_int.h"

#include <stdio.h>

static const struct method {
    const char *name;
    void (*run)(struct jmap_run *r, const struct jmap_call *c);
    unsigned capability;
} methods[] = {
#define JMAP_METHOD(name, function, capability) {name, function, capability},
#include "jmap/jmap_method.def"
#undef JMAP_METHOD
};

static const struct {
    const char *urn;
    unsigned bit;
} capabilities[] = {
    {"urn:ietf:params:jmap:core", CAP_CORE},
    {"urn:ietf:params:jmap:mail", CAP_MAIL},
    {"urn:ietf:params:jmap:submission", CAP_SUBMISSION},
    {"urn:ietf:params:jmap:vacationresponse", CAP_VACATION},
    {"urn:ietf:params:jmap:quota", CAP_QUOTA},
    {"urn:ietf:params:jmap:blob", CAP_BLOB},
};

struct jmap *jmap_create(const struct jmap_host *host, struct account_cache *accounts)
{
    struct jmap *j = mem_new(sizeof(*j));
    j->host = *host;
    j->accounts = accounts;
    return j;
}

void jmap_destroy(struct jmap **j)
{
    mem_free(j);
}

/* ---- errors of the whole request (RFC 8620 3.6.1) ---- */

static unsigned problem(struct buf *out, unsigned status, const char *type, const char *limit,
                        const char *detail)
{
    char urn[100];
    snprintf(urn, sizeof(urn), "urn:ietf:params:jmap:error:%s", type);
    json_t *o = json_pack("{s:s, s:i, s:s, s:s*}", "type", urn, "status", (int)status, "detail",
                          detail, "limit", limit);
    jmap_write(out, o);
    return status;
}

/* One by a limit, which is counted. */
static unsigned limited(struct buf *out, enum refuse_id id, const struct jmap_caller *who,
                        const char *limit, const char *detail)
{
    jmap_count(id, limit, who);
    return problem(out, 400, "limit", limit, detail);
}

static unsigned busy(struct buf *out, const struct jmap_caller *who, const struct errinfo *ei)
{
    jmap_count(REFUSE_JMAP_BUSY, "request", who);
    return problem(out, 503, "serverUnavailable", NULL, ei->text);
}

static bool is_call(const json_t *call)
{
    return json_array_size(call) == 3 && json_is_string(json_array_get(call, 0)) &&
           json_is_object(json_array_get(call, 1)) && json_is_string(json_array_get(call, 2));
}

static const char *why_no_request(const json_t *request)
{
    const json_t *using = json_object_get(request, "using");
    const json_t *calls = json_object_get(request, "methodCalls");
    const json_t *created = json_object_get(request, "createdIds");
    const char *key;
    json_t *value;
    size_t i;
    if (!json_is_array(using) || !json_is_array(calls))
        return "a request is an object with the arrays `using` and `methodCalls`";
    json_array_foreach(using, i, value) if (!json_is_string(value)) return "`using` holds strings";
    json_array_foreach(calls, i, value) if (!is_call(value)) return "a method call is [name, "
                                                                    "arguments, id]";
    if (created && !json_is_object(created))
        return "`createdIds` is an object";
    json_object_foreach((json_t *)(uintptr_t)created, key,
                        value) if (!json_is_string(value)) return "`createdIds` holds strings";
    return NULL;
}

/* 0: all are known. */
static unsigned judge_using(const json_t *request, unsigned *ret_using, struct buf *out)
{
    const json_t *value;
    size_t i;
    json_array_foreach(json_object_get(request, "using"), i, value)
    {
        unsigned bit = 0;
        for (size_t k = 0; k < sizeof(capabilities) / sizeof(capabilities[0]); k++)
            if (strcmp(json_string_value(value), capabilities[k].urn) == 0)
                bit = capabilities[k].bit;
        if (!bit) {
            char text[200];
            snprintf(text, sizeof(text), "this server does not know the capability \"%.120s\"",
                     json_string_value(value));
            return problem(out, 400, "unknownCapability", NULL, text);
        }
        *ret_using |= bit;
    }
    return 0;
}

/* What came, once it is read. */
struct request {
    json_t *json;
    size_t n_values;
    unsigned using;
};

/* 0: a request. */
static unsigned judge(const json_t *request, const struct jmap_caller *who, unsigned *ret_using,
                      struct buf *out)
{
    const char *why = why_no_request(request);
    if (why)
        return problem(out, 400, "notRequest", NULL, why);
    if (json_array_size(json_object_get(request, "methodCalls")) > JMAP_CALLS_MAX)
        return limited(out, REFUSE_JMAP_LIMIT, who, "maxCallsInRequest",
                       "more method calls in one request than this server takes");
    return judge_using(request, ret_using, out);
}

/* ---- calls ---- */

static const struct method *method_of(const char *name, unsigned using)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].capability & using ? &methods[i] : NULL;
    return NULL;
}

/* The answers from `first` on, behind what stands there of earlier calls, up to so many bytes of
 * all. False: they do not fit, and nothing was added. */
static bool say(struct jmap_run *r, size_t first, size_t bytes_max, struct buf *out)
{
    size_t max = out->max, before = out->n;
    if (max > r->out_begin + bytes_max)
        out->max = r->out_begin + bytes_max;
    for (size_t i = first; i < json_array_size(r->answers); i++) {
        buf_adds(out, i ? SLICE(",") : SLICE(""));
        jmap_write(out, json_incref(json_array_get(r->answers, i)));
    }
    bool is_said = !out->failed;
    out->max = max;
    out->n = is_said ? out->n : before;
    out->failed = false;
    return is_said;
}

/* What the call has changed stays changed (RFC 8620 3.6.2). */
static void say_too_large(struct jmap_run *r, const struct jmap_call *c, size_t first, bool is_done,
                          struct buf *out)
{
    while (json_array_size(r->answers) > first)
        json_array_remove(r->answers, json_array_size(r->answers) - 1);
    jmap_refuse_limit(r, c, REFUSE_JMAP_SIZE, is_done ? "serverPartialFail" : "requestTooLarge",
                      "all answers together would be larger than %d bytes", JMAP_ANSWER_MAX);
    /* Names and ids of calls stand in the request, too: there is always room for them. */
    must(say(r, first, JMAP_ANSWER_MAX + JMAP_ENVELOPE_MAX, out));
}

static void run_call(struct jmap_run *r, const json_t *call, struct buf *out)
{
    size_t first = json_array_size(r->answers);
    uint64_t modseq = account_modseq(r->account);
    struct jmap_call c = {.name = json_string_value(json_array_get(call, 0)),
                          .id = json_string_value(json_array_get(call, 2)),
                          .args = json_copy(json_array_get(call, 1))};
    const struct method *m = method_of(c.name, r->using);
    const char *error = m ? jmap_resolve(r, c.args) : "unknownMethod";
    struct errinfo ei;
    if (jmap_is_late(r))
        jmap_refuse_err(r, &c, jmap_late(&ei), &ei);
    else if (error)
        jmap_refuse(r, &c, error, NULL);
    else
        m->run(r, &c);
    if (!say(r, first, JMAP_ANSWER_MAX, out))
        say_too_large(r, &c, first, account_modseq(r->account) != modseq, out);
    json_decref(c.args);
    arena_reset(r->arena);
}

static void write_answers(struct jmap_run *r, const json_t *request, struct buf *out)
{
    char state[JMAP_SESSION_STATE_TEXT];
    const json_t *call;
    size_t i;
    buf_adds(out, SLICE("{\"methodResponses\":["));
    r->out_begin = out->n;
    json_array_foreach(json_object_get(request, "methodCalls"), i, call) run_call(r, call, out);
    buf_adds(out, SLICE("]"));
    if (json_object_get(request, "createdIds")) {
        buf_adds(out, SLICE(",\"createdIds\":"));
        jmap_write(out, json_incref(r->created));
    }
    jmap_session_state(r->who, state);
    buf_addf(out, ",\"sessionState\":\"%s\"}", state);
}

static unsigned run_calls(struct jmap_run *r, const json_t *request, struct buf *out)
{
    struct errinfo ei;
    const json_t *created = json_object_get(request, "createdIds");
    if (jmap_mailbox_provide(r, &ei) != ERR_OK || jmap_identity_provide(r, &ei) != ERR_OK)
        return busy(out, r->who, &ei);
    arena_reset(r->arena);
    r->answers = json_array();
    r->created = created ? json_copy((json_t *)(uintptr_t)created) : json_object();
    write_answers(r, request, out);
    json_decref(r->answers);
    json_decref(r->created);
    return 200;
}

static unsigned run_request(struct jmap *j, struct store_reader *reader,
                            const struct jmap_caller *who, const struct request *q, struct buf *out)
{
    struct errinfo ei;
    SCOPED(arena_destroy) struct arena *arena = jmap_memory_create();
    SCOPED(arena_destroy) struct arena *scratch = jmap_memory_create();
    struct jmap_run r = {.j = j,
                         .host = &j->host,
                         .reader = reader,
                         .who = who,
                         .arena = arena,
                         .scratch = scratch,
                         .n_values = q->n_values,
                         .using = q->using,
                         .until = mono_now() + SECONDS(JMAP_REQUEST_SECONDS)};
    if (account_hold(j->accounts, reader, who->person, SECONDS(10), &r.account, &ei) != ERR_OK)
        return busy(out, who, &ei);
    /* Behind the hold: nobody else changes the account by what is shown from here on. */
    r.is_behind =
        !j->host.caught_up(j->host.arg) || account_catch_up(r.account, reader, &ei) != ERR_OK;
    unsigned status = run_calls(&r, q->json, out);
    account_let_go(&r.account);
    return status;
}

unsigned jmap_api(struct jmap *j, struct store_reader *reader, const struct jmap_caller *who,
                  struct slice body, struct buf *out)
{
    struct request q = {};
    if (body.n > JMAP_SIZE_REQUEST_MAX)
        return limited(out, REFUSE_JMAP_LIMIT, who, "maxSizeRequest",
                       "the request is larger than this server takes");
    unsigned depth;
    q.n_values = jmap_count_values(body, &depth);
    if (depth > JMAP_DEPTH_MAX || q.n_values > JMAP_VALUES_MAX) {
        jmap_count(REFUSE_JMAP_SHAPE, "request", who);
        return problem(out, 400, "notRequest", NULL,
                       "arrays and objects stand too deep in others, or are too many");
    }
    json_error_t error;
    q.json =
        json_loadb(body.p ? body.p : "", body.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!q.json)
        return problem(out, 400, "notJSON", NULL, error.text);
    unsigned status =
        jmap_is_ijson(q.json)
            ? judge(q.json, who, &q.using, out)
            : problem(out, 400, "notJSON", NULL, "a text has code points that are no characters");
    if (status == 0)
        status = run_request(j, reader, who, &q, out);
    json_decref(q.json);
    return status;
}
