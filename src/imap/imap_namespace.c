/* Where a person's own folders are and where those of others (RFC 2342, 9051 section 7.3.4); what
 * STATUS says of a folder; flags. */
#include "imap/imap_int.h"

/* ("INBOX." "." "X-PARAM" ("a")) */
static bool parse_one(struct imap_scan *s, enum imap_whose whose, struct imap_response *ret)
{
    struct imap_namespace one = {.whose = whose};
    struct slice delimiter;
    bool is_nil;
    if (!imap_scan_string(s, &one.prefix, &is_nil) || is_nil || !imap_scan_blank(s) ||
        !imap_scan_string(s, &delimiter, &is_nil) || (!is_nil && delimiter.n > 1))
        return false;
    one.delimiter = is_nil || delimiter.n == 0 ? '\0' : delimiter.p[0];
    while (imap_scan_blank(s))
        if (!imap_scan_skip(s))
            return false;
    if (ret->n_namespaces < IMAP_NAMESPACES_MAX)
        ret->namespaces[ret->n_namespaces++] = one;
    return imap_scan_char(s, ')');
}

/* One of the three: NIL or a list. */
static bool parse_kind(struct imap_scan *s, enum imap_whose whose, struct imap_response *ret)
{
    (void)imap_scan_blank(s);
    if (!imap_scan_char(s, '('))
        return slice_ieq(imap_scan_atom(s), SLICE("NIL"));
    while ((void)imap_scan_blank(s), imap_scan_char(s, '('))
        if (!parse_one(s, whose, ret))
            return false;
    return imap_scan_char(s, ')');
}

bool imap_namespace_parse(struct imap_scan *s, struct imap_response *ret)
{
    return parse_kind(s, IMAP_MINE, ret) && parse_kind(s, IMAP_OTHER_PERSONS, ret) &&
           parse_kind(s, IMAP_SHARED, ret);
}

bool imap_status_parse(struct imap_scan *s, struct imap_response *ret)
{
    bool is_nil;
    if (!imap_scan_string(s, &ret->name, &is_nil))
        return false;
    (void)imap_scan_blank(s);
    if (!imap_scan_char(s, '('))
        return false;
    while ((void)imap_scan_blank(s), !imap_scan_char(s, ')')) {
        struct slice item = imap_scan_atom(s);
        struct imap_scan value;
        if (item.n == 0 || !imap_scan_blank(s))
            return false;
        value = *s;
        if (slice_ieq(item, SLICE("APPENDLIMIT")))
            imap_append_limit_take(imap_scan_atom(&value), ret);
        if (!imap_scan_skip(s))
            return false;
    }
    return true;
}

/* ---- flags --------------------------------------------------------------------------------- */

bool imap_flags_next(struct slice *flags, struct slice *ret)
{
    while (flags->n > 0) {
        *ret = slice_trim(slice_cut(*flags, ' ', flags));
        if (ret->n > 0)
            return true;
    }
    return false;
}

bool imap_flags_has(struct slice flags, struct slice flag)
{
    struct slice one;
    while (imap_flags_next(&flags, &one))
        if (slice_ieq(one, flag))
            return true;
    return false;
}

bool imap_flag_is_sendable(struct slice flag)
{
    struct slice atom = slice_starts(flag, SLICE("\\")) ? slice_skip(flag, 1) : flag;
    for (size_t i = 0; i < atom.n; i++)
        if (atom.p[i] <= ' ' || atom.p[i] > '~' || memchr("(){%*\"\\]", atom.p[i], 9))
            return false;
    return atom.n > 0 && flag.n <= 200 && !slice_ieq(flag, SLICE("\\Recent"));
}
