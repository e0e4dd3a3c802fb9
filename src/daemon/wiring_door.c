/* Circuit of the door: HTTP of the administration's socket and of the figures -> link -> core. */
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

static void door_start(struct child *c)
{
    struct door_state *s = child_state(c);
    struct web_options o = {.admin_fd = -1,
                            .metrics_fd = -1,
                            .n_requests_max = (unsigned)child_settings(c)->limits.admin_requests,
                            .names = s->names,
                            .nonsense = on_nonsense,
                            .arg = c};
    struct errinfo ei;
    for (size_t i = 0; i < child_n_listeners(c); i++) {
        struct child_listener l = child_listener(c, i);
        if (l.settings->service == SETTINGS_ADMIN)
            o.admin_fd = l.fd;
        else if (l.settings->service == SETTINGS_METRICS && o.metrics_fd < 0)
            o.metrics_fd = l.fd;
        else
            (void)close(l.fd); /* https: its room comes with the mailboxes */
    }
    if (web_create(child_loop(c), &o, &s->server, &ei) != ERR_OK)
        child_fail(c, "The administration cannot be served: %s", ei.text);
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
    web_limit(s->server, (unsigned)child_settings(c)->limits.admin_requests);
}

const struct role_wiring wiring_door = {
    .before_sandbox = door_before_sandbox,
    .start = door_start,
    .linked = door_linked,
    .stop = door_stop,
    .settings_changed = door_settings_changed,
};
