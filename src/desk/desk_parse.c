/* Asking a gate what is in a message, and what a message does to gates.
 *
 * A gate that dies takes all its questions with it, and one of them may be why: each becomes a
 * suspect and is asked once more, alone, of a gate that has no other question. If that one dies too
 * there is no doubt which message it was. So a message costs two gates at most, whatever it holds,
 * and the others lose nothing but time. */
#include "desk/desk_int.h"
#include "desk/desk_parse_int.h"

#include "base/mail.h"

#include <stdio.h>

enum {
    PER_GATE = 4,          /* questions that a gate has at once */
    BYTES_MAX = 256 << 20, /* of all open questions; one alone may be larger */
    DEADLINE_SECONDS = 10, /* of an answer */
    HANGING_SECONDS = 30,  /* of a gate that has not answered: it is started again */
    POISONS_MAX = 1000,    /* messages that gates die of */
    POISON_SECONDS = 3600,
};

struct parse {
    struct list node; /* in waiting or in its gate's list */
    struct desk *desk;
    struct gate *gate; /* NULL: waits */
    uint64_t tag;
    mono_us deadline, asked_at;
    bool is_suspect; /* a gate died while it had this */
    bool is_told;    /* its time was over; the gate is not done with it yet */
    uint8_t what;
    uint64_t message, tenant;
    struct buf want, answer;
    char blob[256];
    struct queue_body *body;
    uint32_t n; /* bytes of it */
    desk_parsed_fn *done;
    void *arg;
};

struct desk_parses {
    struct list waiting;
    struct list asked[GATES_MAX];
    struct list fatal;   /* two gates ended over them */
    struct map *tags;    /* tag -> struct parse that a gate has */
    struct map *poisons; /* message -> mono_us until when */
    uint64_t n_tags;
    size_t n_open;
    uint64_t n_bytes;
    size_t next_gate; /* where to look first */
};

/* ---- the end of a question --------------------------------------------------------------- */

static void tell(struct parse *q, const struct desk_parsed *parsed)
{
    if (q->is_told)
        return;
    q->is_told = true;
    q->done(q->arg, parsed);
}

static void parse_end(struct parse *q)
{
    struct desk_parses *p = q->desk->parses;
    if (q->gate)
        map_del(p->tags, KEY(q->tag));
    list_remove(&q->node);
    p->n_open--;
    p->n_bytes -= q->n;
    buf_finish(&q->want);
    buf_finish(&q->answer);
    queue_body_unref(&q->body);
    mem_free(&q);
}

static void fail(struct parse *q, enum err err, const char *why)
{
    tell(q, &(struct desk_parsed){.err = err, .why = why});
}

/* ---- what gates die of -------------------------------------------------------------------- */

static bool is_poison(struct desk *d, uint64_t message)
{
    mono_us *until = message ? map_get(d->parses->poisons, KEY(message)) : NULL;
    if (!until)
        return false;
    if (*until > mono_now())
        return true;
    map_del(d->parses->poisons, KEY(message));
    mem_free(&until);
    return false;
}

static void note_poison(struct parse *q, const char *happened)
{
    struct desk *d = q->desk;
    struct desk_parses *p = d->parses;
    char id[MESSAGE_ID_TEXT];
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    message_id_text(q->message, id);
    buf_addf(
        &text,
        "%s. It is stored and is given to its primary as it is, but for an hour nobody here is "
        "shown what is in it. Keep a copy of it for the developers.",
        happened);
    desk_event(d, EVENT_ALARM, "message.unreadable", q->tenant,
               slice_str(q->message ? id : "upload"), buf_slice(&text), SLICE("core"));
    if (q->message == 0 || map_size(p->poisons) >= POISONS_MAX || is_poison(d, q->message))
        return;
    mono_us *until = mem_new(sizeof(*until));
    *until = mono_now() + SECONDS(POISON_SECONDS);
    map_put(p->poisons, KEY(q->message), until);
}

/* ---- asking ------------------------------------------------------------------------------- */

static size_t count(const struct list *l)
{
    size_t n = 0;
    for (const struct list *node = l->next; node != l; node = node->next)
        n++;
    return n;
}

static bool has_suspect(const struct list *l)
{
    return l->next != l && container_of(l->next, struct parse, node)->is_suspect;
}

/* A suspect goes alone: nobody stands beside it when it does it again. */
static struct gate *choose_gate(struct desk *d, const struct parse *q)
{
    struct desk_parses *p = d->parses;
    struct gate *best = NULL;
    size_t fewest = q->is_suspect ? 1 : PER_GATE;
    for (size_t i = 0; i < GATES_MAX; i++) {
        size_t at = (p->next_gate + i) % GATES_MAX;
        size_t n = count(&p->asked[at]);
        if (!d->gates[at].link || n >= fewest || has_suspect(&p->asked[at]))
            continue;
        best = &d->gates[at];
        fewest = n;
    }
    p->next_gate = (p->next_gate + 1) % GATES_MAX;
    return best;
}

/* False: the link is as good as gone. */
static bool send_question(struct parse *q)
{
    struct net_link *link = q->gate->link;
    struct slice rest = queue_body_slice(q->body);
    struct ipc_parse ask = {
        .what = q->what, .want = buf_slice(&q->want), .blob = slice_str(q->blob), .bytes = q->n};
    for (; rest.n > 0; rest = slice_skip(rest, IPC_CONTENT_MAX)) {
        struct slice piece = slice_of(rest.p, rest.n < IPC_CONTENT_MAX ? rest.n : IPC_CONTENT_MAX);
        if (net_link_send(link, IPC_T_content, q->tag, piece, SLICE("")) != ERR_OK)
            return false;
    }
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    ipc_parse_pack(&b, &ask);
    return desk_send(link, IPC_T_parse, q->tag, &b);
}

static void give(struct parse *q, struct gate *g)
{
    struct desk_parses *p = q->desk->parses;
    q->gate = g;
    q->tag = ++p->n_tags << 32 | UINT32_MAX; /* ipc_is_parse_tag */
    q->asked_at = mono_now();
    list_remove(&q->node);
    list_append(&p->asked[g->number - 1], &q->node);
    map_put(p->tags, KEY(q->tag), q);
    if (!send_question(q))
        desk_gate_lost(g); /* it does not read: as good as dead */
}

static void pump(struct desk *d)
{
    if (!d->parses)
        return; /* we have stopped */
    LIST_FOREACH (node, &d->parses->waiting) {
        struct parse *q = container_of(node, struct parse, node);
        struct gate *g = choose_gate(d, q);
        if (!g && !q->is_suspect)
            return; /* whoever comes later finds none either */
        if (g) {
            give(q, g);
            node_next = d->parses->waiting.next; /* a lost gate brings its questions back here */
        }
    }
}

static void pump_later(void *arg)
{
    struct desk *d = arg;
    pump(d);
}

enum err desk_parse(struct desk *d, const struct desk_parse_ask *ask, struct errinfo *ei)
{
    struct desk_parses *p = d->parses;
    uint32_t n = ask->body ? ask->body->n : 0;
    if (!p)
        return err_set(ei, ERR_CANCELED, "we are stopping");
    bool is_full = p->n_open >= refuse_row(REFUSE_PARSES)->limit ||
                   (p->n_open > 0 && p->n_bytes + n > BYTES_MAX);
    if (is_poison(d, ask->message))
        return err_set(ei, ERR_CORRUPT, "processes end when they read this message");
    if (is_full) {
        (void)refuse(REFUSE_PARSES, SLICE("core"));
        return err_set(ei, ERR_RETRY, "%s", refuse_row(REFUSE_PARSES)->text);
    }
    struct parse *q = mem_new(sizeof(*q));
    *q = (struct parse){
        .desk = d,
        .what = (uint8_t)ask->what,
        .message = ask->message,
        .tenant = ask->tenant,
        .n = n,
        .done = ask->done,
        .arg = ask->arg,
        .deadline = mono_now() + SECONDS(DEADLINE_SECONDS),
        .want = buf_make(ask->want.n + 1),
        .answer = buf_make(ask->what == IPC_PARSE_TEXT ? IPC_PARSED_TEXT_MAX : IPC_PARSED_MAX)};
    q->body = ask->body ? queue_body_ref(ask->body) : queue_body_create(0, 0);
    buf_adds(&q->want, ask->want);
    snprintf(q->blob, sizeof(q->blob), SLICE_FMT, SLICE_ARG(ask->blob));
    list_init(&q->node);
    list_append(&p->waiting, &q->node);
    p->n_open++;
    p->n_bytes += n;
    desk_post(d, pump_later, d); /* `done` never comes within this call */
    return ERR_OK;
}

/* ---- answers ------------------------------------------------------------------------------ */

/* A question that this gate has; NULL: it speaks about another's, or none. */
static struct parse *find(struct gate *g, uint64_t tag)
{
    struct desk_parses *p = g->desk->parses;
    struct parse *q = p ? map_get(p->tags, KEY(tag)) : NULL;
    return q && q->gate == g ? q : NULL;
}

bool desk_parse_content(struct gate *g, const struct net_frame *f)
{
    struct parse *q = find(g, f->tag);
    if (!q || f->payload.n == 0 || f->payload.n > IPC_CONTENT_MAX)
        return false;
    buf_adds(&q->answer, f->payload);
    return !q->answer.failed;
}

static bool is_sane(const struct parse *q, const struct ipc_parsed *t)
{
    if (t->is_done > 1 || t->is_too_much > 1 || t->bytes != q->answer.n)
        return false;
    if (!t->is_done)
        return t->n_fields == 0 && t->bytes == 0;
    return !t->is_too_much && t->n_fields == (q->what == IPC_PARSE_FIELDS) &&
           (q->what != IPC_PARSE_FIELDS || t->bytes == 0);
}

bool desk_parse_told(struct gate *g, const struct net_frame *f)
{
    struct desk *d = g->desk;
    struct parse *q = find(g, f->tag);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 16);
    struct ipc_parsed t;
    char why[301];
    if (!q || !ipc_parsed_unpack(f->payload, a, &t) || !is_sane(q, &t))
        return false;
    snprintf(why, sizeof(why), SLICE_FMT, SLICE_ARG(t.why));
    struct desk_parsed parsed = {.why = t.is_done ? "" : why, .bytes = buf_slice(&q->answer)};
    parsed.fields = t.n_fields ? t.fields : NULL;
    if (!t.is_done)
        parsed.err = t.is_too_much ? ERR_LIMIT : ERR_INVALID;
    tell(q, &parsed);
    parse_end(q);
    pump(d);
    return true;
}

/* ---- gates that end, time ----------------------------------------------------------------- */

static void give_up(struct parse *q, const char *happened)
{
    note_poison(q, happened);
    fail(q, ERR_CORRUPT, happened);
    parse_end(q);
}

/* Gates that end because the node stops are no evidence: only when one is there again, or when it
 * is too late for an answer, the two that ended are held against the message. */
static void judge_fatal(struct desk_parses *p, mono_us now)
{
    LIST_FOREACH (node, &p->fatal) {
        struct parse *q = container_of(node, struct parse, node);
        if (now == 0 || now >= q->deadline)
            give_up(q, "Two processes ended while they read this message");
    }
}

void desk_parse_gate_up(struct desk *d)
{
    if (d->parses)
        judge_fatal(d->parses, 0);
    pump(d);
}

void desk_parse_gate_lost(struct gate *g)
{
    struct desk *d = g->desk;
    struct desk_parses *p = d->parses;
    bool is_waiting = false;
    if (!p)
        return;
    LIST_FOREACH (node, &p->asked[g->number - 1]) {
        struct parse *q = container_of(node, struct parse, node);
        bool is_second = q->is_suspect; /* and nobody stood beside it */
        if (q->is_told && !is_second) { /* its time was over, nobody wants to know */
            parse_end(q);
            continue;
        }
        map_del(p->tags, KEY(q->tag));
        q->gate = NULL;
        q->is_suspect = true;
        buf_clear(&q->answer);
        list_remove(&q->node);
        list_append(is_second ? &p->fatal : &p->waiting, &q->node);
        is_waiting |= !is_second;
    }
    if (is_waiting)
        desk_post(d, pump_later, d); /* the link is being closed just now */
}

static void tell_late(struct parse *q, mono_us now)
{
    if (now >= q->deadline)
        fail(q, ERR_RETRY,
             q->gate ? "the process that reads it did not answer in time"
                     : "no process could read it in time");
}

/* A gate answers in order: what it has had for so long first of all is what it hangs in. The
 * supervisor starts it anew. */
static void end_if_hanging(struct gate *g, mono_us now)
{
    struct list *asked = &g->desk->parses->asked[g->number - 1];
    if (list_empty(asked))
        return;
    struct parse *q = container_of(asked->next, struct parse, node);
    if (now < q->asked_at + SECONDS(HANGING_SECONDS))
        return;
    give_up(q, "A process that read this message did not come to an end");
    desk_gate_lost(g);
    desk_peer_nonsense(g->desk, IPC_GATE, g->number, "parse");
}

void desk_parse_tick(struct desk *d, mono_us now)
{
    struct desk_parses *p = d->parses;
    LIST_FOREACH (node, &p->waiting) {
        struct parse *q = container_of(node, struct parse, node);
        tell_late(q, now);
        if (q->is_told)
            parse_end(q);
    }
    judge_fatal(p, now);
    for (size_t i = 0; i < GATES_MAX; i++) {
        LIST_FOREACH (node, &p->asked[i])
            tell_late(container_of(node, struct parse, node), now);
        end_if_hanging(&d->gates[i], now);
    }
}

/* ---- life --------------------------------------------------------------------------------- */

void desk_parse_create(struct desk *d)
{
    struct desk_parses *p = mem_new(sizeof(*p));
    list_init(&p->waiting);
    list_init(&p->fatal);
    for (size_t i = 0; i < GATES_MAX; i++)
        list_init(&p->asked[i]);
    p->tags = map_create();
    p->poisons = map_create();
    d->parses = p;
}

static void cancel_all(struct list *l)
{
    LIST_FOREACH (node, l) {
        struct parse *q = container_of(node, struct parse, node);
        fail(q, ERR_CANCELED, "we are stopping");
        parse_end(q);
    }
}

void desk_parse_clear(struct desk *d)
{
    struct desk_parses *p = d->parses;
    size_t at = 0;
    void *value;
    if (!p)
        return;
    cancel_all(&p->waiting);
    cancel_all(&p->fatal);
    for (size_t i = 0; i < GATES_MAX; i++)
        cancel_all(&p->asked[i]);
    while (map_next(p->poisons, &at, NULL, &value))
        mem_free(&value);
    map_destroy(&p->poisons);
    map_destroy(&p->tags);
    mem_free(&d->parses);
}
