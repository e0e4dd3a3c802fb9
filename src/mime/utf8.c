/* UTF-8: what is valid (RFC 3629), where it may be cut, how it is written. */
#include "mime/mime_int.h"

static bool is_tail(struct slice s, size_t i)
{
    return i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80;
}

/* How many bytes the character with this first byte has, and the range of its second byte, which
 * shuts out overlong forms, surrogates and what is past U+10FFFF. 0: no first byte. */
static size_t lead(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (c < 0x80)
        return 1;
    if (c < 0xc2)
        return 0;
    if (c < 0xe0)
        return 2;
    if (c < 0xf0) {
        if (c == 0xe0)
            *low = 0xa0;
        if (c == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (c == 0xf0)
        *low = 0x90;
    if (c == 0xf4)
        *high = 0x8f;
    return c < 0xf5 ? 4 : 0;
}

/* Good bytes of the character at s[0]; `*ret_need`: what a whole one has, 0 if none starts. */
static size_t char_good(struct slice s, size_t *ret_need)
{
    unsigned char low, high;
    size_t need = *ret_need = lead((unsigned char)s.p[0], &low, &high);
    if (need < 2 || s.n < 2)
        return need ? 1 : 0;
    unsigned char second = (unsigned char)s.p[1];
    if (second < low || second > high)
        return 1;
    size_t good = 2;
    while (good < need && is_tail(s, good))
        good++;
    return good;
}

size_t utf8_char(struct slice s)
{
    size_t need, good = char_good(s, &need);
    return good == need ? need : 0;
}

size_t utf8_valid_len(struct slice s, bool *ret_is_partial)
{
    size_t at = 0;
    *ret_is_partial = false;
    while (at < s.n) {
        uint64_t eight;
        if (s.n - at >= sizeof(eight)) {
            memcpy(&eight, s.p + at, sizeof(eight));
            if (!(eight & 0x8080808080808080u)) {
                at += sizeof(eight);
                continue;
            }
        }
        size_t need, good = char_good(slice_skip(s, at), &need);
        if (good < need || need == 0) {
            *ret_is_partial = need > 0 && good == s.n - at;
            return at;
        }
        at += need;
    }
    return at;
}

bool mime_utf8_is_valid(struct slice s)
{
    bool is_partial;
    return utf8_valid_len(s, &is_partial) == s.n;
}

size_t mime_utf8_cut(struct slice s, size_t max)
{
    if (s.n <= max)
        return s.n;
    size_t n = max;
    while (n > 0 && is_tail(s, n))
        n--;
    return n;
}

bool utf8_add(struct buf *b, const char *p, size_t n)
{
    if (b->failed)
        return false;
    size_t room = b->max - b->n, fit = n <= room ? n : mime_utf8_cut(slice_of(p, n), room);
    buf_add(b, p, fit);
    return fit == n;
}

void utf8_encode(uint32_t code, struct buf *b)
{
    char c[4];
    size_t n = 0;
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        code = 0xfffd;
    if (code < 0x80) {
        c[n++] = (char)code;
    } else if (code < 0x800) {
        c[n++] = (char)(0xc0 | code >> 6);
        c[n++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        c[n++] = (char)(0xe0 | code >> 12);
        c[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        c[n++] = (char)(0x80 | (code & 0x3f));
    } else {
        c[n++] = (char)(0xf0 | code >> 18);
        c[n++] = (char)(0x80 | (code >> 12 & 0x3f));
        c[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        c[n++] = (char)(0x80 | (code & 0x3f));
    }
    (void)utf8_add(b, c, n); /* the caller looks at the ceiling */
}
