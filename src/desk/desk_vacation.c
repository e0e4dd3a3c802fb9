/* Answering for who is away (RFC 8621 section 8), in this order:
 *
 * (1) A message is durable; one of its recipients has said that she is away, nobody else answers
 * for her, and its sender is proved. (2) A gate reads its header. (3) A worker reads what she has
 * said and whom she has answered lately, composes and signs. (4) That this sender gets an answer is
 * written down; (5) when that is durable, the answer is accepted as any message of ours, with an
 * empty return path.
 *
 * Ended in between: at most one answer is missing, and none is there twice. Nobody waits for one.
 */
#include "desk/desk_vacation_int.h"
#include "desk/desk_parse_int.h"
#include "desk/desk_state_int.h"

#include "email/email.h"
#include "store/store_account.h"

#include <stdio.h>

enum { ARENA_MAX = 8 << 20, ANSWER_MAX = 1 << 20, ADDRESSES_MAX = 500, HOUR_MS = 3600000 };

/* Who is away, as far as memory knows: the item in the store is the truth. */
struct absent {
    utc_ms from, until; /* 0: open */
    int64_t hour;
    uint32_t n_answers; /* in it */
};

/* From (3) to (4) one after another: two letters of one sender that came together see each other.
 */
struct desk_vacations {
    struct map *absent; /* person -> struct absent */
    struct list waiting;
    bool is_writing;
    unsigned n_running;
};

struct answering {
    struct list node; /* in desk_vacations.waiting */
    bool is_writing;
    struct worker_job job;
    struct desk *desk;
    uint64_t person, tenant;
    struct arena *arena;
    struct slice name, address, sender;
    struct slice *addresses;
    size_t n_addresses;
    enum wire_language language;
    struct slice reply_id; /* Message-ID of the answer */
    json_t *message;
    struct desk_signing signing;
    uint64_t id; /* of the answer */
    bool is_wanted;
    struct buf raw, packed;
    struct slice subject, original_id;
};

void desk_vacations_create(struct desk *d)
{
    d->vacations = mem_new(sizeof(*d->vacations));
    d->vacations->absent = map_create();
    list_init(&d->vacations->waiting);
}

static void answering_free(struct answering *x)
{
    json_decref(x->message);
    buf_finish(&x->raw);
    buf_finish(&x->packed);
    arena_destroy(&x->arena);
    mem_free(&x);
}

void desk_vacations_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->vacations->absent, &at, NULL, &value))
        mem_free(&value);
    for (struct list *node; (node = list_pop(&d->vacations->waiting));)
        answering_free(container_of(node, struct answering, node));
    map_destroy(&d->vacations->absent);
    mem_free(&d->vacations);
}

/* ---- who is away ---- */

void desk_vacation_said(struct desk *d, const struct record_item *item)
{
    struct jmap_item_vacation v = {};
    bool is_away =
        !item->is_gone && jmap_item_vacation_unpack(item->body, NULL, &v) && v.is_enabled;
    struct absent *known = map_get(d->vacations->absent, KEY(item->account));
    if (!is_away) {
        known = map_del(d->vacations->absent, KEY(item->account));
        mem_free(&known);
        return;
    }
    if (!known) {
        known = mem_new(sizeof(*known));
        map_put(d->vacations->absent, KEY(item->account), known);
    }
    known->from = v.from;
    known->until = v.until;
}

static bool load_one(void *arg, const struct record_item *item)
{
    desk_vacation_said(arg, item);
    return true;
}

enum err desk_vacations_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    return store_each_item(reader, 0, ITEM_VACATION, load_one, d, ei);
}

static bool is_in(utc_ms from, utc_ms until, utc_ms now)
{
    return (!from || now >= from) && (!until || now < until);
}

bool desk_has_other_answers(struct desk *d, const struct directory_person *p)
{
    uint64_t id = desk_primary_of(d, p);
    const struct desk_primary *primary = id ? desk_primary(d, id) : NULL;
    /* While mail is given back the mail system is there again, and answers. */
    return primary && primary->p.state != STATE_EMERGENCY;
}

/* ---- the end, wherever it comes ---- */

static void write_next(struct desk *d);

static void end(struct answering *x)
{
    struct desk *d = x->desk;
    bool was_writing = x->is_writing;
    d->vacations->n_running--;
    answering_free(x);
    if (!was_writing)
        return;
    d->vacations->is_writing = false;
    write_next(d);
}

/* ---- (4) and (5) ---- */

static void noted(void *arg, enum err err)
{
    struct answering *x = arg;
    struct desk *d = x->desk;
    struct desk_own own = {.id = x->id,
                           .tenant = x->tenant,
                           .to = x->sender,
                           .raw = buf_slice(&x->raw),
                           .subject = x->subject,
                           .from_name = x->name,
                           .from_address = x->address,
                           .message_id = x->reply_id,
                           .references = x->original_id};
    if (err == ERR_OK && !d->closed_for && !d->is_stopping && !queue_is_full(d->queue))
        desk_accept_own(d, &own);
    end(x);
}

static void write_finish(struct worker_job *job)
{
    struct answering *x = container_of(job, struct answering, job);
    struct record_item item = {.account = x->person,
                               .kind = ITEM_ANSWERED,
                               .id = DESK_ANSWERED_ID,
                               .body = buf_slice(&x->packed)};
    if (x->is_wanted)
        desk_account_items(x->desk, &item, 1, noted, x);
    else
        end(x);
}

/* ---- (3) ---- */

static bool read_vacation(struct answering *x, struct store_reader *reader,
                          struct jmap_item_vacation *ret)
{
    struct record_item item;
    struct errinfo ei;
    return store_get_item(reader, x->person, ITEM_VACATION, JMAP_VACATION_ID, x->arena, &item,
                          &ei) == ERR_OK &&
           !item.is_gone && jmap_item_vacation_unpack(item.body, x->arena, ret) &&
           ret->is_enabled && is_in(ret->from, ret->until, utc_now());
}

static bool note_sender(struct answering *x, struct store_reader *reader)
{
    struct record_item item;
    struct desk_answers all = {};
    struct errinfo ei;
    enum err err =
        store_get_item(reader, x->person, ITEM_ANSWERED, DESK_ANSWERED_ID, x->arena, &item, &ei);
    if (err != ERR_OK && err != ERR_GONE)
        return false;
    if (err == ERR_OK && !item.is_gone && !desk_answers_unpack(item.body, x->arena, &all))
        return false;
    err = desk_answered_note(&all, x->sender, utc_now(), x->arena);
    if (err == ERR_LIMIT)
        (void)refuse(REFUSE_ANSWERS_KEPT, x->address);
    if (err != ERR_OK)
        return false;
    desk_answers_pack(&x->packed, &all);
    return !x->packed.failed;
}

static bool write_answer(struct answering *x, const struct jmap_item_vacation *v)
{
    SCOPED(buf_finish) struct buf plain = buf_make(ANSWER_MAX);
    struct desk_answer a = {.name = x->name,
                            .address = x->address,
                            .addresses = x->addresses,
                            .n_addresses = x->n_addresses,
                            .sender = x->sender,
                            .vacation = v,
                            .language = x->language,
                            .message_id = x->reply_id};
    if (!desk_is_answerable(&a, x->message) ||
        !desk_answer_compose(&a, x->message, utc_now(), x->arena, &plain, &x->subject))
        return false;
    x->subject = arena_copy(x->arena, x->subject);
    desk_sign(&x->signing, buf_slice(&plain), &x->raw);
    buf_adds(&x->raw, buf_slice(&plain));
    return !x->raw.failed;
}

static void write_work(struct worker_job *job, struct store_reader *reader)
{
    struct answering *x = container_of(job, struct answering, job);
    struct jmap_item_vacation v;
    if (!reader || !desk_catch_up(x->desk) || !read_vacation(x, reader, &v))
        return;
    x->is_wanted = write_answer(x, &v) && note_sender(x, reader);
}

static void write_next(struct desk *d)
{
    struct list *node = d->vacations->is_writing ? NULL : list_pop(&d->vacations->waiting);
    if (!node)
        return;
    struct answering *x = container_of(node, struct answering, node);
    x->is_writing = d->vacations->is_writing = true;
    x->job.work = write_work;
    x->job.finish = write_finish;
    desk_work(d, &x->job);
}

/* ---- (2) ---- */

static void header_read(void *arg, const struct desk_parsed *p)
{
    struct answering *x = arg;
    if (p->err == ERR_OK)
        x->message = json_loadb(p->bytes.p, p->bytes.n, JSON_DISABLE_EOF_CHECK, NULL);
    if (!x->message) { /* nobody is told: it was delivered, and an answer is a courtesy */
        end(x);
        return;
    }
    const json_t *id = json_array_get(json_object_get(x->message, "messageId"), 0);
    x->original_id = slice_of(json_string_value(id), json_string_length(id));
    desk_signing_of(x->desk, x->tenant, x->address, x->arena, &x->signing);
    list_append(&x->desk->vacations->waiting, &x->node);
    write_next(x->desk);
}

static void read_header(struct answering *x, const struct record_message *m,
                        struct queue_body *body)
{
    struct email_want want;
    struct errinfo ei;
    json_t *names = json_array(), *args = json_pack("{s:o}", "properties", names);
    for (size_t i = 0; desk_answer_properties[i]; i++)
        json_array_append_new(names, json_string(desk_answer_properties[i]));
    SCOPED(buf_finish) struct buf packed = buf_make(EMAIL_WANT_BYTES_MAX);
    must(email_want_parse(args, EMAIL_CALL_GET, x->arena, &want, &ei) == ERR_OK);
    json_decref(args);
    email_want_pack(&packed, &want);
    struct desk_parse_ask ask = {.what = IPC_PARSE_EMAIL,
                                 .want = buf_slice(&packed),
                                 .message = m->id,
                                 .tenant = m->tenant,
                                 .body = body,
                                 .done = header_read,
                                 .arg = x};
    if (desk_parse(x->desk, &ask, &ei) != ERR_OK)
        end(x);
}

/* ---- (1) ---- */

static bool may_have_one_more(struct desk *d, struct absent *a, struct slice who)
{
    int64_t hour = utc_now() / HOUR_MS;
    a->n_answers = hour == a->hour ? a->n_answers : 0;
    a->hour = hour;
    const struct {
        enum refuse_id id;
        uint64_t value;
    } rows[] = {{REFUSE_ANSWERS_HOUR, a->n_answers + 1},
                {REFUSE_ANSWERS_BUSY, d->vacations->n_running + 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        refuse_measure(rows[i].id, rows[i].value, who);
        if (refuse_would(rows[i].id, refuse_limit(rows[i].id).value, rows[i].value)) {
            (void)refuse(rows[i].id, who);
            return false;
        }
    }
    a->n_answers++;
    return true;
}

static void begin(struct desk *d, const struct directory_person *p, const struct record_message *m,
                  const struct record_rcpt *row, struct queue_body *body)
{
    struct answering *x = mem_new(sizeof(*x));
    char id[MESSAGE_ID_TEXT];
    struct slice domain = desk_domain_of(row->address);
    const struct directory_tenant *t = directory_tenant(d->directory, p->tenant);
    *x = (struct answering){.desk = d, .person = p->id, .tenant = p->tenant};
    list_init(&x->node);
    x->arena = arena_create(ARENA_MAX);
    x->raw = buf_make(ANSWER_MAX);
    x->packed = buf_make(JMAP_ITEM_BODY_MAX);
    x->name = arena_copy(x->arena, p->facts.name);
    x->address = arena_copy(x->arena, row->address);
    x->sender = arena_copy(x->arena, m->mail_from);
    x->language = wire_language_of(t ? t->facts.language : SLICE(""));
    x->n_addresses = p->facts.n_addresses < ADDRESSES_MAX ? p->facts.n_addresses : ADDRESSES_MAX;
    x->addresses = ARENA_ARRAY(x->arena, struct slice, x->n_addresses + 1);
    for (size_t i = 0; i < x->n_addresses; i++)
        x->addresses[i] = arena_copy(x->arena, p->facts.addresses[i].text);
    x->id = desk_next_id(d);
    message_id_text(x->id, id);
    x->reply_id = slice_str(arena_printf(x->arena, "%s@" SLICE_FMT, id, SLICE_ARG(domain)));
    d->vacations->n_running++;
    read_header(x, m, body);
}

/* A stranger's return path is proved (design: notices); a person of ours is logged in. */
static bool may_be_answered(const struct record_message *m)
{
    bool is_proved = m->direction == DIRECTION_PERSON || (m->flags & MESSAGE_SENDER_PROVED);
    return m->direction != DIRECTION_NOTICE && is_proved && !desk_is_machine(m->mail_from);
}

void desk_vacation_see(struct desk *d, const struct record_message *m, struct queue_body *body)
{
    utc_ms now = utc_now();
    if (map_size(d->vacations->absent) == 0 || d->is_stopping || d->clock.is_doubted ||
        !may_be_answered(m))
        return; /* nearly all mail */
    for (uint32_t i = 0; i < m->n_rcpts; i++) {
        const struct record_rcpt *row = &m->rcpts[i];
        struct absent *a =
            row->mailbox && !row->parent ? map_get(d->vacations->absent, KEY(row->person)) : NULL;
        const struct directory_person *p = a ? directory_person(d->directory, row->person) : NULL;
        if (p && is_in(a->from, a->until, now) && !desk_has_other_answers(d, p) &&
            may_have_one_more(d, a, row->address))
            begin(d, p, m, row, body);
    }
}
