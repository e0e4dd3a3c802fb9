/* The value of a header field in the forms that a client may ask for. RFC 8621 section 4.1.2. */
#include "email/email_int.h"

#include <stdio.h>

/* ---- addresses --------------------------------------------------------------------------- */

static bool is_dot_atom(struct slice s)
{
    bool is_after_dot = true;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == 127 || (c < 128 && strchr("()<>[]:;@\\,\"", c)))
            return false;
        if (c == '.' && is_after_dot)
            return false;
        is_after_dot = c == '.';
    }
    return s.n > 0 && !is_after_dot;
}

void email_local_add(struct buf *b, struct slice local)
{
    if (local.n == 0 || is_dot_atom(local)) {
        buf_adds(b, local);
        return;
    }
    buf_addc(b, '"');
    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '"' || local.p[i] == '\\')
            buf_addc(b, '\\');
        buf_addc(b, local.p[i]);
    }
    buf_addc(b, '"');
}

/* Text of people, in normalization form C (section 4.1.2.2). */
static void put_composed(struct render *r, struct slice s)
{
    if (mime_utf8_is_composed(s) || !mime_utf8_is_valid(s)) {
        email_put_text(r->ret, s);
        return;
    }
    SCOPED(buf_finish) struct buf composed = buf_make(3 * s.n + 16);
    mime_utf8_compose(s, &composed);
    email_put_text(r->ret, buf_slice(&composed));
}

static void put_name(struct render *r, struct slice name)
{
    if (name.n)
        put_composed(r, name);
    else
        buf_addf(r->ret, "null");
}

static void put_address(struct render *r, const struct mime_address *m)
{
    SCOPED(buf_finish) struct buf email = buf_make(3 * MIME_ADDRESS_PART_MAX + 8);
    email_local_add(&email, m->local);
    if (m->domain.n) {
        buf_addc(&email, '@');
        buf_adds(&email, m->domain);
    }
    email_put_comma(r->ret);
    buf_addf(r->ret, "{\"name\":");
    put_name(r, m->name);
    buf_addf(r->ret, ",\"email\":");
    email_put_text(r->ret, buf_slice(&email));
    buf_addc(r->ret, '}');
}

static bool is_empty_group(const struct mime_address *m)
{
    return m->name.n == 0 && m->local.n == 0 && m->domain.n == 0;
}

static void put_addresses(struct render *r, struct slice value)
{
    struct mime_addresses list = {0};
    (void)mime_addresses_parse(value, r->scratch, &list); /* the best that can be read */
    buf_addc(r->ret, '[');
    for (size_t i = 0; i < list.n; i++)
        if (!is_empty_group(&list.v[i]))
            put_address(r, &list.v[i]);
    buf_addc(r->ret, ']');
}

/* mime gives each group's name its own memory: two groups that follow each other are two. */
static bool is_same_group(const struct mime_address *a, const struct mime_address *b)
{
    return a->group.n == b->group.n && (a->group.n == 0 || a->group.p == b->group.p);
}

static void put_groups(struct render *r, struct slice value)
{
    struct mime_addresses list = {0};
    (void)mime_addresses_parse(value, r->scratch, &list); /* the best that can be read */
    buf_addc(r->ret, '[');
    for (size_t i = 0; i < list.n; i++) {
        if (i == 0 || !is_same_group(&list.v[i - 1], &list.v[i])) {
            buf_addf(r->ret, i ? "]}," : "");
            buf_addf(r->ret, "{\"name\":");
            put_name(r, list.v[i].group);
            buf_addf(r->ret, ",\"addresses\":[");
        }
        if (!is_empty_group(&list.v[i]))
            put_address(r, &list.v[i]);
    }
    buf_addf(r->ret, list.n ? "]}]" : "]");
}

/* ---- the others -------------------------------------------------------------------------- */

/* NUL is dropped, what is no UTF-8 replaced (section 4.1.2.1). */
static void put_raw(struct render *r, struct slice value)
{
    if (!value.n || !memchr(value.p, '\0', value.n)) {
        email_put_text(r->ret, value);
        return;
    }
    SCOPED(buf_finish) struct buf clean = buf_make(value.n);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i])
            buf_addc(&clean, value.p[i]);
    email_put_text(r->ret, buf_slice(&clean));
}

static void put_header_text(struct render *r, struct slice value)
{
    SCOPED(buf_finish) struct buf text = buf_make(3 * value.n + 16);
    (void)mime_header_text_strict(value, &text); /* the best that can be read */
    put_composed(r, buf_slice(&text));
}

static void put_ids(struct render *r, struct slice value)
{
    struct mime_ids ids;
    (void)mime_ids_parse(value, r->scratch, &ids); /* the best that can be read */
    if (ids.n == 0) {
        buf_addf(r->ret, "null");
        return;
    }
    buf_addc(r->ret, '[');
    for (size_t i = 0; i < ids.n; i++) {
        email_put_comma(r->ret);
        email_put_text(r->ret, ids.v[i]);
    }
    buf_addc(r->ret, ']');
}

/* The wall time of its zone, with that zone (RFC 8620 section 1.4, Date). */
static void put_date(struct render *r, struct slice value)
{
    struct mime_date date;
    if (mime_date_parse(value, &date) != MIME_DATE_OK) {
        buf_addf(r->ret, "null");
        return;
    }
    struct utc_text text = utc_rfc3339(date.at + (utc_ms)date.zone_min * 60000);
    unsigned minutes = (unsigned)(date.zone_min < 0 ? -date.zone_min : date.zone_min);
    buf_addf(r->ret, "\"%.19s", text.s);
    if (minutes == 0)
        buf_addf(r->ret, "Z\"");
    else
        buf_addf(r->ret, "%c%02u:%02u\"", date.zone_min < 0 ? '-' : '+', minutes / 60 % 100,
                 minutes % 60);
}

/* Behind a comment at s[at], or the end of what never closes. */
static size_t skip_comment(struct slice s, size_t at)
{
    unsigned depth = 0;
    for (; at < s.n; at++) {
        if (s.p[at] == '\\')
            at++;
        else if (s.p[at] == '(')
            depth++;
        else if (s.p[at] == ')' && --depth == 0)
            return at + 1;
    }
    return s.n;
}

static void put_url(struct render *r, struct slice inside)
{
    SCOPED(buf_finish) struct buf url = buf_make(inside.n + 1);
    for (size_t i = 0; i < inside.n; i++)
        if (!email_is_blank(inside.p[i])) /* RFC 2369 section 2 */
            buf_addc(&url, inside.p[i]);
    email_put_comma(r->ret);
    email_put_text(r->ret, buf_slice(&url));
}

/* What stands in < >, comments passed over (RFC 2369 section 2). */
static void put_urls(struct render *r, struct slice value)
{
    bool has_url = false;
    for (size_t at = 0; at < value.n;) {
        if (value.p[at] == '(') {
            at = skip_comment(value, at);
            continue;
        }
        const char *close = value.p[at] == '<' ? memchr(value.p + at, '>', value.n - at) : NULL;
        if (value.p[at] == '<' && !close)
            break;
        if (close) {
            size_t end = (size_t)(close - value.p);
            buf_addf(r->ret, has_url ? "" : "[");
            put_url(r, slice_of(value.p + at + 1, end - at - 1));
            has_url = true;
            at = end;
        }
        at++;
    }
    buf_addf(r->ret, has_url ? "]" : "null");
}

void email_put_form(struct render *r, struct slice value, enum email_form form)
{
    r->work += value.n + 16;
    arena_reset(r->scratch);
    switch (form) {
    case EMAIL_RAW:
        put_raw(r, value);
        return;
    case EMAIL_TEXT:
        put_header_text(r, value);
        return;
    case EMAIL_ADDRESSES:
        put_addresses(r, value);
        return;
    case EMAIL_GROUPED_ADDRESSES:
        put_groups(r, value);
        return;
    case EMAIL_MESSAGE_IDS:
        put_ids(r, value);
        return;
    case EMAIL_DATE:
        put_date(r, value);
        return;
    case EMAIL_URLS:
        put_urls(r, value);
        return;
    case EMAIL_FORM_N:
        break;
    }
    must(false);
}

/* ---- fields of one header ---------------------------------------------------------------- */

void email_fields_read(struct render *r, size_t offset, size_t len, struct fields *f)
{
    struct mime_walk w = mime_walk_range(r->message, offset, len);
    struct mime_field field;
    f->n = 0;
    while (f->n < MIME_HEADER_FIELDS_MAX && mime_walk_next(&w, &field))
        if (field.name.n)
            f->v[f->n++] = (struct name_value){field.name, field.value};
    r->work += f->n;
}

/* A field whose name is in length and first letter unlike is passed over without a call. */
static bool is_named(const struct name_value *f, struct slice name)
{
    return f->name.n == name.n && ((f->name.p[0] ^ name.p[0]) & 0xdf) == 0 &&
           slice_ieq(f->name, name);
}

bool email_field_first(const struct fields *f, struct slice name, struct slice *ret)
{
    for (size_t i = 0; i < f->n; i++) {
        if (!is_named(&f->v[i], name))
            continue;
        *ret = f->v[i].value;
        return true;
    }
    return false;
}

/* Of several the last one counts (section 4.1.3). */
void email_put_header(struct render *r, const struct fields *f, const struct email_property *p)
{
    ptrdiff_t last = -1;
    r->work += f->n;
    if (p->is_all)
        buf_addc(r->ret, '[');
    for (size_t i = 0; i < f->n && !r->ret->failed && r->work < RENDER_WORK_MAX; i++) {
        if (!is_named(&f->v[i], p->header))
            continue;
        last = (ptrdiff_t)i;
        if (!p->is_all)
            continue;
        email_put_comma(r->ret);
        email_put_form(r, f->v[i].value, p->form);
    }
    if (p->is_all)
        buf_addc(r->ret, ']');
    else if (last >= 0)
        email_put_form(r, f->v[last].value, p->form);
    else
        buf_addf(r->ret, "null");
}

void email_put_headers(struct render *r, const struct fields *f)
{
    buf_addc(r->ret, '[');
    for (size_t i = 0; i < f->n && !r->ret->failed; i++) {
        email_put_comma(r->ret);
        buf_addf(r->ret, "{\"name\":");
        put_raw(r, f->v[i].name);
        buf_addf(r->ret, ",\"value\":");
        email_put_form(r, f->v[i].value, EMAIL_RAW);
        buf_addc(r->ret, '}');
    }
    buf_addc(r->ret, ']');
}
