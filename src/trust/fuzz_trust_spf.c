/* A zone, whose first line says who sends: "PEER HELO MAIL-FROM". The evaluation must end within
 * its number of questions, whatever the zone says. */
#include "trust/trust.h"
#include "trust/test/zone.h"

enum { QUESTIONS_MAX = 2 + 10 + 10 * 10 + 11 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest, line = slice_cut(slice_of((const char *)data, size), '\n', &rest);
    struct trust_sender sender = {.receiver = SLICE("mx.example.com"), .now = 1700000000000};
    if (size > 20000 || !trust_ip_parse(slice_cut(line, ' ', &line), &sender.peer))
        return 0;
    sender.helo = slice_cut(line, ' ', &sender.mail_from);
    struct zone z = {.text = rest};
    struct trust_dns dns = zone_dns(&z);
    struct trust_spf spf;
    trust_spf_check(&dns, &sender, &spf);
    must(spf.result < TRUST_SPF_N && z.n_asked <= QUESTIONS_MAX);
    must(spf.result == TRUST_SPF_FAIL || !spf.explanation[0]);
    return 0;
}
