/* Inside net: the loop's parts. */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H

#include "net/net.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>

/* A stream that says goodbye; `free` frees it at once. */
struct net_leaving {
    struct list node;
    void (*free)(struct net_leaving *leaving);
};

struct net_loop {
    struct event_base *base;
    struct event *wake;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    struct list tasks;   /* under lock */
    struct list todo;    /* taken from it, not yet run */
    bool is_woken;       /* under lock */
    struct list late;    /* loop only */
    struct list leaving; /* loop only: streams that are closed and say goodbye */
    size_t n_leaving;
    /* What was just read, by links and by streams; loop only, made when first needed. In the
     * loop's memory and not thread-local: that would be zeroed in the stack of every thread. */
    char *link_bytes, *stream_bytes;
    atomic_bool is_stopping;
};

#endif
