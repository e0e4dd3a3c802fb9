/* Emergencies: the list, the statement with its proof, each message, and the preview. */
#include "ask.h"

#include "admin/statement_int.h"
#include "continuity/mailback.h"

#include <unistd.h>

#define BEGIN ((utc_ms)1800000000000)
enum { RETURN = 60000, END = 120000 }; /* after BEGIN */

static uint64_t primary, tenant, anna;

static uint64_t id_at(utc_ms after)
{
    return (uint64_t)(BEGIN + after) << 20;
}

/* ---- a company with an emergency ---- */

static void keep_episode(uint64_t id, struct episode *e)
{
    SCOPED(buf_finish) struct buf body = buf_make(EPISODE_BYTES_MAX);
    e->primary = e->primary ? e->primary : primary;
    episode_pack(&body, e);
    fake_keep(&(struct record_object){.kind = OBJECT_EPISODE,
                                      .id = id,
                                      .tenant = tenant,
                                      .name = SLICE("e"),
                                      .body = buf_slice(&body)});
}

static void row(utc_ms received, enum disposition what, utc_ms changed, const char *address)
{
    struct store_row *r = &fake.rows[fake.n_rows];
    *r = (struct store_row){
        .message = id_at(received) + fake.n_rows,
        .tenant = tenant,
        .received = BEGIN + received,
        .bytes = 1000,
        .mail_from = SLICE("bob@example.org"),
        .facts = {.address = slice_str(address), .primary = primary},
        .last = {.disposition = (uint8_t)what, .time = changed ? BEGIN + changed : 0}};
    if (strcmp(address, "anna@rossi.example") == 0)
        r->facts.person = anna;
    fake.n_rows++;
}

static struct episode_step steps[3];

static void emergency(void)
{
    steps[0] = (struct episode_step){.time = BEGIN,
                                     .kind = EPISODE_EMERGENCY,
                                     .state = STATE_EMERGENCY,
                                     .flags = EPISODE_IS_BY_HAND,
                                     .by = SLICE("luca"),
                                     .why = SLICE("fire")};
    steps[1] = (struct episode_step){.time = BEGIN + RETURN,
                                     .kind = EPISODE_RETURNING,
                                     .state = STATE_RETURNING,
                                     .by = SLICE("luca"),
                                     .why = SLICE("it is out")};
    steps[2] = (struct episode_step){
        .time = BEGIN + END, .kind = EPISODE_ENDED, .state = STATE_STANDBY, .by = SLICE("queue")};
    struct episode e = {.phase = EPISODE_CLOSED,
                        .emergency_at = BEGIN,
                        .return_at = BEGIN + RETURN,
                        .end_at = BEGIN + END,
                        .first_message = id_at(-5000),
                        .n_given = 100,
                        .giving_ms = 20000,
                        .steps = steps,
                        .n_steps = 3};
    keep_episode(id_at(0), &e);
}

static int start(void **)
{
    fake_start();
    fake_company();
    fake_do("PATCH", "/v1/persons/anna@rossi.example", "{\"essential\":true}");
    tenant = directory_find(fake.host.directory, OBJECT_TENANT, 0, SLICE("rossi"));
    primary = directory_find(fake.host.directory, OBJECT_PRIMARY, 0, SLICE("exchange"));
    anna = directory_person_at(fake.host.directory, SLICE("anna@rossi.example"))->id;
    emergency();
    row(-900000, DISPOSITION_DELIVERED, -8000, "luca@rossi.example"); /* before */
    row(-5000, DISPOSITION_DELIVERED, 70000, "luca@rossi.example");   /* waited before */
    row(1000, DISPOSITION_DELIVERED, 2000, "luca@rossi.example");     /* meanwhile */
    row(3000, DISPOSITION_DELIVERED, 71000, "anna@rossi.example");    /* given back */
    row(4000, DISPOSITION_DELIVERED, 72000, "a.rossi@rossi.example");
    fake.rows[4].facts.person = anna;
    fake.rows[4].is_possible_double = true;
    row(5000, DISPOSITION_HELD, 73000, "luca@rossi.example");
    fake.rows[5].last.refusal = 1 + REFUSE_HOLD_REFUSED;
    row(6000, DISPOSITION_RETURNED, 74000, "luca@rossi.example");
    row(7000, DISPOSITION_REMOVED, 75000, "luca@rossi.example");
    row(8000, DISPOSITION_MERGED, 0, "Luca@rossi.example");
    row(9000, DISPOSITION_REFUSED, 9000, "luca@rossi.example");     /* never accepted */
    row(61000, DISPOSITION_DELIVERED, 62000, "luca@rossi.example"); /* passed on */
    row(200000, DISPOSITION_WAITING, 201000, "luca@rossi.example"); /* after its end */
    return 0;
}

static int stop(void **)
{
    fake_stop();
    return 0;
}

static const char *target(const char *what)
{
    static char path[200];
    char id[MESSAGE_ID_TEXT];
    message_id_text(id_at(0), id);
    (void)snprintf(path, sizeof(path), "/v1/episodes/%s/%s", id, what);
    return path;
}

static void expect_all(const char *path, const char *const *parts, size_t n)
{
    struct fake_reply r = fake_ask("GET", path, "");
    for (size_t i = 0; i < n; i++)
        if (!strstr(buf_cstr(&r.body), parts[i]))
            fail_msg("%s: no %s in %s", path, parts[i], buf_cstr(&r.body));
    buf_finish(&r.body);
    assert_int_equal(fake.n_held, 0);
}
#define EXPECT(path, ...)                                                                          \
    expect_all(path, (const char *const[]){__VA_ARGS__},                                           \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* ---- the statement ---- */

static void the_statement_counts_each_fate_and_proves_itself(void **)
{
    EXPECT(target("report"), "\"proved\":true",
           "\"sums\":{\"accepted\":8,\"waited_before\":1,\"kept\":6,\"meanwhile\":1,"
           "\"given_back\":3,\"passed_on\":1,\"waiting\":0,\"held\":1,\"returned\":1,"
           "\"removed\":1,\"merged\":1,\"notices\":1,\"possible_doubles\":1,",
           "\"ledger\":{\"accepted\":8,\"waiting\":0,\"delivered\":5,\"held\":1,\"returned\":1,"
           "\"removed\":1,\"merged\":1,",
           "\"held_for\":[{\"reason\":\"queue.hold-refused\"", "\"Nothing was lost. 9 deliveries",
           "\"what\":\"emergency\",\"state\":\"emergency\",\"by\":\"luca\"");
}

static void two_addresses_of_a_person_are_one_mailbox_and_essential_ones_are_first(void **)
{
    EXPECT(target("report"),
           "\"mailboxes\":[{\"address\":\"anna@rossi.example\",\"essential\":true,"
           "\"recipients\":2,\"bytes\":2000,",
           "{\"address\":\"luca@rossi.example\",\"essential\":false,\"recipients\":7,",
           "\"n_mailboxes\":2", "  * anna@rossi.example");
}

static void times_for_people_are_those_of_the_company(void **)
{
    EXPECT(target("report"), "\"zone\":\"UTC\"", "WHEN (UTC)",
           "  Emergency                2027-01-15 08:00:00 +00:00");
    fake_do("PATCH", "/v1/tenants/rossi/calendar", "{\"zone\":\"Europe/Rome\"}");
    if (access("/usr/share/zoneinfo/Europe/Rome", R_OK) != 0)
        skip(); /* a machine without time zones */
    EXPECT(target("report"), "\"zone\":\"Europe/Rome\"", "WHEN (Europe/Rome)",
           "\"emergency\":\"2027-01-15T08:00:00.000Z\"",
           "  Emergency                2027-01-15 09:00:00 +01:00",
           "  2027-01-15 09:01:00 +01:00  giving back");
    EXPECT("/v1/episodes", "\"zone\":\"Europe/Rome\"", "\"end\":\"2027-01-15T08:02:00.000Z\"");
    EXPECT("/v1/state/exchange/preview", "\"zone\":\"Europe/Rome\"");
}

static void nothing_was_lost_is_said_only_when_the_ledger_says_it_too(void **)
{
    fake.lost = 1;
    struct fake_reply r = fake_ask("GET", target("report"), "");
    assert_non_null(strstr(buf_cstr(&r.body), "\"proved\":false"));
    assert_non_null(strstr(buf_cstr(&r.body), "THE SUMS ARE NOT EQUAL"));
    assert_non_null(strstr(buf_cstr(&r.body), "NOT EQUAL\""));
    assert_null(strstr(buf_cstr(&r.body), "\"Nothing was lost")); /* no line begins so */
    buf_finish(&r.body);
}

static void an_emergency_that_goes_on_is_not_over(void **)
{
    struct episode e = {.phase = EPISODE_OPEN,
                        .first_bad = BEGIN + 180000,
                        .emergency_at = BEGIN + 190000,
                        .steps = steps,
                        .n_steps = 1};
    char path[100], id[MESSAGE_ID_TEXT];
    steps[0].time = BEGIN + 190000;
    keep_episode(id_at(190000), &e);
    message_id_text(id_at(190000), id);
    (void)snprintf(path, sizeof(path), "/v1/episodes/%s/report", id);
    fake.rows[11].received = utc_now();
    fake.rows[11].message = (uint64_t)utc_now() << 20;
    if (utc_now() < BEGIN + 190000)
        return; /* a machine whose clock is far behind */
    EXPECT(path, "\"over\":false", "It is not over yet", "\"waiting\":1", "\"kept\":1");
}

/* ---- each message ---- */

static void each_message_is_listed_with_its_fate_in_pages(void **)
{
    EXPECT(target("messages"), "\"fate\":\"meanwhile\"", "\"fate\":\"given_back\"",
           "\"fate\":\"passed_on\"", "\"fate\":\"held\"", "\"fate\":\"merged\"");
    size_t n = 0;
    char path[300], next[20] = "";
    do {
        (void)snprintf(path, sizeof(path), "%s%s%s", target("messages?limit=1"),
                       next[0] ? "&after=" : "", next);
        struct fake_reply r = fake_ask("GET", path, "");
        const char *body = buf_cstr(&r.body), *at = strstr(body, "\"next\":\"");
        n += strstr(body, "\"fate\"") != NULL;
        assert_null(strstr(body, "\"fate\":\"refused\""));
        next[0] = 0;
        if (at)
            (void)snprintf(next, sizeof(next), "%.13s", at + 8);
        buf_finish(&r.body);
    } while (next[0] && n < 20);
    assert_int_equal(n, 9);
    fake_expect("GET", target("messages?after=nonsense!"), "", 400, "after=");
}

/* ---- the list ---- */

static void the_list_is_newest_first_and_knows_no_mere_suspicion(void **)
{
    struct episode suspicion = {.phase = EPISODE_SUSPICION, .suspect_at = BEGIN};
    struct episode later = {.emergency_at = BEGIN + END, .phase = EPISODE_OPEN};
    struct episode other = {.emergency_at = BEGIN, .phase = EPISODE_OPEN, .primary = 4711};
    keep_episode(id_at(1), &suspicion);
    keep_episode(id_at(2), &other);
    keep_episode(id_at(END), &later);
    char id[MESSAGE_ID_TEXT], want[100];
    message_id_text(id_at(END), id);
    (void)snprintf(want, sizeof(want), "{\"episodes\":[{\"id\":\"%s\"", id);
    EXPECT("/v1/episodes?primary=exchange", want, "\"more\":false");
    EXPECT("/v1/episodes?limit=1", want, "\"more\":true");
    fake_expect("GET", "/v1/episodes?primary=lotus", "", 404, "no mail system");
    fake_expect("GET", "/v1/episodes/aaaaaaaaaaaab/report", "", 404, "no emergency");
    message_id_text(id_at(1), id);
    (void)snprintf(want, sizeof(want), "/v1/episodes/%s/report", id);
    fake_expect("GET", want, "", 404, "no emergency");
}

/* ---- preview and progress ---- */

static void the_preview_says_what_would_go_where_and_how_long_it_takes(void **)
{
    row(201000, DISPOSITION_WAITING, 0, "anna@rossi.example");
    row(202000, DISPOSITION_WAITING, 0, "anna@rossi.example");
    EXPECT("/v1/state/exchange/preview", "\"messages\":3,\"recipients\":3,\"bytes\":3000",
           "\"held\":1,\"held_bytes\":1000", "\"per_minute\":300", "\"seconds\":1",
           "\"mailboxes\":[{\"address\":\"anna@rossi.example\",\"essential\":true,"
           "\"recipients\":2,\"held\":0,",
           "\"text\":\"3 messages (2.9 KiB) for 2 mailboxes would go to exchange by SMTP");
    EXPECT("/v1/state/exchange/preview?limit=1", "\"n_mailboxes\":2,\"next\":1}");
    EXPECT("/v1/state/exchange/preview?limit=1&after=1", "[{\"address\":\"luca@rossi.example\"");
    fake_expect("GET", "/v1/state/exchange/preview?after=x", "", 400, "after=");
    fake_expect("GET", "/v1/state/lotus/preview", "", 404, "no mail system");
}

static void the_preview_knows_the_method_of_the_plan_in_force(void **)
{
    EXPECT("/v1/state/exchange/preview", "\"method\":\"smtp\"");
    fake_do("PATCH", "/v1/primaries/exchange/plan", "{\"method\":\"append\",\"why\":\"x\"}");
    EXPECT("/v1/state/exchange/preview", "\"method\":\"smtp\"");
    fake_do("POST", "/v1/primaries/exchange/plan/approve", "");
    row(200000, DISPOSITION_WAITING, 0, "luca@rossi.example");
    EXPECT("/v1/state/exchange/preview", "\"method\":\"append\"", "by IMAP");
}

static void a_group_is_as_essential_as_its_members(void **)
{
    row(201000, DISPOSITION_WAITING, 0, "luca@rossi.example");
    row(202000, DISPOSITION_WAITING, 0, "All@rossi.example"); /* anna is one of them */
    EXPECT("/v1/state/exchange/preview",
           "\"mailboxes\":[{\"address\":\"All@rossi.example\",\"essential\":true",
           "{\"address\":\"luca@rossi.example\",\"essential\":false");
    fake_do("PATCH", "/v1/persons/anna@rossi.example", "{\"essential\":false}");
    EXPECT("/v1/state/exchange/preview", "{\"address\":\"All@rossi.example\",\"essential\":false");
}

static void progress_is_shown_while_something_is_given_back(void **)
{
    struct fake_reply r = fake_ask("GET", "/v1/state/exchange", "");
    assert_null(strstr(buf_cstr(&r.body), "\"returning\""));
    buf_finish(&r.body);
    fake.is_returning = true;
    fake_expect("GET", "/v1/state/exchange", "", 200,
                "\"returning\":{\"total\":100,\"done\":30,\"per_minute\":150,"
                "\"remaining_seconds\":29}");
}

/* ---- words ---- */

/* Of Anna: what is given back, what is left, and what was done since. */
static void she_did_something(utc_ms round)
{
    static char room[4000];
    static struct record_place place;
    struct mailback_item_left left[] = {{1, MAILBACK_WAITS, 0, SLICE("")},
                                        {2, MAILBACK_REFUSED, 0, SLICE("quota")}};
    struct mailback_item item = {.primary = primary,
                                 .given = 40,
                                 .round = round,
                                 .n_done = 12,
                                 .n_already = 3,
                                 .n_doubtful = 1,
                                 .left = left,
                                 .n_left = 2};
    SCOPED(buf_finish) struct buf b = buf_make(sizeof(room));
    mailback_item_pack(&b, &item);
    memcpy(room, b.p, b.n);
    fake.items[fake.n_items++] = (struct record_item){
        .account = anna, .kind = ITEM_RETURN, .id = 1, .body = slice_of(room, b.n)};
    const struct store_email emails[] = {
        {.message = 3, .modseq = 41, .created = 20, .flags = EMAIL_SEEN},
        {.message = 4, .modseq = 42, .created = 42}, /* merely came */
        {.message = 5, .modseq = 43, .created = 21, .is_gone = true, .flags = EMAIL_BY_RULE},
        {.message = 6, .modseq = 30, .created = 22, .flags = EMAIL_SEEN}, /* given back */
    };
    for (size_t i = 0; i < 4; i++) {
        fake.emails[fake.n_emails] = emails[i];
        fake.emails[fake.n_emails].list.places = &place;
        fake.emails[fake.n_emails].list.n_places = 1;
        fake.email_accounts[fake.n_emails++] = anna;
    }
}

static void what_people_did_is_in_the_statement(void **)
{
    fake_do("PATCH", "/v1/persons/anna@rossi.example", "{\"covered\":true}");
    EXPECT(target("report"), "\"changes\":{\"mailboxes\":0,\"given\":0");
    she_did_something(BEGIN + RETURN);
    EXPECT(target("report"),
           "\"changes\":{\"mailboxes\":1,\"given\":12,\"already\":3,\"doubtful\":1,"
           "\"waiting\":2,\"absent\":0,\"ambiguous\":0,\"refused\":1}",
           "WHAT PEOPLE DID HERE", "staffetta access set");
}

static void what_was_given_back_another_time_is_not_of_this_one(void **)
{
    fake_do("PATCH", "/v1/persons/anna@rossi.example", "{\"covered\":true}");
    she_did_something(BEGIN - 1000);
    EXPECT(target("report"), "\"changes\":{\"mailboxes\":0,\"given\":0,\"already\":0,");
}

static void numbers_are_said_as_people_say_them(void **)
{
    static const struct {
        uint64_t n;
        const char *count, *size;
        utc_ms ms;
        const char *duration;
    } cases[] = {{0, "0", "0 bytes", 0, "0 s"},
                 {999, "999", "999 bytes", 41400, "41 s"},
                 {1204, "1,204", "1.2 KiB", 61000, "1 min 1 s"},
                 {12345678, "12,345,678", "11.8 MiB", 7500000, "2 h 5 min"},
                 {5000000000, "5,000,000,000", "4.7 GiB", 180000000, "2 d 2 h"},
                 {1, "1", "1 bytes", -5, "0 s"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(200);
        add_count(&b, cases[i].n);
        buf_addf(&b, "|");
        add_size(&b, cases[i].n);
        buf_addf(&b, "|");
        add_duration(&b, cases[i].ms);
        char want[200];
        (void)snprintf(want, sizeof(want), "%s|%s|%s", cases[i].count, cases[i].size,
                       cases[i].duration);
        assert_string_equal(buf_cstr(&b), want);
    }
}

static void bytes_of_strangers_begin_no_line(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(200);
    add_words(&b, SLICE("fire\r\nNothing\x7f was lost.\xc3\xa4"));
    assert_string_equal(buf_cstr(&b), "fire  Nothing  was lost.\xc3\xa4");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_statement_counts_each_fate_and_proves_itself),
        TEST(two_addresses_of_a_person_are_one_mailbox_and_essential_ones_are_first),
        TEST(times_for_people_are_those_of_the_company),
        TEST(nothing_was_lost_is_said_only_when_the_ledger_says_it_too),
        TEST(bytes_of_strangers_begin_no_line),
        TEST(an_emergency_that_goes_on_is_not_over),
        TEST(each_message_is_listed_with_its_fate_in_pages),
        TEST(the_list_is_newest_first_and_knows_no_mere_suspicion),
        TEST(the_preview_says_what_would_go_where_and_how_long_it_takes),
        TEST(the_preview_knows_the_method_of_the_plan_in_force),
        TEST(a_group_is_as_essential_as_its_members),
        TEST(progress_is_shown_while_something_is_given_back),
        TEST(what_people_did_is_in_the_statement),
        TEST(what_was_given_back_another_time_is_not_of_this_one),
        TEST(numbers_are_said_as_people_say_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
