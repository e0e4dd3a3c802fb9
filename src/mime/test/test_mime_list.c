/* What a list of mail shows: fields, base subject, preview, attachments, spans, search text. */
#include "mime/mime.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "mime/test/mime_test.h"

static void an_ordinary_message_gives_all_its_fields(void **)
{
    struct slice m =
        SLICE("Return-Path: <j@example.com>\r\n"
              "Received: from a by b;\r\n\tSat, 21 Nov 2026 21:40:00 +0000\r\n"
              "Received: from c by d\r\n"
              "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>, Second <s@example.com>\r\n"
              "Sender: Secretary <sec@example.com>\r\n"
              "Reply-To: replies@example.com\r\n"
              "To: a@x, B <b@x>\r\nTo: late@x\r\nCc: c@x\r\nBcc: d@x\r\n"
              "Subject: Re: [list] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
              "Date: Sat, 21 Nov 2026 22:40:00 +0100\r\n"
              "Message-ID: <id@example.com>\r\nIn-Reply-To: <r1@x>\r\nReferences: <r0@x> <r1@x>\r\n"
              "MIME-Version: 1.0\r\n\r\nHello,\r\n\r\n  world!\r\n");
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct mime_list_fields f;
    mime_list_fields(m, NULL, a, &f);
    check_slice(f.subject,
                "Re: [list] Gr\xc3\xbc\xc3\x9f"
                "e",
                "subject");
    check_slice(f.base_subject,
                "Gr\xc3\xbc\xc3\x9f"
                "e",
                "base subject");
    assert_true(f.is_reply);
    check_slice(f.from.name, "J\xc3\xbcrgen", "from name");
    check_slice(f.from.local, "j", "from local");
    check_slice(f.from.domain, "example.com", "from domain");
    assert_int_equal(f.all_from.n, 2);
    check_slice(f.sender.v[0].name, "Secretary", "sender");
    check_slice(f.reply_to.v[0].local, "replies", "reply-to");
    assert_int_equal(f.to.n, 3);
    check_slice(f.to.v[2].local, "late", "to");
    assert_int_equal(f.cc.n, 1);
    assert_int_equal(f.bcc.n, 1);
    assert_true(f.has_date);
    assert_true(f.date == 1795297200000);
    assert_int_equal(f.date_zone_min, 60);
    check_slice(f.message_id, "id@example.com", "message id");
    check_slice(f.in_reply_to.v[0], "r1@x", "in-reply-to");
    assert_int_equal(f.references.n, 2);
    check_slice(f.references.v[0], "r0@x", "references");
    check_slice(f.preview, "Hello, world!", "preview");
    assert_int_equal(f.n_received, 2);
    assert_int_equal(f.size, m.n);
    assert_int_equal(f.structure.n_parts, 1);
    assert_int_equal(f.header_state, MIME_WALK_DONE);
    assert_int_equal(f.odd, MIME_ODD_DUPLICATE); /* To stands twice */
}

static void what_is_missing_or_broken_stays_empty_and_is_told(void **)
{
    static const struct {
        const char *message;
        unsigned odd;
    } cases[] = {
        {"", 0},
        {"\r\n", 0},
        {"garbage", MIME_ODD_HEADER_LINE},
        {"From: a@b\nFrom: c@d\n\n", MIME_ODD_DUPLICATE},
        {"Date: x\n\n", MIME_ODD_DATE},
        {"Subject: a\nsubject: b\n\n", MIME_ODD_DUPLICATE},
        {"Subject: =?x-none?q?a?=\n\n", MIME_ODD_CHARSET | MIME_ODD_LENIENT},
        {"Subject: a=?utf-8?q?b?=\n\n", MIME_ODD_LENIENT},
        {"To: a@b\nTo: c@d\n\n", MIME_ODD_DUPLICATE},
        {"To: A B\n\n", MIME_ODD_ADDRESS},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        struct mime_list_fields f;
        mime_list_fields(slice_str(cases[i].message), NULL, a, &f);
        if (f.odd != cases[i].odd)
            fail_msg("%s: odd %x", cases[i].message, f.odd);
        check_slice(f.preview, "", "preview");
        assert_false(f.has_date);
    }
}

static void the_author_is_the_first_with_an_address(void **)
{
    static const struct {
        const char *message, *name, *domain;
    } cases[] = {
        {"From: Your Bank Team, x <a@evil.example>\n\n", "x", "evil.example"},
        {"From: Bank, <a@evil.example>, <b@c>\n\n", "", "evil.example"},
        {"From: Your Bank Team, Other Team\n\n", "Your Bank Team", ""},
        {"From: A <a@b>\nFrom: C <c@d>\n\n", "A", "b"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        struct mime_list_fields f;
        mime_list_fields(slice_str(cases[i].message), NULL, a, &f);
        check_slice(f.from.name, cases[i].name, cases[i].message);
        check_slice(f.from.domain, cases[i].domain, cases[i].message);
    }
}

static void whole_fields_can_be_cut_out_by_name(void **)
{
    struct slice m = SLICE("From x@y now\nA: 1\nStaffetta-Trace: v=1;\n b=2\nB: 2\n"
                           "staffetta-trace : v=3\r\nStaffetta-Traced: no\nX-Other:\n\nStaffetta-"
                           "Trace: body\n");
    static const struct slice NAMES[] = {{"Staffetta-Trace", 15}, {"X-Other", 7}};
    static const struct mime_names CUT = {NAMES, N_OF(NAMES)};
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    struct mime_list_fields f;
    mime_list_fields(m, &CUT, a, &f);
    assert_int_equal(f.spans.n, 3);
    size_t at = 0;
    for (size_t i = 0; i < f.spans.n; i++) {
        buf_add(&out, m.p + at, f.spans.v[i].offset - at);
        at = f.spans.v[i].offset + f.spans.v[i].len;
    }
    buf_adds(&out, slice_skip(m, at));
    check_slice(buf_slice(&out),
                "From x@y now\nA: 1\nB: 2\nStaffetta-Traced: no\n\nStaffetta-Trace: body\n",
                "spliced");
}

static void incomplete_spans_are_never_called_complete(void **)
{
    static const struct slice NAMES[] = {{"X", 1}};
    static const struct mime_names CUT = {NAMES, 1};
    SCOPED(buf_finish) struct buf m = buf_make(1 << 20);
    for (int i = 0; i < 100; i++)
        buf_adds(&m, SLICE("X: y\n"));
    for (size_t room = 0; room < 8000; room += 100) {
        SCOPED(arena_destroy) struct arena *a = arena_create(room);
        struct mime_list_fields f;
        mime_list_fields(buf_slice(&m), &CUT, a, &f);
        assert_int_equal(f.spans.n == 100, f.header_state == MIME_WALK_DONE);
    }
    for (int i = 100; i <= MIME_HEADER_FIELDS_MAX; i++)
        buf_adds(&m, SLICE("X: y\n"));
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct mime_list_fields f;
    mime_list_fields(buf_slice(&m), &CUT, a, &f);
    assert_int_equal(f.spans.n, MIME_HEADER_FIELDS_MAX);
    assert_int_equal(f.header_state, MIME_WALK_TOO_MANY);
    assert_true(f.odd & MIME_ODD_HEADER_MANY);
}

static void subjects_lose_their_marks(void **)
{
    static const struct {
        const char *subject, *base;
        bool is_reply;
    } cases[] = {
        {"plain", "plain", false},
        {"Re: plain", "plain", true},
        {"RE:Re: re : plain", "plain", true},
        {"Fwd: FW: plain", "plain", true},
        {"AW: WG: plain", "plain", true},
        {"R: I: plain", "plain", true},
        {"Re[2]: plain", "plain", true},
        {"Re^3: plain", "plain", true},
        {"Re(4): plain", "plain", true},
        {"Re [blob]: plain", "plain", true},
        {"[list] Re: [list] plain", "plain", true},
        {"[list] plain", "plain", false},
        {"[list]", "[list]", false},
        {"Re: [list]", "[list]", true},
        {"plain (fwd)", "plain", true},
        {"plain (fwd) (FWD)", "plain", true},
        {"[Fwd: plain]", "plain", true},
        {"[Fwd: Re: plain (fwd)]", "plain", true},
        {"Re: ", "", true},
        {"Regards: x", "Regards: x", false},
        {"Reply", "Reply", false},
        {"\xe5\x9b\x9e\xe5\xa4\x8d\xef\xbc\x9a plain", "plain", true},
        {"SV: VS: Antw: plain", "plain", true},
        {"[a [b] plain", "[a [b] plain", false},
        {"", "", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool is_reply;
        check_slice(mime_subject_base(slice_str(cases[i].subject), &is_reply), cases[i].base,
                    cases[i].subject);
        assert_int_equal(is_reply, cases[i].is_reply);
    }
}

#define PART(type, more, body) "--b\nContent-Type: " type "\n" more "\n" body "\n"
#define MULTI(type, parts) "Content-Type: multipart/" type "; boundary=b\n\n" parts "--b--\n"

static void previews_are_what_a_person_would_say(void **)
{
    static const struct {
        const char *message, *preview;
    } cases[] = {
        {"\n a\n b", "a b"},
        {"Content-Type: text/html\n\n<p>a<br>b", "a b"},
        {"Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: base64\n\n"
         "PHA+Y2Fm6SZuYnNwO2F1IGxhaXQ8L3A+",
         "caf\xc3\xa9 au lait"},
        {MULTI("alternative", PART("text/html", "", "<b>html</b>") PART("text/plain", "", "plain")),
         "plain"},
        {MULTI("alternative", PART("text/plain", "", " \n") PART("text/html", "", "<b>html</b>")),
         "html"},
        {MULTI("mixed", PART("text/plain", "", "text") PART("application/pdf", "", "x")), "text"},
        {MULTI("mixed", PART("text/plain", "Content-Disposition: attachment\n", "file")
                            PART("text/plain", "", "text")),
         "text"},
        {MULTI("mixed", PART("text/plain; name=a.txt", "", "file") PART("text/plain", "", "text")),
         "text"},
        {MULTI("mixed", PART("text/plain; name=a.txt", "", "file")), "file"},
        {MULTI("related", PART("text/html", "", "<img src='cid:i'>html")
                              PART("image/png", "Content-ID: <i>\n", "x")),
         "html"},
        {MULTI("signed", PART("text/plain", "", "text") PART("application/pgp-signature", "", "x")),
         "text"},
        {MULTI("encrypted", PART("application/pgp-encrypted", "", "Version: 1")
                                PART("application/octet-stream", "", "x")),
         ""},
        {MULTI("report", PART("text/plain", "", "text") PART("message/delivery-status", "", "x")
                             PART("message/rfc822", "", "Subject: s\n\nreturned")),
         "text"},
        {MULTI("mixed", PART("message/rfc822", "", "Subject: s\n\nforwarded")), "forwarded"},
        {MULTI("mixed",
               PART("message/rfc822", "", "Subject: s\n\nforwarded") PART("text/html", "", "mine")),
         "mine"},
        {MULTI("alternative", PART("text/plain", "", "text") PART("text/calendar", "", "x")),
         "text"},
        {"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\n\nx", ""},
        {"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx", ""},
        {"Content-Type: image/png\n\nx", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        struct mime_list_fields f;
        mime_list_fields(slice_str(cases[i].message), NULL, a, &f);
        check_slice(f.preview, cases[i].preview, cases[i].message);
    }
}

static void a_preview_is_cut_at_a_character_and_found_behind_long_styles(void **)
{
    SCOPED(buf_finish) struct buf m = buf_make(1 << 20);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct mime_list_fields f;
    buf_adds(&m, SLICE("Content-Type: text/html; charset=utf-8\n\n<style>"));
    for (int i = 0; i < 3000; i++)
        buf_adds(&m, SLICE("p.class { color: red; }\n"));
    buf_adds(&m, SLICE("</style>x"));
    for (int i = 0; i < 200; i++)
        buf_adds(&m, SLICE("\xe2\x82\xac"));
    mime_list_fields(buf_slice(&m), NULL, a, &f);
    assert_int_equal(f.preview.n, 256); /* 1 + 85 * 3 */
    assert_true(mime_utf8_is_valid(f.preview));
    assert_int_equal(f.odd, 0);
    m.p[m.n - 600] = 'x'; /* now the first character is broken: two rests of it, and 255 bytes */
    m.p[m.n - 601] = ' ';
    arena_reset(a);
    mime_list_fields(buf_slice(&m), NULL, a, &f);
    assert_true(f.preview.n <= MIME_PREVIEW_MAX && f.preview.n > MIME_PREVIEW_MAX - 3);
    assert_true(mime_utf8_is_valid(f.preview));
}

static void search_text_takes_each_alternative_once(void **)
{
    static const struct {
        const char *message, *text;
    } cases[] = {
        {MULTI("alternative", PART("text/plain", "", "plain") PART("text/html", "", "<b>html</b>")),
         "plain"},
        {MULTI("mixed", PART("text/plain", "", "plain") PART("text/html", "", "<b>html</b>")),
         "plain html"},
        {MULTI("mixed", PART("text/plain", "", "one")
                            PART("text/plain", "Content-Disposition: attachment\n", "file")
                                PART("text/plain", "", "two")),
         "one two"},
        {MULTI("alternative", PART("text/plain", "", "") PART("text/html", "", "<b>html</b>")),
         "html"},
        {MULTI("mixed",
               PART("message/rfc822", "", "Subject: s\n\ninner") PART("text/plain", "", "outer")),
         "inner outer"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        SCOPED(buf_finish) struct buf out = buf_make(1000);
        struct mime_structure s;
        struct slice m = slice_str(cases[i].message);
        mime_structure_parse(m, a, &s);
        assert_int_equal(mime_text(m, &s, &out), 0);
        check_slice(buf_slice(&out), cases[i].text, cases[i].message);
        SCOPED(buf_finish) struct buf small = buf_make(3);
        assert_int_equal(mime_text(m, &s, &small), MIME_ODD_CUT);
        assert_true(slice_starts(slice_str(cases[i].text), buf_slice(&small)));
    }
}

static void whatever_room_the_arena_has_the_fields_are_usable(void **)
{
    struct slice m = SLICE("From: \"A\" <a@b>\nTo: a@b, c@d, e@f, g@h, i@j, k@l\n"
                           "References: <a@b> <c\n @d>\nSubject: =?utf-8?q?s=C3=BC?=\n"
                           "Message-ID: <a\n b@c>\n"
                           "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--");
    for (size_t room = 0; room < 5000; room += 16) {
        SCOPED(arena_destroy) struct arena *a = arena_create(room);
        struct mime_list_fields f;
        mime_list_fields(m, NULL, a, &f);
        bool is_all = f.to.n == 6 && f.preview.n == 1 && f.subject.n == 3 && f.references.n == 2 &&
                      f.message_id.n == 4 && f.structure.n_parts == 2 && f.from.name.n == 1;
        assert_int_equal(is_all, !(f.odd & MIME_ODD_MEMORY));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_message_gives_all_its_fields),
        cmocka_unit_test(what_is_missing_or_broken_stays_empty_and_is_told),
        cmocka_unit_test(the_author_is_the_first_with_an_address),
        cmocka_unit_test(whole_fields_can_be_cut_out_by_name),
        cmocka_unit_test(incomplete_spans_are_never_called_complete),
        cmocka_unit_test(subjects_lose_their_marks),
        cmocka_unit_test(previews_are_what_a_person_would_say),
        cmocka_unit_test(a_preview_is_cut_at_a_character_and_found_behind_long_styles),
        cmocka_unit_test(search_text_takes_each_alternative_once),
        cmocka_unit_test(whatever_room_the_arena_has_the_fields_are_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
