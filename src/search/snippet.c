/* What was found, marked, as HTML (RFC 8621 section 5). From the text and the tree alone: the same
 * letters make words here as in the index (fold.c). */
#include "search/search_int.h"

enum {
    MARKS_MAX = 256,  /* that are looked at for the best part */
    LEAD_OCTETS = 60, /* before the first mark */
    MARK_OCTETS = 13, /* of <mark> and </mark> */
    MAX_LEAST = 64,
};

struct pattern {
    struct slice text;
    uint32_t first; /* letter of its first word */
    bool is_prefix;
};

struct looking {
    struct pattern patterns[SEARCH_NODES_MAX];
    size_t n;
    struct slice text;
};

struct mark {
    size_t from, to, pattern;
};

/* ---- what is looked for ---- */

static uint32_t first_letter(struct slice word)
{
    uint32_t c;
    (void)search_char(word, &c);
    return search_letter(c);
}

static void add_pattern(struct looking *l, struct slice text, bool is_prefix)
{
    size_t at = 0;
    struct slice word;
    if (search_next_word(text, &at, &word))
        l->patterns[l->n++] = (struct pattern){text, first_letter(word), is_prefix};
}

/* Not what must not be there: NOT and everything below it. */
static void collect(const struct search_tree *tree, uint16_t at, enum search_field field,
                    struct looking *l)
{
    const struct search_node *node = &tree->nodes[at];
    bool is_here = node->field == SEARCH_ANY || node->field == field;
    if (node->kind == SEARCH_TEXT && is_here)
        add_pattern(l, search_text(tree, node), node->is_prefix);
    if (node->kind != SEARCH_AND && node->kind != SEARCH_OR)
        return;
    for (uint16_t i = node->first; i != SEARCH_NONE; i = tree->nodes[i].next)
        collect(tree, i, field, l);
}

/* Do the words from `at` on begin with those of the pattern? Where they end. */
static bool is_match(struct slice text, size_t at, const struct pattern *p, size_t *ret_to)
{
    size_t in_pattern = 0;
    struct slice looked_for, word, next;
    bool is_more = search_next_word(p->text, &in_pattern, &looked_for);
    while (is_more) {
        if (!search_next_word(text, &at, &word))
            return false;
        is_more = search_next_word(p->text, &in_pattern, &next);
        if (!search_word_is(word, looked_for, p->is_prefix && !is_more))
            return false;
        looked_for = next;
    }
    *ret_to = at;
    return true;
}

/* The next mark at or behind `*at`, the longest of those that begin together. */
static bool next_mark(const struct looking *l, size_t *at, struct mark *ret)
{
    struct slice word;
    for (size_t end = *at; search_next_word(l->text, &end, &word); *at = end) {
        size_t from = (size_t)(word.p - l->text.p), to;
        uint32_t first = first_letter(word);
        ret->to = 0;
        for (size_t i = 0; i < l->n; i++)
            if (l->patterns[i].first == first && is_match(l->text, from, &l->patterns[i], &to) &&
                to > ret->to)
                *ret = (struct mark){from, to, i};
        if (ret->to > 0) {
            *at = ret->to;
            return true;
        }
    }
    return false;
}

/* ---- which part ---- */

/* Where the part begins that shows most of what was looked for; the first of equals. */
static bool best_part(const struct looking *l, size_t max, size_t *ret)
{
    struct mark marks[MARKS_MAX];
    size_t n = 0, at = 0, most = 0;
    while (n < MARKS_MAX && next_mark(l, &at, &marks[n]))
        n++;
    for (size_t i = 0; i < n; i++) {
        bool is_seen[SEARCH_NODES_MAX] = {};
        size_t n_seen = 0;
        for (size_t k = i; k < n; k++) {
            size_t octets = marks[k].to - marks[i].from + (k - i + 1) * MARK_OCTETS;
            if (k > i && octets + LEAD_OCTETS > max)
                break;
            n_seen += !is_seen[marks[k].pattern];
            is_seen[marks[k].pattern] = true;
        }
        if (n_seen > most) {
            most = n_seen;
            *ret = marks[i].from;
        }
    }
    return n > 0;
}

/* ---- writing ---- */

struct writing {
    char out[16]; /* of one character */
    size_t n;     /* bytes of it */
};

/* One character as HTML; its length in the text. Blanks and controls in a row become one blank. */
static size_t write_char(struct slice s, struct writing *w)
{
    static const struct {
        char c;
        const char *out;
    } special[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    uint32_t c;
    size_t n = search_char(s, &c);
    struct slice out = slice_of(s.p, n);
    if (c == SEARCH_BAD_CHAR)
        out = SLICE("\xef\xbf\xbd");
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        if (c == (unsigned char)special[i].c)
            out = slice_str(special[i].out);
    if (c <= ' ' || c == 0x7f) {
        out = SLICE(" ");
        while (n < s.n && ((unsigned char)s.p[n] <= ' ' || s.p[n] == 0x7f))
            n++;
    }
    memcpy(w->out, out.p, out.n);
    w->n = out.n;
    return n;
}

/* Appends as much of `s` as fits into `*left` octets; false: not all of it. */
static bool write_some(struct slice s, size_t *left, struct buf *ret)
{
    struct writing w;
    while (s.n > 0) {
        size_t n = write_char(s, &w);
        if (w.n > *left)
            return false;
        buf_add(ret, w.out, w.n);
        *left -= w.n;
        s = slice_skip(s, n);
    }
    return true;
}

static size_t octets_of(struct slice s)
{
    struct writing w;
    size_t octets = 0;
    for (size_t n; s.n > 0; s = slice_skip(s, n), octets += w.n)
        n = write_char(s, &w);
    return octets;
}

/* A few words before the first mark. */
static size_t with_lead(struct slice text, size_t from)
{
    size_t at = from > 2 * (size_t)LEAD_OCTETS ? from - 2 * (size_t)LEAD_OCTETS : 0;
    if (at > 0) /* into the middle of a word: behind it */
        while (at < from && (unsigned char)text.p[at] > ' ')
            at++;
    while (at < from && octets_of(slice_of(text.p + at, from - at)) > LEAD_OCTETS) {
        while (at < from && (unsigned char)text.p[at] > ' ')
            at++;
        while (at < from && (unsigned char)text.p[at] <= ' ')
            at++;
    }
    while (at < from && (unsigned char)text.p[at] <= ' ')
        at++;
    return at;
}

/* A mark is written whole or not at all; only the first may be cut inside, being what it is about.
 */
static bool write_mark(struct slice s, bool is_first, size_t *left, struct buf *ret)
{
    if (*left < MARK_OCTETS || (!is_first && octets_of(s) + MARK_OCTETS > *left))
        return false;
    *left -= MARK_OCTETS;
    buf_adds(ret, SLICE("<mark>"));
    bool is_all = write_some(s, left, ret);
    buf_adds(ret, SLICE("</mark>"));
    return is_all;
}

static void write_part(const struct looking *l, size_t from, size_t left, struct buf *ret)
{
    struct mark mark;
    bool is_first = true;
    for (size_t at = from; next_mark(l, &at, &mark); from = mark.to) {
        if (!write_some(slice_of(l->text.p + from, mark.from - from), &left, ret) ||
            !write_mark(slice_of(l->text.p + mark.from, mark.to - mark.from), is_first, &left, ret))
            return;
        is_first = false;
    }
    (void)write_some(slice_skip(l->text, from), &left, ret);
}

bool search_snippet(const struct search_tree *tree, enum search_field field, struct slice text,
                    size_t max, struct buf *ret)
{
    struct looking l = {.text = text};
    struct mark first;
    size_t from = 0;
    must(max == 0 || max >= MAX_LEAST);
    collect(tree, 0, field, &l);
    if (max == 0 && !next_mark(&l, &from, &first))
        return false;
    if (max > 0 && !best_part(&l, max, &from))
        return false;
    if (max == 0)
        write_part(&l, 0, SIZE_MAX, ret);
    else
        write_part(&l, with_lead(text, from), max, ret);
    return true;
}
