/* Bytes that nobody needs any more: given up in the log, so that their segments can be reused.
 *
 * The facts (ledger rows, list fields) stay. Candidates are asked of the index now and then, oldest
 * first, bounded; a message counts as droppable when every row is final and it lies in no mailbox,
 * or in one but older than the retention. */
#include "desk/desk_int.h"

enum { RETENTION_DAYS = 90, DROP_AT_ONCE = 5000, LOOK_SECONDS = 10, LOOSE_MAX = 1000 };

struct retention {
    struct worker_job job;
    struct arena *arena;
    struct record_ids ids;
    struct store_change change;
    struct buf facts;
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
    utc_ms before = utc_now() - (utc_ms)RETENTION_DAYS * 24 * 3600 * 1000;
    if (!reader || store_droppable(reader, before, DROP_AT_ONCE, r->arena, &r->ids, &ei) != ERR_OK)
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

static void give_up_again(void *arg)
{
    struct retention *r = arg;
    for (uint32_t i = 0; i < r->ids.n_ids; i++)
        desk_give_up(r->job.desk, r->ids.ids[i].id);
    retention_free(r);
}

/* The disk that refused the message often refuses this too. */
static void given_up(struct store_change *change, enum err err, const struct errinfo *)
{
    struct retention *r = change->arg;
    if (err == ERR_OK || err == ERR_CANCELED)
        retention_free(r);
    else
        desk_post(r->job.desk, give_up_again, r);
}

static void write_given_up(struct desk *d)
{
    if (d->n_loose == 0)
        return;
    struct retention *r = mem_new(sizeof(*r));
    r->job.desk = d;
    r->arena = arena_create(LOOSE_MAX * sizeof(*d->loose) + 1000);
    r->ids.ids = ARENA_ARRAY(r->arena, struct record_id, d->n_loose);
    r->ids.n_ids = d->n_loose;
    memcpy(r->ids.ids, d->loose, d->n_loose * sizeof(*d->loose));
    d->n_loose = 0;
    submit(r, given_up);
}

/* ---- time ---- */

void desk_retention_tick(struct desk *d, mono_us now)
{
    write_given_up(d);
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
