/* Who is it? And is it worth the work to find out? */
#include "login/login_int.h"

#include <arpa/inet.h>
#include <sodium.h>

enum {
    VERIFIED_MINUTES = 10, /* a password that was right need not be hashed again for so long */
    GUESSES_TOLD = 20,     /* of one account in a day: tell people */
    LATELY_DAYS = 30,      /* she logged in from there */
    BUSY_SECONDS = 5,
};

/* Nobody's password: made by no password at all, checked where there is none, since an address that
 * exists must not answer more slowly than one that does not. */
static const char nobodys[] = "$argon2id$v=19$m=65536,t=2,p=1$bm9ib2R5J3MgcGFzc3dkcw$"
                              "U3RhZmZldHRhIGhhcyBub2JvZHkgb2YgdGhhdCBuYW0";

/* ---- places ---- */

static struct login_place place_of(struct slice client)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct login_place place = {};
    uint8_t bytes[16];
    char text[64];
    if (client.n == 0 || client.n >= sizeof(text))
        return place;
    memcpy(text, client.p, client.n);
    text[client.n] = '\0';
    if (inet_pton(AF_INET, text, bytes) == 1) {
        place.n = 4;
        memcpy(place.p, bytes, 4);
    } else if (inet_pton(AF_INET6, text, bytes) == 1) {
        bool is_mapped = memcmp(bytes, mapped, sizeof(mapped)) == 0;
        place.n = is_mapped ? 4 : 8;
        memcpy(place.p, is_mapped ? bytes + 12 : bytes, place.n);
    }
    return place;
}

/* For those who look at refusals. */
static struct slice place_text(const struct login_place *place, char ret[INET6_ADDRSTRLEN])
{
    uint8_t bytes[16] = {};
    memcpy(bytes, place->p, place->n);
    ret[0] = '\0';
    if (place->n)
        (void)inet_ntop(place->n == 4 ? AF_INET : AF_INET6, bytes, ret, INET6_ADDRSTRLEN);
    return slice_str(ret);
}

static bool is_same_place(const struct login_place *a, const struct login_place *b)
{
    return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

static bool is_welcome(const struct person *p, const struct login_place *place, utc_ms now)
{
    for (uint32_t i = 0; p && place->n && i < p->n_networks; i++)
        if (is_same_place(&p->networks[i].place, place))
            return p->networks[i].day + LATELY_DAYS >= day_of(now);
    return false;
}

static void welcome(struct person *p, const struct login_place *place, utc_ms now)
{
    uint32_t at = 0;
    if (place->n == 0)
        return;
    for (uint32_t i = 0; i < p->n_networks; i++) {
        if (is_same_place(&p->networks[i].place, place)) {
            p->networks[i].day = day_of(now);
            return;
        }
        if (p->networks[i].day < p->networks[at].day)
            at = i;
    }
    if (p->n_networks < LOGIN_NETWORKS_MAX)
        at = p->n_networks++;
    p->networks[at].place = *place;
    p->networks[at].day = day_of(now);
}

/* ---- the throttle ---- */

enum { KEY_ACCOUNT, KEY_NETWORK, KEY_WIDE };

static uint64_t account_key(const struct login_ask *ask)
{
    return ask->person ? ask->person : hash_bytes(ask->address);
}

static void make_keys(const struct login_ask *ask, const struct login_place *place, uint64_t ret[3])
{
    size_t wide = place->n == 8 ? 6 : place->n == 4 ? 3 : 0;
    ret[KEY_ACCOUNT] = account_key(ask);
    ret[KEY_NETWORK] = hash_bytes(slice_of((const char *)place->p, place->n));
    ret[KEY_WIDE] = hash_bytes(slice_of((const char *)place->p, wide));
}

static uint64_t pair_of(const uint64_t keys[3])
{
    return hash_bytes(slice_of((const char *)keys, 2 * sizeof(*keys)));
}

static mono_us longest_wait(struct login *l, const struct login_check *c, bool has_account,
                            mono_us at)
{
    if (c->is_welcome)
        return throttle_wait(l->throttle, THROTTLE_PAIR, pair_of(c->keys), at);
    mono_us waits[] = {
        has_account ? throttle_wait(l->throttle, THROTTLE_ACCOUNT, c->keys[KEY_ACCOUNT], at) : 0,
        throttle_wait(l->throttle, THROTTLE_NETWORK, c->keys[KEY_NETWORK], at),
        throttle_wait(l->throttle, THROTTLE_WIDE, c->keys[KEY_WIDE], at),
    };
    mono_us longest = 0;
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
        longest = waits[i] > longest ? waits[i] : longest;
    return longest;
}

/* Before the work is done, or a thousand tries at once would all be the first. */
static void each_count(struct login *l, const struct login_check *c, bool has_account, mono_us at,
                       void (*fn)(struct throttle *, enum throttle_kind, uint64_t, mono_us))
{
    if (c->is_welcome) {
        fn(l->throttle, THROTTLE_PAIR, pair_of(c->keys), at);
        return;
    }
    if (has_account)
        fn(l->throttle, THROTTLE_ACCOUNT, c->keys[KEY_ACCOUNT], at);
    fn(l->throttle, THROTTLE_NETWORK, c->keys[KEY_NETWORK], at);
    fn(l->throttle, THROTTLE_WIDE, c->keys[KEY_WIDE], at);
}

/* ---- answers ---- */

static void say_no(struct login_told *ret, enum refuse_id id, mono_us wait, struct slice who)
{
    (void)refuse(id, who);
    ret->verdict = LOGIN_NO;
    ret->refusal = id;
    ret->retry_after = (uint32_t)((wait + SECONDS(1) - 1) / SECONDS(1));
}

static void say_yes(struct person *p, uint64_t token, const struct login_place *place, utc_ms now,
                    struct login_told *ret)
{
    ret->verdict = LOGIN_YES;
    ret->person = p->id;
    ret->token = token;
    welcome(p, place, now);
    if (p->noted_day != day_of(now)) {
        p->noted_day = day_of(now);
        ret->note = p->id;
    }
}

static void count_guess(struct person *p, utc_ms now, struct login_told *ret)
{
    if (!p)
        return;
    if (p->guess_day != day_of(now)) {
        p->guess_day = day_of(now);
        p->n_guesses = 0;
    }
    p->n_guesses += p->n_guesses < UINT32_MAX;
    ret->is_guessed = p->n_guesses == GUESSES_TOLD;
    ret->person = ret->is_guessed ? p->id : ret->person;
}

/* ---- tokens ---- */

static struct token *find_token(struct login *l, struct slice text, enum login_kind kind,
                                utc_ms now, struct person **ret_owner)
{
    uint8_t hash[HASH_BYTES];
    if (!is_token_text(text, kind))
        return NULL;
    token_hash(text, hash);
    struct person *p = map_get(l->tokens, slice_of((const char *)hash, HASH_BYTES));
    for (uint32_t i = 0; p && i < p->n_tokens; i++) {
        struct token *t = p->tokens[i];
        if (t->facts.kind == kind && !is_over(&t->facts, now) &&
            sodium_memcmp(t->hash, hash, HASH_BYTES) == 0) {
            *ret_owner = p;
            return t;
        }
    }
    return NULL;
}

/* `owner`: it must be hers; 0: anybody's. */
static void judge_token(struct login *l, const struct login_ask *ask, enum login_kind kind,
                        uint64_t owner, struct login_told *ret)
{
    struct person *p = NULL;
    struct token *t = find_token(l, ask->secret, kind, ask->now, &p);
    struct login_place place = place_of(ask->client);
    if (!t || (owner && p->id != owner)) {
        /* A page whose session is over has not guessed. */
        say_no(ret, kind == LOGIN_SESSION ? REFUSE_LOGIN_NEEDED : REFUSE_LOGIN_WRONG, 0,
               ask->client);
        return;
    }
    t->facts.used_day = day_of(ask->now);
    if (kind == LOGIN_SESSION)
        t->facts.expires = ask->now + (utc_ms)LOGIN_SESSION_DAYS * DAY_MS;
    say_yes(p, t->facts.id, &place, ask->now, ret);
}

void login_session(struct login *l, struct slice cookie, struct slice client, utc_ms now,
                   struct login_told *ret)
{
    struct login_ask ask = {.secret = cookie, .client = client, .now = now};
    *ret = (struct login_told){};
    judge_token(l, &ask, LOGIN_SESSION, 0, ret);
}

/* ---- codes ---- */

/* "1234 5678" as people type it; false: not eight digits. */
static bool read_code(struct slice s, char ret[CODE_DIGITS])
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ' || s.p[i] == '-')
            continue;
        if (s.p[i] < '0' || s.p[i] > '9' || n == CODE_DIGITS)
            return false;
        ret[n++] = s.p[i];
    }
    return n == CODE_DIGITS;
}

/* Used up in memory at once: of two that come together one is late. */
static bool try_code(struct person *p, const char digits[CODE_DIGITS], utc_ms now)
{
    static const uint8_t nobody[SALT_BYTES];
    uint8_t hash[HASH_BYTES];
    bool has_code = p && p->has_code && p->code_until > now && p->code_tries > 0;
    code_hash(digits, has_code ? p->code_salt : nobody, hash);
    if (!has_code)
        return false;
    bool is_right = sodium_memcmp(hash, p->code_hash, HASH_BYTES) == 0;
    p->code_tries--;
    p->has_code = !is_right && p->code_tries > 0;
    return is_right;
}

static void judge_code(struct login *l, const struct login_ask *ask, struct login_check *c,
                       struct login_told *ret)
{
    struct person *p = person_of(l, ask->person);
    char digits[CODE_DIGITS];
    mono_us wait = longest_wait(l, c, false, ask->at);
    if (wait > 0) {
        say_no(ret, REFUSE_LOGIN_TOO_MANY, wait, ask->client);
        return;
    }
    bool had_code = p && p->has_code;
    if (read_code(ask->secret, digits) && try_code(p, digits, ask->now)) {
        say_yes(p, 0, &c->place, ask->now, ret);
    } else {
        each_count(l, c, false, ask->at, throttle_charge);
        say_no(ret, REFUSE_LOGIN_WRONG, longest_wait(l, c, false, ask->at), ask->client);
        count_guess(p, ask->now, ret);
        ret->note = had_code ? p->id : 0; /* a start must not give the tries back */
    }
    login_wipe(digits, sizeof(digits));
}

/* ---- passwords ---- */

/* Of who, against what, with which secret; ends with each change of the password. */
static void make_mark(const struct login *l, const struct login_ask *ask, const char *hash,
                      uint8_t ret[MARK_BYTES])
{
    crypto_generichash_state state;
    uint64_t account = account_key(ask);
    must(crypto_generichash_init(&state, l->key, sizeof(l->key), MARK_BYTES) == 0);
    crypto_generichash_update(&state, (const unsigned char *)&account, sizeof(account));
    crypto_generichash_update(&state, (const unsigned char *)hash, strlen(hash) + 1);
    crypto_generichash_update(&state, (const unsigned char *)ask->secret.p, ask->secret.n);
    crypto_generichash_final(&state, ret, MARK_BYTES);
    login_wipe(&state, sizeof(state));
}

static bool is_verified(const struct person *p, const struct login_check *c, mono_us at)
{
    return p && p->verified_until > at && sodium_memcmp(p->verified, c->mark, MARK_BYTES) == 0;
}

static void judge_password(struct login *l, const struct login_ask *ask, struct login_check *c,
                           struct login_told *ret)
{
    struct person *p = person_of(l, ask->person);
    bool has_password = p && p->password[0];
    memcpy(c->hash, has_password ? p->password : nobodys,
           has_password ? sizeof(p->password) : sizeof(nobodys));
    make_mark(l, ask, c->hash, c->mark);
    if (is_verified(p, c, ask->at)) {
        say_yes(p, 0, &c->place, ask->now, ret);
        return;
    }
    mono_us wait = longest_wait(l, c, true, ask->at);
    if (wait > 0 || marks_has(l->marks, c->mark, ask->at)) {
        say_no(ret, wait > 0 ? REFUSE_LOGIN_TOO_MANY : REFUSE_LOGIN_WRONG, wait, ask->client);
        if (wait > 0)
            count_guess(p, ask->now, ret);
        return;
    }
    each_count(l, c, true, ask->at, throttle_charge);
    memcpy(c->secret, ask->secret.p, ask->secret.n);
    c->n_secret = ask->secret.n;
    ret->verdict = LOGIN_CHECK;
}

void login_judge(struct login *l, const struct login_ask *ask, struct login_told *ret,
                 struct login_check *c)
{
    *ret = (struct login_told){.verdict = LOGIN_NO};
    *c = (struct login_check){.person = ask->person, .place = place_of(ask->client)};
    c->is_welcome = is_welcome(person_of(l, ask->person), &c->place, ask->now);
    make_keys(ask, &c->place, c->keys);
    if (ask->way == LOGIN_BY_NOTHING)
        say_no(ret, REFUSE_LOGIN_NEEDED, 0, ask->client);
    else if (ask->secret.n == 0 || ask->secret.n > LOGIN_SECRET_MAX)
        say_no(ret, REFUSE_LOGIN_WRONG, 0, ask->client);
    else if (ask->way == LOGIN_BY_TOKEN)
        judge_token(l, ask, LOGIN_APP, 0, ret);
    else if (ask->way == LOGIN_BY_CODE)
        judge_code(l, ask, c, ret);
    else if (!is_token_text(ask->secret, LOGIN_APP))
        judge_password(l, ask, c, ret);
    else if (ask->person)
        judge_token(l, ask, LOGIN_APP, ask->person, ret);
    else
        say_no(ret, REFUSE_LOGIN_WRONG, 0, ask->client);
}

void login_checked(struct login *l, const struct login_check *c, enum login_result result,
                   utc_ms now, mono_us at, struct login_told *ret)
{
    struct person *p = person_of(l, c->person);
    char text[INET6_ADDRSTRLEN];
    struct slice who = place_text(&c->place, text);
    *ret = (struct login_told){};
    if (result != LOGIN_DIFFERS)
        each_count(l, c, true, at, throttle_refund);
    /* The password may have been changed while the old one was checked. */
    if (result == LOGIN_MATCHES && p && strcmp(p->password, c->hash) == 0) {
        memcpy(p->verified, c->mark, MARK_BYTES);
        p->verified_until = at + SECONDS(60 * VERIFIED_MINUTES);
        say_yes(p, 0, &c->place, now, ret);
    } else if (result == LOGIN_NOT_TRIED) {
        say_no(ret, REFUSE_LOGIN_BUSY, SECONDS(BUSY_SECONDS), who);
    } else {
        if (result == LOGIN_DIFFERS)
            marks_add(l->marks, c->mark, at);
        say_no(ret, REFUSE_LOGIN_WRONG, longest_wait(l, c, true, at), who);
        count_guess(p, now, ret);
    }
}
