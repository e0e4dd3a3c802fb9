/* Inside the desk: who is it that asks over HTTPS, and people's ways to log in. */
#ifndef DESK_DESK_LOGIN_INT_H
#define DESK_DESK_LOGIN_INT_H

#include "desk/desk_int.h"

#include "login/login.h"

/* ---- desk_login.c: who is it -------------------------------------------------------------- */

struct desk_login_told {
    uint16_t status;        /* 200: she may; 401, 403, 429, 503: not */
    uint64_t person, login; /* 200: of login, the token's id; 0: by password */
    const char *words;      /* else: why, for people */
    uint32_t retry_after;   /* seconds; 0: not said */
    bool has_challenge;     /* 401: with WWW-Authenticate: no page of ours asked */
    bool is_cookie_over;    /* the cookie is of no use any more */
};
typedef void desk_login_who_fn(void *arg, const struct desk_login_told *told);
/* Who sent this? Called back once, on the loop: within the call, or after Argon2, or with 503 from
 * desk_login_stop. `call` is borrowed for the call. */
void desk_login_who(struct desk *d, const struct ipc_call *call, desk_login_who_fn *done,
                    void *arg);
/* The answer to a request of somebody who is not let in: a problem document (RFC 9457). */
void desk_login_problem(const struct desk_login_told *told, struct ipc_called *ret,
                        struct buf *body);

/* IPC_CALL_LOGIN and IPC_CALL_LOGOUT: the whole answer, once, on the loop; called and body are
 * borrowed for the call. A cookie is set only when the session is durable. `body` holds a secret:
 * its owner wipes it (login_wipe). */
typedef void desk_login_fn(void *arg, const struct ipc_called *called, struct slice body);
void desk_login(struct desk *d, const struct ipc_call *call, struct slice body, desk_login_fn *done,
                void *arg);

/* ---- desk_login_write.c: what changes ----------------------------------------------------- */

struct desk_logins {
    struct login *login;
    struct login_pool *pool; /* NULL: stopping */
    struct list writes;      /* changes, in order; one of a person at a time */
    struct map *busy;        /* persons whose change is being written */
    size_t n_writes;
    mono_us next_tick;
};
void desk_logins_create(struct desk *d);
enum err desk_logins_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
/* No more work: those who wait are told. Before the loop is settled for the last time. */
void desk_logins_stop(struct desk *d);
/* Changes that could not be written are told so; when the store is closed, before the room admin.
 */
void desk_logins_destroy(struct desk *d);
void desk_logins_tick(struct desk *d, mono_us now);

/* NULL: she may not log in (any more): no mailbox here, or nobody at all. */
const struct directory_person *desk_login_person(struct desk *d, uint64_t person);
typedef void desk_login_written_fn(void *cookie, enum err err, const char *why);
/* Writes the change and applies it; then `done` (may be NULL), on the loop. ERR_LIMIT, ERR_GONE,
 * ERR_EXISTS: it cannot be made; others as store_change. */
void desk_login_change(struct desk *d, const struct login_change *c, desk_login_written_fn *done,
                       void *cookie);
void desk_login_note(struct desk *d, uint64_t person); /* 0: nothing */
/* Somebody guesses at her password or code: those in charge learn of it. */
void desk_login_guessed(struct desk *d, uint64_t person);

/* ---- desk_login_admin.c: of the administration -------------------------------------------- */

void desk_login_order(void *arg, const struct admin_login_order *order,
                      void (*done)(void *cookie, enum err err, const char *text), void *cookie);
struct admin_login desk_login_state(void *arg, uint64_t person);
bool desk_login_next_token(void *arg, uint64_t person, size_t *at, struct admin_login_token *ret);

#endif
