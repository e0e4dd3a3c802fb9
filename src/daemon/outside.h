/* What courier and liaison share: how they may reach the outside, by the settings. */
#ifndef DAEMON_OUTSIDE_H
#define DAEMON_OUTSIDE_H

#include "courier/peer.h"
#include "daemon/names.h"

struct outside {
    struct courier_network network;
    struct names *names;
    courier_policy policy;
    struct sockaddr_storage own[SETTINGS_LISTENS_MAX + 1];
};

/* Fill from the settings. Reads the authorities' certificates: before the sandbox. */
void outside_prepare(struct child *c, struct outside *o);
/* The settings changed: where connections may lead from now on. */
void outside_reload(struct child *c, struct outside *o);

#endif
