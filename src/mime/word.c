/* Text of unstructured header fields: unfolding and encoded words. RFC 2047, RFC 5322 2.2.3.
 * Tolerant: words are decoded wherever they stand and however long they are. */
#include "mime/mime_int.h"

enum { CHARSET_NAME_MAX = 64 };

struct words {
    struct slice s;
    size_t next_close; /* the first "?=" at or behind where one was last looked for */
    struct slice charset;
    struct buf run; /* decoded bytes of adjacent words in `charset`, not yet converted */
    struct buf *ret;
    unsigned odd;
    bool is_strict; /* words only where RFC 2047 allows them; encoded controls are dropped */
};

struct word {
    struct slice charset, text;
    bool is_base64;
    size_t end; /* behind the word */
};

/* The close is searched forward only, so that many openings without one cost one search. */
static bool find_close(struct words *w, size_t at)
{
    if (w->next_close >= at)
        return w->next_close < w->s.n;
    while (at < w->s.n) {
        const char *p = memchr(w->s.p + at, '?', w->s.n - at);
        at = p ? (size_t)(p - w->s.p) : w->s.n;
        if (at + 1 < w->s.n && w->s.p[at + 1] == '=')
            break;
        at += at < w->s.n;
    }
    w->next_close = at;
    return at < w->s.n;
}

/* =?charset?encoding?text?= at s[at]. */
static bool word_parse(struct words *w, size_t at, struct word *ret)
{
    struct slice s = w->s;
    size_t start = at + 2, q = start;
    while (q < s.n && q - start < CHARSET_NAME_MAX && s.p[q] != '?' && !is_blank(s.p[q]))
        q++;
    if (q == start || q + 3 > s.n || s.p[q] != '?' || s.p[q + 2] != '?')
        return false;
    char encoding = ascii_lower(s.p[q + 1]);
    if ((encoding != 'b' && encoding != 'q') || !find_close(w, q + 3))
        return false;
    *ret = (struct word){.charset = slice_from_to(s, start, q),
                         .text = slice_from_to(s, q + 3, w->next_close),
                         .is_base64 = encoding == 'b',
                         .end = w->next_close + 2};
    return true;
}

/* What is behind `start` without control characters; a TAB may stay that was written as such. */
static void drop_controls(struct buf *b, size_t start, bool is_tab_kept)
{
    size_t n = start;
    for (size_t i = start; i < b->n; i++) {
        unsigned char c = (unsigned char)b->p[i];
        if ((c >= ' ' && c != 127) || (c == '\t' && is_tab_kept))
            b->p[n++] = b->p[i];
    }
    b->n = n;
}

static void flush_run(struct words *w)
{
    size_t start = w->ret->n;
    if (w->run.n)
        w->odd |= mime_charset_decode(w->charset, buf_slice(&w->run), w->ret);
    if (w->is_strict)
        drop_controls(w->ret, start, false);
    buf_clear(&w->run);
}

/* The Q encoding is not quite quoted-printable: '_' is a blank, blanks at the end count. */
static void add_q(struct words *w, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '_') {
            buf_addc(&w->run, ' ');
        } else if (c == '=' && i + 2 < text.n && hex_digit(text.p[i + 1]) >= 0 &&
                   hex_digit(text.p[i + 2]) >= 0) {
            buf_addc(&w->run, (char)(hex_digit(text.p[i + 1]) << 4 | hex_digit(text.p[i + 2])));
            i += 2;
        } else if (c != '\r' && c != '\n') {
            buf_addc(&w->run, c);
        }
    }
}

static void add_word(struct words *w, const struct word *word)
{
    if (!slice_ieq(w->charset, word->charset))
        flush_run(w);
    w->charset = word->charset;
    if (!word->is_base64) {
        add_q(w, word->text);
        return;
    }
    struct mime_decoder d = mime_decoder_make(MIME_ENCODING_BASE64);
    (void)mime_decoder_feed(&d, word->text, &w->run); /* its odd bits say all */
    (void)mime_decoder_end(&d, &w->run);
    w->odd |= d.odd;
}

static bool is_blank_only(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_blank(s.p[i]))
            return false;
    return true;
}

static bool is_plain_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || (unsigned char)s.p[i] >= 127)
            return false;
    return true;
}

/* Text between words: line ends of folding go, the blanks behind them stay. */
static void add_plain(struct words *w, struct slice s)
{
    flush_run(w);
    if (is_plain_ascii(s)) {
        if (!utf8_add(w->ret, s.p, s.n))
            w->odd |= MIME_ODD_CUT;
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_fold = c == '\n'
                           ? i + 1 < s.n && is_wsp(s.p[i + 1])
                           : c == '\r' && i + 2 < s.n && s.p[i + 1] == '\n' && is_wsp(s.p[i + 2]);
        if (!is_fold)
            buf_addc(&w->run, c);
    }
    size_t start = w->ret->n;
    w->odd |= mime_charset_decode(slice_of("", 0), buf_slice(&w->run), w->ret);
    if (w->is_strict)
        drop_controls(w->ret, start, true);
    buf_clear(&w->run);
}

/* Encoded words can hide line ends and NUL; nothing of that comes out. */
static void clean_from(struct buf *b, size_t start)
{
    for (size_t i = start; i < b->n; i++)
        if ((unsigned char)b->p[i] < ' ' || b->p[i] == 127)
            b->p[i] = ' ';
    while (b->n > start && b->p[b->n - 1] == ' ')
        b->n--;
    size_t first = start;
    while (first < b->n && b->p[first] == ' ')
        first++;
    if (first == start)
        return;
    memmove(b->p + start, b->p + first, b->n - first);
    b->n -= first - start;
}

/* RFC 2047 section 5: an encoded word stands between blanks, and holds none. */
static bool is_allowed(const struct words *w, size_t at, const struct word *word)
{
    bool is_apart = (at == 0 || is_blank(w->s.p[at - 1])) &&
                    (word->end == w->s.n || is_blank(w->s.p[word->end]));
    for (size_t i = 0; i < word->text.n && is_apart; i++)
        if ((unsigned char)word->text.p[i] <= ' ' || (unsigned char)word->text.p[i] >= 127)
            return false;
    return is_apart && mime_charset_is_known(word->charset);
}

static void decode_words(struct words *w)
{
    size_t plain = 0, at = 0;
    bool is_behind_word = false;
    while (at < w->s.n && !(w->odd & MIME_ODD_CUT)) {
        const char *p = memchr(w->s.p + at, '=', w->s.n - at);
        if (!p || p + 1 == w->s.p + w->s.n)
            break;
        at = (size_t)(p - w->s.p);
        struct word word;
        if (p[1] != '?' || !word_parse(w, at, &word) ||
            (w->is_strict && !is_allowed(w, at, &word))) {
            at++;
            continue;
        }
        struct slice between = slice_from_to(w->s, plain, at);
        if (between.n && !(is_behind_word && is_blank_only(between)))
            add_plain(w, between);
        add_word(w, &word);
        is_behind_word = true;
        plain = at = word.end;
    }
    if (plain < w->s.n && !(w->odd & MIME_ODD_CUT))
        add_plain(w, slice_skip(w->s, plain));
    flush_run(w);
}

unsigned mime_header_text(struct slice raw, struct buf *ret)
{
    struct words w = {.s = slice_trim(raw), .ret = ret};
    size_t start = ret->n;
    w.run = buf_make(w.s.n + 1);
    decode_words(&w);
    buf_finish(&w.run);
    clean_from(ret, start);
    return w.odd;
}

unsigned mime_header_text_strict(struct slice raw, struct buf *ret)
{
    while (raw.n && is_blank(raw.p[0])) /* the value starts behind its blanks and folding */
        raw = slice_skip(raw, 1);
    struct words w = {.s = raw, .ret = ret, .is_strict = true};
    w.run = buf_make(w.s.n + 1);
    decode_words(&w);
    buf_finish(&w.run);
    return w.odd;
}
