/* What RFC 9404 (blobs) and RFC 9425 (quotas) say must hold, word by word: the tables
 * tests/conformance/jmap/rfc9404.txt and rfc9425.txt name these tests. */
#include "jmap_ask.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* The answer to one call of a client that uses these capabilities only; the caller's. */
static json_t *ask_using(const char *capabilities, const char *method, const char *args)
{
    char text[2000];
    snprintf(text, sizeof(text), "{'using':[%s],'methodCalls':[['%s',{'accountId':'%s'%s%s},'c']]}",
             capabilities, method, kit_account(&k->anna), args[0] ? "," : "", args);
    char *whole = filled(text);
    json_t *a = kit_ask_as(k, &k->anna, whole, NULL);
    json_t *one = json_incref((json_t *)(uintptr_t)kit_at(a, "methodResponses.0.1"));
    mem_free(&whole);
    json_decref(a);
    return one;
}

/* The capability object of an account's, or of the session's (account NULL); the caller's. */
static json_t *capability(const char *account, const char *urn)
{
    char path[100];
    buf_clear(&k->out);
    assert_int_equal(jmap_session(k->jmap, &k->anna, &k->out), 200);
    json_t *s = json_loadb(k->out.p, k->out.n, 0, NULL);
    snprintf(path, sizeof(path), account ? "accounts.%s.accountCapabilities" : "capabilities",
             account);
    json_t *o = json_incref(json_object_get(kit_at(s, path), urn));
    json_decref(s);
    return o;
}

/* ---- blobs ---- */

static void the_session_has_what_blobs_may_be(void **)
{
    json_t *a = capability(NULL, "urn:ietf:params:jmap:blob");
    json_t *b = capability(kit_account(&k->anna), "urn:ietf:params:jmap:blob"), *one;
    size_t i;
    assert_true(json_is_object(a) && json_object_size(a) == 0);
    assert_true(json_integer_value(kit_at(b, "maxSizeBlobSet")) > 0);
    assert_true(json_integer_value(kit_at(b, "maxDataSources")) >= 64);
    expect(b, "supportedTypeNames", "['Email','Mailbox','Thread']");
    assert_true(json_array_size(kit_at(b, "supportedDigestAlgorithms")) > 0);
    keep_blob("BLOB", "abc");
    json_array_foreach(kit_at(b, "supportedDigestAlgorithms"), i, one)
    {
        static const char *const registry[] = {"sha", "md5", "sha-256", "sha-512", NULL};
        char args[100], path[60];
        size_t at = 0;
        while (registry[at] && strcmp(registry[at], json_string_value(one)) != 0)
            at++;
        assert_non_null(registry[at]);
        snprintf(args, sizeof(args), "'ids':['$BLOB'],'properties':['digest:%s']", registry[at]);
        snprintf(path, sizeof(path), "list.0.digest:%s", registry[at]);
        json_t *got = ask("Blob/get", args);
        assert_true(json_is_string(kit_at(got, path)));
        json_decref(got);
    }
    json_decref(a);
    json_decref(b);
}

static void what_a_source_means_is_never_guessed(void **)
{
    static const struct {
        const char *source;
        const char *text; /* NULL: it is refused */
    } rows[] = {
        {"{'data:asText':'a\\u00e9'}", "a\xc3\xa9"},
        {"{'data:asText':'a','data:asBase64':null,'blobId':null}", "a"},
        {"{'data:asBase64':'YWI='}", "ab"},
        {"{'data:asBase64':''}", ""},
        {"{'blobId':'$BLOB'}", "0123456789"},
        {"{'blobId':'$BLOB','offset':0,'length':0}", ""},
        {"{'blobId':'$BLOB','offset':3}", "3456789"},
        {"{'blobId':'$BLOB','offset':10,'length':null}", ""},
        {"{'blobId':'$BLOB','offset':null,'length':2}", "01"},
        {"{'blobId':'$BLOB','offset':8,'length':2}", "89"},
        {"{'blobId':'$BLOB','offset':11}", NULL},
        {"{'blobId':'$BLOB','offset':8,'length':3}", NULL},
        {"{'blobId':'$BLOB','offset':1,'length':9007199254740991}", NULL},
        {"{'blobId':'$BLOB','offset':-1}", NULL},
        {"{'blobId':'$BLOB','length':-1}", NULL},
        {"{'blobId':'$BLOB','offset':'1'}", NULL},
        {"{'blobId':'$BLOB','length':1.5}", NULL},
        {"{'blobId':'$OTHERS'}", NULL},
        {"{'blobId':'#later'}", NULL},
        {"{'blobId':7}", NULL},
        {"{'data:asText':7}", NULL},
        {"{'data:asText':'a','data:asBase64':'YWI='}", NULL},
        {"{'data:asText':'a','blobId':'$BLOB'}", NULL},
        {"{'data:asText':'a','offset':0}", NULL},
        {"{'data:asText':'a','colour':'red'}", NULL},
        {"{'offset':0,'length':1}", NULL},
        {"{}", NULL},
        {"'abc'", NULL},
        {"{'data:asBase64':'YWI'}", NULL},
        {"{'data:asBase64':'YWI=YWI='}", NULL},
        {"{'data:asBase64':'Y==='}", NULL},
        {"{'data:asBase64':' YWI='}", NULL},
        {"{'data:asBase64':'YWJj\\n'}", NULL},
        {"{'data:asBase64':'YW-_'}", NULL},
        {"{'data:asBase64':'\\u00e9WI='}", NULL},
    };
    keep_blob("BLOB", "0123456789");
    json_t *others = kit_call_as(k, &k->luca, "Blob/upload",
                                 "'create':{'b':{'data':[{'data:asText':'secret'}]}}");
    keep_text("OTHERS", kit_text(others, "created.b.id"));
    json_decref(others);
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[300];
        snprintf(args, sizeof(args), "'create':{'b':{'data':[%s]}}", rows[i].source);
        json_t *a = ask("Blob/upload", args);
        if (json_is_object(kit_at(a, "created.b")) != (rows[i].text != NULL))
            fail_msg("%s", rows[i].source);
        if (!rows[i].text)
            assert_true(json_is_string(kit_at(a, "notCreated.b.type")));
        if (rows[i].text) {
            assert_number(a, "created.b.size", strlen(rows[i].text));
            expect(a, "created.b.type", "null");
            keep_text("NEW", kit_text(a, "created.b.id"));
            json_t *got = ask("Blob/get", "'ids':['$NEW']");
            assert_text(got, "list.0.data:asText", rows[i].text);
            json_decref(got);
        }
        json_decref(a);
    }
}

static void sources_are_put_together_in_their_order(void **)
{
    SCOPED(buf_finish) struct buf args = buf_make(ASK_TEXT);
    check("Blob/upload",
          "'create':{'a':{'data':[{'data:asText':'x'},{'data:asBase64':'eQ=='}],'type':'text/x'},"
          "'b':{'data':[{'blobId':'#a'},{'data:asText':'z'},{'blobId':'#a','offset':1}]},"
          "'none':{'data':[]},'wrong':{'data':[],'type':7}}",
          "notCreated",
          "{'wrong':{'description':'a text is wanted, or null','properties':['type'],"
          "'type':'invalidProperties'}}");
    keep("B", "Blob/upload", "'create':{'b':{'data':[{'data:asText':'xy'},{'data:asText':'zy'}]}}",
         "created.b.id");
    check("Blob/get", "'ids':['$B']", "list.0", "{'data:asText':'xyzy','id':'$B','size':4}");
    for (int n = 64; n <= 65; n++) {
        buf_clear(&args);
        buf_addf(&args, "'create':{'b':{'data':[{'data:asText':'0'}");
        for (int i = 1; i < n; i++)
            buf_addf(&args, ",{'data:asText':'%d'}", i % 10);
        buf_addf(&args, "]}}");
        check("Blob/upload", buf_cstr(&args), n == 64 ? "created.b.size" : "notCreated.b.type",
              n == 64 ? "64" : "'invalidProperties'");
    }
}

static void what_a_blob_shows_is_said_exactly(void **)
{
    static const struct {
        const char *blob, *args, *want; /* what stands beside the id */
    } rows[] = {
        {"TEXT", "", "'data:asText':'caf\xc3\xa9','size':5"},
        {"TEXT", ",'properties':['data:asBase64']", "'data:asBase64':'Y2Fmw6k='"},
        {"TEXT", ",'properties':['size'],'length':2", "'size':5"},
        {"TEXT", ",'offset':1,'length':2", "'data:asText':'af','size':5"},
        {"TEXT", ",'offset':0,'length':5", "'data:asText':'caf\xc3\xa9','size':5"},
        {"TEXT", ",'offset':5", "'data:asText':'','size':5"},
        {"TEXT", ",'offset':3,'length':9", "'data:asText':'\xc3\xa9','isTruncated':true,'size':5"},
        {"TEXT", ",'offset':6", "'data:asText':'','isTruncated':true,'size':5"},
        /* In the middle of a character. */
        {"TEXT", ",'length':4", "'data:asBase64':'Y2Fmww==','isEncodingProblem':true,'size':5"},
        {"BYTES", "", "'data:asBase64':'/wAB','isEncodingProblem':true,'size':3"},
        {"BYTES", ",'properties':['data:asText','size']",
         "'data:asText':null,'isEncodingProblem':true,'size':3"},
        {"BYTES", ",'properties':['data:asBase64']", "'data:asBase64':'/wAB'"},
        /* Of what is shown, not of the whole. */
        {"TEXT", ",'properties':['digest:sha','digest:sha-256'],'offset':0,'length':0",
         "'digest:sha':'2jmj7l5rSw0yVb/vlWAYkK/YBwk=',"
         "'digest:sha-256':'47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"},
        {"TEXT", ",'properties':['digest:sha'],'offset':6",
         "'digest:sha':"
         "'2jmj7l5rSw0yVb/vlWAYkK/YBwk=','isTruncated':true"},
    };
    keep_blob("TEXT", "caf\\u00e9");
    keep("BYTES", "Blob/upload", "'create':{'b':{'data':[{'data:asBase64':'/wAB'}]}}",
         "created.b.id");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200], want[300];
        const char *at = strstr(rows[i].want, ",'isE");
        at = at ? at : strstr(rows[i].want, ",'isT");
        at = at ? at : strstr(rows[i].want, ",'size'");
        at = at ? at : strncmp(rows[i].want, "'size'", 6) == 0 ? rows[i].want : NULL;
        size_t n = at ? (size_t)(at - rows[i].want) : strlen(rows[i].want);
        snprintf(args, sizeof(args), "'ids':['$%s']%s", rows[i].blob, rows[i].args);
        snprintf(want, sizeof(want), "{%.*s%s'id':'$%s'%s%s}", (int)n, rows[i].want, n ? "," : "",
                 rows[i].blob, at && *at != ',' ? "," : "", at ? at : "");
        check("Blob/get", args, "list.0", want);
    }
    check("Blob/get", "'ids':['$TEXT'],'properties':['digest:md4']", "type", "'invalidArguments'");
    check("Blob/get", "'ids':['$TEXT'],'offset':-1", "type", "'invalidArguments'");
}

#define BLOB_MAIL                                                                                  \
    "'urn:ietf:params:jmap:core','urn:ietf:params:jmap:blob','urn:ietf:params:jmap:mail'"
#define BLOB "'urn:ietf:params:jmap:core','urn:ietf:params:jmap:blob'"

static void what_is_made_of_a_blob_is_told_to_its_owner_only(void **)
{
    static const char nothing[] = "{'Email':[],'Mailbox':[],'Thread':[]}";
    static const char lookup[] = "'typeNames':['Mailbox','Thread','Email'],'ids':['$ID']";
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    keep("T", "Email/get", "'ids':['$E'],'properties':['threadId']", "list.0.threadId");
    keep_blob("BLOB", "abc");
    keep_text("ID", kept[0].value); /* no blob's: a mailbox's */
    check("Blob/lookup", lookup, "notFound", "['$BOX']");
    check("Blob/lookup", "'typeNames':['Mailbox','Thread','Email'],'ids':['$E']", "list",
          "[{'id':'$E','matchedIds':{'Email':['$E'],'Mailbox':['$BOX'],'Thread':['$T']}}]");
    /* Nothing is made of it; it is somebody else's; there is none: one answer. */
    static const char *const names[] = {"BLOB", "E", "NONE"};
    keep_text("NONE", "Uaaaaaaaaaaaab");
    for (size_t i = 0; i < N_OF(names); i++) {
        char args[120];
        snprintf(args, sizeof(args), "'typeNames':['Mailbox','Thread','Email'],'ids':['$%s']",
                 names[i]);
        char *text = filled(args);
        json_t *a = kit_call_as(k, i == 1 ? &k->luca : &k->anna, "Blob/lookup", text);
        expect(a, "list.0.matchedIds", nothing);
        json_decref(a);
        mem_free(&text);
    }
    check("Email/set", "'destroy':['$E']", "destroyed", "['$E']");
    check("Blob/lookup", "'typeNames':['Mailbox','Thread','Email'],'ids':['$E']",
          "list.0.matchedIds", nothing);
}

static void types_that_are_not_asked_for_or_known_are_refused(void **)
{
    static const struct {
        const char *capabilities, *types, *error;
    } rows[] = {
        {BLOB_MAIL, "['Email']", NULL},
        {BLOB_MAIL, "[]", NULL},
        {BLOB, "['Email']", "'unknownDataType'"},
        {BLOB, "['Mailbox']", "'unknownDataType'"},
        {BLOB, "[]", NULL},
        {BLOB_MAIL, "['Email','Calendar']", "'unknownDataType'"},
        {BLOB_MAIL, "['Quota']", "'unknownDataType'"},
        {BLOB_MAIL, "['email']", "'unknownDataType'"},
        {BLOB_MAIL, "[7]", "'invalidArguments'"},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[100];
        snprintf(args, sizeof(args), "'typeNames':%s,'ids':[]", rows[i].types);
        json_t *a = ask_using(rows[i].capabilities, "Blob/lookup", args);
        if (rows[i].error)
            expect(a, "type", rows[i].error);
        else
            expect(a, "list", "[]");
        json_decref(a);
    }
}

/* ---- quotas ---- */

#define QUOTA "'urn:ietf:params:jmap:core','urn:ietf:params:jmap:quota'"
#define QUOTA_MAIL QUOTA ",'urn:ietf:params:jmap:mail'"

static void the_session_has_quotas(void **)
{
    json_t *a = capability(NULL, "urn:ietf:params:jmap:quota");
    json_t *b = capability(kit_account(&k->anna), "urn:ietf:params:jmap:quota");
    assert_true(json_is_object(a) && json_object_size(a) == 0);
    assert_true(json_is_object(b) && json_object_size(b) == 0);
    json_decref(a);
    json_decref(b);
}

static void a_quota_has_all_its_fields(void **)
{
    k->anna.quota_bytes = 5000;
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    json_t *size = ask("Email/get", "'ids':['$E'],'properties':['size']");
    json_t *a = ask("Quota/get", "'ids':null");
    assert_int_equal(json_array_size(kit_at(a, "list")), 1);
    expect(a, "list.0.resourceType", "'octets'");
    assert_number(a, "list.0.used", json_integer_value(kit_at(size, "list.0.size")));
    expect(a, "list.0.hardLimit", "5000");
    assert_true(json_integer_value(kit_at(a, "list.0.warnLimit")) < 5000);
    expect(a, "list.0.scope", "'account'");
    expect(a, "list.0.name", "'mail'");
    expect(a, "list.0.types", "['Email']");
    assert_int_equal(kit_text(a, "list.0.id")[0], 'Q');
    json_decref(a);
    json_decref(size);
}

static void who_knows_no_mail_sees_no_quota_of_mail(void **)
{
    k->anna.quota_bytes = 5000;
    keep("Q", "Quota/get", "'ids':null", "list.0.id");
    keep("OLD", "Thread/get", "'ids':[]", "state");
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    static const struct {
        const char *method, *args, *path, *with, *without;
    } rows[] = {
        {"Quota/get", "'ids':null,'properties':['types']", "list",
         "[{'id':'$Q','types':['Email']}]", "[]"},
        {"Quota/get", "'ids':['$Q']", "notFound", "[]", "['$Q']"},
        {"Quota/query", "", "ids", "['$Q']", "[]"},
        {"Quota/query", "'filter':{'type':'Email'}", "ids", "['$Q']", "[]"},
        {"Quota/changes", "'sinceState':'$OLD'", "updated", "['$Q']", "[]"},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        json_t *a = ask_using(QUOTA_MAIL, rows[i].method, rows[i].args);
        expect(a, rows[i].path, rows[i].with);
        json_decref(a);
        a = ask_using(QUOTA, rows[i].method, rows[i].args);
        expect(a, rows[i].path, rows[i].without);
        json_decref(a);
    }
}

static void quotas_are_found_and_sorted(void **)
{
    static const struct {
        const char *args, *path, *want;
    } rows[] = {
        {"'filter':{'name':'ai'}", "ids", "['$Q']"},
        {"'filter':{'name':'x'}", "ids", "[]"},
        {"'filter':{'scope':'account','resourceType':'octets','type':'Email'}", "ids", "['$Q']"},
        {"'filter':{'scope':'accoun'}", "ids", "[]"},
        {"'filter':{'resourceType':'count'}", "ids", "[]"},
        {"'filter':{'type':'Calendar'}", "ids", "[]"},
        {"'filter':{'type':['Email']}", "type", "'invalidArguments'"},
        {"'filter':{'used':1}", "type", "'unsupportedFilter'"},
        {"'filter':{}", "ids", "['$Q']"},
        {"'filter':null", "ids", "['$Q']"},
        {"'filter':[]", "type", "'invalidArguments'"},
        {"'filter':{'operator':'NOT','conditions':[{'type':'Email'}]}", "ids", "[]"},
        {"'filter':{'operator':'OR','conditions':[{'name':'x'},{'type':'Email'}]}", "ids",
         "['$Q']"},
        {"'filter':{'operator':'AND','conditions':[{'name':'x'},{'type':'Email'}]}", "ids", "[]"},
        {"'sort':[{'property':'name'},{'property':'used','isAscending':false}]", "ids", "['$Q']"},
        {"'sort':[{'property':'scope'}]", "type", "'unsupportedSort'"},
        {"'colour':1", "type", "'invalidArguments'"},
        {"'calculateTotal':true", "total", "1"},
        {"'limit':0", "ids", "[]"},
    };
    k->anna.quota_bytes = 5000;
    keep("Q", "Quota/get", "'ids':null", "list.0.id");
    for (size_t i = 0; i < N_OF(rows); i++)
        check("Quota/query", rows[i].args, rows[i].path, rows[i].want);
    check("Quota/queryChanges", "'sinceQueryState':'1'", "type", "'cannotCalculateChanges'");
}

/* Everything that can ever change is among them: nobody need fetch more. */
static void what_changes_of_a_quota_is_named(void **)
{
    k->anna.quota_bytes = 5000;
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    keep("OLD", "Quota/get", "'ids':null", "state");
    json_t *before = ask("Quota/get", "'ids':null");
    check("Quota/changes", "'sinceState':'$OLD'", "updated", "[]");
    /* A mark weighs nothing. */
    check("Email/set", "'update':{'$E':{'keywords/$seen':true}}", "updated", "{'$E':null}");
    check("Quota/get", "'ids':null", "state", "'$OLD'");
    check("Email/set", "'destroy':['$E']", "destroyed", "['$E']");
    k->anna.quota_bytes = 6000;
    json_t *changes = ask("Quota/changes", "'sinceState':'$OLD'");
    json_t *after = ask("Quota/get", "'ids':null");
    assert_string_equal(kit_text(changes, "updated.0"), kit_text(after, "list.0.id"));
    assert_string_equal(kit_text(changes, "newState"), kit_text(after, "state"));
    const json_t *names = kit_at(changes, "updatedProperties"), *now = kit_at(after, "list.0");
    const json_t *then = kit_at(before, "list.0"), *one;
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)now, key, value)
    {
        bool is_named = false;
        json_array_foreach(names, i, one) is_named |= strcmp(json_string_value(one), key) == 0;
        if (!is_named && !json_equal(json_object_get(then, key), value))
            fail_msg("%s", key);
    }
    json_decref(before);
    json_decref(changes);
    json_decref(after);
    check("Quota/changes", "'sinceState':'999999999'", "type", "'cannotCalculateChanges'");
}

/* ---- what is pushed of them ---- */

static json_t *pushed(void)
{
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    struct account *a;
    struct errinfo ei;
    assert_int_equal(account_hold(k->accounts, k->reader, KIT_ANNA, SECONDS(1), &a, &ei), ERR_OK);
    jmap_state_change(KIT_ANNA, a, &out);
    account_let_go(&a);
    json_t *o = json_loadb(out.p, out.n, 0, NULL);
    json_t *states =
        json_incref(json_object_get(json_object_get(o, "changed"), kit_account(&k->anna)));
    json_decref(o);
    return states;
}

static void a_pushed_state_is_the_one_that_get_gives(void **)
{
    static const char *const types[] = {"Mailbox", "Thread", "Email", "Quota"};
    k->anna.quota_bytes = 5000;
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    json_t *states = pushed();
    for (size_t i = 0; i < N_OF(types); i++) {
        char method[40];
        snprintf(method, sizeof(method), "%s/get", types[i]);
        keep_text("STATE", json_string_value(json_object_get(states, types[i])));
        check(method, "'ids':[]", "state", "'$STATE'");
    }
    static const char *const others[] = {"Identity", "EmailSubmission", "VacationResponse",
                                         "EmailDelivery"};
    for (size_t i = 0; i < N_OF(others); i++)
        assert_true(json_is_string(json_object_get(states, others[i])));
    json_decref(states);
}

/* RFC 8621 section 1.5 */
static void email_delivery_changes_with_what_comes_and_with_nothing_else(void **)
{
    static const struct {
        const char *method, *args;
        bool is_news;
    } rows[] = {
        {"Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", true},
        {"Email/set", "'update':{'$E':{'keywords/$seen':true}}", false},
        {"Email/set", "'update':{'$E':{'mailboxIds':{'$JUNK':true}}}", false},
        {"Email/import", "'emails':{'i':{'blobId':'$E','mailboxIds':{'$BOX':true}}}", true},
        {"Email/set", "'destroy':['$E']", false},
        {"Mailbox/set", "'create':{'m':{'name':'m'}}", false},
    };
    keep_box("BOX", "inbox");
    keep_box("JUNK", "junk");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    for (size_t i = 0; i < N_OF(rows); i++) {
        json_t *before = pushed(), *a = ask(rows[i].method, rows[i].args), *after = pushed();
        assert_false(json_equal(before, after)); /* something has changed */
        assert_int_equal(json_equal(json_object_get(before, "EmailDelivery"),
                                    json_object_get(after, "EmailDelivery")),
                         !rows[i].is_news);
        json_decref(before);
        json_decref(after);
        json_decref(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_session_has_what_blobs_may_be),
        TEST(what_a_source_means_is_never_guessed),
        TEST(sources_are_put_together_in_their_order),
        TEST(what_a_blob_shows_is_said_exactly),
        TEST(what_is_made_of_a_blob_is_told_to_its_owner_only),
        TEST(types_that_are_not_asked_for_or_known_are_refused),
        TEST(the_session_has_quotas),
        TEST(a_quota_has_all_its_fields),
        TEST(who_knows_no_mail_sees_no_quota_of_mail),
        TEST(quotas_are_found_and_sorted),
        TEST(what_changes_of_a_quota_is_named),
        TEST(a_pushed_state_is_the_one_that_get_gives),
        TEST(email_delivery_changes_with_what_comes_and_with_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
