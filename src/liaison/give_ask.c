/* Questions to the server while changes are given back: again after a pause where it is too busy,
 * over one more connection where the first was lost, and never a second time where the first may
 * have been carried out. */
#include "liaison/give_int.h"

#include <poll.h>
#include <stdio.h>

enum {
    CONNECTIONS_MAX = 2,
    PAUSES_MAX = 5,
    PAUSES_FULL_MAX = 2, /* a mailbox that is full does not get empty by waiting */
    RECONNECT_SHARE = 4, /* of the first pause, before connecting again */
};

/* ---- waiting ------------------------------------------------------------------------------------
 */

/* False: we are stopping, or there is no time for it. */
static bool sleep_for(const struct give *g, mono_us wait)
{
    struct pollfd p = {.fd = g->net->cancel_fd, .events = POLLIN};
    if (mono_now() + wait >= g->deadline)
        return false;
    struct timespec t = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    return wait == 0 || ppoll(&p, 1, &t, NULL) <= 0;
}

static const char *find_words(const char *text, const char *words)
{
    return strcasestr(text, words);
}

/* RFC 5530 codes; hosted Exchange has none and says it in words, also how long to wait. */
static bool is_busy(const struct mailbox *m)
{
    if (m->code == IMAP_CODE_INUSE || m->code == IMAP_CODE_LIMIT ||
        m->code == IMAP_CODE_OVERQUOTA || m->code == IMAP_CODE_UNAVAILABLE)
        return true;
    return find_words(m->end.text, "throttled") || find_words(m->end.text, "Server Unavailable") ||
           find_words(m->end.text, "Backoff Time");
}

/* The token of this session has ended, or hosted Exchange has lost the mailbox behind it: nothing
 * was carried out, and a new session has a new token. */
static bool is_logged_out(const struct mailbox *m)
{
    return m->code == IMAP_CODE_EXPIRED || find_words(m->end.text, "AccessTokenExpired") ||
           find_words(m->end.text, "Session invalidated") ||
           find_words(m->end.text, "authenticated but not connected");
}

static mono_us hinted(const char *text)
{
    const char *at = find_words(text, "Backoff Time");
    uint64_t ms = 0;
    if (!at)
        return 0;
    at += strcspn(at, "0123456789");
    if (!slice_u64(slice_of(at, strspn(at, "0123456789")), 3600000, &ms))
        return 0;
    return MILLISECONDS((mono_us)ms);
}

/* After a no: is it worth asking again? Waits then. */
static bool wait_busy(struct give *g, unsigned n_before)
{
    bool is_full = g->m->code == IMAP_CODE_OVERQUOTA;
    mono_us wait = g->pause << n_before, told = hinted(g->m->end.text);
    if (!is_busy(g->m))
        return false;
    if (n_before < (is_full ? PAUSES_FULL_MAX : PAUSES_MAX) &&
        sleep_for(g, told > wait ? told : wait))
        return true;
    g->is_full |= is_full;
    g->is_over |= !is_full; /* whatever comes next would be answered the same */
    return false;
}

/* ---- connections ----------------------------------------------------------------------------- */

bool give_connect(struct give *g)
{
    bool is_first = g->n_opened == 0;
    mailbox_close(&g->m);
    g->selected = GIVE_NOWHERE;
    if (g->n_opened == CONNECTIONS_MAX ||
        (!is_first && !sleep_for(g, g->pause / RECONNECT_SHARE))) {
        g->is_over = true;
        return false;
    }
    g->n_opened++;
    g->m = g->open(g, &g->end);
    g->is_over |= g->m == NULL;
    return g->m != NULL;
}

enum imap_word give_ask(struct give *g, give_ask_fn ask, void *arg, bool *ret_is_unsure)
{
    unsigned n_busy = 0;
    g->was_said = false;
    while (!g->is_over && g->m) {
        enum imap_word word = ask(g, arg);
        g->was_said = word == IMAP_BYE && g->m->is_said;
        if (word == IMAP_OK)
            return word;
        g->end = g->m->end;
        bool is_refused = word == IMAP_NO || word == IMAP_BAD;
        if (is_refused && !is_logged_out(g->m)) {
            if (wait_busy(g, n_busy++))
                continue;
            return g->is_over ? IMAP_BYE : word;
        }
        bool is_unsure = ret_is_unsure && g->was_said;
        struct mailbox_end why = g->end;
        if (!give_connect(g) && g->n_opened == CONNECTIONS_MAX && !g->m)
            g->end = why; /* what broke it off says more than that no more is tried */
        if (is_unsure) {
            *ret_is_unsure = true;
            return IMAP_BYE;
        }
    }
    g->is_over = true;
    return IMAP_BYE;
}

/* ---- opening a folder ------------------------------------------------------------------------ */

struct selecting {
    struct give *g;
    struct give_place *place;
    bool is_rw;
    uint32_t uid_validity;
};

static void see_selected(void *arg, const struct imap_response *p)
{
    struct selecting *s = arg;
    if (p->word != IMAP_OK)
        return;
    if (p->code == IMAP_CODE_UIDVALIDITY)
        s->uid_validity = p->code_n[0];
    if (p->code != IMAP_CODE_PERMANENTFLAGS || !s->is_rw || p->flags.n > GIVE_FLAGS_MAX)
        return;
    char *copy = s->place->is_known ? NULL : arena_try(s->g->places.arena, p->flags.n + 1);
    if (!copy)
        return;
    memcpy(copy, p->flags.p, p->flags.n);
    s->place->permanent = slice_of(copy, p->flags.n);
    s->place->is_known = true;
}

enum imap_word give_select(struct give *g, int at, bool is_rw)
{
    if (g->selected == at && (g->is_selected_rw || !is_rw))
        return IMAP_OK;
    const char *verb = is_rw ? "SELECT" : "EXAMINE";
    struct selecting s = {.g = g, .place = &g->places.list[at], .is_rw = is_rw};
    must(!is_rw || !g->todo->is_dry);
    g->selected = GIVE_NOWHERE;
    mailbox_begin(g->m, verb);
    imap_command_add(&g->m->command, "%s ", verb);
    imap_command_string(&g->m->command, s.place->name);
    enum imap_word word = mailbox_run(g->m, IPC_STEP_SELECT, see_selected, &s);
    if (word != IMAP_OK) {
        if (word == IMAP_BYE)
            g->m->is_said = false; /* opening a folder changes nothing */
        return word;
    }
    if (s.place->uid_validity && s.uid_validity != s.place->uid_validity) {
        g->m->code = IMAP_CODE_NONE;
        mailbox_end_words(&g->m->end, IPC_STEP_SELECT,
                          "the folder was made anew while we looked; it is left alone");
        return IMAP_NO;
    }
    s.place->uid_validity = s.uid_validity;
    g->selected = at;
    g->is_selected_rw = is_rw;
    return IMAP_OK;
}
