/* Looks into a mailbox of a primary: can a person log in there, does a canary arrive? */
#include "liaison/token_int.h"

#include <stdio.h>

enum { TIMEOUT_MOST_MS = 3600000 };

static bool look_login(struct mailbox *m)
{
    struct mailbox_selected inbox;
    if (!mailbox_select(m, SLICE("INBOX"), true, &inbox))
        return false;
    mailbox_end_words(&m->end, IPC_STEP_SELECT, "logged in; the INBOX has %u messages",
                      inbox.n_messages);
    return true;
}

/* Log in first: a canary that nobody could look for would only lie about. */
static bool look_canary(struct mailbox *m, struct mailbox_canary *c)
{
    struct mailbox_selected inbox;
    return mailbox_select(m, SLICE("INBOX"), false, &inbox) && canary_send(c, &m->end) &&
           canary_find(c, m, &inbox);
}

static bool look(struct mailbox_way *way, const struct ipc_mailbox_look *l,
                 struct mailbox_canary *c, struct mailbox_end *end)
{
    bool is_canary = l->what == IPC_LOOK_CANARY;
    if (is_canary && !canary_init(c, end))
        return false;
    struct mailbox *m = mailbox_enter(way, c->deadline, &c->seen->cert_until, end);
    if (!m)
        return false;
    bool is_well = is_canary ? look_canary(m, c) : look_login(m);
    *end = m->end;
    mailbox_close(&m);
    return is_well;
}

/* ---- as a work
 * ---------------------------------------------------------------------------------------- */

static bool unpack(struct liaison_work *w)
{
    struct ipc_mailbox_look *l = &w->look;
    if (!ipc_mailbox_look_unpack(buf_slice(&w->payload), w->arena, l))
        return false;
    w->primary = l->primary;
    return l->n_server == 1 && (l->what == IPC_LOOK_LOGIN || l->what == IPC_LOOK_CANARY);
}

static void run(const struct courier_network *network, const struct liaison_work *w,
                struct buf *ret)
{
    const struct ipc_mailbox_look *l = &w->look;
    mono_us begun = mono_now(), timeout = liaison_timeout(l->timeout_ms, TIMEOUT_MOST_MS);
    struct courier_network net = liaison_hurried(network, timeout);
    struct ipc_mailbox_seen seen = {.primary = l->primary, .what = l->what};
    struct mailbox_canary c = {.net = &net, .look = l, .deadline = begun + timeout, .seen = &seen};
    struct mailbox_way way = {
        .net = &net, .server = &l->server[0], .tokens = w->tokens, .primary = l->primary};
    struct mailbox_end end = {};
    seen.is_well = look(&way, l, &c, &end);
    seen.is_ours = end.is_ours || end.is_denied; /* an application's secret that ran out is no
                                                  * failure of the primary */
    seen.step = (uint8_t)end.step;
    seen.text = slice_str(end.text);
    seen.folder = slice_str(c.folder);
    seen.took_ms = (uint32_t)((mono_now() - begun) / 1000);
    ipc_mailbox_seen_pack(ret, &seen);
    canary_finish(&c);
    mailbox_way_finish(&way);
}

static void decline(const struct liaison_work *w, const char *why, struct buf *ret)
{
    struct ipc_mailbox_seen seen = {
        .primary = w->primary, .what = w->look.what, .is_ours = 1, .text = slice_str(why)};
    ipc_mailbox_seen_pack(ret, &seen);
}

const struct liaison_kind liaison_look_kind = {
    IPC_T_mailbox_look, IPC_T_mailbox_seen, LIAISON_MAILBOXES, unpack, run, decline,
};
