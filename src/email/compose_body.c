/* Bodies on the wire: which transfer encoding is right, and the multiparts around them.
 * RFC 2045 section 6, RFC 2046, RFC 2387. */
#include "email/compose_int.h"

enum { QP_LINE_MAX = 75, BASE64_LINE_BYTES = 57 };

/* What a transfer encoding depends on. */
struct look {
    size_t n_escapes;                 /* bytes that quoted-printable would escape */
    size_t line_max;                  /* the longest line, without its CRLF */
    bool has_8bit, has_nul, has_bare; /* bare: CR or LF alone */
    bool has_from;                    /* a line that mboxes mistake for a separator */
    bool is_ended;                    /* the last line has its CRLF */
};

static struct look look_at(struct slice s)
{
    struct look l = {.is_ended = s.n == 0 || s.p[s.n - 1] == '\n'};
    size_t start = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_end = c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
        if (i == start && slice_starts(slice_skip(s, i), SLICE("From ")))
            l.has_from = true;
        size_t line = i - start + !is_end;
        if (line > l.line_max)
            l.line_max = line;
        if (is_end) {
            i++;
            start = i + 1;
            continue;
        }
        l.has_8bit = l.has_8bit || c >= 128;
        l.has_nul = l.has_nul || c == 0;
        l.has_bare = l.has_bare || c == '\r' || c == '\n';
        l.n_escapes += (c < ' ' && c != '\t') || c >= 127 || c == '=';
    }
    return l;
}

static bool is_message(const struct compose_part *p)
{
    return slice_eq(p->type, SLICE("message/rfc822")) || slice_eq(p->type, SLICE("message/global"));
}

static enum transfer transfer_of(const struct compose_part *p, const struct look *l, bool is_top)
{
    bool is_text =
        slice_starts(p->type, SLICE("text/")) || slice_starts(p->type, SLICE("message/"));
    bool is_lines = !l->has_nul && !l->has_bare && l->line_max <= LINE_MAX_BYTES;
    bool is_clean = is_lines && !l->has_8bit && (l->is_ended || !is_top);
    if (is_message(p) && is_lines) /* RFC 2046 section 5.2.1 allows no other */
        return l->has_8bit ? TRANSFER_8BIT : TRANSFER_7BIT;
    bool is_usual = p->is_value ? l->line_max <= LINE_USUAL && !l->has_from : is_text;
    if (is_clean && is_usual && is_text)
        return TRANSFER_7BIT;
    /* An escape costs two bytes more, base64 a third of everything. */
    bool is_mostly_text = is_text && !l->has_nul && l->n_escapes * 6 < p->bytes.n + 6;
    return is_mostly_text ? TRANSFER_QP : TRANSFER_BASE64;
}

/* ---- encodings --------------------------------------------------------------------------- */

static void put_base64(struct buf *b, struct slice s)
{
    while (s.n) {
        size_t n = s.n < BASE64_LINE_BYTES ? s.n : BASE64_LINE_BYTES;
        compose_base64(b, slice_of(s.p, n));
        s = slice_skip(s, n);
        buf_addf(b, s.n ? "\r\n" : "");
    }
}

/* What may not stand as it is at this place of a line (RFC 2045 section 6.7, and what mboxes and
 * careless relays do to "From " and a lone dot). */
static bool must_escape(struct slice s, size_t i, bool is_start)
{
    unsigned char c = (unsigned char)s.p[i];
    bool is_last = i + 1 == s.n || s.p[i + 1] == '\r' || s.p[i + 1] == '\n';
    if (c == ' ' || c == '\t')
        return is_last;
    if (c < ' ' || c >= 127 || c == '=')
        return true;
    return is_start && (c == '.' || slice_starts(slice_skip(s, i), SLICE("From ")));
}

static void put_qp(struct buf *b, struct slice s)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t column = 0;
    for (size_t i = 0; i < s.n && !b->failed; i++) {
        if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') {
            buf_addf(b, "\r\n");
            column = 0;
            i++;
            continue;
        }
        bool is_escaped = must_escape(s, i, column == 0);
        size_t n = is_escaped ? 3 : 1;
        if (column + n > QP_LINE_MAX) {
            buf_addf(b, "=\r\n");
            column = 0;
            is_escaped = must_escape(s, i, true);
            n = is_escaped ? 3 : 1;
        }
        unsigned char c = (unsigned char)s.p[i];
        char escape[3] = {'=', HEX[c >> 4], HEX[c & 15]};
        buf_add(b, is_escaped ? escape : s.p + i, n);
        column += n;
    }
}

/* Line ends of JSON texts are LF; CRLF stays, a CR alone too. */
static void with_line_ends(struct slice text, struct buf *ret)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\n' && (i == 0 || text.p[i - 1] != '\r'))
            buf_addc(ret, '\r');
        buf_addc(ret, text.p[i]);
    }
}

/* ---- boundaries -------------------------------------------------------------------------- */

static bool occurs(const struct compose_part *part, struct slice stem)
{
    if (part->bytes.n && memmem(part->bytes.p, part->bytes.n, stem.p, stem.n))
        return true;
    for (const struct compose_part *sub = part->sub; sub; sub = sub->next)
        if (occurs(sub, stem))
            return true;
    return false;
}

/* Random, so that nobody can write it in before; looked for all the same. "=_" never comes out of
 * quoted-printable or base64. */
void compose_stem_make(struct compose *c, const struct compose_part *top)
{
    char text[20];
    base32_text(c->o->random + 16, 10, text);
    unsigned attempt = 0;
    struct buf b;
    do {
        b = (struct buf){.p = c->stem, .cap = sizeof(c->stem), .max = sizeof(c->stem) - 1};
        buf_addf(&b, "=_%.16s%u", text, attempt++);
        c->stem[b.n] = '\0';
    } while (occurs(top, buf_slice(&b)));
}

static struct slice boundary_of(const struct compose *c, const struct compose_part *part,
                                char text[static COMPOSE_STEM + 16])
{
    struct buf b = {.p = text, .cap = COMPOSE_STEM + 16, .max = COMPOSE_STEM + 15};
    buf_addf(&b, "%s_%u", c->stem, part->number);
    return buf_slice(&b);
}

/* ---- headers of parts -------------------------------------------------------------------- */

static void put_type(struct compose *c, const struct compose_part *p)
{
    char text[COMPOSE_STEM + 16];
    struct fold f = fold_begin(c->out, SLICE("Content-Type"));
    bool is_text = slice_starts(p->type, SLICE("text/"));
    fold_word(&f, SLICE(" "), p->type);
    if (p->sub) {
        if (slice_eq(p->type, SLICE("multipart/related")))
            fold_param(&f, "type", p->sub->type); /* RFC 2387 section 3.1 */
        fold_param(&f, "boundary", boundary_of(c, p, text));
    } else if (p->is_value) {
        fold_param(&f, "charset", SLICE("utf-8"));
    } else if (p->charset.n) {
        fold_param(&f, "charset", p->charset);
    } else if (is_text && !is_ascii(p->bytes) && mime_utf8_is_valid(p->bytes)) {
        fold_param(&f, "charset", SLICE("utf-8"));
    }
    if (p->name.n && p->disposition.n == 0)
        fold_param(&f, "name", p->name);
    fold_end(&f);
}

static void put_word_field(struct compose *c, const char *name, struct slice value)
{
    if (value.n == 0)
        return;
    struct fold f = fold_begin(c->out, slice_str(name));
    while (value.n) {
        struct slice word = slice_cut(value, ' ', &value);
        fold_word(&f, SLICE(" "), word);
    }
    fold_end(&f);
}

static void put_fields(struct compose *c, const struct compose_part *p)
{
    buf_adds(c->out, p->fields);
    if (!p->has_own_type)
        put_type(c, p);
    if (p->disposition.n && !p->has_own_disposition) {
        struct fold f = fold_begin(c->out, SLICE("Content-Disposition"));
        fold_word(&f, SLICE(" "), p->disposition);
        if (p->name.n)
            fold_param(&f, "filename", p->name);
        fold_end(&f);
    }
    if (p->cid.n)
        buf_addf(c->out, p->cid.n > LINE_USUAL / 2 ? "Content-ID:\r\n <" : "Content-ID: <");
    buf_adds(c->out, p->cid);
    buf_addf(c->out, p->cid.n ? ">\r\n" : "");
    put_word_field(c, "Content-Language", p->languages);
    put_word_field(c, "Content-Location", p->location);
}

/* ---- parts ------------------------------------------------------------------------------- */

static void put_body(struct compose *c, const struct compose_part *p, struct slice bytes,
                     bool is_top)
{
    static const char *const NAMES[] = {"7bit", "8bit", "quoted-printable", "base64"};
    struct look look = look_at(bytes);
    enum transfer transfer = transfer_of(p, &look, is_top);
    buf_addf(c->out, "Content-Transfer-Encoding: %s\r\n\r\n", NAMES[transfer]);
    if (transfer == TRANSFER_8BIT)
        c->told->has_8bit = true;
    if (transfer == TRANSFER_BASE64)
        put_base64(c->out, bytes);
    else if (transfer == TRANSFER_QP)
        put_qp(c->out, bytes);
    else
        buf_adds(c->out, bytes);
    if (!is_top || bytes.n == 0)
        return;
    bool is_soft = transfer == TRANSFER_QP && !look.is_ended; /* no line end that was not there */
    bool is_open = transfer == TRANSFER_BASE64 || !look.is_ended;
    buf_addf(c->out, is_soft ? "=\r\n" : is_open ? "\r\n" : "");
}

static void put_multipart(struct compose *c, const struct compose_part *p)
{
    char text[COMPOSE_STEM + 16];
    struct slice boundary = boundary_of(c, p, text);
    for (const struct compose_part *sub = p->sub; sub; sub = sub->next) {
        buf_addf(c->out, "\r\n--");
        buf_adds(c->out, boundary);
        buf_addf(c->out, "\r\n");
        compose_part_write(c, sub, false);
    }
    buf_addf(c->out, "\r\n--");
    buf_adds(c->out, boundary);
    buf_addf(c->out, "--\r\n");
}

/* At most COMPOSE_DEPTH_MAX deep. */
void compose_part_write(struct compose *c, const struct compose_part *part, bool is_top)
{
    put_fields(c, part);
    if (part->sub) {
        buf_addf(c->out, is_top ? "MIME-Version: 1.0\r\n" : "");
        put_multipart(c, part);
        return;
    }
    buf_addf(c->out, is_top ? "MIME-Version: 1.0\r\n" : "");
    if (!part->is_value) {
        put_body(c, part, part->bytes, is_top);
        return;
    }
    SCOPED(buf_finish) struct buf lines = buf_make(2 * part->bytes.n + 1);
    with_line_ends(part->bytes, &lines);
    put_body(c, part, lines.n ? buf_slice(&lines) : SLICE(""), is_top);
}
