/* One question to a token endpoint. RFC 6749 sections 4.4 (client credentials), 5 (answers), 6
 * (refresh tokens); RFC 7523 section 2.1 (assertions), RFC 7515 (their signature). */
#include "liaison/token.h"

#include "liaison/hook.h"
#include "liaison/token_int.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

enum {
    ANSWER_MAX = 64 << 10,
    BRACES_MAX = 64, /* an answer has one; the parser of JSON is recursive */
    FORM_MAX = 64 << 10,
    ASSERTION_SECONDS = 3600,
    WORDS_MAX = 200,
};

static struct web_authorities authorities; /* set once, by prepare */

void liaison_token_prepare(struct slice pem)
{
    web_authorities_read(pem, &authorities);
    json_object_seed(0); /* reads its random numbers now: in the sandbox there are no files */
}

static void finish_secret(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->cap);
    buf_finish(b);
}

void token_answer_init(struct token_answer *a)
{
    *a = (struct token_answer){.token = buf_make(TOKEN_MAX), .refresh = buf_make(TOKEN_MAX)};
}

void token_answer_finish(struct token_answer *a)
{
    finish_secret(&a->token);
    finish_secret(&a->refresh);
}

/* ---- what is sent ------------------------------------------------------------------------------
 */

/* application/x-www-form-urlencoded */
static void add_field(struct buf *out, const char *name, struct slice value)
{
    buf_addf(out, out->n ? "&%s=" : "%s=", name);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (is_plain)
            buf_addc(out, (char)c);
        else
            buf_addf(out, "%%%02X", c);
    }
}

/* Base64 of URLs, without "=" (RFC 7515 section 2). */
static void add_base64(struct buf *out, const void *bytes, size_t n)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);
        for (size_t k = 0; k < 4 && k <= n - i; k++)
            buf_addc(out, letters[v >> (18 - 6 * k) & 63]);
    }
}

static void add_string(struct buf *out, const char *name, struct slice value)
{
    buf_addf(out, "%s\"%s\":\"", out->n > 1 ? "," : "", name);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c == '"' || c == '\\')
            buf_addc(out, '\\');
        buf_addc(out, c < ' ' ? '?' : (char)c);
    }
    buf_addc(out, '"');
}

/* Between "-----BEGIN PRIVATE KEY-----" and the next "-----", whatever became of the line ends on
 * its way here: in Google's files they are "\\n", on a command line blanks. PKCS#8 and PKCS#1. */
static EVP_PKEY *read_key(struct slice pem)
{
    enum { DER_MAX = 8192 };
    unsigned char der[DER_MAX];
    SCOPED(buf_finish) struct buf text = buf_make(DER_MAX * 4 / 3);
    const char *begin = pem.n ? memmem(pem.p, pem.n, "PRIVATE KEY-----", 16) : NULL;
    if (!begin)
        return NULL;
    struct slice rest = slice_skip(pem, (size_t)(begin - pem.p) + 16);
    buf_reserve(&text, DER_MAX * 4 / 3);
    for (size_t i = 0; i < rest.n && rest.p[i] != '-'; i++) {
        bool is_escape = rest.p[i] == '\\' && i + 1 < rest.n;
        i += is_escape;
        if (!is_escape && rest.p[i] > ' ')
            buf_addc(&text, rest.p[i]);
    }
    int n = text.failed || text.n % 4 != 0
                ? 0
                : EVP_DecodeBlock(der, (const unsigned char *)text.p, (int)text.n);
    const unsigned char *at = der;
    EVP_PKEY *key = n > 0 ? d2i_AutoPrivateKey(NULL, &at, n) : NULL;
    explicit_bzero(der, sizeof(der));
    explicit_bzero(text.p, text.cap);
    return key;
}

static bool sign(struct slice pem, struct slice text, struct buf *out)
{
    unsigned char sum[1024]; /* RSA of 8192 bits */
    size_t n = sizeof(sum);
    EVP_PKEY *key = read_key(pem);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(c);
    bool is_good = key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
                   EVP_PKEY_get_size(key) <= (int)sizeof(sum) &&
                   EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestSign(c, sum, &n, (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    if (is_good)
        add_base64(out, sum, n);
    return is_good;
}

/* In whose name: RFC 7523 section 3, and `scope` as Google wants it in there. */
static bool add_assertion(const struct ipc_token_source *s, struct slice user, utc_ms now,
                          struct buf *out)
{
    static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    SCOPED(buf_finish) struct buf claims = buf_make(FORM_MAX), jwt = buf_make(FORM_MAX);
    buf_addc(&claims, '{');
    add_string(&claims, "iss", s->client_id);
    add_string(&claims, "sub", user);
    add_string(&claims, "aud", s->url);
    if (s->scope.n)
        add_string(&claims, "scope", s->scope);
    buf_addf(&claims, ",\"iat\":%lld,\"exp\":%lld}", (long long)(now / 1000),
             (long long)(now / 1000 + ASSERTION_SECONDS));
    add_base64(&jwt, header, sizeof(header) - 1);
    buf_addc(&jwt, '.');
    add_base64(&jwt, claims.p, claims.n);
    SCOPED(buf_finish) struct buf sum = buf_make(2000);
    if (claims.failed || jwt.failed || !sign(s->client_secret, buf_slice(&jwt), &sum))
        return false;
    buf_addc(&jwt, '.');
    buf_adds(&jwt, buf_slice(&sum));
    add_field(out, "assertion", buf_slice(&jwt));
    return !jwt.failed;
}

static void denied(struct mailbox_end *end, const char *why)
{
    mailbox_end_words(end, IPC_STEP_LOGIN, "no token: %s", why);
    end->is_denied = true;
}

bool token_form(const struct ipc_token_source *s, struct slice user, struct slice refresh,
                utc_ms now, struct buf *out, struct mailbox_end *end)
{
    static const char *const grants[IPC_GRANTS] = {
        [IPC_GRANT_CLIENT] = "client_credentials",
        [IPC_GRANT_REFRESH] = "refresh_token",
        [IPC_GRANT_ASSERTION] = "urn:ietf:params:oauth:grant-type:jwt-bearer",
    };
    bool is_known = s->grant > 0 && s->grant < IPC_GRANTS;
    bool is_assertion = s->grant == IPC_GRANT_ASSERTION, is_refresh = s->grant == IPC_GRANT_REFRESH;
    if (!is_known || (is_refresh && refresh.n == 0)) {
        denied(end, is_known ? "there is no refresh token" : "we know no such way to get one");
        return false;
    }
    buf_reserve(out, FORM_MAX); /* growing would leave copies behind */
    add_field(out, "grant_type", slice_str(grants[s->grant]));
    if (is_assertion && !add_assertion(s, user, now, out)) {
        denied(end, "the secret is no private RSA key in PEM, which an assertion is signed with");
        return false;
    }
    if (is_assertion)
        return true;
    if (is_refresh)
        add_field(out, "refresh_token", refresh);
    add_field(out, "client_id", s->client_id);
    if (s->client_secret.n) /* without: a public client (RFC 6749 section 2.1) */
        add_field(out, "client_secret", s->client_secret);
    if (s->scope.n)
        add_field(out, "scope", s->scope);
    if (out->failed)
        denied(end, "the question is longer than any endpoint takes");
    return !out->failed;
}

/* ---- what came back ----------------------------------------------------------------------------
 */

static struct slice text_of(const json_t *all, const char *name)
{
    const json_t *v = json_object_get(all, name);
    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE("");
}

/* Some write the number as a string. */
static uint32_t lives_of(const json_t *all)
{
    const json_t *v = json_object_get(all, "expires_in");
    uint64_t n = 0;
    if (json_is_integer(v) && json_integer_value(v) > 0)
        n = (uint64_t)json_integer_value(v);
    else if (!json_is_string(v) || !slice_u64(text_of(all, "expires_in"), UINT32_MAX, &n))
        n = 0;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= TOKEN_MAX;
}

static bool has_part(struct slice s, struct slice part)
{
    return part.n > 3 && s.n >= part.n && memmem(s.p, s.n, part.p, part.n) != NULL;
}

/* In words, without what we asked with. */
static void clean(const struct ipc_token_source *s, struct slice refresh, struct slice said,
                  char *ret, size_t room)
{
    bool is_ours = has_part(said, s->client_secret) || has_part(said, refresh);
    web_clean(is_ours ? SLICE("(left out: the secret is in it)") : said, ret, room);
}

/* Errors of RFC 6749 section 5.2 are about what we were given to ask with. */
static void say_refused(const struct ipc_token_source *s, struct slice refresh, uint16_t status,
                        const json_t *all, struct mailbox_end *end)
{
    char error[60], words[WORDS_MAX];
    clean(s, refresh, text_of(all, "error"), error, sizeof(error));
    clean(s, refresh, text_of(all, "error_description"), words, sizeof(words));
    mailbox_end_words(end, IPC_STEP_LOGIN, "no token: the endpoint answered %u%s%s%s%s", status,
                      error[0] ? " " : "", error, words[0] ? ": " : "", words);
    end->is_denied = status >= 400 && status < 500 && status != 408 && status != 429;
}

static bool is_too_deep(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '{' || s.p[i] == '[';
    return n > BRACES_MAX;
}

bool token_read(const struct ipc_token_source *s, struct slice used, uint16_t status,
                struct slice body, struct token_answer *ret)
{
    json_error_t ignored;
    json_t *all = is_too_deep(body) ? NULL : json_loadb(body.n ? body.p : "", body.n, 0, &ignored);
    struct slice token = text_of(all, "access_token"), refresh = text_of(all, "refresh_token");
    struct slice kind = text_of(all, "token_type");
    bool is_bearer = kind.n == 0 || slice_ieq(kind, SLICE("Bearer"));
    bool has_token = status == 200 && is_token(token) && is_bearer;
    if (has_token) {
        buf_reserve(&ret->token, TOKEN_MAX);
        buf_adds(&ret->token, token);
        buf_reserve(&ret->refresh, TOKEN_MAX);
        if (is_token(refresh))
            buf_adds(&ret->refresh, refresh);
        ret->lives_sec = lives_of(all);
    } else if (status == 200) {
        mailbox_end_words(&ret->end, IPC_STEP_LOGIN,
                          "no token: the endpoint's answer has none that can be used");
    } else {
        say_refused(s, used, status, all, &ret->end);
    }
    json_decref(all);
    return has_token;
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static bool asked(const struct ipc_token_source *s, struct slice refresh,
                  const struct web_answer *a, struct token_answer *ret)
{
    switch (a->end) {
    case WEB_ANSWERED:
        return token_read(s, refresh, a->status, buf_slice(&a->body), ret);
    case WEB_FAILED:
        mailbox_end_words(&ret->end, IPC_STEP_LOGIN, "no token: %s", a->why);
        break;
    case WEB_OURS:
        mailbox_end_ours(&ret->end, IPC_STEP_LOGIN, "no token: %s", a->why);
        break;
    }
    return false;
}

bool token_ask(const struct courier_network *net, const struct ipc_token_source *s,
               struct slice user, struct slice refresh, mono_us deadline, struct token_answer *ret)
{
    static const char *const headers[] = {
        "Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
        "User-Agent: Staffetta/" VERSION, "Expect:", /* no wait for 100 */
        NULL};
    struct web_answer answer;
    SCOPED(buf_finish) struct buf url = buf_make(2000);
    struct buf form = buf_make(FORM_MAX);
    buf_adds(&url, s->url);
    bool has_form = token_form(s, user, refresh, utc_now(), &form, &ret->end);
    bool has_token = false;
    if (has_form && slice_istarts(s->url, SLICE("https://")) && authorities.store) {
        struct web_request request = {.network = net,
                                      .authorities = &authorities,
                                      .rule = liaison_token_fault,
                                      .what = "token endpoint",
                                      .url = buf_cstr(&url),
                                      .deadline = deadline,
                                      .is_post = true,
                                      .body = buf_slice(&form),
                                      .headers = headers,
                                      .answer_max = ANSWER_MAX};
        web_ask(&request, &answer);
        has_token = asked(s, refresh, &answer, ret);
        finish_secret(&answer.body);
    } else if (has_form) {
        denied(&ret->end, "the endpoint is no https:// address, and secrets go nowhere else");
    }
    finish_secret(&form);
    return has_token;
}
