/* The peer's replies, client side: RFC 5321 section 4.2.1, RFC 2034 for the enhanced code. Bounded
 * in every direction, since the peer may be anybody's server. */
#include "wire/client.h"
#include "wire/wire_int.h"

enum { IN_CODE, AT_SEPARATOR, IN_TEXT };

void wire_reply_init(struct wire_reply *r)
{
    *r = (struct wire_reply){.text = buf_make(WIRE_REPLY_TEXT_MAX)};
}

void wire_reply_finish(struct wire_reply *r)
{
    buf_finish(&r->text);
}

void wire_reply_clear(struct wire_reply *r)
{
    struct buf text = r->text;
    buf_clear(&text);
    *r = (struct wire_reply){.text = text};
}

static enum wire_reply_result take_digit(struct wire_reply *r, char c)
{
    if (!wire_is_digit(c))
        return WIRE_REPLY_NOT_SMTP;
    r->line_code = r->line_code * 10 + (unsigned)(c - '0');
    if (++r->line_n < 3)
        return WIRE_REPLY_MORE;
    r->state = AT_SEPARATOR;
    if (r->line_code < 200 || r->line_code > 599)
        return WIRE_REPLY_NOT_SMTP;
    if (r->n_lines > 0 && r->line_code != r->code)
        return WIRE_REPLY_CODE_MIXED;
    r->code = r->line_code;
    return WIRE_REPLY_MORE;
}

/* Only as much text as fits; the first byte of a further line is the LF between the lines. */
static void add_text(struct wire_reply *r, struct slice s)
{
    size_t room = WIRE_REPLY_LINE_MAX - (r->text.n - r->line_at);
    if (room > WIRE_REPLY_TEXT_MAX - r->text.n)
        room = WIRE_REPLY_TEXT_MAX - r->text.n;
    if (s.n > room) {
        s.n = room;
        r->is_cut = true;
    }
    buf_adds(&r->text, s);
}

static void begin_text(struct wire_reply *r)
{
    r->state = IN_TEXT;
    r->line_at = r->text.n;
    if (r->n_lines > 0)
        add_text(r, SLICE("\n"));
    r->line_at = r->text.n;
}

/* Takes "5.1.1 " off the beginning of the line if it fits the code. */
static void take_status(struct wire_reply *r)
{
    struct wire_status status;
    struct slice line = slice_skip(buf_slice(&r->text), r->line_at);
    struct slice rest = line;
    struct slice word = wire_word(&rest);
    if (!wire_status_parse(word, &status) || status.class != r->code / 100)
        return;
    if (r->status.class == 0)
        r->status = status;
    if (rest.n)
        rest = slice_skip(rest, 1);
    memmove(r->text.p + r->line_at, rest.p, rest.n);
    r->text.n = r->line_at + rest.n;
}

static enum wire_reply_result end_line(struct wire_reply *r)
{
    if (r->text.n > r->line_at && r->text.p[r->text.n - 1] == '\r')
        r->text.n--;
    for (size_t i = r->line_at; i < r->text.n; i++) {
        unsigned char c = (unsigned char)r->text.p[i];
        if (c < 32 || c == 127)
            r->text.p[i] = c == '\t' ? ' ' : '?';
    }
    take_status(r);
    r->state = IN_CODE;
    r->line_n = r->line_code = 0;
    r->n_lines++;
    if (r->is_last)
        return WIRE_REPLY_DONE;
    return r->n_lines < WIRE_REPLY_LINES_MAX ? WIRE_REPLY_MORE : WIRE_REPLY_ENDLESS;
}

/* One step; returns how many bytes of `s` (not empty) it used. */
static size_t step(struct wire_reply *r, struct slice s)
{
    char c = s.p[0];
    if (r->state == IN_CODE) {
        r->result = take_digit(r, c);
        return 1;
    }
    if (r->state == AT_SEPARATOR) {
        r->is_last = c != '-';
        begin_text(r);
        if (c == '\r' || c == '\n') /* a code alone: allowed by the grammar */
            return 0;
        r->result = c == ' ' || c == '-' ? WIRE_REPLY_MORE : WIRE_REPLY_NOT_SMTP;
        return 1;
    }
    ptrdiff_t lf = slice_find(s, '\n');
    size_t n = lf < 0 ? s.n : (size_t)lf;
    add_text(r, slice_of(s.p, n));
    if (lf < 0)
        return n;
    r->result = end_line(r);
    return n + 1;
}

enum wire_reply_result wire_reply_feed(struct wire_reply *r, struct slice input, size_t *ret_used)
{
    size_t left = WIRE_REPLY_INPUT_MAX - r->n_input;
    struct slice rest = slice_of(input.p, input.n < left ? input.n : left);
    size_t before = rest.n;
    while (rest.n && r->result == WIRE_REPLY_MORE)
        rest = slice_skip(rest, step(r, rest));
    *ret_used = before - rest.n;
    r->n_input += *ret_used;
    if (r->result == WIRE_REPLY_MORE && r->n_input == WIRE_REPLY_INPUT_MAX)
        r->result = WIRE_REPLY_ENDLESS;
    return r->result;
}
