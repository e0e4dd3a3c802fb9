/* sd_notify without libsystemd; see notify.h. */
#include "daemon/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    struct sockaddr_un address;
    socklen_t n;
    int fd;
    bool has_watchdog;
} the_notify = {.fd = -1};

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET"), *watchdog = getenv("WATCHDOG_USEC"),
               *pid = getenv("WATCHDOG_PID");
    size_t n = path ? strlen(path) : 0;
    const struct timeval patience = {.tv_usec = 200000};
    uint64_t number = 0;
    bool is_for_us =
        !pid || (slice_u64(slice_str(pid), INT32_MAX, &number) && number == (uint64_t)getpid());
    the_notify.has_watchdog = watchdog && is_for_us;
    if (n > 1 && n < sizeof(the_notify.address.sun_path) && (path[0] == '/' || path[0] == '@')) {
        the_notify.address.sun_family = AF_UNIX;
        memcpy(the_notify.address.sun_path, path, n);
        if (path[0] == '@')
            the_notify.address.sun_path[0] = '\0';
        the_notify.n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        the_notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        (void)setsockopt(the_notify.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    }
    (void)unsetenv("NOTIFY_SOCKET"), (void)unsetenv("WATCHDOG_USEC"),
        (void)unsetenv("WATCHDOG_PID");
}

static void say(int flags, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void say(int flags, const char *format, va_list args)
{
    char text[512];
    if (the_notify.fd < 0)
        return;
    int n = vsnprintf(text, sizeof(text), format, args);
    must(n >= 0);
    if ((size_t)n >= sizeof(text))
        n = (int)sizeof(text) - 1;
    (void)!sendto(the_notify.fd, text, (size_t)n, flags | MSG_NOSIGNAL,
                  (const struct sockaddr *)&the_notify.address, the_notify.n);
}

void notify(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(MSG_DONTWAIT, format, args);
    va_end(args);
}

void notify_surely(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(0, format, args);
    va_end(args);
}

bool notify_has_watchdog(void)
{
    return the_notify.fd >= 0 && the_notify.has_watchdog;
}
