/* Giving again what a primary has lost: a disk that died and was restored from a backup lacks what
 * the primary took after the backup ended. Each delivery it confirmed since then is looked for in
 * its mailbox, by Message-ID; what is certainly not there goes into the queue again. What is there,
 * or cannot be looked for, is left alone: running it twice changes nothing. */
#include "desk/desk_again_int.h"

#include <stdio.h>

enum {
    PORTION = 500,
    PORTION_BYTES = 128 << 10, /* of its ids: all of it has to fit into a frame */
    LOOK_TIMEOUT_MS = 120000,
    LOOK_TRIES = 3,         /* of one portion, when our own process dies of it … */
    BUSY_TRIES = 15,        /* … or has too much to do, or cannot look at all */
    LOOK_PAUSE_SECONDS = 2, /* between them */
    LINK_SECONDS = 60,      /* that process is away for longer: it does not come */
    SHUT_MOST = 10,         /* mailboxes in a row that could not be opened: none can */
    PAUSE_SECONDS = 1,
    KEEP_AGAIN_SECONDS = 10,
    PAUSES_MOST = 60, /* for a disk that refuses, an administration that has too much to do */
};

static void next_portion(struct again *a);
static void order_next(struct again *a);

/* ---- the end ---- */

/* People are told when the end is durable, or they would be told twice. */
static void tell(struct again *a)
{
    const struct directory_primary *p = directory_primary(a->desk->directory, a->primary);
    desk_event(a->desk, EVENT_NOTICE, "primary.again", p ? p->tenant : 0,
               p ? p->facts.name : SLICE("?"), slice_str(a->told.text), slice_str(a->who.by));
}

static void keep_end(struct again *a)
{
    a->until = mono_now() + SECONDS(KEEP_AGAIN_SECONDS);
    desk_again_keep(a);
}

static void finish(struct again *a, const char *text)
{
    a->phase = AGAIN_OVER;
    a->told.is_running = false;
    snprintf(a->told.text, sizeof(a->told.text), "%s", text);
    desk_again_forget(a);
    a->is_untold = true;
    keep_end(a);
}

static void finish_early(struct again *a, const char *why)
{
    char text[300];
    snprintf(text, sizeof(text),
             "It ended in the middle: %.180s. Run it again; what was given is not given twice.",
             why);
    finish(a, text);
}

/* Nothing is on its way: a person wanted it to end here. */
static bool is_stopped_here(struct again *a)
{
    char text[300];
    if (!a->is_stopped || a->phase == AGAIN_OVER)
        return a->is_stopped;
    a->who = a->stopper;
    a->told.n_looked = a->told.n_looked < a->told.n_found ? a->told.n_looked : a->told.n_found;
    snprintf(text, sizeof(text),
             "It was stopped by %.60s (%.100s). What was given until then stays given; run again, "
             "it goes on.",
             a->who.by, a->who.why);
    finish(a, text);
    return true;
}

static void summarise(struct again *a)
{
    char text[300];
    struct admin_again *t = &a->told;
    t->n_found = t->n_looked; /* what others decided meanwhile was not looked for */
    snprintf(text, sizeof(text),
             "Of %llu deliveries since then it still has %llu and has lost %llu; %s%llu given "
             "again, %llu no longer kept here, %llu could not be looked for and were left alone.",
             (unsigned long long)t->n_found, (unsigned long long)t->n_present,
             (unsigned long long)t->n_absent, t->is_dry ? "nothing was given, would be " : "",
             (unsigned long long)(t->is_dry ? t->n_absent - t->n_gone : t->n_given),
             (unsigned long long)t->n_gone, (unsigned long long)t->n_unsure);
    t->is_whole = true;
    finish(a, text);
}

/* ---- a look into one mailbox ---- */

static struct slice mailbox_of(struct again *a, const struct again_row *l)
{
    const struct directory_person *p = directory_person(a->desk->directory, l->person);
    return p && p->facts.n_addresses ? p->facts.addresses[0].text : l->address;
}

/* False: nobody said how this one is opened. */
static bool open_as(struct again *a, const struct directory_access *access, struct desk_server *ret)
{
    const struct again_row *row = &a->rows[a->first];
    const struct directory_person *p = directory_person(a->desk->directory, row->person);
    return p ? desk_server_of(a->desk, a->primary, p, ret)
             : desk_server_all(a->desk, access, mailbox_of(a, row), ret);
}

enum look { LOOK_SENT, LOOK_NO_LINK, LOOK_UNABLE };

static enum look send_look(struct again *a, const struct directory_access *access)
{
    struct desk *d = a->desk;
    struct ipc_message_id ids[PORTION];
    struct desk_server way;
    uint32_t n = 0;
    if (!open_as(a, access, &way))
        return LOOK_UNABLE;
    for (size_t i = a->first; i < a->end; i++)
        ids[n++] = (struct ipc_message_id){a->rows[i].id};
    struct ipc_mailbox_has has = {.primary = a->primary,
                                  .timeout_ms = LOOK_TIMEOUT_MS,
                                  .server = &way.server,
                                  .n_server = 1,
                                  .ids = ids,
                                  .n_ids = n};
    SCOPED(buf_finish) struct buf b = buf_make(IPC_FRAME_MAX);
    ipc_mailbox_has_pack(&b, &has);
    a->tag = DESK_AGAIN_TAG | desk_next_id(d);
    return desk_send(d->liaison.link, IPC_T_mailbox_has, a->tag, &b) ? LOOK_SENT : LOOK_NO_LINK;
}

static void wait_for(struct again *a, enum again_phase phase, unsigned seconds)
{
    a->phase = phase;
    a->until = mono_now() + SECONDS(seconds);
}

/* False: this mailbox cannot be looked into. */
static bool look(struct again *a)
{
    const struct directory_access *access = directory_access(a->desk->directory, a->primary);
    mono_us now = mono_now();
    if (!access || access->facts.n_hosts == 0) {
        finish_early(a, "nobody says any more how its mailboxes are opened");
        return true;
    }
    switch (send_look(a, access)) {
    case LOOK_SENT:
        a->phase = AGAIN_LOOKING;
        a->until = now + MILLISECONDS(2 * LOOK_TIMEOUT_MS);
        a->link_until = 0;
        return true;
    case LOOK_NO_LINK:
        if (a->link_until && now >= a->link_until) {
            finish_early(a, "our probing process does not start");
            return true;
        }
        if (!a->link_until)
            a->link_until = now + SECONDS(LINK_SECONDS);
        wait_for(a, AGAIN_WAITING_TO_LOOK, LOOK_PAUSE_SECONDS);
        return true;
    case LOOK_UNABLE:
        break;
    }
    return false;
}

/* ---- portion by portion ---- */

static bool same_mailbox(const struct again_row *a, const struct again_row *b)
{
    return a->person == b->person && (a->person || slice_eq(a->address, b->address));
}

static void begin_page(struct again *a);

static void end_page(struct again *a)
{
    a->after = a->last;
    a->is_resumed = false;
    if (!a->has_more) {
        summarise(a);
        return;
    }
    desk_again_keep(a); /* each decision of the page was durable before */
    begin_page(a);
}

/* Of one mailbox, as many as fit into a question. Is there anything to ask? */
static bool cut_portion(struct again *a)
{
    size_t bytes = 0;
    a->first = a->end;
    for (; a->end < a->n && a->end - a->first < PORTION; a->end++) {
        size_t n = a->rows[a->end].id.n;
        if (bytes + n > PORTION_BYTES || !same_mailbox(&a->rows[a->first], &a->rows[a->end]))
            break;
        bytes += n;
    }
    return bytes > 0;
}

static void leave_portion(struct again *a)
{
    a->told.n_looked += a->end - a->first;
    a->told.n_unsure += a->end - a->first;
}

/* What is asked next of this mailbox would have no other answer. */
static void leave_mailbox(struct again *a)
{
    while (a->end < a->n && same_mailbox(&a->rows[a->first], &a->rows[a->end]))
        a->end++;
    leave_portion(a);
}

static void next_portion(struct again *a)
{
    if (is_stopped_here(a))
        return;
    while (a->end < a->n) {
        bool has_ids = cut_portion(a);
        a->n_tries = 0;
        a->told.n_mailboxes +=
            a->first == 0 || !same_mailbox(&a->rows[a->first - 1], &a->rows[a->first]);
        if (!has_ids)
            leave_portion(a);
        else if (look(a))
            return;
        else
            leave_mailbox(a);
    }
    end_page(a);
}

/* Nobody could be seen in it: this one is left alone; when none can be opened, all of them. */
static void note_shut(struct again *a, const char *why)
{
    char text[200];
    snprintf(text, sizeof(text), "%d mailboxes in a row could not be opened (%.120s)", SHUT_MOST,
             why);
    if (++a->n_shut == SHUT_MOST)
        finish_early(a, text);
}

/* Our own process failed: that says nothing about the mailbox. */
static void look_failed(struct again *a, unsigned tries, const char *why)
{
    if (++a->n_tries < tries) {
        wait_for(a, AGAIN_WAITING_TO_LOOK, LOOK_PAUSE_SECONDS);
        return;
    }
    leave_mailbox(a);
    note_shut(a, why);
    if (a->phase != AGAIN_OVER)
        next_portion(a);
}

/* ---- what is lost goes into the queue again ---- */

static bool is_for_later(enum err err)
{
    return err == ERR_RETRY || err == ERR_LIMIT || err == ERR_FULL || err == ERR_IO;
}

static void ordered(void *cookie, enum err err, const char *why_not)
{
    struct again *a = cookie;
    if (is_for_later(err) && ++a->n_tries < PAUSES_MOST) {
        wait_for(a, AGAIN_WAITING_TO_ORDER, PAUSE_SECONDS);
        return;
    }
    if (is_for_later(err)) {
        finish_early(a, why_not);
        return;
    }
    a->n_tries = 0;
    a->told.n_given += err == ERR_OK;
    a->told.n_unsure += err != ERR_OK;
    a->ordering++;
    order_next(a);
}

/* One after the other: each is a decision of its own, durable before the next. */
static void order_next(struct again *a)
{
    if (is_stopped_here(a))
        return;
    while (a->ordering < a->end && !a->rows[a->ordering].is_lost)
        a->ordering++;
    if (a->desk->is_stopping)
        return;
    if (a->ordering == a->end) {
        next_portion(a);
        return;
    }
    const struct again_row *row = &a->rows[a->ordering];
    a->phase = AGAIN_ORDERING;
    desk_order(a->desk, QUEUE_AGAIN, row->message, row->rcpt, slice_str(a->who.by),
               slice_str(a->who.why), ordered, a);
}

static void count(struct again *a, struct again_row *row)
{
    struct admin_again *t = &a->told;
    bool is_absent = row->has == IPC_HAS_ABSENT, is_present = row->has == IPC_HAS_FOUND;
    t->n_looked++;
    t->n_present += is_present;
    t->n_absent += is_absent;
    t->n_gone += is_absent && row->is_dropped;
    t->n_unsure += !is_present && !is_absent;
    row->is_lost = is_absent && !row->is_dropped && !t->is_dry;
}

static void settle(struct again *a)
{
    for (size_t i = a->first; i < a->end; i++)
        count(a, &a->rows[i]);
    a->n_tries = 0;
    a->ordering = a->first;
    order_next(a);
}

static void checked(struct worker_job *job)
{
    struct again *a = container_of(job, struct again, job);
    if (!a->desk->is_stopping)
        settle(a);
}

static void begin_check(struct again *a)
{
    a->phase = AGAIN_CHECKING;
    a->job.work = desk_again_check;
    a->job.finish = checked;
    desk_work(a->desk, &a->job);
}

/* True: something is said to be absent that could be given. */
static bool take_facts(struct again *a, const struct ipc_mailbox_has_told *t)
{
    bool has_lost = false;
    for (size_t i = a->first; i < a->end; i++) {
        struct again_row *row = &a->rows[i];
        row->has = row->id.n ? t->facts[i - a->first].has : IPC_HAS_UNSURE;
        has_lost |= row->has == IPC_HAS_ABSENT && !row->is_dropped;
    }
    return has_lost;
}

static bool is_any_sure(const struct ipc_mailbox_has_told *t)
{
    for (uint32_t i = 0; i < t->n_facts; i++)
        if (t->facts[i].has == IPC_HAS_FOUND || t->facts[i].has == IPC_HAS_ABSENT)
            return true;
    return false;
}

bool desk_again_told(struct desk *d, uint64_t tag, const struct ipc_mailbox_has_told *t)
{
    struct again *a = map_get(d->agains, KEY(t->primary));
    char why[160];
    if (!a || a->phase != AGAIN_LOOKING || tag != a->tag)
        return true; /* nobody waits for it any more */
    if (t->n_facts != a->end - a->first)
        return false;
    snprintf(why, sizeof(why), "at %s: %.*s",
             t->step < IPC_STEP_N ? ipc_look_step_name(t->step) : "?",
             (int)(t->text.n < 120 ? t->text.n : 120), t->text.n ? t->text.p : "");
    if (t->is_ours && !is_any_sure(t)) {
        look_failed(a, BUSY_TRIES, why);
        return true;
    }
    if (t->n_folders == 0 && !is_any_sure(t)) {
        leave_mailbox(a);
        note_shut(a, why);
        if (a->phase != AGAIN_OVER)
            next_portion(a);
        return true;
    }
    a->n_shut = 0;
    if (take_facts(a, t))
        begin_check(a);
    else
        settle(a);
    return true;
}

/* ---- pages ---- */

static void gathered(struct worker_job *job)
{
    struct again *a = container_of(job, struct again, job);
    if (a->err != ERR_OK && ++a->n_tries < PAUSES_MOST) {
        wait_for(a, AGAIN_WAITING_TO_READ, PAUSE_SECONDS);
        return;
    }
    if (a->err != ERR_OK) {
        finish_early(a, "the index could not be read");
        return;
    }
    a->told.n_found = a->n_counted;
    a->told.n_looked += a->n_given;
    a->told.n_absent += a->n_given;
    a->told.n_given += a->n_given;
    if (!a->desk->is_stopping)
        next_portion(a);
}

static void begin_page(struct again *a)
{
    a->phase = AGAIN_READING;
    a->job.work = desk_again_gather;
    a->job.finish = gathered;
    desk_work(a->desk, &a->job);
}

/* ---- time ---- */

static void tick(struct again *a)
{
    switch (a->phase) {
    case AGAIN_LOOKING:
        finish_early(a, "our probing process gave no answer");
        return;
    case AGAIN_WAITING_TO_LOOK:
        if (look(a))
            return;
        leave_mailbox(a);
        next_portion(a);
        return;
    case AGAIN_WAITING_TO_ORDER:
        order_next(a);
        return;
    case AGAIN_WAITING_TO_READ:
        begin_page(a);
        return;
    case AGAIN_OVER:
        if (a->is_untold)
            keep_end(a); /* the disk refused */
        return;
    case AGAIN_KEEPING:
    case AGAIN_READING:
    case AGAIN_CHECKING:
    case AGAIN_ORDERING:
        return; /* the worker and the store always answer */
    }
}

void desk_again_tick(struct desk *d, mono_us now)
{
    size_t at = 0;
    void *value;
    while (!d->is_stopping && map_next(d->agains, &at, NULL, &value)) {
        struct again *a = value;
        if (now >= a->until)
            tick(a);
    }
}

/* ---- from outside ---- */

void desk_again_kept(struct again *a, enum err err)
{
    if (a->phase == AGAIN_KEEPING) {
        a->phase = AGAIN_OVER;
        a->told.is_running = err == ERR_OK;
        if (err == ERR_OK)
            begin_page(a);
        else
            snprintf(a->told.text, sizeof(a->told.text), "The order could not be written.");
        a->done(a->cookie, err, err == ERR_OK ? "" : "the order could not be written");
        a->done = NULL;
    } else if (a->is_untold && err == ERR_OK) {
        a->is_untold = false;
        tell(a);
        if (a->done)
            a->done(a->cookie, ERR_OK, "");
        a->done = NULL;
    }
}

struct again *desk_again_of(struct desk *d, uint64_t primary)
{
    struct again *a = map_get(d->agains, KEY(primary));
    if (a)
        return a;
    a = mem_new(sizeof(*a));
    a->desk = d;
    a->primary = primary;
    map_put(d->agains, KEY(primary), a);
    return a;
}

static const char *why_not(struct desk *d, uint64_t primary)
{
    const struct directory_access *access = directory_access(d->directory, primary);
    const struct again *a = map_get(d->agains, KEY(primary));
    if (a && (a->told.is_running || a->is_untold))
        return "giving again runs already; staffetta state again shows how far it is";
    if (!access || access->facts.n_hosts == 0)
        return "what the mail system still has can only be seen in its mailboxes: staffetta access "
               "set --host --master-user --master-secret";
    return NULL;
}

static void say_who(const struct admin_again_order *o, struct again_who *ret)
{
    snprintf(ret->by, sizeof(ret->by), "%.*s", (int)(o->by.n < 200 ? o->by.n : 200), o->by.p);
    snprintf(ret->why, sizeof(ret->why), "%.*s", (int)(o->why.n < 300 ? o->why.n : 300), o->why.p);
}

void desk_again(void *arg, const struct admin_again_order *o,
                void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    struct desk *d = arg;
    const char *text = why_not(d, o->primary);
    if (text) {
        done(cookie, ERR_CONFLICT, text);
        return;
    }
    struct again *a = desk_again_of(d, o->primary);
    *a = (struct again){.desk = d,
                        .primary = o->primary,
                        .phase = AGAIN_KEEPING,
                        .n_written = a->n_written,
                        .begun = utc_now(),
                        .done = done,
                        .cookie = cookie,
                        .told = {.is_running = true, .is_dry = o->is_dry, .since = o->since}};
    say_who(o, &a->who);
    snprintf(a->told.text, sizeof(a->told.text), "It goes on.");
    desk_again_keep(a);
}

void desk_again_stop(void *arg, const struct admin_again_order *o,
                     void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    struct desk *d = arg;
    struct again *a = map_get(d->agains, KEY(o->primary));
    if (!a || !a->told.is_running || a->phase == AGAIN_KEEPING || a->is_stopped) {
        done(cookie, ERR_CONFLICT,
             a && a->told.is_running ? "it is being begun or stopped at this moment"
                                     : "nothing is being given again");
        return;
    }
    a->is_stopped = true;
    a->done = done;
    a->cookie = cookie;
    say_who(o, &a->stopper);
    bool is_between = a->phase == AGAIN_WAITING_TO_READ || a->phase == AGAIN_WAITING_TO_LOOK ||
                      a->phase == AGAIN_WAITING_TO_ORDER || a->phase == AGAIN_LOOKING;
    if (is_between) /* else the worker or the store answers first */
        (void)is_stopped_here(a);
}

bool desk_again_state(void *arg, uint64_t primary, struct admin_again *ret)
{
    struct desk *d = arg;
    const struct again *a = map_get(d->agains, KEY(primary));
    if (a)
        *ret = a->told;
    return a != NULL;
}

void desk_again_lost(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->agains, &at, NULL, &value)) {
        struct again *a = value;
        if (a->phase == AGAIN_LOOKING)
            look_failed(a, LOOK_TRIES, "our probing process ended");
    }
}

void desk_again_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->agains, &at, NULL, &value)) {
        struct again *a = value;
        desk_again_forget(a);
        mem_free(&a);
    }
    map_destroy(&d->agains);
}
