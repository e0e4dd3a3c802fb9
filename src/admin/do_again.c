/* Giving back once more: a primary whose disk died has lost what it had taken since its last
 * backup. */
#include "admin/admin_int.h"

static void write_again(struct admin_call *c, const struct directory_primary *p)
{
    struct admin_again a = {};
    struct out *j = &c->json;
    bool is_known = c->host->again_state(c->host->arg, p->id, &a);
    out_object(j, NULL);
    out_text(j, "primary", p->facts.name);
    out_text(j, "tenant", name_of_tenant(c->host, p->tenant));
    out_truth(j, "running", a.is_running);
    out_truth(j, "dry_run", a.is_dry);
    out_time(j, "since", a.since);
    out_truth(j, "whole", a.is_whole);
    out_number(j, "found", a.n_found);
    out_number(j, "looked", a.n_looked);
    out_number(j, "mailboxes", a.n_mailboxes);
    out_number(j, "present", a.n_present);
    out_number(j, "absent", a.n_absent);
    out_number(j, "unsure", a.n_unsure);
    out_number(j, "given", a.n_given);
    out_number(j, "gone", a.n_gone);
    out_word(j, "text", is_known ? a.text : "Nothing was ever given again.");
    out_close(j);
    call_done(c);
}

void do_again_show(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (p)
        write_again(c, p);
}

struct ordered {
    struct admin_call *c;
    uint64_t primary;
};

static void ordered(void *cookie, enum err err, const char *why)
{
    struct ordered o = *(struct ordered *)cookie; /* it lies in the call's arena */
    const struct directory_primary *p = directory_primary(o.c->host->directory, o.primary);
    if (err == ERR_CONFLICT)
        call_refuse(o.c, 409, "Nothing was done: %s.", why);
    else if (err != ERR_OK)
        call_fail(o.c, err, why);
    else if (!p)
        call_refuse(o.c, 404, "The mail system was removed meanwhile.");
    else
        write_again(o.c, p);
}

void do_again_start(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    struct admin_again_order order = {.primary = p->id,
                                      .since = admin_time(body_text(c->body, "since")),
                                      .is_dry = body_truth(c->body, "dry_run", false),
                                      .by = c->by,
                                      .why = slice_trim(body_text(c->body, "why"))};
    if (order.why.n == 0 || order.since < 0 || order.since > utc_now()) {
        call_refuse(c, 400,
                    "Giving again needs a time that has passed (\"since\": where the "
                    "restored backup ends) and a reason (\"why\"). Nothing was done.");
        return;
    }
    struct ordered *cookie = ARENA_NEW(c->arena, struct ordered);
    *cookie = (struct ordered){c, p->id};
    c->host->again(c->host->arg, &order, ordered, cookie);
}

void do_again_stop(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    struct admin_again_order order = {
        .primary = p->id, .by = c->by, .why = slice_trim(body_text(c->body, "why"))};
    if (order.why.n == 0) {
        call_refuse(c, 400, "Stopping it needs a reason (\"why\"). Nothing was done.");
        return;
    }
    struct ordered *cookie = ARENA_NEW(c->arena, struct ordered);
    *cookie = (struct ordered){c, p->id};
    c->host->again_stop(c->host->arg, &order, ordered, cookie);
}
