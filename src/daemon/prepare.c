/* Users, data directory, listeners; see prepare.h. */
#include "daemon/prepare.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* ---- users ---- */

static void find_users(const struct settings *s, struct prepared *p)
{
    p->is_root = geteuid() == 0;
    p->has_users = true;
    for (size_t i = 0; i < ROLES_N && p->is_root; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s%s", s->node.user_prefix, ipc_role_name(roles[i].role));
        const struct passwd *user = getpwnam(name);
        bool is_usable = user && user->pw_uid != 0 && user->pw_gid != 0;
        p->has_users = p->has_users && is_usable;
        /* A number without a name is a user as good as any for keeping processes apart. */
        uint32_t number = (uint32_t)s->node.user_base + roles[i].user;
        p->users[i].uid = is_usable ? user->pw_uid : number;
        p->users[i].gid = is_usable ? user->pw_gid : number;
    }
}

static size_t core_index(void)
{
    return (size_t)(roles_find(IPC_CORE) - roles);
}

/* ---- the data directory ---- */

static bool is_empty(int dir)
{
    SCOPED(fd_close) int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    unsigned n = 0;
    if (!d)
        return false;
    fd = -1; /* the directory stream's now */
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n <= 2; /* itself and the one above */
}

/* 0, or the errno with which the core would fail; asked in its own skin. */
static int core_access(const struct prepared *p, const char *path)
{
    if (!p->is_root)
        return access(path, R_OK | W_OK | X_OK) == 0 ? 0 : errno;
    uint32_t uid = p->users[core_index()].uid, gid = p->users[core_index()].gid;
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
            setresuid(uid, uid, uid) != 0)
            _exit(EPERM);
        _exit(access(path, R_OK | W_OK | X_OK) == 0 ? 0 : errno);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return EIO;
    return WEXITSTATUS(status);
}

static void data_wrong(const struct settings *s, struct settings_problems *problems,
                       const char *advice, const char *what, int why)
{
    settings_problem_add(problems, settings_line(s, "node.data"), advice,
                         "node.data: %.140s %s%s%s", s->node.data, what, why ? ": " : "",
                         why ? strerror(why) : "");
}

static bool lock_data(const struct settings *s, struct prepared *p,
                      struct settings_problems *problems)
{
    const char *path = s->node.data;
    bool is_new = mkdir(path, 0700) == 0;
    p->data_lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->data_lock < 0) {
        data_wrong(s, problems,
                   errno == ENOTDIR ? "Remove the file, or choose another path."
                                    : "Make the directory above it, or choose another path.",
                   "is no directory and cannot be made one", errno);
        return false;
    }
    struct stat st;
    uint32_t uid = p->users[core_index()].uid, gid = p->users[core_index()].gid;
    if (p->is_root && fstat(p->data_lock, &st) == 0 && st.st_uid == 0 &&
        (is_new || is_empty(p->data_lock)))
        (void)!fchown(p->data_lock, uid, gid); /* if not: the question below finds it */
    if (flock(p->data_lock, LOCK_EX | LOCK_NB) != 0) {
        data_wrong(s, problems, "Stop it first, or give each node a data directory of its own.",
                   "is in use by a Staffetta that is running", 0);
        return false;
    }
    int why = core_access(p, path);
    if (why == 0)
        return true;
    char advice[240];
    if (p->is_root)
        snprintf(advice, sizeof(advice),
                 "It must belong to user %u (the core's), and each directory above it must let "
                 "that user pass.",
                 uid);
    else
        snprintf(advice, sizeof(advice), "It must be writable for user %u, who starts staffetta.",
                 geteuid());
    data_wrong(s, problems, advice, "cannot be written", why);
    return false;
}

/* ---- listeners ---- */

static socklen_t fill_address(const struct settings_address *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (a->n_bytes == 4) {
        struct sockaddr_in *four = (struct sockaddr_in *)ret;
        four->sin_family = AF_INET;
        four->sin_port = htons(a->port);
        memcpy(&four->sin_addr, a->bytes, 4);
        return sizeof(*four);
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(a->port);
    memcpy(&six->sin6_addr, a->bytes, 16);
    return sizeof(*six);
}

static void listen_wrong(const struct settings_listen *l, struct settings_problems *problems,
                         int why)
{
    char at[64], advice[240] = "Choose another address and port.";
    settings_address_text(&l->at, at);
    if (why == EADDRINUSE)
        snprintf(advice, sizeof(advice),
                 "See who has it with: ss -ltnp 'sport = :%u'. Stop that program, or choose "
                 "another port.",
                 l->at.port);
    else if (why == EADDRNOTAVAIL)
        snprintf(advice, sizeof(advice),
                 "Choose an address that this machine has (ip addr), or 0.0.0.0 for all.");
    else if (why == EACCES)
        snprintf(advice, sizeof(advice),
                 "Ports below 1024 are for root: start staffetta as root, "
                 "or choose a higher port.");
    settings_problem_add(problems, l->line, advice, "listen: cannot listen at %s for %s: %s", at,
                         settings_service_name(l->service), strerror(why));
}

static int bind_internet(const struct settings_listen *l, struct settings_problems *problems)
{
    struct sockaddr_storage address;
    socklen_t n = fill_address(&l->at, &address);
    int on = 1, why = 0;
    SCOPED(fd_close)
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (address.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(fd, (struct sockaddr *)&address, n) != 0 || listen(fd, BACKLOG) != 0)
        why = errno;
    if (why) {
        listen_wrong(l, problems, why);
        return -1;
    }
    int result = fd;
    fd = -1;
    return result;
}

static void admin_wrong(const struct settings *s, struct settings_problems *problems,
                        const char *advice, const char *what, int why)
{
    settings_problem_add(problems, settings_line(s, "admin.socket"), advice,
                         "admin.socket: %.107s %s%s%s", s->admin.socket, what, why ? ": " : "",
                         why ? strerror(why) : "");
}

/* A socket file that nobody listens behind any more stands in the way: a killed node left it. */
static bool clear_admin_path(const struct settings *s, const struct sockaddr_un *address,
                             struct settings_problems *problems)
{
    struct stat st;
    if (lstat(s->admin.socket, &st) != 0)
        return true;
    SCOPED(fd_close) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!S_ISSOCK(st.st_mode)) {
        admin_wrong(s, problems, "Remove it, or choose another path.", "is something else", 0);
        return false;
    }
    if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
        errno != ECONNREFUSED) {
        admin_wrong(s, problems, "Stop it first, or choose another path.",
                    "is in use by a program that is running", 0);
        return false;
    }
    if (unlink(s->admin.socket) == 0)
        return true;
    admin_wrong(s, problems, "Remove it.", "is left over and cannot be removed", errno);
    return false;
}

static bool open_to_group(const struct settings *s, struct settings_problems *problems)
{
    const struct group *group = s->admin.group[0] ? getgrnam(s->admin.group) : NULL;
    if (s->admin.group[0] && !group) {
        settings_problem_add(problems, settings_line(s, "admin.group"),
                             "Make it (addgroup --system NAME), or remove the key.",
                             "admin.group: there is no group %s", s->admin.group);
        return false;
    }
    if (group && chown(s->admin.socket, (uid_t)-1, group->gr_gid) != 0) {
        settings_problem_add(problems, settings_line(s, "admin.group"),
                             "Start staffetta as root or as a member of the group.",
                             "admin.group: the socket cannot be given to %s: %s", s->admin.group,
                             strerror(errno));
        return false;
    }
    must(chmod(s->admin.socket, group ? 0660 : 0600) == 0);
    return true;
}

static int bind_admin(const struct settings *s, struct prepared *p,
                      struct settings_problems *problems)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char above[SETTINGS_PATH_MAX];
    snprintf(address.sun_path, sizeof(address.sun_path), "%.107s", s->admin.socket);
    snprintf(above, sizeof(above), "%s", s->admin.socket);
    char *slash = strrchr(above, '/');
    must(slash); /* an absolute path */
    *slash = '\0';
    (void)!mkdir(above, 0755); /* there already, or bind says why not */
    if (!clear_admin_path(s, &address, problems))
        return -1;
    SCOPED(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0177); /* nobody else gets in between bind and chmod */
    bool is_bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    int why = errno;
    (void)umask(old);
    if (!is_bound || listen(fd, BACKLOG) != 0) {
        admin_wrong(s, problems, "Choose a path that the user who starts staffetta may write to.",
                    "cannot be made", why);
        return -1;
    }
    snprintf(p->admin_socket, sizeof(p->admin_socket), "%s", s->admin.socket);
    if (!open_to_group(s, problems))
        return -1;
    int result = fd;
    fd = -1;
    return result;
}

static void bind_all(const struct settings *s, struct prepared *p,
                     struct settings_problems *problems)
{
    for (uint32_t i = 0; i < s->n_listens; i++) {
        const struct settings_listen *l = &s->listens[i];
        p->listeners[i] =
            l->service == SETTINGS_ADMIN ? bind_admin(s, p, problems) : bind_internet(l, problems);
        p->n_listeners = i + 1;
    }
}

bool prepare_node(const struct settings *s, struct prepared *ret,
                  struct settings_problems *problems)
{
    struct prepared p = {.data_lock = -1};
    memset(problems, 0, sizeof(*problems));
    find_users(s, &p);
    if (lock_data(s, &p, problems)) /* a second instance: its ports are in use, of course */
        bind_all(s, &p, problems);
    if (problems->n > 0) {
        prepare_undo(&p);
        return false;
    }
    *ret = p;
    return true;
}

void prepare_undo(struct prepared *p)
{
    if (p->admin_socket[0])
        (void)unlink(p->admin_socket); /* a leftover is cleared by the next start */
    p->admin_socket[0] = '\0';
    for (uint32_t i = 0; i < p->n_listeners; i++)
        fd_close(&p->listeners[i]);
    p->n_listeners = 0;
    fd_close(&p->data_lock);
}
