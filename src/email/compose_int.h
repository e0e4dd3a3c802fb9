/* Inside composing: the message as it is planned, and who writes which piece of it. */
#ifndef EMAIL_COMPOSE_INT_H
#define EMAIL_COMPOSE_INT_H

#include "email/email_int.h"

enum {
    LINE_USUAL = 78,      /* RFC 5322 section 2.1.1 */
    LINE_MAX_BYTES = 998, /* without CRLF */
    WORD_MAX = 900,       /* of what cannot be folded */
    COMPOSE_DEPTH_MAX = 30,
    COMPOSE_STEM = 32, /* bytes of what all boundaries of a message begin with, at most */
};

enum transfer { TRANSFER_7BIT, TRANSFER_8BIT, TRANSFER_QP, TRANSFER_BASE64 };

struct compose_part {
    const char *property; /* of the Email, that it came from */
    struct slice type;    /* "text/plain", lower case */
    struct slice charset, name, disposition, cid, location, languages; /* or empty */
    struct slice fields; /* header fields that are given as such, ready to be written */
    bool has_own_type, has_own_disposition; /* in `fields` */
    bool is_value;                          /* bytes are of bodyValues */
    struct slice bytes;
    struct compose_part *sub, *next; /* of a multipart: the first one; the one behind this one */
    unsigned number;                 /* of a multipart: in its boundary */
};

struct compose {
    const json_t *create;
    const struct email_compose_options *o;
    struct arena *a;
    struct buf *out;
    struct email_composed *told;
    struct email_fault *fault;
    struct map *seen; /* lower-case field name -> property that gave it; of the Email */
    unsigned n_parts, n_multiparts, n_fields;
    unsigned n_noted;     /* names of fields in maps like `seen` */
    size_t n_field_bytes; /* of fields that parts are given as such, all together */
    const json_t *values; /* bodyValues, or NULL */
    char stem[COMPOSE_STEM];
};

/* This property is wrong; the first description stays. Returns false. */
bool compose_bad(struct compose *c, struct slice property, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- compose_word.c: lines of a header ---- */
struct fold {
    struct buf *b;
    size_t column;
    bool is_first; /* nothing stands behind the name yet */
};
struct fold fold_begin(struct buf *b, struct slice name); /* "Name:" */
void fold_end(struct fold *f);
/* The word, and `blanks` before it; a line may end before those. */
void fold_word(struct fold *f, struct slice blanks, struct slice word);
void fold_text(struct fold *f, struct slice text);   /* RFC 2047 where it must be */
void fold_phrase(struct fold *f, struct slice text); /* a display name */
/* "; name=value", by RFC 2231 where it must be. */
void fold_param(struct fold *f, const char *name, struct slice value);
bool is_plain_text(struct slice s); /* no control characters but TAB: it may stand in a header */
bool is_ascii(struct slice s);
void compose_base64(struct buf *b, struct slice s); /* one line */

/* ---- compose_field.c: values of header fields ---- */
/* The field or fields that this property means, appended to `b`; nothing for null. False: wrong
 * type or value, said by compose_bad for `report`. */
bool compose_field(struct compose *c, const struct email_property *p, const json_t *value,
                   struct slice report, struct buf *b);

/* ---- compose_part.c: EmailBodyPart to struct compose_part ---- */
struct compose_part *compose_structure(struct compose *c, const json_t *part);
struct compose_part *compose_lists(struct compose *c);
bool compose_values_check(struct compose *c);
/* May this part carry the field? Of the topmost part the Email's fields count too. */
bool compose_field_note(struct compose *c, struct map *seen, struct slice name,
                        struct slice property);

/* ---- compose_body.c ---- */
void compose_stem_make(struct compose *c, const struct compose_part *top);
void compose_part_write(struct compose *c, const struct compose_part *part, bool is_top);

#endif
