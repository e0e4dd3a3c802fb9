/* The public key of a signer: asked for, read, found strong enough (RFC 6376 section 3.6.1 and
 * 6.1.2, RFC 8301 section 3.2, RFC 8463 section 4). */
#include "dkim_int.h"

enum { KEY_BYTES_MAX = 1024, ED25519_BYTES = 32 };

static struct dkim_flaw flaw(enum trust_dkim_result result, const char *why)
{
    return (struct dkim_flaw){result, why};
}

static struct dkim_flaw read_key(struct slice p, bool is_ed25519, struct dkim_key *ret)
{
    uint8_t der[KEY_BYTES_MAX];
    size_t n;
    if (p.n == 0)
        return flaw(TRUST_DKIM_PERMERROR, "key revoked");
    if (!sign_base64_read(p, der, sizeof(der), &n))
        return flaw(TRUST_DKIM_PERMERROR, "the key is broken");
    if (is_ed25519 && n == ED25519_BYTES)
        ret->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, der, n);
    else if (!is_ed25519)
        ret->pkey = dkim_rsa_read(slice_of((const char *)der, n));
    if (!ret->pkey)
        return flaw(TRUST_DKIM_PERMERROR, "the key is broken");
    int bits = EVP_PKEY_get_bits(ret->pkey);
    if (is_ed25519 || (bits >= TRUST_RSA_BITS_MIN && bits <= TRUST_RSA_BITS_MAX))
        return flaw(TRUST_DKIM_PASS, "");
    EVP_PKEY_free(ret->pkey);
    ret->pkey = NULL;
    return bits < TRUST_RSA_BITS_MIN ? flaw(TRUST_DKIM_POLICY, "the key is too short")
                                     : flaw(TRUST_DKIM_POLICY, "the key is too long");
}

static bool list_has(const struct sign_tags *tags, const char *name, const char *word)
{
    const struct slice *list = sign_tags_get(tags, name);
    struct slice rest = list ? *list : SLICE("");
    while (rest.n > 0)
        if (slice_eq(slice_trim(slice_cut(rest, ':', &rest)), slice_str(word)))
            return true;
    return false;
}

struct dkim_flaw dkim_key_parse(struct slice text, bool want_ed25519, struct dkim_key *ret)
{
    struct sign_tags tags;
    *ret = (struct dkim_key){};
    if (text.n > TRUST_TXT_MAX || !sign_tags_parse(text, &tags))
        return flaw(TRUST_DKIM_PERMERROR, "syntax error in the key record");
    const struct slice *v = sign_tags_get(&tags, "v"), *k = sign_tags_get(&tags, "k");
    const struct slice *p = sign_tags_get(&tags, "p");
    if (v && (!slice_eq(*v, SLICE("DKIM1")) || v != &tags.tags[0].value))
        return flaw(TRUST_DKIM_PERMERROR, "unknown version of the key record");
    if (!p)
        return flaw(TRUST_DKIM_PERMERROR, "no key in the key record");
    struct slice kind = k ? *k : SLICE("rsa");
    ret->is_other_kind = !slice_eq(kind, want_ed25519 ? SLICE("ed25519") : SLICE("rsa"));
    if (ret->is_other_kind)
        return flaw(TRUST_DKIM_PERMERROR, "the key is of another kind");
    if (sign_tags_get(&tags, "h") && !list_has(&tags, "h", "sha256"))
        return flaw(TRUST_DKIM_PERMERROR, "the key is not for sha256");
    if (sign_tags_get(&tags, "s") && !list_has(&tags, "s", "*") && !list_has(&tags, "s", "email"))
        return flaw(TRUST_DKIM_PERMERROR, "the key is not for mail");
    ret->is_testing = list_has(&tags, "t", "y");
    ret->is_exact_domain = list_has(&tags, "t", "s");
    return read_key(*p, want_ed25519, ret);
}

const char *trust_dkim_key_read(struct slice record, struct trust_dkim_key *ret)
{
    struct dkim_key key;
    bool is_ed25519 = false;
    struct dkim_flaw f = dkim_key_parse(record, false, &key);
    if (key.is_other_kind) {
        f = dkim_key_parse(record, true, &key);
        is_ed25519 = true;
    }
    if (f.result != TRUST_DKIM_PASS)
        return f.why;
    *ret = (struct trust_dkim_key){.is_ed25519 = is_ed25519,
                                   .is_testing = key.is_testing,
                                   .bits = (unsigned)EVP_PKEY_get_bits(key.pkey)};
    EVP_PKEY_free(key.pkey);
    return NULL;
}

/* Several records at one name are undefined (section 3.6.2.2): the first that is a usable key. */
static struct dkim_flaw first_key(const struct trust_answer *answer, const struct dkim_sig *sig,
                                  struct dkim_key *ret)
{
    struct dkim_flaw first = flaw(TRUST_DKIM_PERMERROR, "no key");
    for (size_t i = 0; i < answer->n_records && i < TRUST_DKIM_MAX; i++) {
        struct dkim_flaw f = dkim_key_parse(answer->records[i], sig->is_ed25519, ret);
        if (f.result == TRUST_DKIM_PASS)
            return f;
        if (i == 0)
            first = f;
    }
    return first;
}

struct dkim_flaw dkim_key_find(const struct trust_dns *dns, const struct dkim_sig *sig,
                               struct dkim_key *ret)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    SCOPED(buf_finish) struct buf name = buf_make(TRUST_NAME_MAX);
    struct trust_answer answer;
    buf_adds(&name, sig->selector);
    buf_adds(&name, SLICE("._domainkey."));
    buf_adds(&name, sig->domain);
    switch (trust_ask(dns, buf_slice(&name), TRUST_DNS_TXT, a, &answer)) {
    case TRUST_DNS_OK:
        break;
    case TRUST_DNS_NXDOMAIN:
    case TRUST_DNS_NODATA:
        return flaw(TRUST_DKIM_PERMERROR, "no key");
    case TRUST_DNS_TEMPFAIL:
        return flaw(TRUST_DKIM_TEMPERROR, "no answer for the key");
    }
    struct dkim_flaw f = first_key(&answer, sig, ret);
    if (f.result != TRUST_DKIM_PASS)
        return f;
    if (!ret->is_exact_domain || slice_ieq(sig->identity_domain, sig->domain))
        return f;
    EVP_PKEY_free(ret->pkey);
    ret->pkey = NULL;
    return flaw(TRUST_DKIM_PERMERROR, "the key is not for subdomains");
}
