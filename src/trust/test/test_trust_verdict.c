/* The verdict: who may get a notice, and how it reads in a header. */
#include "trust/trust.h"
#include "trust/test/zone.h"
#include "sign/sign.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static const char message[] = "From: Ann <ann@example.com>\r\nSubject: hi\r\n\r\ntext\r\n";

static struct buf zone_text, signed_text;

static int set_up(void **)
{
    SCOPED(sign_key_destroy) struct sign_key *key = NULL;
    struct errinfo ei;
    zone_text = buf_make(10000);
    signed_text = buf_make(10000);
    assert_int_equal(sign_key_create(SIGN_KEY_ED25519, &key, &ei), ERR_OK);
    buf_adds(&zone_text, SLICE("example.com TXT v=spf1 ip4:192.0.2.1 -all\n"
                               "other.example TXT v=spf1 ip4:192.0.2.2 ip4:192.0.2.1 ?all\n"
                               "helo.example TXT v=spf1 ip4:192.0.2.1 -all\n"
                               "_dmarc.example.com TXT v=DMARC1; p=reject\n"
                               "s._domainkey.example.com TXT "));
    assert_int_equal(sign_key_record(key, &zone_text, &ei), ERR_OK);
    struct sign_dkim with = {.key = key, .domain = SLICE("example.com"), .selector = SLICE("s")};
    assert_int_equal(sign_dkim(&with, slice_str(message), &signed_text, &ei), ERR_OK);
    buf_adds(&signed_text, slice_str(message));
    return 0;
}

static int tear_down(void **)
{
    buf_finish(&zone_text);
    buf_finish(&signed_text);
    return 0;
}

static struct trust_verdict judge(const char *peer, const char *from, struct slice text)
{
    struct zone z = {.text = buf_slice(&zone_text)};
    struct trust_dns dns = zone_dns(&z);
    struct trust_sender sender = {.helo = SLICE("helo.example"), .mail_from = slice_str(from)};
    struct trust_verdict v;
    assert_true(trust_ip_parse(slice_str(peer), &sender.peer));
    trust_judge(&dns, &sender, text, &v);
    return v;
}

static void a_notice_goes_only_where_the_path_is_proved(void **)
{
    const struct {
        const char *peer, *from;
        bool is_signed, may_notify;
        enum trust_dmarc_result dmarc;
    } rows[] = {
        {"192.0.2.1", "ann@example.com", false, true, TRUST_DMARC_PASS},
        {"192.0.2.9", "ann@example.com", false, false, TRUST_DMARC_FAIL},
        {"192.0.2.9", "ann@example.com", true, true, TRUST_DMARC_PASS},
        {"192.0.2.9", "b+x@bounce.example.com", true, true, TRUST_DMARC_PASS},
        /* signed by the author, but the return path is a stranger's */
        {"192.0.2.9", "victim@other.example", true, false, TRUST_DMARC_PASS},
        /* the path is proved, the author is not: a notice goes to the path */
        {"192.0.2.2", "x@other.example", false, true, TRUST_DMARC_FAIL},
        {"192.0.2.1", "", true, false, TRUST_DMARC_PASS},
        {"192.0.2.1", "", false, false, TRUST_DMARC_FAIL},
        {"192.0.2.1", "x@nowhere.example", false, false, TRUST_DMARC_FAIL},
        {"192.0.2.1", "no-domain", true, false, TRUST_DMARC_PASS},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice text = rows[i].is_signed ? buf_slice(&signed_text) : slice_str(message);
        struct trust_verdict v = judge(rows[i].peer, rows[i].from, text);
        assert_int_equal(v.may_notify, rows[i].may_notify);
        assert_int_equal(v.dmarc.result, rows[i].dmarc);
    }
}

static void a_signature_over_a_part_proves_nothing(void **)
{
    /* as in test_trust_dkim: made with python3-dkim, l=8 */
    static const char text[] =
        "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=example.com;\r\n"
        " i=@example.com; l=8; q=dns/txt; s=p; t=1700000000; h=from : to :\r\n"
        " subject; bh=pBtN3CbkbRoPZ7dB/8LJ4u4gUce6c+7IwTweQsaSU74=;\r\n"
        " b=ccCeOeeCeOPP0nFvZH4ZAR/cedTjUxwSVAhHsFdz89cWufbWg5N2S1HQwaN3LFl5ypoVQ\r\n"
        " QrHew8cgBP0MEHS8VCpgjvE/Ii7glCbcoFhY9Upz5wf2neWQiTE9sUlJveYcyts5PD1CDUF\r\n"
        " YfCtL9CQ42g4TTno1wOpRF4LzRdH//w=\r\n"
        "From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: hi\r\n\r\nsigned\r\n";
    struct zone z = {
        .text = SLICE("p._domainkey.example.com TXT p="
                      "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDRvY8mOpAyWNmCWrVS+9wsRN9Husl688EGlCga"
                      "QApK64SEJnSnl8nlTMe3UcDMat0nJqs6FipudOU8CgOVbRH7JIsrt6EB+saOc0RCrxo9EvSujLuj"
                      "YvBZEmOdc2R3I8u8AQPH7LKEsSgEQSbn3hLzFABpNQ7reYiA/ATcTx9mpwIDAQAB\n")};
    struct trust_dns dns = zone_dns(&z);
    struct trust_sender sender = {.mail_from = SLICE("ann@example.com"), .now = 1700000000000};
    struct trust_verdict v;
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    buf_adds(&b, slice_str(text));
    trust_judge(&dns, &sender, buf_slice(&b), &v);
    assert_true(v.may_notify);
    buf_adds(&b, SLICE("added\r\n"));
    trust_judge(&dns, &sender, buf_slice(&b), &v);
    assert_int_equal(v.dkim.sigs[0].result, TRUST_DKIM_PASS);
    assert_false(v.may_notify);
}

static void the_header_says_what_was_found(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    struct trust_verdict v = judge("192.0.2.1", "ann@example.com", slice_str(message));
    trust_results_header(&v, SLICE("mx.us.example"), &out);
    assert_string_equal(buf_cstr(&out), "Authentication-Results: mx.us.example;\r\n"
                                        "\tspf=pass smtp.mailfrom=example.com;\r\n"
                                        "\tdkim=none;\r\n"
                                        "\tdmarc=pass policy.dmarc=reject "
                                        "header.from=example.com\r\n");
    buf_clear(&out);
    v = judge("192.0.2.3", "", buf_slice(&signed_text));
    memcpy(v.dkim.sigs[0].start, "ab+/cd\"=", 9);
    trust_results_header(&v, SLICE("mx.us.example"), &out);
    assert_string_equal(buf_cstr(&out),
                        "Authentication-Results: mx.us.example;\r\n"
                        "\tspf=fail smtp.helo=helo.example;\r\n"
                        "\tdkim=pass header.d=example.com header.s=s "
                        "header.a=ed25519-sha256 header.b=\"ab+/cd\\\"=\";\r\n"
                        "\tdmarc=pass policy.dmarc=reject header.from=example.com\r\n");
}

static void hostile_values_cannot_break_the_header(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    struct trust_verdict v = {.spf = {.result = TRUST_SPF_NONE, .why = ""},
                              .dmarc.result = TRUST_DMARC_PERMERROR};
    v.spf.domain = SLICE("a.example\r\nX-Evil: yes");
    v.dkim.n_sigs = 1;
    v.dkim.sigs[0] = (struct trust_dkim_sig){.result = TRUST_DKIM_FAIL,
                                             .domain = SLICE("a;dmarc=pass"),
                                             .selector = SLICE("\xc3\xa9"),
                                             .algorithm = "",
                                             .why = "the body was changed"};
    trust_results_header(&v, SLICE("mx"), &out);
    assert_string_equal(buf_cstr(&out), "Authentication-Results: mx;\r\n"
                                        "\tspf=none;\r\n"
                                        "\tdkim=fail reason=\"the body was changed\" "
                                        "header.d=\"a;dmarc=pass\";\r\n"
                                        "\tdmarc=permerror\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notice_goes_only_where_the_path_is_proved),
        cmocka_unit_test(a_signature_over_a_part_proves_nothing),
        cmocka_unit_test(the_header_says_what_was_found),
        cmocka_unit_test(hostile_values_cannot_break_the_header),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
