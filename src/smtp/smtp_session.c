/* A session's life: accepting, states, deadlines, replies, the way of its bytes. What a command
 * means is in smtp_command.c, content in smtp_content.c. */
#include "smtp/smtp_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { OUT_MAX = 256 << 10, SLOTS_STEP = 256 };

static const char *const state_names[SMTP_STATE_N] = {
    "proxy", "hello",  "ready",    "mail",   "rcpt",    "data",
    "bdat",  "asking", "checking", "taking", "shaking", "closed",
};

const char *smtp_state_name(enum smtp_state state)
{
    return state_names[state];
}

/* ---- tickets: how answers find their session, if it is still there ---- */

static void ticket_take(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    uint32_t i = s->free_slot;
    while (i < s->n_slots && s->slots[i])
        i++;
    if (i == s->n_slots) {
        s->slots = mem_resize(s->slots, (s->n_slots + SLOTS_STEP) * sizeof(*s->slots));
        memset(s->slots + s->n_slots, 0, SLOTS_STEP * sizeof(*s->slots));
        s->n_slots += SLOTS_STEP;
    }
    s->slots[i] = x;
    s->free_slot = i + 1;
    x->slot = i;
    x->turn = ++s->turn;
}

uint64_t smtp_session_ticket(const struct smtp_session *x)
{
    return (uint64_t)x->turn << 32 | x->slot;
}

struct smtp_session *smtp_session_find(struct smtp_server *s, uint64_t ticket)
{
    uint32_t slot = (uint32_t)ticket;
    if (slot >= s->n_slots || !s->slots[slot] || s->slots[slot]->turn != ticket >> 32)
        return NULL;
    return s->slots[slot];
}

/* ---- replies ---- */

struct slice smtp_peer_text(const struct smtp_session *x)
{
    static _Thread_local struct wire_ip_text text;
    text = wire_ip_text(x->peer);
    return slice_str(text.s);
}

void smtp_reply(struct smtp_session *x, const char *code, struct slice text)
{
    if (!x->stream)
        return;
    SCOPED(buf_finish) struct buf out = buf_make(32 * 512);
    wire_reply_add(&out, code, text);
    net_stream_write(x->stream, buf_slice(&out));
}

static bool ends_session(const char *code)
{
    return strncmp(code, "421", 3) == 0 || strncmp(code, "521", 3) == 0;
}

void smtp_refuse_text(struct smtp_session *x, enum refuse_id id, const char *text)
{
    const struct refuse_row *row = refuse(id, smtp_peer_text(x));
    SCOPED(buf_finish) struct buf whole = buf_make(2000);
    buf_addf(&whole, "%s%s%s", row->text, text[0] ? ": " : "", text);
    smtp_reply(x, row->code, buf_slice(&whole));
    if (ends_session(row->code))
        smtp_session_enter(x, SMTP_CLOSED);
    else if (row->class == REFUSE_PEER && ++x->n_errors >= x->server->o.limits.errors &&
             id != REFUSE_UNKNOWN_PERSON && id != REFUSE_ONE_PRIMARY)
        smtp_refuse_text(x, REFUSE_ERRORS, "");
}

void smtp_refuse(struct smtp_session *x, enum refuse_id id)
{
    smtp_refuse_text(x, id, "");
}

/* ---- states ---- */

void smtp_session_enter(struct smtp_session *x, enum smtp_state state)
{
    const struct smtp_limits *l = &x->server->o.limits;
    bool is_content = state == SMTP_DATA || state == SMTP_BDAT;
    /* Core has its own deadlines and always answers; ours only covers its silent death. */
    uint32_t sec = is_content ? l->data_sec : state == SMTP_TAKING ? 600 : l->command_sec;
    x->deadline = mono_now() + SECONDS(sec);
    x->state = state;
    if (x->stream)
        net_stream_pause(x->stream,
                         state == SMTP_ASKING || state == SMTP_CHECKING || state == SMTP_TAKING);
}

void smtp_session_resume(struct smtp_session *x)
{
    if (x->state == SMTP_CLOSED)
        smtp_session_end(x);
}

void smtp_session_end(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    net_stream_close(&x->stream);
    smtp_transaction_destroy(x);
    s->slots[x->slot] = NULL;
    if (x->slot < s->free_slot)
        s->free_slot = x->slot;
    list_remove(&x->node);
    s->n_sessions--;
    smtp_limiter_leave(s->limiter, x->connected);
    buf_finish(&x->partial);
    mem_free(&x->helo);
    mem_free(&x);
    if (s->is_stopping && s->n_sessions == 0 && s->stopped) {
        void (*stopped)(void *) = s->stopped;
        s->stopped = NULL;
        stopped(s->stopped_arg);
    }
}

/* ---- bytes ---- */

static bool cidr_holds(const struct smtp_cidr *list, size_t n, struct wire_ip ip)
{
    size_t n_bytes = ip.version == 4 ? 4 : 16;
    for (size_t i = 0; i < n; i++) {
        if (list[i].n_bytes != n_bytes)
            continue;
        size_t whole = list[i].prefix / 8, rest = list[i].prefix % 8;
        if (memcmp(list[i].bytes, ip.bytes, whole) != 0)
            continue;
        if (rest == 0 || ((list[i].bytes[whole] ^ ip.bytes[whole]) >> (8 - rest)) == 0)
            return true;
    }
    return false;
}

static void greet(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    x->is_xclient = cidr_holds(x->port->xclients, x->port->n_xclients, x->peer);
    smtp_session_identify(x);
    smtp_session_enter(x, SMTP_HELLO);
    if (s->is_stopping) {
        smtp_refuse(x, REFUSE_STOPPING);
        return;
    }
    SCOPED(buf_finish) struct buf text = buf_make(400);
    buf_addf(&text, "%s ESMTP Staffetta", s->o.node);
    smtp_reply(x, "220", buf_slice(&text));
}

/* Returns bytes used. */
static size_t take_proxy(struct smtp_session *x, struct slice bytes)
{
    struct wire_proxy proxy;
    size_t used = 0;
    buf_adds(&x->partial, bytes);
    switch (wire_proxy_parse(buf_slice(&x->partial), &proxy, &used)) {
    case WIRE_PROXY_MORE:
        return bytes.n;
    case WIRE_PROXY_BAD:
        smtp_refuse(x, REFUSE_PROXY_HEADER);
        return bytes.n;
    case WIRE_PROXY_DONE:
        break;
    }
    if (proxy.has_addresses)
        x->peer = proxy.source;
    size_t before = x->partial.n - bytes.n;
    buf_finish(&x->partial);
    greet(x);
    return used - before;
}

static const enum refuse_id line_faults[] = {
    [WIRE_LINE_BARE_LF] = REFUSE_SYNTAX,
    [WIRE_LINE_BARE_CR] = REFUSE_SYNTAX,
    [WIRE_LINE_NUL] = REFUSE_SYNTAX,
    [WIRE_LINE_TOO_LONG] = REFUSE_LINE,
};

/* After a good STARTTLS. Bytes that came along with it would be read as if they had been sent under
 * TLS (the command injection of 2011): such a peer is sent away. */
static void start_tls(struct smtp_session *x, bool has_more)
{
    if (has_more) {
        smtp_refuse(x, REFUSE_TLS_BUFFERED);
        smtp_session_enter(x, SMTP_CLOSED);
        return;
    }
    smtp_reply(x, "220 2.0.0", SLICE("ready for TLS"));
    net_stream_secure(x->stream, x->server->tls);
}

/* One command line off the bytes; returns false when the input is used up. */
static bool take_line(struct smtp_session *x, struct slice *bytes)
{
    struct slice line;
    enum wire_line what = wire_lines_next(&x->lines, bytes, &x->partial, &line);
    if (what == WIRE_LINE_MORE) {
        if (x->partial.n == 0)
            buf_finish(&x->partial);
        return false;
    }
    x->n_commands++;
    if (what != WIRE_LINE_WHOLE) {
        smtp_refuse_text(x, line_faults[what],
                         what == WIRE_LINE_TOO_LONG ? "" : "lines end in CRLF");
        return true;
    }
    smtp_command(x, line);
    if (x->partial.cap)
        buf_finish(&x->partial);
    if (x->state == SMTP_SHAKING)
        start_tls(x, bytes->n > 0);
    return true;
}

static size_t on_input(void *arg, struct slice bytes)
{
    struct smtp_session *x = arg;
    size_t n = bytes.n;
    while (bytes.n > 0) {
        switch (x->state) {
        case SMTP_PROXY:
            bytes = slice_skip(bytes, take_proxy(x, bytes));
            break;
        case SMTP_DATA:
            bytes = slice_skip(bytes, smtp_content(x, bytes));
            break;
        case SMTP_BDAT:
            if (x->t->chunk_left > 0) {
                bytes = slice_skip(bytes, smtp_content(x, bytes));
                break;
            }
            [[fallthrough]];
        case SMTP_HELLO:
        case SMTP_READY:
        case SMTP_MAIL:
        case SMTP_RCPT:
            if (!take_line(x, &bytes))
                return n;
            break;
        case SMTP_SHAKING: /* the stream offers nothing before the handshake is over */
        case SMTP_ASKING:
        case SMTP_CHECKING:
        case SMTP_TAKING:
            return n - bytes.n; /* pipelined commands wait */
        case SMTP_CLOSED:
        case SMTP_STATE_N:
            smtp_session_end(x);
            return n;
        }
    }
    if (x->state == SMTP_CLOSED)
        smtp_session_end(x);
    return n;
}

static void on_closed(void *arg, const char *why)
{
    struct smtp_session *x = arg;
    log_event(EV_SMTP_CLOSED, "peer=%.*s state=%s why=\"%s\"", SLICE_ARG(smtp_peer_text(x)),
              smtp_state_name(x->state), why);
    smtp_session_end(x);
}

static void on_secured(void *arg)
{
    struct smtp_session *x = arg;
    log_event(EV_SMTP_TLS, "peer=%.*s tls=\"%s\"", SLICE_ARG(smtp_peer_text(x)),
              net_stream_tls_text(x->stream));
    /* RFC 3207 section 4.2: everything known from before is forgotten. */
    mem_free(&x->helo);
    smtp_transaction_destroy(x);
    x->is_esmtp = false;
    if (x->is_secure_first) {
        x->is_secure_first = false;
        greet(x);
        return;
    }
    smtp_session_identify(x);
    smtp_session_enter(x, SMTP_HELLO);
}

void smtp_session_create(struct smtp_server *s, int fd, const struct smtp_port *port,
                         const struct sockaddr_storage *peer)
{
    unsigned char bytes[16] = {0};
    struct wire_ip ip = {.version = (uint8_t)(net_address_bytes(peer, bytes) == 4 ? 4 : 6)};
    memcpy(ip.bytes, bytes, sizeof(bytes));
    enum refuse_id refusal = smtp_limiter_enter(s->limiter, &s->o.limits, ip, mono_now());
    struct smtp_session *x = mem_new(sizeof(*x));
    struct net_stream_options o = {.out_max = OUT_MAX,
                                   .input = on_input,
                                   .closed = on_closed,
                                   .secured = on_secured,
                                   .arg = x};
    x->server = s;
    x->port = port;
    x->peer = x->connected = ip;
    x->lines = wire_lines_make(WIRE_COMMAND_MAX);
    x->partial = buf_make(WIRE_COMMAND_MAX);
    x->stream = net_stream_open(s->o.loop, fd, &o);
    if (refusal != REFUSE_N) {
        const struct refuse_row *row = refuse(refusal, smtp_peer_text(x));
        smtp_reply(x, row->code, slice_str(row->text));
        net_stream_close(&x->stream);
        mem_free(&x);
        return;
    }
    list_append(&s->sessions, &x->node);
    s->n_sessions++;
    ticket_take(x);
    if (cidr_holds(port->proxies, port->n_proxies, ip)) {
        smtp_session_enter(x, SMTP_PROXY);
    } else if (port->is_tls_first && s->tls) {
        x->is_secure_first = true;
        smtp_session_enter(x, SMTP_SHAKING);
        net_stream_secure(x->stream, s->tls);
    } else {
        greet(x);
    }
    if (x->state == SMTP_CLOSED)
        smtp_session_end(x);
}
