/* A small server: lines, DATA and BDAT in turn, as the input says. Whole and in pieces it must give
 * the same. The first byte drives the pieces. */
#include "wire/client.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct session {
    struct wire_lines lines;
    struct wire_data data;
    struct wire_content content;
    struct buf partial, out;
    uint64_t chunk_left;
    bool in_data, is_last;
};

static void note(struct session *s, const char *what, const struct wire_content *c)
{
    buf_addf(&s->out, "<%s %d %d %d %d %d>", what, (int)c->n_bytes, (int)c->n_bare_cr,
             (int)c->n_bare_lf, (int)c->n_nul, c->has_8bit);
}

static void take_line(struct session *s, struct slice *input)
{
    struct slice line = {NULL, 0};
    struct wire_bdat bdat;
    enum wire_line kind = wire_lines_next(&s->lines, input, &s->partial, &line);
    if (kind == WIRE_LINE_MORE)
        return;
    buf_addf(&s->out, "<%d", kind);
    if (kind == WIRE_LINE_WHOLE)
        buf_adds(&s->out, line);
    struct wire_command c = wire_command_parse(line);
    s->in_data = c.verb == WIRE_VERB_DATA;
    s->data = (struct wire_data){};
    if (c.verb == WIRE_VERB_BDAT && wire_bdat_parse(c.args, &bdat).fault == WIRE_FINE) {
        s->chunk_left = bdat.size_bytes;
        s->is_last = bdat.is_last;
    }
}

static void take_chunk(struct session *s, struct slice *input)
{
    size_t n = s->chunk_left < input->n ? (size_t)s->chunk_left : input->n;
    wire_content_check(&s->content, slice_of(input->p, n));
    *input = slice_skip(*input, n);
    s->chunk_left -= n;
    if (s->chunk_left || !s->is_last)
        return;
    wire_content_end(&s->content);
    note(s, "bdat", &s->content);
    s->content = (struct wire_content){};
}

static void take(struct session *s, struct slice input)
{
    while (input.n) {
        if (s->chunk_left) {
            take_chunk(s, &input);
        } else if (s->in_data) {
            input = slice_skip(input, wire_data_feed(&s->data, input, &s->out));
            s->in_data = !s->data.is_done;
            if (s->data.is_done)
                note(s, "data", &s->data.content);
        } else {
            take_line(s, &input);
        }
    }
}

static void check_stuffing(struct slice text, size_t step)
{
    struct wire_stuff s = {}, p = {};
    struct wire_data d = {};
    SCOPED(buf_finish) struct buf whole = buf_make(1 << 22), pieces = buf_make(1 << 22);
    wire_stuff_feed(&s, text, &whole);
    wire_stuff_end(&s, &whole);
    for (struct slice rest = text; rest.n; rest = slice_skip(rest, step))
        wire_stuff_feed(&p, slice_of(rest.p, step < rest.n ? step : rest.n), &pieces);
    wire_stuff_end(&p, &pieces);
    must(slice_eq(buf_slice(&whole), buf_slice(&pieces)) && s.n_fixed == p.n_fixed);
    must(wire_data_feed(&d, buf_slice(&whole), NULL) == whole.n && d.is_done);
    must(wire_content_is_clean(&d.content));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 100000)
        return 0;
    struct session whole = {
        .lines = wire_lines_make(64), .partial = buf_make(64), .out = buf_make(1 << 22)};
    struct session pieces = {
        .lines = wire_lines_make(64), .partial = buf_make(64), .out = buf_make(1 << 22)};
    struct slice input = slice_of((const char *)data + 1, size - 1);
    uint32_t random = data[0];
    take(&whole, input);
    for (struct slice rest = input; rest.n;) {
        random = random * 1664525u + 1013904223u;
        size_t n = (random >> 24) % (data[0] % 16 + 1u) + 1;
        take(&pieces, slice_of(rest.p, n < rest.n ? n : rest.n));
        rest = slice_skip(rest, n);
    }
    must(slice_eq(buf_slice(&whole.out), buf_slice(&pieces.out)));
    must(slice_eq(buf_slice(&whole.partial), buf_slice(&pieces.partial)));
    must(memcmp(&whole.content, &pieces.content, sizeof(whole.content)) == 0);
    buf_finish(&whole.partial), buf_finish(&whole.out);
    buf_finish(&pieces.partial), buf_finish(&pieces.out);
    check_stuffing(input, data[0] % 16 + 1u);
    return 0;
}
