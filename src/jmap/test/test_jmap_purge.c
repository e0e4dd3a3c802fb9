/* What is forgotten: tombstones that were dropped, and what a client is told that asks what changed
 * since before; views that have no room. */
#include "jmap_kit.h"

static uint64_t make(struct kit *k, const char *subject)
{
    char args[600], inbox[MESSAGE_ID_TEXT + 1] = "B";
    message_id_text(KIT_INBOX, inbox + 1);
    snprintf(args, sizeof(args),
             "'create':{'x':{'mailboxIds':{'%s':true},'subject':'%s',"
             "'textBody':[{'partId':'1','type':'text/plain'}],'bodyValues':{'1':{'value':'a'}}}}",
             inbox, subject);
    json_t *a = kit_call(k, "Email/set", args);
    assert_int_equal(kit_text(a, "created.x.id")[0], 'M');
    json_decref(a);
    return k->last_id;
}

static void purge(struct kit *k, uint64_t floor)
{
    SCOPED(buf_finish) struct buf facts = buf_make(4096);
    struct record_purged purged = {.account = KIT_ANNA, .floor = floor};
    struct record_purges all = {&purged, 1};
    record_purges_pack(&facts, &all);
    kit_write(k, RECORD_PURGED, 0, &facts, SLICE(""));
}

/* Without asking JMAP: no view in memory hears of it. Returns its change number. */
static uint64_t destroy_behind_its_back(struct kit *k, uint64_t message)
{
    SCOPED(buf_finish) struct buf facts = buf_make(4096);
    struct record_email e = {
        .account = KIT_ANNA, .message = message, .modseq = ++k->modseq[0], .is_gone = 1};
    struct record_emails all = {&e, 1};
    record_emails_pack(&facts, &all);
    kit_write(k, RECORD_EMAIL, 0, &facts, SLICE(""));
    return e.modseq;
}

static void destroy(struct kit *k, uint64_t message)
{
    char id[MESSAGE_ID_TEXT + 1], args[100];
    id[0] = 'M';
    message_id_text(message, id + 1);
    snprintf(args, sizeof(args), "'destroy':['%s']", id);
    json_t *a = kit_call(k, "Email/set", args);
    assert_text(a, "destroyed.0", id);
    json_decref(a);
}

static void assert_changes(struct kit *k, const char *method, uint64_t since, const char *type)
{
    char args[100];
    snprintf(args, sizeof(args), "'%s':'%llu'",
             strstr(method, "queryChanges") ? "sinceQueryState" : "sinceState",
             (unsigned long long)since);
    json_t *a = kit_call(k, method, args);
    assert_text(a, "type", type);
    json_decref(a);
}

static void what_changed_before_a_purge_cannot_be_calculated(void **)
{
    static const char *const methods[] = {"Email/changes",        "Thread/changes",
                                          "Mailbox/changes",      "Email/queryChanges",
                                          "Mailbox/queryChanges", "Quota/changes"};
    static struct kit k;
    kit_open(&k);
    k.anna.quota_bytes = 1 << 20;
    uint64_t first = make(&k, "one");
    (void)make(&k, "two");
    uint64_t before = k.modseq[0];
    destroy(&k, first);
    uint64_t floor = k.modseq[0];
    assert_changes(&k, "Email/changes", before, "(nothing)");
    purge(&k, floor);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        assert_changes(&k, methods[i], before, "cannotCalculateChanges");
    (void)make(&k, "three");
    json_t *a = kit_call(&k, "Email/get", "'ids':[]");
    assert_int_equal(atol(kit_text(a, "state")), k.modseq[0]);
    json_decref(a);
    for (size_t i = 0; i < 2; i++)
        assert_changes(&k, methods[i], floor, "(nothing)"); /* and since then it can */
    a = kit_call(&k, "Email/query", "'calculateTotal':true");
    assert_number(a, "total", 2);
    json_decref(a);
    kit_close(&k);
}

/* A view that nobody used for longer than tombstones are kept must not show what went meanwhile. */
static void a_view_from_before_the_floor_is_made_anew(void **)
{
    static struct kit k;
    kit_open(&k);
    uint64_t first = make(&k, "one");
    (void)make(&k, "two");
    purge(&k, destroy_behind_its_back(&k, first));
    json_t *a = kit_call(&k, "Email/query", "'calculateTotal':true");
    assert_number(a, "total", 1);
    json_decref(a);
    a = kit_call(&k, "Mailbox/get", "");
    assert_number(a, "list.0.totalEmails", 1);
    assert_number(a, "list.0.totalThreads", 1);
    json_decref(a);
    kit_close(&k);
}

/* The number of the account stays: it is never given twice. */
static void an_account_goes_on_counting_where_it_was(void **)
{
    static struct kit k;
    kit_open(&k);
    uint64_t only = make(&k, "one");
    destroy(&k, only);
    purge(&k, k.modseq[0]);
    json_t *a = kit_call(&k, "Email/get", "'ids':[]");
    assert_int_equal(atol(kit_text(a, "state")), k.modseq[0]);
    json_decref(a);
    struct store_account account;
    struct errinfo ei;
    assert_int_equal(store_get_account(k.reader, KIT_ANNA, &account, &ei), ERR_OK);
    assert_int_equal(account.modseq, k.modseq[0]);
    assert_int_equal(account.floor, k.modseq[0]);
    kit_close(&k);
}

/* And what was let go comes back from the index. */
static void a_cache_keeps_to_its_ceiling(void **)
{
    static struct kit k;
    kit_open(&k);
    (void)make(&k, "one");
    assert_true(account_cache_bytes(k.accounts) > sizeof(void *));
    account_cache_limit(k.accounts, 1);
    assert_int_equal(account_cache_bytes(k.accounts), 0);
    (void)make(&k, "two");
    assert_int_equal(account_cache_bytes(k.accounts), 0); /* held no longer than it is used */
    json_t *a = kit_call(&k, "Email/query", "'calculateTotal':true");
    assert_number(a, "total", 2);
    json_decref(a);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changed_before_a_purge_cannot_be_calculated),
        cmocka_unit_test(a_view_from_before_the_floor_is_made_anew),
        cmocka_unit_test(a_cache_keeps_to_its_ceiling),
        cmocka_unit_test(an_account_goes_on_counting_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
