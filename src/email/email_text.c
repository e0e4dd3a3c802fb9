/* Words of a message for the search index. */
#include "email/email_int.h"

void email_text(struct slice message, struct buf *ret)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(8 * 1024 * 1024);
    struct mime_structure s;
    mime_structure_parse(message.n ? message : SLICE(""), a, &s);
    (void)mime_text(message, &s, ret); /* whatever can be read */
    for (size_t i = 0; i < s.n_parts; i++)
        if (s.parts[i].name.n && ret->n < ret->max)
            (void)mime_plain_text(s.parts[i].name, ret); /* cut at the ceiling */
}
