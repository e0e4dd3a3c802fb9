/* Inside of the readers: one question after the other on a read-only connection. */
#ifndef STORE_STORE_READER_INT_H
#define STORE_STORE_READER_INT_H

#include "store/index_db_int.h"
#include "store/store_reader.h"

#define READER_SQL(id, text) READ_##id,
enum reader_sql {
#include "store/store_reader_sql.def"
    READ_N
};
#undef READER_SQL

struct store_reader {
    sqlite3 *db;
    sqlite3_stmt *stmts[READ_N]; /* NULL while in use */
    unsigned depth;              /* questions under way: a callback may ask another */
    mono_us deadline;            /* 0: none */
    struct arena *arena;         /* of the outermost question */
    uint64_t *unanswered;        /* ids in meta as of the outermost question, in its arena */
    size_t n_unanswered;
    bool has_unanswered;
};

/* One question: its statement and the memory of the row it is at. All questions that are asked
 * while one is under way see the same moment. */
struct store_query {
    struct store_reader *r;
    enum reader_sql sql;
    sqlite3_stmt *stmt;
    struct arena *arena;
    enum err err; /* of the last step */
};

/* SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_X); then bind
 * q.stmt, step, and give back store_query_err. */
struct store_query store_query_begin(struct store_reader *r, enum reader_sql sql);
/* The next row, and its arena empty; false: the end or an error. */
bool store_query_next(struct store_query *q, struct errinfo *ei);
void store_query_again(struct store_query *q); /* to be bound and stepped anew */
void store_query_end(struct store_query *q);
/* ERR_CORRUPT: a packed column cannot be unpacked. */
enum err store_query_unreadable(struct store_query *q, struct errinfo *ei);

/* Ids begin with the time at which they were given: the smallest of that time. */
static inline uint64_t store_id_at(utc_ms time)
{
    const utc_ms most = (utc_ms)1 << 42;
    return time <= 0 ? 0 : (uint64_t)(time < most ? time : most) << 20;
}

/* The functions row_primary and row_changed of this connection. */
enum err store_span_functions(struct store_reader *r, struct errinfo *ei);

/* The first five columns of MESSAGE_COLUMNS; slices borrow from the row. */
enum err store_query_message(struct store_query *q, struct store_message *ret, struct errinfo *ei);
/* Neither of the two answers is known yet. */
enum err store_query_is_open(struct store_reader *r, uint64_t message, bool *ret,
                             struct errinfo *ei);

#endif
