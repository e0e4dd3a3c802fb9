/* Which Message-IDs does a mailbox hold? Every folder that can be opened is searched for every id
 * that was not found yet, many searches on their way at once. Absent is said only when every folder
 * answered. */
#include "liaison/mailbox_int.h"

enum { TIMEOUT_MOST_MS = 3600000, AT_ONCE = 16, IDS_MAX = 500 };

struct search {
    struct mailbox *m;
    const struct ipc_mailbox_has *has;
    struct ipc_mailbox_has_told *told;
    bool is_refused[IDS_MAX]; /* some folder gave no answer for it */
    /* Of the searches on their way, in the order of their tags: RFC 9051 section 5.5 lets us ask
     * on, but an untagged SEARCH names no command. Servers answer in order; one that does not is
     * noticed by its tags. */
    uint32_t waiting[AT_ONCE];
    size_t n_waiting;
    bool is_hit; /* an untagged SEARCH with a number came since the last tagged answer */
};

static bool is_askable(struct slice id)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] < ' ' || id.p[i] > '~')
            return false;
    return id.n > 2;
}

static bool ask(struct search *s, uint32_t at)
{
    struct mailbox *m = s->m;
    mailbox_begin(m, "SEARCH");
    imap_command_add(&m->command, "UID SEARCH HEADER Message-ID ");
    imap_command_string(&m->command, s->has->ids[at].id);
    if (s->n_waiting == 0)
        m->first_open = m->last_tag;
    s->waiting[s->n_waiting++] = at;
    return mailbox_send(m, IPC_STEP_SEARCH);
}

/* Read until the oldest search has its answer. */
static bool take_answer(struct search *s)
{
    struct imap_response p;
    uint32_t tag;
    s->is_hit = false;
    do {
        if (!mailbox_next(s->m, IPC_STEP_SEARCH, &p, &tag))
            return false;
        s->is_hit |= p.kind == IMAP_UNTAGGED && p.word == IMAP_SEARCH && p.set.n > 0;
    } while (tag == 0);
    if (tag != s->m->first_open) {
        mailbox_break(s->m, IPC_STEP_SEARCH, "searches were answered in another order");
        return false;
    }
    uint32_t at = s->waiting[0];
    s->m->first_open++;
    memmove(s->waiting, s->waiting + 1, --s->n_waiting * sizeof(s->waiting[0]));
    if (p.word != IMAP_OK) {
        s->is_refused[at] = true;
        mailbox_refused(s->m, IPC_STEP_SEARCH, &p);
    } else if (s->is_hit) {
        s->told->facts[at].has = IPC_HAS_FOUND;
    }
    return true;
}

static bool search_selected(struct search *s)
{
    for (uint32_t i = 0; i < s->has->n_ids; i++) {
        if (s->told->facts[i].has == IPC_HAS_FOUND || !is_askable(s->has->ids[i].id))
            continue;
        if (s->n_waiting == AT_ONCE && !take_answer(s))
            return false;
        if (!ask(s, i))
            return false;
    }
    while (s->n_waiting > 0)
        if (!take_answer(s))
            return false;
    return true;
}

static bool is_all_found(const struct search *s)
{
    for (uint32_t i = 0; i < s->told->n_facts; i++)
        if (s->told->facts[i].has != IPC_HAS_FOUND)
            return false;
    return true;
}

/* Absent, where nothing stood in the way. True: no fact is unsure. */
static bool conclude(struct search *s, bool is_complete)
{
    bool is_sure = true;
    for (uint32_t i = 0; i < s->told->n_facts; i++) {
        struct ipc_mailbox_fact *fact = &s->told->facts[i];
        if (fact->has == IPC_HAS_FOUND)
            continue;
        if (is_complete && !s->is_refused[i] && is_askable(s->has->ids[i].id))
            fact->has = IPC_HAS_ABSENT;
        else
            is_sure = false;
    }
    return is_sure;
}

static void not_open(struct mailbox *m, struct slice name)
{
    struct mailbox_end why = m->end;
    char text[200];
    mailbox_folder_text(name, text, sizeof(text));
    mailbox_end_words(&m->end, IPC_STEP_SELECT, "the folder %s cannot be searched: %.300s", text,
                      why.text);
}

bool has_find(struct mailbox *m, const struct ipc_mailbox_has *has,
              struct ipc_mailbox_has_told *told)
{
    struct search *s = mem_new(sizeof(*s));
    struct mailbox_folders folders;
    struct mailbox_selected ignored;
    *s = (struct search){.m = m, .has = has, .told = told};
    bool is_complete = mailbox_list(m, &folders);
    if (is_complete && (folders.is_cut || folders.n == 0)) {
        mailbox_end_words(&m->end, IPC_STEP_SELECT, "%s",
                          folders.n ? "there are too many folders to search all of them"
                                    : "there is no folder to search in");
        is_complete = false;
    } else if (is_complete)
        m->end = (struct mailbox_end){}; /* another form of LIST may have been refused before */
    for (size_t i = 0; i < folders.n && !m->is_broken && !is_all_found(s); i++) {
        bool is_open = mailbox_select(m, folders.list[i].name, true, &ignored);
        if (!is_open && !m->is_broken)
            not_open(m, folders.list[i].name);
        bool is_searched = is_open && search_selected(s);
        told->n_folders += is_searched;
        is_complete &= is_searched;
    }
    bool is_sure = conclude(s, is_complete);
    if (is_sure)
        mailbox_end_words(&m->end, IPC_STEP_SEARCH, "%u folders were searched", told->n_folders);
    else if (!m->end.text[0])
        mailbox_end_words(&m->end, IPC_STEP_SEARCH, "not every Message-ID can be searched for");
    mailbox_folders_finish(&folders);
    mem_free(&s);
    return is_sure;
}

/* ---- as a work
 * ---------------------------------------------------------------------------------------- */

static bool unpack(struct liaison_work *w)
{
    if (!ipc_mailbox_has_unpack(buf_slice(&w->payload), w->arena, &w->has))
        return false;
    w->primary = w->has.primary;
    return w->has.n_server == 1;
}

static void run(const struct courier_network *network, const struct liaison_work *w,
                struct buf *ret)
{
    const struct ipc_mailbox_has *has = &w->has;
    mono_us begun = mono_now(), timeout = liaison_timeout(has->timeout_ms, TIMEOUT_MOST_MS);
    struct courier_network net = liaison_hurried(network, timeout);
    struct ipc_mailbox_fact facts[IDS_MAX] = {};
    struct ipc_mailbox_has_told told = {
        .primary = has->primary, .facts = facts, .n_facts = has->n_ids};
    struct mailbox_end end = {};
    utc_ms cert_until = 0;
    struct mailbox *m = mailbox_open(&net, &has->server[0], begun + timeout, &cert_until, &end);
    if (m) {
        told.is_well = has_find(m, has, &told);
        end = m->end;
        mailbox_close(&m);
    }
    told.step = (uint8_t)end.step;
    told.is_ours = end.is_ours;
    told.text = slice_str(end.text);
    told.took_ms = (uint32_t)((mono_now() - begun) / 1000);
    ipc_mailbox_has_told_pack(ret, &told);
}

static void decline(const struct liaison_work *w, const char *why, struct buf *ret)
{
    struct ipc_mailbox_fact facts[IDS_MAX] = {};
    struct ipc_mailbox_has_told told = {.primary = w->primary,
                                        .is_ours = 1,
                                        .text = slice_str(why),
                                        .facts = facts,
                                        .n_facts = w->has.n_ids};
    ipc_mailbox_has_told_pack(ret, &told);
}

const struct liaison_kind liaison_has_kind = {
    IPC_T_mailbox_has, IPC_T_mailbox_has_told, LIAISON_MAILBOXES, unpack, run, decline,
};
