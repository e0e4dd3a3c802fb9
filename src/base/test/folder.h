/* For tests: a folder of a test's own, which is gone after the test however that ends. A child
 * waits for the end of the test's pipe, which also comes when the test is killed, and removes the
 * folder. */
#ifndef BASE_TEST_FOLDER_H
#define BASE_TEST_FOLDER_H

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct folder {
    pid_t remover;
    int life; /* closed: remove it */
};

static inline int folder_remove_one(const char *path, const struct stat *, int, struct FTW *)
{
    return remove(path);
}

static inline bool folder_remove(const char *path)
{
    return nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

static inline _Noreturn void folder_wait_and_remove(const char *path, int life)
{
    char byte;
    (void)setsid(); /* who kills the test's group does not kill us */
    (void)dup2(life, STDIN_FILENO);
    (void)close_range(1, ~0U, 0); /* nobody shall wait for what the test had open */
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    _exit(folder_remove(path) ? 0 : 1);
}

/* Makes it; `path` ends in XXXXXX and must not move. Before the test has threads. */
static inline bool folder_make(struct folder *f, char *path)
{
    int ends[2];
    if (!mkdtemp(path) || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    f->life = ends[1];
    f->remover = fork();
    if (f->remover == 0) {
        (void)close(ends[1]);
        folder_wait_and_remove(path, ends[0]);
    }
    (void)close(ends[0]);
    return f->remover > 0;
}

/* Returns when it is gone; false: not all of it could be removed. */
static inline bool folder_finish(struct folder *f)
{
    int status = -1;
    (void)close(f->life);
    return waitpid(f->remover, &status, 0) == f->remover && status == 0;
}

#endif
