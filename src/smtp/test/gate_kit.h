/* For tests and fuzzing: a gate over the fake net, with a core inside (gate_core.h). Everything
 * happens in the caller's thread; gate_run goes on until nobody has anything to do. */
#ifndef SMTP_TEST_GATE_KIT_H
#define SMTP_TEST_GATE_KIT_H

#include "smtp/test/gate_core.h"

#include <stdio.h>
#include <sys/socket.h>

static char gate_shared[SMTP_SHARED_BYTES] __attribute__((aligned(64)));

static inline struct smtp_limits gate_limits(void)
{
    return (struct smtp_limits){
        .message_bytes = 1 << 20,
        .header_bytes = 256 << 10,
        .command_line_bytes = 4096,
        .bytes_in_flight = 64 << 20,
        .connections = 1000,
        .connections_per_address = 1000,
        .connections_per_network = 1000,
        .connections_per_minute = 1000000,
        .recipients = 100,
        .commands = 20000,
        .idle_commands = 200,
        .errors = 20,
        .messages = 10000,
        .hops = 50,
        .command_sec = 300,
        .data_sec = 180,
        .transfer_sec = 7200,
    };
}

static inline void gate_nonsense(void *arg, const char *why)
{
    struct gate_kit *k = arg;
    (void)why;
    k->n_nonsense++;
}

/* ---- turns ---- */

static inline void gate_run(struct gate_kit *k)
{
    do {
        fake_turn(k->loop);
        struct list *node = list_pop(&fake_net.sent);
        if (node) {
            struct fake_frame *f = container_of(node, struct fake_frame, node);
            core_hear(k, f);
            fake_frame_free(&f);
        }
    } while (!list_empty(&fake_net.sent) || !list_empty(&k->loop->late));
}

static inline void gate_stopped(void *arg)
{
    struct gate_kit *k = arg;
    k->is_stopped = true;
}

/* Options may be changed between gate_init and gate_begin. */
static inline void gate_init(struct gate_kit *k)
{
    *k = (struct gate_kit){.limits = gate_limits(), .tls.n_refs = 1};
    k->port.has_starttls = true;
    k->told = (struct ipc_rcpt_told){.tenant = 1, .primary = 11};
    fake_net.link_room = SIZE_MAX;
    list_init(&fake_net.sent);
}

/* A server that core has not told anything yet. */
static inline void gate_make(struct gate_kit *k)
{
    struct smtp_options o = {.loop = k->loop,
                             .node = "mx.example",
                             .limits = k->limits,
                             .shared = gate_shared,
                             .nonsense = gate_nonsense,
                             .arg = k};
    k->server = smtp_server_create(&o);
    smtp_server_tls(k->server, &k->tls);
    smtp_server_listen(k->server, 0, &k->port);
}

static inline void gate_begin(struct gate_kit *k)
{
    k->loop = net_loop_create();
    gate_make(k);
    core_begin(k);
    gate_run(k);
}

static inline void gate_end(struct gate_kit *k)
{
    smtp_server_destroy(&k->server);
    fake_turn(k->loop);
    net_loop_destroy(&k->loop);
    fake_peers_clear();
    core_forget_question(k);
    core_forget_uploads(k);
    for (size_t i = 0; i < k->n_messages; i++)
        core_message_free(&k->messages[i]);
    must(k->tls.n_refs == 1);
}

/* ---- peers ---- */

/* An address as the fake net_address_bytes reads it. */
static inline struct sockaddr_storage fake_address(struct wire_ip ip)
{
    struct sockaddr_storage a = {0};
    unsigned char *bytes = (unsigned char *)&a;
    bytes[0] = ip.version == 4 ? 4 : 16;
    memcpy(bytes + 1, ip.bytes, sizeof(ip.bytes));
    return a;
}

/* Returns the peer's number. */
static inline int gate_connect_from(struct gate_kit *k, const char *address)
{
    struct wire_ip ip;
    must(wire_ip_parse(slice_str(address), &ip) && k->n_peers < FAKE_PEERS);
    struct sockaddr_storage a = fake_address(ip);
    int peer = k->n_peers++;
    must(!fake_net.listener->is_paused);
    fake_net.listener->fn(fake_net.listener->arg, peer, &a);
    gate_run(k);
    return peer;
}

static inline int gate_connect(struct gate_kit *k)
{
    return gate_connect_from(k, "192.0.2.1");
}

static inline void gate_send(struct gate_kit *k, int peer, struct slice bytes)
{
    (void)fake_feed(peer, bytes);
    gate_run(k);
}

static inline struct smtp_session *gate_session(const struct gate_kit *k, int peer)
{
    struct net_stream *s = fake_peers[peer].stream;
    (void)k;
    return s && !s->is_closing ? s->o.arg : NULL;
}

/* All sessions have waited longer than they may. */
static inline void gate_time_out(struct gate_kit *k)
{
    LIST_FOREACH (node, &k->server->sessions)
        container_of(node, struct smtp_session, node)->deadline = 0;
    fake_tick(k->loop);
    gate_run(k);
}

#endif
