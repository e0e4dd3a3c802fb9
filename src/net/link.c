/* Links: framed messages over a Unix stream socket, with ceilings in both directions.
 *
 * Reading is the loop's. Sending may come from any thread: the queue of bytes is under a lock;
 * whoever finds it empty writes directly (other threads) or at the end of the turn (the loop), the
 * rest goes out when the socket is writable again. */
#include "net/net_int.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <fcntl.h>

enum { HEAD_BYTES = 16, READ_BYTES = 256 << 10, FDS_MAX = 16 };

struct net_link {
    struct net_loop *loop;
    struct net_link_options o;
    struct net_watch *watch; /* loop only */
    struct net_late flush;   /* loop only */
    struct buf in;           /* loop only: what is not yet a whole frame */
    int fds[FDS_MAX];        /* loop only: descriptors that came and wait for their frame */
    size_t n_fds;
    bool is_paused;  /* loop only */
    bool is_reaping; /* loop only: closed from inside a callback, freed late */
    bool is_busy;    /* loop only: a callback of ours is running */
    pthread_mutex_t lock;
    int fd;          /* set once; closed by the loop under lock */
    struct buf out;  /* under lock */
    size_t out_at;   /* under lock: bytes of `out` that are gone already */
    bool is_closed;  /* under lock */
    bool is_waiting; /* under lock: the loop waits for the socket to be writable */
    bool is_posted;  /* under lock: a task of ours is under way to the loop */
};

static void want(struct net_link *k)
{
    pthread_mutex_lock(&k->lock);
    bool has_out = k->out.n > k->out_at;
    k->is_waiting = has_out;
    pthread_mutex_unlock(&k->lock);
    net_watch_want(k->watch, (k->is_paused ? 0 : NET_READ) | (has_out ? NET_WRITE : 0));
}

/* Writes what waits; false when the peer is gone. Under lock. */
static bool push(struct net_link *k)
{
    while (k->out.n > k->out_at) {
        ssize_t n = send(k->fd, k->out.p + k->out_at, k->out.n - k->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        k->out_at += (size_t)n;
    }
    buf_clear(&k->out);
    k->out_at = 0;
    if (k->out.cap > 4 * READ_BYTES)
        buf_finish(&k->out); /* a burst is over: give the memory back */
    return true;
}

static void link_free(struct net_link *k)
{
    net_watch_destroy(&k->watch);
    list_remove(&k->flush.node);
    for (size_t i = 0; i < k->n_fds; i++)
        (void)close(k->fds[i]);
    fd_close(&k->fd);
    buf_finish(&k->in);
    buf_finish(&k->out);
    pthread_mutex_destroy(&k->lock);
    mem_free(&k);
}

/* After a callback in which the link was closed: free it, unless a task will. */
static void reap(struct net_link *k)
{
    pthread_mutex_lock(&k->lock);
    bool is_posted = k->is_posted;
    pthread_mutex_unlock(&k->lock);
    if (!is_posted)
        link_free(k);
}

static void lost(struct net_link *k)
{
    pthread_mutex_lock(&k->lock);
    bool was_closed = k->is_closed;
    k->is_closed = true;
    pthread_mutex_unlock(&k->lock);
    net_watch_want(k->watch, 0);
    if (!was_closed)
        k->o.closed(k->o.arg, k);
}

/* Hands out the whole frames in `s`; returns how many bytes they were, or -1 for nonsense. */
static ssize_t take_frames(struct net_link *k, struct slice s)
{
    size_t used = 0;
    while (s.n - used >= HEAD_BYTES && !k->is_reaping && !k->is_paused) {
        struct reader r = reader_make(slice_skip(s, used));
        size_t n = read_u32(&r);
        struct net_frame f = {.fd = -1, .type = read_u16(&r)};
        uint16_t n_fds = read_u16(&r);
        f.tag = read_u64(&r);
        if (n_fds > (k->o.takes_fds ? 1 : 0) || n > k->o.frame_max)
            return -1;
        if (r.rest.n < n)
            break;
        f.payload = slice_of(r.rest.p, n);
        /* The kernel hands over descriptors with the read that reaches their frame's first byte,
         * perhaps together with frames before it: the head says whose they are. */
        if (n_fds > 0 && k->n_fds == 0)
            return -1;
        if (n_fds > 0) {
            f.fd = k->fds[0];
            k->n_fds--;
            memmove(k->fds, k->fds + 1, k->n_fds * sizeof(int));
        }
        k->o.frame(k->o.arg, k, &f);
        used += HEAD_BYTES + n;
    }
    return (ssize_t)used;
}

static ssize_t receive(struct net_link *k, char *p, size_t n)
{
    if (!k->o.takes_fds)
        return recv(k->fd, p, n, 0);
    char control[CMSG_SPACE(sizeof(int) * 4)];
    struct iovec iov = {p, n};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(k->fd, &m, MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n_fds; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (k->n_fds < FDS_MAX)
                k->fds[k->n_fds++] = fd;
            else
                (void)close(fd);
        }
    }
    return got;
}

/* Frames from what was left over plus new bytes; keeps the rest. False for nonsense. */
static bool digest(struct net_link *k, struct slice fresh)
{
    if (k->in.n > 0) {
        buf_adds(&k->in, fresh);
        if (k->in.failed)
            return false;
        fresh = buf_slice(&k->in);
        ssize_t used = take_frames(k, fresh);
        if (used < 0)
            return false;
        buf_drop(&k->in, (size_t)used);
    } else {
        ssize_t used = take_frames(k, fresh);
        if (used < 0)
            return false;
        buf_adds(&k->in, slice_skip(fresh, (size_t)used));
    }
    if (k->in.n == 0 && k->in.cap > READ_BYTES)
        buf_finish(&k->in);
    return !k->in.failed;
}

static void on_readable(struct net_link *k)
{
    if (!k->loop->link_bytes)
        k->loop->link_bytes = mem_new(READ_BYTES);
    char *bytes = k->loop->link_bytes;
    ssize_t n = receive(k, bytes, READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        if (digest(k, slice_of(bytes, (size_t)n)) || k->is_reaping)
            return;
        struct net_frame nonsense = {.fd = -1, .type = NET_NONSENSE};
        k->o.frame(k->o.arg, k, &nonsense);
    }
    if (!k->is_reaping)
        lost(k);
}

static void on_event(void *arg, int what)
{
    struct net_link *k = arg;
    k->is_busy = true;
    if (what & NET_WRITE) {
        pthread_mutex_lock(&k->lock);
        bool is_alive = k->is_closed || push(k);
        pthread_mutex_unlock(&k->lock);
        if (!is_alive)
            lost(k);
    }
    if ((what & NET_READ) && !k->is_reaping && !k->is_closed)
        on_readable(k);
    k->is_busy = false;
    if (k->is_reaping)
        reap(k);
    else if (!k->is_closed)
        want(k);
}

static void on_flush(struct net_late *late)
{
    struct net_link *k = container_of(late, struct net_link, flush);
    k->is_busy = true;
    pthread_mutex_lock(&k->lock);
    bool is_alive = k->is_closed || push(k);
    bool is_closed = k->is_closed;
    pthread_mutex_unlock(&k->lock);
    if (!is_alive)
        lost(k);
    k->is_busy = false;
    if (k->is_reaping)
        reap(k);
    else if (is_alive && !is_closed)
        want(k);
}

struct net_link *net_link_open(struct net_loop *l, int fd, const struct net_link_options *o)
{
    struct net_link *k = mem_new(sizeof(*k));
    k->loop = l;
    k->o = *o;
    k->fd = fd;
    k->in = buf_make(o->frame_max + HEAD_BYTES + READ_BYTES);
    k->out = buf_make(o->queue_max);
    pthread_mutex_init(&k->lock, NULL);
    list_init(&k->flush.node);
    k->flush.fn = on_flush;
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    k->watch = net_watch_create(l, fd, on_event, k);
    net_watch_want(k->watch, NET_READ);
    return k;
}

void net_link_close(struct net_link **link)
{
    struct net_link *k = *link;
    if (!k)
        return;
    *link = NULL;
    pthread_mutex_lock(&k->lock);
    k->is_closed = true;
    (void)push(k); /* what fits now; the peer may be waiting for a last word */
    bool is_posted = k->is_posted;
    pthread_mutex_unlock(&k->lock);
    net_watch_want(k->watch, 0);
    k->is_reaping = true;
    if (!k->is_busy && !is_posted)
        link_free(k);
}

static void wake_for_writing(void *arg)
{
    struct net_link *k = arg;
    pthread_mutex_lock(&k->lock);
    k->is_posted = false;
    pthread_mutex_unlock(&k->lock);
    if (k->is_reaping)
        link_free(k); /* closed meanwhile; is_busy ends before the loop runs tasks */
    else
        on_flush(&k->flush);
}

static void add_head(struct buf *b, size_t n, uint16_t type, uint16_t n_fds, uint64_t tag)
{
    buf_u32(b, (uint32_t)n);
    buf_u16(b, type);
    buf_u16(b, n_fds);
    buf_u64(b, tag);
}

enum err net_link_send(struct net_link *k, uint16_t type, uint64_t tag, struct slice a,
                       struct slice b)
{
    size_t n = a.n + b.n;
    must(n <= k->o.frame_max);
    bool is_loop = pthread_equal(pthread_self(), k->loop->thread);
    pthread_mutex_lock(&k->lock);
    if (k->is_closed) {
        pthread_mutex_unlock(&k->lock);
        return ERR_GONE;
    }
    if (k->out.max - k->out.n < n + HEAD_BYTES && k->out_at > 0) {
        buf_drop(&k->out, k->out_at);
        k->out_at = 0;
    }
    if (k->out.max - k->out.n < n + HEAD_BYTES) {
        pthread_mutex_unlock(&k->lock);
        return ERR_FULL;
    }
    add_head(&k->out, n, type, 0, tag);
    buf_adds(&k->out, a);
    buf_adds(&k->out, b);
    bool needs_loop = false;
    if (!is_loop && !k->is_waiting) {
        (void)push(k); /* a dead peer is noticed by the loop's reading */
        needs_loop = k->out.n > 0;
        k->is_waiting = needs_loop;
        if (needs_loop && k->is_posted)
            needs_loop = false;
        else
            k->is_posted = needs_loop;
    }
    pthread_mutex_unlock(&k->lock);
    if (is_loop)
        net_loop_late(k->loop, &k->flush);
    else if (needs_loop)
        net_loop_post(k->loop, wake_for_writing, k);
    return ERR_OK;
}

enum err net_link_send_fd(struct net_link *k, uint16_t type, uint64_t tag, struct slice payload,
                          int fd)
{
    SCOPED(buf_finish) struct buf b = buf_make(payload.n + HEAD_BYTES);
    add_head(&b, payload.n, type, 1, tag);
    buf_adds(&b, payload);
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {b.p, b.n};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    enum err err = ERR_GONE;
    pthread_mutex_lock(&k->lock);
    for (int tries = 0; tries < 50 && !k->is_closed; tries++) {
        if (!push(k))
            break;
        ssize_t n = k->out.n == 0 ? sendmsg(k->fd, &m, MSG_NOSIGNAL) : -1;
        if (n == (ssize_t)b.n) {
            err = ERR_OK;
            break;
        }
        if (n >= 0 || (k->out.n == 0 && errno != EAGAIN && errno != EINTR))
            break; /* a small frame is never cut on an empty socket; else the peer is gone */
        struct pollfd p = {.fd = k->fd, .events = POLLOUT};
        (void)poll(&p, 1, 20);
    }
    pthread_mutex_unlock(&k->lock);
    return err;
}

void net_link_flush(struct net_link *k)
{
    pthread_mutex_lock(&k->lock);
    if (!k->is_closed)
        (void)push(k); /* a dead peer is noticed by the loop's reading */
    pthread_mutex_unlock(&k->lock);
}

size_t net_link_queued(struct net_link *k)
{
    pthread_mutex_lock(&k->lock);
    size_t n = k->out.n - k->out_at;
    pthread_mutex_unlock(&k->lock);
    return n;
}

void net_link_pause(struct net_link *k, bool is_paused)
{
    if (k->is_paused == is_paused || k->is_closed)
        return;
    k->is_paused = is_paused;
    if (!is_paused && !k->is_busy && k->in.n > 0) {
        k->is_busy = true;
        bool is_good = digest(k, SLICE(""));
        k->is_busy = false;
        if (k->is_reaping) {
            reap(k);
            return;
        }
        if (!is_good) {
            k->is_busy = true;
            lost(k);
            k->is_busy = false;
            if (k->is_reaping)
                reap(k);
            return;
        }
    }
    if (!k->is_busy)
        want(k);
}
