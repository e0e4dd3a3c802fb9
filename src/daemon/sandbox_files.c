/* Landlock by raw system calls: file rules since ABI 1 (Linux 5.13), TCP since 4, scopes since 6.
 *
 * The numbers are the kernel's (include/uapi/linux/landlock.h); Debian 12's own header knows only
 * the first ABIs, therefore they stand here. What the running kernel does not know is left out. */
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Compiled time zones: core counts a company's hours by them. */
#define ZONES "/usr/share/zoneinfo"

enum {
    FS_EXECUTE = 1 << 0,
    FS_READ_FILE = 1 << 2,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_BLOCK = 1 << 11,
    FS_MAKE_SYM = 1 << 12,
    FS_ABI_1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,    /* ABI 2 */
    FS_TRUNCATE = 1 << 14, /* ABI 3 */
    NET_BIND = 1 << 0,     /* ABI 4 */
    NET_CONNECT = 1 << 1,
    SCOPE_ABSTRACT = 1 << 0, /* ABI 6: abstract Unix sockets */
    SCOPE_SIGNAL = 1 << 1,
    RULE_PATH_BENEATH = 1,
    ASK_VERSION = 1,
};

struct ruleset {
    uint64_t fs, net, scoped;
};
struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* The newest ABI that both kernel and caller know; 0: no Landlock. */
static int abi_of(int newest)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
    if (abi < 1)
        return 0;
    return abi < newest ? (int)abi : newest;
}

static struct ruleset rules_of(unsigned role, int abi, size_t *ret_size)
{
    struct ruleset r = {.fs = FS_ABI_1};
    if (abi >= 2)
        r.fs |= FS_REFER;
    if (abi >= 3)
        r.fs |= FS_TRUNCATE;
    if (abi >= 4 && role != IPC_RESOLVER) {
        /* The resolver binds source ports of its own choice; nobody else ever binds. */
        r.net = NET_BIND;
        if (role != IPC_COURIER && role != IPC_LIAISON)
            r.net |= NET_CONNECT;
    }
    if (abi >= 6)
        r.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    *ret_size = abi >= 6 ? sizeof(r) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    return r;
}

/* Plain files and folders, nothing that runs, listens or points elsewhere. */
static uint64_t writing(uint64_t handled)
{
    return handled & ~(uint64_t)(FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_SOCK | FS_MAKE_FIFO |
                                 FS_MAKE_BLOCK | FS_MAKE_SYM);
}

static enum err allow_below(int ruleset, const char *data, uint64_t allowed, struct errinfo *ei)
{
    SCOPED(fd_close) int dir = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(ei, ERR_IO, "open %s: %s", data, strerror(errno));
    struct path_rule rule = {.allowed = allowed, .fd = dir};
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0)
        return err_set(ei, ERR_IO, "Landlock rule for %s: %s", data, strerror(errno));
    return ERR_OK;
}

enum err sandbox_close_files(unsigned role, const char *data, int newest, int *ret_abi,
                             struct errinfo *ei)
{
    int abi = abi_of(newest);
    *ret_abi = abi;
    if (abi == 0)
        return ERR_OK;
    size_t size;
    struct ruleset rules = rules_of(role, abi, &size);
    SCOPED(fd_close) int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return err_set(ei, ERR_IO, "Landlock: %s", strerror(errno));
    if (role == IPC_CORE) {
        enum err err = allow_below(fd, data, writing(rules.fs), ei);
        if (err == ERR_OK && access(ZONES, R_OK) == 0)
            err = allow_below(fd, ZONES, FS_READ_FILE, ei);
        if (err)
            return err;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        return err_set(ei, ERR_IO, "Landlock: %s", strerror(errno));
    return ERR_OK;
}
