/* The envelope of JMAP requests: what is refused, references, creation ids, the session. */
#include "jmap_kit.h"

#include "jmap/jmap_int.h"

#define USING "'using':['urn:ietf:params:jmap:core','urn:ietf:params:jmap:mail']"

static int open_kit(void **state)
{
    struct kit *k = mem_new(sizeof(*k));
    kit_open(k);
    *state = k;
    return 0;
}

static int close_kit(void **state)
{
    struct kit *k = *state;
    kit_close(k);
    mem_free(&k);
    return 0;
}

static void a_request_that_is_none_is_refused_as_the_rfc_words_it(void **state)
{
    static const struct {
        const char *text, *type, *limit;
    } rows[] = {
        {"", "urn:ietf:params:jmap:error:notJSON", NULL},
        {"{", "urn:ietf:params:jmap:error:notJSON", NULL},
        {"{'a':1,'a':2}", "urn:ietf:params:jmap:error:notJSON", NULL},
        {"{'a':'\xff'}", "urn:ietf:params:jmap:error:notJSON", NULL},
        {"{'using':[],'methodCalls':[],'a':'\\ud800'}", "urn:ietf:params:jmap:error:notJSON", NULL},
        {"{'using':[],'methodCalls':[],'a':'\xef\xbf\xbe'}", "urn:ietf:params:jmap:error:notJSON",
         NULL},
        {"{'using':[],'methodCalls':[],'a':['\\ufdd0']}", "urn:ietf:params:jmap:error:notJSON",
         NULL},
        {"{'using':[],'methodCalls':[],'\\ud83f\\udffe':1}", "urn:ietf:params:jmap:error:notJSON",
         NULL},
        {"7", "urn:ietf:params:jmap:error:notRequest", NULL},
        {"[]", "urn:ietf:params:jmap:error:notRequest", NULL},
        {"{}", "urn:ietf:params:jmap:error:notRequest", NULL},
        {"{'using':[],'methodCalls':{}}", "urn:ietf:params:jmap:error:notRequest", NULL},
        {"{'using':[1],'methodCalls':[]}", "urn:ietf:params:jmap:error:notRequest", NULL},
        {"{'using':[],'methodCalls':[['a',{}]]}", "urn:ietf:params:jmap:error:notRequest", NULL},
        {"{'using':[],'methodCalls':[['a',[],'b']]}", "urn:ietf:params:jmap:error:notRequest",
         NULL},
        {"{'using':[],'methodCalls':[],'createdIds':[]}", "urn:ietf:params:jmap:error:notRequest",
         NULL},
        {"{'using':['urn:x'],'methodCalls':[]}", "urn:ietf:params:jmap:error:unknownCapability",
         NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned status;
        json_t *a = kit_ask_as(*state, &((struct kit *)*state)->anna, rows[i].text, &status);
        assert_int_equal(status, 400);
        assert_text(a, "type", rows[i].type);
        assert_number(a, "status", 400);
        json_decref(a);
    }
}

static void too_much_is_refused_with_the_limits_name(void **state)
{
    struct kit *k = *state;
    unsigned status;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    buf_addf(&b, "{" USING ",'methodCalls':[");
    for (int i = 0; i <= JMAP_CALLS_MAX; i++)
        buf_addf(&b, "%s['Core/echo',{},'%d']", i ? "," : "", i);
    buf_addf(&b, "]}");
    json_t *a = kit_ask_as(k, &k->anna, buf_cstr(&b), &status);
    assert_int_equal(status, 400);
    assert_text(a, "limit", "maxCallsInRequest");
    json_decref(a);
    char *large = mem_new(JMAP_SIZE_REQUEST_MAX + 1);
    memset(large, ' ', JMAP_SIZE_REQUEST_MAX + 1);
    buf_clear(&k->out);
    assert_int_equal(
        jmap_api(k->jmap, k->reader, &k->anna, slice_of(large, JMAP_SIZE_REQUEST_MAX + 1), &k->out),
        400);
    assert_non_null(strstr(buf_cstr(&k->out), "maxSizeRequest"));
    memset(large, '[', 100000); /* deeper than anybody writes */
    buf_clear(&k->out);
    assert_int_equal(jmap_api(k->jmap, k->reader, &k->anna, slice_of(large, 100000), &k->out), 400);
    mem_free(&large);
}

static void calls_are_answered_in_order_and_unknown_ones_by_an_error(void **state)
{
    struct kit *k = *state;
    json_t *a = kit_ask_as(k, &k->anna,
                           "{" USING ",'methodCalls':[['Core/echo',{'x':[1,{'y':null}]},'a'],"
                           "['Mailbox/nothing',{},'b'],['Quota/get',{},'c'],"
                           "['Mailbox/get',{'accountId':'Ax'},'d'],['Mailbox/get',{},'e']]}",
                           NULL);
    assert_text(a, "methodResponses.0.0", "Core/echo");
    assert_true(json_is_null(kit_at(a, "methodResponses.0.1.x.1.y")));
    assert_text(a, "methodResponses.0.2", "a");
    assert_text(a, "methodResponses.1.1.type", "unknownMethod");
    assert_text(a, "methodResponses.2.1.type", "unknownMethod"); /* not in `using` */
    assert_text(a, "methodResponses.3.1.type", "accountNotFound");
    assert_text(a, "methodResponses.4.1.type", "invalidArguments");
    assert_non_null(kit_at(a, "sessionState"));
    assert_null(kit_at(a, "createdIds"));
    json_decref(a);
}

static void results_of_earlier_calls_can_be_referred_to(void **state)
{
    struct kit *k = *state;
    static const struct {
        const char *path, *type; /* NULL: it leads somewhere */
    } rows[] = {
        {"/a", NULL},
        {"/list/*/id", NULL},
        {"/list/0/id", NULL},
        {"/list/*/ids", NULL},
        {"/with~1slash", NULL},
        {"", NULL},
        {"/nothing", "invalidResultReference"},
        {"/list/7", "invalidResultReference"},
        {"/list/00", "invalidResultReference"},
        {"/list/*/missing", "invalidResultReference"},
        {"list", "invalidResultReference"},
        {"/a~2", "invalidResultReference"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1000];
        snprintf(text, sizeof(text),
                 "{" USING ",'methodCalls':[['Core/echo',{'a':1,'with/slash':2,'list':["
                 "{'id':'x','ids':['p','q']},{'id':'y','ids':['r']}]},'0'],"
                 "['Core/echo',{'#got':{'resultOf':'0','name':'Core/echo','path':'%s'}},'1']]}",
                 rows[i].path);
        json_t *a = kit_ask_as(k, &k->anna, text, NULL);
        if (rows[i].type)
            assert_text(a, "methodResponses.1.1.type", rows[i].type);
        else
            assert_non_null(kit_at(a, "methodResponses.1.1.got"));
        if (strcmp(rows[i].path, "/list/*/ids") == 0) { /* made flat */
            assert_text(a, "methodResponses.1.1.got.2", "r");
            assert_int_equal(json_array_size(kit_at(a, "methodResponses.1.1.got")), 3);
        }
        json_decref(a);
    }
    json_t *a =
        kit_ask_as(k, &k->anna,
                   "{" USING ",'methodCalls':[['Core/echo',{'a':1},'0'],['Core/echo',{'a':2,"
                   "'#a':{'resultOf':'0','name':'Core/echo','path':'/a'}},'1'],"
                   "['Core/echo',{'#b':{'resultOf':'9','name':'Core/echo','path':'/a'}},'2'],"
                   "['Core/echo',{'a':7},'0'],"
                   "['Core/echo',{'#b':{'resultOf':'0','name':'Core/echo','path':'/a'}},'3'],"
                   "['Core/echo',{'#b':{'resultOf':'0','name':'Email/get','path':'/a'}},'4'],"
                   "['Core/echo',{'#b':{'resultOf':'1','name':'Core/echo','path':'/type'}},'5'],"
                   "['Core/echo',{'#b':{'resultOf':'1','name':'error','path':'/type'}},'6'],"
                   "['Core/echo',{'#b':{'resultOf':'7','name':'Core/echo','path':''}},'7'],"
                   "['Core/echo',{'#b':5},'8']]}",
                   NULL);
    assert_text(a, "methodResponses.1.1.type", "invalidArguments"); /* both `a` and `#a` */
    assert_text(a, "methodResponses.2.1.type", "invalidResultReference");
    assert_number(a, "methodResponses.4.1.b", 1); /* the first of the two with this id */
    assert_text(a, "methodResponses.5.1.type", "invalidResultReference");
    assert_text(a, "methodResponses.6.1.type", "invalidResultReference");
    assert_text(a, "methodResponses.7.1.b", "invalidArguments");
    assert_text(a, "methodResponses.8.1.type", "invalidResultReference"); /* to itself */
    assert_text(a, "methodResponses.9.1.type", "invalidArguments");
    json_decref(a);
}

/* Whatever strangers write: what is no character comes out as one that says so. */
static void answers_are_i_json(void **state)
{
    static const struct {
        const char *there, *told;
    } rows[] = {
        {"a\xef\xbf\xbe"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xef\xb7\x90", "\xef\xbf\xbd"},
        {"\xef\xb7\xaf\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\xbf\xbe", "\xef\xbf\xbd"},
        {"\xf4\x8f\xbf\xbf", "\xef\xbf\xbd"},
        {"\xef\xb7\xb0", "\xef\xb7\xb0"},
        {"\xef\xbf\xbd", "\xef\xbf\xbd"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    };
    struct kit *k = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(1000);
        jmap_write(&out, json_pack("{s:s}", "a", rows[i].there));
        json_t *a = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
        assert_text(a, "a", rows[i].told);
        assert_true(jmap_is_ijson(a));
        json_decref(a);
    }
    buf_clear(&k->out);
}

static void creation_ids_live_from_call_to_call_and_from_request_to_request(void **state)
{
    struct kit *k = *state;
    char text[1000];
    snprintf(text, sizeof(text),
             "{" USING ",'createdIds':{'old':'Bx'},'methodCalls':[['Mailbox/set',{'accountId':'%s',"
             "'create':{'k1':{'name':'One'}}},'0'],['Mailbox/set',{'accountId':'%s','create':"
             "{'k2':{'name':'Two','parentId':'#k1'}}},'1']]}",
             kit_account(&k->anna), kit_account(&k->anna));
    json_t *a = kit_ask_as(k, &k->anna, text, NULL);
    assert_text(a, "createdIds.old", "Bx");
    assert_string_equal(kit_text(a, "createdIds.k1"),
                        kit_text(a, "methodResponses.0.1.created.k1.id"));
    assert_non_null(kit_at(a, "createdIds.k2"));
    json_decref(a);
}

static void the_session_says_everything_that_clients_need(void **state)
{
    struct kit *k = *state;
    char path[100];
    buf_clear(&k->out);
    assert_int_equal(jmap_session(k->jmap, &k->anna, &k->out), 200);
    json_t *s = json_loadb(k->out.p, k->out.n, 0, NULL);
    assert_text(s, "username", "anna@example.test");
    assert_text(s, "apiUrl", "https://mail.test/jmap/api");
    static const char *const urls[] = {"downloadUrl", "uploadUrl", "eventSourceUrl"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(strncmp(kit_text(s, urls[i]), "https://mail.test/", 18), 0);
    static const char *const limits[] = {
        "maxSizeUpload",     "maxConcurrentUpload", "maxSizeRequest", "maxConcurrentRequests",
        "maxCallsInRequest", "maxObjectsInGet",     "maxObjectsInSet"};
    const json_t *core = json_object_get(kit_at(s, "capabilities"), "urn:ietf:params:jmap:core");
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        assert_true(json_integer_value(json_object_get(core, limits[i])) > 0);
    snprintf(path, sizeof(path), "accounts.%s.accountCapabilities", kit_account(&k->anna));
    const json_t *mail = json_object_get(kit_at(s, path), "urn:ietf:params:jmap:mail");
    static const char *const facts[] = {"maxMailboxesPerEmail",  "maxMailboxDepth",
                                        "maxSizeMailboxName",    "maxSizeAttachmentsPerEmail",
                                        "emailQuerySortOptions", "mayCreateTopLevelMailbox"};
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        assert_non_null(json_object_get(mail, facts[i]));
    json_t *a = kit_ask_as(k, &k->anna, "{" USING ",'methodCalls':[]}", NULL);
    assert_string_equal(kit_text(a, "sessionState"), kit_text(s, "state"));
    json_decref(a);
    json_decref(s);
}

static void another_persons_account_is_not_found_by_any_method(void **state)
{
    struct kit *k = *state;
    static const char *const methods[] = {
        "Mailbox/get",   "Mailbox/changes", "Mailbox/query",  "Mailbox/queryChanges",
        "Mailbox/set",   "Thread/get",      "Thread/changes", "Email/get",
        "Email/changes", "Email/query",     "Email/set",      "Email/queryChanges",
        "Email/import",  "Email/parse",     "Email/copy",     "SearchSnippet/get",
        "Quota/get",     "Quota/changes",   "Quota/query",    "Quota/queryChanges",
        "Blob/upload",   "Blob/get",        "Blob/lookup"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        char text[600];
        snprintf(text, sizeof(text),
                 "{'using':['urn:ietf:params:jmap:mail','urn:ietf:params:jmap:quota',"
                 "'urn:ietf:params:jmap:blob'],'methodCalls':[['%s',{'accountId':'%s'},'0']]}",
                 methods[i], kit_account(&k->luca));
        json_t *a = kit_ask_as(k, &k->anna, text, NULL);
        assert_text(a, "methodResponses.0.1.type", "accountNotFound");
        json_decref(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_is_none_is_refused_as_the_rfc_words_it),
        cmocka_unit_test(too_much_is_refused_with_the_limits_name),
        cmocka_unit_test(calls_are_answered_in_order_and_unknown_ones_by_an_error),
        cmocka_unit_test(results_of_earlier_calls_can_be_referred_to),
        cmocka_unit_test(answers_are_i_json),
        cmocka_unit_test(creation_ids_live_from_call_to_call_and_from_request_to_request),
        cmocka_unit_test(the_session_says_everything_that_clients_need),
        cmocka_unit_test(another_persons_account_is_not_found_by_any_method),
    };
    return cmocka_run_group_tests(tests, open_kit, close_kit);
}
