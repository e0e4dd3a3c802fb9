/* Which parts are the text, the HTML and the attachments. The algorithm is that of RFC 8621 section
 * 4.1.4, step by step; so are the names. */
#include "email/email_int.h"

struct lists {
    struct part_list *text, *html; /* NULL: nothing more goes there */
};

static bool is_media(const struct mime_part *p)
{
    return slice_eq(p->type, SLICE("image")) || slice_eq(p->type, SLICE("audio")) ||
           slice_eq(p->type, SLICE("video"));
}

static bool is_of(const struct mime_part *p, const char *type, const char *subtype)
{
    return slice_eq(p->type, slice_str(type)) && slice_eq(p->subtype, slice_str(subtype));
}

static void push(struct part_list *list, size_t part)
{
    if (list)
        list->v[list->n++] = (int)part;
}

static bool is_inline(const struct mime_part *p, bool is_first, struct slice multipart_type)
{
    bool is_body = is_of(p, "text", "plain") || is_of(p, "text", "html") || is_media(p);
    if (!is_body || p->disposition == MIME_DISPOSITION_ATTACHMENT)
        return false;
    return is_first || (!slice_eq(multipart_type, SLICE("related")) && (is_media(p) || !p->name.n));
}

/* Of a multipart/alternative: what is there in one form only stands for the other too. */
static void copy_from(struct part_list *to, const struct part_list *from, size_t start)
{
    for (size_t i = start; i < from->n; i++)
        push(to, (size_t)from->v[i]);
}

static void put_inline(struct render *r, size_t part, const struct mime_part *p,
                       bool is_in_alternative, struct lists *l)
{
    if (is_in_alternative && is_of(p, "text", "plain"))
        l->html = NULL;
    if (is_in_alternative && is_of(p, "text", "html"))
        l->text = NULL;
    push(l->text, part);
    push(l->html, part);
    if ((!l->text || !l->html) && is_media(p))
        push(&r->attachments, part);
}

static void put_alternative(struct render *r, size_t part, const struct mime_part *p,
                            struct lists *l)
{
    if (is_of(p, "text", "plain"))
        push(l->text, part);
    else if (is_of(p, "text", "html"))
        push(l->html, part);
    else
        push(&r->attachments, part);
}

/* Parts number [from, end) that stand side by side; `type` is what they stand in. */
static void parse_structure(struct render *r, size_t from, size_t end, struct slice type,
                            bool is_in_alternative, struct lists l)
{
    bool is_alternative = slice_eq(type, SLICE("alternative"));
    size_t n_text = l.text ? l.text->n : 0, n_html = l.html ? l.html->n : 0;
    for (size_t i = from; i < end; i = r->more[i].end) {
        struct mime_part p = email_part_shown(r, i);
        if (p.is_multipart)
            parse_structure(r, i + 1, r->more[i].end, p.subtype,
                            is_in_alternative || slice_eq(p.subtype, SLICE("alternative")), l);
        else if (!is_inline(&p, i == from, type))
            push(&r->attachments, i);
        else if (is_alternative)
            put_alternative(r, i, &p, &l);
        else
            put_inline(r, i, &p, is_in_alternative, &l);
    }
    if (!is_alternative || !l.text || !l.html)
        return;
    bool has_text = l.text->n > n_text, has_html = l.html->n > n_html;
    if (has_html && !has_text)
        copy_from(l.text, l.html, n_html);
    if (has_text && !has_html)
        copy_from(l.html, l.text, n_text);
}

void email_lists_fill(struct render *r)
{
    r->text.v = ARENA_ARRAY(r->a, int, r->s.n_parts + 1);
    r->html.v = ARENA_ARRAY(r->a, int, r->s.n_parts + 1);
    r->attachments.v = ARENA_ARRAY(r->a, int, r->s.n_parts + 1);
    size_t end = r->s.n_parts ? r->more[0].end : 0;
    parse_structure(r, 0, end, SLICE("mixed"), false, (struct lists){&r->text, &r->html});
}

/* Signatures are handled by programs, pictures of the HTML are shown in it: no person looks for
 * them (section 4.1.4, hasAttachment). */
static bool is_for_programs(const struct render *r, size_t part)
{
    const struct mime_part *p = &r->s.parts[part];
    const struct mime_part *parent = p->parent >= 0 ? &r->s.parts[p->parent] : NULL;
    bool is_picture =
        is_media(p) && p->content_id.n && parent && is_of(parent, "multipart", "related");
    return is_picture || is_of(p, "application", "pgp-signature") ||
           is_of(p, "application", "pkcs7-signature") ||
           is_of(p, "application", "x-pkcs7-signature");
}

bool email_has_attachment(struct render *r)
{
    for (size_t i = 0; i < r->attachments.n; i++) {
        size_t part = (size_t)r->attachments.v[i];
        bool is_inline_part = r->s.parts[part].disposition == MIME_DISPOSITION_INLINE;
        if (!is_inline_part && !is_for_programs(r, part))
            return true;
    }
    return false;
}
