/* Whole-file work on an index, each on a connection of its own: copy it, verify it, dump it, and
 * the questions of recycling. Any thread, beside the writer. */
#include "store/index_db_int.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
    const char *name, *dump; /* dump: columns and order; NULL: not compared */
    int since;               /* the version that brought it; 0: the first one */
    int until;               /* the last one that had it; 0: there is none */
} tables[] = {
    {"meta", "* FROM meta"},
    {"message", "* FROM message ORDER BY id"},
    {"fields", "* FROM fields ORDER BY message"},
    {"ledger", "* FROM ledger ORDER BY message, rcpt"},
    {"double", "* FROM double ORDER BY message, rcpt"},
    {"history", "* FROM history ORDER BY message, pos, n"},
    {"unanswered", "* FROM unanswered ORDER BY message"},
    {"object", "* FROM object ORDER BY kind, id"},
    {"account", "* FROM account ORDER BY person", 3},
    {"mailbox", "* FROM mailbox ORDER BY id"},
    {"entry", "* FROM entry ORDER BY mailbox, uid", 0, 2},
    {"email", "* FROM email ORDER BY account, message", 3},
    {"item", "* FROM item ORDER BY account, kind, id", 3},
    {"mark", "* FROM mark ORDER BY person", 5},
    {"thread", "* FROM (SELECT * FROM thread UNION ALL SELECT * FROM thread_new)"
               " ORDER BY person, hash"},
    {"thread_new", NULL,
     2}, /* dumped with those that are merged: when that was makes no difference */
    /* first and last only narrow a search, and begin anew when a zone was empty at a commit. */
    {"zone", "number, bytes FROM zone ORDER BY number"},
    {"moved", "* FROM moved ORDER BY pos, message"},
    {"loose", "* FROM loose ORDER BY rec"},
    {"event", "* FROM event ORDER BY number"},
    {"evidence", "* FROM evidence ORDER BY primary_id, first, pos, n", 2},
    {"high", "* FROM high ORDER BY refusal, hour", 2},
    {"aside", "* FROM aside ORDER BY pos"},
};
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

static bool is_in_version(int table, int version)
{
    return tables[table].since <= version &&
           (tables[table].until == 0 || version <= tables[table].until);
}

enum err index_db_check_tables(sqlite3 *db, int version, struct errinfo *ei)
{
    for (int i = 0; i < N_TABLES; i++) {
        SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
        char sql[80];
        (void)snprintf(sql, sizeof(sql), "SELECT 1 FROM %s", tables[i].name);
        if (!is_in_version(i, version))
            continue;
        int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
        if (rc != SQLITE_OK)
            return index_db_err(ei, db, rc, sql);
    }
    return ERR_OK;
}

/* Also of an older version: a snapshot is not touched. */
struct reading {
    sqlite3 *db;
    int version;
};

static void reading_close(struct reading *r)
{
    index_db_close(&r->db);
}

static enum err open_reading(const char *path, struct reading *ret, struct errinfo *ei)
{
    int version = 0;
    sqlite3 *db = NULL;
    enum err err = index_db_open(path, SQLITE_OPEN_READONLY, &db, ei);
    if (err != ERR_OK)
        return err;
    err = index_db_version(db, &version, ei);
    if (err == ERR_OK && version == 0)
        err = err_set(ei, ERR_CORRUPT, "index: the file is empty");
    if (err == ERR_OK)
        err = index_db_check_tables(db, version, ei);
    if (err != ERR_OK)
        index_db_close(&db);
    else
        *ret = (struct reading){db, version};
    return err;
}

/* ---- verify ---- */

static enum err check_integrity(sqlite3 *db, struct errinfo *ei)
{
    SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return index_db_err(ei, db, rc, "integrity check");
    const char *text = (const char *)sqlite3_column_text(stmt, 0);
    if (text && strcmp(text, "ok") == 0)
        return ERR_OK;
    return err_set(ei, ERR_CORRUPT, "index: %.200s", text ? text : "integrity check says nothing");
}

static enum err verify(sqlite3 *db, uint64_t *ret_applied, struct errinfo *ei)
{
    int64_t applied = 0;
    enum err err = check_integrity(db, ei);
    if (err == ERR_OK)
        err = index_db_number(db, "SELECT applied FROM meta", &applied, ei);
    if (err == ERR_OK)
        *ret_applied = (uint64_t)applied;
    return err;
}

enum err index_verify(const char *path, uint64_t *ret_applied, struct errinfo *ei)
{
    SCOPED(reading_close) struct reading r = {};
    enum err err = open_reading(path, &r, ei);
    if (err == ERR_OK)
        err = verify(r.db, ret_applied, ei);
    return err == ERR_OK ? ERR_OK : err_prefix(ei, err, "%s", path);
}

/* ---- copy ---- */

static enum err count_rows(const struct reading *r, int64_t n[N_TABLES], struct errinfo *ei)
{
    for (int i = 0; i < N_TABLES; i++) {
        char sql[80];
        n[i] = 0;
        if (!is_in_version(i, r->version))
            continue;
        (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", tables[i].name);
        enum err err = index_db_number(r->db, sql, &n[i], ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* Pages as they are, within one read transaction of the source, which is also the one in which its
 * rows are counted. The copy is one file, without a WAL beside it. */
static enum err copy_pages(const struct reading *from, const char *path, int64_t n[N_TABLES],
                           struct errinfo *ei)
{
    SCOPED(index_db_close) sqlite3 *to = NULL;
    enum err err = index_db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &to, ei);
    /* A copy that is not finished is thrown away; one that is, is synced once. */
    if (err == ERR_OK)
        err = index_db_exec(to, "PRAGMA synchronous = OFF", ei);
    if (err == ERR_OK)
        err = index_db_exec(from->db, "BEGIN", ei);
    if (err == ERR_OK)
        err = count_rows(from, n, ei);
    if (err != ERR_OK)
        return err;
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from->db, "main");
    int rc = backup ? sqlite3_backup_step(backup, -1) : sqlite3_errcode(to);
    int rc_end = sqlite3_backup_finish(backup);
    if (rc != SQLITE_DONE || rc_end != SQLITE_OK)
        return index_db_err(ei, to, rc == SQLITE_DONE ? rc_end : rc, "copy the index");
    err = index_db_exec(from->db, "COMMIT", ei);
    return err == ERR_OK ? index_db_exec(to, "PRAGMA journal_mode = DELETE", ei) : err;
}

static enum err check_copy(const char *path, const int64_t n_from[N_TABLES], uint64_t *ret_applied,
                           struct errinfo *ei)
{
    SCOPED(reading_close) struct reading r = {};
    int64_t n[N_TABLES];
    enum err err = open_reading(path, &r, ei);
    if (err == ERR_OK)
        err = verify(r.db, ret_applied, ei);
    if (err == ERR_OK)
        err = count_rows(&r, n, ei);
    for (int i = 0; i < N_TABLES && err == ERR_OK; i++)
        if (n[i] != n_from[i])
            err = err_set(ei, ERR_CORRUPT, "the copy has %lld rows in %s, the index %lld",
                          (long long)n[i], tables[i].name, (long long)n_from[i]);
    return err;
}

static enum err remove_file(const char *path, struct errinfo *ei)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set(ei, ERR_IO, "remove %s: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err copy(const char *from_path, const char *path, uint64_t *ret_applied,
                     struct errinfo *ei)
{
    SCOPED(reading_close) struct reading from = {};
    int64_t n[N_TABLES];
    enum err err = remove_file(path, ei);
    if (err == ERR_OK)
        err = open_reading(from_path, &from, ei);
    if (err == ERR_OK)
        err = copy_pages(&from, path, n, ei);
    if (err == ERR_OK)
        err = index_db_sync_file(path, ei);
    if (err == ERR_OK)
        err = index_db_sync_folder(path, ei);
    return err == ERR_OK ? check_copy(path, n, ret_applied, ei) : err;
}

enum err index_copy(const char *from, const char *path, uint64_t *ret_applied, struct errinfo *ei)
{
    enum err err = copy(from, path, ret_applied, ei);
    if (err != ERR_OK)
        (void)unlink(path); /* nothing relies on it: the caller was told that there is none */
    return err;
}

/* ---- dump ---- */

static void add_value(struct buf *b, sqlite3_stmt *stmt, int column)
{
    static const char hex[] = "0123456789abcdef";
    int type = sqlite3_column_type(stmt, column);
    buf_addc(b, ' ');
    buf_adds(b, slice_str(sqlite3_column_name(stmt, column)));
    buf_addc(b, '=');
    if (type == SQLITE_INTEGER) {
        buf_addf(b, "%lld", (long long)sqlite3_column_int64(stmt, column));
        return;
    }
    if (type == SQLITE_NULL) {
        buf_adds(b, SLICE("null"));
        return;
    }
    struct slice s = column_slice(stmt, column);
    for (size_t i = 0; i < s.n; i++) {
        buf_addc(b, hex[(unsigned char)s.p[i] >> 4]);
        buf_addc(b, hex[(unsigned char)s.p[i] & 15]);
    }
}

static enum err dump_table(sqlite3 *db, int table, void (*line)(void *arg, struct slice text),
                           void *arg, struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf b = buf_make(SIZE_MAX / 2);
    SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
    char sql[120];
    (void)snprintf(sql, sizeof(sql), "SELECT %s", tables[table].dump);
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        buf_clear(&b);
        buf_adds(&b, slice_str(tables[table].name));
        for (int i = 0; i < sqlite3_column_count(stmt); i++)
            add_value(&b, stmt, i);
        line(arg, buf_slice(&b));
    }
    return rc == SQLITE_DONE ? ERR_OK : index_db_err(ei, db, rc, sql);
}

enum err index_dump(const char *path, void (*line)(void *arg, struct slice text), void *arg,
                    struct errinfo *ei)
{
    SCOPED(reading_close) struct reading r = {};
    enum err err = open_reading(path, &r, ei);
    if (err == ERR_OK)
        err = index_db_exec(r.db, "BEGIN", ei); /* all tables at one moment */
    for (int i = 0; i < N_TABLES && err == ERR_OK; i++)
        if (tables[i].dump && is_in_version(i, r.version))
            err = dump_table(r.db, i, line, arg, ei);
    return err == ERR_OK ? ERR_OK : err_prefix(ei, err, "%s", path);
}

/* ---- recycling ---- */

enum err index_segment_use(const char *path, uint32_t segment_bytes,
                           void (*each)(void *arg, uint64_t segment, uint64_t bytes), void *arg,
                           struct errinfo *ei)
{
    if (segment_bytes == 0 || segment_bytes % INDEX_ZONE_BYTES != 0)
        return err_set(ei, ERR_INVALID, "segments of %u bytes are no multiple of a zone",
                       segment_bytes);
    SCOPED(reading_close) struct reading r = {};
    SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
    enum err err = open_reading(path, &r, ei);
    if (err != ERR_OK)
        return err;
    int rc = sqlite3_prepare_v2(r.db,
                                "SELECT number / ?1, sum(bytes) FROM zone WHERE bytes > 0"
                                " GROUP BY number / ?1 ORDER BY 1",
                                -1, &stmt, NULL);
    bind_i64(stmt, 1, segment_bytes / INDEX_ZONE_BYTES);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
            each(arg, column_u64(stmt, 0), column_u64(stmt, 1));
    }
    return rc == SQLITE_DONE ? ERR_OK : index_db_err(ei, r.db, rc, "segment use");
}

/* First those that lie where they were written, found by the range of ids that had bytes there;
 * then those that were moved there. A message that was moved is only in the second part. */
static const char messages_in[] =
    "SELECT id, extents FROM message WHERE is_kept AND NOT is_moved"
    " AND id >= (SELECT min(first) FROM zone WHERE number BETWEEN ?1 / ?3 AND (?2 - 1) / ?3)"
    " AND id <= (SELECT max(last) FROM zone WHERE number BETWEEN ?1 / ?3 AND (?2 - 1) / ?3)"
    " UNION ALL SELECT id, extents FROM message WHERE is_kept AND id IN"
    " (SELECT message FROM moved WHERE pos >= ?1 AND pos < ?2)";

static bool is_in(struct slice extents, uint64_t from_pos, uint64_t to_pos)
{
    struct reader r = reader_make(extents);
    struct record_extent extent;
    while (r.rest.n > 0 && record_extent_read(&r, NULL, &extent))
        if (extent.rec >= from_pos && extent.rec < to_pos && extent.bytes > 0)
            return true;
    return false;
}

enum err index_messages_in(const char *path, uint64_t from_pos, uint64_t to_pos, size_t max,
                           struct arena *a, struct index_place **ret, size_t *ret_n,
                           struct errinfo *ei)
{
    SCOPED(reading_close) struct reading r = {};
    SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
    enum err err = open_reading(path, &r, ei);
    if (err != ERR_OK)
        return err;
    struct index_place *places = ARENA_ARRAY(a, struct index_place, max);
    size_t n = 0;
    int rc = sqlite3_prepare_v2(r.db, messages_in, -1, &stmt, NULL);
    bind_u64(stmt, 1, from_pos);
    bind_u64(stmt, 2, to_pos);
    bind_i64(stmt, 3, INDEX_ZONE_BYTES);
    while ((rc == SQLITE_OK || rc == SQLITE_ROW) && n < max) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        struct slice extents = column_slice(stmt, 1);
        if (!is_in(extents, from_pos, to_pos))
            continue;
        struct index_place *place = &places[n++];
        place->message = column_u64(stmt, 0);
        if (!index_extents_unpack(extents, a, &place->extents, &place->n_extents))
            return err_set(ei, ERR_CORRUPT, "index: the place of a message is unreadable");
    }
    if (n < max && rc != SQLITE_DONE)
        return index_db_err(ei, r.db, rc, "messages of a segment");
    *ret = places;
    *ret_n = n;
    return ERR_OK;
}
