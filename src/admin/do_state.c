/* The states of mail systems: what we know, what a person decides, a look right now. */
#include "admin/admin_int.h"

static void write_progress(struct admin_call *c, uint64_t primary)
{
    struct admin_progress p;
    struct out *j = &c->json;
    if (!c->host->progress(c->host->arg, primary, &p))
        return;
    out_object(j, "returning");
    out_number(j, "total", p.total);
    out_number(j, "done", p.done);
    out_number_if(j, "per_minute", p.per_second_1000 * 60 / 1000);
    out_number_if(j, "remaining_seconds", p.remaining_seconds);
    out_close(j);
}

enum { MAINTENANCE_DAYS = 30 };
static const utc_ms MAINTENANCE_MAX = (utc_ms)MAINTENANCE_DAYS * 86400 * 1000;

static void write_aspects(struct out *j, const struct admin_primary_state *s)
{
    out_array(j, "aspects");
    for (size_t i = 0; i < ASPECT_N; i++) {
        const struct continuity_run *r = &s->p.run[i];
        if (i != ASPECT_TAKES && r->last_good == 0 && r->last_bad == 0)
            continue; /* not watched */
        out_object(j, NULL);
        out_word(j, "aspect", continuity_aspect_name((enum continuity_aspect)i));
        out_number(j, "bad", r->n_bad);
        out_number(j, "good", r->n_good);
        out_time(j, "last_good", r->last_good);
        out_time(j, "last_bad", r->last_bad);
        out_text_if(j, "last", s->aspect_text[i]);
        out_close(j);
    }
    out_close(j);
}

void write_state(struct admin_call *c, const char *key, const struct directory_primary *p)
{
    struct out *j = &c->json;
    struct admin_primary_state s;
    if (!c->host->state(c->host->arg, p->id, &s))
        s = (struct admin_primary_state){.p = continuity_start(0)}; /* added this moment */
    const struct continuity_run *takes = &s.p.run[ASPECT_TAKES];
    out_object(j, key);
    out_text(j, "primary", p->facts.name);
    out_text(j, "tenant", name_of_tenant(c->host, p->tenant));
    out_word(j, "state", continuity_state_name(s.p.state));
    out_time(j, "since", s.p.since);
    out_truth(j, "ready", s.p.is_ready);
    out_number(j, "waiting", queue_waiting_for(c->host->queue, p->id));
    out_number(j, "bad", continuity_bad(&s.p));
    out_number(j, "good", takes->n_good);
    out_time(j, "first_bad", s.p.trouble_since);
    out_time(j, "last_good", takes->last_good);
    out_time(j, "last_bad", takes->last_bad);
    out_truth(j, "told", s.p.is_told);
    out_truth(j, "by_hand", s.p.is_by_hand);
    out_truth(j, "blind", s.p.is_blind);
    out_truth(j, "isolated", s.p.is_isolated);
    out_truth(j, "paused", s.p.is_paused);
    out_truth(j, "clock_doubted", s.p.is_clock_doubted);
    out_time(j, "maintenance_from", s.p.maintenance_from);
    out_time(j, "maintenance_until", s.p.maintenance_until);
    write_aspects(j, &s);
    out_time(j, "last_probe", s.last_probe);
    out_number_if(j, "probe_ms", s.probe_ms);
    out_text_if(j, "last", s.last_text);
    out_text_if(j, "software", s.software);
    out_number_if(j, "size_max", s.size_max);
    write_progress(c, p->id);
    out_close(j);
}

void do_state_show(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    write_state(c, NULL, p);
    call_done(c);
}

/* ---- deciding and looking: both answer later, when the primary may have gone ---- */

struct about {
    struct admin_call *c;
    uint64_t primary;
};

static struct about *about(struct admin_call *c, const struct directory_primary *p)
{
    struct about *a = ARENA_NEW(c->arena, struct about);
    *a = (struct about){c, p->id};
    return a;
}

/* NULL: refused. */
static const struct directory_primary *still_there(const struct about *a)
{
    const struct directory_primary *p = directory_primary(a->c->host->directory, a->primary);
    if (!p)
        call_refuse(a->c, 404, "The mail system was removed meanwhile.");
    return p;
}

static void decided(void *cookie, enum err err, const char *why)
{
    struct about a = *(struct about *)cookie; /* it lies in the call's arena */
    if (err != ERR_OK) {
        /* "Makes no sense" is about the state as it is now, not about the request. */
        call_fail(a.c, err == ERR_INVALID ? ERR_CONFLICT : err, why);
        return;
    }
    const struct directory_primary *p = still_there(&a);
    if (!p)
        return;
    write_state(a.c, NULL, p);
    call_done(a.c);
}

/* Empty: refused. */
static struct slice reason(struct admin_call *c)
{
    struct slice why = slice_trim(body_text(c->body, "why"));
    if (why.n == 0)
        call_refuse(c, 400,
                    "The reason is empty. Nothing was changed. Everybody will ask later: "
                    "say it in \"why\" (on the command line --why).");
    return why;
}

static void decide(struct admin_call *c, enum continuity_evidence what)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    struct slice why = reason(c);
    if (why.n)
        c->host->decide(c->host->arg, p->id, what, c->by, why, decided, about(c, p));
}

#define DECISION(name, evidence)                                                                   \
    void do_state_##name(struct admin_call *c)                                                     \
    {                                                                                              \
        decide(c, evidence);                                                                       \
    }
DECISION(emergency, EVIDENCE_SAY_EMERGENCY)
DECISION(return, EVIDENCE_SAY_RETURN)
DECISION(approve, EVIDENCE_SAY_APPROVE)
DECISION(isolate, EVIDENCE_SAY_ISOLATE)
DECISION(clean, EVIDENCE_SAY_CLEAN)
DECISION(pause, EVIDENCE_SAY_PAUSE)
DECISION(resume, EVIDENCE_SAY_RESUME)
#undef DECISION

void do_state_maintenance(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    struct slice why = reason(c);
    if (why.n == 0)
        return;
    utc_ms now = utc_now();
    utc_ms from = body_has(c->body, "from") ? admin_time(body_text(c->body, "from")) : now;
    utc_ms until = body_has(c->body, "until") ? admin_time(body_text(c->body, "until")) : now;
    if (from < 0 || until < 0) {
        call_refuse(c, 400,
                    "A time cannot be read. Nothing was changed. Write it as "
                    "2026-11-21T08:30:00Z.");
        return;
    }
    if (until < from || until > now + MAINTENANCE_MAX) {
        call_refuse(c, 400,
                    "A maintenance ends after it begins, and within 30 days from now. "
                    "Nothing was changed.");
        return;
    }
    c->host->maintain(c->host->arg, p->id, from, until, c->by, why, decided, about(c, p));
}

/* ---- the clock ---- */

void do_clock_show(struct admin_call *c)
{
    struct slice text;
    bool is_doubted = c->host->is_clock_doubted(c->host->arg, &text);
    out_object(&c->json, NULL);
    out_truth(&c->json, "doubted", is_doubted);
    out_text(&c->json, "text", text);
    out_close(&c->json);
    call_done(c);
}

static void clock_confirmed(void *cookie, enum err err, const char *why)
{
    struct admin_call *c = cookie;
    if (err == ERR_OK)
        do_clock_show(c);
    else
        call_fail(c, err == ERR_INVALID ? ERR_CONFLICT : err, why);
}

void do_clock_confirm(struct admin_call *c)
{
    struct slice why = reason(c);
    if (why.n)
        c->host->decide(c->host->arg, 0, EVIDENCE_CLOCK_CONFIRMED, c->by, why, clock_confirmed, c);
}
