/* A process's words to core from any thread, and once a second its refusals and figures. */
#ifndef DAEMON_REPORT_H
#define DAEMON_REPORT_H

#include "ipc/ipc.h"
#include "net/net.h"

struct report;
/* `figures` is called on the loop once a second and calls report_figure. May be NULL. */
struct report *report_create(struct net_loop *l, void (*figures)(void *arg, struct report *r),
                             void *arg);
void report_link(struct report *r, struct net_link *core); /* borrowed; NULL: core is away */
/* Any thread. Without core it is dropped: core treats what it never heard of as unanswered. */
void report_send(struct report *r, enum ipc_type type, uint64_t tag, struct buf *payload);
void report_figure(struct report *r, const char *name, uint64_t value);

#endif
