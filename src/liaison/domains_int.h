/* Inside looks at domains: the page of a policy. */
#ifndef LIAISON_DOMAINS_INT_H
#define LIAISON_DOMAINS_INT_H

#include "liaison/domains.h"

struct domains_page {
    const char *host, *path;
    uint16_t port;
};
/* As watch_web.get says. */
void domains_fetch(const struct courier_network *network, mono_us deadline,
                   const struct domains_page *page, struct arena *a, struct watch_page *ret);

#endif
