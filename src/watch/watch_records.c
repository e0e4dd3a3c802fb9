/* Questions and what comes back: names, texts, addresses in wire format (RFC 1035 section 3.3). */
#include "watch/watch_int.h"

#include <stdio.h>

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool watch_name_read(struct slice *data, char ret[WATCH_NAME_MAX])
{
    struct slice s = *data;
    size_t n = 0;
    for (;;) {
        if (s.n == 0)
            return false;
        size_t label = (unsigned char)s.p[0];
        s = slice_skip(s, 1);
        if (label == 0)
            break;
        if (label > 63 || label > s.n || n + label + 2 > TRUST_NAME_MAX + 2)
            return false;
        if (n > 0)
            ret[n++] = '.';
        for (size_t i = 0; i < label; i++) {
            if (!is_host_char(s.p[i]))
                return false; /* also no dots inside labels */
            ret[n++] = ascii_lower(s.p[i]);
        }
        s = slice_skip(s, label);
    }
    ret[n] = '\0';
    *data = s;
    return true;
}

bool watch_text_read(struct slice data, struct arena *a, struct slice *ret)
{
    char *copy = data.n <= TRUST_TXT_MAX ? arena_try(a, data.n + 1) : NULL;
    size_t n = 0;
    if (!copy)
        return false;
    while (data.n > 0) {
        size_t part = (unsigned char)data.p[0];
        if (part + 1 > data.n)
            return false;
        memcpy(copy + n, data.p + 1, part);
        n += part;
        data = slice_skip(data, part + 1);
    }
    *ret = slice_of(copy, n);
    return true;
}

struct wire_ip watch_ip_read(uint16_t type, struct slice data)
{
    struct wire_ip ip = {};
    size_t n = type == WATCH_TYPE_A ? 4 : 16;
    if (data.n != n)
        return ip;
    ip.version = type == WATCH_TYPE_A ? 4 : 6;
    memcpy(ip.bytes, data.p, n);
    return ip;
}

bool watch_texts_find(const struct watch_records *r, struct arena *a, struct slice begins,
                      struct watch_texts *ret)
{
    *ret = (struct watch_texts){.status = r->status};
    for (size_t i = 0; i < r->n; i++) {
        struct slice text;
        if (!watch_text_read(r->data[i], a, &text))
            continue;
        /* "v=spf1x" is another version, not this one. */
        bool is_such = slice_istarts(text, begins) &&
                       (text.n == begins.n || slice_find(SLICE(" ;\t"), text.p[begins.n]) >= 0);
        if (is_such && ret->n++ == 0)
            ret->first = text;
        if (!is_such && ret->other.n == 0)
            ret->other = text;
    }
    return ret->n > 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool may_be_in_dns(struct slice name)
{
    size_t label = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return false;
        label = name.p[i] == '.' ? 0 : label + 1;
        if (label > 63 || (label == 0 && (i == 0 || name.p[i - 1] == '.')))
            return false;
    }
    return label > 0 && name.n <= TRUST_NAME_MAX;
}

void watch_ask(const struct watch_dns *dns, uint16_t type, struct arena *a,
               struct watch_records *ret, const char *format, ...)
{
    char name[2 * WATCH_NAME_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    *ret = (struct watch_records){.status = WATCH_ANSWER_NO_NAME};
    if (n <= 0 || (size_t)n >= sizeof(name) || !may_be_in_dns(slice_of(name, (size_t)n)))
        return;
    dns->ask(dns->self, slice_of(name, (size_t)n), type, a, ret);
    if (ret->status == WATCH_ANSWER_OK && ret->n == 0)
        ret->status = WATCH_ANSWER_NO_DATA;
    if (ret->status != WATCH_ANSWER_OK)
        ret->n = 0;
}

/* ---- addresses ------------------------------------------------------------------------------- */

bool watch_has_address(const struct wire_ip *list, size_t n, struct wire_ip ip)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].version == ip.version && memcmp(list[i].bytes, ip.bytes, 16) == 0)
            return true;
    return false;
}

bool watch_network_has(struct slice network, struct wire_ip ip)
{
    struct slice prefix, text = slice_cut(network, '/', &prefix);
    struct wire_ip base;
    uint64_t bits;
    if (!wire_ip_parse(text, &base) || base.version != ip.version)
        return false;
    uint64_t most = base.version == 4 ? 32 : 128;
    if (text.n == network.n)
        bits = most;
    else if (!slice_u64(prefix, most, &bits))
        return false;
    for (uint64_t i = 0; i < bits; i++)
        if ((base.bytes[i / 8] ^ ip.bytes[i / 8]) & (0x80 >> i % 8))
            return false;
    return true;
}

static void add_addresses(const struct watch_dns *dns, const char *host, uint16_t type,
                          struct watch_addresses *ret)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct watch_records r;
    watch_ask(dns, type, a, &r, "%s", host);
    if (r.status == WATCH_ANSWER_NONE || r.status == WATCH_ANSWER_BOGUS)
        ret->is_unanswered = true;
    for (size_t i = 0; i < r.n && ret->n < WATCH_ADDRESSES_MAX; i++) {
        struct wire_ip ip = watch_ip_read(type, r.data[i]);
        if (ip.version && !watch_has_address(ret->list, ret->n, ip))
            ret->list[ret->n++] = ip;
    }
}

void watch_addresses(const struct watch_dns *dns, const char *host, struct watch_addresses *ret)
{
    *ret = (struct watch_addresses){};
    add_addresses(dns, host, WATCH_TYPE_A, ret);
    add_addresses(dns, host, WATCH_TYPE_AAAA, ret);
}

void watch_own_addresses(const struct watch_dns *dns, const struct watch_node *node,
                         struct watch_addresses *ret)
{
    char host[WATCH_NAME_MAX];
    *ret = (struct watch_addresses){.n = node->n_addresses};
    memcpy(ret->list, node->addresses, sizeof(ret->list));
    if (node->n_addresses > 0)
        return;
    (void)snprintf(host, sizeof(host), SLICE_FMT, SLICE_ARG(node->name));
    watch_addresses(dns, host, ret);
}
