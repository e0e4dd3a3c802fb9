/* What happens beside a call that changes things: mail that comes meanwhile, an index that is
 * behind what is written. */
#include "jmap_calls.h"

#include "base/refuse.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- others' changes ---- */

static unsigned n_to_come;

/* Mail for Anna becomes durable and applied just before what is committed now. */
static void mail_comes(void)
{
    if (n_to_come == 0)
        return;
    n_to_come--;
    SCOPED(buf_finish) struct buf facts = buf_make(10000);
    struct record_fields fields = {.subject = SLICE("news")};
    struct jmap_message m = {
        .id = kit_next_id(&kit), .bytes = SLICE("Subject: news\r\n\r\n"), .fields = &fields};
    struct record_place place = {.mailbox = KIT_INBOX};
    struct record_email e = {.account = KIT_ANNA,
                             .message = m.id,
                             .thread = m.id,
                             .received = 1000,
                             .places = &place,
                             .n_places = 1};
    struct record_emails all = {.emails = &e, .n_emails = 1};
    kit_put_message(&kit, &m);
    kit_number(&e, ++kit.modseq[0]);
    record_emails_pack(&facts, &all);
    kit_write(&kit, RECORD_EMAIL, 0, &facts, SLICE(""));
}

/* What a call's text names $B, a mailbox, and $U, an upload. */
static char box[20], blob[100];

static void find_names(void)
{
    json_t *a = ask("[['Mailbox/query',{@@,'filter':{'role':'drafts'}},'0'],"
                    "['Blob/upload',{@@,'create':{'b':{'data':[{'data:asText':"
                    "'Subject: x\\r\\n\\r\\n'}]}}},'1']]");
    snprintf(box, sizeof(box), "%s", kit_text(a, "0.1.ids.0"));
    snprintf(blob, sizeof(blob), "%s", kit_text(a, "1.1.created.b.id"));
    json_decref(a);
}

static json_t *ask_named(const char *before, const char *call)
{
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    buf_addf(&b, "[%s", before);
    for (const char *p = call; *p; p++) {
        if (*p == '$')
            buf_addf(&b, "%s", *++p == 'B' ? box : blob);
        else
            buf_addc(&b, *p);
    }
    buf_addf(&b, "]");
    return ask(buf_cstr(&b));
}

/* Every call that tells the state before and after. */
static const char *const sets[] = {
    "['Mailbox/set',{@@,'create':{'a':{'name':'one'}}},'s']",
    "['Email/set',{@@,'create':{'d':{'mailboxIds':{'$B':true},'subject':'d'}}},'s']",
    "['Email/import',{@@,'emails':{'i':{'blobId':'$U','mailboxIds':{'$B':true}}}},'s']",
    "['Identity/set',{@@,'create':{'i':{'name':'n','email':'anna@example.test'}}},'s']",
    "['VacationResponse/set',{@@,'update':{'singleton':{'subject':'away'}}},'s']",
};

/* Whoever goes from there to newState would never hear of it. */
static void no_old_state_is_told_when_newer_things_came_along(void **)
{
    find_names();
    for (size_t i = 0; i < N_OF(sets); i++) {
        kit.on_commit = mail_comes;
        n_to_come = 1;
        json_t *a = ask_named("", sets[i]);
        kit.on_commit = NULL;
        assert_int_equal(n_to_come, 0);
        if (!json_is_null(kit_at(a, "0.1.oldState")) || !kit_at(a, "0.1.newState"))
            fail_msg("%s: %s", sets[i], json_dumps(a, 0));
        json_decref(a);
    }
}

static void an_old_state_is_told_when_the_call_alone_changed_things(void **)
{
    find_names();
    for (size_t i = 0; i < N_OF(sets); i++) {
        json_t *a = ask_named("['Blob/upload',{@@,'create':{'b':{'data':[]}}},'0'],", sets[i]);
        if (!json_is_string(kit_at(a, "1.1.oldState")))
            fail_msg("%s: %s", sets[i], json_dumps(a, 0));
        json_decref(a);
    }
}

/* A later call of the same request knows of it, and begins there. */
static void what_came_is_counted_once(void **)
{
    find_names();
    kit.on_commit = mail_comes;
    n_to_come = 1;
    json_t *a = ask("[['Mailbox/set',{@@,'create':{'a':{'name':'a'}}},'0'],"
                    "['Email/get',{@@,'ids':[]},'1'],"
                    "['Email/set',{@@,'destroy':['Mnone']},'2']]");
    kit.on_commit = NULL;
    assert_true(json_is_null(kit_at(a, "0.1.oldState")));
    assert_text(a, "2.1.oldState", kit_text(a, "1.1.state"));
    json_decref(a);
}

/* ---- written, but not to be seen yet ---- */

/* A client that heard "not done" would do it again. */
static void what_is_written_but_not_seen_is_not_said_to_be_refused(void **)
{
    struct refuse_count counts[REFUSE_N];
    find_names();
    for (size_t i = 0; i < N_OF(sets); i++) {
        (void)refuse_take_counts(counts);
        kit.commit_lags = true;
        json_t *a = ask_named("", sets[i]);
        if (strcmp(kit_text(a, "0.0"), "error") != 0)
            fail_msg("%s: %s", sets[i], json_dumps(a, 0));
        assert_text(a, "0.1.type", "serverPartialFail");
        assert_true(refuse_take_counts(counts) && counts[REFUSE_JMAP_BUSY].n == 1);
        json_decref(a);
    }
    json_t *a = ask("[['Mailbox/query',{@@,'filter':{'name':'one'}},'0'],['Email/query',{@@},'1'],"
                    "['Identity/get',{@@},'2'],['VacationResponse/get',{@@},'3']]");
    assert_int_equal(json_array_size(kit_at(a, "0.1.ids")), 1);
    assert_int_equal(json_array_size(kit_at(a, "1.1.ids")), 2);
    assert_int_equal(json_array_size(kit_at(a, "2.1.list")), 2);
    assert_text(a, "3.1.list.0.subject", "away");
    json_decref(a);
}

/* It would be decided by what was so before. */
static void nothing_more_is_written_by_a_request_that_does_not_see_what_it_wrote(void **)
{
    find_names(); /* and with that the mailboxes that everybody has */
    kit.commit_lags = true;
    json_t *a = ask("[['Mailbox/set',{@@,'create':{'d':{'name':'xxd'},'e':{'name':'xxe'}}},'0'],"
                    "['Mailbox/set',{@@,'create':{'f':{'name':'xxf'}}},'1'],"
                    "['Email/import',{@@,'emails':{}},'2'],['Mailbox/get',{@@},'3']]");
    assert_text(a, "0.1.type", "serverPartialFail");
    assert_text(a, "1.1.type", "serverUnavailable");
    assert_text(a, "2.1.type", "serverUnavailable");
    assert_text(a, "3.0", "Mailbox/get");
    json_decref(a);
    a = ask("[['Mailbox/query',{@@,'filter':{'name':'xx'}},'0']]");
    assert_int_equal(json_array_size(kit_at(a, "0.1.ids")), 1);
    json_decref(a);
}

/* By another request, say, which did not see it either. */
static void nothing_is_written_by_a_view_that_is_older_than_the_log(void **)
{
    find_names();
    kit.index_lags = true;
    json_t *a =
        ask("[['Mailbox/set',{@@,'create':{'g':{'name':'xxg'}}},'0'],['Mailbox/get',{@@},'1']]");
    kit.index_lags = false;
    assert_text(a, "0.1.type", "serverUnavailable");
    assert_text(a, "1.0", "Mailbox/get");
    json_decref(a);
    a = ask("[['Mailbox/query',{@@,'filter':{'name':'xxg'}},'0']]");
    assert_int_equal(json_array_size(kit_at(a, "0.1.ids")), 0);
    json_decref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_old_state_is_told_when_newer_things_came_along),
        TEST(an_old_state_is_told_when_the_call_alone_changed_things),
        TEST(what_came_is_counted_once),
        TEST(what_is_written_but_not_seen_is_not_said_to_be_refused),
        TEST(nothing_is_written_by_a_view_that_is_older_than_the_log),
        TEST(nothing_more_is_written_by_a_request_that_does_not_see_what_it_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
