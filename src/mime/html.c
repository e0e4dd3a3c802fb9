/* The words of HTML and of plain text, white space folded. Follows how browsers take broken HTML
 * (WHATWG HTML section 13.2.5) only as far as it decides what is text; the result is read by
 * people and search, it is never shown as HTML. */
#include "mime/mime_int.h"

/* Words go out, one blank between them; what is no visible character at the edge of a word goes. */
struct fold {
    struct buf *ret;
    bool is_blank_due; /* before the next word */
    bool is_full;
    bool with_attributes; /* those that people read, too */
};

static struct fold fold_make(struct buf *ret)
{
    return (struct fold){.ret = ret, .is_blank_due = true};
}

static void fold_add(struct fold *f, const char *p, size_t n)
{
    if (f->is_full || n == 0)
        return;
    if (f->is_blank_due && f->ret->n)
        f->is_full = !utf8_add(f->ret, " ", 1);
    f->is_blank_due = false;
    if (!f->is_full)
        f->is_full = !utf8_add(f->ret, p, n);
    if (f->is_full && f->ret->n && f->ret->p[f->ret->n - 1] == ' ')
        f->ret->n--;
}

enum width { VISIBLE, BLANK, INVISIBLE };

static enum width width_of(uint32_t code)
{
    if (code <= 0x20 || (code >= 0x7f && code <= 0xa0))
        return BLANK;
    if ((code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
        code == 0x205f || code == 0x3000 || code == 0x1680)
        return BLANK;
    /* Joiners, soft hyphens and marks that senders pad previews with. */
    if ((code >= 0x200b && code <= 0x200f) || (code >= 0x2060 && code <= 0x2064) ||
        code == 0xfeff || code == 0xad || code == 0x34f || code == 0x180e || code == 0x61c)
        return INVISIBLE;
    return VISIBLE;
}

static void fold_code(struct fold *f, uint32_t code, const char *p, size_t n)
{
    switch (width_of(code)) {
    case BLANK:
        f->is_blank_due = true;
        return;
    case INVISIBLE: /* inside a word it may join letters, as Persian and emoji need */
        if (!f->is_blank_due && f->ret->n)
            fold_add(f, p, n);
        return;
    case VISIBLE:
        fold_add(f, p, n);
    }
}

static uint32_t decode(struct slice s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (n == 1)
        return p[0];
    if (n == 2)
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (n == 3)
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
           (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

static bool is_word_byte(char c)
{
    return (unsigned char)c > ' ' && (unsigned char)c < 127 && c != '<' && c != '&';
}

/* One run of plain ASCII or one character at s[at]; returns what is behind it. */
static size_t fold_step(struct fold *f, struct slice s, size_t at)
{
    size_t end = at;
    while (end < s.n && is_word_byte(s.p[end]))
        end++;
    if (end > at) {
        fold_add(f, s.p + at, end - at);
        return end;
    }
    if ((unsigned char)s.p[at] <= ' ') {
        f->is_blank_due = true;
        return at + 1;
    }
    size_t n = utf8_char(slice_skip(s, at));
    if (n == 0) { /* the caller promised UTF-8; a stray byte is no reason to fail */
        f->is_blank_due = true;
        return at + 1;
    }
    fold_code(f, decode(slice_skip(s, at), n), s.p + at, n);
    return at + n;
}

unsigned mime_plain_text(struct slice text, struct buf *ret)
{
    struct fold f = fold_make(ret);
    for (size_t at = 0; at < text.n && !f.is_full;)
        at = fold_step(&f, text, at);
    return f.is_full ? MIME_ODD_CUT : 0;
}

/* ---- tags -------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

struct tag_name {
    unsigned char n;
    char name[9];
};
#define TAG(text)                                                                                  \
    {                                                                                              \
        sizeof(text) - 1, text                                                                     \
    }

static bool is_one_of(struct slice name, const struct tag_name *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_name(name, slice_of(v[i].name, v[i].n)))
            return true;
    return false;
}

/* Tags that do not part words. All others do. */
static bool is_inline(struct slice name)
{
    static const struct tag_name NAMES[] = {
        TAG("a"),      TAG("b"),    TAG("i"),    TAG("u"),     TAG("s"),   TAG("em"),
        TAG("strong"), TAG("span"), TAG("font"), TAG("small"), TAG("big"), TAG("sub"),
        TAG("sup"),    TAG("tt"),   TAG("code"), TAG("abbr"),  TAG("wbr"), TAG("ins"),
        TAG("del"),    TAG("mark"), TAG("bdi"),  TAG("bdo"),   TAG("q"),
    };
    return is_one_of(name, NAMES, sizeof(NAMES) / sizeof(NAMES[0]));
}

/* Elements whose content is no text of the message. */
static bool is_hidden(struct slice name)
{
    static const struct tag_name NAMES[] = {TAG("script"), TAG("style"),    TAG("title"),
                                            TAG("iframe"), TAG("template"), TAG("noframes"),
                                            TAG("noembed")};
    return is_one_of(name, NAMES, sizeof(NAMES) / sizeof(NAMES[0]));
}
#undef TAG

/* Behind the '>' of the tag whose attributes start at `at`; quotes hide a '>'. */
static size_t tag_end(struct slice s, size_t at)
{
    while (at < s.n && s.p[at] != '>') {
        if (s.p[at++] != '=')
            continue;
        while (at < s.n && is_blank(s.p[at]))
            at++;
        if (at >= s.n || (s.p[at] != '"' && s.p[at] != '\''))
            continue;
        const char *quote = memchr(s.p + at + 1, s.p[at], s.n - at - 1);
        at = quote ? (size_t)(quote - s.p) + 1 : s.n;
    }
    return at < s.n ? at + 1 : s.n;
}

/* Behind the end tag of a hidden element whose content starts at `at`; the end if there is none. */
static size_t hidden_end(struct slice s, size_t at, struct slice name)
{
    while (at < s.n) {
        const char *p = memchr(s.p + at, '<', s.n - at);
        if (!p)
            return s.n;
        at = (size_t)(p - s.p) + 1;
        if (at >= s.n || s.p[at] != '/' || !slice_istarts(slice_skip(s, at + 1), name))
            continue;
        size_t end = at + 1 + name.n;
        if (end >= s.n || !is_letter(s.p[end]))
            return tag_end(s, end);
    }
    return s.n;
}

/* "<!--" to "-->"; other declarations and processing instructions to '>'. */
static size_t declaration_end(struct slice s, size_t at)
{
    struct slice rest = slice_skip(s, at);
    bool is_comment = slice_starts(rest, SLICE("<!--"));
    if (is_comment && (slice_starts(rest, SLICE("<!-->")) || slice_starts(rest, SLICE("<!--->"))))
        is_comment = false; /* comments that end at once */
    const char *end =
        is_comment ? memmem(rest.p + 4, rest.n - 4, "-->", 3) : memchr(rest.p, '>', rest.n);
    return end ? (size_t)(end - s.p) + (is_comment ? 3 : 1) : s.n;
}

/* ---- attributes -------------------------------------------------------------------------- */

static size_t reference(struct fold *f, struct slice s, size_t at);

/* References are decoded; a '<' is one. */
static void fold_value(struct fold *f, struct slice value)
{
    f->is_blank_due = true;
    for (size_t at = 0; at < value.n && !f->is_full;) {
        size_t behind = value.p[at] == '&' ? reference(f, value, at) : at;
        if (behind == at && (value.p[at] == '&' || value.p[at] == '<'))
            fold_add(f, value.p + at++, 1);
        else
            at = behind > at ? behind : fold_step(f, value, at);
    }
    f->is_blank_due = true;
}

/* The value that starts at `at`, without its quotes; returns what is behind it. */
static size_t attribute_value(struct slice s, size_t at, struct slice *ret)
{
    size_t start = at;
    bool is_quoted = at < s.n && (s.p[at] == '"' || s.p[at] == '\'');
    if (is_quoted) {
        const char *quote = memchr(s.p + at + 1, s.p[at], s.n - at - 1);
        size_t end = quote ? (size_t)(quote - s.p) : s.n;
        *ret = slice_from_to(s, start + 1, end);
        return end + (quote != NULL);
    }
    while (at < s.n && !is_blank(s.p[at]))
        at++;
    *ret = slice_from_to(s, start, at);
    return at;
}

/* What is written in a tag for people: alt and title (RFC 8621 section 4.4.1). */
static void fold_attributes(struct fold *f, struct slice s)
{
    for (size_t at = 0; at < s.n && !f->is_full;) {
        size_t start = at;
        while (at < s.n && !is_blank(s.p[at]) && s.p[at] != '=' && s.p[at] != '/')
            at++;
        struct slice value = SLICE(""), name = slice_from_to(s, start, at);
        size_t after_name = at;
        while (at < s.n && is_blank(s.p[at]))
            at++;
        if (at < s.n && s.p[at] == '=' && name.n) {
            for (at++; at < s.n && is_blank(s.p[at]);)
                at++;
            at = attribute_value(s, at, &value);
        } else if (at == after_name) {
            at++;
        }
        if (value.n && (is_name(name, SLICE("alt")) || is_name(name, SLICE("title"))))
            fold_value(f, value);
    }
}

/* At a '<': returns what is behind the tag, or `at` if it is no tag but text. */
static size_t skip_tag(struct fold *f, struct slice s, size_t at)
{
    size_t name_start = at + 1;
    if (name_start >= s.n)
        return at;
    if (s.p[name_start] == '!' || s.p[name_start] == '?')
        return declaration_end(s, at);
    bool is_end_tag = s.p[name_start] == '/';
    name_start += is_end_tag;
    if (name_start >= s.n || !is_letter(s.p[name_start]))
        return is_end_tag ? declaration_end(s, at) : at;
    size_t name_end = name_start;
    while (name_end < s.n && !is_blank(s.p[name_end]) && s.p[name_end] != '>' &&
           s.p[name_end] != '/' && s.p[name_end] != '\f')
        name_end++;
    struct slice name = slice_from_to(s, name_start, name_end);
    size_t end = tag_end(s, name_end);
    if (!is_inline(name))
        f->is_blank_due = true;
    if (f->with_attributes && !is_end_tag)
        fold_attributes(f, slice_from_to(s, name_end, end - (s.p[end - 1] == '>')));
    return !is_end_tag && is_hidden(name) ? hidden_end(s, end, name) : end;
}

/* ---- character references ---------------------------------------------------------------- */

static uint32_t number_code(struct slice digits, unsigned base)
{
    uint32_t code = 0;
    for (size_t i = 0; i < digits.n; i++) {
        int v = hex_digit(digits.p[i]);
        if (v < 0 || (unsigned)v >= base)
            return 0;
        code = code < 0x110000 ? code * base + (unsigned)v : code;
    }
    return code;
}

/* At a '&': returns what is behind the reference, or `at` if there is none. */
static size_t reference(struct fold *f, struct slice s, size_t at)
{
    enum { NAME_MAX_BYTES = 12 };
    size_t start = at + 1, end = start;
    bool is_number = start < s.n && s.p[start] == '#';
    end += is_number;
    while (end < s.n && end - start < NAME_MAX_BYTES &&
           (is_letter(s.p[end]) || (s.p[end] >= '0' && s.p[end] <= '9')))
        end++;
    struct slice name = slice_from_to(s, start, end);
    bool is_hex = is_number && name.n > 2 && ascii_lower(name.p[1]) == 'x';
    uint32_t code = is_hex      ? number_code(slice_skip(name, 2), 16)
                    : is_number ? number_code(slice_skip(name, 1), 10)
                                : entity_code(name);
    if (code == 0)
        return at;
    char text[8];
    struct buf one = {.p = text, .cap = sizeof(text), .max = sizeof(text) - 1};
    char byte = (char)code;
    if (code >= 0x80 && code < 0xa0) /* meant as windows-1252, says WHATWG */
        (void)mime_charset_decode(SLICE("windows-1252"), slice_of(&byte, 1), &one);
    else
        utf8_encode(code, &one);
    fold_code(f, decode(buf_slice(&one), one.n), one.p, one.n);
    return end + (end < s.n && s.p[end] == ';');
}

static unsigned html_text(struct slice html, struct fold f)
{
    size_t at = 0;
    while (at < html.n && !f.is_full) {
        char c = html.p[at];
        size_t behind = c == '<' ? skip_tag(&f, html, at) : c == '&' ? reference(&f, html, at) : at;
        if (behind > at) {
            at = behind;
        } else if (c == '<' || c == '&') {
            fold_add(&f, &c, 1);
            at++;
        } else {
            at = fold_step(&f, html, at);
        }
    }
    return f.is_full ? MIME_ODD_CUT : 0;
}

unsigned mime_html_text(struct slice html, struct buf *ret)
{
    return html_text(html, fold_make(ret));
}

unsigned mime_html_words(struct slice html, struct buf *ret)
{
    struct fold f = fold_make(ret);
    f.with_attributes = true;
    return html_text(html, f);
}
