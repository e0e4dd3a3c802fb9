/* Finding what a request names, and refusing in words when it is not there. */
#include "admin/admin_int.h"

#include "wire/wire.h"

const struct directory_tenant *call_tenant(struct admin_call *c, struct slice name)
{
    const struct directory *d = c->host->directory;
    uint64_t id = name.n ? directory_find(d, OBJECT_TENANT, 0, name) : 0;
    const struct directory_tenant *t = id ? directory_tenant(d, id) : NULL;
    if (!t)
        call_refuse(c, 404,
                    "There is no company %s. Nothing was changed. `staffetta tenant list` shows "
                    "those that exist.",
                    log_text(name));
    return t;
}

bool call_tenant_filter(struct admin_call *c, uint64_t *ret)
{
    struct slice name = call_param(c, "tenant");
    const struct directory_tenant *t = name.n ? call_tenant(c, name) : NULL;
    if (name.n && !t)
        return false;
    *ret = t ? t->id : 0;
    return true;
}

const struct directory_primary *call_primary(struct admin_call *c, uint64_t tenant,
                                             struct slice name)
{
    const struct directory *d = c->host->directory;
    const struct directory_primary *found = NULL, *p;
    size_t at = 0, n = 0;
    while ((p = directory_next_primary(d, &at)))
        if (slice_eq(p->facts.name, name) && (tenant == 0 || p->tenant == tenant)) {
            found = p;
            n++;
        }
    if (n == 1)
        return found;
    if (n > 1)
        call_refuse(c, 409,
                    "%zu companies have a mail system %s. Nothing was changed. Say which company: "
                    "tenant= (on the command line --tenant).",
                    n, log_text(name));
    else
        call_refuse(c, 404,
                    "There is no mail system %s%s. Nothing was changed. `staffetta primary list` "
                    "shows those that exist.",
                    log_text(name), tenant ? " in this company" : "");
    return NULL;
}

const struct directory_primary *call_path_primary(struct admin_call *c)
{
    uint64_t tenant;
    if (!call_tenant_filter(c, &tenant))
        return NULL;
    return call_primary(c, tenant, c->part[0]);
}

const struct directory_domain *call_path_domain(struct admin_call *c)
{
    char *p = arena_new(c->arena, c->part[0].n + 1);
    for (size_t i = 0; i < c->part[0].n; i++)
        p[i] = ascii_lower(c->part[0].p[i]);
    const struct directory_domain *d =
        directory_domain(c->host->directory, slice_of(p, c->part[0].n));
    if (!d)
        call_refuse(c, 404,
                    "There is no domain %s. Nothing was changed. `staffetta domain list` shows "
                    "those that exist.",
                    log_text(c->part[0]));
    return d;
}

struct slice key_of(struct arena *a, struct slice address, const char **ret_why)
{
    SCOPED(buf_finish) struct buf b = buf_make(400);
    struct wire_verdict verdict = wire_address_key(address, &b);
    struct slice key = buf_slice(&b);
    *ret_why = "";
    if (verdict.fault != WIRE_FINE)
        *ret_why = verdict.why;
    else if (key.n == 0 || key.n > 320)
        *ret_why = "too long";
    else if (slice_find(key, '@') < 0)
        *ret_why = "the part with @ is missing";
    if ((*ret_why)[0])
        return SLICE("");
    return arena_copy(a, key);
}

struct slice key_domain(struct slice key)
{
    for (size_t i = key.n; i > 0; i--)
        if (key.p[i - 1] == '@')
            return slice_skip(key, i);
    return SLICE("");
}

bool call_key(struct admin_call *c, struct slice address, struct slice *ret)
{
    const char *why;
    *ret = key_of(c->arena, address, &why);
    if (ret->n > 0)
        return true;
    call_refuse(c, 400, "%s is not an address: %s. Nothing was changed.", log_text(address), why);
    return false;
}

const struct directory_person *call_person(struct admin_call *c, struct slice *ret_key)
{
    struct slice key;
    if (!call_key(c, c->part[0], &key))
        return NULL;
    if (ret_key)
        *ret_key = key;
    const struct directory_person *p = directory_person_at(c->host->directory, key);
    if (!p)
        call_refuse(c, 404,
                    "Nobody has the address %s. Nothing was changed. `staffetta person list` "
                    "shows everybody.",
                    log_text(key));
    return p;
}

const struct directory_domain *call_domain_of(struct admin_call *c, struct slice key)
{
    const struct directory_domain *d = directory_domain(c->host->directory, key_domain(key));
    if (!d)
        call_refuse(c, 400,
                    "The domain of %s is none of ours. Nothing was changed. Add it first: "
                    "`staffetta domain add`.",
                    log_text(key));
    return d;
}

bool call_message(struct admin_call *c, uint64_t *ret)
{
    *ret = message_id_parse(c->part[0]);
    if (*ret != 0)
        return true;
    call_refuse(c, 404,
                "%s is not the id of a message: those are 13 letters and digits, as `staffetta "
                "queue list` and the log show them. Nothing was changed.",
                log_text(c->part[0]));
    return false;
}

struct slice name_of_tenant(const struct admin_host *h, uint64_t id)
{
    const struct directory_tenant *t = id ? directory_tenant(h->directory, id) : NULL;
    return t ? t->facts.name : SLICE("");
}

struct slice name_of_primary(const struct admin_host *h, uint64_t id)
{
    const struct directory_primary *p = id ? directory_primary(h->directory, id) : NULL;
    return p ? p->facts.name : SLICE("");
}
