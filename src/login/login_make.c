/* New secrets, and the digests that are kept of them. */
#include "login/login_int.h"

#include <sodium.h>
#include <stdio.h>

/* The texts are random, 256 bits: nobody searches them, so a quick digest does. */
void token_hash(struct slice text, uint8_t ret[HASH_BYTES])
{
    must(crypto_generichash(ret, HASH_BYTES, (const unsigned char *)text.p, text.n, NULL, 0) == 0);
}

/* Only the 15 minutes protect a code from those who read our disk; they have the mail already. */
void code_hash(const char digits[CODE_DIGITS], const uint8_t salt[SALT_BYTES],
               uint8_t ret[HASH_BYTES])
{
    must(crypto_generichash(ret, HASH_BYTES, (const unsigned char *)digits, CODE_DIGITS, salt,
                            SALT_BYTES) == 0);
}

static const char *prefix_of(enum login_kind kind)
{
    return kind == LOGIN_APP ? "sta_" : "sts_";
}

bool is_token_text(struct slice s, enum login_kind kind)
{
    return s.n == TOKEN_LETTERS && slice_starts(s, slice_str(prefix_of(kind)));
}

void login_make_token(struct login_change *c, uint64_t person, enum login_kind kind,
                      struct slice name, utc_ms now, char ret[LOGIN_TOKEN_TEXT])
{
    uint8_t secret[32];
    *c = (struct login_change){.what = LOGIN_ADD_TOKEN, .person = person, .now = now, .kind = kind};
    random_bytes(secret, sizeof(secret));
    random_bytes(&c->token, sizeof(c->token));
    c->token += c->token == 0;
    memcpy(ret, prefix_of(kind), 4);
    base32_text(secret, sizeof(secret), ret + 4);
    token_hash(slice_of(ret, TOKEN_LETTERS), c->hash);
    c->n_name = name.n < LOGIN_NAME_MAX ? name.n : LOGIN_NAME_MAX;
    if (c->n_name)
        memcpy(c->name, name.p, c->n_name);
    login_wipe(secret, sizeof(secret));
}

void login_make_code(struct login_change *c, uint64_t person, utc_ms now, char ret[LOGIN_CODE_TEXT])
{
    char digits[CODE_DIGITS + 1];
    *c = (struct login_change){.what = LOGIN_SET_CODE, .person = person, .now = now};
    (void)snprintf(digits, sizeof(digits), "%08u", randombytes_uniform(100000000));
    random_bytes(c->salt, sizeof(c->salt));
    code_hash(digits, c->salt, c->hash);
    (void)snprintf(ret, LOGIN_CODE_TEXT, "%.4s %.4s", digits, digits + 4);
    login_wipe(digits, sizeof(digits));
}

void login_make_word(char ret[LOGIN_WORD_TEXT])
{
    enum { GROUP = 5, LETTERS = 20, BYTES = 13 };
    uint8_t secret[BYTES];
    char letters[BYTES * 8 / 5 + 2];
    size_t n = 0;
    random_bytes(secret, sizeof(secret));
    base32_text(secret, sizeof(secret), letters);
    for (size_t i = 0; i < LETTERS; i++) {
        if (i && i % GROUP == 0)
            ret[n++] = '-';
        ret[n++] = letters[i];
    }
    ret[n] = '\0';
    login_wipe(secret, sizeof(secret));
    login_wipe(letters, sizeof(letters));
}

static size_t count_characters(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

const char *login_word_fault(struct slice password, struct slice address)
{
    struct slice domain, local = slice_cut(address, '@', &domain);
    size_t n_same = 0;
    for (size_t i = 0; i < password.n; i++) {
        unsigned char c = (unsigned char)password.p[i];
        if (c < ' ' || c == 0x7f)
            return "it holds control characters";
        n_same += password.p[i] == password.p[0];
    }
    if (count_characters(password) < LOGIN_PASSWORD_MIN)
        return "it is shorter than 10 characters";
    if (password.n > LOGIN_SECRET_MAX)
        return "it is longer than 256 bytes";
    if (n_same == password.n || slice_ieq(password, address) || slice_ieq(password, local))
        return "it is the first that anybody would guess";
    if (is_token_text(password, LOGIN_APP) || is_token_text(password, LOGIN_SESSION))
        return "it looks like a token";
    return NULL;
}

/* ---- pages ---- */

void login_csrf(struct slice cookie, char ret[LOGIN_CSRF_TEXT])
{
    uint8_t key[HASH_BYTES], mac[16];
    /* Made of the text itself, which is not kept: who reads the store cannot make it. */
    token_hash(cookie, key);
    must(crypto_generichash(mac, sizeof(mac), (const unsigned char *)cookie.p, cookie.n, key,
                            sizeof(key)) == 0);
    base32_text(mac, sizeof(mac), ret);
    login_wipe(key, sizeof(key));
}

bool login_csrf_fits(struct slice cookie, struct slice csrf)
{
    char want[LOGIN_CSRF_TEXT];
    login_csrf(cookie, want);
    return csrf.n == LOGIN_CSRF_TEXT - 1 && sodium_memcmp(want, csrf.p, csrf.n) == 0;
}
