/* Command lines against a node that plays back answers: what is asked, what is shown, exit codes.
 */
#include "cli/cli.h"

#include "cli/cli_int.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- a node that answers what the test says ---- */

struct play {
    const char *request; /* "GET /v1/tenants" */
    int status;
    const char *answer;
};

static struct {
    pthread_t thread;
    int fd;
    char socket[108];
    const struct play *plays;
    size_t n_plays;
    char asked[10][4000]; /* "POST /v1/tenants {...}" */
    size_t n_asked;
} node;

static void answer(int fd, const char *request)
{
    char head[200];
    const struct play nothing = {"", 404,
                                 "{\"status\":404,\"title\":\"t\",\"detail\":\"no play\"}"};
    const struct play *p = &nothing;
    for (size_t i = 0; i < node.n_plays; i++)
        if (strncmp(request, node.plays[i].request, strlen(node.plays[i].request)) == 0)
            p = &node.plays[i];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", p->status,
                     strlen(p->answer));
    (void)!send(fd, head, (size_t)n, MSG_NOSIGNAL);
    (void)!send(fd, p->answer, strlen(p->answer), MSG_NOSIGNAL);
}

static void serve(int fd)
{
    static char in[1 << 20];
    size_t n = 0, need = 0;
    char *body = NULL;
    while (!body || n < need) {
        ssize_t got = recv(fd, in + n, sizeof(in) - n - 1, 0);
        if (got <= 0)
            return;
        n += (size_t)got;
        in[n] = '\0';
        body = strstr(in, "\r\n\r\n");
        const char *length = strcasestr(in, "\r\nContent-Length: ");
        if (body)
            need = (size_t)(body - in) + 4 + (length ? strtoul(length + 18, NULL, 10) : 0);
    }
    char *end = strstr(in, " HTTP/1.1");
    snprintf(node.asked[node.n_asked % 10], sizeof(node.asked[0]), "%.*s %s", (int)(end - in), in,
             body + 4);
    char *asked = node.asked[node.n_asked++ % 10];
    size_t last = strlen(asked);
    if (last > 0 && asked[last - 1] == ' ')
        asked[last - 1] = '\0';
    answer(fd, asked);
}

static void *run_node(void *)
{
    for (;;) {
        int fd = accept(node.fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        serve(fd);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}

static int start_node(void **)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(node.socket, sizeof(node.socket), "/tmp/staffetta-cli-%d.sock", (int)getpid());
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", node.socket);
    unlink(node.socket);
    node.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(node.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(node.fd, 10), 0);
    assert_int_equal(pthread_create(&node.thread, NULL, run_node, NULL), 0);
    setenv("STAFFETTA_SOCKET", node.socket, 1);
    return 0;
}

static int stop_node(void **)
{
    shutdown(node.fd, SHUT_RDWR);
    pthread_join(node.thread, NULL);
    close(node.fd);
    unlink(node.socket);
    return 0;
}

/* ---- a run of the command line ---- */

struct run {
    int code;
    char out[20000], err[8000];
};

static int catch (int fd, int *ret_saved)
{
    char path[] = "/tmp/staffetta-cli-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    *ret_saved = dup(fd);
    dup2(file, fd);
    return file;
}

static void release(int fd, int saved, int file, char *ret, size_t max)
{
    dup2(saved, fd);
    close(saved);
    ssize_t n = pread(file, ret, max - 1, 0);
    ret[n > 0 ? n : 0] = '\0';
    close(file);
}

/* `line`: words separated by one blank; "_" in a word stands for a blank. */
static void run(struct run *r, const char *line)
{
    static char name[] = "staffetta";
    char words[2000], *argv[40] = {name};
    int argc = 1, saved[2], files[2];
    snprintf(words, sizeof(words), "%s", line);
    for (char *at = words, *word; (word = strsep(&at, " "));) {
        if (word[0])
            argv[argc++] = word;
        for (char *c = word; *c; c++)
            *c = *c == '_' ? ' ' : *c;
    }
    node.n_asked = 0;
    fflush(stdout);
    files[0] = catch (STDOUT_FILENO, &saved[0]);
    files[1] = catch (STDERR_FILENO, &saved[1]);
    r->code = cli_main(argc, argv);
    fflush(stdout);
    release(STDOUT_FILENO, saved[0], files[0], r->out, sizeof(r->out));
    release(STDERR_FILENO, saved[1], files[1], r->err, sizeof(r->err));
}

static void play(const struct play *plays, size_t n)
{
    node.plays = plays;
    node.n_plays = n;
}
#define PLAY(...)                                                                                  \
    static const struct play plays[] = {__VA_ARGS__};                                              \
    play(plays, sizeof(plays) / sizeof(plays[0]))

static void expect(const char *line, int code, const char *asked, const char *out)
{
    struct run r;
    run(&r, line);
    if (r.code != code || (asked && strcmp(node.asked[0], asked) != 0) || strcmp(r.out, out) != 0)
        fail_msg("%s\nexit %d, expected %d\nasked %s\nexpected %s\n--- shown\n%s--- expected\n%s"
                 "--- stderr\n%s",
                 line, r.code, code, node.n_asked ? node.asked[0] : "", asked, r.out, out, r.err);
}

static void expect_error(const char *line, int code, const char *part)
{
    struct run r;
    run(&r, line);
    if (r.code != code || !strstr(r.err, part))
        fail_msg("%s\nexit %d, expected %d\n--- stderr\n%s--- expected part\n%s", line, r.code,
                 code, r.err, part);
}

/* ---- tests ---- */

static void sends_what_the_words_say(void **)
{
    static const struct {
        const char *line, *asked;
    } rows[] = {
        {"tenant add rossi", "POST /v1/tenants {\"name\":\"rossi\"}"},
        {"tenant show Rossi_&_figli", "GET /v1/tenants/Rossi%20%26%20figli"},
        {"domain add rossi.example --tenant rossi --primary exchange --no-cut-through",
         "POST /v1/domains {\"name\":\"rossi.example\",\"tenant\":\"rossi\",\"primary\":"
         "\"exchange\",\"cut_through\":false}"},
        {"domain set rossi.example --catch-all= --cut-through",
         "PATCH /v1/domains/rossi.example {\"catch_all\":\"\",\"cut_through\":true}"},
        {"dkim add rossi.example selector1",
         "POST /v1/domains/rossi.example/dkim {\"selector\":\"selector1\"}"},
        {"dkim remove rossi.example selector1", "DELETE /v1/domains/rossi.example/dkim/selector1"},
        {"dkim list --tenant rossi", "GET /v1/domains?tenant=rossi"},
        {"dkim show rossi.example", "GET /v1/domains/rossi.example/keys"},
        {"dkim create rossi.example", "POST /v1/domains/rossi.example/keys"},
        {"dkim activate rossi.example sf1r", "POST /v1/domains/rossi.example/keys/sf1r/activate"},
        {"dkim retire rossi.example sf1r", "POST /v1/domains/rossi.example/keys/sf1r/retire"},
        {"primary add exchange --tenant rossi --host a:25 --host b --network 192.0.2.0/24 "
         "--connections 5",
         "POST /v1/primaries "
         "{\"name\":\"exchange\",\"tenant\":\"rossi\",\"hosts\":[\"a:25\",\"b\"],"
         "\"networks\":[\"192.0.2.0/24\"],\"connections\":5}"},
        {"primary set exchange --tenant rossi --tls verify",
         "PATCH /v1/primaries/exchange?tenant=rossi {\"tls\":\"verify\"}"},
        {"primary check exchange --tenant rossi", "POST /v1/primaries/exchange/check?tenant=rossi"},
        {"person add anna@rossi.example --name Anna_Rossi --alias a@rossi.example --relayed",
         "POST /v1/persons {\"address\":\"anna@rossi.example\",\"name\":\"Anna Rossi\",\"aliases\":"
         "[\"a@rossi.example\"],\"covered\":false}"},
        {"person set anna@rossi.example --alias= --no-essential",
         "PATCH /v1/persons/anna%40rossi.example {\"aliases\":[],\"essential\":false}"},
        {"person remove anna@rossi.example", "DELETE /v1/persons/anna%40rossi.example"},
        {"person code anna@rossi.example", "POST /v1/persons/anna%40rossi.example/code"},
        {"person password anna@rossi.example --generate",
         "POST /v1/persons/anna%40rossi.example/password {\"generate\":true}"},
        {"person logout anna@rossi.example", "POST /v1/persons/anna%40rossi.example/logout"},
        {"person token list anna@rossi.example", "GET /v1/persons/anna%40rossi.example/tokens"},
        {"person token add anna@rossi.example Phone_2",
         "POST /v1/persons/anna%40rossi.example/tokens {\"name\":\"Phone 2\"}"},
        {"person token remove anna@rossi.example Phone_2",
         "DELETE /v1/persons/anna%40rossi.example/tokens/Phone%202"},
        {"person list --match anna --limit 5", "GET /v1/persons?match=anna&limit=5"},
        {"group add all@rossi.example --member a@b.example --member c@b.example",
         "POST /v1/groups {\"address\":\"all@rossi.example\",\"members\":[\"a@b.example\","
         "\"c@b.example\"]}"},
        {"state maintenance exchange --until 2026-11-20T10:00:00+09:00 --why disks",
         "POST /v1/state/exchange/maintenance "
         "{\"until\":\"2026-11-20T10:00:00+09:00\",\"why\":\"disks\"}"},
        {"state emergency exchange --why it_burns",
         "POST /v1/state/exchange/emergency {\"why\":\"it burns\"}"},
        {"state", "GET /v1/state"},
        {"queue list --disposition delivered", "GET /v1/queue?disposition=delivered"},
        {"queue hold aaaaaaaaaaa7i --why because",
         "POST /v1/queue/aaaaaaaaaaa7i/order {\"order\":\"hold\",\"why\":\"because\"}"},
        {"queue remove aaaaaaaaaaa7i/3 --why because",
         "POST /v1/queue/aaaaaaaaaaa7i/order "
         "{\"order\":\"remove\",\"why\":\"because\",\"rcpt\":3}"},
        {"hold", "GET /v1/queue?disposition=held"},
        {"hold list --tenant rossi", "GET /v1/queue?disposition=held&tenant=rossi"},
        {"trace anna@rossi.example --since 2026-11-21T08:30:00Z",
         "GET /v1/trace?what=anna%40rossi.example&since=2026-11-21T08%3A30%3A00Z"},
        {"trace --since 2026-11-21", "GET /v1/trace?since=2026-11-21T00%3A00%3A00.000Z"},
        {"events --limit=3", "GET /v1/events?limit=3"},
        {"--json tenant add -- --odd", "POST /v1/tenants {\"name\":\"--odd\"}"},
    };
    PLAY({"", 200, "{}"});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        run(&r, rows[i].line);
        assert_string_equal(node.asked[0], rows[i].asked);
    }
}

static void shows_tables_and_lines(void **)
{
    PLAY(
        {"GET /v1/tenants", 200,
         "{\"tenants\":[{\"name\":\"rossi\",\"domains\":1,\"primaries\":1,\"persons\":120,"
         "\"groups\":0,\"complete_at\":\"2026-11-21T21:40:00.123Z\"},{\"name\":\"bià\",\"domains\":"
         "12,\"primaries\":1,\"persons\":2,\"groups\":0}]}"},
        {"GET /v1/domains", 200, "{\"domains\":[]}"},
        {"GET /v1/store", 200,
         "{\"ok\":true,\"disk_free_bytes\":1610612736,\"disk_total_bytes\":512,\"batches\":7}"},
        {"GET /v1/queue", 200,
         "{\"rows\":[{\"message\":\"aaaaaaaaaaa7i\",\"rcpt\":0,\"received\":"
         "\"2026-11-21T21:40:00Z\",\"from\":\"\",\"to\":\"anna@rossi.example\",\"disposition\":"
         "\"waiting\",\"attempts\":2,\"text\":\"4.3.1 evil \\u001b[31m \\u202e \\u0085 words that "
         "go on and on and on until nobody reads them any more\"}],\"next\":\"aaaaaaaaaaa7i\"}"});
    expect("tenant list", 0, "GET /v1/tenants",
           "Name   Domains  Mail systems  People  Groups  List complete\n"
           "rossi        1             1     120       0  2026-11-21 21:40:00\n"
           "bià         12             1       2       0  -\n");
    expect("domain", 0, "GET /v1/domains",
           "No domains yet: staffetta domain add NAME --tenant COMPANY --primary NAME\n");
    expect("store show", 0, "GET /v1/store",
           "Works      yes\nDisk free  1.5 GiB\nDisk size  512 bytes\nBatches    7\n");
    expect("queue list", 0, "GET /v1/queue",
           "Message        #  Received             From  To                  Fate     Try  Next  "
           "Said last\n"
           "aaaaaaaaaaa7i  0  2026-11-21 21:40:00  -     anna@rossi.example  waiting    2  -     "
           "4.3.1 evil ?[31m ? ? words that go on and on and on until nobody "
           "reads them any more\n"
           "There is more: --after aaaaaaaaaaa7i\n");
    expect(
        "tenant list --json", 0, "GET /v1/tenants",
        "{\"tenants\":[{\"name\":\"rossi\",\"domains\":1,\"primaries\":1,\"persons\":120,"
        "\"groups\":0,\"complete_at\":\"2026-11-21T21:40:00.123Z\"},{\"name\":\"bià\",\"domains\":"
        "12,\"primaries\":1,\"persons\":2,\"groups\":0}]}\n");
}

#define MESSAGE                                                                                    \
    "{\"message\":\"aaaaaaaaaaa7i\",\"received\":\"2026-11-21T21:40:00Z\",\"direction\":\"in\","   \
    "\"from\":\"bob@example.org\",\"bytes\":4096,\"encrypted\":true,\"answered\":true,"            \
    "\"dropped\":false,\"subject\":\"Offer\",\"rows\":[{\"rcpt\":0,\"to\":\"anna@rossi.example\"," \
    "\"disposition\":\"waiting\",\"attempts\":1,\"due\":\"2026-11-21T21:45:00Z\"}],\"history\":["  \
    "{\"time\":\"2026-11-21T21:40:01Z\",\"what\":\"ended\",\"rcpt\":0,\"disposition\":"            \
    "\"waiting\","                                                                                 \
    "\"code\":451,\"text\":\"not now\"}]}"

static void shows_messages_from_arrival_to_fate(void **)
{
    static const char shown[] =
        "Message         aaaaaaaaaaa7i\nReceived        2026-11-21 21:40:00\n"
        "Direction       in\nFrom            bob@example.org\nSubject         Offer\n"
        "Size            4.0 KiB\nEncrypted       yes\nSender knows    yes\n"
        "Bytes given up  no\n\n"
        "#  To                  Fate     Mail system  Try  Next                 Why  Said last\n"
        "0  anna@rossi.example  waiting  -              1  2026-11-21 21:45:00  -    -\n\n"
        "Time                 What   #  To  Fate     Code  By  Text\n"
        "2026-11-21 21:40:01  ended  0  -   waiting   451  -   not now\n";
    char both[3000];
    PLAY({"GET /v1/queue/aaaaaaaaaaa7i", 200, MESSAGE},
         {"GET /v1/queue/aaaaaaaaaaa7i/why", 200,
          "{\"message\":\"aaaaaaaaaaa7i\",\"waiting\":true,\"text\":\"exchange rests\"}"},
         {"GET /v1/trace", 200, "{\"messages\":[" MESSAGE "],\"more\":true}"},
         {"GET /v1/trace?what=nothing", 200, "{\"messages\":[],\"more\":false}"});
    snprintf(both, sizeof(both), "%s\nWaits because  exchange rests\n", shown);
    expect("queue show aaaaaaaaaaa7i", 0, "GET /v1/queue/aaaaaaaaaaa7i", both);
    snprintf(both, sizeof(both), "%s\nThere are more: use --limit, or a shorter time.\n", shown);
    expect("trace bob@example.org", 0, "GET /v1/trace?what=bob%40example.org", both);
    expect("trace nothing", 1, "GET /v1/trace?what=nothing",
           "No message was found. Try a part of the subject, only the domain, or more time.\n");
}

static void tells_the_statement_of_an_emergency(void **)
{
    PLAY({"GET /v1/episodes?limit=1", 200, "{\"episodes\":[],\"more\":false}"},
         {"GET /v1/episodes?limit=1&primary=exchange", 200,
          "{\"episodes\":[{\"id\":\"abc\"}],\"more\":true}"},
         {"GET /v1/episodes/abc/report", 200,
          "{\"proved\":true,\"text\":[\"STATEMENT\",\"\",\"  evil \xe2\x80\xae text\"]}"},
         {"GET /v1/episodes/off/report", 200, "{\"proved\":false,\"text\":[\"NOT EQUAL\"]}"},
         {"GET /v1/episodes/abc/messages?limit=1000", 200,
          "{\"rows\":[{\"message\":\"a\"},{\"message\":\"b\"}],\"next\":\"b\"}"},
         {"GET /v1/episodes/abc/messages?limit=1000&after=b", 200,
          "{\"rows\":[{\"message\":\"c\"}]}"});
    struct run r;
    run(&r, "state report exchange");
    if (r.code != EXIT_FINE)
        fail_msg("%s%s", r.out, r.err);
    assert_non_null(strstr(r.out, "STATEMENT\n\n"));
    assert_null(strstr(r.out, "\xe2\x80\xae")); /* no mark that turns the writing direction */
    expect("state report --episode off", EXIT_FAILED, "GET /v1/episodes/off/report", "NOT EQUAL\n");
    expect("state report exchange --messages", EXIT_FINE,
           "GET /v1/episodes?limit=1&primary=exchange",
           "{\"message\":\"a\"}\n{\"message\":\"b\"}\n{\"message\":\"c\"}\n");
    run(&r, "state report");
    assert_int_equal(r.code, EXIT_FAILED);
    assert_non_null(strstr(r.err, "There was no emergency yet"));
}

static void shows_times_of_the_company_that_is_spoken_of(void **)
{
    PLAY({"GET /v1/episodes", 200,
          "{\"episodes\":[{\"id\":\"abc\",\"primary\":\"exchange\",\"tenant\":\"rossi\",\"zone\":"
          "\"Europe/Rome\",\"emergency\":\"2027-01-15T08:00:00.000Z\",\"seconds\":60,"
          "\"deaths\":0,\"over\":false}],\"more\":false}"},
         {"GET /v1/state/exchange/preview", 200,
          "{\"primary\":\"exchange\",\"zone\":\"Asia/Kathmandu\",\"text\":\"1 message\","
          "\"mailboxes\":[{\"address\":\"a@b.c\",\"essential\":true,\"recipients\":1,\"held\":0,"
          "\"bytes\":9,\"oldest\":\"2027-01-15T08:00:00.000Z\"}],\"n_mailboxes\":1}"});
    if (access("/usr/share/zoneinfo/Europe/Rome", R_OK) != 0)
        skip(); /* a machine without time zones */
    expect(
        "state history", 0, "GET /v1/episodes",
        "Id   Mail system  Company  First failure  Emergency                   Giving back  End  "
        "Seconds  Failed again  Over\n"
        "abc  exchange     rossi    -              2027-01-15 09:00:00 +01:00  -            -    "
        "     60             0  no\n");
    expect("state preview exchange", 0, "GET /v1/state/exchange/preview",
           "Giving back  1 message\n\n"
           "Mailbox  Essential  Messages  Held     Size  Oldest\n"
           "a@b.c    yes               1     0  9 bytes  2027-01-15 13:45:00 +05:45\n");
}

static void fails_when_a_check_fails(void **)
{
    PLAY(
        {"GET /v1/ledger", 200,
         "{\"balanced\":false,\"text\":\"It does NOT add up.\",\"tenants\":[]}"},
        {"POST /v1/primaries/a/check", 200,
         "{\"primary\":\"a\",\"checks\":[],\"ok\":false,\"text\":\"dead\"}"},
        {"POST /v1/primaries/b/check", 200,
         "{\"primary\":\"b\",\"checks\":[],\"ok\":true,\"text\":\"well\"}"},
        {"POST /v1/queue/aaaaaaaaaaa7i/order", 200,
         "{\"message\":\"aaaaaaaaaaa7i\",\"done\":1,\"rows\":[{\"rcpt\":0,\"done\":true},{\"rcpt\":"
         "1,\"done\":false,\"text\":\"it is delivered\"}]}"});
    expect("ledger", 1, "GET /v1/ledger",
           "Verdict  It does NOT add up.\n\nCompany by company\n"
           "No companies yet.\n");
    expect("ledger --json", 1, "GET /v1/ledger",
           "{\"balanced\":false,\"text\":\"It does NOT add up.\",\"tenants\":[]}\n");
    expect(
        "primary check a", 1, "POST /v1/primaries/a/check",
        "Mail system  a\nWell         no\nSeen         dead\n\nThe way back\nNothing was tried.\n");
    expect("primary check b", 0, "POST /v1/primaries/b/check",
           "Mail system  b\nWell         yes\nSeen         well\n\nThe way back\nNothing was "
           "tried.\n");
    expect("queue retry aaaaaaaaaaa7i --why x", 1, NULL,
           "Message          aaaaaaaaaaa7i\nRecipients done  1\n\n#  Done  Why not\n"
           "0  yes   -\n1  no    it is delivered\n");
}

#define MX_WRONG                                                                                   \
    "{\"about\":\"domain\",\"name\":\"r.example\",\"check\":\"mx\",\"title\":"                     \
    "\"mail exchangers (MX)\",\"class\":\"alarm\",\"found\":\"10 old\",\"expected\":\"us\","       \
    "\"why\":\"Mail goes past.\",\"advice\":\"Write it.\",\"stale\":false}"
#define TTL_NOTICE                                                                                 \
    "{\"about\":\"domain\",\"name\":\"r.example\",\"check\":\"ttl\",\"title\":\"TTL\","            \
    "\"class\":\"notice\",\"found\":\"86400\",\"expected\":\"3600\",\"why\":\"Long.\","            \
    "\"advice\":\"Lower it.\",\"stale\":true}"
#define SPF_WELL                                                                                   \
    "{\"about\":\"domain\",\"name\":\"r.example\",\"check\":\"spf\",\"title\":\"SPF\","            \
    "\"class\":\"ok\",\"found\":\"fine\",\"stale\":false}"

#define DKIM_UNKNOWN                                                                               \
    "{\"about\":\"domain\",\"name\":\"r.example\",\"check\":\"dkim\",\"title\":\"DKIM keys\","     \
    "\"class\":\"unknown\",\"found\":\"no selector is known\",\"stale\":true}"

static void shows_findings_in_words(void **)
{
    PLAY({"POST /v1/domains/r.example/check", 200,
          "{\"ok\":false,\"watches\":[" MX_WRONG "," TTL_NOTICE "]}"},
         {"POST /v1/domains/s.example/check", 200,
          "{\"ok\":true,\"watches\":[" SPF_WELL "," DKIM_UNKNOWN "]}"},
         {"GET /v1/watches?about=r.example", 200, "{\"watches\":[" SPF_WELL "]}"},
         {"GET /v1/watches?about=x", 200, "{\"watches\":[]}"},
         {"GET /v1/watches?class=alarm", 200, "{\"watches\":[" MX_WRONG "]}"});
    expect("domain check r.example", 1, "POST /v1/domains/r.example/check",
           "Check     mail exchangers (MX)\nVerdict   alarm\nAbout     r.example\n"
           "Found     10 old\nExpected  us\nWhy       Mail goes past.\nDo        Write it.\n\n"
           "Check     TTL\nVerdict   notice\nAbout     r.example\nFound     86400\n"
           "Expected  3600\nWhy       Long.\nDo        Lower it.\n"
           "The last look had no answer for this.\n");
    expect("domain check s.example", 0, "POST /v1/domains/s.example/check",
           "Check    SPF\nVerdict  ok\nAbout    r.example\nFound    fine\n\n"
           "Check    DKIM keys\nVerdict  unknown\nAbout    r.example\n"
           "Found    no selector is known\n");
    expect("watch show r.example", 0, "GET /v1/watches?about=r.example",
           "Check    SPF\nVerdict  ok\nAbout    r.example\nFound    fine\n");
    expect("watch show x", 1, "GET /v1/watches?about=x",
           "Nothing is watched by that name, or it was not looked at yet. `staffetta watch list` "
           "shows all.\n");
    expect("watch list --class alarm", 0, "GET /v1/watches?class=alarm",
           "Verdict  About   Name       Check  Since  Found\n"
           "alarm    domain  r.example  mx     -      10 old\n");
}

static void checks_everything(void **)
{
    PLAY({"GET /v1/status", 200,
          "{\"open\":true,\"text\":\"New mail is taken.\",\"disk_alarm_percent\":60,"
          "\"search\":{\"complete\":false,\"text\":\"Some is found.\"},"
          "\"store\":{\"ok\":true,"
          "\"disk_free_bytes\":50,\"disk_total_bytes\":100}}"},
         {"GET /v1/primaries", 200, "{\"primaries\":[{\"name\":\"a\",\"tenant\":\"rossi\"}]}"},
         {"POST /v1/primaries/a/check?tenant=rossi", 200, "{\"ok\":false,\"text\":\"dead\"}"},
         {"GET /v1/tenants", 200, "{\"tenants\":[{\"name\":\"rossi\",\"complete_at\":\"x\"}]}"},
         {"GET /v1/domains", 200, "{\"domains\":[{\"name\":\"r.example\",\"form\":\"inline\"}]}"},
         {"GET /v1/watches", 200, "{\"watches\":[" MX_WRONG "," TTL_NOTICE "," SPF_WELL "]}"},
         {"GET /v1/ledger", 200, "{\"balanced\":true,\"text\":\"Everything adds up.\"}"});
    expect("check", 1, "GET /v1/status",
           "ok    new mail: New mail is taken.\n"
           "ok    store: Changes are written and synced.\n"
           "note  search: Some is found.\n"
           "FAIL  disk: 50 % of the disk are free; the alarm comes below 60 %.\n"
           "FAIL  a: dead\n"
           "ok    rossi: Its list of people is complete.\n"
           "FAIL  r.example: mail exchangers (MX): 10 old. Mail goes past. Write it.\n"
           "note  r.example: TTL: 86400. Long. Lower it.\n"
           "ok    watches: 1 of 3 are well.\n"
           "ok    ledger: Everything adds up.\n");
    struct run r;
    run(&r, "check --json");
    assert_int_equal(r.code, 1);
    assert_non_null(strstr(r.out, "{\"result\":\"FAIL\",\"what\":\"a\",\"text\":\"dead\"}"));
}

static void says_what_happened_and_what_to_do(void **)
{
    PLAY({"GET /v1/tenants/x", 404,
          "{\"status\":404,\"title\":\"Not found\",\"detail\":\"There is no company.\"}"},
         {"POST /v1/tenants", 400,
          "{\"status\":400,\"title\":\"Not understood\",\"detail\":\"A name.\"}"},
         {"GET /v1/status", 200, "<html>"});
    expect_error("tenant show x", 1, "staffetta: There is no company.\n");
    expect_error("tenant add x", 2, "staffetta: A name.\n");
    expect_error("status", 1, "the answer is not JSON");
    expect("tenant show x --json", 1, NULL,
           "{\"status\":404,\"title\":\"Not found\",\"detail\":\"There is no company.\"}\n");
    expect_error("status --socket /tmp/staffetta-none", 1,
                 "there is no socket /tmp/staffetta-none: no node runs here, or it has another "
                 "socket. Nothing was done. Start it (systemctl start staffetta)");
}

static void refuses_wrong_use_without_asking(void **)
{
    static const struct {
        const char *line, *part;
    } rows[] = {
        {"", "staffetta tenant add NAME"},
        {"dance", "there is no command \"dance\""},
        {"tenant dance", "tenant has no command \"dance\". Nothing was done. It has:\n"
                         "staffetta tenant list"},
        {"tenant add",
         "NAME is missing. Nothing was done. This is how:\nstaffetta tenant add NAME"},
        {"tenant add a b", "\"b\" is one word too many"},
        {"tenant add a --tenant b", "--tenant is not known here"},
        {"tenant add a -x", "-x is not known here"},
        {"domain add a", "--tenant NAME is missing"},
        {"primary add a --tenant t", "--host HOST:PORT is missing"},
        {"primary add a --tenant t --host h --connections many", "must be a number"},
        {"primary add a --tenant t --host", "--host needs a value"},
        {"domain add a --tenant t --cut-through=yes", "--cut-through takes no value"},
        {"domain add a --no-tenant", "--no-tenant is not known here"},
        {"state emergency a", "--why TEXT is missing"},
        {"state maintenance a --until tomorrow --why x", "is not a time"},
        {"queue hold", "ID[/RCPT] is missing"},
        {"queue hold a/b --why c", "is not ID or ID/RCPT"},
        {"trace --since tomorrow", "\"tomorrow\" is not a time"},
        {"status --socket", "--socket needs a path"},
        {"person import /nowhere/people.csv", "/nowhere/people.csv cannot be read: No such file"},
    };
    PLAY({"", 200, "{}"});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_error(rows[i].line, 2, rows[i].part);
        assert_int_equal(node.n_asked, 0);
    }
}

static void explains_itself(void **)
{
    struct run r;
    run(&r, "help");
    assert_int_equal(r.code, 0);
    assert_non_null(strstr(r.out, "staffetta trace [WHAT] [--tenant NAME] [--since TIME]"));
    run(&r, "help queue");
    assert_null(strstr(r.out, "staffetta tenant"));
    assert_non_null(strstr(r.out, "staffetta queue hold ID[/RCPT] --why TEXT\n"));
    run(&r, "queue hold --help");
    assert_int_equal(r.code, 0);
    assert_non_null(strstr(r.out, "Do nothing with it until a person decides."));
}

static void reads_people_from_csv_and_json(void **)
{
    static const struct {
        const char *text, *people;
    } rows[] = {
        {"\xef\xbb\xbf"
         "address,name,aliases,kind\r\n# a note\r\n\r\n"
         "anna@r.example, Anna Rossi ,a@r.example; ar@r.example,covered\r\n"
         "luca@r.example,\"Rossi, \"\"Luca\"\"\",,relayed\n"
         "eva@r.example",
         "[{\"address\":\"anna@r.example\",\"name\":\"Anna Rossi\",\"aliases\":[\"a@r.example\","
         "\"ar@r.example\"],\"covered\":true},{\"address\":\"luca@r.example\",\"name\":\"Rossi, "
         "\\\"Luca\\\"\",\"aliases\":[],\"covered\":false},{\"address\":\"eva@r.example\"}]"},
        {" [{\"address\":\"a@r.example\"}]", "[{\"address\":\"a@r.example\"}]"},
        {"{\"persons\":[]}", "[]"},
        {"", "[]"},
        {"anna@r.example,Anna,,covered,more", NULL},
        {"anna@r.example,\"Anna", NULL},
        {"anna@r.example,\"Anna\"x", NULL},
        {"anna@r.example,,,perhaps", NULL},
        {",Anna,,", NULL},
        {"anna@r.example,\xff,,", NULL},
        {"[{\"address\":", NULL},
        {"{\"people\":[]}", NULL},
    };
    int saved;
    char err[8000];
    int file = catch (STDERR_FILENO, &saved);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *people = people_parse("people.csv", slice_str(rows[i].text));
        char *text = people ? json_dumps(people, JSON_COMPACT) : NULL;
        if (rows[i].people)
            assert_string_equal(text, rows[i].people);
        else
            assert_null(people);
        free(text);
        json_decref(people);
    }
    release(STDERR_FILENO, saved, file, err, sizeof(err));
    assert_non_null(strstr(err, "people.csv, line 1 cannot be used: the fourth field must be"));
}

static void imports_into_the_only_company(void **)
{
    char path[] = "/tmp/staffetta-people-XXXXXX", line[100];
    int fd = mkstemp(path);
    assert_true(write(fd, "a@r.example\n", 12) == 12);
    close(fd);
    PLAY({"GET /v1/tenants", 200, "{\"tenants\":[{\"name\":\"rossi\"}]}"},
         {"POST /v1/persons/import", 200,
          "{\"added\":1,\"changed\":0,\"unchanged\":0,\"removed\":0}"});
    snprintf(line, sizeof(line), "person import %s --complete", path);
    expect(line, 0, "GET /v1/tenants", "Added      1\nChanged    0\nUnchanged  0\nRemoved    0\n");
    assert_string_equal(node.asked[1],
                        "POST /v1/persons/import {\"tenant\":\"rossi\",\"persons\":[{\"address\":"
                        "\"a@r.example\"}],\"complete\":true,\"force\":false}");
    static const struct play two[] = {
        {"GET /v1/tenants", 200, "{\"tenants\":[{\"name\":\"rossi\"},{\"name\":\"verdi\"}]}"}};
    play(two, 1);
    expect_error(line, 1, "there are 2 companies: say which one with --tenant NAME");
    unlink(path);
}

static void understands_times_of_this_place(void **)
{
    char text[40];
    utc_ms now = 1795296600000; /* 2026-11-21T21:30:00Z */
    static const struct {
        const char *given, *utc;
    } rows[] = {
        {"90m", "2026-11-21T20:00:00.000Z"},
        {"3d", "2026-11-18T21:30:00.000Z"},
        {"+2h", "2026-11-21T23:30:00.000Z"},
        {"08:30", "2026-11-21T07:30:00.000Z"},
        {"2026-11-20", "2026-11-19T23:00:00.000Z"},
        {"2026-11-20 10:00", "2026-11-20T09:00:00.000Z"},
        {"2026-11-20T10:00:00+09:00", "2026-11-20T10:00:00+09:00"},
        {"soon", NULL},
        {"5y", NULL},
    };
    setenv("TZ", "CET-1", 1);
    tzset();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(time_parse(rows[i].given, now, text), rows[i].utc != NULL);
        if (rows[i].utc)
            assert_string_equal(text, rows[i].utc);
    }
    setenv("TZ", "UTC", 1);
    tzset();
}

static void run_with_input(struct run *r, const char *line, const char *input)
{
    char path[] = "/tmp/staffetta-cli-XXXXXX";
    int file = mkstemp(path), saved = dup(STDIN_FILENO);
    assert_true(file >= 0);
    unlink(path);
    assert_int_equal(pwrite(file, input, strlen(input), 0), strlen(input));
    dup2(file, STDIN_FILENO);
    clearerr(stdin);
    __fpurge(stdin); /* what it had read ahead */
    assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_SET), 0);
    run(r, line);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(file);
}

/* It is no word of the command line, where everybody on the machine could read it. */
static void takes_a_password_from_standard_input(void **)
{
    static const struct {
        const char *input, *asked; /* NULL: nothing */
    } rows[] = {
        {"correct horse\n", "POST /v1/persons/a%40b.example/password "
                            "{\"password\":\"correct horse\"}"},
        {"correct horse\r\nmore\n", "POST /v1/persons/a%40b.example/password "
                                    "{\"password\":\"correct horse\"}"},
        {"no line end", "POST /v1/persons/a%40b.example/password {\"password\":\"no line end\"}"},
        {"", NULL},
        {"\n", NULL},
        {"\xff\xff\xff\xff\n", NULL},
    };
    PLAY({"", 200, "{\"address\":\"a@b.example\",\"password\":\"made-up\",\"text\":\"Good.\"}"});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        run_with_input(&r, "person password a@b.example", rows[i].input);
        assert_int_equal(r.code, rows[i].asked ? 0 : 2);
        assert_int_equal(node.n_asked, rows[i].asked ? 1 : 0);
        if (rows[i].asked)
            assert_string_equal(node.asked[0], rows[i].asked);
    }
    struct run r;
    run(&r, "person password a@b.example --generate");
    assert_non_null(strstr(r.out, "made-up"));
    run(&r, "help person");
    assert_non_null(strstr(r.out, "staffetta person token add ADDRESS NAME\n"));
    expect_error("person token", 2, "ADDRESS is missing");
    expect_error("person token dance", 2, "person token has no command \"dance\"");
}

static void has_a_manual_page_of_the_same_commands(void **)
{
    SCOPED(buf_finish) struct buf fresh = buf_make(1 << 20);
    SCOPED(buf_finish) struct buf kept = buf_make(1 << 20);
    static const char path[] = TEST_DATA "/../../docs/man/staffetta.1";
    cli_manual(&fresh);
    if (getenv("STAFFETTA_WRITE_DOCS")) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fwrite(fresh.p, 1, fresh.n, f);
        fclose(f);
    }
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *room = buf_room(&kept, 1 << 19);
    buf_clear(&kept);
    size_t n = fread(room, 1, 1 << 19, f);
    fclose(f);
    /* Differs: staffetta help --man > docs/man/staffetta.1 */
    assert_true(slice_eq(slice_of(room, n), buf_slice(&fresh)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_the_words_say),
        cmocka_unit_test(shows_tables_and_lines),
        cmocka_unit_test(shows_messages_from_arrival_to_fate),
        cmocka_unit_test(tells_the_statement_of_an_emergency),
        cmocka_unit_test(shows_times_of_the_company_that_is_spoken_of),
        cmocka_unit_test(fails_when_a_check_fails),
        cmocka_unit_test(shows_findings_in_words),
        cmocka_unit_test(checks_everything),
        cmocka_unit_test(says_what_happened_and_what_to_do),
        cmocka_unit_test(refuses_wrong_use_without_asking),
        cmocka_unit_test(explains_itself),
        cmocka_unit_test(reads_people_from_csv_and_json),
        cmocka_unit_test(imports_into_the_only_company),
        cmocka_unit_test(understands_times_of_this_place),
        cmocka_unit_test(takes_a_password_from_standard_input),
        cmocka_unit_test(has_a_manual_page_of_the_same_commands),
    };
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, start_node, stop_node);
}
