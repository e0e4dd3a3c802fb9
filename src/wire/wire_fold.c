/* Words into lines: header fields and paragraphs of notices. Bytes may come from anybody; controls
 * become '?', line ends and tabs become blanks. Headers of messages are mime's. */
#include "wire/wire_int.h"

#define COLUMNS 76
#define WORD_MAX 900   /* a longer word is broken: with the line before it, it stays under 998 */
#define TEXT_MAX 16384 /* bytes of a text that are looked at */

void wire_clean_add(struct buf *out, struct slice text, bool with_utf8)
{
    while (text.n) {
        size_t n = wire_utf8_one(text);
        unsigned char c = (unsigned char)text.p[0];
        bool is_c1 = n == 2 && c == 0xc2 && (unsigned char)text.p[1] < 0xa0;
        if (c == '\t' || c == '\r' || c == '\n')
            buf_addc(out, ' ');
        else if (c == ' ' || wire_is_graph((char)c) || (n > 1 && with_utf8 && !is_c1))
            buf_add(out, text.p, n);
        else
            buf_addc(out, '?');
        text = slice_skip(text, n ? n : 1);
    }
}

static void put_word(struct wire_fold *f, struct slice word)
{
    size_t indent_n = strlen(f->indent);
    if (f->column > indent_n && f->column + 1 + word.n > COLUMNS) {
        buf_addf(f->out, "\r\n%s", f->indent);
        f->column = indent_n;
    } else if (f->column > indent_n) {
        buf_addc(f->out, ' ');
        f->column++;
    }
    buf_adds(f->out, word);
    f->column += word.n;
}

/* At most WORD_MAX bytes, not in the middle of a character. */
static size_t piece_n(struct slice word)
{
    size_t n = word.n;
    if (n > WORD_MAX) {
        n = WORD_MAX;
        while (((unsigned char)word.p[n] & 0xc0) == 0x80)
            n--;
    }
    return n;
}

void wire_fold_add(struct wire_fold *f, struct slice text)
{
    SCOPED(buf_finish) struct buf clean = buf_make(TEXT_MAX);
    if (text.n > TEXT_MAX)
        text.n = TEXT_MAX;
    wire_clean_add(&clean, text, f->with_utf8);
    struct slice rest = buf_slice(&clean);
    for (struct slice word = wire_word(&rest); word.n; word = wire_word(&rest)) {
        while (word.n) {
            size_t n = piece_n(word);
            put_word(f, slice_of(word.p, n));
            word = slice_skip(word, n);
        }
    }
}

void wire_fold_end(struct wire_fold *f)
{
    buf_adds(f->out, SLICE("\r\n"));
    f->column = 0;
}

void wire_field_add(struct buf *out, const char *name, struct slice text, bool with_utf8)
{
    /* The name counts as a word of the first line, so the indent of the others is one blank. */
    struct wire_fold f = {.out = out, .indent = " ", .with_utf8 = with_utf8};
    buf_addf(out, "%s:", name);
    f.column = strlen(name) + 1;
    wire_fold_add(&f, text);
    wire_fold_end(&f);
}

void wire_paragraph_add(struct buf *out, const char *indent, struct slice text, bool with_utf8)
{
    struct wire_fold f = {.out = out, .indent = indent, .with_utf8 = with_utf8};
    buf_adds(out, slice_str(indent));
    f.column = strlen(indent);
    wire_fold_add(&f, text);
    wire_fold_end(&f);
}
