/* The frame in which a role runs: one process, started by the supervisor.
 *
 * child_main maps the settings, drops all privileges, opens the control link, closes the sandbox
 * and then calls the role's wiring, which does the rest from the loop. Nothing of mail is here.
 * Everything is loop-thread only unless it says "any thread". */
#ifndef DAEMON_CHILD_H
#define DAEMON_CHILD_H

#include "base/log.h"
#include "daemon/settings.h"
#include "ipc/ipc.h"
#include "net/net.h"

struct child;

/* What a role brings. Any but `start` may be NULL. The order of a life:
 * before_sandbox, start, then linked / settings_changed in any order, stop. */
struct role_wiring {
    /* As the role's own user and without privileges, but before Landlock and seccomp: the last
     * chance to open what the sandbox forbids (preload iconv, set up OpenSSL). Must not start
     * threads: Landlock would not cover them. May call child_fail. */
    void (*before_sandbox)(struct child *c);
    /* Inside the sandbox; threads may start. May block (recovery) as long as child_progress is
     * called at least every 10 seconds. Calls child_ready, now or later. */
    void (*start)(struct child *c);
    /* A link to a process of another role; `fd` is the wiring's (net_link_open takes it). The same
     * peer again: that process is a new one, the old link is dead or about to be. May come before
     * child_ready; links of peers come and go as they are restarted. */
    void (*linked)(struct child *c, enum ipc_role peer, unsigned number, int fd);
    /* Finish or refuse what is open, commit, then child_done. gates get 5 seconds, everybody
     * together 15; then comes SIGKILL. NULL: done at once. */
    void (*stop)(struct child *c);
    /* child_settings, child_file give the new ones. Only reloadable keys differ. The TLS pair
     * has been checked to parse and to match; who cannot use it all the same keeps the old one. */
    void (*settings_changed)(struct child *c);
    /* Core only: which processes run, at each change. Borrowed for the call. */
    void (*processes)(struct child *c, const struct ipc_processes *p);
};
extern const struct role_wiring wiring_gate, wiring_door, wiring_core, wiring_courier,
    wiring_liaison, wiring_resolver;

/* The rest of the process's life, from main(): `staffetta --child gate 1`, made by the supervisor
 * only (descriptors at fixed numbers; anything else is refused with exit code 2). Returns the exit
 * code. */
int child_main(int argc, char **argv);

struct net_loop *child_loop(struct child *c);
enum ipc_role child_role(const struct child *c);
unsigned child_number(const struct child *c); /* from 1 */
/* Read-only, valid until the next settings_changed has returned. */
const struct settings *child_settings(const struct child *c);

/* The wiring's own state. */
void child_set_state(struct child *c, void *state);
void *child_state(const struct child *c);

/* "I serve." Once, at the end of starting. */
void child_ready(struct child *c);
/* "Still starting": says so in systemctl status and keeps the supervisor patient. `what` at most
 * 100 bytes. Any thread; leaves at once, also while the loop does not run. */
void child_progress(struct child *c, unsigned percent, const char *what);
/* "I have stopped": the loop ends, the process leaves with 0. Any thread. Without having been
 * asked to stop it counts as a death. */
void child_done(struct child *c);
/* That process sent nonsense over its link, which the caller has closed: the supervisor kills and
 * restarts it (who tells on core is restarted itself; core cannot be shot down). A new link comes
 * by `linked`. */
void child_nonsense(struct child *c, enum ipc_role peer, unsigned number, const char *why);
/* Cannot run because of something a person must change (a store of a newer version ...). Three
 * parts in words: what is wrong; what would be right. While the node starts, the whole start is
 * refused with this text; later the process is tried again with back-off. */
_Noreturn void child_fail(struct child *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The listeners of this role (gate: smtp, submission; door: https, metrics, admin). Bound,
 * listening, shared with the other processes of the role; the descriptor is the child's for its
 * whole life (net_listener_destroy closes it: that is fine). */
struct child_listener {
    int fd;
    const struct settings_listen *settings; /* as child_settings */
};
size_t child_n_listeners(const struct child *c);
struct child_listener child_listener(const struct child *c, size_t i);

/* Bytes of the files that the settings name, as the supervisor read them; the empty slice when not
 * set, or not for this role (certificate and key: gate, door; certificate alone: liaison; anchor:
 * resolver). Valid until the
 * next settings_changed has returned. */
enum child_file { CHILD_CERTIFICATE, CHILD_KEY, CHILD_TRUST_ANCHOR, CHILD_FILE_N };
struct slice child_file(const struct child *c, enum child_file file);

/* Memory of CHILD_SHARED_BYTES that all processes of this role share, zero at the node's start and
 * kept when a process dies: what is found there may be half written, or hostile. */
enum { CHILD_SHARED_BYTES = 9 << 20 };
void *child_shared(const struct child *c);

#endif
