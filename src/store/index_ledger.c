/* Applying to the ledger: rows as they are accepted, attempts, results, the end of a run.
 *
 * Nearly all mail has one attempt and one result, so that case is one UPDATE and no history: the
 * row itself holds its last attempt and result, and store_each_history makes lines of them. Only
 * when something else takes their place they move to the table `history`. */
#include "store/index_db_int.h"

static bool is_final(unsigned disposition)
{
    return disposition != DISPOSITION_WAITING && disposition != DISPOSITION_HELD;
}

static bool is_disposition(unsigned disposition)
{
    return disposition > 0 && disposition < DISPOSITION_N;
}

enum err index_row_add(struct index *x, const struct record_message *m, uint16_t number,
                       struct errinfo *ei)
{
    const struct record_rcpt *rcpt = &m->rcpts[number];
    unsigned disposition = rcpt->disposition;
    if (!is_disposition(disposition)) {
        x->n_odd++;
        disposition = DISPOSITION_HELD; /* never lost: a person looks */
    }
    buf_clear(&x->pack);
    record_rcpt_pack(&x->pack, rcpt);
    sqlite3_stmt *stmt = index_stmt(x, SQL_ROW_ADD);
    bind_u64(stmt, 1, m->id);
    bind_i64(stmt, 2, number);
    bind_u64(stmt, 3, m->tenant);
    bind_i64(stmt, 4, disposition);
    bind_i64(stmt, 5, rcpt->parent != 0);
    bind_i64(stmt, 6, !is_final(disposition) || rcpt->is_attempting);
    bind_i64(stmt, 7, rcpt->is_attempting != 0);
    bind_i64(stmt, 8, rcpt->is_attempting ? m->received : 0);
    bind_blob(stmt, 9, buf_slice(&x->pack));
    return index_run(x, SQL_ROW_ADD, NULL, ei);
}

/* ---- attempts ---- */

static enum err add_double(struct index *x, uint64_t message, uint16_t rcpt, struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_DOUBLE_ADD);
    bind_u64(stmt, 1, message);
    bind_i64(stmt, 2, rcpt);
    return index_run(x, SQL_DOUBLE_ADD, NULL, ei);
}

/* An attempt begins on a row whose last one has no result: that one may have arrived. */
static enum err begin_again(struct index *x, const struct record_row *row, uint32_t n,
                            const struct index_record *r, const struct record_attempt *attempt,
                            struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_HISTORY_PUSH_OPEN);
    bind_u64(stmt, 1, row->message);
    bind_i64(stmt, 2, row->rcpt);
    bind_u64(stmt, 3, r->pos);
    bind_i64(stmt, 4, n);
    bind_i64(stmt, 5, attempt->time);
    int n_rows = 0;
    enum err err = index_run(x, SQL_HISTORY_PUSH_OPEN, &n_rows, ei);
    if (err != ERR_OK)
        return err;
    x->n_odd++;
    if (n_rows == 0) /* no such row */
        return ERR_OK;
    err = add_double(x, row->message, row->rcpt, ei);
    if (err != ERR_OK)
        return err;
    stmt = index_stmt(x, SQL_DOUBLE_MARK);
    bind_u64(stmt, 1, row->message);
    bind_i64(stmt, 2, row->rcpt);
    bind_i64(stmt, 3, attempt->time);
    bind_blob(stmt, 4, attempt->destination);
    return index_run(x, SQL_DOUBLE_MARK, NULL, ei);
}

enum err index_apply_attempt(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_attempt attempt = {};
    if (!record_attempt_unpack(r->facts, x->arena, &attempt))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < attempt.n_rows; i++) {
        const struct record_row *row = &attempt.rows[i];
        sqlite3_stmt *stmt = index_stmt(x, SQL_ROW_BEGIN);
        bind_u64(stmt, 1, row->message);
        bind_i64(stmt, 2, row->rcpt);
        bind_i64(stmt, 3, attempt.time);
        bind_blob(stmt, 4, attempt.destination);
        int n_rows = 0;
        enum err err = index_run(x, SQL_ROW_BEGIN, &n_rows, ei);
        if (err == ERR_OK && n_rows == 0)
            err = begin_again(x, row, i, r, &attempt, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- results ---- */

struct row_state {
    bool is_there, is_child, is_attempting, has_last;
    unsigned disposition;
};

static enum err get_row(struct index *x, const struct record_result *result, struct row_state *ret,
                        struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_ROW_GET);
    bind_u64(stmt, 1, result->message);
    bind_i64(stmt, 2, result->rcpt);
    bool is_row = false;
    enum err err = index_row(x, SQL_ROW_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret = (struct row_state){.is_there = is_row};
    if (is_row) {
        ret->disposition = (unsigned)sqlite3_column_int(stmt, 0);
        ret->is_child = sqlite3_column_int(stmt, 1) != 0;
        ret->is_attempting = sqlite3_column_int(stmt, 2) != 0;
        ret->has_last = sqlite3_column_int(stmt, 3) != 0;
    }
    index_done(x, SQL_ROW_GET);
    return ERR_OK;
}

/* Writes the result into its row; without `is_any` only if it is the first one. */
static enum err put_result(struct index *x, const struct record_result *result, bool is_any,
                           int *ret_n, struct errinfo *ei)
{
    buf_clear(&x->pack);
    record_result_pack(&x->pack, result);
    sqlite3_stmt *stmt = index_stmt(x, SQL_ROW_RESULT);
    bind_u64(stmt, 1, result->message);
    bind_i64(stmt, 2, result->rcpt);
    bind_i64(stmt, 3, result->disposition);
    bind_i64(stmt, 4, !is_final(result->disposition));
    bind_i64(stmt, 5, result->is_attempt != 0);
    bind_blob(stmt, 6, buf_slice(&x->pack));
    bind_i64(stmt, 7, is_any);
    bind_i64(stmt, 8, result->is_double != 0);
    enum err err = index_run(x, SQL_ROW_RESULT, ret_n, ei);
    if (err != ERR_OK || !result->is_double || *ret_n == 0)
        return err;
    return add_double(x, result->message, result->rcpt, ei);
}

/* A refused row was never answered positively: it leaves `accepted`, and when all rows of the
 * message are refused nobody may find it in a mailbox. */
static enum err refuse_row(struct index *x, const struct record_result *result,
                           const struct row_state *old, struct errinfo *ei)
{
    bool was = old->disposition == DISPOSITION_REFUSED;
    bool is = result->disposition == DISPOSITION_REFUSED;
    enum err err = ERR_OK;
    if (was != is && !old->is_child) {
        sqlite3_stmt *stmt = index_stmt(x, SQL_MESSAGE_ACCEPTED);
        bind_u64(stmt, 1, result->message);
        bind_i64(stmt, 2, is ? -1 : 1);
        err = index_run(x, SQL_MESSAGE_ACCEPTED, NULL, ei);
    }
    if (err != ERR_OK || was || !is)
        return err;
    bool is_row = false;
    bind_u64(index_stmt(x, SQL_ROW_UNREFUSED), 1, result->message);
    err = index_row(x, SQL_ROW_UNREFUSED, &is_row, ei);
    if (err != ERR_OK)
        return err;
    index_done(x, SQL_ROW_UNREFUSED);
    return is_row ? ERR_OK : index_email_take_back(x, result->message, false, ei);
}

static enum err apply_later_result(struct index *x, const struct record_result *result, uint32_t n,
                                   const struct index_record *r, struct errinfo *ei)
{
    struct row_state old;
    enum err err = get_row(x, result, &old, ei);
    if (err != ERR_OK)
        return err;
    if (!old.is_there) {
        x->n_odd++;
        return ERR_OK;
    }
    if (old.has_last) {
        sqlite3_stmt *stmt = index_stmt(x, SQL_HISTORY_PUSH_LAST);
        bind_u64(stmt, 1, result->message);
        bind_i64(stmt, 2, result->rcpt);
        bind_u64(stmt, 3, r->pos);
        bind_i64(stmt, 4, n);
        err = index_run(x, SQL_HISTORY_PUSH_LAST, NULL, ei);
        if (err != ERR_OK)
            return err;
    }
    int n_rows = 0;
    err = put_result(x, result, true, &n_rows, ei);
    return err == ERR_OK ? refuse_row(x, result, &old, ei) : err;
}

enum err index_apply_result(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_results results = {};
    if (!record_results_unpack(r->facts, x->arena, &results))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < results.n_results; i++) {
        const struct record_result *result = &results.results[i];
        if (!is_disposition(result->disposition)) {
            x->n_odd++;
            continue;
        }
        int n_rows = 0;
        enum err err = ERR_OK;
        if (result->disposition != DISPOSITION_REFUSED)
            err = put_result(x, result, false, &n_rows, ei);
        if (err == ERR_OK && n_rows == 0)
            err = apply_later_result(x, result, i, r, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- the end of a run ---- */

enum err index_apply_interrupted(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_interrupted interrupted = {};
    if (!record_interrupted_unpack(r->facts, x->arena, &interrupted))
        return index_unreadable(r, ei);
    sqlite3_stmt *stmt = index_stmt(x, SQL_INTERRUPT_HISTORY);
    bind_u64(stmt, 1, r->pos);
    bind_i64(stmt, 2, interrupted.time);
    enum err err = index_run(x, SQL_INTERRUPT_HISTORY, NULL, ei);
    (void)index_stmt(x, SQL_INTERRUPT_DOUBLE);
    if (err == ERR_OK)
        err = index_run(x, SQL_INTERRUPT_DOUBLE, NULL, ei);
    (void)index_stmt(x, SQL_INTERRUPT_ROW);
    if (err == ERR_OK)
        err = index_run(x, SQL_INTERRUPT_ROW, NULL, ei);
    return err == ERR_OK ? index_place_give_up(x, 0, ei) : err;
}

enum err index_unfinished(struct index *x, struct index_unfinished *ret, struct errinfo *ei)
{
    static const enum index_sql sqls[2] = {SQL_ROW_COUNT_ATTEMPTING, SQL_LOOSE_COUNT};
    uint64_t n[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        bool is_row = false;
        sqlite3_stmt *stmt = index_stmt(x, sqls[i]);
        enum err err = index_row(x, sqls[i], &is_row, ei);
        if (err != ERR_OK)
            return err;
        n[i] = is_row ? column_u64(stmt, 0) : 0;
        index_done(x, sqls[i]);
    }
    *ret = (struct index_unfinished){.n_attempting = n[0], .n_loose = n[1]};
    return ERR_OK;
}
