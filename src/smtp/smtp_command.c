/* Commands: a verb is a table row: in which states it is legal, what it needs, who does it. */
#include "smtp/smtp_int.h"

typedef void command_fn(struct smtp_session *x, struct slice args);

#define IN(state) (1u << (state))
enum {
    ANY = IN(SMTP_HELLO) | IN(SMTP_READY) | IN(SMTP_MAIL) | IN(SMTP_RCPT) | IN(SMTP_BDAT),
};

static void forget_transaction(struct smtp_session *x)
{
    smtp_transaction_destroy(x);
    if (x->helo)
        smtp_session_enter(x, SMTP_READY);
}

static bool take_helo(struct smtp_session *x, struct slice args)
{
    struct wire_helo helo;
    struct wire_verdict v = wire_helo_parse(args, &helo);
    if (v.fault != WIRE_FINE) {
        smtp_refuse_text(x, REFUSE_SYNTAX, v.why);
        return false;
    }
    forget_transaction(x);
    mem_free(&x->helo);
    x->helo = mem_new(helo.name.n + 1);
    memcpy(x->helo, helo.name.p, helo.name.n);
    smtp_session_enter(x, SMTP_READY);
    return true;
}

static void do_helo(struct smtp_session *x, struct slice args)
{
    if (!take_helo(x, args))
        return;
    x->is_esmtp = false;
    smtp_reply(x, "250", slice_str(x->server->o.node));
}

static void do_ehlo(struct smtp_session *x, struct slice args)
{
    if (!take_helo(x, args))
        return;
    x->is_esmtp = true;
    struct smtp_server *s = x->server;
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    buf_addf(&text,
             "%s\nPIPELINING\nSIZE %llu\n8BITMIME\nSMTPUTF8\nCHUNKING\n"
             "ENHANCEDSTATUSCODES\nDSN",
             s->o.node, (unsigned long long)s->o.limits.message_bytes);
    if (x->port->has_starttls && s->tls && !net_stream_is_secure(x->stream))
        buf_addf(&text, "\nSTARTTLS");
    if (x->is_xclient)
        buf_addf(&text, "\nXCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
    smtp_reply(x, "250", buf_slice(&text));
}

static void do_rset(struct smtp_session *x, struct slice)
{
    forget_transaction(x);
    smtp_reply(x, "250 2.0.0", SLICE("ok"));
}

static void do_noop(struct smtp_session *x, struct slice)
{
    smtp_reply(x, "250 2.0.0", SLICE("ok"));
}

static void do_quit(struct smtp_session *x, struct slice)
{
    smtp_reply(x, "221 2.0.0", SLICE("bye"));
    smtp_session_enter(x, SMTP_CLOSED);
}

static void do_vrfy(struct smtp_session *x, struct slice)
{
    smtp_reply(x, "252 2.1.5", SLICE("send some mail, then we both know"));
}

static void do_help(struct smtp_session *x, struct slice)
{
    smtp_reply(x, "214 2.0.0", SLICE("see RFC 5321"));
}

static void do_starttls(struct smtp_session *x, struct slice args)
{
    if (args.n > 0) {
        smtp_refuse_text(x, REFUSE_SYNTAX, "STARTTLS takes no parameter");
    } else if (!x->port->has_starttls || net_stream_is_secure(x->stream)) {
        smtp_refuse(x, REFUSE_NOT_OFFERED);
    } else if (!x->server->tls) {
        smtp_refuse(x, REFUSE_TLS_UNAVAILABLE);
    } else {
        smtp_session_enter(x, SMTP_SHAKING);
    }
}

static void do_not_offered(struct smtp_session *x, struct slice)
{
    smtp_refuse(x, REFUSE_NOT_OFFERED);
}

static void do_unknown(struct smtp_session *x, struct slice)
{
    smtp_refuse(x, REFUSE_UNKNOWN_COMMAND);
}

static void do_http(struct smtp_session *x, struct slice)
{
    smtp_refuse(x, REFUSE_EARLY_TALKER); /* a browser made to talk to us: hang up at once */
}

static const struct {
    unsigned states; /* where it is legal */
    bool is_work;    /* belongs to sending mail: not counted as idle talk */
    command_fn *fn;
} commands[WIRE_VERB_N] = {
    [WIRE_VERB_UNKNOWN] = {ANY, false, do_unknown},
    [WIRE_VERB_HELO] = {ANY, false, do_helo},
    [WIRE_VERB_EHLO] = {ANY, false, do_ehlo},
    [WIRE_VERB_MAIL] = {IN(SMTP_READY), true, smtp_cmd_mail},
    [WIRE_VERB_RCPT] = {IN(SMTP_MAIL) | IN(SMTP_RCPT), true, smtp_cmd_rcpt},
    [WIRE_VERB_DATA] = {IN(SMTP_RCPT), true, smtp_cmd_data},
    [WIRE_VERB_BDAT] = {ANY, true, smtp_cmd_bdat}, /* its bytes come in any case */
    [WIRE_VERB_RSET] = {ANY, false, do_rset},
    [WIRE_VERB_NOOP] = {ANY, false, do_noop},
    [WIRE_VERB_QUIT] = {ANY, true, do_quit},
    [WIRE_VERB_VRFY] = {ANY, false, do_vrfy},
    [WIRE_VERB_EXPN] = {ANY, false, do_not_offered},
    [WIRE_VERB_HELP] = {ANY, false, do_help},
    [WIRE_VERB_ETRN] = {ANY, false, do_not_offered},
    [WIRE_VERB_STARTTLS] = {ANY & ~IN(SMTP_BDAT), false, do_starttls},
    [WIRE_VERB_AUTH] = {ANY, false, do_not_offered},
    [WIRE_VERB_XCLIENT] = {IN(SMTP_HELLO) | IN(SMTP_READY), false, smtp_cmd_xclient},
    [WIRE_VERB_HTTP] = {ANY, false, do_http},
};

/* Limits on talk: the first that is reached ends the session with a clear reply. Who is in the
 * middle of a message may finish it although we are stopping. */
static bool is_too_much(struct smtp_session *x)
{
    const struct smtp_limits *l = &x->server->o.limits;
    if (x->server->is_stopping && (x->state == SMTP_HELLO || x->state == SMTP_READY))
        smtp_refuse(x, REFUSE_STOPPING);
    else if (x->n_commands > l->commands)
        smtp_refuse(x, REFUSE_COMMANDS);
    else if (x->n_idle > l->idle_commands)
        smtp_refuse(x, REFUSE_IDLE_COMMANDS);
    else
        return false;
    return true;
}

void smtp_command(struct smtp_session *x, struct slice line)
{
    struct wire_command c = wire_command_parse(line);
    must(c.verb < WIRE_VERB_N);
    smtp_measure(x, REFUSE_LINE, line.n + 2);
    smtp_measure(x, REFUSE_COMMANDS, ++x->n_commands);
    if (!commands[c.verb].is_work)
        smtp_measure(x, REFUSE_IDLE_COMMANDS, ++x->n_idle);
    if (is_too_much(x))
        return;
    /* Each command begins its state's time anew, also one that changes nothing. */
    x->deadline = mono_now() + SECONDS(x->server->o.limits.command_sec);
    if (!(commands[c.verb].states & IN(x->state))) {
        smtp_refuse(x, REFUSE_SEQUENCE);
        return;
    }
    commands[c.verb].fn(x, c.args);
}
