/* The supervisor: starts a process for each role, links them, watches, restarts and stops them.
 * It parses nothing from outside; what its children say is hostile input. */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include "daemon/prepare.h"
#include "daemon/settings_load.h"

enum { SUPERVISOR_STOP_PHASES = 6 };

/* All in microseconds. */
struct supervisor_times {
    mono_us ping;        /* asked this often */
    mono_us stuck;       /* without any answer: killed */
    mono_us start;       /* without a word before `ready`: killed */
    mono_us start_core;  /* the same for the core, which says how its recovery goes */
    mono_us again_least; /* the second restart waits so long, then doubling */
    mono_us again_most;
    mono_us again_forget;                 /* who lived so long has a clean record */
    mono_us stop[SUPERVISOR_STOP_PHASES]; /* then killed; roles_row.stop_phase */
};
extern const struct supervisor_times supervisor_times_usual;

struct supervisor_options {
    const char *settings_path; /* read again on SIGHUP */
    struct settings_loaded *take_loaded;
    struct prepared *take_prepared;
    const struct supervisor_times *times;
};

/* Until SIGTERM or SIGINT, and then until all have stopped; the second signal kills at once.
 * Returns the exit code: 0 stopped as asked, 1 the start was refused by a process (its reason is in
 * the log). The calling thread must be the process's first. */
int supervisor_run(const struct supervisor_options *o);

#endif
