/* The book: what is in it at the start, what is written and when, what can be looked up. */
#include "alert/alert_int.h"

#include "base/pack_write_begin.h"
#include "alert/alert.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "alert/alert.def"
#include "base/pack_end.h"

enum { RECORD_BYTES = 1 << 20, UNIT_ARENA = 8 << 20, TARGET_ARENA = 64 << 10 };

const char *alert_kind_name(uint8_t kind)
{
    static const char *const names[ALERT_KIND_N] = {"unknown", "webhook", "mail", "sms"};
    return names[kind < ALERT_KIND_N ? kind : 0];
}

struct alert_book *alert_create(const struct alert_options *o)
{
    struct alert_book *b = mem_new(sizeof(*b));
    b->o = *o;
    b->incidents = map_create();
    b->keys = map_create();
    b->targets = map_create();
    b->outboxes = map_create();
    list_init(&b->pending);
    list_init(&b->gone);
    return b;
}

static void target_free(struct target *t)
{
    arena_destroy(&t->arena);
    mem_free(&t);
}

void alert_destroy(struct alert_book **book)
{
    struct alert_book *b = *book;
    void *value;
    if (!b)
        return;
    for (size_t at = 0; map_next(b->incidents, &at, NULL, &value);)
        incident_drop(b, value);
    for (size_t at = 0; map_next(b->targets, &at, NULL, &value);)
        target_free(value);
    for (struct list *node; (node = list_pop(&b->gone));) {
        struct gone *g = container_of(node, struct gone, node);
        mem_free(&g);
    }
    map_destroy(&b->outboxes);
    map_destroy(&b->targets);
    map_destroy(&b->keys);
    map_destroy(&b->incidents);
    mem_free(book);
}

/* ---- targets ---- */

static void target_remove(struct alert_book *b, uint64_t id)
{
    struct target *t = map_del(b->targets, KEY(id));
    if (!t)
        return;
    void *value;
    for (size_t at = 0; map_next(b->outboxes, &at, NULL, &value);) {
        struct outbox *x = value;
        if (x->shown.body.target != id)
            continue;
        book_gone(b, OBJECT_OUTBOX, x->shown.id, x->shown.tenant);
        outbox_drop(b, x);
    }
    target_free(t);
}

static enum err target_apply(struct alert_book *b, const struct record_object *o,
                             struct errinfo *ei)
{
    if (o->is_removed) {
        target_remove(b, o->id);
        return ERR_OK;
    }
    struct target *t = mem_new(sizeof(*t));
    t->arena = arena_create(TARGET_ARENA);
    struct slice body = o->body.n < TARGET_ARENA / 2 ? arena_copy(t->arena, o->body) : SLICE("");
    struct alert_target_body *f = &t->shown.body;
    if (!alert_target_body_unpack(body, t->arena, f) || f->kind < ALERT_WEBHOOK ||
        f->kind >= ALERT_KIND_N || f->least < EVENT_NOTICE || f->least > EVENT_ALARM) {
        target_free(t);
        return err_set(ei, ERR_CORRUPT, "the target of alerts %llu has an unreadable body",
                       (unsigned long long)o->id);
    }
    t->shown.id = o->id;
    t->shown.tenant = o->tenant;
    t->shown.object = *o;
    t->shown.object.body = t->shown.object.name = SLICE("");
    t->shown.object.by = arena_copy(t->arena, o->by);
    struct target *old = map_put(b->targets, KEY(o->id), t);
    if (old)
        target_free(old);
    return ERR_OK;
}

enum err alert_apply(struct alert_book *b, const struct record_object *o, struct errinfo *ei)
{
    bool is_good = true;
    if (o->kind == OBJECT_TARGET)
        return target_apply(b, o, ei);
    if (o->kind == OBJECT_INCIDENT && !o->is_removed)
        is_good = incident_load(b, o);
    else if (o->kind == OBJECT_OUTBOX && !o->is_removed)
        is_good = outbox_load(b, o);
    return is_good ? ERR_OK
                   : err_set(ei, ERR_CORRUPT, "the incident or alert %llu has an unreadable body",
                             (unsigned long long)o->id);
}

/* ---- writing ---- */

void book_dirty(struct alert_book *b, struct incident *i)
{
    i->is_dirty = b->is_dirty = true;
}

void book_dirty_outbox(struct alert_book *b, struct outbox *x)
{
    x->is_dirty = b->is_dirty = true;
}

void book_gone(struct alert_book *b, enum object_kind kind, uint64_t id, uint64_t tenant)
{
    struct gone *g = mem_new(sizeof(*g));
    *g = (struct gone){.kind = (uint8_t)kind, .id = id, .tenant = tenant};
    list_append(&b->gone, &g->node);
    b->is_dirty = true;
}

/* Objects on their way into one record. */
struct writing {
    struct alert_book *b;
    struct arena *arena;
    struct record_object *list;
    uint32_t n, max;
    size_t bytes;
    utc_ms now;
};

static void send_record(struct writing *w)
{
    struct record_objects all = {w->list, w->n};
    if (w->n == 0)
        return;
    w->b->o.write(w->b->o.arg, &all, w->b->ticket);
    w->b->ticket++;
    w->n = 0;
    w->bytes = 0;
    arena_reset(w->arena);
    w->list = ARENA_ARRAY(w->arena, struct record_object, w->max);
}

static void add_object(struct writing *w, enum object_kind kind, uint64_t id, uint64_t tenant,
                       const struct buf *body)
{
    char name[MESSAGE_ID_TEXT];
    message_id_text(id, name);
    must(!body || !body->failed);
    w->list[w->n++] = (struct record_object){
        .kind = (uint8_t)kind,
        .id = id,
        .tenant = tenant,
        .is_removed = !body,
        .time = w->now,
        .by = SLICE("alert"),
        .name = arena_copy(w->arena, slice_str(name)),
        .body = body ? arena_copy(w->arena, buf_slice(body)) : SLICE(""),
    };
    w->bytes += (body ? body->n : 0) + 100;
}

static void add_outbox(struct writing *w, struct outbox *x)
{
    SCOPED(buf_finish) struct buf body = buf_make(1000);
    alert_outbox_body_pack(&body, &x->shown.body);
    add_object(w, OBJECT_OUTBOX, x->shown.id, x->shown.tenant, &body);
    x->is_dirty = false;
    x->ticket = w->b->ticket;
    x->changed = w->now;
}

/* An incident and what its targets know of it stand in one record: they count only together. */
static void add_unit(struct writing *w, struct incident *i)
{
    if (i->is_dirty) {
        SCOPED(buf_finish) struct buf body = buf_make(ALERT_INCIDENT_BYTES);
        alert_incident_body_pack(&body, &i->shown.body);
        add_object(w, OBJECT_INCIDENT, i->shown.id, i->shown.tenant, &body);
        i->is_dirty = false;
        i->ticket = w->b->ticket;
        i->changed = w->now;
    }
    LIST_FOREACH (node, &i->outboxes) {
        struct outbox *x = container_of(node, struct outbox, node);
        if (x->is_dirty)
            add_outbox(w, x);
    }
    if (w->bytes > RECORD_BYTES / 2)
        send_record(w);
}

void book_flush(struct alert_book *b, utc_ms now)
{
    bool is_resting = now < b->write_after && b->write_after - now <= WRITE_AGAIN_MS;
    if (!b->is_dirty || is_resting)
        return;
    struct writing w = {
        .b = b, .arena = arena_create(UNIT_ARENA), .max = 2 * ALERT_TARGETS_MAX + 4000, .now = now};
    void *value;
    w.list = ARENA_ARRAY(w.arena, struct record_object, w.max);
    b->is_dirty = false;
    for (size_t at = 0; map_next(b->incidents, &at, NULL, &value);) {
        add_unit(&w, value);
        if (w.n > 4000)
            send_record(&w);
    }
    for (struct list *node; (node = list_pop(&b->gone));) {
        struct gone *g = container_of(node, struct gone, node);
        add_object(&w, g->kind, g->id, g->tenant, NULL);
        mem_free(&g);
        if (w.n > 4000)
            send_record(&w);
    }
    send_record(&w);
    arena_destroy(&w.arena);
}

/* Not durable: again, soon. What is removed and was not written comes back at the next start, where
 * it is removed anew. */
static void write_again(struct alert_book *b, uint64_t ticket)
{
    void *value;
    for (size_t at = 0; map_next(b->incidents, &at, NULL, &value);) {
        struct incident *i = value;
        if (i->ticket == ticket)
            book_dirty(b, i);
        LIST_FOREACH (node, &i->outboxes) {
            struct outbox *x = container_of(node, struct outbox, node);
            if (x->ticket == ticket)
                book_dirty_outbox(b, x);
        }
    }
}

void alert_written(struct alert_book *b, uint64_t ticket, enum err err, utc_ms now)
{
    if (ticket >= b->done_ticket)
        b->done_ticket = ticket + 1;
    b->is_failing = err != ERR_OK;
    if (err != ERR_OK) {
        write_again(b, ticket);
        b->write_after = now + WRITE_AGAIN_MS;
    }
}

/* Nobody is told what a crash could still undo: after it, the same trouble would have another name.
 * But a disk that fails or hangs keeps nothing back. */
bool book_is_written(const struct alert_book *b, const struct outbox *x, utc_ms now)
{
    const struct incident *i = x->incident;
    bool is_done =
        !x->is_dirty && !i->is_dirty && x->ticket < b->done_ticket && i->ticket < b->done_ticket;
    utc_ms last = i->changed > x->changed ? i->changed : x->changed;
    return is_done || b->is_failing || now < last || now >= last + WRITE_WAIT_MS;
}

void alert_tick(struct alert_book *b, utc_ms now)
{
    if (!list_empty(&b->pending))
        outbox_pass(b, now);
    book_flush(b, now);
}

/* ---- looking ---- */

const struct alert_incident *alert_incident(const struct alert_book *b, uint64_t id)
{
    const struct incident *i = map_get(b->incidents, KEY(id));
    return i ? &i->shown : NULL;
}

const struct alert_incident *alert_next_incident(const struct alert_book *b, size_t *at)
{
    void *value;
    if (!map_next(b->incidents, at, NULL, &value))
        return NULL;
    return &((struct incident *)value)->shown;
}

const struct alert_target *alert_target(const struct alert_book *b, uint64_t id)
{
    const struct target *t = map_get(b->targets, KEY(id));
    return t ? &t->shown : NULL;
}

const struct alert_target *alert_next_target(const struct alert_book *b, size_t *at)
{
    void *value;
    if (!map_next(b->targets, at, NULL, &value))
        return NULL;
    return &((struct target *)value)->shown;
}

const struct alert_target *alert_target_named(const struct alert_book *b, struct slice name)
{
    const struct alert_target *t;
    for (size_t at = 0; (t = alert_next_target(b, &at));)
        if (slice_eq(t->body.name, name))
            return t;
    return NULL;
}

const struct alert_outbox *alert_next_outbox(const struct alert_book *b, uint64_t incident,
                                             size_t *at)
{
    const struct incident *i = map_get(b->incidents, KEY(incident));
    size_t n = 0;
    if (!i)
        return NULL;
    LIST_FOREACH (node, &i->outboxes)
        if (n++ == *at) {
            (*at)++;
            return &container_of(node, struct outbox, node)->shown;
        }
    return NULL;
}

struct alert_figures alert_figures(const struct alert_book *b)
{
    struct alert_figures f = {
        .n_open = b->n_open, .n_told = b->n_told, .n_given_up = b->n_given_up};
    LIST_FOREACH (node, &b->pending)
        f.n_waiting++;
    return f;
}
