/* Reading the settings and the files they name; see settings_load.h. */
#include "daemon/settings_load.h"

#include "daemon/sandbox.h"
#include "daemon/tls_check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_MAX = 256 << 10, /* certificate, key, anchor */
    CHILD_MS = 5000,      /* for a child's work, which takes milliseconds */
    NOBODY = 65534,       /* as whom the children run when we are root */
    SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

/* What a child writes for us. It is checked before use like anything from outside. */
struct verdict {
    uint32_t is_done; /* 1 at the end; no bool: any bytes may stand here */
    struct settings settings;
    struct settings_problems problems;
};

/* ---- the short-lived child ---- */

struct job {
    void (*fn)(struct job *job); /* in the child, inside the sandbox */
    struct verdict *verdict;     /* shared with the parent */
    struct slice text;           /* the file */
    struct slice certificate, key;
};

static _Noreturn void child_of(struct job *job)
{
    struct errinfo ei = {};
    int abi;
    /* Nothing of the supervisor's but standard error, which a sanitizer may need. */
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    (void)close(STDIN_FILENO), (void)close(STDOUT_FILENO);
    if (sandbox_drop_privileges(NOBODY, NOBODY, &ei) == ERR_OK &&
        sandbox_close_files(SANDBOX_PARSER, NULL, SANDBOX_LANDLOCK_NEWEST, &abi, &ei) == ERR_OK &&
        sandbox_close_calls(SANDBOX_PARSER, &ei) == ERR_OK)
        job->fn(job);
    else
        settings_problem_add(&job->verdict->problems, 0,
                             "The kernel must allow seccomp; a container may have to be told so.",
                             "the reader of the settings cannot be confined: %.150s", ei.text);
    job->verdict->is_done = 1;
    _exit(0);
}

/* Waits at most CHILD_MS, then kills. */
static bool child_ended(pid_t pid)
{
    int status = 0;
    for (int waited = 0; waited < CHILD_MS; waited++) {
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (done < 0 && errno != EINTR)
            return false;
        const struct timespec one_ms = {.tv_nsec = 1000000};
        (void)nanosleep(&one_ms, NULL);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return false;
}

static void check_problems(struct settings_problems *p)
{
    if (p->n > SETTINGS_PROBLEMS_MAX)
        p->n = SETTINGS_PROBLEMS_MAX;
    for (uint32_t i = 0; i < p->n; i++) {
        p->list[i].what[sizeof(p->list[i].what) - 1] = '\0';
        p->list[i].advice[sizeof(p->list[i].advice) - 1] = '\0';
    }
}

/* On a reload this must not end a node that serves: it is a problem like any other. */
static bool short_of(struct settings_problems *problems, const char *what)
{
    settings_problem_add(problems, 0, "Try again when the machine is less busy.",
                         "the machine has no room for %s at the moment: %s", what, strerror(errno));
    return false;
}

/* Runs job->fn in a child. True: `*ret` is what it wrote, bounds of the problems checked. */
static bool in_child(struct job *job, struct verdict *ret, struct settings_problems *problems)
{
    bool is_done = false;
    job->verdict = mmap(NULL, sizeof(*job->verdict), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = job->verdict != MAP_FAILED ? fork() : -1;
    if (pid < 0)
        return short_of(problems, "another process");
    if (pid == 0)
        child_of(job);
    is_done = child_ended(pid) && job->verdict->is_done == 1;
    *ret = *job->verdict; /* the child is gone: nobody changes it while we look */
    (void)munmap(job->verdict, sizeof(*job->verdict));
    check_problems(&ret->problems);
    if (!is_done)
        settings_problem_add(problems, 0, "Please report this with the file.",
                             "the reader of the settings ended unexpectedly");
    return is_done;
}

/* ---- files ---- */

static int memory_file(const char *name, struct settings_problems *problems)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        (void)short_of(problems, "a memory file");
    return fd;
}

/* Opens a file that a person named; -1 and a problem when it cannot be used. */
static int open_file(const char *key, uint32_t line, const char *path, off_t *ret_size,
                     struct settings_problems *problems)
{
    struct stat st;
    const char *before = key ? key : "", *between = key ? ": " : "";
    SCOPED(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int why = errno;
        settings_problem_add(problems, line,
                             why == ENOENT ? "Make the file, or write the right path."
                                           : "Make it readable for the user that starts staffetta.",
                             "%s%s%.150s cannot be read: %s", before, between, path, strerror(why));
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        settings_problem_add(problems, line, "Write the path of the right file.",
                             "%s%s%.150s is no file of at most 256 KiB", before, between, path);
        return -1;
    }
    *ret_size = st.st_size;
    int result = fd;
    fd = -1;
    return result;
}

/* The bytes go from file to memory file inside the kernel: a key never is in our own memory. */
static int seal_file(const char *key, uint32_t line, const char *path,
                     struct settings_problems *problems)
{
    off_t size = 0;
    SCOPED(fd_close) int in = open_file(key, line, path, &size, problems);
    if (in < 0)
        return -1;
    int out = memory_file(key, problems);
    for (off_t at = 0; out >= 0 && at < size;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)(size - at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            settings_problem_add(problems, line, "Try again; if it stays, look at the disk.",
                                 "%s: %.150s could not be read to its end", key, path);
            fd_close(&out);
            return -1;
        }
        at += n;
    }
    must(out < 0 || fcntl(out, F_ADD_SEALS, SEALS) == 0);
    return out;
}

static bool read_text(const char *path, struct buf *ret, struct settings_problems *problems)
{
    off_t size = 0;
    SCOPED(fd_close) int fd = open_file(NULL, 0, path, &size, problems);
    if (fd < 0)
        return false;
    char *p = size > 0 ? buf_room(ret, (size_t)size) : NULL;
    size_t at = 0;
    while (p && at < (size_t)size) {
        ssize_t n = read(fd, p + at, (size_t)size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    ret->n = at; /* shorter by now: what is there counts */
    return true;
}

/* Not fstat: the C library makes it a call with a path, which the sandboxes refuse. */
size_t settings_file_size(int fd)
{
    off_t n = lseek(fd, 0, SEEK_END);
    return n > 0 ? (size_t)n : 0;
}

const void *settings_map_sealed(int fd, size_t n)
{
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || settings_file_size(fd) != n)
        return NULL;
    const void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* ---- the settings themselves ---- */

static void parse_job(struct job *job)
{
    (void)settings_parse(job->text, &job->verdict->settings, &job->verdict->problems);
}

static void tls_job(struct job *job)
{
    tls_check(job->certificate, job->key, &job->verdict->problems);
}

static bool parse(const char *path, struct verdict *v, struct settings_problems *problems)
{
    SCOPED(buf_finish) struct buf text = buf_make(FILE_MAX);
    if (!read_text(path, &text, problems))
        return false;
    struct job job = {.fn = parse_job, .text = buf_slice(&text)};
    if (!in_child(&job, v, problems))
        return false;
    *problems = v->problems;
    if (problems->n > 0)
        return false;
    if (settings_is_valid(&v->settings))
        return true;
    settings_problem_add(problems, 0, "Please report this with the file.",
                         "the reader of the settings gave nonsense");
    return false;
}

static bool seal_settings(const struct settings *s, struct settings_loaded *ret,
                          struct settings_problems *problems)
{
    ret->fd = memory_file("settings", problems);
    if (ret->fd < 0)
        return false;
    ssize_t n = write(ret->fd, s, sizeof(*s));
    if (n == (ssize_t)sizeof(*s) && fcntl(ret->fd, F_ADD_SEALS, SEALS) == 0)
        ret->settings = settings_map_sealed(ret->fd, sizeof(*s));
    if (ret->settings)
        return true;
    fd_close(&ret->fd);
    return short_of(problems, "a memory file");
}

static struct slice map_file(int fd)
{
    size_t n = settings_file_size(fd);
    if (n == 0)
        return SLICE("");
    const void *p = settings_map_sealed(fd, n);
    must(p);
    return slice_of(p, n);
}

static void unmap_file(struct slice s)
{
    if (s.n > 0)
        (void)munmap((void *)(uintptr_t)s.p, s.n);
}

/* Mapped, not read: the pages are the memory file's, and only the child looks at them. */
static bool check_tls(struct settings_loaded *l, struct verdict *v,
                      struct settings_problems *problems)
{
    if (l->files[CHILD_CERTIFICATE] < 0)
        return true;
    struct job job = {.fn = tls_job,
                      .certificate = map_file(l->files[CHILD_CERTIFICATE]),
                      .key = map_file(l->files[CHILD_KEY])};
    bool is_done = in_child(&job, v, problems);
    unmap_file(job.certificate);
    unmap_file(job.key);
    if (is_done)
        *problems = v->problems;
    for (uint32_t i = 0; is_done && i < problems->n; i++)
        if (problems->list[i].line == TLS_CHECK_CERTIFICATE)
            problems->list[i].line = settings_line(l->settings, "tls.certificate");
        else
            problems->list[i].line = settings_line(l->settings, "tls.key");
    return is_done && problems->n == 0;
}

static bool load_files(struct settings_loaded *l, struct settings_problems *problems)
{
    const struct settings *s = l->settings;
    const struct {
        const char *key, *path;
    } files[CHILD_FILE_N] = {
        [CHILD_CERTIFICATE] = {"tls.certificate", s->tls.certificate},
        [CHILD_KEY] = {"tls.key", s->tls.key},
        [CHILD_TRUST_ANCHOR] = {"network.trust_anchor", s->network.trust_anchor},
    };
    for (size_t i = 0; i < CHILD_FILE_N; i++)
        if (files[i].path[0])
            l->files[i] =
                seal_file(files[i].key, settings_line(s, files[i].key), files[i].path, problems);
    return problems->n == 0;
}

bool settings_load(const char *path, struct settings_loaded *ret,
                   struct settings_problems *ret_problems)
{
    memset(ret_problems, 0, sizeof(*ret_problems));
    struct settings_loaded l = {.fd = -1, .files = {-1, -1, -1}};
    struct verdict *v = mem_new(sizeof(*v));
    bool is_good = parse(path, v, ret_problems) && seal_settings(&v->settings, &l, ret_problems) &&
                   load_files(&l, ret_problems) && check_tls(&l, v, ret_problems);
    mem_free(&v);
    if (is_good)
        *ret = l;
    else
        settings_unload(&l);
    return is_good;
}

void settings_unload(struct settings_loaded *l)
{
    if (!l->settings)
        return;
    (void)munmap((void *)(uintptr_t)l->settings, sizeof(*l->settings));
    l->settings = NULL;
    fd_close(&l->fd);
    for (size_t i = 0; i < CHILD_FILE_N; i++)
        fd_close(&l->files[i]);
}
