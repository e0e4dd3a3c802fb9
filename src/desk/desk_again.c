/* Giving again what a primary has lost: a disk that died and was restored from a backup lacks what
 * the primary took after the backup ended. Each delivery it confirmed since then is looked for in
 * its mailbox, by Message-ID; what is certainly not there goes into the queue again. What is there,
 * or cannot be looked for, is left alone: running it twice changes nothing. */
#include "desk/desk_again_int.h"

#include <stdio.h>

enum {
    PORTION = 500,
    PORTION_BYTES = 128 << 10, /* of its ids: all of it has to fit into a frame */
    LOOK_TIMEOUT_MS = 120000
};

/* ---- mailbox by mailbox: the loop ---- */

static struct slice mailbox_of(struct again *a, const struct again_row *l)
{
    const struct directory_person *p = directory_person(a->desk->directory, l->person);
    return p && p->facts.n_addresses ? p->facts.addresses[0].text : l->address;
}

static void finish(struct again *a, const char *text)
{
    struct desk *d = a->desk;
    const struct directory_primary *p = directory_primary(d->directory, a->primary);
    a->told.is_running = false;
    snprintf(a->told.text, sizeof(a->told.text), "%s", text);
    desk_again_forget(a);
    desk_event(d, EVENT_NOTICE, "primary.again", p ? p->tenant : 0, p ? p->facts.name : SLICE("?"),
               slice_str(text), slice_str(a->by));
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
    finish(a, text);
}

static bool ask(struct again *a)
{
    struct desk *d = a->desk;
    const struct directory_access *access = directory_access(d->directory, a->primary);
    struct ipc_message_id ids[PORTION];
    struct ipc_host hosts[16];
    struct ipc_server server;
    char user[801];
    uint32_t n = 0;
    if (!access || access->facts.master_user.n == 0 || !d->liaison.link)
        return false;
    desk_server_as(&access->facts, mailbox_of(a, &a->rows[a->first]), hosts, user, &server);
    for (size_t i = a->first; i < a->end; i++)
        ids[n++] = (struct ipc_message_id){a->rows[i].id};
    struct ipc_mailbox_has has = {.primary = a->primary,
                                  .timeout_ms = LOOK_TIMEOUT_MS,
                                  .server = &server,
                                  .n_server = 1,
                                  .ids = ids,
                                  .n_ids = n};
    SCOPED(buf_finish) struct buf b = buf_make(IPC_FRAME_MAX);
    ipc_mailbox_has_pack(&b, &has);
    return desk_send(d->liaison.link, IPC_T_mailbox_has, DESK_AGAIN_TAG | a->primary, &b);
}

static bool same_mailbox(const struct again_row *a, const struct again_row *b)
{
    return a->person == b->person && (a->person || slice_eq(a->address, b->address));
}

static void gathered(struct worker_job *job);

static void begin_page(struct again *a)
{
    a->job.work = desk_again_gather;
    a->job.finish = gathered;
    desk_work(a->desk, &a->job);
}

static void end_page(struct again *a)
{
    a->after = a->last;
    if (a->has_more)
        begin_page(a);
    else
        summarise(a);
}

static void next_mailbox(struct again *a)
{
    a->first = a->end;
    if (a->first == a->n) {
        end_page(a);
        return;
    }
    for (size_t bytes = 0; a->end < a->n && a->end - a->first < PORTION; a->end++) {
        bytes += a->rows[a->end].id.n;
        if (bytes > PORTION_BYTES || !same_mailbox(&a->rows[a->first], &a->rows[a->end]))
            break;
    }
    a->told.n_mailboxes +=
        a->first == 0 || !same_mailbox(&a->rows[a->first - 1], &a->rows[a->first]);
    if (!ask(a))
        finish(a, "It ended in the middle: the master log-in is gone, or our probing process is "
                  "starting again. Run it again; what was given is not given twice.");
}

static void order_next(struct again *a);

static void ordered(void *cookie, enum err err, const char *)
{
    struct again *a = cookie;
    a->told.n_given += err == ERR_OK;
    a->told.n_unsure += err != ERR_OK;
    order_next(a);
}

/* One after the other: each is a decision of its own, durable before the next. */
static void order_next(struct again *a)
{
    for (; a->ordering < a->end; a->ordering++) {
        struct again_row *l = &a->rows[a->ordering];
        if (!l->is_absent)
            continue;
        a->told.n_absent++;
        a->told.n_gone += l->is_dropped;
        if (l->is_dropped || a->told.is_dry)
            continue;
        a->ordering++;
        desk_order(a->desk, QUEUE_AGAIN, l->message, l->rcpt, slice_str(a->by), slice_str(a->why),
                   ordered, a);
        return;
    }
    next_mailbox(a);
}

void desk_again_told(struct desk *d, uint64_t tag, const struct ipc_mailbox_has_told *t)
{
    uint64_t primary = tag & ~DESK_AGAIN_TAG;
    struct again *a = map_get(d->agains, KEY(primary));
    if (!a || !a->told.is_running || a->end == a->first)
        return;
    for (size_t i = a->first; i < a->end; i++) {
        size_t k = i - a->first;
        uint8_t has = k < t->n_facts && a->rows[i].id.n ? t->facts[k].has : IPC_HAS_UNSURE;
        a->told.n_looked++;
        a->told.n_present += has == IPC_HAS_FOUND;
        a->told.n_unsure += has != IPC_HAS_FOUND && has != IPC_HAS_ABSENT;
        a->rows[i].is_absent = has == IPC_HAS_ABSENT;
    }
    a->ordering = a->first;
    order_next(a);
}

static void gathered(struct worker_job *job)
{
    struct again *a = container_of(job, struct again, job);
    if (a->err != ERR_OK) {
        finish(a, "The index could not be read. Try again in a moment.");
        return;
    }
    a->told.n_found = a->n_counted;
    next_mailbox(a);
}

/* ---- from outside ---- */

bool desk_again(void *arg, uint64_t primary, utc_ms since, bool is_dry, struct slice by,
                struct slice why, const char **ret_why)
{
    struct desk *d = arg;
    const struct directory_access *access = directory_access(d->directory, primary);
    struct again *a = map_get(d->agains, KEY(primary));
    if (a && a->told.is_running) {
        *ret_why = "giving again runs already; staffetta state return --since shows how far it is "
                   "when it has ended";
        return false;
    }
    if (!access || access->facts.n_hosts == 0 || access->facts.master_user.n == 0) {
        *ret_why = "what the mail system still has can only be seen with a log-in that may open "
                   "everybody's mailbox: staffetta access set --host --master-user "
                   "--master-secret";
        return false;
    }
    if (!a) {
        a = mem_new(sizeof(*a));
        map_put(d->agains, KEY(primary), a);
    }
    *a = (struct again){.desk = d,
                        .primary = primary,
                        .begun = utc_now(),
                        .told = {.is_running = true, .is_dry = is_dry, .since = since}};
    snprintf(a->by, sizeof(a->by), "%.*s", (int)(by.n < 200 ? by.n : 200), by.p);
    snprintf(a->why, sizeof(a->why), "%.*s", (int)(why.n < 300 ? why.n : 300), why.p);
    snprintf(a->told.text, sizeof(a->told.text), "It goes on.");
    begin_page(a);
    return true;
}

bool desk_again_state(void *arg, uint64_t primary, struct admin_again *ret)
{
    struct desk *d = arg;
    const struct again *a = map_get(d->agains, KEY(primary));
    if (a)
        *ret = a->told;
    return a != NULL;
}

/* Our probing process ended: its answer does not come. */
void desk_again_lost(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->agains, &at, NULL, &value)) {
        struct again *a = value;
        if (a->told.is_running && a->end > a->first && a->ordering <= a->first)
            finish(a, "It ended in the middle with our probing process. Run it again; what was "
                      "given is not given twice.");
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
