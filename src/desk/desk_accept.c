/* A message becomes durable: judged once more, given its ids and places, written, and only then
 * answered.
 *
 * The order is the promise: (1) everything is decided and packed, (2) the record is written and
 * synced, (3) memory changes and the reply leaves. If the program ends between (2) and (3) the
 * sender has no reply and comes again; recovery finds the record without `answered`, and the ledger
 * says so. */
#include "desk/desk_int.h"

#include "wire/wire.h"

#include <stdio.h>

enum { ARENA_MAX = 4 << 20, ANSWER_SECONDS = 20, HEADROOM = 2048 };

/* ---- writing ---- */

static void accept_free(struct accept *a)
{
    queue_body_unref(&a->body);
    buf_finish(&a->facts);
    arena_destroy(&a->arena);
    mem_free(&a->chunks);
}

static void log_accept(const struct accept *a)
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(a->id, id);
    log_event(EV_SMTP_ACCEPTED, "mid=%s from=%s client=%.*s size_bytes=%u rcpts=%u first=%s", id,
              log_text(a->record->mail_from), SLICE_ARG(a->record->client), a->record->bytes,
              a->record->n_rcpts, log_text(a->record->rcpts[0].address));
}

/* On the loop, after the sync (or the failure). */
static void accepted(void *arg)
{
    struct accept *a = arg;
    struct desk *d = a->desk;
    struct queue_message *m = a->m;
    struct queue_body *body = a->body;
    bool is_kept = a->err == ERR_OK;
    bool is_pending = is_kept && a->is_waiting;
    a->body = NULL;
    d->n_accepting--;
    if (is_kept)
        log_accept(a);
    if (a->done)
        a->done(a->done_arg, a->err);
    accept_free(a);
    if (is_pending) {
        a->deadline = mono_now() + SECONDS(ANSWER_SECONDS);
        list_append(&d->pending, &a->node);
        map_put(d->waiting, KEY(a->id), a);
    } else {
        if (a->gate)
            desk_tell(a, is_kept ? 0 : 1 + REFUSE_STORE_FAILED, NULL);
        else if (is_kept)
            desk_note_answer(d, a->id, true); /* our own words have no sender that waits */
        mem_free(&a);
    }
    if (is_kept)
        queue_accepted(d->queue, m, body); /* the answer may come in this very call */
    else
        queue_abandoned(d->queue, m);
    queue_body_unref(&body);
    queue_message_unref(&m);
    desk_late(d);
}

static void written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct accept *a = change->arg;
    a->err = err;
    desk_post(a->desk, accepted, a);
}

static void submit(struct accept *a)
{
    struct slice whole = queue_body_slice(a->body);
    size_t in_chunks = a->n_chunks * (size_t)STORE_CHUNK_BYTES;
    a->facts = buf_make(STORE_RECORD_MAX - STORE_INLINE_MAX);
    record_message_pack(&a->facts, a->record);
    a->change = (struct store_change){.type = RECORD_MESSAGE,
                                      .id = a->id,
                                      .facts = buf_slice(&a->facts),
                                      .done = written,
                                      .arg = a};
    a->change.body[0] = slice_skip(whole, in_chunks);
    if (a->facts.failed) { /* thousands of recipients with longest addresses: more than a record */
        a->err = ERR_LIMIT;
        desk_post(a->desk, accepted, a);
        return;
    }
    store_submit(a->desk->store, &a->change);
}

/* ---- large messages: chunks first, then the record that names them ---- */

static void chunks_done(void *arg)
{
    struct accept *a = arg;
    if (a->err != ERR_OK) {
        accepted(a);
        return;
    }
    a->record->chunks = ARENA_ARRAY(a->arena, struct record_extent, a->n_chunks);
    a->record->n_chunks = (uint32_t)a->n_chunks;
    for (size_t i = 0; i < a->n_chunks; i++)
        a->record->chunks[i] = store_body_extent(&a->chunks[i]);
    submit(a);
}

static void chunk_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct accept *a = change->arg;
    if (err != ERR_OK)
        a->err = err;
    if (--a->n_chunks_left == 0) /* only the writing thread comes here */
        desk_post(a->desk, chunks_done, a);
}

static void submit_chunks(struct accept *a)
{
    struct slice whole = queue_body_slice(a->body);
    a->n_chunks = (whole.n - 1) / STORE_CHUNK_BYTES;
    a->n_chunks_left = a->n_chunks;
    a->chunks = mem_new(a->n_chunks * sizeof(*a->chunks));
    for (size_t i = 0; i < a->n_chunks; i++) {
        struct slice part = slice_of(whole.p + i * STORE_CHUNK_BYTES, STORE_CHUNK_BYTES);
        a->chunks[i] = (struct store_change){
            .type = RECORD_CHUNK, .id = a->id, .done = chunk_written, .arg = a};
        a->chunks[i].body[0] = part;
        store_submit(a->desk->store, &a->chunks[i]);
    }
}

static void write_accept(struct accept *a)
{
    a->desk->n_accepting++;
    if (a->body->n > STORE_INLINE_MAX)
        submit_chunks(a);
    else
        submit(a);
}

/* ---- from a gate ---- */

static void copy_fields(struct arena *arena, const struct ipc_fields *f, struct record_fields *ret)
{
    *ret = (struct record_fields){
        .subject = arena_copy(arena, f->subject),
        .base_subject = arena_copy(arena, f->base_subject),
        .from_name = arena_copy(arena, f->from_name),
        .from_address = arena_copy(arena, f->from_address),
        .to = arena_copy(arena, f->to),
        .message_id = arena_copy(arena, f->message_id),
        .references = arena_copy(arena, f->references),
        .date = f->date,
        .preview = arena_copy(arena, f->preview),
        .has_attachment = f->has_attachment != 0,
        .odd = f->odd,
    };
}

static void fill_record(struct taking *t, struct record_message *m)
{
    const struct ipc_take *take = t->take;
    struct arena *arena = t->a->arena;
    uint32_t known = MESSAGE_TLS | MESSAGE_SMTPUTF8 | MESSAGE_8BIT | MESSAGE_SENDER_PROVED;
    *m = (struct record_message){
        .id = t->a->id,
        .received = utc_now(),
        .tenant = t->tenant,
        .direction = t->is_inward ? DIRECTION_IN : DIRECTION_OUT,
        .mail_from = arena_copy(arena, take->mail_from),
        .client = arena_copy(arena, take->client),
        .helo = arena_copy(arena, take->helo),
        .envid = arena_copy(arena, take->envid),
        .ret = take->ret,
        .flags = (take->flags & known) | (take->from_primary ? MESSAGE_FROM_PRIMARY : 0u) |
                 (t->is_cut_through ? MESSAGE_CUT_THROUGH : 0u),
        .fields = ARENA_NEW(arena, struct record_fields),
        .n_fields = 1,
    };
    copy_fields(arena, &take->fields[0], m->fields);
    desk_fill_rows(t, m);
    for (uint32_t i = 0; i < m->n_rcpts; i++) { /* the packing happens later: nothing borrowed */
        m->rcpts[i].address = arena_copy(arena, m->rcpts[i].address);
        m->rcpts[i].orcpt = arena_copy(arena, m->rcpts[i].orcpt);
    }
}

static struct queue_message *make_message(const struct record_message *m)
{
    struct queue_facts facts = {.id = m->id,
                                .tenant = m->tenant,
                                .direction = m->direction,
                                .ret = m->ret,
                                .flags = m->flags,
                                .bytes = m->bytes,
                                .received = m->received,
                                .mail_from = m->mail_from,
                                .envid = m->envid,
                                .client = m->client,
                                .helo = m->helo};
    return queue_message_create(&facts);
}

static void refuse_take(struct accept *a, enum refuse_id refusal)
{
    (void)refuse(refusal, SLICE("core"));
    desk_tell(a, 1 + refusal, NULL);
    accept_free(a);
    mem_free(&a);
}

void desk_take(struct gate *g, uint64_t tag, const struct ipc_take *take,
               struct queue_body *take_body)
{
    struct desk *d = g->desk;
    struct accept *a = mem_new(sizeof(*a));
    struct taking t = {.d = d, .take = take, .a = a};
    a->desk = d;
    a->gate = g;
    a->turn = g->turn;
    a->tag = tag;
    a->body = take_body;
    a->arena = arena_create(ARENA_MAX);
    list_init(&a->node);
    t.routes = ARENA_ARRAY(a->arena, struct directory_route, take->n_rcpts);
    enum refuse_id refusal = desk_judge(&t);
    if (refusal != REFUSE_N) {
        refuse_take(a, refusal);
        return;
    }
    a->id = desk_next_id(d);
    a->is_waiting = t.is_inward && t.is_cut_through && t.primary;
    a->record = ARENA_NEW(a->arena, struct record_message);
    fill_record(&t, a->record);
    a->record->prefix_bytes = desk_add_prefix(&t, &a->body);
    a->record->bytes = a->body->n;
    a->m = make_message(a->record);
    desk_plan(&t, a->record);
    write_accept(a);
}

/* ---- of ourselves ---- */

void desk_accept_own(struct desk *d, uint64_t tenant, struct slice to, struct slice raw,
                     bool is_utf8, void (*done)(void *arg, enum err err), void *arg)
{
    struct ipc_fields fields = {.subject = SLICE("Mail delivery notice"), .date = utc_now()};
    struct ipc_rcpt rcpt = {.address = to, .notify = WIRE_NOTIFY_NEVER};
    struct ipc_take take = {.client = SLICE("127.0.0.1"),
                            .helo = slice_str(d->o.node),
                            .protocol = SLICE("local"),
                            .rcpts = &rcpt,
                            .n_rcpts = 1,
                            .fields = &fields,
                            .n_fields = 1,
                            .flags = is_utf8 ? MESSAGE_SMTPUTF8 | MESSAGE_8BIT : 0};
    struct accept *a = mem_new(sizeof(*a));
    struct taking t = {.d = d, .take = &take, .a = a, .tenant = tenant};
    a->desk = d;
    a->done = done;
    a->done_arg = arg;
    a->arena = arena_create(ARENA_MAX);
    a->body = queue_body_create(HEADROOM, 0);
    list_init(&a->node);
    t.routes = ARENA_NEW(a->arena, struct directory_route);
    (void)queue_body_add(&a->body, raw, UINT32_MAX / 2);
    /* Known: to its primary; otherwise to the world. It is never refused: it is our own word. */
    if (desk_judge_rcpt(d, to, 0, &t.routes[0]) == REFUSE_N && t.routes[0].domain) {
        t.is_inward = true;
        t.primary = t.routes[0].primary;
        t.tenant = t.routes[0].domain->tenant;
    }
    a->id = desk_next_id(d);
    a->record = ARENA_NEW(a->arena, struct record_message);
    fill_record(&t, a->record);
    a->record->direction = DIRECTION_NOTICE;
    a->record->prefix_bytes = desk_add_prefix(&t, &a->body);
    a->record->bytes = a->body->n;
    a->m = make_message(a->record);
    desk_plan(&t, a->record);
    write_accept(a);
}
