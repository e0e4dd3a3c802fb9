/* What is in the search, for comparing it with the mail: whose messages, and which. */
#include "store/words_int.h"

/* Up to `max` numbers of the first column. */
static enum err gather(struct words_file *f, enum words_sql sql, uint64_t *ret, size_t max,
                       size_t *ret_n, struct errinfo *ei)
{
    sqlite3_stmt *stmt = f->stmts[sql];
    size_t n = 0;
    int rc = stmt ? SQLITE_ROW : sqlite3_errcode(f->db);
    while (rc == SQLITE_ROW && n < max) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
            ret[n++] = column_u64(stmt, 0);
    }
    enum err err = rc == SQLITE_ROW || rc == SQLITE_DONE
                       ? ERR_OK
                       : index_db_err(ei, f->db, rc, words_sql_text(sql));
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    if (err == ERR_OK)
        *ret_n = n;
    return err;
}

enum err store_search_messages(struct store_search_writer *s, uint64_t account, uint64_t after,
                               uint64_t *ret, size_t max, size_t *ret_n, struct errinfo *ei)
{
    enum err err = words_ready(s, ei);
    if (err != ERR_OK)
        return err;
    sqlite3_stmt *stmt = words_stmt(&s->file, WORDS_SQL_ENTRIES_OF);
    bind_u64(stmt, 1, account);
    bind_u64(stmt, 2, after);
    return gather(&s->file, WORDS_SQL_ENTRIES_OF, ret, max, ret_n, ei);
}

enum err store_search_accounts(struct store_search_writer *s, uint64_t after, uint64_t *ret,
                               size_t max, size_t *ret_n, struct errinfo *ei)
{
    enum err err = words_ready(s, ei);
    if (err != ERR_OK)
        return err;
    bind_u64(words_stmt(&s->file, WORDS_SQL_ACCOUNTS), 1, after);
    return gather(&s->file, WORDS_SQL_ACCOUNTS, ret, max, ret_n, ei);
}
