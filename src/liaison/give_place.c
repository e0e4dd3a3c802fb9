/* Folders of a mailbox: what each is for, which one is meant, and making one that is not there.
 * RFC 6154 (SPECIAL-USE), 2342 (NAMESPACE); where a server says nothing, the folder's name does. */
#include "liaison/give_int.h"

#include <stdio.h>

enum { ARENA_BYTES = 16 << 20 };

/* ---- what a folder is for (pure) ---------------------------------------------------------------
 */

static const struct {
    unsigned flag;
    enum imap_role role;
} uses[] = {
    {IMAP_FOLDER_SENT, IMAP_ROLE_SENT},       {IMAP_FOLDER_DRAFTS, IMAP_ROLE_DRAFTS},
    {IMAP_FOLDER_TRASH, IMAP_ROLE_TRASH},     {IMAP_FOLDER_JUNK, IMAP_ROLE_JUNK},
    {IMAP_FOLDER_ARCHIVE, IMAP_ROLE_ARCHIVE},
};

/* Without what all folders of the person stand under; only such a folder is known by its name. */
static struct slice below_roots(const struct give_places *p, const struct give_place *f)
{
    static const char *const roots[] = {"INBOX", "[Gmail]", "[Google Mail]"};
    struct slice rest = f->path;
    if (p->prefix.n > 0 && slice_starts(f->name, p->prefix) && slice_starts(rest, p->prefix))
        rest = slice_skip(rest, p->prefix.n);
    for (size_t i = 0; f->delimiter && i < sizeof(roots) / sizeof(roots[0]); i++) {
        struct slice root = slice_str(roots[i]);
        if (rest.n > root.n && slice_istarts(rest, root) && rest.p[root.n] == f->delimiter)
            rest = slice_skip(rest, root.n + 1);
    }
    return rest;
}

static void judge(const struct give_places *p, struct give_place *f)
{
    f->role = IMAP_ROLE_NONE;
    f->row = NULL;
    if (slice_ieq(f->name, SLICE("INBOX"))) {
        f->role = IMAP_ROLE_INBOX;
        return;
    }
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
        if (f->flags & uses[i].flag) {
            f->role = uses[i].role;
            return;
        }
    if (f->flags & (IMAP_FOLDER_ALL | IMAP_FOLDER_FLAGGED))
        return;
    const struct imap_role_name *row = imap_role_find(below_roots(p, f));
    f->role = row ? row->role : IMAP_ROLE_NONE;
    f->row = row;
}

/* The language of most folders that were known by name, or "en". */
static const char *language_of(const struct give_places *p)
{
    const char *most = "en";
    size_t n_most = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t n = 0;
        for (size_t k = 0; p->list[i].row && k < p->n; k++)
            n += p->list[k].row && strcmp(p->list[k].row->language, p->list[i].row->language) == 0;
        if (n > n_most) {
            n_most = n;
            most = p->list[i].row->language;
        }
    }
    return most;
}

/* Where no NAMESPACE was said: does everything stand under the INBOX? */
static void guess_prefix(struct give_places *p)
{
    struct slice prefix = SLICE("");
    for (size_t i = 0; i < p->n; i++) {
        const struct give_place *f = &p->list[i];
        if (slice_ieq(f->name, SLICE("INBOX")))
            continue;
        bool is_under = f->delimiter && f->name.n > 6 && slice_istarts(f->name, SLICE("INBOX")) &&
                        f->name.p[5] == f->delimiter;
        if (!is_under)
            return;
        prefix = slice_of(f->name.p, 6);
    }
    p->prefix = prefix;
}

void give_places_judge(struct give_places *p)
{
    for (size_t i = 0; i < p->n && !p->delimiter; i++)
        p->delimiter = p->list[i].delimiter;
    if (!p->has_namespace)
        guess_prefix(p);
    for (size_t i = 0; i < p->n; i++)
        judge(p, &p->list[i]);
    p->language = language_of(p);
}

/* ---- which folder is meant (pure) --------------------------------------------------------------
 */

/* Said by the server before known by name; of names the more usual one. */
static int find_role(const struct give_places *p, enum imap_role role)
{
    int at = GIVE_NOWHERE, all = GIVE_NOWHERE;
    for (size_t i = 0; i < p->n; i++) {
        const struct give_place *f = &p->list[i];
        if (f->flags & IMAP_FOLDER_ALL)
            all = (int)i;
        if (f->role != role)
            continue;
        bool is_better = at == GIVE_NOWHERE || (p->list[at].row && !f->row) ||
                         (p->list[at].row && f->row && f->row < p->list[at].row);
        if (is_better)
            at = (int)i;
    }
    /* Where everything lies in one folder, that is the archive. */
    return at == GIVE_NOWHERE && role == IMAP_ROLE_ARCHIVE ? all : at;
}

/* A level of a path on the wire; what separates levels cannot be in one. */
static bool add_level(const struct give_places *p, struct slice level, struct buf *out)
{
    SCOPED(buf_finish) struct buf clean = buf_make(4 * GIVE_NAME_MAX);
    for (size_t i = 0; i < level.n; i++)
        buf_addc(&clean, p->delimiter && level.p[i] == p->delimiter ? '_'
                         : (unsigned char)level.p[i] < ' '          ? ' '
                                                                    : level.p[i]);
    if (clean.n == 0)
        return false;
    if (p->is_utf8) {
        buf_adds(out, buf_slice(&clean));
        return !out->failed;
    }
    return imap_name_encode(buf_slice(&clean), out);
}

static bool add_path(const struct give_places *p, const struct ipc_folder_part *path,
                     uint32_t n_path, struct buf *out)
{
    bool is_under_inbox = slice_ieq(path[0].text, SLICE("INBOX"));
    bool is_prefixed = !is_under_inbox;
    if (is_prefixed)
        buf_adds(out, p->prefix);
    for (uint32_t i = 0; i < n_path; i++) {
        if (i > 0)
            buf_addc(out, p->delimiter ? p->delimiter : '-');
        if (!add_level(p, path[i].text, out))
            return false;
    }
    return !out->failed;
}

static void set_path(const struct give_places *p, struct give_target *t)
{
    SCOPED(buf_finish) struct buf text = buf_make(4 * GIVE_NAME_MAX);
    bool is_decoded = !p->is_utf8 && imap_name_decode(slice_str(t->name), &text);
    (void)snprintf(t->path, sizeof(t->path), "%.*s", GIVE_FOLDER_MAX,
                   is_decoded ? buf_cstr(&text) : t->name);
}

static int find_name(const struct give_places *p, struct slice name)
{
    for (size_t i = 0; i < p->n; i++)
        if (slice_eq(p->list[i].name, name))
            return (int)i;
    for (size_t i = 0; i < p->n; i++)
        if (slice_ieq(p->list[i].name, name))
            return (int)i;
    return GIVE_NOWHERE;
}

static bool found_at(const struct give_places *p, int at, struct give_target *t)
{
    t->at = at;
    t->role = p->list[at].role;
    (void)snprintf(t->name, sizeof(t->name), SLICE_FMT, SLICE_ARG(p->list[at].name));
    (void)snprintf(t->path, sizeof(t->path), SLICE_FMT, SLICE_ARG(p->list[at].path));
    return true;
}

bool give_place_find(const struct give_places *p, uint8_t role, const struct ipc_folder_part *path,
                     uint32_t n_path, struct give_target *t)
{
    static_assert((int)IPC_FOLDER_ROLES == (int)IMAP_ROLES &&
                  (int)IPC_FOLDER_ARCHIVE == (int)IMAP_ROLE_ARCHIVE);
    SCOPED(buf_finish) struct buf name = buf_make(GIVE_NAME_MAX);
    struct ipc_folder_part one;
    *t = (struct give_target){.at = GIVE_NOWHERE, .role = (enum imap_role)role};
    if (role != IPC_FOLDER_NONE) {
        int at = find_role(p, (enum imap_role)role);
        if (at != GIVE_NOWHERE)
            return found_at(p, at, t);
        one.text = slice_str(imap_role_default((enum imap_role)role, p->language));
        path = &one;
        n_path = 1;
    }
    if (n_path == 0 || !add_path(p, path, n_path, &name))
        return false;
    int at = find_name(p, buf_slice(&name));
    if (at != GIVE_NOWHERE)
        return found_at(p, at, t);
    (void)snprintf(t->name, sizeof(t->name), "%s", buf_cstr(&name));
    set_path(p, t);
    return true;
}

/* ---- asking for them ------------------------------------------------------------------------- */

static void see_namespaces(void *arg, const struct imap_response *p)
{
    struct give *g = arg;
    struct give_places *places = &g->places;
    if (p->word != IMAP_NAMESPACE)
        return;
    for (size_t i = 0; i < p->n_namespaces; i++) {
        const struct imap_namespace *one = &p->namespaces[i];
        if (one->whose != IMAP_MINE || one->prefix.n > GIVE_NAME_MAX)
            continue;
        char *copy = arena_try(places->arena, one->prefix.n + 1);
        if (!copy)
            return;
        memcpy(copy, one->prefix.p, one->prefix.n);
        places->prefix = slice_of(copy, one->prefix.n);
        places->delimiter = one->delimiter;
        places->has_namespace = true;
        return;
    }
}

/* Folders of other persons and shared ones are none of ours: marks their prefixes. */
struct strangers {
    struct give *g;
    char prefix[IMAP_NAMESPACES_MAX][GIVE_NAME_MAX + 1];
    size_t n;
};

static void see_strangers(void *arg, const struct imap_response *p)
{
    struct strangers *s = arg;
    see_namespaces(s->g, p);
    for (size_t i = 0; p->word == IMAP_NAMESPACE && i < p->n_namespaces; i++) {
        const struct imap_namespace *one = &p->namespaces[i];
        bool is_mine = one->whose == IMAP_MINE;
        if (!is_mine && one->prefix.n > 0 && one->prefix.n <= GIVE_NAME_MAX &&
            s->n < IMAP_NAMESPACES_MAX)
            (void)snprintf(s->prefix[s->n++], GIVE_NAME_MAX + 1, SLICE_FMT, SLICE_ARG(one->prefix));
    }
}

static bool is_strangers(const struct strangers *s, struct slice name)
{
    for (size_t i = 0; i < s->n; i++)
        if (slice_starts(name, slice_str(s->prefix[i])))
            return true;
    return false;
}

static struct slice copy(struct give_places *p, struct slice s)
{
    char *to = arena_try(p->arena, s.n + 1);
    if (!to) {
        p->is_cut = true;
        return SLICE("");
    }
    memcpy(to, s.p, s.n);
    return slice_of(to, s.n);
}

/* For people: UTF-8 without control characters, whatever the server sent. */
static struct slice clean_path(struct give_places *p, struct slice name)
{
    SCOPED(buf_finish) struct buf text = buf_make(4 * GIVE_NAME_MAX);
    SCOPED(buf_finish) struct buf again = buf_make(16 * GIVE_NAME_MAX);
    if (p->is_utf8 || !imap_name_decode(name, &text))
        buf_adds(&text, name);
    bool is_utf8 = imap_name_encode(buf_slice(&text), &again);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < ' ' || c == 0x7f || (c > 0x7f && !is_utf8))
            text.p[i] = '?';
    }
    return copy(p, buf_slice(&text));
}

static void take_folder(struct give_places *p, const struct mailbox_folder *f)
{
    struct give_place *place = &p->list[p->n++];
    *place = (struct give_place){.name = copy(p, f->name),
                                 .path = clean_path(p, f->name),
                                 .delimiter = f->delimiter,
                                 .flags = f->flags};
}

static enum imap_word ask_folders(struct give *g, void *arg)
{
    struct strangers *s = arg;
    struct mailbox_folders folders;
    s->n = 0;
    if (g->m->caps & IMAP_CAP_NAMESPACE) {
        mailbox_begin(g->m, "NAMESPACE");
        imap_command_add(&g->m->command, "NAMESPACE");
        enum imap_word word = mailbox_run(g->m, IPC_STEP_SELECT, see_strangers, s);
        if (word == IMAP_BYE)
            return word;
    }
    bool is_listed = mailbox_list(g->m, &folders);
    g->places.n = 0;
    g->places.is_cut = folders.is_cut;
    g->places.is_utf8 = (g->m->caps & IMAP_CAP_REV2) && !(g->m->caps & IMAP_CAP_REV1);
    for (size_t i = 0; is_listed && i < folders.n; i++)
        if (!is_strangers(s, folders.list[i].name))
            take_folder(&g->places, &folders.list[i]);
    mailbox_folders_finish(&folders);
    return is_listed ? IMAP_OK : g->m->is_broken ? IMAP_BYE : IMAP_NO;
}

bool give_places_load(struct give *g)
{
    struct strangers *s = mem_new(sizeof(*s));
    s->g = g;
    g->places.arena = arena_create(ARENA_BYTES);
    g->places.list = mem_new(GIVE_PLACES_MAX * sizeof(*g->places.list));
    enum imap_word word = give_ask(g, ask_folders, s, NULL);
    mem_free(&s);
    if (word == IMAP_OK && g->places.is_cut)
        mailbox_end_words(&g->end, IPC_STEP_SELECT,
                          "there are too many folders to search all of them");
    else if (word == IMAP_OK && g->places.n == 0)
        mailbox_end_words(&g->end, IPC_STEP_SELECT, "there is no folder");
    else if (word == IMAP_OK) {
        give_places_judge(&g->places);
        return true;
    }
    g->is_over = true;
    return false;
}

/* ---- making one -------------------------------------------------------------------------------
 */

static enum imap_word run_named(struct give *g, const char *verb, const char *name,
                                const char *attribute)
{
    mailbox_begin(g->m, verb);
    imap_command_add(&g->m->command, "%s ", verb);
    imap_command_string(&g->m->command, slice_str(name));
    if (attribute)
        imap_command_add(&g->m->command, " (USE (%s))", attribute);
    return mailbox_run(g->m, IPC_STEP_PUT, NULL, NULL);
}

static void see_there(void *arg, const struct imap_response *p)
{
    bool *is_there = arg;
    *is_there |= p->word == IMAP_LIST && !(p->folder & IMAP_FOLDER_NOSELECT);
}

/* They said no: because it is there? Not all have a code for that (RFC 5530). */
static enum imap_word look_there(struct give *g, const char *name, bool *ret_is_there)
{
    enum imap_code code = g->m->code;
    struct mailbox_end why = g->m->end;
    *ret_is_there = false;
    mailbox_begin(g->m, "LIST");
    imap_command_add(&g->m->command, "LIST \"\" ");
    imap_command_string(&g->m->command, slice_str(name));
    enum imap_word word = mailbox_run(g->m, IPC_STEP_PUT, see_there, ret_is_there);
    if (word == IMAP_BYE)
        return word;
    g->m->code = code;
    g->m->end = why;
    return IMAP_NO;
}

static enum imap_word ask_make(struct give *g, void *arg)
{
    const struct give_target *t = arg;
    enum imap_word word = IMAP_NO;
    const char *attribute = imap_role_attribute(t->role);
    if (attribute && (g->m->caps & IMAP_CAP_CREATE_SPECIAL_USE))
        word = run_named(g, "CREATE", t->name, attribute);
    if (word == IMAP_NO || word == IMAP_BAD)
        word = run_named(g, "CREATE", t->name, NULL);
    bool is_there = word == IMAP_NO && g->m->code == IMAP_CODE_ALREADYEXISTS;
    if (word == IMAP_NO && !is_there)
        word = look_there(g, t->name, &is_there);
    if (word == IMAP_OK || is_there) /* people who are not subscribed would not see it */
        word = run_named(g, "SUBSCRIBE", t->name, NULL) == IMAP_BYE ? IMAP_BYE : IMAP_OK;
    return word;
}

enum imap_word give_place_make(struct give *g, struct give_target *t)
{
    must(t->at == GIVE_NOWHERE && g->places.n < GIVE_PLACES_MAX);
    enum imap_word word = give_ask(g, ask_make, t, NULL);
    if (word != IMAP_OK)
        return word;
    struct give_places *p = &g->places;
    t->at = (int)p->n;
    p->list[p->n++] = (struct give_place){.name = copy(p, slice_str(t->name)),
                                          .path = copy(p, slice_str(t->path)),
                                          .delimiter = p->delimiter,
                                          .role = t->role};
    return IMAP_OK;
}
