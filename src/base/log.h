/* Log lines are events from a table: "time level process event key=value ...".
 *
 * One call, one line, to standard error. A thread of its own does the writing, so that logging
 * never blocks a loop; when its ring is full, lines are dropped and the drop is counted and said.
 * Never log bodies or secrets; bytes from peers only through LOG_SLICE. Thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* error: a person must act; warn: we coped; info: outcomes and state changes; debug: steps. */
#define LOG_EVENT(id, name, level, meaning) EV_##id,
enum log_event_id {
#include "base/events.def"
    EV_N
};
#undef LOG_EVENT

/* `process` appears in each line ("gate/1"). Before log_start lines are written directly. */
void log_init(const char *process, enum log_level most);
void log_set_level(enum log_level most); /* any thread */
void log_start(void); /* starts the writing thread; after fork, before the sandbox */
void log_stop(void);  /* writes what waits (at most one second) and ends the thread */

void log_event(enum log_event_id id, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *log_event_name(enum log_event_id id);
uint64_t log_dropped(void);

/* Escaped and quoted for a log line, at most 200 bytes of it; valid for the next 8 calls of the
 * same thread. */
const char *log_text(struct slice s);

#endif
