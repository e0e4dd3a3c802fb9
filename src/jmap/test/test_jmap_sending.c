/* Identities, the vacation answer, submissions. */
#include "sending_kit.h"

#include "base/refuse.h"

/* Asks, expects one thing of the answers, and forgets them. */
static void expect(const char *calls, const char *path, const char *want)
{
    json_t *answers = kit_ask(calls);
    kit_expect(answers, path, want);
    json_decref(answers);
}

/* ---- identities ---- */

static void everybody_has_an_identity_of_the_main_address(void **)
{
    json_t *a = kit_ask("[['Identity/get', {'accountId':@@}, 'a']]");
    kit_expect(a, "0.1.list.0.email", "'anna@example.test'");
    kit_expect(a, "0.1.list.0.name", "'Anna Rossi'");
    kit_expect(a, "0.1.list.0.mayDelete", "false");
    kit_expect(a, "0.1.list.0.replyTo", "null");
    kit_expect(a, "0.1.list.0.textSignature", "''");
    assert_int_equal(json_array_size(kit_at(a, "0.1.list")), 1);
    char calls[300];
    snprintf(calls, sizeof(calls), "[['Identity/set', {'accountId':@@,'destroy':['%s']}, 'a']]",
             kit_text(a, "0.1.list.0.id"));
    json_decref(a);
    a = kit_ask(calls);
    json_t *refused = kit_at(a, "0.1.notDestroyed");
    assert_int_equal(json_object_size(refused), 1);
    json_decref(a);
    kit.addresses[0] = SLICE("rossi@example.test"); /* a new main address: one more */
    a = kit_ask("[['Identity/get', {'accountId':@@}, 'a']]");
    assert_int_equal(json_array_size(kit_at(a, "0.1.list")), 2);
    json_decref(a);
}

static void an_identity_is_of_an_address_of_ones_own(void **)
{
    json_t *a = kit_ask(
        "[['Identity/set', {'accountId':@@,'create':{"
        "'a':{'email':'Info@Example.test','name':'Info','replyTo':[{'email':'x@y.test'}],"
        "     'bcc':[{'name':'B','email':'b@y.test'}],'textSignature':'-- \\nA'},"
        "'b':{'email':'boss@example.test'},"
        "'c':{'name':'no address'},"
        "'d':{'email':'info@example.test','name':'two\\nlines'},"
        "'e':{'email':'info@example.test','replyTo':[{'email':'no address'}]},"
        "'f':{'email':'info@example.test','mayDelete':true}}}, 'a'],"
        "['Identity/get', {'accountId':@@,'ids':['#a'],'properties':['bcc','replyTo','email']}, "
        "'b']]");
    kit_expect(a, "0.1.created.a.mayDelete", "true");
    kit_expect(a, "0.1.notCreated.b.type", "'forbiddenFrom'");
    kit_expect(a, "0.1.notCreated.c.properties", "['email']");
    kit_expect(a, "0.1.notCreated.d.properties", "['name']");
    kit_expect(a, "0.1.notCreated.e.properties", "['replyTo']");
    kit_expect(a, "0.1.notCreated.f.properties", "['mayDelete']");
    char calls[1000];
    const char *id = kit_text(a, "0.1.created.a.id");
    snprintf(
        calls, sizeof(calls),
        "[['Identity/set', {'accountId':@@,'update':{'%s':{'name':'Other','bcc':null}}}, 'a'],"
        "['Identity/set', {'accountId':@@,'update':{'%s':{'email':'anna@example.test'}}}, 'b'],"
        "['Identity/get', {'accountId':@@,'ids':['%s']}, 'c'],"
        "['Identity/set', {'accountId':@@,'destroy':['%s']}, 'd'],"
        "['Identity/changes', {'accountId':@@,'sinceState':'%s'}, 'e']]",
        id, id, id, id, kit_text(a, "0.1.newState"));
    json_decref(a);
    a = kit_ask(calls);
    kit_expect(a, "2.1.list.0.name", "'Other'");
    kit_expect(a, "2.1.list.0.bcc", "null");
    kit_expect(a, "2.1.list.0.email", "'Info@Example.test'");
    kit_expect(a, "2.1.list.0.replyTo", "[{'email':'x@y.test','name':null}]");
    assert_int_equal(json_object_size(kit_at(a, "1.1.notUpdated")), 1);
    assert_int_equal(json_array_size(kit_at(a, "3.1.destroyed")), 1);
    assert_int_equal(json_array_size(kit_at(a, "4.1.destroyed")), 1);
    json_decref(a);
}

/* ---- the vacation answer ---- */

static void the_vacation_answer_is_one_and_stays(void **)
{
    expect("[['VacationResponse/get', {'accountId':@@}, 'a']]", "0.1.list",
           "[{'fromDate':null,'htmlBody':null,'id':'singleton','isEnabled':false,'subject':null,"
           "'textBody':null,'toDate':null}]");
    json_t *a =
        kit_ask("[['VacationResponse/set', {'accountId':@@,'update':{'singleton':{'isEnabled':true,"
                "'fromDate':'2026-11-22T00:00:00Z','subject':'away','textBody':'back soon'}},"
                "'create':{'x':{}},'destroy':['singleton','other']}, 'a'],"
                "['VacationResponse/get', {'accountId':@@,'ids':['singleton','other']}, 'b']]");
    kit_expect(a, "0.1.notCreated.x.type", "'singleton'");
    kit_expect(a, "0.1.notUpdated.singleton.type", "'willDestroy'");
    kit_expect(a, "0.1.notDestroyed.singleton.type", "'singleton'");
    kit_expect(a, "0.1.notDestroyed.other.type", "'notFound'");
    kit_expect(a, "1.1.notFound", "['other']");
    json_decref(a);
    a = kit_ask(
        "[['VacationResponse/set', {'accountId':@@,'update':{'singleton':{'isEnabled':true,"
        "'fromDate':'2026-11-22T00:00:00Z','subject':'away','textBody':'back soon'}}}, 'a'],"
        "['VacationResponse/set', {'accountId':@@,'update':{'singleton':{'toDate':'soon'}}}, "
        "'b'],"
        "['VacationResponse/get', {'accountId':@@,'ids':null}, 'c']]");
    kit_expect(a, "0.1.updated", "{'singleton':null}");
    kit_expect(a, "1.1.notUpdated.singleton.properties", "['toDate']");
    kit_expect(a, "2.1.list",
               "[{'fromDate':'2026-11-22T00:00:00Z','htmlBody':null,'id':'singleton','isEnabled':"
               "true,'subject':'away','textBody':'back soon','toDate':null}]");
    json_decref(a);
}

/* ---- submissions ---- */

/* A draft with this header; its id in `ret`. */
static void draft(const char *header, char ret[32])
{
    static unsigned n;
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    buf_addf(&bytes, "%s\r\nhello\r\n", header);
    uint64_t id = kit_next_id(NULL);
    struct record_fields fields = {.subject = SLICE("a subject"), .date = ++n};
    struct jmap_message m = {.id = id, .bytes = buf_slice(&bytes), .fields = &fields};
    struct record_place place = {.mailbox = KIT_INBOX};
    struct record_email e = {.account = KIT_PERSON,
                             .message = id,
                             .received = utc_now(),
                             .flags = EMAIL_DRAFT | EMAIL_SEEN,
                             .places = &place,
                             .n_places = 1};
    struct jmap_commit c = {.messages = &m, .n_messages = 1, .emails = &e, .n_emails = 1};
    struct errinfo ei;
    assert_int_equal(kit_commit(NULL, NULL, &c, &ei), ERR_OK);
    ret[0] = 'M';
    message_id_text(id, ret + 1);
}

static void identity(char ret[32])
{
    json_t *a = kit_ask("[['Identity/get', {'accountId':@@}, 'a']]");
    snprintf(ret, 32, "%s", kit_text(a, "0.1.list.0.id"));
    json_decref(a);
}

static const char GOOD[] = "From: Anna <anna@example.test>\r\nTo: x@y.test, \"Z\" <z@y.test>\r\n"
                           "Cc: X@y.test\r\nBcc: secret@y.test,\r\n other@y.test\r\n"
                           "Subject: hello\r\nMessage-ID: <1@example.test>\r\n"
                           "Date: Sun, 22 Nov 2026 05:00:00 +0000\r\n";

/* EmailSubmission/set create `s` for this draft with these further properties and arguments. */
static json_t *submit(const char *email, const char *more, const char *args)
{
    char id[32], calls[4000];
    identity(id);
    snprintf(calls, sizeof(calls),
             "[['EmailSubmission/set', {'accountId':@@,'create':{'s':{'identityId':'%s',"
             "'emailId':'%s'%s}}%s}, 'a'],"
             "['EmailSubmission/get', {'accountId':@@,'ids':null}, 'g']]",
             id, email, more, args);
    return kit_ask(calls);
}

/* What is to be sent, as it was kept. */
static void kept(struct jmap_item_submission *ret, struct arena *a, struct buf *bytes)
{
    struct record_item item;
    struct errinfo ei;
    assert_int_equal(
        store_get_item(kit.reader, KIT_PERSON, ITEM_SUBMISSION, kit.submitted, a, &item, &ei),
        ERR_OK);
    assert_true(jmap_item_submission_unpack(item.body, a, ret));
    assert_int_equal(store_get_item(kit.reader, KIT_PERSON, ITEM_BLOB, ret->blob, a, &item, &ei),
                     ERR_OK);
    assert_int_equal(kit_read(NULL, kit.reader, ret->blob, bytes, &ei), ERR_OK);
}

static void the_envelope_comes_out_of_the_header_and_blind_copies_do_not_go(void **)
{
    char email[32];
    draft(GOOD, email);
    json_t *a = submit(email, "", "");
    kit_expect(a, "0.1.created.s.undoStatus", "'final'");
    kit_expect(a, "0.1.created.s.envelope",
               "{'mailFrom':{'email':'anna@example.test','parameters':null},'rcptTo':["
               "{'email':'x@y.test','parameters':null},{'email':'z@y.test','parameters':null},"
               "{'email':'secret@y.test','parameters':null},"
               "{'email':'other@y.test','parameters':null}]}");
    json_t *status = json_object_get(kit_at(a, "1.1.list.0.deliveryStatus"), "x@y.test");
    kit_expect(status, "delivered", "'queued'");
    kit_expect(status, "smtpReply", "'250 2.0.0 is being sent'");
    json_decref(a);
    assert_int_equal(kit.n_submitted, 1);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    struct jmap_item_submission s;
    kept(&s, arena, &bytes);
    assert_int_equal(s.state, JMAP_GOING);
    assert_null(strcasestr(buf_cstr(&bytes), "bcc"));
    assert_null(strstr(buf_cstr(&bytes), "secret"));
    assert_non_null(strstr(buf_cstr(&bytes), "Subject: hello\r\nMessage-ID: <1@example.test>\r\n"));
    assert_non_null(strstr(buf_cstr(&bytes), "\r\n\r\nhello\r\n"));
    assert_null(strstr(buf_cstr(&bytes), "Message-ID: <1@example.test>\r\nMessage-ID"));
}

static void date_and_message_id_are_put_in_where_they_lack(void **)
{
    char email[32];
    draft("From: anna@example.test\nTo: x@y.test\nDate: never\n", email);
    json_decref(submit(email, "", ""));
    assert_int_equal(kit.n_submitted, 1);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    struct jmap_item_submission s;
    kept(&s, arena, &bytes);
    assert_non_null(strstr(buf_cstr(&bytes), "To: x@y.test\r\nDate: "));
    assert_null(strstr(buf_cstr(&bytes), "never"));
    assert_non_null(strstr(buf_cstr(&bytes), "@example.test>\r\n\r\nhello\r\n"));
}

static void lines_end_as_smtp_wants_it(void **)
{
    char email[32];
    draft("From: anna@example.test\nTo: x@y.test\nX-A: a\n\tb\r\nX-B: c\n\none\rtwo\nthree\r\n.\r",
          email);
    json_decref(submit(email, "", ""));
    assert_int_equal(kit.n_submitted, 1);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    struct jmap_item_submission s;
    kept(&s, arena, &bytes);
    assert_non_null(strstr(buf_cstr(&bytes), "\r\nX-A: a\r\n\tb\r\nX-B: c\r\n"));
    assert_non_null(strstr(buf_cstr(&bytes), "\r\n\r\none\r\ntwo\r\nthree\r\n.\r\n"));
    for (size_t i = 0; i < bytes.n; i++)
        assert_int_equal(bytes.p[i] == '\r', i + 1 < bytes.n && bytes.p[i + 1] == '\n');
}

static void what_is_held_can_be_canceled(void **)
{
    char email[32], calls[1000];
    draft(GOOD, email);
    json_t *a = submit(email,
                       ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':{"
                       "'HOLDFOR':'30','RET':'HDRS','ENVID':'a b'}},'rcptTo':[{'email':'q@y.test',"
                       "'parameters':{'NOTIFY':'SUCCESS,FAILURE','ORCPT':'rfc822;q q@y.test'}}]}",
                       "");
    kit_expect(a, "0.1.created.s.undoStatus", "'pending'");
    kit_expect(a, "1.1.list.0.deliveryStatus", "null");
    kit_expect(a, "1.1.list.0.envelope.rcptTo",
               "[{'email':'q@y.test','parameters':{'NOTIFY':'SUCCESS,FAILURE','ORCPT':'rfc822;q "
               "q@y.test'}}]");
    kit_expect(a, "1.1.list.0.envelope.mailFrom.parameters",
               "{'ENVID':'a b','HOLDFOR':'30','RET':'HDRS'}");
    assert_true(kit.send_at > utc_now() + 20000 && kit.send_at <= utc_now() + 30000);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    struct jmap_item_submission s;
    kept(&s, arena, &bytes);
    assert_true(slice_eq(s.envid, SLICE("a+20b")) && s.ret == 2);
    assert_true(slice_eq(s.rcpts[0].orcpt, SLICE("rfc822;q+20q@y.test")));
    const char *id = kit_text(a, "0.1.created.s.id");
    snprintf(
        calls, sizeof(calls),
        "[['EmailSubmission/set', {'accountId':@@,'destroy':['%s']}, 'a'],"
        "['EmailSubmission/set', {'accountId':@@,'update':{'%s':{'undoStatus':'final'}}}, 'b'],"
        "['EmailSubmission/set', {'accountId':@@,'update':{'%s':{'undoStatus':'canceled'}}}, "
        "'c'],"
        "['EmailSubmission/get', {'accountId':@@}, 'd'],"
        "['EmailSubmission/set', {'accountId':@@,'destroy':['%s']}, 'e']]",
        id, id, id, id);
    json_decref(a);
    kit.withdrawn = ERR_CONFLICT;
    a = kit_ask(calls);
    assert_int_equal(json_object_size(kit_at(a, "0.1.notDestroyed")), 1);
    assert_int_equal(json_object_size(kit_at(a, "1.1.notUpdated")), 1);
    assert_int_equal(json_object_size(kit_at(a, "2.1.notUpdated")), 1);
    kit_expect(a, "3.1.list.0.undoStatus", "'pending'");
    json_decref(a);
    kit.withdrawn = ERR_OK;
    a = kit_ask(calls);
    assert_int_equal(json_object_size(kit_at(a, "2.1.updated")), 1);
    kit_expect(a, "3.1.list.0.undoStatus", "'canceled'");
    assert_int_equal(json_array_size(kit_at(a, "4.1.destroyed")), 1);
    json_decref(a);
    struct record_item item;
    struct errinfo ei;
    assert_int_equal(store_get_item(kit.reader, KIT_PERSON, ITEM_BLOB, s.blob, arena, &item, &ei),
                     ERR_OK);
    assert_true(item.is_gone); /* its bytes are nobody's */
}

/* After a start it would be found and sent: so it is sent now, and not said to have failed. */
static void what_is_durable_but_not_seen_is_sent_and_not_done_again(void **)
{
    char email[32], calls[300];
    draft(GOOD, email);
    json_decref(kit_ask("[]")); /* the account is whole */
    kit.commit_lags = true;
    json_t *a = submit(email,
                       ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':{"
                       "'HOLDFOR':'30'}},'rcptTo':[{'email':'q@y.test'}]}",
                       ",'onSuccessDestroyEmail':['#s']");
    kit_expect(a, "0.1.type", "'serverPartialFail'");
    kit_expect(a, "1.0", "'EmailSubmission/get'");
    json_decref(a);
    assert_int_equal(kit.n_submitted, 1);
    assert_int_equal(kit.n_counted, 1);
    kit.commit_lags = false;
    a = kit_ask("[['EmailSubmission/query', {'accountId':@@}, 'a']]");
    assert_int_equal(json_array_size(kit_at(a, "0.1.ids")), 1);
    snprintf(calls, sizeof(calls),
             "[['EmailSubmission/set', {'accountId':@@,'update':{'%s':{'undoStatus':'canceled'}}},"
             "'b']]",
             kit_text(a, "0.1.ids.0"));
    json_decref(a);
    kit.commit_lags = true;
    a = kit_ask(calls);
    kit_expect(a, "0.1.type", "'serverPartialFail'");
    assert_int_equal(kit.n_submitted, 1); /* that it is canceled is durable */
    assert_int_equal(kit.n_counted, 0);
    kit.commit_lags = false;
    json_decref(a);
}

static void what_is_refused_or_canceled_does_not_count(void **)
{
    char email[32], calls[300];
    draft(GOOD, email);
    kit.fields = ERR_RETRY;
    json_t *a = submit(email, "", "");
    kit_expect(a, "0.1.notCreated.s.type", "'serverFail'");
    assert_int_equal(kit.n_counted, 0);
    json_decref(a);
    kit.fields = ERR_OK;
    json_decref(submit(email, "", ""));
    assert_int_equal(kit.n_counted, 4);
    a = submit(email,
               ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':{'HOLDFOR':'30'}}"
               ",'rcptTo':[{'email':'q@y.test'}]}",
               "");
    assert_int_equal(kit.n_counted, 5);
    snprintf(calls, sizeof(calls),
             "[['EmailSubmission/set', {'accountId':@@,'update':{'%s':{'undoStatus':'canceled'}}},"
             "'c']]",
             kit_text(a, "0.1.created.s.id"));
    json_decref(a);
    kit.withdrawn = ERR_CONFLICT;
    json_decref(kit_ask(calls));
    assert_int_equal(kit.n_counted, 5);
    kit.withdrawn = ERR_OK;
    json_decref(kit_ask(calls));
    assert_int_equal(kit.n_counted, 4);
    json_decref(kit_ask(calls)); /* once is enough */
    assert_int_equal(kit.n_counted, 4);
}

static void what_cannot_be_sent_says_why(void **)
{
    static const struct {
        const char *header, *more, *type;
    } rows[] = {
        {"From: boss@example.test\r\nTo: x@y.test\r\n", "", "'forbiddenFrom'"},
        {"From: anna@example.test\r\nSender: boss@example.test\r\nTo: x@y.test\r\n", "",
         "'forbiddenFrom'"},
        {"From: anna@example.test, info@example.test\r\nTo: x@y.test\r\n", "", "'invalidEmail'"},
        {"To: x@y.test\r\n", "", "'invalidEmail'"},
        {"From: anna@example.test\r\nFrom: anna@example.test\r\nTo: x@y.test\r\n", "",
         "'invalidEmail'"},
        {"From: anna@example.test\r\nSubject: x\r\n", "", "'noRecipients'"},
        {"From: anna@example.test\r\nTo: not-an-address\r\n", "", "'invalidRecipients'"},
        {GOOD, ",'sendAt':'2026-11-22T00:00:00Z'", "'invalidProperties'"},
        {GOOD,
         ",'envelope':{'mailFrom':{'email':'boss@example.test'},'rcptTo':[{'email':'x@y.test'}]}",
         "'forbiddenMailFrom'"},
        {GOOD, ",'envelope':{'mailFrom':{'email':'anna@example.test'},'rcptTo':[]}",
         "'noRecipients'"},
        {GOOD, ",'envelope':{'mailFrom':{'email':'anna@example.test'},'rcptTo':[{'email':'x y'}]}",
         "'invalidRecipients'"},
        {GOOD,
         ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':{'HOLDFOR':'9999999'}},"
         "'rcptTo':[{'email':'x@y.test'}]}",
         "'invalidProperties'"},
        {GOOD,
         ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':{'X':'1> SIZE=1'}},"
         "'rcptTo':[{'email':'x@y.test'}]}",
         "'invalidProperties'"},
        {GOOD,
         ",'envelope':{'mailFrom':{'email':'anna@example.test'},"
         "'rcptTo':[{'email':'x@y.test> NOTIFY=NEVER'}]}",
         "'invalidRecipients'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char email[32];
        draft(rows[i].header, email);
        json_t *a = submit(email, rows[i].more, "");
        kit_expect(a, "0.1.notCreated.s.type", rows[i].type);
        json_decref(a);
    }
    assert_int_equal(kit.n_submitted, 0);
    json_t *a = submit("Maaaaaaaaaaaaa", "", "");
    kit_expect(a, "0.1.notCreated.s.type", "'invalidProperties'");
    json_decref(a);
}

static void who_may_not_send_now_is_told(void **)
{
    char email[32];
    draft(GOOD, email);
    kit.may = ERR_LIMIT;
    json_t *a = submit(email, "", "");
    kit_expect(a, "0.1.notCreated.s.type", "'rateLimit'");
    json_decref(a);
    kit.who.may_send = false;
    kit.who.may_not = SLICE("The mail system works: send from there.");
    a = submit(email, "", "");
    kit_expect(a, "0.1.notCreated.s.type", "'forbiddenToSend'");
    kit_expect(a, "0.1.notCreated.s.description", "'The mail system works: send from there.'");
    json_decref(a);
    kit.who.may_send = true;
    kit.may = ERR_OK;
    kit.who.size_max = 100;
    a = submit(email, "", "");
    kit_expect(a, "0.1.notCreated.s.type", "'tooLarge'");
    kit_expect(a, "0.1.notCreated.s.maxSize", "100");
    json_decref(a);
    assert_int_equal(kit.n_submitted, 0);
}

static void the_email_is_changed_when_sending_succeeds(void **)
{
    char email[32], bad[32], path[200], more[600];
    draft(GOOD, email);
    draft("From: boss@example.test\r\nTo: x@y.test\r\n", bad);
    json_t *a = submit(
        email, "", ",'onSuccessUpdateEmail':{'#s':{'keywords/$draft':null,'keywords/$seen':true}}");
    kit_expect(a, "1.0", "'Email/set'");
    kit_expect(a, "1.2", "'a'");
    snprintf(path, sizeof(path), "1.1.updated.%s", email);
    kit_expect(a, path, "null");
    json_decref(a);
    snprintf(more, sizeof(more),
             "[['Email/get', {'accountId':@@,'ids':['%s'],'properties':"
             "['keywords']}, 'a']]",
             email);
    expect(more, "0.1.list.0.keywords", "{'$seen':true}");
    a = submit(bad, "", ",'onSuccessDestroyEmail':['#s']");
    kit_expect(a, "1.0", "'EmailSubmission/get'"); /* nothing succeeded: nothing is destroyed */
    json_decref(a);
    a = submit(email, "", ",'onSuccessDestroyEmail':['#s']");
    kit_expect(a, "1.0", "'Email/set'");
    assert_int_equal(json_array_size(kit_at(a, "1.1.destroyed")), 1);
    json_decref(a);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    struct jmap_item_submission s;
    kept(&s, arena, &bytes); /* what is sent does not need it any more */
    assert_non_null(strstr(buf_cstr(&bytes), "Subject: hello"));
}

static void submissions_are_found_by_what_they_are_about(void **)
{
    char email[2][32], calls[2000];
    draft(GOOD, email[0]);
    draft(GOOD, email[1]);
    json_decref(submit(email[0], "", ""));
    json_t *a = submit(email[1],
                       ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':{"
                       "'HOLDFOR':'600'}},'rcptTo':[{'email':'q@y.test'}]}",
                       "");
    const char *id = kit_text(a, "0.1.created.s.id");
    snprintf(calls, sizeof(calls),
             "[['EmailSubmission/query', {'accountId':@@,'filter':{'undoStatus':'pending'},"
             "'calculateTotal':true}, 'a'],"
             "['EmailSubmission/query', {'accountId':@@,'filter':{'emailIds':['%s']}}, 'b'],"
             "['EmailSubmission/query', {'accountId':@@,'filter':{'operator':'NOT','conditions':"
             "[{'undoStatus':'pending'}]}}, 'c'],"
             "['EmailSubmission/query', {'accountId':@@,'sort':[{'property':'sentAt',"
             "'isAscending':false}],'limit':1}, 'd'],"
             "['EmailSubmission/query', {'accountId':@@,'filter':{'subject':'x'}}, 'e'],"
             "['EmailSubmission/query', {'accountId':@@,'sort':[{'property':'size'}]}, 'f'],"
             "['EmailSubmission/queryChanges', {'accountId':@@,'sinceQueryState':'1'}, 'g']]",
             email[1]);
    char want[40];
    snprintf(want, sizeof(want), "['%s']", id);
    json_t *b = kit_ask(calls);
    kit_expect(b, "0.1.ids", want);
    kit_expect(b, "0.1.total", "1");
    kit_expect(b, "1.1.ids", want);
    assert_int_equal(json_array_size(kit_at(b, "2.1.ids")), 1);
    assert_string_not_equal(kit_text(b, "2.1.ids.0"), id);
    kit_expect(b, "3.1.ids", want);
    kit_expect(b, "4.1.type", "'unsupportedFilter'");
    kit_expect(b, "5.1.type", "'unsupportedSort'");
    assert_int_equal(json_array_size(kit_at(b, "6.1.added")), 2);
    kit_expect(b, "6.1.removed", "[]");
    json_decref(a);
    json_decref(b);
}

/* What was pending is canceled: it leaves one result, and comes into the other. */
static void what_changed_in_a_query_is_told(void **)
{
    char email[2][32], calls[3000];
    draft(GOOD, email[0]);
    draft(GOOD, email[1]);
    json_decref(submit(email[0], "", ""));
    json_t *a = submit(email[1],
                       ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':{"
                       "'HOLDFOR':'600'}},'rcptTo':[{'email':'q@y.test'}]}",
                       "");
    const char *id = kit_text(a, "0.1.created.s.id");
    json_t *b = kit_ask("[['EmailSubmission/query', {'accountId':@@}, 'a']]");
    const char *since = kit_text(b, "0.1.queryState");
    assert_true(json_is_true(kit_at(b, "0.1.canCalculateChanges")));
    snprintf(calls, sizeof(calls),
             "[['EmailSubmission/set', {'accountId':@@,'update':{'%s':{'undoStatus':'canceled'}}},"
             "'a'],"
             "['EmailSubmission/queryChanges', {'accountId':@@,'sinceQueryState':'%s',"
             "'filter':{'undoStatus':'pending'},'calculateTotal':true}, 'b'],"
             "['EmailSubmission/queryChanges', {'accountId':@@,'sinceQueryState':'%s',"
             "'filter':{'undoStatus':'canceled'}}, 'c'],"
             "['EmailSubmission/queryChanges', {'accountId':@@,'sinceQueryState':'%s',"
             "'maxChanges':1}, 'd'],"
             "['EmailSubmission/queryChanges', {'accountId':@@,'sinceQueryState':'999'}, 'e'],"
             "['EmailSubmission/queryChanges', {'accountId':@@}, 'f']]",
             id, since, since, since);
    json_t *c = kit_ask(calls);
    char want[80];
    snprintf(want, sizeof(want), "['%s']", id);
    kit_expect(c, "1.1.removed", want);
    kit_expect(c, "1.1.added", "[]");
    kit_expect(c, "1.1.total", "0");
    kit_expect(c, "2.1.removed", want);
    snprintf(want, sizeof(want), "[{'id':'%s','index':0}]", id);
    kit_expect(c, "2.1.added", want);
    assert_string_not_equal(kit_text(c, "2.1.newQueryState"), since);
    kit_expect(c, "3.1.type", "'tooManyChanges'");
    kit_expect(c, "4.1.type", "'cannotCalculateChanges'");
    kit_expect(c, "5.1.type", "'invalidArguments'");
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void one_message_has_so_many_recipients(void **)
{
    char email[32];
    draft(GOOD, email);
    struct refuse_limit before = refuse_limit(REFUSE_RECIPIENTS);
    struct refuse_count counts[REFUSE_N];
    refuse_set_limit(REFUSE_RECIPIENTS, (struct refuse_limit){.value = 1});
    (void)refuse_take_counts(counts);
    json_t *a = submit(email,
                       ",'envelope':{'mailFrom':{'email':'anna@example.test'},"
                       "'rcptTo':[{'email':'q@y.test'},{'email':'r@y.test'}]}",
                       "");
    refuse_set_limit(REFUSE_RECIPIENTS, before);
    kit_expect(a, "0.1.notCreated.s.type", "'tooManyRecipients'");
    kit_expect(a, "0.1.notCreated.s.maxRecipients", "1");
    assert_true(refuse_take_counts(counts) && counts[REFUSE_JMAP_MANY].n == 1);
    assert_int_equal(kit.n_submitted, 0);
    json_decref(a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everybody_has_an_identity_of_the_main_address),
        TEST(an_identity_is_of_an_address_of_ones_own),
        TEST(the_vacation_answer_is_one_and_stays),
        TEST(the_envelope_comes_out_of_the_header_and_blind_copies_do_not_go),
        TEST(date_and_message_id_are_put_in_where_they_lack),
        TEST(lines_end_as_smtp_wants_it),
        TEST(what_is_held_can_be_canceled),
        TEST(what_is_durable_but_not_seen_is_sent_and_not_done_again),
        TEST(what_is_refused_or_canceled_does_not_count),
        TEST(what_cannot_be_sent_says_why),
        TEST(who_may_not_send_now_is_told),
        TEST(the_email_is_changed_when_sending_succeeds),
        TEST(submissions_are_found_by_what_they_are_about),
        TEST(what_changed_in_a_query_is_told),
        TEST(one_message_has_so_many_recipients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
