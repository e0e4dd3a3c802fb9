/* Blocking connections: buffered reading, vectored writing, waiting with deadline and cancel. */
#include "net/conn_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/net.h"

enum { PARTS_MAX = 16 };

/* ---- the plain socket ---------------------------------------------------------------------- */

enum err net_socket_wait(struct net_socket *s, int what, mono_us deadline, struct errinfo *ei)
{
    struct pollfd p[2] = {
        {.fd = s->fd,
         .events =
             (short)((what & NET_CONN_IN ? POLLIN : 0) | (what & NET_CONN_OUT ? POLLOUT : 0))},
        {.fd = s->cancel_fd, .events = POLLIN}, /* poll skips negative descriptors */
    };
    for (;;) {
        mono_us left = deadline - mono_now();
        if (left <= 0)
            return err_set(ei, ERR_RETRY, "no answer in time");
        struct timespec t = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
        int n = ppoll(p, 2, &t, NULL);
        if (n < 0 && errno != EINTR)
            return err_set(ei, ERR_IO, "poll: %s", strerror(errno));
        if (n > 0 && p[1].revents)
            return err_set(ei, ERR_CANCELED, "we are stopping");
        if (n > 0)
            return ERR_OK; /* an error of the socket shows at the next read or write */
    }
}

static enum err plain_wait(void *arg, int what, mono_us deadline, struct errinfo *ei)
{
    return net_socket_wait(arg, what, deadline, ei);
}

static ssize_t plain_read(void *arg, char *p, size_t n)
{
    struct net_socket *s = arg;
    return recv(s->fd, p, n, 0);
}

static ssize_t plain_write(void *arg, const struct iovec *parts, int n_parts)
{
    struct net_socket *s = arg;
    struct iovec copy[PARTS_MAX];
    must(n_parts <= PARTS_MAX);
    memcpy(copy, parts, sizeof(*parts) * (size_t)n_parts);
    struct msghdr m = {.msg_iov = copy, .msg_iovlen = (size_t)n_parts};
    return sendmsg(s->fd, &m, MSG_NOSIGNAL);
}

void net_socket_free(struct net_socket *s)
{
    fd_close(&s->fd);
    if (s->record)
        explicit_bzero(s->record, NET_RECORD_BYTES); /* a password may have been in it */
    mem_free(&s->record);
    mem_free(&s);
}

static void plain_close(void *arg)
{
    net_socket_free(arg);
}

const struct net_transport net_plain_transport = {plain_read, plain_write, plain_wait, plain_close};

/* ---- opening ------------------------------------------------------------------------------- */

struct net_conn *net_conn_over(const struct net_transport *t, void *arg)
{
    struct net_conn *c = mem_new(sizeof(*c));
    c->t = t;
    c->arg = arg;
    c->in = mem_new(NET_CONN_READ_MAX);
    return c;
}

void net_conn_close(struct net_conn **c)
{
    if (!*c)
        return;
    (*c)->t->close((*c)->arg);
    mem_free(&(*c)->in);
    mem_free(c);
}

/* On loopback a connect to a free port can meet itself (simultaneous open). */
static bool is_connected_to_itself(int fd)
{
    struct sockaddr_storage a = {}, b = {};
    socklen_t n_a = sizeof(a), n_b = sizeof(b);
    return getsockname(fd, (struct sockaddr *)&a, &n_a) == 0 &&
           getpeername(fd, (struct sockaddr *)&b, &n_b) == 0 && n_a == n_b &&
           memcmp(&a, &b, n_a) == 0;
}

static enum err finish_connect(struct net_socket *s, mono_us deadline, struct errinfo *ei)
{
    enum err err = net_socket_wait(s, NET_CONN_OUT, deadline, ei);
    if (err != ERR_OK)
        return err;
    int why = 0;
    socklen_t n = sizeof(why);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &why, &n) != 0)
        why = errno;
    return why == 0 ? ERR_OK : err_set(ei, ERR_IO, "%s", strerror(why));
}

static enum err open_socket(const struct net_dial *dial, mono_us deadline, struct net_socket *s,
                            struct errinfo *ei)
{
    const struct sockaddr *address = (const struct sockaddr *)dial->address;
    socklen_t n =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    s->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return err_set(ei, ERR_IO, "socket: %s", strerror(errno));
    int on = 1;
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only slower without */
    if (connect(s->fd, address, n) != 0) {
        if (errno != EINPROGRESS)
            return err_set(ei, ERR_IO, "%s", strerror(errno));
        enum err err = finish_connect(s, deadline, ei);
        if (err != ERR_OK)
            return err;
    }
    return is_connected_to_itself(s->fd) ? err_set(ei, ERR_IO, "nobody listens there") : ERR_OK;
}

enum err net_conn_open(const struct net_dial *dial, mono_us deadline, struct net_conn **ret,
                       struct errinfo *ei)
{
    if (!net_policy_allows(dial->policy, dial->address))
        return err_set(ei, ERR_DENIED, "connections to %s are not allowed",
                       net_peer_text(dial->address).s);
    struct net_socket *s = mem_new(sizeof(*s));
    s->cancel_fd = dial->cancel_fd;
    enum err err = open_socket(dial, deadline, s, ei);
    if (err != ERR_OK) {
        net_socket_free(s);
        return err;
    }
    *ret = net_conn_over(&net_plain_transport, s);
    return ERR_OK;
}

/* ---- reading and writing --------------------------------------------------------------------- */

/* One attempt to read more. ERR_OK: bytes came; ERR_RETRY: none are here now. */
static enum err read_some(struct net_conn *c, struct errinfo *ei)
{
    if (c->is_ended)
        return err_set(ei, ERR_GONE, "the peer closed the connection");
    if (c->in_at == c->in_n)
        c->in_at = c->in_n = 0;
    must(c->in_n < NET_CONN_READ_MAX);
    ssize_t n = c->t->read(c->arg, c->in + c->in_n, NET_CONN_READ_MAX - c->in_n);
    if (n > 0) {
        c->in_n += (size_t)n;
        return ERR_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return err_set(ei, ERR_RETRY, "nothing yet");
    c->is_ended = true;
    if (n == 0 || errno == ECONNRESET || errno == EPIPE)
        return err_set(ei, ERR_GONE, "the peer closed the connection");
    return err_set(ei, ERR_IO, "%s", strerror(errno));
}

enum err net_conn_read(struct net_conn *c, mono_us deadline, struct slice *ret, struct errinfo *ei)
{
    while (c->in_at == c->in_n) {
        if (!c->is_ended) {
            enum err err = c->t->wait(c->arg, NET_CONN_IN, deadline, ei);
            if (err != ERR_OK)
                return err;
        }
        enum err err = read_some(c, ei);
        if (err != ERR_OK && err != ERR_RETRY)
            return err;
    }
    *ret = slice_of(c->in + c->in_at, c->in_n - c->in_at);
    return ERR_OK;
}

void net_conn_use(struct net_conn *c, size_t n)
{
    must(n <= c->in_n - c->in_at);
    c->in_at += n;
}

bool net_conn_is_quiet(struct net_conn *c)
{
    return c->in_at == c->in_n && read_some(c, NULL) == ERR_RETRY;
}

/* Take n written bytes off the front of the parts. */
static void parts_skip(struct iovec *parts, int *at, size_t n)
{
    while (n > 0) {
        struct iovec *p = &parts[*at];
        size_t part = n < p->iov_len ? n : p->iov_len;
        p->iov_base = (char *)p->iov_base + part;
        p->iov_len -= part;
        n -= part;
        *at += p->iov_len == 0;
    }
}

enum err net_conn_write(struct net_conn *c, const struct slice *parts, size_t n_parts,
                        mono_us deadline, struct errinfo *ei)
{
    struct iovec v[PARTS_MAX];
    int n = 0, at = 0;
    must(n_parts <= PARTS_MAX);
    for (size_t i = 0; i < n_parts; i++)
        if (parts[i].n > 0)
            v[n++] = (struct iovec){(void *)(uintptr_t)parts[i].p, parts[i].n};
    while (at < n) {
        ssize_t done = c->t->write(c->arg, v + at, n - at);
        if (done >= 0) {
            parts_skip(v, &at, (size_t)done);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == ECONNRESET || errno == EPIPE)
            return err_set(ei, ERR_GONE, "the peer closed the connection");
        if (errno != EAGAIN)
            return err_set(ei, ERR_IO, "%s", strerror(errno));
        enum err err = c->t->wait(c->arg, NET_CONN_OUT, deadline, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}
