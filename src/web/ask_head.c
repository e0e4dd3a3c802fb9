/* What headers of requests say: by which name we are called, our cookie, who is behind a proxy;
 * and which part of core's news an event stream wants. */
#include "web/ask_int.h"

#include <jansson.h>

/* ---- Host ---- */

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_host_byte(ascii_lower(name.p[i])))
            return false;
    return name.n > 0 && name.n <= 253 && name.p[0] != '.' && name.p[0] != '-';
}

static bool is_six(struct slice text)
{
    struct sockaddr_storage address;
    return net_address_parse(text, 0, &address) && address.ss_family == AF_INET6;
}

bool web_ask_host(struct slice host, struct buf *ret)
{
    struct slice port, name = host;
    uint64_t number = 1;
    if (host.n > 0 && host.p[0] == '[') {
        name = slice_cut(slice_skip(host, 1), ']', &port);
        if (!is_six(name) || name.n + 1 == host.n || (port.n > 0 && port.p[0] != ':'))
            return false;
        port = slice_skip(port, 1);
        name = slice_of(host.p, name.n + 2);
    } else {
        name = slice_cut(host, ':', &port);
        if (!is_name(name))
            return false;
    }
    if (name.n < host.n && (!slice_u64(port, 65535, &number) || number == 0))
        return false;
    for (size_t i = 0; i < host.n; i++)
        buf_addc(ret, ascii_lower(host.p[i]));
    return !ret->failed;
}

/* ---- cookies ---- */

struct slice web_ask_cookie(struct slice header, const char *name)
{
    while (header.n > 0) {
        struct slice value, pair = slice_trim(slice_cut(header, ';', &header));
        if (slice_eq(slice_cut(pair, '=', &value), slice_str(name)))
            return value;
    }
    return SLICE("");
}

bool web_ask_cookie_is_clean(struct slice value)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] > '~' || strchr("\",;\\", value.p[i]))
            return false;
    return value.n > 0;
}

/* ---- proxies ---- */

bool web_ask_is_proxy(const struct web_people *p, const struct sockaddr_storage *address)
{
    for (unsigned i = 0; i < p->n_proxies; i++)
        if (net_network_holds(&p->proxies[i], address))
            return true;
    return false;
}

/* From the end: each proxy adds whom it saw. What stands before the first stranger, that stranger
 * may have written. */
struct sockaddr_storage web_ask_client(const struct web_people *p, struct slice forwarded,
                                       const struct sockaddr_storage *peer)
{
    struct sockaddr_storage client = *peer;
    while (forwarded.n > 0 && web_ask_is_proxy(p, &client)) {
        size_t at = forwarded.n;
        while (at > 0 && forwarded.p[at - 1] != ',')
            at--;
        struct sockaddr_storage before;
        if (!net_address_parse(slice_trim(slice_skip(forwarded, at)), 0, &before))
            break;
        client = before;
        forwarded.n = at > 0 ? at - 1 : 0;
    }
    return client;
}

/* ---- state changes ---- */

static bool is_wanted(const char *types, const char *type)
{
    struct slice rest = slice_str(types);
    while (rest.n > 0)
        if (slice_eq(slice_cut(rest, ',', &rest), slice_str(type)))
            return true;
    return types[0] == '\0';
}

/* Of each account what is wanted. */
static json_t *cut(json_t *changed, const char *types)
{
    json_t *kept = json_object(), *states, *state;
    const char *account, *type;
    json_object_foreach(changed, account, states)
    {
        json_t *some = json_object();
        json_object_foreach(states, type, state)
        {
            if (is_wanted(types, type))
                json_object_set(some, type, state);
        }
        if (json_object_size(some) > 0)
            json_object_set(kept, account, some);
        json_decref(some);
    }
    return kept;
}

static int add_text(const char *p, size_t n, void *arg)
{
    buf_add(arg, p, n);
    return 0;
}

bool web_ask_filter(struct slice state, const char *types, struct buf *ret, bool *ret_is_nonsense)
{
    json_t *all = json_loadb(state.p ? state.p : "", state.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *changed = json_object_get(all, "changed");
    json_t *states = NULL;
    const char *account;
    bool is_change = json_is_object(changed);
    json_object_foreach(changed, account, states)
    {
        is_change = is_change && json_is_object(states);
    }
    *ret_is_nonsense = !is_change;
    bool is_any = false;
    if (is_change) {
        json_t *kept = cut(changed, types);
        is_any = json_object_size(kept) > 0;
        json_t *told = json_pack("{s:s, s:o}", "@type", "StateChange", "changed", kept);
        if (is_any)
            (void)json_dump_callback(told, add_text, ret, JSON_COMPACT);
        json_decref(told);
    }
    json_decref(all);
    return is_any && !ret->failed;
}
