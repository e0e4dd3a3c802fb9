/* How the mailboxes of a mail system are reached, and how a company counts its days. */
#include "admin/admin_int.h"

#include "wire/wire.h"

enum { PORT_IMAP = 143, PORT_IMAPS = 993 };

static const char *const mechanisms[] = {
    [DIR_PLAIN] = "plain", [DIR_LOGIN] = "login", [DIR_XOAUTH2] = "xoauth2"};
static const char *const ways[] = {
    [DIR_TLS_MAY] = "may",
    [DIR_TLS_MUST] = "must",
    [DIR_TLS_VERIFY] = "verify",
    [DIR_TLS_NEVER] = "never",
};

static uint8_t word_number(struct slice word, const char *const *words, uint8_t n, uint8_t other)
{
    for (uint8_t i = 0; i < n; i++)
        if (slice_eq(word, slice_str(words[i])))
            return i;
    return other;
}

/* ---- access ---- */

static void write_access(struct admin_call *c, const struct directory_primary *p)
{
    static const struct dir_access none;
    const struct directory_access *a = directory_access(c->host->directory, p->id);
    const struct dir_access *f = a ? &a->facts : &none;
    struct out *j = &c->json;
    out_object(j, NULL);
    out_text(j, "primary", p->facts.name);
    out_text(j, "tenant", name_of_tenant(c->host, p->tenant));
    write_hosts(j, f->hosts, f->n_hosts);
    out_word(j, "tls", ways[f->tls <= DIR_TLS_NEVER ? f->tls : DIR_TLS_MAY]);
    out_truth(j, "tls_at_once", f->is_tls_at_once);
    out_text_if(j, "tls_name", f->tls_name);
    out_word(j, "mechanism", mechanisms[f->mechanism <= DIR_XOAUTH2 ? f->mechanism : DIR_PLAIN]);
    out_text_if(j, "canary", f->canary);
    out_text_if(j, "user", f->user);
    out_truth(j, "has_secret", f->secret.n > 0);
    out_text_if(j, "master_user", f->master_user);
    out_truth(j, "has_master_secret", f->master_secret.n > 0);
    out_word(j, "text",
             f->n_hosts == 0 ? "Not set up: nobody sees whether people can read their mail there. "
                               "`staffetta access set` says where and with which test mailbox."
             : f->canary.n   ? "Canaries and log-ins are tried as the plan says."
                             : "No test mailbox: neither canaries nor log-ins are tried.");
    out_close(j);
}

static void access_written(struct admin_call *c)
{
    const uint64_t *id = c->work;
    const struct directory_primary *p = directory_primary(c->host->directory, *id);
    if (!p) {
        call_refuse(c, 404, "The mail system was removed meanwhile.");
        return;
    }
    write_access(c, p);
    call_done(c);
}

void do_access_show(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    write_access(c, p);
    call_done(c);
}

static void read_text(const struct admin_call *c, const char *name, struct slice *to)
{
    if (body_has(c->body, name))
        *to = body_text(c->body, name);
}

static bool read_canary(struct admin_call *c, struct dir_access *f)
{
    read_text(c, "canary", &f->canary);
    if (f->canary.n == 0)
        return true;
    struct slice key;
    return call_key(c, f->canary, &key); /* refuses what is no address */
}

void do_access_set(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    const struct directory_access *old = directory_access(c->host->directory, p->id);
    struct dir_access f = old ? old->facts : (struct dir_access){};
    f.is_tls_at_once = body_truth(c->body, "tls_at_once", f.is_tls_at_once);
    f.tls = word_number(body_text(c->body, "tls"), ways, 4, f.tls);
    f.mechanism = word_number(body_text(c->body, "mechanism"), mechanisms, 3, f.mechanism);
    read_text(c, "tls_name", &f.tls_name);
    read_text(c, "user", &f.user);
    read_text(c, "secret", &f.secret);
    read_text(c, "master_user", &f.master_user);
    read_text(c, "master_secret", &f.master_secret);
    if (!read_hosts(c, f.is_tls_at_once ? PORT_IMAPS : PORT_IMAP, &f.hosts, &f.n_hosts) ||
        !read_canary(c, &f))
        return;
    if (f.canary.n && f.user.n == 0) {
        call_refuse(c, 400,
                    "A canary needs a log-in (\"user\", on the command line --user) to be "
                    "read with. Nothing was changed.");
        return;
    }
    SCOPED(buf_finish) struct buf body = buf_make(30000);
    dir_access_pack(&body, &f);
    struct record_object o = call_object(c, OBJECT_ACCESS, p->tenant, p->facts.name, &body);
    o.id = p->id;
    uint64_t *work = ARENA_NEW(c->arena, uint64_t);
    *work = p->id;
    c->work = work;
    call_put(c, &o, access_written);
}

/* ---- calendar ---- */

static void write_calendar(struct admin_call *c, const struct directory_tenant *t)
{
    static const struct dir_calendar none;
    const struct directory_calendar *a = directory_calendar(c->host->directory, t->id);
    const struct dir_calendar *f = a ? &a->facts : &none;
    out_object(&c->json, NULL);
    out_text(&c->json, "tenant", t->facts.name);
    out_text(&c->json, "zone", f->zone.n ? f->zone : SLICE("UTC"));
    write_texts(&c->json, "holidays", f->holidays, f->n_holidays);
    out_close(&c->json);
}

void do_calendar_show(struct admin_call *c)
{
    const struct directory_tenant *t = call_tenant(c, c->part[0]);
    if (!t)
        return;
    write_calendar(c, t);
    call_done(c);
}

static void calendar_written(struct admin_call *c)
{
    do_calendar_show(c);
}

static bool read_holidays(struct admin_call *c, struct dir_calendar *f)
{
    size_t n;
    const json_t *texts = body_list(c->body, "holidays", &n);
    if (!texts)
        return true;
    f->holidays = ARENA_ARRAY(c->arena, struct dir_text, n + 1);
    f->n_holidays = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        f->holidays[i].text = body_item(texts, i);
        if (f->holidays[i].text.n == 10 && admin_time(f->holidays[i].text) > 0)
            continue;
        call_refuse(c, 400, "%s is not a day. Nothing was changed. Write it as 2026-12-25.",
                    log_text(f->holidays[i].text));
        return false;
    }
    return true;
}

static bool is_zone_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char x = s.p[i];
        bool is_letter = (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z');
        bool is_other = (x >= '0' && x <= '9') || x == '_' || x == '+' || x == '-';
        if (!is_letter && !is_other && !(x == '/' && i > 0 && s.p[i - 1] != '/'))
            return false;
    }
    return s.n > 0 && s.p[s.n - 1] != '/';
}

void do_calendar_set(struct admin_call *c)
{
    const struct directory_tenant *t = call_tenant(c, c->part[0]);
    if (!t)
        return;
    const struct directory_calendar *old = directory_calendar(c->host->directory, t->id);
    struct dir_calendar f = old ? old->facts : (struct dir_calendar){};
    read_text(c, "zone", &f.zone);
    if (f.zone.n && !is_zone_name(f.zone)) {
        call_refuse(c, 400, "%s is not a time zone. Nothing was changed. Write it as Europe/Rome.",
                    log_text(f.zone));
        return;
    }
    if (!read_holidays(c, &f))
        return;
    SCOPED(buf_finish) struct buf body = buf_make(170000);
    dir_calendar_pack(&body, &f);
    struct record_object o = call_object(c, OBJECT_CALENDAR, t->id, t->facts.name, &body);
    o.id = t->id;
    call_put(c, &o, calendar_written);
}
