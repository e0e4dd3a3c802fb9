/* Letters: where words begin and end in a text, and when two are the same.
 *
 * As SQLite's tokenizer sees it (letters.def is made from it), so that what is marked in a text is
 * what was found. Anything may come in; a byte that is no UTF-8 is no letter. */
#include "search/search_int.h"

struct range {
    uint32_t first, last;
};
struct fold {
    uint32_t first, last;
    uint32_t to;
    uint8_t step, moves;
};

#define LETTERS(first, last) {first, last},
#define ACCENTS(first, last)
#define FOLDS(first, last, step, to, moves)
static const struct range letters[] = {
#include "search/letters.def"
};
#undef LETTERS
#undef ACCENTS

#define LETTERS(first, last)
#define ACCENTS(first, last) {first, last},
static const struct range accents[] = {
#include "search/letters.def"
};
#undef ACCENTS
#undef FOLDS

#define ACCENTS(first, last)
#define FOLDS(first, last, step, to, moves) {first, last, to, step, moves},
static const struct fold folds[] = {
#include "search/letters.def"
};
#undef LETTERS
#undef ACCENTS
#undef FOLDS

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_in(const struct range *ranges, size_t n, uint32_t c)
{
    size_t low = 0;
    while (n > 0) {
        size_t half = n / 2;
        if (ranges[low + half].last < c) {
            low += half + 1;
            n -= half + 1;
        } else if (ranges[low + half].first > c) {
            n = half;
        } else {
            return true;
        }
    }
    return false;
}

static uint32_t fold(uint32_t c)
{
    size_t low = 0, n = COUNT(folds);
    while (n > 0) {
        size_t half = n / 2;
        const struct fold *f = &folds[low + half];
        if (f->last < c) {
            low += half + 1;
            n -= half + 1;
        } else if (f->first > c) {
            n = half;
        } else {
            uint32_t from_first = c - f->first;
            return from_first % f->step ? c : f->to + (f->moves ? from_first : 0);
        }
    }
    return c;
}

/* ---- UTF-8 (RFC 3629) ---- */

static bool is_tail(struct slice s, size_t i)
{
    return i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80;
}

size_t search_char(struct slice s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    *ret = SEARCH_BAD_CHAR;
    if (n == 0)
        return 1;
    uint32_t v = n == 1 ? c : c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (!is_tail(s, i))
            return 1;
        v = v << 6 | ((unsigned char)s.p[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 1;
    *ret = v;
    return n;
}

/* ---- letters and words ---- */

uint32_t search_letter(uint32_t c)
{
    if (c < 0x80) {
        char lower = ascii_lower((char)c);
        bool is_letter = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        return is_letter ? (uint32_t)(unsigned char)lower : SEARCH_NO_LETTER;
    }
    if (is_in(letters, COUNT(letters), c))
        return fold(c);
    return is_in(accents, COUNT(accents), c) ? SEARCH_ACCENT : SEARCH_NO_LETTER;
}

bool search_next_word(struct slice text, size_t *at, struct slice *ret)
{
    size_t from = *at, n = 0;
    uint32_t c;
    for (; from < text.n; from += n) { /* an accent begins no word */
        n = search_char(slice_skip(text, from), &c);
        c = search_letter(c);
        if (c != SEARCH_NO_LETTER && c != SEARCH_ACCENT)
            break;
    }
    size_t to = from;
    while (to < text.n) {
        n = search_char(slice_skip(text, to), &c);
        if (search_letter(c) == SEARCH_NO_LETTER)
            break;
        to += n;
    }
    *at = to;
    *ret = slice_of(text.p + from, to - from);
    return to > from;
}

/* The next letter of a word, folded; 0 behind the last. */
static uint32_t next_letter(struct slice *word)
{
    while (word->n > 0) {
        uint32_t c;
        *word = slice_skip(*word, search_char(*word, &c));
        c = search_letter(c);
        if (c != SEARCH_NO_LETTER && c != SEARCH_ACCENT)
            return c;
    }
    return 0;
}

bool search_word_is(struct slice word, struct slice looked_for, bool is_prefix)
{
    for (;;) {
        uint32_t b = next_letter(&looked_for);
        if (b == 0 && is_prefix)
            return true;
        uint32_t a = next_letter(&word);
        if (a != b)
            return false;
        if (a == 0)
            return true;
    }
}

bool search_has_word(struct slice text)
{
    size_t at = 0;
    struct slice word;
    return search_next_word(text, &at, &word);
}

bool search_is_same(struct slice a, struct slice b)
{
    size_t at_a = 0, at_b = 0;
    for (;;) {
        struct slice word_a, word_b;
        bool has_a = search_next_word(a, &at_a, &word_a);
        bool has_b = search_next_word(b, &at_b, &word_b);
        if (has_a != has_b)
            return false;
        if (!has_a)
            return true;
        if (!search_word_is(word_a, word_b, false))
            return false;
    }
}

/* The next character as it is compared; 0 behind the last. */
static uint32_t next_compared(struct slice *text)
{
    while (text->n > 0) {
        uint32_t c;
        *text = slice_skip(*text, search_char(*text, &c));
        uint32_t letter = search_letter(c);
        if (letter != SEARCH_ACCENT)
            return letter != SEARCH_NO_LETTER ? letter : c ? c : 1;
    }
    return 0;
}

int search_compare(struct slice a, struct slice b)
{
    for (;;) {
        uint32_t x = next_compared(&a), y = next_compared(&b);
        if (x != y)
            return x < y ? -1 : 1;
        if (x == 0)
            return 0;
    }
}
