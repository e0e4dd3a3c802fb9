/* How courier and liaison may reach the outside. */
#include "daemon/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

enum { AUTHORITIES_MAX = 8 << 20 };

/* Never freed: a thread may look at the one before for as long as a connection takes to open, and
 * settings change a few times in a process's life. */
struct policy {
    struct net_policy policy;
    struct net_network allowed[SETTINGS_NETWORKS_MAX];
};

void outside_reload(struct child *c, struct outside *o)
{
    const struct settings *s = child_settings(c);
    struct policy *p = mem_new(sizeof(*p));
    for (uint32_t i = 0; i < s->network.allow.n; i++) {
        const struct settings_network *from = &s->network.allow.list[i];
        p->allowed[i] = (struct net_network){.n_bytes = from->n_bytes, .prefix = from->prefix};
        memcpy(p->allowed[i].bytes, from->bytes, sizeof(from->bytes));
    }
    p->policy = (struct net_policy){.has_internet = s->network.internet,
                                    .allowed = p->allowed,
                                    .n_allowed = s->network.allow.n};
    atomic_store(&o->policy, &p->policy);
}

static void take_own_addresses(const struct settings *s, struct outside *o)
{
    for (uint32_t i = 0; i < s->n_listens; i++) {
        const struct settings_address *a = &s->listens[i].at;
        if (a->n_bytes == 4) {
            struct sockaddr_in *four = (struct sockaddr_in *)&o->own[o->network.n_own++];
            four->sin_family = AF_INET;
            four->sin_port = htons(a->port);
            memcpy(&four->sin_addr, a->bytes, 4);
        } else if (a->n_bytes == 16) {
            struct sockaddr_in6 *six = (struct sockaddr_in6 *)&o->own[o->network.n_own++];
            six->sin6_family = AF_INET6;
            six->sin6_port = htons(a->port);
            memcpy(&six->sin6_addr, a->bytes, 16);
        }
    }
    o->network.own = o->own;
}

/* Whose word counts where a certificate must be verified. Without the system's list nobody's does,
 * and the reason stands with each mail system that wants it; a list that was asked for must be
 * there. */
static void read_authorities(struct child *c, struct buf *ret)
{
    const struct settings *s = child_settings(c);
    const char *path = s->tls.authorities;
    SCOPED(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && settings_line(s, "tls.authorities") > 0)
        child_fail(c, "tls.authorities: %s: %s; the users of all processes must be able to read it",
                   path, strerror(errno));
    char part[16384];
    for (ssize_t n; fd >= 0 && (n = read(fd, part, sizeof(part))) > 0;)
        buf_add(ret, part, (size_t)n);
    if (ret->failed)
        child_fail(c, "tls.authorities: %s is bigger than %d MiB; that is no list of authorities",
                   path, AUTHORITIES_MAX >> 20);
}

void outside_prepare(struct child *c, struct outside *o)
{
    const struct settings *s = child_settings(c);
    struct errinfo ei;
    struct net_tls_client *tls = NULL;
    o->network.hostname = mem_str(s->node.name); /* settings go when new ones come */
    o->network.world_port = 25;
    o->network.timeouts = courier_timeouts_usual();
    o->network.cancel_fd = -1;
    o->network.policy = &o->policy;
    outside_reload(c, o);
    take_own_addresses(s, o);
    SCOPED(buf_finish) struct buf authorities = buf_make(AUTHORITIES_MAX);
    read_authorities(c, &authorities);
    if (net_tls_client_create(buf_slice(&authorities), &tls, &ei) != ERR_OK)
        child_fail(c, "tls.authorities: %s: %s", s->tls.authorities, ei.text);
    o->network.tls = tls;
}
