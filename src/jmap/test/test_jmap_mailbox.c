/* Mailboxes of JMAP on a real store. */
#include "jmap_kit.h"

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

static void everybody_has_the_mailboxes_that_clients_look_for(void **)
{
    struct kit *k = fresh();
    json_t *a = kit_call(k, "Mailbox/query", "'sort':[{'property':'sortOrder'}]");
    assert_int_equal(json_array_size(kit_at(a, "ids")), 6);
    json_decref(a);
    static const char *const roles[] = {"inbox", "drafts", "sent", "archive", "junk", "trash"};
    for (size_t i = 0; i < 6; i++) {
        char args[100];
        snprintf(args, sizeof(args), "'filter':{'role':'%s'}", roles[i]);
        a = kit_call(k, "Mailbox/query", args);
        assert_int_equal(json_array_size(kit_at(a, "ids")), 1);
        json_decref(a);
    }
    a = kit_call(k, "Mailbox/get", "");
    assert_number(a, "list.0.totalEmails", 0);
    assert_true(json_is_true(kit_at(a, "list.0.myRights.mayReadItems")));
    json_decref(a);
    done(k);
}

static char id_of[40];

/* The id of a new mailbox, in id_of. */
static void make(struct kit *k, const char *object)
{
    char args[400];
    snprintf(args, sizeof(args), "'create':{'x':%s}", object);
    json_t *a = kit_call(k, "Mailbox/set", args);
    snprintf(id_of, sizeof(id_of), "%s", kit_text(a, "created.x.id"));
    assert_int_equal(id_of[0], 'B');
    json_decref(a);
}

static void what_may_not_be_created_is_refused_with_the_property(void **)
{
    struct kit *k = fresh();
    static const struct {
        const char *object, *type, *property;
    } rows[] = {
        {"{}", "invalidProperties", "name"},
        {"{'name':''}", "invalidProperties", "name"},
        {"{'name':7}", "invalidProperties", "name"},
        {"{'name':'a\\nb'}", "invalidProperties", "name"},
        {"{'name':'Inbox'}", "alreadyExists", "name"}, /* is there */
        {"{'name':'x','parentId':'Bnothing'}", "invalidProperties", "parentId"},
        {"{'name':'x','parentId':'#k9'}", "invalidProperties", "parentId"},
        {"{'name':'x','role':'sent'}", "invalidProperties", "role"}, /* is taken */
        {"{'name':'x','role':'king'}", "invalidProperties", "role"},
        {"{'name':'x','sortOrder':-1}", "invalidProperties", "sortOrder"},
        {"{'name':'x','isSubscribed':1}", "invalidProperties", "isSubscribed"},
        {"{'name':'x','totalEmails':5}", "invalidProperties", "totalEmails"},
        {"{'name':'x','colour':'red'}", "invalidProperties", "colour"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char args[400];
        snprintf(args, sizeof(args), "'create':{'x':%s}", rows[i].object);
        json_t *a = kit_call(k, "Mailbox/set", args);
        assert_text(a, "notCreated.x.type", rows[i].type);
        assert_text(a, "notCreated.x.properties.0", rows[i].property);
        assert_true(json_is_null(kit_at(a, "created")));
        assert_string_equal(kit_text(a, "oldState"), kit_text(a, "newState"));
        json_decref(a);
    }
    done(k);
}

static void mailboxes_are_made_moved_and_removed(void **)
{
    struct kit *k = fresh();
    char parent[40], child[40], args[400];
    make(k, "{'name':'Projects','isSubscribed':true}");
    snprintf(parent, sizeof(parent), "%s", id_of);
    snprintf(args, sizeof(args), "{'name':'Inner','parentId':'%s'}", parent);
    make(k, args);
    snprintf(child, sizeof(child), "%s", id_of);
    /* A mailbox below itself, and one with a child. */
    snprintf(args, sizeof(args), "'update':{'%s':{'parentId':'%s'}},'destroy':['%s']", parent,
             child, parent);
    json_t *a = kit_call(k, "Mailbox/set", args);
    assert_null(kit_at(a, "updated.x"));
    assert_text(
        json_object_iter_value(json_object_iter((json_t *)(uintptr_t)kit_at(a, "notUpdated"))),
        "type", "willDestroy");
    json_decref(a);
    snprintf(args, sizeof(args), "'update':{'%s':{'parentId':'%s'}}", parent, child);
    a = kit_call(k, "Mailbox/set", args);
    assert_text(
        json_object_iter_value(json_object_iter((json_t *)(uintptr_t)kit_at(a, "notUpdated"))),
        "properties.0", "parentId");
    json_decref(a);
    snprintf(args, sizeof(args), "'destroy':['%s']", parent);
    a = kit_call(k, "Mailbox/set", args);
    assert_text(
        json_object_iter_value(json_object_iter((json_t *)(uintptr_t)kit_at(a, "notDestroyed"))),
        "type", "mailboxHasChild");
    json_decref(a);
    snprintf(args, sizeof(args),
             "'update':{'%s':{'parentId':null,'name':'Outer'}},'destroy':['%s']", child, parent);
    a = kit_call(k, "Mailbox/set", args);
    assert_int_equal(json_array_size(kit_at(a, "destroyed")), 1);
    json_decref(a);
    snprintf(args, sizeof(args), "'ids':['%s','%s']", child, parent);
    a = kit_call(k, "Mailbox/get", args);
    assert_text(a, "list.0.name", "Outer");
    assert_true(json_is_null(kit_at(a, "list.0.parentId")));
    assert_text(a, "notFound.0", parent);
    json_decref(a);
    done(k);
}

static void the_inbox_stays(void **)
{
    struct kit *k = fresh();
    char args[200];
    json_t *a = kit_call(k, "Mailbox/query", "'filter':{'role':'inbox'}");
    snprintf(args, sizeof(args), "'destroy':['%s']", kit_text(a, "ids.0"));
    json_decref(a);
    a = kit_call(k, "Mailbox/set", args);
    assert_text(
        json_object_iter_value(json_object_iter((json_t *)(uintptr_t)kit_at(a, "notDestroyed"))),
        "type", "forbidden");
    json_decref(a);
    done(k);
}

static void a_state_that_has_passed_stops_a_change(void **)
{
    struct kit *k = fresh();
    char args[200], state[40];
    json_t *a = kit_call(k, "Mailbox/get", "'ids':[]");
    snprintf(state, sizeof(state), "%s", kit_text(a, "state"));
    json_decref(a);
    make(k, "{'name':'one'}");
    snprintf(args, sizeof(args), "'ifInState':'%s','create':{'x':{'name':'two'}}", state);
    a = kit_call(k, "Mailbox/set", args);
    assert_text(a, "type", "stateMismatch");
    json_decref(a);
    snprintf(args, sizeof(args), "'sinceState':'%s'", state);
    a = kit_call(k, "Mailbox/changes", args);
    assert_text(a, "created.0", id_of);
    assert_int_equal(json_array_size(kit_at(a, "updated")), 0);
    assert_true(json_is_null(kit_at(a, "updatedProperties")));
    json_decref(a);
    a = kit_call(k, "Mailbox/changes", "'sinceState':'999999'");
    assert_text(a, "type", "cannotCalculateChanges");
    json_decref(a);
    a = kit_call(k, "Mailbox/changes", "'sinceState':'abc'");
    assert_text(a, "type", "cannotCalculateChanges");
    json_decref(a);
    done(k);
}

static void what_the_disk_refuses_did_not_happen(void **)
{
    struct kit *k = fresh();
    json_t *a = kit_call(k, "Mailbox/get", "'ids':null");
    json_decref(a);
    k->commit_fails = ERR_FULL;
    a = kit_call(k, "Mailbox/set", "'create':{'x':{'name':'one'}}");
    assert_text(a, "notCreated.x.type", "serverFail");
    json_decref(a);
    a = kit_call(k, "Mailbox/query", "'filter':{'name':'ONE'}");
    assert_int_equal(json_array_size(kit_at(a, "ids")), 0);
    json_decref(a);
    done(k);
}

static void queries_sort_filter_and_cut(void **)
{
    struct kit *k = fresh();
    char args[400], top[40];
    make(k, "{'name':'b','sortOrder':50}");
    snprintf(top, sizeof(top), "%s", id_of);
    snprintf(args, sizeof(args), "{'name':'z','parentId':'%s','sortOrder':1}", top);
    make(k, args);
    make(k, "{'name':'a','sortOrder':60}");
    json_t *a = kit_call(k, "Mailbox/query",
                         "'filter':{'operator':'AND','conditions':[{'hasAnyRole':false},"
                         "{'operator':'NOT','conditions':[{'name':'q'}]}]},'sortAsTree':true,"
                         "'sort':[{'property':'sortOrder'}],'calculateTotal':true");
    assert_number(a, "total", 3);
    assert_text(a, "ids.0", top); /* its child behind it, although that has a smaller number */
    assert_text(a, "ids.2", id_of);
    json_decref(a);
    a = kit_call(k, "Mailbox/query",
                 "'filter':{'hasAnyRole':false},'sort':[{'property':'name','isAscending':false}],"
                 "'limit':1,'position':-2");
    assert_text(a, "ids.0", top);
    assert_number(a, "position", 1);
    json_decref(a);
    a = kit_call(k, "Mailbox/query", "'filter':{'colour':'red'}");
    assert_text(a, "type", "unsupportedFilter");
    json_decref(a);
    a = kit_call(k, "Mailbox/query", "'sort':[{'property':'colour'}]");
    assert_text(a, "type", "unsupportedSort");
    json_decref(a);
    a = kit_call(k, "Mailbox/query", "'anchor':'Bnothing'");
    assert_text(a, "type", "anchorNotFound");
    json_decref(a);
    done(k);
}

/* Core delivers to the inbox that the administration made; another would never get anything. */
static void nobody_makes_an_inbox(void **)
{
    struct kit *k = fresh();
    struct errinfo ei;
    struct record_mailbox gone = {.id = KIT_INBOX + 1,
                                  .person = KIT_LUCA,
                                  .tenant = 1,
                                  .name = SLICE("Inbox"),
                                  .role = SLICE("inbox"),
                                  .uid_validity = 1,
                                  .created = 1,
                                  .is_removed = 1};
    struct jmap_commit c = {.mailboxes = &gone, .n_mailboxes = 1};
    assert_int_equal(kit_commit(k, &k->luca, &c, &ei), ERR_OK);
    json_t *a =
        kit_call_as(k, &k->luca, "Mailbox/set", "'create':{'k':{'name':'In','role':'inbox'}}");
    assert_text(a, "notCreated.k.type", "invalidProperties");
    assert_text(a, "notCreated.k.properties.0", "role");
    json_decref(a);
    done(k);
}

static void put_mailboxes(struct kit *k, size_t n)
{
    struct record_mailbox *all = mem_new(n * sizeof(*all));
    struct errinfo ei;
    for (size_t i = 0; i < n; i++) {
        all[i] = (struct record_mailbox){.id = kit_next_id(k),
                                         .person = KIT_ANNA,
                                         .tenant = 1,
                                         .name = SLICE("box"),
                                         .uid_validity = 1};
    }
    struct jmap_commit c = {.mailboxes = all, .n_mailboxes = n};
    assert_int_equal(kit_commit(k, &k->anna, &c, &ei), ERR_OK);
    mem_free(&all);
}

/* As many as may be got at once, and not one more (RFC 8620 section 5.1). */
static void all_of_them_are_given_up_to_the_limit(void **)
{
    struct kit *k = fresh();
    json_decref(kit_call(k, "Mailbox/get", "'ids':[]")); /* those that everybody has are made */
    put_mailboxes(k, JMAP_OBJECTS_GET_MAX - 6);
    json_t *a = kit_call(k, "Mailbox/get", "'ids':null");
    assert_int_equal(json_array_size(kit_at(a, "list")), JMAP_OBJECTS_GET_MAX);
    json_decref(a);
    a = kit_call(k, "Mailbox/set", "'create':{'k':{'name':'One more'}}");
    assert_text(a, "notCreated.k.type", "overQuota");
    json_decref(a);
    put_mailboxes(k, 1);
    a = kit_call(k, "Mailbox/get", "'ids':null");
    assert_text(a, "type", "requestTooLarge");
    json_decref(a);
    done(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_has_the_mailboxes_that_clients_look_for),
        cmocka_unit_test(what_may_not_be_created_is_refused_with_the_property),
        cmocka_unit_test(mailboxes_are_made_moved_and_removed),
        cmocka_unit_test(the_inbox_stays),
        cmocka_unit_test(a_state_that_has_passed_stops_a_change),
        cmocka_unit_test(what_the_disk_refuses_did_not_happen),
        cmocka_unit_test(queries_sort_filter_and_cut),
        cmocka_unit_test(nobody_makes_an_inbox),
        cmocka_unit_test(all_of_them_are_given_up_to_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
