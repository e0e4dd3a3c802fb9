/* One try of one job: over the connection that is there, else host by host and address by address.
 * RFC 5321 section 5.1: a temporary failure of one leads to the next, an answer of one about the
 * mail itself is the answer. */
#include "courier/courier_int.h"

#include <poll.h>
#include <stdio.h>

enum { TRIES_MAX = 10 }; /* addresses of one job */

struct delivery {
    const struct courier_options *o;
    struct courier_work *work;
    struct courier_peer **peer;
    struct courier_tries tries;
    struct courier_end worst; /* what to say if all fail; phase 0: nothing yet */
};

/* One temporary failure makes the whole temporary: a permanent word of one host must not return
 * mail that another host would take. Among equals the later in the dialogue tells more. */
static void remember(struct delivery *d, const struct courier_end *end)
{
    bool had = d->worst.phase != 0;
    bool was_permanent = d->worst.code >= 500, is_permanent = end->code >= 500;
    if (had && is_permanent && !was_permanent)
        return;
    if (had && is_permanent == was_permanent && end->phase < d->worst.phase)
        return;
    d->worst = *end;
}

static void note_peer(struct courier_work *w, const struct courier_peer *p)
{
    w->result.remote = arena_copy(w->arena, slice_str(p->remote));
    w->result.abilities = courier_peer_abilities(p);
    w->result.size_max = courier_peer_size_max(p);
}

/* False: nothing is decided and nothing can be there: the next address may be tried. */
static bool talk(struct delivery *d)
{
    struct courier_end end;
    struct courier_work *w = d->work;
    struct courier_peer *p = *d->peer;
    size_t n_before = w->n_decided;
    enum courier_talk talked = courier_transact(p, w, d->o->chunking, &end);
    note_peer(w, p);
    if (talked != COURIER_TALK_DONE)
        p->is_broken = true;
    if (p->is_broken)
        courier_peer_close(d->peer);
    if (talked == COURIER_TALK_DONE)
        return true;
    if (talked == COURIER_TALK_STALE || (w->n_decided == n_before && !w->result.is_sent)) {
        remember(d, &end);
        return false;
    }
    courier_work_decide_rest(w, &end);
    return true;
}

/* ---- over the connection that is there ----------------------------------------------------------
 */

static bool is_usable(const struct delivery *d)
{
    const struct courier_peer *p = *d->peer;
    uint32_t mail_max = p->caps.mail_max;
    /* What was said with XCLIENT cannot be taken back. */
    bool is_other = p->xclient[0] != '\0' && d->work->job.xclient_address.n == 0;
    return !p->is_broken && !is_other && p->n_messages < d->o->reuses &&
           (mail_max == 0 || p->n_messages < mail_max) && net_conn_is_quiet(p->conn);
}

static bool deliver_again(struct delivery *d)
{
    if (!*d->peer)
        return false;
    if (!is_usable(d)) {
        courier_peer_close(d->peer);
        return false;
    }
    d->tries.is_reused = true;
    if (talk(d))
        return true;
    d->tries.is_reused = false; /* it had ended without our knowing: as if it had not been there */
    d->worst = (struct courier_end){};
    return false;
}

/* ---- over new ones
 * --------------------------------------------------------------------------------- */

static bool open_peer(struct delivery *d, const struct courier_target *t)
{
    struct courier_end end;
    d->tries.n_opened++;
    *d->peer = courier_peer_open(&d->o->network, t, d->work->deadline, &end);
    if (*d->peer)
        return true;
    char remote[COURIER_REMOTE_MAX];
    (void)snprintf(remote, sizeof(remote), "%.200s[%s]", t->host, net_peer_text(&t->address).s);
    d->work->result.remote = arena_copy(d->work->arena, slice_str(remote));
    remember(d, &end);
    return false;
}

static bool deliver_to_host(struct delivery *d, const struct courier_hosts *hosts, size_t i,
                            unsigned *left)
{
    struct courier_end end;
    struct courier_addresses addresses;
    struct courier_work *w = d->work;
    struct courier_target t = {.host = hosts->host[i].name,
                               .tls = (enum ipc_tls)w->job.tls,
                               .tls_name = arena_cstr(w->arena, w->job.tls_name),
                               .is_world = hosts->is_world};
    if (!courier_addresses_find(&d->o->network, t.host, hosts->host[i].port, w->deadline,
                                &addresses, &end)) {
        if (!hosts->is_world) {
            /* A setting of ours is wrong, not the mail: nothing is returned for that. */
            end.code = 0;
            end.status = (struct wire_status){};
        }
        remember(d, &end);
        return false;
    }
    for (size_t k = 0; k<addresses.n && * left> 0; k++, --*left) {
        if (mono_now() >= w->deadline)
            return false;
        t.address = addresses.address[k];
        if (open_peer(d, &t) && talk(d))
            return true;
    }
    return false;
}

/* Stopping: connections fail by themselves then, but names would still be asked. */
static bool is_cancelled(const struct delivery *d)
{
    struct pollfd p = {.fd = d->o->network.cancel_fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static void deliver_anew(struct delivery *d)
{
    struct courier_end end;
    struct courier_hosts hosts;
    struct courier_work *w = d->work;
    unsigned left = TRIES_MAX;
    if (!courier_hosts_find(&d->o->network, &w->job, w->deadline, &hosts, &end)) {
        courier_work_decide_rest(w, &end);
        return;
    }
    for (size_t i = 0; i < hosts.n && !is_cancelled(d); i++)
        if (deliver_to_host(d, &hosts, i, &left))
            return;
    if (d->worst.phase == 0)
        courier_end_words(&d->worst, SMTP_PHASE_NAME, "", "no time was left to try it");
    courier_work_decide_rest(w, &d->worst);
}

struct courier_tries courier_deliver(const struct courier_options *o, struct courier_work *w,
                                     struct courier_peer **peer)
{
    struct delivery d = {.o = o, .work = w, .peer = peer};
    w->deadline = mono_now() + o->network.timeouts.total;
    if (w->job.tls > IPC_TLS_NEVER)
        w->job.tls = IPC_TLS_VERIFY; /* from another process: in doubt the strictest */
    if (!deliver_again(&d))
        deliver_anew(&d);
    must(w->n_decided == w->job.n_rcpts);
    return d.tries;
}
