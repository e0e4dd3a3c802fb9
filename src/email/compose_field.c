/* Values of header fields from a person's JSON. RFC 8621 sections 4.1.2 and 4.6: types are checked,
 * addresses are not judged (a draft may be half finished), but nothing gets out of its place. */
#include "email/compose_int.h"

#include <idn2.h>
#include <stdio.h>

enum {
    NAME_MAX_BYTES = 1000,
    LIST_MAX = 5000,
    DOMAIN_BYTES_MAX = 4 * MIME_ADDRESS_PART_MAX, /* in UTF-8, of what gets shorter */
};

struct writer {
    struct compose *c;
    struct slice report; /* the property that faults name */
    struct fold f;
};

static bool refuse_value(struct writer *w, const char *why)
{
    return compose_bad(w->c, w->report, "%s", why);
}

/* A string that may stand in a header; false and told otherwise. */
static bool text_of(struct writer *w, const json_t *v, struct slice *ret)
{
    *ret = email_json_text(v);
    if (!ret->p)
        return refuse_value(w, "must be a string");
    if (!is_plain_text(*ret))
        return refuse_value(w, "holds a line end or another control character");
    return true;
}

static void note_utf8(struct writer *w, struct slice s)
{
    if (!is_ascii(s))
        w->c->told->needs_utf8 = true;
}

/* ---- raw, text --------------------------------------------------------------------------- */

/* As it is given; lines end before blanks where they must. */
static bool put_raw(struct writer *w, const json_t *v)
{
    struct slice s;
    if (!text_of(w, v, &s))
        return false;
    for (size_t at = 0; at < s.n;) {
        size_t blanks = at, end;
        while (blanks < s.n && email_is_blank(s.p[blanks]))
            blanks++;
        for (end = blanks; end < s.n && !email_is_blank(s.p[end]);)
            end++;
        if (blanks - at > WORD_MAX || end - blanks > WORD_MAX)
            return refuse_value(w, "has a word that no line can hold");
        fold_word(&w->f, slice_of(s.p + at, blanks - at), slice_of(s.p + blanks, end - blanks));
        at = end;
    }
    note_utf8(w, s);
    return true;
}

static bool put_text(struct writer *w, const json_t *v)
{
    struct slice s;
    if (!text_of(w, v, &s))
        return false;
    fold_text(&w->f, s);
    return true;
}

/* ---- addresses --------------------------------------------------------------------------- */

/* What an address literal or a host name is made of; a beginning of one too. */
static bool is_domain_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_plain && !strchr(".-_:[]", c))
            return false;
    }
    return true;
}

static bool put_domain(struct writer *w, struct slice domain, struct buf *b)
{
    SCOPED(buf_finish) struct buf name = buf_make(DOMAIN_BYTES_MAX);
    if (!is_ascii(domain)) {
        int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL;
        char *ascii = NULL;
        buf_adds(&name, domain);
        if (name.failed || idn2_to_ascii_8z(buf_cstr(&name), &ascii, flags) != IDN2_OK)
            return refuse_value(w, "has an address whose domain is no name");
        buf_clear(&name);
        buf_adds(&name, slice_str(ascii));
        idn2_free(ascii);
        domain = buf_slice(&name);
    }
    if (!is_domain_text(domain) || domain.n > MIME_ADDRESS_PART_MAX)
        return refuse_value(w, "has an address whose domain is no name");
    buf_adds(b, domain);
    return true;
}

/* The local part may come quoted, as addr-spec demands, or not. */
static void put_local(struct slice local, struct buf *b)
{
    bool is_quoted = local.n >= 2 && local.p[0] == '"' && local.p[local.n - 1] == '"';
    if (!is_quoted) {
        email_local_add(b, local);
        return;
    }
    SCOPED(buf_finish) struct buf inside = buf_make(MIME_ADDRESS_PART_MAX);
    for (size_t i = 1; i + 1 < local.n; i++) {
        i += local.p[i] == '\\' && i + 2 < local.n;
        buf_addc(&inside, local.p[i]);
    }
    if (inside.n)
        email_local_add(b, buf_slice(&inside));
    else
        buf_addf(b, "\"\"");
}

static ptrdiff_t last_at(struct slice s)
{
    const char *p = s.n ? memrchr(s.p, '@', s.n) : NULL;
    return p ? p - s.p : -1;
}

/* "local@domain" into `b`. */
static bool put_spec(struct writer *w, const json_t *v, struct buf *b)
{
    struct slice email, local;
    if (!text_of(w, v, &email))
        return false;
    ptrdiff_t at = last_at(email);
    local = at < 0 ? email : slice_of(email.p, (size_t)at);
    if (local.n > MIME_ADDRESS_PART_MAX / 2)
        return refuse_value(w, "has an address that is too long");
    put_local(local, b);
    note_utf8(w, local);
    if (at < 0)
        return true;
    buf_addc(b, '@');
    return put_domain(w, slice_skip(email, (size_t)at + 1), b);
}

/* One EmailAddress, `end` glued to it. */
static bool put_address(struct writer *w, const json_t *v, const char *end)
{
    SCOPED(buf_finish) struct buf b = buf_make(LINE_MAX_BYTES);
    const json_t *name = json_object_get(v, "name");
    struct slice text = SLICE("");
    if (!json_is_object(v))
        return refuse_value(w, "must hold EmailAddress objects");
    if (name && !json_is_null(name) && !text_of(w, name, &text))
        return false;
    if (text.n > NAME_MAX_BYTES)
        return refuse_value(w, "has a name that is too long");
    if (text.n)
        fold_phrase(&w->f, text);
    buf_addf(&b, text.n ? "<" : "");
    if (!put_spec(w, json_object_get(v, "email"), &b))
        return false;
    buf_addf(&b, text.n ? ">%s" : "%s", end);
    if (b.failed)
        return refuse_value(w, "has an address that is too long");
    fold_word(&w->f, SLICE(" "), buf_slice(&b));
    return true;
}

static bool put_address_list(struct writer *w, const json_t *list, const char *end)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > LIST_MAX)
        return refuse_value(w, "must be a list of EmailAddress objects");
    for (size_t i = 0; i < n; i++)
        if (!put_address(w, json_array_get(list, i), i + 1 < n ? "," : end))
            return false;
    return true;
}

/* One EmailAddressGroup. */
static bool put_group(struct writer *w, const json_t *v, bool is_last)
{
    const json_t *name = json_object_get(v, "name"), *list = json_object_get(v, "addresses");
    struct slice text = SLICE("");
    if (!json_is_object(v))
        return refuse_value(w, "must hold EmailAddressGroup objects");
    if (!name || json_is_null(name))
        return put_address_list(w, list, is_last ? "" : ",");
    if (!text_of(w, name, &text))
        return false;
    if (text.n == 0 || text.n > NAME_MAX_BYTES)
        return refuse_value(w, "has a group whose name is empty or too long");
    fold_phrase(&w->f, text);
    fold_word(&w->f, SLICE(" "), SLICE(":"));
    if (!put_address_list(w, list, ""))
        return false;
    buf_addf(w->f.b, is_last ? ";" : ";,");
    w->f.column += 2;
    return true;
}

static bool put_groups(struct writer *w, const json_t *list)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > LIST_MAX)
        return refuse_value(w, "must be a list of EmailAddressGroup objects");
    for (size_t i = 0; i < n; i++)
        if (!put_group(w, json_array_get(list, i), i + 1 == n))
            return false;
    return true;
}

/* ---- ids, URLs, dates -------------------------------------------------------------------- */

/* "<item>" each: no blanks and no angle brackets inside. */
static bool put_bracketed(struct writer *w, const json_t *list, const char *between)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > LIST_MAX)
        return refuse_value(w, "must be a list of strings");
    for (size_t i = 0; i < n; i++) {
        struct slice s;
        SCOPED(buf_finish) struct buf b = buf_make(LINE_MAX_BYTES);
        if (!text_of(w, json_array_get(list, i), &s))
            return false;
        for (size_t k = 0; k < s.n; k++)
            if (email_is_blank(s.p[k]) || s.p[k] == '<' || s.p[k] == '>')
                return refuse_value(w, "has an item with a blank or an angle bracket");
        if (s.n == 0 || s.n > WORD_MAX)
            return refuse_value(w, "has an item that is empty or too long");
        buf_addc(&b, '<');
        buf_adds(&b, s);
        buf_addf(&b, i + 1 < n ? ">%s" : ">", between);
        fold_word(&w->f, SLICE(" "), buf_slice(&b));
        note_utf8(w, s);
    }
    return true;
}

/* Days since 1970 of a date of the Gregorian calendar; months 1..12. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool digits(struct slice s, size_t at, size_t n, uint64_t max, int64_t *ret)
{
    uint64_t v;
    if (at + n > s.n || !slice_u64(slice_of(s.p + at, n), max, &v))
        return false;
    *ret = (int64_t)v;
    return true;
}

/* "Z", "+01:00", perhaps behind a fraction of a second. */
static bool zone_of(struct slice s, int64_t *ret_minutes)
{
    int64_t hours, minutes;
    if (s.n > 1 && s.p[0] == '.')
        for (s = slice_skip(s, 1); s.n && s.p[0] >= '0' && s.p[0] <= '9';)
            s = slice_skip(s, 1);
    *ret_minutes = 0;
    if (slice_eq(s, SLICE("Z")))
        return true;
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':' ||
        !digits(s, 1, 2, 23, &hours) || !digits(s, 4, 2, 59, &minutes))
        return false;
    *ret_minutes = (hours * 60 + minutes) * (s.p[0] == '-' ? -1 : 1);
    return true;
}

/* "2026-11-21T21:40:00+01:00" to the field's own way. */
static bool put_date(struct writer *w, const json_t *v)
{
    struct slice s;
    int64_t year, month, day, hour, minute, second, zone;
    if (!text_of(w, v, &s))
        return false;
    bool is_date = digits(s, 0, 4, 9998, &year) && digits(s, 5, 2, 12, &month) &&
                   digits(s, 8, 2, 31, &day) && digits(s, 11, 2, 23, &hour) &&
                   digits(s, 14, 2, 59, &minute) && digits(s, 17, 2, 59, &second) &&
                   zone_of(slice_skip(s, 19), &zone) && year >= 1900 && month > 0;
    utc_ms at =
        is_date ? ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * 1000
                : 0;
    struct utc_text again = utc_rfc3339(at);
    if (!is_date || memcmp(again.s, s.p, 19) != 0) /* 31 February comes out as March */
        return refuse_value(w, "must be a date like 2026-11-21T21:40:00+01:00");
    struct utc_text text = utc_rfc5322(at);
    unsigned minutes = (unsigned)(zone < 0 ? -zone : zone);
    buf_addf(w->f.b, " %.*s%c%02u%02u", (int)strlen(text.s) - 5, text.s, zone < 0 ? '-' : '+',
             minutes / 60 % 100, minutes % 60);
    return true;
}

/* ---- fields ------------------------------------------------------------------------------ */

static bool put_form(struct writer *w, enum email_form form, const json_t *v)
{
    switch (form) {
    case EMAIL_RAW:
        return put_raw(w, v);
    case EMAIL_TEXT:
        return put_text(w, v);
    case EMAIL_ADDRESSES:
        return put_address_list(w, v, "");
    case EMAIL_GROUPED_ADDRESSES:
        return put_groups(w, v);
    case EMAIL_MESSAGE_IDS:
        return put_bracketed(w, v, "");
    case EMAIL_DATE:
        return put_date(w, v);
    case EMAIL_URLS:
        return put_bracketed(w, v, ",");
    case EMAIL_FORM_N:
        break;
    }
    return false;
}

static bool put_field(struct compose *c, const struct email_property *p, const json_t *v,
                      struct slice report, struct buf *b)
{
    struct writer w = {.c = c, .report = report};
    if (json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0))
        return true; /* an empty list is no field: "To:" without anybody is not allowed */
    if (++c->n_fields > EMAIL_HEADER_FIELDS_MAX)
        return compose_bad(c, report, "too many header fields, at most %d",
                           EMAIL_HEADER_FIELDS_MAX);
    w.f = fold_begin(b, p->header);
    bool is_good = put_form(&w, p->form, v);
    fold_end(&w.f);
    return is_good;
}

bool compose_field(struct compose *c, const struct email_property *p, const json_t *value,
                   struct slice report, struct buf *b)
{
    if (!p->is_all || json_is_null(value))
        return put_field(c, p, value, report, b);
    if (!json_is_array(value))
        return compose_bad(c, report, "must be a list, one item for each field");
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!put_field(c, p, json_array_get(value, i), report, b))
            return false;
    return true;
}
