/* Names of folders in modified UTF-7: RFC 3501 section 5.1.3. What is printable ASCII stands for
 * itself, "&" is "&-", all else is UTF-16 in base64 with "," for "/", between "&" and "-". */
#include "imap/imap.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_plain(uint32_t c)
{
    return c >= ' ' && c <= '~';
}

/* One character of UTF-8 (RFC 3629: shortest form, no surrogates); 0: none. */
static uint32_t take_utf8(struct slice *s)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)s->p[0];
    size_t more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (s->n <= more || (first >= 0x80 && first < 0xc2) || first > 0xf4)
        return 0;
    uint32_t c = more == 0 ? first : first & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        unsigned char next = (unsigned char)s->p[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (next & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *s = slice_skip(*s, more + 1);
    return c;
}

static void add_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_addc(out, (char)c);
    } else if (c < 0x800) {
        buf_addc(out, (char)(0xc0 | c >> 6));
    } else if (c < 0x10000) {
        buf_addc(out, (char)(0xe0 | c >> 12));
        buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
    } else {
        buf_addc(out, (char)(0xf0 | c >> 18));
        buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    if (c >= 0x80)
        buf_addc(out, (char)(0x80 | (c & 0x3f)));
}

/* ---- writing ------------------------------------------------------------------------------------
 */

struct bits {
    uint32_t waiting;
    unsigned n;
};

static void add_unit(struct buf *out, struct bits *b, uint32_t unit)
{
    b->waiting = b->waiting << 16 | unit;
    b->n += 16;
    for (; b->n >= 6; b->n -= 6)
        buf_addc(out, digits[b->waiting >> (b->n - 6) & 63]);
    b->waiting &= (1u << b->n) - 1;
}

static bool encode(struct slice s, struct buf *out)
{
    while (s.n > 0) {
        struct bits b = {};
        uint32_t c = take_utf8(&s);
        if (c == 0)
            return false;
        if (is_plain(c)) {
            buf_addc(out, (char)c);
            if (c == '&')
                buf_addc(out, '-');
            continue;
        }
        buf_addc(out, '&');
        for (;;) {
            if (c >= 0x10000)
                add_unit(out, &b, 0xd800 + ((c - 0x10000) >> 10));
            add_unit(out, &b, c >= 0x10000 ? 0xdc00 + ((c - 0x10000) & 0x3ff) : c);
            if (s.n == 0 || is_plain((unsigned char)s.p[0]))
                break;
            if ((c = take_utf8(&s)) == 0)
                return false;
        }
        if (b.n > 0)
            buf_addc(out, digits[b.waiting << (6 - b.n) & 63]);
        buf_addc(out, '-');
    }
    return true;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

/* A shifted part without "&" and "-". */
static bool decode_shifted(struct slice s, struct buf *out)
{
    uint32_t waiting = 0, high = 0;
    unsigned n = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *digit = memchr(digits, s.p[i], sizeof(digits) - 1);
        if (!digit)
            return false;
        waiting = (waiting << 6 | (uint32_t)(digit - digits)) & 0x3fffff;
        n += 6;
        if (n < 16)
            continue;
        uint32_t unit = waiting >> (n - 16) & 0xffff;
        n -= 16;
        bool is_high = unit >= 0xd800 && unit <= 0xdbff, is_low = unit >= 0xdc00 && unit <= 0xdfff;
        if (is_low != (high > 0) || is_plain(unit) || unit == 0)
            return false; /* half a character, or one that must stand for itself */
        if (is_low)
            add_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
        else if (!is_high)
            add_utf8(out, unit);
        high = is_high ? unit : 0;
    }
    return high == 0 && n < 6 && (waiting & ((1u << n) - 1)) == 0;
}

static bool decode(struct slice s, struct buf *out)
{
    while (s.n > 0) {
        char c = s.p[0];
        if (!is_plain((unsigned char)c))
            return false;
        s = slice_skip(s, 1);
        if (c != '&') {
            buf_addc(out, c);
            continue;
        }
        ptrdiff_t end = slice_find(s, '-');
        if (end < 0)
            return false;
        if (end == 0)
            buf_addc(out, '&');
        else if (!decode_shifted(slice_of(s.p, (size_t)end), out))
            return false;
        s = slice_skip(s, (size_t)end + 1);
    }
    return true;
}

static bool whole_or_nothing(bool is_good, struct buf *out, size_t before)
{
    if (!is_good)
        out->n = before;
    return is_good && !out->failed;
}

bool imap_name_encode(struct slice utf8, struct buf *out)
{
    size_t before = out->n;
    return whole_or_nothing(encode(utf8, out), out, before);
}

bool imap_name_decode(struct slice name, struct buf *out)
{
    size_t before = out->n;
    return whole_or_nothing(decode(name, out), out, before);
}
