/* DKIM verification (RFC 6376 section 6): cheap checks first, the body once for all signatures of
 * a canonical form, a question to the DNS only for signatures whose body digest fits. */
#include "dkim_int.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

struct verifying {
    const struct sign_message *m;
    struct dkim_sig sigs[TRUST_DKIM_MAX];
    struct dkim_flaw flaws[TRUST_DKIM_MAX];
    struct sign_digest digests[TRUST_DKIM_MAX];
    size_t n;
    bool is_used[SIGN_FIELDS_MAX]; /* by the h= list that is being walked */
};

static const struct dkim_flaw good = {TRUST_DKIM_PASS, ""};

const char *trust_dkim_text(enum trust_dkim_result r)
{
    static const char *const names[TRUST_DKIM_N] = {"none",    "pass",      "fail",     "policy",
                                                    "neutral", "temperror", "permerror"};
    return names[r];
}

/* ---- the body ----------------------------------------------------------------------------- */

/* All digests of one canonical form in one pass. */
static void digest_bodies(struct verifying *v, enum sign_canon c)
{
    struct sign_digest wants[TRUST_DKIM_MAX];
    size_t of[TRUST_DKIM_MAX], n = 0;
    for (size_t i = 0; i < v->n; i++) {
        if (v->flaws[i].result != TRUST_DKIM_PASS || v->sigs[i].canon_body != c)
            continue;
        of[n] = i;
        wants[n++].limit = v->sigs[i].body_limit;
    }
    sign_canon_body(c, v->m->body, wants, n);
    for (size_t i = 0; i < n; i++)
        v->digests[of[i]] = wants[i];
}

static struct dkim_flaw check_body(const struct dkim_sig *sig, const struct sign_digest *digest)
{
    if (digest->is_short)
        return (struct dkim_flaw){TRUST_DKIM_FAIL, "the body is shorter than l="};
    if (memcmp(digest->sha256, sig->body_hash, SIGN_DIGEST) != 0)
        return (struct dkim_flaw){TRUST_DKIM_FAIL, "the body was changed"};
    return good;
}

/* ---- the header --------------------------------------------------------------------------- */

/* The last field of this name that is not used yet; NULL if there is none: it adds nothing
 * (section 5.4.2). The signature itself is added apart. */
static const struct sign_field *take_field(struct verifying *v, const struct dkim_sig *sig,
                                           struct slice name)
{
    uint32_t hash = sign_name_hash(name);
    for (size_t i = v->m->n_fields; i > 0; i--) {
        const struct sign_field *f = &v->m->fields[i - 1];
        if (f->name_hash != hash || v->is_used[i - 1] || f == sig->field ||
            !slice_ieq(f->name, name))
            continue;
        v->is_used[i - 1] = true;
        return f;
    }
    return NULL;
}

static bool digest_header(struct verifying *v, const struct dkim_sig *sig, uint8_t *ret)
{
    SCOPED(buf_finish) struct buf canonical = buf_make(2 * SIGN_HEADER_MAX);
    struct slice rest = sig->names;
    size_t n_names = 0;
    memset(v->is_used, 0, sizeof(v->is_used));
    while (rest.n > 0) {
        struct slice name = slice_trim(slice_cut(rest, ':', &rest));
        if (name.n == 0 || ++n_names > SIGN_FIELDS_MAX)
            return false;
        const struct sign_field *f = take_field(v, sig, name);
        if (f)
            sign_canon_field(sig->canon_header, f, &canonical);
    }
    sign_canon_own(sig->canon_header, sig->field, sig->b_value, &canonical);
    sign_sha256(buf_slice(&canonical), ret);
    return !canonical.failed;
}

/* ---- the signature ------------------------------------------------------------------------ */

static bool verify_ed25519(EVP_PKEY *pkey, const struct dkim_sig *sig, const uint8_t *digest)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool is_ok = md && EVP_DigestVerifyInit(md, NULL, NULL, NULL, pkey) == 1 &&
                 EVP_DigestVerify(md, sig->signature, sig->n_signature, digest, SIGN_DIGEST) == 1;
    EVP_MD_CTX_free(md);
    return is_ok;
}

static bool verify_rsa(EVP_PKEY *pkey, const struct dkim_sig *sig, const uint8_t *digest)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool is_ok = ctx && EVP_PKEY_verify_init(ctx) == 1 &&
                 EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                 EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                 EVP_PKEY_verify(ctx, sig->signature, sig->n_signature, digest, SIGN_DIGEST) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_ok;
}

static struct dkim_flaw check_signature(const struct trust_dns *dns, struct verifying *v,
                                        const struct dkim_sig *sig, bool *ret_is_testing)
{
    uint8_t digest[SIGN_DIGEST];
    struct dkim_key key;
    struct dkim_flaw f = dkim_key_find(dns, sig, &key);
    if (f.result != TRUST_DKIM_PASS)
        return f;
    *ret_is_testing = key.is_testing;
    if (!digest_header(v, sig, digest))
        f = (struct dkim_flaw){TRUST_DKIM_NEUTRAL, "syntax error in h="};
    else if (!(sig->is_ed25519 ? verify_ed25519 : verify_rsa)(key.pkey, sig, digest))
        f = (struct dkim_flaw){TRUST_DKIM_FAIL, "the signature does not fit"};
    EVP_PKEY_free(key.pkey);
    return f;
}

static void report(const struct dkim_sig *sig, struct trust_dkim_sig *ret)
{
    size_t n = 0;
    *ret = (struct trust_dkim_sig){.algorithm = sig->algorithm};
    if (trust_name_is_valid(sig->domain))
        ret->domain = sig->domain;
    if (trust_name_is_valid(sig->selector))
        ret->selector = sig->selector;
    for (size_t i = 0; i < sig->b_value.n && n < sizeof(ret->start) - 1; i++)
        if (!sign_is_blank(sig->b_value.p[i]))
            ret->start[n++] = sig->b_value.p[i];
}

static void verify_all(const struct trust_dns *dns, struct verifying *v, struct trust_dkim *ret)
{
    digest_bodies(v, SIGN_SIMPLE);
    digest_bodies(v, SIGN_RELAXED);
    for (size_t i = 0; i < v->n; i++) {
        struct trust_dkim_sig *out = &ret->sigs[i];
        struct dkim_flaw f = v->flaws[i];
        report(&v->sigs[i], out);
        if (f.result == TRUST_DKIM_PASS)
            f = check_body(&v->sigs[i], &v->digests[i]);
        if (f.result == TRUST_DKIM_PASS)
            f = check_signature(dns, v, &v->sigs[i], &out->is_testing);
        out->is_partial = v->digests[i].is_partial;
        out->result = f.result;
        out->why = f.why;
    }
    ret->n_sigs = v->n;
    ERR_clear_error(); /* what is left in this thread's queue would puzzle its next TLS call */
}

static size_t count_from(const struct sign_message *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_fields; i++)
        n += sign_field_is(&m->fields[i], SLICE("From")) ? 1 : 0;
    return n;
}

/* A second From above the signed one would be what a reader sees (section 8.15). */
static struct dkim_flaw check_one(const struct sign_message *m, const struct sign_field *f,
                                  utc_ms now, struct dkim_sig *ret)
{
    struct dkim_flaw bad = dkim_sig_parse(f, now / 1000, ret);
    if (bad.result == TRUST_DKIM_PASS && count_from(m) != 1)
        return (struct dkim_flaw){TRUST_DKIM_PERMERROR, "the message has not exactly one From"};
    return bad;
}

void trust_dkim_verify_split(const struct trust_dns *dns, const struct sign_message *m, utc_ms now,
                             struct trust_dkim *ret)
{
    struct verifying *v = mem_new(sizeof(*v));
    v->m = m;
    *ret = (struct trust_dkim){};
    for (size_t i = 0; i < m->n_fields; i++) {
        if (!sign_field_is(&m->fields[i], SLICE("DKIM-Signature")))
            continue;
        if (v->n == TRUST_DKIM_MAX) {
            ret->n_ignored++;
            continue;
        }
        v->flaws[v->n] = check_one(m, &m->fields[i], now, &v->sigs[v->n]);
        v->n++;
    }
    if (v->n > 0)
        verify_all(dns, v, ret);
    mem_free(&v);
}

void trust_dkim_verify(const struct trust_dns *dns, struct slice message, utc_ms now,
                       struct trust_dkim *ret)
{
    struct sign_message *m = mem_new(sizeof(*m));
    *ret = (struct trust_dkim){};
    if (sign_message_split(message, m))
        trust_dkim_verify_split(dns, m, now, ret);
    mem_free(&m);
}
