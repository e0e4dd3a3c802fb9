/* Tombstones of accounts go when they are old: docs/disk-format.md, "Tombstones".
 *
 * A worker looks through the accounts, some at once, which have tombstones and no young mark; what
 * was destroyed and is not given back yet is known on the loop, which writes. Every record stands
 * for itself, and one that is not written is found again with the next round. */
#include "desk/desk_mailback_int.h"

#include "store/store_account.h"

enum {
    TOMBSTONE_DAYS = 30,
    PURGE_HOURS = 6,
    ACCOUNTS_AT_ONCE = 500,
    TOMBSTONES_AT_ONCE = 2000, /* of an account; what changed with one number goes together */
};

struct found {
    uint64_t account, floor, modseq, upto;
    bool is_marked, is_all;
};

struct purge {
    struct worker_job job;
    struct store_purge_wish wish;
    utc_ms now;
    struct found found[ACCOUNTS_AT_ONCE];
    uint32_t n;
    struct store_change change;
    struct buf facts;
};

static void purge_free(struct purge *p)
{
    buf_finish(&p->facts);
    mem_free(&p);
}

static bool keep_found(void *arg, const struct store_purgeable *found)
{
    struct purge *p = arg;
    p->found[p->n++] = (struct found){.account = found->account.person,
                                      .floor = found->account.floor,
                                      .modseq = found->account.modseq,
                                      .upto = found->upto,
                                      .is_marked = found->mark != 0,
                                      .is_all = found->is_all};
    return p->n < ACCOUNTS_AT_ONCE;
}

static void look(struct worker_job *job, struct store_reader *reader)
{
    struct purge *p = container_of(job, struct purge, job);
    struct errinfo ei;
    if (!reader || !desk_catch_up(job->desk) || /* what was purged a second ago is gone */
        store_each_purgeable(reader, &p->wish, keep_found, p, &ei) != ERR_OK)
        p->n = 0;
}

/* What went up to here nobody has to be told any more. */
static uint64_t may_go(struct desk *d, uint64_t account)
{
    struct mailback_done done = desk_mailback_done(d, account);
    if (!done.is_calm)
        return 0;
    for (uint32_t i = 0; i < done.n_left; i++)
        if (done.left[i].why == MAILBACK_WAITS || done.left[i].why == MAILBACK_LATER)
            return 0;
    return done.is_wanted ? done.upto : UINT64_MAX;
}

/* False: nothing to write. */
static bool decide(struct desk *d, const struct found *f, utc_ms now, struct record_purged *ret)
{
    uint64_t may = may_go(d, f->account);
    bool is_held = f->upto > may;
    uint64_t floor = is_held ? may : f->upto;
    *ret = (struct record_purged){.account = f->account, .floor = floor > f->floor ? floor : 0};
    if (!f->is_marked || f->is_all || is_held) { /* otherwise the mark stays until the rest went */
        ret->mark = f->modseq;
        ret->time = now;
    }
    return ret->floor || ret->mark;
}

static void written(struct store_change *change, enum err, const struct errinfo *)
{
    purge_free(change->arg);
}

static void write_purges(struct purge *p)
{
    struct desk *d = p->job.desk;
    struct record_purged purges[ACCOUNTS_AT_ONCE];
    struct record_purges all = {.purges = purges};
    for (uint32_t i = 0; i < p->n; i++)
        all.n_purges += decide(d, &p->found[i], p->now, &purges[all.n_purges]);
    if (all.n_purges == 0) {
        purge_free(p);
        return;
    }
    p->facts = buf_make(STORE_RECORD_MAX);
    record_purges_pack(&p->facts, &all);
    must(!p->facts.failed); /* 32 bytes each */
    p->change = (struct store_change){.type = RECORD_PURGED,
                                      .is_lazy = true,
                                      .facts = buf_slice(&p->facts),
                                      .done = written,
                                      .arg = p};
    store_submit(d->store, &p->change);
}

static void go_on(struct worker_job *job)
{
    struct purge *p = container_of(job, struct purge, job);
    struct desk *d = job->desk;
    bool is_more = p->n == ACCOUNTS_AT_ONCE;
    for (uint32_t i = 0; i < p->n && !is_more; i++)
        is_more = p->found[i].is_marked && !p->found[i].is_all;
    d->keep.purge.is_running = false;
    d->keep.purge.after = p->n == ACCOUNTS_AT_ONCE ? p->found[p->n - 1].account : 0;
    d->keep.purge.next = mono_now() + (is_more ? SECONDS(1) : SECONDS(PURGE_HOURS * 3600));
    write_purges(p);
}

/* Not while the clock is doubted: what is old is what it says. */
void desk_purge_tick(struct desk *d, mono_us now)
{
    if (d->keep.purge.is_running || now < d->keep.purge.next || d->clock.is_doubted)
        return;
    struct purge *p = mem_new(sizeof(*p));
    d->keep.purge.is_running = true;
    p->now = utc_now();
    p->wish = (struct store_purge_wish){.after = d->keep.purge.after,
                                        .before = p->now - TOMBSTONE_DAYS * 86400000LL,
                                        .most = TOMBSTONES_AT_ONCE};
    p->job.work = look;
    p->job.finish = go_on;
    desk_work(d, &p->job);
}
