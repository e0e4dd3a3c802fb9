/* One message that shall be in a folder: looked for, else appended with date and flags. RFC 3501
 * section 6.3.11, 4315 (UIDPLUS), 7889 (APPENDLIMIT). */
#include "liaison/give_int.h"

#include <stdio.h>

/* ---- asking ---------------------------------------------------------------------------------- */

struct appending {
    struct give *g;
    struct give_op *o;
    struct give_target *target;
    struct slice content;
    struct buf *flags;
    uint32_t uid, uid_validity;
};

static void see_appended(void *arg, const struct imap_response *p)
{
    struct appending *a = arg;
    if (p->word == IMAP_OK && p->code == IMAP_CODE_APPENDUID) {
        a->uid_validity = p->code_n[0];
        a->uid = p->code_n[1];
    }
}

static enum imap_word ask_append(struct give *g, void *arg)
{
    struct appending *a = arg;
    const struct ipc_mailbox_op *op = a->o->op;
    struct imap_command *c = &g->m->command;
    mailbox_begin(g->m, "APPEND");
    imap_command_add(c, "APPEND ");
    imap_command_string(c, g->places.list[a->target->at].name);
    buf_addc(&c->out, ' ');
    if (a->flags->n > 2) {
        buf_adds(&c->out, buf_slice(a->flags));
        buf_addc(&c->out, ' ');
    }
    if (op->internal_date != 0)
        imap_command_add(c, "\"%s\" ", imap_date_time(op->internal_date).s);
    imap_command_content(c, a->content);
    return mailbox_run(g->m, IPC_STEP_PUT, see_appended, a);
}

/* What it can keep is known only of a folder that is open for writing. */
static enum imap_word ask_select(struct give *g, void *arg)
{
    return give_select(g, *(const int *)arg, true);
}

static void see_limit(void *arg, const struct imap_response *p)
{
    uint32_t *limit = arg;
    if (p->word == IMAP_STATUS && p->has_append_limit)
        *limit = p->append_limit;
}

struct asking_limit {
    const struct give_target *target;
    uint32_t limit;
};

static enum imap_word ask_limit(struct give *g, void *arg)
{
    struct asking_limit *l = arg;
    mailbox_begin(g->m, "STATUS");
    imap_command_add(&g->m->command, "STATUS ");
    imap_command_string(&g->m->command, slice_str(l->target->name));
    imap_command_add(&g->m->command, " (APPENDLIMIT)");
    return mailbox_run(g->m, IPC_STEP_PUT, see_limit, &l->limit);
}

/* ---- line ends ------------------------------------------------------------------------------- */

/* A bare LF is none of IMAP's: made a line end. Empty `fixed`: there was none. */
static void fix_line_ends(struct slice s, struct buf *fixed)
{
    size_t from = 0;
    for (ptrdiff_t at; (at = slice_find(slice_skip(s, from), '\n')) >= 0;) {
        size_t lf = from + (size_t)at;
        bool is_bare = lf == 0 || s.p[lf - 1] != '\r';
        if (is_bare && fixed->n == 0)
            buf_add(fixed, s.p, from);
        if (is_bare || fixed->n > 0) {
            buf_add(fixed, s.p + from, lf - from);
            buf_adds(fixed, is_bare ? SLICE("\r\n") : SLICE("\n"));
        }
        from = lf + 1;
    }
    if (fixed->n > 0)
        buf_add(fixed, s.p + from, s.n - from);
}

/* ---- after it ----------------------------------------------------------------------------------
 */

/* It is there now: where? Without UIDPLUS it is looked for, in the folder as it is then. */
static void appended(struct give *g, struct give_op *o, const struct appending *a)
{
    o->is_changed = true;
    o->result = IPC_OP_DONE;
    give_note(o, "it was put there");
    give_settle_at(g, o, a->target->at, a->uid);
    if (a->uid != 0)
        return;
    g->selected = GIVE_NOWHERE;
    o->found = (struct give_set){};
    (void)give_find_in(g, o, a->target->at);
    o->result = IPC_OP_DONE; /* also if it could not be searched */
    if (o->found.n > 0)
        o->uid = o->found.list[o->found.n - 1].uid;
    else
        give_note(o, "it cannot be seen there yet");
}

/* The connection broke when all of it may have been there. */
static void after_break(struct give *g, struct give_op *o, const struct appending *a)
{
    char why[GIVE_TEXT_MAX / 2];
    (void)snprintf(why, sizeof(why), "%.*s", (int)sizeof(why) - 1, g->end.text);
    o->is_changed = true;
    o->found = (struct give_set){};
    bool is_looked = !g->is_over && give_find_in(g, o, a->target->at);
    bool is_there = is_looked && o->found.n > 0;
    if (is_there)
        give_settle(o, IPC_OP_DONE, "the connection was lost, but it is there");
    else
        give_settle(o, IPC_OP_UNSURE, "the connection was lost when it was put there (%s)%s", why,
                    is_looked ? "; it cannot be seen there yet" : "");
    give_settle_at(g, o, a->target->at, is_there ? o->found.list[0].uid : 0);
}

/* ---- the steps ---------------------------------------------------------------------------------
 */

/* It was put there when it was a draft, and no answer came: since then it was sent, or thrown away.
 */
static bool is_old_draft(const struct give *g, const struct give_choice *c,
                         const struct give_found *f, const struct give_target *t)
{
    return c->kind == GIVE_ONE && f->match >= GIVE_SURE &&
           g->places.list[f->place].role == IMAP_ROLE_DRAFTS &&
           (t->role == IMAP_ROLE_SENT || t->role == IMAP_ROLE_TRASH);
}

static void move_draft(struct give *g, struct give_op *o, const struct give_found *f,
                       struct give_target *t)
{
    struct ipc_folder_part draft = {SLICE("\\Draft")};
    const struct ipc_mailbox_op *op = o->op;
    struct ipc_mailbox_op moved = *op;
    bool is_draft = false;
    for (uint32_t i = 0; i < op->n_flags_add; i++)
        is_draft |= slice_ieq(op->flags_add[i].text, draft.text);
    moved.flags_remove = &draft;
    moved.n_flags_remove = is_draft ? 0 : 1;
    o->op = &moved;
    give_change(g, o, f, t);
    o->op = op;
}

/* It is there already: only its flags. */
static void is_there(struct give *g, struct give_op *o, const struct give_choice *c,
                     struct give_target *t)
{
    const struct give_found *f = &o->found.list[c->at];
    bool is_changed = false;
    if (is_old_draft(g, c, f, t)) {
        move_draft(g, o, f, t);
        return;
    }
    give_settle(o, IPC_OP_ALREADY, "it was there");
    give_settle_at(g, o, f->place, f->uid);
    if (c->kind == GIVE_SOME)
        give_note(o, "more than once; the flags were left alone");
    else if (c->kind == GIVE_DEAD)
        give_note(o, "marked as deleted by somebody; left alone");
    else if (give_flags(g, o, f, &is_changed) && is_changed) {
        o->is_changed = true;
        give_note(o, g->todo->is_dry ? "flags would be set" : "flags were set");
    }
}

/* Only in a folder that was searched is it surely not there. */
static bool may_append(const struct give *g, struct give_op *o, const struct give_target *t)
{
    if (o->is_unsearched)
        return false; /* settled with the reason */
    if (t->at != GIVE_NOWHERE && g->places.list[t->at].is_unsearched) {
        give_settle(o, IPC_OP_NOT_TRIED, "the folder cannot be searched: %s",
                    g->places.list[t->at].why);
        return false;
    }
    if (o->op->trace.n == 0 && o->op->message_id.n == 0) {
        give_settle(o, IPC_OP_REFUSED,
                    "it has neither our trace nor a Message-ID: put there twice, nobody would "
                    "notice");
        return false;
    }
    return true;
}

static bool fits(struct give *g, struct give_op *o, const struct give_target *t, size_t bytes)
{
    struct asking_limit l = {.target = t, .limit = g->m ? g->m->append_limit : 0};
    bool must_ask = g->m && (g->m->caps & IMAP_CAP_APPENDLIMIT) && l.limit == 0;
    if (must_ask && t->at != GIVE_NOWHERE && give_ask(g, ask_limit, &l, NULL) == IMAP_BYE)
        return false;
    if (l.limit == 0 || bytes <= l.limit)
        return true;
    give_settle(o, IPC_OP_REFUSED, "it has %zu bytes, the server takes %u", bytes, l.limit);
    return false;
}

static bool make_target(struct give *g, struct give_op *o, struct give_target *t)
{
    if (t->at != GIVE_NOWHERE)
        return true;
    enum imap_word word = give_place_make(g, t);
    if (word == IMAP_OK)
        return give_find_in(g, o, t->at); /* it was there, and not in the list */
    if (!g->is_over)
        give_settle(o, IPC_OP_REFUSED, "the folder %s cannot be made: %s", t->path, g->end.text);
    return false;
}

/* It is gone since we listed it. */
static bool make_again(struct give *g, struct give_target *t)
{
    t->at = GIVE_NOWHERE;
    return give_place_make(g, t) == IMAP_OK;
}

static void put(struct give *g, struct give_op *o, struct give_target *t)
{
    SCOPED(buf_finish) struct buf fixed = buf_make(2 * o->content.n + 2);
    SCOPED(buf_finish) struct buf flags = buf_make(IMAP_COMMAND_MAX / 2);
    struct appending a = {.g = g, .o = o, .target = t, .flags = &flags};
    bool is_unsure = false;
    fix_line_ends(o->content, &fixed);
    a.content = fixed.n > 0 ? buf_slice(&fixed) : o->content;
    if (give_ask(g, ask_select, &t->at, NULL) == IMAP_BYE) {
        give_settle(o, IPC_OP_NOT_TRIED, "%s", g->end.text);
        return;
    }
    give_flags_list(g, o, t->at, o->op->flags_add, o->op->n_flags_add, &flags);
    enum imap_word word = give_ask(g, ask_append, &a, &is_unsure);
    bool is_missing = word == IMAP_NO && g->m->code == IMAP_CODE_TRYCREATE;
    if (is_missing && make_again(g, t))
        word = give_ask(g, ask_append, &a, &is_unsure);
    if (word == IMAP_OK)
        appended(g, o, &a);
    else if (is_unsure)
        after_break(g, o, &a);
    else
        give_settle(o, g->is_over || g->is_full ? IPC_OP_NOT_TRIED : IPC_OP_REFUSED, "%s",
                    g->end.text);
}

void give_append(struct give *g, struct give_op *o)
{
    struct give_target t;
    if (!give_place_find(&g->places, o->op->role, o->op->folder, o->op->n_folder, &t)) {
        give_settle(o, IPC_OP_REFUSED, "no such folder can be named there");
        return;
    }
    struct give_choice c = give_choose_kept(&g->places, &o->found, t.at, t.role);
    if (c.kind == GIVE_MANY) {
        give_settle(o, IPC_OP_AMBIGUOUS, "%s; left alone", c.why);
        return;
    }
    if (c.kind != GIVE_NONE) {
        is_there(g, o, &c, &t);
        return;
    }
    if (!may_append(g, o, &t) || !fits(g, o, &t, o->op->bytes))
        return;
    if (g->todo->is_dry) {
        give_settle(o, IPC_OP_WOULD,
                    t.at == GIVE_NOWHERE ? "it would be put there, into a folder "
                                           "that would be made"
                                         : "it would be put there");
        (void)snprintf(o->folder, sizeof(o->folder), "%s", t.path);
        return;
    }
    if (g->is_full) {
        give_settle(o, IPC_OP_NOT_TRIED, "the mailbox takes no more: %s", g->end.text);
        return;
    }
    if (!make_target(g, o, &t))
        return;
    if (o->found.n > 0) {
        c = give_choose_kept(&g->places, &o->found, t.at, t.role);
        if (c.kind == GIVE_ONE || c.kind == GIVE_SOME || c.kind == GIVE_DEAD) {
            is_there(g, o, &c, &t);
            return;
        }
    }
    put(g, o, &t);
}
