/* Questions to the resolver from threads that may block (courier, liaison). */
#ifndef DAEMON_NAMES_H
#define DAEMON_NAMES_H

#include "daemon/child.h"

struct names;
struct names *names_create(struct child *c);
void names_link(struct names *n, int fd); /* the resolver's new link; loop thread */
/* courier_resolve_fn: any thread, blocks until the answer or the deadline. */
enum err names_ask(void *names, const struct ipc_name_ask *ask, mono_us deadline, struct arena *a,
                   struct ipc_name_told *ret);
/* Everybody who waits gives up now. Any thread. */
void names_cancel(struct names *n);

#endif
