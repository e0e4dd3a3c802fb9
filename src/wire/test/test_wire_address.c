/* Addresses of the envelope, host names, IP addresses, xtext, UTF-8, status codes. */
#include "wire/dsn.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))
#define A20 "aaaaaaaaaaaaaaaaaaaa"
#define A60 A20 A20 A20

static void valid_addresses_are_split_at_the_right_at(void **)
{
    static const struct {
        const char *address, *local, *domain, *plain, *key;
    } rows[] = {
        {"Bob@Example.ORG", "Bob", "Example.ORG", "Bob", "bob@example.org"},
        {"a.b+c=d@x", "a.b+c=d", "x", "a.b+c=d", "a.b+c=d@x"},
        {"!#$%&'*+-/=?^_`{|}~@a.b", "!#$%&'*+-/=?^_`{|}~", "a.b", "!#$%&'*+-/=?^_`{|}~",
         "!#$%&'*+-/=?^_`{|}~@a.b"},
        {"\"a b\"@c.d", "\"a b\"", "c.d", "a b", "\"a b\"@c.d"},
        {"\"Quoted\"@c.d", "\"Quoted\"", "c.d", "Quoted", "quoted@c.d"},
        {"\"q\\uo\\ted\"@c.d", "\"q\\uo\\ted\"", "c.d", "quoted", "quoted@c.d"},
        {"\"x@y\"@c.d", "\"x@y\"", "c.d", "x@y", "\"x@y\"@c.d"},
        {"\"x\\\"y\\\\\"@c.d", "\"x\\\"y\\\\\"", "c.d", "x\"y\\", "\"x\\\"y\\\\\"@c.d"},
        {"\"\"@c.d", "\"\"", "c.d", "", "\"\"@c.d"},
        {"\".a\"@c.d", "\".a\"", "c.d", ".a", "\".a\"@c.d"},
        {"a@[192.0.2.1]", "a", "[192.0.2.1]", "a", "a@[192.0.2.1]"},
        {"a@[IPv6:2001:DB8:0::1]", "a", "[IPv6:2001:DB8:0::1]", "a", "a@[ipv6:2001:db8::1]"},
        {"a@under_score.x", "a", "under_score.x", "a", "a@under_score.x"},
        {"a@123.com", "a", "123.com", "a", "a@123.com"},
        {"a@" A60 "bbb.x", "a", A60 "bbb.x", "a", "a@" A60 "bbb.x"},
        {A60 "aaaaa@x", A60 "aaaaa", "x", A60 "aaaaa", A60 "aaaaa@x"},
        {"J\xc3\xb6rg@B\xc3\xbc"
         "cher.example",
         "J\xc3\xb6rg",
         "B\xc3\xbc"
         "cher.example",
         "J\xc3\xb6rg",
         "j\xc3\xb6rg@b\xc3\xbc"
         "cher.example"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct wire_address a;
        char plain[WIRE_LOCAL_MAX];
        SCOPED(buf_finish) struct buf key = buf_make(1024);
        struct wire_verdict v = wire_address_split(slice_str(rows[i].address), true, &a);
        assert_string_equal(v.why, "");
        assert_true(slice_eq(a.text, slice_str(rows[i].address)));
        assert_true(slice_eq(a.local, slice_str(rows[i].local)));
        assert_true(slice_eq(a.domain, slice_str(rows[i].domain)));
        assert_true(
            slice_eq(slice_of(plain, wire_local_plain(a.local, plain)), slice_str(rows[i].plain)));
        assert_int_equal(wire_address_key(a.text, &key).fault, WIRE_FINE);
        assert_string_equal(buf_cstr(&key), rows[i].key);
        /* A key is an address with the same key. */
        SCOPED(buf_finish) struct buf again = buf_make(1024);
        assert_int_equal(wire_address_key(buf_slice(&key), &again).fault, WIRE_FINE);
        assert_string_equal(buf_cstr(&again), rows[i].key);
    }
}

static void invalid_addresses_are_refused_and_leave_no_trace(void **)
{
    static const struct {
        struct slice address;
        enum wire_fault fault;
    } rows[] = {
        {SLICE(""), WIRE_SYNTAX},
        {SLICE("@x.y"), WIRE_SYNTAX},
        {SLICE("bob"), WIRE_SYNTAX},
        {SLICE("bob@"), WIRE_SYNTAX},
        {SLICE("a@b@c"), WIRE_SYNTAX},
        {SLICE("a@@b"), WIRE_SYNTAX},
        {SLICE(".a@b"), WIRE_SYNTAX},
        {SLICE("a.@b"), WIRE_SYNTAX},
        {SLICE("a..b@c"), WIRE_SYNTAX},
        {SLICE("a b@c"), WIRE_SYNTAX},
        {SLICE("a,b@c"), WIRE_SYNTAX},
        {SLICE("a\"b\"@c"), WIRE_SYNTAX},
        {SLICE("\"a\"b@c"), WIRE_SYNTAX},
        {SLICE("\"a@c"), WIRE_SYNTAX},
        {SLICE("\"a\\\"@c"), WIRE_SYNTAX},
        {SLICE("\"a\\"), WIRE_SYNTAX},
        {SLICE("\""), WIRE_SYNTAX},
        {SLICE("\"a\""), WIRE_SYNTAX},
        {SLICE("a@b..c"), WIRE_SYNTAX},
        {SLICE("a@.b"), WIRE_SYNTAX},
        {SLICE("a@b."), WIRE_SYNTAX},
        {SLICE("a@-b"), WIRE_SYNTAX},
        {SLICE("a@b-.c"), WIRE_SYNTAX},
        {SLICE("a@b c"), WIRE_SYNTAX},
        {SLICE("a@b/c"), WIRE_SYNTAX},
        {SLICE("a@192.0.2.1"), WIRE_SYNTAX},
        {SLICE("a@[192.0.2.256]"), WIRE_SYNTAX},
        {SLICE("a@[192.0.2]"), WIRE_SYNTAX},
        {SLICE("a@[192.0.2.1"), WIRE_SYNTAX},
        {SLICE("a@[]"), WIRE_SYNTAX},
        {SLICE("a@[IPv6:]"), WIRE_SYNTAX},
        {SLICE("a@[IPv6:192.0.2.1]"), WIRE_SYNTAX},
        {SLICE("a@[2001:db8::1]"), WIRE_SYNTAX},
        {SLICE("a@[192.0.2.1\0]"), WIRE_SYNTAX},
        {SLICE("a\0b@c"), WIRE_SYNTAX},
        {SLICE("a\rb@c"), WIRE_SYNTAX},
        {SLICE("\"a\nb\"@c"), WIRE_SYNTAX},
        {SLICE("a@b\x7f"), WIRE_SYNTAX},
        {SLICE("a\xc2\x85@b"), WIRE_SYNTAX},
        {SLICE("\"a\\\xc3\xb6\"@b"), WIRE_SYNTAX},
        {SLICE("\xff@b"), WIRE_NON_ASCII},
        {SLICE("\xc0\x80@b"), WIRE_NON_ASCII},
        {SLICE("a@\xed\xa0\x80.b"), WIRE_NON_ASCII},
        {SLICE("a@" A60 "aaaa.x"), WIRE_TOO_LONG},
        {SLICE(A60 A60 A60 A60 "@xxxxxxxxxxxxxx"), WIRE_TOO_LONG},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct wire_address a = {.domain = SLICE("untouched")};
        SCOPED(buf_finish) struct buf key = buf_make(1024);
        struct wire_verdict v = wire_address_split(rows[i].address, true, &a);
        if (v.fault != rows[i].fault)
            print_message("row %zu: %s\n", i, rows[i].address.p);
        assert_int_equal(v.fault, rows[i].fault);
        assert_true(v.why[0] != '\0');
        assert_true(slice_eq(a.domain, SLICE("untouched")));
        assert_int_equal(wire_address_key(rows[i].address, &key).fault, rows[i].fault);
        assert_int_equal(key.n, 0);
    }
}

static void a_path_of_256_bytes_is_the_longest(void **)
{
    struct wire_address a;
    struct slice longest = SLICE(A60 A60 A60 A60 "@xxxxxxxxxxx.y"); /* 254 without <> */
    assert_int_equal(longest.n, WIRE_PATH_MAX - 2);
    assert_int_equal(wire_address_split(longest, false, &a).fault, WIRE_FINE);
}

static void utf8_needs_permission(void **)
{
    struct wire_address a;
    struct slice text = SLICE("j\xc3\xb6rg@b\xc3\xbc.x");
    assert_int_equal(wire_address_split(text, false, &a).fault, WIRE_NON_ASCII);
    assert_int_equal(wire_address_split(text, true, &a).fault, WIRE_FINE);
    assert_true(a.is_utf8);
    assert_int_equal(wire_domain_check(SLICE("b\xc3\xbc.x"), false).fault, WIRE_NON_ASCII);
}

static void utf8_is_checked_to_the_last_bit(void **)
{
    static const struct {
        struct slice text;
        bool is_valid;
    } rows[] = {
        {SLICE(""), true},
        {SLICE("abc"), true},
        {SLICE("\xc2\x80\xdf\xbf"), true},
        {SLICE("\xe0\xa0\x80\xef\xbf\xbf"), true},
        {SLICE("\xed\x9f\xbf\xee\x80\x80"), true},
        {SLICE("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), true},
        {SLICE("\x80"), false},
        {SLICE("\xc1\xbf"), false},
        {SLICE("\xc2"), false},
        {SLICE("\xc2\x41"), false},
        {SLICE("\xe0\x9f\xbf"), false},
        {SLICE("\xe2\x82"), false},
        {SLICE("\xed\xa0\x80"), false},
        {SLICE("\xf0\x8f\xbf\xbf"), false},
        {SLICE("\xf4\x90\x80\x80"), false},
        {SLICE("\xf5\x80\x80\x80"), false},
        {SLICE("\xf0\x9f\x98"), false},
    };
    for (size_t i = 0; i < N(rows); i++)
        assert_int_equal(wire_utf8_valid(rows[i].text), rows[i].is_valid);
}

static void host_names_of_real_clients_are_sorted_into_three_kinds(void **)
{
    static const struct {
        const char *args;
        enum wire_fault fault;
        enum wire_helo_kind kind;
    } rows[] = {
        {"mx.example.org", WIRE_FINE, WIRE_HELO_DOMAIN},
        {"laptop", WIRE_FINE, WIRE_HELO_DOMAIN},
        {"my_pc", WIRE_FINE, WIRE_HELO_DOMAIN},
        {"[192.0.2.1]", WIRE_FINE, WIRE_HELO_LITERAL},
        {"[IPv6:2001:db8::1]", WIRE_FINE, WIRE_HELO_LITERAL},
        {"192.0.2.1", WIRE_FINE, WIRE_HELO_ODD},
        {"host.", WIRE_FINE, WIRE_HELO_ODD},
        {"<script>", WIRE_FINE, WIRE_HELO_ODD},
        {"", WIRE_SYNTAX, WIRE_HELO_ODD},
        {"my pc", WIRE_SYNTAX, WIRE_HELO_ODD},
        {"b\xc3\xbc.x", WIRE_NON_ASCII, WIRE_HELO_ODD},
        {A60 A60 A60 A60 A60, WIRE_TOO_LONG, WIRE_HELO_ODD},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct wire_helo helo = {.kind = WIRE_HELO_ODD};
        assert_int_equal(wire_helo_parse(slice_str(rows[i].args), &helo).fault, rows[i].fault);
        assert_int_equal(helo.kind, rows[i].kind);
    }
}

static void ip_addresses_have_one_form(void **)
{
    static const struct {
        const char *text, *canonical;
        unsigned version;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", 4},
        {"2001:DB8:0:0::1", "2001:db8::1", 6},
        {"::ffff:192.0.2.1", "192.0.2.1", 4},
        {"::", "::", 6},
        {"192.0.2.01", NULL, 0},
        {"192.0.2", NULL, 0},
        {"1:2:3:4:5:6:7", NULL, 0},
        {"", NULL, 0},
        {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", NULL, 0},
        {"192.0.2.1 ", NULL, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct wire_ip ip;
        assert_int_equal(wire_ip_parse(slice_str(rows[i].text), &ip), rows[i].canonical != NULL);
        if (!rows[i].canonical)
            continue;
        assert_int_equal(ip.version, rows[i].version);
        assert_string_equal(wire_ip_text(ip).s, rows[i].canonical);
    }
    assert_string_equal(wire_ip_text((struct wire_ip){.version = 0}).s, "");
}

static void xtext_goes_there_and_back_for_every_byte(void **)
{
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    SCOPED(buf_finish) struct buf x = buf_make(4096), plain = buf_make(4096);
    wire_xtext_add(&x, slice_of(all, sizeof(all)));
    assert_true(wire_xtext_decode(buf_slice(&x), &plain));
    assert_true(slice_eq(buf_slice(&plain), slice_of(all, sizeof(all))));
    for (size_t i = 0; i < x.n; i++)
        assert_true(x.p[i] > 32 && x.p[i] < 127 && x.p[i] != '=');
    static const char *const bad[] = {"a=b", "+", "+4", "a+4", "+4g", "+g4", "a b", "\x80", "+\n1"};
    for (size_t i = 0; i < N(bad); i++) {
        buf_clear(&plain);
        assert_false(wire_xtext_decode(slice_str(bad[i]), &plain));
        assert_false(wire_xtext_decode(slice_str(bad[i]), NULL));
        assert_int_equal(plain.n, 0);
    }
    assert_true(wire_xtext_decode(SLICE("a+2b+3D"), &plain));
    assert_string_equal(buf_cstr(&plain), "a+=");
}

static void status_codes_are_read_written_and_explained(void **)
{
    static const char *const bad[] = {"",      "5",       "5.1",      "5.1.",  "5..1",   "3.1.1",
                                      "6.1.1", "5.1.1.1", "5.1000.1", "5.1.x", "55.1.1", ".1.1"};
    static const struct {
        const char *text, *meaning;
        enum wire_about about;
    } rows[] = {
        {"5.1.1", "there is no such mailbox", WIRE_ABOUT_ADDRESS},
        {"4.2.2", "the mailbox is full", WIRE_ABOUT_MAILBOX},
        {"5.2.99", "the mailbox has a problem", WIRE_ABOUT_MAILBOX},
        {"5.3.4", "the message is too big for the mail system", WIRE_ABOUT_SYSTEM},
        {"4.4.1", "the mail system did not answer", WIRE_ABOUT_NETWORK},
        {"5.5.0", "the two mail systems did not understand each other", WIRE_ABOUT_PROTOCOL},
        {"5.6.1", "the kind of content is not accepted", WIRE_ABOUT_CONTENT},
        {"5.7.999", "the mail system refused the message by its rules", WIRE_ABOUT_POLICY},
        {"2.0.0", "it could not be said why", WIRE_ABOUT_OTHER},
        {"5.8.1", "it could not be said why", WIRE_ABOUT_OTHER},
        {"5.999.999", "it could not be said why", WIRE_ABOUT_OTHER},
    };
    struct wire_status status;
    for (size_t i = 0; i < N(bad); i++)
        assert_false(wire_status_parse(slice_str(bad[i]), &status));
    for (size_t i = 0; i < N(rows); i++) {
        assert_true(wire_status_parse(slice_str(rows[i].text), &status));
        assert_string_equal(wire_status_text(status).s, rows[i].text);
        assert_string_equal(wire_status_meaning(status, WIRE_EN), rows[i].meaning);
        assert_int_equal(wire_status_about(status), rows[i].about);
    }
    assert_string_equal(wire_status_text((struct wire_status){.class = 0}).s, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_addresses_are_split_at_the_right_at),
        cmocka_unit_test(invalid_addresses_are_refused_and_leave_no_trace),
        cmocka_unit_test(a_path_of_256_bytes_is_the_longest),
        cmocka_unit_test(utf8_needs_permission),
        cmocka_unit_test(utf8_is_checked_to_the_last_bit),
        cmocka_unit_test(host_names_of_real_clients_are_sorted_into_three_kinds),
        cmocka_unit_test(ip_addresses_have_one_form),
        cmocka_unit_test(xtext_goes_there_and_back_for_every_byte),
        cmocka_unit_test(status_codes_are_read_written_and_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
