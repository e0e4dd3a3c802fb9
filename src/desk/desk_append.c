/* Mail that waited goes straight into the mailboxes (IMAP APPEND) instead of by SMTP, where the
 * plan says so: in the INBOX, with the date at which it came here.
 *
 * To the queue it is a delivery like any other: the attempt is durable before, the result is
 * written after. Only what waited when giving back began, for covered people whose mailboxes can be
 * opened; all else goes by SMTP. What comes for one mailbox while another batch runs shares the
 * next one. The liaison looks for each message first, so that what has no answer can go again. */
#include "desk/desk_mailback_int.h"

#include "mime/mime.h"

#include <stdio.h>

enum {
    TIMEOUT_MS = 300000,
    BATCH_BYTES = 32 << 20, /* a message alone may be larger */
    HEADER_BYTES = 256 << 10,
    ID_BYTES = 998,
    LINK_SECONDS = 60, /* the liaison is away for longer: what waits goes by SMTP */
    REST_MOST_SECONDS = 60,
    TEXT_BYTES = 200,
};

/* A delivery of the queue's. */
struct append_job {
    uint64_t tag, message;
    utc_ms received;
    struct queue_body *body;
    struct arena *arena;
    struct queue_outcome *outcomes;
    size_t n, n_left;
    bool is_sent, has_code;
};
struct append_row {
    struct list node; /* in append_line->waiting */
    struct append_job *job;
    size_t at; /* in job->outcomes */
    uint64_t person;
};
/* One primary: one batch at a time. */
struct append_line {
    struct desk *desk;
    uint64_t primary, tag; /* tag 0: nothing is asked */
    mono_us until, next;   /* next: not before */
    unsigned n_failed;     /* batches in a row of which nothing could be tried */
    struct list waiting;
    struct append_row *asked[MAILBACK_OPS];
    uint32_t n_asked;
    bool is_posted;
};

static void dispatch(void *arg);

/* ---- results ---- */

static void row_over(struct append_row *row, struct continuity_reply reply, struct slice text)
{
    struct append_job *job = row->job;
    struct queue_outcome *o = &job->outcomes[row->at];
    size_t n = text.n < TEXT_BYTES ? text.n : TEXT_BYTES;
    o->reply = reply;
    o->text = arena_copy(job->arena, slice_of(text.p, n));
    job->is_sent |= reply.phase == AT_DOT;
    job->has_code |= reply.code != 0;
    mem_free(&row);
}

static void job_over(struct desk *d, struct append_job *job)
{
    char id[MESSAGE_ID_TEXT];
    struct queue_result result = {.message = job->message,
                                  .remote = SLICE("mailbox by IMAP"),
                                  .is_sent = job->is_sent,
                                  .is_ours = !job->has_code, /* says nothing about its SMTP */
                                  .outcomes = job->outcomes,
                                  .n_outcomes = job->n};
    message_id_text(job->message, id);
    log_event(EV_QUEUE_RESULT, "mid=%s code=%u phase=%s remote=imap text=%s rcpts=%zu", id,
              job->outcomes[0].reply.code, smtp_phase_name(job->outcomes[0].reply.phase),
              log_text(job->outcomes[0].text), job->n);
    (void)queue_result(d->queue, job->tag, &result); /* a late one means nothing */
    desk_late(d);
    queue_body_unref(&job->body);
    arena_destroy(&job->arena);
    mem_free(&job);
}

static void settle_row(struct desk *d, struct append_row *row, struct continuity_reply reply,
                       struct slice text)
{
    struct append_job *job = row->job;
    row_over(row, reply, text);
    if (--job->n_left == 0)
        job_over(d, job);
}

/* As a reply by SMTP would say it: 4xx about the mailbox waits, 5xx about the content is held. */
static struct continuity_reply reply_of(uint8_t result)
{
    switch ((enum ipc_op_result_kind)result) {
    case IPC_OP_DONE:
    case IPC_OP_ALREADY:
        return (struct continuity_reply){.phase = AT_DOT, .code = 250};
    case IPC_OP_AMBIGUOUS:
    case IPC_OP_REFUSED:
        return (struct continuity_reply){
            .phase = AT_DOT, .code = 554, .class = 5, .subject = 6, .detail = 0};
    case IPC_OP_UNSURE:
        return (struct continuity_reply){.phase = AT_DOT};
    case IPC_OP_NOT_TRIED:
    case IPC_OP_WOULD:
    case IPC_OP_ABSENT:
    case IPC_OP_RESULTS:
        break;
    }
    return (struct continuity_reply){.phase = AT_RCPT, .code = 451, .class = 4, .subject = 2};
}

/* A mailbox that cannot be opened, or a server that is away: what waits keeps its place meanwhile,
 * so that a whole backlog does not try in vain. */
static void rest(struct append_line *line, const struct ipc_mailbox_did *did)
{
    bool is_any = !did;
    for (uint32_t i = 0; did && i < did->n_results; i++)
        is_any |= did->results[i].result != IPC_OP_NOT_TRIED;
    line->n_failed = is_any ? 0 : line->n_failed + 1;
    mono_us seconds = 1;
    for (unsigned i = 1; i < line->n_failed && seconds < REST_MOST_SECONDS; i++)
        seconds *= 2;
    line->next = is_any ? 0 : mono_now() + SECONDS(seconds);
}

static void end_batch(struct append_line *line, const struct ipc_mailbox_did *did, bool is_sent,
                      struct slice why)
{
    struct desk *d = line->desk;
    uint32_t n = line->n_asked;
    line->n_asked = 0;
    line->tag = 0;
    rest(line, did);
    for (uint32_t i = 0; i < n; i++) {
        const struct ipc_op_result *r = did ? &did->results[i] : NULL;
        uint8_t unknown = is_sent ? IPC_OP_UNSURE : IPC_OP_NOT_TRIED;
        settle_row(d, line->asked[i], reply_of(r ? r->result : unknown), r ? r->text : why);
    }
}

/* ---- asking ---- */

/* As it stands in the header, with its brackets; empty: none that can be looked for. */
static struct slice id_in(struct slice message)
{
    struct mime_field field;
    message.n = message.n < HEADER_BYTES ? message.n : HEADER_BYTES;
    if (!mime_field_find(message, SLICE("Message-ID"), &field))
        return SLICE("");
    struct slice id = slice_trim(field.value);
    bool is_one = id.n > 2 && id.n <= ID_BYTES && id.p[0] == '<' && id.p[id.n - 1] == '>';
    for (size_t i = 0; i < id.n; i++)
        is_one &= id.p[i] > ' ';
    return is_one ? id : SLICE("");
}

/* Of one mailbox, the oldest first, as many as fit. */
static void choose(struct append_line *line)
{
    size_t bytes = 0;
    uint64_t person = 0;
    line->n_asked = 0;
    LIST_FOREACH (node, &line->waiting) {
        struct append_row *row = container_of(node, struct append_row, node);
        size_t n = row->job->body->n;
        if (person && row->person != person)
            continue;
        if (line->n_asked == MAILBACK_OPS || (bytes > 0 && bytes + n > BATCH_BYTES))
            break;
        person = row->person;
        bytes += n;
        list_remove(&row->node);
        line->asked[line->n_asked++] = row;
    }
}

static bool send_question(struct append_line *line, struct buf *question)
{
    struct queue_body *bodies[MAILBACK_OPS];
    for (uint32_t i = 0; i < line->n_asked; i++)
        bodies[i] = line->asked[i]->job->body;
    return desk_mailbox_do_send(line->desk, line->tag, bodies, line->n_asked, question);
}

static void pack(struct append_line *line, const struct ipc_server *server, struct buf *ret)
{
    struct ipc_mailbox_op ops[MAILBACK_OPS];
    char ids[MAILBACK_OPS][MESSAGE_ID_TEXT];
    struct ipc_server copy = *server;
    for (uint32_t i = 0; i < line->n_asked; i++) {
        const struct append_job *job = line->asked[i]->job;
        message_id_text(job->message, ids[i]);
        ops[i] = (struct ipc_mailbox_op){.what = IPC_OP_APPEND,
                                         .trace = slice_str(ids[i]),
                                         .message_id = id_in(queue_body_slice(job->body)),
                                         .role = IPC_FOLDER_INBOX,
                                         .internal_date = job->received,
                                         .bytes = job->body->n};
    }
    struct ipc_mailbox_do todo = {.primary = line->primary,
                                  .timeout_ms = TIMEOUT_MS,
                                  .server = &copy,
                                  .n_server = 1,
                                  .ops = ops,
                                  .n_ops = line->n_asked};
    ipc_mailbox_do_pack(ret, &todo);
}

static const char *ask(struct append_line *line)
{
    struct desk *d = line->desk;
    const struct directory_person *p = directory_person(d->directory, line->asked[0]->person);
    struct desk_server way;
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    if (!desk_server_of(d, line->primary, p, &way))
        return "the log-in or the person was removed meanwhile";
    pack(line, &way.server, &b);
    line->tag = desk_next_id(d);
    if (b.failed || !send_question(line, &b))
        return "our process that speaks with mailboxes takes nothing more now";
    line->until = mono_now() + MILLISECONDS(2 * TIMEOUT_MS);
    return NULL;
}

static bool is_away(const struct desk *d)
{
    return !d->liaison.link && mono_now() > d->mailbacks->lost + SECONDS(LINK_SECONDS);
}

/* What may not go any more goes back to the queue, which knows when it may. */
static void dispatch(void *arg)
{
    struct append_line *line = arg;
    struct desk *d = line->desk;
    bool must_rest = mono_now() < line->next || (!d->liaison.link && !is_away(d));
    line->is_posted = false;
    while (line->tag == 0 && !list_empty(&line->waiting)) {
        const char *why = desk_mailback_why_not(d, line->primary);
        if (!why && must_rest)
            return; /* they wait here: the tick looks again */
        choose(line);
        if (!why)
            why = d->liaison.link ? ask(line)
                                  : "our process that speaks with mailboxes does not start";
        if (why)
            end_batch(line, NULL, false, slice_str(why));
    }
}

/* ---- from the queue ---- */

static struct append_line *line_of(struct desk *d, uint64_t primary)
{
    struct append_line *line = map_get(d->mailbacks->appends, KEY(primary));
    if (line)
        return line;
    line = mem_new(sizeof(*line));
    line->desk = d;
    line->primary = primary;
    list_init(&line->waiting);
    map_put(d->mailbacks->appends, KEY(primary), line);
    return line;
}

/* A covered person of that primary; 0: somebody else. */
static uint64_t person_of(struct desk *d, struct slice address, uint64_t primary)
{
    struct directory_route route;
    if (desk_judge_rcpt(d, address, 0, &route) != REFUSE_N || !route.person ||
        route.primary != primary || !route.person->facts.is_covered)
        return 0;
    return route.person->id;
}

static bool is_for_mailboxes(struct desk *d, const struct queue_job *job)
{
    const struct dir_plan *plan = job->primary ? directory_plan(d->directory, job->primary) : NULL;
    const struct desk_primary *p = job->primary ? desk_primary(d, job->primary) : NULL;
    if (!plan || !plan->is_return_append || !p || p->p.state != STATE_RETURNING ||
        job->facts->received >= p->p.since || job->body->n > IPC_OP_CONTENT_MAX || is_away(d) ||
        desk_mailback_why_not(d, job->primary))
        return false;
    for (size_t i = 0; i < job->n_rows; i++)
        if (person_of(d, job->rows[i].address, job->primary) == 0)
            return false;
    return true;
}

bool desk_append_deliver(struct desk *d, const struct queue_job *job)
{
    if (!is_for_mailboxes(d, job))
        return false;
    struct append_line *line = line_of(d, job->primary);
    struct append_job *mine = mem_new(sizeof(*mine));
    *mine = (struct append_job){.tag = job->tag,
                                .message = job->facts->id,
                                .received = job->facts->received,
                                .body = queue_body_ref(job->body),
                                .arena = arena_create(4 << 20),
                                .n = job->n_rows,
                                .n_left = job->n_rows};
    mine->outcomes = ARENA_ARRAY(mine->arena, struct queue_outcome, job->n_rows);
    for (size_t i = 0; i < job->n_rows; i++) {
        struct append_row *row = mem_new(sizeof(*row));
        *row = (struct append_row){
            .job = mine, .at = i, .person = person_of(d, job->rows[i].address, job->primary)};
        mine->outcomes[i].rcpt = job->rows[i].rcpt;
        list_append(&line->waiting, &row->node);
    }
    /* Not within this call: the queue may have more for the same mailbox. */
    if (!line->is_posted)
        desk_post(d, dispatch, line);
    line->is_posted = true;
    return true;
}

/* ---- answers ---- */

static struct append_line *asked_by(struct desk *d, uint64_t tag)
{
    size_t at = 0;
    void *value;
    while (map_next(d->mailbacks->appends, &at, NULL, &value))
        if (((struct append_line *)value)->tag == tag && tag != 0)
            return value;
    return NULL;
}

bool desk_append_did(struct desk *d, uint64_t tag, const struct ipc_mailbox_did *did)
{
    struct append_line *line = asked_by(d, tag);
    if (!line)
        return true; /* nobody waits for it any more */
    for (uint32_t i = 0; i < did->n_results; i++)
        if (did->results[i].result >= IPC_OP_RESULTS)
            return false;
    if (did->n_results != line->n_asked || did->primary != line->primary)
        return false;
    end_batch(line, did, true, SLICE(""));
    dispatch(line);
    return true;
}

static void give_up(struct desk *d, mono_us now, const char *why)
{
    size_t at = 0;
    void *value;
    while (map_next(d->mailbacks->appends, &at, NULL, &value)) {
        struct append_line *line = value;
        if (line->tag == 0 || now < line->until)
            continue;
        end_batch(line, NULL, true, slice_str(why));
        dispatch(line);
    }
}

void desk_append_tick(struct desk *d, mono_us now)
{
    size_t at = 0;
    void *value;
    give_up(d, now, "our process that speaks with mailboxes gave no answer");
    while (map_next(d->mailbacks->appends, &at, NULL, &value))
        dispatch(value);
}

void desk_append_lost(struct desk *d)
{
    size_t at = 0;
    void *value;
    d->mailbacks->lost = mono_now();
    while (map_next(d->mailbacks->appends, &at, NULL, &value))
        ((struct append_line *)value)->until = 0;
    give_up(d, 0, "our process that speaks with mailboxes ended in the middle of it");
}

/* ---- life ---- */

static void forget_row(struct append_row *row)
{
    struct append_job *job = row->job;
    mem_free(&row);
    if (--job->n_left > 0)
        return;
    queue_body_unref(&job->body);
    arena_destroy(&job->arena);
    mem_free(&job);
}

void desk_append_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->mailbacks->appends, &at, NULL, &value)) {
        struct append_line *line = value;
        for (uint32_t i = 0; i < line->n_asked; i++)
            forget_row(line->asked[i]);
        for (struct list *node; (node = list_pop(&line->waiting));)
            forget_row(container_of(node, struct append_row, node));
        mem_free(&line);
    }
    map_destroy(&d->mailbacks->appends);
}
