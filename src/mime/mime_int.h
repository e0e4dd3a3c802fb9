/* Helpers that the files of this room share. */
#ifndef MIME_MIME_INT_H
#define MIME_MIME_INT_H

#include "mime/mime.h"

static inline bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* slice_ieq that gives up at the length or the first letter without a call: nearly all names that
 * are compared here differ. */
static inline bool is_name(struct slice a, struct slice b)
{
    return a.n == b.n && a.n && ((a.p[0] ^ b.p[0]) & 0xdf) == 0 && slice_ieq(a, b);
}

static inline struct slice slice_from_to(struct slice s, size_t from, size_t to)
{
    return slice_of(s.p + from, to - from);
}

/* Room for element number `n` of an array that grows by one from empty; the array moves inside
 * the arena at 4, 8, 16 … elements, so no capacity is kept. NULL when the arena is full. */
void *array_slot(struct arena *a, void *address_of_array, size_t n, size_t element_size);

/* Lines of a text; a last one without a line end counts. */
size_t count_lines(struct slice s);

/* A copy in the arena; the empty slice and false when the arena is full. */
bool arena_try_copy(struct arena *a, struct slice s, struct slice *ret);

/* Append valid UTF-8, at most up to the ceiling of `b`, cut at a character; false if cut. */
bool utf8_add(struct buf *b, const char *p, size_t n);
/* Bytes of the valid character at s[0], or 0; s.n >= 1. */
size_t utf8_char(struct slice s);
/* Length of the valid start of `s`; `*ret_is_partial`: what follows is the start of a character
 * whose end is missing. */
size_t utf8_valid_len(struct slice s, bool *ret_is_partial);
void utf8_encode(uint32_t code, struct buf *b); /* anything that is no character gives U+FFFD */

int hex_digit(char c); /* its value, or -1 */

/* Charset conversion in pieces. One conversion at a time in a thread for each charset. */
struct charset_stream {
    int row;       /* of the table of converters, or one of our own (charset.c) */
    unsigned odd;  /* so far */
    char held[16]; /* the start of a character */
    size_t n_held;
    unsigned n_bad; /* bytes that iconv refused */
    bool is_full;   /* the ceiling of the output was reached */
};
struct charset_stream charset_begin(struct slice charset);
void charset_feed(struct charset_stream *c, struct slice piece, struct buf *ret);
void charset_end(struct charset_stream *c, struct buf *ret);

/* The field starting at message[at, end): where it ends (behind its last line end), or `end`. */
size_t field_end(struct slice message, size_t at, size_t end);
/* Name and value of the field message[at, end). */
void field_split(struct slice message, size_t at, size_t end, struct mime_field *ret);
/* Bytes of an mbox line at the start, or 0. */
size_t mbox_line_len(struct slice message);

/* The first id of a list as it stands, or all of it if nothing is in < >. */
struct slice id_first(struct slice raw);
/* An id without folding; what is no text is replaced by '?'. False when the arena is full. */
bool id_clean(struct slice id, struct arena *a, struct slice *ret);

/* Some parameters only: the others are not decoded and take no memory. */
struct param_wish {
    const char *name;
    size_t max;         /* bytes of the value, cut there */
    struct slice value; /* result; empty if absent */
};
unsigned params_pick(struct slice raw, struct arena *a, struct param_wish *wishes, size_t n_wishes,
                     struct slice *ret_main);

/* Behind the comment at s[at], which starts with '(', or 0 if it does not end. */
size_t comment_end(struct slice s, size_t at);

/* mime_structure_parse that shows each field of the message's own header while it walks there, so
 * that it is walked once. Returns how that walk ended. */
typedef void field_fn(void *arg, const struct mime_field *f);
enum mime_walk_state structure_parse(struct slice message, struct arena *a, field_fn *see_field,
                                     void *arg, struct mime_structure *ret);

/* A part's text: at most `raw_max` bytes of its encoded body are looked at. */
unsigned part_decode(struct slice message, const struct mime_part *part, size_t raw_max,
                     struct buf *ret);

/* `type` and `subtype` are literals in lower case, whose lengths the compiler knows. */
static inline bool part_is(const struct mime_part *part, const char *type, const char *subtype)
{
    size_t n = strlen(type), n_sub = strlen(subtype);
    return part->type.n == n && part->subtype.n == n_sub && memcmp(part->type.p, type, n) == 0 &&
           memcmp(part->subtype.p, subtype, n_sub) == 0;
}

/* The character that "&name" means, or 0; `name` without & and ;. */
uint32_t entity_code(struct slice name);

#endif
