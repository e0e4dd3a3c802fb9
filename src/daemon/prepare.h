/* What a node needs before its first process: users, the data directory, listeners. Done once, by
 * the supervisor; whatever is wrong is said in words, with the key that would mend it. */
#ifndef DAEMON_PREPARE_H
#define DAEMON_PREPARE_H

#include "daemon/roles.h"
#include "daemon/settings.h"

struct prepared {
    bool is_root;
    bool has_users; /* each role has a user of its own by name */
    struct {
        uint32_t uid, gid;
    } users[ROLES_N]; /* as in `roles`; only when is_root */
    int data_lock;    /* the data directory, locked against a second instance */
    int listeners[SETTINGS_LISTENS_MAX + 1]; /* as settings.listens */
    uint32_t n_listeners;
    char admin_socket[SETTINGS_PATH_MAX]; /* to be removed at the end; "" */
};

/* Before any thread (forks). False: problems say why, nothing is kept open. */
bool prepare_node(const struct settings *s, struct prepared *ret,
                  struct settings_problems *problems);
void prepare_undo(struct prepared *p);

#endif
