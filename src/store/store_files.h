/* The file layer under the log, replaceable so that tests can fail the nth operation and keep only
 * what was synced (power cut). Calls behave like the system's: -1 and errno on failure. A write
 * that returns less than asked has failed (the real layer goes on until the disk says why). */
#ifndef STORE_STORE_FILES_H
#define STORE_STORE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct store_files {
    void *self;
    int (*open)(void *self, const char *path, int flags, mode_t mode);
    int (*close)(void *self, int fd);
    ssize_t (*pread)(void *self, int fd, void *p, size_t n, off_t at);
    ssize_t (*pwritev)(void *self, int fd, const struct iovec *iov, int n, off_t at);
    int (*fdatasync)(void *self, int fd);
    int (*allocate)(void *self, int fd, off_t size); /* posix_fallocate's work */
    off_t (*size)(void *self, int fd);
    int (*lock)(void *self, int fd); /* exclusive, without waiting: EWOULDBLOCK somebody has it */
    int (*sync_dir)(void *self, const char *path);
    int (*rename)(void *self, const char *from, const char *to);
    int (*unlink)(void *self, const char *path);
    int (*mkdir)(void *self, const char *path);
    /* Names in a folder, at most `max` bytes of them, each ended by NUL, the list by an empty one.
     */
    int (*list)(void *self, const char *path, char *ret, size_t max);
    int (*free_space)(void *self, const char *path, uint64_t *ret_free, uint64_t *ret_total);
    /* Inodes; total 0: the file system has no such limit. */
    int (*free_files)(void *self, const char *path, uint64_t *ret_free, uint64_t *ret_total);
};

extern const struct store_files store_files_real;

#endif
