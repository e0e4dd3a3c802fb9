/* What people changed in a mailbox since it was given back last, as what the liaison is asked to
 * do. On a worker.
 *
 * A message that passed through us lies over there already, or will when it is delivered: its flags
 * and its place are changed. One that was made here (a draft, a sent copy, an import) is appended.
 * What rules of ours did (retention, a mailbox that was taken away) is nobody's wish and goes
 * nowhere. */
#include "desk/desk_mailback_int.h"

#include "store/store_account.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_BYTES = 64 << 20,
    SCRATCH_BYTES = 8 << 20,
    OP_BYTES = 64 << 10,
    FOLDER_PARTS = 10, /* as in ipc_mailbox_op, like the next two */
    FLAGS_MAX = MAILBACK_FLAGS,
    PART_BYTES = 255,
    BOXES_MAX = 20000,
};

/* ---- mailboxes of the account ---- */

struct boxes {
    struct arena *arena;
    struct map *by_id;   /* struct record_mailbox */
    struct map *renamed; /* id -> uint64_t: modseq since when it has another path than was given */
};

static bool keep_box(void *arg, const struct record_mailbox *m)
{
    struct boxes *b = arg;
    struct record_mailbox *copy = ARENA_NEW(b->arena, struct record_mailbox);
    *copy = *m;
    copy->name = arena_copy(b->arena, m->name);
    copy->role = arena_copy(b->arena, m->role);
    map_put(b->by_id, KEY(copy->id), copy);
    return map_size(b->by_id) < BOXES_MAX;
}

static uint8_t role_of(const struct record_mailbox *m)
{
    static const struct {
        const char *name;
        uint8_t role;
    } roles[] = {{"inbox", IPC_FOLDER_INBOX},   {"sent", IPC_FOLDER_SENT},
                 {"drafts", IPC_FOLDER_DRAFTS}, {"trash", IPC_FOLDER_TRASH},
                 {"junk", IPC_FOLDER_JUNK},     {"archive", IPC_FOLDER_ARCHIVE}};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (slice_eq(m->role, slice_str(roles[i].name)))
            return roles[i].role;
    return IPC_FOLDER_NONE;
}

/* Where that mailbox is over there: what it is for, else its path. False: it cannot be said. */
static bool name_folder(const struct boxes *b, uint64_t id, uint8_t *role,
                        struct ipc_folder_part **parts, uint32_t *n)
{
    struct slice names[FOLDER_PARTS];
    uint32_t depth = 0;
    const struct record_mailbox *m = map_get(b->by_id, KEY(id));
    *role = m ? role_of(m) : (uint8_t)IPC_FOLDER_NONE;
    if (!m || *role != IPC_FOLDER_NONE)
        return m != NULL;
    for (; m; m = m->parent ? map_get(b->by_id, KEY(m->parent)) : NULL) {
        if (depth == FOLDER_PARTS || m->name.n == 0 || m->name.n > PART_BYTES)
            return false;
        names[depth++] = m->name;
    }
    *parts = ARENA_ARRAY(b->arena, struct ipc_folder_part, depth);
    *n = depth;
    for (uint32_t i = 0; i < depth; i++)
        (*parts)[i].text = names[depth - 1 - i];
    return true;
}

/* ---- one email ---- */

struct looking {
    struct giving *g;
    struct store_reader *reader;
    struct arena *scratch; /* of one email */
    struct boxes boxes;
    uint64_t base; /* changes up to this modseq are over there */
    struct store_email e;
    struct store_message m;
    struct mailback_given given; /* flags as they were given back last */
    bool was_given;
    bool has_row;
    bool is_there, is_coming; /* delivered; waits or is held */
    size_t n_open;            /* of what is left, and will be, that has still to go */
    bool is_full;             /* the batch takes no more … */
    bool has_to_wait;         /* … and what is left has to end first */
    enum err err;
};

static bool see_row(void *arg, const struct store_row *row)
{
    struct looking *l = arg;
    if (row->facts.person != l->g->person)
        return true;
    uint8_t d = row->last.disposition;
    l->has_row = true;
    l->is_there |= d == DISPOSITION_DELIVERED;
    l->is_coming |= d == DISPOSITION_WAITING || d == DISPOSITION_HELD;
    return true;
}

/* None: no flag of it was given back yet. */
static enum err read_given(struct looking *l, uint64_t message)
{
    struct record_item item;
    l->given = (struct mailback_given){};
    enum err err =
        store_get_item(l->reader, l->g->person, ITEM_GIVEN, message, l->scratch, &item, &l->g->ei);
    l->was_given =
        err == ERR_OK && !item.is_gone && mailback_given_unpack(item.body, l->scratch, &l->given);
    return err == ERR_GONE ? ERR_OK : err;
}

static enum err read_email(struct looking *l, uint64_t message)
{
    struct giving *g = l->g;
    arena_reset(l->scratch);
    l->has_row = l->is_there = l->is_coming = false;
    enum err err = store_get_email(l->reader, g->person, message, l->scratch, &l->e, &g->ei);
    if (err == ERR_OK)
        err = store_get_message(l->reader, message, l->scratch, &l->m, &g->ei);
    if (err == ERR_OK)
        err = store_each_row_of(l->reader, message, see_row, l, &g->ei);
    if (err == ERR_OK && (l->m.facts.flags & MESSAGE_FROM_PRIMARY))
        l->has_row = l->is_there = true;
    return err == ERR_OK ? read_given(l, message) : err;
}

/* The one that counts where a message is in several: the first that it is in. */
static const struct record_place *live_place(const struct store_email *e)
{
    for (uint32_t i = 0; i < e->list.n_places; i++)
        if (!e->list.places[i].is_gone)
            return &e->list.places[i];
    return NULL;
}

/* The one that it left last. */
static const struct record_place *left_place(const struct store_email *e)
{
    const struct record_place *last = NULL;
    for (uint32_t i = 0; i < e->list.n_places; i++) {
        const struct record_place *p = &e->list.places[i];
        if (p->is_gone && (!last || p->modseq > last->modseq))
            last = p;
    }
    return last;
}

/* Not because a person deleted it: by the retention, or with the mailbox itself. */
static bool is_gone_by_rule(const struct looking *l)
{
    const struct record_place *p = left_place(&l->e);
    const struct record_mailbox *m = p ? map_get(l->boxes.by_id, KEY(p->mailbox)) : NULL;
    bool is_with_box =
        m && m->is_removed && m->modseq == p->modseq && role_of(m) == IPC_FOLDER_INBOX;
    return l->e.is_gone && ((l->e.flags & EMAIL_BY_RULE) || is_with_box);
}

/* False: it is one too many. */
static bool add_flag(struct arena *a, struct mailback_given *list, struct slice text)
{
    if (text.n == 0 || text.n > PART_BYTES)
        return true;
    if (list->n_flags == FLAGS_MAX)
        return false;
    list->flags[list->n_flags++].text = arena_copy(a, text);
    return true;
}

/* False: there are more than can be said. */
static bool flags_now(struct looking *l, struct mailback_given *ret)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } flags[] = {
        {EMAIL_SEEN, "\\Seen"},   {EMAIL_ANSWERED, "\\Answered"},  {EMAIL_FLAGGED, "\\Flagged"},
        {EMAIL_DRAFT, "\\Draft"}, {EMAIL_FORWARDED, "$Forwarded"}, {EMAIL_PHISHING, "$Phishing"},
        {EMAIL_JUNK, "$Junk"},    {EMAIL_NOTJUNK, "$NotJunk"},     {EMAIL_MDNSENT, "$MDNSent"}};
    struct arena *a = l->g->arena;
    *ret = (struct mailback_given){.flags = ARENA_ARRAY(a, struct mailback_flag, FLAGS_MAX)};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (l->e.flags & flags[i].flag)
            (void)add_flag(a, ret, slice_str(flags[i].name)); /* fewer than FLAGS_MAX */
    for (uint32_t i = 0; i < l->e.list.n_keywords; i++)
        if (!add_flag(a, ret, l->e.list.keywords[i].text))
            return false;
    return true;
}

static bool has_flag(const struct mailback_given *list, struct slice text)
{
    for (uint32_t i = 0; i < list->n_flags; i++)
        if (slice_ieq(list->flags[i].text, text))
            return true;
    return false;
}

/* Those of `from` that are not in `without`. */
static struct ipc_folder_part *differing(struct arena *a, const struct mailback_given *from,
                                         const struct mailback_given *without, uint32_t *n)
{
    struct ipc_folder_part *list = ARENA_ARRAY(a, struct ipc_folder_part, from->n_flags + 1);
    for (uint32_t i = 0; i < from->n_flags; i++)
        if (!has_flag(without, from->flags[i].text))
            list[(*n)++].text = arena_copy(a, from->flags[i].text);
    return list;
}

/* What a person changed here since it was given back last, set or taken away, is made so over
 * there. Whatever nobody touched here stays as it is there, where others may have changed it
 * meanwhile. A flag is there or not, so both sides never want different things of one. */
static void set_flags(struct looking *l, struct mailback_change *c)
{
    struct arena *a = l->g->arena;
    c->has_too_many_flags = !flags_now(l, &c->now);
    if (c->has_too_many_flags)
        return; /* of a part, the rest would be taken away over there */
    c->op.flags_add = differing(a, &c->now, &l->given, &c->op.n_flags_add);
    c->op.flags_remove = differing(a, &l->given, &c->now, &c->op.n_flags_remove);
}

/* Out of the trash it goes for good, and so does a draft that another one took the place of; the
 * rest can be found in the trash over there. */
static uint8_t fate_of_gone(const struct looking *l, uint8_t from_role)
{
    bool is_for_good =
        from_role == IPC_FOLDER_TRASH || from_role == IPC_FOLDER_JUNK || (l->e.flags & EMAIL_DRAFT);
    return is_for_good ? IPC_FATE_EXPUNGE : IPC_FATE_TRASH;
}

static struct slice in_brackets(struct arena *a, struct slice id)
{
    enum { ID_MAX = 998 };
    if (id.n == 0 || id.n > ID_MAX)
        return SLICE("");
    return slice_str(arena_printf(a, "<" SLICE_FMT ">", SLICE_ARG(id)));
}

static void say_which(struct looking *l, struct mailback_change *c)
{
    struct arena *a = l->g->arena;
    char id[MESSAGE_ID_TEXT];
    message_id_text(c->message, id);
    c->op.trace = l->has_row ? arena_copy(a, slice_str(id)) : SLICE("");
    c->op.message_id = in_brackets(a, l->m.fields.message_id);
    c->op.date = l->m.fields.date;
    c->op.sender = arena_copy(a, l->m.fields.from_address);
    c->subject = arena_copy(a, slice_of(l->m.fields.subject.p,
                                        l->m.fields.subject.n < 200 ? l->m.fields.subject.n : 200));
}

static void hold(struct mailback_change *c, enum mailback_why why, struct slice text)
{
    c->verdict = MAILBACK_HOLD;
    c->why = why;
    c->text = text;
}

/* It is there already. */
static void plan_set(struct looking *l, struct mailback_change *c)
{
    struct ipc_mailbox_op *op = &c->op;
    const struct record_place *to = live_place(&l->e), *from = left_place(&l->e);
    bool is_renamed = to && map_get(l->boxes.renamed, KEY(to->mailbox));
    bool is_moved = to && ((to->modseq > l->base && to->modseq > l->e.created) || is_renamed);
    op->what = IPC_OP_SET;
    set_flags(l, c);
    if (!from || !is_moved)
        from = to ? to : from;
    if (from && !is_renamed)
        (void)name_folder(&l->boxes, from->mailbox, &op->from_role, &op->from_folder,
                          &op->n_from_folder);
    if (l->e.is_gone)
        op->fate = fate_of_gone(l, op->from_role);
    else if (is_moved)
        op->fate = IPC_FATE_MOVE;
    c->box = is_moved ? to->mailbox : 0;
    c->verdict = op->fate || op->n_flags_add || op->n_flags_remove ? MAILBACK_DO : MAILBACK_NOTHING;
    if (op->fate == IPC_FATE_MOVE &&
        !name_folder(&l->boxes, to->mailbox, &op->role, &op->folder, &op->n_folder))
        hold(c, MAILBACK_REFUSED, SLICE("the folder has no name that can be said over there"));
}

/* It was made here. */
static void plan_append(struct looking *l, struct mailback_change *c)
{
    struct ipc_mailbox_op *op = &c->op;
    const struct record_place *to = live_place(&l->e);
    op->what = IPC_OP_APPEND;
    op->internal_date = l->e.received;
    op->bytes = l->e.bytes;
    c->box = to ? to->mailbox : 0;
    set_flags(l, c);
    c->verdict = MAILBACK_DO;
    if (!to || !name_folder(&l->boxes, to->mailbox, &op->role, &op->folder, &op->n_folder))
        hold(c, MAILBACK_REFUSED, SLICE("the folder has no name that can be said over there"));
    else if (l->e.bytes > IPC_OP_CONTENT_MAX)
        hold(c, MAILBACK_REFUSED, SLICE("it is larger than what can be given back into a mailbox"));
}

/* Of a message that others sent: what was done with it waits until it is there itself. */
static void plan_received(struct looking *l, struct mailback_change *c)
{
    if (l->is_there || l->is_coming)
        plan_set(l, c);
    if (!l->is_there && c->verdict == MAILBACK_DO)
        hold(c, MAILBACK_WAITS, SLICE("the message itself waits for being delivered there"));
}

static void plan(struct looking *l, struct mailback_change *c)
{
    bool is_given = !c->was_left && l->e.created <= l->g->since.modseq;
    c->was_given = l->was_given;
    c->is_gone = l->e.is_gone;
    c->is_forgotten = l->was_given && is_gone_by_rule(l);
    if (is_gone_by_rule(l))
        return;
    say_which(l, c);
    if (l->has_row)
        plan_received(l, c);
    else if (is_given || (c->was_left && l->e.is_gone))
        plan_set(l, c);
    else if (!l->e.is_gone)
        plan_append(l, c);
    if (c->has_too_many_flags && !l->e.is_gone)
        hold(c, MAILBACK_REFUSED, SLICE("it has more flags than can be said over there"));
}

/* ---- the batch ---- */

/* Also of what is written down about it. */
static size_t packed_bytes(const struct mailback_change *c)
{
    SCOPED(buf_finish) struct buf b = buf_make(OP_BYTES);
    ipc_mailbox_op_pack(&b, &c->op);
    mailback_given_pack(&b, &c->now);
    must(!b.failed); /* all of it has bounds that are less */
    return b.n;
}

static struct mailback_change *add_change(struct giving *g)
{
    if (g->n == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 64;
        g->changes = mem_resize(g->changes, g->cap * sizeof(*g->changes));
    }
    return &g->changes[g->n++];
}

/* False: not in this batch any more. */
static bool has_room(struct giving *g, const struct mailback_change *c, size_t packed)
{
    /* A dry run sends no messages, but says how large they are. */
    size_t most = g->what == GIVING_DRY ? IPC_OP_CONTENT_MAX : MAILBACK_BYTES;
    if (g->what == GIVING_LOOK)
        return g->n_ops < MAILBACK_SHOWN;
    return g->n_ops < MAILBACK_OPS && g->packed + packed <= MAILBACK_PACKED &&
           (c->op.what != IPC_OP_APPEND || g->bytes == 0 || g->bytes + c->op.bytes <= most);
}

/* It is left, or will be if no answer comes. */
static bool needs_memory(const struct mailback_change *c)
{
    bool is_waiting = c->verdict == MAILBACK_HOLD && mailback_is_open((uint8_t)c->why);
    bool is_append = c->verdict == MAILBACK_DO && c->op.what == IPC_OP_APPEND;
    return !c->was_left && (is_waiting || is_append);
}

/* What cannot be remembered has to wait, and nothing behind it is done before it. */
static bool is_one_too_many(const struct looking *l, const struct mailback_change *c)
{
    return l->g->what == GIVING_CHANGES && needs_memory(c) && l->n_open >= MAILBACK_LEFT_MAX;
}

/* Its bytes, as they are stored. */
static enum err read_body(struct looking *l, struct mailback_change *c)
{
    struct giving *g = l->g;
    enum err err = desk_read_body(g->desk, l->reader, c->message, &c->body, &g->ei);
    if (err == ERR_GONE || err == ERR_CORRUPT) {
        hold(c, MAILBACK_REFUSED,
             err == ERR_GONE ? SLICE("its bytes are not kept any more")
                             : SLICE("its bytes cannot be read: staffetta store verify"));
        return ERR_OK;
    }
    if (err == ERR_OK)
        c->op.bytes = (uint32_t)c->body->n;
    return err;
}

static enum err take(struct looking *l, struct mailback_change *c)
{
    struct giving *g = l->g;
    size_t packed = c->verdict == MAILBACK_DO ? packed_bytes(c) : 0;
    enum err err = ERR_OK;
    if (g->n >= MAILBACK_SHOWN || (c->verdict == MAILBACK_DO && !has_room(g, c, packed))) {
        l->is_full = true;
        return ERR_OK;
    }
    if (is_one_too_many(l, c)) {
        l->is_full = l->has_to_wait = true;
        return ERR_OK;
    }
    if (c->verdict == MAILBACK_DO && c->op.what == IPC_OP_APPEND && g->what == GIVING_CHANGES)
        err = read_body(l, c);
    if (err != ERR_OK)
        return err;
    if (c->verdict == MAILBACK_DO) {
        bool is_append = c->op.what == IPC_OP_APPEND;
        g->n_ops++;
        g->n_appends += is_append;
        g->bytes += is_append ? c->op.bytes : 0;
        g->packed += packed;
    }
    l->n_open += needs_memory(c);
    if (c->verdict != MAILBACK_NOTHING || c->was_left || c->is_forgotten)
        *add_change(g) = *c;
    return ERR_OK;
}

/* `modseq`: of the candidate; 0: of the email. */
static enum err examine(struct looking *l, uint64_t message, const struct mailback_left *left,
                        uint64_t modseq)
{
    struct mailback_change c = {
        .message = message, .was_left = left != NULL, .n_tries = left ? left->n_tries : 0};
    l->base = left ? 0 : l->g->since.modseq;
    enum err err = read_email(l, message);
    if (err != ERR_OK && err != ERR_GONE)
        return err;
    c.modseq = modseq ? modseq : l->e.modseq;
    if (err == ERR_OK)
        plan(l, &c);
    return take(l, &c);
}

/* ---- which emails ---- */

static size_t arena_bytes(const struct giving *g)
{
    return g->desk->o.mailback_bytes ? g->desk->o.mailback_bytes : ARENA_BYTES;
}

struct candidate {
    uint64_t modseq, message;
};
struct candidates {
    struct desk *desk;
    const struct boxes *boxes;
    uint64_t since;
    struct candidate *list;
    size_t n, cap;
};

static bool keep_candidate(void *arg, const struct store_email *e)
{
    struct candidates *c = arg;
    const struct record_place *place = live_place(e);
    const uint64_t *renamed = place ? map_get(c->boxes->renamed, KEY(place->mailbox)) : NULL;
    uint64_t modseq = renamed && *renamed > e->modseq ? *renamed : e->modseq;
    if (modseq <= c->since)
        return true;
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 256;
        c->list = mem_resize(c->list, c->cap * sizeof(*c->list));
    }
    c->list[c->n++] = (struct candidate){modseq, e->message};
    return !desk_is_ending(c->desk);
}

static int by_modseq(const void *x, const void *y)
{
    const struct candidate *a = x, *b = y;
    if (a->modseq != b->modseq)
        return a->modseq < b->modseq ? -1 : 1;
    return a->message < b->message ? -1 : a->message > b->message;
}

/* By an earlier batch of this turn: its next one comes after a pause. */
static bool was_tried(const struct giving *g, const struct mailback_left *left)
{
    return g->what == GIVING_CHANGES && left->is_tried;
}

/* What is left and may have a better end now. */
static enum err look_at_left(struct looking *l)
{
    struct giving *g = l->g;
    for (uint32_t i = 0; i < g->n_left; i++) {
        const struct mailback_left *left = &g->left[i];
        if ((!mailback_is_open(left->why) && !g->is_all_left) || was_tried(g, left))
            continue;
        enum err err = examine(l, left->message, left, 0);
        if (err != ERR_OK)
            return err;
        if (l->is_full) { /* the rest has its turn; nothing new is taken before */
            g->has_more = true;
            g->upto = g->since;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

static const struct mailback_left *left_of(const struct giving *g, uint64_t message)
{
    for (uint32_t i = 0; i < g->n_left; i++)
        if (g->left[i].message == message)
            return &g->left[i];
    return NULL;
}

static bool was_looked_at(const struct giving *g, uint64_t message)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->changes[i].message == message)
            return true;
    return false;
}

/* What is tried now may stay. */
static size_t count_open(const struct giving *g)
{
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_left; i++)
        n += mailback_is_open(g->left[i].why);
    for (size_t i = 0; i < g->n; i++)
        n -= g->changes[i].verdict == MAILBACK_NOTHING &&
             mailback_is_open(left_of(g, g->changes[i].message)->why);
    return n;
}

/* The batch ends before this one. */
static void end_before(struct giving *g, const struct candidates *c, size_t i)
{
    g->has_more = true;
    if (i == 0) {
        g->upto = g->since;
        return;
    }
    const struct candidate *last = &c->list[i - 1];
    size_t first = i - 1;
    if (last->modseq != c->list[i].modseq) {
        g->upto = (struct mailback_mark){.modseq = last->modseq};
        return;
    }
    while (first > 0 && c->list[first - 1].modseq == last->modseq)
        first--;
    g->upto = (struct mailback_mark){first ? c->list[first - 1].modseq : g->since.modseq,
                                     last->modseq, last->message};
}

/* Emails that need nothing leave something in the arena, too: their number is a person's. */
static bool is_enough(const struct giving *g, size_t n_examined)
{
    const struct desk_options *o = &g->desk->o;
    size_t most = o->mailback_emails ? o->mailback_emails : MAILBACK_EXAMINED;
    return n_examined >= most || arena_used(g->arena) > arena_bytes(g) / 2;
}

/* In the order in which they were made, as many as fit. */
static enum err look_at_new(struct looking *l, const struct candidates *c)
{
    struct giving *g = l->g;
    size_t n_examined = 0;
    l->n_open = count_open(g);
    for (size_t i = 0; i < c->n && !desk_is_ending(g->desk); i++) {
        const struct candidate *it = &c->list[i];
        const struct mailback_left *left = left_of(g, it->message);
        if (it->modseq == g->since.part_modseq && it->message <= g->since.part_message)
            continue;
        if (left &&
            (was_looked_at(g, it->message) || (mailback_is_open(left->why) && was_tried(g, left))))
            continue;
        l->is_full = is_enough(g, n_examined++);
        enum err err = l->is_full ? ERR_OK : examine(l, it->message, left, it->modseq);
        if (err != ERR_OK)
            return err;
        if (l->is_full) {
            end_before(g, c, i);
            g->has_more = !l->has_to_wait || g->n_ops > 0; /* which may make room */
            return ERR_OK;
        }
    }
    return ERR_OK;
}

/* ---- folders that a person renamed, or put into another one ----
 * What lies in one is moved into the folder of the new name over there, message by message: what
 * only the mail system has stays in the old one. Such an email is new at the number of the
 * renaming. */

static uint64_t path_since(const struct boxes *b, const struct record_mailbox *m)
{
    uint64_t modseq = 0;
    for (unsigned depth = 0; m && depth < FOLDER_PARTS; depth++) {
        if (m->modseq > m->created && m->modseq > modseq)
            modseq = m->modseq;
        m = m->parent ? map_get(b->by_id, KEY(m->parent)) : NULL;
    }
    return modseq;
}

static bool is_path(const struct mailback_given *given, const struct ipc_folder_part *parts,
                    uint32_t n)
{
    for (uint32_t i = 0; i < n && n == given->n_flags; i++)
        if (!slice_eq(given->flags[i].text, parts[i].text))
            return false;
    return n == given->n_flags;
}

static enum err judge_box(struct looking *l, const struct record_mailbox *m)
{
    struct giving *g = l->g;
    struct ipc_folder_part *parts = NULL;
    uint32_t n = 0;
    uint8_t role;
    uint64_t *since = ARENA_NEW(l->boxes.arena, uint64_t);
    *since = path_since(&l->boxes, m);
    if (m->is_removed || *since <= g->since.modseq ||
        !name_folder(&l->boxes, m->id, &role, &parts, &n) || role != IPC_FOLDER_NONE)
        return ERR_OK;
    arena_reset(l->scratch);
    enum err err = read_given(l, m->id);
    bool is_begun = *since == g->since.part_modseq; /* then the new path is written down already */
    if (err == ERR_OK && l->was_given && (is_begun || !is_path(&l->given, parts, n)))
        map_put(l->boxes.renamed, KEY(m->id), since);
    return err;
}

static enum err judge_boxes(struct looking *l)
{
    enum err err = ERR_OK;
    size_t at = 0;
    void *value;
    while (err == ERR_OK && map_next(l->boxes.by_id, &at, NULL, &value))
        err = judge_box(l, value);
    return err;
}

static enum err look(struct looking *l)
{
    struct giving *g = l->g;
    struct store_account account;
    struct candidates c = {.desk = g->desk, .boxes = &l->boxes, .since = g->since.modseq};
    enum err err = store_get_account(l->reader, g->person, &account, &g->ei);
    if (err != ERR_OK)
        return err;
    g->upto = (struct mailback_mark){.modseq = account.modseq};
    err = store_each_mailbox_of(l->reader, g->person, keep_box, &l->boxes, &g->ei);
    if (err == ERR_OK)
        err = judge_boxes(l);
    if (err == ERR_OK)
        err = look_at_left(l);
    /* Number 1 is that of the inbox itself. */
    uint64_t since = map_size(l->boxes.renamed) ? 1 : g->since.modseq;
    if (err == ERR_OK && !g->has_more)
        err = store_each_email(l->reader, g->person, since, keep_candidate, &c, &g->ei);
    if (c.n > 0)
        qsort(c.list, c.n, sizeof(*c.list), by_modseq);
    if (err == ERR_OK && !g->has_more)
        err = look_at_new(l, &c);
    mem_free(&c.list);
    return err == ERR_OK && desk_is_ending(g->desk) ? ERR_CANCELED : err;
}

void desk_mailback_look(struct worker_job *job, struct store_reader *reader)
{
    struct giving *g = container_of(job, struct giving, job);
    g->arena = arena_create(arena_bytes(g));
    if (!reader || !desk_catch_up(g->desk)) {
        g->err = err_set(&g->ei, ERR_RETRY, "the index cannot be read at the moment");
        return;
    }
    SCOPED(arena_destroy) struct arena *scratch = arena_create(SCRATCH_BYTES);
    struct looking l = {.g = g, .reader = reader, .scratch = scratch};
    l.boxes = (struct boxes){g->arena, map_create(), map_create()};
    store_reader_hold(reader);
    g->err = look(&l);
    store_reader_let_go(reader);
    map_destroy(&l.boxes.by_id);
    map_destroy(&l.boxes.renamed);
}
