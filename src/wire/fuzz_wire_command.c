/* Every command parser on one line; what was understood must survive being written and read again.
 */
#include "wire/client.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wire_caps all = {.flags = ~0u, .xclient = ~0u};

/* The args of the one line in `out`; there must be exactly one. */
static struct slice args_of(const struct buf *out)
{
    struct slice line = buf_slice(out);
    must(line.n > 2 && slice_find(line, '\n') == (ptrdiff_t)line.n - 1);
    must(slice_find(line, '\r') == (ptrdiff_t)line.n - 2);
    return wire_command_parse(slice_of(line.p, line.n - 2)).args;
}

static void check_key(struct slice address)
{
    SCOPED(buf_finish) struct buf key = buf_make(1024), again = buf_make(1024);
    if (wire_address_key(address, &key).fault != WIRE_FINE)
        return;
    must(wire_address_key(buf_slice(&key), &again).fault == WIRE_FINE);
    must(slice_eq(buf_slice(&key), buf_slice(&again)));
}

static void check_envelope(struct slice args, bool with_utf8)
{
    struct wire_mail mail, mail2;
    struct wire_rcpt rcpt, rcpt2;
    SCOPED(buf_finish) struct buf out = buf_make(1 << 16);
    if (wire_mail_parse(args, &mail).fault == WIRE_FINE) {
        must(wire_mail_add(&out, &mail, &all).fault == WIRE_FINE);
        must(wire_mail_parse(args_of(&out), &mail2).fault == WIRE_FINE);
        must(slice_eq(mail.from.text, mail2.from.text) && mail.size_bytes == mail2.size_bytes);
        check_key(mail.from.text);
    }
    if (wire_rcpt_parse(args, with_utf8, &rcpt).fault == WIRE_FINE) {
        buf_clear(&out);
        must(wire_rcpt_add(&out, &rcpt, &all).fault == WIRE_FINE);
        must(wire_rcpt_parse(args_of(&out), with_utf8, &rcpt2).fault == WIRE_FINE);
        must(slice_eq(rcpt.to.text, rcpt2.to.text) && rcpt.notify == rcpt2.notify);
        must(slice_eq(rcpt.orcpt, rcpt2.orcpt));
        check_key(rcpt.to.text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice line = slice_of((const char *)data, size);
    struct slice args = wire_command_parse(line).args;
    struct wire_helo helo;
    struct wire_bdat bdat;
    struct wire_auth auth;
    struct wire_xclient x, x2;
    SCOPED(buf_finish) struct buf out = buf_make(1 << 16);
    check_envelope(args, size % 2);
    check_key(line);
    (void)wire_helo_parse(args, &helo); /* none of these may read outside; ASan looks */
    (void)wire_bdat_parse(args, &bdat);
    (void)wire_auth_parse(args, &auth);
    if (wire_xclient_parse(args, &x).fault == WIRE_FINE) {
        wire_xclient_add(&out, &x, &all);
        must(wire_xclient_parse(args_of(&out), &x2).fault == WIRE_FINE);
        must(strcmp(x.name.s, x2.name.s) == 0 && x.port == x2.port);
    }
    return 0;
}
