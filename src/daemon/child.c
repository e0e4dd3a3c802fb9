/* The frame of a process; see child.h. */
#include "daemon/child_int.h"

#include "daemon/limits.h"
#include "daemon/roles.h"
#include "daemon/sandbox.h"
#include "daemon/settings_load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUEUE_MAX = 64 << 10, CONTROL_BYTES = 2048 };

struct child {
    const struct child_start *start;  /* set once */
    const struct settings *settings;  /* loop only */
    struct slice files[CHILD_FILE_N]; /* loop only; mapped */
    const struct role_wiring *wiring; /* set once */
    struct net_loop *loop;            /* set once */
    struct net_link *control;         /* set once */
    void *state;                      /* the wiring's */
    void *shared;                     /* set once */
    int next_files[CHILD_FILE_N];     /* loop only: came with a reload, not yet in effect */
    bool is_ready, is_stopping;       /* loop only */
};

static const struct role_wiring *wiring_of(enum ipc_role role)
{
    switch (role) {
    case IPC_GATE:
        return &wiring_gate;
    case IPC_DOOR:
        return &wiring_door;
    case IPC_CORE:
        return &wiring_core;
    case IPC_COURIER:
        return &wiring_courier;
    case IPC_LIAISON:
        return &wiring_liaison;
    case IPC_RESOLVER:
        return &wiring_resolver;
    case IPC_SUPERVISOR:
        break;
    }
    return NULL;
}

/* ---- to the supervisor ---- */

/* Small words on a link of our own making: only a dead supervisor does not take them, and then the
 * end comes by itself. */
static void tell(struct child *c, enum ipc_type type, struct buf *payload)
{
    must(!payload->failed);
    (void)!net_link_send(c->control, (uint16_t)type, 0, buf_slice(payload), SLICE(""));
    net_link_flush(c->control);
}

static void tell_bare(struct child *c, enum ipc_type type)
{
    SCOPED(buf_finish) struct buf none = buf_make(1);
    tell(c, type, &none);
}

static struct slice cut(const char *text, size_t max)
{
    struct slice s = slice_str(text);
    return slice_of(s.p, s.n < max ? s.n : max);
}

void child_ready(struct child *c)
{
    must(!c->is_ready);
    c->is_ready = true;
    tell_bare(c, IPC_T_ready);
}

void child_progress(struct child *c, unsigned percent, const char *what)
{
    SCOPED(buf_finish) struct buf b = buf_make(CONTROL_BYTES);
    const struct ipc_progress p = {.percent = (uint8_t)percent, .what = cut(what, 100)};
    ipc_progress_pack(&b, &p);
    tell(c, IPC_T_progress, &b);
}

void child_nonsense(struct child *c, enum ipc_role peer, unsigned number, const char *why)
{
    SCOPED(buf_finish) struct buf b = buf_make(CONTROL_BYTES);
    const struct ipc_nonsense n = {
        .role = (uint8_t)peer, .number = (uint8_t)number, .why = cut(why, 200)};
    log_event(EV_IPC_NONSENSE, "from=%s why=%s", roles_process_name(peer, number).s,
              log_text(n.why));
    ipc_nonsense_pack(&b, &n);
    tell(c, IPC_T_nonsense, &b);
}

void child_done(struct child *c)
{
    net_loop_stop(c->loop);
}

void child_fail(struct child *c, const char *format, ...)
{
    char why[1000];
    SCOPED(buf_finish) struct buf b = buf_make(CONTROL_BYTES);
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    const struct ipc_failed f = {.why = cut(why, sizeof(why) - 1)};
    ipc_failed_pack(&b, &f);
    tell(c, IPC_T_failed, &b);
    log_stop();
    _exit(CHILD_EXIT_FAILED);
}

/* ---- settings and files ---- */

static void unmap(struct slice *file)
{
    if (file->n > 0)
        (void)munmap((void *)(uintptr_t)file->p, file->n);
    *file = SLICE("");
}

/* The descriptor's bytes, mapped; it is closed. The empty slice for none, or an empty one. */
static struct slice map_file(int *fd)
{
    struct slice file = SLICE("");
    size_t n = settings_file_size(*fd);
    if (n > 0) {
        const void *p = settings_map_sealed(*fd, n);
        must(p); /* made by the supervisor */
        file = slice_of(p, n);
    }
    fd_close(fd);
    return file;
}

static void take_settings(struct child *c, int fd)
{
    const struct settings *fresh = settings_map_sealed(fd, sizeof(*fresh));
    must(fresh && settings_is_valid(fresh));
    const struct settings *old = c->settings;
    struct slice old_files[CHILD_FILE_N];
    c->settings = fresh;
    for (size_t i = 0; i < CHILD_FILE_N; i++) {
        old_files[i] = c->files[i];
        c->files[i] = map_file(&c->next_files[i]);
    }
    log_set_level((enum log_level)fresh->log.level);
    limits_apply(fresh);
    if (c->wiring->settings_changed)
        c->wiring->settings_changed(c);
    (void)munmap((void *)(uintptr_t)old, sizeof(*old));
    for (size_t i = 0; i < CHILD_FILE_N; i++)
        unmap(&old_files[i]);
}

/* ---- from the supervisor ---- */

static bool on_settings(struct child *c, struct slice payload, int *fd)
{
    struct ipc_settings s;
    if (!ipc_settings_unpack(payload, NULL, &s) || *fd < 0)
        return false;
    if (s.kind == IPC_SETTINGS_SETTINGS) {
        take_settings(c, *fd);
        return true;
    }
    if (s.kind < IPC_SETTINGS_CERTIFICATE || s.kind > IPC_SETTINGS_TRUST_ANCHOR)
        return false;
    int *next = &c->next_files[s.kind - IPC_SETTINGS_CERTIFICATE];
    fd_close(next);
    *next = *fd;
    *fd = -1;
    return true;
}

static bool on_link(struct child *c, struct slice payload, int *fd)
{
    struct ipc_link l;
    if (!ipc_link_unpack(payload, NULL, &l) || *fd < 0 || !roles_are_linked(c->start->role, l.role))
        return false;
    if (c->is_stopping || !c->wiring->linked)
        return true; /* closed by the caller: the peer sees the end of it */
    c->wiring->linked(c, (enum ipc_role)l.role, l.number, *fd);
    *fd = -1;
    return true;
}

static bool on_processes(struct child *c, struct slice payload)
{
    struct ipc_processes p;
    struct arena *a = arena_create(1 << 20);
    bool is_good = ipc_processes_unpack(payload, a, &p);
    if (is_good && c->wiring->processes)
        c->wiring->processes(c, &p);
    arena_destroy(&a);
    return is_good;
}

static void on_stop(struct child *c)
{
    if (c->is_stopping)
        return;
    c->is_stopping = true;
    if (c->wiring->stop)
        c->wiring->stop(c);
    else
        child_done(c);
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct child *c = arg;
    bool is_good = ipc_may_send(f->type, IPC_SUPERVISOR, (enum ipc_role)c->start->role);
    if (is_good && f->type == IPC_T_ping)
        tell_bare(c, IPC_T_pong);
    else if (is_good && f->type == IPC_T_link)
        is_good = on_link(c, f->payload, &f->fd);
    else if (is_good && f->type == IPC_T_settings)
        is_good = on_settings(c, f->payload, &f->fd);
    else if (is_good && f->type == IPC_T_processes)
        is_good = on_processes(c, f->payload);
    else if (is_good && f->type == IPC_T_stop)
        on_stop(c);
    fd_close(&f->fd);
    must(is_good); /* the supervisor is ourselves: anything else is our mistake */
}

static void on_closed(void *, struct net_link *)
{
    /* Without a supervisor nobody restarts or stops us: nothing of ours may outlive it. */
    _exit(1);
}

/* ---- the start ---- */

static bool map_start(struct child *c)
{
    c->start = settings_map_sealed(CHILD_FD_START, sizeof(*c->start));
    c->settings = settings_map_sealed(CHILD_FD_SETTINGS, sizeof(*c->settings));
    if (!c->start || !c->settings || !settings_is_valid(c->settings))
        return false;
    c->wiring = wiring_of((enum ipc_role)c->start->role);
    if (!c->wiring || c->start->n_listens > SETTINGS_LISTENS_MAX + 1)
        return false;
    for (int i = 0; i < CHILD_FILE_N; i++) {
        int fd = c->start->has_file & 1u << i ? CHILD_FD_FILES + i : -1;
        c->files[i] = map_file(&fd);
        c->next_files[i] = -1;
    }
    c->shared =
        mmap(NULL, CHILD_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_FD_SHARED, 0);
    (void)close(CHILD_FD_START), (void)close(CHILD_FD_SETTINGS), (void)close(CHILD_FD_SHARED);
    return c->shared != MAP_FAILED;
}

static void ignore_signals(void)
{
    /* Who stops us is the supervisor, in its order; a terminal's ^C goes to all of us at once. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        (void)signal(ignored[i], SIG_IGN);
}

static void die_with(struct child *c)
{
    /* After the change of user, which clears it; then look whether it came too late. */
    must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
    if (getppid() != c->start->supervisor)
        _exit(1);
}

static void enter_sandbox(struct child *c)
{
    struct errinfo ei = {};
    int abi = 0;
    if (c->start->role == IPC_CORE) /* the only place for a library's large temporary files */
        (void)setenv("TMPDIR", c->settings->node.data, 1);
    if (sandbox_close_files(c->start->role, c->settings->node.data, SANDBOX_LANDLOCK_NEWEST, &abi,
                            &ei) != ERR_OK)
        child_fail(c, "The %s cannot be confined: %s.",
                   ipc_role_name((enum ipc_role)c->start->role), ei.text);
    log_start(); /* a thread: behind Landlock, which is a thread's, before seccomp, which is all's
                  */
    if (abi < 4)
        log_event(EV_SANDBOX, "landlock_abi=%d missing=%s", abi, abi ? "tcp" : "files,tcp");
    if (sandbox_close_calls(c->start->role, &ei) != ERR_OK)
        child_fail(c, "The %s cannot be confined: %s. The kernel must allow seccomp.",
                   ipc_role_name((enum ipc_role)c->start->role), ei.text);
}

static int run(struct child *c)
{
    struct errinfo ei = {};
    const struct net_link_options options = {.frame_max = CHILD_FRAME_MAX,
                                             .queue_max = QUEUE_MAX,
                                             .takes_fds = true,
                                             .frame = on_frame,
                                             .closed = on_closed,
                                             .arg = c};
    log_init(roles_process_name(c->start->role, c->start->number).s,
             (enum log_level)c->settings->log.level);
    limits_apply(c->settings);
    ignore_signals();
    enum err err = sandbox_drop_privileges(c->start->uid, c->start->gid, &ei);
    die_with(c);
    c->loop = net_loop_create();
    c->control = net_link_open(c->loop, CHILD_FD_CONTROL, &options);
    if (err)
        child_fail(c, "The %s cannot give up its privileges: %s.",
                   ipc_role_name((enum ipc_role)c->start->role), ei.text);
    if (c->wiring->before_sandbox)
        c->wiring->before_sandbox(c);
    enter_sandbox(c);
    c->wiring->start(c);
    net_loop_run(c->loop);
    net_link_flush(c->control);
    log_stop();
    return c->is_stopping ? 0 : 1;
}

int child_main(int argc, char **argv)
{
    static struct child the_child;
    struct stat st;
    const struct roles_row *role = argc == 4 ? roles_find_name(argv[2]) : NULL;
    if (!role || fstat(CHILD_FD_CONTROL, &st) != 0 || !S_ISSOCK(st.st_mode) ||
        !map_start(&the_child) || the_child.start->role != role->role) {
        fprintf(stderr, "staffetta: --child is used by staffetta serve only\n");
        return 2;
    }
    for (uint32_t i = 0; i < the_child.start->n_listens; i++)
        must(the_child.start->listens[i] < the_child.settings->n_listens);
    _exit(run(&the_child)); /* no destructors: a library's would want what the sandbox forbids */
}

/* ---- what the wiring asks ---- */

struct net_loop *child_loop(struct child *c)
{
    return c->loop;
}

enum ipc_role child_role(const struct child *c)
{
    return (enum ipc_role)c->start->role;
}

unsigned child_number(const struct child *c)
{
    return c->start->number;
}

const struct settings *child_settings(const struct child *c)
{
    return c->settings;
}

void child_set_state(struct child *c, void *state)
{
    c->state = state;
}

void *child_state(const struct child *c)
{
    return c->state;
}

size_t child_n_listeners(const struct child *c)
{
    return c->start->n_listens;
}

struct child_listener child_listener(const struct child *c, size_t i)
{
    must(i < c->start->n_listens);
    return (struct child_listener){.fd = CHILD_FD_LISTENERS + (int)i,
                                   .settings = &c->settings->listens[c->start->listens[i]]};
}

struct slice child_file(const struct child *c, enum child_file file)
{
    must((unsigned)file < CHILD_FILE_N);
    return c->files[file];
}

void *child_shared(const struct child *c)
{
    return c->shared;
}
