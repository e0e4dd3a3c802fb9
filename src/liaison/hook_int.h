/* Inside liaison: one webhook. */
#ifndef LIAISON_HOOK_INT_H
#define LIAISON_HOOK_INT_H

#include "liaison/hook.h"

#include <openssl/x509.h>

struct hook_send {
    const struct courier_network *network;
    X509_STORE *authorities;
    const _Atomic bool *is_stopping;
    const struct ipc_hook *hook;
};
struct hook_end {
    struct ipc_hooked hooked; /* its text is the one below */
    char text[301];
};
/* Blocks for at most hook->timeout_ms. */
void hook_send(const struct hook_send *s, struct hook_end *ret);

#endif
