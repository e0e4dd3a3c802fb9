/* The directory in memory. Each object keeps its packed body and the lists unpacked from it in an
 * arena of its own; indexes by name and address point at the objects. */
#include "directory/directory.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/pack_write_begin.h"
#include "directory/directory.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "directory/directory.def"
#include "base/pack_end.h"

enum { BODY_ARENA = 8 << 20, FIRST_TRIES_MAX = 50000, KINDS = OBJECT_MAILLOGIN + 1 };

struct object {
    enum object_kind kind;
    struct arena *arena;
    struct slice name;
    union {
        struct directory_tenant tenant;
        struct directory_primary primary;
        struct directory_domain domain;
        struct directory_person person;
        struct directory_group group;
        struct directory_plans plans;
        struct directory_calendar calendar;
        struct directory_access access;
        struct directory_selectors selectors;
        struct directory_dkim dkim;
        struct directory_tokens tokens;
        struct directory_mail_login mail_login;
        struct directory_keeping keeping;
        struct directory_quota quota;
    } as;
};

struct directory {
    struct map *by_id[KINDS];   /* id -> struct object */
    struct map *by_name[KINDS]; /* tenant and name -> struct object */
    struct map *domains;        /* name -> struct object */
    struct map *people;         /* address -> struct object */
    struct map *groups;         /* address -> struct object */
    struct map *first_tries;    /* unknown address -> utc_ms */
    struct map *snapshots;      /* tenant -> utc_ms */
    uint64_t generation;
};

struct directory *directory_create(void)
{
    struct directory *d = mem_new(sizeof(*d));
    for (size_t i = 0; i < KINDS; i++) {
        d->by_id[i] = map_create();
        d->by_name[i] = map_create();
    }
    d->domains = map_create();
    d->people = map_create();
    d->groups = map_create();
    d->first_tries = map_create();
    d->snapshots = map_create();
    d->generation = (uint64_t)utc_now(); /* differs from what gates remember of an earlier core */
    return d;
}

static void free_values(struct map **m)
{
    size_t at = 0;
    void *value;
    while (map_next(*m, &at, NULL, &value))
        mem_free(&value);
    map_destroy(m);
}

static void object_destroy(struct object *o)
{
    arena_destroy(&o->arena);
    mem_free(&o);
}

void directory_destroy(struct directory **directory)
{
    struct directory *d = *directory;
    if (!d)
        return;
    for (size_t i = 0; i < KINDS; i++) {
        size_t at = 0;
        void *value;
        while (map_next(d->by_id[i], &at, NULL, &value))
            object_destroy(value);
        map_destroy(&d->by_id[i]);
        map_destroy(&d->by_name[i]);
    }
    map_destroy(&d->domains);
    map_destroy(&d->people);
    map_destroy(&d->groups);
    free_values(&d->first_tries);
    free_values(&d->snapshots);
    mem_free(directory);
}

uint64_t directory_generation(const struct directory *d)
{
    return d->generation;
}

/* ---- taking objects over ---- */

static bool unpack_tenant(struct object *o, struct slice body)
{
    struct dir_tenant_1 old;
    if (dir_tenant_unpack(body, o->arena, &o->as.tenant.facts))
        return true;
    if (!dir_tenant_1_unpack(body, o->arena, &old))
        return false;
    o->as.tenant.facts = (struct dir_tenant){.name = old.name};
    return true;
}

static bool unpack(struct object *o, const struct record_object *r)
{
    struct slice body = arena_copy(o->arena, r->body);
    switch ((int)o->kind) { /* the other kinds are other rooms' */
    case OBJECT_TENANT:
        o->as.tenant.id = r->id;
        return unpack_tenant(o, body);
    case OBJECT_PRIMARY:
        o->as.primary.id = r->id;
        o->as.primary.tenant = r->tenant;
        return dir_primary_unpack(body, o->arena, &o->as.primary.facts);
    case OBJECT_DOMAIN:
        o->as.domain.id = r->id;
        o->as.domain.tenant = r->tenant;
        return dir_domain_unpack(body, o->arena, &o->as.domain.facts);
    case OBJECT_PERSON:
        o->as.person.id = r->id;
        o->as.person.tenant = r->tenant;
        return dir_person_unpack(body, o->arena, &o->as.person.facts);
    case OBJECT_GROUP:
        o->as.group.id = r->id;
        o->as.group.tenant = r->tenant;
        return dir_group_unpack(body, o->arena, &o->as.group.facts);
    case OBJECT_PLAN:
        o->as.plans.primary = r->id;
        o->as.plans.tenant = r->tenant;
        return dir_plans_unpack(body, o->arena, &o->as.plans.facts);
    case OBJECT_CALENDAR:
        o->as.calendar.tenant = r->id;
        return dir_calendar_unpack(body, o->arena, &o->as.calendar.facts);
    case OBJECT_ACCESS:
        o->as.access.primary = r->id;
        o->as.access.tenant = r->tenant;
        return dir_access_unpack(body, o->arena, &o->as.access.facts);
    case OBJECT_TOKENS:
        o->as.tokens.primary = r->id;
        o->as.tokens.tenant = r->tenant;
        return dir_tokens_unpack(body, o->arena, &o->as.tokens.facts);
    case OBJECT_MAILLOGIN:
        o->as.mail_login.person = r->id;
        o->as.mail_login.tenant = r->tenant;
        return dir_mail_login_unpack(body, o->arena, &o->as.mail_login.facts);
    case OBJECT_SELECTORS:
        o->as.selectors.domain = r->id;
        o->as.selectors.tenant = r->tenant;
        return dir_selectors_unpack(body, o->arena, &o->as.selectors.facts);
    case OBJECT_DKIM:
        o->as.dkim.domain = r->id;
        o->as.dkim.tenant = r->tenant;
        return dir_dkim_unpack(body, o->arena, &o->as.dkim.facts);
    case OBJECT_KEEPING:
        o->as.keeping.tenant = r->id;
        return dir_keeping_unpack(body, o->arena, &o->as.keeping.facts);
    case OBJECT_QUOTA:
        o->as.quota.person = r->id;
        o->as.quota.tenant = r->tenant;
        return dir_quota_unpack(body, o->arena, &o->as.quota.facts);
    default:
        return false;
    }
}

static uint64_t tenant_of(const struct object *o)
{
    switch ((int)o->kind) { /* the other kinds are other rooms' */
    case OBJECT_TENANT:
        return 0;
    case OBJECT_PRIMARY:
        return o->as.primary.tenant;
    case OBJECT_DOMAIN:
        return o->as.domain.tenant;
    case OBJECT_PERSON:
        return o->as.person.tenant;
    case OBJECT_GROUP:
        return o->as.group.tenant;
    default:
        return 0;
    }
}

static struct slice name_key(char key[512], uint64_t tenant, struct slice name)
{
    size_t n = (size_t)snprintf(key, 32, "%llx ", (unsigned long long)tenant);
    size_t m = name.n < 512 - n ? name.n : 512 - n;
    if (m)
        memcpy(key + n, name.p, m);
    return slice_of(key, n + m);
}

static void index_addresses(struct map *m, const struct dir_text *list, uint32_t n,
                            struct object *o, bool is_in)
{
    for (uint32_t i = 0; i < n; i++) {
        if (is_in)
            map_put(m, list[i].text, o);
        else if (map_get(m, list[i].text) == o)
            map_del(m, list[i].text);
    }
}

static void index_object(struct directory *d, struct object *o, bool is_in)
{
    char key[512];
    if (o->kind > OBJECT_GROUP)
        return; /* found by what they belong to */
    struct slice name = name_key(key, tenant_of(o), o->name);
    if (is_in)
        map_put(d->by_name[o->kind], name, o);
    else if (map_get(d->by_name[o->kind], name) == o)
        map_del(d->by_name[o->kind], name);
    if (o->kind == OBJECT_DOMAIN) {
        struct dir_text one = {o->as.domain.facts.name};
        index_addresses(d->domains, &one, 1, o, is_in);
    } else if (o->kind == OBJECT_PERSON) {
        struct dir_person *p = &o->as.person.facts;
        index_addresses(d->people, p->addresses, p->n_addresses, o, is_in);
    } else if (o->kind == OBJECT_GROUP) {
        struct dir_group *g = &o->as.group.facts;
        index_addresses(d->groups, g->addresses, g->n_addresses, o, is_in);
    }
}

static enum err apply_snapshot(struct directory *d, const struct record_object *r)
{
    struct dir_snapshot snapshot;
    if (!dir_snapshot_unpack(r->body, NULL, &snapshot))
        return ERR_CORRUPT;
    utc_ms *at = mem_new(sizeof(*at));
    *at = snapshot.at;
    void *old = map_put(d->snapshots, KEY(r->tenant), at);
    mem_free(&old);
    d->generation++;
    return ERR_OK;
}

static bool is_ours(unsigned kind)
{
    return (kind >= OBJECT_TENANT && kind <= OBJECT_GROUP) || kind == OBJECT_PLAN ||
           kind == OBJECT_CALENDAR || kind == OBJECT_ACCESS || kind == OBJECT_SELECTORS ||
           kind == OBJECT_DKIM || kind == OBJECT_TOKENS || kind == OBJECT_MAILLOGIN ||
           kind == OBJECT_KEEPING || kind == OBJECT_QUOTA;
}

enum err directory_apply(struct directory *d, const struct record_object *r, struct errinfo *ei)
{
    if (r->kind == OBJECT_SNAPSHOT)
        return apply_snapshot(d, r);
    if (!is_ours(r->kind))
        return ERR_OK;
    struct object *fresh = NULL;
    if (!r->is_removed) {
        fresh = mem_new(sizeof(*fresh));
        fresh->kind = r->kind;
        fresh->arena = arena_create(BODY_ARENA);
        fresh->name = arena_copy(fresh->arena, r->name);
        if (!unpack(fresh, r)) {
            object_destroy(fresh);
            return err_set(ei, ERR_CORRUPT, "object %llu of kind %u has an unreadable body",
                           (unsigned long long)r->id, r->kind);
        }
    }
    struct object *old = map_get(d->by_id[r->kind], KEY(r->id));
    if (old) {
        index_object(d, old, false);
        map_del(d->by_id[r->kind], KEY(r->id));
        object_destroy(old);
    }
    if (fresh) {
        map_put(d->by_id[r->kind], KEY(r->id), fresh);
        index_object(d, fresh, true);
    }
    d->generation++;
    return ERR_OK;
}

/* ---- looking things up ---- */

static struct object *by_id(const struct directory *d, enum object_kind kind, uint64_t id)
{
    return map_get(d->by_id[kind], KEY(id));
}

const struct directory_tenant *directory_tenant(const struct directory *d, uint64_t id)
{
    struct object *o = by_id(d, OBJECT_TENANT, id);
    if (!o)
        return NULL;
    const utc_ms *at = map_get(d->snapshots, KEY(id));
    o->as.tenant.complete_at = at ? *at : 0;
    return &o->as.tenant;
}

const struct directory_primary *directory_primary(const struct directory *d, uint64_t id)
{
    struct object *o = by_id(d, OBJECT_PRIMARY, id);
    return o ? &o->as.primary : NULL;
}

const struct directory_person *directory_person(const struct directory *d, uint64_t id)
{
    struct object *o = by_id(d, OBJECT_PERSON, id);
    return o ? &o->as.person : NULL;
}

const struct directory_domain *directory_domain(const struct directory *d, struct slice name)
{
    struct object *o = map_get(d->domains, name);
    return o ? &o->as.domain : NULL;
}

const struct directory_group *directory_group(const struct directory *d, struct slice address)
{
    struct object *o = map_get(d->groups, address);
    return o ? &o->as.group : NULL;
}

const struct directory_person *directory_person_at(const struct directory *d, struct slice address)
{
    struct object *o = map_get(d->people, address);
    return o ? &o->as.person : NULL;
}

const struct directory_plans *directory_plans(const struct directory *d, uint64_t primary)
{
    struct object *o = by_id(d, OBJECT_PLAN, primary);
    return o ? &o->as.plans : NULL;
}

const struct directory_calendar *directory_calendar(const struct directory *d, uint64_t tenant)
{
    struct object *o = by_id(d, OBJECT_CALENDAR, tenant);
    return o ? &o->as.calendar : NULL;
}

const struct directory_access *directory_access(const struct directory *d, uint64_t primary)
{
    struct object *o = by_id(d, OBJECT_ACCESS, primary);
    return o ? &o->as.access : NULL;
}

const struct directory_tokens *directory_tokens(const struct directory *d, uint64_t primary)
{
    struct object *o = by_id(d, OBJECT_TOKENS, primary);
    return o ? &o->as.tokens : NULL;
}

const struct directory_mail_login *directory_mail_login(const struct directory *d, uint64_t person)
{
    struct object *o = by_id(d, OBJECT_MAILLOGIN, person);
    return o ? &o->as.mail_login : NULL;
}

bool directory_opens_all(const struct dir_access *a, const struct dir_tokens *t)
{
    bool is_app = a->mechanism == DIR_XOAUTH2 && t &&
                  (t->grant == DIR_GRANT_CLIENT || t->grant == DIR_GRANT_ASSERTION);
    return a->n_hosts > 0 && (a->master_user.n > 0 || is_app);
}

const struct directory_selectors *directory_selectors(const struct directory *d, uint64_t domain)
{
    struct object *o = by_id(d, OBJECT_SELECTORS, domain);
    return o ? &o->as.selectors : NULL;
}

const struct directory_dkim *directory_dkim(const struct directory *d, uint64_t domain)
{
    struct object *o = by_id(d, OBJECT_DKIM, domain);
    return o ? &o->as.dkim : NULL;
}

const struct dir_keeping *directory_keeping(const struct directory *d, uint64_t tenant)
{
    static const struct dir_keeping usual = {.days = 90, .essential_days = 366};
    struct object *o = by_id(d, OBJECT_KEEPING, tenant);
    return o ? &o->as.keeping.facts : &usual;
}

const struct directory_quota *directory_own_quota(const struct directory *d, uint64_t person)
{
    struct object *o = by_id(d, OBJECT_QUOTA, person);
    return o ? &o->as.quota : NULL;
}

uint64_t directory_quota(const struct directory *d, const struct directory_person *p)
{
    const struct directory_quota *own = directory_own_quota(d, p->id);
    return own ? own->facts.bytes : directory_keeping(d, p->tenant)->quota_bytes;
}

const struct dir_plan *directory_plan(const struct directory *d, uint64_t primary)
{
    const struct directory_plans *all = directory_plans(d, primary);
    for (uint32_t i = all ? all->facts.n_versions : 0; i > 0; i--)
        if (all->facts.versions[i - 1].approved_at)
            return &all->facts.versions[i - 1];
    return NULL;
}

struct continuity_plan directory_continuity(const struct dir_plan *p)
{
    if (!p)
        return continuity_plan_default;
    return (struct continuity_plan){
        .bad_for_suspect = p->bad_for_suspect,
        .suspect_within_sec = p->suspect_within_sec,
        .tell_after_sec = p->tell_after_sec,
        .emergency_after_sec = p->emergency_after_sec,
        .calm_sec = p->calm_sec,
        .good_for_ready = p->good_for_ready,
        .ready_over_sec = p->ready_over_sec,
        .is_return_auto = p->is_return_auto != 0,
    };
}

uint64_t directory_find(const struct directory *d, enum object_kind kind, uint64_t tenant,
                        struct slice name)
{
    char key[512];
    must(kind >= OBJECT_TENANT && kind <= OBJECT_GROUP);
    struct object *o = map_get(d->by_name[kind], name_key(key, tenant, name));
    size_t at = 0;
    void *value;
    /* Any tenant: rare, asked by people only. */
    while (!o && tenant == 0 && map_next(d->by_id[kind], &at, NULL, &value))
        if (slice_eq(((struct object *)value)->name, name))
            o = value;
    return o ? o->as.tenant.id : 0; /* the id comes first in every object */
}

static struct object *next(const struct directory *d, enum object_kind kind, size_t *at)
{
    void *value;
    return map_next(d->by_id[kind], at, NULL, &value) ? value : NULL;
}

const struct directory_tenant *directory_next_tenant(const struct directory *d, size_t *at)
{
    struct object *o = next(d, OBJECT_TENANT, at);
    return o ? directory_tenant(d, o->as.tenant.id) : NULL;
}

const struct directory_primary *directory_next_primary(const struct directory *d, size_t *at)
{
    struct object *o = next(d, OBJECT_PRIMARY, at);
    return o ? &o->as.primary : NULL;
}

const struct directory_domain *directory_next_domain(const struct directory *d, size_t *at)
{
    struct object *o = next(d, OBJECT_DOMAIN, at);
    return o ? &o->as.domain : NULL;
}

const struct directory_person *directory_next_person(const struct directory *d, size_t *at)
{
    struct object *o = next(d, OBJECT_PERSON, at);
    return o ? &o->as.person : NULL;
}

const struct directory_group *directory_next_group(const struct directory *d, size_t *at)
{
    struct object *o = next(d, OBJECT_GROUP, at);
    return o ? &o->as.group : NULL;
}

/* ---- judging recipients ---- */

static bool find_address(const struct directory *d, struct slice key, struct directory_route *ret)
{
    struct object *o = map_get(d->people, key);
    ret->person = o ? &o->as.person : NULL;
    ret->group = o ? NULL : directory_group(d, key);
    return ret->person || ret->group;
}

/* "anna+bills@example.test" is Anna, when the domain says that '+' separates. */
static bool find_plus(const struct directory *d, struct slice key, struct directory_route *ret)
{
    struct slice separators = ret->domain->facts.separators;
    ptrdiff_t at_sign = slice_find(key, '@');
    for (ptrdiff_t i = 1; i < at_sign; i++) {
        if (slice_find(separators, key.p[i]) < 0)
            continue;
        char plain[400];
        size_t tail = key.n - (size_t)at_sign;
        if ((size_t)i + tail > sizeof(plain))
            return false;
        memcpy(plain, key.p, (size_t)i);
        memcpy(plain + i, key.p + at_sign, tail);
        if (find_address(d, slice_of(plain, (size_t)i + tail), ret))
            return true;
    }
    return false;
}

/* RFC 5321 section 4.5.1, RFC 2142: these two are always there. */
static bool find_role(const struct directory *d, struct slice key, struct directory_route *ret)
{
    if (!slice_starts(key, SLICE("postmaster@")) && !slice_starts(key, SLICE("abuse@")))
        return false;
    struct slice owner = ret->domain->facts.postmaster;
    if (owner.n)
        (void)find_address(d, owner, ret);
    return true; /* without an owner it goes to the primary as it is */
}

/* True: a complete list of people is newer than the first time this address was tried. */
static bool is_surely_unknown(struct directory *d, struct slice key, uint64_t tenant, utc_ms now)
{
    const utc_ms *complete = map_get(d->snapshots, KEY(tenant));
    const utc_ms *first = map_get(d->first_tries, key);
    if (first)
        return complete && *complete > *first;
    if (map_size(d->first_tries) >= FIRST_TRIES_MAX) {
        free_values(&d->first_tries); /* the guessers start over; nobody is refused wrongly */
        d->first_tries = map_create();
    }
    utc_ms *at = mem_new(sizeof(*at));
    *at = now;
    map_put(d->first_tries, key, at);
    return false;
}

enum directory_verdict directory_judge(struct directory *d, struct slice key, utc_ms now,
                                       struct directory_route *ret)
{
    struct slice domain = key;
    *ret = (struct directory_route){0};
    for (ptrdiff_t at; (at = slice_find(domain, '@')) >= 0;) /* a quoted local part may hold one */
        domain = slice_skip(domain, (size_t)at + 1);
    ret->domain = directory_domain(d, domain);
    if (!ret->domain)
        return DIRECTORY_NOT_OURS;
    ret->primary = ret->domain->facts.primary;
    bool is_known =
        find_address(d, key, ret) || find_plus(d, key, ret) || find_role(d, key, ret) ||
        (ret->domain->facts.catch_all.n && find_address(d, ret->domain->facts.catch_all, ret));
    if (!is_known)
        return is_surely_unknown(d, key, ret->domain->tenant, now) ? DIRECTORY_UNKNOWN
                                                                   : DIRECTORY_UNSURE;
    if (ret->person && ret->person->facts.primary)
        ret->primary = ret->person->facts.primary;
    return DIRECTORY_KNOWN;
}

size_t directory_network(struct slice text, unsigned char ret[16], uint8_t *ret_prefix)
{
    char copy[64];
    struct slice prefix, address = slice_cut(text, '/', &prefix);
    bool has_prefix = address.n < text.n;
    if (address.n == 0 || address.n >= sizeof(copy))
        return 0;
    memcpy(copy, address.p, address.n);
    copy[address.n] = '\0';
    size_t n = inet_pton(AF_INET, copy, ret) == 1    ? 4
               : inet_pton(AF_INET6, copy, ret) == 1 ? 16
                                                     : 0;
    uint64_t bits = n * 8;
    if (n == 0 || (has_prefix && !slice_u64(prefix, n * 8, &bits)))
        return 0;
    *ret_prefix = (uint8_t)bits;
    return n;
}
