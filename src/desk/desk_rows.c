/* The ledger rows of a message, its places in continuity mailboxes, and its deliveries. */
#include "desk/desk_account_int.h"

#include "wire/wire.h"

enum { ROWS_MAX = 2000 }; /* of a message in the log */

/* ---- places in mailboxes ---- */

static uint64_t inbox_id(struct desk *d, const struct directory_person *p)
{
    if (!p || !p->facts.is_covered || !p->facts.inbox)
        return 0;
    const struct desk_account *account = desk_account(d, p->id);
    return account ? account->inbox : 0;
}

/* Numbers in the order of the log: a large message, whose chunks are written first, must not come
 * with a smaller number after somebody has seen the larger one. A record that is not kept leaves a
 * gap, nothing else. */
void desk_assign_places(struct desk *d, struct record_message *m)
{
    for (uint32_t i = 0; i < m->n_rcpts; i++) {
        struct record_rcpt *row = &m->rcpts[i];
        struct desk_account *account = row->mailbox ? desk_account(d, row->person) : NULL;
        bool is_there = account && account->inbox == row->mailbox;
        if (row->mailbox && !is_there && row->disposition == DISPOSITION_DELIVERED) {
            row->disposition = DISPOSITION_HELD; /* hosted, and removed this moment */
            row->refusal = 1 + REFUSE_HOLD_NO_MAILBOX;
        }
        row->mailbox = is_there ? account->inbox : 0;
        row->modseq = is_there ? ++account->modseq : 0;
        row->uid = (uint32_t)row->modseq;
        if (is_there)
            account->bytes += m->bytes;
    }
}

/* ---- rows ---- */

static int row_of_person(const struct record_message *m, const struct directory_person *p)
{
    for (uint32_t i = 0; p && i < m->n_rcpts; i++)
        if (m->rcpts[i].person == p->id && !m->rcpts[i].parent)
            return (int)i;
    return -1;
}

/* ---- groups, and groups in them ---- */

enum { GROUPS_MAX = 64 }; /* that one recipient means, each counted once */

struct group_walk {
    struct taking *t;
    struct record_message *m;
    uint32_t group_row, max;
    bool has_all; /* everybody has a copy here */
    const struct directory_group *seen[GROUPS_MAX];
    size_t n_seen;
};

/* False: it was there already (groups may contain each other), or there are too many. */
static bool enter(struct group_walk *w, const struct directory_group *g)
{
    for (size_t i = 0; i < w->n_seen; i++)
        if (w->seen[i] == g)
            return false;
    if (w->n_seen == GROUPS_MAX) {
        w->has_all = false;
        return false;
    }
    w->seen[w->n_seen++] = g;
    return true;
}

static void add_member(struct group_walk *w, struct slice address, const struct directory_person *p)
{
    struct record_message *m = w->m;
    uint16_t parent = (uint16_t)(w->group_row + 1);
    bool has_it = false;
    for (uint32_t i = 0; i < m->n_rcpts; i++) {
        const struct record_rcpt *row = &m->rcpts[i];
        if (row->person == p->id && row->parent == parent)
            return; /* a member of two groups in this one */
        has_it |= row->person == p->id && row->mailbox;
    }
    if (m->n_rcpts == w->max) {
        w->has_all = false;
        return;
    }
    /* The primary expands its own groups; the child row says who has a copy here. */
    struct record_rcpt *row = &m->rcpts[m->n_rcpts++];
    *row = (struct record_rcpt){.address = address,
                                .person = p->id,
                                .primary = w->t->primary,
                                .disposition = DISPOSITION_MERGED,
                                .parent = parent};
    if (!has_it)
        row->mailbox = inbox_id(w->t->d, p);
    w->has_all &= has_it || row->mailbox;
}

static void add_members(struct group_walk *w, const struct directory_group *g)
{
    if (!enter(w, g))
        return;
    for (uint32_t k = 0; k < g->facts.n_members; k++) {
        struct directory_route route;
        struct slice member = g->facts.members[k].text;
        bool is_known =
            directory_judge(w->t->d->directory, member, utc_now(), &route) == DIRECTORY_KNOWN;
        if (is_known && route.group)
            add_members(w, route.group);
        else if (is_known && route.person)
            add_member(w, member, route.person);
        else
            w->has_all = false;
    }
}

/* At most so many rows will the members need. */
static uint64_t count_members(struct group_walk *w, const struct directory_group *g)
{
    uint64_t n = 0;
    if (!enter(w, g))
        return 0;
    for (uint32_t k = 0; k < g->facts.n_members; k++) {
        const struct directory_group *inner =
            directory_group(w->t->d->directory, g->facts.members[k].text);
        n += inner ? count_members(w, inner) : 1;
    }
    return n;
}

static uint64_t count_rows(struct taking *t)
{
    uint64_t n = t->take->n_rcpts;
    for (uint32_t i = 0; i < t->take->n_rcpts; i++) {
        struct group_walk w = {.t = t};
        if (t->routes[i].group)
            n += count_members(&w, t->routes[i].group);
    }
    return n;
}

/* Child rows for the members of all groups among the recipients. */
static void add_groups(struct taking *t, struct record_message *m, uint64_t n_rows, uint32_t max)
{
    for (uint32_t i = 0; i < t->take->n_rcpts; i++) {
        const struct directory_group *g = t->routes[i].group;
        struct group_walk w = {.t = t, .m = m, .group_row = i, .max = max, .has_all = true};
        if (!g)
            continue;
        add_members(&w, g);
        /* Hosted: nobody expands the group but us. */
        if (t->is_inward && !t->primary && w.has_all) {
            m->rcpts[i].disposition = DISPOSITION_DELIVERED;
            m->rcpts[i].refusal = 0;
        }
    }
    if (n_rows > t->take->n_rcpts)
        refuse_measure(REFUSE_GROUP_COPIES, n_rows, t->take->rcpts[0].address);
    if (n_rows > max)
        (void)refuse(REFUSE_GROUP_COPIES, m->rcpts[0].address);
}

void desk_fill_rows(struct taking *t, struct record_message *m)
{
    const struct ipc_take *take = t->take;
    uint64_t n_rows = count_rows(t);
    uint32_t max = n_rows < ROWS_MAX ? (uint32_t)n_rows : ROWS_MAX;
    m->rcpts = ARENA_ARRAY(t->a->arena, struct record_rcpt, max);
    for (uint32_t i = 0; i < take->n_rcpts; i++) {
        const struct directory_route *r = &t->routes[i];
        struct record_rcpt *row = &m->rcpts[m->n_rcpts++];
        int twin = row_of_person(m, r->person);
        *row = (struct record_rcpt){.address = take->rcpts[i].address,
                                    .person = r->person ? r->person->id : 0,
                                    .primary = t->primary,
                                    .orcpt = take->rcpts[i].orcpt,
                                    .notify = take->rcpts[i].notify,
                                    .disposition = DISPOSITION_WAITING};
        if (twin >= 0) {
            row->disposition = DISPOSITION_MERGED; /* two addresses of one mailbox: once */
            continue;
        }
        row->mailbox = inbox_id(t->d, r->person);
        if (!t->is_inward || t->primary)
            continue;
        /* Hosted: the mailbox here is the mailbox. */
        row->disposition = row->mailbox ? DISPOSITION_DELIVERED : DISPOSITION_HELD;
        row->refusal = row->mailbox ? 0 : 1 + REFUSE_HOLD_NO_MAILBOX;
    }
    add_groups(t, m, n_rows, max);
}

/* ---- planning deliveries ---- */

struct slice desk_domain_of(struct slice address)
{
    struct slice domain = address;
    for (ptrdiff_t at; (at = slice_find(domain, '@')) >= 0;)
        domain = slice_skip(domain, (size_t)at + 1);
    return domain;
}

/* One item for the primary, or one for each domain of the world. */
void desk_plan(struct taking *t, struct record_message *m)
{
    struct queue_row *rows = ARENA_ARRAY(t->a->arena, struct queue_row, m->n_rcpts);
    bool *is_planned = ARENA_ARRAY(t->a->arena, bool, m->n_rcpts);
    for (uint32_t first = 0; first < m->n_rcpts; first++) {
        size_t n = 0;
        struct slice domain = t->is_inward ? SLICE("") : desk_domain_of(m->rcpts[first].address);
        if (is_planned[first] || m->rcpts[first].disposition != DISPOSITION_WAITING)
            continue;
        for (uint32_t i = first; i < m->n_rcpts; i++) {
            const struct record_rcpt *r = &m->rcpts[i];
            if (r->disposition != DISPOSITION_WAITING || is_planned[i] ||
                (!t->is_inward && !slice_ieq(desk_domain_of(r->address), domain)))
                continue;
            is_planned[i] = true;
            rows[n++] =
                (struct queue_row){.rcpt = (uint16_t)i,
                                   .notify = r->notify,
                                   .is_known = t->is_inward && (r->person || t->routes[i].group),
                                   .address = r->address,
                                   .orcpt = r->orcpt};
        }
        bool has_slot =
            queue_plan(t->d->queue, t->a->m, t->primary, domain, rows, n, t->a->is_waiting);
        for (size_t k = 0; k < n; k++)
            m->rcpts[rows[k].rcpt].is_attempting = has_slot;
        if (!has_slot)
            t->a->is_waiting = false; /* no slot: 250 as soon as it is durable */
    }
}
