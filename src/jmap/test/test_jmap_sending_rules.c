/* What RFC 8621 says must hold of identities and submissions, word by word: the table
 * tests/conformance/jmap/rfc8621.txt names these tests. */
#include "sending_kit.h"

#include "base/refuse.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* An email with this header; its id in `ret`. */
static void draft(const char *header, char ret[32])
{
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    buf_addf(&bytes, "%s\r\nhello\r\n", header);
    uint64_t id = kit_next_id(NULL);
    struct record_fields fields = {.subject = SLICE("a subject"), .date = 1};
    struct jmap_message m = {.id = id, .bytes = buf_slice(&bytes), .fields = &fields};
    struct record_place place = {.mailbox = KIT_INBOX};
    struct record_email e = {.account = KIT_PERSON,
                             .message = id,
                             .received = utc_now(),
                             .places = &place,
                             .n_places = 1};
    struct jmap_commit c = {.messages = &m, .n_messages = 1, .emails = &e, .n_emails = 1};
    struct errinfo ei;
    assert_int_equal(kit_commit(NULL, NULL, &c, &ei), ERR_OK);
    ret[0] = 'M';
    message_id_text(id, ret + 1);
}

/* The identity of this address, made if there is none; its id in `ret`. */
static void identity_of(const char *address, char ret[32])
{
    char calls[300], path[40];
    json_t *a = kit_ask("[['Identity/get', {'accountId':@@}, 'a']]");
    for (size_t i = 0; i < json_array_size(kit_at(a, "0.1.list")); i++) {
        snprintf(path, sizeof(path), "0.1.list.%zu.email", i);
        bool is = strcmp(kit_text(a, path), address) == 0;
        snprintf(path, sizeof(path), "0.1.list.%zu.id", i);
        if (is)
            snprintf(ret, 32, "%s", kit_text(a, path));
        if (is) {
            json_decref(a);
            return;
        }
    }
    json_decref(a);
    snprintf(calls, sizeof(calls),
             "[['Identity/set', {'accountId':@@,'create':{'i':{'email':'%s'}}}, 'a']]", address);
    a = kit_ask(calls);
    snprintf(ret, 32, "%s", kit_text(a, "0.1.created.i.id"));
    json_decref(a);
}

/* EmailSubmission/set create `s`, and behind its answer that of /get, if it succeeded. */
static json_t *submit(const char *identity, const char *email, const char *more, const char *args)
{
    SCOPED(buf_finish) struct buf calls = buf_make(1 << 20);
    buf_addf(&calls,
             "[['EmailSubmission/set', {'accountId':@@,'create':{'s':{'identityId':'%s',"
             "'emailId':'%s'%s}}%s}, 'a']]",
             identity, email, more, args);
    json_t *answers = kit_ask(buf_cstr(&calls));
    if (!kit_at(answers, "0.1.created.s"))
        return answers;
    buf_clear(&calls);
    buf_addf(&calls, "[['EmailSubmission/get', {'accountId':@@,'ids':['%s']}, 'g']]",
             kit_text(answers, "0.1.created.s.id"));
    json_t *more_answers = kit_ask(buf_cstr(&calls));
    json_array_extend(answers, more_answers);
    json_decref(more_answers);
    return answers;
}

#define TO "To: x@y.test\r\n"

static void the_return_path_is_the_senders_if_the_identity_allows_it(void **)
{
    static const struct {
        const char *header, *identity, *mail_from;
    } rows[] = {
        {"From: anna@example.test\r\n" TO, "anna@example.test", "'anna@example.test'"},
        {"From: Anna@Example.test\r\n" TO, "anna@example.test", "'Anna@Example.test'"},
        {"From: anna@example.test\r\nSender: info@example.test\r\n" TO, "info@example.test",
         "'info@example.test'"},
        {"From: info@example.test, anna@example.test\r\nSender: anna@example.test\r\n" TO,
         "anna@example.test", "'anna@example.test'"},
        /* Hers, but not this identity's. */
        {"From: info@example.test\r\n" TO, "anna@example.test", "'anna@example.test'"},
        {"From: anna@example.test\r\nSender: info@example.test\r\n" TO, "anna@example.test",
         "'anna@example.test'"},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        char identity[32], email[32];
        identity_of(rows[i].identity, identity);
        draft(rows[i].header, email);
        json_t *a = submit(identity, email, i % 2 ? "" : ",'envelope':null", "");
        kit_expect(a, "1.1.list.0.envelope.mailFrom.email", rows[i].mail_from);
        kit_expect(a, "1.1.list.0.envelope.mailFrom.parameters", "null");
        assert_true(json_is_object(kit_at(a, "0.1.created.s.envelope"))); /* asked for as null */
        json_decref(a);
    }
}

static void several_authors_without_a_sender_are_refused(void **)
{
    static const char *const headers[] = {
        "From: anna@example.test, info@example.test\r\n" TO,
        "From: anna@example.test\r\nFrom: anna@example.test\r\n" TO,
        "From: anna@example.test\r\nSender: anna@example.test, info@example.test\r\n" TO,
        "From: anna@example.test\r\nSender: anna@example.test\r\nSender: anna@example.test\r\n" TO,
    };
    char identity[32], email[32];
    identity_of("anna@example.test", identity);
    for (size_t i = 0; i < N_OF(headers); i++) {
        draft(headers[i], email);
        json_t *a = submit(identity, email, "", "");
        kit_expect(a, "0.1.notCreated.s.type", "'invalidEmail'");
        json_decref(a);
    }
    assert_int_equal(kit.n_submitted, 0);
}

static void each_recipient_of_the_header_is_named_once(void **)
{
    char identity[32], email[32];
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\nTo: A <a@y.test>, G: b@y.test, A@Y.test;\r\n"
          "Cc: b@y.test, c@y.test\r\nBcc: c@y.test, d@y.test\r\n",
          email);
    json_t *a = submit(identity, email, "", "");
    kit_expect(a, "1.1.list.0.envelope.rcptTo",
               "[{'email':'a@y.test','parameters':null},{'email':'b@y.test','parameters':null},"
               "{'email':'c@y.test','parameters':null},{'email':'d@y.test','parameters':null}]");
    json_decref(a);
}

#define FROM_ANNA ",'envelope':{'mailFrom':{'email':'anna@example.test','parameters':"
#define TO_Q "},'rcptTo':[{'email':'q@y.test'}]}"

static void a_submission_says_when_it_goes(void **)
{
    char identity[32], email[32], more[400], want[60];
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\n" TO, email);
    utc_ms before = utc_now();
    json_t *a = submit(identity, email, "", "");
    assert_true(strncmp(kit_text(a, "1.1.list.0.sendAt"), utc_rfc3339(before).s, 19) >= 0);
    assert_true(strncmp(kit_text(a, "1.1.list.0.sendAt"), utc_rfc3339(utc_now()).s, 19) <= 0);
    kit_expect(a, "1.1.list.0.undoStatus", "'final'");
    json_decref(a);
    snprintf(want, sizeof(want), "'%.19sZ'", utc_rfc3339(before + 3600 * 1000).s);
    snprintf(more, sizeof(more), FROM_ANNA "{'HOLDUNTIL':%s}" TO_Q, want);
    a = submit(identity, email, more, "");
    kit_expect(a, "1.1.list.0.sendAt", want);
    kit_expect(a, "1.1.list.0.undoStatus", "'pending'");
    json_decref(a);
    assert_true(kit.send_at >= before + 3599 * 1000 && kit.send_at <= before + 3600 * 1000);
    a = submit(identity, email, FROM_ANNA "{'HOLDFOR':'60'}" TO_Q, "");
    snprintf(want, sizeof(want), "'%.19sZ'", utc_rfc3339(kit.send_at).s);
    kit_expect(a, "1.1.list.0.sendAt", want);
    json_decref(a);
    assert_true(kit.send_at >= before + 60 * 1000 && kit.send_at <= utc_now() + 60 * 1000);
}

static void a_hold_is_taken_up_to_what_is_announced(void **)
{
    SCOPED(buf_finish) struct buf out = buf_make(1 << 20);
    char identity[32], email[32], more[400];
    assert_int_equal(jmap_session(kit.jmap, &kit.who, &out), 200);
    json_t *s = json_loadb(out.p, out.n, 0, NULL), *one;
    const char *account = json_object_iter_key(json_object_iter(json_object_get(s, "accounts")));
    one = json_object_get(json_object_get(json_object_get(s, "accounts"), account),
                          "accountCapabilities");
    one = json_object_get(one, "urn:ietf:params:jmap:submission");
    json_int_t max = json_integer_value(json_object_get(one, "maxDelayedSend"));
    assert_true(max > 0 && json_is_object(json_object_get(one, "submissionExtensions")));
    assert_true(json_is_array(kit_at(one, "submissionExtensions.FUTURERELEASE")));
    json_decref(s);
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\n" TO, email);
    for (int i = 0; i < 2; i++) {
        snprintf(more, sizeof(more), FROM_ANNA "{'HOLDFOR':'%lld'}" TO_Q, (long long)max + i);
        json_t *a = submit(identity, email, more, "");
        kit_expect(a, i ? "0.1.notCreated.s.type" : "1.1.list.0.undoStatus",
                   i ? "'invalidProperties'" : "'pending'");
        json_decref(a);
    }
}

static void assert_counted(enum refuse_id id)
{
    struct refuse_count counts[REFUSE_N];
    assert_true(refuse_take_counts(counts));
    for (int i = 0; i < REFUSE_N; i++)
        if ((counts[i].n > 0) != (i == (int)id))
            fail_msg("%s was counted %llu times", refuse_row(i)->name,
                     (unsigned long long)counts[i].n);
}

/* Whatever is said then: who asks for the limits sees it. */
static void limits_of_an_envelope_and_of_lines_are_counted(void **)
{
    char identity[32], email[2][32], value[601];
    memset(value, 'v', 600);
    value[600] = '\0';
    SCOPED(buf_finish) struct buf line = buf_make(2000), long_value = buf_make(2000);
    SCOPED(buf_finish) struct buf until = buf_make(200);
    buf_addf(&line, "From: anna@example.test\r\n" TO "X: %.600s%.600s\r\n", value, value);
    buf_addf(&long_value, FROM_ANNA "{'X':'%s'}" TO_Q, value);
    buf_addf(&until, FROM_ANNA "{'HOLDUNTIL':'%.19sZ'}" TO_Q,
             utc_rfc3339(utc_now() + (utc_ms)32 * 86400 * 1000).s);
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\n" TO, email[0]);
    draft(buf_cstr(&line), email[1]);
    const struct {
        const char *email, *more, *type;
        enum refuse_id id;
    } rows[] = {
        {email[0], FROM_ANNA "{'HOLDFOR':'2678401'}" TO_Q, "'invalidProperties'",
         REFUSE_JMAP_LIMIT},
        {email[0], FROM_ANNA "{'HOLDFOR':'9999999999'}" TO_Q, "'invalidProperties'",
         REFUSE_JMAP_LIMIT},
        {email[0], buf_cstr(&until), "'invalidProperties'", REFUSE_JMAP_LIMIT},
        {email[0], buf_cstr(&long_value), "'invalidProperties'", REFUSE_JMAP_SIZE},
        {email[1], "", "'invalidEmail'", REFUSE_JMAP_SIZE},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        struct refuse_count counts[REFUSE_N];
        (void)refuse_take_counts(counts);
        json_t *a = submit(identity, rows[i].email, rows[i].more, "");
        kit_expect(a, "0.1.notCreated.s.type", rows[i].type);
        assert_counted(rows[i].id);
        json_decref(a);
    }
}

static void limits_of_an_identity_are_counted(void **)
{
    SCOPED(buf_finish) struct buf calls = buf_make(10000);
    struct refuse_count counts[REFUSE_N];
    buf_addf(&calls, "[['Identity/set', {'accountId':@@,'create':{'i':{'email':"
                     "'anna@example.test','bcc':[");
    for (int i = 0; i < 21; i++)
        buf_addf(&calls, "%s{'email':'b%d@y.test'}", i ? "," : "", i);
    buf_addf(&calls, "]}}}, 'a']]");
    (void)refuse_take_counts(counts);
    json_t *a = kit_ask(buf_cstr(&calls));
    kit_expect(a, "0.1.notCreated.i.properties", "['bcc']");
    assert_counted(REFUSE_JMAP_MANY);
    json_decref(a);
}

static void what_is_not_there_is_an_invalid_property(void **)
{
    char identity[32], email[32];
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\n" TO, email);
    const struct {
        const char *identity, *email, *property;
    } rows[] = {
        {identity, "Maaaaaaaaaaaab", "['emailId']"},
        {identity, "", "['emailId']"},
        {"Iaaaaaaaaaaaab", email, "['identityId']"},
        {email, email, "['identityId']"},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        json_t *a = submit(rows[i].identity, rows[i].email, "", "");
        kit_expect(a, "0.1.notCreated.s.type", "'invalidProperties'");
        kit_expect(a, "0.1.notCreated.s.properties", rows[i].property);
        json_decref(a);
    }
    assert_int_equal(kit.n_submitted, 0);
}

static void refusals_of_an_envelope_say_what_the_standard_wants(void **)
{
    char identity[32], email[32];
    SCOPED(buf_finish) struct buf more = buf_make(1 << 20);
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\n" TO, email);
    kit.who.size_max = 50;
    json_t *a = submit(identity, email, "", "");
    kit_expect(a, "0.1.notCreated.s.type", "'tooLarge'");
    kit_expect(a, "0.1.notCreated.s.maxSize", "50");
    json_decref(a);
    kit.who.size_max = 1000;
    a = submit(identity, email, FROM_ANNA "{'SIZE':'1001'}" TO_Q, "");
    kit_expect(a, "0.1.notCreated.s.type", "'tooLarge'");
    kit_expect(a, "0.1.notCreated.s.maxSize", "1000");
    json_decref(a);
    buf_addf(&more, FROM_ANNA "null},'rcptTo':[");
    for (int i = 0; i <= 1000; i++)
        buf_addf(&more, "%s{'email':'r%d@y.test'}", i ? "," : "", i);
    buf_addf(&more, "]}");
    a = submit(identity, email, buf_cstr(&more), "");
    kit_expect(a, "0.1.notCreated.s.type", "'tooManyRecipients'");
    kit_expect(a, "0.1.notCreated.s.maxRecipients", "1000");
    json_decref(a);
    a = submit(identity, email,
               FROM_ANNA "null},'rcptTo':[{'email':'x y@z'},{'email':'q@y.test'},"
                         "{'email':''},{'email':'nobody'}]}",
               "");
    kit_expect(a, "0.1.notCreated.s.type", "'invalidRecipients'");
    kit_expect(a, "0.1.notCreated.s.invalidRecipients", "['x y@z','','nobody']");
    json_decref(a);
    draft("From: anna@example.test\r\nTo: x@y.test, nobody\r\n", email);
    a = submit(identity, email, "", "");
    kit_expect(a, "0.1.notCreated.s.invalidRecipients", "['nobody']");
    json_decref(a);
    assert_int_equal(kit.n_submitted, 0);
}

static void an_email_that_cannot_be_sent_says_which_property_is_wrong(void **)
{
    static const struct {
        const char *header, *properties;
    } rows[] = {
        {TO, "['from']"},
        {"From: anna@example.test\r\nFrom: anna@example.test\r\n" TO, "['from']"},
        {"From: anna@example.test, info@example.test\r\n" TO, "['sender']"},
        {"From: anna@example.test\r\n" TO TO, "['to']"},
        {"From: anna@example.test\r\nCc: a@b.test\r\nCC: a@b.test\r\n" TO, "['cc']"},
        {"From: anna@example.test\r\nDate: x\r\nDate: y\r\n" TO, "['sentAt']"},
        {"From: anna@example.test\r\nMessage-ID: <a@b>\r\nMessage-Id: <c@d>\r\n" TO,
         "['messageId']"},
        {"From: anna@example.test\r\n" TO "no field at all\r\nX: y\r\n", "['headers']"},
    };
    static char long_line[1200];
    char identity[32], email[32];
    identity_of("anna@example.test", identity);
    for (size_t i = 0; i < N_OF(rows); i++) {
        draft(rows[i].header, email);
        json_t *a = submit(identity, email, "", "");
        kit_expect(a, "0.1.notCreated.s.type", "'invalidEmail'");
        kit_expect(a, "0.1.notCreated.s.properties", rows[i].properties);
        json_decref(a);
    }
    for (int is_body = 0; is_body < 2; is_body++) {
        size_t n =
            (size_t)snprintf(long_line, sizeof(long_line), "From: anna@example.test\r\n" TO "%s",
                             is_body ? "\r\n" : "X: ");
        memset(long_line + n, 'x', 999);
        snprintf(long_line + n + 999, sizeof(long_line) - n - 999, "\r\n");
        draft(long_line, email);
        json_t *a = submit(identity, email, "", "");
        kit_expect(a, "0.1.notCreated.s.properties", is_body ? "['bodyStructure']" : "['headers']");
        json_decref(a);
    }
    assert_int_equal(kit.n_submitted, 0);
}

/* For one reader the line goes on, for another one a field begins. */
static void a_header_that_readers_may_split_in_two_ways_is_not_sent(void **)
{
    static const char *const headers[] = {
        "X-A: a\rFrom: ceo@other.example\rSubject: pay\r\rText\nFrom: anna@example.test\n"
        "To: x@y.test\n",
        "From: anna@example.test\r\n" TO "X-A: a\rBcc: secret@y.test\r\n",
        "From: anna@example.test\r\n" TO "X-A: a\r\r\n",
        "From: anna@example.test\r\n" TO "X-A: a\r\n\r",
        "From: anna@example.test\r\n" TO "X-A: a\vFrom: ceo@other.example\r\n",
        "From: anna@example.test\r\n" TO "X-A: a\fFrom: ceo@other.example\r\n",
        "From: anna@example.test\r\n" TO "X-A: a\x1c\r\n",
        "From: anna@example.test\r\n" TO "X-A: a\x7f\r\n",
    };
    char identity[32], email[32];
    identity_of("anna@example.test", identity);
    for (size_t i = 0; i < N_OF(headers); i++) {
        draft(headers[i], email);
        json_t *a = submit(identity, email, "", "");
        kit_expect(a, "0.1.notCreated.s.type", "'invalidEmail'");
        kit_expect(a, "0.1.notCreated.s.properties", "['headers']");
        json_decref(a);
    }
    assert_int_equal(kit.n_submitted, 0);
}

static void one_implicit_email_set_follows_with_all_changes(void **)
{
    char identity[32], email[3][32], calls[2000], path[100];
    identity_of("anna@example.test", identity);
    for (int i = 0; i < 3; i++)
        draft("From: anna@example.test\r\n" TO, email[i]);
    snprintf(calls, sizeof(calls),
             "[['EmailSubmission/set', {'accountId':@@,'create':{"
             "'a':{'identityId':'%s','emailId':'%s'},'b':{'identityId':'%s','emailId':'%s'},"
             "'c':{'identityId':'%s','emailId':'%s'},'d':{'identityId':'%s','emailId':'Mx'}},"
             "'onSuccessUpdateEmail':{'#a':{'keywords/$seen':true},'#b':{'keywords/x':true},"
             "'#d':{'keywords/y':true}},'onSuccessDestroyEmail':['#c']}, 's'],"
             "['Core/echo', {}, 'e']]",
             identity, email[0], identity, email[1], identity, email[2], identity);
    json_t *a = kit_ask(calls);
    assert_int_equal(json_array_size(a), 3);
    kit_expect(a, "0.0", "'EmailSubmission/set'");
    kit_expect(a, "0.1.notCreated.d.type", "'invalidProperties'");
    kit_expect(a, "1.0", "'Email/set'");
    kit_expect(a, "1.2", "'s'");
    assert_int_equal(json_object_size(kit_at(a, "1.1.updated")), 2);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "1.1.updated.%s", email[i]);
        kit_expect(a, path, "null");
    }
    assert_string_equal(kit_text(a, "1.1.destroyed.0"), email[2]);
    kit_expect(a, "2.0", "'Core/echo'");
    json_decref(a);
}

static void a_submission_outlives_its_email(void **)
{
    char identity[32], email[32], calls[600], want[60];
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\n" TO, email);
    json_t *a = submit(identity, email, FROM_ANNA "{'HOLDFOR':'600'}" TO_Q, "");
    const char *id = kit_text(a, "0.1.created.s.id"), *thread = kit_text(a, "1.1.list.0.threadId");
    snprintf(calls, sizeof(calls),
             "[['Email/set', {'accountId':@@,'destroy':['%s']}, 'a'],"
             "['EmailSubmission/get', {'accountId':@@,'ids':['%s']}, 'b'],"
             "['Email/get', {'accountId':@@,'#ids':{'resultOf':'b','name':'EmailSubmission/get',"
             "'path':'/list/*/emailId'}}, 'c'],"
             "['Thread/get', {'accountId':@@,'#ids':{'resultOf':'b','name':"
             "'EmailSubmission/get','path':'/list/*/threadId'}}, 'd']]",
             email, id);
    json_t *b = kit_ask(calls);
    kit_expect(b, "1.1.list.0.undoStatus", "'pending'");
    snprintf(want, sizeof(want), "'%s'", email);
    kit_expect(b, "1.1.list.0.emailId", want);
    kit_expect(b, "2.1.notFound.0", want);
    snprintf(want, sizeof(want), "'%s'", thread);
    kit_expect(b, "1.1.list.0.threadId", want);
    kit_expect(b, "3.1.notFound.0", want);
    json_decref(a);
    json_decref(b);
    /* What is to be sent was kept by itself. */
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf bytes = buf_make(1 << 20);
    struct jmap_item_submission s;
    struct record_item item;
    struct errinfo ei;
    assert_int_equal(
        store_get_item(kit.reader, KIT_PERSON, ITEM_SUBMISSION, kit.submitted, arena, &item, &ei),
        ERR_OK);
    assert_true(jmap_item_submission_unpack(item.body, arena, &s));
    assert_int_equal(s.state, JMAP_PENDING);
    assert_int_equal(kit_read(NULL, kit.reader, s.blob, &bytes, &ei), ERR_OK);
    assert_non_null(strstr(buf_cstr(&bytes), "\r\n\r\nhello\r\n"));
}

/* Durable with this state, as core writes it when it sends. */
static void go_on_to(enum jmap_submission_state state)
{
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    struct record_item item;
    struct jmap_item_submission s;
    struct errinfo ei;
    assert_int_equal(
        store_get_item(kit.reader, KIT_PERSON, ITEM_SUBMISSION, kit.submitted, arena, &item, &ei),
        ERR_OK);
    assert_true(jmap_item_submission_unpack(item.body, arena, &s));
    s.state = (uint8_t)state;
    jmap_item_submission_pack(&body, &s);
    item.body = buf_slice(&body);
    struct jmap_commit c = {.items = &item, .n_items = 1};
    assert_int_equal(kit_commit(NULL, NULL, &c, &ei), ERR_OK);
}

/* While it waits or is being sent it cannot be forgotten; afterwards nothing is taken back. */
static void a_submission_that_is_forgotten_unsends_nothing(void **)
{
    static const struct {
        enum jmap_submission_state state;
        const char *undo, *error; /* NULL: it goes */
    } rows[] = {
        {JMAP_PENDING, "'pending'", "'forbidden'"},
        {JMAP_GOING, "'final'", "'forbidden'"},
        {JMAP_FINAL, "'final'", NULL},
        {JMAP_CANCELED, "'canceled'", NULL},
    };
    char identity[32], email[32], calls[400], path[100];
    identity_of("anna@example.test", identity);
    draft("From: anna@example.test\r\n" TO, email);
    kit.withdrawn = ERR_IO; /* nobody may ask for that */
    for (size_t i = 0; i < N_OF(rows); i++) {
        json_t *a = submit(identity, email, FROM_ANNA "{'HOLDFOR':'600'}" TO_Q, "");
        const char *id = kit_text(a, "0.1.created.s.id");
        go_on_to(rows[i].state);
        snprintf(calls, sizeof(calls),
                 "[['EmailSubmission/get', {'accountId':@@,'ids':['%s']}, 'a'],"
                 "['EmailSubmission/set', {'accountId':@@,'destroy':['%s']}, 'b']]",
                 id, id);
        json_t *b = kit_ask(calls);
        kit_expect(b, "0.1.list.0.undoStatus", rows[i].undo);
        snprintf(path, sizeof(path), "1.1.notDestroyed.%s.type", id);
        if (rows[i].error)
            kit_expect(b, path, rows[i].error);
        else
            assert_int_equal(json_array_size(kit_at(b, "1.1.destroyed")), 1);
        json_decref(a);
        json_decref(b);
    }
}

static void submissions_are_sorted_by_email_thread_and_time(void **)
{
    char identity[32], email[2][32], calls[1200];
    identity_of("anna@example.test", identity);
    for (int i = 0; i < 2; i++)
        draft("From: anna@example.test\r\n" TO, email[i]);
    json_t *a = submit(identity, email[1], "", "");
    json_t *b = submit(identity, email[0], FROM_ANNA "{'HOLDFOR':'600'}" TO_Q, "");
    const char *first = kit_text(a, "0.1.created.s.id"), *second = kit_text(b, "0.1.created.s.id");
    static const struct {
        const char *by, *up;
        bool is_second_first;
    } rows[] = {
        {"emailId", "true", true},    {"emailId", "false", false}, {"threadId", "true", true},
        {"threadId", "false", false}, {"sentAt", "true", false},   {"sentAt", "false", true},
    };
    for (size_t i = 0; i < N_OF(rows); i++) {
        snprintf(calls, sizeof(calls),
                 "[['EmailSubmission/query', {'accountId':@@,'sort':[{'property':'%s',"
                 "'isAscending':%s}]}, 'a']]",
                 rows[i].by, rows[i].up);
        json_t *q = kit_ask(calls);
        assert_string_equal(kit_text(q, "0.1.ids.0"), rows[i].is_second_first ? second : first);
        assert_string_equal(kit_text(q, "0.1.ids.1"), rows[i].is_second_first ? first : second);
        json_decref(q);
    }
    json_decref(a);
    json_decref(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_return_path_is_the_senders_if_the_identity_allows_it),
        TEST(several_authors_without_a_sender_are_refused),
        TEST(each_recipient_of_the_header_is_named_once),
        TEST(a_submission_says_when_it_goes),
        TEST(a_hold_is_taken_up_to_what_is_announced),
        TEST(limits_of_an_envelope_and_of_lines_are_counted),
        TEST(limits_of_an_identity_are_counted),
        TEST(what_is_not_there_is_an_invalid_property),
        TEST(refusals_of_an_envelope_say_what_the_standard_wants),
        TEST(an_email_that_cannot_be_sent_says_which_property_is_wrong),
        TEST(a_header_that_readers_may_split_in_two_ways_is_not_sent),
        TEST(one_implicit_email_set_follows_with_all_changes),
        TEST(a_submission_outlives_its_email),
        TEST(a_submission_that_is_forgotten_unsends_nothing),
        TEST(submissions_are_sorted_by_email_thread_and_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
