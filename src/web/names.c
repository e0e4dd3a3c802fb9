/* Names of users, as they were when the process started: the sandbox has no files. */
#include "web/web_int.h"

#include <pwd.h>
#include <stdio.h>

enum { USERS_MAX = 2000 };

struct web_names {
    size_t n;
    struct {
        uint32_t uid;
        char name[64];
    } users[USERS_MAX];
};

struct web_names *web_names_load(void)
{
    struct web_names *names = mem_new(sizeof(*names));
    const struct passwd *p;
    setpwent();
    while (names->n < USERS_MAX && (p = getpwent())) {
        names->users[names->n].uid = p->pw_uid;
        snprintf(names->users[names->n].name, sizeof(names->users[0].name), "%s", p->pw_name);
        names->n++;
    }
    endpwent();
    return names;
}

void web_names_destroy(struct web_names **n)
{
    mem_free(n);
}

const char *names_of(const struct web_names *n, uint32_t uid)
{
    for (size_t i = 0; n && i < n->n; i++)
        if (n->users[i].uid == uid)
            return n->users[i].name;
    return "";
}
