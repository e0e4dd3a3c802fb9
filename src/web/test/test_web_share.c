/* Counts over several doors: what each has adds up, goes with it, and is what a door judges by. */
#include "web/share.h"
#include "web/test/fake_core.h"

#include <setjmp.h>
#include <cmocka.h>

#define GET(path)                                                                                  \
    "GET " path " HTTP/1.1\r\nHost: mail.example.test\r\nAuthorization: Bearer x\r\n\r\n"

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage a;
    assert_true(net_address_parse(slice_str(text), 0, &a));
    return a;
}

static void doors_count_together(void **)
{
    void *memory = mem_new(WEB_SHARED_BYTES);
    struct share *one = web_share_create(memory, 0);
    struct share *last = web_share_create(memory, WEB_DOORS_MAX - 1);
    assert_int_equal(web_share_total(one, SHARE_BYTES, (uint64_t)5 << 32), (uint64_t)5 << 32);
    assert_int_equal(web_share_total(last, SHARE_BYTES, 2), ((uint64_t)5 << 32) + 2);
    assert_int_equal(web_share_total(last, SHARE_CONNS, 1), 1);
    assert_int_equal(web_share_total(one, SHARE_BYTES, 0), 2);
    struct share_slot *here = web_share_of_person(one, 7), *there = web_share_of_person(last, 7);
    assert_int_equal(web_share_enter(one, here), 1);
    assert_int_equal(web_share_enter(last, there), 2);
    assert_int_equal(web_share_count(here), 2);
    web_share_leave(one, here);
    assert_int_equal(web_share_count(there), 1);
    web_share_destroy(&one);
    web_share_destroy(&last);
    mem_free(&memory);
}

static void a_door_that_starts_again_has_nothing_and_the_others_keep_theirs(void **)
{
    void *memory = mem_new(WEB_SHARED_BYTES);
    struct share *dead = web_share_create(memory, 0), *other = web_share_create(memory, 1);
    const struct sockaddr_storage from = address("192.0.2.1");
    struct share_slot *slot = web_share_of_address(dead, SHARE_CONN, &from);
    (void)web_share_enter(dead, slot);
    (void)web_share_enter(dead, slot);
    (void)web_share_enter(other, web_share_of_address(other, SHARE_CONN, &from));
    (void)web_share_total(dead, SHARE_REQUESTS, 9);
    (void)web_share_total(other, SHARE_REQUESTS, 4);
    web_share_destroy(&dead); /* its memory stays, as after a kill */
    struct share *fresh = web_share_create(memory, 0);
    assert_int_equal(web_share_count(web_share_of_address(fresh, SHARE_CONN, &from)), 1);
    assert_int_equal(web_share_total(fresh, SHARE_REQUESTS, 0), 4);
    web_share_destroy(&fresh);
    web_share_destroy(&other);
    mem_free(&memory);
}

static void addresses_are_told_apart_as_subscribers(void **)
{
    struct share *s = web_share_create(NULL, 0);
    const struct sockaddr_storage four = address("192.0.2.1"), neighbour = address("192.0.2.2"),
                                  six = address("2001:db8:1:2::3"),
                                  same = address("2001:db8:1:2::4"),
                                  other = address("2001:db8:1:3::3");
    (void)web_share_enter(s, web_share_of_address(s, SHARE_CONN, &four));
    assert_int_equal(web_share_count(web_share_of_address(s, SHARE_REQUEST, &four)), 0);
    assert_int_equal(web_share_count(web_share_of_address(s, SHARE_CONN, &neighbour)), 0);
    (void)web_share_enter(s, web_share_of_address(s, SHARE_CONN, &six));
    assert_int_equal(web_share_count(web_share_of_address(s, SHARE_CONN, &same)), 1);
    assert_int_equal(web_share_count(web_share_of_address(s, SHARE_CONN, &other)), 0);
    web_share_destroy(&s);
}

/* ---- a door among others ---- */

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(fake.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5},
                                sizeof(struct timeval)),
                     0);
    return fd;
}

/* The status of the answer; 0: hung up without one. */
static int ask(int fd, const char *request)
{
    char text[4000];
    int status = 0;
    (void)!send(fd, request, strlen(request), MSG_NOSIGNAL);
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    (void)sscanf(text, "HTTP/1.1 %d", &status);
    return status;
}

static int ask_once(const char *request)
{
    SCOPED(fd_close) int fd = dial();
    return ask(fd, request);
}

/* What was answered counts for a moment longer. */
static void wait_for_count(const struct share_slot *slot, uint64_t n)
{
    for (int i = 0; i < 2000 && web_share_count(slot) != n; i++)
        usleep(5000);
    assert_int_equal(web_share_count(slot), n);
}

static void a_door_judges_by_what_all_doors_have(void **)
{
    const struct web_people people = {.n_conns_max = 100,
                                      .n_conns_per_address = 50,
                                      .n_requests_per_address = 3,
                                      .n_streams_per_person = 2};
    const struct sockaddr_storage we = address("127.0.0.1");
    fake_shared = mem_new(WEB_SHARED_BYTES);
    struct share *other = web_share_create(fake_shared, 1);
    struct share_slot *requests = web_share_of_address(other, SHARE_REQUEST, &we),
                      *conns = web_share_of_address(other, SHARE_CONN, &we),
                      *streams = web_share_of_person(other, FAKE_PERSON);
    fake_begin(&people);
    for (int i = 0; i < 3; i++) {
        (void)web_share_enter(other, requests);
        (void)web_share_enter(other, streams);
    }
    assert_int_equal(ask_once(GET("/jmap/session")), 429);
    wait_for_count(requests, 3);
    web_share_leave(other, requests);
    assert_int_equal(ask_once(GET("/jmap/session")), 200);
    wait_for_count(requests, 2);
    assert_int_equal(ask_once(GET("/jmap/eventsource/")), 429);
    for (int i = 0; i < 1000 && atomic_load(&fake.n_unwatched) == 0; i++)
        usleep(5000);
    assert_int_equal(atomic_load(&fake.n_unwatched), 1); /* core tells nobody who is not there */
    web_share_leave(other, streams);
    web_share_leave(other, streams);
    wait_for_count(requests, 2);
    SCOPED(fd_close) int stream = dial();
    assert_int_equal(ask(stream, GET("/jmap/eventsource/")), 200);
    assert_int_equal(web_share_count(streams), 2);
    for (int i = 0; i < 50; i++)
        (void)web_share_enter(other, conns);
    assert_int_equal(ask_once(GET("/jmap/session")), 0);
    for (int i = 0; i < 50; i++)
        web_share_leave(other, conns);
    assert_int_equal(ask_once(GET("/jmap/session")), 200);
    (void)web_share_total(other, SHARE_CONNS, 100);
    assert_int_equal(ask_once(GET("/jmap/session")), 0);
    web_share_destroy(&other);
}

#define UPLOAD                                                                                     \
    "POST /jmap/upload/A1/ HTTP/1.1\r\nHost: mail.example.test\r\nAuthorization: Bearer x\r\n"     \
    "Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n"

static void small_ones_find_room_where_large_ones_have_to_wait(void **)
{
    const struct web_people people = {.n_bytes_max = 80 << 20, .n_bytes_per_address = 60 << 20};
    const struct sockaddr_storage we = address("127.0.0.1");
    fake_shared = mem_new(WEB_SHARED_BYTES);
    struct share *other = web_share_create(fake_shared, 1);
    struct share_slot *ours = web_share_of_address(other, SHARE_KIB, &we);
    fake_begin(&people);
    static const struct {
        uint32_t n_all, n_ours; /* KiB that another door has */
        int upload, session;
    } rows[] = {
        {0, 0, 100, 200},
        {69 << 10, 59 << 10, 100, 200},
        {70 << 10, 59 << 10, 503, 200},
        {69 << 10, 60 << 10, 429, 200},
        {80 << 10, 59 << 10, 503, 503},
    };
    uint32_t before = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)web_share_total(other, SHARE_BYTES, (uint64_t)rows[i].n_all * 1024);
        web_share_move(other, ours, before, rows[i].n_ours);
        before = rows[i].n_ours;
        assert_int_equal(ask_once(UPLOAD), rows[i].upload);
        assert_int_equal(ask_once(GET("/jmap/session")), rows[i].session);
    }
    web_share_destroy(&other);
}

static int end(void **)
{
    fake_end();
    mem_free(&fake_shared);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doors_count_together),
        cmocka_unit_test(a_door_that_starts_again_has_nothing_and_the_others_keep_theirs),
        cmocka_unit_test(addresses_are_told_apart_as_subscribers),
        cmocka_unit_test_teardown(a_door_judges_by_what_all_doors_have, end),
        cmocka_unit_test_teardown(small_ones_find_room_where_large_ones_have_to_wait, end),
    };
    log_init("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
