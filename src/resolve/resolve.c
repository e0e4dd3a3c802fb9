/* The resolver: questions over libunbound, answers on the loop, each within its deadline. */
#include "resolve/resolve.h"

#include <stdio.h>
#include <unbound.h>

#include "base/refuse.h"
#include "resolve/resolve_int.h"

enum { RECORDS_MAX = 256, CLASS_IN = 1, RCODE_NXDOMAIN = 3 };

/* The library, once with and once without a memory. Its thread starts with the first question. */
struct asker {
    struct ub_ctx *ub;
    struct net_watch *watch;
};

struct resolve {
    struct net_loop *loop;
    struct resolve_options o;
    struct asker usual, fresh;
    struct list questions;
    struct resolve_figures figures;
    struct ipc_name_record records[RECORDS_MAX]; /* of the answer that is being told */
};

struct question {
    struct list node;
    struct resolve *resolve;
    struct asker *asker;
    struct net_timer *late;
    uint64_t tag;
    int id; /* the library's */
};

struct resolve_options resolve_options_usual(void)
{
    return (struct resolve_options){
        .asks = (unsigned)refuse_row(REFUSE_QUESTIONS)->limit,
        .deadline = SECONDS(25),
    };
}

struct resolve_figures resolve_figures(const struct resolve *r)
{
    return r->figures;
}

/* ---- answers ------------------------------------------------------------------------------------
 */

static void question_end(struct question *q)
{
    q->resolve->figures.n_open--;
    list_remove(&q->node);
    net_timer_destroy(&q->late);
    mem_free(&q);
}

static void tell(struct resolve *r, uint64_t tag, const struct ipc_name_told *told)
{
    r->figures.n_failed += told->status == IPC_NAME_FAILED;
    r->figures.n_bogus += told->status == IPC_NAME_BOGUS;
    r->o.told(r->o.arg, tag, told);
}

static void tell_failed(struct resolve *r, uint64_t tag, const char *why)
{
    struct ipc_name_told told = {.status = IPC_NAME_FAILED, .why = slice_str(why)};
    tell(r, tag, &told);
}

static enum ipc_name_status status_of(const struct ub_result *u)
{
    if (u->bogus)
        return IPC_NAME_BOGUS;
    if (u->nxdomain || u->rcode == RCODE_NXDOMAIN)
        return IPC_NAME_NO_NAME;
    if (u->rcode != 0)
        return IPC_NAME_FAILED;
    return u->havedata ? IPC_NAME_OK : IPC_NAME_NO_DATA;
}

static void on_answer(void *arg, int failed, struct ub_result *u)
{
    struct question *q = arg;
    struct resolve *r = q->resolve;
    uint64_t tag = q->tag;
    char why[200] = "";
    question_end(q);
    if (failed || !u) {
        tell_failed(r, tag, failed ? ub_strerror(failed) : "no answer");
        return;
    }
    struct ipc_name_told told = {.status = status_of(u), .is_secure = u->secure != 0};
    told.ttl = u->ttl > 0 ? (uint32_t)u->ttl : 0;
    if (told.status == IPC_NAME_BOGUS)
        (void)snprintf(why, sizeof(why), "%.190s", u->why_bogus ? u->why_bogus : "bogus");
    if (told.status == IPC_NAME_FAILED)
        (void)snprintf(why, sizeof(why), "the servers answered with code %d", u->rcode);
    told.why = slice_str(why);
    told.records = r->records;
    bool has_records = told.status == IPC_NAME_OK && u->data;
    for (int i = 0; has_records && u->data[i] && told.n_records < RECORDS_MAX; i++)
        if (u->len[i] >= 0 && u->len[i] <= UINT16_MAX)
            r->records[told.n_records++].data = slice_of(u->data[i], (size_t)u->len[i]);
    tell(r, tag, &told);
    ub_resolve_free(u);
}

static void on_late(void *arg)
{
    struct question *q = arg;
    struct resolve *r = q->resolve;
    uint64_t tag = q->tag;
    (void)ub_cancel(q->asker->ub, q->id); /* its callback will not come any more */
    question_end(q);
    tell_failed(r, tag, "no answer in time");
}

static void on_readable(void *arg, int)
{
    struct asker *a = arg;
    (void)ub_process(a->ub); /* what fails there fails as an answer, or at its deadline */
}

/* ---- questions
 * ----------------------------------------------------------------------------------- */

void resolve_ask(struct resolve *r, uint64_t tag, const struct ipc_name_ask *ask)
{
    char name[RESOLVE_NAME_MAX];
    r->figures.n_asked++;
    if (!resolve_name_clean(ask->name, name)) {
        struct ipc_name_told told = {.status = IPC_NAME_NO_NAME, .why = SLICE("not a name")};
        tell(r, tag, &told);
        return;
    }
    refuse_measure(REFUSE_QUESTIONS, r->figures.n_open + 1, ask->name);
    if (r->figures.n_open >= r->o.asks) {
        tell_failed(r, tag, refuse(REFUSE_QUESTIONS, ask->name)->text);
        return;
    }
    struct question *q = mem_new(sizeof(*q));
    q->resolve = r;
    q->asker = ask->is_fresh ? &r->fresh : &r->usual;
    q->tag = tag;
    q->late = net_timer_create(r->loop, on_late, q);
    net_timer_set(q->late, r->o.deadline);
    list_append(&r->questions, &q->node);
    r->figures.n_open++;
    int failed = ub_resolve_async(q->asker->ub, name, ask->type, CLASS_IN, q, on_answer, &q->id);
    if (failed) {
        question_end(q);
        tell_failed(r, tag, ub_strerror(failed));
    }
}

/* ---- beginning and end
 * ----------------------------------------------------------------------------- */

static void set_options(struct ub_ctx *ub, const char *const options[][2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(ub_ctx_set_option(ub, options[i][0], options[i][1]) == 0);
}

/* Ceilings, and what is safer than the library's defaults. */
static void set_usual(struct ub_ctx *ub)
{
    static const char *const options[][2] = {
        {"do-not-query-localhost:", "no"}, /* our forwarder may well be on this machine */
        {"edns-buffer-size:", "1232"},     /* no fragments: nothing to forge between them */
        {"msg-cache-size:", "4m"},
        {"rrset-cache-size:", "8m"},
        {"key-cache-size:", "1m"},
        {"neg-cache-size:", "1m"},
        {"cache-max-ttl:", "86400"},
        {"cache-max-negative-ttl:", "300"}, /* a domain that was just set up */
        {"num-queries-per-thread:", "2048"},
        {"unwanted-reply-threshold:", "100000"},
        {"infra-keep-probing:", "yes"}, /* a forwarder that was down is asked again at once */
        {"root-key-sentinel:", "no"},
        {"trust-anchor-signaling:", "no"},
    };
    set_options(ub, options, sizeof(options) / sizeof(options[0]));
}

/* Of each cache only the last answer stays, which the next question drives out: a way to ask past
 * the cache the library does not have. */
static void set_forgetful(struct ub_ctx *ub)
{
    static const char *const options[][2] = {
        {"msg-cache-size:", "0"},           {"rrset-cache-size:", "0"},
        {"neg-cache-size:", "0"},           {"msg-cache-slabs:", "1"},
        {"rrset-cache-slabs:", "1"},        {"cache-max-negative-ttl:", "0"},
        {"cache-max-ttl:", "604800"}, /* TTLs are told as they are, up to a week */
        {"num-queries-per-thread:", "256"},
    };
    set_options(ub, options, sizeof(options) / sizeof(options[0]));
}

static enum err set_servers(struct ub_ctx *ub, const struct resolve_options *o, struct errinfo *ei)
{
    char text[64];
    for (size_t i = 0; i < o->n_forwarders; i++)
        if (!resolve_server_text(o->forwarders[i], text) || ub_ctx_set_fwd(ub, text) != 0)
            return err_set(ei, ERR_INVALID, "not the address of a resolver: " SLICE_FMT,
                           SLICE_ARG(o->forwarders[i]));
    for (size_t i = 0; i < o->n_roots; i++)
        if (!resolve_server_text(o->roots[i], text) || ub_ctx_set_stub(ub, ".", text, 1) != 0)
            return err_set(ei, ERR_INVALID, "not the address of a root server: " SLICE_FMT,
                           SLICE_ARG(o->roots[i]));
    return ERR_OK;
}

static enum err set_anchors(struct ub_ctx *ub, struct slice anchors, struct errinfo *ei)
{
    char text[4096];
    while (anchors.n > 0) {
        struct slice comment;
        struct slice line =
            slice_trim(slice_cut(slice_cut(anchors, '\n', &anchors), ';', &comment));
        if (line.n == 0)
            continue;
        if (line.n >= sizeof(text))
            return err_set(ei, ERR_INVALID, "a trust anchor is too long");
        (void)snprintf(text, sizeof(text), "%.*s", (int)line.n, line.p);
        if (ub_ctx_add_ta(ub, text) != 0)
            return err_set(ei, ERR_INVALID, "not a trust anchor: %.100s", text);
    }
    return ERR_OK;
}

/* Zones that the library believes to be empty (".test", private reverse zones) are asked for all
 * the same. The first of these calls also makes the library read its settings for good: all that it
 * would complain about or open, it does now and not in the sandbox. */
static enum err open_zones(struct ub_ctx *ub, const struct resolve_options *o, struct errinfo *ei)
{
    char name[RESOLVE_NAME_MAX];
    if (ub_ctx_zone_remove(ub, "nothing.invalid.") != 0)
        return err_set(ei, ERR_INVALID, "the trust anchors or servers cannot be used");
    for (size_t i = 0; i < o->n_opened; i++)
        if (!resolve_name_clean(o->opened[i], name) || ub_ctx_zone_remove(ub, name) != 0)
            return err_set(ei, ERR_INVALID, "not a zone: " SLICE_FMT, SLICE_ARG(o->opened[i]));
    return ERR_OK;
}

static enum err asker_create(struct resolve *r, struct asker *a, bool is_forgetful,
                             struct errinfo *ei)
{
    a->ub = ub_ctx_create();
    must(a->ub);
    must(ub_ctx_async(a->ub, 1) == 0);  /* a thread, not a process */
    (void)ub_ctx_debugout(a->ub, NULL); /* what matters comes as an answer */
    set_usual(a->ub);
    if (is_forgetful)
        set_forgetful(a->ub);
    enum err err = set_servers(a->ub, &r->o, ei);
    if (err == ERR_OK)
        err = set_anchors(a->ub, r->o.anchors, ei);
    if (err == ERR_OK)
        err = open_zones(a->ub, &r->o, ei);
    if (err != ERR_OK)
        return err;
    a->watch = net_watch_create(r->loop, ub_fd(a->ub), on_readable, a);
    net_watch_want(a->watch, NET_READ);
    return ERR_OK;
}

static void asker_finish(struct asker *a)
{
    net_watch_destroy(&a->watch);
    ub_ctx_delete(a->ub);
}

enum err resolve_create(struct net_loop *l, const struct resolve_options *o, struct resolve **ret,
                        struct errinfo *ei)
{
    struct resolve *r = mem_new(sizeof(*r));
    r->loop = l;
    r->o = *o;
    list_init(&r->questions);
    enum err err = asker_create(r, &r->usual, false, ei);
    if (err == ERR_OK)
        err = asker_create(r, &r->fresh, true, ei);
    if (err != ERR_OK) {
        resolve_destroy(&r);
        return err;
    }
    *ret = r;
    return ERR_OK;
}

void resolve_destroy(struct resolve **r)
{
    if (!*r)
        return;
    LIST_FOREACH (node, &(*r)->questions) {
        struct question *q = container_of(node, struct question, node);
        (void)ub_cancel(q->asker->ub, q->id);
        question_end(q);
    }
    asker_finish(&(*r)->usual);
    asker_finish(&(*r)->fresh);
    mem_free(r);
}
