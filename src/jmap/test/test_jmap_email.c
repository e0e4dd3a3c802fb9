/* Emails of JMAP on a real store: written, read, changed, found, imported. */
#include "jmap_kit.h"

#define ROLE(role) mailbox_of(k, role)

static struct kit *fresh(void)
{
    struct kit *k = mem_new(sizeof(*k));
    kit_open(k);
    return k;
}

static void done(struct kit *k)
{
    kit_close(k);
    mem_free(&k);
}

static const char *mailbox_of(struct kit *k, const char *role)
{
    static char ids[8][40];
    static unsigned at;
    char args[100];
    char *id = ids[at++ % 8];
    snprintf(args, sizeof(args), "'filter':{'role':'%s'}", role);
    json_t *a = kit_call(k, "Mailbox/query", args);
    snprintf(id, 40, "%s", kit_text(a, "ids.0"));
    json_decref(a);
    return id;
}

/* A new email with this subject in this mailbox; `more`: further properties, with a leading comma.
 */
static const char *make(struct kit *k, const char *role, const char *subject, const char *more)
{
    static char ids[16][40];
    static unsigned at;
    char args[2000];
    char *id = ids[at++ % 16];
    snprintf(args, sizeof(args),
             "'create':{'x':{'mailboxIds':{'%s':true},'subject':'%s','from':[{'name':'Anna',"
             "'email':'anna@example.test'}],'textBody':[{'partId':'1','type':'text/plain'}],"
             "'bodyValues':{'1':{'value':'Ciao, %s.'}}%s}}",
             ROLE(role), subject, subject, more);
    json_t *a = kit_call(k, "Email/set", args);
    if (json_is_null(kit_at(a, "created")))
        print_message("%s\n", json_dumps(a, 0));
    snprintf(id, 40, "%s", kit_text(a, "created.x.id"));
    assert_int_equal(id[0], 'M');
    assert_string_equal(kit_text(a, "created.x.blobId"), id);
    assert_int_equal(kit_text(a, "created.x.threadId")[0], 'T');
    assert_true(json_integer_value(kit_at(a, "created.x.size")) > 100);
    json_decref(a);
    return id;
}

static const json_t *first_of(const json_t *o, const char *path)
{
    return json_object_iter_value(json_object_iter((json_t *)(uintptr_t)kit_at(o, path)));
}

static json_t *get(struct kit *k, const char *id, const char *properties)
{
    char args[1000];
    snprintf(args, sizeof(args), "'ids':['%s']%s%s", id, properties[0] ? "," : "", properties);
    return kit_call(k, "Email/get", args);
}

static void what_is_written_is_read(void **)
{
    struct kit *k = fresh();
    const char *id = make(k, "drafts", "Perch\\u00e9", ",'keywords':{'$draft':true,'Work':true}");
    json_t *a = get(k, id, "'fetchTextBodyValues':true");
    assert_text(a, "list.0.subject", "Perch\xc3\xa9");
    assert_text(a, "list.0.from.0.email", "anna@example.test");
    assert_true(json_is_true(kit_at(a, "list.0.keywords.$draft")));
    assert_true(json_is_true(kit_at(a, "list.0.keywords.work")));
    assert_non_null(json_object_get(kit_at(a, "list.0.mailboxIds"), ROLE("drafts")));
    assert_non_null(strstr(kit_text(first_of(a, "list.0.bodyValues"), "value"), "Ciao, Perch"));
    assert_non_null(kit_at(a, "list.0.messageId.0"));
    json_decref(a);
    done(k);
}

/* Lists take what the index has, everything else the bytes: both say the same. */
static void the_index_and_the_bytes_agree(void **)
{
    struct kit *k = fresh();
    const char *id = make(k, "inbox", "Uno", "");
    static const char *const properties[] = {"subject", "from", "preview", "hasAttachment"};
    json_t *quick = get(k, id, "'properties':['subject','from','preview','hasAttachment']");
    json_t *slow =
        get(k, id, "'properties':['subject','from','preview','hasAttachment','messageId']");
    for (size_t i = 0; i < 4; i++) {
        char path[60];
        snprintf(path, sizeof(path), "list.0.%s", properties[i]);
        assert_non_null(kit_at(quick, path));
        assert_true(json_equal(kit_at(quick, path), kit_at(slow, path)));
    }
    json_decref(quick);
    json_decref(slow);
    done(k);
}

static void what_may_not_be_created_is_refused(void **)
{
    struct kit *k = fresh();
    static const struct {
        const char *object, *type, *property;
    } rows[] = {
        {"{'subject':'x'}", "invalidProperties", "mailboxIds"},
        {"{'mailboxIds':{}}", "invalidProperties", "mailboxIds"},
        {"{'mailboxIds':{'Bx':true}}", "invalidProperties", "mailboxIds"},
        {"{'mailboxIds':{BOX:false}}", "invalidProperties", "mailboxIds"},
        {"{'mailboxIds':{BOX:true},'keywords':{'a b':true}}", "invalidProperties", "keywords"},
        {"{'mailboxIds':{BOX:true},'keywords':{'a':1}}", "invalidProperties", "keywords"},
        {"{'mailboxIds':{BOX:true},'receivedAt':'gestern'}", "invalidProperties", "receivedAt"},
        {"{'mailboxIds':{BOX:true},'subject':'a\\nBcc: x@y'}", "invalidProperties", "subject"},
        {"{'mailboxIds':{BOX:true},'attachments':[{'blobId':'Unothing','type':'a/b'}]}",
         "blobNotFound", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char args[1000];
        const char *box = strstr(rows[i].object, "BOX");
        if (box)
            snprintf(args, sizeof(args), "'create':{'x':%.*s'%s'%s}", (int)(box - rows[i].object),
                     rows[i].object, ROLE("drafts"), box + 3);
        else
            snprintf(args, sizeof(args), "'create':{'x':%s}", rows[i].object);
        json_t *a = kit_call(k, "Email/set", args);
        assert_text(a, "notCreated.x.type", rows[i].type);
        if (rows[i].property)
            assert_text(a, "notCreated.x.properties.0", rows[i].property);
        json_decref(a);
    }
    done(k);
}

static void emails_are_marked_moved_and_destroyed(void **)
{
    struct kit *k = fresh();
    char args[600], id[40];
    snprintf(id, sizeof(id), "%s", make(k, "inbox", "Due", ""));
    snprintf(args, sizeof(args),
             "'update':{'%s':{'keywords/$seen':true,'mailboxIds/%s':null,'mailboxIds/%s':true}}",
             id, ROLE("inbox"), ROLE("archive"));
    json_t *a = kit_call(k, "Email/set", args);
    assert_true(json_is_null(first_of(a, "updated")));
    json_decref(a);
    a = get(k, id, "'properties':['keywords','mailboxIds']");
    assert_true(json_is_true(kit_at(a, "list.0.keywords.$seen")));
    assert_int_equal(json_object_size(kit_at(a, "list.0.mailboxIds")), 1);
    assert_non_null(json_object_get(kit_at(a, "list.0.mailboxIds"), ROLE("archive")));
    json_decref(a);
    static const struct {
        const char *patch, *type;
    } rows[] = {
        {"{'subject':'other'}", "invalidProperties"},
        {"{'mailboxIds':{}}", "invalidProperties"},
        {"{'keywords/$seen':true,'keywords':{}}", "invalidPatch"},
        {"{'keywords/a/b':true}", "invalidPatch"},
        {"{'mailboxIds/Bx':true}", "invalidProperties"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(args, sizeof(args), "'update':{'%s':%s}", id, rows[i].patch);
        a = kit_call(k, "Email/set", args);
        assert_text(first_of(a, "notUpdated"), "type", rows[i].type);
        json_decref(a);
    }
    snprintf(args, sizeof(args), "'destroy':['%s','%s','Mnothing']", id, id);
    a = kit_call(k, "Email/set", args);
    assert_int_equal(json_array_size(kit_at(a, "destroyed")), 1);
    assert_text(a, "notDestroyed.Mnothing.type", "notFound");
    json_decref(a);
    a = get(k, id, "");
    assert_text(a, "notFound.0", id);
    json_decref(a);
    done(k);
}

static void threads_and_counts_follow(void **)
{
    struct kit *k = fresh();
    char first[40], args[400];
    snprintf(first, sizeof(first), "%s",
             make(k, "inbox", "Tre", ",'messageId':['one@example.test']"));
    (void)make(k, "inbox", "Re: Tre",
               ",'inReplyTo':['one@example.test'],'keywords':{'$seen':true}");
    json_t *a = get(k, first, "'properties':['threadId']");
    snprintf(args, sizeof(args), "'ids':['%s']", kit_text(a, "list.0.threadId"));
    json_decref(a);
    a = kit_call(k, "Thread/get", args);
    assert_int_equal(json_array_size(kit_at(a, "list.0.emailIds")), 2);
    assert_text(a, "list.0.emailIds.0", first);
    json_decref(a);
    snprintf(args, sizeof(args), "'ids':['%s']", ROLE("inbox"));
    a = kit_call(k, "Mailbox/get", args);
    assert_number(a, "list.0.totalEmails", 2);
    assert_number(a, "list.0.unreadEmails", 1);
    assert_number(a, "list.0.totalThreads", 1);
    assert_number(a, "list.0.unreadThreads", 1);
    json_decref(a);
    a = kit_call(k, "Email/query", "'collapseThreads':true,'calculateTotal':true");
    assert_number(a, "total", 1);
    json_decref(a);
    done(k);
}

static void queries_find_and_changes_tell(void **)
{
    struct kit *k = fresh();
    char args[600], state[40], mail[40];
    for (int i = 0; i < 5; i++) {
        char subject[20], at[60];
        snprintf(subject, sizeof(subject), "n%d", 4 - i);
        snprintf(at, sizeof(at), ",'receivedAt':'2026-01-0%dT00:00:00Z'", i + 1);
        snprintf(mail, sizeof(mail), "%s", make(k, i % 2 ? "archive" : "inbox", subject, at));
    }
    snprintf(args, sizeof(args),
             "'filter':{'operator':'AND','conditions':[{'inMailbox':'%s'},"
             "{'after':'2026-01-03T00:00:00Z','before':'2026-02-01T00:00:00Z'}]},'limit':1",
             ROLE("inbox"));
    json_t *a = kit_call(k, "Email/query", args);
    assert_text(a, "ids.0", mail);
    snprintf(state, sizeof(state), "%s", kit_text(a, "queryState"));
    assert_true(json_is_true(kit_at(a, "canCalculateChanges")));
    json_decref(a);
    a = kit_call(k, "Email/query", "'sort':[{'property':'subject'}]");
    assert_text(a, "ids.0", mail);
    json_decref(a);
    snprintf(args, sizeof(args), "'update':{'%s':{'keywords/$seen':true}}", mail);
    json_decref(kit_call(k, "Email/set", args));
    snprintf(args, sizeof(args), "'sinceState':'%s'", state);
    a = kit_call(k, "Email/changes", args);
    assert_text(a, "updated.0", mail);
    json_decref(a);
    snprintf(args, sizeof(args),
             "'sinceQueryState':'%s','filter':{'notKeyword':'$seen'},'calculateTotal':true", state);
    a = kit_call(k, "Email/queryChanges", args);
    assert_text(a, "removed.0", mail);
    assert_int_equal(json_array_size(kit_at(a, "added")), 0);
    assert_number(a, "total", 4);
    json_decref(a);
    static const struct {
        const char *args, *type;
    } rows[] = {
        {"'filter':{'colour':'red'}", "unsupportedFilter"},
        {"'filter':{'before':'gestern'}", "invalidArguments"},
        {"'filter':{'operator':'XOR','conditions':[]}", "invalidArguments"},
        {"'sort':[{'property':'colour'}]", "unsupportedSort"},
        {"'sort':[{'property':'hasKeyword'}]", "invalidArguments"},
        {"'anchor':'Mnothing'", "anchorNotFound"},
        {"'position':'x'", "invalidArguments"},
        {"'limit':-1", "invalidArguments"},
        {"'colour':1", "invalidArguments"},
        {"'filter':{'text':'x'}", "serverUnavailable"}, /* no index of words here */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        a = kit_call(k, "Email/query", rows[i].args);
        assert_text(a, "type", rows[i].type);
        json_decref(a);
    }
    a = kit_call(k, "Email/query", "'filter':{'header':['Subject','N3']}");
    assert_int_equal(json_array_size(kit_at(a, "ids")), 1);
    json_decref(a);
    done(k);
}

static void blobs_are_kept_imported_parsed_and_ones_own(void **)
{
    static const char mail[] = "From: Bob <bob@x.test>\\r\\nSubject: Ciao\\r\\nMessage-ID: "
                               "<b@x.test>\\r\\n\\r\\nBody\\r\\n";
    struct kit *k = fresh();
    char args[900], blob[60], id[40];
    snprintf(args, sizeof(args),
             "'create':{'b':{'data':[{'data:asText':'%s'}]},'c':{'data':"
             "[{'data:asBase64':'!'}]}}",
             mail);
    json_t *a = kit_call(k, "Blob/upload", args);
    snprintf(blob, sizeof(blob), "%s", kit_text(a, "created.b.id"));
    assert_text(a, "notCreated.c.type", "invalidProperties");
    json_decref(a);
    snprintf(args, sizeof(args),
             "'ids':['%s'],'properties':['data:asText','digest:sha-256','size'],"
             "'length':5",
             blob);
    a = kit_call(k, "Blob/get", args);
    assert_text(a, "list.0.data:asText", "From:");
    assert_non_null(kit_at(a, "list.0.digest:sha-256"));
    json_decref(a);
    a = kit_call_as(k, &k->luca, "Blob/get", args);
    assert_text(a, "notFound.0", blob);
    json_decref(a);
    snprintf(args, sizeof(args), "'blobIds':['%s','Unothing'],'properties':['subject','id','size']",
             blob);
    a = kit_call(k, "Email/parse", args);
    assert_text(first_of(a, "parsed"), "subject", "Ciao");
    assert_true(json_is_null(kit_at(first_of(a, "parsed"), "id")));
    assert_text(a, "notFound.0", "Unothing");
    json_decref(a);
    snprintf(args, sizeof(args),
             "'emails':{'i':{'blobId':'%s','mailboxIds':{'%s':true},'receivedAt':"
             "'2020-05-05T00:00:00Z'},'j':{'blobId':'Unothing','mailboxIds':{}}}",
             blob, ROLE("inbox"));
    a = kit_call(k, "Email/import", args);
    snprintf(id, sizeof(id), "%s", kit_text(a, "created.i.id"));
    assert_text(a, "notCreated.j.type", "invalidProperties");
    json_decref(a);
    a = get(k, id, "'properties':['from','receivedAt','subject']");
    assert_text(a, "list.0.from.0.name", "Bob");
    assert_text(a, "list.0.receivedAt", "2020-05-05T00:00:00Z");
    json_decref(a);
    snprintf(args, sizeof(args), "'typeNames':['Email','Mailbox'],'ids':['%s']", id);
    a = kit_call(k, "Blob/lookup", args);
    assert_text(a, "list.0.matchedIds.Email.0", id);
    json_decref(a);
    done(k);
}

static void uploads_and_downloads_are_ones_own(void **)
{
    struct kit *k = fresh();
    struct email_blob steps;
    char blob[40];
    buf_clear(&k->out);
    assert_int_equal(jmap_upload(k->jmap, k->reader, &k->anna, slice_str(kit_account(&k->anna)),
                                 SLICE("text/plain"), SLICE("some bytes"), &k->out),
                     201);
    json_t *a = json_loadb(k->out.p, k->out.n, 0, NULL);
    snprintf(blob, sizeof(blob), "%s", kit_text(a, "blobId"));
    assert_number(a, "size", 10);
    assert_text(a, "type", "text/plain");
    json_decref(a);
    buf_clear(&k->out);
    assert_int_equal(jmap_download(k->jmap, k->reader, &k->anna, slice_str(kit_account(&k->anna)),
                                   slice_str(blob), &steps, &k->out),
                     200);
    assert_true(slice_eq(buf_slice(&k->out), SLICE("some bytes")));
    const struct {
        const struct jmap_caller *who, *whose;
        const char *blob;
    } rows[] = {{&k->luca, &k->luca, blob},
                {&k->luca, &k->anna, blob},
                {&k->anna, &k->luca, blob},
                {&k->anna, &k->anna, "Unothing"}};
    for (size_t i = 0; i < 4; i++) {
        buf_clear(&k->out);
        assert_int_equal(jmap_download(k->jmap, k->reader, rows[i].who,
                                       slice_str(kit_account(rows[i].whose)),
                                       slice_str(rows[i].blob), &steps, &k->out),
                         404);
    }
    done(k);
}

static void a_full_mailbox_and_a_full_disk_say_so(void **)
{
    struct kit *k = fresh();
    char args[600];
    k->anna.quota_bytes = 2000;
    (void)make(k, "inbox", "Quattro", "");
    json_t *a = kit_call(k, "Quota/get", "");
    assert_number(a, "list.0.hardLimit", 2000);
    assert_true(json_integer_value(kit_at(a, "list.0.used")) > 100);
    json_decref(a);
    k->anna.quota_bytes = 100;
    snprintf(args, sizeof(args), "'create':{'x':{'mailboxIds':{'%s':true}}}", ROLE("inbox"));
    a = kit_call(k, "Email/set", args);
    assert_text(a, "notCreated.x.type", "overQuota");
    json_decref(a);
    k->anna.quota_bytes = 0;
    k->commit_fails = ERR_FULL;
    a = kit_call(k, "Email/set", args);
    assert_text(a, "notCreated.x.type", "serverFail");
    assert_true(json_is_null(kit_at(a, "created")));
    assert_string_equal(kit_text(a, "oldState"), kit_text(a, "newState"));
    json_decref(a);
    a = kit_call(k, "Email/query", "'calculateTotal':true");
    assert_number(a, "total", 1);
    json_decref(a);
    done(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_index_and_the_bytes_agree),
        cmocka_unit_test(what_may_not_be_created_is_refused),
        cmocka_unit_test(emails_are_marked_moved_and_destroyed),
        cmocka_unit_test(threads_and_counts_follow),
        cmocka_unit_test(queries_find_and_changes_tell),
        cmocka_unit_test(blobs_are_kept_imported_parsed_and_ones_own),
        cmocka_unit_test(uploads_and_downloads_are_ones_own),
        cmocka_unit_test(a_full_mailbox_and_a_full_disk_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
