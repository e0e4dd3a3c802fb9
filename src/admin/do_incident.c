/* Incidents: what goes on, what was, who takes care, who was told. */
#include "admin/admin_int.h"

#include <stdlib.h>

static const char *const classes[] = {
    [EVENT_INFO] = "info", [EVENT_NOTICE] = "notice", [EVENT_ALARM] = "alarm"};

static void write_brief(struct admin_call *c, const struct alert_incident *i)
{
    struct out *j = &c->json;
    const struct alert_incident_body *f = &i->body;
    const struct alert_update *last = &f->updates[f->n_updates - 1];
    char id[MESSAGE_ID_TEXT];
    message_id_text(i->id, id);
    out_word(j, "incident", id);
    out_word(j, "state", f->closed ? "over" : "open");
    out_word(j, "class", classes[f->class]);
    out_text(j, "name", f->name);
    out_text_if(j, "tenant", name_of_tenant(c->host, i->tenant));
    out_text(j, "subject", f->subject);
    out_time(j, "opened", f->opened);
    out_time(j, "closed", f->closed);
    out_number(j, "updates", last->number);
    out_time(j, "changed", last->time);
    out_text(j, "last", last->happened);
    out_text_if(j, "taken_by", f->taken_by);
    out_text_if(j, "taken_why", f->taken_why);
    out_time(j, "taken_at", f->taken_at);
}

static void write_lines(struct out *j, const char *key, struct slice text)
{
    out_array(j, key);
    while (text.n > 0) {
        struct slice line = slice_cut(text, '\n', &text);
        if (line.n)
            out_text(j, NULL, line);
    }
    out_close(j);
}

static void write_update(struct out *j, const struct alert_update *u)
{
    out_object(j, NULL);
    out_number(j, "update", u->number);
    out_time(j, "time", u->time);
    out_word(j, "class", classes[u->class]);
    out_text(j, "happened", u->happened);
    out_text_if(j, "did", u->did);
    out_text_if(j, "can", u->can);
    write_lines(j, "evidence", u->evidence);
    out_text_if(j, "by", u->by);
    out_close(j);
}

static const char *state_of(const struct alert_outbox *x)
{
    const struct alert_outbox_body *f = &x->body;
    if (f->newest <= f->told)
        return "told";
    if (f->newest <= f->given_up)
        return "given-up";
    return f->attempts ? "trying" : "waiting";
}

static void write_delivery(struct admin_call *c, const struct alert_outbox *x)
{
    struct out *j = &c->json;
    const struct alert_target *t = alert_target(c->host->alerts, x->body.target);
    out_object(j, NULL);
    out_text(j, "alert", t ? t->body.name : SLICE("?"));
    out_word(j, "kind", alert_kind_name(t ? t->body.kind : 0));
    out_word(j, "state", state_of(x));
    out_number(j, "told", x->body.told);
    out_number(j, "newest", x->body.newest);
    out_number_if(j, "given_up", x->body.given_up);
    out_number_if(j, "attempts", x->body.attempts);
    out_time(j, "next", x->body.newest > x->body.told ? x->body.next : 0);
    out_time(j, "answered", x->body.answered);
    out_text_if(j, "answer", x->body.answer);
    out_close(j);
}

static void write_incident(struct admin_call *c, const struct alert_incident *i)
{
    struct out *j = &c->json;
    const struct alert_outbox *x;
    out_object(j, NULL);
    write_brief(c, i);
    out_text(j, "about", i->body.key);
    out_number_if(j, "reopened", i->body.n_reopened);
    out_array(j, "history");
    for (uint32_t k = 0; k < i->body.n_updates; k++)
        write_update(j, &i->body.updates[k]);
    out_close(j);
    out_array(j, "deliveries");
    for (size_t at = 0; (x = alert_next_outbox(c->host->alerts, i->id, &at));)
        write_delivery(c, x);
    out_close(j);
    out_close(j);
}

/* ---- lists ---- */

/* Those that go on first, the newest first in each half. */
static int by_urgency(const void *a, const void *b)
{
    const struct alert_incident *const *x = a, *const *y = b;
    utc_ms of_x = (*x)->body.closed, of_y = (*y)->body.closed;
    if ((of_x == 0) != (of_y == 0))
        return of_x == 0 ? -1 : 1;
    of_x = of_x ? of_x : (*x)->body.opened;
    of_y = of_y ? of_y : (*y)->body.opened;
    if (of_x != of_y)
        return of_x > of_y ? -1 : 1;
    return (*x)->id > (*y)->id ? -1 : 1;
}

static const struct alert_incident **gather(struct admin_call *c, uint64_t tenant, size_t *ret_n)
{
    enum { MOST = ALERT_OPEN_MAX + ALERT_CLOSED_MAX + 1 };
    const struct alert_incident **all = ARENA_ARRAY(c->arena, const struct alert_incident *, MOST);
    const struct alert_incident *i;
    size_t n = 0;
    for (size_t at = 0; n < MOST && (i = alert_next_incident(c->host->alerts, &at));)
        if (!tenant || i->tenant == tenant)
            all[n++] = i;
    qsort(all, n, sizeof(*all), by_urgency);
    *ret_n = n;
    return all;
}

/* Where the list goes on; false: refused. */
static bool start_of(struct admin_call *c, const struct alert_incident *const *all, size_t n,
                     size_t *ret)
{
    struct slice after = call_param(c, "after");
    uint64_t id = message_id_parse(after);
    *ret = 0;
    if (after.n == 0)
        return true;
    while (*ret < n && all[*ret]->id != id)
        (*ret)++;
    if (*ret < n) {
        (*ret)++;
        return true;
    }
    call_refuse(c, 400, "after= names no incident of this list. Begin again without it.");
    return false;
}

void do_incident_list(struct admin_call *c)
{
    uint64_t tenant;
    size_t n, at;
    if (!call_tenant_filter(c, &tenant))
        return;
    const struct alert_incident **all = gather(c, tenant, &n);
    if (!start_of(c, all, n, &at))
        return;
    size_t end = n - at > call_limit(c) ? at + call_limit(c) : n;
    out_object(&c->json, NULL);
    out_array(&c->json, "incidents");
    for (; at < end; at++) {
        out_object(&c->json, NULL);
        write_brief(c, all[at]);
        out_close(&c->json);
    }
    out_close(&c->json);
    if (end < n) {
        char id[MESSAGE_ID_TEXT];
        message_id_text(all[end - 1]->id, id);
        out_word(&c->json, "next", id);
    }
    out_close(&c->json);
    call_done(c);
}

/* ---- one ---- */

static const struct alert_incident *call_incident(struct admin_call *c)
{
    uint64_t id = message_id_parse(c->part[0]);
    const struct alert_incident *i = id ? alert_incident(c->host->alerts, id) : NULL;
    if (!i)
        call_refuse(c, 404,
                    "There is no incident %s. Nothing was changed. `staffetta incident list` shows "
                    "those that go on and the latest that are over.",
                    log_text(c->part[0]));
    return i;
}

void do_incident_show(struct admin_call *c)
{
    const struct alert_incident *i = call_incident(c);
    if (!i)
        return;
    write_incident(c, i);
    call_done(c);
}

static void taken(void *cookie, enum err err, const char *why)
{
    struct admin_call *c = cookie;
    if (err != ERR_OK) {
        call_fail(c, err, why);
        return;
    }
    do_incident_show(c); /* or it is gone by now, and that is the answer */
}

void do_incident_ack(struct admin_call *c)
{
    const struct alert_incident *i = call_incident(c);
    if (!i)
        return;
    struct slice why = slice_trim(body_text(c->body, "why"));
    if (why.n == 0) {
        call_refuse(c, 400,
                    "The reason is empty. Nothing was changed. Say in \"why\" (on the command line "
                    "--why) what you do about it: the others read it.");
        return;
    }
    c->host->incident_take(c->host->arg, i->id, c->by, why, taken, c);
}
