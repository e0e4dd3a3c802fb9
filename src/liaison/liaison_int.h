/* Inside liaison: one look at one primary. */
#ifndef LIAISON_LIAISON_INT_H
#define LIAISON_LIAISON_INT_H

#include "liaison/liaison.h"

struct liaison_seen {
    struct ipc_observed observed; /* its texts are those below */
    struct courier_end end;
    char software[201];
};
/* Blocks for at most probe->timeout_ms. */
void liaison_look(const struct courier_network *network, const struct ipc_probe *probe,
                  struct liaison_seen *ret);

#endif
