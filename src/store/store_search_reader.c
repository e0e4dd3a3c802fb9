/* Questions to the search: a read-only connection a thread, which moves over to a new file when the
 * writer has made one. */
#include "store/words_int.h"

#include <errno.h>
#include <sys/stat.h>

enum { CACHE_KIB = 4 << 10 };

struct store_search_reader {
    struct words_file file;
    char path[WORDS_PATH_MAX];
    dev_t device; /* of the file that is open, as it was found before opening */
    ino_t inode;
    bool is_open;
};

static enum err open_reading(struct store_search_reader *r, struct errinfo *ei)
{
    bool is_empty = false;
    char sql[80];
    enum err err = words_file_open(&r->file, r->path, SQLITE_OPEN_READONLY, &is_empty, ei);
    if (err != ERR_OK)
        return err;
    r->is_open = true;
    if (is_empty)
        return err_set(ei, ERR_RETRY, "search: the file is being made");
    (void)sqlite3_snprintf(sizeof(sql), sql, "PRAGMA query_only = 1; PRAGMA cache_size = -%d",
                           CACHE_KIB);
    return index_db_exec(r->file.db, sql, ei);
}

static void close_file(struct store_search_reader *r)
{
    if (r->is_open)
        words_file_close(&r->file);
    r->is_open = false;
}

/* The file that has the name now. Looked at before opening: should it be replaced in between, the
 * next question notices. */
static enum err follow(struct store_search_reader *r, struct errinfo *ei)
{
    struct stat st;
    if (stat(r->path, &st) != 0) {
        close_file(r);
        return err_set(ei, errno == ENOENT ? ERR_RETRY : ERR_IO, "search: %s", strerror(errno));
    }
    if (r->is_open && st.st_ino == r->inode && st.st_dev == r->device)
        return ERR_OK;
    close_file(r);
    r->inode = st.st_ino;
    r->device = st.st_dev;
    enum err err = open_reading(r, ei);
    if (err != ERR_OK)
        close_file(r);
    return err;
}

enum err store_search_reader_open(const char *dir, struct store_search_reader **ret,
                                  struct errinfo *ei)
{
    struct store_search_reader *r = mem_new(sizeof(*r));
    enum err err = words_path(dir, r->path, ei);
    if (err == ERR_OK)
        err = follow(r, ei);
    if (err != ERR_OK)
        store_search_reader_close(&r);
    else
        *ret = r;
    return err;
}

void store_search_reader_close(struct store_search_reader **address)
{
    if (!*address)
        return;
    close_file(*address);
    mem_free(address);
}

enum err store_search_reader_marks(struct store_search_reader *r, struct store_search_marks *ret,
                                   struct errinfo *ei)
{
    struct words_meta meta;
    enum err err = follow(r, ei);
    if (err == ERR_OK)
        err = words_meta_get(&r->file, &meta, ei);
    if (err == ERR_OK)
        *ret = (struct store_search_marks){meta.first, meta.last};
    return err;
}

/* ---- asking ---- */

struct bounds {
    int64_t number;       /* of the account */
    int64_t above, below; /* rows between these two */
    int64_t min, max;     /* messages from .. to */
    bool is_nothing;      /* no such account, or nothing in the interval */
};

static enum err bound(struct words_file *f, enum words_sql sql, const struct bounds *b,
                      int64_t message, int64_t *ret, bool *ret_is_there, struct errinfo *ei)
{
    sqlite3_stmt *stmt = words_stmt(f, sql);
    bind_i64(stmt, 1, b->number);
    bind_i64(stmt, 2, message);
    return words_numbers(f, sql, ret, 1, ret_is_there, ei);
}

/* Rows are in the order of messages, so an interval of messages is one of rows: unless something
 * was added to the account late. */
static enum err find_bounds(struct words_file *f, const struct store_search_question *q,
                            struct bounds *b, struct errinfo *ei)
{
    int64_t v[2], row = 0;
    bool is_there = false;
    b->above = INT64_MIN;
    b->below = q->before ? (int64_t)q->before : INT64_MAX;
    b->min = (int64_t)q->min;
    b->max = q->max && q->max < INT64_MAX ? (int64_t)q->max : INT64_MAX;
    bind_u64(words_stmt(f, WORDS_SQL_ACCOUNT_GET), 1, q->account);
    enum err err = words_numbers(f, WORDS_SQL_ACCOUNT_GET, v, 2, &is_there, ei);
    b->is_nothing = !is_there;
    if (err != ERR_OK || !is_there)
        return err;
    b->number = v[0];
    if (v[0] < 0 || v[0] >= WORDS_ACCOUNTS_MAX)
        return err_set(ei, ERR_CORRUPT, "search: number %lld is no account's", (long long)v[0]);
    if (v[1])
        return ERR_OK;
    if (q->min) {
        err = bound(f, WORDS_SQL_ROW_FROM, b, b->min, &row, &is_there, ei);
        b->is_nothing = !is_there;
        b->above = row - 1;
    }
    if (err == ERR_OK && q->max && !b->is_nothing) {
        err = bound(f, WORDS_SQL_ROW_TO, b, b->max, &row, &is_there, ei);
        b->is_nothing = !is_there;
        b->below = row < b->below ? row + 1 : b->below;
    }
    return err;
}

static enum err read_hits(struct words_file *f, const struct store_search_question *q,
                          struct store_search_hit *ret, size_t *ret_n, struct errinfo *ei)
{
    sqlite3_stmt *stmt = f->stmts[WORDS_SQL_ASK];
    size_t n = 0;
    int rc = stmt ? SQLITE_ROW : sqlite3_errcode(f->db);
    while (rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        must(n < q->limit);
        ret[n++] = (struct store_search_hit){column_u64(stmt, 0), column_u64(stmt, 1)};
        if (q->deadline && mono_now() >= q->deadline)
            return err_set(ei, ERR_RETRY, "search: the time is over");
    }
    if (rc == SQLITE_DONE) {
        *ret_n = n;
        return ERR_OK;
    }
    /* The statement was tested: what is left is the expression. */
    if (stmt && (rc & 0xff) == SQLITE_ERROR)
        return err_set(ei, ERR_INVALID, "search: %s", sqlite3_errmsg(f->db));
    return index_db_err(ei, f->db, rc, words_sql_text(WORDS_SQL_ASK));
}

static enum err ask(struct words_file *f, const struct store_search_question *q,
                    struct store_search_hit *ret, size_t *ret_n, struct errinfo *ei)
{
    struct bounds b = {};
    enum err err = find_bounds(f, q, &b, ei);
    if (err != ERR_OK)
        return err;
    if (b.is_nothing) {
        *ret_n = 0;
        return ERR_OK;
    }
    words_tag_set(&f->tag, (uint64_t)b.number);
    sqlite3_stmt *stmt = words_stmt(f, WORDS_SQL_ASK);
    (void)sqlite3_bind_text64(stmt, 1, q->expression.p, q->expression.n, SQLITE_STATIC,
                              SQLITE_UTF8);
    bind_i64(stmt, 2, b.above);
    bind_i64(stmt, 3, b.below);
    bind_i64(stmt, 4, b.number);
    bind_i64(stmt, 5, b.min);
    bind_i64(stmt, 6, b.max);
    bind_i64(stmt, 7, q->limit);
    err = read_hits(f, q, ret, ret_n, ei);
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    (void)sqlite3_clear_bindings(stmt);
    return err;
}

enum err store_search_ask(struct store_search_reader *r, const struct store_search_question *q,
                          struct store_search_hit *ret, size_t *ret_n, struct errinfo *ei)
{
    if (q->limit == 0 || q->limit > STORE_SEARCH_LIMIT_MAX)
        return err_set(ei, ERR_INVALID, "search: 1 to %d hits a question", STORE_SEARCH_LIMIT_MAX);
    if (q->expression.n == 0 || q->expression.n > STORE_SEARCH_EXPRESSION_MAX ||
        slice_find(q->expression, '\0') >= 0)
        return err_set(ei, ERR_INVALID, "search: no such expression");
    enum err err = follow(r, ei);
    if (err == ERR_OK)
        err = index_db_exec(r->file.db, "BEGIN", ei); /* all of it sees one moment */
    if (err != ERR_OK)
        return err;
    err = ask(&r->file, q, ret, ret_n, ei);
    (void)index_db_exec(r->file.db, "ROLLBACK", NULL); /* reading only: nothing can be lost */
    return err;
}
