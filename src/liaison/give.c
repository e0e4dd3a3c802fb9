/* A batch of changes for one mailbox: connect, look for all, make each as it shall be. */
#include "liaison/give_int.h"

#include "liaison/token_int.h"

#include <stdio.h>

enum { TIMEOUT_MOST_MS = 3600000, PAUSE_MS = 1000 };

/* ---- results --------------------------------------------------------------------------------- */

/* Without control characters, and without half a character at the end where it was cut. */
static void clean(char *text)
{
    size_t n = strlen(text), from = n;
    while (from > 0 && ((unsigned char)text[from - 1] & 0xc0) == 0x80)
        from--;
    if (from > 0) {
        unsigned char first = (unsigned char)text[from - 1];
        size_t wants = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
        if (n - from + 1 < wants)
            text[from - 1] = '\0';
    }
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            *c = ' ';
}

void give_settle(struct give_op *o, enum ipc_op_result_kind result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(o->text, sizeof(o->text), format, args);
    va_end(args);
    clean(o->text);
    o->result = result;
}

void give_settle_broken(const struct give *g, struct give_op *o)
{
    give_settle(o, g->was_said || o->is_changed ? IPC_OP_UNSURE : IPC_OP_NOT_TRIED, "%s",
                g->end.text);
}

void give_settle_at(const struct give *g, struct give_op *o, int place, uint32_t uid)
{
    (void)snprintf(o->folder, sizeof(o->folder), SLICE_FMT, SLICE_ARG(g->places.list[place].path));
    clean(o->folder);
    o->uid = uid;
}

void give_note(struct give_op *o, const char *format, ...)
{
    size_t n = strlen(o->text);
    va_list args;
    va_start(args, format);
    if (n > 0 && n + 3 < sizeof(o->text))
        n += (size_t)snprintf(o->text + n, sizeof(o->text) - n, "; ");
    (void)vsnprintf(o->text + n, sizeof(o->text) - n, format, args);
    va_end(args);
    clean(o->text);
}

/* ---- the batch ---------------------------------------------------------------------------------
 */

static void prepare(struct give *g)
{
    struct slice rest = g->content;
    g->n_ops = g->todo->n_ops;
    g->ops = mem_new((g->n_ops ? g->n_ops : 1) * sizeof(*g->ops));
    g->selected = GIVE_NOWHERE;
    for (size_t i = 0; i < g->n_ops; i++) {
        struct give_op *o = &g->ops[i];
        o->op = &g->todo->ops[i];
        if (o->op->what != IPC_OP_APPEND)
            continue;
        o->content = slice_of(rest.p, o->op->bytes < rest.n ? o->op->bytes : rest.n);
        rest = slice_skip(rest, o->content.n);
    }
}

/* Something was done to this very message since it was looked for. */
static bool must_look_again(const struct give *g, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (g->ops[i].is_changed && give_is_same(g->ops[i].op, g->ops[at].op))
            return true;
    return false;
}

static void do_one(struct give *g, size_t at)
{
    struct give_op *o = &g->ops[at];
    if (must_look_again(g, at) && !give_find(g, &o, 1))
        return;
    switch ((enum ipc_op)o->op->what) {
    case IPC_OP_APPEND:
        give_append(g, o);
        break;
    case IPC_OP_SET:
        give_set(g, o);
        break;
    }
}

static bool find_all(struct give *g)
{
    struct give_op *all[GIVE_OPS_MAX];
    for (size_t i = 0; i < g->n_ops; i++)
        all[i] = &g->ops[i];
    return give_find(g, all, g->n_ops);
}

static void conclude(struct give *g)
{
    size_t n_done = 0;
    for (size_t i = 0; i < g->n_ops; i++) {
        struct give_op *o = &g->ops[i];
        if (o->result == IPC_OP_NOT_TRIED && !o->text[0])
            give_settle(o, IPC_OP_NOT_TRIED, "%s", g->end.text[0] ? g->end.text : "not come to");
        n_done += o->result == IPC_OP_DONE || o->result == IPC_OP_ALREADY;
    }
    if (!g->is_over)
        mailbox_end_words(&g->end, IPC_STEP_PUT, "%zu of %zu are as they shall be", n_done,
                          g->n_ops);
}

void give_run(struct give *g)
{
    must(g->todo->n_ops <= GIVE_OPS_MAX);
    prepare(g);
    bool is_found = give_connect(g) && give_places_load(g) && find_all(g);
    for (size_t i = 0; is_found && !g->is_over && i < g->n_ops; i++)
        do_one(g, i);
    conclude(g);
    mailbox_close(&g->m);
}

void give_finish(struct give *g)
{
    mailbox_close(&g->m);
    arena_destroy(&g->places.arena);
    mem_free(&g->places.list);
    mem_free(&g->ops);
}

void give_told(const struct give *g, struct ipc_mailbox_did *ret, struct ipc_op_result *results)
{
    for (size_t i = 0; i < g->n_ops; i++) {
        const struct give_op *o = &g->ops[i];
        results[i] = (struct ipc_op_result){.result = (uint8_t)o->result,
                                            .folder = slice_str(o->folder),
                                            .uid = o->uid,
                                            .text = slice_str(o->text)};
    }
    ret->primary = g->todo->primary;
    ret->is_ours = g->is_over && g->end.is_ours;
    ret->step = (uint8_t)g->end.step;
    ret->text = slice_str(g->end.text);
    ret->results = results;
    ret->n_results = (uint32_t)g->n_ops;
}

/* ---- as a work --------------------------------------------------------------------------------
 */

static bool is_good(const struct ipc_mailbox_op *op)
{
    bool is_known = op->what == IPC_OP_APPEND || op->what == IPC_OP_SET;
    return is_known && op->role < IPC_FOLDER_ROLES && op->from_role < IPC_FOLDER_ROLES &&
           op->fate <= IPC_FATE_EXPUNGE;
}

static bool unpack(struct liaison_work *w)
{
    struct ipc_mailbox_do *d = &w->todo;
    uint64_t bytes = 0;
    if (!ipc_mailbox_do_unpack(buf_slice(&w->payload), w->arena, d) || d->n_server != 1)
        return false;
    for (uint32_t i = 0; i < d->n_ops; i++) {
        if (!is_good(&d->ops[i]))
            return false;
        bytes += d->ops[i].what == IPC_OP_APPEND ? d->ops[i].bytes : 0;
    }
    w->primary = d->primary;
    w->content_bytes = bytes;
    w->may_lack_content = d->is_dry;
    return bytes <= IPC_OP_CONTENT_MAX;
}

static struct mailbox *open_first(struct give *g, struct mailbox_end *end)
{
    return mailbox_enter(g->open_arg, g->deadline, &g->cert_until, end);
}

static void run(const struct courier_network *network, const struct liaison_work *w,
                struct buf *ret)
{
    mono_us begun = mono_now(), timeout = liaison_timeout(w->todo.timeout_ms, TIMEOUT_MOST_MS);
    struct courier_network net = liaison_hurried(network, timeout);
    struct ipc_op_result *results = mem_new(GIVE_OPS_MAX * sizeof(*results));
    struct ipc_mailbox_did did = {};
    struct mailbox_way way = {
        .net = &net, .server = &w->todo.server[0], .tokens = w->tokens, .primary = w->primary};
    struct give g = {.net = &net,
                     .todo = &w->todo,
                     .content = buf_slice(&w->content),
                     .deadline = begun + timeout,
                     .open = open_first,
                     .open_arg = &way,
                     .pause = MILLISECONDS(PAUSE_MS)};
    give_run(&g);
    give_told(&g, &did, results);
    did.took_ms = (uint32_t)((mono_now() - begun) / 1000);
    ipc_mailbox_did_pack(ret, &did);
    give_finish(&g);
    mailbox_way_finish(&way);
    mem_free(&results);
}

static void decline(const struct liaison_work *w, const char *why, struct buf *ret)
{
    struct ipc_op_result *results = mem_new(GIVE_OPS_MAX * sizeof(*results));
    struct ipc_mailbox_did did = {.primary = w->primary,
                                  .is_ours = 1,
                                  .text = slice_str(why),
                                  .results = results,
                                  .n_results = w->todo.n_ops};
    for (uint32_t i = 0; i < w->todo.n_ops; i++)
        results[i].text = slice_str(why);
    ipc_mailbox_did_pack(ret, &did);
    mem_free(&results);
}

const struct liaison_kind liaison_do_kind = {
    IPC_T_mailbox_do, IPC_T_mailbox_did, LIAISON_RETURNS, unpack, run, decline,
};
