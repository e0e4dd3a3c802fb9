/* Domains: which company, which way, to which mail system. */
#include "admin/admin_int.h"

#include "wire/wire.h"

#include <stdlib.h>

static const char *const forms[] = {
    [DIR_INLINE] = "inline",
    [DIR_SECOND] = "second",
    [DIR_HOSTED] = "hosted",
};

static enum dir_form form_of(struct slice word)
{
    for (unsigned i = DIR_INLINE; i <= DIR_HOSTED; i++)
        if (slice_eq(word, slice_str(forms[i])))
            return i;
    return DIR_INLINE;
}

void write_domain(struct admin_call *c, const struct directory_domain *d)
{
    const struct dir_domain *f = &d->facts;
    const struct directory_selectors *s = directory_selectors(c->host->directory, d->id);
    bool is_form = f->form >= DIR_INLINE && f->form <= DIR_HOSTED;
    out_object(&c->json, NULL);
    out_text(&c->json, "name", f->name);
    out_text(&c->json, "tenant", name_of_tenant(c->host, d->tenant));
    out_text_if(&c->json, "primary", name_of_primary(c->host, f->primary));
    out_word(&c->json, "form", forms[is_form ? f->form : DIR_INLINE]);
    out_truth(&c->json, "cut_through", f->is_cut_through);
    out_text(&c->json, "separators", f->separators);
    out_text_if(&c->json, "catch_all", f->catch_all);
    out_text_if(&c->json, "postmaster", f->postmaster);
    write_texts(&c->json, "selectors", s ? s->facts.names : NULL, s ? s->facts.n_names : 0);
    out_close(&c->json);
}

static int by_name(const void *a, const void *b)
{
    const struct directory_domain *const *x = a, *const *y = b;
    return slice_cmp((*x)->facts.name, (*y)->facts.name);
}

void do_domain_list(struct admin_call *c)
{
    const struct directory *dir = c->host->directory;
    const struct directory_domain *d;
    uint64_t tenant;
    size_t n = 0, max = 0;
    if (!call_tenant_filter(c, &tenant))
        return;
    for (size_t at = 0; directory_next_domain(dir, &at);)
        max++;
    const struct directory_domain **all =
        ARENA_ARRAY(c->arena, const struct directory_domain *, max + 1);
    for (size_t at = 0; (d = directory_next_domain(dir, &at));)
        if (tenant == 0 || d->tenant == tenant)
            all[n++] = d;
    qsort(all, n, sizeof(*all), by_name);
    out_object(&c->json, NULL);
    out_array(&c->json, "domains");
    for (size_t i = 0; i < n; i++)
        write_domain(c, all[i]);
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}

void do_domain_show(struct admin_call *c)
{
    const struct directory_domain *d = call_path_domain(c);
    if (!d)
        return;
    write_domain(c, d);
    call_done(c);
}

/* ---- adding and changing ---- */

/* Signs that may stand between a person's address and what they add to it. */
static bool are_separators(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (slice_find(SLICE("+-_=#~%!"), s.p[i]) < 0)
            return false;
    return true;
}

/* An address that gets mail for a domain: canonical, of a domain of the same company. */
static bool read_owner(struct admin_call *c, const char *member, uint64_t tenant,
                       struct slice domain, struct slice *field)
{
    struct slice address = body_text(c->body, member);
    if (!body_has(c->body, member))
        return true;
    if (address.n == 0) {
        *field = SLICE("");
        return true;
    }
    if (!call_key(c, address, field))
        return false;
    struct slice of = key_domain(*field);
    const struct directory_domain *d = directory_domain(c->host->directory, of);
    if (slice_eq(of, domain) || (d && d->tenant == tenant))
        return true;
    call_refuse(c, 400,
                "%s (\"%s\") is not in a domain of this company. Nothing was changed. Mail must "
                "not leave the company by a setting: choose an address of its own.",
                log_text(address), member);
    return false;
}

static bool read_primary(struct admin_call *c, uint64_t tenant, struct dir_domain *f)
{
    struct slice name = body_text(c->body, "primary");
    if (body_has(c->body, "primary") && name.n == 0)
        f->primary = 0;
    if (name.n > 0) {
        const struct directory_primary *p = call_primary(c, tenant, name);
        if (!p)
            return false;
        f->primary = p->id;
    }
    if (f->form == DIR_HOSTED && f->primary) {
        call_refuse(c, 400,
                    "A hosted domain has no primary: its mail lives here. Nothing was "
                    "changed. Leave \"primary\" out (or empty), or choose another form.");
        return false;
    }
    if (f->form != DIR_HOSTED && !f->primary) {
        call_refuse(c, 400,
                    "Mail of this domain needs somewhere to go: \"primary\" is missing. "
                    "Nothing was changed. Add one with `staffetta primary add`, or make "
                    "the domain hosted.");
        return false;
    }
    return true;
}

/* What the body says, over what `f` holds. */
static bool read_facts(struct admin_call *c, uint64_t tenant, struct dir_domain *f)
{
    if (body_has(c->body, "form"))
        f->form = form_of(body_text(c->body, "form"));
    if (!read_primary(c, tenant, f))
        return false;
    if (body_has(c->body, "separators"))
        f->separators = body_text(c->body, "separators");
    if (!are_separators(f->separators)) {
        call_refuse(c, 400, "Separators can be + - _ = # ~ %% !. Nothing was changed.");
        return false;
    }
    f->is_cut_through = body_truth(c->body, "cut_through", f->is_cut_through);
    if (f->is_cut_through && f->form != DIR_INLINE) {
        if (body_has(c->body, "cut_through")) {
            call_refuse(c, 400,
                        "Cut-through is for inline domains only: the others' mail does "
                        "not pass through here on normal days. Nothing was changed.");
            return false;
        }
        f->is_cut_through = false;
    }
    return read_owner(c, "catch_all", tenant, f->name, &f->catch_all) &&
           read_owner(c, "postmaster", tenant, f->name, &f->postmaster);
}

static void written(struct admin_call *c)
{
    const struct slice *name = c->work;
    const struct directory_domain *d = directory_domain(c->host->directory, *name);
    must(d); /* just written, and changes take turns */
    write_domain(c, d);
    call_done(c);
}

static void put(struct admin_call *c, uint64_t id, uint64_t tenant, const struct dir_domain *f)
{
    SCOPED(buf_finish) struct buf body = buf_make(4000);
    dir_domain_pack(&body, f);
    struct record_object o = call_object(c, OBJECT_DOMAIN, tenant, f->name, &body);
    if (id)
        o.id = id;
    struct slice *name = ARENA_NEW(c->arena, struct slice);
    *name = f->name;
    c->work = name;
    call_put(c, &o, written);
}

void do_domain_add(struct admin_call *c)
{
    struct slice given = body_text(c->body, "name");
    struct wire_verdict verdict = wire_domain_check(given, true);
    if (verdict.fault != WIRE_FINE) {
        call_refuse(c, 400, "%s is not a domain: %s. Nothing was changed.", log_text(given),
                    verdict.why);
        return;
    }
    char *name = arena_new(c->arena, given.n + 1);
    for (size_t i = 0; i < given.n; i++)
        name[i] = ascii_lower(given.p[i]);
    struct dir_domain f = {.name = slice_of(name, given.n),
                           .form = DIR_INLINE,
                           .is_cut_through = true,
                           .separators = SLICE("+")};
    const struct directory_tenant *t = call_tenant(c, body_text(c->body, "tenant"));
    if (!t)
        return;
    const struct directory_domain *old = directory_domain(c->host->directory, f.name);
    if (old) {
        call_refuse(c, 409,
                    "The domain %s is there already, of the company %s. Nothing was "
                    "changed. `staffetta domain set` changes it.",
                    log_text(f.name), log_text(name_of_tenant(c->host, old->tenant)));
        return;
    }
    if (read_facts(c, t->id, &f))
        put(c, 0, t->id, &f);
}

void do_domain_set(struct admin_call *c)
{
    const struct directory_domain *d = call_path_domain(c);
    if (!d)
        return;
    struct dir_domain f =
        d->facts; /* borrowed from the directory until it changes: not before put */
    if (read_facts(c, d->tenant, &f)) {
        f.name = arena_copy(c->arena, f.name);
        put(c, d->id, d->tenant, &f);
    }
}
