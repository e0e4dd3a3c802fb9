/* Circuit of the door: HTTP of the administration's socket, of the figures and of people -> link ->
 * core. */
#include "daemon/child.h"

#include "web/web.h"

#include <unistd.h>

struct door_state {
    struct web_names *names;
    struct web_server *server;
};

static void on_nonsense(void *arg, const char *why)
{
    child_nonsense(arg, IPC_CORE, 1, why);
}

/* The list of users is a file: it is read before the sandbox forbids that. */
static void door_before_sandbox(struct child *c)
{
    struct door_state *s = mem_new(sizeof(*s));
    s->names = web_names_load();
    child_set_state(c, s);
}

static struct web_people people_of(const struct settings *s)
{
    struct web_people p = {
        .n_origins = s->https.origins.n,
        .n_proxies = s->https.proxies.n,
        .n_conns_max = (unsigned)s->https.connections,
        .n_conns_per_address = (unsigned)s->https.connections_per_address,
        .n_requests_max = (unsigned)s->https.requests,
        .n_requests_per_address = (unsigned)s->https.requests_per_address,
        .n_streams_per_person = (unsigned)s->https.streams_per_person,
        .n_bytes_max = s->https.bytes,
        .n_bytes_per_address = s->https.bytes_per_address,
    };
    memcpy(p.url, s->https.url, sizeof(p.url));
    memcpy(p.origins, s->https.origins.list, sizeof(p.origins));
    for (uint32_t i = 0; i < s->https.proxies.n; i++) {
        p.proxies[i].n_bytes = s->https.proxies.list[i].n_bytes;
        p.proxies[i].prefix = s->https.proxies.list[i].prefix;
        memcpy(p.proxies[i].bytes, s->https.proxies.list[i].bytes, sizeof(p.proxies[i].bytes));
    }
    return p;
}
static_assert((int)WEB_ORIGINS_MAX == (int)SETTINGS_ORIGINS_MAX, "copied as a whole");
static_assert((int)WEB_ORIGIN_BYTES == (int)SETTINGS_ORIGIN_BYTES, "copied as a whole");
static_assert((int)WEB_PROXIES_MAX == (int)SETTINGS_NETWORKS_MAX, "no proxy is left out");
static_assert((int)WEB_DOORS_MAX == (int)SETTINGS_DOORS_MAX, "each door has its column");
static_assert((int)WEB_SHARED_BYTES <= (int)CHILD_SHARED_BYTES, "the counts have room");
static_assert((int)WEB_LISTENERS_MAX == (int)SETTINGS_LISTENS_MAX, "no listener is left out");

static void door_start(struct child *c)
{
    struct door_state *s = child_state(c);
    struct web_options o = {.admin_fd = -1,
                            .metrics_fd = -1,
                            .n_requests_max = (unsigned)child_settings(c)->limits.admin_requests,
                            .names = s->names,
                            .shared = child_shared(c),
                            .door = child_number(c) - 1,
                            .people = people_of(child_settings(c)),
                            .certificate = child_file(c, CHILD_CERTIFICATE),
                            .key = child_file(c, CHILD_KEY),
                            .nonsense = on_nonsense,
                            .arg = c};
    struct errinfo ei;
    for (size_t i = 0; i < child_n_listeners(c); i++) {
        struct child_listener l = child_listener(c, i);
        if (l.settings->service == SETTINGS_ADMIN)
            o.admin_fd = l.fd;
        else if (l.settings->service == SETTINGS_METRICS && o.metrics_fd < 0)
            o.metrics_fd = l.fd;
        else if (l.settings->service == SETTINGS_METRICS)
            (void)close(l.fd); /* one is served */
        else
            o.listeners[o.n_listeners++] =
                (struct web_listener){l.fd, l.settings->tls != SETTINGS_TLS_NONE};
    }
    if (web_create(child_loop(c), &o, &s->server, &ei) != ERR_OK)
        child_fail(c, "The administration and the mailboxes cannot be served: %s", ei.text);
    child_ready(c);
}

static void door_linked(struct child *c, enum ipc_role peer, unsigned, int fd)
{
    struct door_state *s = child_state(c);
    if (peer == IPC_CORE)
        web_core_link(s->server, fd);
    else
        fd_close(&fd);
}

static void stopped(void *arg)
{
    struct child *c = arg;
    struct door_state *s = child_state(c);
    web_destroy(&s->server);
    child_done(c);
}

static void door_stop(struct child *c)
{
    struct door_state *s = child_state(c);
    web_stop(s->server, MILLISECONDS(1500), stopped, c);
}

static void door_settings_changed(struct child *c)
{
    struct door_state *s = child_state(c);
    struct web_people people = people_of(child_settings(c));
    struct slice certificate = child_file(c, CHILD_CERTIFICATE), key = child_file(c, CHILD_KEY);
    struct errinfo ei;
    web_limit(s->server, (unsigned)child_settings(c)->limits.admin_requests);
    web_people(s->server, &people);
    if (certificate.n > 0 && web_certificate(s->server, certificate, key, &ei) != ERR_OK)
        log_event(EV_SETTINGS, "what=tls why=%s", log_text(slice_str(ei.text))); /* the old stays */
}

const struct role_wiring wiring_door = {
    .before_sandbox = door_before_sandbox,
    .start = door_start,
    .linked = door_linked,
    .stop = door_stop,
    .settings_changed = door_settings_changed,
};
