/* Messages as JMAP sees them: header forms, parts, bodies. */
#include "email/email.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "email/test/email_test.h"

/* One property of a message that has this header. */
static void check_property(const char *message, const char *property, const char *expected)
{
    char args[400];
    snprintf(args, sizeof(args), "{'properties':['%s']}", property);
    json_t *got = render(message, args);
    assert_int_equal(json_object_size(got), 1);
    check_json(json_object_get(got, property), expected, property);
    json_decref(got);
}

static void header_fields_have_the_forms_of_the_rfc(void **)
{
    static const struct {
        const char *header, *property, *json;
    } cases[] = {
        {"X: a\nx: b\n", "header:X", "' b'"},
        {"X: a\nx: b\n", "header:x:all", "[' a',' b']"},
        {"X: a\n", "header:Y", "null"},
        {"X: a\n", "header:Y:all", "[]"},
        {"X:  a\n\tb\n", "header:X", "'  a\\n\\tb'"},
        {"X: a\xff\xc3\xa9\n", "header:X:asRaw", "' a\\ufffd\xc3\xa9'"},
        {"X: =?utf-8?q?caf=C3=A9?=\n b\n", "header:X:asText", "'caf\xc3\xa9 b'"},
        {"Subject: one\nSubject: two\n", "subject", "'two'"},
        {"Subject:\n", "subject", "''"},
        {"Subject: =?utf-8?q?cafe=CC=81?= \xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\n", "subject",
         "'caf\xc3\xa9 \xed\x95\x9c'"},
        {"From: =?utf-8?q?Jo=CC=88?= <a@b>\n", "from", "[{'name':'J\xc3\xb6','email':'a@b'}]"},
        {"From: a\n", "subject", "null"},
        {"Subject: x=?utf-8?q?a?=\n", "subject", "'x=?utf-8?q?a?='"},
        {"From: Joe <a@x.example>, b@x.example (Bea)\n", "from",
         "[{'name':'Joe','email':'a@x.example'},{'name':'Bea','email':'b@x.example'}]"},
        {"From: \"a b\"@x.example\n", "from", "[{'name':null,'email':'\\\"a b\\\"@x.example'}]"},
        {"From: joe\n", "from", "[{'name':null,'email':'joe'}]"},
        {"From: \n", "from", "[]"},
        {"To: a@x.example, G: b@x.example, c@x.example;, E:;, d@x.example\n", "to",
         "[{'name':null,'email':'a@x.example'},{'name':null,'email':'b@x.example'},"
         "{'name':null,'email':'c@x.example'},{'name':null,'email':'d@x.example'}]"},
        {"To: a@x.example, G: b@x.example;, G: c@x.example;, E:;, d@x.example\n",
         "header:To:asGroupedAddresses",
         "[{'name':null,'addresses':[{'name':null,'email':'a@x.example'}]},"
         "{'name':'G','addresses':[{'name':null,'email':'b@x.example'}]},"
         "{'name':'G','addresses':[{'name':null,'email':'c@x.example'}]},"
         "{'name':'E','addresses':[]},"
         "{'name':null,'addresses':[{'name':null,'email':'d@x.example'}]}]"},
        {"To: =?utf-8?q?G_=C3=A9?=: =?utf-8?b?SsO2?= <j@x.example>, b@x.example "
         "(=?utf-8?q?=C3=A0?=);\n",
         "header:To:asGroupedAddresses",
         "[{'name':'G \xc3\xa9','addresses':[{'name':'J\xc3\xb6','email':'j@x.example'},"
         "{'name':'\xc3\xa0','email':'b@x.example'}]}]"},
        {"To: =?utf-8?q?G_=C3=A9?=: =?utf-8?b?SsO2?= <j@x.example>;\n", "to",
         "[{'name':'J\xc3\xb6','email':'j@x.example'}]"},
        {"To: \n", "header:To:asGroupedAddresses", "[]"},
        {"To: undisclosed-recipients:;\n", "to", "[]"},
        {"Message-ID: <a@b>\n", "messageId", "['a@b']"},
        {"References: <a@b> <c@d>\n <e@f>\n", "references", "['a@b','c@d','e@f']"},
        {"In-Reply-To: your mail of today\n", "inReplyTo", "null"},
        {"Date: Sat, 21 Nov 2026 21:40:07 -0730\n", "sentAt", "'2026-11-21T21:40:07-07:30'"},
        {"Date: Sat, 21 Nov 2026 21:40:07 +0000\n", "sentAt", "'2026-11-21T21:40:07Z'"},
        {"Date: 1 Jan 1960 00:00:01 +0100\n", "sentAt", "'1960-01-01T00:00:01+01:00'"},
        {"Date: soon\n", "sentAt", "null"},
        {"List-Post: NO (closed <http://no>)\n", "header:List-Post:asURLs", "null"},
        {"List-Help: (a) <mailto:x@y\n z>, <http://h>\n", "header:List-Help:asURLs",
         "['mailto:x@yz','http://h']"},
        {"A: 1\nbroken line\nB: \"2\"\n", "headers",
         "[{'name':'A','value':' 1'},{'name':'B','value':' \\\"2\\\"'}]"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char message[2000];
        snprintf(message, sizeof(message), "%s\nbody\n", cases[i].header);
        check_property(message, cases[i].property, cases[i].json);
    }
}

static void nul_and_control_characters_make_no_broken_json(void **)
{
    static const char MESSAGE[] = "X: a\0b\x01\nSubject: a\0b\n\nx\0y\x02";
    json_t *got = render_slice(slice_of(MESSAGE, sizeof(MESSAGE) - 1),
                               "{'properties':['header:X','subject','bodyValues'],"
                               "'fetchAllBodyValues':true}");
    check_json(json_object_get(got, "header:X"), "' ab\\u0001'", "raw");
    check_json(json_object_get(got, "subject"), "'ab'", "text");
    check_json(json_object_get(json_object_get(json_object_get(got, "bodyValues"), "1"), "value"),
               "'x\\ufffdy\\u0002'", "body");
    json_decref(got);
}

/* The example of RFC 8621 section 4.1.4; each part says its letter in Content-ID. */
static const char EXAMPLE[] =
    "Content-Type: multipart/mixed; boundary=1\n\n"
    "--1\nContent-Type: text/plain\nContent-Disposition: inline\nContent-ID: <A>\n\na\n"
    "--1\nContent-Type: multipart/mixed; boundary=2\n\n"
    "--2\nContent-Type: multipart/alternative; boundary=3\n\n"
    "--3\nContent-Type: multipart/mixed; boundary=4\n\n"
    "--4\nContent-Type: text/plain\nContent-Disposition: inline\nContent-ID: <B>\n\nb\n"
    "--4\nContent-Type: image/jpeg\nContent-Disposition: inline\nContent-ID: <C>\n\nc\n"
    "--4\nContent-Type: text/plain\nContent-Disposition: inline\nContent-ID: <D>\n\nd\n"
    "--4--\n"
    "--3\nContent-Type: multipart/related; boundary=5\n\n"
    "--5\nContent-Type: text/html\nContent-ID: <E>\n\ne\n"
    "--5\nContent-Type: image/jpeg\nContent-ID: <F>\n\nf\n"
    "--5--\n"
    "--3--\n"
    "--2\nContent-Type: image/jpeg\nContent-Disposition: attachment\nContent-ID: <G>\n\ng\n"
    "--2\nContent-Type: application/x-excel\nContent-ID: <H>\n\nh\n"
    "--2\nContent-Type: message/rfc822\nContent-ID: <J>\n\nSubject: j\n\nj\n"
    "--2--\n"
    "--1\nContent-Type: text/plain\nContent-Disposition: inline\nContent-ID: <K>\n\nk\n"
    "--1--\n";

static void the_example_of_the_rfc_has_its_lists(void **)
{
    json_t *got = render(EXAMPLE, "{'properties':['textBody','htmlBody','attachments',"
                                  "'hasAttachment'],'bodyProperties':['cid']}");
    check_json(got,
               "{'textBody':[{'cid':'A'},{'cid':'B'},{'cid':'C'},{'cid':'D'},{'cid':'K'}],"
               "'htmlBody':[{'cid':'A'},{'cid':'E'},{'cid':'K'}],"
               "'attachments':[{'cid':'C'},{'cid':'F'},{'cid':'G'},{'cid':'H'},{'cid':'J'}],"
               "'hasAttachment':true}",
               "lists");
    json_decref(got);
}

static void the_structure_nests_and_messages_are_leaves(void **)
{
    json_t *got = render(EXAMPLE, "{'properties':['bodyStructure'],"
                                  "'bodyProperties':['type','partId','subParts']}");
    check_json(json_object_get(got, "bodyStructure"),
               "{'type':'multipart/mixed','partId':null,'subParts':["
               "{'type':'text/plain','partId':'2','subParts':null},"
               "{'type':'multipart/mixed','partId':null,'subParts':["
               "{'type':'multipart/alternative','partId':null,'subParts':["
               "{'type':'multipart/mixed','partId':null,'subParts':["
               "{'type':'text/plain','partId':'6','subParts':null},"
               "{'type':'image/jpeg','partId':'7','subParts':null},"
               "{'type':'text/plain','partId':'8','subParts':null}]},"
               "{'type':'multipart/related','partId':null,'subParts':["
               "{'type':'text/html','partId':'10','subParts':null},"
               "{'type':'image/jpeg','partId':'11','subParts':null}]}]},"
               "{'type':'image/jpeg','partId':'12','subParts':null},"
               "{'type':'application/x-excel','partId':'13','subParts':null},"
               "{'type':'message/rfc822','partId':'14','subParts':null}]},"
               "{'type':'text/plain','partId':'16','subParts':null}]}",
               "structure");
    json_decref(got);
}

/* The usual properties of a part do not have subParts; without them there would be no structure. */
static void the_structure_is_whole_when_no_properties_of_parts_are_named(void **)
{
    static const char MESSAGE[] = "Content-Type: multipart/mixed; boundary=1\n\n"
                                  "--1\nContent-Type: multipart/alternative; boundary=2\n\n"
                                  "--2\nContent-Type: text/plain\n\na\n--2--\n"
                                  "--1\nContent-Type: message/rfc822\n\nSubject: j\n\nj\n--1--\n";
    json_t *got = render(MESSAGE, "{'properties':['bodyStructure','textBody']}");
    json_t *top = json_object_get(got, "bodyStructure"), *parts = json_object_get(top, "subParts");
    assert_int_equal(json_object_size(top), 11);
    assert_int_equal(json_array_size(parts), 2);
    json_t *inner = json_object_get(json_array_get(parts, 0), "subParts");
    check_json(json_object_get(json_array_get(inner, 0), "partId"), "'3'", "partId");
    assert_int_equal(json_object_size(json_array_get(inner, 0)), 10);
    assert_int_equal(json_object_size(json_array_get(parts, 1)), 10);
    json_decref(got);
    got = render(MESSAGE, "{'properties':['bodyStructure'],'bodyProperties':['type']}");
    check_json(json_object_get(got, "bodyStructure"), "{'type':'multipart/mixed'}", "named");
    json_decref(got);
}

static void lists_follow_the_algorithm_in_its_corners(void **)
{
    static const struct {
        const char *what, *message, *json;
    } cases[] = {
        {"HTML only", "Content-Type: text/html\n\nx", "{'t':['1'],'h':['1'],'a':[],'has':false}"},
        {"HTML only in an alternative",
         "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\nx\n"
         "--b--\n",
         "{'t':['2'],'h':['2'],'a':[],'has':false}"},
        {"calendar in an alternative",
         "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nx\n--b\n"
         "Content-Type: text/calendar\n\nx\n--b--\n",
         "{'t':['2'],'h':['2'],'a':['3'],'has':true}"},
        {"a named text that is not the first",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n"
         "Content-Type: text/plain; name=n.txt\n\nx\n--b--\n",
         "{'t':['2'],'h':['2'],'a':['3'],'has':true}"},
        {"a named text that is the first",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
         "Content-Type: text/plain; name=n.txt\n\nx\n--b--\n",
         "{'t':['2'],'h':['2'],'a':[],'has':false}"},
        {"an unknown disposition is no attachment",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
         "Content-Disposition: FORM-data (x); name=y\n\nx\n--b--\n",
         "{'t':['2'],'h':['2'],'a':[],'has':false}"},
        {"a signature is for programs",
         "Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n"
         "Content-Type: application/pgp-signature\n\nx\n--b--\n",
         "{'t':['2'],'h':['2'],'a':['3'],'has':false}"},
        {"a multipart without parts is text", "Content-Type: multipart/mixed; boundary=b\n\nx\n",
         "{'t':['1'],'h':['1'],'a':[],'has':false}"},
        {"an attachment alone", "Content-Type: application/pdf; name=x.pdf\n\nx",
         "{'t':[],'h':[],'a':['1'],'has':true}"},
        {"an attachment that says inline",
         "Content-Type: application/pdf\nContent-Disposition: inline\n\nx",
         "{'t':[],'h':[],'a':['1'],'has':false}"},
        {"alternatives in alternatives",
         "Content-Type: multipart/alternative; boundary=a\n\n"
         "--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n"
         "--b\nContent-Type: multipart/alternative; boundary=c\n\n"
         "--c\nContent-Type: text/html\n\nx\n--c--\n--b--\n--a--\n",
         "{'t':['3'],'h':['3'],'a':[],'has':false}"},
    };
    static const char *const LISTS[][2] = {
        {"t", "textBody"}, {"h", "htmlBody"}, {"a", "attachments"}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        json_t *got = render(cases[i].message,
                             "{'properties':['textBody','htmlBody','attachments','hasAttachment'],"
                             "'bodyProperties':['partId']}");
        json_t *brief = json_object();
        for (size_t k = 0; k < 3; k++) {
            json_t *ids = json_array(), *part;
            size_t at;
            json_array_foreach(json_object_get(got, LISTS[k][1]), at, part)
                json_array_append(ids, json_object_get(part, "partId"));
            json_object_set_new(brief, LISTS[k][0], ids);
        }
        json_object_set(brief, "has", json_object_get(got, "hasAttachment"));
        check_json(brief, cases[i].json, cases[i].what);
        json_decref(brief);
        json_decref(got);
    }
}

static void a_part_has_its_properties(void **)
{
    static const char MESSAGE[] =
        "Content-Type: multipart/mixed; boundary=b\n\n"
        "--b\nContent-Type: Text/Plain; charset=ISO-8859-1\nContent-Transfer-Encoding: base64\n"
        "Content-Disposition: Attachment; filename*=utf-8''caf%C3%A9.txt\n"
        "Content-Language: de, (a comment) en\nContent-Location: http://x/\n y\n"
        "Content-ID: <i@d>\nX-Y: 1\n\n6Q==\n"
        "--b\nContent-Type: application/pdf\n\nx\n--b--\n";
    json_t *got = render(MESSAGE, "{'properties':['attachments']}");
    check_json(json_object_get(got, "attachments"),
               "[{'partId':'2','blobId':'Maaaaaaaaaaaab-284-4-b','size':1,"
               "'name':'caf\xc3\xa9.txt','type':'text/plain','charset':'ISO-8859-1',"
               "'disposition':'attachment','cid':'i@d','language':['de','en'],"
               "'location':'http://x/y'},"
               "{'partId':'3','blobId':'Maaaaaaaaaaaab-324-1-n','size':1,'name':null,"
               "'type':'application/pdf','charset':null,'disposition':null,'cid':null,"
               "'language':null,'location':null}]",
               "attachments");
    json_decref(got);
    got = render(MESSAGE, "{'properties':['attachments'],'bodyProperties':['header:X-Y:asText',"
                          "'header:content-id:all','headers']}");
    json_t *first = json_array_get(json_object_get(got, "attachments"), 0);
    assert_int_equal(json_array_size(json_object_get(first, "headers")), 7);
    check_json(json_object_get(first, "header:X-Y:asText"), "'1'", "field");
    check_json(json_object_get(first, "header:content-id:all"), "[' <i@d>']", "fields");
    json_decref(got);
}

static void blob_ids_lead_to_the_bytes_of_their_part(void **)
{
    json_t *got = render(EXAMPLE, "{'properties':['attachments'],'bodyProperties':['blobId']}");
    SCOPED(buf_finish) struct buf out = buf_make(1000);
    struct email_blob blob;
    const char *expected[] = {"c", "f", "g", "h", "Subject: j\n\nj"};
    for (size_t i = 0; i < N_OF(expected); i++) {
        json_t *part = json_array_get(json_object_get(got, "attachments"), i);
        const char *id = json_string_value(json_object_get(part, "blobId"));
        assert_true(email_blob_parse(slice_str(id), &blob));
        buf_clear(&out);
        assert_int_equal(email_blob_decode(slice_str(EXAMPLE), blob.steps, blob.n_steps, &out),
                         ERR_OK);
        assert_string_equal(buf_cstr(&out), expected[i]);
    }
    json_decref(got);
}

static void values_are_decoded_and_cut_at_a_character(void **)
{
    static const struct {
        const char *message, *args, *json;
    } cases[] = {
        {"Content-Type: text/plain; charset=utf-8\n\na\r\nb\rc\n", "",
         "{'value':'a\\nb\\rc\\n','isEncodingProblem':false,'isTruncated':false}"},
        {"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: "
         "quoted-printable\n\n=E9=\n!",
         "", "{'value':'\xc3\xa9!','isEncodingProblem':false,'isTruncated':false}"},
        {"Content-Type: text/plain; charset=utf-8\n\na\xff", "",
         "{'value':'a\\ufffd','isEncodingProblem':true,'isTruncated':false}"},
        {"Content-Type: text/plain; charset=x-never\n\na", "",
         "{'value':'a','isEncodingProblem':true,'isTruncated':false}"},
        {"Content-Transfer-Encoding: uuencode\n\na", "",
         "{'value':'a','isEncodingProblem':true,'isTruncated':false}"},
        {"Content-Type: text/plain; charset=utf-8\n\na\xc3\xa9z", ",'maxBodyValueBytes':2",
         "{'value':'a','isEncodingProblem':false,'isTruncated':true}"},
        {"\nabc", ",'maxBodyValueBytes':3",
         "{'value':'abc','isEncodingProblem':false,'isTruncated':false}"},
        {"Content-Type: text/html\n\nab<a href='>'>c", ",'maxBodyValueBytes':12",
         "{'value':'ab','isEncodingProblem':false,'isTruncated':true}"},
        {"Content-Type: text/html\n\na < b <", ",'maxBodyValueBytes':6",
         "{'value':'a < b ','isEncodingProblem':false,'isTruncated':true}"},
        {"Content-Type: text/html\n\n<b>a</b>", ",'maxBodyValueBytes':4",
         "{'value':'<b>a','isEncodingProblem':false,'isTruncated':true}"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char args[200];
        snprintf(args, sizeof(args), "{'properties':['bodyValues'],'fetchAllBodyValues':true%s}",
                 cases[i].args);
        json_t *got = render(cases[i].message, args);
        check_json(json_object_get(json_object_get(got, "bodyValues"), "1"), cases[i].json,
                   cases[i].message);
        json_decref(got);
    }
}

static void only_the_values_that_are_asked_for_come(void **)
{
    static const char MESSAGE[] =
        "Content-Type: multipart/mixed; boundary=a\n\n"
        "--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nt\n"
        "--b\nContent-Type: text/html\n\nh\n--b--\n"
        "--a\nContent-Type: text/csv\n\nc\n--a\nContent-Type: image/png\n\nc\n--a--\n";
    static const struct {
        const char *args, *keys;
    } cases[] = {
        {"", "[]"},
        {",'fetchTextBodyValues':true", "['3']"},
        {",'fetchHTMLBodyValues':true", "['4']"},
        {",'fetchTextBodyValues':true,'fetchHTMLBodyValues':true", "['3','4']"},
        {",'fetchAllBodyValues':true", "['3','4','5']"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char args[200];
        snprintf(args, sizeof(args), "{'properties':['bodyValues']%s}", cases[i].args);
        json_t *got = render(MESSAGE, args), *keys = json_array(), *value;
        const char *key;
        json_object_foreach(json_object_get(got, "bodyValues"), key, value)
            json_array_append_new(keys, json_string(key));
        check_json(keys, cases[i].keys, cases[i].args);
        json_decref(keys);
        json_decref(got);
    }
}

static void a_body_that_does_not_fit_is_cut_and_the_rest_is_there(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf m = buf_make(1 << 20);
    struct email_want want;
    struct errinfo ei;
    json_t *args = json_of("{'properties':['bodyValues','subject'],'fetchAllBodyValues':true}");
    assert_int_equal(email_want_parse(args, EMAIL_CALL_GET, a, &want, &ei), ERR_OK);
    buf_addf(&m, "Subject: s\n\n");
    for (int i = 0; i < 10000; i++)
        buf_addf(&m, "\x01\xc3\xa9\"");
    for (size_t max = 1; max < 3000; max += max < 400 ? 1 : 97) {
        SCOPED(buf_finish) struct buf out = buf_make(max);
        enum err err = email_render(buf_slice(&m), SLICE(""), &want, &out, &ei);
        assert_true(err == ERR_OK || (err == ERR_LIMIT && max < 400));
        json_t *got = err == ERR_OK ? json_loadb(out.p, out.n, 0, NULL) : NULL;
        assert_true(err == ERR_LIMIT || got);
        if (got)
            check_json(json_object_get(got, "subject"), "'s'", "subject");
        json_t *value = json_object_get(json_object_get(got, "bodyValues"), "1");
        assert_true(!got || json_is_true(json_object_get(value, "isTruncated")));
        json_decref(got);
    }
    json_decref(args);
}

static void the_usual_properties_of_email_get_are_all_there(void **)
{
    json_t *got = render("Subject: s\n\nhello\n", "{}");
    check_json(got,
               "{'messageId':null,'inReplyTo':null,'references':null,'sender':null,'from':null,"
               "'to':null,'cc':null,'bcc':null,'replyTo':null,'subject':'s','sentAt':null,"
               "'hasAttachment':false,'preview':'hello','bodyValues':{},"
               "'textBody':[{'partId':'1','blobId':'Maaaaaaaaaaaab-12-6-n','size':6,'name':null,"
               "'type':'text/plain','charset':'us-ascii','disposition':null,'cid':null,"
               "'language':null,'location':null}],"
               "'htmlBody':[{'partId':'1','blobId':'Maaaaaaaaaaaab-12-6-n','size':6,'name':null,"
               "'type':'text/plain','charset':'us-ascii','disposition':null,'cid':null,"
               "'language':null,'location':null}],"
               "'attachments':[]}",
               "usual");
    json_decref(got);
}

static void search_text_has_the_names_of_attachments(void **)
{
    SCOPED(buf_finish) struct buf text = buf_make(100);
    email_text(SLICE("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsome  words\n"
                     "--b\nContent-Type: application/pdf; name=\"the plan.pdf\"\n\nx\n--b--\n"),
               &text);
    assert_string_equal(buf_cstr(&text), "some words the plan.pdf");
    /* Words in tags that people are shown are found, and are no preview. */
    static const char HTML[] = "Content-Type: text/html\n\n<img alt='a cat'>x";
    buf_clear(&text);
    email_text(slice_str(HTML), &text);
    assert_string_equal(buf_cstr(&text), "a cat x");
    json_t *got = render(HTML, "{'properties':['preview']}");
    check_json(got, "{'preview':'x'}", "preview");
    json_decref(got);
    email_text(SLICE(""), &text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_fields_have_the_forms_of_the_rfc),
        cmocka_unit_test(nul_and_control_characters_make_no_broken_json),
        cmocka_unit_test(the_example_of_the_rfc_has_its_lists),
        cmocka_unit_test(the_structure_nests_and_messages_are_leaves),
        cmocka_unit_test(the_structure_is_whole_when_no_properties_of_parts_are_named),
        cmocka_unit_test(lists_follow_the_algorithm_in_its_corners),
        cmocka_unit_test(a_part_has_its_properties),
        cmocka_unit_test(blob_ids_lead_to_the_bytes_of_their_part),
        cmocka_unit_test(values_are_decoded_and_cut_at_a_character),
        cmocka_unit_test(only_the_values_that_are_asked_for_come),
        cmocka_unit_test(a_body_that_does_not_fit_is_cut_and_the_rest_is_there),
        cmocka_unit_test(the_usual_properties_of_email_get_are_all_there),
        cmocka_unit_test(search_text_has_the_names_of_attachments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
