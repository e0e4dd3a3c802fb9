/* How mailboxes over there are opened besides by a master user: who gives tokens for all of them,
 * and log-ins of single persons. Secrets go in and never come out. */
#include "admin/admin_int.h"

enum { BODY_BYTES = 30000 };

static const char *const mechanisms[] = {
    [DIR_PLAIN] = "plain", [DIR_LOGIN] = "login", [DIR_XOAUTH2] = "xoauth2"};
static const char *const grants[] = {[DIR_GRANT_NONE] = "none",
                                     [DIR_GRANT_CLIENT] = "client",
                                     [DIR_GRANT_REFRESH] = "refresh",
                                     [DIR_GRANT_ASSERTION] = "assertion"};

static uint8_t number_of(const struct admin_call *c, const char *name, const char *const *words,
                         uint8_t n, uint8_t other)
{
    struct slice word = body_text(c->body, name);
    for (uint8_t i = 0; i < n; i++)
        if (slice_eq(word, slice_str(words[i])))
            return i;
    return other;
}

static void read_text(const struct admin_call *c, const char *name, struct slice *to)
{
    if (body_has(c->body, name))
        *to = body_text(c->body, name);
}

static uint64_t *keep_id(struct admin_call *c, uint64_t id)
{
    uint64_t *work = ARENA_NEW(c->arena, uint64_t);
    *work = id;
    return work;
}

/* ---- who gives tokens ---- */

static const char *meaning_of(const struct dir_tokens *f, const struct directory_access *a)
{
    bool is_used = a && a->facts.mechanism == DIR_XOAUTH2;
    if (f->grant == DIR_GRANT_NONE)
        return "No endpoint: with xoauth2 the secrets are taken for tokens as they are, and end "
               "when those end.";
    if (f->grant == DIR_GRANT_REFRESH)
        return "Each person's refresh token is said by `staffetta mailbox login set --mechanism "
               "xoauth2`; when the endpoint gives another one, that one is kept.";
    return is_used ? "The application's tokens open everybody's mailbox; they are asked for when "
                     "they are needed. `staffetta check` tries it."
                   : "Not used yet: staffetta access set --mechanism xoauth2.";
}

static void write_tokens(struct admin_call *c, const struct directory_primary *p)
{
    static const struct dir_tokens none;
    const struct directory_tokens *t = directory_tokens(c->host->directory, p->id);
    const struct dir_tokens *f = t ? &t->facts : &none;
    struct out *j = &c->json;
    out_object(j, NULL);
    out_text(j, "primary", p->facts.name);
    out_text(j, "tenant", name_of_tenant(c->host, p->tenant));
    out_word(j, "grant", grants[f->grant <= DIR_GRANT_ASSERTION ? f->grant : DIR_GRANT_NONE]);
    out_text_if(j, "url", f->url);
    out_text_if(j, "client_id", f->client_id);
    out_truth(j, "has_client_secret", f->client_secret.n > 0);
    out_text_if(j, "scope", f->scope);
    out_word(j, "text", meaning_of(f, directory_access(c->host->directory, p->id)));
    out_close(j);
}

static void tokens_written(struct admin_call *c)
{
    const uint64_t *id = c->work;
    const struct directory_primary *p = directory_primary(c->host->directory, *id);
    if (!p) {
        call_refuse(c, 404, "The mail system was removed meanwhile.");
        return;
    }
    write_tokens(c, p);
    call_done(c);
}

void do_tokens_show(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    write_tokens(c, p);
    call_done(c);
}

/* NULL: it can work. */
static const char *fault_of(const struct dir_tokens *f)
{
    if (f->grant == DIR_GRANT_NONE)
        return "it is not said how a token is got (\"grant\", on the command line --grant)";
    if (!slice_istarts(f->url, SLICE("https://")) || f->url.n < sizeof("https://x") - 1)
        return "the endpoint (\"url\", on the command line --url) must be an https:// address: "
               "passwords go there";
    if (f->client_id.n == 0)
        return "the application has no id (\"client_id\", on the command line --client-id)";
    if (f->client_secret.n == 0 && f->grant != DIR_GRANT_REFRESH)
        return "the application has no secret (\"client_secret\", on the command line "
               "--client-secret)";
    return NULL;
}

void do_tokens_set(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    const struct directory_tokens *old = directory_tokens(c->host->directory, p->id);
    struct dir_tokens f = old ? old->facts : (struct dir_tokens){};
    f.grant = number_of(c, "grant", grants, DIR_GRANT_ASSERTION + 1, f.grant);
    read_text(c, "url", &f.url);
    read_text(c, "client_id", &f.client_id);
    read_text(c, "client_secret", &f.client_secret);
    read_text(c, "scope", &f.scope);
    const char *fault = fault_of(&f);
    if (fault) {
        call_refuse(c, 400, "Nothing was changed: %s.", fault);
        return;
    }
    SCOPED(buf_finish) struct buf body = buf_make(BODY_BYTES);
    dir_tokens_pack(&body, &f);
    struct record_object o = call_object(c, OBJECT_TOKENS, p->tenant, p->facts.name, &body);
    o.id = p->id;
    c->work = keep_id(c, p->id);
    call_put(c, &o, tokens_written);
}

void do_tokens_remove(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    call_remove(c, &(struct removal){OBJECT_TOKENS, p->id, p->tenant, p->facts.name,
                                     "No more tokens are asked for. What log-ins with xoauth2 have "
                                     "as their secret is taken for a token as it is."});
}

/* ---- the log-in of one person ---- */

static void write_login(struct admin_call *c, const struct directory_person *p)
{
    const struct directory_mail_login *l = directory_mail_login(c->host->directory, p->id);
    struct slice address = p->facts.n_addresses ? p->facts.addresses[0].text : SLICE("");
    bool has_secret = l && l->facts.secret.n > 0;
    struct out *j = &c->json;
    out_object(j, NULL);
    out_text(j, "address", address);
    out_text(j, "user", l && l->facts.user.n ? l->facts.user : address);
    if (has_secret)
        out_word(j, "mechanism",
                 mechanisms[l->facts.mechanism <= DIR_XOAUTH2 ? l->facts.mechanism : DIR_PLAIN]);
    out_truth(j, "has_secret", has_secret);
    out_word(j, "text",
             has_secret ? "The mailbox is opened with this log-in. `staffetta mailbox return "
                          "--dry-run` tries it."
             : l        ? "The mailbox is opened by the log-in for everybody, under this name."
                 : "The mailbox is opened by the log-in for everybody (staffetta access show).");
    out_close(j);
}

static void login_written(struct admin_call *c)
{
    const uint64_t *id = c->work;
    const struct directory_person *p = directory_person(c->host->directory, *id);
    if (!p) {
        call_refuse(c, 404, "The person was removed meanwhile.");
        return;
    }
    write_login(c, p);
    call_done(c);
}

void do_mail_login_show(struct admin_call *c)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    write_login(c, p);
    call_done(c);
}

void do_mail_login_set(struct admin_call *c)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    const struct directory_mail_login *old = directory_mail_login(c->host->directory, p->id);
    struct dir_mail_login f = old ? old->facts : (struct dir_mail_login){};
    f.mechanism = number_of(c, "mechanism", mechanisms, DIR_XOAUTH2 + 1, f.mechanism);
    read_text(c, "user", &f.user);
    read_text(c, "secret", &f.secret);
    if (f.user.n == 0 && f.secret.n == 0) {
        call_refuse(c, 400, "Neither a user nor a secret was given. Nothing was changed.");
        return;
    }
    SCOPED(buf_finish) struct buf body = buf_make(BODY_BYTES);
    dir_mail_login_pack(&body, &f);
    struct record_object o =
        call_object(c, OBJECT_MAILLOGIN, p->tenant, p->facts.addresses[0].text, &body);
    o.id = p->id;
    c->work = keep_id(c, p->id);
    call_put(c, &o, login_written);
}

void do_mail_login_remove(struct admin_call *c)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    call_remove(c, &(struct removal){OBJECT_MAILLOGIN, p->id, p->tenant, p->facts.addresses[0].text,
                                     "The mailbox is opened by the log-in for everybody, if there "
                                     "is one."});
}
