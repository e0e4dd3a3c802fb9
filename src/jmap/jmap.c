/* A request: its envelope is judged, its calls run one after another (RFC 8620 section 3). */
#include "jmap/jmap_mailbox_int.h"

#include <stdio.h>

enum { ARENA_MAX = 256 << 20, ANSWER_DEPTH = 64 };

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

/* The library goes down as deep as the text says; this one byte a level does not. */
static bool is_too_deep(struct slice body)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < body.n; i++) {
        char ch = body.p[i];
        if (in_string && ch == '\\')
            i++;
        else if (ch == '"')
            in_string = !in_string;
        else if (!in_string && (ch == '{' || ch == '['))
            depth++;
        else if (!in_string && (ch == '}' || ch == ']') && depth > 0)
            depth--;
        if (depth > JMAP_DEPTH_MAX)
            return true;
    }
    return false;
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

static void run_call(struct jmap_run *r, const json_t *call)
{
    struct jmap_call c = {.name = json_string_value(json_array_get(call, 0)),
                          .id = json_string_value(json_array_get(call, 2)),
                          .args = json_copy(json_array_get(call, 1))};
    const struct method *m = method_of(c.name, r->using);
    const char *error = m ? jmap_resolve(r, c.args) : "unknownMethod";
    if (mono_now() > r->until)
        jmap_refuse_limit(r, &c, REFUSE_JMAP_TIME, "serverUnavailable",
                          "this request took too long; ask for less at once");
    else if (error)
        jmap_refuse(r, &c, error, NULL);
    else
        m->run(r, &c);
    json_decref(c.args);
}

static void write_answers(struct jmap_run *r, const json_t *request, struct buf *out)
{
    char state[JMAP_SESSION_STATE_TEXT];
    jmap_session_state(r->who, state);
    json_t *answer = json_pack("{s:O, s:s}", "methodResponses", r->answers, "sessionState", state);
    if (json_object_get(request, "createdIds"))
        json_object_set(answer, "createdIds", r->created);
    jmap_write(out, answer);
}

static unsigned run_request(struct jmap *j, struct store_reader *reader,
                            const struct jmap_caller *who, const json_t *request, unsigned using,
                            struct buf *out)
{
    struct errinfo ei;
    SCOPED(arena_destroy) struct arena *arena = arena_create(ARENA_MAX);
    struct jmap_run r = {.j = j,
                         .host = &j->host,
                         .reader = reader,
                         .who = who,
                         .arena = arena,
                         .using = using,
                         .until = mono_now() + SECONDS(JMAP_REQUEST_SECONDS)};
    if (account_hold(j->accounts, reader, who->person, SECONDS(10), &r.account, &ei) != ERR_OK)
        return busy(out, who, &ei);
    if (jmap_mailbox_provide(&r, &ei) != ERR_OK || jmap_identity_provide(&r, &ei) != ERR_OK) {
        account_let_go(&r.account);
        return busy(out, who, &ei);
    }
    const json_t *created = json_object_get(request, "createdIds");
    const json_t *call;
    size_t i;
    r.answers = json_array();
    r.created = created ? json_copy((json_t *)(uintptr_t)created) : json_object();
    json_array_foreach(json_object_get(request, "methodCalls"), i, call) run_call(&r, call);
    write_answers(&r, request, out);
    json_decref(r.answers);
    json_decref(r.created);
    account_let_go(&r.account);
    return 200;
}

unsigned jmap_api(struct jmap *j, struct store_reader *reader, const struct jmap_caller *who,
                  struct slice body, struct buf *out)
{
    unsigned using = 0;
    if (body.n > JMAP_SIZE_REQUEST_MAX)
        return limited(out, REFUSE_JMAP_LIMIT, who, "maxSizeRequest",
                       "the request is larger than this server takes");
    if (is_too_deep(body)) {
        jmap_count(REFUSE_JMAP_SHAPE, "request", who);
        return problem(out, 400, "notRequest", NULL, "arrays and objects stand too deep in others");
    }
    json_error_t error;
    json_t *request = json_loadb(body.p ? body.p : "", body.n, JSON_REJECT_DUPLICATES, &error);
    if (!request)
        return problem(out, 400, "notJSON", NULL, error.text);
    unsigned status = judge(request, who, &using, out);
    if (status == 0)
        status = run_request(j, reader, who, request, using, out);
    json_decref(request);
    return status;
}
