/* Circuit of the courier: jobs of core -> threads that deliver -> results; names by the resolver.
 */
#include "daemon/child.h"

#include "base/refuse.h"
#include "courier/courier.h"
#include "daemon/outside.h"
#include "daemon/report.h"

struct courier_state {
    struct child *child;
    struct outside outside;
    struct courier *courier;
    struct report *report;
    struct net_link *core;
    struct map *contents; /* tag -> struct upload */
};

struct upload {
    struct arena *arena; /* of the job, which came first */
    struct ipc_job job;
    struct buf content;
};

static void upload_free(struct upload *u)
{
    buf_finish(&u->content);
    arena_destroy(&u->arena);
    mem_free(&u);
}

/* Any thread. */
static void on_done(void *arg, uint64_t tag, const struct ipc_result *result)
{
    struct courier_state *s = arg;
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    ipc_result_pack(&b, result);
    report_send(s->report, IPC_T_result, tag, &b);
}

static bool begin_if_whole(struct courier_state *s, uint64_t tag, struct upload *u)
{
    if (u->content.n < u->job.bytes)
        return true;
    if (u->content.n > u->job.bytes)
        return false;
    courier_job(s->courier, tag, &u->job, &u->content);
    map_del(s->contents, KEY(tag));
    upload_free(u);
    return true;
}

static bool take_job(struct courier_state *s, const struct net_frame *f)
{
    struct upload *u = mem_new(sizeof(*u));
    u->arena = arena_create(2 * IPC_LIST_FRAME_MAX);
    struct slice payload = arena_copy(u->arena, f->payload);
    if (map_get(s->contents, KEY(f->tag)) || !ipc_job_unpack(payload, u->arena, &u->job) ||
        u->job.n_rcpts == 0) {
        upload_free(u);
        return false;
    }
    u->content = buf_make(u->job.bytes ? u->job.bytes : 1);
    buf_reserve(&u->content, u->job.bytes);
    map_put(s->contents, KEY(f->tag), u);
    return begin_if_whole(s, f->tag, u);
}

static bool take_content(struct courier_state *s, const struct net_frame *f)
{
    struct upload *u = map_get(s->contents, KEY(f->tag));
    if (!u)
        return false;
    buf_adds(&u->content, f->payload);
    return !u->content.failed && begin_if_whole(s, f->tag, u);
}

static void forget_core(struct courier_state *s)
{
    size_t at = 0;
    void *value;
    report_link(s->report, NULL);
    net_link_close(&s->core);
    while (map_next(s->contents, &at, NULL, &value))
        upload_free(value);
    map_destroy(&s->contents);
    s->contents = map_create();
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct courier_state *s = arg;
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_CORE, IPC_COURIER);
    if (f->fd >= 0)
        fd_close(&f->fd);
    if (is_good)
        is_good = f->type == IPC_T_job ? take_job(s, f) : take_content(s, f);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    forget_core(s);
    child_nonsense(s->child, IPC_CORE, 1, what);
}

static void on_closed(void *arg, struct net_link *)
{
    forget_core(arg); /* what runs goes on; its results have nobody to go to, core lists them */
}

static void figures(void *arg, struct report *report)
{
    struct courier_state *s = arg;
    struct courier_figures f;
    courier_figures(s->courier, &f);
    report_figure(report, "courier_connections_opened", f.n_opened);
    report_figure(report, "courier_connections_reused", f.n_reused);
    report_figure(report, "courier_delivered", f.n_delivered);
    report_figure(report, "courier_refused", f.n_refused);
    report_figure(report, "courier_failed", f.n_failed);
    report_figure(report, "courier_running", f.n_running);
    report_figure(report, "courier_idle_connections", f.n_idle);
}

static void courier_before_sandbox(struct child *c)
{
    struct courier_state *s = mem_new(sizeof(*s));
    s->child = c;
    child_set_state(c, s);
    outside_prepare(c, &s->outside);
}

static void courier_start(struct child *c)
{
    struct courier_state *s = child_state(c);
    const struct settings *settings = child_settings(c);
    s->contents = map_create();
    s->outside.names = names_create(c);
    s->outside.network.resolve = names_ask;
    s->outside.network.resolve_arg = s->outside.names;
    s->report = report_create(child_loop(c), figures, s);
    struct courier_options o = courier_options_usual();
    o.threads = (unsigned)settings->courier.threads;
    /* Core keeps to courier.jobs, and hears of an end before it is counted here. */
    o.jobs = (unsigned)(settings->courier.jobs + settings->courier.threads);
    o.per_destination = o.threads - 1; /* core leases by its own ceilings */
    o.network = s->outside.network;
    o.done = on_done;
    o.done_arg = s;
    s->courier = courier_create(&o);
    child_ready(c);
}

static void courier_linked(struct child *c, enum ipc_role peer, unsigned, int fd)
{
    struct courier_state *s = child_state(c);
    struct net_link_options o = {.frame_max = IPC_LIST_FRAME_MAX,
                                 .queue_max = (size_t)64 << 20,
                                 .frame = on_frame,
                                 .closed = on_closed,
                                 .arg = s};
    if (peer == IPC_RESOLVER) {
        names_link(s->outside.names, fd);
    } else if (peer == IPC_CORE) {
        forget_core(s);
        s->core = net_link_open(child_loop(c), fd, &o);
        report_link(s->report, s->core);
    } else {
        fd_close(&fd);
    }
}

static void courier_stop_all(struct child *c)
{
    struct courier_state *s = child_state(c);
    names_cancel(s->outside.names);
    courier_stop(s->courier, mono_now() + SECONDS(2)); /* blocks the loop; results leave directly */
    child_done(c);
}

static void courier_settings_changed(struct child *c)
{
    struct courier_state *s = child_state(c);
    outside_reload(c, &s->outside);
}

const struct role_wiring wiring_courier = {
    .before_sandbox = courier_before_sandbox,
    .start = courier_start,
    .linked = courier_linked,
    .stop = courier_stop_all,
    .settings_changed = courier_settings_changed,
};
