/* A conversation with a mail server as its client: finding it, connecting, greeting, abilities,
 * TLS. Shared by deliveries (courier) and by the probe (liaison).
 *
 * Everything blocks, with a deadline; one thread a conversation. How a step ended is a value, not
 * an error: servers that refuse, stall, talk nonsense or attack are ordinary. */
#ifndef COURIER_PEER_H
#define COURIER_PEER_H

#include "ipc/ipc.h"
#include "net/conn.h"
#include "wire/client.h"

#include <stdatomic.h>

/* ---- what a conversation needs -------------------------------------------------------------- */

/* Per step (RFC 5321 section 4.5.3.2); each counts for the whole reply, however it drips. */
struct courier_timeouts {
    mono_us name, connect, banner, ehlo, tls, mail, rcpt, data, block, dot, quit;
    mono_us total; /* of a delivery, whatever happens */
};
struct courier_timeouts courier_timeouts_usual(void);

/* Ask the resolver and wait. ERR_OK: `*ret` is told, all of it in `a` (use arena_try: the ceiling
 * of `a` is COURIER_NAME_BYTES). Any other error: no answer by `deadline`, or we are stopping.
 * Any thread. */
enum { COURIER_NAME_BYTES = 1 << 20 };
typedef enum err (*courier_resolve_fn)(void *arg, const struct ipc_name_ask *ask, mono_us deadline,
                                       struct arena *a, struct ipc_name_told *ret);

/* Where connections may lead. Whoever changes it stores another one; conversations may still look
 * at the one before, so that has to stay. */
typedef _Atomic(const struct net_policy *) courier_policy;

/* Shared by all conversations of a process; set once; outlives them. */
struct courier_network {
    const char *hostname;         /* ours, for EHLO */
    const courier_policy *policy; /* NULL: only this machine */
    /* Where we listen ourselves: mail that would come back to us is never sent there. The
     * unspecified address stands for every loopback address; list the others one by one. */
    const struct sockaddr_storage *own;
    size_t n_own;
    struct net_tls_client *tls;
    uint16_t world_port; /* 25 */
    struct courier_timeouts timeouts;
    courier_resolve_fn resolve;
    void *resolve_arg;
    int cancel_fd; /* an eventfd that ends every wait, or -1 */
};

/* ---- how it ended --------------------------------------------------------------------------- */

enum { COURIER_TEXT_MAX = 600 };
struct courier_end {
    enum smtp_phase phase;
    uint16_t code; /* 0: no reply, nothing usable, or cancelled */
    bool is_ours;  /* it failed before anything of theirs was involved: our resolver gave no answer,
                    * our policy forbids it, or we are stopping */
    struct wire_status status;       /* class 0: none */
    char text[COURIER_TEXT_MAX + 1]; /* the reply, or what failed, in words; printable ASCII */
};
/* The peer's reply; lines are joined with blanks. */
void courier_end_reply(struct courier_end *end, enum smtp_phase phase, const struct wire_reply *r);
/* Our own words; `code` "" (nothing came) or as in the table of refusals: "552 5.3.4". */
void courier_end_words(struct courier_end *end, enum smtp_phase phase, const char *code,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ---- finding it ------------------------------------------------------------------------------ */

enum { COURIER_HOSTS_MAX = 16, COURIER_ADDRESSES_MAX = 8 };
struct courier_hosts {
    struct {
        char name[256]; /* or an address */
        uint16_t port, preference;
    } host[COURIER_HOSTS_MAX];
    size_t n;
    bool is_world; /* found through DNS: not necessarily a friend */
};
/* The hosts of a job in the order to try them: its own list or, if that is empty, the mail
 * exchangers of its domain (RFC 5321 section 5.1; null MX RFC 7505; "[192.0.2.1]" literals).
 * False: there are none now; `*end` says why. */
bool courier_hosts_find(const struct courier_network *net, const struct ipc_job *job,
                        mono_us deadline, struct courier_hosts *ret, struct courier_end *end);
struct courier_addresses {
    struct sockaddr_storage address[COURIER_ADDRESSES_MAX];
    size_t n;
};
/* The addresses of one host, IPv6 and IPv4 in turn. False: none now; `*end` says why. */
bool courier_addresses_find(const struct courier_network *net, const char *host, uint16_t port,
                            mono_us deadline, struct courier_addresses *ret,
                            struct courier_end *end);

/* ---- talking ----------------------------------------------------------------------------------
 */

struct courier_target {
    const char *host; /* name or address, for words and SNI */
    struct sockaddr_storage address;
    enum ipc_tls tls;
    const char *tls_name; /* expected in the certificate; "": the host's name */
    bool is_world;      /* with the internet at hand, loopback is not where a stranger's MX leads */
    utc_ms *cert_until; /* may be NULL; set when the peer shows a certificate, also a refused one */
};

/* Connect as a conversation would, for other protocols: asks where connections may lead, announces
 * what is forbidden. False: `*end` says why not. */
bool courier_dial(const struct courier_network *net, const struct courier_target *target,
                  mono_us deadline, struct net_conn **ret, struct courier_end *end);
/* What is named here now; only this machine when nothing is said. */
const struct net_policy *courier_policy_now(const struct courier_network *net);

struct courier_peer;
/* Connect, read the greeting, EHLO, STARTTLS and EHLO again as `target->tls` wants; where TLS may
 * be left out and is broken, connect once more without. NULL: `*end` says where and why not.
 * Addresses that the policy forbids are refused and announced here. */
struct courier_peer *courier_peer_open(const struct courier_network *net,
                                       const struct courier_target *target, mono_us deadline,
                                       struct courier_end *end);
/* Says QUIT if the conversation is in order and waits for the answer at most timeouts.quit. */
void courier_peer_close(struct courier_peer **p);
/* Send one command (without CRLF) and wait for the reply. True: a reply came, whatever its code;
 * `*end` is it. False: the conversation is over, `*end` says why. */
bool courier_peer_ask(struct courier_peer *p, enum smtp_phase phase, struct slice command,
                      mono_us deadline, struct courier_end *end);
/* After the 354: the content, dot-stuffed, its end, and the reply to it. As courier_peer_ask. */
bool courier_peer_send(struct courier_peer *p, struct slice content, mono_us deadline,
                       struct courier_end *end);
const struct wire_caps *courier_peer_caps(const struct courier_peer *p);
const char *courier_peer_banner(const struct courier_peer *p); /* first line, without the code */
/* For ipc: bits of enum ipc_ability, and the limit of SIZE (0: none said, or over 4 GiB). */
uint32_t courier_peer_abilities(const struct courier_peer *p);
uint32_t courier_peer_size_max(const struct courier_peer *p);

#endif
