/* Controls: can we reach anybody at all? Hosts that have nothing to do with a primary are connected
 * to and the resolver is asked, all at once, so that one that hangs does not hide the others. What
 * fails here is our own uplink, and then nothing that we see of a primary means anything. */
#include "liaison/liaison_int.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>

enum { HOSTS_MAX = 16, TIMEOUT_MOST_MS = 60000, TYPE_A = 1, STACK_BYTES = 96 << 10 };

enum outcome { REACHED, UNREACHED, FORBIDDEN };

/* One host, or the resolver. */
struct one {
    const struct courier_network *net;
    mono_us deadline;
    char name[256];
    uint16_t port; /* 0: ask the resolver for the name */
    enum outcome outcome;
    struct courier_end end;
    pthread_t thread;
    bool has_thread;
};

static void ask_resolver(struct one *o)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(COURIER_NAME_BYTES);
    struct ipc_name_ask question = {.name = slice_str(o->name), .type = TYPE_A};
    struct ipc_name_told told = {};
    enum err err = o->net->resolve(o->net->resolve_arg, &question, o->deadline, a, &told);
    bool is_answer = err == ERR_OK && told.status != IPC_NAME_FAILED;
    o->outcome = is_answer ? REACHED : UNREACHED;
    if (!is_answer)
        courier_end_words(&o->end, SMTP_PHASE_NAME, "", "no answer of DNS for %s", o->name);
}

static void reach(struct one *o)
{
    struct courier_addresses found;
    o->outcome = UNREACHED;
    if (!courier_addresses_find(o->net, o->name, o->port, o->deadline, &found, &o->end))
        return;
    for (size_t i = 0; i < found.n && mono_now() < o->deadline; i++) {
        struct courier_target t = {.host = o->name, .address = found.address[i]};
        struct net_conn *conn = NULL;
        bool is_allowed = net_policy_allows(courier_policy_now(o->net), &t.address);
        if (courier_dial(o->net, &t, o->deadline, &conn, &o->end)) {
            net_conn_close(&conn);
            o->outcome = REACHED;
            return;
        }
        o->outcome = is_allowed ? UNREACHED : FORBIDDEN;
    }
}

static void *look_at(void *arg)
{
    struct one *o = arg;
    if (o->port == 0)
        ask_resolver(o);
    else
        reach(o);
    return NULL;
}

/* A thread for each; where none can be had, one after the other. */
static void look_at_all(struct one *all, size_t n)
{
    pthread_attr_t attributes;
    size_t stack = STACK_BYTES;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    stack *= 8;
#endif
    must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, stack) == 0);
    for (size_t i = 0; i < n; i++)
        all[i].has_thread = pthread_create(&all[i].thread, &attributes, look_at, &all[i]) == 0;
    (void)pthread_attr_destroy(&attributes);
    for (size_t i = 0; i < n; i++) {
        if (all[i].has_thread)
            must(pthread_join(all[i].thread, NULL) == 0);
        else
            (void)look_at(&all[i]);
    }
}

static void one_init(struct one *o, const struct courier_network *net, mono_us deadline,
                     struct slice name, uint16_t port)
{
    *o = (struct one){.net = net, .deadline = deadline, .port = port};
    (void)snprintf(o->name, sizeof(o->name), SLICE_FMT, SLICE_ARG(name));
}

static void note(struct ipc_controlled *c, const struct one *o, struct buf *words)
{
    switch (o->outcome) {
    case REACHED:
        break;
    case UNREACHED:
        c->n_bad += o->port != 0;
        c->is_resolver_ok &= o->port != 0;
        break;
    case FORBIDDEN:
        c->n_forbidden++;
        break;
    }
    c->n += o->port != 0 && o->outcome != FORBIDDEN;
    if (o->outcome != REACHED && words->n < 450)
        buf_addf(words, "%s%.140s", words->n ? "; " : "", o->end.text);
}

static bool is_stopping(const struct courier_network *net)
{
    struct pollfd p = {.fd = net->cancel_fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* ---- as a work ------------------------------------------------------------------------------- */

static bool unpack(struct liaison_work *w)
{
    if (!ipc_control_unpack(buf_slice(&w->payload), w->arena, &w->control))
        return false;
    for (uint32_t i = 0; i < w->control.n_hosts; i++)
        if (w->control.hosts[i].port == 0)
            return false;
    return true;
}

static void run(const struct courier_network *network, const struct liaison_work *w,
                struct buf *ret)
{
    const struct ipc_control *c = &w->control;
    mono_us begun = mono_now(), timeout = liaison_timeout(c->timeout_ms, TIMEOUT_MOST_MS);
    struct courier_network net = liaison_hurried(network, timeout);
    struct one *all = mem_new((HOSTS_MAX + 1) * sizeof(*all));
    size_t n = 0;
    for (uint32_t i = 0; i < c->n_hosts; i++)
        one_init(&all[n++], &net, begun + timeout, c->hosts[i].name, c->hosts[i].port);
    if (c->name.n > 0)
        one_init(&all[n++], &net, begun + timeout, c->name, 0);
    look_at_all(all, n);

    SCOPED(buf_finish) struct buf words = buf_make(600);
    struct ipc_controlled seen = {.is_resolver_ok = 1, .is_done = !is_stopping(network)};
    for (size_t i = 0; i < n; i++)
        note(&seen, &all[i], &words);
    seen.text = buf_slice(&words);
    seen.took_ms = (uint32_t)((mono_now() - begun) / 1000);
    ipc_controlled_pack(ret, &seen);
    mem_free(&all);
}

static void decline(const struct liaison_work *, const char *why, struct buf *ret)
{
    struct ipc_controlled seen = {.text = slice_str(why)};
    ipc_controlled_pack(ret, &seen);
}

const struct liaison_kind liaison_control_kind = {
    IPC_T_control, IPC_T_controlled, LIAISON_CONTROLS, unpack, run, decline,
};
