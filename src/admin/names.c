/* Names of companies and mail systems for answers that are read from the index (worker). */
#include "admin/admin_int.h"

struct loading {
    struct admin_call *c;
    struct map *into;
};

struct named {
    struct slice name;
    uint64_t tenant;
};

static bool load_one(void *arg, const struct record_object *o)
{
    struct loading *l = arg;
    struct named *named = ARENA_NEW(l->c->arena, struct named);
    *named = (struct named){arena_copy(l->c->arena, o->name), o->tenant};
    map_put(l->into, KEY(o->id), named);
    return true;
}

void names_finish(struct names *n)
{
    map_destroy(&n->tenants);
    map_destroy(&n->primaries);
    map_destroy(&n->zones);
}

bool names_load(struct admin_call *c, struct names *ret)
{
    struct errinfo ei = {};
    *ret = (struct names){map_create(), map_create()};
    struct loading tenants = {c, ret->tenants}, primaries = {c, ret->primaries};
    enum err err = store_each_object(c->reader, OBJECT_TENANT, load_one, &tenants, &ei);
    if (err == ERR_OK)
        err = store_each_object(c->reader, OBJECT_PRIMARY, load_one, &primaries, &ei);
    if (err == ERR_OK)
        return true;
    call_fail(c, err, ei.text);
    return false;
}

static bool load_zone(void *arg, const struct record_object *o)
{
    struct loading *l = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct dir_calendar f = {};
    if (!dir_calendar_unpack(o->body, a, &f) || f.zone.n == 0)
        return true;
    struct named *named = ARENA_NEW(l->c->arena, struct named);
    *named = (struct named){arena_copy(l->c->arena, f.zone), o->id};
    map_put(l->into, KEY(o->id), named);
    return true;
}

bool names_load_zones(struct admin_call *c, struct names *n)
{
    struct errinfo ei = {};
    n->zones = map_create();
    struct loading zones = {c, n->zones};
    enum err err = store_each_object(c->reader, OBJECT_CALENDAR, load_zone, &zones, &ei);
    if (err != ERR_OK)
        call_fail(c, err, ei.text);
    return err == ERR_OK;
}

static struct slice name_in(const struct map *m, uint64_t id)
{
    const struct named *named = id ? map_get(m, KEY(id)) : NULL;
    return named ? named->name : SLICE("");
}

struct slice names_tenant(const struct names *n, uint64_t id)
{
    return name_in(n->tenants, id);
}

struct slice names_primary(const struct names *n, uint64_t id)
{
    return name_in(n->primaries, id);
}

struct slice names_zone(const struct names *n, uint64_t tenant)
{
    struct slice name = name_in(n->zones, tenant);
    return name.n > 0 ? name : SLICE("UTC");
}

uint64_t names_tenant_of(const struct names *n, uint64_t primary)
{
    const struct named *named = primary ? map_get(n->primaries, KEY(primary)) : NULL;
    return named ? named->tenant : 0;
}

/* An id that has this name (tenant 0: of any company); how many there are. */
static size_t ids_of(const struct map *m, uint64_t tenant, struct slice name, uint64_t *ret)
{
    size_t at = 0, n = 0;
    struct slice key;
    void *value;
    while (map_next(m, &at, &key, &value)) {
        const struct named *named = value;
        if (!slice_eq(named->name, name) || (tenant && named->tenant != tenant))
            continue;
        memcpy(ret, key.p, sizeof(*ret));
        n++;
    }
    return n;
}

bool names_filter_tenant(struct admin_call *c, const struct names *n, uint64_t *ret)
{
    struct slice name = call_param(c, "tenant");
    if (name.n == 0 || ids_of(n->tenants, 0, name, ret) == 1)
        return true;
    call_refuse(c, 404,
                "There is no company %s. Nothing was done. `staffetta tenant list` shows those "
                "that exist.",
                log_text(name));
    return false;
}

bool names_find_primary(struct admin_call *c, const struct names *n, uint64_t tenant,
                        struct slice name, uint64_t *ret)
{
    size_t found = ids_of(n->primaries, tenant, name, ret);
    if (found == 1)
        return true;
    if (found > 1)
        call_refuse(c, 409,
                    "%zu companies have a mail system %s. Nothing was done. Say which company: "
                    "tenant= (on the command line --tenant).",
                    found, log_text(name));
    else
        call_refuse(c, 404,
                    "There is no mail system %s. Nothing was done. `staffetta primary list` shows "
                    "those that exist.",
                    log_text(name));
    return false;
}

bool names_filter_primary(struct admin_call *c, const struct names *n, uint64_t tenant,
                          uint64_t *ret)
{
    struct slice name = call_param(c, "primary");
    return name.n == 0 || names_find_primary(c, n, tenant, name, ret);
}
