/* Inside DKIM: a signature field and a key record, taken apart. */
#ifndef TRUST_DKIM_INT_H
#define TRUST_DKIM_INT_H

#include "trust_int.h"

#include <openssl/evp.h>

enum { DKIM_SIGNATURE_MAX = TRUST_RSA_BITS_MAX / 8 };

/* Why a signature is not good, and as what that counts. */
struct dkim_flaw {
    enum trust_dkim_result result; /* TRUST_DKIM_PASS: no flaw */
    const char *why;
};

struct dkim_sig {
    const struct sign_field *field;
    struct slice domain, selector, names; /* d= s= h= */
    struct slice identity_domain;         /* of i=, or d= */
    struct slice b_value;
    const char *algorithm;
    bool is_ed25519;
    enum sign_canon canon_header, canon_body;
    uint8_t body_hash[SIGN_DIGEST];
    uint8_t signature[DKIM_SIGNATURE_MAX];
    size_t n_signature;
    uint64_t body_limit; /* l=, or UINT64_MAX */
};

/* Fills in what can be read even when there is a flaw, so that a report can name it. RFC 6376
 * section 6.1.1; `now_sec` against t= and x=. */
struct dkim_flaw dkim_sig_parse(const struct sign_field *f, int64_t now_sec, struct dkim_sig *ret);

struct dkim_key {
    EVP_PKEY *pkey;
    bool is_testing;      /* t=y */
    bool is_exact_domain; /* t=s: no subdomain in i= */
    bool is_other_kind;   /* k= is not the wanted one: that is the flaw */
};
/* Asks for the key and reads it (section 6.1.2). On PASS the caller frees ret->pkey. */
struct dkim_flaw dkim_key_find(const struct trust_dns *dns, const struct dkim_sig *sig,
                               struct dkim_key *ret);

/* SubjectPublicKeyInfo as everybody publishes it, or the bare RSAPublicKey of the text of RFC
 * 6376, in DER. NULL if it is neither, wholly, or no possible key. The caller frees. */
EVP_PKEY *dkim_rsa_read(struct slice der);

/* Reads one key record. */
struct dkim_flaw dkim_key_parse(struct slice text, bool want_ed25519, struct dkim_key *ret);

#endif
