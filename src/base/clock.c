/* Clocks, random bytes, digests of the simple kind. */
#include "base.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

mono_us mono_now(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (mono_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

utc_ms utc_now(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_REALTIME, &t) == 0);
    return (utc_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct utc_text utc_rfc3339(utc_ms ms)
{
    struct utc_text text;
    struct tm tm;
    time_t sec = (time_t)(ms / 1000);
    if (!gmtime_r(&sec, &tm) || tm.tm_year > 8099) {
        snprintf(text.s, sizeof(text.s), "0000-00-00T00:00:00.000Z");
        return text;
    }
    size_t n = strftime(text.s, sizeof(text.s), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text.s + n, sizeof(text.s) - n, ".%03dZ", (int)(ms % 1000));
    return text;
}

struct utc_text utc_rfc5322(utc_ms ms)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct utc_text text = {""};
    struct tm tm = {0};
    time_t sec = (time_t)(ms / 1000);
    if (gmtime_r(&sec, &tm))
        snprintf(text.s, sizeof(text.s), "%s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
    return text;
}

void random_bytes(void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        must(got > 0);
        at += got;
        n -= (size_t)got;
    }
}

void base32_text(const void *p, size_t n, char *ret)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    const unsigned char *bytes = p;
    unsigned hold = 0;
    int bits = 0;
    for (size_t i = 0; i < n; i++) {
        hold = (hold << 8 | bytes[i]) & 0xffff;
        for (bits += 8; bits >= 5; bits -= 5)
            *ret++ = digits[hold >> (bits - 5) & 31];
    }
    if (bits > 0)
        *ret++ = digits[hold << (5 - bits) & 31];
    *ret = '\0';
}
