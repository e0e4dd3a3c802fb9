/* For tests of the gate with cmocka: a fresh gate, conversations and the codes of their replies. */
#ifndef SMTP_TEST_GATE_TEST_H
#define SMTP_TEST_GATE_TEST_H

#include "base/mail.h"
#include "smtp/test/gate_kit.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define CRLF "\r\n"
#define EHLO "EHLO c.example" CRLF
#define MAIL "MAIL FROM:<a@c.example>" CRLF
#define RCPT "RCPT TO:<anna@example.org>" CRLF
#define ENVELOPE EHLO MAIL RCPT

/* The codes of all replies since the last look, "250 250 354"; a session that ended gives "end". */
static inline const char *codes_of(int peer)
{
    static char text[8192];
    struct fake_peer *p = &fake_peers[peer];
    size_t n = 0;
    struct slice line, rest = buf_slice(&p->got);
    text[0] = '\0';
    while (rest.n > 0 && n + 20 < sizeof(text)) {
        line = slice_cut(rest, '\n', &rest);
        assert_true(line.n >= 4 && line.n <= 511 && line.p[line.n - 1] == '\r');
        if (line.p[3] == ' ')
            n += (size_t)snprintf(text + n, 20, "%s%.3s", n ? " " : "", line.p);
    }
    buf_clear(&p->got);
    if (!p->stream)
        snprintf(text + n, 20, "%send", n ? " " : "");
    return text;
}

static inline void expect(struct gate_kit *k, int peer, const char *input, const char *codes)
{
    gate_send(k, peer, slice_str(input));
    assert_string_equal(codes_of(peer), codes);
}

/* A fresh gate and a peer that has read its greeting. */
static inline int begin(struct gate_kit *k)
{
    gate_init(k);
    gate_begin(k);
    int peer = gate_connect(k);
    assert_string_equal(codes_of(peer), "220");
    return peer;
}

/* Nothing is left behind. */
static inline void finish(struct gate_kit *k)
{
    for (int i = 0; i < k->n_peers; i++)
        (void)fake_leave(i);
    gate_run(k);
    while (k->server->n_sessions > 0)
        gate_time_out(k);
    assert_int_equal(k->server->bytes_in_flight, 0);
    assert_int_equal(k->n_nonsense, 0);
    gate_end(k);
}

static inline const struct core_message *last_message(const struct gate_kit *k)
{
    assert_true(k->n_messages > 0);
    return &k->messages[k->n_messages - 1];
}

static inline void assert_content(const struct gate_kit *k, const char *text, size_t n)
{
    const struct core_message *m = last_message(k);
    assert_int_equal(m->content.n, n);
    assert_memory_equal(m->content.n ? m->content.p : "", text, n);
}

/* The network speaks for primary 55. */
static inline void speak_for_a_primary(struct gate_kit *k, const char *address, uint8_t prefix)
{
    static struct wire_ip ip;
    assert_true(wire_ip_parse(slice_str(address), &ip));
    k->networks[k->n_networks++] =
        (struct ipc_network){.address = slice_of((const char *)ip.bytes, ip.version == 4 ? 4 : 16),
                             .prefix = prefix,
                             .tenant = 5,
                             .primary = 55};
}

#endif
