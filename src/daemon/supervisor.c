/* The supervisor; see supervisor.h. */
#include "daemon/supervisor_int.h"

#include "daemon/child_int.h"
#include "daemon/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOG_PART = 200 }; /* of a long reason in one line: what log_text shows */

const struct supervisor_times supervisor_times_usual = {
    .ping = SECONDS(1),
    .stuck = SECONDS(10),
    .start = SECONDS(30),
    .start_core = SECONDS(120),
    .again_least = MILLISECONDS(100),
    .again_most = SECONDS(10),
    .again_forget = SECONDS(60),
    /* gate, door, courier, liaison, core, resolver: fifteen seconds in all. Half a second more than
     * each gives itself (wiring_*.c), or the kill would meet those that are just leaving. */
    .stop = {MILLISECONDS(4500), SECONDS(2), MILLISECONDS(2500), SECONDS(1), SECONDS(4),
             SECONDS(1)},
};

struct process *supervisor_find(struct supervisor *sv, unsigned role, unsigned number)
{
    for (size_t i = 0; i < sv->n_processes; i++)
        if ((unsigned)sv->processes[i].role->role == role && sv->processes[i].number == number)
            return &sv->processes[i];
    return NULL;
}

/* ---- links ---- */

static bool give_end(struct process *to, const struct process *peer, int fd)
{
    SCOPED(buf_finish) struct buf b = buf_make(16);
    ipc_link_pack(
        &b, &(struct ipc_link){.role = (uint8_t)peer->role->role, .number = (uint8_t)peer->number});
    return net_link_send_fd(to->control, IPC_T_link, 0, buf_slice(&b), fd) == ERR_OK;
}

static void link_two(struct process *a, struct process *b)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        process_kill(a); /* short of descriptors: comes again, and later */
        return;
    }
    /* Who does not read its control link gets a new one as a new process. */
    if (!give_end(a, b, pair[0]))
        process_kill(a);
    if (!give_end(b, a, pair[1]))
        process_kill(b);
    (void)close(pair[0]), (void)close(pair[1]);
}

void supervisor_link(struct supervisor *sv, struct process *fresh)
{
    for (size_t i = 0; i < sv->n_processes; i++) {
        struct process *peer = &sv->processes[i];
        if (peer != fresh && peer->control && !peer->is_killed &&
            roles_are_linked(peer->role->role, fresh->role->role))
            link_two(fresh, peer);
    }
}

/* ---- news ---- */

static void tell_core(struct supervisor *sv)
{
    struct ipc_process list[ROLES_PROCESSES_MAX];
    struct ipc_processes all = {.processes = list};
    SCOPED(buf_finish) struct buf b = buf_make(CHILD_FRAME_MAX);
    for (size_t i = 0; i < sv->n_processes; i++) {
        const struct process *p = &sv->processes[i];
        if (p->state == PROCESS_READY)
            list[all.n_processes++] = (struct ipc_process){.role = (uint8_t)p->role->role,
                                                           .number = (uint8_t)p->number,
                                                           .pid = (uint32_t)p->pid,
                                                           .since = p->since,
                                                           .n_restarts = p->n_restarts};
    }
    ipc_processes_pack(&b, &all);
    must(!b.failed);
    process_tell(supervisor_find(sv, IPC_CORE, 1), IPC_T_processes, buf_slice(&b));
}

static void tell_systemd(struct supervisor *sv, size_t n_ready)
{
    const struct process *busy = NULL;
    for (size_t i = 0; i < sv->n_processes; i++)
        if (sv->processes[i].doing[0])
            busy = &sv->processes[i];
    notify("STATUS=%zu of %zu processes ready%s%s%s%s", n_ready, sv->n_processes, busy ? "; " : "",
           busy ? process_name(busy).s : "", busy ? " " : "", busy ? busy->doing : "");
}

void supervisor_changed(struct supervisor *sv)
{
    size_t n_ready = 0;
    for (size_t i = 0; i < sv->n_processes; i++)
        n_ready += sv->processes[i].state == PROCESS_READY;
    tell_core(sv);
    tell_systemd(sv, n_ready);
    if (sv->was_ready || n_ready < sv->n_processes)
        return;
    sv->was_ready = true;
    log_event(EV_READY, "processes=%zu", n_ready);
    notify_surely("READY=1");
}

void supervisor_refuse(struct supervisor *sv, struct process *p, struct slice why)
{
    /* While the node starts, a person is watching; later the others go on without. */
    do {
        struct slice part = slice_of(why.p, why.n < LOG_PART ? why.n : LOG_PART);
        log_event(EV_PROCESS_REFUSED, "process=%s why=%s%s", process_name(p).s, log_text(part),
                  sv->was_ready ? "" : " staffetta=\"not started\"");
        why = slice_skip(why, part.n);
    } while (why.n > 0);
    if (!sv->was_ready)
        supervisor_stop(sv, 1);
}

/* ---- stopping ---- */

static size_t alive_in(const struct supervisor *sv, unsigned phase, bool is_any_phase)
{
    size_t n = 0;
    for (size_t i = 0; i < sv->n_processes; i++) {
        const struct process *p = &sv->processes[i];
        n += p->state != PROCESS_AWAY && (is_any_phase || p->role->stop_phase == phase);
    }
    return n;
}

static void ask_to_stop(struct supervisor *sv)
{
    for (size_t i = 0; i < sv->n_processes; i++) {
        struct process *p = &sv->processes[i];
        if (p->role->stop_phase != sv->phase || p->state == PROCESS_AWAY)
            continue;
        p->is_stopping = true;
        process_tell(p, IPC_T_stop, SLICE(""));
    }
    net_timer_set(sv->phase_end, sv->o->times->stop[sv->phase]);
}

static void next_phase(struct supervisor *sv)
{
    while (sv->phase < SUPERVISOR_STOP_PHASES && alive_in(sv, sv->phase, false) == 0)
        sv->phase++;
    if (sv->phase < SUPERVISOR_STOP_PHASES)
        ask_to_stop(sv);
    else
        net_loop_stop(sv->loop);
}

void supervisor_gone(struct supervisor *sv, struct process *)
{
    if (alive_in(sv, sv->phase, false) == 0)
        next_phase(sv);
}

static void kill_phase(struct supervisor *sv, bool is_any_phase)
{
    for (size_t i = 0; i < sv->n_processes; i++) {
        struct process *p = &sv->processes[i];
        if (p->state == PROCESS_AWAY || p->is_killed ||
            (!is_any_phase && p->role->stop_phase != sv->phase))
            continue;
        log_event(EV_PROCESS_KILLED, "process=%s", process_name(p).s);
        p->is_stopping = true;
        process_kill(p);
    }
}

static void on_phase_end(void *arg)
{
    kill_phase(arg, false);
}

void supervisor_stop(struct supervisor *sv, int exit_code)
{
    if (sv->is_stopping) {
        kill_phase(sv, true);
        return;
    }
    sv->is_stopping = true;
    sv->exit_code = exit_code;
    log_event(EV_STOPPING, "processes=%zu", alive_in(sv, 0, true));
    notify_surely("STOPPING=1\nSTATUS=stopping");
    for (size_t i = 0; i < sv->n_processes; i++)
        net_timer_stop(sv->processes[i].again);
    next_phase(sv);
}

/* ---- reload ---- */

static void refuse_reload(struct supervisor *sv, const struct settings_problems *problems)
{
    for (uint32_t i = 0; i < problems->n; i++) {
        const struct settings_problem *p = &problems->list[i];
        log_event(EV_SETTINGS, "file=%s line=%u what=%s advice=%s done=\"%s\"",
                  log_text(slice_str(sv->o->settings_path)), p->line, log_text(slice_str(p->what)),
                  log_text(slice_str(p->advice)), "the old settings stay in effect");
    }
}

static void reload(struct supervisor *sv)
{
    struct settings_problems problems;
    struct settings_loaded fresh = {};
    char key[64];
    notify_surely("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mono_now());
    bool is_good = settings_load(sv->o->settings_path, &fresh, &problems);
    if (is_good && !settings_may_replace(sv->loaded.settings, fresh.settings, key)) {
        settings_problem_add(&problems, settings_line(fresh.settings, key),
                             "Restart staffetta for it, or take the change back.",
                             "%s cannot change while running", key);
        is_good = false;
    }
    if (is_good) {
        settings_unload(&sv->loaded);
        sv->loaded = fresh;
        log_set_level((enum log_level)fresh.settings->log.level);
        for (size_t i = 0; i < sv->n_processes; i++)
            process_give_settings(&sv->processes[i]);
        log_event(EV_SETTINGS_CHANGED, "file=%s", log_text(slice_str(sv->o->settings_path)));
    } else {
        settings_unload(&fresh);
        refuse_reload(sv, &problems);
    }
    if (sv->was_ready)
        notify_surely("READY=1");
}

/* ---- signals and the tick ---- */

static void reap(struct supervisor *sv)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < sv->n_processes; i++)
            if (sv->processes[i].pid == pid)
                process_reaped(&sv->processes[i], status);
}

static void on_signal(void *arg, int)
{
    struct supervisor *sv = arg;
    struct signalfd_siginfo info;
    if (read(sv->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD)
        reap(sv);
    else if (info.ssi_signo == SIGHUP && !sv->is_stopping)
        reload(sv);
    else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
        supervisor_stop(sv, 0);
}

static void on_tick(void *arg)
{
    struct supervisor *sv = arg;
    mono_us now = mono_now();
    /* We slept ourselves (a stopped machine, a long reload): nobody's silence counts. */
    bool was_asleep = now - sv->ticked > sv->o->times->stuck / 2;
    sv->ticked = now;
    if (notify_has_watchdog())
        notify("WATCHDOG=1");
    for (size_t i = 0; i < sv->n_processes && !sv->is_stopping; i++) {
        if (was_asleep)
            sv->processes[i].heard = now;
        process_watch(&sv->processes[i], now);
    }
    net_timer_set(sv->tick, sv->o->times->ping);
}

/* ---- the life ---- */

static void take_signals(struct supervisor *sv)
{
    sigset_t ours;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGCHLD), (void)sigaddset(&ours, SIGHUP);
    (void)sigaddset(&ours, SIGTERM), (void)sigaddset(&ours, SIGINT);
    must(sigprocmask(SIG_BLOCK, &ours, NULL) == 0); /* before the log's thread, which inherits it */
    sv->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    must(sv->signal_fd >= 0);
    sv->signals = net_watch_create(sv->loop, sv->signal_fd, on_signal, sv);
    net_watch_want(sv->signals, NET_READ);
}

static int shared_memory(void)
{
    int fd = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    must(fd >= 0 && ftruncate(fd, CHILD_SHARED_BYTES) == 0);
    must(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    return fd;
}

static void say_users(const struct supervisor *sv)
{
    if (!sv->prepared.is_root)
        log_event(EV_PROCESS_USERS,
                  "all processes run as user %u; started as root, each has its own", geteuid());
    else if (!sv->prepared.has_users)
        log_event(EV_PROCESS_USERS, "not all users %s* exist; numbers from %u on are used",
                  sv->loaded.settings->node.user_prefix, sv->prepared.users[0].uid);
}

static void begin(struct supervisor *sv, const struct supervisor_options *o)
{
    sv->o = o;
    sv->loaded = *o->take_loaded;
    sv->prepared = *o->take_prepared;
    *o->take_loaded = (struct settings_loaded){};
    *o->take_prepared = (struct prepared){.data_lock = -1};
    notify_open();
    sv->loop = net_loop_create();
    take_signals(sv);
    log_init("supervisor", (enum log_level)sv->loaded.settings->log.level);
    log_start();
    sv->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    must(sv->null_fd >= 0);
    sv->tick = net_timer_create(sv->loop, on_tick, sv);
    sv->phase_end = net_timer_create(sv->loop, on_phase_end, sv);
    for (size_t i = 0; i < ROLES_N; i++)
        sv->shared[i] = shared_memory();
    for (size_t i = 0; i < ROLES_N; i++)
        for (unsigned k = 1; k <= roles_count(sv->loaded.settings, roles[i].role); k++)
            process_init(&sv->processes[sv->n_processes++], sv, &roles[i], k);
    say_users(sv);
}

static void end(struct supervisor *sv)
{
    for (size_t i = 0; i < sv->n_processes; i++)
        process_finish(&sv->processes[i]);
    for (size_t i = 0; i < ROLES_N; i++)
        fd_close(&sv->shared[i]);
    net_timer_destroy(&sv->tick);
    net_timer_destroy(&sv->phase_end);
    net_watch_destroy(&sv->signals);
    fd_close(&sv->signal_fd);
    fd_close(&sv->null_fd);
    net_loop_destroy(&sv->loop);
    prepare_undo(&sv->prepared);
    settings_unload(&sv->loaded);
    log_event(EV_STOPPED, "exit=%d", sv->exit_code);
    log_stop();
}

int supervisor_run(const struct supervisor_options *o)
{
    static struct supervisor the_supervisor;
    struct supervisor *sv = &the_supervisor;
    begin(sv, o);
    for (size_t i = 0; i < sv->n_processes; i++)
        process_start(&sv->processes[i]);
    sv->ticked = mono_now();
    net_timer_set(sv->tick, o->times->ping);
    net_loop_run(sv->loop);
    end(sv);
    return sv->exit_code;
}
