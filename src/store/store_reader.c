/* The readers' connection: opening, questions, and what is read as it was written: objects,
 * events, evidence. Messages and ledger rows: store_reader_message.c,
 * store_reader_ledger.c, store_reader_account.c. */
#include "store/store_reader_int.h"

#include <stdio.h>

enum {
    ARENA_BYTES = 4 << 20,      /* of one row */
    CACHE_KIB = 2 << 10,        /* the kernel caches as well */
    STEPS_BETWEEN_LOOKS = 5000, /* of SQLite's machine, at the clock */
};

static const char *const sql_text[READ_N] = {
#define READER_SQL(id, text) [READ_##id] = text,
#include "store/store_reader_sql.def"
#undef READER_SQL
};

/* ---- life ---- */

static enum err prepare_connection(struct store_reader *r, const char *path, struct errinfo *ei)
{
    int version = 0;
    char sql[80];
    (void)snprintf(sql, sizeof(sql), "PRAGMA query_only = 1; PRAGMA cache_size = -%d", CACHE_KIB);
    enum err err = index_db_open(path, SQLITE_OPEN_READONLY, &r->db, ei);
    if (err == ERR_OK)
        err = index_db_version(r->db, &version, ei);
    if (err == ERR_OK && version < INDEX_VERSION) /* the writer opens it first */
        return err_set(ei, ERR_CORRUPT, "index: nobody has brought it to this version");
    if (err == ERR_OK)
        err = store_span_functions(r, ei);
    return err == ERR_OK ? index_db_exec(r->db, sql, ei) : err;
}

enum err store_reader_open(const char *dir, struct store_reader **ret, struct errinfo *ei)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/index/index.db", dir);
    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(ei, ERR_INVALID, "the path of the store is too long");
    struct store_reader *r = mem_new(sizeof(*r));
    r->arena = arena_create(ARENA_BYTES);
    enum err err = prepare_connection(r, path, ei);
    if (err != ERR_OK) {
        store_reader_close(&r);
        return err_prefix(ei, err, "%s", path);
    }
    *ret = r;
    return ERR_OK;
}

void store_reader_close(struct store_reader **address)
{
    struct store_reader *r = *address;
    if (!r)
        return;
    must(r->depth == 0);
    for (int i = 0; i < READ_N; i++)
        index_db_finalize(&r->stmts[i]);
    index_db_close(&r->db);
    arena_destroy(&r->arena);
    mem_free(address);
}

static int is_late(void *arg)
{
    const struct store_reader *r = arg;
    return mono_now() >= r->deadline;
}

void store_reader_deadline(struct store_reader *r, mono_us at)
{
    r->deadline = at;
    sqlite3_progress_handler(r->db, STEPS_BETWEEN_LOOKS, at ? is_late : NULL, r);
}

/* ---- questions ---- */

static sqlite3_stmt *take(struct store_reader *r, enum reader_sql sql)
{
    sqlite3_stmt *stmt = r->stmts[sql];
    r->stmts[sql] = NULL;
    if (!stmt && sqlite3_prepare_v3(r->db, sql_text[sql], -1, SQLITE_PREPARE_PERSISTENT, &stmt,
                                    NULL) != SQLITE_OK)
        return NULL; /* stepping it fails, and says so */
    return stmt;
}

static void give_back(struct store_reader *r, enum reader_sql sql, sqlite3_stmt *stmt)
{
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    if (r->stmts[sql])
        index_db_finalize(&stmt); /* the same question was asked inside itself */
    else
        r->stmts[sql] = stmt;
}

static enum err run(struct store_reader *r, enum reader_sql sql, struct errinfo *ei)
{
    sqlite3_stmt *stmt = take(r, sql);
    int rc = stmt ? sqlite3_step(stmt) : sqlite3_errcode(r->db);
    enum err err = rc == SQLITE_DONE ? ERR_OK : index_db_err(ei, r->db, rc, sql_text[sql]);
    give_back(r, sql, stmt);
    return err;
}

void store_reader_hold(struct store_reader *r)
{
    if (r->depth++ > 0)
        return;
    r->has_unanswered = false;
    arena_reset(r->arena);
    /* If it fails, so does the first step, which reports it. */
    (void)run(r, READ_BEGIN, NULL);
}

void store_reader_let_go(struct store_reader *r)
{
    if (--r->depth > 0)
        return;
    (void)run(r, READ_END, NULL); /* reading only: nothing can be lost */
    if (!sqlite3_get_autocommit(r->db))
        (void)index_db_exec(r->db, "ROLLBACK", NULL); /* or the next would see an old moment */
}

struct store_query store_query_begin(struct store_reader *r, enum reader_sql sql)
{
    store_reader_hold(r);
    return (struct store_query){
        .r = r, .sql = sql, .stmt = take(r, sql), .arena = arena_create(ARENA_BYTES)};
}

bool store_query_next(struct store_query *q, struct errinfo *ei)
{
    arena_reset(q->arena);
    int rc = q->stmt ? sqlite3_step(q->stmt) : sqlite3_errcode(q->r->db);
    q->err = rc == SQLITE_ROW || rc == SQLITE_DONE
                 ? ERR_OK
                 : index_db_err(ei, q->r->db, rc, sql_text[q->sql]);
    return rc == SQLITE_ROW;
}

void store_query_again(struct store_query *q)
{
    (void)sqlite3_reset(q->stmt); /* repeats the error of the step */
}

void store_query_end(struct store_query *q)
{
    give_back(q->r, q->sql, q->stmt);
    arena_destroy(&q->arena);
    store_reader_let_go(q->r);
}

enum err store_query_unreadable(struct store_query *q, struct errinfo *ei)
{
    q->err =
        err_set(ei, ERR_CORRUPT, "index: a packed row is unreadable (%.60s)", sql_text[q->sql]);
    return q->err;
}

/* ---- objects, events, evidence ---- */

enum err store_each_object(struct store_reader *r, enum object_kind kind, store_object_fn *fn,
                           void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_OBJECTS);
    bind_i64(q.stmt, 1, kind);
    while (store_query_next(&q, ei)) {
        struct record_object o = {};
        if (!record_object_unpack(column_slice(q.stmt, 0), q.arena, &o))
            return store_query_unreadable(&q, ei);
        if (!fn(arg, &o))
            break;
    }
    return q.err;
}

enum err store_each_event(struct store_reader *r, uint64_t tenant, utc_ms since, uint32_t limit,
                          store_event_fn *fn, void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EVENTS);
    bind_u64(q.stmt, 1, tenant);
    bind_i64(q.stmt, 2, since);
    for (uint32_t n = 0; (limit == 0 || n < limit) && store_query_next(&q, ei); n++) {
        struct record_event event = {};
        if (!record_event_unpack(column_slice(q.stmt, 1), q.arena, &event))
            return store_query_unreadable(&q, ei);
        if (!fn(arg, column_u64(q.stmt, 0), &event))
            break;
    }
    return q.err;
}

enum err store_each_evidence(struct store_reader *r, uint64_t primary, utc_ms since,
                             store_evidence_fn *fn, void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EVIDENCE);
    bind_u64(q.stmt, 1, primary);
    bind_i64(q.stmt, 2, since);
    while (store_query_next(&q, ei)) {
        struct record_evidence run = {};
        if (!record_evidence_unpack(column_slice(q.stmt, 0), q.arena, &run))
            return store_query_unreadable(&q, ei);
        if (!fn(arg, &run))
            break;
    }
    return q.err;
}

enum err store_each_high(struct store_reader *r, uint32_t refusal, utc_ms since, store_high_fn *fn,
                         void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_HIGHS);
    bind_u64(q.stmt, 1, refusal);
    bind_i64(q.stmt, 2, since / 3600000);
    while (store_query_next(&q, ei)) {
        struct record_high high = {};
        if (!record_high_unpack(column_slice(q.stmt, 0), q.arena, &high))
            return store_query_unreadable(&q, ei);
        if (high.time >= since && !fn(arg, &high))
            break;
    }
    return q.err;
}
