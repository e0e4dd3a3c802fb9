/* Settings from files to sealed memory files: what the supervisor does at the start and on SIGHUP.
 *
 * The supervisor reads bytes and parses nothing: a short-lived child without privileges, files and
 * network parses the YAML, another one looks whether certificate and key fit. */
#ifndef DAEMON_SETTINGS_LOAD_H
#define DAEMON_SETTINGS_LOAD_H

#include "daemon/child.h"
#include "daemon/settings.h"

struct settings_loaded {
    const struct settings *settings; /* mapped read-only */
    int fd;                          /* the sealed memory file with exactly this struct */
    int files[CHILD_FILE_N];         /* sealed memory files, -1: not set */
};

/* Single-threaded or not; forks. False: problems say why, nothing is kept. */
bool settings_load(const char *path, struct settings_loaded *ret,
                   struct settings_problems *ret_problems);
void settings_unload(struct settings_loaded *loaded); /* takes a zeroed or unloaded one, too */

/* A sealed memory file of exactly `n` bytes mapped read-only; NULL when it is anything else. */
const void *settings_map_sealed(int fd, size_t n);
size_t settings_file_size(int fd); /* of a memory file; 0: empty or none */

#endif
