/* Which Message-IDs does a mailbox hold? Every folder that can be opened is searched for every id
 * that was not found yet. Absent is said only when every folder answered; found only of an answer
 * that certainly belongs to the question, because what is found is not given back.
 *
 * An untagged SEARCH names no command, and servers (Dovecot) send several of them before the first
 * tagged answer. So many searches are on their way at once only where the answers say to which they
 * belong (ESEARCH, RFC 4731); else one after the other. */
#include "liaison/token_int.h"

enum { TIMEOUT_MOST_MS = 3600000, AT_ONCE = 16, IDS_MAX = 500 };

struct question {
    uint32_t tag, at; /* command, and place in the list of ids */
    bool is_hit;
};
struct search {
    struct mailbox *m;
    const struct ipc_mailbox_has *has;
    struct ipc_mailbox_has_told *told;
    bool is_refused[IDS_MAX]; /* some folder gave no answer for it */
    struct question open[AT_ONCE];
    size_t n_open, n_most;
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
    imap_command_add(&m->command, "UID SEARCH %sHEADER Message-ID ",
                     s->n_most > 1 ? "RETURN (ALL) " : "");
    imap_command_string(&m->command, s->has->ids[at].id);
    s->open[s->n_open++] = (struct question){.tag = m->last_tag, .at = at};
    m->first_open = s->open[0].tag;
    return mailbox_send(m, IPC_STEP_SEARCH);
}

static struct question *find_question(struct search *s, uint32_t tag)
{
    for (size_t i = 0; i < s->n_open; i++)
        if (s->open[i].tag == tag)
            return &s->open[i];
    return NULL;
}

static bool take_hit(struct search *s, const struct imap_response *p)
{
    uint64_t tag = 0;
    struct question *q = s->n_open == 1 ? &s->open[0] : NULL;
    if (p->for_tag.n > 0) {
        bool is_ours =
            p->for_tag.p[0] == 's' && slice_u64(slice_skip(p->for_tag, 1), UINT32_MAX, &tag);
        q = is_ours ? find_question(s, (uint32_t)tag) : NULL;
    }
    if (q)
        q->is_hit |= p->set.n > 0;
    else
        mailbox_break(s->m, IPC_STEP_SEARCH,
                      "the server does not say to which search an answer belongs");
    return q != NULL;
}

static bool take_end(struct search *s, uint32_t tag, const struct imap_response *p)
{
    struct question *q = find_question(s, tag);
    if (!q) {
        mailbox_break(s->m, IPC_STEP_SEARCH, "a search was answered twice");
        return false;
    }
    if (p->word != IMAP_OK) {
        s->is_refused[q->at] = true;
        mailbox_refused(s->m, IPC_STEP_SEARCH, p);
    } else if (q->is_hit) {
        s->told->facts[q->at].has = IPC_HAS_FOUND;
    }
    size_t at = (size_t)(q - s->open);
    memmove(q, q + 1, (--s->n_open - at) * sizeof(*q));
    return true;
}

/* Read until one search has its end. */
static bool take_answer(struct search *s)
{
    struct imap_response p;
    uint32_t tag;
    do {
        if (!mailbox_next(s->m, IPC_STEP_SEARCH, &p, &tag))
            return false;
        bool is_search = p.kind == IMAP_UNTAGGED && p.word == IMAP_SEARCH;
        if (is_search && !take_hit(s, &p))
            return false;
    } while (tag == 0);
    return take_end(s, tag, &p);
}

static bool search_selected(struct search *s)
{
    for (uint32_t i = 0; i < s->has->n_ids; i++) {
        if (s->told->facts[i].has == IPC_HAS_FOUND || !is_askable(s->has->ids[i].id))
            continue;
        if (s->n_open == s->n_most && !take_answer(s))
            return false;
        if (!ask(s, i))
            return false;
    }
    while (s->n_open > 0)
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
    s->n_most = m->caps & IMAP_CAP_ESEARCH ? AT_ONCE : 1;
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
    struct mailbox_way way = {
        .net = &net, .server = &has->server[0], .tokens = w->tokens, .primary = has->primary};
    struct mailbox *m = mailbox_enter(&way, begun + timeout, &cert_until, &end);
    if (m) {
        told.is_well = has_find(m, has, &told);
        end = m->end;
        mailbox_close(&m);
    }
    mailbox_way_finish(&way);
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
