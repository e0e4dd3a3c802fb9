/* A session's life: accepting, states, deadlines, replies, the way of its bytes. What a command
 * means is in smtp_command.c, content in smtp_content.c. */
#include "smtp/smtp_int.h"

#include <stdio.h>
#include <stdlib.h>

/* OUT_MAX: the stream reads no more from a peer that leaves replies unread, so this is reached only
 * by the replies to the one piece that was read already. */
enum { OUT_MAX = 256 << 10, SLOTS_STEP = 256, SHAKE_SECONDS = 60, CORE_SECONDS = 240 };

static const char *const state_names[SMTP_STATE_N] = {
    "proxy", "hello",  "ready",    "mail",   "rcpt",    "data",
    "bdat",  "asking", "checking", "taking", "shaking", "closed",
};

const char *smtp_state_name(enum smtp_state state)
{
    return state_names[state];
}

/* ---- tickets: how answers find their session, if it is still there ---- */

static void slot_take(struct smtp_session *x)
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
}

uint64_t smtp_session_ticket(struct smtp_session *x)
{
    x->turn = ++x->server->turn;
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
    SCOPED(buf_finish) struct buf out = buf_make(32 * 512);
    wire_reply_add(&out, code, text);
    net_stream_write(x->stream, buf_slice(&out));
}

static bool ends_session(const char *code)
{
    return strncmp(code, "421", 3) == 0 || strncmp(code, "521", 3) == 0;
}

/* Does it count towards the errors that end a session? Not what good relays meet too: a list has
 * old addresses in it, and recipients of two mail systems. */
static bool is_error(enum refuse_id id)
{
    return refuse_row(id)->class == REFUSE_PEER && id != REFUSE_UNKNOWN_PERSON &&
           id != REFUSE_ONE_PRIMARY;
}

void smtp_refuse_text(struct smtp_session *x, enum refuse_id id, const char *text)
{
    const struct refuse_row *row = refuse(id, smtp_peer_text(x));
    SCOPED(buf_finish) struct buf whole = buf_make(2000);
    buf_addf(&whole, "%s%s%s", row->text, text[0] ? ": " : "", text);
    smtp_reply(x, row->code, buf_slice(&whole));
    if (ends_session(row->code)) {
        smtp_session_enter(x, SMTP_CLOSED);
    } else if (is_error(id)) {
        smtp_measure(x, REFUSE_ERRORS, ++x->n_errors);
        if (x->n_errors >= x->server->o.limits.errors)
            smtp_refuse(x, REFUSE_ERRORS); /* a 421: no further round */
    }
}

void smtp_measure(const struct smtp_session *x, enum refuse_id id, uint64_t value)
{
    if (refuse_is_high(id, value)) /* the address is written out for few */
        refuse_measure(id, value, smtp_peer_text(x));
}

void smtp_refuse(struct smtp_session *x, enum refuse_id id)
{
    smtp_refuse_text(x, id, "");
}

/* ---- states ---- */

#define IN(state) (1u << (state))
enum {
    ENVELOPE = IN(SMTP_READY) | IN(SMTP_BDAT) | IN(SMTP_SHAKING) | IN(SMTP_CLOSED),
};

/* What may follow a state. */
static const unsigned next_states[SMTP_STATE_N] = {
    [SMTP_PROXY] = IN(SMTP_PROXY) | IN(SMTP_HELLO) | IN(SMTP_SHAKING) | IN(SMTP_CLOSED),
    [SMTP_HELLO] = ENVELOPE | IN(SMTP_HELLO),
    [SMTP_READY] = ENVELOPE | IN(SMTP_HELLO) | IN(SMTP_MAIL),
    [SMTP_MAIL] = ENVELOPE | IN(SMTP_MAIL) | IN(SMTP_ASKING) | IN(SMTP_RCPT),
    [SMTP_RCPT] = ENVELOPE | IN(SMTP_RCPT) | IN(SMTP_ASKING) | IN(SMTP_DATA),
    [SMTP_DATA] = IN(SMTP_CHECKING) | IN(SMTP_TAKING) | IN(SMTP_READY) | IN(SMTP_CLOSED),
    [SMTP_BDAT] = IN(SMTP_BDAT) | IN(SMTP_CHECKING) | IN(SMTP_TAKING) | IN(SMTP_READY) |
                  IN(SMTP_HELLO) | IN(SMTP_CLOSED),
    [SMTP_ASKING] = IN(SMTP_MAIL) | IN(SMTP_RCPT) | IN(SMTP_READY) | IN(SMTP_CLOSED),
    [SMTP_CHECKING] = IN(SMTP_TAKING) | IN(SMTP_READY) | IN(SMTP_CLOSED),
    [SMTP_TAKING] = IN(SMTP_READY) | IN(SMTP_CLOSED),
    [SMTP_SHAKING] = IN(SMTP_HELLO) | IN(SMTP_CLOSED),
    [SMTP_CLOSED] = IN(SMTP_CLOSED),
};

static uint32_t state_seconds(const struct smtp_limits *l, enum smtp_state state)
{
    switch (state) {
    case SMTP_PROXY: /* a proxy says who is there before anything else, and needs no person */
    case SMTP_SHAKING:
        return l->command_sec < SHAKE_SECONDS ? l->command_sec : SHAKE_SECONDS;
    case SMTP_DATA:
    case SMTP_BDAT:
        return l->data_sec;
    case SMTP_ASKING:
    case SMTP_CHECKING:
    case SMTP_TAKING:
        /* Core and the workers have their own deadlines and always answer; this only covers their
         * silent death, while the client still listens (ten minutes, section 4.5.3.2.6). */
        return CORE_SECONDS;
    case SMTP_HELLO:
    case SMTP_READY:
    case SMTP_MAIL:
    case SMTP_RCPT:
    case SMTP_CLOSED:
    case SMTP_STATE_N:
        break;
    }
    return l->command_sec;
}

void smtp_session_enter(struct smtp_session *x, enum smtp_state state)
{
    must(next_states[x->state] & IN(state));
    x->deadline = mono_now() + SECONDS(state_seconds(&x->server->o.limits, state));
    x->state = state;
    net_stream_pause(x->stream,
                     state == SMTP_ASKING || state == SMTP_CHECKING || state == SMTP_TAKING);
    net_stream_expect_bulk(x->stream, state == SMTP_DATA || state == SMTP_BDAT);
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
    s->bytes_in_flight -= x->n_left;
    s->slots[x->slot] = NULL;
    if (x->slot < s->free_slot)
        s->free_slot = x->slot;
    list_remove(&x->node);
    s->n_sessions--;
    if (x->is_counted)
        smtp_limiter_leave(s->limiter, x->connected);
    buf_finish(&x->partial);
    mem_free(&x->helo);
    mem_free(&x);
    if (s->is_stopping && s->n_sessions == 0)
        net_timer_set(s->tick, 0); /* it tells whoever waits for the end */
}

/* ---- beginning ---- */

static bool cidr_holds(const struct smtp_cidr *list, size_t n, struct wire_ip ip)
{
    size_t n_bytes = ip.version == 4 ? 4 : ip.version == 6 ? 16 : 0;
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
    smtp_session_enter(x, SMTP_HELLO);
    if (s->is_stopping) {
        smtp_refuse(x, REFUSE_STOPPING);
        return;
    }
    SCOPED(buf_finish) struct buf text = buf_make(400);
    buf_addf(&text, "%s ESMTP Staffetta", s->o.node);
    smtp_reply(x, "220", buf_slice(&text));
}

/* The peer is known and within its limits. */
static void begin(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    x->is_xclient = cidr_holds(x->port->xclients, x->port->n_xclients, x->peer);
    if (!x->port->is_tls_first) {
        greet(x);
    } else if (s->tls) {
        x->is_secure_first = true;
        smtp_session_enter(x, SMTP_SHAKING);
        net_stream_secure(x->stream, s->tls);
    } else {
        smtp_refuse(x, REFUSE_TLS_UNAVAILABLE); /* never in the clear on a port of TLS */
        smtp_session_enter(x, SMTP_CLOSED);
    }
}

/* Who the limits are for: the connection's address, or what a listed proxy says. False: refused. */
static bool count_in(struct smtp_session *x, struct wire_ip ip)
{
    struct smtp_server *s = x->server;
    if (x->is_counted)
        smtp_limiter_leave(s->limiter, x->connected);
    x->peer = x->connected = ip;
    enum refuse_id refusal = smtp_limiter_enter(s->limiter, &s->o.limits, ip, mono_now());
    x->is_counted = refusal == REFUSE_N;
    if (!x->is_counted) {
        smtp_refuse(x, refusal);
        smtp_session_enter(x, SMTP_CLOSED);
    }
    return x->is_counted;
}

/* Returns bytes used. */
static size_t take_proxy(struct smtp_session *x, struct slice bytes)
{
    struct wire_proxy proxy;
    size_t used = 0, before = x->partial.n;
    if (bytes.n > WIRE_PROXY_MAX - before)
        bytes.n = WIRE_PROXY_MAX - before;
    buf_adds(&x->partial, bytes);
    enum wire_proxy_result result = wire_proxy_parse(buf_slice(&x->partial), &proxy, &used);
    if (result == WIRE_PROXY_MORE)
        return bytes.n;
    if (result == WIRE_PROXY_BAD) {
        smtp_refuse(x, REFUSE_PROXY_HEADER);
        return bytes.n;
    }
    buf_finish(&x->partial);
    x->partial = buf_make(x->lines.max_bytes);
    if (count_in(x, proxy.has_addresses ? proxy.source : x->peer))
        begin(x);
    return used - before;
}

/* ---- commands ---- */

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

/* One command line off the bytes; returns how many were used. */
static size_t take_line(struct smtp_session *x, struct slice bytes)
{
    struct slice line, rest = bytes;
    enum wire_line what = wire_lines_next(&x->lines, &rest, &x->partial, &line);
    if (what == WIRE_LINE_WHOLE) {
        smtp_command(x, line);
    } else if (what != WIRE_LINE_MORE) {
        x->n_commands++;
        if (what == WIRE_LINE_TOO_LONG) /* its end was not awaited: longer than that */
            smtp_measure(x, REFUSE_LINE, x->lines.max_bytes + 1);
        smtp_refuse_text(x, line_faults[what],
                         what == WIRE_LINE_TOO_LONG ? "" : "lines end in CRLF");
    }
    if (x->partial.n == 0)
        buf_finish(&x->partial); /* an idle session holds no buffer */
    if (x->state == SMTP_SHAKING)
        start_tls(x, rest.n > 0);
    return bytes.n - rest.n;
}

/* ---- bytes ---- */

/* Returns how many were used; 0: they have to wait. */
static size_t take_some(struct smtp_session *x, struct slice bytes)
{
    switch (x->state) {
    case SMTP_PROXY:
        return take_proxy(x, bytes);
    case SMTP_DATA:
        return smtp_content(x, bytes);
    case SMTP_BDAT:
        if (x->t->chunk_left > 0)
            return smtp_content(x, bytes);
        [[fallthrough]];
    case SMTP_HELLO:
    case SMTP_READY:
    case SMTP_MAIL:
    case SMTP_RCPT:
        return take_line(x, bytes);
    case SMTP_SHAKING: /* the stream offers nothing before the handshake is over */
    case SMTP_ASKING:
    case SMTP_CHECKING:
    case SMTP_TAKING: /* pipelined commands wait */
    case SMTP_CLOSED:
    case SMTP_STATE_N:
        break;
    }
    return 0;
}

static size_t on_input(void *arg, struct slice bytes)
{
    struct smtp_session *x = arg;
    struct smtp_server *s = x->server;
    struct slice rest = bytes;
    s->bytes_in_flight -= x->n_left;
    for (size_t used = 1; used > 0 && rest.n > 0; rest = slice_skip(rest, used))
        used = take_some(x, rest);
    x->n_left = x->state == SMTP_SHAKING ? 0 : rest.n; /* then they stay in the socket */
    s->bytes_in_flight += x->n_left;
    smtp_session_resume(x);
    return bytes.n - rest.n;
}

static void on_closed(void *arg, const char *why)
{
    struct smtp_session *x = arg;
    if (x->state == SMTP_SHAKING)
        (void)refuse(REFUSE_TLS_FAILED, smtp_peer_text(x)); /* nobody can read a reply */
    log_event(EV_SMTP_CLOSED, "peer=%.*s state=%s why=\"%s\"", SLICE_ARG(smtp_peer_text(x)),
              smtp_state_name(x->state), why);
    smtp_session_end(x);
}

static void on_secured(void *arg)
{
    struct smtp_session *x = arg;
    log_event(EV_SMTP_TLS, "peer=%.*s tls=\"%s\"", SLICE_ARG(smtp_peer_text(x)),
              net_stream_tls_text(x->stream));
    if (x->is_secure_first) {
        x->is_secure_first = false;
        greet(x);
        smtp_session_resume(x);
        return;
    }
    /* RFC 3207 section 4.2: everything that the client said before is forgotten. */
    mem_free(&x->helo);
    smtp_transaction_destroy(x);
    x->is_esmtp = false;
    x->peer = x->connected;
    smtp_session_doubt(x);
    smtp_session_enter(x, SMTP_HELLO);
}

void smtp_session_create(struct smtp_server *s, int fd, const struct smtp_port *port,
                         const struct sockaddr_storage *peer)
{
    struct wire_ip ip = {0};
    size_t n_bytes = net_address_bytes(peer, ip.bytes);
    ip.version = n_bytes == 4 ? 4 : n_bytes == 16 ? 6 : 0;
    struct smtp_session *x = mem_new(sizeof(*x));
    struct net_stream_options o = {.out_max = OUT_MAX,
                                   .input = on_input,
                                   .closed = on_closed,
                                   .secured = on_secured,
                                   .arg = x};
    x->server = s;
    x->port = port;
    x->lines = wire_lines_make(s->o.limits.command_line_bytes);
    x->partial = buf_make(x->lines.max_bytes);
    x->stream = net_stream_open(s->o.loop, fd, &o);
    list_append(&s->sessions, &x->node);
    s->n_sessions++;
    slot_take(x);
    smtp_session_enter(x, SMTP_PROXY);
    if (!cidr_holds(port->proxies, port->n_proxies, ip)) {
        if (count_in(x, ip))
            begin(x);
    } else if (count_in(x, (struct wire_ip){0})) {
        x->peer = ip;
        x->partial = buf_make(WIRE_PROXY_MAX);
        net_stream_peek(x->stream, port->is_tls_first);
    }
    smtp_session_resume(x);
}
