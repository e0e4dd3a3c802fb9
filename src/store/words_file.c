/* The file of the search: its tables, opening it, its statements. docs/disk-format.md, "Search".
 *
 * Not here: what is written into it (store_search.c) or asked of it (store_search_reader.c). */
#include "store/words_int.h"

#include <stdio.h>

enum {
    WORDS_APPLICATION_ID = 0x53544653, /* "STFS" */
    WORDS_VERSION = 1,
};

static const char *const sql_text[WORDS_SQL_N] = {
#define WORDS_SQL(id, text) [WORDS_SQL_##id] = text,
#include "store/words_sql.def"
#undef WORDS_SQL
};

/* `word` keeps no text (content = '') and no lengths (columnsize = 0): hits are not ranked. The
 * prefix index is for beginnings of two letters, behind the tag; longer ones have few words in one
 * account, so an index of three would cost a third more of everything for little (measured:
 * docs/disk-format.md). hashsize: words sorted at once, more do not fit the processor's cache.
 * automerge: each word is rewritten less often than with SQLite's 4, for a few more places to look.
 * Numbers of accounts are never given again while words with their tag may be
 * there. */
static const char schema[] =
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, step INTEGER NOT NULL);"
    "INSERT INTO meta VALUES (1, 0, 0, 134217728, 134217727, 0);"
    "CREATE TABLE account (number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " account INTEGER NOT NULL UNIQUE, is_late INTEGER NOT NULL);"
    "CREATE TABLE entry (row INTEGER PRIMARY KEY, number INTEGER NOT NULL,"
    " message INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX entry_message ON entry (number, message);"
    "CREATE TABLE removed (row INTEGER PRIMARY KEY, number INTEGER NOT NULL,"
    " time INTEGER NOT NULL, is_marked INTEGER NOT NULL);"
    "CREATE VIRTUAL TABLE word USING fts5 (\"from\", \"to\", cc, bcc, subject, body, names,"
    " content = '', columnsize = 0, prefix = '6', tokenize = 'staffetta');"
    "INSERT INTO word (word, rank) VALUES ('hashsize', 8388608);"
    "INSERT INTO word (word, rank) VALUES ('automerge', 8);";

static_assert(WORDS_ROW_MIDDLE == 134217728, "the schema says where rows begin");
static_assert(WORDS_TAG_BYTES == 4, "the schema counts the tag's letters in its prefixes");

const char *words_sql_text(enum words_sql sql)
{
    return sql_text[sql];
}

/* Anything that is not exactly ours is of no use: the file can be made anew. */
static enum err check_version(sqlite3 *db, bool *ret_is_empty, struct errinfo *ei)
{
    int64_t version = 0, application = 0, n_tables = 0;
    enum err err = index_db_number(db, "PRAGMA user_version", &version, ei);
    if (err == ERR_OK)
        err = index_db_number(db, "PRAGMA application_id", &application, ei);
    if (err == ERR_OK)
        err = index_db_number(db, "SELECT count(*) FROM sqlite_schema", &n_tables, ei);
    if (err != ERR_OK)
        return err;
    *ret_is_empty = version == 0 && application == 0 && n_tables == 0;
    if (*ret_is_empty || (application == WORDS_APPLICATION_ID && version == WORDS_VERSION))
        return ERR_OK;
    if (application != WORDS_APPLICATION_ID)
        return err_set(ei, ERR_CORRUPT, "it is no search file of Staffetta");
    return err_set(ei, ERR_CORRUPT, "another version of Staffetta wrote it (%lld, this one has %d)",
                   (long long)version, WORDS_VERSION);
}

enum err words_file_open(struct words_file *f, const char *path, int flags, bool *ret_is_empty,
                         struct errinfo *ei)
{
    enum err err = index_db_open(path, flags, &f->db, ei);
    if (err == ERR_OK)
        err = check_version(f->db, ret_is_empty, ei);
    if (err == ERR_OK)
        err = words_register(f->db, &f->tag, ei);
    if (err != ERR_OK)
        words_file_close(f);
    return err;
}

void words_file_close(struct words_file *f)
{
    for (int i = 0; i < WORDS_SQL_N; i++)
        index_db_finalize(&f->stmts[i]);
    index_db_close(&f->db);
}

enum err words_file_create_tables(struct words_file *f, struct errinfo *ei)
{
    char last[128];
    (void)snprintf(last, sizeof(last),
                   "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                   WORDS_APPLICATION_ID, WORDS_VERSION);
    enum err err = index_db_exec(f->db, "BEGIN IMMEDIATE", ei);
    if (err == ERR_OK)
        err = index_db_exec(f->db, schema, ei);
    if (err == ERR_OK)
        err = index_db_exec(f->db, last, ei);
    if (err != ERR_OK && !sqlite3_get_autocommit(f->db))
        (void)index_db_exec(f->db, "ROLLBACK", NULL); /* closing would do the same */
    return err;
}

sqlite3_stmt *words_stmt(struct words_file *f, enum words_sql sql)
{
    if (!f->stmts[sql] && sqlite3_prepare_v3(f->db, sql_text[sql], -1, SQLITE_PREPARE_PERSISTENT,
                                             &f->stmts[sql], NULL) != SQLITE_OK)
        f->stmts[sql] = NULL;
    return f->stmts[sql];
}

static int step(struct words_file *f, enum words_sql sql)
{
    return f->stmts[sql] ? sqlite3_step(f->stmts[sql]) : sqlite3_errcode(f->db);
}

static void done(struct words_file *f, enum words_sql sql)
{
    (void)sqlite3_reset(f->stmts[sql]); /* repeats the error of the step */
    (void)sqlite3_clear_bindings(f->stmts[sql]);
}

enum err words_run(struct words_file *f, enum words_sql sql, struct errinfo *ei)
{
    int rc = step(f, sql);
    enum err err =
        rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_OK : index_db_err(ei, f->db, rc, sql_text[sql]);
    done(f, sql);
    return err;
}

enum err words_numbers(struct words_file *f, enum words_sql sql, int64_t *ret, int n,
                       bool *ret_is_row, struct errinfo *ei)
{
    int rc = step(f, sql);
    bool is_row = rc == SQLITE_ROW;
    for (int i = 0; i < n && is_row; i++)
        ret[i] = sqlite3_column_int64(f->stmts[sql], i);
    /* To the end: a statement that writes is done only then. */
    while (rc == SQLITE_ROW)
        rc = step(f, sql);
    enum err err = rc == SQLITE_DONE ? ERR_OK : index_db_err(ei, f->db, rc, sql_text[sql]);
    done(f, sql);
    if (ret_is_row)
        *ret_is_row = is_row;
    else if (err == ERR_OK && !is_row)
        return err_set(ei, ERR_CORRUPT, "search: a row is gone (%.60s)", sql_text[sql]);
    return err;
}

enum err words_meta_get(struct words_file *f, struct words_meta *ret, struct errinfo *ei)
{
    int64_t v[5];
    (void)words_stmt(f, WORDS_SQL_META_GET);
    enum err err = words_numbers(f, WORDS_SQL_META_GET, v, 5, NULL, ei);
    if (err != ERR_OK)
        return err;
    if (v[4] < WORDS_STEP_IDLE || v[4] > WORDS_STEP_TRUNCATE)
        return err_set(ei, ERR_CORRUPT, "search: step %lld is none", (long long)v[4]);
    *ret = (struct words_meta){
        .first = (uint64_t)v[0],
        .last = (uint64_t)v[1],
        .low = v[2],
        .high = v[3],
        .step = (enum words_step)v[4],
    };
    return ERR_OK;
}
