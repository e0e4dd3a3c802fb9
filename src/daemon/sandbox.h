/* What each role may do, as one table, and the means: users, capabilities, limits, Landlock,
 * seccomp.
 *
 * seccomp is the rule that counts ("no connect", "no files"); Landlock narrows files to the data
 * directory and, where the kernel has it, TCP; a missing means is logged, the others hold.
 * What is dangerous whoever asks (execve, ptrace, mount ...) kills the process; anything else that
 * is not on the role's list fails with EPERM, because libraries try things that they can do
 * without. New in a sandboxed build of ASan: what its reports need, nothing of which opens the
 * network. */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include "base/base.h"
#include "ipc/ipc.h"

enum {
    SANDBOX_PARSER = 128,         /* beside enum ipc_role: the short-lived reader of settings */
    SANDBOX_LANDLOCK_NEWEST = 99, /* no cap */
};

/* Give up all privileges: groups, user, capabilities (also for later), new privileges; no core
 * dumps, all descriptors the hard limit allows, umask 077. As root `uid` and `gid` are taken on; as
 * anybody else they are ignored. Not to be undone. Before any thread. */
enum err sandbox_drop_privileges(uint32_t uid, uint32_t gid, struct errinfo *ei);

/* Landlock for this thread and those it will start. `data` is the only directory the core may
 * reach into. `newest`: pretend that the kernel knows no more than this ABI (tests).
 * `*ret_abi`: what was used, 0 none (the caller logs it as degraded). */
enum err sandbox_close_files(unsigned role, const char *data, int newest, int *ret_abi,
                             struct errinfo *ei);

/* seccomp for all threads of the process. After sandbox_drop_privileges. */
enum err sandbox_close_calls(unsigned role, struct errinfo *ei);

#endif
