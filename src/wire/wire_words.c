/* Words of notices in the languages that there are, and how they travel in seven bits: notices go
 * to systems of which we do not know whether they take more. */
#include "wire/dsn.h"
#include "wire/wire_int.h"

const char *const wire_language_tags[WIRE_LANGUAGE_N] = {"en", "it", "de", "fr", "es"};

enum wire_language wire_language_of(struct slice tag)
{
    struct slice rest, language = slice_cut(tag, '-', &rest);
    for (int i = 0; i < WIRE_LANGUAGE_N; i++)
        if (slice_ieq(language, slice_str(wire_language_tags[i])))
            return (enum wire_language)i;
    return WIRE_EN;
}

const char *wire_words(enum wire_words id, enum wire_language language)
{
    static const char *const all[][WIRE_LANGUAGE_N] = {
#define WORDS(id, en, it, de, fr, es) [WIRE_WORDS_##id] = {en, it, de, fr, es},
#include "wire/wire_words.def"
#undef WORDS
    };
    return all[id][language];
}

const char *wire_status_meaning(struct wire_status status, enum wire_language language)
{
    static const struct {
        uint16_t subject, detail;
        const char *text[WIRE_LANGUAGE_N];
    } all[] = {
#define MEANING(subject, detail, en, it, de, fr, es) {subject, detail, {en, it, de, fr, es}},
#include "wire/wire_words.def"
#undef MEANING
    };
    const char *of_subject = wire_words(WIRE_WORDS_UNKNOWN, language);
    if (status.class == 0)
        return of_subject;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].subject == status.subject && all[i].detail == status.detail)
            return all[i].text[language];
        if (all[i].subject == status.subject && all[i].detail == 0)
            of_subject = all[i].text[language];
    }
    return of_subject;
}

/* ---- in seven bits ---- */

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0x80)
            return false;
    return true;
}

void wire_word_add(struct buf *out, struct slice text)
{
    if (is_plain(text)) {
        buf_adds(out, text);
        return;
    }
    buf_adds(out, SLICE("=?utf-8?q?"));
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == ' ')
            buf_addc(out, '_');
        else if ((c >= '0' && c <= '9') ||
                 (ascii_lower((char)c) >= 'a' && ascii_lower((char)c) <= 'z'))
            buf_addc(out, (char)c);
        else
            buf_addf(out, "=%02X", c);
    }
    buf_adds(out, SLICE("?="));
}

static void quote_line(struct buf *out, struct slice line)
{
    enum { COLUMNS_MAX = 75 }; /* and '=' */
    size_t column = 0;
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        bool is_as_it_is = c > ' ' ? c < 0x7f && c != '=' : c == ' ' && i + 1 < line.n;
        size_t n = is_as_it_is ? 1 : 3;
        if (column + n > COLUMNS_MAX) {
            buf_adds(out, SLICE("=\r\n"));
            column = 0;
        }
        column += n;
        if (is_as_it_is)
            buf_addc(out, (char)c);
        else
            buf_addf(out, "=%02X", c);
    }
}

void wire_quoted_add(struct buf *out, struct slice text)
{
    while (text.n) {
        struct slice line = slice_cut(text, '\n', &text);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        quote_line(out, line);
        buf_adds(out, SLICE("\r\n"));
    }
}
