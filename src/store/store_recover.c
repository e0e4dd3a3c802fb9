/* Recovery: find the end of the log, apply what the index lacks, say what was left unfinished.
 *
 * Doing it twice changes nothing: the index knows how far it is, in the same transaction as its
 * rows, and what recovery writes to the log are records like all others. It may be killed at any
 * moment. Damage (as opposed to an unsynced tail) is never repaired here: the store opens for
 * reading, and a person decides. */
#include "store/store_int.h"

#include <errno.h>
#include <stdio.h>

enum {
    TRANSACTION_RECORDS = 1000,                /* in one transaction of the replay */
    CAREFUL_RECORDS = 2 * TRANSACTION_RECORDS, /* noted one by one after a death */
    ASIDE_DEATHS = 2,
    IDS_PER_RECORD = 50000,
    IDS_MEMORY = 64 << 20,
};

struct replay {
    struct store *s;
    uint64_t from;      /* everything before is applied, or in the transaction */
    uint64_t applied;   /* behind the last batch with records: a mark counts for nothing */
    uint64_t start, to; /* for the progress */
    struct recovery_note suspect; /* where recovery ended before */
    unsigned n_careful;           /* records still to be noted one by one */
    unsigned n_open;              /* records in the open transaction */
    bool is_open;
    unsigned percent;
    void (*progress)(void *arg, unsigned percent);
    void *progress_arg;
};

void store_note_damage(struct store *s, const struct errinfo *ei)
{
    if (s->found.is_damaged)
        return; /* the first place is the one that counts */
    s->found.is_damaged = true;
    s->found.damage = *ei;
    store_tell(s, EVENT_ALARM, "store.damaged",
               "the log is damaged, nothing is accepted until a person decides: %s", ei->text);
}

/* ---- replay ---- */

static enum err open_transaction(struct replay *r, struct errinfo *ei)
{
    enum err err = r->is_open ? ERR_OK : index_begin(r->s->index, ei);
    r->is_open = err == ERR_OK;
    return err;
}

static enum err close_transaction(struct replay *r, uint64_t applied, struct errinfo *ei)
{
    enum err err = r->is_open ? index_commit(r->s->index, applied, ei) : ERR_OK;
    if (err == ERR_OK)
        r->is_open = false;
    r->n_open = 0;
    return err;
}

/* The log tells of it too, so that people find it later; it is applied when replay comes there. */
static enum err write_aside(struct store *s, const struct log_record *r, const char *why,
                            struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf facts = buf_make(1000);
    enum err err = store_put_aside(s, r->pos, why, ei);
    if (err != ERR_OK)
        return err;
    store_aside_facts(r->type, r->id, r->pos, why, &facts);
    struct store_change c = {.type = RECORD_ASIDE, .facts = buf_slice(&facts)};
    s->found.n_aside++;
    err = seglog_begin(s->log, &c, ei);
    if (err == ERR_OK)
        must(seglog_add(s->log, &c));
    return err == ERR_OK ? seglog_commit(s->log, ei) : err;
}

static enum err apply_one(struct replay *r, const struct log_record *rec, struct errinfo *ei)
{
    struct index_record x = {
        .type = rec->type,
        .version = rec->version,
        .id = rec->id,
        .pos = rec->pos,
        .facts = rec->facts,
        .body_pos = rec->body_pos,
        .body_bytes = rec->body_bytes,
    };
    if (store_is_aside(r->s, rec->pos))
        return ERR_OK;
    enum err err = open_transaction(r, ei);
    if (err == ERR_OK)
        err = index_apply(r->s->index, &x, ei);
    if (err == ERR_CORRUPT) {
        struct errinfo why = *ei;
        err = write_aside(r->s, rec, why.text, ei);
    }
    r->s->found.n_replayed++;
    r->n_open++;
    return err;
}

/* After a death: the note is on the disk before the record is touched, and what was applied is
 * committed behind it, so the note never names a record that is done. */
static enum err apply_carefully(struct replay *r, const struct log_record *rec, struct errinfo *ei)
{
    struct recovery_note note = {.pos = rec->pos};
    enum err err;
    if (r->suspect.pos == rec->pos)
        note.deaths = r->suspect.deaths;
    if (note.deaths >= ASIDE_DEATHS) {
        err = write_aside(r->s, rec, "applying it ended the program twice", ei);
        if (err != ERR_OK)
            return err;
    }
    err = store_note_write(r->s, &note, ei);
    if (err == ERR_OK)
        err = apply_one(r, rec, ei);
    if (err == ERR_OK)
        err = close_transaction(r, rec->pos + rec->whole.n, ei);
    if (err == ERR_OK && --r->n_careful == 0)
        err = store_note_write(r->s, &(struct recovery_note){}, ei);
    return err;
}

static void tell_progress(struct replay *r, uint64_t pos)
{
    uint64_t all = r->to - r->start;
    unsigned percent = pos < r->to ? (unsigned)((pos - r->start) * 100 / all) : 100;
    if (!r->progress || percent == r->percent)
        return;
    r->percent = percent;
    r->progress(r->progress_arg, percent);
}

static enum err replay_batch(void *arg, const struct batch_view *v, struct errinfo *ei)
{
    struct replay *r = arg;
    struct log_record rec;
    size_t at = 0;
    enum err err = ERR_OK;
    uint64_t end = v->head.pos + (v->end - v->offset);
    if (end <= r->from)
        return ERR_OK;
    while (err == ERR_OK && batch_view_next(v, r->s->log, &at, &rec)) {
        if (rec.pos < r->from)
            continue;
        err = r->n_careful > 0 ? apply_carefully(r, &rec, ei) : apply_one(r, &rec, ei);
    }
    if (err == ERR_OK && r->n_open >= TRANSACTION_RECORDS)
        err = close_transaction(r, end, ei);
    r->from = end;
    if (v->head.n_records > 0)
        r->applied = end;
    tell_progress(r, end);
    return err;
}

/* Damage in a segment that is read here is noted, not returned. */
static enum err replay(struct replay *r, struct errinfo *ei)
{
    struct store *s = r->s;
    bool was_interrupted = store_note_read(s, &r->suspect);
    r->from = r->start = index_applied(s->index);
    r->to = atomic_load(&s->log->end);
    r->applied = r->from;
    if (!was_interrupted && r->from >= (s->log->records_end ? s->log->records_end : r->to))
        return ERR_OK;
    enum err err = ERR_OK;
    if (was_interrupted) { /* the note stays: only deaths at the record itself count against it */
        r->suspect.deaths++;
        r->n_careful = CAREFUL_RECORDS;
    } else {
        err = store_note_write(s, &(struct recovery_note){}, ei);
    }
    if (err != ERR_OK)
        return err;
    uint64_t end;
    do { /* again if the walk itself has written something */
        end = atomic_load(&s->log->end);
        err = seglog_walk(s->log, r->from, replay_batch, r, ei);
    } while (err == ERR_OK && end != atomic_load(&s->log->end));
    if (err == ERR_OK)
        err = open_transaction(r, ei);
    if (err == ERR_OK)
        err = close_transaction(r, r->applied, ei);
    if (err != ERR_OK)
        index_abort(s->index);
    if (err == ERR_CORRUPT) {
        store_note_damage(s, ei);
        err = ERR_OK;
    }
    return err == ERR_OK ? store_note_clear(s, ei) : err;
}

/* ---- what was left unfinished ---- */

static enum err write_and_apply(struct store *s, uint16_t type, const struct buf *facts,
                                struct errinfo *ei)
{
    struct store_change c = {.type = type, .facts = buf_slice(facts)};
    must(!facts->failed);
    enum err err = seglog_begin(s->log, &c, ei);
    if (err != ERR_OK)
        return err;
    must(seglog_add(s->log, &c));
    err = seglog_commit(s->log, ei);
    if (err == ERR_OK)
        err = index_begin(s->index, ei);
    if (err != ERR_OK)
        return err;
    struct index_record r = {.type = type, .pos = c.pos, .facts = c.facts};
    err = index_apply(s->index, &r, ei);
    if (err == ERR_OK)
        err = index_commit(s->index, atomic_load(&s->log->end), ei);
    if (err != ERR_OK)
        index_abort(s->index);
    return err;
}

static enum err write_unanswered(struct store *s, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(IDS_MEMORY);
    struct record_ids ids = {};
    enum err err = index_unanswered(s->index, a, &ids, ei);
    for (uint32_t from = 0; err == ERR_OK && from < ids.n_ids; from += IDS_PER_RECORD) {
        SCOPED(buf_finish) struct buf facts = buf_make(STORE_RECORD_MAX);
        uint32_t left = ids.n_ids - from;
        struct record_ids part = {.time = utc_now(), .ids = ids.ids + from};
        part.n_ids = left < IDS_PER_RECORD ? left : IDS_PER_RECORD;
        record_ids_pack(&facts, &part);
        err = write_and_apply(s, RECORD_UNANSWERED, &facts, ei);
    }
    if (err == ERR_OK)
        s->found.n_unanswered = ids.n_ids;
    return err;
}

static enum err write_interrupted(struct store *s, struct errinfo *ei)
{
    struct index_unfinished u = {};
    enum err err = index_unfinished(s->index, &u, ei);
    if (err != ERR_OK || (u.n_attempting == 0 && u.n_loose == 0))
        return err;
    SCOPED(buf_finish) struct buf facts = buf_make(64);
    struct record_interrupted here = {.time = utc_now()};
    record_interrupted_pack(&facts, &here);
    s->found.n_possible_doubles = u.n_attempting;
    return write_and_apply(s, RECORD_INTERRUPTED, &facts, ei);
}

/* ---- all of it ---- */

/* The log must reach back to where the index stands, without a hole; if it does not, the index is
 * older than the snapshot that let the log go, and the snapshot is taken. (A position behind a
 * segment that is full to the last byte is the next one's first.) */
static bool log_reaches(struct store *s, uint64_t pos)
{
    size_t n;
    SCOPED(mem_free) uint64_t *numbers = seglog_numbers(s->log, &n);
    uint64_t first = pos / s->log->segment_bytes;
    uint64_t newest = numbers[n - 1];
    if (first == newest + 1 && pos % s->log->segment_bytes == 0)
        return true;
    return first <= newest && newest - first < n && numbers[n - 1 - (newest - first)] == first;
}

static void tell_version(struct store *s)
{
    int old = s->index ? index_old_version(s->index) : 0;
    if (old)
        store_tell(s, EVENT_INFO, "store.index_upgraded",
                   "the index was of version %d and is of version %d now: tables that this program "
                   "needs were added, nothing else was touched, and the log goes on behind "
                   "position %llu",
                   old, INDEX_VERSION, (unsigned long long)index_applied(s->index));
}

static enum err open_index(struct store *s, struct errinfo *ei)
{
    enum err err = index_open(s->index_path, &s->index, ei);
    bool is_behind =
        err == ERR_OK && !seglog_is_empty(s->log) && !log_reaches(s, index_applied(s->index));
    if (err != ERR_CORRUPT && !is_behind) {
        tell_version(s);
        return err;
    }
    store_tell(s, EVENT_NOTICE, "store.index_rebuilt", "the index is made anew: %s",
               is_behind ? "it is older than the log" : ei->text);
    index_close(&s->index);
    err = store_index_restore(s, ei);
    if (err == ERR_OK)
        err = index_open(s->index_path, &s->index, ei);
    tell_version(s);
    return err;
}

/* A log without any segment is new only if nobody remembers another one. */
static enum err start_log(struct store *s, struct errinfo *ei)
{
    struct snapshot snap;
    uint64_t known = s->index ? index_applied(s->index) : 0;
    if (!seglog_is_empty(s->log))
        return ERR_OK;
    if (store_snapshot_find(s, &snap, ei) == ERR_OK && snap.pos > known)
        known = snap.pos;
    if (known > 0)
        return err_set(ei, ERR_CORRUPT, "%s: no segment is left of a log that reached %llu",
                       s->log->dir, (unsigned long long)known);
    return seglog_start_new(s->log, ei);
}

static enum err find_end(struct store *s, struct errinfo *ei)
{
    struct snapshot snap;
    struct errinfo none;
    uint64_t known = s->index ? index_applied(s->index) : 0;
    if (store_snapshot_find(s, &snap, &none) == ERR_OK && snap.pos > known)
        known = snap.pos;
    if (s->log->current) /* just begun */
        return ERR_OK;
    return seglog_find_end(s->log, known, ei);
}

/* Damage ends it here: nothing may be written, the index stays as it is. */
static enum err prepare(struct store *s, struct errinfo *ei)
{
    enum err err = open_index(s, ei);
    if (err == ERR_OK && !s->found.is_damaged)
        err = start_log(s, ei);
    if (err == ERR_OK && !seglog_is_empty(s->log))
        err = find_end(s, ei);
    if (err == ERR_CORRUPT) {
        store_note_damage(s, ei);
        err = ERR_OK;
    }
    return err;
}

enum err store_recover(struct store *s, void (*progress)(void *arg, unsigned percent),
                       void *progress_arg, struct errinfo *ei)
{
    struct replay r = {.s = s, .progress = progress, .progress_arg = progress_arg};
    enum err err = prepare(s, ei);
    if (err == ERR_OK && !s->found.is_damaged)
        err = seglog_resume(s->log, ei);
    if (err == ERR_OK && !s->found.is_damaged)
        err = replay(&r, ei);
    if (err == ERR_OK && !s->found.is_damaged)
        err = write_unanswered(s, ei);
    if (err == ERR_OK && !s->found.is_damaged)
        err = write_interrupted(s, ei);
    if (err != ERR_OK)
        return err;
    if (s->found.is_damaged)
        seglog_believe_all(s->log); /* what lies behind the damage may still be read */
    s->found.end = atomic_load(&s->log->end);
    s->found.last_id = s->index ? index_last_id(s->index) : 0;
    /* Behind what the index notes there may be a mark without records: nothing is missing. */
    if (!s->found.is_damaged)
        atomic_store(&s->applied, s->found.end);
    else if (s->index)
        atomic_store(&s->applied, index_applied(s->index));
    return ERR_OK;
}
