/* Bytes that nobody needs any more: given up in the log, so that their segments can be reused.
 *
 * The facts (ledger rows, list fields) stay. Candidates are asked of the index now and then, oldest
 * first, bounded; a message counts as droppable when every row is final and it lies in no mailbox,
 * or in one but older than the retention. */
#include "desk/desk_int.h"

enum { RETENTION_DAYS = 90, DROP_AT_ONCE = 5000, LOOK_SECONDS = 10 };

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
    r->ids.time = utc_now();
    r->facts = buf_make(STORE_RECORD_MAX);
    record_ids_pack(&r->facts, &r->ids);
    r->change = (struct store_change){.type = RECORD_DROPPED,
                                      .is_lazy = true,
                                      .facts = buf_slice(&r->facts),
                                      .done = dropped,
                                      .arg = r};
    store_submit(d->store, &r->change);
}

void desk_retention_tick(struct desk *d, mono_us now)
{
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
