/* Inside trust: names, and questions to the resolver that cannot go wrong. */
#ifndef TRUST_TRUST_INT_H
#define TRUST_TRUST_INT_H

#include "trust.h"
#include "sign/canon.h"

/* A domain name in our own memory, without the dot at its end. */
struct trust_name {
    char p[TRUST_NAME_MAX + 1];
    size_t n;
};

/* Labels of 1..63 bytes, no NUL, at most TRUST_NAME_MAX in all; not empty. Any other byte is
 * allowed: the DNS has no rule about them. */
bool trust_name_is_valid(struct slice name);
struct slice trust_name_trim(struct slice name); /* without one dot at the end */
/* `tail` is `name` or a parent of it. Case does not matter. */
bool trust_name_is_below(struct slice name, struct slice tail);
size_t trust_name_labels(struct slice name);
struct slice trust_name_parent(struct slice name); /* without its first label */
struct slice
trust_path_domain(struct slice mail_from); /* after the last '@'; empty if there is none */

/* An address of just this family; unlike trust_ip_parse, ::ffff:1.2.3.4 stays IPv6. */
bool trust_ip_read(struct slice text, bool is_v6, struct trust_ip *ret);

/* Asks, unless the name cannot be in the DNS (RFC 7208 section 4.3): then NXDOMAIN. Bytes that are
 * not ASCII are such names too (RFC 8616 section 4). The answer lives in the arena. */
enum trust_dns_status trust_ask(const struct trust_dns *dns, struct slice name, uint16_t type,
                                struct arena *a, struct trust_answer *ret);

/* ---- the message -------------------------------------------------------------------------- */

void trust_dkim_verify_split(const struct trust_dns *dns, const struct sign_message *m, utc_ms now,
                             struct trust_dkim *ret);
void trust_dmarc_check_split(const struct trust_dns *dns, const struct sign_message *m,
                             const struct trust_spf *spf, const struct trust_dkim *dkim,
                             struct trust_dmarc *ret);

/* The one domain in the one From field. False if there is none, or more than one. */
bool trust_author_domain(const struct sign_message *m, struct slice *ret);

#endif
