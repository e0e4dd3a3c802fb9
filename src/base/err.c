/* Errors: our mistakes stop the process, the world's refusals carry a text. */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void must_failed(const char *condition, const char *file, int line)
{
    dprintf(STDERR_FILENO, "must(%s) failed at %s:%d\n", condition, file, line);
    abort();
}

enum err err_set(struct errinfo *ei, enum err code, const char *format, ...)
{
    if (ei) {
        va_list args;
        va_start(args, format);
        vsnprintf(ei->text, sizeof(ei->text), format, args);
        va_end(args);
    }
    return code;
}

enum err err_prefix(struct errinfo *ei, enum err code, const char *format, ...)
{
    if (!ei)
        return code;
    struct errinfo old = *ei;
    va_list args;
    va_start(args, format);
    vsnprintf(ei->text, sizeof(ei->text), format, args);
    va_end(args);
    size_t n = strlen(ei->text);
    snprintf(ei->text + n, sizeof(ei->text) - n, ": %s", old.text);
    return code;
}

const char *err_name(enum err code)
{
    static const char *const names[] = {
        [ERR_OK] = "ok",
        [ERR_RETRY] = "retry",
        [ERR_FULL] = "full",
        [ERR_LIMIT] = "limit",
        [ERR_GONE] = "gone",
        [ERR_EXISTS] = "exists",
        [ERR_CONFLICT] = "conflict",
        [ERR_DENIED] = "denied",
        [ERR_INVALID] = "invalid",
        [ERR_CORRUPT] = "corrupt",
        [ERR_IO] = "io",
        [ERR_CANCELED] = "canceled",
    };
    static_assert(sizeof(names) / sizeof(names[0]) == ERR_N, "a name for every error");
    return (unsigned)code < ERR_N ? names[code] : "unknown";
}

void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing was promised about it */
    *fd = -1;
}
