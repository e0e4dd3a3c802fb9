/* Core's desk: answers the other processes, asks the rooms that decide, writes to the store.
 *
 * One loop thread owns everything here; the store's threads and a few workers (reading the index,
 * reading bodies) only hand things over by net_loop_post. */
#ifndef DESK_DESK_H
#define DESK_DESK_H

#include "ipc/ipc.h"
#include "net/net.h"

enum { DESK_PREFIX_MAX = 200000 }; /* bytes of our headers before a message, at most */

/* What may change while running. */
struct desk_controls { /* hosts outside that always answer */
    struct {
        char address[46];
        uint16_t port;
    } hosts[16];
    uint32_t n_hosts;
    char name[256]; /* that can always be resolved; "": not asked */
};
struct desk_limits {
    struct desk_controls controls;
    uint32_t free_percent; /* below: no new mail */
    uint32_t alarm_percent;
    uint64_t message_bytes;
    uint64_t bytes_in_flight; /* of all gates */
    uint64_t mailbox_bytes;   /* of memory for mailboxes in use; 0: 512 MiB */
    uint64_t web_bytes;       /* of people's requests and uploads, of all doors; 0: 512 MiB */
    uint32_t queue_items, per_destination, per_primary;
};

struct desk_options {
    struct net_loop *loop;
    const char *node; /* our name; borrowed for good, as `data` */
    const char *data; /* the store's folder */
    uint32_t segment_bytes;
    unsigned store_pool;
    struct desk_limits limits;
    uint32_t jobs;            /* that the courier may have at once; 0: 2000 */
    uint32_t store_changes;   /* that may wait for being written; 0: 4096 */
    uint32_t hops_ours;       /* times a message may pass through us */
    mono_us answer_within;    /* a sender waits for its primary's answer at most so long; 0: 20 s */
    uint32_t again_rows;      /* deliveries that giving again holds in memory; 0: 20000 */
    uint32_t mailback_emails; /* that one batch of giving back looks at; 0: 20000 */
    uint32_t mailback_bytes;  /* of memory for what it sees; 0: 64 MiB */
    mono_us tick;             /* of everything that waits for time; 0: 100 ms */
    void *arg;
    void (*nonsense)(void *arg, enum ipc_role peer, unsigned number, const char *why);
    void (*progress)(void *arg, unsigned percent);
};

struct desk;
/* Recovers the store: may take long. ERR_* as store_open. */
enum err desk_create(const struct desk_options *o, struct desk **ret, struct errinfo *ei);
/* A new link to that process; the old one, if any, is dead. Takes the descriptor. */
void desk_link(struct desk *d, enum ipc_role peer, unsigned number, int fd);
void desk_limits(struct desk *d, const struct desk_limits *limits);
void desk_processes(struct desk *d, const struct ipc_processes *p);
/* Take no new mail any more, let results come in for at most `within`, then `done`. */
void desk_stop(struct desk *d, mono_us within, void (*done)(void *arg), void *arg);
void desk_destroy(struct desk **d); /* commits and closes the store */

#endif
