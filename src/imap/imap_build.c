/* Commands of ours: strings in the form that the server can take, SASL. RFC 9051 section 4.3, 7888.
 */
#include "imap/imap.h"

#include <stdio.h>

enum { QUOTED_MAX = 1000, LITERAL_MINUS_MAX = 4096, UNASKED_MAX = 256 << 10 };

void imap_command_init(struct imap_command *c)
{
    *c = (struct imap_command){.out = buf_make(IMAP_COMMAND_MAX)};
}

/* All that was ever in it: n is smaller after a clear. */
static void wipe(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->cap);
}

void imap_command_finish(struct imap_command *c)
{
    wipe(&c->out);
    buf_finish(&c->out);
}

void imap_command_begin(struct imap_command *c, struct slice tag, unsigned caps)
{
    wipe(&c->out);
    buf_clear(&c->out);
    buf_reserve(&c->out, IMAP_COMMAND_MAX); /* growing would leave copies behind */
    c->n_waits = 0;
    c->content = SLICE("");
    c->failed = false;
    c->caps = caps;
    buf_adds(&c->out, tag);
    buf_addc(&c->out, ' ');
}

void imap_command_add(struct imap_command *c, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    must(n >= 0 && (size_t)n < sizeof(text) && !memchr(text, '\n', (size_t)n));
    buf_add(&c->out, text, (size_t)n);
}

static bool is_quotable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return s.n <= QUOTED_MAX;
}

static void announce_literal(struct imap_command *c, size_t n)
{
    bool is_free = ((c->caps & IMAP_CAP_LITERAL_PLUS) && n <= UNASKED_MAX) ||
                   ((c->caps & IMAP_CAP_LITERAL_MINUS) && n <= LITERAL_MINUS_MAX);
    buf_addf(&c->out, "{%zu%s}\r\n", n, is_free ? "+" : "");
    if (!is_free && c->n_waits == IMAP_WAITS_MAX)
        c->failed = true;
    else if (!is_free)
        c->waits[c->n_waits++] = c->out.n;
}

static void add_literal(struct imap_command *c, struct slice s)
{
    announce_literal(c, s.n);
    buf_adds(&c->out, s);
}

void imap_command_content(struct imap_command *c, struct slice content)
{
    must(c->content.n == 0);
    if ((c->caps & IMAP_CAP_BINARY) && slice_find(content, '\0') >= 0)
        buf_addc(&c->out, '~');
    announce_literal(c, content.n);
    c->content = content;
    c->content_at = c->out.n;
}

void imap_command_string(struct imap_command *c, struct slice s)
{
    if (slice_find(s, '\0') >= 0)
        c->failed = true;
    if (!is_quotable(s)) {
        add_literal(c, s);
        return;
    }
    buf_addc(&c->out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_addc(&c->out, '\\');
        buf_addc(&c->out, s.p[i]);
    }
    buf_addc(&c->out, '"');
}

void imap_command_end(struct imap_command *c)
{
    buf_adds(&c->out, SLICE("\r\n"));
    c->failed |= c->out.failed;
}

/* ---- SASL ---------------------------------------------------------------------------------------
 */

static void add_base64(struct buf *out, struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned char in[3] = {};
        size_t n = s.n - i < 3 ? s.n - i : 3;
        memcpy(in, s.p + i, n);
        buf_addc(out, digits[in[0] >> 2]);
        buf_addc(out, digits[(in[0] & 3) << 4 | in[1] >> 4]);
        buf_addc(out, n > 1 ? digits[(in[1] & 15) << 2 | in[2] >> 6] : '=');
        buf_addc(out, n > 2 ? digits[in[2] & 63] : '=');
    }
}

static void add_secret(struct buf *out, const struct slice *parts, size_t n_parts)
{
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++)
        n += parts[i].n;
    struct buf clear = buf_make(n + 1);
    buf_reserve(&clear, n + 1);
    for (size_t i = 0; i < n_parts; i++)
        buf_adds(&clear, parts[i]);
    add_base64(out, buf_slice(&clear));
    wipe(&clear);
    buf_finish(&clear);
}

void imap_sasl_plain(struct buf *out, struct slice act_as, struct slice user, struct slice secret)
{
    struct slice nul = SLICE("\0");
    struct slice parts[] = {act_as, nul, user, nul, secret};
    add_secret(out, parts, sizeof(parts) / sizeof(parts[0]));
}

void imap_sasl_xoauth2(struct buf *out, struct slice user, struct slice token)
{
    struct slice parts[] = {SLICE("user="), user, SLICE("\001auth=Bearer "), token,
                            SLICE("\001\001")};
    add_secret(out, parts, sizeof(parts) / sizeof(parts[0]));
}

/* ---- dates --------------------------------------------------------------------------------- */

struct utc_text imap_date_time(utc_ms t)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    utc_ms most = INT64_C(253402300799999); /* the end of 9999 */
    struct utc_text text = {};
    struct utc_text iso = utc_rfc3339(t < 0 ? 0 : t > most ? most : t); /* 2026-11-21T21:40:00Z */
    unsigned month = (unsigned)(iso.s[5] - '0') * 10 + (unsigned)(iso.s[6] - '0');
    must(month >= 1 && month <= 12);
    (void)snprintf(text.s, sizeof(text.s), "%.2s-%.3s-%.4s %.8s +0000", iso.s + 8,
                   months + 3 * (month - 1), iso.s, iso.s + 11);
    return text;
}
