/* The decoder of DATA: RFC 5321 section 4.1.1.4 and 4.5.2. The one place that decides where a
 * message ends. Servers that also ended it at LF.LF and the like let strangers smuggle a second
 * message past the checks of the first; here only CRLF.CRLF does. */
#include "wire/wire_int.h"

enum {
    AT_START, /* at the beginning of a line: behind CRLF or of everything; {} means this */
    IN_LINE,
    AFTER_CR,     /* CR came out; LF would end the line */
    AFTER_DOT,    /* a dot at the beginning of a line, not written */
    AFTER_DOT_CR, /* CR behind it, not written either: LF would end the data */
};

/* Large input is looked at in pieces that stay in the nearest cache from the search for line ends
 * to the copy. */
#define PIECE_BYTES 16384

static void emit(struct wire_data *d, struct slice s, struct buf *out)
{
    wire_content_check(&d->content, s);
    if (!out || d->is_discarded)
        return;
    buf_adds(out, s);
    d->is_discarded = out->failed;
}

/* Bytes that come out as they are, from the middle of a line or the beginning of one that has no
 * dot; stops before the next line that begins with a dot. Sets the state behind them. */
static size_t plain_n(struct wire_data *d, struct slice s)
{
    size_t at = 0;
    while (at < s.n) {
        at += wire_find_lf_dot(slice_skip(s, at));
        if (at < s.n && at > 0 && s.p[at - 1] == '\r') {
            d->state = AT_START;
            return at + 1;
        }
        at++; /* a dot behind a bare LF begins no line */
    }
    bool is_line_end = s.n > 1 && s.p[s.n - 2] == '\r' && s.p[s.n - 1] == '\n';
    d->state = is_line_end ? AT_START : s.p[s.n - 1] == '\r' ? AFTER_CR : IN_LINE;
    return s.n;
}

/* One step; returns how many bytes of `s` (not empty) it used. */
static size_t step(struct wire_data *d, struct slice s, struct buf *out)
{
    char c = s.p[0];
    switch (d->state) {
    case AFTER_DOT:
        d->state = c == '\r' ? AFTER_DOT_CR : IN_LINE;
        return c == '\r';
    case AFTER_DOT_CR:
        d->is_done = c == '\n';
        if (d->is_done)
            return 1;
        emit(d, SLICE("\r"), out);
        d->state = IN_LINE; /* c is no LF, so this CR is bare */
        return 0;
    case AFTER_CR:
        d->state = c == '\n' ? AT_START : IN_LINE;
        if (c == '\n')
            emit(d, slice_of(s.p, 1), out);
        return c == '\n';
    case AT_START:
        if (c == '.') {
            d->state = AFTER_DOT;
            return 1;
        }
    }
    size_t n = plain_n(d, slice_of(s.p, s.n < PIECE_BYTES ? s.n : PIECE_BYTES));
    emit(d, slice_of(s.p, n), out);
    return n;
}

size_t wire_data_feed(struct wire_data *d, struct slice input, struct buf *out)
{
    struct slice rest = input;
    must(!d->is_done);
    while (rest.n && !d->is_done)
        rest = slice_skip(rest, step(d, rest, out));
    if (d->is_done)
        wire_content_end(&d->content);
    return input.n - rest.n;
}
