/* What each sandbox forbids is tried inside it, one try a process, and compared with a written
 * table; with all that the kernel has, and with Landlock as old as it gets (file rules only, as
 * on Debian 12's own kernel).
 * In sanitizer builds the filter must let the sanitizer open files: there this is skipped. */
#include "daemon/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

enum { USER = 60803, N_ROLES = 7 };

/* Made before the sandbox closes, as the supervisor does. */
static struct {
    char folder[64], data[80], file[96], other[96];
    struct sockaddr_in address; /* of the listener */
    int listener, fresh;        /* a TCP socket that is not connected */
    int pair[2];
    pid_t parent;
} the;

static bool in_table(long result)
{
    return result >= 0;
}

/* ---- the tries: true when it was possible; else errno says why not ---- */

static bool open_of(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    return fd >= 0;
}
static bool try_read_passwd(void)
{
    return open_of("/etc/passwd", O_RDONLY);
}
static bool try_look_at_passwd(void)
{
    struct stat st;
    return stat("/etc/passwd", &st) == 0;
}
static bool try_read_memory_of_parent(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/maps", the.parent);
    return open_of(path, O_RDONLY);
}
static bool try_create_beside_data(void)
{
    return open_of(the.other, O_CREAT | O_RDWR);
}
static bool try_create_in_data(void)
{
    return open_of(the.file, O_CREAT | O_RDWR);
}
static bool try_rename_in_data(void)
{
    char to[120];
    snprintf(to, sizeof(to), "%s.new", the.file);
    return open_of(the.file, O_CREAT | O_RDWR) && rename(the.file, to) == 0 && unlink(to) == 0;
}
static bool try_rename_out_of_data(void)
{
    bool is_there = open_of(the.file, O_CREAT | O_RDWR);
    return is_there && rename(the.file, the.other) == 0;
}
static bool try_symlink_in_data(void)
{
    char to[120];
    snprintf(to, sizeof(to), "%s.link", the.file);
    return symlink("/etc/passwd", to) == 0;
}
static bool try_execute(void)
{
    char program[] = "/bin/true", *argv[] = {program, NULL};
    return execv(program, argv) == 0;
}
static bool try_socket(int family, int type, int protocol)
{
    return socket(family, type | SOCK_CLOEXEC, protocol) >= 0;
}
static bool try_socket_tcp(void)
{
    return try_socket(AF_INET, SOCK_STREAM, 0);
}
static bool try_socket_tcp6(void)
{
    return try_socket(AF_INET6, SOCK_STREAM, 0) || errno == EAFNOSUPPORT;
}
static bool try_socket_udp(void)
{
    return try_socket(AF_INET, SOCK_DGRAM, 0);
}
static bool try_socket_unix(void)
{
    return try_socket(AF_UNIX, SOCK_STREAM, 0);
}
static bool try_socket_raw(void)
{
    return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}
static bool try_socket_netlink(void)
{
    return try_socket(AF_NETLINK, SOCK_RAW, 0);
}
static bool try_connect(void)
{
    return connect(the.fresh, (struct sockaddr *)&the.address, sizeof(the.address)) == 0;
}
static bool try_connect_by_sending(void)
{
    return sendto(the.fresh, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&the.address,
                  sizeof(the.address)) >= 0 ||
           errno == EOPNOTSUPP; /* the machine's own setting; the sandbox let it through */
}
static bool try_connect_by_sendmsg(void)
{
    struct iovec iov = {the.folder, 1};
    struct msghdr m = {.msg_name = &the.address,
                       .msg_namelen = sizeof(the.address),
                       .msg_iov = &iov,
                       .msg_iovlen = 1};
    return sendmsg(the.fresh, &m, MSG_FASTOPEN | MSG_NOSIGNAL) >= 0 || errno == EOPNOTSUPP;
}
static bool try_bind(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    return bind(the.fresh, (struct sockaddr *)&any, sizeof(any)) == 0;
}
static bool try_listen(void)
{
    return listen(the.fresh, 5) == 0;
}
static bool try_accept(void)
{
    return accept4(the.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) >= 0 || errno == EAGAIN;
}
static bool try_talk(void)
{
    char c;
    return send(the.pair[0], "x", 1, MSG_NOSIGNAL) == 1 && recv(the.pair[1], &c, 1, 0) == 1;
}
static bool try_nodelay(void)
{
    int on = 1;
    return setsockopt(the.fresh, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0;
}
static bool try_filter_on_socket(void)
{
    return setsockopt(the.fresh, SOL_SOCKET, SO_ATTACH_BPF, &the.fresh, sizeof(int)) == 0 ||
           errno != EPERM;
}
static bool try_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}
static void *nothing(void *)
{
    return NULL;
}
static bool try_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    return errno == 0 && pthread_join(thread, NULL) == 0;
}
static bool try_ptrace(void)
{
    return in_table(ptrace(PTRACE_SEIZE, the.parent, NULL, NULL));
}
static bool try_read_other_memory(void)
{
    char byte;
    struct iovec mine = {&byte, 1}, its = {the.folder, 1};
    return process_vm_readv(the.parent, &mine, 1, &its, 1, 0) == 1;
}
static bool try_kill_parent(void)
{
    return kill(the.parent, 0) == 0;
}
static bool try_kill_by_thread(void)
{
    return in_table(syscall(SYS_tgkill, the.parent, the.parent, 0));
}
static bool try_mount(void)
{
    return mount("none", the.folder, "tmpfs", 0, NULL) == 0;
}
static bool try_chroot(void)
{
    return chroot(the.folder) == 0;
}
static bool try_namespace(void)
{
    return in_table(syscall(SYS_unshare, 0x10000000));
}
static bool try_bpf(void)
{
    return in_table(syscall(SYS_bpf, BPF_MAP_CREATE, NULL, 0));
}
static bool try_io_uring(void)
{
    return in_table(syscall(SYS_io_uring_setup, 4, NULL));
}
static bool try_become_root(void)
{
    return setresuid(0, 0, 0) == 0;
}
static bool try_make_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) != MAP_FAILED;
}
static bool try_turn_into_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool try_be_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}
static bool try_raise_limit(void)
{
    const struct rlimit some = {4096, 4096};
    return setrlimit(RLIMIT_CORE, &some) == 0;
}
static bool try_time_and_chance(void)
{
    char byte;
    struct timespec t;
    return clock_gettime(CLOCK_MONOTONIC, &t) == 0 && syscall(SYS_getrandom, &byte, 1, 0) == 1;
}

/* + possible, - refused, K the process is killed. Columns: gate door core courier liaison resolver
 * and the reader of the settings. */
static const struct {
    const char *what;
    bool (*fn)(void);
    const char *expected;
} tries[] = {
    {"read /etc/passwd", try_read_passwd, "-------"},
    {"look at the attributes of /etc/passwd", try_look_at_passwd, "--+----"},
    {"read another process's /proc", try_read_memory_of_parent, "-------"},
    {"create a file beside the data", try_create_beside_data, "-------"},
    {"create a file in the data", try_create_in_data, "--+----"},
    {"rename a file in the data", try_rename_in_data, "--+----"},
    {"move a file out of the data", try_rename_out_of_data, "-------"},
    {"make a symbolic link in the data", try_symlink_in_data, "-------"},
    {"execute a program", try_execute, "KKKKKKK"},
    {"make a TCP socket", try_socket_tcp, "---+++-"},
    {"make a TCP socket for IPv6", try_socket_tcp6, "---+++-"},
    {"make a UDP socket", try_socket_udp, "-----+-"},
    {"make a Unix socket", try_socket_unix, "-------"},
    {"make a raw socket", try_socket_raw, "-------"},
    {"make a netlink socket", try_socket_netlink, "-------"},
    {"connect", try_connect, "---+++-"},
    {"connect by sending", try_connect_by_sending, "---+++-"},
    {"connect by sending a message", try_connect_by_sendmsg, "---+++-"},
    {"bind", try_bind, "-----+-"},
    {"listen", try_listen, "-------"},
    {"accept", try_accept, "++-----"},
    {"talk over a given socket", try_talk, "++++++-"},
    {"set TCP_NODELAY", try_nodelay, "++++++-"},
    {"attach a program to a socket", try_filter_on_socket, "---+++-"},
    {"fork", try_fork, "-------"},
    {"start a thread", try_thread, "+++++++"},
    {"trace the parent", try_ptrace, "KKKKKKK"},
    {"read the parent's memory", try_read_other_memory, "KKKKKKK"},
    {"signal the parent", try_kill_parent, "-------"},
    {"signal the parent's thread", try_kill_by_thread, "-------"},
    {"mount", try_mount, "KKKKKKK"},
    {"chroot", try_chroot, "KKKKKKK"},
    {"make a namespace", try_namespace, "KKKKKKK"},
    {"load a program into the kernel", try_bpf, "KKKKKKK"},
    {"use io_uring", try_io_uring, "KKKKKKK"},
    {"become root", try_become_root, "-------"},
    {"map memory that can be run", try_make_code, "-------"},
    {"turn memory into code", try_turn_into_code, "-------"},
    {"become dumpable", try_be_dumpable, "-------"},
    {"raise a limit", try_raise_limit, "-------"},
    {"use clock and chance", try_time_and_chance, "+++++++"},
};

static const struct {
    unsigned role;
    const char *name;
} columns[N_ROLES] = {
    {IPC_GATE, "gate"},
    {IPC_DOOR, "door"},
    {IPC_CORE, "core"},
    {IPC_COURIER, "courier"},
    {IPC_LIAISON, "liaison"},
    {IPC_RESOLVER, "resolver"},
    {SANDBOX_PARSER, "reader of the settings"},
};

/* ---- one try in one process ---- */

enum { POSSIBLE = 40, REFUSED, ODD, NO_SANDBOX };

static void close_in(unsigned role, int landlock, bool has_calls)
{
    struct errinfo ei;
    int abi;
    if (sandbox_drop_privileges(USER, USER, &ei) != ERR_OK ||
        sandbox_close_files(role, the.data, landlock, &abi, &ei) != ERR_OK ||
        (has_calls && sandbox_close_calls(role, &ei) != ERR_OK))
        _exit(NO_SANDBOX);
}

static char outcome(bool (*fn)(void), unsigned role, int landlock, bool has_calls)
{
    int status;
    the.fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close_in(role, landlock, has_calls);
        errno = 0;
        if (fn())
            _exit(POSSIBLE);
        /* EXDEV: Landlock's answer to a rename between places of different rights */
        _exit(errno == EPERM || errno == EACCES || errno == ENOSYS || errno == EXDEV ? REFUSED
                                                                                     : ODD);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    fd_close(&the.fresh);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? 'K' : '?';
    assert_int_not_equal(WEXITSTATUS(status), NO_SANDBOX);
    return WEXITSTATUS(status) == POSSIBLE ? '+' : WEXITSTATUS(status) == REFUSED ? '-' : '!';
}

static void compare_with_table(int landlock)
{
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        for (size_t k = 0; k < N_ROLES; k++) {
            char got = outcome(tries[i].fn, columns[k].role, landlock, true);
            if (got != tries[i].expected[k])
                fail_msg("%s: %s: expected %c, got %c", columns[k].name, tries[i].what,
                         tries[i].expected[k], got);
        }
}

static void what_each_role_may_do_is_what_the_table_says(void **)
{
    if (IS_SANITIZED)
        skip();
    compare_with_table(SANDBOX_LANDLOCK_NEWEST);
}

static void the_table_holds_with_landlock_of_debian_12(void **)
{
    if (IS_SANITIZED)
        skip();
    compare_with_table(1);
}

static int landlock_abi(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

/* The second wall, should the first have a hole. */
static void landlock_alone_keeps_files_and_connections(void **)
{
    if (landlock_abi() < 1)
        skip();
    assert_int_equal(outcome(try_read_passwd, IPC_GATE, 1, false), '-');
    assert_int_equal(outcome(try_create_in_data, IPC_GATE, 1, false), '-');
    assert_int_equal(outcome(try_read_passwd, IPC_CORE, 1, false), '-');
    assert_int_equal(outcome(try_create_beside_data, IPC_CORE, 1, false), '-');
    assert_int_equal(outcome(try_create_in_data, IPC_CORE, 1, false), '+');
    assert_int_equal(outcome(try_symlink_in_data, IPC_CORE, 1, false), '-');
    if (landlock_abi() < 4)
        return;
    assert_int_equal(outcome(try_connect, IPC_GATE, 4, false), '-');
    assert_int_equal(outcome(try_connect, IPC_CORE, 4, false), '-');
    assert_int_equal(outcome(try_bind, IPC_GATE, 4, false), '-');
    assert_int_equal(outcome(try_bind, IPC_COURIER, 4, false), '-');
    assert_int_equal(outcome(try_connect, IPC_COURIER, 4, false), '+');
    assert_int_equal(outcome(try_bind, IPC_RESOLVER, 4, false), '+');
    if (landlock_abi() >= 6)
        assert_int_equal(outcome(try_kill_parent, IPC_GATE, 6, false), '-');
}

/* ---- threads and privileges ---- */

static atomic_bool is_closed;

static void *wait_and_try(void *)
{
    while (!is_closed)
        usleep(100);
    errno = 0;
    return (void *)(intptr_t)(!try_socket_tcp() && errno == EPERM);
}

static void threads_that_ran_before_are_confined_too(void **)
{
    int status;
    if (IS_SANITIZED)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        void *is_refused = NULL;
        if (pthread_create(&thread, NULL, wait_and_try, NULL) != 0)
            _exit(ODD);
        close_in(IPC_GATE, 1, true);
        is_closed = true;
        (void)pthread_join(thread, &is_refused);
        _exit(is_refused ? REFUSED : POSSIBLE);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), REFUSED);
}

static bool has_no_capabilities(void)
{
    char line[256];
    unsigned n = 0;
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return false;
    while (fgets(line, sizeof(line), f)) {
        bool is_set = strncmp(line, "Cap", 3) == 0 && strncmp(line, "CapBnd", 6) != 0;
        if (strncmp(line, "CapBnd", 6) == 0 && geteuid() == USER)
            is_set = true; /* only root could empty it */
        n += is_set && strstr(line, "0000000000000000");
        if (strncmp(line, "NoNewPrivs:\t1", 13) == 0)
            n += 10;
    }
    fclose(f);
    return n == (geteuid() == USER ? 15 : 14);
}

static void no_privilege_is_left(void **)
{
    struct errinfo ei;
    struct rlimit core, files;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        bool is_root = geteuid() == 0;
        if (sandbox_drop_privileges(USER, USER, &ei) != ERR_OK)
            _exit(NO_SANDBOX);
        bool is_good =
            !is_root || (getuid() == USER && getegid() == USER && getgroups(0, NULL) == 0);
        is_good = is_good && prctl(PR_GET_DUMPABLE) == 0 && umask(0) == 077;
        is_good = is_good && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
        is_good =
            is_good && getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur == files.rlim_max;
        _exit(is_good && has_no_capabilities() ? POSSIBLE : ODD);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), POSSIBLE);
}

static void nobody_may_stay_root(void **)
{
    struct errinfo ei;
    int status;
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        _exit(sandbox_drop_privileges(0, 0, &ei) == ERR_DENIED ? REFUSED : POSSIBLE);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), REFUSED);
}

/* ---- the surroundings ---- */

static int set_up(void **)
{
    socklen_t n = sizeof(the.address);
    snprintf(the.folder, sizeof(the.folder), "/tmp/staffetta-sandbox-XXXXXX");
    if (!mkdtemp(the.folder) || chmod(the.folder, 0777) != 0)
        return -1;
    snprintf(the.data, sizeof(the.data), "%s/data", the.folder);
    snprintf(the.file, sizeof(the.file), "%s/file", the.data);
    snprintf(the.other, sizeof(the.other), "%s/other", the.folder);
    if (mkdir(the.data, 0700) != 0 || (geteuid() == 0 && chown(the.data, USER, USER) != 0))
        return -1;
    the.parent = getpid();
    the.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    the.address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(the.listener, (struct sockaddr *)&the.address, n) != 0 ||
           listen(the.listener, 100) != 0 ||
           getsockname(the.listener, (struct sockaddr *)&the.address, &n) != 0 ||
           socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, the.pair) != 0;
}

static int tear_down(void **)
{
    (void)unlink(the.file), (void)unlink(the.other);
    return rmdir(the.data) != 0 || rmdir(the.folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_each_role_may_do_is_what_the_table_says),
        cmocka_unit_test(the_table_holds_with_landlock_of_debian_12),
        cmocka_unit_test(landlock_alone_keeps_files_and_connections),
        cmocka_unit_test(threads_that_ran_before_are_confined_too),
        cmocka_unit_test(no_privilege_is_left),
        cmocka_unit_test(nobody_may_stay_root),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
