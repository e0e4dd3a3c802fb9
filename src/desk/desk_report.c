/* What processes report by themselves: refusals, figures, how near limits came. */
#include "desk/desk_int.h"

#include <stdio.h>
#include <unistd.h>

/* ---- refusals ---- */

static void count_refusal(struct desk *d, uint32_t id, uint64_t n, struct slice who)
{
    struct admin_refusal *r = &d->refusals[id];
    snprintf(d->refusal_who[id], sizeof(d->refusal_who[id]), "%.*s", SLICE_ARG(who));
    desk_limit_reached(d, id, n);
    r->who = d->refusal_who[id];
    r->n += n;
    r->n_ever += n;
    r->last = utc_now();
    d->values[id].is_unsaved = true;
}

static bool take_refusals(struct desk *d, struct slice payload)
{
    struct ipc_refusals all;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    if (!ipc_refusals_unpack(payload, arena, &all))
        return false;
    for (uint32_t i = 0; i < all.n_refusals; i++) {
        if (all.refusals[i].id >= REFUSE_N)
            return false;
        count_refusal(d, all.refusals[i].id, all.refusals[i].n, all.refusals[i].who);
    }
    return true;
}

static void own_refusals(struct desk *d)
{
    static struct refuse_count counts[REFUSE_N];
    if (!refuse_take_counts(counts))
        return;
    for (uint32_t i = 0; i < REFUSE_N; i++)
        if (counts[i].n)
            count_refusal(d, i, counts[i].n, slice_str(counts[i].who));
}

/* ---- figures ---- */

static void set_figure(struct desk *d, const char *process, struct slice name, uint64_t value)
{
    char key[80];
    snprintf(key, sizeof(key), "%.*s", SLICE_ARG(name));
    for (size_t i = 0; i < d->n_figures; i++)
        if (strcmp(d->figures[i].process, process) == 0 && strcmp(d->figures[i].name, key) == 0) {
            d->figures[i].value = value;
            return;
        }
    if (d->n_figures == FIGURES_MAX)
        return;
    struct figure *f = &d->figures[d->n_figures++];
    snprintf(f->process, sizeof(f->process), "%s", process);
    snprintf(f->name, sizeof(f->name), "%s", key);
    f->value = value;
}

static bool take_figures(struct desk *d, const char *process, struct slice payload)
{
    struct ipc_figures all;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    if (!ipc_figures_unpack(payload, arena, &all))
        return false;
    for (uint32_t i = 0; i < all.n_figures; i++)
        set_figure(d, process, all.figures[i].name, all.figures[i].value);
    return true;
}

/* ---- how near limits came: one row an hour ---- */

enum { HOUR_MS = 3600000, HIGHS_BYTES = REFUSE_N * 100 };

struct highs_change {
    struct store_change change;
    struct buf facts;
};

/* What is lost with a failing disk is a little history. */
static void highs_written(struct store_change *change, enum err, const struct errinfo *)
{
    struct highs_change *w = change->arg;
    buf_finish(&w->facts);
    mem_free(&w);
}

/* Only what is worse than what this hour has already. */
static void keep_highs(struct desk *d, const struct ipc_high *highs, uint32_t n)
{
    struct record_high list[REFUSE_N];
    struct record_highs all = {list, 0};
    utc_ms now = utc_now();
    for (uint32_t i = 0; i < n && all.n_highs < REFUSE_N; i++) {
        struct desk_high *h = &d->highs[highs[i].id];
        int64_t hour = now / HOUR_MS;
        if (h->hour == hour &&
            !refuse_is_worse((enum refuse_id)highs[i].id, highs[i].value, h->value))
            continue;
        *h = (struct desk_high){hour, highs[i].value};
        list[all.n_highs++] = (struct record_high){
            .refusal = highs[i].id, .time = now, .value = highs[i].value, .who = highs[i].who};
    }
    if (all.n_highs == 0)
        return;
    struct highs_change *w = mem_new(sizeof(*w));
    w->facts = buf_make(HIGHS_BYTES);
    record_highs_pack(&w->facts, &all);
    must(!w->facts.failed);
    w->change = (struct store_change){.type = RECORD_HIGH,
                                      .is_lazy = true,
                                      .facts = buf_slice(&w->facts),
                                      .done = highs_written,
                                      .arg = w};
    store_submit(d->store, &w->change);
}

static bool take_highs(struct desk *d, struct slice payload)
{
    struct ipc_highs all;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    if (!ipc_highs_unpack(payload, arena, &all))
        return false;
    for (uint32_t i = 0; i < all.n_highs; i++)
        if (all.highs[i].id >= REFUSE_N ||
            refuse_when((enum refuse_id)all.highs[i].id) == REFUSE_NOT_MEASURED)
            return false;
    keep_highs(d, all.highs, all.n_highs);
    return true;
}

static void own_highs(struct desk *d)
{
    static struct refuse_high highs[REFUSE_N];
    struct ipc_high list[REFUSE_N];
    uint32_t n = 0;
    if (!refuse_take_highs(mono_now(), highs))
        return;
    for (uint32_t i = 0; i < REFUSE_N; i++)
        if (highs[i].is_known)
            list[n++] = (struct ipc_high){i, highs[i].value, slice_str(highs[i].who)};
    keep_highs(d, list, n);
}

static bool load_high(void *arg, const struct record_high *high)
{
    struct desk_high *h = arg;
    *h = (struct desk_high){high->time / HOUR_MS, high->value};
    return true;
}

enum err desk_highs_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    utc_ms since = utc_now() / HOUR_MS * HOUR_MS;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < REFUSE_N && err == ERR_OK; i++)
        if (refuse_when((enum refuse_id)i) != REFUSE_NOT_MEASURED)
            err = store_each_high(reader, i, since, load_high, &d->highs[i], ei);
    return err;
}

/* ---- all of them ---- */

void desk_report_tick(struct desk *d)
{
    own_refusals(d);
    own_highs(d);
}

bool desk_is_report(uint16_t type)
{
    return type == IPC_T_refusals || type == IPC_T_figures || type == IPC_T_highs;
}

bool desk_take_report(struct desk *d, const char *process, const struct net_frame *f)
{
    must(desk_is_report(f->type));
    if (f->type == IPC_T_refusals)
        return take_refusals(d, f->payload);
    if (f->type == IPC_T_figures)
        return take_figures(d, process, f->payload);
    return take_highs(d, f->payload);
}

/* ---- the resolver: it only reports ---- */

void desk_resolver_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct peer *p = arg;
    struct desk *d = p->desk;
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_RESOLVER, IPC_CORE) &&
                   desk_is_report(f->type) && desk_take_report(d, "resolver", f);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    desk_resolver_closed(p, NULL);
    desk_peer_nonsense(d, IPC_RESOLVER, 1, what);
}

void desk_resolver_closed(void *arg, struct net_link *)
{
    struct peer *p = arg;
    net_link_close(&p->link);
}
