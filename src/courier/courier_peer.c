/* A conversation with a mail server: connecting, greeting, EHLO, STARTTLS, commands and replies.
 * RFC 5321 sections 3.1, 3.2, 4.2, 4.5.3.2; RFC 3207. */
#include "courier/courier_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/refuse.h"
#include "net/net.h"

enum { BLOCK_BYTES = 256 << 10, LAST_WORDS_SECONDS = 1 };

/* ---- time --------------------------------------------------------------------------------------
 */

struct courier_timeouts courier_timeouts_usual(void)
{
    return (struct courier_timeouts){
        .name = SECONDS(30),
        .connect = SECONDS(30),
        .banner = SECONDS(300),
        .ehlo = SECONDS(300),
        .tls = SECONDS(60),
        .mail = SECONDS(300),
        .rcpt = SECONDS(300),
        .data = SECONDS(120),
        .block = SECONDS(180),
        .dot = SECONDS(600),
        .quit = SECONDS(1),
        .total = SECONDS(3600),
    };
}

mono_us courier_timeout(const struct courier_network *net, enum smtp_phase phase)
{
    const struct courier_timeouts *t = &net->timeouts;
    switch (phase) {
    case SMTP_PHASE_NAME:
        return t->name;
    case SMTP_PHASE_CONNECT:
        return t->connect;
    case SMTP_PHASE_BANNER:
        return t->banner;
    case SMTP_PHASE_EHLO:
        return t->ehlo;
    case SMTP_PHASE_TLS:
        return t->tls;
    case SMTP_PHASE_MAIL:
        return t->mail;
    case SMTP_PHASE_RCPT:
        return t->rcpt;
    case SMTP_PHASE_DATA:
        return t->data;
    case SMTP_PHASE_DOT:
        return t->dot;
    case SMTP_PHASE_NONE:
    case SMTP_PHASE_N:
        break;
    }
    must(!"a phase that has a time");
    return 0;
}

static const char *awaited(enum smtp_phase phase)
{
    static const char *const words[SMTP_PHASE_N] = {
        [SMTP_PHASE_NAME] = "the name",
        [SMTP_PHASE_CONNECT] = "the connection attempt",
        [SMTP_PHASE_BANNER] = "connecting",
        [SMTP_PHASE_EHLO] = "EHLO",
        [SMTP_PHASE_TLS] = "STARTTLS",
        [SMTP_PHASE_MAIL] = "MAIL",
        [SMTP_PHASE_RCPT] = "RCPT",
        [SMTP_PHASE_DATA] = "DATA",
        [SMTP_PHASE_DOT] = "the end of the message",
    };
    return words[phase] ? words[phase] : "nothing";
}

static mono_us sooner(mono_us a, mono_us b)
{
    return a < b ? a : b;
}

/* ---- how it breaks off
 * --------------------------------------------------------------------------- */

static bool broke(struct courier_peer *p, enum smtp_phase phase, enum err err,
                  const struct errinfo *ei, struct courier_end *end)
{
    p->is_broken = true;
    if (err == ERR_GONE)
        courier_end_words(end, phase, "", "the connection was closed after %s", awaited(phase));
    else
        courier_end_words(end, phase, "", "after %s: %s", awaited(phase), ei->text);
    end->is_ours = err == ERR_CANCELED;
    return false;
}

static bool broke_late(struct courier_peer *p, enum smtp_phase phase, mono_us waited,
                       struct courier_end *end)
{
    p->is_broken = true;
    courier_end_words(end, phase, "", "no answer after %s within %lld s", awaited(phase),
                      (long long)((waited + 500000) / 1000000));
    return false;
}

/* ---- replies
 * --------------------------------------------------------------------------------------- */

static bool reply_is_nonsense(struct courier_peer *p, enum smtp_phase phase,
                              enum wire_reply_result result, struct courier_end *end)
{
    const char *why = result == WIRE_REPLY_CODE_MIXED ? "a reply with two different codes"
                      : result == WIRE_REPLY_ENDLESS  ? "an endless reply"
                                                      : "something that is no SMTP reply";
    p->is_broken = true;
    courier_end_words(end, phase, "", "after %s came %s", awaited(phase), why);
    return false;
}

static bool read_reply(struct courier_peer *p, enum smtp_phase phase, mono_us until,
                       struct courier_end *end)
{
    mono_us begun = mono_now();
    struct errinfo ei = {};
    wire_reply_clear(&p->reply);
    for (;;) {
        struct slice input;
        size_t used;
        enum err err = net_conn_read(p->conn, until, &input, &ei);
        if (err == ERR_RETRY)
            return broke_late(p, phase, mono_now() - begun, end);
        if (err != ERR_OK)
            return broke(p, phase, err, &ei, end);
        enum wire_reply_result result = wire_reply_feed(&p->reply, input, &used);
        net_conn_use(p->conn, used);
        if (result == WIRE_REPLY_DONE)
            break;
        if (result != WIRE_REPLY_MORE)
            return reply_is_nonsense(p, phase, result, end);
    }
    courier_end_reply(end, phase, &p->reply);
    if (p->reply.code == 421)
        p->is_broken = true; /* the peer closes now: RFC 5321 section 3.8 */
    return true;
}

bool courier_peer_answer(struct courier_peer *p, enum smtp_phase phase, mono_us deadline,
                         struct courier_end *end)
{
    return read_reply(p, phase, sooner(deadline, mono_now() + courier_timeout(p->net, phase)), end);
}

/* Something came before we asked. A 421 or a refusal of the content is news; anything else means
 * that its replies and our commands are out of step: an early "250" is no answer to anything. */
static bool talks_out_of_turn(struct courier_peer *p, enum smtp_phase phase,
                              struct courier_end *end)
{
    bool is_reply = read_reply(p, phase, mono_now() + SECONDS(LAST_WORDS_SECONDS), end);
    p->is_broken = p->is_out_of_turn = true;
    if (is_reply && end->code != 421 && (phase != SMTP_PHASE_DOT || end->code < 400))
        courier_end_words(end, phase, "", "answered before it was asked (%s)", awaited(phase));
    return false;
}

/* ---- writing
 * --------------------------------------------------------------------------------------- */

static bool write_block(struct courier_peer *p, enum smtp_phase phase, const struct slice parts[3],
                        mono_us deadline, struct courier_end *end)
{
    struct errinfo ei = {};
    mono_us begun = mono_now();
    mono_us until = sooner(deadline, begun + p->net->timeouts.block);
    if (!net_conn_is_quiet(p->conn))
        return talks_out_of_turn(p, phase, end);
    enum err err = net_conn_write(p->conn, parts, 3, until, &ei);
    if (err == ERR_OK)
        return true;
    if (err != ERR_RETRY)
        return broke(p, phase, err, &ei, end);
    p->is_broken = true;
    courier_end_words(end, phase, "", "the peer took no bytes for %lld s",
                      (long long)((mono_now() - begun + 500000) / 1000000));
    return false;
}

bool courier_peer_write(struct courier_peer *p, enum smtp_phase phase, struct slice content,
                        struct slice tail, mono_us deadline, struct courier_end *end)
{
    must(!p->out.failed);
    struct slice commands = buf_slice(&p->out);
    do {
        struct slice block = slice_of(content.p, content.n < BLOCK_BYTES ? content.n : BLOCK_BYTES);
        content = slice_skip(content, block.n);
        struct slice parts[3] = {commands, block, content.n == 0 ? tail : SLICE("")};
        if (!write_block(p, phase, parts, deadline, end))
            return false;
        commands = SLICE("");
    } while (content.n > 0);
    buf_clear(&p->out);
    return true;
}

static bool is_safe_command(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

bool courier_peer_ask(struct courier_peer *p, enum smtp_phase phase, struct slice command,
                      mono_us deadline, struct courier_end *end)
{
    must(is_safe_command(command));
    buf_clear(&p->out);
    buf_adds(&p->out, command);
    buf_adds(&p->out, SLICE("\r\n"));
    return courier_peer_write(p, phase, SLICE(""), SLICE(""), deadline, end) &&
           courier_peer_answer(p, phase, deadline, end);
}

bool courier_peer_send(struct courier_peer *p, struct slice content, mono_us deadline,
                       struct courier_end *end)
{
    struct wire_stuff stuff = {};
    SCOPED(buf_finish) struct buf stuffed = buf_make(content.n * 2 + 16);
    wire_stuff_feed(&stuff, content, &stuffed);
    wire_stuff_end(&stuff, &stuffed);
    must(!stuffed.failed);
    buf_clear(&p->out);
    return courier_peer_write(p, SMTP_PHASE_DOT, buf_slice(&stuffed), SLICE(""), deadline, end) &&
           courier_peer_answer(p, SMTP_PHASE_DOT, deadline, end);
}

/* ---- greeting
 * ---------------------------------------------------------------------------------------- */

static void keep_banner(struct courier_peer *p, const struct courier_end *end)
{
    ptrdiff_t lf = slice_find(buf_slice(&p->reply.text), '\n');
    size_t n = lf < 0 ? p->reply.text.n : (size_t)lf;
    (void)snprintf(p->banner, sizeof(p->banner), "%.*s", (int)(n < 200 ? n : 200), end->text);
}

/* A 2xx or 3xx that is not 250 is neither a yes nor a no. */
static bool hello_refused(const struct courier_peer *p, struct courier_end *end)
{
    if (end->code < 400)
        courier_end_words(end, SMTP_PHASE_EHLO, "", "answered EHLO with %u", p->reply.code);
    return false;
}

bool courier_peer_hello(struct courier_peer *p, const char *name, mono_us deadline,
                        struct courier_end *end)
{
    char command[300];
    p->caps = (struct wire_caps){};
    (void)snprintf(command, sizeof(command), "EHLO %.255s", name);
    if (!courier_peer_ask(p, SMTP_PHASE_EHLO, slice_str(command), deadline, end))
        return false;
    if (end->code == 250) {
        wire_caps_parse(buf_slice(&p->reply.text), &p->caps);
        return true;
    }
    if (end->code < 500 || p->is_broken)
        return hello_refused(p, end);
    /* RFC 5321 section 3.2: a server that does not know EHLO is asked with HELO. */
    (void)snprintf(command, sizeof(command), "HELO %.255s", name);
    if (!courier_peer_ask(p, SMTP_PHASE_EHLO, slice_str(command), deadline, end))
        return false;
    return end->code == 250 || hello_refused(p, end);
}

static bool tls_refused(enum ipc_tls tls, struct courier_peer *p, struct courier_end *end)
{
    if (tls == IPC_TLS_MAY && !p->is_broken)
        return true; /* go on in the clear: RFC 3207 section 4 lets us choose */
    if (end->code < 400)
        end->code = 0; /* some other 2xx or 3xx is no refusal that could be passed on */
    return false;
}

static bool start_tls(struct courier_peer *p, const struct courier_target *t, mono_us deadline,
                      struct courier_end *end)
{
    struct errinfo ei = {};
    if (t->tls == IPC_TLS_NEVER)
        return true;
    if (!(p->caps.flags & WIRE_CAP_STARTTLS)) {
        courier_end_words(end, SMTP_PHASE_TLS, "", "TLS is required but not offered");
        return t->tls == IPC_TLS_MAY;
    }
    if (!courier_peer_ask(p, SMTP_PHASE_TLS, SLICE("STARTTLS"), deadline, end))
        return false;
    if (end->code != 220)
        return tls_refused(t->tls, p, end);
    if (!net_conn_is_quiet(p->conn)) {
        p->is_broken = true;
        courier_end_words(end, SMTP_PHASE_TLS, "",
                          "bytes between STARTTLS and the handshake: an injection, or closed");
        return false;
    }
    const char *name = t->tls_name && *t->tls_name ? t->tls_name : t->host;
    enum net_tls_check check = t->tls == IPC_TLS_VERIFY ? NET_TLS_VERIFY : NET_TLS_ANY;
    mono_us until = sooner(deadline, mono_now() + p->net->timeouts.tls);
    enum err err = net_conn_start_tls(p->conn, p->net->tls, check, name, until, &ei);
    if (t->cert_until && net_conn_cert_until(p->conn))
        *t->cert_until = net_conn_cert_until(p->conn);
    if (err == ERR_RETRY)
        return broke_late(p, SMTP_PHASE_TLS, p->net->timeouts.tls, end);
    if (err != ERR_OK) {
        p->is_broken = true;
        courier_end_words(end, SMTP_PHASE_TLS, "", "%s", ei.text);
        bool has_nothing_to_check = err == ERR_DENIED && !net_conn_cert_until(p->conn);
        end->is_ours = err == ERR_CANCELED || has_nothing_to_check;
        return false;
    }
    return courier_peer_hello(p, p->net->hostname, deadline,
                              end); /* all that was learnt in the clear is void */
}

static bool greet(struct courier_peer *p, const struct courier_target *t, mono_us deadline,
                  struct courier_end *end)
{
    if (!courier_peer_answer(p, SMTP_PHASE_BANNER, deadline, end))
        return false;
    keep_banner(p, end);
    if (end->code != 220) {
        if (end->code < 400)
            courier_end_words(end, SMTP_PHASE_BANNER, "", "greeted with %u instead of 220",
                              p->reply.code);
        return false;
    }
    if (!courier_peer_hello(p, p->net->hostname, deadline, end))
        return false;
    return start_tls(p, t, deadline, end);
}

struct courier_peer *courier_peer_over(const struct courier_network *net,
                                       struct net_conn *take_conn,
                                       const struct courier_target *target, mono_us deadline,
                                       struct courier_end *end)
{
    struct courier_peer *p = mem_new(sizeof(*p));
    p->net = net;
    p->conn = take_conn;
    p->out = buf_make(COURIER_OUT_MAX);
    wire_reply_init(&p->reply);
    (void)snprintf(p->remote, sizeof(p->remote), "%.200s[%s]", target->host,
                   net_peer_text(&target->address).s);
    if (!greet(p, target, deadline, end))
        courier_peer_close(&p);
    return p;
}

/* ---- opening and closing
 * ------------------------------------------------------------------------------ */

const struct net_policy *courier_policy_now(const struct courier_network *net)
{
    static const struct net_policy only_here;
    return net->policy ? atomic_load(net->policy) : &only_here;
}

static bool is_own(const struct courier_network *net, const struct sockaddr_storage *address)
{
    unsigned char a[16], b[16];
    size_t n = net_address_bytes(address, a);
    bool is_loopback = net_policy_where(courier_policy_now(net), address) == NET_LOOPBACK;
    in_port_t port = ((const struct sockaddr_in *)(const void *)address)->sin_port;
    for (size_t i = 0; i < net->n_own; i++) {
        if (((const struct sockaddr_in *)(const void *)&net->own[i])->sin_port != port)
            continue;
        static const unsigned char any[16];
        size_t n_own = net_address_bytes(&net->own[i], b);
        bool is_any = n_own > 0 && memcmp(b, any, n_own) == 0;
        if (is_any ? is_loopback : n == n_own && memcmp(a, b, n) == 0)
            return true;
    }
    return false;
}

/* May we go there at all? */
static bool may_reach(const struct courier_network *net, const struct courier_target *t,
                      struct courier_end *end)
{
    struct net_peer_text text = net_peer_text(&t->address);
    const struct net_policy *policy = courier_policy_now(net);
    enum net_where where = net_policy_where(policy, &t->address);
    bool is_home = where == NET_LOOPBACK && policy->has_internet;
    if (t->is_world && (is_home || is_own(net, &t->address))) {
        courier_end_words(end, SMTP_PHASE_CONNECT, "554 5.4.6",
                          "%.200s leads back to this machine (%s)", t->host, text.s);
        return false;
    }
    if (net_policy_allows(policy, &t->address))
        return true;
    if (where == NET_NOWHERE) {
        courier_end_words(end, SMTP_PHASE_CONNECT, "", "%s is nobody's address", text.s);
        return false;
    }
    const struct refuse_row *row = refuse(REFUSE_OUTSIDE, slice_str(text.s));
    courier_end_words(end, SMTP_PHASE_CONNECT, "", "%s: %s", text.s, row->text);
    end->is_ours = true;
    return false;
}

static bool dial(const struct courier_network *net, const struct courier_target *target,
                 mono_us deadline, struct net_conn **ret, struct courier_end *end)
{
    struct errinfo ei = {};
    mono_us until = sooner(deadline, mono_now() + net->timeouts.connect);
    struct net_dial to = {&target->address, courier_policy_now(net), net->cancel_fd};
    enum err err = net_conn_open(&to, until, ret, &ei);
    if (err == ERR_OK)
        return true;
    courier_end_words(end, SMTP_PHASE_CONNECT, "", "%.200s[%s]: %s", target->host,
                      net_peer_text(&target->address).s,
                      err == ERR_RETRY ? "the connection attempt got no answer" : ei.text);
    end->is_ours = err == ERR_CANCELED;
    return false;
}

bool courier_dial(const struct courier_network *net, const struct courier_target *target,
                  mono_us deadline, struct net_conn **ret, struct courier_end *end)
{
    return may_reach(net, target, end) && dial(net, target, deadline, ret, end);
}

static struct courier_peer *open_once(const struct courier_network *net,
                                      const struct courier_target *target, mono_us deadline,
                                      struct courier_end *end)
{
    struct net_conn *conn;
    if (!dial(net, target, deadline, &conn, end))
        return NULL;
    return courier_peer_over(net, conn, target, deadline, end);
}

struct courier_peer *courier_peer_open(const struct courier_network *net,
                                       const struct courier_target *target, mono_us deadline,
                                       struct courier_end *end)
{
    if (!may_reach(net, target, end))
        return NULL;
    struct courier_peer *p = open_once(net, target, deadline, end);
    if (p || target->tls != IPC_TLS_MAY || end->phase != SMTP_PHASE_TLS)
        return p;
    /* Opportunistic: a broken TLS must not keep mail back (RFC 7435). */
    struct courier_target clear = *target;
    clear.tls = IPC_TLS_NEVER;
    return open_once(net, &clear, deadline, end);
}

void courier_peer_close(struct courier_peer **p)
{
    struct courier_peer *peer = *p;
    struct courier_end end;
    if (!peer)
        return;
    /* Politeness; nobody depends on the answer. */
    if (!peer->is_broken)
        (void)courier_peer_ask(peer, SMTP_PHASE_EHLO, SLICE("QUIT"),
                               mono_now() + peer->net->timeouts.quit, &end);
    net_conn_close(&peer->conn);
    buf_finish(&peer->out);
    wire_reply_finish(&peer->reply);
    mem_free(p);
}

/* ---- what it can do
 * ------------------------------------------------------------------------------------- */

const struct wire_caps *courier_peer_caps(const struct courier_peer *p)
{
    return &p->caps;
}

const char *courier_peer_banner(const struct courier_peer *p)
{
    return p->banner;
}

uint32_t courier_peer_abilities(const struct courier_peer *p)
{
    unsigned has = p->caps.flags;
    return IPC_ABILITIES_KNOWN | (has & WIRE_CAP_8BITMIME ? 0 : IPC_NO_8BITMIME) |
           (has & WIRE_CAP_SMTPUTF8 ? 0 : IPC_NO_SMTPUTF8) | (has & WIRE_CAP_DSN ? 0 : IPC_NO_DSN);
}

uint32_t courier_peer_size_max(const struct courier_peer *p)
{
    return p->caps.size_bytes <= UINT32_MAX ? (uint32_t)p->caps.size_bytes : 0;
}
