/* Looking at primaries through the liaison: SMTP probes, canaries, log-ins; and whether it is we
 * who see nothing. */
#include "desk/desk_push_int.h"
#include "desk/desk_state_int.h"
#include "desk/desk_watch_int.h"

#include <stdio.h>
#include <unistd.h>

enum {
    PROBE_WELL_SECONDS = 10,
    PROBE_ILL_MS = 1000,
    PROBE_TIMEOUT_MS = 10000,
    LOGIN_TIMEOUT_MS = 20000,
    CANARY_MOST_SECONDS = 120, /* a canary that is not there by then is lost … */
    CANARY_LEAST_SECONDS = 10, /* … or when the next one is due, but never sooner than this */
    LOOK_ILL_SECONDS = 30, /* between two looks at what fails, however rare they are otherwise */
    CONTROL_WELL_SECONDS = 10,
    CONTROL_ILL_MS = 1000,
    CONTROL_TIMEOUT_MS = 3000,
    FRESH_MS = 20000, /* a failure that is older says nothing about this moment */
};

struct probe_waiter {
    struct list node;
    void (*done)(void *cookie, enum err err, const char *text);
    void *cookie;
};

/* ---- the SMTP probe ---- */

/* Our own process may forget: the next one must not wait for it for ever. */
static bool begin(struct desk_turn *t, bool is_sent, uint32_t timeout_ms)
{
    t->is_running = is_sent;
    t->until = mono_now() + MILLISECONDS(2 * timeout_ms);
    return is_sent;
}

static bool send_probe(struct desk *d, struct desk_primary *p)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    if (!facts || !d->liaison.link)
        return false;
    struct ipc_host hosts[DESK_HOSTS_MAX];
    struct ipc_probe probe = {.primary = p->id,
                              .hosts = hosts,
                              .n_hosts =
                                  desk_hosts(facts->facts.hosts, facts->facts.n_hosts, hosts),
                              .tls = facts->facts.tls,
                              .tls_name = facts->facts.tls_name,
                              .timeout_ms = PROBE_TIMEOUT_MS};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_probe_pack(&b, &probe);
    return begin(&p->turn[ASPECT_TAKES], desk_send(d->liaison.link, IPC_T_probe, p->id, &b),
                 PROBE_TIMEOUT_MS);
}

static void answer_waiters(struct desk_primary *p, enum err err, const char *text)
{
    for (struct list *node; (node = list_pop(&p->waiters));) {
        struct probe_waiter *w = container_of(node, struct probe_waiter, node);
        w->done(w->cookie, err, text);
        mem_free(&w);
    }
}

void desk_probe(void *arg, uint64_t primary,
                void (*done)(void *cookie, enum err err, const char *text), void *cookie)
{
    struct desk *d = arg;
    struct desk_primary *p = desk_primary(d, primary);
    if (!p || (!p->turn[ASPECT_TAKES].is_running && !send_probe(d, p))) {
        done(cookie, p ? ERR_RETRY : ERR_GONE,
             p ? "our probing process is starting again; try in a few seconds"
               : "there is no such primary");
        return;
    }
    struct probe_waiter *w = mem_new(sizeof(*w));
    w->done = done;
    w->cookie = cookie;
    list_append(&p->waiters, &w->node);
}

static void explain(const struct ipc_observed *o, char *text, size_t n)
{
    if (o->code >= 200 && o->code < 300)
        snprintf(text, n, "well: it takes mail (%u ms)", o->took_ms);
    else if (o->code)
        snprintf(text, n, "answers %u at %s: %.*s", o->code, smtp_phase_name(o->phase),
                 (int)(o->text.n < 200 ? o->text.n : 200), o->text.p);
    else
        snprintf(text, n, "no answer at %s: %.*s", smtp_phase_name(o->phase),
                 (int)(o->text.n < 200 ? o->text.n : 200), o->text.p ? o->text.p : "");
}

/* When nothing waits, no delivery can show that it takes mail again: a probe has to do. */
static enum continuity_evidence evidence_of_probe(struct desk *d, const struct desk_primary *p,
                                                  bool is_well)
{
    if (!is_well)
        return EVIDENCE_BAD;
    return queue_waiting_for(d->queue, p->id) == 0 ? EVIDENCE_GOOD : EVIDENCE_GREETS;
}

/* As certificates can say it, from 1970 to 9999: a reader may subtract. */
static utc_ms end_of(utc_ms cert_until)
{
    const utc_ms most = 253402300799000;
    if (cert_until < 0)
        return 1;
    return cert_until < most ? cert_until : most;
}

static void note_seen(struct desk *d, struct desk_primary *p, const struct ipc_observed *o)
{
    utc_ms cert_until = end_of(o->cert_until);
    desk_watch_primary(d, p->id, slice_str(p->software), o->software, cert_until);
    snprintf(p->software, sizeof(p->software), "%.*s", SLICE_ARG(o->software));
    if (cert_until)
        p->cert_until = cert_until;
    if (o->abilities & IPC_ABILITIES_KNOWN) {
        p->abilities = o->abilities;
        p->size_max = o->size_max;
    }
}

static bool take_observed(struct desk *d, struct net_frame *f)
{
    struct ipc_observed o;
    if (!ipc_observed_unpack(f->payload, NULL, &o) || o.phase >= AT_N || o.primary != f->tag)
        return false;
    struct desk_primary *p = map_get(d->primaries, KEY(o.primary));
    if (!p || !p->turn[ASPECT_TAKES].is_running)
        return true; /* removed meanwhile */
    char text[300];
    bool is_well = o.code >= 200 && o.code < 300;
    explain(&o, text, sizeof(text));
    p->turn[ASPECT_TAKES].is_running = false;
    p->last_probe = utc_now();
    p->probe_ms = o.took_ms;
    if (is_well)
        note_seen(d, p, &o);
    if (!is_well || !p->p.is_refusing)
        snprintf(p->last_text, sizeof(p->last_text), "%s", text);
    snprintf(p->aspect_text[ASPECT_TAKES], sizeof(p->aspect_text[0]), "%.190s", text);
    if (!is_well) /* the interval of a healthy one is not over yet */
        p->turn[ASPECT_TAKES].next = mono_now() + MILLISECONDS(PROBE_ILL_MS);
    if (is_well || !o.is_ours) /* our own failure says nothing about it */
        desk_step(d, p, evidence_of_probe(d, p, is_well), slice_str(text), SLICE("probe"), NULL,
                  NULL);
    answer_waiters(p, is_well ? ERR_OK : ERR_IO, text);
    return true;
}

/* ---- canaries and log-ins ---- */

static void new_token(char ret[33])
{
    unsigned char bytes[16];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

bool desk_look_send(struct desk *d, const struct desk_look *l)
{
    const struct dir_access *f = &l->access->facts;
    const struct dir_primary *p = &l->primary->facts;
    struct ipc_host smtp[DESK_HOSTS_MAX];
    struct desk_server way;
    char token[33];
    if (!l->is_master)
        desk_server_test(d, l->access, &way);
    else if (!desk_server_all(d, l->access, f->canary.n ? f->canary : f->master_user, &way))
        return false;
    new_token(token);
    struct ipc_mailbox_look look = {
        .primary = l->primary->id,
        .what = l->is_canary ? IPC_LOOK_CANARY : IPC_LOOK_LOGIN,
        .timeout_ms = l->timeout_ms,
        .server = &way.server,
        .n_server = 1,
        .smtp_hosts = smtp,
        .n_smtp_hosts = l->is_canary ? desk_hosts(p->hosts, p->n_hosts, smtp) : 0,
        .smtp_tls = p->tls,
        .smtp_tls_name = p->tls_name,
        .mail_from = l->from,
        .address = l->is_canary ? f->canary : SLICE(""),
        .token = l->is_canary ? slice_str(token) : SLICE(""),
    };
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    ipc_mailbox_look_pack(&b, &look);
    return desk_send(d->liaison.link, IPC_T_mailbox_look, l->tag, &b);
}

static uint32_t canary_timeout_ms(const struct desk *d, uint64_t primary)
{
    const struct dir_plan *plan = directory_plan(d->directory, primary);
    uint32_t seconds = plan ? plan->canary_sec : CANARY_MOST_SECONDS;
    if (seconds > CANARY_MOST_SECONDS)
        seconds = CANARY_MOST_SECONDS;
    return (seconds < CANARY_LEAST_SECONDS ? CANARY_LEAST_SECONDS : seconds) * 1000;
}

static bool send_look(struct desk *d, struct desk_primary *p, enum continuity_aspect aspect)
{
    bool is_canary = aspect == ASPECT_ARRIVES;
    struct desk_look look = {.primary = directory_primary(d->directory, p->id),
                             .access = directory_access(d->directory, p->id),
                             .is_canary = is_canary,
                             .tag = p->id,
                             .timeout_ms =
                                 is_canary ? canary_timeout_ms(d, p->id) : LOGIN_TIMEOUT_MS};
    if (!look.primary || !look.access || !d->liaison.link)
        return false;
    return begin(&p->turn[aspect], desk_look_send(d, &look), look.timeout_ms);
}

static bool take_mailbox_seen(struct desk *d, struct net_frame *f)
{
    static const enum continuity_evidence evidence[][2] = {
        [IPC_LOOK_LOGIN] = {EVIDENCE_LOGIN_BAD, EVIDENCE_LOGIN_GOOD},
        [IPC_LOOK_CANARY] = {EVIDENCE_CANARY_BAD, EVIDENCE_CANARY_GOOD},
    };
    struct ipc_mailbox_seen s;
    bool is_good = ipc_mailbox_seen_unpack(f->payload, NULL, &s) && s.step < IPC_STEP_N;
    if (is_good && (f->tag & DESK_CHECK_TAG))
        return desk_check_seen(d, f->tag, &s);
    if (!is_good || s.primary != f->tag || (s.what != IPC_LOOK_LOGIN && s.what != IPC_LOOK_CANARY))
        return false;
    struct desk_primary *p = map_get(d->primaries, KEY(s.primary));
    bool is_canary = s.what == IPC_LOOK_CANARY;
    enum continuity_aspect aspect = is_canary ? ASPECT_ARRIVES : ASPECT_LETS_IN;
    if (!p || !p->turn[aspect].is_running)
        return true;
    p->turn[aspect].is_running = false;
    char *text = p->aspect_text[aspect];
    if (s.is_well)
        snprintf(text, sizeof(p->aspect_text[0]), is_canary ? "readable after %u ms" : "%u ms",
                 is_canary ? s.arrived_ms : s.took_ms);
    else
        snprintf(text, sizeof(p->aspect_text[0]), "%s at %s: %.*s",
                 is_canary ? "canary lost" : "no log-in", ipc_look_step_name(s.step),
                 (int)(s.text.n < 150 ? s.text.n : 150), s.text.p ? s.text.p : "");
    if (s.is_well)
        desk_has_worked(d, p, aspect);
    if (!s.is_well && (s.is_ours || !p->has_worked[aspect]))
        return true; /* our own fault, or set up wrongly: says nothing about the primary */
    mono_us soon = mono_now() + SECONDS(LOOK_ILL_SECONDS);
    if (!s.is_well && p->turn[aspect].next > soon) /* a plan may look more often than that */
        p->turn[aspect].next = soon;
    desk_step(d, p, evidence[s.what][s.is_well != 0], slice_str(text),
              is_canary ? SLICE("canary") : SLICE("log-in"), NULL, NULL);
    return true;
}

/* ---- when ---- */

static mono_us interval(struct desk *d, const struct desk_primary *p, enum continuity_aspect aspect)
{
    const struct directory_access *access = directory_access(d->directory, p->id);
    if (aspect == ASPECT_TAKES) {
        bool is_well = p->p.state == STATE_STANDBY && p->p.run[ASPECT_TAKES].n_bad == 0;
        return is_well ? SECONDS(PROBE_WELL_SECONDS) : MILLISECONDS(PROBE_ILL_MS);
    }
    if (!access || access->facts.n_hosts == 0 || access->facts.user.n == 0 ||
        (aspect == ASPECT_ARRIVES && access->facts.canary.n == 0))
        return 0;
    const struct dir_plan *plan = directory_plan(d->directory, p->id);
    uint32_t seconds = !plan ? 300 : aspect == ASPECT_ARRIVES ? plan->canary_sec : plan->login_sec;
    if (seconds > LOOK_ILL_SECONDS && (p->p.run[aspect].n_bad > 0 || p->p.state == STATE_EMERGENCY))
        seconds = LOOK_ILL_SECONDS;
    return SECONDS(seconds);
}

/* No evidence, and the next one must not wait for it for ever. */
static void give_up(struct desk_primary *p, enum continuity_aspect aspect, mono_us now)
{
    struct desk_turn *t = &p->turn[aspect];
    if (!t->is_running || now < t->until)
        return;
    t->is_running = false;
    if (aspect == ASPECT_TAKES)
        answer_waiters(p, ERR_RETRY, "our probing process gave no answer; try again");
}

/* A canary is mail: while it takes none, or must not get any, there is nothing to be seen. */
static bool may_look(const struct desk_primary *p, enum continuity_aspect aspect)
{
    if (aspect != ASPECT_ARRIVES)
        return true;
    return !p->p.is_isolated && p->p.run[ASPECT_TAKES].n_bad == 0;
}

void desk_probe_tick(struct desk *d, struct desk_primary *p, mono_us now)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    for (enum continuity_aspect a = 0; a < ASPECT_N; a++) {
        struct desk_turn *t = &p->turn[a];
        give_up(p, a, now);
        mono_us every = interval(d, p, a);
        if (!facts || facts->facts.n_hosts == 0 || every == 0 || t->is_running || now < t->next ||
            !may_look(p, a))
            continue;
        if (a == ASPECT_TAKES ? send_probe(d, p) : send_look(d, p, a))
            t->next = now + every;
    }
}

void desk_probe_removed(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->primaries, &at, NULL, &value)) {
        struct desk_primary *p = value;
        if (!list_empty(&p->waiters) && !directory_primary(d->directory, p->id))
            answer_waiters(p, ERR_GONE, "the primary was removed");
    }
}

void desk_probe_clear(struct desk_primary *p)
{
    for (struct list *node; (node = list_pop(&p->waiters));) {
        struct probe_waiter *w = container_of(node, struct probe_waiter, node);
        mem_free(&w);
    }
}

/* ---- is it us? ---- */

/* Primaries that fell silent (a refusal is an answer) and were tried just now. */
static void count_primaries(struct desk *d, struct continuity_view *v)
{
    size_t at = 0;
    void *value;
    utc_ms now = utc_now();
    while (map_next(d->primaries, &at, NULL, &value)) {
        const struct desk_primary *p = value;
        const struct continuity_run *r = &p->p.run[ASPECT_TAKES];
        v->n_primaries++;
        v->n_primaries_bad += r->n_bad > 0 && !p->p.is_refusing && now - r->last_bad < FRESH_MS;
    }
}

static void judge_sight(struct desk *d)
{
    struct continuity_view v = {.n_controls = d->control.n,
                                .n_controls_bad = d->control.n_bad,
                                .is_resolver_bad = d->control.is_resolver_bad};
    char why[200];
    count_primaries(d, &v);
    bool is_blind = continuity_is_blind(&v, why, sizeof(why));
    if (is_blind == d->control.is_blind)
        return;
    d->control.is_blind = is_blind;
    snprintf(d->control.why, sizeof(d->control.why), "%s", why);
    struct desk_report r = {
        .key = SLICE("sight"),
        .class = is_blind ? EVENT_ALARM : EVENT_NOTICE,
        .name = is_blind ? "node.blind" : "node.seeing",
        .subject = SLICE("network"),
        .happened = is_blind ? SLICE("This node sees nothing outside: its own way out is broken.")
                             : SLICE("This node sees the outside again."),
        .did = is_blind ? SLICE("What fails now counts against no mail system, and no step is "
                                "taken by itself.")
                        : SLICE("Mail systems are judged again."),
        .can = is_blind ? SLICE("Look at this node's network: cable, router, provider, firewall.")
                        : SLICE(""),
        .evidence = slice_str(why),
        .by = SLICE("controls"),
        .is_over = !is_blind,
    };
    desk_report(d, &r);
    desk_step_all(d, is_blind ? EVIDENCE_BLIND : EVIDENCE_SEEING, slice_str(why),
                  SLICE("controls"));
}

static bool take_controlled(struct desk *d, struct net_frame *f)
{
    struct ipc_controlled c;
    if (!ipc_controlled_unpack(f->payload, NULL, &c) || c.n_bad > c.n)
        return false;
    if (!d->control.is_running)
        return true; /* nobody asked, or nobody waits for it any more */
    d->control.is_running = false;
    if (!c.is_done)
        return true;
    d->control.n = c.n;
    d->control.n_bad = c.n_bad;
    d->control.is_resolver_bad = !c.is_resolver_ok;
    if (c.n_bad > 0)
        d->control.next = mono_now() + MILLISECONDS(CONTROL_ILL_MS);
    judge_sight(d);
    return true;
}

void desk_control_soon(struct desk *d)
{
    d->control.next = 0;
    desk_control_tick(d, mono_now());
}

void desk_control_tick(struct desk *d, mono_us now)
{
    const struct desk_controls *o = &d->o.limits.controls;
    if (d->control.is_running && now >= d->control.until)
        d->control.is_running = false;
    if (o->n_hosts == 0 && o->name[0] == '\0') {
        d->control.n = d->control.n_bad = 0;
        d->control.is_resolver_bad = false;
        judge_sight(d);
        return;
    }
    if (d->control.is_running || now < d->control.next || !d->liaison.link)
        return;
    struct ipc_host hosts[DESK_HOSTS_MAX];
    struct ipc_control ask = {
        .hosts = hosts, .name = slice_str(o->name), .timeout_ms = CONTROL_TIMEOUT_MS};
    for (; ask.n_hosts < o->n_hosts && ask.n_hosts < DESK_HOSTS_MAX; ask.n_hosts++)
        hosts[ask.n_hosts] =
            (struct ipc_host){slice_str(o->hosts[ask.n_hosts].address), o->hosts[ask.n_hosts].port};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_control_pack(&b, &ask);
    d->control.is_running = desk_send(d->liaison.link, IPC_T_control, 0, &b);
    d->control.until = now + MILLISECONDS(2 * CONTROL_TIMEOUT_MS);
    d->control.next = now + SECONDS(CONTROL_WELL_SECONDS);
}

/* ---- the liaison ---- */

static bool take_has_told(struct desk *d, struct net_frame *f)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_mailbox_has_told told;
    return ipc_mailbox_has_told_unpack(f->payload, a, &told) && desk_again_told(d, f->tag, &told);
}

static bool take(struct desk *d, struct net_frame *f)
{
    switch ((int)f->type) {
    case IPC_T_observed:
        return take_observed(d, f);
    case IPC_T_mailbox_seen:
        return take_mailbox_seen(d, f);
    case IPC_T_controlled:
        return take_controlled(d, f);
    case IPC_T_domain_seen:
        return desk_watch_seen(d, f);
    case IPC_T_pushed:
        return desk_push_took(d, f);
    case IPC_T_hooked:
        return desk_take_hooked(d, f);
    case IPC_T_mailbox_has_told:
        return take_has_told(d, f);
    case IPC_T_mailbox_did:
        return desk_mailback_did(d, f);
    case IPC_T_token_new:
        return desk_server_token(d, f);
    case IPC_T_refusals:
    case IPC_T_figures:
    case IPC_T_highs:
        return desk_take_report(d, "liaison", f);
    default:
        return false; /* nobody asks for it */
    }
}

void desk_liaison_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct peer *p = arg;
    struct desk *d = p->desk;
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_LIAISON, IPC_CORE);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (is_good && take(d, f))
        return;
    const char *what = ipc_type_name(f->type);
    desk_liaison_closed(p, NULL);
    desk_peer_nonsense(d, IPC_LIAISON, 1, what);
}

/* Our own process died: that says nothing about any primary. */
void desk_liaison_closed(void *arg, struct net_link *)
{
    struct peer *peer = arg;
    size_t at = 0;
    void *value;
    net_link_close(&peer->link);
    desk_hooks_lost(peer->desk);
    desk_push_liaison_lost(peer->desk);
    peer->desk->control.is_running = false;
    peer->desk->control.next = 0;
    while (map_next(peer->desk->primaries, &at, NULL, &value)) {
        struct desk_primary *p = value;
        for (size_t a = 0; a < ASPECT_N; a++) {
            if (p->turn[a].is_running)
                p->turn[a].next = 0; /* asked again as soon as there is somebody to ask */
            p->turn[a].is_running = false;
        }
        answer_waiters(p, ERR_RETRY, "our probing process ended in the middle of it");
    }
    desk_check_lost(peer->desk);
    desk_again_lost(peer->desk);
    desk_mailback_lost(peer->desk);
    desk_watch_liaison_lost(peer->desk);
}
