/* The web server of a policy: a TLS server of the test that plays what it answers, one connection a
 * row; where a fetch may lead; our own certificate. */
#include "base/refuse.h"
#include "liaison/domains_int.h"
#include "liaison/hook.h"
#include "net/net.h"

#include <signal.h>
#include <sys/eventfd.h>

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "courier/test/fake_server.h"

#define HOST "mta-sts.rossi.test"
#define ASKED                                                                                      \
    "t|<GET /.well-known/mta-sts.txt HTTP/1.1|<Host: mta-sts.rossi.test|<User-Agent: "             \
    "Staffetta/|<Accept: text/plain|<\r\n|"
#define OK "HTTP/1.1 200 OK\nContent-Type: text/plain\n"

static struct {
    SSL_CTX *good, *other_name, *unknown;
    struct buf good_pem, other_pem, unknown_pem;
    courier_policy policy;
    struct courier_network network;
    /* what the resolver says */
    unsigned char four[4];
    bool is_dead, has_no_address;
    unsigned n_not_fresh;
} here;

static enum err resolve(void *, const struct ipc_name_ask *q, mono_us, struct arena *a,
                        struct ipc_name_told *ret)
{
    static const char sts[] = "\x16v=STSv1; id=20260101a;";
    *ret = (struct ipc_name_told){.status = IPC_NAME_NO_DATA};
    here.n_not_fresh += !q->is_fresh;
    if (here.is_dead)
        return ERR_RETRY;
    bool is_web = slice_eq(q->name, SLICE(HOST)) && q->type == WATCH_TYPE_A && !here.has_no_address;
    bool is_text = slice_eq(q->name, SLICE("_mta-sts.rossi.test")) && q->type == WATCH_TYPE_TXT;
    if (!is_web && !is_text)
        return ERR_OK;
    ret->status = IPC_NAME_OK;
    ret->records = ARENA_NEW(a, struct ipc_name_record);
    ret->records[0].data = is_text ? slice_of(sts, sizeof(sts) - 1)
                                   : arena_copy(a, slice_of((const char *)here.four, 4));
    ret->n_records = 1;
    return ERR_OK;
}

static void fetch(uint16_t port, mono_us timeout, struct arena *a, struct watch_page *ret)
{
    struct domains_page page = {HOST, ".well-known/mta-sts.txt", port};
    domains_fetch(&here.network, mono_now() + timeout, &page, a, ret);
}

static void expect(const char *row, const struct watch_page *page, enum watch_fetch status,
                   const char *part)
{
    if (page->status != status || !strstr(page->why, part))
        fail_msg("%s: %u \"%s\", not %u with \"%s\"", row, page->status, page->why, status, part);
}

/* One fetch from a server with this certificate that plays this script. */
static void play(SSL_CTX *tls, const char *script, mono_us timeout, struct arena *a,
                 struct watch_page *ret)
{
    const char *scripts[] = {script, NULL};
    struct fake_server s;
    memcpy(here.four, "\x7f\0\0\1", 4);
    fake_start(&s, scripts, tls);
    fetch(s.port, timeout, a, ret);
    fake_stop(&s);
    assert_string_equal(s.fault, "");
}

static void a_policy_is_text_that_a_proved_server_gives(void **)
{
    static const struct {
        const char *name, *script;
        enum watch_fetch status;
        const char *part; /* of the text, or of why not */
    } rows[] = {
        {"good", ASKED ">" OK "Content-Length: 5\n\nhello", WATCH_FETCH_OK, "hello"},
        {"until it closes", ASKED ">" OK "\nhello\nyou\n", WATCH_FETCH_OK, "hello\r\nyou\r\n"},
        {"empty", ASKED ">" OK "Content-Length: 0\n\n", WATCH_FETCH_OK, ""},
        {"parameters",
         ASKED ">HTTP/1.1 200 OK\nContent-Type: Text/Plain ; charset=utf-8\nContent-Length: 1\n\nx",
         WATCH_FETCH_OK, "x"},
        {"a web page", ASKED ">HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 1\n\nx",
         WATCH_FETCH_FAILED, "calls it text/html, not text/plain"},
        {"something like it",
         ASKED ">HTTP/1.1 200 OK\nContent-Type: text/plainer\nContent-Length: 1\n\nx",
         WATCH_FETCH_FAILED, "text/plainer"},
        {"no type", ASKED ">HTTP/1.1 200 OK\nContent-Length: 1\n\nx", WATCH_FETCH_FAILED,
         "calls it nothing at all"},
        {"not there", ASKED ">HTTP/1.1 404 No\nContent-Type: text/plain\nContent-Length: 1\n\nx",
         WATCH_FETCH_FAILED, "answers 404, not 200"},
        {"no content", ASKED ">HTTP/1.1 204 No\nContent-Type: text/plain\n\n", WATCH_FETCH_FAILED,
         "204"},
        {"redirect",
         ASKED ">HTTP/1.1 301 Moved\nLocation: https://rossi.test/x\nContent-Length: 0\n\n",
         WATCH_FETCH_FAILED, "answers 301, and redirects are not followed"},
        {"endless", ASKED ">" OK "\n|rhello hello hello\n", WATCH_FETCH_FAILED,
         "longer than 64 KiB"},
        {"endless header", ASKED ">" OK "|rX: hello hello hello\n", WATCH_FETCH_FAILED, ""},
        {"cut short", ASKED ">" OK "Content-Length: 50\n\nhello", WATCH_FETCH_FAILED, ""},
        {"no HTTP", ASKED ">220 mail.rossi.test ESMTP\n", WATCH_FETCH_FAILED, ""},
        {"no TLS", ">220 mail.rossi.test ESMTP\n|q", WATCH_FETCH_FAILED, ""},
        {"reset", "!", WATCH_FETCH_FAILED, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        struct watch_page page;
        play(here.good, rows[i].script, SECONDS(5), a, &page);
        if (rows[i].status == WATCH_FETCH_OK) {
            expect(rows[i].name, &page, WATCH_FETCH_OK, "");
            assert_true(slice_eq(page.text, slice_str(rows[i].part)));
        } else {
            expect(rows[i].name, &page, rows[i].status, rows[i].part);
            assert_string_not_equal(page.why, "");
            assert_int_equal(page.text.n, 0);
        }
    }
}

static void the_ceiling_is_exact(void **)
{
    for (size_t more = 0; more < 2; more++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        SCOPED(buf_finish) struct buf b = buf_make(200000);
        struct watch_page page;
        buf_adds(&b, SLICE(ASKED ">" OK "Connection: close\n\n"));
        for (size_t i = 0; i < WATCH_PAGE_MAX + more; i++)
            buf_addc(&b, 'x');
        play(here.good, buf_cstr(&b), SECONDS(5), a, &page);
        expect("size", &page, more ? WATCH_FETCH_FAILED : WATCH_FETCH_OK, more ? "64 KiB" : "");
        assert_int_equal(page.text.n, more ? 0 : WATCH_PAGE_MAX);
    }
}

static void the_certificate_has_to_be_for_that_host_and_vouched_for(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct watch_page page;
    play(here.other_name, ASKED ">" OK "\nhello", SECONDS(5), a, &page);
    expect("another name", &page, WATCH_FETCH_FAILED, HOST);
    play(here.unknown, ASKED ">" OK "\nhello", SECONDS(5), a, &page);
    expect("nobody knows it", &page, WATCH_FETCH_FAILED, "certificate");
}

static void who_is_too_slow_has_no_policy(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct watch_page page;
    mono_us begun = mono_now();
    play(here.good, ASKED "q", MILLISECONDS(300), a, &page);
    expect("silent", &page, WATCH_FETCH_FAILED, "timed out");
    assert_true(mono_now() - begun < SECONDS(3));
}

static void what_is_ours_is_told_as_ours(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct watch_page page;
    here.is_dead = true;
    fetch(443, SECONDS(1), a, &page);
    expect("resolver", &page, WATCH_FETCH_OURS, "");
    here.is_dead = false;
    here.has_no_address = true;
    fetch(443, SECONDS(1), a, &page);
    expect("no address", &page, WATCH_FETCH_FAILED, HOST " has no address");
    here.has_no_address = false;
    memcpy(here.four, "\x7f\0\0\1", 4);
    fetch(1, SECONDS(1), a, &page);
    expect("nobody listens", &page, WATCH_FETCH_FAILED, "connect");
    here.network.cancel_fd = eventfd(1, EFD_CLOEXEC);
    play(here.good, "q", SECONDS(30), a, &page);
    expect("stopping", &page, WATCH_FETCH_OURS, "");
    fd_close(&here.network.cancel_fd);
}

static void nobodys_inside_is_reached(void **)
{
    static const struct net_policy open_world = {.has_internet = true};
    static struct net_network ten;
    static const struct net_policy listed = {.has_internet = true, .allowed = &ten, .n_allowed = 1};
    static struct refuse_count counts[REFUSE_N];
    static const struct {
        const char *name, *four;
        const struct net_policy *policy;
        enum watch_fetch status;
        const char *part;
    } rows[] = {
        {"outside without the Internet", "\x08\x08\x08\x08", NULL, WATCH_FETCH_OURS,
         "network.internet is false"},
        {"private without the Internet", "\x0a\0\0\1", NULL, WATCH_FETCH_OURS, "private networks"},
        {"loopback with the Internet", "\x7f\0\0\1", &open_world, WATCH_FETCH_OURS,
         "private networks"},
        {"private", "\x0a\0\0\1", &open_world, WATCH_FETCH_OURS, HOST " (10.0.0.1): policies"},
        {"of a cloud", "\xa9\xfe\xa9\xfe", &open_world, WATCH_FETCH_OURS, "private networks"},
        {"nobody", "\0\0\0\0", &open_world, WATCH_FETCH_FAILED, "nobody's address"},
        {"listed", "\x7f\0\0\1", &listed, WATCH_FETCH_FAILED, "connect"},
    };
    assert_true(net_network_parse(SLICE("127.0.0.0/8"), &ten));
    (void)refuse_take_counts(counts);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        struct watch_page page;
        memcpy(here.four, rows[i].four, 4);
        atomic_store(&here.policy, rows[i].policy);
        fetch(1, SECONDS(1), a, &page);
        expect(rows[i].name, &page, rows[i].status, rows[i].part);
    }
    atomic_store(&here.policy, NULL);
    assert_true(refuse_take_counts(counts));
    assert_int_equal(counts[REFUSE_POLICY_INSIDE].n, 4);
    assert_int_equal(counts[REFUSE_OUTSIDE].n, 0); /* nobody wanted it */
    assert_int_equal(counts[REFUSE_HOOK_INSIDE].n, 0);
}

/* ---- a whole look ---------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    unsigned n;
    uint8_t class;
    char found[WATCH_FOUND_MAX + 1], why[WATCH_TEXT_MAX + 1];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static void on_done(void *, uint64_t, const struct ipc_domain_seen *s)
{
    pthread_mutex_lock(&seen.lock);
    seen.n++;
    for (uint32_t i = 0; i < s->n_findings; i++)
        if (s->findings[i].check == WATCH_STS) {
            seen.class = s->findings[i].class;
            (void)snprintf(seen.found, sizeof(seen.found), SLICE_FMT,
                           SLICE_ARG(s->findings[i].found));
            (void)snprintf(seen.why, sizeof(seen.why), SLICE_FMT, SLICE_ARG(s->findings[i].why));
        }
    pthread_cond_broadcast(&seen.came);
    pthread_mutex_unlock(&seen.lock);
}

static struct liaison_domains *start(uint16_t port)
{
    static const struct watch_node node = {.name = {"mx1.staffetta.test", 18}};
    struct liaison_domains_options o = {
        .threads = 1, .looks = 2, .https = port, .network = here.network, .done = on_done};
    struct ipc_domain_look look = {.domain = 7, .name = SLICE("rossi.test"), .form = WATCH_INLINE};
    struct liaison_domains *d = liaison_domains_create(&o);
    seen.n = 0;
    liaison_domains_node(d, &node);
    liaison_domains_look(d, 1, &look);
    return d;
}

static void a_look_fetches_and_judges_it(void **)
{
    static const char *const scripts[] = {
        ASKED ">" OK "\nversion: STSv1\nmode: enforce\nmx: mail.rossi.test\nmax_age: 604800\n",
        NULL};
    struct fake_server s;
    memcpy(here.four, "\x7f\0\0\1", 4);
    fake_start(&s, scripts, here.good);
    here.n_not_fresh = 0;
    struct liaison_domains *d = start(s.port);
    pthread_mutex_lock(&seen.lock);
    while (seen.n == 0)
        pthread_cond_wait(&seen.came, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
    liaison_domains_destroy(&d);
    fake_stop(&s);
    assert_int_equal(seen.class, WATCH_ALARM);
    assert_string_equal(seen.found, "mode enforce for 7 days, mx mail.rossi.test");
    assert_non_null(strstr(seen.why, "refuse to deliver to mx1.staffetta.test"));
    assert_int_equal(here.n_not_fresh, 0);
}

static void who_stops_does_not_wait_for_a_web_server(void **)
{
    static const char *const scripts[] = {"q", NULL};
    struct fake_server s;
    memcpy(here.four, "\x7f\0\0\1", 4);
    fake_start(&s, scripts, here.good);
    struct liaison_domains *d = start(s.port);
    mono_us begun = mono_now();
    while (s.n_connections == 0 && mono_now() - begun < SECONDS(5))
        usleep(1000);
    begun = mono_now();
    liaison_domains_destroy(&d);
    assert_true(mono_now() - begun < SECONDS(3));
    assert_int_equal(seen.class, WATCH_UNKNOWN);
    fake_stop(&s);
}

/* ---- our own certificate --------------------------------------------------------------------- */

static void our_certificate_is_vouched_for_or_not(void **)
{
    SCOPED(buf_finish) struct buf both = buf_make(100000);
    assert_int_equal(liaison_domains_vouched(buf_slice(&here.good_pem)), WATCH_VOUCHED_YES);
    assert_int_equal(liaison_domains_vouched(buf_slice(&here.unknown_pem)), WATCH_VOUCHED_NO);
    buf_adds(&both, buf_slice(&here.unknown_pem));
    buf_adds(&both, buf_slice(&here.good_pem));
    assert_int_equal(liaison_domains_vouched(buf_slice(&both)), WATCH_VOUCHED_NO);
    assert_int_equal(liaison_domains_vouched(SLICE("")), WATCH_VOUCHED_UNKNOWN);
    assert_int_equal(liaison_domains_vouched(SLICE("hello")), WATCH_VOUCHED_UNKNOWN);
}

/* The last: nothing is fetched afterwards. */
static void without_authorities_nothing_is_judged(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct watch_page page;
    liaison_domains_prepare(SLICE(""));
    fetch(443, SECONDS(1), a, &page);
    expect("none", &page, WATCH_FETCH_OURS, "ca-certificates");
    assert_int_equal(liaison_domains_vouched(buf_slice(&here.good_pem)), WATCH_VOUCHED_UNKNOWN);
}

static int prepare(void **)
{
    SCOPED(buf_finish) struct buf all = buf_make(100000);
    here.good = fake_tls(HOST, &here.good_pem);
    here.other_name = fake_tls("rossi.test", &here.other_pem);
    here.unknown = fake_tls(HOST, &here.unknown_pem);
    buf_adds(&all, buf_slice(&here.good_pem));
    buf_adds(&all, buf_slice(&here.other_pem));
    liaison_domains_prepare(buf_slice(&all));
    here.network = (struct courier_network){.hostname = "mx1.staffetta.test",
                                            .policy = &here.policy,
                                            .timeouts = courier_timeouts_usual(),
                                            .resolve = resolve,
                                            .cancel_fd = -1};
    return 0;
}

static int finish(void **)
{
    SSL_CTX_free(here.good);
    SSL_CTX_free(here.other_name);
    SSL_CTX_free(here.unknown);
    buf_finish(&here.good_pem);
    buf_finish(&here.other_pem);
    buf_finish(&here.unknown_pem);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_is_text_that_a_proved_server_gives),
        cmocka_unit_test(the_ceiling_is_exact),
        cmocka_unit_test(the_certificate_has_to_be_for_that_host_and_vouched_for),
        cmocka_unit_test(who_is_too_slow_has_no_policy),
        cmocka_unit_test(what_is_ours_is_told_as_ours),
        cmocka_unit_test(nobodys_inside_is_reached),
        cmocka_unit_test(a_look_fetches_and_judges_it),
        cmocka_unit_test(who_stops_does_not_wait_for_a_web_server),
        cmocka_unit_test(our_certificate_is_vouched_for_or_not),
        cmocka_unit_test(without_authorities_nothing_is_judged),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, prepare, finish);
}
