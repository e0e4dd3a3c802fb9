/* What the files of this room share. */
#ifndef EMAIL_EMAIL_INT_H
#define EMAIL_EMAIL_INT_H

#include "email/email.h"

#include "mime/mime.h"

static inline bool email_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Printable US-ASCII without blanks and colon. */
bool email_is_field_name(struct slice name);

/* Of a string; `p` is NULL if it is none (or NULL itself). */
static inline struct slice email_json_text(const json_t *v)
{
    return slice_of(json_string_value(v), json_string_length(v));
}

/* ---- email_json.c ---- */
void email_put_text(struct buf *b, struct slice s); /* any bytes; what is no UTF-8 is replaced */
void email_put_text_or_null(struct buf *b, struct slice s); /* null if it is empty */
/* How much of the start of `s`, valid UTF-8, fits into `room` bytes with quotes and escapes. */
size_t email_text_fit(struct slice s, size_t room);
void email_put_comma(struct buf *b); /* unless an object or a list has just begun */
void email_put_key(struct buf *b, struct slice key);

/* ---- rendering ---- */
enum { RENDER_WORK_MAX = 32 * 1024 * 1024 }; /* bytes of header values, and fields looked at */

struct name_value {
    struct slice name, value;
};
struct fields {
    struct name_value *v; /* MIME_HEADER_FIELDS_MAX of them */
    size_t n;
};

struct part_list {
    int *v;
    size_t n;
};

/* What is known of a part besides mime's own words. */
struct part_more {
    size_t end; /* behind the last part inside it */
    uint64_t size;
    bool has_size;  /* size is known */
    bool is_branch; /* its parts are shown; all others are leaves, messages too */
    bool has_value; /* it goes into bodyValues */
};

struct render {
    struct slice message;
    struct email_blob blob;
    bool has_blob; /* parts get an id */
    const struct email_want *want;
    struct buf *ret;
    struct arena *a, *scratch;
    struct mime_structure s;
    struct part_more *more; /* one for each part */
    struct fields root, part;
    struct part_list text, html, attachments;
    uint64_t work;
    size_t part_of_fields; /* whose fields are in `part` */
};

/* ---- email_render.c ---- */
void email_parts_look(struct render *r); /* fills `more` */

/* ---- email_form.c ---- */
void email_put_form(struct render *r, struct slice value, enum email_form form);
void email_fields_read(struct render *r, size_t offset, size_t len, struct fields *f);
bool email_field_first(const struct fields *f, struct slice name, struct slice *ret);
void email_put_header(struct render *r, const struct fields *f, const struct email_property *p);
void email_put_headers(struct render *r, const struct fields *f);
void email_local_add(struct buf *b, struct slice local); /* quoted where it must be */

/* ---- email_part.c ---- */
void email_put_part(struct render *r, size_t part);
void email_put_parts(struct render *r, const struct part_list *list);
/* As it is shown: a multipart that cannot be taken apart is one text. */
struct mime_part email_part_shown(const struct render *r, size_t part);
/* In lower case without parameters; empty if there is none. */
struct slice email_disposition(struct render *r, size_t part);

/* ---- email_lists.c ---- */
void email_lists_fill(struct render *r);
bool email_has_attachment(struct render *r);

/* ---- email_value.c ---- */
void email_put_values(struct render *r);

#endif
