/* Private keys of DKIM: made, read, written, used. Where they are kept is the caller's affair. */
#include "sign_int.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static enum err crypto_failed(struct errinfo *ei, enum err code, const char *what)
{
    unsigned long e = ERR_get_error();
    ERR_clear_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;
    return err_set(ei, code, "%s: %s", what, why ? why : "refused by the library");
}

static struct sign_key *key_make(EVP_PKEY *take_pkey)
{
    struct sign_key *key = mem_new(sizeof(*key));
    ERR_clear_error(); /* finding out the kind of key leaves failures behind */
    key->pkey = take_pkey;
    key->is_ed25519 = EVP_PKEY_is_a(take_pkey, "ED25519");
    return key;
}

enum err sign_key_create(enum sign_key_kind kind, struct sign_key **ret, struct errinfo *ei)
{
    EVP_PKEY *pkey = NULL;
    switch (kind) {
    case SIGN_KEY_RSA2048:
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
        break;
    case SIGN_KEY_ED25519:
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    case SIGN_KEY_N:
        break;
    }
    if (!pkey)
        return crypto_failed(ei, ERR_IO, "generating a DKIM key");
    *ret = key_make(pkey);
    return ERR_OK;
}

/* Without this the library would ask for a pass phrase on the terminal. */
static int no_password(char *, int, int, void *)
{
    return -1;
}

enum err sign_key_load(struct slice pem, struct sign_key **ret, struct errinfo *ei)
{
    if (pem.n == 0 || pem.n > SIGN_PEM_MAX)
        return err_set(ei, ERR_INVALID, "a DKIM key in PEM has 1 to %d bytes", SIGN_PEM_MAX);
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    must(bio != NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    if (!pkey)
        return crypto_failed(ei, ERR_INVALID, "reading a DKIM key");
    int bits = EVP_PKEY_get_bits(pkey);
    bool is_rsa = EVP_PKEY_is_a(pkey, "RSA") && bits >= 1024 && bits <= 4096;
    if (!is_rsa && !EVP_PKEY_is_a(pkey, "ED25519")) {
        EVP_PKEY_free(pkey);
        return err_set(ei, ERR_INVALID, "a DKIM key is RSA of 1024 to 4096 bits or Ed25519");
    }
    *ret = key_make(pkey);
    return ERR_OK;
}

void sign_key_destroy(struct sign_key **key)
{
    if (!*key)
        return;
    EVP_PKEY_free((*key)->pkey);
    mem_free(key);
}

void sign_wipe(struct buf *b)
{
    if (b->p)
        OPENSSL_cleanse(b->p, b->cap);
    buf_finish(b);
}

enum err sign_key_pem(const struct sign_key *key, struct buf *out, struct errinfo *ei)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    must(bio != NULL);
    char *text = NULL;
    long n = 0;
    bool is_ok = PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1;
    if (is_ok)
        n = BIO_get_mem_data(bio, &text);
    /* Room first: growing later would leave a copy of the key behind in freed memory. */
    char *room = n > 0 ? buf_room(out, (size_t)n) : NULL;
    if (room)
        memcpy(room, text, (size_t)n);
    BIO_free(bio);
    if (n <= 0)
        return crypto_failed(ei, ERR_IO, "writing a DKIM key");
    return room ? ERR_OK : err_set(ei, ERR_FULL, "no room for a DKIM key of %ld bytes", n);
}

const char *sign_key_algorithm(const struct sign_key *key)
{
    return key->is_ed25519 ? "ed25519-sha256" : "rsa-sha256";
}

enum err sign_key_record(const struct sign_key *key, struct buf *out, struct errinfo *ei)
{
    unsigned char raw[32];
    unsigned char *der = NULL;
    size_t n = sizeof(raw);
    if (key->is_ed25519) {
        /* RFC 8463 section 4: the bare 32 bytes, no structure around them */
        if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &n) != 1)
            return crypto_failed(ei, ERR_IO, "reading the public half of a DKIM key");
    } else {
        int len = i2d_PUBKEY(key->pkey, &der);
        if (len <= 0)
            return crypto_failed(ei, ERR_IO, "reading the public half of a DKIM key");
        n = (size_t)len;
    }
    buf_addf(out, "v=DKIM1; k=%s; p=", key->is_ed25519 ? "ed25519" : "rsa");
    sign_base64_add(out, der ? der : raw, n);
    OPENSSL_free(der);
    return out->failed ? err_set(ei, ERR_FULL, "no room for a DKIM record") : ERR_OK;
}

static bool use_ed25519(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *ret, size_t *ret_n)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool is_ok = md && EVP_DigestSignInit(md, NULL, NULL, NULL, pkey) == 1 &&
                 EVP_DigestSign(md, ret, ret_n, digest, SIGN_DIGEST) == 1;
    EVP_MD_CTX_free(md);
    return is_ok;
}

static bool use_rsa(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *ret, size_t *ret_n)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool is_ok = ctx && EVP_PKEY_sign_init(ctx) == 1 &&
                 EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                 EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                 EVP_PKEY_sign(ctx, ret, ret_n, digest, SIGN_DIGEST) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_ok;
}

enum err sign_key_use(const struct sign_key *key, const uint8_t digest[SIGN_DIGEST], uint8_t *ret,
                      size_t *ret_n, struct errinfo *ei)
{
    size_t n = SIGNATURE_MAX;
    bool is_ok = key->is_ed25519 ? use_ed25519(key->pkey, digest, ret, &n)
                                 : use_rsa(key->pkey, digest, ret, &n);
    if (!is_ok)
        return crypto_failed(ei, ERR_IO, "signing with a DKIM key");
    *ret_n = n;
    return ERR_OK;
}
