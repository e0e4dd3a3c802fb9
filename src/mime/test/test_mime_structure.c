/* The tree of parts: offsets, types, names, bounds. */
#include "mime/mime.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "mime/test/mime_test.h"

/* A tree in one line: depth type/subtype "body" lines, parts parted by ';'. */
static void show(struct slice m, const struct mime_structure *s, struct buf *ret)
{
    buf_clear(ret);
    for (size_t i = 0; i < s->n_parts; i++) {
        const struct mime_part *p = &s->parts[i];
        buf_addf(ret, "%s%u " SLICE_FMT "/" SLICE_FMT, i ? "; " : "", p->depth, SLICE_ARG(p->type),
                 SLICE_ARG(p->subtype));
        if (!p->is_multipart && !p->is_message)
            buf_addf(ret, " [" SLICE_FMT "]%zu",
                     SLICE_ARG(slice_of(m.p + p->body_offset, p->body_len)), p->n_lines);
    }
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\n\n"

static void trees_are_read_with_their_bodies(void **)
{
    static const struct {
        const char *message, *tree;
        unsigned odd;
    } cases[] = {
        {"Subject: x\n\nhello\nyou\n", "0 text/plain [hello\nyou\n]2", 0},
        {"Subject: x\n\nhello", "0 text/plain [hello]1", 0},
        {"Subject: x", "0 text/plain []0", 0},
        {"", "0 text/plain []0", 0},
        {"\nbody", "0 text/plain [body]1", 0},
        {MIXED "pre\n--b\n\none\n--b\nContent-Type: TEXT/Html\n\ntwo\n\n--b--\nafter\n",
         "0 multipart/mixed; 1 text/plain [one]1; 1 text/html [two\n]1", 0},
        {MIXED "--b\n\n--b\n\n\n--b\nA: b\n--b--",
         "0 multipart/mixed; 1 text/plain []0; 1 text/plain []0; 1 text/plain []0", 0},
        {MIXED "--b\r\n\r\none\r\n\r\n--b-- \t\r\n", "0 multipart/mixed; 1 text/plain [one\r\n]1",
         0},
        {MIXED "--b\n\none\n", "0 multipart/mixed; 1 text/plain [one\n]1", MIME_ODD_UNCLOSED},
        {MIXED "--b\n\none\n--bb\n--b-\n--B\n --b\n--b--",
         "0 multipart/mixed; 1 text/plain [one\n--bb\n--b-\n--B\n --b]5", 0},
        {MIXED "--b\nno header here\n--b--", "0 multipart/mixed; 1 text/plain [no header here]1",
         MIME_ODD_HEADER_LINE},
        {MIXED "nothing", "0 multipart/mixed", MIME_ODD_BOUNDARY | MIME_ODD_UNCLOSED},
        {MIXED "--b--", "0 multipart/mixed", MIME_ODD_BOUNDARY},
        {"Content-Type: multipart/mixed\n\n--b\n\nx", "0 multipart/mixed", MIME_ODD_BOUNDARY},
        {"Content-Type: nonsense\n\nx", "0 text/plain [x]1", 0},
        {"Content-Type: text/ht ml\n\nx", "0 text/ht [x]1", 0},
        {"Content-Type: image/gif\nContent-Type: text/html\n\nx", "0 image/gif [x]1", 0},
        /* the outer boundary ends what is open inside */
        {MIXED "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\nx\n--b\n\ny\n--b--",
         "0 multipart/mixed; 1 multipart/alternative; 2 text/plain [x]1; 1 text/plain [y]1",
         MIME_ODD_UNCLOSED},
        /* a closed multipart is not opened again; what follows is its epilogue */
        {MIXED "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\nx\n--c--\n--c\n\nz\n"
               "--b\n\ny\n--b--",
         "0 multipart/mixed; 1 multipart/alternative; 2 text/plain [x]1; 1 text/plain [y]1", 0},
        /* boundaries that begin alike */
        {MIXED "--b\nContent-Type: multipart/mixed; boundary=b1\n\n--b1\n\nx\n--b1--\n--b--",
         "0 multipart/mixed; 1 multipart/mixed; 2 text/plain [x]1", 0},
        {"Content-Type: message/rfc822\n\nContent-Type: text/html\n\nx\n",
         "0 message/rfc822; 1 text/html [x\n]1", 0},
        {MIXED "--b\nContent-Type: message/rfc822\n\nFrom me\nSubject: y\n\nx\n--b\n\nz\n--b--",
         "0 multipart/mixed; 1 message/rfc822; 2 text/plain [x]1; 1 text/plain [z]1",
         MIME_ODD_MBOX_LINE},
        {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nx",
         "0 message/rfc822 [x]1", 0},
        {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b--",
         "0 multipart/digest; 1 message/rfc822; 2 text/plain [y]1", 0},
        {"From a@b now\nSubject: x\n\ny", "0 text/plain [y]1", MIME_ODD_MBOX_LINE},
        {"Subject: x\nbroken\nContent-Type: text/html\n\ny", "0 text/html [y]1",
         MIME_ODD_HEADER_LINE},
    };
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(100000);
        struct mime_structure s;
        struct slice m = slice_str(cases[i].message);
        mime_structure_parse(m, a, &s);
        show(m, &s, &out);
        check_slice(buf_slice(&out), cases[i].tree, cases[i].message);
        if (s.odd != cases[i].odd)
            fail_msg("%s: odd %x", cases[i].message, s.odd);
        assert_false(s.is_cut);
    }
}

static void a_part_tells_what_its_header_says(void **)
{
    struct slice m = SLICE("Content-Type: multipart/mixed; boundary=\"x y\"\r\n\r\n--x y\r\n"
                           "Content-Type: image/PNG; name=\"n.png\"; charset=utf-8\r\n"
                           "content-disposition: inline;\r\n filename*=utf-8''f%C3%BC.png\r\n"
                           "Content-ID: <cid@x>\r\n"
                           "Content-Transfer-Encoding: BASE64\r\n\r\naGk=\r\n--x y--\r\n");
    SCOPED(arena_destroy) struct arena *a = arena_create(100000);
    struct mime_structure s;
    mime_structure_parse(m, a, &s);
    assert_int_equal(s.n_parts, 2);
    check_slice(s.parts[0].boundary, "x y", "boundary");
    assert_int_equal(s.parts[0].parent, -1);
    const struct mime_part *p = &s.parts[1];
    assert_int_equal(p->parent, 0);
    check_slice(p->subtype, "png", "subtype");
    check_slice(p->name, "f\xc3\xbc.png", "name");
    check_slice(p->charset, "utf-8", "charset");
    check_slice(p->content_id, "cid@x", "content id");
    assert_int_equal(p->disposition, MIME_DISPOSITION_INLINE);
    assert_int_equal(p->encoding, MIME_ENCODING_BASE64);
    assert_int_equal(p->header_offset, 56);
    assert_true(slice_starts(slice_skip(m, p->header_offset), SLICE("Content-Type: image")));
    assert_true(slice_starts(slice_skip(m, p->header_offset + p->header_len), SLICE("\r\naGk=")));
    SCOPED(buf_finish) struct buf out = buf_make(100);
    assert_int_equal(mime_part_decode(m, p, &out), 0);
    check_slice(buf_slice(&out), "hi", "body");
}

static void text_parts_are_decoded_to_utf8_across_pieces(void **)
{
    static const struct {
        const char *charset, *unit, *utf8;
    } cases[] = {
        {"utf-8", "=E2=82=AC", "\xe2\x82\xac"},
        {"utf-8", "\xe2\x82\xac", "\xe2\x82\xac"},
        {"us-ascii", "\xe2\x82\xac", "\xe2\x82\xac"},
        {"gb2312", "\xc4\xe3", "\xe4\xbd\xa0"},
        {"gb18030", "\x81\x30\x81\x30", "\xc2\x80"},
        {"iso-2022-jp", "\x1b$BF|\x1b(B", "\xe6\x97\xa5"},
        {"iso-8859-1", "\xe9", "\xc3\xa9"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf m = buf_make(1 << 20);
        SCOPED(buf_finish) struct buf expected = buf_make(1 << 20);
        SCOPED(buf_finish) struct buf out = buf_make(1 << 20);
        buf_addf(&m, "Content-Type: text/plain; charset=%s\n", cases[i].charset);
        buf_adds(&m, SLICE("Content-Transfer-Encoding: quoted-printable\n\n"));
        /* one byte more each time: pieces are cut everywhere in a character */
        for (int n = 0; n < 20000; n++) {
            const char *odd = n % 5000 == 0 ? "x" : "";
            buf_addf(&m, "%s%s", odd, cases[i].unit);
            buf_addf(&expected, "%s%s", odd, cases[i].utf8);
        }
        SCOPED(arena_destroy) struct arena *a = arena_create(100000);
        struct mime_structure s;
        mime_structure_parse(buf_slice(&m), a, &s);
        assert_int_equal(mime_part_decode(buf_slice(&m), &s.parts[0], &out), 0);
        assert_true(slice_eq(buf_slice(&out), buf_slice(&expected)));
    }
}

static void parts_past_the_ceiling_are_one_opaque_leaf(void **)
{
    SCOPED(buf_finish) struct buf m = buf_make(1 << 20);
    SCOPED(arena_destroy) struct arena *a = arena_create(4 << 20);
    buf_adds(&m, SLICE(MIXED));
    for (int i = 1; i < MIME_PARTS_MAX - 1; i++)
        buf_adds(&m, SLICE("--b\n\nx\n"));
    size_t without_last = m.n;
    buf_adds(&m, SLICE("--b\n\nlast\n--b\n\nmore\n--b--\n"));
    struct mime_structure s;
    mime_structure_parse(buf_slice(&m), a, &s);
    assert_int_equal(s.n_parts, MIME_PARTS_MAX);
    assert_true(s.is_cut);
    assert_int_equal(s.odd, MIME_ODD_PARTS | MIME_ODD_UNCLOSED);
    const struct mime_part *last = &s.parts[MIME_PARTS_MAX - 1];
    assert_true(last->is_opaque);
    assert_int_equal(last->body_offset, without_last + 4);
    assert_int_equal(last->body_offset + last->body_len, m.n);
    assert_int_equal(last->n_lines, 6);
    assert_int_equal(s.parts[0].body_offset + s.parts[0].body_len, m.n);

    struct slice fewer = slice_of(m.p, without_last);
    mime_structure_parse(fewer, a, &s);
    assert_int_equal(s.n_parts, MIME_PARTS_MAX - 1);
    assert_false(s.is_cut);
}

static void nesting_past_the_ceiling_is_an_opaque_leaf(void **)
{
    static const char *const kinds[] = {"Content-Type: message/rfc822\n\n",
                                        "Content-Type: multipart/mixed; boundary=%d\n\n--%d\n"};
    for (size_t kind = 0; kind < N_OF(kinds); kind++) {
        for (int depth = MIME_DEPTH_MAX - 1; depth <= MIME_DEPTH_MAX; depth++) {
            SCOPED(buf_finish) struct buf m = buf_make(1 << 20);
            SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
            for (int i = 0; i < depth; i++) {
                if (kind == 0)
                    buf_adds(&m, slice_str(kinds[0]));
                else
                    buf_addf(&m, "Content-Type: multipart/mixed; boundary=%d\n\n--%d\n", i, i);
            }
            buf_adds(&m, SLICE("\nend"));
            struct mime_structure s;
            mime_structure_parse(buf_slice(&m), a, &s);
            bool is_over = depth == MIME_DEPTH_MAX;
            assert_int_equal(s.n_parts, MIME_DEPTH_MAX);
            assert_int_equal(s.is_cut, is_over);
            assert_int_equal(s.parts[MIME_DEPTH_MAX - 1].is_opaque, is_over);
            assert_int_equal(s.parts[MIME_DEPTH_MAX - 1].depth, MIME_DEPTH_MAX - 1);
            assert_int_equal((s.odd & MIME_ODD_DEPTH) != 0, is_over);
        }
    }
}

static void whatever_room_the_arena_has_the_result_is_usable(void **)
{
    struct slice m = SLICE(MIXED "--b\nContent-Type: text/plain; name=\"=?utf-8?q?=C3=A9?=\"\n\n1\n"
                                 "--b\n\n2\n--b\n\n3\n--b\n\n4\n--b\n\n5\n--b\n\n6\n--b--");
    size_t last_n_parts = 0;
    for (size_t room = 0; room < 5000; room += 16) {
        SCOPED(arena_destroy) struct arena *a = arena_create(room);
        struct mime_structure s;
        mime_structure_parse(m, a, &s);
        assert_true(s.n_parts >= last_n_parts);
        assert_int_equal(s.n_parts < 7, (s.odd & MIME_ODD_MEMORY) && s.is_cut);
        for (size_t i = 0; i < s.n_parts; i++)
            assert_true(s.parts[i].body_offset + s.parts[i].body_len <= m.n);
        last_n_parts = s.n_parts;
    }
    assert_int_equal(last_n_parts, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_read_with_their_bodies),
        cmocka_unit_test(a_part_tells_what_its_header_says),
        cmocka_unit_test(text_parts_are_decoded_to_utf8_across_pieces),
        cmocka_unit_test(parts_past_the_ceiling_are_one_opaque_leaf),
        cmocka_unit_test(nesting_past_the_ceiling_is_an_opaque_leaf),
        cmocka_unit_test(whatever_room_the_arena_has_the_result_is_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
