/* Inside sign: what a key is. */
#ifndef SIGN_SIGN_INT_H
#define SIGN_SIGN_INT_H

#include "sign.h"
#include "canon.h"

#include <openssl/evp.h>

enum { SIGNATURE_MAX = 512 }; /* bytes of the signature of a 4096-bit RSA key */

struct sign_key {
    EVP_PKEY *pkey;
    bool is_ed25519;
};

/* Signs a SHA-256 digest; `ret` has SIGNATURE_MAX bytes. */
enum err sign_key_use(const struct sign_key *key, const uint8_t digest[SIGN_DIGEST], uint8_t *ret,
                      size_t *ret_n, struct errinfo *ei);

#endif
