/* Downloads: the part is cut out of its message and decoded; its name and type are somebody else's
 * text and become headers. A part is never shown as a page of our own site. */
#include "web/ask_int.h"

/* ---- types ---- */

/* RFC 6838 section 4.2. */
static bool is_type_byte(char c)
{
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$&-^_.+", c));
}

static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_type_byte(s.p[i]))
            return false;
    return s.n > 0 && s.n <= 127;
}

bool web_ask_type_is_valid(struct slice type)
{
    struct slice parameter, minor, value;
    struct slice essence = slice_trim(slice_cut(type, ';', &parameter));
    struct slice major = slice_cut(essence, '/', &minor);
    parameter = slice_trim(parameter);
    bool is_bare = slice_find(type, ';') < 0;
    for (size_t i = 0; i < type.n; i++)
        if (type.p[i] < ' ' || type.p[i] > '~')
            return false; /* trimming is generous: it takes line ends */
    bool is_charset = slice_ieq(slice_cut(parameter, '=', &value), SLICE("charset"));
    return is_word(major) && is_word(minor) && (is_bare || (is_charset && is_word(value)));
}

bool web_ask_type_is_harmless(struct slice type)
{
    static const char *const harmless[] = {
        "text/plain", "image/png",  "image/jpeg", "image/gif",  "image/webp",      "image/avif",
        "image/bmp",  "audio/mpeg", "audio/ogg",  "audio/mp4",  "audio/wav",       "audio/webm",
        "video/mp4",  "video/ogg",  "video/webm", "audio/flac", "application/pdf",
    };
    struct slice parameter, essence = slice_trim(slice_cut(type, ';', &parameter));
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (slice_ieq(essence, slice_str(harmless[i])))
            return true;
    return false;
}

/* ---- names ---- */

enum { NAME_MAX_BYTES = 240 }; /* what file systems take */

/* Bytes of the UTF-8 character at the start; 0: none is there (RFC 3629). */
static size_t utf8_bytes(struct slice s)
{
    static const unsigned char least[] = {0, 0, 0x80, 0xa0, 0x90};
    unsigned char first = (unsigned char)s.p[0], second;
    size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (n < 2 || first > 0xf4)
        return n == 1;
    if (s.n < n)
        return 0;
    second = (unsigned char)s.p[1];
    if ((first == 0xe0 || first == 0xf0) && second < least[n])
        return 0; /* longer than needed */
    if ((first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f))
        return 0; /* surrogates; beyond Unicode */
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s.p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* The name without what leads elsewhere (paths, control characters, marks that turn the direction
 * of writing round: "exe.txt" that is a program). */
static void clean(struct slice name, struct buf *ret)
{
    while (name.n > 0 && ret->n < NAME_MAX_BYTES) {
        size_t n = utf8_bytes(name);
        char c = name.p[0];
        bool is_turn = n == 3 && (memcmp(name.p, "\xe2\x80\xaa", 3) >= 0) &&
                       (memcmp(name.p, "\xe2\x80\xae", 3) <= 0);
        bool is_isolate = n == 3 && (memcmp(name.p, "\xe2\x81\xa6", 3) >= 0) &&
                          (memcmp(name.p, "\xe2\x81\xa9", 3) <= 0);
        bool is_c1 = n == 2 && c == '\xc2' && (unsigned char)name.p[1] < 0xa0;
        if (n == 0 || is_turn || is_isolate || is_c1 ||
            (n == 1 && ((unsigned char)c < ' ' || c == 0x7f || strchr("/\\:*?\"<>|", c))))
            buf_addc(ret, '_');
        else
            buf_add(ret, name.p, n);
        name = slice_skip(name, n ? n : 1);
    }
    if (ret->n > 0 && ret->p[0] == '.')
        ret->p[0] = '_'; /* no hidden files, no ".." */
    if (ret->n == 0)
        buf_adds(ret, SLICE("download"));
}

/* RFC 8187 section 3.2.1. */
static bool is_attr_byte(char c)
{
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$&+-.^_`|~", c));
}

void web_ask_disposition(bool is_attachment, struct slice name, struct buf *ret)
{
    static const char hex[] = "0123456789ABCDEF";
    SCOPED(buf_finish) struct buf whole = buf_make(NAME_MAX_BYTES + 4);
    clean(name, &whole);
    buf_adds(ret, is_attachment ? SLICE("attachment; filename=\"") : SLICE("inline; filename=\""));
    for (size_t i = 0; i < whole.n; i++) {
        unsigned char c = (unsigned char)whole.p[i];
        if (c >= 0x80 && (c & 0xc0) == 0x80)
            continue;                                         /* one mark for each character */
        buf_addc(ret, c >= 0x80 || c == '%' ? '_' : (char)c); /* %41 is read differently by some */
    }
    buf_adds(ret, SLICE("\"; filename*=UTF-8''"));
    for (size_t i = 0; i < whole.n; i++) {
        unsigned char c = (unsigned char)whole.p[i];
        if (is_attr_byte((char)c)) {
            buf_addc(ret, (char)c);
            continue;
        }
        buf_addc(ret, '%');
        buf_addc(ret, hex[c >> 4]);
        buf_addc(ret, hex[c & 15]);
    }
}

/* ---- parts ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 2045 section 6.8: what is no base64 is passed over. A "=" ends a group; what follows it is
 * read on, since some programs join encoded pieces. */
static size_t base64_in_place(char *p, size_t n)
{
    size_t n_out = 0;
    uint32_t group = 0;
    unsigned n_group = 0;
    for (size_t i = 0; i < n; i++) {
        int value = base64_value(p[i]);
        if (value < 0 && p[i] != '=')
            continue;
        if (value >= 0) {
            group = group << 6 | (uint32_t)value;
            n_group++;
        }
        if (n_group == 4 || (value < 0 && n_group > 0)) {
            unsigned n_bytes = n_group * 6 / 8;
            group <<= (4 - n_group) * 6;
            for (unsigned k = 0; k < n_bytes; k++)
                p[n_out++] = (char)(group >> (16 - 8 * k));
            group = n_group = 0;
        }
    }
    for (unsigned k = 0; k < n_group * 6 / 8; k++)
        p[n_out++] = (char)(group << (4 - n_group) * 6 >> (16 - 8 * k));
    return n_out;
}

static int hex_value(char c)
{
    char lower = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The end of the white space from `i` on, when a line ends (or all of it) there; else `i`. */
static size_t line_end(const char *p, size_t n, size_t i)
{
    size_t end = i;
    while (end < n && (p[end] == ' ' || p[end] == '\t'))
        end++;
    bool is_end =
        end == n || p[end] == '\n' || (p[end] == '\r' && end + 1 < n && p[end + 1] == '\n');
    return is_end ? end : i;
}

/* RFC 2045 section 6.7: white space before a line's end came on the way; "=" there joins two lines;
 * "=" before anything but two digits stays as it is. */
static size_t printable_in_place(char *p, size_t n)
{
    size_t n_out = 0;
    for (size_t i = 0; i < n;) {
        if (p[i] == ' ' || p[i] == '\t') {
            size_t end = line_end(p, n, i);
            while (end == i && i < n && (p[i] == ' ' || p[i] == '\t'))
                p[n_out++] = p[i++]; /* the whole run, or a long one is looked at again and again */
            i = end > i ? end : i;
            continue;
        }
        if (p[i] != '=') {
            p[n_out++] = p[i++];
            continue;
        }
        size_t end = line_end(p, n, i + 1);
        bool is_soft = end > i + 1 || end == n || p[end] == '\n' || p[end] == '\r';
        int high = i + 2 < n ? hex_value(p[i + 1]) : -1, low = i + 2 < n ? hex_value(p[i + 2]) : -1;
        if (high >= 0 && low >= 0) {
            p[n_out++] = (char)(high * 16 + low);
            i += 3;
        } else if (is_soft) {
            i = end;
            i += i < n && p[i] == '\r';
            i += i < n && p[i] == '\n';
        } else {
            p[n_out++] = p[i++];
        }
    }
    return n_out;
}

bool web_ask_cut(char *bytes, size_t n, const struct ipc_step *steps, size_t n_steps,
                 struct slice *ret)
{
    char *at = bytes;
    for (size_t i = 0; i < n_steps; i++) {
        const struct ipc_step *step = &steps[i];
        if (step->offset > n || step->bytes > n - step->offset)
            return false;
        at = step->offset > 0 ? at + step->offset : at;
        n = step->bytes;
        switch (step->encoding) {
        case 'n':
            break;
        case 'b':
            n = base64_in_place(at, n);
            break;
        case 'q':
            n = printable_in_place(at, n);
            break;
        default:
            return false;
        }
    }
    *ret = slice_of(at, n);
    return true;
}
