/* One look: at a domain, at this node. */
#include "watch/watch_int.h"

#include <stdio.h>

void watch_look_domain(const struct watch_outside *outside, const struct watch_node *node,
                       const struct watch_domain *domain, utc_ms now, struct watch_findings *ret)
{
    struct watch_look l = {.dns = &outside->dns,
                           .web = &outside->web,
                           .node = node,
                           .domain = domain,
                           .now = now,
                           .all = ret};
    ret->n = 0;
    watch_own_addresses(l.dns, node, &l.own);
    watch_judge_mx(&l);
    watch_judge_spf(&l);
    watch_judge_dkim(&l);
    watch_judge_dmarc(&l);
    watch_judge_sts(&l);
    watch_judge_tlsa(&l);
    watch_judge_ns(&l);
}

bool watch_is_blind(const struct watch_findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].class != WATCH_UNKNOWN && f->list[i].check != WATCH_CERTIFICATE)
            return false;
    return true;
}

/* ---- this node ------------------------------------------------------------------------------- */

static void list_addresses(const struct wire_ip *list, size_t n, char *text, size_t size)
{
    for (size_t i = 0; i < n; i++)
        watch_join(text, size, wire_ip_text(list[i]).s);
}

/* Does our name lead to an address of ours? */
static void judge_address(const struct watch_dns *dns, const struct watch_node *node,
                          const char *host, struct watch_findings *all)
{
    struct watch_finding *f = watch_add(all, WATCH_ADDRESS);
    struct watch_addresses there;
    bool is_known = node->n_addresses == 0;
    watch_addresses(dns, host, &there);
    if (node->n_addresses)
        list_addresses(node->addresses, node->n_addresses, f->expected, sizeof(f->expected));
    else
        WATCH_SAY(f->expected, "an address of %s", host);
    list_addresses(there.list, there.n, f->found, sizeof(f->found));
    for (size_t i = 0; i < there.n; i++)
        is_known = is_known || watch_has_address(node->addresses, node->n_addresses, there.list[i]);
    if (there.n > 0 && is_known)
        return;
    if (there.n == 0 && there.is_unanswered) {
        f->class = WATCH_UNKNOWN;
        WATCH_SAY(f->found, "no answer for the address of %s", host);
        WATCH_SAY(f->why, "Our resolver got no answer, so nothing is known.");
        return;
    }
    f->class = WATCH_ALARM;
    if (there.n == 0)
        WATCH_SAY(f->found, "%s has no address", host);
    WATCH_SAY(f->why, "Whoever is sent to %s by an MX does not reach this node.", host);
    WATCH_SAY(f->advice,
              "Write the address of this node:  %s. A ..., or correct node.name and "
              "node.addresses in the settings.",
              host);
}

enum reverse { REVERSE_FINE, REVERSE_NONE, REVERSE_STRANGE, REVERSE_UNKNOWN };

static void reverse_name(struct wire_ip ip, char ret[80])
{
    size_t n = 0;
    for (int i = ip.version == 4 ? 3 : 15; i >= 0; i--)
        if (ip.version == 4)
            n += (size_t)snprintf(ret + n, 80 - n, "%u.", ip.bytes[i]);
        else
            n += (size_t)snprintf(ret + n, 80 - n, "%x.%x.", ip.bytes[i] & 15, ip.bytes[i] >> 4);
    (void)snprintf(ret + n, 80 - n, ip.version == 4 ? "in-addr.arpa" : "ip6.arpa");
}

/* A name counts when it leads back to the address (RFC 8601 section 2.7.3). */
static enum reverse look_back(const struct watch_dns *dns, struct wire_ip ip,
                              char ret_name[WATCH_NAME_MAX])
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct watch_records r;
    char question[80];
    ret_name[0] = '\0';
    reverse_name(ip, question);
    watch_ask(dns, WATCH_TYPE_PTR, a, &r, "%s", question);
    if (r.status == WATCH_ANSWER_NONE || r.status == WATCH_ANSWER_BOGUS)
        return REVERSE_UNKNOWN;
    for (size_t i = 0; i < r.n && i < 4; i++) {
        struct watch_addresses there;
        struct slice data = r.data[i];
        if (!watch_name_read(&data, ret_name) || ret_name[0] == '\0')
            continue;
        watch_addresses(dns, ret_name, &there);
        if (watch_has_address(there.list, there.n, ip))
            return REVERSE_FINE;
    }
    return ret_name[0] ? REVERSE_STRANGE : REVERSE_NONE;
}

static void judge_one_reverse(const struct watch_dns *dns, struct wire_ip ip,
                              struct watch_finding *f, const char *host)
{
    char name[WATCH_NAME_MAX], one[WATCH_NAME_MAX + 100], address[80];
    enum reverse is = look_back(dns, ip, name);
    if (is == REVERSE_UNKNOWN) {
        f->class = f->class == WATCH_OK ? WATCH_UNKNOWN : f->class;
        return;
    }
    (void)snprintf(one, sizeof(one), "%s: %s%s", wire_ip_text(ip).s,
                   is == REVERSE_NONE ? "no name" : name,
                   is == REVERSE_STRANGE ? ", which does not lead back" : "");
    watch_join(f->found, sizeof(f->found), one);
    if (is == REVERSE_FINE)
        return;
    f->class = WATCH_NOTICE;
    reverse_name(ip, address);
    WATCH_SAY(f->why, "Many receivers refuse mail from addresses whose name does not lead back to "
                      "them.");
    WATCH_SAY(f->advice, "Ask whoever gave you the address to write:  %s. PTR %s.", address, host);
}

static void judge_reverse(const struct watch_dns *dns, const struct watch_node *node,
                          const char *host, struct watch_findings *all)
{
    struct watch_finding *f = watch_add(all, WATCH_REVERSE);
    struct watch_addresses own;
    WATCH_SAY(f->expected, "%s", host);
    watch_own_addresses(dns, node, &own);
    for (size_t i = 0; i < own.n; i++)
        judge_one_reverse(dns, own.list[i], f, host);
    if (own.n == 0 || f->class == WATCH_UNKNOWN) {
        f->class = WATCH_UNKNOWN;
        WATCH_SAY(f->found, "%s",
                  own.n ? "no answer for the reverse name"
                        : "the addresses of this node are not "
                          "known");
        WATCH_SAY(f->why, "%s",
                  own.n ? "Our resolver got no answer, so nothing is known."
                        : "Its name leads nowhere, and node.addresses is not set.");
    }
}

void watch_look_node(const struct watch_dns *dns, const struct watch_node *node, utc_ms now,
                     struct watch_findings *ret)
{
    char host[WATCH_NAME_MAX];
    ret->n = 0;
    (void)snprintf(host, sizeof(host), SLICE_FMT, SLICE_ARG(node->name));
    judge_address(dns, node, host, ret);
    judge_reverse(dns, node, host, ret);
    struct watch_finding *f = watch_add(ret, WATCH_CERTIFICATE);
    if (node->certificate.n > 0) {
        watch_certificate_judge(WATCH_CERTIFICATE, "of this node", node->certificate.until, now, f);
        return;
    }
    f->class = WATCH_NOTICE;
    WATCH_SAY(f->found, "none");
    WATCH_SAY(f->expected, "a certificate for %s", host);
    WATCH_SAY(f->why, "Mail reaches this node unencrypted, and nobody can read it here in an "
                      "emergency.");
    WATCH_SAY(f->advice, "Set tls.certificate and tls.key in the settings.");
}
