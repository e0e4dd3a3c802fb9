/* The DKIM-Signature field (RFC 6376 section 3.5), checked before any work is spent on it. */
#include "dkim_int.h"

enum { CLOCK_SKEW_SEC = 86400 }; /* a wrong clock, theirs or ours, is no forgery yet */

static const struct dkim_flaw good = {TRUST_DKIM_PASS, ""};

static struct dkim_flaw flaw(enum trust_dkim_result result, const char *why)
{
    return (struct dkim_flaw){result, why};
}

static struct slice tag(const struct sign_tags *tags, const char *name)
{
    const struct slice *value = sign_tags_get(tags, name);
    return value ? *value : SLICE("");
}

static struct dkim_flaw parse_algorithm(struct slice a, struct dkim_sig *ret)
{
    ret->algorithm = "";
    if (slice_eq(a, SLICE("rsa-sha256")))
        ret->algorithm = "rsa-sha256";
    else if (slice_eq(a, SLICE("ed25519-sha256")))
        ret->algorithm = "ed25519-sha256";
    else if (slice_eq(a, SLICE("rsa-sha1")))
        ret->algorithm = "rsa-sha1";
    ret->is_ed25519 = slice_starts(a, SLICE("ed25519"));
    if (!*ret->algorithm)
        return flaw(TRUST_DKIM_NEUTRAL, "unknown algorithm");
    if (slice_eq(a, SLICE("rsa-sha1")))
        return flaw(TRUST_DKIM_POLICY, "rsa-sha1 is not acceptable"); /* RFC 8301 section 3.1 */
    return good;
}

static bool parse_canon_name(struct slice s, enum sign_canon *ret)
{
    *ret = slice_eq(s, SLICE("relaxed")) ? SIGN_RELAXED : SIGN_SIMPLE;
    return *ret == SIGN_RELAXED || slice_eq(s, SLICE("simple"));
}

static bool parse_canon(const struct sign_tags *tags, struct dkim_sig *ret)
{
    struct slice c = tag(tags, "c"), body;
    ret->canon_header = ret->canon_body = SIGN_SIMPLE;
    if (c.n == 0)
        return !sign_tags_get(tags, "c");
    struct slice header = slice_cut(c, '/', &body);
    if (!parse_canon_name(header, &ret->canon_header))
        return false;
    return header.n == c.n || parse_canon_name(body, &ret->canon_body);
}

/* A list with ':' between, blanks anywhere, holds `word`. */
static bool list_has(struct slice list, struct slice word)
{
    while (list.n > 0)
        if (slice_ieq(slice_trim(slice_cut(list, ':', &list)), word))
            return true;
    return false;
}

/* i= is an address in d= or below it; without one it is d= (section 3.5). */
static bool parse_identity(const struct sign_tags *tags, struct dkim_sig *ret)
{
    ret->identity_domain = ret->domain;
    if (!sign_tags_get(tags, "i"))
        return true;
    struct slice domain = trust_path_domain(tag(tags, "i"));
    ret->identity_domain = domain;
    return trust_name_is_below(domain, ret->domain);
}

static bool is_key_name(const struct dkim_sig *sig)
{
    return trust_name_is_valid(sig->domain) && trust_name_is_valid(sig->selector) &&
           sig->domain.n + sig->selector.n + sizeof("._domainkey.") <= TRUST_NAME_MAX;
}

/* Optional decimal numbers; absent gives `absent`. */
static bool parse_number(const struct sign_tags *tags, const char *name, uint64_t max,
                         uint64_t absent, uint64_t *ret)
{
    const struct slice *value = sign_tags_get(tags, name);
    *ret = absent;
    return !value || slice_u64(*value, max, ret);
}

static struct dkim_flaw parse_times(const struct sign_tags *tags, int64_t now_sec)
{
    uint64_t made, expires;
    if (!parse_number(tags, "t", INT64_MAX, 0, &made) ||
        !parse_number(tags, "x", INT64_MAX, INT64_MAX, &expires))
        return flaw(TRUST_DKIM_NEUTRAL, "syntax error in t= or x=");
    if (expires <= made && sign_tags_get(tags, "t"))
        return flaw(TRUST_DKIM_NEUTRAL, "expires before it was made");
    if ((int64_t)expires < now_sec)
        return flaw(TRUST_DKIM_FAIL, "signature expired");
    if ((int64_t)made > now_sec && (int64_t)made - now_sec > CLOCK_SKEW_SEC)
        return flaw(TRUST_DKIM_FAIL, "signature from the future");
    return good;
}

static struct dkim_flaw parse_values(const struct sign_tags *tags, struct dkim_sig *ret)
{
    size_t n;
    if (!slice_eq(tag(tags, "v"), SLICE("1")))
        return flaw(TRUST_DKIM_NEUTRAL, "unknown version");
    struct dkim_flaw f = parse_algorithm(tag(tags, "a"), ret);
    if (f.result != TRUST_DKIM_PASS)
        return f;
    if (!parse_canon(tags, ret))
        return flaw(TRUST_DKIM_NEUTRAL, "unknown canonical form");
    if (sign_tags_get(tags, "q") && !list_has(tag(tags, "q"), SLICE("dns/txt")))
        return flaw(TRUST_DKIM_NEUTRAL, "unknown way to the key");
    if (!is_key_name(ret))
        return flaw(TRUST_DKIM_NEUTRAL, "impossible d= or s=");
    if (!parse_identity(tags, ret))
        return flaw(TRUST_DKIM_PERMERROR, "i= is not within d=");
    if (ret->names.n == 0 || !list_has(ret->names, SLICE("from")))
        return flaw(TRUST_DKIM_PERMERROR, "From is not signed");
    if (!sign_base64_read(tag(tags, "bh"), ret->body_hash, SIGN_DIGEST, &n) || n != SIGN_DIGEST)
        return flaw(TRUST_DKIM_NEUTRAL, "syntax error in bh=");
    if (!sign_base64_read(ret->b_value, ret->signature, DKIM_SIGNATURE_MAX, &ret->n_signature) ||
        ret->n_signature == 0)
        return flaw(TRUST_DKIM_NEUTRAL, "syntax error in b=");
    if (!parse_number(tags, "l", UINT64_MAX - 1, UINT64_MAX, &ret->body_limit))
        return flaw(TRUST_DKIM_NEUTRAL, "syntax error in l=");
    return good;
}

struct dkim_flaw dkim_sig_parse(const struct sign_field *f, int64_t now_sec, struct dkim_sig *ret)
{
    struct sign_tags tags;
    *ret = (struct dkim_sig){.field = f, .algorithm = "", .body_limit = UINT64_MAX};
    if (!sign_tags_parse(f->value, &tags))
        return flaw(TRUST_DKIM_NEUTRAL, "syntax error");
    ret->domain = tag(&tags, "d");
    ret->selector = tag(&tags, "s");
    ret->names = tag(&tags, "h");
    ret->b_value = tag(&tags, "b");
    struct dkim_flaw bad = parse_values(&tags, ret);
    return bad.result == TRUST_DKIM_PASS ? parse_times(&tags, now_sec) : bad;
}
