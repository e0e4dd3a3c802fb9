/* Inside of the index: the writing connection, its statements, and what all its files use.
 *
 * index_schema.c  tables, opening, errors         index_open.c    life cycle, transactions
 * index_apply.c   the record types, messages      index_ledger.c  rows, attempts, results
 * index_account.c mailboxes, items, purge         index_email.c   emails of accounts
 * index_place.c   where bytes lie                 index_thread.c  threads
 * index_answer.c  which senders know              index_copy.c    copy, verify, dump
 * index_migrate.c from older versions             index_check.c   do the tables agree */
#ifndef STORE_INDEX_DB_INT_H
#define STORE_INDEX_DB_INT_H

#include "store/index_int.h"

#include <sqlite3.h>

/* ---- any connection (index_schema.c) ---- */

enum { INDEX_BUSY_MS = 10000 };

enum err index_db_open(const char *path, int flags, sqlite3 **ret, struct errinfo *ei);
void index_db_close(sqlite3 **db); /* takes NULL */
void index_db_finalize(sqlite3_stmt **stmt);
enum err index_db_exec(sqlite3 *db, const char *sql, struct errinfo *ei);
enum err index_db_number(sqlite3 *db, const char *sql, int64_t *ret, struct errinfo *ei);
/* The one table from SQLite's codes to ours; `what` was being done. */
enum err index_db_err(struct errinfo *ei, sqlite3 *db, int rc, const char *what);
/* 1..INDEX_VERSION; 0: nothing was ever written into it. ERR_INVALID newer, ERR_CORRUPT no index of
 * ours. */
enum err index_db_version(sqlite3 *db, int *ret, struct errinfo *ei);
/* Tables and number of this program's version, for an index of an older one, or an empty file (0).
 * One transaction. */
enum err index_db_upgrade(sqlite3 *db, int version, struct errinfo *ei);
/* ERR_CORRUPT, with its name, when one of the tables of that version is missing. */
enum err index_db_check_tables(sqlite3 *db, int version, struct errinfo *ei);
enum err index_db_sync_file(const char *path, struct errinfo *ei);   /* the file's bytes */
enum err index_db_sync_folder(const char *path, struct errinfo *ei); /* the entry of file `path` */

/* u64 go into SQLite's i64 bit by bit: ids and positions of real logs are far below 2^63. */
static inline void bind_u64(sqlite3_stmt *stmt, int at, uint64_t v)
{
    (void)sqlite3_bind_int64(stmt, at, (int64_t)v); /* fails only for a wrong `at`: tests see it */
}
static inline void bind_i64(sqlite3_stmt *stmt, int at, int64_t v)
{
    (void)sqlite3_bind_int64(stmt, at, v);
}
/* Borrowed until the statement is reset. An empty one is an empty blob, not NULL. */
static inline void bind_blob(sqlite3_stmt *stmt, int at, struct slice s)
{
    (void)sqlite3_bind_blob64(stmt, at, s.n ? s.p : "", s.n, SQLITE_STATIC);
}
static inline uint64_t column_u64(sqlite3_stmt *stmt, int at)
{
    return (uint64_t)sqlite3_column_int64(stmt, at);
}
static inline struct slice column_slice(sqlite3_stmt *stmt, int at)
{
    const char *p = sqlite3_column_blob(stmt, at);
    return slice_of(p, p ? (size_t)sqlite3_column_bytes(stmt, at) : 0);
}

/* Version 3: emails of accounts from entries of mailboxes (index_migrate.c). */
enum err index_migrate_accounts(sqlite3 *db, struct errinfo *ei);

/* The extents of a message, one after the other. */
void index_extents_pack(struct buf *b, const struct record_extent *extents, size_t n);
bool index_extents_unpack(struct slice s, struct arena *a, struct record_extent **ret,
                          size_t *ret_n);

/* ---- the writing connection ---- */

#define INDEX_SQL(id, text) SQL_##id,
enum index_sql {
#include "store/index_sql.def"
    SQL_N
};
#undef INDEX_SQL

enum {
    INDEX_UNANSWERED_MAX = 4096, /* ids kept in memory */
    INDEX_WAL_BYTES = 64 << 20,  /* a checkpoint each time the WAL has grown by this */
    INDEX_CACHE_KIB = 16 << 10,  /* of the writing connection */
    INDEX_PAGE_BYTES = 4096,
    INDEX_ARENA_BYTES = 64 << 20, /* the lists of the largest record take less */
    INDEX_ROW_BYTES = 4 << 20,    /* the largest row unpacked takes much less */
    INDEX_PACKED_MAX = 2 << 20,   /* as a record's payload */
};

struct index {
    sqlite3 *db;
    sqlite3_stmt *stmts[SQL_N];
    struct arena *arena; /* of one record */
    struct arena *row;   /* of one row that is read meanwhile */
    struct buf pack;     /* of one field */
    struct buf pack2;
    bool is_begun;
    bool is_stale;        /* what is in memory could not be read again after an abort */
    enum err failed;      /* the disk failed in this transaction: only abort is left */
    int wal_pages;        /* in the WAL after the last commit */
    int checkpoint_pages; /* so many, and a checkpoint is tried */
    int step_pages;       /* INDEX_WAL_BYTES of them */

    /* meta, as it will be written by the next commit; read again by abort */
    uint64_t applied, last_id, n_odd;
    uint64_t *unanswered; /* ids of messages with neither answer, growing */
    size_t n_unanswered;
    bool is_unanswered_changed;
    uint64_t n_events; /* rows of the table `event`, in this transaction */

    /* mailbox -> its person, of some that are there and not removed; as it stands in this
     * transaction. NULL: none is known */
    struct map *boxes;

    struct thread_notes *threads; /* a copy of thread_new; NULL: it is empty */

    /* changes of zones in this transaction */
    struct map *zones;
    struct zone *last_zone; /* the one that was changed last */

    int old_version; /* of the file before it was opened; 0: this one, or it was new */
};

/* A statement, reset and ready to be bound. */
sqlite3_stmt *index_stmt(struct index *x, enum index_sql sql);
/* Step a statement that gives no rows, and reset it. `*ret_n` (may be NULL): rows changed. */
enum err index_run(struct index *x, enum index_sql sql, int *ret_n, struct errinfo *ei);
/* Step one that gives at most one row, without resetting it: columns stay until index_done. */
enum err index_row(struct index *x, enum index_sql sql, bool *ret_is_row, struct errinfo *ei);
void index_done(struct index *x, enum index_sql sql);
enum err index_failed(struct index *x, int rc, enum index_sql sql, struct errinfo *ei);

static inline void index_saw_id(struct index *x, uint64_t id)
{
    if (id > x->last_id)
        x->last_id = id;
}

/* ---- parts of apply; all inside a transaction ---- */

/* ERR_CORRUPT for a payload that cannot be unpacked. */
enum err index_unreadable(const struct index_record *r, struct errinfo *ei);

/* index_answer.c: which senders know that we have their mail. */
enum err index_answer_begin(struct index *x, uint64_t message, struct errinfo *ei);
enum err index_apply_answers(struct index *x, const struct index_record *r, struct errinfo *ei);
void index_answer_load(struct index *x, struct slice packed);
void index_answer_pack(const struct index *x, struct buf *b);

/* index_ledger.c */
enum err index_row_add(struct index *x, const struct record_message *m, uint16_t number,
                       struct errinfo *ei);
enum err index_apply_attempt(struct index *x, const struct index_record *r, struct errinfo *ei);
enum err index_apply_result(struct index *x, const struct index_record *r, struct errinfo *ei);
enum err index_apply_interrupted(struct index *x, const struct index_record *r, struct errinfo *ei);

/* index_thread.c. The ids of a message's thread are hashed once for all its recipients. */
enum { INDEX_THREAD_REFS = 32, INDEX_THREAD_MERGE = 32 << 10 };
struct index_thread_key {
    uint64_t own;                     /* hash of Message-ID; 0: none */
    uint64_t refs[INDEX_THREAD_REFS]; /* of the messages it refers to, nearest first */
    size_t n_refs;
};
void index_thread_key(const struct record_fields *fields, struct index_thread_key *ret);
enum err index_thread_find(struct index *x, uint64_t message, uint64_t person,
                           const struct index_thread_key *key, uint64_t *ret, struct errinfo *ei);
enum err index_thread_load(struct index *x, struct errinfo *ei);
enum err index_thread_commit(struct index *x, struct errinfo *ei);
void index_thread_forget(struct index *x);

/* index_account.c */
/* The account has seen this change number; makes its row if there is none. */
enum err index_account_reach(struct index *x, uint64_t account, uint64_t tenant, uint64_t modseq,
                             struct errinfo *ei);
struct index_mailbox {
    uint64_t person;
    bool is_there, is_removed;
};
enum err index_mailbox_get(struct index *x, uint64_t mailbox, struct index_mailbox *ret,
                           struct errinfo *ei);
void index_mailbox_forget(struct index *x); /* what was asked before is asked of the table again */
/* There is such a message, and its bytes are not given up. */
enum err index_has_bytes(struct index *x, uint64_t message, bool *ret, struct errinfo *ei);
/* One more or one less that needs the bytes of a message. */
enum err index_holders(struct index *x, uint64_t message, int change, struct errinfo *ei);
enum err index_apply_mailbox(struct index *x, const struct index_record *r, struct errinfo *ei);
enum err index_apply_items(struct index *x, const struct index_record *r, struct errinfo *ei);
enum err index_apply_purged(struct index *x, const struct index_record *r, struct errinfo *ei);
void index_mailbox_from_v1(const struct record_mailbox_v1 *old, struct record_mailbox *ret);

/* index_email.c. In a row of `email`, 0 stands for what is mostly so: the thread of its own message
 * id, and `created` and `counted` that are its modseq. Its lists are a number where it has nothing
 * but a place in that mailbox with its modseq as uid. */
static inline uint64_t column_or(sqlite3_stmt *stmt, int at, uint64_t otherwise)
{
    uint64_t v = column_u64(stmt, at);
    return v ? v : otherwise;
}
/* Copied into `a`. False: unreadable. */
bool index_email_lists(sqlite3_stmt *stmt, int at, uint64_t modseq, struct arena *a,
                       struct record_email_lists *ret);
/* `b` is empty and lasts as long as the binding. */
void index_email_bind_place(sqlite3_stmt *stmt, int at, const struct record_place *place,
                            struct buf *b);
struct index_delivery {
    const struct record_message *message;
    const struct index_thread_key *key;
    bool is_newest; /* its id is larger than any that was seen before */
};
/* Recipient `number` of the message has it in its mailbox. The row of the message counts it. */
enum err index_email_deliver(struct index *x, const struct index_delivery *d, uint32_t number,
                             uint64_t account, struct errinfo *ei);
/* Out of the mailboxes into which acceptance put it. What is forgotten leaves no tombstone. */
enum err index_email_take_back(struct index *x, uint64_t message, bool is_forgotten,
                               struct errinfo *ei);
enum err index_apply_emails(struct index *x, const struct index_record *r, struct errinfo *ei);
/* All emails out of a mailbox that is removed, with its number. */
enum err index_email_leave(struct index *x, const struct record_mailbox *m, struct errinfo *ei);

/* index_place.c */
enum err index_place_message(struct index *x, uint64_t message, const struct record_extent *extents,
                             size_t n, struct errinfo *ei);
enum err index_place_commit(struct index *x, struct errinfo *ei);
void index_place_forget(struct index *x);
enum err index_apply_chunk(struct index *x, const struct index_record *r, struct errinfo *ei);
enum err index_apply_moved(struct index *x, const struct index_record *r, struct errinfo *ei);
enum err index_apply_dropped(struct index *x, const struct index_record *r, struct errinfo *ei);
enum err index_place_give_up(struct index *x, uint64_t message, struct errinfo *ei); /* 0: all */

#endif
