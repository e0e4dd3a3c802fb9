/* Who is the peer: addresses of primaries, STARTTLS, XCLIENT, PROXY. */
#include "smtp/test/gate_test.h"

/* ---- who is the peer ---- */

static void an_address_of_a_primary_may_send_outside(void **)
{
    struct gate_kit k;
    gate_init(&k);
    speak_for_a_primary(&k, "192.0.2.128", 25);
    gate_begin(&k);
    int inside = gate_connect_from(&k, "192.0.2.200"), outside = gate_connect_from(&k, "192.0.2.9");
    int six = gate_connect_from(&k, "2001:db8::1");
    const char *relay = EHLO MAIL "RCPT TO:<relay@elsewhere.net>" CRLF;
    expect(&k, inside, relay, "220 250 250 250");
    expect(&k, outside, relay, "220 250 250 550");
    expect(&k, six, relay, "220 250 250 550");
    expect(&k, inside, "BDAT 1 LAST" CRLF "x", "250");
    assert_int_equal(last_message(&k)->take.from_primary, 55);
    finish(&k);
}

static void who_came_before_the_facts_is_recognised_later(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, EHLO MAIL "RCPT TO:<relay@x.net>" CRLF "RSET" CRLF, "250 250 550 250");
    speak_for_a_primary(&k, "192.0.2.1", 32);
    core_facts(&k);
    expect(&k, peer, MAIL "RCPT TO:<relay@x.net>" CRLF "RSET" CRLF, "250 250 250");
    k.n_networks = 0; /* and no more when it is taken away */
    core_facts(&k);
    expect(&k, peer, MAIL "RCPT TO:<relay@x.net>" CRLF, "250 550");
    finish(&k);
}

static void a_shared_network_needs_the_certificate_besides(void **)
{
    static const char ours[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct gate_kit k;
    gate_init(&k);
    speak_for_a_primary(&k, "192.0.2.0", 24);
    k.networks[0].is_shared = 1;
    k.networks[0].certificate = slice_str(ours);
    gate_begin(&k);
    const char *relay = "EHLO c" CRLF MAIL "RCPT TO:<relay@x.net>" CRLF;
    for (int i = 0; i < 3; i++) {
        int peer = gate_connect(&k);
        expect(&k, peer, relay, "220 250 250 550");
        expect(&k, peer, "STARTTLS" CRLF, "220");
        if (i > 0)
            memcpy(fake_peers[peer].certificate, ours, sizeof(ours));
        fake_peers[peer].certificate[0] = i == 2 ? '0' : 'f';
        assert_true(fake_shake(peer));
        expect(&k, peer, relay, i == 2 ? "250 250 250" : "250 250 550");
    }
    k.networks[0].certificate = SLICE(""); /* none set: nobody proves anything */
    core_facts(&k);
    int bare = gate_connect(&k);
    expect(&k, bare, relay, "220 250 250 550");
    finish(&k);
}

/* ---- STARTTLS ---- */

static void ehlo_offers_what_there_is(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    gate_send(&k, peer, SLICE(EHLO));
    assert_string_equal(buf_cstr(&fake_peers[peer].got),
                        "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1048576\r\n250-8BITMIME\r\n"
                        "250-SMTPUTF8\r\n250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n"
                        "250 STARTTLS\r\n");
    (void)codes_of(peer);
    expect(&k, peer, "STARTTLS" CRLF, "220");
    assert_true(fake_shake(peer));
    gate_send(&k, peer, SLICE(EHLO));
    assert_null(strstr(buf_cstr(&fake_peers[peer].got), "STARTTLS"));
    (void)codes_of(peer);
    expect(&k, peer, "STARTTLS" CRLF, "502"); /* not twice */
    smtp_server_tls(k.server, NULL);
    int bare = gate_connect(&k);
    gate_send(&k, bare, SLICE(EHLO));
    assert_null(strstr(buf_cstr(&fake_peers[bare].got), "STARTTLS"));
    (void)codes_of(bare);
    expect(&k, bare, "STARTTLS" CRLF, "454");
    finish(&k);
}

static void commands_behind_starttls_are_never_read(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, EHLO "STARTTLS" CRLF "MAIL FROM:<evil@x.org>" CRLF, "250 501 end");
    int slow = gate_connect(&k);
    expect(&k, slow, EHLO "STARTTLS" CRLF, "220 250 220");
    assert_false(fake_feed(slow, SLICE("NOOP\r\n"))); /* these are for the handshake */
    assert_true(fake_shake(slow));
    expect(&k, slow, "", "");
    finish(&k);
}

static void everything_said_in_the_clear_is_forgotten(void **)
{
    struct gate_kit k;
    int peer = begin(&k);
    expect(&k, peer, ENVELOPE "STARTTLS" CRLF, "250 250 250 220");
    assert_true(fake_shake(peer));
    expect(&k, peer, RCPT "DATA" CRLF MAIL, "503 503 503"); /* not even EHLO is remembered */
    expect(&k, peer, ENVELOPE "BDAT 1 LAST" CRLF "x", "250 250 250 250");
    finish(&k);
}

static void a_failed_handshake_ends_and_is_counted(void **)
{
    struct gate_kit k;
    struct refuse_count counts[REFUSE_N];
    int peer = begin(&k);
    expect(&k, peer, "STARTTLS" CRLF, "220");
    (void)refuse_take_counts(counts);
    assert_true(fake_leave(peer));
    assert_int_equal(k.server->n_sessions, 0);
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_TLS_FAILED].n, 1);
    finish(&k);
}

static void a_port_of_tls_never_speaks_in_the_clear(void **)
{
    struct gate_kit k;
    gate_init(&k);
    k.port.is_tls_first = true;
    k.port.has_starttls = false;
    gate_begin(&k);
    int peer = gate_connect(&k);
    assert_string_equal(codes_of(peer), "");
    assert_true(fake_shake(peer));
    expect(&k, peer, ENVELOPE "BDAT 1 LAST" CRLF "x", "220 250 250 250 250");
    smtp_server_tls(k.server, NULL);
    int late = gate_connect(&k);
    assert_string_equal(codes_of(late), "454 end");
    finish(&k);
}

/* ---- XCLIENT and PROXY ---- */

static void list_network(struct smtp_cidr *list, size_t *n, const char *address, uint8_t prefix)
{
    struct wire_ip ip;
    assert_true(wire_ip_parse(slice_str(address), &ip));
    list[*n] = (struct smtp_cidr){.n_bytes = ip.version == 4 ? 4 : 16, .prefix = prefix};
    memcpy(list[(*n)++].bytes, ip.bytes, 16);
}

static void xclient_is_for_listed_peers(void **)
{
    struct gate_kit k;
    gate_init(&k);
    list_network(k.port.xclients, &k.port.n_xclients, "10.1.0.0", 16);
    speak_for_a_primary(&k, "10.1.2.3", 32);
    gate_begin(&k);
    int proxy = gate_connect_from(&k, "10.1.2.3"), other = gate_connect_from(&k, "10.2.2.3");
    expect(&k, other, "EHLO x" CRLF "XCLIENT ADDR=192.0.2.7" CRLF, "220 250 550");
    gate_send(&k, proxy, SLICE(EHLO));
    assert_non_null(strstr(buf_cstr(&fake_peers[proxy].got), "XCLIENT NAME ADDR"));
    (void)codes_of(proxy);
    expect(&k, proxy, "XCLIENT ADDR=192.0.2.7 HELO=far.example PROTO=ESMTP" CRLF, "220");
    expect(&k, proxy, MAIL RCPT "BDAT 1 LAST" CRLF "x", "250 250 250");
    const struct ipc_take *t = &last_message(&k)->take;
    assert_true(slice_eq(t->client, SLICE("192.0.2.7")) && slice_eq(t->helo, SLICE("far.example")));
    assert_true(slice_eq(t->protocol, SLICE("ESMTP")));
    assert_int_equal(t->from_primary, 0); /* the proxy's rights are not the client's */
    expect(&k, proxy, "XCLIENT FOO=1" CRLF "XCLIENT" CRLF "XCLIENT ADDR=1.2" CRLF, "555 501 501");
    expect(&k, proxy, "XCLIENT ADDR=[UNAVAILABLE] HELO=[UNAVAILABLE]" CRLF MAIL, "220 503");
    expect(&k, proxy, EHLO MAIL "RCPT TO:<relay@x.net>" CRLF RCPT, "250 250 550 250");
    expect(&k, proxy, "BDAT 1 LAST" CRLF "x", "250");
    assert_int_equal(last_message(&k)->take.client.n, 0);
    assert_int_equal(last_message(&k)->take.from_primary, 0);
    finish(&k);
}

static void what_xclient_said_in_the_clear_is_forgotten_under_tls(void **)
{
    struct gate_kit k;
    gate_init(&k);
    list_network(k.port.xclients, &k.port.n_xclients, "10.1.0.0", 16);
    speak_for_a_primary(&k, "192.0.2.7", 32);
    gate_begin(&k);
    int proxy = gate_connect_from(&k, "10.1.2.3");
    expect(&k, proxy, "EHLO x" CRLF "XCLIENT ADDR=192.0.2.7" CRLF EHLO "STARTTLS" CRLF,
           "220 250 220 250 220");
    assert_true(fake_shake(proxy));
    expect(&k, proxy, ENVELOPE "RCPT TO:<relay@x.net>" CRLF, "250 250 250 550");
    expect(&k, proxy, "BDAT 1 LAST" CRLF "x", "250");
    assert_true(slice_eq(last_message(&k)->take.client, SLICE("10.1.2.3")));
    finish(&k);
}

static const struct {
    const char *bytes;
    size_t n;
    const char *codes, *client; /* client NULL: no mail after it */
} headers[] = {
#define HEADER(text) text, sizeof(text) - 1
    {HEADER("PROXY TCP4 192.0.2.7 10.1.2.3 5000 25\r\n"), "220", "192.0.2.7"},
    {HEADER("PROXY TCP6 2001:db8::7 2001:db8::1 5000 25\r\n"), "220", "2001:db8::7"},
    {HEADER("PROXY UNKNOWN\r\n"), "220", "10.1.2.3"},
    {HEADER("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\x0a\1\2\3\x13\x88\0\x19"), "220",
     "192.0.2.7"},
    {HEADER("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"), "220", "10.1.2.3"}, /* LOCAL */
    {HEADER("PROXY TCP4 192.0.2.7 10.1.2.3 5000\r\n"), "421 end", NULL},
    {HEADER("PROXY TCP4 192.0.2.777 10.1.2.3 5000 25\r\n"), "421 end", NULL},
    {HEADER("EHLO c.example\r\n"), "421 end", NULL},
    {HEADER("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"), "421 end", NULL},
    {HEADER("\x16\x03\x01"), "421 end", NULL},
};

static int connect_proxied(struct gate_kit *k)
{
    gate_init(k);
    list_network(k->port.proxies, &k->port.n_proxies, "10.1.0.0", 16);
    gate_begin(k);
    int peer = gate_connect_from(k, "10.1.2.3");
    assert_string_equal(codes_of(peer), "");
    return peer;
}

static void a_listed_proxy_says_who_is_there(void **)
{
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        for (size_t split = 0; split < headers[i].n; split++) {
            struct gate_kit k;
            int peer = connect_proxied(&k);
            gate_send(&k, peer, slice_of(headers[i].bytes, split));
            (void)fake_feed(peer, slice_of(headers[i].bytes + split, headers[i].n - split));
            gate_run(&k);
            assert_string_equal(codes_of(peer), headers[i].codes);
            if (headers[i].client) {
                expect(&k, peer, ENVELOPE "BDAT 1 LAST" CRLF "x", "250 250 250 250");
                assert_true(slice_eq(last_message(&k)->take.client, slice_str(headers[i].client)));
            }
            finish(&k);
        }
    }
}

static void much_may_come_behind_a_proxy_header(void **)
{
    struct gate_kit k;
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    int peer = connect_proxied(&k);
    buf_addf(&b, "PROXY TCP4 192.0.2.7 10.1.2.3 5000 25\r\n" ENVELOPE "DATA" CRLF);
    while (b.n < 20000)
        buf_addf(&b, "much text in one piece" CRLF);
    buf_addf(&b, "." CRLF);
    gate_send(&k, peer, buf_slice(&b));
    assert_string_equal(codes_of(peer), "220 250 250 250 354 250");
    finish(&k);
}

static void others_send_no_proxy_header(void **)
{
    struct gate_kit k;
    gate_init(&k);
    list_network(k.port.proxies, &k.port.n_proxies, "10.1.0.0", 16);
    gate_begin(&k);
    int peer = gate_connect_from(&k, "10.2.0.1");
    expect(&k, peer, "PROXY TCP4 192.0.2.7 10.1.2.3 5000 25\r\n", "220 500");
    finish(&k);
}

static void behind_a_proxy_tls_comes_second(void **)
{
    struct gate_kit k;
    gate_init(&k);
    list_network(k.port.proxies, &k.port.n_proxies, "10.1.0.0", 16);
    k.port.is_tls_first = true;
    gate_begin(&k);
    int peer = gate_connect_from(&k, "10.1.2.3");
    gate_send(&k, peer, SLICE("PROXY TCP4 192.0.2.7 10.1.2.3 5000 25\r\n\x16\x03\x01hello"));
    assert_string_equal(buf_cstr(&fake_peers[peer].socket), "\x16\x03\x01hello");
    assert_string_equal(codes_of(peer), "");
    assert_true(fake_shake(peer));
    assert_string_equal(codes_of(peer), "220");
    assert_int_equal(k.server->bytes_in_flight, 0);
    finish(&k);
}

static void limits_count_the_client_behind_the_proxy(void **)
{
    struct gate_kit k;
    gate_init(&k);
    list_network(k.port.proxies, &k.port.n_proxies, "10.1.0.0", 16);
    k.limits.connections_per_address = 2;
    gate_begin(&k);
    int peers[5];
    for (int i = 0; i < 5; i++)
        peers[i] = gate_connect_from(&k, "10.1.2.3");
    for (int i = 0; i < 3; i++)
        expect(&k, peers[i], "PROXY TCP4 192.0.2.7 10.1.2.3 5000 25\r\n",
               i < 2 ? "220" : "421 end");
    expect(&k, peers[3], "PROXY TCP4 192.0.2.8 10.1.2.3 5000 25\r\n", "220");
    (void)fake_leave(peers[0]);
    expect(&k, peers[4], "PROXY TCP4 192.0.2.7 10.1.2.3 5000 25\r\n", "220");
    finish(&k);
}

int main(void)
{
    log_init("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_of_a_primary_may_send_outside),
        cmocka_unit_test(who_came_before_the_facts_is_recognised_later),
        cmocka_unit_test(a_shared_network_needs_the_certificate_besides),
        cmocka_unit_test(ehlo_offers_what_there_is),
        cmocka_unit_test(commands_behind_starttls_are_never_read),
        cmocka_unit_test(everything_said_in_the_clear_is_forgotten),
        cmocka_unit_test(a_failed_handshake_ends_and_is_counted),
        cmocka_unit_test(a_port_of_tls_never_speaks_in_the_clear),
        cmocka_unit_test(xclient_is_for_listed_peers),
        cmocka_unit_test(what_xclient_said_in_the_clear_is_forgotten_under_tls),
        cmocka_unit_test(a_listed_proxy_says_who_is_there),
        cmocka_unit_test(much_may_come_behind_a_proxy_header),
        cmocka_unit_test(others_send_no_proxy_header),
        cmocka_unit_test(behind_a_proxy_tls_comes_second),
        cmocka_unit_test(limits_count_the_client_behind_the_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
