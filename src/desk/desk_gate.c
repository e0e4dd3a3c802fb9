/* What gates ask: is this recipient ours, take this message; and what they report: the reply has
 * been handed to its connection. */
#include "desk/desk_account_int.h"
#include "desk/desk_parse_int.h"
#include "desk/desk_state_int.h"

#include "wire/wire.h"

#include <stdio.h>
#include <unistd.h>

enum {
    ANSWERS_MAX = 20000,
    HEADROOM = 2048,
    UPLOADS_MAX = 20000, /* more than a gate can have sessions */
    TOLD_MAX = 100000,   /* replies that it has not spoken about yet */
    UPLOAD_SLACK = 16 << 20,
};

static char is_told; /* a value for the set of told messages */

/* ---- recipients ---- */

/* "postmaster" without a domain belongs to the oldest domain we have. */
static struct slice oldest_domain(struct desk *d)
{
    const struct directory_domain *oldest = NULL, *domain;
    size_t at = 0;
    while ((domain = directory_next_domain(d->directory, &at)))
        if (!oldest || domain->id < oldest->id)
            oldest = domain;
    return oldest ? oldest->facts.name : SLICE("");
}

static bool make_key(struct desk *d, struct slice address, struct buf *key)
{
    if (slice_ieq(address, SLICE("postmaster"))) {
        buf_adds(key, SLICE("postmaster@"));
        buf_adds(key, oldest_domain(d));
        return !key->failed;
    }
    return wire_address_key(address, key).fault == WIRE_FINE && !key->failed;
}

static enum refuse_id refusal_of(enum directory_verdict v, bool is_from_primary)
{
    switch (v) {
    case DIRECTORY_KNOWN:
        return REFUSE_N;
    case DIRECTORY_UNKNOWN:
        return REFUSE_UNKNOWN_PERSON;
    case DIRECTORY_UNSURE:
        return REFUSE_UNSURE_PERSON;
    case DIRECTORY_NOT_OURS:
        return is_from_primary ? REFUSE_N : REFUSE_RELAY;
    }
    return REFUSE_RELAY;
}

/* The verdict about one recipient; also used again when the message is taken. */
enum refuse_id desk_judge_rcpt(struct desk *d, struct slice address, uint64_t from_primary,
                               struct directory_route *route)
{
    SCOPED(buf_finish) struct buf key = buf_make(600);
    *route = (struct directory_route){0};
    if (!make_key(d, address, &key))
        return REFUSE_SYNTAX;
    enum directory_verdict v = directory_judge(d->directory, buf_slice(&key), utc_now(), route);
    enum refuse_id refusal = refusal_of(v, from_primary != 0);
    if (refusal == REFUSE_N && v == DIRECTORY_KNOWN && from_primary &&
        route->primary == from_primary)
        return REFUSE_LOOP_OURS; /* what came from a primary is never offered to it again */
    return refusal;
}

bool desk_is_known(struct desk *d, const struct store_row *row)
{
    SCOPED(buf_finish) struct buf key = buf_make(600);
    if (row->facts.person)
        return true;
    return row->facts.primary && make_key(d, row->facts.address, &key) &&
           directory_group(d->directory, buf_slice(&key));
}

static bool has_essential_member(const struct desk *d, const struct directory_group *g)
{
    for (uint32_t i = 0; i < g->facts.n_members; i++) {
        const struct directory_person *p =
            directory_person_at(d->directory, g->facts.members[i].text);
        if (p && p->facts.is_essential)
            return true;
    }
    return false;
}

/* One essential member is enough. Thousands of messages for a group of thousands may be asked about
 * in one turn of the loop, therefore the answer is remembered until a fact changes. */
static bool is_group_essential(struct desk *d, const struct directory_group *g)
{
    static char yes, no;
    uint64_t generation = directory_generation(d->directory);
    if (d->group_ranks_of != generation) {
        map_destroy(&d->group_ranks);
        d->group_ranks = map_create();
        d->group_ranks_of = generation;
    }
    void *known = map_get(d->group_ranks, KEY(g->id));
    if (!known) {
        known = has_essential_member(d, g) ? &yes : &no;
        map_put(d->group_ranks, KEY(g->id), known);
    }
    return known == &yes;
}

bool desk_is_essential(void *arg, struct slice address)
{
    struct desk *d = arg;
    struct directory_route route = {};
    SCOPED(buf_finish) struct buf key = buf_make(600);
    if (!make_key(d, address, &key) ||
        directory_judge(d->directory, buf_slice(&key), utc_now(), &route) != DIRECTORY_KNOWN)
        return false;
    if (route.group)
        return is_group_essential(d, route.group);
    return route.person && route.person->facts.is_essential;
}

static bool take_rcpt_ask(struct gate *g, struct net_frame *f)
{
    struct desk *d = g->desk;
    struct ipc_rcpt_ask ask;
    struct directory_route route;
    if (!ipc_rcpt_ask_unpack(f->payload, NULL, &ask))
        return false;
    enum refuse_id refusal = desk_judge_rcpt(d, ask.address, ask.from_primary, &route);
    struct ipc_rcpt_told told = {.generation = directory_generation(d->directory)};
    if (refusal == REFUSE_N)
        refusal = desk_quota_judge(d, &route);
    if (desk_has_quota(d, &route))
        told.generation = 0; /* a mailbox fills without a new fact: to be asked each time */
    if (refusal != REFUSE_N) {
        told.refusal = 1 + refusal;
    } else if (route.domain) {
        struct desk_primary *p = route.primary ? desk_primary(d, route.primary) : NULL;
        told.tenant = route.domain->tenant;
        told.primary = route.primary;
        told.size_max = p ? p->size_max : 0;
        told.abilities = p ? (uint8_t)p->abilities : 0;
    } else {
        told.tenant = ask.tenant;
    }
    SCOPED(buf_finish) struct buf b = buf_make(200);
    ipc_rcpt_told_pack(&b, &told);
    (void)desk_send(g->link, IPC_T_rcpt_told, f->tag, &b);
    return true;
}

/* ---- content ---- */

static bool take_content(struct gate *g, struct net_frame *f)
{
    struct desk *d = g->desk;
    if (ipc_is_parse_tag(f->tag))
        return desk_parse_content(g, f);
    /* The gate keeps to these limits itself; one that does not is broken. */
    if (f->payload.n == 0 || f->payload.n > IPC_CONTENT_MAX ||
        g->bytes_uploading + f->payload.n > d->o.limits.bytes_in_flight + UPLOAD_SLACK)
        return false;
    struct queue_body *body = map_get(g->uploads, KEY(f->tag));
    if (!body && map_size(g->uploads) >= UPLOADS_MAX)
        return false;
    if (!body)
        body = queue_body_create(HEADROOM, 0);
    if (!queue_body_add(&body, f->payload, (uint32_t)d->o.limits.message_bytes)) {
        g->bytes_uploading -= body->n;
        map_del(g->uploads, KEY(f->tag));
        queue_body_unref(&body);
        return false;
    }
    g->bytes_uploading += f->payload.n;
    map_put(g->uploads, KEY(f->tag), body); /* it may have moved */
    return true;
}

static struct queue_body *end_upload(struct gate *g, uint64_t tag)
{
    struct queue_body *body = map_del(g->uploads, KEY(tag));
    if (body)
        g->bytes_uploading -= body->n;
    return body;
}

static bool take_take(struct gate *g, struct net_frame *f)
{
    struct ipc_take take;
    struct queue_body *body = end_upload(g, f->tag);
    if (body)
        queue_body_fit(&body); /* it was counted with room for more */
    struct arena *arena = arena_create(1 << 20);
    bool is_good = ipc_take_unpack(f->payload, arena, &take) && take.n_rcpts > 0 &&
                   take.n_fields == 1 && take.bytes == (body ? body->n : 0) &&
                   map_size(g->told) < TOLD_MAX;
    if (is_good)
        desk_take(g, f->tag, &take, body ? body : queue_body_create(HEADROOM, 0));
    else
        queue_body_unref(&body);
    arena_destroy(&arena);
    return is_good;
}

static bool take_drop(struct gate *g, struct net_frame *f)
{
    struct queue_body *body = end_upload(g, f->tag);
    queue_body_unref(&body);
    return f->payload.n == 0;
}

/* ---- replies that reached their connection ---- */

void desk_note_answer(struct desk *d, uint64_t message, bool is_written)
{
    struct record_id **list = is_written ? &d->answered : &d->unanswered;
    uint32_t *n = is_written ? &d->n_answered : &d->n_unanswered;
    if (!*list)
        *list = mem_new(ANSWERS_MAX * sizeof(**list));
    (*list)[(*n)++].id = message;
    if (*n == ANSWERS_MAX)
        desk_write_answered(d);
    desk_late(d);
}

struct answers {
    struct store_change change;
    struct buf facts;
};

/* If these are lost, the messages are listed as unanswered after the next start: the ledger then
 * says less than we knew, never more. */
static void answers_written(struct store_change *change, enum err, const struct errinfo *)
{
    struct answers *a = change->arg;
    buf_finish(&a->facts);
    mem_free(&a);
}

static void write_ids(struct desk *d, enum record_type type, struct record_id *ids, uint32_t n)
{
    struct answers *a = mem_new(sizeof(*a));
    struct record_ids facts = {.time = utc_now(), .ids = ids, .n_ids = n};
    a->facts = buf_make(STORE_RECORD_MAX);
    record_ids_pack(&a->facts, &facts);
    must(!a->facts.failed);
    a->change = (struct store_change){.type = (uint16_t)type,
                                      .is_lazy = true,
                                      .facts = buf_slice(&a->facts),
                                      .done = answers_written,
                                      .arg = a};
    store_submit(d->store, &a->change);
}

void desk_write_answered(struct desk *d)
{
    if (d->n_answered)
        write_ids(d, RECORD_ANSWERED, d->answered, d->n_answered);
    if (d->n_unanswered)
        write_ids(d, RECORD_UNANSWERED, d->unanswered, d->n_unanswered);
    d->n_answered = d->n_unanswered = 0;
}

static bool take_answered(struct gate *g, struct net_frame *f)
{
    struct ipc_answered all;
    struct arena *arena = arena_create(1 << 20);
    bool is_good = ipc_answered_unpack(f->payload, arena, &all);
    for (uint32_t i = 0; is_good && i < all.n_answers; i++)
        /* Only what we told this gate: it cannot speak about other messages. */
        if (map_del(g->told, KEY(all.answers[i].message)))
            desk_note_answer(g->desk, all.answers[i].message, all.answers[i].is_written);
    arena_destroy(&arena);
    return is_good;
}

/* ---- the link ---- */

static bool take_report(struct gate *g, struct net_frame *f)
{
    char process[24];
    snprintf(process, sizeof(process), "gate/%u", g->number);
    return desk_take_report(g->desk, process, f);
}

static bool take_parsed(struct gate *g, struct net_frame *f)
{
    return desk_parse_told(g, f);
}

static bool (*const handlers[IPC_T_N])(struct gate *g, struct net_frame *f) = {
    [IPC_T_content] = take_content,   [IPC_T_rcpt_ask] = take_rcpt_ask,
    [IPC_T_take] = take_take,         [IPC_T_drop] = take_drop,
    [IPC_T_answered] = take_answered, [IPC_T_refusals] = take_report,
    [IPC_T_figures] = take_report,    [IPC_T_highs] = take_report,
    [IPC_T_parsed] = take_parsed,
};

void desk_gate_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct gate *g = arg;
    desk_turn(g->desk);
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_GATE, IPC_CORE) && handlers[f->type] &&
                   handlers[f->type](g, f);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    desk_gate_lost(g);
    desk_peer_nonsense(g->desk, IPC_GATE, g->number, what);
}

void desk_gate_closed(void *arg, struct net_link *)
{
    desk_gate_lost(arg);
}

/* Its senders never saw our reply, as far as we know. Those that wait for a primary's answer find
 * out when it comes (desk_tell). */
void desk_gate_lost(struct gate *g)
{
    size_t at = 0;
    struct slice key;
    net_link_close(&g->link);
    g->turn++;
    desk_parse_gate_lost(g);
    while (map_next(g->told, &at, &key, NULL)) {
        uint64_t message;
        memcpy(&message, key.p, sizeof(message));
        desk_note_answer(g->desk, message, false);
    }
    desk_gate_clear(g);
}

void desk_gate_clear(struct gate *g)
{
    size_t at = 0;
    void *value;
    while (map_next(g->uploads, &at, NULL, &value)) {
        struct queue_body *body = value;
        queue_body_unref(&body);
    }
    map_destroy(&g->told);
    map_destroy(&g->uploads);
    g->told = map_create();
    g->uploads = map_create();
    g->bytes_uploading = 0;
}

/* ---- telling ---- */

void desk_tell(struct accept *a, uint32_t refusal, const struct queue_answer *answer)
{
    struct gate *g = a->gate;
    struct desk *d = a->desk;
    struct ipc_taken taken = {.message = refusal ? 0 : a->id, .refusal = refusal};
    if (answer && answer->is_refused) {
        taken.code = answer->code;
        taken.enhanced = answer->enhanced;
        taken.text = answer->text;
    }
    bool is_kept = refusal == 0;
    /* It is in the log, but its sender was refused: nobody waits to hear of it any more. */
    if (answer && answer->is_refused)
        desk_note_answer(d, a->id, true);
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    ipc_taken_pack(&b, &taken);
    if (!g || a->turn != g->turn || !g->link || !desk_send(g->link, IPC_T_taken, a->tag, &b)) {
        if (is_kept)
            desk_note_answer(d, a->id, false);
        return;
    }
    if (is_kept)
        map_put(g->told, KEY(a->id), &is_told);
}

static void end_pending(struct accept *a)
{
    struct desk *d = a->desk;
    map_del(d->waiting, KEY(a->id));
    list_remove(&a->node);
    mem_free(&a->put);
    mem_free(&a);
}

/* The result takes it out of the mailboxes; these tell those who saw it there. */
static void take_back(const struct accept *a)
{
    struct record_email *emails = mem_new(a->n_put * sizeof(*emails));
    struct record_place *places = mem_new(a->n_put * sizeof(*places));
    for (uint32_t i = 0; i < a->n_put; i++) {
        places[i] = (struct record_place){.mailbox = a->put[i].mailbox, .uid = a->put[i].uid};
        emails[i] = (struct record_email){.account = a->put[i].account,
                                          .message = a->id,
                                          .received = utc_now(),
                                          .places = &places[i],
                                          .n_places = 1};
    }
    desk_emails_gone(a->desk, emails, a->n_put);
    mem_free(&emails);
    mem_free(&places);
}

void desk_queue_answer(void *arg, const struct queue_answer *answer)
{
    struct desk *d = arg;
    struct accept *a = map_get(d->waiting, KEY(answer->message));
    if (!a)
        return; /* its 20 seconds are over: it has its 250 */
    if (answer->is_refused)
        take_back(a);
    desk_tell(a, answer->is_refused ? 1 + REFUSE_CONTENT_REFUSED : 0, answer);
    end_pending(a);
}

/* The sender waited long enough: the message is durable, the delivery goes on alone. */
void desk_pending_tick(struct desk *d, mono_us now)
{
    while (!list_empty(&d->pending)) {
        struct accept *a = container_of(d->pending.next, struct accept, node);
        if (a->deadline > now)
            return; /* in order of time */
        queue_give_up_answer(d->queue, a->id);
        desk_tell(a, 0, NULL);
        end_pending(a);
    }
}
