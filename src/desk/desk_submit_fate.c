/* What became of what people sent: their submissions change as the ledger does (RFC 8621 section 7:
 * deliveryStatus, dsnBlobIds).
 *
 * The ledger is the truth, and who asks reads it there (jmap_delivery.c). What is done here makes
 * the change visible: a submission of which the ledger tells another story than it did is written
 * anew, with a new change number, so that EmailSubmission/changes and pushes name it. A look begins
 * when the results that it is about are in the log: then it sees them, and the last result is seen
 * as the first one was. Many at once: what moved within a moment is looked at by one job and
 * written as one record. A submission says itself what was known of it, so after a start those
 * whose deliveries are not over are looked at once, and only those that differ are written. */
#include "desk/desk_submit_int.h"

#include "jmap/jmap_delivery.h"
#include "store/store_account.h"

enum {
    GATHER_MS = 300,   /* results of one delivery, and of others beside it, come together */
    AGAIN_SECONDS = 5, /* it could not be read, or not be written */
    LOOK_AT_ONCE = 100,
    BYTES_AT_ONCE = 1 << 20, /* of bodies, in a record; each is at most JMAP_ITEM_BODY_MAX */
    ARENA_MAX = 64 << 20,
};

/* One that is final, while its deliveries are not over. */
struct watched {
    struct list node; /* in desk_fates.moved; points to itself: nothing to look at */
    uint64_t id, person;
    mono_us due;
    uint64_t noted;  /* queue_noted at its last result */
    bool is_running; /* in a job */
    bool has_moved;  /* since that job began */
    bool is_over;    /* forgotten: freed with the job */
    uint32_t n_messages;
    uint64_t messages[];
};

struct desk_fates {
    struct map *all;      /* submission -> struct watched */
    struct map *messages; /* message -> the same */
    struct list moved;    /* by due */
    bool is_looking;
};

struct looked {
    struct watched *w;
    struct record_item item; /* body: as it is to be written; empty: as it was */
    bool is_gone, is_settled, is_unknown, is_damaged;
};

struct looking {
    struct worker_job job;
    struct looked list[LOOK_AT_ONCE];
    size_t n;
    struct arena *arena;
    size_t bytes;
    struct errinfo damage; /* of the first of them */
};

void desk_fates_create(struct desk *d)
{
    d->fates = mem_new(sizeof(*d->fates));
    d->fates->all = map_create();
    d->fates->messages = map_create();
    list_init(&d->fates->moved);
}

void desk_fates_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->fates->all, &at, NULL, &value))
        mem_free(&value);
    map_destroy(&d->fates->all);
    map_destroy(&d->fates->messages);
    mem_free(&d->fates);
}

/* ---- which ---- */

static void look_at(struct desk *d, struct watched *w, mono_us due)
{
    if (w->is_running) {
        w->has_moved = true;
        return;
    }
    if (!list_empty(&w->node))
        return;
    w->due = due;
    list_append(&d->fates->moved, &w->node);
}

void desk_fate_watch(struct desk *d, uint64_t person, uint64_t submission,
                     const struct jmap_item_part *parts, uint32_t n_parts)
{
    if (map_get(d->fates->all, KEY(submission)))
        return;
    struct watched *w = mem_new(sizeof(*w) + n_parts * sizeof(w->messages[0]));
    list_init(&w->node);
    w->id = submission;
    w->person = person;
    w->n_messages = n_parts;
    w->noted = queue_noted(d->queue); /* what came before it was known here */
    map_put(d->fates->all, KEY(submission), w);
    for (uint32_t i = 0; i < n_parts; i++) {
        w->messages[i] = parts[i].message;
        map_put(d->fates->messages, KEY(parts[i].message), w);
    }
    look_at(d, w, mono_now() + MILLISECONDS(GATHER_MS));
}

void desk_fate_forget(struct desk *d, uint64_t submission)
{
    struct watched *w = map_del(d->fates->all, KEY(submission));
    if (!w)
        return;
    for (uint32_t i = 0; i < w->n_messages; i++)
        (void)map_del(d->fates->messages, KEY(w->messages[i]));
    list_remove(&w->node);
    if (w->is_running)
        w->is_over = true; /* a job has it */
    else
        mem_free(&w);
}

void desk_fate_moved(void *arg, uint64_t message)
{
    struct desk *d = arg;
    struct watched *w = map_get(d->fates->messages, KEY(message));
    if (!w)
        return; /* nearly all mail */
    w->noted = queue_noted(d->queue);
    look_at(d, w, mono_now() + MILLISECONDS(GATHER_MS));
}

/* ---- looking ---- */

static enum err read_one(struct looking *x, struct store_reader *reader, struct looked *l,
                         struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(ARENA_MAX);
    struct jmap_item_submission s;
    struct jmap_delivery now;
    enum err err = store_get_item(reader, l->w->person, ITEM_SUBMISSION, l->w->id, a, &l->item, ei);
    l->is_gone = err == ERR_GONE || (err == ERR_OK && l->item.is_gone);
    if (err != ERR_OK || l->is_gone)
        return err == ERR_GONE ? ERR_OK : err;
    if (!jmap_item_submission_unpack(l->item.body, a, &s))
        return err_set(ei, ERR_CORRUPT, "its item cannot be read");
    l->item.body = SLICE("");
    err = jmap_delivery_read(reader, &s, a, &now, ei);
    if (err != ERR_OK)
        return err;
    l->is_settled = now.is_settled;
    if (s.said == now.said && s.is_settled == now.is_settled)
        return ERR_OK;
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    s.said = now.said;
    s.is_settled = now.is_settled;
    jmap_item_submission_pack(&body, &s);
    must(!body.failed); /* as long as it was */
    l->item.body = arena_copy(x->arena, buf_slice(&body));
    x->bytes += body.n;
    return ERR_OK;
}

static void look_work(struct worker_job *job, struct store_reader *reader)
{
    struct looking *x = container_of(job, struct looking, job);
    bool can_look = reader && desk_catch_up(job->desk);
    for (size_t i = 0; i < x->n; i++) {
        struct looked *l = &x->list[i];
        struct errinfo ei;
        l->is_unknown = !can_look || x->bytes > BYTES_AT_ONCE;
        enum err err = l->is_unknown ? ERR_OK : read_one(x, reader, l, &ei);
        if (err == ERR_CORRUPT && !x->damage.text[0])
            x->damage = ei;
        l->is_damaged = err == ERR_CORRUPT;
        l->is_unknown |= err != ERR_OK;
    }
}

/* ---- writing ---- */

/* What was looked at goes on waiting, or not, as it is now known. */
static void put_back(struct desk *d, struct watched *w, bool is_known)
{
    w->is_running = false;
    if (w->has_moved) {
        w->has_moved = false;
        look_at(d, w, mono_now() + MILLISECONDS(GATHER_MS));
    } else if (!is_known) {
        look_at(d, w, mono_now() + SECONDS(AGAIN_SECONDS));
    }
}

/* What cannot be read now cannot be read in five seconds: nobody looks before the next start. */
static void announce_damage(struct looking *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->list[i].is_damaged) {
            desk_submit_doubt(x->job.desk, x->list[i].w->person, x->list[i].w->id, x->damage.text,
                              "Deliveries go on; what became of this one, and perhaps of others, "
                              "is not told to mail programs.");
            return;
        }
}

static void finish(struct looking *x, enum err err)
{
    struct desk *d = x->job.desk;
    announce_damage(x);
    for (size_t i = 0; i < x->n; i++) {
        struct looked *l = &x->list[i];
        struct watched *w = l->w;
        bool is_known = !l->is_unknown && (l->item.body.n == 0 || err == ERR_OK);
        if (w->is_over) {
            mem_free(&w);
        } else if (l->is_gone || l->is_damaged || (is_known && l->is_settled && !w->has_moved)) {
            w->is_running = false;
            desk_fate_forget(d, w->id);
        } else {
            put_back(d, w, is_known);
        }
    }
    arena_destroy(&x->arena);
    d->fates->is_looking = false;
    mem_free(&x);
}

static void written(void *arg, enum err err)
{
    finish(arg, err == ERR_GONE ? ERR_OK : err);
}

static void look_finish(struct worker_job *job)
{
    struct looking *x = container_of(job, struct looking, job);
    struct record_item items[LOOK_AT_ONCE];
    uint32_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        if (!x->list[i].is_unknown && !x->list[i].w->is_over && x->list[i].item.body.n > 0)
            items[n++] = (struct record_item){.account = x->list[i].w->person,
                                              .kind = ITEM_SUBMISSION,
                                              .id = x->list[i].w->id,
                                              .created = x->list[i].item.created,
                                              .body = x->list[i].item.body};
    if (n == 0)
        finish(x, ERR_OK);
    else
        desk_account_items(job->desk, items, n, written, x);
}

void desk_fate_tick(struct desk *d, mono_us now)
{
    struct desk_fates *f = d->fates;
    if (f->is_looking || d->is_stopping || list_empty(&f->moved))
        return;
    struct looking *x = mem_new(sizeof(*x));
    struct list later;
    list_init(&later);
    for (struct list *node; x->n < LOOK_AT_ONCE && (node = list_pop(&f->moved));) {
        struct watched *w = container_of(node, struct watched, node);
        if (w->due > now || w->noted > queue_written(d->queue)) {
            list_append(&later, &w->node);
            continue;
        }
        w->is_running = true;
        x->list[x->n++].w = w;
    }
    for (struct list *node; (node = list_pop(&later));)
        list_append(&f->moved, node);
    if (x->n == 0) {
        mem_free(&x);
        return;
    }
    f->is_looking = true;
    x->arena = arena_create(ARENA_MAX);
    x->job.work = look_work;
    x->job.finish = look_finish;
    desk_work(d, &x->job);
}
