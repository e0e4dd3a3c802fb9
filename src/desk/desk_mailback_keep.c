/* How far a mailbox is given back, over restarts: an item of its account, written before messages
 * go out and after each batch. What is on its way when a process ends is looked for by the liaison
 * before it goes again, also when it is gone here by then. */
#include "desk/desk_mailback_int.h"

#include "store/store_account.h"

#include <stdio.h>

enum { BODY_BYTES = 65536, KEEP_ANYWAY = 256 /* numbers of mail that merely came */ };

/* ---- writing ---- */

struct writing {
    struct store_change change;
    struct buf facts;
    struct desk *desk;
    uint64_t tag; /* of the giving, which may be gone */
    enum err err;
};

static void written_on_loop(void *arg)
{
    struct writing *w = arg;
    struct giving *g = map_get(w->desk->mailbacks->givings, KEY(w->tag));
    if (g)
        desk_giving_kept(g, w->err);
    buf_finish(&w->facts);
    mem_free(&w);
}

static void written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct writing *w = change->arg;
    w->err = err;
    desk_post(w->desk, written_on_loop, w);
}

static void pack_body(const struct giving *g, const struct mailback_box *box, bool is_going,
                      struct buf *ret)
{
    struct mailback_item_left left[MAILBACK_LEFT_MAX];
    struct mailback_item_id going[MAILBACK_OPS];
    struct mailback_item body = {.primary = g->primary,
                                 .given = box->given.modseq,
                                 .part_modseq = box->given.part_modseq,
                                 .part_message = box->given.part_message,
                                 .round = box->round,
                                 .time = box->time,
                                 .n_done = box->n_done,
                                 .n_already = box->n_already,
                                 .n_doubtful = box->n_doubtful,
                                 .n_unlisted = box->n_unlisted,
                                 .left = left,
                                 .n_left = box->n_left,
                                 .under_way = going,
                                 .text = slice_str(box->text)};
    for (uint32_t i = 0; i < box->n_left; i++)
        left[i] = (struct mailback_item_left){box->left[i].message, box->left[i].why,
                                              box->left[i].n_tries, slice_str(box->left[i].text)};
    for (size_t i = 0; i < g->n && is_going; i++)
        if (g->changes[i].verdict == MAILBACK_DO && g->changes[i].op.what == IPC_OP_APPEND)
            going[body.n_under_way++].message = g->changes[i].message;
    mailback_item_pack(ret, &body);
}

/* It is over there as it is here. */
static bool is_so(const struct mailback_change *c)
{
    return c->verdict == MAILBACK_DO && (c->result == IPC_OP_DONE || c->result == IPC_OP_ALREADY);
}

/* What the flags are over there as far as we know, for the next time. False: nothing new. */
static bool give_flags(const struct mailback_change *c, struct arena *a, struct record_item *item)
{
    const struct ipc_mailbox_op *op = &c->op;
    SCOPED(buf_finish) struct buf body = buf_make(BODY_BYTES);
    bool is_over = c->was_given && (c->is_forgotten || (c->is_gone && is_so(c)));
    bool is_new = is_so(c) && !c->is_gone &&
                  (op->what == IPC_OP_APPEND || op->n_flags_add + op->n_flags_remove > 0);
    if (!is_over && !is_new)
        return false;
    mailback_given_pack(&body, &c->now);
    must(!body.failed); /* a change that says more is not made */
    item->id = c->message;
    item->kind = ITEM_GIVEN;
    item->is_gone = is_over;
    item->body = is_over ? SLICE("") : arena_copy(a, buf_slice(&body));
    return true;
}

/* The path of a folder as it was given, by the id of the mailbox: what renaming is seen by. */
static bool give_path(const struct giving *g, size_t at, struct arena *a, struct record_item *item)
{
    const struct mailback_change *c = &g->changes[at];
    const struct ipc_mailbox_op *op = &c->op;
    struct mailback_flag parts[MAILBACK_FLAGS];
    SCOPED(buf_finish) struct buf body = buf_make(BODY_BYTES);
    bool is_said = at > 0 && is_so(&g->changes[at - 1]) && g->changes[at - 1].box == c->box;
    if (!is_so(c) || !c->box || op->n_folder == 0 || is_said)
        return false;
    for (uint32_t i = 0; i < op->n_folder; i++)
        parts[i].text = op->folder[i].text;
    mailback_given_pack(&body, &(struct mailback_given){parts, op->n_folder});
    must(!body.failed); /* as many and as long as in the op */
    item->id = c->box;
    item->kind = ITEM_GIVEN;
    item->body = arena_copy(a, buf_slice(&body));
    return true;
}

static void pack_items(const struct giving *g, bool is_going, struct buf *ret)
{
    SCOPED(buf_finish) struct buf body = buf_make(BODY_BYTES);
    SCOPED(arena_destroy) struct arena *a = arena_create(2 * STORE_RECORD_MAX);
    pack_body(g, desk_mailback_box(g->desk, g->person), is_going, &body);
    must(!body.failed); /* 200 reasons of bounded length */
    uint64_t modseq = desk_account_next(g->desk, g->person);
    struct record_item *items = ARENA_ARRAY(a, struct record_item, 2 * g->n + 1);
    struct record_items all = {items, 1};
    items[0] =
        (struct record_item){.kind = ITEM_RETURN, .id = MAILBACK_ITEM, .body = buf_slice(&body)};
    for (size_t i = 0; i < g->n && !is_going; i++) {
        all.n_items += give_flags(&g->changes[i], a, &items[all.n_items]);
        all.n_items += give_path(g, i, a, &items[all.n_items]);
    }
    for (uint32_t i = 0; i < all.n_items; i++) {
        items[i].account = g->person;
        items[i].modseq = modseq;
    }
    record_items_pack(ret, &all);
    must(!ret->failed); /* MAILBACK_PACKED */
}

void desk_mailback_keep(struct giving *g, bool is_going)
{
    struct desk *d = g->desk;
    struct writing *w = mem_new(sizeof(*w));
    *w = (struct writing){.facts = buf_make(STORE_RECORD_MAX), .desk = d, .tag = g->tag};
    pack_items(g, is_going, &w->facts);
    w->change = (struct store_change){
        .type = RECORD_ITEM, .facts = buf_slice(&w->facts), .done = written, .arg = w};
    store_submit(d->store, &w->change);
}

/* ---- what is left ---- */

static void copy_text(char *to, size_t room, struct slice text)
{
    snprintf(to, room, "%.*s", (int)(text.n < room ? text.n : room - 1), text.n ? text.p : "");
}

static struct mailback_left *find_left(struct mailback_box *box, uint64_t message)
{
    for (uint32_t i = 0; i < box->n_left; i++)
        if (box->left[i].message == message)
            return &box->left[i];
    return NULL;
}

/* There must be room for it. */
static void append_left(struct mailback_box *box, uint64_t message, uint8_t why, uint8_t n_tries,
                        struct slice text)
{
    if (!box->left)
        box->left = mem_new(MAILBACK_LEFT_MAX * sizeof(*box->left));
    struct mailback_left *to = &box->left[box->n_left++];
    *to = (struct mailback_left){
        .message = message, .why = why, .n_tries = n_tries, .is_tried = true};
    copy_text(to->text, sizeof(to->text), text);
}

/* The order stays: what was tried stands behind what was not. */
static void drop_left(struct mailback_box *box, uint32_t at)
{
    box->n_left--;
    memmove(&box->left[at], &box->left[at + 1], (box->n_left - at) * sizeof(*box->left));
}

static bool remove_left(struct mailback_box *box, uint64_t message)
{
    struct mailback_left *left = find_left(box, message);
    if (left)
        drop_left(box, (uint32_t)(left - box->left));
    return left != NULL;
}

/* What is left for good makes room for what has still to go. */
static bool make_room(struct mailback_box *box)
{
    for (uint32_t i = 0; i < box->n_left; i++) {
        if (mailback_is_open(box->left[i].why))
            continue;
        drop_left(box, i);
        box->n_unlisted++;
        return true;
    }
    return false;
}

/* False: there is no room for it, and it must not be forgotten. */
static bool add_left(struct mailback_box *box, const struct mailback_change *c)
{
    bool is_open = mailback_is_open((uint8_t)c->why);
    if (box->n_left == MAILBACK_LEFT_MAX && !make_room(box)) {
        box->n_unlisted += !is_open;
        return !is_open;
    }
    append_left(box, c->message, (uint8_t)c->why, c->n_tries, c->text);
    return true;
}

void desk_mailback_doubt(struct mailback_box *box, uint64_t message)
{
    struct mailback_left *left = find_left(box, message);
    box->n_doubtful++;
    if (left)
        left->why = MAILBACK_LATER;
    else if (box->n_left < MAILBACK_LEFT_MAX || make_room(box)) /* look() left room for it */
        append_left(box, message, MAILBACK_LATER, 0, SLICE("no answer came when it went"));
}

/* ---- what became of a batch ---- */

static bool is_removal(const struct ipc_mailbox_op *op)
{
    return op->fate == IPC_FATE_TRASH || op->fate == IPC_FATE_EXPUNGE;
}

/* MAILBACK_NOT: it is as it shall be. */
static enum mailback_why why_left(struct mailback_change *c)
{
    switch ((enum ipc_op_result_kind)c->result) {
    case IPC_OP_DONE:
    case IPC_OP_ALREADY:
        return MAILBACK_NOT;
    case IPC_OP_ABSENT:
        /* What went there as mail may not lie in the mailbox yet. What only an APPEND brings does,
         * or never will: a later look could take the next draft, under the same Message-ID, for it.
         */
        if (c->op.trace.n > 0 && ++c->n_tries < MAILBACK_TRIES)
            return MAILBACK_LATER;
        return is_removal(&c->op) ? MAILBACK_NOT : MAILBACK_ABSENT;
    case IPC_OP_AMBIGUOUS:
        return MAILBACK_AMBIGUOUS;
    case IPC_OP_NOT_TRIED:
        return MAILBACK_LATER;
    case IPC_OP_UNSURE:
    case IPC_OP_WOULD:
        return ++c->n_tries < MAILBACK_TRIES ? MAILBACK_LATER : MAILBACK_REFUSED;
    case IPC_OP_REFUSED:
    case IPC_OP_RESULTS:
        break;
    }
    return MAILBACK_REFUSED;
}

static void count(struct mailback_box *box, const struct mailback_change *c)
{
    bool is_done = c->result == IPC_OP_DONE;
    box->n_done += is_done;
    box->n_already += !is_done;
}

static bool is_same(struct mailback_box *box, const struct mailback_change *c)
{
    struct mailback_left *left = find_left(box, c->message);
    if (left)
        left->is_tried = true;
    return left && c->verdict == MAILBACK_HOLD && left->why == c->why;
}

/* False: there is no room to remember it. */
static bool settle_one(struct mailback_box *box, struct mailback_change *c, bool *is_changed)
{
    if (is_same(box, c))
        return true; /* it waits as before: nothing to write */
    *is_changed |=
        remove_left(box, c->message) || c->verdict != MAILBACK_NOTHING || c->is_forgotten;
    if (c->verdict == MAILBACK_NOTHING)
        return true;
    if (c->verdict == MAILBACK_DO)
        c->why = why_left(c);
    if (c->why != MAILBACK_NOT)
        return add_left(box, c);
    count(box, c);
    return true;
}

bool desk_mailback_settle(struct giving *g)
{
    struct mailback_box *box = desk_mailback_box(g->desk, g->person);
    const struct mailback_line *line = map_get(g->desk->mailbacks->lines, KEY(g->primary));
    struct mailback_mark upto = g->upto;
    bool is_changed = box->is_unkept;
    box->n_settled++;
    /* The episode may have noted the same beginning a moment later. */
    if (g->n_ops > 0 && line && line->round > box->round + 1000) {
        box->round = line->round;
        box->n_done = box->n_already = box->n_doubtful = box->n_unlisted = 0;
    }
    for (size_t i = 0; i < g->n; i++) {
        struct mailback_change *c = &g->changes[i];
        bool is_new = false, is_settled = settle_one(box, c, &is_new);
        is_changed |= is_settled && is_new;
        if (c->why == MAILBACK_LATER && c->result == IPC_OP_ABSENT &&
            c->n_tries <= MAILBACK_SOON_TRIES)
            desk_mailback_soon(g->desk, g->person);
        if (is_settled || c->was_left)
            continue;
        upto = (struct mailback_mark){c->modseq - 1, c->modseq, c->message - 1};
        g->has_more = false; /* it would be the same again: what is left has to end first */
        break;
    }
    box->looked = upto;
    is_changed |= upto.modseq > box->given.modseq + KEEP_ANYWAY;
    if (!is_changed)
        return false;
    box->given = upto;
    box->time = utc_now();
    box->is_unkept = true;
    return true;
}

/* ---- at start ---- */

static bool load_item(void *arg, const struct record_item *item)
{
    struct desk *d = arg;
    struct mailback_item b;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    if (item->is_gone || item->id != MAILBACK_ITEM || !mailback_item_unpack(item->body, a, &b))
        return true;
    struct mailback_box *box = desk_mailback_box(d, item->account);
    box->given = (struct mailback_mark){b.given, b.part_modseq, b.part_message};
    box->looked = box->given;
    box->round = b.round;
    box->time = b.time;
    box->n_done = b.n_done;
    box->n_already = b.n_already;
    box->n_doubtful = b.n_doubtful;
    box->n_unlisted = b.n_unlisted;
    copy_text(box->text, sizeof(box->text), b.text);
    for (uint32_t i = 0; i < b.n_left; i++) {
        const struct mailback_item_left *from = &b.left[i];
        uint8_t why = from->why < MAILBACK_WHYS ? from->why : (uint8_t)MAILBACK_REFUSED;
        append_left(box, from->message, why, from->n_tries, from->text);
    }
    for (uint32_t i = 0; i < b.n_under_way; i++)
        desk_mailback_doubt(box, b.under_way[i].message);
    return true;
}

enum err desk_mailback_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    return store_each_item(reader, 0, ITEM_RETURN, load_item, d, ei);
}
