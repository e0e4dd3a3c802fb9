/* Accounts: who has one, and its next change number. Everything that changes an account takes its
 * number here, on the loop, in the order in which the records go to the store. */
#include "desk/desk_account_int.h"
#include "desk/desk_jmap_int.h"

#include "store/store_account.h"

static struct desk_account *add(struct desk *d, uint64_t person)
{
    struct desk_account *account = map_get(d->accounts, KEY(person));
    if (account)
        return account;
    account = mem_new(sizeof(*account));
    account->person = person;
    map_put(d->accounts, KEY(person), account);
    return account;
}

static bool load_one(void *arg, const struct store_account *a)
{
    struct desk_account *account = add(arg, a->person);
    account->tenant = a->tenant;
    account->modseq = a->modseq;
    account->inbox = a->inbox;
    return true;
}

enum err desk_accounts_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    return store_each_account(reader, load_one, d, ei);
}

struct desk_account *desk_account(struct desk *d, uint64_t person)
{
    return person ? map_get(d->accounts, KEY(person)) : NULL;
}

uint64_t desk_account_next(struct desk *d, uint64_t person)
{
    struct desk_account *account = desk_account(d, person);
    return account ? ++account->modseq : 0;
}

void desk_account_mailbox(struct desk *d, const struct record_mailbox *m)
{
    struct desk_account *account = add(d, m->person);
    account->tenant = m->tenant;
    if (m->modseq > account->modseq)
        account->modseq = m->modseq;
    if (!m->is_removed && slice_eq(m->role, SLICE("inbox")))
        account->inbox = m->id;
    else if (account->inbox == m->id)
        account->inbox = 0;
}

/* ---- who is told, when it is durable ---- */

struct persons {
    uint64_t *list;
    uint32_t n, max;
};

static void persons_add(struct persons *p, uint64_t person)
{
    must(p->n < p->max);
    if (p->n == 0 || p->list[p->n - 1] != person)
        p->list[p->n++] = person;
}

static void persons_tell(struct desk *d, struct persons *p, enum err err)
{
    for (uint32_t i = 0; i < p->n && err == ERR_OK; i++)
        desk_jmap_changed(d, p->list[i]);
    mem_free(&p->list);
}

/* ---- what goes out of accounts ---- */

struct gone {
    struct desk *desk;
    struct store_change change;
    struct buf facts;
    struct persons persons;
    enum err err;
};

/* Not written: those who saw it see it until they look anew. It is not delivered for that. */
static void gone_told(void *arg)
{
    struct gone *g = arg;
    persons_tell(g->desk, &g->persons, g->err);
    buf_finish(&g->facts);
    mem_free(&g);
}

static void gone_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct gone *g = change->arg;
    g->err = err;
    desk_post(g->desk, gone_told, g);
}

void desk_emails_gone(struct desk *d, struct record_email *emails, uint32_t n)
{
    struct record_emails all = {.emails = emails};
    struct persons persons = {.list = mem_new((n + 1) * sizeof(*persons.list)), .max = n};
    for (uint32_t i = 0; i < n; i++) {
        struct record_email *e = &emails[i];
        struct desk_account *account = desk_account(d, e->account);
        if (!account)
            continue;
        e->modseq = e->counted = ++account->modseq;
        e->is_gone = 1;
        e->flags |= EMAIL_BY_RULE;
        for (uint32_t k = 0; k < e->n_places; k++) {
            e->places[k].modseq = e->places[k].is_gone ? e->places[k].modseq : e->modseq;
            e->places[k].is_gone = 1;
        }
        persons_add(&persons, e->account);
        all.emails[all.n_emails++] = *e;
    }
    if (all.n_emails == 0) {
        mem_free(&persons.list);
        return;
    }
    struct gone *g = mem_new(sizeof(*g));
    g->desk = d;
    g->persons = persons;
    g->facts = buf_make(STORE_RECORD_MAX);
    record_emails_pack(&g->facts, &all);
    must(!g->facts.failed); /* callers bring few, with the places they have */
    g->change = (struct store_change){.type = RECORD_EMAIL,
                                      .is_lazy = true,
                                      .facts = buf_slice(&g->facts),
                                      .done = gone_written,
                                      .arg = g};
    store_submit(d->store, &g->change);
}

/* ---- items ---- */

struct items_write {
    struct desk *desk;
    struct store_change change;
    struct buf facts;
    struct persons persons;
    enum err err;
    void (*done)(void *arg, enum err err);
    void *arg;
};

static void items_told(void *arg)
{
    struct items_write *w = arg;
    persons_tell(w->desk, &w->persons, w->err);
    w->done(w->arg, w->err);
    buf_finish(&w->facts);
    mem_free(&w);
}

static void items_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct items_write *w = change->arg;
    w->err = err;
    desk_post(w->desk, items_told, w);
}

void desk_account_items(struct desk *d, struct record_item *items, uint32_t n,
                        void (*done)(void *arg, enum err err), void *arg)
{
    struct record_items all = {.items = items};
    struct items_write *w = mem_new(sizeof(*w));
    *w = (struct items_write){.desk = d, .done = done, .arg = arg, .err = ERR_GONE};
    w->facts = buf_make(STORE_RECORD_MAX);
    w->persons = (struct persons){.list = mem_new((n + 1) * sizeof(uint64_t)), .max = n};
    for (uint32_t i = 0; i < n; i++) {
        struct desk_account *account = desk_account(d, items[i].account);
        if (!account)
            continue; /* removed meanwhile */
        items[i].modseq = ++account->modseq;
        items[i].created = items[i].created ? items[i].created : items[i].modseq;
        persons_add(&w->persons, items[i].account);
        items[all.n_items++] = items[i];
    }
    if (all.n_items == 0) {
        desk_post(d, items_told, w);
        return;
    }
    record_items_pack(&w->facts, &all);
    must(!w->facts.failed);
    w->change = (struct store_change){
        .type = RECORD_ITEM, .facts = buf_slice(&w->facts), .done = items_written, .arg = w};
    store_submit(d->store, &w->change);
}
