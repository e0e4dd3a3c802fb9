/* The rooms `trust` and `sign` for the conformance scripts beside this file; not a tool for
 * operators.
 *     trust_probe spf ZONE                 reads "PEER<TAB>HELO<TAB>SENDER" lines, writes
 *                                          "RESULT<TAB>EXPLANATION" lines
 *     trust_probe dkim ZONE NOW MESSAGE    one line a signature: "RESULT<TAB>DOMAIN<TAB>WHY"
 *     trust_probe sign KIND DOMAIN SELECTOR NOW MESSAGE
 *                                          the key record, a line end, the signed message
 * ZONE and MESSAGE are files; the zone's form is told in trust/test/zone.h. */
#include "trust/trust.h"
#include "trust/test/zone.h"
#include "sign/sign.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 4 * 1024 * 1024 };

static void read_all(FILE *f, struct buf *out)
{
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_add(out, piece, n);
    must(!out->failed);
}

static struct buf read_file(const char *path)
{
    struct buf b = buf_make(FILE_BYTES_MAX);
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(2);
    }
    read_all(f, &b);
    fclose(f);
    return b;
}

static int probe_spf(const char *zone_path)
{
    SCOPED(buf_finish) struct buf text = read_file(zone_path);
    SCOPED(buf_finish) struct buf asked = buf_make(FILE_BYTES_MAX);
    struct zone z = {.text = buf_slice(&text)};
    struct trust_dns dns = zone_dns(&z);
    read_all(stdin, &asked);
    struct slice rest = buf_slice(&asked);
    while (rest.n > 0) {
        struct slice line = slice_cut(rest, '\n', &rest);
        struct trust_sender sender = {.now = 1700000000000};
        struct trust_spf spf;
        must(trust_ip_parse(slice_cut(line, '\t', &line), &sender.peer));
        sender.helo = slice_cut(line, '\t', &sender.mail_from);
        trust_spf_check(&dns, &sender, &spf);
        printf("%s\t%s\n", trust_spf_text(spf.result), spf.explanation);
    }
    return 0;
}

static int probe_dkim(char **args)
{
    SCOPED(buf_finish) struct buf text = read_file(args[0]);
    SCOPED(buf_finish) struct buf message = read_file(args[2]);
    struct zone z = {.text = buf_slice(&text)};
    struct trust_dns dns = zone_dns(&z);
    struct trust_dkim dkim;
    trust_dkim_verify(&dns, buf_slice(&message), strtoll(args[1], NULL, 10) * 1000, &dkim);
    for (size_t i = 0; i < dkim.n_sigs; i++)
        printf("%s\t" SLICE_FMT "\t%s\n", trust_dkim_text(dkim.sigs[i].result),
               SLICE_ARG(dkim.sigs[i].domain), dkim.sigs[i].why);
    return 0;
}

static int probe_sign(char **args)
{
    enum sign_key_kind kind = strcmp(args[0], "rsa") == 0 ? SIGN_KEY_RSA2048 : SIGN_KEY_ED25519;
    SCOPED(sign_key_destroy) struct sign_key *key = NULL;
    SCOPED(buf_finish) struct buf message = read_file(args[4]);
    SCOPED(buf_finish) struct buf out = buf_make(FILE_BYTES_MAX);
    struct errinfo ei;
    must(sign_key_create(kind, &key, &ei) == ERR_OK);
    must(sign_key_record(key, &out, &ei) == ERR_OK);
    buf_addc(&out, '\n');
    struct sign_dkim with = {.key = key,
                             .domain = slice_str(args[1]),
                             .selector = slice_str(args[2]),
                             .now = strtoll(args[3], NULL, 10) * 1000};
    if (sign_dkim(&with, buf_slice(&message), &out, &ei) != ERR_OK) {
        fprintf(stderr, "%s\n", ei.text);
        return 1;
    }
    buf_adds(&out, buf_slice(&message));
    return fwrite(out.p, 1, out.n, stdout) == out.n ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "spf") == 0)
        return probe_spf(argv[2]);
    if (argc == 5 && strcmp(argv[1], "dkim") == 0)
        return probe_dkim(argv + 2);
    if (argc == 7 && strcmp(argv[1], "sign") == 0)
        return probe_sign(argv + 2);
    fprintf(stderr, "usage: trust_probe spf ZONE | dkim ZONE NOW MESSAGE | "
                    "sign KIND DOMAIN SELECTOR NOW MESSAGE\n");
    return 2;
}
