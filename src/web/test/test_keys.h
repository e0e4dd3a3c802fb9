/* For tests and benches: a key and a certificate for it that it signed itself, PEM. */
#ifndef WEB_TEST_KEYS_H
#define WEB_TEST_KEYS_H

#include "base/base.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

struct test_keys {
    char certificate[4096], key[4096];
};

static void test_keys_make(const char *name, struct test_keys *ret)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    uint8_t serial = 1;
    size_t n_certificate = sizeof(ret->certificate), n_key = sizeof(ret->key);
    utc_ms now = utc_now();
    must(gnutls_x509_privkey_init(&key) == 0 && gnutls_x509_crt_init(&crt) == 0);
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
    must(gnutls_x509_crt_set_dn(crt, name, NULL) == 0);
    must(gnutls_x509_crt_set_version(crt, 3) == 0 && gnutls_x509_crt_set_key(crt, key) == 0);
    must(gnutls_x509_crt_set_serial(crt, &serial, 1) == 0);
    must(gnutls_x509_crt_set_activation_time(crt, (time_t)(now / 1000 - 60)) == 0);
    must(gnutls_x509_crt_set_expiration_time(crt, (time_t)(now / 1000 + 86400)) == 0);
    must(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) == 0);
    must(gnutls_x509_crt_export(crt, GNUTLS_X509_FMT_PEM, ret->certificate, &n_certificate) == 0);
    must(gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                          ret->key, &n_key) == 0);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

#endif
