/* What people send: which submissions wait, when they are due, and who may send how much.
 *
 * The item in the account is the truth; here is a list of those that are not final, made from the
 * items at start. A submission is taken off the hands of its person at the moment when it begins to
 * be sent: that and its undoing are decided under one lock, so never both happen. */
#include "desk/desk_submit_int.h"
#include "desk/desk_state_int.h"

#include "store/store_account.h"

enum {
    RUNNING_MAX = 16, /* at once: each holds its message in memory twice */
    AGAIN_SECONDS = 10,
    HOURS = 24,
    HOUR_MS = 3600000,
    MINUTE_MS = 60000,
};

struct submission {
    uint64_t id, person;
    utc_ms due;
    bool is_running;
    bool is_begun; /* cannot be undone any more */
};

/* How much somebody sent: recipients in each of the last hours, messages in this minute. */
struct sender {
    int64_t hour; /* since 1970, of the newest bucket */
    uint32_t rcpts[HOURS];
    int64_t minute;
    uint32_t n_messages;
};

struct desk_submits {
    pthread_mutex_t lock;
    struct map *all;     /* under lock: id -> struct submission */
    struct map *senders; /* under lock: person -> struct sender */
    utc_ms next;         /* under lock: none is due before it */
    unsigned n_running;  /* loop */
};

static void free_values(struct map **m)
{
    size_t at = 0;
    void *value;
    while (map_next(*m, &at, NULL, &value))
        mem_free(&value);
    map_destroy(m);
}

void desk_submit_create(struct desk *d)
{
    struct desk_submits *s = mem_new(sizeof(*s));
    must(pthread_mutex_init(&s->lock, NULL) == 0);
    s->all = map_create();
    s->senders = map_create();
    s->next = INT64_MAX;
    d->submits = s;
}

void desk_submit_clear(struct desk *d)
{
    free_values(&d->submits->all);
    free_values(&d->submits->senders);
    (void)pthread_mutex_destroy(&d->submits->lock);
    mem_free(&d->submits);
}

/* ---- how much ---- */

static struct sender *sender_of(struct desk_submits *s, uint64_t person)
{
    struct sender *of = map_get(s->senders, KEY(person));
    if (of)
        return of;
    of = mem_new(sizeof(*of));
    map_put(s->senders, KEY(person), of);
    return of;
}

/* The buckets of hours that nobody sent anything in are empty. A clock that was put back starts
 * anew. */
static void turn_to(struct sender *of, utc_ms now)
{
    int64_t hour = now / HOUR_MS, minute = now / MINUTE_MS;
    if (hour < of->hour || hour - of->hour >= HOURS) {
        memset(of->rcpts, 0, sizeof(of->rcpts));
        of->hour = hour;
    }
    while (of->hour < hour)
        of->rcpts[++of->hour % HOURS] = 0;
    if (minute != of->minute)
        of->n_messages = 0;
    of->minute = minute;
}

static uint64_t in_a_day(const struct sender *of)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HOURS; i++)
        n += of->rcpts[i];
    return n;
}

/* REFUSE_N: it may go. */
static enum refuse_id judge_amount(const struct sender *of, size_t n_rcpts, struct slice who)
{
    const struct {
        enum refuse_id id;
        uint64_t value;
    } rows[] = {{REFUSE_SENDING_MINUTE, of->n_messages + 1},
                {REFUSE_SENDING_HOUR, of->rcpts[of->hour % HOURS] + n_rcpts},
                {REFUSE_SENDING_DAY, in_a_day(of) + n_rcpts}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        refuse_measure(rows[i].id, rows[i].value, who);
        if (refuse_would(rows[i].id, refuse_limit(rows[i].id).value, rows[i].value))
            return rows[i].id;
    }
    return REFUSE_N;
}

enum err desk_may_submit(struct desk *d, uint64_t person, struct slice who, size_t n_rcpts,
                         struct errinfo *ei)
{
    struct desk_submits *s = d->submits;
    pthread_mutex_lock(&s->lock);
    struct sender *of = sender_of(s, person);
    turn_to(of, utc_now());
    enum refuse_id refusal = judge_amount(of, n_rcpts, who);
    if (refusal == REFUSE_N) {
        of->rcpts[of->hour % HOURS] += (uint32_t)n_rcpts;
        of->n_messages++;
    }
    pthread_mutex_unlock(&s->lock);
    if (refusal == REFUSE_N)
        return ERR_OK;
    SCOPED(buf_finish) struct buf value = buf_make(100);
    refuse_add_value(&value, refusal, refuse_limit(refusal).value);
    return err_set(ei, ERR_LIMIT, "Not sent: %s (the limit is %s).", refuse(refusal, who)->text,
                   buf_cstr(&value));
}

void desk_unsubmitted(struct desk *d, uint64_t person, size_t n_rcpts, utc_ms counted)
{
    struct desk_submits *s = d->submits;
    pthread_mutex_lock(&s->lock);
    struct sender *of = sender_of(s, person);
    turn_to(of, utc_now());
    int64_t hours_ago = of->hour - counted / HOUR_MS;
    if (hours_ago >= 0 && hours_ago < HOURS) {
        uint32_t *rcpts = &of->rcpts[counted / HOUR_MS % HOURS];
        *rcpts -= *rcpts < n_rcpts ? *rcpts : (uint32_t)n_rcpts;
    }
    of->n_messages -= of->minute == counted / MINUTE_MS && of->n_messages > 0;
    pthread_mutex_unlock(&s->lock);
}

/* ---- whether ---- */

uint64_t desk_primary_of(struct desk *d, const struct directory_person *p)
{
    if (p->facts.primary || p->facts.n_addresses == 0)
        return p->facts.primary;
    const struct directory_domain *domain =
        directory_domain(d->directory, desk_domain_of(p->facts.addresses[0].text));
    return domain ? domain->facts.primary : 0;
}

bool desk_may_send(struct desk *d, const struct directory_person *p, struct buf *words)
{
    uint64_t id = desk_primary_of(d, p);
    struct desk_primary *primary = id ? desk_primary(d, id) : NULL;
    const struct directory_primary *facts = id ? directory_primary(d->directory, id) : NULL;
    const struct dir_plan *plan = id ? directory_plan(d->directory, id) : NULL;
    if (!primary || !facts)
        return true; /* hosted: there is no other system to send with */
    switch (primary->p.state) {
    case STATE_EMERGENCY:
    case STATE_RETURNING:
        return true;
    case STATE_SUSPECT:
        if (!plan || !plan->is_sending_late)
            return true;
        buf_addf(words,
                 "The mail system " SLICE_FMT " may be down, and the plan allows sending from here "
                 "when that is certain. The draft is kept; try again in a few minutes.",
                 SLICE_ARG(facts->facts.name));
        return false;
    case STATE_STANDBY:
    case STATE_N:
        break;
    }
    buf_addf(words,
             "The mail system " SLICE_FMT " works: send from there. Sending from here begins when "
             "it is down. The draft is kept.",
             SLICE_ARG(facts->facts.name));
    return false;
}

/* ---- which ---- */

static void put(struct desk_submits *s, uint64_t person, uint64_t id, utc_ms due, bool is_begun)
{
    struct submission *x = map_get(s->all, KEY(id));
    if (!x) {
        x = mem_new(sizeof(*x));
        map_put(s->all, KEY(id), x);
    }
    *x = (struct submission){.id = id, .person = person, .due = due, .is_begun = is_begun};
    if (due < s->next)
        s->next = due;
}

static void look(void *arg)
{
    desk_submit_tick(arg);
}

void desk_submitted(struct desk *d, uint64_t person, uint64_t submission, utc_ms send_at)
{
    pthread_mutex_lock(&d->submits->lock);
    put(d->submits, person, submission, send_at, false);
    pthread_mutex_unlock(&d->submits->lock);
    desk_post(d, look, d);
}

enum err desk_withdraw(struct desk *d, uint64_t submission, struct errinfo *ei)
{
    struct desk_submits *s = d->submits;
    pthread_mutex_lock(&s->lock);
    struct submission *x = map_get(s->all, KEY(submission));
    bool is_here = x && !x->is_begun;
    if (is_here) {
        map_del(s->all, KEY(submission));
        mem_free(&x);
    }
    pthread_mutex_unlock(&s->lock);
    return is_here ? ERR_OK : err_set(ei, ERR_CONFLICT, "it is being sent, or was");
}

/* The next one that is due, marked as begun; false: none now. */
static bool take_due(struct desk_submits *s, utc_ms now, uint64_t *ret_person, uint64_t *ret_id)
{
    struct submission *first = NULL;
    utc_ms next = INT64_MAX;
    size_t at = 0;
    void *value;
    pthread_mutex_lock(&s->lock);
    while (s->next <= now && map_next(s->all, &at, NULL, &value)) {
        struct submission *x = value;
        if (x->is_running)
            continue;
        if (!first || x->due < first->due)
            first = x;
        if (x->due < next)
            next = x->due;
    }
    bool is_due = first && first->due <= now;
    if (s->next <= now && !is_due)
        s->next = next;
    if (is_due) {
        first->is_running = first->is_begun = true;
        *ret_person = first->person;
        *ret_id = first->id;
    }
    pthread_mutex_unlock(&s->lock);
    return is_due;
}

void desk_submit_tick(struct desk *d)
{
    uint64_t person, id;
    while (!d->is_stopping && d->submits->n_running < RUNNING_MAX &&
           take_due(d->submits, utc_now(), &person, &id)) {
        d->submits->n_running++;
        desk_submit_send(d, person, id);
    }
}

void desk_submit_ended(struct desk *d, uint64_t submission, bool again)
{
    struct desk_submits *s = d->submits;
    pthread_mutex_lock(&s->lock);
    struct submission *x = map_get(s->all, KEY(submission));
    if (x && again) {
        put(s, x->person, submission, utc_now() + (utc_ms)AGAIN_SECONDS * 1000, true);
    } else if (x) {
        map_del(s->all, KEY(submission));
        mem_free(&x);
    }
    pthread_mutex_unlock(&s->lock);
    s->n_running--;
    desk_post(d, look, d);
}

void desk_submit_doubt(struct desk *d, uint64_t person, uint64_t submission, const char *happened,
                       const char *did)
{
    const struct directory_person *p = directory_person(d->directory, person);
    char id[MESSAGE_ID_TEXT];
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    message_id_text(submission, id);
    buf_addf(&text,
             "Submission %s of " SLICE_FMT ": %s. %s If the disk was at fault and is repaired, "
             "restart the node: it is looked at again then. Keep a copy of the data directory for "
             "the developers.",
             id, SLICE_ARG(p ? p->facts.name : SLICE("somebody who was removed")), happened, did);
    desk_event(d, EVENT_ALARM, "submission.unreadable", p ? p->tenant : 0, slice_str(id),
               buf_slice(&text), SLICE("core"));
}

/* ---- at start ---- */

struct loading {
    struct desk *desk;
    struct desk_submits *submits;
    struct arena *arena;
    utc_ms now;
    uint64_t damaged, damaged_of; /* the first that cannot be read, and whose it is */
};

/* What was sent in the last day counts against the ceilings as before. */
static void count_again(struct loading *l, const struct record_item *item,
                        const struct jmap_item_submission *s)
{
    if (s->state == JMAP_CANCELED || s->created > l->now ||
        l->now / HOUR_MS - s->created / HOUR_MS >= HOURS)
        return;
    struct sender *of = sender_of(l->submits, item->account);
    turn_to(of, l->now);
    of->rcpts[s->created / HOUR_MS % HOURS] += s->n_rcpts;
}

static bool load_one(void *arg, const struct record_item *item)
{
    struct loading *l = arg;
    struct jmap_item_submission s;
    arena_reset(l->arena);
    if (item->is_gone)
        return true;
    if (!jmap_item_submission_unpack(item->body, l->arena, &s)) {
        l->damaged_of = l->damaged ? l->damaged_of : item->account;
        l->damaged = l->damaged ? l->damaged : item->id;
        return true;
    }
    count_again(l, item, &s);
    if (s.state == JMAP_PENDING || s.state == JMAP_GOING)
        put(l->submits, item->account, item->id, s.send_at, s.state == JMAP_GOING);
    if (s.state == JMAP_FINAL && !s.is_settled)
        desk_fate_watch(l->desk, item->account, item->id, s.parts, s.n_parts);
    return true;
}

enum err desk_submit_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *arena = arena_create(4 << 20);
    struct loading l = {.desk = d, .submits = d->submits, .arena = arena, .now = utc_now()};
    enum err err = store_each_item(reader, 0, ITEM_SUBMISSION, load_one, &l, ei);
    if (err == ERR_OK && l.damaged)
        desk_submit_doubt(d, l.damaged_of, l.damaged, "its item cannot be read",
                          "If it was not sent before, it is not sent now, and there may be others: "
                          "ask this person to look what became of it.");
    return err;
}
