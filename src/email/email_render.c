/* A message as the properties of an Email that a client wants. RFC 8621 section 4.1. */
#include "email/email_int.h"

enum {
    STRUCTURE_MEMORY = 12 * 1024 * 1024, /* of parts and what is known of them */
    VALUE_MEMORY = 8 * 1024 * 1024,      /* of one header value */
};
static_assert(STRUCTURE_MEMORY + VALUE_MEMORY + EMAIL_VALUE_BYTES_MAX < EMAIL_RENDER_MEMORY_MAX,
              "the bound of email.h");

static struct fields fields_make(struct arena *a)
{
    return (struct fields){ARENA_ARRAY(a, struct name_value, MIME_HEADER_FIELDS_MAX), 0};
}

/* Where each part ends, and which ones are taken apart. Parts stand depth first. */
void email_parts_look(struct render *r)
{
    size_t n = r->s.n_parts;
    r->more = ARENA_ARRAY(r->a, struct part_more, n + 1);
    for (size_t i = n; i-- > 0;) {
        struct part_more *more = &r->more[i];
        const struct mime_part *p = &r->s.parts[i];
        if (more->end == 0)
            more->end = i + 1;
        more->is_branch = p->is_multipart && !p->is_opaque && more->end > i + 1;
        if (p->parent >= 0 && r->more[p->parent].end < more->end)
            r->more[p->parent].end = more->end;
    }
}

static void put_preview(struct render *r)
{
    SCOPED(buf_finish) struct buf text = buf_make(MIME_PREVIEW_MAX);
    (void)mime_preview(r->message, &r->s, &text); /* the best that can be read */
    email_put_text(r->ret, buf_slice(&text));
}

static void put_structure(struct render *r)
{
    if (r->s.n_parts)
        email_put_part(r, 0);
    else
        buf_addf(r->ret, "null");
}

static void put_property(struct render *r, const struct email_property *p)
{
    if (p->field < EMAIL_HEADERS || p->field == EMAIL_BODY_VALUES)
        return; /* the caller's; or the last one */
    email_put_key(r->ret, p->text);
    if (p->field == EMAIL_HEADERS)
        email_put_headers(r, &r->root);
    else if (p->field == EMAIL_HEADER)
        email_put_header(r, &r->root, p);
    else if (p->field == EMAIL_BODY_STRUCTURE)
        put_structure(r);
    else if (p->field == EMAIL_TEXT_BODY)
        email_put_parts(r, &r->text);
    else if (p->field == EMAIL_HTML_BODY)
        email_put_parts(r, &r->html);
    else if (p->field == EMAIL_ATTACHMENTS)
        email_put_parts(r, &r->attachments);
    else if (p->field == EMAIL_HAS_ATTACHMENT)
        buf_addf(r->ret, email_has_attachment(r) ? "true" : "false");
    else if (p->field == EMAIL_PREVIEW)
        put_preview(r);
}

static void read_message(struct render *r)
{
    struct mime_split split = mime_split(r->message);
    mime_structure_parse(r->message, r->a, &r->s);
    email_parts_look(r);
    r->root = fields_make(r->a);
    r->part = fields_make(r->a);
    r->part_of_fields = SIZE_MAX;
    email_fields_read(r, split.header_offset, split.header_len, &r->root);
    email_lists_fill(r);
}

enum err email_render(struct slice message, struct slice blob, const struct email_want *want,
                      struct buf *ret, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(STRUCTURE_MEMORY);
    SCOPED(arena_destroy) struct arena *scratch = arena_create(VALUE_MEMORY);
    struct render r = {.message = message.n ? message : SLICE(""),
                       .want = want,
                       .ret = ret,
                       .a = a,
                       .scratch = scratch};
    r.has_blob = email_blob_parse(blob, &r.blob) && r.blob.n_steps < EMAIL_BLOB_STEPS_MAX;
    read_message(&r);
    buf_addc(ret, '{');
    for (size_t i = 0; i < want->properties.n && !ret->failed; i++)
        put_property(&r, &want->properties.v[i]);
    if (r.work >= RENDER_WORK_MAX)
        return err_set(ei, ERR_LIMIT,
                       "so many header fields of this message cost too much to read");
    if (email_wants(want, EMAIL_BODY_VALUES)) {
        email_put_key(ret, SLICE("bodyValues"));
        email_put_values(&r);
    }
    buf_addc(ret, '}');
    if (ret->failed)
        return err_set(ei, ERR_LIMIT, "what is asked for of this message is over %zu bytes",
                       ret->max);
    return ERR_OK;
}
