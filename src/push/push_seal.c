/* Encryption of a push for the client alone: ECDH on P-256 with a key pair of this message, keys by
 * HKDF (RFC 5869) with the client's secret, one record of AES-128-GCM (RFC 8291, RFC 8188). */
#include "push/push_int.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>

enum { SHARED = 32, SUM = 32, KEY = 16, NONCE = 12, TAG = 16, RECORD = 4096, PAD_TO = 256 };

struct secrets { /* wiped at the end */
    unsigned char shared[SHARED], prk[SUM], ikm[SUM], key[SUM], nonce[SUM];
};

static void key_free(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

/* ---- base64 (RFC 4648 section 5) ---- */

static int letter(char c)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(all, c) : NULL;
    return at ? (int)(at - all) : -1;
}

bool push_base64(struct slice text, unsigned char *ret, size_t n)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t at = 0;
    for (int pad = text.n % 4 == 0 ? 2 : 0; pad > 0 && text.n > 0 && text.p[text.n - 1] == '=';
         pad--)
        text.n--;
    for (size_t i = 0; i < text.n; i++) {
        int value = letter(text.p[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        if (at == n)
            return false;
        ret[at++] = (unsigned char)(bits >> n_bits);
        bits &= (1u << n_bits) - 1;
    }
    return at == n && n_bits < 6 && bits == 0;
}

/* ---- keys ---- */

/* `scalar` may be NULL: a public key only. NULL: it is none. */
static EVP_PKEY *make_key(const unsigned char point[PUSH_POINT], const unsigned char *scalar)
{
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    BIGNUM *number = scalar ? BN_bin2bn(scalar, PUSH_SCALAR, NULL) : NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    must(b && c);
    must(OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0));
    must(OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, PUSH_POINT));
    must(!number || OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, number));
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
    must(params && EVP_PKEY_fromdata_init(c) == 1);
    if (EVP_PKEY_fromdata(c, &key, scalar ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    BN_clear_free(number);
    EVP_PKEY_CTX_free(c);
    return key;
}

static bool is_on_curve(EVP_PKEY *key)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool is = c && EVP_PKEY_public_check(c) == 1;
    EVP_PKEY_CTX_free(c);
    return is;
}

bool push_keys_parse(struct slice p256dh, struct slice auth, struct push_keys *ret)
{
    struct push_keys keys;
    if (!push_base64(p256dh, keys.point, PUSH_POINT) ||
        !push_base64(auth, keys.secret, PUSH_SECRET) || keys.point[0] != 4)
        return false;
    SCOPED(key_free) EVP_PKEY *key = make_key(keys.point, NULL);
    if (!key || !is_on_curve(key))
        return false;
    *ret = keys;
    return true;
}

static bool agree(EVP_PKEY *ours, EVP_PKEY *theirs, unsigned char ret[SHARED])
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
    size_t n = SHARED;
    bool is_good = c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, theirs) == 1 &&
                   EVP_PKEY_derive(c, ret, &n) == 1 && n == SHARED;
    EVP_PKEY_CTX_free(c);
    return is_good;
}

/* ---- HKDF: every outcome here is one HMAC long at most ---- */

static void hmac(const void *key, size_t n_key, struct slice text, unsigned char ret[SUM])
{
    unsigned n = 0;
    must(HMAC(EVP_sha256(), key, (int)n_key, (const unsigned char *)text.p, text.n, ret, &n) &&
         n == SUM);
}

static void derive(struct secrets *s, const struct push_keys *keys,
                   const unsigned char point[PUSH_POINT], const unsigned char salt[PUSH_SALT])
{
    SCOPED(buf_finish) struct buf info = buf_make(200);
    buf_add(&info, "WebPush: info", 14); /* with its zero */
    buf_add(&info, keys->point, PUSH_POINT);
    buf_add(&info, point, PUSH_POINT);
    buf_u8(&info, 1);
    hmac(keys->secret, PUSH_SECRET, slice_of((const char *)s->shared, SHARED), s->prk);
    hmac(s->prk, SUM, buf_slice(&info), s->ikm);
    hmac(salt, PUSH_SALT, slice_of((const char *)s->ikm, SUM), s->prk);
    hmac(s->prk, SUM, slice_of("Content-Encoding: aes128gcm\0\1", 29), s->key);
    hmac(s->prk, SUM, slice_of("Content-Encoding: nonce\0\1", 25), s->nonce);
}

static bool encrypt(const struct secrets *s, struct slice plain, struct buf *ret)
{
    unsigned char *to = (unsigned char *)buf_room(ret, plain.n + TAG);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, end = 0;
    bool is_good =
        to && c && EVP_EncryptInit_ex2(c, EVP_aes_128_gcm(), s->key, s->nonce, NULL) == 1 &&
        EVP_EncryptUpdate(c, to, &n, (const unsigned char *)plain.p, (int)plain.n) == 1 &&
        EVP_EncryptFinal_ex(c, to + n, &end) == 1 && (size_t)(n + end) == plain.n &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, to + plain.n) == 1;
    EVP_CIPHER_CTX_free(c);
    return is_good;
}

static enum err seal(const struct push_keys *keys, EVP_PKEY *ours,
                     const unsigned char point[PUSH_POINT], const unsigned char salt[PUSH_SALT],
                     struct slice padded, struct buf *ret, struct errinfo *ei)
{
    struct secrets s;
    SCOPED(key_free) EVP_PKEY *theirs = make_key(keys->point, NULL);
    if (!theirs || !ours || !agree(ours, theirs, s.shared))
        return err_set(ei, ERR_INVALID, "the key of the push subscription is none");
    derive(&s, keys, point, salt);
    buf_add(ret, salt, PUSH_SALT);
    const unsigned char record[] = {0, 0, RECORD >> 8, RECORD & 0xff, PUSH_POINT};
    buf_add(ret, record, sizeof(record));
    buf_add(ret, point, PUSH_POINT);
    bool is_good = encrypt(&s, padded, ret);
    OPENSSL_cleanse(&s, sizeof(s));
    return is_good && !ret->failed ? ERR_OK : err_set(ei, ERR_LIMIT, "it could not be encrypted");
}

enum err push_seal_with(const struct push_keys *keys, const unsigned char scalar[PUSH_SCALAR],
                        const unsigned char point[PUSH_POINT], const unsigned char salt[PUSH_SALT],
                        struct slice padded, struct buf *ret, struct errinfo *ei)
{
    SCOPED(key_free) EVP_PKEY *ours = make_key(point, scalar);
    return seal(keys, ours, point, salt, padded, ret, ei);
}

enum err push_seal(const struct push_keys *keys, struct slice plain, struct buf *ret,
                   struct errinfo *ei)
{
    unsigned char point[PUSH_POINT], salt[PUSH_SALT];
    size_t n = 0;
    if (plain.n > PUSH_PLAIN_MAX)
        return err_set(ei, ERR_LIMIT, "more than one push may carry");
    SCOPED(key_free) EVP_PKEY *ours = EVP_EC_gen("P-256");
    must(ours && EVP_PKEY_get_octet_string_param(ours, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                 sizeof(point), &n) == 1);
    must(n == PUSH_POINT); /* OpenSSL's own form is the uncompressed one */
    random_bytes(salt, sizeof(salt));
    /* Its length tells who watches how much changed: only roughly. 2 ends the last record. */
    SCOPED(buf_finish) struct buf padded = buf_make(PUSH_SEALED_MAX);
    buf_adds(&padded, plain);
    buf_u8(&padded, 2);
    while (padded.n % PAD_TO)
        buf_u8(&padded, 0);
    return seal(keys, ours, point, salt, buf_slice(&padded), ret, ei);
}
