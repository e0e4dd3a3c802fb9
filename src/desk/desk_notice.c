/* Notices to senders (RFC 3464): to whom one may go, how many, and what it says. */
#include "desk/desk_submit_int.h"
#include "desk/desk_int.h"

#include "wire/dsn.h"
#include "wire/wire.h"

#include <stdio.h>

enum {
    SENDERS_MAX = 10000,
    ADDRESS_MAX = 400,
    NOTICE_MAX = STORE_MESSAGE_MAX - (64 << 10), /* what we put before it goes there, too */
    MESSAGE_ID_MAX = 500,
    MINUTE_MS = 60000
};

/* To people and systems of ours that submitted it, and to strangers whose return path was proved;
 * never to <> (design: notices). */
static bool may_notify(const struct queue_facts *f)
{
    if (f->mail_from.n == 0)
        return false;
    return f->direction == DIRECTION_OUT || f->direction == DIRECTION_PERSON ||
           (f->flags & MESSAGE_SENDER_PROVED);
}

/* ---- how many ---- */

struct sender_count {
    uint32_t n;
};

void desk_notices_forget(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->notices, &at, NULL, &value))
        mem_free(&value);
    map_destroy(&d->notices);
    d->notices = map_create();
}

/* A loop of notices, or a flood that somebody sends in another's name, ends here. */
static bool is_within_limit(struct desk *d, struct slice sender)
{
    char key[ADDRESS_MAX];
    size_t n = sender.n < sizeof(key) ? sender.n : sizeof(key);
    for (size_t i = 0; i < n; i++)
        key[i] = ascii_lower(sender.p[i]);
    utc_ms now = utc_now();
    if (now < d->notices_since || now >= d->notices_since + MINUTE_MS ||
        map_size(d->notices) >= SENDERS_MAX) {
        desk_notices_forget(d);
        d->notices_since = now;
    }
    struct sender_count *count = map_get(d->notices, slice_of(key, n));
    if (!count) {
        count = mem_new(sizeof(*count));
        map_put(d->notices, slice_of(key, n), count);
    }
    refuse_measure(REFUSE_NOTICES, count->n + 1, sender);
    if (count->n >= refuse_row(REFUSE_NOTICES)->limit) {
        (void)refuse(REFUSE_NOTICES, sender);
        return false;
    }
    count->n++;
    return true;
}

/* ---- what it says ---- */

static void fill_rcpt(const struct queue_notice *n, size_t i, struct wire_dsn_rcpt *ret)
{
    static const enum wire_dsn_action actions[] = {[QUEUE_FAILED] = WIRE_DSN_FAILED,
                                                   [QUEUE_RELAYED] = WIRE_DSN_RELAYED,
                                                   [QUEUE_DELAYED] = WIRE_DSN_DELAYED,
                                                   [QUEUE_DELIVERED] = WIRE_DSN_DELIVERED};
    const struct queue_row *row = &n->rows[i];
    const struct queue_outcome *o = &n->outcomes[i];
    struct slice rest, type = slice_cut(row->orcpt, ';', &rest);
    *ret = (struct wire_dsn_rcpt){
        .action = actions[n->news],
        .final = row->address,
        .orcpt_type = row->orcpt.n ? type : SLICE(""),
        .orcpt = row->orcpt.n ? rest : SLICE(""),
        .remote_mta = n->remote,
        .diagnostic = o->text,
        .last_attempt = utc_now(),
        .retry_until = o->until,
    };
    struct wire_status status;
    if (n->news == QUEUE_FAILED && wire_status_parse(o->enhanced, &status) && status.class == 5)
        ret->status = status;
}

/* Of people and systems of ours; strangers may know another one than the company. */
static enum wire_language language_of(struct desk *d, const struct queue_facts *f)
{
    const struct directory_tenant *t = directory_tenant(d->directory, f->tenant);
    bool is_ours = f->direction == DIRECTION_OUT || f->direction == DIRECTION_PERSON;
    return is_ours && t ? wire_language_of(t->facts.language) : WIRE_EN;
}

/* What a person of ours wrote has one line that we put there, or she. The notice stands in the same
 * conversation. */
static struct slice message_id_in(struct slice header)
{
    static const struct slice name = SLICE("message-id:");
    for (struct slice rest = header, line; rest.n > 0;) {
        line = slice_trim(slice_cut(rest, '\n', &rest));
        if (line.n == 0)
            break;
        if (line.n <= name.n || !slice_ieq(slice_of(line.p, name.n), name))
            continue;
        struct slice id = slice_trim(slice_skip(line, name.n));
        bool is_good = id.n > 2 && id.n < MESSAGE_ID_MAX && id.p[0] == '<' && id.p[id.n - 1] == '>';
        for (size_t i = 0; is_good && i < id.n; i++)
            is_good = id.p[i] > ' ' && id.p[i] < 0x7f;
        return is_good ? slice_of(id.p + 1, id.n - 2) : SLICE("");
    }
    return SLICE("");
}

/* What the message is, besides its bytes; the slices live as long as the notice's body. */
struct letter {
    struct slice subject, in_reply_to;
    struct wire_dsn_needs needs;
};

static bool compose(struct desk *d, const struct queue_notice *n, uint64_t notice, struct buf *raw,
                    struct letter *ret)
{
    const struct queue_facts *f = n->facts;
    struct arena *a = arena_create(4 << 20);
    char id[MESSAGE_ID_TEXT];
    struct wire_dsn_rcpt *rcpts = ARENA_ARRAY(a, struct wire_dsn_rcpt, n->n);
    struct slice original = n->body ? queue_body_slice(n->body) : SLICE("");
    message_id_text(notice, id);
    struct wire_dsn dsn = {
        .reporting_mta = slice_str(d->o.node),
        .from = slice_str(arena_printf(a, "postmaster@%s", d->o.node)),
        .to = f->mail_from,
        .message_id = slice_str(arena_printf(a, "%s@%s", id, d->o.node)),
        .date = utc_now(),
        .arrival = f->received,
        .envid = f->envid,
        .original = original,
        .with_whole = f->ret == WIRE_RET_FULL,
        .with_utf8 = (f->flags & MESSAGE_SMTPUTF8) != 0,
        .language = language_of(d, f),
        .in_reply_to = f->direction == DIRECTION_PERSON ? message_id_in(original) : SLICE(""),
        .rcpts = rcpts,
        .n_rcpts = n->n,
    };
    random_bytes(&dsn.nonce, sizeof(dsn.nonce));
    for (size_t i = 0; i < n->n; i++)
        fill_rcpt(n, i, &rcpts[i]);
    ret->subject = slice_str(wire_dsn_subject(&dsn));
    ret->in_reply_to = dsn.in_reply_to;
    ret->needs = wire_dsn_compose(&dsn, raw);
    if (raw->failed && dsn.with_whole) {
        buf_clear(raw);
        dsn.with_whole = false;
        ret->needs = wire_dsn_compose(&dsn, raw);
    }
    arena_destroy(&a);
    return !raw->failed;
}

/* False: none may be sent, or can. */
static bool write_notice(struct desk *d, const struct queue_notice *n, uint64_t id,
                         void (*done)(void *arg, enum err err), void *arg)
{
    struct letter letter;
    SCOPED(buf_finish) struct buf raw = buf_make(NOTICE_MAX);
    char address[ADDRESS_MAX];
    if (!may_notify(n->facts) || n->n == 0 || n->n > WIRE_DSN_RCPTS_MAX ||
        !is_within_limit(d, n->facts->mail_from) || !compose(d, n, id, &raw, &letter))
        return false;
    snprintf(address, sizeof(address), "postmaster@%s", d->o.node);
    struct desk_own own = {.id = id,
                           .tenant = n->facts->tenant,
                           .to = n->facts->mail_from,
                           .raw = buf_slice(&raw),
                           .subject = letter.subject,
                           .from_name = SLICE("Mail Delivery System"),
                           .from_address = slice_str(address),
                           .references = letter.in_reply_to,
                           .is_utf8 = letter.needs.needs_smtputf8,
                           .done = done,
                           .arg = arg};
    desk_accept_own(d, &own);
    return true;
}

struct noticing {
    struct desk *desk;
    void *cookie;
};

static void notice_written(void *arg, enum err err)
{
    struct noticing *w = arg;
    queue_noticed(w->desk->queue, w->cookie, err);
    desk_late(w->desk);
    mem_free(&w);
}

uint64_t desk_notice(void *arg, const struct queue_notice *n)
{
    struct desk *d = arg;
    uint64_t id = desk_next_id(d);
    struct noticing *w = mem_new(sizeof(*w));
    *w = (struct noticing){d, n->cookie};
    if (write_notice(d, n, id, notice_written, w))
        return id;
    mem_free(&w);
    return 0;
}

bool desk_bounce(struct desk *d, const struct queue_notice *n, uint64_t id,
                 void (*done)(void *arg, enum err err), void *arg)
{
    return write_notice(d, n, id, done, arg);
}

/* ---- delivered: into mailboxes of ours, with the record of the message itself ---- */

/* A second address of a person is merged with the first, whose mailbox has it. */
static bool lies_here(const struct record_message *m, const struct record_rcpt *row)
{
    if (row->disposition == DISPOSITION_DELIVERED)
        return true;
    for (uint32_t i = 0; row->disposition == DISPOSITION_MERGED && i < m->n_rcpts; i++)
        if (m->rcpts[i].person == row->person && m->rcpts[i].disposition == DISPOSITION_DELIVERED)
            return true;
    return false;
}

static bool wants_success(const struct record_message *m)
{
    for (uint32_t i = 0; i < m->n_rcpts; i++)
        if (m->rcpts[i].notify & WIRE_NOTIFY_SUCCESS)
            return true;
    return false;
}

void desk_delivered(struct desk *d, const struct record_message *m, struct queue_body *body)
{
    if (!wants_success(m))
        return; /* nearly all mail */
    SCOPED(arena_destroy) struct arena *a = arena_create(4 << 20);
    struct queue_facts facts = {.tenant = m->tenant,
                                .direction = m->direction,
                                .ret = m->ret,
                                .flags = m->flags,
                                .received = m->received,
                                .mail_from = m->mail_from,
                                .envid = m->envid};
    struct queue_row *rows = ARENA_ARRAY(a, struct queue_row, m->n_rcpts);
    struct queue_notice n = {.news = QUEUE_DELIVERED,
                             .facts = &facts,
                             .rows = rows,
                             .outcomes = ARENA_ARRAY(a, struct queue_outcome, m->n_rcpts),
                             .body = body};
    for (uint32_t i = 0; i < m->n_rcpts; i++) {
        const struct record_rcpt *row = &m->rcpts[i];
        if ((row->notify & WIRE_NOTIFY_SUCCESS) && !row->parent && lies_here(m, row))
            rows[n.n++] = (struct queue_row){.address = row->address, .orcpt = row->orcpt};
    }
    (void)desk_bounce(d, &n, desk_next_id(d), NULL, NULL);
}

/* ---- delays: the facts and the header come from the store ---- */

struct delaying {
    struct worker_job job;
    struct arena *arena;
    struct queue_facts facts;
    struct queue_notice notice;
    struct queue_body *body;
    bool is_whole;
};

static void delay_work(struct worker_job *job, struct store_reader *reader)
{
    struct delaying *w = container_of(job, struct delaying, job);
    struct errinfo ei;
    w->is_whole =
        desk_read_message(job->desk, reader, w->facts.id, w->arena, &w->facts, &ei) == ERR_OK;
    if (w->is_whole && may_notify(&w->facts))
        (void)!desk_read_body(job->desk, reader, w->facts.id, &w->body, &ei); /* or without it */
}

static void delay_finish(struct worker_job *job)
{
    struct delaying *w = container_of(job, struct delaying, job);
    struct desk *d = job->desk;
    w->notice.facts = &w->facts;
    w->notice.body = w->body;
    if (w->is_whole)
        (void)desk_bounce(d, &w->notice, desk_next_id(d), NULL, NULL);
    queue_body_unref(&w->body);
    arena_destroy(&w->arena);
    mem_free(&w);
}

void desk_delayed(void *arg, const struct queue_notice *n)
{
    struct desk *d = arg;
    struct delaying *w = mem_new(sizeof(*w));
    w->arena = arena_create(4 << 20);
    struct queue_row *rows = ARENA_ARRAY(w->arena, struct queue_row, n->n);
    struct queue_outcome *outcomes = ARENA_ARRAY(w->arena, struct queue_outcome, n->n);
    for (size_t i = 0; i < n->n; i++) {
        rows[i] = n->rows[i];
        rows[i].address = arena_copy(w->arena, rows[i].address);
        rows[i].orcpt = arena_copy(w->arena, rows[i].orcpt);
        outcomes[i] = n->outcomes[i];
        outcomes[i].text = arena_copy(w->arena, outcomes[i].text);
    }
    w->facts.id = n->facts->id;
    w->notice = (struct queue_notice){
        .news = n->news, .rows = rows, .outcomes = outcomes, .n = n->n, .remote = SLICE("")};
    w->job.work = delay_work;
    w->job.finish = delay_finish;
    desk_work(d, &w->job);
}
