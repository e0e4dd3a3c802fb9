/* What every /set does alike (RFC 8620 section 5.3): order, creation ids, patches, errors. */
#include "jmap_calls.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *name_of(const json_t *o, const char *path)
{
    const char *key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)kit_at(o, path)));
    return key ? key : "(nothing)";
}

static void creates_wait_for_those_that_they_refer_to(void **)
{
    json_t *a = ask("[['Mailbox/set',{@@,'create':{"
                    "'c':{'name':'c','parentId':'#b'},'b':{'name':'b','parentId':'#a'},"
                    "'a':{'name':'a'},'x':{'name':'x','parentId':'#y'},"
                    "'y':{'name':'y','parentId':'#x'},'me':{'name':'me','parentId':'#me'}}},'0'],"
                    "['Mailbox/query',{@@,'filter':{'parentId':'#b'}},'1'],"
                    "['Mailbox/query',{@@,'filter':{'parentId':'#a'}},'2']]");
    assert_int_equal(json_object_size(kit_at(a, "0.1.created")), 3);
    assert_text(a, "1.1.ids.0", kit_text(a, "0.1.created.c.id"));
    assert_text(a, "2.1.ids.0", kit_text(a, "0.1.created.b.id"));
    static const char *const circle[] = {"x", "y", "me"};
    for (size_t i = 0; i < 3; i++) {
        char path[60];
        snprintf(path, sizeof(path), "0.1.notCreated.%s.properties.0", circle[i]);
        assert_text(a, path, "parentId");
    }
    json_decref(a);
}

static void creation_ids_stand_for_ids_in_the_same_call(void **)
{
    json_t *a = ask("[['Mailbox/set',{@@,'create':{'a':{'name':'a'},'b':{'name':'b'}},"
                    "'update':{'#a':{'name':'z'}},'destroy':['#b','#b','#nothing']},'0'],"
                    "['Mailbox/get',{@@,'ids':null},'1']]");
    const char *id = kit_text(a, "0.1.created.a.id");
    assert_string_equal(name_of(a, "0.1.updated"), id); /* the answer knows ids only */
    assert_text(a, "0.1.destroyed.0", kit_text(a, "0.1.created.b.id"));
    assert_int_equal(json_array_size(kit_at(a, "0.1.destroyed")), 1);
    assert_text(a, "0.1.notDestroyed.#nothing.type", "notFound");
    json_decref(a);
}

static void a_creation_id_that_is_used_again_means_the_latest(void **)
{
    json_t *a = ask("[['Mailbox/set',{@@,'create':{'k':{'name':'one'}}},'0'],"
                    "['Mailbox/set',{@@,'create':{'k':{'name':'two'}}},'1'],"
                    "['Mailbox/set',{@@,'create':{'k':{'name':''}}},'2'],"
                    "['Mailbox/set',{@@,'create':{'c':{'name':'child','parentId':'#k'}}},'3'],"
                    "['Mailbox/query',{@@,'filter':{'name':'child'}},'4'],"
                    "['Mailbox/get',{@@,'#ids':{'resultOf':'4','name':'Mailbox/query',"
                    "'path':'/ids'}},'5']]");
    assert_text(a, "5.1.list.0.parentId", kit_text(a, "1.1.created.k.id"));
    json_decref(a);
}

/* RFC 9404 section 4.1.2 reads its upload by "#cat". */
static void creation_ids_stand_for_blobs_too(void **)
{
    json_t *boxes = ask("[['Mailbox/query',{@@,'filter':{'role':'drafts'}},'0']]");
    char calls[1500];
    snprintf(calls, sizeof(calls),
             "[['Blob/upload',{@@,'create':{'cat':{'data':[{'data:asText':"
             "'Subject: cat\\r\\n\\r\\nmeow'}]}}},'0'],"
             "['Blob/get',{@@,'ids':['#cat','#cat','#dog']},'1'],"
             "['Email/parse',{@@,'blobIds':['#cat'],'properties':['subject','blobId']},'2'],"
             "['Email/import',{@@,'emails':{'i':{'blobId':'#cat','mailboxIds':{'%s':true}}}},'3'],"
             "['Email/set',{@@,'create':{'d':{'mailboxIds':{'%s':true},'attachments':["
             "{'blobId':'#cat','type':'message/rfc822'}]}}},'4'],"
             "['Blob/lookup',{@@,'typeNames':['Email'],'ids':['#i']},'5']]",
             kit_text(boxes, "0.1.ids.0"), kit_text(boxes, "0.1.ids.0"));
    json_t *a = ask(calls);
    const char *cat = kit_text(a, "0.1.created.cat.id"), *email = kit_text(a, "3.1.created.i.id");
    char path[80];
    assert_int_equal(json_array_size(kit_at(a, "1.1.list")), 1);
    assert_text(a, "1.1.list.0.id", cat);
    assert_text(a, "1.1.list.0.data:asText", "Subject: cat\r\n\r\nmeow");
    assert_text(a, "1.1.notFound.0", "#dog");
    snprintf(path, sizeof(path), "2.1.parsed.%s.subject", cat);
    assert_text(a, path, "cat");
    snprintf(path, sizeof(path), "2.1.parsed.%s.blobId", cat);
    assert_text(a, path, cat);
    assert_int_equal(email[0], 'M');
    assert_non_null(kit_at(a, "4.1.created.d.attachments.0.blobId"));
    assert_text(a, "5.1.list.0.id", email);
    assert_text(a, "5.1.list.0.matchedIds.Email.0", email);
    json_decref(a);
    json_decref(boxes);
}

static void what_was_not_written_has_no_creation_id(void **)
{
    char text[800];
    json_t *a = ask("[['Mailbox/query',{@@,'filter':{'role':'drafts'}},'0']]");
    snprintf(text, sizeof(text),
             "{'using':['urn:ietf:params:jmap:mail'],'createdIds':{},'methodCalls':[['Email/set',"
             "{'accountId':'%s','create':{'d':{'mailboxIds':{'%s':true}}}},'0']]}",
             kit_account(&kit.anna), kit_text(a, "0.1.ids.0"));
    json_decref(a);
    kit.commit_fails = ERR_FULL;
    a = kit_ask_as(&kit, &kit.anna, text, NULL);
    assert_text(a, "methodResponses.0.1.notCreated.d.type", "serverFail");
    assert_int_equal(json_object_size(kit_at(a, "createdIds")), 0);
    json_decref(a);
    a = kit_ask_as(&kit, &kit.anna, text, NULL);
    assert_int_equal(json_object_size(kit_at(a, "createdIds")), 1);
    json_decref(a);
}

static void one_that_is_refused_does_not_stop_the_others(void **)
{
    json_t *a = ask("[['Mailbox/set',{@@,'create':{'a':{'name':''},'b':{'name':'b'}},"
                    "'update':{'Bnothing':{'name':'q'},'#b':{'name':'c'}},"
                    "'destroy':['Bnothing','#b']},'0'],"
                    "['Mailbox/set',{@@,'create':{'d':{'name':'d'}},"
                    "'update':{'Bnothing':{'name':'q'},'#d':{'sortOrder':9}},"
                    "'destroy':['Bother']},'1'],['Mailbox/query',{@@,'filter':{'name':'d'}},'2']]");
    assert_text(a, "0.1.notCreated.a.type", "invalidProperties");
    assert_text(a, "0.1.notUpdated.Bnothing.type", "notFound");
    assert_text(a, "0.1.notDestroyed.Bnothing.type", "notFound");
    assert_int_equal(json_array_size(kit_at(a, "0.1.destroyed")), 1);
    assert_int_equal(json_object_size(kit_at(a, "1.1.updated")), 1);
    assert_int_equal(json_object_size(kit_at(a, "1.1.notUpdated")), 1);
    assert_int_equal(json_object_size(kit_at(a, "1.1.notDestroyed")), 1);
    json_decref(a);
}

/* A draft of these further properties; its answer in "0.1.created.d", the array the caller's. */
static json_t *draft(const char *more)
{
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    json_t *a = ask("[['Mailbox/query',{@@,'filter':{'role':'drafts'}},'0']]");
    buf_addf(&b,
             "[['Email/set',{@@,'create':{'d':{'mailboxIds':{'%s':true},'subject':'Ciao',"
             "'from':[{'name':'Anna','email':'anna@example.test'}]%s}}},'0']]",
             kit_text(a, "0.1.ids.0"), more);
    json_decref(a);
    a = ask(buf_cstr(&b));
    assert_int_equal(kit_text(a, "0.1.created.d.id")[0], 'M');
    return a;
}

/* Both patches would begin with what is so before the call: one of them would be lost. */
static void one_thing_under_two_names_is_not_updated(void **)
{
    json_t *a = draft(""), *b;
    char text[900];
    const char *id = kit_text(a, "0.1.created.d.id");
    snprintf(text, sizeof(text),
             "{'using':['urn:ietf:params:jmap:mail'],'createdIds':{'cid':'%s'},'methodCalls':["
             "['Email/set',{'accountId':'%s','update':{'%s':{'keywords/a':true},"
             "'#cid':{'keywords/b':true}}},'0'],['Email/get',{'accountId':'%s','ids':['%s'],"
             "'properties':['keywords']},'1']]}",
             id, kit_account(&kit.anna), id, kit_account(&kit.anna), id);
    b = kit_ask_as(&kit, &kit.anna, text, NULL);
    assert_true(json_is_null(kit_at(b, "methodResponses.0.1.updated")));
    assert_int_equal(json_object_size(kit_at(b, "methodResponses.0.1.notUpdated")), 1);
    snprintf(text, sizeof(text), "methodResponses.0.1.notUpdated.%s.type", id);
    assert_text(b, text, "invalidPatch");
    assert_int_equal(json_object_size(kit_at(b, "methodResponses.1.1.list.0.keywords")), 0);
    json_decref(a);
    json_decref(b);
}

/* An upload of `n` bytes; its id in `ret`. */
static void upload(size_t n, char ret[40])
{
    static const char bytes[1000];
    buf_clear(&kit.out);
    assert_int_equal(jmap_upload(kit.jmap, kit.reader, &kit.anna, slice_str(kit_account(&kit.anna)),
                                 SLICE("a/b"), slice_of(bytes, n), &kit.out),
                     201);
    json_t *a = json_loadb(kit.out.p, kit.out.n, 0, NULL);
    snprintf(ret, 40, "%s", kit_text(a, "blobId"));
    json_decref(a);
}

static bool is_kept(const char *blob)
{
    struct email_blob steps;
    buf_clear(&kit.out);
    return jmap_download(kit.jmap, kit.reader, &kit.anna, slice_str(kit_account(&kit.anna)),
                         slice_str(blob), &steps, &kit.out) == 200;
}

static void the_oldest_uploads_go_when_there_is_no_room(void **)
{
    char id[5][40];
    kit.anna.upload_bytes = 100;
    for (size_t i = 0; i < 3; i++)
        upload(30, id[i]);
    assert_true(is_kept(id[0]) && is_kept(id[1]) && is_kept(id[2]));
    upload(50, id[3]); /* 140 without the two oldest: 80 */
    assert_true(!is_kept(id[0]) && !is_kept(id[1]) && is_kept(id[2]) && is_kept(id[3]));
    upload(20, id[4]);
    assert_true(is_kept(id[2]) && is_kept(id[3]) && is_kept(id[4]));
    kit.anna.upload_bytes = 10;
    buf_clear(&kit.out);
    assert_int_equal(jmap_upload(kit.jmap, kit.reader, &kit.anna, slice_str(kit_account(&kit.anna)),
                                 SLICE("a/b"), SLICE("eleven byte"), &kit.out),
                     413);
}

static void uploads_stay_for_a_day(void **)
{
    char old[40], young[40], latest[40];
    uint64_t now = kit.last_id;
    const uint64_t hour = (uint64_t)3600000 << 20;
    kit.last_id = now - 25 * hour;
    upload(10, old);
    kit.last_id = now - 23 * hour;
    upload(10, young);
    assert_true(!is_kept(old) && is_kept(young)); /* more than the hour that is promised */
    kit.last_id = now;
    upload(10, latest);
    assert_true(is_kept(young) && is_kept(latest));
}

static void a_blob_may_be_used_where_its_last_holder_goes(void **)
{
    char more[600];
    json_t *a = draft(",'textBody':[{'partId':'1','type':'text/plain'}],'bodyValues':{'1':"
                      "{'value':'once'}}");
    json_t *box = ask("[['Mailbox/query',{@@,'filter':{'role':'drafts'}},'0']]");
    const char *id = kit_text(a, "0.1.created.d.id");
    snprintf(more, sizeof(more),
             "[['Email/set',{@@,'destroy':['%s'],'create':{'n':{'mailboxIds':{'%s':true},"
             "'attachments':[{'blobId':'%s','type':'message/rfc822'}]}}},'0']]",
             id, kit_text(box, "0.1.ids.0"), id);
    json_t *b = ask(more);
    assert_text(b, "0.1.destroyed.0", id);
    assert_int_equal(kit_text(b, "0.1.created.n.attachments.0.blobId")[0], 'M');
    json_decref(b);
    json_decref(box);
    json_decref(a);
}

static void names_may_change_hands_in_one_call(void **)
{
    static const struct {
        const char *b, *c; /* new names of "b" and "c", while "a" becomes "b" */
        bool is;
    } rows[] = {{"a", NULL, true},  {"c", "a", true},   {"x", NULL, true},
                {"b", NULL, false}, {"c", NULL, false}, {"", NULL, false}};
    for (size_t i = 0; i < N_OF(rows); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(4000);
        json_t *made = ask("[['Mailbox/set',{@@,'create':{'a':{'name':'a'},'b':{'name':'b'},"
                           "'c':{'name':'c'}}},'0']]");
        const char *ids[] = {kit_text(made, "0.1.created.a.id"), kit_text(made, "0.1.created.b.id"),
                             kit_text(made, "0.1.created.c.id")};
        buf_addf(&b, "[['Mailbox/set',{@@,'update':{'%s':{'name':'b'},'%s':{'name':'%s'}", ids[0],
                 ids[1], rows[i].b);
        if (rows[i].c)
            buf_addf(&b, ",'%s':{'name':'%s'}", ids[2], rows[i].c);
        buf_addf(&b, "}},'0'],['Mailbox/get',{@@,'ids':['%s','%s','%s']},'1'],", ids[0], ids[1],
                 ids[2]);
        buf_addf(&b, "['Mailbox/set',{@@,'destroy':['%s','%s','%s']},'2']]", ids[0], ids[1],
                 ids[2]);
        json_t *a = ask(buf_cstr(&b));
        assert_text(a, "1.1.list.0.name", rows[i].is ? "b" : "a");
        assert_text(a, "1.1.list.1.name", rows[i].is ? rows[i].b : "b");
        assert_text(a, "1.1.list.2.name", rows[i].c ? rows[i].c : "c");
        const json_t *refused = json_object_get(kit_at(a, "0.1.notUpdated"), ids[0]);
        assert_string_equal(kit_text(refused, "type"), rows[i].is ? "(nothing)" : "alreadyExists");
        if (!rows[i].is)
            assert_string_equal(kit_text(refused, "existingId"), ids[1]);
        json_decref(a);
        json_decref(made);
    }
}

static void a_call_that_is_refused_changes_nothing(void **)
{
    static const char *const calls[] = {
        "['Mailbox/set',{@@,'create':{'a':{'name':'a'}},'colour':1},'0']",
        "['Mailbox/set',{@@,'create':{'a':{'name':'a'}},'ifInState':'999'},'0']",
        "['Mailbox/set',{@@,'create':{'a':{'name':'a'}},'destroy':[1]},'0']",
        "['Mailbox/set',{@@,'create':{'a':{'name':'a'}},'onDestroyRemoveEmails':1},'0']",
        "['Identity/set',{@@,'create':{'a':{'email':'anna@example.test'}},'update':1},'0']",
        "['VacationResponse/set',{@@,'update':{'singleton':{'isEnabled':true}},'create':1},'0']",
        "['Email/set',{@@,'#create':{'resultOf':'x','name':'y','path':''}},'0']",
    };
    json_decref(ask("[['Mailbox/get',{@@},'0']]"));
    uint64_t before = kit.modseq[0];
    for (size_t i = 0; i < N_OF(calls); i++) {
        char text[400];
        snprintf(text, sizeof(text), "[%s,['Core/echo',{},'1']]", calls[i]);
        json_t *a = ask(text);
        assert_text(a, "0.0", "error");
        assert_text(a, "1.0", "Core/echo"); /* and the next one is run */
        json_decref(a);
    }
    assert_int_equal(kit.modseq[0], before);
}

static const json_t *patched(json_t **answer, const char *type, const char *id, const char *patch)
{
    char calls[3000];
    json_decref(*answer);
    snprintf(calls, sizeof(calls), "[['%s/set',{@@,'update':{'%s':%s}},'0']]", type, id, patch);
    *answer = ask(calls);
    const json_t *refused = kit_at(*answer, "0.1.notUpdated");
    return json_object_iter_value(json_object_iter((json_t *)(uintptr_t)refused));
}

static void patches_are_refused_where_the_standard_forbids_them(void **)
{
    static const struct {
        const char *type, *patch, *error; /* NULL: none */
    } rows[] = {
        /* inside an array */
        {"Email", "{'from/0/name':'Luca'}", "invalidPatch"},
        {"Email", "{'from/0/name':'Luca','from/0/email':'x@y.test'}", "invalidPatch"},
        {"Identity", "{'replyTo/0/name':'Luca'}", "invalidPatch"},
        {"Identity", "{'replyTo/0':{'email':'x@y.test'}}", "invalidPatch"},
        /* through what is not there, or is no object */
        {"Email", "{'keywords/$seen/x':true}", "invalidPatch"},
        {"Mailbox", "{'parentId/x':true}", "invalidPatch"},
        {"Mailbox", "{'nothing/x':true}", "invalidPatch"},
        {"Mailbox", "{'name~2':true}", "invalidPatch"},
        {"VacationResponse", "{'fromDate/x':true}", "invalidPatch"},
        /* one path begins another */
        {"Email", "{'keywords/a':true,'keywords':{}}", "invalidPatch"},
        {"Mailbox", "{'myRights':{},'myRights/mayRename':true}", "invalidPatch"},
        /* the server's own, as it is and otherwise */
        {"Email", "{'id':'ID','size':'SIZE','subject':'Ciao','keywords/a':true}", NULL},
        {"Email", "{'from':[{'name':'Anna','email':'anna@example.test'}]}", NULL},
        {"Email", "{'id':'Mother'}", "invalidProperties"},
        {"Email", "{'size':7}", "invalidProperties"},
        {"Email", "{'subject':null}", "invalidProperties"},
        {"Email", "{'colour':'red'}", "invalidProperties"},
        {"Mailbox", "{'totalEmails':0,'sortOrder':3}", NULL},
        {"Mailbox", "{'totalEmails':9}", "invalidProperties"},
        {"Mailbox", "{'myRights/mayRename':false}", "invalidProperties"},
        {"Identity", "{'mayDelete':false,'name':'A'}", NULL},
        {"Identity", "{'mayDelete':true}", "invalidProperties"},
        {"Identity", "{'email':'anna@example.test'}", NULL},
        {"Identity", "{'email':'other@example.test'}", "invalidProperties"}, /* immutable */
        {"VacationResponse", "{'id':'singleton','subject':'away'}", NULL},
        {"VacationResponse", "{'id':'other'}", "invalidProperties"},
    };
    json_t *a = draft("");
    char id[4][60], size[20], patch[1000];
    snprintf(id[0], 60, "%s", kit_text(a, "0.1.created.d.id"));
    snprintf(size, sizeof(size), "%lld",
             (long long)json_integer_value(kit_at(a, "0.1.created.d.size")));
    json_decref(a);
    a = ask("[['Mailbox/set',{@@,'create':{'m':{'name':'m'}}},'0'],['Identity/get',{@@},'1']]");
    snprintf(id[1], 60, "%s", kit_text(a, "0.1.created.m.id"));
    snprintf(id[2], 60, "%s", kit_text(a, "1.1.list.0.id"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char kind = rows[i].type[0];
        size_t n = 0;
        for (const char *p = rows[i].patch; *p; p++) {
            bool is_id = strncmp(p, "ID'", 3) == 0, is_size = strncmp(p, "'SIZE'", 6) == 0;
            n += (size_t)snprintf(patch + n, sizeof(patch) - n, "%s%.*s",
                                  is_id     ? id[0]
                                  : is_size ? size
                                            : "",
                                  !is_id && !is_size, p);
            p += is_id ? 1 : is_size ? 5 : 0;
        }
        const json_t *refused = patched(&a, rows[i].type,
                                        kind == 'E'   ? id[0]
                                        : kind == 'M' ? id[1]
                                        : kind == 'I' ? id[2]
                                                      : "singleton",
                                        patch);
        if (strcmp(kit_text(refused, "type"), rows[i].error ? rows[i].error : "(nothing)") != 0)
            fail_msg("%s %s: %s", rows[i].type, patch, kit_text(refused, "type"));
    }
    json_decref(a);
}

static void half_of_a_patch_is_not_applied(void **)
{
    char calls[400];
    json_t *a = ask("[['Mailbox/set',{@@,'create':{'m':{'name':'m'}}},'0']]");
    char id[60];
    snprintf(id, sizeof(id), "%s", kit_text(a, "0.1.created.m.id"));
    assert_text(patched(&a, "Mailbox", id, "{'sortOrder':7,'isSubscribed':'x'}"), "type",
                "invalidProperties");
    snprintf(calls, sizeof(calls), "[['Mailbox/get',{@@,'ids':['%s']},'0']]", id);
    json_decref(a);
    a = ask(calls);
    assert_number(a, "0.1.list.0.sortOrder", 0);
    json_decref(a);
}

/* A part of a message has an id of its own, not that of the blob that it was made of. */
static void new_ids_of_blobs_are_told(void **)
{
    char more[600], calls[300];
    json_t *a = ask("[['Email/query',{@@},'0']]");
    buf_clear(&kit.out);
    assert_int_equal(jmap_upload(kit.jmap, kit.reader, &kit.anna, slice_str(kit_account(&kit.anna)),
                                 SLICE("image/png"), SLICE("no picture"), &kit.out),
                     201);
    json_decref(a);
    json_t *upload = json_loadb(kit.out.p, kit.out.n, 0, NULL);
    snprintf(more, sizeof(more),
             ",'textBody':[{'partId':'1','type':'text/plain'}],'bodyValues':{'1':{'value':'x'}},"
             "'attachments':[{'blobId':'%s','type':'image/png','name':'a.png'}]",
             kit_text(upload, "blobId"));
    a = draft(more);
    const char *blob = kit_text(a, "0.1.created.d.attachments.0.blobId");
    assert_int_equal(blob[0], 'M');
    assert_null(kit_at(a, "0.1.created.d.textBody"));
    snprintf(calls, sizeof(calls),
             "[['Email/get',{@@,'ids':['%s'],'properties':['attachments']},'0']]",
             kit_text(a, "0.1.created.d.id"));
    json_t *b = ask(calls);
    assert_text(b, "0.1.list.0.attachments.0.blobId", blob);
    json_decref(b);
    json_decref(a);
    snprintf(more, sizeof(more),
             ",'bodyStructure':{'type':'multipart/mixed','subParts':[{'partId':'1','type':"
             "'text/plain'},{'blobId':'%s','type':'image/png'}]},'bodyValues':{'1':{'value':'x'}}",
             kit_text(upload, "blobId"));
    a = draft(more);
    assert_int_equal(kit_text(a, "0.1.created.d.bodyStructure.subParts.1.blobId")[0], 'M');
    json_decref(a);
    json_decref(upload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(creates_wait_for_those_that_they_refer_to),
        TEST(creation_ids_stand_for_ids_in_the_same_call),
        TEST(a_creation_id_that_is_used_again_means_the_latest),
        TEST(creation_ids_stand_for_blobs_too),
        TEST(one_thing_under_two_names_is_not_updated),
        TEST(what_was_not_written_has_no_creation_id),
        TEST(one_that_is_refused_does_not_stop_the_others),
        TEST(the_oldest_uploads_go_when_there_is_no_room),
        TEST(uploads_stay_for_a_day),
        TEST(a_blob_may_be_used_where_its_last_holder_goes),
        TEST(names_may_change_hands_in_one_call),
        TEST(a_call_that_is_refused_changes_nothing),
        TEST(patches_are_refused_where_the_standard_forbids_them),
        TEST(half_of_a_patch_is_not_applied),
        TEST(new_ids_of_blobs_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
