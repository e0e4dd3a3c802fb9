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

enum { ARENA_MAX = 4 << 20, ANSWER_SECONDS = 20, HEADROOM = 2048, TRACES_KEPT = 20 };

struct taking {
    struct desk *d;
    const struct ipc_take *take;
    struct accept *a;
    struct directory_route *routes; /* one for each recipient */
    uint64_t tenant, primary;
    bool is_inward, is_cut_through;
    uint32_t n_ours; /* times it was here already */
};

/* ---- headers of ours ---- */

static void add_trace(struct taking *t, struct buf *out)
{
    char tenant[24], id[MESSAGE_ID_TEXT];
    struct errinfo ei;
    snprintf(tenant, sizeof(tenant), "%llu", (unsigned long long)t->tenant);
    message_id_text(t->a->id, id);
    struct sign_trace trace = {.tenant = slice_str(tenant),
                               .message = slice_str(id),
                               .taken_sec = utc_now() / 1000,
                               .primary = t->take->from_primary};
    must(sign_trace_make(t->d->trace_key, &trace, out, &ei) == ERR_OK); /* ids of ours are fit */
    for (uint32_t i = 0, kept = 0; i < t->take->n_traces && kept < TRACES_KEPT; i++) {
        struct sign_trace old;
        struct slice value = t->take->traces[i].text;
        if (!sign_trace_check(t->d->trace_key, value, &old))
            continue; /* pretends to be ours: it stays out */
        buf_adds(out, SLICE("Staffetta-Trace:"));
        buf_adds(out, value);
        if (!slice_starts(slice_skip(value, value.n - 2), SLICE("\r\n")))
            buf_adds(out, SLICE("\r\n"));
        kept++;
    }
}

/* HELO names and addresses were checked by the gate's grammar; core trusts no gate with line ends.
 */
static void add_clean(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addc(out, s.p[i] > ' ' && s.p[i] < 0x7f ? s.p[i] : '?');
}

/* The gate's verdict about the sender: header lines of ours. A gate that smuggles anything else in
 * here loses it: only whole, printable, folded lines of that one header pass. */
static void add_results(struct taking *t, struct buf *out)
{
    struct slice rest = t->take->results;
    bool is_first = true, is_good = slice_starts(rest, SLICE("Authentication-Results: "));
    while (is_good && rest.n > 0) {
        struct slice line = slice_cut(rest, '\n', &rest);
        is_good = line.n > 1 && line.p[line.n - 1] == '\r' &&
                  (is_first || line.p[0] == '\t' || line.p[0] == ' ');
        for (size_t i = 0; is_good && i + 1 < line.n; i++)
            is_good = (line.p[i] >= ' ' && line.p[i] < 0x7f) || line.p[i] == '\t';
        is_first = false;
    }
    if (is_good)
        buf_adds(out, t->take->results);
}

/* RFC 5321 section 4.4. The recipient is named only when there is one: others must not learn of
 * blind copies. */
static void add_received(struct taking *t, struct buf *out)
{
    const struct ipc_take *take = t->take;
    char id[MESSAGE_ID_TEXT];
    message_id_text(t->a->id, id);
    buf_adds(out, SLICE("Received: from "));
    add_clean(out, take->helo);
    buf_adds(out, SLICE(" (["));
    add_clean(out, take->client);
    buf_addf(out, "])\r\n\tby %s (Staffetta) with ", t->d->o.node);
    add_clean(out, take->protocol);
    buf_addf(out, " id %s", id);
    if (take->n_rcpts == 1 && take->rcpts[0].address.n < 300) {
        buf_adds(out, SLICE("\r\n\tfor <"));
        for (size_t i = 0; i < take->rcpts[0].address.n; i++) {
            char c = take->rcpts[0].address.p[i];
            buf_addc(out, (unsigned char)c >= ' ' && c != 0x7f ? c : '?');
        }
        buf_addc(out, '>');
    }
    buf_addf(out, "; %s\r\n", utc_rfc5322(utc_now()).s);
}

static uint32_t add_prefix(struct taking *t, struct queue_body **body)
{
    SCOPED(buf_finish) struct buf out = buf_make(200000);
    add_trace(t, &out);
    add_results(t, &out);
    add_received(t, &out);
    must(!out.failed);
    queue_body_prepend(body, buf_slice(&out));
    return (uint32_t)out.n;
}

/* ---- judging the whole ---- */

static uint32_t count_ours(struct desk *d, const struct ipc_take *take)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < take->n_traces; i++) {
        struct sign_trace trace;
        n += sign_trace_check(d->trace_key, take->traces[i].text, &trace);
    }
    return n;
}

static bool is_domain_of(struct desk *d, uint64_t tenant, struct slice address)
{
    SCOPED(buf_finish) struct buf key = buf_make(600);
    if (wire_address_key(address, &key).fault != WIRE_FINE)
        return false;
    struct slice domain = buf_slice(&key);
    for (ptrdiff_t at; (at = slice_find(domain, '@')) >= 0;)
        domain = slice_skip(domain, (size_t)at + 1);
    const struct directory_domain *found = directory_domain(d->directory, domain);
    return found && found->tenant == tenant;
}

/* Outward mail: only in the name of the company it comes from. */
static enum refuse_id judge_sender(struct taking *t)
{
    const struct ipc_take *take = t->take;
    const struct directory_primary *p = directory_primary(t->d->directory, take->from_primary);
    if (!p)
        return REFUSE_RELAY;
    if (take->mail_from.n && !is_domain_of(t->d, p->tenant, take->mail_from))
        return REFUSE_NOT_YOUR_DOMAIN;
    if (!is_domain_of(t->d, p->tenant, take->fields[0].from_address))
        return REFUSE_NOT_YOUR_DOMAIN;
    t->tenant = p->tenant;
    return REFUSE_N;
}

static enum refuse_id judge_abilities(struct taking *t)
{
    const struct desk_primary *p = t->primary ? desk_primary(t->d, t->primary) : NULL;
    if (!p || !(p->abilities & IPC_ABILITIES_KNOWN))
        return REFUSE_N;
    if (p->size_max && t->a->body->n > p->size_max)
        return REFUSE_TOO_BIG_FOR_PRIMARY;
    if ((t->take->flags & MESSAGE_SMTPUTF8) && (p->abilities & IPC_NO_SMTPUTF8))
        return REFUSE_NOT_ABLE;
    if ((t->take->flags & MESSAGE_8BIT) && (p->abilities & IPC_NO_8BITMIME))
        return REFUSE_NOT_ABLE;
    return REFUSE_N;
}

/* Recipients are judged again: facts may have changed since RCPT, and gates are not believed. */
static enum refuse_id judge_rcpts(struct taking *t)
{
    const struct ipc_take *take = t->take;
    for (uint32_t i = 0; i < take->n_rcpts; i++) {
        struct directory_route *r = &t->routes[i];
        enum refuse_id refusal =
            desk_judge_rcpt(t->d, take->rcpts[i].address, take->from_primary, r);
        if (refusal != REFUSE_N)
            return refusal;
        bool is_inward = r->domain != NULL;
        if (i > 0 && (is_inward != t->is_inward || r->primary != t->primary ||
                      (is_inward && r->domain->tenant != t->tenant)))
            return REFUSE_ONE_PRIMARY;
        t->is_inward = is_inward;
        t->primary = r->primary;
        if (is_inward) {
            t->tenant = r->domain->tenant;
            t->is_cut_through = r->domain->facts.is_cut_through;
        }
    }
    return t->is_inward ? REFUSE_N : judge_sender(t);
}

static enum refuse_id judge(struct taking *t)
{
    struct desk *d = t->d;
    if (d->is_stopping)
        return REFUSE_STOPPING;
    if (d->closed_for)
        return d->closed_for - 1;
    if (queue_is_full(d->queue))
        return REFUSE_QUEUE_FULL;
    struct store_backlog backlog = store_backlog(d->store);
    if (backlog.changes > refuse_row(REFUSE_STORE_BUSY)->limit ||
        queue_body_total() > d->o.bytes_in_flight + ((uint64_t)512 << 20))
        return REFUSE_STORE_BUSY;
    enum refuse_id refusal = judge_rcpts(t);
    if (refusal == REFUSE_N)
        refusal = judge_abilities(t);
    t->n_ours = count_ours(d, t->take);
    if (refusal == REFUSE_N && t->n_ours > d->o.hops_ours)
        refusal = REFUSE_LOOP_OURS;
    return refusal;
}

/* ---- rows ---- */

static struct mailbox *inbox_of(struct desk *d, const struct directory_person *p)
{
    if (!p || !p->facts.is_covered || !p->facts.inbox)
        return NULL;
    return map_get(d->mailboxes, KEY(p->facts.inbox));
}

/* A place in the continuity mailbox, at once and always. */
static void place_in(struct mailbox *box, struct record_rcpt *row)
{
    if (!box)
        return;
    row->mailbox = box->id;
    row->uid = box->uid_next++;
    row->modseq = ++box->modseq;
}

static int row_of_person(const struct record_message *m, const struct directory_person *p)
{
    for (uint32_t i = 0; p && i < m->n_rcpts; i++)
        if (m->rcpts[i].person == p->id && !m->rcpts[i].parent)
            return (int)i;
    return -1;
}

static void add_members(struct taking *t, struct record_message *m, uint32_t group_row,
                        const struct directory_group *g, uint32_t max)
{
    for (uint32_t k = 0; k < g->facts.n_members && m->n_rcpts < max; k++) {
        struct directory_route route;
        struct slice member = g->facts.members[k].text;
        if (directory_judge(t->d->directory, member, utc_now(), &route) != DIRECTORY_KNOWN ||
            !route.person)
            continue;
        bool has_it = false;
        for (uint32_t i = 0; i < m->n_rcpts; i++)
            has_it |= m->rcpts[i].person == route.person->id && m->rcpts[i].mailbox;
        struct record_rcpt *row = &m->rcpts[m->n_rcpts++];
        /* The primary expands its own groups; the child row says who has a copy here. */
        *row = (struct record_rcpt){.address = member,
                                    .person = route.person->id,
                                    .primary = t->primary,
                                    .disposition = DISPOSITION_MERGED,
                                    .parent = (uint16_t)(group_row + 1)};
        if (!has_it)
            place_in(inbox_of(t->d, route.person), row);
    }
}

static uint32_t count_rows(const struct taking *t)
{
    uint32_t n = t->take->n_rcpts;
    for (uint32_t i = 0; i < t->take->n_rcpts; i++)
        if (t->routes[i].group)
            n += t->routes[i].group->facts.n_members;
    return n < 2000 ? n : 2000;
}

static void fill_rows(struct taking *t, struct record_message *m)
{
    const struct ipc_take *take = t->take;
    uint32_t max = count_rows(t);
    m->rcpts = ARENA_ARRAY(t->a->arena, struct record_rcpt, max);
    for (uint32_t i = 0; i < take->n_rcpts; i++) {
        const struct directory_route *r = &t->routes[i];
        struct record_rcpt *row = &m->rcpts[m->n_rcpts++];
        int twin = row_of_person(m, r->person);
        *row = (struct record_rcpt){.address = take->rcpts[i].address,
                                    .person = r->person ? r->person->id : 0,
                                    .primary = t->primary,
                                    .orcpt = take->rcpts[i].orcpt,
                                    .notify = take->rcpts[i].notify,
                                    .disposition = DISPOSITION_WAITING};
        if (twin >= 0) {
            row->disposition = DISPOSITION_MERGED; /* two addresses of one mailbox: once */
            continue;
        }
        place_in(inbox_of(t->d, r->person), row);
        if (t->is_inward && !t->primary) /* hosted: the mailbox here is the mailbox */
            row->disposition = row->mailbox ? DISPOSITION_DELIVERED : DISPOSITION_HELD;
    }
    for (uint32_t i = 0; i < take->n_rcpts; i++)
        if (t->routes[i].group)
            add_members(t, m, i, t->routes[i].group, max);
}

/* ---- planning deliveries ---- */

static struct slice domain_of(struct slice address)
{
    struct slice domain = address;
    for (ptrdiff_t at; (at = slice_find(domain, '@')) >= 0;)
        domain = slice_skip(domain, (size_t)at + 1);
    return domain;
}

/* One item for the primary, or one for each domain of the world. */
static void plan(struct taking *t, struct record_message *m)
{
    struct queue_row *rows = ARENA_ARRAY(t->a->arena, struct queue_row, m->n_rcpts);
    bool *is_planned = ARENA_ARRAY(t->a->arena, bool, m->n_rcpts);
    for (uint32_t first = 0; first < m->n_rcpts; first++) {
        size_t n = 0;
        struct slice domain = t->is_inward ? SLICE("") : domain_of(m->rcpts[first].address);
        if (is_planned[first] || m->rcpts[first].disposition != DISPOSITION_WAITING)
            continue;
        for (uint32_t i = first; i < m->n_rcpts; i++) {
            const struct record_rcpt *r = &m->rcpts[i];
            if (r->disposition != DISPOSITION_WAITING || is_planned[i] ||
                (!t->is_inward && !slice_ieq(domain_of(r->address), domain)))
                continue;
            is_planned[i] = true;
            rows[n++] =
                (struct queue_row){.rcpt = (uint16_t)i,
                                   .notify = r->notify,
                                   .is_known = t->is_inward && (r->person || t->routes[i].group),
                                   .address = r->address,
                                   .orcpt = r->orcpt};
        }
        bool has_slot =
            queue_plan(t->d->queue, t->a->m, t->primary, domain, rows, n, t->a->is_waiting);
        for (size_t k = 0; k < n; k++)
            m->rcpts[rows[k].rcpt].is_attempting = has_slot;
        if (!has_slot)
            t->a->is_waiting = false; /* no slot: 250 as soon as it is durable */
    }
}

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
    fill_rows(t, m);
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
    enum refuse_id refusal = judge(&t);
    if (refusal != REFUSE_N) {
        refuse_take(a, refusal);
        return;
    }
    a->id = desk_next_id(d);
    a->is_waiting = t.is_inward && t.is_cut_through && t.primary;
    a->record = ARENA_NEW(a->arena, struct record_message);
    fill_record(&t, a->record);
    a->record->prefix_bytes = add_prefix(&t, &a->body);
    a->record->bytes = a->body->n;
    a->m = make_message(a->record);
    plan(&t, a->record);
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
    a->record->prefix_bytes = add_prefix(&t, &a->body);
    a->record->bytes = a->body->n;
    a->m = make_message(a->record);
    plan(&t, a->record);
    write_accept(a);
}
