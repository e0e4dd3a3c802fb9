/* Folders and messages: what a look needs of them. */
#include "liaison/mailbox_int.h"

#include <stdio.h>

enum { NAMES_BYTES = 1 << 20, NAME_MAX = 1000 };

/* ---- selecting
 * ------------------------------------------------------------------------------------ */

static void see_selected(void *arg, const struct imap_response *p)
{
    struct mailbox_selected *s = arg;
    if (p->word == IMAP_EXISTS)
        s->n_messages = p->number;
    if (p->word == IMAP_OK && p->code == IMAP_CODE_UIDVALIDITY)
        s->uid_validity = p->code_n[0];
    if (p->word == IMAP_OK && p->code == IMAP_CODE_UIDNEXT)
        s->uid_next = p->code_n[0];
}

bool mailbox_select(struct mailbox *m, struct slice name, bool is_read_only,
                    struct mailbox_selected *ret)
{
    *ret = (struct mailbox_selected){};
    mailbox_begin(m, is_read_only ? "EXAMINE" : "SELECT");
    imap_command_add(&m->command, "%s ", is_read_only ? "EXAMINE" : "SELECT");
    imap_command_string(&m->command, name);
    return mailbox_run(m, IPC_STEP_SELECT, see_selected, ret) == IMAP_OK;
}

/* ---- the list of folders
 * ---------------------------------------------------------------------------- */

/* Servers without SPECIAL-USE have the custom of their makers. */
static bool is_junk_name(struct slice name)
{
    static const char *const names[] = {"Junk",        "Spam",        "Junk E-mail", "Junk Email",
                                        "INBOX.Junk",  "INBOX/Junk",  "INBOX.Spam",  "INBOX/Spam",
                                        "Junk-E-Mail", "[Gmail]/Spam"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_ieq(name, slice_str(names[i])))
            return true;
    return false;
}

static unsigned rank_of(const struct mailbox_folder *f)
{
    if (slice_ieq(f->name, SLICE("INBOX")))
        return 0;
    return f->flags & IMAP_FOLDER_JUNK ? 1 : f->flags & IMAP_FOLDER_ALL ? 2 : 3;
}

static void see_folder(void *arg, const struct imap_response *p)
{
    struct mailbox_folders *f = arg;
    if (p->word != IMAP_LIST || (p->folder & IMAP_FOLDER_NOSELECT))
        return;
    char *name = p->name.n <= NAME_MAX ? arena_try(f->arena, p->name.n + 1) : NULL;
    if (!name || f->n == MAILBOX_FOLDERS_MAX) {
        f->is_cut = true;
        return;
    }
    memcpy(name, p->name.p, p->name.n);
    struct mailbox_folder folder = {slice_of(name, p->name.n), p->delimiter, p->folder};
    if (is_junk_name(folder.name))
        folder.flags |= IMAP_FOLDER_JUNK;
    size_t at = f->n++;
    for (; at > 0 && rank_of(&f->list[at - 1]) > rank_of(&folder); at--)
        f->list[at] = f->list[at - 1];
    f->list[at] = folder;
}

static enum imap_word list(struct mailbox *m, const char *verb, const char *more,
                           struct mailbox_folders *ret)
{
    ret->n = 0;
    mailbox_begin(m, verb);
    imap_command_add(&m->command, "%s \"\" \"*\"%s", verb, more);
    return mailbox_run(m, IPC_STEP_SELECT, see_folder, ret);
}

bool mailbox_list(struct mailbox *m, struct mailbox_folders *ret)
{
    *ret = (struct mailbox_folders){.arena = arena_create(NAMES_BYTES)};
    ret->list = mem_new(MAILBOX_FOLDERS_MAX * sizeof(*ret->list));
    enum imap_word word = IMAP_BAD;
    if (m->caps & IMAP_CAP_SPECIAL_USE)
        word = list(m, "LIST", " RETURN (SPECIAL-USE)", ret);
    else if (m->caps & IMAP_CAP_XLIST) /* what was there before RFC 6154 */
        word = list(m, "XLIST", "", ret);
    if (word == IMAP_NO || word == IMAP_BAD) /* without LIST-EXTENDED: RFC 5258 */
        word = list(m, "LIST", "", ret);
    return word == IMAP_OK;
}

void mailbox_folders_finish(struct mailbox_folders *f)
{
    arena_destroy(&f->arena);
    mem_free(&f->list);
}

void mailbox_folder_text(struct slice name, char *ret, size_t n)
{
    SCOPED(buf_finish) struct buf text = buf_make(4 * NAME_MAX);
    if (!imap_name_decode(name, &text)) {
        buf_clear(&text);
        buf_adds(&text, name);
    }
    (void)snprintf(ret, n, "%s", buf_cstr(&text));
    for (unsigned char *c = (unsigned char *)ret; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

/* ---- messages
 * ---------------------------------------------------------------------------------------- */

void mailbox_uids_add(struct mailbox_uids *u, struct slice set)
{
    uint32_t from, to;
    while (imap_set_next(&set, &from, &to)) {
        for (uint32_t uid = from; u->n < MAILBOX_UIDS_MAX; uid++) {
            u->uid[u->n++] = uid;
            if (uid == to)
                break;
        }
        if (u->n == MAILBOX_UIDS_MAX) {
            u->is_cut = true;
            return;
        }
    }
}

bool mailbox_uids_has(const struct mailbox_uids *u, uint32_t uid)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->uid[i] == uid)
            return true;
    return false;
}

static void see_uids(void *arg, const struct imap_response *p)
{
    if (p->word == IMAP_SEARCH && p->kind == IMAP_UNTAGGED)
        mailbox_uids_add(arg, p->set);
}

enum imap_word mailbox_search_id(struct mailbox *m, struct slice part, struct slice part2,
                                 struct mailbox_uids *ret)
{
    *ret = (struct mailbox_uids){};
    mailbox_begin(m, "SEARCH");
    imap_command_add(&m->command, "UID SEARCH HEADER Message-ID ");
    imap_command_string(&m->command, part);
    if (part2.n > 0) {
        imap_command_add(&m->command, " HEADER Message-ID ");
        imap_command_string(&m->command, part2);
    }
    return mailbox_run(m, IPC_STEP_SEARCH, see_uids, ret);
}

static void add_set(struct mailbox *m, const struct mailbox_uids *uids)
{
    for (size_t i = 0; i < uids->n; i++)
        imap_command_add(&m->command, "%s%u", i > 0 ? "," : "", uids->uid[i]);
}

/* Without UIDPLUS, EXPUNGE takes all that is marked: only if that is nothing of other people. */
static bool expunge_all(struct mailbox *m, const struct mailbox_uids *uids)
{
    struct mailbox_uids marked = {};
    mailbox_begin(m, "SEARCH");
    imap_command_add(&m->command, "UID SEARCH DELETED");
    if (mailbox_run(m, IPC_STEP_FETCH, see_uids, &marked) != IMAP_OK)
        return false;
    bool is_only_ours = !marked.is_cut;
    for (size_t i = 0; i < marked.n; i++)
        is_only_ours &= mailbox_uids_has(uids, marked.uid[i]);
    if (!is_only_ours) {
        mailbox_end_words(&m->end, IPC_STEP_FETCH,
                          "other messages are marked as deleted too, so it was only marked");
        return false;
    }
    mailbox_begin(m, "EXPUNGE");
    imap_command_add(&m->command, "EXPUNGE");
    return mailbox_run(m, IPC_STEP_FETCH, NULL, NULL) == IMAP_OK;
}

bool mailbox_remove(struct mailbox *m, const struct mailbox_uids *uids)
{
    if (uids->n == 0)
        return true;
    mailbox_begin(m, "STORE");
    imap_command_add(&m->command, "UID STORE ");
    add_set(m, uids);
    imap_command_add(&m->command, " +FLAGS.SILENT (\\Deleted)");
    if (mailbox_run(m, IPC_STEP_FETCH, NULL, NULL) != IMAP_OK)
        return false;
    if (!(m->caps & IMAP_CAP_UIDPLUS))
        return expunge_all(m, uids);
    mailbox_begin(m, "EXPUNGE");
    imap_command_add(&m->command, "UID EXPUNGE ");
    add_set(m, uids);
    return mailbox_run(m, IPC_STEP_FETCH, NULL, NULL) == IMAP_OK;
}
