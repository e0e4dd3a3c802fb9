/* The part of a delivery notice that a person reads: what happened, what we did, what you can do.
 * The part for programs is in wire_dsn.c. */
#include "wire/dsn.h"
#include "wire/wire_int.h"

#include <stdio.h>

#define SHOWN_MAX 50       /* recipients named one by one; all are in the other part */
#define DIAGNOSTIC_MAX 600 /* bytes of a peer's reply that are shown */
#define N_ACTIONS (WIRE_DSN_RELAYED + 1)

struct human {
    const struct wire_dsn *dsn;
    struct buf *out;
    bool with_utf8;
    size_t n_of[N_ACTIONS];
    const struct wire_dsn_rcpt *first_of[N_ACTIONS];
};

static void say(struct human *h, const char *text)
{
    wire_paragraph_add(h->out, "", slice_str(text), h->with_utf8);
    buf_adds(h->out, SLICE("\r\n"));
}

static void heading(struct human *h, const char *text)
{
    buf_addf(h->out, "%s\r\n", text);
    for (size_t i = 0; i < strlen(text); i++)
        buf_addc(h->out, '-');
    buf_adds(h->out, SLICE("\r\n\r\n"));
}

static void show_rcpt(struct human *h, const struct wire_dsn_rcpt *rcpt)
{
    SCOPED(buf_finish) struct buf line = buf_make(4096);
    struct slice diagnostic = rcpt->diagnostic, mta = rcpt->remote_mta;
    wire_paragraph_add(h->out, "  ", rcpt->final, h->with_utf8);
    if (rcpt->action == WIRE_DSN_DELIVERED || rcpt->action == WIRE_DSN_RELAYED)
        return;
    buf_addf(&line, "Reason: %s", wire_status_meaning(rcpt->status));
    if (rcpt->status.class)
        buf_addf(&line, " (code %s)", wire_status_text(rcpt->status).s);
    buf_addc(&line, '.');
    wire_paragraph_add(h->out, "    ", buf_slice(&line), h->with_utf8);
    if (diagnostic.n == 0)
        return;
    buf_clear(&line);
    buf_adds(&line, SLICE("Answer of "));
    buf_adds(&line, mta.n ? slice_of(mta.p, mta.n < 255 ? mta.n : 255) : SLICE("the mail system"));
    buf_adds(&line, SLICE(": "));
    buf_adds(&line,
             slice_of(diagnostic.p, diagnostic.n < DIAGNOSTIC_MAX ? diagnostic.n : DIAGNOSTIC_MAX));
    wire_paragraph_add(h->out, "    ", buf_slice(&line), h->with_utf8);
}

static void what_happened(struct human *h)
{
    static const char *const texts[N_ACTIONS] = {
        [WIRE_DSN_FAILED] = "Your message could not be delivered to:",
        [WIRE_DSN_DELAYED] = "Your message could not be delivered yet to:",
        [WIRE_DSN_DELIVERED] = "Your message was delivered to:",
        [WIRE_DSN_RELAYED] = "Your message was handed on to a system without confirmations for:",
    };
    heading(h, "What happened");
    for (int action = 0; action < N_ACTIONS; action++) {
        size_t n_shown = 0;
        if (h->n_of[action] == 0)
            continue;
        say(h, texts[action]);
        for (size_t i = 0; i < h->dsn->n_rcpts && n_shown < SHOWN_MAX; i++) {
            if ((int)h->dsn->rcpts[i].action != action)
                continue;
            show_rcpt(h, &h->dsn->rcpts[i]);
            n_shown++;
        }
        if (n_shown < h->n_of[action])
            buf_addf(h->out, "  and %zu more, listed in the report below\r\n",
                     h->n_of[action] - n_shown);
        buf_adds(h->out, SLICE("\r\n"));
    }
}

static void what_we_did(struct human *h)
{
    char text[200];
    heading(h, "What we did");
    if (h->dsn->arrival) {
        snprintf(text, sizeof(text), "We received your message on %s.",
                 utc_rfc5322(h->dsn->arrival).s);
        say(h, text);
    }
    if (h->n_of[WIRE_DSN_FAILED])
        say(h, "We have given up on the addresses that failed; nothing more will happen by "
               "itself.");
    if (h->n_of[WIRE_DSN_DELAYED]) {
        utc_ms until = h->first_of[WIRE_DSN_DELAYED]->retry_until;
        snprintf(text, sizeof(text), "We keep your message and go on trying%s%s.",
                 until ? " until " : " for as long as it takes: we do not give it up by ourselves",
                 until ? utc_rfc5322(until).s : "");
        say(h, text);
    }
    if (h->n_of[WIRE_DSN_DELIVERED] || h->n_of[WIRE_DSN_RELAYED])
        say(h, "We send this notice because your mail program asked for it.");
}

static const char *advice(struct wire_status status)
{
    switch (wire_status_about(status)) {
    case WIRE_ABOUT_ADDRESS:
        return "Please check the address for typing mistakes and send the message again to the "
               "right one.";
    case WIRE_ABOUT_MAILBOX:
        return "Please try again later, or reach the recipient in another way.";
    case WIRE_ABOUT_SYSTEM:
    case WIRE_ABOUT_CONTENT:
        return "Please send a smaller or simpler message, for example without attachments, or ask "
               "the recipient what can be received there.";
    case WIRE_ABOUT_NETWORK:
        return "Please check the part behind the @ of the address, or try again later.";
    case WIRE_ABOUT_POLICY:
        return "Please reach the recipient in another way and show this notice: only the "
               "administrators over there can change what their system accepts.";
    case WIRE_ABOUT_PROTOCOL:
    case WIRE_ABOUT_OTHER:
        break;
    }
    return "Please reach the recipient in another way, or show this notice to your administrator.";
}

static void what_you_can_do(struct human *h)
{
    heading(h, "What you can do");
    if (h->n_of[WIRE_DSN_FAILED])
        say(h, advice(h->first_of[WIRE_DSN_FAILED]->status));
    if (h->n_of[WIRE_DSN_DELAYED])
        say(h, "Please do not send the delayed message again: you will hear from us if it "
               "cannot be delivered in the end.");
    if (!h->n_of[WIRE_DSN_FAILED] && !h->n_of[WIRE_DSN_DELAYED])
        say(h, "Nothing needs to be done.");
}

void wire_dsn_human_add(struct buf *out, const struct wire_dsn *dsn, bool with_utf8)
{
    struct human h = {.dsn = dsn, .out = out, .with_utf8 = with_utf8};
    for (size_t i = 0; i < dsn->n_rcpts; i++) {
        const struct wire_dsn_rcpt *rcpt = &dsn->rcpts[i];
        if (h.n_of[rcpt->action]++ == 0)
            h.first_of[rcpt->action] = rcpt;
    }
    /* Further lines are indented, since no line may begin with bytes that were given to us. */
    struct wire_fold hello = {.out = out, .indent = " ", .with_utf8 = with_utf8};
    wire_fold_add(&hello, SLICE("This is a notice of the mail system at"));
    wire_fold_add(&hello, dsn->reporting_mta);
    wire_fold_end(&hello);
    buf_adds(out, SLICE("\r\n"));
    what_happened(&h);
    what_we_did(&h);
    what_you_can_do(&h);
}
