/* An RSA public key out of its DER bytes (RFC 8017 appendix A.1.1, RFC 5280 section 4.1.2.7). By
 * hand, because the library's own decoder takes ten times as long as the verification: it tries
 * every kind of key it knows. */
#include "dkim_int.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

enum { DER_INTEGER = 0x02, DER_BITS = 0x03, DER_SEQUENCE = 0x30 };
enum { EXPONENT_BYTES_MAX = 8 }; /* nobody uses more; a large one is slow to verify with */

/* Takes one value with this tag off the front. False if there is none, or it is cut short. */
static bool take(struct slice *s, uint8_t tag, struct slice *ret)
{
    const uint8_t *p = (const uint8_t *)s->p;
    if (s->n < 2 || p[0] != tag)
        return false;
    size_t n = p[1], head = 2;
    if (n >= 0x80) { /* long form: so many bytes of length, two suffice for any key */
        size_t n_length = n & 0x7f;
        if (n_length < 1 || n_length > 2 || s->n < 2 + n_length)
            return false;
        n = n_length == 1 ? p[2] : (size_t)p[2] << 8 | p[3];
        head += n_length;
    }
    if (s->n - head < n)
        return false;
    *ret = slice_of(s->p + head, n);
    *s = slice_skip(*s, head + n);
    return true;
}

/* A positive number, without the zero that keeps it positive. */
static bool take_number(struct slice *s, struct slice *ret)
{
    if (!take(s, DER_INTEGER, ret) || ret->n == 0 || (ret->p[0] & 0x80))
        return false;
    while (ret->n > 0 && ret->p[0] == 0)
        *ret = slice_skip(*ret, 1);
    return ret->n > 0;
}

/* The bare key, out of a SubjectPublicKeyInfo if it is wrapped in one. */
static bool unwrap(struct slice *der)
{
    static const char oid[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"; /* rsaEncryption */
    struct slice all = *der, info, algorithm, bits;
    if (!take(&all, DER_SEQUENCE, &info) || all.n > 0)
        return false;
    if (info.n > 0 && info.p[0] == DER_INTEGER)
        return true;
    if (!take(&info, DER_SEQUENCE, &algorithm) || !take(&info, DER_BITS, &bits) || info.n > 0)
        return false;
    *der = slice_skip(bits, 1);
    return slice_starts(algorithm, slice_of(oid, sizeof(oid) - 1)) && bits.n > 0 && bits.p[0] == 0;
}

static EVP_PKEY *build(OSSL_PARAM_BLD *builder, const BIGNUM *n, const BIGNUM *e)
{
    EVP_PKEY *pkey = NULL;
    if (!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) ||
        !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
        return NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

EVP_PKEY *dkim_rsa_read(struct slice der)
{
    struct slice rest = der, key, modulus, exponent;
    if (!unwrap(&rest) || !take(&rest, DER_SEQUENCE, &key) || rest.n > 0 ||
        !take_number(&key, &modulus) || !take_number(&key, &exponent) || key.n > 0)
        return NULL;
    if (exponent.n > EXPONENT_BYTES_MAX || modulus.n > 2 * DKIM_SIGNATURE_MAX)
        return NULL;
    BIGNUM *n = BN_bin2bn((const unsigned char *)modulus.p, (int)modulus.n, NULL);
    BIGNUM *e = BN_bin2bn((const unsigned char *)exponent.p, (int)exponent.n, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    must(n && e && builder);
    /* Even numbers are no RSA key; an exponent of one would make every signature good. */
    bool is_sane = BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e);
    EVP_PKEY *pkey = is_sane ? build(builder, n, e) : NULL;
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return pkey;
}
