/* Greeting, TLS and log-in. RFC 9051 sections 6.1, 6.2; STARTTLS: what was said in the clear is
 * void, and what was sent ahead is an attack. */
#include "liaison/mailbox_int.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { GREETING_SECONDS = 60, INITIAL_MAX = 4000 };

static enum ipc_tls tls_of(const struct ipc_server *s)
{
    if (s->tls == IPC_TLS_NEVER && !s->is_implicit)
        return IPC_TLS_NEVER;
    return s->tls == IPC_TLS_MAY || s->tls == IPC_TLS_MUST || s->tls == IPC_TLS_NEVER
               ? IPC_TLS_MUST
               : IPC_TLS_VERIFY;
}

static bool handshake(struct mailbox *m, const char *host, utc_ms *cert_until)
{
    struct errinfo ei = {};
    SCOPED(buf_finish) struct buf name = buf_make(300);
    buf_adds(&name, m->server->tls_name.n ? m->server->tls_name : slice_str(host));
    enum net_tls_check check = tls_of(m->server) == IPC_TLS_VERIFY ? NET_TLS_VERIFY : NET_TLS_ANY;
    mono_us most = mono_now() + m->net->timeouts.tls;
    enum err err = net_conn_start_tls(m->conn, m->net->tls, check, buf_cstr(&name),
                                      m->deadline < most ? m->deadline : most, &ei);
    if (net_conn_cert_until(m->conn))
        *cert_until = net_conn_cert_until(m->conn);
    if (err == ERR_OK)
        return true;
    if (err == ERR_RETRY)
        mailbox_break(m, IPC_STEP_TLS, "the TLS handshake was not answered in time");
    else
        mailbox_break(m, IPC_STEP_TLS, "%s", ei.text);
    bool has_nothing_to_check = err == ERR_DENIED && !net_conn_cert_until(m->conn);
    m->end.is_ours = err == ERR_CANCELED || has_nothing_to_check;
    return false;
}

static bool read_greeting(struct mailbox *m)
{
    struct imap_response p;
    uint32_t tag;
    mono_us most = mono_now() + SECONDS(GREETING_SECONDS);
    m->asked = "connecting";
    m->asked_at = mono_now();
    m->until = m->deadline < most ? m->deadline : most;
    if (!mailbox_next(m, IPC_STEP_GREETING, &p, &tag))
        return false;
    if (p.kind == IMAP_UNTAGGED && p.word == IMAP_OK) {
        mailbox_take_caps(m, &p);
        return true;
    }
    /* PREAUTH: logged in as nobody knows whom, and TLS is not possible any more. */
    mailbox_break(m, IPC_STEP_GREETING,
                  "the greeting is not that of an IMAP server that asks who "
                  "we are");
    return false;
}

static void see_caps(void *arg, const struct imap_response *p)
{
    struct mailbox *m = arg;
    if (p->word == IMAP_CAPABILITY)
        mailbox_take_caps(m, p);
}

/* What the server can do, if it has not said so by itself. */
static bool ask_caps(struct mailbox *m, enum ipc_look_step step)
{
    if (m->caps)
        return true;
    mailbox_begin(m, "CAPABILITY");
    imap_command_add(&m->command, "CAPABILITY");
    if (mailbox_run(m, step, see_caps, m) != IMAP_OK)
        return false;
    if (m->caps & (IMAP_CAP_REV1 | IMAP_CAP_REV2))
        return true;
    mailbox_break(m, step, "the server speaks no IMAP that we know");
    return false;
}

static bool start_tls(struct mailbox *m, const char *host, utc_ms *cert_until)
{
    if (!ask_caps(m, IPC_STEP_GREETING))
        return false;
    if (!(m->caps & IMAP_CAP_STARTTLS)) {
        mailbox_end_words(&m->end, IPC_STEP_TLS, "TLS is required but not offered");
        return false;
    }
    mailbox_begin(m, "STARTTLS");
    imap_command_add(&m->command, "STARTTLS");
    if (mailbox_run(m, IPC_STEP_TLS, NULL, NULL) != IMAP_OK)
        return false;
    if (!net_conn_is_quiet(m->conn)) {
        mailbox_break(m, IPC_STEP_TLS,
                      "bytes between STARTTLS and the handshake: an injection, or closed");
        return false;
    }
    m->caps = 0; /* all that was learnt in the clear is void */
    return handshake(m, host, cert_until);
}

/* ---- who we are
 * ---------------------------------------------------------------------------------- */

/* Run what logs in. Logged in, the server may have other abilities: those of before are void. */
static bool run_as(struct mailbox *m)
{
    m->caps = 0;
    m->append_limit = 0;
    return mailbox_run(m, IPC_STEP_LOGIN, see_caps, m) == IMAP_OK;
}

static bool run_login(struct mailbox *m)
{
    const struct ipc_server *s = m->server;
    if (m->caps & IMAP_CAP_LOGINDISABLED) {
        mailbox_end_words(&m->end, IPC_STEP_LOGIN, "the server does not allow LOGIN");
        return false;
    }
    if (s->act_as.n > 0) {
        mailbox_end_ours(&m->end, IPC_STEP_LOGIN,
                         "LOGIN cannot act for another user; use PLAIN, or a user name in the "
                         "form that the server wants for this");
        return false;
    }
    mailbox_begin(m, "LOGIN");
    imap_command_add(&m->command, "LOGIN ");
    imap_command_string(&m->command, s->user);
    imap_command_add(&m->command, " ");
    imap_command_string(&m->command, s->secret);
    return run_as(m);
}

/* XOAUTH2 says why in one more challenge: {"status":"401",...}, which tells a token that ended
 * (401) from one that may not do this (400). */
static void say_challenge(struct mailbox *m)
{
    unsigned char text[MAILBOX_CHALLENGE_MAX];
    char before[MAILBOX_TEXT_MAX / 2];
    size_t n = strlen(m->challenge);
    if (n == 0 || n % 4 != 0)
        return;
    int size = EVP_DecodeBlock(text, (const unsigned char *)m->challenge, (int)n);
    while (size > 0 && text[size - 1] == 0)
        size--; /* stands for "=" */
    if (size <= 0)
        return;
    struct slice said = mailbox_quoted(m, slice_of((const char *)text, (size_t)size));
    (void)snprintf(before, sizeof(before), "%.*s", (int)sizeof(before) - 1, m->end.text);
    mailbox_end_words(&m->end, m->end.step, "%s; " SLICE_FMT, before,
                      SLICE_ARG(slice_of(said.p, said.n < 200 ? said.n : 200)));
}

/* Without SASL-IR the server says "+" first. As a literal that is no literal: one more wait. */
static bool run_sasl(struct mailbox *m, const char *mechanism)
{
    struct imap_command *c = &m->command;
    bool is_short = m->sasl.n <= INITIAL_MAX;
    mailbox_begin(m, "AUTHENTICATE");
    imap_command_add(c, "AUTHENTICATE %s", mechanism);
    if ((m->caps & IMAP_CAP_SASL_IR) && is_short) {
        imap_command_add(c, " ");
    } else {
        buf_adds(&c->out, SLICE("\r\n"));
        c->waits[c->n_waits++] = c->out.n;
    }
    buf_adds(&c->out, buf_slice(&m->sasl));
    m->is_sasl = true;
    m->challenge[0] = '\0';
    bool is_in = run_as(m);
    m->is_sasl = false;
    if (!is_in && !m->is_broken)
        say_challenge(m);
    return is_in;
}

static bool log_in_with(struct mailbox *m, enum ipc_login mechanism)
{
    const struct ipc_server *s = m->server;
    buf_reserve(&m->sasl, IMAP_COMMAND_MAX);
    switch (mechanism) {
    case IPC_LOGIN_LOGIN:
        return run_login(m);
    case IPC_LOGIN_PLAIN:
        imap_sasl_plain(&m->sasl, s->act_as, s->user, s->secret);
        return run_sasl(m, "PLAIN");
    case IPC_LOGIN_XOAUTH2:
        imap_sasl_xoauth2(&m->sasl, s->act_as.n ? s->act_as : s->user, s->secret);
        return run_sasl(m, "XOAUTH2");
    case IPC_LOGIN_ANY:
        break;
    }
    mailbox_end_ours(&m->end, IPC_STEP_LOGIN, "we know no such way to log in");
    return false;
}

static bool has_forbidden(struct slice s)
{
    return slice_find(s, '\0') >= 0 || slice_find(s, '\001') >= 0;
}

static bool log_in(struct mailbox *m)
{
    const struct ipc_server *s = m->server;
    enum ipc_login mechanism = (enum ipc_login)s->mechanism;
    if (s->user.n == 0 || s->secret.n == 0 || has_forbidden(s->user) || has_forbidden(s->act_as) ||
        has_forbidden(s->secret)) {
        mailbox_end_ours(&m->end, IPC_STEP_LOGIN,
                         "no user or password to log in with, or not a "
                         "usable one");
        return false;
    }
    if (mechanism == IPC_LOGIN_ANY)
        mechanism = m->caps & IMAP_CAP_PLAIN ? IPC_LOGIN_PLAIN : IPC_LOGIN_LOGIN;
    if ((mechanism == IPC_LOGIN_PLAIN && !(m->caps & IMAP_CAP_PLAIN)) ||
        (mechanism == IPC_LOGIN_XOAUTH2 && !(m->caps & IMAP_CAP_XOAUTH2))) {
        mailbox_end_words(&m->end, IPC_STEP_LOGIN, "the server does not offer %s",
                          mechanism == IPC_LOGIN_PLAIN ? "PLAIN" : "XOAUTH2");
        return false;
    }
    return log_in_with(m, mechanism) && ask_caps(m, IPC_STEP_LOGIN);
}

bool mailbox_greet(struct mailbox *m, const char *host, utc_ms *cert_until)
{
    bool wants_tls = tls_of(m->server) != IPC_TLS_NEVER;
    if (m->server->is_implicit && !handshake(m, host, cert_until))
        return false;
    if (!read_greeting(m))
        return false;
    if (wants_tls && !m->server->is_implicit && !start_tls(m, host, cert_until))
        return false;
    return ask_caps(m, IPC_STEP_GREETING) && log_in(m);
}
