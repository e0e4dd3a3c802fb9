/* The tree of parts, by offsets, in one pass over the lines. RFC 2045, 2046, 2183.
 * Not here: the text of the parts (body.c).
 *
 * A line is looked at once while it belongs to a body and twice in a header. What is open is a
 * path from the message down to `current`; the multiparts on it whose boundaries can still come
 * are also in `open`, at most MIME_DEPTH_MAX, so a line costs at most so many comparisons, and
 * those only if it starts with "--" and has the right length. */
#include "mime/mime_int.h"

enum {
    TOKEN_MAX = 127,    /* of a type or subtype (RFC 6838 section 4.2) */
    BOUNDARY_MAX = 998, /* the longest line; RFC 2046 allows 70 */
    CHARSET_MAX = 64
};

struct open_multipart {
    int part;
    struct slice boundary;
};

struct scan {
    struct slice m;
    struct arena *a;
    struct mime_structure *ret;
    size_t at;   /* start of the line that comes next */
    size_t line; /* its number */
    int current; /* the deepest part that is not closed */
    size_t n_open;
    field_fn *see_field; /* shown the fields of the message's own header; or NULL */
    void *arg;
    enum mime_walk_state root_state;
    bool is_stopped; /* the rest of the message belongs to what is open */
    struct open_multipart open[MIME_DEPTH_MAX];
};

/* A boundary line that was found. */
struct delimiter {
    size_t level; /* in scan.open */
    bool is_close;
    size_t offset, line; /* of the delimiter's own line */
};

/* Line starts of each part's body, needed only until it is closed. */
static void body_begin(struct scan *s, struct mime_part *part)
{
    part->body_offset = s->at;
    part->n_lines = s->line; /* the first line's number; part_close makes it a count */
}

/* Line [at, end) without its line end and without blanks before that. */
static struct slice line_text(struct slice m, size_t at, size_t end)
{
    struct slice text = slice_from_to(m, at, end);
    while (text.n && is_blank(text.p[text.n - 1]))
        text.n--;
    return text;
}

/* DEVIATES: RFC 2046 section 5.1.1 lets a line match that only starts with the boundary. Since
 * boundaries are counted up ("Apple-Mail-1", "Apple-Mail-10"), that would open the wrong part;
 * no program we know writes anything behind them. */
static bool is_delimiter(struct scan *s, struct slice line, struct delimiter *ret)
{
    for (size_t i = s->n_open; i-- > 0;) {
        struct slice boundary = s->open[i].boundary;
        bool is_open = line.n == boundary.n + 2;
        bool is_close =
            line.n == boundary.n + 4 && line.p[line.n - 1] == '-' && line.p[line.n - 2] == '-';
        if (!is_open && !is_close)
            continue;
        if (memcmp(line.p + 2, boundary.p, boundary.n) != 0)
            continue;
        ret->level = i;
        ret->is_close = is_close;
        return true;
    }
    return false;
}

/* Takes the next line; `*ret_end` is behind it. True if it is a delimiter. */
static bool take_line(struct scan *s, size_t *ret_end, struct delimiter *ret)
{
    const char *start = s->m.p + s->at;
    const char *lf = *start == '\n' ? start : memchr(start, '\n', s->m.n - s->at);
    *ret_end = lf ? (size_t)(lf - s->m.p) + 1 : s->m.n;
    if (s->n_open == 0 || start[0] != '-' || *ret_end - s->at < 3 || start[1] != '-')
        return false;
    if (!is_delimiter(s, line_text(s->m, s->at, *ret_end), ret))
        return false;
    ret->offset = s->at;
    ret->line = s->line;
    return true;
}

static void next_line(struct scan *s, size_t end)
{
    s->at = end;
    s->line++;
}

/* ---- what a part's header says ----------------------------------------------------------- */

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 127 ||
            strchr("()<>@,;:\\\"/[]?=", s.p[i]))
            return false;
    return s.n > 0 && s.n <= TOKEN_MAX;
}

/* In lower case; borrowed if it is already. */
static struct slice lower(struct scan *s, struct slice text)
{
    size_t i = 0;
    while (i < text.n && ascii_lower(text.p[i]) == text.p[i])
        i++;
    struct slice copy;
    if (i == text.n || !arena_try_copy(s->a, text, &copy))
        return text;
    char *p = (char *)(uintptr_t)copy.p; /* our own copy */
    for (; i < copy.n; i++)
        p[i] = ascii_lower(p[i]);
    return copy;
}

static void read_type(struct scan *s, struct mime_part *part, struct slice raw)
{
    struct param_wish wishes[] = {{"boundary", BOUNDARY_MAX + 1, {0}},
                                  {"charset", CHARSET_MAX, {0}},
                                  {"name", MIME_FILENAME_MAX, {0}}};
    struct slice value, subtype;
    s->ret->odd |= params_pick(raw, s->a, wishes, 3, &value);
    struct slice type = slice_cut(value, '/', &subtype);
    if (!is_token(type) || !is_token(subtype))
        return;
    part->type = lower(s, type);
    part->subtype = lower(s, subtype);
    part->charset = wishes[1].value;
    if (part->name.n == 0)
        part->name = wishes[2].value;
    part->is_multipart = slice_eq(part->type, SLICE("multipart"));
    if (!part->is_multipart)
        return;
    if (wishes[0].value.n <= BOUNDARY_MAX)
        part->boundary = wishes[0].value;
    if (part->boundary.n == 0)
        s->ret->odd |= MIME_ODD_BOUNDARY;
}

static void read_disposition(struct scan *s, struct mime_part *part, struct slice raw)
{
    struct param_wish wish = {"filename", MIME_FILENAME_MAX, {0}};
    struct slice value;
    s->ret->odd |= params_pick(raw, s->a, &wish, 1, &value);
    if (value.n)
        part->disposition = slice_ieq(value, SLICE("inline"))       ? MIME_DISPOSITION_INLINE
                            : slice_ieq(value, SLICE("attachment")) ? MIME_DISPOSITION_ATTACHMENT
                                                                    : MIME_DISPOSITION_OTHER;
    if (wish.value.n)
        part->name = wish.value; /* before Content-Type's (RFC 2183 section 2.3) */
}

static void read_content_id(struct scan *s, struct mime_part *part, struct slice raw)
{
    struct slice id = id_first(raw);
    if (id.n <= MIME_ID_MAX && !id_clean(id, s->a, &part->content_id))
        s->ret->odd |= MIME_ODD_MEMORY;
}

/* Of each of these fields the first one counts. */
enum { SEEN_TYPE = 1, SEEN_ENCODING = 2, SEEN_DISPOSITION = 4, SEEN_ID = 8 };

static void read_field(struct scan *s, struct mime_part *part, const struct mime_field *f,
                       unsigned *seen)
{
    if (f->name.n == 0)
        s->ret->odd |= MIME_ODD_HEADER_LINE;
    if (f->name.n < 10 || (f->name.p[0] | 0x20) != 'c' ||
        !slice_istarts(f->name, SLICE("content-")))
        return;
    struct slice what = slice_skip(f->name, 8);
    unsigned field = slice_ieq(what, SLICE("type"))                ? SEEN_TYPE
                     : slice_ieq(what, SLICE("transfer-encoding")) ? SEEN_ENCODING
                     : slice_ieq(what, SLICE("disposition"))       ? SEEN_DISPOSITION
                     : slice_ieq(what, SLICE("id"))                ? SEEN_ID
                                                                   : 0;
    if (*seen & field)
        return;
    *seen |= field;
    if (field == SEEN_TYPE)
        read_type(s, part, f->value);
    else if (field == SEEN_ENCODING)
        part->encoding = mime_encoding_of(f->value);
    else if (field == SEEN_DISPOSITION)
        read_disposition(s, part, f->value);
    else if (field == SEEN_ID)
        read_content_id(s, part, f->value);
}

/* Reads the fields from part->header_offset up to the empty line or header_offset + len; returns
 * where the walk ended, which is the header's end if the result is MIME_WALK_DONE. */
static size_t read_header(struct scan *s, struct mime_part *part, size_t len,
                          enum mime_walk_state *ret_state)
{
    struct mime_walk w = mime_walk_range(s->m, part->header_offset, len);
    struct mime_field f;
    unsigned seen = 0;
    while (mime_walk_next(&w, &f)) {
        read_field(s, part, &f, &seen);
        if (part->parent < 0 && s->see_field)
            s->see_field(s->arg, &f);
    }
    if (w.state == MIME_WALK_TOO_LONG)
        s->ret->odd |= MIME_ODD_HEADER_LONG;
    if (w.state == MIME_WALK_TOO_MANY)
        s->ret->odd |= MIME_ODD_HEADER_MANY;
    *ret_state = w.state;
    return w.at;
}

/* ---- parts ------------------------------------------------------------------------------- */

static bool starts_with_field(struct slice m, size_t at, size_t end)
{
    struct mime_field f;
    field_split(m, at, end, &f);
    return f.name.n > 0;
}

/* Lines up to the empty one, or up to a delimiter, which waits for the body to end there. A part
 * (not a message) whose first line is no field has no header: the empty line was forgotten. */
static void find_header_end(struct scan *s, struct mime_part *part, bool is_message)
{
    while (s->at < s->m.n) {
        size_t end;
        struct delimiter ignored;
        if (take_line(s, &end, &ignored))
            break;
        bool is_empty = s->m.p[s->at] == '\n' ||
                        (s->m.p[s->at] == '\r' && end - s->at == 2 && s->m.p[end - 1] == '\n');
        if (is_empty) {
            part->header_len = s->at - part->header_offset;
            next_line(s, end);
            body_begin(s, part);
            return;
        }
        bool is_first = s->at == part->header_offset;
        if (is_first && !is_message && !starts_with_field(s->m, s->at, end)) {
            s->ret->odd |= MIME_ODD_HEADER_LINE;
            break;
        }
        next_line(s, end);
    }
    part->header_len = s->at - part->header_offset;
    body_begin(s, part);
}

/* The message's own header, and others that no delimiter can end, are walked once. */
static void take_header(struct scan *s, struct mime_part *part, bool is_message)
{
    enum mime_walk_state state;
    part->header_offset = s->at;
    if (s->n_open > 0 || !is_message) {
        find_header_end(s, part, is_message);
        (void)read_header(s, part, part->header_len, &state); /* the bits in odd say it */
        return;
    }
    s->at = read_header(s, part, s->m.n - s->at, &state);
    if (part->parent < 0)
        s->root_state = state;
    find_header_end(s, part, is_message);
}

static struct mime_part *part_add(struct scan *s, int parent)
{
    struct mime_structure *ret = s->ret;
    struct mime_part *part = array_slot(s->a, &ret->parts, ret->n_parts, sizeof(*part));
    if (!part) {
        ret->odd |= MIME_ODD_MEMORY;
        ret->is_cut = s->is_stopped = true;
        return NULL;
    }
    *part = (struct mime_part){.parent = parent,
                               .depth = parent < 0 ? 0 : ret->parts[parent].depth + 1,
                               .type = SLICE("text"),
                               .subtype = SLICE("plain")};
    if (parent >= 0 && part_is(&ret->parts[parent], "multipart", "digest")) {
        part->type = SLICE("message"); /* RFC 2046 section 5.1.5 */
        part->subtype = SLICE("rfc822");
    }
    s->current = (int)ret->n_parts++;
    return part;
}

/* The last part there may be: all the rest, not looked into. */
static void part_add_rest(struct scan *s, int parent)
{
    struct mime_part *part = part_add(s, parent);
    s->is_stopped = s->ret->is_cut = true;
    s->ret->odd |= MIME_ODD_PARTS;
    if (!part)
        return;
    part->type = SLICE("application");
    part->subtype = SLICE("octet-stream");
    part->is_opaque = true;
    part->header_offset = s->at;
    body_begin(s, part);
}

static bool is_message_type(const struct mime_part *part)
{
    return slice_eq(part->type, SLICE("message")) &&
           (slice_eq(part->subtype, SLICE("rfc822")) || slice_eq(part->subtype, SLICE("global"))) &&
           part->encoding != MIME_ENCODING_BASE64 && part->encoding != MIME_ENCODING_QP;
}

/* Adds the part that starts here and looks at its header; true if a message starts in its body. */
static bool part_begin(struct scan *s, int parent, bool is_message)
{
    if (s->ret->n_parts == MIME_PARTS_MAX - 1) {
        part_add_rest(s, parent);
        return false;
    }
    struct mime_part *part = part_add(s, parent);
    if (!part)
        return false;
    size_t mbox = is_message ? mbox_line_len(slice_skip(s->m, s->at)) : 0;
    if (mbox) {
        s->ret->odd |= MIME_ODD_MBOX_LINE;
        next_line(s, s->at + mbox);
    }
    take_header(s, part, is_message);
    bool has_message = is_message_type(part);
    bool is_container = has_message || (part->is_multipart && part->boundary.n);
    if (is_container && part->depth + 1 >= MIME_DEPTH_MAX) {
        part->is_opaque = s->ret->is_cut = true;
        s->ret->odd |= MIME_ODD_DEPTH;
        return false;
    }
    if (part->is_multipart && part->boundary.n)
        s->open[s->n_open++] =
            (struct open_multipart){.part = s->current, .boundary = part->boundary};
    part->is_message = has_message;
    return has_message;
}

/* A message in a message in a message … each may start in the body of the one before. */
static void part_begin_all(struct scan *s, int parent, bool is_message)
{
    while (part_begin(s, parent, is_message)) {
        parent = s->current;
        is_message = true;
    }
}

/* Body ends at `end`, which is in line number `line` (or starts it). */
static void part_close(struct scan *s, struct mime_part *part, size_t end, size_t line)
{
    size_t n = line - part->n_lines;
    /* A part without a body, or even a header, may start behind the line end that belongs to the
     * delimiter; it is moved before it, so that parts always lie inside their parents. */
    if (part->header_offset > end)
        part->header_offset = end;
    if (part->header_len > end - part->header_offset)
        part->header_len = end - part->header_offset;
    if (part->body_offset > end)
        part->body_offset = end;
    part->body_len = end - part->body_offset;
    /* The line before the delimiter counts only if there is something in it. */
    bool is_last_empty = part->body_len == 0 || s->m.p[end - 1] == '\n';
    part->n_lines = n - (n > 0 && is_last_empty);
}

/* Closes all that is open below part number `top`. */
static void close_below(struct scan *s, int top, const struct delimiter *d)
{
    size_t end = d->offset; /* the line end before a delimiter belongs to it */
    if (end > 0 && s->m.p[end - 1] == '\n')
        end--;
    if (end > 0 && end < d->offset && s->m.p[end - 1] == '\r')
        end--;
    while (s->current != top) {
        struct mime_part *part = &s->ret->parts[s->current];
        part_close(s, part, end, d->line);
        s->current = part->parent;
    }
}

static void at_delimiter(struct scan *s, const struct delimiter *d, size_t line_end)
{
    int multipart = s->open[d->level].part;
    close_below(s, multipart, d);
    if (s->n_open > d->level + 1)
        s->ret->odd |= MIME_ODD_UNCLOSED; /* what was open inside was not closed by itself */
    s->n_open = d->level + (d->is_close ? 0 : 1);
    next_line(s, line_end);
    if (!d->is_close)
        part_begin_all(s, multipart, false);
}

static void finish(struct scan *s)
{
    if (s->n_open > 0)
        s->ret->odd |= MIME_ODD_UNCLOSED;
    size_t line = s->line + count_lines(slice_skip(s->m, s->at)); /* nobody has looked at these */
    while (s->current >= 0) {
        struct mime_part *part = &s->ret->parts[s->current];
        part->body_len = s->m.n - part->body_offset;
        part->n_lines = line - part->n_lines;
        s->current = part->parent;
    }
    for (size_t i = 0; i < s->ret->n_parts; i++) {
        struct mime_part *part = &s->ret->parts[i];
        bool has_parts = i + 1 < s->ret->n_parts && s->ret->parts[i + 1].parent == (int)i;
        if (part->is_multipart && !part->is_opaque && !has_parts)
            s->ret->odd |= MIME_ODD_BOUNDARY;
        part->is_message = part->is_message && has_parts;
    }
}

enum mime_walk_state structure_parse(struct slice message, struct arena *a, field_fn *see_field,
                                     void *arg, struct mime_structure *ret)
{
    struct scan s;
    if (message.n == 0)
        message = SLICE("");                    /* never NULL, so that adding 0 to it is defined */
    memset(&s, 0, offsetof(struct scan, open)); /* that array is large and needs no zeros */
    s.m = message;
    s.a = a;
    s.ret = ret;
    s.see_field = see_field;
    s.arg = arg;
    s.current = -1;
    s.root_state = MIME_WALK_TOO_MANY; /* if there is no room for the first part */
    *ret = (struct mime_structure){0};
    part_begin_all(&s, -1, true);
    while (s.at < message.n && !s.is_stopped && s.n_open > 0) {
        size_t end;
        struct delimiter d;
        if (take_line(&s, &end, &d))
            at_delimiter(&s, &d, end);
        else
            next_line(&s, end);
    }
    finish(&s);
    return s.root_state;
}

void mime_structure_parse(struct slice message, struct arena *a, struct mime_structure *ret)
{
    (void)structure_parse(message, a, NULL, NULL, ret); /* ret->odd has it */
}
