/* How much one address has of us at this moment: connections, requests. Behind a proxy requests
 * count for the client, connections for nobody. Under the server's lock. */
#include "web/people_int.h"

/* A network of IPv6 is one subscriber: /64. */
static struct slice key_of(const struct sockaddr_storage *address, char ret[17])
{
    unsigned char bytes[16] = {};
    size_t n = net_address_bytes(address, bytes);
    ret[0] = (char)n;
    memcpy(ret + 1, bytes, 16);
    return slice_of(ret, 1 + (n == 16 ? 8 : n));
}

static struct peer *find(struct people *p, const struct sockaddr_storage *address)
{
    char text[17];
    struct slice key = key_of(address, text);
    struct peer *peer = map_get(p->peers, key);
    if (!peer) {
        peer = mem_new(sizeof(*peer));
        memcpy(peer->key, text, sizeof(peer->key));
        map_put(p->peers, key, peer);
    }
    return peer;
}

struct peer *web_peer_ref_conn(struct people *p, const struct sockaddr_storage *address)
{
    struct peer *peer = find(p, address);
    peer->n_conns++;
    return peer;
}

struct peer *web_peer_ref_request(struct people *p, const struct sockaddr_storage *address)
{
    struct peer *peer = find(p, address);
    peer->n_requests++;
    return peer;
}

void web_peer_unref(struct people *p, struct peer **address, bool is_conn)
{
    struct peer *peer = *address;
    *address = NULL;
    if (!peer)
        return;
    if (is_conn)
        peer->n_conns--;
    else
        peer->n_requests--;
    if (peer->n_conns > 0 || peer->n_requests > 0)
        return;
    size_t n = (size_t)peer->key[0];
    (void)!map_del(p->peers, slice_of(peer->key, 1 + (n == 16 ? 8 : n)));
    mem_free(&peer);
}
