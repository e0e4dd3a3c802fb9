/* A message becomes durable: judged once more, given its ids and places, written, and only then
 * answered.
 *
 * The order is the promise: (1) everything is decided and packed, (2) the record is written and
 * synced, (3) memory changes and the reply leaves. If the program ends between (2) and (3) the
 * sender has no reply and comes again; recovery finds the record without `answered`, and the ledger
 * says so. */
#include "desk/desk_submit_int.h"
#include "desk/desk_account_int.h"
#include "desk/desk_jmap_int.h"
#include "desk/desk_vacation_int.h"

#include "wire/wire.h"

#include <stdio.h>

enum {
    ARENA_MAX = 4 << 20,
    ANSWER_SECONDS = 20,
    HEADROOM = 2048,
    /* What a record may say about its message; with the bytes it stays below STORE_RECORD_MAX. */
    FACTS_MAX = STORE_RECORD_MAX - STORE_INLINE_MAX - 64,
    FACTS_USUAL = 1500, /* most messages' */
    EXTENT_BYTES = 20,
};

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

static enum refuse_id refusal_for(enum err err)
{
    switch (err) {
    case ERR_FULL:
        return REFUSE_DISK_LOW;
    case ERR_LIMIT: /* more than a record holds: it would never go */
        return REFUSE_TOO_BIG;
    case ERR_OK:
    case ERR_RETRY:
    case ERR_GONE:
    case ERR_EXISTS:
    case ERR_CONFLICT:
    case ERR_DENIED:
    case ERR_INVALID:
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_CANCELED:
    case ERR_N:
        break;
    }
    return REFUSE_STORE_FAILED;
}

/* Rows that are held from the first moment on. */
static void announce_held(const struct accept *a)
{
    char id[MESSAGE_ID_TEXT];
    const struct record_rcpt *first = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->record->n_rcpts; i++) {
        const struct record_rcpt *row = &a->record->rcpts[i];
        if (row->disposition != DISPOSITION_HELD || n++ > 0)
            continue;
        first = row;
    }
    if (!first)
        return;
    const struct refuse_row *why = refuse((enum refuse_id)(first->refusal - 1), first->address);
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    message_id_text(a->id, id);
    buf_addf(&text,
             "Message %s is held for %u recipient%s, first " SLICE_FMT
             ": %s. Nothing is lost. Give "
             "them mailboxes here or a primary, then release it.",
             id, n, n == 1 ? "" : "s", SLICE_ARG(first->address), why->text);
    desk_event(a->desk, EVENT_ALARM, "queue.held", a->record->tenant, slice_str(id),
               buf_slice(&text), SLICE("desk"));
}

/* The record goes, and the answer is still to come. */
static void keep_places(struct accept *a)
{
    const struct record_message *m = a->record;
    a->put = mem_new(m->n_rcpts * sizeof(*a->put));
    for (uint32_t i = 0; i < m->n_rcpts; i++)
        if (m->rcpts[i].mailbox)
            a->put[a->n_put++] = (struct put_place){
                .account = m->rcpts[i].person,
                .mailbox = m->rcpts[i].mailbox,
                .uid = m->rcpts[i].uid,
            };
}

/* Its sender's reply, if one waits for it, or none yet. True: `a` goes on waiting. */
static bool answer(struct accept *a)
{
    struct desk *d = a->desk;
    if (a->err == ERR_OK && a->is_waiting) {
        mono_us within = d->o.answer_within ? d->o.answer_within : SECONDS(ANSWER_SECONDS);
        a->deadline = mono_now() + within;
        list_append(&d->pending, &a->node);
        map_put(d->waiting, KEY(a->id), a);
        return true;
    }
    uint32_t refusal = 0;
    if (a->err != ERR_OK) {
        enum refuse_id why = refusal_for(a->err);
        (void)refuse(why, SLICE("core"));
        refusal = 1 + why;
    }
    if (a->gate)
        desk_tell(a, refusal, NULL);
    else if (!refusal)
        desk_note_answer(d, a->id, true); /* our own words have no sender that waits */
    return false;
}

/* On the loop, after the sync (or the failure). */
static void accepted(void *arg)
{
    struct accept *a = arg;
    struct desk *d = a->desk;
    struct queue_message *m = a->m;
    struct queue_body *body = a->body;
    bool is_kept = a->err == ERR_OK;
    a->body = NULL;
    d->n_accepting--;
    if (is_kept) {
        log_accept(a);
        announce_held(a);
        for (uint32_t i = 0; i < a->record->n_rcpts; i++)
            if (a->record->rcpts[i].mailbox)
                desk_jmap_changed(d, a->record->rcpts[i].person);
        desk_delivered(d, a->record, body);
        desk_vacation_see(d, a->record, body);
        if (a->is_waiting)
            keep_places(a);
    } else if (a->has_chunks) {
        desk_give_up(d, a->id);
    }
    if (a->done)
        a->done(a->done_arg, a->err);
    accept_free(a);
    if (!answer(a))
        mem_free(&a);
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
    a->facts.max = FACTS_MAX;
    buf_clear(&a->facts);
    desk_assign_places(a->desk, a->record);
    if (a->gate)
        desk_silence_count(a->desk, a->record->tenant, a->record->direction == DIRECTION_IN);
    record_message_pack(&a->facts, a->record);
    a->change = (struct store_change){.type = RECORD_MESSAGE,
                                      .id = a->id,
                                      .facts = buf_slice(&a->facts),
                                      .done = written,
                                      .arg = a};
    a->change.body[0] = slice_skip(whole, in_chunks);
    must(!a->facts.failed); /* is_storable */
    store_submit(a->desk->store, &a->change);
}

/* Thousands of recipients with longest addresses, or a message of more chunks than a record names,
 * have no place in the log. Looked at before the first byte is written. */
static bool is_storable(struct accept *a)
{
    a->facts = buf_make(FACTS_MAX - STORE_CHUNKS_MAX * EXTENT_BYTES);
    buf_reserve(&a->facts, FACTS_USUAL); /* it is packed there again, with places, by submit */
    record_message_pack(&a->facts, a->record);
    return !a->facts.failed && a->body->n <= STORE_MESSAGE_MAX;
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
    else
        a->has_chunks = true;
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
    if (!is_storable(a)) {
        a->err = ERR_LIMIT;
        desk_post(a->desk, accepted, a);
        return;
    }
    if (a->body->n > STORE_INLINE_MAX)
        submit_chunks(a);
    else
        submit(a);
}

/* ---- from a gate ---- */

void desk_copy_fields(struct arena *arena, const struct ipc_fields *f, struct record_fields *ret)
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
    desk_copy_fields(arena, &take->fields[0], m->fields);
    desk_fill_rows(t, m);
    for (uint32_t i = 0; i < m->n_rcpts; i++) { /* the packing happens later: nothing borrowed */
        m->rcpts[i].address = arena_copy(arena, m->rcpts[i].address);
        m->rcpts[i].orcpt = arena_copy(arena, m->rcpts[i].orcpt);
    }
}

static struct queue_message *make_message(struct arena *arena, const struct record_message *m)
{
    char *merged = arena_new(arena, m->n_rcpts * sizeof(uint16_t));
    size_t n = 0;
    for (uint32_t i = 0; i < m->n_rcpts; i++)
        if (m->rcpts[i].disposition == DISPOSITION_MERGED) {
            merged[n++] = (char)(i & 0xff);
            merged[n++] = (char)(i >> 8);
        }
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
                                .helo = m->helo,
                                .merged = slice_of(merged, n)};
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
    a->m = make_message(a->arena, a->record);
    desk_plan(&t, a->record);
    write_accept(a);
}

/* ---- of ourselves ---- */

void desk_accept_own(struct desk *d, const struct desk_own *own)
{
    struct ipc_fields fields = {.subject = own->subject,
                                .from_name = own->from_name,
                                .from_address = own->from_address,
                                .message_id = own->message_id,
                                .references = own->references,
                                .date = utc_now()};
    struct ipc_rcpt rcpt = {.address = own->to, .notify = WIRE_NOTIFY_NEVER};
    struct ipc_take take = {.client = SLICE("127.0.0.1"),
                            .helo = slice_str(d->o.node),
                            .protocol = SLICE("local"),
                            .rcpts = &rcpt,
                            .n_rcpts = 1,
                            .fields = &fields,
                            .n_fields = 1,
                            .flags = own->is_utf8 ? MESSAGE_SMTPUTF8 | MESSAGE_8BIT : 0};
    struct accept *a = mem_new(sizeof(*a));
    struct taking t = {.d = d, .take = &take, .a = a, .tenant = own->tenant};
    a->desk = d;
    a->done = own->done;
    a->done_arg = own->arg;
    a->arena = arena_create(ARENA_MAX);
    a->body = queue_body_create(HEADROOM, 0);
    list_init(&a->node);
    t.routes = ARENA_NEW(a->arena, struct directory_route);
    (void)queue_body_add(&a->body, own->raw, UINT32_MAX / 2);
    /* A domain of ours: to its primary, also for somebody we do not know (a printer that sends);
     * otherwise to the world. It is never refused: it is our own word. */
    (void)desk_judge_rcpt(d, own->to, 0, &t.routes[0]);
    if (t.routes[0].domain) {
        t.is_inward = true;
        t.primary = t.routes[0].primary;
        t.tenant = t.routes[0].domain->tenant;
    }
    a->id = own->id ? own->id : desk_next_id(d);
    a->record = ARENA_NEW(a->arena, struct record_message);
    fill_record(&t, a->record);
    a->record->direction = DIRECTION_NOTICE;
    a->record->prefix_bytes = desk_add_prefix(&t, &a->body);
    a->record->bytes = a->body->n;
    a->m = make_message(a->arena, a->record);
    desk_plan(&t, a->record);
    write_accept(a);
}

/* ---- of people of ours ---- */

static struct accept *begin_sent(struct desk *d, const struct desk_sent *sent)
{
    struct accept *a = mem_new(sizeof(*a));
    a->desk = d;
    a->id = sent->id;
    a->done = sent->done;
    a->done_arg = sent->arg;
    a->arena = arena_create(ARENA_MAX);
    a->body = queue_body_create(HEADROOM, 0);
    list_init(&a->node);
    if (sent->signatures.n > 0)
        (void)queue_body_add(&a->body, sent->signatures, UINT32_MAX / 2);
    (void)queue_body_add(&a->body, sent->raw, UINT32_MAX / 2);
    return a;
}

void desk_accept_sent(struct desk *d, const struct desk_sent *sent)
{
    struct ipc_fields fields = {};
    struct ipc_take take = {.mail_from = sent->mail_from,
                            .client = SLICE("127.0.0.1"),
                            .helo = slice_str(d->o.node),
                            .protocol = SLICE("HTTP"),
                            .envid = sent->envid,
                            .ret = sent->ret,
                            .flags = sent->flags,
                            .rcpts = (struct ipc_rcpt *)(uintptr_t)sent->rcpts,
                            .n_rcpts = sent->n_rcpts,
                            .fields = &fields,
                            .n_fields = 1};
    struct accept *a = begin_sent(d, sent);
    struct taking t = {.d = d,
                       .take = &take,
                       .a = a,
                       .tenant = sent->tenant,
                       .primary = sent->primary,
                       .is_inward = sent->is_inward};
    fields = (struct ipc_fields){.subject = sent->fields->subject,
                                 .base_subject = sent->fields->base_subject,
                                 .from_name = sent->fields->from_name,
                                 .from_address = sent->fields->from_address,
                                 .to = sent->fields->to,
                                 .message_id = sent->fields->message_id,
                                 .references = sent->fields->references,
                                 .date = sent->fields->date,
                                 .preview = sent->fields->preview,
                                 .has_attachment = sent->fields->has_attachment,
                                 .odd = sent->fields->odd};
    /* Who has it here; where it goes was decided before, and is not decided twice. */
    t.routes = ARENA_ARRAY(a->arena, struct directory_route, sent->n_rcpts);
    for (uint32_t i = 0; i < sent->n_rcpts; i++)
        (void)desk_judge_rcpt(d, sent->rcpts[i].address, 0, &t.routes[i]);
    a->record = ARENA_NEW(a->arena, struct record_message);
    fill_record(&t, a->record);
    a->record->direction = DIRECTION_PERSON;
    a->record->prefix_bytes = desk_add_prefix(&t, &a->body);
    a->record->bytes = a->body->n;
    a->m = make_message(a->arena, a->record);
    desk_plan(&t, a->record);
    write_accept(a);
}
