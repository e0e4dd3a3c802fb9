/* Circuit of a gate: listeners -> smtp -> link -> core. It connects to nobody and opens no file. */
#include "daemon/child.h"

#include "daemon/names.h"
#include "mime/text.h"
#include "smtp/smtp.h"

static_assert((int)CHILD_SHARED_BYTES >= (int)SMTP_SHARED_BYTES, "the counters fit");

struct gate_state {
    struct smtp_server *server;
    struct names *names;
};

static struct smtp_limits limits_of(const struct settings *s)
{
    return (struct smtp_limits){
        .message_bytes = s->limits.message_bytes,
        .header_bytes = s->limits.header_bytes,
        .bytes_in_flight = s->limits.bytes_in_flight / s->gate.count,
        .command_line_bytes = (uint32_t)s->limits.command_line_bytes,
        .connections = (uint32_t)(s->limits.connections / s->gate.count),
        .gates = (uint32_t)s->gate.count,
        .connections_per_address = (uint32_t)s->limits.connections_per_address,
        .connections_per_network = (uint32_t)s->limits.connections_per_network,
        .connections_per_minute = (uint32_t)s->limits.connections_per_minute,
        .recipients = (uint32_t)s->limits.recipients,
        .commands = (uint32_t)s->limits.commands,
        .idle_commands = (uint32_t)s->limits.commands_without_mail,
        .errors = (uint32_t)s->limits.errors,
        .messages = (uint32_t)s->limits.messages,
        .hops = (uint32_t)s->limits.hops,
        .command_sec = (uint32_t)(s->limits.time_command_us / SECONDS(1)),
        .data_sec = (uint32_t)(s->limits.time_data_us / SECONDS(1)),
        .transfer_sec = (uint32_t)(s->limits.time_message_us / SECONDS(1)),
    };
}

static size_t copy_networks(const struct settings_networks *from, struct smtp_cidr *to)
{
    size_t n = 0;
    for (; n < from->n && n < SMTP_CIDRS_MAX; n++) {
        to[n].n_bytes = from->list[n].n_bytes;
        to[n].prefix = from->list[n].prefix;
        memcpy(to[n].bytes, from->list[n].bytes, sizeof(to[n].bytes));
    }
    return n;
}

static struct smtp_port port_of(const struct settings_listen *l)
{
    struct smtp_port port = {
        .is_submission = l->service == SETTINGS_SUBMISSION,
        .is_tls_first = l->tls == SETTINGS_TLS_IMPLICIT,
        .has_starttls = l->tls == SETTINGS_TLS_STARTTLS,
    };
    port.n_proxies = copy_networks(&l->proxy, port.proxies);
    port.n_xclients = copy_networks(&l->xclient, port.xclients);
    return port;
}

static void take_tls(struct child *c, struct gate_state *g)
{
    struct net_tls *fresh = NULL;
    struct errinfo ei;
    struct slice certificate = child_file(c, CHILD_CERTIFICATE), key = child_file(c, CHILD_KEY);
    if (certificate.n == 0)
        return;
    if (net_tls_server_create(certificate, key, &fresh, &ei) != ERR_OK) {
        log_event(EV_SETTINGS, "what=tls why=%s", log_text(slice_str(ei.text)));
        return; /* the old pair stays */
    }
    smtp_server_tls(g->server, fresh);
    net_tls_unref(&fresh);
}

static void on_nonsense(void *arg, const char *why)
{
    child_nonsense(arg, IPC_CORE, 1, why);
}

static void gate_before_sandbox(struct child *)
{
    mime_charset_preload();
}

static void gate_start(struct child *c)
{
    const struct settings *s = child_settings(c);
    struct gate_state *g = mem_new(sizeof(*g));
    struct smtp_options o = {
        .loop = child_loop(c),
        .node = mem_str(s->node.name), /* settings go when new ones come */
        .number = child_number(c) - 1,
        .limits = limits_of(s),
        .shared = child_shared(c),
        .nonsense = on_nonsense,
        .arg = c,
        .resolve = names_ask,
    };
    g->names = names_create(c);
    o.resolve_arg = g->names;
    child_set_state(c, g);
    g->server = smtp_server_create(&o);
    take_tls(c, g);
    for (size_t i = 0; i < child_n_listeners(c); i++) {
        struct child_listener l = child_listener(c, i);
        struct smtp_port port = port_of(l.settings);
        smtp_server_listen(g->server, l.fd, &port);
    }
    child_ready(c);
}

static void gate_linked(struct child *c, enum ipc_role peer, unsigned, int fd)
{
    struct gate_state *g = child_state(c);
    if (peer == IPC_CORE)
        smtp_server_core(g->server, fd);
    else if (peer == IPC_RESOLVER)
        names_link(g->names, fd);
    else
        fd_close(&fd);
}

static void stopped(void *arg)
{
    child_done(arg);
}

static void gate_stop(struct child *c)
{
    struct gate_state *g = child_state(c);
    names_cancel(g->names);
    smtp_server_stop(g->server, SECONDS(4), stopped, c);
}

static void gate_settings_changed(struct child *c)
{
    struct gate_state *g = child_state(c);
    struct smtp_limits limits = limits_of(child_settings(c));
    smtp_server_limits(g->server, &limits);
    for (size_t i = 0; i < child_n_listeners(c); i++) {
        struct smtp_port port = port_of(child_listener(c, i).settings);
        smtp_server_port(g->server, i, &port);
    }
    take_tls(c, g);
}

const struct role_wiring wiring_gate = {
    .before_sandbox = gate_before_sandbox,
    .start = gate_start,
    .linked = gate_linked,
    .stop = gate_stop,
    .settings_changed = gate_settings_changed,
};
