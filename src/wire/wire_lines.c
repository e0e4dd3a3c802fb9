/* Command lines out of any split of the input. A line is what ends in CRLF, nothing else: whoever
 * sees a line end in a lone LF or CR sees other commands than we do, so such a line is refused and
 * what follows up to the next CRLF is never looked at. */
#include "wire/wire_int.h"

struct wire_lines wire_lines_make(uint32_t max_bytes)
{
    must(max_bytes >= 4);
    return (struct wire_lines){.max_bytes = max_bytes};
}

/* Bytes up to and with the next CRLF, or all. */
static void skip(struct wire_lines *l, struct slice *input)
{
    size_t i = 0;
    while (i < input->n && l->is_skipping) {
        char c = input->p[i++];
        l->is_skipping = !(l->after_cr && c == '\n');
        l->after_cr = c == '\r';
    }
    *input = slice_skip(*input, i);
}

/* What byte `c`, the `n`th of its line, does to the line. */
static enum wire_line step(const struct wire_lines *l, char c, size_t n)
{
    if (l->after_cr)
        return c == '\n' ? WIRE_LINE_WHOLE : WIRE_LINE_BARE_CR;
    if (c == '\n')
        return WIRE_LINE_BARE_LF;
    if (c == '\0')
        return WIRE_LINE_NUL;
    size_t n_needed = c == '\r' ? n + 1 : n + 2;
    return n_needed > l->max_bytes ? WIRE_LINE_TOO_LONG : WIRE_LINE_MORE;
}

enum wire_line wire_lines_next(struct wire_lines *l, struct slice *input, struct buf *partial,
                               struct slice *ret)
{
    must(partial->max >= l->max_bytes);
    if (l->is_skipping)
        skip(l, input);
    size_t i = 0;
    enum wire_line kind = WIRE_LINE_MORE;
    while (i < input->n && kind == WIRE_LINE_MORE) {
        char c = input->p[i++];
        kind = step(l, c, partial->n + i);
        l->after_cr = c == '\r';
    }
    struct slice line = slice_of(input->p, i);
    *input = slice_skip(*input, i);
    if (kind == WIRE_LINE_MORE) {
        buf_adds(partial, line);
        return kind;
    }
    if (kind == WIRE_LINE_WHOLE) {
        if (partial->n) {
            buf_adds(partial, line);
            line = buf_slice(partial);
        }
        *ret = slice_of(line.p, line.n - 2);
    } else {
        l->is_skipping = true;
    }
    buf_clear(partial); /* its bytes stay where they are until it is used again */
    return kind;
}
