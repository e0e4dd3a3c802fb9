/* What is looked at of the node itself: address, reverse names, certificate, DANE. */
#include "zone.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define NOW 1700000000000
#define DAY (86400LL * 1000)
#define US "mx1.staffetta.test A 192.0.2.25\n"
#define BACK "25.2.0.192.in-addr.arpa PTR "

/* ---- a certificate made for the test, with the hex digests of its key and of all of it ---- */

struct made {
    char pem[4000], key[129], whole[129], key512[129];
};

static void hex_of(const EVP_MD *md, const unsigned char *p, size_t n, char *ret)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned bytes;
    assert_int_equal(EVP_Digest(p, n, digest, &bytes, md, NULL), 1);
    for (unsigned i = 0; i < bytes; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static struct made make_certificate(utc_ms until)
{
    struct made m;
    unsigned char *der = NULL, *spki = NULL;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *x = X509_new();
    assert_true(key && x);
    ASN1_TIME_set(X509_getm_notBefore(x), 1600000000);
    ASN1_TIME_set(X509_getm_notAfter(x), until / 1000);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, NULL) > 0);
    BIO *b = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(b, x), 1);
    int n = BIO_read(b, m.pem, sizeof(m.pem) - 1);
    m.pem[n] = '\0';
    n = i2d_X509(x, &der);
    hex_of(EVP_sha256(), der, (size_t)n, m.whole);
    n = i2d_PUBKEY(key, &spki);
    hex_of(EVP_sha256(), spki, (size_t)n, m.key);
    hex_of(EVP_sha512(), spki, (size_t)n, m.key512);
    OPENSSL_free(der);
    OPENSSL_free(spki);
    BIO_free(b);
    X509_free(x);
    EVP_PKEY_free(key);
    return m;
}

static void look(const char *text, const char *pem, struct watch_findings *ret)
{
    struct zone z = {.text = text};
    struct watch_dns dns = {zone_ask, &z};
    struct watch_node node = {.name = SLICE("mx1.staffetta.test")};
    assert_int_equal(watch_certificate_read(slice_str(pem), &node.certificate), pem[0] != '\0');
    watch_look_node(&dns, &node, NOW, ret);
}

static void our_name_leads_to_us(void **)
{
    static const struct {
        const char *name, *zone;
        enum watch_check check;
        enum watch_class class;
        const char *part;
    } rows[] = {
        {"address", US, WATCH_ADDRESS, WATCH_OK, "192.0.2.25"},
        {"no address", "mx1.staffetta.test TXT x\n", WATCH_ADDRESS, WATCH_ALARM, "has no address"},
        {"no name", "", WATCH_ADDRESS, WATCH_ALARM, "mx1.staffetta.test. A"},
        {"no answer", "mx1.staffetta.test NONE\n", WATCH_ADDRESS, WATCH_UNKNOWN, ""},
        {"back", US BACK "mx1.staffetta.test\n", WATCH_REVERSE, WATCH_OK, "mx1.staffetta.test"},
        {"back by another name", US BACK "host.far.test\nhost.far.test A 192.0.2.25\n",
         WATCH_REVERSE, WATCH_OK, "host.far.test"},
        {"leads elsewhere", US BACK "host.far.test\nhost.far.test A 192.0.2.26\n", WATCH_REVERSE,
         WATCH_NOTICE, "does not lead back"},
        {"no reverse name", US, WATCH_REVERSE, WATCH_NOTICE,
         "25.2.0.192.in-addr.arpa. PTR mx1.staffetta.test."},
        {"no answer", US "25.2.0.192.in-addr.arpa NONE\n", WATCH_REVERSE, WATCH_UNKNOWN, ""},
        {"unknown addresses", "", WATCH_REVERSE, WATCH_UNKNOWN, "node.addresses"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct watch_findings all;
        look(rows[i].zone, "", &all);
        zone_expect(rows[i].name, &all, rows[i].check, rows[i].class, rows[i].part);
    }
}

static void the_settings_name_addresses_that_the_name_has_to_have(void **)
{
    static const struct {
        const char *address;
        enum watch_class class;
    } rows[] = {{"192.0.2.25", WATCH_OK}, {"192.0.2.26", WATCH_ALARM}};
    for (size_t i = 0; i < 2; i++) {
        struct zone z = {.text = US};
        struct watch_dns dns = {zone_ask, &z};
        struct watch_node node = {.name = SLICE("mx1.staffetta.test"), .n_addresses = 1};
        struct watch_findings all;
        assert_true(wire_ip_parse(slice_str(rows[i].address), &node.addresses[0]));
        watch_look_node(&dns, &node, NOW, &all);
        zone_expect(rows[i].address, &all, WATCH_ADDRESS, rows[i].class, "192.0.2.25");
    }
}

static void an_ipv6_address_has_its_own_reverse_name(void **)
{
    struct watch_findings all;
    look("mx1.staffetta.test AAAA 2001:db8::25\n"
         "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR "
         "mx1.staffetta.test\n",
         "", &all);
    zone_expect("IPv6", &all, WATCH_REVERSE, WATCH_OK, "2001:db8::25");
}

static void our_certificate_is_told_before_it_ends(void **)
{
    static const struct {
        int64_t left;
        enum watch_class class;
        const char *part;
    } rows[] = {
        {90 * DAY, WATCH_OK, "in 90 days"},        {21 * DAY, WATCH_OK, "in 21 days"},
        {20 * DAY, WATCH_NOTICE, "in 20 days"},    {7 * DAY, WATCH_NOTICE, "in 7 days"},
        {6 * DAY, WATCH_ALARM, "reload the node"}, {-3 * DAY, WATCH_ALARM, "3 days ago"},
    };
    struct watch_findings all;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct made m = make_certificate(NOW + rows[i].left);
        look(US, m.pem, &all);
        zone_expect("certificate", &all, WATCH_CERTIFICATE, rows[i].class, rows[i].part);
        assert_int_equal(zone_finding(&all, WATCH_CERTIFICATE)->number, NOW + rows[i].left);
    }
    look(US, "", &all);
    zone_expect("none", &all, WATCH_CERTIFICATE, WATCH_NOTICE, "unencrypted");
}

static void a_file_without_certificate_is_none(void **)
{
    struct watch_certificate c;
    assert_false(watch_certificate_read(SLICE(""), &c));
    assert_false(watch_certificate_read(SLICE("hello"), &c));
    assert_false(watch_certificate_read(
        SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), &c));
}

static void tlsa_records_fit_our_certificate(void **)
{
    struct made m = make_certificate(NOW + 90 * DAY), other = make_certificate(NOW + 90 * DAY);
    char both[8000];
    const struct {
        const char *name, *kind, *digest;
        bool is_secure;
        enum watch_class class;
        const char *part;
    } rows[] = {
        {"key", "3 1 1", m.key, true, WATCH_OK, "1 of 1 fit"},
        {"key, sha512", "3 1 2", m.key512, true, WATCH_OK, "1 of 1 fit"},
        {"whole", "3 0 1", m.whole, true, WATCH_OK, "1 of 1 fit"},
        {"authority of the chain", "2 0 1", other.whole, true, WATCH_OK, "1 of 1 fit"},
        {"authority as server", "3 0 1", other.whole, true, WATCH_ALARM, "0 of 1 fit"},
        {"old key", "3 1 1", other.key, true, WATCH_ALARM, "TLSA 3 1 1 "},
        {"old key, unsigned", "3 1 1", other.key, false, WATCH_NOTICE, "unsigned"},
        {"not for mail", "1 1 1", other.key, true, WATCH_OK, "none"},
        {"unknown selector", "3 7 1", m.key, true, WATCH_ALARM, ""},
        {"unknown matching", "3 1 9", m.key, true, WATCH_ALARM, ""},
        {"too short", "3 1 1", "00", true, WATCH_ALARM, ""},
    };
    (void)snprintf(both, sizeof(both), "%s%s", m.pem, other.pem);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1000];
        (void)snprintf(text, sizeof(text),
                       US "rossi.test MX 10 mx1.staffetta.test\n"
                          "_25._tcp.mx1.staffetta.test TLSA %s %s\n%s",
                       rows[i].kind, rows[i].digest,
                       rows[i].is_secure ? "_25._tcp.mx1.staffetta.test SECURE\n" : "");
        struct zone z = {.text = text};
        struct watch_outside outside = zone_outside(&z);
        struct watch_node node = {.name = SLICE("mx1.staffetta.test")};
        struct watch_domain domain = {.name = SLICE("rossi.test"), .form = WATCH_INLINE};
        struct watch_findings all;
        assert_true(watch_certificate_read(slice_str(both), &node.certificate));
        assert_int_equal(node.certificate.n, 2);
        watch_look_domain(&outside, &node, &domain, NOW, &all);
        zone_expect(rows[i].name, &all, WATCH_TLSA, rows[i].class, rows[i].part);
    }
}

static void tlsa_records_without_a_certificate_keep_mail_away(void **)
{
    struct zone z = {.text = US "rossi.test MX 10 mx1.staffetta.test\n"
                                "_25._tcp.mx1.staffetta.test TLSA 3 1 1 00\n"
                                "_25._tcp.mx1.staffetta.test SECURE\n"};
    struct watch_outside outside = zone_outside(&z);
    struct watch_node node = {.name = SLICE("mx1.staffetta.test")};
    struct watch_domain domain = {.name = SLICE("rossi.test"), .form = WATCH_INLINE};
    struct watch_findings all;
    watch_look_domain(&outside, &node, &domain, NOW, &all);
    zone_expect("no certificate", &all, WATCH_TLSA, WATCH_ALARM, "tls.certificate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_name_leads_to_us),
        cmocka_unit_test(the_settings_name_addresses_that_the_name_has_to_have),
        cmocka_unit_test(an_ipv6_address_has_its_own_reverse_name),
        cmocka_unit_test(our_certificate_is_told_before_it_ends),
        cmocka_unit_test(a_file_without_certificate_is_none),
        cmocka_unit_test(tlsa_records_fit_our_certificate),
        cmocka_unit_test(tlsa_records_without_a_certificate_keep_mail_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
