/* Emails that are older, or more, than their company wants to keep: docs/operations.md, "How long
 * mail is kept". Accounts let go of them by tombstones, so that those who read them learn of it.
 *
 * What does not go, however old it is: what still waits for a delivery, what a person did and the
 * company's mail system does not have yet, drafts, and anything while that system is not well. What
 * is kept how long is put together on the loop, for some accounts at once; a worker looks; and what
 * changed meanwhile waits for the next round. An account that cannot be read keeps what it has, and
 * holds up nobody else. */
#include "desk/desk_mailback_int.h"

#include "store/store_account.h"

enum {
    EXPIRE_AT_ONCE = 200, /* emails; of 200 places each they still fit into a record */
    ACCOUNTS_AT_ONCE = 500,
    WALK_AT_ONCE = 5000, /* accounts, also those that let nothing go */
    ROUND_SECONDS = 3600,
    BATCH_MS = 100,
    AGAIN_SECONDS = 60,
    WRITE_SECONDS = 10,
    DAY_MS = 86400000,
};

/* What may go from an account. */
struct rule {
    uint64_t account, modseq;     /* modseq: as it was; later nothing may be sure any more */
    utc_ms before[STORE_OWN + 1]; /* of each origin, what came before; 0: it is kept for ever */
    bool is_wanted;               /* see struct mailback_done */
    uint64_t upto;
    const uint64_t *left; /* messages, in the arena */
    uint32_t n_left;
    uint64_t bytes; /* that the account may have; 0: any */
    size_t at;      /* where the walk over the accounts was before it */
};

struct expiry {
    struct worker_job job;
    struct arena *arena;
    struct rule rules[ACCOUNTS_AT_ONCE];
    uint32_t n_rules, n_looked; /* looked: this many are done */
    bool is_troubled;           /* the next one, or the rest, was not looked at for that */
    struct record_email emails[EXPIRE_AT_ONCE];
    uint32_t n;
    uint64_t over; /* bytes of the account that is being looked at, still too many */
};

/* ---- on the loop: what may go ---- */

static utc_ms days_before(utc_ms now, uint32_t days)
{
    return days ? now - (utc_ms)days * DAY_MS : 0;
}

static void set_ages(struct desk *d, const struct directory_person *p, uint64_t tenant, utc_ms now,
                     struct rule *r)
{
    const struct dir_keeping *k = directory_keeping(d->directory, tenant);
    bool is_essential = p && p->facts.is_essential;
    r->before[STORE_CAME] = days_before(now, is_essential ? k->essential_days : k->days);
    r->before[STORE_HOSTED] = days_before(now, k->hosted_days);
    r->before[STORE_OWN] = p ? days_before(now, k->own_days) : 0;
    r->bytes = !p ? 0 : is_essential ? k->essential_bytes : k->bytes;
}

static void copy_left(struct expiry *x, const struct mailback_done *done, struct rule *r)
{
    uint64_t *left = ARENA_ARRAY(x->arena, uint64_t, done->n_left);
    for (uint32_t i = 0; i < done->n_left; i++)
        left[i] = done->left[i].message;
    r->left = left;
    r->n_left = done->n_left;
}

/* False: nothing goes from it now. */
static bool make_rule(struct desk *d, struct expiry *x, const struct desk_account *a, utc_ms now,
                      struct rule *r)
{
    const struct directory_person *p = directory_person(d->directory, a->person);
    struct mailback_done done = desk_mailback_done(d, a->person);
    *r = (struct rule){
        .account = a->person, .modseq = a->modseq, .is_wanted = done.is_wanted, .upto = done.upto};
    set_ages(d, p, p ? p->tenant : a->tenant, now, r);
    if (done.is_hosted)
        r->bytes = r->before[STORE_CAME] = 0;
    else if (!done.is_wanted)
        r->before[STORE_OWN] = 0; /* nobody has it but us */
    copy_left(x, &done, r);
    return done.is_calm &&
           (r->bytes || r->before[STORE_CAME] || r->before[STORE_HOSTED] || r->before[STORE_OWN]);
}

/* The next accounts. */
static void make_rules(struct desk *d, struct expiry *x)
{
    utc_ms now = utc_now();
    size_t at = d->keep.expiry.at, n_walked = 0;
    void *value;
    for (size_t before = at; x->n_rules < ACCOUNTS_AT_ONCE && n_walked < WALK_AT_ONCE;
         before = at, n_walked++) {
        if (!map_next(d->accounts, &at, NULL, &value)) {
            d->keep.expiry.at = 0;
            return;
        }
        struct rule *r = &x->rules[x->n_rules];
        if (!make_rule(d, x, value, now, r))
            continue;
        r->at = before;
        x->n_rules++;
    }
    d->keep.expiry.at = at;
}

/* ---- on a worker: what goes ---- */

struct looking {
    struct expiry *x;
    const struct rule *rule;
    bool is_by_size;
};

static bool is_given_back(const struct rule *r, const struct store_email *e,
                          enum store_origin origin)
{
    bool is_change = origin == STORE_OWN || e->modseq > e->created;
    if (!r->is_wanted || origin == STORE_HOSTED)
        return true;
    for (uint32_t i = 0; i < r->n_left; i++)
        if (r->left[i] == e->message)
            return false;
    return !is_change || e->modseq <= r->upto;
}

static bool may_go(const struct looking *l, const struct store_email *e, enum store_origin origin)
{
    const struct rule *r = l->rule;
    if ((e->flags & EMAIL_DRAFT) || !is_given_back(r, e, origin))
        return false;
    if (l->is_by_size)
        return origin == STORE_CAME;
    return e->message < (uint64_t)r->before[origin] << 20;
}

static void keep(struct expiry *x, uint64_t account, const struct store_email *e)
{
    struct record_email *to = &x->emails[x->n++];
    *to = (struct record_email){.account = account,
                                .message = e->message,
                                .thread = e->thread,
                                .received = e->received,
                                .flags = e->flags,
                                .places =
                                    ARENA_ARRAY(x->arena, struct record_place, e->list.n_places),
                                .n_places = e->list.n_places};
    for (uint32_t i = 0; i < e->list.n_places; i++)
        to->places[i] = e->list.places[i];
}

static bool is_kept_already(const struct expiry *x, uint64_t account, uint64_t message)
{
    for (uint32_t i = 0; i < x->n; i++)
        if (x->emails[i].account == account && x->emails[i].message == message)
            return true;
    return false;
}

static bool see(void *arg, const struct store_email *e, enum store_origin origin, bool is_open)
{
    struct looking *l = arg;
    struct expiry *x = l->x;
    if (is_open || !may_go(l, e, origin) ||
        (l->is_by_size && is_kept_already(x, l->rule->account, e->message)))
        return true;
    keep(x, l->rule->account, e);
    x->over -= e->bytes < x->over ? e->bytes : x->over;
    return x->n < EXPIRE_AT_ONCE && (!l->is_by_size || x->over > 0);
}

static enum err look_at(struct expiry *x, const struct rule *r, struct store_reader *reader,
                        struct errinfo *ei)
{
    struct looking l = {.x = x, .rule = r};
    uint64_t bytes = 0;
    utc_ms before = r->before[STORE_CAME];
    for (int i = STORE_HOSTED; i <= STORE_OWN; i++)
        before = r->before[i] > before ? r->before[i] : before;
    enum err err = r->bytes ? store_account_bytes(reader, r->account, &bytes, ei) : ERR_OK;
    x->over = bytes > r->bytes ? bytes - r->bytes : 0;
    if (err == ERR_OK && before)
        err = store_each_old(reader, r->account, before, see, &l, ei);
    l.is_by_size = true;
    if (err == ERR_OK && r->bytes && x->over > 0 && x->n < EXPIRE_AT_ONCE)
        err = store_each_old(reader, r->account, INT64_MAX, see, &l, ei);
    return err;
}

/* In doubt all of it stays. One such account is enough for a batch: a disk that fails for all of
 * them is told once a minute, and what the arena has of it goes with the batch. */
static void look_at_next(struct expiry *x, struct store_reader *reader)
{
    const struct rule *r = &x->rules[x->n_looked++];
    uint32_t n_before = x->n;
    struct errinfo ei;
    if (look_at(x, r, reader, &ei) == ERR_OK)
        return;
    x->n = n_before;
    x->is_troubled = true;
    log_event(EV_STORE_TROUBLE, "what=\"old mail is not let go\" person=%llx why=%s",
              (unsigned long long)r->account, log_text(slice_str(ei.text)));
}

/* A rule's number was given to a change that may still wait to be written: an email that looks
 * untouched would go with the places and flags that it had before. So everything that was submitted
 * until now has to be in the index. (Numbers cannot tell: of a record that was refused there is
 * nothing to wait for.) */
static bool knows_all_changes(struct desk *d)
{
    return store_wait_written(d->store, SECONDS(WRITE_SECONDS)) == ERR_OK && desk_catch_up(d);
}

static void look(struct worker_job *job, struct store_reader *reader)
{
    struct expiry *x = container_of(job, struct expiry, job);
    x->is_troubled = !reader || !knows_all_changes(job->desk);
    while (x->n_looked < x->n_rules && x->n < EXPIRE_AT_ONCE && !x->is_troubled &&
           !desk_is_ending(job->desk))
        look_at_next(x, reader);
}

/* ---- on the loop: it goes ---- */

/* And its mail system is still well: else people read here what may go at other times. */
static bool is_as_it_was(struct desk *d, const struct expiry *x, uint64_t account)
{
    const struct desk_account *a = desk_account(d, account);
    if (!desk_mailback_done(d, account).is_calm)
        return false;
    for (uint32_t i = 0; a && i < x->n_rules; i++)
        if (x->rules[i].account == account)
            return a->modseq == x->rules[i].modseq;
    return false;
}

/* Those of one account stand together. */
static uint32_t drop_what_changed(struct desk *d, struct expiry *x)
{
    uint32_t n = 0;
    bool is_same = false;
    uint64_t account = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->emails[i].account != account)
            is_same = is_as_it_was(d, x, x->emails[i].account);
        account = x->emails[i].account;
        if (is_same)
            x->emails[n++] = x->emails[i];
    }
    return n;
}

static void expire(struct worker_job *job)
{
    struct expiry *x = container_of(job, struct expiry, job);
    struct desk *d = job->desk;
    bool is_full = x->n == EXPIRE_AT_ONCE;
    uint32_t n_found = x->n, next = x->n_looked - is_full; /* the last account may have more */
    bool has_more = next < x->n_rules;
    if (has_more)
        d->keep.expiry.at = x->rules[next].at;
    mono_us pause = has_more || d->keep.expiry.at ? MILLISECONDS(BATCH_MS) : SECONDS(ROUND_SECONDS);
    x->n = drop_what_changed(d, x);
    if (x->is_troubled)
        pause = SECONDS(AGAIN_SECONDS);
    else if (is_full)
        pause = SECONDS(1);
    else if (x->n < n_found) /* somebody is busy in it */
        pause = SECONDS(AGAIN_SECONDS);
    d->keep.expiry.is_running = false;
    d->keep.expiry.next = mono_now() + pause;
    d->n_done += x->n; /* there is something to drop */
    desk_emails_gone(d, x->emails, x->n);
    arena_destroy(&x->arena);
    mem_free(&x);
}

/* Not while the clock is doubted: what is old is what it says. */
void desk_expiry_tick(struct desk *d, mono_us now)
{
    if (d->keep.expiry.is_running || now < d->keep.expiry.next || d->clock.is_doubted)
        return;
    struct expiry *x = mem_new(sizeof(*x));
    d->keep.expiry.is_running = true;
    x->arena = arena_create(8 << 20);
    make_rules(d, x);
    x->job.work = look;
    x->job.finish = expire;
    desk_work(d, &x->job);
}
