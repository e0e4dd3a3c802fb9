/* Selectors of the DKIM keys that a company's own mail system signs with: nobody can list them in
 * DNS, so a person names them, and they are watched. */
#include "admin/admin_int.h"

#include <stdlib.h>

/* A name in front of "._domainkey.DOMAIN" (RFC 6376 section 3.1): labels of letters, digits, '-'
 * and, as many write them, '_'. Lower case into the arena; empty: it is none. */
static struct slice selector_of(struct admin_call *c, struct slice given)
{
    char *copy = arena_new(c->arena, given.n + 1);
    size_t label = 0;
    for (size_t i = 0; i < given.n; i++) {
        char x = copy[i] = ascii_lower(given.p[i]);
        bool is_end = i + 1 == given.n || given.p[i + 1] == '.';
        bool is_plain = (x >= 'a' && x <= 'z') || (x >= '0' && x <= '9') || x == '_';
        if (!is_plain && (label == 0 || (x != '-' && x != '.') || is_end))
            return SLICE("");
        label = x == '.' ? 0 : label + 1;
        if (label > 63)
            return SLICE("");
    }
    return slice_of(copy, given.n);
}

/* The whole name has to fit into DNS. */
static bool is_too_long(struct slice selector, const struct directory_domain *d)
{
    return selector.n + strlen("._domainkey.") + d->facts.name.n > 253;
}

static int by_text(const void *a, const void *b)
{
    const struct dir_text *x = a, *y = b;
    return slice_cmp(x->text, y->text);
}

static void written(struct admin_call *c)
{
    const struct slice *name = c->work;
    const struct directory_domain *d = directory_domain(c->host->directory, *name);
    must(d); /* changes take turns */
    write_domain(c, d);
    call_done(c);
}

static void put(struct admin_call *c, const struct directory_domain *d,
                const struct dir_selectors *f)
{
    SCOPED(buf_finish) struct buf body = buf_make(10000);
    struct slice *name = ARENA_NEW(c->arena, struct slice);
    *name = arena_copy(c->arena, d->facts.name);
    c->work = name;
    dir_selectors_pack(&body, f);
    struct record_object o = call_object(c, OBJECT_SELECTORS, d->tenant, *name, &body);
    o.id = d->id;
    call_put(c, &o, written);
}

/* Those of the domain, with room for one more; `*ret_at` is that of this one, or -1. */
static struct dir_selectors selectors_now(struct admin_call *c, const struct directory_domain *d,
                                          struct slice selector, int *ret_at)
{
    const struct directory_selectors *s = directory_selectors(c->host->directory, d->id);
    struct dir_selectors f = {
        .names = ARENA_ARRAY(c->arena, struct dir_text, DIRECTORY_SELECTORS_MAX + 1)};
    *ret_at = -1;
    for (; s && f.n_names < s->facts.n_names; f.n_names++) {
        f.names[f.n_names].text = arena_copy(c->arena, s->facts.names[f.n_names].text);
        if (slice_eq(f.names[f.n_names].text, selector))
            *ret_at = (int)f.n_names;
    }
    return f;
}

void do_dkim_add(struct admin_call *c)
{
    const struct directory_domain *d = call_path_domain(c);
    int at;
    if (!d)
        return;
    struct slice given = body_text(c->body, "selector"), selector = selector_of(c, given);
    struct dir_selectors f = selectors_now(c, d, selector, &at);
    if (selector.n == 0 || is_too_long(selector, d))
        call_refuse(c, 400,
                    "%s is not a selector. Nothing was changed. It is what stands behind s= in the "
                    "DKIM-Signature of a message that the mail system sent, for example "
                    "\"selector1\".",
                    log_text(given));
    else if (at >= 0)
        call_refuse(c, 409, "The selector %s of %s is watched already. Nothing was changed.",
                    log_text(selector), log_text(d->facts.name));
    else if (f.n_names >= DIRECTORY_SELECTORS_MAX)
        call_refuse(c, 409,
                    "%s has %d selectors, and that is the most. Nothing was changed. `staffetta "
                    "dkim remove` takes one away that is not used any more.",
                    log_text(d->facts.name), DIRECTORY_SELECTORS_MAX);
    else {
        f.names[f.n_names++].text = selector;
        qsort(f.names, f.n_names, sizeof(*f.names), by_text);
        put(c, d, &f);
    }
}

void do_dkim_remove(struct admin_call *c)
{
    const struct directory_domain *d = call_path_domain(c);
    int at;
    if (!d)
        return;
    struct slice selector = selector_of(c, c->part[1]);
    struct dir_selectors f = selectors_now(c, d, selector, &at);
    if (at < 0) {
        call_refuse(c, 404,
                    "No selector %s of %s is watched. Nothing was changed. `staffetta domain show` "
                    "lists them.",
                    log_text(c->part[1]), log_text(d->facts.name));
        return;
    }
    f.n_names--;
    memmove(&f.names[at], &f.names[at + 1], (f.n_names - (size_t)at) * sizeof(*f.names));
    put(c, d, &f);
}
