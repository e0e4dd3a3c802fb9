/* What is kept only so long. Bytes that nobody needs any more are given up in the log, so that
 * their segments can be reused; episodes that are long over are removed.
 *
 * The facts of a message (ledger rows, list fields) stay. Candidates are asked of the index now and
 * then, oldest first, bounded; a message counts as droppable when every row is final and no account
 * holds it (desk_expire.c). Everything goes by a record, so that an index that is made anew is the
 * same. */
#include "desk/desk_account_int.h"

#include "continuity/episode.h"
#include "store/store_account.h"

enum {
    DROP_AT_ONCE = 5000,
    LOOK_SECONDS = 10,
    LOOSE_MAX = 1000,
};
/* docs/disk-format.md, "Retention" */
enum { EPISODE_DAYS = 5 * 366, EPISODES_KEPT = 1000, FORGET_AT_ONCE = 100, FORGET_HOURS = 6 };

struct retention {
    struct worker_job job;
    struct arena *arena;
    struct record_ids ids;
    struct store_change change;
    struct buf facts;
    enum err err;
};

static void retention_free(struct retention *r)
{
    buf_finish(&r->facts);
    arena_destroy(&r->arena);
    mem_free(&r);
}

static void dropped(struct store_change *change, enum err, const struct errinfo *)
{
    retention_free(change->arg); /* not written: found again next time */
}

static void submit(struct retention *r, void (*done)(struct store_change *change, enum err err,
                                                     const struct errinfo *ei))
{
    r->ids.time = utc_now();
    r->facts = buf_make(STORE_RECORD_MAX);
    record_ids_pack(&r->facts, &r->ids);
    r->change = (struct store_change){.type = RECORD_DROPPED,
                                      .is_lazy = true,
                                      .facts = buf_slice(&r->facts),
                                      .done = done,
                                      .arg = r};
    store_submit(r->job.desk->store, &r->change);
}

static void look(struct worker_job *job, struct store_reader *reader)
{
    struct retention *r = container_of(job, struct retention, job);
    struct errinfo ei;
    if (!reader || store_droppable(reader, DROP_AT_ONCE, r->arena, &r->ids, &ei) != ERR_OK)
        r->ids.n_ids = 0;
}

static void drop(struct worker_job *job)
{
    struct retention *r = container_of(job, struct retention, job);
    struct desk *d = job->desk;
    d->is_retaining = false;
    d->next_retention =
        mono_now() + (r->ids.n_ids == DROP_AT_ONCE ? MILLISECONDS(200) : SECONDS(LOOK_SECONDS));
    if (r->ids.n_ids == 0) {
        retention_free(r);
        return;
    }
    submit(r, dropped);
}

/* ---- chunks of messages that came to nothing ---- */

/* Beyond the ceiling they stay until the next recovery gives them up. */
void desk_give_up(struct desk *d, uint64_t message)
{
    if (!d->loose)
        d->loose = mem_new(LOOSE_MAX * sizeof(*d->loose));
    if (d->n_loose < LOOSE_MAX)
        d->loose[d->n_loose++] = (struct record_id){message};
}

/* It is dropped by its number: one that came under the same number before that is durable would be
 * dropped with its chunks. */
bool desk_is_given_up(const struct desk *d, uint64_t message)
{
    for (uint32_t i = 0; i < d->n_loose; i++)
        if (d->loose[i].id == message)
            return true;
    return false;
}

static void were_given_up(void *arg)
{
    struct retention *r = arg;
    struct desk *d = r->job.desk;
    uint32_t n = r->err == ERR_OK ? d->n_giving_up : 0; /* others came behind them */
    memmove(d->loose, d->loose + n, (d->n_loose - n) * sizeof(*d->loose));
    d->n_loose -= n;
    d->n_giving_up = 0;
    retention_free(r);
}

/* The disk that refused the message often refuses this too. */
static void given_up(struct store_change *change, enum err err, const struct errinfo *)
{
    struct retention *r = change->arg;
    r->err = err;
    if (err == ERR_CANCELED)
        retention_free(r);
    else
        desk_post(r->job.desk, were_given_up, r);
}

static void write_given_up(struct desk *d)
{
    if (d->n_loose == 0 || d->n_giving_up > 0)
        return;
    struct retention *r = mem_new(sizeof(*r));
    r->job.desk = d;
    r->arena = arena_create(LOOSE_MAX * sizeof(*d->loose) + 1000);
    r->ids.ids = ARENA_ARRAY(r->arena, struct record_id, d->n_loose);
    r->ids.n_ids = d->n_loose;
    memcpy(r->ids.ids, d->loose, d->n_loose * sizeof(*d->loose));
    d->n_giving_up = d->n_loose;
    submit(r, given_up);
}

/* ---- episodes that are long over ---- */

struct forgetting {
    struct worker_job job;
    struct map *n_over; /* primary -> how many of its episodes are over; size_t in the arena */
    struct arena *arena;
    utc_ms now;
    struct record_object old[FORGET_AT_ONCE];
    uint32_t n;
    struct store_change change;
    struct buf facts;
};

static void forgetting_free(struct forgetting *f)
{
    map_destroy(&f->n_over);
    buf_finish(&f->facts);
    arena_destroy(&f->arena);
    mem_free(&f);
}

static bool unpack_over(const struct record_object *o, struct arena *a, struct episode *ret)
{
    return episode_unpack(o->body, a, ret) && ret->phase == EPISODE_CLOSED;
}

static bool count_over(void *arg, const struct record_object *o)
{
    struct forgetting *f = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct episode e;
    if (!unpack_over(o, a, &e))
        return true;
    size_t *n = map_get(f->n_over, KEY(e.primary));
    if (!n) {
        n = ARENA_NEW(f->arena, size_t);
        map_put(f->n_over, KEY(e.primary), n);
    }
    (*n)++;
    return true;
}

/* They come oldest first. Of a primary's last one something may still be asked: it stays. */
static bool choose_old(void *arg, const struct record_object *o)
{
    struct forgetting *f = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct episode e;
    if (!unpack_over(o, a, &e))
        return true;
    size_t *n = map_get(f->n_over, KEY(e.primary));
    bool is_old = e.end_at < f->now - (utc_ms)EPISODE_DAYS * 86400000;
    if (!n || *n <= 1 || (*n <= EPISODES_KEPT && !is_old))
        return true;
    (*n)--;
    f->old[f->n++] = (struct record_object){.kind = OBJECT_EPISODE,
                                            .id = o->id,
                                            .tenant = o->tenant,
                                            .is_removed = true,
                                            .time = f->now,
                                            .by = SLICE("retention"),
                                            .name = arena_copy(f->arena, o->name)};
    return f->n < FORGET_AT_ONCE;
}

static void look_for_old(struct worker_job *job, struct store_reader *reader)
{
    struct forgetting *f = container_of(job, struct forgetting, job);
    struct errinfo ei;
    if (!reader || !desk_catch_up(job->desk)) /* what was removed a second ago is gone */
        return;
    enum err err = store_each_object(reader, OBJECT_EPISODE, count_over, f, &ei);
    if (err == ERR_OK)
        err = store_each_object(reader, OBJECT_EPISODE, choose_old, f, &ei);
    if (err != ERR_OK)
        f->n = 0;
}

static void forgotten(struct store_change *change, enum err, const struct errinfo *)
{
    forgetting_free(change->arg); /* not written: found again next time */
}

static void forget(struct worker_job *job)
{
    struct forgetting *f = container_of(job, struct forgetting, job);
    struct desk *d = job->desk;
    struct record_objects all = {f->old, f->n};
    d->is_forgetting = false;
    d->next_forgetting =
        mono_now() + (f->n == FORGET_AT_ONCE ? SECONDS(1) : SECONDS(FORGET_HOURS * 3600));
    if (f->n == 0) {
        forgetting_free(f);
        return;
    }
    f->facts = buf_make(STORE_RECORD_MAX);
    record_objects_pack(&f->facts, &all);
    must(!f->facts.failed); /* without bodies */
    f->change = (struct store_change){.type = RECORD_OBJECT,
                                      .is_lazy = true,
                                      .facts = buf_slice(&f->facts),
                                      .done = forgotten,
                                      .arg = f};
    store_submit(d->store, &f->change);
}

/* Not while the clock is doubted: what is old is what it says. */
static void forget_tick(struct desk *d, mono_us now)
{
    if (d->is_forgetting || now < d->next_forgetting || d->clock.is_doubted)
        return;
    struct forgetting *f = mem_new(sizeof(*f));
    d->is_forgetting = true;
    f->n_over = map_create();
    f->arena = arena_create(64 << 20);
    f->now = utc_now();
    f->job.work = look_for_old;
    f->job.finish = forget;
    desk_work(d, &f->job);
}

/* ---- time ---- */

void desk_retention_tick(struct desk *d, mono_us now)
{
    write_given_up(d);
    forget_tick(d, now);
    desk_expiry_tick(d, now);
    desk_purge_tick(d, now);
    if (d->is_retaining || now < d->next_retention || d->n_done == 0)
        return;
    struct retention *r = mem_new(sizeof(*r));
    d->is_retaining = true;
    d->n_done = 0;
    r->arena = arena_create(4 << 20);
    r->job.work = look;
    r->job.finish = drop;
    desk_work(d, &r->job);
}

/* A message has nothing left to deliver: worth a look soon. */
void desk_message_done(void *arg, uint64_t message)
{
    struct desk *d = arg;
    (void)message;
    d->n_done++;
}
