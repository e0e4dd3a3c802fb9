/* Delivery notices: RFC 3464 (the report), 3461 (what goes into it), 3462 (its frame), 6533 (the
 * types for UTF-8), 3834 (that no machine answers it). The text for people: wire_dsn_human.c. */
#include "wire/dsn.h"
#include "wire/wire_int.h"

#include <stdio.h>

#define LINE_MAX_BYTES 998 /* RFC 5322 section 2.1.1, without CRLF */
#define DIAGNOSTIC_MAX 1000
#define HUMAN_MAX (1 << 20) /* few are shown one by one */

struct notice {
    const struct wire_dsn *dsn;
    struct buf *out;
    struct slice original; /* what of it is given back */
    bool is_whole;         /* the message, not only its header */
    bool is_utf8, is_8bit; /* of the notice; of the original given back */
    char boundary[64];
};

static void field(struct notice *n, const char *name, struct slice text)
{
    wire_field_add(n->out, name, text, n->is_utf8);
}

static void typed_field(struct notice *n, const char *name, const char *type, struct slice text)
{
    SCOPED(buf_finish) struct buf value = buf_make(8192);
    buf_addf(&value, "%s; ", type);
    buf_adds(&value, slice_of(text.p, text.n < 4096 ? text.n : 4096));
    field(n, name, buf_slice(&value));
}

static void date_field(struct notice *n, const char *name, utc_ms when)
{
    if (when)
        field(n, name, slice_str(utc_rfc5322(when).s));
}

/* ---- what the original allows -----------------------------------------------------------------
 */

static bool has_8bit(struct slice s)
{
    struct wire_content content = {};
    wire_content_check(&content, s);
    return content.has_8bit;
}

static struct slice cut_line(struct slice *rest)
{
    struct slice line = slice_cut(*rest, '\n', rest);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static struct slice header_of(struct slice message)
{
    struct slice rest = message;
    while (rest.n) {
        size_t at = message.n - rest.n;
        if (cut_line(&rest).n == 0)
            return slice_of(message.p, at);
    }
    return message;
}

static bool can_be_whole(struct slice message)
{
    struct wire_content content = {};
    wire_content_check(&content, message);
    wire_content_end(&content);
    for (struct slice rest = message; rest.n;)
        if (cut_line(&rest).n > LINE_MAX_BYTES)
            return false;
    return message.n > 0 && wire_content_is_clean(&content);
}

static bool needs_utf8(const struct wire_dsn *dsn, struct slice original)
{
    bool needs = has_8bit(dsn->to) || has_8bit(dsn->from) || has_8bit(header_of(original));
    for (size_t i = 0; i < dsn->n_rcpts; i++)
        needs |= has_8bit(dsn->rcpts[i].final) || has_8bit(dsn->rcpts[i].orcpt);
    return dsn->with_utf8 && needs;
}

/* A boundary that stands nowhere in the original; the nonce makes the first try good, unless the
 * original is a copy of this very notice. */
static void choose_boundary(struct notice *n)
{
    for (unsigned try = 0;; try++) {
        snprintf(n->boundary, sizeof(n->boundary), "=_report_%016llx_%u",
                 (unsigned long long)n->dsn->nonce, try);
        if (!n->original.n ||
            !memmem(n->original.p, n->original.n, n->boundary, strlen(n->boundary)))
            return;
    }
}

/* ---- the parts --------------------------------------------------------------------------------
 */

const char *wire_dsn_subject(const struct wire_dsn *dsn)
{
    bool has[WIRE_DSN_RELAYED + 1] = {false};
    for (size_t i = 0; i < dsn->n_rcpts; i++)
        has[dsn->rcpts[i].action] = true;
    enum wire_words words = has[WIRE_DSN_FAILED]      ? WIRE_WORDS_SUBJECT_FAILED
                            : has[WIRE_DSN_DELAYED]   ? WIRE_WORDS_SUBJECT_DELAYED
                            : has[WIRE_DSN_DELIVERED] ? WIRE_WORDS_SUBJECT_DELIVERED
                                                      : WIRE_WORDS_SUBJECT_RELAYED;
    return wire_words(words, dsn->language);
}

static void add_bracketed(struct notice *n, const char *name, const char *before, struct slice text)
{
    SCOPED(buf_finish) struct buf value = buf_make(2048);
    buf_addf(&value, "%s<", before);
    buf_adds(&value, slice_of(text.p, text.n < 1000 ? text.n : 1000));
    buf_addc(&value, '>');
    field(n, name, buf_slice(&value));
}

static void add_head(struct notice *n)
{
    const struct wire_dsn *dsn = n->dsn;
    date_field(n, "Date", dsn->date);
    add_bracketed(n, "From", "Mail Delivery System ", dsn->from);
    add_bracketed(n, "To", "", dsn->to);
    SCOPED(buf_finish) struct buf subject = buf_make(1000);
    wire_word_add(&subject, slice_str(wire_dsn_subject(dsn)));
    field(n, "Subject", buf_slice(&subject));
    add_bracketed(n, "Message-ID", "", dsn->message_id);
    if (dsn->in_reply_to.n) {
        add_bracketed(n, "In-Reply-To", "", dsn->in_reply_to);
        add_bracketed(n, "References", "", dsn->in_reply_to);
    }
    field(n, "Auto-Submitted", SLICE("auto-replied"));
    field(n, "MIME-Version", SLICE("1.0"));
    buf_addf(n->out,
             "Content-Type: multipart/report; report-type=delivery-status;\r\n"
             " boundary=\"%s\"\r\n",
             n->boundary);
    if (n->is_utf8 || n->is_8bit)
        field(n, "Content-Transfer-Encoding", SLICE("8bit"));
    buf_adds(n->out, SLICE("\r\nThis is a delivery report in MIME format.\r\n"));
}

static void begin_part(struct notice *n, const char *type, bool is_8bit)
{
    buf_addf(n->out, "\r\n--%s\r\nContent-Type: %s\r\n", n->boundary, type);
    if (is_8bit)
        field(n, "Content-Transfer-Encoding", SLICE("8bit"));
    buf_adds(n->out, SLICE("\r\n"));
}

/* Words with accents go as quoted-printable: whether the next server takes 8 bits is not known. */
static void add_human_part(struct notice *n)
{
    if (n->dsn->language == WIRE_EN) {
        begin_part(n, n->is_utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
                   n->is_utf8);
        wire_dsn_human_add(n->out, n->dsn, n->is_utf8);
        return;
    }
    SCOPED(buf_finish) struct buf text = buf_make(HUMAN_MAX);
    wire_dsn_human_add(&text, n->dsn, true);
    n->out->failed |= text.failed;
    begin_part(n, "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
               false);
    wire_quoted_add(n->out, buf_slice(&text));
}

/* Outside of the UTF-8 types such an address is written as RFC 6533 section 3 wants it. */
static void add_final(struct notice *n, struct slice final)
{
    SCOPED(buf_finish) struct buf text = buf_make(4096);
    if (!has_8bit(final) || n->is_utf8) {
        typed_field(n, "Final-Recipient", has_8bit(final) ? "utf-8" : "rfc822", final);
        return;
    }
    if (final.n > WIRE_PATH_MAX)
        final.n = WIRE_PATH_MAX;
    for (size_t i = 0; i < final.n;) {
        size_t bytes = wire_utf8_one(slice_skip(final, i));
        unsigned char c = (unsigned char) final.p[i];
        uint32_t code = bytes == 1 ? c : bytes == 2 ? c & 0x1fu : bytes == 3 ? c & 0x0fu : c & 7u;
        for (size_t k = 1; k < bytes; k++)
            code = code << 6 | ((unsigned char) final.p[i + k] & 0x3fu);
        if (bytes > 1)
            buf_addf(&text, "\\x{%X}", code);
        else
            buf_addc(&text, bytes ? (char)c : '?');
        i += bytes ? bytes : 1;
    }
    typed_field(n, "Final-Recipient", "utf-8", buf_slice(&text));
}

static void add_original_rcpt(struct notice *n, const struct wire_dsn_rcpt *rcpt)
{
    SCOPED(buf_finish) struct buf plain = buf_make(WIRE_PARAM_MAX);
    bool is_utf8 = slice_ieq(rcpt->orcpt_type, SLICE("utf-8"));
    if (!wire_orcpt_valid(rcpt->orcpt_type, rcpt->orcpt, true))
        return;
    if (is_utf8) /* its \x{HEX} is kept, that is the form of this field too */
        buf_adds(&plain, rcpt->orcpt);
    else if (!wire_xtext_decode(rcpt->orcpt, &plain))
        return;
    char type[WIRE_PARAM_MAX];
    snprintf(type, sizeof(type), SLICE_FMT, SLICE_ARG(rcpt->orcpt_type));
    typed_field(n, "Original-Recipient", type, buf_slice(&plain));
}

static void add_status_of(struct notice *n, const struct wire_dsn_rcpt *rcpt)
{
    static const struct {
        const char *name;
        uint8_t class;
    } actions[] = {
        [WIRE_DSN_FAILED] = {"failed", 5},
        [WIRE_DSN_DELAYED] = {"delayed", 4},
        [WIRE_DSN_DELIVERED] = {"delivered", 2},
        [WIRE_DSN_RELAYED] = {"relayed", 2},
    };
    struct slice diagnostic = rcpt->diagnostic;
    struct wire_status status = rcpt->status;
    if (status.class == 0)
        status = (struct wire_status){.class = actions[rcpt->action].class};
    if (diagnostic.n > DIAGNOSTIC_MAX)
        diagnostic.n = DIAGNOSTIC_MAX;
    buf_adds(n->out, SLICE("\r\n"));
    add_original_rcpt(n, rcpt);
    add_final(n, rcpt->final);
    field(n, "Action", slice_str(actions[rcpt->action].name));
    field(n, "Status", slice_str(wire_status_text(status).s));
    if (rcpt->remote_mta.n)
        typed_field(n, "Remote-MTA", "dns", rcpt->remote_mta);
    if (diagnostic.n)
        typed_field(n, "Diagnostic-Code", "smtp", diagnostic);
    date_field(n, "Last-Attempt-Date", rcpt->last_attempt);
    if (rcpt->action == WIRE_DSN_DELAYED)
        date_field(n, "Will-Retry-Until", rcpt->retry_until);
}

static void add_status_part(struct notice *n)
{
    SCOPED(buf_finish) struct buf envid = buf_make(WIRE_PARAM_MAX);
    begin_part(n, n->is_utf8 ? "message/global-delivery-status" : "message/delivery-status",
               n->is_utf8);
    if (n->dsn->envid.n && wire_envid_valid(n->dsn->envid) &&
        wire_xtext_decode(n->dsn->envid, &envid))
        field(n, "Original-Envelope-Id", buf_slice(&envid));
    typed_field(n, "Reporting-MTA", "dns", n->dsn->reporting_mta);
    date_field(n, "Arrival-Date", n->dsn->arrival);
    for (size_t i = 0; i < n->dsn->n_rcpts; i++)
        add_status_of(n, &n->dsn->rcpts[i]);
}

/* A header may have come from anywhere: each line is cleaned, long ones get further folds. */
static void add_header_lines(struct notice *n)
{
    struct slice rest = n->original;
    SCOPED(buf_finish) struct buf clean = buf_make(n->original.n + 1);
    while (rest.n) {
        buf_clear(&clean);
        wire_clean_add(&clean, cut_line(&rest), n->is_utf8);
        struct slice left = buf_slice(&clean);
        while (left.n >= LINE_MAX_BYTES) {
            size_t cut = LINE_MAX_BYTES - 1; /* room for the blank of the fold before */
            while (((unsigned char)left.p[cut] & 0xc0) == 0x80)
                cut--;
            buf_adds(n->out, slice_of(left.p, cut));
            buf_adds(n->out, SLICE("\r\n "));
            left = slice_skip(left, cut);
        }
        buf_adds(n->out, left);
        buf_adds(n->out, SLICE("\r\n"));
    }
}

static void add_original_part(struct notice *n)
{
    const char *type = n->is_utf8 ? "message/global-headers" : "text/rfc822-headers";
    if (n->is_whole)
        type = n->is_utf8 ? "message/global" : "message/rfc822";
    if (n->original.n == 0)
        return;
    begin_part(n, type, n->is_whole ? n->is_8bit : n->is_utf8);
    if (!n->is_whole) {
        add_header_lines(n);
        return;
    }
    buf_adds(n->out, n->original);
    if (n->original.p[n->original.n - 1] != '\n')
        buf_adds(n->out, SLICE("\r\n"));
}

struct wire_dsn_needs wire_dsn_compose(const struct wire_dsn *dsn, struct buf *out)
{
    struct notice n = {.dsn = dsn, .out = out, .is_whole = dsn->with_whole};
    bool has_failed = false;
    must(dsn->n_rcpts >= 1 && dsn->n_rcpts <= WIRE_DSN_RCPTS_MAX);
    for (size_t i = 0; i < dsn->n_rcpts; i++) {
        must((unsigned)dsn->rcpts[i].action <= WIRE_DSN_RELAYED);
        has_failed |= dsn->rcpts[i].action == WIRE_DSN_FAILED;
    }
    /* RFC 3461 section 6.2: the content only goes with a notice of failure. */
    n.is_whole = n.is_whole && has_failed && can_be_whole(dsn->original);
    n.original = n.is_whole ? dsn->original : header_of(dsn->original);
    n.is_utf8 = needs_utf8(dsn, dsn->original);
    n.is_8bit = n.is_whole && has_8bit(n.original);
    choose_boundary(&n);
    add_head(&n);
    add_human_part(&n);
    add_status_part(&n);
    add_original_part(&n);
    buf_addf(out, "\r\n--%s--\r\n", n.boundary);
    return (struct wire_dsn_needs){.needs_8bitmime = n.is_utf8 || n.is_8bit,
                                   .needs_smtputf8 = n.is_utf8};
}
