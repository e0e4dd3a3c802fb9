/* DMARC: the author's domain, the walk up the DNS, policies, alignment. */
#include "trust/trust_int.h"
#include "trust/test/zone.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void the_author_has_one_domain_or_none(void **)
{
    static const struct {
        const char *header, *want; /* NULL: there is not exactly one */
    } rows[] = {
        {"From: ann@example.com\r\n\r\n", "example.com"},
        {"From: Ann <ann@example.com>\r\n\r\n", "example.com"},
        {"From: \"x@evil.example\" <ann@example.com>\r\n\r\n", "example.com"},
        {"From: x@evil.example <ann@example.com>\r\n\r\n", "example.com"},
        {"From: (x@evil.example (deep)) ann@(c)example.com(d)\r\n\r\n", "example.com"},
        {"From: \"a\\\"@evil.example\" <\"b c@d\"@example.com>\r\n\r\n", "example.com"},
        {"From: <@relay.example,@r2.example:ann@example.com>\r\n\r\n", NULL},
        {"From: <ann@example.com> x@evil.example\r\n\r\n", "example.com"},
        {"From: Ann\r\n\t<ann@example.com.>\r\n\r\n", "example.com"},
        {"From: group: a@example.com, b@EXAMPLE.com;\r\n\r\n", "example.com"},
        {"From: a@example.com,\r\n b@example.com\r\n\r\n", "example.com"},
        {"From: a@example.com, b@example.net\r\n\r\n", NULL},
        {"From: a@example.com\r\nFrom: a@example.com\r\n\r\n", NULL},
        {"From: undisclosed:;\r\n\r\n", NULL},
        {"From: ann\r\n\r\n", NULL},
        {"From: ann@\r\n\r\n", NULL},
        {"From: ann@a..b\r\n\r\n", NULL},
        {"From: \r\n\r\n", NULL},
        {"From: \"open\r\n\r\n", NULL},
        {"From: (open ann@example.com\r\n\r\n", NULL},
        {"To: ann@example.com\r\n\r\nFrom: ann@example.com\r\n", NULL},
    };
    struct sign_message *m = mem_new(sizeof(*m));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice domain = {};
        assert_true(sign_message_split(slice_str(rows[i].header), m));
        bool is_one = trust_author_domain(m, &domain);
        assert_int_equal(is_one, rows[i].want != NULL);
        assert_true(!is_one || slice_ieq(domain, slice_str(rows[i].want)));
    }
    mem_free(&m);
}

static const char zone_text[] =
    "_dmarc.example.com TXT v=DMARC1; p=reject; sp=quarantine; np=none; aspf=r; adkim=s\n"
    "example.com A 192.0.2.1\n"
    "there.example.com A 192.0.2.1\n"
    "_dmarc.own.example.com TXT v=DMARC1;p=none\n"
    "_dmarc.test.example TXT v=DMARC1; p=reject; t=y\n"
    "_dmarc.bad.example TXT v=DMARC1; p=maybe\n"
    "_dmarc.badrua.example TXT v=DMARC1; p=maybe; rua=mailto:x@badrua.example\n"
    "_dmarc.nop.example TXT v=DMARC1\n"
    "_dmarc.case.example TXT v=dmarc1; p=reject\n"
    "_dmarc.late.example TXT p=reject; v=DMARC1\n"
    "_dmarc.two.example TXT v=DMARC1; p=reject\n"
    "_dmarc.two.example TXT v=DMARC1; p=none\n"
    "_dmarc.noise.example TXT some other text\n"
    "_dmarc.noise.example TXT  v = DMARC1 ; P = Reject ; junk; =; x=y\n"
    "_dmarc.slow.example TEMPFAIL\n"
    "_dmarc.bank TXT v=DMARC1; p=reject; psd=y\n"
    "_dmarc.island.example.com TXT v=DMARC1; p=quarantine; psd=n\n"
    "_dmarc.org TXT v=DMARC1; p=none; sp=reject; psd=y\n";

/* SPF passed for `spf`, DKIM for `dkim`; NULL: it did not. */
static const struct {
    const char *author, *spf, *dkim;
    enum trust_dmarc_result want;
    enum trust_policy policy;
} dmarc_rows[] = {
    {"example.com", "example.com", NULL, TRUST_DMARC_PASS, TRUST_POLICY_REJECT},
    {"example.com", "bounce.example.com", NULL, TRUST_DMARC_PASS, TRUST_POLICY_REJECT},
    {"example.com", "other.example", NULL, TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    {"example.com", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    {"example.com", NULL, "EXAMPLE.com", TRUST_DMARC_PASS, TRUST_POLICY_REJECT},
    {"example.com", NULL, "mail.example.com", TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    {"example.com", "notexample.com", NULL, TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    {"there.example.com", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_QUARANTINE},
    {"gone.example.com", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_NONE},
    {"there.example.com", "example.com", NULL, TRUST_DMARC_PASS, TRUST_POLICY_QUARANTINE},
    {"own.example.com", NULL, "example.com", TRUST_DMARC_PASS, TRUST_POLICY_NONE},
    {"test.example", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_QUARANTINE},
    {"bad.example", NULL, NULL, TRUST_DMARC_NONE, TRUST_POLICY_NONE},
    {"badrua.example", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_NONE},
    {"nop.example", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_NONE},
    {"case.example", NULL, NULL, TRUST_DMARC_NONE, TRUST_POLICY_NONE},
    {"late.example", NULL, NULL, TRUST_DMARC_NONE, TRUST_POLICY_NONE},
    {"two.example", NULL, NULL, TRUST_DMARC_NONE, TRUST_POLICY_NONE},
    {"noise.example", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    {"slow.example", "slow.example", NULL, TRUST_DMARC_TEMPERROR, TRUST_POLICY_NONE},
    {"none.example", "none.example", NULL, TRUST_DMARC_NONE, TRUST_POLICY_NONE},
    /* a public suffix with a policy: the organisation is one label below it */
    {"a.b.bank", "b.bank", NULL, TRUST_DMARC_PASS, TRUST_POLICY_REJECT},
    {"a.bank", "b.bank", NULL, TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    {"bank", "bank", NULL, TRUST_DMARC_PASS, TRUST_POLICY_REJECT},
    {"x.org", NULL, NULL, TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    /* psd=n: an organisation of its own */
    {"island.example.com", "example.com", NULL, TRUST_DMARC_FAIL, TRUST_POLICY_QUARANTINE},
    {"example.com", "island.example.com", NULL, TRUST_DMARC_FAIL, TRUST_POLICY_REJECT},
    {"a.island.example.com", "b.island.example.com", NULL, TRUST_DMARC_PASS,
     TRUST_POLICY_QUARANTINE},
};

static void policies_and_alignment_give_a_result(void **)
{
    struct zone z = {.text = slice_str(zone_text)};
    struct trust_dns dns = zone_dns(&z);
    for (size_t i = 0; i < sizeof(dmarc_rows) / sizeof(dmarc_rows[0]); i++) {
        SCOPED(buf_finish) struct buf m = buf_make(1000);
        struct trust_spf spf = {.result = dmarc_rows[i].spf ? TRUST_SPF_PASS : TRUST_SPF_FAIL,
                                .domain = slice_str(dmarc_rows[i].spf)};
        struct trust_dkim dkim = {.n_sigs = 1};
        struct trust_dmarc dmarc;
        dkim.sigs[0].result = dmarc_rows[i].dkim ? TRUST_DKIM_PASS : TRUST_DKIM_FAIL;
        dkim.sigs[0].domain = slice_str(dmarc_rows[i].dkim);
        buf_addf(&m, "From: <x@%s>\r\n\r\n", dmarc_rows[i].author);
        trust_dmarc_check(&dns, buf_slice(&m), &spf, &dkim, &dmarc);
        assert_int_equal(dmarc.result, dmarc_rows[i].want);
        assert_int_equal(dmarc.policy, dmarc_rows[i].policy);
        bool has_passed = dmarc.is_spf_aligned || dmarc.is_dkim_aligned;
        assert_int_equal(has_passed, dmarc.result == TRUST_DMARC_PASS);
    }
}

static void no_answer_is_no_failure(void **)
{
    struct zone z = {.text = slice_str(zone_text)};
    struct trust_dns dns = zone_dns(&z);
    struct trust_spf spf = {.result = TRUST_SPF_TEMPERROR};
    struct trust_dkim dkim = {.n_sigs = 1};
    struct trust_dmarc dmarc;
    trust_dmarc_check(&dns, SLICE("From: a@example.com\r\n\r\n"), &spf, &dkim, &dmarc);
    assert_int_equal(dmarc.result, TRUST_DMARC_TEMPERROR);
    spf.result = TRUST_SPF_FAIL;
    dkim.sigs[0].result = TRUST_DKIM_TEMPERROR;
    trust_dmarc_check(&dns, SLICE("From: a@example.com\r\n\r\n"), &spf, &dkim, &dmarc);
    assert_int_equal(dmarc.result, TRUST_DMARC_TEMPERROR);
    trust_dmarc_check(&dns, SLICE("To: a@example.com\r\n\r\n"), &spf, &dkim, &dmarc);
    assert_int_equal(dmarc.result, TRUST_DMARC_PERMERROR);
}

static void a_walk_asks_eight_times_at_most(void **)
{
    struct zone z = {.text = SLICE("_dmarc.g.h.i.j.mail.example.com TXT v=DMARC1; p=none\n"
                                   "_dmarc.f.g.h.i.j.mail.example.com TXT v=DMARC1; p=reject\n")};
    struct trust_dns dns = zone_dns(&z);
    struct trust_spf spf = {.result = TRUST_SPF_FAIL};
    struct trust_dkim dkim = {};
    struct trust_dmarc dmarc;
    trust_dmarc_check(&dns, SLICE("From: x@a.b.c.d.e.f.g.h.i.j.mail.example.com\r\n\r\n"), &spf,
                      &dkim, &dmarc);
    assert_int_equal(z.n_asked, 8);
    assert_int_equal(dmarc.policy, TRUST_POLICY_NONE);
    assert_int_equal(dmarc.result, TRUST_DMARC_FAIL);
}

static void organizations_are_told_apart(void **)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"example.com", "example.com", true},
        {"bounce.example.com", "Example.COM", true},
        {"a.example.com", "b.example.com", true},
        {"island.example.com", "example.com", false},
        {"a.bank", "b.bank", false},
        {"a.bank", "bank", false},
        {"none.example", "a.none.example", false}, /* nobody says that they belong together */
        {"com", "example.com", false},
        {"", "", false},
        {"a..b", "b", false},
    };
    struct zone z = {.text = slice_str(zone_text)};
    struct trust_dns dns = zone_dns(&z);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice a = slice_str(rows[i].a), b = slice_str(rows[i].b);
        bool is_same;
        assert_int_equal(trust_same_organization(&dns, a, b, &is_same), TRUST_DNS_OK);
        assert_int_equal(is_same, rows[i].is_same);
        assert_int_equal(trust_same_organization(&dns, b, a, &is_same), TRUST_DNS_OK);
        assert_int_equal(is_same, rows[i].is_same);
    }
    bool is_same;
    assert_int_equal(
        trust_same_organization(&dns, SLICE("slow.example"), SLICE("x.slow.example"), &is_same),
        TRUST_DNS_TEMPFAIL);
}

static void a_record_is_shown_as_its_owner_should_see_it(void **)
{
    static const struct {
        const char *text;
        bool is_record, has_policy, is_readable, has_reports;
        enum trust_policy policy;
    } rows[] = {
        {"v=DMARC1; p=reject; rua=mailto:a@b.test", true, true, true, true, TRUST_POLICY_REJECT},
        {"v=DMARC1; p=none; sp=bogus", true, true, false, false, TRUST_POLICY_NONE},
        {"v=DMARC1; p=bogus", true, true, false, false, TRUST_POLICY_NONE},
        {"v=DMARC1; rua=https://b.test", true, false, true, false, TRUST_POLICY_NONE},
        {"v=DMARC1 p=none", false, false, false, false, TRUST_POLICY_NONE},
        {"p=none; v=DMARC1", false, false, false, false, TRUST_POLICY_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct trust_dmarc_record r = {};
        assert_int_equal(trust_dmarc_read(slice_str(rows[i].text), &r), rows[i].is_record);
        assert_int_equal(r.has_policy, rows[i].has_policy);
        assert_int_equal(r.is_policy_readable, rows[i].is_readable);
        assert_int_equal(r.has_reports, rows[i].has_reports);
        assert_int_equal(r.policy, rows[i].policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_author_has_one_domain_or_none),
        cmocka_unit_test(policies_and_alignment_give_a_result),
        cmocka_unit_test(no_answer_is_no_failure),
        cmocka_unit_test(a_walk_asks_eight_times_at_most),
        cmocka_unit_test(organizations_are_told_apart),
        cmocka_unit_test(a_record_is_shown_as_its_owner_should_see_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
