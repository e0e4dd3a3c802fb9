/* Primaries as we experience them: evidence goes through continuity's step; changes are written as
 * objects, told to people, and wake the queue. */
#include "desk/desk_state_int.h"

#include <stdio.h>

#include "base/pack_struct_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"
#include "base/pack_write_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"

enum { TRY_SECONDS = 4 };

/* Stored: the numbers stay. */
enum desk_state_flag {
    IS_BY_HAND = 1,
    IS_TOLD = 2,
    IS_READY = 4,
    IS_ISOLATED = 8,
    IS_PAUSED = 16,
    IS_CLOCK_DOUBTED = 32,
    CANARY_WORKED = 64,
    LOGIN_WORKED = 128,
};

struct continuity_plan desk_plan_of(const struct desk *d, uint64_t primary)
{
    return directory_continuity(directory_plan(d->directory, primary));
}

struct desk_primary *desk_primary(struct desk *d, uint64_t id)
{
    struct desk_primary *p = map_get(d->primaries, KEY(id));
    if (p || !directory_primary(d->directory, id))
        return p;
    p = mem_new(sizeof(*p));
    p->id = id;
    p->p = continuity_start(utc_now());
    p->p.is_blind = d->control.is_blind;
    p->p.is_clock_doubted = d->clock.is_doubted;
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
    desk_done *done;
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

static uint32_t flags_of(const struct desk_primary *primary)
{
    const struct continuity_primary *p = &primary->p;
    return (primary->has_worked[ASPECT_ARRIVES] ? CANARY_WORKED : 0U) |
           (primary->has_worked[ASPECT_LETS_IN] ? LOGIN_WORKED : 0U) |
           (p->is_by_hand ? IS_BY_HAND : 0U) | (p->is_told ? IS_TOLD : 0U) |
           (p->is_ready ? IS_READY : 0U) | (p->is_isolated ? IS_ISOLATED : 0U) |
           (p->is_paused ? IS_PAUSED : 0U) | (p->is_clock_doubted ? IS_CLOCK_DOUBTED : 0U);
}

static void write_state(struct desk *d, const struct desk_primary *p, struct slice by,
                        struct slice why, desk_done *done, void *cookie)
{
    SCOPED(buf_finish) struct buf body = buf_make(1000);
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    struct desk_state_body b = {.state = (uint8_t)p->p.state,
                                .since = p->p.since,
                                .trouble_since = p->p.trouble_since,
                                .flags = flags_of(p),
                                .maintenance_from = p->p.maintenance_from,
                                .maintenance_until = p->p.maintenance_until,
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
    p->has_worked[ASPECT_ARRIVES] = b.flags & CANARY_WORKED;
    p->has_worked[ASPECT_LETS_IN] = b.flags & LOGIN_WORKED;
    p->p.is_by_hand = b.flags & IS_BY_HAND;
    p->p.is_told = b.flags & IS_TOLD;
    p->p.is_ready = b.flags & IS_READY;
    p->p.is_isolated = b.flags & IS_ISOLATED;
    p->p.is_paused = b.flags & IS_PAUSED;
    p->p.is_clock_doubted = b.flags & IS_CLOCK_DOUBTED;
    d->clock.is_doubted |= p->p.is_clock_doubted;
    p->p.maintenance_from = b.maintenance_from;
    p->p.maintenance_until = b.maintenance_until;
    p->p.trouble_since = b.trouble_since;
    if (b.state != STATE_SUSPECT)
        return;
    /* While we were away nobody looked: that time proves nothing, the count begins anew. */
    utc_ms now = utc_now();
    p->p.trouble_since = now;
    p->p.run[ASPECT_TAKES] = (struct continuity_run){.n_bad = 1, .first_bad = now, .last_bad = now};
}

/* ---- telling ---- */

static const struct words {
    const char *happened, *did, *can;
} words[STATE_N] = {
    [STATE_STANDBY] = {"is well", "Mail passes through again.", ""},
    [STATE_SUSPECT] = {"does not answer as it should",
                       "Mail is accepted and kept; it is passed on as soon as it answers.",
                       "Look at the mail system."},
    [STATE_EMERGENCY] = {"is in an emergency", "Mail is accepted and kept here until it is back.",
                         "Repair the mail system. When it is well again, what was kept is given "
                         "back: staffetta state return."},
    [STATE_RETURNING] = {"gets its mail back", "What was kept is being given back now.", ""},
};

/* An incident begins when those in charge should know: not with the first suspicion, which is an
 * event only. */
static void report(struct desk *d, struct desk_primary *p, unsigned actions, struct slice by,
                   struct slice why)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    struct slice name = facts ? facts->facts.name : SLICE("?");
    const struct words *w = &words[p->p.state];
    bool is_bad = p->p.state == STATE_EMERGENCY || (actions & ACTION_TELL);
    char event[40], key[40];
    SCOPED(buf_finish) struct buf happened = buf_make(2000);
    snprintf(event, sizeof(event), "primary.%s", continuity_state_name(p->p.state));
    snprintf(key, sizeof(key), "primary/%llx", (unsigned long long)p->id);
    buf_addf(&happened, SLICE_FMT " %s: %.600s.", SLICE_ARG(name), w->happened, log_text(why));
    struct desk_report r = {
        .tenant = facts ? facts->tenant : 0,
        .key = slice_str(key),
        .class = is_bad ? EVENT_ALARM : EVENT_INFO,
        .name = event,
        .subject = name,
        .happened = buf_slice(&happened),
        .did = slice_str(w->did),
        .can = slice_str(w->can),
        .evidence = slice_of(why.p, why.n < 600 ? why.n : 600),
        .by = by,
        .is_over = (actions & ACTION_CALM) ||
                   (p->p.state == STATE_STANDBY && (actions & ACTION_STATE_CHANGED)),
    };
    if (p->p.is_isolated) {
        r.happened = SLICE("It is isolated: nothing is given to it.");
        r.can = SLICE("Clean the mail system, then declare it: staffetta state clean.");
    }
    desk_report(d, &r);
}

static void report_ready(struct desk *d, const struct desk_primary *p)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    char key[40];
    snprintf(key, sizeof(key), "primary/%llx", (unsigned long long)p->id);
    struct desk_report r = {
        .tenant = facts ? facts->tenant : 0,
        .key = slice_str(key),
        .class = EVENT_NOTICE,
        .name = "primary.ready",
        .subject = facts ? facts->facts.name : SLICE("?"),
        .happened = SLICE("It has been well for long enough to get its mail back."),
        .did = SLICE("Nothing is given back before a person says so."),
        .can = SLICE("staffetta state preview shows what would go where; staffetta state approve "
                     "gives it back."),
        .by = SLICE("probe"),
    };
    desk_report(d, &r);
}

static void note_change(struct desk *d, const struct desk_primary *p, enum continuity_state old,
                        struct slice by, struct slice why)
{
    const struct directory_primary *facts = directory_primary(d->directory, p->id);
    struct slice name = facts ? facts->facts.name : SLICE("?");
    log_event(EV_STATE, "primary=%s from=%s to=%s by=%s why=%s", log_text(name),
              continuity_state_name(old), continuity_state_name(p->p.state), log_text(by),
              log_text(why));
    if (old >= STATE_EMERGENCY || p->p.is_told)
        return; /* that is reported */
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    buf_addf(&text, SLICE_FMT " %s (%.400s). %s", SLICE_ARG(name), words[p->p.state].happened,
             log_text(why), words[p->p.state].did);
    char event[40];
    snprintf(event, sizeof(event), "primary.%s", continuity_state_name(p->p.state));
    desk_event(d, p->p.state == STATE_SUSPECT ? EVENT_NOTICE : EVENT_INFO, event,
               facts ? facts->tenant : 0, name, buf_slice(&text), by);
}

/* ---- one step ---- */

static const char *why_not(const struct continuity_primary *p, enum continuity_evidence e)
{
    if (p->is_isolated)
        return "the mail system is isolated: nothing is given to it before it is declared clean "
               "(staffetta state clean)";
    if (e == EVIDENCE_SAY_APPROVE && p->state == STATE_EMERGENCY)
        return "it has not been well for long enough; staffetta state return gives back all the "
               "same";
    return "the primary is not in a state in which this can be decided";
}

void desk_step(struct desk *d, struct desk_primary *p, enum continuity_evidence e, struct slice why,
               struct slice by, desk_done *done, void *cookie)
{
    struct continuity_plan plan = desk_plan_of(d, p->id);
    enum continuity_state old = p->p.state;
    bool was_open = continuity_way(&p->p) == WAY_OPEN;
    utc_ms now = utc_now();
    desk_evidence_note(d, p, e, why, now);
    unsigned actions = continuity_step(&p->p, e, now, &plan);
    bool is_change = actions & (ACTION_STATE_CHANGED | ACTION_FLAGS_CHANGED);
    if (actions & ACTION_STATE_CHANGED) {
        note_change(d, p, old, by, why);
        for (size_t a = 0; a < ASPECT_N; a++)
            p->turn[a].next = 0;
    }
    /* Before anybody is told: what is told has been decided, whatever dies in between. */
    if (is_change) {
        write_state(d, p, by, why, done, cookie);
        desk_episode_note(d, p, old, by, why);
    } else if (done) {
        done(cookie, ERR_INVALID, why_not(&p->p, e));
    }
    bool is_known = p->p.is_told || (actions & ACTION_CALM) || old >= STATE_EMERGENCY;
    if (is_known && (actions & (ACTION_STATE_CHANGED | ACTION_TELL | ACTION_CALM)))
        report(d, p, actions, by, why);
    if (actions & ACTION_READY)
        report_ready(d, p);
    if (actions & ACTION_DRAIN)
        queue_drain(d->queue, p->id);
    else if (!was_open && continuity_way(&p->p) == WAY_OPEN)
        queue_wake(d->queue, p->id);
    /* Not heard while something fails: said again with the next evidence. */
    if (e != EVIDENCE_DRAINED && p->p.state == STATE_RETURNING &&
        queue_waiting_for(d->queue, p->id) == 0)
        desk_drained(d, p->id);
}

void desk_step_all(struct desk *d, enum continuity_evidence e, struct slice why, struct slice by)
{
    const struct directory_primary *facts;
    size_t at = 0;
    while ((facts = directory_next_primary(d->directory, &at)))
        desk_step(d, desk_primary(d, facts->id), e, why, by, NULL, NULL);
}

/* A connection that nobody answered ends half a minute later, an unanswered message ten minutes:
 * what began before the present state says nothing against it. */
static bool is_old_news(const struct desk_primary *p, enum continuity_evidence e, utc_ms begun)
{
    return e == EVIDENCE_BAD && begun < p->p.since;
}

void desk_evidence(void *arg, uint64_t primary, enum continuity_evidence e, utc_ms begun,
                   struct slice text)
{
    struct desk *d = arg;
    struct desk_primary *p = desk_primary(d, primary);
    /* No delivery begins in an emergency: this one began before it, and says nothing about now.
     * Probes decide when it is over, unless it refuses mail, which no probe can see. */
    if (!p || (p->p.state == STATE_EMERGENCY && !p->p.is_refusing) || is_old_news(p, e, begun))
        return;
    desk_clock_look(d);
    if (e == EVIDENCE_BAD || e == EVIDENCE_REFUSES) {
        snprintf(p->last_text, sizeof(p->last_text), "%.*s", SLICE_ARG(text));
        if (p->p.run[ASPECT_TAKES].n_bad == 0) {
            p->turn[ASPECT_TAKES].next = 0; /* look for ourselves at once */
            desk_control_soon(d);
        }
    }
    desk_step(d, p, e, text, SLICE("deliveries"), NULL, NULL);
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
    if (p && p->p.state == STATE_RETURNING && !p->p.is_paused)
        desk_step(d, p, EVIDENCE_DRAINED, SLICE("everything was given back"), SLICE("queue"), NULL,
                  NULL);
}

void desk_has_worked(struct desk *d, struct desk_primary *p, enum continuity_aspect aspect)
{
    if (p->has_worked[aspect])
        return;
    p->has_worked[aspect] = true;
    write_state(d, p, SLICE("probe"), SLICE("a test mailbox works for the first time"), NULL, NULL);
}

/* ---- what people say ---- */

void desk_decide(void *arg, uint64_t primary, enum continuity_evidence what, struct slice by,
                 struct slice why, desk_done *done, void *cookie)
{
    struct desk *d = arg;
    if (what == EVIDENCE_CLOCK_CONFIRMED) {
        bool was_doubted = d->clock.is_doubted;
        if (was_doubted)
            desk_clock_confirm(d, by, why);
        done(cookie, was_doubted ? ERR_OK : ERR_INVALID,
             was_doubted ? "" : "nobody doubts the clock");
        return;
    }
    struct desk_primary *p = desk_primary(d, primary);
    if (p)
        desk_step(d, p, what, why, by, done, cookie);
    else
        done(cookie, ERR_GONE, "there is no such primary");
}

void desk_maintain(void *arg, uint64_t primary, utc_ms from, utc_ms until, struct slice by,
                   struct slice why, desk_done *done, void *cookie)
{
    struct desk *d = arg;
    struct desk_primary *p = desk_primary(d, primary);
    if (!p) {
        done(cookie, ERR_GONE, "there is no such primary");
        return;
    }
    const struct directory_primary *facts = directory_primary(d->directory, primary);
    p->p.maintenance_from = from;
    p->p.maintenance_until = until;
    desk_event(d, EVENT_NOTICE, "primary.maintenance", facts ? facts->tenant : 0,
               facts ? facts->facts.name : SLICE("?"), why, by);
    write_state(d, p, by, why, done, cookie);
}

/* ---- time ---- */

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
    desk_clock_look(d);
    desk_control_tick(d, now);
    while ((facts = directory_next_primary(d->directory, &at))) {
        struct desk_primary *p = desk_primary(d, facts->id);
        desk_probe_tick(d, p, now);
        desk_step(d, p, EVIDENCE_NONE, slice_str(p->last_text), SLICE("clock"), NULL, NULL);
        try_refusing(d, p, now);
    }
    desk_probe_removed(d);
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
    for (size_t a = 0; a < ASPECT_N; a++)
        ret->aspect_text[a] = slice_str(p->aspect_text[a]);
    return true;
}

void desk_state_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->primaries, &at, NULL, &value)) {
        struct desk_primary *p = value;
        desk_probe_clear(p);
        mem_free(&p);
    }
    map_destroy(&d->primaries);
}
