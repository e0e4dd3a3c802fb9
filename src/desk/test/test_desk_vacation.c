/* The automatic answer: to whom it goes, once, what it says, and to whom never. */
#include "desk_kit.h"

#include "desk/desk_parse_int.h"
#include "desk/desk_state_int.h"
#include "desk/desk_vacation_int.h"
#include "store/store_account.h"

static const char *const ANNA[] = {"anna@example.test", "info@example.test"};
static struct jmap_item_vacation away = {.is_enabled = 1};

static struct desk_answer answer_of(const char *sender)
{
    static struct slice addresses[2];
    for (int i = 0; i < 2; i++)
        addresses[i] = slice_str(ANNA[i]);
    return (struct desk_answer){.name = SLICE("Anna Rossi"),
                                .address = addresses[0],
                                .addresses = addresses,
                                .n_addresses = 2,
                                .sender = slice_str(sender),
                                .vacation = &away,
                                .message_id = SLICE("1@example.test")};
}

/* ---- to whom ---- */

#define TO_ANNA "'to':[{'email':'Anna@Example.test'}],'cc':null"

static bool is_answered(const char *sender, const char *people, const char *header)
{
    SCOPED(buf_finish) struct buf text = buf_make(10000);
    buf_addf(&text, "{%s,'headers':[{'name':'Subject','value':' hi'}%s%s]}", people,
             header[0] ? "," : "", header);
    for (size_t i = 0; i < text.n; i++)
        text.p[i] = text.p[i] == '\'' ? '"' : text.p[i];
    json_t *message = json_loadb(text.p, text.n, 0, NULL);
    assert_non_null(message);
    struct desk_answer a = answer_of(sender);
    bool is = desk_is_answerable(&a, message);
    json_decref(message);
    return is;
}

#define FIELD(name, value) "{'name':'" name "','value':' " value "'}"

static void machines_and_lists_get_no_answer(void **)
{
    static const struct {
        const char *header;
        bool is;
    } rows[] = {
        {"", true},
        {FIELD("Auto-Submitted", "no"), true},
        {FIELD("Auto-Submitted", "No (really)"), true},
        {FIELD("Auto-Submitted", "auto-generated"), false},
        {FIELD("auto-submitted", "auto-replied; owner=x"), false},
        {FIELD("Auto-Submitted", ""), false},
        {FIELD("List-Id", "<a.b>"), false},
        {FIELD("LIST-UNSUBSCRIBE", "<x>"), false},
        {FIELD("Precedence", "bulk"), false},
        {FIELD("Precedence", "List"), false},
        {FIELD("Precedence", "junk"), false},
        {FIELD("Precedence", "first-class"), true},
        {FIELD("X-Auto-Response-Suppress", "OOF"), false},
        {FIELD("X-Auto-Response-Suppress", "None"), true},
        {FIELD("X-Loop", "x"), false},
        {FIELD("X-Spam-Flag", "YES"), false},
        {FIELD("X-Spam-Flag", "NO"), true},
        {FIELD("Content-Type", "multipart/report; report-type=delivery-status"), false},
        {FIELD("Content-Type", "multipart/mixed; boundary=x"), true},
        {FIELD("Precedence", "normal") "," FIELD("Precedence", "bulk"), false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (is_answered("bob@world.test", TO_ANNA, rows[i].header) != rows[i].is)
            fail_msg("%s", rows[i].header);
}

static void who_is_not_named_or_no_person_gets_none(void **)
{
    static const char *const machines[] = {
        "",
        "MAILER-DAEMON@x.test",
        "postmaster@x.test",
        "no-reply@x.test",
        "nobody",
        "NoReply-17@x.test",
        "owner-news@x.test",
        "news-request@x.test",
        "a-owner@x.test",
        "bounces+12@x.test",
        "info@example.test",
        "anna@example.test",
    };
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
        if (is_answered(machines[i], TO_ANNA, ""))
            fail_msg("%s", machines[i]);
    assert_true(is_answered("bob@x.test", "'cc':[{'email':'info@example.test'}],'to':[]", ""));
    assert_false(is_answered("bob@x.test", "'to':[{'email':'all@example.test'}],'cc':null", ""));
    assert_false(is_answered("bob@x.test", "'to':null", ""));
    assert_false(is_answered("bob@x.test", "'to':'anna@example.test'", ""));
}

static void one_answer_in_seven_days(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(200 << 20); /* each leaves its list */
    enum { DAY = 86400000 };
    struct desk_answers all = {};
    utc_ms now = (utc_ms)20000 * DAY;
    assert_int_equal(desk_answered_note(&all, SLICE("Bob@world.test"), now, a), ERR_OK);
    assert_int_equal(desk_answered_note(&all, SLICE("bob@world.test"), now + 6 * (utc_ms)DAY, a),
                     ERR_EXISTS);
    assert_int_equal(desk_answered_note(&all, SLICE("eve@world.test"), now + 6 * (utc_ms)DAY, a),
                     ERR_OK);
    assert_int_equal(desk_answered_note(&all, SLICE("bob@world.test"), now + 7 * (utc_ms)DAY, a),
                     ERR_OK);
    assert_int_equal(all.n_list, 2);
    for (int i = 0; i < DESK_ANSWERED_MAX - 2; i++) {
        char sender[40];
        snprintf(sender, sizeof(sender), "%d@many.test", i);
        if (desk_answered_note(&all, slice_str(sender), now + 7 * (utc_ms)DAY, a) != ERR_OK)
            fail_msg("%d", i);
    }
    assert_int_equal(desk_answered_note(&all, SLICE("one@more.test"), now + 7 * (utc_ms)DAY, a),
                     ERR_LIMIT);
    assert_int_equal(refuse_row(REFUSE_ANSWERS_KEPT)->limit, DESK_ANSWERED_MAX);
}

/* ---- what ---- */

static void says(const struct jmap_item_vacation *v, enum wire_language language,
                 const char *const *wanted)
{
    SCOPED(arena_destroy) struct arena *arena = arena_create(8 << 20);
    SCOPED(buf_finish) struct buf out = buf_make(1 << 20);
    struct slice subject;
    json_t *message = json_loads("{\"subject\":\"hello\",\"messageId\":[\"9@world.test\"],"
                                 "\"references\":[\"7@world.test\",\"8@world.test\"]}",
                                 0, NULL);
    struct desk_answer a = answer_of("bob@world.test");
    a.vacation = v;
    a.language = language;
    assert_true(desk_answer_compose(&a, message, 1795262400000, arena, &out, &subject));
    for (; *wanted; wanted++)
        if (!strstr(buf_cstr(&out), *wanted))
            fail_msg("\"%s\" is not in:\n%s", *wanted, buf_cstr(&out));
    json_decref(message);
}

static void it_stands_in_the_conversation_and_says_that_no_person_wrote_it(void **)
{
    struct jmap_item_vacation own = {.is_enabled = 1,
                                     .subject = SLICE("Via"),
                                     .text = SLICE("a domani"),
                                     .html = SLICE("<b>a domani</b>")};
    says(&own, WIRE_EN,
         (const char *const[]){"From: Anna Rossi <anna@example.test>\r\n", "To: bob@world.test\r\n",
                               "Subject: Via\r\n", "Auto-Submitted: auto-replied\r\n",
                               "In-Reply-To: <9@world.test>\r\n",
                               "References: <7@world.test> <8@world.test> <9@world.test>\r\n",
                               "Message-ID: <1@example.test>\r\n",
                               "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n", "a domani\r\n",
                               "multipart/alternative", NULL});
    says(&away, WIRE_IT,
         (const char *const[]){"Subject: Risposta automatica: hello\r\n", "assente", NULL});
}

/* ---- the way of one ---- */

struct item_put {
    struct record_item item;
    bool is_done;
};

static void item_done(void *arg, enum err err)
{
    struct item_put *x = arg;
    must(err == ERR_OK);
    pthread_mutex_lock(&kit->lock);
    x->is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void put_now(void *arg)
{
    struct item_put *x = arg;
    if (x->item.kind == ITEM_VACATION)
        desk_vacation_said(kit->desk, &x->item); /* as the person's own commit says it */
    desk_account_items(kit->desk, &x->item, 1, item_done, x);
}

static void put_item(uint64_t person, enum item_kind kind, uint64_t id, struct slice body)
{
    struct item_put x = {
        .item = {.account = person, .kind = (uint8_t)kind, .id = id, .body = body}};
    kit_on_loop(put_now, &x);
    pthread_mutex_lock(&kit->lock);
    while (!x.is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

static void go_away(uint64_t person, utc_ms from, utc_ms until)
{
    SCOPED(buf_finish) struct buf body = buf_make(10000);
    struct jmap_item_vacation v = {
        .is_enabled = 1, .from = from, .until = until, .text = SLICE("I am away")};
    jmap_item_vacation_pack(&body, &v);
    put_item(person, ITEM_VACATION, JMAP_VACATION_ID, buf_slice(&body));
}

/* Reads frames of the gate until one of this type, answering what the finder of words asks; the
 * tag of it. */
static uint64_t gate_until(enum ipc_type type, enum ipc_parse_what what)
{
    for (struct kit_frame f = {0}; kit_get(kit->gate, &f, KIT_WAIT_MS);) {
        struct ipc_parse ask = {0};
        uint64_t tag = f.tag;
        bool is_parse = f.type == IPC_T_parse;
        bool is_it = f.type == type;
        if (is_parse) {
            assert_true(ipc_parse_unpack(f.payload, NULL, &ask));
            is_it &= ask.what == what && memmem(ask.want.p, ask.want.n, "messageId", 9);
        }
        kit_frame_free(&f);
        if (is_it)
            return tag;
        SCOPED(buf_finish) struct buf b = buf_make(1000);
        ipc_parsed_pack(&b, &(struct ipc_parsed){.is_done = 1});
        if (is_parse)
            kit_put(kit->gate, IPC_T_parsed, tag, &b);
    }
    fail_msg("the gate is asked nothing");
    return 0;
}

static const char HEADER[] =
    "{\"to\":[{\"email\":\"sara@hosted.test\"}],\"cc\":null,\"subject\":\"hi\","
    "\"messageId\":[\"1@world.test\"],\"references\":null,\"headers\":[]}";

static void letter(const char *sender, uint32_t flags)
{
    struct kit_mail mail = {.rcpts = {"sara@hosted.test"}, .mail_from = sender, .flags = flags};
    (void)kit_send(kit->gate, &mail);
}

static void header_is(const char *json)
{
    uint64_t tag = gate_until(IPC_T_parse, IPC_PARSE_EMAIL);
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    kit_put_content(kit->gate, tag, slice_str(json));
    ipc_parsed_pack(&b, &(struct ipc_parsed){.is_done = 1, .bytes = (uint32_t)strlen(json)});
    kit_put(kit->gate, IPC_T_parsed, tag, &b);
}

static void a_stranger_who_is_proved_gets_one_answer(void **)
{
    kit_found((struct kit_company){0});
    go_away(KIT_SARA, 0, 0);
    letter("bob@world.test", MESSAGE_SENDER_PROVED);
    header_is(HEADER);
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.mail_from.n, 0);
    assert_true(slice_eq(j.job.rcpts[0].address, SLICE("bob@world.test")));
    assert_non_null(memmem(j.content.p, j.content.n, "I am away", 9));
    assert_non_null(memmem(j.content.p, j.content.n, "Auto-Submitted: auto-replied", 28));
    kit_result(&j, kit_good);
    kit_job_free(&j);
    letter("bob@world.test", MESSAGE_SENDER_PROVED);
    header_is(HEADER);
    kit_expect_quiet(kit->courier);
    kit_restart(); /* whom she answered is kept */
    letter("BOB@world.test", MESSAGE_SENDER_PROVED);
    header_is(HEADER);
    kit_expect_quiet(kit->courier);
    letter("eve@world.test", MESSAGE_SENDER_PROVED);
    header_is(HEADER);
    kit_end_job(kit_good);
    kit_check_sums();
}

static void expect_no_question(void)
{
    (void)gate_until(IPC_T_taken, 0);
    kit_expect_quiet(kit->courier);
}

static void who_is_not_proved_or_no_person_or_comes_too_early_gets_none(void **)
{
    kit_found((struct kit_company){0});
    go_away(KIT_SARA, 0, 0);
    letter("bob@world.test", 0);
    expect_no_question();
    letter("", MESSAGE_SENDER_PROVED);
    expect_no_question();
    letter("noreply@world.test", MESSAGE_SENDER_PROVED);
    expect_no_question();
    go_away(KIT_SARA, utc_now() + 100000, 0);
    letter("bob@world.test", MESSAGE_SENDER_PROVED);
    expect_no_question();
    go_away(KIT_SARA, 0, utc_now() - 1000);
    letter("bob@world.test", MESSAGE_SENDER_PROVED);
    expect_no_question();
}

/* The list of whom she answered is full. */
static void who_answered_too_many_answers_no_more_and_that_is_counted(void **)
{
    kit_found((struct kit_company){0});
    go_away(KIT_SARA, 0, 0);
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    struct desk_answered *list = mem_new(DESK_ANSWERED_MAX * sizeof(*list));
    for (size_t i = 0; i < DESK_ANSWERED_MAX; i++)
        list[i] = (struct desk_answered){.sender = i + 1, .at = utc_now()};
    desk_answers_pack(&body, &(struct desk_answers){list, DESK_ANSWERED_MAX});
    put_item(KIT_SARA, ITEM_ANSWERED, DESK_ANSWERED_ID, buf_slice(&body));
    mem_free(&list);
    letter("bob@world.test", MESSAGE_SENDER_PROVED);
    header_is(HEADER);
    kit_await_event("desk.answers-kept");
    kit_expect_quiet(kit->courier);
}

static bool find_unreadable(void *arg, uint64_t, const struct record_event *e)
{
    bool *is_named = arg;
    if (slice_eq(e->name, SLICE("message.unreadable")))
        *is_named = !slice_eq(e->subject, SLICE("upload")) && e->tenant == KIT_TENANT;
    return true;
}

/* Then nobody else asks a gate about it, and people know which one it was. */
static void a_letter_that_gates_die_of_is_named(void **)
{
    kit_found((struct kit_company){0});
    go_away(KIT_SARA, 0, 0);
    letter("bob@world.test", MESSAGE_SENDER_PROVED);
    for (int i = 0; i < 2; i++) {
        (void)gate_until(IPC_T_parse, IPC_PARSE_EMAIL);
        fd_close(&kit->gate);
        kit->gate = kit_link(IPC_GATE, 1);
    }
    kit_await_event("message.unreadable");
    struct store_reader *reader = kit_reader();
    bool is_named = false;
    struct errinfo ei;
    assert_int_equal(store_each_event(reader, 0, 0, 0, find_unreadable, &is_named, &ei), ERR_OK);
    store_reader_close(&reader);
    assert_true(is_named);
}

static void other_now(void *arg)
{
    bool *ret = arg;
    const struct directory_person *p = directory_person(kit->desk->directory, KIT_ANNA);
    ret[0] = desk_has_other_answers(kit->desk, p);
    desk_primary(kit->desk, KIT_PRIMARY)->p.state = STATE_EMERGENCY;
    ret[1] = desk_has_other_answers(kit->desk, p);
    desk_primary(kit->desk, KIT_PRIMARY)->p.state = STATE_RETURNING;
    ret[2] = desk_has_other_answers(kit->desk, p);
    p = directory_person(kit->desk->directory, KIT_SARA);
    ret[3] = desk_has_other_answers(kit->desk, p);
}

static void only_where_no_other_system_answers(void **)
{
    bool other[4];
    kit_found((struct kit_company){0});
    kit_on_loop(other_now, other);
    assert_true(other[0] && !other[1] && other[2] && !other[3]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_and_lists_get_no_answer),
        cmocka_unit_test(who_is_not_named_or_no_person_gets_none),
        cmocka_unit_test(one_answer_in_seven_days),
        cmocka_unit_test(it_stands_in_the_conversation_and_says_that_no_person_wrote_it),
        TEST(a_stranger_who_is_proved_gets_one_answer),
        TEST(who_is_not_proved_or_no_person_or_comes_too_early_gets_none),
        TEST(who_answered_too_many_answers_no_more_and_that_is_counted),
        TEST(a_letter_that_gates_die_of_is_named),
        TEST(only_where_no_other_system_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
