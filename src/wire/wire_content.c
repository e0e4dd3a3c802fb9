/* What is wrong with the line ends of a message: RFC 5321 section 2.3.8, 4.1.1.4. Counting only;
 * whether to refuse is the caller's. Written for speed: every accepted byte passes here. */
#include "wire/wire_int.h"

/* Sixteen bytes at once, in whatever form the processor has; each lane of a comparison is 0 or
 * 255. Almost all mail is clean, so the first look only asks whether there is anything to count. */
typedef unsigned char vec __attribute__((vector_size(16)));
#define VEC_N sizeof(vec)
#define BLOCK_N (4 * VEC_N)

static inline vec load(const char *p)
{
    vec v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t any(vec v)
{
    uint64_t halves[2];
    memcpy(halves, &v, sizeof(halves));
    return halves[0] | halves[1];
}

/* Does every CR of `s` have its LF and every LF its CR, and is there no NUL? The edges (LF as the
 * first byte, CR as the last) are the caller's. Also whether any byte is over 127. */
static bool has_only_crlf(struct slice s, bool *ret_8bit)
{
    vec bad = {}, all = {};
    size_t i = 0;
    for (; i + VEC_N < s.n; i += VEC_N) {
        vec here = load(s.p + i), next = load(s.p + i + 1);
        bad |= (vec)(here == '\r') ^ (vec)(next == '\n');
        bad |= (vec)(here == 0);
        all |= here;
    }
    bool is_good = any(bad) == 0;
    unsigned char rest = 0;
    for (; i < s.n; i++) {
        rest |= (unsigned char)s.p[i];
        is_good &= s.p[i] != '\0';
        if (i + 1 < s.n)
            is_good &= (s.p[i] == '\r') == (s.p[i + 1] == '\n');
    }
    *ret_8bit = (any(all & 0x80) | (rest & 0x80)) != 0;
    return is_good;
}

size_t wire_find_lf_dot(struct slice s)
{
    size_t i = 0;
    for (; i + BLOCK_N < s.n; i += BLOCK_N) {
        vec hit = {};
        for (size_t k = i; k < i + BLOCK_N; k += VEC_N)
            hit |= (vec)(load(s.p + k) == '\n') & (vec)(load(s.p + k + 1) == '.');
        if (any(hit))
            break;
    }
    for (; i + 1 < s.n; i++)
        if (s.p[i] == '\n' && s.p[i + 1] == '.')
            return i;
    return s.n;
}

/* Every fault, one by one. */
static void count_faults(struct wire_content *c, struct slice piece)
{
    bool after_cr = c->after_cr;
    for (size_t i = 0; i < piece.n; i++) {
        char byte = piece.p[i];
        c->n_bare_cr += after_cr && byte != '\n';
        c->n_bare_lf += !after_cr && byte == '\n';
        c->n_nul += byte == '\0';
        after_cr = byte == '\r';
    }
}

void wire_content_check(struct wire_content *c, struct slice piece)
{
    bool is_8bit;
    if (piece.n == 0)
        return;
    bool is_good = has_only_crlf(piece, &is_8bit);
    if (!is_good || c->after_cr != (piece.p[0] == '\n'))
        count_faults(c, piece);
    c->n_bytes += piece.n;
    c->has_8bit |= is_8bit;
    c->after_cr = piece.p[piece.n - 1] == '\r';
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
