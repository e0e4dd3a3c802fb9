/* Lines of a header: folding, encoded words, parameters. RFC 5322 section 2.2.3, RFC 2047,
 * RFC 2231. Nothing here lets a line end out of a value: the callers refuse control characters. */
#include "email/compose_int.h"

#include <stdio.h>

enum {
    ENCODED_MAX = 63,   /* letters in an encoded word of 75 with "=?utf-8?q?" and "?=" */
    ENCODED_LEAST = 16, /* and what is worth one in the rest of a line; any character fits */
    PARAM_PIECE_MAX = 54,
};

struct fold fold_begin(struct buf *b, struct slice name)
{
    buf_adds(b, name);
    buf_addc(b, ':');
    return (struct fold){.b = b, .column = name.n + 1, .is_first = true};
}

void fold_end(struct fold *f)
{
    buf_addf(f->b, "\r\n");
}

void fold_word(struct fold *f, struct slice blanks, struct slice word)
{
    /* Not right behind the field's name: many readers stumble over an empty first line. */
    size_t most = f->is_first ? LINE_MAX_BYTES : LINE_USUAL;
    f->is_first = f->is_first && word.n == 0;
    if (word.n && blanks.n && f->column + blanks.n + word.n > most) {
        buf_addf(f->b, "\r\n");
        f->column = 0;
    }
    buf_adds(f->b, blanks);
    buf_adds(f->b, word);
    f->column += blanks.n + word.n;
}

bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 128)
            return false;
    return true;
}

bool is_plain_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 127)
            return false;
    return mime_utf8_is_valid(s);
}

/* ---- encoded words ----------------------------------------------------------------------- */

/* What RFC 2047 section 5 (3) leaves to a word in a phrase, which is right everywhere else. */
static bool is_q_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!*+-/", c));
}

static size_t q_cost(char c)
{
    return is_q_plain(c) || c == ' ' ? 1 : 3;
}

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Length of the longest start of whole characters that one word of so many letters holds. */
static size_t word_len(struct slice s, bool is_q, size_t letters)
{
    size_t cost = 0, n = 0, whole = 0, most = is_q ? letters : letters / 4 * 3;
    while (n < s.n) {
        cost += is_q ? q_cost(s.p[n]) : 1;
        if (cost > most)
            return whole;
        n++;
        if (n == s.n || !is_tail(s.p[n]))
            whole = n;
    }
    return whole;
}

static void q_add(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ')
            buf_addc(b, '_');
        else if (is_q_plain(s.p[i]))
            buf_addc(b, s.p[i]);
        else
            buf_addf(b, "=%02X", (unsigned char)s.p[i]);
    }
}

void compose_base64(struct buf *b, struct slice s)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        size_t n = s.n - i < 3 ? s.n - i : 3;
        uint32_t v = (uint32_t)(unsigned char)s.p[i] << 16;
        v |= n > 1 ? (uint32_t)(unsigned char)s.p[i + 1] << 8 : 0;
        v |= n > 2 ? (uint32_t)(unsigned char)s.p[i + 2] : 0;
        char out[4] = {DIGITS[v >> 18], DIGITS[v >> 12 & 63], n > 1 ? DIGITS[v >> 6 & 63] : '=',
                       n > 2 ? DIGITS[v & 63] : '='};
        buf_add(b, out, 4);
    }
}

/* The first word stays on the line of the field's name, so it may have to be shorter. */
static size_t letters_left(const struct fold *f)
{
    size_t used = f->column + 1 + strlen("=?utf-8?q?") + 2;
    size_t left = used < LINE_USUAL ? LINE_USUAL - used : 0;
    if (!f->is_first || left > ENCODED_MAX)
        return ENCODED_MAX;
    return left < ENCODED_LEAST ? ENCODED_LEAST : left;
}

static void add_encoded(struct fold *f, struct slice blanks, struct slice text)
{
    size_t cost = 0;
    for (size_t i = 0; i < text.n; i++)
        cost += q_cost(text.p[i]);
    bool is_q = cost <= (text.n + 2) / 3 * 4;
    char word[80];
    while (text.n) {
        size_t n = word_len(text, is_q, letters_left(f));
        must(n > 0); /* a character is at most 12 letters */
        struct buf b = {.p = word, .cap = sizeof(word), .max = sizeof(word)};
        buf_addf(&b, "=?utf-8?%c?", is_q ? 'q' : 'b');
        if (is_q)
            q_add(&b, slice_of(text.p, n));
        else
            compose_base64(&b, slice_of(text.p, n));
        buf_addf(&b, "?=");
        fold_word(f, blanks, buf_slice(&b));
        blanks = SLICE(" "); /* between two encoded words it says nothing */
        text = slice_skip(text, n);
    }
}

static bool must_encode(struct slice word)
{
    bool is_marked = word.n > 1 && memmem(word.p, word.n, "=?", 2);
    return is_marked || word.n > WORD_MAX || !is_ascii(word);
}

/* The next blanks and the word behind them. */
static struct slice next_word(struct slice *rest, struct slice *ret_blanks)
{
    size_t blanks = 0;
    while (blanks < rest->n && rest->p[blanks] == ' ')
        blanks++;
    size_t end = blanks;
    while (end < rest->n && rest->p[end] != ' ')
        end++;
    *ret_blanks = slice_of(rest->p, blanks);
    struct slice word = slice_of(rest->p + blanks, end - blanks);
    *rest = slice_skip(*rest, end);
    return word;
}

/* Where what must be encoded begins and ends: from the first such word to the last one. */
static void find_encoded(struct slice text, size_t *ret_start, size_t *ret_end)
{
    *ret_start = *ret_end = text.n;
    bool has_edge = text.n && (text.p[0] == ' ' || text.p[text.n - 1] == ' ');
    if (has_edge) {
        *ret_start = 0; /* blanks at the ends would get lost */
        return;
    }
    struct slice rest = text, blanks;
    bool is_found = false;
    while (rest.n) {
        struct slice word = next_word(&rest, &blanks);
        if (!must_encode(word))
            continue;
        if (!is_found)
            *ret_start = (size_t)(word.p - text.p);
        *ret_end = (size_t)(word.p - text.p) + word.n;
        is_found = true;
    }
}

static void add_words(struct fold *f, struct slice text, struct slice first_blanks)
{
    struct slice blanks;
    while (text.n) {
        struct slice word = next_word(&text, &blanks);
        fold_word(f, blanks.n ? blanks : first_blanks, word);
        first_blanks = SLICE("");
    }
}

void fold_text(struct fold *f, struct slice text)
{
    size_t start, end;
    SCOPED(buf_finish) struct buf copy = buf_make(text.n + 1);
    for (size_t i = 0; i < text.n; i++)
        buf_addc(&copy, text.p[i] == '\t' ? ' ' : text.p[i]);
    text = buf_slice(&copy);
    if (text.n == 0)
        return;
    find_encoded(text, &start, &end);
    struct slice before = slice_of(text.p, start);
    size_t blanks = 0;
    while (blanks < before.n && before.p[before.n - 1 - blanks] == ' ' && start < text.n)
        blanks++;
    before.n -= blanks;
    add_words(f, before, SLICE(" "));
    if (start < end)
        add_encoded(f, blanks ? slice_of(text.p + start - blanks, blanks) : SLICE(" "),
                    slice_of(text.p + start, end - start));
    add_words(f, slice_skip(text, end), SLICE(""));
}

/* ---- phrases ----------------------------------------------------------------------------- */

static bool is_atoms(struct slice s)
{
    bool is_after_blank = true;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_atom = is_q_plain(c) || strchr("#$%&'=?^_`{|}~", c);
        if (c == ' ' ? is_after_blank : !is_atom)
            return false;
        is_after_blank = c == ' ';
    }
    return s.n > 0 && !is_after_blank && !memmem(s.p, s.n, "=?", 2);
}

void fold_phrase(struct fold *f, struct slice text)
{
    if (is_atoms(text)) {
        add_words(f, text, SLICE(" "));
        return;
    }
    bool is_simple = is_ascii(text) && text.n <= WORD_MAX / 2 && !memmem(text.p, text.n, "=?", 2) &&
                     !memchr(text.p, '\t', text.n);
    if (!is_simple) {
        add_encoded(f, SLICE(" "), text);
        return;
    }
    SCOPED(buf_finish) struct buf quoted = buf_make(2 * WORD_MAX);
    buf_addc(&quoted, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\')
            buf_addc(&quoted, '\\');
        buf_addc(&quoted, text.p[i]);
    }
    buf_addc(&quoted, '"');
    fold_word(f, SLICE(" "), buf_slice(&quoted));
}

/* ---- parameters -------------------------------------------------------------------------- */

/* RFC 2231 section 7, attribute-char. */
static bool is_param_plain(char c)
{
    return c > ' ' && c < 127 && !strchr("*'%()<>@,;:\\\"/[]?=", c);
}

static void put_quoted_param(struct fold *f, const char *name, struct slice value)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    bool is_token = value.n > 0;
    for (size_t i = 0; i < value.n; i++)
        is_token = is_token && is_param_plain(value.p[i]);
    buf_addf(&b, is_token ? "%s=" : "%s=\"", name);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_addc(&b, '\\');
        buf_addc(&b, value.p[i]);
    }
    buf_addf(&b, is_token ? "" : "\"");
    fold_word(f, SLICE(" "), buf_slice(&b));
}

/* One piece of a percent-encoded value; returns how much of it was taken. */
static size_t percent_add(struct buf *b, struct slice s)
{
    size_t start = b->n, n = 0;
    while (n < s.n && b->n - start < PARAM_PIECE_MAX) {
        if (is_param_plain(s.p[n]))
            buf_addc(b, s.p[n]);
        else
            buf_addf(b, "%%%02X", (unsigned char)s.p[n]);
        n++;
    }
    return n;
}

void fold_param(struct fold *f, const char *name, struct slice value)
{
    buf_addc(f->b, ';');
    f->column++;
    /* "=?" would be decoded by nearly everybody, quotes and "<>" be taken away by some. */
    bool is_simple = is_ascii(value) && value.n <= PARAM_PIECE_MAX &&
                     !memchr(value.p, '\t', value.n) && !memmem(value.p, value.n, "=?", 2) &&
                     value.p[0] != '<' && value.p[0] != '"';
    if (is_simple) {
        put_quoted_param(f, name, value);
        return;
    }
    struct buf measure = buf_make(3 * PARAM_PIECE_MAX);
    bool is_one = percent_add(&measure, value) == value.n;
    buf_finish(&measure);
    for (unsigned i = 0; value.n; i++) {
        SCOPED(buf_finish) struct buf b = buf_make(500);
        if (is_one)
            buf_addf(&b, "%s*=", name);
        else
            buf_addf(&b, "%s*%u*=", name, i);
        buf_addf(&b, i == 0 ? "utf-8''" : "");
        value = slice_skip(value, percent_add(&b, value));
        if (value.n)
            buf_addc(&b, ';');
        fold_word(f, SLICE(" "), buf_slice(&b));
    }
}
