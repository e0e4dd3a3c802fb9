/* What programs and pages send: the header Authorization, and the JSON of a log-in. */
#include "login/login_int.h"

#include <sodium.h>

/* ---- Authorization ---- */

static bool keep(struct slice s, char *to, size_t max, size_t *ret_n)
{
    if (s.n > max)
        return false;
    if (s.n)
        memcpy(to, s.p, s.n);
    *ret_n = s.n;
    return true;
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return true;
    return false;
}

/* Padding is left out by some. */
static bool decode(struct slice s, char *to, size_t max, size_t *ret_n)
{
    const char *end = NULL;
    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    return sodium_base642bin((unsigned char *)to, max, s.p, s.n, NULL, ret_n, &end,
                             sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
           end == s.p + s.n;
}

static bool read_basic(struct slice value, struct login_form *ret)
{
    char plain[LOGIN_HEADER_MAX];
    size_t n = 0;
    struct slice secret = {};
    bool is_good = value.n > 0 && decode(value, plain, sizeof(plain), &n);
    struct slice all = slice_of(plain, n);
    /* RFC 7617 section 2: the user has no colon, the password may. */
    is_good = is_good && slice_find(all, ':') > 0 && !has_control(all);
    if (is_good) {
        struct slice user = slice_cut(all, ':', &secret);
        is_good = keep(user, ret->address, sizeof(ret->address), &ret->n_address) &&
                  keep(secret, ret->secret, sizeof(ret->secret), &ret->n_secret);
    }
    ret->way = LOGIN_BY_PASSWORD;
    login_wipe(plain, sizeof(plain));
    return is_good;
}

bool login_read_header(struct slice header, struct login_form *ret)
{
    struct slice value, scheme = slice_cut(slice_trim(header), ' ', &value);
    bool is_good = false;
    *ret = (struct login_form){};
    value = slice_trim(value);
    if (header.n <= LOGIN_HEADER_MAX && slice_ieq(scheme, SLICE("Basic"))) {
        is_good = read_basic(value, ret);
    } else if (header.n <= LOGIN_HEADER_MAX && slice_ieq(scheme, SLICE("Bearer"))) {
        ret->way = LOGIN_BY_TOKEN;
        is_good = value.n > 0 && keep(value, ret->secret, sizeof(ret->secret), &ret->n_secret);
    }
    if (!is_good)
        login_form_wipe(ret);
    return is_good;
}

/* ---- JSON: a flat object of texts, read by ourselves, since a library's copies stay ---- */

static void skip_blanks(struct slice *s)
{
    while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t' || s->p[0] == '\n' || s->p[0] == '\r'))
        *s = slice_skip(*s, 1);
}

static bool take(struct slice *s, char c)
{
    skip_blanks(s);
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

static bool read_hex(struct slice *s, uint32_t *ret)
{
    *ret = 0;
    for (int i = 0; i < 4; i++) {
        char c = s->n > 0 ? ascii_lower(s->p[0]) : ' ';
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f'))
            return false;
        *ret = *ret * 16 + (uint32_t)(is_digit ? c - '0' : c - 'a' + 10);
        *s = slice_skip(*s, 1);
    }
    return true;
}

/* Behind "\u"; a pair of surrogates is one character (RFC 8259 section 7). */
static bool read_unicode(struct slice *s, uint32_t *ret)
{
    uint32_t low;
    if (!read_hex(s, ret))
        return false;
    if (*ret < 0xd800 || *ret > 0xdfff)
        return true;
    if (*ret > 0xdbff || !slice_starts(*s, SLICE("\\u")))
        return false;
    *s = slice_skip(*s, 2);
    if (!read_hex(s, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static size_t utf8_of(uint32_t c, char ret[4])
{
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        ret[i] = (char)(0x80 | (c & 0x3f));
    ret[0] = (char)(first[n] | c);
    return n;
}

/* The character behind a backslash. */
static bool read_escape(struct slice *s, char ret[4], size_t *ret_n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t c;
    const char *at = s->n > 0 && s->p[0] ? strchr(from, s->p[0]) : NULL;
    bool is_unicode = s->n > 0 && s->p[0] == 'u';
    if (!at && !is_unicode)
        return false;
    *s = slice_skip(*s, 1);
    if (is_unicode) {
        if (!read_unicode(s, &c))
            return false;
        *ret_n = utf8_of(c, ret);
        return true;
    }
    ret[0] = to[at - from];
    *ret_n = 1;
    return true;
}

/* A text of at most `max` bytes without control characters. */
static bool read_text(struct slice *s, char *to, size_t max, size_t *ret_n)
{
    size_t n = 0;
    if (!take(s, '"'))
        return false;
    while (s->n > 0 && s->p[0] != '"') {
        char c[4] = {s->p[0]};
        size_t n_c = 1;
        bool is_escaped = c[0] == '\\';
        *s = slice_skip(*s, 1);
        if ((is_escaped && !read_escape(s, c, &n_c)) || n + n_c > max ||
            has_control(slice_of(c, n_c)))
            return false;
        memcpy(to + n, c, n_c);
        n += n_c;
    }
    *ret_n = n;
    return take(s, '"');
}

/* Those that were seen. */
enum { SEEN_ADDRESS = 1, SEEN_PASSWORD = 2, SEEN_CODE = 4, SEEN_NAME = 8 };

static unsigned member_of(struct slice name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } members[] = {{"address", SEEN_ADDRESS},
                   {"password", SEEN_PASSWORD},
                   {"code", SEEN_CODE},
                   {"name", SEEN_NAME}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (slice_eq(name, slice_str(members[i].name)))
            return members[i].bit;
    return 0;
}

static bool read_member(struct slice *s, unsigned *seen, struct login_form *ret)
{
    char name[16];
    size_t n;
    if (!read_text(s, name, sizeof(name), &n) || !take(s, ':'))
        return false;
    unsigned bit = member_of(slice_of(name, n));
    if (!bit || (*seen & bit))
        return false;
    *seen |= bit;
    if (bit == SEEN_ADDRESS)
        return read_text(s, ret->address, sizeof(ret->address), &ret->n_address);
    if (bit == SEEN_NAME)
        return read_text(s, ret->name, sizeof(ret->name), &ret->n_name);
    ret->way = bit == SEEN_CODE ? LOGIN_BY_CODE : LOGIN_BY_PASSWORD;
    return read_text(s, ret->secret, sizeof(ret->secret), &ret->n_secret);
}

static bool read_object(struct slice s, unsigned *seen, struct login_form *ret)
{
    bool is_good = take(&s, '{');
    if (is_good && take(&s, '}'))
        is_good = true;
    else {
        while (is_good && (is_good = read_member(&s, seen, ret)) && take(&s, ','))
            ;
        is_good = is_good && take(&s, '}');
    }
    skip_blanks(&s);
    return is_good && s.n == 0;
}

bool login_read_json(struct slice json, struct login_form *ret, const char **ret_why)
{
    unsigned seen = 0, secrets = SEEN_PASSWORD | SEEN_CODE;
    *ret = (struct login_form){};
    *ret_why = NULL;
    if (json.n > LOGIN_JSON_MAX)
        *ret_why = "the request is longer than 4096 bytes";
    else if (!read_object(json, &seen, ret))
        *ret_why =
            "it must be {\"address\": …, \"password\" or \"code\": …, \"name\": …}, all texts";
    else if (!(seen & SEEN_ADDRESS) || !(seen & secrets))
        *ret_why = "it needs an address, and a password or a code";
    else if ((seen & secrets) == secrets)
        *ret_why = "it must hold a password or a code, not both";
    if (*ret_why)
        login_form_wipe(ret);
    return !*ret_why;
}
