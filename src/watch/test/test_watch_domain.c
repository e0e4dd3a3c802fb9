/* Each judgement about a domain's records, row by row. */
#include "zone.h"

#define US "mx1.staffetta.test A 192.0.2.25\nmx1.staffetta.test AAAA 2001:db8::25\n"
#define GOOD_MX "rossi.test MX 10 mx1.staffetta.test\n"

static const struct slice networks[] = {{"198.51.100.0/24", 15}, {"2001:db8:1::/48", 15}};
static const struct watch_selector selectors[] = {{{"one", 3}, true}, {{"two", 3}, false}};

struct row {
    const char *name, *zone;
    enum watch_form form;
    enum watch_check check;
    enum watch_class class;
    const char *part;
};

static struct watch_domain domain_of(enum watch_form form)
{
    return (struct watch_domain){.name = SLICE("rossi.test"),
                                 .form = form ? form : WATCH_INLINE,
                                 .networks = networks,
                                 .n_networks = 2};
}

static void look(const char *text, const struct watch_domain *domain, struct watch_findings *ret)
{
    struct zone z = {.text = text};
    struct watch_outside outside = zone_outside(&z);
    struct watch_node node = {.name = SLICE("mx1.staffetta.test")};
    watch_look_domain(&outside, &node, domain, 1700000000000, ret);
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct watch_domain domain = domain_of(rows[i].form);
        struct watch_findings all;
        look(rows[i].zone, &domain, &all);
        zone_expect(rows[i].name, &all, rows[i].check, rows[i].class, rows[i].part);
    }
}
#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof(rows[0]))

static void the_mx_of_an_inline_domain_has_to_be_this_node(void **)
{
    static const struct row rows[] = {
        {"alone", US GOOD_MX, 0, WATCH_MX, WATCH_OK, "10 mx1.staffetta.test (this node)"},
        {"other letters", US "rossi.test MX 10 MX1.Staffetta.TEST\n", 0, WATCH_MX, WATCH_OK, ""},
        {"another name of ours", US "rossi.test MX 10 mx.rossi.test\nmx.rossi.test A 192.0.2.25\n",
         0, WATCH_MX, WATCH_OK, "mx.rossi.test (this node)"},
        {"only half ours",
         US "rossi.test MX 10 mx.rossi.test\nmx.rossi.test A 192.0.2.25\n"
            "mx.rossi.test A 192.0.2.26\n",
         0, WATCH_MX, WATCH_ALARM, "past this node"},
        {"somebody else", US "rossi.test MX 10 old.rossi.test\nold.rossi.test A 198.51.100.1\n", 0,
         WATCH_MX, WATCH_ALARM, "rossi.test. 3600 MX 10 mx1.staffetta.test."},
        {"somebody else first", US GOOD_MX "rossi.test MX 5 old.rossi.test\n", 0, WATCH_MX,
         WATCH_ALARM, "Most mail"},
        {"somebody else behind", US GOOD_MX "rossi.test MX 50 old.rossi.test\n", 0, WATCH_MX,
         WATCH_NOTICE, "spam above all"},
        {"no MX", US "rossi.test A 192.0.2.1\n", 0, WATCH_MX, WATCH_ALARM, "no MX"},
        {"null MX", US "rossi.test MX 0 .\n", 0, WATCH_MX, WATCH_ALARM, "null MX"},
        {"no domain", US, 0, WATCH_MX, WATCH_ALARM, "does not exist"},
        {"unusable names", US "rossi.test MX 10 a b.test\n", 0, WATCH_MX, WATCH_ALARM,
         "usable name"},
        {"no answer", US "rossi.test NONE\n", 0, WATCH_MX, WATCH_UNKNOWN, "no answer"},
        {"forged", US "rossi.test BOGUS\n", 0, WATCH_MX, WATCH_UNKNOWN, "wrongly signed"},
        {"hosted", US "rossi.test MX 10 old.rossi.test\n", WATCH_HOSTED, WATCH_MX, WATCH_ALARM, ""},
    };
    CHECK(rows);
}

static void the_second_mx_stands_behind_the_mail_system(void **)
{
    static const struct row rows[] = {
        {"both", US "rossi.test MX 10 mail.rossi.test\nrossi.test MX 20 mx1.staffetta.test\n",
         WATCH_SECOND, WATCH_MX, WATCH_OK, "20 mx1.staffetta.test (this node)"},
        {"without us", US "rossi.test MX 10 mail.rossi.test\n", WATCH_SECOND, WATCH_MX, WATCH_ALARM,
         "rossi.test. MX 20 mx1.staffetta.test."},
        {"we first", US "rossi.test MX 30 mail.rossi.test\nrossi.test MX 20 mx1.staffetta.test\n",
         WATCH_SECOND, WATCH_MX, WATCH_NOTICE, "lower number"},
    };
    CHECK(rows);
}

static void the_ttl_says_how_long_a_switch_takes(void **)
{
    static const struct row rows[] = {
        {"short", US GOOD_MX "rossi.test TTL 3600\n", 0, WATCH_TTL, WATCH_OK, "3600 seconds"},
        {"a day", US GOOD_MX "rossi.test TTL 86400\n", 0, WATCH_TTL, WATCH_NOTICE, "24 hours"},
        {"second", US GOOD_MX "rossi.test TTL 3600\n", WATCH_SECOND, WATCH_TTL, WATCH_NOTICE,
         "60 minutes"},
        {"second, short", US GOOD_MX "rossi.test TTL 300\n", WATCH_SECOND, WATCH_TTL, WATCH_OK, ""},
        {"no MX", US, 0, WATCH_TTL, WATCH_OK, "nothing to switch"},
        {"no answer", US "rossi.test NONE\n", 0, WATCH_TTL, WATCH_UNKNOWN, ""},
    };
    CHECK(rows);
}

static void what_is_left_of_a_ttl_in_a_cache_is_not_the_ttl(void **)
{
    static const struct {
        uint32_t known;
        int64_t age;
        uint32_t expected;
    } rows[] = {{0, 0, 500}, {86400, 3600, 86400}, {86400, 86400, 500}, {400, 10, 500}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct watch_domain domain = domain_of(WATCH_INLINE);
        struct watch_findings all;
        domain.ttl_known = rows[i].known;
        domain.ttl_age = rows[i].age;
        look(US GOOD_MX "rossi.test TTL 500\n", &domain, &all);
        assert_int_equal(zone_finding(&all, WATCH_TTL)->number, rows[i].expected);
    }
}

static void spf_is_evaluated_for_each_of_our_addresses(void **)
{
    static const struct row rows[] = {
        {"by name", US GOOD_MX "rossi.test TXT v=spf1 a:mx1.staffetta.test -all\n", 0, WATCH_SPF,
         WATCH_OK, ""},
        {"by mx", US GOOD_MX "rossi.test TXT v=spf1 mx -all\n", 0, WATCH_SPF, WATCH_OK, ""},
        {"missing us", US "rossi.test TXT v=spf1 ip4:198.51.100.1 -all\n", 0, WATCH_SPF,
         WATCH_ALARM, "rossi.test. TXT \"v=spf1 a:mx1.staffetta.test ip4:198.51.100.1 -all\""},
        {"missing our IPv6", US "rossi.test TXT v=spf1 ip4:192.0.2.25 -all\n", 0, WATCH_SPF,
         WATCH_ALARM, "fail for 2001:db8::25"},
        {"softly", US "rossi.test TXT v=spf1 ~all\n", 0, WATCH_SPF, WATCH_NOTICE, "softfail"},
        {"none", US "rossi.test TXT hello\n", 0, WATCH_SPF, WATCH_NOTICE, "no SPF record"},
        {"two", US "rossi.test TXT v=spf1 +all\nrossi.test TXT v=spf1 -all\n", 0, WATCH_SPF,
         WATCH_ALARM, "2 SPF records"},
        {"another version", US "rossi.test TXT v=spf10 -all\n", 0, WATCH_SPF, WATCH_NOTICE, ""},
        {"broken", US "rossi.test TXT v=spf1 ip4:x -all\n", 0, WATCH_SPF, WATCH_ALARM, "permerror"},
        {"half answered", US "rossi.test TXT v=spf1 include:far.test -all\nfar.test NONE\n", 0,
         WATCH_SPF, WATCH_UNKNOWN, "could not be looked up"},
        {"unknown addresses", "rossi.test TXT v=spf1 -all\n", 0, WATCH_SPF, WATCH_UNKNOWN,
         "not known"},
    };
    CHECK(rows);
}

static void the_addresses_of_the_settings_count_before_those_of_our_name(void **)
{
    struct zone z = {.text = US "rossi.test TXT v=spf1 ip4:203.0.113.9 -all\n"};
    struct watch_outside outside = zone_outside(&z);
    struct watch_node node = {.name = SLICE("mx1.staffetta.test"), .n_addresses = 1};
    struct watch_domain domain = domain_of(WATCH_INLINE);
    struct watch_findings all;
    assert_true(wire_ip_parse(SLICE("203.0.113.9"), &node.addresses[0]));
    watch_look_domain(&outside, &node, &domain, 0, &all);
    zone_expect("settings", &all, WATCH_SPF, WATCH_OK, "");
}

#define ED_KEY "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define ONE "one._domainkey.rossi.test TXT "
#define TWO "two._domainkey.rossi.test TXT "
/* RSA of 1024 bits. */
#define SHORT_KEY                                                                                  \
    "v=DKIM1; p="                                                                                  \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCj/r7YKxO5O3uZFd2hPVs3W0x0aU8JnHWH"                     \
    "Gjtrp0TYLUL7f1CFa7qUpleY0qF72/QAj6TF5SQQMXXq+Q73F5ZqRwCT89OFZuKojPcz3drI"                     \
    "IMgyyZbbyiTE/zl1revqAyP9KLZIb6iFskmRmAJEpmNVBZXLk0aOjc+Qk/uDzWNFJQIDAQAB"

static void dkim_keys_have_to_be_published(void **)
{
    static const struct {
        const char *name, *zone;
        enum watch_class class;
        const char *part;
    } rows[] = {
        {"both", ONE ED_KEY "\n" TWO ED_KEY, WATCH_OK, "two: fine (Ed25519, 256 bits)"},
        {"the other's is missing", ONE ED_KEY, WATCH_ALARM, "two: there is no key"},
        {"its advice", ONE ED_KEY, WATCH_ALARM, "staffetta dkim remove rossi.test two"},
        {"ours is missing", TWO ED_KEY, WATCH_ALARM, "What this node signs"},
        {"revoked", ONE "v=DKIM1; p=\n" TWO ED_KEY, WATCH_ALARM, "one: key revoked"},
        {"broken", ONE ED_KEY "\n" TWO "v=DKIM1; p=AAAA", WATCH_ALARM, "two: the key is broken"},
        {"no key record", ONE ED_KEY "\n" TWO "hello", WATCH_ALARM, "two: syntax error"},
        {"short", ONE ED_KEY "\n" TWO SHORT_KEY, WATCH_NOTICE, "two: fine (RSA, 1024 bits)"},
        {"short, why", ONE ED_KEY "\n" TWO SHORT_KEY, WATCH_NOTICE, "less than 2048 bits"},
        {"testing", ONE ED_KEY "; t=y\n" TWO ED_KEY, WATCH_NOTICE, "remove t=y"},
        {"several", ONE ED_KEY "\n" ONE "v=DKIM1; p=\n" TWO ED_KEY, WATCH_NOTICE,
         "several records"},
        {"an alarm stays one", ONE "v=DKIM1; p=\n" TWO SHORT_KEY, WATCH_ALARM, "What this node"},
        {"one answer",
         ONE "x\n"
             "one._domainkey.rossi.test NONE\n" TWO ED_KEY,
         WATCH_UNKNOWN, "two: fine"},
        {"no answer", "one._domainkey.rossi.test NONE\ntwo._domainkey.rossi.test NONE\n",
         WATCH_UNKNOWN, "no answer"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct watch_domain domain = domain_of(WATCH_INLINE);
        struct watch_findings all;
        domain.selectors = selectors;
        domain.n_selectors = 2;
        look(rows[i].zone, &domain, &all);
        zone_expect(rows[i].name, &all, WATCH_DKIM, rows[i].class, rows[i].part);
    }
}

static void without_selectors_nothing_is_known_of_keys(void **)
{
    struct watch_domain domain = domain_of(WATCH_INLINE);
    struct watch_findings all;
    look(US, &domain, &all);
    zone_expect("none", &all, WATCH_DKIM, WATCH_UNKNOWN, "staffetta dkim add rossi.test SELECTOR");
}

static void dmarc_has_to_parse(void **)
{
    static const struct row rows[] = {
        {"good", "_dmarc.rossi.test TXT v=DMARC1; p=reject; rua=mailto:a@rossi.test\n", 0,
         WATCH_DMARC, WATCH_OK, "p=reject"},
        {"none", "rossi.test A 192.0.2.1\n", 0, WATCH_DMARC, WATCH_NOTICE, "no DMARC record"},
        {"two", "_dmarc.rossi.test TXT v=DMARC1; p=none\n_dmarc.rossi.test TXT v=DMARC1; p=none\n",
         0, WATCH_DMARC, WATCH_NOTICE, "several records"},
        {"without semicolon", "_dmarc.rossi.test TXT v=DMARC1 p=none\n", 0, WATCH_DMARC,
         WATCH_NOTICE, "does not begin"},
        {"without policy", "_dmarc.rossi.test TXT v=DMARC1; rua=mailto:a@rossi.test\n", 0,
         WATCH_DMARC, WATCH_NOTICE, "missing"},
        {"unknown policy", "_dmarc.rossi.test TXT v=DMARC1; p=maybe\n", 0, WATCH_DMARC,
         WATCH_NOTICE, "none of none, quarantine, reject"},
        {"something else", "_dmarc.rossi.test TXT p=none\n", 0, WATCH_DMARC, WATCH_NOTICE,
         "no DMARC record"},
        {"no answer", "_dmarc.rossi.test NONE\n", 0, WATCH_DMARC, WATCH_UNKNOWN, ""},
    };
    CHECK(rows);
}

static void dmarc_of_a_domain_above_counts(void **)
{
    struct watch_domain domain = domain_of(WATCH_INLINE);
    struct watch_findings all;
    domain.name = SLICE("mail.rossi.test");
    look("_dmarc.rossi.test TXT v=DMARC1; p=none\n", &domain, &all);
    zone_expect("above", &all, WATCH_DMARC, WATCH_OK, "of rossi.test");
}

static void name_servers_should_not_die_with_the_company(void **)
{
    static const struct row rows[] = {
        {"outside", "rossi.test NS ns.far.test\nns.far.test A 203.0.113.1\n", 0, WATCH_NS, WATCH_OK,
         "ns.far.test"},
        {"inside", "rossi.test NS ns.rossi.test\nns.rossi.test A 198.51.100.7\n", 0, WATCH_NS,
         WATCH_NOTICE, "ns.rossi.test (inside the company's network)"},
        {"inside by IPv6", "rossi.test NS ns.rossi.test\nns.rossi.test AAAA 2001:db8:1::7\n", 0,
         WATCH_NS, WATCH_NOTICE, ""},
        {"one of both",
         "rossi.test NS ns.rossi.test\nns.rossi.test A 198.51.100.7\n"
         "rossi.test NS ns.far.test\nns.far.test A 203.0.113.1\n",
         0, WATCH_NS, WATCH_OK, "(inside"},
        {"the other one has no address",
         "rossi.test NS ns.rossi.test\nns.rossi.test A 198.51.100.7\nrossi.test NS gone.test\n", 0,
         WATCH_NS, WATCH_NOTICE, ""},
        {"nobody knows where", "rossi.test NS ns.rossi.test\nns.rossi.test NONE\n", 0, WATCH_NS,
         WATCH_UNKNOWN, ""},
        {"no answer", "rossi.test NONE\n", 0, WATCH_NS, WATCH_UNKNOWN, "no answer"},
    };
    CHECK(rows);
}

static void a_dead_resolver_says_nothing_about_the_domain(void **)
{
    struct zone z = {.text = US GOOD_MX, .is_dead = true};
    struct watch_outside outside = zone_outside(&z);
    struct watch_node node = {.name = SLICE("mx1.staffetta.test")};
    struct watch_domain domain = domain_of(WATCH_INLINE);
    struct watch_findings all;
    watch_look_domain(&outside, &node, &domain, 0, &all);
    assert_true(watch_is_blind(&all));
    z.is_dead = false;
    watch_look_domain(&outside, &node, &domain, 0, &all);
    assert_false(watch_is_blind(&all));
}

static void strangers_texts_come_out_printable(void **)
{
    struct watch_domain domain = domain_of(WATCH_INLINE);
    struct watch_findings all;
    look(US "rossi.test TXT v=spf1 \x1b[2J\xff -all\n", &domain, &all);
    for (const char *c = zone_finding(&all, WATCH_SPF)->found; *c; c++)
        assert_true(*c >= ' ' && *c <= '~');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mx_of_an_inline_domain_has_to_be_this_node),
        cmocka_unit_test(the_second_mx_stands_behind_the_mail_system),
        cmocka_unit_test(the_ttl_says_how_long_a_switch_takes),
        cmocka_unit_test(what_is_left_of_a_ttl_in_a_cache_is_not_the_ttl),
        cmocka_unit_test(spf_is_evaluated_for_each_of_our_addresses),
        cmocka_unit_test(the_addresses_of_the_settings_count_before_those_of_our_name),
        cmocka_unit_test(dkim_keys_have_to_be_published),
        cmocka_unit_test(without_selectors_nothing_is_known_of_keys),
        cmocka_unit_test(dmarc_has_to_parse),
        cmocka_unit_test(dmarc_of_a_domain_above_counts),
        cmocka_unit_test(name_servers_should_not_die_with_the_company),
        cmocka_unit_test(a_dead_resolver_says_nothing_about_the_domain),
        cmocka_unit_test(strangers_texts_come_out_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
