/* Ids of blobs: whole messages and uploads, and the parts inside them. RFC 8621 section 4.1.4
 * (blobId), RFC 8620 section 1.2 (what an Id may hold). Not here: finding the whole's bytes. */
#include "email/email_int.h"

#include "base/mail.h"

#include <stdio.h>

static_assert(1 + MESSAGE_ID_TEXT - 1 + EMAIL_BLOB_STEPS_MAX * (1 + 10 + 1 + 10 + 1 + 1) + 1 <=
                  EMAIL_BLOB_TEXT,
              "the longest id fits");

/* Decimal as printf writes it: one way to say a number. */
static bool read_number(struct slice s, uint32_t *ret)
{
    uint64_t v;
    if (!slice_u64(s, UINT32_MAX, &v) || (s.n > 1 && s.p[0] == '0'))
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool read_step(struct slice *rest, struct email_blob_step *ret)
{
    struct slice offset = slice_cut(*rest, '-', rest);
    struct slice len = slice_cut(*rest, '-', rest);
    struct slice encoding = slice_cut(*rest, '-', rest);
    if (!read_number(offset, &ret->offset) || !read_number(len, &ret->len) || encoding.n != 1)
        return false;
    ret->encoding = encoding.p[0];
    return ret->encoding == 'b' || ret->encoding == 'q' || ret->encoding == 'n';
}

bool email_blob_parse(struct slice text, struct email_blob *ret)
{
    struct email_blob blob = {0};
    if (text.n < MESSAGE_ID_TEXT || text.n >= EMAIL_BLOB_TEXT || text.p[text.n - 1] == '-')
        return false;
    blob.kind = text.p[0];
    blob.id = message_id_parse(slice_of(text.p + 1, MESSAGE_ID_TEXT - 1));
    if ((blob.kind != 'M' && blob.kind != 'U') || blob.id == 0)
        return false;
    struct slice rest = slice_skip(text, MESSAGE_ID_TEXT);
    if (rest.n && rest.p[0] != '-')
        return false;
    for (rest = slice_skip(rest, 1); rest.n;)
        if (blob.n_steps == EMAIL_BLOB_STEPS_MAX || !read_step(&rest, &blob.steps[blob.n_steps++]))
            return false;
    char again[EMAIL_BLOB_TEXT]; /* so that each blob has one id, and nothing else passes */
    email_blob_write(&blob, again);
    if (!slice_eq(slice_str(again), text))
        return false;
    *ret = blob;
    return true;
}

void email_blob_write(const struct email_blob *blob, char ret[EMAIL_BLOB_TEXT])
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(blob->id, id);
    int n = snprintf(ret, EMAIL_BLOB_TEXT, "%c%s", blob->kind, id);
    for (size_t i = 0; i < blob->n_steps; i++)
        n += snprintf(ret + n, EMAIL_BLOB_TEXT - (size_t)n, "-%u-%u-%c", blob->steps[i].offset,
                      blob->steps[i].len, blob->steps[i].encoding);
}

/* False: it lies outside. */
static bool step_bytes(struct slice whole, const struct email_blob_step *step, struct slice *ret)
{
    if (step->offset > whole.n || step->len > whole.n - step->offset)
        return false;
    *ret = step->len ? slice_of(whole.p + step->offset, step->len) : SLICE("");
    return true;
}

static bool decode(struct slice bytes, char encoding, struct buf *ret)
{
    enum mime_encoding e = encoding == 'b'   ? MIME_ENCODING_BASE64
                           : encoding == 'q' ? MIME_ENCODING_QP
                                             : MIME_ENCODING_IDENTITY;
    struct mime_decoder d = mime_decoder_make(e);
    return mime_decoder_feed(&d, bytes, ret) && mime_decoder_end(&d, ret);
}

enum err email_blob_decode(struct slice whole, const struct email_blob_step *steps, size_t n_steps,
                           struct buf *ret)
{
    SCOPED(buf_finish) struct buf now = buf_make(whole.n + 1);
    SCOPED(buf_finish) struct buf next = buf_make(whole.n + 1);
    struct slice bytes = whole;
    for (size_t i = 0; i < n_steps; i++) {
        if (!step_bytes(bytes, &steps[i], &bytes))
            return ERR_GONE;
        bool is_last = i + 1 == n_steps;
        if (steps[i].encoding == 'n' || is_last)
            continue;
        buf_clear(&next);
        if (!decode(bytes, steps[i].encoding, &next))
            return ERR_GONE; /* nothing grows when it is decoded: that cannot be */
        struct buf swap = now;
        now = next;
        next = swap;
        bytes = buf_slice(&now);
    }
    char encoding = n_steps ? steps[n_steps - 1].encoding : 'n';
    return decode(bytes, encoding, ret) && !ret->failed ? ERR_OK : ERR_LIMIT;
}
