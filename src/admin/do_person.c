/* People, one by one. The list of them is read from the index, by a worker. */
#include "admin/people_int.h"

#include <stdio.h>

static void answer_person(struct admin_call *c, const struct directory_person *p)
{
    write_person(c, &p->facts, name_of_tenant(c->host, p->tenant),
                 name_of_primary(c->host, p->facts.primary));
    call_done(c);
}

void do_person_show(struct admin_call *c)
{
    const struct directory_person *p = call_person(c, NULL);
    if (p)
        answer_person(c, p);
}

/* ---- adding and changing ---- */

static void written(struct admin_call *c)
{
    const uint64_t *id = c->work;
    const struct directory_person *p = directory_person(c->host->directory, *id);
    must(p); /* just written, and changes take turns */
    answer_person(c, p);
}

static void put(struct admin_call *c, uint64_t id, uint64_t tenant, struct dir_person *f)
{
    struct errinfo ei;
    for (uint32_t i = 0; i < f->n_addresses; i++)
        if (address_is_taken(c->host->directory, f->addresses[i].text, id, &ei)) {
            call_fail(c, ERR_EXISTS, ei.text);
            return;
        }
    bool has_mailboxes = person_needs_mailboxes(c, f);
    SCOPED(buf_finish) struct buf body = buf_make(PERSON_BODY_MAX);
    dir_person_pack(&body, f);
    struct record_object o =
        call_object(c, OBJECT_PERSON, tenant, arena_copy(c->arena, f->addresses[0].text), &body);
    if (id)
        o.id = id;
    struct record_mailbox boxes[MAILBOXES_PER_PERSON];
    struct record_objects objects = {&o, 1};
    struct record_mailboxes mailboxes = {boxes, has_mailboxes ? MAILBOXES_PER_PERSON : 0};
    if (has_mailboxes)
        person_mailboxes(c, tenant, o.id, f->inbox, boxes);
    uint64_t *work = ARENA_NEW(c->arena, uint64_t);
    *work = o.id;
    c->work = work;
    call_put_all(c, &objects, &mailboxes, written);
}

void do_person_add(struct admin_call *c)
{
    struct slice key;
    struct dir_person f;
    struct errinfo ei = {};
    if (!call_key(c, body_text(c->body, "address"), &key))
        return;
    const struct directory_domain *d = call_domain_of(c, key);
    if (!d)
        return;
    enum err err = person_read(c, c->body, d->tenant, key, NULL, &f, &ei);
    if (err != ERR_OK)
        call_fail(c, err, ei.text);
    else
        put(c, 0, d->tenant, &f);
}

void do_person_set(struct admin_call *c)
{
    struct slice key;
    struct dir_person f;
    struct errinfo ei = {};
    const struct directory_person *p = call_person(c, &key);
    if (!p)
        return;
    key = arena_copy(c->arena, person_main(&p->facts));
    enum err err = person_read(c, c->body, p->tenant, key, p, &f, &ei);
    if (err != ERR_OK)
        call_fail(c, err, ei.text);
    else
        put(c, p->id, p->tenant, &f);
}

/* ---- removing ---- */

void do_person_remove(struct admin_call *c)
{
    struct slice key;
    const struct directory_person *p = call_person(c, &key);
    if (!p)
        return;
    const struct directory_domain *owns = person_owns(c->host->directory, p);
    if (owns) {
        call_refuse(c, 409,
                    "%s gets the catch-all or postmaster mail of %s. Nothing was changed. Give "
                    "that to somebody else first: `staffetta domain set`.",
                    log_text(key), log_text(owns->facts.name));
        return;
    }
    bool has_login = directory_mail_login(c->host->directory, p->id) != NULL;
    call_remove(c, &(struct removal){OBJECT_PERSON, p->id, p->tenant, person_main(&p->facts),
                                     "New mail for these addresses is unknown from now on. The "
                                     "mail that was kept stays, and what waits is still "
                                     "delivered.",
                                     .also = has_login ? OBJECT_MAILLOGIN : 0});
}

/* ---- listing (worker) ---- */

struct listing {
    struct admin_call *c;
    const struct names *names;
    struct slice match;
    uint64_t tenant, after, last;
    uint32_t n, limit;
    bool has_more, is_unreadable;
};

static bool has_part(struct slice s, struct slice part)
{
    for (size_t i = 0; i + part.n <= s.n; i++)
        if (slice_ieq(slice_of(s.p + i, part.n), part))
            return true;
    return false;
}

static bool does_match(const struct listing *l, const struct dir_person *f)
{
    if (l->match.n == 0 || has_part(f->name, l->match))
        return true;
    for (uint32_t i = 0; i < f->n_addresses; i++)
        if (has_part(f->addresses[i].text, l->match))
            return true;
    return false;
}

static bool list_one(void *arg, const struct record_object *o)
{
    struct listing *l = arg;
    if (o->id <= l->after || (l->tenant && o->tenant != l->tenant))
        return true;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct dir_person f;
    if (!dir_person_unpack(o->body, a, &f)) {
        l->is_unreadable = true;
        return false;
    }
    if (!does_match(l, &f))
        return true;
    l->has_more = l->n == l->limit;
    if (l->has_more)
        return false;
    write_person(l->c, &f, names_tenant(l->names, o->tenant), names_primary(l->names, f.primary));
    l->n++;
    l->last = o->id;
    return true;
}

void do_person_list(struct admin_call *c)
{
    struct errinfo ei = {};
    struct listing l = {.c = c, .match = call_param(c, "match"), .limit = call_limit(c)};
    struct slice after = call_param(c, "after");
    SCOPED(names_finish) struct names names = {};
    if (after.n > 0 && !slice_u64(after, UINT64_MAX, &l.after)) {
        call_refuse(c, 400, "after= must be the `next` of the list before. Nothing was done.");
        return;
    }
    if (!names_load(c, &names) || !names_filter_tenant(c, &names, &l.tenant))
        return;
    l.names = &names;
    out_object(&c->json, NULL);
    out_array(&c->json, "persons");
    enum err err = store_each_object(c->reader, OBJECT_PERSON, list_one, &l, &ei);
    if (err == ERR_OK && l.is_unreadable)
        err = err_set(&ei, ERR_CORRUPT, "a person in the index is unreadable");
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    out_close(&c->json);
    char next[24];
    snprintf(next, sizeof(next), "%llu", (unsigned long long)l.last);
    if (l.has_more)
        out_word(&c->json, "next", next);
    out_close(&c->json);
    call_done(c);
}
