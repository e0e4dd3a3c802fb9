/* One connection of the load generator: states, replies, and what a lost connection means.
 *
 * Follows RFC 5321, RFC 2920 (PIPELINING), RFC 2033 (LMTP), RFC 3207 (STARTTLS). Edge-triggered:
 * every event sends and receives until nothing moves. */
#include "load_int.h"

#include <errno.h>
#include <sys/epoll.h>

const char *load_state_name(enum load_state state)
{
    static const char *const names[] = {"off",       "connect", "banner", "ehlo", "starttls",
                                        "handshake", "ready",   "mail",   "rcpt", "data",
                                        "body",      "rset",    "quit"};
    return names[state];
}

static bool is_opening(enum load_state state)
{
    return state > LOAD_OFF && state < LOAD_READY;
}

static void session_set_state(struct load_session *s, enum load_state state)
{
    struct load_thread *t = s->thread;
    t->n_idle = t->n_idle - (s->state == LOAD_READY) + (state == LOAD_READY);
    t->n_opening = t->n_opening - is_opening(s->state) + is_opening(state);
    s->state = state;
}

static void session_enter(struct load_session *s, enum load_state state, struct list *list)
{
    session_set_state(s, state);
    s->since = mono_now();
    list_remove(&s->node);
    list_append(list, &s->node);
}

static void session_wait(struct load_session *s, enum load_state state)
{
    session_enter(s, state, &s->thread->waiting);
}

void load_session_close(struct load_session *s)
{
    bench_stream_close(&s->stream);
    list_remove(&s->node);
    session_set_state(s, LOAD_OFF);
    s->generation++;
    s->is_broken = false;
    s->n_in = 0;
    s->n_iov = s->at_iov = 0;
}

static void session_end(struct load_session *s)
{
    load_session_close(s);
    if (!s->is_ended)
        s->thread->n_live--;
    s->is_ended = true;
}

/* ---- the verdict about a message ----------------------------------------------------------- */

static void session_decide(struct load_session *s, const char *word, int code)
{
    struct load_thread *t = s->thread;
    mono_us now = mono_now();
    load_journal_add(&t->journal, &(struct load_verdict){.number = s->number,
                                                         .word = word,
                                                         .code = code,
                                                         .sent = s->sent_at,
                                                         .replied = utc_now(),
                                                         .digest = s->digest});
    s->has_message = false;
    s->n_failures = 0;
    s->n_done++;
    t->last_reply = now;
    if (word[0] == 'u') {
        t->counts.unknown++;
        return;
    }
    uint64_t *count = word[0] == 'a' ? &t->counts.accepted : &t->counts.refused;
    (*count)++;
    bench_histogram_add(&t->latency, now - s->started);
}

/* A connection that ended. Whether the server can have the whole message depends on one thing
 * only: has its last byte left us? */
void load_session_lose(struct load_session *s)
{
    bool is_sent = s->state == LOAD_BODY && s->at_iov == s->n_iov;
    if (s->has_message && is_sent && s->n_rcpts_taken == 0)
        session_decide(s, "refused", s->refusal);
    else if (s->has_message && is_sent)
        session_decide(s, "unknown", 0);
    bool was_quitting = s->state == LOAD_QUIT;
    bool was_idle = s->state == LOAD_READY && load_settings.idle;
    load_session_close(s);
    if (was_idle || (was_quitting && load_is_over())) {
        session_end(s);
    } else if (was_quitting) {
        load_session_open(s);
    } else {
        s->thread->counts.failures++;
        if (++s->n_failures > load_settings.retries)
            session_end(s);
        else
            session_enter(s, LOAD_OFF, &s->thread->resting);
    }
}

/* ---- sending ------------------------------------------------------------------------------- */

/* A broken pipe is no loss yet: a reply that explains it may be waiting to be read. */
static void session_send(struct load_session *s)
{
    while (s->at_iov < s->n_iov && !s->is_broken) {
        ssize_t n = bench_stream_send(&s->stream, s->iov + s->at_iov, s->n_iov - s->at_iov);
        if (n <= 0) {
            s->is_broken = n < 0;
            return;
        }
        s->thread->counts.bytes += (uint64_t)n;
        size_t left = (size_t)n;
        while (s->at_iov < s->n_iov && left >= s->iov[s->at_iov].iov_len)
            left -= s->iov[s->at_iov++].iov_len;
        if (left > 0) {
            s->iov[s->at_iov].iov_base = (char *)s->iov[s->at_iov].iov_base + left;
            s->iov[s->at_iov].iov_len -= left;
        }
    }
}

/* Sends what stands in `out`. */
static void session_say(struct load_session *s, enum load_state state)
{
    must(!s->out.failed);
    s->iov[0] = (struct iovec){s->out.p, s->out.n};
    s->at_iov = 0;
    s->n_iov = 1;
    session_wait(s, state);
    session_send(s);
}

static void session_command(struct load_session *s, enum load_state state, const char *line)
{
    buf_clear(&s->out);
    buf_addf(&s->out, "%s\r\n", line);
    session_say(s, state);
}

static void session_greet(struct load_session *s)
{
    char line[300];
    (void)snprintf(line, sizeof line, "%s %.250s", load_settings.is_lmtp ? "LHLO" : "EHLO",
                   load_settings.helo);
    s->offers_pipelining = s->offers_starttls = false;
    session_command(s, LOAD_EHLO, line);
}

static void add_command(struct load_session *s, const char *verb, const char *pattern)
{
    buf_adds(&s->out, slice_str(verb));
    load_message_address(&s->out, pattern, s->number);
    buf_adds(&s->out, SLICE(">\r\n"));
}

/* ---- a transaction ------------------------------------------------------------------------- */

static void session_begin(struct load_session *s)
{
    s->n_rcpts_answered = s->n_rcpts_taken = s->n_dots_due = 0;
    s->refusal = s->dot_refusal = 0;
    s->digest[0] = '\0';
    s->sent_at = utc_now();
    buf_clear(&s->out);
    add_command(s, "MAIL FROM:<", load_settings.from);
    if (s->offers_pipelining) {
        for (size_t i = 0; i < load_settings.n_rcpts; i++)
            add_command(s, "RCPT TO:<", load_settings.rcpts[i]);
        buf_adds(&s->out, SLICE("DATA\r\n"));
    }
    if (s->thread->first_start == 0)
        s->thread->first_start = mono_now();
    session_say(s, LOAD_MAIL);
}

void load_session_ready(struct load_session *s)
{
    mono_us due = 0;
    uint64_t per_session = load_settings.per_session;
    if (load_settings.idle && !bench_is_stopping) {
        session_enter(s, LOAD_READY, &s->thread->ready);
        return;
    }
    if (per_session && s->n_done >= per_session) {
        session_command(s, LOAD_QUIT, "QUIT");
        return;
    }
    if (!s->has_message && load_message_take(&s->number, &due)) {
        s->has_message = true;
        s->started = due ? due : mono_now();
    }
    if (s->has_message)
        session_begin(s);
    else if (load_is_over())
        session_command(s, LOAD_QUIT, "QUIT");
    else
        session_enter(s, LOAD_READY, &s->thread->ready);
}

static void session_body(struct load_session *s)
{
    s->n_dots_due = load_settings.is_lmtp && s->n_rcpts_taken ? s->n_rcpts_taken : 1;
    if (s->n_rcpts_taken == 0) { /* nobody to get it, and yet we must end the DATA */
        session_command(s, LOAD_BODY, ".");
        return;
    }
    load_message_make(s->number, s->started, &s->headers, s->iov);
    if (load_settings.wants_digest)
        load_message_digest(s->iov, s->digest);
    s->n_iov = 3;
    s->at_iov = 0;
    session_wait(s, LOAD_BODY);
    session_send(s);
}

static void session_refused(struct load_session *s, bool needs_reset)
{
    session_decide(s, "refused", s->refusal);
    if (needs_reset)
        session_command(s, LOAD_RSET, "RSET");
    else
        load_session_ready(s);
}

static void reply_mail(struct load_session *s, int code)
{
    if (code / 100 != 2)
        s->refusal = code;
    if (s->offers_pipelining) {
        session_wait(s, LOAD_RCPT);
    } else if (s->refusal) {
        session_refused(s, false);
    } else {
        buf_clear(&s->out);
        add_command(s, "RCPT TO:<", load_settings.rcpts[0]);
        session_say(s, LOAD_RCPT);
    }
}

static void reply_rcpt(struct load_session *s, int code)
{
    s->n_rcpts_answered++;
    if (code / 100 == 2)
        s->n_rcpts_taken++;
    else if (!s->refusal)
        s->refusal = code;
    bool is_last = s->n_rcpts_answered == load_settings.n_rcpts;
    if (s->offers_pipelining) {
        session_wait(s, is_last ? LOAD_DATA : LOAD_RCPT);
    } else if (!is_last) {
        buf_clear(&s->out);
        add_command(s, "RCPT TO:<", load_settings.rcpts[s->n_rcpts_answered]);
        session_say(s, LOAD_RCPT);
    } else if (s->n_rcpts_taken) {
        session_command(s, LOAD_DATA, "DATA");
    } else {
        session_refused(s, true);
    }
}

static void reply_data(struct load_session *s, int code)
{
    if (code == 354) {
        session_body(s);
        return;
    }
    if (!s->refusal)
        s->refusal = code;
    session_refused(s, true);
}

static void reply_body(struct load_session *s, int code)
{
    bool is_early = s->at_iov < s->n_iov;
    if (code / 100 != 2 && !s->dot_refusal)
        s->dot_refusal = code;
    if (is_early && !s->dot_refusal) { /* thanks for something we have not sent */
        load_session_lose(s);
        return;
    }
    if (!is_early && --s->n_dots_due > 0) {
        session_wait(s, LOAD_BODY);
        return;
    }
    if (s->n_rcpts_taken && !s->dot_refusal)
        session_decide(s, "accepted", code);
    else
        session_decide(s, "refused", s->n_rcpts_taken ? s->dot_refusal : s->refusal);
    if (is_early)
        load_session_lose(s); /* the rest of the body would be read as commands */
    else
        load_session_ready(s);
}

/* ---- replies ------------------------------------------------------------------------------- */

static void reply_ehlo(struct load_session *s)
{
    if (load_settings.wants_starttls && !s->stream.ssl) {
        if (!s->offers_starttls)
            bench_die("the server offers no STARTTLS");
        session_command(s, LOAD_STARTTLS, "STARTTLS");
        return;
    }
    s->offers_pipelining = s->offers_pipelining && load_settings.wants_pipelining;
    s->n_done = 0;
    __atomic_add_fetch(&load_n_greeted, 1, __ATOMIC_RELAXED);
    load_session_ready(s);
}

static void session_reply(struct load_session *s, int code)
{
    switch (s->state) {
    case LOAD_BANNER:
        if (code == 220)
            session_greet(s);
        else
            load_session_lose(s);
        return;
    case LOAD_EHLO:
        if (code == 250)
            reply_ehlo(s);
        else
            load_session_lose(s);
        return;
    case LOAD_STARTTLS:
        if (code == 220)
            session_wait(s, LOAD_HANDSHAKE);
        else
            load_session_lose(s);
        return;
    case LOAD_MAIL:
        reply_mail(s, code);
        return;
    case LOAD_RCPT:
        reply_rcpt(s, code);
        return;
    case LOAD_DATA:
        reply_data(s, code);
        return;
    case LOAD_BODY:
        reply_body(s, code);
        return;
    case LOAD_RSET:
        load_session_ready(s);
        return;
    case LOAD_READY: /* a reply nobody asked for: 421 */
    case LOAD_QUIT:
    case LOAD_OFF:
    case LOAD_CONNECT:
    case LOAD_HANDSHAKE:
        load_session_lose(s);
        return;
    }
}

static void ehlo_line(struct load_session *s, struct slice line)
{
    struct slice rest, word = slice_cut(slice_skip(line, 4), ' ', &rest);
    if (slice_ieq(word, SLICE("PIPELINING")))
        s->offers_pipelining = true;
    else if (slice_ieq(word, SLICE("STARTTLS")))
        s->offers_starttls = true;
}

static void session_line(struct load_session *s, struct slice line)
{
    uint64_t code = 0;
    line = slice_trim(line);
    if (line.n < 3 || !slice_u64(slice_of(line.p, 3), 599, &code) || code < 200) {
        load_session_lose(s);
        return;
    }
    if (s->state == LOAD_EHLO)
        ehlo_line(s, line);
    if (line.n == 3 || line.p[3] != '-')
        session_reply(s, (int)code);
}

/* Lines that are complete. A handshake begins at once behind its 220: what follows it in the
 * buffer came in plain text and is thrown away (RFC 3207 section 4.2). */
static void session_lines(struct load_session *s)
{
    uint32_t generation = s->generation;
    size_t at = 0;
    while (s->state != LOAD_HANDSHAKE) {
        char *end = memchr(s->in + at, '\n', s->n_in - at);
        if (!end)
            break;
        struct slice line = slice_of(s->in + at, (size_t)(end - s->in) - at);
        at = (size_t)(end - s->in) + 1;
        session_line(s, line);
        if (s->generation != generation)
            return;
    }
    memmove(s->in, s->in + at, s->n_in - at);
    s->n_in = s->state == LOAD_HANDSHAKE ? 0 : s->n_in - at;
    if (s->n_in == sizeof s->in)
        load_session_lose(s);
}

/* ---- events -------------------------------------------------------------------------------- */

void load_session_open(struct load_session *s)
{
    uint32_t n = load_settings.n_sources;
    in_addr_t from = n ? htonl(load_settings.source_first + s->index % n) : 0;
    s->thread->counts.connects++;
    session_wait(s, LOAD_CONNECT);
    s->stream.fd = bench_dial(&load_settings.to, from);
    if (s->stream.fd < 0) {
        load_session_lose(s);
        return;
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    must(epoll_ctl(s->thread->epoll, EPOLL_CTL_ADD, s->stream.fd, &e) == 0);
}

static void session_handshake(struct load_session *s)
{
    int done = bench_stream_handshake(&s->stream, load_settings.tls, false);
    if (done < 0)
        load_session_lose(s);
    else if (done > 0 && s->state == LOAD_HANDSHAKE)
        session_greet(s);
    else if (done > 0)
        session_wait(s, LOAD_BANNER);
}

static bool session_connected(struct load_session *s)
{
    int why = 0;
    socklen_t n = sizeof why;
    if (getsockopt(s->stream.fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why == 0)
        return true;
    load_session_lose(s);
    return false;
}

/* One read and what it brings; false when nothing more moves. With everything read there is no
 * need to ask once more: the next arrival is a new edge. */
static bool session_receive(struct load_session *s, bool is_hung_up)
{
    uint32_t generation = s->generation;
    size_t room = sizeof s->in - s->n_in;
    ssize_t n = bench_stream_recv(&s->stream, s->in + s->n_in, room);
    if (n < 0)
        load_session_lose(s);
    if (n <= 0)
        return false;
    s->n_in += (size_t)n;
    session_lines(s);
    bool is_drained = !s->stream.ssl && (size_t)n < room && !is_hung_up;
    return s->generation == generation && (!is_drained || s->state == LOAD_HANDSHAKE);
}

void load_session_event(struct load_session *s, bool is_hung_up)
{
    uint32_t generation = s->generation;
    if (s->state == LOAD_CONNECT && !s->stream.ssl) {
        if (!session_connected(s))
            return;
        if (!load_settings.is_tls)
            session_wait(s, LOAD_BANNER);
    }
    for (;;) {
        if (s->state == LOAD_CONNECT || s->state == LOAD_HANDSHAKE)
            session_handshake(s);
        bool is_talking = s->state != LOAD_CONNECT && s->state != LOAD_HANDSHAKE;
        if (s->generation != generation || s->state == LOAD_OFF || !is_talking)
            return;
        session_send(s);
        if (!session_receive(s, is_hung_up))
            return;
    }
}
