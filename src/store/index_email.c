/* Applying to the emails of accounts: what comes, what people change, what goes.
 *
 * Mail that comes writes one row and nothing else, so that receiving costs no more for accounts
 * being read. For this there are two kinds of rows. One with is_changed = 0 is as it came: its
 * modseq is `created`, and when it came its message id was the largest of the account. Everything
 * else has is_changed = 1, is found through email_changed, and account.modseq is not below it.
 * So among all rows `created` grows with the message id, but for changed ones that came late (a
 * large message, whose chunks were written while smaller ones overtook it), and what came since a
 * number is found from the newest message backwards. */
#include "store/index_db_int.h"

bool index_email_lists(sqlite3_stmt *stmt, int at, uint64_t modseq, struct arena *a,
                       struct record_email_lists *ret)
{
    if (sqlite3_column_type(stmt, at) != SQLITE_INTEGER)
        return record_email_lists_unpack(arena_copy(a, column_slice(stmt, at)), a, ret);
    struct record_place *place = ARENA_ARRAY(a, struct record_place, 1);
    *place = (struct record_place){
        .mailbox = column_u64(stmt, at), .uid = (uint32_t)modseq, .modseq = modseq};
    *ret = (struct record_email_lists){.places = place, .n_places = 1};
    return true;
}

void index_email_bind_place(sqlite3_stmt *stmt, int at, const struct record_place *place,
                            struct buf *b)
{
    if (place->uid == place->modseq) {
        bind_u64(stmt, at, place->mailbox);
        return;
    }
    struct record_place one = *place;
    record_email_lists_pack(b, &(struct record_email_lists){.places = &one, .n_places = 1});
    bind_blob(stmt, at, buf_slice(b));
}

/* A row as it stands; its lists last until the next one is looked at. */
struct email {
    bool is_there, is_gone;
    uint64_t thread, modseq;
    uint32_t flags;
    struct record_email_lists lists;
};

static enum err damaged(struct index *x, struct errinfo *ei)
{
    x->failed = ERR_CORRUPT;
    return err_set(ei, ERR_CORRUPT, "index: a row about an email is unreadable");
}

static enum err get_email(struct index *x, uint64_t account, uint64_t message, struct email *ret,
                          struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_EMAIL_GET);
    bind_u64(stmt, 1, account);
    bind_u64(stmt, 2, message);
    bool is_row = false;
    arena_reset(x->row);
    enum err err = index_row(x, SQL_EMAIL_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret = (struct email){.is_there = is_row};
    if (is_row) {
        ret->thread = column_or(stmt, 0, message);
        ret->modseq = column_u64(stmt, 1);
        ret->flags = (uint32_t)column_u64(stmt, 2);
        ret->is_gone = sqlite3_column_int(stmt, 3) != 0;
        if (!index_email_lists(stmt, 4, ret->modseq, x->row, &ret->lists))
            err = damaged(x, ei);
    }
    index_done(x, SQL_EMAIL_GET);
    return err;
}

/* ---- mail that comes ---- */

static enum err is_newest(struct index *x, uint64_t account, uint64_t message, bool *ret,
                          struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_EMAIL_NEWEST);
    bind_u64(stmt, 1, account);
    bool is_row = false;
    enum err err = index_row(x, SQL_EMAIL_NEWEST, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret = !is_row || column_u64(stmt, 0) < message; /* NULL, when there are none, is 0 */
    index_done(x, SQL_EMAIL_NEWEST);
    return ERR_OK;
}

static enum err add_email(struct index *x, const struct index_delivery *d,
                          const struct record_rcpt *rcpt, const struct email *email, bool is_new,
                          uint64_t account, int *ret_n, struct errinfo *ei)
{
    const struct record_message *m = d->message;
    struct record_place place = {
        .mailbox = rcpt->mailbox, .uid = rcpt->uid, .modseq = rcpt->modseq};
    sqlite3_stmt *stmt = index_stmt(x, SQL_EMAIL_ADD);
    buf_clear(&x->pack);
    bind_u64(stmt, 1, account);
    bind_u64(stmt, 2, m->id);
    bind_u64(stmt, 3, email->thread == m->id ? 0 : email->thread);
    bind_u64(stmt, 4, rcpt->modseq);
    bind_i64(stmt, 5, m->received);
    bind_i64(stmt, 6, m->bytes);
    bind_i64(stmt, 7, email->flags);
    bind_i64(stmt, 8, !is_new);
    index_email_bind_place(stmt, 9, &place, &x->pack);
    return index_run(x, SQL_EMAIL_ADD, ret_n, ei);
}

enum err index_email_deliver(struct index *x, const struct index_delivery *d, uint32_t number,
                             uint64_t account, struct errinfo *ei)
{
    const struct record_message *m = d->message;
    const struct record_rcpt *rcpt = &m->rcpts[number];
    bool is_new = d->is_newest;
    struct email email = {};
    if (m->n_fields && m->fields[0].has_attachment)
        email.flags = EMAIL_ATTACHED;
    enum err err = index_thread_find(x, m->id, account, d->key, &email.thread, ei);
    if (err == ERR_OK && !is_new)
        err = is_newest(x, account, m->id, &is_new, ei);
    if (err != ERR_OK)
        return err;
    int n = 0;
    err = add_email(x, d, rcpt, &email, is_new, account, &n, ei);
    if (err != ERR_OK)
        return err;
    if (n == 0) { /* the account has it through another recipient */
        x->n_odd++;
        return index_holders(x, m->id, -1, ei);
    }
    return is_new ? ERR_OK : index_account_reach(x, account, m->tenant, rcpt->modseq, ei);
}

/* ---- what people do ---- */

/* Of the message, for the first row that an account has of it. */
struct origin {
    bool is_there, is_kept;
    uint64_t tenant;
    uint32_t bytes, flags;
    struct record_fields fields;
};

static enum err get_origin(struct index *x, uint64_t message, struct origin *ret,
                           struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_MESSAGE_FACTS);
    bind_u64(stmt, 1, message);
    bool is_row = false;
    enum err err = index_row(x, SQL_MESSAGE_FACTS, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret = (struct origin){.is_there = is_row};
    if (is_row) {
        struct record_message m = {};
        struct slice fields = arena_copy(x->row, column_slice(stmt, 1));
        if (!record_message_unpack(column_slice(stmt, 0), x->row, &m) ||
            (fields.n && !record_fields_unpack(fields, x->row, &ret->fields)))
            err = damaged(x, ei);
        ret->is_kept = sqlite3_column_int(stmt, 2) != 0;
        ret->tenant = m.tenant;
        ret->bytes = m.bytes;
        ret->flags = ret->fields.has_attachment ? EMAIL_ATTACHED : 0;
    }
    index_done(x, SQL_MESSAGE_FACTS);
    return err;
}

static enum err write_email(struct index *x, enum index_sql sql, const struct record_email *e,
                            uint32_t bytes, struct errinfo *ei)
{
    struct record_email_lists lists = {.keywords = e->keywords,
                                       .n_keywords = e->n_keywords,
                                       .places = e->places,
                                       .n_places = e->n_places};
    buf_clear(&x->pack);
    record_email_lists_pack(&x->pack, &lists);
    sqlite3_stmt *stmt = index_stmt(x, sql);
    bind_u64(stmt, 1, e->account);
    bind_u64(stmt, 2, e->message);
    bind_u64(stmt, 3, e->thread == e->message ? 0 : e->thread);
    bind_u64(stmt, 4, e->modseq);
    bind_u64(stmt, 5, e->counted);
    bind_i64(stmt, 6, e->received);
    if (sql == SQL_EMAIL_NEW)
        bind_i64(stmt, 7, bytes);
    bind_i64(stmt, 8, e->flags);
    bind_i64(stmt, 9, e->is_gone != 0);
    bind_blob(stmt, 10, buf_slice(&x->pack));
    return index_run(x, sql, NULL, ei);
}

/* Its bytes were given up before this came to hold them: what cannot be read is not shown. */
static void put_too_late(struct index *x, struct record_email *e)
{
    x->n_odd++;
    e->is_gone = 1;
    for (uint32_t i = 0; i < e->n_places; i++)
        e->places[i].is_gone = 1;
}

static enum err put_new(struct index *x, struct record_email *e, struct errinfo *ei)
{
    struct origin origin;
    enum err err = get_origin(x, e->message, &origin, ei);
    if (err != ERR_OK)
        return err;
    if (!origin.is_there) { /* there is nothing to hold */
        x->n_odd++;
        return ERR_OK;
    }
    if (!e->is_gone && !origin.is_kept)
        put_too_late(x, e);
    if (e->thread == 0 && !e->is_gone) {
        struct index_thread_key key;
        index_thread_key(&origin.fields, &key);
        err = index_thread_find(x, e->message, e->account, &key, &e->thread, ei);
    }
    if (e->thread == 0)
        e->thread = e->message;
    e->flags |= origin.flags;
    if (err == ERR_OK)
        err = write_email(x, SQL_EMAIL_NEW, e, origin.bytes, ei);
    if (err == ERR_OK)
        err = index_holders(x, e->message, e->is_gone ? 0 : 1, ei);
    return err == ERR_OK ? index_account_reach(x, e->account, origin.tenant, e->modseq, ei) : err;
}

static enum err put_again(struct index *x, struct record_email *e, const struct email *old,
                          struct errinfo *ei)
{
    bool is_kept = true;
    if (e->thread == 0)
        e->thread = old->thread;
    e->flags |= old->flags & EMAIL_ATTACHED;
    enum err err =
        old->is_gone && !e->is_gone ? index_has_bytes(x, e->message, &is_kept, ei) : ERR_OK;
    if (!is_kept)
        put_too_late(x, e);
    if (err == ERR_OK)
        err = write_email(x, SQL_EMAIL_PUT, e, 0, ei);
    if (err == ERR_OK)
        err = index_holders(x, e->message, old->is_gone - (e->is_gone != 0), ei);
    return err == ERR_OK ? index_account_reach(x, e->account, 0, e->modseq, ei) : err;
}

enum err index_apply_emails(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_emails list = {};
    if (!record_emails_unpack(r->facts, x->arena, &list))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < list.n_emails; i++) {
        struct record_email e = list.emails[i];
        struct email old;
        e.flags &= EMAIL_KEYWORD_BITS;
        enum err err = get_email(x, e.account, e.message, &old, ei);
        if (err == ERR_OK)
            err = old.is_there ? put_again(x, &e, &old, ei) : put_new(x, &e, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- what goes without a record of its own ---- */

/* Out of one mailbox (0: of all), at that number. */
static enum err leave_places(struct index *x, uint64_t account, uint64_t message,
                             struct email *email, uint64_t mailbox, uint64_t modseq,
                             struct errinfo *ei)
{
    bool is_gone = true;
    for (uint32_t i = 0; i < email->lists.n_places; i++) {
        struct record_place *place = &email->lists.places[i];
        if (!place->is_gone && (mailbox == 0 || place->mailbox == mailbox)) {
            place->is_gone = 1;
            place->modseq = modseq;
        }
        is_gone = is_gone && place->is_gone;
    }
    buf_clear(&x->pack);
    record_email_lists_pack(&x->pack, &email->lists);
    sqlite3_stmt *stmt = index_stmt(x, SQL_EMAIL_LEFT);
    bind_u64(stmt, 1, account);
    bind_u64(stmt, 2, message);
    bind_u64(stmt, 3, modseq);
    bind_i64(stmt, 4, is_gone);
    bind_blob(stmt, 5, buf_slice(&x->pack));
    enum err err = index_run(x, SQL_EMAIL_LEFT, NULL, ei);
    if (err == ERR_OK)
        err = index_holders(x, message, is_gone ? -1 : 0, ei);
    return err == ERR_OK ? index_account_reach(x, account, 0, modseq, ei) : err;
}

static enum err forget(struct index *x, uint64_t account, uint64_t message,
                       const struct email *email, struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_EMAIL_DEL);
    bind_u64(stmt, 1, account);
    bind_u64(stmt, 2, message);
    enum err err = index_run(x, SQL_EMAIL_DEL, NULL, ei);
    if (err == ERR_OK)
        err = index_holders(x, message, email->is_gone ? 0 : -1, ei);
    return err == ERR_OK ? index_account_reach(x, account, 0, email->modseq, ei) : err;
}

/* The row keeps its number, since a result brings none: whoever refuses has to write a RECORD_EMAIL
 * after it, so that those who saw it learn that it is gone. */
static enum err take_back(struct index *x, uint64_t message, const struct record_rcpt *rcpt,
                          bool is_forgotten, struct errinfo *ei)
{
    struct index_mailbox box;
    struct email email = {};
    enum err err = index_mailbox_get(x, rcpt->mailbox, &box, ei);
    if (err == ERR_OK && box.is_there)
        err = get_email(x, box.person, message, &email, ei);
    if (err != ERR_OK || !email.is_there)
        return err;
    if (is_forgotten)
        return forget(x, box.person, message, &email, ei);
    return email.is_gone ? ERR_OK
                         : leave_places(x, box.person, message, &email, 0, email.modseq, ei);
}

enum err index_email_take_back(struct index *x, uint64_t message, bool is_forgotten,
                               struct errinfo *ei)
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
            err = take_back(x, message, &rcpt, is_forgotten, ei);
        }
        if (err != ERR_OK) {
            index_done(x, SQL_ROW_FACTS);
            return err;
        }
    }
    index_done(x, SQL_ROW_FACTS);
    return ERR_OK;
}

/* ---- a mailbox that is removed ---- */

static bool is_in(const struct record_email_lists *lists, uint64_t mailbox)
{
    for (uint32_t i = 0; i < lists->n_places; i++)
        if (lists->places[i].mailbox == mailbox && !lists->places[i].is_gone)
            return true;
    return false;
}

enum { LEAVE_AT_ONCE = 500 };

/* The next ones behind `after` that are in it; it is not written while it is walked. */
static enum err find_in(struct index *x, const struct record_mailbox *m, uint64_t after,
                        uint64_t ids[LEAVE_AT_ONCE], size_t *ret_n, struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_EMAIL_LIVE);
    bind_u64(stmt, 1, m->person);
    bind_u64(stmt, 2, after);
    enum err err = ERR_OK;
    for (*ret_n = 0; *ret_n < LEAVE_AT_ONCE;) {
        bool is_row = false;
        struct record_email_lists lists = {};
        err = index_row(x, SQL_EMAIL_LIVE, &is_row, ei);
        if (err != ERR_OK)
            return err;
        if (!is_row)
            break;
        arena_reset(x->row);
        if (!index_email_lists(stmt, 1, 0, x->row, &lists)) {
            err = damaged(x, ei);
            break;
        }
        if (is_in(&lists, m->id))
            ids[(*ret_n)++] = column_u64(stmt, 0);
    }
    index_done(x, SQL_EMAIL_LIVE);
    return err;
}

enum err index_email_leave(struct index *x, const struct record_mailbox *m, struct errinfo *ei)
{
    uint64_t ids[LEAVE_AT_ONCE], after = 0;
    for (size_t n = LEAVE_AT_ONCE; n == LEAVE_AT_ONCE;) {
        enum err err = find_in(x, m, after, ids, &n, ei);
        for (size_t i = 0; i < n && err == ERR_OK; i++) {
            struct email email;
            err = get_email(x, m->person, ids[i], &email, ei);
            if (err == ERR_OK)
                err = leave_places(x, m->person, ids[i], &email, m->id, m->modseq, ei);
            after = ids[i];
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}
