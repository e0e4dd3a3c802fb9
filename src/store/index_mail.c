/* Applying to mailboxes: entries, which are messages' places in mailboxes.
 *
 * UIDs and change numbers stand in the record. What a new entry reaches is not written into its
 * mailbox as well: the reader takes it from the newest entry; only an entry that goes away leaves
 * its numbers there. The thread is derived (index_thread.c). */
#include "store/index_db_int.h"

/* ---- entries ---- */

enum err index_mailbox_person(struct index *x, uint64_t mailbox, bool *ret_is_there,
                              uint64_t *ret_person, struct errinfo *ei)
{
    bind_u64(index_stmt(x, SQL_MAILBOX_PERSON), 1, mailbox);
    enum err err = index_row(x, SQL_MAILBOX_PERSON, ret_is_there, ei);
    if (err != ERR_OK)
        return err;
    *ret_person = *ret_is_there ? column_u64(x->stmts[SQL_MAILBOX_PERSON], 0) : 0;
    index_done(x, SQL_MAILBOX_PERSON);
    return ERR_OK;
}

static enum err count_entry_out(struct index *x, uint64_t message, struct errinfo *ei)
{
    bind_u64(index_stmt(x, SQL_MESSAGE_ENTRIES), 1, message);
    return index_run(x, SQL_MESSAGE_ENTRIES, NULL, ei);
}

enum err index_entry_add(struct index *x, uint64_t message, const struct record_rcpt *rcpt,
                         uint64_t person, const struct index_thread_key *key, struct errinfo *ei)
{
    uint64_t thread = 0;
    enum err err = index_thread_find(x, message, person, key, &thread, ei);
    if (err != ERR_OK)
        return err;
    sqlite3_stmt *stmt = index_stmt(x, SQL_ENTRY_ADD);
    bind_u64(stmt, 1, rcpt->mailbox);
    bind_i64(stmt, 2, rcpt->uid);
    bind_u64(stmt, 3, message);
    bind_u64(stmt, 4, rcpt->modseq);
    bind_u64(stmt, 5, thread);
    int n_new = 0;
    err = index_run(x, SQL_ENTRY_ADD, &n_new, ei);
    if (err != ERR_OK || n_new)
        return err;
    x->n_odd++; /* the UID is taken */
    return count_entry_out(x, message, ei);
}

static enum err entry_remove(struct index *x, uint64_t message, const struct record_rcpt *rcpt,
                             struct errinfo *ei)
{
    bool is_there = false;
    sqlite3_stmt *stmt = index_stmt(x, SQL_ENTRY_HAS);
    bind_u64(stmt, 1, rcpt->mailbox);
    bind_i64(stmt, 2, rcpt->uid);
    bind_u64(stmt, 3, message);
    enum err err = index_row(x, SQL_ENTRY_HAS, &is_there, ei);
    if (err != ERR_OK)
        return err;
    index_done(x, SQL_ENTRY_HAS);
    if (!is_there)
        return ERR_OK;
    static const enum index_sql sqls[2] = {SQL_MAILBOX_REACHED, SQL_ENTRY_DEL};
    for (int i = 0; i < 2; i++) {
        stmt = index_stmt(x, sqls[i]);
        bind_u64(stmt, 1, rcpt->mailbox);
        bind_i64(stmt, 2, rcpt->uid);
        err = index_run(x, sqls[i], NULL, ei);
        if (err != ERR_OK)
            return err;
    }
    return count_entry_out(x, message, ei);
}

enum err index_entry_remove_of(struct index *x, uint64_t message, struct errinfo *ei)
{
    bind_u64(index_stmt(x, SQL_ROW_FACTS), 1, message);
    for (;;) {
        bool is_row = false;
        enum err err = index_row(x, SQL_ROW_FACTS, &is_row, ei);
        if (err != ERR_OK)
            return err;
        if (!is_row)
            break;
        struct record_rcpt rcpt = {};
        if (!record_rcpt_unpack(column_slice(x->stmts[SQL_ROW_FACTS], 0), x->arena, &rcpt)) {
            x->failed = ERR_CORRUPT;
            err = err_set(ei, ERR_CORRUPT, "index: a ledger row is unreadable");
        } else if (rcpt.mailbox) {
            err = entry_remove(x, message, &rcpt, ei);
        }
        if (err != ERR_OK) {
            index_done(x, SQL_ROW_FACTS);
            return err;
        }
    }
    index_done(x, SQL_ROW_FACTS);
    return ERR_OK;
}

/* ---- mailboxes ---- */

static enum err mailbox_put(struct index *x, const struct record_mailbox *m, struct errinfo *ei)
{
    buf_clear(&x->pack);
    record_mailbox_pack(&x->pack, m);
    sqlite3_stmt *stmt = index_stmt(x, SQL_MAILBOX_PUT);
    bind_u64(stmt, 1, m->id);
    bind_u64(stmt, 2, m->person);
    bind_u64(stmt, 3, m->tenant);
    bind_u64(stmt, 4, m->modseq);
    bind_blob(stmt, 5, buf_slice(&x->pack));
    return index_run(x, SQL_MAILBOX_PUT, NULL, ei);
}

static enum err mailbox_remove(struct index *x, uint64_t mailbox, struct errinfo *ei)
{
    static const enum index_sql sqls[3] = {SQL_ENTRY_LEAVE, SQL_ENTRY_DEL_ALL, SQL_MAILBOX_DEL};
    int n = 0;
    for (int i = 0; i < 3; i++) {
        bind_u64(index_stmt(x, sqls[i]), 1, mailbox);
        enum err err = index_run(x, sqls[i], &n, ei);
        if (err != ERR_OK)
            return err;
    }
    if (n == 0)
        x->n_odd++;
    return ERR_OK;
}

enum err index_apply_mailbox(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_mailboxes list = {};
    if (!record_mailboxes_unpack(r->facts, x->arena, &list))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < list.n_mailboxes; i++) {
        const struct record_mailbox *m = &list.mailboxes[i];
        index_saw_id(x, m->id);
        enum err err = m->is_removed ? mailbox_remove(x, m->id, ei) : mailbox_put(x, m, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}
