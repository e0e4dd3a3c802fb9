/* Looks at the DNS of domains, and of this node: what is published, judged by `watch`.
 *
 * A look is a few dozen questions to the resolver, one after the other, and perhaps one fetch of
 * the domain's MTA-STS policy (RFC 8461 section 3.3; where it may lead: hook.h), on one of a few
 * threads of its own: slow name servers must not delay the probes of primaries. */
#ifndef LIAISON_DOMAINS_H
#define LIAISON_DOMAINS_H

#include "courier/peer.h"
#include "watch/watch.h"

struct liaison_domains;

struct liaison_domains_options {
    unsigned threads;
    unsigned looks;                 /* at once, running and waiting; more are answered as blind */
    mono_us deadline;               /* of one look; 0: 25 s */
    uint16_t https;                 /* port of policies' web servers; 0: 443 */
    struct courier_network network; /* copied, see liaison_options; cancel_fd is not used */
    /* Exactly once for each look, on any thread. `seen` is borrowed. */
    void (*done)(void *arg, uint64_t tag, const struct ipc_domain_seen *seen);
    void *done_arg;
};

/* Once in a process, before the sandbox and before any thread. `authorities`: PEM, who may vouch
 * for the web servers of policies, and for us; with none of them no policy is fetched. Used in the
 * call only. */
void liaison_domains_prepare(struct slice authorities);
/* Would others trust our certificate (PEM, with its chain)? */
enum watch_vouched liaison_domains_vouched(struct slice pem);

struct liaison_domains *liaison_domains_create(const struct liaison_domains_options *o);
void liaison_domains_destroy(struct liaison_domains **d); /* abandons what waits; takes NULL */
/* Who we are, from now on; copied. Any thread. */
void liaison_domains_node(struct liaison_domains *d, const struct watch_node *node);
/* Any thread; does not block. An empty name: this node. */
void liaison_domains_look(struct liaison_domains *d, uint64_t tag,
                          const struct ipc_domain_look *look);

#endif
