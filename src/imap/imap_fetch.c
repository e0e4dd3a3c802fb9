/* What FETCH brings: of its items only those that we ask for, the others are stepped over. */
#include "imap/imap_int.h"

/* "[HEADER.FIELDS (MESSAGE-ID)]<0>": the name is what is between the brackets. */
static bool parse_section_name(struct imap_scan *s, struct imap_section *ret)
{
    struct imap_scan from = *s;
    for (;;) {
        struct slice ignored;
        bool is_nil;
        if (s->rest.n == 0)
            return false;
        if (s->rest.p[0] == ']')
            break;
        if (s->rest.p[0] == '"' || s->rest.p[0] == '{') {
            if (!imap_scan_string(s, &ignored, &is_nil))
                return false;
            continue;
        }
        s->rest = slice_skip(s->rest, 1);
    }
    ret->name = slice_of(from.rest.p, from.rest.n - s->rest.n);
    s->rest = slice_skip(s->rest, 1);
    if (!imap_scan_char(s, '<'))
        return true;
    return imap_scan_number(s, &ret->origin) && imap_scan_char(s, '>');
}

static bool parse_section(struct imap_scan *s, struct imap_response *ret)
{
    struct imap_section section = {};
    bool is_nil;
    if (!parse_section_name(s, &section) || !imap_scan_blank(s) ||
        !imap_scan_string(s, &section.bytes, &is_nil))
        return false;
    if (is_nil)
        section.bytes = SLICE("");
    if (ret->n_sections < IMAP_SECTIONS_MAX)
        ret->sections[ret->n_sections++] = section;
    return true;
}

static bool parse_flags(struct imap_scan *s, struct imap_response *ret)
{
    if (!imap_scan_char(s, '('))
        return false;
    ret->has_flags = true;
    struct slice from = s->rest;
    for (;;) {
        (void)imap_scan_blank(s);
        ret->flags = slice_of(from.p, from.n - s->rest.n);
        if (imap_scan_char(s, ')'))
            return true;
        struct slice flag = imap_scan_atom(s);
        if (flag.n == 0 && !imap_scan_char(s, '[') && !imap_scan_char(s, ']'))
            return false; /* keywords with brackets are out there */
        if (slice_ieq(flag, SLICE("\\Deleted")))
            ret->is_deleted = true;
    }
}

static bool parse_item(struct imap_scan *s, struct imap_response *ret)
{
    struct slice name = imap_scan_atom(s);
    if (name.n == 0)
        return false;
    if (imap_scan_char(s, '['))
        return parse_section(s, ret);
    if (!imap_scan_blank(s))
        return false;
    if (slice_ieq(name, SLICE("UID")))
        return imap_scan_number(s, &ret->uid) && ret->uid > 0;
    if (slice_ieq(name, SLICE("FLAGS")))
        return parse_flags(s, ret);
    return imap_scan_skip(s);
}

bool imap_fetch_parse(struct imap_scan *s, struct imap_response *ret)
{
    if (!imap_scan_char(s, '('))
        return false;
    for (;;) {
        (void)imap_scan_blank(s);
        if (imap_scan_char(s, ')'))
            return true;
        if (!parse_item(s, ret))
            return false;
    }
}
