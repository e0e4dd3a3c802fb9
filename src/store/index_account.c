/* Applying to accounts: mailboxes, items, purges, and the row that says how far an account counted.
 * Its emails: index_email.c.
 *
 * `account.modseq` is no more than a lower bound: mail that merely comes does not write it. The
 * account's number is the larger one of it and that of the email with the largest message id
 * (store_reader_account.c says why). */
#include "store/index_db_int.h"

enum err index_account_reach(struct index *x, uint64_t account, uint64_t tenant, uint64_t modseq,
                             struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_ACCOUNT_REACH);
    bind_u64(stmt, 1, account);
    bind_u64(stmt, 2, tenant);
    bind_u64(stmt, 3, modseq);
    return index_run(x, SQL_ACCOUNT_REACH, NULL, ei);
}

enum err index_holders(struct index *x, uint64_t message, int change, struct errinfo *ei)
{
    if (change == 0)
        return ERR_OK;
    sqlite3_stmt *stmt = index_stmt(x, SQL_MESSAGE_HOLDERS);
    bind_u64(stmt, 1, message);
    bind_i64(stmt, 2, change);
    return index_run(x, SQL_MESSAGE_HOLDERS, NULL, ei);
}

/* ---- mailboxes ---- */

/* Each delivery asks whose its mailbox is, and the answer is nearly always that of the last time.
 */
enum { BOXES_MAX = 1 << 16 };

static void know_mailbox(struct index *x, uint64_t mailbox, uint64_t person)
{
    if (x->boxes && map_size(x->boxes) >= BOXES_MAX)
        index_mailbox_forget(x);
    if (!x->boxes)
        x->boxes = map_create();
    (void)map_put(x->boxes, KEY(mailbox), (void *)(uintptr_t)person); /* NOLINT: a number */
}

void index_mailbox_forget(struct index *x)
{
    map_destroy(&x->boxes);
}

enum err index_mailbox_get(struct index *x, uint64_t mailbox, struct index_mailbox *ret,
                           struct errinfo *ei)
{
    uint64_t person = x->boxes ? (uintptr_t)map_get(x->boxes, KEY(mailbox)) : 0;
    if (person) {
        *ret = (struct index_mailbox){.is_there = true, .person = person};
        return ERR_OK;
    }
    sqlite3_stmt *stmt = index_stmt(x, SQL_MAILBOX_GET);
    bind_u64(stmt, 1, mailbox);
    bool is_row = false;
    enum err err = index_row(x, SQL_MAILBOX_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret = (struct index_mailbox){.is_there = is_row};
    if (is_row) {
        ret->person = column_u64(stmt, 0);
        ret->is_removed = sqlite3_column_int(stmt, 1) != 0;
    }
    index_done(x, SQL_MAILBOX_GET);
    if (ret->person && !ret->is_removed)
        know_mailbox(x, mailbox, ret->person);
    return ERR_OK;
}

static enum err note_inbox(struct index *x, const struct record_mailbox *m, struct errinfo *ei)
{
    bool is_inbox = !m->is_removed && slice_eq(m->role, SLICE("inbox"));
    enum index_sql sql = is_inbox ? SQL_ACCOUNT_INBOX : SQL_ACCOUNT_NO_INBOX;
    sqlite3_stmt *stmt = index_stmt(x, sql);
    bind_u64(stmt, 1, m->person);
    bind_u64(stmt, 2, m->id);
    return index_run(x, sql, NULL, ei);
}

static enum err mailbox_put(struct index *x, const struct record_mailbox *m, struct errinfo *ei)
{
    buf_clear(&x->pack);
    record_mailbox_pack(&x->pack, m);
    if (x->boxes)
        (void)map_del(x->boxes, KEY(m->id));
    sqlite3_stmt *stmt = index_stmt(x, SQL_MAILBOX_PUT);
    bind_u64(stmt, 1, m->id);
    bind_u64(stmt, 2, m->person);
    bind_u64(stmt, 3, m->tenant);
    bind_u64(stmt, 4, m->modseq);
    bind_i64(stmt, 5, m->is_removed != 0);
    bind_blob(stmt, 6, buf_slice(&x->pack));
    enum err err = index_run(x, SQL_MAILBOX_PUT, NULL, ei);
    if (err == ERR_OK)
        err = index_account_reach(x, m->person, m->tenant, m->modseq, ei);
    return err == ERR_OK ? note_inbox(x, m, ei) : err;
}

static enum err apply_mailbox(struct index *x, const struct record_mailbox *m, struct errinfo *ei)
{
    struct index_mailbox old;
    index_saw_id(x, m->id);
    enum err err = index_mailbox_get(x, m->id, &old, ei);
    if (err != ERR_OK)
        return err;
    /* It is of one account for ever; removing needs something that is there. */
    if ((old.is_there && old.person != m->person) || (m->is_removed && !old.is_there)) {
        x->n_odd++;
        return ERR_OK;
    }
    if (m->is_removed && !old.is_removed)
        err = index_email_leave(x, m, ei);
    return err == ERR_OK ? mailbox_put(x, m, ei) : err;
}

void index_mailbox_from_v1(const struct record_mailbox_v1 *old, struct record_mailbox *ret)
{
    *ret = (struct record_mailbox){
        .id = old->id,
        .person = old->person,
        .tenant = old->tenant,
        .name = old->name,
        .role = old->role,
        .uid_validity = old->uid_validity,
        .modseq = old->modseq,
        .is_removed = old->is_removed,
        .is_subscribed = 1,
        .created = old->modseq,
    };
}

static bool unpack_v1(const struct index_record *r, struct arena *a, struct record_mailboxes *ret)
{
    struct record_mailboxes_v1 old = {};
    if (!record_mailboxes_v1_unpack(r->facts, a, &old))
        return false;
    *ret = (struct record_mailboxes){
        .mailboxes = ARENA_ARRAY(a, struct record_mailbox, old.n_mailboxes),
        .n_mailboxes = old.n_mailboxes,
    };
    for (uint32_t i = 0; i < old.n_mailboxes; i++)
        index_mailbox_from_v1(&old.mailboxes[i], &ret->mailboxes[i]);
    return true;
}

enum err index_apply_mailbox(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_mailboxes list = {};
    if (r->version == 1 ? !unpack_v1(r, x->arena, &list)
                        : !record_mailboxes_unpack(r->facts, x->arena, &list))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < list.n_mailboxes; i++) {
        enum err err = apply_mailbox(x, &list.mailboxes[i], ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- items ---- */

static enum err item_was(struct index *x, const struct record_item *item, bool *ret_is_live,
                         struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_ITEM_GET);
    bind_u64(stmt, 1, item->account);
    bind_i64(stmt, 2, item->kind);
    bind_u64(stmt, 3, item->id);
    bool is_row = false;
    enum err err = index_row(x, SQL_ITEM_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret_is_live = is_row && sqlite3_column_int(stmt, 0) == 0;
    index_done(x, SQL_ITEM_GET);
    return ERR_OK;
}

enum err index_has_bytes(struct index *x, uint64_t message, bool *ret, struct errinfo *ei)
{
    bool is_row = false;
    sqlite3_stmt *stmt = index_stmt(x, SQL_MESSAGE_GET);
    bind_u64(stmt, 1, message);
    enum err err = index_row(x, SQL_MESSAGE_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret = is_row && sqlite3_column_int(stmt, 0) != 0;
    index_done(x, SQL_MESSAGE_GET);
    return ERR_OK;
}

static enum err apply_item(struct index *x, const struct record_item *item, struct errinfo *ei)
{
    bool was = false, is_there = true;
    bool is_blob = item->kind == ITEM_BLOB;
    index_saw_id(x, item->id);
    enum err err = is_blob && !item->is_gone ? index_has_bytes(x, item->id, &is_there, ei) : ERR_OK;
    if (err == ERR_OK && is_blob)
        err = item_was(x, item, &was, ei);
    if (err != ERR_OK)
        return err;
    if (!is_there) { /* there is nothing to hold */
        x->n_odd++;
        return ERR_OK;
    }
    sqlite3_stmt *stmt = index_stmt(x, SQL_ITEM_PUT);
    bind_u64(stmt, 1, item->account);
    bind_i64(stmt, 2, item->kind);
    bind_u64(stmt, 3, item->id);
    bind_u64(stmt, 4, item->modseq);
    bind_i64(stmt, 5, item->is_gone != 0);
    bind_blob(stmt, 6, item->body);
    bind_u64(stmt, 7, item->created ? item->created : item->modseq);
    err = index_run(x, SQL_ITEM_PUT, NULL, ei);
    if (err == ERR_OK && is_blob)
        err = index_holders(x, item->id, (item->is_gone == 0) - was, ei);
    return err == ERR_OK ? index_account_reach(x, item->account, 0, item->modseq, ei) : err;
}

enum err index_apply_items(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_items list = {};
    if (!record_items_unpack(r->facts, x->arena, &list))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < list.n_items; i++) {
        enum err err = apply_item(x, &list.items[i], ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- tombstones ---- */

static enum err set_mark(struct index *x, const struct record_purged *p, struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_MARK_PUT);
    bind_u64(stmt, 1, p->account);
    bind_u64(stmt, 2, p->mark);
    bind_i64(stmt, 3, p->time);
    return index_run(x, SQL_MARK_PUT, NULL, ei);
}

static enum err apply_purge(struct index *x, const struct record_purged *p, struct errinfo *ei)
{
    static const enum index_sql sqls[] = {SQL_ACCOUNT_FLOOR, SQL_EMAIL_PURGE, SQL_MAILBOX_PURGE,
                                          SQL_ITEM_PURGE};
    for (size_t i = 0; i < sizeof(sqls) / sizeof(sqls[0]); i++) {
        int n = 0;
        sqlite3_stmt *stmt = index_stmt(x, sqls[i]);
        bind_u64(stmt, 1, p->account);
        bind_u64(stmt, 2, p->floor);
        enum err err = index_run(x, sqls[i], &n, ei);
        if (err != ERR_OK)
            return err;
        if (i == 0 && n == 0) { /* no such account */
            x->n_odd++;
            return ERR_OK;
        }
    }
    return p->mark ? set_mark(x, p, ei) : ERR_OK;
}

static bool unpack_purge_v1(const struct index_record *r, struct arena *a,
                            struct record_purges *ret)
{
    struct record_purged_v1 old = {};
    if (!record_purged_v1_unpack(r->facts, a, &old))
        return false;
    ret->purges = ARENA_NEW(a, struct record_purged);
    ret->purges[0] = (struct record_purged){.account = old.account, .floor = old.floor};
    ret->n_purges = 1;
    return true;
}

enum err index_apply_purged(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_purges list = {};
    if (r->version == 1 ? !unpack_purge_v1(r, x->arena, &list)
                        : !record_purges_unpack(r->facts, x->arena, &list))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < list.n_purges; i++) {
        enum err err = apply_purge(x, &list.purges[i], ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}
