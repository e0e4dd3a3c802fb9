/* The PROXY header: more input never changes what a shorter beginning already said. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size < 400 ? size : 400);
    struct wire_proxy whole, first;
    size_t used = 0, first_used = 0;
    enum wire_proxy_result result = wire_proxy_parse(input, &whole, &used);
    must(used <= input.n && (used > 0) == (result == WIRE_PROXY_DONE));
    for (size_t n = 0; n < input.n; n++) {
        enum wire_proxy_result early = wire_proxy_parse(slice_of(input.p, n), &first, &first_used);
        must(early == WIRE_PROXY_MORE || early == result);
        must(early != WIRE_PROXY_DONE || (first_used == used && n >= used));
    }
    if (result == WIRE_PROXY_DONE)
        must(whole.has_addresses == (wire_ip_text(whole.source).s[0] != '\0'));
    return 0;
}
