/* From version 2 to 3: entries of mailboxes become emails of accounts.
 *
 * The outcome is what applying the same records would give today, but for what went away before:
 * that left no tombstones. Mail only ever came into one mailbox of a person, whose numbers become
 * those of the account. Inside the transaction that upgrades; old tables go at the end of it. */
#include "store/index_db_int.h"

struct migration {
    sqlite3 *db;
    struct arena *arena; /* of a row */
    struct buf pack;
};

static enum err prepare(struct migration *m, const char *sql, sqlite3_stmt **ret,
                        struct errinfo *ei)
{
    int rc = sqlite3_prepare_v2(m->db, sql, -1, ret, NULL);
    return rc == SQLITE_OK ? ERR_OK : index_db_err(ei, m->db, rc, sql);
}

static enum err write_row(struct migration *m, sqlite3_stmt *stmt, struct errinfo *ei)
{
    int rc = sqlite3_step(stmt);
    enum err err = rc == SQLITE_DONE ? ERR_OK : index_db_err(ei, m->db, rc, "bring a row over");
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    return err;
}

typedef enum err row_fn(struct migration *m, sqlite3_stmt *from, sqlite3_stmt *to,
                        struct errinfo *ei);

/* Each row of one statement is bound to the other by `fn`, and written. */
static enum err bring(struct migration *m, const char *from_sql, const char *to_sql, row_fn *fn,
                      struct errinfo *ei)
{
    SCOPED(index_db_finalize) sqlite3_stmt *from = NULL;
    SCOPED(index_db_finalize) sqlite3_stmt *to = NULL;
    int rc = SQLITE_ROW;
    enum err err = prepare(m, from_sql, &from, ei);
    if (err == ERR_OK)
        err = prepare(m, to_sql, &to, ei);
    while (err == ERR_OK && (rc = sqlite3_step(from)) == SQLITE_ROW) {
        arena_reset(m->arena);
        buf_clear(&m->pack);
        err = fn(m, from, to, ei);
        if (err == ERR_OK)
            err = write_row(m, to, ei);
    }
    return err == ERR_OK && rc != SQLITE_DONE ? index_db_err(ei, m->db, rc, from_sql) : err;
}

static enum err unreadable(struct errinfo *ei)
{
    return err_set(ei, ERR_CORRUPT, "index: a packed row of an older version is unreadable");
}

static enum err bring_mailbox(struct migration *m, sqlite3_stmt *from, sqlite3_stmt *to,
                              struct errinfo *ei)
{
    struct record_mailbox_v1 old = {};
    struct record_mailbox new;
    if (!record_mailbox_v1_unpack(column_slice(from, 0), m->arena, &old))
        return unreadable(ei);
    index_mailbox_from_v1(&old, &new);
    record_mailbox_pack(&m->pack, &new);
    bind_u64(to, 1, new.id);
    bind_u64(to, 2, new.person);
    bind_u64(to, 3, new.tenant);
    bind_u64(to, 4, new.modseq);
    bind_blob(to, 5, buf_slice(&m->pack));
    bind_i64(to, 6, slice_eq(new.role, SLICE("inbox")));
    return ERR_OK;
}

static enum err bring_entry(struct migration *m, sqlite3_stmt *from, sqlite3_stmt *to,
                            struct errinfo *ei)
{
    struct record_message message = {};
    struct record_fields fields = {};
    struct slice packed = column_slice(from, 7);
    if (!record_message_unpack(column_slice(from, 6), m->arena, &message) ||
        (packed.n && !record_fields_unpack(packed, m->arena, &fields)))
        return unreadable(ei);
    struct record_place place = {.mailbox = column_u64(from, 2),
                                 .uid = (uint32_t)column_u64(from, 3),
                                 .modseq = column_u64(from, 4)};
    bind_u64(to, 1, column_u64(from, 0));
    bind_u64(to, 2, column_u64(from, 1));
    bind_u64(to, 3, column_u64(from, 5) == column_u64(from, 1) ? 0 : column_u64(from, 5));
    bind_u64(to, 4, place.modseq);
    bind_i64(to, 5, message.received);
    bind_i64(to, 6, message.bytes);
    bind_i64(to, 7, fields.has_attachment ? EMAIL_ATTACHED : 0);
    index_email_bind_place(to, 8, &place, &m->pack);
    return ERR_OK;
}

/* ---- what came late ---- */

struct late {
    uint64_t account, message;
};

/* Its number is larger than that of an email with a larger message id (index_email.c). */
static enum err find_late(struct migration *m, struct late **ret, size_t *ret_n, struct errinfo *ei)
{
    static const char sql[] = "SELECT account, message, modseq FROM email"
                              " ORDER BY account DESC, message DESC";
    SCOPED(index_db_finalize) sqlite3_stmt *from = NULL;
    uint64_t account = 0, least = UINT64_MAX;
    size_t n = 0, max = 0;
    int rc = SQLITE_ROW;
    enum err err = prepare(m, sql, &from, ei);
    while (err == ERR_OK && (rc = sqlite3_step(from)) == SQLITE_ROW) {
        struct late late = {column_u64(from, 0), column_u64(from, 1)};
        if (late.account != account)
            least = UINT64_MAX;
        account = late.account;
        if (column_u64(from, 2) < least) {
            least = column_u64(from, 2);
            continue;
        }
        if (n == max) {
            max = 2 * max + 100;
            *ret = mem_resize(*ret, max * sizeof(**ret));
        }
        (*ret)[n++] = late;
    }
    *ret_n = n;
    return err == ERR_OK && rc != SQLITE_DONE ? index_db_err(ei, m->db, rc, sql) : err;
}

static enum err mark_late(struct migration *m, struct errinfo *ei)
{
    SCOPED(mem_free) struct late *late = NULL;
    SCOPED(index_db_finalize) sqlite3_stmt *to = NULL;
    size_t n = 0;
    enum err err = find_late(m, &late, &n, ei);
    if (err == ERR_OK)
        err = prepare(m, "UPDATE email SET is_changed = 1 WHERE account = ?1 AND message = ?2", &to,
                      ei);
    for (size_t i = 0; i < n && err == ERR_OK; i++) {
        bind_u64(to, 1, late[i].account);
        bind_u64(to, 2, late[i].message);
        err = write_row(m, to, ei);
    }
    return err;
}

/* ---- all of it ---- */

static enum err migrate(struct migration *m, struct errinfo *ei)
{
    /* None is removed here: -1 marks an inbox until its account knows of it. */
    enum err err = bring(m, "SELECT facts FROM mailbox_v2 ORDER BY id",
                         "INSERT INTO mailbox (id, person, tenant, modseq, is_removed, facts)"
                         " VALUES (?1, ?2, ?3, ?4, -?6, ?5)",
                         bring_mailbox, ei);
    if (err == ERR_OK)
        err = bring(m,
                    "SELECT b.person, e.message, e.mailbox, e.uid, e.modseq, e.thread, m.facts,"
                    " f.facts FROM entry e CROSS JOIN mailbox_v2 b ON b.id = e.mailbox"
                    " CROSS JOIN message m ON m.id = e.message"
                    " LEFT JOIN fields f ON f.message = e.message ORDER BY 1, 2, 3, 4",
                    "INSERT OR IGNORE INTO email (account, message, thread, modseq, created,"
                    " counted, received, bytes, flags, is_gone, is_changed, lists)"
                    " VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6, ?7, 0, 0, ?8)",
                    bring_entry, ei);
    if (err == ERR_OK)
        err = mark_late(m, ei);
    if (err != ERR_OK)
        return err;
    return index_db_exec(
        m->db,
        "INSERT INTO account (person, tenant, modseq, floor, inbox)"
        " SELECT b.person, min(b.tenant), max(max(b.modseq), coalesce((SELECT max(e.modseq)"
        " FROM email e WHERE e.account = b.person AND e.is_changed), 0)), 0,"
        " coalesce((SELECT max(n.id) FROM mailbox n WHERE n.person = b.person"
        " AND n.is_removed = -1), 0) FROM mailbox_v2 b GROUP BY b.person;"
        "UPDATE mailbox SET is_removed = 0;"
        /* A message twice in one account counted twice. */
        "UPDATE message SET n_holders = h.n, has_holder = 1 FROM (SELECT message AS id,"
        " count(*) AS n FROM email GROUP BY message) AS h WHERE message.id = h.id"
        " AND n_holders <> h.n;"
        "DROP TABLE entry; DROP TABLE mailbox_v2",
        ei);
}

enum err index_migrate_accounts(sqlite3 *db, struct errinfo *ei)
{
    struct migration m = {
        .db = db, .arena = arena_create(INDEX_ROW_BYTES), .pack = buf_make(INDEX_PACKED_MAX)};
    enum err err = migrate(&m, ei);
    arena_destroy(&m.arena);
    buf_finish(&m.pack);
    return err;
}
