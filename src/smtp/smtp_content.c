/* Content: DATA and BDAT, up to where it is whole. What happens then is in smtp_hand_over.c.
 * RFC 5321 section 4.1.1.4, RFC 3030. */
#include "smtp/smtp_int.h"

/* ---- bytes in flight over all sessions of this gate ---- */

static void count_bytes(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    struct smtp_transaction *t = x->t;
    s->bytes_in_flight += t->content.cap - t->counted;
    t->counted = t->content.cap;
    smtp_measure(x, REFUSE_BYTES_IN_FLIGHT, smtp_over_gates(&s->o.limits, s->bytes_in_flight));
    if (t->refusal == REFUSE_N && s->bytes_in_flight > s->o.limits.bytes_in_flight)
        t->refusal = REFUSE_BYTES_IN_FLIGHT;
    if (t->refusal == REFUSE_N && t->content.failed) {
        t->refusal = REFUSE_TOO_BIG;
        smtp_measure(x, REFUSE_TOO_BIG, s->o.limits.message_bytes + 1); /* or more: it is cut */
    }
    if (t->refusal != REFUSE_N && t->content.cap) {
        s->bytes_in_flight -= t->counted; /* it will be refused: give the memory back now */
        t->counted = 0;
        buf_finish(&t->content);
    }
}

/* Room for what came, and for as much as the client announced, as far as what is here already makes
 * that likely: whoever announces much and sends little does not hold memory. */
static void make_room(struct smtp_transaction *t, size_t n)
{
    enum { FIRST = 64, LIKELY = 4 };
    size_t need = t->content.n + n;
    if (t->refusal != REFUSE_N || need < t->content.cap)
        return;
    size_t room = FIRST;
    while (room <= need)
        room *= 2;
    size_t likely = t->size_bytes < LIKELY * need ? (size_t)t->size_bytes : LIKELY * need;
    buf_reserve(&t->content, (likely > need ? likely : room) - 1);
}

void smtp_cmd_data(struct smtp_session *x, struct slice args)
{
    if (args.n > 0) {
        smtp_refuse_text(x, REFUSE_SYNTAX, "DATA takes no parameter");
        return;
    }
    x->t->began = mono_now();
    smtp_session_enter(x, SMTP_DATA);
    smtp_reply(x, "354", SLICE("end with <CRLF>.<CRLF>"));
}

/* The bytes of a refused chunk come all the same (RFC 3030 section 2): they are read and thrown
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
            x->t->began = mono_now();
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

void smtp_refuse_content(struct smtp_session *x, enum refuse_id id)
{
    log_event(EV_SMTP_REFUSED, "peer=%.*s from=%s why=%s", SLICE_ARG(smtp_peer_text(x)),
              log_text(x->t->mail_from), refuse_row(id)->name);
    smtp_transaction_destroy(x);
    smtp_session_enter(x, x->helo ? SMTP_READY : SMTP_HELLO);
    smtp_refuse(x, id);
}

/* The content is whole. What will be refused anyway is not worth a worker's time. */
static void end_content(struct smtp_session *x)
{
    smtp_measure(x, REFUSE_TOO_BIG, x->t->content.n);
    if (x->t->refusal != REFUSE_N || !wire_content_is_clean(&x->t->check) || !smtp_check_begin(x))
        smtp_message_hand_over(x);
}

static void end_chunk(struct smtp_session *x)
{
    struct smtp_transaction *t = x->t;
    if (t->refusal != REFUSE_N) { /* chunks that follow it find no transaction */
        smtp_refuse_content(x, t->refusal);
        return;
    }
    if (t->is_last_chunk) {
        wire_content_end(&t->check);
        end_content(x);
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
    make_room(t, bytes.n);
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
    make_room(t, bytes.n);
    size_t used = wire_data_feed(&t->data, bytes, t->refusal == REFUSE_N ? &t->content : NULL);
    count_bytes(x);
    if (t->data.is_done) {
        t->check = t->data.content;
        end_content(x);
    }
    return used;
}
