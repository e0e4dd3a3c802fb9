/* The canary: a small message of ours that must arrive at the primary and be readable there. Here
 * it is written and sent by SMTP as any stranger's mail; mailbox_find.c looks for it. */
#include "liaison/mailbox_int.h"

#include <stdio.h>

enum { MESSAGE_MAX = 8 << 10 };

/* ---- the message
 * ------------------------------------------------------------------------------------- */

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return s.n > 0;
}

/* Good enough to stand between < and > in an envelope and a header. */
static bool is_address(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || memchr("<>()\",;\\", s.p[i], 8))
            return false;
    return slice_find(s, '@') > 0;
}

bool canary_init(struct mailbox_canary *c, struct mailbox_end *end)
{
    const struct ipc_mailbox_look *look = c->look;
    c->body = buf_make(1000);
    if (!is_token(look->token) || !is_address(look->address) ||
        (look->mail_from.n > 0 && !is_address(look->mail_from))) {
        mailbox_end_ours(end, IPC_STEP_SEND, "the canary has no usable address or token");
        return false;
    }
    (void)snprintf(c->id, sizeof(c->id), "<staffetta-canary." SLICE_FMT "@%.255s>",
                   SLICE_ARG(look->token), c->net->hostname);
    buf_addf(&c->body,
             "This is a test message of Staffetta. It shows that mail arrives here\r\n"
             "and can be read. It is removed by itself; you may delete it.\r\n\r\n"
             "Token: " SLICE_FMT "\r\n",
             SLICE_ARG(look->token));
    return true;
}

void canary_finish(struct mailbox_canary *c)
{
    buf_finish(&c->body);
}

static void write_message(const struct mailbox_canary *c, struct buf *out)
{
    struct slice to = c->look->address, from = c->look->mail_from;
    buf_addf(out, "Date: %s\r\n", utc_rfc5322(utc_now()).s);
    buf_addf(out, "From: Staffetta <" SLICE_FMT ">\r\n", SLICE_ARG(from.n ? from : to));
    buf_addf(out, "To: <" SLICE_FMT ">\r\n", SLICE_ARG(to));
    buf_addf(out, "Subject: Staffetta canary " SLICE_FMT "\r\n", SLICE_ARG(c->look->token));
    buf_addf(out, "Message-ID: %s\r\n", c->id);
    buf_adds(out, SLICE("Auto-Submitted: auto-generated\r\nPrecedence: bulk\r\n"
                        "X-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=us-ascii\r\n"
                        "Content-Transfer-Encoding: 7bit\r\n\r\n"));
    buf_adds(out, buf_slice(&c->body));
    must(!out->failed);
}

/* ---- sending
 * ------------------------------------------------------------------------------------------- */

static bool ask(const struct mailbox_canary *c, struct courier_peer *p, enum smtp_phase phase,
                const char *verb, struct slice address, struct courier_end *end)
{
    SCOPED(buf_finish) struct buf command = buf_make(1000);
    buf_addf(&command, "%s", verb);
    if (phase != SMTP_PHASE_DATA)
        buf_addf(&command, ":<" SLICE_FMT ">", SLICE_ARG(address));
    return courier_peer_ask(p, phase, buf_slice(&command), c->deadline, end) &&
           end->code / 100 == (phase == SMTP_PHASE_DATA ? 3 : 2);
}

static bool transact(const struct mailbox_canary *c, struct courier_peer *p,
                     struct courier_end *end)
{
    const struct ipc_mailbox_look *look = c->look;
    SCOPED(buf_finish) struct buf message = buf_make(MESSAGE_MAX);
    write_message(c, &message);
    return ask(c, p, SMTP_PHASE_MAIL, "MAIL FROM", look->mail_from, end) &&
           ask(c, p, SMTP_PHASE_RCPT, "RCPT TO", look->address, end) &&
           ask(c, p, SMTP_PHASE_DATA, "DATA", SLICE(""), end) &&
           courier_peer_send(p, buf_slice(&message), c->deadline, end) && end->code / 100 == 2;
}

static bool send_to_host(struct mailbox_canary *c, const struct ipc_host *host,
                         struct courier_end *end)
{
    char name[256], tls_name[256];
    struct courier_addresses found;
    uint8_t tls = c->look->smtp_tls;
    (void)snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(host->name));
    (void)snprintf(tls_name, sizeof(tls_name), SLICE_FMT, SLICE_ARG(c->look->smtp_tls_name));
    if (!courier_addresses_find(c->net, name, host->port, c->deadline, &found, end))
        return false;
    for (size_t i = 0; i < found.n && (i == 0 || mono_now() < c->deadline); i++) {
        struct courier_target t = {.host = name,
                                   .address = found.address[i],
                                   .tls = tls <= IPC_TLS_NEVER ? (enum ipc_tls)tls : IPC_TLS_VERIFY,
                                   .tls_name = tls_name,
                                   .cert_until = &c->seen->smtp_cert_until};
        struct courier_peer *p = courier_peer_open(c->net, &t, c->deadline, end);
        bool is_sent = p && transact(c, p, end);
        courier_peer_close(&p);
        if (is_sent || end->phase == SMTP_PHASE_DOT)
            return is_sent; /* once the content went out it is not sent again */
    }
    return false;
}

bool canary_send(struct mailbox_canary *c, struct mailbox_end *ret)
{
    struct courier_end end;
    bool is_sent = false;
    courier_end_words(&end, SMTP_PHASE_NAME, "", "the primary has no SMTP host");
    end.is_ours = true;
    for (uint32_t i = 0; i < c->look->n_smtp_hosts && !is_sent; i++) {
        if (i > 0 && (mono_now() >= c->deadline || end.phase == SMTP_PHASE_DOT))
            break;
        is_sent = send_to_host(c, &c->look->smtp_hosts[i], &end);
    }
    if (is_sent)
        return true;
    c->seen->code = end.phase > SMTP_PHASE_NAME ? end.code : 0;
    const char *phase = smtp_phase_name((uint8_t)end.phase);
    struct wire_status_text status = wire_status_text(end.status);
    if (c->seen->code)
        mailbox_end_words(ret, IPC_STEP_SEND, "the canary was answered with %u%s%s at %s: %.500s",
                          end.code, status.s[0] ? " " : "", status.s, phase, end.text);
    else
        mailbox_end_words(ret, IPC_STEP_SEND, "the canary could not be sent, at %s: %.500s", phase,
                          end.text);
    ret->is_ours = end.is_ours;
    return false;
}
