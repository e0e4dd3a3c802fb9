/* Text of bodies: a part decoded, the words of a message, the preview.
 * Not here: HTML itself (html.c). */
#include "mime/mime_int.h"

enum {
    PIECE_BYTES = 16 * 1024,
    TEXT_RAW_MAX = 4 * 1024 * 1024, /* of one part that search looks at */
    TEXT_UTF8_MAX = 4 * 1024 * 1024,
    PREVIEW_RAW_FIRST = 768, /* looked at for a preview, four times more at each try */
    PREVIEW_RAW_MAX = 192 * 1024,
    PREVIEW_UTF8_MAX = 3 * PREVIEW_RAW_MAX, /* a byte can become three */
    PREVIEW_PARTS_MAX = 4                   /* text parts that are tried until one has words */
};

/* The transfer encoding away, and the charset if it is text, piece by piece. */
unsigned part_decode(struct slice message, const struct mime_part *part, size_t raw_max,
                     struct buf *ret)
{
    struct slice raw = slice_of(message.p + part->body_offset, part->body_len);
    bool is_whole = raw.n <= raw_max;
    if (!is_whole)
        raw.n = raw_max;
    struct mime_decoder d = mime_decoder_make(part->encoding);
    if (!slice_eq(part->type, SLICE("text"))) {
        if (mime_decoder_feed(&d, raw, ret))
            (void)mime_decoder_end(&d, ret); /* d.odd has it */
        return d.odd;
    }
    struct charset_stream c = charset_begin(part->charset);
    bool is_encoded = part->encoding == MIME_ENCODING_BASE64 || part->encoding == MIME_ENCODING_QP;
    if (!is_encoded) {
        charset_feed(&c, raw, ret);
        raw.n = 0;
    }
    SCOPED(buf_finish) struct buf bytes = buf_make(PIECE_BYTES + sizeof(d.held));
    while (raw.n && !c.is_full) {
        struct slice piece = slice_of(raw.p, raw.n < PIECE_BYTES ? raw.n : PIECE_BYTES);
        raw = slice_skip(raw, piece.n);
        buf_clear(&bytes);
        (void)mime_decoder_feed(&d, piece, &bytes); /* never longer than the piece and `held` */
        if (raw.n == 0 && is_whole)
            (void)mime_decoder_end(&d, &bytes);
        charset_feed(&c, buf_slice(&bytes), ret);
    }
    if (is_whole)
        charset_end(&c, ret); /* else the character that was cut is not shown as a bad one */
    return c.odd | d.odd;
}

unsigned mime_part_decode(struct slice message, const struct mime_part *part, struct buf *ret)
{
    return part_decode(message, part, SIZE_MAX, ret);
}

static bool is_text_body(const struct mime_part *part)
{
    return part->disposition < MIME_DISPOSITION_ATTACHMENT &&
           (part_is(part, "text", "plain") || part_is(part, "text", "html"));
}

/* What words come from, and how HTML gives them. */
struct wording {
    struct buf utf8; /* of one part, reused */
    unsigned (*from_html)(struct slice html, struct buf *ret);
};

/* Words of one text part, at most `raw_max` bytes of it looked at. */
static unsigned add_words(struct slice message, const struct mime_part *part, size_t raw_max,
                          struct wording *w, struct buf *ret)
{
    buf_clear(&w->utf8);
    unsigned odd = part_decode(message, part, raw_max, &w->utf8);
    bool is_html = slice_eq(part->subtype, SLICE("html"));
    struct slice text = buf_slice(&w->utf8);
    return odd | (is_html ? w->from_html(text, ret) : mime_plain_text(text, ret));
}

/* ---- search ------------------------------------------------------------------------------ */

/* Bits of the multipart/alternatives that have shown a plain text; an HTML text in one of them
 * says the same again. */
struct said {
    bool v[MIME_PARTS_MAX];
};

static bool was_said(const struct mime_structure *s, const struct said *said, int part)
{
    for (int i = s->parts[part].parent; i >= 0; i = s->parts[i].parent)
        if (said->v[i])
            return true;
    return false;
}

static void mark_said(const struct mime_structure *s, struct said *said, int part)
{
    for (int i = s->parts[part].parent; i >= 0; i = s->parts[i].parent)
        if (part_is(&s->parts[i], "multipart", "alternative"))
            said->v[i] = true;
}

unsigned mime_text(struct slice message, const struct mime_structure *s, struct buf *ret)
{
    struct said said = {0};
    struct wording w = {.utf8 = buf_make(TEXT_UTF8_MAX), .from_html = mime_html_words};
    unsigned odd = 0;
    size_t raw_left = TEXT_RAW_MAX;
    for (size_t i = 0; i < s->n_parts && !(odd & MIME_ODD_CUT); i++) {
        const struct mime_part *part = &s->parts[i];
        if (!is_text_body(part))
            continue;
        bool is_html = slice_eq(part->subtype, SLICE("html"));
        if (is_html && was_said(s, &said, (int)i))
            continue;
        size_t before = ret->n;
        odd |= add_words(message, part, raw_left, &w, ret);
        if (part->body_len > raw_left)
            odd |= MIME_ODD_CUT;
        raw_left -= part->body_len < raw_left ? part->body_len : raw_left;
        if (!is_html && ret->n > before)
            mark_said(s, &said, (int)i);
    }
    buf_finish(&w.utf8);
    return odd;
}

/* ---- preview ----------------------------------------------------------------------------- */

static bool is_in_message(const struct mime_structure *s, size_t part)
{
    for (int i = s->parts[part].parent; i >= 0; i = s->parts[i].parent)
        if (s->parts[i].is_message)
            return true;
    return false;
}

/* The start of the text is enough, mostly; style sheets before the first word can be long. */
static unsigned preview_part(struct slice message, const struct mime_part *part, struct wording *w,
                             struct buf *ret)
{
    size_t before = ret->n;
    bool is_html = slice_eq(part->subtype, SLICE("html"));
    for (size_t raw_max = is_html ? 4 * PREVIEW_RAW_FIRST : PREVIEW_RAW_FIRST;; raw_max *= 4) {
        ret->n = before;
        unsigned odd = add_words(message, part, raw_max, w, ret);
        bool is_enough = odd & MIME_ODD_CUT || part->body_len <= raw_max;
        if (is_enough || raw_max >= PREVIEW_RAW_MAX)
            return odd & ~(unsigned)MIME_ODD_CUT;
    }
}

/* Plain texts of the message itself, then HTML ones, then whatever text is in there. */
static bool is_candidate(const struct mime_structure *s, size_t i, int round)
{
    const struct mime_part *part = &s->parts[i];
    if (!is_text_body(part))
        return false;
    if (round == 2)
        return true;
    bool is_named = part->name.n && part->depth > 0; /* a text file shown inline */
    return part_is(part, "text", round == 0 ? "plain" : "html") && !is_named &&
           !is_in_message(s, i);
}

unsigned mime_preview(struct slice message, const struct mime_structure *s, struct buf *ret)
{
    struct wording w = {.utf8 = buf_make(PREVIEW_UTF8_MAX), .from_html = mime_html_text};
    unsigned n_tried = 0, odd = 0;
    bool is_done = false;
    for (int round = 0; round < 3 && !is_done; round++) {
        for (size_t i = 0; i < s->n_parts && n_tried < PREVIEW_PARTS_MAX && !is_done; i++) {
            if (!is_candidate(s, i, round))
                continue;
            odd = preview_part(message, &s->parts[i], &w, ret);
            is_done = ret->n > 0;
            n_tried++;
        }
    }
    buf_finish(&w.utf8);
    return is_done ? odd : 0;
}
