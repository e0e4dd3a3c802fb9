/* Reading the ledger: rows, the sums that prove it, and what retention may drop. */
#include "store/store_reader_int.h"

/* ---- rows ---- */

/* The columns of ROW_COLUMNS. */
static enum err read_row(struct store_query *q, struct store_row *ret, struct errinfo *ei)
{
    struct store_row row = {
        .message = column_u64(q->stmt, 0),
        .rcpt = (uint16_t)sqlite3_column_int(q->stmt, 1),
        .tenant = column_u64(q->stmt, 2),
        .is_attempting = sqlite3_column_int(q->stmt, 4) != 0,
        .is_possible_double = sqlite3_column_int(q->stmt, 5) != 0,
    };
    struct slice last = column_slice(q->stmt, 7);
    struct record_message m = {};
    if (!record_rcpt_unpack(column_slice(q->stmt, 6), q->arena, &row.facts) ||
        !record_message_unpack(column_slice(q->stmt, 8), q->arena, &m) ||
        (last.n && !record_result_unpack(last, q->arena, &row.last)))
        return store_query_unreadable(q, ei);
    row.last.message = row.message;
    row.last.rcpt = row.rcpt;
    row.last.disposition = (uint8_t)sqlite3_column_int(q->stmt, 3);
    row.received = m.received;
    row.bytes = m.bytes;
    row.mail_from = m.mail_from;
    *ret = row;
    return ERR_OK;
}

enum err store_each_row_of(struct store_reader *r, uint64_t message, store_row_fn *fn, void *arg,
                           struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_ROWS_OF);
    bind_u64(q.stmt, 1, message);
    while (store_query_next(&q, ei)) {
        struct store_row row;
        enum err err = read_row(&q, &row, ei);
        if (err != ERR_OK)
            return err;
        if (!fn(arg, &row))
            break;
    }
    return q.err;
}

static bool is_open(enum disposition d)
{
    return d == DISPOSITION_WAITING || d == DISPOSITION_HELD;
}

/* From the columns alone, before anything is unpacked. */
static bool may_match(sqlite3_stmt *stmt, const struct store_row_filter *f)
{
    enum disposition d = (enum disposition)sqlite3_column_int(stmt, 3);
    if (f->tenant && column_u64(stmt, 2) != f->tenant)
        return false;
    if (f->disposition)
        return d == f->disposition;
    return f->is_doubles_only || f->is_any || is_open(d);
}

static bool does_match(const struct store_row *row, const struct store_row_filter *f)
{
    if (f->primary && row->facts.primary != f->primary)
        return false;
    return f->address.n == 0 || slice_ieq(row->facts.address, f->address) ||
           slice_ieq(row->mail_from, f->address);
}

enum err store_each_row(struct store_reader *r, const struct store_row_filter *filter,
                        store_row_fn *fn, void *arg, struct errinfo *ei)
{
    bool is_among_open = filter->disposition ? is_open(filter->disposition) : !filter->is_any;
    enum reader_sql sql = filter->is_doubles_only ? READ_ROWS_DOUBLE
                          : is_among_open         ? READ_ROWS_OPEN
                                                  : READ_ROWS_ALL;
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, sql);
    bind_u64(q.stmt, 1, filter->after);
    uint64_t message = 0;
    for (uint32_t n = 0; store_query_next(&q, ei);) {
        if (filter->last && column_u64(q.stmt, 0) > filter->last)
            break;
        if (!may_match(q.stmt, filter))
            continue;
        /* Where the limit is reached between two messages, but not between two rows of one. */
        if (filter->limit && n >= filter->limit && column_u64(q.stmt, 0) != message)
            break;
        struct store_row row;
        enum err err = read_row(&q, &row, ei);
        if (err != ERR_OK)
            return err;
        if (!does_match(&row, filter))
            continue;
        n++;
        message = row.message;
        if (!fn(arg, &row))
            break;
    }
    return q.err;
}

/* ---- sums ---- */

/* Counted from the rows each time, not kept: a sum that is kept proves only that it was kept. */
static enum err sum_rows(struct store_reader *r, uint64_t tenant, struct store_sums *sums,
                         struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_SUM_ROWS);
    while (store_query_next(&q, ei)) {
        unsigned disposition = (unsigned)sqlite3_column_int(q.stmt, 1);
        if (tenant && column_u64(q.stmt, 0) != tenant)
            continue;
        if (disposition >= DISPOSITION_N)
            return store_query_unreadable(&q, ei);
        if (!sqlite3_column_int(q.stmt, 2))
            sums->by[disposition]++;
        sums->n_attempting += sqlite3_column_int(q.stmt, 3) != 0;
        sums->n_possible_doubles += sqlite3_column_int(q.stmt, 4) != 0;
    }
    return q.err;
}

static enum err number(struct store_reader *r, enum reader_sql sql, uint64_t arg, uint64_t *ret,
                       struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, sql);
    bind_u64(q.stmt, 1, arg);
    *ret = store_query_next(&q, ei) ? column_u64(q.stmt, 0) : 0;
    return q.err;
}

static enum err sum_unanswered(struct store_reader *r, uint64_t tenant, uint64_t *ret,
                               struct errinfo *ei)
{
    bool is_one = false;
    enum err err = number(r, READ_SUM_UNANSWERED, tenant, ret, ei);
    if (err == ERR_OK)
        err = store_query_is_open(r, 0, &is_one, ei); /* loads those without any answer yet */
    for (size_t i = 0; i < r->n_unanswered && err == ERR_OK; i++) {
        uint64_t its_tenant = tenant;
        if (tenant)
            err = number(r, READ_TENANT_OF, r->unanswered[i], &its_tenant, ei);
        *ret += its_tenant == tenant;
    }
    return err;
}

enum err store_sums(struct store_reader *r, uint64_t tenant, struct store_sums *ret,
                    struct errinfo *ei)
{
    struct store_sums sums = {};
    /* Held until the end, so that all parts are of one moment. */
    SCOPED(store_query_end) struct store_query moment = store_query_begin(r, READ_MESSAGE);
    (void)moment; /* clang does not count its end as a use */
    enum err err = sum_rows(r, tenant, &sums, ei);
    if (err == ERR_OK)
        err = number(r, READ_SUM_ACCEPTED, tenant, &sums.accepted, ei);
    if (err == ERR_OK)
        err = sum_unanswered(r, tenant, &sums.n_unanswered, ei);
    if (err == ERR_OK)
        *ret = sums;
    return err;
}

/* ---- retention ---- */

enum { HOLD_MS = 3600 * 1000 };

enum err store_droppable(struct store_reader *r, uint32_t limit, struct arena *a,
                         struct record_ids *ret, struct errinfo *ei)
{
    utc_ms now = utc_now();
    struct record_ids ids = {.time = now, .ids = ARENA_ARRAY(a, struct record_id, limit)};
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_DROPPABLE);
    bind_i64(q.stmt, 1, limit);
    bind_u64(q.stmt, 2, store_id_at(now - HOLD_MS));
    while (ids.n_ids < limit && store_query_next(&q, ei))
        ids.ids[ids.n_ids++].id = column_u64(q.stmt, 0);
    if (q.err == ERR_OK)
        *ret = ids;
    return q.err;
}
