/* Logging in of people: who is it, by password, one-time code or token; and what that costs those
 * who guess.
 *
 * Decisions are made here, on core's loop, with the time passed in; Argon2 runs on two threads of
 * the room's own (struct login_pool), since its memory and time are what an attacker would like us
 * to spend. What changes is proposed, written by the host, and applied when it is durable.
 *
 * Not here: HTTP (room web), which person has an address (room directory), writing (room desk).
 * Sources: RFC 7617 (Basic), RFC 6750 (Bearer), RFC 9106 (Argon2). */
#ifndef LOGIN_LOGIN_H
#define LOGIN_LOGIN_H

#include "base/refuse.h"
#include "store/record.h"

#include "base/pack_struct_begin.h"
#include "login/login.def"
#include "base/pack_end.h"

enum {
    LOGIN_ITEM = 1, /* id of the one item of kind LOGIN that an account has */
    LOGIN_BODY_MAX = 16 << 10,
    LOGIN_TOKENS_MAX = 50,
    LOGIN_NETWORKS_MAX = 8,
    LOGIN_ADDRESS_MAX = 400,
    LOGIN_SECRET_MAX = 256, /* of what people type */
    LOGIN_PASSWORD_MIN = 10,
    LOGIN_NAME_MAX = 100,
    LOGIN_HEADER_MAX = 1000, /* a longer Authorization is nonsense */
    LOGIN_JSON_MAX = 4096,
    /* With the terminating zero: */
    LOGIN_HASH_TEXT = 128,
    LOGIN_TOKEN_TEXT = 57, /* "sta_" (app) or "sts_" (session), 52 letters */
    LOGIN_CODE_TEXT = 10,  /* "1234 5678" */
    LOGIN_WORD_TEXT = 24,  /* a generated password: "abcde-fghij-klmno-pqrst" */
    LOGIN_CSRF_TEXT = 27,
    LOGIN_SESSION_DAYS = 30, /* since it was used last */
    LOGIN_CODE_MINUTES = 15,
    LOGIN_CODE_TRIES = 5,
};

enum login_kind { LOGIN_SESSION = 1, LOGIN_APP = 2 };

/* Before the sandbox closes; once a process. */
void login_before_sandbox(void);
void login_wipe(void *p, size_t n); /* secrets do not stay in memory */

/* ---- reading what came (pure) ------------------------------------------------------------- */

enum login_way {
    LOGIN_BY_NOTHING,
    LOGIN_BY_PASSWORD, /* or an app token in its place */
    LOGIN_BY_CODE,
    LOGIN_BY_TOKEN,
};
struct login_form {
    enum login_way way;
    size_t n_address, n_secret, n_name;
    char address[LOGIN_ADDRESS_MAX], secret[LOGIN_SECRET_MAX], name[LOGIN_NAME_MAX];
};
/* The value of an Authorization header. False: neither Basic nor Bearer, or nonsense. */
bool login_read_header(struct slice header, struct login_form *ret);
/* {"address", "password" or "code", "name"}: a flat object of texts; members that are not known,
 * twice or of another type are refused. False: `*ret_why` says what is wrong, in words. */
bool login_read_json(struct slice json, struct login_form *ret, const char **ret_why);
void login_form_wipe(struct login_form *f);

/* ---- the memory (loop) -------------------------------------------------------------------- */

struct login;
struct login *login_create(void);
void login_destroy(struct login **l);
/* An item of kind LOGIN as the store has it. ERR_CORRUPT: unreadable; nothing changes. */
enum err login_load(struct login *l, const struct record_item *item, struct errinfo *ei);

/* ---- who is it (loop) --------------------------------------------------------------------- */

struct login_ask {
    enum login_way way;
    uint64_t person;      /* whose address it is, if she may log in; 0: nobody's */
    struct slice address; /* canonical; also where nobody has it */
    struct slice secret;
    struct slice client; /* the peer's address as text */
    utc_ms now;
    mono_us at;
};

enum login_verdict { LOGIN_NO, LOGIN_YES, LOGIN_CHECK };
struct login_told {
    enum login_verdict verdict;
    uint64_t person, token; /* YES; token 0: by password or code. Or: who is_guessed is about */
    enum refuse_id refusal; /* NO; counted already */
    uint32_t retry_after;   /* NO: seconds; 0: not said */
    uint64_t note;          /* a change LOGIN_NOTE of this person is worth writing; 0: none is */
    bool is_guessed;        /* this account's secrets are guessed at: tell people, once a day */
};
/* Where a peer is: IPv4, the /64 of IPv6, or unknown (n 0). */
struct login_place {
    uint8_t p[8], n;
};
/* A password that has to be hashed; comes back by login_checked, always. */
struct login_check {
    char hash[LOGIN_HASH_TEXT]; /* of nobody's password where there is none: the same work */
    char secret[LOGIN_SECRET_MAX];
    size_t n_secret;
    bool is_welcome; /* she logged in from there lately: goes first */
    uint64_t person;
    uint64_t keys[3]; /* of the throttle */
    uint8_t mark[16]; /* of this very guess */
    struct login_place place;
};
enum login_result { LOGIN_NOT_TRIED, LOGIN_DIFFERS, LOGIN_MATCHES };

/* Decides, or wants a check first (LOGIN_CHECK, `*ret_check` is filled). A person who is not known
 * and one without a password look and last the same. A code that is right is used up. */
void login_judge(struct login *l, const struct login_ask *ask, struct login_told *ret,
                 struct login_check *ret_check);
/* The check is done; LOGIN_NOT_TRIED: there was no room for it, and it costs nobody anything. */
void login_checked(struct login *l, const struct login_check *c, enum login_result result,
                   utc_ms now, mono_us at, struct login_told *ret);
/* The text of a session's cookie. */
void login_session(struct login *l, struct slice cookie, struct slice client, utc_ms now,
                   struct login_told *ret);

/* What a page of ours shows to prove that it is one: made from the session's text, which scripts
 * of other pages cannot read. */
void login_csrf(struct slice cookie, char ret[LOGIN_CSRF_TEXT]);
bool login_csrf_fits(struct slice cookie, struct slice csrf); /* in constant time */

/* ---- changing (loop) ---------------------------------------------------------------------- */

enum login_what {
    LOGIN_SET_PASSWORD, /* and every session ends; app tokens stay */
    LOGIN_SET_CODE,
    LOGIN_ADD_TOKEN,    /* in place of the oldest session when there are too many */
    LOGIN_REMOVE_TOKEN, /* `token`: its id */
    LOGIN_END_SESSIONS, /* and the code */
    LOGIN_NOTE,         /* what memory knows: tries, days, networks */
};
struct login_change {
    enum login_what what;
    uint64_t person;
    utc_ms now;
    char password[LOGIN_HASH_TEXT]; /* SET_PASSWORD: from login_pool_hash */
    uint8_t salt[16], hash[32];     /* of the code or the token */
    uint64_t token;
    enum login_kind kind;
    char name[LOGIN_NAME_MAX];
    size_t n_name;
};
/* New secrets: the text for the person, its hash into the change. */
void login_make_code(struct login_change *c, uint64_t person, utc_ms now,
                     char ret[LOGIN_CODE_TEXT]);
void login_make_token(struct login_change *c, uint64_t person, enum login_kind kind,
                      struct slice name, utc_ms now, char ret[LOGIN_TOKEN_TEXT]);
void login_make_word(char ret[LOGIN_WORD_TEXT]); /* 100 bits */
/* Why this cannot be a password, in words; NULL: it can. */
const char *login_word_fault(struct slice password, struct slice address);

/* What the item's body is after the change. ERR_LIMIT: no room for another token; ERR_GONE: no
 * such token. Nothing changes. */
enum err login_propose(const struct login *l, const struct login_change *c, struct buf *ret,
                       struct errinfo *ei);
/* It is durable: from now on it counts. Changes of one person one after another. */
void login_apply(struct login *l, const struct login_change *c);

/* ---- looking (loop) ----------------------------------------------------------------------- */

struct login_state {
    bool has_password;
    utc_ms password_at;
    utc_ms code_until; /* 0: there is no code */
    uint32_t n_sessions, n_apps;
};
struct login_state login_state(const struct login *l, uint64_t person, utc_ms now);
/* Walk over the tokens that still count, oldest first: *at starts at 0; false at the end. Slices
 * are borrowed until something changes. */
bool login_next_token(const struct login *l, uint64_t person, utc_ms now, size_t *at,
                      struct login_token *ret);

/* ---- Argon2 on threads -------------------------------------------------------------------- */

/* `post` brings fn(arg) to the loop (net_loop_post). */
struct login_pool;
struct login_pool *login_pool_create(void (*post)(void *arg, void (*fn)(void *), void *fn_arg),
                                     void *arg);
/* Those that wait are told LOGIN_NOT_TRIED at once; those that run are posted. Takes NULL. */
void login_pool_destroy(struct login_pool **p);
typedef void login_checked_fn(void *arg, enum login_result result);
/* False: too many wait already (two lines of LOGIN_LINE_MAX, one for the welcome). */
bool login_pool_check(struct login_pool *p, const struct login_check *c, login_checked_fn *done,
                      void *arg);
typedef void login_hashed_fn(void *arg, const char *hash); /* NULL: not made */
bool login_pool_hash(struct login_pool *p, struct slice password, login_hashed_fn *done, void *arg);
enum { LOGIN_THREADS = 2, LOGIN_LINE_MAX = 32 };

#endif
