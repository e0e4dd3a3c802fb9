/* What the files of this room share; not for other rooms. */
#ifndef WIRE_WIRE_INT_H
#define WIRE_WIRE_INT_H

#include "wire/dsn.h"

#define WIRE_PARAM_MAX                                                                             \
    500 /* bytes of ORCPT and AUTH (RFC 3461 section 4.2, RFC 4954 section 5)                      \
         */

static inline struct wire_verdict wire_fine(void)
{
    return (struct wire_verdict){WIRE_FINE, ""};
}

static inline struct wire_verdict wire_wrong(enum wire_fault fault, const char *why)
{
    return (struct wire_verdict){fault, why};
}

static inline bool wire_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool wire_is_alnum(char c)
{
    return wire_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool wire_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool wire_is_8bit(char c)
{
    return ((unsigned char)c & 0x80) != 0;
}

static inline bool wire_is_graph(char c) /* visible ASCII, no blank */
{
    return c > 32 && c < 127;
}

/* Length of the valid UTF-8 sequence (also of an ASCII byte) at the start of `s`; 0: none. */
size_t wire_utf8_one(struct slice s);
/* Takes the first word off `*rest`; words stand between blanks. Empty at the end. */
struct slice wire_word(struct slice *rest);
bool wire_all_graph(struct slice s);
size_t wire_find_lf_dot(struct slice s); /* index of the first LF before a dot; s.n: none */
/* ENVID: xtext of 1..100 bytes that hides no control. ORCPT: its value, by its type. */
bool wire_envid_valid(struct slice envid);
bool wire_orcpt_valid(struct slice type, struct slice value, bool with_utf8);
struct wire_ip wire_ip_make(unsigned version, const void *bytes); /* mapped IPv6 becomes IPv4 */
/* One RCPT address with <postmaster>, as the parser and the builder both need it. */
struct wire_verdict wire_forward_split(struct slice text, bool with_utf8, struct wire_address *ret);

/* Words into lines of notices (wire_fold.c). */
struct wire_fold {
    struct buf *out;
    const char *indent; /* of further lines */
    size_t column;
    bool with_utf8; /* else bytes over 127 become '?' */
};
void wire_clean_add(struct buf *out, struct slice text, bool with_utf8);
void wire_fold_add(struct wire_fold *f, struct slice text);
void wire_fold_end(struct wire_fold *f);
void wire_field_add(struct buf *out, const char *name, struct slice text, bool with_utf8);
void wire_paragraph_add(struct buf *out, const char *indent, struct slice text, bool with_utf8);

/* ---- wire_words.c ---- */
enum wire_words {
#define WORDS(id, en, it, de, fr, es) WIRE_WORDS_##id,
#include "wire/wire_words.def"
#undef WORDS
    WIRE_WORDS_N
};
const char *wire_words(enum wire_words id, enum wire_language language);
/* An encoded word of RFC 2047 where the text needs it; it stays short enough for one. */
void wire_word_add(struct buf *out, struct slice text);
/* Lines, quoted-printable (RFC 2045 section 6.7). */
void wire_quoted_add(struct buf *out, struct slice text);

/* The part of a notice for people (wire_dsn_human.c). */
struct wire_dsn;
void wire_dsn_human_add(struct buf *out, const struct wire_dsn *dsn, bool with_utf8);

#endif
