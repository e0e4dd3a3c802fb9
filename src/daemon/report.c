/* A process's words to core. */
#include "daemon/report.h"

#include "base/log.h"
#include "base/refuse.h"

#include <pthread.h>

enum { FIGURES_MAX = 64 };

struct report {
    pthread_mutex_t lock;
    struct net_link *core; /* under lock */
    struct net_timer *tick;
    void (*figures)(void *arg, struct report *r);
    void *arg;
    struct ipc_figure list[FIGURES_MAX]; /* loop only */
    uint32_t n;
};

void report_send(struct report *r, enum ipc_type type, uint64_t tag, struct buf *payload)
{
    pthread_mutex_lock(&r->lock);
    if (r->core && !payload->failed)
        (void)!net_link_send(r->core, (uint16_t)type, tag, buf_slice(payload), SLICE(""));
    pthread_mutex_unlock(&r->lock);
}

static void send_refusals(struct report *r)
{
    static struct refuse_count counts[REFUSE_N]; /* loop only */
    struct ipc_refusal list[REFUSE_N];
    struct ipc_refusals all = {.refusals = list};
    if (!refuse_take_counts(counts))
        return;
    for (uint32_t i = 0; i < REFUSE_N; i++)
        if (counts[i].n)
            list[all.n_refusals++] = (struct ipc_refusal){i, counts[i].n, slice_str(counts[i].who)};
    SCOPED(buf_finish) struct buf b = buf_make(1 << 17);
    ipc_refusals_pack(&b, &all);
    report_send(r, IPC_T_refusals, 0, &b);
}

static void send_highs(struct report *r)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 14);
    if (ipc_take_highs(mono_now(), &b))
        report_send(r, IPC_T_highs, 0, &b);
}

void report_figure(struct report *r, const char *name, uint64_t value)
{
    must(r->n < FIGURES_MAX);
    r->list[r->n++] = (struct ipc_figure){slice_str(name), value};
}

static void on_tick(void *arg)
{
    struct report *r = arg;
    send_refusals(r);
    send_highs(r);
    r->n = 0;
    if (r->figures)
        r->figures(r->arg, r);
    report_figure(r, "log_lines_dropped", log_dropped());
    struct ipc_figures all = {r->list, r->n};
    SCOPED(buf_finish) struct buf b = buf_make(1 << 14);
    ipc_figures_pack(&b, &all);
    report_send(r, IPC_T_figures, 0, &b);
    net_timer_set(r->tick, SECONDS(1));
}

struct report *report_create(struct net_loop *l, void (*figures)(void *arg, struct report *r),
                             void *arg)
{
    struct report *r = mem_new(sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    r->figures = figures;
    r->arg = arg;
    r->tick = net_timer_create(l, on_tick, r);
    net_timer_set(r->tick, SECONDS(1));
    return r;
}

void report_link(struct report *r, struct net_link *core)
{
    pthread_mutex_lock(&r->lock);
    r->core = core;
    pthread_mutex_unlock(&r->lock);
}
