/* The facts of a person or group from JSON; mailboxes of a covered person. */
#include "admin/people_int.h"

static const char *const kinds[] = {
    [DIR_KIND_PERSON] = "person",
    [DIR_KIND_SHARED] = "shared",
    [DIR_KIND_CONTACT] = "contact",
};

void write_texts(struct out *j, const char *key, const struct dir_text *list, size_t n)
{
    out_array(j, key);
    for (size_t i = 0; i < n; i++)
        out_text(j, NULL, list[i].text);
    out_close(j);
}

struct slice person_main(const struct dir_person *f)
{
    return f->n_addresses > 0 ? f->addresses[0].text : SLICE("");
}

void write_person(struct admin_call *c, const struct dir_person *f, struct slice tenant,
                  struct slice primary)
{
    struct out *j = &c->json;
    bool has_address = f->n_addresses > 0;
    out_object(j, NULL);
    out_text(j, "address", person_main(f));
    out_text_if(j, "name", f->name);
    out_text(j, "tenant", tenant);
    write_texts(j, "aliases", f->addresses + has_address, f->n_addresses - has_address);
    out_truth(j, "covered", f->is_covered);
    out_truth(j, "essential", f->is_essential);
    out_word(j, "kind", kinds[f->kind <= DIR_KIND_CONTACT ? f->kind : DIR_KIND_PERSON]);
    out_text_if(j, "primary", primary);
    out_close(j);
}

/* ---- addresses ---- */

static enum err check_address(struct admin_call *c, struct slice text, uint64_t tenant,
                              struct slice *ret, struct errinfo *ei)
{
    const char *why;
    struct slice key = key_of(c->arena, text, &why);
    if (key.n == 0)
        return err_set(ei, ERR_INVALID, "%s is not an address: %s", log_text(text), why);
    const struct directory_domain *d = directory_domain(c->host->directory, key_domain(key));
    if (!d)
        return err_set(ei, ERR_INVALID, "The domain of %s is none of ours; add it first",
                       log_text(text));
    if (tenant && d->tenant != tenant)
        return err_set(ei, ERR_INVALID, "The domain of %s belongs to another company",
                       log_text(text));
    *ret = key;
    return ERR_OK;
}

enum err addresses_read(struct admin_call *c, const json_t *body, uint64_t tenant, struct slice key,
                        struct dir_text **ret, uint32_t *ret_n, struct errinfo *ei)
{
    size_t n;
    const json_t *aliases = body_list(body, "aliases", &n);
    struct dir_text *list = ARENA_ARRAY(c->arena, struct dir_text, n + 1);
    uint32_t n_list = 1;
    list[0].text = key;
    for (size_t i = 0; i < n; i++) {
        struct slice one;
        enum err err = check_address(c, body_item(aliases, i), tenant, &one, ei);
        if (err != ERR_OK)
            return err;
        bool is_new = true;
        for (uint32_t k = 0; k < n_list && is_new; k++)
            is_new = !slice_eq(list[k].text, one);
        if (is_new)
            list[n_list++].text = one;
    }
    *ret = list;
    *ret_n = n_list;
    return ERR_OK;
}

bool address_is_taken(const struct directory *d, struct slice key, uint64_t self,
                      struct errinfo *ei)
{
    const struct directory_person *p = directory_person_at(d, key);
    if (p && p->id != self) {
        (void)!err_set(ei, ERR_EXISTS, "%s belongs to %s already", log_text(key),
                       log_text(person_main(&p->facts)));
        return true;
    }
    const struct directory_group *g = directory_group(d, key);
    if (g && g->id != self) {
        (void)!err_set(ei, ERR_EXISTS, "%s is an address of the group %s already", log_text(key),
                       log_text(g->facts.n_addresses ? g->facts.addresses[0].text : g->facts.name));
        return true;
    }
    return false;
}

const struct directory_domain *person_owns(const struct directory *d,
                                           const struct directory_person *p)
{
    const struct directory_domain *domain;
    for (size_t at = 0; (domain = directory_next_domain(d, &at));) {
        if (domain->tenant != p->tenant)
            continue;
        for (uint32_t i = 0; i < p->facts.n_addresses; i++)
            if (slice_eq(domain->facts.catch_all, p->facts.addresses[i].text) ||
                slice_eq(domain->facts.postmaster, p->facts.addresses[i].text))
                return domain;
    }
    return NULL;
}

/* ---- facts ---- */

static enum err read_primary(struct admin_call *c, const json_t *body, uint64_t tenant,
                             uint64_t *ret, struct errinfo *ei)
{
    const struct directory *d = c->host->directory;
    struct slice name = body_text(body, "primary");
    uint64_t id = name.n ? directory_find(d, OBJECT_PRIMARY, tenant, name) : 0;
    if (name.n > 0 && id == 0)
        return err_set(ei, ERR_INVALID, "There is no mail system %s in this company",
                       log_text(name));
    *ret = id;
    return ERR_OK;
}

enum err person_read(struct admin_call *c, const json_t *body, uint64_t tenant, struct slice key,
                     const struct directory_person *old, struct dir_person *ret, struct errinfo *ei)
{
    struct dir_person f = old ? old->facts : (struct dir_person){};
    struct slice kind = body_text(body, "kind");
    enum err err = ERR_OK;
    for (uint8_t i = 0; i <= DIR_KIND_CONTACT; i++)
        if (slice_eq(kind, slice_str(kinds[i])))
            f.kind = i;
    if (body_has(body, "name"))
        f.name = body_text(body, "name");
    if (!old || body_has(body, "aliases"))
        err = addresses_read(c, body, tenant, key, &f.addresses, &f.n_addresses, ei);
    if (err == ERR_OK && body_has(body, "primary"))
        err = read_primary(c, body, tenant, &f.primary, ei);
    if (err != ERR_OK)
        return err;
    f.is_covered = body_truth(body, "covered", old ? f.is_covered : f.kind != DIR_KIND_CONTACT);
    f.is_essential = body_truth(body, "essential", f.is_essential);
    if (f.kind == DIR_KIND_CONTACT && f.is_covered)
        return err_set(ei, ERR_INVALID, "A contact has no mailbox, so it cannot be covered");
    *ret = f;
    return ERR_OK;
}

/* ---- mailboxes ---- */

bool person_needs_mailboxes(struct admin_call *c, struct dir_person *f)
{
    if (!f->is_covered || f->inbox != 0)
        return false;
    f->inbox = c->host->next_id(c->host->arg);
    return true;
}

void person_mailboxes(struct admin_call *c, uint64_t tenant, uint64_t person, uint64_t inbox,
                      struct record_mailbox ret[MAILBOXES_PER_PERSON])
{
    /* Roles of RFC 8621 section 2 and RFC 6154. */
    static const struct {
        const char *name, *role;
    } boxes[MAILBOXES_PER_PERSON] = {
        {"Inbox", "inbox"}, {"Sent", "sent"}, {"Drafts", "drafts"},
        {"Trash", "trash"}, {"Junk", "junk"}, {"Archive", "archive"},
    };
    for (size_t i = 0; i < MAILBOXES_PER_PERSON; i++)
        ret[i] = (struct record_mailbox){
            .id = i == 0 ? inbox : c->host->next_id(c->host->arg),
            .person = person,
            .tenant = tenant,
            .name = slice_str(boxes[i].name),
            .role = slice_str(boxes[i].role),
            /* RFC 9051 section 2.3.1.1: must grow when a name is used again. */
            .uid_validity = (uint32_t)(utc_now() / 1000),
            .modseq = 1,
            .created = 1,
            .sort_order = (uint32_t)i + 1,
            .is_subscribed = 1,
        };
}
