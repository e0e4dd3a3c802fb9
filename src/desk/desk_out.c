/* Outward: jobs for the courier and its results, bodies from the store, notices to senders. */
#include "desk/desk_state_int.h"

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

/* All of it or nothing: a job whose content stops half-way would wait at the courier. */
static bool has_room(struct desk *d, size_t n)
{
    size_t heads = (n / IPC_CONTENT_MAX + 3) * 16;
    return net_link_queued(d->courier.link) + n + heads <= DESK_LINK_BYTES;
}

bool desk_deliver(void *arg, const struct queue_job *job)
{
    struct desk *d = arg;
    if (desk_append_deliver(d, job))
        return true;
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
    if (!has_room(d, b.n + job->body->n)) {
        arena_destroy(&arena);
        return false;
    }
    /* The job first, then its content: the courier may open the connection meanwhile. */
    bool is_sent = desk_send(d->courier.link, IPC_T_job, job->tag, &b) &&
                   send_body(d, job->tag, queue_body_slice(job->body));
    arena_destroy(&arena);
    return is_sent;
}

/* ---- results ---- */

static void learn_abilities(struct desk *d, uint64_t primary, const struct ipc_result *r)
{
    struct desk_primary *p = primary ? desk_primary(d, primary) : NULL;
    if (!p || !(r->abilities & IPC_ABILITIES_KNOWN))
        return;
    p->abilities = r->abilities;
    p->size_max = r->size_max;
}

/* A success is the answer to a final dot that went out. */
static bool is_possible(const struct ipc_result *r, const struct ipc_job_outcome *o)
{
    if (o->phase >= AT_N || (o->code != 0 && (o->code < 200 || o->code >= 600)))
        return false;
    return o->code / 100 != 2 || (o->phase == AT_DOT && r->is_sent);
}

/* False: nonsense. Phase 0 is a delivery that the courier could not try, which says nothing about
 * the destination. */
static bool make_outcomes(const struct ipc_result *r, struct queue_outcome *outcomes,
                          bool *ret_is_ours)
{
    *ret_is_ours = true;
    for (uint32_t i = 0; i < r->n_outcomes; i++) {
        const struct ipc_job_outcome *o = &r->outcomes[i];
        struct wire_status status = {0};
        if (!is_possible(r, o))
            return false;
        (void)wire_status_parse(o->enhanced, &status);
        *ret_is_ours &= o->phase == 0 && o->code == 0;
        outcomes[i] = (struct queue_outcome){.rcpt = o->rcpt,
                                             .reply = {.phase = o->phase,
                                                       .code = o->code,
                                                       .class = status.class,
                                                       .subject = status.subject,
                                                       .detail = status.detail},
                                             .enhanced = o->enhanced,
                                             .text = o->text};
    }
    return true;
}

static void log_result(const struct ipc_result *r)
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(r->message, id);
    log_event(EV_QUEUE_RESULT, "mid=%s code=%u phase=%s remote=%s text=%s rcpts=%u", id,
              r->outcomes[0].code, smtp_phase_name(r->outcomes[0].phase), log_text(r->remote),
              log_text(r->outcomes[0].text), r->n_outcomes);
}

static bool take_result(struct desk *d, struct net_frame *f)
{
    struct ipc_result r;
    struct arena *arena = arena_create(4 << 20);
    bool is_good = ipc_result_unpack(f->payload, arena, &r) && r.n_outcomes > 0;
    if (is_good) {
        uint64_t primary = queue_job_primary(d->queue, f->tag);
        struct queue_result result = {.message = r.message,
                                      .remote = r.remote,
                                      .is_sent = r.is_sent != 0,
                                      .has_dsn = !(r.abilities & IPC_NO_DSN),
                                      .n_outcomes = r.n_outcomes};
        struct queue_outcome *outcomes = ARENA_ARRAY(arena, struct queue_outcome, r.n_outcomes);
        result.outcomes = outcomes;
        is_good =
            make_outcomes(&r, outcomes, &result.is_ours) && queue_result(d->queue, f->tag, &result);
        if (is_good) {
            learn_abilities(d, primary, &r);
            log_result(&r);
        }
        desk_late(d);
    }
    arena_destroy(&arena);
    return is_good;
}

void desk_courier_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct peer *p = arg;
    struct desk *d = p->desk;
    desk_turn(d);
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_COURIER, IPC_CORE);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (is_good && f->type == IPC_T_result)
        is_good = take_result(d, f);
    else if (is_good && desk_is_report(f->type))
        is_good = desk_take_report(d, "courier", f);
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

enum err desk_read_message(struct desk *, struct store_reader *reader, uint64_t message,
                           struct arena *a, struct queue_facts *ret, struct errinfo *ei)
{
    struct store_message found;
    if (!reader)
        return err_set(ei, ERR_IO, "the index cannot be read");
    enum err err = store_get_message(reader, message, a, &found, ei);
    if (err != ERR_OK)
        return err;
    const struct record_message *m = &found.facts;
    *ret = (struct queue_facts){.id = message,
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
    return ERR_OK;
}

enum err desk_read_body(struct desk *d, struct store_reader *reader, uint64_t message,
                        struct queue_body **ret, struct errinfo *ei)
{
    struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf bytes = buf_make(STORE_MESSAGE_MAX);
    struct record_extent *extents;
    size_t n;
    /* A segment may be recycled between looking up and reading: then the message has moved. */
    enum err err = ERR_GONE;
    for (int tries = 0; tries < 3 && err == ERR_GONE; tries++) {
        buf_clear(&bytes);
        err = store_get_extents(reader, message, a, &extents, &n, ei);
        if (err == ERR_OK)
            err = store_read_body(d->store, message, extents, n, &bytes, ei);
    }
    arena_destroy(&a);
    if (err != ERR_OK)
        return err;
    struct queue_body *body = queue_body_create(0, (uint32_t)bytes.n);
    if (bytes.n)
        memcpy(body->bytes, bytes.p, bytes.n);
    *ret = body;
    return ERR_OK;
}

struct fetch {
    struct worker_job job;
    uint64_t message;
    struct arena *arena;
    struct queue_facts facts;
    struct queue_fetched result;
    struct errinfo why;
};

static enum err fetch_both(struct fetch *f, struct store_reader *reader)
{
    struct desk *d = f->job.desk;
    enum err err = desk_read_message(d, reader, f->message, f->arena, &f->facts, &f->why);
    if (err == ERR_OK)
        err = desk_read_body(d, reader, f->message, &f->result.take_body, &f->why);
    return err;
}

/* A message that is durable may not be in the index yet: that is no doubt about the message, which
 * only a person could settle. */
static void fetch_work(struct worker_job *job, struct store_reader *reader)
{
    struct fetch *f = container_of(job, struct fetch, job);
    f->result.err = fetch_both(f, reader);
    if (f->result.err != ERR_GONE)
        return;
    bool is_sure = desk_catch_up(job->desk);
    f->result.err = fetch_both(f, reader);
    if (f->result.err == ERR_GONE && !is_sure)
        f->result.err = err_set(&f->why, ERR_RETRY, "the index does not know the message yet");
}

static void fetch_finish(struct worker_job *job)
{
    struct fetch *f = container_of(job, struct fetch, job);
    struct desk *d = job->desk;
    f->result.facts = &f->facts;
    f->result.why = f->why.text;
    queue_fetched(d->queue, &f->result);
    arena_destroy(&f->arena);
    mem_free(&f);
    desk_late(d);
}

void desk_fetch(void *arg, uint64_t message, void *cookie)
{
    struct fetch *f = mem_new(sizeof(*f));
    f->job.work = fetch_work;
    f->job.finish = fetch_finish;
    f->message = message;
    f->result.cookie = cookie;
    f->arena = arena_create(1 << 20);
    desk_work(arg, &f->job);
}
