/* Every endpoint: a request, its status, a part of its answer; and each answer as its schema says.
 */
#include "ask.h"

#include "base/test/run.h"

#include <time.h>

struct ask {
    const char *method, *target, *body;
    uint16_t status;
    const char *part;
};

static void ask_all(const struct ask *asks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fake_expect(asks[i].method, asks[i].target, asks[i].body, asks[i].status, asks[i].part);
}
#define ASK_ALL(asks) ask_all(asks, sizeof(asks) / sizeof(asks[0]))

static int start(void **)
{
    fake_start();
    fake_company();
    fake_mail();
    refuse_set_limit(REFUSE_LOOP, (struct refuse_limit){7, "limits.hops", true});
    return 0;
}

static int stop(void **)
{
    fake_stop();
    return 0;
}

static char m1[MESSAGE_ID_TEXT], m2[MESSAGE_ID_TEXT];

static void lists_and_shows_what_there_is(void **)
{
    static const struct ask asks[] = {
        {"GET", "/v1/tenants", "", 200, "\"domains\":1,\"primaries\":1,\"persons\":2,\"groups\":1"},
        {"GET", "/v1/tenants/rossi", "", 200, "\"persons\":2"},
        {"GET", "/v1/tenants/verdi", "", 404, "There is no company \\\"verdi\\\""},
        {"GET", "/v1/domains", "", 200,
         "\"primary\":\"exchange\",\"form\":\"inline\",\"cut_through\":true"},
        {"GET", "/v1/domains?tenant=rossi", "", 200, "rossi.example"},
        {"GET", "/v1/domains?tenant=verdi", "", 404, "no company"},
        {"GET", "/v1/domains/ROSSI.example", "", 200, "\"separators\":\"+\""},
        {"GET", "/v1/domains/verdi.example", "", 404, "no domain"},
        {"GET", "/v1/primaries", "", 200, "\"networks\":[\"192.0.2.0/24\"]"},
        {"GET", "/v1/primaries/exchange", "", 200, "\"software\":\"Postfix \\\"quoted\\\\\\\"\""},
        {"GET", "/v1/primaries/lotus", "", 404, "no mail system"},
        {"POST", "/v1/primaries/exchange/check", "", 200,
         "\"text\":\"550 5.7.1\",\"make\":\"Postfix and"},
        {"POST", "/v1/primaries/exchange/check?make=google", "", 200, "as inbound gateway"},
        {"POST", "/v1/primaries/exchange/check?make=lotus", "", 400, "make="},
        {"POST", "/v1/primaries/exchange/check?sender=a%40b.example", "", 200, "a@b.example"},
        {"GET", "/v1/persons", "", 200, "\"aliases\":[\"a.rossi@rossi.example\"]"},
        {"GET", "/v1/persons?match=LUCA", "", 200, "{\"persons\":[{\"address\":\"luca@"},
        {"GET", "/v1/persons?limit=1", "", 200, "\"next\":\""},
        {"GET", "/v1/persons?after=nobody", "", 400, "after="},
        {"GET", "/v1/persons/A.Rossi%40rossi.example", "", 200,
         "\"address\":\"anna@rossi.example\""},
        {"GET", "/v1/persons/eva@rossi.example", "", 404, "Nobody has"},
        {"GET", "/v1/persons/nonsense", "", 400, "is not an address"},
        {"GET", "/v1/groups", "", 200, "all@rossi.example"},
        {"GET", "/v1/groups/all@rossi.example", "", 200,
         "\"members\":[\"anna@rossi.example\",\"luca@rossi.example\"]"},
        {"GET", "/v1/groups/none@rossi.example", "", 404, "No group"},
        {"GET", "/v1/state", "", 200, "\"state\":\"standby\""},
        {"GET", "/v1/state/exchange?tenant=rossi", "", 200, "\"waiting\":3"},
        {"GET", "/v1/status", "", 200, "\"node\":\"mx1.staffetta.example\""},
        {"GET", "/v1/status", "", 200, "\"disk_alarm_percent\":35"},
        {"GET", "/v1/health", "", 200, "\"open\":true"},
        {"GET", "/v1/limits", "", 200,
         "\"count\":5,\"count_ever\":12,\"last\":\"2023-11-14T22:13:20.000Z\",\"example\":\"192.0."
         "2.7\""},
        {"GET", "/v1/limits", "", 200,
         "\"limit\":7,\"unit\":\"hops\",\"set_by\":\"settings\",\"setting\":\"limits.hops\""},
        {"GET", "/v1/limits", "", 200,
         "\"limit\":30,\"unit\":\"notices a minute to one "
         "sender\",\"set_by\":\"built-in\",\"can_try\":true,\"class\""},
        {"GET", "/v1/limits", "", 200,
         "{\"primary\":\"exchange\",\"tenant\":\"rossi\",\"deliveries\":32,\"set_by\":\"built-"
         "in\""},
        {"GET", "/v1/store", "", 200, "\"syncs\":7"},
        {"POST", "/v1/store/snapshot", "", 200, "verified snapshot"},
        {"GET", "/v1/openapi.json", "", 200, "\"openapi\":\"3.0.3\""},
        {"GET", "/v1/metrics", "", 200,
         "staffetta_primary_state{tenant=\"rossi\",primary=\"exchange\",state=\"standby\"} 1\n"},
    };
    ASK_ALL(asks);
}

static void how_much_search_finds_is_said(void **)
{
    static const struct {
        struct admin_search search;
        const char *part;
    } rows[] = {
        {{.is_known = true, .is_whole = true, .percent = 100, .from = 1, .upto = 2},
         "\"complete\":true,\"percent\":100"},
        {{.is_known = true, .why = "the disk is full"},
         "\"complete\":false,\"percent\":0,\"text\":\"No words are found yet: the index is being "
         "made, the newest mail first. It waits: the disk is full\""},
        {{.is_known = true, .percent = 43, .from = 1700000000000, .upto = 1700000600000},
         "\"text\":\"What came from 2023-11-14T22:13Z to 2023-11-14T22:23Z is found, 43 %; the "
         "rest "
         "follows.\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ask asks[] = {{"GET", "/v1/status", "", 200, rows[i].part}};
        fake.search = rows[i].search;
        ASK_ALL(asks);
    }
    fake.search.is_known = false;
    const struct ask asks[] = {{"GET", "/v1/status", "", 200, "\"applied\":"}};
    ASK_ALL(asks);
}

static void targets_of_alerts_come_and_go(void **)
{
    static const struct ask asks[] = {
        {"GET", "/v1/alerts", "", 200, "{\"alerts\":[]}"},
        {"POST", "/v1/alerts", "{\"name\":\"ops\",\"url\":\"https://hooks.example/x\"}", 201,
         "\"least\":\"notice\",\"told\":0,\"waiting\":0,\"given_up\":0,\"secret\":\""},
        {"POST", "/v1/alerts", "{\"name\":\"ops\",\"url\":\"https://hooks.example/x\"}", 409,
         "already"},
        {"POST", "/v1/alerts",
         "{\"name\":\"in\",\"url\":\"http://10.0.0.1/\",\"secret\":\"12345678\","
         "\"tenant\":\"rossi\",\"least\":\"alarm\"}",
         201, "\"note\":\"Without encryption only this machine"},
        {"POST", "/v1/alerts", "{\"name\":\"luca\",\"mail\":\"Luca@Elsewhere.example\"}", 201,
         "\"kind\":\"mail\",\"mail\":\"luca@elsewhere.example\",\"least\":\"notice\",\"told\":0,"
         "\"waiting\":0,\"given_up\":0}"},
        {"POST", "/v1/alerts", "{\"name\":\"bad\",\"mail\":\"anna@rossi.example\"}", 201,
         "its mail goes to the mail system \\\"exchange\\\""},
        {"POST", "/v1/alerts", "{\"name\":\"x\",\"mail\":\"nonsense\"}", 400, "not an address"},
        {"POST", "/v1/alerts", "{\"name\":\"x\",\"mail\":\"m\u00fc@x.example\"}", 400, "ASCII"},
        {"POST", "/v1/alerts", "{\"name\":\"x\",\"url\":\"ftp://x/\"}", 400, "https://"},
        {"POST", "/v1/alerts", "{\"name\":\"x\",\"url\":\"https://x/\",\"secret\":\"short\"}", 400,
         "too short"},
        {"POST", "/v1/alerts", "{\"name\":\"x\"}", 400, "either"},
        {"POST", "/v1/alerts", "{\"name\":\"x\",\"url\":\"https://x/\",\"mail\":\"a@b.example\"}",
         400, "either"},
        {"POST", "/v1/alerts", "{\"name\":\"x\",\"sms\":\"+39 333\"}", 400, "not possible yet"},
        {"POST", "/v1/alerts", "{\"name\":\" x\",\"mail\":\"a@b.example\"}", 400, "blanks"},
        {"POST", "/v1/alerts", "{\"name\":\"x\",\"mail\":\"a@b.example\",\"tenant\":\"verdi\"}",
         404, "no company"},
        {"GET", "/v1/alerts?tenant=rossi", "", 200, "{\"alerts\":[{\"name\":\"in\""},
        {"GET", "/v1/alerts/ops", "", 200, "\"url\":\"https://hooks.example/x\""},
        {"GET", "/v1/alerts/none", "", 404, "no target"},
        {"POST", "/v1/alerts/ops/test", "", 200, "\"ok\":false,\"text\":\"503: not now\""},
        {"POST", "/v1/alerts/none/test", "", 404, "no target"},
        {"DELETE", "/v1/alerts/ops", "", 200, "\"removed\":\"ops\""},
        {"DELETE", "/v1/alerts/ops", "", 404, "no target"},
    };
    ASK_ALL(asks);
    struct fake_reply r = fake_ask("GET", "/v1/alerts/in", "");
    assert_null(strstr(buf_cstr(&r.body), "12345678"));
    assert_null(strstr(buf_cstr(&r.body), "secret"));
    buf_finish(&r.body);
}

static void incidents_are_listed_shown_and_taken(void **)
{
    uint64_t rossi = directory_find(fake.host.directory, OBJECT_TENANT, 0, SLICE("rossi"));
    char one[MESSAGE_ID_TEXT], two[MESSAGE_ID_TEXT], target[100];
    fake_do("POST", "/v1/alerts", "{\"name\":\"ops\",\"url\":\"https://hooks.example/x\"}");
    struct alert_report r = {.tenant = rossi,
                             .key = SLICE("primary/1"),
                             .name = SLICE("primary.emergency"),
                             .subject = SLICE("exchange"),
                             .class = EVENT_ALARM,
                             .happened = SLICE("It does not answer."),
                             .evidence = SLICE("a\nb")};
    assert_true(alert_report(fake.alerts, &r, 1700000000000));
    r.key = SLICE("disk");
    r.tenant = 0;
    assert_true(alert_report(fake.alerts, &r, 1700000001000));
    message_id_text(alert_find(fake.alerts, rossi, SLICE("primary/1"))->id, one);
    message_id_text(alert_find(fake.alerts, 0, SLICE("disk"))->id, two);
    r.is_over = true;
    assert_true(alert_report(fake.alerts, &r, 1700000001500));
    fake_expect("GET", "/v1/incidents", "", 200, "\"state\":\"open\",\"class\":\"alarm\"");
    fake_expect("GET", "/v1/incidents?tenant=rossi", "", 200, one);
    fake_expect("GET", "/v1/incidents?limit=1", "", 200, "\"next\":\"");
    snprintf(target, sizeof(target), "/v1/incidents?after=%s", one);
    fake_expect("GET", target, "", 200, two); /* what is over comes behind what goes on */
    fake_expect("GET", "/v1/incidents?after=nonsense", "", 400, "after=");
    snprintf(target, sizeof(target), "/v1/incidents/%s", one);
    fake_expect("GET", target, "", 200, "\"evidence\":[\"a\",\"b\"]");
    fake_expect("GET", target, "", 200,
                "{\"alert\":\"ops\",\"kind\":\"webhook\",\"state\":\"waiting\"");
    snprintf(target, sizeof(target), "/v1/incidents/%s/ack", one);
    fake_expect("POST", target, "{\"why\":\" \"}", 400, "empty");
    fake_expect("POST", target, "{\"why\":\"on my way\"}", 200,
                "\"taken_by\":\"uid 0 (root)\",\"taken_why\":\"on my way\"");
    fake_expect("GET", "/v1/incidents/nonsense", "", 404, "no incident");
    fake_expect("POST", "/v1/incidents/aaaaaaaaaaaab/ack", "{\"why\":\"x\"}", 404, "no incident");
}

static void shows_mail_and_the_ledger(void **)
{
    char one[100], why[100];
    message_id_text(1000, m1);
    message_id_text(1001, m2);
    snprintf(one, sizeof(one), "/v1/queue/%s", m1);
    snprintf(why, sizeof(why), "/v1/queue/%s/why", m1);
    const struct ask asks[] = {
        {"GET", "/v1/queue", "", 200, "\"reason\":\"queue.hold-refused\""},
        {"GET", "/v1/queue?disposition=delivered&primary=exchange", "", 200,
         "\"possible_double\":true"},
        {"GET", "/v1/queue?disposition=lost", "", 400, "One of: waiting|held"},
        {"GET", "/v1/queue?limit=1&tenant=rossi", "", 200, "\"next\":\"aaaaaaaaaaa7i\""},
        {"GET", "/v1/queue?after=x", "", 400, "after="},
        {"GET", "/v1/queue?primary=lotus", "", 404, "no mail system"},
        {"GET", one, "", 200, "\"text\":\"later \\ufffd please\""},
        {"GET", "/v1/queue/aaaaaaaaaaaab", "", 404, "There is no message"},
        {"GET", "/v1/queue/short", "", 404, "not the id of a message"},
        {"GET", why, "", 200, "\"waiting\":false"},
        {"GET", "/v1/ledger", "", 200, "\"balanced\":true,\"text\":\"Everything adds up: 3 recip"},
        {"GET", "/v1/ledger?tenant=rossi", "", 200, "\"total\":{\"tenant\":\"rossi\""},
        {"GET", "/v1/ledger/doubles", "", 200, "\"disposition\":\"delivered\""},
        {"GET",
         "/v1/trace?what=anna%40rossi.example&since=2026-11-21&until=2026-11-21T08:30:00%2B01:00",
         "", 200, "\"history\":[{\"time\":"},
        {"GET", "/v1/trace?limit=2", "", 200, "\"more\":true"},
        {"GET", "/v1/trace?since=yesterday", "", 400, "since= cannot be \\\"yesterday\\\""},
        {"GET", "/v1/events", "", 200,
         "\"class\":\"alarm\",\"name\":\"primary.suspect\",\"tenant\":\"rossi\""},
        {"GET", "/v1/events?since=2026-01-01T00:00:00Z", "", 200, "{\"events\":[]}"},
    };
    ASK_ALL(asks);
    fake.explain = "It waits for exchange until 10:00.";
    fake_expect("GET", why, "", 200, "\"waiting\":true,\"text\":\"It waits for exchange");
    fake_expect("GET", "/v1/trace?since=2026-11-21T01:00:00%2B01:00&limit=1", "", 200, "messages");
    assert_int_equal(fake.searched.since, 1795219200000);
    assert_int_equal(fake.searched.limit, 2);
}

static void says_when_the_ledger_is_off(void **)
{
    fake.lost = 1;
    fake_expect("GET", "/v1/ledger", "", 200,
                "4 recipients accepted, but only 3 are accounted for");
    fake.lost = 0;
    fake.rows[0].last.disposition = DISPOSITION_REFUSED; /* counted as accepted, but no fate */
    fake_expect("GET", "/v1/ledger", "", 200, "\"balanced\":false");
}

static void says_when_new_mail_is_refused(void **)
{
    fake.closed_for = 1 + REFUSE_DISK_LOW;
    fake_expect("GET", "/v1/health", "", 503, "\"reason\":\"store.disk-free\"");
    fake_expect("GET", "/v1/status", "", 200, "\"open\":false,\"reason\":\"store.disk-free\"");
    fake_expect("GET", "/v1/metrics", "", 200, "staffetta_open 0\n");
}

static void refuses_in_words_what_it_cannot_read(void **)
{
    static const struct ask asks[] = {
        {"GET", "/", "", 404, "There is nothing at"},
        {"GET", "", "", 404, "There is nothing at"},
        {"GET", "/v1/status/", "", 404, "There is nothing at"},
        {"GET", "/v1/tenants/", "", 404, "There is nothing at"},
        {"GET", "/v1//status", "", 404, "There is nothing at"},
        {"DELETE", "/v1/tenants", "", 405, "Possible: GET, POST."},
        {"DELETE", "/v1/queue", "", 405, "Possible: GET."},
        {"GET", "/v1/status?x=1", "", 400, "is not known here"},
        {"GET", "/v1/queue?limit=1&limit=2", "", 400, "given twice"},
        {"GET", "/v1/queue?limit=0", "", 400, "limit= cannot be"},
        {"GET", "/v1/queue?limit=99999999", "", 400, "limit= cannot be"},
        {"GET", "/v1/queue?limit=", "", 400, "limit= cannot be"},
        {"GET", "/v1/queue?tenant=%zz", "", 400, "The query is not readable"},
        {"GET", "/v1/queue?tenant=%ff", "", 400, "The query is not readable"},
        {"GET", "/v1/queue?tenant=a%00b", "", 400, "The query is not readable"},
        {"GET", "/v1/tenants/%f", "", 400, "The path is not readable"},
        {"GET", "/v1/status", "{}", 400, "No body is expected"},
        {"POST", "/v1/tenants", "", 400, "the body is empty"},
        {"POST", "/v1/tenants", "{", 400, "not JSON"},
        {"POST", "/v1/tenants", "[]", 400, "an object {...} was expected"},
        {"POST", "/v1/tenants", "{\"name\":\"a\",\"name\":\"b\"}", 400, "duplicate"},
        {"POST", "/v1/tenants", "{}", 400, "\\\"name\\\" is missing"},
        {"POST", "/v1/tenants", "{\"name\":7}", 400, "must be a text"},
        {"POST", "/v1/tenants", "{\"name\":\"a\\nb\"}", 400, "control character"},
        {"POST", "/v1/tenants", "{\"name\":\"a\\u0000b\"}", 400, "not JSON"},
        {"POST", "/v1/tenants", "{\"name\":\"a\",\"colour\":\"red\"}", 400, "known are: name"},
        {"POST", "/v1/tenants", "{\"name\":[[[[[[[[1]]]]]]]]}", 400, "nested deeper"},
        {"POST", "/v1/tenants", "{\"name\":\"\"}", 400, "needs a name"},
        {"POST", "/v1/tenants", "{\"name\":\"rossi\"}", 409, "already"},
    };
    ASK_ALL(asks);
}

static void keeps_domains_sensible(void **)
{
    static const struct ask asks[] = {
        {"POST", "/v1/domains",
         "{\"name\":\"rossi.example\",\"tenant\":\"rossi\",\"primary\":\"exchange\"}", 409,
         "already"},
        {"POST", "/v1/domains", "{\"name\":\"a b\",\"tenant\":\"rossi\"}", 400, "is not a domain"},
        {"POST", "/v1/domains", "{\"name\":\"b.example\",\"tenant\":\"verdi\"}", 404, "no company"},
        {"POST", "/v1/domains", "{\"name\":\"b.example\",\"tenant\":\"rossi\"}", 400,
         "\\\"primary\\\" is missing"},
        {"POST", "/v1/domains",
         "{\"name\":\"b.example\",\"tenant\":\"rossi\",\"primary\":\"lotus\"}", 404,
         "no mail system"},
        {"POST", "/v1/domains", "{\"name\":\"b.example\",\"tenant\":\"rossi\",\"form\":\"both\"}",
         400, "must be one of inline|second|hosted"},
        {"POST", "/v1/domains",
         "{\"name\":\"b.example\",\"tenant\":\"rossi\",\"form\":\"hosted\",\"primary\":"
         "\"exchange\"}",
         400, "hosted domain has no primary"},
        {"POST", "/v1/domains", "{\"name\":\"b.example\",\"tenant\":\"rossi\",\"form\":\"hosted\"}",
         201, "\"cut_through\":false"},
        {"POST", "/v1/domains",
         "{\"name\":\"c.example\",\"tenant\":\"rossi\",\"form\":\"second\",\"primary\":"
         "\"exchange\",\"cut_through\":true}",
         400, "inline domains only"},
        {"PATCH", "/v1/domains/rossi.example", "{\"separators\":\"@\"}", 400, "Separators can be"},
        {"PATCH", "/v1/domains/rossi.example", "{\"catch_all\":\"eva@elsewhere.example\"}", 400,
         "not in a domain of this company"},
        {"PATCH", "/v1/domains/rossi.example",
         "{\"catch_all\":\"ANNA@rossi.example\",\"cut_through\":false}", 200,
         "\"cut_through\":false,\"separators\":\"+\",\"catch_all\":\"anna@rossi.example\""},
        {"DELETE", "/v1/persons/anna@rossi.example", "", 409,
         "catch-all or postmaster mail of \\\"rossi.example\\\""},
        {"PATCH", "/v1/domains/rossi.example", "{\"catch_all\":\"\"}", 200,
         "\"primary\":\"exchange\""},
        {"PATCH", "/v1/domains/none.example", "{}", 404, "no domain"},
    };
    ASK_ALL(asks);
}

/* Of the keys of today, in the order in which they are made. */
static void made_selector(unsigned n, char ret[64])
{
    char day[16];
    time_t now = (time_t)(utc_now() / 1000);
    struct tm tm;
    (void)strftime(day, sizeof(day), "%Y%m%d", gmtime_r(&now, &tm));
    (void)snprintf(ret, 64, "sf%s%s", day, n == 0 ? "r" : n == 1 ? "e" : n == 2 ? "rb" : "eb");
}

static void makes_keys_that_we_sign_with(void **)
{
#define KEYS "/v1/domains/rossi.example/keys"
    char selector[4][64], path[200], want[300];
    for (unsigned i = 0; i < 4; i++)
        made_selector(i, selector[i]);
    fake_expect("GET", KEYS, "", 200, "\"keys\":[],\"text\":\"No keys");
    fake.look_err = ERR_IO;
    fake_expect("POST", KEYS, "", 500, "generator failed");
    fake.look_err = ERR_OK;
    snprintf(want, sizeof(want),
             "\"selector\":\"%s\",\"algorithm\":\"rsa-sha256\",\"state\":\"new\"", selector[0]);
    fake_expect("POST", KEYS, "", 201, want);
    fake_expect("GET", KEYS, "", 200, "AAA\\\" \\\"AAA"); /* cut into strings */
    snprintf(want, sizeof(want),
             "%s._domainkey.rossi.example. IN TXT ( \\\"v=DKIM1; k=ed25519; p=BBBB\\\" )",
             selector[1]);
    fake_expect("GET", KEYS, "", 200, want);
    snprintf(path, sizeof(path), KEYS "/%s/activate", selector[0]);
    fake_expect("POST", path, "", 200, "\"state\":\"active\"");
    snprintf(want, sizeof(want), "\"selector\":\"%s\"", selector[2]);
    fake_expect("POST", KEYS, "", 201, want);
    fake_expect("POST", KEYS, "", 409, "4 is the most");
    snprintf(path, sizeof(path), KEYS "/%s/activate", selector[2]); /* the other RSA key retires */
    fake_expect("POST", path, "", 200, "\"state\":\"retired\"");
    snprintf(path, sizeof(path), KEYS "/%s/retire", selector[3]);
    fake_expect("POST", path, "", 200, "\"state\":\"retired\"");
    fake_expect("POST", KEYS, "", 201, "\"state\":\"new\""); /* those two made room */
    fake_expect("POST", KEYS "/none/activate", "", 404, "no key with the selector");
    fake_expect("GET", "/v1/domains/none.example/keys", "", 404, "no domain");
#undef KEYS
}

static void keeps_selectors_of_dkim_keys(void **)
{
#define DKIM "/v1/domains/rossi.example/dkim"
    static const char long_label[] =
        "{\"selector\":\"0123456789012345678901234567890123456789012345678901234567890123\"}";
    static const struct ask asks[] = {
        {"GET", "/v1/domains/rossi.example", "", 200, "\"selectors\":[]"},
        {"POST", DKIM, "{\"selector\":\"Two\"}", 201, "\"selectors\":[\"two\"]"},
        {"POST", DKIM, "{\"selector\":\"2026_b-1.mail\"}", 201,
         "\"selectors\":[\"2026_b-1.mail\",\"two\"]"},
        {"POST", DKIM, "{\"selector\":\"TWO\"}", 409, "is watched already"},
        {"POST", DKIM, "{\"selector\":\"\"}", 400, "is not a selector"},
        {"POST", DKIM, "{\"selector\":\"a b\"}", 400, "is not a selector"},
        {"POST", DKIM, "{\"selector\":\".a\"}", 400, "is not a selector"},
        {"POST", DKIM, "{\"selector\":\"a.\"}", 400, "is not a selector"},
        {"POST", DKIM, "{\"selector\":\"a..b\"}", 400, "is not a selector"},
        {"POST", DKIM, "{\"selector\":\"a-.b\"}", 400, "is not a selector"},
        {"POST", DKIM, "{\"selector\":\"-a\"}", 400, "is not a selector"},
        {"POST", DKIM, long_label, 400, "is not a selector"},
        {"POST", DKIM, "{}", 400, "selector"},
        {"POST", "/v1/domains/none.example/dkim", "{\"selector\":\"a\"}", 404, "no domain"},
        {"GET", "/v1/domains", "", 200, "\"selectors\":[\"2026_b-1.mail\",\"two\"]"},
        {"PATCH", "/v1/domains/rossi.example", "{\"separators\":\"-\"}", 200,
         "\"selectors\":[\"2026_b-1.mail\",\"two\"]"},
        {"DELETE", DKIM "/2026_B-1.mail", "", 200, "\"selectors\":[\"two\"]"},
        {"DELETE", DKIM "/2026_b-1.mail", "", 404, "No selector"},
        {"DELETE", DKIM "/a%20b", "", 404, "No selector"},
        {"DELETE", DKIM "/two", "", 200, "\"selectors\":[]"},
        {"DELETE", "/v1/domains/none.example/dkim/two", "", 404, "no domain"},
    };
    ASK_ALL(asks);
    for (unsigned i = 0; i < 17; i++) {
        char body[40];
        (void)snprintf(body, sizeof(body), "{\"selector\":\"s%u\"}", i);
        fake_expect("POST", DKIM, body, i < 16 ? 201 : 409, i < 16 ? "\"s0\"" : "the most");
    }
#undef DKIM
}

static void keeps_primaries_sensible(void **)
{
#define PRIMARY(more) "{\"name\":\"p\",\"tenant\":\"rossi\"," more "}"
    static const struct ask asks[] = {
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[]"), 400, "is empty"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a:0\"]"), 400, "not a host to reach"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a:99999\"]"), 400, "not a host to reach"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a:\"]"), 400, "not a host to reach"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"[::1\"]"), 400, "not a host to reach"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"[::1]x\"]"), 400, "not a host to reach"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a/b\"]"), 400, "not a host to reach"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a\"],\"networks\":[\"10.0.0.0/99\"]"), 400,
         "is not a network"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a\"],\"shared\":true"), 400,
         "\\\"certificate\\\" is missing"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a\"],\"certificate\":\"abc\""), 400,
         "64 hexadecimal digits"},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a\"],\"connections\":-1"), 400,
         "whole number"},
        {"POST", "/v1/primaries",
         PRIMARY("\"hosts\":[\"[2001:db8::1]:2525\",\"::1\",\"192.0.2.1\",\"b:26\"],\"tls\":"
                 "\"verify\""),
         201,
         "\"hosts\":[\"[2001:db8::1]:2525\",\"[::1]:25\",\"192.0.2.1:25\",\"b:26\"],\"tls\":"
         "\"verify\""},
        {"POST", "/v1/primaries", PRIMARY("\"hosts\":[\"a\"]"), 409, "already"},
        {"PATCH", "/v1/primaries/p", "{\"tls\":\"never\",\"connections\":5}", 200,
         "\"tls\":\"never\",\"networks\":[],\"shared\":false,\"xclient\":false,\"connections\":5"},
        {"POST", "/v1/tenants", "{\"name\":\"verdi\"}", 201, ""},
        {"POST", "/v1/primaries",
         "{\"name\":\"exchange\",\"tenant\":\"verdi\",\"hosts\":[\"m\"],\"networks\":[\"192.0.2."
         "77\"]}",
         409, "overlaps with \\\"192.0.2.0/24\\\""},
        {"POST", "/v1/primaries",
         "{\"name\":\"exchange\",\"tenant\":\"verdi\",\"hosts\":[\"m\"],\"networks\":[\"192.0.3.0/"
         "24\"]}",
         201, ""},
        {"GET", "/v1/primaries/exchange", "", 409, "2 companies have a mail system"},
        {"GET", "/v1/queue?primary=exchange", "", 409, "2 companies have a mail system"},
        {"GET", "/v1/queue?primary=exchange&tenant=verdi", "", 200, "{\"rows\":[]}"},
        {"GET", "/v1/primaries/exchange?tenant=verdi", "", 200, "192.0.3.0/24"},
    };
    ASK_ALL(asks);
}

static void decides_about_a_primary_with_a_reason(void **)
{
    static const struct ask asks[] = {
        {"POST", "/v1/state/exchange/emergency", "", 400, "body is empty"},
        {"POST", "/v1/state/exchange/emergency", "{}", 400, "\\\"why\\\" is missing"},
        {"POST", "/v1/state/exchange/emergency", "{\"why\":\"  \"}", 400, "reason is empty"},
        {"POST", "/v1/state/lotus/emergency", "{\"why\":\"fire\"}", 404, "no mail system"},
        {"POST", "/v1/state/exchange/emergency", "{\"why\":\"fire\"}", 200,
         "\"primary\":\"exchange\""},
    };
    ASK_ALL(asks);
    assert_int_equal(fake.decided, EVIDENCE_SAY_EMERGENCY);
    assert_string_equal(fake.decided_why, "fire");
    fake_expect("POST", "/v1/state/exchange/return", "{\"why\":\"it is out\"}", 200, "state");
    assert_int_equal(fake.decided, EVIDENCE_SAY_RETURN);
}

static void reports_what_the_store_says(void **)
{
    fake.put_err = ERR_FULL;
    fake_expect("POST", "/v1/tenants", "{\"name\":\"bianchi\"}", 507,
                "The store is failing. Nothing was changed. Make room");
    fake.reader_err = ERR_CORRUPT;
    fake_expect("GET", "/v1/persons", "", 500, "store verify");
    fake_expect("GET", "/v1/queue", "", 500, "store verify");
    fake_expect("GET", "/v1/events", "", 500, "store verify");
    fake_expect("POST", "/v1/store/snapshot", "", 500, "The disk is tired.");
}

static void has_metrics_that_prometheus_accepts(void **)
{
    char path[] = "/tmp/staffetta-metrics-XXXXXX";
    static const char *const promtool[] = {"promtool", "check", "metrics", NULL};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    struct fake_reply r = fake_ask("GET", "/v1/metrics", "");
    assert_string_equal(r.type, "text/plain; version=0.0.4; charset=utf-8");
    fwrite(r.body.p, 1, r.body.n, f);
    fclose(f);
    buf_finish(&r.body);
    int status = run_program(path, promtool);
    remove(path);
    if (status == -1)
        skip();
    assert_int_equal(status, 0);
}

static void fill_watches(void)
{
    const struct directory_domain *d =
        directory_domain(fake.host.directory, SLICE("rossi.example"));
    struct admin_watch w = {.about = "domain",
                            .tenant = d->tenant,
                            .domain = d->id,
                            .name = d->facts.name,
                            .check = "mx",
                            .title = "mail exchangers (MX)",
                            .class = "alarm",
                            .rank = 3,
                            .found = "10 old.rossi.example",
                            .expected = "mx1 alone",
                            .why = "Mail goes past.",
                            .advice = "Write: \"MX\"",
                            .since = 1700000000000,
                            .looked = 1700000000000};
    fake.watches[fake.n_watches++] = w;
    w.check = "ttl";
    w.class = "ok";
    w.rank = 1;
    w.number = 3600;
    fake.watches[fake.n_watches++] = w;
    fake.watches[fake.n_watches++] = (struct admin_watch){.about = "node",
                                                          .name = SLICE("mx1.test"),
                                                          .check = "certificate",
                                                          .title = "certificate",
                                                          .class = "notice",
                                                          .rank = 2,
                                                          .number = 1800000000000,
                                                          .found = "",
                                                          .expected = "",
                                                          .why = "",
                                                          .advice = ""};
}

static void shows_what_is_watched_the_worst_first(void **)
{
    fill_watches();
    fake_expect("GET", "/v1/watches", "", 200,
                "{\"watches\":[{\"about\":\"domain\",\"name\":\"rossi.example\",\"tenant\":"
                "\"rossi\",\"check\":\"mx\"");
    fake_expect("GET", "/v1/watches", "", 200, "Write: \\\"MX\\\"");
    fake_expect("GET", "/v1/watches?class=notice", "", 200, "{\"watches\":[{\"about\":\"node\"");
    fake_expect("GET", "/v1/watches?class=nonsense", "", 400, "class");
    fake_expect("GET", "/v1/watches?about=MX1.test", "", 200, "{\"watches\":[{\"about\":\"node\"");
    fake_expect("GET", "/v1/watches?about=nothing", "", 200, "{\"watches\":[]}");
    fake_expect("GET", "/v1/watches?tenant=nobody", "", 404, "no company");
    struct fake_reply r = fake_ask("GET", "/v1/watches?tenant=rossi", "");
    assert_null(strstr(buf_cstr(&r.body), "certificate"));
    buf_finish(&r.body);
}

static void looks_at_a_domain_now(void **)
{
    fill_watches();
    fake_expect("POST", "/v1/domains/rossi.example/check", "", 200, "\"ok\":false");
    const struct directory_domain *d =
        directory_domain(fake.host.directory, SLICE("rossi.example"));
    assert_int_equal(fake.looked_at, d->id);
    fake.watches[0].class = "notice";
    fake_expect("POST", "/v1/domains/rossi.example/check", "", 200, "\"ok\":true");
    fake.look_err = ERR_RETRY;
    fake_expect("POST", "/v1/domains/rossi.example/check", "", 503, "no name could be resolved");
    fake.look_err = ERR_LIMIT;
    fake_expect("POST", "/v1/domains/rossi.example/check", "", 429, "looked at");
    fake_expect("POST", "/v1/domains/verdi.example/check", "", 404, "no domain");
    fake_expect("GET", "/v1/domains/rossi.example/check", "", 405, "POST");
}

static void has_figures_of_what_is_watched(void **)
{
    fill_watches();
    fake_expect("GET", "/v1/metrics", "", 200,
                "staffetta_watch_class{about=\"domain\",tenant=\"rossi\",name=\"rossi.example\","
                "check=\"mx\"} 3\n");
    fake_expect("GET", "/v1/metrics", "", 200,
                "staffetta_certificate_expiry_time_seconds{about=\"node\",tenant=\"\",name="
                "\"mx1.test\"} 1800000000\n");
    fake_expect("GET", "/v1/metrics", "", 200,
                "staffetta_mx_ttl_seconds{about=\"domain\",tenant=\"rossi\",name=\"rossi.example\"}"
                " 3600\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_and_shows_what_there_is, start, stop),
        cmocka_unit_test_setup_teardown(how_much_search_finds_is_said, start, stop),
        cmocka_unit_test_setup_teardown(targets_of_alerts_come_and_go, start, stop),
        cmocka_unit_test_setup_teardown(incidents_are_listed_shown_and_taken, start, stop),
        cmocka_unit_test_setup_teardown(shows_mail_and_the_ledger, start, stop),
        cmocka_unit_test_setup_teardown(says_when_the_ledger_is_off, start, stop),
        cmocka_unit_test_setup_teardown(says_when_new_mail_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(refuses_in_words_what_it_cannot_read, start, stop),
        cmocka_unit_test_setup_teardown(keeps_domains_sensible, start, stop),
        cmocka_unit_test_setup_teardown(keeps_selectors_of_dkim_keys, start, stop),
        cmocka_unit_test_setup_teardown(makes_keys_that_we_sign_with, start, stop),
        cmocka_unit_test_setup_teardown(keeps_primaries_sensible, start, stop),
        cmocka_unit_test_setup_teardown(decides_about_a_primary_with_a_reason, start, stop),
        cmocka_unit_test_setup_teardown(reports_what_the_store_says, start, stop),
        cmocka_unit_test_setup_teardown(shows_what_is_watched_the_worst_first, start, stop),
        cmocka_unit_test_setup_teardown(looks_at_a_domain_now, start, stop),
        cmocka_unit_test_setup_teardown(has_figures_of_what_is_watched, start, stop),
        cmocka_unit_test_setup_teardown(has_metrics_that_prometheus_accepts, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
