/* Header fields: where a header ends, its fields one by one, spans to cut out.
 * Not here: what stands in a field. RFC 5322 sections 2.1 to 2.2.3 and 4.5. */
#include "mime/mime_int.h"

static bool is_line_end(struct slice message, size_t at, size_t end)
{
    const char *p = message.p + at;
    return *p == '\n' || (*p == '\r' && at + 1 < end && p[1] == '\n');
}

size_t mbox_line_len(struct slice message)
{
    if (!slice_starts(message, SLICE("From ")))
        return 0;
    size_t at = 5;
    while (at < message.n && is_wsp(message.p[at]))
        at++;
    if (at < message.n && message.p[at] == ':')
        return 0; /* a From field with blanks before its colon (RFC 5322 section 4.5) */
    ptrdiff_t lf = slice_find(message, '\n');
    return lf < 0 ? message.n : (size_t)lf + 1;
}

size_t field_end(struct slice message, size_t at, size_t end)
{
    while (at < end) {
        const char *lf = memchr(message.p + at, '\n', end - at);
        if (!lf)
            return end;
        at = (size_t)(lf - message.p) + 1;
        if (at >= message.n || !is_wsp(message.p[at]))
            return at;
    }
    return end;
}

static bool is_field_name(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 127)
            return false;
    return name.n > 0;
}

void field_split(struct slice message, size_t at, size_t end, struct mime_field *ret)
{
    struct slice whole = slice_from_to(message, at, end);
    *ret = (struct mime_field){.offset = at, .len = whole.n};
    struct slice text = whole;
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n && text.p[text.n - 1] == '\r')
        text.n--;
    ret->value = text;
    ret->name = slice_of(text.p, 0);
    ptrdiff_t colon = slice_find(text, ':');
    if (colon < 0)
        return;
    struct slice name = slice_of(text.p, (size_t)colon);
    while (name.n && is_wsp(name.p[name.n - 1]))
        name.n--;
    if (!is_field_name(name))
        return;
    ret->name = name;
    ret->value = slice_skip(text, (size_t)colon + 1);
}

struct mime_walk mime_walk_range(struct slice message, size_t offset, size_t len)
{
    must(offset <= message.n && len <= message.n - offset);
    size_t seen = len < MIME_HEADER_BYTES_MAX ? len : MIME_HEADER_BYTES_MAX;
    return (struct mime_walk){
        .message = message, .at = offset, .end = offset + len, .limit = offset + seen};
}

struct mime_walk mime_walk_make(struct slice message)
{
    size_t start = mbox_line_len(message);
    return mime_walk_range(message, start, message.n - start);
}

bool mime_walk_next(struct mime_walk *w, struct mime_field *ret)
{
    if (w->state != MIME_WALK_OPEN)
        return false;
    if (w->at >= w->end || is_line_end(w->message, w->at, w->end)) {
        w->state = MIME_WALK_DONE;
        return false;
    }
    if (w->n_fields == MIME_HEADER_FIELDS_MAX) {
        w->state = MIME_WALK_TOO_MANY;
        return false;
    }
    size_t end = field_end(w->message, w->at, w->limit);
    bool is_whole = end < w->limit || w->limit == w->end ||
                    (w->message.p[end - 1] == '\n' && !is_wsp(w->message.p[end]));
    if (w->at >= w->limit || !is_whole) {
        w->state = MIME_WALK_TOO_LONG;
        return false;
    }
    field_split(w->message, w->at, end, ret);
    w->at = end;
    w->n_fields++;
    return true;
}

bool mime_field_find(struct slice message, struct slice name, struct mime_field *ret)
{
    struct mime_walk w = mime_walk_make(message);
    struct mime_field f;
    while (mime_walk_next(&w, &f)) {
        if (!slice_ieq(f.name, name))
            continue;
        *ret = f;
        return true;
    }
    return false;
}

struct mime_split mime_split(struct slice message)
{
    size_t start = mbox_line_len(message), at = start;
    while (at < message.n && !is_line_end(message, at, message.n)) {
        const char *lf = memchr(message.p + at, '\n', message.n - at);
        at = lf ? (size_t)(lf - message.p) + 1 : message.n;
    }
    size_t empty_line = at >= message.n ? 0 : message.p[at] == '\n' ? 1 : 2;
    return (struct mime_split){
        .header_offset = start, .header_len = at - start, .body_offset = at + empty_line};
}
