/* DANE for SMTP (RFC 6698, RFC 7672): which certificate senders want to see. A wrong record keeps
 * mail away. */
#include "watch/watch_int.h"

#include <openssl/sha.h>
#include <stdio.h>

enum { USAGE_PKIX_TA, USAGE_PKIX_EE, USAGE_DANE_TA, USAGE_DANE_EE };
enum { MATCH_WHOLE, MATCH_SHA256, MATCH_SHA512 };

/* Does the record fit this certificate of the chain? */
static bool fits(struct slice record, const struct watch_certificate *c, size_t at)
{
    uint8_t digest[WATCH_SHA256];
    uint8_t selector = (uint8_t)record.p[1], match = (uint8_t)record.p[2];
    struct slice data = slice_skip(record, 3);
    const uint8_t *sha256 = selector == 0 ? c->chain[at].whole256 : c->chain[at].key256;
    const uint8_t *sha512 = selector == 0 ? c->chain[at].whole512 : c->chain[at].key512;
    if (selector > 1)
        return false;
    switch (match) {
    case MATCH_WHOLE:
        SHA256((const uint8_t *)data.p, data.n, digest);
        return memcmp(digest, sha256, WATCH_SHA256) == 0;
    case MATCH_SHA256:
        return data.n == WATCH_SHA256 && memcmp(data.p, sha256, WATCH_SHA256) == 0;
    case MATCH_SHA512:
        return data.n == WATCH_SHA512 && memcmp(data.p, sha512, WATCH_SHA512) == 0;
    default:
        return false;
    }
}

/* RFC 7672 section 3.1: senders use DANE-TA and DANE-EE only; PKIX ones are unusable. */
static bool is_usable(struct slice record)
{
    return record.n > 3 &&
           ((uint8_t)record.p[0] == USAGE_DANE_TA || (uint8_t)record.p[0] == USAGE_DANE_EE);
}

static bool does_match(struct slice record, const struct watch_certificate *c)
{
    if ((uint8_t)record.p[0] == USAGE_DANE_EE)
        return c->n > 0 && fits(record, c, 0);
    for (size_t i = 0; i < c->n; i++)
        if (fits(record, c, i))
            return true;
    return false;
}

static void hex(const uint8_t *bytes, size_t n, char *ret)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static void advise_tlsa(struct watch_finding *f, const char *host,
                        const struct watch_certificate *c)
{
    char digest[2 * WATCH_SHA256 + 1] = "";
    if (c->n == 0) {
        WATCH_SAY(f->advice,
                  "Give this node its certificate (tls.certificate, tls.key), or remove "
                  "the TLSA records of _25._tcp.%s.",
                  host);
        return;
    }
    hex(c->chain[0].key256, WATCH_SHA256, digest);
    WATCH_SAY(f->advice,
              "Write:  _25._tcp.%s. TLSA 3 1 1 %s, and remove those that fit no "
              "certificate any more.",
              host, digest);
}

static void judge_host(const struct watch_look *l, struct watch_finding *f, const char *host)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct watch_finding here = {};
    struct watch_records r;
    size_t n_usable = 0, n_fit = 0;
    char one[WATCH_NAME_MAX + 80];
    watch_ask(l->dns, WATCH_TYPE_TLSA, a, &r, "_25._tcp.%s", host);
    if (watch_is_unanswered(&here, &r, "TLSA")) {
        if (f->class == WATCH_OK) {
            f->class = WATCH_UNKNOWN;
            WATCH_SAY(f->why, "%s", here.why);
        }
        return;
    }
    for (size_t i = 0; i < r.n; i++)
        if (is_usable(r.data[i])) {
            n_usable++;
            n_fit += does_match(r.data[i], &l->node->certificate);
        }
    if (n_usable == 0)
        return;
    (void)snprintf(one, sizeof(one), "%s: %zu of %zu fit our certificate%s", host, n_fit, n_usable,
                   r.is_secure ? "" : ", unsigned");
    watch_join(f->found, sizeof(f->found), one);
    if (n_fit > 0)
        return;
    /* Unsigned ones are ignored by senders (section 2.2): a mistake without harm so far. */
    f->class = r.is_secure ? WATCH_ALARM : f->class == WATCH_ALARM ? WATCH_ALARM : WATCH_NOTICE;
    WATCH_SAY(f->why, "%s",
              r.is_secure ? "Senders with DANE deliver no mail here: the certificate is not the "
                            "one that DNS promises."
                          : "As soon as the zone is signed, senders with DANE would deliver no "
                            "mail here.");
    advise_tlsa(f, host, &l->node->certificate);
}

void watch_judge_tlsa(struct watch_look *l)
{
    struct watch_finding *f = watch_add(l->all, WATCH_TLSA);
    WATCH_SAY(f->expected, "none, or records that fit this node's certificate");
    for (size_t i = 0; i < l->n_mx; i++)
        if (l->mx[i].is_ours)
            judge_host(l, f, l->mx[i].name);
    if (l->is_mx_unknown) {
        f->class = WATCH_UNKNOWN;
        WATCH_SAY(f->why, "The mail exchangers are not known.");
    }
    if (f->class == WATCH_UNKNOWN)
        WATCH_SAY(f->found, "no answer for TLSA");
    else if (f->found[0] == '\0')
        WATCH_SAY(f->found, "none");
}
