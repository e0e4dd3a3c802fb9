/* Webhooks: one HTTP request to an address that a person chose, signed, and its answer; and pushes,
 * to addresses that clients of people named.
 *
 * libcurl does HTTP and TLS; where a request may lead is decided here (promise 10, and nobody's
 * inside is reached from outside): names go to our resolver, every address is asked of the policy,
 * no redirect is followed, no proxy and no file is used. As works: `hook` and `push` in liaison.h.
 */
#ifndef LIAISON_HOOK_H
#define LIAISON_HOOK_H

#include "net/conn.h"

/* Once in a process, before the sandbox and before any thread. `authorities`: PEM, who may vouch
 * for a receiver; with none of them nobody is trusted. Used in the call only. */
void liaison_hook_prepare(struct slice authorities);
void liaison_push_prepare(struct slice authorities);

/* "t=1700000000,v1=HEX": HMAC-SHA256 over "t.body" with the secret (RFC 2104). */
enum { LIAISON_SIGNATURE_MAX = 100 };
void liaison_hook_signature(struct slice secret, int64_t unix_time, struct slice body,
                            char ret[LIAISON_SIGNATURE_MAX]);
/* May a webhook go there? NULL: yes; else why not, in words, counted as a refusal. */
const char *liaison_hook_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                               bool is_encrypted);
/* The same for a push to an address that a client named: never without encryption. */
const char *liaison_push_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                               bool is_encrypted);
/* The same for the web server of a domain's MTA-STS policy. */
const char *liaison_policy_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                                 bool is_encrypted);

#endif
