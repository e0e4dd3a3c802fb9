/* Dot-stuffing for DATA: RFC 5321 section 4.5.2. Also the last gate behind which no lone CR, LF or
 * NUL exists: a receiver that takes them for line ends would see a message that we did not send. */
#include "wire/client.h"
#include "wire/wire_int.h"

static void add_fixing(struct wire_stuff *s, struct slice piece, struct buf *out)
{
    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];
        bool is_lf = c == '\n', was_cr = s->after_cr;
        s->after_cr = c == '\r';
        if (is_lf || was_cr) {
            buf_adds(out, SLICE("\r\n"));
            s->n_fixed += is_lf != was_cr;
            s->in_line = false;
        }
        if (is_lf || s->after_cr)
            continue;
        if (c == '\0') {
            s->n_fixed++;
            continue;
        }
        if (!s->in_line && c == '.')
            buf_addc(out, '.');
        buf_addc(out, c);
        s->in_line = true;
    }
}

/* Every LF here has its CR and every CR its LF, except a CR at the end, which waits. */
static void add_clean(struct wire_stuff *s, struct slice piece, struct buf *out)
{
    if (s->after_cr)
        buf_addc(out, '\r');
    else if (!s->in_line && piece.p[0] == '.')
        buf_addc(out, '.');
    s->after_cr = piece.p[piece.n - 1] == '\r';
    piece.n -= s->after_cr;
    if (piece.n)
        s->in_line = piece.p[piece.n - 1] != '\n';
    while (piece.n) {
        size_t at = wire_find_lf_dot(piece);
        size_t n = at < piece.n ? at + 1 : piece.n;
        buf_add(out, piece.p, n);
        if (at < piece.n)
            buf_addc(out, '.');
        piece = slice_skip(piece, n);
    }
}

void wire_stuff_feed(struct wire_stuff *s, struct slice piece, struct buf *out)
{
    struct wire_content content = {.after_cr = s->after_cr};
    if (piece.n == 0)
        return;
    wire_content_check(&content, piece);
    if (wire_content_is_clean(&content))
        add_clean(s, piece, out);
    else
        add_fixing(s, piece, out);
}

void wire_stuff_end(struct wire_stuff *s, struct buf *out)
{
    s->n_fixed += s->after_cr;
    if (s->in_line || s->after_cr)
        buf_adds(out, SLICE("\r\n"));
    buf_adds(out, SLICE(".\r\n"));
}
