/* Tokens: what is asked and what is answered, by tables; what is kept, with an endpoint of the test
 * that plays its answers over TLS. */
#include "liaison/token.h"

#include "base/refuse.h"
#include "liaison/token_int.h"
#include "net/net.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "courier/test/fake_server.h"

#define OK "HTTP/1.1 200 OK\nContent-Type: application/json\nConnection: close\n\n"
#define ASKED "t|<POST /token HTTP/1.1|"

static struct {
    SSL_CTX *tls;
    struct buf pem;
    courier_policy policy;
    struct courier_network network;
    char asked[100], old[100], fresh[100]; /* of the last token_new */
    unsigned n_told;
} here;

static struct ipc_token_source source = {.grant = IPC_GRANT_CLIENT,
                                         .url = SLICE("https://login.test/token"),
                                         .client_id = SLICE("app 1"),
                                         .client_secret = SLICE("a&b=c\"d"),
                                         .scope = SLICE("https://x/.default")};

/* ---- what is asked ---- */

static void each_grant_has_its_form(void **)
{
    static const struct {
        uint8_t grant;
        const char *secret, *refresh, *form; /* NULL: denied */
    } cases[] = {
        {IPC_GRANT_CLIENT, "a&b=c\"d", "",
         "grant_type=client_credentials&client_id=app%201&client_secret=a%26b%3Dc%22d&"
         "scope=https%3A%2F%2Fx%2F.default"},
        {IPC_GRANT_REFRESH, "s", "r/1",
         "grant_type=refresh_token&refresh_token=r%2F1&client_id=app%201&client_secret=s&"
         "scope=https%3A%2F%2Fx%2F.default"},
        {IPC_GRANT_REFRESH, "", "r",
         "grant_type=refresh_token&refresh_token=r&client_id=app%201&"
         "scope=https%3A%2F%2Fx%2F.default"},
        {IPC_GRANT_REFRESH, "s", "", NULL},
        {IPC_GRANT_ASSERTION, "no key", "", NULL},
        {IPC_GRANT_ASSERTION, "-----BEGIN PRIVATE KEY----- AAAA -----END", "", NULL},
        {0, "s", "r", NULL},
        {IPC_GRANTS, "s", "r", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SCOPED(buf_finish) struct buf form = buf_make(65536);
        struct ipc_token_source s = source;
        struct mailbox_end end = {};
        s.grant = cases[i].grant;
        s.client_secret = slice_str(cases[i].secret);
        bool is_good = token_form(&s, SLICE("anna@x"), slice_str(cases[i].refresh), 0, &form, &end);
        assert_int_equal(is_good, cases[i].form != NULL);
        assert_int_equal(end.is_denied, cases[i].form == NULL);
        if (cases[i].form)
            assert_string_equal(buf_cstr(&form), cases[i].form);
    }
}

/* Base64 of URLs; what comes out is ours. */
static size_t decode(struct slice text, unsigned char *ret, size_t room)
{
    char copy[8192];
    size_t n = text.n;
    must(n + 4 < sizeof(copy) && room >= n);
    for (size_t i = 0; i < n; i++)
        copy[i] = text.p[i] == '-' ? '+' : text.p[i] == '_' ? '/' : text.p[i];
    for (; n % 4; n++)
        copy[n] = '=';
    int size = EVP_DecodeBlock(ret, (unsigned char *)copy, (int)n);
    must(size >= 0);
    return (size_t)size - (n - text.n);
}

static void an_assertion_is_signed_in_the_owners_name(void **)
{
    SCOPED(buf_finish) struct buf form = buf_make(65536), pem = buf_make(8192);
    unsigned char bytes[4096], sum[512];
    struct mailbox_end end;
    struct ipc_token_source s = source;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *b = BIO_new(BIO_s_mem());
    char *at;
    must(key && b && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1);
    long n = BIO_get_mem_data(b, &at);
    for (long i = 0; i < n; i++) /* as in Google's file */
        buf_adds(&pem, at[i] == '\n' ? SLICE("\\n") : slice_of(at + i, 1));
    s.grant = IPC_GRANT_ASSERTION;
    s.client_id = SLICE("robot@p.test");
    s.client_secret = buf_slice(&pem);
    assert_true(token_form(&s, SLICE("an\"na@x"), SLICE(""), 1700000000000, &form, &end));
    struct slice rest, claims, jwt = slice_skip(buf_slice(&form), 0);
    struct slice wanted = SLICE("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
                                "&assertion=");
    assert_true(slice_starts(jwt, wanted));
    jwt = slice_skip(jwt, wanted.n);
    struct slice head = slice_cut(jwt, '.', &rest);
    claims = slice_cut(rest, '.', &rest);
    size_t n_claims = decode(claims, bytes, sizeof(bytes));
    bytes[n_claims] = '\0';
    assert_string_equal((char *)bytes,
                        "{\"iss\":\"robot@p.test\",\"sub\":\"an\\\"na@x\",\"aud\":"
                        "\"https://login.test/token\",\"scope\":\"https://x/.default\","
                        "\"iat\":1700000000,\"exp\":1700003600}");
    size_t n_sum = decode(rest, sum, sizeof(sum));
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1);
    assert_int_equal(
        EVP_DigestVerify(c, sum, n_sum, (const unsigned char *)jwt.p, head.n + 1 + claims.n), 1);
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    BIO_free(b);
}

/* ---- what is answered ---- */

static void each_answer_is_judged(void **)
{
    static const struct {
        uint16_t status;
        const char *body, *token, *refresh;
        uint32_t lives;
        bool is_denied;
        const char *words;
    } cases[] = {
        {200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":3599}", "t", "",
         3599, false, ""},
        {200,
         "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"60\","
         "\"refresh_token\":\"r\"}",
         "t", "r", 60, false, ""},
        {200, "{\"access_token\":\"t\",\"expires_in\":-1}", "t", "", 0, false, ""},
        {200, "{\"access_token\":\"t\",\"expires_in\":99999999999999}", "t", "", UINT32_MAX, false,
         ""},
        {200, "{\"access_token\":\"t\",\"expires_in\":[]}", "t", "", 0, false, ""},
        {200, "{\"access_token\":\"t\",\"refresh_token\":\"a b\"}", "t", "", 0, false, ""},
        {200, "{\"access_token\":\"t\",\"token_type\":\"mac\"}", NULL, "", 0, false, "none that"},
        {200, "{\"access_token\":\"t\\u0001\"}", NULL, "", 0, false, "none that"},
        {200, "{\"access_token\":7}", NULL, "", 0, false, "none that"},
        {200, "[]", NULL, "", 0, false, "none that"},
        {200, "", NULL, "", 0, false, "none that"},
        {201, "{\"access_token\":\"t\"}", NULL, "", 0, false, "answered 201"},
        {302, "", NULL, "", 0, false, "answered 302"},
        {400, "{\"error\":\"invalid_grant\",\"error_description\":\"It ended.\\r\\nx\"}", NULL, "",
         0, true, "answered 400 invalid_grant: It ended.  x"},
        {401, "{\"error\":\"invalid_client\"}", NULL, "", 0, true, "401 invalid_client"},
        {400, "{\"error\":\"x\",\"error_description\":\"a&b=c\\\"d is wrong\"}", NULL, "", 0, true,
         "left out"},
        {400, "{\"error\":\"x\",\"error_description\":\"no such token: refresh.7\"}", NULL, "", 0,
         true, "left out"},
        {400, "{\"error\":\"refresh.7?\"}", NULL, "", 0, true, "left out"},
        {429, "{\"error\":\"temporarily_unavailable\"}", NULL, "", 0, false, "429"},
        {503, "<html>", NULL, "", 0, false, "answered 503"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct token_answer a;
        token_answer_init(&a);
        bool has =
            token_read(&source, SLICE("refresh.7"), cases[i].status, slice_str(cases[i].body), &a);
        if (has != (cases[i].token != NULL) || a.end.is_denied != cases[i].is_denied ||
            !strstr(a.end.text, cases[i].words) || strstr(a.end.text, "a&b=c") ||
            strstr(a.end.text, "refresh.7"))
            fail_msg("%s: %d %s", cases[i].body, has, a.end.text);
        if (has) {
            assert_string_equal(buf_cstr(&a.token), cases[i].token);
            assert_string_equal(buf_cstr(&a.refresh), cases[i].refresh);
            assert_int_equal(a.lives_sec, cases[i].lives);
        }
        token_answer_finish(&a);
    }
}

static void depth_has_a_ceiling(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    struct token_answer a;
    for (size_t i = 0; i < 60000; i++)
        buf_addc(&b, i % 2 ? '{' : '[');
    token_answer_init(&a);
    assert_false(token_read(&source, SLICE(""), 200, buf_slice(&b), &a));
    token_answer_finish(&a);
}

/* ---- what is kept ---- */

static void take_told(void *, const struct ipc_token_new *t)
{
    (void)snprintf(here.old, sizeof(here.old), SLICE_FMT, SLICE_ARG(t->old));
    (void)snprintf(here.fresh, sizeof(here.fresh), SLICE_FMT, SLICE_ARG(t->fresh));
    (void)snprintf(here.asked, sizeof(here.asked), SLICE_FMT, SLICE_ARG(t->asked));
    assert_int_equal(t->primary, 7);
    assert_int_equal(t->person, 9);
    here.n_told++;
}

struct asking {
    struct liaison_tokens *tokens;
    struct ipc_token_source source;
    struct ipc_server server;
    char url[100];
};

static void begin(struct asking *k, uint8_t grant, uint16_t port)
{
    *k = (struct asking){.tokens = liaison_tokens_create(take_told, NULL), .source = source};
    (void)snprintf(k->url, sizeof(k->url), "https://login.test:%u/token", port);
    k->source.grant = grant;
    k->source.url = slice_str(k->url);
    k->source.person = 9;
    k->server = (struct ipc_server){.mechanism = IPC_LOGIN_XOAUTH2,
                                    .user = SLICE("anna@x"),
                                    .secret = SLICE("first"),
                                    .token = &k->source,
                                    .n_token = 1};
    here.n_told = 0;
}

/* The token, or "!" and why not. */
static const char *get(struct asking *k)
{
    static char text[700];
    SCOPED(buf_finish) struct buf token = buf_make(TOKEN_MAX);
    struct mailbox_end end = {};
    bool is_kept;
    bool has = token_get(k->tokens, &here.network, 7, &k->server, mono_now() + SECONDS(5), &token,
                         &is_kept, &end);
    (void)snprintf(text, sizeof(text), "%s%s", has ? is_kept ? "kept " : "" : "!",
                   has ? buf_cstr(&token) : end.text);
    return text;
}

static void a_token_is_kept_until_it_ends_or_is_refused(void **)
{
    static const char *const scripts[] = {
        ASKED ">" OK "{\"access_token\":\"t1\",\"expires_in\":3600}",
        ASKED ">" OK "{\"access_token\":\"t2\",\"expires_in\":0}",
        ASKED ">" OK "{\"access_token\":\"t3\",\"expires_in\":1}",
        ASKED ">" OK "{\"access_token\":\"t4\",\"expires_in\":1}", NULL};
    struct fake_server s;
    struct asking k;
    fake_start(&s, scripts, here.tls);
    begin(&k, IPC_GRANT_CLIENT, s.port);
    assert_string_equal(get(&k), "t1");
    k.server.user = SLICE("bob@x"); /* an application's token is everybody's */
    assert_string_equal(get(&k), "kept t1");
    token_drop(k.tokens, &k.server, SLICE("another"));
    assert_string_equal(get(&k), "kept t1");
    token_drop(k.tokens, &k.server, SLICE("t1"));
    assert_string_equal(get(&k), "t2");
    assert_string_equal(get(&k), "kept t2"); /* nobody said when it ends */
    k.source.scope = SLICE("another");
    assert_string_equal(get(&k), "t3");
    usleep(600000);
    assert_string_equal(get(&k), "t4"); /* one second is over before the conversation is */
    liaison_tokens_destroy(&k.tokens);
    fake_stop(&s);
    assert_string_equal(s.fault, "");
}

static void expect_told(unsigned n, const char *asked, const char *old, const char *fresh)
{
    assert_int_equal(here.n_told, n);
    assert_string_equal(here.asked, asked);
    assert_string_equal(here.old, old);
    assert_string_equal(here.fresh, fresh);
}

static void another_refresh_token_is_told_until_core_asks_by_it(void **)
{
    static const char *const scripts[] = {
        ASKED ">" OK "{\"access_token\":\"t1\",\"expires_in\":3600,\"refresh_token\":\"second\"}",
        ASKED ">" OK "{\"access_token\":\"t2\",\"expires_in\":3600,\"refresh_token\":\"third\"}",
        ASKED ">" OK "{\"access_token\":\"t3\",\"expires_in\":3600,\"refresh_token\":\"third\"}",
        NULL};
    struct fake_server s;
    struct asking k;
    fake_start(&s, scripts, here.tls);
    begin(&k, IPC_GRANT_REFRESH, s.port);
    assert_string_equal(get(&k), "t1");
    expect_told(1, "first", "first", "second");
    /* Core has not written it down yet, and has. */
    assert_string_equal(get(&k), "kept t1");
    expect_told(2, "first", "first", "second");
    k.server.secret = SLICE("second");
    assert_string_equal(get(&k), "kept t1");
    assert_int_equal(here.n_told, 2);
    /* The first one is good no more: whoever still names it gets the second's. */
    k.server.secret = SLICE("first");
    token_drop(k.tokens, &k.server, SLICE("t1"));
    assert_string_equal(get(&k), "t2");
    expect_told(3, "first", "second", "third");
    /* Nor is the second: nobody asks with it, whichever of them was asked by. */
    k.server.secret = SLICE("second");
    assert_string_equal(get(&k), "kept t2");
    expect_told(4, "second", "second", "third");
    k.server.secret = SLICE("third");
    token_drop(k.tokens, &k.server, SLICE("t2"));
    assert_string_equal(get(&k), "t3");
    assert_int_equal(here.n_told, 4);
    liaison_tokens_destroy(&k.tokens);
    fake_stop(&s);
    assert_string_equal(s.fault, "");
}

/* The latest is known by as many names as may be; the one that core asks by is never forgotten. */
static void core_may_ask_by_the_first_for_ever(void **)
{
    enum { N = 30 };
    static char scripts[N][300];
    const char *list[N + 1] = {};
    struct fake_server s;
    struct asking k;
    for (int i = 0; i < N; i++) {
        (void)snprintf(scripts[i], sizeof(scripts[i]),
                       ASKED ">" OK "{\"access_token\":\"t%d\",\"refresh_token\":\"r%d\"}", i, i);
        list[i] = scripts[i];
    }
    fake_start(&s, list, here.tls);
    begin(&k, IPC_GRANT_REFRESH, s.port);
    for (int i = 0; i < N; i++) {
        char token[20], old[20], fresh[20];
        (void)snprintf(token, sizeof(token), "t%d", i);
        (void)snprintf(fresh, sizeof(fresh), "r%d", i);
        (void)snprintf(old, sizeof(old), i ? "r%d" : "first", i - 1);
        assert_string_equal(get(&k), token);
        expect_told((unsigned)i + 1, "first", old, fresh);
        token_drop(k.tokens, &k.server, slice_str(token));
    }
    liaison_tokens_destroy(&k.tokens);
    fake_stop(&s);
    assert_string_equal(s.fault, "");
}

static void what_fails_is_told_and_not_kept(void **)
{
    static const char *const scripts[] = {
        ASKED ">HTTP/1.1 400 No\nConnection: close\n\n{\"error\":\"invalid_client\"}",
        ASKED ">HTTP/1.1 302 Go\nLocation: https://127.0.0.1/\nContent-Length: 0\n\n", "t|!",
        ASKED ">" OK "{\"access_token\":\"t1\"}", NULL};
    struct fake_server s;
    struct asking k;
    fake_start(&s, scripts, here.tls);
    begin(&k, IPC_GRANT_CLIENT, s.port);
    assert_non_null(strstr(get(&k), "!no token: the endpoint answered 400 invalid_client"));
    assert_non_null(strstr(get(&k), "!no token: the endpoint answered 302"));
    assert_int_equal(get(&k)[0], '!');
    assert_string_equal(get(&k), "t1");
    k.source.url = SLICE("http://127.0.0.1/token");
    assert_non_null(strstr(get(&k), "no https"));
    k.source.url = SLICE("https://10.0.0.1/token");
    assert_non_null(strstr(get(&k), "private"));
    k.source.url = SLICE("https:///");
    assert_int_equal(get(&k)[0], '!');
    liaison_tokens_destroy(&k.tokens);
    fake_stop(&s);
    assert_string_equal(s.fault, "");
}

struct many {
    pthread_t thread;
    struct asking *k;
    char token[50];
};

static void *get_one(void *arg)
{
    struct many *m = arg;
    SCOPED(buf_finish) struct buf token = buf_make(TOKEN_MAX);
    struct mailbox_end end;
    bool is_kept;
    if (token_get(m->k->tokens, &here.network, 7, &m->k->server, mono_now() + SECONDS(5), &token,
                  &is_kept, &end))
        (void)snprintf(m->token, sizeof(m->token), "%s", buf_cstr(&token));
    return NULL;
}

static void of_many_that_want_it_one_asks(void **)
{
    static const char *const scripts[] = {ASKED "w200|>" OK "{\"access_token\":\"t1\"}", NULL};
    struct many all[8];
    struct fake_server s;
    struct asking k;
    fake_start(&s, scripts, here.tls);
    begin(&k, IPC_GRANT_CLIENT, s.port);
    for (size_t i = 0; i < 8; i++) {
        all[i] = (struct many){.k = &k};
        assert_int_equal(pthread_create(&all[i].thread, NULL, get_one, &all[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
        assert_string_equal(all[i].token, "t1");
    }
    assert_int_equal(s.n_connections, 1);
    liaison_tokens_destroy(&k.tokens);
    fake_stop(&s);
}

static enum err resolve(void *, const struct ipc_name_ask *q, mono_us, struct arena *a,
                        struct ipc_name_told *ret)
{
    enum { TYPE_A = 1 };
    bool is_it = slice_eq(q->name, SLICE("login.test")) && q->type == TYPE_A;
    *ret = (struct ipc_name_told){.status = is_it ? IPC_NAME_OK : IPC_NAME_NO_DATA};
    if (!is_it)
        return ERR_OK;
    ret->records = ARENA_NEW(a, struct ipc_name_record);
    ret->records[0].data = SLICE("\x7f\0\0\1");
    ret->n_records = 1;
    return ERR_OK;
}

static int prepare(void **)
{
    here.tls = fake_tls("login.test", &here.pem);
    liaison_token_prepare(buf_slice(&here.pem));
    here.network = (struct courier_network){.hostname = "mx1.staffetta.test",
                                            .policy = &here.policy,
                                            .timeouts = courier_timeouts_usual(),
                                            .resolve = resolve,
                                            .cancel_fd = -1};
    return 0;
}

static int finish(void **)
{
    SSL_CTX_free(here.tls);
    buf_finish(&here.pem);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_grant_has_its_form),
        cmocka_unit_test(an_assertion_is_signed_in_the_owners_name),
        cmocka_unit_test(each_answer_is_judged),
        cmocka_unit_test(depth_has_a_ceiling),
        cmocka_unit_test(a_token_is_kept_until_it_ends_or_is_refused),
        cmocka_unit_test(another_refresh_token_is_told_until_core_asks_by_it),
        cmocka_unit_test(core_may_ask_by_the_first_for_ever),
        cmocka_unit_test(what_fails_is_told_and_not_kept),
        cmocka_unit_test(of_many_that_want_it_one_asks),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}
