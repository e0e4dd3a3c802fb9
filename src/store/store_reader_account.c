/* Reading accounts: how far each counted, its emails, mailboxes and items.
 *
 * An account's number is the larger one of account.modseq and that of its email with the largest
 * message id. For everything that changed is not above account.modseq; and of what merely came,
 * numbers grow with the message id: if that email merely came it has the largest of them, and if
 * it was changed, that was after the others came, and account.modseq knows of it. */
#include "store/store_account.h"
#include "store/store_reader_int.h"

/* ---- accounts ---- */

static struct store_account read_account(const struct store_query *q)
{
    uint64_t least = column_u64(q->stmt, 2), newest = column_u64(q->stmt, 5);
    return (struct store_account){
        .person = column_u64(q->stmt, 0),
        .tenant = column_u64(q->stmt, 1),
        .modseq = newest > least ? newest : least,
        .floor = column_u64(q->stmt, 3),
        .inbox = column_u64(q->stmt, 4),
    };
}

enum err store_each_account(struct store_reader *r, store_account_fn *fn, void *arg,
                            struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_ACCOUNTS);
    while (store_query_next(&q, ei)) {
        struct store_account a = read_account(&q);
        if (!fn(arg, &a))
            break;
    }
    return q.err;
}

enum err store_get_account(struct store_reader *r, uint64_t person, struct store_account *ret,
                           struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_ACCOUNT);
    bind_u64(q.stmt, 1, person);
    if (!store_query_next(&q, ei))
        return q.err != ERR_OK ? q.err : err_set(ei, ERR_GONE, "no such account");
    *ret = read_account(&q);
    return ERR_OK;
}

/* ---- emails ---- */

/* The columns of EMAIL_COLUMNS. */
static enum err read_email(struct store_query *q, struct arena *a, struct store_email *ret,
                           struct errinfo *ei)
{
    uint64_t message = column_u64(q->stmt, 0), modseq = column_u64(q->stmt, 2);
    *ret = (struct store_email){
        .message = message,
        .thread = column_or(q->stmt, 1, message),
        .modseq = modseq,
        .created = column_or(q->stmt, 3, modseq),
        .counted = column_or(q->stmt, 4, modseq),
        .received = sqlite3_column_int64(q->stmt, 5),
        .bytes = (uint32_t)column_u64(q->stmt, 6),
        .flags = (uint32_t)column_u64(q->stmt, 7),
        .is_gone = sqlite3_column_int(q->stmt, 8) != 0,
    };
    if (!index_email_lists(q->stmt, 9, modseq, a, &ret->list))
        return store_query_unreadable(q, ei);
    return ERR_OK;
}

/* `*ret_wants_more` (may be NULL) becomes false when `fn` had enough. */
static enum err tell_emails(struct store_query *q, store_email_fn *fn, void *arg,
                            bool *ret_wants_more, struct errinfo *ei)
{
    while (store_query_next(q, ei)) {
        struct store_email e;
        enum err err = read_email(q, q->arena, &e, ei);
        if (err != ERR_OK)
            return err;
        if (fn(arg, &e))
            continue;
        if (ret_wants_more)
            *ret_wants_more = false;
        break;
    }
    return q->err;
}

static enum err tell_changed(struct store_reader *r, uint64_t account, uint64_t since,
                             store_email_fn *fn, void *arg, bool *ret_wants_more,
                             struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EMAILS_CHANGED);
    bind_u64(q.stmt, 1, account);
    bind_u64(q.stmt, 2, since);
    return tell_emails(&q, fn, arg, ret_wants_more, ei);
}

/* What merely came, the newest first. The first row of any kind that came before ends it: what has
 * a smaller message id came before it, or came late and is among those that are changed. */
static enum err tell_new(struct store_reader *r, uint64_t account, uint64_t since,
                         store_email_fn *fn, void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EMAILS_NEW);
    bind_u64(q.stmt, 1, account);
    while (store_query_next(&q, ei)) {
        struct store_email e;
        if (column_or(q.stmt, 3, column_u64(q.stmt, 2)) <= since)
            break;
        if (sqlite3_column_int(q.stmt, 10))
            continue;
        enum err err = read_email(&q, q.arena, &e, ei);
        if (err != ERR_OK)
            return err;
        if (!fn(arg, &e))
            break;
    }
    return q.err;
}

enum err store_each_email(struct store_reader *r, uint64_t account, uint64_t since,
                          store_email_fn *fn, void *arg, struct errinfo *ei)
{
    bool wants_more = true;
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EMAILS);
    if (since == 0) {
        bind_u64(q.stmt, 1, account);
        return tell_emails(&q, fn, arg, NULL, ei);
    }
    enum err err = tell_changed(r, account, since, fn, arg, &wants_more, ei);
    return err == ERR_OK && wants_more ? tell_new(r, account, since, fn, arg, ei) : err;
}

enum err store_get_email(struct store_reader *r, uint64_t account, uint64_t message,
                         struct arena *a, struct store_email *ret, struct errinfo *ei)
{
    struct store_email e;
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EMAIL);
    bind_u64(q.stmt, 1, account);
    bind_u64(q.stmt, 2, message);
    if (!store_query_next(&q, ei))
        return q.err != ERR_OK ? q.err : err_set(ei, ERR_GONE, "the account has no such email");
    enum err err = read_email(&q, a, &e, ei);
    if (err == ERR_OK)
        *ret = e;
    return err;
}

enum err store_each_old(struct store_reader *r, uint64_t account, utc_ms before, store_old_fn *fn,
                        void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EMAILS_OLD);
    bind_u64(q.stmt, 1, account);
    bind_u64(q.stmt, 2, store_id_at(before));
    while (store_query_next(&q, ei)) {
        struct store_email e;
        enum err err = read_email(&q, q.arena, &e, ei);
        if (err != ERR_OK)
            return err;
        bool is_own = sqlite3_column_type(q.stmt, 10) == SQLITE_NULL; /* it has no row */
        enum store_origin origin = is_own                        ? STORE_OWN
                                   : column_u64(q.stmt, 11) == 0 ? STORE_HOSTED
                                                                 : STORE_CAME;
        if (!fn(arg, &e, origin, sqlite3_column_int(q.stmt, 10) != 0))
            break;
    }
    return q.err;
}

enum err store_account_bytes(struct store_reader *r, uint64_t account, uint64_t *ret,
                             struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_ACCOUNT_BYTES);
    bind_u64(q.stmt, 1, account);
    if (store_query_next(&q, ei))
        *ret = column_u64(q.stmt, 0);
    return q.err;
}

/* ---- tombstones ---- */

static enum err count_tombstones(struct store_reader *r, uint32_t most, struct store_purgeable *p,
                                 struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_TOMBSTONES);
    uint32_t n = 0;
    bind_u64(q.stmt, 1, p->account.person);
    bind_u64(q.stmt, 2, p->mark);
    bind_i64(q.stmt, 3, most);
    for (; store_query_next(&q, ei); n++)
        p->upto = column_u64(q.stmt, 0);
    p->is_all = n < most;
    return q.err;
}

enum err store_each_purgeable(struct store_reader *r, const struct store_purge_wish *wish,
                              store_purgeable_fn *fn, void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_TOMBSTONED);
    bind_u64(q.stmt, 1, wish->after);
    bind_i64(q.stmt, 2, wish->before);
    while (store_query_next(&q, ei)) {
        struct store_purgeable p = {.account = read_account(&q),
                                    .mark = column_u64(q.stmt, 6),
                                    .time = sqlite3_column_int64(q.stmt, 7)};
        enum err err = count_tombstones(r, wish->most, &p, ei);
        if (err != ERR_OK)
            return err;
        if (!fn(arg, &p))
            break;
    }
    return q.err;
}

/* ---- fields ---- */

static enum err tell_fields(struct store_query *q, uint64_t message, store_fields_fn *fn, void *arg,
                            bool *ret_wants_more, struct errinfo *ei)
{
    struct record_fields fields = {};
    bind_u64(q->stmt, 2, message);
    if (!store_query_next(q, ei))
        return q->err;
    struct slice packed = column_slice(q->stmt, 0);
    if (packed.n && !record_fields_unpack(packed, q->arena, &fields))
        return store_query_unreadable(q, ei);
    *ret_wants_more = fn(arg, message, &fields);
    return ERR_OK;
}

enum err store_each_fields(struct store_reader *r, uint64_t account, const uint64_t *messages,
                           size_t n, store_fields_fn *fn, void *arg, struct errinfo *ei)
{
    bool wants_more = true;
    enum err err = ERR_OK;
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_FIELDS);
    bind_u64(q.stmt, 1, account);
    for (size_t i = 0; i < n && wants_more && err == ERR_OK; i++) {
        err = tell_fields(&q, messages[i], fn, arg, &wants_more, ei);
        store_query_again(&q);
    }
    return err;
}

/* ---- mailboxes and items ---- */

enum err store_each_mailbox_of(struct store_reader *r, uint64_t account, store_mailbox_fn *fn,
                               void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_MAILBOXES_OF);
    bind_u64(q.stmt, 1, account);
    while (store_query_next(&q, ei)) {
        struct record_mailbox m = {};
        if (!record_mailbox_unpack(column_slice(q.stmt, 0), q.arena, &m))
            return store_query_unreadable(&q, ei);
        if (!fn(arg, &m))
            break;
    }
    return q.err;
}

static struct record_item read_item(const struct store_query *q)
{
    return (struct record_item){
        .account = column_u64(q->stmt, 0),
        .kind = (uint8_t)sqlite3_column_int(q->stmt, 1),
        .id = column_u64(q->stmt, 2),
        .modseq = column_u64(q->stmt, 3),
        .created = column_u64(q->stmt, 6),
        .is_gone = sqlite3_column_int(q->stmt, 4) != 0,
        .body = column_slice(q->stmt, 5),
    };
}

enum err store_each_item(struct store_reader *r, uint64_t account, enum item_kind kind,
                         store_item_fn *fn, void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end)
    struct store_query q = store_query_begin(r, account ? READ_ITEMS : READ_ITEMS_ALL);
    bind_u64(q.stmt, 1, account);
    bind_i64(q.stmt, 2, kind);
    while (store_query_next(&q, ei)) {
        struct record_item item = read_item(&q);
        if (!fn(arg, &item))
            break;
    }
    return q.err;
}

enum err store_get_item(struct store_reader *r, uint64_t account, enum item_kind kind, uint64_t id,
                        struct arena *a, struct record_item *ret, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_ITEM);
    bind_u64(q.stmt, 1, account);
    bind_i64(q.stmt, 2, kind);
    bind_u64(q.stmt, 3, id);
    if (!store_query_next(&q, ei))
        return q.err != ERR_OK ? q.err : err_set(ei, ERR_GONE, "the account has no such item");
    *ret = read_item(&q);
    ret->body = arena_copy(a, ret->body);
    return ERR_OK;
}
