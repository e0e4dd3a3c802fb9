/* What is wrong with the line ends of a message: RFC 5321 section 2.3.8, 4.1.1.4. Counting only;
 * whether to refuse is the caller's. Written for speed: every accepted byte passes here. */
#include "wire/wire_int.h"

#define EACH_BYTE(value) (0x0101010101010101ull * (value))

/* Eight bytes at a time: is any over 127, is any NUL (then they are counted)? */
static void bytes_scan(struct wire_content *c, struct slice s)
{
    uint64_t all = 0, zeros = 0, word;
    size_t i = 0;
    for (; i + sizeof(word) <= s.n; i += sizeof(word)) {
        memcpy(&word, s.p + i, sizeof(word));
        all |= word;
        zeros |= (word - EACH_BYTE(1)) & ~word;
    }
    bool may_have_nul = (zeros & EACH_BYTE(0x80)) != 0;
    for (; i < s.n; i++) {
        all |= (unsigned char)s.p[i];
        may_have_nul |= s.p[i] == '\0';
    }
    c->has_8bit |= (all & EACH_BYTE(0x80)) != 0;
    for (i = 0; may_have_nul && i < s.n; i++)
        c->n_nul += s.p[i] == '\0';
}

static uint64_t count_cr(const char *p, const char *end)
{
    uint64_t n = 0;
    while (p < end && (p = memchr(p, '\r', (size_t)(end - p)))) {
        n++;
        p++;
    }
    return n;
}

void wire_content_check(struct wire_content *c, struct slice piece)
{
    if (piece.n == 0)
        return;
    const char *p = piece.p, *end = piece.p + piece.n, *lf;
    bool after_cr = c->after_cr;
    c->n_bytes += piece.n;
    bytes_scan(c, piece);
    if (after_cr && *p != '\n')
        c->n_bare_cr++;
    for (; p < end && (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1) {
        const char *text_end = lf;
        if (lf > piece.p)
            after_cr = lf[-1] == '\r';
        if (after_cr && lf > piece.p)
            text_end = lf - 1; /* this CR has its LF */
        c->n_bare_lf += !after_cr;
        c->n_bare_cr += count_cr(p, text_end);
    }
    c->after_cr = end[-1] == '\r'; /* p < end then: not behind an LF */
    if (p < end)
        c->n_bare_cr += count_cr(p, c->after_cr ? end - 1 : end);
}

void wire_content_end(struct wire_content *c)
{
    c->n_bare_cr += c->after_cr;
    c->after_cr = false;
}

bool wire_content_is_clean(const struct wire_content *c)
{
    return c->n_bare_cr == 0 && c->n_bare_lf == 0 && c->n_nul == 0;
}
