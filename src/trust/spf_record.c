/* The grammar of an SPF record (RFC 7208 section 12). Takes bytes, gives terms; asks nobody. */
#include "spf_int.h"

static bool is_alpha(char c)
{
    c = ascii_lower(c);
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool spf_is_record(struct slice text)
{
    if (!slice_istarts(text, SLICE("v=spf1")))
        return false;
    return text.n == 6 || text.p[6] == ' ';
}

/* toplabel: letters, digits and inner hyphens, not all digits. */
static bool is_top_label(struct slice s)
{
    if (s.n == 0 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    bool has_other = false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '-')
            return false;
        has_other = has_other || !is_digit(s.p[i]);
    }
    return has_other;
}

/* macro-string, and how many plain bytes are at its end. */
static bool is_macro_string(struct slice s, enum spf_use use, size_t *ret_plain)
{
    *ret_plain = 0;
    for (size_t at = 0; at < s.n;) {
        bool is_macro;
        size_t n = spf_macro_length(slice_skip(s, at), use, &is_macro);
        if (n == 0)
            return false;
        *ret_plain = is_macro ? 0 : *ret_plain + 1;
        at += n;
    }
    return true;
}

/* domain-spec: a macro string that ends in a macro or in "." toplabel. */
static bool is_domain_spec(struct slice s)
{
    size_t n_plain;
    if (s.n == 0 || !is_macro_string(s, SPF_USE_NAME, &n_plain))
        return false;
    if (n_plain == 0)
        return true;
    struct slice tail = trust_name_trim(slice_skip(s, s.n - n_plain));
    size_t dot = tail.n;
    while (dot > 0 && tail.p[dot - 1] != '.')
        dot--;
    return dot > 0 && is_top_label(slice_skip(tail, dot));
}

/* Takes "/n" or "//n" off the end of `*s`; without one `*ret` stays. False: not a prefix length. */
static bool cut_prefix(struct slice *s, const char *slashes, unsigned max, unsigned *ret)
{
    size_t at = s->n, n_slashes = strlen(slashes);
    while (at > 0 && is_digit(s->p[at - 1]))
        at--;
    struct slice digits = slice_skip(*s, at);
    if (digits.n == 0 || at < n_slashes || memcmp(s->p + at - n_slashes, slashes, n_slashes) != 0)
        return true;
    uint64_t value;
    if (!slice_u64(digits, max, &value) || (digits.n > 1 && digits.p[0] == '0'))
        return false;
    *ret = (unsigned)value;
    s->n = at - n_slashes;
    return true;
}

/* [":" domain-spec] [dual-cidr-length] of a and mx. */
static bool parse_dual(struct slice arg, struct spf_term *t)
{
    if (!cut_prefix(&arg, "//", 128, &t->cidr6) || !cut_prefix(&arg, "/", 32, &t->cidr4))
        return false;
    if (arg.n == 0)
        return true;
    t->domain = slice_skip(arg, 1);
    return arg.p[0] == ':' && is_domain_spec(t->domain);
}

static bool parse_address(struct slice arg, bool is_v6, struct spf_term *t)
{
    if (arg.n == 0 || arg.p[0] != ':')
        return false;
    if (!cut_prefix(&arg, "/", is_v6 ? 128 : 32, is_v6 ? &t->cidr6 : &t->cidr4))
        return false;
    struct slice text = slice_skip(arg, 1);
    return trust_ip_read(text, is_v6, &t->ip);
}

static bool parse_needed_domain(struct slice arg, struct spf_term *t)
{
    t->domain = slice_skip(arg, 1);
    return arg.n > 0 && arg.p[0] == ':' && is_domain_spec(t->domain);
}

static bool parse_mechanism_args(struct slice arg, struct spf_term *t)
{
    switch (t->kind) {
    case SPF_ALL:
        return arg.n == 0;
    case SPF_INCLUDE:
    case SPF_EXISTS:
        return parse_needed_domain(arg, t);
    case SPF_PTR:
        return arg.n == 0 || parse_needed_domain(arg, t);
    case SPF_A:
    case SPF_MX:
        return parse_dual(arg, t);
    case SPF_IP4:
        return parse_address(arg, false, t);
    case SPF_IP6:
        return parse_address(arg, true, t);
    case SPF_REDIRECT:
    case SPF_EXP:
    case SPF_OTHER:
        break;
    }
    return false;
}

static bool parse_mechanism(struct slice token, struct spf_term *t)
{
    static const struct {
        struct slice name;
        enum spf_kind kind;
    } names[] = {
        {SLICE("all"), SPF_ALL}, {SLICE("include"), SPF_INCLUDE}, {SLICE("a"), SPF_A},
        {SLICE("mx"), SPF_MX},   {SLICE("ptr"), SPF_PTR},         {SLICE("ip4"), SPF_IP4},
        {SLICE("ip6"), SPF_IP6}, {SLICE("exists"), SPF_EXISTS},
    };
    if (token.n > 0 && strchr("+-?~", token.p[0])) {
        t->qualifier = token.p[0];
        token = slice_skip(token, 1);
    }
    size_t n = 0;
    while (n < token.n && token.p[n] != ':' && token.p[n] != '/')
        n++;
    struct slice name = slice_of(token.p, n);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!slice_ieq(name, names[i].name))
            continue;
        t->kind = names[i].kind;
        return parse_mechanism_args(slice_skip(token, n), t);
    }
    return false;
}

/* name "=" macro-string; the two known ones take a domain-spec (section 6). */
static bool parse_modifier(struct slice name, struct slice value, struct spf_term *t)
{
    size_t n_plain;
    t->domain = value;
    t->kind = SPF_OTHER;
    if (slice_ieq(name, SLICE("redirect")))
        t->kind = SPF_REDIRECT;
    if (slice_ieq(name, SLICE("exp")))
        t->kind = SPF_EXP;
    if (t->kind == SPF_OTHER)
        return is_macro_string(value, SPF_USE_TEXT, &n_plain);
    return is_domain_spec(value);
}

/* Bytes of a modifier's name that "=" follows, or 0. */
static size_t modifier_name(struct slice token)
{
    size_t n = 0;
    while (n < token.n &&
           (is_alpha(token.p[n]) || (n > 0 && (is_digit(token.p[n]) || token.p[n] == '-' ||
                                               token.p[n] == '_' || token.p[n] == '.'))))
        n++;
    return n < token.n && token.p[n] == '=' ? n : 0;
}

enum spf_step spf_term_next(struct slice *rest, struct spf_term *ret)
{
    struct slice s = *rest;
    while (s.n > 0 && s.p[0] == ' ')
        s = slice_skip(s, 1);
    if (s.n == 0)
        return SPF_END;
    struct slice token = slice_cut(s, ' ', rest);
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] > '~')
            return SPF_BROKEN;
    *ret = (struct spf_term){.qualifier = '+', .cidr4 = 32, .cidr6 = 128};
    size_t n = modifier_name(token);
    bool is_ok = n > 0 ? parse_modifier(slice_of(token.p, n), slice_skip(token, n + 1), ret)
                       : parse_mechanism(token, ret);
    return is_ok ? SPF_TERM : SPF_BROKEN;
}

bool spf_record_parse(struct slice text, struct spf_record *ret)
{
    struct spf_record r = {.terms = slice_skip(text, 6)};
    struct slice rest = r.terms;
    if (text.n > TRUST_TXT_MAX)
        return false;
    for (;;) {
        struct spf_term t;
        enum spf_step step = spf_term_next(&rest, &t);
        if (step == SPF_END)
            break;
        if (step == SPF_BROKEN)
            return false;
        struct slice *only = t.kind == SPF_REDIRECT ? &r.redirect : &r.exp;
        if (t.kind != SPF_REDIRECT && t.kind != SPF_EXP)
            continue;
        if (only->n > 0)
            return false; /* each at most once */
        *only = t.domain;
    }
    *ret = r;
    return true;
}
