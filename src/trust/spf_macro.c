/* Macro strings of SPF (RFC 7208 section 7): checked first, expanded when used. What they expand
 * to comes partly from the peer, so it is bounded and may be any bytes. */
#include "spf_int.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
    EXPANDED_MAX = 16 * 1024, /* before a name is cut to length */
    VALUE_MAX = TRUST_LOCAL_MAX + 1 + TRUST_NAME_MAX + 1,
    KEEP_ALL = 1000
};

struct macro {
    size_t length; /* of all of it */
    char letter;   /* lower case */
    bool is_escaped;
    bool is_reversed;
    unsigned keep; /* so many parts from the right */
    struct slice delimiters;
};

/* "{letter digits r delimiters}" after a '%'. */
static bool macro_parse(struct slice s, enum spf_use use, struct macro *ret)
{
    struct macro m = {.keep = KEEP_ALL, .delimiters = SLICE(".")};
    size_t at = 2;
    if (s.n < 4 || s.p[1] != '{')
        return false;
    m.letter = ascii_lower(s.p[at]);
    m.is_escaped = s.p[at] != m.letter;
    at++;
    if (!m.letter || !strchr(use == SPF_USE_TEXT ? "slodipvhcrt" : "slodipvh", m.letter))
        return false;
    size_t digits = at;
    unsigned keep = 0;
    for (; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++)
        if (keep < KEEP_ALL)
            keep = keep * 10 + (unsigned)(s.p[at] - '0');
    if (at > digits && keep == 0)
        return false;
    if (at > digits)
        m.keep = keep;
    m.is_reversed = at < s.n && ascii_lower(s.p[at]) == 'r';
    at += m.is_reversed ? 1 : 0;
    size_t from = at;
    while (at < s.n && s.p[at] != '\0' && strchr(".-+,/_=", s.p[at]))
        at++;
    if (at > from)
        m.delimiters = slice_of(s.p + from, at - from);
    if (at == s.n || s.p[at] != '}')
        return false;
    m.length = at + 1;
    *ret = m;
    return true;
}

size_t spf_macro_length(struct slice s, enum spf_use use, bool *ret_is_macro)
{
    struct macro m;
    *ret_is_macro = s.p[0] == '%';
    if (!*ret_is_macro)
        return s.p[0] >= ' ' && s.p[0] <= '~' ? 1 : 0;
    if (s.n >= 2 && (s.p[1] == '%' || s.p[1] == '_' || s.p[1] == '-'))
        return 2;
    return macro_parse(s, use, &m) ? m.length : 0;
}

/* ---- values ------------------------------------------------------------------------------- */

static void add_ip(const struct trust_ip *ip, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    if (!ip->is_v6) {
        buf_addf(out, "%u.%u.%u.%u", ip->bytes[0], ip->bytes[1], ip->bytes[2], ip->bytes[3]);
        return;
    }
    for (size_t i = 0; i < 16; i++)
        buf_addf(out, "%s%c.%c", i ? "." : "", hex[ip->bytes[i] >> 4], hex[ip->bytes[i] & 15]);
}

static void add_readable_ip(const struct trust_ip *ip, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    const char *p = inet_ntop(ip->is_v6 ? AF_INET6 : AF_INET, ip->bytes, text, sizeof(text));
    buf_adds(out, slice_str(p));
}

/* %{p}: the peer's own name: best the current domain, or one below it, or any (section 7.3). */
static struct slice best_host(struct spf *s, struct slice domain)
{
    struct slice best = SLICE("unknown");
    int best_rank = 0;
    spf_find_hosts(s);
    for (size_t i = 0; i < s->n_hosts; i++) {
        struct slice host = slice_of(s->hosts[i].p, s->hosts[i].n);
        int rank = 1;
        if (trust_name_is_below(host, domain))
            rank = host.n == domain.n ? 3 : 2;
        if (rank > best_rank) {
            best_rank = rank;
            best = host;
        }
    }
    return best;
}

static void add_value(struct spf *s, struct slice domain, char letter, struct buf *out)
{
    struct slice receiver = s->sender->receiver;
    struct slice helo = s->sender->helo;
    switch (letter) {
    case 's':
        buf_adds(out, s->local);
        buf_addc(out, '@');
        buf_adds(out, s->domain);
        break;
    case 'l':
        buf_adds(out, s->local);
        break;
    case 'o':
        buf_adds(out, s->domain);
        break;
    case 'd':
        buf_adds(out, domain);
        break;
    case 'i':
        add_ip(&s->sender->peer, out);
        break;
    case 'p':
        buf_adds(out, best_host(s, domain));
        break;
    case 'v':
        buf_adds(out, s->sender->peer.is_v6 ? SLICE("ip6") : SLICE("in-addr"));
        break;
    case 'h':
        buf_adds(out, helo.n <= TRUST_NAME_MAX ? helo : SLICE("unknown"));
        break;
    case 'c':
        add_readable_ip(&s->sender->peer, out);
        break;
    case 'r':
        buf_adds(out, receiver.n && receiver.n <= TRUST_NAME_MAX ? receiver : SLICE("unknown"));
        break;
    case 't':
        buf_addf(out, "%lld", (long long)(s->sender->now / 1000));
        break;
    }
}

/* ---- transformers ------------------------------------------------------------------------- */

static void add_escaped(struct slice s, bool is_escaped, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], low = ascii_lower(c);
        bool is_unreserved = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                             c == '.' || c == '_' || c == '~';
        if (is_escaped && !is_unreserved)
            buf_addf(out, "%%%02X", (unsigned char)c);
        else
            buf_addc(out, c);
    }
}

/* Splits at the delimiters, turns round, keeps the right-hand parts, joins with dots. */
static void add_transformed(struct slice value, const struct macro *m, struct buf *out)
{
    struct slice parts[VALUE_MAX + 1];
    size_t n = 0, from = 0;
    for (size_t i = 0; i <= value.n; i++) {
        if (i < value.n && slice_find(m->delimiters, value.p[i]) < 0)
            continue;
        parts[n++] = slice_of(value.p + from, i - from);
        from = i + 1;
    }
    size_t keep = m->keep < n ? m->keep : n;
    for (size_t i = n - keep; i < n; i++) {
        if (i > n - keep)
            buf_addc(out, '.');
        add_escaped(parts[m->is_reversed ? n - 1 - i : i], m->is_escaped, out);
    }
}

static void add_macro(struct spf *s, struct slice domain, const struct macro *m, struct buf *out)
{
    SCOPED(buf_finish) struct buf value = buf_make(VALUE_MAX);
    add_value(s, domain, m->letter, &value);
    must(!value.failed); /* local part, names and addresses were bounded on arrival */
    if (value.n > 0)
        add_transformed(buf_slice(&value), m, out);
}

bool spf_expand(struct spf *s, struct slice domain, struct slice text, enum spf_use use,
                struct buf *out)
{
    for (size_t at = 0; at < text.n;) {
        bool is_macro;
        struct macro m;
        struct slice rest = slice_skip(text, at);
        size_t n = spf_macro_length(rest, use, &is_macro);
        if (n == 0 || out->failed)
            return false;
        if (!is_macro)
            buf_addc(out, rest.p[0]);
        else if (macro_parse(rest, use, &m))
            add_macro(s, domain, &m, out);
        else
            buf_adds(out, rest.p[1] == '-'   ? SLICE("%20")
                          : rest.p[1] == '_' ? SLICE(" ")
                                             : SLICE("%"));
        at += n;
    }
    return !out->failed;
}

bool spf_expand_name(struct spf *s, struct slice domain, struct slice text, struct trust_name *ret)
{
    SCOPED(buf_finish) struct buf b = buf_make(EXPANDED_MAX);
    if (!spf_expand(s, domain, text, SPF_USE_NAME, &b))
        return false;
    struct slice name = trust_name_trim(buf_slice(&b));
    while (name.n > TRUST_NAME_MAX) /* labels go from the left (section 7.3) */
        name = trust_name_parent(name);
    memcpy(ret->p, name.n ? name.p : "", name.n);
    ret->n = name.n;
    return true;
}
