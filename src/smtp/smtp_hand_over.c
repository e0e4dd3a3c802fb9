/* Hand-over: a whole message is parsed and given to core, and core's answer becomes the reply.
 *
 * The one rule: "250" after the end of data leaves only in smtp_taken(), when core said that the
 * message is durable (RFC 5321 section 6.1). */
#include "smtp/smtp_int.h"

#include "base/mail.h"
#include "email/email_list.h"

#include <stdio.h>

enum {
    TAKE_USUAL = 1500,
    TO_MAX = 1000,
    PARSE_MAX = 16 << 20,
    TRACES_MAX = 100,
    TRACE_BYTES_MAX = 4096
};

/* ---- what only we may write ---- */

/* Fields that only we may write: our trace, and verdicts in our name. They are cut out; the traces
 * travel beside the message, and core puts the genuine ones back. */
static const struct slice our_fields[] = {
    {"Staffetta-Trace", 15},
    {"Authentication-Results", 22},
};

struct hand_over {
    struct arena *arena; /* only while the message is parsed and packed */
    struct mime_list_fields fields;
    struct ipc_text *traces;
    uint32_t n_traces;
    struct mime_span *cuts; /* in order */
    size_t n_cuts;
    size_t bytes; /* what is left without the cuts */
};

static struct slice field_value(struct slice message, struct mime_span span)
{
    struct slice value, field = slice_of(message.p + span.offset, span.len);
    (void)slice_cut(field, ':', &value);
    return value;
}

/* Without blanks, line ends and comments at the beginning (RFC 5322 section 3.2.2); a comment that
 * is not closed swallows everything. */
static struct slice skip_comments(struct slice s)
{
    unsigned depth = 0;
    for (; s.n > 0; s = slice_skip(s, 1)) {
        char c = s.p[0];
        bool is_blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (c == '\\' && depth > 0)
            s = slice_skip(s, 1);
        else if (depth == 0 && !is_blank)
            return s;
    }
    return s;
}

/* Does a verdict claim to be ours? Its first word says whose it is: a token or a quoted string
 * (RFC 8601 section 2.2), and comments may stand around it. */
static bool names_us(const struct smtp_session *x, struct slice value)
{
    SCOPED(buf_finish) struct buf id = buf_make(WIRE_DOMAIN_MAX + 1);
    struct slice s = skip_comments(value);
    bool is_quoted = s.n > 0 && s.p[0] == '"';
    const char *ends = is_quoted ? "\"" : " \t\r\n;(";
    for (size_t i = is_quoted; i < s.n && !strchr(ends, s.p[i]); i++) {
        if (is_quoted && s.p[i] == '\\' && i + 1 < s.n)
            i++;
        if (s.p[i] != '\r' && s.p[i] != '\n')
            buf_addc(&id, s.p[i]);
    }
    struct slice name = buf_slice(&id);
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--; /* the same name, written out */
    return slice_ieq(name, slice_str(x->server->o.node));
}

static void find_cuts(struct smtp_session *x, struct slice message, struct hand_over *h)
{
    struct mime_spans *spans = &h->fields.spans;
    h->cuts = ARENA_ARRAY(h->arena, struct mime_span, spans->n + 1);
    h->traces = ARENA_ARRAY(h->arena, struct ipc_text, TRACES_MAX);
    h->bytes = message.n;
    for (size_t i = 0; i < spans->n; i++) {
        struct slice value = field_value(message, spans->v[i]);
        bool is_trace = slice_istarts(slice_skip(message, spans->v[i].offset), our_fields[0]);
        if (!is_trace && !names_us(x, value))
            continue;
        h->cuts[h->n_cuts++] = spans->v[i];
        h->bytes -= spans->v[i].len;
        if (is_trace && value.n <= TRACE_BYTES_MAX && h->n_traces < TRACES_MAX)
            h->traces[h->n_traces++].text = value;
    }
}

static struct slice message_of(const struct smtp_transaction *t)
{
    return t->content.n ? buf_slice(&t->content) : SLICE("");
}

/* REFUSE_N: it may go on. */
static enum refuse_id judge_content(struct smtp_session *x, struct hand_over *h)
{
    struct smtp_transaction *t = x->t;
    if (t->refusal != REFUSE_N)
        return t->refusal;
    if (!wire_content_is_clean(&t->check))
        return REFUSE_BARE_LINE_END;
    struct mime_names names = {our_fields, sizeof(our_fields) / sizeof(our_fields[0])};
    struct mime_list_fields *f = &h->fields;
    mime_list_fields(message_of(t), &names, h->arena, f);
    /* What we did not see we could not cut out: such a header is not passed on. */
    if (f->header_state != MIME_WALK_DONE)
        return REFUSE_HEADER_SIZE;
    smtp_measure(x, REFUSE_HEADER_SIZE, f->structure.parts[0].header_len);
    if (f->structure.parts[0].header_len > x->server->o.limits.header_bytes)
        return REFUSE_HEADER_SIZE;
    smtp_measure(x, REFUSE_LOOP, f->n_received);
    if (f->n_received > x->server->o.limits.hops)
        return REFUSE_LOOP;
    find_cuts(x, message_of(t), h);
    return REFUSE_N;
}

/* ---- what lists show ---- */

static struct slice at_most(struct slice s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
        max--; /* never a half character */
    return slice_of(s.p, max);
}

static struct slice address_text(struct arena *a, const struct mime_address *m)
{
    if (m->domain.n == 0)
        return m->local;
    SCOPED(buf_finish) struct buf b = buf_make(1100);
    buf_adds(&b, m->local);
    buf_addc(&b, '@');
    buf_adds(&b, m->domain);
    return arena_copy(a, buf_slice(&b));
}

static struct slice to_text(struct arena *a, const struct mime_list_fields *f)
{
    SCOPED(buf_finish) struct buf b = buf_make(TO_MAX);
    email_list_to_pack(f, &b);
    return arena_copy(a, buf_slice(&b));
}

static struct slice references_text(struct arena *a, const struct mime_list_fields *f)
{
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    const struct mime_ids *lists[] = {&f->references, &f->in_reply_to};
    for (size_t k = 0; k < 2; k++) {
        /* The newest count most: when there are too many the oldest are left out. */
        size_t from = lists[k]->n > 20 ? lists[k]->n - 20 : 0;
        for (size_t i = from; i < lists[k]->n; i++) {
            if (b.n + lists[k]->v[i].n + 1 > 3900)
                continue;
            if (b.n)
                buf_addc(&b, ' ');
            buf_adds(&b, lists[k]->v[i]);
        }
    }
    return arena_copy(a, buf_slice(&b));
}

void smtp_fields_fill(struct arena *a, const struct mime_list_fields *f, struct ipc_fields *ret)
{
    *ret = (struct ipc_fields){
        .subject = at_most(f->subject, 600),
        .base_subject = at_most(f->base_subject, 600),
        .from_name = at_most(f->from.name, 300),
        .from_address = at_most(address_text(a, &f->from), 400),
        .to = to_text(a, f),
        .message_id = at_most(f->message_id, 1000),
        .references = references_text(a, f),
        .date = f->has_date ? f->date : utc_now(),
        .preview = at_most(f->preview, 300),
        .has_attachment = email_list_has_attachment(&f->structure),
    };
    ret->odd = f->odd | email_list_not_exact(f, ret->subject, ret->from_name, ret->from_address);
}

/* ---- to core ---- */

static struct slice protocol_text(const struct smtp_session *x)
{
    bool is_tls = net_stream_is_secure(x->stream);
    if (x->t->is_utf8)
        return is_tls ? SLICE("UTF8SMTPS") : SLICE("UTF8SMTP");
    if (!x->is_esmtp)
        return SLICE("SMTP");
    return is_tls ? SLICE("ESMTPS") : SLICE("ESMTP");
}

static bool send_piece(struct smtp_server *s, uint64_t ticket, struct slice piece)
{
    while (piece.n > 0) {
        size_t n = piece.n < IPC_CONTENT_MAX ? piece.n : IPC_CONTENT_MAX;
        if (net_link_send(s->core, IPC_T_content, ticket, slice_of(piece.p, n), SLICE("")) !=
            ERR_OK)
            return false;
        piece = slice_skip(piece, n);
    }
    return true;
}

static bool send_content(struct smtp_session *x, const struct hand_over *h, uint64_t ticket)
{
    struct slice message = message_of(x->t);
    size_t at = 0;
    for (size_t i = 0; i < h->n_cuts; i++) {
        if (!send_piece(x->server, ticket, slice_of(message.p + at, h->cuts[i].offset - at)))
            return false;
        at = h->cuts[i].offset + h->cuts[i].len;
    }
    return send_piece(x->server, ticket, slice_skip(message, at));
}

static bool send_take(struct smtp_session *x, const struct hand_over *h, uint64_t ticket)
{
    struct smtp_transaction *t = x->t;
    struct ipc_fields fields;
    smtp_fields_fill(h->arena, &h->fields, &fields);
    struct ipc_rcpt *rcpts = ARENA_ARRAY(h->arena, struct ipc_rcpt, t->n_rcpts);
    uint32_t n = 0;
    LIST_FOREACH (node, &t->rcpts) {
        const struct smtp_rcpt *r = container_of(node, struct smtp_rcpt, node);
        rcpts[n++] = (struct ipc_rcpt){r->address, r->notify, r->orcpt};
    }
    uint32_t flags = (net_stream_is_secure(x->stream) ? (uint32_t)MESSAGE_TLS : 0) |
                     (t->is_utf8 ? (uint32_t)MESSAGE_SMTPUTF8 : 0) |
                     (t->check.has_8bit ? (uint32_t)MESSAGE_8BIT : 0) |
                     (t->is_proved ? (uint32_t)MESSAGE_SENDER_PROVED : 0);
    struct ipc_take take = {
        .mail_from = t->mail_from,
        .client = smtp_peer_text(x),
        .helo = slice_str(x->helo),
        .protocol = protocol_text(x),
        .tls = slice_str(net_stream_tls_text(x->stream)),
        .envid = t->envid,
        .ret = t->ret,
        .flags = flags,
        .tenant = t->tenant,
        .from_primary = x->primary,
        .results = t->results,
        .bytes = (uint32_t)h->bytes,
        .rcpts = rcpts,
        .n_rcpts = n,
        .traces = h->traces,
        .n_traces = h->n_traces,
        .fields = &fields,
        .n_fields = 1,
    };
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    buf_reserve(&b, TAKE_USUAL);
    ipc_take_pack(&b, &take);
    return smtp_core_send(x->server, IPC_T_take, ticket, &b);
}

/* All of it or nothing: half a message in the queue could never be taken back. */
static bool has_room(const struct smtp_server *s, const struct hand_over *h)
{
    enum { HEAD_BYTES = 16 };
    size_t n_frames = h->bytes / IPC_CONTENT_MAX + h->n_cuts + 2;
    size_t n = h->bytes + n_frames * HEAD_BYTES + IPC_LIST_FRAME_MAX;
    return n <= s->core_room && net_link_queued(s->core) <= s->core_room - n;
}

static enum refuse_id hand_over(struct smtp_session *x, struct hand_over *h)
{
    struct smtp_server *s = x->server;
    enum refuse_id refusal = judge_content(x, h);
    if (refusal != REFUSE_N)
        return refusal;
    if (!s->core)
        return REFUSE_NO_CORE;
    if (!has_room(s, h))
        return REFUSE_BYTES_IN_FLIGHT;
    uint64_t ticket = smtp_session_ticket(x);
    if (send_content(x, h, ticket) && send_take(x, h, ticket))
        return REFUSE_N;
    smtp_core_lost(s); /* there was room, so the link is broken; what was sent ends with it */
    return REFUSE_NO_CORE;
}

void smtp_message_hand_over(struct smtp_session *x)
{
    struct hand_over h = {.arena = arena_create(PARSE_MAX)};
    enum refuse_id refusal = hand_over(x, &h);
    arena_destroy(&h.arena);
    if (refusal != REFUSE_N) {
        smtp_refuse_content(x, refusal);
        return;
    }
    buf_finish(&x->t->content); /* core has it; `counted` stays until it answers */
    smtp_session_enter(x, SMTP_TAKING);
}

/* ---- and back ---- */

/* The primary refused this content, and its reply is ours: no notice has to be sent to anybody. */
static void pass_refusal_through(struct smtp_session *x, const struct ipc_taken *taken)
{
    struct wire_status status = {0};
    char code[24];
    (void)refuse(REFUSE_CONTENT_REFUSED, smtp_peer_text(x));
    if (!wire_status_parse(taken->enhanced, &status) || status.class != taken->code / 100)
        status = (struct wire_status){0};
    struct wire_status_text enhanced = wire_status_text(status);
    snprintf(code, sizeof(code), "%u%s%s", (unsigned)taken->code, enhanced.s[0] ? " " : "",
             enhanced.s);
    log_event(EV_SMTP_REFUSED, "peer=%.*s from=%s why=%s code=%u", SLICE_ARG(smtp_peer_text(x)),
              log_text(x->t->mail_from), refuse_row(REFUSE_CONTENT_REFUSED)->name, taken->code);
    smtp_transaction_destroy(x);
    smtp_session_enter(x, SMTP_READY);
    smtp_reply(x, code, taken->text);
}

/* The message is durable, and its sender hears so. Core learns whether the reply left: if not, the
 * sender will bring the message again, and the ledger lists it as a possible double. */
static void accept_message(struct smtp_session *x, uint64_t message)
{
    char id[MESSAGE_ID_TEXT];
    SCOPED(buf_finish) struct buf text = buf_make(100);
    message_id_text(message, id);
    buf_addf(&text, "accepted as %s", id);
    smtp_transaction_destroy(x);
    smtp_session_enter(x, SMTP_READY);
    smtp_reply(x, "250 2.0.0", buf_slice(&text));
    smtp_answered(x->server, message, net_stream_flush(x->stream));
    x->n_messages++;
    x->n_commands = x->n_idle = x->n_errors = 0;
}

void smtp_taken(struct smtp_session *x, const struct ipc_taken *taken)
{
    if (taken->refusal == 0)
        accept_message(x, taken->message);
    else if (taken->refusal == REFUSE_CONTENT_REFUSED + 1 && taken->code)
        pass_refusal_through(x, taken);
    else
        smtp_refuse_content(x, taken->refusal - 1);
    smtp_session_resume(x);
}
