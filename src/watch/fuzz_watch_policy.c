/* An MTA-STS policy of a stranger: whatever is in it, reading ends, and what it names is in it. */
#include "watch/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size), rest = text, mx;
    struct watch_policy policy;
    size_t n = 0;
    const char *fault = watch_policy_read(text, &policy);
    while (watch_policy_mx(&rest, &mx)) {
        must(mx.p >= text.p && mx.p + mx.n <= text.p + text.n && mx.n > 0);
        char host[300];
        bool is_star = mx.p[0] == '*';
        if (fault || mx.n + 2 > sizeof(host))
            continue;
        memcpy(host, mx.p, mx.n);
        host[mx.n] = '\0';
        host[0] = is_star ? 'x' : host[0];
        must(watch_policy_covers(&policy, host));
        n++;
    }
    must(fault || size <= WATCH_PAGE_MAX);
    must(fault || policy.mode == WATCH_MODE_NONE || n > 0);
    return 0;
}
