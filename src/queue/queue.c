/* The queue's memory: messages, items, destinations, and how mail comes in. */
#include "queue/queue_int.h"

#include <stdio.h>

/* ---- messages ---- */

static struct slice put_text(char **at, struct slice s)
{
    char *start = *at;
    if (s.n)
        memcpy(start, s.p, s.n);
    *at += s.n;
    return slice_of(start, s.n);
}

/* The slices of the facts get a block of their own. */
void queue_message_fill(struct queue_message *m, const struct queue_facts *f)
{
    char *text = mem_new(f->mail_from.n + f->envid.n + f->client.n + f->helo.n + f->merged.n);
    char *at = text;
    m->facts = *f;
    m->facts.mail_from = put_text(&at, f->mail_from);
    m->facts.envid = put_text(&at, f->envid);
    m->facts.client = put_text(&at, f->client);
    m->facts.helo = put_text(&at, f->helo);
    m->facts.merged = put_text(&at, f->merged);
    mem_free(&m->text);
    m->text = text;
}

struct queue_message *queue_message_create(const struct queue_facts *f)
{
    struct queue_message *m = mem_new(sizeof(*m));
    queue_message_fill(m, f);
    m->n_refs = 1;
    list_init(&m->items);
    list_init(&m->patient);
    return m;
}

const struct queue_facts *queue_message_facts(const struct queue_message *m)
{
    return &m->facts;
}

void queue_message_unref(struct queue_message **message)
{
    struct queue_message *m = *message;
    *message = NULL;
    if (!m || --m->n_refs > 0)
        return;
    list_remove(&m->patient);
    queue_body_unref(&m->body);
    mem_free(&m->text);
    mem_free(&m);
}

/* Findable by its id as long as it has items. */
void queue_message_keep(struct queue *q, struct queue_message *m)
{
    if (list_empty(&m->items)) {
        if (map_del(q->messages, KEY(m->facts.id)))
            queue_message_unref(&m);
    } else if (!map_get(q->messages, KEY(m->facts.id))) {
        m->n_refs++;
        map_put(q->messages, KEY(m->facts.id), m);
    }
}

struct queue_message *queue_message_find(const struct queue *q, uint64_t id)
{
    return map_get(q->messages, KEY(id));
}

/* ---- destinations ---- */

static size_t destination_key(char key[300], uint64_t primary, struct slice domain)
{
    int n = primary ? snprintf(key, 300, "primary:%llu", (unsigned long long)primary)
                    : snprintf(key, 300, "%.*s", SLICE_ARG(domain));
    n = n < 300 ? n : 299;
    for (int i = 0; i < n; i++)
        key[i] = ascii_lower(key[i]); /* one destination however its name is written */
    return (size_t)n;
}

struct destination *queue_destination_find(const struct queue *q, uint64_t primary,
                                           struct slice domain)
{
    char key[300];
    size_t n = destination_key(key, primary, domain);
    return map_get(q->destinations, slice_of(key, n));
}

struct destination *queue_destination(struct queue *q, uint64_t primary, struct slice domain)
{
    char key[300];
    struct destination *d = queue_destination_find(q, primary, domain);
    if (d)
        return d;
    (void)destination_key(key, primary, domain);
    d = mem_new(sizeof(*d));
    d->key = mem_str(key);
    d->primary = primary;
    d->domain = primary ? SLICE("") : slice_str(d->key);
    list_init(&d->fresh);
    list_init(&d->resting);
    list_init(&d->hungry);
    map_put(q->destinations, slice_str(d->key), d);
    return d;
}

void queue_destination_settle(struct queue *q, struct destination *d)
{
    if (d->n_items == 0 && d->primary)
        q->o.drained(q->o.arg, d->primary);
    if (d->n_items > 0 || d->n_running > 0 || d->primary || !list_empty(&d->resting))
        return;
    list_remove(&d->hungry);
    map_del(q->destinations, slice_str(d->key));
    queue_backlog_free(d);
    mem_free(&d->key);
    mem_free(&d);
}

/* ---- items ---- */

/* Copies what the rows' slices show into one piece of text. */
static void add_rows(struct item *i, const struct queue_row *rows, size_t n_rows)
{
    size_t n_text = 0;
    for (size_t k = 0; k < n_rows; k++)
        n_text += rows[k].address.n + rows[k].orcpt.n;
    struct item_text *text = mem_new(sizeof(*text) + n_text);
    text->next = i->text;
    i->text = text;
    if (i->n_rows + n_rows > i->cap_rows) {
        i->cap_rows = i->n_rows ? 2 * (i->n_rows + n_rows) : n_rows;
        i->rows = mem_resize(i->rows, i->cap_rows * sizeof(*rows));
    }
    char *at = text->bytes;
    for (size_t k = 0; k < n_rows; k++) {
        struct queue_row *row = &i->rows[i->n_rows++];
        *row = rows[k];
        row->address = put_text(&at, rows[k].address);
        row->orcpt = put_text(&at, rows[k].orcpt);
    }
}

struct item *queue_item_create(struct queue *q, struct queue_message *m, uint64_t primary,
                               struct slice domain, const struct queue_row *rows, size_t n_rows)
{
    struct item *i = mem_new(sizeof(*i));
    add_rows(i, rows, n_rows);
    i->m = m;
    m->n_refs++;
    i->d = queue_destination(q, primary, domain);
    i->d->n_items++;
    i->bytes = m->facts.bytes;
    i->d->bytes += i->bytes;
    i->place = PLACE_PLANNED;
    list_init(&i->node);
    list_append(&m->items, &i->in_message);
    queue_be_patient(q, m, rows, n_rows);
    q->figures.n_items++;
    q->figures.n_rows += n_rows;
    return i;
}

static void item_free(struct item *i)
{
    while (i->text) {
        struct item_text *text = i->text;
        i->text = text->next;
        mem_free(&text);
    }
    mem_free(&i->rows);
    mem_free(&i->why);
    mem_free(&i);
}

void queue_item_say(struct item *i, struct slice why)
{
    char text[200];
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(why));
    mem_free(&i->why);
    if (text[0])
        i->why = mem_str(text);
}

struct item *queue_row_find(const struct queue *q, uint64_t message, uint16_t rcpt, size_t *ret_k)
{
    const struct queue_message *m = queue_message_find(q, message);
    if (!m)
        return NULL;
    LIST_FOREACH (node, &m->items) {
        struct item *i = container_of(node, struct item, in_message);
        for (size_t k = 0; k < i->n_rows; k++)
            if (i->rows[k].rcpt == rcpt) {
                *ret_k = k;
                return i;
            }
    }
    return NULL;
}

static struct item *sibling_at_rest(const struct item *i, enum item_place place)
{
    LIST_FOREACH (node, &i->m->items) {
        struct item *other = container_of(node, struct item, in_message);
        if (other != i && other->d == i->d && other->place == place &&
            other->n_rows + i->n_rows <= ITEM_ROWS_MAX)
            return other;
    }
    return NULL;
}

void queue_item_rest(struct queue *q, struct item *i)
{
    bool is_later = i->due > utc_now() && !i->d->primary;
    enum item_place place = is_later ? PLACE_TIMER : PLACE_BACKLOG;
    struct item *other = sibling_at_rest(i, place);
    if (!other) {
        queue_place(q, i, place);
        return;
    }
    queue_unplace(q, other);
    add_rows(other, i->rows, i->n_rows);
    q->figures.n_rows += i->n_rows;
    if (i->due < other->due)
        other->due = i->due;
    queue_place(q, other, place);
    queue_item_destroy(q, i);
}

void queue_item_destroy(struct queue *q, struct item *i)
{
    struct queue_message *m = i->m;
    struct destination *d = i->d;
    queue_slot_free(q, i);
    list_remove(&i->in_message);
    q->figures.n_items--;
    q->figures.n_rows -= i->n_rows;
    d->n_items--;
    d->bytes -= i->bytes;
    item_free(i);
    queue_message_keep(q, m);
    if (list_empty(&m->items) && m->is_accepted)
        q->o.done(q->o.arg, m->facts.id);
    queue_message_unref(&m);
}

/* ---- the queue ---- */

struct queue *queue_create(const struct queue_options *o)
{
    struct queue *q = mem_new(sizeof(*q));
    q->o = *o;
    q->messages = map_create();
    q->destinations = map_create();
    q->results_arena = arena_create(64 << 20);
    q->running = map_create();
    q->n_flushes = 1;
    /* Never twice, also over restarts: a result of an earlier life must not meet a job of this. */
    q->last_tag = (uint64_t)utc_now() << 20;
    list_init(&q->resting);
    list_init(&q->hungry);
    list_init(&q->notices);
    list_init(&q->patient);
    list_init(&q->unwritten);
    return q;
}

static void message_free(struct queue_message *m)
{
    LIST_FOREACH (node, &m->items)
        item_free(container_of(node, struct item, in_message));
    queue_body_unref(&m->body);
    mem_free(&m->text);
    mem_free(&m);
}

void queue_destroy(struct queue **queue)
{
    struct queue *q = *queue;
    if (!q)
        return;
    size_t at = 0;
    void *value;
    while (map_next(q->messages, &at, NULL, &value))
        message_free(value);
    for (at = 0; map_next(q->destinations, &at, NULL, &value);) {
        struct destination *d = value;
        queue_backlog_free(d);
        mem_free(&d->key);
        mem_free(&d);
    }
    for (struct list *node; (node = list_pop(&q->notices));) {
        struct notice_wait *w = container_of(node, struct notice_wait, node);
        w->drop(w);
    }
    queue_forget_unwritten(q);
    map_destroy(&q->messages);
    map_destroy(&q->destinations);
    map_destroy(&q->running);
    arena_destroy(&q->results_arena);
    mem_free(&q->results);
    mem_free(&q->timers);
    mem_free(queue);
}

void queue_limits(struct queue *q, uint32_t items_max, uint32_t per_destination,
                  uint32_t per_primary)
{
    q->o.items_max = items_max;
    q->o.per_destination = per_destination;
    q->o.per_primary = per_primary;
    queue_pump_all(q);
}

bool queue_is_full(const struct queue *q)
{
    return q->figures.n_rows >= q->o.items_max;
}

/* ---- new mail ---- */

bool queue_plan(struct queue *q, struct queue_message *m, uint64_t primary, struct slice domain,
                const struct queue_row *rows, size_t n_rows, bool is_answer_waiting)
{
    struct item *i = queue_item_create(q, m, primary, domain, rows, n_rows);
    /* New mail overtakes what waits, but only into a slot that is free this moment. */
    bool has_slot = q->is_started && list_empty(&i->d->fresh) && queue_slot_take(q, i);
    i->is_answer_waiting = is_answer_waiting && has_slot;
    return has_slot;
}

void queue_accepted(struct queue *q, struct queue_message *m, struct queue_body *body)
{
    m->body = queue_body_ref(body);
    m->is_accepted = true;
    queue_message_keep(q, m);
    m->n_refs++; /* an item may end here and now, when the courier is away */
    LIST_FOREACH (node, &m->items) {
        struct item *i = container_of(node, struct item, in_message);
        if (i->has_slot) {
            queue_run(q, i);
        } else {
            queue_place(q, i, PLACE_FRESH);
            queue_pump(q, i->d);
        }
    }
    queue_message_unref(&m);
}

void queue_abandoned(struct queue *q, struct queue_message *m)
{
    LIST_FOREACH (node, &m->items) {
        struct item *i = container_of(node, struct item, in_message);
        struct destination *d = i->d;
        queue_item_destroy(q, i);
        queue_next(q, d);
        queue_destination_settle(q, d);
    }
}

/* ---- at start ---- */

struct item *queue_item_of(struct queue *q, const struct store_row *row,
                           const struct queue_facts *facts, bool is_known)
{
    struct queue_message *m = queue_message_find(q, row->message);
    bool is_new = !m;
    if (is_new)
        m = queue_message_create(facts);
    m->is_accepted = true;
    struct queue_row r = {.rcpt = row->rcpt,
                          .notify = row->facts.notify,
                          .is_known = is_known,
                          .is_told = slice_eq(row->last.by, SLICE(QUEUE_TOLD_BY)),
                          .attempts = row->last.attempts,
                          .address = row->facts.address,
                          .orcpt = row->facts.orcpt};
    struct slice domain = row->facts.address;
    for (ptrdiff_t at; (at = slice_find(domain, '@')) >= 0;)
        domain = slice_skip(domain, (size_t)at + 1);
    struct item *i = queue_item_create(q, m, row->facts.primary, domain, &r, 1);
    queue_item_say(i, row->last.text);
    i->due = row->last.due;
    queue_message_keep(q, m);
    if (is_new)
        queue_message_unref(&m);
    return i;
}

void queue_load(struct queue *q, const struct store_row *row, bool is_known)
{
    /* The rest comes with the bytes, before it is needed. */
    struct queue_facts facts = {.id = row->message,
                                .tenant = row->tenant,
                                .bytes = row->bytes,
                                .received = row->received,
                                .mail_from = row->mail_from};
    queue_item_rest(q, queue_item_of(q, row, &facts, is_known));
}

void queue_pump_all(struct queue *q)
{
    size_t at = 0;
    void *value;
    while (map_next(q->destinations, &at, NULL, &value))
        queue_pump(q, value);
}

void queue_start(struct queue *q)
{
    q->is_started = true;
    queue_pump_all(q);
}

void queue_stop(struct queue *q)
{
    q->is_started = false;
}
