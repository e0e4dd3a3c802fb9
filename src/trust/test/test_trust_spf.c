/* SPF where the public suite (tests/conformance) says nothing: bounds, hostile bytes, what ends up
 * in a reply line. */
#include "trust/spf_int.h"
#include "trust/test/zone.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static struct trust_spf check(struct zone *z, const char *peer, const char *helo, const char *from)
{
    struct trust_dns dns = zone_dns(z);
    struct trust_sender sender = {.helo = slice_str(helo),
                                  .mail_from = slice_str(from),
                                  .receiver = SLICE("mx.us.example"),
                                  .now = 1700000000999};
    struct trust_spf spf;
    assert_true(trust_ip_parse(slice_str(peer), &sender.peer));
    z->n_asked = 0;
    trust_spf_check(&dns, &sender, &spf);
    return spf;
}

static const char zone_text[] = "a.example TXT v=spf1 a mx:m.example ip6:2001:db8::/32 -all\n"
                                "a.example A 192.0.2.1\n"
                                "m.example MX h1.m.example\n"
                                "m.example MX h2.m.example\n"
                                "h1.m.example A 192.0.2.2\n"
                                "h2.m.example AAAA 2001:db9::1\n"
                                "helo.example TXT v=spf1 ip4:192.0.2.9 -all\n"
                                "slow.example TEMPFAIL\n"
                                "lazy.example TXT v=spf1 a:slow.example -all\n"
                                "soft.example TXT v=spf1 ~all\n"
                                "none.example A 192.0.2.1\n";

static void results_follow_the_policy(void **)
{
    static const struct {
        const char *peer, *from;
        enum trust_spf_result want;
    } rows[] = {
        {"192.0.2.1", "x@a.example", TRUST_SPF_PASS},
        {"::ffff:192.0.2.1", "x@a.example", TRUST_SPF_PASS},
        {"192.0.2.2", "x@A.EXAMPLE.", TRUST_SPF_PASS},
        {"2001:db9::1", "x@a.example", TRUST_SPF_PASS},
        {"2001:db8:ffff::1", "x@a.example", TRUST_SPF_PASS},
        {"192.0.2.3", "x@a.example", TRUST_SPF_FAIL},
        {"192.0.2.3", "x@soft.example", TRUST_SPF_SOFTFAIL},
        {"192.0.2.3", "x@none.example", TRUST_SPF_NONE},
        {"192.0.2.3", "x@nowhere.example", TRUST_SPF_NONE},
        {"192.0.2.3", "x@slow.example", TRUST_SPF_TEMPERROR},
        {"192.0.2.3", "x@lazy.example", TRUST_SPF_TEMPERROR},
        {"192.0.2.3", "no-at-sign", TRUST_SPF_NONE},
        {"192.0.2.3", "x@", TRUST_SPF_NONE},
        {"192.0.2.3", "@", TRUST_SPF_NONE},
        {"192.0.2.3", "x@\xc3\xa9.example", TRUST_SPF_NONE},
    };
    struct zone z = {.text = slice_str(zone_text)};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct trust_spf spf = check(&z, rows[i].peer, "helo.example", rows[i].from);
        assert_int_equal(spf.result, rows[i].want);
        assert_false(spf.is_helo);
        bool is_error = spf.result == TRUST_SPF_TEMPERROR || spf.result == TRUST_SPF_PERMERROR;
        assert_int_equal(is_error, *spf.why != '\0');
    }
}

static void the_null_path_is_checked_by_helo(void **)
{
    struct zone z = {.text = slice_str(zone_text)};
    struct trust_spf spf = check(&z, "192.0.2.9", "helo.example", "");
    assert_int_equal(spf.result, TRUST_SPF_PASS);
    assert_true(spf.is_helo);
    assert_true(slice_eq(spf.domain, SLICE("helo.example")));
    assert_int_equal(check(&z, "192.0.2.8", "helo.example", "").result, TRUST_SPF_FAIL);
    assert_int_equal(check(&z, "192.0.2.8", "", "").result, TRUST_SPF_NONE);
}

static void an_explanation_that_could_break_a_reply_is_left_out(void **)
{
    static const char text[] = "e.example\tTXT\tv=spf1 exp=why.e.example -all\n"
                               "why.e.example\tTXT\t%{l} from %{c} at %{t} by %{r}: no%_no\n";
    struct zone z = {.text = slice_str(text)};
    assert_string_equal(check(&z, "192.0.2.3", "h", "ann@e.example").explanation,
                        "ann from 192.0.2.3 at 1700000000 by mx.us.example: no no");
    assert_string_equal(check(&z, "192.0.2.3", "h", "a\r\nb@e.example").explanation, "");
    assert_string_equal(check(&z, "192.0.2.3", "h", "\xc3\xa9@e.example").explanation, "");
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    buf_adds(&b, SLICE("e.example\tTXT\tv=spf1 exp=why.e.example -all\nwhy.e.example\tTXT\t"));
    for (int i = 0; i < 512; i++)
        buf_addc(&b, 'x');
    z.text = buf_slice(&b);
    assert_string_equal(check(&z, "192.0.2.3", "h", "ann@e.example").explanation, "");
    b.n--;
    z.text = buf_slice(&b);
    assert_int_equal(strlen(check(&z, "192.0.2.3", "h", "ann@e.example").explanation), 511);
}

static void no_policy_asks_more_than_its_share(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    /* ten terms, each with ten hosts, and the peer's ten names; then macros that want them */
    buf_adds(&b, SLICE("w.example TXT v=spf1 exists:%{p}.%{p}.%{p}.x.example ptr mx mx mx mx mx mx "
                       "mx mx a:%{p} -all\n1.2.0.192.in-addr.arpa CNAME p.example\n"));
    for (int i = 0; i < 20; i++)
        buf_addf(&b, "p.example PTR h%d.p.example\n", i);
    for (int i = 0; i < 10; i++)
        buf_addf(&b, "w.example MX m%d.example\nm%d.example A 192.0.2.77\n", i, i);
    buf_adds(&b, SLICE("unknown.unknown.unknown.x.example A 127.0.0.2\n"));
    struct zone z = {.text = buf_slice(&b)};
    assert_int_equal(check(&z, "192.0.2.1", "h", "x@w.example").result, TRUST_SPF_PASS);
    buf_clear(&b);
    buf_adds(&b, SLICE("w.example TXT v=spf1 ptr mx mx mx mx mx mx mx mx mx -all\n"));
    for (int i = 0; i < 10; i++)
        buf_addf(&b, "w.example MX m%d.example\nm%d.example A 192.0.2.77\n", i, i);
    for (int i = 0; i < 20; i++)
        buf_addf(&b, "1.2.0.192.in-addr.arpa PTR h%d.p.example\n", i);
    z.text = buf_slice(&b);
    assert_int_equal(check(&z, "192.0.2.1", "h", "x@w.example").result, TRUST_SPF_FAIL);
    assert_int_equal(z.n_asked, 1 + 1 + 10 + 9 * 11);
}

static void endless_includes_and_redirects_end(void **)
{
    static const char text[] = "i.example TXT v=spf1 include:i.example -all\n"
                               "r.example TXT v=spf1 redirect=r.example\n"
                               "b.example TXT v=spf1 include:b.example redirect=b.example\n";
    struct zone z = {.text = slice_str(text)};
    static const char *const from[] = {"x@i.example", "x@r.example", "x@b.example"};
    for (size_t i = 0; i < 3; i++) {
        struct trust_spf spf = check(&z, "192.0.2.1", "h", from[i]);
        assert_int_equal(spf.result, TRUST_SPF_PERMERROR);
        assert_string_equal(spf.why, "too many terms that ask the DNS");
        assert_true(z.n_asked <= 11);
    }
}

static void what_is_too_long_is_no_policy_or_a_broken_one(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    buf_adds(&b, SLICE("l.example TXT v=spf1"));
    while (b.n < TRUST_TXT_MAX + 10)
        buf_adds(&b, SLICE(" ip4:192.0.2.1"));
    struct zone z = {.text = buf_slice(&b)};
    assert_int_equal(check(&z, "192.0.2.1", "h", "x@l.example").result, TRUST_SPF_PERMERROR);
    buf_clear(&b);
    for (int i = 0; i < TRUST_LOCAL_MAX + 1; i++)
        buf_addc(&b, 'x');
    buf_adds(&b, SLICE("@soft.example"));
    z.text = slice_str(zone_text);
    assert_int_equal(check(&z, "192.0.2.1", "h", buf_cstr(&b)).result, TRUST_SPF_NONE);
    assert_int_equal(check(&z, "192.0.2.1", "h", buf_cstr(&b) + 1).result, TRUST_SPF_SOFTFAIL);
    buf_clear(&b);
    buf_adds(&b, SLICE("m.example TXT v=spf1 a:"));
    for (int i = 0; i < 400; i++)
        buf_adds(&b, SLICE("%{s}"));
    SCOPED(buf_finish) struct buf from = buf_make(1000);
    for (int i = 0; i < TRUST_LOCAL_MAX; i++)
        buf_addc(&from, 'x');
    buf_adds(&from, SLICE("@m.example"));
    z.text = buf_slice(&b);
    struct trust_spf spf = check(&z, "192.0.2.1", "h", buf_cstr(&from));
    assert_int_equal(spf.result, TRUST_SPF_PERMERROR);
    assert_string_equal(spf.why, "a macro expands to too much");
}

static void names_with_bytes_that_are_not_ascii_match_nothing(void **)
{
    static const char text[] = "u.example TXT v=spf1 exists:%{l}.u.example ~all\n"
                               "\xc3\xa9.u.example A 127.0.0.2\n"
                               "ann.u.example A 127.0.0.2\n";
    struct zone z = {.text = slice_str(text)};
    assert_int_equal(check(&z, "192.0.2.1", "h", "ann@u.example").result, TRUST_SPF_PASS);
    assert_int_equal(check(&z, "192.0.2.1", "h", "\xc3\xa9@u.example").result, TRUST_SPF_SOFTFAIL);
}

static void an_ipv4_only_host_costs_an_ipv6_peer_nothing(void **)
{
    static const char text[] = "v.example TXT v=spf1 mx ip6:2001:db8::1 -all\n"
                               "v.example MX a.v.example\n"
                               "v.example MX b.v.example\n"
                               "v.example MX c.v.example\n"
                               "a.v.example A 192.0.2.1\n"
                               "b.v.example A 192.0.2.1\n"
                               "c.v.example A 192.0.2.1\n";
    struct zone z = {.text = slice_str(text)};
    assert_int_equal(check(&z, "2001:db8::1", "h", "x@v.example").result, TRUST_SPF_PASS);
}

static void addresses_are_read_strictly(void **)
{
    struct trust_ip ip;
    static const char *const bad[] = {"",    "1.2.3",    "1.2.3.4.5", "1.2.3.256",
                                      "::g", "1.2.3.4 ", "[::1]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(trust_ip_parse(slice_str(bad[i]), &ip));
    assert_true(trust_ip_parse(SLICE("::ffff:1.2.3.4"), &ip));
    assert_false(ip.is_v6);
    assert_memory_equal(ip.bytes, "\1\2\3\4", 4);
    assert_true(trust_ip_parse(SLICE("::1"), &ip) && ip.is_v6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_follow_the_policy),
        cmocka_unit_test(the_null_path_is_checked_by_helo),
        cmocka_unit_test(an_explanation_that_could_break_a_reply_is_left_out),
        cmocka_unit_test(no_policy_asks_more_than_its_share),
        cmocka_unit_test(endless_includes_and_redirects_end),
        cmocka_unit_test(what_is_too_long_is_no_policy_or_a_broken_one),
        cmocka_unit_test(names_with_bytes_that_are_not_ascii_match_nothing),
        cmocka_unit_test(an_ipv4_only_host_costs_an_ipv6_peer_nothing),
        cmocka_unit_test(addresses_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
