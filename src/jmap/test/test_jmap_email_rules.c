/* What RFC 8621 says must hold of threads and of reading and finding emails, word by word: the
 * table tests/conformance/jmap/rfc8621.txt names these tests. */
#include "jmap_ask.h"

#define TEN "ten letters. "
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Email/get and Email/parse ---- */

/* Asked for without `properties`, or with none: exactly these. */
static void assert_keys(const json_t *o, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!json_object_get(o, names[i]))
            fail_msg("no %s", names[i]);
    assert_int_equal(json_object_size(o), n);
}

static void without_properties_the_usual_ones_come(void **)
{
    static const char *const names[] = {
        "messageId", "inReplyTo", "references", "sender",     "from",        "to",
        "cc",        "bcc",       "replyTo",    "subject",    "sentAt",      "hasAttachment",
        "preview",   "textBody",  "htmlBody",   "bodyValues", "attachments", "id",
        "blobId",    "threadId",  "mailboxIds", "keywords",   "size",        "receivedAt",
    };
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    static const char *const args[] = {"'ids':['$E']", "'ids':['$E'],'properties':null"};
    for (size_t i = 0; i < N_OF(args); i++) {
        json_t *a = ask("Email/get", args[i]);
        assert_keys(kit_at(a, "list.0"), names, N_OF(names));
        json_decref(a);
    }
    json_t *a = ask("Email/parse", "'blobIds':['$E']");
    char *path = filled("parsed.$E");
    assert_keys(kit_at(a, path), names, 17);
    mem_free(&path);
    json_decref(a);
}

static void a_form_that_a_field_may_not_have_is_refused(void **)
{
    static const char *const properties[] = {
        "'header:From:asDate'",
        "'header:Subject:asAddresses'",
        "'header:Date:asText'",
        "'header:Received:asText'",
        "'header:X:all:asText'",
        "'header:X:asNothing'",
        "'header:Message-ID:asURLs'",
        "'header:'",
        "'Subject'",
        "'header:List-Post:asText'",
    };
    static const char *const places[] = {"properties", "bodyProperties"};
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    for (size_t i = 0; i < N_OF(properties); i++) {
        for (size_t p = 0; p < N_OF(places); p++) {
            char args[200];
            snprintf(args, sizeof(args), "'ids':['$E'],'%s':[%s]", places[p], properties[i]);
            check("Email/get", args, "type", "'invalidArguments'");
            snprintf(args, sizeof(args), "'blobIds':['$E'],'%s':[%s]", places[p], properties[i]);
            check("Email/parse", args, "type", "'invalidArguments'");
        }
    }
}

static void a_header_field_is_called_what_the_client_called_it(void **)
{
    static const char want[] = "'header:sUBJECT:asText','header:SUBJECT','header:subject:all'";
    static const char got[] = "'header:SUBJECT':' hello','header:sUBJECT:asText':'hello',"
                              "'header:subject:all':[' hello']";
    char args[200], expected[200];
    keep_blob("BLOB", "Subject: hello\\r\\n\\r\\nx\\r\\n");
    snprintf(args, sizeof(args), "'blobIds':['$BLOB'],'properties':[%s]", want);
    snprintf(expected, sizeof(expected), "{%s}", got);
    check("Email/parse", args, "parsed.$BLOB", expected);
    keep_box("BOX", "inbox");
    keep("E", "Email/import", "'emails':{'i':{'blobId':'$BLOB','mailboxIds':{'$BOX':true}}}",
         "created.i.id");
    snprintf(args, sizeof(args), "'ids':['$E'],'properties':[%s]", want);
    snprintf(expected, sizeof(expected), "{%s,'id':'$E'}", got);
    check("Email/get", args, "list.0", expected);
}

/* Whatever else is asked for: what lists show comes from the index, or from the bytes. */
static void an_empty_subject_is_none_only_where_the_field_is_missing(void **)
{
    static const struct {
        const char *field, *subject;
    } rows[] = {{"Subject: x\\r\\n", "'x'"},
                {"Subject:\\r\\n", "''"},
                {"Subject: \\r\\n", "''"},
                {"", "null"}};
    keep_box("BOX", "inbox");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char text[200];
        snprintf(text, sizeof(text), "From: a@b.test\\r\\n%s\\r\\nx\\r\\n", rows[i].field);
        keep_blob("BLOB", text);
        keep("E", "Email/import", "'emails':{'i':{'blobId':'$BLOB','mailboxIds':{'$BOX':true}}}",
             "created.i.id");
        check("Email/get", "'ids':['$E'],'properties':['subject']", "list.0.subject",
              rows[i].subject);
        check("Email/get", "'ids':['$E'],'properties':['subject','cc']", "list.0.subject",
              rows[i].subject);
    }
}

static void values_are_cut_between_characters(void **)
{
    static const struct {
        int max;
        const char *value;
    } rows[] = {{0, "{'isEncodingProblem':false,'isTruncated':false,'value':'a\xe2\x82\xac z\\n'}"},
                {7, "{'isEncodingProblem':false,'isTruncated':false,'value':'a\xe2\x82\xac z\\n'}"},
                {5, "{'isEncodingProblem':false,'isTruncated':true,'value':'a\xe2\x82\xac '}"},
                {4, "{'isEncodingProblem':false,'isTruncated':true,'value':'a\xe2\x82\xac'}"},
                {3, "{'isEncodingProblem':false,'isTruncated':true,'value':'a'}"},
                {2, "{'isEncodingProblem':false,'isTruncated':true,'value':'a'}"},
                {1, "{'isEncodingProblem':false,'isTruncated':true,'value':'a'}"}};
    keep_box("BOX", "inbox");
    keep_blob("BLOB", "Content-Type: text/plain; charset=utf-8\\r\\n\\r\\na\\u20ac z\\r\\n");
    keep("E", "Email/import", "'emails':{'i':{'blobId':'$BLOB','mailboxIds':{'$BOX':true}}}",
         "created.i.id");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200];
#define CUT "'properties':['bodyValues'],'fetchAllBodyValues':true,'maxBodyValueBytes':%d"
        snprintf(args, sizeof(args), "'ids':['$E']," CUT, rows[i].max);
        check("Email/get", args, "list.0.bodyValues.1", rows[i].value);
        snprintf(args, sizeof(args), "'blobIds':['$BLOB']," CUT, rows[i].max);
        check("Email/parse", args, "parsed.$BLOB.bodyValues.1", rows[i].value);
    }
}

static void what_is_parsed_has_no_place_in_the_store(void **)
{
    keep_blob("BLOB", "Subject: x\\r\\n\\r\\nx\\r\\n");
    keep_blob("NONE", "nothing of a header");
    json_t *a =
        ask("Email/parse", "'blobIds':['$BLOB','$NONE','Unothing'],'properties':['id','mailboxIds',"
                           "'keywords','receivedAt','threadId','blobId','size','subject']");
    expect(a, "parsed",
           "{'$BLOB':{'blobId':'$BLOB','id':null,'keywords':null,'mailboxIds':null,"
           "'receivedAt':null,'size':17,'subject':'x','threadId':null}}");
    expect(a, "notParsable", "['$NONE']");
    expect(a, "notFound", "['Unothing']");
    json_decref(a);
    a = ask("Email/parse", "'blobIds':['$BLOB']");
    expect(a, "notParsable", "null");
    expect(a, "notFound", "null");
    json_decref(a);
    check("Email/parse", "'blobIds':['Unothing']", "parsed", "null");
}

static void headers_of_other_letters_are_read(void **)
{
    static const char read[] = "'from':[{'email':'j\xc3\xb6rg@b\xc3\xbc"
                               "cher.test','name':"
                               "'J\xc3\xb6rg'}],'messageId':['\xc3\xa9@b\xc3\xbc"
                               "cher.test'],"
                               "'subject':'Gr\xc3\xbc\xc3\x9f"
                               "e'";
    static const char properties[] = "'properties':['from','subject','messageId']";
    char args[200], want[300];
    keep_box("BOX", "inbox");
    keep_blob("BLOB",
              "From: J\\u00f6rg <j\\u00f6rg@b\\u00fccher.test>\\r\\nSubject: Gr\\u00fc\\u00dfe"
              "\\r\\nMessage-ID: <\\u00e9@b\\u00fccher.test>\\r\\n\\r\\nx\\r\\n");
    keep("E", "Email/import", "'emails':{'i':{'blobId':'$BLOB','mailboxIds':{'$BOX':true}}}",
         "created.i.id");
    json_t *a = ask("Email/get", "'ids':['$E'],'properties':['from','subject','messageId']");
    expect(a, "list.0.from",
           "[{'email':'j\xc3\xb6rg@b\xc3\xbc"
           "cher.test','name':'J\xc3\xb6rg'}]");
    expect(a, "list.0.subject",
           "'Gr\xc3\xbc\xc3\x9f"
           "e'");
    json_decref(a);
    snprintf(args, sizeof(args), "'blobIds':['$BLOB'],%s", properties);
    snprintf(want, sizeof(want), "{%s}", read);
    check("Email/parse", args, "parsed.$BLOB", want);
}

/* ---- all that the standard names ---- */

static void every_property_of_every_type_can_be_had(void **)
{
    static const struct {
        const char *type, *properties;
    } rows[] = {
        {"Mailbox", "'id','name','parentId','role','sortOrder','totalEmails','unreadEmails',"
                    "'totalThreads','unreadThreads','myRights','isSubscribed'"},
        {"Thread", "'id','emailIds'"},
        {"Email", "'id','blobId','threadId','mailboxIds','keywords','size','receivedAt','headers',"
                  "'messageId','inReplyTo','references','sender','from','to','cc','bcc','replyTo',"
                  "'subject','sentAt','bodyStructure','bodyValues','textBody','htmlBody',"
                  "'attachments','hasAttachment','preview','header:X:asRaw:all'"},
        {"Quota", "'id','resourceType','used','hardLimit','scope','name','types','warnLimit',"
                  "'softLimit','description'"},
    };
    k->anna.quota_bytes = 5000;
    keep_box("MAILBOX", "inbox");
    keep("EMAIL", "Email/set", "'create':{'e':{'mailboxIds':{'$MAILBOX':true}}}", "created.e.id");
    keep("THREAD", "Email/get", "'ids':['$EMAIL'],'properties':['threadId']", "list.0.threadId");
    keep("QUOTA", "Quota/get", "'ids':null", "list.0.id");
    static const char *const ids[] = {"$MAILBOX", "$THREAD", "$EMAIL", "$QUOTA"};
    for (size_t i = 0; i < N_OF(rows); i++) {
        char method[30], args[700];
        size_t n = 1;
        for (const char *p = rows[i].properties; *p; p++)
            n += *p == ',';
        snprintf(method, sizeof(method), "%s/get", rows[i].type);
        snprintf(args, sizeof(args), "'ids':['%s'],'properties':[%s]", ids[i], rows[i].properties);
        json_t *a = ask(method, args);
        assert_int_equal(json_object_size(kit_at(a, "list.0")), n);
        json_decref(a);
    }
    json_t *a = ask("Email/get",
                    "'ids':['$EMAIL'],'properties':['bodyStructure'],'bodyProperties':['partId',"
                    "'blobId','size','headers','name','type','charset','disposition','cid',"
                    "'language','location','subParts','header:X']");
    assert_int_equal(json_object_size(kit_at(a, "list.0.bodyStructure")), 13);
    json_decref(a);
}

/* ---- threads ---- */

static void every_email_is_in_a_thread_for_good(void **)
{
    static const struct {
        const char *name, *more;
    } rows[] = {
        {"A", "'messageId':['a@x'],'receivedAt':'2026-01-03T00:00:00Z'"},
        {"B", "'messageId':['b@x'],'receivedAt':'2026-01-01T00:00:00Z'"},
        {"C", "'inReplyTo':['a@x'],'receivedAt':'2026-01-02T00:00:00Z'"},
        {"D", "'inReplyTo':['a@x'],'receivedAt':'2026-01-02T00:00:00Z'"},
        {"E", "'references':['a@x','b@x'],'receivedAt':'2026-01-04T00:00:00Z'"},
    };
    keep_box("BOX", "inbox");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[300], thread[4] = {'T', 'H', rows[i].name[0]};
        snprintf(args, sizeof(args), "'create':{'e':{'mailboxIds':{'$BOX':true},'subject':'s',%s}}",
                 rows[i].more);
        keep(rows[i].name, "Email/set", args, "created.e.id");
        snprintf(args, sizeof(args), "'ids':['$%s'],'properties':['threadId']", rows[i].name);
        keep(thread, "Email/get", args, "list.0.threadId");
    }
    /* What refers to two threads does not make them one: no email ever changes its thread. */
    json_t *a = ask("Email/get", "'ids':['$A','$B','$C','$D'],'properties':['threadId']");
    expect(a, "list",
           "[{'id':'$A','threadId':'$THA'},{'id':'$B','threadId':'$THB'},"
           "{'id':'$C','threadId':'$THC'},{'id':'$D','threadId':'$THD'}]");
    json_decref(a);
    char *first = filled("$THA"), *second = filled("$THB");
    assert_string_not_equal(first, second);
    mem_free(&first);
    mem_free(&second);
    /* Oldest first; what came at one time, always in one order. */
    for (int i = 0; i < 3; i++) {
        a = ask("Thread/get", "'ids':['$THA']");
        expect(a, "list.0.emailIds.0", "'$C'");
        expect(a, "list.0.emailIds.1", "'$D'");
        expect(a, "list.0.emailIds.2", "'$A'");
        json_decref(a);
        check("Email/set",
              i ? "'update':{'$C':{'keywords/x':true}}" : "'update':{'$D':{'keywords/x':true}}",
              "notUpdated", "null");
    }
}

/* ---- queries ---- */

static void conditions_that_say_nothing_are_true_and_all_must_be(void **)
{
    static const struct {
        const char *filter, *ids;
    } rows[] = {
        {"null", "['$A','$B']"},
        {"{}", "['$A','$B']"},
        {"{'operator':'AND','conditions':[]}", "['$A','$B']"},
        {"{'operator':'AND','conditions':[{},{'hasKeyword':'x'}]}", "['$A']"},
        {"{'operator':'NOT','conditions':[{}]}", "[]"},
        {"{'inMailbox':'$BOX','hasKeyword':'x'}", "['$A']"},
        {"{'inMailbox':'$BOX','hasKeyword':'y'}", "[]"},
        {"{'notKeyword':'x','minSize':1}", "['$B']"},
        {"{'before':'2026-01-02T00:00:00Z'}", "['$B']"},
        {"{'after':'2026-01-02T00:00:00Z'}", "['$A']"},
        {"{'inMailboxOtherThan':['$BOX']}", "['$B']"},
        {"{'inMailboxOtherThan':[]}", "['$A','$B']"},
        {"{'hasAttachment':false}", "['$A','$B']"},
        {"{'hasAttachment':true}", "[]"},
        {"{'header':['subject']}", "['$A','$B']"},
        {"{'header':['X-None']}", "[]"},
        {"{'header':['SUBJECT','Caf\xc3\xa9']}", "['$A']"},
        {"{'header':['Subject','other']}", "['$B']"},
    };
    keep_box("BOX", "inbox");
    keep_box("ELSE", "archive");
    keep("A", "Email/set",
         "'create':{'e':{'mailboxIds':{'$BOX':true},'keywords':{'x':true},'subject':"
         "'Caf\\u00e9','receivedAt':'2026-01-02T00:00:00Z'}}",
         "created.e.id");
    keep("B", "Email/set",
         "'create':{'e':{'mailboxIds':{'$BOX':true,'$ELSE':true},'subject':'OTHER','receivedAt':"
         "'2026-01-01T00:00:00Z'}}",
         "created.e.id");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200];
        snprintf(args, sizeof(args), "'filter':%s", rows[i].filter);
        check("Email/query", args, "ids", rows[i].ids);
    }
}

static void emails_are_sorted_by_all_that_is_announced(void **)
{
    static const struct {
        const char *sort, *ids;
    } rows[] = {
        {"{'property':'receivedAt'}", "['$C','$B','$A']"},
        {"{'property':'receivedAt','isAscending':false}", "['$A','$B','$C']"},
        {"{'property':'size'}", "['$A','$B','$C']"},
        {"{'property':'from'}", "['$B','$C','$A']"},
        {"{'property':'to'}", "['$B','$A','$C']"},
        {"{'property':'subject'}", "['$A','$C','$B']"}, /* "m" twice, whatever stands before it */
        {"{'property':'sentAt'}", "['$A','$C','$B']"},
        /* True comes behind false. */
        {"{'property':'hasKeyword','keyword':'x'}", "['$B','$C','$A']"},
        {"{'property':'hasKeyword','keyword':'x','isAscending':false}", "['$A','$B','$C']"},
        {"{'property':'someInThreadHaveKeyword','keyword':'x'}", "['$B','$A','$C']"},
        {"{'property':'allInThreadHaveKeyword','keyword':'x'}", "['$A','$B','$C']"},
        {"{'property':'allInThreadHaveKeyword','keyword':'y'}", "['$B','$A','$C']"},
        {"{'property':'hasKeyword','keyword':'x','isAscending':false},{'property':'receivedAt'}",
         "['$A','$C','$B']"},
    };
    keep_box("BOX", "inbox");
    keep("A", "Email/set",
         "'create':{'e':{'mailboxIds':{'$BOX':true},'keywords':{'x':true,'y':true},'subject':"
         "'Re: m','from':[{'name':'Zoe','email':'a@x.test'}],'to':[{'email':'m@x.test'}],"
         "'messageId':['a@x'],'sentAt':'2026-01-01T00:00:00Z','receivedAt':"
         "'2026-01-03T00:00:00Z'}}",
         "created.e.id");
    keep("B", "Email/set",
         "'create':{'e':{'mailboxIds':{'$BOX':true},'subject':'n','from':[{'email':'b@x.test'}],"
         "'sentAt':'2026-01-03T00:00:00Z','receivedAt':'2026-01-02T00:00:00Z',"
         "'textBody':[{'partId':'1'}],'bodyValues':{'1':{'value':'" TEN TEN TEN TEN "'}}}}",
         "created.e.id");
    keep("C", "Email/set",
         "'create':{'e':{'mailboxIds':{'$BOX':true},'keywords':{'y':true},'subject':'m','from':["
         "{'name':'Carl','email':'z@x.test'}],'to':[{'name':'N','email':'a@x.test'}],"
         "'inReplyTo':['a@x'],'sentAt':'2026-01-02T00:00:00Z','receivedAt':"
         "'2026-01-01T00:00:00Z','textBody':[{'partId':'1'}],'bodyValues':{'1':{'value':'" TEN TEN
             TEN TEN TEN TEN TEN TEN "'}}}}",
         "created.e.id");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[300];
        snprintf(args, sizeof(args), "'sort':[%s]", rows[i].sort);
        check("Email/query", args, "ids", rows[i].ids);
    }
    static const char *const keyword_sorts[] = {"hasKeyword", "allInThreadHaveKeyword",
                                                "someInThreadHaveKeyword"};
    for (size_t i = 0; i < N_OF(keyword_sorts); i++) {
        char args[100];
        snprintf(args, sizeof(args), "'sort':[{'property':'%s'}]", keyword_sorts[i]);
        check("Email/query", args, "type", "'invalidArguments'");
    }
}

/* ---- filters, snippets ---- */

static void a_filter_for_snippets_is_judged_as_for_a_query(void **)
{
    static const struct {
        const char *filter, *error;
    } rows[] = {
        {"{'colour':'red'}", "'unsupportedFilter'"},
        {"{'subject':7}", "'invalidArguments'"},
        {"{'header':[]}", "'invalidArguments'"},
        {"{'header':['a','b','c']}", "'invalidArguments'"},
        {"{'header':['Subject',7]}", "'invalidArguments'"},
        {"{'header':['Sub ject']}", "'invalidArguments'"},
        {"{'header':'Subject'}", "'invalidArguments'"},
        {"{'operator':'XOR','conditions':[]}", "'invalidArguments'"},
        {"{'operator':'AND','conditions':[{'before':'soon'}]}", "'invalidArguments'"},
        {"[]", "'invalidArguments'"},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200];
        snprintf(args, sizeof(args), "'filter':%s", rows[i].filter);
        check("Email/query", args, "type", rows[i].error);
        snprintf(args, sizeof(args), "'emailIds':[],'filter':%s", rows[i].filter);
        check("SearchSnippet/get", args, "type", rows[i].error);
    }
    check("SearchSnippet/get", "'emailIds':[7],'filter':null", "type", "'invalidArguments'");
    check("SearchSnippet/get", "'filter':null", "type", "'invalidArguments'");
    SCOPED(buf_finish) struct buf b = buf_make(ASK_TEXT);
    buf_addf(&b, "'emailIds':['Mx'");
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, ",'Mx'");
    buf_addf(&b, "]");
    check("SearchSnippet/get", buf_cstr(&b), "type", "'requestTooLarge'");
    /* More words than a search takes: it would find what was not asked for. */
    buf_clear(&b);
    buf_addf(&b, "'filter':{'subject':'");
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "w%d ", i);
    buf_addf(&b, "'}");
    check("Email/query", buf_cstr(&b), "type", "'unsupportedFilter'");
}

static void snippets_mark_what_was_looked_for_and_escape_the_rest(void **)
{
    keep_box("BOX", "inbox");
    keep("E", "Email/set",
         "'create':{'e':{'mailboxIds':{'$BOX':true},'subject':'a < b & foo > c',"
         "'textBody':[{'partId':'1'}],'bodyValues':{'1':{'value':'the <foo> of it'}}}}",
         "created.e.id");
    static const struct {
        const char *filter, *subject, *preview;
    } rows[] = {
        {"{'subject':'foo'}", "'a &lt; b &amp; <mark>foo</mark> &gt; c'", "null"},
        {"{'body':'foo'}", "null", "'the &lt;<mark>foo</mark>&gt; of it'"},
        {"{'text':'foo'}", "'a &lt; b &amp; <mark>foo</mark> &gt; c'",
         "'the &lt;<mark>foo</mark>&gt; of it'"},
        {"{'operator':'OR','conditions':[{'body':'it'},{'subject':'b'}]}",
         "'a &lt; <mark>b</mark> &amp; foo &gt; c'", "'the &lt;foo&gt; of <mark>it</mark>'"},
        {"{'operator':'NOT','conditions':[{'text':'foo'}]}", "null", "null"},
        {"{'inMailbox':'$BOX'}", "null", "null"},
        {"{'text':'nothing'}", "null", "null"},
        {"null", "null", "null"},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[300];
        snprintf(args, sizeof(args), "'emailIds':['$E','Mx','$E'],'filter':%s", rows[i].filter);
        json_t *a = ask("SearchSnippet/get", args);
        assert_int_equal(json_array_size(kit_at(a, "list")), 1);
        expect(a, "list.0.emailId", "'$E'");
        expect(a, "list.0.subject", rows[i].subject);
        expect(a, "list.0.preview", rows[i].preview);
        expect(a, "notFound", "['Mx']");
        json_decref(a);
    }
    check("SearchSnippet/get", "'emailIds':['$E'],'filter':null", "notFound", "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_properties_the_usual_ones_come),
        TEST(a_form_that_a_field_may_not_have_is_refused),
        TEST(a_header_field_is_called_what_the_client_called_it),
        TEST(an_empty_subject_is_none_only_where_the_field_is_missing),
        TEST(values_are_cut_between_characters),
        TEST(what_is_parsed_has_no_place_in_the_store),
        TEST(headers_of_other_letters_are_read),
        TEST(every_property_of_every_type_can_be_had),
        TEST(every_email_is_in_a_thread_for_good),
        TEST(conditions_that_say_nothing_are_true_and_all_must_be),
        TEST(emails_are_sorted_by_all_that_is_announced),
        TEST(a_filter_for_snippets_is_judged_as_for_a_query),
        TEST(snippets_mark_what_was_looked_for_and_escape_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
