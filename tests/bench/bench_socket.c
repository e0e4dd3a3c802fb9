/* Addresses, sockets and streams of the test tools. Names are never looked up. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/resource.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096

static enum err addr_parse_local(const char *path, struct bench_addr *ret_addr, struct errinfo *ei)
{
    struct bench_addr addr = {.n = sizeof addr.as.local};
    addr.as.local.sun_family = AF_UNIX;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof addr.as.local.sun_path)
        return err_set(ei, ERR_INVALID, "a socket path has 1 to %zu bytes",
                       sizeof addr.as.local.sun_path - 1);
    memcpy(addr.as.local.sun_path, path, n + 1);
    *ret_addr = addr;
    return ERR_OK;
}

enum err bench_addr_parse(const char *text, struct bench_addr *ret_addr, struct errinfo *ei)
{
    if (strncmp(text, "unix:", 5) == 0)
        return addr_parse_local(text + 5, ret_addr, ei);
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    char host[64];
    if (!colon || (size_t)(colon - text) >= sizeof host ||
        !slice_u64(slice_str(colon + 1), 65535, &port))
        return err_set(ei, ERR_INVALID, "%s is not ADDRESS:PORT", text);
    struct slice name = slice_of(text, (size_t)(colon - text));
    bool has_brackets = name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (has_brackets)
        name = slice_of(name.p + 1, name.n - 2);
    (void)snprintf(host, sizeof host, SLICE_FMT, SLICE_ARG(name));
    struct bench_addr addr = {0};
    if (!has_brackets && inet_pton(AF_INET, host, &addr.as.v4.sin_addr) == 1) {
        addr.as.v4.sin_family = AF_INET;
        addr.as.v4.sin_port = htons((uint16_t)port);
        addr.n = sizeof addr.as.v4;
    } else if (has_brackets && inet_pton(AF_INET6, host, &addr.as.v6.sin6_addr) == 1) {
        addr.as.v6.sin6_family = AF_INET6;
        addr.as.v6.sin6_port = htons((uint16_t)port);
        addr.n = sizeof addr.as.v6;
    } else {
        return err_set(ei, ERR_INVALID, "%s is not an address", host);
    }
    *ret_addr = addr;
    return ERR_OK;
}

const char *bench_addr_text(const struct bench_addr *addr)
{
    static char text[128];
    char host[64] = "?";
    if (addr->as.any.sa_family == AF_UNIX) {
        (void)snprintf(text, sizeof text, "unix:%s", addr->as.local.sun_path);
    } else if (addr->as.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &addr->as.v4.sin_addr, host, sizeof host);
        (void)snprintf(text, sizeof text, "%s:%d", host, ntohs(addr->as.v4.sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &addr->as.v6.sin6_addr, host, sizeof host);
        (void)snprintf(text, sizeof text, "[%s]:%d", host, ntohs(addr->as.v6.sin6_port));
    }
    return text;
}

void bench_socket_prepare(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on unix: harmless */
}

static int dial_start(int fd, const struct bench_addr *to, in_addr_t from_ip)
{
    int on = 1;
    if (from_ip != 0 && to->as.any.sa_family == AF_INET) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = from_ip};
        /* The port is chosen at connect, so that one port serves many destinations. */
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
            return -1;
    }
    bench_socket_prepare(fd);
    return connect(fd, &to->as.any, to->n) == 0 || errno == EINPROGRESS ? 0 : -1;
}

int bench_dial(const struct bench_addr *to, in_addr_t from_ip)
{
    int fd = socket(to->as.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || dial_start(fd, to, from_ip) == 0)
        return fd;
    int why = errno;
    fd_close(&fd);
    errno = why;
    return -1;
}

enum err bench_listen(struct bench_addr *addr, int *ret_fd, struct errinfo *ei)
{
    int on = 1;
    int family = addr->as.any.sa_family;
    if (family == AF_UNIX)
        (void)unlink(addr->as.local.sun_path);
    SCOPED(fd_close) int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(ei, ERR_IO, "socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &addr->as.any, addr->n) != 0 || listen(fd, LISTEN_BACKLOG) != 0)
        return err_set(ei, ERR_IO, "listen at %s: %s", bench_addr_text(addr), strerror(errno));
    if (family != AF_UNIX) {
        socklen_t n = sizeof addr->as;
        if (getsockname(fd, &addr->as.any, &n) != 0)
            return err_set(ei, ERR_IO, "getsockname: %s", strerror(errno));
    }
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

void bench_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* the old limit stays; opening says so if it hurts */
}

/* ---- streams ------------------------------------------------------------------------------- */

static ssize_t ssl_result(struct bench_stream *s, int n)
{
    int why = SSL_get_error(s->ssl, n);
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

ssize_t bench_stream_recv(struct bench_stream *s, void *p, size_t n)
{
    if (s->ssl) {
        int got = SSL_read(s->ssl, p, (int)n);
        return got > 0 ? got : ssl_result(s, got);
    }
    ssize_t got = recv(s->fd, p, n, 0);
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t ssl_send(struct bench_stream *s, const struct iovec *iov, int n_iov)
{
    ssize_t sent = 0;
    for (int i = 0; i < n_iov; i++) {
        size_t at = 0;
        while (at < iov[i].iov_len) {
            int n =
                SSL_write(s->ssl, (const char *)iov[i].iov_base + at, (int)(iov[i].iov_len - at));
            if (n <= 0)
                return ssl_result(s, n) < 0 ? -1 : sent;
            at += (size_t)n;
            sent += n;
        }
    }
    return sent;
}

ssize_t bench_stream_send(struct bench_stream *s, const struct iovec *iov, int n_iov)
{
    if (s->ssl)
        return ssl_send(s, iov, n_iov);
    struct msghdr m = {.msg_iovlen = (size_t)n_iov};
    memcpy(&m.msg_iov, &iov, sizeof iov); /* sendmsg does not write to it */
    ssize_t sent = sendmsg(s->fd, &m, MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? 0 : -1;
}

int bench_stream_handshake(struct bench_stream *s, SSL_CTX *tls, bool is_server)
{
    if (!s->ssl) {
        s->ssl = SSL_new(tls);
        must(s->ssl && SSL_set_fd(s->ssl, s->fd) == 1);
        if (is_server)
            SSL_set_accept_state(s->ssl);
        else
            SSL_set_connect_state(s->ssl);
    }
    int done = SSL_do_handshake(s->ssl);
    return done == 1 ? 1 : (int)ssl_result(s, done);
}

void bench_stream_close(struct bench_stream *s)
{
    if (s->ssl)
        SSL_free(s->ssl);
    s->ssl = NULL;
    fd_close(&s->fd);
}

static SSL_CTX *tls_make(const SSL_METHOD *method)
{
    SSL_CTX *tls = SSL_CTX_new(method);
    must(tls);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return tls;
}

SSL_CTX *bench_tls_client(void)
{
    SSL_CTX *tls = tls_make(TLS_client_method());
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    return tls;
}

SSL_CTX *bench_tls_server(const char *certificate, const char *key)
{
    SSL_CTX *tls = tls_make(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1)
        bench_die("no certificate in %s", certificate);
    if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        bench_die("no key of that certificate in %s", key);
    return tls;
}
