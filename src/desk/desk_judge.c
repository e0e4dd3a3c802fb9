/* May this message be taken? Judged as a whole, and once more: facts may have changed since RCPT,
 * and gates are not believed. And the headers that we put before it. */
#include "desk/desk_state_int.h"

#include "wire/wire.h"

#include <stdio.h>

enum { TRACES_KEPT = 20, PREFIX_BYTES = 700 /* of ours, about */ };

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

uint32_t desk_add_prefix(struct taking *t, struct queue_body **body)
{
    SCOPED(buf_finish) struct buf out = buf_make(DESK_PREFIX_MAX);
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
    const struct directory_domain *found =
        directory_domain(d->directory, desk_domain_of(buf_slice(&key)));
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
    if (!t->is_inward)
        t->tenant = p->tenant;
    return REFUSE_N;
}

static enum refuse_id judge_abilities(struct taking *t)
{
    const struct desk_primary *p = t->primary ? desk_primary(t->d, t->primary) : NULL;
    if (!p || !(p->abilities & IPC_ABILITIES_KNOWN))
        return REFUSE_N;
    if (p->size_max && (uint64_t)t->a->body->n + PREFIX_BYTES > p->size_max)
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
    if (!t->is_inward)
        return judge_sender(t);
    /* Between two companies that are both here it is outward mail all the same. */
    const struct directory_primary *p =
        take->from_primary ? directory_primary(t->d->directory, take->from_primary) : NULL;
    return p && p->tenant != t->tenant ? judge_sender(t) : REFUSE_N;
}

enum refuse_id desk_judge(struct taking *t)
{
    struct desk *d = t->d;
    if (d->is_stopping)
        return REFUSE_STOPPING;
    if (d->closed_for)
        return d->closed_for - 1;
    refuse_measure(REFUSE_QUEUE_FULL, queue_figures(d->queue).n_rows + 1, SLICE("core"));
    if (queue_is_full(d->queue))
        return REFUSE_QUEUE_FULL;
    struct store_backlog backlog = store_backlog(d->store);
    refuse_measure(REFUSE_STORE_BUSY, backlog.changes, SLICE("core"));
    if (backlog.changes > d->o.store_changes ||
        queue_body_total() > d->o.limits.bytes_in_flight + ((uint64_t)512 << 20))
        return REFUSE_STORE_BUSY;
    enum refuse_id refusal = judge_rcpts(t);
    if (refusal == REFUSE_N)
        refusal = judge_abilities(t);
    t->n_ours = count_ours(d, t->take);
    if (t->n_ours)
        refuse_measure(REFUSE_LOOP_OURS, t->n_ours, t->take->client);
    if (refusal == REFUSE_N && t->n_ours > d->o.hops_ours)
        refusal = REFUSE_LOOP_OURS;
    return refusal;
}
