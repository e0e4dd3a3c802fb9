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

/* ---- what goes out of accounts ---- */

struct gone {
    struct store_change change;
    struct buf facts;
};

/* Not written: those who saw it see it until they look anew. It is not delivered for that. */
static void gone_written(struct store_change *change, enum err, const struct errinfo *)
{
    struct gone *g = change->arg;
    buf_finish(&g->facts);
    mem_free(&g);
}

void desk_emails_gone(struct desk *d, struct record_email *emails, uint32_t n)
{
    struct record_emails all = {.emails = emails};
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
        all.emails[all.n_emails++] = *e;
    }
    if (all.n_emails == 0)
        return;
    struct gone *g = mem_new(sizeof(*g));
    g->facts = buf_make(STORE_RECORD_MAX);
    record_emails_pack(&g->facts, &all);
    must(!g->facts.failed); /* callers bring few, with the places they have */
    g->change = (struct store_change){.type = RECORD_EMAIL,
                                      .is_lazy = true,
                                      .facts = buf_slice(&g->facts),
                                      .done = gone_written,
                                      .arg = g};
    store_submit(d->store, &g->change);
    for (uint32_t i = 0; i < all.n_emails; i++)
        desk_jmap_changed(d, all.emails[i].account);
}

/* ---- items ---- */

struct items_write {
    struct desk *desk;
    struct store_change change;
    struct buf facts;
    enum err err;
    void (*done)(void *arg, enum err err);
    void *arg;
};

static void items_told(void *arg)
{
    struct items_write *w = arg;
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
    for (uint32_t i = 0; i < n; i++) {
        struct desk_account *account = desk_account(d, items[i].account);
        if (!account)
            continue; /* removed meanwhile */
        items[i].modseq = ++account->modseq;
        items[i].created = items[i].created ? items[i].created : items[i].modseq;
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
    for (uint32_t i = 0; i < all.n_items; i++)
        desk_jmap_changed(d, items[i].account);
}
