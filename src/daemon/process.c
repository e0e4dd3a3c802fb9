/* One process as the supervisor sees it: its start, its words, its end. */
#include "daemon/supervisor_int.h"

#include "daemon/child_int.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum { QUEUE_MAX = 256 << 10, ACCUSER_SECONDS = 60, FRAMES_A_TICK = 500 };

struct roles_text process_name(const struct process *p)
{
    return roles_process_name(p->role->role, p->number);
}

void process_tell(struct process *p, enum ipc_type type, struct slice payload)
{
    /* A full queue is a child that does not read: the watch finds it. */
    if (p->control)
        (void)!net_link_send(p->control, (uint16_t)type, 0, payload, SLICE(""));
}

void process_kill(struct process *p)
{
    if (p->pid > 0)
        (void)kill(p->pid, SIGKILL);
    p->is_killed = true;
}

/* ---- the end ---- */

static void log_end(const struct process *p)
{
    unsigned long lived_ms = (unsigned long)((mono_now() - p->started) / 1000);
    /* Also when our kill was already on its way: it was asked to stop, and that is what it did. */
    if (p->is_stopping && WIFEXITED(p->status) && WEXITSTATUS(p->status) == 0)
        log_event(EV_PROCESS_STOP, "process=%s", process_name(p).s);
    else if (WIFSIGNALED(p->status))
        log_event(EV_PROCESS_DIED, "process=%s signal=%d lived_ms=%lu", process_name(p).s,
                  WTERMSIG(p->status), lived_ms);
    else
        log_event(EV_PROCESS_DIED, "process=%s exit=%d lived_ms=%lu", process_name(p).s,
                  WEXITSTATUS(p->status), lived_ms);
}

/* The first death is followed by a new start at once: a crash must cost nobody a connection more
 * than it has to. Whoever dies again soon waits longer and longer. */
static void start_again(struct process *p)
{
    const struct supervisor_times *times = p->sv->o->times;
    if (mono_now() - p->started >= times->again_forget)
        p->wait = 0;
    net_timer_set(p->again, p->wait);
    p->wait = p->wait == 0 ? times->again_least : 2 * p->wait;
    if (p->wait > times->again_most)
        p->wait = times->again_most;
    p->n_restarts++;
}

/* Both the process and its last words are here. */
static void ended(struct process *p)
{
    if (p->pid != 0 || p->control || p->state == PROCESS_AWAY)
        return;
    log_end(p);
    p->state = PROCESS_AWAY;
    p->doing[0] = '\0';
    if (p->sv->is_stopping) {
        supervisor_gone(p->sv, p);
        return;
    }
    start_again(p);
    supervisor_changed(p->sv);
}

void process_reaped(struct process *p, int status)
{
    p->pid = 0;
    p->status = status;
    ended(p);
}

static void on_closed(void *arg, struct net_link *)
{
    struct process *p = arg;
    net_link_close(&p->control);
    if (p->pid > 0) /* about to end anyway, or sent nonsense to us, or hung up and plays on */
        (void)kill(p->pid, SIGKILL);
    ended(p);
}

/* ---- words ---- */

static void on_ready(struct process *p)
{
    if (p->state != PROCESS_STARTING)
        return;
    p->state = PROCESS_READY;
    p->doing[0] = '\0';
    log_event(EV_PROCESS_START, "process=%s pid=%d restarts=%u", process_name(p).s, (int)p->pid,
              p->n_restarts);
    supervisor_changed(p->sv);
}

static bool on_progress(struct process *p, struct slice payload)
{
    struct ipc_progress progress;
    if (!ipc_progress_unpack(payload, NULL, &progress) || progress.percent > 100)
        return false;
    if (p->state != PROCESS_STARTING)
        return true;
    snprintf(p->doing, sizeof(p->doing), "%s %u %%", log_text(progress.what), progress.percent);
    supervisor_changed(p->sv);
    return true;
}

static bool on_failed(struct process *p, struct slice payload)
{
    struct ipc_failed failed;
    if (!ipc_failed_unpack(payload, NULL, &failed))
        return false;
    supervisor_refuse(p->sv, p, failed.why);
    return true;
}

/* `p` says that another process sent it nonsense. That one is killed, so that it comes back clean.
 * But the teller may be the hostile one: telling on the core, whose facts everybody needs, or
 * telling twice within a minute, costs the teller its own life. Either way both get a new link. */
static bool on_nonsense(struct process *p, struct slice payload)
{
    struct ipc_nonsense n;
    if (!ipc_nonsense_unpack(payload, NULL, &n) || !roles_are_linked(p->role->role, n.role))
        return false;
    struct process *other = supervisor_find(p->sv, n.role, n.number);
    if (!other)
        return false;
    mono_us now = mono_now();
    bool is_core = p->role->role == IPC_CORE;
    bool was_telling = p->accused != 0 && now - p->accused < SECONDS(ACCUSER_SECONDS);
    p->accused = now;
    log_event(EV_IPC_NONSENSE, "from=%s told_by=%s why=%s", process_name(other).s,
              process_name(p).s, log_text(n.why));
    if (other->role->role != IPC_CORE)
        process_kill(other);
    if (!is_core && (was_telling || other->role->role == IPC_CORE))
        process_kill(p);
    return true;
}

static bool take_frame(struct process *p, const struct net_frame *f)
{
    /* A flood would cost the supervisor its time, and the core its news. */
    if (!ipc_may_send(f->type, p->role->role, IPC_SUPERVISOR) || ++p->n_frames > FRAMES_A_TICK)
        return false;
    p->heard = mono_now();
    if (f->type == IPC_T_ready)
        on_ready(p);
    if (f->type == IPC_T_progress)
        return on_progress(p, f->payload);
    if (f->type == IPC_T_failed)
        return on_failed(p, f->payload);
    if (f->type == IPC_T_nonsense)
        return on_nonsense(p, f->payload);
    return true;
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct process *p = arg;
    if (p->is_killed || take_frame(p, f))
        return;
    log_event(EV_IPC_NONSENSE, "from=%s told_by=supervisor type=%s", process_name(p).s,
              ipc_type_name(f->type));
    process_kill(p);
}

/* ---- the start ---- */

void process_start(struct process *p)
{
    struct errinfo ei = {};
    int control = -1;
    const struct net_link_options options = {.frame_max = CHILD_FRAME_MAX,
                                             .queue_max = QUEUE_MAX,
                                             .frame = on_frame,
                                             .closed = on_closed,
                                             .arg = p};
    p->started = p->heard = mono_now();
    p->since = utc_now();
    p->accused = 0;
    p->status = 0;
    p->is_stopping = p->is_killed = false;
    if (spawn(p->sv, p, &p->pid, &control, &ei) != ERR_OK) {
        log_event(EV_PROCESS_DIED, "process=%s why=%s", process_name(p).s,
                  log_text(slice_str(ei.text)));
        if (p->wait == 0)
            p->wait = p->sv->o->times->again_least; /* short of something: not at once */
        start_again(p);
        return;
    }
    p->control = net_link_open(p->sv->loop, control, &options);
    p->state = PROCESS_STARTING;
    supervisor_link(p->sv, p);
    supervisor_changed(p->sv);
}

static void on_again(void *arg)
{
    struct process *p = arg;
    if (p->state == PROCESS_AWAY && !p->sv->is_stopping)
        process_start(p);
}

void process_init(struct process *p, struct supervisor *sv, const struct roles_row *role,
                  unsigned number)
{
    *p = (struct process){.sv = sv, .role = role, .number = number};
    p->again = net_timer_create(sv->loop, on_again, p);
}

void process_finish(struct process *p)
{
    net_timer_destroy(&p->again);
    net_link_close(&p->control);
}

/* ---- watching and reloading ---- */

void process_watch(struct process *p, mono_us now)
{
    const struct supervisor_times *times = p->sv->o->times;
    mono_us patience = times->stuck;
    p->n_frames = 0;
    if (p->state == PROCESS_STARTING)
        patience = p->role->role == IPC_CORE ? times->start_core : times->start;
    if (p->state == PROCESS_AWAY || p->is_killed)
        return;
    if (now - p->heard > patience) {
        log_event(EV_PROCESS_STUCK, "process=%s pid=%d silent_ms=%lu", process_name(p).s,
                  (int)p->pid, (unsigned long)((now - p->heard) / 1000));
        process_kill(p);
        return;
    }
    process_tell(p, IPC_T_ping, SLICE(""));
}

static bool give(struct process *p, enum ipc_settings_kind kind, int fd)
{
    SCOPED(buf_finish) struct buf b = buf_make(16);
    ipc_settings_pack(&b, &(struct ipc_settings){.kind = (uint8_t)kind});
    return net_link_send_fd(p->control, IPC_T_settings, 0, buf_slice(&b), fd) == ERR_OK;
}

void process_give_settings(struct process *p)
{
    const struct settings_loaded *l = &p->sv->loaded;
    bool is_given = true;
    if (!p->control)
        return;
    if (p->role->has_certificate && l->files[CHILD_CERTIFICATE] >= 0)
        is_given = give(p, IPC_SETTINGS_CERTIFICATE, l->files[CHILD_CERTIFICATE]) &&
                   (!p->role->has_tls || give(p, IPC_SETTINGS_KEY, l->files[CHILD_KEY]));
    if (p->role->role == IPC_RESOLVER && l->files[CHILD_TRUST_ANCHOR] >= 0)
        is_given = is_given && give(p, IPC_SETTINGS_TRUST_ANCHOR, l->files[CHILD_TRUST_ANCHOR]);
    is_given = is_given && give(p, IPC_SETTINGS_SETTINGS, l->fd);
    if (!is_given)
        process_kill(p); /* does not read: its successor starts with the new ones */
}
