/* bodyValues: what text parts say. RFC 8621 section 4.1.4, EmailBodyValue. */
#include "email/email_int.h"

enum {
    VALUE_MEMORY = EMAIL_VALUE_BYTES_MAX + 4096, /* while it is decoded */
    FRAME_BYTES = 96 /* of a value besides its text: the key, two flags */
};

static bool is_letter(char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

/* Behind the '>' of the tag at s[at]; quotes hide one. The end if it does not come. */
static size_t tag_end(struct slice s, size_t at)
{
    for (at++; at < s.n && s.p[at] != '>'; at++) {
        bool is_quote = (s.p[at] == '"' || s.p[at] == '\'') && s.p[at - 1] == '=';
        if (!is_quote)
            continue;
        const char *quote = memchr(s.p + at + 1, s.p[at], s.n - at - 1);
        if (!quote)
            return s.n + 1;
        at = (size_t)(quote - s.p);
    }
    return at < s.n ? at + 1 : s.n + 1;
}

/* Length <= s.n that does not end inside a tag. */
static size_t cut_html(struct slice s)
{
    size_t at = 0;
    while (at < s.n) {
        const char *open = memchr(s.p + at, '<', s.n - at);
        if (!open)
            return s.n;
        at = (size_t)(open - s.p);
        if (at + 1 == s.n)
            return at;
        char next = s.p[at + 1];
        bool is_tag = is_letter(next) || next == '/' || next == '!' || next == '?';
        size_t end = is_tag ? tag_end(s, at) : at + 1;
        if (end > s.n)
            return at;
        at = end;
    }
    return s.n;
}

static void drop_carriage_returns(struct buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->p[i] != '\r' || i + 1 == b->n || b->p[i + 1] != '\n')
            b->p[n++] = b->p[i];
    b->n = n;
}

static struct slice cut(struct slice text, size_t max, bool is_html)
{
    if (text.n <= max)
        return text;
    text.n = mime_utf8_cut(text, max);
    if (is_html)
        text.n = cut_html(text);
    return text;
}

/* What is left for one text, with the closing of everything. */
static size_t room_of(const struct render *r)
{
    const struct buf *b = r->ret;
    return b->max - b->n > FRAME_BYTES * 2 ? b->max - b->n - FRAME_BYTES * 2 : 0;
}

static void put_value(struct render *r, size_t part, struct buf *text)
{
    struct mime_part p = email_part_shown(r, part);
    bool is_html = slice_eq(p.subtype, SLICE("html"));
    uint64_t max = r->want->value_bytes_max ? r->want->value_bytes_max : EMAIL_VALUE_BYTES_MAX;
    if (max > EMAIL_VALUE_BYTES_MAX)
        max = EMAIL_VALUE_BYTES_MAX;
    buf_clear(text);
    size_t room = room_of(r);
    /* A line end is two bytes before it is one: no more is decoded than could be shown. */
    size_t most = 2 * (max < room ? (size_t)max : room) + 16;
    text->max = most < VALUE_MEMORY ? most : VALUE_MEMORY;
    unsigned odd = mime_part_decode(r->message, &p, text);
    bool is_cut = odd & MIME_ODD_CUT;
    bool is_bad = odd & (MIME_ODD_CHARSET | MIME_ODD_BYTES) || p.encoding == MIME_ENCODING_UNKNOWN;
    drop_carriage_returns(text);
    struct slice all = buf_slice(text), shown = cut(all, (size_t)max, is_html);
    size_t fit = email_text_fit(shown, room);
    if (fit < shown.n || (is_cut && shown.n == all.n)) {
        shown.n = fit;
        shown.n = is_html ? cut_html(shown) : shown.n;
        is_cut = true;
    }
    buf_addf(r->ret, "{\"value\":");
    email_put_text(r->ret, shown.n ? shown : SLICE(""));
    buf_addf(r->ret, ",\"isEncodingProblem\":%s,\"isTruncated\":%s}", is_bad ? "true" : "false",
             is_cut || shown.n < all.n ? "true" : "false");
}

static void mark(struct render *r, const struct part_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        r->more[list->v[i]].has_value = true;
}

void email_put_values(struct render *r)
{
    SCOPED(buf_finish) struct buf text = buf_make(VALUE_MEMORY);
    if (r->want->has_text_values)
        mark(r, &r->text);
    if (r->want->has_html_values)
        mark(r, &r->html);
    buf_addc(r->ret, '{');
    for (size_t i = 0; i < r->s.n_parts; i = r->more[i].is_branch ? i + 1 : r->more[i].end) {
        struct mime_part p = email_part_shown(r, i);
        bool is_wanted = r->more[i].has_value || r->want->has_all_values;
        if (!is_wanted || p.is_multipart || !slice_eq(p.type, SLICE("text")))
            continue;
        if (r->ret->max - r->ret->n < FRAME_BYTES * 2) {
            r->ret->failed = true; /* not even empty ones fit */
            return;
        }
        email_put_comma(r->ret);
        buf_addf(r->ret, "\"%zu\":", i + 1);
        put_value(r, i, &text);
    }
    buf_addc(r->ret, '}');
}
