/* History played again: what this plan (or another) would have decided on the evidence that was
 * recorded. Nothing is changed. */
#include "admin/admin_int.h"

#include <stddef.h>
#include <stdlib.h>

enum { EVIDENCE_MAX = 2000000, QUIET_MS = 2000, DAY_MS = 86400000 };

struct piece {
    utc_ms time;
    enum continuity_evidence kind;
};

struct replay {
    struct admin_call *c;
    struct piece *pieces;
    size_t n, cap;
    bool is_cut;
    struct continuity_plan plan;
    struct continuity_primary p;
    uint32_t n_emergencies, n_told;
};

/* A run says how often, not when: it is spread evenly. */
static bool spread(void *arg, const struct record_evidence *run)
{
    struct replay *r = arg;
    for (uint32_t i = 0; i < run->n; i++) {
        if (r->n == EVIDENCE_MAX) {
            r->is_cut = true;
            return false;
        }
        if (r->n == r->cap) {
            r->cap = r->cap ? 2 * r->cap : 1024;
            r->pieces = mem_resize(r->pieces, r->cap * sizeof(*r->pieces));
        }
        utc_ms step = run->n > 1 ? (run->last - run->first) * i / (run->n - 1) : 0;
        r->pieces[r->n++] = (struct piece){run->first + step, run->kind};
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return x->time < y->time ? -1 : x->time > y->time;
}

static void step(struct replay *r, enum continuity_evidence e, utc_ms now)
{
    struct out *j = &r->c->json;
    enum continuity_state old = r->p.state;
    unsigned actions = continuity_step(&r->p, e, now, &r->plan);
    r->n_told += (actions & ACTION_TELL) != 0;
    if (!(actions & ACTION_STATE_CHANGED))
        return;
    r->n_emergencies += r->p.state == STATE_EMERGENCY && old != STATE_EMERGENCY;
    out_object(j, NULL);
    out_time(j, "time", now);
    out_word(j, "from", continuity_state_name(old));
    out_word(j, "to", continuity_state_name(r->p.state));
    out_word(j, "evidence", continuity_evidence_name(e));
    out_close(j);
}

/* Between two pieces only time passes; nothing can happen later than the plan's longest time. */
static void pass_time(struct replay *r, utc_ms from, utc_ms until)
{
    utc_ms longest = from + DAY_MS < until ? from + DAY_MS : until;
    for (utc_ms t = from + QUIET_MS; t < longest; t += QUIET_MS)
        step(r, EVIDENCE_NONE, t);
}

static void play(struct replay *r)
{
    qsort(r->pieces, r->n, sizeof(*r->pieces), by_time);
    utc_ms before = r->n ? r->pieces[0].time : 0;
    r->p = continuity_start(before);
    for (size_t i = 0; i < r->n; i++) {
        pass_time(r, before, r->pieces[i].time);
        step(r, r->pieces[i].kind, r->pieces[i].time);
        /* What ended it then ends it here too, or the rest would show nothing. */
        if (r->p.state == STATE_RETURNING && r->pieces[i].kind == EVIDENCE_GOOD)
            step(r, EVIDENCE_DRAINED, r->pieces[i].time);
        before = r->pieces[i].time;
    }
}

static void read_plan(struct admin_call *c, struct continuity_plan *plan)
{
    static const struct {
        const char *name;
        size_t at;
    } members[] = {
        {"bad_for_suspect", offsetof(struct continuity_plan, bad_for_suspect)},
        {"suspect_within", offsetof(struct continuity_plan, suspect_within_sec)},
        {"tell_after", offsetof(struct continuity_plan, tell_after_sec)},
        {"emergency_after", offsetof(struct continuity_plan, emergency_after_sec)},
        {"calm", offsetof(struct continuity_plan, calm_sec)},
        {"good_for_ready", offsetof(struct continuity_plan, good_for_ready)},
        {"ready_over", offsetof(struct continuity_plan, ready_over_sec)},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        uint64_t value;
        if (slice_u64(call_param(c, members[i].name), UINT32_MAX, &value))
            *(uint32_t *)((char *)plan + members[i].at) = (uint32_t)value;
    }
}

/* The plan in force, as the index knows it. */
struct wanted {
    uint64_t primary;
    struct continuity_plan *plan;
    struct arena *arena;
};

static bool take_plan(void *arg, const struct record_object *o)
{
    struct wanted *w = arg;
    struct dir_plans all;
    if (o->id != w->primary || o->is_removed || !dir_plans_unpack(o->body, w->arena, &all))
        return true;
    for (uint32_t i = 0; i < all.n_versions; i++)
        if (all.versions[i].approved_at)
            *w->plan = directory_continuity(&all.versions[i]);
    return false;
}

void do_state_replay(struct admin_call *c)
{
    SCOPED(names_finish) struct names n = {};
    uint64_t tenant = 0, primary;
    struct errinfo ei;
    if (!names_load(c, &n) || !names_filter_tenant(c, &n, &tenant) ||
        !names_find_primary(c, &n, tenant, c->part[0], &primary))
        return;
    struct replay r = {.c = c, .plan = continuity_plan_default};
    struct wanted w = {primary, &r.plan, c->arena};
    utc_ms since = call_time(c, "since");
    enum err err = store_each_object(c->reader, OBJECT_PLAN, take_plan, &w, &ei);
    read_plan(c, &r.plan);
    if (err == ERR_OK)
        err = store_each_evidence(c->reader, primary, since ? since : utc_now() - 30LL * DAY_MS,
                                  spread, &r, &ei);
    if (err != ERR_OK) {
        mem_free(&r.pieces);
        call_fail(c, err, ei.text);
        return;
    }
    out_object(&c->json, NULL);
    out_text(&c->json, "primary", c->part[0]);
    out_array(&c->json, "changes");
    play(&r);
    out_close(&c->json);
    out_number(&c->json, "evidence", r.n);
    out_number(&c->json, "emergencies", r.n_emergencies);
    out_number(&c->json, "told", r.n_told);
    out_truth(&c->json, "partial", r.is_cut);
    out_word(&c->json, "ends", continuity_state_name(r.p.state));
    out_close(&c->json);
    mem_free(&r.pieces);
    call_done(c);
}
