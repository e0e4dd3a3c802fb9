/* Targets of alerts: where people and programs hear of incidents. Secrets come in and never go out
 * again, but for one that was made here: it is shown once. */
#include "admin/admin_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECRET_BYTES = 20, SECRET_TEXT = 40 };

/* What became of the words for this target. */
struct tally {
    uint64_t told, waiting, given_up;
    utc_ms answered;
    struct slice answer;
};

static struct tally tally_of(const struct alert_book *b, uint64_t target)
{
    struct tally t = {};
    const struct alert_incident *i;
    const struct alert_outbox *x;
    for (size_t at = 0; (i = alert_next_incident(b, &at));)
        for (size_t k = 0; (x = alert_next_outbox(b, i->id, &k));) {
            const struct alert_outbox_body *f = &x->body;
            if (f->target != target)
                continue;
            t.told += f->told > 0;
            t.given_up += f->given_up > f->told;
            t.waiting += f->newest > f->told && f->newest > f->given_up;
            if (f->answered <= t.answered)
                continue;
            t.answered = f->answered;
            t.answer = f->answer;
        }
    return t;
}

static void write_target(struct admin_call *c, const struct alert_target *t, const char *note,
                         const char *secret)
{
    struct out *j = &c->json;
    struct tally n = tally_of(c->host->alerts, t->id);
    out_object(j, NULL);
    out_text(j, "name", t->body.name);
    out_text_if(j, "tenant", name_of_tenant(c->host, t->tenant));
    out_word(j, "kind", alert_kind_name(t->body.kind));
    out_text_if(j, "url", t->body.url);
    out_text_if(j, "mail", t->body.address);
    out_word(j, "least", t->body.least == EVENT_ALARM ? "alarm" : "notice");
    out_text_if(j, "language", t->body.language);
    out_number(j, "told", n.told);
    out_number(j, "waiting", n.waiting);
    out_number(j, "given_up", n.given_up);
    out_time(j, "answered", n.answered);
    out_text_if(j, "answer", n.answer);
    if (secret && secret[0])
        out_word(j, "secret", secret);
    if (note && note[0])
        out_word(j, "note", note);
    out_close(j);
}

static int by_name(const void *a, const void *b)
{
    const struct alert_target *const *x = a, *const *y = b;
    return slice_cmp((*x)->body.name, (*y)->body.name);
}

void do_alert_list(struct admin_call *c)
{
    uint64_t tenant;
    size_t n = 0;
    const struct alert_target *t;
    if (!call_tenant_filter(c, &tenant))
        return;
    const struct alert_target **all =
        ARENA_ARRAY(c->arena, const struct alert_target *, ALERT_TARGETS_MAX + 1);
    for (size_t at = 0; n < ALERT_TARGETS_MAX && (t = alert_next_target(c->host->alerts, &at));)
        if (!tenant || t->tenant == tenant)
            all[n++] = t;
    qsort(all, n, sizeof(*all), by_name);
    out_object(&c->json, NULL);
    out_array(&c->json, "alerts");
    for (size_t i = 0; i < n; i++)
        write_target(c, all[i], NULL, NULL);
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}

static const struct alert_target *call_target(struct admin_call *c)
{
    const struct alert_target *t = alert_target_named(c->host->alerts, c->part[0]);
    if (!t)
        call_refuse(c, 404,
                    "There is no target of alerts called %s. Nothing was changed. `staffetta alert "
                    "list` shows those that exist.",
                    log_text(c->part[0]));
    return t;
}

void do_alert_show(struct admin_call *c)
{
    const struct alert_target *t = call_target(c);
    if (!t)
        return;
    write_target(c, t, NULL, NULL);
    call_done(c);
}

/* ---- adding ---- */

struct adding {
    uint64_t id;
    char secret[SECRET_TEXT]; /* that was made here */
    char note[500];
};

static bool refuse_value(struct admin_call *c, const char *what, const char *why)
{
    call_refuse(c, 400, "%s: %s. Nothing was changed.", what, why);
    return false;
}

static bool read_hook(struct admin_call *c, struct alert_target_body *f, struct adding *a)
{
    unsigned char bytes[SECRET_BYTES];
    f->kind = ALERT_WEBHOOK;
    f->url = body_text(c->body, "url");
    f->secret = body_text(c->body, "secret");
    const char *fault = alert_url_fault(f->url);
    if (fault)
        return refuse_value(c, "\"url\" cannot be used", fault);
    if (body_has(c->body, "secret") && f->secret.n < 8)
        return refuse_value(c, "\"secret\" is too short",
                            "give at least 8 bytes, or leave it out: one is made and shown once");
    if (f->secret.n == 0) {
        random_bytes(bytes, sizeof(bytes));
        base32_text(bytes, sizeof(bytes), a->secret);
        f->secret = slice_str(a->secret);
    }
    if (slice_istarts(f->url, SLICE("http://")))
        snprintf(a->note, sizeof(a->note),
                 "Without encryption only this machine and networks in network.allow are called. "
                 "`staffetta alert test` shows whether it works.");
    return true;
}

/* Mail to a domain of ours waits for the very mail system that the alert may be about. */
static void note_domain(struct admin_call *c, struct slice address, struct adding *a)
{
    const struct directory_domain *d = directory_domain(c->host->directory, key_domain(address));
    if (d && d->facts.primary)
        snprintf(a->note, sizeof(a->note),
                 "%s is a domain of this node, and its mail goes to the mail system %s: when that "
                 "is down, this alert arrives when it is no longer needed. Better an address "
                 "elsewhere, or a webhook.",
                 log_text(d->facts.name), log_text(name_of_primary(c->host, d->facts.primary)));
}

static bool read_mail(struct admin_call *c, struct alert_target_body *f, struct adding *a)
{
    struct slice key;
    f->kind = ALERT_MAIL;
    if (!call_key(c, body_text(c->body, "mail"), &key))
        return false;
    for (size_t i = 0; i < key.n; i++)
        if ((unsigned char)key.p[i] <= ' ' || (unsigned char)key.p[i] >= 0x7f)
            return refuse_value(c, "\"mail\" cannot be used",
                                "it has letters beyond ASCII, which not every mail system takes");
    f->address = key;
    note_domain(c, key, a);
    return true;
}

static bool read_target(struct admin_call *c, struct alert_target_body *f, struct adding *a)
{
    f->name = body_text(c->body, "name");
    f->least = slice_eq(body_text(c->body, "least"), SLICE("alarm")) ? EVENT_ALARM : EVENT_NOTICE;
    f->language = body_text(c->body, "language");
    if (f->name.n == 0 || slice_trim(f->name).n != f->name.n)
        return refuse_value(c, "A target needs a name", "without blanks at its ends");
    if (body_has(c->body, "sms"))
        return refuse_value(c, "\"sms\" is not possible yet",
                            "give \"url\" of a webhook that sends SMS, or \"mail\"");
    if (body_has(c->body, "url") == body_has(c->body, "mail"))
        return refuse_value(c, "Where to", "give either \"url\" (webhook) or \"mail\"");
    return body_has(c->body, "url") ? read_hook(c, f, a) : read_mail(c, f, a);
}

static size_t n_targets(const struct alert_book *b)
{
    size_t n = 0;
    for (size_t at = 0; alert_next_target(b, &at);)
        n++;
    return n;
}

static void added(struct admin_call *c)
{
    const struct adding *a = c->work;
    const struct alert_target *t = alert_target(c->host->alerts, a->id);
    must(t); /* just written, and changes take turns */
    write_target(c, t, a->note, a->secret);
    call_done(c);
}

void do_alert_add(struct admin_call *c)
{
    struct alert_target_body f = {};
    struct adding *a = ARENA_NEW(c->arena, struct adding);
    const struct directory_tenant *tenant = NULL;
    if (body_has(c->body, "tenant") && !(tenant = call_tenant(c, body_text(c->body, "tenant"))))
        return;
    if (!read_target(c, &f, a))
        return;
    if (alert_target_named(c->host->alerts, f.name)) {
        call_refuse(c, 409, "There is a target of alerts called %s already. Nothing was changed.",
                    log_text(f.name));
        return;
    }
    if (n_targets(c->host->alerts) >= ALERT_TARGETS_MAX) {
        call_refuse(c, 429,
                    "There are %d targets of alerts already. Nothing was changed. Remove "
                    "those that nobody reads.",
                    ALERT_TARGETS_MAX);
        return;
    }
    SCOPED(buf_finish) struct buf body = buf_make(8000);
    alert_target_body_pack(&body, &f);
    struct record_object o = call_object(c, OBJECT_TARGET, tenant ? tenant->id : 0, f.name, &body);
    a->id = o.id;
    c->work = a;
    call_put(c, &o, added);
}

/* ---- removing, testing ---- */

void do_alert_remove(struct admin_call *c)
{
    const struct alert_target *t = call_target(c);
    if (!t)
        return;
    call_remove(c, &(struct removal){OBJECT_TARGET, t->id, t->tenant, c->part[0],
                                     "Nothing more is sent there, also nothing that waited."});
}

static void tested(void *cookie, enum err err, const char *text)
{
    struct admin_call *c = cookie;
    out_object(&c->json, NULL);
    out_text(&c->json, "alert", c->part[0]);
    out_truth(&c->json, "ok", err == ERR_OK);
    out_word(&c->json, "text", text && text[0] ? text : err_name(err));
    out_close(&c->json);
    call_done(c);
}

void do_alert_test(struct admin_call *c)
{
    const struct alert_target *t = call_target(c);
    if (t)
        c->host->alert_test(c->host->arg, t->id, tested, c);
}
