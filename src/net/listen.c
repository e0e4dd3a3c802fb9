/* Listeners and addresses. */
#include "net/net_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_A_TURN = 1 }; /* several processes share a listener: the idle one takes the next */

struct net_listener {
    struct net_watch *watch;
    struct net_timer *again;
    int fd;
    bool is_paused;
    void (*fn)(void *arg, int fd, const struct sockaddr_storage *peer);
    void *arg;
};

static void on_acceptable(void *arg, int)
{
    struct net_listener *li = arg;
    for (int i = 0; i < ACCEPTS_A_TURN && !li->is_paused; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t n = sizeof(peer);
        int fd = accept4(li->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
                return; /* another process was quicker, or the peer thought better of it */
            /* Out of descriptors or memory: the peer that waits would wake us at once again. */
            net_watch_want(li->watch, 0);
            net_timer_set(li->again, MILLISECONDS(100));
            return;
        }
        int on = 1;
        if (peer.ss_family == AF_INET || peer.ss_family == AF_INET6)
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        li->fn(li->arg, fd, &peer);
    }
}

static void accept_again(void *arg)
{
    struct net_listener *li = arg;
    if (!li->is_paused)
        net_watch_want(li->watch, NET_READ);
}

struct net_listener *
net_listener_create(struct net_loop *l, int fd,
                    void (*fn)(void *arg, int fd, const struct sockaddr_storage *peer), void *arg)
{
    struct net_listener *li = mem_new(sizeof(*li));
    li->fd = fd;
    li->fn = fn;
    li->arg = arg;
    li->watch = net_watch_create(l, fd, on_acceptable, li);
    li->again = net_timer_create(l, accept_again, li);
    net_watch_want(li->watch, NET_READ);
    return li;
}

void net_listener_pause(struct net_listener *li, bool is_paused)
{
    li->is_paused = is_paused;
    net_watch_want(li->watch, is_paused ? 0 : NET_READ);
}

void net_listener_destroy(struct net_listener **li)
{
    if (!*li)
        return;
    net_watch_destroy(&(*li)->watch);
    net_timer_destroy(&(*li)->again);
    fd_close(&(*li)->fd);
    mem_free(li);
}

size_t net_address_bytes(const struct sockaddr_storage *address, unsigned char ret[16])
{
    if (address->ss_family == AF_INET) {
        memcpy(ret, &((const struct sockaddr_in *)address)->sin_addr, 4);
        return 4;
    }
    if (address->ss_family != AF_INET6)
        return 0;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six)) {
        memcpy(ret, six->s6_addr + 12, 4);
        return 4;
    }
    memcpy(ret, six, 16);
    return 16;
}

void net_address_text(const struct sockaddr_storage *address, char ret[64])
{
    unsigned char bytes[16];
    size_t n = net_address_bytes(address, bytes);
    ret[0] = '\0';
    if (n > 0)
        (void)!inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, ret, 64);
}

bool net_address_parse(struct slice text, uint16_t port, struct sockaddr_storage *ret)
{
    char copy[64];
    memset(ret, 0, sizeof(*ret));
    if (text.n == 0 || text.n >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    if (inet_pton(AF_INET, copy, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, copy, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return true;
    }
    return false;
}
