/* Looking for many messages in every folder: several in one search, and what is found is looked at,
 * since searches match parts of words, and servers differ in what they take for a match.
 *
 * First by Message-ID, which servers have at hand; by our trace header (which they may have to open
 * every message for) only what was not found so. Virtual folders that show what lies elsewhere come
 * last, for what was found nowhere else. */
#include "liaison/give_int.h"

#include <stdio.h>

enum {
    KEYS_BYTES =
        700, /* of a search: lines over 1000 bytes are not for everybody (RFC 2683 3.2.1.5) */
    AT_ONCE = 8,
    FETCH_AT_ONCE = 60,
};

enum by { BY_ID, BY_TRACE };

/* One folder, some messages. */
struct look {
    struct give *g;
    int place;
    enum by by;
    struct give_op *const *ops;
    size_t n;
    struct mailbox_uids *hits;
    size_t fetch_from, fetch_n;
};

static struct slice key_of(const struct give_op *o, enum by by)
{
    return by == BY_ID ? o->op->message_id : o->op->trace;
}

static bool is_askable(struct slice key)
{
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] < ' ' || key.p[i] > '~')
            return false;
    return key.n > 2 && key.n < KEYS_BYTES;
}

/* ---- searching ----------------------------------------------------------------------------------
 */

static void see_hits(void *arg, const struct imap_response *p)
{
    if (p->kind == IMAP_UNTAGGED && p->word == IMAP_SEARCH)
        mailbox_uids_add(arg, p->set);
}

static enum imap_word ask_search(struct give *g, void *arg)
{
    const struct look *l = arg;
    enum imap_word word = give_select(g, l->place, false);
    if (word != IMAP_OK)
        return word;
    *l->hits = (struct mailbox_uids){};
    mailbox_begin(g->m, "SEARCH");
    imap_command_add(&g->m->command, "UID SEARCH");
    for (size_t i = 1; i < l->n; i++)
        imap_command_add(&g->m->command, " OR");
    for (size_t i = 0; i < l->n; i++) {
        imap_command_add(&g->m->command, " HEADER %s ",
                         l->by == BY_ID ? "Message-ID" : "Staffetta-Trace");
        imap_command_string(&g->m->command, key_of(l->ops[i], l->by));
    }
    return mailbox_run(g->m, IPC_STEP_SEARCH, see_hits, l->hits);
}

/* ---- looking at what was found
 * -------------------------------------------------------------------
 */

static struct slice keep_flags(struct give *g, struct slice flags)
{
    if (flags.n > GIVE_FLAGS_MAX)
        flags.n = GIVE_FLAGS_MAX;
    char *copy = arena_try(g->places.arena, flags.n + 1);
    if (!copy)
        return SLICE("");
    memcpy(copy, flags.p ? flags.p : "", flags.n);
    return slice_of(copy, flags.n);
}

/* It is what was looked for, of this op. */
static void add_found(struct look *l, struct give_op *o, enum give_match match,
                      const struct imap_response *p)
{
    struct give_set *s = &o->found;
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].place == l->place && s->list[i].uid == p->uid)
            return;
    if (s->n == GIVE_FOUND_MAX) {
        s->is_cut = true;
        return;
    }
    s->list[s->n++] = (struct give_found){.place = l->place,
                                          .uid = p->uid,
                                          .match = match,
                                          .has_flags = p->has_flags,
                                          .is_deleted = p->is_deleted,
                                          .flags = keep_flags(l->g, p->flags)};
}

static void see_header(void *arg, const struct imap_response *p)
{
    struct look *l = arg;
    if (p->kind != IMAP_UNTAGGED || p->word != IMAP_FETCH || p->n_sections == 0 ||
        !mailbox_uids_has(l->hits, p->uid))
        return;
    for (size_t i = 0; i < l->n; i++) {
        enum give_match match = give_match(l->ops[i]->op, p->sections[0].bytes);
        if (match != GIVE_OTHER)
            add_found(l, l->ops[i], match, p);
    }
}

static enum imap_word ask_headers(struct give *g, void *arg)
{
    const struct look *l = arg;
    enum imap_word word = give_select(g, l->place, false);
    if (word != IMAP_OK)
        return word;
    mailbox_begin(g->m, "FETCH");
    imap_command_add(&g->m->command, "UID FETCH ");
    for (size_t i = 0; i < l->fetch_n; i++)
        imap_command_add(&g->m->command, "%s%u", i > 0 ? "," : "", l->hits->uid[l->fetch_from + i]);
    imap_command_add(
        &g->m->command,
        " (UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM STAFFETTA-TRACE)])");
    return mailbox_run(g->m, IPC_STEP_FETCH, see_header, arg);
}

/* False: no more is possible. */
static bool refused(struct look *l)
{
    for (size_t i = 0; i < l->n && !l->g->is_over; i++) {
        l->ops[i]->is_unsearched = true;
        give_settle(l->ops[i], IPC_OP_NOT_TRIED, "it could not be looked for in " SLICE_FMT ": %s",
                    SLICE_ARG(l->g->places.list[l->place].path), l->g->end.text);
    }
    return !l->g->is_over;
}

static bool read_headers(struct look *l)
{
    for (l->fetch_from = 0; l->fetch_from < l->hits->n; l->fetch_from += l->fetch_n) {
        size_t left = l->hits->n - l->fetch_from;
        l->fetch_n = left < FETCH_AT_ONCE ? left : FETCH_AT_ONCE;
        if (give_ask(l->g, ask_headers, l, NULL) != IMAP_OK)
            return refused(l);
    }
    return true;
}

/* ---- a folder ------------------------------------------------------------------------------- */

/* Some at once; where that is too much for the server, half of them and the other half. */
static bool look_for(const struct look *whole, size_t from, size_t n)
{
    struct mailbox_uids hits;
    struct look l = *whole;
    size_t step = n;
    for (size_t at = from; at < from + n; at += l.n) {
        l.ops = whole->ops + at;
        l.n = step < from + n - at ? step : from + n - at;
        l.hits = &hits;
        enum imap_word word = give_ask(l.g, ask_search, &l, NULL);
        bool is_too_much =
            l.n > 1 && ((word == IMAP_OK && hits.is_cut) || word == IMAP_NO || word == IMAP_BAD);
        if (is_too_much) {
            step = l.n / 2;
            l.n = 0;
            continue;
        }
        if (word != IMAP_OK ? !refused(&l) : !read_headers(&l))
            return false;
        if (word == IMAP_OK && hits.is_cut)
            l.ops[0]->found.is_cut = true;
    }
    return true;
}

static enum imap_word ask_open(struct give *g, void *arg)
{
    return give_select(g, *(const int *)arg, false);
}

/* A folder that cannot be opened is remembered; it matters only if a message belongs there. */
static bool open_place(struct give *g, int place)
{
    struct give_place *f = &g->places.list[place];
    enum imap_word word = give_ask(g, ask_open, &place, NULL);
    f->is_unsearched = word != IMAP_OK;
    if (f->is_unsearched)
        (void)snprintf(f->why, sizeof(f->why), "%.*s", GIVE_TEXT_MAX - 60, g->end.text);
    return word == IMAP_OK;
}

static bool search_place(struct give *g, int place, enum by by, struct give_op *const *ops,
                         size_t n)
{
    struct look l = {.g = g, .place = place, .by = by, .ops = ops, .n = n};
    if (n == 0)
        return true;
    if (!open_place(g, place))
        return !g->is_over;
    for (size_t from = 0; from < n;) {
        size_t many = 0, bytes = 0;
        do {
            bytes += key_of(ops[from + many], by).n + 30;
            many++;
        } while (from + many < n && many < AT_ONCE &&
                 bytes + key_of(ops[from + many], by).n + 30 < KEYS_BYTES);
        if (!look_for(&l, from, many))
            return false;
        from += many;
    }
    return true;
}

/* ---- all folders ------------------------------------------------------------------------------
 */

static bool is_virtual(const struct give_place *f)
{
    return (f->flags & (IMAP_FOLDER_ALL | IMAP_FOLDER_FLAGGED)) != 0;
}

static bool wants(const struct give_op *o, enum by by)
{
    if (!is_askable(key_of(o, by)))
        return false;
    for (size_t i = 0; i < o->found.n; i++)
        if (o->found.list[i].match >= GIVE_SURE)
            return false;
    return true;
}

static bool pass(struct give *g, enum by by, bool in_virtual, struct give_op *const *ops, size_t n)
{
    struct give_op *left[GIVE_OPS_MAX];
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++)
        if (wants(ops[i], by))
            left[n_left++] = ops[i];
    for (size_t i = 0; i < g->places.n; i++)
        if (is_virtual(&g->places.list[i]) == in_virtual &&
            !search_place(g, (int)i, by, left, n_left))
            return false;
    return true;
}

bool give_find(struct give *g, struct give_op *const *ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ops[i]->found = (struct give_set){};
        ops[i]->is_unsearched = false;
    }
    return pass(g, BY_ID, false, ops, n) && pass(g, BY_TRACE, false, ops, n) &&
           pass(g, BY_ID, true, ops, n) && pass(g, BY_TRACE, true, ops, n);
}

bool give_find_in(struct give *g, struct give_op *o, int place)
{
    for (enum by by = BY_ID; by <= BY_TRACE; by++)
        if (wants(o, by) && !search_place(g, place, by, &o, 1))
            return false;
    return true;
}
