/* Words to systemd when nobody reads them. */
#include "daemon/notify.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static int listener = -1;

static void listen_at_no_file(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char name[64];
    int n = snprintf(name, sizeof(name), "@test-notify-%d", (int)getpid());
    memcpy(a.sun_path + 1, name + 1, (size_t)n); /* the first byte stays NUL: no file */
    listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(bind(listener, (struct sockaddr *)&a,
              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)) == 0);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_open();
}

static void who_does_not_read_delays_no_status_and_gets_ready_all_the_same(void **)
{
    char text[512];
    listen_at_no_file();
    mono_us start = mono_now();
    for (int i = 0; i < 10000; i++) /* more than any queue takes */
        notify("STATUS=%d", i);
    /* Waiting once would already take 0.2 s, and there are thousands that do not fit. */
    assert_true(mono_now() - start < SECONDS(10));
    start = mono_now();
    notify_surely("READY=1");
    assert_true(mono_now() - start >= MILLISECONDS(100));
    while (recv(listener, text, sizeof(text), 0) > 0)
        continue;
    notify_surely("READY=1");
    assert_int_equal(recv(listener, text, sizeof(text), 0), strlen("READY=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_read_delays_no_status_and_gets_ready_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
