/* For tests of people's side of the door: a client that writes requests as texts and looks for
 * texts in what it hears. */
#ifndef WEB_TEST_PEOPLE_KIT_H
#define WEB_TEST_PEOPLE_KIT_H

#include "web/test/fake_core.h"

#include <poll.h>
#include <setjmp.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define GOOD "Authorization: Bearer good\r\n"
#define CLOSING " HTTP/1.1\r\nHost: mail.example.test\r\nConnection: close\r\n"
#define WATCHING " HTTP/1.1\r\nHost: mail.example.test\r\n" GOOD "\r\n"
#define STATE "{\"@type\":\"StateChange\",\"changed\":{\"A1\":{\"Email\":\"5\"}}}"

static inline int end(void **)
{
    fake_end();
    return 0;
}

static struct buf heard; /* of the last request */

static inline int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(fake.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads until the peer closes or `until` was seen; a minute at most: machines may be slow. */
static inline void hear(int fd, const char *until)
{
    static char bytes[65536];
    size_t searched = 0;
    for (mono_us end_at = mono_now() + SECONDS(60); mono_now() < end_at;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (until && strstr(buf_cstr(&heard) + searched, until))
            return;
        searched = until && heard.n > strlen(until) ? heard.n - strlen(until) : 0;
        if (poll(&p, 1, 50) <= 0)
            continue;
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            break;
        buf_add(&heard, bytes, (size_t)n);
    }
    if (until)
        fail_msg("expected %s, heard: %.900s", until, buf_cstr(&heard));
}

static inline void forget(void)
{
    buf_finish(&heard);
    heard = buf_make(64 << 20);
}

static inline void expect_heard(const char *part)
{
    if (!strstr(buf_cstr(&heard), part))
        fail_msg("expected %s, heard: %.900s", part, buf_cstr(&heard));
}

static inline void expect(const char *request, const char *status, const char *part)
{
    int fd = dial();
    forget();
    say(fd, request);
    hear(fd, NULL);
    close(fd);
    expect_heard(status);
    expect_heard(part);
}

static inline void wait_for(_Atomic unsigned *what, unsigned n)
{
    for (int i = 0; i < 5000 && atomic_load(what) < n; i++)
        usleep(1000);
    assert_int_equal(atomic_load(what), n);
}

/* Since it was asked last. The server takes the counts too, once a second, for core. */
static inline uint64_t n_refused(enum refuse_id id)
{
    static struct refuse_count counts[REFUSE_N];
    (void)refuse_take_counts(counts);
    return counts[id].n + atomic_exchange(&fake.refused[id], 0);
}

/* A count may be on its way to core. */
static inline void expect_refused(enum refuse_id id, uint64_t n)
{
    uint64_t found = n_refused(id);
    for (int i = 0; i < 30 && found < n; i++) {
        usleep(5000);
        found += n_refused(id);
    }
    assert_int_equal(found, n);
}

static inline void *send_bytes(void *arg)
{
    static char bytes[65536];
    int fd = *(int *)arg;
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    buf_addf(&b, "POST /jmap/upload/A1/" CLOSING GOOD "Content-Length: %d\r\n\r\n", 40 << 20);
    say(fd, buf_cstr(&b));
    for (size_t sent = 0; sent < 40 << 20;) {
        ssize_t n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    return NULL;
}

static inline void pause_core(void *)
{
    net_link_pause(fake.core, true);
}

static inline void go_on(void *)
{
    net_link_pause(fake.core, false);
}

#endif
