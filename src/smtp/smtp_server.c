/* The gate's server: listeners, the link to core, the tick that ends what waited too long. */
#include "smtp/smtp_int.h"

#include "base/mail.h"

#include <unistd.h>

enum { FACTS_BYTES = 1 << 20, LINK_SLACK = 64 << 20, ANSWERS_MAX = 5000, OPEN_SECONDS = 5 };

/* ---- to core ---- */

bool smtp_core_send(struct smtp_server *s, enum ipc_type type, uint64_t tag, struct buf *payload)
{
    if (!s->core || payload->failed)
        return false;
    return net_link_send(s->core, type, tag, buf_slice(payload), SLICE("")) == ERR_OK;
}

static void send_answered(struct net_late *late)
{
    struct smtp_server *s = container_of(late, struct smtp_server, answer_late);
    if (s->n_answered == 0)
        return;
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    buf_u32(&b, s->n_answered);
    buf_adds(&b, buf_slice(&s->answered));
    (void)smtp_core_send(s, IPC_T_answered, 0, &b); /* core gone: it will find them unanswered */
    buf_clear(&s->answered);
    s->n_answered = 0;
}

/* Sent at the end of the turn, many together. */
void smtp_answered(struct smtp_server *s, uint64_t message, bool is_written)
{
    struct ipc_answer a = {.message = message, .is_written = is_written};
    ipc_answer_pack(&s->answered, &a);
    if (++s->n_answered == ANSWERS_MAX)
        send_answered(&s->answer_late);
    else
        net_loop_late(s->o.loop, &s->answer_late);
}

static void send_refusals(struct smtp_server *s)
{
    static _Thread_local struct refuse_count counts[REFUSE_N];
    struct ipc_refusal list[REFUSE_N];
    struct ipc_refusals all = {.refusals = list};
    if (!s->core || !refuse_take_counts(counts))
        return;
    for (uint32_t i = 0; i < REFUSE_N; i++)
        if (counts[i].n)
            list[all.n_refusals++] = (struct ipc_refusal){i, counts[i].n, slice_str(counts[i].who)};
    SCOPED(buf_finish) struct buf b = buf_make(1 << 17);
    ipc_refusals_pack(&b, &all);
    (void)smtp_core_send(s, IPC_T_refusals, 0, &b);
}

static void send_highs(struct smtp_server *s)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 14);
    if (s->core && ipc_take_highs(mono_now(), &b))
        (void)smtp_core_send(s, IPC_T_highs, 0, &b);
}

static void send_figures(struct smtp_server *s)
{
    struct ipc_figure list[] = {
        {SLICE("smtp_sessions"), s->n_sessions},
        {SLICE("smtp_bytes_in_flight"), s->bytes_in_flight},
        {SLICE("log_lines_dropped"), log_dropped()},
    };
    struct ipc_figures all = {list, sizeof(list) / sizeof(list[0])};
    SCOPED(buf_finish) struct buf b = buf_make(4096);
    ipc_figures_pack(&b, &all);
    (void)smtp_core_send(s, IPC_T_figures, 0, &b);
}

/* ---- from core ---- */

/* A gate that has just started lets peers wait for core's first word (their connections stay in the
 * listener's queue, or another gate takes them) instead of refusing mail that it could take a
 * moment later; but not for long. */
static void open_listeners(struct smtp_server *s)
{
    if (s->is_open || s->is_stopping)
        return;
    s->is_open = true;
    for (size_t i = 0; i < s->n_listenings; i++)
        net_listener_pause(s->listenings[i].listener, false);
}

/* 1 + an id that has words for a peer of SMTP, or 0 for none. */
static bool is_refusal(uint32_t refusal)
{
    if (refusal == 0)
        return true;
    if (refusal > REFUSE_N)
        return false;
    const char *code = refuse_row(refusal - 1)->code;
    return (code[0] == '4' || code[0] == '5') && strlen(code) > 4;
}

static bool take_facts(struct smtp_server *s, struct slice payload)
{
    struct ipc_facts facts;
    if (payload.n > FACTS_BYTES)
        return false;
    struct arena *arena = arena_create(2 * FACTS_BYTES);
    if (!ipc_facts_unpack(arena_copy(arena, payload), arena, &facts) ||
        !is_refusal(facts.refusal)) {
        arena_destroy(&arena);
        return false;
    }
    if (!s->has_facts || facts.generation != s->facts.generation)
        smtp_known_clear(s);
    arena_destroy(&s->facts_arena);
    s->facts_arena = arena;
    s->facts = facts;
    s->has_facts = true;
    s->n_facts = s->n_facts == UINT32_MAX ? 1 : s->n_facts + 1;
    open_listeners(s);
    return true;
}

static bool take_rcpt_told(struct smtp_server *s, const struct net_frame *f)
{
    struct ipc_rcpt_told told;
    if (!ipc_rcpt_told_unpack(f->payload, NULL, &told) || !is_refusal(told.refusal))
        return false;
    struct smtp_session *x = smtp_session_find(s, f->tag);
    if (x && x->state == SMTP_ASKING)
        smtp_rcpt_told(x, &told);
    return true;
}

static bool take_taken(struct smtp_server *s, const struct net_frame *f)
{
    struct ipc_taken taken;
    if (!ipc_taken_unpack(f->payload, NULL, &taken) || !is_refusal(taken.refusal) ||
        (taken.refusal == 0 && taken.message == 0) ||
        (taken.code && (taken.code < 500 || taken.code > 599)))
        return false; /* only a final refusal by the primary is passed through */
    struct smtp_session *x = smtp_session_find(s, f->tag);
    if (x && x->state == SMTP_TAKING)
        smtp_taken(x, &taken);
    else if (taken.refusal == 0)
        smtp_answered(s, taken.message, false); /* the client left: it does not know */
    return true;
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct smtp_server *s = arg;
    bool is_good = false;
    if (f->fd >= 0)
        (void)close(f->fd); /* core never sends one */
    else if (ipc_may_send(f->type, IPC_CORE, IPC_GATE) && f->type == IPC_T_facts)
        is_good = take_facts(s, f->payload);
    else if (f->type == IPC_T_rcpt_told)
        is_good = take_rcpt_told(s, f);
    else if (f->type == IPC_T_taken)
        is_good = take_taken(s, f);
    else if (f->type == IPC_T_content)
        is_good = smtp_parse_content(s->parser, f);
    else if (f->type == IPC_T_parse)
        is_good = smtp_parse_ask(s->parser, f);
    if (!is_good) {
        s->o.nonsense(s->o.arg, ipc_type_name(f->type));
        smtp_core_lost(s);
    }
}

static void on_core_closed(void *arg, struct net_link *)
{
    smtp_core_lost(arg);
}

/* Whoever waited for core gets a temporary refusal. The message may be durable all the same: core
 * finds out at its recovery that it has no answer, and the ledger says so. */
void smtp_core_lost(struct smtp_server *s)
{
    if (!s->core)
        return;
    net_link_close(&s->core);
    smtp_parse_core_lost(s->parser);
    s->has_facts = false;
    log_event(EV_CORE_AWAY, "sessions=%zu", s->n_sessions);
    LIST_FOREACH (node, &s->sessions) {
        struct smtp_session *x = container_of(node, struct smtp_session, node);
        if (x->state != SMTP_ASKING && x->state != SMTP_TAKING)
            continue;
        smtp_transaction_destroy(x);
        smtp_session_enter(x, SMTP_READY);
        smtp_refuse(x, REFUSE_NO_CORE);
    }
}

void smtp_server_core(struct smtp_server *s, int link_fd)
{
    smtp_core_lost(s);
    s->core_room = s->o.limits.bytes_in_flight + LINK_SLACK;
    struct net_link_options o = {
        .frame_max = IPC_LIST_FRAME_MAX,
        .queue_max = s->core_room,
        .frame = on_frame,
        .closed = on_core_closed,
        .arg = s,
    };
    s->core = net_link_open(s->o.loop, link_fd, &o);
    log_event(EV_CORE_BACK, "sessions=%zu", s->n_sessions);
}

/* ---- time ---- */

/* Why a session ends now; REFUSE_N: it goes on. */
static enum refuse_id overdue(const struct smtp_session *x, mono_us now)
{
    const struct smtp_server *s = x->server;
    bool is_between = x->state == SMTP_HELLO || x->state == SMTP_READY;
    if (s->is_stopping && (is_between || now >= s->stop_at))
        return REFUSE_STOPPING; /* who is in a message may finish it while there is time */
    if (now <= x->deadline)
        return REFUSE_N;
    bool is_ours = x->state == SMTP_ASKING || x->state == SMTP_CHECKING || x->state == SMTP_TAKING;
    return is_ours ? REFUSE_NO_CORE : REFUSE_TIMEOUT;
}

static void on_tick(void *arg)
{
    struct smtp_server *s = arg;
    mono_us now = mono_now();
    if (now >= s->open_at)
        open_listeners(s);
    LIST_FOREACH (node, &s->sessions) {
        struct smtp_session *x = container_of(node, struct smtp_session, node);
        enum refuse_id refusal = overdue(x, now);
        if (refusal == REFUSE_N)
            continue;
        smtp_refuse(x, refusal);
        smtp_session_end(x); /* a message that core takes all the same is reported as unanswered */
    }
    send_refusals(s);
    send_highs(s);
    send_figures(s);
    net_timer_set(s->tick, s->is_stopping ? MILLISECONDS(50) : SECONDS(1));
    if (!s->is_stopping || !s->stopped || s->n_sessions > 0)
        return;
    void (*stopped)(void *) = s->stopped;
    s->stopped = NULL;
    stopped(s->stopped_arg); /* it may destroy the server */
}

/* ---- the server ---- */

struct smtp_server *smtp_server_create(const struct smtp_options *o)
{
    struct smtp_server *s = mem_new(sizeof(*s));
    s->o = *o;
    s->open_at = mono_now() + SECONDS(OPEN_SECONDS);
    list_init(&s->sessions);
    list_init(&s->answer_late.node);
    s->answer_late.fn = send_answered;
    s->answered = buf_make(IPC_LIST_FRAME_MAX - 4);
    s->known = map_create();
    s->limiter = smtp_limiter_create(o->shared, o->number);
    if (o->resolve)
        s->checker = smtp_checker_create(s);
    s->parser = smtp_parser_create(s);
    s->tick = net_timer_create(o->loop, on_tick, s);
    net_timer_set(s->tick, SECONDS(1));
    return s;
}

void smtp_server_destroy(struct smtp_server **server)
{
    struct smtp_server *s = *server;
    if (!s)
        return;
    smtp_checker_destroy(&s->checker);
    smtp_parser_destroy(&s->parser);
    LIST_FOREACH (node, &s->sessions)
        smtp_session_end(container_of(node, struct smtp_session, node));
    for (size_t i = 0; i < s->n_listenings; i++)
        net_listener_destroy(&s->listenings[i].listener);
    net_link_close(&s->core);
    net_timer_destroy(&s->tick);
    list_remove(&s->answer_late.node);
    smtp_known_clear(s);
    map_destroy(&s->known);
    arena_destroy(&s->facts_arena);
    smtp_limiter_destroy(&s->limiter);
    net_tls_unref(&s->tls);
    buf_finish(&s->answered);
    mem_free(&s->slots);
    mem_free(server);
}

void smtp_server_tls(struct smtp_server *s, struct net_tls *tls)
{
    net_tls_unref(&s->tls);
    s->tls = tls ? net_tls_ref(tls) : NULL;
}

void smtp_server_limits(struct smtp_server *s, const struct smtp_limits *limits)
{
    s->o.limits = *limits;
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
    struct smtp_listening *l = arg;
    smtp_session_create(l->server, fd, &l->port, peer);
}

void smtp_server_listen(struct smtp_server *s, int listener_fd, const struct smtp_port *port)
{
    must(s->n_listenings < sizeof(s->listenings) / sizeof(s->listenings[0]));
    struct smtp_listening *l = &s->listenings[s->n_listenings++];
    l->server = s;
    l->port = *port;
    l->listener = net_listener_create(s->o.loop, listener_fd, on_accept, l);
    net_listener_pause(l->listener, !s->is_open);
}

void smtp_server_port(struct smtp_server *s, size_t i, const struct smtp_port *port)
{
    must(i < s->n_listenings);
    s->listenings[i].port = *port;
}

void smtp_server_stop(struct smtp_server *s, mono_us within, void (*done)(void *arg), void *arg)
{
    s->is_stopping = true;
    s->stopped = done;
    s->stopped_arg = arg;
    s->stop_at = mono_now() + within;
    for (size_t i = 0; i < s->n_listenings; i++)
        net_listener_pause(s->listenings[i].listener, true);
    net_timer_set(s->tick, 0);
}

size_t smtp_server_sessions(const struct smtp_server *s)
{
    return s->n_sessions;
}
