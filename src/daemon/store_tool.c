/* Checking a store and making its index anew, at the command line. Verifying may be done beside a
 * running node, rebuilding may not: the store's lock says so. */
#include "daemon/store_tool.h"

#include "store/store.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool store_tool_is_verb(int argc, char **argv)
{
    return argc > 2 && strcmp(argv[1], "store") == 0 &&
           (strcmp(argv[2], "verify") == 0 || strcmp(argv[2], "rebuild") == 0);
}

/* A wrong path must not become a new, empty store that is called good. */
static bool is_store(const char *dir)
{
    char path[4096];
    struct stat st;
    errno = 0;
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    (void)fprintf(stderr, "staffetta: %s: %s; is %s the data directory?\n", path,
                  errno ? strerror(errno) : "no folder", dir);
    return false;
}

/* Core runs as this user and has to be able to write what we make. It also is the least that can
 * read what strangers have written into the store. */
static bool become_owner(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) != 0) {
        (void)fprintf(stderr, "staffetta: %s: %s\n", dir, strerror(errno));
        return false;
    }
    if (geteuid() != 0 || st.st_uid == 0)
        return true;
    if (setgroups(0, NULL) == 0 && setgid(st.st_gid) == 0 && setuid(st.st_uid) == 0)
        return true;
    (void)fprintf(stderr, "staffetta: cannot become the owner of %s: %s\n", dir, strerror(errno));
    return false;
}

static void say(void *, const char *text)
{
    (void)printf("%s\n", text);
}

static int verify(const char *dir)
{
    unsigned n = store_verify(dir, say, NULL);
    if (n == 0)
        (void)printf("%s is good: every batch, record and checksum, and the index agrees.\n", dir);
    else
        (void)printf("%u problem%s in %s. Nothing was changed; keep a copy before anything else.\n",
                     n, n == 1 ? "" : "s", dir);
    return n != 0;
}

static int rebuild(const char *dir)
{
    struct errinfo ei;
    enum err err = store_rebuild(dir, &ei);
    if (err == ERR_OK)
        (void)printf("The index of %s was made anew from its last snapshot and the log.\n", dir);
    else if (err == ERR_CONFLICT)
        (void)printf("%s is in use: stop the node first. Nothing was changed.\n", dir);
    else
        (void)printf("The index of %s was not made anew: %s\n", dir, ei.text);
    return err != ERR_OK;
}

int store_tool_main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "staffetta store %s DIR, where DIR is node.data of the settings\n",
                      argv[2]);
        return 2;
    }
    if (!is_store(argv[3]) || !become_owner(argv[3]))
        return 1;
    return strcmp(argv[2], "verify") == 0 ? verify(argv[3]) : rebuild(argv[3]);
}
