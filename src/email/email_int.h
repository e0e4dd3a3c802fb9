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

#endif
