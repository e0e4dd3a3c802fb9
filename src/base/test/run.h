/* For tests: another program, run to its end without a shell. */
#ifndef BASE_TEST_RUN_H
#define BASE_TEST_RUN_H

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its input is the file `in`, its output goes nowhere; `arguments` end with NULL, the first is the
 * program. Returns its exit code, -1 when there is no such program or it was killed. */
static inline int run_program(const char *in, const char *const *arguments)
{
    char *words[32];
    size_t n = 0;
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_t files;
    while (arguments[n] && n < 31)
        n++;
    memcpy(words, arguments, n * sizeof(words[0])); /* which posix_spawn does not change */
    words[n] = NULL;
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, in, O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int err = posix_spawnp(&pid, words[0], &files, NULL, words, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    if (err != 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
