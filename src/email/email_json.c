/* JSON text, written as it goes. RFC 8259, I-JSON (RFC 7493): valid UTF-8 and no NUL.
 * Not here: what is written. */
#include "email/email_int.h"

/* What a byte needs inside a string: 1 as it is, 2 a short escape, 6 "\u00xx". */
static unsigned width_of(unsigned char c)
{
    if (c >= ' ')
        return c == '"' || c == '\\' ? 2 : 1;
    if (c == '\n' || c == '\r' || c == '\t')
        return 2;
    return 6; /* NUL too: it becomes U+FFFD, since many readers do not take it */
}

static void put_escape(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        buf_addf(b, "\\\"");
        return;
    case '\\':
        buf_addf(b, "\\\\");
        return;
    case '\n':
        buf_addf(b, "\\n");
        return;
    case '\r':
        buf_addf(b, "\\r");
        return;
    case '\t':
        buf_addf(b, "\\t");
        return;
    default:
        buf_addf(b, c ? "\\u%04x" : "\\ufffd", c);
    }
}

static void put_valid(struct buf *b, struct slice s)
{
    size_t start = 0;
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n && !b->failed; i++) {
        if (width_of((unsigned char)s.p[i]) == 1)
            continue;
        buf_add(b, s.p + start, i - start);
        put_escape(b, (unsigned char)s.p[i]);
        start = i + 1;
    }
    buf_add(b, s.p + start, s.n - start);
    buf_addc(b, '"');
}

void email_put_text(struct buf *b, struct slice s)
{
    if (s.n == 0)
        s = SLICE("");
    if (mime_utf8_is_valid(s)) {
        put_valid(b, s);
        return;
    }
    SCOPED(buf_finish) struct buf utf8 = buf_make(3 * s.n + 1);
    (void)mime_charset_decode(SLICE("utf-8"), s, &utf8); /* bad bytes are shown as such */
    put_valid(b, buf_slice(&utf8));
}

void email_put_text_or_null(struct buf *b, struct slice s)
{
    if (s.n)
        email_put_text(b, s);
    else
        buf_addf(b, "null");
}

size_t email_text_fit(struct slice s, size_t room)
{
    size_t n = 0, used = 2; /* the quotes */
    while (n < s.n && used <= room)
        used += width_of((unsigned char)s.p[n++]);
    return used <= room ? n : mime_utf8_cut(s, n ? n - 1 : 0);
}

void email_put_comma(struct buf *b)
{
    char last = b->n ? b->p[b->n - 1] : '{';
    if (last != '{' && last != '[')
        buf_addc(b, ',');
}

void email_put_key(struct buf *b, struct slice key)
{
    email_put_comma(b);
    email_put_text(b, key);
    buf_addc(b, ':');
}
