/* Where one response ends. A line that ends in "{5}" goes on behind five bytes, but only where the
 * grammar has strings: the words of OK, NO, BAD, BYE and of a tagged response are for people and
 * may end in whatever they like. */
#include "imap/imap_int.h"

void imap_reader_init(struct imap_reader *r)
{
    *r = (struct imap_reader){.text = buf_make(IMAP_RESPONSE_MAX),
                              .scratch = buf_make(IMAP_RESPONSE_MAX)};
}

void imap_reader_finish(struct imap_reader *r)
{
    buf_finish(&r->text);
    buf_finish(&r->scratch);
}

void imap_reader_clear(struct imap_reader *r)
{
    buf_clear(&r->text);
    buf_clear(&r->scratch);
    r->result = IMAP_MORE;
    r->line_at = r->literal_left = 0;
}

static enum imap_result end(struct imap_reader *r, enum imap_result result)
{
    return r->result = result;
}

/* Has a response that begins so strings in it? */
static bool has_strings(struct slice text)
{
    static const char *const words[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
    struct slice rest;
    if (!slice_starts(text, SLICE("* ")))
        return false;
    struct slice word = slice_cut(slice_skip(text, 2), ' ', &rest);
    word = slice_trim(word);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (slice_ieq(word, slice_str(words[i])))
            return false;
    return true;
}

/* The line that is complete now ends in {digits}: how many bytes follow? False: no literal. */
static bool literal_of_line(const struct imap_reader *r, uint64_t *ret)
{
    struct slice line = slice_skip(buf_slice(&r->text), r->line_at);
    size_t n = line.n;
    while (n > 0 && (line.p[n - 1] == '\n' || line.p[n - 1] == '\r'))
        n--;
    if (n < 3 || line.p[n - 1] != '}' || !has_strings(buf_slice(&r->text)))
        return false;
    size_t from = n - 1;
    while (from > 0 && line.p[from - 1] >= '0' && line.p[from - 1] <= '9')
        from--;
    if (from == n - 1 || from == 0 || line.p[from - 1] != '{')
        return false;
    if (!slice_u64(slice_of(line.p + from, n - 1 - from), UINT32_MAX, ret))
        *ret = UINT32_MAX; /* endless in any case */
    return true;
}

static enum imap_result take_literal(struct imap_reader *r, struct slice *input)
{
    size_t n = input->n < r->literal_left ? input->n : r->literal_left;
    buf_add(&r->text, input->p, n);
    *input = slice_skip(*input, n);
    r->literal_left -= n;
    r->line_at = r->text.n;
    return IMAP_MORE;
}

static enum imap_result take_line(struct imap_reader *r, struct slice *input)
{
    ptrdiff_t lf = slice_find(*input, '\n');
    struct slice piece = slice_of(input->p, lf < 0 ? input->n : (size_t)lf + 1);
    if (slice_find(piece, '\0') >= 0)
        return end(r, IMAP_NONSENSE);
    buf_adds(&r->text, piece);
    *input = slice_skip(*input, piece.n);
    if (r->text.failed)
        return end(r, IMAP_ENDLESS);
    if (lf < 0)
        return IMAP_MORE;
    uint64_t n;
    if (!literal_of_line(r, &n))
        return end(r, IMAP_DONE);
    if (n > IMAP_RESPONSE_MAX - r->text.n)
        return end(r, IMAP_ENDLESS); /* known before the bytes come */
    r->literal_left = (size_t)n;
    r->line_at = r->text.n;
    return IMAP_MORE;
}

enum imap_result imap_reader_feed(struct imap_reader *r, struct slice input, size_t *ret_used)
{
    size_t n = input.n;
    while (r->result == IMAP_MORE && input.n > 0) {
        if (r->literal_left > 0)
            (void)take_literal(r, &input);
        else
            (void)take_line(r, &input);
    }
    *ret_used = n - input.n;
    return r->result;
}
