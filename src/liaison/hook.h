/* Webhooks: one HTTP request to an address that a person chose, signed, and its answer.
 *
 * Threads of their own: receivers that do not answer take nothing away from probes. libcurl does
 * HTTP and TLS; where a request may lead is decided here (promise 10, and nobody's inside is
 * reached from outside): names go to our resolver, every address is asked of the policy, no
 * redirect is followed, no proxy and no file is used. */
#ifndef LIAISON_HOOK_H
#define LIAISON_HOOK_H

#include "courier/peer.h"

struct liaison_hooks;

struct liaison_hooks_options {
    unsigned threads;               /* requests at once */
    unsigned hooks;                 /* running and waiting; more are answered as not tried */
    struct courier_network network; /* hostname, policy, resolve, timeouts.name; copied */
    struct slice authorities;       /* PEM: who may vouch for a receiver; used in create only */
    /* Exactly once for each hook, on any thread. `hooked` is borrowed. */
    void (*done)(void *arg, uint64_t tag, const struct ipc_hooked *hooked);
    void *done_arg;
};

/* Once in a process, before the sandbox and before any thread. */
void liaison_hooks_prepare(void);
struct liaison_hooks *liaison_hooks_create(const struct liaison_hooks_options *o);
void liaison_hooks_destroy(
    struct liaison_hooks **h); /* gives up what runs, within 2 s; takes NULL */
/* Any thread; does not block. */
void liaison_hook(struct liaison_hooks *h, uint64_t tag, const struct ipc_hook *hook);

/* "t=1700000000,v1=HEX": HMAC-SHA256 over "t.body" with the secret (RFC 2104). */
enum { LIAISON_SIGNATURE_MAX = 100 };
void liaison_hook_signature(struct slice secret, int64_t unix_time, struct slice body,
                            char ret[LIAISON_SIGNATURE_MAX]);
/* May a webhook go there? NULL: yes; else why not, in words, counted as a refusal. */
const char *liaison_hook_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                               bool is_encrypted);

#endif
