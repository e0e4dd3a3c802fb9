/* Replies, server side: RFC 5321 section 4.2. Reading a peer's replies is wire_answer.c. */
#include "wire/wire_int.h"

#define LINE_BYTES 512 /* RFC 5321 section 4.5.3.1.5, with CRLF */
#define LINES_MAX 32

static bool code_is_good(const char *code)
{
    struct wire_status status;
    size_t n = strlen(code);
    if (n < 3 || code[0] < '2' || code[0] > '5' || !wire_is_digit(code[1]) ||
        !wire_is_digit(code[2]))
        return false;
    return n == 3 || (code[3] == ' ' && wire_status_parse(slice_str(code + 4), &status));
}

static void add_safe(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        buf_addc(out, text.p[i] == ' ' || wire_is_graph(text.p[i]) ? text.p[i] : '?');
}

/* Takes the text of one line off `*rest`: up to LF, or up to a blank near `max` bytes. */
static struct slice take_line(struct slice *rest, size_t max)
{
    ptrdiff_t lf = slice_find(*rest, '\n');
    size_t n = lf < 0 ? rest->n : (size_t)lf;
    size_t n_skip = n + (lf >= 0);
    if (n > max) {
        n = max;
        while (n > max / 2 && rest->p[n] != ' ')
            n--;
        n_skip = rest->p[n] == ' ' ? n + 1 : max;
        n = rest->p[n] == ' ' ? n : max;
    }
    struct slice line = slice_of(rest->p, n);
    *rest = slice_skip(*rest, n_skip);
    return slice_trim(line);
}

void wire_reply_add(struct buf *out, const char *code, struct slice text)
{
    must(code_is_good(code));
    const char *enhanced = code[3] ? code + 4 : "";
    size_t max = LINE_BYTES - 2 - (strlen(code) + 1);
    size_t separator = 0;
    int n_lines = 0;
    text = slice_trim(text);
    do {
        struct slice line = take_line(&text, max);
        buf_add(out, code, 3);
        separator = out->n;
        buf_addc(out, '-');
        buf_adds(out, slice_str(enhanced));
        if (enhanced[0] && line.n)
            buf_addc(out, ' ');
        add_safe(out, line);
        buf_adds(out, SLICE("\r\n"));
    } while (text.n && ++n_lines < LINES_MAX);
    if (!out->failed)
        out->p[separator] = ' ';
}
