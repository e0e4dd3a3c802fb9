/* Any bytes as a trace header, first as they are, then as the ids of one that we make: the first
 * must not break anything, the second must be known again. */
#include "sign/sign.h"
#include "sign/canon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[SIGN_TRACE_KEY] = {7};
    struct slice all = slice_of((const char *)data, size), rest;
    struct sign_trace t = {.tenant = slice_cut(all, ' ', &rest), .message = rest}, again;
    SCOPED(buf_finish) struct buf out = buf_make(4096);
    (void)sign_trace_check(key, all, &again);
    if (sign_trace_make(key, &t, &out, NULL) != ERR_OK)
        return 0;
    must(sign_trace_check(key, slice_skip(buf_slice(&out), sizeof(SIGN_TRACE_NAME)), &again));
    must(slice_eq(again.tenant, t.tenant) && slice_eq(again.message, t.message));
    return 0;
}
