/* What a request says and what becomes a header: tables of what people, programs and attackers
 * write. */
#include "web/ask_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void knows_its_paths_and_no_others(void **)
{
    static const struct {
        const char *path;
        int call; /* -1: nothing there */
        const char *account, *blob, *name;
    } rows[] = {
        {"/.well-known/jmap", IPC_CALL_SESSION, "", "", ""},
        {"/jmap/session", IPC_CALL_SESSION, "", "", ""},
        {"/jmap/api", IPC_CALL_API, "", "", ""},
        {"/jmap/upload/Aabc/", IPC_CALL_UPLOAD, "Aabc", "", ""},
        {"/jmap/upload/Aabc", IPC_CALL_UPLOAD, "Aabc", "", ""},
        {"/jmap/download/A_1/M-2/a%20b.pdf", IPC_CALL_DOWNLOAD, "A_1", "M-2", "a%20b.pdf"},
        {"/jmap/download/A1/M2/", IPC_CALL_DOWNLOAD, "A1", "M2", ""},
        {"/jmap/eventsource/", IPC_CALL_WATCH, "", "", ""},
        {"/jmap/eventsource", IPC_CALL_WATCH, "", "", ""},
        {"/auth/login", IPC_CALL_LOGIN, "", "", ""},
        {"/auth/logout", IPC_CALL_LOGOUT, "", "", ""},
        {"/health", IPC_CALL_N, "", "", ""},
        {"", -1, "", "", ""},
        {"/", -1, "", "", ""},
        {"/health/", -1, "", "", ""},
        {"/jmap", -1, "", "", ""},
        {"/jmap/", -1, "", "", ""},
        {"/jmap/api/", -1, "", "", ""},
        {"//jmap/api", -1, "", "", ""},
        {"/JMAP/API", -1, "", "", ""},
        {"/jmap/upload/", -1, "", "", ""},
        {"/jmap/upload//", -1, "", "", ""},
        {"/jmap/upload/A/x", -1, "", "", ""},
        {"/jmap/upload/..%2f/", -1, "", "", ""},
        {"/jmap/upload/A.b/", -1, "", "", ""},
        {"/jmap/download/A1/M2", -1, "", "", ""},
        {"/jmap/download/A1", -1, "", "", ""},
        {"/jmap/download/A1/M2/a/b", -1, "", "", ""},
        {"/jmap/download/A1//x", -1, "", "", ""},
        {"/jmap/download/../M2/x", -1, "", "", ""},
        {"/jmap/eventsource/x", -1, "", "", ""},
        {"/v1/status", -1, "", "", ""},
        {"http://mail.example.test/jmap/api", -1, "", "", ""},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct ask_path a = {};
        bool is = web_ask_route(slice_str(rows[i].path), &a);
        if (is != (rows[i].call >= 0) || (is && (int)a.route->call != rows[i].call))
            fail_msg("%s", rows[i].path);
        if (!is)
            continue;
        assert_true(slice_eq(a.account, slice_str(rows[i].account)));
        assert_true(slice_eq(a.blob, slice_str(rows[i].blob)));
        assert_true(slice_eq(a.name, slice_str(rows[i].name)));
    }
}

static void refuses_identifiers_that_are_too_long(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    struct ask_path a;
    buf_adds(&b, SLICE("/jmap/upload/"));
    memset(buf_room(&b, 255), 'a', 255);
    assert_true(web_ask_route(buf_slice(&b), &a));
    buf_addc(&b, 'a');
    assert_false(web_ask_route(buf_slice(&b), &a));
}

static void decodes_escapes(void **)
{
    static const struct {
        const char *escaped, *text; /* NULL: broken */
    } rows[] = {{"", ""},     {"a+b", "a+b"}, {"%41%6a", "Aj"}, {"%C3%A4", "\xc3\xa4"}, {"%", NULL},
                {"%4", NULL}, {"a%4", NULL},  {"%zz", NULL},    {"0123456789", NULL}};
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(8);
        bool is = web_ask_decode(slice_str(rows[i].escaped), &b);
        if (is != (rows[i].text != NULL) || (is && strcmp(buf_cstr(&b), rows[i].text) != 0))
            fail_msg("%s", rows[i].escaped);
    }
    assert_true(slice_eq(web_ask_query(SLICE("a=1&b=2&b=3&c"), "b"), SLICE("2")));
    assert_int_equal(web_ask_query(SLICE("ab=1&c"), "b").n, 0);
    assert_int_equal(web_ask_query(SLICE("ab=1&c"), "c").n, 0);
}

static void reads_what_an_event_stream_is_for(void **)
{
    static const struct {
        const char *query;
        bool is_good;
        const char *types;
        bool closes;
        unsigned ping;
    } rows[] = {
        {"", true, "", false, 0},
        {"types=*&closeafter=no&ping=0", true, "", false, 0},
        {"types=%2A&closeafter=state&ping=30", true, "", true, 30},
        {"types=Email,Mailbox&ping=1", true, "Email,Mailbox", false, 5},
        {"types=Email%2CMailbox&ping=99999999999", true, "Email,Mailbox", false, 300},
        {"ping=300", true, "", false, 300},
        {"ping=-1", false, "", false, 0},
        {"ping=x", false, "", false, 0},
        {"ping=%", false, "", false, 0},
        {"ping=99999999999999999999999", false, "", false, 0},
        {"closeafter=now", false, "", false, 0},
        {"types=Em%0Aail", false, "", false, 0},
        {"types=\"", false, "", false, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct ask_watch w = {};
        if (web_ask_watch(slice_str(rows[i].query), &w) != rows[i].is_good)
            fail_msg("%s", rows[i].query);
        if (!rows[i].is_good)
            continue;
        assert_string_equal(w.types, rows[i].types);
        assert_int_equal(w.closes_after_state, rows[i].closes);
        assert_int_equal(w.ping, rows[i].ping);
    }
}

static void tells_only_the_types_that_are_wanted(void **)
{
#define BOTH                                                                                       \
    "{\"@type\":\"StateChange\",\n\"changed\":{\"A1\":{\"Email\":\"5\",\"Mailbox\":\"6\"},"        \
    "\"A2\":{\"Thread\":\"7\"}}}"
#define SAID(changed) "{\"@type\":\"StateChange\",\"changed\":" changed "}"
    static const struct {
        const char *state, *types, *told; /* NULL: nothing */
        bool is_nonsense;
    } rows[] = {
        {BOTH, "", SAID("{\"A1\":{\"Email\":\"5\",\"Mailbox\":\"6\"},\"A2\":{\"Thread\":\"7\"}}"),
         false},
        {BOTH, "Mailbox", SAID("{\"A1\":{\"Mailbox\":\"6\"}}"), false},
        {BOTH, "Quota,Thread", SAID("{\"A2\":{\"Thread\":\"7\"}}"), false},
        {BOTH, "Mail", NULL, false},
        {SAID("{}"), "", NULL, false},
        {SAID("{\"A\":{}}"), "", NULL, false},
        {SAID("{\"A\":5}"), "", NULL, true},
        {SAID("[]"), "", NULL, true},
        {"{\"changed\":5}", "", NULL, true},
        {"[]", "", NULL, true},
        {"", "", NULL, true},
        {"{\"changed\":{}", "", NULL, true},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(2000);
        bool is_nonsense;
        bool is = web_ask_filter(slice_str(rows[i].state), rows[i].types, &b, &is_nonsense);
        if (is != (rows[i].told != NULL) || is_nonsense != rows[i].is_nonsense ||
            (is && strcmp(buf_cstr(&b), rows[i].told) != 0))
            fail_msg("%s for %s: %s", rows[i].state, rows[i].types, buf_cstr(&b));
    }
}

static void reads_by_which_name_it_is_called(void **)
{
    static const struct {
        const char *host, *text; /* NULL: no such thing */
    } rows[] = {
        {"Mail.Example.Test", "mail.example.test"},
        {"localhost:8443", "localhost:8443"},
        {"192.0.2.1", "192.0.2.1"},
        {"[2001:DB8::1]:443", "[2001:db8::1]:443"},
        {"[::1]", "[::1]"},
        {"", NULL},
        {"a b", NULL},
        {"a/b", NULL},
        {"a@b", NULL},
        {"a\r\nSet-Cookie: x", NULL},
        {".a", NULL},
        {"-a", NULL},
        {"a:", NULL},
        {"a:0", NULL},
        {"a:65536", NULL},
        {"a:x", NULL},
        {"[::1", NULL},
        {"[::1]x", NULL},
        {"[::1]:", NULL},
        {"[127.0.0.1]", NULL},
        {"[]", NULL},
        {"a\"b", NULL},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(300);
        bool is = web_ask_host(slice_str(rows[i].host), &b);
        if (is != (rows[i].text != NULL) || (is && strcmp(buf_cstr(&b), rows[i].text) != 0))
            fail_msg("%s", rows[i].host);
    }
}

static void finds_its_own_cookie(void **)
{
    static const struct {
        const char *header, *value;
    } rows[] = {
        {"__Host-s=abc", "abc"},
        {"a=b; __Host-s=abc; c=d", "abc"},
        {"a=b;__Host-s=a=b", "a=b"},
        {"x__Host-s=abc", ""},
        {"__Host-s", ""},
        {"", ""},
        {"__Host-s=one; __Host-s=two", "one"},
        {"__host-s=abc", ""},
    };
    for (size_t i = 0; i < N(rows); i++)
        if (!slice_eq(web_ask_cookie(slice_str(rows[i].header), "__Host-s"),
                      slice_str(rows[i].value)))
            fail_msg("%s", rows[i].header);
    assert_true(web_ask_cookie_is_clean(SLICE("aZ09-_.~+/=")));
    assert_false(web_ask_cookie_is_clean(SLICE("")));
    assert_false(web_ask_cookie_is_clean(SLICE("a;b")));
    assert_false(web_ask_cookie_is_clean(SLICE("a b")));
    assert_false(web_ask_cookie_is_clean(SLICE("a\r\nb")));
}

static void believes_proxies_only(void **)
{
    struct web_people p = {.n_proxies = 2};
    static const struct {
        const char *peer, *forwarded, *client;
    } rows[] = {
        {"192.0.2.9", "198.51.100.1", "192.0.2.9"},
        {"10.0.0.1", "198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
        {"10.0.0.1", "198.51.100.1,10.0.0.2,  10.0.0.3", "198.51.100.1"},
        {"10.0.0.1", "2001:db8::7", "2001:db8::7"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "unknown", "10.0.0.1"},
        {"10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", ",,,", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"},
    };
    assert_true(net_network_parse(SLICE("10.0.0.0/8"), &p.proxies[0]));
    assert_true(net_network_parse(SLICE("fd00::/8"), &p.proxies[1]));
    for (size_t i = 0; i < N(rows); i++) {
        struct sockaddr_storage peer, client;
        char text[64];
        assert_true(net_address_parse(slice_str(rows[i].peer), 0, &peer));
        client = web_ask_client(&p, slice_str(rows[i].forwarded), &peer);
        net_address_text(&client, text);
        assert_string_equal(text, rows[i].client);
    }
}

static void judges_types(void **)
{
    static const struct {
        const char *type;
        bool is_valid, is_harmless;
    } rows[] = {
        {"text/plain", true, true},
        {"text/plain; charset=utf-8", true, true},
        {"IMAGE/PNG", true, true},
        {"application/pdf", true, true},
        {"text/html", true, false},
        {"image/svg+xml", true, false},
        {"application/xhtml+xml", true, false},
        {"text/xml", true, false},
        {"application/vnd.oasis.opendocument.text", true, false},
        {"text/plain; charset=\"utf-8\"", false, true},
        {"text/plain; name=x", false, true},
        {"text/plain;", false, true},
        {"text", false, false},
        {"text/", false, false},
        {"/plain", false, false},
        {"text/pl ain", false, false},
        {"text/plain\r\nX: y", false, false},
        {"text/plain\r", false, true},
        {"\ttext/plain", false, true},
        {"*/*", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < N(rows); i++) {
        if (web_ask_type_is_valid(slice_str(rows[i].type)) != rows[i].is_valid)
            fail_msg("valid: %s", rows[i].type);
        if (web_ask_type_is_harmless(slice_str(rows[i].type)) != rows[i].is_harmless)
            fail_msg("harmless: %s", rows[i].type);
    }
}

static void writes_names_of_files_that_lead_nowhere(void **)
{
    static const struct {
        const char *name, *ascii, *extended;
    } rows[] = {
        {"a b.pdf", "a b.pdf", "a%20b.pdf"},
        {"", "download", "download"},
        {"B\xc3\xa4r.txt", "B_r.txt", "B%C3%A4r.txt"},
        {"\xe2\x82\xac", "_", "%E2%82%AC"},
        {"../../etc/passwd", "_._.._etc_passwd", "_._.._etc_passwd"},
        {".bashrc", "_bashrc", "_bashrc"},
        {"a\"; x=\"b", "a_; x=_b", "a_%3B%20x%3D_b"},
        {"a\r\nX: y", "a__X_ y", "a__X_%20y"},
        {"C:\\x", "C__x", "C__x"},
        {"100%41", "100_41", "100%2541"},
        {"a\xff\xc3", "a__", "a__"},
        {"a\xed\xa0\x80", "a___", "a___"},
        {"a\xc0\xaf"
         "b",
         "a__b", "a__b"},
        {"\xe2\x80\xaetxt.exe", "_txt.exe", "_txt.exe"},
        {"\xc2\x85x", "_x", "_x"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(2000);
        SCOPED(buf_finish) struct buf expected = buf_make(2000);
        web_ask_disposition(true, slice_str(rows[i].name), &b);
        buf_addf(&expected, "attachment; filename=\"%s\"; filename*=UTF-8''%s", rows[i].ascii,
                 rows[i].extended);
        assert_string_equal(buf_cstr(&b), buf_cstr(&expected));
    }
    SCOPED(buf_finish) struct buf name = buf_make(5000), b = buf_make(5000);
    memset(buf_room(&name, 4000), 'x', 4000);
    web_ask_disposition(false, buf_slice(&name), &b);
    assert_true(b.n < 600 && !b.failed);
    assert_true(slice_starts(buf_slice(&b), SLICE("inline; ")));
}

static void cuts_parts_out_and_decodes_them(void **)
{
    static const struct {
        const char *bytes;
        struct ipc_step steps[3];
        size_t n;
        const char *part; /* NULL: impossible */
    } rows[] = {
        {"whole", {}, 0, "whole"},
        {"a part of it", {{2, 4, 'n'}}, 1, "part"},
        {"SGFsbG8=", {{0, 8, 'b'}}, 1, "Hallo"},
        {"SGFs\r\nbG8=", {{0, 10, 'b'}}, 1, "Hallo"},
        {"SGF*s-bG8", {{0, 9, 'b'}}, 1, "Hallo"},
        {"SGE=SGE=", {{0, 8, 'b'}}, 1, "HaHa"},
        {"SGFsbG8", {{0, 7, 'b'}}, 1, "Hallo"},
        {"S", {{0, 1, 'b'}}, 1, ""},
        {"====", {{0, 4, 'b'}}, 1, ""},
        {"a=3Db=\r\nc", {{0, 9, 'q'}}, 1, "a=bc"},
        {"a=3db = \nc", {{0, 10, 'q'}}, 1, "a=b c"},
        {"a  \t\r\nb \n c", {{0, 11, 'q'}}, 1, "a\r\nb\n c"},
        {"end  ", {{0, 5, 'q'}}, 1, "end"},
        {"a=", {{0, 2, 'q'}}, 1, "a"},
        {"a=4", {{0, 3, 'q'}}, 1, "a=4"},
        {"a=zz=", {{0, 5, 'q'}}, 1, "a=zz"},
        {"xxU0dGc2JHOD0=yy", {{2, 12, 'b'}, {0, 8, 'b'}}, 2, "Hallo"},
        {"xxU0dGc2JHOD0=yy", {{2, 12, 'b'}, {0, 8, 'b'}, {1, 2, 'n'}}, 3, "al"},
        {"SGFsbG8=", {{0, 9, 'b'}}, 1, NULL},
        {"SGFsbG8=", {{9, 0, 'b'}}, 1, NULL},
        {"SGFsbG8=", {{8, 0, 'n'}}, 1, ""},
        {"SGFsbG8=", {{1, UINT32_MAX, 'n'}}, 1, NULL},
        {"SGFsbG8=", {{0, 8, 'b'}, {0, 6, 'n'}}, 2, NULL},
        {"SGFsbG8=", {{0, 8, 'x'}}, 1, NULL},
    };
    for (size_t i = 0; i < N(rows); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(100);
        struct slice part;
        buf_adds(&b, slice_str(rows[i].bytes));
        bool is = web_ask_cut(b.p, b.n, rows[i].steps, rows[i].n, &part);
        if (is != (rows[i].part != NULL) || (is && !slice_eq(part, slice_str(rows[i].part))))
            fail_msg("%zu: %s: " SLICE_FMT, i, rows[i].bytes, SLICE_ARG(part));
    }
    struct slice none;
    assert_true(web_ask_cut(NULL, 0, NULL, 0, &none));
    const struct ipc_step empty = {0, 0, 'b'};
    assert_true(web_ask_cut(NULL, 0, &empty, 1, &none));
    assert_int_equal(none.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_paths_and_no_others),
        cmocka_unit_test(refuses_identifiers_that_are_too_long),
        cmocka_unit_test(decodes_escapes),
        cmocka_unit_test(reads_what_an_event_stream_is_for),
        cmocka_unit_test(tells_only_the_types_that_are_wanted),
        cmocka_unit_test(reads_by_which_name_it_is_called),
        cmocka_unit_test(finds_its_own_cookie),
        cmocka_unit_test(believes_proxies_only),
        cmocka_unit_test(judges_types),
        cmocka_unit_test(writes_names_of_files_that_lead_nowhere),
        cmocka_unit_test(cuts_parts_out_and_decodes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
