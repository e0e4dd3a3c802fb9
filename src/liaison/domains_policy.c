/* The web server of a domain's MTA-STS policy (RFC 8461 section 3.3), and who vouches for it and
 * for us. */
#include "liaison/domains_int.h"

#include "liaison/hook.h"
#include "liaison/web_int.h"

#include <openssl/pem.h>
#include <stdio.h>

static struct web_authorities authorities; /* set once, by prepare */

void liaison_domains_prepare(struct slice pem)
{
    web_authorities_read(pem, &authorities);
}

/* ---- our own certificate --------------------------------------------------------------------- */

static bool verify(X509 *leaf, STACK_OF(X509) * chain)
{
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    bool is_good = c && X509_STORE_CTX_init(c, authorities.store, leaf, chain) == 1 &&
                   X509_STORE_CTX_set_default(c, "ssl_server") == 1;
    is_good = is_good && X509_verify_cert(c) == 1;
    X509_STORE_CTX_free(c);
    return is_good;
}

enum watch_vouched liaison_domains_vouched(struct slice pem)
{
    if (authorities.n == 0 || pem.n == 0 || pem.n > INT32_MAX)
        return WATCH_VOUCHED_UNKNOWN;
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    STACK_OF(X509) *chain = sk_X509_new_null();
    must(b && chain);
    X509 *leaf = PEM_read_bio_X509(b, NULL, NULL, NULL);
    for (X509 *x; leaf && sk_X509_num(chain) < WATCH_CHAIN_MAX &&
                  (x = PEM_read_bio_X509(b, NULL, NULL, NULL));)
        must(sk_X509_push(chain, x) > 0);
    enum watch_vouched vouched = !leaf                 ? WATCH_VOUCHED_UNKNOWN
                                 : verify(leaf, chain) ? WATCH_VOUCHED_YES
                                                       : WATCH_VOUCHED_NO;
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    BIO_free(b);
    return vouched;
}

/* ---- the policy ------------------------------------------------------------------------------ */

static void fail(struct watch_page *page, enum watch_fetch status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct watch_page *page, enum watch_fetch status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(page->why, sizeof(page->why), format, args);
    va_end(args);
    page->status = status;
}

/* "text/plain", with or without parameters. */
static bool is_plain_text(const char *type)
{
    struct slice parameters;
    return slice_ieq(slice_trim(slice_cut(slice_str(type), ';', &parameters)), SLICE("text/plain"));
}

static void judge(const struct web_answer *answer, struct arena *a, struct watch_page *ret)
{
    char *copy = NULL;
    if (answer->end == WEB_OURS)
        fail(ret, WATCH_FETCH_OURS, "%.250s", answer->why);
    else if (answer->end == WEB_FAILED)
        fail(ret, WATCH_FETCH_FAILED, "%.250s", answer->why);
    else if (answer->status >= 300 && answer->status < 400)
        fail(ret, WATCH_FETCH_FAILED, "the web server answers %u, and redirects are not followed",
             answer->status);
    else if (answer->status != 200)
        fail(ret, WATCH_FETCH_FAILED, "the web server answers %u, not 200", answer->status);
    else if (!is_plain_text(answer->type))
        fail(ret, WATCH_FETCH_FAILED, "the web server calls it %.100s, not text/plain",
             answer->type[0] ? answer->type : "nothing at all");
    else if (answer->is_cut)
        fail(ret, WATCH_FETCH_FAILED, "it is longer than 64 KiB");
    else if (!(copy = arena_try(a, answer->body.n + 1)))
        fail(ret, WATCH_FETCH_OURS, "there was no room for it");
    if (!copy)
        return;
    if (answer->body.n > 0)
        memcpy(copy, answer->body.p, answer->body.n);
    ret->text = slice_of(copy, answer->body.n);
}

void domains_fetch(const struct courier_network *network, mono_us deadline,
                   const struct domains_page *page, struct arena *a, struct watch_page *ret)
{
    static const char *const headers[] = {"User-Agent: Staffetta/" VERSION, "Accept: text/plain",
                                          NULL};
    struct web_answer answer;
    *ret = (struct watch_page){.status = WATCH_FETCH_OK};
    if (authorities.n == 0) {
        fail(ret, WATCH_FETCH_OURS,
             "no authorities are known here that could vouch for a web server (install "
             "ca-certificates, or set alerts.authorities)");
        return;
    }
    SCOPED(buf_finish) struct buf url = buf_make(1000);
    buf_addf(&url, "https://%s:%u/%s", page->host, page->port, page->path);
    struct web_request request = {.network = network,
                                  .authorities = &authorities,
                                  .rule = liaison_policy_fault,
                                  .what = "policy",
                                  .url = buf_cstr(&url),
                                  .deadline = deadline,
                                  .headers = headers,
                                  .answer_max = WATCH_PAGE_MAX};
    web_ask(&request, &answer);
    judge(&answer, a, ret);
    buf_finish(&answer.body);
}
