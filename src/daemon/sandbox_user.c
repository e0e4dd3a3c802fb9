/* Giving up privileges: user, groups, capabilities, limits. */
#include "daemon/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static enum err become(uid_t uid, gid_t gid, struct errinfo *ei)
{
    if (uid == 0 || gid == 0)
        return err_set(ei, ERR_DENIED, "a process of ours may not run as root");
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return err_set(ei, ERR_DENIED, "become user %u: %s", uid, strerror(errno));
    if (setresuid(0, 0, 0) == 0)
        return err_set(ei, ERR_DENIED, "user %u could become root again", uid);
    return ERR_OK;
}

/* The bounding set first: it needs the capabilities that go with the user. */
static void drop_bounding_set(void)
{
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* not root: there is none to use either */
}

static enum err drop_capabilities(struct errinfo *ei)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0,
                0); /* old kernels have no such set */
    if (syscall(SYS_capset, &head, none) != 0)
        return err_set(ei, ERR_DENIED, "drop capabilities: %s", strerror(errno));
    return ERR_OK;
}

static void set_limits(void)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files;
    (void)setrlimit(RLIMIT_CORE, &no_core); /* lowering is always allowed */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* up to the hard limit likewise */
    }
    (void)umask(077);
}

enum err sandbox_drop_privileges(uint32_t uid, uint32_t gid, struct errinfo *ei)
{
    set_limits();
    if (geteuid() == 0) {
        drop_bounding_set();
        enum err err = become(uid, gid, ei);
        if (err)
            return err;
    }
    enum err err = drop_capabilities(ei);
    if (err)
        return err;
    /* Mail and keys are in the memory of these processes: nobody of the same user may look. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_set(ei, ERR_DENIED, "prctl: %s", strerror(errno));
    return ERR_OK;
}
