/* Plans: what people decide beforehand about a mail system. A change is a new version, which counts
 * only when it was approved; versions stay as history. */
#include "admin/admin_int.h"

enum { VERSIONS_MAX = 50 };

static struct dir_plan default_plan(void)
{
    const struct continuity_plan *p = &continuity_plan_default;
    return (struct dir_plan){
        .bad_for_suspect = p->bad_for_suspect,
        .suspect_within_sec = p->suspect_within_sec,
        .tell_after_sec = p->tell_after_sec,
        .emergency_after_sec = p->emergency_after_sec,
        .calm_sec = p->calm_sec,
        .good_for_ready = p->good_for_ready,
        .ready_over_sec = p->ready_over_sec,
        .is_return_auto = p->is_return_auto,
        .canary_sec = 300,
        .login_sec = 300,
    };
}

/* ---- showing ---- */

static void write_plan(struct out *j, const char *key, const struct dir_plan *p, bool is_in_force)
{
    out_object(j, key);
    out_number(j, "version", p->version);
    out_truth(j, "in_force", is_in_force);
    out_text_if(j, "owner", p->owner);
    out_number(j, "bad_for_suspect", p->bad_for_suspect);
    out_number(j, "suspect_within", p->suspect_within_sec);
    out_number(j, "tell_after", p->tell_after_sec);
    out_number(j, "emergency_after", p->emergency_after_sec);
    out_number(j, "calm", p->calm_sec);
    out_number(j, "good_for_ready", p->good_for_ready);
    out_number(j, "ready_over", p->ready_over_sec);
    out_word(j, "return", p->is_return_auto ? "auto" : "approve");
    out_word(j, "method", p->is_return_append ? "append" : "smtp");
    out_word(j, "sending", p->is_sending_late ? "emergency" : "suspect");
    out_number(j, "canary_every", p->canary_sec);
    out_number(j, "login_every", p->login_sec);
    out_time(j, "changed_at", p->changed_at);
    out_text_if(j, "changed_by", p->changed_by);
    out_text_if(j, "why", p->why);
    out_time(j, "approved_at", p->approved_at);
    out_text_if(j, "approved_by", p->approved_by);
    out_close(j);
}

static const struct dir_plan *pending_of(const struct directory_plans *all)
{
    if (!all || all->facts.n_versions == 0)
        return NULL;
    const struct dir_plan *last = &all->facts.versions[all->facts.n_versions - 1];
    return last->approved_at ? NULL : last;
}

static void write_plans(struct admin_call *c, const struct directory_primary *p)
{
    const struct directory_plans *all = directory_plans(c->host->directory, p->id);
    const struct dir_plan *in_force = directory_plan(c->host->directory, p->id);
    const struct dir_plan *pending = pending_of(all);
    struct dir_plan built_in = default_plan();
    struct out *j = &c->json;
    out_object(j, NULL);
    out_text(j, "primary", p->facts.name);
    out_text(j, "tenant", name_of_tenant(c->host, p->tenant));
    out_word(j, "text",
             pending ? "A change waits for approval: staffetta plan approve. Until then the plan "
                       "in force stays."
             : in_force ? "The plan was approved and is in force."
                        : "Nobody wrote a plan: the built-in one is in force. Look whether it is "
                          "what you want, and write who answers for it: staffetta plan set.");
    write_plan(j, "plan", in_force ? in_force : &built_in, true);
    if (pending)
        write_plan(j, "pending", pending, false);
    out_close(j);
}

void do_plan_show(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    write_plans(c, p);
    call_done(c);
}

void do_plan_history(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    const struct directory_plans *all = directory_plans(c->host->directory, p->id);
    const struct dir_plan *in_force = directory_plan(c->host->directory, p->id);
    out_object(&c->json, NULL);
    out_array(&c->json, "plans");
    for (uint32_t i = 0; all && i < all->facts.n_versions; i++) {
        const struct dir_plan *v = &all->facts.versions[all->facts.n_versions - 1 - i];
        write_plan(&c->json, NULL, v, v == in_force);
    }
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}

/* ---- changing ---- */

static uint32_t number(const struct admin_call *c, const char *name, uint32_t if_absent)
{
    return (uint32_t)body_number(c->body, name, if_absent);
}

static bool is_word(const struct admin_call *c, const char *name, const char *word, bool if_absent)
{
    if (!body_has(c->body, name))
        return if_absent;
    return slice_eq(body_text(c->body, name), slice_str(word));
}

static void read_plan(const struct admin_call *c, struct dir_plan *p)
{
    if (body_has(c->body, "owner"))
        p->owner = body_text(c->body, "owner");
    p->bad_for_suspect = number(c, "bad_for_suspect", p->bad_for_suspect);
    p->suspect_within_sec = number(c, "suspect_within", p->suspect_within_sec);
    p->tell_after_sec = number(c, "tell_after", p->tell_after_sec);
    p->emergency_after_sec = number(c, "emergency_after", p->emergency_after_sec);
    p->calm_sec = number(c, "calm", p->calm_sec);
    p->good_for_ready = number(c, "good_for_ready", p->good_for_ready);
    p->ready_over_sec = number(c, "ready_over", p->ready_over_sec);
    p->is_return_auto = is_word(c, "return", "auto", p->is_return_auto);
    p->is_return_append = is_word(c, "method", "append", p->is_return_append);
    p->is_sending_late = is_word(c, "sending", "emergency", p->is_sending_late);
    p->canary_sec = number(c, "canary_every", p->canary_sec);
    p->login_sec = number(c, "login_every", p->login_sec);
}

static const char *what_is_wrong(const struct dir_plan *p)
{
    if (p->bad_for_suspect == 0 || p->good_for_ready == 0)
        return "a primary cannot change its state on no evidence at all: bad_for_suspect and "
               "good_for_ready are at least 1";
    if (p->suspect_within_sec == 0)
        return "suspect_within is at least 1 second";
    if (p->emergency_after_sec && p->emergency_after_sec < p->tell_after_sec)
        return "those in charge would be told after the emergency began: tell_after must not be "
               "larger than emergency_after";
    if ((p->canary_sec && p->canary_sec < 10) || (p->login_sec && p->login_sec < 10))
        return "canaries and log-ins more often than every 10 seconds are a load on the mail "
               "system, not a look at it";
    return NULL;
}

static void written(struct admin_call *c)
{
    const uint64_t *id = c->work;
    const struct directory_primary *p = directory_primary(c->host->directory, *id);
    if (!p) {
        call_refuse(c, 404, "The mail system was removed meanwhile.");
        return;
    }
    write_plans(c, p);
    call_done(c);
}

/* The versions with room for one more: the oldest goes, but never the one in force. */
static struct dir_plans copy_versions(struct admin_call *c, const struct directory_plans *all)
{
    struct dir_plans copy = {.versions = ARENA_ARRAY(c->arena, struct dir_plan, VERSIONS_MAX)};
    uint32_t n = all ? all->facts.n_versions : 0, in_force = n;
    for (uint32_t i = 0; i < n; i++)
        if (all->facts.versions[i].approved_at)
            in_force = i;
    uint32_t dropped = n < VERSIONS_MAX ? n : in_force == 0 ? 1 : 0;
    for (uint32_t i = 0; i < n; i++)
        if (i != dropped)
            copy.versions[copy.n_versions++] = all->facts.versions[i];
    return copy;
}

static void put(struct admin_call *c, const struct directory_primary *p,
                const struct dir_plans *plans)
{
    SCOPED(buf_finish) struct buf body = buf_make(100000);
    dir_plans_pack(&body, plans);
    struct record_object o = call_object(c, OBJECT_PLAN, p->tenant, p->facts.name, &body);
    o.id = p->id;
    uint64_t *work = ARENA_NEW(c->arena, uint64_t);
    *work = p->id;
    c->work = work;
    call_put(c, &o, written);
}

void do_plan_set(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    const struct directory_plans *all = directory_plans(c->host->directory, p->id);
    struct dir_plans plans = copy_versions(c, all);
    struct dir_plan next = plans.n_versions ? plans.versions[plans.n_versions - 1] : default_plan();
    read_plan(c, &next);
    const char *wrong = what_is_wrong(&next);
    if (wrong) {
        call_refuse(c, 400, "This plan makes no sense: %s. Nothing was changed.", wrong);
        return;
    }
    next.version++;
    next.changed_at = utc_now();
    next.changed_by = c->by;
    next.why = body_text(c->body, "why");
    next.approved_at = 0;
    next.approved_by = SLICE("");
    plans.versions[plans.n_versions++] = next;
    put(c, p, &plans);
}

void do_plan_approve(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    const struct directory_plans *all = directory_plans(c->host->directory, p->id);
    if (!pending_of(all)) {
        call_refuse(c, 409,
                    "No change of this plan waits for approval. Nothing was changed. "
                    "`staffetta plan show` shows the plan in force.");
        return;
    }
    struct dir_plans plans = {.versions =
                                  ARENA_ARRAY(c->arena, struct dir_plan, all->facts.n_versions),
                              .n_versions = all->facts.n_versions};
    memcpy(plans.versions, all->facts.versions, plans.n_versions * sizeof(*plans.versions));
    struct dir_plan *last = &plans.versions[plans.n_versions - 1];
    last->approved_at = utc_now();
    last->approved_by = c->by;
    put(c, p, &plans);
}
