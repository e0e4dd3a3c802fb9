/* MAIL, RCPT and XCLIENT: who sends, to whom, and on whose behalf the peer speaks. */
#include "smtp/smtp_int.h"

#include <stdio.h>

/* A recipient is at most about 1 KiB in the arena, and there are at most 1,000. */
enum { KNOWN_MAX = 10000, ARENA_MAX = 4 << 20 };

/* ---- who is the peer ---- */

static bool network_holds(const struct ipc_network *n, struct wire_ip ip)
{
    size_t n_bytes = ip.version == 4 ? 4 : 16;
    if (ip.version == 0 || n->address.n != n_bytes || n->prefix > n_bytes * 8)
        return false;
    size_t whole = n->prefix / 8, rest = n->prefix % 8;
    if (memcmp(n->address.p, ip.bytes, whole) != 0)
        return false;
    return rest == 0 || (((unsigned char)n->address.p[whole] ^ ip.bytes[whole]) >> (8 - rest)) == 0;
}

/* An address alone proves a primary only where it belongs to one company; shared networks need
 * the certificate besides. */
void smtp_session_identify(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    char certificate[65];
    if (!s->has_facts || x->facts_seen == s->n_facts)
        return;
    x->tenant = x->primary = 0;
    x->facts_seen = s->n_facts;
    net_stream_certificate(x->stream, certificate);
    for (uint32_t i = 0; i < s->facts.n_networks; i++) {
        const struct ipc_network *n = &s->facts.networks[i];
        if (!network_holds(n, x->peer))
            continue;
        if (n->is_shared &&
            !(n->certificate.n > 0 && slice_ieq(n->certificate, slice_str(certificate))))
            continue;
        x->tenant = n->tenant;
        x->primary = n->primary;
        return;
    }
}

void smtp_session_doubt(struct smtp_session *x)
{
    x->tenant = x->primary = 0;
    x->facts_seen = 0;
}

/* ---- transactions ---- */

void smtp_transaction_create(struct smtp_session *x)
{
    struct smtp_transaction *t = mem_new(sizeof(*t));
    t->arena = arena_create(ARENA_MAX);
    t->asking = arena_create(ARENA_MAX);
    t->content = buf_make(x->server->o.limits.message_bytes);
    t->refusal = REFUSE_N;
    t->began = mono_now();
    list_init(&t->rcpts);
    x->t = t;
}

void smtp_transaction_destroy(struct smtp_session *x)
{
    struct smtp_transaction *t = x->t;
    if (!t)
        return;
    x->server->bytes_in_flight -= t->counted;
    buf_finish(&t->content);
    arena_destroy(&t->arena);
    arena_destroy(&t->asking);
    mem_free(&x->t);
}

static const enum refuse_id verdict_refusals[] = {
    [WIRE_SYNTAX] = REFUSE_SYNTAX,          [WIRE_UNKNOWN_PARAM] = REFUSE_PARAMETER,
    [WIRE_DUPLICATE_PARAM] = REFUSE_SYNTAX, [WIRE_BAD_VALUE] = REFUSE_SYNTAX,
    [WIRE_NON_ASCII] = REFUSE_SYNTAX,       [WIRE_TOO_LONG] = REFUSE_SYNTAX,
};

static bool is_good(struct smtp_session *x, struct wire_verdict v)
{
    if (v.fault != WIRE_FINE)
        smtp_refuse_text(x, verdict_refusals[v.fault], v.why);
    return v.fault == WIRE_FINE;
}

void smtp_cmd_mail(struct smtp_session *x, struct slice args)
{
    struct smtp_server *s = x->server;
    const struct smtp_limits *l = &s->o.limits;
    struct wire_mail mail;
    if (!is_good(x, wire_mail_parse(args, &mail)))
        return;
    smtp_session_identify(x); /* not earlier: core may not have told then who is who */
    uint64_t in_flight = s->bytes_in_flight + mail.size_bytes;
    if (x->primary == 0)
        smtp_measure(x, REFUSE_MESSAGES, x->n_messages + 1);
    if (mail.body == WIRE_BODY_BINARYMIME) {
        smtp_refuse_text(x, REFUSE_PARAMETER, "BINARYMIME is not offered");
    } else if (mail.has_size && mail.size_bytes > l->message_bytes) {
        smtp_measure(x, REFUSE_TOO_BIG, mail.size_bytes);
        smtp_refuse(x, REFUSE_TOO_BIG);
    } else if (x->n_messages >= l->messages && x->primary == 0) {
        smtp_refuse(x, REFUSE_MESSAGES);
    } else if (!s->core || !s->has_facts) {
        smtp_refuse(x, REFUSE_NO_CORE);
    } else if (s->facts.refusal) {
        smtp_refuse(x, s->facts.refusal - 1);
    } else if (in_flight > l->bytes_in_flight) {
        smtp_measure(x, REFUSE_BYTES_IN_FLIGHT, smtp_over_gates(l, in_flight));
        smtp_refuse(x, REFUSE_BYTES_IN_FLIGHT);
    } else {
        smtp_transaction_create(x);
        struct smtp_transaction *t = x->t;
        t->mail_from = arena_copy(t->arena, mail.from.text);
        t->envid = arena_copy(t->arena, mail.envid);
        t->ret = (uint8_t)mail.ret;
        t->is_utf8 = mail.has_smtputf8;
        t->size_bytes = mail.size_bytes;
        smtp_session_enter(x, SMTP_MAIL);
        smtp_reply(x, "250 2.1.0", SLICE("sender ok"));
    }
}

/* ---- recipients ---- */

void smtp_known_clear(struct smtp_server *s)
{
    size_t at = 0;
    void *value;
    while (map_next(s->known, &at, NULL, &value))
        mem_free(&value);
    map_destroy(&s->known);
    s->known = map_create();
}

static struct slice known_key(struct smtp_session *x, struct slice address, char key[500])
{
    size_t n = (size_t)snprintf(key, 500, "%llx ", (unsigned long long)x->primary);
    size_t m = address.n < 500 - n ? address.n : 500 - n;
    memcpy(key + n, address.p, m);
    return slice_of(key, n + m);
}

/* A route is kept for this generation of facts only; core judges again when it takes the mail. What
 * the primary can changes without a new generation, so that is not kept. KNOWN_MAX of them are at
 * most about 5 MiB. */
static void known_keep(struct smtp_session *x, struct slice address,
                       const struct ipc_rcpt_told *told)
{
    struct smtp_server *s = x->server;
    char key[500];
    if (told->refusal || !s->has_facts || told->generation != s->facts.generation)
        return;
    if (map_size(s->known) >= KNOWN_MAX)
        smtp_known_clear(s);
    struct ipc_rcpt_told *copy = mem_new(sizeof(*copy));
    *copy = (struct ipc_rcpt_told){.tenant = told->tenant, .primary = told->primary};
    void *old = map_put(s->known, known_key(x, address, key), copy);
    mem_free(&old);
}

static enum refuse_id judge_route(const struct smtp_session *x, const struct ipc_rcpt_told *told)
{
    const struct smtp_transaction *t = x->t;
    if (told->refusal)
        return told->refusal - 1; /* checked on arrival */
    if (told->size_max && t->size_bytes > told->size_max)
        return REFUSE_TOO_BIG_FOR_PRIMARY;
    if (t->is_utf8 && (told->abilities & IPC_NO_SMTPUTF8))
        return REFUSE_NOT_ABLE;
    if (t->has_route && (told->tenant != t->tenant || told->primary != t->primary))
        return REFUSE_ONE_PRIMARY;
    return REFUSE_N;
}

static void settle_rcpt(struct smtp_session *x, const struct ipc_rcpt_told *told)
{
    struct smtp_transaction *t = x->t;
    enum refuse_id refusal = judge_route(x, told);
    if (refusal != REFUSE_N) {
        smtp_session_enter(x, t->n_rcpts ? SMTP_RCPT : SMTP_MAIL);
        smtp_refuse(x, refusal);
        return;
    }
    t->tenant = told->tenant;
    t->primary = told->primary;
    t->has_route = true;
    struct smtp_rcpt *r = ARENA_NEW(t->arena, struct smtp_rcpt);
    r->address = arena_copy(t->arena, t->asked.address);
    r->orcpt = arena_copy(t->arena, t->asked.orcpt);
    r->notify = t->asked.notify;
    list_append(&t->rcpts, &r->node);
    t->n_rcpts++;
    smtp_session_enter(x, SMTP_RCPT);
    smtp_reply(x, "250 2.1.5", SLICE("recipient ok"));
}

void smtp_rcpt_told(struct smtp_session *x, const struct ipc_rcpt_told *told)
{
    known_keep(x, x->t->asked.address, told);
    settle_rcpt(x, told);
    smtp_session_resume(x);
}

static void ask_core(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    struct ipc_rcpt_ask ask = {
        .address = x->t->asked.address, .tenant = x->tenant, .from_primary = x->primary};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_rcpt_ask_pack(&b, &ask);
    if (!smtp_core_send(s, IPC_T_rcpt_ask, smtp_session_ticket(x), &b)) {
        smtp_refuse(x, REFUSE_NO_CORE);
        return;
    }
    smtp_session_enter(x, SMTP_ASKING);
}

void smtp_cmd_rcpt(struct smtp_session *x, struct slice args)
{
    struct smtp_server *s = x->server;
    struct smtp_transaction *t = x->t;
    struct wire_rcpt rcpt;
    if (!is_good(x, wire_rcpt_parse(args, t->is_utf8, &rcpt)))
        return;
    smtp_measure(x, REFUSE_RECIPIENTS, t->n_rcpts + 1);
    if (t->n_rcpts >= s->o.limits.recipients) {
        smtp_refuse(x, REFUSE_RECIPIENTS);
        return;
    }
    arena_reset(t->asking);
    t->asked.address = arena_copy(t->asking, rcpt.to.text);
    t->asked.notify = (uint8_t)rcpt.notify;
    t->asked.orcpt = SLICE("");
    if (rcpt.orcpt.n)
        t->asked.orcpt = slice_str(arena_printf(t->asking, "%.*s;%.*s", SLICE_ARG(rcpt.orcpt_type),
                                                SLICE_ARG(rcpt.orcpt)));
    char key[500];
    const struct ipc_rcpt_told *told = map_get(s->known, known_key(x, t->asked.address, key));
    if (told)
        settle_rcpt(x, told);
    else
        ask_core(x);
}

/* ---- XCLIENT: a listed proxy tells for whom it speaks (Postfix' protocol) ---- */

void smtp_cmd_xclient(struct smtp_session *x, struct slice args)
{
    struct wire_xclient given;
    if (!x->is_xclient) {
        smtp_refuse(x, REFUSE_XCLIENT);
        return;
    }
    if (!is_good(x, wire_xclient_parse(args, &given)))
        return;
    if (given.addr_kind == WIRE_XCLIENT_GIVEN)
        x->peer = given.addr;
    else if (given.addr_kind != WIRE_XCLIENT_ABSENT)
        x->peer = (struct wire_ip){0}; /* not known; certainly not the proxy, who may be trusted */
    smtp_transaction_destroy(x);
    mem_free(&x->helo);
    if (given.helo.kind == WIRE_XCLIENT_GIVEN && given.helo.s[0])
        x->helo = mem_str(given.helo.s);
    x->is_esmtp = given.proto_kind == WIRE_XCLIENT_GIVEN && given.is_esmtp;
    smtp_session_doubt(x);
    smtp_session_enter(x, x->helo ? SMTP_READY : SMTP_HELLO);
    SCOPED(buf_finish) struct buf text = buf_make(400);
    buf_addf(&text, "%s ESMTP Staffetta", x->server->o.node);
    smtp_reply(x, "220", buf_slice(&text));
}
