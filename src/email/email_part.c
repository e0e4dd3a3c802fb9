/* Parts of a message as EmailBodyPart objects. RFC 8621 section 4.1.4.
 * Not here: which part goes where (email_lists.c), what it says (email_value.c). */
#include "email/email_int.h"

enum { LANGUAGES_MAX = 50 };

struct mime_part email_part_shown(const struct render *r, size_t part)
{
    struct mime_part p = r->s.parts[part];
    if (!p.is_multipart || r->more[part].is_branch)
        return p;
    /* No boundary, or none that comes: one text (RFC 2045 section 5.2), so that a person can read
     * it. Past our bounds: bytes. */
    p.is_multipart = false;
    p.type = p.is_opaque ? SLICE("application") : SLICE("text");
    p.subtype = p.is_opaque ? SLICE("octet-stream") : SLICE("plain");
    return p;
}

/* Size of the body without its transfer encoding. */
static uint64_t decoded_size(struct slice message, const struct mime_part *p)
{
    enum { PIECE = 32 * 1024 };
    if (p->encoding != MIME_ENCODING_BASE64 && p->encoding != MIME_ENCODING_QP)
        return p->body_len;
    SCOPED(buf_finish) struct buf out = buf_make(PIECE + 256);
    struct mime_decoder d = mime_decoder_make(p->encoding);
    struct slice rest = slice_of(message.p + p->body_offset, p->body_len);
    uint64_t size = 0;
    while (rest.n) {
        struct slice piece = slice_of(rest.p, rest.n < PIECE ? rest.n : PIECE);
        rest = slice_skip(rest, piece.n);
        (void)mime_decoder_feed(&d, piece, &out); /* never longer than the piece and what is held */
        size += out.n;
        buf_clear(&out);
    }
    (void)mime_decoder_end(&d, &out); /* as above */
    return size + out.n;
}

static uint64_t size_of(struct render *r, size_t part)
{
    struct part_more *more = &r->more[part];
    if (!more->has_size)
        more->size = decoded_size(r->message, &r->s.parts[part]);
    more->has_size = true;
    return more->size;
}

static void put_blob_id(struct render *r, const struct mime_part *p)
{
    struct email_blob id = r->blob;
    char text[EMAIL_BLOB_TEXT];
    if (!r->has_blob || p->body_offset > UINT32_MAX || p->body_len > UINT32_MAX) {
        buf_addf(r->ret, "null");
        return;
    }
    id.steps[id.n_steps++] = (struct email_blob_step){
        .offset = (uint32_t)p->body_offset,
        .len = (uint32_t)p->body_len,
        .encoding = p->encoding == MIME_ENCODING_BASE64 ? 'b'
                    : p->encoding == MIME_ENCODING_QP   ? 'q'
                                                        : 'n',
    };
    email_blob_write(&id, text);
    buf_addf(r->ret, "\"%s\"", text);
}

/* ---- what stands in fields that mime does not keep ---------------------------------------- */

/* Comments are left out, blanks at both ends and line ends too. */
static struct slice without_comments(struct render *r, struct slice s)
{
    SCOPED(buf_finish) struct buf b = buf_make(s.n + 1);
    unsigned depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && depth > 0)
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && depth > 0)
            depth--;
        else if (depth == 0 && s.p[i] != '\r' && s.p[i] != '\n')
            buf_addc(&b, s.p[i]);
    }
    r->work += s.n;
    arena_reset(r->scratch);
    struct slice clean = slice_trim(buf_slice(&b));
    return clean.n ? arena_copy(r->scratch, clean) : SLICE("");
}

static void put_languages(struct render *r)
{
    struct slice value, rest;
    if (!email_field_first(&r->part, SLICE("Content-Language"), &value)) {
        buf_addf(r->ret, "null");
        return;
    }
    buf_addc(r->ret, '[');
    rest = without_comments(r, value);
    for (size_t i = 0; rest.n && i < LANGUAGES_MAX; i++) {
        struct slice tag = slice_trim(slice_cut(rest, ',', &rest));
        if (tag.n == 0)
            continue;
        email_put_comma(r->ret);
        email_put_text(r->ret, tag);
    }
    buf_addc(r->ret, ']');
}

/* A URI may be folded anywhere (RFC 2557 section 4.4.2). */
static void put_location(struct render *r)
{
    struct slice value;
    if (!email_field_first(&r->part, SLICE("Content-Location"), &value)) {
        buf_addf(r->ret, "null");
        return;
    }
    SCOPED(buf_finish) struct buf uri = buf_make(value.n + 1);
    for (size_t i = 0; i < value.n; i++)
        if (!email_is_blank(value.p[i]))
            buf_addc(&uri, value.p[i]);
    r->work += value.n;
    email_put_text_or_null(r->ret, buf_slice(&uri));
}

struct slice email_disposition(struct render *r, size_t part)
{
    const struct mime_part *p = &r->s.parts[part];
    struct slice value, rest;
    if (p->disposition == MIME_DISPOSITION_NONE)
        return SLICE("");
    if (p->disposition == MIME_DISPOSITION_INLINE)
        return SLICE("inline");
    struct fields *f = part == 0 ? &r->root : &r->part;
    if (part > 0 && r->part_of_fields != part) {
        email_fields_read(r, p->header_offset, p->header_len, f);
        r->part_of_fields = part;
    }
    if (!email_field_first(f, SLICE("Content-Disposition"), &value))
        return SLICE("attachment");
    struct slice word = slice_trim(slice_cut(without_comments(r, value), ';', &rest));
    if (word.n == 0 || slice_ieq(word, SLICE("attachment")))
        return SLICE("attachment");
    SCOPED(buf_finish) struct buf b = buf_make(word.n);
    for (size_t i = 0; i < word.n && !email_is_blank(word.p[i]); i++)
        buf_addc(&b, ascii_lower(word.p[i]));
    arena_reset(r->scratch);
    return arena_copy(r->scratch, buf_slice(&b));
}

/* ---- properties -------------------------------------------------------------------------- */

static void put_part_id(struct render *r, size_t part, const struct mime_part *p)
{
    if (p->is_multipart)
        buf_addf(r->ret, "null");
    else
        buf_addf(r->ret, "\"%zu\"", part + 1);
}

static void put_charset(struct render *r, const struct mime_part *p)
{
    bool is_text = slice_eq(p->type, SLICE("text"));
    email_put_text_or_null(r->ret, p->charset.n ? p->charset
                                   : is_text    ? SLICE("us-ascii")
                                                : SLICE(""));
}

static void put_type(struct render *r, const struct mime_part *p)
{
    SCOPED(buf_finish) struct buf type = buf_make(512);
    buf_adds(&type, p->type);
    buf_addc(&type, '/');
    buf_adds(&type, p->subtype);
    email_put_text(r->ret, buf_slice(&type));
}

/* At most MIME_DEPTH_MAX deep. */
static void put_sub_parts(struct render *r, size_t part)
{
    if (!r->more[part].is_branch) {
        buf_addf(r->ret, "null");
        return;
    }
    buf_addc(r->ret, '[');
    for (size_t i = part + 1; i < r->more[part].end; i = r->more[i].end) {
        email_put_comma(r->ret);
        email_put_part(r, i);
    }
    buf_addc(r->ret, ']');
}

/* False: it is none of a part. */
static bool put_simple(struct render *r, size_t part, const struct mime_part *p,
                       enum email_field field)
{
    if (field == EMAIL_PART_ID)
        put_part_id(r, part, p);
    else if (field == EMAIL_BLOB_ID && p->is_multipart)
        buf_addf(r->ret, "null");
    else if (field == EMAIL_BLOB_ID)
        put_blob_id(r, p);
    else if (field == EMAIL_SIZE)
        buf_addf(r->ret, "%llu", (unsigned long long)size_of(r, part));
    else if (field == EMAIL_NAME)
        email_put_text_or_null(r->ret, p->name);
    else if (field == EMAIL_TYPE)
        put_type(r, p);
    else if (field == EMAIL_CHARSET)
        put_charset(r, p);
    else if (field == EMAIL_DISPOSITION)
        email_put_text_or_null(r->ret, email_disposition(r, part));
    else if (field == EMAIL_CID)
        email_put_text_or_null(r->ret, p->content_id);
    else if (field == EMAIL_LANGUAGE)
        put_languages(r);
    else if (field == EMAIL_LOCATION)
        put_location(r);
    else if (field == EMAIL_SUB_PARTS)
        put_sub_parts(r, part);
    else
        return false;
    return true;
}

void email_put_part(struct render *r, size_t part)
{
    struct mime_part p = email_part_shown(r, part);
    const struct email_properties *want = &r->want->body;
    buf_addc(r->ret, '{');
    for (size_t i = 0; i < want->n && !r->ret->failed && r->work < RENDER_WORK_MAX; i++) {
        const struct email_property *w = &want->v[i];
        /* Parts inside use the same memory: it may have to be read anew. */
        bool is_of_fields = w->field == EMAIL_HEADERS || w->field == EMAIL_HEADER ||
                            w->field == EMAIL_LANGUAGE || w->field == EMAIL_LOCATION;
        if (is_of_fields && r->part_of_fields != part) {
            email_fields_read(r, p.header_offset, p.header_len, &r->part);
            r->part_of_fields = part;
        }
        email_put_key(r->ret, w->text);
        if (w->field == EMAIL_HEADERS)
            email_put_headers(r, &r->part);
        else if (w->field == EMAIL_HEADER)
            email_put_header(r, &r->part, w);
        else
            must(put_simple(r, part, &p, w->field));
    }
    if (r->want->has_usual_body && r->more[part].is_branch) {
        email_put_key(r->ret, SLICE("subParts"));
        put_sub_parts(r, part);
    }
    buf_addc(r->ret, '}');
}

void email_put_parts(struct render *r, const struct part_list *list)
{
    buf_addc(r->ret, '[');
    for (size_t i = 0; i < list->n && !r->ret->failed && r->work < RENDER_WORK_MAX; i++) {
        email_put_comma(r->ret);
        email_put_part(r, (size_t)list->v[i]);
    }
    buf_addc(r->ret, ']');
}
