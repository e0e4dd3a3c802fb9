/* The tables of roles.h. */
#include "daemon/roles.h"

#include <stdio.h>

/* Stopping: first nobody new gets in, then what is under way ends, then the facts are closed; names
 * are answered to the end. */
const struct roles_row roles[ROLES_N] = {
    {IPC_GATE, 1, 0, true, true},     {IPC_DOOR, 2, 1, true, true},
    {IPC_CORE, 3, 4, false, false},   {IPC_COURIER, 4, 2, false, false},
    {IPC_LIAISON, 5, 3, false, true}, {IPC_RESOLVER, 6, 5, false, false},
};

static const struct {
    enum ipc_role a, b;
} links[] = {
    {IPC_GATE, IPC_CORE},        {IPC_GATE, IPC_RESOLVER}, {IPC_CORE, IPC_COURIER},
    {IPC_COURIER, IPC_RESOLVER}, {IPC_CORE, IPC_LIAISON},  {IPC_LIAISON, IPC_RESOLVER},
    {IPC_DOOR, IPC_CORE},        {IPC_RESOLVER, IPC_CORE},
};

const struct roles_row *roles_find(unsigned role)
{
    for (size_t i = 0; i < ROLES_N; i++)
        if ((unsigned)roles[i].role == role)
            return &roles[i];
    return NULL;
}

const struct roles_row *roles_find_name(const char *name)
{
    for (size_t i = 0; i < ROLES_N; i++)
        if (strcmp(ipc_role_name(roles[i].role), name) == 0)
            return &roles[i];
    return NULL;
}

unsigned roles_count(const struct settings *s, enum ipc_role role)
{
    if (role == IPC_GATE)
        return (unsigned)s->gate.count;
    return role == IPC_DOOR ? (unsigned)s->door.count : 1;
}

bool roles_are_linked(unsigned a, unsigned b)
{
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if ((links[i].a == a && links[i].b == b) || (links[i].a == b && links[i].b == a))
            return true;
    return false;
}

enum ipc_role roles_of_service(uint32_t service)
{
    return service == SETTINGS_SMTP || service == SETTINGS_SUBMISSION ? IPC_GATE : IPC_DOOR;
}

struct roles_text roles_process_name(unsigned role, unsigned number)
{
    struct roles_text t;
    const char *name = ipc_role_name((enum ipc_role)role);
    if (role == IPC_GATE || role == IPC_DOOR)
        snprintf(t.s, sizeof(t.s), "%s/%u", name, number);
    else
        snprintf(t.s, sizeof(t.s), "%s", name);
    return t;
}
