/* Incidents: which report belongs to which, what is kept of them, who takes care. */
#include "alert/alert_int.h"

#include "wire/wire.h"

enum { REPORT_ARENA = 1 << 20, HOUR_MS = 3600000 };

/* tenant and key, as bytes. */
static struct slice key_of(uint64_t tenant, struct slice key, char room[KEY_BYTES])
{
    size_t n = key.n < KEY_BYTES - 8 ? key.n : KEY_BYTES - 8;
    memcpy(room, &tenant, 8);
    memcpy(room + 8, key.p, n);
    return slice_of(room, 8 + n);
}

uint32_t incident_newest(const struct incident *i)
{
    const struct alert_incident_body *f = &i->shown.body;
    return f->n_updates ? f->updates[f->n_updates - 1].number : 0;
}

const struct alert_update *incident_update(const struct incident *i, uint32_t number)
{
    const struct alert_incident_body *f = &i->shown.body;
    for (uint32_t k = f->n_updates; k > 0; k--)
        if (f->updates[k - 1].number == number)
            return &f->updates[k - 1];
    return NULL;
}

static struct incident *incident_create(void)
{
    struct incident *i = mem_new(sizeof(*i));
    list_init(&i->outboxes);
    return i;
}

static void incident_free(struct incident *i)
{
    arena_destroy(&i->arena);
    mem_free(&i);
}

bool incident_set(struct incident *i, const struct alert_incident_body *body)
{
    SCOPED(buf_finish) struct buf packed = buf_make(ALERT_INCIDENT_BYTES);
    alert_incident_body_pack(&packed, body);
    if (packed.failed)
        return false;
    struct arena *a = arena_create(packed.n + 64 * sizeof(struct alert_update) + 4096);
    must(alert_incident_body_unpack(arena_copy(a, buf_slice(&packed)), a, &i->shown.body));
    arena_destroy(&i->arena);
    i->arena = a;
    return true;
}

void incident_put(struct alert_book *b, struct incident *i)
{
    char room[KEY_BYTES];
    struct slice key = key_of(i->shown.tenant, i->shown.body.key, room);
    struct incident *other = map_get(b->keys, key);
    map_put(b->incidents, KEY(i->shown.id), i);
    if (!other || other->shown.body.opened <= i->shown.body.opened)
        map_put(b->keys, key, i);
    b->n_open += i->shown.body.closed == 0;
    b->n_closed += i->shown.body.closed != 0;
}

void incident_drop(struct alert_book *b, struct incident *i)
{
    char room[KEY_BYTES];
    struct slice key = key_of(i->shown.tenant, i->shown.body.key, room);
    while (!list_empty(&i->outboxes))
        outbox_drop(b, container_of(i->outboxes.next, struct outbox, node));
    b->n_open -= i->shown.body.closed == 0;
    b->n_closed -= i->shown.body.closed != 0;
    if (map_get(b->keys, key) == i)
        map_del(b->keys, key);
    map_del(b->incidents, KEY(i->shown.id));
    incident_free(i);
}

/* Room for the next one that ends. */
static void forget_oldest(struct alert_book *b)
{
    while (b->n_closed > ALERT_CLOSED_MAX) {
        struct incident *oldest = NULL;
        void *value;
        for (size_t at = 0; map_next(b->incidents, &at, NULL, &value);) {
            struct incident *i = value;
            utc_ms closed = i->shown.body.closed;
            if (closed && (!oldest || closed < oldest->shown.body.closed))
                oldest = i;
        }
        must(oldest);
        LIST_FOREACH (node, &oldest->outboxes) {
            struct outbox *x = container_of(node, struct outbox, node);
            book_gone(b, OBJECT_OUTBOX, x->shown.id, x->shown.tenant);
        }
        book_gone(b, OBJECT_INCIDENT, oldest->shown.id, oldest->shown.tenant);
        incident_drop(b, oldest);
    }
}

/* Texts are clean when they are written; a damaged disk may still say otherwise. */
static bool is_text(const struct alert_incident_body *f)
{
    const struct slice all[] = {f->key, f->name, f->subject, f->taken_by, f->taken_why};
    for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
        if (!wire_utf8_valid(all[k]))
            return false;
    for (uint32_t k = 0; k < f->n_updates; k++) {
        const struct alert_update *u = &f->updates[k];
        const struct slice parts[] = {u->happened, u->did, u->can, u->evidence, u->by};
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
            if (!wire_utf8_valid(parts[i]))
                return false;
    }
    return true;
}

static bool is_usable(const struct alert_incident_body *f)
{
    uint32_t last = 0;
    for (uint32_t k = 0; k < f->n_updates; k++) {
        const struct alert_update *u = &f->updates[k];
        if (u->class < EVENT_INFO || u->class > EVENT_ALARM || u->number <= last)
            return false;
        last = u->number;
    }
    return f->n_updates > 0 && f->class >= EVENT_INFO && f->class <= EVENT_ALARM && is_text(f);
}

bool incident_load(struct alert_book *b, const struct record_object *o)
{
    struct alert_incident_body body;
    struct arena *a = arena_create(REPORT_ARENA);
    struct incident *i = incident_create();
    bool is_good = o->body.n <= ALERT_INCIDENT_BYTES &&
                   alert_incident_body_unpack(o->body, a, &body) && is_usable(&body) &&
                   !map_get(b->incidents, KEY(o->id)) && incident_set(i, &body);
    arena_destroy(&a);
    if (!is_good) {
        incident_free(i);
        return false;
    }
    i->shown.id = o->id;
    i->shown.tenant = o->tenant;
    incident_put(b, i);
    return true;
}

/* ---- reports ---- */

static struct alert_update make_update(struct arena *a, const struct alert_report *r,
                                       uint32_t number, utc_ms now)
{
    return (struct alert_update){.number = number,
                                 .time = now,
                                 .class = (uint8_t)r->class,
                                 .is_over = r->is_over,
                                 .happened = compose_clean(a, r->happened, 1000, false),
                                 .did = compose_clean(a, r->did, 600, false),
                                 .can = compose_clean(a, r->can, 600, false),
                                 .evidence = compose_clean(a, r->evidence, 2000, true),
                                 .by = compose_clean(a, r->by, 200, false)};
}

/* Behind the others; the oldest make room, in number and in bytes. */
static void add_update(struct alert_book *b, struct incident *i, struct arena *a,
                       struct alert_incident_body *body, const struct alert_update *u)
{
    uint32_t skip = body->n_updates >= ALERT_UPDATES_MAX;
    struct alert_update *all = ARENA_ARRAY(a, struct alert_update, body->n_updates + 1);
    uint32_t n = body->n_updates - skip;
    if (n)
        memcpy(all, body->updates + skip, n * sizeof(*all));
    all[n++] = *u;
    if (u->class > body->class)
        body->class = u->class;
    body->updates = all;
    body->n_updates = n;
    while (!incident_set(i, body)) {
        must(body->n_updates > 1); /* one has its place */
        body->updates++;
        body->n_updates--;
    }
    book_dirty(b, i);
}

static void say_full(struct alert_book *b, const struct alert_report *r, utc_ms now)
{
    if (now >= b->full_told && now < b->full_told + HOUR_MS)
        return;
    b->full_told = now;
    b->o.tell(b->o.arg, EVENT_ALARM, "alert.full", r->tenant, SLICE("incidents"),
              SLICE("1000 incidents go on at once. Further ones are only events: nobody is told of "
                    "them. `staffetta incident list` shows what goes on, `staffetta events` the "
                    "rest."));
}

static struct incident *incident_open(struct alert_book *b, const struct alert_report *r,
                                      struct alert_incident_body *body, struct arena *a, utc_ms now)
{
    if (b->n_open >= ALERT_OPEN_MAX) {
        say_full(b, r, now);
        return NULL;
    }
    struct incident *i = incident_create();
    i->shown.id = b->o.next_id(b->o.arg);
    i->shown.tenant = r->tenant;
    *body = (struct alert_incident_body){.key = compose_clean(a, r->key, 300, false),
                                         .name = compose_clean(a, r->name, 80, false),
                                         .subject = compose_clean(a, r->subject, 300, false),
                                         .class = (uint8_t)r->class,
                                         .opened = now};
    return i;
}

static bool comes_back(const struct incident *i, utc_ms now)
{
    utc_ms closed = i->shown.body.closed;
    return now < closed + ALERT_REOPEN_MS; /* also when the clock went back */
}

/* Which incident it belongs to; NULL: to none. `*body` is what becomes of it. */
static struct incident *belongs_to(struct alert_book *b, const struct alert_report *r,
                                   struct arena *a, utc_ms now, struct alert_incident_body *body)
{
    char room[KEY_BYTES];
    struct incident *i =
        map_get(b->keys, key_of(r->tenant, compose_clean(a, r->key, 300, false), room));
    if (i && i->shown.body.closed == 0) {
        *body = i->shown.body;
        return i;
    }
    if (r->class == EVENT_INFO || r->is_over)
        return NULL;
    if (i && comes_back(i, now) && b->n_open < ALERT_OPEN_MAX) {
        *body = i->shown.body;
        body->closed = 0;
        body->n_reopened++;
        b->n_closed--;
        b->n_open++;
        return i;
    }
    return incident_open(b, r, body, a, now);
}

bool alert_report(struct alert_book *b, const struct alert_report *r, utc_ms now)
{
    struct alert_incident_body body;
    SCOPED(arena_destroy) struct arena *a = arena_create(REPORT_ARENA);
    struct incident *i = belongs_to(b, r, a, now, &body);
    if (!i)
        return false;
    struct alert_update u = make_update(a, r, incident_newest(i) + 1, now);
    if (r->is_over) {
        body.closed = now;
        b->n_open--;
        b->n_closed++;
    }
    bool is_new = !i->arena;
    add_update(b, i, a, &body, &u);
    if (is_new)
        incident_put(b, i);
    outbox_plan(b, i, now);
    forget_oldest(b);
    book_flush(b, now);
    return true;
}

enum err alert_take(struct alert_book *b, uint64_t incident, struct alert_taker who, utc_ms now,
                    uint64_t *ret_ticket, struct errinfo *ei)
{
    struct incident *i = map_get(b->incidents, KEY(incident));
    if (!i)
        return err_set(ei, ERR_GONE, "there is no such incident");
    SCOPED(arena_destroy) struct arena *a = arena_create(REPORT_ARENA);
    struct alert_incident_body body = i->shown.body;
    body.taken_by = compose_clean(a, who.by, 200, false);
    body.taken_why = compose_clean(a, who.why, 300, false);
    body.taken_at = now;
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    buf_addf(&text, SLICE_FMT " takes care of it: " SLICE_FMT, SLICE_ARG(body.taken_by),
             SLICE_ARG(body.taken_why));
    struct alert_report r = {.class = EVENT_INFO, .happened = buf_slice(&text), .by = who.by};
    struct alert_update u = make_update(a, &r, incident_newest(i) + 1, now);
    add_update(b, i, a, &body, &u);
    book_flush(b, now);
    *ret_ticket = i->is_dirty ? b->ticket : i->ticket;
    return ERR_OK;
}

const struct alert_incident *alert_find(const struct alert_book *b, uint64_t tenant,
                                        struct slice key)
{
    char room[KEY_BYTES];
    const struct incident *i = map_get(b->keys, key_of(tenant, key, room));
    return i ? &i->shown : NULL;
}
