/* Inside liaison: tokens to log in to mailboxes with (XOAUTH2), as Microsoft 365, Google and others
 * give them: asked of an endpoint over HTTPS, kept in memory until shortly before they end, got
 * anew when a server refuses one. RFC 6749 (OAuth 2.0), 7523 (assertions).
 *
 * No token and no secret is in a log, in words or in an answer; the one exception is `token_new`,
 * by which core hears of a refresh token that took the place of another. */
#ifndef LIAISON_TOKEN_INT_H
#define LIAISON_TOKEN_INT_H

#include "liaison/mailbox_int.h"
#include "liaison/web_int.h"

enum { TOKEN_MAX = 8192 };

/* ---- one question (token_ask.c) ----------------------------------------------------------------
 */

struct token_answer {
    struct buf token,
        refresh;        /* `refresh`: empty unless another one was given; both wiped by finish */
    uint32_t lives_sec; /* 0: not said */
    struct mailbox_end end; /* when there is no token: step LOGIN, why; is_ours, is_denied */
};
void token_answer_init(struct token_answer *a);
void token_answer_finish(struct token_answer *a);

/* What is sent: application/x-www-form-urlencoded. `user`: the mailbox; `refresh`: with that grant.
 * False: the private key of an assertion is none; `end` says so. */
bool token_form(const struct ipc_token_source *s, struct slice user, struct slice refresh,
                utc_ms now, struct buf *out, struct mailbox_end *end);
/* What came back; `used`: the refresh token, if one was sent. Pure; hostile. False: no token,
 * ret->end. */
bool token_read(const struct ipc_token_source *s, struct slice used, uint16_t status,
                struct slice body, struct token_answer *ret);
/* Asks. Blocks until `deadline` at most. */
bool token_ask(const struct courier_network *net, const struct ipc_token_source *s,
               struct slice user, struct slice refresh, mono_us deadline, struct token_answer *ret);

/* ---- those that are good still (token.c) -------------------------------------------------------
 */

struct liaison_tokens;
/* `tell`: another refresh token was given than the one that a token is asked for by; any thread,
 * before its token is used, and again with each such question. */
typedef void (*token_tell_fn)(void *arg, const struct ipc_token_new *t);
struct liaison_tokens *liaison_tokens_create(token_tell_fn tell, void *arg);
void liaison_tokens_destroy(struct liaison_tokens **t); /* wipes; takes NULL */

/* A token for `s` (n_token is 1) into `ret`: one that is kept (`*ret_is_kept`), or else a new one;
 * of several threads that want the same new one only one asks. False: `end` says why. Any thread.
 */
bool token_get(struct liaison_tokens *t, const struct courier_network *net, uint64_t primary,
               const struct ipc_server *s, mono_us deadline, struct buf *ret, bool *ret_is_kept,
               struct mailbox_end *end);
/* It was refused: not to be given out again. */
void token_drop(struct liaison_tokens *t, const struct ipc_server *s, struct slice token);

/* ---- a conversation that is opened with one (token.c) ------------------------------------------
 */

struct mailbox_way {
    const struct courier_network *net;
    const struct ipc_server *server;
    struct liaison_tokens *tokens; /* NULL: there are none, then only fixed secrets work */
    uint64_t primary;
    /* inside; the mailbox borrows from here */
    struct ipc_server with_token;
    struct buf token;
};
/* mailbox_open, with a token where one is needed; where a token that was kept is refused, once more
 * with a new one. The mailbox must be closed before the way is finished or entered again. */
struct mailbox *mailbox_enter(struct mailbox_way *w, mono_us deadline, utc_ms *cert_until,
                              struct mailbox_end *end);
void mailbox_way_finish(struct mailbox_way *w);

#endif
