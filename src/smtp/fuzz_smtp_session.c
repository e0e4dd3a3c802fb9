/* Whole sessions: the first two bytes choose the port and the split, the rest are three peers'
 * bytes with orders between them (0xff and a letter). Whatever happens: replies are well formed, a
 * 250 at the end of data only for a message that core took, and in the end nothing is left over. */
#include "smtp/test/gate_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PEERS = 3 };

static void check_replies(struct slice rest, size_t *ret_accepted)
{
    while (rest.n > 0) {
        struct slice line = slice_cut(rest, '\n', &rest);
        must(line.n >= 4 && line.n <= 511 && line.p[line.n - 1] == '\r');
        must(line.p[0] >= '2' && line.p[0] <= '5' && (line.p[3] == ' ' || line.p[3] == '-'));
        *ret_accepted += slice_starts(line, SLICE("250 2.0.0 accepted as "));
    }
}

static void check_end(struct gate_kit *k)
{
    size_t n_accepted = 0, n_written = 0;
    must(k->server->n_sessions == 0 && k->server->bytes_in_flight == 0);
    must(list_empty(&fake_net.sent));
    for (int i = 0; i < k->n_peers; i++)
        check_replies(buf_slice(&fake_peers[i].got), &n_accepted);
    for (size_t i = 0; i < k->n_messages; i++)
        n_written += k->messages[i].is_written;
    must(n_accepted <= k->n_told && (k->n_messages == GATE_MESSAGES || n_accepted == n_written));
}

/* Core says something out of the blue: the next byte chooses what. */
static void speak(struct gate_kit *k, uint8_t what, struct slice raw)
{
    uint16_t type = what % 4 == 0 ? IPC_T_facts : what % 4 == 1 ? IPC_T_rcpt_told : IPC_T_taken;
    (void)fake_link_say(type, k->held.tag, slice_of(raw.p, raw.n < what ? raw.n : what));
    gate_run(k);
}

static void order(struct gate_kit *k, char what, struct slice rest, int *peer)
{
    uint8_t next = rest.n > 0 ? (uint8_t)rest.p[0] : 0;
    if (what >= '0' && what < '0' + PEERS)
        *peer = what - '0';
    else if (what == 'r')
        k->rcpt_way = next % CORE_WAY_N;
    else if (what == 'm')
        k->take_way = next % CORE_WAY_N;
    else if (what == 'i')
        k->refusal = next % 2 ? REFUSE_DISK_LOW : REFUSE_CONTENT_REFUSED;
    else if (what == 'a' || what == 'n')
        core_answer_held(k, what == 'a' ? CORE_ACCEPTS : CORE_REFUSES);
    else if (what == 'd')
        core_die(k);
    else if (what == 'b')
        core_begin(k);
    else if (what == 'g')
        core_facts(k);
    else if (what == 'x')
        speak(k, next, slice_skip(rest, 1));
    else if (what == 's')
        (void)fake_shake(*peer);
    else if (what == 'l')
        (void)fake_leave(*peer);
    else if (what == 't')
        fake_tick(k->loop);
    else if (what == 'T')
        gate_time_out(k);
    else if (what == 'S')
        smtp_server_stop(k->server, SECONDS(next), gate_stopped, k);
    else if (what == 'f')
        k->server->core_room = (size_t)next << 16;
    gate_run(k);
}

static void play(struct gate_kit *k, struct slice rest, uint32_t random)
{
    size_t most = random % 97 + 1;
    int peer = 0;
    while (rest.n > 0) {
        ptrdiff_t at = slice_find(rest, '\xff');
        size_t n = at < 0 ? rest.n : (size_t)at;
        random = random * 1664525u + 1013904223u;
        if (n > (random >> 16) % most + 1)
            n = (random >> 16) % most + 1;
        gate_send(k, peer, slice_of(rest.p, n));
        rest = slice_skip(rest, n);
        if (rest.n > 1 && rest.p[0] == '\xff') {
            order(k, rest.p[1], slice_skip(rest, 2), &peer);
            rest = slice_skip(rest, 2);
        } else if (rest.n == 1 && rest.p[0] == '\xff') {
            return;
        }
    }
}

static void choose_port(struct gate_kit *k, uint8_t bits)
{
    struct smtp_cidr all = {.n_bytes = 4};
    k->port.is_tls_first = bits & 1;
    k->port.has_starttls = !(bits & 2);
    k->port.n_proxies = (bits & 4) != 0;
    k->port.n_xclients = (bits & 8) != 0;
    k->port.proxies[0] = k->port.xclients[0] = all;
    if (bits & 16) {
        k->limits.message_bytes = 3000;
        k->limits.bytes_in_flight = 5000;
        k->limits.recipients = 3;
        k->limits.errors = 3;
        k->limits.commands = 30;
        k->limits.command_line_bytes = 1024;
        k->limits.connections_per_address = 2;
    }
    k->n_networks = (bits & 32) != 0; /* everybody speaks for a primary */
    k->networks[0] = (struct ipc_network){
        .address = SLICE("\0\0\0\0"), .tenant = 1, .primary = 55, .is_shared = (bits & 64) != 0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gate_kit k;
    if (size < 2 || size > 200000)
        return 0;
    log_init("fuzz", LOG_ERROR);
    gate_init(&k);
    choose_port(&k, data[0]);
    gate_begin(&k);
    for (int i = 0; i < PEERS; i++)
        (void)gate_connect(&k);
    play(&k, slice_of((const char *)data + 2, size - 2), data[1]);
    for (int i = 0; i < PEERS; i++)
        (void)fake_leave(i);
    gate_run(&k);
    if (k.server->n_sessions > 0)
        gate_time_out(&k);
    k.take_way = CORE_ACCEPTS;
    core_answer_held(&k, CORE_ACCEPTS); /* nobody is there any more */
    gate_run(&k);
    check_end(&k);
    gate_end(&k);
    return 0;
}
