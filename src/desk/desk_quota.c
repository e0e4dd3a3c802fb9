/* Is a mailbox full? Asked when a stranger names a hosted recipient, whose mail can wait with its
 * sender; mail for people whose company has a mail system is never asked to wait for it.
 *
 * How much an account has is counted by a worker, when somebody asks and the last count is old, and
 * grows with what comes meanwhile. As long as nobody knows, and between the question and the mail,
 * more comes in than there should be: that harms nobody. */
#include "desk/desk_account_int.h"

#include "store/store_account.h"

enum { RECOUNT_SECONDS = 600, RECOUNT_FULL_SECONDS = 10, COUNTING_MAX = 8 };

struct counting {
    struct worker_job job;
    uint64_t account, bytes;
    bool is_counted;
};

static void count(struct worker_job *job, struct store_reader *reader)
{
    struct counting *k = container_of(job, struct counting, job);
    struct errinfo ei;
    k->is_counted = reader && desk_catch_up(job->desk) &&
                    store_account_bytes(reader, k->account, &k->bytes, &ei) == ERR_OK;
}

static void counted(struct worker_job *job)
{
    struct counting *k = container_of(job, struct counting, job);
    struct desk *d = job->desk;
    struct desk_account *a = desk_account(d, k->account);
    d->keep.n_counting--;
    if (a) {
        a->is_counting = false;
        a->has_bytes |= k->is_counted;
        a->bytes = k->is_counted ? k->bytes : a->bytes;
        a->counted_at = mono_now();
    }
    mem_free(&k);
}

static void count_again(struct desk *d, struct desk_account *a, bool is_full)
{
    mono_us pause = SECONDS(is_full ? RECOUNT_FULL_SECONDS : RECOUNT_SECONDS);
    bool is_young = a->has_bytes && mono_now() < a->counted_at + pause;
    if (is_young || a->is_counting || d->keep.n_counting >= COUNTING_MAX)
        return;
    struct counting *k = mem_new(sizeof(*k));
    a->is_counting = true;
    d->keep.n_counting++;
    k->account = a->person;
    k->job.work = count;
    k->job.finish = counted;
    desk_work(d, &k->job);
}

bool desk_has_quota(struct desk *d, const struct directory_route *route)
{
    return route->person && !route->primary && directory_quota(d->directory, route->person) > 0;
}

enum refuse_id desk_quota_judge(struct desk *d, const struct directory_route *route)
{
    struct desk_account *a = desk_has_quota(d, route) ? desk_account(d, route->person->id) : NULL;
    if (!a)
        return REFUSE_N;
    bool is_full = a->has_bytes && a->bytes >= directory_quota(d->directory, route->person);
    count_again(d, a, is_full);
    return is_full ? REFUSE_MAILBOX_FULL : REFUSE_N;
}
