/* Which segments may be used anew, and copying the rest of sparse ones forward.
 *
 * A mistake here is the only way to lose mail that was safely written, so every condition is asked
 * again at the place where the file changes hands (log_pool.c asks for pins), and a segment about
 * which anything is unknown stays. */
#include "store/store_int.h"

enum {
    MOVE_MESSAGES = 256, /* looked up at a time */
    MOVE_SEGMENTS = 4,   /* copied forward in one round */
    MOVE_MEMORY = 16 << 20,
    BODY_MAX = STORE_RECORD_MAX,
};

struct use {
    uint64_t *numbers; /* of all segments, ascending */
    uint64_t *bytes;   /* needed in them */
    size_t n;
    uint64_t missing, missing_bytes; /* a segment that is needed and not there */
};

static void use_finish(struct use *u)
{
    mem_free(&u->numbers);
    mem_free(&u->bytes);
}

static void note_use(void *arg, uint64_t segment, uint64_t bytes)
{
    struct use *u = arg;
    for (size_t low = 0, high = u->n; low < high;) {
        size_t mid = (low + high) / 2;
        if (u->numbers[mid] == segment) {
            u->bytes[mid] += bytes;
            return;
        }
        if (u->numbers[mid] < segment)
            low = mid + 1;
        else
            high = mid;
    }
    if (u->n == 0 || segment > u->numbers[u->n - 1])
        return; /* begun since we looked */
    u->missing = segment;
    u->missing_bytes += bytes;
}

static bool is_closing(struct store *s)
{
    pthread_mutex_lock(&s->keep.wake_lock);
    bool result = s->keep.is_closing;
    pthread_mutex_unlock(&s->keep.wake_lock);
    return result;
}

/* ---- waiting for one's own change ---- */

struct own_change {
    struct store_change change;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_done; /* under lock */
    enum err err; /* under lock */
};

static void own_done(struct store_change *c, enum err err, const struct errinfo *)
{
    struct own_change *own = container_of(c, struct own_change, change);
    pthread_mutex_lock(&own->lock);
    own->is_done = true;
    own->err = err;
    pthread_cond_signal(&own->cond); /* under the lock: the waiter's stack must outlive this */
    pthread_mutex_unlock(&own->lock);
}

static enum err submit_and_wait(struct store *s, struct own_change *own)
{
    own->change.done = own_done;
    own->is_done = false;
    must(pthread_mutex_init(&own->lock, NULL) == 0);
    must(pthread_cond_init(&own->cond, NULL) == 0);
    store_submit(s, &own->change);
    pthread_mutex_lock(&own->lock);
    while (!own->is_done)
        pthread_cond_wait(&own->cond, &own->lock);
    pthread_mutex_unlock(&own->lock);
    (void)pthread_cond_destroy(&own->cond);
    (void)pthread_mutex_destroy(&own->lock);
    return own->err;
}

/* ---- copying forward ---- */

/* A chunk with the extent's bytes at the end of the log; `x` names it then. The old place counts
 * until the `moved` record is applied, so nothing is lost in between. */
static enum err copy_extent(struct store *s, uint64_t message, struct record_extent *x,
                            struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf body = buf_make(BODY_MAX);
    enum err err = seglog_read_extent(s->log, message, x, &body, ei);
    if (err != ERR_OK)
        return err;
    struct own_change own = {.change = {.type = RECORD_CHUNK, .id = message}};
    own.change.body[0] = buf_slice(&body);
    err = submit_and_wait(s, &own);
    if (err == ERR_OK)
        *x = store_body_extent(&own.change);
    return err;
}

static enum err move_message(struct store *s, const struct index_place *place, uint64_t segment,
                             struct errinfo *ei)
{
    struct record_moved moved = {
        .message = place->message,
        .extents = place->extents,
        .n_extents = (uint32_t)place->n_extents,
    };
    for (size_t i = 0; i < place->n_extents; i++) {
        enum err err = ERR_OK;
        if (place->extents[i].rec / s->log->segment_bytes == segment)
            err = copy_extent(s, place->message, &place->extents[i], ei);
        if (err != ERR_OK)
            return err;
    }
    SCOPED(buf_finish) struct buf facts = buf_make(STORE_RECORD_MAX);
    record_moved_pack(&facts, &moved);
    must(!facts.failed);
    struct own_change own = {
        .change = {.type = RECORD_MOVED, .id = place->message, .facts = buf_slice(&facts)}};
    return submit_and_wait(s, &own);
}

static enum err move_segment(struct store *s, uint64_t segment, struct errinfo *ei)
{
    uint64_t from = seglog_pos(s->log, segment, 0);
    uint64_t to = seglog_pos(s->log, segment + 1, 0);
    enum err err = ERR_OK;
    size_t n = MOVE_MESSAGES;
    while (err == ERR_OK && n == MOVE_MESSAGES && !is_closing(s)) {
        SCOPED(arena_destroy) struct arena *a = arena_create(MOVE_MEMORY);
        struct index_place *places;
        uint64_t pos = 0;
        err = index_messages_in(s->index_path, from, to, MOVE_MESSAGES, a, &places, &n, ei);
        for (size_t i = 0; i < n && err == ERR_OK; i++) {
            err = move_message(s, &places[i], segment, ei);
            pos = atomic_load(&s->log->end) - 1;
        }
        /* The next look must not see them again. */
        if (err == ERR_OK && pos > 0)
            err = store_wait_applied(s, pos, SECONDS(10));
    }
    return err;
}

/* ---- all of it ---- */

static enum err count_use(struct store *s, struct use *u, struct errinfo *ei)
{
    u->numbers = seglog_numbers(s->log, &u->n);
    u->bytes = mem_new((u->n + 1) * sizeof(u->bytes[0]));
    enum err err = index_segment_use(s->index_path, s->log->segment_bytes, note_use, u, ei);
    if (u->missing_bytes > 0)
        store_tell(s, EVENT_ALARM, "store.segment_missing",
                   "segment %llu (and perhaps others) is not there: %llu bytes of messages cannot "
                   "be read",
                   (unsigned long long)u->missing, (unsigned long long)u->missing_bytes);
    return err;
}

/* Segments that end at or before `limit`: their records are in an index that survives a power cut,
 * and in a snapshot. */
static bool is_behind(const struct store *s, uint64_t segment, uint64_t limit)
{
    return seglog_pos(s->log, segment + 1, 0) <= limit;
}

enum err store_recycle(struct store *s, uint64_t limit, struct errinfo *ei)
{
    SCOPED(use_finish) struct use u = {};
    enum err err = count_use(s, &u, ei);
    unsigned n_moved = 0;
    for (size_t i = 0; i < u.n && err == ERR_OK && is_behind(s, u.numbers[i], limit); i++) {
        if (u.bytes[i] == 0) {
            err = seglog_recycle(s->log, u.numbers[i], ei);
            if (err == ERR_RETRY) /* somebody reads it: another time */
                err = ERR_OK;
        } else if (u.bytes[i] < s->log->segment_bytes / STORE_SPARSE_PART &&
                   n_moved < MOVE_SEGMENTS && !is_closing(s)) {
            n_moved++;
            err = move_segment(s, u.numbers[i], ei);
        }
    }
    return err;
}
