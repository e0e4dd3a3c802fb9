/* One submission on its way, in this order:
 *
 * (1) A worker reads the item and its bytes. (2) The loop decides which messages it becomes: one
 * for each mail system (of colleagues), one for the world; their ids are written into the item,
 * which is durable before anything else happens. (3) A worker signs. (4) Each message is accepted
 * as any other, with its id; so is the notice about those whom nobody has. (5) When all are
 * durable, the item becomes final and lets go of the bytes.
 *
 * Killed between (2) and (5): after the start, the messages that are in the store were accepted,
 * the others were not; only those are made again, with the same ids. So each is in the store once.
 * Killed before (2) was durable: nothing was accepted. */
#include "desk/desk_submit_int.h"

#include "store/store_account.h"
#include "wire/wire.h"

enum { ARENA_MAX = 16 << 20, RETRY_LATER = true };

struct sending {
    struct worker_job job;
    struct desk *desk;
    uint64_t person, id;
    struct arena *arena;
    struct record_item item;
    struct jmap_item_submission s;
    bool *is_stored; /* of each part: in the store already */
    bool is_told;    /* the notice about those who are refused is in the store already */
    struct record_fields fields;
    struct queue_body *body;
    struct desk_signing signing;
    struct buf signatures;
    struct buf packed; /* the item's body while it is written */
    size_t n_left;     /* parts that are being accepted, the notice among them */
    enum err err;
    struct errinfo ei;
};

static void end(struct sending *x, bool again)
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(x->id, id);
    if (x->err != ERR_OK && x->err != ERR_GONE)
        log_event(EV_DESK_UNSENT, "submission=%s again=%d why=%s", id, again,
                  log_text(slice_str(x->ei.text)));
    desk_submit_ended(x->desk, x->id, again);
    queue_body_unref(&x->body);
    buf_finish(&x->signatures);
    buf_finish(&x->packed);
    arena_destroy(&x->arena);
    mem_free(&x);
}

/* ---- (1) reading ---- */

static void copy_fields(struct arena *a, const struct record_fields *f, struct record_fields *ret)
{
    *ret = *f;
    ret->subject = arena_copy(a, f->subject);
    ret->base_subject = arena_copy(a, f->base_subject);
    ret->from_name = arena_copy(a, f->from_name);
    ret->from_address = arena_copy(a, f->from_address);
    ret->to = arena_copy(a, f->to);
    ret->message_id = arena_copy(a, f->message_id);
    ret->references = arena_copy(a, f->references);
    ret->preview = arena_copy(a, f->preview);
}

static enum err read_all(struct sending *x, struct store_reader *reader)
{
    struct store_message m;
    enum err err =
        store_get_item(reader, x->person, ITEM_SUBMISSION, x->id, x->arena, &x->item, &x->ei);
    if (err != ERR_OK || x->item.is_gone)
        return err == ERR_OK ? ERR_GONE : err;
    if (!jmap_item_submission_unpack(x->item.body, x->arena, &x->s))
        return err_set(&x->ei, ERR_CORRUPT, "its item cannot be read");
    if (x->s.state != JMAP_PENDING && x->s.state != JMAP_GOING)
        return ERR_GONE;
    x->is_stored = ARENA_ARRAY(x->arena, bool, x->s.n_parts + 1);
    for (uint32_t i = 0; i < x->s.n_parts; i++) {
        err = store_get_message(reader, x->s.parts[i].message, x->arena, &m, &x->ei);
        if (err != ERR_OK && err != ERR_GONE)
            return err;
        x->is_stored[i] = err == ERR_OK;
    }
    x->is_told =
        x->s.notice && store_get_message(reader, x->s.notice, x->arena, &m, &x->ei) == ERR_OK;
    err = store_get_message(reader, x->s.blob, x->arena, &m, &x->ei);
    if (err != ERR_OK)
        return err_prefix(&x->ei, err == ERR_GONE ? ERR_CORRUPT : err, "its bytes");
    copy_fields(x->arena, &m.fields, &x->fields);
    err = desk_read_body(x->desk, reader, x->s.blob, &x->body, &x->ei);
    if (err != ERR_GONE)
        return err;
    return m.is_dropped ? err_set(&x->ei, ERR_CORRUPT, "its bytes were given up")
                        : err_set(&x->ei, ERR_RETRY, "its bytes moved while they were read");
}

static void read_work(struct worker_job *job, struct store_reader *reader)
{
    struct sending *x = container_of(job, struct sending, job);
    if (!desk_catch_up(x->desk))
        x->err = err_set(&x->ei, ERR_RETRY, "the index is behind");
    else if (!reader)
        x->err = err_set(&x->ei, ERR_RETRY, "the index cannot be read");
    else
        x->err = read_all(x, reader);
}

/* ---- writing the item ---- */

struct item_write {
    struct sending *x;
    void (*then)(struct sending *x);
};

static void item_written(void *arg, enum err err)
{
    struct item_write *w = arg;
    struct sending *x = w->x;
    void (*then)(struct sending *) = w->then;
    mem_free(&w);
    if (err != ERR_OK)
        x->err = err_set(&x->ei, err, "the submission could not be written");
    then(x);
}

/* As `x->s` is now; with its bytes let go of when it is over. */
static void write_item(struct sending *x, void (*then)(struct sending *x))
{
    struct record_item items[2] = {
        {.account = x->person, .kind = ITEM_SUBMISSION, .id = x->id, .created = x->item.created},
        {.account = x->person, .kind = ITEM_BLOB, .id = x->s.blob, .is_gone = 1}};
    struct item_write *w = mem_new(sizeof(*w));
    *w = (struct item_write){x, then};
    buf_clear(&x->packed);
    jmap_item_submission_pack(&x->packed, &x->s);
    items[0].body = buf_slice(&x->packed);
    must(!x->packed.failed);
    desk_account_items(x->desk, items, x->s.state == JMAP_GOING ? 1 : 2, item_written, w);
}

/* ---- (5) final ---- */

static void final_written(struct sending *x)
{
    if (x->err == ERR_OK && x->s.state == JMAP_FINAL)
        desk_fate_watch(x->desk, x->person, x->id, x->s.parts, x->s.n_parts);
    end(x, x->err != ERR_OK && x->err != ERR_GONE); /* gone: with the whole account */
}

static void become_final(struct sending *x)
{
    x->s.state = JMAP_FINAL;
    write_item(x, final_written);
}

/* ---- (4) accepting ---- */

static void part_written(void *arg, enum err err)
{
    struct sending *x = arg;
    if (err != ERR_OK)
        x->err = err_set(&x->ei, err, "a message could not be stored");
    if (--x->n_left > 0)
        return;
    if (x->err == ERR_OK)
        become_final(x);
    else
        end(x, RETRY_LATER); /* those that are in the store are found there */
}

static uint32_t fill_rcpts(const struct sending *x, uint32_t part, struct ipc_rcpt *ret)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->s.n_rcpts; i++)
        if (x->s.rcpts[i].part == part + 1)
            ret[n++] = (struct ipc_rcpt){.address = x->s.rcpts[i].address,
                                         .notify = x->s.rcpts[i].notify,
                                         .orcpt = x->s.rcpts[i].orcpt};
    return n;
}

static void accept_part(struct sending *x, uint32_t part)
{
    const struct jmap_item_part *p = &x->s.parts[part];
    struct ipc_rcpt *rcpts = ARENA_ARRAY(x->arena, struct ipc_rcpt, x->s.n_rcpts);
    struct desk_sent sent = {.id = p->message,
                             .tenant = p->tenant,
                             .primary = p->primary,
                             .is_inward = p->is_inward,
                             .flags = x->s.flags,
                             .mail_from = x->s.mail_from,
                             .envid = x->s.envid,
                             .ret = x->s.ret,
                             .rcpts = rcpts,
                             .n_rcpts = fill_rcpts(x, part, rcpts),
                             .fields = &x->fields,
                             .signatures = buf_slice(&x->signatures),
                             .raw = queue_body_slice(x->body),
                             .done = part_written,
                             .arg = x};
    desk_accept_sent(x->desk, &sent);
}

/* Nobody has this recipient, and the sender did not say that it does not want to hear of it. */
static bool is_to_be_told(const struct jmap_item_rcpt *rcpt)
{
    return rcpt->refusal && (!rcpt->notify || (rcpt->notify & WIRE_NOTIFY_FAILURE));
}

static bool wants_notice(const struct jmap_item_submission *s)
{
    for (uint32_t i = 0; i < s->n_rcpts; i++)
        if (is_to_be_told(&s->rcpts[i]))
            return true;
    return false;
}

/* Those that nobody has: their sender is told as by any mail system. If the program ends before the
 * notice is durable, it is written after the start, with the id it has. False: none may be sent;
 * what the submission says of them is all there is. */
static bool tell_refused(struct sending *x)
{
    const struct directory_person *p = directory_person(x->desk->directory, x->person);
    struct queue_facts facts = {.tenant = p ? p->tenant : 0,
                                .direction = DIRECTION_PERSON,
                                .ret = x->s.ret,
                                .flags = x->s.flags,
                                .received = x->s.created,
                                .mail_from = x->s.mail_from,
                                .envid = x->s.envid};
    struct queue_row *rows = ARENA_ARRAY(x->arena, struct queue_row, x->s.n_rcpts + 1);
    struct queue_outcome *outcomes = ARENA_ARRAY(x->arena, struct queue_outcome, x->s.n_rcpts + 1);
    struct queue_notice n = {
        .news = QUEUE_FAILED, .facts = &facts, .rows = rows, .outcomes = outcomes, .body = x->body};
    for (uint32_t i = 0; i < x->s.n_rcpts; i++) {
        const struct jmap_item_rcpt *rcpt = &x->s.rcpts[i];
        if (!is_to_be_told(rcpt))
            continue;
        const struct refuse_row *why = refuse((enum refuse_id)(rcpt->refusal - 1), rcpt->address);
        rows[n.n] = (struct queue_row){.address = rcpt->address, .orcpt = rcpt->orcpt};
        outcomes[n.n++] = (struct queue_outcome){.enhanced = slice_skip(slice_str(why->code), 4),
                                                 .text = slice_str(why->text)};
    }
    return desk_bounce(x->desk, &n, x->s.notice, part_written, x);
}

/* An earlier try left chunks of one of these. */
static bool is_any_given_up(const struct sending *x)
{
    bool is_any = x->s.notice && desk_is_given_up(x->desk, x->s.notice);
    for (uint32_t i = 0; i < x->s.n_parts; i++)
        is_any |= desk_is_given_up(x->desk, x->s.parts[i].message);
    return is_any;
}

static void accept_all(struct sending *x)
{
    struct desk *d = x->desk;
    if (is_any_given_up(x)) {
        x->err = err_set(&x->ei, ERR_RETRY, "what is left of an earlier try is cleared away first");
        end(x, RETRY_LATER);
        return;
    }
    if (d->closed_for || d->is_stopping || queue_is_full(d->queue)) {
        x->err = err_set(&x->ei, ERR_FULL, "no mail is taken at this moment");
        end(x, RETRY_LATER);
        return;
    }
    x->n_left = x->s.notice && !x->is_told && tell_refused(x);
    for (uint32_t i = 0; i < x->s.n_parts; i++)
        x->n_left += !x->is_stored[i];
    if (x->n_left == 0) {
        become_final(x);
        return;
    }
    for (uint32_t i = 0, n = x->s.n_parts; i < n; i++)
        if (!x->is_stored[i])
            accept_part(x, i); /* none is done within the call: `x` lives on */
}

/* ---- (3) signing ---- */

static void sign_work(struct worker_job *job, struct store_reader *)
{
    struct sending *x = container_of(job, struct sending, job);
    desk_sign(&x->signing, queue_body_slice(x->body), &x->signatures);
}

static void sign_finish(struct worker_job *job)
{
    accept_all(container_of(job, struct sending, job));
}

static void planned(struct sending *x)
{
    if (x->err != ERR_OK) {
        end(x, x->err != ERR_GONE);
        return;
    }
    const struct directory_person *p = directory_person(x->desk->directory, x->person);
    desk_signing_of(x->desk, p ? p->tenant : 0, x->fields.from_address, x->arena, &x->signing);
    if (x->signing.n == 0) {
        accept_all(x);
        return;
    }
    x->job.work = sign_work;
    x->job.finish = sign_finish;
    desk_work(x->desk, &x->job);
}

/* ---- (2) which messages ---- */

/* Where does it go? REFUSE_N: `*ret` says it. */
static enum refuse_id route(struct sending *x, struct slice address, struct jmap_item_part *ret)
{
    struct desk *d = x->desk;
    struct directory_route r;
    const struct directory_person *sender = directory_person(d->directory, x->person);
    enum refuse_id refusal = desk_judge_rcpt(d, address, 0, &r);
    /* Perhaps our list is old: their mail system knows better, if there is one. */
    if (refusal == REFUSE_UNSURE_PERSON && r.primary)
        refusal = REFUSE_N;
    if (refusal == REFUSE_RELAY)
        refusal = REFUSE_N; /* the world */
    *ret = (struct jmap_item_part){.tenant = sender ? sender->tenant : 0};
    if (r.domain) {
        ret->tenant = r.domain->tenant;
        ret->primary = r.primary;
        ret->is_inward = 1;
    }
    return refusal;
}

/* 1 + number of the part, a new one if there is none like it; 0: there are too many. */
static uint16_t part_of(struct sending *x, const struct jmap_item_part *like)
{
    for (uint32_t i = 0; i < x->s.n_parts; i++) {
        const struct jmap_item_part *p = &x->s.parts[i];
        if (p->tenant == like->tenant && p->primary == like->primary &&
            p->is_inward == like->is_inward)
            return (uint16_t)(i + 1);
    }
    if (x->s.n_parts == JMAP_PARTS_MAX)
        return 0;
    x->s.parts[x->s.n_parts] = *like;
    x->s.parts[x->s.n_parts].message = desk_next_id(x->desk);
    return (uint16_t)++x->s.n_parts;
}

static void plan(struct sending *x)
{
    if (!directory_person(x->desk->directory, x->person)) {
        x->s.state = JMAP_CANCELED; /* nobody writes in the name of who was removed */
        write_item(x, final_written);
        return;
    }
    x->s.parts = ARENA_ARRAY(x->arena, struct jmap_item_part, JMAP_PARTS_MAX);
    x->is_stored = ARENA_ARRAY(x->arena, bool, JMAP_PARTS_MAX);
    for (uint32_t i = 0; i < x->s.n_rcpts; i++) {
        struct jmap_item_rcpt *rcpt = &x->s.rcpts[i];
        struct jmap_item_part like;
        enum refuse_id refusal = route(x, rcpt->address, &like);
        rcpt->part = refusal == REFUSE_N ? part_of(x, &like) : 0;
        if (refusal == REFUSE_N && rcpt->part == 0)
            refusal = REFUSE_RECIPIENTS; /* of more mail systems than one message is given to */
        rcpt->refusal = refusal == REFUSE_N ? 0 : 1 + refusal;
    }
    x->s.state = JMAP_GOING;
    x->s.notice = wants_notice(&x->s) ? desk_next_id(x->desk) : 0;
    write_item(x, planned);
}

static void read_finish(struct worker_job *job)
{
    struct sending *x = container_of(job, struct sending, job);
    if (x->err == ERR_CORRUPT)
        desk_submit_doubt(x->desk, x->person, x->id, x->ei.text,
                          "It was not sent, and nothing of it was changed: ask this person to send "
                          "it once more.");
    if (x->err == ERR_CORRUPT || x->err == ERR_GONE)
        end(x, false); /* the item stays as it is */
    else if (x->err != ERR_OK)
        end(x, RETRY_LATER);
    else if (x->s.n_parts > 0 || x->s.notice)
        planned(x); /* before; the notice is all there is where nobody has any of them */
    else
        plan(x);
}

void desk_submit_send(struct desk *d, uint64_t person, uint64_t submission)
{
    struct sending *x = mem_new(sizeof(*x));
    x->desk = d;
    x->person = person;
    x->id = submission;
    x->arena = arena_create(ARENA_MAX);
    x->packed = buf_make(JMAP_ITEM_BODY_MAX);
    x->signatures = buf_make(8000);
    x->job.work = read_work;
    x->job.finish = read_finish;
    desk_work(d, &x->job);
}
