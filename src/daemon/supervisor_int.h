/* Inside the supervisor: its own state and a process's. */
#ifndef DAEMON_SUPERVISOR_INT_H
#define DAEMON_SUPERVISOR_INT_H

#include "base/log.h"
#include "daemon/supervisor.h"
#include "net/net.h"

#include <sys/types.h>

struct supervisor;

enum process_state {
    PROCESS_AWAY,     /* none; perhaps one is due */
    PROCESS_STARTING, /* until its `ready` */
    PROCESS_READY,
};

/* The place of a process; the processes in it come and go. */
struct process {
    struct supervisor *sv;
    const struct roles_row *role;
    unsigned number;
    enum process_state state;
    pid_t pid;                /* 0: none, or reaped */
    struct net_link *control; /* NULL: none, or hung up */
    struct net_timer *again;  /* the next start */
    mono_us wait;             /* before the next start but one */
    mono_us started, heard;
    mono_us accused; /* when it last told on another process; 0: never */
    utc_ms since;
    uint32_t n_restarts;
    unsigned n_frames; /* since the last tick */
    int status;        /* of waitpid, when reaped */
    bool is_stopping;  /* was asked to */
    bool is_killed;    /* by us, and it was said why */
    char doing[128];   /* what it says while starting */
};

struct supervisor {
    const struct supervisor_options *o;
    struct settings_loaded loaded;
    struct prepared prepared;
    struct net_loop *loop;
    struct net_timer *tick, *phase_end;
    struct net_watch *signals;
    int signal_fd, null_fd;
    int shared[ROLES_N]; /* memory shared by the processes of a role */
    struct process processes[ROLES_PROCESSES_MAX];
    size_t n_processes;
    mono_us ticked; /* when the last tick was */
    bool was_ready; /* once all at the same time */
    bool is_stopping;
    unsigned phase; /* of stopping */
    int exit_code;
};

/* ---- process.c: one process ---- */

void process_init(struct process *p, struct supervisor *sv, const struct roles_row *role,
                  unsigned number);
void process_finish(struct process *p);
void process_start(struct process *p); /* now; on failure tries again later */
void process_reaped(struct process *p, int status);
void process_kill(struct process *p); /* SIGKILL; its end comes by SIGCHLD */
/* Without a payload: "" and a frame of this type. */
void process_tell(struct process *p, enum ipc_type type, struct slice payload);
void process_give_settings(struct process *p);
void process_watch(struct process *p, mono_us now); /* each tick: stuck? then ask again */
struct roles_text process_name(const struct process *p);

/* ---- spawn.c: a new process image ---- */

/* fork and exec of ourselves with everything at its place; the process's pid and our end of its
 * control socket. ERR_RETRY when the machine is short of something. */
enum err spawn(struct supervisor *sv, const struct process *p, pid_t *ret_pid, int *ret_control,
               struct errinfo *ei);

/* ---- supervisor.c: what a process's news mean for all ---- */

struct process *supervisor_find(struct supervisor *sv, unsigned role, unsigned number);
void supervisor_link(struct supervisor *sv, struct process *fresh); /* with all its peers */
void supervisor_changed(struct supervisor *sv); /* somebody came, went or is ready: tell */
void supervisor_gone(struct supervisor *sv, struct process *p); /* while stopping */
void supervisor_refuse(struct supervisor *sv, struct process *p, struct slice why);
void supervisor_stop(struct supervisor *sv, int exit_code);

#endif
