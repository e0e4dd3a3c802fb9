/* What every /set does alike (RFC 8620 section 5.3): order, creation ids, patches, errors. */
#include "jmap_kit.h"

static struct kit kit;

static int open_kit(void **)
{
    kit_open(&kit);
    return 0;
}

static int close_kit(void **)
{
    kit_close(&kit);
    return 0;
}

/* Calls with @@ for the account; the array of responses, the caller's. */
static json_t *ask(const char *calls)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    buf_adds(&b, SLICE("{'using':['urn:ietf:params:jmap:core','urn:ietf:params:jmap:mail',"
                       "'urn:ietf:params:jmap:submission',"
                       "'urn:ietf:params:jmap:vacationresponse'],'methodCalls':"));
    for (const char *p = calls; *p; p++) {
        bool is_account = p[0] == '@' && p[1] == '@';
        if (is_account)
            buf_addf(&b, "'accountId':'%s'", kit_account(&kit.anna));
        else
            buf_addc(&b, *p);
        p += is_account;
    }
    buf_addc(&b, '}');
    json_t *answer = kit_ask_as(&kit, &kit.anna, buf_cstr(&b), NULL);
    json_t *responses = json_incref(json_object_get(answer, "methodResponses"));
    assert_non_null(responses);
    json_decref(answer);
    return responses;
}

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

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_kit, close_kit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(creates_wait_for_those_that_they_refer_to),
        TEST(creation_ids_stand_for_ids_in_the_same_call),
        TEST(a_creation_id_that_is_used_again_means_the_latest),
        TEST(what_was_not_written_has_no_creation_id),
        TEST(one_that_is_refused_does_not_stop_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
