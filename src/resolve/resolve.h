/* Questions to DNS and validated answers, over libunbound with a cache of its own.
 *
 * Lives on one loop: questions come in, answers go out by callback; the asking of servers is done
 * by one thread of libunbound's. Strangers' bytes are parsed here and nowhere else. No file is
 * read after resolve_create: anchors and hints are text. RFC 4033..4035, 5011 is not done (anchors
 * come with the settings). */
#ifndef RESOLVE_RESOLVE_H
#define RESOLVE_RESOLVE_H

#include "ipc/ipc.h"
#include "net/net.h"

struct resolve;

struct resolve_options {            /* texts and lists are borrowed for the call only */
    const struct slice *forwarders; /* "192.0.2.53", "192.0.2.53:5353"; none: ask from the root */
    size_t n_forwarders;
    const struct slice *roots; /* addresses of root servers; none: the library's own list */
    size_t n_roots;
    struct slice anchors; /* DS or DNSKEY records, one a line; ';' begins a comment; empty: nothing
                             is validated, every answer is insecure */
    const struct slice *opened; /* zones to ask for although the library would answer by itself
                                   that they are empty: "test.", "10.in-addr.arpa." */
    size_t n_opened;
    unsigned asks;    /* at once; more are answered IPC_NAME_FAILED */
    mono_us deadline; /* of a question */
    void (*told)(void *arg, uint64_t tag, const struct ipc_name_told *told); /* borrowed */
    void *arg;
};
struct resolve_options resolve_options_usual(void);

/* Everything on the loop's thread. Starts the library's thread: call it after fork. ERR_INVALID: a
 * forwarder, root, zone or anchor cannot be read. */
enum err resolve_create(struct net_loop *l, const struct resolve_options *o, struct resolve **ret,
                        struct errinfo *ei);
void resolve_destroy(struct resolve **r); /* open questions are forgotten; takes NULL */

/* Exactly one `told` for each question, perhaps from inside this call. `ask->name`: with or
 * without the final dot; U-labels are turned into A-labels (IDNA 2008). CNAMEs are followed; the
 * records are those of the asked type, at most 256, their data in wire format with names
 * uncompressed. Only status OK has records. `ask->is_fresh`: not from our own cache (a forwarder
 * has one, too). */
void resolve_ask(struct resolve *r, uint64_t tag, const struct ipc_name_ask *ask);

struct resolve_figures {
    uint64_t n_asked, n_failed, n_bogus;
    unsigned n_open;
};
struct resolve_figures resolve_figures(const struct resolve *r);

/* DNS type numbers that we ask for. */
enum {
    RESOLVE_A = 1,
    RESOLVE_CNAME = 5,
    RESOLVE_PTR = 12,
    RESOLVE_MX = 15,
    RESOLVE_TXT = 16,
    RESOLVE_AAAA = 28,
    RESOLVE_TLSA = 52
};

#endif
