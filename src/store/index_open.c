/* The life of the writing connection: open, transactions, checkpoints.
 *
 * What is in memory beside SQLite (meta, unanswered messages, use of zones, new threads) belongs to
 * the transaction: commit writes it, abort reads it again. */
#include "store/index_db_int.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *const sql_text[SQL_N] = {
#define INDEX_SQL(id, text) [SQL_##id] = text,
#include "store/index_sql.def"
#undef INDEX_SQL
};

/* ---- statements ---- */

sqlite3_stmt *index_stmt(struct index *x, enum index_sql sql)
{
    if (!x->stmts[sql]) {
        int rc = sqlite3_prepare_v3(x->db, sql_text[sql], -1, SQLITE_PREPARE_PERSISTENT,
                                    &x->stmts[sql], NULL);
        if (rc != SQLITE_OK) /* binding does nothing then, and the step fails */
            x->stmts[sql] = NULL;
    }
    return x->stmts[sql];
}

static int step(struct index *x, enum index_sql sql)
{
    sqlite3_stmt *stmt = x->stmts[sql];
    return stmt ? sqlite3_step(stmt) : sqlite3_errcode(x->db); /* of preparing it */
}

/* After a failed step the transaction may be half done or gone: it must not be committed. */
enum err index_failed(struct index *x, int rc, enum index_sql sql, struct errinfo *ei)
{
    enum err err = index_db_err(ei, x->db, rc, sql_text[sql]);
    if (x->failed == ERR_OK)
        x->failed = err;
    return err;
}

enum err index_run(struct index *x, enum index_sql sql, int *ret_n, struct errinfo *ei)
{
    int rc = step(x, sql);
    if (rc == SQLITE_DONE && ret_n)
        *ret_n = sqlite3_changes(x->db);
    enum err err = rc == SQLITE_DONE ? ERR_OK : index_failed(x, rc, sql, ei);
    index_done(x, sql);
    return err;
}

enum err index_row(struct index *x, enum index_sql sql, bool *ret_is_row, struct errinfo *ei)
{
    int rc = step(x, sql);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        enum err err = index_failed(x, rc, sql, ei);
        index_done(x, sql);
        return err;
    }
    *ret_is_row = rc == SQLITE_ROW;
    return ERR_OK;
}

void index_done(struct index *x, enum index_sql sql)
{
    (void)sqlite3_reset(x->stmts[sql]); /* repeats the error of the step */
}

/* ---- opening ---- */

enum err index_db_sync_file(const char *path, struct errinfo *ei)
{
    SCOPED(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_set(ei, ERR_IO, "sync %s: %s", path, strerror(errno));
    return ERR_OK;
}

enum err index_db_sync_folder(const char *path, struct errinfo *ei)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    int n = slash ? (int)(slash - path) : 1;
    int written = snprintf(folder, sizeof(folder), "%.*s", n > 0 ? n : 1, slash ? path : ".");
    if (written < 0 || (size_t)written >= sizeof(folder))
        return err_set(ei, ERR_INVALID, "the path of the index is too long");
    return index_db_sync_file(folder, ei);
}

static enum err load_meta(struct index *x, struct errinfo *ei)
{
    bool is_row = false;
    (void)index_stmt(x, SQL_META_GET);
    enum err err = index_row(x, SQL_META_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    sqlite3_stmt *stmt = x->stmts[SQL_META_GET];
    if (is_row) {
        x->applied = column_u64(stmt, 0);
        x->last_id = column_u64(stmt, 1);
        x->n_odd = column_u64(stmt, 2);
        index_answer_load(x, column_slice(stmt, 3));
    }
    index_done(x, SQL_META_GET);
    return is_row ? ERR_OK : err_set(ei, ERR_CORRUPT, "index: its meta row is gone");
}

static enum err count_events(struct index *x, struct errinfo *ei)
{
    bool is_row = false;
    (void)index_stmt(x, SQL_EVENT_COUNT);
    enum err err = index_row(x, SQL_EVENT_COUNT, &is_row, ei);
    if (err != ERR_OK)
        return err;
    x->n_events = is_row ? column_u64(x->stmts[SQL_EVENT_COUNT], 0) : 0;
    index_done(x, SQL_EVENT_COUNT);
    return ERR_OK;
}

/* All of it that is in memory. */
static enum err load(struct index *x, struct errinfo *ei)
{
    enum err err = load_meta(x, ei);
    if (err == ERR_OK)
        err = count_events(x, ei);
    return err == ERR_OK ? index_thread_load(x, ei) : err;
}

/* synchronous=NORMAL: a power cut may take the last transactions back, never tear one; the log
 * has them. The page size counts only for a new file and has to stand before everything else. */
static enum err configure(struct index *x, struct errinfo *ei)
{
    char sql[300];
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                   " PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d;"
                   " PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0",
                   INDEX_PAGE_BYTES, INDEX_WAL_BYTES * 2, INDEX_CACHE_KIB);
    enum err err = index_db_exec(x->db, sql, ei);
    int64_t page_bytes = 0;
    if (err == ERR_OK)
        err = index_db_number(x->db, "PRAGMA page_size", &page_bytes, ei);
    if (err != ERR_OK)
        return err;
    x->step_pages = page_bytes > 0 ? (int)(INDEX_WAL_BYTES / page_bytes) : 1;
    x->checkpoint_pages = x->step_pages;
    return ERR_OK;
}

static int note_wal(void *arg, sqlite3 *, const char *, int n_pages)
{
    struct index *x = arg;
    x->wal_pages = n_pages;
    return SQLITE_OK;
}

static enum err open_tables(struct index *x, const char *path, struct errinfo *ei)
{
    int version = INDEX_VERSION;
    enum err err = index_db_version(x->db, &version, ei);
    if (err == ERR_OK)
        err = configure(x, ei);
    if (err == ERR_OK && version < INDEX_VERSION)
        err = index_db_upgrade(x->db, version, ei);
    if (err == ERR_OK && version == 0 && strcmp(path, ":memory:") != 0)
        err = index_db_sync_folder(path, ei);
    if (err == ERR_OK)
        err = index_db_check_tables(x->db, INDEX_VERSION, ei);
    x->old_version = version < INDEX_VERSION ? version : 0;
    if (err == ERR_OK)
        err = load(x, ei);
    /* After the pragmas: wal_autocheckpoint = 0 takes the hook away. */
    (void)sqlite3_wal_hook(x->db, note_wal, x);
    return err;
}

enum err index_open(const char *path, struct index **ret, struct errinfo *ei)
{
    struct index *x = mem_new(sizeof(*x));
    x->arena = arena_create(INDEX_ARENA_BYTES);
    x->row = arena_create(INDEX_ROW_BYTES);
    x->pack = buf_make(INDEX_PACKED_MAX);
    x->pack2 = buf_make(INDEX_PACKED_MAX);
    x->zones = map_create();
    enum err err = index_db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &x->db, ei);
    if (err == ERR_OK)
        err = open_tables(x, path, ei);
    if (err != ERR_OK) {
        index_close(&x);
        return err_prefix(ei, err, "%s", path);
    }
    *ret = x;
    return ERR_OK;
}

void index_close(struct index **address)
{
    struct index *x = *address;
    if (!x)
        return;
    if (x->db) {
        index_abort(x);
        (void)sqlite3_wal_checkpoint_v2(x->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    for (int i = 0; i < SQL_N; i++)
        index_db_finalize(&x->stmts[i]);
    index_db_close(&x->db);
    index_place_forget(x);
    index_thread_forget(x);
    index_mailbox_forget(x);
    map_destroy(&x->zones);
    buf_finish(&x->pack);
    buf_finish(&x->pack2);
    arena_destroy(&x->arena);
    arena_destroy(&x->row);
    mem_free(&x->unanswered);
    mem_free(address);
}

uint64_t index_applied(const struct index *x)
{
    return x->applied;
}

uint64_t index_last_id(const struct index *x)
{
    return x->last_id;
}

int index_old_version(const struct index *x)
{
    return x->old_version;
}

uint64_t index_n_odd(const struct index *x)
{
    return x->n_odd;
}

/* ---- transactions ---- */

enum err index_begin(struct index *x, struct errinfo *ei)
{
    must(!x->is_begun);
    if (x->is_stale) {
        enum err err = load(x, ei);
        if (err != ERR_OK)
            return err;
        x->is_stale = false;
    }
    (void)index_stmt(x, SQL_BEGIN);
    enum err err = index_run(x, SQL_BEGIN, NULL, ei);
    x->failed = ERR_OK;
    x->is_begun = err == ERR_OK;
    return err;
}

static enum err write_meta(struct index *x, uint64_t applied, struct errinfo *ei)
{
    if (x->is_unanswered_changed) {
        buf_clear(&x->pack);
        index_answer_pack(x, &x->pack);
        bind_blob(index_stmt(x, SQL_META_UNANSWERED), 1, buf_slice(&x->pack));
        enum err err = index_run(x, SQL_META_UNANSWERED, NULL, ei);
        if (err != ERR_OK)
            return err;
    }
    sqlite3_stmt *stmt = index_stmt(x, SQL_META_SET);
    bind_u64(stmt, 1, applied);
    bind_u64(stmt, 2, x->last_id);
    bind_u64(stmt, 3, x->n_odd);
    return index_run(x, SQL_META_SET, NULL, ei);
}

/* The copying and the two syncs are what makes single commits slow, hence rarely. A reader may stop
 * it half-way: then it is tried again after as much has been written once more, not at once. */
static void checkpoint_if_large(struct index *x)
{
    if (x->wal_pages < x->checkpoint_pages) {
        if (x->wal_pages < x->step_pages)
            x->checkpoint_pages = x->step_pages; /* the WAL began anew */
        return;
    }
    (void)sqlite3_wal_checkpoint_v2(x->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    /* Failing changes nothing: the WAL has everything, and a disk that fails is met by the log. */
    x->checkpoint_pages = x->wal_pages + x->step_pages;
}

enum err index_commit(struct index *x, uint64_t applied, struct errinfo *ei)
{
    must(x->is_begun && applied >= x->applied);
    if (x->failed != ERR_OK)
        return err_set(ei, x->failed, "index: this transaction has failed");
    enum err err = index_place_commit(x, ei);
    if (err == ERR_OK)
        err = index_thread_commit(x, ei);
    if (err == ERR_OK)
        err = write_meta(x, applied, ei);
    (void)index_stmt(x, SQL_COMMIT);
    if (err == ERR_OK)
        err = index_run(x, SQL_COMMIT, NULL, ei);
    if (err != ERR_OK)
        return err;
    x->applied = applied;
    x->is_begun = false;
    x->is_unanswered_changed = false;
    checkpoint_if_large(x);
    return ERR_OK;
}

void index_abort(struct index *x)
{
    if (!x->is_begun)
        return;
    x->is_begun = false;
    for (int i = 0; i < SQL_N; i++)
        (void)sqlite3_reset(x->stmts[i]);
    (void)index_stmt(x, SQL_ROLLBACK);
    if (!sqlite3_get_autocommit(x->db)) /* SQLite may have rolled back by itself */
        (void)index_run(x, SQL_ROLLBACK, NULL, NULL);
    index_place_forget(x);
    index_mailbox_forget(x); /* what it knows may have been undone */
    x->is_unanswered_changed = false;
    x->failed = ERR_OK;
    x->is_stale = load(x, NULL) != ERR_OK; /* the next begin tries again and says why */
}

enum err index_checkpoint(struct index *x, struct errinfo *ei)
{
    must(!x->is_begun);
    int n_log = 0, n_done = 0;
    int rc = sqlite3_wal_checkpoint_v2(x->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &n_log, &n_done);
    if (rc != SQLITE_OK)
        return index_db_err(ei, x->db, rc, "checkpoint");
    if (n_done < n_log)
        return err_set(ei, ERR_RETRY, "index: a reader holds %d pages back", n_log - n_done);
    return ERR_OK;
}

void store_before_sandbox(void)
{
    char first;
    sqlite3_randomness(sizeof(first), &first); /* reads the seed from a file, once */
}
