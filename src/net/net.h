/* The loop of a process: events, timers, tasks from other threads; and the links between
 * processes. A thin face over libevent: nobody else includes it.
 *
 * One loop, one thread; everything here is loop-thread only unless it says "any thread". */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/base.h"

struct net_loop;

struct net_loop *net_loop_create(void);
void net_loop_destroy(struct net_loop **l);
void net_loop_run(struct net_loop *l);  /* until net_loop_stop */
void net_loop_stop(struct net_loop *l); /* any thread */
/* Run fn(arg) on the loop's thread, in order. Any thread. Bounded by what the callers post. */
void net_loop_post(struct net_loop *l, void (*fn)(void *arg), void *arg);
/* On the loop's thread: what was posted until now runs before this returns. For who is about to
 * free what the tasks refer to. False: there was nothing. */
bool net_loop_settle(struct net_loop *l);

/* Called at the end of the turn in which it was asked for, once; used to batch writes and to free
 * what ended. The node is the caller's and must be initialised with list_init. */
struct net_late {
    struct list node;
    void (*fn)(struct net_late *late);
};
void net_loop_late(struct net_loop *l, struct net_late *late);

struct net_timer;
struct net_timer *net_timer_create(struct net_loop *l, void (*fn)(void *arg), void *arg);
void net_timer_destroy(struct net_timer **t);
void net_timer_set(struct net_timer *t, mono_us from_now); /* once; sets anew if set */
void net_timer_stop(struct net_timer *t);

/* Watch a descriptor (level-triggered). */
enum { NET_READ = 1, NET_WRITE = 2 };
struct net_watch;
struct net_watch *net_watch_create(struct net_loop *l, int fd, void (*fn)(void *arg, int what),
                                   void *arg);
void net_watch_destroy(struct net_watch **w);
void net_watch_want(struct net_watch *w, int what); /* NET_READ | NET_WRITE, or 0 */

/* ---- links: framed messages over a Unix socket ------------------------------------------- */

/* A frame is {u32 bytes, u16 type, u16 descriptors (0 or 1), u64 tag} and the payload. */
struct net_frame {
    uint16_t type;
    uint64_t tag;
    struct slice payload; /* borrowed for the call */
    int fd;               /* a descriptor that came along (the receiver's now), or -1 */
};

struct net_link;
/* A type that nobody may send: what came cannot be a frame. It is handed to `frame`, without a
 * payload, so that nonsense is told and answered in one place whatever it looks like; if that does
 * not close the link, it is closed then. */
#define NET_NONSENSE 0xffff
struct net_link_options {
    size_t frame_max; /* payload; longer is nonsense */
    size_t queue_max; /* bytes that wait to be sent; more is ERR_FULL */
    bool takes_fds;
    void (*frame)(void *arg, struct net_link *link, struct net_frame *frame);
    void (*closed)(void *arg, struct net_link *link); /* the peer is gone */
    void *arg;
};
/* Takes the descriptor (made non-blocking). */
struct net_link *net_link_open(struct net_loop *l, int fd, const struct net_link_options *o);
/* No callback any more after this; what waits to be sent is lost. */
void net_link_close(struct net_link **link);
/* Any thread. The payload is `a` then `b`. On the loop's thread the bytes leave at the end of the
 * turn, together; on others at once. ERR_FULL over queue_max (nothing is queued); ERR_GONE closed.
 */
enum err net_link_send(struct net_link *link, uint16_t type, uint64_t tag, struct slice a,
                       struct slice b);
/* With a descriptor, which stays the caller's. Blocks shortly if it must. Loop thread. */
enum err net_link_send_fd(struct net_link *link, uint16_t type, uint64_t tag, struct slice payload,
                          int fd);
/* Write what the socket takes now, for a last word or while the loop does not run. Any thread. */
void net_link_flush(struct net_link *link);
size_t net_link_queued(struct net_link *link); /* bytes that wait; any thread */
/* Stop or go on reading (back pressure on the writer). */
void net_link_pause(struct net_link *link, bool is_paused);

/* ---- listeners --------------------------------------------------------------------------- */

/* Takes the listening descriptor, which must be non-blocking. `fn` gets each accepted,
 * non-blocking, TCP_NODELAY descriptor and owns it. */
struct net_listener;
struct sockaddr_storage;
struct net_listener *
net_listener_create(struct net_loop *l, int fd,
                    void (*fn)(void *arg, int fd, const struct sockaddr_storage *peer), void *arg);
void net_listener_pause(struct net_listener *li, bool is_paused);
void net_listener_destroy(struct net_listener **li);

/* "192.0.2.1", "2001:db8::1" (an IPv4-mapped address as IPv4); empty for others. 46 bytes. */
void net_address_text(const struct sockaddr_storage *address, char ret[64]);
/* 4 or 16 bytes in ret; their number, 0 for others. IPv4-mapped gives 4. */
size_t net_address_bytes(const struct sockaddr_storage *address, unsigned char ret[16]);
bool net_address_parse(struct slice text, uint16_t port, struct sockaddr_storage *ret);

#endif
