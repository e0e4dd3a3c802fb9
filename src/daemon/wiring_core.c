/* Circuit of core: links of all others -> desk -> store. No network at all. */
#include "daemon/child.h"

#include "base/refuse.h"
#include "desk/desk.h"
#include "login/login.h"
#include "store/store.h"

#include <arpa/inet.h>
#include <stdio.h>

/* What SIZE may announce can also be kept. */
static_assert((int)SETTINGS_MESSAGE_MAX + (int)DESK_PREFIX_MAX <= (int)STORE_MESSAGE_MAX,
              "the largest message with our headers is storable");

static void on_nonsense(void *arg, enum ipc_role peer, unsigned number, const char *why)
{
    child_nonsense(arg, peer, number, why);
}

static void on_progress(void *arg, unsigned percent)
{
    child_progress(arg, percent, "reading the log");
}

static void core_before_sandbox(struct child *)
{
    store_before_sandbox();
    login_before_sandbox();
}

static struct desk_controls controls_of(const struct settings *s)
{
    struct desk_controls ret = {};
    const struct settings_addresses *from = &s->continuity.controls;
    uint32_t max = sizeof(ret.hosts) / sizeof(ret.hosts[0]);
    for (uint32_t i = 0; i < from->n && i < max; i++) {
        const struct settings_address *a = &from->list[i];
        (void)inet_ntop(a->n_bytes == 4 ? AF_INET : AF_INET6, a->bytes, ret.hosts[i].address,
                        sizeof(ret.hosts[i].address));
        ret.hosts[i].port = a->port;
        ret.n_hosts++;
    }
    (void)snprintf(ret.name, sizeof(ret.name), "%s", s->continuity.control_name);
    return ret;
}

static struct desk_limits limits_of(const struct settings *s)
{
    return (struct desk_limits){
        .controls = controls_of(s),
        .free_percent = (uint32_t)s->store.free_percent,
        .alarm_percent = (uint32_t)s->store.alarm_percent,
        .message_bytes = s->limits.message_bytes,
        .bytes_in_flight = s->limits.bytes_in_flight,
        .mailbox_bytes = s->https.mailbox_memory,
        .web_bytes = s->https.bytes,
        .queue_items = (uint32_t)s->queue.items,
        .per_destination = (uint32_t)s->queue.per_destination,
        .per_primary = (uint32_t)s->queue.per_primary,
    };
}

static void core_start(struct child *c)
{
    const struct settings *s = child_settings(c);
    struct desk *desk = NULL;
    struct errinfo ei;
    struct desk_options o = {
        .loop = child_loop(c),
        .node = mem_str(s->node.name), /* settings go when new ones come */
        .data = mem_str(s->node.data),
        .segment_bytes = (uint32_t)s->store.segment_bytes,
        .store_pool = (unsigned)s->store.pool,
        .limits = limits_of(s),
        .jobs = (uint32_t)s->courier.jobs,
        .store_changes = (uint32_t)s->store.queue,
        .hops_ours = (uint32_t)refuse_row(REFUSE_LOOP_OURS)->limit,
        .arg = c,
        .nonsense = on_nonsense,
        .progress = on_progress,
    };
    if (desk_create(&o, &desk, &ei) != ERR_OK)
        child_fail(c, "The store in %s cannot be opened: %s", s->node.data, ei.text);
    child_set_state(c, desk);
    child_ready(c);
}

static void core_linked(struct child *c, enum ipc_role peer, unsigned number, int fd)
{
    desk_link(child_state(c), peer, number, fd);
}

static void core_processes(struct child *c, const struct ipc_processes *p)
{
    desk_processes(child_state(c), p);
}

static void stopped(void *arg)
{
    struct child *c = arg;
    struct desk *desk = child_state(c);
    child_set_state(c, NULL);
    desk_destroy(&desk); /* commits */
    child_done(c);
}

static void core_stop(struct child *c)
{
    desk_stop(child_state(c), SECONDS(3), stopped, c);
}

static void core_settings_changed(struct child *c)
{
    struct desk_limits limits = limits_of(child_settings(c));
    desk_limits(child_state(c), &limits);
}

const struct role_wiring wiring_core = {
    .before_sandbox = core_before_sandbox,
    .start = core_start,
    .linked = core_linked,
    .processes = core_processes,
    .stop = core_stop,
    .settings_changed = core_settings_changed,
};
