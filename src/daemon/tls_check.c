/* Certificate and key, parsed by OpenSSL in the short-lived child; see tls_check.h. */
#include "daemon/tls_check.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* A process without a terminal cannot ask. */
static int no_password(char *, int, int, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

static X509 *parse_certificate(struct slice pem, struct settings_problems *problems)
{
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    BIO_free(b);
    if (!x)
        settings_problem_add(problems, TLS_CHECK_CERTIFICATE,
                             "Right is PEM, beginning with -----BEGIN CERTIFICATE-----, the "
                             "node's own certificate first.",
                             "tls.certificate: the file holds no certificate");
    return x;
}

static EVP_PKEY *parse_key(struct slice pem, struct settings_problems *problems)
{
    bool has_password = false;
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, &has_password) : NULL;
    BIO_free(b);
    if (!key && has_password)
        settings_problem_add(problems, TLS_CHECK_KEY,
                             "Remove it (openssl pkey -in old.key -out new.key) and let only root "
                             "read the file.",
                             "tls.key: the key is protected by a password");
    else if (!key)
        settings_problem_add(problems, TLS_CHECK_KEY,
                             "Right is PEM, beginning with -----BEGIN PRIVATE KEY----- or alike.",
                             "tls.key: the file holds no private key");
    return key;
}

void tls_check(struct slice certificate, struct slice key, struct settings_problems *problems)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    X509 *x = parse_certificate(certificate, problems);
    EVP_PKEY *k = parse_key(key, problems);
    if (x && k && X509_check_private_key(x, k) != 1)
        settings_problem_add(problems, TLS_CHECK_KEY,
                             "Take the key with which the certificate was ordered, or order anew.",
                             "tls.key: the key does not belong to the certificate");
    X509_free(x);
    EVP_PKEY_free(k);
}
