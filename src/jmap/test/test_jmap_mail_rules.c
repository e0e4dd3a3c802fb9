/* What RFC 8621 says must hold of mailboxes, threads and emails, word by word: the table
 * tests/conformance/jmap/rfc8621.txt names these tests. */
#include "jmap_ask.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

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
        TEST(what_an_import_must_have_is_judged_one_by_one),
        TEST(an_import_came_when_its_topmost_received_field_says),
        TEST(the_same_message_imported_twice_is_two_emails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
