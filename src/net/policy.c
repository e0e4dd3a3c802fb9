/* Where a connection may lead: promise 10, asked by everybody who opens one. */
#include "net/conn.h"

#include <netinet/in.h>
#include <stdio.h>

#include "net/net.h"

static bool prefix_agrees(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

bool net_network_parse(struct slice text, struct net_network *ret)
{
    struct slice bits;
    struct slice host = slice_cut(text, '/', &bits);
    struct sockaddr_storage address;
    struct net_network n = {};
    if (!net_address_parse(host, 0, &address))
        return false;
    n.n_bytes = (uint8_t)net_address_bytes(&address, n.bytes);
    uint64_t prefix = n.n_bytes * 8u;
    if (host.n < text.n && !slice_u64(bits, prefix, &prefix))
        return false;
    n.prefix = (uint8_t)prefix;
    *ret = n;
    return true;
}

bool net_network_holds(const struct net_network *n, const struct sockaddr_storage *address)
{
    unsigned char bytes[16];
    return net_address_bytes(address, bytes) == n->n_bytes &&
           prefix_agrees(bytes, n->bytes, n->prefix);
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    /* Both families keep the port at the same place. */
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

/* Addresses that are no host's own. Connecting to 0.0.0.0 or :: would reach this very machine. */
static bool is_nowhere(const unsigned char *bytes, size_t n)
{
    static const unsigned char zero[16];
    if (n == 4)
        return bytes[0] == 0 || bytes[0] >= 224;
    return memcmp(bytes, zero, 16) == 0 || bytes[0] == 0xff;
}

static bool is_loopback(const unsigned char *bytes, size_t n)
{
    static const unsigned char six[16] = {[15] = 1};
    return n == 4 ? bytes[0] == 127 : memcmp(bytes, six, 16) == 0;
}

bool net_address_is_private(const struct sockaddr_storage *address)
{
    static const char *const ranges[] = {
        "0.0.0.0/8",       "10.0.0.0/8",     "100.64.0.0/10",
        "127.0.0.0/8",     "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24",    "192.0.2.0/24",   "192.31.196.0/24",
        "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "192.175.48.0/24", "198.18.0.0/15",  "198.51.100.0/24",
        "203.0.113.0/24",  "224.0.0.0/3",    "::/8",
        "64:ff9b::/32",    "100::/64",       "2001::/23",
        "2001:db8::/32",   "2002::/16",      "3fff::/20",
        "5f00::/16",       "fc00::/7",       "fe80::/9",
        "ff00::/8",
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        struct net_network n;
        must(net_network_parse(slice_str(ranges[i]), &n));
        if (net_network_holds(&n, address))
            return true;
    }
    return false;
}

bool net_policy_lists(const struct net_policy *p, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < p->n_allowed; i++)
        if (net_network_holds(&p->allowed[i], address))
            return true;
    return false;
}

enum net_where net_policy_where(const struct net_policy *p, const struct sockaddr_storage *address)
{
    unsigned char bytes[16];
    size_t n = net_address_bytes(address, bytes);
    if (n == 0 || port_of(address) == 0 || is_nowhere(bytes, n))
        return NET_NOWHERE;
    if (is_loopback(bytes, n))
        return NET_LOOPBACK;
    return net_policy_lists(p, address) ? NET_LISTED : NET_OUTSIDE;
}

bool net_policy_allows(const struct net_policy *p, const struct sockaddr_storage *address)
{
    switch (net_policy_where(p, address)) {
    case NET_LOOPBACK:
    case NET_LISTED:
        return true;
    case NET_OUTSIDE:
        return p->has_internet;
    case NET_NOWHERE:
        return false;
    }
    return false;
}

struct net_peer_text net_peer_text(const struct sockaddr_storage *address)
{
    struct net_peer_text t;
    char text[64];
    unsigned char bytes[16];
    net_address_text(address, text);
    bool is_six = net_address_bytes(address, bytes) == 16;
    (void)snprintf(t.s, sizeof(t.s), is_six ? "[%.46s]:%u" : "%.46s:%u", text, port_of(address));
    return t;
}
