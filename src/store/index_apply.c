/* apply: one record of the log into the tables.
 *
 * The record is unpacked before anything is written, so an unreadable one leaves nothing behind.
 * What makes no sense in its place is ignored and counted (meta.n_odd), since the log is the truth
 * and replay must go on; only the disk can stop it. */
#include "store/index_db_int.h"

enum err index_unreadable(const struct index_record *r, struct errinfo *ei)
{
    return err_set(ei, ERR_CORRUPT, "index: the %s record at position %llu is unreadable",
                   record_type_name(r->type), (unsigned long long)r->pos);
}

/* ---- message ---- */

/* Whose accounts get it; decided before the message's own row is written, which counts them. Nobody
 * finds a message that was refused to its sender. 0: nobody's. */
static enum err find_accounts(struct index *x, const struct record_message *m, uint64_t *accounts,
                              uint32_t *ret_n, struct errinfo *ei)
{
    bool is_refused = true;
    *ret_n = 0;
    for (uint32_t i = 0; i < m->n_rcpts; i++)
        is_refused = is_refused && m->rcpts[i].disposition == DISPOSITION_REFUSED;
    for (uint32_t i = 0; i < m->n_rcpts && !is_refused; i++) {
        struct index_mailbox box;
        if (!m->rcpts[i].mailbox)
            continue;
        enum err err = index_mailbox_get(x, m->rcpts[i].mailbox, &box, ei);
        if (err != ERR_OK)
            return err;
        accounts[i] = box.is_removed ? 0 : box.person;
        if (accounts[i])
            (*ret_n)++;
        else
            x->n_odd++;
    }
    return ERR_OK;
}

static uint32_t count_accepted(const struct record_message *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_rcpts; i++)
        n += !m->rcpts[i].parent && m->rcpts[i].disposition != DISPOSITION_REFUSED;
    return n;
}

static enum err add_message(struct index *x, const struct record_message *m, uint32_t n_holders,
                            const struct record_extent *extents, size_t n_extents, int *ret_n,
                            struct errinfo *ei)
{
    struct record_message facts = *m;
    facts.n_rcpts = facts.n_chunks = facts.n_fields = 0;
    buf_clear(&x->pack);
    record_message_pack(&x->pack, &facts);
    buf_clear(&x->pack2);
    index_extents_pack(&x->pack2, extents, n_extents);
    sqlite3_stmt *stmt = index_stmt(x, SQL_MESSAGE_ADD);
    bind_u64(stmt, 1, m->id);
    bind_u64(stmt, 2, m->tenant);
    bind_i64(stmt, 3, count_accepted(m));
    bind_i64(stmt, 4, n_holders);
    bind_i64(stmt, 5, m->received);
    bind_blob(stmt, 6, buf_slice(&x->pack));
    bind_blob(stmt, 7, buf_slice(&x->pack2));
    return index_run(x, SQL_MESSAGE_ADD, ret_n, ei);
}

static enum err add_fields(struct index *x, const struct record_message *m, struct errinfo *ei)
{
    buf_clear(&x->pack);
    record_fields_pack(&x->pack, &m->fields[0]);
    sqlite3_stmt *stmt = index_stmt(x, SQL_FIELDS_ADD);
    bind_u64(stmt, 1, m->id);
    bind_blob(stmt, 2, buf_slice(&x->pack));
    return index_run(x, SQL_FIELDS_ADD, NULL, ei);
}

static struct record_extent *extents_of(struct index *x, const struct record_message *m,
                                        const struct index_record *r, size_t *ret_n)
{
    struct record_extent *extents = ARENA_ARRAY(x->arena, struct record_extent, m->n_chunks + 1);
    for (uint32_t i = 0; i < m->n_chunks; i++)
        extents[i] = m->chunks[i];
    extents[m->n_chunks] =
        (struct record_extent){.rec = r->pos, .pos = r->body_pos, .bytes = r->body_bytes};
    *ret_n = m->n_chunks + 1;
    return extents;
}

static enum err add_rows(struct index *x, const struct record_message *m, const uint64_t *accounts,
                         const struct index_delivery *d, struct errinfo *ei)
{
    for (uint32_t i = 0; i < m->n_rcpts; i++) {
        enum err err = index_row_add(x, m, (uint16_t)i, ei);
        if (err == ERR_OK && accounts[i])
            err = index_email_deliver(x, d, i, accounts[i], ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err apply_message(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    static const struct record_fields none;
    struct record_message m = {};
    if (!record_message_unpack(r->facts, x->arena, &m))
        return index_unreadable(r, ei);
    uint64_t *accounts = ARENA_ARRAY(x->arena, uint64_t, m.n_rcpts);
    uint32_t n_accounts = 0;
    enum err err = find_accounts(x, &m, accounts, &n_accounts, ei);
    if (err != ERR_OK)
        return err;
    size_t n_extents = 0;
    struct record_extent *extents = extents_of(x, &m, r, &n_extents);
    int n_new = 0;
    err = add_message(x, &m, n_accounts, extents, n_extents, &n_new, ei);
    if (err != ERR_OK)
        return err;
    struct index_thread_key key;
    struct index_delivery d = {.message = &m, .key = &key, .is_newest = m.id > x->last_id};
    index_saw_id(x, m.id);
    if (n_new == 0) { /* an id twice: the first one stands */
        x->n_odd++;
        return ERR_OK;
    }
    if (n_accounts)
        index_thread_key(m.n_fields ? &m.fields[0] : &none, &key);
    if (m.n_fields)
        err = add_fields(x, &m, ei);
    if (err == ERR_OK)
        err = add_rows(x, &m, accounts, &d, ei);
    if (err == ERR_OK)
        err = index_place_message(x, m.id, extents, n_extents, ei);
    /* Neither our own notices nor what a person makes here has a sender who waits for an answer. */
    if (err == ERR_OK && m.direction != DIRECTION_NOTICE && m.n_rcpts > 0)
        err = index_answer_begin(x, m.id, ei);
    return err;
}

/* ---- objects, events, evidence, what was set aside ---- */

enum { EVIDENCE_DAYS = 90, HIGH_DAYS = 90 };

static enum err put_object(struct index *x, const struct record_object *o, struct errinfo *ei)
{
    enum index_sql sql = o->is_removed ? SQL_OBJECT_DEL : SQL_OBJECT_PUT;
    sqlite3_stmt *stmt = index_stmt(x, sql);
    index_saw_id(x, o->id);
    bind_i64(stmt, 1, o->kind);
    bind_u64(stmt, 2, o->id);
    if (!o->is_removed) {
        buf_clear(&x->pack);
        record_object_pack(&x->pack, o);
        bind_u64(stmt, 3, o->tenant);
        bind_blob(stmt, 4, buf_slice(&x->pack));
    }
    int n = 0;
    enum err err = index_run(x, sql, &n, ei);
    if (err == ERR_OK && n == 0)
        x->n_odd++;
    return err;
}

static enum err apply_objects(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_objects list = {};
    if (!record_objects_unpack(r->facts, x->arena, &list))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < list.n_objects; i++) {
        enum err err = put_object(x, &list.objects[i], ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err drop_events(struct index *x, enum index_sql sql, struct errinfo *ei)
{
    int n = 0;
    enum err err = index_run(x, sql, &n, ei);
    x->n_events -= err == ERR_OK ? (uint64_t)n : 0;
    return err;
}

/* Old events go as new ones come, by the records' own times and order alone: the same log leaves
 * the same rows. A few with each: no record is expensive, and a clock that was years ahead for an
 * hour costs a few rows a record, not all of them. */
static enum err trim_events(struct index *x, utc_ms now, struct errinfo *ei)
{
    enum { AT_ONCE = 8 };
    uint64_t n_over = x->n_events > INDEX_EVENTS_MAX ? x->n_events - INDEX_EVENTS_MAX : 0;
    bind_i64(index_stmt(x, SQL_EVENT_TRIM_AGE), 1, now - INDEX_EVENT_DAYS * 86400000LL);
    enum err err = drop_events(x, SQL_EVENT_TRIM_AGE, ei);
    if (err != ERR_OK || n_over == 0)
        return err;
    bind_u64(index_stmt(x, SQL_EVENT_TRIM_ROWS), 1, n_over < AT_ONCE ? n_over : AT_ONCE);
    return drop_events(x, SQL_EVENT_TRIM_ROWS, ei);
}

static enum err apply_event(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    int n = 0;
    struct record_event event = {};
    if (!record_event_unpack(r->facts, x->arena, &event))
        return index_unreadable(r, ei);
    sqlite3_stmt *stmt = index_stmt(x, SQL_EVENT_ADD);
    bind_u64(stmt, 1, r->pos);
    bind_i64(stmt, 2, event.time);
    bind_u64(stmt, 3, event.tenant);
    bind_blob(stmt, 4, r->facts);
    enum err err = index_run(x, SQL_EVENT_ADD, &n, ei);
    if (err != ERR_OK)
        return err;
    x->n_events += (uint64_t)n;
    return trim_events(x, event.time, ei);
}

/* Old runs go as new ones of the same primary come: deterministic, as applying must be. */
static enum err apply_evidence(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_evidences all = {};
    if (!record_evidences_unpack(r->facts, x->arena, &all))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < all.n_runs; i++) {
        const struct record_evidence *run = &all.runs[i];
        sqlite3_stmt *stmt = index_stmt(x, SQL_EVIDENCE_ADD);
        buf_clear(&x->pack);
        record_evidence_pack(&x->pack, run);
        bind_u64(stmt, 1, run->primary);
        bind_i64(stmt, 2, run->first);
        bind_u64(stmt, 3, r->pos);
        bind_i64(stmt, 4, i);
        bind_blob(stmt, 5, buf_slice(&x->pack));
        enum err err = index_run(x, SQL_EVIDENCE_ADD, NULL, ei);
        if (err != ERR_OK)
            return err;
        stmt = index_stmt(x, SQL_EVIDENCE_TRIM);
        bind_u64(stmt, 1, run->primary);
        bind_i64(stmt, 2, run->first - EVIDENCE_DAYS * 86400000LL);
        err = index_run(x, SQL_EVIDENCE_TRIM, NULL, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* The writer says only what is worse than before, so the last of an hour stands. */
static enum err apply_highs(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_highs all = {};
    if (!record_highs_unpack(r->facts, x->arena, &all))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < all.n_highs; i++) {
        const struct record_high *high = &all.highs[i];
        int64_t hour = high->time / 3600000;
        sqlite3_stmt *stmt = index_stmt(x, SQL_HIGH_PUT);
        buf_clear(&x->pack);
        record_high_pack(&x->pack, high);
        bind_u64(stmt, 1, high->refusal);
        bind_i64(stmt, 2, hour);
        bind_blob(stmt, 3, buf_slice(&x->pack));
        enum err err = index_run(x, SQL_HIGH_PUT, NULL, ei);
        if (err != ERR_OK)
            return err;
        stmt = index_stmt(x, SQL_HIGH_TRIM);
        bind_u64(stmt, 1, high->refusal);
        bind_i64(stmt, 2, hour - HIGH_DAYS * 24);
        err = index_run(x, SQL_HIGH_TRIM, NULL, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err apply_aside(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_aside aside = {};
    if (!record_aside_unpack(r->facts, x->arena, &aside))
        return index_unreadable(r, ei);
    sqlite3_stmt *stmt = index_stmt(x, SQL_ASIDE_ADD);
    bind_u64(stmt, 1, aside.pos);
    bind_blob(stmt, 2, r->facts);
    return index_run(x, SQL_ASIDE_ADD, NULL, ei);
}

/* ---- all of them ---- */

typedef enum err apply_fn(struct index *x, const struct index_record *r, struct errinfo *ei);

enum err index_apply(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    static apply_fn *const fns[] = {
        [RECORD_MESSAGE] = apply_message,
        [RECORD_CHUNK] = index_apply_chunk,
        [RECORD_ATTEMPT] = index_apply_attempt,
        [RECORD_RESULT] = index_apply_result,
        [RECORD_ANSWERED] = index_apply_answers,
        [RECORD_UNANSWERED] = index_apply_answers,
        [RECORD_OBJECT] = apply_objects,
        [RECORD_MAILBOX] = index_apply_mailbox,
        [RECORD_MOVED] = index_apply_moved,
        [RECORD_DROPPED] = index_apply_dropped,
        [RECORD_EVENT] = apply_event,
        [RECORD_ASIDE] = apply_aside,
        [RECORD_INTERRUPTED] = index_apply_interrupted,
        [RECORD_EVIDENCE] = apply_evidence,
        [RECORD_HIGH] = apply_highs,
        [RECORD_EMAIL] = index_apply_emails,
        [RECORD_ITEM] = index_apply_items,
        [RECORD_PURGED] = index_apply_purged,
    };
    static_assert(sizeof(fns) / sizeof(fns[0]) == RECORD_N, "each type has its function");
    must(x->is_begun);
    if (x->failed != ERR_OK)
        return err_set(ei, x->failed == ERR_CORRUPT ? ERR_IO : x->failed,
                       "index: this transaction has failed");
    if (r->type == 0 || r->type >= RECORD_N)
        return err_set(ei, ERR_CORRUPT,
                       "index: the record at position %llu has no type that we know",
                       (unsigned long long)r->pos);
    if (r->version > record_version(r->type))
        return index_unreadable(r, ei);
    enum err err = fns[r->type](x, r, ei);
    arena_reset(x->arena);
    /* ERR_CORRUPT is said of records only: a good one must not be set aside for a damaged index. */
    return err == ERR_CORRUPT && x->failed != ERR_OK ? ERR_IO : err;
}
