/* Groups: addresses that stand for several people. */
#include "admin/people_int.h"

#include <stdlib.h>

enum { GROUP_BODY_MAX = 4 << 20 };

static const struct directory_group *path_group(struct admin_call *c, struct slice *ret_key)
{
    if (!call_key(c, c->part[0], ret_key))
        return NULL;
    const struct directory_group *g = directory_group(c->host->directory, *ret_key);
    if (!g)
        call_refuse(c, 404,
                    "No group has the address %s. Nothing was changed. `staffetta group list` "
                    "shows all of them.",
                    log_text(*ret_key));
    return g;
}

static void write_group(struct admin_call *c, const struct directory_group *g)
{
    const struct dir_group *f = &g->facts;
    bool has_address = f->n_addresses > 0;
    out_object(&c->json, NULL);
    out_text(&c->json, "address", has_address ? f->addresses[0].text : SLICE(""));
    out_text_if(&c->json, "name", f->name);
    out_text(&c->json, "tenant", name_of_tenant(c->host, g->tenant));
    write_texts(&c->json, "aliases", f->addresses + has_address, f->n_addresses - has_address);
    write_texts(&c->json, "members", f->members, f->n_members);
    out_close(&c->json);
}

static int by_address(const void *a, const void *b)
{
    const struct directory_group *const *x = a, *const *y = b;
    bool have_both = (*x)->facts.n_addresses > 0 && (*y)->facts.n_addresses > 0;
    return have_both ? slice_cmp((*x)->facts.addresses[0].text, (*y)->facts.addresses[0].text) : 0;
}

void do_group_list(struct admin_call *c)
{
    const struct directory *dir = c->host->directory;
    const struct directory_group *g;
    uint64_t tenant;
    size_t n = 0, max = 0;
    if (!call_tenant_filter(c, &tenant))
        return;
    for (size_t at = 0; directory_next_group(dir, &at);)
        max++;
    const struct directory_group **all =
        ARENA_ARRAY(c->arena, const struct directory_group *, max + 1);
    for (size_t at = 0; (g = directory_next_group(dir, &at));)
        if (tenant == 0 || g->tenant == tenant)
            all[n++] = g;
    qsort(all, n, sizeof(*all), by_address);
    out_object(&c->json, NULL);
    out_array(&c->json, "groups");
    for (size_t i = 0; i < n; i++)
        write_group(c, all[i]);
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}

void do_group_show(struct admin_call *c)
{
    struct slice key;
    const struct directory_group *g = path_group(c, &key);
    if (!g)
        return;
    write_group(c, g);
    call_done(c);
}

/* ---- adding ---- */

static void written(struct admin_call *c)
{
    const struct slice *key = c->work;
    const struct directory_group *g = directory_group(c->host->directory, *key);
    must(g); /* just written, and changes take turns */
    write_group(c, g);
    call_done(c);
}

/* Members may be anywhere: a group may hold an outside partner. */
static bool read_members(struct admin_call *c, struct dir_group *f)
{
    size_t n;
    const json_t *texts = body_list(c->body, "members", &n);
    f->members = ARENA_ARRAY(c->arena, struct dir_text, n + 1);
    SCOPED(map_destroy) struct map *seen = map_create();
    for (size_t i = 0; i < n; i++) {
        struct slice key;
        if (!call_key(c, body_item(texts, i), &key))
            return false;
        if (!map_put(seen, key, f))
            f->members[f->n_members++].text = key;
    }
    if (n > 0)
        return true;
    call_refuse(c, 400, "A group without members would swallow mail. Nothing was changed.");
    return false;
}

void do_group_add(struct admin_call *c)
{
    struct errinfo ei = {};
    struct dir_group f = {.name = body_text(c->body, "name")};
    struct slice key;
    if (!call_key(c, body_text(c->body, "address"), &key))
        return;
    const struct directory_domain *d = call_domain_of(c, key);
    if (!d)
        return;
    enum err err = addresses_read(c, c->body, d->tenant, key, &f.addresses, &f.n_addresses, &ei);
    for (uint32_t i = 0; err == ERR_OK && i < f.n_addresses; i++)
        if (address_is_taken(c->host->directory, f.addresses[i].text, 0, &ei))
            err = ERR_EXISTS;
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    if (!read_members(c, &f))
        return;
    SCOPED(buf_finish) struct buf body = buf_make(GROUP_BODY_MAX);
    dir_group_pack(&body, &f);
    if (body.n > 1000000) {
        call_refuse(c, 413,
                    "The group is too big to be kept as one. Nothing was changed. Make "
                    "several groups of it.");
        return;
    }
    struct record_object o = call_object(c, OBJECT_GROUP, d->tenant, key, &body);
    struct slice *work = ARENA_NEW(c->arena, struct slice);
    *work = key;
    c->work = work;
    call_put(c, &o, written);
}

/* ---- removing ---- */

void do_group_remove(struct admin_call *c)
{
    struct slice key;
    const struct directory_group *g = path_group(c, &key);
    if (!g)
        return;
    call_remove(c, &(struct removal){OBJECT_GROUP, g->id, g->tenant, g->facts.addresses[0].text,
                                     "Its members keep their own addresses and mail."});
}
