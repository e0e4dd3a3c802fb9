/* Small files that are written whole: beside, synced, renamed, folder synced. */
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static enum err sync_folder(const struct store_files *f, const char *path, struct errinfo *ei)
{
    char folder[STORE_PATH];
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1,
                   slash ? path : ".");
    if (f->sync_dir(f->self, folder) == 0)
        return ERR_OK;
    int why = errno;
    return err_set(ei, seglog_error(why), "sync %s: %s", folder, strerror(why));
}

static int write_and_sync(const struct store_files *f, int fd, struct slice bytes)
{
    struct iovec iov = {.iov_len = bytes.n};
    memcpy(&iov.iov_base, &bytes.p, sizeof(bytes.p)); /* iovec knows no const */
    errno = EIO;                                      /* for a short write */
    if (f->pwritev(f->self, fd, &iov, 1, 0) != (ssize_t)bytes.n)
        return -1;
    return f->fdatasync(f->self, fd);
}

enum err small_write(const struct store_files *f, const char *path, struct slice bytes,
                     struct errinfo *ei)
{
    char beside[STORE_PATH + 8];
    (void)snprintf(beside, sizeof(beside), "%s.new", path);
    int fd = f->open(f->self, beside, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) {
        int why = errno;
        return err_set(ei, seglog_error(why), "create %s: %s", beside, strerror(why));
    }
    int result = write_and_sync(f, fd, bytes);
    int why = errno;
    (void)f->close(f->self, fd); /* synced or given up */
    if (result == 0 && (result = f->rename(f->self, beside, path)) != 0)
        why = errno;
    if (result == 0)
        return sync_folder(f, path, ei);
    (void)f->unlink(f->self, beside); /* a leftover harms nobody */
    return err_set(ei, seglog_error(why), "write %s: %s", path, strerror(why));
}

enum err small_read(const struct store_files *f, const char *path, struct buf *ret,
                    struct errinfo *ei)
{
    int fd = f->open(f->self, path, O_RDONLY, 0);
    if (fd < 0 && errno == ENOENT)
        return err_set(ei, ERR_GONE, "no %s", path);
    if (fd < 0)
        return err_set(ei, ERR_IO, "open %s: %s", path, strerror(errno));
    off_t size = f->size(f->self, fd);
    char *to = size >= 0 ? buf_room(ret, (size_t)size) : NULL;
    ssize_t got = to ? f->pread(f->self, fd, to, (size_t)size, 0) : -1;
    int why = errno;
    (void)f->close(f->self, fd); /* only read */
    if (size >= 0 && !to)
        return err_set(ei, ERR_LIMIT, "%s is too large", path);
    if (size < 0 || got != size)
        return err_set(ei, ERR_IO, "read %s: %s", path, strerror(why));
    return ERR_OK;
}

enum err small_remove(const struct store_files *f, const char *path, struct errinfo *ei)
{
    if (f->unlink(f->self, path) != 0 && errno != ENOENT)
        return err_set(ei, ERR_IO, "remove %s: %s", path, strerror(errno));
    return sync_folder(f, path, ei);
}
