/* Where the bytes of messages lie, and how much of each part of the log is still needed.
 *
 * The log is counted in zones of 1 MiB (segments are multiples of them). A zone row holds the bytes
 * still needed and the smallest and largest message that came into it, which finds the messages of
 * a segment by a range of ids, since ids grow with the log; those that were moved are out of that
 * order and are found by the table `moved`. So a message costs no row of its own here: changes
 * gather in memory and are written with the commit, one row a MiB of log. */
#include "store/index_db_int.h"

static const uint64_t NO_FIRST = INT64_MAX; /* larger than any id, as SQLite sees numbers */

struct zone {
    uint64_t number;
    int64_t bytes;        /* change in this transaction */
    uint64_t first, last; /* messages that came into it */
};

void index_extents_pack(struct buf *b, const struct record_extent *extents, size_t n)
{
    for (size_t i = 0; i < n; i++)
        record_extent_pack(b, &extents[i]);
}

bool index_extents_unpack(struct slice s, struct arena *a, struct record_extent **ret,
                          size_t *ret_n)
{
    enum { PACKED_BYTES = 20 };
    size_t n = s.n / PACKED_BYTES;
    struct record_extent *extents = ARENA_ARRAY(a, struct record_extent, n);
    struct reader r = reader_make(s);
    for (size_t i = 0; i < n; i++)
        (void)record_extent_read(&r, a, &extents[i]);
    if (r.failed || r.rest.n != 0)
        return false;
    *ret = extents;
    *ret_n = n;
    return true;
}

/* ---- zones ---- */

static struct zone *zone_of(struct index *x, uint64_t rec)
{
    uint64_t number = rec / INDEX_ZONE_BYTES;
    if (x->last_zone && x->last_zone->number == number)
        return x->last_zone;
    struct zone *zone = map_get(x->zones, KEY(number));
    if (!zone) {
        zone = mem_new(sizeof(*zone));
        *zone = (struct zone){.number = number, .first = NO_FIRST};
        (void)map_put(x->zones, KEY(number), zone);
    }
    x->last_zone = zone;
    return zone;
}

static void need(struct index *x, uint64_t rec, uint32_t bytes)
{
    zone_of(x, rec)->bytes += bytes;
}

static void release(struct index *x, uint64_t rec, uint32_t bytes)
{
    zone_of(x, rec)->bytes -= bytes;
}

/* The bytes at `rec` lie where they were written when the message came. */
static void note_message(struct index *x, uint64_t rec, uint64_t message)
{
    struct zone *zone = zone_of(x, rec);
    if (message < zone->first)
        zone->first = message;
    if (message > zone->last)
        zone->last = message;
}

void index_place_forget(struct index *x)
{
    size_t at = 0;
    struct slice key;
    void *zone;
    while (map_next(x->zones, &at, &key, &zone))
        mem_free(&zone);
    map_destroy(&x->zones);
    x->zones = map_create();
    x->last_zone = NULL;
}

static enum err write_zone(struct index *x, const struct zone *zone, struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_ZONE_ADD);
    bind_u64(stmt, 1, zone->number);
    bind_i64(stmt, 2, zone->bytes);
    bind_u64(stmt, 3, zone->first);
    bind_u64(stmt, 4, zone->last);
    enum err err = index_run(x, SQL_ZONE_ADD, NULL, ei);
    if (err != ERR_OK || zone->bytes > 0)
        return err;
    bind_u64(index_stmt(x, SQL_ZONE_DEL), 1, zone->number);
    return index_run(x, SQL_ZONE_DEL, NULL, ei);
}

enum err index_place_commit(struct index *x, struct errinfo *ei)
{
    size_t at = 0;
    struct slice key;
    void *zone;
    while (map_next(x->zones, &at, &key, &zone)) {
        enum err err = write_zone(x, zone, ei);
        if (err != ERR_OK)
            return err;
    }
    if (at > 0)
        index_place_forget(x);
    return ERR_OK;
}

/* ---- chunks, which wait for their message ---- */

enum err index_apply_chunk(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_LOOSE_ADD);
    bind_u64(stmt, 1, r->pos);
    bind_u64(stmt, 2, r->id);
    bind_i64(stmt, 3, r->body_bytes);
    int n_new = 0;
    enum err err = index_run(x, SQL_LOOSE_ADD, &n_new, ei);
    if (err != ERR_OK)
        return err;
    index_saw_id(x, r->id);
    if (n_new)
        need(x, r->pos, r->body_bytes);
    else
        x->n_odd++;
    return ERR_OK;
}

/* The record at `rec` belongs to a message now: if it is a loose chunk, it is one no longer. */
static enum err claim(struct index *x, uint64_t rec, struct errinfo *ei)
{
    bool is_row = false;
    sqlite3_stmt *stmt = index_stmt(x, SQL_LOOSE_GET);
    bind_u64(stmt, 1, rec);
    enum err err = index_row(x, SQL_LOOSE_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    if (is_row)
        release(x, rec, (uint32_t)column_u64(stmt, 0));
    index_done(x, SQL_LOOSE_GET);
    if (!is_row)
        return ERR_OK;
    bind_u64(index_stmt(x, SQL_LOOSE_DEL), 1, rec);
    return index_run(x, SQL_LOOSE_DEL, NULL, ei);
}

enum err index_place_give_up(struct index *x, uint64_t message, struct errinfo *ei)
{
    sqlite3_stmt *stmt = index_stmt(x, SQL_LOOSE_OF);
    bind_u64(stmt, 1, message);
    bool is_any = false;
    for (bool is_row = true; is_row;) {
        enum err err = index_row(x, SQL_LOOSE_OF, &is_row, ei);
        if (err != ERR_OK)
            return err;
        if (is_row)
            release(x, column_u64(stmt, 0), (uint32_t)column_u64(stmt, 1));
        is_any = is_any || is_row;
    }
    index_done(x, SQL_LOOSE_OF);
    if (!is_any)
        return ERR_OK;
    bind_u64(index_stmt(x, SQL_LOOSE_DEL_OF), 1, message);
    return index_run(x, SQL_LOOSE_DEL_OF, NULL, ei);
}

/* ---- messages ---- */

enum err index_place_message(struct index *x, uint64_t message, const struct record_extent *extents,
                             size_t n, struct errinfo *ei)
{
    for (size_t i = 0; i < n; i++) {
        /* The last one is the message's own record, which is no chunk. */
        enum err err = i + 1 < n ? claim(x, extents[i].rec, ei) : ERR_OK;
        if (err != ERR_OK)
            return err;
        need(x, extents[i].rec, extents[i].bytes);
        note_message(x, extents[i].rec, message);
    }
    return ERR_OK;
}

struct place {
    bool is_there, is_kept, is_moved;
    int64_t n_holders;
    struct record_extent *extents;
    size_t n;
};

static enum err get_place(struct index *x, uint64_t message, struct place *ret, struct errinfo *ei)
{
    bool is_row = false;
    sqlite3_stmt *stmt = index_stmt(x, SQL_MESSAGE_GET);
    bind_u64(stmt, 1, message);
    enum err err = index_row(x, SQL_MESSAGE_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    *ret = (struct place){.is_there = is_row};
    if (is_row) {
        ret->is_kept = sqlite3_column_int(stmt, 0) != 0;
        ret->is_moved = sqlite3_column_int(stmt, 1) != 0;
        ret->n_holders = sqlite3_column_int64(stmt, 2);
        if (!index_extents_unpack(column_slice(stmt, 3), x->arena, &ret->extents, &ret->n)) {
            x->failed = ERR_CORRUPT;
            err = err_set(ei, ERR_CORRUPT, "index: the place of a message is unreadable");
        }
    }
    index_done(x, SQL_MESSAGE_GET);
    return err;
}

static enum err each_moved(struct index *x, enum index_sql sql, uint64_t message,
                           const struct place *place, struct errinfo *ei)
{
    for (size_t i = 0; i < place->n; i++) {
        sqlite3_stmt *stmt = index_stmt(x, sql);
        bind_u64(stmt, 1, place->extents[i].rec);
        bind_u64(stmt, 2, message);
        enum err err = index_run(x, sql, NULL, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err leave(struct index *x, uint64_t message, const struct place *place,
                      struct errinfo *ei)
{
    for (size_t i = 0; i < place->n; i++)
        release(x, place->extents[i].rec, place->extents[i].bytes);
    return place->is_moved ? each_moved(x, SQL_MOVED_DEL, message, place, ei) : ERR_OK;
}

static uint64_t bytes_of(const struct record_extent *extents, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += extents[i].bytes;
    return bytes;
}

enum err index_apply_moved(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_moved moved = {};
    if (!record_moved_unpack(r->facts, x->arena, &moved))
        return index_unreadable(r, ei);
    struct place old;
    enum err err = get_place(x, moved.message, &old, ei);
    if (err != ERR_OK)
        return err;
    /* A new place that is not the whole message would lose the rest of it. */
    if (!old.is_kept || bytes_of(old.extents, old.n) != bytes_of(moved.extents, moved.n_extents)) {
        x->n_odd++;
        return ERR_OK;
    }
    err = leave(x, moved.message, &old, ei);
    struct place new = {.extents = moved.extents, .n = moved.n_extents};
    for (size_t i = 0; i < new.n &&err == ERR_OK; i++) {
        err = claim(x, new.extents[i].rec, ei);
        need(x, new.extents[i].rec, new.extents[i].bytes);
    }
    if (err == ERR_OK)
        err = each_moved(x, SQL_MOVED_ADD, moved.message, &new, ei);
    if (err != ERR_OK)
        return err;
    buf_clear(&x->pack);
    index_extents_pack(&x->pack, new.extents, new.n);
    sqlite3_stmt *stmt = index_stmt(x, SQL_MESSAGE_MOVE);
    bind_u64(stmt, 1, moved.message);
    bind_blob(stmt, 2, buf_slice(&x->pack));
    return index_run(x, SQL_MESSAGE_MOVE, NULL, ei);
}

/* `is_forced`: what is in mailboxes goes out of them (version 1). */
static enum err drop(struct index *x, uint64_t message, bool is_forced, struct errinfo *ei)
{
    struct place place;
    enum err err = get_place(x, message, &place, ei);
    if (err != ERR_OK)
        return err;
    err = index_place_give_up(x, message, ei); /* of a message or a move that did not come off */
    if (err == ERR_OK && !place.is_kept) {
        x->n_odd += place.is_there;
        return ERR_OK;
    }
    if (err == ERR_OK && place.n_holders > 0 && !is_forced)
        return ERR_OK; /* somebody has it since */
    if (err == ERR_OK)
        err = leave(x, message, &place, ei);
    if (err == ERR_OK && place.n_holders > 0)
        err = index_email_take_back(x, message, true, ei);
    if (err != ERR_OK)
        return err;
    bind_u64(index_stmt(x, SQL_MESSAGE_DROP), 1, message);
    return index_run(x, SQL_MESSAGE_DROP, NULL, ei);
}

enum err index_apply_dropped(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_ids ids = {};
    if (!record_ids_unpack(r->facts, x->arena, &ids))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < ids.n_ids; i++) {
        enum err err = ids.ids[i].id ? drop(x, ids.ids[i].id, r->version == 1, ei) : ERR_OK;
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}
