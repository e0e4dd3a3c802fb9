/* Between supervisor and child: what a new process finds. */
#ifndef DAEMON_CHILD_INT_H
#define DAEMON_CHILD_INT_H

#include "daemon/child.h"

/* Descriptors at fixed numbers. */
enum {
    CHILD_FD_CONTROL = 3, /* Unix stream to the supervisor */
    CHILD_FD_SETTINGS,    /* sealed: struct settings */
    CHILD_FD_START,       /* sealed: struct child_start */
    CHILD_FD_SHARED,      /* CHILD_SHARED_BYTES, shared by the processes of the role */
    CHILD_FD_FILES,       /* enum child_file, those that child_start says are there */
    CHILD_FD_LISTENERS = CHILD_FD_FILES + CHILD_FILE_N, /* as in child_start.listens */
    CHILD_FD_END = CHILD_FD_LISTENERS + SETTINGS_LISTENS_MAX + 1,
};

enum {
    CHILD_EXIT_FAILED = 78, /* after child_fail */
    CHILD_FRAME_MAX = 4096, /* on the control link */
};

struct child_start {
    uint32_t role, number;
    uint32_t uid, gid; /* to become, when the supervisor is root */
    int32_t supervisor;
    uint32_t has_file; /* bit for each enum child_file */
    uint32_t n_listens;
    uint32_t listens[SETTINGS_LISTENS_MAX + 1]; /* index into settings.listens */
};

#endif
