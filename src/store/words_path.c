/* Where the file of the search is, and throwing it away. Knows no database. */
#include "store/words_int.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum err words_path(const char *dir, char ret[WORDS_PATH_MAX], struct errinfo *ei)
{
    int n = snprintf(ret, WORDS_PATH_MAX, "%s/index/search.db", dir);
    if (n < 0 || n >= WORDS_PATH_MAX - 8) /* "-wal" comes behind it */
        return err_set(ei, ERR_INVALID, "the path of the store is too long");
    return ERR_OK;
}

enum err words_remove(const char *file, struct errinfo *ei)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[WORDS_PATH_MAX + 16];
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", file, ends[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return err_set(ei, ERR_IO, "remove %s: %s", path, strerror(errno));
    }
    return ERR_OK;
}

enum err store_search_drop(const char *dir, struct errinfo *ei)
{
    char path[WORDS_PATH_MAX];
    enum err err = words_path(dir, path, ei);
    return err == ERR_OK ? words_remove(path, ei) : err;
}
