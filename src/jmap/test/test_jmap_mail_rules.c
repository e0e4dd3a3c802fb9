/* What RFC 8621 says must hold of mailboxes and of changing emails, word by word: the table
 * tests/conformance/jmap/rfc8621.txt names these tests. */
#include "jmap_ask.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- mailboxes ---- */

static void names_of_mailboxes_are_net_unicode_and_unlike_their_siblings(void **)
{
    static const struct {
        const char *name;
        bool is_good;
    } rows[] = {
        {"a", true},         {"", false},         {" ", false},
        {"\\u00e9", true},   {"e\\u0301", false}, /* the same name again */
        {"a\\u007f", false}, {"a\\u0085", false}, {"a\\u2028b", false},
        {"\\u2029", false},  {"\\u00a0b", true},  {"2\\u20ac", true},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200];
        snprintf(args, sizeof(args), "'create':{'m':{'name':'%s'}}", rows[i].name);
        json_t *a = ask("Mailbox/set", args);
        if (json_is_object(kit_at(a, "created")) != rows[i].is_good)
            fail_msg("%s", rows[i].name);
        if (!rows[i].is_good)
            expect(a, "notCreated.m.properties", "['name']");
        json_decref(a);
    }
    json_t *a = ask("Mailbox/set", "'create':{'m':{'name':'u\\u0308'},'n':{'name':'o'}}");
    expect(a, "created.m.name", "'\xc3\xbc'"); /* not what was sent: it is told */
    assert_null(kit_at(a, "created.n.name"));
    json_decref(a);
    keep("N", "Mailbox/query", "'filter':{'name':'o'},'sort':[{'property':'name'}]", "ids.0");
    check("Mailbox/set", "'update':{'$N':{'name':'u\\u0308'}}", "notUpdated.$N.properties",
          "['name']");
}

static void limits_of_mailboxes_are_kept_as_announced(void **)
{
    char name[300], args[400], path[100];
    buf_clear(&k->out);
    (void)jmap_session(k->jmap, &k->anna, &k->out);
    json_t *s = json_loadb(k->out.p, k->out.n, 0, NULL);
    snprintf(path, sizeof(path), "accounts.%s.accountCapabilities", kit_account(&k->anna));
    const json_t *mail = json_object_get(kit_at(s, path), "urn:ietf:params:jmap:mail");
    size_t n_name = (size_t)json_integer_value(json_object_get(mail, "maxSizeMailboxName"));
    size_t depth = (size_t)json_integer_value(json_object_get(mail, "maxMailboxDepth"));
    size_t n_boxes = (size_t)json_integer_value(json_object_get(mail, "maxMailboxesPerEmail"));
    json_decref(s);
    assert_true(n_name >= 100 && n_name < sizeof(name) && depth >= 1 && n_boxes >= 1);
    memset(name, 'x', sizeof(name));
    for (size_t i = 0; i < 2; i++) {
        name[n_name + i] = '\0';
        snprintf(args, sizeof(args), "'create':{'m':{'name':'%s'}}", name);
        check("Mailbox/set", args, i ? "notCreated.m.type" : "notCreated",
              i ? "'invalidProperties'" : "null");
        name[n_name + i] = 'x';
    }
    keep("TOP", "Mailbox/set", "'create':{'m':{'name':'1'}}", "created.m.id");
    keep_text("UP", kept[0].value);
    for (size_t i = 2; i <= depth; i++) {
        snprintf(args, sizeof(args), "'create':{'m':{'name':'%zu','parentId':'$UP'}}", i);
        keep("UP", "Mailbox/set", args, "created.m.id");
    }
    check("Mailbox/set", "'create':{'m':{'name':'low','parentId':'$UP'}}",
          "notCreated.m.properties", "['parentId']");
    /* Whoever is moved takes along what is below it. */
    keep("OTHER", "Mailbox/set", "'create':{'m':{'name':'other'}}", "created.m.id");
    json_t *a = ask("Mailbox/set", "'update':{'$TOP':{'parentId':'$OTHER'}}");
    expect(a, "notUpdated.$TOP.properties", "['parentId']");
    json_decref(a);
    check("Mailbox/set", "'update':{'$UP':{'parentId':'$OTHER'}}", "updated", "{'$UP':null}");
    check("Mailbox/set", "'update':{'$TOP':{'parentId':'$OTHER'}}", "updated", "{'$TOP':null}");
    SCOPED(buf_finish) struct buf b = buf_make(ASK_TEXT);
    buf_addf(&b, "'create':{");
    for (size_t i = 0; i <= n_boxes; i++)
        buf_addf(&b, "%s'm%zu':{'name':'b%zu'}", i ? "," : "", i, i);
    buf_addc(&b, '}');
    a = ask("Mailbox/set", buf_cstr(&b));
    expect(a, "notCreated", "null");
    for (size_t more = 0; more < 2; more++) {
        buf_clear(&b);
        buf_addf(&b, "'create':{'e':{'mailboxIds':{");
        for (size_t i = 0; i < n_boxes + more; i++) {
            snprintf(path, sizeof(path), "created.m%zu.id", i);
            buf_addf(&b, "%s'%s':true", i ? "," : "", kit_text(a, path));
        }
        buf_addf(&b, "}}}");
        check("Email/set", buf_cstr(&b), more ? "notCreated.e.type" : "notCreated",
              more ? "'tooManyMailboxes'" : "null");
    }
    json_decref(a);
}

/* They all change with one number: a client that takes two at a time hears of each all the same. */
static void the_emails_of_a_mailbox_that_goes_are_told_in_portions(void **)
{
    static const char *const methods[] = {"Email/changes", "Thread/changes"};
    SCOPED(buf_finish) struct buf b = buf_make(ASK_TEXT);
    keep("M", "Mailbox/set", "'create':{'m':{'name':'m'}}", "created.m.id");
    buf_addf(&b, "'create':{");
    for (int i = 0; i < 7; i++)
        buf_addf(&b, "%s'e%d':{'mailboxIds':{'$M':true}}", i ? "," : "", i);
    buf_addf(&b, "}");
    check("Email/set", buf_cstr(&b), "notCreated", "null");
    keep("BEFORE", "Email/get", "'ids':[]", "state");
    check("Mailbox/set", "'destroy':['$M'],'onDestroyRemoveEmails':true", "destroyed", "['$M']");
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        size_t n = 0, n_answers = 0;
        bool has_more = true;
        json_t *seen = json_object();
        keep_text("S", kept_at("BEFORE", &n));
        for (; has_more; n_answers++) {
            json_t *a = ask(methods[i], "'sinceState':'$S','maxChanges':2"), *one;
            expect(a, "oldState", "'$S'");
            json_array_foreach(kit_at(a, "destroyed"), n, one)
                json_object_set_new(seen, json_string_value(one), json_true());
            has_more = json_is_true(kit_at(a, "hasMoreChanges"));
            keep_text("S", kit_text(a, "newState"));
            if (n_answers == 0)
                keep_text("MIDST", kit_text(a, "newState"));
            json_decref(a);
        }
        assert_int_equal(n_answers, 4);
        assert_int_equal(json_object_size(seen), 7);
        json_decref(seen);
    }
    check("Email/get", "'ids':[]", "state", "'$S'");
    check("Email/set", "'ifInState':'$MIDST'", "type", "'stateMismatch'");
    check("Email/queryChanges", "'sinceQueryState':'$MIDST'", "type", "'cannotCalculateChanges'");
    check("Email/changes", "'sinceState':'$MIDST.1'", "type", "'cannotCalculateChanges'");
}

/* Whatever the order in which the mailboxes are named. */
static void a_role_changes_hands_in_one_call(void **)
{
    static const struct {
        const char *update, *of_a, *of_b, *of_c, *refused;
    } rows[] = {
        {"'$B':{'role':'all'},'$A':{'role':null}", "null", "'all'", "null", "null"},
        {"'$B':{'role':null},'$A':{'role':'all'}", "'all'", "null", "null", "null"},
        {"'$B':{'role':'flagged'}", "'all'", "'flagged'", "null", "null"},
        {"'$A':{'role':'flagged'},'$B':{'role':'all'}", "'flagged'", "'all'", "null", "null"},
        {"'$A':{'role':'all','name':'b'},'$B':{'role':'flagged','name':'a'}", "'all'", "'flagged'",
         "null", "null"},
        {"'$C':{'role':'all'},'$B':{'role':'all'},'$A':{'role':null}", "null", "'all'", "null",
         "['$C']"},
        {"'$C':{'role':'all'},'$B':{'sortOrder':4}", "null", "'all'", "null", "['$C']"},
        {"'$C':{'role':'all'}", "null", "'all'", "null", "['$C']"},
    };
    keep("A", "Mailbox/set", "'create':{'k':{'name':'a','role':'all'}}", "created.k.id");
    keep("B", "Mailbox/set", "'create':{'k':{'name':'b'}}", "created.k.id");
    keep("C", "Mailbox/set", "'create':{'k':{'name':'c'}}", "created.k.id");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char args[300];
        snprintf(args, sizeof(args), "'update':{%s}", rows[i].update);
        json_t *a = ask("Mailbox/set", args), *names = json_array();
        const char *key;
        json_t *error, *refused = (json_t *)(uintptr_t)kit_at(a, "notUpdated");
        json_object_foreach(refused, key, error)
        {
            assert_text(error, "properties.0", "role");
            json_array_append_new(names, json_string(key));
        }
        json_object_set_new(a, "names", json_array_size(names) ? json_incref(names) : json_null());
        expect(a, "names", rows[i].refused);
        json_decref(names);
        json_decref(a);
        a = ask("Mailbox/get", "'ids':['$A','$B','$C'],'properties':['role']");
        expect(a, "list.0.role", rows[i].of_a);
        expect(a, "list.1.role", rows[i].of_b);
        expect(a, "list.2.role", rows[i].of_c);
        json_decref(a);
    }
}

static void a_mailbox_has_a_role_of_the_registry_that_no_other_has(void **)
{
    json_t *a = ask("Mailbox/set", "'create':{'a':{'name':'a','role':'important'},"
                                   "'b':{'name':'b','role':'important'},"
                                   "'c':{'name':'c','role':'Flagged'},"
                                   "'d':{'name':'d','role':'holidays'},"
                                   "'e':{'name':'e','role':['all','flagged']},"
                                   "'f':{'name':'f','role':'inbox'},"
                                   "'g':{'name':'g','role':null}}");
    assert_non_null(kit_at(a, "created.a"));
    assert_non_null(kit_at(a, "created.g"));
    for (const char *id = "bcdef"; *id; id++) {
        char path[40] = "notCreated.x.properties";
        path[11] = *id;
        expect(a, path, "['role']");
    }
    keep_text("A", kit_text(a, "created.a.id"));
    json_decref(a);
    /* A role that is given up is free. */
    check("Mailbox/set", "'update':{'$A':{'role':null}},'create':{'h':{'name':'h'}}", "updated",
          "{'$A':null}");
    check("Mailbox/set", "'create':{'b':{'name':'b','role':'important'}}", "notCreated", "null");
}

static void what_is_not_said_of_a_mailbox_has_its_default(void **)
{
    keep("M", "Mailbox/set", "'create':{'m':{'name':'m'}}", "created.m.id");
    static const char defaults[] =
        "{'id':'$M','isSubscribed':true,'name':'m','parentId':null,'role':null,'sortOrder':0}";
    static const char get[] = "'ids':['$M'],'properties':['name','parentId','role','sortOrder',"
                              "'isSubscribed']";
    check("Mailbox/get", get, "list.0", defaults);
    check("Mailbox/set", "'update':{'$M':{'sortOrder':7}}", "updated", "{'$M':null}");
    check("Mailbox/set", "'update':{'$M':{'sortOrder':null}}", "updated", "{'$M':null}");
    check("Mailbox/get", get, "list.0", defaults);
    static const char *const orders[] = {"-1", "2147483648", "1.5", "'1'"};
    for (size_t i = 0; i < N_OF(orders); i++) {
        char args[100];
        snprintf(args, sizeof(args), "'update':{'$M':{'sortOrder':%s}}", orders[i]);
        check("Mailbox/set", args, "notUpdated.$M.properties", "['sortOrder']");
    }
    check("Mailbox/set", "'update':{'$M':{'sortOrder':2147483647}}", "updated", "{'$M':null}");
}

static void a_mailbox_goes_with_the_emails_that_are_only_there(void **)
{
    keep_box("INBOX", "inbox");
    keep("M", "Mailbox/set", "'create':{'m':{'name':'m'}}", "created.m.id");
    keep("ONLY", "Email/set", "'create':{'e':{'mailboxIds':{'$M':true}}}", "created.e.id");
    keep("BOTH", "Email/set", "'create':{'e':{'mailboxIds':{'$M':true,'$INBOX':true}}}",
         "created.e.id");
    check("Mailbox/set", "'destroy':['$M']", "notDestroyed.$M.type", "'mailboxHasEmail'");
    check("Mailbox/set", "'destroy':['$M'],'onDestroyRemoveEmails':false", "notDestroyed.$M.type",
          "'mailboxHasEmail'");
    check("Mailbox/set", "'destroy':['$M'],'onDestroyRemoveEmails':true", "destroyed", "['$M']");
    json_t *a = ask("Email/get", "'ids':['$ONLY','$BOTH'],'properties':['mailboxIds']");
    expect(a, "list", "[{'id':'$BOTH','mailboxIds':{'$INBOX':true}}]");
    expect(a, "notFound", "['$ONLY']");
    json_decref(a);
}

static void a_mailbox_goes_with_those_below_it_that_are_named_too(void **)
{
    static const struct {
        const char *destroy, *destroyed, *kept_parent; /* NULL: it goes */
    } rows[] = {
        {"'$A','$B','$C'", "['$A','$B','$C']", NULL},
        {"'$C','$A','$B','$A'", "['$C','$A','$B']", NULL},
        {"'$A','$C'", "['$C']", "'mailboxHasChild'"},
        {"'$A','$B'", "null", "'mailboxHasChild'"},
        {"'$A'", "null", "'mailboxHasChild'"},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[100];
        snprintf(args, sizeof(args), "'create':{'m':{'name':'a%zu'}}", i);
        keep("A", "Mailbox/set", args, "created.m.id");
        keep("B", "Mailbox/set", "'create':{'m':{'name':'b','parentId':'$A'}}", "created.m.id");
        keep("C", "Mailbox/set", "'create':{'m':{'name':'c','parentId':'$B'}}", "created.m.id");
        snprintf(args, sizeof(args), "'destroy':[%s]", rows[i].destroy);
        json_t *a = ask("Mailbox/set", args);
        expect(a, "destroyed", rows[i].destroyed);
        if (rows[i].kept_parent)
            expect(a, "notDestroyed.$A.type", rows[i].kept_parent);
        else
            expect(a, "notDestroyed", "null");
        json_decref(a);
    }
    /* What stops the child stops its parent. */
    keep("A", "Mailbox/set", "'create':{'m':{'name':'a'}}", "created.m.id");
    keep("B", "Mailbox/set", "'create':{'m':{'name':'b','parentId':'$A'}}", "created.m.id");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$B':true}}}", "created.e.id");
    json_t *a = ask("Mailbox/set", "'destroy':['$A','$B']");
    expect(a, "notDestroyed.$A.type", "'mailboxHasChild'");
    expect(a, "notDestroyed.$B.type", "'mailboxHasEmail'");
    json_decref(a);
    check("Mailbox/set", "'destroy':['$A','$B'],'onDestroyRemoveEmails':true", "destroyed",
          "['$A','$B']");
    check("Email/get", "'ids':['$E']", "notFound", "['$E']");
}

/* ---- changes of mailboxes ---- */

static void only_counts_are_said_to_have_changed_when_it_is_certain(void **)
{
    static const char counts[] = "['totalEmails','unreadEmails','totalThreads','unreadThreads']";
    keep_box("BOX", "inbox");
    keep("STATE", "Mailbox/get", "'ids':[]", "state");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    json_t *a = ask("Mailbox/changes", "'sinceState':'$STATE'");
    expect(a, "updated", "['$BOX']");
    expect(a, "updatedProperties", counts);
    json_decref(a);
    /* And its name too: then nothing is said. */
    check("Mailbox/set", "'update':{'$BOX':{'sortOrder':9}}", "updated", "{'$BOX':null}");
    check("Mailbox/changes", "'sinceState':'$STATE'", "updatedProperties", "null");
    /* Another one's name, and the counts of this one. */
    keep("STATE", "Mailbox/get", "'ids':[]", "state");
    keep_box("JUNK", "junk");
    check("Mailbox/set", "'update':{'$JUNK':{'name':'Spam'}}", "updated", "{'$JUNK':null}");
    check("Email/set", "'update':{'$E':{'keywords/$seen':true}}", "updated", "{'$E':null}");
    check("Mailbox/changes", "'sinceState':'$STATE'", "updatedProperties", "null");
}

static void mailboxes_are_sorted_by_name_and_by_order(void **)
{
    static const char made[] = "'create':{'a':{'name':'zb','sortOrder':1},"
                               "'b':{'name':'za','sortOrder':1},'c':{'name':'zc','sortOrder':0}}";
    json_t *a = ask("Mailbox/set", made);
    keep_text("A", kit_text(a, "created.a.id"));
    keep_text("B", kit_text(a, "created.b.id"));
    keep_text("C", kit_text(a, "created.c.id"));
    json_decref(a);
#define Z "'filter':{'name':'z'},'sort':"
    check("Mailbox/query", Z "[{'property':'name'}]", "ids", "['$B','$A','$C']");
    check("Mailbox/query", Z "[{'property':'sortOrder'},{'property':'name','isAscending':false}]",
          "ids", "['$C','$A','$B']");
    check("Mailbox/query", Z "[{'property':'colour'}]", "type", "'unsupportedSort'");
}

/* ---- emails ---- */

static void keywords_have_letters_that_imap_allows_and_come_in_lower_case(void **)
{
    char args[600], longest[257];
    keep_box("BOX", "inbox");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    static const char *const bad[] = {"(",       ")",       "{",           "]",       "%",
                                      "*",       "\\\"",    "\\\\",        " ",       "\\t",
                                      "\\u007f", "\\u00e9", "\\\\Deleted", "\\\\Seen"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        snprintf(args, sizeof(args), "'update':{'$E':{'keywords':{'a%s':true}}}", bad[i]);
        check("Email/set", args, "notUpdated.$E.properties", "['keywords']");
    }
    check("Email/set", "'update':{'$E':{'keywords':{'':true}}}", "notUpdated.$E.properties",
          "['keywords']");
    memset(longest, 'x', sizeof(longest));
    for (size_t n = 255; n <= 256; n++) {
        longest[n] = '\0';
        snprintf(args, sizeof(args), "'update':{'$E':{'keywords':{'%s':true}}}", longest);
        check("Email/set", args, n == 255 ? "updated" : "notUpdated.$E.properties",
              n == 255 ? "{'$E':null}" : "['keywords']");
        longest[n] = 'x';
    }
    check("Email/set",
          "'update':{'$E':{'keywords':{'Work':true,'WORK':true,'$seen':true,"
          "'a-._~!#&+,/:;<=>?@[^_`|}':true}}}",
          "updated", "{'$E':null}");
    static const char get[] = "'ids':['$E'],'properties':['keywords']";
    check("Email/get", get, "list.0.keywords",
          "{'$seen':true,'a-._~!#&+,/:;<=>?@[^_`|}':true,'work':true}");
    check("Email/query", "'filter':{'hasKeyword':'wORK'}", "ids", "['$E']");
    check("Email/set",
          "'update':{'$E':{'keywords/wORK':null,'keywords/$Flagged':true,'keywords/$SEEN':null,"
          "'keywords/A-._~0!#&+,~1:;<=>?@[^_`|}':null}}",
          "notUpdated", "null");
    check("Email/get", get, "list.0.keywords", "{'$flagged':true}");
    check("Email/set", "'update':{'$E':{'keywords/x':false}}", "notUpdated.$E.properties",
          "['keywords']");
    check("Email/set", "'update':{'$E':{'keywords':null}}", "updated", "{'$E':null}");
    check("Email/get", get, "list.0.keywords", "{}");
}

static void more_keywords_than_there_may_be_are_too_many(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(ASK_TEXT);
    keep_box("BOX", "inbox");
    for (int n = 100; n <= 101; n++) {
        buf_clear(&b);
        buf_addf(&b, "'create':{'e':{'mailboxIds':{'$BOX':true},'keywords':{");
        for (int i = 0; i < n; i++)
            buf_addf(&b, "%s'k%d':true", i ? "," : "", i);
        buf_addf(&b, "}}}");
        if (n == 100)
            keep("E", "Email/set", buf_cstr(&b), "created.e.id");
        else
            check("Email/set", buf_cstr(&b), "notCreated.e.type", "'tooManyKeywords'");
    }
    check("Email/set", "'update':{'$E':{'keywords/more':true}}", "notUpdated.$E.type",
          "'tooManyKeywords'");
}

/* However it changes, it is somewhere. */
static void an_email_is_in_a_mailbox_until_it_is_destroyed(void **)
{
    static const struct {
        const char *patch, *error; /* NULL: it is taken */
    } rows[] = {
        {"{'mailboxIds':{}}", "'invalidProperties'"},
        {"{'mailboxIds':null}", "'invalidProperties'"},
        {"{'mailboxIds/$BOX':null}", "'invalidProperties'"},
        {"{'mailboxIds/$BOX':false}", "'invalidProperties'"},
        {"{'mailboxIds':{'$BOX':false}}", "'invalidProperties'"},
        {"{'mailboxIds':{'$JUNK':1}}", "'invalidProperties'"},
        {"{'mailboxIds':{'$JUNK':true,'Baaaaaaaaaaaab':true}}", "'invalidProperties'"},
        {"{'mailboxIds/$BOX':null,'mailboxIds/$JUNK':true}", NULL},
    };
    keep_box("BOX", "inbox");
    keep_box("JUNK", "junk");
    keep("E", "Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true}}}", "created.e.id");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[200];
        snprintf(args, sizeof(args), "'update':{'$E':%s}", rows[i].patch);
        check("Email/set", args, rows[i].error ? "notUpdated.$E.type" : "updated.$E",
              rows[i].error ? rows[i].error : "null");
        check("Email/get", "'ids':['$E'],'properties':['mailboxIds']", "list.0.mailboxIds",
              rows[i].error ? "{'$BOX':true}" : "{'$JUNK':true}");
    }
}

static void what_does_not_change_may_be_named_as_it_is(void **)
{
    static const struct {
        const char *patch, *error; /* NULL: it is taken */
    } rows[] = {
        {"{'id':'$E','blobId':'$E','keywords/a':true}", NULL},
        {"{'receivedAt':'2020-01-01T00:00:00Z','subject':'hello'}", NULL},
        {"{'from':[{'name':'A','email':'a@x.test'}],'header:X':null,'size':$SIZE}", NULL},
        {"{'id':'$BOX'}", "['id']"},
        {"{'threadId':null}", "['threadId']"},
        {"{'receivedAt':'2020-01-01T00:00:01Z'}", "['receivedAt']"},
        {"{'subject':'other'}", "['subject']"},
        {"{'subject':null}", "['subject']"},
        {"{'size':1}", "['size']"},
        {"{'colour':null}", "['colour']"},
        {"{'header:From:asDate':null}", "['header:From:asDate']"},
    };
    keep_box("BOX", "inbox");
    json_t *a = ask("Email/set", "'create':{'e':{'mailboxIds':{'$BOX':true},'subject':'hello',"
                                 "'from':[{'name':'A','email':'a@x.test'}],"
                                 "'receivedAt':'2020-01-01T00:00:00Z'}}");
    char size[30];
    snprintf(size, sizeof(size), "%lld",
             (long long)json_integer_value(kit_at(a, "created.e.size")));
    keep_text("E", kit_text(a, "created.e.id"));
    keep_text("SIZE", size);
    json_decref(a);
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[300];
        snprintf(args, sizeof(args), "'update':{'$E':%s}", rows[i].patch);
        check("Email/set", args, rows[i].error ? "notUpdated.$E.properties" : "updated.$E",
              rows[i].error ? rows[i].error : "null");
    }
    check("Email/get", "'ids':['$E'],'properties':['keywords']", "list.0.keywords", "{'a':true}");
}

/* ---- import ---- */

static void what_an_import_must_have_is_judged_one_by_one(void **)
{
    static const struct {
        const char *import, *error;
    } rows[] = {
        {"{'blobId':'Unothing','mailboxIds':{'$BOX':true}}", "'blobId'"},
        {"{'blobId':7,'mailboxIds':{'$BOX':true}}", "'blobId'"},
        {"{'mailboxIds':{'$BOX':true}}", "'blobId'"},
        {"{'blobId':'$BLOB'}", "'mailboxIds'"},
        {"{'blobId':'$BLOB','mailboxIds':{}}", "'mailboxIds'"},
        {"{'blobId':'$BLOB','mailboxIds':['$BOX']}", "'mailboxIds'"},
        {"{'blobId':'$BLOB','mailboxIds':{'Baaaaaaaaaaaab':true}}", "'mailboxIds'"},
        {"{'blobId':'$BLOB','mailboxIds':{'$BOX':true},'keywords':['$seen']}", "'keywords'"},
        {"{'blobId':'$BLOB','mailboxIds':{'$BOX':true},'keywords':{'a b':true}}", "'keywords'"},
        {"{'blobId':'$BLOB','mailboxIds':{'$BOX':true},'receivedAt':'x'}", "'receivedAt'"},
    };
    keep_box("BOX", "inbox");
    keep_blob("BLOB", "Subject: x\\r\\n\\r\\nx\\r\\n");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char args[400];
        snprintf(args, sizeof(args), "'emails':{'i':%s}", rows[i].import);
        json_t *a = ask("Email/import", args);
        expect(a, "notCreated.i.type", "'invalidProperties'");
        expect(a, "notCreated.i.properties.0", rows[i].error);
        expect(a, "created", "null");
        json_decref(a);
    }
    keep_blob("NONE", "no header at all");
    check("Email/import", "'emails':{'i':{'blobId':'$NONE','mailboxIds':{'$BOX':true}}}",
          "notCreated.i.type", "'invalidEmail'");
}

static void an_import_came_when_its_topmost_received_field_says(void **)
{
    static const struct {
        const char *header, *received; /* NULL: now */
    } rows[] = {
        {"Received: from a by b;\\r\\n Tue, 3 Mar 2020 10:00:00 +0100\\r\\nReceived: by c; Mon, 2 "
         "Mar 2020 10:00:00 +0000\\r\\nDate: Sun, 1 Mar 2020 10:00:00 +0000\\r\\n",
         "'2020-03-03T09:00:00Z'"},
        {"Received: from a by b\\r\\n", NULL},
        {"Received: from a; whenever\\r\\n", NULL},
        {"Received: from a; Tue, 3 Mar 2220 10:00:00 +0100\\r\\n", NULL},
        {"Date: Sun, 1 Mar 2020 10:00:00 +0000\\r\\n", NULL},
    };
    keep_box("BOX", "inbox");
    for (size_t i = 0; i < N_OF(rows); i++) {
        char text[400];
        snprintf(text, sizeof(text), "%sSubject: x\\r\\n\\r\\nx\\r\\n", rows[i].header);
        keep_blob("BLOB", text);
        utc_ms before = utc_now();
        keep("ID", "Email/import", "'emails':{'i':{'blobId':'$BLOB','mailboxIds':{'$BOX':true}}}",
             "created.i.id");
        json_t *a = ask("Email/get", "'ids':['$ID'],'properties':['receivedAt']");
        if (rows[i].received)
            expect(a, "list.0.receivedAt", rows[i].received);
        else
            assert_true(strncmp(kit_text(a, "list.0.receivedAt"), utc_rfc3339(before).s, 19) >= 0);
        json_decref(a);
    }
}

static void the_same_message_imported_twice_is_two_emails(void **)
{
    keep_box("BOX", "inbox");
    keep_blob("BLOB", "Subject: x\\r\\nMessage-ID: <1@x.test>\\r\\n\\r\\nx\\r\\n");
    static const char one[] = "'emails':{'i':{'blobId':'$BLOB','mailboxIds':{'$BOX':true}}}";
    keep("A", "Email/import", one, "created.i.id");
    keep("B", "Email/import", one, "created.i.id");
    check("Email/set", "'update':{'$B':{'keywords/$seen':true}}", "updated", "{'$B':null}");
    json_t *a = ask("Email/get", "'ids':['$A','$B'],'properties':['keywords']");
    expect(a, "list.0", "{'id':'$A','keywords':{}}");
    expect(a, "list.1", "{'id':'$B','keywords':{'$seen':true}}");
    json_decref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_of_mailboxes_are_net_unicode_and_unlike_their_siblings),
        TEST(limits_of_mailboxes_are_kept_as_announced),
        TEST(the_emails_of_a_mailbox_that_goes_are_told_in_portions),
        TEST(a_role_changes_hands_in_one_call),
        TEST(a_mailbox_has_a_role_of_the_registry_that_no_other_has),
        TEST(what_is_not_said_of_a_mailbox_has_its_default),
        TEST(a_mailbox_goes_with_the_emails_that_are_only_there),
        TEST(a_mailbox_goes_with_those_below_it_that_are_named_too),
        TEST(only_counts_are_said_to_have_changed_when_it_is_certain),
        TEST(mailboxes_are_sorted_by_name_and_by_order),
        TEST(keywords_have_letters_that_imap_allows_and_come_in_lower_case),
        TEST(more_keywords_than_there_may_be_are_too_many),
        TEST(an_email_is_in_a_mailbox_until_it_is_destroyed),
        TEST(what_does_not_change_may_be_named_as_it_is),
        TEST(what_an_import_must_have_is_judged_one_by_one),
        TEST(an_import_came_when_its_topmost_received_field_says),
        TEST(the_same_message_imported_twice_is_two_emails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
