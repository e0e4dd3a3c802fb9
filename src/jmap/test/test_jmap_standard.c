/* What the methods of all types do alike (RFC 8620 sections 1, 3.9 and 5), by tables of methods. */
#include "jmap_calls.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* One call; its name into `ret_name` ("error" or the method's), its arguments the caller's. */
static json_t *call(const char *method, const char *args, const char **ret_name)
{
    static char name[40];
    SCOPED(buf_finish) struct buf b = buf_make(20000);
    buf_addf(&b, "[['%s',{@@%s%s},'0']]", method, args[0] ? "," : "", args);
    json_t *answer = ask(buf_cstr(&b));
    json_t *result = json_incref((json_t *)(uintptr_t)kit_at(answer, "0.1"));
    snprintf(name, sizeof(name), "%s", kit_text(answer, "0.0"));
    if (ret_name)
        *ret_name = name;
    json_decref(answer);
    return result;
}

static void refuses(const char *method, const char *args, const char *type)
{
    json_t *a = call(method, args, NULL);
    if (strcmp(kit_text(a, "type"), type) != 0)
        fail_msg("%s {%s}: %s, not %s", method, args, kit_text(a, "type"), type);
    json_decref(a);
}

/* Three emails of different ages, sizes and subjects, two mailboxes more, a quota. */
static void fill(void)
{
    char calls[4000];
    kit.anna.quota_bytes = 1 << 20;
    json_t *a = ask("[['Mailbox/query',{@@,'filter':{'role':'inbox'}},'0'],"
                    "['Mailbox/set',{@@,'create':{'a':{'name':'one'},'b':{'name':'two'}}},'1']]");
    const char *box = kit_text(a, "0.1.ids.0");
    snprintf(
        calls, sizeof(calls),
        "[['Email/set',{@@,'create':{"
        "'a':{'mailboxIds':{'%s':true},'subject':'aa','receivedAt':'2026-01-01T00:00:00Z',"
        "'from':[{'email':'anna@example.test'}]},"
        "'b':{'mailboxIds':{'%s':true},'subject':'bbbbb','receivedAt':'2026-01-02T00:00:00.5Z',"
        "'from':[{'email':'anna@example.test'}]},"
        "'c':{'mailboxIds':{'%s':true},'subject':'ccccccccc','receivedAt':'2026-01-03T00:00:00Z',"
        "'from':[{'email':'anna@example.test'}],'sentAt':'2026-01-03T02:00:00+02:00'}}},'0']]",
        box, box, box);
    json_decref(a);
    a = ask(calls);
    assert_int_equal(json_object_size(kit_at(a, "0.1.created")), 3);
    json_decref(a);
}

/* ---- types of values ---- */

static const char *const getters[] = {"Mailbox/get",          "Email/get",
                                      "Identity/get",         "Quota/get",
                                      "VacationResponse/get", "EmailSubmission/get"};

static bool is_id(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", s[i]))
            return false;
    return n >= 1 && n <= 255;
}

static void ids_are_ids_and_no_two_are_alike(void **)
{
    fill();
    for (size_t i = 0; i < N_OF(getters); i++) {
        json_t *a = call(getters[i], "", NULL), *seen = json_object(), *one;
        size_t k;
        json_array_foreach(kit_at(a, "list"), k, one)
        {
            const char *id = kit_text(one, "id");
            assert_true(is_id(id));
            assert_null(json_object_get(seen, id));
            json_object_set_new(seen, id, json_true());
        }
        assert_true(k >= 1 || strcmp(getters[i], "EmailSubmission/get") == 0);
        assert_true(is_id(kit_text(a, "accountId")));
        json_decref(seen);
        json_decref(a);
    }
    json_t *a = call("Email/get", "'properties':['blobId','threadId']", NULL), *one;
    size_t k;
    json_array_foreach(kit_at(a, "list"), k, one)
    {
        assert_true(is_id(kit_text(one, "blobId")) && is_id(kit_text(one, "threadId")));
    }
    json_decref(a);
}

static void times_are_written_and_read_in_one_way(void **)
{
    static const struct {
        const char *text;
        bool is_time;
    } rows[] = {
        {"2026-01-02T00:00:00Z", true},
        {"2026-01-02T00:00:00.25Z", true},
        {"2024-02-29T23:59:59Z", true},
        {"2026-01-02t00:00:00Z", false},
        {"2026-01-02T00:00:00z", false},
        {"2026-01-02T00:00:00+00:00", false},
        {"2026-01-02T02:00:00+02:00", false},
        {"2026-01-02T00:00:00", false},
        {"2026-01-02", false},
        {"2026-13-02T00:00:00Z", false},
        {"2026-00-02T00:00:00Z", false},
        {"2026-02-31T00:00:00Z", false},
        {"2026-04-31T00:00:00Z", false},
        {"2026-02-29T00:00:00Z", false},
        {"2028-02-29T23:59:60Z", true},
        {"2026-01-00T00:00:00Z", false},
        {"2026-01-02T\\t1:00:00Z", false},
        {"2026-01-\\n2T00:00:00Z", false},
        {"2026-01-02T00:00:00.Z", false},
        {"2026-01-02T25:00:00Z", false},
        {"26-01-02T00:00:00Z", false},
        {"2026-1-2T0:0:0Z", false},
        {"", false},
    };
    fill();
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200];
        snprintf(args, sizeof(args), "'filter':{'after':'%s'}", rows[i].text);
        json_t *a = call("Email/query", args, NULL);
        if (json_is_array(kit_at(a, "ids")) != rows[i].is_time)
            fail_msg("%s", rows[i].text);
        json_decref(a);
    }
    json_t *a = call("Email/get", "'properties':['receivedAt','sentAt']", NULL);
    assert_text(a, "list.0.receivedAt", "2026-01-03T00:00:00Z");
    assert_text(a, "list.0.sentAt", "2026-01-03T02:00:00+02:00");
    assert_text(a, "list.1.receivedAt", "2026-01-02T00:00:00Z"); /* no fraction but in its place */
    json_decref(a);
}

/* ---- arguments ---- */

static const char *const methods[] = {"Mailbox/get",
                                      "Mailbox/changes",
                                      "Mailbox/query",
                                      "Mailbox/queryChanges",
                                      "Mailbox/set",
                                      "Thread/get",
                                      "Thread/changes",
                                      "Email/get",
                                      "Email/changes",
                                      "Email/query",
                                      "Email/queryChanges",
                                      "Email/set",
                                      "Email/copy",
                                      "Email/import",
                                      "Email/parse",
                                      "SearchSnippet/get",
                                      "Quota/get",
                                      "Quota/changes",
                                      "Quota/query",
                                      "Quota/queryChanges",
                                      "Blob/copy",
                                      "Blob/upload",
                                      "Blob/get",
                                      "Blob/lookup",
                                      "Identity/get",
                                      "Identity/changes",
                                      "Identity/set",
                                      "VacationResponse/get",
                                      "VacationResponse/set",
                                      "EmailSubmission/get",
                                      "EmailSubmission/changes",
                                      "EmailSubmission/query",
                                      "EmailSubmission/queryChanges",
                                      "EmailSubmission/set"};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static void wrong_arguments_are_refused_by_every_method(void **)
{
    static const struct {
        const char *of, *args; /* of: how the method's name ends */
    } rows[] = {
        {"/get", "'ids':'x'"},
        {"/get", "'ids':[1]"},
        {"/get", "'ids':{}"},
        {"/get", "'ids':[],'properties':'id'"},
        {"/get", "'ids':[],'properties':[1]"},
        {"/get", "'ids':[],'properties':['colour']"},
        {"/changes", ""},
        {"/changes", "'sinceState':1"},
        {"/changes", "'sinceState':null"},
        {"/changes", "'sinceState':'0','maxChanges':0"},
        {"/changes", "'sinceState':'0','maxChanges':-1"},
        {"/changes", "'sinceState':'0','maxChanges':1.5"},
        {"/changes", "'sinceState':'0','maxChanges':'1'"},
        {"/changes", "'sinceState':'0','maxChanges':9007199254740992"},
        {"/set", "'create':[]"},
        {"/set", "'create':{'a':1}"},
        {"/set", "'update':{'a':null}"},
        {"/set", "'destroy':'x'"},
        {"/set", "'destroy':[1]"},
        {"/set", "'ifInState':1"},
        {"/query", "'filter':1"},
        {"/query", "'filter':[]"},
        {"/query", "'filter':{'operator':'XOR','conditions':[]}"},
        {"/query", "'filter':{'operator':'and','conditions':[]}"},
        {"/query", "'filter':{'operator':1,'conditions':[]}"},
        {"/query", "'filter':{'operator':'AND'}"},
        {"/query", "'filter':{'operator':'AND','conditions':{}}"},
        {"/query", "'filter':{'operator':'AND','conditions':[1]}"},
        {"/query", "'sort':{}"},
        {"/query", "'sort':[{}]"},
        {"/query", "'sort':[{'property':1}]"},
        {"/query", "'position':'1'"},
        {"/query", "'position':0.5"},
        {"/query", "'position':9007199254740992"},
        {"/query", "'anchor':1"},
        {"/query", "'anchorOffset':'x'"},
        {"/query", "'limit':-1"},
        {"/query", "'limit':'1'"},
        {"/query", "'calculateTotal':1"},
        {"/queryChanges", ""},
        {"/queryChanges", "'sinceQueryState':7"},
        {"/queryChanges", "'sinceQueryState':'0','maxChanges':-1"},
        {"/queryChanges", "'sinceQueryState':'0','upToId':7"},
        {"/queryChanges", "'sinceQueryState':'0','filter':1"},
        {"/copy", ""},
        {"/copy", "'fromAccountId':7,'blobIds':[]"},
        {"", "'colour':'red'"},
    };
    static const char *const not_standard[] = {"SearchSnippet/get", "Blob/get",
                                               "Quota/queryChanges"};
    fill();
    for (size_t m = 0; m < N_OF(methods); m++)
        for (size_t i = 0; i < N_OF(rows); i++) {
            bool is_apart = false;
            for (size_t k = 0; k < N_OF(not_standard); k++)
                is_apart |= strcmp(methods[m], not_standard[k]) == 0;
            if (ends_with(methods[m], rows[i].of) && !(is_apart && rows[i].of[0]))
                refuses(methods[m], rows[i].args, "invalidArguments");
        }
}

static void what_is_not_said_means_the_default(void **)
{
    static const struct {
        const char *method, *less, *more;
    } rows[] = {
        {"Email/get", "",
         "'ids':null,'properties':null,'fetchTextBodyValues':false,"
         "'fetchHTMLBodyValues':false,'fetchAllBodyValues':false,"
         "'maxBodyValueBytes':0"},
        {"Mailbox/get", "", "'ids':null,'properties':null"},
        {"Mailbox/changes", "'sinceState':'0'", "'sinceState':'0','maxChanges':null"},
        {"Mailbox/query", "'sort':[{'property':'name'}]",
         "'filter':null,'sort':[{'property':'name','isAscending':true}],'position':0,"
         "'anchor':null,'anchorOffset':0,'limit':null,'calculateTotal':false,"
         "'sortAsTree':false,'filterAsTree':false"},
        {"Email/query", "",
         "'filter':null,'sort':null,'position':0,'anchor':null,'anchorOffset':0,'limit':null,"
         "'calculateTotal':false,'collapseThreads':false"},
        {"Email/query", "'sort':[]", "'sort':null"},
        {"Email/queryChanges", "'sinceQueryState':'0'",
         "'sinceQueryState':'0','filter':null,'sort':null,'maxChanges':null,'upToId':null,"
         "'calculateTotal':false,'collapseThreads':false"},
        {"EmailSubmission/query", "", "'filter':null,'sort':null,'position':0,'limit':null"},
        {"Quota/query", "", "'filter':null,'sort':null,'position':0,'limit':null"},
        {"Email/set", "", "'ifInState':null,'create':null,'update':null,'destroy':null"},
    };
    fill();
    for (size_t i = 0; i < N_OF(rows); i++) {
        const char *name;
        json_t *less = call(rows[i].method, rows[i].less, NULL);
        json_t *more = call(rows[i].method, rows[i].more, &name);
        if (!json_equal(less, more) || strcmp(name, rows[i].method) != 0)
            fail_msg("%s", rows[i].method);
        json_decref(less);
        json_decref(more);
    }
}

/* ---- /get ---- */

static void an_id_that_is_asked_for_twice_is_answered_once(void **)
{
    fill();
    for (size_t i = 0; i < N_OF(getters); i++) {
        char args[300];
        json_t *a = call(getters[i], "", NULL);
        const char *id = kit_text(a, "list.0.id");
        snprintf(args, sizeof(args), "'ids':['%s','nothing','%s','nothing'],'properties':[]", id,
                 id);
        json_t *b = call(getters[i], args, NULL);
        bool is_there = id[0] != '(';
        assert_int_equal(json_array_size(kit_at(b, "list")), is_there);
        assert_int_equal(json_array_size(kit_at(b, "notFound")), is_there ? 1 : 2);
        if (is_there) {
            assert_text(b, "list.0.id", id); /* always, and nothing else */
            assert_int_equal(json_object_size(kit_at(b, "list.0")), 1);
        }
        json_decref(b);
        b = call(getters[i], "'ids':[]", NULL);
        assert_int_equal(json_array_size(kit_at(b, "list")), 0);
        json_decref(b);
        json_decref(a);
    }
}

/* ---- states ---- */

static void state_of(const char *type, char ret[40])
{
    char method[60];
    snprintf(method, sizeof(method), "%s/get", type);
    json_t *a = call(method, "'ids':[]", NULL);
    snprintf(ret, 40, "%s", kit_text(a, "state"));
    json_decref(a);
}

static void a_state_changes_with_its_data_and_only_then(void **)
{
    static const struct {
        const char *type, *method, *args; /* X: the newest email */
    } rows[] = {
        {"Mailbox", "Mailbox/set", "'create':{'n':{'name':'new'}}"},
        {"Email", "Email/set", "'update':{'X':{'keywords/$seen':true}}"},
        {"Mailbox", "Email/set", "'update':{'X':{'keywords/$seen':null}}"}, /* it counts them */
        {"Thread", "Email/set", "'destroy':['X']"},
        {"Quota", "Email/set", "'destroy':['X']"},
        {"Identity", "Identity/set", "'create':{'n':{'email':'anna@example.test'}}"},
        {"VacationResponse", "VacationResponse/set", "'update':{'singleton':{'isEnabled':true}}"},
    };
    fill();
    for (size_t i = 0; i < N_OF(rows); i++) {
        char before[40], after[40], args[300];
        json_t *a = call("Email/query", "", NULL);
        const char *x = strchr(rows[i].args, 'X');
        snprintf(args, sizeof(args), "%.*s%s%s", x ? (int)(x - rows[i].args) : 0, rows[i].args,
                 x ? kit_text(a, "ids.0") : rows[i].args, x ? x + 1 : "");
        json_decref(a);
        state_of(rows[i].type, before);
        state_of(rows[i].type, after);
        assert_string_equal(before, after);
        json_decref(call(rows[i].method, args, NULL));
        state_of(rows[i].type, after);
        if (strcmp(before, after) == 0)
            fail_msg("%s after %s", rows[i].type, rows[i].args);
    }
}

static void changes_are_given_in_portions_that_lead_to_the_whole(void **)
{
    static const char *const types[] = {"Mailbox", "Email", "Thread", "Identity"};
    fill();
    for (size_t i = 0; i < N_OF(types); i++) {
        char method[60], args[100], state[40] = "0", end[40];
        size_t n = 0;
        snprintf(method, sizeof(method), "%s/changes", types[i]);
        state_of(types[i], end);
        for (unsigned turn = 0; strcmp(state, end) != 0; turn++) {
            snprintf(args, sizeof(args), "'sinceState':'%s','maxChanges':1", state);
            json_t *a = call(method, args, NULL);
            size_t all = json_array_size(kit_at(a, "created")) +
                         json_array_size(kit_at(a, "updated")) +
                         json_array_size(kit_at(a, "destroyed"));
            assert_true(all <= 1 && turn < 50);
            assert_text(a, "oldState", state);
            n += json_array_size(kit_at(a, "created"));
            snprintf(state, sizeof(state), "%s", kit_text(a, "newState"));
            assert_int_equal(json_is_true(kit_at(a, "hasMoreChanges")), strcmp(state, end) != 0);
            json_decref(a);
        }
        json_t *whole = call(method, "'sinceState':'0'", NULL);
        assert_int_equal(json_array_size(kit_at(whole, "created")), n);
        assert_true(n > 0);
        json_decref(whole);
        refuses(method, "'sinceState':'999999'", "cannotCalculateChanges");
        refuses(method, "'sinceState':'never'", "cannotCalculateChanges");
    }
}

/* One email in two mailboxes: both change with one number. */
static void a_state_lies_between_what_changed_together(void **)
{
    char calls[600], first[40];
    json_t *a = ask("[['Mailbox/set',{@@,'create':{'a':{'name':'a'},'b':{'name':'b'}}},'0']]");
    snprintf(calls, sizeof(calls),
             "[['Mailbox/get',{@@,'ids':[]},'0'],['Email/set',{@@,'create':{'x':{'mailboxIds':"
             "{'%s':true,'%s':true}}}},'1']]",
             kit_text(a, "0.1.created.a.id"), kit_text(a, "0.1.created.b.id"));
    json_decref(a);
    a = ask(calls);
    snprintf(calls, sizeof(calls), "'sinceState':'%s','maxChanges':1", kit_text(a, "0.1.state"));
    json_t *b = call("Mailbox/changes", calls, NULL);
    assert_int_equal(json_array_size(kit_at(b, "updated")), 1);
    assert_true(json_is_true(kit_at(b, "hasMoreChanges")));
    snprintf(first, sizeof(first), "%s", kit_text(b, "updated.0"));
    snprintf(calls, sizeof(calls), "'sinceState':'%s','maxChanges':1", kit_text(b, "newState"));
    json_decref(b);
    b = call("Mailbox/changes", calls, NULL);
    assert_int_equal(json_array_size(kit_at(b, "updated")), 1);
    assert_true(json_is_false(kit_at(b, "hasMoreChanges")));
    assert_string_not_equal(kit_text(b, "updated.0"), first);
    json_decref(b);
    json_decref(a);
}

/* ---- /query ---- */

static void the_part_that_is_asked_for_is_given(void **)
{
    /* Of n results the first to be given, how many, the position said; n is 3 for emails. */
    static const struct {
        const char *args;
        size_t from, n;
    } rows[] = {
        {"", 0, 3},
        {"'position':1", 1, 2},
        {"'position':2,'limit':1", 2, 1},
        {"'position':3", 3, 0},
        {"'position':100", 3, 0},
        {"'position':-1", 2, 1},
        {"'position':-3,'limit':1", 0, 1},
        {"'position':-100", 0, 3},
        {"'limit':0", 0, 0},
        {"'limit':2", 0, 2},
        {"'anchorOffset':2", 0, 3}, /* without an anchor */
        {"'anchor':'1','position':2", 1, 2},
        {"'anchor':'1','anchorOffset':1", 2, 1},
        {"'anchor':'1','anchorOffset':-1,'limit':2", 0, 2},
        {"'anchor':'2','anchorOffset':-100", 0, 3},
        {"'anchor':'2','anchorOffset':5", 3, 0},
    };
    static const char *const queries[][2] = {
        {"Email/query", "'sort':[{'property':'size'}]"},
        {"Mailbox/query", "'filter':{'operator':'OR','conditions':[{'role':'inbox'},"
                          "{'operator':'NOT','conditions':[{'hasAnyRole':true}]}]}"},
    };
    fill();
    for (size_t q = 0; q < N_OF(queries); q++) {
        json_t *all = call(queries[q][0], queries[q][1], NULL);
        assert_int_equal(json_array_size(kit_at(all, "ids")), 3);
        assert_null(kit_at(all, "total"));
        for (size_t i = 0; i < N_OF(rows); i++) {
            char args[600], path[20];
            const char *at = strstr(rows[i].args, "'anchor':'");
            snprintf(path, sizeof(path), "ids.%c", at ? at[10] : '0');
            snprintf(args, sizeof(args), "%s,'calculateTotal':true%s%.*s%s%s", queries[q][1],
                     rows[i].args[0] ? "," : "", at ? 10 : 0, rows[i].args,
                     at ? kit_text(all, path) : rows[i].args, at ? rows[i].args + 11 : "");
            json_t *a = call(queries[q][0], args, NULL);
            const json_t *ids = kit_at(a, "ids");
            assert_number(a, "total", 3);
            if (json_array_size(ids) != rows[i].n ||
                (rows[i].n &&
                 json_integer_value(kit_at(a, "position")) != (json_int_t)rows[i].from))
                fail_msg("%s %s: %s", queries[q][0], rows[i].args, json_dumps(a, 0));
            for (size_t k = 0; k < rows[i].n; k++)
                assert_true(json_equal(json_array_get(ids, k),
                                       json_array_get(kit_at(all, "ids"), rows[i].from + k)));
            json_decref(a);
        }
        json_decref(all);
        refuses(queries[q][0], "'anchor':'Mnothing'", "anchorNotFound");
        refuses(queries[q][0], "'filter':{'colour':'red'}", "unsupportedFilter");
        refuses(queries[q][0], "'sort':[{'property':'colour'}]", "unsupportedSort");
    }
}

static void filters_may_be_combined_by_operators(void **)
{
    static const struct {
        const char *method, *yes, *no; /* conditions that hold for all, for none */
    } rows[] = {
        {"Email/query", "{'after':'2025-01-01T00:00:00Z'}", "{'minSize':900000}"},
        {"Mailbox/query", "{'operator':'NOT','conditions':[{'name':'nowhere'}]}",
         "{'name':'nowhere'}"},
        {"Quota/query", "{'scope':'account'}", "{'name':'x'}"},
    };
    static const struct {
        const char *operator, * conditions; /* Y and N stand for the two */
        bool is;
    } operators[] = {
        {"AND", "Y,Y", true}, {"AND", "Y,N", false}, {"OR", "N,Y", true},
        {"OR", "N,N", false}, {"NOT", "N,N", true},  {"NOT", "N,Y", false},
    };
    fill();
    for (size_t i = 0; i < N_OF(rows); i++) {
        json_t *all = call(rows[i].method, "", NULL);
        for (size_t k = 0; k < N_OF(operators); k++) {
            SCOPED(buf_finish) struct buf b = buf_make(2000);
            buf_addf(&b, "'filter':{'operator':'%s','conditions':[", operators[k].operator);
            for (const char *p = operators[k].conditions; *p; p++)
                buf_addf(&b, "%s", *p == 'Y' ? rows[i].yes : *p == 'N' ? rows[i].no : ",");
            buf_adds(&b, SLICE("]}"));
            json_t *a = call(rows[i].method, buf_cstr(&b), NULL);
            size_t n = operators[k].is ? json_array_size(kit_at(all, "ids")) : 0;
            if (!json_is_array(kit_at(a, "ids")) || json_array_size(kit_at(a, "ids")) != n)
                fail_msg("%s %s", rows[i].method, buf_cstr(&b));
            json_decref(a);
        }
        json_decref(all);
    }
}

/* "order": the numbers of the names below as they stand in the answer. */
static void texts_are_sorted_as_their_readers_would(void **)
{
    static const char *const names[] = {"zoo",   "\\u00c9tude", "etage",
                                        "Fuchs", "10 apes",     "9 birds"};
    static const struct {
        const char *collation, *order;
    } rows[] = {
        {"", "452130"},
        {",'collation':null", "452130"},
        {",'collation':'i;ascii-casemap'", "452301"},
        {",'collation':'i;octet'", "453201"},
        {",'collation':'i;ascii-numeric'", "54"}, /* the others are alike */
    };
    for (size_t i = 0; i < N_OF(names); i++) {
        char args[100];
        snprintf(args, sizeof(args), "'create':{'m':{'name':'%s'}}", names[i]);
        json_decref(call("Mailbox/set", args, NULL));
    }
    json_t *a = call("Mailbox/query", "'filter':{'hasAnyRole':false}", NULL), *b;
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200];
        snprintf(args, sizeof(args), "'filter':{'hasAnyRole':false},'sort':[{'property':'name'%s}]",
                 rows[i].collation);
        b = call("Mailbox/query", args, NULL);
        for (size_t k = 0; rows[i].order[k]; k++)
            if (!json_equal(json_array_get(kit_at(b, "ids"), k),
                            json_array_get(kit_at(a, "ids"), (size_t)(rows[i].order[k] - '0'))))
                fail_msg("%s: place %zu of %s", rows[i].collation, k, rows[i].order);
        json_decref(b);
    }
    json_decref(a);
    static const char *const types[] = {"Mailbox/query", "Email/query", "EmailSubmission/query"};
    static const char *const by[] = {"name", "subject", "sentAt"};
    for (size_t i = 0; i < N_OF(types); i++) {
        char args[200];
        snprintf(args, sizeof(args), "'sort':[{'property':'%s','collation':'i;klingon'}]", by[i]);
        refuses(types[i], args, "unsupportedSort");
    }
}

static void what_is_alike_keeps_its_order(void **)
{
    static const char *const queries[][2] = {
        {"Email/query", ""},
        {"Email/query", "'sort':[{'property':'hasKeyword','keyword':'nobody'}]"},
        {"Mailbox/query", ""},
        {"Mailbox/query", "'sort':[]"},
    };
    fill();
    for (size_t i = 0; i < N_OF(queries); i++) {
        json_t *first = call(queries[i][0], queries[i][1], NULL);
        json_decref(call("VacationResponse/set", "'update':{'singleton':{'subject':'x'}}", NULL));
        json_t *second = call(queries[i][0], queries[i][1], NULL);
        assert_true(json_equal(first, second));
        json_decref(first);
        json_decref(second);
    }
}

/* ---- /queryChanges ---- */

/* What a client makes of it. */
static json_t *applied(const json_t *ids, const json_t *changes)
{
    json_t *now = json_array(), *one;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)ids, i, one)
    {
        bool is_removed = false;
        for (k = 0; k < json_array_size(kit_at(changes, "removed")); k++)
            is_removed |= json_equal(json_array_get(kit_at(changes, "removed"), k), one);
        if (!is_removed)
            json_array_append(now, one);
    }
    json_int_t last = -1;
    json_array_foreach(kit_at(changes, "added"), i, one)
    {
        json_int_t at = json_integer_value(kit_at(one, "index"));
        assert_true(at > last); /* lowest first */
        last = at;
        json_array_insert(now, (size_t)at, (json_t *)(uintptr_t)kit_at(one, "id"));
    }
    return now;
}

static void who_follows_the_changes_of_a_query_has_its_results(void **)
{
    static const struct {
        const char *type, *query;
    } queries[] = {
        {"Mailbox", "'sort':[{'property':'name'}]"},
        {"Mailbox", "'filter':{'hasAnyRole':false},'sort':[{'property':'sortOrder'}]"},
        {"Mailbox", "'sort':[{'property':'name'}],'sortAsTree':true"},
        {"Mailbox", "'filter':{'name':'t'},'filterAsTree':true"},
        {"Email", "'filter':{'notKeyword':'$seen'},'sort':[{'property':'subject'}]"},
        {"Email", "'sort':[{'property':'hasKeyword','keyword':'$seen'},{'property':'size'}]"},
    };
    static const char *const deeds[] = {
        "['Mailbox/set',{@@,'update':{'ONE':{'name':'zz'}}},'0']",
        "['Mailbox/set',{@@,'create':{'n':{'name':'three','parentId':'ONE','sortOrder':7}}},'0']",
        "['Mailbox/set',{@@,'update':{'ONE':{'name':'at','sortOrder':9}}},'0']",
        "['Email/set',{@@,'update':{'MAIL':{'keywords/$seen':true}}},'0']",
        "['Mailbox/set',{@@,'create':{'n':{'name':'x'}},'destroy':['#n']},'0']",
        "['Email/set',{@@,'destroy':['MAIL']},'0']",
        "['Mailbox/set',{@@,'destroy':['TWO']},'0']",
        "['Mailbox/set',{@@,'update':{'ONE':{'parentId':'INBOX'}}},'0']",
    };
    fill();
    json_t *names = ask("[['Mailbox/query',{@@,'filter':{'name':'one'}},'0'],"
                        "['Mailbox/query',{@@,'filter':{'name':'two'}},'1'],"
                        "['Mailbox/query',{@@,'filter':{'role':'inbox'}},'2']]");
    json_t *old[N_OF(queries)];
    char method[60], args[600];
    for (size_t q = 0; q < N_OF(queries); q++) {
        snprintf(method, sizeof(method), "%s/query", queries[q].type);
        old[q] = call(method, queries[q].query, NULL);
        assert_true(json_is_true(kit_at(old[q], "canCalculateChanges")));
    }
    for (size_t d = 0; d < N_OF(deeds); d++) {
        SCOPED(buf_finish) struct buf b = buf_make(2000);
        json_t *mail = call("Email/query", "", NULL);
        buf_addc(&b, '[');
        for (const char *p = deeds[d]; *p; p++) {
            const struct {
                const char *word, *id;
            } words[] = {{"ONE'", kit_text(names, "0.1.ids.0")},
                         {"TWO'", kit_text(names, "1.1.ids.0")},
                         {"INBOX'", kit_text(names, "2.1.ids.0")},
                         {"MAIL'", kit_text(mail, "ids.0")}};
            size_t w = 0;
            while (w < 4 && strncmp(p, words[w].word, strlen(words[w].word)) != 0)
                w++;
            if (w < 4) {
                buf_adds(&b, slice_str(words[w].id));
                p += strlen(words[w].word) - 2;
            } else {
                buf_addc(&b, *p);
            }
        }
        buf_addc(&b, ']');
        json_decref(mail);
        json_t *done = ask(buf_cstr(&b));
        assert_true(json_is_object(kit_at(done, "0.1.created")) ||
                    json_is_object(kit_at(done, "0.1.updated")) ||
                    json_is_array(kit_at(done, "0.1.destroyed")));
        json_decref(done);
        for (size_t q = 0; q < N_OF(queries); q++) {
            snprintf(method, sizeof(method), "%s/query", queries[q].type);
            json_t *now = call(method, queries[q].query, NULL);
            snprintf(method, sizeof(method), "%s/queryChanges", queries[q].type);
            snprintf(args, sizeof(args), "%s,'calculateTotal':%s,'sinceQueryState':'%s'",
                     queries[q].query, d % 2 ? "true" : "false", kit_text(old[q], "queryState"));
            json_t *changes = call(method, args, NULL);
            json_t *made = applied(kit_at(old[q], "ids"), changes);
            if (!json_equal(made, kit_at(now, "ids")))
                fail_msg("after %zu: %s: %s", d, args, json_dumps(changes, 0));
            assert_string_equal(kit_text(changes, "newQueryState"), kit_text(now, "queryState"));
            assert_int_equal(json_is_integer(kit_at(changes, "total")), d % 2);
            size_t n_changes = json_array_size(kit_at(changes, "removed")) +
                               json_array_size(kit_at(changes, "added"));
            json_decref(made);
            json_decref(changes);
            snprintf(args, sizeof(args), "%s,'sinceQueryState':'%s','maxChanges':0",
                     queries[q].query, kit_text(old[q], "queryState"));
            changes = call(method, args, NULL);
            if (n_changes) /* 0 is no change, and not any number of them */
                assert_text(changes, "type", "tooManyChanges");
            else
                assert_true(json_equal(kit_at(old[q], "ids"), kit_at(now, "ids")));
            json_decref(changes);
            json_decref(old[q]);
            old[q] = now;
        }
    }
    for (size_t q = 0; q < N_OF(queries); q++)
        json_decref(old[q]);
    json_decref(names);
    refuses("Mailbox/queryChanges", "'sinceQueryState':'0','maxChanges':1", "tooManyChanges");
    refuses("Email/queryChanges", "'sinceQueryState':'0','maxChanges':1", "tooManyChanges");
    refuses("Mailbox/queryChanges", "'sinceQueryState':'99999'", "cannotCalculateChanges");
    refuses("Email/queryChanges", "'sinceQueryState':'99999'", "cannotCalculateChanges");
    /* There is no index of words here: it is not asked. */
    refuses("Email/queryChanges", "'sinceQueryState':'0','filter':{'text':'x'}",
            "cannotCalculateChanges");
}

/* ---- /copy ---- */

static void nothing_is_copied_within_an_account_or_from_one_that_is_not_there(void **)
{
    char args[200];
    const char *account = kit_account(&kit.anna);
    snprintf(args, sizeof(args), "'fromAccountId':'%s','create':{}", account);
    refuses("Email/copy", args, "invalidArguments");
    snprintf(args, sizeof(args), "'fromAccountId':'%s','blobIds':['Ux']", account);
    refuses("Blob/copy", args, "invalidArguments");
    snprintf(args, sizeof(args), "'fromAccountId':'%s','create':{}", kit_account(&kit.luca));
    refuses("Email/copy", args, "fromAccountNotFound");
    refuses("Blob/copy", "'fromAccountId':'Anothing','blobIds':['Ux']", "fromAccountNotFound");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_are_ids_and_no_two_are_alike),
        TEST(times_are_written_and_read_in_one_way),
        TEST(wrong_arguments_are_refused_by_every_method),
        TEST(what_is_not_said_means_the_default),
        TEST(an_id_that_is_asked_for_twice_is_answered_once),
        TEST(a_state_changes_with_its_data_and_only_then),
        TEST(changes_are_given_in_portions_that_lead_to_the_whole),
        TEST(a_state_lies_between_what_changed_together),
        TEST(the_part_that_is_asked_for_is_given),
        TEST(filters_may_be_combined_by_operators),
        TEST(texts_are_sorted_as_their_readers_would),
        TEST(what_is_alike_keeps_its_order),
        TEST(who_follows_the_changes_of_a_query_has_its_results),
        TEST(nothing_is_copied_within_an_account_or_from_one_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
