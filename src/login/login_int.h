/* Inside the room. */
#ifndef LOGIN_LOGIN_INT_H
#define LOGIN_LOGIN_INT_H

#include "login/login.h"

enum {
    HASH_BYTES = 32,
    SALT_BYTES = 16,
    MARK_BYTES = 16,
    CODE_DIGITS = 8,
    TOKEN_LETTERS = LOGIN_TOKEN_TEXT - 1,
    DAY_MS = 24 * 3600 * 1000,
};

/* ---- login_throttle.c: what guessing costs ------------------------------------------------ */

/* Every wrong try is counted for the account and for the network it came from, in two widths; where
 * she logged in well lately, only for the two together. A try that comes within the wait is refused
 * and does not make the wait longer. */
enum throttle_kind { THROTTLE_ACCOUNT, THROTTLE_NETWORK, THROTTLE_WIDE, THROTTLE_PAIR };
/* Of a fixed size: who fills it with strangers pushes out those who guessed least. */
struct throttle;
struct throttle *throttle_create(void);
void throttle_destroy(struct throttle **t);
mono_us throttle_wait(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at);
void throttle_charge(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at);
/* The try was right, or never made: as if it had not been. */
void throttle_refund(struct throttle *t, enum throttle_kind kind, uint64_t key, mono_us at);

/* Guesses that were wrong lately: a program that tries its old password again and again does not
 * guess, and costs nothing. */
struct marks;
struct marks *marks_create(void);
void marks_destroy(struct marks **m);
bool marks_has(const struct marks *m, const uint8_t mark[MARK_BYTES], mono_us at);
void marks_add(struct marks *m, const uint8_t mark[MARK_BYTES], mono_us at);

/* ---- login.c: the memory ------------------------------------------------------------------ */

struct token {
    struct login_token facts; /* hash and name point into this */
    uint8_t hash[HASH_BYTES];
    char name[LOGIN_NAME_MAX];
};
struct person {
    uint64_t id;
    char password[LOGIN_HASH_TEXT]; /* "": none */
    utc_ms password_at;
    bool has_code;
    uint8_t code_salt[SALT_BYTES], code_hash[HASH_BYTES];
    utc_ms code_until;
    uint8_t code_tries;
    struct token *tokens[LOGIN_TOKENS_MAX];
    uint32_t n_tokens;
    struct {
        struct login_place place;
        uint32_t day;
    } networks[LOGIN_NETWORKS_MAX];
    uint32_t n_networks;
    uint32_t noted_day;
    /* In memory only: */
    uint8_t verified[MARK_BYTES]; /* the password that was right … */
    mono_us verified_until;       /* … and until when that is known */
    uint32_t n_guesses, guess_day;
};
struct login {
    struct map *persons; /* id -> struct person */
    struct map *tokens;  /* hash -> struct person */
    struct throttle *throttle;
    struct marks *marks;
    uint8_t key[HASH_BYTES]; /* of marks; dies with the process */
};
struct person *person_of(const struct login *l, uint64_t id); /* NULL: has no item */
/* A view of what the item says: slices point into `p` and `a`. */
void person_facts(const struct person *p, struct arena *a, struct login_facts *ret);
/* Takes it over; what is only in memory stays. */
void person_take(struct login *l, uint64_t id, const struct login_facts *f);

uint32_t day_of(utc_ms t);
bool is_over(const struct login_token *t, utc_ms now);

/* ---- login_make.c ------------------------------------------------------------------------- */

void token_hash(struct slice text, uint8_t ret[HASH_BYTES]);
void code_hash(const char digits[CODE_DIGITS], const uint8_t salt[SALT_BYTES],
               uint8_t ret[HASH_BYTES]);
bool is_token_text(struct slice s, enum login_kind kind);

#endif
