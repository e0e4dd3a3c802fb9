/* Addresses of push resources, as far as their text says something. */
#include "push/push.h"

/* A user name before '@' would be sent as a password, or hide the host from who reads it. */
static bool is_host(struct slice authority)
{
    if (authority.n == 0 || authority.p[0] == ':')
        return false;
    for (size_t i = 0; i < authority.n; i++)
        if (strchr("@\\\"<>^`{|}", authority.p[i]))
            return false;
    return true;
}

const char *push_url_fault(struct slice url)
{
    static const struct slice scheme = SLICE("https://");
    size_t n = 0;
    if (url.n > PUSH_URL_MAX)
        return "longer than 1000 bytes";
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] > '~')
            return "an address has no spaces and no letters but ASCII's; escape them";
    if (!slice_istarts(url, scheme))
        return "it must begin with https://";
    struct slice rest = slice_skip(url, scheme.n);
    while (n < rest.n && !strchr("/?#", rest.p[n]))
        n++;
    if (!is_host(slice_of(rest.p, n)))
        return "there is no host in it, or a user name";
    if (slice_find(rest, '#') >= 0)
        return "a fragment leads nowhere";
    return NULL;
}
