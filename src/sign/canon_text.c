/* Fields, tag lists and base64: the text that signatures are written in (RFC 6376 section 3.2,
 * RFC 4648). Not a mail parser: fields are only told apart. */
#include "canon.h"

#include <openssl/evp.h>

bool sign_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

uint32_t sign_name_hash(struct slice name)
{
    uint32_t h = 2166136261u; /* FNV-1a: a filter before a comparison, not a defence */
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)ascii_lower(name.p[i])) * 16777619u;
    return h;
}

bool sign_field_is(const struct sign_field *f, struct slice name)
{
    return f->name_hash == sign_name_hash(name) && slice_ieq(f->name, name);
}

/* Where the field that starts at 0 ends: after the CRLF that no blank follows. */
static size_t field_end(struct slice s)
{
    size_t at = 0;
    while (at < s.n) {
        const char *lf = memchr(s.p + at, '\n', s.n - at);
        if (!lf)
            return s.n;
        size_t lf_at = (size_t)(lf - s.p);
        at = lf_at + 1;
        bool is_line_end = lf_at > 0 && s.p[lf_at - 1] == '\r';
        if (is_line_end && (at == s.n || !is_wsp(s.p[at])))
            return at;
    }
    return s.n;
}

bool sign_field_next(struct slice *rest, struct sign_field *ret)
{
    struct slice s = *rest;
    if (s.n == 0 || slice_starts(s, SLICE("\r\n")))
        return false;
    struct slice raw = slice_of(s.p, field_end(s));
    struct slice line = raw;
    if (line.n >= 2 && memcmp(line.p + line.n - 2, "\r\n", 2) == 0)
        line.n -= 2;
    struct slice value;
    struct slice name = slice_cut(line, ':', &value);
    if (name.n == line.n) {
        name.n = 0; /* no colon: not a field, but it is there */
        value = line;
    }
    while (name.n > 0 && is_wsp(name.p[name.n - 1]))
        name.n--;
    *ret = (struct sign_field){
        .raw = raw, .name = name, .value = value, .name_hash = sign_name_hash(name)};
    *rest = slice_skip(s, raw.n);
    return true;
}

bool sign_message_split(struct slice message, struct sign_message *ret)
{
    struct slice rest = message;
    struct sign_field f;
    size_t n = 0;
    while (sign_field_next(&rest, &f)) {
        if (n == SIGN_FIELDS_MAX || message.n - rest.n > SIGN_HEADER_MAX)
            return false;
        ret->fields[n++] = f;
    }
    ret->n_fields = n;
    ret->body = slice_skip(rest, 2);
    return true;
}

/* ---- tag lists ---------------------------------------------------------------------------- */

static bool is_tag_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        bool is_letter = c >= 'a' && c <= 'z';
        bool is_later = i > 0 && ((c >= '0' && c <= '9') || c == '_');
        if (!is_letter && !is_later)
            return false;
    }
    return s.n > 0;
}

static bool is_tag_value(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && !sign_is_blank((char)c)) || c == 0x7f)
            return false;
    }
    return true;
}

bool sign_tags_parse(struct slice text, struct sign_tags *ret)
{
    struct sign_tags t;
    t.n = 0;
    struct slice rest = text;
    while (rest.n > 0) {
        struct slice value;
        struct slice spec = slice_trim(slice_cut(rest, ';', &rest));
        if (spec.n == 0 && slice_trim(rest).n == 0)
            break; /* the list may end with ';' */
        struct slice name = slice_trim(slice_cut(spec, '=', &value));
        value = slice_trim(value);
        if (slice_find(spec, '=') < 0 || !is_tag_name(name) || !is_tag_value(value))
            return false;
        for (size_t i = 0; i < t.n; i++)
            if (slice_eq(t.tags[i].name, name))
                return false;
        if (t.n == SIGN_TAGS_MAX)
            return false;
        t.tags[t.n++] = (struct sign_tag){name, value};
    }
    *ret = t;
    return t.n > 0;
}

const struct slice *sign_tags_get(const struct sign_tags *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (slice_eq(t->tags[i].name, slice_str(name)))
            return &t->tags[i].value;
    return NULL;
}

/* ---- base64 ------------------------------------------------------------------------------- */

void sign_base64_add(struct buf *out, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        unsigned char four[5 * 16];
        size_t part = n < 48 ? n : 48;
        int len = EVP_EncodeBlock(four, p, (int)part);
        buf_add(out, four, (size_t)len);
        p += part;
        n -= part;
    }
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

bool sign_base64_read(struct slice text, uint8_t *ret, size_t max, size_t *ret_n)
{
    uint32_t bits = 0;
    size_t n_digits = 0, n_pads = 0, n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (sign_is_blank(text.p[i]))
            continue;
        if (text.p[i] == '=') {
            n_pads++;
            continue;
        }
        int digit = base64_digit(text.p[i]);
        if (digit < 0 || n_pads > 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        n_digits++;
        if (n_digits % 4 == 1)
            continue; /* six bits are no byte yet */
        if (n == max)
            return false;
        ret[n++] = (uint8_t)(bits >> (n_digits % 4 == 0 ? 0 : (n_digits % 4 == 2 ? 4 : 2)));
    }
    /* Keys in the DNS often lack the padding; too much of it is a mistake. */
    size_t missing = (4 - n_digits % 4) % 4;
    if (n_digits % 4 == 1 || (n_pads != missing && n_pads != 0))
        return false;
    *ret_n = n;
    return true;
}
