/* Transfer encodings, in pieces: base64 and quoted-printable, tolerant. RFC 2045 section 6. */
#include "mime/mime_int.h"

/* Value of each base64 digit plus one, so that the empty entries are "no digit"; the URL alphabet
 * (RFC 4648 section 5) does no harm. */
static const unsigned char digit_plus_one[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
    ['-'] = 63, ['_'] = 64,
};

enum mime_encoding mime_encoding_of(struct slice raw)
{
    struct slice name = slice_trim(raw), rest;
    size_t n = 0;
    while (n < name.n && !is_blank(name.p[n]) && name.p[n] != ';' && name.p[n] != '(')
        n++;
    name = slice_cut(slice_of(name.p, n), '"', &rest);
    if (name.n == 0)
        name = slice_cut(rest, '"', &rest); /* quoted, which no one should */
    if (slice_ieq(name, SLICE("base64")))
        return MIME_ENCODING_BASE64;
    if (slice_ieq(name, SLICE("quoted-printable")))
        return MIME_ENCODING_QP;
    if (name.n == 0 || slice_ieq(name, SLICE("7bit")) || slice_ieq(name, SLICE("8bit")) ||
        slice_ieq(name, SLICE("binary")))
        return MIME_ENCODING_IDENTITY;
    return MIME_ENCODING_UNKNOWN;
}

struct mime_decoder mime_decoder_make(enum mime_encoding encoding)
{
    return (struct mime_decoder){.encoding = encoding};
}

/* What fits is written; false once something did not. */
static bool add(struct mime_decoder *d, const char *p, size_t n, struct buf *ret)
{
    if (d->odd & MIME_ODD_CUT || ret->failed)
        return false;
    size_t room = ret->max - ret->n;
    buf_add(ret, p, n < room ? n : room);
    if (n <= room)
        return true;
    d->odd |= MIME_ODD_CUT;
    return false;
}

/* ---- base64 ------------------------------------------------------------------------------ */

/* Whole groups of four digits, as many as there are and fit; returns the bytes taken. */
static size_t base64_groups(struct slice in, struct buf *ret)
{
    size_t groups = in.n / 4, room = (ret->max - ret->n) / 3;
    if (groups > room)
        groups = room;
    char *out = groups ? buf_room(ret, groups * 3) : NULL;
    if (!out)
        return 0;
    const unsigned char *p = (const unsigned char *)in.p;
    size_t g = 0;
    for (; g < groups; g++, p += 4, out += 3) {
        unsigned a = digit_plus_one[p[0]], b = digit_plus_one[p[1]];
        unsigned c = digit_plus_one[p[2]], e = digit_plus_one[p[3]];
        if (!a || !b || !c || !e)
            break;
        uint32_t v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (e - 1);
        out[0] = (char)(v >> 16);
        out[1] = (char)(v >> 8);
        out[2] = (char)v;
    }
    ret->n -= (groups - g) * 3;
    return g * 4;
}

static bool base64_digit(struct mime_decoder *d, unsigned digit, struct buf *ret)
{
    d->bits = d->bits << 6 | digit;
    d->n_bits += 6;
    if (d->n_bits < 24)
        return true;
    char out[3] = {(char)(d->bits >> 16), (char)(d->bits >> 8), (char)d->bits};
    d->bits = d->n_bits = 0;
    return add(d, out, 3, ret);
}

/* What is left of an unfinished group: one digit says nothing, two are a byte, three two. */
static bool base64_flush(struct mime_decoder *d, struct buf *ret)
{
    char out[2] = {0};
    size_t n = d->n_bits / 8;
    if (d->n_bits == 6)
        d->odd |= MIME_ODD_BYTES;
    if (n == 1)
        out[0] = (char)(d->bits >> 4);
    if (n == 2) {
        out[0] = (char)(d->bits >> 10);
        out[1] = (char)(d->bits >> 2);
    }
    d->bits = d->n_bits = 0;
    return add(d, out, n, ret);
}

static bool base64_feed(struct mime_decoder *d, struct slice in, struct buf *ret)
{
    size_t at = 0;
    while (at < in.n) {
        if (d->n_bits == 0) {
            /* Lines are looked at one by one, or the room for groups would be taken many times. */
            struct slice line = slice_skip(in, at);
            const char *lf = memchr(line.p, '\n', line.n < 1024 ? line.n : 1024);
            line.n = lf ? (size_t)(lf - line.p) : line.n < 1024 ? line.n : 1024;
            at += base64_groups(line, ret);
            if (at == in.n)
                break;
        }
        unsigned char c = (unsigned char)in.p[at++];
        if (digit_plus_one[c]) {
            if (!base64_digit(d, digit_plus_one[c] - 1u, ret))
                return false;
        } else if (c == '=') {
            if (!base64_flush(d, ret))
                return false;
        } else if (!is_blank((char)c)) {
            d->odd |= MIME_ODD_BYTES;
        }
    }
    return true;
}

/* ---- quoted-printable -------------------------------------------------------------------- */

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool qp_release(struct mime_decoder *d, struct buf *ret)
{
    size_t n = d->n_held;
    d->n_held = 0;
    return n == 0 || add(d, d->held, n, ret);
}

static bool qp_byte(struct mime_decoder *d, char c, struct buf *ret);

/* Behind a '=' that waits in `held`, maybe with a digit or with blanks of a soft line break. */
static bool qp_escape(struct mime_decoder *d, char c, struct buf *ret)
{
    char last = d->held[d->n_held - 1];
    if (c == '\n' && hex_digit(last) < 0) { /* soft line break, also with blanks before its end */
        d->n_held = 0;
        return true;
    }
    bool is_soft = d->n_held == 1 ? is_blank(c) : is_blank(c) && is_blank(last);
    if (is_soft && d->n_held < sizeof(d->held)) {
        d->held[d->n_held++] = c;
        return true;
    }
    if (d->n_held == 1 && hex_digit(c) >= 0) {
        d->held[d->n_held++] = c;
        return true;
    }
    if (d->n_held == 2 && hex_digit(last) >= 0 && hex_digit(c) >= 0) {
        char byte = (char)(hex_digit(last) << 4 | hex_digit(c));
        d->n_held = 0;
        return add(d, &byte, 1, ret);
    }
    d->odd |= MIME_ODD_BYTES; /* no escape at all: shown as it stands */
    return qp_release(d, ret) && qp_byte(d, c, ret);
}

/* Blanks wait until it is known whether they end the line, where they do not count. */
static bool qp_blank(struct mime_decoder *d, char c, struct buf *ret)
{
    if (c == '\n') {
        bool has_cr = d->n_held && d->held[d->n_held - 1] == '\r';
        d->n_held = 0;
        return has_cr ? add(d, "\r\n", 2, ret) : add(d, "\n", 1, ret);
    }
    if (d->n_held == sizeof(d->held) && !qp_release(d, ret))
        return false;
    d->held[d->n_held++] = c;
    return true;
}

/* A whole line whose '\n' is at in[lf], nothing held: the usual case, in a few copies. */
static void qp_line(struct mime_decoder *d, struct slice in, size_t lf, struct buf *ret)
{
    size_t end = lf;
    while (end > 0 && is_blank(in.p[end - 1]))
        end--;
    bool is_soft = end > 0 && in.p[end - 1] == '=';
    end -= is_soft;
    char *out = buf_room(ret, lf + 1), *start = out; /* never more than the line itself */
    for (size_t at = 0; at < end;) {
        const char *escape = memchr(in.p + at, '=', end - at);
        size_t n = escape ? (size_t)(escape - in.p) - at : end - at;
        memcpy(out, in.p + at, n);
        out += n;
        at += n;
        if (!escape)
            break;
        bool is_good =
            at + 3 <= end && hex_digit(in.p[at + 1]) >= 0 && hex_digit(in.p[at + 2]) >= 0;
        if (is_good) {
            *out++ = (char)(hex_digit(in.p[at + 1]) << 4 | hex_digit(in.p[at + 2]));
            at += 3;
        } else {
            d->odd |= MIME_ODD_BYTES;
            *out++ = in.p[at++];
        }
    }
    if (!is_soft && lf > 0 && in.p[lf - 1] == '\r')
        *out++ = '\r';
    if (!is_soft)
        *out++ = '\n';
    ret->n -= lf + 1 - (size_t)(out - start);
}

/* As many whole lines as there are and fit; returns the bytes taken. */
static size_t qp_lines(struct mime_decoder *d, struct slice in, struct buf *ret)
{
    size_t at = 0;
    while (at < in.n && !ret->failed) {
        const char *lf = memchr(in.p + at, '\n', in.n - at);
        size_t n = lf ? (size_t)(lf - in.p) - at : 0;
        if (!lf || n + 1 > ret->max - ret->n)
            break;
        qp_line(d, slice_skip(in, at), n, ret);
        at += n + 1;
    }
    return at;
}

static bool qp_byte(struct mime_decoder *d, char c, struct buf *ret)
{
    if (d->n_held && d->held[0] == '=')
        return qp_escape(d, c, ret);
    if (is_blank(c))
        return qp_blank(d, c, ret);
    if (!qp_release(d, ret))
        return false;
    if (c != '=')
        return add(d, &c, 1, ret);
    d->held[d->n_held++] = c;
    return true;
}

static bool qp_feed(struct mime_decoder *d, struct slice in, struct buf *ret)
{
    for (size_t at = 0; at < in.n;) {
        size_t taken = d->n_held == 0 ? qp_lines(d, slice_skip(in, at), ret) : 0;
        at += taken;
        /* What is left is the piece's last line, or does not fit, or something is held: so the
         * lines are not tried again before this one ended. */
        while (at < in.n) {
            char c = in.p[at++];
            if (!qp_byte(d, c, ret))
                return false;
            if (c == '\n')
                break;
        }
    }
    return true;
}

bool mime_decoder_feed(struct mime_decoder *d, struct slice piece, struct buf *ret)
{
    switch (d->encoding) {
    case MIME_ENCODING_BASE64:
        return !(d->odd & MIME_ODD_CUT) && base64_feed(d, piece, ret);
    case MIME_ENCODING_QP:
        return !(d->odd & MIME_ODD_CUT) && qp_feed(d, piece, ret);
    case MIME_ENCODING_IDENTITY:
    case MIME_ENCODING_UNKNOWN:
        break;
    }
    return piece.n == 0 || add(d, piece.p, piece.n, ret);
}

bool mime_decoder_end(struct mime_decoder *d, struct buf *ret)
{
    if (d->encoding == MIME_ENCODING_BASE64)
        return base64_flush(d, ret);
    if (d->encoding != MIME_ENCODING_QP || d->n_held == 0)
        return !(d->odd & MIME_ODD_CUT);
    bool is_soft = d->held[0] != '=' || d->n_held == 1 || is_blank(d->held[1]);
    if (is_soft) { /* blanks or a soft line break at the very end */
        d->n_held = 0;
        return true;
    }
    d->odd |= MIME_ODD_BYTES;
    return qp_release(d, ret);
}
