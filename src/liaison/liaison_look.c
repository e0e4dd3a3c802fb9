/* One look at a primary's SMTP: as far as MAIL FROM:<>, which every server must take (RFC 5321
 * section 4.5.5) and which names nobody. */
#include "liaison/liaison_int.h"

#include <stdio.h>

enum { TIMEOUT_MOST_MS = 300000 };

struct seen {
    struct ipc_observed observed; /* its texts are those below */
    struct courier_end end;
    char software[201];
};
struct look {
    const struct courier_network *network;
    const struct ipc_probe *probe;
    struct seen *seen;
    mono_us begun, deadline;
};

static void note_peer(struct look *l, const struct courier_peer *p)
{
    struct ipc_observed *o = &l->seen->observed;
    o->abilities = courier_peer_abilities(p);
    o->size_max = courier_peer_size_max(p);
    (void)snprintf(l->seen->software, sizeof(l->seen->software), "%s", courier_peer_banner(p));
}

/* MAIL and RSET; what MAIL was answered is what we came for. */
static bool converse(struct look *l, struct courier_peer *p)
{
    struct courier_end *end = &l->seen->end, after;
    bool has_answer = courier_peer_ask(p, SMTP_PHASE_MAIL, SLICE("MAIL FROM:<>"), l->deadline, end);
    l->seen->observed.took_ms = (uint32_t)((mono_now() - l->begun) / 1000);
    if (!has_answer || end->code != 250)
        return false;
    (void)courier_peer_ask(p, SMTP_PHASE_MAIL, SLICE("RSET"), l->deadline, &after);
    return true;
}

static bool look_at_address(struct look *l, const struct courier_target *t)
{
    struct courier_peer *p = courier_peer_open(l->network, t, l->deadline, &l->seen->end);
    if (!p)
        return false;
    note_peer(l, p);
    bool is_well = converse(l, p);
    courier_peer_close(&p);
    return is_well;
}

static bool look_at_host(struct look *l, const struct ipc_host *host)
{
    char name[256], tls_name[256];
    struct courier_addresses addresses;
    (void)snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(host->name));
    (void)snprintf(tls_name, sizeof(tls_name), SLICE_FMT, SLICE_ARG(l->probe->tls_name));
    if (!courier_addresses_find(l->network, name, host->port, l->deadline, &addresses,
                                &l->seen->end)) {
        l->seen->end.code = 0; /* no reply came, whatever DNS said */
        return false;
    }
    enum ipc_tls tls =
        l->probe->tls <= IPC_TLS_NEVER ? (enum ipc_tls)l->probe->tls : IPC_TLS_VERIFY;
    for (size_t i = 0; i < addresses.n && mono_now() < l->deadline; i++) {
        struct courier_target t = {.host = name,
                                   .address = addresses.address[i],
                                   .tls = tls,
                                   .tls_name = tls_name,
                                   .cert_until = &l->seen->observed.cert_until};
        if (look_at_address(l, &t))
            return true;
    }
    return false;
}

static void look(const struct courier_network *network, const struct ipc_probe *probe,
                 struct seen *ret)
{
    mono_us timeout = liaison_timeout(probe->timeout_ms, TIMEOUT_MOST_MS);
    struct courier_network n = liaison_hurried(network, timeout);
    struct look l = {.network = &n, .probe = probe, .seen = ret, .begun = mono_now()};
    l.deadline = l.begun + timeout;
    *ret = (struct seen){.observed.primary = probe->primary};
    courier_end_words(&ret->end, SMTP_PHASE_NAME, "", "the primary has no host");
    bool is_well = false;
    for (uint32_t i = 0; i < probe->n_hosts && !is_well; i++)
        if (mono_now() < l.deadline)
            is_well = look_at_host(&l, &probe->hosts[i]);
    ret->observed.phase = (uint8_t)ret->end.phase;
    ret->observed.code = ret->end.code;
    ret->observed.is_ours = ret->end.is_ours;
    ret->observed.text = slice_str(ret->end.text);
    ret->observed.software = slice_str(ret->software);
    if (!is_well)
        ret->observed.took_ms = (uint32_t)((mono_now() - l.begun) / 1000);
}

/* ---- as a work ------------------------------------------------------------------------------- */

static bool unpack(struct liaison_work *w)
{
    bool is_good = ipc_probe_unpack(buf_slice(&w->payload), w->arena, &w->probe);
    w->primary = w->probe.primary;
    return is_good;
}

static void run(const struct courier_network *net, const struct liaison_work *w, struct buf *ret)
{
    struct seen seen;
    look(net, &w->probe, &seen);
    ipc_observed_pack(ret, &seen.observed);
}

static void decline(const struct liaison_work *w, const char *why, struct buf *ret)
{
    struct ipc_observed observed = {
        .primary = w->primary, .phase = SMTP_PHASE_NAME, .text = slice_str(why), .is_ours = 1};
    ipc_observed_pack(ret, &observed);
}

const struct liaison_kind liaison_probe_kind = {
    IPC_T_probe, IPC_T_observed, LIAISON_PROBES, unpack, run, decline,
};
