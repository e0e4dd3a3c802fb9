/* A zone, an empty line, a message; SPF is said to pass for the domain in the zone's first line. */
#include "trust/trust.h"
#include "trust/test/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size), rest;
    size_t cut = 0;
    while (cut + 1 < all.n && memcmp(all.p + cut, "\n\n", 2) != 0)
        cut++;
    struct zone z = {.text = slice_of(all.p, cut)};
    struct trust_dns dns = zone_dns(&z);
    struct trust_verdict v = {.spf.result = TRUST_SPF_PASS, .spf.why = ""};
    v.spf.domain = slice_cut(slice_cut(z.text, '\n', &rest), ' ', &rest);
    trust_dmarc_check(&dns, slice_skip(all, cut + 2), &v.spf, &v.dkim, &v.dmarc);
    must(z.n_asked <= 17);
    SCOPED(buf_finish) struct buf out = buf_make(65536);
    trust_results_header(&v, SLICE("mx.example.com"), &out);
    must(slice_starts(buf_slice(&out), SLICE("Authentication-Results: mx.example.com;")));
    return 0;
}
