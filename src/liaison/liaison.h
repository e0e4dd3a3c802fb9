/* The customer's systems, looked at from outside: probes of a primary's SMTP, looks into its
 * mailboxes by IMAP, controls that tell whether it is us who are cut off; and webhooks.
 *
 * Each piece of work is one blocking thread with a deadline. What is seen means nothing yet: that
 * is core's to judge. The works, by the message that asks (see ipc.def):
 *   probe         connect, greeting, EHLO, STARTTLS if wanted, MAIL FROM:<>, RSET, QUIT; names no
 *                 recipient and sends no mail. Code 250 and phase MAIL when all went well; else the
 *                 phase, code and words of the last host that failed (code 0: no reply).
 *   mailbox_look  LOGIN: log in, EXAMINE INBOX, log out. CANARY: log in, send one small message by
 *                 the primary's SMTP, wait until it is in the mailbox and can be read, remove it
 *                 and older ones of ours.
 *   mailbox_has   search all folders of one mailbox for Message-IDs.
 *   mailbox_do    make messages of one mailbox as they shall be: append, flags, move, remove; each
 *                 is looked for first, doing it twice changes nothing.
 *   hook          call a webhook (hook.h): signed, no redirect, nobody's inside.
 *   push          the same way to an address that a client named, encrypted for it.
 *   control       connect to hosts that have nothing to do with any primary, ask the resolver.
 * Hosts are tried in order until one is well. Secrets are wiped when their work ends and are in no
 * log and no answer. */
#ifndef LIAISON_LIAISON_H
#define LIAISON_LIAISON_H

#include "courier/peer.h"

struct liaison;

/* Works of different kinds do not wait for each other: a lane has threads and a ceiling of its
 * own. */
enum liaison_lane {
    LIAISON_PROBES,
    LIAISON_MAILBOXES, /* this and RETURNS: liaison_token_prepare comes first */
    LIAISON_CONTROLS,
    LIAISON_HOOKS, /* liaison_hook_prepare comes first */
    LIAISON_RETURNS,
    LIAISON_PUSHES, /* liaison_push_prepare comes first */
    LIAISON_LANES
};

struct liaison_options {
    struct {
        unsigned threads;     /* works at once */
        unsigned works;       /* running and waiting; more are answered as not tried */
        unsigned per_primary; /* of one primary (hooks, pushes: one receiver) at once, so that one
                               * black hole starves nobody */
    } lane[LIAISON_LANES];
    struct courier_network network; /* copied; what it points to must outlive the liaison */
    /* Exactly once for each work that was taken, on any thread. `answer` is packed, borrowed.
     * Besides, with tag 0, `token_new` whenever there is one. */
    void (*done)(void *arg, enum ipc_type type, uint64_t tag, struct buf *answer);
    void *done_arg;
};

struct liaison *liaison_create(const struct liaison_options *o);
void liaison_destroy(struct liaison **l); /* abandons what runs, answers it; takes NULL */

/* Any thread; does not block. `payload` is a message of `type`, borrowed. False: nonsense, or not a
 * work of the liaison; then nothing is answered. */
bool liaison_take(struct liaison *l, uint16_t type, uint64_t tag, struct slice payload);
/* A piece of the messages for a mailbox_do that comes with the same tag; copied. All that is held
 * has a ceiling: over it the mailbox_do is answered as not tried. False: nonsense. Any thread. */
bool liaison_content(struct liaison *l, uint64_t tag, struct slice bytes);
void liaison_forget_contents(struct liaison *l); /* whoever sent them is gone */

#endif
