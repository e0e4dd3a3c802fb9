/* Addresses of the envelope: RFC 5321 section 4.1.2, RFC 6531 section 3.3. Addresses in message
 * headers have another grammar (comments, folding, groups) and are mime's. */
#include "wire/wire_int.h"

static bool is_atext(char c)
{
    return wire_is_8bit(c) || wire_is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_dot_string(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_dot = s.p[i] == '.';
        if (!is_dot && !is_atext(s.p[i]))
            return false;
        if (is_dot && (i == 0 || i + 1 == s.n || s.p[i + 1] == '.'))
            return false;
    }
    return s.n > 0;
}

/* Length of the quoted string at the start of `s` with its quotes; 0: none or not closed. */
static size_t quoted_n(struct slice s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i + 1;
        if (s.p[i] != '\\')
            continue;
        i++;
        if (i < s.n && wire_is_8bit(s.p[i]))
            return 0; /* quoted-pairs are ASCII only: RFC 6531 leaves them alone */
    }
    return 0;
}

static struct wire_verdict bytes_check(struct slice s, bool with_utf8)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = wire_utf8_one(slice_skip(s, i));
        unsigned char c = (unsigned char)s.p[i];
        if (c < 32 || c == 127)
            return wire_wrong(WIRE_SYNTAX, "control character");
        if (c >= 128 && !with_utf8)
            return wire_wrong(WIRE_NON_ASCII, "address outside ASCII needs SMTPUTF8");
        if (n == 0)
            return wire_wrong(WIRE_NON_ASCII, "address is not valid UTF-8");
        if (n == 2 && c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
            return wire_wrong(WIRE_SYNTAX, "control character");
        i += n;
    }
    return wire_fine();
}

static struct wire_verdict label_check(struct slice label)
{
    bool has_8bit = false;
    if (label.n == 0)
        return wire_wrong(WIRE_SYNTAX, "empty label in the domain");
    for (size_t i = 0; i < label.n; i++) {
        char c = label.p[i];
        has_8bit |= wire_is_8bit(c);
        /* DEVIATES: the RFC has no underscore, but domains with one receive mail in practice. */
        if (!wire_is_8bit(c) && !wire_is_alnum(c) && c != '-' && c != '_')
            return wire_wrong(WIRE_SYNTAX, "character not allowed in a domain");
    }
    if (label.p[0] == '-' || label.p[label.n - 1] == '-')
        return wire_wrong(WIRE_SYNTAX, "hyphen at the edge of a domain's label");
    /* The limit of a U-label counts its A-label, which is the resolver's to make. */
    if (!has_8bit && label.n > 63)
        return wire_wrong(WIRE_TOO_LONG, "label of the domain over 63 bytes");
    return wire_fine();
}

struct wire_verdict wire_domain_check(struct slice domain, bool with_utf8)
{
    if (domain.n == 0)
        return wire_wrong(WIRE_SYNTAX, "empty domain");
    if (domain.n > WIRE_DOMAIN_MAX)
        return wire_wrong(WIRE_TOO_LONG, "domain over 255 bytes");
    struct wire_verdict v = bytes_check(domain, with_utf8);
    bool is_number = false;
    while (v.fault == WIRE_FINE && domain.p) {
        ptrdiff_t dot = slice_find(domain, '.');
        struct slice label = dot < 0 ? domain : slice_of(domain.p, (size_t)dot);
        uint64_t number;
        v = label_check(label);
        is_number = slice_u64(label, UINT64_MAX, &number);
        domain = dot < 0 ? (struct slice){NULL, 0} : slice_skip(domain, (size_t)dot + 1);
    }
    if (v.fault == WIRE_FINE && is_number)
        return wire_wrong(WIRE_SYNTAX, "number as top-level domain, or an IP without brackets");
    return v;
}

/* [192.0.2.1] or [IPv6:2001:db8::1]; no other tag was ever registered. */
static bool literal_parse(struct slice s, struct wire_ip *ret)
{
    if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']')
        return false;
    struct slice inner = slice_of(s.p + 1, s.n - 2);
    bool is_v6 = slice_istarts(inner, SLICE("IPv6:"));
    if (is_v6)
        inner = slice_skip(inner, 5);
    return (slice_find(inner, ':') >= 0) == is_v6 && wire_ip_parse(inner, ret);
}

struct wire_verdict wire_address_split(struct slice address, bool with_utf8,
                                       struct wire_address *ret)
{
    struct wire_address a = {.text = address};
    if (address.n > WIRE_PATH_MAX - 2)
        return wire_wrong(WIRE_TOO_LONG, "path over 256 bytes");
    struct wire_verdict v = bytes_check(address, with_utf8);
    if (v.fault != WIRE_FINE)
        return v;
    a.is_quoted = address.n > 0 && address.p[0] == '"';
    ptrdiff_t at = slice_find(address, '@');
    size_t local_n = a.is_quoted ? quoted_n(address) : (size_t)(at < 0 ? 0 : at);
    if (local_n == 0)
        return wire_wrong(WIRE_SYNTAX, a.is_quoted ? "quoted local part" : "no local part");
    if (local_n >= address.n || address.p[local_n] != '@')
        return wire_wrong(WIRE_SYNTAX, "no @ behind the local part");
    a.local = slice_of(address.p, local_n);
    a.domain = slice_skip(address, local_n + 1);
    if (!a.is_quoted && !is_dot_string(a.local))
        return wire_wrong(WIRE_SYNTAX, "character or dot not allowed in the local part");
    struct wire_ip ip;
    a.is_literal = a.domain.n > 0 && a.domain.p[0] == '[';
    if (a.is_literal && !literal_parse(a.domain, &ip))
        return wire_wrong(WIRE_SYNTAX, "address literal");
    v = a.is_literal ? wire_fine() : wire_domain_check(a.domain, with_utf8);
    if (v.fault != WIRE_FINE)
        return v;
    for (size_t i = 0; i < address.n; i++)
        a.is_utf8 |= wire_is_8bit(address.p[i]);
    *ret = a;
    return v;
}

size_t wire_local_plain(struct slice local, char ret[WIRE_LOCAL_MAX])
{
    size_t n = 0;
    must(local.n <= WIRE_LOCAL_MAX);
    if (local.n < 2 || local.p[0] != '"') {
        memcpy(ret, local.n ? local.p : "", local.n);
        return local.n;
    }
    for (size_t i = 1; i + 1 < local.n; i++) {
        if (local.p[i] == '\\')
            i++;
        ret[n++] = local.p[i];
    }
    return n;
}

static void add_lower(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addc(out, ascii_lower(s.p[i]));
}

static void add_quoted(struct buf *out, struct slice plain)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < plain.n; i++) {
        if (plain.p[i] == '"' || plain.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, ascii_lower(plain.p[i]));
    }
    buf_addc(out, '"');
}

struct wire_verdict wire_address_key(struct slice address, struct buf *out)
{
    struct wire_address a;
    struct wire_verdict v = wire_address_split(address, true, &a);
    if (v.fault != WIRE_FINE)
        return v;
    char plain[WIRE_LOCAL_MAX];
    struct slice local = slice_of(plain, wire_local_plain(a.local, plain));
    if (is_dot_string(local))
        add_lower(out, local);
    else
        add_quoted(out, local);
    buf_addc(out, '@');
    struct wire_ip ip;
    if (!a.is_literal) {
        add_lower(out, a.domain);
    } else if (literal_parse(a.domain, &ip)) { /* it was checked; here we want its one form */
        buf_addf(out, "[%s%s]", ip.version == 6 ? "ipv6:" : "", wire_ip_text(ip).s);
    }
    return v;
}

struct wire_verdict wire_forward_split(struct slice text, bool with_utf8, struct wire_address *ret)
{
    if (!slice_ieq(text, SLICE("postmaster"))) /* RFC 5321 section 4.1.1.3 */
        return wire_address_split(text, with_utf8, ret);
    *ret = (struct wire_address){.text = text, .local = text};
    return wire_fine();
}

struct wire_verdict wire_helo_parse(struct slice args, struct wire_helo *ret)
{
    struct wire_helo helo = {.kind = WIRE_HELO_ODD, .name = args};
    if (args.n == 0)
        return wire_wrong(WIRE_SYNTAX, "a host name is missing");
    if (args.n > WIRE_DOMAIN_MAX)
        return wire_wrong(WIRE_TOO_LONG, "host name over 255 bytes");
    for (size_t i = 0; i < args.n; i++)
        if (wire_is_8bit(args.p[i])) /* RFC 6531 section 3.7.1: A-labels here */
            return wire_wrong(WIRE_NON_ASCII, "host name outside ASCII");
    if (!wire_all_graph(args))
        return wire_wrong(WIRE_SYNTAX, "blank or control character in the host name");
    if (literal_parse(args, &helo.ip))
        helo.kind = WIRE_HELO_LITERAL;
    else if (wire_domain_check(args, false).fault == WIRE_FINE)
        helo.kind = WIRE_HELO_DOMAIN;
    *ret = helo;
    return wire_fine();
}
