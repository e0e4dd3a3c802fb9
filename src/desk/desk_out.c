/* Outward: jobs for the courier and its results, bodies from the store, notices to senders. */
#include "desk/desk_int.h"

#include "wire/dsn.h"
#include "wire/wire.h"

#include <stdio.h>
#include <unistd.h>

/* ---- jobs ---- */

static uint8_t job_tls(const struct directory_primary *p)
{
    static const uint8_t tls[] = {[DIR_TLS_MAY] = IPC_TLS_MAY,
                                  [DIR_TLS_MUST] = IPC_TLS_MUST,
                                  [DIR_TLS_VERIFY] = IPC_TLS_VERIFY,
                                  [DIR_TLS_NEVER] = IPC_TLS_NEVER};
    return p->facts.tls < sizeof(tls) ? tls[p->facts.tls] : (uint8_t)IPC_TLS_MAY;
}

static void fill_route(struct desk *d, const struct queue_job *job, struct arena *a,
                       struct ipc_job *ret)
{
    const struct directory_primary *p =
        job->primary ? directory_primary(d->directory, job->primary) : NULL;
    ret->kind = job->primary ? IPC_JOB_PRIMARY : IPC_JOB_WORLD;
    ret->domain = job->primary ? SLICE("") : job->domain;
    ret->destination = job->domain;
    if (!job->primary)
        return;
    ret->destination = slice_str(arena_printf(a, "p%llu", (unsigned long long)job->primary));
    if (!p)
        return; /* removed meanwhile: no hosts, the courier says so, it waits */
    ret->hosts = ARENA_ARRAY(a, struct ipc_host, p->facts.n_hosts);
    ret->n_hosts = p->facts.n_hosts;
    for (uint32_t i = 0; i < p->facts.n_hosts; i++)
        ret->hosts[i] = (struct ipc_host){p->facts.hosts[i].name, p->facts.hosts[i].port};
    ret->tls = job_tls(p);
    ret->tls_name = p->facts.tls_name;
    if (p->facts.has_xclient) {
        ret->xclient_address = job->facts->client;
        ret->xclient_helo = job->facts->helo;
    }
}

static bool send_body(struct desk *d, uint64_t tag, struct slice bytes)
{
    while (bytes.n > 0) {
        size_t n = bytes.n < IPC_CONTENT_MAX ? bytes.n : IPC_CONTENT_MAX;
        if (net_link_send(d->courier.link, IPC_T_content, tag, slice_of(bytes.p, n), SLICE("")) !=
            ERR_OK)
            return false;
        bytes = slice_skip(bytes, n);
    }
    return true;
}

bool desk_deliver(void *arg, const struct queue_job *job)
{
    struct desk *d = arg;
    if (!d->courier.link)
        return false;
    struct arena *arena = arena_create(1 << 20);
    struct ipc_job out = {.message = job->facts->id,
                          .mail_from = job->facts->mail_from,
                          .envid = job->facts->envid,
                          .ret = job->facts->ret,
                          .flags = job->facts->flags,
                          .bytes = job->body->n,
                          .n_rcpts = (uint32_t)job->n_rows};
    fill_route(d, job, arena, &out);
    out.rcpts = ARENA_ARRAY(arena, struct ipc_job_rcpt, job->n_rows);
    for (size_t i = 0; i < job->n_rows; i++)
        out.rcpts[i] = (struct ipc_job_rcpt){job->rows[i].rcpt, job->rows[i].address,
                                             job->rows[i].notify, job->rows[i].orcpt};
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    ipc_job_pack(&b, &out);
    /* The job first, then its content: the courier may open the connection meanwhile. */
    bool is_sent = desk_send(d->courier.link, IPC_T_job, job->tag, &b) &&
                   send_body(d, job->tag, queue_body_slice(job->body));
    arena_destroy(&arena);
    return is_sent;
}

/* ---- results ---- */

static void learn_abilities(struct desk *d, uint64_t tag, const struct ipc_result *r)
{
    uint64_t primary = queue_job_primary(d->queue, tag);
    struct desk_primary *p = primary ? desk_primary(d, primary) : NULL;
    if (!p || !(r->abilities & IPC_ABILITIES_KNOWN))
        return;
    p->abilities = r->abilities;
    p->size_max = r->size_max;
}

static bool take_result(struct desk *d, struct net_frame *f)
{
    struct ipc_result r;
    struct arena *arena = arena_create(4 << 20);
    bool is_good = ipc_result_unpack(f->payload, arena, &r) && r.n_outcomes > 0;
    if (is_good) {
        struct queue_outcome *outcomes = ARENA_ARRAY(arena, struct queue_outcome, r.n_outcomes);
        for (uint32_t i = 0; i < r.n_outcomes; i++) {
            const struct ipc_job_outcome *o = &r.outcomes[i];
            struct wire_status status = {0};
            (void)wire_status_parse(o->enhanced, &status);
            is_good &= o->phase < AT_N && (o->code == 0 || (o->code >= 200 && o->code < 600));
            outcomes[i] = (struct queue_outcome){
                .rcpt = o->rcpt,
                .reply = {.phase = o->phase,
                          .code = o->code,
                          .class = status.class,
                          .subject = status.subject,
                          .detail = status.detail},
                .enhanced = o->enhanced,
                .text = o->text,
            };
        }
        struct queue_result result = {.remote = r.remote,
                                      .is_sent = r.is_sent != 0,
                                      .outcomes = outcomes,
                                      .n_outcomes = r.n_outcomes};
        if (is_good) {
            char id[MESSAGE_ID_TEXT];
            message_id_text(r.message, id);
            learn_abilities(d, f->tag, &r);
            log_event(EV_QUEUE_RESULT, "mid=%s code=%u phase=%s remote=%s text=%s rcpts=%u", id,
                      r.outcomes[0].code, smtp_phase_name(r.outcomes[0].phase), log_text(r.remote),
                      log_text(r.outcomes[0].text), r.n_outcomes);
            queue_result(d->queue, f->tag, &result);
            desk_late(d);
        }
    }
    arena_destroy(&arena);
    return is_good;
}

void desk_courier_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct peer *p = arg;
    struct desk *d = p->desk;
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_COURIER, IPC_CORE);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (is_good && f->type == IPC_T_result)
        is_good = take_result(d, f);
    else if (is_good && f->type == IPC_T_refusals)
        desk_take_refusals(d, f->payload, &is_good);
    else if (is_good && f->type == IPC_T_figures)
        desk_take_figures(d, "courier", f->payload, &is_good);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    desk_courier_closed(p, NULL);
    desk_peer_nonsense(d, IPC_COURIER, 1, what);
}

/* Everything it had ends without an answer; it waits and is tried again when a courier is back. */
void desk_courier_closed(void *arg, struct net_link *)
{
    struct peer *p = arg;
    net_link_close(&p->link);
    queue_courier_lost(p->desk->queue);
    desk_late(p->desk);
}

/* ---- bodies from the store ---- */

struct fetch {
    struct worker_job job;
    uint64_t message;
    void *cookie;
    struct arena *arena;
    struct store_message m;
    struct queue_body *body;
    struct errinfo why;
};

static void fetch_work(struct worker_job *job, struct store_reader *reader)
{
    struct fetch *f = container_of(job, struct fetch, job);
    struct store *store = job->desk->store;
    struct record_extent *extents;
    size_t n;
    if (!reader) {
        (void)err_set(&f->why, ERR_IO, "the index cannot be read");
        return;
    }
    /* A segment may be recycled between looking up and reading: then the message has moved. */
    enum err err = ERR_GONE;
    SCOPED(buf_finish) struct buf bytes = buf_make((size_t)256 << 20);
    for (int tries = 0; tries < 3 && err == ERR_GONE; tries++) {
        buf_clear(&bytes);
        err = store_get_message(reader, f->message, f->arena, &f->m, &f->why);
        if (err == ERR_OK)
            err = store_get_extents(reader, f->message, f->arena, &extents, &n, &f->why);
        if (err == ERR_OK)
            err = store_read_body(store, f->message, extents, n, &bytes, &f->why);
    }
    if (err != ERR_OK)
        return;
    f->body = queue_body_create(0, (uint32_t)bytes.n);
    memcpy(f->body->bytes, bytes.p, bytes.n);
}

static void fetch_finish(struct worker_job *job)
{
    struct fetch *f = container_of(job, struct fetch, job);
    const struct record_message *m = &f->m.facts;
    struct queue_facts facts = {.id = f->message,
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
    queue_fetched(job->desk->queue, f->cookie, &facts, f->body, f->why.text);
    arena_destroy(&f->arena);
    mem_free(&f);
}

void desk_fetch(void *arg, uint64_t message, void *cookie)
{
    struct fetch *f = mem_new(sizeof(*f));
    f->job.work = fetch_work;
    f->job.finish = fetch_finish;
    f->message = message;
    f->cookie = cookie;
    f->arena = arena_create(1 << 20);
    desk_work(arg, &f->job);
}

/* ---- notices ---- */

/* To whom a notice may go (design section 3): to people and systems of ours that submitted it, and
 * to strangers whose return path was proved; never to <>. */
static bool may_notify(const struct queue_facts *f)
{
    if (f->mail_from.n == 0)
        return false;
    return f->direction == DIRECTION_OUT || f->direction == DIRECTION_PERSON ||
           (f->flags & MESSAGE_SENDER_PROVED);
}

bool desk_notice(void *arg, const struct queue_facts *facts, const struct queue_row *rows,
                 const struct queue_outcome *outcomes, size_t n, struct slice remote,
                 struct queue_body *body)
{
    struct desk *d = arg;
    if (!may_notify(facts) || n == 0 || n > WIRE_DSN_RCPTS_MAX)
        return false;
    struct arena *a = arena_create(4 << 20);
    struct wire_dsn_rcpt *rcpts = ARENA_ARRAY(a, struct wire_dsn_rcpt, n);
    char id[MESSAGE_ID_TEXT];
    uint64_t nonce;
    random_bytes(&nonce, sizeof(nonce));
    for (size_t i = 0; i < n; i++) {
        struct slice rest, type = slice_cut(rows[i].orcpt, ';', &rest);
        rcpts[i] = (struct wire_dsn_rcpt){
            .action = WIRE_DSN_FAILED,
            .status = {.class = outcomes[i].reply.class == 5 ? 5 : 0,
                       .subject = outcomes[i].reply.subject,
                       .detail = outcomes[i].reply.detail},
            .final = rows[i].address,
            .orcpt_type = rows[i].orcpt.n ? type : SLICE(""),
            .orcpt = rows[i].orcpt.n ? rest : SLICE(""),
            .remote_mta = remote,
            .diagnostic = outcomes[i].text,
            .last_attempt = utc_now(),
        };
    }
    message_id_text(desk_next_id(d), id);
    struct wire_dsn dsn = {
        .reporting_mta = slice_str(d->o.node),
        .from = slice_str(arena_printf(a, "postmaster@%s", d->o.node)),
        .to = facts->mail_from,
        .message_id = slice_str(arena_printf(a, "%s@%s", id, d->o.node)),
        .nonce = nonce,
        .date = utc_now(),
        .arrival = facts->received,
        .envid = facts->envid,
        .original = body ? queue_body_slice(body) : SLICE(""),
        .with_whole = facts->ret == WIRE_RET_FULL,
        .with_utf8 = (facts->flags & MESSAGE_SMTPUTF8) != 0,
        .rcpts = rcpts,
        .n_rcpts = n,
    };
    SCOPED(buf_finish) struct buf raw = buf_make((size_t)64 << 20);
    struct wire_dsn_needs needs = wire_dsn_compose(&dsn, &raw);
    bool is_made = !raw.failed;
    if (is_made)
        desk_accept_own(d, facts->tenant, facts->mail_from, buf_slice(&raw), needs.needs_smtputf8,
                        NULL, NULL);
    arena_destroy(&a);
    return is_made;
}
