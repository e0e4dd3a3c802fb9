/* Many people of one company at once.
 *
 * Everything is checked before anything is written. Then it is written in portions that fit a
 * record, those who go and the mark "this list is complete" last: what a crash leaves behind is a
 * company with some people more, never one with people missing, and importing again goes on. */
#include "admin/people_int.h"

enum { PORTION_PEOPLE = 2000, PORTION_BYTES = 1 << 20 };

struct item {
    const json_t *body;
    struct slice key;
    const struct directory_person *old; /* NULL: new; borrowed until the first portion is put */
    struct dir_person f;
    bool has_mailboxes;
};
/* What is to be written, packed. */
struct change {
    struct record_object o;
    uint64_t inbox; /* 0: no mailboxes */
};
struct import {
    uint64_t tenant;
    struct item *items;
    size_t n_items;
    struct map *mine;  /* person's id -> item: who is in the list */
    struct map *final; /* address -> item: who will have it */
    struct change *changes;
    size_t n_changes, at;
    uint64_t added, changed, unchanged, removed;
    bool is_complete;
    utc_ms complete_at;
};

static void import_finish(struct import *m)
{
    map_destroy(&m->mine);
    map_destroy(&m->final);
}

/* ---- who is who ---- */

static enum err read_keys(struct admin_call *c, struct import *m, struct errinfo *ei)
{
    const json_t *persons = body_list(c->body, "persons", &m->n_items);
    m->items = ARENA_ARRAY(c->arena, struct item, m->n_items + 1);
    SCOPED(map_destroy) struct map *seen = map_create();
    for (size_t i = 0; i < m->n_items; i++) {
        struct item *it = &m->items[i];
        const char *why;
        it->body = json_array_get(persons, i);
        it->key = key_of(c->arena, body_text(it->body, "address"), &why);
        if (it->key.n == 0)
            return err_set(ei, ERR_INVALID, "Person %zu: %s is not an address: %s", i + 1,
                           log_text(body_text(it->body, "address")), why);
        const struct directory_domain *d =
            directory_domain(c->host->directory, key_domain(it->key));
        if (!d || d->tenant != m->tenant)
            return err_set(ei, ERR_INVALID, "Person %zu: %s is in no domain of this company", i + 1,
                           log_text(it->key));
        if (map_put(seen, it->key, it))
            return err_set(ei, ERR_INVALID, "%s is in the list twice", log_text(it->key));
    }
    return ERR_OK;
}

/* An item is the person who has its address as main one; or who has it as alias, if nobody in the
 * list is that person by main address (then the main address changes). */
static void match(const struct directory *d, struct import *m)
{
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < m->n_items; i++) {
            struct item *it = &m->items[i];
            const struct directory_person *p = directory_person_at(d, it->key);
            if (it->old || !p || map_get(m->mine, KEY(p->id)))
                continue;
            if (round == 0 && !slice_eq(person_main(&p->facts), it->key))
                continue;
            it->old = p;
            map_put(m->mine, KEY(p->id), it);
        }
}

/* The main address of an existing person first, its aliases as they are. */
static void put_first(struct admin_call *c, struct item *it)
{
    uint32_t n = it->f.n_addresses, n_list = 1;
    struct dir_text *list = ARENA_ARRAY(c->arena, struct dir_text, n + 1);
    list[0].text = it->key;
    for (uint32_t i = 0; i < n; i++)
        if (!slice_eq(it->f.addresses[i].text, it->key))
            list[n_list++] = it->f.addresses[i];
    it->f.addresses = list;
    it->f.n_addresses = n_list;
}

static enum err read_facts(struct admin_call *c, struct import *m, struct errinfo *ei)
{
    for (size_t i = 0; i < m->n_items; i++) {
        struct item *it = &m->items[i];
        enum err err = person_read(c, it->body, m->tenant, it->key, it->old, &it->f, ei);
        if (err != ERR_OK)
            return err_prefix(ei, err, "Person %zu", i + 1);
        if (!slice_eq(it->f.addresses[0].text, it->key))
            put_first(c, it);
        for (uint32_t k = 0; k < it->f.n_addresses; k++)
            if (map_put(m->final, it->f.addresses[k].text, it))
                return err_set(ei, ERR_INVALID, "Two people in the list have the address %s",
                               log_text(it->f.addresses[k].text));
    }
    return ERR_OK;
}

/* Addresses of people who are not in the list stay theirs, unless those people go. */
static enum err check_taken(const struct directory *d, const struct import *m, struct errinfo *ei)
{
    for (size_t i = 0; i < m->n_items; i++)
        for (uint32_t k = 0; k < m->items[i].f.n_addresses; k++) {
            struct slice key = m->items[i].f.addresses[k].text;
            const struct directory_person *p = directory_person_at(d, key);
            bool goes = p && (m->is_complete || map_get(m->mine, KEY(p->id)));
            if (address_is_taken(d, key, goes ? p->id : 0, ei))
                return err_prefix(ei, ERR_EXISTS, "Person %zu", i + 1);
        }
    return ERR_OK;
}

/* ---- what is to be written ---- */

static void pack_item(struct admin_call *c, struct import *m, struct item *it, struct buf *fresh,
                      struct buf *present)
{
    buf_clear(fresh);
    buf_clear(present);
    if (it->old)
        dir_person_pack(present, &it->old->facts);
    it->has_mailboxes = person_needs_mailboxes(c, &it->f);
    dir_person_pack(fresh, &it->f);
    if (it->old && slice_eq(buf_slice(fresh), buf_slice(present))) {
        m->unchanged++;
        return;
    }
    struct change *change = &m->changes[m->n_changes++];
    change->o = call_object(c, OBJECT_PERSON, m->tenant, it->key, fresh);
    change->inbox = it->has_mailboxes ? it->f.inbox : 0;
    if (it->old)
        change->o.id = it->old->id;
    m->changed += it->old != NULL;
    m->added += it->old == NULL;
}

static enum err plan_removals(struct admin_call *c, struct import *m, uint64_t *ret_n_present,
                              struct errinfo *ei)
{
    const struct directory *d = c->host->directory;
    const struct directory_person *p;
    SCOPED(buf_finish) struct buf nothing = buf_make(1);
    for (size_t at = 0; (p = directory_next_person(d, &at));) {
        if (p->tenant != m->tenant)
            continue;
        ++*ret_n_present;
        if (map_get(m->mine, KEY(p->id)))
            continue;
        const struct directory_domain *owns = person_owns(d, p);
        if (owns)
            return err_set(ei, ERR_CONFLICT,
                           "%s is not in the list, but gets the catch-all or postmaster mail of %s",
                           log_text(person_main(&p->facts)), log_text(owns->facts.name));
        struct change *change = &m->changes[m->n_changes++];
        change->o = call_object(c, OBJECT_PERSON, m->tenant,
                                arena_copy(c->arena, person_main(&p->facts)), &nothing);
        change->o.id = p->id;
        change->o.is_removed = 1;
        m->removed++;
    }
    return ERR_OK;
}

static void plan_snapshot(struct admin_call *c, struct import *m)
{
    SCOPED(buf_finish) struct buf body = buf_make(100);
    struct dir_snapshot snapshot = {.at = utc_now(), .n_people = (uint32_t)m->n_items};
    dir_snapshot_pack(&body, &snapshot);
    struct change *change = &m->changes[m->n_changes++];
    change->o = call_object(c, OBJECT_SNAPSHOT, m->tenant, SLICE(""), &body);
    change->o.id = m->tenant; /* one a company: each takes the place of the one before */
    m->complete_at = snapshot.at;
}

static enum err plan(struct admin_call *c, struct import *m, struct errinfo *ei)
{
    const struct directory *d = c->host->directory;
    uint64_t n_present = 0;
    size_t n_people = 0;
    for (size_t at = 0; m->is_complete && directory_next_person(d, &at);)
        n_people++;
    m->changes = ARENA_ARRAY(c->arena, struct change, m->n_items + n_people + 1);
    SCOPED(buf_finish) struct buf fresh = buf_make(PERSON_BODY_MAX);
    SCOPED(buf_finish) struct buf present = buf_make(PERSON_BODY_MAX);
    for (size_t i = 0; i < m->n_items; i++)
        pack_item(c, m, &m->items[i], &fresh, &present);
    if (!m->is_complete)
        return ERR_OK;
    enum err err = plan_removals(c, m, &n_present, ei);
    if (err != ERR_OK)
        return err;
    if (m->removed * 10 > n_present && !body_truth(c->body, "force", false))
        return err_set(ei, ERR_CONFLICT,
                       "%llu of %llu people are not in the list and would be removed; a list that "
                       "came out too short looks the same. If it is right, send it with \"force\" "
                       "(on the command line --force)",
                       (unsigned long long)m->removed, (unsigned long long)n_present);
    plan_snapshot(c, m);
    return ERR_OK;
}

/* ---- writing ---- */

static void answer(struct admin_call *c)
{
    const struct import *m = c->work;
    out_object(&c->json, NULL);
    out_number(&c->json, "added", m->added);
    out_number(&c->json, "changed", m->changed);
    out_number(&c->json, "unchanged", m->unchanged);
    out_number(&c->json, "removed", m->removed);
    out_time(&c->json, "complete_at", m->complete_at);
    out_close(&c->json);
    call_done(c);
}

static void write_portion(struct admin_call *c)
{
    struct import *m = c->work;
    if (m->at == m->n_changes) {
        answer(c);
        return;
    }
    struct record_object *objects = mem_new(sizeof(*objects) * PORTION_PEOPLE);
    struct record_mailbox *boxes = mem_new(sizeof(*boxes) * PORTION_PEOPLE * MAILBOXES_PER_PERSON);
    struct record_objects o = {objects, 0};
    struct record_mailboxes b = {boxes, 0};
    size_t bytes = 0;
    while (m->at < m->n_changes && o.n_objects < PORTION_PEOPLE &&
           bytes + m->changes[m->at].o.body.n < PORTION_BYTES) {
        const struct change *change = &m->changes[m->at++];
        bytes += change->o.body.n + change->o.name.n + change->o.by.n + 100;
        objects[o.n_objects++] = change->o;
        if (change->inbox) {
            person_mailboxes(c, m->tenant, change->o.id, change->inbox, boxes + b.n_mailboxes);
            b.n_mailboxes += MAILBOXES_PER_PERSON;
        }
    }
    must(o.n_objects > 0); /* a body is far smaller than a portion */
    call_put_all(c, &o, &b, write_portion);
    mem_free(&objects); /* the host has made its copies */
    mem_free(&boxes);
}

void do_person_import(struct admin_call *c)
{
    struct errinfo ei = {};
    const struct directory *d = c->host->directory;
    const struct directory_tenant *t = call_tenant(c, body_text(c->body, "tenant"));
    if (!t)
        return;
    struct import *m = ARENA_NEW(c->arena, struct import);
    m->tenant = t->id;
    m->is_complete = body_truth(c->body, "complete", false);
    m->mine = map_create();
    m->final = map_create();
    enum err err = read_keys(c, m, &ei);
    if (err == ERR_OK) {
        match(d, m);
        err = read_facts(c, m, &ei);
    }
    if (err == ERR_OK)
        err = check_taken(d, m, &ei);
    if (err == ERR_OK)
        err = plan(c, m, &ei);
    import_finish(m);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    c->work = m;
    write_portion(c);
}
