/* A zone, an empty line, a message. */
#include "trust/trust.h"
#include "trust/test/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size);
    size_t cut = 0;
    while (cut + 1 < all.n && memcmp(all.p + cut, "\n\n", 2) != 0)
        cut++;
    struct zone z = {.text = slice_of(all.p, cut)};
    struct trust_dns dns = zone_dns(&z);
    struct trust_dkim dkim;
    trust_dkim_verify(&dns, slice_skip(all, cut + 2), 1667843664000, &dkim);
    must(dkim.n_sigs <= TRUST_DKIM_MAX && z.n_asked <= TRUST_DKIM_MAX);
    for (size_t i = 0; i < dkim.n_sigs; i++)
        must((dkim.sigs[i].result == TRUST_DKIM_PASS) == !*dkim.sigs[i].why);
    return 0;
}
