/* The DKIM verifier: with our own signer, with keys and fields made wrong one by one, and with
 * what a hostile sender would try. The corpora are in tests/conformance. */
#include "trust/dkim_int.h"
#include "trust/test/zone.h"
#include "sign/sign.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW_SEC 1700000000

static const char plain[] = "From: Ann <ann@example.com>\r\n"
                            "To: bob@example.net\r\n"
                            "Subject: hi\r\n"
                            "\r\n"
                            "some text\r\n";

/* A message signed with a new key, and the zone that holds the key. */
struct signed_message {
    struct buf zone, message;
    struct zone z;
    struct trust_dns dns;
};

static void signed_finish(struct signed_message *s)
{
    buf_finish(&s->zone);
    buf_finish(&s->message);
}

static void signed_make(struct signed_message *s, enum sign_key_kind kind, const char *message)
{
    SCOPED(sign_key_destroy) struct sign_key *key = NULL;
    struct errinfo ei;
    *s = (struct signed_message){.zone = buf_make(10000), .message = buf_make(1 << 20)};
    assert_int_equal(sign_key_create(kind, &key, &ei), ERR_OK);
    struct sign_dkim with = {.key = key,
                             .domain = SLICE("example.com"),
                             .selector = SLICE("s"),
                             .now = NOW_SEC * 1000LL,
                             .lifetime_sec = 100};
    buf_adds(&s->zone, SLICE("s._domainkey.example.com TXT "));
    assert_int_equal(sign_key_record(key, &s->zone, &ei), ERR_OK);
    assert_int_equal(sign_dkim(&with, slice_str(message), &s->message, &ei), ERR_OK);
    buf_adds(&s->message, slice_str(message));
    s->z.text = buf_slice(&s->zone);
    s->dns = zone_dns(&s->z);
}

static struct trust_dkim verify_text(struct signed_message *s, struct slice message, int64_t sec)
{
    struct trust_dkim dkim;
    s->dns.self = &s->z;
    trust_dkim_verify(&s->dns, message, sec * 1000, &dkim);
    return dkim;
}

static void what_we_sign_passes_and_any_change_fails(void **)
{
    for (int kind = 0; kind < SIGN_KEY_N; kind++) {
        SCOPED(signed_finish) struct signed_message s;
        signed_make(&s, (enum sign_key_kind)kind, plain);
        struct trust_dkim dkim = verify_text(&s, buf_slice(&s.message), NOW_SEC);
        assert_int_equal(dkim.n_sigs, 1);
        assert_int_equal(dkim.sigs[0].result, TRUST_DKIM_PASS);
        assert_string_equal(dkim.sigs[0].why, "");
        assert_true(slice_eq(dkim.sigs[0].domain, SLICE("example.com")));
        assert_true(slice_eq(dkim.sigs[0].selector, SLICE("s")));
        assert_int_equal(strlen(dkim.sigs[0].start), 8);
        assert_false(dkim.sigs[0].is_partial);
        size_t n_plain = sizeof(plain) - 1;
        for (size_t i = s.message.n - n_plain; i < s.message.n; i++) {
            char was = s.message.p[i];
            if (sign_is_blank(was))
                continue;
            s.message.p[i] = (char)(was ^ 1);
            assert_int_not_equal(verify_text(&s, buf_slice(&s.message), NOW_SEC).sigs[0].result,
                                 TRUST_DKIM_PASS);
            s.message.p[i] = was;
        }
    }
}

static void adding_a_closed_field_breaks_it_and_others_do_not(void **)
{
    static const struct {
        const char *field;
        enum trust_dkim_result want;
    } rows[] = {
        {"Received: x\r\n", TRUST_DKIM_PASS},       {"X-Spam: no\r\n", TRUST_DKIM_PASS},
        {"Sender: l@x\r\n", TRUST_DKIM_PASS},       {"Subject: other\r\n", TRUST_DKIM_FAIL},
        {"To: other@x\r\n", TRUST_DKIM_FAIL},       {"Reply-To: evil@x\r\n", TRUST_DKIM_FAIL},
        {"From: evil@x\r\n", TRUST_DKIM_PERMERROR}, {"Content-Type: a/b\r\n", TRUST_DKIM_FAIL},
        {"no colon at all\r\n", TRUST_DKIM_PASS},
    };
    SCOPED(signed_finish) struct signed_message s;
    signed_make(&s, SIGN_KEY_ED25519, plain);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(100000);
        buf_adds(&b, slice_str(rows[i].field));
        buf_adds(&b, buf_slice(&s.message));
        assert_int_equal(verify_text(&s, buf_slice(&b), NOW_SEC).sigs[0].result, rows[i].want);
    }
}

static void a_signature_has_its_time(void **)
{
    SCOPED(signed_finish) struct signed_message s;
    signed_make(&s, SIGN_KEY_ED25519, plain);
    struct slice m = buf_slice(&s.message);
    assert_int_equal(verify_text(&s, m, NOW_SEC + 100).sigs[0].result, TRUST_DKIM_PASS);
    assert_int_equal(verify_text(&s, m, NOW_SEC + 101).sigs[0].result, TRUST_DKIM_FAIL);
    assert_int_equal(verify_text(&s, m, NOW_SEC - 86400).sigs[0].result, TRUST_DKIM_PASS);
    assert_int_equal(verify_text(&s, m, NOW_SEC - 86401).sigs[0].result, TRUST_DKIM_FAIL);
}

static void the_dns_decides_about_the_key(void **)
{
    SCOPED(signed_finish) struct signed_message s;
    signed_make(&s, SIGN_KEY_ED25519, plain);
    struct slice m = buf_slice(&s.message);
    s.z.text = SLICE("s._domainkey.example.com TEMPFAIL\n");
    assert_int_equal(verify_text(&s, m, NOW_SEC).sigs[0].result, TRUST_DKIM_TEMPERROR);
    s.z.text = SLICE("s._domainkey.example.com A 192.0.2.1\n");
    assert_int_equal(verify_text(&s, m, NOW_SEC).sigs[0].result, TRUST_DKIM_PERMERROR);
    s.z.text = SLICE("");
    assert_int_equal(verify_text(&s, m, NOW_SEC).sigs[0].result, TRUST_DKIM_PERMERROR);
    SCOPED(buf_finish) struct buf two = buf_make(10000);
    buf_adds(&two, SLICE("s._domainkey.example.com TXT something else\n"));
    buf_adds(&two, buf_slice(&s.zone));
    buf_adds(&two, SLICE("; t=y\n"));
    s.z.text = buf_slice(&two);
    struct trust_dkim dkim = verify_text(&s, m, NOW_SEC);
    assert_int_equal(dkim.sigs[0].result, TRUST_DKIM_PASS);
    assert_true(dkim.sigs[0].is_testing);
}

#define RSA1024                                                                                    \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDRvY8mOpAyWNmCWrVS+9wsRN9Husl688EGlCgaQApK64SEJnSnl8nl" \
    "TMe3UcDMat0nJqs6FipudOU8CgOVbRH7JIsrt6EB+saOc0RCrxo9EvSujLujYvBZEmOdc2R3I8u8AQPH7LKEsSgEQSbn" \
    "3hLzFABpNQ7reYiA/ATcTx9mpwIDAQAB"
#define RSA512                                                                                     \
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL5EhGdGufrKz0RYbuq7aRBX/7LxzOJjIEyjhMwXje8S2SF86CdBnHOmI0+R" \
    "nCJqeh4dADqzkYhv/eQ1ksLbIlkCAwEAAQ=="
#define P256                                                                                       \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEPMRyLVpPbrpUhT/b/tCFMbHzSwTi0X53jx92URAgJzSwH9d0uNH3TNsf" \
    "HypQslh21ao0/AgBbBpHBOSXW3ub2A=="
#define ED "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static void key_records_are_read_as_written(void **)
{
    static const struct {
        const char *text;
        bool is_ed25519;
        enum trust_dkim_result want;
    } rows[] = {
        {"v=DKIM1; k=rsa; p=" RSA1024, false, TRUST_DKIM_PASS},
        {"p=" RSA1024, false, TRUST_DKIM_PASS},
        {"p=" RSA1024 ";", false, TRUST_DKIM_PASS},
        {"v=DKIM1; p=" RSA1024 "; g=nobody; x=unknown", false, TRUST_DKIM_PASS},
        {"v=DKIM1; h=sha1:sha256; s=email; p=" RSA1024, false, TRUST_DKIM_PASS},
        {"v=DKIM1; h= sha256 ; s=x : * ; p=" RSA1024, false, TRUST_DKIM_PASS},
        {"v=DKIM1; k=ed25519; p=" ED, true, TRUST_DKIM_PASS},
        {"v=DKIM1; k=ed25519; p=" ED, false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=rsa; p=" RSA1024, true, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=ed25519; p=" RSA1024, true, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=rsa; p=" RSA512, false, TRUST_DKIM_POLICY},
        {"v=DKIM1; k=rsa; p=" P256, false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=rsa; p=" RSA1024 RSA1024, false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=rsa; p=AAAA", false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=rsa; p=!!!!", false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=rsa; p=", false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; k=rsa", false, TRUST_DKIM_PERMERROR},
        {"v=DKIM2; p=" RSA1024, false, TRUST_DKIM_PERMERROR},
        {"p=" RSA1024 "; v=DKIM1", false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; h=sha1; p=" RSA1024, false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; s=chat; p=" RSA1024, false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; p=" RSA1024 "; p=" RSA1024, false, TRUST_DKIM_PERMERROR},
        {"v=DKIM1; t; p=" RSA1024, false, TRUST_DKIM_PERMERROR},
        {"", false, TRUST_DKIM_PERMERROR},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dkim_key key;
        struct dkim_flaw f = dkim_key_parse(slice_str(rows[i].text), rows[i].is_ed25519, &key);
        assert_int_equal(f.result, rows[i].want);
        assert_int_equal(f.result == TRUST_DKIM_PASS, key.pkey != NULL);
        EVP_PKEY_free(key.pkey);
    }
}

/* A bare key of 1024 bits whose last byte is `last`, with this exponent. */
static EVP_PKEY *bare_key(const char *exponent, size_t n_exponent, char last)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    size_t n_in = 4 + 128 + 2 + n_exponent;
    buf_add(&b, "\x30\x81", 2);
    buf_addc(&b, (char)n_in);
    buf_add(&b, "\x02\x81\x81\x00\xff", 5);
    memset(buf_room(&b, 126), 0x55, 126);
    buf_addc(&b, last);
    buf_add(&b, "\x02", 1);
    buf_addc(&b, (char)n_exponent);
    buf_add(&b, exponent, n_exponent);
    return dkim_rsa_read(buf_slice(&b));
}

static void impossible_rsa_keys_are_refused(void **)
{
    EVP_PKEY *good = bare_key("\1\0\1", 3, 0x55);
    assert_non_null(good);
    assert_int_equal(EVP_PKEY_get_bits(good), 1024);
    EVP_PKEY_free(good);
    assert_null(bare_key("\1\0\1", 3, 0x54));             /* even modulus */
    assert_null(bare_key("\1", 1, 0x55));                 /* exponent 1 */
    assert_null(bare_key("\0", 1, 0x55));                 /* exponent 0 */
    assert_null(bare_key("\4", 1, 0x55));                 /* even exponent */
    assert_null(bare_key("\x83", 1, 0x55));               /* negative */
    assert_null(bare_key("\1\0\0\0\0\0\0\0\1", 9, 0x55)); /* too long */
    assert_null(bare_key("", 0, 0x55));
}

static void a_key_cut_short_anywhere_is_refused(void **)
{
    uint8_t der[1000];
    size_t n;
    assert_true(sign_base64_read(SLICE(RSA1024), der, sizeof(der), &n));
    for (size_t i = 0; i < n; i++)
        assert_null(dkim_rsa_read(slice_of((const char *)der, i)));
    der[n] = 0;
    assert_null(dkim_rsa_read(slice_of((const char *)der, n + 1)));
    EVP_PKEY *whole = dkim_rsa_read(slice_of((const char *)der, n));
    assert_non_null(whole);
    EVP_PKEY_free(whole);
}

#define BH "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="

static void signature_fields_are_read_strictly(void **)
{
    static const struct {
        const char *value;
        enum trust_dkim_result want;
    } rows[] = {
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_PASS},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=To : FROM; " BH "; b=AA\r\n AA; z=x|y; unknown=1",
         TRUST_DKIM_PASS},
        {"v=1; a=rsa-sha256; d=a.example; s=s; i=x@b.a.example; h=From; " BH "; b=AAAA",
         TRUST_DKIM_PASS},
        {"v=1; a=rsa-sha256; d=a.example; s=s; q=x:dns/txt; l=0; h=From; " BH "; b=AAAA",
         TRUST_DKIM_PASS},
        {"v=1; a=rsa-sha256; d=a.example; s=s; i=x@ba.example; h=From; " BH "; b=AAAA",
         TRUST_DKIM_PERMERROR},
        {"v=1; a=rsa-sha256; d=a.example; s=s; i=x; h=From; " BH "; b=AAAA", TRUST_DKIM_PERMERROR},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=To; " BH "; b=AAAA", TRUST_DKIM_PERMERROR},
        {"v=1; a=rsa-sha256; d=a.example; s=s; " BH "; b=AAAA", TRUST_DKIM_PERMERROR},
        {"v=2; a=rsa-sha256; d=a.example; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha1; d=a.example; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_POLICY},
        {"v=1; a=rsa-md5; d=a.example; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; c=loose; d=a.example; s=s; h=From; " BH "; b=AAAA",
         TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; c=simple/; d=a.example; s=s; h=From; " BH "; b=AAAA",
         TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; q=http; d=a.example; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a..example; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; h=From; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; bh=AAAA; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; " BH "; b=", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; " BH, TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; l=-1; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; l=99999999999999999999; " BH "; b=AAAA",
         TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; t=20; x=10; " BH "; b=AAAA",
         TRUST_DKIM_NEUTRAL},
        {"v=1; a=rsa-sha256; d=a.example; s=s; h=From; x=10; " BH "; b=AAAA", TRUST_DKIM_FAIL},
        {"v=1; v=1; a=rsa-sha256; d=a.example; s=s; h=From; " BH "; b=AAAA", TRUST_DKIM_NEUTRAL},
        {"", TRUST_DKIM_NEUTRAL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dkim_sig sig;
        struct sign_field f = {.value = slice_str(rows[i].value)};
        struct dkim_flaw flaw = dkim_sig_parse(&f, NOW_SEC, &sig);
        assert_int_equal(flaw.result, rows[i].want);
        assert_int_equal(flaw.result == TRUST_DKIM_PASS, *flaw.why == '\0');
    }
}

/* Made with python3-dkim; the key is RSA1024. */
static const char partly_signed[] =
    "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=example.com;\r\n"
    " i=@example.com; l=8; q=dns/txt; s=p; t=1700000000; h=from : to :\r\n"
    " subject; bh=pBtN3CbkbRoPZ7dB/8LJ4u4gUce6c+7IwTweQsaSU74=;\r\n"
    " b=ccCeOeeCeOPP0nFvZH4ZAR/cedTjUxwSVAhHsFdz89cWufbWg5N2S1HQwaN3LFl5ypoVQ\r\n"
    " QrHew8cgBP0MEHS8VCpgjvE/Ii7glCbcoFhY9Upz5wf2neWQiTE9sUlJveYcyts5PD1CDUF\r\n"
    " YfCtL9CQ42g4TTno1wOpRF4LzRdH//w=\r\n"
    "From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: hi\r\n\r\nsigned\r\n";

static void a_body_beyond_its_limit_is_seen(void **)
{
    struct signed_message s = {.z.text = SLICE("p._domainkey.example.com TXT p=" RSA1024)};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    s.dns = zone_dns(&s.z);
    buf_adds(&b, slice_str(partly_signed));
    struct trust_dkim dkim = verify_text(&s, buf_slice(&b), NOW_SEC);
    assert_int_equal(dkim.sigs[0].result, TRUST_DKIM_PASS);
    assert_false(dkim.sigs[0].is_partial);
    buf_adds(&b, SLICE("added\r\n"));
    dkim = verify_text(&s, buf_slice(&b), NOW_SEC);
    assert_int_equal(dkim.sigs[0].result, TRUST_DKIM_PASS);
    assert_true(dkim.sigs[0].is_partial);
    dkim = verify_text(&s, slice_of(partly_signed, sizeof(partly_signed) - 1 - 5), NOW_SEC);
    assert_int_equal(dkim.sigs[0].result, TRUST_DKIM_FAIL);
    assert_string_equal(dkim.sigs[0].why, "the body is shorter than l=");
}

/* Signs `canonical` with a new Ed25519 key: its record into `zone`, the signature onto `own`. */
static void sign_by_hand(const struct buf *canonical, struct buf *zone, struct buf *own)
{
    uint8_t digest[SIGN_DIGEST], raw[64];
    size_t n = sizeof(raw);
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    sign_sha256(buf_slice(canonical), digest);
    assert_int_equal(EVP_DigestSignInit(md, NULL, NULL, NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(md, raw, &n, digest, sizeof(digest)), 1);
    sign_base64_add(own, raw, n);
    buf_adds(own, SLICE("\r\n"));
    n = 32;
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, raw, &n), 1);
    buf_adds(zone, SLICE("s._domainkey.a.example TXT k=ed25519; p="));
    sign_base64_add(zone, raw, n);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
}

static void a_signature_may_sign_older_ones_but_not_itself(void **)
{
    SCOPED(buf_finish) struct buf canonical = buf_make(10000), zone = buf_make(1000);
    SCOPED(buf_finish) struct buf own = buf_make(10000);
    struct signed_message s = {};
    buf_adds(&own,
             SLICE("DKIM-Signature: v=1; a=ed25519-sha256; c=simple/simple; d=a.example; s=s; "
                   "h=From:DKIM-Signature:DKIM-Signature; "
                   "bh=s14J+iztnrytnRYzb7lhFG/jS/vrxWJnnahfijFMnco=; b="));
    buf_adds(&canonical, SLICE("From: x@a.example\r\nDKIM-Signature: older\r\n"));
    buf_adds(&canonical, buf_slice(&own));
    sign_by_hand(&canonical, &zone, &own);
    buf_adds(&own, SLICE("DKIM-Signature: older\r\nFrom: x@a.example\r\n\r\nx\r\n"));
    s.z.text = buf_slice(&zone);
    s.dns = zone_dns(&s.z);
    struct trust_dkim dkim = verify_text(&s, buf_slice(&own), NOW_SEC);
    assert_int_equal(dkim.n_sigs, 2);
    assert_string_equal(dkim.sigs[0].why, "");
    assert_int_equal(dkim.sigs[0].result, TRUST_DKIM_PASS);
    assert_int_equal(dkim.sigs[1].result, TRUST_DKIM_NEUTRAL);
}

static void only_so_many_signatures_are_evaluated(void **)
{
    SCOPED(signed_finish) struct signed_message s;
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    signed_make(&s, SIGN_KEY_ED25519, plain);
    size_t n_sig = s.message.n - (sizeof(plain) - 1);
    for (int i = 0; i < 8; i++)
        buf_add(&b, s.message.p, n_sig);
    buf_adds(&b, slice_str(plain));
    struct trust_dkim dkim = verify_text(&s, buf_slice(&b), NOW_SEC);
    assert_int_equal(dkim.n_sigs, TRUST_DKIM_MAX);
    assert_int_equal(dkim.n_ignored, 3);
    assert_int_equal(s.z.n_asked, TRUST_DKIM_MAX);
    for (size_t i = 0; i < TRUST_DKIM_MAX; i++)
        assert_int_equal(dkim.sigs[i].result, TRUST_DKIM_PASS);
}

static void a_header_too_large_counts_as_unsigned(void **)
{
    SCOPED(signed_finish) struct signed_message s;
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    signed_make(&s, SIGN_KEY_ED25519, plain);
    for (int i = 0; i < SIGN_FIELDS_MAX; i++)
        buf_adds(&b, SLICE("X: y\r\n"));
    buf_adds(&b, buf_slice(&s.message));
    assert_int_equal(verify_text(&s, buf_slice(&b), NOW_SEC).n_sigs, 0);
    assert_int_equal(verify_text(&s, SLICE(""), NOW_SEC).n_sigs, 0);
}

static void a_key_for_one_domain_is_not_for_its_subdomains(void **)
{
    struct zone z = {.text = SLICE("s._domainkey.a.example TXT t=s; p=" RSA1024)};
    struct trust_dns dns = zone_dns(&z);
    struct dkim_sig sig = {.domain = SLICE("a.example"),
                           .selector = SLICE("s"),
                           .identity_domain = SLICE("A.example")};
    struct dkim_key key;
    assert_int_equal(dkim_key_find(&dns, &sig, &key).result, TRUST_DKIM_PASS);
    EVP_PKEY_free(key.pkey);
    sig.identity_domain = SLICE("b.a.example");
    assert_int_equal(dkim_key_find(&dns, &sig, &key).result, TRUST_DKIM_PERMERROR);
    assert_null(key.pkey);
}

static void a_key_record_says_whether_it_can_be_used(void **)
{
    static const struct {
        const char *record, *flaw;
    } rows[] = {
        {"v=DKIM1; p=", "key revoked"},
        {"v=DKIM1; k=ed25519; p=", "key revoked"},
        {"v=DKIM1; p=AAAA", "the key is broken"},
        {"v=DKIM1; k=ed25519; p=AAAA", "the key is broken"},
        {"v=DKIM1; k=dsa; p=AAAA", "the key is of another kind"},
        {"v=DKIM2; p=AAAA", "unknown version of the key record"},
        {"hello", "syntax error in the key record"},
    };
    struct trust_dkim_key key;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(trust_dkim_key_read(slice_str(rows[i].record), &key), rows[i].flaw);
    assert_null(trust_dkim_key_read(
        SLICE("v=DKIM1; k=ed25519; t=y; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), &key));
    assert_true(key.is_ed25519 && key.is_testing);
    SCOPED(buf_finish) struct buf rsa = buf_make(2000);
    struct sign_key *mine;
    assert_int_equal(sign_key_create(SIGN_KEY_RSA2048, &mine, NULL), ERR_OK);
    assert_int_equal(sign_key_record(mine, &rsa, NULL), ERR_OK);
    sign_key_destroy(&mine);
    assert_null(trust_dkim_key_read(buf_slice(&rsa), &key));
    assert_int_equal(key.bits, 2048);
    assert_false(key.is_ed25519 || key.is_testing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_we_sign_passes_and_any_change_fails),
        cmocka_unit_test(adding_a_closed_field_breaks_it_and_others_do_not),
        cmocka_unit_test(a_signature_has_its_time),
        cmocka_unit_test(the_dns_decides_about_the_key),
        cmocka_unit_test(key_records_are_read_as_written),
        cmocka_unit_test(impossible_rsa_keys_are_refused),
        cmocka_unit_test(a_key_cut_short_anywhere_is_refused),
        cmocka_unit_test(signature_fields_are_read_strictly),
        cmocka_unit_test(a_body_beyond_its_limit_is_seen),
        cmocka_unit_test(a_signature_may_sign_older_ones_but_not_itself),
        cmocka_unit_test(only_so_many_signatures_are_evaluated),
        cmocka_unit_test(a_header_too_large_counts_as_unsigned),
        cmocka_unit_test(a_key_for_one_domain_is_not_for_its_subdomains),
        cmocka_unit_test(a_key_record_says_whether_it_can_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
