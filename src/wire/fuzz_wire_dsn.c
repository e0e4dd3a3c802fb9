/* A notice from hostile fields (cut at 0xfe): clean lines of at most 998 bytes, and no part or
 * field that is not ours. */
#include "wire/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct slice text, bool may_be_8bit)
{
    struct wire_content content = {};
    unsigned n_boundaries = 0;
    wire_content_check(&content, text);
    wire_content_end(&content);
    must(wire_content_is_clean(&content) && (may_be_8bit || !content.has_8bit));
    must(text.n > 2 && text.p[text.n - 1] == '\n');
    while (text.n) {
        struct slice line = slice_cut(text, '\n', &text);
        must(line.n <= 999);
        n_boundaries += slice_starts(line, SLICE("--=_report_00000000"));
    }
    must(n_boundaries >= 3); /* the original may bring others, of another number */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice fields[9];
    if (size < 2 || size > 100000)
        return 0;
    struct slice rest = slice_of((const char *)data + 2, size - 2);
    for (size_t i = 0; i < 9; i++)
        fields[i] = slice_cut(rest, (char)0xfe, &rest);
    struct wire_dsn_rcpt rcpts[2] = {
        {.action = data[0] & 3,
         .final = fields[0],
         .orcpt_type = fields[1],
         .orcpt = fields[2],
         .remote_mta = fields[3],
         .diagnostic = fields[4],
         .status = {data[0] >> 4, data[1], 1}},
        {.action = data[1] & 3,
         .final = fields[4],
         .orcpt_type = SLICE("utf-8"),
         .orcpt = fields[0],
         .last_attempt = data[1],
         .retry_until = data[0]},
    };
    struct wire_dsn dsn = {
        .reporting_mta = fields[5],
        .from = fields[6],
        .to = fields[0],
        .message_id = fields[7],
        .envid = fields[2],
        .original = fields[8],
        .with_whole = data[1] & 8,
        .with_utf8 = data[1] & 16,
        .arrival = data[1],
        .rcpts = rcpts,
        .n_rcpts = 1 + data[0] % 2,
    };
    SCOPED(buf_finish) struct buf out = buf_make(1 << 22);
    struct wire_dsn_needs needs = wire_dsn_compose(&dsn, &out);
    must(!out.failed);
    check(buf_slice(&out), needs.needs_8bitmime);
    return 0;
}
