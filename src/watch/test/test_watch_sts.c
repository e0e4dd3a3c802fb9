/* MTA-STS: policies as they are read, and what they mean for mail that shall come here. */
#include "zone.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define NOW 1700000000000
#define HEAD "version: STSv1\n"
#define AGE "max_age: 604800\n"
#define US "mx1.staffetta.test A 192.0.2.25\n"
#define RECORD "_mta-sts.rossi.test TXT v=STSv1; id=20260101\n"
#define GOOD_MX "rossi.test MX 10 mx1.staffetta.test\n"

/* ---- reading --------------------------------------------------------------------------------- */

static void policies_are_read_as_careful_senders_read_them(void **)
{
    static const struct {
        const char *text, *fault;
        enum watch_mode mode;
        uint64_t max_age;
        const char *mx; /* all of them, with blanks between */
    } rows[] = {
        {HEAD "mode: enforce\nmx: a.test\nmx: *.b.test\n" AGE, NULL, WATCH_MODE_ENFORCE, 604800,
         "a.test *.b.test"},
        {"version:STSv1\r\nmode:testing\r\nmx:\ta.test  \r\nmax_age:1\r\n", NULL,
         WATCH_MODE_TESTING, 1, "a.test"},
        {AGE "mx: a.test\nmode: none\n" HEAD, NULL, WATCH_MODE_NONE, 604800, "a.test"},
        {HEAD "mode: none\n" AGE, NULL, WATCH_MODE_NONE, 604800, ""},
        {HEAD "mode: none\nmax_age: 0", NULL, WATCH_MODE_NONE, 0, ""},
        {HEAD "mode: none\nmax_age: 9999999999", NULL, WATCH_MODE_NONE, 9999999999, ""},
        /* unknown keys, further ones of the known */
        {HEAD "x-1.y_z: whatever : \xc3\xbc\nmode: none\n" AGE, NULL, WATCH_MODE_NONE, 604800, ""},
        {HEAD "version: STSv2\nmode: none\nmode: enforce\n" AGE "max_age: 5\n", NULL,
         WATCH_MODE_NONE, 604800, ""},
        {HEAD "\nmode: none\n\n" AGE "\n\n", NULL, WATCH_MODE_NONE, 604800, ""},
        /* what careful senders refuse */
        {"", "\"version: STSv1\" is missing", 0, 0, ""},
        {"\n\r\n", "\"version: STSv1\" is missing", 0, 0, ""},
        {"mode: none\n" AGE, "\"version: STSv1\" is missing", 0, 0, ""},
        {"Version: STSv1\nmode: none\n" AGE, "\"version: STSv1\" is missing", 0, 0, ""},
        {"version: stsv1\nmode: none\n" AGE, "its version is not STSv1", 0, 0, ""},
        {"version: STSv2\n" HEAD "mode: none\n" AGE, "its version is not STSv1", 0, 0, ""},
        {HEAD AGE, "\"mode: ...\" is missing", 0, 0, ""},
        {HEAD "mode: Enforce\nmx: a.test\n" AGE, "its mode is none of", 0, 0, ""},
        {HEAD "mode: maybe\nmode: enforce\n" AGE, "its mode is none of", 0, 0, ""},
        {HEAD "mode: none\n", "\"max_age: ...\" is missing", 0, 0, ""},
        {HEAD "mode: none\nmax_age: -1\n", "no number of seconds", 0, 0, ""},
        {HEAD "mode: none\nmax_age: 1 week\n", "no number of seconds", 0, 0, ""},
        {HEAD "mode: none\nmax_age: 00000000001\n", "no number of seconds", 0, 0, ""},
        {HEAD "mode: enforce\n" AGE, "it names no mx", 0, 0, ""},
        {HEAD "mode: testing\n" AGE, "it names no mx", 0, 0, ""},
        {HEAD "mode: enforce\nmx: a b\n" AGE, "no host name", 0, 0, ""},
        {HEAD "mode: enforce\nmx: a.test.\n" AGE, "no host name", 0, 0, ""},
        {HEAD "mode: enforce\nmx: .a.test\n" AGE, "no host name", 0, 0, ""},
        {HEAD "mode: enforce\nmx: *\n" AGE, "no host name", 0, 0, ""},
        {HEAD "mode: enforce\nmx: m*.a.test\n" AGE, "no host name", 0, 0, ""},
        {HEAD "mode: enforce\nmx: *.*.a.test\n" AGE, "no host name", 0, 0, ""},
        {HEAD "mode: none\n" AGE "hello\n", "no \"key: value\"", 0, 0, ""},
        {HEAD "mode: none\n" AGE "empty:\n", "no \"key: value\"", 0, 0, ""},
        {HEAD "mode: none\n" AGE "two words: x\n", "no \"key: value\"", 0, 0, ""},
        {HEAD "mode: none\n" AGE "x: a\x01\n", "no \"key: value\"", 0, 0, ""},
        {"\xef\xbb\xbf" HEAD "mode: none\n" AGE, "no \"key: value\"", 0, 0, ""},
        {"<html>\n", "no \"key: value\"", 0, 0, ""},
        {"a23456789012345678901234567890123: x\n", "no \"key: value\"", 0, 0, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct watch_policy p;
        char all[200] = "";
        const char *fault = watch_policy_read(slice_str(rows[i].text), &p);
        if (!fault != !rows[i].fault || (fault && !strstr(fault, rows[i].fault)))
            fail_msg("row %zu: %s, not %s", i, fault, rows[i].fault);
        if (fault)
            continue;
        assert_int_equal(p.mode, rows[i].mode);
        assert_int_equal(p.max_age, rows[i].max_age);
        for (struct slice mx, rest = p.text; watch_policy_mx(&rest, &mx);)
            (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s" SLICE_FMT,
                           all[0] ? " " : "", SLICE_ARG(mx));
        assert_string_equal(all, rows[i].mx);
    }
}

static void a_policy_has_a_ceiling_and_many_hosts_below_it(void **)
{
    struct watch_policy p;
    SCOPED(buf_finish) struct buf b = buf_make(WATCH_PAGE_MAX + 10);
    buf_adds(&b, SLICE(HEAD "mode: enforce\n" AGE));
    for (unsigned i = 0; b.n + 40 < WATCH_PAGE_MAX; i++)
        buf_addf(&b, "mx: mx%u.a.test\n", i);
    buf_adds(&b, SLICE("mx: last.test"));
    assert_null(watch_policy_read(buf_slice(&b), &p));
    assert_true(watch_policy_covers(&p, "last.test"));
    assert_false(watch_policy_covers(&p, "other.test"));
    while (b.n <= WATCH_PAGE_MAX)
        buf_addc(&b, '\n');
    assert_string_equal(watch_policy_read(buf_slice(&b), &p), "it is longer than 64 KiB");
}

static void a_star_is_exactly_one_label(void **)
{
    static const struct {
        const char *pattern, *host;
        bool is_covered;
    } rows[] = {
        {"mail.a.test", "mail.a.test", true},
        {"mail.a.test", "MAIL.A.test", true},
        {"mail.a.test", "mail2.a.test", false},
        {"a.test", "mail.a.test", false},
        {"*.a.test", "mail.a.test", true},
        {"*.A.TEST", "mail.a.test", true},
        {"*.a.test", "a.test", false},
        {"*.a.test", "x.mail.a.test", false},
        {"*.a.test", "mail.ba.test", false},
        {"*.test", "a.test", true},
        {"*.test", "test", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[200];
        struct watch_policy p;
        (void)snprintf(text, sizeof(text), HEAD AGE "mode: enforce\nmx: z.test\nmx: %s\n",
                       rows[i].pattern);
        assert_null(watch_policy_read(slice_str(text), &p));
        if (watch_policy_covers(&p, rows[i].host) != rows[i].is_covered)
            fail_msg("%s of %s", rows[i].host, rows[i].pattern);
    }
}

/* ---- judging --------------------------------------------------------------------------------- */

static struct watch_certificate make_certificate(const char *names, utc_ms until)
{
    struct watch_certificate c;
    char pem[4000];
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *x = X509_new();
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    assert_true(key && x && e);
    ASN1_TIME_set(X509_getm_notBefore(x), 1600000000);
    ASN1_TIME_set(X509_getm_notAfter(x), until / 1000);
    X509_set_pubkey(x, key);
    X509_add_ext(x, e, -1);
    assert_true(X509_sign(x, key, NULL) > 0);
    BIO *b = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(b, x), 1);
    int n = BIO_read(b, pem, sizeof(pem));
    assert_true(watch_certificate_read(slice_of(pem, (size_t)n), &c));
    X509_EXTENSION_free(e);
    BIO_free(b);
    X509_free(x);
    EVP_PKEY_free(key);
    c.vouched = WATCH_VOUCHED_YES;
    return c;
}

static struct watch_node good_node(void)
{
    return (struct watch_node){
        .name = SLICE("mx1.staffetta.test"),
        .certificate = make_certificate("DNS:mx1.staffetta.test,DNS:*.rossi.test", NOW + 1000)};
}

static void look(struct zone *z, const struct watch_node *node, struct watch_findings *ret)
{
    struct watch_outside outside = zone_outside(z);
    struct watch_domain domain = {.name = SLICE("rossi.test"), .form = WATCH_INLINE};
    watch_look_domain(&outside, node, &domain, NOW, ret);
}

#define ENFORCE(mx) HEAD "mode: enforce\n" mx AGE
#define TESTING(mx) HEAD "mode: testing\n" mx AGE
#define NAMES_US "mx: mx1.staffetta.test\n"
#define BOTH_MX GOOD_MX "rossi.test MX 20 mail.rossi.test\nmail.rossi.test A 198.51.100.1\n"
#define ALIAS_MX "rossi.test MX 10 mx.rossi.test\nmx.rossi.test A 192.0.2.25\n"

static void a_policy_has_to_name_this_node(void **)
{
    static const struct {
        const char *name, *zone, *page;
        enum watch_class class;
        const char *part;
    } rows[] = {
        {"none", US GOOD_MX, NULL, WATCH_OK, "none: nothing can contradict"},
        {"good", US RECORD GOOD_MX, ENFORCE(NAMES_US), WATCH_OK,
         "mode enforce for 7 days, mx mx1.staffetta.test"},
        {"star", US RECORD GOOD_MX, ENFORCE("mx: *.staffetta.test\n"), WATCH_OK, ""},
        {"taken back", US RECORD GOOD_MX, HEAD "mode: none\n" AGE, WATCH_OK, "mode none"},
        {"not named", US RECORD GOOD_MX, ENFORCE("mx: mail.rossi.test\n"), WATCH_ALARM,
         "refuse to deliver to mx1.staffetta.test"},
        {"its advice", US RECORD GOOD_MX, ENFORCE("mx: mail.rossi.test\n"), WATCH_ALARM,
         "Add the line \"mx: mx1.staffetta.test\" to https://mta-sts.rossi.test/"},
        {"not named, testing", US RECORD GOOD_MX, TESTING("mx: mail.rossi.test\n"), WATCH_NOTICE,
         "As soon as the mode is enforce"},
        {"not yet an MX", US RECORD "rossi.test MX 10 mail.rossi.test\n",
         ENFORCE("mx: mail.rossi.test\n"), WATCH_ALARM, "mx1.staffetta.test"},
        {"by another name of ours", US RECORD ALIAS_MX, ENFORCE("mx: mx.rossi.test\n"), WATCH_OK,
         ""},
        {"only by the name that is no MX", US RECORD ALIAS_MX, ENFORCE(NAMES_US), WATCH_ALARM,
         "\"mx: mx.rossi.test\""},
        {"the other MX is not named", US RECORD BOTH_MX, ENFORCE(NAMES_US), WATCH_NOTICE,
         "The MX names mail.rossi.test and the policy does not"},
        {"both", US RECORD BOTH_MX, ENFORCE(NAMES_US "mx: mail.rossi.test\n"), WATCH_OK, ""},
        {"neither", US RECORD BOTH_MX, ENFORCE("mx: z.test\n"), WATCH_ALARM, "mx1.staffetta"},
        {"short", US RECORD GOOD_MX, HEAD "mode: enforce\nmax_age: 3600\n" NAMES_US, WATCH_NOTICE,
         "max_age: 604800"},
        {"short, testing", US RECORD GOOD_MX, HEAD "mode: testing\nmax_age: 3600\n" NAMES_US,
         WATCH_OK, "mode testing for 60 minutes"},
        {"zero", US RECORD GOOD_MX, HEAD "mode: enforce\nmax_age: 0\n" NAMES_US, WATCH_NOTICE,
         "max_age 0"},
        {"too long", US RECORD GOOD_MX, HEAD "mode: testing\nmax_age: 31557601\n" NAMES_US,
         WATCH_NOTICE, "at most 31557600"},
        {"unreadable", US RECORD GOOD_MX, "hello", WATCH_NOTICE, "no \"key: value\""},
        {"unknown MX", US RECORD "rossi.test NONE\n", ENFORCE(NAMES_US), WATCH_UNKNOWN,
         "mail exchangers are not known"},
        {"no answer", US GOOD_MX "_mta-sts.rossi.test NONE\n", NULL, WATCH_UNKNOWN, "no answer"},
        {"two records", US RECORD "_mta-sts.rossi.test TXT v=STSv1; id=2\n" GOOD_MX,
         ENFORCE(NAMES_US), WATCH_NOTICE, "several records"},
        {"another record beside", US RECORD "_mta-sts.rossi.test TXT hello\n" GOOD_MX,
         ENFORCE(NAMES_US), WATCH_OK, ""},
        {"no id", US GOOD_MX "_mta-sts.rossi.test TXT v=STSv1; x=1\n", ENFORCE(NAMES_US),
         WATCH_NOTICE, "no id="},
        {"odd id", US GOOD_MX "_mta-sts.rossi.test TXT v=STSv1; id=2026-01-01;\n",
         ENFORCE(NAMES_US), WATCH_NOTICE, "no id="},
        {"long id",
         US GOOD_MX "_mta-sts.rossi.test TXT v=STSv1; id=012345678901234567890123456789012;\n",
         ENFORCE(NAMES_US), WATCH_NOTICE, "no id="},
        {"small letters", US GOOD_MX "_mta-sts.rossi.test TXT v=stsv1; id=1;\n", ENFORCE(NAMES_US),
         WATCH_NOTICE, "does not begin"},
    };
    const struct watch_node node = good_node();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct zone z = {.text = rows[i].zone, .page = rows[i].page};
        struct watch_findings all;
        look(&z, &node, &all);
        zone_expect(rows[i].name, &all, WATCH_STS, rows[i].class, rows[i].part);
    }
}

static void only_a_policy_that_is_announced_is_fetched(void **)
{
    struct zone z = {.text = US GOOD_MX, .page = "hello"};
    struct watch_findings all;
    const struct watch_node node = good_node();
    look(&z, &node, &all);
    assert_string_equal(z.got, "");
    z.text = US RECORD GOOD_MX;
    look(&z, &node, &all);
    assert_string_equal(z.got, "mta-sts.rossi.test/.well-known/mta-sts.txt");
}

static void what_we_could_not_fetch_is_not_held_against_the_domain(void **)
{
    struct watch_findings all;
    struct zone z = {
        .text = US RECORD GOOD_MX, .fetch = WATCH_FETCH_OURS, .why = "we are stopping"};
    const struct watch_node node = good_node();
    look(&z, &node, &all);
    zone_expect("ours", &all, WATCH_STS, WATCH_UNKNOWN, "could not fetch it: we are stopping");
    z.fetch = WATCH_FETCH_FAILED;
    z.why = "404 is not 200";
    look(&z, &node, &all);
    zone_expect("theirs", &all, WATCH_STS, WATCH_NOTICE, "cannot use the policy: 404 is not 200");
    zone_expect("theirs", &all, WATCH_STS, WATCH_NOTICE, "or remove the record");
}

static void senders_have_to_accept_our_certificate(void **)
{
    static const struct {
        const char *name, *zone, *page, *names;
        utc_ms until;
        enum watch_vouched vouched;
        enum watch_class class;
        const char *part;
    } rows[] = {
        {"good", US RECORD GOOD_MX, ENFORCE(NAMES_US), "DNS:mx1.staffetta.test", NOW + 1,
         WATCH_VOUCHED_YES, WATCH_OK, ""},
        {"nobody knows", US RECORD GOOD_MX, ENFORCE(NAMES_US), "DNS:mx1.staffetta.test", NOW + 1,
         WATCH_VOUCHED_UNKNOWN, WATCH_OK, ""},
        {"star", US RECORD GOOD_MX, ENFORCE(NAMES_US), "DNS:*.staffetta.test", NOW + 1,
         WATCH_VOUCHED_YES, WATCH_OK, ""},
        {"another name", US RECORD GOOD_MX, ENFORCE(NAMES_US), "DNS:staffetta.test", NOW + 1,
         WATCH_VOUCHED_YES, WATCH_ALARM, "it is not for that name"},
        {"testing", US RECORD GOOD_MX, TESTING(NAMES_US), "DNS:staffetta.test", NOW + 1,
         WATCH_VOUCHED_YES, WATCH_NOTICE, "it is not for that name"},
        {"the other name of ours", US RECORD ALIAS_MX, ENFORCE("mx: mx.rossi.test\n"),
         "DNS:mx1.staffetta.test", NOW + 1, WATCH_VOUCHED_YES, WATCH_ALARM,
         "Give this node a certificate for mx.rossi.test"},
        {"over", US RECORD GOOD_MX, ENFORCE(NAMES_US), "DNS:mx1.staffetta.test", NOW - 1000,
         WATCH_VOUCHED_YES, WATCH_ALARM, "it has ended"},
        {"made by ourselves", US RECORD GOOD_MX, ENFORCE(NAMES_US), "DNS:mx1.staffetta.test",
         NOW + 1, WATCH_VOUCHED_NO, WATCH_ALARM, "no authority"},
        {"taken back", US RECORD GOOD_MX, HEAD "mode: none\n" AGE, "DNS:x.test", NOW - 1000,
         WATCH_VOUCHED_NO, WATCH_OK, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct zone z = {.text = rows[i].zone, .page = rows[i].page};
        struct watch_node node = {.name = SLICE("mx1.staffetta.test")};
        struct watch_findings all;
        node.certificate = make_certificate(rows[i].names, rows[i].until);
        node.certificate.vouched = rows[i].vouched;
        look(&z, &node, &all);
        zone_expect(rows[i].name, &all, WATCH_STS, rows[i].class, rows[i].part);
    }
    struct zone z = {.text = US RECORD GOOD_MX, .page = ENFORCE(NAMES_US)};
    struct watch_node node = {.name = SLICE("mx1.staffetta.test")};
    struct watch_findings all;
    look(&z, &node, &all);
    zone_expect("no certificate", &all, WATCH_STS, WATCH_ALARM, "this node has none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_are_read_as_careful_senders_read_them),
        cmocka_unit_test(a_policy_has_a_ceiling_and_many_hosts_below_it),
        cmocka_unit_test(a_star_is_exactly_one_label),
        cmocka_unit_test(a_policy_has_to_name_this_node),
        cmocka_unit_test(only_a_policy_that_is_announced_is_fetched),
        cmocka_unit_test(what_we_could_not_fetch_is_not_held_against_the_domain),
        cmocka_unit_test(senders_have_to_accept_our_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
