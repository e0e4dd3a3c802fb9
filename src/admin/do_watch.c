/* Watches: what was found out about domains, mail systems and this node. */
#include "admin/admin_int.h"

#include <stdlib.h>

struct gathered {
    struct admin_call *c;
    uint64_t tenant; /* only of this company; 0: all */
    uint64_t domain; /* only of this domain; 0: all */
    struct slice class, name;
    struct admin_watch *list;
    size_t n, max;
};

static void take(void *cookie, const struct admin_watch *w)
{
    struct gathered *g = cookie;
    if ((g->tenant && w->tenant != g->tenant) || (g->domain && w->domain != g->domain) ||
        (g->class.n && !slice_eq(g->class, slice_str(w->class))) ||
        (g->name.n && !slice_ieq(g->name, w->name)))
        return;
    if (g->n == g->max) {
        size_t max = 2 * g->max + 64;
        struct admin_watch *more = ARENA_ARRAY(g->c->arena, struct admin_watch, max);
        if (g->n > 0)
            memcpy(more, g->list, g->n * sizeof(*more));
        g->list = more;
        g->max = max;
    }
    g->list[g->n++] = *w;
}

/* The worst first, then by what they are about. */
static int by_rank(const void *a, const void *b)
{
    const struct admin_watch *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? 1 : -1;
    int order = strcmp(x->about, y->about);
    order = order ? order : slice_cmp(x->name, y->name);
    return order ? order : strcmp(x->check, y->check);
}

static void write_watch(struct admin_call *c, const struct admin_watch *w)
{
    struct out *j = &c->json;
    out_object(j, NULL);
    out_word(j, "about", w->about);
    out_text(j, "name", w->name);
    if (w->tenant)
        out_text(j, "tenant", name_of_tenant(c->host, w->tenant));
    out_word(j, "check", w->check);
    out_word(j, "title", w->title);
    out_word(j, "class", w->class);
    out_text_if(j, "found", slice_str(w->found));
    out_text_if(j, "expected", slice_str(w->expected));
    out_text_if(j, "why", slice_str(w->why));
    out_text_if(j, "advice", slice_str(w->advice));
    out_time(j, "since", w->since);
    out_time(j, "looked", w->looked);
    out_truth(j, "stale", w->is_stale);
    out_close(j);
}

static void write_watches(struct admin_call *c, struct gathered *g)
{
    c->host->watches(c->host->arg, take, g);
    if (g->n > 1)
        qsort(g->list, g->n, sizeof(*g->list), by_rank);
    out_array(&c->json, "watches");
    for (size_t i = 0; i < g->n; i++)
        write_watch(c, &g->list[i]);
    out_close(&c->json);
}

void do_watch_list(struct admin_call *c)
{
    struct gathered g = {.c = c, .class = call_param(c, "class"), .name = call_param(c, "about")};
    if (!call_tenant_filter(c, &g.tenant))
        return;
    out_object(&c->json, NULL);
    write_watches(c, &g);
    out_close(&c->json);
    call_done(c);
}

static bool is_any_alarm(const struct gathered *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->list[i].class, "alarm") == 0)
            return true;
    return false;
}

static void looked(void *cookie, enum err err, const char *text)
{
    struct admin_call *c = cookie;
    const uint64_t *id = c->work;
    struct gathered g = {.c = c, .domain = *id};
    if (err != ERR_OK) {
        call_refuse(c, err == ERR_LIMIT ? 429 : 503,
                    "The domain could not be looked at: %s. Nothing was changed; what was found "
                    "before stays: `staffetta watch list`.",
                    text);
        return;
    }
    out_object(&c->json, NULL);
    write_watches(c, &g);
    out_truth(&c->json, "ok", !is_any_alarm(&g));
    out_close(&c->json);
    call_done(c);
}

void do_domain_check(struct admin_call *c)
{
    const struct directory_domain *d = call_path_domain(c);
    if (!d)
        return;
    uint64_t *id = ARENA_NEW(c->arena, uint64_t);
    *id = d->id;
    c->work = id;
    c->host->look(c->host->arg, d->id, looked, c);
}
