/* Changes of the administration, one at a time: each is written, synced, applied to memory and to
 * the index, and only then answered; so the next one is decided on what is really there. */
#include "desk/desk_account_int.h"
#include "desk/desk_state_int.h"

enum { CHANGES_MAX = 256 };

struct change {
    struct list node;
    struct desk *desk;
    struct store_change objects_change, mailboxes_change;
    struct buf objects, mailboxes; /* packed copies */
    struct arena *arena;
    int n_left;
    enum err err;
    struct errinfo why;
    uint64_t pos;
    void (*done)(void *cookie, enum err err, const char *why);
    void *cookie;
    desk_make_fn *make; /* what is in `objects`, when its turn comes; or NULL */
    /* an order instead */
    bool is_order;
    enum queue_order what;
    uint64_t message;
    uint16_t rcpt;
    struct slice by, reason;
    struct worker_job job;
    struct store_row row;
    bool has_row;
    struct queue_facts facts; /* of its message */
    struct queue_body *body;  /* for a notice */
};

static void next_change(struct desk *d);

static void change_free(struct change *c)
{
    buf_finish(&c->objects);
    buf_finish(&c->mailboxes);
    queue_body_unref(&c->body);
    arena_destroy(&c->arena);
    mem_free(&c);
}

static void change_tell(struct change *c)
{
    c->done(c->cookie, c->err, c->err == ERR_OK ? "" : c->why.text);
    change_free(c);
}

/* The one whose turn it was: the next may go. */
static void change_end(struct change *c)
{
    struct desk *d = c->desk;
    d->is_changing = false;
    change_tell(c);
    next_change(d);
}

static void change_shown(void *arg)
{
    change_end(arg);
}

static void change_applied(void *arg)
{
    struct change *c = arg;
    desk_post(c->desk, change_shown, c);
}

/* ---- objects and mailboxes ---- */

static void take_over(struct change *c)
{
    struct desk *d = c->desk;
    struct record_objects objects;
    struct record_mailboxes mailboxes;
    if (c->mailboxes.n && record_mailboxes_unpack(buf_slice(&c->mailboxes), c->arena, &mailboxes))
        for (uint32_t i = 0; i < mailboxes.n_mailboxes; i++)
            desk_account_mailbox(d, &mailboxes.mailboxes[i]);
    must(!c->objects.n || record_objects_unpack(buf_slice(&c->objects), c->arena, &objects));
    for (uint32_t i = 0; c->objects.n && i < objects.n_objects; i++) {
        struct errinfo ei;
        must(directory_apply(d->directory, &objects.objects[i], &ei) == ERR_OK);
        desk_alerts_apply(d, &objects.objects[i]);
        desk_mailback_apply(d, &objects.objects[i]);
    }
    desk_send_facts(d);
}

static void change_durable(void *arg)
{
    struct change *c = arg;
    if (c->err != ERR_OK) {
        change_end(c);
        return;
    }
    take_over(c);
    store_when_applied(c->desk->store, c->pos, change_applied, c);
}

static void part_written(struct store_change *change, enum err err, const struct errinfo *ei)
{
    struct change *c = change->arg;
    if (err != ERR_OK) {
        c->err = err;
        c->why = *ei;
    }
    c->pos = change->pos;
    if (--c->n_left == 0)
        desk_post(c->desk, change_durable, c);
}

static void submit_part(struct change *c, struct store_change *change, enum record_type type,
                        struct buf *facts)
{
    *change = (struct store_change){
        .type = (uint16_t)type, .facts = buf_slice(facts), .done = part_written, .arg = c};
    store_submit(c->desk->store, change);
}

/* ---- orders about rows ---- */

static void order_done(void *arg, enum err err, uint64_t pos)
{
    struct change *c = arg;
    c->err = err;
    if (err != ERR_OK)
        (void)err_set(&c->why, err, "the decision could not be written");
    if (err != ERR_OK || pos == 0)
        change_end(c);
    else
        store_when_applied(c->desk->store, pos, change_applied, c);
}

static bool keep_row(void *arg, const struct store_row *row)
{
    struct change *c = arg;
    if (row->rcpt != c->rcpt)
        return true;
    c->row = *row;
    c->row.facts.address = arena_copy(c->arena, row->facts.address);
    c->row.facts.orcpt = arena_copy(c->arena, row->facts.orcpt);
    c->row.mail_from = arena_copy(c->arena, row->mail_from);
    c->row.last.text = arena_copy(c->arena, row->last.text);
    c->row.last.enhanced = arena_copy(c->arena, row->last.enhanced);
    c->row.last.by = arena_copy(c->arena, row->last.by);
    c->row.last.remote = arena_copy(c->arena, row->last.remote);
    c->has_row = true;
    return false;
}

static void order_work(struct worker_job *job, struct store_reader *reader)
{
    struct change *c = container_of(job, struct change, job);
    (void)desk_catch_up(c->desk); /* an order may come right behind the 250 */
    if (!reader)
        c->err = err_set(&c->why, ERR_IO, "the index cannot be read");
    else
        c->err = store_each_row_of(reader, c->message, keep_row, c, &c->why);
    if (c->err == ERR_OK && c->has_row)
        c->err = desk_read_message(c->desk, reader, c->message, c->arena, &c->facts, &c->why);
    if (c->err != ERR_OK || !c->has_row || c->what != QUEUE_RETURN)
        return;
    /* Without its bytes the notice still says what came back. */
    struct errinfo ei;
    if (desk_read_body(c->desk, reader, c->message, &c->body, &ei) != ERR_OK)
        log_event(EV_STORE_TROUBLE, "what=\"a message that goes back\" why=%s",
                  log_text(slice_str(ei.text)));
}

/* It would wait for ever. */
static bool is_for_a_removed_primary(const struct change *c)
{
    bool would_go = c->what == QUEUE_RELEASE || c->what == QUEUE_RETRY;
    uint64_t primary = c->row.facts.primary;
    return would_go && primary && !directory_primary(c->desk->directory, primary);
}

static void order_finish(struct worker_job *job)
{
    struct change *c = container_of(job, struct change, job);
    if (c->err == ERR_OK && !c->has_row)
        c->err = err_set(&c->why, ERR_GONE, "there is no such message or recipient");
    if (c->err == ERR_OK && is_for_a_removed_primary(c))
        c->err = err_set(&c->why, ERR_INVALID,
                         "the mail system that it was for has been removed; return it to its "
                         "sender, or remove it");
    if (c->err == ERR_OK) {
        struct queue_order_done done = {order_done, c};
        struct queue_decision decision = {.what = c->what,
                                          .row = &c->row,
                                          .is_known = desk_is_known(c->desk, &c->row),
                                          .facts = &c->facts,
                                          .body = c->body,
                                          .by = c->by,
                                          .why = c->reason};
        c->err = queue_order(c->desk->queue, &decision, done, &c->why);
        if (c->err == ERR_OK) {
            desk_late(c->desk);
            return; /* order_done comes */
        }
    }
    change_end(c);
}

/* ---- one at a time ---- */

/* False: there is nothing to change. */
static bool begin_turn(struct change *c)
{
    struct desk *d = c->desk;
    if (c->is_order) {
        c->job.work = order_work;
        c->job.finish = order_finish;
        desk_work(d, &c->job);
        return true;
    }
    if (c->make)
        c->make(d, c->cookie, &c->objects);
    must(!c->objects.failed);
    c->n_left = (c->mailboxes.n > 0) + (c->objects.n > 0);
    bool has_parts = c->n_left > 0; /* the last of them may be done when it has been submitted */
    /* Mailboxes first: a person's object names them. */
    if (c->mailboxes.n)
        submit_part(c, &c->mailboxes_change, RECORD_MAILBOX, &c->mailboxes);
    if (c->objects.n)
        submit_part(c, &c->objects_change, RECORD_OBJECT, &c->objects);
    return has_parts;
}

static void next_change(struct desk *d)
{
    while (!d->is_changing && !list_empty(&d->changes)) {
        struct change *c = container_of(list_pop(&d->changes), struct change, node);
        d->is_changing = begin_turn(c);
        if (!d->is_changing)
            change_tell(c);
    }
}

static size_t n_changes(const struct desk *d)
{
    size_t n = 0;
    LIST_FOREACH (node, &d->changes)
        n++;
    return n;
}

static struct change *change_create(struct desk *d,
                                    void (*done)(void *cookie, enum err err, const char *why),
                                    void *cookie)
{
    struct change *c = mem_new(sizeof(*c));
    c->desk = d;
    c->done = done;
    c->cookie = cookie;
    c->arena = arena_create((size_t)64 << 20);
    c->objects = buf_make(STORE_RECORD_MAX);
    c->mailboxes = buf_make(STORE_RECORD_MAX);
    return c;
}

static enum err may_begin(struct change *c)
{
    if (c->err != ERR_OK)
        return c->err;
    if (n_changes(c->desk) >= CHANGES_MAX)
        return err_set(&c->why, ERR_LIMIT, "too many changes at once; try again in a moment");
    if (c->objects.failed || c->mailboxes.failed)
        return err_set(&c->why, ERR_LIMIT,
                       "too much for one change; send it in parts of a few thousand entries");
    return ERR_OK;
}

static void begin_change(struct change *c)
{
    c->err = may_begin(c);
    if (c->err != ERR_OK || (!c->is_order && !c->make && c->objects.n + c->mailboxes.n == 0)) {
        change_tell(c); /* refused, or nothing to change */
        return;
    }
    list_append(&c->desk->changes, &c->node);
    next_change(c->desk);
}

/* What is once in the log is applied for good, so bodies that the directory cannot read are refused
 * before. */
static void check_objects(struct change *c, const struct record_objects *objects)
{
    struct directory *scratch = directory_create();
    for (uint32_t i = 0; i < objects->n_objects && c->err == ERR_OK; i++)
        c->err = directory_apply(scratch, &objects->objects[i], &c->why);
    if (c->err != ERR_OK)
        c->err = ERR_INVALID;
    directory_destroy(&scratch);
}

void desk_put(void *arg, const struct record_objects *objects,
              const struct record_mailboxes *mailboxes,
              void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    struct change *c = change_create(arg, done, cookie);
    if (objects && objects->n_objects)
        record_objects_pack(&c->objects, objects);
    if (objects)
        check_objects(c, objects);
    if (mailboxes && mailboxes->n_mailboxes)
        record_mailboxes_pack(&c->mailboxes, mailboxes);
    begin_change(c);
}

void desk_put_made(struct desk *d, desk_make_fn *make,
                   void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    struct change *c = change_create(d, done, cookie);
    c->make = make;
    begin_change(c);
}

void desk_order(void *arg, enum queue_order what, uint64_t message, uint16_t rcpt, struct slice by,
                struct slice why, void (*done)(void *cookie, enum err err, const char *why_not),
                void *cookie)
{
    struct change *c = change_create(arg, done, cookie);
    c->is_order = true;
    c->what = what;
    c->message = message;
    c->rcpt = rcpt;
    c->by = arena_copy(c->arena, by);
    c->reason = arena_copy(c->arena, why);
    begin_change(c);
}

void desk_change_clear(struct desk *d)
{
    for (struct list *node; (node = list_pop(&d->changes));) {
        struct change *c = container_of(node, struct change, node);
        if (c->make) /* who asked is ours, and there still */
            c->done(c->cookie, ERR_CANCELED, "we are stopping");
        change_free(c);
    }
}
