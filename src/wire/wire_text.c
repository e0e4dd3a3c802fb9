/* Characters: UTF-8 (RFC 3629), xtext (RFC 3461 section 4), words between blanks. Not for
 * addresses (wire_address.c) nor for the parameters built from these (wire_envelope.c). */
#include "wire/wire_int.h"

size_t wire_utf8_one(struct slice s)
{
    if (s.n == 0)
        return 0;
    unsigned char lead = (unsigned char)s.p[0];
    if (lead < 0x80)
        return 1;
    size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || s.n < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s.p[i] & 0xc0) != 0x80)
            return 0;
    unsigned char second = (unsigned char)s.p[1];
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90))
        return 0; /* overlong */
    if ((lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f))
        return 0; /* surrogate; beyond U+10FFFF */
    return n;
}

bool wire_utf8_valid(struct slice s)
{
    while (s.n) {
        size_t n = wire_utf8_one(s);
        if (n == 0)
            return false;
        s = slice_skip(s, n);
    }
    return true;
}

struct slice wire_word(struct slice *rest)
{
    while (rest->n && wire_is_blank(rest->p[0]))
        *rest = slice_skip(*rest, 1);
    size_t n = 0;
    while (n < rest->n && !wire_is_blank(rest->p[n]))
        n++;
    struct slice word = slice_of(rest->p, n);
    *rest = slice_skip(*rest, n);
    return word;
}

bool wire_all_graph(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!wire_is_graph(s.p[i]))
            return false;
    return true;
}

void wire_xtext_add(struct buf *out, struct slice plain)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < plain.n; i++) {
        unsigned char c = (unsigned char)plain.p[i];
        if (wire_is_graph((char)c) && c != '+' && c != '=') {
            buf_addc(out, (char)c);
        } else {
            const char escaped[3] = {'+', hex[c >> 4], hex[c & 15]};
            buf_add(out, escaped, sizeof(escaped));
        }
    }
}

/* The RFC wants upper case; lower case is understood too, because Postfix does. */
static int hex_value(char c)
{
    if (wire_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool wire_xtext_decode(struct slice xtext, struct buf *out)
{
    size_t before = out ? out->n : 0;
    for (size_t i = 0; i < xtext.n; i++) {
        char c = xtext.p[i];
        bool is_good = wire_is_graph(c) && c != '=';
        if (is_good && c == '+') {
            int high = i + 2 < xtext.n ? hex_value(xtext.p[i + 1]) : -1;
            int low = i + 2 < xtext.n ? hex_value(xtext.p[i + 2]) : -1;
            is_good = high >= 0 && low >= 0;
            c = is_good ? (char)(high * 16 + low) : c;
            i += 2;
        }
        if (!is_good) {
            if (out)
                out->n = before;
            return false;
        }
        if (out)
            buf_addc(out, c);
    }
    return true;
}
