/* A peer's replies, whole and in pieces, and the abilities that its text may claim. */
#include "wire/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t feed(struct wire_reply *r, struct slice in, size_t step)
{
    size_t at = 0, used;
    while (at < in.n && r->result == WIRE_REPLY_MORE) {
        size_t n = step < in.n - at ? step : in.n - at;
        (void)wire_reply_feed(r, slice_of(in.p + at, n), &used);
        at += used;
    }
    return at;
}

static void check_caps(struct slice text)
{
    struct wire_caps caps, again;
    struct wire_reply r;
    size_t used;
    SCOPED(buf_finish) struct buf out = buf_make(1 << 16);
    wire_caps_parse(text, &caps);
    wire_caps_reply(&out, SLICE("host"), &caps);
    wire_reply_init(&r);
    must(wire_reply_feed(&r, buf_slice(&out), &used) == WIRE_REPLY_DONE && used == out.n);
    wire_caps_parse(buf_slice(&r.text), &again);
    must(memcmp(&caps, &again, sizeof(caps)) == 0);
    wire_reply_finish(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 100000)
        return 0;
    struct slice in = slice_of((const char *)data + 1, size - 1);
    struct wire_reply whole, pieces;
    SCOPED(buf_finish) struct buf out = buf_make(1 << 20);
    wire_reply_init(&whole);
    wire_reply_init(&pieces);
    size_t n = feed(&whole, in, in.n);
    must(n == feed(&pieces, in, data[0] % 32 + 1u));
    must(whole.result == pieces.result && whole.code == pieces.code);
    must(slice_eq(buf_slice(&whole.text), buf_slice(&pieces.text)) && !whole.text.failed);
    must(slice_find(buf_slice(&whole.text), '\r') < 0 || whole.result != WIRE_REPLY_DONE);
    check_caps(buf_slice(&whole.text));
    check_caps(in);
    wire_reply_add(&out, "550 5.1.1", in);
    for (struct slice rest = buf_slice(&out); rest.n;) {
        struct slice line = slice_cut(rest, '\n', &rest);
        must(line.n <= 511 && slice_starts(line, rest.n ? SLICE("550-5.1.1") : SLICE("550 5.1.1")));
        must(slice_find(line, '\r') == (ptrdiff_t)line.n - 1);
    }
    wire_reply_finish(&whole);
    wire_reply_finish(&pieces);
    return 0;
}
