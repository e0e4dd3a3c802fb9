/* The roles of our processes: how many, who is linked with whom, who stops when. One table each. */
#ifndef DAEMON_ROLES_H
#define DAEMON_ROLES_H

#include "daemon/settings.h"
#include "ipc/ipc.h"

enum { ROLES_N = 6, ROLES_PROCESSES_MAX = SETTINGS_GATES_MAX + SETTINGS_DOORS_MAX + ROLES_N - 2 };

struct roles_row {
    enum ipc_role role;
    unsigned user;        /* offset to node.user_base */
    unsigned stop_phase;  /* 0 stops first; the last ones serve the others until the end */
    bool has_tls;         /* gets certificate and key */
    bool has_certificate; /* gets at least the certificate: it watches it */
};
extern const struct roles_row roles[ROLES_N];

const struct roles_row *roles_find(unsigned role);                  /* NULL: no such role */
const struct roles_row *roles_find_name(const char *name);          /* "gate" */
unsigned roles_count(const struct settings *s, enum ipc_role role); /* processes of it */
bool roles_are_linked(unsigned a, unsigned b);
enum ipc_role roles_of_service(uint32_t service); /* enum settings_service -> who listens */

/* "gate/1"; of the roles that have one process only: "core". */
struct roles_text {
    char s[24];
};
struct roles_text roles_process_name(unsigned role, unsigned number);

#endif
