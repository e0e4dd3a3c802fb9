/* A person's JSON becomes a message, and the message the same JSON again. */
#include "email/email.h"

#include "mime/mime.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "email/test/email_test.h"

static const char JPEG[] = "\xff\xd8\xff\x00\x01 picture --=_ \r\n.\r\n";
static const char MESSAGE[] = "Subject: inside\r\n\r\nhello \xc3\xa9\r\n";

static bool find_blob(void *, struct slice id, struct slice *ret)
{
    if (slice_eq(id, SLICE("Ujpeg")))
        *ret = slice_of(JPEG, sizeof(JPEG) - 1);
    else if (slice_eq(id, SLICE("Umessage")))
        *ret = slice_of(MESSAGE, sizeof(MESSAGE) - 1);
    else if (slice_eq(id, SLICE("Uempty")))
        *ret = SLICE("");
    else if (slice_eq(id, SLICE("Utext")))
        *ret = SLICE("a\nb\r\nFrom me\r\n");
    else
        return false;
    return true;
}

static struct arena *memory; /* of the last one: what its fault names */

static bool compose(const json_t *create, size_t max, struct buf *out, struct email_composed *told,
                    struct email_fault *fault)
{
    arena_destroy(&memory);
    memory = arena_create(8 << 20);
    struct email_compose_options o = {.domain = SLICE("node.example"),
                                      .now = 1795297207000,
                                      .random = "0123456789abcdefghij",
                                      .blob = find_blob};
    *out = buf_make(max);
    bool is_good = email_compose(create, &o, memory, out, told, fault);
    assert_true(is_good == (fault->kind == EMAIL_FINE));
    return is_good;
}

/* Every line ends in CRLF and is short enough, no NUL, header in ASCII unless told. */
static void check_wire(struct slice m, const struct email_composed *told)
{
    size_t start = 0, header = mime_split(m).header_len;
    for (size_t i = 0; i < m.n; i++) {
        unsigned char c = (unsigned char)m.p[i];
        assert_true(c != 0);
        assert_true(c < 128 || (i < header ? told->needs_utf8 : told->has_8bit));
        assert_true((c == '\n') == (i > 0 && m.p[i - 1] == '\r'));
        assert_true(c != '\r' || (i + 1 < m.n && m.p[i + 1] == '\n'));
        assert_true(i - start < 1000);
        if (c == '\n')
            start = i + 1;
    }
    assert_int_equal(start, m.n);
}

static json_t *compose_and_render(const char *create, const char *args, struct buf *out)
{
    struct email_composed told;
    struct email_fault fault;
    json_t *v = json_of(create);
    if (!compose(v, 1 << 20, out, &told, &fault))
        fail_msg("%s: %s", create, fault.description);
    json_decref(v);
    check_wire(buf_slice(out), &told);
    return render_slice(buf_slice(out), args);
}

static void header_fields_come_back_as_they_were_set(void **)
{
    static const struct {
        const char *property, *json;
    } cases[] = {
        {"subject", "'hello'"},
        {"subject", "''"},
        {"subject", "'caf\xc3\xa9 au lait'"},
        {"subject", "'two  blanks and a \xf0\x9f\x8e\x89 at the end \xf0\x9f\x8e\x89'"},
        {"subject", "' blanks at the ends '"},
        {"subject", "'=?utf-8?q?not_a_word?='"},
        {"subject", "'a long subject of plain words that needs more than one line since lines of "
                    "a header should have seventy eight letters at most'"},
        {"subject", "'\xd0\x9e\xd1\x87\xd0\xb5\xd0\xbd\xd1\x8c \xd0\xb4\xd0\xbb\xd0\xb8\xd0\xbd"
                    "\xd0\xbd\xd1\x8b\xd0\xb9 \xd0\xb7\xd0\xb0\xd0\xb3\xd0\xbe\xd0\xbb\xd0\xbe"
                    "\xd0\xb2\xd0\xbe\xd0\xba \xd0\xbf\xd0\xb8\xd1\x81\xd1\x8c\xd0\xbc\xd0\xb0'"},
        {"from", "[{'name':'Joe','email':'joe@x.example'}]"},
        {"from", "[{'name':null,'email':'joe@x.example'},{'name':'A B','email':'b@x.example'}]"},
        {"from", "[{'name':'Doe, J. (x)','email':'joe@x.example'}]"},
        {"from", "[{'name':'say \\\"hi\\\" \\\\','email':'joe@x.example'}]"},
        {"from", "[{'name':'J\xc3\xb6rg M\xc3\xbcller, Dr.','email':'joe@x.example'}]"},
        {"from", "[{'name':'=?utf-8?q?x?=','email':'joe@x.example'}]"},
        {"from", "[{'name':null,'email':'\\\"a b\\\"@x.example'}]"},
        {"from", "[{'name':'half','email':'joe'}]"},
        {"from", "[{'name':null,'email':'j\xc3\xb6@x.example'}]"},
        {"to", "[{'name':null,'email':'a@[192.0.2.1]'}]"},
        {"header:To:asGroupedAddresses",
         "[{'name':null,'addresses':[{'name':null,'email':'a@x.example'}]},"
         "{'name':'A Gr\xc3\xb6up','addresses':[{'name':'B','email':'b@x.example'},"
         "{'name':null,'email':'c@x.example'}]},{'name':'Empty','addresses':[]}]"},
        {"messageId", "['a.b@c']"},
        {"references", "['a@b','c@d','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee@f','g@h']"},
        {"sentAt", "'2026-11-21T21:40:07+05:30'"},
        {"sentAt", "'1999-02-28T00:00:00Z'"},
        {"sentAt", "'2024-02-29T23:59:59-11:00'"},
        {"header:X-A", "' raw  value'"},
        {"header:X-A:asText", "'t\xc3\xa4xt'"},
        {"header:X-A:asText:all", "['one','two']"},
        {"header:X-A:all", "[' one','two']"},
        {"header:List-Help:asURLs", "['mailto:a@b?subject=c','https://x/y']"},
        {"header:X-A:asDate", "'2026-11-21T21:40:07Z'"},
        {"header:Comments:asText", "'c'"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char create[1000], args[200];
        SCOPED(buf_finish) struct buf out = {0};
        snprintf(create, sizeof(create), "{'%s':%s}", cases[i].property, cases[i].json);
        snprintf(args, sizeof(args), "{'properties':['%s']}", cases[i].property);
        json_t *got = compose_and_render(create, args, &out);
        check_json(json_object_get(got, cases[i].property), cases[i].json, cases[i].property);
        json_decref(got);
    }
}

static void a_domain_of_other_letters_becomes_an_a_label(void **)
{
    SCOPED(buf_finish) struct buf out = {0};
    json_t *got = compose_and_render("{'from':[{'name':null,'email':'a@b\xc3\xbc"
                                     "cher.example'}]}",
                                     "{'properties':['from']}", &out);
    check_json(got, "{'from':[{'name':null,'email':'a@xn--bcher-kva.example'}]}", "from");
    json_decref(got);
}

#define LONG_LINE                                                                                  \
    "'a line that is longer than what a line should be so that it has to be broken somewhere, "    \
    "softly, and come back whole'"

static void texts_come_back_byte_by_byte(void **)
{
    static const char *const TEXTS[] = {
        "''",
        "'a'",
        "'a\\n'",
        "'\\n\\na\\n\\n'",
        "'From me\\n.\\n..\\n'",
        "'trailing \\t \\nb  '",
        "'caf\xc3\xa9\\n'",
        "'a=b=C3=A9\\n'",
        "'a\\rb\\n'",
        "'\xd0\xbf\xd0\xb8\xd1\x81\xd1\x8c\xd0\xbc\xd0\xb0 \xd0\xbf\xd0\xb8\xd1\x81'",
        LONG_LINE,
        "'--=_x\\n--=_\\n'",
        "'\\u0001\\u007f'",
    };
    for (size_t i = 0; i < N_OF(TEXTS); i++) {
        for (int form = 0; form < 3; form++) {
            char create[1000];
            static const char *const BODIES[] = {
                "'textBody':[{'partId':'x'}]", "'htmlBody':[{'partId':'x','type':'text/html'}]",
                "'textBody':[{'partId':'x'}],'attachments':[{'blobId':'Ujpeg'}]"};
            snprintf(create, sizeof(create), "{'bodyValues':{'x':{'value':%s}},%s}", TEXTS[i],
                     BODIES[form]);
            SCOPED(buf_finish) struct buf out = {0};
            json_t *got = compose_and_render(
                create, "{'properties':['bodyValues'],'fetchTextBodyValues':true}", &out);
            json_t *value = json_object_get(
                json_object_get(json_object_get(got, "bodyValues"), form == 2 ? "2" : "1"),
                "value");
            check_json(value, TEXTS[i], create);
            json_decref(got);
        }
    }
}

static const char ALL[] =
    "{'subject':'s','bodyValues':{'t':{'value':'text'},'h':{'value':'<p>h</p>'}},"
    "'textBody':[{'partId':'t','type':'text/plain','language':['en']}],"
    "'htmlBody':[{'partId':'h','type':'text/html'}],"
    "'attachments':[{'blobId':'Ujpeg','type':'image/jpeg','cid':'i@x','disposition':'inline'},"
    "{'blobId':'Ujpeg','type':'image/jpeg','name':'caf\xc3\xa9 \\\" x.jpg'},"
    "{'blobId':'Umessage','type':'message/rfc822','disposition':'attachment'},"
    "{'blobId':'Utext','type':'text/plain','name':'a very long name of a file so that it has to be "
    "written in several pieces, which is what RFC 2231 is for.txt','location':'http://x/y'},"
    "{'blobId':'Uempty','type':'application/pdf'}]}";

static void texts_pictures_and_attachments_nest_as_they_should(void **)
{
    SCOPED(buf_finish) struct buf out = {0};
    json_t *got = compose_and_render(
        ALL, "{'properties':['bodyStructure'],'bodyProperties':['type','subParts']}", &out);
    check_json(json_object_get(got, "bodyStructure"),
               "{'type':'multipart/mixed','subParts':["
               "{'type':'multipart/alternative','subParts':["
               "{'type':'text/plain','subParts':null},"
               "{'type':'multipart/related','subParts':[{'type':'text/html','subParts':null},"
               "{'type':'image/jpeg','subParts':null}]}]},"
               "{'type':'image/jpeg','subParts':null},{'type':'message/rfc822','subParts':null},"
               "{'type':'text/plain','subParts':null},{'type':'application/pdf','subParts':null}]}",
               "structure");
    json_decref(got);
    got = render_slice(buf_slice(&out),
                       "{'properties':['attachments','textBody'],'bodyProperties':['size','name',"
                       "'disposition','cid','charset','location','language']}");
    check_json(
        got,
        "{'textBody':[{'size':4,'name':null,'disposition':null,'cid':null,'charset':'utf-8',"
        "'location':null,'language':['en']}],'attachments':["
        "{'size':24,'name':null,'disposition':'inline','cid':'i@x','charset':null,"
        "'location':null,'language':null},"
        "{'size':24,'name':'caf\xc3\xa9 \\\" x.jpg','disposition':'attachment','cid':null,"
        "'charset':null,'location':null,'language':null},"
        "{'size':29,'name':null,'disposition':'attachment','cid':null,'charset':null,"
        "'location':null,'language':null},"
        "{'size':14,'name':'a very long name of a file so that it has to be written in several "
        "pieces, which is what RFC 2231 is for.txt','disposition':'attachment','cid':null,"
        "'charset':'us-ascii','location':'http://x/y','language':null},"
        "{'size':0,'name':null,'disposition':'attachment','cid':null,'charset':null,"
        "'location':null,'language':null}]}",
        "attachments");
    json_decref(got);
}

static void blobs_come_back_byte_by_byte(void **)
{
    static const char *const IDS[] = {"Ujpeg", "Ujpeg", "Umessage", "Utext", "Uempty"};
    SCOPED(buf_finish) struct buf out = {0}, bytes = buf_make(1000);
    json_t *got =
        compose_and_render(ALL, "{'properties':['attachments'],'bodyProperties':['blobId']}", &out);
    for (size_t i = 0; i < N_OF(IDS); i++) {
        json_t *part = json_array_get(json_object_get(got, "attachments"), i);
        struct email_blob blob;
        struct slice expected;
        assert_true(find_blob(NULL, slice_str(IDS[i]), &expected));
        assert_true(
            email_blob_parse(slice_str(json_string_value(json_object_get(part, "blobId"))), &blob));
        buf_clear(&bytes);
        assert_int_equal(email_blob_decode(buf_slice(&out), blob.steps, blob.n_steps, &bytes),
                         ERR_OK);
        assert_true(slice_eq(buf_slice(&bytes), expected));
    }
    json_decref(got);
}

static void file_names_come_back_as_they_were_set(void **)
{
    static const char *const NAMES[] = {
        "'a.pdf'",
        "'two words.pdf'",
        "'q\\\"uote\\\\.pdf'",
        "'<t>'",
        "'\\\"q\\\"'",
        "'=?utf-8?q?x?='",
        "'\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.pdf'",
        "'100% *.pdf'",
        "'a\xcc\x88 "
        "\xf0\x9f\x8e\x89\xf0\x9f\x8e\x89\xf0\x9f\x8e\x89\xf0\x9f\x8e\x89\xf0\x9f\x8e\x89"
        "\xf0\x9f\x8e\x89\xf0\x9f\x8e\x89.pdf'",
    };
    for (size_t i = 0; i < N_OF(NAMES); i++) {
        char create[500];
        SCOPED(buf_finish) struct buf out = {0};
        snprintf(create, sizeof(create), "{'attachments':[{'blobId':'Ujpeg','name':%s}]}",
                 NAMES[i]);
        json_t *got = compose_and_render(
            create, "{'properties':['attachments'],'bodyProperties':['name']}", &out);
        json_t *part = json_array_get(json_object_get(got, "attachments"), 0);
        check_json(json_object_get(part, "name"), NAMES[i], create);
        json_decref(got);
    }
}

static void a_structure_of_the_client_is_kept(void **)
{
    SCOPED(buf_finish) struct buf out = {0};
    json_t *got = compose_and_render(
        "{'bodyValues':{'1':{'value':'x\\n','isTruncated':false,'isEncodingProblem':null}},"
        "'bodyStructure':{'type':'multipart/report','header:X-Top:asText':'t','subParts':["
        "{'partId':'1','type':'text/csv','header:X-Part:asText':'\xc3\xa4'},"
        "{'type':'multipart/digest','subParts':[{'blobId':'Umessage','type':'message/rfc822'}]},"
        "{'blobId':'Uempty','header:Content-Type':' application/json; x=y'}]}}",
        "{'properties':['bodyStructure','header:X-Top'],"
        "'bodyProperties':['type','subParts','header:X-Part:asText']}",
        &out);
    check_json(got,
               "{'header:X-Top':' t','bodyStructure':{'type':'multipart/report',"
               "'header:X-Part:asText':null,'subParts':["
               "{'type':'text/csv','header:X-Part:asText':'\xc3\xa4','subParts':null},"
               "{'type':'multipart/digest','header:X-Part:asText':null,'subParts':["
               "{'type':'message/rfc822','header:X-Part:asText':null,'subParts':null}]},"
               "{'type':'application/json','header:X-Part:asText':null,'subParts':null}]}}",
               "structure");
    json_decref(got);
}

static void what_must_stand_there_is_added(void **)
{
    SCOPED(buf_finish) struct buf out = {0};
    json_t *got = compose_and_render(
        "{'mailboxIds':{'a':true},'keywords':{'$draft':true},'receivedAt':'x'}",
        "{'properties':['messageId','sentAt','header:MIME-Version','bodyValues'],"
        "'fetchAllBodyValues':true}",
        &out);
    check_json(got,
               "{'messageId':['gaytemzugu3doobzmfrggzdf@node.example'],"
               "'sentAt':'2026-11-21T21:40:07Z','header:MIME-Version':' 1.0','bodyValues':"
               "{'1':{'value':'','isEncodingProblem':false,'isTruncated':false}}}",
               "added");
    json_decref(got);
}

static void what_breaks_a_rule_is_refused_by_name(void **)
{
#define VALUES "'bodyValues':{'1':{'value':'x'}}"
    static const struct {
        const char *create, *properties; /* JSON of the faults; in order */
    } cases[] = {
        {"{'headers':[]}", "['headers']"},
        {"{'id':'x'}", "['id']"},
        {"{'size':1}", "['size']"},
        {"{'preview':'x'}", "['preview']"},
        {"{'hasAttachment':true}", "['hasAttachment']"},
        {"{'nonsense':1}", "['nonsense']"},
        {"{'from':[{'email':'a@b'}],'header:From':'a@b'}", "['from','header:From']"},
        {"{'header:X:asText':'a','header:x':'b'}", "['header:X:asText','header:x']"},
        {"{'header:From:asText':'a'}", "['header:From:asText']"},
        {"{'header:Subject:asDate':'a'}", "['header:Subject:asDate']"},
        {"{'header:Content-Type':'text/plain'}", "['header:Content-Type']"},
        {"{'header:content-x:asText':'x'}", "['header:content-x:asText']"},
        {"{'header:MIME-Version':'1.0'}", "['header:MIME-Version']"},
        {"{'header:A B':'x'}", "['header:A B']"},
        {"{'header:':'x'}", "['header:']"},
        {"{'subject':'a\\nBcc: x'}", "['subject']"},
        {"{'subject':'a\\r'}", "['subject']"},
        {"{'subject':'a\\u0000b'}", "['subject']"},
        {"{'subject':7}", "['subject']"},
        {"{'header:X':'a\\r\\n b'}", "['header:X']"},
        {"{'from':[{'name':'a\\nb','email':'a@b'}]}", "['from']"},
        {"{'from':[{'email':'a\\nb@c'}]}", "['from']"},
        {"{'from':[{'email':'a@b>, c'}]}", "['from']"},
        {"{'from':[{'name':'x'}]}", "['from']"},
        {"{'from':'a@b'}", "['from']"},
        {"{'from':['a@b']}", "['from']"},
        {"{'messageId':['a b']}", "['messageId']"},
        {"{'messageId':['a','b']}", "['messageId']"},
        {"{'messageId':'a'}", "['messageId']"},
        {"{'sentAt':'2026-02-30T00:00:00Z'}", "['sentAt']"},
        {"{'sentAt':'yesterday'}", "['sentAt']"},
        {"{" VALUES ",'textBody':[]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1'},{'partId':'1'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','type':'text/html'}]}", "['textBody']"},
        {"{" VALUES ",'htmlBody':[{'partId':'1','type':'text/plain'}]}", "['htmlBody']"},
        {"{" VALUES ",'textBody':[{'partId':'2'}]}", "['textBody']"},
        {"{'textBody':[{'partId':'2'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','charset':'utf-8'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','size':1}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','blobId':'Ujpeg'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'type':'text/plain'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','headers':[]}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','nonsense':1}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1',"
         "'header:Content-Transfer-Encoding':'7bit'}]}",
         "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','type':'text/plain',"
         "'header:Content-Type':'text/plain'}]}",
         "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','cid':'a','header:content-id':'<b>'}]}",
         "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','type':'text/plain\\r\\nX: y'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','disposition':'a;b'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','name':'a\\nb'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','cid':'a b'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','location':'a b'}]}", "['textBody']"},
        {"{" VALUES ",'textBody':[{'partId':'1','language':'de'}]}", "['textBody']"},
        {"{'bodyValues':{'1':{'value':'x','isTruncated':true}}}", "['bodyValues']"},
        {"{'bodyValues':{'1':{'value':'x','isEncodingProblem':true}}}", "['bodyValues']"},
        {"{'bodyValues':{'1':'x'}}", "['bodyValues']"},
        {"{" VALUES ",'bodyStructure':{'partId':'1'},'textBody':[{'partId':'1'}],"
         "'attachments':[]}",
         "['textBody','attachments']"},
        {"{" VALUES ",'subject':'a','bodyStructure':{'partId':'1','header:Subject':'b'}}",
         "['subject','bodyStructure']"},
        {"{'bodyStructure':{'type':'multipart/mixed'}}", "['bodyStructure']"},
        {"{'bodyStructure':{'type':'multipart/mixed','subParts':[]}}", "['bodyStructure']"},
        {"{" VALUES ",'bodyStructure':{'type':'text/plain','subParts':[{'partId':'1'}]}}",
         "['bodyStructure']"},
        {"{" VALUES ",'bodyStructure':{'partId':'1','type':'image/png'}}", "['bodyStructure']"},
        {"{'attachments':[{'subParts':[{'blobId':'Ujpeg'}]}]}", "['attachments']"},
        {"{'attachments':[7]}", "['attachments']"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct email_composed told;
        struct email_fault fault;
        SCOPED(buf_finish) struct buf out = {0};
        json_t *create = json_of(cases[i].create);
        if (compose(create, 1 << 20, &out, &told, &fault))
            fail_msg("taken: %s", cases[i].create);
        json_t *v = email_fault_json(&fault);
        check_json(json_object_get(v, "type"), "'invalidProperties'", cases[i].create);
        check_json(json_object_get(v, "properties"), cases[i].properties, cases[i].create);
        json_decref(v);
        json_decref(create);
    }
}

static void missing_blobs_are_all_named(void **)
{
    struct email_composed told;
    struct email_fault fault;
    struct slice ids[EMAIL_BLOBS_MAX];
    SCOPED(buf_finish) struct buf out = {0};
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    json_t *create = json_of("{'attachments':[{'blobId':'no1'},{'blobId':'Ujpeg'},"
                             "{'blobId':'no2'},{'blobId':'no1'}]}");
    assert_false(compose(create, 1 << 20, &out, &told, &fault));
    json_t *v = email_fault_json(&fault);
    check_json(v, "{'type':'blobNotFound','notFound':['no1','no2']}", "blobs");
    assert_int_equal(email_compose_blobs(create, a, ids), 3);
    assert_true(slice_eq(ids[2], SLICE("no2")));
    json_decref(v);
    json_decref(create);
}

static void what_does_not_fit_is_too_large(void **)
{
    struct email_composed told;
    struct email_fault fault;
    json_t *create = json_of(ALL);
    SCOPED(buf_finish) struct buf out = {0};
    assert_false(compose(create, 1500, &out, &told, &fault));
    assert_int_equal(fault.kind, EMAIL_TOO_LARGE);
    json_decref(create);
}

/* ---- what somebody could fill memory with: `compose` has what the header promises ---- */

static void refuse_or_take(json_t *take_create, const char *what, bool is_good)
{
    struct email_composed told;
    struct email_fault fault;
    SCOPED(buf_finish) struct buf out = {0};
    if (compose(take_create, 50 << 20, &out, &told, &fault) != is_good)
        fail_msg("%s: %s", what, fault.description);
    json_decref(take_create);
}

static json_t *part_with(const char *key, json_t *take_value)
{
    return json_pack("{s:s, s:o}", "blobId", "Utext", key, take_value);
}

static void what_is_composed_takes_no_more_memory_than_promised(void **)
{
    enum { N_KEYS = 100000, N_DOMAINS = 5000 };
    char key[300], text[20001], address[300];
    json_t *create = json_object(), *fields = json_array(), *empty = json_object();
    for (unsigned i = 0; i < N_KEYS; i++) {
        snprintf(key, sizeof(key), "%0100u", i);
        json_object_set_new(create, key, json_true());
    }
    refuse_or_take(create, "names of properties", false);
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < sizeof(text); i += 10)
        text[i] = ' ';
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < EMAIL_HEADER_FIELDS_MAX; i++)
        json_array_append_new(fields, part_with("header:X:asText", json_string(text)));
    refuse_or_take(json_pack("{s:o}", "attachments", fields), "fields of parts", false);
    json_object_set_new(empty, "blobId", json_string("Utext"));
    for (unsigned i = 0; i < N_KEYS / 2; i++) {
        snprintf(key, sizeof(key), "header:%0200u:asAddresses", i);
        json_object_set_new(empty, key, json_array());
    }
    refuse_or_take(json_pack("{s:[o]}", "attachments", empty), "fields that are empty", false);
    create = json_object();
    for (unsigned field = 0; field < 5; field++) {
        static const char *const names[] = {"to", "cc", "bcc", "replyTo", "from"};
        json_t *list = json_array();
        snprintf(address, sizeof(address), "a@\xc3\xa9%050u.%055u.%055u.example", 1, 2, 3);
        for (unsigned i = 0; i < N_DOMAINS; i++)
            json_array_append_new(list, json_pack("{s:s}", "email", address));
        json_object_set_new(create, names[field], list);
    }
    refuse_or_take(create, "domains of other letters", true);
}

static void letters_that_only_smtputf8_carries_are_told(void **)
{
    struct email_composed told;
    struct email_fault fault;
    static const struct {
        const char *create;
        bool is_utf8;
    } cases[] = {
        {"{'to':[{'name':'\xc3\xa9','email':'a@\xc3\xa9.example'}],'subject':'\xc3\xa9'}", false},
        {"{'to':[{'email':'\xc3\xa9@b.example'}]}", true},
        {"{'header:X':'\xc3\xa9'}", true},
        {"{'messageId':['\xc3\xa9@b']}", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        SCOPED(buf_finish) struct buf out = {0};
        json_t *create = json_of(cases[i].create);
        assert_true(compose(create, 10000, &out, &told, &fault));
        assert_int_equal(told.needs_utf8, cases[i].is_utf8);
        json_decref(create);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_fields_come_back_as_they_were_set),
        cmocka_unit_test(a_domain_of_other_letters_becomes_an_a_label),
        cmocka_unit_test(texts_come_back_byte_by_byte),
        cmocka_unit_test(texts_pictures_and_attachments_nest_as_they_should),
        cmocka_unit_test(blobs_come_back_byte_by_byte),
        cmocka_unit_test(file_names_come_back_as_they_were_set),
        cmocka_unit_test(a_structure_of_the_client_is_kept),
        cmocka_unit_test(what_must_stand_there_is_added),
        cmocka_unit_test(what_breaks_a_rule_is_refused_by_name),
        cmocka_unit_test(missing_blobs_are_all_named),
        cmocka_unit_test(what_does_not_fit_is_too_large),
        cmocka_unit_test(what_is_composed_takes_no_more_memory_than_promised),
        cmocka_unit_test(letters_that_only_smtputf8_carries_are_told),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_destroy(&memory);
    return n_failed;
}
