/* Settings: the table is sound, good files give their values, wrong ones are told with their line
 * and what would be right. */
#include "base/refuse.h"
#include "daemon/limits.h"
#include "daemon/settings_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NODE "node: {name: mx.example.com}\n"
#define SMTP "listen: [{for: smtp, at: 127.0.0.1:25}]\n"
#define GOOD NODE SMTP

static const char sample[] =
    "node: {name: MX1.Staffetta.Example, data: /srv/mail}\n"
    "network:\n"
    "  internet: true\n"
    "  allow: [192.0.2.0/24, 2001:db8::/32, 198.51.100.7]\n"
    "  resolver: [127.0.0.1:53, \"[::1]:5353\"]\n"
    "listen:\n"
    "  - {for: smtp, at: 0.0.0.0:25, proxy: [10.0.0.0/8]}\n"
    "  - {for: submission, at: \"[::]:465\", tls: implicit}\n"
    "  - {for: https, at: 0.0.0.0:443}\n"
    "  - {for: metrics, at: 127.0.0.1:9100}\n"
    "tls: {certificate: /etc/c.pem, key: /etc/k.pem}\n"
    "limits: {message: 25 MiB, time_command: 2 min, hops: 30}\n"
    "store: {free_percent: 5 %, alarm_percent: 15}\n"
    "https: {url: \"HTTPS://Mail.Example.com\",\n"
    "  origins: [\"https://web.example.com:8443\", \"http://localhost\"],\n"
    "  proxies: [127.0.0.1], bytes: 1 GiB}\n"
    "log: {level: debug}\n"
    "admin: {socket: /run/x.sock, group: mail-admins}\n";

struct parsed {
    struct settings s;
    struct settings_problems problems;
    bool is_good;
};

static struct parsed *parse(const char *text)
{
    static struct parsed p;
    p.is_good = settings_parse(slice_str(text), &p.s, &p.problems);
    return &p;
}

static void every_row_has_bounds_a_sentence_and_a_default_that_is_good(void **)
{
    struct parsed *p = parse(GOOD);
    assert_true(p->is_good);
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct settings_row *row = &settings_rows[i];
        assert_true(row->least <= row->most);
        assert_true(strlen(row->sentence) > 20);
        assert_ptr_equal(settings_row_of(row->key), row);
        bool is_number = row->type >= SETTINGS_NUMBER && row->type <= SETTINGS_PERCENT;
        assert_true(is_number == (row->most > 0));
        if (is_number)
            assert_int_equal(row->size, 8);
    }
    assert_true(settings_is_valid(&p->s));
}

static void a_good_file_gives_its_values(void **)
{
    struct parsed *p = parse(sample);
    const struct settings *s = &p->s;
    assert_true(p->is_good);
    assert_string_equal(s->node.name, "mx1.staffetta.example");
    assert_string_equal(s->node.data, "/srv/mail");
    assert_true(s->network.internet);
    assert_int_equal(s->network.allow.n, 3);
    assert_int_equal(s->network.allow.list[1].n_bytes, 16);
    assert_int_equal(s->network.allow.list[1].prefix, 32);
    assert_int_equal(s->network.allow.list[2].prefix, 32);
    assert_int_equal(s->network.resolver.n, 2);
    assert_int_equal(s->network.resolver.list[1].port, 5353);
    assert_int_equal(s->limits.message_bytes, 25 << 20);
    assert_int_equal(s->limits.time_command_us, 120000000);
    assert_int_equal(s->limits.hops, 30);
    assert_int_equal(s->limits.recipients, 1000);
    assert_int_equal(s->store.free_percent, 5);
    assert_int_equal(s->log.level, 3);
    assert_string_equal(s->admin.group, "mail-admins");
    assert_int_equal(settings_line(s, "tls.key"), 11);
    assert_int_equal(settings_line(s, "store.pool"), 0);
}

static void limits_in_force_are_those_of_the_settings(void **)
{
    limits_apply(&parse(GOOD)->s);
    for (int id = 0; id < REFUSE_N; id++) { /* nothing given: the built-in values, everywhere */
        assert_int_equal(refuse_limit((enum refuse_id)id).value,
                         refuse_row((enum refuse_id)id)->limit);
        assert_false(refuse_limit((enum refuse_id)id).is_set);
    }
    limits_apply(&parse(GOOD "limits: {hops: 30, time_command: 2 min}\n")->s);
    struct refuse_limit hops = refuse_limit(REFUSE_LOOP), time = refuse_limit(REFUSE_TIMEOUT);
    assert_true(hops.value == 30 && hops.is_set && time.value == 120 && time.is_set);
    assert_string_equal(hops.setting, "limits.hops");
    assert_false(refuse_limit(REFUSE_ERRORS).is_set);
    assert_null(refuse_limit(REFUSE_NOTICES).setting);
}

static void listeners_get_their_tls_and_the_administration_comes_last(void **)
{
    const struct settings *s = &parse(sample)->s;
    const uint32_t services[] = {SETTINGS_SMTP, SETTINGS_SUBMISSION, SETTINGS_HTTPS,
                                 SETTINGS_METRICS, SETTINGS_ADMIN};
    const uint32_t tls[] = {SETTINGS_TLS_STARTTLS, SETTINGS_TLS_IMPLICIT, SETTINGS_TLS_IMPLICIT,
                            SETTINGS_TLS_NONE, SETTINGS_TLS_NONE};
    assert_int_equal(s->n_listens, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(s->listens[i].service, services[i]);
        assert_int_equal(s->listens[i].tls, tls[i]);
        assert_int_equal(s->listens[i].line, i < 4 ? 7 + i : 0);
    }
    assert_int_equal(s->listens[0].proxy.n, 1);
    assert_int_equal(parse(GOOD)->s.listens[0].tls, SETTINGS_TLS_NONE); /* no certificate */
}

static void what_is_printed_parses_to_the_same(void **)
{
    static struct settings first, second;
    SCOPED(buf_finish) struct buf text = buf_make(1 << 20);
    first = parse(sample)->s;
    settings_print(&first, &text);
    struct parsed *p = parse(buf_cstr(&text));
    assert_true(p->is_good);
    second = p->s;
    for (uint32_t i = 0; i < first.n_listens; i++)
        second.listens[i].line = first.listens[i].line;
    memcpy(second.lines, first.lines, sizeof(second.lines));
    assert_memory_equal(&first, &second, sizeof(first));
}

static void wrong_files_are_told_with_line_and_reason(void **)
{
    static const struct {
        const char *text;
        uint32_t line;
        const char *what, *advice;
    } cases[] = {
        {"", 0, "node.name is missing", "calls itself"},
        {NODE, 0, "listen is missing", "listens"},
        {"x: [1\n", 2, "this is not YAML", "indentation"},
        {"- a\n", 1, "the file has no keys", "key: value"},
        {GOOD "---\nnode: {}\n", 4, "second document", "Remove"},
        {GOOD "limit: {message: 5 MiB}\n", 3, "unknown key \"limit\"", "Did you mean limits?"},
        {GOOD "limits: {mesage: 5 MiB}\n", 3, "unknown key \"limits.mesage\"", "limits.message"},
        {GOOD "queue:\n  free_percent: 5\n", 4, "unknown key", "store.free_percent"},
        {GOOD "data: /x\n", 3, "unknown key \"data\"", "Did you mean node.data?"},
        {GOOD "[a, b]: 1\n", 3, "a key that is a list", "single words"},
        {GOOD "limits:\n", 3, "the section \"limits\" has no keys", "indented"},
        {GOOD "limits: {hops: 20, hops: 30}\n", 3, "limits.hops is given twice", "line 3"},
        {GOOD "limits: {hops: 20}\nlimits: {hops: 30}\n", 4, "limits.hops is given twice",
         "line 3"},
        {GOOD "limits: {message: 50}\n", 3, "\"50\" has no unit", "MiB"},
        {GOOD "limits: {message: 50 MB}\n", 3, "unknown unit", "KiB, MiB"},
        {GOOD "limits: {message: x MiB}\n", 3, "whole number", "MiB"},
        {GOOD "limits: {message: 1 KiB}\n", 3, "too small", "from 64 KiB to 64 MiB"},
        {GOOD "limits: {message: 40 MiB, bytes_in_flight: 79 MiB}\n", 3, "times gate.count",
         "raise it, or lower limits.message or gate.count"},
        {GOOD "https: {bytes: 128 MiB}\n", 0, "https.bytes_per_address is not below", "lower it"},
        {GOOD "https: {bytes_per_address: 512 MiB}\n", 3, "is not below https.bytes", "lower it"},
        {GOOD "limits: {message: 65 MiB}\n", 3, "too large", "from 64 KiB to 64 MiB"},
        {GOOD "limits: {message: 99999999999 GiB}\n", 3, "too large", "from 64 KiB to 64 MiB"},
        {GOOD "limits: {time_data: 30}\n", 3, "has no unit", "30 s"},
        {GOOD "limits: {hops: 18446744073709551616}\n", 3, "not a number", "10 to 1000"},
        {GOOD "limits: {hops: [5]}\n", 3, "is not one value", "10 to 1000"},
        {GOOD "limits: {hops: -5}\n", 3, "not a number", "10 to 1000"},
        {GOOD "network: {internet: yes}\n", 3, "neither true nor false", "true or false"},
        {GOOD "network: {allow: 10.0.0.0/8}\n", 3, "is not a list", "192.0.2.0/24"},
        {GOOD "network: {allow: [10.0.0.1/8]}\n", 3, "is no network", "behind the prefix"},
        {GOOD "network: {allow: [10.0.0.0/33]}\n", 3, "is no network", "192.0.2.0/24"},
        {GOOD "network: {resolver: [127.0.0.1]}\n", 3, "no address with a port", ":53"},
        {GOOD "network: {resolver: [\"::1:53\"]}\n", 3, "no address with a port", "[::1]:53"},
        {GOOD "log: {level: loud}\n", 3, "no level", "debug"},
        {GOOD "admin: {group: Mail Admins}\n", 3, "character", "names of users"},
        {GOOD "admin: {socket: admin.sock}\n", 3, "does not begin with /", "absolute"},
        {GOOD "store: {free_percent: 20, alarm_percent: 20}\n", 3, "not above", "raise it"},
        {GOOD "tls: {key: /k}\n", 3, "tls.certificate is missing", "both"},
        {GOOD "tls: {certificate: /c}\n", 3, "tls.key is missing", "both"},
        {"node: {name: mx}\n" SMTP, 1, "not a full host name", "mx1.example.com"},
        {GOOD "continuity: {control_name: always}\n", 3, "not a full host name", "mx1.example.com"},
        {"node: {name: mx..x.com}\n" SMTP, 1, "not a full host name", "mx1.example.com"},
        {"node: {name: -mx.x.com}\n" SMTP, 1, "not a full host name", "mx1.example.com"},
        {NODE "listen: []\n", 2, "the list is empty", "for: smtp"},
        {NODE "listen: 25\n", 2, "is not a list", "for: smtp"},
        {NODE "listen: [25]\n", 2, "not a list of keys", "for: smtp"},
        {NODE "listen: [{at: 127.0.0.1:25}]\n", 2, "without \"for\"", "for: smtp"},
        {NODE "listen: [{for: smtp}]\n", 2, "without \"at\"", "for: smtp"},
        {NODE "listen: [{for: pop3, at: 127.0.0.1:25}]\n", 2, "\"pop3\" is unknown", "submission"},
        {NODE "listen: [{for: smtp, at: 127.0.0.1}]\n", 2, "no address with a port", "0.0.0.0:25"},
        {NODE "listen: [{for: smtp, at: 127.0.0.1:0}]\n", 2, "no address with a port", "0.0.0.0"},
        {NODE "listen: [{for: smtp, at: 127.0.0.1:99999}]\n", 2, "no address with a port", ":25"},
        {NODE "listen: [{for: smtp, at: 127.0.0.1:25, x: 1}]\n", 2, "unknown key \"x\"", "xclient"},
        {NODE "listen: [{for: smtp, for: smtp, at: 127.0.0.1:25}]\n", 2, "given twice", "one"},
        {NODE "listen: [{for: smtp, at: 127.0.0.1:25, tls: ssl}]\n", 2, "\"ssl\" is unknown",
         "star"},
        {NODE "listen: [{for: https, at: 127.0.0.1:443}]\n", 2, "no certificate", "tls: none"},
        {NODE "listen: [{for: submission, at: 0.0.0.0:587, tls: none}]\n", 2, "passwords", "::1"},
        {NODE "listen: [{for: https, at: 0.0.0.0:443, tls: none}]\n", 2, "https without TLS",
         "::1"},
        {NODE "listen: [{for: https, at: 127.0.0.1:8080, tls: none, proxy: [10.0.0.0/8]}]\n", 2,
         "proxy", "https.proxies"},
        {GOOD "https: {url: mail.example.com}\n", 3, "is no web site", "https://"},
        {GOOD "https: {url: \"https://mail.example.com/jmap\"}\n", 3, "is no web site", "a path"},
        {GOOD "https: {origins: [\"*\"]}\n", 3, "is no web site", "at most 8"},
        {GOOD "https: {origins: [\"https://a b\"]}\n", 3, "is no web site", "at most 8"},
        {GOOD "https: {origins: [\"https://a:0\"]}\n", 3, "is no web site", "at most 8"},
        {GOOD "https: {origins: \"https://a.example\"}\n", 3, "is not a list", "at most 8"},
        {NODE "listen: [{for: metrics, at: 127.0.0.1:9, xclient: [10.0.0.0/8]}]\n", 2, "metrics",
         "Remove"},
        {NODE "listen: [{for: smtp, at: 127.0.0.1:25},\n {for: metrics, at: 127.0.0.1:25}]\n", 3,
         "the entry of line 2", "one purpose"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct parsed *p = parse(cases[i].text);
        bool is_found = false;
        assert_false(p->is_good);
        for (uint32_t k = 0; k < p->problems.n; k++) {
            const struct settings_problem *one = &p->problems.list[k];
            is_found =
                is_found || (one->line == cases[i].line && strstr(one->what, cases[i].what) &&
                             strstr(one->advice, cases[i].advice));
        }
        if (!is_found)
            fail_msg("case %zu: line %u: %s: %s", i, p->problems.list[0].line,
                     p->problems.list[0].what, p->problems.list[0].advice);
    }
}

static void all_problems_are_told_at_once_and_the_rest_is_counted(void **)
{
    SCOPED(buf_finish) struct buf text = buf_make(1 << 20);
    buf_adds(&text, SLICE(GOOD "limits:\n"));
    for (int i = 0; i < 20; i++)
        buf_addf(&text, "  wrong%d: 1\n", i);
    const struct parsed *p = parse(buf_cstr(&text));
    assert_int_equal(p->problems.n, SETTINGS_PROBLEMS_MAX);
    assert_true(p->problems.n_more > 0);
    buf_clear(&text);
    settings_problems_text(&p->problems, "f.yaml", "Staffetta was not started.", &text);
    assert_non_null(strstr(buf_cstr(&text), "f.yaml:4: unknown key \"limits.wrong0\"\n"));
    assert_non_null(strstr(buf_cstr(&text), "Staffetta was not started.\n"));
}

static void every_beginning_of_a_file_is_taken_or_refused_in_words(void **)
{
    for (size_t n = 0; n < sizeof(sample); n++) {
        static struct settings s;
        static struct settings_problems problems;
        bool is_good = settings_parse(slice_of(sample, n), &s, &problems);
        assert_true(is_good == (problems.n == 0));
        assert_true(is_good == settings_is_valid(&s));
    }
}

static void a_file_of_more_than_256_kib_is_refused(void **)
{
    SCOPED(buf_finish) struct buf text = buf_make(1 << 20);
    for (int i = 0; i < 30000; i++)
        buf_adds(&text, SLICE("# comment\n"));
    const struct parsed *p = parse(buf_cstr(&text));
    assert_int_equal(p->problems.n, 1);
    assert_non_null(strstr(p->problems.list[0].what, "too large"));
}

static void settings_of_a_hostile_reader_are_found(void **)
{
    static struct settings good, s;
    good = parse(sample)->s;
    assert_true(settings_is_valid(&good));
#define WRONG(change)                                                                              \
    s = good;                                                                                      \
    change;                                                                                        \
    assert_false(settings_is_valid(&s))
    WRONG(s.n_listens = 0);
    WRONG(s.n_listens = 1);
    WRONG(s.n_listens = 200);
    WRONG(s.listens[0].service = 9);
    WRONG(s.listens[0].service = SETTINGS_ADMIN);
    WRONG(s.listens[4].service = SETTINGS_SMTP);
    WRONG(s.listens[0].tls = 3);
    WRONG(s.listens[0].at.n_bytes = 5);
    WRONG(s.listens[0].at.port = 0);
    WRONG(s.listens[0].proxy.n = 1000);
    WRONG(s.listens[0].xclient.n = 33);
    WRONG(s.network.allow.list[0].prefix = 33);
    WRONG(s.network.resolver.n = 9);
    WRONG(memset(&s.network.internet, 2, 1));
    WRONG(memset(s.node.name, 'a', sizeof(s.node.name)));
    WRONG(strncpy(s.node.data, "relative", sizeof(s.node.data)));
    WRONG(strncpy(s.admin.group, "a/b", sizeof(s.admin.group)));
    WRONG(s.limits.hops = 1);
    WRONG(s.gate.count = 9);
    WRONG(s.log.level = 4);
    WRONG(s.store.free_percent = 101);
#undef WRONG
}

static void only_reloadable_keys_may_change_while_running(void **)
{
    static const struct {
        const char *text, *key; /* NULL: may be taken over */
    } cases[] = {
        {GOOD, NULL},
        {GOOD "limits: {hops: 33}\nlog: {level: error}\nnetwork: {internet: true}\n", NULL},
        {NODE "listen: [{for: smtp, at: 127.0.0.1:25, xclient: [127.0.0.1]}]\n", NULL},
        {NODE "listen: [{for: smtp, at: 127.0.0.1:26}]\n", "listen"},
        {NODE "listen: [{for: metrics, at: 127.0.0.1:25}]\n", "listen"},
        {GOOD "gate: {count: 3}\n", "gate.count"},
        {"node: {name: mx.example.com, data: /x}\n" SMTP, "node.data"},
        {GOOD "network: {resolver: [10.0.0.1:53]}\n", "network.resolver"},
    };
    static struct settings old, fresh;
    old = parse(GOOD)->s;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char key[64] = "";
        fresh = parse(cases[i].text)->s;
        assert_true(settings_may_replace(&old, &fresh, key) == !cases[i].key);
        if (cases[i].key)
            assert_string_equal(key, cases[i].key);
    }
}

static void networks_have_what_is_in_them(void **)
{
    static const struct {
        const char *network, *address;
        bool is_in;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.255", true},      {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.129", true},    {"192.0.2.128/25", "192.0.2.127", false},
        {"0.0.0.0/0", "203.0.113.9", true},         {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true}, {"2001:db8::/33", "2001:db8:8000::", false},
        {"192.0.2.7", "192.0.2.7", true},           {"192.0.2.7", "192.0.2.6", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings_networks list = {.n = 1};
        struct settings_network address;
        assert_true(settings_network_parse(slice_str(cases[i].network), &list.list[0]));
        assert_true(settings_network_parse(slice_str(cases[i].address), &address));
        assert_true(settings_networks_have(&list, address.bytes, address.n_bytes) ==
                    cases[i].is_in);
    }
}

static void the_pages_have_every_key(void **)
{
    SCOPED(buf_finish) struct buf markdown = buf_make(1 << 20), manual = buf_make(1 << 20);
    settings_markdown(&markdown);
    settings_manual(&manual);
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        char row[100], entry[100];
        snprintf(row, sizeof(row), "| `%s` |", settings_rows[i].key);
        snprintf(entry, sizeof(entry), ".B %s\n", settings_rows[i].key);
        assert_non_null(strstr(buf_cstr(&markdown), row));
        assert_non_null(strstr(buf_cstr(&manual), entry));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_bounds_a_sentence_and_a_default_that_is_good),
        cmocka_unit_test(a_good_file_gives_its_values),
        cmocka_unit_test(limits_in_force_are_those_of_the_settings),
        cmocka_unit_test(listeners_get_their_tls_and_the_administration_comes_last),
        cmocka_unit_test(what_is_printed_parses_to_the_same),
        cmocka_unit_test(wrong_files_are_told_with_line_and_reason),
        cmocka_unit_test(all_problems_are_told_at_once_and_the_rest_is_counted),
        cmocka_unit_test(every_beginning_of_a_file_is_taken_or_refused_in_words),
        cmocka_unit_test(a_file_of_more_than_256_kib_is_refused),
        cmocka_unit_test(settings_of_a_hostile_reader_are_found),
        cmocka_unit_test(only_reloadable_keys_may_change_while_running),
        cmocka_unit_test(networks_have_what_is_in_them),
        cmocka_unit_test(the_pages_have_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
