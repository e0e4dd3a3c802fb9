/* Certificates: what TLSA records are compared with, whom they name, when they end. */
#include "watch/watch_int.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { DAY_SECONDS = 86400, NOTICE_DAYS = 21, ALARM_DAYS = 7 };

static utc_ms end_of(const X509 *x)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
        return 0; /* unreadable: counts as over */
    return (utc_ms)timegm(&tm) * 1000;
}

static void keep_leaf(const unsigned char *whole, int n, struct watch_certificate *ret)
{
    if (n > WATCH_LEAF_MAX)
        return;
    memcpy(ret->leaf, whole, (size_t)n);
    ret->n_leaf = (size_t)n;
}

static bool take_digests(X509 *x, struct watch_certificate *ret)
{
    unsigned char *whole = NULL, *key = NULL;
    int n_whole = i2d_X509(x, &whole);
    int n_key = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &key);
    bool is_good = n_whole > 0 && n_key > 0;
    if (is_good) {
        size_t at = ret->n++;
        if (at == 0)
            keep_leaf(whole, n_whole, ret);
        SHA256(whole, (size_t)n_whole, ret->chain[at].whole256);
        SHA512(whole, (size_t)n_whole, ret->chain[at].whole512);
        SHA256(key, (size_t)n_key, ret->chain[at].key256);
        SHA512(key, (size_t)n_key, ret->chain[at].key512);
    }
    OPENSSL_free(whole);
    OPENSSL_free(key);
    return is_good;
}

bool watch_certificate_read(struct slice pem, struct watch_certificate *ret)
{
    struct watch_certificate c = {};
    BIO *b = pem.n > 0 && pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    while (b && c.n < WATCH_CHAIN_MAX) {
        X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
        if (!x)
            break;
        if (c.n == 0)
            c.until = end_of(x);
        bool is_good = take_digests(x, &c);
        X509_free(x);
        if (!is_good)
            break;
    }
    BIO_free(b);
    if (c.n == 0)
        return false;
    *ret = c;
    return true;
}

bool watch_certificate_names(const struct watch_certificate *c, const char *host)
{
    const unsigned char *at = c->leaf;
    X509 *x = c->n_leaf > 0 ? d2i_X509(NULL, &at, (long)c->n_leaf) : NULL;
    /* Senders look into subjectAltName only (RFC 8461 section 4.1). */
    bool is_so = x && X509_check_host(x, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
    X509_free(x);
    return is_so;
}

static void advise(enum watch_check check, struct watch_finding *f)
{
    if (check == WATCH_CERTIFICATE)
        WATCH_SAY(f->advice, "Renew it, put it where tls.certificate points, and reload the node.");
    else
        WATCH_SAY(f->advice, "Renew it on the mail system.");
}

void watch_certificate_judge(enum watch_check check, const char *whose, utc_ms until, utc_ms now,
                             struct watch_finding *ret)
{
    int64_t left = (until - now) / 1000;
    struct watch_span_text span = watch_span(left < 0 ? -left : left);
    struct utc_text date = utc_rfc3339(until);
    *ret = (struct watch_finding){.check = check, .class = WATCH_OK, .number = until};
    WATCH_SAY(ret->found, left < 0 ? "it ended %.10s, %s ago" : "it ends %.10s, in %s", date.s,
              span.s);
    WATCH_SAY(ret->expected, "more than %d days", NOTICE_DAYS);
    if (left >= (int64_t)NOTICE_DAYS * DAY_SECONDS)
        return;
    ret->class = left < (int64_t)ALARM_DAYS * DAY_SECONDS ? WATCH_ALARM : WATCH_NOTICE;
    WATCH_SAY(ret->why,
              "When the certificate %s has ended, servers that check it bring no mail, "
              "and people are warned off.",
              whose);
    advise(check, ret);
}
