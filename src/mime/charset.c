/* Charsets to UTF-8: our own paths for what nearly all mail uses, glibc's iconv for the rest of a
 * written list. Not on the list: charsets whose converters had memory errors (ISO-2022-CN-EXT,
 * ISO-2022-JP-3, UCS-4, some IBM host code pages) and what mail does not use. */
#include "mime/mime_int.h"

#include <errno.h>
#include <iconv.h>

/* Rows below 0 are our own. */
enum { OWN_UTF8 = -1, OWN_CP1252 = -2, OWN_GUESS = -3 };
enum { BAD_MAX = 1000 };

struct alias {
    struct slice name;
    int own; /* 0: by iconv */
    const char *iconv_name;
};

/* Names of the same converter stand side by side. Supersets are chosen where senders use the
 * name of the subset for all of it (as the WHATWG Encoding Standard found). */
#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct alias ALIASES[] = {
    {NAME("utf-8"), OWN_UTF8, ""},
    {NAME("utf8"), OWN_UTF8, ""},
    {NAME("unicode-1-1-utf-8"), OWN_UTF8, ""},
    {NAME("us-ascii"), OWN_GUESS, ""},
    {NAME("ascii"), OWN_GUESS, ""},
    {NAME("ansi_x3.4-1968"), OWN_GUESS, ""},
    {NAME("iso-8859-1"), OWN_CP1252, ""},
    {NAME("iso8859-1"), OWN_CP1252, ""},
    {NAME("iso_8859-1"), OWN_CP1252, ""},
    {NAME("latin1"), OWN_CP1252, ""},
    {NAME("windows-1252"), OWN_CP1252, ""},
    {NAME("cp1252"), OWN_CP1252, ""},
    {NAME("ansi"), OWN_CP1252, ""},
    {NAME("iso-8859-2"), 0, "ISO-8859-2"},
    {NAME("iso8859-2"), 0, "ISO-8859-2"},
    {NAME("latin2"), 0, "ISO-8859-2"},
    {NAME("iso-8859-3"), 0, "ISO-8859-3"},
    {NAME("iso-8859-4"), 0, "ISO-8859-4"},
    {NAME("iso-8859-5"), 0, "ISO-8859-5"},
    {NAME("iso-8859-6"), 0, "ISO-8859-6"},
    {NAME("iso-8859-7"), 0, "ISO-8859-7"},
    {NAME("iso-8859-8"), 0, "ISO-8859-8"},
    {NAME("iso-8859-8-i"), 0, "ISO-8859-8"},
    {NAME("iso-8859-9"), 0, "CP1254"},
    {NAME("windows-1254"), 0, "CP1254"},
    {NAME("cp1254"), 0, "CP1254"},
    {NAME("iso-8859-10"), 0, "ISO-8859-10"},
    {NAME("iso-8859-11"), 0, "CP874"},
    {NAME("windows-874"), 0, "CP874"},
    {NAME("tis-620"), 0, "CP874"},
    {NAME("iso-8859-13"), 0, "ISO-8859-13"},
    {NAME("iso-8859-14"), 0, "ISO-8859-14"},
    {NAME("iso-8859-15"), 0, "ISO-8859-15"},
    {NAME("iso8859-15"), 0, "ISO-8859-15"},
    {NAME("latin-9"), 0, "ISO-8859-15"},
    {NAME("iso-8859-16"), 0, "ISO-8859-16"},
    {NAME("windows-1250"), 0, "CP1250"},
    {NAME("cp1250"), 0, "CP1250"},
    {NAME("windows-1251"), 0, "CP1251"},
    {NAME("cp1251"), 0, "CP1251"},
    {NAME("windows-1253"), 0, "CP1253"},
    {NAME("windows-1255"), 0, "CP1255"},
    {NAME("windows-1256"), 0, "CP1256"},
    {NAME("windows-1257"), 0, "CP1257"},
    {NAME("windows-1258"), 0, "CP1258"},
    {NAME("koi8-r"), 0, "KOI8-R"},
    {NAME("koi8-u"), 0, "KOI8-U"},
    {NAME("ibm437"), 0, "IBM437"},
    {NAME("cp437"), 0, "IBM437"},
    {NAME("ibm850"), 0, "IBM850"},
    {NAME("cp850"), 0, "IBM850"},
    {NAME("ibm852"), 0, "IBM852"},
    {NAME("cp852"), 0, "IBM852"},
    {NAME("ibm855"), 0, "IBM855"},
    {NAME("ibm866"), 0, "IBM866"},
    {NAME("cp866"), 0, "IBM866"},
    {NAME("macintosh"), 0, "MACINTOSH"},
    {NAME("mac"), 0, "MACINTOSH"},
    {NAME("gb2312"), 0, "GB18030"},
    {NAME("gbk"), 0, "GB18030"},
    {NAME("cp936"), 0, "GB18030"},
    {NAME("x-gbk"), 0, "GB18030"},
    {NAME("gb18030"), 0, "GB18030"},
    {NAME("euc-cn"), 0, "GB18030"},
    {NAME("big5"), 0, "BIG5-HKSCS"},
    {NAME("big5-hkscs"), 0, "BIG5-HKSCS"},
    {NAME("cp950"), 0, "BIG5-HKSCS"},
    {NAME("shift_jis"), 0, "CP932"},
    {NAME("shift-jis"), 0, "CP932"},
    {NAME("sjis"), 0, "CP932"},
    {NAME("x-sjis"), 0, "CP932"},
    {NAME("windows-31j"), 0, "CP932"},
    {NAME("cp932"), 0, "CP932"},
    {NAME("euc-jp"), 0, "EUC-JP-MS"},
    {NAME("x-euc-jp"), 0, "EUC-JP-MS"},
    {NAME("iso-2022-jp"), 0, "ISO-2022-JP-2"},
    {NAME("iso-2022-jp-1"), 0, "ISO-2022-JP-2"},
    {NAME("iso-2022-jp-2"), 0, "ISO-2022-JP-2"},
    {NAME("iso-2022-kr"), 0, "ISO-2022-KR"},
    {NAME("euc-kr"), 0, "CP949"},
    {NAME("ks_c_5601-1987"), 0, "CP949"},
    {NAME("ksc5601"), 0, "CP949"},
    {NAME("cp949"), 0, "CP949"},
    {NAME("windows-949"), 0, "CP949"},
    {NAME("utf-16"), 0, "UTF-16"},
    {NAME("utf-16le"), 0, "UTF-16LE"},
    {NAME("utf-16be"), 0, "UTF-16BE"},
    {NAME("utf-7"), 0, "UTF-7"},
    {NAME("unicode-1-1-utf-7"), 0, "UTF-7"},
};
#undef NAME
enum { N_ALIASES = sizeof(ALIASES) / sizeof(ALIASES[0]) };

/* windows-1252 from 0x80 to 0x9f; the five unassigned bytes stay controls, as in the WHATWG
 * table. */
static const uint16_t CP1252_HIGH[32] = {
    0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8d,   0x017d, 0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178,
};

/* Converters of this thread, at the first alias of each. They stay open until the process ends:
 * reopening would need files, which the sandbox forbids. */
static _Thread_local struct {
    iconv_t descriptor;
    enum { UNTRIED, OPEN, ABSENT } state;
} converters[N_ALIASES];

static int find_alias(struct slice name)
{
    for (int i = 0; i < N_ALIASES; i++)
        if (is_name(name, ALIASES[i].name))
            return i;
    return -1;
}

static size_t first_of_converter(size_t i)
{
    while (i > 0 && strcmp(ALIASES[i - 1].iconv_name, ALIASES[i].iconv_name) == 0)
        i--;
    return i;
}

static bool open_converter(size_t i)
{
    if (converters[i].state == UNTRIED) {
        converters[i].descriptor = iconv_open("UTF-8", ALIASES[i].iconv_name);
        bool is_open = converters[i].descriptor != (iconv_t)-1; /* NOLINT: iconv's own constant */
        converters[i].state = is_open ? OPEN : ABSENT;
    }
    return converters[i].state == OPEN;
}

unsigned mime_charset_preload(void)
{
    unsigned n_absent = 0;
    for (size_t i = 0; i < N_ALIASES; i++)
        if (ALIASES[i].own == 0 && first_of_converter(i) == i && !open_converter(i))
            n_absent++;
    return n_absent;
}

/* Names come with blanks and quotes around them, and with a language behind them (RFC 2231). */
static struct slice clean_name(struct slice charset)
{
    struct slice rest;
    struct slice name = slice_trim(slice_cut(charset, '*', &rest));
    while (name.n && (name.p[0] == '"' || name.p[0] == '\''))
        name = slice_skip(name, 1);
    while (name.n &&
           (name.p[name.n - 1] == '"' || name.p[name.n - 1] == '\'' || name.p[name.n - 1] == ';'))
        name.n--;
    return name;
}

bool mime_charset_is_known(struct slice charset)
{
    return find_alias(clean_name(charset)) >= 0;
}

struct charset_stream charset_begin(struct slice charset)
{
    struct slice name = clean_name(charset);
    struct charset_stream c = {.row = OWN_GUESS};
    if (name.n == 0)
        return c;
    int alias = find_alias(name);
    if (alias >= 0 && ALIASES[alias].own != 0) {
        c.row = ALIASES[alias].own;
        return c;
    }
    size_t row = alias >= 0 ? first_of_converter((size_t)alias) : 0;
    if (alias < 0 || !open_converter(row)) {
        c.row = OWN_UTF8;
        c.odd = MIME_ODD_CHARSET;
        return c;
    }
    c.row = (int)row;
    (void)iconv(converters[row].descriptor, NULL, NULL, NULL, NULL); /* back to the first state */
    return c;
}

static void add(struct charset_stream *c, const char *p, size_t n, struct buf *ret)
{
    if (c->is_full || n == 0)
        return;
    if (!utf8_add(ret, p, n)) {
        c->is_full = true;
        c->odd |= MIME_ODD_CUT;
    }
}

static void add_bad(struct charset_stream *c, struct buf *ret)
{
    c->odd |= MIME_ODD_BYTES;
    add(c, "\xef\xbf\xbd", 3, ret);
}

/* Length of the bad bytes at s[0] that one U+FFFD stands for: the longest start of a character. */
static size_t bad_len(struct slice s)
{
    for (size_t n = s.n < 3 ? s.n : 3; n > 1; n--) {
        bool is_partial;
        if (utf8_valid_len(slice_of(s.p, n), &is_partial) == 0 && is_partial)
            return n;
    }
    return 1;
}

static void hold(struct charset_stream *c, struct slice rest)
{
    must(rest.n <= sizeof(c->held));
    memmove(c->held, rest.p, rest.n);
    c->n_held = rest.n;
}

static void feed_utf8(struct charset_stream *c, struct slice s, struct buf *ret)
{
    while (s.n && !c->is_full) {
        bool is_partial;
        size_t good = utf8_valid_len(s, &is_partial);
        add(c, s.p, good, ret);
        s = slice_skip(s, good);
        if (is_partial) {
            hold(c, s);
            return;
        }
        if (s.n) {
            add_bad(c, ret);
            s = slice_skip(s, bad_len(s));
        }
    }
}

static void feed_cp1252(struct charset_stream *c, struct slice s, struct buf *ret)
{
    size_t at = 0;
    while (at < s.n && !c->is_full) {
        size_t start = at;
        while (at < s.n && (unsigned char)s.p[at] < 0x80)
            at++;
        add(c, s.p + start, at - start, ret);
        if (at == s.n)
            return;
        unsigned char byte = (unsigned char)s.p[at++];
        uint32_t code = byte < 0xa0 ? CP1252_HIGH[byte - 0x80] : byte;
        char text[3] = {(char)(0xc0 | code >> 6), (char)(0x80 | (code & 0x3f))};
        size_t n = 2;
        if (code >= 0x800) {
            text[0] = (char)(0xe0 | code >> 12);
            text[1] = (char)(0x80 | (code >> 6 & 0x3f));
            text[2] = (char)(0x80 | (code & 0x3f));
            n = 3;
        }
        add(c, text, n, ret);
    }
}

static void feed_iconv(struct charset_stream *c, struct slice s, struct buf *ret)
{
    iconv_t descriptor = converters[c->row].descriptor;
    char out[2048];
    char *in = (char *)(uintptr_t)s.p; /* iconv's prototype lacks the const */
    size_t n_in = s.n;
    while (n_in && !c->is_full) {
        char *at = out;
        size_t room = sizeof(out);
        size_t r = iconv(descriptor, &in, &n_in, &at, &room);
        int why = errno;
        add(c, out, (size_t)(at - out), ret);
        if (r != (size_t)-1)
            return;
        if (why == EINVAL && n_in <= sizeof(c->held)) {
            hold(c, slice_of(in, n_in));
            return;
        }
        if (why == E2BIG && at > out)
            continue;
        add_bad(c, ret);
        in++;
        n_in--;
        if (++c->n_bad > BAD_MAX) { /* not this charset at all, and each try costs */
            c->row = OWN_UTF8;
            feed_utf8(c, slice_of(in, n_in), ret);
            return;
        }
    }
}

static void feed_new(struct charset_stream *c, struct slice s, struct buf *ret)
{
    bool is_partial;
    switch (c->row) {
    case OWN_GUESS:
        if (utf8_valid_len(s, &is_partial) < s.n && !is_partial) {
            c->row = OWN_CP1252;
            feed_cp1252(c, s, ret);
            return;
        }
        feed_utf8(c, s, ret);
        return;
    case OWN_UTF8:
        feed_utf8(c, s, ret);
        return;
    case OWN_CP1252:
        feed_cp1252(c, s, ret);
        return;
    default:
        feed_iconv(c, s, ret);
    }
}

/* Held bytes go in front of so much of the piece that the character must be complete. */
void charset_feed(struct charset_stream *c, struct slice piece, struct buf *ret)
{
    while (c->n_held && piece.n && !c->is_full) {
        char joint[sizeof(c->held) + 1];
        size_t n = c->n_held;
        memcpy(joint, c->held, n);
        joint[n] = piece.p[0];
        c->n_held = 0;
        piece = slice_skip(piece, 1);
        if (n + 1 > sizeof(c->held)) { /* no charset has such long characters */
            add_bad(c, ret);
            break;
        }
        feed_new(c, slice_of(joint, n + 1), ret);
    }
    if (piece.n && !c->is_full)
        feed_new(c, piece, ret);
}

void charset_end(struct charset_stream *c, struct buf *ret)
{
    if (c->n_held == 0)
        return;
    struct slice rest = slice_of(c->held, c->n_held);
    c->n_held = 0;
    if (c->row == OWN_GUESS)
        feed_cp1252(c, rest, ret);
    else
        add_bad(c, ret);
}

unsigned mime_charset_decode(struct slice charset, struct slice bytes, struct buf *ret)
{
    struct charset_stream c = charset_begin(charset);
    charset_feed(&c, bytes, ret);
    charset_end(&c, ret);
    return c.odd;
}
