/* For tests of the index: a folder, an index in it, a reader, and records applied in one line.
 * Positions are the record's number times 4096. */
#ifndef STORE_TEST_INDEX_WORLD_H
#define STORE_TEST_INDEX_WORLD_H

#include "store/index_db_int.h"
#include "store/store_account.h"
#include "store/store_reader_int.h"

#include "base/test/folder.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { WORLD_STEP = 4096 };

struct world {
    char dir[64], path[160];
    struct index *x;
    struct store_reader *r;
    struct arena *arena; /* what a test reads */
    struct buf pack;
    uint64_t pos;     /* of the next record */
    uint16_t version; /* of the next record; 0: today's */
    bool is_in_transaction;
    struct errinfo ei;
};

static inline void ok(const struct world *w, enum err err)
{
    if (err != ERR_OK)
        fail_msg("%s: %s", err_name(err), w->ei.text);
}

/* Behind the back of whoever has it open. */
static inline void world_sql(const char *path, const char *sql)
{
    SCOPED(index_db_close) sqlite3 *db = NULL;
    struct errinfo ei = {};
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (index_db_exec(db, sql, &ei) != ERR_OK)
        fail_msg("%s: %s", sql, ei.text);
}

static inline struct world world_make(void)
{
    struct world w = {.dir = "/tmp/test_store_index.XXXXXX", .pos = WORLD_STEP};
    char folder[80];
    assert_non_null(mkdtemp(w.dir));
    (void)snprintf(folder, sizeof(folder), "%s/index", w.dir);
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(w.path, sizeof(w.path), "%s/index/index.db", w.dir);
    w.pack = buf_make(4 << 20);
    w.arena = arena_create(16 << 20);
    ok(&w, index_open(w.path, &w.x, &w.ei));
    ok(&w, store_reader_open(w.dir, &w.r, &w.ei));
    return w;
}

static inline void world_finish(struct world *w)
{
    store_reader_close(&w->r);
    index_close(&w->x);
    buf_finish(&w->pack);
    arena_destroy(&w->arena);
    assert_true(folder_remove(w->dir));
}

/* Applies what is packed in w->pack, in a transaction of its own unless one is open. */
static inline enum err world_try(struct world *w, uint16_t type, uint64_t id, uint32_t body_bytes)
{
    struct index_record r = {.type = type,
                             .version = w->version,
                             .id = id,
                             .pos = w->pos,
                             .facts = buf_slice(&w->pack),
                             .body_pos = w->pos + 100,
                             .body_bytes = body_bytes};
    assert_false(w->pack.failed);
    if (!w->is_in_transaction)
        ok(w, index_begin(w->x, &w->ei));
    enum err err = index_apply(w->x, &r, &w->ei);
    w->pos += WORLD_STEP;
    if (!w->is_in_transaction)
        ok(w, index_commit(w->x, w->pos, &w->ei));
    buf_clear(&w->pack);
    w->version = 0;
    return err;
}

static inline void world_apply(struct world *w, uint16_t type, uint64_t id, uint32_t body_bytes)
{
    ok(w, world_try(w, type, id, body_bytes));
}

static inline void world_message(struct world *w, const struct record_message *m, uint32_t bytes)
{
    record_message_pack(&w->pack, m);
    world_apply(w, RECORD_MESSAGE, m->id, bytes);
}

/* Incoming, from a@x.example to `rcpts`. */
static inline void world_mail(struct world *w, uint64_t id, struct record_rcpt *rcpts,
                              uint32_t n_rcpts)
{
    struct record_message m = {.id = id,
                               .received = 1000 + (utc_ms)id,
                               .tenant = 1,
                               .direction = DIRECTION_IN,
                               .mail_from = SLICE("a@x.example"),
                               .bytes = 500,
                               .rcpts = rcpts,
                               .n_rcpts = n_rcpts};
    world_message(w, &m, 500);
}

/* To one recipient, not in a mailbox, no attempt yet. */
static inline void world_simple(struct world *w, uint64_t id)
{
    struct record_rcpt rcpt = {
        .address = SLICE("b@y.example"), .primary = 9, .disposition = DISPOSITION_WAITING};
    world_mail(w, id, &rcpt, 1);
}

/* Into mailbox 5 of person 50, with fields. */
static inline void world_covered(struct world *w, uint64_t id, uint32_t uid,
                                 const struct record_fields *fields)
{
    struct record_rcpt rcpt = {.address = SLICE("b@y.example"),
                               .person = 50,
                               .disposition = DISPOSITION_WAITING,
                               .mailbox = 5,
                               .uid = uid,
                               .modseq = 100 + uid};
    struct record_fields copy = fields ? *fields : (struct record_fields){};
    struct record_message m = {.id = id,
                               .received = 1000 + (utc_ms)id,
                               .tenant = 1,
                               .direction = DIRECTION_IN,
                               .mail_from = SLICE("a@x.example"),
                               .rcpts = &rcpt,
                               .n_rcpts = 1,
                               .fields = &copy,
                               .n_fields = 1};
    world_message(w, &m, 500);
}

static inline void world_mailbox(struct world *w, struct record_mailbox m)
{
    struct record_mailboxes list = {.mailboxes = &m, .n_mailboxes = 1};
    record_mailboxes_pack(&w->pack, &list);
    world_apply(w, RECORD_MAILBOX, 0, 0);
}

static inline void world_inbox(struct world *w, uint64_t id, uint64_t person)
{
    world_mailbox(w, (struct record_mailbox){.id = id,
                                             .person = person,
                                             .tenant = 1,
                                             .name = SLICE("Inbox"),
                                             .role = SLICE("inbox"),
                                             .modseq = 1,
                                             .created = 1});
}

/* Without its lists where it is compared; ERR_GONE: all zero. */
static inline struct store_email world_email(struct world *w, uint64_t account, uint64_t message)
{
    struct store_email e = {};
    enum err err = store_get_email(w->r, account, message, w->arena, &e, &w->ei);
    if (err != ERR_GONE)
        ok(w, err);
    return e;
}

static inline void world_put_email(struct world *w, struct record_email e)
{
    struct record_emails list = {.emails = &e, .n_emails = 1};
    record_emails_pack(&w->pack, &list);
    world_apply(w, RECORD_EMAIL, e.message, 0);
}

static inline void world_put_item(struct world *w, struct record_item item)
{
    struct record_items list = {.items = &item, .n_items = 1};
    record_items_pack(&w->pack, &list);
    world_apply(w, RECORD_ITEM, item.id, 0);
}

static inline void world_purge(struct world *w, struct record_purged purged)
{
    struct record_purges list = {.purges = &purged, .n_purges = 1};
    record_purges_pack(&w->pack, &list);
    world_apply(w, RECORD_PURGED, 0, 0);
}

static inline int64_t world_number(struct world *w, const char *sql)
{
    int64_t n = -1;
    ok(w, index_db_number(w->x->db, sql, &n, &w->ei));
    return n;
}

static inline void world_contradiction(void *, const char *text)
{
    print_error("%s\n", text);
}

/* The tables say the same of each other. */
static inline void world_check(struct world *w)
{
    unsigned n = 1;
    ok(w, index_check(w->path, world_contradiction, NULL, &n, &w->ei));
    assert_int_equal(n, 0);
}

static inline void world_attempt(struct world *w, uint64_t message, uint16_t rcpt, utc_ms time)
{
    struct record_row row = {.message = message, .rcpt = rcpt};
    struct record_attempt attempt = {
        .time = time, .destination = SLICE("mx.example"), .rows = &row, .n_rows = 1};
    record_attempt_pack(&w->pack, &attempt);
    world_apply(w, RECORD_ATTEMPT, message, 0);
}

static inline void world_result(struct world *w, struct record_result result)
{
    struct record_results results = {.results = &result, .n_results = 1};
    record_results_pack(&w->pack, &results);
    world_apply(w, RECORD_RESULT, result.message, 0);
}

static inline void world_ids(struct world *w, uint16_t type, uint64_t id)
{
    struct record_id one = {.id = id};
    struct record_ids ids = {.time = 1, .ids = &one, .n_ids = 1};
    record_ids_pack(&w->pack, &ids);
    world_apply(w, type, 0, 0);
}

static inline void world_interrupted(struct world *w, utc_ms time)
{
    record_interrupted_pack(&w->pack, &(struct record_interrupted){.time = time});
    world_apply(w, RECORD_INTERRUPTED, 0, 0);
}

static inline bool world_keep_row(void *arg, const struct store_row *row)
{
    *(struct store_row *)arg = *row;
    return true;
}

/* The row, without its texts (which are gone after the call). */
static inline struct store_row world_row(struct world *w, uint64_t message, uint16_t rcpt)
{
    struct store_row rows[2] = {};
    enum err err = store_each_row_of(w->r, message, world_keep_row, rows, &w->ei);
    ok(w, err);
    assert_int_equal(rows[0].message, message);
    assert_int_equal(rows[0].rcpt, rcpt); /* the last one */
    return rows[0];
}

static inline struct store_sums world_sums(struct world *w, uint64_t tenant)
{
    struct store_sums sums = {};
    ok(w, store_sums(w->r, tenant, &sums, &w->ei));
    return sums;
}

static inline uint64_t world_sum(const struct store_sums *s)
{
    uint64_t n = 0;
    for (int i = 1; i < DISPOSITION_N; i++)
        n += i == DISPOSITION_REFUSED ? 0 : s->by[i];
    return n;
}

static inline struct store_message world_get(struct world *w, uint64_t id)
{
    struct store_message m = {};
    ok(w, store_get_message(w->r, id, w->arena, &m, &w->ei));
    return m;
}

static inline void world_dump_line(void *arg, struct slice text)
{
    buf_adds(arg, text);
    buf_addc(arg, '\n');
}

static inline struct buf world_dump(struct world *w)
{
    struct buf b = buf_make(256 << 20);
    ok(w, index_dump(w->path, world_dump_line, &b, &w->ei));
    assert_false(b.failed);
    return b;
}

/* Bytes needed in the first 64 segments of 1 MiB. */
struct world_use {
    uint64_t bytes[64];
};
static inline void world_add_use(void *arg, uint64_t segment, uint64_t bytes)
{
    struct world_use *use = arg;
    if (segment >= 64)
        return;
    use->bytes[segment] = bytes;
}
static inline struct world_use world_use(struct world *w)
{
    struct world_use use = {};
    ok(w, index_segment_use(w->path, INDEX_ZONE_BYTES, world_add_use, &use, &w->ei));
    return use;
}

#endif
