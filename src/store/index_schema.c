/* The tables of the index and opening a connection to them. docs/disk-format.md, "Index tables".
 *
 * Not here: what is written into them (index_apply.c and its neighbours) or read (store_reader.c).
 */
#include "store/index_db_int.h"

#include <pthread.h>
#include <stdio.h>

enum { APPLICATION_ID = 0x53544146 }; /* "STAF": another program's file is not touched */

/* One row a message, one row a recipient, and as few secondary indexes as the questions allow:
 * - ledger_open: what the queue loads, out of millions of final rows;
 * - message_kept: what retention may drop, out of everything that was dropped or stays.
 * - email_changed: what an account's readers have not seen; mail that merely came is not in it
 *   (index_email.c);
 * - email_gone: tombstones, to find those that may go.
 * They are partial, so that a row leaves them when it is done, or never comes into them. Facts are
 * packed as in record.def.
 *
 * What each version added to the one before it. A new index takes all steps, an older one those
 * that it lacks, in one transaction; then replay goes on where the index was. That loses nothing,
 * since a table comes together with the records that fill it: what an older index has applied was
 * written when there were none of them, so its new table is empty by right. A step that puts tables
 * in the place of others moves their rows, to what applying the same records would give (`fill`).
 * The other way, making it anew, would lose something: segments that were used again are only in
 * the index and its snapshot, and the snapshot is of the same older version. */
static const struct {
    const char *tables;
    enum err (*fill)(sqlite3 *db, struct errinfo *ei); /* may be NULL */
} versions[INDEX_VERSION] = {
    /* 1 */
    {
        "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL,"
        " last_id INTEGER NOT NULL, n_odd INTEGER NOT NULL, unanswered BLOB NOT NULL);"
        "INSERT INTO meta VALUES (1, 0, 0, 0, x'');"
        "CREATE TABLE message (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL,"
        " n_accepted INTEGER NOT NULL, is_kept INTEGER NOT NULL, in_mailbox INTEGER NOT NULL,"
        " n_entries INTEGER NOT NULL, is_moved INTEGER NOT NULL, received INTEGER NOT NULL,"
        " facts BLOB NOT NULL, extents BLOB);"
        "CREATE INDEX message_kept ON message (in_mailbox) WHERE is_kept;"
        "CREATE TABLE fields (message INTEGER PRIMARY KEY, facts BLOB NOT NULL);"
        "CREATE TABLE ledger (message INTEGER NOT NULL, rcpt INTEGER NOT NULL, tenant INTEGER NOT "
        "NULL,"
        " disposition INTEGER NOT NULL, is_child INTEGER NOT NULL, is_open INTEGER NOT NULL,"
        " is_attempting INTEGER NOT NULL, is_double INTEGER NOT NULL, begun INTEGER NOT NULL,"
        " destination BLOB NOT NULL, last_begun INTEGER NOT NULL, last_destination BLOB NOT NULL,"
        " facts BLOB NOT NULL, last BLOB, PRIMARY KEY (message, rcpt)) WITHOUT ROWID;"
        "CREATE INDEX ledger_open ON ledger (message, rcpt) WHERE is_open;"
        "CREATE TABLE double (message INTEGER NOT NULL, rcpt INTEGER NOT NULL,"
        " PRIMARY KEY (message, rcpt)) WITHOUT ROWID;"
        "CREATE TABLE history (message INTEGER NOT NULL, pos INTEGER NOT NULL, n INTEGER NOT NULL,"
        " rcpt INTEGER NOT NULL, begun INTEGER NOT NULL, destination BLOB NOT NULL,"
        " ended INTEGER NOT NULL, last BLOB, PRIMARY KEY (message, pos, n)) WITHOUT ROWID;"
        "CREATE TABLE unanswered (message INTEGER PRIMARY KEY);"
        "CREATE TABLE object (kind INTEGER NOT NULL, id INTEGER NOT NULL, tenant INTEGER NOT NULL,"
        " facts BLOB NOT NULL);"
        "CREATE UNIQUE INDEX object_id ON object (kind, id);"
        "CREATE TABLE mailbox (id INTEGER PRIMARY KEY, person INTEGER NOT NULL,"
        " tenant INTEGER NOT NULL, uid_next INTEGER NOT NULL, modseq INTEGER NOT NULL,"
        " facts BLOB NOT NULL);"
        "CREATE TABLE entry (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, message INTEGER NOT "
        "NULL,"
        " modseq INTEGER NOT NULL, flags INTEGER NOT NULL, thread INTEGER NOT NULL,"
        " PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;"
        "CREATE TABLE thread (person INTEGER NOT NULL, hash INTEGER NOT NULL, thread INTEGER NOT "
        "NULL,"
        " PRIMARY KEY (person, hash)) WITHOUT ROWID;"
        "CREATE TABLE zone (number INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, first INTEGER NOT "
        "NULL,"
        " last INTEGER NOT NULL);"
        "CREATE TABLE moved (pos INTEGER NOT NULL, message INTEGER NOT NULL,"
        " PRIMARY KEY (pos, message)) WITHOUT ROWID;"
        "CREATE TABLE loose (rec INTEGER PRIMARY KEY, message INTEGER NOT NULL, bytes INTEGER NOT "
        "NULL);"
        "CREATE TABLE event (number INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
        " tenant INTEGER NOT NULL, facts BLOB NOT NULL);"
        "CREATE INDEX event_time ON event (time);"
        "CREATE TABLE aside (pos INTEGER PRIMARY KEY, facts BLOB NOT NULL);",
        NULL,
    },
    /* 2: files of version 1 may have some of these already, which came before anybody counted. */
    {
        "CREATE TABLE IF NOT EXISTS thread_new (person INTEGER NOT NULL, hash INTEGER NOT NULL,"
        " thread INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS evidence (primary_id INTEGER NOT NULL, first INTEGER NOT NULL,"
        " pos INTEGER NOT NULL, n INTEGER NOT NULL, facts BLOB NOT NULL,"
        " PRIMARY KEY (primary_id, first, pos, n)) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS high (refusal INTEGER NOT NULL, hour INTEGER NOT NULL, facts "
        "BLOB "
        "NOT NULL,"
        " PRIMARY KEY (refusal, hour)) WITHOUT ROWID;",
        NULL,
    },
    /* 3: accounts count instead of mailboxes; emails instead of entries. */
    {
        "ALTER TABLE message RENAME COLUMN in_mailbox TO has_holder;"
        "ALTER TABLE message RENAME COLUMN n_entries TO n_holders;"
        "ALTER TABLE mailbox RENAME TO mailbox_v2;"
        "CREATE TABLE account (person INTEGER PRIMARY KEY, tenant INTEGER NOT NULL,"
        " modseq INTEGER NOT NULL, floor INTEGER NOT NULL, inbox INTEGER NOT NULL);"
        "CREATE TABLE mailbox (id INTEGER PRIMARY KEY, person INTEGER NOT NULL,"
        " tenant INTEGER NOT NULL, modseq INTEGER NOT NULL, is_removed INTEGER NOT NULL,"
        " facts BLOB NOT NULL);"
        "CREATE INDEX mailbox_person ON mailbox (person);"
        "CREATE TABLE email (account INTEGER NOT NULL, message INTEGER NOT NULL,"
        " thread INTEGER NOT NULL, modseq INTEGER NOT NULL, created INTEGER NOT NULL,"
        " counted INTEGER NOT NULL, received INTEGER NOT NULL, bytes INTEGER NOT NULL,"
        " flags INTEGER NOT NULL, is_gone INTEGER NOT NULL, is_changed INTEGER NOT NULL,"
        " lists NOT NULL, PRIMARY KEY (account, message)) WITHOUT ROWID;"
        "CREATE INDEX email_changed ON email (account, modseq) WHERE is_changed;"
        "CREATE TABLE item (account INTEGER NOT NULL, kind INTEGER NOT NULL, id INTEGER NOT NULL,"
        " modseq INTEGER NOT NULL, is_gone INTEGER NOT NULL, body BLOB NOT NULL);"
        "CREATE UNIQUE INDEX item_id ON item (account, kind, id);"
        "CREATE INDEX item_kind ON item (kind, account, id);",
        index_migrate_accounts,
    },
    /* 4: an item says when it came. */
    {
        "ALTER TABLE item ADD COLUMN created INTEGER NOT NULL DEFAULT 0;",
        NULL,
    },
    /* 5: tombstones go. */
    {
        "CREATE TABLE mark (person INTEGER PRIMARY KEY, modseq INTEGER NOT NULL,"
        " time INTEGER NOT NULL);"
        "CREATE INDEX email_gone ON email (account, modseq) WHERE is_gone;",
        NULL,
    },
};

/* SQLite's count of all its memory takes a lock at each allocation and nobody asks for it. */
static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* refused when it runs already: no matter */
}

enum err index_db_open(const char *path, int flags, sqlite3 **ret, struct errinfo *ei)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure);
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK) {
        enum err err = index_db_err(ei, db, rc, "open the index");
        (void)sqlite3_close(db);
        return err;
    }
    (void)sqlite3_busy_timeout(db, INDEX_BUSY_MS);
    /* The file may have been damaged or written by somebody else: no functions from its schema. */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* Only the writer checkpoints, and when it says so. */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    *ret = db;
    return ERR_OK;
}

void index_db_close(sqlite3 **db)
{
    (void)sqlite3_close_v2(*db);
    *db = NULL;
}

enum err index_db_exec(sqlite3 *db, const char *sql, struct errinfo *ei)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : index_db_err(ei, db, rc, sql);
}

enum err index_db_number(sqlite3 *db, const char *sql, int64_t *ret, struct errinfo *ei)
{
    SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return index_db_err(ei, db, rc, sql);
    *ret = sqlite3_column_int64(stmt, 0);
    return ERR_OK;
}

void index_db_finalize(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt); /* repeats the error of the last step, which was seen */
    *stmt = NULL;
}

enum err index_db_err(struct errinfo *ei, sqlite3 *db, int rc, const char *what)
{
    const char *why = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        must(rc != SQLITE_NOMEM && "memory for SQLite");
        break;
    case SQLITE_FULL:
        return err_set(ei, ERR_FULL, "index: no room on the disk (%.100s)", what);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return err_set(ei, ERR_IO, "index: %s (%d; %.100s)", why, rc, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        return err_set(ei, ERR_RETRY, "index: %s (%.100s)", why, what);
    }
    /* CORRUPT, NOTADB, and whatever else a damaged file makes of statements that were tested:
     * a missing table, a broken constraint. */
    return err_set(ei, ERR_CORRUPT, "index: %s (%d; %.100s)", why, rc, what);
}

enum err index_db_version(sqlite3 *db, int *ret, struct errinfo *ei)
{
    int64_t version = 0, application = 0, n_tables = 0;
    enum err err = index_db_number(db, "PRAGMA user_version", &version, ei);
    if (err == ERR_OK)
        err = index_db_number(db, "PRAGMA application_id", &application, ei);
    if (err == ERR_OK)
        err = index_db_number(db, "SELECT count(*) FROM sqlite_schema", &n_tables, ei);
    if (err != ERR_OK)
        return err;
    if (version == 0 && application == 0 && n_tables == 0) {
        *ret = 0;
        return ERR_OK;
    }
    if (application != APPLICATION_ID)
        return err_set(ei, ERR_CORRUPT, "this file is no index of Staffetta");
    if (version > INDEX_VERSION)
        return err_set(
            ei, ERR_INVALID,
            "this index was written by a newer version of Staffetta (%lld, this one knows "
            "%d); install that version or run `staffetta store rebuild`",
            (long long)version, INDEX_VERSION);
    if (version < 1)
        return err_set(ei, ERR_CORRUPT, "index: version %lld is none that there was",
                       (long long)version);
    *ret = (int)version;
    return ERR_OK;
}

enum err index_db_upgrade(sqlite3 *db, int version, struct errinfo *ei)
{
    char last[128];
    (void)snprintf(last, sizeof(last),
                   "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID,
                   INDEX_VERSION);
    enum err err = index_db_exec(db, "BEGIN IMMEDIATE", ei);
    for (int v = version; v < INDEX_VERSION && err == ERR_OK; v++) {
        err = index_db_exec(db, versions[v].tables, ei);
        if (err == ERR_OK && versions[v].fill)
            err = versions[v].fill(db, ei);
    }
    if (err == ERR_OK)
        err = index_db_exec(db, last, ei);
    if (err != ERR_OK && !sqlite3_get_autocommit(db))
        (void)index_db_exec(db, "ROLLBACK", NULL); /* closing would do the same */
    return err;
}
