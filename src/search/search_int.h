/* Inside of the search's grammar and snippets.
 *
 * fold.c letters and words   tree.c building a tree   read.c what was typed   value.c dates, sizes
 * match.c expressions        snippet.c */
#ifndef SEARCH_SEARCH_INT_H
#define SEARCH_SEARCH_INT_H

#include "search/search.h"

/* ---- letters (fold.c) ---- */

enum {
    SEARCH_BAD_CHAR = 0xfffd,
    SEARCH_NO_LETTER = 0x110000, /* ends a word */
    SEARCH_ACCENT = 0x110001,    /* part of a word, and nothing in it */
};
/* One character of a text that has any; its length, 1 for a byte that is none (SEARCH_BAD_CHAR). */
size_t search_char(struct slice s, uint32_t *ret);
uint32_t search_letter(uint32_t c); /* without case and accents, or one of the two above */
/* The word at or behind `*at`, which moves behind it; false: there is none. */
bool search_next_word(struct slice text, size_t *at, struct slice *ret);
bool search_word_is(struct slice word, struct slice looked_for, bool is_prefix);
bool search_has_word(struct slice text);

/* ---- values (value.c) ---- */

/* A day, month or year, or a word for today or yesterday. */
bool search_value_date(struct slice text, const struct search_options *options, int64_t *ret_from,
                       int64_t *ret_until);
bool search_value_size(struct slice text, int64_t *ret);

/* ---- names (value.c) ---- */

#define NAME(id, en, it, de, fr, es) NAME_##id,
enum search_name {
#include "search/operator.def"
    NAME_N,
    NAME_NONE = NAME_N
};
#undef NAME

bool search_is_named(struct slice word, enum search_name name);
const char *search_name_list(enum search_name name);

#endif
