/* Any bytes as a blob id, up to a line end, and behind it the whole's bytes. */
#include "email/email.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole, id = slice_cut(slice_of((const char *)data, size), '\n', &whole);
    struct email_blob blob;
    char again[EMAIL_BLOB_TEXT];
    if (!email_blob_parse(id, &blob))
        return 0;
    email_blob_write(&blob, again);
    must(slice_eq(slice_str(again), id));
    SCOPED(buf_finish) struct buf out = buf_make(whole.n + 1);
    enum err err = email_blob_decode(whole, blob.steps, blob.n_steps, &out);
    must(err == ERR_GONE || (err == ERR_OK && out.n <= whole.n));
    return 0;
}
