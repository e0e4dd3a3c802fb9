/* Content: DATA and BDAT, and the hand-over of a whole message to core.
 *
 * The one rule: "250" after the end of data leaves only in smtp_taken(), when core said that the
 * message is durable (RFC 5321 section 6.1). */
#include "smtp/smtp_int.h"

#include "base/mail.h"
#include "mime/mime.h"

#include <stdio.h>

enum { RESERVE_BYTES = 24 << 10, RESERVE_MAX = 4 << 20 };

/* ---- bytes in flight over all sessions of this gate ---- */

static void count_bytes(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    struct smtp_transaction *t = x->t;
    s->bytes_in_flight += t->content.n - t->counted;
    t->counted = t->content.n;
    if (t->refusal == REFUSE_N && s->bytes_in_flight > s->o.limits.bytes_in_flight)
        t->refusal = REFUSE_BYTES_IN_FLIGHT;
    if (t->refusal == REFUSE_N && t->content.failed)
        t->refusal = REFUSE_TOO_BIG;
    if (t->refusal != REFUSE_N && t->content.cap) {
        s->bytes_in_flight -= t->counted; /* it will be refused: give the memory back now */
        t->counted = 0;
        buf_finish(&t->content);
    }
}

static void begin_content(struct smtp_session *x)
{
    buf_reserve(&x->t->content, RESERVE_BYTES);
    x->t->began = mono_now();
}

void smtp_cmd_data(struct smtp_session *x, struct slice args)
{
    if (args.n > 0) {
        smtp_refuse_text(x, REFUSE_SYNTAX, "DATA takes no parameter");
        return;
    }
    begin_content(x);
    smtp_session_enter(x, SMTP_DATA);
    smtp_reply(x, "354", SLICE("end with <CRLF>.<CRLF>"));
}

/* The bytes of a refused chunk come all the same (RFC 3030 section 3): they are read and thrown
 * away, so that they are never taken for commands. */
static void begin_refused_chunk(struct smtp_session *x, const struct wire_bdat *b)
{
    if (!x->t)
        smtp_transaction_create(x);
    if (x->t->refusal == REFUSE_N)
        x->t->refusal = REFUSE_SEQUENCE;
    x->t->chunk_left = b->size_bytes;
    x->t->is_last_chunk = b->is_last;
}

static void end_chunk(struct smtp_session *x);

void smtp_cmd_bdat(struct smtp_session *x, struct slice args)
{
    struct wire_bdat b;
    struct wire_verdict v = wire_bdat_parse(args, &b);
    if (v.fault != WIRE_FINE || b.size_bytes > (uint64_t)x->server->o.limits.message_bytes * 4) {
        /* We cannot know how many bytes follow: the only safe way is to end here. */
        smtp_refuse_text(x, REFUSE_SYNTAX, v.fault != WIRE_FINE ? v.why : "chunk too big");
        smtp_session_enter(x, SMTP_CLOSED);
        return;
    }
    bool is_legal = x->state == SMTP_RCPT || (x->state == SMTP_BDAT && x->t->n_rcpts > 0);
    if (is_legal) {
        if (!x->t->has_chunks)
            begin_content(x);
        x->t->has_chunks = true;
        x->t->chunk_left = b.size_bytes;
        x->t->is_last_chunk = b.is_last;
    } else {
        begin_refused_chunk(x, &b);
    }
    smtp_session_enter(x, SMTP_BDAT);
    if (b.size_bytes == 0)
        end_chunk(x);
}

static void refuse_content(struct smtp_session *x, enum refuse_id id, const char *text)
{
    log_event(EV_SMTP_REFUSED, "peer=%.*s from=%s why=%s", SLICE_ARG(smtp_peer_text(x)),
              log_text(x->t->mail_from), refuse_row(id)->name);
    smtp_transaction_destroy(x);
    smtp_session_enter(x, x->helo ? SMTP_READY : SMTP_HELLO);
    smtp_refuse_text(x, id, text);
}

/* The content is whole. What will be refused anyway is not worth a worker's time. */
static void end_content(struct smtp_session *x)
{
    if (x->t->refusal != REFUSE_N || !wire_content_is_clean(&x->t->check) || !smtp_check_begin(x))
        smtp_message_hand_over(x);
}

static void end_chunk(struct smtp_session *x)
{
    struct smtp_transaction *t = x->t;
    if (t->is_last_chunk) {
        wire_content_end(&t->check);
        end_content(x);
        return;
    }
    if (t->refusal == REFUSE_SEQUENCE) {
        refuse_content(x, REFUSE_SEQUENCE, "");
        return;
    }
    smtp_session_enter(x, SMTP_BDAT);
    smtp_reply(x, "250 2.0.0", SLICE("chunk ok"));
}

static size_t chunk_bytes(struct smtp_session *x, struct slice bytes)
{
    struct smtp_transaction *t = x->t;
    if (bytes.n > t->chunk_left)
        bytes.n = (size_t)t->chunk_left;
    t->chunk_left -= bytes.n;
    wire_content_check(&t->check, bytes);
    if (t->refusal == REFUSE_N)
        buf_adds(&t->content, bytes);
    count_bytes(x);
    if (t->chunk_left == 0)
        end_chunk(x);
    return bytes.n;
}

static bool is_too_slow(struct smtp_session *x)
{
    if (mono_now() - x->t->began < SECONDS(x->server->o.limits.transfer_sec))
        return false;
    smtp_refuse(x, REFUSE_TIMEOUT);
    smtp_session_enter(x, SMTP_CLOSED);
    return true;
}

size_t smtp_content(struct smtp_session *x, struct slice bytes)
{
    struct smtp_transaction *t = x->t;
    if (is_too_slow(x))
        return bytes.n;
    x->deadline = mono_now() + SECONDS(x->server->o.limits.data_sec);
    if (x->state == SMTP_BDAT)
        return chunk_bytes(x, bytes);
    size_t used = wire_data_feed(&t->data, bytes, t->refusal == REFUSE_N ? &t->content : NULL);
    count_bytes(x);
    if (t->data.is_done) {
        t->check = t->data.content;
        end_content(x);
    }
    return used;
}

/* ---- hand-over ---- */

/* Fields that only we may write: our trace, and verdicts in our name. They are cut out; the traces
 * travel beside the message, and core puts the genuine ones back. */
static const struct slice our_fields[] = {
    {"Staffetta-Trace", 15},
    {"Authentication-Results", 22},
};

struct hand_over {
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

static bool names_us(const struct smtp_session *x, struct slice value)
{
    struct slice id = slice_trim(value);
    size_t n = 0;
    while (n < id.n && id.p[n] != ';' && id.p[n] != ' ' && id.p[n] != '\t' && id.p[n] != '\r')
        n++;
    return slice_ieq(slice_of(id.p, n), slice_str(x->server->o.node));
}

static void find_cuts(struct smtp_session *x, struct slice message, struct hand_over *h)
{
    struct mime_spans *spans = &h->fields.spans;
    h->cuts = ARENA_ARRAY(x->t->arena, struct mime_span, spans->n + 1);
    h->traces = ARENA_ARRAY(x->t->arena, struct ipc_text, spans->n + 1);
    h->bytes = message.n;
    for (size_t i = 0; i < spans->n; i++) {
        struct slice value = field_value(message, spans->v[i]);
        bool is_trace = slice_istarts(slice_skip(message, spans->v[i].offset), our_fields[0]);
        if (!is_trace && !names_us(x, value))
            continue;
        h->cuts[h->n_cuts++] = spans->v[i];
        h->bytes -= spans->v[i].len;
        if (is_trace && value.n <= 4096 && h->n_traces < 100)
            h->traces[h->n_traces++].text = value;
    }
}

/* REFUSE_N: it may go on. */
static enum refuse_id judge_content(struct smtp_session *x, struct hand_over *h)
{
    struct smtp_transaction *t = x->t;
    if (t->refusal != REFUSE_N)
        return t->refusal;
    if (!wire_content_is_clean(&t->check))
        return REFUSE_BARE_LINE_END;
    struct slice message = buf_slice(&t->content);
    struct mime_names names = {our_fields, sizeof(our_fields) / sizeof(our_fields[0])};
    mime_list_fields(message, &names, t->arena, &h->fields);
    /* What we did not see we could not cut out: such a header is not passed on. */
    if (h->fields.header_state == MIME_WALK_TOO_LONG ||
        h->fields.header_state == MIME_WALK_TOO_MANY)
        return REFUSE_HEADER_SIZE;
    if (h->fields.n_received > x->server->o.limits.hops)
        return REFUSE_LOOP;
    find_cuts(x, message, h);
    return REFUSE_N;
}

static struct slice at_most(struct slice s, size_t max)
{
    while (s.n > max || (s.n == max && max > 0)) {
        s.n = max - 1;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
            s.n--; /* never a half character */
    }
    return s;
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

static struct slice to_text(struct arena *a, const struct mime_addresses *to)
{
    SCOPED(buf_finish) struct buf b = buf_make(4096);
    for (size_t i = 0; i < to->n && b.n < 900 && !b.failed; i++) {
        if (i > 0)
            buf_addf(&b, ", ");
        struct slice name = to->v[i].name;
        buf_adds(&b, name.n ? name : address_text(a, &to->v[i]));
    }
    return at_most(arena_copy(a, buf_slice(&b)), 1000);
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

static void fill_fields(struct smtp_session *x, const struct mime_list_fields *f,
                        struct ipc_fields *ret)
{
    struct arena *a = x->t->arena;
    *ret = (struct ipc_fields){
        .subject = at_most(f->subject, 600),
        .base_subject = at_most(f->base_subject, 600),
        .from_name = at_most(f->from.name, 300),
        .from_address = at_most(address_text(a, &f->from), 400),
        .to = to_text(a, &f->to),
        .message_id = at_most(f->message_id, 1000),
        .references = references_text(a, f),
        .date = f->has_date ? f->date : utc_now(),
        .preview = at_most(f->preview, 300),
        .has_attachment = f->has_attachment,
        .odd = f->odd,
    };
}

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

static bool send_content(struct smtp_session *x, const struct hand_over *h)
{
    struct slice message = buf_slice(&x->t->content);
    uint64_t ticket = smtp_session_ticket(x);
    size_t at = 0;
    for (size_t i = 0; i < h->n_cuts; i++) {
        if (!send_piece(x->server, ticket, slice_of(message.p + at, h->cuts[i].offset - at)))
            return false;
        at = h->cuts[i].offset + h->cuts[i].len;
    }
    return send_piece(x->server, ticket, slice_skip(message, at));
}

static bool send_take(struct smtp_session *x, const struct hand_over *h)
{
    struct smtp_transaction *t = x->t;
    struct ipc_fields fields;
    fill_fields(x, &h->fields, &fields);
    struct ipc_rcpt *rcpts = ARENA_ARRAY(t->arena, struct ipc_rcpt, t->n_rcpts);
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
    ipc_take_pack(&b, &take);
    return smtp_core_send(x->server, IPC_T_take, smtp_session_ticket(x), &b);
}

void smtp_message_hand_over(struct smtp_session *x)
{
    struct hand_over h = {0};
    enum refuse_id refusal = judge_content(x, &h);
    if (refusal == REFUSE_N && !x->server->core)
        refusal = REFUSE_NO_CORE;
    if (refusal != REFUSE_N) {
        refuse_content(x, refusal, "");
        return;
    }
    x->n_messages++;
    x->n_idle = 0;
    if (!send_content(x, &h) || !send_take(x, &h)) {
        (void)net_link_send(x->server->core, IPC_T_drop, smtp_session_ticket(x), SLICE(""),
                            SLICE(""));
        refuse_content(x, REFUSE_NO_CORE, "");
        return;
    }
    buf_finish(&x->t->content); /* core has it; `counted` stays until it answers */
    smtp_session_enter(x, SMTP_TAKING);
}

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
    smtp_transaction_destroy(x);
    smtp_session_enter(x, SMTP_READY);
    smtp_reply(x, code, taken->text);
}

void smtp_taken(struct smtp_session *x, const struct ipc_taken *taken)
{
    struct smtp_server *s = x->server;
    if (taken->refusal == 0) {
        must(taken->message != 0); /* checked on arrival */
        char id[MESSAGE_ID_TEXT];
        SCOPED(buf_finish) struct buf text = buf_make(100);
        message_id_text(taken->message, id);
        buf_addf(&text, "accepted as %s", id);
        smtp_transaction_destroy(x);
        smtp_session_enter(x, SMTP_READY);
        smtp_reply(x, "250 2.0.0", buf_slice(&text));
        smtp_answered(s, taken->message, true);
    } else if (taken->refusal == REFUSE_CONTENT_REFUSED + 1 && taken->code) {
        pass_refusal_through(x, taken);
    } else {
        refuse_content(x, taken->refusal - 1, "");
    }
    smtp_session_resume(x);
}
