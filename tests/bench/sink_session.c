/* One connection of the sink: commands, message, faults.
 *
 * Follows RFC 5321, RFC 2033 (LMTP), RFC 2920, RFC 3207 and Postfix's XCLIENT. It is as strict as
 * a next hop in a benchmark must be and no stricter: parameters are recorded, not judged. */
#include "sink_int.h"

#include <stdlib.h>
#include <unistd.h>

#define CHUNK_BYTES (256U << 10)
#define RCPT_LINES_MAX (1U << 20)

static char chunk[CHUNK_BYTES];

struct sink_session *sink_session_create(int take_fd)
{
    struct sink_session *s = mem_new(sizeof *s);
    s->stream.fd = take_fd;
    list_init(&s->node);
    s->helo = buf_make(SINK_LINE_MAX);
    s->from = buf_make(SINK_LINE_MAX);
    s->params = buf_make(SINK_LINE_MAX);
    s->xclient = buf_make(RCPT_LINES_MAX);
    s->rcpts = buf_make(RCPT_LINES_MAX);
    s->rcpt_params = buf_make(RCPT_LINES_MAX);
    s->message = buf_make(sink_settings.message_max + CHUNK_BYTES);
    s->held = buf_make(2 * CHUNK_BYTES);
    s->out = buf_make(SINK_OUT_MAX);
    sink_counts.connections++;
    sink_counts.open++;
    return s;
}

void sink_session_destroy(struct sink_session **address)
{
    struct sink_session *s = *address;
    if (!s)
        return;
    bench_stream_close(&s->stream);
    list_remove(&s->node);
    struct buf *bufs[] = {&s->helo,        &s->from,    &s->params, &s->xclient, &s->rcpts,
                          &s->rcpt_params, &s->message, &s->held,   &s->out};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_finish(bufs[i]);
    sink_counts.open--;
    mem_free(address);
}

static void say(struct sink_session *s, const char *line)
{
    buf_adds(&s->out, slice_str(line));
    buf_adds(&s->out, SLICE("\r\n"));
}

/* True when nothing shall go wrong here. */
static bool stage_passes(struct sink_session *s, enum sink_stage stage, struct slice command)
{
    const struct sink_fault *fault = sink_fault_at(stage, command);
    if (!fault)
        return true;
    switch (fault->kind) {
    case SINK_REPLY:
        say(s, fault->text);
        break;
    case SINK_HANG:
        s->is_hanging = true;
        break;
    case SINK_CLOSE:
        s->is_closing = true;
        break;
    }
    return false;
}

static void transaction_forget(struct sink_session *s)
{
    s->has_mail = s->is_in_data = s->is_too_big = false;
    s->n_rcpts = 0;
    buf_clear(&s->from);
    buf_clear(&s->params);
    buf_clear(&s->rcpts);
    buf_clear(&s->rcpt_params);
    buf_clear(&s->message);
}

/* ---- verbs --------------------------------------------------------------------------------- */

static void greet(struct sink_session *s)
{
    if (!stage_passes(s, SINK_BANNER, SLICE("")))
        return;
    if (sink_settings.banner)
        say(s, sink_settings.banner);
    else
        buf_addf(&s->out, "220 %s %s sink\r\n", sink_settings.name,
                 sink_settings.is_lmtp ? "LMTP" : "ESMTP");
}

static void offers(struct sink_session *s)
{
    const struct sink_settings *is = &sink_settings;
    buf_addf(&s->out, "250-%s\r\n", is->name);
    if (is->has_pipelining)
        say(s, "250-PIPELINING");
    if (is->has_8bitmime)
        say(s, "250-8BITMIME");
    if (is->has_smtputf8)
        say(s, "250-SMTPUTF8");
    if (is->has_dsn)
        say(s, "250-DSN");
    if (is->has_codes)
        say(s, "250-ENHANCEDSTATUSCODES");
    if (is->tls && !s->stream.ssl)
        say(s, "250-STARTTLS");
    if (is->has_xclient)
        say(s, "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
    if (is->has_size)
        buf_addf(&s->out, "250-SIZE %llu\r\n", (unsigned long long)is->size_max);
    say(s, "250 HELP");
}

static void verb_hello(struct sink_session *s, struct slice line)
{
    if (!stage_passes(s, SINK_EHLO, line))
        return;
    bool is_helo = slice_istarts(line, SLICE("HELO"));
    bool is_lhlo = slice_istarts(line, SLICE("LHLO"));
    if (is_lhlo != sink_settings.is_lmtp || (!is_helo && !sink_settings.has_esmtp)) {
        say(s, "502 5.5.1 not here");
        return;
    }
    transaction_forget(s);
    s->is_greeted = true;
    buf_clear(&s->helo);
    buf_adds(&s->helo, slice_trim(slice_skip(line, 4)));
    if (is_helo)
        buf_addf(&s->out, "250 %s\r\n", sink_settings.name);
    else
        offers(s);
}

/* Splits "MAIL FROM:<path> parameters"; false when there is no path. */
static bool path_split(struct slice line, struct slice *ret_path, struct slice *ret_params)
{
    ptrdiff_t first = slice_find(line, '<'), last = slice_find(line, '>');
    if (first < 0 || last < first)
        return false;
    *ret_path = slice_of(line.p + first + 1, (size_t)(last - first - 1));
    *ret_params = slice_trim(slice_skip(line, (size_t)last + 1));
    return true;
}

static bool is_over_size(struct slice params)
{
    while (params.n && sink_settings.size_max) {
        uint64_t size;
        struct slice word = slice_cut(params, ' ', &params);
        if (slice_istarts(word, SLICE("SIZE=")) &&
            (!slice_u64(slice_skip(word, 5), UINT64_MAX, &size) || size > sink_settings.size_max))
            return true;
    }
    return false;
}

static void verb_mail(struct sink_session *s, struct slice line)
{
    struct slice path, params;
    if (!stage_passes(s, SINK_MAIL, line))
        return;
    if (!s->is_greeted || s->has_mail) {
        say(s, "503 5.5.1 not now");
    } else if (!path_split(line, &path, &params)) {
        say(s, "501 5.5.4 MAIL FROM:<path>");
    } else if (is_over_size(params)) {
        say(s, "552 5.3.4 too big");
    } else {
        s->has_mail = true;
        buf_adds(&s->from, path);
        buf_adds(&s->params, params);
        say(s, "250 2.1.0 ok");
    }
}

static void verb_rcpt(struct sink_session *s, struct slice line)
{
    struct slice path, params;
    if (!stage_passes(s, SINK_RCPT, line))
        return;
    if (!s->has_mail) {
        say(s, "503 5.5.1 MAIL first");
    } else if (!path_split(line, &path, &params)) {
        say(s, "501 5.5.4 RCPT TO:<path>");
    } else if (s->n_rcpts == SINK_RCPTS_MAX) {
        say(s, "452 4.5.3 too many recipients");
    } else {
        s->n_rcpts++;
        buf_adds(&s->rcpts, path);
        buf_addc(&s->rcpts, '\n');
        buf_adds(&s->rcpt_params, params);
        buf_addc(&s->rcpt_params, '\n');
        say(s, "250 2.1.5 ok");
    }
}

static void verb_data(struct sink_session *s, struct slice line)
{
    if (!stage_passes(s, SINK_DATA, line))
        return;
    if (!s->has_mail) {
        say(s, "503 5.5.1 MAIL first");
    } else if (s->n_rcpts == 0) {
        say(s, "554 5.5.1 no valid recipients");
    } else {
        s->is_in_data = true;
        say(s, "354 go on");
    }
}

static void verb_rset(struct sink_session *s, struct slice)
{
    transaction_forget(s);
    say(s, "250 2.0.0 ok");
}

static void verb_noop(struct sink_session *s, struct slice)
{
    say(s, "250 2.0.0 ok");
}

static void verb_quit(struct sink_session *s, struct slice)
{
    say(s, "221 2.0.0 bye");
    s->is_closing = true;
}

static void verb_starttls(struct sink_session *s, struct slice)
{
    if (!sink_settings.tls || s->stream.ssl) {
        say(s, "502 5.5.1 not here");
        return;
    }
    say(s, "220 2.0.0 ready");
    s->is_handshaking = true;
    s->is_greeted = false;
    transaction_forget(s);
}

static void verb_xclient(struct sink_session *s, struct slice line)
{
    if (!sink_settings.has_xclient) {
        say(s, "502 5.5.1 not here");
        return;
    }
    if (s->xclient.n)
        buf_addc(&s->xclient, ' ');
    buf_adds(&s->xclient, slice_trim(slice_skip(line, strlen("XCLIENT"))));
    s->is_greeted = false;
    transaction_forget(s);
    greet(s);
}

static const struct {
    const char *name;
    void (*run)(struct sink_session *s, struct slice line);
} verbs[] = {
    {"MAIL", verb_mail},  {"RCPT", verb_rcpt},         {"DATA", verb_data},
    {"EHLO", verb_hello}, {"HELO", verb_hello},        {"LHLO", verb_hello},
    {"RSET", verb_rset},  {"NOOP", verb_noop},         {"QUIT", verb_quit},
    {"VRFY", verb_noop},  {"STARTTLS", verb_starttls}, {"XCLIENT", verb_xclient},
};

static void command_run(struct sink_session *s, struct slice line)
{
    struct slice rest, word = slice_cut(line, ' ', &rest);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (slice_ieq(word, slice_str(verbs[i].name))) {
            verbs[i].run(s, line);
            return;
        }
    }
    say(s, "500 5.5.2 unknown command");
}

/* ---- messages ------------------------------------------------------------------------------ */

static bool is_positive(const struct sink_fault *fault)
{
    return fault->kind == SINK_REPLY && fault->text[0] == '2';
}

/* LMTP gives each recipient a reply of its own; those refused do not get the message. */
static void lmtp_replies(struct sink_session *s)
{
    struct buf kept = buf_make(RCPT_LINES_MAX);
    struct slice lines = buf_slice(&s->rcpts);
    while (lines.n && !s->is_hanging && !s->is_closing) {
        struct slice rcpt = slice_cut(lines, '\n', &lines);
        if (!stage_passes(s, SINK_DOT, rcpt))
            continue;
        say(s, "250 2.1.5 kept");
        buf_adds(&kept, rcpt);
        buf_addc(&kept, '\n');
    }
    buf_clear(&s->rcpts);
    buf_adds(&s->rcpts, buf_slice(&kept));
    if (kept.n && !s->is_hanging && !s->is_closing) {
        sink_message_take(s);
        if (!stage_passes(s, SINK_ACCEPTED, buf_slice(&kept)))
            buf_clear(&s->out);
    }
    buf_finish(&kept);
}

static void smtp_reply(struct sink_session *s)
{
    const struct sink_fault *fault = sink_fault_at(SINK_DOT, buf_slice(&s->rcpts));
    if (fault && !is_positive(fault)) {
        s->is_hanging = fault->kind == SINK_HANG;
        s->is_closing = fault->kind == SINK_CLOSE;
        if (fault->kind == SINK_REPLY)
            say(s, fault->text);
        return;
    }
    sink_message_take(s);
    if (stage_passes(s, SINK_ACCEPTED, buf_slice(&s->rcpts)))
        say(s, fault ? fault->text : "250 2.0.0 kept");
}

static void message_end(struct sink_session *s)
{
    size_t size_max = sink_settings.size_max;
    if (s->is_too_big || (size_max && s->message.n > size_max))
        say(s, "552 5.3.4 too big");
    else if (sink_settings.is_lmtp)
        lmtp_replies(s);
    else
        smtp_reply(s);
    transaction_forget(s);
    if (sink_settings.delay_ms && !s->is_hanging && !s->is_closing) {
        s->is_delayed = true;
        sink_delay(s);
    }
}

/* Where CRLF.CRLF begins at or behind `from`, or NULL. Line by line memchr is several times as
 * fast as memmem here. */
static const char *end_find(const struct buf *m, size_t from)
{
    const char *p = m->p + from, *stop = m->p + m->n;
    while ((p = memchr(p, '\n', (size_t)(stop - p)))) {
        if (stop - p >= 4 && p > m->p && memcmp(p - 1, "\r\n.\r\n", 5) == 0)
            return p - 1;
        p++;
    }
    return NULL;
}

/* The end is CRLF.CRLF only; at the very start of the message .CRLF. Returns the bytes used. */
static size_t message_feed(struct sink_session *s, struct slice in)
{
    struct buf *m = &s->message;
    size_t before = m->n;
    if (before == 0 && !stage_passes(s, SINK_BODY, SLICE(""))) {
        s->is_closing = !s->is_hanging;
        return in.n;
    }
    buf_adds(m, in);
    must(!m->failed);
    size_t from = before > 4 ? before - 4 : 0;
    const char *end = end_find(m, from);
    bool is_empty = m->n >= 3 && memcmp(m->p, ".\r\n", 3) == 0 && !s->is_too_big;
    if (is_empty || end) {
        size_t n = is_empty ? 0 : (size_t)(end - m->p) + 2;
        size_t n_surplus = m->n - n - 3;
        m->n = n;
        message_end(s);
        return in.n - n_surplus;
    }
    if (m->n > sink_settings.message_max) { /* keep what the search for the end needs */
        s->is_too_big = true;
        buf_drop(m, m->n - 4);
    }
    return in.n;
}

/* ---- input and output ---------------------------------------------------------------------- */

static bool is_stopped(const struct sink_session *s)
{
    return s->is_hanging || s->is_closing || s->is_delayed || s->is_handshaking;
}

/* Uses what it can of `in`; returns the bytes used. */
static size_t session_feed(struct sink_session *s, struct slice in)
{
    size_t at = 0;
    while (at < in.n && !is_stopped(s)) {
        struct slice rest = slice_skip(in, at);
        if (s->is_in_data) {
            at += message_feed(s, rest);
            continue;
        }
        ptrdiff_t end = slice_find(rest, '\n');
        if (end < 0 && rest.n < SINK_LINE_MAX)
            break;
        if (end < 0 || end >= SINK_LINE_MAX) {
            say(s, "500 5.5.2 line too long");
            s->is_closing = true;
            break;
        }
        command_run(s, slice_trim(slice_of(rest.p, (size_t)end)));
        at += (size_t)end + 1;
    }
    /* What came behind STARTTLS came in plain text: RFC 3207 section 4.2. */
    return s->is_hanging || s->is_closing || s->is_handshaking ? in.n : at;
}

static void session_held(struct sink_session *s)
{
    if (s->held.n && !is_stopped(s))
        buf_drop(&s->held, session_feed(s, buf_slice(&s->held)));
}

/* False when the connection is over. */
static bool session_flush(struct sink_session *s)
{
    must(!s->out.failed);
    while (s->out.n && !s->is_delayed) {
        struct iovec iov = {s->out.p, s->out.n};
        ssize_t n = bench_stream_send(&s->stream, &iov, 1);
        if (n < 0)
            return false;
        if (n == 0)
            return true;
        buf_drop(&s->out, (size_t)n);
    }
    return !s->is_closing || s->is_delayed;
}

static int session_handshake(struct sink_session *s)
{
    int done = bench_stream_handshake(&s->stream, sink_settings.tls, true);
    s->is_handshaking = done <= 0;
    return done;
}

/* 1 go on reading, 0 nothing more moves, -1 over. */
static int session_turn(struct sink_session *s)
{
    if (s->is_handshaking) {
        int done = session_handshake(s);
        if (done <= 0)
            return done;
    }
    if (s->is_delayed)
        return 0;
    ssize_t n = bench_stream_recv(&s->stream, chunk, sizeof chunk);
    if (n <= 0)
        return (int)n;
    struct slice in = slice_of(chunk, (size_t)n);
    if (s->is_hanging)
        return 1;
    if (s->held.n) {
        buf_adds(&s->held, in);
        session_held(s);
    } else {
        size_t used = session_feed(s, in);
        buf_adds(&s->held, slice_skip(in, used));
    }
    if (s->held.failed || !session_flush(s))
        return -1;
    return 1;
}

bool sink_session_event(struct sink_session *s)
{
    if (!s->has_spoken) {
        s->has_spoken = true;
        greet(s);
    }
    session_held(s);
    if (!session_flush(s))
        return false;
    int more = 1;
    while (more > 0)
        more = session_turn(s);
    return more == 0;
}
