/* The engines that take any split of the input: lines, DATA, content check, dot-stuffing. With
 * WIRE_BENCH=1 in the environment it prints their speed besides. */
#include "wire/client.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))
#define S(literal) SLICE(literal)

/* ---- lines ------------------------------------------------------------------------------------
 */

/* The events as text: each whole line in [], each fault as a letter. */
static void feed_lines(struct wire_lines *l, struct slice input, struct buf *partial,
                       struct buf *out)
{
    static const char letters[] = {[WIRE_LINE_BARE_LF] = 'L',
                                   [WIRE_LINE_BARE_CR] = 'C',
                                   [WIRE_LINE_NUL] = 'N',
                                   [WIRE_LINE_TOO_LONG] = 'T'};
    struct slice line = {NULL, 0};
    for (;;) {
        enum wire_line kind = wire_lines_next(l, &input, partial, &line);
        if (kind == WIRE_LINE_MORE)
            break;
        if (kind == WIRE_LINE_WHOLE) {
            buf_addc(out, '[');
            buf_adds(out, line);
            buf_addc(out, ']');
        } else {
            buf_addc(out, letters[kind]);
        }
    }
    assert_int_equal(input.n, 0);
}

static void lines_come_out_the_same_however_they_come_in(void **)
{
    static const struct {
        struct slice input;
        const char *events;
    } rows[] = {
        {S("EHLO x\r\nQUIT\r\n"), "[EHLO x][QUIT]"},
        {S("\r\n\r\n"), "[][]"},
        {S("abc"), ""},
        {S("abc\r"), ""},
        {S("a\nb\r\nc\r\n"), "L[c]"},
        {S("\n"), "L"},
        {S("a\nb\nc\nd\r\ne\r\n"), "L[e]"},
        {S("a\rb\r\nc\r\n"), "C[c]"},
        {S("a\r\r\nc\r\n"), "C[c]"},
        {S("\r\r\r\n\r\n"), "C[]"},
        {S("a\0b\r\nc\r\n"), "N[c]"},
        {S("a\r\0b\r\nc\r\n"), "C[c]"},
        {S("a\0\nb\r\nc\r\n"), "N[c]"},
        {S("12345678\r\nok\r\n"), "[12345678][ok]"},
        {S("123456789\r\nok\r\n"), "T[ok]"},
        {S("123456789\r\r\nok\r\n"), "T[ok]"},
        {S("12345678\r9\r\nok\r\n"), "C[ok]"},
        {S("12345678901234567890123456789\n\r\0\r\nok\r\n"), "T[ok]"},
        {S("x\r\n123456789"), "[x]T"},
        {S("RCPT\nMAIL evil\r\nQUIT\r\n"), "L[QUIT]"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct slice in = rows[i].input;
        for (size_t cut = 0; cut <= in.n + 1; cut++) {
            struct wire_lines l = wire_lines_make(10);
            SCOPED(buf_finish) struct buf partial = buf_make(10), out = buf_make(1000);
            for (size_t k = 0; cut > in.n && k < in.n; k++) /* the last round: byte by byte */
                feed_lines(&l, slice_of(in.p + k, 1), &partial, &out);
            if (cut <= in.n) {
                feed_lines(&l, slice_of(in.p, cut), &partial, &out);
                feed_lines(&l, slice_skip(in, cut), &partial, &out);
            }
            assert_string_equal(buf_cstr(&out), rows[i].events);
        }
    }
}

static void a_line_that_is_there_is_not_copied_and_a_piece_waits_in_the_buffer(void **)
{
    struct wire_lines l = wire_lines_make(WIRE_COMMAND_MAX);
    struct buf partial = buf_make(WIRE_COMMAND_MAX);
    struct slice line, input = S("NOOP\r\nQU");
    const char *at = input.p;
    assert_int_equal(wire_lines_next(&l, &input, &partial, &line), WIRE_LINE_WHOLE);
    assert_ptr_equal(line.p, at);
    assert_null(partial.p); /* nothing was allocated */
    assert_int_equal(wire_lines_next(&l, &input, &partial, &line), WIRE_LINE_MORE);
    assert_int_equal(partial.n, 2);
    input = S("IT\r\nX");
    assert_int_equal(wire_lines_next(&l, &input, &partial, &line), WIRE_LINE_WHOLE);
    assert_true(slice_eq(line, S("QUIT")));
    assert_int_equal(partial.n, 0);
    buf_finish(&partial); /* allowed between lines */
    assert_int_equal(wire_lines_next(&l, &input, &partial, &line), WIRE_LINE_MORE);
    assert_int_equal(partial.n, 1);
    buf_finish(&partial);
}

/* ---- DATA -------------------------------------------------------------------------------------
 */

/* What a decoder must do, written a second time and as plainly as possible. */
struct model {
    struct buf out;
    size_t n_used;
    bool is_done;
    uint64_t n_bare_cr, n_bare_lf, n_nul;
};

static struct model model_of(struct slice in)
{
    struct model m = {.out = buf_make(1 << 22)};
    size_t i = 0;
    bool is_start = true;
    while (i < in.n) {
        if (is_start && in.p[i] == '.') {
            if (in.n - i >= 3 && in.p[i + 1] == '\r' && in.p[i + 2] == '\n') {
                m.is_done = true;
                i += 3;
                break;
            }
            i++;
            is_start = false;
            continue;
        }
        is_start = in.p[i] == '\n' && i > 0 && in.p[i - 1] == '\r';
        buf_addc(&m.out, in.p[i++]);
    }
    m.n_used = i;
    for (size_t k = 0; k < m.out.n; k++) {
        char c = m.out.p[k], before = k ? m.out.p[k - 1] : 'x';
        m.n_nul += c == '\0';
        m.n_bare_lf += c == '\n' && before != '\r';
        m.n_bare_cr += c == '\r' && !(k + 1 < m.out.n && m.out.p[k + 1] == '\n');
    }
    return m;
}

static size_t decode_in_pieces(struct wire_data *d, struct slice in, size_t piece, size_t first,
                               struct buf *out)
{
    size_t at = 0;
    while (at < in.n && !d->is_done) {
        size_t n = at == 0 && first ? first : piece;
        if (n > in.n - at)
            n = in.n - at;
        size_t used = wire_data_feed(d, slice_of(in.p + at, n), out);
        assert_true(used == n || d->is_done);
        at += used;
    }
    return at;
}

static void data_ends_only_at_crlf_dot_crlf_whatever_the_split(void **)
{
    static const struct {
        struct slice input;
        bool is_done;
        struct slice out, rest;
    } rows[] = {
        {S(".\r\n"), true, S(""), S("")},
        {S("a\r\n.\r\nQUIT\r\n"), true, S("a\r\n"), S("QUIT\r\n")},
        {S("..\r\n.\r\n"), true, S(".\r\n"), S("")},
        {S("a\r\n..b\r\n.c\r\n.\r\n"), true, S("a\r\n.b\r\nc\r\n"), S("")},
        {S("\r\n.\r\n.\r\n"), true, S("\r\n"), S(".\r\n")},
        /* smuggling: none of these may end the data */
        {S("a\n.\nMAIL\r\n.\r\n"), true, S("a\n.\nMAIL\r\n"), S("")},
        {S("a\n.\r\nMAIL\r\n.\r\n"), true, S("a\n.\r\nMAIL\r\n"), S("")},
        {S("a\r.\r\nMAIL\r\n.\r\n"), true, S("a\r.\r\nMAIL\r\n"), S("")},
        {S("a\r\n.\nMAIL\r\n.\r\n"), true, S("a\r\n\nMAIL\r\n"), S("")},
        {S("a\r\n.\rMAIL\r\n.\r\n"), true, S("a\r\n\rMAIL\r\n"), S("")},
        {S("a\r\r\n.\r\r\nMAIL\r\n.\r\n"), true, S("a\r\r\n\r\r\nMAIL\r\n"), S("")},
        {S("a\r.\rMAIL\r\n.\r\n"), true, S("a\r.\rMAIL\r\n"), S("")},
        {S("a\n\n.\n\nMAIL\r\n.\r\n"), true, S("a\n\n.\n\nMAIL\r\n"), S("")},
        {S("a\r\n\0.\r\nMAIL\r\n.\r\n"), true, S("a\r\n\0.\r\nMAIL\r\n"), S("")},
        {S("a\r\n.\0\r\nMAIL\r\n.\r\n"), true, S("a\r\n\0\r\nMAIL\r\n"), S("")},
        {S("a\r\0\n.\r\nMAIL\r\n.\r\n"), true, S("a\r\0\n.\r\nMAIL\r\n"), S("")},
        {S("a\r\n.\r\0\nMAIL\r\n.\r\n"), true, S("a\r\n\r\0\nMAIL\r\n"), S("")},
        {S("a\r\n.\r\r\n.\r\n"), true, S("a\r\n\r\r\n"), S("")},
        {S("\n.\r\n"), false, S("\n.\r\n"), S("")},
        {S("\r.\r\n"), false, S("\r.\r\n"), S("")},
        {S("a\r\n. \r\n"), false, S("a\r\n \r\n"), S("")},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct slice in = rows[i].input;
        struct model m = model_of(in);
        assert_int_equal(m.is_done, rows[i].is_done);
        assert_true(slice_eq(buf_slice(&m.out), rows[i].out));
        for (size_t first = 0; first <= in.n; first++) {
            for (size_t piece = 1; piece <= in.n; piece += in.n - 1 ? in.n - 1 : 1) {
                struct wire_data d = {};
                SCOPED(buf_finish) struct buf out = buf_make(1000);
                size_t used = decode_in_pieces(&d, in, piece, first, &out);
                assert_int_equal(d.is_done, rows[i].is_done);
                assert_true(slice_eq(buf_slice(&out), rows[i].out));
                assert_true(slice_eq(slice_skip(in, used), rows[i].rest));
                assert_int_equal(d.content.n_bytes, out.n);
                if (d.is_done) {
                    assert_int_equal(d.content.n_bare_cr, m.n_bare_cr);
                    assert_int_equal(d.content.n_bare_lf, m.n_bare_lf);
                    assert_int_equal(d.content.n_nul, m.n_nul);
                }
            }
        }
        buf_finish(&m.out);
    }
}

static void a_full_buffer_discards_up_to_the_end_and_says_so(void **)
{
    struct slice in = S("0123456789\r\n\r\r\n.\r\nQUIT\r\n");
    for (size_t piece = 1; piece <= in.n; piece++) {
        struct wire_data d = {};
        SCOPED(buf_finish) struct buf out = buf_make(8);
        size_t used = decode_in_pieces(&d, in, piece, 0, &out);
        assert_true(d.is_done && d.is_discarded && out.failed);
        assert_true(out.n <= 8);
        assert_int_equal(used, in.n - 6);
        assert_int_equal(d.content.n_bytes, 15);
        assert_int_equal(d.content.n_bare_cr, 1);
        d = (struct wire_data){};
        assert_int_equal(decode_in_pieces(&d, in, piece, 0, NULL), in.n - 6);
        assert_true(d.is_done && !d.is_discarded);
        assert_int_equal(d.content.n_bytes, 15);
    }
}

/* ---- content -------------------------------------------------------------------------------- */

static uint32_t random_state = 1;
static uint32_t random_number(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

/* Mostly the bytes that matter. */
static void random_text(struct buf *b, size_t n, bool is_clean)
{
    static const char odd[] = "\r\n.\r\n..\0\r\na\xff";
    while (b->n < n) {
        uint32_t kind = random_number(12);
        if (is_clean)
            buf_adds(b, kind < 3 ? S("\r\n") : kind < 6 ? S(".") : S("text of the message"));
        else if (kind < 8)
            buf_addc(b, odd[random_number(sizeof(odd) - 1)]);
        else if (kind < 10)
            buf_adds(b, S("\r\n."));
        else
            buf_adds(b, S("some longer text that takes the fast path for a while\r\n"));
    }
}

static void content_is_counted_the_same_in_any_split(void **)
{
    for (int round = 0; round < 3000; round++) {
        SCOPED(buf_finish) struct buf text = buf_make(4096);
        random_text(&text, random_number(200), round % 4 == 0);
        struct wire_content whole = {}, parts = {};
        uint64_t n_cr = 0, n_lf = 0, n_nul = 0;
        bool has_8bit = false;
        for (size_t k = 0; k < text.n; k++) {
            char c = text.p[k];
            n_nul += c == '\0';
            n_lf += c == '\n' && !(k && text.p[k - 1] == '\r');
            n_cr += c == '\r' && !(k + 1 < text.n && text.p[k + 1] == '\n');
            has_8bit |= c < 0;
        }
        wire_content_check(&whole, buf_slice(&text));
        wire_content_end(&whole);
        for (size_t at = 0; at < text.n;) {
            size_t n = random_number(20);
            n = n < text.n - at ? n : text.n - at;
            wire_content_check(&parts, slice_of(text.p + at, n));
            at += n;
        }
        wire_content_end(&parts);
        assert_int_equal(whole.n_bare_cr, n_cr);
        assert_int_equal(whole.n_bare_lf, n_lf);
        assert_int_equal(whole.n_nul, n_nul);
        assert_int_equal(whole.has_8bit, has_8bit);
        assert_int_equal(whole.n_bytes, text.n);
        assert_memory_equal(&whole, &parts, sizeof(whole));
        assert_int_equal(wire_content_is_clean(&whole), n_cr + n_lf + n_nul == 0);
    }
}

/* ---- dot-stuffing --------------------------------------------------------------------------- */

static void stuff_in_pieces(struct slice in, size_t most, struct buf *out, uint64_t *ret_fixed)
{
    struct wire_stuff s = {};
    while (in.n) {
        size_t n = most == 1 ? 1 : random_number((uint32_t)most) + 1;
        n = n < in.n ? n : in.n;
        wire_stuff_feed(&s, slice_of(in.p, n), out);
        in = slice_skip(in, n);
    }
    wire_stuff_end(&s, out);
    *ret_fixed = s.n_fixed;
}

static void stuffing_cleans_what_it_sends(void **)
{
    static const struct {
        struct slice in, out;
        uint64_t n_fixed;
    } rows[] = {
        {S(""), S(".\r\n"), 0},
        {S("a"), S("a\r\n.\r\n"), 0},
        {S("a\r\n"), S("a\r\n.\r\n"), 0},
        {S(".\r\n"), S("..\r\n.\r\n"), 0},
        {S("a\r\n.b\r\n..\r\n"), S("a\r\n..b\r\n...\r\n.\r\n"), 0},
        {S("a.b\r\n"), S("a.b\r\n.\r\n"), 0},
        {S("a\n.\nb"), S("a\r\n..\r\nb\r\n.\r\n"), 2},
        {S("a\r.\rb"), S("a\r\n..\r\nb\r\n.\r\n"), 2},
        {S("a\r"), S("a\r\n.\r\n"), 1},
        {S("\r"), S("\r\n.\r\n"), 1},
        {S("\r\r\n.\r\r\n"), S("\r\n\r\n..\r\n\r\n.\r\n"), 2},
        {S("a\0b\r\n\0.\r\n"), S("ab\r\n..\r\n.\r\n"), 2},
        {S("\n\r\n"), S("\r\n\r\n.\r\n"), 1},
    };
    for (size_t i = 0; i < N(rows); i++) {
        for (size_t most = 1; most <= rows[i].in.n + 1; most++) {
            uint64_t n_fixed;
            SCOPED(buf_finish) struct buf out = buf_make(1000);
            stuff_in_pieces(rows[i].in, most, &out, &n_fixed);
            assert_true(slice_eq(buf_slice(&out), rows[i].out));
            assert_int_equal(n_fixed, rows[i].n_fixed);
        }
    }
}

static void what_is_stuffed_comes_back_whole_after_decoding(void **)
{
    for (int round = 0; round < 2000; round++) {
        uint64_t n_fixed;
        bool is_clean = round % 2 == 0;
        struct wire_data d = {};
        SCOPED(buf_finish)
        struct buf text = buf_make(1 << 20), sent = buf_make(1 << 21), got = buf_make(1 << 20);
        random_text(&text, random_number(round % 100 == 0 ? 100000 : 300), is_clean);
        if (is_clean)
            buf_adds(&text, S("\r\n"));
        stuff_in_pieces(buf_slice(&text), round % 3 == 0 ? 1 : 5000, &sent, &n_fixed);
        buf_adds(&sent, S("QUIT\r\n"));
        size_t used = decode_in_pieces(&d, buf_slice(&sent), 1 + random_number(40000),
                                       random_number(100), &got);
        assert_true(d.is_done);
        assert_int_equal(used, sent.n - 6);
        assert_true(wire_content_is_clean(&d.content));
        if (is_clean) {
            assert_int_equal(n_fixed, 0);
            assert_true(slice_eq(buf_slice(&got), buf_slice(&text)));
        }
    }
}

static void random_input_is_decoded_as_the_model_says(void **)
{
    for (int round = 0; round < 3000; round++) {
        SCOPED(buf_finish) struct buf text = buf_make(1 << 20), out = buf_make(1 << 20);
        random_text(&text, random_number(round % 100 == 0 ? 60000 : 200), false);
        struct model m = model_of(buf_slice(&text));
        struct wire_data d = {};
        size_t used = decode_in_pieces(&d, buf_slice(&text), 1 + random_number(30),
                                       random_number(20000), &out);
        assert_int_equal(d.is_done, m.is_done);
        if (m.is_done) {
            assert_int_equal(used, m.n_used);
            assert_true(slice_eq(buf_slice(&out), buf_slice(&m.out)));
            assert_int_equal(d.content.n_bare_cr, m.n_bare_cr);
            assert_int_equal(d.content.n_bare_lf, m.n_bare_lf);
            assert_int_equal(d.content.n_nul, m.n_nul);
        }
        buf_finish(&m.out);
    }
}

/* ---- speed ------------------------------------------------------------------------------------
 */

static void print_speed(const char *what, size_t n, size_t line_n)
{
    SCOPED(buf_finish)
    struct buf text = buf_make(n + 2), sent = buf_make(2 * n + 8), out = buf_make(2 * n + 8);
    while (text.n + line_n <= n)
        buf_addf(&text, "%0*d\r\n", (int)line_n - 2, 7);
    struct wire_stuff warm = {};
    wire_stuff_feed(&warm, buf_slice(&text), &sent);
    wire_stuff_end(&warm, &sent);
    size_t rounds = ((size_t)1 << 29) / n;
    mono_us start = mono_now();
    for (size_t i = 0; i < rounds; i++) {
        struct wire_data d = {};
        buf_clear(&out);
        wire_data_feed(&d, buf_slice(&sent), &out);
        must(d.is_done);
    }
    double decode_us = (double)(mono_now() - start) / (double)rounds;
    start = mono_now();
    for (size_t i = 0; i < rounds; i++) {
        struct wire_stuff s = {};
        buf_clear(&out);
        wire_stuff_feed(&s, buf_slice(&text), &out);
        wire_stuff_end(&s, &out);
    }
    double stuff_us = (double)(mono_now() - start) / (double)rounds;
    printf("%-26s decode %9.2f us %6.2f GB/s   stuff %9.2f us %6.2f GB/s\n", what, decode_us,
           (double)n / decode_us / 1000, stuff_us, (double)n / stuff_us / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_the_same_however_they_come_in),
        cmocka_unit_test(a_line_that_is_there_is_not_copied_and_a_piece_waits_in_the_buffer),
        cmocka_unit_test(data_ends_only_at_crlf_dot_crlf_whatever_the_split),
        cmocka_unit_test(a_full_buffer_discards_up_to_the_end_and_says_so),
        cmocka_unit_test(content_is_counted_the_same_in_any_split),
        cmocka_unit_test(stuffing_cleans_what_it_sends),
        cmocka_unit_test(what_is_stuffed_comes_back_whole_after_decoding),
        cmocka_unit_test(random_input_is_decoded_as_the_model_says),
    };
    if (getenv("WIRE_BENCH")) {
        print_speed("10 KiB, lines of 78", 10240, 78);
        print_speed("1 MiB, lines of 78", 1 << 20, 78);
        print_speed("1 MiB, lines of 20", 1 << 20, 20);
        print_speed("1 MiB, lines of 4", 1 << 20, 4);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
