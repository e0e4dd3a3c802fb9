/* The part of a delivery notice that a person reads: what happened, what we did, what you can do.
 * The part for programs is in wire_dsn.c. */
#include "wire/dsn.h"
#include "wire/wire_int.h"

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

static const char *words(const struct human *h, enum wire_words id)
{
    return wire_words(id, h->dsn->language);
}

static void say(struct human *h, enum wire_words id)
{
    wire_paragraph_add(h->out, "", slice_str(words(h, id)), h->with_utf8);
    buf_adds(h->out, SLICE("\r\n"));
}

/* Words, what they are about, and what ends the sentence. */
static void say_of(struct human *h, enum wire_words id, const char *what, const char *end)
{
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    buf_addf(&text, "%s %s%s", words(h, id), what, end);
    wire_paragraph_add(h->out, "", buf_slice(&text), h->with_utf8);
    buf_adds(h->out, SLICE("\r\n"));
}

static void heading(struct human *h, enum wire_words id)
{
    const char *text = words(h, id);
    buf_addf(h->out, "%s\r\n", text);
    for (const char *c = text; *c; c++)
        if (((unsigned char)*c & 0xc0) != 0x80)
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
    buf_addf(&line, "%s%s", words(h, WIRE_WORDS_REASON),
             wire_status_meaning(rcpt->status, h->dsn->language));
    if (rcpt->status.class)
        buf_addf(&line, " (%s %s)", words(h, WIRE_WORDS_CODE), wire_status_text(rcpt->status).s);
    buf_addc(&line, '.');
    wire_paragraph_add(h->out, "    ", buf_slice(&line), h->with_utf8);
    if (diagnostic.n == 0)
        return;
    buf_clear(&line);
    buf_adds(&line, slice_str(words(h, WIRE_WORDS_ANSWER_OF)));
    buf_adds(&line, mta.n ? slice_of(mta.p, mta.n < 255 ? mta.n : 255)
                          : slice_str(words(h, WIRE_WORDS_A_SYSTEM)));
    buf_adds(&line, SLICE(": "));
    buf_adds(&line,
             slice_of(diagnostic.p, diagnostic.n < DIAGNOSTIC_MAX ? diagnostic.n : DIAGNOSTIC_MAX));
    wire_paragraph_add(h->out, "    ", buf_slice(&line), h->with_utf8);
}

static void what_happened(struct human *h)
{
    static const enum wire_words texts[N_ACTIONS] = {
        [WIRE_DSN_FAILED] = WIRE_WORDS_TO_FAILED,
        [WIRE_DSN_DELAYED] = WIRE_WORDS_TO_DELAYED,
        [WIRE_DSN_DELIVERED] = WIRE_WORDS_TO_DELIVERED,
        [WIRE_DSN_RELAYED] = WIRE_WORDS_TO_RELAYED,
    };
    heading(h, WIRE_WORDS_HAPPENED);
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
            buf_addf(h->out, "  %s %zu %s\r\n", words(h, WIRE_WORDS_AND), h->n_of[action] - n_shown,
                     words(h, WIRE_WORDS_MORE));
        buf_adds(h->out, SLICE("\r\n"));
    }
}

static void what_we_did(struct human *h)
{
    heading(h, WIRE_WORDS_DID);
    if (h->dsn->arrival)
        say_of(h, WIRE_WORDS_RECEIVED, utc_rfc5322(h->dsn->arrival).s, ".");
    if (h->n_of[WIRE_DSN_FAILED])
        say(h, WIRE_WORDS_GIVEN_UP);
    if (h->n_of[WIRE_DSN_DELAYED]) {
        SCOPED(buf_finish) struct buf how_long = buf_make(500);
        utc_ms until = h->first_of[WIRE_DSN_DELAYED]->retry_until;
        buf_addf(&how_long, "%s%s%s", words(h, until ? WIRE_WORDS_UNTIL : WIRE_WORDS_ALWAYS),
                 until ? " " : "", until ? utc_rfc5322(until).s : "");
        say_of(h, WIRE_WORDS_TRYING, buf_cstr(&how_long), ".");
    }
    if (h->n_of[WIRE_DSN_DELIVERED] || h->n_of[WIRE_DSN_RELAYED])
        say(h, WIRE_WORDS_ASKED);
}

static enum wire_words advice(struct wire_status status)
{
    switch (wire_status_about(status)) {
    case WIRE_ABOUT_ADDRESS:
        return WIRE_WORDS_ADVICE_ADDRESS;
    case WIRE_ABOUT_MAILBOX:
        return WIRE_WORDS_ADVICE_MAILBOX;
    case WIRE_ABOUT_SYSTEM:
    case WIRE_ABOUT_CONTENT:
        return WIRE_WORDS_ADVICE_SMALLER;
    case WIRE_ABOUT_NETWORK:
        return WIRE_WORDS_ADVICE_NETWORK;
    case WIRE_ABOUT_POLICY:
        return WIRE_WORDS_ADVICE_POLICY;
    case WIRE_ABOUT_PROTOCOL:
    case WIRE_ABOUT_OTHER:
        break;
    }
    return WIRE_WORDS_ADVICE_OTHER;
}

static void what_you_can_do(struct human *h)
{
    heading(h, WIRE_WORDS_CAN);
    if (h->n_of[WIRE_DSN_FAILED])
        say(h, advice(h->first_of[WIRE_DSN_FAILED]->status));
    if (h->n_of[WIRE_DSN_DELAYED])
        say(h, WIRE_WORDS_CAN_WAIT);
    if (!h->n_of[WIRE_DSN_FAILED] && !h->n_of[WIRE_DSN_DELAYED])
        say(h, WIRE_WORDS_CAN_NOTHING);
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
    wire_fold_add(&hello, slice_str(words(&h, WIRE_WORDS_HELLO)));
    wire_fold_add(&hello, dsn->reporting_mta);
    wire_fold_end(&hello);
    buf_adds(out, SLICE("\r\n"));
    what_happened(&h);
    what_we_did(&h);
    what_you_can_do(&h);
}
