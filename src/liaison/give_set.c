/* A message that is there: its flags, its place, its end. RFC 6851 (MOVE), 4315 (UIDPLUS). Without
 * UIDPLUS nothing is expunged: that would take what other people have marked. */
#include "liaison/give_int.h"

#include <stdio.h>

/* ---- flags ----------------------------------------------------------------------------------- */

/* PERMANENTFLAGS with \* takes new keywords; where it was not said all can be kept. */
static bool is_kept(const struct give_place *f, struct slice flag)
{
    if (!f->is_known || imap_flags_has(f->permanent, flag))
        return true;
    return !slice_starts(flag, SLICE("\\")) && imap_flags_has(f->permanent, SLICE("\\*"));
}

void give_flags_list(const struct give *g, struct give_op *o, int place,
                     const struct ipc_folder_part *flags, uint32_t n, struct buf *out)
{
    const struct give_place *f = &g->places.list[place];
    buf_addc(out, '(');
    for (uint32_t i = 0; i < n; i++) {
        struct slice flag = flags[i].text;
        if (!imap_flag_is_sendable(flag)) {
            give_note(o, "a flag that IMAP cannot say was left out");
            continue;
        }
        if (!is_kept(f, flag)) {
            give_note(o, "the server keeps no flag " SLICE_FMT ": left out", SLICE_ARG(flag));
            continue;
        }
        if (out->n > 1)
            buf_addc(out, ' ');
        buf_adds(out, flag);
    }
    buf_addc(out, ')');
}

struct storing {
    const struct give_found *f;
    const char *sign;
    struct buf *flags;
};

static enum imap_word ask_store(struct give *g, void *arg)
{
    const struct storing *s = arg;
    enum imap_word word = give_select(g, s->f->place, true);
    if (word != IMAP_OK)
        return word;
    mailbox_begin(g->m, "STORE");
    imap_command_add(&g->m->command, "UID STORE %u %sFLAGS.SILENT ", s->f->uid, s->sign);
    buf_adds(&g->m->command.out, buf_slice(s->flags));
    return mailbox_run(g->m, IPC_STEP_PUT, NULL, NULL);
}

static enum imap_word ask_open_rw(struct give *g, void *arg)
{
    return give_select(g, *(const int *)arg, true);
}

/* Those of `flags` that are not as they shall be. */
static uint32_t differing(const struct give_found *f, const struct ipc_folder_part *flags,
                          uint32_t n, bool shall_be, struct ipc_folder_part *ret)
{
    uint32_t n_ret = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!f->has_flags || imap_flags_has(f->flags, flags[i].text) != shall_be)
            ret[n_ret++] = flags[i];
    return n_ret;
}

static bool store(struct give *g, struct give_op *o, struct storing *s, bool *ret_is_changed)
{
    if (s->flags->n <= 2)
        return true; /* none is left */
    enum imap_word word = give_ask(g, ask_store, s, NULL);
    if (word == IMAP_OK) {
        *ret_is_changed = true;
        return true;
    }
    o->is_changed |= *ret_is_changed;
    if (word != IMAP_BYE)
        give_settle(o, IPC_OP_REFUSED, "the flags were refused: %s", g->end.text);
    else
        give_settle_broken(g, o);
    return false;
}

bool give_flags(struct give *g, struct give_op *o, const struct give_found *f, bool *ret_is_changed)
{
    enum { FLAGS_MAX = 32 };
    SCOPED(buf_finish) struct buf add = buf_make(IMAP_COMMAND_MAX / 2);
    SCOPED(buf_finish) struct buf remove = buf_make(IMAP_COMMAND_MAX / 2);
    struct ipc_folder_part to_add[FLAGS_MAX], to_remove[FLAGS_MAX];
    uint32_t n_add = differing(f, o->op->flags_add, o->op->n_flags_add, true, to_add);
    uint32_t n_remove = differing(f, o->op->flags_remove, o->op->n_flags_remove, false, to_remove);
    int place = f->place;
    *ret_is_changed = false;
    if (n_add + n_remove == 0)
        return true;
    if (g->todo->is_dry) {
        *ret_is_changed = true;
        return true;
    }
    enum imap_word word = give_ask(g, ask_open_rw, &place, NULL);
    if (word != IMAP_OK) {
        give_settle(o, word == IMAP_BYE ? IPC_OP_NOT_TRIED : IPC_OP_REFUSED,
                    "the folder cannot be opened: %s", g->end.text);
        return false;
    }
    give_flags_list(g, o, place, to_add, n_add, &add);
    give_flags_list(g, o, place, to_remove, n_remove, &remove);
    struct storing adding = {f, "+", &add}, removing = {f, "-", &remove};
    return store(g, o, &adding, ret_is_changed) && store(g, o, &removing, ret_is_changed);
}

/* ---- its end --------------------------------------------------------------------------------- */

static enum imap_word ask_expunge(struct give *g, void *arg)
{
    const struct give_found *f = arg;
    enum imap_word word = give_select(g, f->place, true);
    if (word != IMAP_OK)
        return word;
    mailbox_begin(g->m, "EXPUNGE");
    imap_command_add(&g->m->command, "UID EXPUNGE %u", f->uid);
    return mailbox_run(g->m, IPC_STEP_PUT, NULL, NULL);
}

/* Marked, and expunged where only this one can be. IMAP_OK: it is gone; IMAP_NO: it is marked, the
 * words are added; IMAP_BYE: not even that, settled. */
static enum imap_word remove_one(struct give *g, struct give_op *o, const struct give_found *f)
{
    SCOPED(buf_finish) struct buf flags = buf_make(20);
    struct storing s = {f, "+", &flags};
    struct give_found copy = *f;
    buf_adds(&flags, SLICE("(\\Deleted)"));
    enum imap_word word = f->is_deleted ? IMAP_OK : give_ask(g, ask_store, &s, NULL);
    if (word == IMAP_OK) {
        o->is_changed = true;
        if (!(g->m->caps & IMAP_CAP_UIDPLUS)) {
            give_note(o, "marked as deleted and not removed: the server cannot remove it alone "
                         "(no UIDPLUS)");
            return IMAP_NO;
        }
        word = give_ask(g, ask_expunge, &copy, NULL);
        if (word == IMAP_NO || word == IMAP_BAD)
            give_note(o, "marked as deleted and not removed: %s", g->end.text);
        if (word != IMAP_BYE)
            return word == IMAP_OK ? IMAP_OK : IMAP_NO;
    }
    if (word == IMAP_BYE)
        give_settle_broken(g, o);
    else
        give_settle(o, IPC_OP_REFUSED, "it cannot be removed: %s", g->end.text);
    return IMAP_BYE;
}

static void expunge(struct give *g, struct give_op *o, const struct give_found *f)
{
    bool can_expunge = (g->m->caps & IMAP_CAP_UIDPLUS) != 0;
    give_settle_at(g, o, f->place, f->uid);
    if (f->is_deleted && !can_expunge) {
        give_settle(o, IPC_OP_ALREADY,
                    "it is marked as deleted; the server cannot remove it alone (no UIDPLUS)");
        return;
    }
    if (g->todo->is_dry) {
        give_settle(o, IPC_OP_WOULD,
                    can_expunge ? "it would be removed"
                                : "it would be marked as deleted (no UIDPLUS)");
        return;
    }
    enum imap_word word = remove_one(g, o, f);
    if (word == IMAP_BYE)
        return;
    o->result = IPC_OP_DONE;
    if (word != IMAP_OK)
        return;
    give_note(o, "it was removed");
    o->folder[0] = '\0';
    o->uid = 0;
}

/* ---- its place ------------------------------------------------------------------------------- */

struct moving {
    const struct give_found *f;
    const struct give_target *target;
    bool is_copy;
    uint32_t uid;
};

static void see_copied(void *arg, const struct imap_response *p)
{
    struct moving *v = arg;
    if (p->word == IMAP_OK && p->code == IMAP_CODE_COPYUID)
        v->uid = p->code_n[1];
}

static enum imap_word ask_move(struct give *g, void *arg)
{
    struct moving *v = arg;
    enum imap_word word = give_select(g, v->f->place, true);
    if (word != IMAP_OK)
        return word;
    v->is_copy = !(g->m->caps & IMAP_CAP_MOVE);
    mailbox_begin(g->m, v->is_copy ? "COPY" : "MOVE");
    imap_command_add(&g->m->command, "UID %s %u ", v->is_copy ? "COPY" : "MOVE", v->f->uid);
    imap_command_string(&g->m->command, g->places.list[v->target->at].name);
    return mailbox_run(g->m, IPC_STEP_PUT, see_copied, v);
}

static void moved(struct give *g, struct give_op *o, const struct moving *v)
{
    o->is_changed = true;
    o->result = IPC_OP_DONE;
    give_note(o, "it was moved");
    give_settle_at(g, o, v->target->at, v->uid);
}

/* Behind a copy: the one it was made of goes. */
static void finish_copy(struct give *g, struct give_op *o, const struct moving *v)
{
    moved(g, o, v);
    if (remove_one(g, o, v->f) == IMAP_BYE) {
        o->result = IPC_OP_UNSURE;
        give_note(o, "it was copied, the old one may still be there");
    }
}

static const struct give_found *found_in(const struct give_op *o, int place, uint32_t uid)
{
    for (size_t i = 0; i < o->found.n; i++)
        if (o->found.list[i].place == place && (uid == 0 || o->found.list[i].uid == uid))
            return &o->found.list[i];
    return NULL;
}

static size_t count_in(const struct give_op *o, int place)
{
    size_t n = 0;
    for (size_t i = 0; i < o->found.n; i++)
        n += o->found.list[i].place == place;
    return n;
}

/* The connection broke behind MOVE or COPY. Nothing is repeated; what is plain is finished. */
static void after_break(struct give *g, struct give_op *o, struct moving *v, size_t n_before)
{
    struct give_found old = *v->f;
    char why[GIVE_TEXT_MAX / 2];
    (void)snprintf(why, sizeof(why), "%.*s", (int)sizeof(why) - 1, g->end.text);
    o->is_changed = true;
    bool is_looked = !g->is_over && give_find(g, &o, 1) && !o->is_unsearched;
    bool is_new = is_looked && n_before == 0 && count_in(o, v->target->at) == 1;
    bool is_left = is_looked && found_in(o, old.place, old.uid);
    if (is_new && (!is_left || v->is_copy)) {
        give_settle(o, IPC_OP_DONE, "the connection was lost");
        v->f = &old;
        v->uid = found_in(o, v->target->at, 0)->uid;
        if (is_left)
            finish_copy(g, o, v);
        else
            moved(g, o, v);
    } else {
        give_settle(o, IPC_OP_UNSURE, "the connection was lost when it was moved: %s", why);
    }
}

static void move(struct give *g, struct give_op *o, const struct give_found *found,
                 struct give_target *t)
{
    struct give_found f = *found;
    struct moving v = {.f = &f, .target = t};
    bool is_unsure = false;
    enum imap_word word = t->at == GIVE_NOWHERE ? give_place_make(g, t) : IMAP_OK;
    if (word != IMAP_OK) {
        if (word == IMAP_BYE)
            give_settle_broken(g, o);
        else
            give_settle(o, IPC_OP_REFUSED, "the folder %s cannot be made: %s", t->path,
                        g->end.text);
        return;
    }
    size_t n_before = count_in(o, t->at);
    word = give_ask(g, ask_move, &v, &is_unsure);
    if (is_unsure)
        after_break(g, o, &v, n_before);
    else if (word == IMAP_BYE)
        give_settle_broken(g, o);
    else if (word != IMAP_OK)
        give_settle(o, g->is_full ? IPC_OP_NOT_TRIED : IPC_OP_REFUSED, "it cannot be moved: %s",
                    g->end.text);
    else if (v.is_copy)
        finish_copy(g, o, &v);
    else
        moved(g, o, &v);
}

/* ---- one message ------------------------------------------------------------------------------
 */

/* Where it shall be. False: settled. GIVE_NOWHERE without a name: where it is. */
static bool find_target(const struct give *g, struct give_op *o, struct give_target *t)
{
    const struct ipc_mailbox_op *op = o->op;
    *t = (struct give_target){.at = GIVE_NOWHERE};
    bool is_move = op->fate == IPC_FATE_MOVE, is_trash = op->fate == IPC_FATE_TRASH;
    uint8_t role = is_trash ? IPC_FOLDER_TRASH : op->role;
    if ((!is_move && !is_trash) || give_place_find(&g->places, role, op->folder, op->n_folder, t))
        return true;
    give_settle(o, IPC_OP_REFUSED, "no such folder can be named there");
    return false;
}

static int find_from(const struct give *g, const struct ipc_mailbox_op *op)
{
    struct give_target t;
    bool is_told = op->from_role != IPC_FOLDER_NONE || op->n_from_folder > 0;
    return is_told && give_place_find(&g->places, op->from_role, op->from_folder, op->n_from_folder,
                                      &t)
               ? t.at
               : GIVE_NOWHERE;
}

static void absent(const struct give *g, struct give_op *o)
{
    if (o->is_unsearched)
        return; /* settled with the reason */
    for (size_t i = 0; i < g->places.n; i++)
        if (g->places.list[i].is_unsearched) {
            give_settle(o, IPC_OP_NOT_TRIED, "not found, but a folder could not be searched: %s",
                        g->places.list[i].why);
            return;
        }
    give_settle(o, IPC_OP_ABSENT, "no folder has it");
}

static void tell_dry(struct give_op *o, bool is_changed, const struct give_target *to)
{
    if (!is_changed && !to)
        return;
    o->result = IPC_OP_WOULD;
    if (is_changed)
        give_note(o, "flags would be set");
    if (!to)
        return;
    give_note(o, to->at == GIVE_NOWHERE ? "it would be moved, to a folder that would be made"
                                        : "it would be moved");
    (void)snprintf(o->folder, sizeof(o->folder), "%s", to->path);
    o->uid = 0;
}

void give_change(struct give *g, struct give_op *o, const struct give_found *found,
                 struct give_target *t)
{
    struct give_found f = *found;
    bool is_changed = false, shall_move = t->name[0] && f.place != t->at;
    give_settle(o, IPC_OP_ALREADY, "%s", "");
    give_settle_at(g, o, f.place, f.uid);
    if (!give_flags(g, o, &f, &is_changed))
        return;
    if (g->todo->is_dry) {
        tell_dry(o, is_changed, shall_move ? t : NULL);
        return;
    }
    o->is_changed |= is_changed;
    if (is_changed) {
        o->result = IPC_OP_DONE;
        give_note(o, "flags were set");
    }
    if (shall_move)
        move(g, o, &f, t);
    else if (!o->text[0])
        give_note(o, "it was so");
}

void give_set(struct give *g, struct give_op *o)
{
    struct give_target t;
    if (!find_target(g, o, &t))
        return;
    struct give_choice c = give_choose(&o->found, t.at, find_from(g, o->op));
    const struct give_found *f = &o->found.list[c.at];
    switch (c.kind) {
    case GIVE_NONE:
        absent(g, o);
        break;
    case GIVE_SOME:
    case GIVE_MANY:
        give_settle(o, IPC_OP_AMBIGUOUS, "%s; left alone", c.why ? c.why : "");
        break;
    case GIVE_DEAD:
        if (o->op->fate == IPC_FATE_EXPUNGE)
            expunge(g, o, f);
        else
            give_settle(o, IPC_OP_ABSENT, "it is marked as deleted by somebody; left alone");
        break;
    case GIVE_ONE:
        if (o->op->fate == IPC_FATE_EXPUNGE)
            expunge(g, o, f);
        else
            give_change(g, o, f, &t);
        break;
    }
}
