/* The words of IMAP's grammar: atoms, numbers, strings, lists. RFC 9051 section 9. */
#include "imap/imap_int.h"

bool imap_scan_char(struct imap_scan *s, char c)
{
    if (s->rest.n == 0 || s->rest.p[0] != c)
        return false;
    s->rest = slice_skip(s->rest, 1);
    return true;
}

bool imap_scan_blank(struct imap_scan *s)
{
    bool is_blank = false;
    while (imap_scan_char(s, ' '))
        is_blank = true;
    return is_blank;
}

struct slice imap_scan_atom(struct imap_scan *s)
{
    size_t n = 0;
    while (n < s->rest.n && (unsigned char)s->rest.p[n] > ' ' &&
           !memchr("()[]\"{", s->rest.p[n], 6))
        n++;
    struct slice atom = slice_of(s->rest.p, n);
    s->rest = slice_skip(s->rest, n);
    return atom;
}

bool imap_scan_number(struct imap_scan *s, uint32_t *ret)
{
    uint64_t value;
    size_t n = 0;
    while (n < s->rest.n && s->rest.p[n] >= '0' && s->rest.p[n] <= '9')
        n++;
    if (!slice_u64(slice_of(s->rest.p, n), UINT32_MAX, &value))
        return false;
    *ret = (uint32_t)value;
    s->rest = slice_skip(s->rest, n);
    return true;
}

static bool scan_quoted(struct imap_scan *s, struct slice *ret)
{
    size_t from = s->scratch->n, i = 1;
    bool has_escape = false;
    for (; i < s->rest.n && s->rest.p[i] != '"'; i++) {
        char c = s->rest.p[i];
        if (c == '\r' || c == '\n')
            return false;
        if (c == '\\') {
            has_escape = true;
            if (++i == s->rest.n)
                return false;
        }
    }
    if (i == s->rest.n)
        return false;
    struct slice inside = slice_of(s->rest.p + 1, i - 1);
    s->rest = slice_skip(s->rest, i + 1);
    *ret = inside;
    if (!has_escape)
        return true;
    for (i = 0; i < inside.n; i++) {
        i += inside.p[i] == '\\'; /* one follows: seen above */
        buf_addc(s->scratch, inside.p[i]);
    }
    must(!s->scratch->failed);
    *ret = slice_of(s->scratch->p + from, s->scratch->n - from);
    return true;
}

static bool scan_literal(struct imap_scan *s, struct slice *ret)
{
    uint32_t n;
    (void)imap_scan_char(s, '~');
    if (!imap_scan_char(s, '{') || !imap_scan_number(s, &n) || !imap_scan_char(s, '}'))
        return false;
    (void)imap_scan_char(s, '\r');
    if (!imap_scan_char(s, '\n') || n > s->rest.n)
        return false;
    *ret = slice_of(s->rest.p, n);
    s->rest = slice_skip(s->rest, n);
    return true;
}

static bool is_literal(struct slice s)
{
    return slice_starts(s, SLICE("{")) || slice_starts(s, SLICE("~{"));
}

bool imap_scan_string(struct imap_scan *s, struct slice *ret, bool *ret_is_nil)
{
    *ret_is_nil = false;
    if (s->rest.n == 0)
        return false;
    if (s->rest.p[0] == '"')
        return scan_quoted(s, ret);
    if (is_literal(s->rest))
        return scan_literal(s, ret);
    *ret = imap_scan_atom(s);
    *ret_is_nil = slice_ieq(*ret, SLICE("NIL"));
    return ret->n > 0;
}

bool imap_scan_skip(struct imap_scan *s)
{
    unsigned depth = 0;
    do {
        struct slice ignored;
        bool is_nil;
        (void)imap_scan_blank(s);
        if (imap_scan_char(s, '(')) {
            if (++depth > IMAP_DEPTH_MAX)
                return false;
        } else if (depth > 0 && imap_scan_char(s, ')')) {
            depth--;
        } else if (imap_scan_char(s, '[') || imap_scan_char(s, ']')) {
            continue; /* of BODY[...] inside a list: no value of its own */
        } else if (!imap_scan_string(s, &ignored, &is_nil)) {
            return false;
        }
    } while (depth > 0);
    return true;
}
