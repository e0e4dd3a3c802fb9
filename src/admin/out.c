/* Writing JSON (RFC 8259). */
#include "admin/out_int.h"

enum { DEPTH_MAX = 60 };

static void before(struct out *j, const char *key)
{
    uint64_t bit = 1ull << j->depth;
    if (j->filled & bit)
        buf_addc(j->b, ',');
    j->filled |= bit;
    must((key != NULL) == (j->depth > 0 && !(j->arrays & bit)));
    if (key)
        buf_addf(j->b, "\"%s\":", key);
}

static void open_level(struct out *j, const char *key, bool is_array)
{
    before(j, key);
    must(j->depth < DEPTH_MAX);
    uint64_t bit = 1ull << ++j->depth;
    j->arrays = is_array ? j->arrays | bit : j->arrays & ~bit;
    j->filled &= ~bit;
    buf_addc(j->b, is_array ? '[' : '{');
}

void out_object(struct out *j, const char *key)
{
    open_level(j, key, false);
}

void out_array(struct out *j, const char *key)
{
    open_level(j, key, true);
}

void out_close(struct out *j)
{
    must(j->depth > 0);
    buf_addc(j->b, j->arrays & 1ull << j->depth ? ']' : '}');
    j->depth--;
}

/* Bytes of the UTF-8 character at the start of `s`; 0: there is none (RFC 3629). */
static size_t character(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n == 0 || p[0] > 0xf4 || n > s.n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool is_surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool is_beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return is_overlong || is_surrogate || is_beyond ? 0 : n;
}

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static void add_string(struct buf *b, struct slice s)
{
    buf_addc(b, '"');
    while (s.n > 0) {
        size_t plain = 0;
        while (plain < s.n && is_plain((unsigned char)s.p[plain]))
            plain++;
        buf_add(b, s.p, plain);
        s = slice_skip(s, plain);
        if (s.n == 0)
            break;
        unsigned char c = (unsigned char)s.p[0];
        size_t n = character(s);
        if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            buf_addf(b, "\\u%04x", c);
        else if (n > 0)
            buf_add(b, s.p, n);
        else
            buf_adds(b, SLICE("\\ufffd"));
        s = slice_skip(s, n > 0 ? n : 1);
    }
    buf_addc(b, '"');
}

void out_text(struct out *j, const char *key, struct slice s)
{
    before(j, key);
    add_string(j->b, s);
}

void out_word(struct out *j, const char *key, const char *s)
{
    out_text(j, key, slice_str(s));
}

void out_number(struct out *j, const char *key, uint64_t n)
{
    before(j, key);
    buf_addf(j->b, "%llu", (unsigned long long)n);
}

void out_truth(struct out *j, const char *key, bool is)
{
    before(j, key);
    buf_adds(j->b, is ? SLICE("true") : SLICE("false"));
}

void out_time(struct out *j, const char *key, utc_ms t)
{
    if (t != 0)
        out_word(j, key, utc_rfc3339(t).s);
}

void out_text_if(struct out *j, const char *key, struct slice s)
{
    if (s.n > 0)
        out_text(j, key, s);
}

void out_number_if(struct out *j, const char *key, uint64_t n)
{
    if (n > 0)
        out_number(j, key, n);
}
