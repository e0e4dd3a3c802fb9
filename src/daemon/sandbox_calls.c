/* seccomp: which system calls each role may make.
 *
 * A role's filter is the union of the groups in its row. The groups are lists of names, so that a
 * reader can check them; names that an architecture does not have are skipped. Arguments are
 * looked at where the call alone says too little (clone, mmap, send). */
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(HAS_SANITIZER)
#define HAS_SANITIZER 1
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

/* Lists to be read as a whole. */
/* clang-format off */

/* Whoever calls these is not us any more: the process dies. */
static const char *const deadly[] = {
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
    "pidfd_getfd", "kcmp", "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen",
    "fsmount", "fsconfig", "fspick", "mount_setattr", "pivot_root", "chroot", "init_module",
    "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load", "reboot",
    "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "unshare", "setns", "open_by_handle_at",
    "name_to_handle_at", "swapon", "swapoff", "iopl", "ioperm", "modify_ldt", "quotactl", "acct",
    "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname", "setdomainname",
    "syslog", "vhangup", "lookup_dcookie", "nfsservctl", "fanotify_init", "personality", NULL,
};

/* Memory, time, threads and descriptors that are there already. */
static const char *const basic[] = {
    "read", "readv", "write", "writev", "close", "fstat", "lseek", "dup", "munmap", "mremap",
    "madvise", "brk", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    "restart_syscall", "futex", "futex_waitv", "set_robust_list", "rseq", "membarrier",
    "sched_yield", "sched_getaffinity", "getcpu", "nanosleep", "clock_nanosleep", "clock_gettime",
    "clock_getres", "gettimeofday", "time", "getrandom", "getpid", "gettid", "getppid", "getuid",
    "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getrusage", "times", "sysinfo",
    "uname", "exit", "exit_group", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "eventfd2", "pipe2", "pipe",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "getpriority", NULL,
};

/* Sockets that are there already: links and, for the doors, what the listeners give. */
static const char *const talk[] = {
    "recvfrom", "recvmsg", "shutdown", "getsockname", "getpeername", "getsockopt", NULL,
};
static const char *const take_peers[] = {
    "accept", "accept4", "sendfile", NULL,
};

/* Sockets of one's own; which families is a question of arguments. */
static const char *const dial[] = {
    "connect", "setsockopt", "sendto", "sendmsg", "sendmmsg", "recvmmsg", "socketpair", NULL,
};
static const char *const be_found[] = {
    "bind", NULL,
};

/* Files: Landlock and the user say which. */
static const char *const files[] = {
    "open", "openat", "openat2", "creat", "stat", "lstat", "newfstatat", "fstatat64", "statx",
    "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
    "getdents64", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat",
    "renameat2", "link", "linkat", "ftruncate", "truncate", "fallocate", "fadvise64", "readahead",
    "fsync", "fdatasync", "sync_file_range", "msync", "pread64", "pwrite64", "preadv", "pwritev",
    "preadv2", "pwritev2", "copy_file_range", "flock", "fchmod", "fchown", "utimensat", "umask",
    "mlock", "munlock", "mincore", NULL,
};

/* AddressSanitizer and ThreadSanitizer report from inside: maps of the own process, stacks. */
static const char *const sanitizer[] = {
    "open", "openat", "stat", "newfstatat", "readlink", "readlinkat", "access", "getrlimit",
    "prlimit64", "gettid", "mincore", "getdents64", "pread64", NULL,
};

/* clang-format on */

enum group {
    TALK = 1,
    TAKE_PEERS = 2,
    DIAL_TCP = 4,
    DIAL_UDP = 8,
    BE_FOUND = 16,
    FILES = 32,
};

static const struct {
    unsigned role, groups;
} roles[] = {
    {IPC_GATE, TALK | TAKE_PEERS},
    {IPC_DOOR, TALK | TAKE_PEERS},
    {IPC_CORE, TALK | FILES},
    {IPC_COURIER, TALK | DIAL_TCP},
    {IPC_LIAISON, TALK | DIAL_TCP},
    {IPC_RESOLVER, TALK | DIAL_TCP | DIAL_UDP | BE_FOUND},
    {SANDBOX_PARSER, 0},
};

/* What a socket that was accepted may be told; everything else is surface for nothing. */
static const struct {
    int level, name;
} options[] = {
    {SOL_SOCKET, SO_KEEPALIVE},      {SOL_SOCKET, SO_RCVBUF},          {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_LINGER},         {SOL_SOCKET, SO_RCVTIMEO},        {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_RCVLOWAT},       {IPPROTO_TCP, TCP_NODELAY},       {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_KEEPIDLE},     {IPPROTO_TCP, TCP_KEEPINTVL},     {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_TCP, TCP_NOTSENT_LOWAT}, {IPPROTO_TCP, TCP_QUICKACK},
};

/* A filter under construction; the first failure sticks. */
struct filter {
    scmp_filter_ctx calls;
    int failed; /* negative errno of the first failure */
};

static void rule(struct filter *f, uint32_t action, const char *call, unsigned n,
                 const struct scmp_arg_cmp *compare)
{
    int number = seccomp_syscall_resolve_name(call);
    if (number < 0 || f->failed)
        return; /* not a call of this architecture */
    int result = seccomp_rule_add_array(f->calls, action, number, n, compare);
    if (result < 0)
        f->failed = result;
}

static void allow(struct filter *f, const char *const calls[])
{
    for (size_t i = 0; calls[i]; i++)
        rule(f, SCMP_ACT_ALLOW, calls[i], 0, NULL);
}

static void allow_if(struct filter *f, const char *call, struct scmp_arg_cmp compare)
{
    rule(f, SCMP_ACT_ALLOW, call, 1, &compare);
}

static void memory_and_threads(struct filter *f)
{
    /* Nothing that was written may be run. */
    allow_if(f, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_if(f, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* Threads, no processes. The flags of clone3 are in memory where no filter sees them; ENOSYS
     * makes the C library take clone. */
    allow_if(f, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    rule(f, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
    /* Signals only to ourselves: abort() and pthread_kill(). */
    allow_if(f, "tgkill", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    allow_if(f, "prctl", SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    allow_if(f, "prctl", SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA)); /* names of the C library's arenas */
    allow_if(f, "ioctl", SCMP_A1(SCMP_CMP_EQ, FIONBIO));
    allow_if(f, "ioctl", SCMP_A1(SCMP_CMP_EQ, FIONREAD));
}

static void descriptors(struct filter *f, bool has_files)
{
    static const int commands[] = {F_GETFL,         F_SETFL, F_GETFD,    F_SETFD,
                                   F_DUPFD_CLOEXEC, F_DUPFD, F_GET_SEALS};
    static const int locks[] = {F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        allow_if(f, "fcntl", SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
    for (size_t i = 0; has_files && i < sizeof(locks) / sizeof(locks[0]); i++)
        allow_if(f, "fcntl", SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)locks[i]));
}

/* Sending without a socket of one's own. MSG_FASTOPEN is a connect in disguise, and so is an
 * address given to sendto. */
static void send_on_given(struct filter *f)
{
    const struct scmp_arg_cmp to[] = {SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0),
                                      SCMP_A4(SCMP_CMP_EQ, 0)};
    rule(f, SCMP_ACT_ALLOW, "sendto", 2, to);
    allow_if(f, "sendmsg", SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0));
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        const struct scmp_arg_cmp option[] = {SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)options[i].level),
                                              SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)options[i].name)};
        rule(f, SCMP_ACT_ALLOW, "setsockopt", 2, option);
    }
}

/* Only the Internet's families, and of those only what mail and names need: no raw or netlink
 * sockets, and no Unix sockets, behind which other services of this machine wait. */
static void allow_socket(struct filter *f, int type)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const struct scmp_arg_cmp compare[] = {
            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)type)};
        rule(f, SCMP_ACT_ALLOW, "socket", 2, compare);
    }
}

static void fill(struct filter *f, unsigned groups)
{
    for (size_t i = 0; deadly[i]; i++)
        rule(f, SCMP_ACT_KILL_PROCESS, deadly[i], 0, NULL);
    allow(f, basic);
    memory_and_threads(f);
    descriptors(f, groups & FILES);
    if (groups & TALK)
        allow(f, talk);
    if (groups & TAKE_PEERS)
        allow(f, take_peers);
    if (groups & (DIAL_TCP | DIAL_UDP))
        allow(f, dial);
    else if (groups & TALK)
        send_on_given(f);
    if (groups & DIAL_TCP)
        allow_socket(f, SOCK_STREAM);
    if (groups & DIAL_UDP)
        allow_socket(f, SOCK_DGRAM);
    if (groups & BE_FOUND)
        allow(f, be_found);
    if (groups & FILES)
        allow(f, files);
    if (HAS_SANITIZER)
        allow(f, sanitizer);
}

enum err sandbox_close_calls(unsigned role, struct errinfo *ei)
{
    size_t i = 0;
    while (i < sizeof(roles) / sizeof(roles[0]) && roles[i].role != role)
        i++;
    must(i < sizeof(roles) / sizeof(roles[0]));
    struct filter f = {.calls = seccomp_init(SCMP_ACT_ERRNO(EPERM))};
    must(f.calls);
    fill(&f, roles[i].groups);
    if (!f.failed)
        f.failed = seccomp_attr_set(f.calls, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!f.failed) /* a tree, not a list: the price of a call stays small */
        f.failed = seccomp_attr_set(f.calls, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!f.failed)
        f.failed = seccomp_load(f.calls);
    seccomp_release(f.calls);
    return f.failed ? err_set(ei, ERR_IO, "seccomp: %s", strerror(-f.failed)) : ERR_OK;
}
