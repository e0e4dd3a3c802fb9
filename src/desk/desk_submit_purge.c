/* Submissions that are long over go: RFC 8621 section 7 lets a server destroy them. What was sent
 * stays, in the ledger and in Sent; so do those whose deliveries are not over, however old. */
#include "desk/desk_submit_int.h"

#include "store/store_account.h"

enum {
    KEPT_DAYS = 30, /* docs/operations.md, "What people send" */
    DAY_MS = 86400000,
    AT_ONCE = 2000,
    EVERY_SECONDS = 6 * 3600,
};

struct purging {
    struct worker_job job;
    uint64_t *persons; /* all that have an account */
    size_t n_persons;
    utc_ms before;
    struct arena *arena; /* of one item */
    struct record_item *gone;
    uint32_t n_gone;
    struct errinfo ei;
};

static bool is_over(const struct jmap_item_submission *s)
{
    return s->state == JMAP_CANCELED || (s->state == JMAP_FINAL && s->is_settled);
}

/* They come oldest first: the first that is young enough ends the walk. */
static bool look_at(void *arg, const struct record_item *item)
{
    struct purging *x = arg;
    struct jmap_item_submission s;
    arena_reset(x->arena);
    if (item->is_gone || !jmap_item_submission_unpack(item->body, x->arena, &s))
        return true;
    if (s.created >= x->before)
        return false;
    if (is_over(&s))
        x->gone[x->n_gone++] = (struct record_item){.account = item->account,
                                                    .kind = ITEM_SUBMISSION,
                                                    .id = item->id,
                                                    .created = item->created,
                                                    .is_gone = 1};
    return x->n_gone < AT_ONCE;
}

static void look_work(struct worker_job *job, struct store_reader *reader)
{
    struct purging *x = container_of(job, struct purging, job);
    if (!reader || !desk_catch_up(job->desk))
        return;
    for (size_t i = 0; i < x->n_persons && x->n_gone < AT_ONCE; i++)
        if (store_each_item(reader, x->persons[i], ITEM_SUBMISSION, look_at, x, &x->ei) != ERR_OK)
            return;
}

static void finish(struct purging *x)
{
    struct desk *d = x->job.desk;
    bool is_more = x->n_gone == AT_ONCE;
    d->is_purging = false;
    d->next_purge = mono_now() + SECONDS(is_more ? 10 : EVERY_SECONDS);
    arena_destroy(&x->arena);
    mem_free(&x->persons);
    mem_free(&x->gone);
    mem_free(&x);
}

static void written(void *arg, enum err) /* not written: found again next time */
{
    finish(arg);
}

static void look_finish(struct worker_job *job)
{
    struct purging *x = container_of(job, struct purging, job);
    for (uint32_t i = 0; i < x->n_gone; i++)
        desk_fate_forget(job->desk, x->gone[i].id);
    if (x->n_gone > 0)
        desk_account_items(job->desk, x->gone, x->n_gone, written, x);
    else
        finish(x);
}

/* Not while the clock is doubted: what is old is what it says. */
void desk_submit_purge_tick(struct desk *d, mono_us now)
{
    if (d->is_purging || d->is_stopping || now < d->next_purge || d->clock.is_doubted)
        return;
    struct purging *x = mem_new(sizeof(*x));
    size_t at = 0;
    void *value;
    x->persons = mem_new((map_size(d->accounts) + 1) * sizeof(*x->persons));
    while (map_next(d->accounts, &at, NULL, &value))
        x->persons[x->n_persons++] = ((struct desk_account *)value)->person;
    x->gone = mem_new(AT_ONCE * sizeof(*x->gone));
    x->arena = arena_create(4 << 20);
    x->before = utc_now() - (utc_ms)KEPT_DAYS * DAY_MS;
    x->job.work = look_work;
    x->job.finish = look_finish;
    d->is_purging = true;
    desk_work(d, &x->job);
}
