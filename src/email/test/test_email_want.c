/* What a client may ask for, and ids of parts. */
#include "email/email.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "email/test/email_test.h"

static void header_forms_are_for_the_fields_that_may_have_them(void **)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"subject", true},
        {"Subject", false},
        {"", false},
        {"partId", false},
        {"header:", false},
        {"header:X", true},
        {"header:X:", false},
        {"header:X:all", true},
        {"header:X:all:asText", false},
        {"header:X:asText:all", true},
        {"header:X:asText:all:all", false},
        {"header:X:asText:", false},
        {"header:X:astext", false},
        {"header:X Y", false},
        {"header:X\xc3\xa9", false},
        {"header:X:asNothing", false},
        {"header:X:asAddresses", true},
        {"header:X:asGroupedAddresses", true},
        {"header:X:asMessageIds", true},
        {"header:X:asDate", true},
        {"header:X:asURLs", true},
        {"header:SUBJECT:asText", true},
        {"header:Subject:asAddresses", false},
        {"header:From:asRaw", true},
        {"header:From:asText", false},
        {"header:From:asGroupedAddresses", true},
        {"header:Message-ID:asMessageIds", true},
        {"header:Message-ID:asText", false},
        {"header:Date:asDate", true},
        {"header:Date:asText", false},
        {"header:Received:asText", false},
        {"header:Return-Path:asAddresses", false},
        {"header:List-Post:asURLs", true},
        {"header:List-Post:asText", false},
        {"header:List-Id:asText", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct email_property p;
        if (email_property_parse(slice_str(cases[i].text), false, &p) != cases[i].is_good)
            fail_msg("%s", cases[i].text);
    }
}

static enum err parse(const char *args, enum email_call call, struct email_want *want,
                      struct arena *a, struct errinfo *ei)
{
    json_t *v = json_of(args);
    enum err err = email_want_parse(v, call, a, want, ei);
    json_decref(v);
    return err;
}

static void wrong_arguments_are_named(void **)
{
    static const struct {
        const char *args, *named;
    } cases[] = {
        {"{'properties':'subject'}", "properties:"},
        {"{'properties':['nonsense']}", "properties:"},
        {"{'properties':[7]}", "properties:"},
        {"{'properties':['header:From:asText']}", "properties:"},
        {"{'bodyProperties':['subject']}", "bodyProperties:"},
        {"{'bodyProperties':{}}", "bodyProperties:"},
        {"{'fetchTextBodyValues':1}", "fetchTextBodyValues:"},
        {"{'fetchHTMLBodyValues':'true'}", "fetchHTMLBodyValues:"},
        {"{'fetchAllBodyValues':[]}", "fetchAllBodyValues:"},
        {"{'maxBodyValueBytes':-1}", "maxBodyValueBytes:"},
        {"{'maxBodyValueBytes':1.5}", "maxBodyValueBytes:"},
        {"{'maxBodyValueBytes':'1'}", "maxBodyValueBytes:"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        struct email_want want;
        struct errinfo ei;
        assert_int_equal(parse(cases[i].args, EMAIL_CALL_GET, &want, a, &ei), ERR_INVALID);
        if (!strstr(ei.text, cases[i].named))
            fail_msg("%s: %s", cases[i].args, ei.text);
    }
}

static void nobody_asks_for_more_than_the_bound(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf packed = buf_make(EMAIL_WANT_BYTES_MAX);
    struct email_want want, again;
    struct errinfo ei;
    json_t *args = json_object(), *list = json_array();
    json_object_set_new(args, "properties", list);
    json_object_set(args, "bodyProperties", list);
    for (int i = 0; i < EMAIL_PROPERTIES_MAX; i++) {
        char name[EMAIL_PROPERTY_BYTES_MAX + 1];
        snprintf(name, sizeof(name), "header:%0*d", EMAIL_PROPERTY_BYTES_MAX - 7, i);
        json_array_append_new(list, json_string(name));
    }
    assert_int_equal(email_want_parse(args, EMAIL_CALL_GET, a, &want, &ei), ERR_OK);
    email_want_pack(&packed, &want);
    assert_false(packed.failed);
    assert_true(email_want_unpack(buf_slice(&packed), a, &again));
    assert_int_equal(again.body.n, EMAIL_PROPERTIES_MAX);
    json_array_append_new(list, json_string("subject"));
    assert_int_equal(email_want_parse(args, EMAIL_CALL_GET, a, &want, &ei), ERR_LIMIT);
    json_decref(args);
}

static void what_is_asked_for_travels_unchanged(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf packed = buf_make(EMAIL_WANT_BYTES_MAX);
    struct email_want want, again;
    struct errinfo ei;
    assert_int_equal(parse("{'properties':['subject','header:X:asText:all','subject'],"
                           "'bodyProperties':['cid'],'fetchHTMLBodyValues':true,"
                           "'maxBodyValueBytes':77}",
                           EMAIL_CALL_GET, &want, a, &ei),
                     ERR_OK);
    email_want_pack(&packed, &want);
    assert_true(email_want_unpack(buf_slice(&packed), a, &again));
    assert_int_equal(again.properties.n, 2);
    assert_true(again.properties.v[1].is_all && again.properties.v[1].form == EMAIL_TEXT);
    assert_int_equal(again.body.v[0].field, EMAIL_CID);
    assert_true(again.has_html_values && !again.has_text_values && !again.has_all_values);
    assert_int_equal(again.value_bytes_max, 77);
    assert_false(again.has_usual_body);
    for (size_t n = 0; n < packed.n; n++)
        assert_false(email_want_unpack(slice_of(packed.p, n), a, &again));
    buf_addc(&packed, 'x');
    assert_false(email_want_unpack(buf_slice(&packed), a, &again));
}

static void the_usual_properties_differ_by_call(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct email_want want;
    struct errinfo ei;
    assert_int_equal(parse("{}", EMAIL_CALL_GET, &want, a, &ei), ERR_OK);
    assert_int_equal(want.properties.n, 24);
    assert_int_equal(want.body.n, 10);
    assert_true(want.has_usual_body);
    assert_true(email_wants(&want, EMAIL_KEYWORDS) && email_wants_bytes(&want));
    assert_int_equal(parse("{'properties':null}", EMAIL_CALL_PARSE, &want, a, &ei), ERR_OK);
    assert_int_equal(want.properties.n, 17);
    assert_false(email_wants(&want, EMAIL_KEYWORDS));
    assert_int_equal(
        parse("{'properties':['id','size','keywords']}", EMAIL_CALL_GET, &want, a, &ei), ERR_OK);
    assert_false(email_wants_bytes(&want));
}

static void blob_ids_are_written_as_they_are_read(void **)
{
    static const struct {
        const char *text;
        size_t n_steps; /* 9: none of ours */
    } cases[] = {
        {"Maaaaaaaaaaaab", 0},
        {"Uaaaaaaaaaaaab", 0},
        {"Maaaaaaaaaaaab-0-0-n", 1},
        {"Maaaaaaaaaaaab-12-4294967295-b-0-1-q-4294967295-3-n", 3},
        {"Maaaaaaaaaaaab-0-0-n-0-0-n-0-0-n-0-0-n", 9},
        {"Maaaaaaaaaaaab-4294967296-0-n", 9},
        {"Maaaaaaaaaaaab-99999999999999999999-0-n", 9},
        {"Maaaaaaaaaaaab-01-0-n", 9},
        {"Maaaaaaaaaaaab--0-n", 9},
        {"Maaaaaaaaaaaab-0-0-x", 9},
        {"Maaaaaaaaaaaab-0-0-nn", 9},
        {"Maaaaaaaaaaaab-0-0", 9},
        {"Maaaaaaaaaaaab-0-0-n-", 9},
        {"Maaaaaaaaaaaab-", 9},
        {"Maaaaaaaaaaaab_", 9},
        {"Maaaaaaaaaaaaa", 9},
        {"MAAAAAAAAAAAAB", 9},
        {"Xaaaaaaaaaaaab", 9},
        {"Maaaaaaaaaaaa1", 9},
        {"M", 9},
        {"", 9},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct email_blob blob;
        char again[EMAIL_BLOB_TEXT];
        bool is_good = email_blob_parse(slice_str(cases[i].text), &blob);
        if (is_good != (cases[i].n_steps < 9))
            fail_msg("%s", cases[i].text);
        if (!is_good)
            continue;
        assert_int_equal(blob.n_steps, cases[i].n_steps);
        email_blob_write(&blob, again);
        assert_string_equal(again, cases[i].text);
    }
}

static void parts_of_parts_are_decoded_step_by_step(void **)
{
    /* "xx" "YWI9QzMgPQ==" in base64 is "ab=C3 =". */
    static const struct {
        struct email_blob_step steps[3];
        size_t n, max;
        enum err err;
        const char *out;
    } cases[] = {
        {{{0}}, 0, 100, ERR_OK, "xxYWI9QzMgPQ=="},
        {{{2, 12, 'n'}}, 1, 100, ERR_OK, "YWI9QzMgPQ=="},
        {{{2, 12, 'b'}}, 1, 100, ERR_OK, "ab=C3 ="},
        {{{2, 12, 'b'}, {2, 3, 'q'}}, 2, 100, ERR_OK, "\xc3"},
        {{{2, 12, 'n'}, {0, 4, 'b'}, {1, 2, 'n'}}, 3, 100, ERR_OK, "b="},
        {{{2, 13, 'n'}}, 1, 100, ERR_GONE, ""},
        {{{15, 0, 'n'}}, 1, 100, ERR_GONE, ""},
        {{{14, 0, 'n'}}, 1, 100, ERR_OK, ""},
        {{{UINT32_MAX, UINT32_MAX, 'n'}}, 1, 100, ERR_GONE, ""},
        {{{1, UINT32_MAX, 'n'}}, 1, 100, ERR_GONE, ""},
        {{{2, 12, 'b'}, {2, 6, 'n'}}, 2, 100, ERR_GONE, ""},
        {{{2, 12, 'n'}}, 1, 11, ERR_LIMIT, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(cases[i].max);
        assert_int_equal(
            email_blob_decode(SLICE("xxYWI9QzMgPQ=="), cases[i].steps, cases[i].n, &out),
            cases[i].err);
        if (cases[i].err == ERR_OK)
            assert_string_equal(buf_cstr(&out), cases[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_forms_are_for_the_fields_that_may_have_them),
        cmocka_unit_test(wrong_arguments_are_named),
        cmocka_unit_test(nobody_asks_for_more_than_the_bound),
        cmocka_unit_test(what_is_asked_for_travels_unchanged),
        cmocka_unit_test(the_usual_properties_differ_by_call),
        cmocka_unit_test(blob_ids_are_written_as_they_are_read),
        cmocka_unit_test(parts_of_parts_are_decoded_step_by_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
