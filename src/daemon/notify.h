/* Words to systemd (sd_notify(3)'s protocol): ready, stopping, status, watchdog. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "base/base.h"

/* Reads NOTIFY_SOCKET (a path, or @ and an abstract name) and the WATCHDOG variables, and removes
 * them from the environment, so that no child speaks for us. Without them nothing is sent. */
void notify_open(void);
/* "STATUS=...", several lines separated by newlines. Never blocks, never fails: nobody may listen,
 * and who listens slowly loses words. */
void notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "READY=1" and other words that change what systemd does: waits up to 0.2 s for a full queue. */
void notify_surely(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool notify_has_watchdog(void);

#endif
