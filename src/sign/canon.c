/* The canonical forms of RFC 6376 section 3.4 and their digests. The body goes through in one
 * pass, in pieces of a few KiB, however many digests are wanted of it. */
#include "canon.h"

#include <openssl/evp.h>

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* Bytes of the blank or line end at `at`; 0 if there is neither. Inside a field a CRLF is always a
 * fold: a blank comes next. */
static size_t blank_at(struct slice s, size_t at)
{
    if (is_wsp(s.p[at]))
        return 1;
    return at + 1 < s.n && s.p[at] == '\r' && s.p[at + 1] == '\n' ? 2 : 0;
}

/* Unfolded, blanks shrunk to one SP, none at the end (section 3.4.2). */
static void add_relaxed_value(struct slice value, struct buf *out)
{
    value = slice_trim(value);
    for (size_t at = 0; at < value.n;) {
        size_t end = at;
        while (end < value.n && blank_at(value, end) == 0)
            end++;
        buf_add(out, value.p + at, end - at);
        at = end;
        while (at < value.n && blank_at(value, at) > 0)
            at += blank_at(value, at);
        if (at > end)
            buf_addc(out, ' ');
    }
}

static void add_relaxed(const struct sign_field *f, struct buf *out)
{
    for (size_t i = 0; i < f->name.n; i++)
        buf_addc(out, ascii_lower(f->name.p[i]));
    buf_addc(out, ':');
    add_relaxed_value(f->value, out);
}

static struct slice without_line_end(struct slice raw)
{
    if (raw.n >= 2 && memcmp(raw.p + raw.n - 2, "\r\n", 2) == 0)
        raw.n -= 2;
    return raw;
}

void sign_canon_field(enum sign_canon c, const struct sign_field *f, struct buf *out)
{
    switch (c) {
    case SIGN_SIMPLE:
        buf_adds(out, without_line_end(f->raw));
        break;
    case SIGN_RELAXED:
        add_relaxed(f, out);
        break;
    }
    buf_adds(out, SLICE("\r\n"));
}

void sign_canon_own(enum sign_canon c, const struct sign_field *f, struct slice b_value,
                    struct buf *out)
{
    SCOPED(buf_finish) struct buf bare = buf_make(f->raw.n + 1);
    size_t from = b_value.n ? (size_t)(b_value.p - f->raw.p) : f->raw.n;
    size_t to = from + b_value.n;
    must(to <= f->raw.n);
    while (b_value.n && from > 0 && sign_is_blank(f->raw.p[from - 1]))
        from--;
    while (to < f->raw.n && sign_is_blank(f->raw.p[to]))
        to++;
    buf_add(&bare, f->raw.p, from);
    buf_adds(&bare, slice_skip(f->raw, to));
    struct slice rest = buf_slice(&bare);
    struct sign_field own;
    if (!sign_field_next(&rest, &own))
        return;
    sign_canon_field(c, &own, out);
    if (!out->failed)
        out->n -= 2;
}

void sign_sha256(struct slice bytes, uint8_t ret[SIGN_DIGEST])
{
    must(EVP_Digest(bytes.n ? bytes.p : "", bytes.n, ret, NULL, EVP_sha256(), NULL) == 1);
}

/* ---- the body ----------------------------------------------------------------------------- */

enum { PIECE_BYTES = 8192, DIGESTS_MAX = 16 };

/* Takes canonical bytes; hands a digest out whenever a limit is passed. */
struct sink {
    EVP_MD_CTX *md;
    struct sign_digest *wants;
    size_t n_wants;
    uint64_t n_bytes;
    size_t n_piece;
    size_t n_crlf; /* empty lines that count only if something follows */
    char piece[PIECE_BYTES];
};

static void sink_take_digest(struct sink *s, struct sign_digest *want)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    must(copy && EVP_MD_CTX_copy_ex(copy, s->md) == 1);
    must(EVP_DigestFinal_ex(copy, want->sha256, NULL) == 1);
    EVP_MD_CTX_free(copy);
}

/* How many of the next `n` bytes come before the next limit. */
static size_t sink_before_limit(const struct sink *s, size_t n)
{
    for (size_t i = 0; i < s->n_wants; i++) {
        const struct sign_digest *want = &s->wants[i];
        if (!want->is_partial && want->limit - s->n_bytes < n)
            n = (size_t)(want->limit - s->n_bytes);
    }
    return n;
}

static void sink_digest(struct sink *s, const char *p, size_t n)
{
    while (n > 0) {
        size_t part = sink_before_limit(s, n);
        must(EVP_DigestUpdate(s->md, p, part) == 1);
        s->n_bytes += part;
        p += part;
        n -= part;
        if (n == 0)
            return; /* whether anything follows a limit just reached is not known yet */
        for (size_t i = 0; i < s->n_wants; i++) {
            struct sign_digest *want = &s->wants[i];
            if (want->is_partial || want->limit != s->n_bytes)
                continue;
            sink_take_digest(s, want);
            want->is_partial = true;
        }
    }
}

static void sink_flush(struct sink *s)
{
    sink_digest(s, s->piece, s->n_piece);
    s->n_piece = 0;
}

static void sink_add(struct sink *s, const char *p, size_t n)
{
    if (n >= PIECE_BYTES) {
        sink_flush(s);
        sink_digest(s, p, n);
        return;
    }
    if (s->n_piece + n > PIECE_BYTES)
        sink_flush(s);
    memcpy(s->piece + s->n_piece, p, n);
    s->n_piece += n;
}

static void sink_finish(struct sink *s)
{
    sink_flush(s);
    for (size_t i = 0; i < s->n_wants; i++) {
        struct sign_digest *want = &s->wants[i];
        if (want->is_partial)
            continue;
        sink_take_digest(s, want);
        want->is_short = want->limit != UINT64_MAX && want->limit > s->n_bytes;
    }
    EVP_MD_CTX_free(s->md);
}

/* Without the empty lines at the end; a CRLF is added (section 3.4.3). */
static void body_simple(struct slice body, struct sink *s)
{
    while (body.n >= 4 && memcmp(body.p + body.n - 4, "\r\n\r\n", 4) == 0)
        body.n -= 2;
    body = without_line_end(body);
    if (body.n > 0)
        sink_add(s, body.p, body.n);
    sink_add(s, "\r\n", 2);
}

/* Empty lines wait until something follows them: at the end of the body they do not count. */
static void sink_release_lines(struct sink *s)
{
    for (; s->n_crlf > 0; s->n_crlf--)
        sink_add(s, "\r\n", 2);
}

/* One line without its CRLF: blanks shrunk to one SP, those at the end gone (section 3.4.4). */
static void line_relaxed(struct slice line, struct sink *s)
{
    while (line.n > 0 && is_wsp(line.p[line.n - 1]))
        line.n--;
    if (line.n > 0)
        sink_release_lines(s);
    for (size_t at = 0; at < line.n;) {
        size_t end = at;
        while (end < line.n && !is_wsp(line.p[end]))
            end++;
        if (end > at)
            sink_add(s, line.p + at, end - at);
        at = end;
        while (at < line.n && is_wsp(line.p[at]))
            at++;
        if (at > end)
            sink_add(s, " ", 1);
    }
    s->n_crlf++;
}

/* The next CRLF at or after `from`, or the end. */
static size_t line_end(struct slice body, size_t from)
{
    for (size_t at = from; at < body.n; at++) {
        const char *lf = memchr(body.p + at, '\n', body.n - at);
        if (!lf)
            return body.n;
        at = (size_t)(lf - body.p);
        if (at > from && body.p[at - 1] == '\r')
            return at - 1;
    }
    return body.n;
}

static void body_relaxed(struct slice body, struct sink *s)
{
    for (size_t at = 0; at < body.n;) {
        size_t end = line_end(body, at);
        line_relaxed(slice_of(body.p + at, end - at), s);
        at = end + 2;
    }
    /* What waits is the end of the last line that has text, and empty lines after it. */
    s->n_crlf = s->n_bytes + s->n_piece > 0 ? 1 : 0;
    sink_release_lines(s);
}

void sign_canon_body(enum sign_canon c, struct slice body, struct sign_digest *wants, size_t n)
{
    must(n <= DIGESTS_MAX);
    if (n == 0)
        return;
    struct sink *s = mem_new(sizeof(*s));
    s->md = EVP_MD_CTX_new();
    s->wants = wants;
    s->n_wants = n;
    must(s->md && EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < n; i++)
        wants[i].is_partial = wants[i].is_short = false;
    switch (c) {
    case SIGN_SIMPLE:
        body_simple(body, s);
        break;
    case SIGN_RELAXED:
        body_relaxed(body, s);
        break;
    }
    sink_finish(s);
    mem_free(&s);
}
