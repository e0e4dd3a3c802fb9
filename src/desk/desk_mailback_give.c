/* One batch of changes of one mailbox: looked at, noted, asked of the liaison, written down.
 *
 * The note goes before: a message that is appended may be over there although nobody of us lives to
 * hear it, and then it is known which ones. No answer is no harm: everything is asked again, and
 * the liaison looks for each message first. */
#include "desk/desk_mailback_int.h"

#include <stdio.h>

enum { TIMEOUT_MS = 300000, ANSWER_BYTES = 4 << 20, ARENA_BYTES = 8 << 20, FRAME_HEAD = 16 };

/* ---- life ---- */

static void looked(struct worker_job *job);

/* Batches that follow each other at once are one turn, in which each is tried once. */
static void begin_turn(struct mailback_box *box)
{
    for (uint32_t i = 0; i < box->n_left; i++)
        box->left[i].is_tried &= box->is_going_on;
    box->is_going_on = false;
}

struct giving *desk_giving_begin(struct desk *d, enum giving_what what, uint64_t person,
                                 uint64_t primary)
{
    struct mailback_box *box = desk_mailback_box(d, person);
    struct giving *g = mem_new(sizeof(*g));
    *g = (struct giving){.desk = d,
                         .what = what,
                         .tag = desk_next_id(d),
                         .person = person,
                         .primary = primary,
                         .n_settled = box->n_settled,
                         .since = box->looked,
                         .is_all_left = what == GIVING_CHANGES && box->is_wanted,
                         .n_left = box->n_left};
    if (what == GIVING_CHANGES)
        begin_turn(box);
    if (box->n_left)
        memcpy(g->left, box->left, box->n_left * sizeof(*box->left));
    map_put(d->mailbacks->givings, KEY(g->tag), g);
    g->job.work = desk_mailback_look;
    g->job.finish = looked;
    desk_work(d, &g->job);
    return g;
}

void desk_giving_destroy(struct giving *g)
{
    (void)map_del(g->desk->mailbacks->givings, KEY(g->tag));
    for (size_t i = 0; i < g->n; i++)
        queue_body_unref(&g->changes[i].body);
    mem_free(&g->changes);
    arena_destroy(&g->arena);
    mem_free(&g);
}

static void fail_words(struct giving *g, bool is_ours, const char *why)
{
    g->is_ours = is_ours;
    snprintf(g->text, sizeof(g->text), "%.199s", why);
    g->over(g, g->text);
}

/* ---- asking ---- */

static bool send_body(struct net_link *link, uint64_t tag, struct slice bytes)
{
    while (bytes.n > 0) {
        size_t n = bytes.n < IPC_CONTENT_MAX ? bytes.n : IPC_CONTENT_MAX;
        if (net_link_send(link, IPC_T_content, tag, slice_of(bytes.p, n), SLICE("")) != ERR_OK)
            return false;
        bytes = slice_skip(bytes, n);
    }
    return true;
}

bool desk_mailbox_do_send(struct desk *d, uint64_t tag, struct queue_body *const *bodies, size_t n,
                          struct buf *question)
{
    struct net_link *link = d->liaison.link;
    size_t bytes = question->n, heads = 1;
    for (size_t i = 0; i < n; i++) {
        bytes += bodies[i]->n;
        heads += bodies[i]->n / IPC_CONTENT_MAX + 1;
    }
    if (net_link_queued(link) + bytes + heads * FRAME_HEAD > DESK_LINK_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!send_body(link, tag, queue_body_slice(bodies[i])))
            return false;
    return desk_send(link, IPC_T_mailbox_do, tag, question);
}

static void pack_question(struct giving *g, struct desk_server *way, struct buf *ret)
{
    struct ipc_mailbox_op ops[MAILBACK_OPS];
    struct ipc_mailbox_do todo = {.primary = g->primary,
                                  .timeout_ms = TIMEOUT_MS,
                                  .server = &way->server,
                                  .n_server = 1,
                                  .is_dry = g->what == GIVING_DRY,
                                  .ops = ops};
    for (size_t i = 0; i < g->n; i++)
        if (g->changes[i].verdict == MAILBACK_DO)
            ops[todo.n_ops++] = g->changes[i].op;
    ipc_mailbox_do_pack(ret, &todo);
}

static bool send_question(struct giving *g, struct buf *question)
{
    struct queue_body *bodies[MAILBACK_OPS];
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        if (g->changes[i].verdict == MAILBACK_DO && g->changes[i].body)
            bodies[n++] = g->changes[i].body;
    return desk_mailbox_do_send(g->desk, g->tag, bodies, n, question);
}

static void ask(struct giving *g)
{
    struct desk *d = g->desk;
    struct desk_server way;
    const struct directory_person *p = directory_person(d->directory, g->person);
    if (!desk_server_of(d, g->primary, p, &way)) {
        fail_words(g, false,
                   desk_server_is_known(d, g->primary, p)
                       ? "the log-in for this mailbox is longer than any server takes"
                       : DESK_NO_LOGIN);
        return;
    }
    if (!d->liaison.link) {
        fail_words(g, true, "our process that speaks with mailboxes is starting again");
        return;
    }
    SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
    pack_question(g, &way, &b);
    if (b.failed) {
        fail_words(g, false, "the log-in for this mailbox is longer than any server takes");
        return;
    }
    if (!send_question(g, &b)) {
        fail_words(g, true, "our process that speaks with mailboxes takes nothing more now");
        return;
    }
    g->phase = GIVING_ASKING;
    g->until = mono_now() + MILLISECONDS(2 * TIMEOUT_MS);
}

/* ---- from step to step ---- */

static void settle(struct giving *g)
{
    if (!desk_mailback_settle(g)) {
        g->over(g, NULL);
        return;
    }
    g->phase = GIVING_KEEPING;
    desk_mailback_keep(g, false);
}

static void go_on(struct giving *g)
{
    const char *why_not = desk_mailback_why_not(g->desk, g->primary);
    if (g->n_ops == 0) {
        settle(g);
    } else if (why_not) {
        fail_words(g, true, why_not);
    } else if (g->n_appends > 0) {
        g->phase = GIVING_NOTING;
        desk_mailback_keep(g, true);
    } else {
        ask(g);
    }
}

static void looked(struct worker_job *job)
{
    struct giving *g = container_of(job, struct giving, job);
    if (g->desk->is_stopping)
        fail_words(g, true, "this node is stopping");
    else if (g->err != ERR_OK)
        fail_words(g, g->err != ERR_GONE, g->ei.text);
    else if (g->what == GIVING_LOOK || (g->what == GIVING_DRY && g->n_ops == 0))
        g->over(g, NULL);
    else if (g->what == GIVING_DRY)
        ask(g);
    else
        go_on(g);
}

void desk_giving_kept(struct giving *g, enum err err)
{
    bool is_noted = g->phase == GIVING_NOTING;
    struct mailback_box *box = desk_mailback_box(g->desk, g->person);
    if (g->phase != GIVING_NOTING && g->phase != GIVING_KEEPING)
        return;
    if (err != ERR_OK)
        fail_words(g, true, "the disk refused to write down how far it is");
    else if (g->desk->is_stopping)
        fail_words(g, true, "this node is stopping");
    else if (is_noted)
        ask(g);
    else {
        box->is_unkept = false;
        g->over(g, NULL);
    }
}

/* ---- answers ---- */

/* False: nonsense. */
static bool take_results(struct giving *g, const struct ipc_mailbox_did *did, bool *ret_is_any)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < did->n_results; i++)
        if (did->results[i].result >= IPC_OP_RESULTS)
            return false;
    if (did->n_results != g->n_ops || did->step >= IPC_STEP_N || did->primary != g->primary)
        return false;
    for (size_t i = 0; i < g->n; i++) {
        struct mailback_change *c = &g->changes[i];
        if (c->verdict != MAILBACK_DO)
            continue;
        const struct ipc_op_result *r = &did->results[at++];
        c->result = r->result;
        c->folder = arena_copy(g->arena, r->folder);
        c->text = arena_copy(g->arena, r->text);
        *ret_is_any |= r->result != IPC_OP_NOT_TRIED;
    }
    return true;
}

static void answered(struct giving *g, const struct ipc_mailbox_did *did, bool is_any)
{
    char why[MAILBACK_WORDS];
    g->step = did->step;
    if (!is_any) {
        snprintf(why, sizeof(why), "at %s: %.*s", ipc_look_step_name(did->step),
                 (int)(did->text.n < 160 ? did->text.n : 160), did->text.n ? did->text.p : "");
        fail_words(g, did->is_ours, why);
    } else if (g->what == GIVING_DRY) {
        g->over(g, NULL);
    } else {
        settle(g);
    }
}

bool desk_mailback_did(struct desk *d, struct net_frame *f)
{
    struct giving *g = map_get(d->mailbacks->givings, KEY(f->tag));
    SCOPED(arena_destroy) struct arena *a = arena_create(ARENA_BYTES);
    struct ipc_mailbox_did did;
    bool is_any = false;
    if (f->payload.n > ANSWER_BYTES || !ipc_mailbox_did_unpack(f->payload, a, &did))
        return false;
    if (!g)
        return desk_append_did(d, f->tag, &did);
    if (g->phase != GIVING_ASKING)
        return true; /* nobody waits for it any more */
    if (!take_results(g, &did, &is_any))
        return false;
    answered(g, &did, is_any);
    return true;
}

/* ---- answers that do not come ---- */

static struct giving *first_over(struct desk *d, mono_us now)
{
    size_t at = 0;
    void *value;
    while (map_next(d->mailbacks->givings, &at, NULL, &value)) {
        struct giving *g = value;
        if (g->phase == GIVING_ASKING && now >= g->until)
            return g;
    }
    return NULL;
}

static void doubt_appends(const struct giving *g)
{
    struct mailback_box *box = desk_mailback_box(g->desk, g->person);
    for (size_t i = 0; i < g->n; i++)
        if (g->changes[i].verdict == MAILBACK_DO && g->changes[i].op.what == IPC_OP_APPEND)
            desk_mailback_doubt(box, g->changes[i].message);
    box->is_unkept = true;
}

static void give_up(struct desk *d, mono_us now, const char *why)
{
    for (struct giving *g; (g = first_over(d, now));) {
        if (g->what == GIVING_CHANGES && g->n_appends > 0)
            doubt_appends(g);
        fail_words(g, true, why);
    }
}

void desk_giving_tick(struct desk *d, mono_us now)
{
    give_up(d, now, "our process that speaks with mailboxes gave no answer");
}

void desk_mailback_lost(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->mailbacks->givings, &at, NULL, &value))
        ((struct giving *)value)->until = 0;
    give_up(d, 0, "our process that speaks with mailboxes ended in the middle of it");
    desk_append_lost(d);
}
