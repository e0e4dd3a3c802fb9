/* Words to systemd (sd_notify(3)'s protocol): ready, stopping, status, watchdog. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "base/base.h"

/* Reads NOTIFY_SOCKET (a path, or @ and an abstract name) and the WATCHDOG variables, and removes
 * them from the environment, so that no child speaks for us. Without them nothing is sent. */
void notify_open(void);
/* "READY=1", several lines separated by newlines. Blocks at most 0.2 s while the listener's
 * queue is full, since READY must not get lost; never fails: nobody may listen. */
void notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool notify_has_watchdog(void);

#endif
