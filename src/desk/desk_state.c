/* Primaries as we experience them: evidence from deliveries and probes goes through continuity's
 * step; changes are written as objects and events, and wake the queue. */
#include "desk/desk_int.h"

#include <stdio.h>
#include <unistd.h>

#include "base/pack_struct_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"
#include "base/pack_write_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"

enum { PROBE_WELL_SECONDS = 10, PROBE_ILL_MS = 1000, PROBE_TIMEOUT_MS = 10000, TRY_SECONDS = 4 };

struct probe_waiter {
    struct list node;
    void (*done)(void *cookie, enum err err, const char *text);
    void *cookie;
};

/* Until plans belong to primaries: give back as soon as the primary answers; but what a person
 * began only a person ends. */
static struct continuity_plan the_plan(const struct desk_primary *p)
{
    struct continuity_plan plan = continuity_plan_default;
    plan.is_return_auto = !p->is_by_hand;
    plan.good_for_ready = 1;
    plan.ready_over_sec = 0;
    return plan;
}

struct desk_primary *desk_primary(struct desk *d, uint64_t id)
{
    struct desk_primary *p = map_get(d->primaries, KEY(id));
    if (p || !directory_primary(d->directory, id))
        return p;
    p = mem_new(sizeof(*p));
    p->id = id;
    p->p = continuity_start(utc_now());
    list_init(&p->waiters);
    map_put(d->primaries, KEY(id), p);
    return p;
}

/* ---- writing a change down ---- */

struct state_change {
    struct store_change change;
    struct buf facts;
    struct desk *desk;
    enum err err;
    void (*done)(void *cookie, enum err err, const char *why_not);
    void *cookie;
};

static void state_done(void *arg)
{
    struct state_change *c = arg;
    if (c->done)
        c->done(c->cookie, c->err, c->err == ERR_OK ? "" : "the change could not be written");
    buf_finish(&c->facts);
    mem_free(&c);
}

static void state_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct state_change *c = change->arg;
    c->err = err;
    desk_post(c->desk, state_done, c);
}

static void write_state(struct desk *d, const struct desk_primary *p, struct slice by,
                        struct slice why, void (*done)(void *, enum err, const char *),
                        void *cookie)
{
    SCOPED(buf_finish) struct buf body = buf_make(1000);
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    struct desk_state_body b = {.state = (uint8_t)p->p.state,
                                .since = p->p.since,
                                .first_bad = p->p.trouble_since,
                                .is_by_hand = p->is_by_hand,
                                .by = slice_of(by.p, by.n < 200 ? by.n : 200),
                                .why = slice_of(why.p, why.n < 600 ? why.n : 600)};
    desk_state_body_pack(&body, &b);
    struct record_object o = {.kind = OBJECT_STATE,
                              .id = p->id,
                              .tenant = facts ? facts->tenant : 0,
                              .time = utc_now(),
                              .by = b.by,
                              .name = facts ? facts->facts.name : SLICE(""),
                              .body = buf_slice(&body)};
    struct record_objects all = {&o, 1};
    struct state_change *c = mem_new(sizeof(*c));
    c->desk = d;
    c->done = done;
    c->cookie = cookie;
    c->facts = buf_make(4000);
    record_objects_pack(&c->facts, &all);
    c->change = (struct store_change){
        .type = RECORD_OBJECT, .facts = buf_slice(&c->facts), .done = state_written, .arg = c};
    store_submit(d->store, &c->change);
}

void desk_state_load(struct desk *d, const struct record_object *o)
{
    struct desk_state_body b;
    struct desk_primary *p = desk_primary(d, o->id);
    if (!p || o->is_removed || !desk_state_body_unpack(o->body, NULL, &b) ||
        b.state < STATE_STANDBY || b.state >= STATE_N)
        return;
    p->p.state = b.state;
    p->p.since = b.since;
    p->is_by_hand = b.is_by_hand != 0;
    /* While we were away nobody looked: that time proves nothing, the count begins anew. */
    p->p.trouble_since = b.state == STATE_SUSPECT ? utc_now() : b.first_bad;
}

static const char *advice(enum continuity_state s)
{
    switch (s) {
    case STATE_STANDBY:
        return "Mail passes through again. Nothing has to be done.";
    case STATE_SUSPECT:
        return "Mail is accepted and kept; it is passed on as soon as the primary answers. Look at "
               "the primary.";
    case STATE_EMERGENCY:
        return "Mail is accepted and kept here until the primary is back. Repair the primary.";
    case STATE_RETURNING:
        return "What was kept is being given back now.";
    case STATE_N:
        break;
    }
    return "";
}

static void announce(struct desk *d, struct desk_primary *p, enum continuity_state old,
                     struct slice by, struct slice why)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    struct slice name = facts ? facts->facts.name : SLICE("?");
    char event[40];
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    snprintf(event, sizeof(event), "primary.%s", continuity_state_name(p->p.state));
    buf_addf(&text, "%.*s: %s -> %s", SLICE_ARG(name), continuity_state_name(old),
             continuity_state_name(p->p.state));
    if (why.n)
        buf_addf(&text, " (%.*s)", (int)(why.n < 400 ? why.n : 400), why.p);
    buf_addf(&text, ". %s", advice(p->p.state));
    log_event(EV_STATE, "primary=%s from=%s to=%s by=%s why=%s", log_text(name),
              continuity_state_name(old), continuity_state_name(p->p.state), log_text(by),
              log_text(why));
    bool is_bad = p->p.state == STATE_EMERGENCY || p->p.state == STATE_SUSPECT;
    desk_event(d, is_bad ? EVENT_ALARM : EVENT_INFO, event, facts ? facts->tenant : 0, name,
               buf_slice(&text), by);
}

static void announce_ready(struct desk *d, const struct desk_primary *p)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    struct slice name = facts ? facts->facts.name : SLICE("?");
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    buf_addf(&text,
             SLICE_FMT " answers again. A person declared the emergency, so a person ends it: "
                       "`staffetta state return` gives back what was kept.",
             SLICE_ARG(name));
    desk_event(d, EVENT_NOTICE, "primary.ready", facts ? facts->tenant : 0, name, buf_slice(&text),
               SLICE("probe"));
}

static void step(struct desk *d, struct desk_primary *p, enum continuity_evidence e,
                 struct slice why, struct slice by, void (*done)(void *, enum err, const char *),
                 void *cookie)
{
    struct continuity_plan plan = the_plan(p);
    enum continuity_state old = p->p.state;
    bool was_open = continuity_way(&p->p) == WAY_OPEN;
    unsigned actions = continuity_step(&p->p, e, utc_now(), &plan);
    if (actions & ACTION_READY)
        announce_ready(d, p);
    if (actions & ACTION_STATE_CHANGED) {
        p->is_by_hand = e == EVIDENCE_SAY_EMERGENCY;
        announce(d, p, old, by, why);
        write_state(d, p, by, why, done, cookie);
        p->next_probe = 0;
    } else if (done) {
        done(cookie, ERR_INVALID, "the primary is not in a state in which this can be decided");
    }
    if (actions & ACTION_DRAIN)
        queue_drain(d->queue, p->id);
    else if (!was_open && continuity_way(&p->p) == WAY_OPEN)
        queue_wake(d->queue, p->id);
    if (p->p.state == STATE_RETURNING && queue_waiting_for(d->queue, p->id) == 0)
        desk_drained(d, p->id);
}

void desk_evidence(void *arg, uint64_t primary, enum continuity_evidence e, struct slice text)
{
    struct desk *d = arg;
    struct desk_primary *p = desk_primary(d, primary);
    /* No delivery begins in an emergency: this one began before it, and says nothing about now.
     * Probes decide when it is over, unless it refuses mail, which no probe can see. */
    if (!p || (p->p.state == STATE_EMERGENCY && !p->p.is_refusing))
        return;
    if (e == EVIDENCE_BAD || e == EVIDENCE_REFUSES) {
        snprintf(p->last_text, sizeof(p->last_text), "%.*s", SLICE_ARG(text));
        if (p->p.run[ASPECT_TAKES].n_bad == 0)
            p->next_probe = 0; /* look for ourselves at once */
    }
    step(d, p, e, text, SLICE("deliveries"), NULL, NULL);
}

enum continuity_way desk_way(void *arg, uint64_t primary)
{
    struct desk_primary *p = desk_primary(arg, primary);
    return p ? continuity_way(&p->p) : WAY_CLOSED;
}

uint32_t desk_ceiling(void *arg, uint64_t primary)
{
    struct desk *d = arg;
    const struct directory_primary *p = directory_primary(d->directory, primary);
    return p ? p->facts.connections : 0;
}

void desk_drained(void *arg, uint64_t primary)
{
    struct desk *d = arg;
    struct desk_primary *p = map_get(d->primaries, KEY(primary));
    if (p && p->p.state == STATE_RETURNING)
        step(d, p, EVIDENCE_DRAINED, SLICE("everything was given back"), SLICE("queue"), NULL,
             NULL);
}

void desk_decide(void *arg, uint64_t primary, enum continuity_evidence what, struct slice by,
                 struct slice why, void (*done)(void *cookie, enum err err, const char *why_not),
                 void *cookie)
{
    struct desk_primary *p = desk_primary(arg, primary);
    if (p)
        step(arg, p, what, why, by, done, cookie);
    else
        done(cookie, ERR_GONE, "there is no such primary");
}

/* ---- probes ---- */

static bool send_probe(struct desk *d, struct desk_primary *p)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    if (!facts || !d->liaison.link)
        return false;
    struct ipc_host hosts[16];
    struct ipc_probe probe = {.primary = p->id,
                              .hosts = hosts,
                              .tls = facts->facts.tls,
                              .tls_name = facts->facts.tls_name,
                              .timeout_ms = PROBE_TIMEOUT_MS};
    for (uint32_t i = 0; i < facts->facts.n_hosts && i < 16; i++)
        hosts[probe.n_hosts++] =
            (struct ipc_host){facts->facts.hosts[i].name, facts->facts.hosts[i].port};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_probe_pack(&b, &probe);
    p->is_probing = desk_send(d->liaison.link, IPC_T_probe, p->id, &b);
    p->probe_until = mono_now() + MILLISECONDS(2 * PROBE_TIMEOUT_MS);
    return p->is_probing;
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
    if (!p || (!p->is_probing && !send_probe(d, p))) {
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

static bool take_observed(struct desk *d, struct net_frame *f)
{
    struct ipc_observed o;
    if (!ipc_observed_unpack(f->payload, NULL, &o) || o.phase >= AT_N || o.primary != f->tag)
        return false;
    struct desk_primary *p = map_get(d->primaries, KEY(o.primary));
    if (!p || !p->is_probing)
        return true; /* removed meanwhile */
    char text[300];
    bool is_well = o.code >= 200 && o.code < 300;
    explain(&o, text, sizeof(text));
    p->is_probing = false;
    p->last_probe = utc_now();
    p->probe_ms = o.took_ms;
    if (is_well) {
        snprintf(p->software, sizeof(p->software), "%.*s", SLICE_ARG(o.software));
        if (o.abilities & IPC_ABILITIES_KNOWN) {
            p->abilities = o.abilities;
            p->size_max = o.size_max;
        }
    }
    if (!is_well || !p->p.is_refusing)
        snprintf(p->last_text, sizeof(p->last_text), "%s", text);
    if (!is_well) /* the interval of a healthy one is not over yet */
        p->next_probe = mono_now() + MILLISECONDS(PROBE_ILL_MS);
    step(d, p, evidence_of_probe(d, p, is_well), slice_str(text), SLICE("probe"), NULL, NULL);
    answer_waiters(p, is_well ? ERR_OK : ERR_IO, text);
    return true;
}

void desk_liaison_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct peer *p = arg;
    struct desk *d = p->desk;
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_LIAISON, IPC_CORE);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (is_good && f->type == IPC_T_observed)
        is_good = take_observed(d, f);
    else if (is_good && f->type == IPC_T_refusals)
        desk_take_refusals(d, f->payload, &is_good);
    else if (is_good && f->type == IPC_T_figures)
        desk_take_figures(d, "liaison", f->payload, &is_good);
    if (is_good)
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
    while (map_next(peer->desk->primaries, &at, NULL, &value)) {
        struct desk_primary *p = value;
        if (p->is_probing)
            p->next_probe = 0; /* asked again as soon as there is somebody to ask */
        p->is_probing = false;
        answer_waiters(p, ERR_RETRY, "our probing process ended in the middle of it");
    }
}

static mono_us probe_interval(const struct desk_primary *p)
{
    bool is_well = p->p.state == STATE_STANDBY && p->p.run[ASPECT_TAKES].n_bad == 0;
    return is_well ? SECONDS(PROBE_WELL_SECONDS) : MILLISECONDS(PROBE_ILL_MS);
}

/* Our own process forgot it: no evidence, and the next probe must not wait for it for ever. */
static void give_up_probe(struct desk_primary *p, mono_us now)
{
    if (!p->is_probing || now < p->probe_until)
        return;
    p->is_probing = false;
    answer_waiters(p, ERR_RETRY, "our probing process gave no answer; try again");
}

static void try_refusing(struct desk *d, struct desk_primary *p, mono_us now)
{
    if (!p->p.is_refusing || p->p.state == STATE_STANDBY || now < p->next_try)
        return;
    p->next_try = now + SECONDS(TRY_SECONDS);
    queue_try(d->queue, p->id);
}

void desk_state_tick(struct desk *d, mono_us now)
{
    const struct directory_primary *facts;
    size_t at = 0;
    while ((facts = directory_next_primary(d->directory, &at))) {
        struct desk_primary *p = desk_primary(d, facts->id);
        give_up_probe(p, now);
        if (facts->facts.n_hosts && !p->is_probing && now >= p->next_probe && send_probe(d, p))
            p->next_probe = now + probe_interval(p);
        step(d, p, EVIDENCE_NONE, SLICE("no sign of life for long enough"), SLICE("clock"), NULL,
             NULL);
        try_refusing(d, p, now);
    }
}

bool desk_state(void *arg, uint64_t primary, struct admin_primary_state *ret)
{
    struct desk_primary *p = desk_primary(arg, primary);
    if (!p)
        return false;
    *ret = (struct admin_primary_state){.p = p->p,
                                        .last_text = slice_str(p->last_text),
                                        .last_probe = p->last_probe,
                                        .probe_ms = p->probe_ms,
                                        .software = slice_str(p->software),
                                        .size_max = p->size_max,
                                        .abilities = p->abilities};
    return true;
}

void desk_state_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->primaries, &at, NULL, &value)) {
        struct desk_primary *p = value;
        for (struct list *node; (node = list_pop(&p->waiters));) {
            struct probe_waiter *w = container_of(node, struct probe_waiter, node);
            mem_free(&w);
        }
        mem_free(&p);
    }
    map_destroy(&d->primaries);
}
