/* Preloaded by tests: the wall clock of a process moves by as many seconds as stand in the file
 * that $CLOCK_MOVED names, at any moment. Intervals stay true, as when somebody sets a real clock.
 *
 * The file is mapped before any sandbox closes. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 32 };

static const char *moved; /* text, ends with a blank */

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("CLOCK_MOVED");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    moved = p == MAP_FAILED ? NULL : p;
    (void)close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, t);
    if (result == 0 && clock == CLOCK_REALTIME && moved)
        t->tv_sec += atol(moved);
    return result;
}
