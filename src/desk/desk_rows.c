/* The ledger rows of a message, its places in continuity mailboxes, and its deliveries. */
#include "desk/desk_int.h"

#include "wire/wire.h"

/* ---- rows ---- */

static struct mailbox *inbox_of(struct desk *d, const struct directory_person *p)
{
    if (!p || !p->facts.is_covered || !p->facts.inbox)
        return NULL;
    return map_get(d->mailboxes, KEY(p->facts.inbox));
}

/* A place in the continuity mailbox, at once and always. */
static void place_in(struct mailbox *box, struct record_rcpt *row)
{
    if (!box)
        return;
    row->mailbox = box->id;
    row->uid = box->uid_next++;
    row->modseq = ++box->modseq;
}

static int row_of_person(const struct record_message *m, const struct directory_person *p)
{
    for (uint32_t i = 0; p && i < m->n_rcpts; i++)
        if (m->rcpts[i].person == p->id && !m->rcpts[i].parent)
            return (int)i;
    return -1;
}

static void add_members(struct taking *t, struct record_message *m, uint32_t group_row,
                        const struct directory_group *g, uint32_t max)
{
    for (uint32_t k = 0; k < g->facts.n_members && m->n_rcpts < max; k++) {
        struct directory_route route;
        struct slice member = g->facts.members[k].text;
        if (directory_judge(t->d->directory, member, utc_now(), &route) != DIRECTORY_KNOWN ||
            !route.person)
            continue;
        bool has_it = false;
        for (uint32_t i = 0; i < m->n_rcpts; i++)
            has_it |= m->rcpts[i].person == route.person->id && m->rcpts[i].mailbox;
        struct record_rcpt *row = &m->rcpts[m->n_rcpts++];
        /* The primary expands its own groups; the child row says who has a copy here. */
        *row = (struct record_rcpt){.address = member,
                                    .person = route.person->id,
                                    .primary = t->primary,
                                    .disposition = DISPOSITION_MERGED,
                                    .parent = (uint16_t)(group_row + 1)};
        if (!has_it)
            place_in(inbox_of(t->d, route.person), row);
    }
}

static uint32_t count_rows(const struct taking *t)
{
    uint32_t n = t->take->n_rcpts;
    for (uint32_t i = 0; i < t->take->n_rcpts; i++)
        if (t->routes[i].group)
            n += t->routes[i].group->facts.n_members;
    return n < 2000 ? n : 2000;
}

void desk_fill_rows(struct taking *t, struct record_message *m)
{
    const struct ipc_take *take = t->take;
    uint32_t max = count_rows(t);
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
        place_in(inbox_of(t->d, r->person), row);
        if (t->is_inward && !t->primary) /* hosted: the mailbox here is the mailbox */
            row->disposition = row->mailbox ? DISPOSITION_DELIVERED : DISPOSITION_HELD;
    }
    for (uint32_t i = 0; i < take->n_rcpts; i++)
        if (t->routes[i].group)
            add_members(t, m, i, t->routes[i].group, max);
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
