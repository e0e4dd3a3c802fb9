/* The real file layer: system calls that are finished when they return.
 *
 * Interrupted calls go on, short writes are completed, descriptors do not survive exec. What it is
 * not: a policy. It never retries an error that the kernel reports, least of all a failed sync
 * (Linux then marks the pages clean; a second sync would say yes to bytes that are not there). */
#include "store/store_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int real_open(void *, const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int real_close(void *, int fd)
{
    return close(fd);
}

static ssize_t real_pread(void *, int fd, void *p, size_t n, off_t at)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, (char *)p + done, n - done, at + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* What is left of the vector after `done` bytes of it went out; returns the number of its parts. */
static int skip_parts(const struct iovec *from, int n, size_t done, struct iovec *ret)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        if (done >= from[i].iov_len) {
            done -= from[i].iov_len;
            continue;
        }
        ret[k].iov_base = (char *)from[i].iov_base + done;
        ret[k++].iov_len = from[i].iov_len - done;
        done = 0;
    }
    return k;
}

/* The rare case, kept away from the common one: its vector must be changed. */
static ssize_t write_rest(int fd, const struct iovec *iov, int n, off_t at, size_t done)
{
    struct iovec rest[IOV_MAX];
    for (;;) {
        int k = skip_parts(iov, n, done, rest);
        if (k == 0)
            return (ssize_t)done;
        ssize_t put = pwritev(fd, rest, k, at + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            errno = put == 0 ? EIO : errno;
            return -1;
        }
        done += (size_t)put;
    }
}

static ssize_t real_pwritev(void *, int fd, const struct iovec *iov, int n, off_t at)
{
    size_t all = 0;
    if (n > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < n; i++)
        all += iov[i].iov_len;
    ssize_t put = pwritev(fd, iov, n, at);
    if (put < 0 && errno != EINTR)
        return -1;
    if (put >= 0 && (size_t)put == all)
        return put;
    return write_rest(fd, iov, n, at, put > 0 ? (size_t)put : 0);
}

static int real_fdatasync(void *, int fd)
{
    return fdatasync(fd);
}

static int real_allocate(void *, int fd, off_t size)
{
    int why;
    do
        why = posix_fallocate(fd, 0, size);
    while (why == EINTR);
    errno = why;
    return why == 0 ? 0 : -1;
}

static off_t real_size(void *, int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_size : -1;
}

static int real_lock(void *, int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB);
}

static int real_sync_dir(void *, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd);
    int why = errno;
    (void)close(fd); /* nothing is pending in a folder's descriptor */
    errno = why;
    return result;
}

static int real_rename(void *, const char *from, const char *to)
{
    return rename(from, to);
}

static int real_unlink(void *, const char *path)
{
    return unlink(path);
}

static int real_mkdir(void *, const char *path)
{
    return mkdir(path, 0700);
}

static int real_list(void *, const char *path, char *ret, size_t max)
{
    size_t n = 0;
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d)
        return -1;
    while ((errno = 0, e = readdir(d))) {
        size_t len = strlen(e->d_name) + 1;
        if (e->d_name[0] == '.')
            continue;
        if (n + len + 1 > max) {
            errno = E2BIG;
            break;
        }
        memcpy(ret + n, e->d_name, len);
        n += len;
    }
    int why = errno;
    (void)closedir(d);
    if (max > 0)
        ret[n] = '\0';
    errno = why;
    return why == 0 ? 0 : -1;
}

static int real_free_space(void *, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        return -1;
    *ret_free = (uint64_t)v.f_bavail * v.f_frsize;
    *ret_total = (uint64_t)v.f_blocks * v.f_frsize;
    return 0;
}

static int real_free_files(void *, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        return -1;
    *ret_free = v.f_favail;
    *ret_total = v.f_files;
    return 0;
}

const struct store_files store_files_real = {
    .open = real_open,
    .close = real_close,
    .pread = real_pread,
    .pwritev = real_pwritev,
    .fdatasync = real_fdatasync,
    .allocate = real_allocate,
    .size = real_size,
    .lock = real_lock,
    .sync_dir = real_sync_dir,
    .rename = real_rename,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .list = real_list,
    .free_space = real_free_space,
    .free_files = real_free_files,
};
