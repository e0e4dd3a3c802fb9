/* The ledger's sums of one primary in an interval. Whom a row goes to and when it last changed is
 * packed in its facts; two functions make SQLite see it, so that the counting is the index's own
 * and proves what others count by walking the rows. */
#include "store/store_reader_int.h"

static bool is_open_row(const struct store_row *row)
{
    return row->last.disposition == DISPOSITION_WAITING ||
           row->last.disposition == DISPOSITION_HELD || row->is_attempting;
}

bool store_span_has(const struct store_span *span, const struct store_row *row)
{
    if (row->message < span->first || row->message > span->last || row->facts.parent ||
        row->facts.primary != span->primary)
        return false;
    return row->received >= span->since || is_open_row(row) || row->last.time >= span->since;
}

/* ---- functions ---- */

static struct slice blob_of(sqlite3_value *value)
{
    const void *p = sqlite3_value_blob(value);
    return slice_of(p, p ? (size_t)sqlite3_value_bytes(value) : 0);
}

static void row_primary(sqlite3_context *ctx, int, sqlite3_value **values)
{
    struct record_rcpt rcpt;
    if (record_rcpt_unpack(blob_of(values[0]), NULL, &rcpt))
        sqlite3_result_int64(ctx, (sqlite3_int64)rcpt.primary);
    else
        sqlite3_result_error(ctx, "a packed row is unreadable", -1);
}

/* 0: nothing happened to it since it was accepted. */
static void row_changed(sqlite3_context *ctx, int, sqlite3_value **values)
{
    struct record_result last = {};
    struct slice packed = blob_of(values[0]);
    if (packed.n == 0 || record_result_unpack(packed, NULL, &last))
        sqlite3_result_int64(ctx, last.time);
    else
        sqlite3_result_error(ctx, "a packed result is unreadable", -1);
}

enum err store_span_functions(struct store_reader *r, struct errinfo *ei)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    int rc = sqlite3_create_function_v2(r->db, "row_primary", 1, flags, NULL, row_primary, NULL,
                                        NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function_v2(r->db, "row_changed", 1, flags, NULL, row_changed, NULL,
                                        NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : index_db_err(ei, r->db, rc, "functions of a reader");
}

/* ---- sums ---- */

static enum err sum_rows(struct store_reader *r, const struct store_span *span,
                         struct store_sums *sums, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_SPAN_ROWS);
    bind_u64(q.stmt, 1, span->first);
    bind_u64(q.stmt, 2, span->last);
    bind_u64(q.stmt, 3, span->primary);
    bind_i64(q.stmt, 4, span->since);
    while (store_query_next(&q, ei)) {
        unsigned disposition = (unsigned)sqlite3_column_int(q.stmt, 0);
        if (disposition >= DISPOSITION_N)
            return store_query_unreadable(&q, ei);
        uint64_t n = column_u64(q.stmt, 2);
        sums->by[disposition] += n;
        if (sqlite3_column_int(q.stmt, 1))
            sums->n_possible_doubles += n;
    }
    return q.err;
}

static enum err sum_accepted(struct store_reader *r, const struct store_span *span,
                             struct store_sums *sums, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_SPAN_ACCEPTED);
    bind_u64(q.stmt, 1, span->first);
    bind_u64(q.stmt, 2, span->last);
    bind_i64(q.stmt, 3, span->since);
    bind_u64(q.stmt, 4, span->primary);
    sums->accepted = store_query_next(&q, ei) ? column_u64(q.stmt, 0) : 0;
    return q.err;
}

enum err store_sums_span(struct store_reader *r, const struct store_span *span,
                         struct store_sums *ret, struct errinfo *ei)
{
    struct store_sums sums = {};
    store_reader_hold(r);
    enum err err = sum_rows(r, span, &sums, ei);
    if (err == ERR_OK)
        err = sum_accepted(r, span, &sums, ei);
    store_reader_let_go(r);
    if (err == ERR_OK)
        *ret = sums;
    return err;
}
