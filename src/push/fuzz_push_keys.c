/* What a client may name as address and keys of its subscription: refused, or usable. */
#include "push/push.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice rest = slice_of((const char *)data, n), url = slice_cut(rest, '\n', &rest),
                 p256dh = slice_cut(rest, '\n', &rest);
    struct push_keys keys;
    struct errinfo ei;
    SCOPED(buf_finish) struct buf sealed = buf_make(PUSH_SEALED_MAX);
    if (!push_url_fault(url))
        must(slice_istarts(url, SLICE("https://")) && url.n <= PUSH_URL_MAX);
    if (push_keys_parse(p256dh, rest, &keys))
        must(push_seal(&keys, SLICE("{}"), &sealed, &ei) == ERR_OK && sealed.n == 86 + 256 + 16);
    return 0;
}
