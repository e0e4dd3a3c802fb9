/* Where webhooks, pushes, questions for tokens and fetches of policies may lead, and how webhooks
 * are signed. */
#include "liaison/hook.h"

#include "base/refuse.h"
#include "ipc/ipc.h"
#include "liaison/token.h"
#include "net/net.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

static const char *fault_of(const struct net_policy *p, const struct sockaddr_storage *address,
                            bool is_encrypted, enum refuse_id inside, bool is_wanted)
{
    struct slice who = slice_str(net_peer_text(address).s);
    enum net_where where = net_policy_where(p, address);
    if (where == NET_NOWHERE)
        return "that is nobody's address";
    if (net_policy_lists(p, address) || (where == NET_LOOPBACK && !p->has_internet))
        return NULL;
    /* With the Internet at hand whoever writes a URL or a DNS record could make us ask our own
     * inside. */
    if (net_address_is_private(address))
        return refuse(inside, who)->text;
    if (!p->has_internet)
        return (is_wanted ? refuse(REFUSE_OUTSIDE, who) : refuse_row(REFUSE_OUTSIDE))->text;
    return is_encrypted ? NULL : "without encryption only networks in network.allow are called";
}

const char *liaison_hook_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                               bool is_encrypted)
{
    return fault_of(p, address, is_encrypted, REFUSE_HOOK_INSIDE, true);
}

const char *liaison_push_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                               bool is_encrypted)
{
    if (!is_encrypted)
        return "pushes go nowhere without encryption";
    return fault_of(p, address, true, REFUSE_PUSH_INSIDE, true);
}

/* That a node without the Internet does not look at a domain there is no refusal to anybody: nobody
 * wanted it, and the finding says so. */
const char *liaison_policy_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                                 bool is_encrypted)
{
    return fault_of(p, address, is_encrypted, REFUSE_POLICY_INSIDE, false);
}

/* Passwords of whole companies go there: never in the clear, not even on this machine. */
const char *liaison_token_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                                bool is_encrypted)
{
    const char *fault = fault_of(p, address, is_encrypted, REFUSE_TOKEN_INSIDE, true);
    return fault ? fault : is_encrypted ? NULL : "a token is asked for by https only";
}

void liaison_hook_signature(struct slice secret, int64_t unix_time, struct slice body,
                            char ret[LIAISON_SIGNATURE_MAX])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    SCOPED(buf_finish) struct buf all = buf_make(IPC_FRAME_MAX);
    buf_addf(&all, "%lld.", (long long)unix_time);
    buf_adds(&all, body);
    must(!all.failed); /* it came in such a frame */
    must(HMAC(EVP_sha256(), secret.p ? secret.p : "", (int)secret.n, (const unsigned char *)all.p,
              all.n, sum, &n));
    int at = snprintf(ret, LIAISON_SIGNATURE_MAX, "t=%lld,v1=", (long long)unix_time);
    for (unsigned i = 0; i < n && n <= 32; i++)
        at += snprintf(ret + at, (size_t)(LIAISON_SIGNATURE_MAX - at), "%02x", sum[i]);
}
