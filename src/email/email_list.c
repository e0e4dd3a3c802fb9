/* What lists of mail show, kept beside the message. */
#include "email/email_int.h"
#include "email/email_list.h"

#include "mime/mime.h"

/* Between name and address; no header text has control characters. */
enum { UNIT = '\x1f' };

enum { LISTS_MEMORY = 2 << 20 };
enum { BAD = MIME_ODD_MEMORY | MIME_ODD_ADDRESS | MIME_ODD_ADDRESSES };

static bool is_plain(const struct mime_address *m)
{
    SCOPED(buf_finish) struct buf local = buf_make(3 * MIME_ADDRESS_PART_MAX + 8);
    email_local_add(&local, m->local);
    return m->domain.n && m->group.n == 0 && slice_eq(buf_slice(&local), m->local) &&
           mime_utf8_is_composed(m->name);
}

static bool is_from_exact(const struct mime_list_fields *f, struct slice from_name,
                          struct slice from_address)
{
    return f->all_from.n == 1 && is_plain(&f->from) && from_name.n == f->from.name.n &&
           from_address.n == f->from.local.n + 1 + f->from.domain.n;
}

unsigned email_list_not_exact(const struct mime_list_fields *f, struct slice subject,
                              struct slice from_name, struct slice from_address)
{
    unsigned not_exact = MIME_ODD_DUPLICATE | MIME_ODD_LENIENT | MIME_ODD_CUT | BAD;
    bool is = !(f->odd & not_exact) && subject.n == f->subject.n &&
              mime_utf8_is_composed(subject) && is_from_exact(f, from_name, from_address);
    return is ? 0 : EMAIL_LIST_NOT_EXACT;
}

bool email_list_has_attachment(const struct mime_structure *s)
{
    const struct mime_part *only = s->n_parts == 1 ? s->parts : NULL;
    if (only && slice_eq(only->type, SLICE("text")) && slice_eq(only->subtype, SLICE("plain")))
        return only->disposition == MIME_DISPOSITION_ATTACHMENT; /* most mail, and quick */
    SCOPED(arena_destroy) struct arena *a = arena_create(LISTS_MEMORY);
    struct render r = {.a = a, .s = *s};
    email_parts_look(&r);
    email_lists_fill(&r);
    return email_has_attachment(&r);
}

static void add_address(struct buf *b, const struct mime_address *m)
{
    buf_adds(b, m->local);
    buf_addf(b, m->domain.n ? "@" : "");
    buf_adds(b, m->domain);
}

void email_list_to_pack(const struct mime_list_fields *f, struct buf *ret)
{
    bool is_exact = f->to.n > 0 && !(f->odd & (MIME_ODD_DUPLICATE | BAD));
    for (size_t i = 0; i < f->to.n && is_exact; i++) {
        const struct mime_address *m = &f->to.v[i];
        is_exact = is_plain(m);
        buf_adds(ret, m->name);
        buf_addc(ret, UNIT);
        add_address(ret, m);
        buf_addc(ret, UNIT);
    }
    if (is_exact && !ret->failed)
        return;
    buf_clear(ret);
    if (f->to.n && f->to.v[0].name.n)
        buf_adds(ret, f->to.v[0].name);
    else if (f->to.n)
        add_address(ret, &f->to.v[0]);
}

struct slice email_list_to_first(struct slice packed)
{
    struct slice rest = packed, name, address;
    if (!email_list_to_next(&rest, &name, &address))
        return packed;
    return name.n ? name : address;
}

bool email_list_to_next(struct slice *packed, struct slice *name, struct slice *address)
{
    struct slice *parts[] = {name, address};
    for (size_t i = 0; i < 2; i++) {
        const char *end = packed->n ? memchr(packed->p, UNIT, packed->n) : NULL;
        if (!end)
            return false;
        *parts[i] = slice_of(packed->p, (size_t)(end - packed->p));
        *packed = slice_skip(*packed, parts[i]->n + 1);
    }
    return true;
}
