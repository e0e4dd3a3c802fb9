/* Companies. */
#include "admin/admin_int.h"

#include "wire/dsn.h"

#include <stdlib.h>

/* How many of each a company has; one walk over everything for all companies. */
struct counts {
    uint64_t domains, primaries, persons, groups;
};
struct tenant_work {
    const struct directory_tenant *t;
    struct counts n;
};

static struct counts *counts_of(struct map *m, uint64_t tenant)
{
    struct tenant_work *w = map_get(m, KEY(tenant));
    static struct counts nobody; /* of a company that was removed meanwhile */
    return w ? &w->n : &nobody;
}

static void count_all(const struct directory *d, struct map *m)
{
    const struct directory_domain *domain;
    const struct directory_primary *primary;
    const struct directory_person *person;
    const struct directory_group *group;
    for (size_t at = 0; (domain = directory_next_domain(d, &at));)
        counts_of(m, domain->tenant)->domains++;
    for (size_t at = 0; (primary = directory_next_primary(d, &at));)
        counts_of(m, primary->tenant)->primaries++;
    for (size_t at = 0; (person = directory_next_person(d, &at));)
        counts_of(m, person->tenant)->persons++;
    for (size_t at = 0; (group = directory_next_group(d, &at));)
        counts_of(m, group->tenant)->groups++;
}

static void write_tenant(struct admin_call *c, const struct tenant_work *w)
{
    out_object(&c->json, NULL);
    out_text(&c->json, "name", w->t->facts.name);
    out_word(&c->json, "language", wire_language_tags[wire_language_of(w->t->facts.language)]);
    out_number(&c->json, "domains", w->n.domains);
    out_number(&c->json, "primaries", w->n.primaries);
    out_number(&c->json, "persons", w->n.persons);
    out_number(&c->json, "groups", w->n.groups);
    out_time(&c->json, "complete_at", w->t->complete_at);
    out_close(&c->json);
}

static int by_name(const void *a, const void *b)
{
    const struct tenant_work *x = a, *y = b;
    return slice_cmp(x->t->facts.name, y->t->facts.name);
}

/* All companies with their counts, by name. */
static struct tenant_work *gather(struct admin_call *c, size_t *ret_n)
{
    const struct directory *d = c->host->directory;
    const struct directory_tenant *t;
    size_t n = 0, i = 0;
    for (size_t at = 0; directory_next_tenant(d, &at);)
        n++;
    struct tenant_work *all = ARENA_ARRAY(c->arena, struct tenant_work, n + 1);
    struct map *m = map_create();
    for (size_t at = 0; (t = directory_next_tenant(d, &at)); i++) {
        all[i].t = t;
        map_put(m, KEY(t->id), &all[i]);
    }
    count_all(d, m);
    map_destroy(&m);
    qsort(all, n, sizeof(*all), by_name);
    *ret_n = n;
    return all;
}

void do_tenant_list(struct admin_call *c)
{
    size_t n;
    struct tenant_work *all = gather(c, &n);
    out_object(&c->json, NULL);
    out_array(&c->json, "tenants");
    for (size_t i = 0; i < n; i++)
        write_tenant(c, &all[i]);
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}

static void show(struct admin_call *c, struct slice name)
{
    const struct directory_tenant *t = call_tenant(c, name);
    size_t n;
    if (!t)
        return;
    struct tenant_work *all = gather(c, &n);
    for (size_t i = 0; i < n; i++)
        if (all[i].t->id == t->id)
            write_tenant(c, &all[i]);
    call_done(c);
}

void do_tenant_show(struct admin_call *c)
{
    show(c, c->part[0]);
}

static void added(struct admin_call *c)
{
    show(c, body_text(c->body, "name"));
}

void do_tenant_add(struct admin_call *c)
{
    struct slice name = body_text(c->body, "name");
    if (slice_trim(name).n != name.n || name.n == 0) {
        call_refuse(c, 400,
                    "A company needs a name without blanks at its ends. Nothing was "
                    "changed.");
        return;
    }
    if (directory_find(c->host->directory, OBJECT_TENANT, 0, name)) {
        call_refuse(c, 409, "There is a company %s already. Nothing was changed.", log_text(name));
        return;
    }
    SCOPED(buf_finish) struct buf body = buf_make(1000);
    dir_tenant_pack(&body,
                    &(struct dir_tenant){.name = name, .language = body_text(c->body, "language")});
    struct record_object o = call_object(c, OBJECT_TENANT, 0, name, &body);
    call_put(c, &o, added);
}

static void changed(struct admin_call *c)
{
    show(c, c->part[0]);
}

void do_tenant_set(struct admin_call *c)
{
    const struct directory_tenant *t = call_tenant(c, c->part[0]);
    if (!t)
        return;
    struct dir_tenant f = t->facts;
    if (body_has(c->body, "language"))
        f.language = body_text(c->body, "language");
    SCOPED(buf_finish) struct buf body = buf_make(1000);
    dir_tenant_pack(&body, &f);
    struct record_object o = call_object(c, OBJECT_TENANT, 0, t->facts.name, &body);
    o.id = t->id;
    call_put(c, &o, changed);
}
