/* A new process: fork, descriptors to their places, exec of ourselves. A fresh address space: no
 * child knows what the supervisor or another child has in memory. */
#include "daemon/supervisor_int.h"

#include "daemon/child_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static int seal_start(const struct child_start *start)
{
    int fd = memfd_create("start", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (write(fd, start, sizeof(*start)) != (ssize_t)sizeof(*start) ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        fd_close(&fd);
    return fd;
}

/* Which descriptor goes where; -1: that place stays empty. */
static void fill_places(struct supervisor *sv, const struct process *p, struct child_start *start,
                        int places[CHILD_FD_END])
{
    const struct settings *s = sv->loaded.settings;
    size_t index = (size_t)(p->role - roles);
    for (int i = 0; i < CHILD_FD_END; i++)
        places[i] = -1;
    places[STDIN_FILENO] = places[STDOUT_FILENO] = sv->null_fd;
    places[STDERR_FILENO] = STDERR_FILENO;
    places[CHILD_FD_SETTINGS] = sv->loaded.fd;
    places[CHILD_FD_SHARED] = sv->shared[index];
    *start = (struct child_start){.role = (uint32_t)p->role->role,
                                  .number = p->number,
                                  .uid = sv->prepared.users[index].uid,
                                  .gid = sv->prepared.users[index].gid,
                                  .supervisor = getpid()};
    for (int i = 0; i < CHILD_FILE_N; i++) {
        bool is_for = i == CHILD_TRUST_ANCHOR  ? p->role->role == IPC_RESOLVER
                      : i == CHILD_CERTIFICATE ? p->role->has_certificate
                                               : p->role->has_tls;
        if (!is_for || sv->loaded.files[i] < 0)
            continue;
        places[CHILD_FD_FILES + i] = sv->loaded.files[i];
        start->has_file |= 1u << i;
    }
    for (uint32_t i = 0; i < s->n_listens; i++) {
        if (roles_of_service(s->listens[i].service) != p->role->role)
            continue;
        places[CHILD_FD_LISTENERS + (int)start->n_listens] = sv->prepared.listeners[i];
        start->listens[start->n_listens++] = i;
    }
}

/* In the new process, between fork and exec: only what is safe there. */
static _Noreturn void become(int places[CHILD_FD_END], char *const argv[])
{
    sigset_t none;
    for (int i = 0; i < CHILD_FD_END; i++)
        if (places[i] >= 0) /* out of the way first: a source may be another one's place */
            places[i] = fcntl(places[i], F_DUPFD, CHILD_FD_END);
    for (int i = 0; i < CHILD_FD_END; i++)
        if (places[i] < 0)
            (void)close(i); /* was perhaps not open */
        else if (dup2(places[i], i) < 0)
            _exit(127);
    (void)close_range(CHILD_FD_END, ~0U, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execv("/proc/self/exe", argv); /* also when the file was replaced meanwhile */
    _exit(127);
}

enum err spawn(struct supervisor *sv, const struct process *p, pid_t *ret_pid, int *ret_control,
               struct errinfo *ei)
{
    int pair[2], places[CHILD_FD_END];
    char number[12], name[24], program[] = "staffetta", flag[] = "--child";
    char *const argv[] = {program, flag, name, number, NULL};
    struct child_start start;
    snprintf(name, sizeof(name), "%s", ipc_role_name(p->role->role));
    snprintf(number, sizeof(number), "%u", p->number);
    fill_places(sv, p, &start, places);
    SCOPED(fd_close) int start_fd = seal_start(&start);
    if (start_fd < 0)
        return err_set(ei, ERR_RETRY, "memory file: %s", strerror(errno));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(ei, ERR_RETRY, "socketpair: %s", strerror(errno));
    places[CHILD_FD_START] = start_fd;
    places[CHILD_FD_CONTROL] = pair[1];
    pid_t pid = fork();
    int why = errno;
    if (pid == 0)
        become(places, argv);
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        return err_set(ei, ERR_RETRY, "fork: %s", strerror(why));
    }
    *ret_pid = pid;
    *ret_control = pair[0];
    return ERR_OK;
}
